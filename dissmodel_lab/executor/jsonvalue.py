"""Any value a modeller puts into parameters or metrics <-> valid JSON that comes back meaning the same.

JSON has no NaN, no tuple, no array. Such values are written as an object with one key that starts
with ``$`` (``{"$float": "nan"}``), so every JSON reader can open the file and this module can
restore the value. Plain JSON values are written as they are. A value of an unknown type is written
as its text (``{"$repr": ...}``), and so is what is nested too deeply: a finished run is never lost
because of one odd object.
"""

from __future__ import annotations

import ast
import base64
import datetime as dt
import enum
import json
import math
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path, PurePath
from typing import Any
from uuid import UUID

_TAG = "$"
_MAX_DEPTH = 50
"""Containers in containers; one takes up to three levels of JSON, and pydantic's reader gives up at 200."""
_MAX_BITS = 4096
"""Longer whole numbers are refused by many JSON readers."""
_CONTAINERS = (dict, list)
"""Of JSON; as a tuple, because ``dict | list`` is made anew for each value."""
_LARGEST_NUMBER = 32
"""Longest number of numpy [bytes]; what is longer is a text or a table, of any length that a record names."""
_ROOM, _PER_SIGN = 4096, 64
"""How many bytes an array of texts or of tables may take: some, and more for each sign of its data in JSON."""


def encode(value: Any) -> Any:
    """
    Turn a value into what :func:`json.dumps` accepts with ``allow_nan=False``.

    Parameters
    ----------
    value : object
        Anything; containers are walked.

    Returns
    -------
    object
        dict, list, str, int, float, bool or None.

    Examples
    --------
    >>> encode({"rate": float("nan"), "years": (2020, 2030), "name": "a"})
    {'rate': {'$float': 'nan'}, 'years': {'$tuple': [2020, 2030]}, 'name': 'a'}
    """
    return _encode(value, ())


def decode(value: Any) -> Any:
    """
    Restore what :func:`encode` wrote; anything else comes back as it is.

    Examples
    --------
    >>> decode(encode({"a": {1, 2}, 3: (float("inf"), None)}))
    {'a': {1, 2}, 3: (inf, None)}
    """
    if isinstance(value, dict):
        if len(value) == 1:
            key, inner = next(iter(value.items()))
            reader = _READERS.get(key) if isinstance(key, str) else None
            if reader is not None:
                try:
                    return reader(inner)
                except Exception:  # noqa: BLE001 -- another program's "$": kept as it is, no reason to lose the record
                    return value
        return {key: decode(item) if isinstance(item, _CONTAINERS) else item for key, item in value.items()}
    if isinstance(value, list):
        return [decode(item) if isinstance(item, _CONTAINERS) else item for item in value]
    return value


def _encode(value: Any, path: tuple[int, ...]) -> Any:
    if isinstance(value, enum.Enum):
        return _encode(value.value, path)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value if _is_text(value) else {"$escaped": value.encode("unicode_escape").decode("ascii")}
    if isinstance(value, int):
        return int(value) if value.bit_length() <= _MAX_BITS else {"$int": hex(value)}
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
    if len(path) >= _MAX_DEPTH or id(value) in path:  # a container may hold itself
        return _text_of(value)
    path = (*path, id(value))
    if isinstance(value, Mapping):
        return _encode_dict(value, path)
    if isinstance(value, list):
        return [_encode(item, path) for item in value]
    try:
        return _encode_other(value, path)
    except Exception:  # noqa: BLE001 -- an odd object's own complaint must not lose the record
        return _text_of(value)


def _is_text(text: str) -> bool:
    # File names that are not UTF-8 hold lone surrogates, which JSON cannot.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _encode_dict(value: Mapping[Any, Any], path: tuple[int, ...]) -> Any:
    plain = all(isinstance(key, str) and _is_text(key) for key in value)
    looks_tagged = len(value) == 1 and plain and next(iter(value)).startswith(_TAG)
    if plain and not looks_tagged:
        return {str(key): _encode(item, path) for key, item in value.items()}
    return {"$dict": [[_encode(key, path), _encode(item, path)] for key, item in value.items()]}


def _encode_other(value: Any, path: tuple[int, ...]) -> Any:
    for kind, tag, write in _WRITERS:
        if isinstance(value, kind):
            return {tag: write(value)}
    for kind, tag in _SEQUENCES:
        if isinstance(value, kind):
            items = [_encode(item, path) for item in value]
            # Sets are sorted by their text, so that the same set is always written as the same bytes.
            return {tag: items if kind is tuple else sorted(items, key=repr)}
    numpy = sys.modules.get("numpy")  # a numpy value can only exist once numpy is imported
    if numpy is not None and isinstance(value, numpy.generic | numpy.ndarray):
        return _encode_numpy(numpy, value, path)
    if hasattr(type(value), "model_dump"):  # a pydantic model
        return _encode(value.model_dump(), path)
    return _text_of(value)


