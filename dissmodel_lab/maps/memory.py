"""What was worked out from files, kept as long as they don't change and there is room.

Kept for the process, because the same file is asked for by callers that know nothing of each other: a run's
panel, its record, a map to explore.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from pathlib import Path

#: How much is kept [bytes].
LIMIT_BYTES = 96 << 20
#: A file that changed less than this before could change again without another time stamp [s].
SETTLED = 0.1


class Memory:
    """
    Things by key; the least recently used ones go when there are too many bytes of them. For any thread.

    Parameters
    ----------
    limit_bytes : int
        How much is kept [bytes]; a thing larger than a quarter of it isn't.

    Examples
    --------
    >>> memory = Memory(1000)
    >>> for number in range(9):
    ...     memory.keep(number, f"thing {number}", 200)
    >>> memory.get(8), memory.get(0)
    ('thing 8', None)
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit, self._bytes = limit_bytes, 0
        self._things: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Any:
        """Return what was kept, or None."""
        with self._lock:
            if key not in self._things:
                return None
            self._things.move_to_end(key)
            return self._things[key][0]

    def keep(self, key: Hashable, thing: Any, size: int) -> None:
        """Keep something of so many bytes."""
        if size > self._limit / 4:
            return
        with self._lock:
            _, before = self._things.pop(key, (None, 0))
            self._things[key] = thing, size
            self._bytes += size - before
            while self._bytes > self._limit:
                _, (_, freed) = self._things.popitem(last=False)
                self._bytes -= freed

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._things.clear()
            self._bytes = 0

    @property
    def size(self) -> int:
        """How much is kept [bytes]."""
        return self._bytes


#: Grids, placements and pictures.
pictures = Memory(LIMIT_BYTES)


def signature(files: Sequence[Path]) -> tuple[Any, ...] | None:
    """
    Return what changes when one of the files does; None when that can't be told.

    Parameters
    ----------
    files : sequence of Path
        None of them a folder: its time says nothing of what lies deeper.

    Examples
    --------
    >>> from pathlib import Path
    >>> signature([]), signature([Path("nowhere.tif")])
    (None, None)
    """
    found: list[Any] = []
    for file in files:
        try:
            stat = file.stat()
        except (OSError, ValueError):
            return None
        if not file.is_file() or time.time() - max(stat.st_mtime, stat.st_ctime) < SETTLED:
            return None
        found.append(
            (str(file.absolute()), stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        )
    return tuple(found) or None
