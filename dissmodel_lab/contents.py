r"""What a file means, as a hash, whatever its container, compression, timestamps and the library that wrote it.

:func:`content_sha256` is the SHA-256 of a header and of the values behind it, with nothing in between. This is its
definition, number 2, in full, so that anybody can compute it. All numbers are little-endian. *A header* is a JSON
object in UTF-8: keys sorted, no spaces, non-ASCII letters as they are, numbers in Python's shortest form that reads
back the same (``30.0``, ``1e-05``), -0.0 written as ``0.0``.

Raster (``.tif``, ``.tiff``)
    *Header*: ``bands``, the list of names (each the band's description, else its tag ``name``, else ``band_name``,
    else ``band_N`` counted from 1; a second one of a name gets `` (N)`` behind it); ``crs`` as below; ``kind``, the
    text ``raster``; ``nodata``, null or the number as a text (``"-1.0"``, ``"nan"``), rounded to 32 bits where all
    bands are 32-bit floats; ``shape``, ``[bands, height, width]``; ``transform``, the six numbers a to f of
    ``x = a col + b row + c, y = d col + e row + f``; and only where a band has a scale other than 1 or an offset
    other than 0, ``scaling``, a list of ``[scale, offset]``.
    *Values*: band after band, row after row from the top, each cell as a 64-bit float; every NaN is the bytes
    ``00 00 00 00 00 00 F8 7F``, and -0.0 is 0.0. A band of 64-bit integers with one beyond 2\ :sup:`53` in size is
    written as 64-bit integers instead. A complex cell is two floats, real and imaginary. Scale and offset are not
    applied. Masks, tags, units, colour tables, overviews, compression, tiling and the dtype's width do not count.
Vector (``.gpkg``, ``.shp``, ``.geojson``, ``.fgb``), layer after layer in the file's order
    *Header*: ``columns``, the names without the geometry's; ``crs`` as below; ``kind``, the text ``vector``;
    ``layer``, null, or the layer's name where the file has several; ``rows``, their number.
    *Geometries*, row after row: the length of the shape's WKB as a 64-bit integer, and that WKB (ISO 13249-3, little-
    endian, with Z where there is one, without M); a missing shape is eight zero bytes.
    *Values*, column after column: numbers and booleans as 64-bit floats as above, missing ones as NaN (a column with
    a whole number beyond 2\ :sup:`53`: all of it as 64-bit integers). Any other column is the JSON list of its texts,
    with ``, `` between them and null where one is missing; a list is written
    ``[0.5, 2.0]``. A moment is written ``2020-01-31T10:00:00.5`` (digits of
    the second as far as needed) with ``Z`` behind it where the file knows its offset from UTC; in a column whose
    every moment is a midnight without such an offset, as ``2020-01-31``. The order of rows counts; row numbers (FID)
    do not. A container that cannot hold a value exactly changes it: GeoJSON cuts coordinates at 15 decimals and
    FlatGeobuf sorts rows.
Folder
    *No header*. For each file below it, sorted by the bytes of its path: the file's own content hash where it has
    one, else the SHA-256 of its bytes; two spaces; the path inside the folder with ``/``; a line feed. Companions do
    not count: ``.dbf``, ``.shx``, ``.prj``, ``.cpg``, ``.qix``, ``.sbn`` and ``.sbx`` beside a ``.shp`` of that name
    (they are part of it), and ``.aux.xml`` behind the name of a file that is there.

*CRS*: null; or the text ``AUTHORITY:CODE`` when the file gives one or PROJ recognises one (``OGC:CRS84`` is written
``EPSG:4326``: the order of axes is that of the data, x and y). A CRS without a code is an object of numbers, because
its WKT differs with each release of GDAL and PROJ in names, axes and the last digits: see :func:`crs_key`.

What can still break the hash between two builds: a CRS without a code of its own that only one build's PROJ database
recognises; lossy compression (JPEG, WebP, LERC), which each decoder rounds in its own way.

Definition 1 stands in records made before: it wrote a CRS without code as WKT2:2019, 64-bit integers in rasters
always as such, moments as Python's ``str``, complex cells in two planes per 512 rows, and hashed a folder's files by
their bytes. For all else the two are equal. :func:`has_content` accepts both.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissmodel_lab.artifacts import RASTER_SUFFIXES, VECTOR_SUFFIXES
from dissmodel_lab.sources import file_sha256, folder_sha256

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFINITION = 2

_EXACT = 2**53
"""Whole numbers up to here are exact as 64-bit floats."""
_ROWS = 512
"""Rows of a raster that are read at once."""
_COMPANIONS = frozenset({".dbf", ".shx", ".prj", ".cpg", ".qix", ".sbn", ".sbx"})
_UNITS = {"metre": 1.0, "degree": 0.017453292519943295, "unity": 1.0, "radian": 1.0}


def content_sha256(path: str | Path, *, definition: int = DEFINITION) -> str | None:
    """
    Return the SHA-256 of what a file means; the module's own text defines it.

    Parameters
    ----------
    path : str or Path
        A GeoTIFF, a vector file or a folder.
    definition : int
        2, or 1 for a hash in an old record.

    Returns
    -------
    str or None
        None for other kinds of files: their bytes are their content.

    Raises
    ------
    Exception
        Whatever the reading library raises when the file is not what its ending says.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from dissmodel_lab.rasters import Raster, write_raster
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name, dtype in (("a.tif", "uint8"), ("b.tif", "float64")):
    ...     write_raster(Raster(array=np.ones((1, 2, 3), dtype)), folder / name)
    >>> content_sha256(folder / "a.tif") == content_sha256(folder / "b.tif")
    True
    """
    path = Path(path)
    if path.is_dir():
        return _folder_content(path) if definition > 1 else folder_sha256(path)
    if path.suffix.lower() in RASTER_SUFFIXES:
        return _hash_parts(_raster_parts(path, definition))
    if path.suffix.lower() in VECTOR_SUFFIXES:
        return _hash_parts(_vector_parts(path, definition))
    return None


def has_content(path: str | Path, sha256: str) -> bool:
    """
    Tell whether a file's content has this hash, by the definition of today or an earlier one.

    Parameters
    ----------
    path : str or Path
        As :func:`content_sha256` takes it.
    sha256 : str
        From a record.

    Examples
    --------
    >>> has_content(__file__, "0" * 64)
    False
    """
    return any(content_sha256(path, definition=number) == sha256 for number in range(DEFINITION, 0, -1))


def is_companion(path: Path) -> bool:
    """
    Tell whether a file is only a part of the one beside it: of a shapefile, or what GDAL notes on a raster.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "roads.shp").touch()
    >>> is_companion(folder / "roads.dbf"), is_companion(folder / "table.dbf")
    (True, False)
    """
    if path.name.endswith(".aux.xml"):
        return path.with_name(path.name.removesuffix(".aux.xml")).exists()
    return path.suffix.lower() in _COMPANIONS and path.with_suffix(".shp").exists()


def companions_of(path: Path) -> dict[str, Path]:
    """
    Return the files beside one that are parts of it, by what stands behind its stem.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("roads.shp", "roads.dbf", "rivers.dbf"):
    ...     (folder / name).touch()
    >>> list(companions_of(folder / "roads.shp"))
    ['.dbf']
    """
    if path.is_dir():
        return {}
    endings = _COMPANIONS if path.suffix.lower() == ".shp" else ()
    beside = [(ending, path.with_suffix(ending)) for ending in sorted(endings)]
    beside.append((f"{path.suffix}.aux.xml", path.with_name(f"{path.name}.aux.xml")))
    return {ending: other for ending, other in beside if other.is_file()}


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


def crs_key(crs: Any) -> Any:
    """
    Return what the content hash takes of a CRS: a code, or the numbers that define it; None for no CRS.

    Of a projected CRS the numbers are ``projection`` (the method and, sorted, each parameter with its value in
    metres or radians; both named by their EPSG code where they have one), ``base`` (that of its geographic CRS)
    and ``axes`` (each direction and its unit in metres or radians, sorted). Of a geographic CRS: its code, or
    ``datum`` (its name in lower case without ``D_``, ``ensemble`` and all but letters and digits; empty when it
    begins with "unknown"), ``ellipsoid`` (the larger axis [m] and the inverse flattening, 0 for a sphere) and
    ``prime`` (the prime meridian [rad]). A compound CRS is ``parts``; a shift to WGS 84 that only some builds write
    is left out. All numbers have 12 digits. Of any other kind: its WKT2:2019.

    Parameters
    ----------
    crs : object
        What pyproj understands.

    Examples
    --------
    >>> crs_key("OGC:CRS84"), crs_key(None)
    ('EPSG:4326', None)
    >>> crs_key("+proj=longlat +a=6371000 +b=6371000")
    {'datum': '', 'ellipsoid': [6371000.0, 0.0], 'prime': 0.0}
    """
    if not crs:
        return None
    from pyproj import CRS  # noqa: PLC0415 -- loaded with the file's own library already

    known = CRS.from_user_input(crs)
    if known.is_bound and known.source_crs is not None:
        known = known.source_crs
    authority = known.to_authority()
    if authority:
        code = ":".join(authority)
        return "EPSG:4326" if code == "OGC:CRS84" else code
    if known.sub_crs_list:
        return {"parts": [crs_key(part) for part in known.sub_crs_list]}
    facts = known.to_json_dict()
    if facts["type"] == "ProjectedCRS" and known.geodetic_crs is not None:
        return _projected_key(facts, crs_key(known.geodetic_crs))
    if facts["type"] in ("GeographicCRS", "GeodeticCRS"):
        return _geographic_key(known)
    return known.to_wkt("WKT2_2019")


def _projected_key(facts: dict[str, Any], base: Any) -> dict[str, Any]:
    conversion = facts["conversion"]
    parameters = {_named(one): _digits(one["value"] * _factor(one)) for one in conversion.get("parameters", [])}
    axes = sorted([one["direction"], _digits(_factor(one))] for one in facts["coordinate_system"]["axis"])
    return {
        "projection": [_named(conversion["method"]), *([name, parameters[name]] for name in sorted(parameters))],
        "base": base,
        "axes": axes,
    }


def _geographic_key(crs: Any) -> dict[str, Any]:
    name = re.sub(r"[^a-z0-9]|^d_|ensemble$", "", crs.datum.name.lower()) if crs.datum is not None else ""
    ellipsoid, prime = crs.ellipsoid, crs.prime_meridian
    return {
        "datum": "" if name.startswith("unknown") else name,
        "ellipsoid": [_digits(ellipsoid.semi_major_metre), _digits(ellipsoid.inverse_flattening)],
        "prime": _digits(prime.longitude * prime.unit_conversion_factor) if prime is not None else 0.0,
    }


def _named(one: dict[str, Any]) -> str:
    code = one.get("id", {})
    return f"EPSG:{code['code']}" if code.get("authority") == "EPSG" else str(one["name"])


def _factor(one: dict[str, Any]) -> float:
    unit = one.get("unit", "unity")
    return _UNITS.get(unit, 1.0) if isinstance(unit, str) else float(unit.get("conversion_factor", 1.0))


def _digits(number: float) -> float:
    return float(f"{number:.12g}") + 0.0


def _hash_parts(parts: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _folder_content(folder: Path) -> str:
    files = {os.fsencode(path.relative_to(folder).as_posix()): path for path in folder.rglob("*") if path.is_file()}
    digest = hashlib.sha256()
    for name in sorted(files):
        if not is_companion(files[name]):
            digest.update(_content_or_bytes(files[name]).encode() + b"  " + name + b"\n")
    return digest.hexdigest()


def _content_or_bytes(path: Path) -> str:
    try:
        content = content_sha256(path)
    except Exception:  # noqa: BLE001 -- a file that is not what its ending says is a file like any other
        content = None
    return content or file_sha256(path)


def _header(**facts: Any) -> bytes:
    return json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _values(array: Any) -> bytes:
    """Return numbers as 64-bit floats, NaN and zero in one form each."""
    import numpy as np  # noqa: PLC0415

    floats = np.ascontiguousarray(array, dtype="<f8") + 0.0  # turns -0.0 into 0.0
    floats[np.isnan(floats)] = np.nan
    return floats.tobytes()


def _integers(array: Any) -> bytes:
    import numpy as np  # noqa: PLC0415

    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()


def _is_long(array: Any) -> bool:
    """Tell whether whole numbers do not fit into floats."""
    return bool(array.size) and max(abs(int(array.min())), int(array.max())) > _EXACT


def _cells(array: Any, definition: int, *, is_long: bool) -> bytes:
    import numpy as np  # noqa: PLC0415

    if is_long:
        return _integers(array)
    if array.dtype.kind != "c":
        return _values(array)
    if definition == 1:
        return _values(array.real) + _values(array.imag)
    return _values(np.ascontiguousarray(array, dtype="<c16").view("<f8"))


def _raster_parts(path: Path, definition: int) -> Iterator[bytes]:
    import rasterio  # noqa: PLC0415

    from dissmodel_lab.rasters import quiet_georeference  # noqa: PLC0415 -- needs numpy

    with quiet_georeference(), rasterio.open(path) as dataset:
        yield _raster_header(dataset, definition)
        for band in dataset.indexes:
            is_long = dataset.dtypes[band - 1] in ("int64", "uint64") and (
                definition == 1 or any(map(_is_long, _blocks(dataset, band)))
            )
            for block in _blocks(dataset, band):
                yield _cells(block, definition, is_long=is_long)


def _raster_header(dataset: Any, definition: int) -> bytes:
    from dissmodel_lab.rasters import band_names  # noqa: PLC0415 -- needs numpy

    facts: dict[str, Any] = {}
    scaling = [[float(scale), float(offset)] for scale, offset in zip(dataset.scales, dataset.offsets, strict=True)]
    if definition > 1 and any(pair != [1.0, 0.0] for pair in scaling):
        facts["scaling"] = scaling
    wkt = dataset.crs.to_wkt() if dataset.crs else None
    return _header(
        kind="raster",
        shape=[dataset.count, dataset.height, dataset.width],
        bands=list(band_names(dataset)),
        crs=crs_text(wkt) if definition == 1 else crs_key(wkt),
        transform=[float(number) + 0.0 for number in list(dataset.transform)[:6]],
        nodata=nodata_text(dataset),
        **facts,
    )


def nodata_text(dataset: Any) -> str | None:
    """
    Return a raster's nodata value as the hash writes it; None when it has none.

    Parameters
    ----------
    dataset : rasterio.DatasetReader
        An open dataset.
    """
    import numpy as np  # noqa: PLC0415

    if dataset.nodata is None:
        return None
    nodata = float(dataset.nodata)
    if set(dataset.dtypes) == {"float32"} and abs(nodata) <= float(np.finfo("float32").max):
        nodata = float(np.float32(nodata))  # some builds of GDAL tell the text in the file, some the cells' own value
    return repr(nodata + 0.0)


def _blocks(dataset: Any, band: int) -> Iterator[Any]:
    from rasterio.windows import Window  # noqa: PLC0415

    for top in range(0, dataset.height, _ROWS):
        yield dataset.read(band, window=Window(0, top, dataset.width, min(_ROWS, dataset.height - top)))


def _vector_parts(path: Path, definition: int) -> Iterator[bytes]:
    import geopandas  # noqa: PLC0415
    import shapely  # noqa: PLC0415

    layers = [str(name) for name in geopandas.list_layers(path)["name"]]
    for layer in layers:
        frame = geopandas.read_file(path, layer=layer)
        geometry = frame.geometry if isinstance(frame, geopandas.GeoDataFrame) else None
        names = [name for name in frame.columns if geometry is None or name != geometry.name]
        wkt = geometry.crs.to_wkt() if geometry is not None and geometry.crs else None
        yield _header(
            kind="vector",
            layer=layer if len(layers) > 1 else None,
            rows=len(frame),
            columns=[str(name) for name in names],
            crs=crs_text(wkt) if definition == 1 else crs_key(wkt),
        )
        if geometry is not None:
            for shape in shapely.to_wkb(geometry.array, output_dimension=3, byte_order=1, flavor="iso"):
                yield b"\0" * 8 if shape is None else len(shape).to_bytes(8, "little") + shape
        for name in names:
            yield _column_values(frame[name], definition)


def _column_values(column: Any, definition: int) -> bytes:
    if column.dtype.kind in "biuf":
        array = column.to_numpy()
        # GeoJSON has 32-bit integers where GeoPackage has 64: as floats they are the same.
        is_long = array.dtype.kind in "iu" and array.dtype.itemsize == 8 and _is_long(array)  # noqa: PLR2004 -- 64 bits
        return _integers(array) if is_long else _values(array)
    if column.dtype.kind == "M" and definition > 1:
        values = moments(column)
    else:
        values = texts_of(column) if definition > 1 else _old_texts(column)
    return json.dumps(values, ensure_ascii=False).encode()


def _old_texts(column: Any) -> list[str | None]:
    return [None if is_missing else str(value) for value, is_missing in zip(column, column.isna(), strict=True)]


def texts_of(column: Any) -> list[str | None]:
    """
    Return a column of neither numbers nor moments as the hash writes it; a list in full, as Python writes it.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> texts_of(pd.Series(["a", None, np.array([1 / 3, 2])]))
    ['a', None, '[0.3333333333333333, 2.0]']
    """
    # numpy's own text of a list is cut, and rounded to 8 digits.
    listed = (value.tolist() if hasattr(value, "tolist") else value for value in column)
    return [None if is_missing else str(value) for value, is_missing in zip(listed, column.isna(), strict=True)]


def moments(column: Any) -> list[str | None]:
    """
    Return a column of moments as the hash writes them: in UTC, as dates where all are midnights of no time zone.

    Examples
    --------
    >>> import pandas as pd
    >>> moments(pd.Series(pd.to_datetime(["2020-01-31", None])))
    ['2020-01-31', None]
    >>> moments(pd.Series([pd.Timestamp("2020-01-31 10:00-03")]))
    ['2020-01-31T13:00:00Z']
    """
    is_aware = getattr(column.dt, "tz", None) is not None
    utc = column.dt.tz_convert("UTC").dt.tz_localize(None) if is_aware else column
    present = utc.dropna()
    if not is_aware and len(present) and (present == present.dt.normalize()).all():
        return [None if moment != moment else moment.strftime("%Y-%m-%d") for moment in utc]  # noqa: PLR0124 -- NaT
    return [None if moment != moment else _moment(moment, "Z" if is_aware else "") for moment in utc]  # noqa: PLR0124


def _moment(moment: Any, zone: str) -> str:
    text: str = moment.isoformat()
    return (text.rstrip("0") if "." in text else text) + zone
