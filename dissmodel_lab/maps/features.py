"""Single features of a layer: few of them as GeoJSON for the map, and the one that lies under a click.

In: an opened layer, a part of it or a place. Out: dictionaries of texts and coordinates. Does not touch disk,
but a large file's layer reads what it hasn't read yet.
"""

from __future__ import annotations

import html
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from dissmodel_lab.maps.area import Area
    from dissmodel_lab.maps.grid import Layer
    from dissmodel_lab.maps.legend import Legend
    from dissmodel_lab.maps.vector import TableLayer

#: More features than this are drawn into an image [-], and so are those that take more than this as GeoJSON [bytes].
MAX_FEATURES, MAX_BYTES = 2_000, 1_000_000
#: A value is cut after so many characters, a name after so many [characters].
MAX_TEXT, MAX_NAME = 200, 60
#: Columns of a feature that are shown: on hover, and after a click.
HOVER_COLUMNS, CLICK_COLUMNS = 12, 60
#: What a point of a GeoJSON geometry takes: ``[-47.1234567, -15.1234567], `` [bytes].
POINT_BYTES = 27
#: Decimals of a degree: 1 cm; and of a plane's cell.
DIGITS = 7
#: Edges longer than this part of the layer are bent as the projection bends them.
LONG_EDGE = 1 / 64
#: When simplified, no outline moves by more than this part of what is shown.
MOVED = 1 / 2_000
#: A geometry in a column is written as text up to so much [bytes].
LONG_SHAPE = 1_000
NO_DATA = "no data"


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureSet:
    """A few features, as a map widget takes them."""

    geojson: dict[str, Any] = field(repr=False)
    """
    FeatureCollection; degrees when the layer lies on Earth, else cells of the plane, as ``Preview.bounds``.
    ``id`` is the row of the table as text, ``properties`` are names and values, escaped for HTML and cut.
    """
    rows: NDArray[np.intp] = field(repr=False)
    """The row of the table that each feature is, in the order of ``geojson``."""
    shown: str = ""
    """Budget for a corner of the map: ``outlines simplified``; empty when all is there."""
    notes: tuple[str, ...] = ()
    """Sentences that must be shown with the map."""

    def __len__(self) -> int:
        """Return the number of features."""
        return len(self.rows)


def features_of(
    layer: Layer,
    area: Area | None = None,
    limit: int = MAX_FEATURES,
    max_bytes: int = MAX_BYTES,
    *,
    band: str | None = None,
) -> FeatureSet | None:
    """
    Return the features of a layer as GeoJSON when they are few and simple enough for a browser.

    Parameters
    ----------
    layer : Layer
        Any; only layers of tables have features.
    area : Area, optional
        Only those that touch this part.
    limit : int, optional
        The most features [-].
    max_bytes : int, optional
        The longest GeoJSON [bytes]; outlines are simplified first, and that is said.
    band : str, optional
        The column that is shown on the map: the first one on hover.

    Returns
    -------
    FeatureSet or None
        None when there are none, or more than a browser should get: show the image then.

    Examples
    --------
    >>> import geopandas, shapely
    >>> from dissmodel_lab.maps.vector import from_table
    >>> trees = geopandas.GeoDataFrame({"kind": ["<oak>"]}, geometry=[shapely.Point(-47, -15)], crs=4326)
    >>> features_of(from_table(trees)).geojson["features"][0]["properties"]
    {'kind': '&lt;oak&gt;'}
    """
    table = _as_table(layer)
    if table is None or not table.rows.is_whole or not 0 < (rows := table.rows_in(area)).size <= limit:
        return None
    shapes, shown = _light_enough(table, rows, max_bytes)
    if shapes is None:
        return None
    on_map = _on_map(table, shapes)
    is_there = _is_drawable(on_map)
    rows, on_map = rows[is_there], on_map[is_there]
    if not rows.size:
        return None
    lost = int(is_there.size - rows.size)
    notes = (
        (message("{lost:,} of {size:,} features have no place on the map.", lost=lost, size=is_there.size),)
        if lost
        else ()
    )
    for columns in (HOVER_COLUMNS, 1):
        geojson = _collection(table, rows, on_map, _hover_columns(table, band, columns))
        if len(json.dumps(geojson)) <= max_bytes:
            return FeatureSet(geojson=geojson, rows=rows, shown=shown, notes=notes)
    return None


