"""A source from anywhere -> a local file or folder that is what its SHA-256 says, fetched once.

The flow: address -> credentials -> cache (asked whether the server still has the same) -> download -> cache.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from dissmodel_lab.errors import SourceError
from dissmodel_lab.language import message
from dissmodel_lab.sources.addresses import Address, Kind, parse, safe_file_name
from dissmodel_lab.sources.answers import Facts, PassingError
from dissmodel_lab.sources.buckets import Bucket, Listed
from dissmodel_lab.sources.cache import CacheEntry, DataCache, FetchedFile
from dissmodel_lab.sources.downloads import RESERVE, Arrived, Download, Tally, waited
from dissmodel_lab.sources.leases import Lease
from dissmodel_lab.sources.web import WebFile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from dissmodel_lab.executor.schemas import DataSource

    Progress = Callable[[str, int, int | None], None]
    Cancelled = Callable[[], bool]

_SIDECARS: dict[str, tuple[str, ...]] = {
    ".shp": (".shx", ".dbf", ".prj", ".cpg", ".qix", ".sbn", ".sbx"),
    ".asc": (".prj",),
    ".bil": (".hdr", ".prj"),
    ".flt": (".hdr", ".prj"),
    ".png": (".pgw", ".prj"),
    ".jpg": (".jgw", ".prj"),
}
"""Files of the same name that belong to a file; they come with it where they exist."""
_ENDINGS = {
    "image/tiff": ".tif",
    "application/geopackage+sqlite3": ".gpkg",
    "application/zip": ".zip",
    "application/geo+json": ".geojson",
    "application/x-netcdf": ".nc",
    "application/netcdf": ".nc",
    "text/csv": ".csv",
}
_AT_ONCE = 8
"""How many files of a folder are fetched at the same time."""
_PART, _ALL = "content.part", "all"
_PATIENCE = 60.0


class Fetched(NamedTuple):
    """A source that is here."""

    path: Path
    """What a reader opens; read-only."""
    sha256: str
    """Of the file, or of the folder by :func:`~dissmodel_lab.sources.hashing.folder_sha256`."""
    files: tuple[FetchedFile, ...]
    is_from_cache: bool
    seconds: float
    notes: tuple[str, ...] = ()
    """What people should know, in sentences."""
    lease: Lease = Lease(None)
    """Keeps it in the cache until it is closed, or this process ends."""

    @property
    def bytes(self) -> int:
        """Size of all files [bytes]."""
        return sum(file.bytes for file in self.files)


def fetch(
    source: DataSource | str,
    *,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    cache: DataCache | None = None,
) -> Fetched:
    """
    Bring a source here, or take the copy in the cache when its server still has the same.

    A server that does not answer is no problem while there is a copy: ``notes`` says of when it is. Two processes
    that want the same fetch it once. What a killed process had fetched is gone on with.

    Parameters
    ----------
    source : DataSource or str
        ``s3://``, ``http(s)://`` or a STAC source. Of ``s3://bucket/folder/`` all objects come; of a shapefile its
        sidecars too.
    progress : callable, optional
        Is called with name, bytes done and bytes in all (None when nobody knows), at most five times a second.
    cancelled : callable, optional
        Is asked twenty times a second whether to stop.
    cache : DataCache, optional
        Where it is kept; the user's own when not given.

    Returns
    -------
    Fetched
        Its path lasts until its ``lease`` is closed, or this process ends.

    Raises
    ------
    SourceError
        With what is wrong and what to do.
    KeyboardInterrupt
        When it was cancelled; what came is kept.

    Examples
    --------
    >>> fetch("data/x.tif")
    Traceback (most recent call last):
    dissmodel_lab.errors.SourceError: The input 'data/x.tif' is on this machine: there is nothing to fetch. ...
    """
    began = time.perf_counter()
    address = parse(source)
    keep = cache or DataCache()
    if not address.is_remote:
        raise SourceError(
            message(
                "The input {text!r} is on this machine: there is nothing to fetch. Use its path.", text=address.text
            )
        )
    if address.kind is Kind.STAC:
        from dissmodel_lab.sources.stac import fetch_items  # noqa: PLC0415 -- loads pystac

        return fetch_items(source, progress=progress, cancelled=cancelled, cache=keep.writable())
    return _Fetching(address, keep, progress, cancelled).run(began)


def check_address(source: DataSource | str) -> Address:
    """
    See that a remote source is there and may be read, by one request; of a STAC source only the text is read.

    Raises
    ------
    SourceError
        When it is not. A server that cannot be reached is no problem while the cache has a copy.

    Examples
    --------
    >>> check_address("s3://bucket")
    Traceback (most recent call last):
    dissmodel_lab.errors.SourceError: The input 's3://bucket' names a bucket, but no object in it. ...
    """
    address = parse(source)
    if address.kind is Kind.STAC:
        from dissmodel_lab.sources.stac_query import parse_query  # noqa: PLC0415 -- only for STAC

        parse_query(source)
    if address.kind not in (Kind.S3, Kind.HTTP):
        return address
    _refuse_web_folder(address)
    reader: Bucket | WebFile = Bucket(address) if address.kind is Kind.S3 else WebFile(address)
    try:
        waited(reader.head())
    except PassingError as error:
        if DataCache().find(_mark_of(address, reader)) is None:
            raise SourceError(*error.args) from error
    return address


def _mark_of(address: Address, reader: Bucket | WebFile) -> str:
    return address.mark(reader.options.endpoint_url if isinstance(reader, Bucket) else "")


def _refuse_web_folder(address: Address) -> None:
    if address.kind is Kind.HTTP and address.is_folder:
        raise SourceError(
            message(
                "The input '{text}' is a folder on a web server, which cannot list its files. Give its s3:// "
                "address, or one file (a zip, a NetCDF).",
                text=address.text,
            )
        )


@dataclass
class _Piece:
    """One file of a source that consists of several."""

    name: str
    """Where it goes, inside the folder."""
    uri: str
    reader: Any
    known: Facts
    bytes: int
    is_optional: bool = False
    arrived: Arrived | None = None


@dataclass
class _KeyReader:
    """Opens one object of a bucket's folder."""

    bucket: Bucket
    key: str
    address: Address

    def open(self, start: int = 0, known: Facts | None = None, *, is_check: bool = False) -> Any:
        return self.bucket.open(start, known, is_check=is_check, key=self.key)


