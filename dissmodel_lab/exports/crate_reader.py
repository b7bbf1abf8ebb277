"""An RO-Crate back into the store: a run folder of its own, as if the run had been made here.

A crate of :func:`dissmodel_lab.exports.ro_crate.export_ro_crate` brings its record, which stays as it is but for
one field, ``imported``: where the crate came from, what it did not hold, and where the files that came with it lie
in the run's folder, by the paths that the record has for them. A crate of another program is read as far as its
first ``CreateAction`` says something.

Nothing of a crate is believed, fetched or run. Its files are copied under names that are chosen here, into a
temporary folder of the store that becomes the run's folder in one step; whatever goes wrong, nothing is left.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from pydantic import ValidationError

from dissmodel_lab.annotations import ANNOTATIONS_NAME
from dissmodel_lab.errors import ExportError, LabError, shown
from dissmodel_lab.executor.schemas import IMPORTED_FIELD, ExperimentRecord, can_be_read, lasting_json, utc_now
from dissmodel_lab.exports.crate_action import described_run
from dissmodel_lab.exports.crate_archive import METADATA_NAME, CrateLimits, open_crate
from dissmodel_lab.exports.crate_files import SIDECARS, parameter_files, safe_file_name
from dissmodel_lab.exports.crate_metadata import place_of, read_metadata
from dissmodel_lab.index import RunQuery
from dissmodel_lab.language import message
from dissmodel_lab.plain import as_on_disk
from dissmodel_lab.settings import SETTINGS_NAME
from dissmodel_lab.sources import folder_sha256, local_path
from dissmodel_lab.store import JOURNAL_NAME, RECORD_NAME, RunStore, read_record, record_line, safe_name, write_atomic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dissmodel_lab.exports.crate_action import Described
    from dissmodel_lab.exports.crate_archive import Crate
    from dissmodel_lab.exports.crate_files import Role
    from dissmodel_lab.exports.crate_metadata import Metadata

_STAGE = ".import-"
_STALE = 24 * 3600.0
"""A stage that is older was left by a kill [s]."""
_MOST_NOTES = 4 * 1024 * 1024
"""Largest file of annotations [bytes]."""
_LONGEST_ID = 200
_OWN_NAMES = frozenset(
    {
        *(RECORD_NAME, JOURNAL_NAME, ANNOTATIONS_NAME, f"imported-{METADATA_NAME}", "partial", "input"),
        *("imported-files", SETTINGS_NAME),  # a crate may not say who exports from this store
    }
)
_MOST_TOLD = 100
"""Most things that are told to be missing, one by one."""
_CHECKSUM = re.compile(r"[0-9a-f]{32,128}")


class Imported(NamedTuple):
    """What became of a crate."""

    record_path: Path
    """The record in the store."""
    is_new: bool
    """False when the store had this run already; nothing was changed then."""
    notes: tuple[str, ...]
    """What the crate did not hold or say, in sentences."""


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """A file or folder that the record names."""

    role: Role
    name: str
    said: str
    checksum: str
    """As the record has it; empty when it has none."""
    place: str
    """Where it stands in the crate; empty when it is not there."""


@dataclass
class _Plan:
    """What will be imported."""

    record: ExperimentRecord
    is_ours: bool
    wanted: list[_Wanted]
    notes: list[str] = field(default_factory=list)


def import_crate(
    path: str | Path, store: str | Path | RunStore | None = None, *, limits: CrateLimits | None = None
) -> Imported:
    """
    Read an RO-Crate into the store.

    Parameters
    ----------
    path : str or Path
        A folder or a ``.zip``.
    store : str, Path or RunStore, optional
        ``experiments`` in the working folder when not given.
    limits : CrateLimits, optional
        How many files and bytes a crate may hold.

    Returns
    -------
    Imported
        The record's path, whether it is new here, and what the crate did not hold.

    Raises
    ------
    ExportError
        When it is no crate, is damaged, was changed since it was written, could do harm, or when the store holds
        another record with its id, or cannot be written. Nothing is left then.

    Examples
    --------
    >>> import tempfile
    >>> from dissmodel_lab.exports.ro_crate import export_ro_crate
    >>> from dissmodel_lab.runner import run
    >>> folder = Path(tempfile.mkdtemp())
    >>> record = run("game_of_life", parameters={"generations": 2}, store=folder / "mine")
    >>> crate = export_ro_crate(record, folder / "life.zip")
    >>> imported = import_crate(crate, folder / "yours")
    >>> read_record(imported.record_path).artifacts == record.artifacts, imported.notes
    (True, ())
    >>> import_crate(crate, folder / "yours").is_new
    False
    """
    keep = store if isinstance(store, RunStore) else RunStore(store)
    with open_crate(Path(path), limits or CrateLimits()) as crate:
        metadata, content = read_metadata(crate)
        plan = _plan(crate, metadata, content)
        known = _known(keep, plan)
        if known is not None:
            return Imported(known, is_new=False, notes=())
        try:
            record_path = _bring_in(crate, metadata, content, plan, keep)
        except OSError as error:
            raise ExportError(
                message(
                    "The crate {name} cannot be kept in the store {root!r}: {strerror}. Nothing of it is left "
                    "there. Make room, or make the store writable, or choose another.",
                    name=crate.name,
                    root=str(keep.root),
                    strerror=error.strerror or error,
                )
            ) from error
        return Imported(record_path, is_new=True, notes=tuple(plan.notes))


def _plan(crate: Crate, metadata: Metadata, content: bytes) -> _Plan:
    if _is_ours(crate, metadata):
        return _plan_of_ours(crate, metadata)
    found = described_run(metadata, content)
    return _Plan(found.record, is_ours=False, wanted=_wanted_of_others(found, crate, metadata), notes=found.notes)


def _is_ours(crate: Crate, metadata: Metadata) -> bool:
    """Tell whether the metadata has a record of the run; a crate that lost it since is none of another program."""
    about = metadata.parts(RECORD_NAME, "about")
    is_ours = any(action in about for action in metadata.actions())
    if is_ours and RECORD_NAME not in crate.files:
        raise ExportError(_lost(RECORD_NAME, crate))
    return is_ours


def _lost(place: str, crate: Crate) -> str:
    return f"{shown(place)} is missing from the crate {crate.name}, whose metadata names it. Get the crate again."


def _plan_of_ours(crate: Crate, metadata: Metadata) -> _Plan:
    try:
        record = ExperimentRecord.model_validate_json(crate.read(RECORD_NAME))
    except (OverflowError, RecursionError) as error:  # a date outside of the calendar, for one
        raise ExportError(
            message(
                "{record_name} of the crate {name} holds no record: {error}.",
                record_name=RECORD_NAME,
                name=crate.name,
                error=error,
            )
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ExportError(
            message(
                "{record_name} of the crate {name} holds no record: {first}{words}. Get the crate again.",
                record_name=RECORD_NAME,
                name=crate.name,
                first=first["msg"],
                words=message(" (field {where})", where=where) if where else "",
            )
        ) from error
    if not record.experiment_id.isprintable() or not 0 < len(record.experiment_id) <= _LONGEST_ID:
        raise ExportError(
            message(
                "{record_name} of the crate {name} has the id {experiment_id!r:.80}. An id has 1 to {longest_id} "
                "visible signs. Do not trust this crate.",
                record_name=RECORD_NAME,
                name=crate.name,
                experiment_id=record.experiment_id,
                longest_id=_LONGEST_ID,
            )
        )
    (record.model_extra or {}).pop(IMPORTED_FIELD, None)  # nobody else may say where files lie here
    places = _places_by_hash(crate, metadata)
    wanted = _wanted_by(record, places)
    _refuse_changed_results(crate, metadata, record)
    verdicts = sum(name.startswith("verdicts/") for name in crate.files)
    notes = [f"The crate also holds {verdicts:,} records of reruns; they stay in it."] if verdicts else []
    return _Plan(record, is_ours=True, wanted=wanted, notes=notes)


def _places_by_hash(crate: Crate, metadata: Metadata) -> dict[str, str]:
    """Return SHA-256 -> place of everything that the crate holds, as it says; what is copied is hashed again."""
    found: dict[str, str] = {}
    for identifier in metadata.graph:
        checksum, place = metadata.hashes(identifier).get("sha256", ""), place_of(identifier)
        if checksum and crate.members(place):
            found.setdefault(checksum, place)
    return found


def _wanted_by(record: ExperimentRecord, places: dict[str, str]) -> list[_Wanted]:
    found: list[tuple[Role, str, str, str]] = []
    path = local_path(record.source)
    if record.source.uri not in ("", "synthetic"):
        found.append(("input", "input", str(path or record.source.uri), record.source.checksum))
    found += [("parameter", *item) for item in parameter_files(record)]
    for name, checksum in record.artifacts.items():
        said = record.artifact_paths.get(name) or (record.output_path if name == "output" else None) or ""
        found.append(("artifact", name, said, checksum))
    return [
        _Wanted(role=role, name=name, said=said, checksum=checksum, place=places.get(checksum.lower(), ""))
        for role, name, said, checksum in found
    ]


def _refuse_changed_results(crate: Crate, metadata: Metadata, record: ExperimentRecord) -> None:
    known = {checksum.lower() for checksum in record.artifacts.values()}
    for action in metadata.actions():
        if action not in metadata.parts(RECORD_NAME, "about"):
            continue
        for result in metadata.parts(action, "result"):
            stated = metadata.hashes(result).get("sha256", "")
            if stated and place_of(result) and stated not in known:
                raise ExportError(
                    message(
                        "{place_of} of the crate {name} is not what its record names: the output or the record was "
                        "changed after the export. It is not imported.",
                        place_of=shown(place_of(result)),
                        name=crate.name,
                    )
                )


def _wanted_of_others(found: Described, crate: Crate, metadata: Metadata) -> list[_Wanted]:
    wanted = []
    roles: list[tuple[Role, str, str]] = [
        ("input", "input" if index == 0 else f"input {index + 1}", item) for index, item in enumerate(found.inputs)
    ]
    for role, name, item in (*roles, *(("artifact", *output) for output in found.outputs.items())):
        place = place_of(item)
        checksum = metadata.hashes(item).get("sha256", "")
        wanted.append(
            _Wanted(
                role="input" if role == "input" else "artifact",
                name=name,
                said=place or item,
                checksum=checksum,
                place=place if crate.members(place) else "",
            )
        )
    return wanted


def _known(store: RunStore, plan: _Plan) -> Path | None:
    """Return the record of this run when the store has it; refuse another one with its id."""
    from dissmodel_lab.conditions import Comparison  # noqa: PLC0415 -- only for this question

    asked = RunQuery(where=Comparison("id", "==", plan.record.experiment_id))
    for entry in store.select(asked):
        path = entry.record_path or entry.folder / RECORD_NAME
        if entry.experiment_id != plan.record.experiment_id:
            continue
        if not plan.is_ours or _same_record(path, plan.record):
            return path
        raise ExportError(
            message(
                "The store {root!r} holds another record with the id {experiment_id}, in {path!r}: one of the two "
                "was changed. Nothing is replaced. Import the crate into another store, and compare them.",
                root=str(store.root),
                experiment_id=plan.record.experiment_id,
                path=str(path),
            )
        )
    return None


def _same_record(path: Path, record: ExperimentRecord) -> bool:
    try:
        stored = as_on_disk(read_record(path))
    except LabError:
        return False
    (stored.model_extra or {}).pop(IMPORTED_FIELD, None)
    return stored.model_dump(mode="json") == as_on_disk(record).model_dump(mode="json")


def _bring_in(crate: Crate, metadata: Metadata, content: bytes, plan: _Plan, store: RunStore) -> Path:
    record = plan.record
    _refuse_without_room(crate, plan, store)
    with _stage(store.root) as stage:
        carried = _Copies(crate, metadata, plan, stage).take()
        _copy_annotations(crate, plan, stage)
        if len(plan.notes) > _MOST_TOLD:
            plan.notes[_MOST_TOLD:] = [f"{len(plan.notes) - _MOST_TOLD:,} more such things are missing."]
        if not plan.is_ours:
            write_atomic(stage / f"imported-{METADATA_NAME}", content)
            record.logs.append(f"This record was made from an RO-Crate of another program, {crate.file_name}.")
            record.logs += plan.notes
        if record.model_extra is not None:
            record.model_extra[IMPORTED_FIELD] = {
                "crate": crate.file_name,
                "at": utc_now().isoformat(),
                "notes": plan.notes,
                "files": carried,
            }
        text = lasting_json(record)
        if not can_be_read(text):
            raise ExportError(
                message("The record of the crate {name} cannot be written. Do not trust this crate.", name=crate.name)
            )
        content = text.encode()
        write_atomic(stage / RECORD_NAME, content)
        write_atomic(stage / JOURNAL_NAME, record_line(content))
        return _publish(stage, store.root, record) / RECORD_NAME


def _refuse_without_room(crate: Crate, plan: _Plan, store: RunStore) -> None:
    needed = sum(crate.size(name) for wanted in plan.wanted for name in crate.members(wanted.place))
    store.root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(store.root).free
    if needed > free:
        raise ExportError(
            message(
                "The crate {name} needs {needed:,} bytes, and the store's disk has {free:,} left. Make room first.",
                name=crate.name,
                needed=needed,
                free=free,
            )
        )


@contextmanager
def _stage(root: Path) -> Iterator[Path]:
    """Make a folder of the store in which a run comes together; it is gone when the block ends."""
    for left in root.glob(f"{_STAGE}*"):
        if time.time() - left.lstat().st_mtime > _STALE and left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
    stage = root / f"{_STAGE}{uuid4().hex}"
    try:
        stage.mkdir()
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _publish(stage: Path, root: Path, record: ExperimentRecord) -> Path:
    moment = record.created_at.strftime("%Y%m%dT%H%M%S")
    name = f"{moment}-{safe_name(record.model_name)}-{safe_name(record.experiment_id[:8])}"
    folder, count = root / name, 1
    while os.path.lexists(folder):
        count += 1
        folder = root / f"{name}-{count}"
    stage.rename(folder)
    return folder


class _Copies:
    """The files that a record names, on their way from the crate into the run's folder."""

    def __init__(self, crate: Crate, metadata: Metadata, plan: _Plan, stage: Path) -> None:
        self._crate = crate
        self._plan = plan
        self._stage = stage
        self._stated = metadata.stated()
        self._copied: dict[str, str] = {}
        self._tries: Counter[str] = Counter()

    def take(self) -> list[dict[str, str]]:
        """Copy all; return where each lies by its path in the record. Every hash that the crate states is checked."""
        carried = []
        for wanted in self._plan.wanted:
            if not wanted.place:
                self._plan.notes.append(_absent(wanted))
                continue
            place = self._copy(wanted)
            if wanted.said:
                carried.append({"said": wanted.said, "file": place})
        for place, stated in self._stated.items():
            if place in self._crate.files:
                seen = {"sha256"} if place in self._copied else set()
                unseen = {algorithm for algorithm, _ in stated} - seen
                self._check(place, self._crate.digests(place, unseen) if unseen else {})
            elif not self._crate.members(place):
                self._tell_lost(place)
        return carried

    def _tell_lost(self, place: str) -> None:
        if self._plan.is_ours:
            raise ExportError(_lost(place, self._crate))
        self._plan.notes.append(_lost(place, self._crate))

    def _copy(self, wanted: _Wanted) -> str:
        crate, place = self._crate, self._target(wanted)
        target = self._stage / place
        is_file = wanted.place in crate.files
        for name in crate.members(wanted.place):
            inner = [] if is_file else name.removeprefix(f"{wanted.place}/").split("/")
            self._copied[name] = crate.copy(name, target.joinpath(*map(safe_file_name, inner)))
            self._check(name, {"sha256": self._copied[name]})
        checksum = self._copied[wanted.place] if is_file else folder_sha256(target)
        if not self._plan.is_ours:
            _tell_place(self._plan.record, wanted, place, checksum)
        elif checksum != wanted.checksum.lower():
            # A folder whose files have names that not every system takes: each file was checked on its own.
            self._plan.notes.append(f"The folder {shown(wanted.said)} has other names or files than was recorded.")
        if wanted.role != "artifact":
            self._copy_sidecars(wanted.place, target)
        return place

    def _target(self, wanted: _Wanted) -> str:
        """
        Choose where a file goes: where its relative path leads, seen from the run's folder, else beside the record.

        There ``verify`` finds it by itself, and so does ``rerun`` with the run's folder as its ``--base-folder``.
        """
        parts = PurePosixPath(wanted.said).parts
        is_plain = bool(parts) and "\\" not in wanted.said and all(part == safe_file_name(part) for part in parts)
        place = parts if is_plain else (safe_file_name(re.split(r"[/\\]", wanted.said.rstrip("/\\"))[-1]),)
        if place[0].casefold() in _OWN_NAMES:
            place = (f"imported-{place[0]}", *place[1:])
        wish = PurePosixPath(*place)
        free = wish
        while os.path.lexists(self._stage / free):
            self._tries[str(wish)] += 1
            free = wish.with_name(f"{wish.stem}-{self._tries[str(wish)] + 1}{wish.suffix}")
        return free.as_posix()

    def _copy_sidecars(self, place: str, target: Path) -> None:
        stem = place.removesuffix(PurePosixPath(place).suffix)
        for ending in SIDECARS:
            beside = target.with_name(f"{target.stem}{ending}")
            if f"{stem}{ending}" in self._crate.files and not os.path.lexists(beside):
                self._crate.copy(f"{stem}{ending}", beside)

    def _check(self, place: str, found: dict[str, str]) -> None:
        for algorithm, stated in self._stated.get(place, ()):
            if found.get(algorithm, stated) != stated:
                raise ExportError(
                    message(
                        "{place} of the crate {name} was changed or damaged: its {algorithm} is {found}, and the "
                        "crate says {stated}. It is not imported. Get the crate again.",
                        place=shown(place),
                        name=self._crate.name,
                        algorithm=algorithm,
                        found=found[algorithm],
                        stated=stated,
                    )
                )


def _absent(wanted: _Wanted) -> str:
    what = {
        "input": "input",
        "parameter": f"file of the parameter {wanted.name}",
        "artifact": f"artifact {wanted.name}",
    }
    checksum = f" with the SHA-256 {wanted.checksum}" if _CHECKSUM.fullmatch(wanted.checksum) else ""
    return f"The crate does not hold the {what[wanted.role]} {shown(wanted.said)}{checksum}."


def _tell_place(record: ExperimentRecord, wanted: _Wanted, place: str, checksum: str) -> None:
    if wanted.role == "artifact":
        record.artifacts[wanted.name] = checksum
        record.artifact_paths[wanted.name] = place
        if wanted.name == "output":
            record.output_path = place
    elif wanted.name == "input":
        record.source.checksum = checksum


def _copy_annotations(crate: Crate, plan: _Plan, stage: Path) -> None:
    if not plan.is_ours or ANNOTATIONS_NAME not in crate.files:
        return
    if crate.size(ANNOTATIONS_NAME) > _MOST_NOTES:
        plan.notes.append("The crate's tags and notes are too large, and were left out.")
        return
    crate.copy(ANNOTATIONS_NAME, stage / ANNOTATIONS_NAME)
