"""What was fetched, kept by its SHA-256: read-only, of limited size, safe for several processes and for their death.

::

    objects/<sha256>/<name>    a file, a folder, or a file with its sidecars; never changed once it is there
    known/<sha256>.json        sizes, times and hashes of the files of an object; its own time says when it was used
    entries/<mark>.json        an address (without secrets) and what was found there, when
    parts/<mark>/              what was fetched of it until now
    locks/, leases/            who fetches, who reads

A part becomes an object by one rename; an entry is replaced as a whole. Whatever is killed when, what lies under
``objects`` and ``entries`` is complete.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from dissmodel_lab.errors import SourceError
from dissmodel_lab.language import message
from dissmodel_lab.sources.hashing import file_sha256, folder_sha256
from dissmodel_lab.sources.leases import Lease, leased, take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT_NAME, LIMIT_NAME = "DISSMODEL_LAB_CACHE", "DISSMODEL_LAB_CACHE_BYTES"
_LIMIT = 20 * 1000**3
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MARK = re.compile(r"[0-9a-f]{40}")
_AT_WORK = re.compile(r"\.[0-9a-f]{32}|\.\d+-[0-9a-f]+-.+\.tmp")
"""What is being made or removed; it stays when its process is killed."""
_POLL = 0.05
_STALE_SECONDS = 7 * 24 * 3600
"""What nobody went on fetching for so long is removed [s]."""
_TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n# Inputs that dissmodel_lab fetched; may be removed at any time.\n"
)
_TEMPORARY: dict[int, tempfile.TemporaryDirectory[str]] = {}
"""The folder of a process that has no cache it could write; removed when the process ends."""


class FetchedFile(NamedTuple):
    """One file that was fetched."""

    uri: str
    """Where from, without secrets."""
    name: str
    """What it is called here; with its folders, when it lies in some."""
    sha256: str
    bytes: int
    etag: str = ""
    modified: str = ""
    """As the server says it."""

    def as_dict(self) -> dict[str, Any]:
        """Return the facts that a record keeps; those that are empty are left out."""
        return {name: value for name, value in self._asdict().items() if value != ""}


@dataclass(frozen=True)
class CacheEntry:
    """What was found at an address."""

    mark: str
    text: str
    """The address without secrets."""
    sha256: str
    main: str
    """What a reader opens, inside the object's folder."""
    files: tuple[FetchedFile, ...] = ()
    etag: str = ""
    modified: str = ""
    fetched_at: str = ""
    checked_at: str = ""
    """When the server last said that this is still what it has."""

    @property
    def bytes(self) -> int:
        """Size of all files [bytes]."""
        return sum(file.bytes for file in self.files)

    @property
    def day(self) -> str:
        """When the copy was last known to be the server's, for people."""
        return (self.checked_at or self.fetched_at)[:16].replace("T", " ") + " UTC"


@dataclass
class _Known:
    """What is known of an object's files: ``{path: [sha256, size, mtime_ns, ctime_ns]}``."""

    files: dict[str, list[Any]] = field(default_factory=dict)

    def bytes(self) -> int:
        return sum(int(facts[1]) for facts in self.files.values())


