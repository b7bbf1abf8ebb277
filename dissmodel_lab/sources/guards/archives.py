"""Zip files: what is in them, and whether every program reads the same in them.

Python and GDAL each read a zip's directory in their own way. An archive in which they could see different files
is refused, so that the file that was looked at is the file that is opened.
APPNOTE.TXT - .ZIP File Format Specification, version 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from dissmodel_lab.errors import SourceError, shown
from dissmodel_lab.language import message
from dissmodel_lab.sources.guards.held import Member

#: What a zip may contain, in the order of preference; the other files of a shapefile come along.
MEMBER_ENDINGS = (
    ".tif", ".tiff", ".shp", ".gpkg", ".geojson", ".json", ".fgb", ".geojsonl", ".asc", ".png", ".jpg", ".jpeg"
)  # fmt: skip
#: What is known, and can't be read inside a zip.
ONLY_UNPACKED = (".nc", ".nc4", ".h5", ".hdf5", ".parquet", ".geoparquet", ".zarr")
MAX_MEMBERS = 50_000
#: A packed member is unpacked from its beginning whenever it is read: larger ones take too long [bytes].
MAX_PACKED = 500_000_000
#: Deflate packs 1032 bytes into one at best (zlib's documentation, https://zlib.net/zlib_tech.html).
MAX_RATIO = 1032
_END, _END_SIZE, _LONGEST_COMMENT = b"PK\x05\x06", 22, 65_535
_LOCAL, _LOCAL_SIZE = b"PK\x03\x04", 30
_ENCRYPTED = 0x1


def maps_in(path: Path, name: str) -> tuple[Member, ...]:
    """
    List the maps in a zip, the preferred kind first.

    Parameters
    ----------
    path : Path
        A zip.
    name : str
        How messages call it.

    Returns
    -------
    tuple of Member
        At least one.

    Raises
    ------
    SourceError
        When it is damaged, could be read in two ways, or holds no map.
    """
    members = _members(path, name)
    real = {member: info for member, info in members.items() if _is_real(member)}
    found = [member for ending in MEMBER_ENDINGS for member in real if member.lower().endswith(ending)]
    if not found:
        _refuse_without_map(name, list(real))
    return tuple(Member(path, member, f"{name} ({shown(member)})", real) for member in found)


def _is_real(member: str) -> bool:
    """Tell a file from a folder, and from the shadow files of a Mac."""
    file = PurePosixPath(member).name
    return not member.endswith("/") and not member.startswith("__MACOSX/") and not file.startswith("._")


def _refuse_without_map(name: str, members: list[str]) -> None:
    inner = [member for member in members if member.lower().endswith(".zip")]
    unreadable = [member for member in members if any(ending in member.lower() for ending in ONLY_UNPACKED)]
    if inner:
        raise SourceError(
            message(
                "{name} is a zip file in which another one lies ({inner}). Unpack it once.",
                name=name,
                inner=shown(inner[0]),
            )
        )
    if unreadable:
        raise SourceError(
            message(
                "{name} is a zip file with {unreadable} in it, which can't be read while it is packed. Unpack it.",
                name=name,
                unreadable=shown(unreadable[0]),
            )
        )
    raise SourceError(
        message(
            "{name} is a zip file without a map in it. Known in a zip: {member_endings}.",
            name=name,
            member_endings=", ".join(MEMBER_ENDINGS),
        )
    )


def _members(path: Path, name: str) -> dict[str, zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            members = {info.filename: info for info in infos}
            with path.open("rb") as file:
                reason = _doubt(archive, file, infos, path.stat().st_size)
    # what Python's reader raises for damage: https://docs.python.org/3/library/zipfile.html, and from inside
    except (
        zipfile.BadZipFile,
        struct.error,
        zlib.error,
        EOFError,
        ValueError,
        OverflowError,
        NotImplementedError,
    ) as error:
        raise SourceError(
            message(
                "{name} is a damaged zip file ({error}). Fetch it again.", name=name, error=str(error).rstrip(".")
            )
        ) from error
    if reason:
        raise SourceError(
            message(
                "{name} is a zip file that programs could read in different ways: {reason}. Unpack it, and look at "
                "what is in it before you name one of the files.",
                name=name,
                reason=reason,
            )
        )
    if len(members) > MAX_MEMBERS:
        raise SourceError(
            message(
                "{name} is a zip file with {n_members:,} files; at most {max_members:,} are looked through. Unpack "
                "it.",
                name=name,
                n_members=len(members),
                max_members=MAX_MEMBERS,
            )
        )
    return members


def _doubt(archive: zipfile.ZipFile, file: IO[bytes], infos: list[zipfile.ZipInfo], size: int) -> str:
    """Return why two programs could see different files in it; empty when they can't."""
    if len({info.filename for info in infos}) < len(infos):
        return message("two files in it have the same name")
    tail_size = min(size, _END_SIZE + _LONGEST_COMMENT)
    file.seek(size - tail_size)
    tail = file.read(tail_size)
    if tail.count(_END) != 1 or tail.rfind(_END) + _END_SIZE + len(archive.comment) != tail_size:
        return message("it has no single end")
    if infos and min(info.header_offset for info in infos) != 0:
        return message("it begins with something else")
    directory = size - tail_size + tail.rfind(_END) - archive.start_dir
    if not 0 <= directory <= size:
        return message("its directory lies outside of it")
    return ""


