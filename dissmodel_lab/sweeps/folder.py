"""The folder of a sweep: its design in ``sweep.json``, the lock of who drives it, a folder for each run."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from dissmodel_lab.errors import SweepError
from dissmodel_lab.executor.jsonvalue import decode, encode
from dissmodel_lab.executor.schemas import DataSource, ExperimentRecord
from dissmodel_lab.jobs import Limits
from dissmodel_lab.language import message
from dissmodel_lab.parameters import ModelSpec
from dissmodel_lab.provenance import Caller
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.store.files import safe_name, write_atomic
from dissmodel_lab.sweeps.design import Axis, SweepDesign

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

DESIGN_NAME = "sweep.json"
RESULTS_NAME = "results.jsonl"
LOCK_NAME = ".driver"
STOP_NAME = "cancel"
"""Whoever makes this file in a sweep's folder ends the sweep."""
VERSION = 1
_FORMAT = "dissmodel_lab sweep"
_LARGEST = 512 * 1024**2
"""A larger file is no design of ours [bytes]."""
_RUN_NAME = re.compile(r"(\d{6,})(?:-(\d+))?")
_PATIENCE, _LOOK = 0.5, 0.05
"""How long a lock is waited for, and between two looks [s]: somebody may just be asking who holds it."""


@dataclass(frozen=True, kw_only=True)
class SweepFacts:
    """All that is written of a sweep before it begins."""

    id: str
    created_at: str
    """ISO 8601, in UTC."""
    design: SweepDesign
    executor_class: str
    """Import path ``package.module:Class`` of the model."""
    code_sha256: str = ""
    """SHA-256 of the source of the model's class; empty where there is none to read."""
    spec: ModelSpec = field(default_factory=ModelSpec)
    """The model's TOML."""
    source: DataSource | None = None
    """The input of all runs; None when the model makes its own."""
    working_folder: str = ""
    engine: str = "process"
    limits: Limits = field(default_factory=Limits)
    caller: Caller = field(default_factory=Caller)
    """The cell or command that asked for it."""


def new_id() -> str:
    """
    Return the id of a new sweep.

    Examples
    --------
    >>> len(new_id())
    32
    """
    return uuid4().hex


def run_id(sweep_id: str, point: int, attempt: int) -> str:
    """
    Return the id of the record of a point's attempt: always the same, so that no run is ever counted twice.

    Examples
    --------
    >>> run_id("0" * 32, 1, 1)
    '13377b3cdc8d51c7bde328ce6e51d589'
    >>> run_id("0" * 32, 1, 1) == run_id("0" * 32, 1, 2)
    False
    """
    try:
        space = UUID(sweep_id)
    except ValueError:
        space = uuid5(NAMESPACE_URL, sweep_id)
    return uuid5(space, f"{point}/{attempt}").hex


def run_name(point: int, attempt: int) -> str:
    """
    Return the name of the folder of a point's attempt.

    Examples
    --------
    >>> run_name(7, 1), run_name(7, 2)
    ('000007', '000007-2')
    """
    return f"{point:06d}" if attempt == 1 else f"{point:06d}-{attempt}"


