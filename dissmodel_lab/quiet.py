"""Silence a library's warning, in any number of threads.

``warnings.catch_warnings`` puts back the filters of the thread that leaves last, whosever they are: a map
that is drawn while a model writes would bring a warning back, or silence it for good.
"""

from __future__ import annotations

import re
import threading
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK = threading.Lock()
#: How many threads are inside, for each filter that stands because of us.
_inside: dict[tuple[Any, ...], int] = {}
#: Where somebody else's filter of the same words stood before it was brought to the front.
_places: dict[tuple[Any, ...], int] = {}


@contextmanager
def quiet_about(category: type[Warning], message: str = "") -> Iterator[None]:
    """
    Ignore a category of warnings while at least one thread is inside.

    Parameters
    ----------
    category : type
        Of the warnings.
    message : str, optional
        A pattern that their text begins with; any text when not given.

    Examples
    --------
    >>> import warnings
    >>> with quiet_about(FutureWarning):
    ...     warnings.warn("not now", FutureWarning)
    """
    rule = ("ignore", re.compile(message, re.IGNORECASE) if message else None, category, None, 0)
    with _LOCK:
        if rule not in _inside and rule in warnings.filters:
            _places[rule] = warnings.filters.index(rule)
        _inside[rule] = _inside.get(rule, 0) + 1
        if tuple(warnings.filters[:1]) != (rule,):  # behind another one it may not be asked
            warnings.filterwarnings("ignore", message, category)
    try:
        yield
    finally:
        with _LOCK:
            _inside[rule] -= 1
            if not _inside[rule]:
                del _inside[rule]
                _put_back(rule, _places.pop(rule, None))


def _put_back(rule: tuple[Any, ...], place: int | None) -> None:
    """Take our filter away; one that was there before goes back to where it was."""
    filters: list[Any] = warnings.filters  # type: ignore[assignment]  # typeshed has a Sequence
    with suppress(ValueError):  # somebody has set all filters anew meanwhile
        filters.remove(rule)
        if place is not None:
            filters.insert(place, rule)
