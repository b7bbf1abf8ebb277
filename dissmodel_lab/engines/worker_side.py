"""What a worker process does: make itself ready, carry out jobs in its main thread, and mind its parent.

A worker outlives its parent only for as long as its job lasts. It has a session of its own, so that Ctrl-C in a
terminal, and the interrupt of a notebook, do not reach it; requests to cancel come through the run's folder.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import platform
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dissmodel_lab.cancelling import close_dead, request
from dissmodel_lab.engines.travel import pack_exception, unpack, without_our_frames
from dissmodel_lab.errors import EngineError, ExecutorNotFoundError, LabError, RunTakenError
from dissmodel_lab.executor.lifecycle import NOT_GIVEN, error_text
from dissmodel_lab.executor.schemas import RunStatus
from dissmodel_lab.index import RECORD_NAME
from dissmodel_lab.jobs import Outcome
from dissmodel_lab.language import message
from dissmodel_lab.store.reading import try_read

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType

    from dissmodel_lab.executor.events import Observer, Watcher
    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.jobs import Job

REFUSED = "refused"
"""The status of a job that became no run: its model cannot be found, its store not be written."""
PRINTED_NAME = "printed.log"
"""What a model printed in a worker, in the run's folder."""
_TOLD, _KEPT = 16 * 1024, 1024**2
"""How much of what was printed goes into an outcome, and at most into the file [bytes]."""
_PARENT_POLL, _ORPHAN_POLL = 1.0, 0.25
"""How often a worker looks whether its parent is there, and, when it is not, what became of its job [s]."""
_AFTER_LIMIT = 5.0
"""How long after its limit a run whose slot is gone is ended, even in C code that lets no other thread work [s]."""
_LONGEST = 1e8
"""A longer limit is none, for a timer: it can count so far [s]; about three years."""
_FOREIGN = ("site-packages", "dist-packages")
_LAB = str(Path(__file__).parents[1]) + os.sep
"""This package: no modeller's, wherever it lies."""


class Errand(NamedTuple):
    """What a slot sends: a job, and the surroundings that it is to find."""

    job: bytes
    working_folder: str
    sys_path: list[str]
    environ: dict[str, str]


class Returned(NamedTuple):
    """What comes back: how the job ended, and its exception as bytes that may not fit the parent."""

    outcome: Outcome
    exception: bytes = b""


class _Here:
    """What a worker process knows of itself; there is one, set when the process is made ready."""

    def __init__(self, parent: int, printed: str, own: Mapping[str, str]) -> None:
        self.parent = parent
        self.printed = Path(printed)
        self.own = own
        self.working_folder = ""
        self.settled: tuple[dict[str, str], object] | None = None
        """Environment that was asked for last, and what this process's was then: most jobs ask for the same one."""
        self.job: Job | None = None
        self.began = 0.0
        self.loaded: dict[str, tuple[str, int]] = {}
        self.n_modules = 0
        self.load_cache: Any = None


_here: _Here | None = None


def prepare(parent: int, printed: str, own: Mapping[str, str]) -> None:
    """
    Make a new process a worker, before its first job.

    Parameters
    ----------
    parent : int
        Process that started it.
    printed : str
        File for what is printed here.
    own : mapping
        Variables of the environment that stay, whatever the parent's are.
    """
    global _here  # noqa: PLW0603 -- a process's knowledge of itself; functions of loky find it nowhere else
    _here = _Here(parent, printed, own)
    os.environ.pop("PYTHONSAFEPATH", None)  # it was for the start: no file of the modeller's may stand for a library
    if hasattr(os, "setsid"):
        with suppress(OSError):  # it leads a session already
            os.setsid()
        signal.signal(signal.SIGINT, _ignore)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    file = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)
    faulthandler.enable(file=2, all_threads=False)  # a crash is told by the model's own thread, not by ours
    for text in (sys.stdout, sys.stderr):
        with suppress(AttributeError):
            text.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a segfault must not take the last lines
    import dissmodel_lab.frames  # noqa: PLC0415 -- the worker is to be warm when the first job comes
    import dissmodel_lab.runner  # noqa: F401, PLC0415 -- as above

    gc.freeze()  # what stays is not looked through for garbage again and again
    threading.Thread(target=_mind_parent, args=(_here,), name="watch on the parent", daemon=True).start()


