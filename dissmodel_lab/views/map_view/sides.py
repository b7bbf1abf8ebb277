"""One layer on a map: the picture of the whole, above it the part in view, sharper; or its features.

The sharp part is laid into one of two overlays, while the other one still shows the part before: nothing
flickers, and no picture is ever stretched to the place of another. Where it lies the whole is cut out, so that
no coarse pixel shines through where the sharp ones have no data.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dissmodel_lab.views.legends import data_url

if TYPE_CHECKING:
    from dissmodel_lab.maps.picture import Preview
    from dissmodel_lab.maps.place import Bounds

#: One transparent pixel: what an overlay shows when it has nothing to show.
NOTHING = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
#: The order of what lies above what: Leaflet's own lines and polygons are at 400.
PANES = {
    "dlbelow": {"zIndex": 391}, "dlbelow0": {"zIndex": 392}, "dlbelow1": {"zIndex": 393},
    "dlabove": {"zIndex": 394}, "dlabove0": {"zIndex": 395}, "dlabove1": {"zIndex": 396},
}  # fmt: skip


class Side:
    """
    The overlays of one layer on one map.

    Parameters
    ----------
    pane : str
        ``dlbelow`` or ``dlabove``.

    Examples
    --------
    >>> from dissmodel_lab.maps import preview
    >>> import numpy as np
    >>> side = Side("dlabove")
    >>> side.show(preview(np.eye(3)), 0.5)
    >>> side.whole.bounds, side.is_sharp
    ([[0.0, 0.0], [3.0, 3.0]], False)
    """

    def __init__(self, pane: str) -> None:
        import ipyleaflet as leaflet  # noqa: PLC0415 -- 0.2 s, not needed for static maps

        self.pane = pane
        self.picture: Preview | None = None
        self.part: Preview | None = None
        self.whole = leaflet.ImageOverlay(url=NOTHING, pane=pane, visible=False)
        self._parts = [leaflet.ImageOverlay(url=NOTHING, pane=f"{pane}{i}") for i in (0, 1)]
        self._laid: list[Preview | None] = [None, None]
        self._turn = 0

    @property
    def layers(self) -> tuple[Any, ...]:
        """What belongs on the map, the lowest first."""
        return (self.whole, *self._parts)

    @property
    def sharp(self) -> Any:
        """The overlay of the part in view."""
        return self._parts[self._turn]

    @property
    def is_sharp(self) -> bool:
        """Whether the part in view is shown sharper than the whole."""
        return self.part is not None

    @property
    def seen(self) -> Preview | None:
        """What a person sees in the middle of the view: the sharp part, else the whole."""
        return self.part or self.picture

    def show(self, picture: Preview, opacity: float) -> None:
        """Show the picture of a whole layer; a sharp part of another picture goes."""
        if picture is not self.picture:
            self.blur()
            self._lay(self.whole, picture)
            self.picture = picture
        self.fade(opacity)
        self.whole.visible = True

    def hide(self) -> None:
        """Show nothing; what was shown last is kept."""
        self.blur()
        self.whole.visible = False

    def fade(self, opacity: float) -> None:
        """Make all of it transparent."""
        for overlay in self.layers:
            overlay.opacity = opacity

    def sharpen(self, part: Preview) -> None:
        """Lay a sharp part above; the one before stays until :meth:`settle`."""
        self._turn = 1 - self._turn
        self._lay(self.sharp, part)
        self._laid[self._turn] = part
        self.part = part

    def settle(self) -> None:
        """Take the part before the present one away: the browser has drawn the present one."""
        self._clear(1 - self._turn)

    def blur(self) -> None:
        """Show the whole picture only."""
        for i in (0, 1):
            self._clear(i)
        self.part = None

    def _clear(self, i: int) -> None:
        if self._laid[i] is not None:
            self._parts[i].url = NOTHING
            self._laid[i] = None

    @staticmethod
    def _lay(overlay: Any, picture: Preview) -> None:
        with overlay.hold_sync():  # one message: no picture at the place of another
            overlay.bounds = [list(corner) for corner in picture.bounds]
            overlay.url = data_url(picture.png)

    def css(self, scope: str, left: float, right: float) -> str:
        """
        Write the rules that show a side between two edges, and the whole only where no sharp part lies.

        Parameters
        ----------
        scope : str
            CSS class of the view: a notebook may show several maps.
        left, right : float
            Edges, as parts of the whole picture's width.
        """
        if self.picture is None:
            return ""
        hole = _within(self.part, self.picture) if self.part is not None else None
        rules = [_rule(scope, self.pane, _clip(left, right, hole))]
        for i, part in enumerate(self._laid):
            if part is not None:
                west, _, east, _ = _within(part, self.picture)
                edges = [min(1.0, max(0.0, (edge - west) / (east - west))) for edge in (left, right)]
                rules.append(_rule(scope, f"{self.pane}{i}", _clip(edges[0], edges[1], None)))
        return "".join(rules)

    def value_at(self, latitude: float, longitude: float) -> str:
        """Say the value under a place, as it is seen."""
        if self.picture is None:
            return ""
        if self.part is not None and _holds(self.part.bounds, latitude, longitude):
            return self.part.value_at(latitude, longitude)
        return self.picture.value_at(latitude, longitude)


def _rule(scope: str, pane: str, clip: str) -> str:
    return f".{scope} .leaflet-{pane}-pane img{{clip-path:{clip}}}"


def _clip(left: float, right: float, hole: tuple[float, float, float, float] | None) -> str:
    """Write the visible part of a picture: a box, perhaps with a hole (west, north, east, south)."""
    box = f"inset(0 {_percent(1 - right)} 0 {_percent(left)})"
    if hole is None:
        return box
    west, north, east, south = (max(low, min(high, v)) for v, low, high in zip(
        hole, (left, 0, left, 0), (right, 1, right, 1), strict=True))  # fmt: skip
    if west >= east or north >= south:
        return box
    outer = [(left, 0), (right, 0), (right, 1), (left, 1), (left, 0)]
    inner = [(west, north), (east, north), (east, south), (west, south), (west, north)]
    return "polygon(evenodd," + ",".join(f"{_percent(x)} {_percent(y)}" for x, y in (*outer, *inner)) + ")"


def _percent(part: float) -> str:
    return f"{100 * part:.8g}%"


def _within(part: Preview, whole: Preview) -> tuple[float, float, float, float]:
    """Return west, north, east and south of a part, as parts of the whole picture's width and height."""
    (south, west), (north, east) = whole.bounds
    (low, left), (high, right) = part.bounds
    if whole.is_georeferenced:
        south, north, low, high = (math.asinh(math.tan(math.radians(v))) for v in (south, north, low, high))
    wide, tall = east - west, north - south
    return (left - west) / wide, (north - high) / tall, (right - west) / wide, (north - low) / tall


def _holds(bounds: Bounds, latitude: float, longitude: float) -> bool:
    (south, west), (north, east) = bounds
    return south <= latitude <= north and west <= longitude <= east
