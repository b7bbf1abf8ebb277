"""The front door: from a model's name to a record on disk. Every other door calls :func:`run`."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissmodel_lab.artifacts import content_sha256, output_suffix, publish
from dissmodel_lab.errors import ExecutorError, OutputError, ParameterError
from dissmodel_lab.executor.events import Observer, Phase
from dissmodel_lab.executor.lifecycle import NOT_GIVEN, execute_lifecycle
from dissmodel_lab.executor.schemas import DataSource, ExperimentRecord, RunStatus, utc_now
from dissmodel_lab.parameters import ModelSpec, resolve_parameters
from dissmodel_lab.provenance import Caller, collect_provenance, versions
from dissmodel_lab.resolve import ResolvedModel, import_path, resolve_model
from dissmodel_lab.sources import Fingerprint, check_source, fingerprint, local_path, own_file_sha256, sha256
from dissmodel_lab.store import RunFolder, RunStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import FrameType


def run(
    model: Any,
    *,
    source: str | Path | DataSource | None = None,
    parameters: Mapping[str, Any] | None = None,
    output: str | Path | None = None,
    data: Any = NOT_GIVEN,
    toml: str | Path | ModelSpec | None = None,
    store: str | Path | RunStore | None = None,
    observers: Sequence[Observer] = (),
    namespace: Mapping[str, Any] | None = None,
    caller: Caller | None = None,
) -> ExperimentRecord:
    """
    Run a model and keep its record, whatever happens.

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
        Each is called with every event of the run.
    namespace : mapping, optional
        A notebook's variables, in which ``model`` may name a class.
    caller : Caller, optional
        What the door knows of the cell or command behind this run.

    Returns
    -------
    ExperimentRecord
        Completed; the same is on disk.

    Raises
    ------
    LabError
        When model, parameters, source or output cannot be used. Once the model is known, a record says so.
    BaseException
        Whatever the model raises; KeyboardInterrupt when the run was cancelled. The record is closed.

    Examples
    --------
    >>> import tempfile
    >>> record = run("game_of_life", parameters={"generations": 4}, store=tempfile.mkdtemp())
    >>> record.status, list(record.phases)
    ('completed', ['validate', 'load', 'run', 'save'])
    """
    resolved = _resolve(model, toml, namespace)
    keep = store if isinstance(store, RunStore) else RunStore(store)
    record = _new_record(resolved, source, parameters or {}, output, caller or Caller())
    with _interrupts_held() as interrupts:
        folder = keep.begin(record)
        try:
            care = _Care(resolved, record, folder, keep, in_memory=data is not NOT_GIVEN)
            with interrupts.released():
                execute_lifecycle(resolved.executor, record, data=data, hooks=[care], observers=[folder, *observers])
        except BaseException as error:
            _settle(record, error)
            error.add_note(f"The record of this run is {folder.record_path}")
            raise
        finally:
            _add_late_facts(record)
            keep.end(folder, record)
    return record


def validate(
    model: Any,
    *,
    source: str | Path | DataSource | None = None,
    parameters: Mapping[str, Any] | None = None,
    toml: str | Path | ModelSpec | None = None,
    store: str | Path | RunStore | None = None,
    namespace: Mapping[str, Any] | None = None,
) -> ExperimentRecord:
    """
    Check model, parameters and input as the phase ``validate`` of a run would; nothing is run or kept.

    Parameters
    ----------
    model, source, parameters, toml, store, namespace
        As :func:`run` takes them.

    Returns
    -------
    ExperimentRecord
        In memory, with the parameters resolved; its status is ``pending``.

    Raises
    ------
    LabError
        With everything that :func:`run` would refuse.
    Exception
        Whatever the executor's own ``validate`` raises.

    Examples
    --------
    >>> import tempfile
    >>> validate("game_of_life", parameters={"generations": -1}, store=tempfile.mkdtemp())
    Traceback (most recent call last):
    dissmodel_lab.errors.ParameterError: game_of_life cannot run with these parameters. generations: ...
    """
    resolved = _resolve(model, toml, namespace)
    keep = store if isinstance(store, RunStore) else RunStore(store)
    record = _new_record(resolved, source, parameters or {}, None, Caller())
    record.status, record.started_at = RunStatus.PENDING.value, None
    check_parameters(resolved, record)
    check_input(resolved, record, keep)
    resolved.executor.validate(record)
    return record


def _resolve(model: Any, toml: str | Path | ModelSpec | None, namespace: Mapping[str, Any] | None) -> ResolvedModel:
    resolved = resolve_model(model, namespace=namespace)
    if toml is None:
        return resolved
    spec = toml if isinstance(toml, ModelSpec) else ModelSpec.from_path(toml)
    if spec.model:
        other = resolve_model(spec, namespace=namespace)
        if import_path(other.executor_class) != import_path(resolved.executor_class):
            raise ParameterError(
                f"The TOML is for the model {spec.model!r}, not for {resolved.name!r}. "
                "Name that model, or take another TOML."
            )
    return ResolvedModel(resolved.executor, spec)


def _new_record(
    resolved: ResolvedModel,
    source: str | Path | DataSource | None,
    parameters: Mapping[str, Any],
    output: str | Path | None,
    caller: Caller,
) -> ExperimentRecord:
    facts = collect_provenance(resolved.executor_class, caller)
    given = source.model_copy() if isinstance(source, DataSource) else DataSource.from_uri(str(source or ""))
    return ExperimentRecord(
        model_name=resolved.name,
        model_commit=(facts.executor_git.commit if facts.executor_git else "") or facts.executor_package,
        code_version=facts.executor_package.partition("==")[2],
        source=given,
        parameters={**resolved.spec.parameters, **parameters},
        resolved_spec={"model": dict(resolved.spec.document.get("model", {}))},
        output_path=str(output) if output is not None else None,
        status=RunStatus.RUNNING.value,
        started_at=utc_now(),
        provenance=facts,
    )


def check_parameters(resolved: ResolvedModel, record: ExperimentRecord) -> None:
    """
    Resolve a record's parameters, in ``parameters`` and, for older executors, in ``resolved_spec`` too.

    Raises
    ------
    ParameterError
        With every problem.
    """
    values = resolve_parameters(resolved.executor_class, record.parameters)
    record.parameters = values
    model = record.resolved_spec.get("model", {})
    overridden = {key: values[key] for key in values if key in model}
    record.resolved_spec = {"model": {"class": record.model_name, **model, **overridden, "parameters": dict(values)}}
    seed = values.get("seed")
    if record.provenance is not None and isinstance(seed, int):
        record.provenance.seed = seed


def check_input(resolved: ResolvedModel, record: ExperimentRecord, store: RunStore) -> None:
    """
    Take the model's sample when no input is named, and see that the input can be read.

    Raises
    ------
    SourceError
        When it cannot.
    """
    if not record.source.uri:
        offered = getattr(resolved.executor_class, "default_source", None)
        sample = offered(store.inputs) if callable(offered) else None
        record.source = sample if sample is not None else record.source
    check_source(record.source)


class _Care:
    """What the lab does around the phases, a PhaseHook: check before, hash and put away after."""

    def __init__(
        self,
        resolved: ResolvedModel,
        record: ExperimentRecord,
        folder: RunFolder,
        store: RunStore,
        *,
        in_memory: bool,
    ) -> None:
        self._resolved = resolved
        self._record = record
        self._folder = folder
        self._store = store
        self._in_memory = in_memory
        self._wanted = Path(record.output_path) if record.output_path else None
        self._seen: Fingerprint | None = None
        self._staged = folder.partial

    def before(self, phase: Phase, value: Any) -> None:
        if phase is Phase.VALIDATE:
            check_parameters(self._resolved, self._record)
            if self._in_memory:
                self._record.add_log("The input was given in memory; it has no path and no checksum.")
            else:
                check_input(self._resolved, self._record, self._store)
            self._check_output()
            self._folder.write(self._record, durable=False)
        elif phase is Phase.LOAD:
            path = local_path(self._record.source)
            self._seen = fingerprint(path) if path else None
        elif phase is Phase.SAVE:
            self._stage(value)

    def after(self, phase: Phase, value: Any) -> None:  # noqa: ARG002 -- the protocol's signature
        if phase is Phase.LOAD:
            self._hash_source()
        elif phase is Phase.SAVE:
            self._notice_changed_input()
            self._put_away()

    def _check_output(self) -> None:
        if self._wanted is None:
            return
        text = str(self._record.output_path)
        if "://" in text:
            raise OutputError(f"The output {text!r} is not a local path. Give a path on this machine.")
        if text.endswith(("/", "\\")) or self._wanted.is_dir():
            self._wanted = self._wanted / f"{self._record.model_name}-{self._record.experiment_id[:8]}"
        given = local_path(self._record.source)
        if given is not None and _same_file(given, self._wanted):
            raise OutputError(
                f"The output {text!r} is the input itself, which is never overwritten. Choose another --output."
            )
        if self._wanted.exists():
            raise OutputError(f"The output {text!r} exists and is never replaced. Choose another --output.")
        self._folder.reserve(self._wanted.with_suffix(".record.json"), self._record)

    def _hash_source(self) -> None:
        path = local_path(self._record.source)
        if path is not None and not self._record.source.checksum and not self._in_memory and path.exists():
            self._record.source.checksum = sha256(path)

    def _notice_changed_input(self) -> None:
        path = local_path(self._record.source)
        if path is not None and self._seen is not None and fingerprint(path) != self._seen:
            self._record.add_log(
                f"The input {self._record.source.uri} changed while the run was in progress; its checksum is "
                "that of the moment it was read."
            )

    def _stage(self, result: Any) -> None:
        suffix = output_suffix(result, self._resolved.executor_class)
        if self._wanted is not None and not self._wanted.suffix:
            self._wanted = self._wanted.with_name(self._wanted.name + suffix)
        name = self._wanted.name if self._wanted is not None else f"output{suffix}"
        self._staged = self._folder.partial / name
        self._folder.partial.mkdir()
        if isinstance(result, dict):
            self._staged.mkdir()
        self._record.output_path = str(self._staged)

    def _put_away(self) -> None:
        record, folder = self._record, self._folder
        main = self._main_output()
        moves: list[tuple[str, Path, Path]] = []
        for item in sorted(folder.partial.iterdir()):
            if main is not None and item == main:
                target = self._wanted.with_suffix(item.suffix) if self._wanted else folder.folder / item.name
                moves.append(("output", item, target))
            else:
                moves.append((_free_name(item.stem, record.artifacts), item, folder.folder / item.name))
        for name, staged, target in moves:
            self._note_artifact(name, staged, target)
            publish(staged, target)
            record.logs[:] = [line.replace(str(staged), str(target)) for line in record.logs]
            if name == "output":
                record.output_path = str(target)

    def _main_output(self) -> Path | None:
        """Find what save() wrote as its main output, among the staged files or where it says."""
        record = self._record
        said = record.output_path or ""
        path = Path(said)
        if "://" in said:
            return None
        if self._folder.partial in path.parents:
            if path.exists():
                return self._folder.partial / path.relative_to(self._folder.partial).parts[0]
            staged = list(self._folder.partial.iterdir())
            if len(staged) == 1:
                return staged[0]
            record.output_path = None
            record.add_log("save() wrote no output file.")
            return None
        if said and not path.exists():
            raise ExecutorError(
                f"save() of {record.model_name} says that its output is {said!r}, but there is no such file. "
                "Write it to record.output_path, or set record.output_path to where it is."
            )
        if said:
            self._note_artifact("output", path, path)
        return None

    def _note_artifact(self, name: str, at: Path, target: Path) -> None:
        record = self._record
        checksum = sha256(at) if at.is_dir() or at == target else own_file_sha256(at)
        said = record.artifacts.get(name)
        if said and said != checksum and name == "output":
            record.add_log(f"save() reported the SHA-256 {said} for its output; that of the file stands here.")
        record.add_artifact(name, checksum)
        inside = self._folder.folder in target.parents
        record.artifact_paths[name] = target.relative_to(self._folder.folder).as_posix() if inside else str(target)
        try:
            content = content_sha256(at)
        except Exception as error:  # noqa: BLE001 -- any reader's complaint about a file that only this hash needs
            record.add_log(f"No content hash for {target.name}: {type(error).__name__}: {error}")
            return
        if content is not None:
            record.content_sha256[name] = content


def _free_name(stem: str, taken: Mapping[str, str]) -> str:
    name, count = stem, 1
    while name in taken or name == "output":
        count += 1
        name = f"{stem}-{count}"
    return name


def _same_file(first: Path, second: Path) -> bool:
    try:
        return first.resolve() == second.resolve() or first.samefile(second)
    except OSError:  # one of them is not there: they are not the same
        return False


def _settle(record: ExperimentRecord, error: BaseException) -> None:
    """Close a record whose lifecycle could not close it itself, for example by a second interrupt."""
    if record.status in (RunStatus.RUNNING, RunStatus.PENDING):
        cancelled = isinstance(error, KeyboardInterrupt)
        record.status = (RunStatus.CANCELLED if cancelled else RunStatus.FAILED).value
        record.error = record.error or f"{type(error).__name__}: {error}".removesuffix(": ")
    record.ended_at = record.ended_at or utc_now()


def _add_late_facts(record: ExperimentRecord) -> None:
    if record.provenance is not None:
        record.provenance.versions = versions()  # GDAL is known only once the executor has loaded it


class _Interrupts:
    """Interrupts of this thread: held back while a record is written, let through while a model runs."""

    def __init__(self) -> None:
        self._usual: Any = None
        self.pending: tuple[int, FrameType | None] | None = None

    def hold(self) -> None:
        self._usual = signal.signal(signal.SIGINT, self._note)

    def release(self) -> None:
        signal.signal(signal.SIGINT, self._usual)
        if self.pending is not None and callable(self._usual):
            pending, self.pending = self.pending, None
            self._usual(*pending)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.pending = (number, frame)

    @contextmanager
    def released(self) -> Iterator[None]:
        if self._usual is None:
            yield
            return
        self.release()
        try:
            yield
        finally:
            self.hold()


@contextmanager
def _interrupts_held() -> Iterator[_Interrupts]:
    interrupts = _Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts  # only the main thread gets interrupts
        return
    interrupts.hold()
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, interrupts._usual)  # noqa: SLF001 -- of this module
