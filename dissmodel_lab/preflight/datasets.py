"""Files -> what their headers say: bands, columns, CRS, extent, size. No pixels, no features.

A damaged file is a finding, never an exception. What would take long to open is not opened, and that is said.
"""

from __future__ import annotations

import csv
import json
import os
import re
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dissmodel_lab.errors import SourceError, shown
from dissmodel_lab.language import message
from dissmodel_lab.preflight.findings import Finding, error, listed, warning
from dissmodel_lab.quiet import quiet_about
from dissmodel_lab.rasters import band_classes, band_names, is_pixel_transform, quiet_georeference
from dissmodel_lab.sources.guards import check_file, check_held, maps_in

if TYPE_CHECKING:
    from pathlib import Path

    from dissmodel_lab.rasters import Classes
    from dissmodel_lab.sources.guards.held import Member

#: left, bottom, right, top in the units of the CRS.
Extent = tuple[float, float, float, float]

TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: What a folder or zip is searched for, in the order in which the first one is taken.
MAP_SUFFIXES = (".tif", ".tiff", ".shp", ".gpkg", ".geojson", ".fgb")
VECTOR_SUFFIXES = (".shp", ".gpkg", ".geojson", ".fgb")
TABLE_SUFFIXES = (".csv", ".tsv")
#: GDAL parses a GeoJSON whole, 30 MB/s: of larger ones only the beginning is looked at [bytes].
MAX_GEOJSON = 5_000_000
#: A compressed file in a zip is inflated up to what is read: larger ones are not opened [bytes].
MAX_ZIPPED = 100_000_000
#: The beginning of a file that is looked at [bytes].
HEAD = 262_144
#: Files in a folder beyond this are not looked at.
MAX_FILES = 10_000
#: Memory that a geometry takes besides its coordinates in the file [bytes].
GEOMETRY_BYTES = 100


#: Of what a library says, no more than this is told [characters].
_LONGEST_REASON = 300


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """What a file's header says."""

    name: str
    """How messages call it."""
    path: str
    """What GDAL opens."""
    kind: Literal["raster", "vector", "table"]
    names: tuple[str, ...] = ()
    """Bands or columns."""
    is_complete: bool = True
    """False when only the beginning of the file was looked at."""
    has_own_names: bool = True
    """False for a raster whose bands are called band_1, band_2, ... because nobody named them."""
    crs: str = ""
    """As WKT or ``EPSG:code``; empty when there is none."""
    extent: Extent | None = None
    """None when it has no place, or the header doesn't say."""
    value_bytes: int = 0
    """Size of all values in memory, uncompressed [bytes]."""
    dtypes: tuple[str, ...] = ()
    """Of the bands."""
    nodata: tuple[float | None, ...] = ()
    """Of the bands."""
    classes: dict[str, Classes] = field(default_factory=dict)
    """Legends of the bands that carry one."""

    @property
    def word(self) -> str:
        """What its names are called."""
        return "band" if self.kind == "raster" else "column"


@dataclass(frozen=True)
class Look:
    """What a look at one file found."""

    datasets: tuple[Dataset, ...] = ()
    findings: tuple[Finding, ...] = ()


def look_at(path: Path, name: str) -> Look:
    r"""
    Look at a file's header, or into a zip or folder.

    Parameters
    ----------
    path : Path
        A file or folder that exists.
    name : str
        How messages call it.

    Returns
    -------
    Look
        Nothing at all for kinds of files that are no maps and no tables.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp(), "cells.csv")
    >>> path.write_text("forest,urban\n1,2\n")
    17
    >>> look_at(path, "cells.csv").datasets[0].names
    ('forest', 'urban')
    """
    called = shown(name)
    try:
        if path.is_dir():
            return _look_into_folder(path, called)
        if not path.is_file():  # opening it may wait for ever, and reading it have no end
            return _not_looked_at(called, message("it is a device, a pipe or a socket, and no file"))
        with path.open("rb") as file:
            head = file.read(HEAD)
        if not head:
            return _broken(called, message("it is empty (0 bytes)"))
        return _look_at_file(path, called, head)
    except SourceError as refused:  # the guards' whole sentences, which say what to do
        return _refused(called, str(refused))
    except Exception as problem:  # noqa: BLE001 -- whatever a reader says of a damaged file, it is a finding
        return _broken(called, _reason(problem, path, called))