def _encode_numpy(numpy: Any, value: Any, path: tuple[int, ...]) -> Any:
    if isinstance(value, numpy.longdouble | numpy.clongdouble):  # their item() is a numpy value again
        return _encode(complex(value) if value.dtype.kind == "c" else float(value), path)
    if isinstance(value, numpy.generic) and value.dtype.kind not in "mM":
        return _encode(value.item(), path)
    flat = numpy.ma.getdata(value).ravel()
    if value.dtype.kind in "mM":
        flat = flat.astype("int64")  # tolist() would lose the unit, or what is finer than a microsecond
    elif value.dtype.char in "gG":
        flat = flat.astype("complex128" if value.dtype.kind == "c" else "float64")
    array = {
        "dtype": str(value.dtype),
        "shape": list(value.shape),
        "data": _encode(flat.tolist(), path),
    }
    if isinstance(value, numpy.generic):
        array["scalar"] = True
    if isinstance(value, numpy.ma.MaskedArray):
        array["mask"] = numpy.ma.getmaskarray(value).ravel().tolist()
    return {"$ndarray": array}


def _text_of(value: Any) -> dict[str, str]:
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    try:
        text = f"{kind}: {value!r:.500}"
    except Exception:  # noqa: BLE001 -- repr() is the object's own code
        text = kind
    return {"$repr": text.encode("utf-8", "backslashreplace").decode()}


_WRITERS: tuple[tuple[type | tuple[type, ...], str, Any], ...] = (
    (PurePath, "$path", lambda v: encode(str(v))),
    (dt.datetime, "$datetime", lambda v: v.isoformat()),
    (dt.date, "$date", lambda v: v.isoformat()),
    (dt.time, "$time", lambda v: v.isoformat()),
    (dt.timedelta, "$seconds", lambda v: v.total_seconds()),
    ((bytes, bytearray), "$bytes", lambda v: base64.b64encode(v).decode("ascii")),
    (complex, "$complex", lambda v: [encode(v.real), encode(v.imag)]),
    (Decimal, "$decimal", str),
    (UUID, "$uuid", str),
)
_SEQUENCES: tuple[tuple[type[Any], str], ...] = ((tuple, "$tuple"), (frozenset, "$frozenset"), (set, "$set"))


def _read_array(value: dict[str, Any]) -> Any:
    import numpy as np  # noqa: PLC0415 -- loaded only when a record really holds an array

    name, items, shape = value["dtype"], decode(value["data"]), value["shape"]
    dtype = np.dtype(ast.literal_eval(name) if name.startswith(("[", "{")) else name)
    if dtype.itemsize > _LARGEST_NUMBER:
        dtype = _affordable(dtype, items, _ROOM + _PER_SIGN * len(json.dumps(value["data"])))
    if dtype.hasobject:
        array = np.empty(len(items), dtype)
        for index, item in enumerate(items):  # np.array would make lists of equal length a dimension
            array[index] = item
    else:
        array = np.array(items, dtype)
    array = array.reshape(shape)
    if "mask" in value:
        return np.ma.MaskedArray(array, np.array(value["mask"], dtype=bool).reshape(shape))
    return array[()] if "scalar" in value else array


def _affordable(dtype: Any, items: list[Any], limit: int) -> Any:
    """Refuse a dtype that asks for more bytes than its data could fill; texts get the length that they need."""
    import numpy as np  # noqa: PLC0415 -- loaded already

    if dtype.itemsize * max(len(items), 1) <= limit:
        return dtype
    if dtype.kind in "SU":
        longest = max((len(item) for item in items), default=0) or 1
        shorter = np.dtype(f"{dtype.kind}{longest}")
        if shorter.itemsize * len(items) <= limit:
            return shorter
    raise ValueError(f"{dtype!s:.80} asks for more memory than its data could fill")


def _items(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, got {type(value).__name__}")
    return [decode(item) for item in value]


_READERS: dict[str, Any] = {
    "$float": float,
    "$int": lambda v: int(v, 16),
    "$escaped": lambda v: v.encode("ascii").decode("unicode_escape"),
    "$tuple": lambda v: tuple(_items(v)),
    "$set": lambda v: set(_items(v)),
    "$frozenset": lambda v: frozenset(_items(v)),
    "$dict": lambda v: {decode(key): decode(item) for key, item in v},
    "$path": lambda v: Path(decode(v)),
    "$datetime": dt.datetime.fromisoformat,
    "$date": dt.date.fromisoformat,
    "$time": dt.time.fromisoformat,
    "$seconds": lambda v: dt.timedelta(seconds=v),
    "$bytes": lambda v: base64.b64decode(v, validate=True),
    "$complex": lambda v: complex(*_items(v)),
    "$decimal": Decimal,
    "$uuid": UUID,
    "$ndarray": _read_array,
}
