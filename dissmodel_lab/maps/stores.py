"""What kind of array file this is, and whether it leads anywhere else: looked at before it is opened.

Zarr: https://zarr-specs.readthedocs.io, versions 2 and 3. An HDF5 file may name other files (external links,
external storage, virtual datasets), and a Zarr array any codec, of which one runs Python code (pickle).
"""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

from dissmodel_lab.errors import SourceError
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
#: netCDF's classic formats that scipy reads, and the one that it doesn't.
CLASSIC_MAGIC, CDF5_MAGIC = (b"CDF\x01", b"CDF\x02"), b"CDF\x05"
#: Files that describe a Zarr group or array.
ZARR_FILES = (".zgroup", ".zarray", ".zmetadata", "zarr.json")
#: Codecs that only compute.
CODECS = frozenset({
    "zlib", "gzip", "bz2", "lzma", "blosc", "zstd", "lz4", "lz4r", "shuffle", "delta", "fixedscaleoffset", "quantize",
    "packbits", "categorize", "bitround", "astype", "vlen-utf8", "vlen-bytes", "vlen-array", "json2", "base64",
    "crc32", "crc32c", "adler32", "fletcher32", "jenkins_lookup3", "bytes", "endian", "transpose", "sharding_indexed",
})  # fmt: skip
#: Larger descriptions aren't read [bytes], nor more of them.
MAX_BYTES, MAX_FILES = 32 << 20, 20_000


def kind_of(path: Path) -> str:
    """
    Tell by its content what kind of array file or folder this is.

    Parameters
    ----------
    path : Path
        Of a file or a folder.

    Returns
    -------
    str
        ``HDF5`` (netCDF 4 is one), ``netCDF`` (classic), ``netCDF CDF-5``, ``Zarr``, or an empty text.

    Examples
    --------
    >>> from pathlib import Path
    >>> kind_of(Path("pyproject.toml").parent)
    ''
    """
    if path.is_dir():
        return "Zarr" if any((path / name).is_file() for name in ZARR_FILES) else ""
    with path.open("rb") as file:
        magic = file.read(8)
    if magic == HDF5_MAGIC:
        return "HDF5"
    if magic.startswith(CDF5_MAGIC):
        return "netCDF CDF-5"
    if magic.startswith(CLASSIC_MAGIC):
        return "netCDF"
    if magic.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(path) as archive:
                return "Zarr" if any(name in archive.namelist() for name in ZARR_FILES) else ""
        except zipfile.BadZipFile:
            return ""
    return ""


def check_codecs(path: Path, title: str) -> None:
    """
    Refuse a Zarr store whose arrays need a codec that isn't known to compute only.

    Parameters
    ----------
    path : Path
        Of a folder or a zip file.
    title : str
        How messages call it.

    Raises
    ------
    SourceError
        For any other codec, links that lead out of the folder, and descriptions that can't be read.
    """
    for name, text in _descriptions(path, title):
        try:
            described = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SourceError(
                message(
                    "{title}: {name} is no JSON ({kind}). Is it whole?",
                    title=title,
                    name=name,
                    kind=type(error).__name__,
                )
            ) from error
        for codec in _codecs(described):
            if codec.removeprefix("numcodecs.") not in CODECS:
                raise SourceError(
                    message(
                        "{title}: {name} needs the codec {codec!r}, which is not among those that are safe to use "
                        "on a file from elsewhere. Write it anew with zstd, blosc or gzip.",
                        title=title,
                        name=name,
                        codec=codec[:40],
                    )
                )


def _descriptions(path: Path, title: str) -> Iterator[tuple[str, bytes]]:
    if path.is_file():
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.filename.rpartition("/")[2] in ZARR_FILES:
                    _check_size(entry.file_size, entry.filename, title)
                    yield entry.filename, archive.read(entry)
        return
    root = path.resolve()
    found = 0
    for name in ZARR_FILES:
        for file in path.rglob(name):
            found += 1
            if found > MAX_FILES:
                raise SourceError(
                    message(
                        "{title} holds more than {max_files:,} arrays, which is too many to look through.",
                        title=title,
                        max_files=MAX_FILES,
                    )
                )
            if not file.resolve().is_relative_to(root):
                raise SourceError(
                    message(
                        "{title}: {name} is a link that leads out of the folder. Copy what it names.",
                        title=title,
                        name=file.name,
                    )
                )
            _check_size(file.stat().st_size, file.name, title)
            yield str(file.relative_to(path)), file.read_bytes()


def _check_size(size: int, name: str, title: str) -> None:
    if size > MAX_BYTES:
        raise SourceError(
            message(
                "{title}: {name} has {size:,} bytes, which is too much for a description of arrays.",
                title=title,
                name=name,
                size=size,
            )
        )


def _codecs(described: Any) -> Iterator[str]:
    """All codecs that a description names, at any depth: what has an ``id`` (v2), or stands in ``codecs`` (v3)."""
    if isinstance(described, list):
        for entry in described:
            yield from _codecs(entry)
    elif isinstance(described, dict):
        for key, value in described.items():
            if key in {"filters", "codecs", "index_codecs", "compressor", "attributes", "user_attrs"}:
                if key not in {"attributes", "user_attrs"}:
                    yield from _named(value)
            else:
                yield from _codecs(value)


def _named(value: Any) -> Iterator[str]:
    for codec in value if isinstance(value, list) else [value]:
        if isinstance(codec, dict):
            yield str(codec.get("id", codec.get("name", "")))
            yield from _codecs(codec.get("configuration"))
        elif codec is not None:
            yield str(codec)


def check_links(path: Path, title: str) -> None:
    """
    Refuse an HDF5 file that would read other files.

    Parameters
    ----------
    path : Path
        Of the file.
    title : str
        How messages call it.

    Raises
    ------
    SourceError
        When it has external links, external storage or virtual datasets, or can't be read.
    ImportError
        When h5py is missing.
    """
    import h5py  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: PLC0415 -- extra, no stubs

    try:
        with h5py.File(path, "r") as file:
            _check_group(h5py, file, title, set())
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(
            message("{title} can't be read ({error}). Is the file whole?", title=title, error=str(error)[:200])
        ) from error


def _check_group(h5py: Any, group: Any, title: str, seen: set[Any]) -> None:
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise SourceError(
                message(
                    "{title}: {name!r} is a link into another file, which is not followed. Copy it into one.",
                    title=title,
                    name=name,
                )
            )
        if isinstance(link, h5py.SoftLink):
            continue  # within this file: what it names is looked at where it stands
        child = group[name]
        if isinstance(child, h5py.Group):
            mark = h5py.h5o.get_info(child.id).addr
            if mark not in seen:
                seen.add(mark)
                _check_group(h5py, child, title, seen)
        elif isinstance(child, h5py.Dataset) and (child.is_virtual or child.external):
            raise SourceError(
                message(
                    "{title}: {name!r} takes its values from another file, which is not read. Copy it into one.",
                    title=title,
                    name=name,
                )
            )
