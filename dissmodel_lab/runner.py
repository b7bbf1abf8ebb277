"""The front door: from a model's name to a record on disk. Every other door calls :func:`run`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self, cast

from dissmodel_lab.artifacts import (
    KNOWN_SUFFIXES,
    RASTER_SUFFIXES,
    has_suffix,
    is_map_file,
    output_suffix,
    publish,
    with_suffix,
)
from dissmodel_lab.cancelling import WAKE_SIGNAL, Request, interrupt_text, is_requested, requested
from dissmodel_lab.contents import content_sha256, crs_text
from dissmodel_lab.errors import ExecutorError, LabError, OutputError, ParameterError, PreflightError
from dissmodel_lab.executor.events import Event, Fetching, Observer, Phase, StepFinished, Watcher
from dissmodel_lab.executor.lifecycle import NOT_GIVEN, error_text, execute_lifecycle
from dissmodel_lab.executor.schemas import METADATA_KEYS, DataSource, ExperimentRecord, RunStatus, utc_now
from dissmodel_lab.language import joined, message
from dissmodel_lab.parameters import ModelSpec, declared_parameters, refuse_deep, resolve_parameters
from dissmodel_lab.provenance import Caller, collect_provenance, versions
from dissmodel_lab.resolve import ResolvedModel, import_path, resolve_model
from dissmodel_lab.sources import (
    Fingerprint,
    Hashing,
    check_source,
    existing_files,
    file_sha256,
    fingerprint,
    local_path,
    names_file,
    own_file_sha256,
    sha256,
)
from dissmodel_lab.sources.addresses import is_remote, parse
from dissmodel_lab.sources.hashing import remember, remembered_sha256, seen_sha256
from dissmodel_lab.store import RunFolder, RunStore, safe_name
from dissmodel_lab.titles import changed_defaults
from dissmodel_lab.upstream import georeference_of, watched

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import FrameType

    from dissmodel_lab.load_cache import LoadCache, LoadSession
    from dissmodel_lab.sources.fetching import Fetched
    from dissmodel_lab.upstream.state import Georeference

_SIGNALS: Any = import_module("_signal" if "_signal" in sys.builtin_module_names else "signal")
"""The module signal raises and drops an exception for each handler that is a function: nine times a run."""
_WORTH_A_THREAD = 8 * 1024 * 1024
"""A smaller input [bytes] is hashed sooner than a thread gets the interpreter."""


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
    watchers: Sequence[Watcher] = (),
    namespace: Mapping[str, Any] | None = None,
    caller: Caller | None = None,
    preflight: bool = True,
    fields: Mapping[str, Any] | None = None,
    output_name: str = "",
    folder_name: str = "",
    is_queued: bool = False,
    load_cache: LoadCache | None = None,
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
    watchers : sequence of callable
        Each is called with every step of the model.
    namespace : mapping, optional
        A notebook's variables, in which ``model`` may name a class.
    caller : Caller, optional
        What the door knows of the cell or command behind this run.
    preflight : bool
        Look at the input and at the files that parameters name before anything runs, see
        :mod:`dissmodel_lab.preflight`; what would make the run fail ends it, the rest is a warning.
    fields : mapping, optional
        Fields of the record that no other argument fills, such as ``band_map``.
    output_name : str, optional
        What the output is called in the run's own folder; ``output`` with the ending of its kind when not given.
    folder_name : str, optional
        Of the run's own folder in the store; who makes it owns the run, see :meth:`RunStore.begin`.
    is_queued : bool
        That folder is there, with the record of this run as :func:`queue_run` wrote it.
    load_cache : LoadCache, optional
        What earlier runs in this process loaded, see :mod:`dissmodel_lab.load_cache`.

    Returns
    -------
    ExperimentRecord
        Completed; the same is on disk.

    Raises
    ------
    LabError
        When model, parameters, source or output cannot be used. Once the model is known, a record says so.
    RunTakenError
        When another process runs that job already, or its queued run was cancelled; this leaves no record.
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
    refuse_deep(parameters or {}, "The parameters")
    keep = store if isinstance(store, RunStore) else RunStore(store)
    record = _new_record(resolved, source, parameters or {}, output, caller or Caller())
    for name, value in (fields or {}).items():
        setattr(record, name, value)
    is_checked = False
    with suppress(Exception):  # so that the first record tells them; the phase validate says what is wrong with them
        check_parameters(resolved, record, is_in_memory=data is not NOT_GIVEN)
        is_checked = True
    with Interrupts() as interrupts:
        folder = keep.begin(record, folder_name, is_queued=is_queued)
        interrupts.watch_for_request(folder.folder)
        is_loaded = data is NOT_GIVEN
        loads = load_cache.session(resolved.executor, record) if load_cache is not None and is_loaded else None
        care = _Care(
            resolved,
            record,
            folder,
            keep,
            interrupts,
            loads=loads,
            in_memory=data is not NOT_GIVEN,
            is_checked=is_checked,
            looks_ahead=preflight,
            output_name=output_name,
            observers=[folder, *observers],
        )
        try:
            with watched(waiting=record.add_log):
                execute_lifecycle(
                    loads.executor if loads is not None else resolved.executor,
                    record,
                    data=data,
                    hooks=[care, loads] if loads is not None else [care],
                    observers=[folder, interrupts, *([loads] if loads is not None else []), *observers],
                    watchers=watchers,
                    around=interrupts.let_through,
                )
        except BaseException as error:
            care.give_up()
            care.name_source()
            _settle(record, error)
            if _files_in(folder.partial):
                record.add_log(f"What save() left is kept in {folder.partial}.")
            error.add_note(message("The record of this run is {record_path}", record_path=folder.record_path))
            _end(keep, folder, record, error)
            raise
        care.name_source()
        _end(keep, folder, record, None)
    return record


def _end(store: RunStore, folder: RunFolder, record: ExperimentRecord, error: BaseException | None) -> None:
    """Close the record on disk; what goes wrong then never hides what went wrong before."""
    if os.getpid() != folder.process_id:
        return  # a child that the model forked: the run is its parent's
    if record.provenance is not None:
        record.provenance.versions = versions()  # GDAL is known only once the executor has loaded it
    try:
        store.end(folder, record)
    except OutputError as problem:
        if error is None:
            raise
        error.add_note(str(problem))


def queue_run(
    model: Any,
    *,
    source: str | Path | DataSource | None = None,
    parameters: Mapping[str, Any] | None = None,
    output: str | Path | None = None,
    toml: str | Path | ModelSpec | None = None,
    store: str | Path | RunStore | None = None,
    namespace: Mapping[str, Any] | None = None,
    caller: Caller | None = None,
    fields: Mapping[str, Any] | None = None,
    folder_name: str = "",
    is_in_memory: bool = False,
) -> ExperimentRecord:
    """
    Write the record of a run that another process, or this one, will begin later; its status is ``pending``.

    Parameters
    ----------
    model, source, parameters, output, toml, store, namespace, caller, fields, folder_name
        As :func:`run` takes them, and will be given by whoever begins the run, with ``is_queued=True``.
    is_in_memory : bool
        Whether the run will get its input in memory.

    Returns
    -------
    ExperimentRecord
        As it is on disk. What is wrong with the parameters is said when the run begins, in its record.

    Raises
    ------
    LabError
        When the model cannot be found or the store not be written.

    Examples
    --------
    >>> import tempfile
    >>> store, work = tempfile.mkdtemp(), {"model": "game_of_life", "parameters": {"generations": 2}}
    >>> queued = queue_run(**work, store=store)
    >>> queued.status
    'pending'
    >>> folder, fields = queued.record_path.parent.name, {"experiment_id": queued.experiment_id}
    >>> run(**work, store=store, folder_name=folder, fields=fields, is_queued=True).status
    'completed'
    """
    resolved = _resolve(model, toml, namespace)
    refuse_deep(parameters or {}, "The parameters")
    keep = store if isinstance(store, RunStore) else RunStore(store)
    record = _new_record(resolved, source, parameters or {}, output, caller or Caller())
    for name, value in (fields or {}).items():
        setattr(record, name, value)
    with suppress(Exception):  # as in run()
        check_parameters(resolved, record, is_in_memory=is_in_memory)
    keep.queue(record, folder_name)
    return record


def validate(
    model: Any,
    *,
    source: str | Path | DataSource | None = None,
    parameters: Mapping[str, Any] | None = None,
    output: str | Path | None = None,
    toml: str | Path | ModelSpec | None = None,
    store: str | Path | RunStore | None = None,
    namespace: Mapping[str, Any] | None = None,
) -> ExperimentRecord:
    """
    Check model, parameters, input and output as the phase ``validate`` of a run would; nothing is run or kept.

    Parameters
    ----------
    model, source, parameters, output, toml, store, namespace
        As :func:`run` takes them.

    Returns
    -------
    ExperimentRecord
        In memory, with the parameters resolved; its status is ``pending``. What a person should know before
        the run is in ``warnings``.

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
    look_ahead(resolved, record, keep, output)
    resolved.executor.validate(record)
    return record