def feature_at(
    layer: Layer, x: float, y: float, *, tolerance: float = 0.0, is_georeferenced: bool = True
) -> dict[str, str] | None:
    """
    Return the attributes of the feature under a click; of several the one that is drawn last.

    Parameters
    ----------
    layer : Layer
        Any; only layers of tables have features.
    x, y : float
        Longitude and latitude [degrees], or column and row of the plane counted from the lower left, as
        ``Preview.bounds`` counts them.
    tolerance : float, optional
        How far from the click a point or a line may lie, in units of x.
    is_georeferenced : bool, optional
        Whether the picture lies on Earth: ``Preview.is_georeferenced``.

    Returns
    -------
    dict of str, or None
        Names and values, readable and cut, but plain text: escape them for HTML. None where there is no feature.

    Examples
    --------
    >>> import geopandas, shapely
    >>> from dissmodel_lab.maps.vector import from_table
    >>> cells = geopandas.GeoDataFrame({"age": [1, 2]}, geometry=shapely.box([0, 1], 0, [1, 2], 1), crs=4326)
    >>> feature_at(from_table(cells), 1.5, 0.5)
    {'age': '2'}
    """
    table = _as_table(layer)
    if table is None or not all(map(math.isfinite, (x, y, tolerance))):
        return None
    found = table.row_at(*_in_layer(table, x, y, tolerance, is_georeferenced=is_georeferenced))
    return None if found is None else attributes_of(found, CLICK_COLUMNS)


def colours_of(layer: Layer, features: FeatureSet, band: str, like: Legend) -> tuple[str, ...]:
    """
    Return the colour of each feature, as the legend of the map has it; empty text where there is no value.

    Parameters
    ----------
    layer : Layer
        The one that the features are of.
    features : FeatureSet
        As :func:`features_of` returned them.
    band : str
        The column that is shown.
    like : Legend
        Of the map's picture, so that features and picture look alike.

    Examples
    --------
    >>> import geopandas, shapely
    >>> from dissmodel_lab.maps import preview
    >>> from dissmodel_lab.maps.vector import from_table
    >>> ages = geopandas.GeoDataFrame({"age": [1, 2]}, geometry=shapely.box([0, 1], 0, [1, 2], 1), crs=4326)
    >>> cells = from_table(ages)
    >>> legend = preview(cells).legend
    >>> colours_of(cells, features_of(cells), "age", legend) == tuple(e.colour for e in legend.entries)
    True
    """
    from dissmodel_lab.maps.legend import paint  # noqa: PLC0415 -- only for those who paint

    table = _as_table(layer)
    if table is None:
        return ("",) * len(features)
    legend, index, _ = paint(table.values_of(band, features.rows), like)
    return tuple(legend.colours[i - 1] if i else "" for i in index.ravel().tolist())


def attributes_of(record: Mapping[Any, Any], most: int = CLICK_COLUMNS) -> dict[str, str]:
    r"""
    Make the values of a feature readable.

    Parameters
    ----------
    record : mapping
        Names and values of any type.
    most : int, optional
        Further ones are counted, not shown.

    Examples
    --------
    >>> attributes_of({"a": 1.50, "b": None, "c": b"\x00\xff"})
    {'a': '1.5', 'b': 'no data', 'c': '2 bytes: 00 ff'}
    """
    names = list(record)
    texts = {_cut(_plain(str(name)), MAX_NAME): text_of(record[name]) for name in names[:most]}
    if len(names) > most:
        texts["..."] = f"{len(names) - most:,} more columns"
    return texts


def text_of(value: Any) -> str:
    r"""
    Write a value of a table as a person reads it: one line of at most ``MAX_TEXT`` characters.

    Examples
    --------
    >>> import datetime
    >>> text_of(datetime.datetime(2020, 1, 2)), text_of({"a": [1, 2]}), text_of(float("nan")), text_of("a\nb")
    ('2020-01-02', '{"a": [1, 2]}', 'no data', 'a b')
    """
    return _cut(_plain(_written(value)), MAX_TEXT)


def _written(value: Any) -> str:
    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)) or _is_missing(value):
        return NO_DATA
    if isinstance(value, bytes | bytearray | memoryview):
        start = bytes(value[:16])
        return f"{len(value):,} bytes: {start.hex(' ')}{' ...' if len(value) > len(start) else ''}"
    if isinstance(value, bool | np.bool_ | int | np.integer | str):
        return str(value)
    if isinstance(value, float | np.floating):
        number = float(value)
        return f"{number:.15g}" if abs(number) < 1e16 else repr(number)  # noqa: PLR2004 -- float64's digits
    if hasattr(value, "isoformat"):
        return str(value.isoformat()).removesuffix("T00:00:00")
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, dict | list | tuple):
        return json.dumps(_shortened(value), ensure_ascii=False, default=str)
    if hasattr(value, "geom_type") and len(getattr(value, "wkb", b"")) > LONG_SHAPE:
        return f"{value.geom_type}, {len(value.wkb):,} bytes"
    return str(value)


def _is_missing(value: Any) -> bool:
    """Whether it is pandas' or numpy's missing value; by name, because this room may do without pandas."""
    if isinstance(value, np.datetime64 | np.timedelta64):
        return bool(np.isnat(value))
    return type(value).__name__ in {"NaTType", "NAType"}