def is_ready() -> bool:
    """
    Tell that this process has been made ready: a slot's first question.

    Examples
    --------
    >>> is_ready()
    True
    """
    return True


def carry_out(errand: Errand) -> Returned | None:
    """
    Carry out a job in this worker.

    Returns
    -------
    Returned or None
        None when another worker must do it: this one has loaded modules from another working folder, or files of
        modules have changed since it loaded them, so that it would run yesterday's code.
    """
    here = _here
    assert here is not None  # for the type checker: prepare() comes first
    if _is_stale(here, errand.working_folder):
        return None
    with suppress(OSError):
        os.truncate(here.printed, 0)
    try:
        _surround(here, errand)
        here.began = time.monotonic()
        job = here.job = unpack(errand.job)
        if (
            job.limits.seconds is not None and job.limits.seconds < _LONGEST
        ):  # the slot ends it at its limit; this, if the slot is gone by then
            faulthandler.dump_traceback_later(job.limits.seconds + _AFTER_LIMIT, exit=True, file=2)
        if job.shares_inputs and here.load_cache is None:
            here.load_cache = _new_cache()
        outcome = perform(job, load_cache=here.load_cache if job.shares_inputs else None)
    except BaseException as error:  # noqa: BLE001 -- whatever a model's module raises when it is imported
        outcome = Outcome(REFUSED, "", error=error_text(error), exception=error)
    finally:
        faulthandler.cancel_dump_traceback_later()
        job_is_over(here)
    packed = b""
    if outcome.exception is not None:
        without_our_frames(outcome.exception)
        packed = pack_exception(outcome.exception)
    return Returned(outcome._replace(exception=None, printed=_keep_printed(here, outcome)), packed)


def perform(
    job: Job,
    observers: Sequence[Observer] = (),
    watchers: Sequence[Watcher] = (),
    load_cache: Any = None,
) -> Outcome:
    """
    Carry out a job here, in this thread.

    Parameters
    ----------
    job : Job
        What to run.
    observers, watchers : sequence of callable
        As :func:`dissmodel_lab.runner.run` takes them.
    load_cache : LoadCache, optional
        What earlier runs in this process loaded.

    Returns
    -------
    Outcome
        Whatever the model raises, KeyboardInterrupt too, is in it.

    Examples
    --------
    >>> import tempfile
    >>> place = {"store": tempfile.mkdtemp(), "working_folder": tempfile.mkdtemp(), "folder_name": "000001"}
    >>> from dissmodel_lab.jobs import Job
    >>> job = Job(model="game_of_life", parameters={"generations": 2}, experiment_id="a1", **place)
    >>> outcome = perform(job)
    >>> outcome.status, outcome.record_path.parent.name
    ('completed', '000001')
    """
    try:
        _run(job, observers, watchers, load_cache)
    except BaseException as error:  # noqa: BLE001 -- the outcome says what it was; whoever asked decides
        return _failed(job, error)
    path = Path(job.store, job.folder_name, RECORD_NAME)
    return Outcome(RunStatus.COMPLETED.value, job.experiment_id, path)


def _run(job: Job, observers: Sequence[Observer], watchers: Sequence[Watcher], load_cache: Any) -> None:
    from dissmodel_lab.runner import run  # noqa: PLC0415 -- the parent, which imports this module too, needs none

    if job.keeps_frames:
        from dissmodel_lab.frames import FrameKeeper  # noqa: PLC0415 -- as above

        keeper = FrameKeeper(saves=True)
        observers, watchers = [keeper, *observers], [keeper.watch, *watchers]
    run(
        _model_of(job.model),
        source=job.source,
        parameters=job.parameters,
        output=job.output,
        data=job.data[0] if job.data else NOT_GIVEN,
        toml=job.toml,
        store=job.store,
        observers=observers,
        watchers=watchers,
        caller=job.caller,
        preflight=job.preflight,
        fields={**job.fields, "experiment_id": job.experiment_id, "limits": _limits_of(job)},
        output_name=job.output_name,
        folder_name=job.folder_name,
        is_queued=job.is_queued,
        load_cache=load_cache,
    )


def _limits_of(job: Job) -> dict[str, float]:
    return {name: value for name, value in job.limits._asdict().items() if value is not None}


