"""Runs that have just ended, on their way into the index: several in one transaction, a moment later.

A transaction for each would cost a short run a tenth of its time. Nothing depends on it: whoever asks this process's
index brings in what waits first, another process finds the records by itself, and so does everybody after a kill.
"""

from __future__ import annotations

import atexit
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dissmodel_lab.index.rows import ROOT, Found, write_rows
from dissmodel_lab.index.tables import NOT_USABLE, database, is_open, key_of

if TYPE_CHECKING:
    from collections.abc import Callable

DELAY = 0.2
"""How long an arrival waits for others at most [s]."""
_MOST = 256
"""So many are brought in at once, by whoever adds the last of them."""


class _Arrival(NamedTuple):
    """A run that has ended."""

    place: bytes
    look: Callable[[], Found]
    """Says what its record holds."""


class _Waiting:
    """What waits in this process, by store."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.arrivals: dict[str, list[_Arrival]] = {}
        self.has_thread = False


_waiting = [_Waiting()]


def _after_fork() -> None:
    _waiting[0] = _Waiting()  # the parent's are the parent's, and its thread is not here


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def add(root: Path, place: bytes, look: Callable[[], Found]) -> None:
    """
    Let a run wait for the index.

    Parameters
    ----------
    root : Path
        The store's folder.
    place : bytes
        Path of the record in it.
    look : callable
        Returns what the record holds.
    """
    waiting = _waiting[0]
    with waiting.lock:
        arrivals = waiting.arrivals.setdefault(key_of(root), [])
        arrivals.append(_Arrival(place, look))
        n_waiting = len(arrivals)
        is_first, waiting.has_thread = not waiting.has_thread, True
    if is_first:
        threading.Thread(
            target=_bring_in_later, args=(waiting,), name="runs on their way to the index", daemon=True
        ).start()
    # A store that has no index open yet gets it now: its folder may be removed at any later time.
    if n_waiting >= _MOST or not is_open(root):
        bring_in(root)


def bring_in(root: Path) -> None:
    """
    Write the arrivals of one store into its index.

    Parameters
    ----------
    root : Path
        The store's folder.
    """
    waiting = _waiting[0]
    with waiting.lock:
        arrivals = waiting.arrivals.pop(key_of(root), None)
    if not arrivals:
        return
    try:
        with database(root) as opened, opened.writing():
            write_rows(opened, [(ROOT, arrival.place, arrival.look()) for arrival in arrivals])
    except (*NOT_USABLE, OSError):
        return  # the next listing finds the records by itself: the index is only a cache


def _bring_in_later(waiting: _Waiting) -> None:
    pause = threading.Event()
    while True:
        pause.wait(DELAY)
        with waiting.lock:
            roots = list(waiting.arrivals)
            waiting.has_thread = bool(roots)
        if not roots:
            return
        _bring_in_all(roots)


def _bring_in_all(roots: list[str]) -> None:
    for root in roots:
        if is_open(Path(root)):
            bring_in(Path(root))
        else:  # it was removed meanwhile: it is not made anew
            with _waiting[0].lock:
                _waiting[0].arrivals.pop(root, None)


@atexit.register
def _bring_in_last() -> None:
    _bring_in_all(list(_waiting[0].arrivals))
