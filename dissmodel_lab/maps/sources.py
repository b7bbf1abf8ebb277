"""A source of any kind -> an opened layer.

A file is known by its content, and opened by the one library that belongs to it. What a file may be stands in
:mod:`dissmodel_lab.sources.guards`; here stands which module opens it. Nothing is unpacked to disk.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dissmodel_lab.errors import SourceError, did_you_mean, shown
from dissmodel_lab.executor.schemas import DataSource
from dissmodel_lab.language import message
from dissmodel_lab.maps import arrays
from dissmodel_lab.rasters import Raster
from dissmodel_lab.sources import local_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissmodel_lab.maps.grid import Layer
    from dissmodel_lab.sources.guards import Checked
    from dissmodel_lab.sources.guards.held import Member

#: What is opened where it lies, a picture's bytes at a time.
REMOTE = ("s3://", "http://", "https://")
#: What a folder is searched for: files by the ending of their name, which is then looked into.
FOLDER_ENDINGS = (
    ".tif", ".tiff", ".shp", ".gpkg", ".geojson", ".geojsonl", ".fgb", ".parquet", ".geoparquet", ".nc", ".nc4",
    ".h5", ".hdf5", ".asc", ".zip",
)  # fmt: skip
#: Files in a folder beyond this aren't looked at.
MAX_FILES = 20_000
#: Names in a message.
LISTED = 8


def open_layer(source: Any, part: str | None = None) -> Layer:
    """
    Open anything that can be drawn.

    Parameters
    ----------
    source : path, DataSource, Raster, GeoDataFrame, ndarray, object with ``arrays``, or opened layer
        What :func:`~dissmodel_lab.maps.preview` takes: a local file or folder, an address of a GeoTIFF
        (``s3://``, ``https://``), or data in memory.
    part : str, optional
        What is meant inside: a layer of a GeoPackage, a map in a zip or folder (``map.gpkg:layer`` for a layer of
        a map in a zip), a variable of a netCDF or Zarr. When not given the first one is opened, and said.

    Returns
    -------
    Layer
        Hands out one band after the other; opening it once is cheaper than drawing each band anew.

    Raises
    ------
    SourceError
        When it is missing, empty, unreadable, not a map, or would make a library open what nobody named.

    Examples
    --------
    >>> open_layer(np.zeros((2, 3))).bands
    ('band_1',)
    >>> open_layer("nowhere.tif")
    Traceback (most recent call last):
        ...
    dissmodel_lab.errors.SourceError: nowhere.tif doesn't exist. Check the path.
    """
    if isinstance(source, str | Path):
        return _open_path(str(source), part)
    if isinstance(source, DataSource):
        return _open_path(source.uri, part, source.type)
    return _open_object(source, part)


def _open_object(source: Any, part: str | None) -> Layer:
    opened = _opened_object(source)
    if part is not None and part != opened.part:
        raise SourceError(
            message(
                "There is no part {part} to choose in a {kind}. Leave `part` out.",
                part=shown(part),
                kind=type(source).__name__,
            )
        )
    return opened


def _opened_object(source: Any) -> Layer:
    if hasattr(source, "grid") and hasattr(source, "default_band"):
        layer: Layer = source
        return layer
    if isinstance(source, Raster):
        return arrays.from_raster(source)
    if isinstance(source, np.ndarray):
        return arrays.from_array(source)
    if hasattr(type(source), "geometry") and hasattr(type(source), "total_bounds"):  # without importing geopandas
        from dissmodel_lab.maps.vector import from_table  # noqa: PLC0415 -- brings geopandas, 0.5 s

        return from_table(source)
    if hasattr(source, "arrays") and hasattr(source.arrays, "items"):
        return arrays.from_named_arrays(source)
    raise SourceError(
        message(
            "A {kind} can't be shown on a map. A path, a DataSource, a Raster, a GeoDataFrame, a numpy array or an "
            "object with named `arrays` can.",
            kind=type(source).__name__,
        )
    )


def _open_path(uri: str, part: str | None, kind: str = "local") -> Layer:
    if uri.lower().startswith(REMOTE):
        from dissmodel_lab.maps.remote import open_remote  # noqa: PLC0415 -- brings what reads from afar

        return open_remote(uri, part)
    if uri.startswith("/vsi"):
        raise SourceError(
            message(
                "{uri} is a name of GDAL's virtual files, not a local file. Name the file or address itself.",
                uri=shown(uri),
            )
        )
    if kind != "local" or ("://" in uri and not uri.startswith("file://")):
        raise SourceError(
            message(
                "{uri} is not a local file ({kind}). Fetch it first, then show the fetched file; only a GeoTIFF at "
                "{remote} is shown where it lies.",
                uri=shown(uri),
                kind=kind,
                remote=", ".join(REMOTE),
            )
        )
    path = local_path(DataSource(uri=uri)) if uri else None
    if path is None:
        raise SourceError(
            message("{uri} doesn't exist. Check the path.", uri=shown(uri) if uri else message("An empty path"))
        )
    _check_place(path, uri)
    return _open_folder(path, uri, part) if path.is_dir() else _open_file(path, uri, part)


def _check_place(path: Path, name: str) -> None:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SourceError(message("{name} doesn't exist. Check the path.", name=shown(name))) from error
    except OSError as error:
        raise SourceError(
            message(
                "{name} can't be read ({strerror}). Check its name and permissions.",
                name=shown(name),
                strerror=error.strerror,
            )
        ) from error
    except ValueError as error:  # a zero byte in it
        raise SourceError(message("{name} is no path ({error}). Check it.", name=shown(name), error=error)) from error
    if not path.is_file() and not path.is_dir():
        raise SourceError(
            message("{name} is a device, a pipe or a socket, not a map. Name a file or a folder.", name=shown(name))
        )


# --- folders -----------------------------------------------------------------------------------------------


def _open_folder(path: Path, name: str, part: str | None) -> Layer:
    from dissmodel_lab.sources.guards import check_zarr, is_zarr  # noqa: PLC0415 -- only for files

    if is_zarr(path):
        check_zarr(path, shown(name))
        return _open_dimensions(str(path.absolute()), shown(name), (), part)
    found = _maps_in_folder(path, name)
    if part is not None and part in found:
        return _open_path(str(path / part), None)
    if not found:
        raise SourceError(
            message(
                "{name} is a folder without a map in it. Name a file, a Zarr folder, or a folder with one of "
                "{folder_endings}.",
                name=shown(name),
                folder_endings=", ".join(FOLDER_ENDINGS),
            )
        )
    if len(found) > 1:
        raise SourceError(
            message(
                "{name} is a folder with {n_found} maps: {listed}. Name one of them.",
                name=shown(name),
                n_found=len(found),
                listed=_listed(found),
            )
        )
    return _open_path(str(path / found[0]), part)


def _maps_in_folder(path: Path, name: str) -> list[str]:
    from dissmodel_lab.sources.guards import is_zarr  # noqa: PLC0415 -- only for folders

    try:
        with os.scandir(path) as entries:
            first = [entry for entry, _ in zip(entries, range(MAX_FILES), strict=False)]
            files = [entry.name for entry in first if entry.is_file() and entry.name.lower().endswith(FOLDER_ENDINGS)]
            stores = [entry.name for entry in first if entry.is_dir() and is_zarr(Path(entry.path))]
    except OSError as error:
        raise SourceError(
            message(
                "{name} can't be listed ({strerror}). Check its permissions.",
                name=shown(name),
                strerror=error.strerror,
            )
        ) from error
    return sorted(found for found in (*files, *stores) if not found.startswith("."))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(shown, names[:LISTED])) + (", ..." if len(names) > LISTED else "")


# --- files -------------------------------------------------------------------------------------------------


def _open_file(path: Path, uri: str, part: str | None) -> Layer:
    from dissmodel_lab.sources.guards import check_file  # noqa: PLC0415 -- only for files

    name = shown(uri.removeprefix("file://"))
    checked = check_file(path, name)
    if checked.kind.way == "zip":
        return _open_zip(path, name, part)
    return _open_checked(checked, (), part)


def _open_zip(path: Path, name: str, part: str | None) -> Layer:
    from dissmodel_lab.maps.stores import kind_of  # noqa: PLC0415 -- as above
    from dissmodel_lab.sources.guards import check_held, maps_in  # noqa: PLC0415 -- as above

    if kind_of(path) == "Zarr":
        return _open_dimensions(str(path.absolute()), name, (), part)
    found = maps_in(path, name)
    names = tuple(map_.member for map_ in found)
    chosen, inner = _chosen(found, part)
    checked = check_held(chosen)
    if len(found) == 1:
        return _open_checked(checked, (), inner)
    notes = (
        ()
        if part
        else (
            message(
                "{member} is shown, one of {n_found} maps in {name}.",
                member=shown(chosen.member),
                n_found=len(found),
                name=path.name,
            ),
        )
    )
    layer: Any = _open_checked(checked, notes, inner)
    return replace(layer, parts=names, part=chosen.member)  # type: ignore[no-any-return]  # any layer's own class


def _chosen(found: Sequence[Member], part: str | None) -> tuple[Member, str | None]:
    """Which map of an archive a part means, and what remains to be chosen inside of that map."""
    if part is None:
        return found[0], None
    for member in found:
        if part == member.member:
            return member, None
        if part.startswith(f"{member.member}:"):
            return member, part.removeprefix(f"{member.member}:")
    if len(found) == 1:
        return found[0], part
    names = [member.member for member in found]
    raise SourceError(
        message(
            "There is no map {part} in the zip. {did_you_mean}",
            part=shown(part),
            did_you_mean=did_you_mean(part, names[:LISTED]),
        )
    )


def _open_checked(checked: Checked, notes: tuple[str, ...], part: str | None) -> Layer:
    from dissmodel_lab.sources.guards import clear_failures  # noqa: PLC0415 -- as above

    with clear_failures(checked.name):
        if checked.kind.way == "dimensions":
            return _open_dimensions(checked.path, checked.name, notes, part)
        if checked.kind.way == "raster":
            return _open_raster(checked, notes, part)
        return _open_vector(checked, notes, part)


def _open_raster(checked: Checked, notes: tuple[str, ...], part: str | None) -> Layer:
    from dissmodel_lab.maps.raster import open_raster  # noqa: PLC0415 -- brings rasterio, 0.2 s

    if part is not None:
        raise SourceError(
            message(
                "{name} has no part {part}: there is one map in it. Leave `part` out.",
                name=checked.name,
                part=shown(part),
            )
        )
    return open_raster(checked.path, checked.name, notes)


def _open_vector(checked: Checked, notes: tuple[str, ...], part: str | None) -> Layer:
    from dissmodel_lab.maps.vector import open_parquet, open_table  # noqa: PLC0415 -- brings geopandas, 0.5 s

    if checked.kind.way == "parquet":
        if part is not None:
            raise SourceError(
                message(
                    "{name} has no part {part}: there is one map in it. Leave `part` out.",
                    name=checked.name,
                    part=shown(part),
                )
            )
        return open_parquet(checked.path, checked.name, notes)
    if checked.parts and part is not None and part not in checked.parts:
        raise SourceError(
            message(
                "{name} has no table {part}; views aren't read, because reading one runs its query. {did_you_mean}",
                name=checked.name,
                part=shown(part),
                did_you_mean=did_you_mean(part, checked.parts),
            )
        )
    return open_table(checked.path, checked.name, notes, part or (checked.parts[0] if checked.parts else None))


def _open_dimensions(path: str, name: str, notes: tuple[str, ...], part: str | None) -> Layer:
    from dissmodel_lab.maps.dimensions import open_dimensions  # noqa: PLC0415 -- brings xarray, 0.7 s
    from dissmodel_lab.sources.guards import clear_failures  # noqa: PLC0415 -- as above

    with clear_failures(name):
        return open_dimensions(path, name, part=part, notes=notes)
