"""Palette indices -> PNG bytes.

A writer of its own because it chooses the row filter that packs colour indices best, which the usual
encoders don't try for paletted pictures. Format: W3C, Portable Network Graphics (PNG) Specification,
Third Edition, sections 7.2 (pixels that share bytes), 9 (filtering) and 11 (chunks).
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
#: How much is looked at to tell noise from shapes: so many places of so many bytes.
LOOKS, LOOK_BYTES = 3, 1 << 14
#: Every so many rows, so many of them tell how many bytes all would be.
GUESS_EVERY, GUESS_ROWS = 128, 16
#: So much larger is as small, when it takes a third of the time.
SAME = 1.01


def encode(index: NDArray[np.uint8], colours: Sequence[str], *, level: int | None = None) -> bytes:
    """
    Write a paletted PNG in which index 0 is transparent; few colours share bytes.

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
    depth = next(bits for bits in (1, 2, 4, 8) if len(colours) < 2**bits)
    palette = b"\0\0\0" + b"".join(bytes.fromhex(colour[1:]) for colour in colours)
    header = struct.pack(">IIBBBBB", width, height, depth, 3, 0, 0, 0)
    return b"".join(
        (
            SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", palette),
            _chunk(b"tRNS", b"\0"),  # alpha of index 0; the others are opaque
            _chunk(b"IDAT", _compressed(_packed(index, depth), level)),
            _chunk(b"IEND", b""),
        )
    )


def guessed_bytes(index: NDArray[np.uint8], colours: Sequence[str]) -> float:
    """
    Guess how many bytes :func:`encode` would write at level 1, from a part of the rows; for shapes it is too many.

    Examples
    --------
    >>> noise = np.random.default_rng(1).integers(1, 200, (1024, 1024)).astype("uint8")
    >>> colours = ["#000000"] * 200
    >>> round(guessed_bytes(noise, colours) / len(encode(noise, colours)), 1)
    1.0
    """
    rows = (np.arange(len(index)) % GUESS_EVERY) < GUESS_ROWS
    part = index[rows]
    return len(encode(part, colours, level=1)) * len(index) / max(1, len(part))


def _packed(index: NDArray[np.uint8], depth: int) -> NDArray[np.uint8]:
    """Lay several pixels into each byte, the leftmost in the highest bits."""
    each = 8 // depth
    if each == 1:
        return index
    short = -index.shape[1] % each
    if short:
        index = np.pad(index, ((0, 0), (0, short)))
    packed = np.zeros((len(index), index.shape[1] // each), np.uint8)
    for place in range(each):
        packed |= index[:, place::each] << np.uint8(8 - depth * (place + 1))
    return packed


def _compressed(rows: NDArray[np.uint8], level: int) -> bytes:
    plain = _filtered(FILTER_NONE, rows)
    if level == 1:
        return _fast(plain)
    zero_column, zero_row = np.zeros((len(rows), 1), np.uint8), np.zeros((1, rows.shape[1]), np.uint8)
    candidates = (
        plain,
        _filtered(FILTER_SUB, np.diff(rows, axis=1, prepend=zero_column)),
        _filtered(FILTER_UP, np.diff(rows, axis=0, prepend=zero_row)),
    )
    return min((zlib.compress(data, level) for data in candidates), key=len)


def _fast(data: bytes) -> bytes:
    """Compress at level 1; noise, in which nothing repeats, in a third of the time without a search for repeats."""
    if len(data) > 4 * LOOKS * LOOK_BYTES:
        starts = (len(data) * place // (LOOKS + 1) for place in range(1, LOOKS + 1))
        parts = [data[start : start + LOOK_BYTES] for start in starts]
        found = sum(len(zlib.compress(part, 1)) for part in parts)
        if sum(len(_coded(part)) for part in parts) <= SAME * found:
            return _coded(data)
    return zlib.compress(data, 1)


def _coded(data: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_HUFFMAN_ONLY)
    return packer.compress(data) + packer.flush()


def _filtered(kind: int, rows: NDArray[np.uint8]) -> bytes:
    out = np.empty((rows.shape[0], rows.shape[1] + 1), np.uint8)
    out[:, 0] = kind
    out[:, 1:] = rows
    return out.tobytes()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
