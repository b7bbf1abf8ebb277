"""A map to explore, of data that nobody has run: the shortest way from a path to its picture."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from dissmodel_lab.executor.schemas import DataSource
from dissmodel_lab.language import say
from dissmodel_lab.maps.grid import check_band
from dissmodel_lab.redaction import redact_uri
from dissmodel_lab.views.map_view import MapView

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dissmodel_lab.maps.styles import Style


def explore(
    *sources: Any,
    names: Sequence[str] = (),
    band: str | None = None,
    part: str | None = None,
    style: Style | None = None,
    classes: type[Any] | Mapping[Any, Any] | None = None,
    basemap: bool | str = False,
) -> MapView:
    """
    Show data on a map: big rasters and vectors, from a file, a bucket or a web server.

    Parameters
    ----------
    *sources : path, URI, DataSource, Raster, GeoDataFrame, ndarray or opened layer
        One, or two that are shown beside each other and moved together.
    names : sequence of str, optional
        What they are called on the page; as their files when not given.
    band : str, optional
        Band or column at first.
    part : str, optional
        The layer of a GeoPackage, the variable of a netCDF, the file of a zip.
    style : Style, optional
        Colour map and classification, see :class:`~dissmodel_lab.maps.styles.Style`.
    classes : type or mapping, optional
        Where legends come from when the data carry none: value -> label, colour or (label, colour).
    basemap : bool or str, optional
        What lies below; nothing when not given, so that it works without a network.

    Returns
    -------
    MapView
        Shows itself as a cell's last value; its static twin stays in the saved notebook.

    Raises
    ------
    SourceError
        When a source is missing, unreadable, not a map, without that band, or cannot be drawn.

    Examples
    --------
    >>> import numpy as np
    >>> explore(np.eye(3, dtype="uint8")).layer.value
    'data'
    """
    layers: dict[str, Any] = {}
    for source, given in zip_longest(sources, names):
        name = given or _name(source)
        layers[name if name not in layers else f"{name} ({len(layers) + 1})"] = source
    mode = "side by side" if len(layers) > 1 else "one map"
    view = MapView(layers, basemap=basemap, classes=classes, style=style, mode=mode, part=part)
    for name in layers:
        view.preview(name)  # what cannot be drawn is this call's error, not a line in an empty view
    if band is not None:
        view.band.value = check_band(band, view.stock.layer(view.layer.value).bands)
    return view


def _name(source: Any) -> str:
    text = source.uri if isinstance(source, DataSource) else source
    if not isinstance(text, str | PurePath):
        return say("data")
    return PurePath(redact_uri(str(text)).partition("?")[0]).name or say("data")
