"""The record of a run, the description of its input, and the request for one: pure data, no I/O.

Provenance terms, for export: a run is a PROV *Activity* (RO-Crate ``CreateAction``), the executor its
*instrument*, source and parameters what it *used* (``object``), artifacts what it *generated*
(``result``).

The JSON form is readable by PyPI ``dissmodel`` 0.4 and later, and its records are readable here:
fields that are unknown on one side are kept or ignored, never refused.
"""

from __future__ import annotations

import functools
import os
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from math import isfinite
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import uuid4

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PrivateAttr,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationError,
    computed_field,
    model_serializer,
    model_validator,
)

from dissmodel_lab.executor.jsonvalue import decode, encode
from dissmodel_lab.redaction import HIDDEN, is_secret_key, redact_text, redact_uri

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Keys of a TOML's ``[model]`` that describe the model and are no parameters of it.
METADATA_KEYS = frozenset({"class", "name", "description", "package", "executor_module", "dissmodel"})

#: The field of an imported record that says where it came from and where the files lie that came with it.
IMPORTED_FIELD = "imported"
_WARNING = "Warning: "
_PLUGINS_SWITCH = "PYDANTIC_DISABLE_PLUGINS"

#: What is larger than these is looked at by :func:`encode`.
_LONG, _SHORT, _DEEP = 2**63, 200, 5


class RunStatus(StrEnum):
    """What became of a run. ``lost`` is never written: it is what a listing says of a dead ``running``."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


def utc_now() -> datetime:
    """
    Return the current time, aware and in UTC.

    Examples
    --------
    >>> utc_now().tzinfo
    datetime.timezone.utc
    """
    return datetime.now(UTC)


def _aware(moment: datetime) -> datetime:
    # dissmodel < 0.6 wrote naive times with datetime.utcnow(): they are UTC.
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:  # so that it is what pydantic, and a record that is mended, know as wrong
        raise ValueError(f"{moment.isoformat()} is outside of the calendar in UTC") from error


def _without_secrets(value: Any) -> Any:
    """Hide secrets in what :func:`encode` returned."""
    if isinstance(value, dict):
        if set(value) == {"$dict"}:  # pairs of key and value
            return {"$dict": [[_without_secrets(key), _hidden(key, item)] for key, item in value["$dict"]]}
        return {_write_name(key): _hidden(key, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    return redact_text(value) if isinstance(value, str) else value


def _hidden(name: Any, item: Any) -> Any:
    if not is_secret_key(name) or item is None or item == "" or isinstance(item, bool):
        return _without_secrets(item)
    if isinstance(item, int | float) and "pass" not in str(name).lower():  # token_count = 512 is no secret
        return item
    return HIDDEN


def _write_values(value: Any) -> Any:
    if not value and type(value) is dict:  # half of a record's are empty
        return value
    plain = _plain_copy(value) if isinstance(value, dict) else None
    return _without_secrets(encode(value)) if plain is None else plain


def _plain_copy(values: dict[Any, Any], depth: int = 0) -> dict[str, Any] | None:
    """Copy values that are written as they are, which most are; None when one of them needs a closer look."""
    copy = {}
    for name, item in values.items():
        kind = type(item)
        if type(name) is not str or not _is_harmless(name):
            return None
        if kind is float:
            fits = isfinite(item)
        elif kind is int:
            fits = -_LONG < item < _LONG
        elif kind is str:
            fits = len(item) < _SHORT and _is_harmless(item)
        elif kind is dict and depth < _DEEP:
            item = _plain_copy(item, depth + 1)  # noqa: PLW2901 -- its copy takes its place
            fits = item is not None
        else:
            fits = item is None or kind is bool
        if not fits:
            return None
        copy[name] = item
    return copy


@functools.lru_cache(maxsize=1024)
def _is_harmless(text: str) -> bool:
    """Tell whether a name or a text is written as it is, and hides nothing that stands beside it."""
    return text.isascii() and not text.startswith("$") and not is_secret_key(text) and redact_text(text) == text


@functools.lru_cache(maxsize=1024)
def _write_name(name: str) -> str:
    return redact_text(name)


def _write_text(value: Any) -> str:
    if type(value) is str:
        if not value or (value.isalnum() and value.isascii()):  # a hash, a name, a status: a word hides nothing
            return value
        if len(value) < _SHORT:  # paths and platforms, the same ones in each record
            return _write_short(value)
    # Executors put numbers, exceptions and paths where a text belongs: that must not lose the record.
    return redact_text(redact_uri(str(value))).encode("utf-8", "backslashreplace").decode()


@functools.lru_cache(maxsize=1024)
def _write_short(text: str) -> str:
    return redact_text(redact_uri(text)).encode("utf-8", "backslashreplace").decode()


def _write_texts(value: Any) -> Any:
    return {_write_reference(str(key)): "" if item is None else _write_text(item) for key, item in value.items()}


def _write_reference(value: Any) -> Any:
    # "token==1.0" is a package and no secret; an address such as git+https://name:password@host may hold one.
    return _write_text(value) if isinstance(value, str) and "://" in value else value


def _write_references(value: Any) -> Any:
    try:
        if "://" not in "\n".join((*value, *value.values())):  # nearly always
            return value
    except TypeError:  # something else than texts among them
        pass
    return {_write_reference(key): _write_reference(item) for key, item in value.items()}


def _own_copy(value: Any) -> Any:
    return {} if type(value) is dict and not value else decode(value)


UtcDatetime = Annotated[datetime, AfterValidator(_aware)]
#: A dict of anything: written as valid JSON without secrets, read back meaning the same.
Values = Annotated[dict[Any, Any], BeforeValidator(_own_copy), PlainSerializer(_write_values, when_used="json")]
AnyValue = Annotated[Any, BeforeValidator(_own_copy), PlainSerializer(_write_values, when_used="json")]
#: A text, a path or a URI: written as text without secrets.
Text = Annotated[str, PlainSerializer(_write_text, when_used="json-unless-none")]
Texts = Annotated[dict[str, str], PlainSerializer(_write_texts, when_used="json")]
#: A version, a package, a name: written as it is; of an address in it the secrets are hidden.
Reference = Annotated[str, PlainSerializer(_write_reference, when_used="json")]
References = Annotated[dict[str, str], PlainSerializer(_write_references, when_used="json")]


class _Schema(BaseModel):
    """Fields of a newer version survive a round trip; ``model_*`` are ordinary names here."""

    model_config = ConfigDict(extra="allow", protected_namespaces=(), defer_build=True)
    __pydantic_extra__: dict[str, AnyValue] = Field(init=False)


#: Types of sources by the scheme of their URI; every other one is local.
_TYPES = {
    "s3": "s3",
    "http": "http",
    "https": "http",
    "bdc_stac": "bdc_stac",
    "stac+https": "bdc_stac",
    "stac+http": "bdc_stac",
}


class _OpenSchema(_Schema):
    """A schema into which executors put fields of their own: one with a secret's name is hidden when written."""

    @model_serializer(mode="wrap")
    def _hide_secret_extras(self, write: SerializerFunctionWrapHandler, info: SerializationInfo) -> Any:
        return _without_secret_extras(self, write(self), info)