def _failed(job: Job, error: BaseException) -> Outcome:
    """Tell how a job ended that raised; what stands in its record counts."""
    path = Path(job.store, job.folder_name, RECORD_NAME)
    record = try_read(path)
    text = error_text(error)
    is_own = record is not None and record.experiment_id == job.experiment_id and not _is_anothers(record)
    if record is not None and is_own and not isinstance(error, RunTakenError):
        if record.status in (RunStatus.PENDING, RunStatus.RUNNING):  # its model cannot be found here, or a full disk
            try:
                record = close_dead(path, RunStatus.FAILED.value, text)
            except LabError as problem:
                return Outcome(RunStatus.FAILED.value, job.experiment_id, path, f"{text} {problem}", error)
        return Outcome(str(record.status), job.experiment_id, path, text, error)
    if record is not None and is_own and record.status == RunStatus.CANCELLED:
        return Outcome(RunStatus.CANCELLED.value, job.experiment_id, path, str(record.error or text), error)
    return Outcome(REFUSED, job.experiment_id, None, text, error)


def _is_anothers(record: ExperimentRecord) -> bool:
    """Tell whether another process works on a run: one that was faster."""
    is_here = record.provenance is not None and record.provenance.process_id == os.getpid()
    return record.status == RunStatus.RUNNING and not is_here


# ------------------------------------------------------------------------------------------ a job's surroundings


def _is_stale(here: _Here, working_folder: str) -> bool:
    if here.working_folder and here.working_folder != working_folder and _are_loaded_from(here.working_folder):
        return True
    return any(name in sys.modules and _stamp(file) != stamp for name, (file, stamp) in here.loaded.items())


def _are_loaded_from(folder: str) -> bool:
    inside = folder.rstrip(os.sep) + os.sep
    return any(file.startswith(inside) for _, file in _own_modules())


def _own_modules() -> list[tuple[str, str]]:
    """List the modules that a modeller may be writing right now: those outside of Python's own and installed ones."""
    library = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120 -- a comparison of texts, for hundreds of modules
    found = []
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if (
            isinstance(file, str)
            and not file.startswith((library, _LAB))
            and not any(part in file for part in _FOREIGN)
        ):
            found.append((name, file))
    return found


def _stamp(file: str) -> int:
    try:
        return os.stat(file).st_mtime_ns  # noqa: PTH116 -- as above
    except OSError:  # it has been removed: what was loaded is all there is
        return 0


def _surround(here: _Here, errand: Errand) -> None:
    """Give this process the folder, the import path and the environment that the parent has now."""
    folder = errand.working_folder
    try:
        os.chdir(folder)
    except OSError as error:
        raise EngineError(
            message(
                "The worker on {node} cannot go to the run's working folder {folder!r}: {strerror}. It must be "
                "there on the worker's machine, too.",
                node=platform.node(),
                folder=folder,
                strerror=error.strerror or error,
            )
        ) from error
    here.working_folder = folder
    sys.path[:] = [folder, *(path for path in errand.sys_path if path not in ("", folder))]
    wanted = {**errand.environ, **here.own}
    if here.settled is not None and here.settled == (wanted, raw_environment()):
        return
    if dict(os.environ) != wanted:
        for name in set(os.environ) - set(wanted):
            del os.environ[name]
        os.environ.update(wanted)
    here.settled = wanted, raw_environment()


def raw_environment() -> object:
    """
    Return this process's environment for a comparison: as ``os.environ`` holds it, which decodes each name and value.

    Examples
    --------
    >>> raw_environment() == raw_environment()
    True
    """
    return dict(getattr(os.environ, "_data", os.environ))


def job_is_over(here: _Here) -> None:
    """Note that no job runs, and the state of the modules that this one has loaded."""
    here.job = None
    if len(sys.modules) == here.n_modules:
        return
    here.n_modules = len(sys.modules)
    for name, file in _own_modules():
        if name not in here.loaded:
            here.loaded[name] = (file, _stamp(file))


def _new_cache() -> Any:
    from dissmodel_lab.load_cache import LoadCache  # noqa: PLC0415 -- for sweeps only

    return LoadCache()


def _model_of(model: Any) -> Any:
    """Return what a job names as its model; a Python file is run as a module, and its executor taken."""
    if not isinstance(model, str):
        return model
    file, colon, class_name = model.rpartition(":") if ".py:" in model else (model, "", "")
    return _class_in_file(Path(file), class_name if colon else "") if file.endswith(".py") else model


