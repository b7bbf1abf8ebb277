"""The ledger and what lies on the disk -> numbers, and a sentence for each thing that is not as it should be."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from index_state import state

from dissmodel_lab import ExperimentRecord, RunStore
from dissmodel_lab.annotations import read_annotations
from dissmodel_lab.engines.slot import forget_abandoned
from dissmodel_lab.errors import LabError
from dissmodel_lab.exports.target import temporary_for
from dissmodel_lab.index import INDEX_NAME
from dissmodel_lab.index.tables import close
from dissmodel_lab.sources.cache import DataCache
from dissmodel_lab.store import read_record
from soak.ledger import Said
from soak.place import Place

#: Files that are only there while something is being written, or while a run is at work.
_TEMPORARY = re.compile(
    r"\..*\.tmp|\..*\.partial|\.[0-9a-f]{32}|\.room|\.live|\.watched|\.claim|dissmodel[-_]lab[-_].*|loky.*|pymp-.*"
)
_KEPT = ("partial", "frames.part")
"""What a run that did not complete may leave: half an output and its pictures are evidence."""
_DASK = "dask-scratch-space"
_SWEEP = "-sweep-"
"""In the name of a sweep's folder: its runs announce themselves only when their model is reached."""
_AGE = 8 * 86400.0
"""How much time passes, as far as files tell, before all is tidied for the last time [s]."""
#: What becomes of a run that nobody was told of, or that was interrupted: any of these is true of some such run.
_OPEN_ENDS = frozenset({"completed", "failed", "cancelled", "lost"})


@dataclass
class Counts:
    """What is left of one scenario, or of many."""

    announced: int = 0
    begun: int = 0
    never_began: int = 0
    """Announced, and ended before the first record was written: nothing is there to be kept."""
    told: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    records: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    """As the store's own listing says."""
    outputs: int = 0
    """Of completed runs."""
    outputs_intact: int = 0
    words: int = 0
    """Notes, exports and inputs that were acknowledged."""
    words_intact: int = 0
    kept: int = 0
    """Half outputs and pictures that runs which did not complete keep, as they should."""
    lost: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Outputs."""
    wrong: list[str] = field(default_factory=list)
    """Outputs with other bytes than the record and the ledger say."""
    changed: list[str] = field(default_factory=list)
    """Inputs."""
    left_files: list[str] = field(default_factory=list)
    left_processes: list[str] = field(default_factory=list)
    contradictions: list[str] = field(default_factory=list)
    """Runs whose record says something else than who asked for them was told."""
    problems: list[str] = field(default_factory=list)
    """Anything else: a hang, an error that nobody expects."""

    def faults(self) -> dict[str, list[str]]:
        """Return what must be empty, by name."""
        names = ("lost", "torn", "missing", "wrong", "changed", "left_files", "left_processes", "contradictions")
        return {name: getattr(self, name) for name in (*names, "problems")}

    def n_faults(self) -> int:
        """Return how many things are not as they should be."""
        return sum(map(len, self.faults().values()))

    def add(self, other: Counts) -> None:
        """Add another scenario's."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def count(place: Place, *, is_fully_told: bool = True) -> Counts:
    """
    Count all that a scenario left, after the store has tidied up.

    Parameters
    ----------
    place : Place
        Nothing works there any more.
    is_fully_told : bool
        Whether a run whose end was told must have a record which says the same: not where the disk took no more.
    """
    counts = Counts(left_processes=place.processes_left())
    counts.left_files += semaphores_of(place.ledger.processes(), place.began)
    said = place.ledger.runs()
    stores = sorted({Path(one.store or place.store) for one in said.values()} | {place.store})
    let_time_pass(place.world)
    found: dict[str, ExperimentRecord] = {}
    for store in filter(Path.is_dir, stores):
        found |= _count_store(counts, store)
    words = said.pop("cache", Said())
    _count_runs(counts, said, found, is_fully_told=is_fully_told)
    _count_beside(counts, place, found)
    _count_words(counts, said, found, place)
    _count_cache(counts, place, words.words)
    temporary_for(place.outputs / "next")  # as the next export there asks
    forget_abandoned(place.tmp)  # as the next worker does
    _tidy_dask(place.tmp / _DASK)
    _count_left(counts, place, stores, found)
    counts.kills = Counter(place.ledger.kills())
    if hashlib.sha256(place.source.read_bytes()).digest() != hashlib.sha256(place.given).digest():
        counts.changed.append(str(place.source))
    return counts


