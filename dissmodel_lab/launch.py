"""The front door: a model, run in any engine, waited for or in the background. Every other door calls :func:`run`."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload
from uuid import uuid4

from dissmodel_lab import runner
from dissmodel_lab.cancelling import close_dead
from dissmodel_lab.errors import EngineError, LabError
from dissmodel_lab.executor.lifecycle import NOT_GIVEN, error_text
from dissmodel_lab.executor.schemas import DataSource, ExperimentRecord, RunStatus
from dissmodel_lab.jobs import Job, Limits
from dissmodel_lab.language import message
from dissmodel_lab.parameters import ModelSpec
from dissmodel_lab.provenance import Caller
from dissmodel_lab.resolve import resolve_model
from dissmodel_lab.store import RunStore
from dissmodel_lab.store.run_store import folder_name_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dissmodel_lab.engines import Engine, RunHandle
    from dissmodel_lab.executor.events import Observer, Watcher

PRIORITIES = {"low": -1, "normal": 0, "high": 1}
"""A request's priority -> an engine's."""
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(I?)B?\s*", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


@overload
def run(model: Any, *, background: Literal[False] = False, **options: Any) -> ExperimentRecord: ...
@overload
def run(model: Any, *, background: Literal[True], **options: Any) -> RunHandle: ...
def run(  # type: ignore[misc]  # the options are written once, here, for those who read and complete them
    model: Any,
    *,
    source: str | Path | DataSource | None = None,
    parameters: Mapping[str, Any] | None = None,
    output: str | Path | None = None,
    data: Any = NOT_GIVEN,
    toml: str | Path | ModelSpec | None = None,
    store: str | Path | RunStore | None = None,
    observers: Sequence[Observer] = (),
    watchers: Sequence[Watcher] = (),
    namespace: Mapping[str, Any] | None = None,
    caller: Caller | None = None,
    preflight: bool = True,
    fields: Mapping[str, Any] | None = None,
    output_name: str = "",
    engine: str | Engine | None = None,
    background: bool = False,
    workers: int | None = None,
    address: str | None = None,
    url: str | None = None,
    seconds: float | None = None,
    memory: int | str | None = None,
    priority: str = "normal",
    keep: bool = True,
) -> ExperimentRecord | RunHandle:
    """
    Run a model and keep its record, whatever happens, wherever it runs.

    Parameters
    ----------
    model : str, Path, type or object
        A registered name, a class or executor, an import string ``package.module:Class``, or a TOML file.
    source : str, Path or DataSource, optional
        The input; the model's own sample input when not given.
    parameters : mapping, optional
        Values by name; they override the TOML's.
    output : str or Path, optional
        Where the output goes; the record then also stands beside it as ``<output>.record.json``. In the
        run's own folder when not given.
    data : object, optional
        An input in memory, instead of ``source``.
    toml : str, Path or ModelSpec, optional
        A TOML file with parameters for ``model``.
    store : str, Path or RunStore, optional
        Where runs are kept; ``experiments`` in the working folder when not given.
    observers : sequence of callable
        Each is called with every event of the run, in whichever process it is.
    watchers : sequence of callable
        Each is called with every step of the model, where it runs in this process; elsewhere its steps are kept as
        pictures all the same.
    namespace : mapping, optional
        A notebook's variables, in which ``model`` may name a class.
    caller : Caller, optional
        What the door knows of the cell or command behind this run.
    preflight : bool
        Look at the input and at the files that parameters name before anything runs.
    fields : mapping, optional
        Fields of the record that no other argument fills, such as ``band_map``.
    output_name : str, optional
        What the output is called in the run's own folder.
    engine : str or Engine, optional
        ``inline`` (this process), ``process`` (a worker process), ``dask`` or ``platform``. When not given,
        ``process`` for a run in the background or with limits, and ``inline`` else.
    background : bool
        Return at once with a handle; the run's record is on disk by then.
    workers : int, optional
        How many runs the engine carries out at once.
    address : str, optional
        Of a Dask scheduler.
    url : str, optional
        Of a DisSModel Platform server.
    seconds : float, optional
        The run is ended when it takes longer [s].
    memory : int or str, optional
        The run is ended when it takes more: bytes, or a text such as ``2 GiB``.
    priority : str
        ``low``, ``normal`` or ``high``, among the runs that wait for a worker.
    keep : bool
        Whether the run goes on in its worker when this process ends; it is cancelled otherwise.

    Returns
    -------
    ExperimentRecord or RunHandle
        The record, completed; with ``background``, the handle.

    Raises
    ------
    LabError
        When model, parameters, source or output cannot be used, or the engine cannot carry out the run. Once the
        model is known, a record says so.
    BaseException
        Whatever the model raises; KeyboardInterrupt when the run was cancelled. The record is closed.

    Examples
    --------
    >>> import tempfile
    >>> record = run("game_of_life", parameters={"generations": 4}, store=tempfile.mkdtemp())
    >>> record.status, list(record.phases)
    ('completed', ['validate', 'load', 'run', 'save'])
    >>> handle = run("game_of_life", store=tempfile.mkdtemp(), background=True)
    >>> handle.result(timeout=60).engine
    'process'
    """
    working_folder()  # refuses one that is gone
    limits = limits_of(seconds, memory)
    level = _level(priority)
    chosen = engine if engine is not None else ("process" if background or any(limits) else "inline")
    common: dict[str, Any] = {
        "source": source,
        "parameters": parameters,
        "output": output,
        "toml": toml,
        "store": store,
        "namespace": namespace,
        "caller": caller,
    }
    if chosen == "inline":
        _refuse_inline(limits, background=background)
        _refuse_engine_options(workers=workers, address=address, url=url, priority=priority)
        said = {"engine": "inline", **(fields or {})}
        return runner.run(
            model,
            **common,
            data=data,
            observers=observers,
            watchers=watchers,
            preflight=preflight,
            fields=said,
            output_name=output_name,
        )
    from dissmodel_lab.engines import engine_for  # noqa: PLC0415 -- whoever runs inline does without

    place = engine_for(chosen, workers=workers, address=address, url=url)
    common |= {"data": data, "output_name": output_name, "limits": limits, "ends_with_kernel": not keep}
    if place.name == "platform":  # its models need not be known here
        handle = place.start(platform_job(model, **common, fields=fields or {}), level, observers)
    else:
        said = {"engine": place.name, **(fields or {})}
        handle = start_queued(place, queue_job(model, **common, fields=said, preflight=preflight), level, observers)
    return handle if background else result_of(handle)


def queue_job(
    model: Any,
    *,
    source: str | Path | DataSource | None = None,
    parameters: Mapping[str, Any] | None = None,
    output: str | Path | None = None,
    data: Any = NOT_GIVEN,
    toml: str | Path | ModelSpec | None = None,
    store: str | Path | RunStore | None = None,
    namespace: Mapping[str, Any] | None = None,
    caller: Caller | None = None,
    fields: Mapping[str, Any] | None = None,
    folder_name: str = "",
    **options: Any,
) -> Job:
    """
    Write the record of a run that an engine will carry out, and return the job.

    Parameters
    ----------
    model, source, parameters, output, data, toml, store, namespace, caller, fields
        As :func:`run` takes them.
    folder_name : str
        Of the run's own folder in the store; by moment, model and id when empty.
    **options
        More fields of :class:`~dissmodel_lab.jobs.Job`: ``limits``, ``preflight``, ``output_name``, ...

    Returns
    -------
    Job
        Its record is on disk, with the status ``pending``.

    Raises
    ------
    LabError
        When the model cannot be found or the store not be written.

    Examples
    --------
    >>> import tempfile
    >>> job = queue_job("game_of_life", parameters={"generations": 2}, store=tempfile.mkdtemp())
    >>> job.is_queued, job.model.__name__
    (True, 'GameOfLife')
    """
    limits = options.get("limits", Limits())
    record = runner.queue_run(
        model,
        source=source,
        parameters=parameters,
        output=output,
        toml=toml,
        store=store,
        namespace=namespace,
        caller=caller,
        fields={**(fields or {}), "limits": {name: value for name, value in limits._asdict().items() if value}},
        folder_name=folder_name,
        is_in_memory=data is not NOT_GIVEN,
    )
    assert record.record_path is not None  # for the type checker: it has just been written
    folder = record.record_path.absolute().parent
    what, spec = _model_and_spec(model, toml, namespace)
    return _job(
        what,
        store=str(folder.parent),
        experiment_id=record.experiment_id,
        folder_name=folder.name,
        source=source,
        parameters=parameters,
        output=output,
        toml=spec,
        data=data,
        fields=dict(fields or {}),
        caller=caller,
        is_queued=True,
        **options,
    )


def platform_job(
    model: Any,
    *,
    toml: str | Path | ModelSpec | None = None,
    store: str | Path | RunStore | None = None,
    namespace: Mapping[str, Any] | None = None,
    folder_name: str = "",
    **options: Any,
) -> Job:
    """
    Return a job for a DisSModel Platform server, whose model need not be known on this machine.

    Parameters
    ----------
    model, toml, store, namespace
        As :func:`run` takes them.
    folder_name : str
        Of the run's own folder in the store; by moment, model and id when empty.
    **options
        ``source``, ``parameters``, ``output``, ``data`` and ``caller`` as :func:`run` takes them, and more fields of
        :class:`~dissmodel_lab.jobs.Job`: ``fields``, ``limits``, ``output_name``, ...

    Returns
    -------
    Job
        Nothing of it is on disk yet.

    Raises
    ------
    LabError
        When no server could be told what model is meant, or its TOML cannot be read.

    Examples
    --------
    >>> job = platform_job("a_model_of_the_server", parameters={"years": 3})
    >>> job.model, job.is_queued, job.folder_name.endswith(f"-a_model_of_the_server-{job.experiment_id[:8]}")
    ('a_model_of_the_server', False, True)
    """
    known = namespace or {}
    what = known[model] if isinstance(model, str) and isinstance(known.get(model), type) else model
    keep = store if isinstance(store, RunStore) else RunStore(store)
    job = _job(
        str(what) if isinstance(what, Path) else what,
        store=str(keep.root.absolute()),
        experiment_id=str((options.get("fields") or {}).get("experiment_id") or uuid4().hex),
        folder_name=folder_name,
        toml=str(toml) if isinstance(toml, Path) else toml,
        **options,
    )
    if job.folder_name:
        return job
    from dissmodel_lab.engines.platform_record import order_of  # noqa: PLC0415 -- only for those who have a platform

    record = ExperimentRecord(model_name=order_of(job).name, experiment_id=job.experiment_id)
    return replace(job, folder_name=folder_name_of(record))


def _job(
    model: Any,
    *,
    source: str | Path | DataSource | None = None,
    parameters: Mapping[str, Any] | None = None,
    output: str | Path | None = None,
    data: Any = NOT_GIVEN,
    caller: Caller | None = None,
    **facts: Any,
) -> Job:
    """Write the arguments of :func:`run` as a job has them."""
    return Job(
        model=model,
        working_folder=working_folder(),
        source=str(source) if isinstance(source, Path) else source,
        parameters=dict(parameters or {}),
        output=str(output) if output is not None else None,
        data=() if data is NOT_GIVEN else (data,),
        caller=caller or Caller(),
        **facts,
    )


def start_queued(engine: Engine, job: Job, priority: int = 0, observers: Sequence[Observer] = ()) -> RunHandle:
    """
    Hand a job whose record is on disk to an engine; when it is not taken, the record says why.

    Parameters
    ----------
    engine : Engine
        Where it is to run.
    job : Job
        As :func:`queue_job` returns it.
    priority : int
        The larger the sooner.
    observers : sequence of callable
        Each is called with every event of the run.

    Raises
    ------
    EngineError
        When the engine cannot carry it out.

    Examples
    --------
    >>> import tempfile
    >>> from dissmodel_lab.engines import engine_for
    >>> job = queue_job("game_of_life", parameters={"generations": 2}, store=tempfile.mkdtemp())
    >>> start_queued(engine_for("inline"), job).status
    'completed'
    """
    try:
        return engine.start(job, priority, observers)
    except Exception as error:
        path = Path(job.store, job.folder_name, "record.json")
        with suppress(LabError):  # removed, or a full disk: the exception tells it
            close_dead(path, RunStatus.FAILED.value, error_text(error))
            error.add_note(message("The record of this run is {path}", path=path))
        raise


def result_of(handle: RunHandle) -> ExperimentRecord:
    """
    Wait for a run as if it ran here: an interrupt cancels it.

    Parameters
    ----------
    handle : RunHandle
        Of any engine.

    Raises
    ------
    BaseException
        As :meth:`~dissmodel_lab.engines.RunHandle.result`; KeyboardInterrupt when this process was interrupted.

    Examples
    --------
    >>> import tempfile
    >>> result_of(run("game_of_life", store=tempfile.mkdtemp(), background=True)).status
    'completed'
    """
    try:
        handle.wait()
    except KeyboardInterrupt:
        handle.cancel("interrupted")
        handle.wait()
        raise
    return handle.result()


def limits_of(seconds: float | None = None, memory: int | str | None = None) -> Limits:
    """
    Return limits from what a person writes.

    Parameters
    ----------
    seconds : float, optional
        Wall time [s].
    memory : int or str, optional
        Bytes, or a text such as ``500 MB`` or ``2GiB``; both mean powers of 1024.

    Raises
    ------
    EngineError
        When they cannot be limits.

    Examples
    --------
    >>> limits_of(60, "500 MB")
    Limits(seconds=60.0, memory_bytes=524288000)
    >>> limits_of(memory="a lot")
    Traceback (most recent call last):
    dissmodel_lab.errors.EngineError: 'a lot' is no amount of memory. Write for example 500MB, 2 GiB, ...
    """
    try:
        limit = float(seconds) if seconds is not None else None
    except (TypeError, ValueError):
        limit = -1.0
    if limit is not None and not 0 < limit < float("inf"):
        raise EngineError(
            message("{seconds!r:.100} is no limit of time. Give a number of seconds above 0.", seconds=seconds)
        )
    if memory is None:
        return Limits(limit, None)
    found = _SIZE.fullmatch(str(memory)) if not isinstance(memory, bool) else None
    size = int(float(found[1]) * 1024 ** _POWERS[found[2].upper()]) if found is not None else 0
    if size <= 0:
        raise EngineError(
            message(
                "{memory!r:.100} is no amount of memory. Write for example 500MB, 2 GiB, or bytes.", memory=memory
            )
        )
    return Limits(limit, size)


def working_folder() -> str:
    """
    Return the folder in which relative paths are looked up.

    Raises
    ------
    LabError
        When it was removed meanwhile.

    Examples
    --------
    >>> working_folder() == str(Path.cwd())
    True
    """
    try:
        return os.getcwd()  # noqa: PTH109 -- only its text
    except OSError as error:
        raise LabError(
            message(
                "The folder in which this process works is gone ({strerror}). Go to another one: %cd in a "
                "notebook, cd in a terminal.",
                strerror=error.strerror or error,
            )
        ) from error


def _level(priority: str) -> int:
    if priority not in PRIORITIES:
        raise EngineError(
            message(
                "{priority!r:.100} is no priority. Known: {priorities}.",
                priority=priority,
                priorities=", ".join(PRIORITIES),
            )
        )
    return PRIORITIES[priority]


def _refuse_inline(limits: Limits, *, background: bool) -> None:
    if background:
        raise EngineError(
            message(
                "A run in the background needs a process of its own: the notebook could not be used meanwhile. "
                "Leave the engine out, or choose process."
            )
        )
    if any(limits):
        raise EngineError(
            message(
                "A run in this process cannot have limits of time or memory: nobody could end it. Leave the engine "
                "out, or choose process."
            )
        )


def _refuse_engine_options(*, workers: int | None, address: str | None, url: str | None, priority: str) -> None:
    """Refuse what a run in this process would silently leave aside."""
    given = {
        "workers": (workers is not None, message("process or dask")),
        "address": (address is not None, "dask"),
        "url": (url is not None, "platform"),
        "priority": (priority != "normal", message("process, dask or platform")),
    }
    for name, (is_given, engines) in given.items():
        if is_given:
            raise EngineError(
                message(
                    "A run in this process has no {name}. Choose the engine {engines}, or leave {name} out.",
                    name=name,
                    engines=engines,
                )
            )


def _model_and_spec(
    model: Any, toml: str | Path | ModelSpec | None, namespace: Mapping[str, Any] | None
) -> tuple[Any, ModelSpec | None]:
    """Return what a model's name means here, as it may mean nothing elsewhere, and what TOML said."""
    resolved = resolve_model(model, namespace=namespace)
    is_named = isinstance(model, str | Path | ModelSpec)
    what = resolved.executor_class if is_named else model
    if toml is None:
        spec = resolved.spec
    else:
        spec = toml if isinstance(toml, ModelSpec) else ModelSpec.from_path(toml)
        spec = replace(spec, parameters={**resolved.spec.parameters, **spec.parameters})
    return what, replace(spec, model="", executor_module="") if spec != ModelSpec() else None