def _resolve(model: Any, toml: str | Path | ModelSpec | None, namespace: Mapping[str, Any] | None) -> ResolvedModel:
    resolved = resolve_model(model, namespace=namespace)
    if toml is None:
        return resolved
    spec = toml if isinstance(toml, ModelSpec) else ModelSpec.from_path(toml)
    parameters = {**resolved.spec.parameters, **spec.parameters}
    if spec.model:
        other = resolve_model(spec, namespace=namespace)
        if import_path(other.executor_class) != import_path(resolved.executor_class):
            raise ParameterError(
                message(
                    "The TOML is for the model {model!r}, not for {name!r}. Name that model, or take another TOML.",
                    model=spec.model,
                    name=resolved.name,
                )
            )
    return ResolvedModel(resolved.executor, replace(spec, parameters=parameters))


def _new_record(
    resolved: ResolvedModel,
    source: str | Path | DataSource | None,
    parameters: Mapping[str, Any],
    output: str | Path | None,
    caller: Caller,
) -> ExperimentRecord:
    facts = collect_provenance(resolved.executor_class, caller)
    from_toml = resolved.spec.parameters
    given = source.model_copy() if isinstance(source, DataSource) else DataSource.from_uri(str(source or ""))
    return ExperimentRecord(
        model_name=resolved.name,
        model_commit=(facts.executor_git.commit if facts.executor_git else "") or facts.executor_package,
        code_version=facts.executor_package.partition("==")[2],
        source=given,
        parameters={**from_toml, **parameters},
        parameter_origins={
            **dict.fromkeys(map(str, from_toml), "toml"),
            **dict.fromkeys(map(str, parameters), "given"),
        },
        resolved_spec={"model": dict(resolved.spec.document.get("model", {}))},
        output_path=str(output) if output is not None else None,
        status=RunStatus.RUNNING.value,
        started_at=utc_now(),
        provenance=facts,
    )


