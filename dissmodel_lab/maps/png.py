"""Palette indices -> PNG bytes.

A writer of its own because it chooses the row filter that packs colour indices best, which the usual
encoders don't try for paletted pictures. Format: W3C, Portable Network Graphics (PNG) Specification,
Third Edition, sections 9 (filtering) and 11 (chunks).
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
FILTER_NONE, FILTER_SUB, FILTER_UP = 0, 1, 2
#: Above this many pixels a fast compression is worth more than a small picture.
MANY_PIXELS = 640 * 640


def encode(index: NDArray[np.uint8], colours: Sequence[str], *, level: int | None = None) -> bytes:
    """
    Write a paletted PNG in which index 0 is transparent.

    Parameters
    ----------
    index : ndarray of uint8
        (height, width); 0 is transparent, i is ``colours[i - 1]``.
    colours : sequence of str
        ``#rrggbb``, at most 255.
    level : int, optional
        zlib's level, 1 (fast) to 9 (small); by size when not given.

    Examples
    --------
    >>> encode(np.array([[0, 1]], "uint8"), ["#ff0000"])[1:4]
    b'PNG'
    """
    height, width = index.shape
    if level is None:
        level = 1 if index.size > MANY_PIXELS else 6
    palette = b"\0\0\0" + b"".join(bytes.fromhex(colour[1:]) for colour in colours)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    return b"".join(
        (
            SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", palette),
            _chunk(b"tRNS", b"\0"),  # alpha of index 0; the others are opaque
            _chunk(b"IDAT", _smallest(index, level)),
            _chunk(b"IEND", b""),
        )
    )


def _smallest(index: NDArray[np.uint8], level: int) -> bytes:
    plain = _filtered(FILTER_NONE, index)
    if level == 1:
        return zlib.compress(plain, level)
    zero_column, zero_row = np.zeros((len(index), 1), np.uint8), np.zeros((1, index.shape[1]), np.uint8)
    candidates = (
        plain,
        _filtered(FILTER_SUB, np.diff(index, axis=1, prepend=zero_column)),
        _filtered(FILTER_UP, np.diff(index, axis=0, prepend=zero_row)),
    )
    return min((zlib.compress(data, level) for data in candidates), key=len)


def _filtered(kind: int, rows: NDArray[np.uint8]) -> bytes:
    out = np.empty((rows.shape[0], rows.shape[1] + 1), np.uint8)
    out[:, 0] = kind
    out[:, 1:] = rows
    return out.tobytes()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
