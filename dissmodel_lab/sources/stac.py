"""A STAC source -> GeoTIFFs on this machine: the pixels under a bounding box, of each day that was found.

============================  ================================================================
:mod:`.stac_query`            the text of a source -> what is wanted
:mod:`.stac_search`           what is wanted -> items of an API, and their assets
here                          items -> which bands of which files, and the cache
:mod:`.stac_windows`          files on servers -> one GeoTIFF a day, read by ranges
============================  ================================================================

Assets often lie on another server than the API, which is how STAC is used: they are fetched from there, over
https, without the API's login, and the record lists each.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from dissmodel_lab.errors import SourceError, did_you_mean, shown
from dissmodel_lab.language import message
from dissmodel_lab.redaction import redact_uri
from dissmodel_lab.sources.addresses import Address, Kind, is_inner, parse, safe_file_name
from dissmodel_lab.sources.cache import CacheEntry, DataCache, FetchedFile
from dissmodel_lab.sources.hashing import file_sha256
from dissmodel_lab.sources.stac_query import BRAZIL_DATA_CUBE, StacQuery, format_query, parse_query
from dissmodel_lab.sources.stac_search import Asset, Found, Item, UnreachableError, search
from dissmodel_lab.sources.stac_windows import Piece, Used, write_window

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dissmodel_lab.executor.schemas import DataSource
    from dissmodel_lab.sources.fetching import Fetched

    Progress = Callable[[str, int, int | None], None]
    Cancelled = Callable[[], bool]

_TELL_SECONDS = 0.2
#: A part of the cache's mark: another way to write the files gives other bytes.
_FORM = "geotiff 1"


def fetch_items(
    source: DataSource | str,
    *,
    cache: DataCache,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Fetched:
    """
    Bring the pixels that a STAC source names here, or take the copy in the cache when the items are the same.

    Parameters
    ----------
    source : DataSource or str
        See :mod:`.stac_query`.
    cache : DataCache
        Where the result is kept, by the query, the items' ids and when the catalogue changed them.
    progress : callable, optional
        Is called with name, bytes fetched and None, at most five times a second.
    cancelled : callable, optional
        Is asked before each request whether to stop.

    Returns
    -------
    Fetched
        ``path`` is a GeoTIFF when one day was found, else a folder with ``2020-01-31.tif``, ... ``files`` lists
        each file that was written, and behind it, without bytes of their own, the assets that went into it.

    Raises
    ------
    SourceError
        With what is wrong and what to do.
    KeyboardInterrupt
        When it was cancelled; the days that are complete are kept for the next time.

    Examples
    --------
    >>> import tempfile
    >>> fetch_items("bdc_stac://C?bbox=1,2,3", cache=DataCache(tempfile.mkdtemp()))
    Traceback (most recent call last):
    dissmodel_lab.errors.SourceError: bbox=1,2,3: 3 values instead of 4. Write ...
    """
    from dissmodel_lab.sources.fetching import Fetched  # noqa: PLC0415 -- it comes here by itself

    began = time.perf_counter()
    query = parse_query(source)
    mark = mark_of(query)
    notes: list[str] = []
    with cache.lock(mark, cancelled):
        entry, fresh = cache.find(mark), None
        try:
            found = search(query, cancelled)
        except UnreachableError as error:
            if entry is None:
                raise
            notes.append(message("{error} The copy of {day} in the cache is used.", error=error, day=entry.day))
        else:
            state = state_of(found, query)
            if entry is None or entry.etag != state:
                fresh = _Fetching(query, found, state, cache, progress=progress, cancelled=cancelled).run(mark)
            else:
                entry = cache.confirm(entry)
        used = fresh or entry
        assert used is not None  # for the type checker: without a copy, one was made
        lease = cache.lease(used.sha256)
    if fresh is not None:
        cache.shrink()
    notes += cache.notes
    cache.notes.clear()
    seconds = time.perf_counter() - began
    return Fetched(cache.path(used), used.sha256, used.files, fresh is None, seconds, tuple(notes), lease)


def mark_of(query: StacQuery) -> str:
    """
    Return under which mark the cache keeps the answer to a query; secrets are no part of it.

    Examples
    --------
    >>> mark_of(parse_query("stac+https://a:b@h/?collection=C")) == mark_of(parse_query("stac+https://h/?collection=C"))
    True
    """
    plain = format_query(replace(query, user="", password="", secrets=()))
    return Address(Kind.STAC, identity=plain).mark(_FORM)


def state_of(found: Found, query: StacQuery) -> str:
    """
    Return what changes when the catalogue has other items, or changed ones: a hash of ids, times and places.

    Signatures of addresses, which change with each answer, are left out.
    """
    wanted = [
        [
            item.id,
            item.updated,
            [[p.band, p.asset.key, _identity(p.address), p.number] for p in pieces_of(item, query)],
        ]
        for item in found.items
    ]
    return hashlib.sha256(json.dumps([found.collection, wanted]).encode()).hexdigest()


def _identity(address: Address) -> str:
    return f"{address.kind.value} {address.identity}"


def pieces_of(item: Item, query: StacQuery) -> list[Piece]:
    """
    Find the files of an item that hold the wanted bands.

    Raises
    ------
    SourceError
        When it has no such band; the message lists those it has.

    Examples
    --------
    >>> item = Item("a", "2020-01-31", "", {"NDVI": Asset("NDVI", "https://host/ndvi.tif", "image/tiff")})
    >>> [piece.band for piece in pieces_of(item, parse_query("bdc_stac://C?bands=NDVI"))]
    ['NDVI']
    >>> pieces_of(item, parse_query("bdc_stac://C?bands=EVI"))
    Traceback (most recent call last):
    dissmodel_lab.errors.SourceError: The item a has no band EVI. Did you mean 'NDVI'? ... Known: NDVI.
    """
    data = [asset for asset in item.assets.values() if asset.is_data]
    if not query.bands:
        if len(data) != 1:
            known = ", ".join(shown(asset.key) for asset in data[:30]) or "none"
            raise SourceError(
                message(
                    "The item {id} has {n_data} files with data: say which with bands=... Known: {known}.",
                    id=shown(item.id),
                    n_data=len(data),
                    known=known,
                )
            )
        return [Piece(data[0].key, item.id, data[0], address_of(item, data[0], query))]
    pieces = []
    for band in query.bands:
        asset, index = _chosen(item, band, data)
        pieces.append(Piece(band, item.id, asset, address_of(item, asset, query), index))
    return pieces


def _chosen(item: Item, band: str, data: list[Asset]) -> tuple[Asset, int]:
    """Return the asset, and the number of the band in it: 0 for all of them."""
    if band in item.assets:
        return item.assets[band], 0
    for asset in data:
        names = [name.casefold() for name in asset.bands]
        if len(names) > 1 and band.casefold() in names:
            return asset, names.index(band.casefold()) + 1
    for asset in data:
        if band.casefold() in {asset.key.casefold(), *(name.casefold() for name in asset.names)}:
            return asset, 0
    known = list(dict.fromkeys(shown(name) for asset in data for name in (asset.key, *asset.bands)))[:40]
    raise SourceError(
        message(
            "The item {id} has no band {band}. {did_you_mean}",
            id=shown(item.id),
            band=shown(band),
            did_you_mean=did_you_mean(band, known),
        )
    )


def address_of(item: Item, asset: Asset, query: StacQuery) -> Address:
    """
    Return where an asset lies, when that is a place that may be fetched from.

    Other servers are usual, over https. The API's login goes to the API's own server only.

    Raises
    ------
    SourceError
        For ``file://``, ``/vsi...``, an open connection where the API's is safe, this machine's own network.

    Examples
    --------
    >>> item, query = Item("a", "2020-01-31", "", {}), parse_query("stac+https://host/stac?collection=C")
    >>> address_of(item, Asset("x", "https://other/x.tif"), query).host
    'other'
    >>> address_of(item, Asset("x", "file:///etc/passwd"), query)
    Traceback (most recent call last):
    dissmodel_lab.errors.SourceError: The item a names file:///etc/passwd for x, which is not fetched: ...
    """
    href, own = asset.href, urlsplit(query.url)
    scheme = href.partition("://")[0].lower() if "://" in href else ""

    def refuse(why: str) -> SourceError:
        return SourceError(
            message(
                "The item {id} names {href} for {key}, which is not fetched: {why}. Ask those who provide the "
                "catalogue.",
                id=shown(item.id),
                href=shown(redact_uri(href)) if href else "nothing",
                key=shown(asset.key),
                why=why,
            )
        )

    if scheme == "s3":
        address = parse(href)
        if address.is_folder:
            raise refuse(message("it is a folder"))
        return address
    if scheme not in ("http", "https"):
        raise refuse(message("only https://, http:// and s3:// are"))
    address = parse(href)
    there = urlsplit(address.url)
    is_own = (there.scheme, address.host.lower()) == (own.scheme, own.netloc.lower())
    if scheme == "http" and own.scheme == "https":
        raise refuse(
            message("anybody on the way can change what comes by http, and the catalogue itself came by https")
        )
    if is_inner(there.hostname or "") and not is_inner(own.hostname or ""):
        raise refuse(message("it is an address of this machine or its network"))
    if not is_own:
        return address
    if query.secrets:
        fields = [*parse_qsl(there.query, keep_blank_values=True), *query.secrets]
        address = replace(address, url=urlunsplit(there._replace(query=urlencode(fields))))
    if address.user or address.password:
        return address
    return replace(address, user=query.user, password=query.password)


class _Fetching:
    """The fetching of one answer."""

    def __init__(
        self,
        query: StacQuery,
        found: Found,
        state: str,
        cache: DataCache,
        *,
        progress: Progress | None,
        cancelled: Cancelled | None,
    ) -> None:
        self._query, self._found, self._state, self._cache = query, found, state, cache
        self._progress, self._cancelled = progress, cancelled or (lambda: False)
        self._name = safe_file_name(found.collection, "items")
        self._before, self._next_time = 0, 0.0

    def run(self, mark: str) -> CacheEntry:
        """Write a file for each day, and keep them."""
        try:
            return self._written(mark)
        except OSError as error:
            raise SourceError(
                message(
                    "The cache {root!r} cannot be written: {strerror}. Make room there.",
                    root=str(self._cache.root),
                    strerror=error.strerror or error,
                )
            ) from error

    def _written(self, mark: str) -> CacheEntry:
        folder = self._workspace(mark)
        used: list[tuple[str, Used]] = []
        days: dict[str, list[Piece]] = {}
        for item in self._found.items:
            days.setdefault(item.day, []).extend(pieces_of(item, self._query))
        for day, pieces in days.items():
            used += [(day, one) for one in self._day(folder, day, pieces)]
        made = sorted(folder.glob("*.tif"))
        if not made:
            raise SourceError(
                message(
                    "No pixel of the items of {collection} lies in the bbox, although the catalogue says so. Give "
                    "a larger bbox.",
                    collection=shown(self._found.collection),
                )
            )
        files = self._files(made, used)
        final = folder.with_name(self._name if len(made) > 1 else f"{self._name}_{made[0].name}")
        (folder if len(made) > 1 else made[0]).rename(final)
        return self._cache.keep(mark, final, text=self._query.text, files=files, etag=self._state)

    def _workspace(self, mark: str) -> Path:
        """Return the folder of this answer; what was begun of another one is removed."""
        base = self._cache.workspace(mark)
        folder = base / self._state[:16]
        for path in base.iterdir():
            if path != folder:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
        folder.mkdir(exist_ok=True)
        return folder

    def _day(self, folder: Path, day: str, pieces: list[Piece]) -> list[Used]:
        done, listed = folder / f"{day}.tif", folder / f".{day}.json"
        if listed.exists():  # an earlier attempt came so far
            return [Used(*one) for one in json.loads(listed.read_text(encoding="utf-8"))]
        self._tell(0)
        begun = folder / f".{day}.part"
        tags = {
            "STAC_API": self._query.url,
            "STAC_COLLECTION": self._found.collection,
            "STAC_ITEMS": ",".join(dict.fromkeys(piece.item for piece in pieces)),
            "STAC_DATE": day,
        }
        used = write_window(begun, pieces, self._query.bbox, tags=tags, told=self._tell, cancelled=self._cancelled)
        if used:
            os.replace(begun, done)  # noqa: PTH105 -- as the next line, in one step
        listed.write_text(json.dumps(used), encoding="utf-8")
        self._before += sum(one.bytes for one in used)
        return list(used)

    def _tell(self, fetched: int) -> None:
        if self._progress is not None and time.monotonic() >= self._next_time:
            self._next_time = time.monotonic() + _TELL_SECONDS
            self._progress(self._name, self._before + fetched, None)

    def _files(self, made: list[Path], used: list[tuple[str, Used]]) -> tuple[FetchedFile, ...]:
        updated = {item.id: item.updated for item in self._found.items}
        files = []
        for path in made:
            name = path.name if len(made) > 1 else f"{self._name}_{path.name}"
            checksum = file_sha256(path)
            files.append(FetchedFile(self._query.text, name, checksum, path.stat().st_size))
            files += [
                FetchedFile(one.text, name, checksum, 0, one.etag, one.modified or updated.get(one.item, ""))
                for day, one in used
                if day == path.stem
            ]
        for hidden in made[0].parent.glob(".*"):
            hidden.unlink()
        return tuple(files)


__all__ = ["BRAZIL_DATA_CUBE", "StacQuery", "fetch_items", "format_query", "parse_query"]
