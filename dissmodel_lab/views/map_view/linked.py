"""Two maps that show the same place: where one is moved, the other one follows.

Linked in the kernel, not in the page: the page's own links let a map that is still on its way pull back the
one that a person is moving. While the kernel is busy the maps are moved one by one; they meet afterwards.
"""

from __future__ import annotations

from collections import deque
from typing import Any

#: What a map reports may be rounded to its pixels: that is no move [CSS pixels].
ROUNDING = 1.5
#: Reports of so many moves that were made here may still be on their way.
REMEMBERED = 12
#: Size of the world at zoom 0 of a web map [pixels].
TILE = 256


_Place = tuple[list[float], float]
"""Centre and zoom."""


class LinkedMaps:
    """
    Keep centre and zoom of two maps the same.

    Parameters
    ----------
    one, other : ipyleaflet.Map
        Of one kind of place. The second one is moved to the first one.

    Examples
    --------
    >>> import ipyleaflet
    >>> one, other = (ipyleaflet.Map(center=[0, 0], zoom=2, layers=[]) for _ in range(2))
    >>> links = LinkedMaps(one, other)
    >>> one.center = [10, 20]
    >>> other.center
    [10, 20]
    >>> links.close()
    >>> one.center = [0, 0]
    >>> other.center
    [10, 20]
    """

    def __init__(self, one: Any, other: Any) -> None:
        self._maps = (one, other)
        self._told: dict[int, deque[tuple[list[float], float]]] = {
            0: deque(maxlen=REMEMBERED),
            1: deque(maxlen=REMEMBERED),
        }
        self._is_telling = False
        self._tell(1)
        for one_map in self._maps:
            one_map.observe(self._follow, ["center", "zoom"])

    def close(self) -> None:
        """Let each map go its own way."""
        for one_map in self._maps:
            one_map.unobserve(self._follow, ["center", "zoom"])

    def _follow(self, change: Any) -> None:
        if self._is_telling:
            return
        moved = self._maps.index(change["owner"])
        mine = self._maps[moved]
        if not any(_is_near(mine, *told) for told in self._told[moved]):
            self._tell(1 - moved)

    def _tell(self, target: int) -> None:
        source, followed = self._maps[1 - target], self._maps[target]
        centre, zoom = list(source.center), source.zoom
        if _is_near(followed, centre, zoom):
            return
        self._told[target].append((centre, zoom))
        self._told[1 - target].clear()  # the person moves that one: whatever it reports is a wish
        self._is_telling = True
        try:
            with followed.hold_sync():
                followed.center, followed.zoom = centre, zoom
        finally:
            self._is_telling = False


def _is_near(shown: Any, centre: list[float], zoom: float) -> bool:
    """Whether a map shows a place, to the rounding of its pixels."""
    if abs(shown.zoom - zoom) > 1e-6:  # noqa: PLR2004 -- rounding
        return False
    per_unit = 2.0**zoom * (1.0 if shown.crs.get("name") == "Simple" else TILE / 360)
    return all(abs(a - b) * per_unit <= ROUNDING for a, b in zip(shown.center, centre, strict=True))
