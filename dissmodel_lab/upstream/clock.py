"""Tell every tick of a ``dissmodel`` simulation, its code and its results unchanged.

While it is observed, ``Environment`` has two things more: ``run`` and ``__init__`` are wrapped, and an
assignment to ``_now``, which ends a tick, is seen by a descriptor that has no ``__get__``, so that reading
the time costs what it did before. All three are gone afterwards. The same works with salabim's scheduler
(0.4) and with dissmodel's own (0.5 on).
"""

from __future__ import annotations

import contextvars
import functools
import importlib
import os
import sys
import threading
from contextlib import contextmanager, suppress
from importlib.abc import MetaPathFinder
from numbers import Real
from typing import TYPE_CHECKING, Any

from dissmodel_lab.executor.lifecycle import report_step
from dissmodel_lab.language import message
from dissmodel_lab.upstream.schedule import Schedule, schedule_of
from dissmodel_lab.upstream.state import layers_of, series, values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

MODULE = "dissmodel.core.environment"
"""Where every version keeps ``Environment``."""

WAITING = message("Waiting for another dissmodel simulation in this process: two at once give wrong results.")

ENDLESS = (
    "The model {model} has the step {step}, so that simulated time never goes on and the run may never "
    "end. Interrupt it, and choose a step above 0."
)


class Watch:
    """What :func:`watched` yields: the simulations that have run so far, in their order."""

    def __init__(self, waiting: Callable[[str], None] | None = None) -> None:
        self._waiting = waiting
        self._series: list[dict[str, list[Any]]] = []
        self.process = os.getpid()
        outer = _current_watch()
        self.outermost: Watch = self if outer is None else outer.outermost

    @property
    def parts(self) -> int:
        """How many simulations have begun."""
        return len(self._series)

    def series(self, part: int | None = None) -> dict[str, list[Any]]:
        """
        Return the ``track_plot`` series of a simulation that has ended, by label.

        Parameters
        ----------
        part : int, optional
            Which simulation, from 1; the last one when not given.

        Returns
        -------
        dict of str to list
            Every value that was assigned; empty when nothing was tracked.
        """
        return self._series[-1 if part is None else part - 1] if self._series else {}

    def begin(self) -> int:
        """Return the number of the simulation that begins, from 1."""
        self._series.append({})
        return len(self._series)

    def end(self, part: int, environment: Any) -> None:
        """Keep the series of a simulation."""
        self._series[part - 1] = series(environment)

    def tell_endless(self, models: Sequence[Any]) -> None:
        """Say, once a simulation, that time will not go on; the scheduler would never return."""
        still = next((model for model in models if _is_still(model)), None)
        if still is not None and self._waiting is not None:
            self._waiting(f"Warning: {ENDLESS.format(model=type(still).__name__, step=still._step)}")  # noqa: SLF001 -- upstream's

    def claim(self) -> None:
        """Wait until no other run in this process uses dissmodel; keep it until the outermost watch ends."""
        _STATE.turn.take(self.outermost, self._waiting)


@contextmanager
def watched(*, waiting: Callable[[str], None] | None = None) -> Iterator[Watch]:
    """
    Tell every tick of every ``dissmodel`` Environment that runs meanwhile through ``report_step``.

    Only what runs in this thread (in this context, to be exact, as the runner itself) is told, also when
    ``dissmodel`` is imported only meanwhile. A tick at which no model executes is no step. Contexts nest:
    the innermost tells.

    ``Environment._current`` is one for the process, so that two simulations at once mix up their models.
    From the first Environment that is made or run in here until the outermost context ends, other threads
    that are watched wait where they make theirs; a run that never uses ``dissmodel`` waits for nobody. (One
    that waits for such a thread itself would wait forever.)

    Parameters
    ----------
    waiting : callable, optional
        Is given one sentence when this thread begins to wait, which can be interrupted; and one when a
        simulation is about to run whose time does not go on.

    Yields
    ------
    Watch
        The simulations that have run, and their whole series.

    Examples
    --------
    >>> with watched() as watch:
    ...     watch.parts
    0
    """
    watch = Watch(waiting)
    token = _WATCH.set(watch)
    try:
        _STATE.enter(watch)
        yield watch
    finally:
        _STATE.leave(watch)
        _reset(token)