def check_member(member: Member) -> None:
    """
    Refuse a member that can't be read where it lies, or that claims the impossible.

    Raises
    ------
    SourceError
        With what to do.
    """
    info = member.members[member.member]
    name = member.name
    parts = PurePosixPath(member.member).parts
    if ".." in parts or member.member.startswith("/") or "\\" in member.member or not member.member.isprintable():
        raise SourceError(
            message("{name} has a name that leads out of the archive. Don't unpack it: ask who made it.", name=name)
        )
    if stat.S_ISLNK(info.external_attr >> 16):
        raise SourceError(
            message("{name} is a link to another file, not a file. Put the file itself into the zip.", name=name)
        )
    if info.flag_bits & _ENCRYPTED:
        raise SourceError(message("{name} is encrypted. Unpack it with its password, then name the file.", name=name))
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise SourceError(
            message(
                "{name} is packed in a way that is not read here (stored and deflated are). Unpack it.", name=name
            )
        )
    if info.file_size > MAX_RATIO * max(info.compress_size, 1):
        raise SourceError(
            message(
                "{name} is said to be {file_size:,} bytes, which {compress_size:,} packed bytes can't hold: the "
                "zip file is damaged, or was made to harm. Fetch it again.",
                name=name,
                file_size=info.file_size,
                compress_size=info.compress_size,
            )
        )
    if info.compress_type != zipfile.ZIP_STORED and info.file_size > MAX_PACKED:
        raise SourceError(
            message(
                "{name} has {file_size:,} bytes when unpacked; packed files are read up to {max_packed:,}. Unpack "
                "it.",
                name=name,
                file_size=info.file_size,
                max_packed=MAX_PACKED,
            )
        )
    _check_header(member, info)


def _check_header(member: Member, info: zipfile.ZipInfo) -> None:
    """Refuse a member whose own header says something else than the directory: a reader may go by either."""
    with member.archive.open("rb") as file:
        file.seek(info.header_offset)
        header = file.read(_LOCAL_SIZE)
        if len(header) == _LOCAL_SIZE and header.startswith(_LOCAL):
            flags, method = struct.unpack_from("<HH", header, 6)
            (length,) = struct.unpack_from("<H", header, 26)
            own = file.read(length).decode("utf-8" if flags & 0x800 else "cp437", "replace")
            if (own, method) == (info.orig_filename, info.compress_type):
                return
    raise SourceError(
        message(
            "{name}: the zip file says two different things of it. It is damaged: fetch it again.", name=member.name
        )
    )