def _without_secret_extras(model: BaseModel, written: Any, info: SerializationInfo) -> Any:
    if model.model_extra and info.mode == "json":
        for name in model.model_extra:
            if name in written:
                written[name] = _hidden(name, written[name])
    return written


class DataSource(_OpenSchema):
    """
    The input dataset of a run.

    Examples
    --------
    >>> DataSource(type="s3", uri="s3://bucket/input.tif").checksum
    ''
    """

    type: str = "local"
    """``local``, ``s3``, ``http`` or ``bdc_stac``."""
    uri: Text = ""
    """A path, a URL, or the literal ``synthetic``; passwords and signatures are hidden when written."""
    collection: Reference = ""
    """The STAC collection, for ``bdc_stac``."""
    version: Reference = ""
    """The dataset's own version."""
    checksum: Text = ""
    """SHA-256 of what was read; filled by ``load``, empty before."""

    _named: tuple[str, str] | None = PrivateAttr(default=None)

    @property
    def named(self) -> str:
        """
        The URI by which the source was named, also while :attr:`uri` is that of the fetched file.

        It may hold secrets; what is written of it holds none.
        """
        return self._named[1] if self._named is not None else self.uri

    def read_from(self, path: Path) -> None:
        """
        Let executors read a remote source from the file that was fetched; what is written names the source still.

        Parameters
        ----------
        path : Path
            The fetched file or folder.

        Examples
        --------
        >>> source = DataSource.from_uri("s3://bucket/dem.tif")
        >>> source.read_from(Path("/cache/dem.tif"))
        >>> source.uri, source.type, source.model_dump()["uri"]
        ('/cache/dem.tif', 'local', 's3://bucket/dem.tif')
        >>> source.read_as_named()
        >>> source.uri, source.type
        ('s3://bucket/dem.tif', 's3')
        """
        if self._named is None:
            self._named = (self.type, self.uri)
        self.type, self.uri = "local", str(path)

    def read_as_named(self) -> None:
        """Take back what :meth:`read_from` did."""
        if self._named is not None:
            (self.type, self.uri), self._named = self._named, None

    @model_serializer(mode="wrap")
    def _hide_secret_extras(self, write: SerializerFunctionWrapHandler, info: SerializationInfo) -> Any:
        written = _without_secret_extras(self, write(self), info)
        if self._named is not None:
            kind, uri = self._named
            named = {"type": kind, "uri": _write_text(uri) if info.mode == "json" else uri}
            written.update({name: value for name, value in named.items() if name in written})
        return written

    def __repr_args__(self) -> list[tuple[str, object]]:
        kind = self._named[0] if self._named is not None else self.type
        return [("type", kind), ("uri", redact_uri(str(self.named))), ("checksum", self.checksum)]

    @classmethod
    def from_uri(cls, uri: str) -> DataSource:
        """
        Describe an input by its URI alone.

        Examples
        --------
        >>> DataSource.from_uri("https://host/grid.tif").type
        'http'
        """
        scheme = uri.partition("://")[0].lower() if "://" in uri else ""
        return cls(type=_TYPES.get(scheme, "local"), uri=uri)


