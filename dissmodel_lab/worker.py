"""A run in a clean process of its own: cancellable at any moment, and unable to take this one down with it.

The parent starts ``python -m dissmodel_lab.worker`` and talks to it over two pipes: one JSON request into its
standard input, JSON lines back over what was its standard output. The child moves both away before the model is
imported, so that whatever that reads or prints cannot get between them. It runs :func:`dissmodel_lab.run` in
its main thread, and so leaves a record in the store like any other run.

When the parent ends, however it ends, the pipe closes and the child cancels its run. A child that does not end
when it is asked to is asked three times: SIGINT (the record is closed as cancelled), SIGTERM (the same), SIGKILL.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

from dissmodel_lab.errors import ExecutorError, ExecutorNotFoundError, LabError
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
    StepFinished,
)
from dissmodel_lab.executor.jsonvalue import decode, encode
from dissmodel_lab.executor.lifecycle import error_text
from dissmodel_lab.executor.schemas import DataSource, ExperimentRecord, PhaseUsage, RunStatus, utc_now
from dissmodel_lab.provenance import Caller
from dissmodel_lab.store import LOST, read_record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

REFUSED = "refused"
"""The status of a request that became no run: its model cannot be found, its store not be written."""

_GRACE = 5.0
"""How long a child may take to end before it is asked more firmly [s]."""
_LAST_WORDS = 2.0
"""How long is waited for what a child wrote before it ended [s]: its own children may hold the pipe open."""
_PRINTED = 400
"""How many of the last lines that a model printed are kept."""
_CANCEL = b"cancel\n"


@dataclass(frozen=True, kw_only=True)
class WorkerRequest:
    """A run, as :func:`dissmodel_lab.run` takes it, in words that fit through a pipe."""

    model: str
    """A name, an import path ``package.module:Class``, a ``.toml`` file, a ``.py`` file or ``file.py:Class``."""
    source: DataSource | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """They go through the pipe, never into arguments or the environment: they may hold secrets."""
    toml_parameters: Mapping[str, Any] = field(default_factory=dict)
    """Those that a TOML gave."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    """The table ``[model]`` of that TOML."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the record that no argument of ``run`` fills: ``column_map``, ``band_map``, ``verdict``, ..."""
    output: str | None = None
    output_name: str = ""
    """What the output is to be called in the run's own folder; as the runner likes when empty."""
    store: str
    """Folder of the store; relative to this process's working folder."""
    working_folder: str = ""
    """Where relative paths are looked up, and the first place to import from; this process's when empty."""
    caller: Caller = field(default_factory=Caller)
    preflight: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that differ from this process's."""


@dataclass(frozen=True, kw_only=True)
class WorkerResult:
    """How a run in a worker ended."""

    status: str
    """``completed``, ``failed``, ``cancelled``, ``lost`` (its process was killed), ``refused`` (nothing ran)."""
    record: ExperimentRecord | None = None
    """As it is on disk; None when the run did not begin."""
    error: str = ""
    """``Type: message`` of what ended it."""
    signal: str = ""
    """``SIGKILL``, ...: what ended a lost process; empty when it ended by itself."""
    printed: str = ""
    """The last lines that the model printed, to stdout or stderr."""


def run_in_worker(
    request: WorkerRequest,
    *,
    observers: Sequence[Observer] = (),
    timeout: float | None = None,
    grace: float = _GRACE,
) -> WorkerResult:
    """
    Run a model in a process of its own, and wait for it.

    Parameters
    ----------
    request : WorkerRequest
        What to run.
    observers : sequence of callable
        Each is called, in this thread, with every event of the run; the values that phases return stay in the
        worker.
    timeout : float, optional
        The run is cancelled after this time [s].
    grace : float
        How long the worker may take to obey each of the signals [s].

    Returns
    -------
    WorkerResult
        Also when the model failed: an exception does not go through the pipe, but the record tells it.

    Raises
    ------
    KeyboardInterrupt
        When this process is interrupted meanwhile; the run is cancelled and its record closed.

    Examples
    --------
    >>> import tempfile
    >>> request = WorkerRequest(model="game_of_life", parameters={"generations": 2}, store=tempfile.mkdtemp())
    >>> result = run_in_worker(request)
    >>> result.status, result.record.parameters["generations"]
    ('completed', 2)
    """
    return Worker(request, observers=observers, grace=grace).wait(timeout)


