"""What ``load`` returned, kept in a worker for the next run with the same input.

A sweep of ten thousand runs reads one and the same file ten thousand times. Here the first load of each kind is
watched: what of the record it read, which parameters, which files, what it changed. Where all of that is
understood, what it returned is kept, and the next run whose every such value is the same gets an exact copy. Where
anything is not understood, nothing is kept, and each run loads as it always did.
"""

from __future__ import annotations

from dissmodel_lab.load_cache.cache import LoadCache, LoadSession

__all__ = ["LoadCache", "LoadSession"]
