"""Few features as shapes of the browser's own, which name their attributes under the pointer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dissmodel_lab.maps.features import FeatureSet

_OUTLINE = "#404040"
_HOVER = {"weight": 3, "color": "#000000"}
_POINT = {"radius": 6, "weight": 1, "color": _OUTLINE, "fillOpacity": 0.9}


def feature_layer(
    features: FeatureSet, colours: Sequence[str], tell: Callable[[Iterable[tuple[str, str]]], None]
) -> Any:
    """
    Make a GeoJSON layer of ipyleaflet.

    Attributes stay in the kernel: the browser sends back a whole feature whenever the pointer enters it.

    Parameters
    ----------
    features : FeatureSet
        As :func:`~dissmodel_lab.maps.features.features_of` makes them; names and values are escaped there.
    colours : sequence of str
        The colour of each; empty where there is no value.
    tell : callable
        Told the attributes, as HTML, of the feature under the pointer.
    """
    import ipyleaflet as leaflet  # noqa: PLC0415 -- 0.2 s, not needed for static maps

    given = features.geojson["features"]
    attributes = {str(feature["id"]): tuple(feature["properties"].items()) for feature in given}
    drawn = [
        {**feature, "properties": {"style": _style(feature["geometry"]["type"], colour)}}
        for feature, colour in zip(given, colours, strict=True)
    ]
    layer = leaflet.GeoJSON(
        data={"type": "FeatureCollection", "features": drawn}, hover_style=_HOVER, point_style=_POINT
    )

    def point_at(**content: Any) -> None:
        tell(attributes.get(str(content.get("id")), ()))

    layer.on_hover(point_at)
    return layer


def _style(kind: str, colour: str) -> dict[str, Any]:
    """Fill areas and points with the colour of the legend, draw lines in it; nothing known is only an outline."""
    if not colour:
        return {"color": _OUTLINE, "weight": 1, "dashArray": "3", "fillOpacity": 0}
    if kind.endswith("LineString"):
        return {"color": colour, "weight": 3, "fillOpacity": 0}
    return {"color": _OUTLINE, "weight": 0.6, "fillColor": colour, "fillOpacity": 0.9}
