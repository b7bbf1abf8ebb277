"""The cache itself: which load of an earlier run stands for this one's."""

from __future__ import annotations

import os
import re
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dissmodel_lab.executor.events import Event, Phase, StepFinished
from dissmodel_lab.load_cache.copies import KeptValue, NotKeptError
from dissmodel_lab.load_cache.facts import FileMark, code_of, content_of, exactly, mark_of, neighbours
from dissmodel_lab.load_cache.watching import (
    LoadWatch,
    Watched,
    merge_reads,
    plain_parameters,
    reads_of,
    shared_objects,
    values_read,
)
from dissmodel_lab.sources import existing_files, local_path, sha256

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dissmodel_lab.executor.schemas import ExperimentRecord

ROOM_BYTES = 512 * 1024**2
"""How much a worker keeps when nothing else is said [bytes]."""
_SETTLED = 2.0
"""A file that changed less than this ago [s] may change again without showing it: FAT counts in 2 s."""
_FRUITLESS = 3
"""After so many loads in a row that could not be kept, a model's loads are not watched any more."""
_MANY_NAMES = 5


@dataclass(frozen=True)
class _Before:
    """What can be known of a load before it begins."""

    executor_class: type[Any]
    content: str
    """Of a notebook's class: see :func:`content_of`."""
    state: Any
    """The executor's own attributes."""
    path: Path | None
    mark: FileMark | None
    """Of the input; None when there is none on disk."""
    files: Mapping[str, FileMark | None]
    """The input's neighbours, and what the code names."""
    named: Mapping[str, tuple[str, FileMark | None]]
    """Place in the parameters -> the file that it names."""
    place: tuple[str, Mapping[str, str]]
    """The working folder and the environment."""
    at_ns: int


@dataclass(frozen=True)
class _Entry:
    before: _Before
    checksum: str
    """SHA-256 of the input; empty when there is none."""
    watched: Watched
    opened: Mapping[str, FileMark | None]
    kept: KeptValue
    """What load returned and the executor's attributes after it."""
    experiment_id: str


class LoadCache:
    """
    What ``load`` returned in earlier runs of this process, for later ones with the same input.

    A load is repeated from here only when everything that it depended on is the same: the executor's class and
    state, the input (path, SHA-256, and device, inode, size and times of the file), every file beside it, every
    attribute of the record and every parameter that it read, the files that those name, the working folder and
    the environment. Its log lines, metrics and changes of the executor are repeated with it. A load that uses
    random numbers, a clock or a network, that leaves files, or that is not understood in any other way, is never
    kept.

    Parameters
    ----------
    room_bytes : int, optional
        How much all that is kept may take [bytes]; what was used longest ago goes first.

    Examples
    --------
    >>> import tempfile, time
    >>> from dissmodel_lab.runner import run
    >>> store, cache = tempfile.mkdtemp(), LoadCache(100_000_000)
    >>> source = run("coastal_flood", store=store, parameters={"end_year": 2022}).source
    >>> time.sleep(2.1)  # a file that has just been written may still change
    >>> records = [run("coastal_flood", source=source.uri, store=store, load_cache=cache) for _ in range(2)]
    >>> records[0].output_sha256 == records[1].output_sha256, cache.n_hits
    (True, 1)
    """

    def __init__(self, room_bytes: int = ROOM_BYTES) -> None:
        self.room_bytes = room_bytes
        self.n_hits = 0
        """How many loads were spared."""
        self._entries: list[_Entry] = []  # the one used last stands last
        self._checksums: dict[Path, tuple[FileMark, str]] = {}
        self._fruitless: dict[type[Any], int] = {}
        self._lock = threading.Lock()

    def session(self, executor: Any, record: ExperimentRecord) -> LoadSession:
        """
        Return what takes part in one run.

        Parameters
        ----------
        executor : object
            The run's.
        record : ExperimentRecord
            The run's, as it is on disk.
        """
        return LoadSession(self, executor, record)

    @property
    def n_bytes(self) -> int:
        """How much is kept [bytes]."""
        return sum(entry.kept.n_bytes for entry in self._entries)

    def checksum(self, path: Path) -> str:
        """
        Return the SHA-256 of a file that has not changed since it was hashed here; empty when that is not known.

        Examples
        --------
        >>> from pathlib import Path
        >>> LoadCache(1000).checksum(Path("no/such.tif"))
        ''
        """
        mark, checksum = self._checksums.get(path.absolute(), (None, ""))
        return checksum if mark is not None and mark == mark_of(path) else ""

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._checksums.clear()

    def _is_worth_watching(self, executor_class: type[Any]) -> bool:
        return self._fruitless.get(executor_class, 0) < _FRUITLESS

    def _note_fruitless(self, executor_class: type[Any]) -> None:
        with self._lock:
            self._fruitless[executor_class] = self._fruitless.get(executor_class, 0) + 1

    def _note_checksum(self, path: Path, mark: FileMark, checksum: str) -> None:
        self._checksums[path.absolute()] = mark, checksum

    def _find(self, before: _Before, record: ExperimentRecord) -> _Entry | None:
        """Return the entry that stands for this load; it becomes the one that was used last."""
        with self._lock:
            entries = list(reversed(self._entries))
        for entry in entries:
            if self._fits(entry, before, record):
                with self._lock:
                    self._entries = [other for other in self._entries if other is not entry]
                    entry = replace(entry, before=replace(entry.before, mark=before.mark))  # noqa: PLW2901
                    self._entries.append(entry)
                    self.n_hits += 1
                return entry
        return None

    def _fits(self, entry: _Entry, before: _Before, record: ExperimentRecord) -> bool:
        known = entry.before
        is_same = (
            known.executor_class is before.executor_class
            and known.path == before.path
            and (known.mark is None) == (before.mark is None)
            and known.content == before.content
            and known.state == before.state
            and known.place == before.place
            and _other_files(known) == _other_files(before)
        )
        if not is_same or values_read(entry.watched.names, entry.watched.reads, record) != entry.watched.values:
            return False
        if any(mark_of(path) != mark for path, mark in entry.opened.items()):
            return False
        if known.mark == before.mark or before.path is None or known.mark is None or before.mark is None:
            return True
        return known.mark.size == before.mark.size and self._hash(before.path, before.mark) == entry.checksum

    def _hash(self, path: Path, mark: FileMark) -> str:
        checksum = self.checksum(path) or sha256(path)
        if mark_of(path) == mark and mark.is_settled(time.time_ns(), _SETTLED):
            self._note_checksum(path, mark, checksum)
        return checksum

    def _keep(self, entry: _Entry) -> None:
        with self._lock:
            self._fruitless.pop(entry.before.executor_class, None)
            self._entries.append(entry)
            while self.n_bytes > self.room_bytes:
                self._entries.pop(0)