@dataclass
class _Fetching:
    """One source on its way."""

    address: Address
    cache: DataCache
    progress: Progress | None
    cancelled: Cancelled | None
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        _refuse_web_folder(self.address)
        self.reader: Bucket | WebFile = (
            Bucket(self.address) if self.address.kind is Kind.S3 else WebFile(self.address)
        )
        self.mark = _mark_of(self.address, self.reader)
        self.tally = Tally(self.address.name)

    def run(self, began: float) -> Fetched:
        keep = self.cache.writable()
        with keep.lock(self.mark, self.cancelled):
            entry = self.cache.find(self.mark)
            owner = self.cache if entry is not None else keep
            fresh = self._brought(keep, entry)
            entry, owner = (fresh, keep) if fresh is not None else (entry, owner)
            assert entry is not None  # for the type checker: without one, something was brought
            lease = owner.lease(entry.sha256)
            if not owner.path(entry).exists():  # somebody has made room in the very moment
                lease.close()
                return self._again(began)
            if fresh is None:
                entry = owner.confirm(entry) if not self.notes else entry
        if fresh is not None:
            owner.shrink()
        self.notes += [*self.cache.notes, *(keep.notes if keep is not self.cache else [])]
        self.cache.notes.clear()
        seconds = time.perf_counter() - began
        path = owner.path(entry)
        return Fetched(path, entry.sha256, entry.files, fresh is None, seconds, tuple(self.notes), lease)

    def _again(self, began: float) -> Fetched:
        if time.perf_counter() - began > _PATIENCE:
            raise SourceError(
                message(
                    "The copy of {text} disappears from the cache {root!r} again and again. Make room there, or "
                    "set DISSMODEL_LAB_CACHE_BYTES higher.",
                    text=self.address.text,
                    root=str(self.cache.root),
                )
            )
        return _Fetching(self.address, self.cache, self.progress, self.cancelled).run(began)

    def _brought(self, keep: DataCache, entry: CacheEntry | None) -> CacheEntry | None:
        """Fetch what is new; None when the copy is still what the server has."""
        try:
            return waited(self._work(keep, entry), tally=self.tally, progress=self.progress, cancelled=self.cancelled)
        except OSError as error:  # of the disk: those of the network have been understood
            raise SourceError(
                message(
                    "The input '{text}' cannot be kept in {root!r}: {strerror}. Make room, or set "
                    "DISSMODEL_LAB_CACHE to another folder.",
                    text=self.address.text,
                    root=str(keep.root),
                    strerror=error.strerror or error,
                )
            ) from error
        except PassingError as error:
            if entry is None:
                raise SourceError(*error.args) from error
            reason = message("did not answer") if error.is_unreachable else "failed"
            self.notes.append(
                message(
                    "The server of {text} {reason}; the copy of {day} was used.",
                    text=self.address.text,
                    reason=reason,
                    day=entry.day,
                )
            )
            return None

    async def _work(self, keep: DataCache, entry: CacheEntry | None) -> CacheEntry | None:
        return await (self._folder(keep, entry) if self.address.is_folder else self._file(keep, entry))

    # --- one file, perhaps with sidecars

    async def _file(self, keep: DataCache, entry: CacheEntry | None) -> CacheEntry | None:
        known = Facts(entry.etag, entry.modified) if entry is not None and (entry.etag or entry.modified) else None
        work = keep.workspace(self.mark)
        part = work / _PART
        arrived = await Download(self.reader, part, self.tally, self._room(keep)).run(known)
        if arrived is None:
            if entry is None or not _SIDECARS.get(self.address.suffix) or await self._same_sidecars(entry):
                return None
            self.tally.done, self.tally.total = 0, None
            arrived = await Download(self.reader, part, self.tally, self._room(keep)).run()
        assert arrived is not None  # for the type checker: without a known copy something arrives
        name = self._name(arrived.facts)
        file = FetchedFile(
            self.address.text, name, arrived.sha256, arrived.bytes, arrived.facts.etag, arrived.facts.modified
        )
        beside = await self._sidecars(keep, name)
        said: dict[str, Any] = {
            "text": self.address.text, "etag": arrived.facts.etag, "modified": arrived.facts.modified
        }  # fmt: skip
        if not beside:
            made = work / name if name not in (_PART, _ALL) else work / f"_{name}"
            part.replace(made)
            return await _apart(keep.keep, self.mark, made, files=(file,), sha256=arrived.sha256, **said)
        group = work / _ALL
        part.replace(group / name)
        return await _apart(keep.keep, self.mark, group, files=(file, *beside), main=name, **said)

    def _name(self, facts: Facts) -> str:
        name = safe_file_name(facts.name, self.address.name) if facts.name else self.address.name
        if not PurePosixPath(name).suffix:
            name += _ENDINGS.get(facts.content_type.partition(";")[0].strip().lower(), "")
        return name

    async def _same_sidecars(self, entry: CacheEntry) -> bool:
        """Tell whether the sidecars that came are unchanged too, and none was added."""
        have = {file.name: file for file in entry.files}
        for piece in await self._pieces_beside(entry.main):
            file = have.get(piece.name)
            known = Facts(file.etag, file.modified) if file is not None else None
            try:
                async with piece.reader.open(0, known, is_check=known is not None) as answer:
                    if file is None and self.address.kind is Kind.HTTP and _is_page(answer.facts):
                        continue
                    if not answer.is_unchanged:
                        return False
            except SourceError:
                if file is not None:
                    return False
        return True

    async def _sidecars(self, keep: DataCache, name: str) -> list[FetchedFile]:
        pieces = await self._pieces_beside(name)
        group = keep.workspace(self.mark) / _ALL
        if not pieces:
            return []
        group.mkdir(exist_ok=True)
        for piece in pieces:
            with suppress(SourceError):  # not there, or a page that says so: sidecars are optional
                await self._piece(keep, group, piece)
        return [
            FetchedFile(
                piece.uri, piece.name, piece.arrived.sha256, piece.arrived.bytes, piece.arrived.facts.etag,
                piece.arrived.facts.modified,
            )
            for piece in pieces
            if piece.arrived is not None
        ]  # fmt: skip

    async def _pieces_beside(self, name: str) -> list[_Piece]:
        endings = _SIDECARS.get(self.address.suffix, ())
        if not endings or self.address.version_id:
            return []
        stem = PurePosixPath(name).stem
        if isinstance(self.reader, Bucket):
            before = self.address.key[: -len(PurePosixPath(self.address.key).suffix)]
            listed = [
                item
                for item in await self.reader.listed(f"{before}.")
                if item.key != self.address.key and item.key[len(before) :].lower() in endings
            ]
            return [self._piece_of(item, stem + item.key[len(before) :]) for item in listed]
        parts = urlsplit(self.address.url)
        if not parts.path.lower().endswith(self.address.suffix):  # ?file=roads.shp
            return []
        path = parts.path[: -len(self.address.suffix)]
        is_upper = parts.path[-len(self.address.suffix) :].isupper()
        pieces = []
        for ending in endings:
            said = ending.upper() if is_upper else ending
            url = urlunsplit(parts._replace(path=path + said))
            there = Address(**{**vars(self.address), "url": url, "text": _beside(self.address.text, said)})
            pieces.append(_Piece(stem + said, there.text, WebFile(there), Facts(), 0, is_optional=True))
        return pieces

    # --- many files

    async def _folder(self, keep: DataCache, entry: CacheEntry | None) -> CacheEntry | None:
        assert isinstance(self.reader, Bucket)  # for the type checker: only buckets can list
        listed = await self.reader.listed()
        prefix = self.address.key.rstrip("/") + "/"
        pieces = [self._piece_of(item, self._inside(item.key[len(prefix) :])) for item in listed]
        state = hashlib.sha256(json.dumps(sorted((item.key, item.etag, item.bytes) for item in listed)).encode())
        tag = state.hexdigest()
        if entry is not None and entry.etag == tag:
            return None
        if len({piece.name.lower() for piece in pieces}) < len(pieces):
            self.notes.append(message("Some names in {text} differ only in capitals.", text=self.address.text))
        folder = keep.workspace(self.mark) / _ALL / self.address.name
        _remove_others(folder, {piece.name for piece in pieces})
        for piece in pieces:
            self.tally.expect(piece.bytes)
        self._room(keep)(sum(piece.bytes for piece in pieces))
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(piece: _Piece) -> None:
            async with gate:
                await self._piece(keep, folder, piece, is_counted=True)

        async with _together() as group:
            for piece in pieces:
                group.create_task(one(piece))
        files = tuple(
            FetchedFile(piece.uri, piece.name, piece.arrived.sha256, piece.arrived.bytes, piece.known.etag)
            for piece in sorted(pieces, key=lambda piece: piece.name)
            if piece.arrived is not None
        )
        return await _apart(keep.keep, self.mark, folder, text=self.address.text, files=files, etag=tag)

    def _piece_of(self, item: Listed, name: str) -> _Piece:
        assert isinstance(self.reader, Bucket)  # for the type checker: only buckets can list
        uri = f"s3://{self.address.bucket}/{item.key}"
        there = Address(**{**vars(self.address), "key": item.key, "text": uri, "name": PurePosixPath(name).name})
        return _Piece(
            name, uri, _KeyReader(self.reader, item.key, there), Facts(etag=item.etag, total=item.bytes), item.bytes
        )

    def _inside(self, rest: str) -> str:
        """Return where an object goes inside the folder; refuse names that lead out of it."""
        parts = rest.split("/")
        if any(safe_file_name(part, "") != part for part in parts):
            raise SourceError(
                message(
                    "The input '{text}' holds an object whose name cannot be a file's: {rest!r}. Rename it in the "
                    "bucket.",
                    text=self.address.text,
                    rest=rest[:200],
                )
            )
        return rest

    async def _piece(self, keep: DataCache, folder: Path, piece: _Piece, *, is_counted: bool = False) -> None:
        """Fetch one file of several, unless an earlier attempt has it."""
        target = folder / piece.name
        part = keep.workspace(self.mark) / f"{hashlib.sha256(piece.name.encode()).hexdigest()[:24]}.part"
        done = part.with_suffix(".done")
        with suppress(OSError, ValueError, KeyError, TypeError):
            said = json.loads(done.read_bytes())
            if (
                target.stat().st_size == piece.bytes == said["bytes"]
                and piece.known.etag
                and said["etag"] == piece.known.etag
            ):
                piece.arrived = Arrived(piece.known, said["sha256"], said["bytes"])
                self.tally.add(piece.bytes)
                return
        if piece.bytes == 0 and not piece.is_optional:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(b"")
            piece.arrived = Arrived(piece.known, hashlib.sha256().hexdigest(), 0)
            return
        arrived = await Download(piece.reader, part, self.tally, self._room(keep), is_counted=is_counted).run()
        assert arrived is not None  # for the type checker: without a known copy something arrives
        piece.arrived = arrived
        target.parent.mkdir(parents=True, exist_ok=True)
        part.replace(target)
        facts = {"etag": arrived.facts.etag, "sha256": arrived.sha256, "bytes": arrived.bytes}
        done.write_text(json.dumps(facts), encoding="utf-8")

    def _room(self, keep: DataCache) -> Callable[[int], None]:
        def check(wanted: int) -> None:
            free = keep.free_bytes() - RESERVE
            if wanted > free:
                keep.shrink(wanted + RESERVE)
                free = keep.free_bytes() - RESERVE
            if wanted > free:
                raise SourceError(
                    message(
                        "The input '{text}' needs {wanted:,} bytes more, but the disk of the cache {root!r} has "
                        "only {value:,} left. Make room, or set DISSMODEL_LAB_CACHE to a folder on another disk.",
                        text=self.address.text,
                        wanted=wanted,
                        root=str(keep.root),
                        value=max(0, free),
                    )
                )

        return check


async def _apart(work: Callable[..., CacheEntry], *given: Any, **named: Any) -> CacheEntry:
    """Do what takes long without the network on another thread than the network's."""
    return await asyncio.to_thread(work, *given, **named)


@asynccontextmanager
async def _together() -> AsyncIterator[asyncio.TaskGroup]:
    """Run tasks of which the first problem is raised as it is, not in a group of problems."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as problems:
        first = problems.exceptions[0]
        raise first from first.__cause__


def _is_page(facts: Facts) -> bool:
    return "html" in facts.content_type.lower()


def _beside(text: str, ending: str) -> str:
    head, mark, query = text.partition("?")
    return re.sub(r"\.[^./]*$", ending, head) + mark + query


def _remove_others(folder: Path, names: set[str]) -> None:
    if folder.is_dir():
        for path in folder.rglob("*"):
            if path.is_file() and path.relative_to(folder).as_posix() not in names:
                path.unlink()
