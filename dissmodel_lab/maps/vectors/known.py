"""Tables in memory whose features have been looked at, as long as one of these tables is alive.

A model's input and output often share their geometries, and so do all columns of a table: where a million cells lie
takes most of a picture's time, and needs to be found once.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dissmodel_lab.maps.vectors.places import Places

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyproj import CRS

#: Smaller tables are looked at again in a moment [features].
FEWEST = 1_000
#: Tables that are kept.
MOST = 4
#: References are compared in pieces that stay in the processor's cache [features].
CHUNK = 8192


@dataclass(frozen=True, kw_only=True, eq=False)
class _Known:
    places: Places
    """Of geometries that it holds itself: no other one can come to lie at the address of one of them."""
    users: dict[int, weakref.ref[NDArray[Any]]] = field(default_factory=dict)
    """The tables' own arrays, not kept alive."""


class KnownTables:
    """
    The places of tables by their geometries; for any thread.

    A geometry can't be changed, but a table's array of them can: it counts as known when it holds the very same
    objects in the same order, which takes a hundredth of the time of reading their coordinates.

    Examples
    --------
    >>> import shapely
    >>> known, cells = KnownTables(), shapely.box(range(2000), 0, range(1, 2001), 1)
    >>> places = known.places_of(cells, None)
    >>> known.places_of(cells, None) is places, known.places_of(cells[1:], None) is places, len(known)
    (True, False, 1)
    >>> del cells
    >>> len(known)
    0
    """

    def __init__(self) -> None:
        # Without a lock, because a table may die at any moment, in any thread: each step below is one step of a dict.
        self._known: dict[int, _Known] = {}

    def __len__(self) -> int:
        return len(self._known)

    def places_of(self, geometry: NDArray[Any], crs: CRS | None) -> Places:
        """
        Return where the features of a table lie, worked out before or to be worked out.

        Parameters
        ----------
        geometry : ndarray of shapely geometries
            The table's own array: what is known is forgotten with it.
        crs : CRS or None
            The table's.
        """
        if len(geometry) < FEWEST:
            return Places(raw=geometry, crs=crs)
        for known in reversed(list(self._known.values())):
            if known.places.crs == crs and _are_same(known.places.raw, geometry):
                self._use(known, geometry)
                return known.places
        known = _Known(places=Places(raw=geometry.copy(), crs=crs))
        self._use(known, geometry)
        return known.places

    def _use(self, known: _Known, geometry: NDArray[Any]) -> None:
        """Let it live as long as an array, and be the last one to be pushed out."""
        key, user = id(known), id(geometry)

        def forget(_: weakref.ref[NDArray[Any]]) -> None:
            known.users.pop(user, None)
            if not known.users:
                self._known.pop(key, None)

        known.users[user] = weakref.ref(geometry, forget)
        self._known.pop(key, None)
        self._known[key] = known
        for other in list(self._known)[:-MOST]:
            pushed_out = self._known.pop(other, None)
            if pushed_out is not None:
                pushed_out.users.clear()  # each refers to it


def _are_same(some: Any, others: NDArray[Any]) -> bool:
    """Return whether two arrays hold the same objects: the bytes of such an array are its objects' addresses."""
    if len(some) != len(others):
        return False
    pieces = (slice(start, start + CHUNK) for start in range(0, len(some), CHUNK))
    return all(some[piece].tobytes() == others[piece].tobytes() for piece in pieces)


#: Of this process, because the same table is asked for by callers that know nothing of each other.
tables = KnownTables()
