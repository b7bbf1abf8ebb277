"""Geometries as they lie in a file (well-known binary), unpacked when somebody asks for them.

The cells of a grid are areas of five corners, each of them the same number of bytes: their corners are read where
they lie, which takes a thirtieth of making a geometry of each. Format: OGC 06-103r4, Simple Feature Access 1.2.1,
section 8 (well-known binary).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

#: Corners of a rectangle: the first one again.
RING = 5
#: A little-endian area of one ring with five corners in two dimensions, and one that is the only part of several.
AREA = b"\1\3\0\0\0\1\0\0\0\5\0\0\0"
AREAS = b"\1\6\0\0\0\1\0\0\0" + AREA
COORDINATES = RING * 2 * 8
"""[bytes]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Packed:
    """
    Areas of five corners.

    Examples
    --------
    >>> import pyarrow
    >>> cells = shapely.box([0, 1], 0, [1, 2], 1)
    >>> packed = unread(pyarrow.chunked_array([shapely.to_wkb(cells)]))
    >>> len(packed), packed.corners(1, 2)[0, 2].tolist(), (packed.shapes == cells).all()
    (2, [1.0, 1.0], np.True_)
    """

    column: Any
    """The pyarrow column of binaries."""
    records: Sequence[NDArray[np.uint8]]
    """(n, bytes of an area) for each of its chunks, where they lie."""

    def __len__(self) -> int:
        return sum(map(len, self.records))

    def corners(self, start: int, stop: int) -> NDArray[np.float64]:
        """Return x and y of the corners of some areas, (n, 5, 2)."""
        found, at = [], 0
        for records in self.records:
            low, high = max(start - at, 0), min(stop - at, len(records))
            if low < high:
                found.append(records[low:high, -COORDINATES:])
            at += len(records)
        together = np.concatenate(found) if found else np.empty((0, COORDINATES), np.uint8)
        return together.view("<f8").reshape(-1, RING, 2)

    @cached_property
    def shapes(self) -> NDArray[Any]:
        """(n,) shapely geometries."""
        return _made(self.column, "raise")


def unread(column: Any, on_invalid: str = "raise") -> NDArray[Any] | Packed:
    """
    Return the geometries of a column: packed when they are areas of five corners, else made.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Well-known binaries, or nothing where there is none.
    on_invalid : str, optional
        What to do with those that are no geometry, as :func:`shapely.from_wkb` takes it.

    Raises
    ------
    shapely.errors.ShapelyError
        When one is no geometry, unless they are to be ignored.
    """
    records = _records(column)
    return _made(column, on_invalid) if records is None else Packed(column=column, records=records)


def shapes_of(geometry: NDArray[Any] | Packed) -> NDArray[Any]:
    """Return (n,) shapely geometries."""
    return geometry.shapes if isinstance(geometry, Packed) else geometry


def _made(column: Any, on_invalid: str) -> NDArray[Any]:
    shapes: NDArray[Any] = shapely.from_wkb(column.to_numpy(), on_invalid=on_invalid)
    return shapely.force_2d(shapes) if shapely.has_z(shapes).any() else shapes


def _records(column: Any) -> list[NDArray[np.uint8]] | None:
    """Return the bytes of the areas where they lie; None when one of them is anything else."""
    found: list[NDArray[np.uint8]] = []
    head: NDArray[np.uint8] | None = None
    for chunk in column.chunks:
        if not len(chunk):
            continue
        number = {"binary": np.int32, "large_binary": np.int64}.get(str(chunk.type))
        if number is None or chunk.null_count:
            return None
        _, places, data = chunk.buffers()
        ends = np.frombuffer(places, number)[chunk.offset : chunk.offset + len(chunk) + 1]
        size = int(ends[1] - ends[0])
        if head is None:
            head = next((np.frombuffer(h, np.uint8) for h in (AREA, AREAS) if len(h) + COORDINATES == size), None)
        if head is None or (np.diff(ends) != len(head) + COORDINATES).any():
            return None
        records = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]].reshape(len(chunk), -1)
        first, last = records[:, len(head) : len(head) + 16], records[:, -16:]
        if (records[:, : len(head)] != head).any() or (first != last).any():
            return None
        found.append(records)
    return found or None
