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
        is_ours = rule in _inside or rule not in warnings.filters
        if is_ours:
            _inside[rule] = _inside.get(rule, 0) + 1
        if rule not in warnings.filters:
            warnings.filterwarnings("ignore", message, category)
    try:
        yield
    finally:
        with _LOCK:
            if is_ours:
                _inside[rule] -= 1
                if not _inside[rule]:
                    del _inside[rule]
                    with suppress(ValueError):  # somebody has set all filters anew meanwhile
                        warnings.filters.remove(rule)  # type: ignore[attr-defined]  # typeshed has a Sequence