class PhaseUsage(_Schema):
    """What one phase took. How it is measured: :mod:`dissmodel_lab.executor.meter`."""

    started_at: UtcDatetime
    """When the phase began."""
    seconds: float
    """Wall-clock time [s]."""
    status: Literal["completed", "failed", "cancelled"] = "completed"
    """How the phase ended."""
    peak_memory_bytes: int | None = None
    """Largest resident memory of the process during the phase [bytes]; None where it cannot be measured."""
    read_bytes: int | None = None
    """Bytes that the process read through system calls, cached or not [bytes]."""
    written_bytes: int | None = None
    """Bytes that the process wrote through system calls [bytes]."""


class GitState(_Schema):
    """The state of a git repository when a run began."""

    commit: str = ""
    """Full hash of HEAD; empty before the first commit."""
    dirty: bool | None = None
    """True when tracked files differ from HEAD; None when git could not say."""


# Empty containers come from factories: a default of {} is copied by copy.deepcopy, seventeen of them for each record.
class Provenance(_OpenSchema):
    """Where a run came from, beyond the contract's own fields. Everything here is optional."""

    executor_class: str = ""
    """Import path ``package.module:Class`` of the executor."""
    executor_package: Reference = ""
    """``name==version`` of the distribution that holds the executor; empty for a loose file or a cell."""
    executor_git: GitState | None = None
    notebook_path: Text = ""
    """Path of the notebook, where the front end tells it."""
    notebook_git: GitState | None = None
    cell_source: Text = ""
    """Source of the cell that started the run."""
    cell_sha256: str = ""
    """SHA-256 of the cell's source as written here, in UTF-8."""
    execution_count: int | None = None
    """The prompt number ``In [n]``."""
    command: Text = ""
    """The terminal command that started the run."""
    seed: int | None = None
    """The parameter ``seed``, when the model has one."""
    versions: References = Field(default_factory=dict)
    """Versions of Python, GDAL and the packages that decide over results."""
    user: str = ""
    hostname: str = ""
    platform: str = ""
    cpu_count: int | None = None
    memory_bytes: int | None = None
    working_folder: Text = ""
    process_id: int | None = None
    process_started: float | None = None
    """Start time of the process [s since 1970]."""
    process_mark: str = ""
    """What tells a dead process from a later one with its number, also when the clock was set meanwhile."""


