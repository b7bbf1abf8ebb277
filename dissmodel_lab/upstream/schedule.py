"""How the two schedulers of ``dissmodel`` plan their ticks: salabim's (0.4) and its own (0.5 on)."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from dissmodel_lab.upstream.registry import dissmodel_version, end_time_semantics

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: So many ticks are played through to count them when no formula is exact; about 5 ms.
PLAYED = 10_000


class Window(NamedTuple):
    """When a model executes: from ``start`` to ``end`` at every ``step``."""

    start: float
    step: float
    end: float


class Schedule(Protocol):
    """What the clock asks of a scheduler. A raw time is what ``Environment._now`` holds."""

    may_idle: bool
    """Whether time may pass without a model even after one has executed."""

    def first_time(self) -> Any:
        """Return the raw time at which the run begins."""

    def time_of(self, now: Any) -> Any:
        """Return the simulated time of a raw time."""

    def models(self) -> list[Any]:
        """Return the models in the order of their registration."""

    def executed(self, now: Any) -> bool:
        """Tell whether a model has executed at this raw time; asked before the next."""

    def n_steps_from(self, time: Any) -> int | None:
        """Return how many steps there will be from this simulated time on, itself included; None when unknown."""


def schedule_of(environment: Any) -> Schedule:
    """
    Return what knows the schedule of an ``Environment`` that is about to run.

    Parameters
    ----------
    environment : object
        ``dissmodel``'s ``Environment``.
    """
    return _Salabim(environment) if hasattr(environment, "_event_list") else _Own(environment)


def planned_steps(
    now: float, end: float, windows: Iterable[Window], *, end_counts: bool = True, model_end_counts: bool = True
) -> int | None:
    """
    Count the times at which at least one model will execute, as the scheduler's own arithmetic has it.

    For one model of whole numbers that is floor((end - now) / step) + 1. All else is played through up to
    10,000 ticks, because sums of fractions and the times of several models follow no formula.

    Parameters
    ----------
    now : float
        When the run begins.
    end : float
        When it ends.
    windows : iterable of Window
        One a model.
    end_counts, model_end_counts : bool
        Whether a tick at exactly that end is executed.

    Returns
    -------
    int or None
        None when it is not known or there is no end.

    Examples
    --------
    >>> planned_steps(2020, 2030, [Window(0, 1, math.inf)])
    11
    >>> planned_steps(2020, 2030, [Window(0, 1, math.inf)], end_counts=False)
    10
    >>> planned_steps(0, 10, [Window(0, 5, 10), Window(2, 2, 6)])
    6
    >>> planned_steps(0, 0.3, [Window(0, 0.1, math.inf)])
    3
    >>> planned_steps(0, 10, [Window(0, 0, math.inf)]) is None
    True
    """
    plans = list(dict.fromkeys(windows))
    if any(one.step <= 0 for one in plans):
        return None
    inside = _Inside(end, end_counts=end_counts, model_end_counts=model_end_counts)
    if len(plans) == 1 and plans[0].end >= now and all(_is_whole(number) for number in (now, *plans[0][:2])):
        return inside.by_formula(plans[0]._replace(start=max(now, plans[0].start)))
    return inside.by_playing(now, plans)


class _Inside:
    """Counts the ticks inside a run's time."""

    def __init__(self, end: float, *, end_counts: bool, model_end_counts: bool) -> None:
        self._end = end
        self._end_counts = end_counts
        self._model_end_counts = model_end_counts

    def by_formula(self, plan: Window) -> int | None:
        counts = [
            max(
                0, math.floor((end - plan.start) / plan.step) + (1 if counts or (end - plan.start) % plan.step else 0)
            )
            for end, counts in ((self._end, self._end_counts), (plan.end, self._model_end_counts))
            if not math.isinf(end)
        ]
        return min(counts, default=None)

    def by_playing(self, now: float, plans: Sequence[Window]) -> int | None:
        due = [(one.start, one) for one in plans]
        count = 0
        while self._before_end(now) and count <= PLAYED:
            executed = [time <= now and self._before_end_of(one, now) for time, one in due]
            due = [
                (now + one.step, one) if ran else (time, one) for ran, (time, one) in zip(executed, due, strict=True)
            ]
            count += any(executed)
            pending = [time for time, one in due if self._before_end(time) and self._before_end_of(one, time)]
            if not pending:
                return count
            now = min(pending)
        return None if count > PLAYED else count

    def _before_end(self, time: float) -> bool:
        return time < self._end or (self._end_counts and time == self._end)

    def _before_end_of(self, one: Window, time: float) -> bool:
        return time < one.end or (self._model_end_counts and time == one.end)


def _is_whole(number: float) -> bool:
    return float(number).is_integer()


def _end_counts() -> bool:
    version = dissmodel_version()
    return version is None or end_time_semantics(version) == "inclusive"


def _windows(models: Iterable[Any]) -> list[Window]:
    return [Window(model.start_time, model._step, model.end_time) for model in models]  # noqa: SLF001 -- upstream's


class _Own:
    """``dissmodel``'s own scheduler: a list of models, each with the time at which it is due."""

    may_idle = False
    # Only before the first: then the clock goes on to where a model is due.

    def __init__(self, environment: Any) -> None:
        self._environment = environment

    def first_time(self) -> Any:
        return self._environment.start_time

    def time_of(self, now: Any) -> Any:
        return now

    def models(self) -> list[Any]:
        return list(getattr(self._environment, "_models", ()))

    def executed(self, now: Any) -> bool:
        return any(model.start_time <= now < model._next_time for model in self.models())  # noqa: SLF001 -- upstream's

    def n_steps_from(self, time: Any) -> int | None:
        counts = _end_counts()
        windows = _windows(self.models())
        return planned_steps(time, self._environment.end_time, windows, end_counts=counts, model_end_counts=counts)


class _Salabim:
    """salabim's scheduler: models are components on its list of events; raw time begins at 0."""

    may_idle = True

    def __init__(self, environment: Any) -> None:
        self._environment = environment
        self._seen: dict[int, Any] = {}
        core = sys.modules.get("dissmodel.core")
        self._model: type[Any] = getattr(core, "Model", object)
        # When each was due at the tick before, or when this run began: one that has run since is due later.
        self._due = {id(model): model.scheduled_time() for model in self.models()}

    def first_time(self) -> Any:
        return self._environment._now  # noqa: SLF001 -- upstream's

    def time_of(self, now: Any) -> Any:
        return now + self._environment.start_time

    def models(self) -> list[Any]:
        # A model that has ended, or whose turn is next, is not on the list: those seen before stay.
        events = sorted(self._environment._event_list, key=lambda event: event[2])  # noqa: SLF001 -- upstream's
        for event in events:
            if isinstance(event[3], self._model):
                self._seen.setdefault(id(event[3]), event[3])
        return list(self._seen.values())

    def executed(self, now: Any) -> bool:
        time = self.time_of(now)
        before = self._due
        self._due = {id(model): model.scheduled_time() for model in self.models()}
        return any(
            model.start_time <= time < model.end_time
            and self._due[id(model)] == now + model._step  # noqa: SLF001 -- upstream's
            and self._due[id(model)] != before.get(id(model))
            for model in self.models()
        )

    def n_steps_from(self, time: Any) -> int | None:
        windows = [one._replace(start=max(time, one.start)) for one in _windows(self.models())]
        return planned_steps(time, self._environment.end_time, windows, model_end_counts=False)
