"""THE FRONT DOOR of the guards: a file -> which library opens it, and under which name; or a refusal."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dissmodel_lab.errors import LabError, SourceError, shown
from dissmodel_lab.language import message
from dissmodel_lab.sources.guards import kinds
from dissmodel_lab.sources.guards.archives import check_member
from dissmodel_lab.sources.guards.databases import feature_tables
from dissmodel_lab.sources.guards.held import LocalFile, Member
from dissmodel_lab.sources.guards.pixels import check_raster, envi_header
from dissmodel_lab.sources.guards.quarantine import check_in_child
from dissmodel_lab.sources.guards.shapes import check_geojson, check_shapefile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dissmodel_lab.sources.guards.held import Held

#: GDAL's own way to ask for one driver: a text may look like something else to another one, which asks first. Binary
#: formats begin with a byte that ends a text, and each is known to one driver only.
_PREFIXES = {"GeoJSON": "GeoJSON:", "GeoJSONSeq": "GeoJSONSeq:"}
#: Where a GeoParquet's values are described: at its end [bytes].
_PARQUET_END = 8


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A file that may be opened."""

    kind: kinds.Kind
    path: str
    """What the library opens."""
    name: str
    """How messages call it."""
    parts: tuple[str, ...] = ()
    """Layers that may be read, when not all may."""


def check_file(path: Path, name: str) -> Checked:
    r"""
    Look at a local file, and refuse what no library may open.

    Parameters
    ----------
    path : Path
        A regular file.
    name : str
        How messages call it.

    Returns
    -------
    Checked
        Which library opens it, and how; of a zip nothing more than that it is one.

    Raises
    ------
    SourceError
        When it is not on the list, damaged, or names other files or hosts.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "map.tif")
    >>> path.write_text("<VRTDataset/>")
    13
    >>> check_file(path, "map.tif")
    Traceback (most recent call last):
    dissmodel_lab.errors.SourceError: map.tif is a virtual dataset (VRT), which names other files. ...
    """
    return check_held(LocalFile(path, name))


def check_held(held: Held) -> Checked:
    """
    Look at a file, in a folder or in a zip, as :func:`check_file` does.

    Raises
    ------
    SourceError
        When it is not on the list, damaged, or names other files or hosts.
    """
    with clear_failures(held.name):
        if isinstance(held, Member):
            check_member(held)
        with held.open() as file:
            head = file.read(kinds.HEAD)
        if not head:
            raise SourceError(message("{name} is empty (0 bytes). Write or fetch it again.", name=held.name))
        kind = kinds.recognised(head, PurePosixPath(held.file).suffix.lower()) or _without_signature(held, head)
        return _checked(held, kind)


def _without_signature(held: Held, head: bytes) -> kinds.Kind:
    refused = kinds.why_refused(head)
    if refused:
        what, do = refused
        raise SourceError(message("{name} is {what}. It is not opened here. {do}.", name=held.name, what=what, do=do))
    if envi_header(held):
        return kinds.ENVI
    if held.file.lower().endswith((".shp", ".shx")):
        check_shapefile(held)
    if held.file.lower().endswith((".dbf", ".prj", ".cpg")):
        raise SourceError(
            message("{name} is a part of a shapefile. Name the file that ends in .shp.", name=held.name)
        )
    raise SourceError(
        message(
            "{name} is not a map that can be read. Known by their content are: {allowed}. Convert it to one of them.",
            name=held.name,
            allowed=kinds.ALLOWED,
        )
    )


def _checked(held: Held, kind: kinds.Kind) -> Checked:
    parts: tuple[str, ...] = ()
    if kind.way == "raster":
        check_raster(held, kind)
    elif kind is kinds.GEOPACKAGE:
        parts = feature_tables(held)
    elif kind in {kinds.GEOJSON, kinds.GEOJSON_LINES}:
        check_geojson(held)
    elif kind is kinds.SHAPEFILE:
        check_shapefile(held)
    elif kind.way in {"parquet", "dimensions", "zip"}:
        _check_packed(held, kind)
    path = _PREFIXES.get(kind.driver, "") + held.opened
    if kind in {kinds.SHAPEFILE, kinds.FLATGEOBUF} and isinstance(held, LocalFile) and "!" in path:
        raise SourceError(
            message("{name}: a path with '!' in it is read as an archive. Rename the folder or file.", name=held.name)
        )
    return Checked(kind=kind, path=path, name=held.name, parts=parts)


def _check_packed(held: Held, kind: kinds.Kind) -> None:
    if isinstance(held, Member):
        inside = (
            message("another zip file")
            if kind is kinds.ZIP
            else message("a {name} file, which can't be read while it is packed", name=kind.name)
        )
        raise SourceError(message("{name} is {inside}. Unpack it once.", name=held.name, inside=inside))
    if not isinstance(held, LocalFile):
        return
    if kind in {kinds.HDF5, kinds.NETCDF_5}:
        check_in_child(held.path, held.name)
    if kind.way == "parquet":
        with held.open() as file:
            file.seek(max(0, held.size - _PARQUET_END))
            if not file.read().endswith(b"PAR1"):
                raise SourceError(
                    message("{name} is a GeoParquet file that is cut off. Get it again.", name=held.name)
                )


@contextmanager
def clear_failures(name: str) -> Iterator[None]:
    """
    Turn whatever a library raises for a damaged file into a sentence.

    Libraries of formats raise anything for a file that lies: MemoryError, UnicodeDecodeError, SystemError. Only for
    code that does nothing but read a file.

    Parameters
    ----------
    name : str
        How messages call the file.

    Raises
    ------
    SourceError
        With the library's reason.

    Examples
    --------
    >>> with clear_failures("grid.tif"):
    ...     raise KeyError("offset")
    Traceback (most recent call last):
    dissmodel_lab.errors.SourceError: grid.tif can't be read ('offset'). Is the file whole? Get it again.
    """
    try:
        yield
    except (LabError, ImportError):
        raise
    except PermissionError as error:
        raise SourceError(
            message("{name} can't be read ({strerror}). Check its permissions.", name=name, strerror=error.strerror)
        ) from error
    except MemoryError as error:
        raise SourceError(
            message("{name} needs more memory than there is. Is the file whole? Get it again.", name=name)
        ) from error
    except Exception as error:
        reason = shown(" ".join(str(error).split()).rstrip(".")) or type(error).__name__
        raise SourceError(
            message("{name} can't be read ({reason}). Is the file whole? Get it again.", name=name, reason=reason)
        ) from error