def check_parameters(resolved: ResolvedModel, record: ExperimentRecord, *, is_in_memory: bool = False) -> None:
    """
    Resolve a record's parameters, in ``parameters`` and, for older executors, in ``resolved_spec`` too.

    Raises
    ------
    ParameterError
        With every problem.
    """
    given = record.parameters
    record.parameter_defaults = dict.fromkeys(given)  # so that a run that is refused is named by what was given
    values = resolve_parameters(resolved.executor_class, given, is_in_memory=is_in_memory)
    record.parameter_defaults = changed_defaults(resolved.executor_class, values, given)
    record.parameters = values
    record.parameter_origins = {name: record.parameter_origins.get(str(name), "default") for name in values}
    record.resolved_spec = _spec_with(values, record)
    seed = values.get("seed")
    if record.provenance is not None and isinstance(seed, int):
        record.provenance.seed = seed


def _spec_with(values: Mapping[str, Any], record: ExperimentRecord) -> dict[str, Any]:
    # Some older executors read a value from [model], some from [model.parameters]: it stands in both.
    model = record.resolved_spec.get("model", {})
    flat = {name: value for name, value in values.items() if name not in METADATA_KEYS}
    types = model.get("land_use_types")
    if isinstance(types, dict) and types.get("types") == flat.get("land_use_types"):
        flat["land_use_types"] = types  # dissmodel's own configurations write the list as a table
    return {"model": {"class": record.model_name, **model, **flat, "parameters": dict(values)}}


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


