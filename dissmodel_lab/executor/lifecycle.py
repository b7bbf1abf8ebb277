"""The one runner: four phases in order, each measured and told to whoever listens.

It knows no widget, no store and no model. It changes only the record it is given.
"""

from __future__ import annotations

import functools
import inspect
import os
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from dissmodel_lab.errors import ExecutorError, did_you_mean
from dissmodel_lab.executor.events import (
    Event,
    LogLine,
    Observer,
    Phase,
    PhaseFailed,
    PhaseFinished,
    PhaseStarted,
    RunFinished,
    RunStarted,
    Step,
    StepFinished,
    Watcher,
)
from dissmodel_lab.executor.meter import PhaseMeter
from dissmodel_lab.executor.reads import Reads, WatchedParameters, plain_spec, watched_spec
from dissmodel_lab.executor.schemas import (
    METADATA_KEYS,
    DataSource,
    ExperimentRecord,
    Provenance,
    RunStatus,
    shown_value,
    utc_now,
)
from dissmodel_lab.language import message
from dissmodel_lab.redaction import SecretValues

if TYPE_CHECKING:
    from dissmodel_lab.executor.base import ModelExecutor

T = TypeVar("T")

_Values = Mapping[str, float] | Callable[[], Mapping[str, float]] | None
_Layers = Callable[[], Mapping[str, Any]] | None
_MOST_NAMED = 20
"""How many parameters that were never read are named one by one in the log; the record lists all."""

#: Steps are told to observers at most this often [s]; the check in between costs under a microsecond.
STEP_INTERVAL = 0.2

NOT_GIVEN: Any = object()
"""Stands for "no data given", because None may be data."""


class PhaseHook(Protocol):
    """Work that belongs to a phase but not to the model; it is timed with it, and may refuse by raising."""

    def before(self, phase: Phase, value: Any) -> None:
        """Act before the executor's own method; ``value`` is what that method is about to get."""

    def after(self, phase: Phase, value: Any) -> None:
        """Act after the executor's own method; ``value`` is what it returned."""


