"""One Leaflet map with what stands on it: layers of two sides, a basemap, the scale, and words in its corner."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dissmodel_lab.views.map_view.basemaps import MAX_ZOOM, tiles
from dissmodel_lab.views.map_view.sides import PANES, Side
from dissmodel_lab.views.markup import escape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dissmodel_lab.maps.place import Bounds

#: Size of the interactive map [CSS pixels].
MAP_WIDTH, MAP_HEIGHT = 600, 420
#: Widest map on the page [CSS pixels].
MAX_MAP_WIDTH = 900
#: Size of the world at zoom 0 of a web map [pixels].
TILE = 256
_BOX = "background-color:#ffffff;color:#202020;font-size:12px;line-height:1.4;padding:2px 6px;max-width:320px"


class Ground:
    """
    A map on the page.

    Parameters
    ----------
    bounds : tuple
        What is shown at first: ((south, west), (north, east)).
    is_georeferenced : bool
        Degrees on a web map; else a plane. A map's kind of place is fixed.
    basemap : str
        One of :data:`~dissmodel_lab.views.map_view.basemaps.BASEMAPS`; a plane has none.

    Examples
    --------
    >>> ground = Ground(((0, 0), (10, 20)), is_georeferenced=False, basemap="none")
    >>> ground.say(["1 of 16 pixels shown"])
    >>> "1 of 16 pixels shown" in ground.words.value
    True
    """

    def __init__(self, bounds: Bounds, *, is_georeferenced: bool, basemap: str) -> None:
        import ipyleaflet as leaflet  # noqa: PLC0415 -- 0.2 s, not needed for static maps
        import ipywidgets as w  # noqa: PLC0415 -- as above

        self.is_georeferenced = is_georeferenced
        self.below, self.above = Side("dlbelow"), Side("dlabove")
        self._fitted: Bounds | None = None
        self._tiles: Any = None
        self._credits: Any = None
        self._features: Any = None
        self.feature_words = ""
        self.feature_notes: tuple[str, ...] = ()
        self.words, self.pointed = w.HTML(), w.HTML()
        for box, name in ((self.words, "dl-map-words"), (self.pointed, "dl-map-pointed")):
            box.add_class(name)
        centre, zoom = view_of(bounds, is_georeferenced=is_georeferenced)
        self.map = leaflet.Map(
            layers=[*self.below.layers, *self.above.layers],
            crs=leaflet.projections.EPSG3857 if is_georeferenced else leaflet.projections.Simple,
            center=centre, zoom=zoom, zoom_snap=0.25, min_zoom=-16, max_zoom=MAX_ZOOM, panes=PANES,
            scroll_wheel_zoom=True, attribution_control=False,
            layout={"width": "100%", "max_width": f"{MAX_MAP_WIDTH}px", "height": f"{MAP_HEIGHT}px"},
        )  # fmt: skip
        if is_georeferenced:
            self.map.add(leaflet.ScaleControl(position="bottomleft"))
        corner = w.VBox([self.words, self.pointed])
        corner.add_class("dl-map-corner")
        self.map.add(leaflet.WidgetControl(widget=corner, position="topright", transparent_bg=True))
        self.choose_basemap(basemap)

    def fit(self, bounds: Bounds, *, width: float = MAP_WIDTH) -> None:
        """Show bounds whole, unless they are those that were shown whole last."""
        if self._fitted == bounds:
            return
        centre, zoom = view_of(bounds, is_georeferenced=self.is_georeferenced, width=width)
        with self.map.hold_sync():
            self.map.center, self.map.zoom = list(centre), zoom
        self._fitted = bounds

    def choose_basemap(self, name: str) -> None:
        """Lay other tiles below, with the attribution that their owner asks for; a plane has none."""
        import ipyleaflet as leaflet  # noqa: PLC0415 -- 0.2 s, not needed for static maps

        old, old_credits = self._tiles, self._credits
        self._tiles = tiles(name) if self.is_georeferenced else None
        kept = tuple(layer for layer in self.map.layers if layer is not old)
        self.map.layers = kept if self._tiles is None else (self._tiles, *kept)
        self._credits = leaflet.AttributionControl(position="bottomright") if self._tiles is not None else None
        controls = tuple(control for control in self.map.controls if control is not old_credits)
        self.map.controls = controls if self._credits is None else (*controls, self._credits)
        for gone in (old, old_credits):
            if gone is not None:
                gone.close()

    def lay_features(self, features: Any, words: str = "", notes: tuple[str, ...] = ()) -> None:
        """Lay a GeoJSON layer above all, with what must be said of it; None takes it away."""
        self.feature_words, self.feature_notes = words, notes
        old = self._features
        if old is not None:
            self.map.layers = tuple(layer for layer in self.map.layers if layer is not old)
            old.close()
        self._features = features
        if features is not None:
            self.map.layers = (*self.map.layers, features)
        self.point_at(())

    @property
    def features(self) -> Any:
        """The GeoJSON layer; None when there is none."""
        return self._features

    def say(self, sentences: Iterable[str]) -> None:
        """Write into the corner of the map what is shown and where it lies; untrusted text."""
        lines = "".join(f"<div>{escape(sentence)}</div>" for sentence in sentences if sentence)
        self.words.value = f'<div style="{_BOX}">{lines}</div>' if lines else ""

    def point_at(self, attributes: Iterable[tuple[str, str]], heading: str = "") -> None:
        """Write the attributes of a feature below; names and values are HTML already."""
        rows = "".join(f"<div><b>{name}</b>: {value}</div>" for name, value in attributes)
        head = f"<div>{heading}</div>" if heading else ""
        self.pointed.value = f'<div style="{_BOX};max-height:220px;overflow:auto">{head}{rows}</div>' if rows else ""

    @property
    def view(self) -> Bounds | None:
        """What the browser shows now; None until it has said so."""
        bounds = self.map.bounds
        return ((bounds[0][0], bounds[0][1]), (bounds[1][0], bounds[1][1])) if bounds else None

    @property
    def reach(self) -> float:
        """What lies under a few pixels of the screen, for points and lines under a click [units of the map]."""
        pixels = 6.0
        return float(pixels / 2**self.map.zoom * (360 / TILE if self.is_georeferenced else 1))

    def close(self) -> None:
        """Leave nothing of it in the browser."""
        for widget in (*self.map.layers, *self.map.controls, self.map):
            widget.close()


def view_of(bounds: Bounds, *, is_georeferenced: bool, width: float = MAP_WIDTH) -> tuple[tuple[float, float], float]:
    """
    Return centre and zoom of a map that shows bounds whole.

    Worked out here, because ipyleaflet's ``fit_bounds`` needs answers from a front end.

    Parameters
    ----------
    bounds : tuple
        ((south, west), (north, east)).
    is_georeferenced : bool
        Degrees on a web map; else units of a plane.
    width : float, optional
        How wide the map is [CSS pixels].

    Examples
    --------
    >>> view_of(((0, 0), (100, 200)), is_georeferenced=False)
    ((50.0, 100.0), 1.5)
    """
    (south, west), (north, east) = bounds
    if is_georeferenced:
        low, high = (math.asinh(math.tan(math.radians(v))) for v in (south, north))
        middle = math.degrees(math.atan(math.sinh((low + high) / 2)))
        high_pixels, wide_pixels = TILE * (high - low) / math.tau, TILE * (east - west) / 360
    else:
        middle, high_pixels, wide_pixels = (south + north) / 2, north - south, east - west
    fits = min(width / wide_pixels, MAP_HEIGHT / high_pixels)
    return (middle, (west + east) / 2), math.floor(4 * math.log2(fits)) / 4