def look_ahead(
    resolved: ResolvedModel, record: ExperimentRecord, store: RunStore, output: str | Path | None = None
) -> None:
    """
    Look at what a run is about to use, from headers alone; what is doubtful becomes a warning of the record.

    Raises
    ------
    PreflightError
        With everything that would make the run fail.
    """
    for table in resolved.spec.overlooked:
        _warn_once(
            record,
            message("The table [{table}] beside [model] is never read. Write [model.parameters].", table=table),
        )
    if not _names_files(record) and not _names_dissmodel(record) and output is None:
        _warn_of_parameters(resolved, record)
        return
    from dissmodel_lab.preflight import preflight  # noqa: PLC0415 -- loads numpy, and what reads maps

    findings = preflight(resolved.executor_class, record, store_folder=store.root, output=output)
    errors = [joined([finding.what, finding.do]) for finding in findings if finding.level == "error"]
    for finding in findings:
        if finding.level != "error":
            _warn_once(record, f"{finding.what} {finding.do}")
    if errors:
        raise PreflightError(joined(errors))


def _names_files(record: ExperimentRecord) -> bool:
    source = local_path(record.source)
    is_map = source is not None and (is_map_file(source) or source.is_dir())
    return is_map or any(names_file(value) for value in record.parameters.values())


def _names_dissmodel(record: ExperimentRecord) -> bool:
    """Tell whether the TOML says for which version of ``dissmodel`` it was written: versions differ in meaning."""
    model = record.resolved_spec.get("model")
    return isinstance(model, dict) and "dissmodel" in model


def _warn_of_parameters(resolved: ResolvedModel, record: ExperimentRecord) -> None:
    """Say the same of parameters as :mod:`dissmodel_lab.preflight` does, without loading what reads files."""
    if not record.parameters or declared_parameters(resolved.executor_class) is not None:
        return
    from dissmodel_lab.inference import doubtful_parameters  # noqa: PLC0415 -- reads the executor's source

    for _, what, advice in doubtful_parameters(resolved.executor_class, record.parameters):
        _warn_once(record, f"{what} {advice}")


def _warn_once(record: ExperimentRecord, warning: str) -> None:
    """Warn of what was not said yet: a fetched input is looked at before and after it came."""
    if warning not in record.warnings:
        record.add_warning(warning)