def _class_in_file(path: Path, class_name: str) -> type[Any]:
    from importlib.util import module_from_spec, spec_from_file_location  # noqa: PLC0415 -- only for files

    from dissmodel_lab.discovery import is_executor, own_name  # noqa: PLC0415 -- only for files

    if not path.is_file():
        raise ExecutorNotFoundError(
            message("The file {path!r} does not exist. Check the path of the executor.", path=str(path))
        )
    name = path.stem if path.stem not in sys.modules else f"executor_{path.stem}"
    spec = spec_from_file_location(name, path)
    assert spec is not None  # for the type checker: the ending is that of Python
    assert spec.loader is not None
    sys.path.insert(0, str(path.absolute().parent))
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    classes = [one for one in vars(module).values() if isinstance(one, type) and one.__module__ == name]
    found = [one for one in classes if is_executor(one) and class_name in ("", one.__name__, own_name(one))]
    if len(found) == 1:
        return found[0]
    names = ", ".join(one.__name__ for one in found) or "none"
    raise ExecutorNotFoundError(
        message(
            "{path!r} defines {n_found} executors{words}: {names}. Write which one is meant: {name}:Class.",
            path=str(path),
            n_found=len(found),
            words=message(" called {class_name!r}", class_name=class_name) if class_name else "",
            names=names,
            name=path.name,
        )
    )


# ------------------------------------------------------------------------------------------ what was printed


def keep_printed(printed: Path, folder: Path | None) -> str:
    r"""
    Put what a worker printed into its run's folder, and return the end of it.

    Parameters
    ----------
    printed : Path
        The worker's own file.
    folder : Path or None
        Of the run; None when there is none.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = Path(folder, "printed").write_text("hello\n")
    >>> keep_printed(folder / "printed", folder)
    'hello\n'
    """
    try:
        with printed.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _KEPT))
            text = file.read(_KEPT)
    except OSError:
        return ""
    if text and folder is not None:
        with suppress(OSError):  # a full disk: what was printed is a convenience
            cut = (
                message("... {size} bytes before are left out\n", size=size - len(text)).encode()
                if size > len(text)
                else b""
            )
            (folder / PRINTED_NAME).write_bytes(cut + text)
    return text[-_TOLD:].decode("utf-8", "replace")


def _keep_printed(here: _Here, outcome: Outcome) -> str:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # a model may have closed or replaced it
            stream.flush()
    return keep_printed(here.printed, outcome.record_path.parent if outcome.record_path is not None else None)


# ------------------------------------------------------------------------------------------ parents


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Take an interrupt that was meant for somebody else; a handler, unlike SIG_IGN, is not inherited."""


def _mind_parent(here: _Here) -> None:
    while os.getppid() == here.parent:
        time.sleep(_PARENT_POLL)
    while (job := here.job) is not None:
        with suppress(Exception):  # a full disk, a folder that is gone: this goes on, or nobody would end the worker
            _mind_job(job, here.began)
        time.sleep(_ORPHAN_POLL)
    time.sleep(_ORPHAN_POLL)  # what the job printed is being put away
    with suppress(OSError):
        here.printed.unlink()
    os._exit(0)


def _mind_job(job: Job, began: float) -> None:
    """See to the job of a worker whose parent is gone: requests and limits are still heard, as far as Python runs."""
    from dissmodel_lab.cancelling import WAKE_SIGNAL, is_requested  # noqa: PLC0415 -- only for orphans
    from dissmodel_lab.engines.watching import beyond_limit, memory_of  # noqa: PLC0415 -- as above

    folder = Path(job.store, job.folder_name)
    if job.ends_with_kernel:
        with suppress(LabError):
            request(folder, message("The notebook's kernel has ended."))
    reason = beyond_limit(job.limits, time.monotonic() - began, memory_of(os.getpid()))
    if reason:
        with suppress(LabError):  # a full disk: it is listed as lost then
            close_dead(folder / RECORD_NAME, RunStatus.FAILED.value, f"CrashError: {reason}")
        if hasattr(os, "killpg"):
            os.killpg(os.getpgid(0), signal.SIGKILL)
        os._exit(1)
    if is_requested(folder) and WAKE_SIGNAL is not None:
        os.kill(os.getpid(), WAKE_SIGNAL)