def _look_at_file(path: Path, name: str, head: bytes) -> Look:
    suffix = path.suffix.lower()
    if head.startswith(b"PK\x03\x04") or zipfile.is_zipfile(path):
        return _look_into_zip(path, name)
    if suffix == ".zip":
        return _broken(name, message("it is no zip file"))
    if head.startswith(TIFF_MAGIC) or suffix in {".tif", ".tiff"}:
        return _look_at_raster(check_file(path, name).path, name, path.stat().st_size)
    if suffix in TABLE_SUFFIXES:
        try:
            return Look((_table(path, name, head),))
        except csv.Error as problem:
            return _not_looked_at(
                name,
                message("its first line is no header ({problem})", problem=problem),
                message("See that it is a table of text."),
            )
    is_geojson = _is_geojson(head) if suffix in {".geojson", ".json"} else False
    if is_geojson and path.stat().st_size > MAX_GEOJSON:
        return Look((_long_geojson(path, name, head),))
    if suffix in VECTOR_SUFFIXES or is_geojson:
        return _look_at_vector(check_file(path, name).path, name, path.stat().st_size)
    return Look()


def _reason(problem: Exception, path: Path, name: str) -> str:
    text = str(problem)
    for written in (str(path.absolute()), str(path)):
        text = text.replace(written, name)
    text = text.strip().rstrip(".")
    if isinstance(problem, OSError) and problem.strerror:
        text = problem.strerror
    return text.removeprefix(f"{name}:").strip() or type(problem).__name__


def _broken(name: str, reason: str) -> Look:
    what = message(
        "{name} cannot be read: {reason}.",
        name=name,
        reason=_short(reason),
    )
    return Look(
        findings=(error("unreadable", what, message("Get the file again, or open it with the program it is from.")),)
    )


def _refused(name: str, said: str) -> Look:
    """Cut a guard's message in two: what was wrong, and what to do."""
    what, _, do = said.removesuffix(".").rpartition(". ")
    reason = what.removeprefix(f"{name} ")
    if reason.startswith("is not a map"):
        return _broken(name, message("it is not a map that can be read"))
    told = re.match(r"can't be read(?:: | \()(.*?)\)?$", reason)
    reason = told.group(1) if told else reason if reason.startswith(name) else f"it {reason}"
    if do.lower().endswith("get it again"):
        return _broken(name, reason)
    return Look(
        findings=(
            error(
                "unreadable",
                message(
                    "{name} cannot be read: {reason}.",
                    name=name,
                    reason=_short(reason),
                ),
                f"{do}.",
            ),
        )
    )


def _not_looked_at(
    name: str, reason: str, do: str = message("Name a file, unless the model reads from such a thing.")
) -> Look:
    return Look(
        findings=(
            warning("not-looked-at", message("{name} was not looked at: {reason}.", name=name, reason=reason), do),
        )
    )


# --- several files in one ----------------------------------------------------------------------------------


def _look_into_zip(path: Path, name: str) -> Look:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    maps = _first_kind([member.filename for member in members])
    findings = _counted(maps, name, "zip file", [member.filename for member in members])
    if not maps:
        return Look(findings=findings)
    member = next(member for member in members if member.filename == maps[0])
    inside = f"{name} ({shown(maps[0])})"
    if member.compress_type != zipfile.ZIP_STORED and member.file_size > MAX_ZIPPED:
        packed = _not_looked_at(
            inside, message("it would have to be unpacked first"), message("Unpack it and name the file itself.")
        )
        return Look(findings=(*findings, *packed.findings))
    checked = check_held(_member_of(path, name, maps[0]))
    is_raster = maps[0].lower().endswith((".tif", ".tiff"))
    look = (_look_at_raster if is_raster else _look_at_vector)(checked.path, inside, member.file_size)
    return Look(look.datasets, (*findings, *look.findings))


def _member_of(path: Path, name: str, map_name: str) -> Member:
    return next(member for member in maps_in(path, name) if member.member == map_name)


