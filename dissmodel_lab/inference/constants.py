"""Literals and constants: what can be told of them without running anything."""

from __future__ import annotations

import copy
import types
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from dissmodel_lab.inference.parameter import NO_DEFAULT
from dissmodel_lab.inference.symbols import Arguments, Known, Object

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX_ITEMS = 64
"""Loops over longer constants are not followed item by item."""
_MAX_PLAIN = 2000
"""Largest constant that is kept as a default [items]."""


def is_plain(value: Any) -> bool:
    """Tell whether a value is made of numbers, texts, lists and tables alone, and not too large."""
    left = [value]
    seen = 0
    while left:
        item = left.pop()
        seen += 1
        if seen > _MAX_PLAIN:
            return False
        if type(item) in (list, tuple, set, frozenset):
            left += item
        elif type(item) is dict:
            left += [*item, *item.values()]
        elif not (item is None or type(item) in (bool, int, float, str)):
            return False
    return True


def kind_of(value: Any) -> type[Any] | None:
    """Return the type of a default; None when it tells nothing."""
    return None if value is None or value is NO_DEFAULT else type(value)


def cast_of(called: Any) -> type[Any] | None:
    """Return the kind of value that a call of this makes."""
    if not isinstance(called, type):
        return None
    if issubclass(called, PurePath):
        return str
    kinds = {bool: bool, int: int, float: float, str: str, dict: dict, list: list, tuple: list, set: list}
    return next((kind for cast, kind in kinds.items() if issubclass(called, cast)), None)


def constant(found: Any) -> Any:
    """Return what an object of a module or class stands for."""
    if found is None:
        return None
    if is_plain(found):
        return Known(copy.deepcopy(found))
    return Object(found) if isinstance(found, types.ModuleType) or callable(found) else None


def of_constant(constant: Any, method: str, values: Arguments) -> Any:
    """Call a method that only looks at a constant table."""
    if not isinstance(constant, dict) or method not in ("items", "keys", "values", "copy", "get"):
        return None
    if method == "get":
        keys = [value.value for value in values.positional if isinstance(value, Known)]
        is_spelt = len(keys) == len(values.positional) > 0 and is_hashable(keys[0])
        return Known(constant.get(*keys[:2])) if is_spelt else None
    return Known(constant if method == "copy" else list(getattr(constant, method)()))


def listing(names: Sequence[str]) -> str:
    """
    List names as a sentence does.

    Examples
    --------
    >>> listing(["load", "run", "save"])
    'load, run and save'
    """
    unique = list(dict.fromkeys(names))
    return " and ".join([", ".join(unique[:-1]), unique[-1]] if len(unique) > 1 else unique)


def is_hashable(value: Any) -> bool:
    """Tell whether a value can be a key."""
    try:
        hash(value)
    except TypeError:
        return False
    return True


def is_sized(value: Any) -> bool:
    """Tell whether a value is a collection."""
    return isinstance(value, list | tuple | set | frozenset | dict)


def strings(value: Any) -> list[str]:
    """Return the texts in a collection, sorted."""
    return sorted(name for name in value if isinstance(name, str)) if is_sized(value) else []


def items_of(value: Any) -> list[Any] | None:
    """Return the items of a constant that a loop can be followed over; None when they are not known."""
    if not isinstance(value, Known) or not is_sized(value.value) or len(value.value) > _MAX_ITEMS:
        return None
    is_ordered = isinstance(value.value, list | tuple | dict)
    return [Known(item) for item in (value.value if is_ordered else sorted(value.value, key=repr))]