class Worker:
    """
    A run at work in a process of its own.

    Parameters
    ----------
    request : WorkerRequest
        What to run; it begins at once.
    observers : sequence of callable
        They are called in the thread that waits.
    grace : float
        As :func:`run_in_worker` takes it.
    """

    def __init__(self, request: WorkerRequest, *, observers: Sequence[Observer] = (), grace: float = _GRACE) -> None:
        self._parent_side = _ParentSide(observers)
        self._grace = grace
        self._asked = 0
        self._next_ask = 0.0
        self._why = ""
        self._lock = threading.Lock()
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._process = _start(request)
        self._printed: deque[bytes] = deque(maxlen=_PRINTED)
        assert self._process.stdout is not None  # for the type checker: all three are pipes
        assert self._process.stderr is not None
        self._readers = [
            threading.Thread(target=_pump, args=(self._process.stdout, self._lines.put), daemon=True),
            threading.Thread(target=_pump, args=(self._process.stderr, self._keep_printed), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        self._send(_request_line(request))

    @property
    def record(self) -> ExperimentRecord | None:
        """The run's record as far as it is known here; None before the run has begun."""
        return self._parent_side.record

    @property
    def process_id(self) -> int:
        """Of the worker."""
        return self._process.pid

    def cancel(self, why: str = "cancelled") -> None:
        """
        Ask the run to end, from any thread; :meth:`wait` asks more firmly when it does not.

        Parameters
        ----------
        why : str
            What the result will say.
        """
        with self._lock:
            self._why = self._why or why
            if self._asked == 0:
                self._ask()

    def wait(self, timeout: float | None = None) -> WorkerResult:
        """
        Wait for the end of the run; the observers are called meanwhile.

        Raises
        ------
        KeyboardInterrupt
            When this process is interrupted; the run has been cancelled by then.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            self._listen(deadline, timeout)
        except KeyboardInterrupt:
            self.cancel("interrupted")
            self._listen(None, None)
            self._result()
            raise
        finally:
            if self._process.poll() is None:  # an observer's or our own mistake: nothing is left behind
                self._kill()
        return self._result()

    def _listen(self, deadline: float | None, timeout: float | None) -> None:
        while True:
            try:
                line = self._lines.get(timeout=0.1)
            except queue.Empty:
                line = b""
            if line is None or (line == b"" and self._process.poll() is not None):
                break
            if line:
                self._parent_side.take(line)
            if self._parent_side.outcome is not None:
                break
            if deadline is not None and time.monotonic() > deadline:
                self.cancel(f"timed out after {timeout:g} s")
            self._ask_again()
        self._see_out()

    def _see_out(self) -> None:
        """Wait until the process has ended, and hear what it said last."""
        if self._asked == 0:
            try:
                self._process.wait(self._grace)
            except subprocess.TimeoutExpired:  # the run is over, but something of the model keeps the process
                with self._lock:
                    self._ask()
        while self._process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0.1)
            self._ask_again()
        for reader in self._readers:
            reader.join(_LAST_WORDS)
        while not self._lines.empty():
            line = self._lines.get()
            if line:
                self._parent_side.take(line)

    def _ask_again(self) -> None:
        with self._lock:
            if self._asked and time.monotonic() >= self._next_ask and self._process.poll() is None:
                self._ask()

    def _ask(self) -> None:
        step, self._asked = self._asked, self._asked + 1
        self._next_ask = time.monotonic() + self._grace
        if step == 0:
            if os.name == "posix":
                self._process.send_signal(signal.SIGINT)
            else:
                self._send(_CANCEL)
        elif step == 1:
            self._process.terminate()
        else:
            self._kill()

    def _kill(self) -> None:
        if os.name == "posix":
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)  # what the model has started too
        self._process.kill()
        self._process.wait()

    def _send(self, line: bytes) -> None:
        assert self._process.stdin is not None  # for the type checker: it is a pipe
        with suppress(OSError):  # it has ended already: the result says how
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def _keep_printed(self, line: bytes | None) -> None:
        if line:
            self._printed.append(line)

    def _close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with suppress(OSError, ValueError):
                    stream.close()

    def _result(self) -> WorkerResult:
        code = self._process.wait()
        self._close()
        printed = b"".join(self._printed).decode("utf-8", "replace")
        side = self._parent_side
        if side.outcome is not None:
            status, error = side.outcome
            cancelled = status == RunStatus.CANCELLED and self._why
            return WorkerResult(
                status=status, record=side.finish(status), error=self._why if cancelled else error, printed=printed
            )
        if side.record is None and self._asked:
            return WorkerResult(status=RunStatus.CANCELLED, error=self._why, printed=printed)
        name = _signal_name(code)
        error = f"the process was ended by {name}" if name else f"the process ended with exit code {code}"
        error = f"{self._why}: {error}" if self._why else error
        return WorkerResult(status=LOST, record=side.finish(LOST), error=error, signal=name, printed=printed)


class _ParentSide:
    """Lines from the child -> events for the observers, and a record that changes as the run goes on."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self.record: ExperimentRecord | None = None
        self.outcome: tuple[str, str] | None = None
        self._observers = list(observers)

    def take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:  # cut off by a kill
            return
        match message:
            case {"event": "began", "record": path}:
                self.record = read_record(path)
                self._tell(RunStarted(self.record))
            case {"event": "phase", "phase": phase}:
                self._tell(PhaseStarted(Phase(phase), utc_now()))
            case {"event": "phase_ended", "phase": phase, "usage": usage}:
                self._phase_ended(Phase(phase), PhaseUsage.model_validate(usage), str(message.get("error", "")))
            case {"event": "step", "step": facts}:
                self._tell(StepFinished(**decode(facts)))
            case {"event": "log", "text": text}:
                if self.record is not None:
                    self.record.logs.append(text)
                self._tell(LogLine(text))
            case {"event": "ended", "status": status, "error": error}:
                self.outcome = status, error
            case _:
                pass

    def finish(self, status: str) -> ExperimentRecord | None:
        """Bring the record up to date with the one on disk, and tell that the run is over."""
        if self.record is not None and self.record.record_path is not None:
            with suppress(LabError):  # removed meanwhile: what is known stays
                last = read_record(self.record.record_path)
                for name in ExperimentRecord.model_fields:
                    setattr(self.record, name, getattr(last, name))
        self._tell(RunFinished(status))
        return self.record

    def _phase_ended(self, phase: Phase, usage: PhaseUsage, error: str) -> None:
        if self.record is not None:
            self.record.phases[phase.value] = usage
        if usage.status == "completed":
            self._tell(PhaseFinished(phase, usage))
        else:
            cause = KeyboardInterrupt() if usage.status == "cancelled" else ExecutorError(error)
            self._tell(PhaseFailed(phase, usage, cause))

    def _tell(self, event: Event) -> None:
        for observer in list(self._observers):
            try:
                observer(event)
            except Exception:  # noqa: BLE001 -- a broken view must not end a run; it is left out from here on
                self._observers.remove(observer)


def _start(request: WorkerRequest) -> subprocess.Popen[bytes]:
    usual = dict(os.environ)
    root = str(Path(__file__).absolute().parents[1])
    if not {"site-packages", "dist-packages"} & set(Path(root).parts):  # a checkout: the child finds the same one
        usual["PYTHONPATH"] = os.pathsep.join(filter(None, [usual.get("PYTHONPATH"), root]))
    return subprocess.Popen(  # the command is fixed: what the run is goes through the pipe
        [sys.executable, "-P", "-m", "dissmodel_lab.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**usual, "MPLBACKEND": "Agg", **request.environment},  # a worker has no front end to draw in
        start_new_session=True,  # Ctrl-C in a terminal reaches this process alone, which asks the child to end
    )


def _request_line(request: WorkerRequest) -> bytes:
    facts = {name: encode(value) for name, value in vars(request).items() if name not in ("source", "caller")}
    facts["store"] = str(Path(request.store).absolute())
    facts["working_folder"] = str(Path(request.working_folder or ".").absolute())
    facts["source"] = request.source.model_dump() if request.source is not None else None
    facts["caller"] = vars(request.caller)
    return json.dumps(facts).encode() + b"\n"


def _pump(stream: IO[bytes], put: Any) -> None:
    with suppress(ValueError, OSError):  # closed meanwhile
        for line in stream:
            put(line)
    put(None)


def _signal_name(code: int) -> str:
    if code >= 0:
        return ""
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


# ------------------------------------------------------------------------------------------ in the worker


def main() -> int:
    """
    Run what the request on standard input asks for: the worker's side.

    Returns
    -------
    int
        0 when the result was told, whatever it is.
    """
    channel = _ChildSide()
    try:
        request = channel.read()
    except (ValueError, TypeError):
        print("dissmodel_lab.worker is started by dissmodel_lab itself, with a request.", file=sys.stderr)  # noqa: T201
        return 2
    signal.signal(signal.SIGTERM, _as_interrupt)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what runs in the background
    try:
        error = ""
        channel.watch_parent()
        _run(request, channel)
    except KeyboardInterrupt:
        error = "KeyboardInterrupt"
    except BaseException as problem:  # noqa: BLE001 -- whatever a model raises goes through the pipe as text
        error = error_text(problem)
    channel.end(error)
    return 0


def _as_interrupt(_number: int, _frame: Any) -> NoReturn:
    raise KeyboardInterrupt


def _run(request: WorkerRequest, channel: _ChildSide) -> None:
    from dissmodel_lab.parameters import ModelSpec  # noqa: PLC0415 -- an interrupt from here on is told
    from dissmodel_lab.runner import run  # noqa: PLC0415 -- as above

    os.chdir(request.working_folder)
    sys.path.insert(0, request.working_folder)  # as in a notebook or script that works there
    run(
        _found(request.model),
        source=request.source,
        parameters=request.parameters,
        output=request.output,
        toml=ModelSpec(parameters=dict(request.toml_parameters), document={"model": dict(request.spec)}),
        store=request.store,
        observers=[channel.tell],
        caller=request.caller,
        preflight=request.preflight,
        fields=request.fields,
        output_name=request.output_name,
    )


def _found(model: str) -> Any:
    from dissmodel_lab.resolve import resolve_model  # noqa: PLC0415 -- as in _run

    file, colon, class_name = model.rpartition(":") if ".py:" in model else (model, "", "")
    if not file.endswith(".py"):
        return resolve_model(model).executor
    return resolve_model(_class_in_file(Path(file), class_name if colon else "")).executor


def _class_in_file(path: Path, class_name: str) -> type[Any]:
    """Return the executor that a Python file defines; the file is run as a module, not as a script."""
    from importlib.util import module_from_spec, spec_from_file_location  # noqa: PLC0415 -- only for files

    from dissmodel_lab.discovery import is_executor, own_name  # noqa: PLC0415 -- only for files

    if not path.is_file():
        raise ExecutorNotFoundError(f"The file {str(path)!r} does not exist. Check the path of the executor.")
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
        f"{str(path)!r} defines {len(found)} executors{f' called {class_name!r}' if class_name else ''}: {names}. "
        f"Write which one is meant: {path.name}:Class."
    )


class _ChildSide:
    """The worker's end of the pipes, out of the model's reach."""

    def __init__(self) -> None:
        self._requests = os.fdopen(os.dup(0), "rb")
        self._out = os.fdopen(os.dup(1), "wb")
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        self._lock = threading.Lock()
        self._process_id = os.getpid()
        self._record: ExperimentRecord | None = None
        self._is_over = False

    def read(self) -> WorkerRequest:
        facts = json.loads(self._requests.readline())
        source = facts.pop("source")
        caller = Caller(**facts.pop("caller"))
        values = {name: decode(value) for name, value in facts.items()}
        return WorkerRequest(
            **values, source=None if source is None else DataSource.model_validate(source), caller=caller
        )

    def watch_parent(self) -> None:
        """Cancel the run when the parent asks for it, or is gone."""
        threading.Thread(target=self._watch, name="watch on the parent", daemon=True).start()

    def _watch(self) -> None:
        self._requests.readline()  # b"cancel\n", or b"" when the pipe is closed
        if not self._is_over:
            if os.name == "posix":
                os.kill(os.getpid(), signal.SIGINT)  # reaches the main thread in a system call too
            else:
                import _thread  # noqa: PLC0415 -- only there

                _thread.interrupt_main()

    def tell(self, event: Event) -> None:
        if os.getpid() != self._process_id:
            return  # a child that the model forked: the run is its parent's
        match event:
            case RunStarted():
                self._record = event.record
                self._write({"event": "began", "record": str(Path(event.record.record_path or "").absolute())})
            case PhaseStarted():
                self._write({"event": "phase", "phase": event.phase.value})
            case PhaseFinished():
                self._write({"event": "phase_ended", "phase": event.phase.value, "usage": _usage(event.usage)})
            case PhaseFailed():
                facts = {"phase": event.phase.value, "usage": _usage(event.usage), "error": error_text(event.error)}
                self._write({"event": "phase_ended", **facts})
            case StepFinished():
                self._write({"event": "step", "step": encode(event._asdict())})
            case LogLine():
                self._write({"event": "log", "text": event.text})
            case _:
                pass

    def end(self, error: str) -> None:
        """Tell how it ended; after this the parent's silence means nothing."""
        self._is_over = True
        record = self._record
        if record is None:
            status = RunStatus.CANCELLED.value if error == "KeyboardInterrupt" else REFUSED
        else:
            status = record.status
        self._write({"event": "ended", "status": status, "error": error})
        with suppress(OSError):
            self._out.close()

    def _write(self, message: dict[str, Any]) -> None:
        line = json.dumps(message).encode() + b"\n"
        with self._lock, suppress(OSError, ValueError):  # the parent is gone: the record on disk tells all
            self._out.write(line)
            self._out.flush()


def _usage(usage: PhaseUsage) -> dict[str, Any]:
    facts: dict[str, Any] = usage.model_dump(mode="json")
    return facts


if __name__ == "__main__":
    sys.exit(main())