class _Care:
    """What the lab does around the phases, a PhaseHook: check before, hash and put away after."""

    def __init__(
        self,
        resolved: ResolvedModel,
        record: ExperimentRecord,
        folder: RunFolder,
        store: RunStore,
        interrupts: Interrupts,
        *,
        loads: LoadSession | None,
        in_memory: bool,
        is_checked: bool,
        looks_ahead: bool,
        output_name: str,
        observers: Sequence[Observer],
    ) -> None:
        self._resolved = resolved
        self._record = record
        self._folder = folder
        self._store = store
        self._interrupts = interrupts
        self._loads = loads
        self._in_memory = in_memory
        self._is_checked = is_checked
        self._looks_ahead = looks_ahead
        self._output_name = Path(output_name).name
        self._wanted = Path(record.output_path).expanduser() if record.output_path else None
        self._input: Path | None = None
        self._seen: Fingerprint | None = None
        self._hashing: Hashing | None = None
        self._observers = observers
        self._fetched: Fetched | None = None
        self._staged = folder.partial
        self._offered = ""
        self._georeference: Georeference | None = None

    def before(self, phase: Phase, value: Any) -> None:
        if phase is Phase.VALIDATE:
            written = _known_before(self._record)
            if not self._is_checked:
                check_parameters(self._resolved, self._record, is_in_memory=self._in_memory)
            if self._in_memory:
                self._record.add_log("The input was given in memory; it has no path and no checksum.")
            else:
                self._check_input()
                self._begin_hash()
            self._check_output()
            if self._looks_ahead:
                look_ahead(self._resolved, self._record, self._store)
            if _known_before(self._record) != written:
                self._folder.write(self._record)
        elif phase is Phase.LOAD:
            if not self._in_memory:
                self._fetch()
            self._watch_input()
        elif phase is Phase.SAVE:
            self._notice_changed_input(message("after it was read; its checksum is that of what was read"))
            self._georeference = georeference_of(value)
            self._stage(value)

    def after(self, phase: Phase, value: Any) -> None:  # noqa: ARG002 -- the protocol's signature
        if phase is Phase.LOAD:
            self._hash_source()
            self._hash_existing_files()
        elif phase is Phase.SAVE:
            self._folder.is_saved = True
            self._refuse_overwritten_input()
            self._put_away()

    def give_up(self) -> None:
        """Stop what is still at work beside a run that has failed."""
        if self._hashing is not None:
            self._hashing.give_up()

    def _check_input(self) -> None:
        if not is_remote(self._record.source):
            check_input(self._resolved, self._record, self._store)
            return
        with self._interrupts.let_through():  # a server may take long to answer
            check_input(self._resolved, self._record, self._store)

    def _fetch(self) -> None:
        """Bring a remote input here, for whatever reads it; everything that is written names it as it was named."""
        record = self._record
        source = record.source
        if not is_remote(source):
            return
        from dissmodel_lab.sources.fetching import fetch  # noqa: PLC0415 -- loads what talks to servers

        with self._interrupts.let_through():
            fetched = fetch(source, progress=self._tell_fetching, cancelled=self._interrupts.look)
        self._fetched = fetched
        said, named = source.checksum, parse(source).text
        source.read_from(fetched.path)
        source.checksum = fetched.sha256
        record.fetched = [file.as_dict() for file in fetched.files]
        how = (
            message("was in the cache")
            if fetched.is_from_cache
            else message("was fetched in {seconds:.1f} s", seconds=fetched.seconds)
        )
        record.add_log(f"The input {named} ({fetched.bytes:,} bytes) {how}.")
        for note in fetched.notes:
            record.add_warning(note)
        if said and said != fetched.sha256:
            record.add_log(f"The checksum given for the input was {said}; that of what was fetched stands here.")
        check_source(source)
        if self._looks_ahead:
            look_ahead(self._resolved, record, self._store)
        self._folder.write(record)  # a run that is killed while it loads tells what it had fetched

    def _tell_fetching(self, name: str, done: int, total: int | None) -> None:
        for observer in self._observers:
            with suppress(Exception):  # a broken view must not end a run; the next event of a phase leaves it out
                observer(Fetching(name, done, total))

    def name_source(self) -> None:
        """Give the source of a run that is over its own name back; the cache may do with the file what it likes."""
        record, fetched = self._record, self._fetched
        if fetched is None:
            return
        record.source.read_as_named()
        at, named = str(fetched.path), parse(record.source).text
        record.logs[:] = [line.replace(at, named) for line in record.logs]
        record.error = record.error.replace(at, named) if record.error else record.error
        fetched.lease.close()

    def _check_output(self) -> None:
        if self._wanted is None:
            return
        text = str(self._record.output_path)
        if "://" in text:
            raise OutputError(
                message("The output {text!r} is not a local path. Give a path on this machine.", text=text)
            )
        try:
            self._refuse_unsafe_output(text)
        except (OSError, ValueError) as error:
            if isinstance(error, LabError):
                raise
            reason = getattr(error, "strerror", None) or error
            raise OutputError(
                message(
                    "The output {text!r:.300} cannot be written: {reason}. Choose another --output.",
                    text=text,
                    reason=reason,
                )
            ) from error

    def _refuse_unsafe_output(self, text: str) -> None:
        wanted = cast("Path", self._wanted)
        if text.endswith(("/", "\\")) or wanted.is_dir():
            wanted = self._wanted = wanted / f"{safe_name(self._record.model_name)}-{self._record.experiment_id[:8]}"
        given = local_path(self._record.source)
        if given is not None and _same_file(given, wanted):
            raise OutputError(
                message(
                    "The output {text!r} is the input itself, which is never overwritten. Choose another --output.",
                    text=text,
                )
            )
        endings = ("",) if has_suffix(wanted) else ("", *KNOWN_SUFFIXES)
        taken = next((ending for ending in endings if os.path.lexists(f"{wanted}{ending}")), None)
        if taken is not None:
            raise OutputError(
                message(
                    "The output {text!r} exists and is never replaced. Choose another --output.", text=text + taken
                )
            )
        self._folder.reserve(with_suffix(wanted, ".record.json"), self._record)

    def _begin_hash(self) -> None:
        path = local_path(self._record.source)
        seen = fingerprint(path) if path is not None else None
        if path is None or seen is None or seen.size < _WORTH_A_THREAD or not path.is_file():
            return
        if not seen_sha256(path) and (self._loads is None or not self._loads.checksum(path)):
            self._hashing = Hashing(path)

    def _watch_input(self) -> None:
        self._input = None if self._in_memory else local_path(self._record.source)
        self._seen = fingerprint(self._input) if self._input else None

    def _hash_source(self) -> None:
        """Fill the checksum of what was loaded; a checksum that somebody gave is checked, not believed."""
        record = self._record
        path = None if self._in_memory else local_path(record.source)
        if path is None:
            return
        if fingerprint(path) is None:
            record.add_log(f"The input {record.source.uri} was removed while it was loaded; it has no checksum.")
            self._seen = None
            return
        if path == self._input:
            self._notice_changed_input(message("while it was loaded; its checksum may not be that of what was read"))
        if self._fetched is not None and path == self._fetched.path:  # its hash is known, and may be a folder's
            record.source.checksum = self._fetched.sha256
            return
        said = record.source.checksum
        with self._interrupts.let_through():
            record.source.checksum = self._checksum(path)
        if said and said != record.source.checksum:
            record.add_log(f"The checksum given for the input was {said}; that of the file stands in this record.")
        self._input, self._seen = path, fingerprint(path)

    def _hash_existing_files(self) -> None:
        """Fill the checksums of the files that parameters name, such as a table of demand."""
        record = self._record
        for place, path in existing_files({**record.defaults_taken, **record.parameters}):
            try:
                with self._interrupts.let_through():
                    record.parameter_files[place] = remembered_sha256(path)
            except OSError as error:
                record.add_log(f"No checksum of {str(path)!r} (parameter {place}): {error.strerror or error}.")

    def _checksum(self, path: Path) -> str:
        hashing, self._hashing = self._hashing, None
        if hashing is not None and path == self._input:
            checksum = hashing.checksum()
            if fingerprint(path) == hashing.seen:  # else it holds bytes of two files
                remember(path, hashing.mark, checksum, hashing.at_ns)
                return checksum
        known = self._loads.checksum(path) if self._loads is not None else ""
        return known or (sha256(path) if path.is_dir() else remembered_sha256(path))

    def _notice_changed_input(self, when: str) -> None:
        if self._input is None or self._seen is None:
            return
        now = fingerprint(self._input)
        if now != self._seen:
            named = self._record.source.named
            self._record.add_log(f"The input {named} {'changed' if now else 'was removed'} {when}.")
            self._seen = now

    def _refuse_overwritten_input(self) -> None:
        said = self._record.output_path
        overwritten = self._seen is not None and fingerprint(cast("Path", self._input)) != self._seen
        is_offered = said in (None, self._offered)
        elsewhere = not is_offered and self._folder.partial.absolute() not in Path(str(said)).parents
        if overwritten or (elsewhere and self._input is not None and _same_file(Path(str(said)), self._input)):
            source = self._record.source
            raise ExecutorError(
                message(
                    "save() of {model_name} wrote over its input {uri!r}; what stands there now is not what was "
                    "read (SHA-256 {checksum}). Write to record.output_path.",
                    model_name=self._record.model_name,
                    uri=source.uri,
                    checksum=source.checksum,
                )
            )

    def _stage(self, result: Any) -> None:
        suffix = output_suffix(result, self._resolved.executor_class)
        if self._wanted is not None and not has_suffix(self._wanted):
            self._wanted = self._wanted.with_name(self._wanted.name + suffix)
        name = self._wanted.name if self._wanted is not None else self._output_name or f"output{suffix}"
        self._staged = self._folder.partial / name
        os.mkdir(self._folder.partial)  # noqa: PTH102 -- pathlib's own way there costs a third of it
        if isinstance(result, dict) and not has_suffix(self._staged):
            self._staged.mkdir()
        self._offered = str(self._staged.absolute())  # the model may be in another folder
        self._record.output_path = self._offered

    def _put_away(self) -> None:
        record, folder = self._record, self._folder
        main = self._main_output()
        for staged in _files_in(folder.partial):
            if staged == main:
                name = "output"
                wanted = self._wanted
                target = with_suffix(wanted, staged.suffix) if wanted else folder.folder / staged.name
                if staged.is_dir() and target.suffix in KNOWN_SUFFIXES:  # a folder after all
                    target = target.with_suffix("")
            else:
                name = self._reported_name(staged) or _free_name(staged.stem, record.artifacts)
                target = _free_path(folder.folder / staged.name)
            with self._interrupts.let_through():
                self._note_artifact(name, staged, target)
            publish(staged, target)
            shown = _as_asked(target)
            record.logs[:] = [line.replace(str(staged.absolute()), shown) for line in record.logs]
            if name == "output":
                record.output_path = shown

    def _reported_name(self, staged: Path) -> str:
        """Return the name under which save() reported a file's SHA-256 by itself; empty when it did not."""
        record = self._record
        known = {"output", *record.artifact_paths}
        waiting = {said: name for name, said in record.artifacts.items() if name not in known}
        return waiting.get(file_sha256(staged), "") if waiting and staged.is_file() else ""

    def _main_output(self) -> Path | None:
        """Find what save() wrote as its main output, among the staged files or where it says."""
        record = self._record
        said = record.output_path or ""
        is_offered = said == self._offered
        if is_offered and self._staged.exists():
            return self._staged
        path, partial = Path(said), self._folder.partial.absolute()
        if "://" in said:
            return None
        if is_offered or partial in path.parents:
            if not is_offered and path.exists():
                return self._folder.partial / path.relative_to(partial).parts[0]
            staged = _files_in(self._folder.partial)
            if len(staged) == 1:
                return staged[0]
            record.output_path = None
            record.add_log("save() wrote no output file.")
            return None
        if said and not path.exists():
            raise ExecutorError(
                message(
                    "save() of {model_name} says that its output is {said!r}, but there is no such file. Write it "
                    "to record.output_path, or set record.output_path to where it is.",
                    model_name=record.model_name,
                    said=said,
                )
            )
        if said:
            if self._wanted is not None:
                record.add_log(f"save() wrote its output to {said}, not to {_as_asked(self._wanted)} as was asked.")
            self._note_artifact("output", path, path)
        return None

    def _note_artifact(self, name: str, at: Path, target: Path) -> None:
        record = self._record
        checksum = sha256(at) if at.is_dir() or at == target else own_file_sha256(at)
        said = record.artifacts.get(name)
        if said and said != checksum and name == "output":
            record.add_log(f"save() reported the SHA-256 {said} for its output; that of the file stands here.")
        record.add_artifact(name, checksum)
        record.artifact_paths[name] = self._path_in_record(target)
        if name == "output":
            self._keep_lost_georeference(at)
        try:
            content = content_sha256(at)
        except Exception as error:  # noqa: BLE001 -- any reader's complaint about a file that only this hash needs
            record.add_log(f"No content hash for {target.name}: {type(error).__name__}: {error}")
            return
        if content is not None:
            record.content_sha256[name] = content

    def _path_in_record(self, target: Path) -> str:
        folder = self._folder.folder
        if target.parent == folder:
            return target.name
        return target.relative_to(folder).as_posix() if folder in target.parents else _as_asked(target)

    def _keep_lost_georeference(self, saved: Path) -> None:
        """Note where the output lies when save() left it out of the file, although the model's raster knows it."""
        if self._georeference is None or saved.suffix.lower() not in RASTER_SUFFIXES:
            return
        from dissmodel_lab.rasters import lost_georeference  # noqa: PLC0415 -- needs numpy

        if lost_georeference(self._georeference, saved):
            crs, transform, (height, width) = self._georeference
            self._record.output_georeference = {
                "crs": crs_text(crs),
                "transform": [float(number) for number in transform[:6]],
                "shape": [height, width],
            }
            self._record.add_log(
                f"save() left the georeference out of {saved.name}; this record keeps that of the model's raster in "
                "memory, and the map uses it."
            )


