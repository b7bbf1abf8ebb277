"""Seeded damage to the bytes of a file: what transfers, disks, bugs and enemies do."""

# ruff: noqa: E501 -- inputs read better in one line

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

#: Numbers at which readers break: edges of the types, signs, sizes that overflow when they are multiplied.
EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40)
#: Pieces that mean something to some reader.
DICTIONARY = (
    b"II*\0", b"MM\0+", b"PK\x03\x04", b"PK\x05\x06", b"\x89PNG", b"SQLite format 3\0", b"\x89HDF", b"CDF\x01", b"PAR1",
    b"fgb\x03fgb\0", b"<VRTDataset>", b"<OGRVRTDataSource>", b"<GDAL_WMS>", b"/vsicurl/http://127.0.0.1:9/x",
    b"/etc/passwd", b"../../..", b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>", b"&b;", b"NaN", b"-Infinity",
    b"1e999", b"null", b"[" * 64, b"{" * 64, b'"crs"', b"\0" * 16, b"\xff" * 16, b"%s%n", b"\xf0\x9f\x92\xa5", b"\r\n\0",
    b"CREATE VIEW", b"WITH RECURSIVE", b"nan", b"18446744073709551616", b"-9223372036854775808", b"0x7fffffff",
)  # fmt: skip


def mutate(data: bytes, random: random.Random) -> bytes:
    """Damage bytes in one to four ways; the same random state gives the same damage."""
    for _ in range(random.choice((1, 1, 1, 2, 3, 4))):
        data = random.choice(WAYS)(data, random)
    return data


def _place(data: bytes, random: random.Random) -> int:
    # half of the places lie in the first bytes: headers are where readers believe what they read
    return random.randrange(min(len(data), 512) if random.random() < 0.5 else len(data)) if data else 0


def _bits(data: bytes, random: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 4, 16, 64))):
        if changed:
            changed[_place(data, random)] ^= 1 << random.randrange(8)
    return bytes(changed)


def _cut(data: bytes, random: random.Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _without(data: bytes, random: random.Random) -> bytes:
    start = _place(data, random)
    return data[:start] + data[start + random.randrange(1, 65) :]


def _twice(data: bytes, random: random.Random) -> bytes:
    start, at = _place(data, random), _place(data, random)
    return data[:at] + data[start : start + random.randrange(1, 257)] + data[at:]


def _number(data: bytes, random: random.Random) -> bytes:
    order, (code, size) = random.choice("<>"), random.choice((("B", 1), ("H", 2), ("I", 4), ("Q", 8)))
    at = _place(data, random)
    value = random.choice((*EDGES, random.getrandbits(8 * size))) & ((1 << 8 * size) - 1)
    return data[:at] + struct.pack(order + code, value) + data[at + size :]


def _word(data: bytes, random: random.Random) -> bytes:
    at, word = _place(data, random), random.choice(DICTIONARY)
    return data[:at] + word + data[at + (len(word) if random.random() < 0.5 else 0) :]


def _digits(data: bytes, random: random.Random) -> bytes:
    """Change a number that is written as text."""
    places = [i for i in range(len(data)) if 48 <= data[i] <= 57] if len(data) < 100_000 else []
    if not places:
        return _bits(data, random)
    at = random.choice(places)
    value = random.choice((b"0", b"-1", b"2147483648", b"1e308", b"-1e999", b"nan", b"99999999999999999999", b"."))
    return data[:at] + value + data[at + 1 :]


def _noise(data: bytes, random: random.Random) -> bytes:
    at = _place(data, random)
    return data[:at] + random.randbytes(random.randrange(1, 129)) + data[at + random.randrange(129) :]


WAYS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _bits, _bits, _cut, _without, _twice, _number, _number, _number, _word, _digits, _noise,
)  # fmt: skip
