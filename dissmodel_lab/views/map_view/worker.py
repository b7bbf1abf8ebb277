"""Work that a person's moves ask for, done beside the kernel's own thread: the newest wish wins, none is queued.

A drag of the map or of a slider reports many places; only the last one is worth a picture. The kernel's own
thread stays free, so that clicks and other cells are answered meanwhile.
"""

from __future__ import annotations

import contextvars
import math
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Work begins when nothing has been asked for this long [s].
SETTLE = 0.15
#: However much is asked, work begins after this time [s].
PATIENCE = 1.0
#: Shortest time between the beginnings of two works: four pictures a second [s].
INTERVAL = 0.25


class NewestWins:
    """
    Does one piece of work at a time, for the newest wish.

    The thread lives only while there is something to do: a notebook with many maps has no idle threads.

    Parameters
    ----------
    work : callable
        Reads what is wished now, and does it. It must not raise.
    interval : float, optional
        Shortest time between two beginnings [s].

    Examples
    --------
    >>> done = []
    >>> worker = NewestWins(lambda: done.append(1))
    >>> for _ in range(100):
    ...     worker.ask(0.01)
    >>> worker.wait(5)
    True
    >>> len(done) < 5
    True
    """

    def __init__(self, work: Callable[[], None], interval: float = INTERVAL) -> None:
        self._work = work
        self._interval = interval
        self._changed = threading.Condition()
        self._asked = 0
        self._first, self._due, self._begun = 0.0, 0.0, -math.inf
        self._thread: threading.Thread | None = None
        # A plain thread of ipykernel 7.0 may not touch widgets; one that carries the cell's context may.
        self._context = contextvars.copy_context()

    def ask(self, settle: float = SETTLE) -> None:
        """
        Wish for the work to be done with what is wished now.

        Parameters
        ----------
        settle : float, optional
            How long nothing more must be asked before the work begins [s].
        """
        with self._changed:
            now = time.monotonic()
            if not self._due:
                self._first = now
            self._asked += 1
            self._due = min(now + settle, self._first + PATIENCE)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._context.copy().run, args=(self._run,), daemon=True, name="dissmodel_lab map"
                )
                self._thread.start()
            self._changed.notify_all()

    @property
    def is_asked_again(self) -> bool:
        """Whether something newer is wished than what is being worked on: long work may stop."""
        return self._due > 0

    def wait(self, timeout: float | None = None) -> bool:
        """
        Wait until all that was asked is done.

        Parameters
        ----------
        timeout : float, optional
            At most so long [s].

        Returns
        -------
        bool
            False when there is still work.
        """
        with self._changed:
            return self._changed.wait_for(lambda: self._thread is None, timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._due:
                    self._thread = None
                    self._changed.notify_all()
                    return
                while (wait := max(self._due, self._begun + self._interval) - time.monotonic()) > 0:
                    self._changed.wait(wait)
                self._due = 0.0
            self._begun = time.monotonic()
            self._work()