def _look_into_folder(path: Path, name: str) -> Look:
    with os.scandir(path) as entries:
        files = sorted(entry.name for entry, _ in zip(entries, range(MAX_FILES), strict=False) if _is_file(entry))
    maps = [file for file in files if file.lower().endswith(MAP_SUFFIXES)]
    findings = _counted(maps, name, "folder", files)
    if not maps:
        return Look(findings=findings)
    look = look_at(path / maps[0], f"{name}/{maps[0]}")
    return Look(look.datasets, (*findings, *look.findings))


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a circle of links
        return False


def _first_kind(members: list[str]) -> list[str]:
    """Return the maps in an archive, of the preferred kind first, without the Mac's shadow files."""
    real = [member for member in members if not member.startswith("__MACOSX/") and not member.endswith("/")]
    return [member for ending in MAP_SUFFIXES for member in real if member.lower().endswith(ending)]


def _counted(maps: list[str], name: str, kind: str, files: list[str]) -> tuple[Finding, ...]:
    if not files:
        return (
            error(
                "datasets",
                message("The {kind} {name} is empty.", kind=kind, name=name),
                message("Name a file, or a {kind} with a dataset in it.", kind=kind),
            ),
        )
    if not maps:
        what = message(
            "The {kind} {name} holds no dataset that can be looked at; it holds {listed}.",
            kind=kind,
            name=name,
            listed=listed(files),
        )
        return (
            warning(
                "datasets",
                what,
                message(
                    "Expected one of {map_suffixes}, unless the model reads these.",
                    map_suffixes=", ".join(MAP_SUFFIXES),
                ),
            ),
        )
    if len(maps) > 1:
        what = message(
            "The {kind} {name} holds {n_maps} datasets: {listed}.",
            kind=kind,
            name=name,
            n_maps=len(maps),
            listed=listed(maps),
        )
        do = message(
            "Name the one that is meant, unless the model reads all; most take the first, {maps}.",
            maps=shown(maps[0]),
        )
        return (warning("datasets", what, do),)
    return ()


# --- rasters -----------------------------------------------------------------------------------------------


def _look_at_raster(path: str, name: str, file_size: int) -> Look:
    import rasterio  # noqa: PLC0415 -- 0.2 s, only for those with rasters

    with quiet_georeference(), rasterio.open(path) as raster:
        if not raster.count:
            inside = message(
                "it holds {n_subdatasets} datasets and no band of its own", n_subdatasets=len(raster.subdatasets)
            )
            return _broken(name, inside if raster.subdatasets else message("it holds no band"))
        if raster.driver == "GTiff" and (missing := _missing_bytes(raster, file_size)):
            reason = message("it is cut off, {missing:,} bytes are missing at its end", missing=missing)
            return _broken(name, reason)
        names = band_names(raster)
        has_place = bool(raster.crs) or not is_pixel_transform(raster.transform, raster.shape)
        cells = raster.width * raster.height
        return Look((
            Dataset(
                name=name,
                path=path,
                kind="raster",
                names=names,
                has_own_names=not all(name == f"band_{i}" for i, name in enumerate(names, start=1)),
                crs=raster.crs.to_wkt() if raster.crs else "",
                extent=_extent(raster.bounds) if has_place else None,
                value_bytes=sum(cells * np.dtype(dtype).itemsize for dtype in raster.dtypes),
                dtypes=tuple(raster.dtypes),
                nodata=tuple(raster.nodatavals),
                classes=band_classes(raster),
            ),
        ))  # fmt: skip


