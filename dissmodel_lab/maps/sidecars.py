"""Names of classes that lie beside a raster: GDAL's ``.aux.xml``, with category names or an attribute table.

The file is read as untrusted XML: no entities, no network, at most some megabytes.
GDAL's format: https://gdal.org/en/stable/user/raster_data_model.html and
https://gdal.org/en/stable/drivers/raster/vrt.html (elements ``CategoryNames`` and ``GDALRasterAttributeTable``).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dissmodel_lab.rasters import Classes

#: A larger one isn't read [bytes].
MAX_BYTES = 8 << 20
#: A palette has 256 colours: more names are no legend.
MAX_NAMES = 256
#: What the columns of an attribute table are for, by GDAL's numbers (``GDALRATFieldUsage``).
NAME, LOWEST, VALUE, RED, GREEN, BLUE = 2, 3, 5, 6, 7, 8


def class_names_beside(path: str, number: int) -> Classes:
    """
    Return the names, and colours when there are any, of the classes of one band.

    Parameters
    ----------
    path : str
        Of the raster; nothing is looked up beside archives.
    number : int
        Of the band, from 1.

    Returns
    -------
    dict
        Code -> (label, ``#rrggbb`` or an empty text); empty when there is nothing that can be read.

    Examples
    --------
    >>> class_names_beside("nowhere.tif", 1)
    {}
    """
    beside = Path(f"{path}.aux.xml")
    try:
        if path.startswith("/vsi") or not beside.is_file() or beside.stat().st_size > MAX_BYTES:
            return {}
        return _names(beside, number)
    except (OSError, ValueError, SyntaxError, OverflowError):  # SyntaxError: what XML parsers raise
        return {}


def _names(beside: Path, number: int) -> Classes:
    from defusedxml import (  # type: ignore[import-untyped, unused-ignore]  # noqa: PLC0415 -- only there; no stubs
        DefusedXmlException,
    )
    from defusedxml.ElementTree import (  # type: ignore[import-untyped, unused-ignore]  # noqa: PLC0415 -- as above
        parse,
    )

    try:
        root = parse(beside, forbid_dtd=True).getroot()
    except DefusedXmlException:
        return {}
    bands = [band for band in root.iter("PAMRasterBand") if band.get("band", "") == str(number)]
    if not bands:
        return {}
    names = [category.text or "" for category in bands[0].iterfind("CategoryNames/Category")][:MAX_NAMES]
    found = {code: (name, "") for code, name in enumerate(names) if name}
    table = bands[0].find("GDALRasterAttributeTable")
    return found or (_table_names(table) if table is not None else {})


def _table_names(table: Any) -> Classes:
    columns: dict[int, int] = {}
    for position, field in enumerate(table.iterfind("FieldDefn")):
        columns.setdefault(int(field.findtext("Usage", "0")), position)
    code_at = columns.get(VALUE, columns.get(LOWEST))
    if code_at is None or NAME not in columns:
        return {}
    found: Classes = {}
    for row in list(table.iterfind("Row"))[:MAX_NAMES]:
        cells = [cell.text or "" for cell in row.iterfind("F")]
        code = float(cells[code_at])
        if code.is_integer():
            found[int(code)] = (cells[columns[NAME]], _colour(cells, columns))
    return found


def _colour(cells: list[str], columns: dict[int, int]) -> str:
    if not {RED, GREEN, BLUE} <= set(columns):
        return ""
    parts = [int(float(cells[columns[part]])) for part in (RED, GREEN, BLUE)]
    return "#" + "".join(f"{part:02x}" for part in parts) if all(0 <= part < 256 for part in parts) else ""  # noqa: PLR2004