class _Simulation:
    """One ``Environment.run()``: tells each tick when the next one begins, and the last when it returns."""

    def __init__(self, environment: Any, part: int) -> None:
        self._schedule: Schedule = schedule_of(environment)
        self._environment = environment
        self._part = part
        self.now = self._schedule.first_time()
        """The raw time of the tick that is going on."""
        self._steps = 0
        self._n_steps: int | None = None
        self._end: Any = _UNKNOWN
        self._is_number = isinstance(self.now, Real)
        self._may_idle = True

    def tick(self) -> None:
        """Tell the tick that is complete, if a model has executed at it."""
        if self._may_idle:
            if not self._schedule.executed(self.now):
                return
            self._may_idle = self._schedule.may_idle
        self._steps += 1
        time = self._schedule.time_of(self.now)
        if self._environment.end_time is not self._end:  # a model may end the run early
            self._end = self._environment.end_time
            self._n_steps = self._count(time)
        if self._n_steps is not None and self._steps > self._n_steps:
            self._n_steps = None
        report_step(
            self._steps,
            self._n_steps,
            functools.partial(_label, time),
            self._values,
            time=time if self._is_number else None,
            part=self._part,
            layers=self._layers,
        )

    def models(self) -> list[Any]:
        """Return the models that are registered."""
        return self._schedule.models()

    def _count(self, time: Any) -> int | None:
        try:
            rest = self._schedule.n_steps_from(time)
        except (TypeError, ValueError, ArithmeticError):  # times that are no numbers: then it is not known
            return None
        return None if rest is None else self._steps - 1 + rest

    def _layers(self) -> dict[str, Any]:
        return layers_of(self._schedule.models())

    def _values(self) -> dict[str, float]:
        return values_of(self._schedule.models(), self._environment)


def _is_still(model: Any) -> bool:
    step = getattr(model, "_step", None)
    return isinstance(step, Real) and not float(step) > 0


def _label(time: Any) -> str:
    return f"time {time:.10g}" if isinstance(time, Real) else f"time {time}"


class _Turn:
    """Whose turn it is to use dissmodel: one owner at a time, who may take it again."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._owner: object | None = None

    def take(self, owner: object, waiting: Callable[[str], None] | None) -> None:
        if self._take(owner, timeout=0):
            return
        if waiting is not None:
            waiting(WAITING)
        while not self._take(owner, timeout=_POLL):
            pass

    def _take(self, owner: object, timeout: float) -> bool:
        with self._changed:
            free = self._changed.wait_for(lambda: self._owner in (None, owner), timeout)
            if free:
                self._owner = owner
            return free

    def leave(self, owner: object) -> None:
        with self._changed:
            if self._owner is owner:
                self._owner = None
                self._changed.notify_all()


class _Tick:
    """Stands as ``Environment._now``: sees each assignment; reading goes by it to the instance's own value."""

    def __init__(self, running: dict[int, _Simulation]) -> None:
        self._running = running

    def __set__(self, environment: Any, now: Any) -> None:
        simulation = self._running.get(id(environment))
        if simulation is not None and now != simulation.now:  # the tick before is complete
            simulation.tick()
            simulation.now = now
        environment.__dict__["_now"] = now


