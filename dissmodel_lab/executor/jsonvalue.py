"""Any value a modeller puts into parameters or metrics <-> valid JSON that comes back meaning the same.

JSON has no NaN, no tuple, no array. Such values are written as an object with one key that starts
with ``$`` (``{"$float": "nan"}``), so every JSON reader can open the file and this module can
restore the value. Plain JSON values are written as they are. A value of an unknown type is written
as its text (``{"$repr": ...}``): a finished run is never lost because of one odd object.
"""

from __future__ import annotations

import base64
import datetime as dt
import enum
import math
import sys
from decimal import Decimal
from pathlib import Path, PurePath
from typing import Any
from uuid import UUID

_TAG = "$"


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
    if isinstance(value, enum.Enum):
        return encode(value.value)
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _encode_float(float(value))
    if isinstance(value, dict):
        return _encode_dict(value)
    if isinstance(value, list):
        return [encode(item) for item in value]
    return _encode_other(value)


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
                except (TypeError, ValueError, KeyError, ArithmeticError):
                    return value  # another program's "$": kept as it is, never a reason to lose the record
        return {key: decode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [decode(item) for item in value]
    return value


def _encode_float(value: float) -> Any:
    return value if math.isfinite(value) else {"$float": repr(value)}


def _encode_dict(value: dict[Any, Any]) -> Any:
    plain = all(isinstance(key, str) for key in value)
    looks_tagged = len(value) == 1 and plain and next(iter(value)).startswith(_TAG)
    if plain and not looks_tagged:
        return {str(key): encode(item) for key, item in value.items()}
    return {"$dict": [[encode(key), encode(item)] for key, item in value.items()]}


def _encode_other(value: Any) -> Any:
    for kind, tag, write in _WRITERS:
        if isinstance(value, kind):
            return {tag: write(value)}
    numpy = sys.modules.get("numpy")  # a numpy value can only exist once numpy is imported
    if numpy is not None:
        if isinstance(value, numpy.generic):
            return encode(value.item())
        if isinstance(value, numpy.ndarray):
            array = {
                "dtype": str(value.dtype),
                "shape": list(value.shape),
                "data": encode(value.ravel().tolist()),
            }
            return {"$ndarray": array}
    if hasattr(type(value), "model_dump"):  # a pydantic model
        return encode(value.model_dump())
    return {"$repr": f"{type(value).__module__}.{type(value).__qualname__}: {value!r:.500}"}


def _set_items(value: Any) -> list[Any]:
    # Sorted by their text, so that the same set is always written as the same bytes.
    return sorted((encode(item) for item in value), key=repr)


_WRITERS: tuple[tuple[type | tuple[type, ...], str, Any], ...] = (
    (tuple, "$tuple", lambda v: [encode(item) for item in v]),
    (frozenset, "$frozenset", _set_items),
    (set, "$set", _set_items),
    (PurePath, "$path", str),
    (dt.datetime, "$datetime", lambda v: v.isoformat()),
    (dt.date, "$date", lambda v: v.isoformat()),
    (dt.time, "$time", lambda v: v.isoformat()),
    (dt.timedelta, "$seconds", lambda v: v.total_seconds()),
    ((bytes, bytearray), "$bytes", lambda v: base64.b64encode(v).decode("ascii")),
    (complex, "$complex", lambda v: [encode(v.real), encode(v.imag)]),
    (Decimal, "$decimal", str),
    (UUID, "$uuid", str),
)


def _read_array(value: dict[str, Any]) -> Any:
    import numpy as np  # noqa: PLC0415 -- loaded only when a record really holds an array

    return np.array(decode(value["data"]), dtype=value["dtype"]).reshape(value["shape"])


def _items(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, got {type(value).__name__}")
    return [decode(item) for item in value]


_READERS: dict[str, Any] = {
    "$float": float,
    "$tuple": lambda v: tuple(_items(v)),
    "$set": lambda v: set(_items(v)),
    "$frozenset": lambda v: frozenset(_items(v)),
    "$dict": lambda v: {decode(key): decode(item) for key, item in v},
    "$path": Path,
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