def execute_lifecycle(
    executor: ModelExecutor,
    record: ExperimentRecord,
    *,
    data: Any = NOT_GIVEN,
    hooks: Sequence[PhaseHook] = (),
    observers: Sequence[Observer] = (),
    watchers: Sequence[Watcher] = (),
    around: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> tuple[ExperimentRecord, dict[str, float]]:
    """
    Run ``validate -> load -> run -> save`` and close the record.

    The record is changed in place and ends as completed, failed or cancelled, with the timings of the
    phases that ended, the phase that did not, and the message and traceback in its log. It ends as failed
    without an exception when ``save`` set its status so. Nothing is written to disk:
    :func:`dissmodel_lab.run` does that.

    Parameters
    ----------
    executor : ModelExecutor
        Any object with the four methods.
    record : ExperimentRecord
        With its source and parameters set.
    data : object, optional
        Input in memory; ``load`` is then not called.
    hooks : sequence of PhaseHook
        Work around the phases.
    observers : sequence of callable
        Each is called with every :data:`~dissmodel_lab.executor.events.Event`.
    watchers : sequence of callable
        Each is called with every :class:`~dissmodel_lab.executor.events.Step`, also with those that are too
        soon after another to be told to observers.
    around : callable
        Returns a context that is entered for the executor's own methods only, not for hooks and observers.

    Returns
    -------
    record : ExperimentRecord
        The one that was given, also when ``save`` returned another.
    timings : dict of str to float
        ``time_validate_sec``, ``time_load_sec``, ``time_run_sec``, ``time_save_sec`` and
        ``time_total_sec`` [s]; they stand in ``record.metrics`` too.

    Raises
    ------
    ExecutorError
        When the executor calls ``sys.exit``, or a method of it is asynchronous, so that its body never runs.
    BaseException
        Whatever a phase raises, unchanged; KeyboardInterrupt means cancelled.
    """
    runner = _Runner(executor, record, hooks, observers, watchers, around=around)
    with _active(runner), _live_log(record, runner):
        _begin(record)
        runner.tell(RunStarted(record))
        try:
            runner.all_phases(data)
        except KeyboardInterrupt as error:
            runner.close(RunStatus.CANCELLED, error)
            raise
        except SystemExit as error:
            refusal = ExecutorError(
                message(
                    "The executor ended the program (sys.exit({code!r})) in phase {failed_phase!r}. A model "
                    "reports a problem by raising an exception.",
                    code=error.code,
                    failed_phase=record.failed_phase,
                )
            )
            refusal.__cause__ = error  # known already to the traceback that goes into the log
            runner.close(RunStatus.FAILED, refusal)
            raise refusal from error
        except BaseException as error:
            runner.close(RunStatus.FAILED, error)
            raise
        runner.close(RunStatus.FAILED if record.status == RunStatus.FAILED else RunStatus.COMPLETED, None)
    return record, {key: record.metrics[key] for key in _TIMINGS if key in record.metrics}


def report_step(
    step: int,
    n_steps: int | None = None,
    label: str | Callable[[], str] = "",
    values: _Values = None,
    *,
    time: float | None = None,
    part: int = 1,
    layers: _Layers = None,
) -> None:
    """
    Tell that a step of simulated time is complete; cheap enough for every step of a fast loop.

    Outside a run it does nothing, so that a model can be called on its own.

    Parameters
    ----------
    step : int
        From 1 to ``n_steps``.
    n_steps : int, optional
        How many there will be; None when that is not known.
    label : str or callable
        The step's name, such as ``year 2030``, or what returns it.
    values : mapping of str to float, or callable, optional
        Numbers worth showing, drawn as lines; or what returns them, which is called a few times a second.
    time : float, optional
        Simulated time at the end of the step.
    part : int
        Which simulation of the run, from 1, when it holds several one after another.
    layers : callable, optional
        Returns the model's spatial data by name (rasters, arrays, GeoDataFrames), drawn as a live map.

    Examples
    --------
    >>> report_step(1, 10, "year 2030")
    """
    runner = _RUNNER.get()
    if runner is not None:
        runner.step(Step(step, n_steps, label, values, time, part, layers))


def steps(
    items: Iterable[T],
    *,
    n_steps: int | None = None,
    label: Callable[[T], str] = str,
    values: _Values = None,
    layers: _Layers = None,
) -> Iterator[T]:
    """
    Iterate, and report each step when its body is complete.

    Parameters
    ----------
    items : iterable
        One item a step.
    n_steps : int, optional
        How many; ``len(items)`` where there is one.
    label : callable
        Names a step from its item.
    values, layers
        As :func:`report_step` takes them.

    Examples
    --------
    >>> [year for year in steps(range(2020, 2023))]
    [2020, 2021, 2022]
    """
    total = len(items) if n_steps is None and isinstance(items, Sized) else n_steps
    # The same mapping is told with every step, so it lives: by the time it is read the model may have changed it.
    told = values if values is None or callable(values) else lambda: values
    runner = _RUNNER.get()
    for count, item in enumerate(items, start=1):
        yield item
        if runner is not None:
            time = item if isinstance(item, int | float) else None
            runner.step(Step(count, total, functools.partial(label, item), told, time, 1, layers))
    if runner is not None:
        runner.flush_step()


class _Runner:
    def __init__(
        self,
        executor: ModelExecutor,
        record: ExperimentRecord,
        hooks: Sequence[PhaseHook],
        observers: Sequence[Observer],
        watchers: Sequence[Watcher],
        *,
        around: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._executor = executor
        self._around = around
        self._shape = _Shape(record)
        self._folders = _Folders()
        self._record = record
        self._hooks = hooks
        self._observers = list(observers)
        self._watchers = list(watchers)
        self._next_step = 0.0
        self._untold_step: Step | None = None
        self._n_told = 0
        self._reads = Reads()
        self._given: frozenset[Any] = frozenset()
        self._phase_now: Phase | None = None
        self.secrets = SecretValues()

    def all_phases(self, data: Any) -> None:
        executor, record = self._executor, self._record
        self._phase(Phase.VALIDATE, record, lambda: executor.validate(record))
        given = data is not NOT_GIVEN
        loaded = self._phase(Phase.LOAD, record, (lambda: data) if given else (lambda: executor.load(record)))
        result = self._phase(Phase.RUN, loaded, lambda: executor.run(loaded, record))
        if result is None:
            record.add_log("run() returned None; save() gets None.")
        self._phase(Phase.SAVE, result, lambda: self._save(result))

    def _save(self, result: Any) -> ExperimentRecord:
        record = self._record
        returned = self._executor.save(result, record)
        _refuse_unrun(self._executor, Phase.SAVE, returned)
        if returned is not record:
            _take_over(record, returned)
        if record.output_path is not None:
            record.output_path = str(record.output_path)  # a Path is what many write there
        if record.status == RunStatus.FAILED:
            record.failed_phase = Phase.SAVE.value
            record.add_log("save() set the status to failed.")
        return record

    def _phase(self, phase: Phase, value: Any, work: Callable[[], T]) -> T:
        self._phase_now = phase
        meter: PhaseMeter | None = None
        try:
            self.tell(PhaseStarted(phase, utc_now()))
            meter = PhaseMeter()
            for hook in self._hooks:
                hook.before(phase, value)
            result = self._own_code(phase, work)
            for hook in self._hooks:
                hook.after(phase, result)
        except BaseException as error:
            usage = (meter or PhaseMeter()).stop("cancelled" if isinstance(error, KeyboardInterrupt) else "failed")
            self._record.phases[phase.value] = usage
            self._record.failed_phase = phase.value
            self.flush_step(stopped=True)
            self.tell(PhaseFailed(phase, usage, error, self.secrets.hide(error_text(error))))
            raise
        usage = meter.stop("completed")
        self._record.phases[phase.value] = usage
        self._record.metrics[f"time_{phase}_sec"] = usage.seconds
        self.flush_step()
        self.tell(PhaseFinished(phase, usage, result))
        return result

    def _own_code(self, phase: Phase, work: Callable[[], T]) -> T:
        """Run one of the executor's own methods, and put straight what it must not change."""
        try:
            self._watch_parameters()
            with self._around(), self._folders, self._reads:
                result = work()
        finally:
            self._hide_in_metrics()
            for problem in self._shape.restore(self._record, self):
                self._record.add_log(f"{phase}() {problem}")
        if phase is not Phase.SAVE:  # its own result is looked at in _save
            _refuse_unrun(self._executor, phase, result)
        return result

    def _hide_in_metrics(self) -> None:
        metrics = self._record.metrics
        if self.secrets and isinstance(metrics, dict):
            hidden = self.secrets.hide_in(dict(metrics))
            metrics.clear()
            metrics.update(hidden)

    def _watch_parameters(self) -> None:
        """Note from here on what the executor's own methods read of its parameters."""
        record, reads = self._record, self._reads
        if not isinstance(record.parameters, WatchedParameters):
            self.secrets.add(record.parameters, record.source.named)
            self._given = self._given or frozenset(record.parameters)
            record.parameters = WatchedParameters(record.parameters, reads)
            record.resolved_spec = watched_spec(record.resolved_spec, reads)

    def _note_reads(self) -> None:
        record, reads = self._record, self._reads
        if isinstance(record.parameters, WatchedParameters):
            record.parameters = record.parameters.plain()
            record.resolved_spec = plain_spec(record.resolved_spec)
        else:  # replaced by the executor: what was read of its own dict is not known
            reads.is_whole = True
        no_parameters = METADATA_KEYS | {"parameters"}
        record.defaults_taken = {key: value for key, value in reads.defaults.items() if key not in no_parameters}
        origins = {name: "given" if name in self._given else "model" for name in record.parameters}
        origins |= record.parameter_origins
        record.parameter_origins = origins | dict.fromkeys(record.defaults_taken, "default taken")
        if record.status == RunStatus.COMPLETED:
            given = [name for name in record.parameters if origins[name] in ("given", "toml")]
            record.unread_parameters = reads.unread(dict.fromkeys(given))
        unread = record.unread_parameters
        for name in unread[:_MOST_NAMED]:
            advice = did_you_mean(name, sorted(reads.names - no_parameters))
            record.add_warning(f"The parameter {name!r:.100} was given, but the model never read it. {advice}")
        if len(unread) > _MOST_NAMED:
            record.add_warning(f"{len(unread) - _MOST_NAMED:,} more parameters were given, but never read.")

    def close(self, status: RunStatus, error: BaseException | None) -> None:
        record = self._record
        record.status = status.value
        record.ended_at = utc_now()
        record.metrics["time_total_sec"] = round(sum(usage.seconds for usage in record.phases.values()), 6)
        if error is not None:
            where = f"in phase {record.failed_phase}"
            if record.failed_phase is None and self._phase_now is not None:  # interrupted between two phases
                record.failed_phase = self._phase_now.value
                where = f"after phase {record.failed_phase}"
            record.error = self.secrets.hide(error_text(error))
            record.add_log(f"{status.value} {where}: {record.error}")
            record.add_log(_traceback_text(error))
        self._note_reads()
        record.steps = self._n_told or None
        self.tell(RunFinished(status.value, error))

    def step(self, step: Step) -> None:
        self._n_told += 1
        if self.secrets:
            step = self._without_secrets(step)
        for watcher in self._watchers:
            self._watch(watcher, step)
        if time.perf_counter() < self._next_step and step.step != step.n_steps:
            self._untold_step = step
            return
        self._untold_step = None
        self._next_step = time.perf_counter() + STEP_INTERVAL
        self.tell(step.finished())

    def _without_secrets(self, step: Step) -> Step:
        said = step.label
        return step._replace(label=lambda: self.secrets.hide(str(said() if callable(said) else said)))

    def _watch(self, watcher: Watcher, step: Step) -> None:
        try:
            watcher(step)
        except Exception as error:  # noqa: BLE001 -- a broken view must not end a run; it is told and left out
            self._watchers = [other for other in self._watchers if other is not watcher]
            self._leave_out("A watcher", error)

    def flush_step(self, *, stopped: bool = False) -> None:
        # The last step before a phase ends is always told, however soon it came after the one before.
        if self._untold_step is not None:
            step, self._untold_step = self._untold_step, None
            if stopped:  # in the middle of the next step, to which all belongs that the model would work out now
                self.tell(step.as_told())
                return
            try:
                event = step.finished()
            except Exception:  # noqa: BLE001 -- what the model told with its last step is its own code
                event = StepFinished(step.step, step.n_steps, time=step.time, part=step.part)
            self.tell(event)

    def tell(self, event: Event) -> None:
        listening = self._observers
        for observer in listening:
            if self._observers is not listening and not any(other is observer for other in self._observers):
                continue  # it failed while another's failure was told
            try:
                observer(event)
            except Exception as error:  # noqa: BLE001 -- a broken view must not end a run; it is told and left out
                self._observers = [other for other in self._observers if other is not observer]
                self._leave_out("An observer", error)

    def _leave_out(self, who: str, error: Exception) -> None:
        problem = self.secrets.hide(f"{who} of the run failed and was left out: {error!r}")
        self._record.logs.append(problem)
        warnings.warn(problem, RuntimeWarning, stacklevel=3)


_RUNNER: ContextVar[_Runner | None] = ContextVar("dissmodel_lab_runner", default=None)


@contextmanager
def _active(runner: _Runner) -> Iterator[None]:
    token = _RUNNER.set(runner)
    try:
        yield
    finally:
        _RUNNER.reset(token)


def _traceback_text(error: BaseException) -> str:
    # Without the runner's own frames, which say nothing to a modeller.
    frames = error.__traceback__
    while frames is not None and frames.tb_next is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames))