def semaphores_of(processes: set[int], since: float) -> list[str]:
    """Return the semaphores that processes have left in shared memory since a moment [s since 1970]."""
    left = []
    for path in Path("/dev/shm").glob("sem.loky-*"):
        with contextlib.suppress(OSError):  # another's, that is gone by now
            if int(path.name.split("-")[1]) in processes and path.stat().st_mtime >= since:
                left.append(str(path))
    return left


def _tidy_dask(folder: Path) -> None:
    """Tidy Dask's own folder of temporary folders as the next cluster would; only its two locks stay, for ever."""
    if not folder.is_dir():
        return
    from distributed.diskutils import WorkSpace

    WorkSpace(str(folder)).new_work_dir(prefix="soak-").release()
    for name in ("purge.lock", "global.lock"):
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # something is left, and is counted
        folder.rmdir()


def let_time_pass(folder: Path) -> None:
    """Make folders and temporary files older, by their times: what is young may belong to somebody who is at work."""
    then = time.time() - _AGE
    for path in (folder, *folder.rglob("*")):
        parts = path.relative_to(folder).parts
        is_temporary = parts[:2] == ("cache", "parts") or any(map(_TEMPORARY.fullmatch, parts))
        if (path.is_dir() or is_temporary) and not path.is_symlink():
            os.utime(path, (then, then))


def _count_store(counts: Counts, root: Path) -> dict[str, ExperimentRecord]:
    """Count what a store lists, and read each record without it."""
    store = RunStore(root)
    store.reindex()
    entries = store.entries()
    counts.statuses += Counter(entry.status for entry in entries)
    listed = Counter(entry.experiment_id for entry in entries)
    counts.problems += [f"{run_id} is listed {times} times" for run_id, times in listed.items() if times > 1]
    found: dict[str, ExperimentRecord] = {}
    for path in sorted(root.rglob("record.json")):
        counts.records += 1
        try:
            record = read_record(path)
        except LabError as error:
            counts.torn.append(str(error))
            continue
        found[record.experiment_id] = record
        if not listed[record.experiment_id]:
            counts.lost.append(f"{record.experiment_id} has a record, and is not listed")
    status = {entry.experiment_id: entry.status for entry in entries}
    for run_id, record in found.items():
        shown = status.get(run_id)
        if shown != record.status and (shown, record.status) not in (("lost", "running"), ("lost", "pending")):
            counts.contradictions.append(f"{run_id} is listed as {shown}; its record says {record.status}")
    counts.problems += _index_problems(store)
    close(root)
    return found


def _index_problems(store: RunStore) -> list[str]:
    """See that the index says what a new one would say."""
    before = state(store.root)
    close(store.root)
    shutil.rmtree(store.root / INDEX_NAME, ignore_errors=True)  # a store that never held a run has none
    RunStore(store.root).reindex()
    now = state(store.root)
    return [f"the index says something else of {name} than a new one" for name in now if now[name] != before[name]]


def _count_runs(
    counts: Counts, said: dict[str, Said], found: dict[str, ExperimentRecord], *, is_fully_told: bool
) -> None:
    for run_id, one in said.items():
        counts.announced += 1
        counts.begun += one.has_begun
        told = one.told.partition(" ")[0]
        counts.told[told or "nothing"] += 1
        record = found.get(run_id)
        if record is None:
            if one.has_begun or told == "completed":
                counts.lost.append(f"{run_id} began and has no record")
            else:
                counts.never_began += 1
            continue
        status = str(record.status)
        if told == "completed" and status != "completed":
            counts.contradictions.append(f"{run_id} was told completed; its record says {status}")
        if is_fully_told and one.told and status in ("running", "pending"):
            counts.contradictions.append(f"{run_id} was told {one.told}; its record says {status}")
        if status == "completed":
            _count_output(counts, record, one)
    counts.problems += [
        f"{run_id} has a record, and was never announced"
        for run_id, record in found.items()
        if run_id not in said and _SWEEP not in record.record_path.parts[-3]
    ]


def output_path_of(record: ExperimentRecord) -> Path | None:
    """Return where the output of a run lies, as its record says: in its own folder, or where it was asked for."""
    place = record.artifact_paths.get("output")
    if not place or record.record_path is None:
        return None
    is_own = len(Path(place).parts) == 1
    return record.record_path.parent / place if is_own else record.resolve_path(Path(place))