class LoadSession:
    """
    The cache's part in one run: an executor to run, a hook around its phases, an observer of its events.

    Parameters
    ----------
    cache : LoadCache
        Where loads are kept.
    executor : object
        The run's.
    record : ExperimentRecord
        The run's.
    """

    def __init__(self, cache: LoadCache, executor: Any, record: ExperimentRecord) -> None:
        self._cache = cache
        self._own = executor
        self._record = record
        self._before: _Before | None = None
        self._watch: LoadWatch | None = None
        self._seen: Watched | None = None
        self._is_loading = False
        self.executor: Any = type(type(executor).__name__, (_Loading,), {})(executor, self._load)
        """Runs as the run's own does, but for ``load``."""

    def checksum(self, path: Path) -> str:
        """Return the SHA-256 of the input when it is known without reading it; else empty."""
        return self._cache.checksum(path)

    def before(self, phase: Phase, value: Any) -> None:
        """Take part in a phase, as :class:`~dissmodel_lab.executor.lifecycle.PhaseHook` says."""

    def after(self, phase: Phase, value: Any) -> None:
        """Keep what was loaded, once its checksum is known and before the model may change it."""
        if phase is not Phase.LOAD or self._seen is None or self._before is None:
            return
        try:
            self._keep(self._before, self._seen, value)
        except (NotKeptError, OSError):
            self._cache._note_fruitless(type(self._own))  # noqa: SLF001 -- the session is the cache's other half

    def __call__(self, event: Event) -> None:
        """Notice steps that are told while the input is loaded: they would be missing in a run without a load."""
        if self._is_loading and self._watch is not None and isinstance(event, StepFinished):
            self._watch.problem = "it told steps"

    def _load(self) -> Any:
        cache, own, record = self._cache, self._own, self._record
        if not cache._is_worth_watching(type(own)):  # noqa: SLF001
            return own.load(record)
        try:
            before = self._before = _known_before(own, record)
            entry = cache._find(before, record)  # noqa: SLF001
            watch = LoadWatch(own, record) if entry is None else None
        except (NotKeptError, OSError):
            cache._note_fruitless(type(own))  # noqa: SLF001
            return own.load(record)
        if entry is not None:
            return self._repeat(entry)
        assert watch is not None  # for the type checker: there is no entry
        self._is_loading, self._watch = True, watch
        with watch:
            value = own.load(record)
        self._is_loading = False
        try:
            self._seen = watch.watched()  # now: what the lab does to the record next is none of the load's doing
        except NotKeptError:
            cache._note_fruitless(type(own))  # noqa: SLF001
        return value

    def _repeat(self, entry: _Entry) -> Any:
        """Do all that the load did, without loading."""
        record, seen = self._record, entry.watched
        value, state, metrics, source = entry.kept.copy()
        merge_reads(reads_of(record), seen.reads)
        for line in seen.logs:
            record.logs.append(line)
        record.metrics.update(metrics)
        for name, field in source.items():
            setattr(record.source, name, field)
        own = vars(self._own)
        own.clear()
        own.update(state)
        record.add_log(f"The input was taken from this worker's cache: {_same_as(entry)}.")
        return value

    def _keep(self, before: _Before, seen: Watched, value: Any) -> None:
        record, path = self._record, before.path
        checksum = record.source.checksum if path is not None else ""
        opened = {name: mark_of(name) for name in seen.files if path is None or name != str(path)}
        opened |= {name: mark for place, (name, mark) in before.named.items() if _is_read(place, seen)}
        marks = [before.mark, *before.files.values(), *opened.values()]
        if not all(mark.is_settled(before.at_ns, _SETTLED) for mark in marks if mark is not None):
            return  # the next run will keep it
        if path is not None and (before.mark is None or mark_of(path) != before.mark or not checksum):
            raise NotKeptError("the input changed")
        if any(mark_of(name) != mark for name, mark in {**before.files, **dict(before.named.values())}.items()):
            raise NotKeptError("a file beside the input changed")
        everything = value, vars(self._own), seen.metrics, seen.source
        kept = KeptValue(everything, room_bytes=self._cache.room_bytes, outside=shared_objects(record))
        if path is not None and before.mark is not None:
            self._cache._note_checksum(path, before.mark, checksum)  # noqa: SLF001
        self._cache._keep(_Entry(before, checksum, seen, opened, kept, record.experiment_id))  # noqa: SLF001