class _LiveLog(list[str]):
    """The record's log while it runs: a list that tells of each line."""

    def __init__(self, lines: Iterable[str], runner: _Runner) -> None:
        super().__init__(lines)
        self._runner = runner

    def append(self, line: str) -> None:
        kept = self._runner.secrets.hide(line if isinstance(line, str) else str(line))
        super().append(kept)
        self._runner.tell(LogLine(str(kept)))

    def __reduce__(self) -> tuple[Any, ...]:  # a copy of the record has a plain list, and tells nobody
        return list, (list(self),)

    def extend(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.append(line)

    def __iadd__(self, lines: Iterable[str]) -> Self:  # type: ignore[override, misc]  # list's own takes any iterable
        self.extend(lines)
        return self


def _refuse_unrun(executor: ModelExecutor, phase: Phase, result: Any) -> None:
    """Refuse what a method returned instead of running; run() may hand a generator of its own to save()."""
    is_asynchronous = inspect.isawaitable(result)
    if not is_asynchronous and not (phase in (Phase.VALIDATE, Phase.SAVE) and inspect.isgenerator(result)):
        return
    if hasattr(result, "close"):
        result.close()
    kind = "asynchronous" if is_asynchronous else "a generator"
    raise ExecutorError(
        message(
            "{phase}() of {kind} is {kind_2}, so its body never ran. Write it as a plain method; an asynchronous "
            "call inside of it can be made with asyncio.run().",
            phase=phase,
            kind=type(executor).__name__,
            kind_2=kind,
        )
    )


class _Shape:
    """What an executor may fill but not replace by something else: a record without it could not be written."""

    _KINDS = (
        ("metrics", dict),
        ("parameters", dict),
        ("resolved_spec", dict),
        ("artifacts", dict),
        ("artifact_paths", dict),
        ("content_sha256", dict),
        ("phases", dict),
        ("source", DataSource),
        ("experiment_id", str),
        ("model_name", str),
        ("status", str),
        ("created_at", datetime),
        ("provenance", (Provenance, type(None))),
    )

    def __init__(self, record: ExperimentRecord) -> None:
        self._good = {name: getattr(record, name) for name, _ in self._KINDS}
        self._provenance = record.provenance
        self._logs: list[str] = record.logs

    def restore(self, record: ExperimentRecord, runner: _Runner) -> list[str]:
        """Put back what was replaced; return a sentence for each."""
        problems = []
        for name, kind in self._KINDS:
            value = getattr(record, name, None)
            if value is self._good[name]:  # nearly always
                continue
            if name == "source" and value is not None and not isinstance(value, DataSource) and hasattr(value, "uri"):
                value = record.source = DataSource.model_validate(value, from_attributes=True)
            if isinstance(value, kind) and not (name == "provenance" and value is not self._provenance):
                self._good[name] = value
            elif value is not self._good[name]:
                setattr(record, name, self._good[name])
                problems.append(f"set record.{name} to {shown_value(value)}; it was put back.")
        problems += self._restore_logs(record, runner)
        return problems

    def _restore_logs(self, record: ExperimentRecord, runner: _Runner) -> list[str]:
        value = getattr(record, "logs", None)
        if isinstance(value, _LiveLog):
            value[:] = [runner.secrets.hide(str(line)) for line in value]
            self._logs = value
            return []
        kept = list(self._logs)
        lines = [str(line) for line in value] if isinstance(value, list | tuple) else kept
        lines = [runner.secrets.hide(line) for line in (lines if lines[: len(kept)] == kept else kept + lines)]
        record.logs = self._logs = _LiveLog(lines, runner)
        return [] if isinstance(value, list) else [f"set record.logs to {shown_value(value)}; it was put back."]


class _Folders:
    """
    The working folder, as the model and as the lab have it: a model may change its own, never the lab's.

    A context, of the model's own methods.
    """

    def __init__(self) -> None:
        self._lab = _working_folder()
        self._model = self._lab

    def __enter__(self) -> None:
        if self._model != self._lab:
            os.chdir(self._model)

    def __exit__(self, *_: object) -> None:
        self._model = _working_folder() or self._lab
        if self._model != self._lab:
            os.chdir(self._lab)


def _working_folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 -- compared and restored as the system has it
    except OSError:  # it has been removed
        return ""


@contextmanager
def _live_log(record: ExperimentRecord, runner: _Runner) -> Iterator[None]:
    record.logs = _LiveLog(record.logs, runner)
    try:
        yield
    finally:
        record.logs = list(record.logs)


def _take_over(record: ExperimentRecord, returned: Any) -> None:
    """Take what ``save`` put into another record over into ours, whose identity stays."""
    if returned is None:
        record.add_log("save() returned None instead of the record; the record was kept.")
        return
    if not all(hasattr(returned, name) for name in ("experiment_id", "output_path", "artifacts", "metrics", "logs")):
        record.add_log(f"save() returned a {type(returned).__name__} instead of the record; the record was kept.")
        return
    record.metrics.update({key: value for key, value in returned.metrics.items() if key not in _TIMINGS})
    record.artifacts.update(returned.artifacts)
    record.output_path = returned.output_path or record.output_path
    if getattr(returned, "status", "") == RunStatus.FAILED:
        record.status = RunStatus.FAILED.value
    record.logs.extend([line for line in returned.logs if line not in record.logs])
    record.add_log(
        "save() returned another record; its output, artifacts, metrics and logs were taken over "
        f"(its id {returned.experiment_id} was not)."
    )


def _begin(record: ExperimentRecord) -> None:
    # A record may have been through a run before, of which nothing may stay.
    record.status = RunStatus.RUNNING.value
    record.started_at, record.ended_at = utc_now(), None
    record.failed_phase, record.error, record.phases = None, None, {}
    record.steps, record.defaults_taken, record.unread_parameters = None, {}, []
    for key in _TIMINGS:
        record.metrics.pop(key, None)


def error_text(error: BaseException) -> str:
    """
    Return ``Type: message`` of an exception, whatever its own ``str()`` does.

    Examples
    --------
    >>> error_text(ValueError("no cells"))
    'ValueError: no cells'
    """
    try:
        return f"{type(error).__name__}: {error}".removesuffix(": ")
    except Exception:  # noqa: BLE001 -- str() of an exception is its author's code
        return type(error).__name__


_TIMINGS = tuple(f"time_{phase}_sec" for phase in (*Phase, "total"))