class ExperimentRecord(_OpenSchema):
    """
    One execution of one model: what went in, what happened, what came out.

    Examples
    --------
    >>> record = ExperimentRecord(model_name="flood", parameters={"years": 20})
    >>> record.output_sha256 = "abc123"
    >>> record.artifacts
    {'output': 'abc123'}
    >>> ExperimentRecord.model_validate_json(record.model_dump_json()).parameters
    {'years': 20}
    """

    experiment_id: str = Field(default_factory=lambda: uuid4().hex)
    created_at: UtcDatetime = Field(default_factory=utc_now)

    model_name: str = ""
    model_commit: Reference = ""
    """Git commit of the executor, or ``package==version`` where there is none."""
    code_version: Reference = ""
    """Version of the package that holds the executor."""
    resolved_spec: Values = Field(default_factory=dict)
    """The model's TOML as it was read, ``{"model": {...}}``."""

    source: DataSource = Field(default_factory=DataSource)
    input_format: str = "auto"
    column_map: Values = Field(default_factory=dict)
    band_map: Values = Field(default_factory=dict)
    parameters: Values = Field(default_factory=dict)
    """Resolved parameters, declared defaults included."""
    parameter_origins: References = Field(default_factory=dict)
    """Where each value comes from: given, toml, default (declared), default taken, cell, model (it put it there)."""
    defaults_taken: Values = Field(default_factory=dict)
    """Values that the executor chose by itself, because nothing was given (``.get("end_time", 88)``)."""
    unread_parameters: list[Text] = Field(default_factory=list)
    """Names that were given, but that the executor never asked for."""
    parameter_files: Texts = Field(default_factory=dict)
    """SHA-256 of each file that a parameter names, by the parameter's place (``demand_csv``, ``maps[0].path``)."""
    parameter_defaults: Values = Field(default_factory=dict)
    """The default of each parameter whose value is another one; None where no default is known."""
    period: tuple[str, str] | None = None
    """First and last period of time-dependent inputs, as PyPI dissmodel 0.6 writes it."""

    fetched: list[Values] = Field(default_factory=list)
    """The files of a remote source, as they were fetched: ``uri``, ``name``, ``sha256``, ``bytes``, ``etag``, ..."""

    output_path: Text | None = None
    artifacts: Texts = Field(default_factory=dict)
    """SHA-256 of each file the run produced; ``output`` is the main one."""
    artifact_paths: Texts = Field(default_factory=dict)
    """Path of each artifact, relative to the record's folder where it lies in it."""
    content_sha256: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of each artifact's content, independent of file container and compression."""

    output_georeference: Values = Field(default_factory=dict)
    """``crs``, ``transform`` (six numbers a to f) and ``shape`` of the output, where its file has lost them."""

    metrics: Values = Field(default_factory=dict)
    steps: int | None = None
    """How many steps of simulated time were completed; None when the model tells none."""
    status: Text = RunStatus.PENDING.value
    logs: list[Text] = Field(default_factory=list)

    started_at: UtcDatetime | None = None
    ended_at: UtcDatetime | None = None
    phases: dict[str, PhaseUsage] = Field(default_factory=dict)
    """What each phase that ended took."""
    verdict: Values = Field(default_factory=dict)
    """What this run says of an earlier one that it repeats: see :mod:`dissmodel_lab.verification`."""
    engine: Text = ""
    """Where it ran: ``inline`` (the process that asked for it), ``process``, ``dask`` or ``platform``."""
    limits: Values = Field(default_factory=dict)
    """What the run was allowed: ``seconds`` [s], ``memory_bytes`` [bytes]; empty without limits."""
    sweep: Values = Field(default_factory=dict)
    """Of which sweep it is which point: ``id`` and ``point``; see :mod:`dissmodel_lab.sweeps`."""
    platform: Values = Field(default_factory=dict)
    """Which job of which DisSModel Platform server it is: ``url``, ``id``, and ``mark``, its name's end there."""
    failed_phase: str | None = None
    """The phase in which the run failed or was cancelled."""
    error: Text | None = None
    """``Type: message`` of the exception that ended the run; the traceback is in ``logs``."""
    provenance: Provenance | None = None

    _record_path: Path | None = PrivateAttr(default=None)

    def __repr_args__(self) -> list[tuple[str, object]]:
        # Not the values, which may hold secrets: a cell's output is shared. The record's page shows them safely.
        return [(name, getattr(self, name, None)) for name in ("experiment_id", "model_name", "status")]

    @property
    def record_path(self) -> Path | None:
        """Where this record lies on disk; None while it is in memory only. Not part of the JSON."""
        return self._record_path

    def artifact_path(self, name: str = "output") -> Path | None:
        """
        Return where an artifact lies, seen from the record's own folder; None when no path is known.

        Examples
        --------
        >>> ExperimentRecord(artifact_paths={"output": "out/flood.tif"}).artifact_path().as_posix()
        'out/flood.tif'
        """
        said = self.artifact_paths.get(name) or (self.output_path if name == "output" else None)
        if not said:
            return None
        if self._record_path is not None and (self._record_path.parent / said).exists():
            return self._record_path.parent / said
        return self.resolve_path(Path(said))

    def resolve_path(self, path: Path) -> Path:
        """
        Return a relative path as the run meant it: seen from its working folder, not from today's.

        A file that is not there, but came with an imported record, is found in the record's own folder.

        Examples
        --------
        >>> record = ExperimentRecord(provenance=Provenance(working_folder="/data/ana"))
        >>> record.resolve_path(Path("dem.tif")).as_posix()
        '/data/ana/dem.tif'
        """
        folder = self.provenance.working_folder if self.provenance is not None else ""
        is_here = path.is_absolute() or not folder or Path(folder) == Path.cwd()
        usual = path if is_here else Path(folder) / path
        if self.is_imported and not os.path.lexists(usual):
            return self.carried_path(str(path)) or usual
        return usual

    def carried_path(self, said: str) -> Path | None:
        """
        Return where a file lies that came with an imported record; None when none of that path did.

        Parameters
        ----------
        said : str
            The path as the record has it; the import notes for each where its file lies in the record's folder.

        Examples
        --------
        >>> ExperimentRecord().carried_path("dem.tif") is None
        True
        """
        imported = (self.model_extra or {}).get(IMPORTED_FIELD)
        files = imported.get("files") if isinstance(imported, dict) else None
        for item in files if isinstance(files, list) and self._record_path is not None else []:
            place = item.get("file") if isinstance(item, dict) else None
            if isinstance(place, str) and isinstance(item.get("said"), str) and Path(item["said"]) == Path(said):
                inside = PurePosixPath(place)
                if not inside.is_absolute() and ".." not in inside.parts:
                    return self._record_path.parent / inside  # type: ignore[union-attr]  # the loop has looked
        return None

    @property
    def is_imported(self) -> bool:
        """True when the record came with files of its own, and names folders of another machine. Not in the JSON."""
        return IMPORTED_FIELD in (self.model_extra or {})

    @property
    def output_sha256(self) -> str | None:
        """SHA-256 of the main output: ``artifacts["output"]``."""
        return self.artifacts.get("output")

    @output_sha256.setter
    def output_sha256(self, value: str | None) -> None:
        if value is not None:
            self.artifacts["output"] = value

    def add_log(self, msg: str) -> None:
        """
        Append a line to the log.

        Examples
        --------
        >>> record = ExperimentRecord()
        >>> record.add_log("12 cells flooded")
        >>> record.logs
        ['12 cells flooded']
        """
        self.logs.append(str(msg))

    def add_warning(self, msg: str) -> None:
        """
        Append a line to the log that people should not miss: views show it first.

        Examples
        --------
        >>> record = ExperimentRecord()
        >>> record.add_warning("grid.tif has no CRS.")
        >>> record.logs, record.warnings
        (['Warning: grid.tif has no CRS.'], ['grid.tif has no CRS.'])
        """
        self.logs.append(f"{_WARNING}{msg}")

    @property
    def warnings(self) -> list[str]:
        """What :meth:`add_warning` put into the log. Not part of the JSON."""
        return [line.removeprefix(_WARNING) for line in self.logs if line.startswith(_WARNING)]

    def add_artifact(self, name: str, checksum: str) -> None:
        """
        Note the SHA-256 of a file that the run produced.

        Examples
        --------
        >>> record = ExperimentRecord()
        >>> record.add_artifact("report", "e3b0c442")
        >>> record.artifacts
        {'report': 'e3b0c442'}
        """
        self.artifacts[name] = checksum


