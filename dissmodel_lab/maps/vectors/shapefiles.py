"""The files of a shapefile besides the .shp: which are missing, what follows from it, how its texts are written.

ESRI (1998), ESRI Shapefile Technical Description: a .shx holds the place and the length of each record of the .shp.
"""

from __future__ import annotations

import os
import struct
import tempfile
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dissmodel_lab.errors import SourceError
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Iterator

ZIP = "/vsizip/{"
#: File code and length of the header of .shp and .shx [bytes].
FILE_CODE, HEADER = 9994, 100
#: How much of a .dbf is looked at to tell its encoding [bytes].
SAMPLE = 4 << 20
#: More records than this aren't walked through to rebuild an index.
MAX_RECORDS = 2_000_000


@dataclass(frozen=True, kw_only=True)
class Sidecars:
    """What lies beside a .shp."""

    encoding: str | None = None
    """Of its texts, where that is not GDAL's own business."""
    lacks_index: bool = False
    """Whether the .shx is missing, without which GDAL opens nothing."""
    notes: tuple[str, ...] = ()


def sidecars_of(path: str) -> Sidecars:
    """
    Look at what lies beside a shapefile.

    Parameters
    ----------
    path : str
        A file on disk, or one in a zip as GDAL names it.

    Examples
    --------
    >>> sidecars_of("trees.gpkg")
    Sidecars(encoding=None, lacks_index=False, notes=())
    """
    if not path.lower().endswith(".shp"):
        return Sidecars()
    files = siblings_of(path)
    stem = PurePosixPath(path.replace(os.sep, "/")).stem
    notes: tuple[str, ...] = ()
    if ".shx" not in files:
        notes += (message("{stem}.shx (the index) is missing: rebuilt from {stem}.shp.", stem=stem),)
    if ".dbf" not in files:
        notes += (message("{stem}.dbf (the columns) is missing: shapes only.", stem=stem),)
    if ".prj" not in files:
        notes += (message("{stem}.prj (the CRS) is missing.", stem=stem),)
    encoding, said = (None, ()) if ".cpg" in files or ".dbf" not in files else _encoding(files[".dbf"], stem)
    return Sidecars(encoding=encoding, lacks_index=".shx" not in files, notes=(*notes, *said))


def siblings_of(path: str) -> dict[str, tuple[str, str]]:
    """
    Return ending -> (archive or empty, file) of a shapefile and the files beside it.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for ending in ("shp", "DBF", "txt"):
    ...     (folder / f"trees.{ending}").touch()
    >>> sorted(siblings_of(str(folder / "trees.shp")))
    ['.dbf', '.shp']
    """
    if path.startswith(ZIP):
        archive, _, member = path[len(ZIP) :].rpartition("}/")
        stem = member[: -len(".shp")].lower()
        with zipfile.ZipFile(archive) as zipped:
            names = zipped.namelist()
        return {name[len(stem) :].lower(): (archive, name) for name in names if _is_beside(name, stem)}
    whole = Path(path)
    stem = whole.stem.lower()
    return {
        one.name[len(stem) :].lower(): ("", str(one)) for one in whole.parent.iterdir() if _is_beside(one.name, stem)
    }


def _is_beside(name: str, stem: str) -> bool:
    return name.lower().startswith(stem) and name[len(stem) :].lower() in {".shp", ".shx", ".dbf", ".prj", ".cpg"}


def _encoding(file: tuple[str, str], stem: str) -> tuple[str | None, tuple[str, ...]]:
    """Tell UTF-8 from Latin-1 by the bytes: words in Latin-1 are hardly ever valid UTF-8."""
    start = _start_of(file)
    if len(start) < 32:  # noqa: PLR2004 -- the header of a .dbf
        return None, ()
    texts = start[struct.unpack("<H", start[8:10])[0] :]
    if texts.isascii():
        return None, ()
    try:
        # a cut at the end of the sample may go through a letter
        texts[: texts.rfind(b" ") + 1 or len(texts)].decode("utf-8")
    except UnicodeDecodeError:
        said = message("texts read as Latin-1, because they are no valid UTF-8") if start[29] in {0, 0x57, 3} else ""
        return ("ISO-8859-1" if said else None), (
            (message("{stem}.cpg (the encoding) is missing: {said}.", stem=stem, said=said),) if said else ()
        )
    return "UTF-8", (
        message("{stem}.cpg (the encoding) is missing: texts read as UTF-8, which they are.", stem=stem),
    )


def _start_of(file: tuple[str, str]) -> bytes:
    archive, name = file
    if archive:
        with zipfile.ZipFile(archive) as zipped, zipped.open(name) as packed:
            return packed.read(SAMPLE)
    with Path(name).open("rb") as plain:
        return plain.read(SAMPLE)


@contextmanager
def with_index(path: str) -> Iterator[str]:
    """
    Give a shapefile without .shx one, in a folder that is gone afterwards; nothing is written beside the data.

    Raises
    ------
    SourceError
        When the .shp is no shapefile, or is cut off in the first record.
    """
    files = siblings_of(path)
    with tempfile.TemporaryDirectory(prefix="dissmodel_lab_") as folder:
        for ending, (archive, name) in files.items():
            _bring(archive, name, Path(folder) / f"shapes{ending}")
        shapes = Path(folder) / "shapes.shp"
        (Path(folder) / "shapes.shx").write_bytes(_index_of(shapes))
        yield str(shapes)


def _bring(archive: str, name: str, target: Path) -> None:
    if not archive:
        target.symlink_to(Path(name).absolute())
        return
    with zipfile.ZipFile(archive) as zipped, zipped.open(name) as packed, target.open("wb") as out:
        while piece := packed.read(1 << 20):
            out.write(piece)


def _index_of(shapes: Path) -> bytes:
    """Walk through the records of a .shp; what comes after a broken one is left out."""
    size = shapes.stat().st_size
    with shapes.open("rb") as file:
        header = file.read(HEADER)
        if len(header) < HEADER or struct.unpack(">i", header[:4])[0] != FILE_CODE:
            raise SourceError(message("{name} is no shapefile. Fetch it again, with its .shx.", name=shapes.name))
        entries = bytearray()
        at = HEADER
        while at + 8 <= size and len(entries) < 8 * MAX_RECORDS:
            file.seek(at)
            words = struct.unpack(">i", file.read(8)[4:])[0]  # [16 bit]
            if words < 2 or at + 8 + 2 * words > size:  # noqa: PLR2004 -- a record holds its type at least
                break
            entries += struct.pack(">ii", at // 2, words)
            at += 8 + 2 * words
    length = struct.pack(">i", (HEADER + len(entries)) // 2)
    return header[:24] + length + header[28:] + bytes(entries)