def _missing_bytes(raster: Any, file_size: int) -> int:
    """Return by how much a GeoTIFF is too short for its first, middle or last block; GDAL finds out when it reads."""
    end = 0
    for band in {1, raster.count}:
        rows, columns = raster.block_shapes[band - 1]
        down, across = -(-raster.height // rows), -(-raster.width // columns)
        for block in {(0, 0), (across // 2, down // 2), (across - 1, down - 1)}:
            where = f"{block[0]}_{block[1]}"
            offset = raster.get_tag_item(f"BLOCK_OFFSET_{where}", "TIFF", bidx=band)
            size = raster.get_tag_item(f"BLOCK_SIZE_{where}", "TIFF", bidx=band)
            if offset and size:  # a sparse block has neither
                end = max(end, int(offset) + int(size))
    return max(0, end - file_size)


def _extent(bounds: Any) -> Extent | None:
    left, bottom, right, top = (float(value) for value in bounds)
    extent = min(left, right), min(bottom, top), max(left, right), max(bottom, top)
    return extent if all(np.isfinite(extent)) else None


# --- vectors and tables ------------------------------------------------------------------------------------


def _look_at_vector(path: str, name: str, file_size: int) -> Look:
    import pyogrio  # type: ignore[import-untyped]  # noqa: PLC0415 -- no stubs; 0.7 s, only for those with vectors

    findings: tuple[Finding, ...] = ()
    # GDAL's warnings about odd endings and damage: the first don't matter, the second end in an error.
    with quiet_about(RuntimeWarning):
        layer = None
        if not path.lower().endswith((".geojson", ".json")):
            layers = [layer for layer, kind in pyogrio.list_layers(path) if kind is not None]
            if not layers:
                return _broken(name, message("it holds no layer with geometries"))
            layer = layers[0]
            if len(layers) > 1:
                what = message(
                    "{name} holds {n_layers} layers: {listed}.",
                    name=name,
                    n_layers=len(layers),
                    listed=listed(layers),
                )
                findings = (
                    warning(
                        "datasets",
                        what,
                        message("Keep one of them; most models read the first, {layer}.", layer=shown(layer)),
                    ),
                )
        info = pyogrio.read_info(path, layer=layer)
    count = int(info["features"])
    if count == 0:
        what = message("{name} holds no feature.", name=name)
        findings += (error("no-features", what, message("Take a file with at least one feature.")),)
    numbers = sum(np.dtype(dtype).itemsize if dtype != "object" else 60 for dtype in info["dtypes"])
    extent = info["total_bounds"] if count else None
    dataset = Dataset(
        name=name,
        path=path,
        kind="vector",
        names=tuple(str(column) for column in info["fields"]),
        crs=info["crs"] or "",
        extent=_extent(extent) if extent is not None else None,
        value_bytes=file_size + max(0, count) * (numbers + GEOMETRY_BYTES),
    )
    return Look((dataset,), findings)


def _is_geojson(head: bytes) -> bool:
    kinds = rb'"(FeatureCollection|Feature|GeometryCollection|(Multi)?(Point|LineString|Polygon))"'
    return re.search(rb'"type"\s*:\s*' + kinds, head) is not None


def _long_geojson(path: Path, name: str, head: bytes) -> Dataset:
    """Read the columns of the first feature and the CRS from the beginning of a long GeoJSON."""
    text = head.decode("utf-8", "ignore")
    named = re.search(r'"crs"\s*:\s*\{[^{}]*\{[^{}]*"name"\s*:\s*"([^"]{1,200})"', text)
    return Dataset(
        name=name,
        path=str(path),
        kind="vector",
        names=_first_properties(text),
        is_complete=False,
        crs=named.group(1) if named else "OGC:CRS84",  # RFC 7946, section 4
        value_bytes=path.stat().st_size,
    )


def _first_properties(text: str) -> tuple[str, ...]:
    start = re.search(r'"features"\s*:.*?"properties"\s*:\s*(?=\{)', text, re.DOTALL)
    try:
        found = json.JSONDecoder().raw_decode(text, start.end())[0] if start else {}
    except ValueError:
        return ()
    return tuple(str(key) for key in found)


def _table(path: Path, name: str, head: bytes) -> Dataset:
    """Read the header of a table of text."""
    line = head.decode("utf-8-sig", "replace").splitlines()[0] if head.strip() else ""
    best = max("\t" if path.suffix.lower() == ".tsv" else ",", ";", "\t", key=line.count)
    columns = next(csv.reader([line], delimiter=best), [])
    return Dataset(name=name, path=str(path), kind="table", names=tuple(column.strip() for column in columns), crs="")


def _short(reason: str) -> str:
    return reason if len(reason) <= _LONGEST_REASON else reason[:_LONGEST_REASON]