class _Observation:
    """What a class gets while it is observed, and how it loses it."""

    def __init__(self, kind: type[Any]) -> None:
        self.kind = kind
        self._running: dict[int, _Simulation] = {}
        self._before = {name: kind.__dict__.get(name, _UNKNOWN) for name in ("run", "__init__", "_now")}
        run, init = kind.run, kind.__init__
        self._ours = {
            "run": self._wrapped_run(run),
            "__init__": self._wrapped_init(init),
            "_now": _Tick(self._running),
        }
        for name, value in self._ours.items():
            setattr(kind, name, value)

    def undo(self) -> None:
        for name, ours in self._ours.items():
            if self.kind.__dict__.get(name) is not ours:
                continue  # someone has put something over it since; ours passes everything on
            if self._before[name] is _UNKNOWN:
                delattr(self.kind, name)
            else:
                setattr(self.kind, name, self._before[name])

    def _wrapped_init(self, init: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(init)
        def claimed(environment: Any, *args: Any, **kwargs: Any) -> None:
            watch = _current_watch()
            if watch is not None:
                watch.claim()
            init(environment, *args, **kwargs)

        return claimed

    def _wrapped_run(self, run: Callable[..., Any]) -> Callable[..., Any]:
        running = self._running

        @functools.wraps(run)
        def told(environment: Any, *args: Any, **kwargs: Any) -> Any:
            watch = _current_watch()
            if watch is None or id(environment) in running:
                return run(environment, *args, **kwargs)
            watch.claim()
            part = watch.begin()
            simulation = running[id(environment)] = _Simulation(environment, part)
            watch.tell_endless(simulation.models())
            try:
                result = run(environment, *args, **kwargs)
                simulation.tick()
                return result
            finally:
                running.pop(id(environment), None)
                watch.end(part, environment)

        return told


class _AfterImport(MetaPathFinder):
    """Sees ``dissmodel`` being imported during a run: it finds nothing itself, but acts when the module is there."""

    def __init__(self, act: Callable[[ModuleType], None]) -> None:
        self._act = act

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != MODULE:
            return None
        finders = [finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]
        others = (finder.find_spec(fullname, path, target) for finder in finders)
        spec = next((found for found in others if found is not None), None)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            self._act_after(spec.loader)
        return spec

    def _act_after(self, loader: Any) -> None:
        execute = loader.exec_module

        def execute_and_act(module: ModuleType) -> None:
            del loader.exec_module
            execute(module)
            self._act(module)

        with suppress(AttributeError):  # a loader that takes no attribute: the module is imported, unobserved
            loader.exec_module = execute_and_act


class _State:
    """What this process has changed for its watches: none, one or several at a time."""

    def __init__(self) -> None:
        self.turn = _Turn()
        self._lock = threading.RLock()
        self._watches: set[Watch] = set()
        self._observed: list[_Observation] = []
        self._finder = _AfterImport(self._observe)

    def enter(self, watch: Watch) -> None:
        with self._lock:
            self._watches.add(watch)
            if self._finder not in sys.meta_path:
                sys.meta_path.insert(0, self._finder)
        if MODULE in sys.modules:
            self._observe(importlib.import_module(MODULE))  # waits when another thread is importing it

    def leave(self, watch: Watch) -> None:
        with self._lock:
            self._watches.discard(watch)
            if not self._watches:
                self.undo()
        if watch.outermost is watch:
            self.turn.leave(watch)

    def undo(self) -> None:
        while self._observed:
            self._observed.pop().undo()
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)

    def _observe(self, module: ModuleType) -> None:
        with self._lock:
            kind = getattr(module, "Environment", None)
            known = any(one.kind is kind for one in self._observed)
            if isinstance(kind, type) and self._watches and not known:
                self._observed.append(_Observation(kind))


def _current_watch() -> Watch | None:
    watch = _WATCH.get()
    # A forked child has its parent's context, but is not observed.
    return watch if watch is not None and watch.process == os.getpid() else None


def _reset(token: contextvars.Token[Watch | None]) -> None:
    try:
        _WATCH.reset(token)
    except ValueError:  # an abandoned generator is closed wherever it is found
        return


def _forget() -> None:
    """In a forked child nobody is observed: its parent's views are not its own, and locks may be held by no one."""
    global _STATE  # noqa: PLW0603 -- the child's own
    parents = _STATE
    _STATE = _State()
    parents.undo()


#: How long a wait may take to notice an interrupt that cannot end it at once [s].
_POLL = 0.2
_UNKNOWN: Any = object()
_WATCH: contextvars.ContextVar[Watch | None] = contextvars.ContextVar("dissmodel_lab_watch", default=None)
_STATE = _State()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