def lasting_json(record: ExperimentRecord) -> str:
    """
    Return a record's JSON; what cannot be written is mended first. :func:`can_be_read` tells the rest.

    Examples
    --------
    >>> record = ExperimentRecord(model_name="flood")
    >>> record.period = 5
    >>> can_be_read(lasting_json(record)), record.period is None
    (True, True)
    """
    try:
        return record.model_dump_json(indent=2, warnings="error")
    except Exception:  # noqa: BLE001 -- whatever an executor left there may raise anything
        mend(record)
        return record.model_dump_json(indent=2)


def can_be_read(text: str) -> bool:
    """
    Tell whether a text will be read back as a record.

    Examples
    --------
    >>> can_be_read('{"created_at": "yesterday"}')
    False
    """
    try:
        ExperimentRecord.model_validate_json(text)
    except ValidationError:
        return False
    return True


def mend(record: ExperimentRecord) -> bool:
    """
    Make a record writable again whose fields an executor has set to what does not fit; say so in its log.

    Parameters
    ----------
    record : ExperimentRecord
        Changed in place: a field that cannot be written and read back gets its default.

    Returns
    -------
    bool
        True when something had to be mended.

    Examples
    --------
    >>> record = ExperimentRecord(model_name="flood")
    >>> record.period = 5
    >>> mend(record), record.period, record.logs
    (True, None, ['record.period could not be written and was reset; it was: 5'])
    """
    if _can_be_written(record):
        return False
    for name, field in ExperimentRecord.model_fields.items():
        value = getattr(record, name, None)
        alone = ExperimentRecord()
        setattr(alone, name, value)
        if not _can_be_written(alone):
            setattr(record, name, field.get_default(call_default_factory=True, validated_data={}))
            record.logs.append(f"record.{name} could not be written and was reset; it was: {shown_value(value)}")
    return True