def _shortened(value: Any, depth: int = 3) -> Any:
    """Cut nested values before they are written: they may be huge."""
    most = 20
    if isinstance(value, dict):
        return {str(k): _shortened(v, depth - 1) for k, v in list(value.items())[:most]} if depth else "{...}"
    if isinstance(value, list | tuple | np.ndarray):
        return [_shortened(v, depth - 1) for v in list(value[:most])] if depth else "[...]"
    if isinstance(value, str):
        return value[:MAX_TEXT]
    if isinstance(value, int | float | bool) or value is None:
        return value
    return _written(value)


def _plain(text: str) -> str:
    """Without line breaks and control characters, which also turn the direction of writing."""
    start = text[: 4 * MAX_TEXT]
    return " ".join("".join(c if c.isprintable() else " " for c in start).split()) + text[4 * MAX_TEXT :][:1]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _as_table(layer: Layer) -> TableLayer | None:
    """Tell by the type: a property may read the file."""
    if not hasattr(type(layer), "rows_in"):
        return None
    table: Any = layer
    return table  # type: ignore[no-any-return]  # a TableLayer, without importing geopandas


def _light_enough(table: TableLayer, rows: NDArray[np.intp], max_bytes: int) -> tuple[NDArray[Any] | None, str]:
    """Return outlines that fit, simplified when they must be, with edges cut where a projection bends them."""
    import shapely  # noqa: PLC0415 -- only for tables

    shapes = shapely.force_2d(table.shapes[rows])
    extent, most = table.extent, max_bytes / POINT_BYTES
    size = max(extent.width, extent.height)
    bent = shapely.segmentize(shapes, size * LONG_EDGE) if size > 0 and _could_bend(shapes, size, most) else shapes
    if shapely.get_num_coordinates(bent).sum() <= most:
        return bent, ""
    if shapely.get_num_coordinates(shapes).sum() > 50 * most:  # seconds of work for an image's worth of points
        return None, ""
    west, south, east, north = shapely.total_bounds(shapes)
    simple = shapely.simplify(shapes, max(east - west, north - south) * MOVED, preserve_topology=True)
    return (simple, "outlines simplified") if shapely.get_num_coordinates(simple).sum() <= most else (None, "")


def _could_bend(shapes: NDArray[Any], size: float, most: float) -> bool:
    """Whether cutting long edges stays within the budget of points."""
    import shapely  # noqa: PLC0415 -- only for tables

    lengths = shapely.length(shapes)
    return bool((lengths / (size * LONG_EDGE)).sum() + shapely.get_num_coordinates(shapes).sum() <= most)


def _on_map(table: TableLayer, shapes: NDArray[Any]) -> NDArray[Any]:
    """Move shapes to where the map draws them."""
    import shapely  # noqa: PLC0415 -- only for tables

    moved: NDArray[Any] = shapely.transform(shapes, lambda points: np.round(table.to_map(points), DIGITS))
    return moved


def _is_drawable(shapes: NDArray[Any]) -> NDArray[np.bool_]:
    import shapely  # noqa: PLC0415 -- only for tables

    points, owners = shapely.get_coordinates(shapes, return_index=True)
    is_there: NDArray[np.bool_] = ~shapely.is_empty(shapes)
    is_there[owners[~np.isfinite(points).all(axis=1)]] = False
    return is_there


def _collection(
    table: TableLayer, rows: NDArray[np.intp], shapes: NDArray[Any], columns: Sequence[str]
) -> dict[str, Any]:
    import shapely  # noqa: PLC0415 -- only for tables

    texts = {name: [html.escape(text_of(value)) for value in table.column(name).iloc[rows]] for name in columns}
    names = {name: html.escape(_cut(_plain(name), MAX_NAME)) for name in columns}
    features = [
        {
            "type": "Feature",
            "id": str(row),
            "properties": {names[name]: texts[name][i] for name in columns},
            "geometry": json.loads(geometry),
        }
        for i, (row, geometry) in enumerate(zip(rows.tolist(), shapely.to_geojson(shapes), strict=True))
    ]
    return {"type": "FeatureCollection", "features": features}


def _hover_columns(table: TableLayer, band: str | None, most: int) -> list[str]:
    # of a large file each further column would be read whole: a click reads the feature's own row
    names = [name for name in table.columns if table.has_columns or name == band]
    first = [band] if band in names else []
    return [str(name) for name in (*first, *(name for name in names if name != band))][:most]


def _in_layer(
    table: TableLayer, x: float, y: float, tolerance: float, *, is_georeferenced: bool
) -> tuple[float, float, float]:
    """Turn a place on the map and the distance around it into the layer's own units."""
    places = np.array([(x, y), (x + tolerance, y), (x, y + tolerance)], float)
    points = table.from_map(places, is_georeferenced=is_georeferenced)
    steps = np.hypot(*(points[1:] - points[0]).T)
    return float(points[0, 0]), float(points[0, 1]), float(steps.max()) if np.isfinite(steps).all() else 0.0
