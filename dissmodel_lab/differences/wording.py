"""How differences in structure are put into words; rasters and tables share it."""

from __future__ import annotations

from typing import Any

from dissmodel_lab.contents import crs_key
from dissmodel_lab.language import message

_LISTED = 6
"""How many names a sentence lists."""


def listed(names: Any) -> str:
    """
    Return names as a sentence lists them.

    Examples
    --------
    >>> listed("abcdefgh"), listed([])
    ('a, b, c, d, e, f and 2 more', 'none')
    """
    texts = [str(name) for name in names]
    more = message(" and {n_texts} more", n_texts=len(texts) - _LISTED) if len(texts) > _LISTED else ""
    return (", ".join(texts[:_LISTED]) + more) or "none"


def unequal(what: str, first: Any, second: Any) -> list[str]:
    """
    Return a sentence where two facts are not equal, else nothing.

    Examples
    --------
    >>> unequal("Rows", 3, 2), unequal("Rows", 3, 3)
    (['Rows: 3 in the first, 2 in the second.'], [])
    """
    return (
        []
        if first == second
        else [message("{what}: {first} in the first, {second} in the second.", what=what, first=first, second=second)]
    )


def unequal_crs(first: str | None, second: str | None) -> list[str]:
    """
    Return a sentence where two CRSs (WKT, or None) are not the same, else nothing.

    Examples
    --------
    >>> unequal_crs("EPSG:4326", None), unequal_crs("EPSG:4326", "OGC:CRS84")
    (['CRS: EPSG:4326 in the first, none in the second.'], [])
    """
    keys = [crs_key(first), crs_key(second)]
    if keys[0] == keys[1]:
        return []
    shown = [
        key if isinstance(key, str) else "none" if key is None else message("one without a code") for key in keys
    ]
    return unequal("CRS", *shown) or [message("CRS: two without a code that are not the same.")]