def _count_beside(counts: Counts, place: Place, found: dict[str, ExperimentRecord]) -> None:
    """See that records beside outputs say what those in the store say; a run that was killed may leave its first."""
    for path in place.outputs.glob("*.record.json"):
        if not path.stat().st_size:  # the name was taken, and the next run with that output may take it again
            counts.kept += 1
            continue
        try:
            beside = read_record(path)
        except LabError as error:
            counts.torn.append(str(error))
            continue
        record = found.get(beside.experiment_id)
        if record is None:
            counts.lost.append(f"{beside.experiment_id} has a record beside its output only")
        elif beside.status == "completed" and record.status != "completed":
            counts.contradictions.append(f"{path.name} says completed; the store says {record.status}")


def _count_output(counts: Counts, record: ExperimentRecord, said: Said) -> None:
    counts.outputs += 1
    path = output_path_of(record)
    if path is None or not path.is_file():
        counts.missing.append(f"{record.experiment_id}: {path}")
        return
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if sha256 != record.artifacts["output"] or sha256 != said.sha256:
        counts.wrong.append(f"{record.experiment_id}: {path}")
    else:
        counts.outputs_intact += 1


def _count_words(counts: Counts, said: dict[str, Said], found: dict[str, ExperimentRecord], place: Place) -> None:
    """See that what was acknowledged is there, whole: notes and exports."""
    for run_id, one in said.items():
        record = found.get(run_id)
        if record is None or record.record_path is None:
            continue
        kept = read_annotations(record.record_path)
        counts.torn += [f"{kept.n_skipped} annotations of {run_id} cannot be read"] if kept.n_skipped else []
        for word in one.words:
            counts.words += 1
            kind, _, name = word.partition(":")
            if kind == "export":
                problem = _export_problem(place.outputs / name)
            else:
                problem = "" if word in kept.tags else "it is not there"
            if problem:
                counts.lost.append(f"{word} of {run_id}: {problem}")
            else:
                counts.words_intact += 1
    for path in place.outputs.glob("export-*"):
        if problem := _export_problem(path):
            counts.torn.append(f"{path.name}: {problem}")


def _export_problem(path: Path) -> str:
    """Say what is wrong with an export that was told of, or has its own name; empty when it is whole."""
    if path.is_dir():
        return "" if (path / "ro-crate-metadata.json").is_file() else "the crate has no metadata"
    if not path.is_file():
        return "it is not there"
    if path.suffix == ".zip":
        try:
            with zipfile.ZipFile(path) as archive:
                return f"{archive.testzip()} is damaged" if archive.testzip() else ""
        except zipfile.BadZipFile as error:
            return str(error)
    return "" if path.stat().st_size else "it is empty"


def _count_cache(counts: Counts, place: Place, words: list[str]) -> None:
    """See that what was fetched is whole; tidy what nobody went on with, as the cache does after a week."""
    if not any(place.cache.iterdir()):
        return
    cache = DataCache(place.cache)
    counts.torn += cache.verify()
    for mark in words:
        counts.words += 1
        entry = cache.find(mark)
        if entry is None:
            counts.lost.append(f"{mark} was fetched, and is not in the cache")
            continue
        is_whole = hashlib.sha256(cache.path(entry).read_bytes()).hexdigest() == entry.sha256
        counts.words_intact += is_whole
        counts.wrong += [] if is_whole else [str(cache.path(entry))]
    cache.shrink()
    for path in (place.cache / "parts").glob("*"):
        counts.left_files.append(str(path))


def _count_left(counts: Counts, place: Place, stores: list[Path], found: dict[str, ExperimentRecord]) -> None:
    records = {record.record_path.parent: record for record in found.values() if record.record_path is not None}
    for path in _all_files(place.world):
        if path.parent == place.tmp or _TEMPORARY.fullmatch(path.name):
            counts.left_files.append(str(path.relative_to(place.world)))
        elif path.name in _KEPT:
            record = records.get(path.parent)
            if record is None or record.status == "completed":
                counts.left_files.append(str(path.relative_to(place.world)))
            else:
                counts.kept += 1
        elif path.name.startswith("2") and path.is_dir() and path.parent in stores and not any(path.iterdir()):
            counts.left_files.append(f"{path.relative_to(place.world)} is empty")


def _all_files(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.rglob("*"))