class DataCache:
    """
    The folder of what was fetched.

    Parameters
    ----------
    root : str or Path, optional
        ``DISSMODEL_LAB_CACHE``, or the user's own cache folder, when not given.
    limit_bytes : int, optional
        ``DISSMODEL_LAB_CACHE_BYTES``, or 20 GB. What was used longest ago goes first; never what a run reads.

    Raises
    ------
    SourceError
        When the folder's path is a file's, or the limit is no number.

    Examples
    --------
    >>> import tempfile
    >>> cache = DataCache(tempfile.mkdtemp())
    >>> work = cache.workspace("0" * 40)
    >>> _ = (work / "a.txt").write_text("12")
    >>> entry = cache.keep("0" * 40, work / "a.txt", text="https://host/a.txt")
    >>> cache.path(entry).read_text(), cache.size, [found.text for found in cache.entries()]
    ('12', 2, ['https://host/a.txt'])
    """

    def __init__(self, root: str | Path | None = None, limit_bytes: int | None = None) -> None:
        self.root = Path(root).expanduser().absolute() if root is not None else default_root()
        self.limit_bytes = _default_limit() if limit_bytes is None else limit_bytes
        self.notes: list[str] = []
        """What people should know: a copy that was damaged, a folder that cannot be written."""
        if os.path.lexists(self.root) and not self.root.is_dir():
            raise SourceError(
                message(
                    "The cache {root!r} is no folder. Set {root_name} to a folder.",
                    root=str(self.root),
                    root_name=ROOT_NAME,
                )
            )

    # --- one after the other

    @contextmanager
    def lock(self, mark: str, cancelled: Callable[[], bool] | None = None) -> Iterator[None]:
        """
        Let nobody else fetch the same meanwhile, in no process; wait while somebody does.

        Parameters
        ----------
        mark : str
            :meth:`Address.mark` of what is fetched.
        cancelled : callable, optional
            Asked twenty times a second while waiting.

        Raises
        ------
        KeyboardInterrupt
            When it was cancelled.
        """
        from filelock import FileLock, Timeout  # noqa: PLC0415 -- only for what is fetched

        folder = self.root / "locks"
        self._make(folder)
        lock = FileLock(folder / f"{mark}.lock")
        while True:
            try:
                lock.acquire(timeout=_POLL, poll_interval=_POLL / 2)
                break
            except Timeout:
                if cancelled is not None and cancelled():
                    raise KeyboardInterrupt(
                        message("cancelled while another process fetched the same input")
                    ) from None
            except OSError as error:
                raise self._unwritable(error) from error
        try:
            yield
        finally:
            lock.release()

    def lease(self, sha256: str) -> Lease:
        """Keep an object from being removed until the lease is closed, or this process ends."""
        return take(self.root / "leases", sha256)

    # --- finding

    def find(self, mark: str) -> CacheEntry | None:
        """
        Return what was found at an address earlier; None when there is nothing, or it is damaged.

        Sizes and times of the files must be those they had when they came; else they are hashed. A damaged copy
        is removed, and :attr:`notes` says so.
        """
        entry = self._read_entry(self.root / "entries" / f"{mark}.json")
        if entry is None:
            return None
        if not self._has(entry):  # removed to make room, or kept again since under another name only
            return None
        if problem := self._drop_damaged(entry.sha256, entry.main):
            self.notes.append(
                message(
                    "The copy of {text} in the cache was damaged ({problem}); it was removed.",
                    text=entry.text,
                    problem=problem,
                )
            )
            return None
        with suppress(OSError):
            os.utime(self._known_path(entry.sha256))
        return entry

    def path(self, entry: CacheEntry) -> Path:
        """Return where an entry's file or folder lies."""
        return self.root / "objects" / entry.sha256 / entry.main

    def kept(self, sha256: str, name: str = "") -> Path | None:
        """
        Return where the content with that SHA-256 lies; None when the cache does not have it (any more) whole.

        Parameters
        ----------
        sha256 : str
            As a record has it.
        name : str
            The file's own, when it is kept under several.
        """
        if not _SHA256.fullmatch(sha256):
            return None
        mains = self._mains(sha256)
        main = name if name in mains else next(iter(mains), "")
        if not main or self._problem(sha256, main):
            return None
        return self.root / "objects" / sha256 / main

    def entries(self) -> list[CacheEntry]:
        """Return what is kept, the newest first."""
        found = [self._read_entry(path) for path in self._listed("entries", ".json")]
        whole = [entry for entry in found if entry is not None and self._has(entry)]
        return sorted(whole, key=lambda entry: entry.fetched_at, reverse=True)

    @property
    def size(self) -> int:
        """How much the objects hold [bytes]."""
        return sum(known.bytes() for known in self._all_known().values())

    # --- keeping

    def workspace(self, mark: str) -> Path:
        """
        Return the folder in which an address is fetched; what lies there of an earlier attempt is kept.

        Raises
        ------
        SourceError
            When it cannot be made.
        """
        folder = self.root / "parts" / mark
        self._make(folder)
        return folder

    def keep(
        self,
        mark: str,
        made: Path,
        *,
        text: str,
        files: tuple[FetchedFile, ...] = (),
        sha256: str = "",
        main: str = "",
        etag: str = "",
        modified: str = "",
    ) -> CacheEntry:
        """
        Take what was fetched into the cache, by a rename.

        Parameters
        ----------
        mark : str
            :meth:`Address.mark` of where it came from.
        made : Path
            A file or folder in :meth:`workspace`, under the name it shall have; it is moved.
        text : str
            The address without secrets.
        files : tuple of FetchedFile
            What the record will say; one of ``made`` itself when not given.
        sha256 : str
            Of the file, or by :func:`folder_sha256` of the folder, when it is known already.
        main : str
            Which file in the folder is opened, for a file with sidecars; the folder's own content is then
            what has the hash, and its name does not matter.
        etag, modified : str
            What the server says of it, to ask later whether it has changed.

        Raises
        ------
        SourceError
            When the cache cannot be written.
        """
        try:
            known, checksum = _described(made, sha256, is_group=bool(main))
            main = main or made.name
            if not files:
                files = (FetchedFile(text, made.name, checksum, known.bytes(), etag, modified),)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            entry = CacheEntry(mark, text, checksum, main, files, etag, modified, now, now)
            with self.lock("objects"):  # for both: who removes one finds the other
                self._place(made, checksum, known, is_group=main != made.name)
                self._write_entry(entry)
        except OSError as error:
            raise self._unwritable(error) from error
        shutil.rmtree(self.root / "parts" / mark, ignore_errors=True)
        return entry

    def confirm(self, entry: CacheEntry) -> CacheEntry:
        """Note that the server still has what the cache has."""
        checked = CacheEntry(**{**vars(entry), "checked_at": datetime.now(UTC).isoformat(timespec="seconds")})
        with suppress(OSError):
            self._write_entry(checked)
        return checked

    def shrink(self, room_bytes: int = 0) -> int:
        """
        Remove what was used longest ago until the limit holds; return how many bytes went.

        Parameters
        ----------
        room_bytes : int
            What shall find room besides, within the limit and on the disk.
        """
        self._remove_stale()
        known = self._all_known()
        size, removed, held = sum(found.bytes() for found in known.values()), 0, leased(self.root / "leases")
        for sha256 in sorted(known, key=self._used_ns):
            is_full = size - removed + room_bytes > self.limit_bytes or self.free_bytes() < room_bytes
            if not is_full:
                break
            if sha256 not in held:
                self._drop(sha256, unless_leased=True)
                removed += known[sha256].bytes()
        return removed

    def free_bytes(self) -> int:
        """Return the free room on the cache's disk [bytes]."""
        folder = next((path for path in (self.root, *self.root.parents) if path.is_dir()), Path("/"))
        return shutil.disk_usage(folder).free

    def verify(self) -> list[str]:
        """Hash everything that is kept, remove what is damaged, and return a sentence for each such copy."""
        problems = []
        for sha256 in self._all_known():
            for main in self._mains(sha256):
                if problem := self._drop_damaged(sha256, main, is_hashed=True):
                    problems.append(
                        message(
                            "{main} (SHA-256 {sha256}) was damaged ({problem}); it was removed.",
                            main=main,
                            sha256=sha256,
                            problem=problem,
                        )
                    )
                    break
        return problems

    def clear(self) -> int:
        """Remove all that no run reads, unfinished downloads included; return how many bytes went."""
        held, removed = leased(self.root / "leases"), 0
        for sha256, known in self._all_known().items():
            if sha256 not in held:
                self._drop(sha256, unless_leased=True)
                removed += known.bytes()
        self._remove_stale(0)
        return removed

    def writable(self) -> DataCache:
        """Return this cache, or a temporary one when its folder cannot be written; notes say so."""
        try:
            for name in ("objects", "known", "entries", "parts", "locks"):
                (self.root / name).mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryFile(dir=self.root):
                pass
            tag = self.root / "CACHEDIR.TAG"
            if not tag.exists():
                _write_atomic(tag, _TAG.encode())
        except OSError as error:
            folder = _TEMPORARY.get(os.getpid())
            if folder is None or not Path(folder.name).is_dir():
                try:
                    folder = tempfile.TemporaryDirectory(prefix="dissmodel_lab-", ignore_cleanup_errors=True)
                except OSError:  # no room there either
                    raise self._unwritable(error) from error
                _TEMPORARY[os.getpid()] = folder
            other = DataCache(folder.name, self.limit_bytes)
            other.notes.append(
                message(
                    "The cache {root!r} cannot be written ({strerror}); what is fetched is kept until this process "
                    "ends. Set {root_name} to a folder of yours.",
                    root=str(self.root),
                    strerror=error.strerror or error,
                    root_name=ROOT_NAME,
                )
            )
            return other
        return self

    # --- objects

    def _place(self, made: Path, sha256: str, known: _Known, *, is_group: bool) -> None:
        target = self.root / "objects" / sha256
        _write_protect(made)
        there = self._known(sha256)
        if target.is_dir() and (there is None or (is_group and self._problem(sha256, next(iter(known.files))))):
            _remove_tree(target)  # of a process that died, or damaged
        if is_group:
            if not target.is_dir():
                target.parent.mkdir(parents=True, exist_ok=True)
                made.rename(target)
        elif not target.is_dir():
            fresh = target.with_name(f".{uuid4().hex}")
            fresh.mkdir(parents=True, mode=0o700)
            made.rename(fresh / made.name)
            fresh.rename(target)
        elif not (target / made.name).exists() or self._problem(sha256, made.name):
            with suppress(OSError):
                target.chmod(0o700)
            if (target / made.name).exists():
                _remove_tree(target / made.name)
            made.rename(target / made.name)
        with suppress(OSError):
            target.chmod(0o500)
        files = {**(there.files if there is not None else {}), **_stamped(target, known)}
        self._write_known(sha256, _Known(files))

    def _problem(self, sha256: str, main: str, *, is_hashed: bool = False) -> str:
        """Say why an object cannot be trusted; empty when it can."""
        known, folder = self._known(sha256), self.root / "objects" / sha256
        if known is None or not folder.is_dir():
            return message("it is gone")
        first = PurePosixPath(main).parts[0]
        mine = {name: facts for name, facts in known.files.items() if PurePosixPath(name).parts[0] == first}
        is_group = main in known.files and _sha256_of(known.files[main]) != sha256
        mine = known.files if is_group else mine
        if not mine:
            return message("it is gone")
        stamps, is_changed = {}, False
        for name, facts in mine.items():
            now = _stamp(folder / name)
            if now is None:
                return f"{name} is gone"
            if now != facts[1:] or is_hashed:
                try:
                    if file_sha256(folder / name) != facts[0]:
                        return f"{name} has changed"
                except OSError as error:
                    return message("{name} cannot be read: {strerror}", name=name, strerror=error.strerror or error)
                is_changed = True
            stamps[name] = [facts[0], *now]
        _remove_foreign(folder if is_group else folder / first, folder, set(known.files))
        if is_changed:
            with suppress(OSError):
                used = self._used_ns(sha256)
                self._write_known(sha256, _Known({**known.files, **stamps}))
                os.utime(self._known_path(sha256), ns=(used, used))
        return ""

    def _mains(self, sha256: str) -> list[str]:
        """Return what can be opened of an object: the names under which it was kept."""
        read = [self._read_entry(path) for path in self._listed("entries", ".json")]
        named = [entry.main for entry in read if entry is not None and entry.sha256 == sha256 and self._has(entry)]
        if named:
            return list(dict.fromkeys(named))
        known = self._known(sha256)
        return list(dict.fromkeys(PurePosixPath(name).parts[0] for name in known.files)) if known else []

    def _has(self, entry: CacheEntry) -> bool:
        """Say whether an entry's file was kept and not removed since; not whether it is whole."""
        known = self._known(entry.sha256)
        first = PurePosixPath(entry.main).parts[0]
        return known is not None and any(PurePosixPath(name).parts[0] == first for name in known.files)

    def _drop_damaged(self, sha256: str, main: str, *, is_hashed: bool = False) -> str:
        """Remove an object that cannot be trusted and say why; empty when it can, or others removed it just now."""
        problem = self._problem(sha256, main, is_hashed=is_hashed)
        if not problem:
            return ""
        with suppress(OSError, SourceError), self.lock("objects"):
            is_listed = main in self._mains(sha256)
            problem = self._problem(sha256, main, is_hashed=is_hashed) if is_listed else ""
            if problem:
                self._remove(sha256)
        return problem

    def _drop(self, sha256: str, *, unless_leased: bool = False) -> None:
        with suppress(OSError, SourceError), self.lock("objects"):
            if unless_leased and sha256 in leased(self.root / "leases"):
                return
            self._remove(sha256)

    def _remove(self, sha256: str) -> None:
        target = self.root / "objects" / sha256
        gone = target.with_name(f".{uuid4().hex}")
        if target.is_dir():
            target.chmod(0o700)
            target.rename(gone)
        self._known_path(sha256).unlink(missing_ok=True)
        _remove_tree(gone)

    def _remove_stale(self, seconds: float = _STALE_SECONDS) -> None:
        """Remove unfinished downloads and files that nobody goes on with, and entries of objects that are gone."""
        from filelock import FileLock, Timeout  # noqa: PLC0415 -- only for what is fetched

        for folder in self._listed("parts", ""):
            with suppress(OSError, Timeout):
                newest = max((path.stat().st_mtime for path in (folder, *folder.iterdir())), default=0.0)
                if _MARK.fullmatch(folder.name) and time.time() - newest >= seconds:
                    with FileLock(self.root / "locks" / f"{folder.name}.lock", timeout=0):
                        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError, SourceError), self.lock("objects"):  # who holds it has none of them at work in objects
            for path in (path for folder in ("objects", "known", "entries") for path in self._listed(folder, "")):
                if _AT_WORK.fullmatch(path.name) and time.time() - path.lstat().st_mtime >= seconds:
                    _remove_tree(path)
            for path in self._listed("objects", ""):  # of who died between the rename and the note of it
                if _SHA256.fullmatch(path.name) and not self._known_path(path.name).exists():
                    _remove_tree(path)
        for path in self._listed("entries", ".json"):
            entry = self._read_entry(path)
            if entry is not None and not self._has(entry):
                with suppress(OSError):
                    path.unlink()

    # --- small files

    def _known_path(self, sha256: str) -> Path:
        return self.root / "known" / f"{sha256}.json"

    def _known(self, sha256: str) -> _Known | None:
        try:
            files = json.loads(self._known_path(sha256).read_bytes())["files"]
            good = {str(name): [str(facts[0]), *map(int, facts[1:4])] for name, facts in files.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        is_inside = all(
            len(facts) == 4 and not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts  # noqa: PLR2004 -- hash, size and two times
            for name, facts in good.items()
        )
        return _Known(good) if is_inside and good else None

    def _write_known(self, sha256: str, known: _Known) -> None:
        self._known_path(sha256).parent.mkdir(parents=True, exist_ok=True)
        _write_atomic(self._known_path(sha256), json.dumps({"files": known.files}).encode())

    def _all_known(self) -> dict[str, _Known]:
        stems = [path.stem for path in self._listed("known", ".json") if _SHA256.fullmatch(path.stem)]
        found = {stem: self._known(stem) for stem in stems}
        return {stem: known for stem, known in found.items() if known is not None}

    def _used_ns(self, sha256: str) -> int:
        try:
            return self._known_path(sha256).stat().st_mtime_ns
        except OSError:
            return 0

    def _listed(self, folder: str, suffix: str) -> list[Path]:
        try:
            return sorted(path for path in (self.root / folder).iterdir() if path.name.endswith(suffix))
        except OSError:
            return []

    def _read_entry(self, path: Path) -> CacheEntry | None:
        try:
            facts = json.loads(path.read_bytes())
            files = tuple(FetchedFile(**file) for file in facts.pop("files"))
            entry = CacheEntry(**facts, files=files)
            main = PurePosixPath(entry.main)
            texts = [value for name, value in vars(entry).items() if name != "files"]
            is_good = bool(_SHA256.fullmatch(entry.sha256)) and entry.mark == path.stem
            is_good = is_good and all(isinstance(text, str) and not set("\r\n\0") & set(text) for text in texts)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None
        return entry if is_good and main.parts and not main.is_absolute() and ".." not in main.parts else None

    def _write_entry(self, entry: CacheEntry) -> None:
        facts = {**asdict(entry), "files": [file.as_dict() for file in entry.files]}
        folder = self.root / "entries"
        folder.mkdir(parents=True, exist_ok=True)
        _write_atomic(folder / f"{entry.mark}.json", json.dumps(facts, indent=1).encode())

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> SourceError:
        return SourceError(
            message(
                "The cache {root!r} cannot be written: {strerror}. Set {root_name} to a folder of yours with room.",
                root=str(self.root),
                strerror=error.strerror or error,
                root_name=ROOT_NAME,
            )
        )


def default_root() -> Path:
    """
    Return where the cache lies when nobody says otherwise.

    Examples
    --------
    >>> default_root().is_absolute()
    True
    """
    said = os.environ.get(ROOT_NAME, "").strip()
    if said:
        return Path(said).expanduser().absolute()
    from platformdirs import user_cache_path  # noqa: PLC0415 -- only for what is fetched

    return user_cache_path("dissmodel_lab", appauthor=False) / "inputs"


def _default_limit() -> int:
    text = os.environ.get(LIMIT_NAME, "").strip()
    if not text:
        return _LIMIT
    try:
        limit = int(float(text))
    except (ValueError, OverflowError):
        limit = -1
    if limit < 0:
        raise SourceError(
            message(
                "{limit_name} is {text!r:.100}. Give a number of bytes, such as 20000000000.",
                limit_name=LIMIT_NAME,
                text=text,
            )
        )
    return limit


def _sha256_of(facts: list[Any]) -> str:
    """Return the SHA-256 in what is known of a file."""
    return str(facts[0])


def _described(made: Path, sha256: str, *, is_group: bool) -> tuple[_Known, str]:
    """Return hashes of a file or a folder's files by their paths, and the hash of all."""
    if made.is_file():
        checksum = sha256 or file_sha256(made)
        return _Known({made.name: [checksum, made.stat().st_size, 0, 0]}), checksum
    base = made if is_group else made.parent
    paths = sorted(path for path in made.rglob("*") if path.is_file())
    files: dict[str, list[Any]] = {
        path.relative_to(base).as_posix(): [file_sha256(path), path.stat().st_size, 0, 0] for path in paths
    }
    return _Known(files), sha256 or folder_sha256(made)


def _stamped(folder: Path, known: _Known) -> dict[str, list[Any]]:
    return {name: [facts[0], *(_stamp(folder / name) or [0, 0, 0])] for name, facts in known.files.items()}


def _stamp(path: Path) -> list[int] | None:
    try:
        facts = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISREG(facts.st_mode):
        return None
    return [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns]


def _write_protect(made: Path) -> None:
    for path in made.rglob("*") if made.is_dir() else (made,):
        if path.is_file() and not path.is_symlink():
            path.chmod(0o400)


def _remove_tree(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():
        for path in (folder, *(path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink())):
            with suppress(OSError):
                path.chmod(0o700)
        shutil.rmtree(folder, ignore_errors=True)
    else:
        with suppress(OSError):
            folder.unlink()


def _remove_foreign(inside: Path, folder: Path, known: set[str]) -> None:
    """Remove what readers left beside the data, such as GDAL's ``.aux.xml``: it is not what was fetched."""
    if not inside.is_dir():
        return
    for path in inside.rglob("*"):
        if not path.is_dir() and path.relative_to(folder).as_posix() not in known:
            with suppress(OSError):
                path.unlink()


def _write_atomic(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{os.getpid()}-{threading.get_ident():x}-{path.name}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