def _can_be_written(record: ExperimentRecord) -> bool:
    try:
        text = record.model_dump_json(warnings="error")
    except Exception:  # noqa: BLE001 -- whatever an executor left there may raise anything
        return False
    return can_be_read(text)


def shown_value(value: Any) -> str:
    """
    Return a value as a message shows it: short, and never raising.

    Examples
    --------
    >>> shown_value([1, 2])
    '[1, 2]'
    """
    try:
        return f"{value!r:.200}"
    except Exception:  # noqa: BLE001 -- repr() of a value is its author's code
        return type(value).__name__


class JobRequest(_OpenSchema):
    """
    A request for a run, as the DisSModel platform takes it.

    Both documented forms are accepted and normalised to one: the nested
    ``model={"class": ..., "package": ..., "parameters": {...}}, source={...}`` and the flat
    ``model_name=..., input_dataset=..., parameters={...}``.

    Raises
    ------
    pydantic.ValidationError
        When there is neither a model name nor a ``model`` with a ``class``.

    Examples
    --------
    >>> nested = JobRequest(model={"class": "flood", "parameters": {"years": 3}}, source={"uri": "s3://b/g.tif"})
    >>> flat = JobRequest(model_name="flood", input_dataset="s3://b/g.tif", parameters={"years": 3})
    >>> nested == flat
    True
    >>> flat.model["class"], nested.input_dataset, nested.source.type
    ('flood', 's3://b/g.tif', 's3')
    """

    model_name: str = Field(min_length=1, validation_alias=AliasChoices("model_name", "class"))
    package: str = ""
    source: DataSource = Field(default_factory=DataSource)
    input_format: Literal["tiff", "vector", "auto"] = "auto"
    parameters: Values = {}
    column_map: Values = {}
    band_map: Values = {}
    priority: Literal["low", "normal", "high"] = "normal"

    @model_validator(mode="before")
    @classmethod
    def _normalise(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        flat = dict(data)
        nested = flat.pop("model", None)
        if isinstance(nested, dict):
            spec = {key: value for key, value in nested.items() if key not in ("class", "name")}
            spec["model_name"] = nested.get("class", nested.get("name", ""))
            flat = {
                **spec,
                **flat,
                "parameters": {**_table(nested, "parameters"), **_table(flat, "parameters")},
            }
        dataset = flat.pop("input_dataset", None)
        if dataset is not None and "source" not in flat:
            flat["source"] = DataSource.from_uri(str(dataset))
        source = flat.get("source")
        if isinstance(source, dict) and "type" not in source:
            flat["source"] = {**source, "type": DataSource.from_uri(str(source.get("uri", ""))).type}
        return flat

    @property
    def model(self) -> dict[str, Any]:
        """The nested form: class, package and parameters."""
        return {"class": self.model_name, "package": self.package, "parameters": self.parameters}

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated properties
    @property
    def input_dataset(self) -> Text:
        """URI of the input, as the flat form names it."""
        return self.source.uri


@contextmanager
def _without_plugins() -> Iterator[None]:
    """Keep pydantic from searching every installed package for plugins: a tenth of the first run's time."""
    usual = os.environ.get(_PLUGINS_SWITCH)
    os.environ[_PLUGINS_SWITCH] = "__all__"
    try:
        yield
    finally:
        del os.environ[_PLUGINS_SWITCH]
        if usual is not None:
            os.environ[_PLUGINS_SWITCH] = usual


with _without_plugins():
    for _schema in (DataSource, PhaseUsage, GitState, Provenance, ExperimentRecord):
        _schema.model_rebuild()  # what every run needs; JobRequest is built when it is used


def _table(spec: dict[str, Any], name: str) -> dict[str, Any]:
    table = spec.get(name)
    if table is not None and not isinstance(table, dict):
        raise ValueError(f"{name} must be a table of names and values, got {table!r:.80}")
    return table or {}