class SweepFolder:
    """
    The folder of a sweep.

    Parameters
    ----------
    path : Path
        Where it lies; absolute.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, store: Path, facts: SweepFacts) -> Self:
        """
        Make the folder of a new sweep and write its design.

        Raises
        ------
        SweepError
            When the store cannot be written.
        """
        moment = datetime.fromisoformat(facts.created_at).strftime("%Y%m%dT%H%M%S")
        path = store / f"{moment}-sweep-{safe_name(facts.design.model_name)}-{facts.id[:8]}"
        try:
            path.mkdir(parents=True)
            write_atomic(path / DESIGN_NAME, _written(facts))
        except OSError as error:
            raise SweepError(
                message(
                    "The sweep cannot be kept in {store!r}: {strerror}. Nothing was run. Make room or make the "
                    "folder writable, or choose another store.",
                    store=str(store),
                    strerror=error.strerror or error,
                )
            ) from error
        return cls(path)

    def read(self) -> SweepFacts:
        """
        Read the design.

        Raises
        ------
        SweepError
            When there is none, when it is of another version, or was changed since it was written.
        """
        place = self.path / DESIGN_NAME
        try:
            content = place.read_bytes() if place.stat().st_size <= _LARGEST else None
        except OSError as error:
            raise SweepError(
                message(
                    "{path!r} holds no sweep: {design_name}: {strerror}.",
                    path=str(self.path),
                    design_name=DESIGN_NAME,
                    strerror=error.strerror or error,
                )
            ) from error
        if content is None:
            raise SweepError(message("{place!r} is too large for a sweep's design.", place=str(place)))
        if not content.strip(b"\0 \t\r\n"):  # what a power failure may leave of a file
            raise SweepError(message("{place!r} is empty. {damaged}", place=str(place), damaged=_DAMAGED))
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise SweepError(
                message(
                    "{place!r} cannot be read: {error!s:.200}. {damaged}",
                    place=str(place),
                    error=error,
                    damaged=_DAMAGED,
                )
            ) from error
        if not isinstance(document, dict) or document.get("format") != _FORMAT:
            raise SweepError(message("{place!r} is no design of a sweep.", place=str(place)))
        if document.get("version") != VERSION:
            raise SweepError(
                message(
                    "{place!r} was written by another version of dissmodel_lab: format {document!r:.20}; this one "
                    "reads {version}. Open it with that version, or begin a new sweep.",
                    place=str(place),
                    document=document.get("version"),
                    version=VERSION,
                )
            )
        written: Any = document.get("sweep")
        if document.get("sha256") != _sha256(written):
            raise SweepError(
                message("{place!r} was changed after the sweep began. {damaged}", place=str(place), damaged=_DAMAGED)
            )
        try:
            return _read_facts(written)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SweepError(
                message(
                    "{place!r} cannot be understood: {error!s:.200}. {damaged}",
                    place=str(place),
                    error=error,
                    damaged=_DAMAGED,
                )
            ) from error

    def attempts(self) -> dict[int, list[int]]:
        """
        Return the attempts whose folders are there, in their order, by point.

        Raises
        ------
        SweepError
            When the folder cannot be read.
        """
        found: dict[int, list[int]] = {}
        try:
            with os.scandir(self.path) as entries:
                for entry in entries:
                    name = _RUN_NAME.fullmatch(entry.name)
                    if name is not None and entry.is_dir(follow_symlinks=False):
                        found.setdefault(int(name[1]), []).append(int(name[2] or 1))
        except OSError as error:
            raise SweepError(
                message(
                    "The sweep in {path!r} cannot be read: {strerror}.",
                    path=str(self.path),
                    strerror=error.strerror or error,
                )
            ) from error
        return {point: sorted(attempts) for point, attempts in found.items()}

    def run_folder(self, point: int, attempt: int) -> Path:
        """Return the folder of a point's attempt."""
        return self.path / run_name(point, attempt)

    @property
    def is_stop_asked(self) -> bool:
        """Whether somebody asked the sweep to end."""
        return os.path.lexists(self.path / STOP_NAME)

    def ask_stop(self, why: str) -> None:
        """
        Ask whoever drives the sweep to end it.

        Raises
        ------
        SweepError
            When the folder cannot be written.
        """
        try:
            (self.path / STOP_NAME).write_text(why, encoding="utf-8")
        except OSError as error:
            raise SweepError(
                message(
                    "The sweep in {path!r} cannot be asked to end: {strerror}. Who may write that folder can "
                    "cancel it.",
                    path=str(self.path),
                    strerror=error.strerror or error,
                )
            ) from error

    def forget_stop(self) -> None:
        """Take back that somebody asked the sweep to end."""
        with suppress(OSError):
            (self.path / STOP_NAME).unlink(missing_ok=True)

    @property
    def is_driven(self) -> bool:
        """Whether a process drives the sweep now."""
        try:
            lock = os.open(self.path / LOCK_NAME, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
        except OSError:  # nobody ever did
            return False
        try:
            return not _try_lock(lock, is_shared=True)  # who asks at the same time is not taken for a driver
        finally:
            os.close(lock)


_DAMAGED = message("Its runs are still there, and listed with all others; start a new sweep for the rest.")


class DriverLock:
    """
    The right to drive a sweep: one process at a time, and nobody once that process is gone.

    Parameters
    ----------
    folder : SweepFolder
        Of the sweep.
    """

    def __init__(self, folder: SweepFolder) -> None:
        self._path = folder.path / LOCK_NAME
        self._file: int | None = None

    def acquire(self) -> None:
        """
        Take the lock.

        Raises
        ------
        SweepError
            When another process, or another thread of this one, drives the sweep; or the folder cannot be written.
        """
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise SweepError(
                message(
                    "The sweep in {parent!r} cannot go on: {strerror}. Make room or make the folder writable.",
                    parent=str(self._path.parent),
                    strerror=error.strerror or error,
                )
            ) from error
        deadline = time.monotonic() + _PATIENCE
        while not _try_lock(file):
            if time.monotonic() > deadline:
                said = _who(file)
                os.close(file)
                raise SweepError(
                    message("The sweep is being run already{said}. Wait for it, or cancel it first.", said=said)
                )
            time.sleep(_LOOK)
        self._file = file
        facts = {"process": os.getpid(), "host": platform.node(), "since": datetime.now(UTC).isoformat()}
        with suppress(OSError):  # a full disk: the lock holds without its words
            os.ftruncate(file, 0)
            os.lseek(file, 0, os.SEEK_SET)
            os.write(file, json.dumps(facts).encode())

    def release(self) -> None:
        """Give the lock back."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _try_lock(file: int, *, is_shared: bool = False) -> bool:
    """Lock a file until it is closed; False when somebody else has. A system without locks lets everybody in."""
    try:
        import fcntl  # noqa: PLC0415 -- not on Windows
    except ImportError:
        import msvcrt  # noqa: PLC0415 -- only on Windows

        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]  # only there
        except OSError:
            return False
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: the runs' folders still belong to one each
        return True
    return True


def _who(file: int) -> str:
    try:
        os.lseek(file, 0, os.SEEK_SET)
        facts = json.loads(os.read(file, 4096))
        return message(
            ", by process {facts} on {facts_2} since {facts_3} UTC",
            facts=int(facts["process"]),
            facts_2=str(facts["host"])[:80],
            facts_3=str(facts["since"])[:19],
        )
    except (OSError, ValueError, KeyError, TypeError):  # not written yet
        return ""


def find_folders(store: Path) -> Iterator[SweepFolder]:
    """
    Return the folders of the sweeps in a store, newest first.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> list(find_folders(Path(tempfile.mkdtemp())))
    []
    """
    found = sorted(store.glob(f"*-sweep-*/{DESIGN_NAME}"), key=_age, reverse=True)
    return (SweepFolder(path.parent) for path in found)


def _age(design: Path) -> tuple[str, int]:
    """Return the second in a folder's name, and among those of one second when its design was written."""
    try:
        written = design.stat().st_mtime_ns
    except OSError:  # it was removed just now
        written = 0
    return design.parent.name.partition("-")[0], written


# ------------------------------------------------------------------------------------------------ sweep.json


def _sha256(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _written(facts: SweepFacts) -> bytes:
    """Write it as a record is written: without secrets."""
    caller = {name: redact_text(item) if isinstance(item, str) else item for name, item in vars(facts.caller).items()}
    content = {
        "id": facts.id,
        "created_at": facts.created_at,
        "executor_class": facts.executor_class,
        "code_sha256": facts.code_sha256,
        "spec": {
            "model": facts.spec.model,
            "parameters": _without_secrets(facts.spec.parameters),
            "document": _without_secrets(facts.spec.document),
        },
        "source": facts.source.model_dump(mode="json") if facts.source is not None else None,
        "working_folder": facts.working_folder,
        "engine": facts.engine,
        "limits": facts.limits._asdict(),
        "caller": caller,
        "design": _design_content(facts.design),
    }
    plain = json.loads(json.dumps(content))  # as it will be read back, so that the hash is of the same
    document = {"format": _FORMAT, "version": VERSION, "sha256": _sha256(plain), "sweep": plain}
    return json.dumps(document).encode()


def _without_secrets(values: Mapping[str, Any]) -> Any:
    return ExperimentRecord(parameters=dict(values)).model_dump(mode="json", include={"parameters"})["parameters"]


def _design_content(design: SweepDesign) -> dict[str, Any]:
    return {
        "model": design.model_name,
        "axes": [{entry.name: encode(getattr(axis, entry.name)) for entry in fields(axis)} for axis in design.axes],
        "sample": design.sample,
        "settings": [[encode(value) for value in values] for values in design.settings],
        "seeds": list(design.seeds),
        "fixed": _without_secrets(design.parameters),
        "design_seed": design.design_seed,
        "units": [list(row) for row in design.units],
        "notes": list(design.notes),
    }


def _read_facts(content: dict[str, Any]) -> SweepFacts:
    spec, source = content["spec"], content["source"]
    return SweepFacts(
        id=str(content["id"]),
        created_at=str(content["created_at"]),
        design=_read_design(content["design"]),
        executor_class=str(content["executor_class"]),
        code_sha256=str(content["code_sha256"]),
        spec=ModelSpec(spec["model"], parameters=decode(spec["parameters"]), document=decode(spec["document"])),
        source=None if source is None else DataSource.model_validate(source),
        working_folder=str(content["working_folder"]),
        engine=str(content["engine"]),
        limits=Limits(**content["limits"]),
        caller=Caller(**content["caller"]),
    )


def _read_design(content: dict[str, Any]) -> SweepDesign:
    axes = tuple(Axis(**{name: decode(value) for name, value in axis.items()}) for axis in content["axes"])
    return SweepDesign(
        model_name=content["model"],
        axes=tuple(replace(axis, values=tuple(axis.values)) for axis in axes),
        sample=content["sample"],
        settings=tuple(tuple(decode(value) for value in values) for values in content["settings"]),
        seeds=tuple(content["seeds"]),
        parameters=decode(content["fixed"]),
        design_seed=content["design_seed"],
        units=tuple(tuple(row) for row in content["units"]),
        notes=tuple(content["notes"]),
    )