class _Loading:
    """An executor whose ``load`` goes through the cache; the rest is its own."""

    def __init__(self, executor: Any, load: Any) -> None:
        self._executor = executor
        self._load = load

    def load(self, record: ExperimentRecord) -> Any:  # noqa: ARG002 -- the session has it
        return self._load()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)


def _known_before(executor: Any, record: ExperimentRecord) -> _Before:
    executor_class, source = type(executor), record.source
    path = local_path(source)
    if (path is None and source.uri not in ("", "synthetic")) or (path is not None and not path.is_file()):
        raise NotKeptError("its input is not a local file")
    if any("__slots__" in vars(base) and vars(base)["__slots__"] for base in executor_class.__mro__):
        raise NotKeptError("its executor has slots")
    content = content_of(executor_class)
    code = code_of(executor_class, content)  # type: ignore[arg-type]  # a class is hashable
    if code.is_fickle:
        raise NotKeptError("it uses random numbers, a clock or a network")
    at_ns, mark = time.time_ns(), mark_of(path) if path is not None else None
    named = {place: (str(file), mark_of(file)) for place, file in existing_files(plain_parameters(record))}
    files = neighbours(path.absolute()) if path is not None else {}
    return _Before(
        executor_class,
        content,
        exactly(vars(executor)),
        path.absolute() if path is not None else None,
        mark,
        {**files, **{name: mark_of(name) for name in code.files}},
        named,
        (os.getcwd(), dict(os.environ)),  # noqa: PTH109 -- compared as text
        at_ns,
    )


def _is_read(place: str, seen: Watched) -> bool:
    return seen.reads.is_whole or re.split(r"[.\[]", place, maxsplit=1)[0] in seen.reads.names


def _other_files(before: _Before) -> dict[str, FileMark | None]:
    own = str(before.path) if before.path is not None else ""
    return {name: mark for name, mark in before.files.items() if name != own}


def _same_as(entry: _Entry) -> str:
    reads = entry.watched.reads
    names = [] if reads.is_whole else sorted(reads.names - {"parameters"})
    if reads.is_whole:
        what = "with the same parameters"
    elif len(names) > _MANY_NAMES:
        what = f"with the same values of its {len(names)} parameters"
    else:
        what = f"with the same {', '.join(names)}" if names else "which depends on no parameter"
    content = f"the same file (SHA-256 {entry.checksum})" if entry.checksum else "no file"
    return f"the run {entry.experiment_id[:8]} loaded {content}, {what}"
