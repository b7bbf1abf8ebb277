"""What a run leaves: where its output goes, how it gets there whole, and the hash of its content.

An executor writes into a folder of the run's own; only what is complete is moved to where it was asked
for, in one step that cannot replace an existing file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissmodel_lab.errors import OutputError
from dissmodel_lab.sources import folder_sha256
from dissmodel_lab.upstream import is_raster_backend

if TYPE_CHECKING:
    from collections.abc import Iterator

RASTER_SUFFIXES = frozenset({".tif", ".tiff"})
VECTOR_SUFFIXES = frozenset({".gpkg", ".shp", ".geojson", ".fgb"})

_EXACT = 2**53
"""Whole numbers up to here are exact as 64-bit floats."""


#: Endings that an output gets when none was asked for.
KNOWN_SUFFIXES = (".tif", ".gpkg", ".txt", ".bin")


def has_suffix(path: Path) -> bool:
    """
    Tell whether a name ends like a file's kind; ``rise_0.5`` does not.

    Examples
    --------
    >>> has_suffix(Path("flood.tif")), has_suffix(Path("rise_0.5"))
    (True, False)
    """
    return re.fullmatch(r"\.[A-Za-z][A-Za-z0-9]{0,9}", path.suffix) is not None


def with_suffix(path: Path, suffix: str) -> Path:
    """
    Return a path with another ending, or with its first.

    Examples
    --------
    >>> with_suffix(Path("rise_0.5"), ".tif").name, with_suffix(Path("flood.tiff"), ".tif").name
    ('rise_0.5.tif', 'flood.tif')
    """
    return path.with_suffix(suffix) if has_suffix(path) else path.with_name(path.name + suffix)


def is_map_file(path: Path) -> bool:
    """
    Tell whether a file's name promises something that can be drawn.

    Examples
    --------
    >>> is_map_file(Path("a.TIF")), is_map_file(Path("report.md"))
    (True, False)
    """
    return path.suffix.lower() in RASTER_SUFFIXES | VECTOR_SUFFIXES | {".zip"}


def output_suffix(result: Any, executor_class: type[Any]) -> str:
    """
    Choose a file's ending by what ``run()`` returned; empty for a folder.

    Parameters
    ----------
    result : object
        A GeoDataFrame becomes ``.gpkg``; a raster, an array or a tuple of them ``.tif``; text ``.txt``; bytes
        ``.bin``; a dict a folder, or ``.tif`` when it holds one of ``dissmodel``'s rasters and the executor's
        ``save`` makes no folder. Anything else gets the executor's ``output_suffix``, or a folder.
    executor_class : type
        May declare ``output_suffix``.

    Examples
    --------
    >>> output_suffix({"report": "..."}, dict), output_suffix("text", dict)
    ('', '.txt')
    """
    kinds = {cls.__name__ for cls in type(result).__mro__}
    if "GeoDataFrame" in kinds:
        return ".gpkg"
    if kinds & {"Raster", "ndarray", "tuple"} or is_raster_backend(result):
        return ".tif"
    if isinstance(result, dict):
        holds_raster = any(is_raster_backend(value) for value in result.values())
        return ".tif" if holds_raster and not _makes_folders(executor_class) else ""
    if isinstance(result, str):
        return ".txt"
    if isinstance(result, bytes):
        return ".bin"
    return str(getattr(executor_class, "output_suffix", "") or "")


def _makes_folders(executor_class: type[Any]) -> bool:
    import inspect  # noqa: PLC0415 -- only for a dict

    try:
        source = inspect.getsource(executor_class.save)
    except (OSError, TypeError, AttributeError):  # no source to read, or no such method
        return False
    return "mkdir" in source or "makedirs" in source


def publish(staged: Path, target: Path) -> None:
    """
    Move a complete file or folder to its place; never onto something that exists.

    Parameters
    ----------
    staged : Path
        What was written.
    target : Path
        Where it belongs; its folder is made when it is missing.

    Raises
    ------
    OutputError
        When the target exists, or its folder cannot be written.
    """
    try:
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
        _make_readable(staged)
        if staged.is_dir():
            _move_folder(staged, target)
        else:
            _move_file(staged, target)
    except FileExistsError as error:
        raise OutputError(
            f"The output {str(target)!r} exists and is never replaced; the result of this run is kept in "
            f"{str(staged)!r}. Choose another --output."
        ) from error
    except OSError as error:
        raise OutputError(
            f"The output {str(target)!r} cannot be written: {error.strerror or error}. The result of this run "
            f"is kept in {str(staged)!r}."
        ) from error


def _move_file(staged: Path, target: Path) -> None:
    try:
        os.link(staged, target)  # unlike a rename, a link fails when the target exists
    except FileExistsError:
        raise
    except OSError:  # another disk, or a file system without links
        import shutil  # noqa: PLC0415 -- only for these

        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            shutil.copyfile(staged, partial)
            with target.open("xb"):  # takes the name, or fails when it is taken
                partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        _make_readable(target)
    staged.unlink()


def _move_folder(staged: Path, target: Path) -> None:
    if target.exists():
        raise FileExistsError(str(target))
    try:
        staged.rename(target)
    except OSError:  # another disk
        import shutil  # noqa: PLC0415 -- only for this

        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            shutil.copytree(staged, partial)
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(staged)


def _make_readable(path: Path) -> None:
    # Executors that write through tempfile leave files only their owner can read: give them the usual mode.
    mask = os.umask(0)
    os.umask(mask)
    for item in (path, *path.rglob("*")) if path.is_dir() else (path,):
        mode = item.lstat().st_mode
        wanted = (0o777 if stat.S_ISDIR(mode) else 0o666) & ~mask
        if not stat.S_ISLNK(mode) and mode & wanted != wanted:
            item.chmod(stat.S_IMODE(mode) | wanted)


def content_sha256(path: str | Path) -> str | None:
    """
    Return the SHA-256 of what a file means, whatever its container, compression and timestamps.

    The hash is that of a header and the values behind it, in this order:

    *Raster*: the JSON text (keys sorted, no spaces) of ``bands`` (names), ``crs`` (``AUTHORITY:CODE``, or
    WKT2:2019 where there is none, or null), ``kind`` (``raster``), ``nodata``, ``shape`` ([bands, height,
    width]) and ``transform`` (six numbers a to f); then each band's values, row by row, as little-endian
    64-bit floats (64-bit integers stay integers), every NaN the same NaN and -0.0 as 0.0.

    *Vector*: for each layer the JSON text of ``columns``, ``crs``, ``kind`` (``vector``), ``layer`` (its name
    where there are several, else null) and ``rows``; then each geometry as little-endian ISO WKB behind its
    length in 8 bytes; then each column's values: numbers and booleans as 64-bit floats (integers beyond
    2**53 as 64-bit integers, and their whole column with them), everything else as the JSON text of its
    list. The order of the rows counts; FlatGeobuf changes it.

    *Folder*: :func:`dissmodel_lab.sources.folder_sha256`.

    Parameters
    ----------
    path : str or Path
        A GeoTIFF, a vector file or a folder.

    Returns
    -------
    str or None
        None for other kinds of files: their bytes are their content.

    Raises
    ------
    Exception
        Whatever the reading library raises when the file is not what its ending says.
    """
    path = Path(path)
    if path.is_dir():
        return folder_sha256(path)
    if path.suffix.lower() in RASTER_SUFFIXES:
        return _hash_parts(_raster_parts(path))
    if path.suffix.lower() in VECTOR_SUFFIXES:
        return _hash_parts(_vector_parts(path))
    return None


def _hash_parts(parts: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _header(**facts: Any) -> bytes:
    return json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def crs_text(crs: Any) -> str | None:
    """
    Return a CRS as ``AUTHORITY:CODE``, or as WKT2:2019 where there is none; None for no CRS.

    Examples
    --------
    >>> crs_text("epsg:31983"), crs_text(None)
    ('EPSG:31983', None)
    """
    if not crs:
        return None
    from pyproj import CRS  # noqa: PLC0415 -- loaded with the file's own library already

    known = CRS.from_user_input(crs)
    authority = known.to_authority()
    return ":".join(authority) if authority else known.to_wkt("WKT2_2019")


def _values(array: Any) -> bytes:
    import numpy as np  # noqa: PLC0415

    if array.dtype.kind in "iu" and array.dtype.itemsize == 8:  # noqa: PLR2004 -- 64 bits do not fit a float
        return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
    if array.dtype.kind == "c":
        return _values(array.real) + _values(array.imag)
    floats = np.ascontiguousarray(array, dtype="<f8") + 0.0  # turns -0.0 into 0.0
    floats[np.isnan(floats)] = np.nan
    return floats.tobytes()


def _raster_parts(path: Path) -> Iterator[bytes]:
    import rasterio  # noqa: PLC0415
    from rasterio.windows import Window  # noqa: PLC0415

    from dissmodel_lab.rasters import band_names, quiet_georeference  # noqa: PLC0415 -- needs numpy

    rows = 512
    with quiet_georeference(), rasterio.open(path) as dataset:
        nodata = dataset.nodata
        yield _header(
            kind="raster",
            shape=[dataset.count, dataset.height, dataset.width],
            bands=list(band_names(dataset)),
            crs=crs_text(dataset.crs.to_wkt() if dataset.crs else None),
            transform=list(dataset.transform)[:6],
            nodata=None if nodata is None else repr(float(nodata)),
        )
        for band in dataset.indexes:
            for top in range(0, dataset.height, rows):
                height = min(rows, dataset.height - top)
                yield _values(dataset.read(band, window=Window(0, top, dataset.width, height)))


def _vector_parts(path: Path) -> Iterator[bytes]:
    import geopandas  # noqa: PLC0415
    import shapely  # noqa: PLC0415

    layers = [str(name) for name in geopandas.list_layers(path)["name"]]
    for layer in layers:
        frame = geopandas.read_file(path, layer=layer)
        geometry = frame.geometry if isinstance(frame, geopandas.GeoDataFrame) else None
        names = [name for name in frame.columns if geometry is None or name != geometry.name]
        yield _header(
            kind="vector",
            layer=layer if len(layers) > 1 else None,
            rows=len(frame),
            columns=[str(name) for name in names],
            crs=crs_text(geometry.crs.to_wkt() if geometry is not None and geometry.crs else None),
        )
        for shape in shapely.to_wkb(geometry.array, byte_order=1, flavor="iso") if geometry is not None else ():
            yield b"\0" * 8 if shape is None else len(shape).to_bytes(8, "little") + shape
        for name in names:
            yield _column_values(frame[name])


def _column_values(column: Any) -> bytes:
    if column.dtype.kind in "biuf":
        array = column.to_numpy()
        # GeoJSON has 32-bit integers where GeoPackage has 64: as floats they are the same.
        fits = array.dtype.kind in "iu" and (not array.size or max(abs(int(array.min())), int(array.max())) <= _EXACT)
        return _values(array.astype("<f8") if fits else array)
    values = [None if value is None or value != value else str(value) for value in column]  # noqa: PLR0124 -- NaN
    return json.dumps(values, ensure_ascii=False).encode()