def _known_before(record: ExperimentRecord) -> tuple[object, ...]:
    """Return what the phase validate may change of a record, to see whether it must be written again."""
    return repr(record.parameters), record.source.uri, record.output_path, len(record.logs)


def _files_in(folder: Path) -> list[Path]:
    """List what lies in a folder, sorted; empty when it is not there."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 -- once a run, and mostly of one name
    except FileNotFoundError:
        return []
    return [folder / name for name in sorted(names)]


def _free_name(stem: str, taken: Mapping[str, str]) -> str:
    name, count = stem, 1
    while name in taken or name == "output":
        count += 1
        name = f"{stem}-{count}"
    return name


def _free_path(path: Path) -> Path:
    """Return a name that no other file of the run has, such as its record."""
    count, free = 1, path
    while free.exists():
        count += 1
        free = path.with_name(f"{path.stem}-{count}{path.suffix}")
    return free


def _as_asked(path: Path) -> str:
    """Return a path relative to the working folder where it lies in it, as people and records name it."""
    if not path.is_absolute():
        return str(path)
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:  # it lies elsewhere
        return str(path)


def _same_file(first: Path, second: Path) -> bool:
    try:
        return first.resolve() == second.resolve() or first.samefile(second)
    except (OSError, RuntimeError):  # one of them is not there, or a circle of links: they are not the same
        return False


def _settle(record: ExperimentRecord, error: BaseException) -> None:
    """Close a record whose lifecycle could not close it itself, for example by a second interrupt."""
    if record.status in (RunStatus.RUNNING, RunStatus.PENDING):
        cancelled = isinstance(error, KeyboardInterrupt)
        record.status = (RunStatus.CANCELLED if cancelled else RunStatus.FAILED).value
    record.error = record.error or error_text(error)
    record.ended_at = record.ended_at or utc_now()
    if "output" not in record.artifacts:
        record.output_path = None


class Interrupts:
    """
    Interrupts and requests to end, held back while the lab writes, let through while a model runs.

    One that comes at a bad moment is kept and raised at the next good one: in the model's next method, or
    when the record is closed. Outside of the main thread, which alone gets them, it does nothing.
    """

    def __init__(self) -> None:
        self._usual: dict[int, Any] = {}
        self._pending: int | None = None
        self._is_open = False
        self._folder: Path | None = None
        self._is_requested = False
        self._is_anothers = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                usual = _SIGNALS.getsignal(number)
                if usual is not None and usual != signal.SIG_IGN:  # None: another language's handler
                    self._usual[number] = usual
                    _SIGNALS.signal(number, self._take)
            usual = _SIGNALS.getsignal(WAKE_SIGNAL) if WAKE_SIGNAL is not None else None
            if usual is not None and WAKE_SIGNAL is not None:
                self._usual[WAKE_SIGNAL] = usual
                _SIGNALS.signal(WAKE_SIGNAL, self._wake)
        return self

    def watch_for_request(self, folder: Path) -> None:
        """
        Take requests to cancel from a run's folder, whoever writes them there: at each step that is told.

        In the main thread also at any moment between two of Python's own instructions, when
        :func:`dissmodel_lab.cancelling.request` wakes this process.
        """
        self._folder = folder
        self._is_requested = is_requested(folder)

    def __call__(self, event: Event) -> None:
        """Look for a request at a step, an Observer of the run: it needs neither signals nor the main thread."""
        if isinstance(event, StepFinished) and self._is_open:
            self._wake()

    def look(self) -> bool:
        """Look for a request between two events, where interrupts are let through; it ends the run by itself."""
        self._wake()
        return False

    def __exit__(self, *_: object) -> None:
        for number, usual in self._usual.items():
            _SIGNALS.signal(number, usual)
        was_woken, self._usual, pending = WAKE_SIGNAL in self._usual and self._is_anothers, {}, self._pending
        if pending is not None:
            signal.raise_signal(pending)
        if was_woken and WAKE_SIGNAL is not None:
            signal.raise_signal(WAKE_SIGNAL)

    @contextmanager
    def let_through(self) -> Iterator[None]:
        """Let interrupts through; one that is waiting comes at once."""
        try:
            self._is_open = True
            if self._is_requested:
                self._cancel()
            if self._is_anothers and WAKE_SIGNAL is not None:
                self._is_anothers = False
                self._usual[WAKE_SIGNAL](WAKE_SIGNAL, None)
            if self._pending is not None:
                pending, self._pending = self._pending, None
                self._pass_on(pending, None)
            yield
        finally:
            self._is_open = False

    def _wake(self, number: int = 0, frame: FrameType | None = None) -> None:
        """Cancel the run when that was asked for in its own folder; a late signal for another run does nothing."""
        if self._folder is not None and not self._is_requested and is_requested(self._folder):
            self._is_requested = True
            if self._is_open:
                self._cancel()
        elif number and callable(self._usual.get(number)):  # for the run whose model has begun this one
            if self._is_open:
                self._usual[number](number, frame)
            else:
                self._is_anothers = True

    def _cancel(self) -> NoReturn:
        asked = requested(self._folder) if self._folder is not None else None
        raise KeyboardInterrupt(interrupt_text(asked or Request()))

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self._is_open:
            self._pass_on(number, frame)
        else:
            self._pending = number

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        usual = self._usual.get(number)
        if callable(usual):
            usual(number, frame)
        else:  # the system's own way: for SIGTERM, the end of the process
            signal.signal(number, usual)
            signal.raise_signal(number)
