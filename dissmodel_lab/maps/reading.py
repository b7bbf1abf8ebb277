"""Pixels of an open raster, decimated while they are read: each block inflated once, by two threads, within a time.

Nothing here decides what is shown: :mod:`.raster` does. Imported lazily: rasterio takes 0.2 s.
"""

from __future__ import annotations

import math
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.windows import Window as FileWindow

from dissmodel_lab.errors import LabError, SourceError
from dissmodel_lab.language import message
from dissmodel_lab.rasters import quiet_georeference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from dissmodel_lab.maps.area import Window

#: GDAL's block cache at least [bytes]. rasterio passes a number on as bytes; GDAL's default is 5 % of the memory.
CACHE_BYTES = 16 << 20
#: What one reading call inflates [bytes]: little enough to be cancelled at once, much enough to cost nothing.
JOB_BYTES = 6 << 20
#: Less than this is read in one go [bytes].
SMALL_BYTES = 24 << 20
#: A block larger than this can't be inflated within any bound of memory [bytes].
MAX_BLOCK_BYTES = 1 << 30
#: More threads than this don't help a decimated read.
MAX_THREADS = 2
#: How long a first picture may take [s]; when it would be twice as long, a coarser one is made instead.
SECONDS = 3.0
#: GDAL takes an overview that is so much coarser than the picture, but not more.
OVERVIEW_SLACK = 1.2
#: Nothing is said about the speed before so much time has passed [s].
WARM_UP = 0.4


class StoppedError(LabError):
    """Somebody no longer wants the picture that is being read."""


class TooSlowError(LabError):
    """The reading would take longer than it may."""

    def __init__(self, blocks: int) -> None:
        super().__init__(message("The reading would take too long."))
        self.blocks = blocks
        """How many blocks can be inflated in the time."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a reading may cost."""

    seconds: float = SECONDS
    """After this a coarser picture is made [s]."""
    is_stopped: Callable[[], bool] | None = None
    """Asked between pieces; true ends the reading with :class:`StoppedError`."""


_limits: ContextVar[Limits | None] = ContextVar("limits of reading", default=None)


def _current() -> Limits:
    return _limits.get() or Limits()


@contextmanager
def limited(*, seconds: float = SECONDS, is_stopped: Callable[[], bool] | None = None) -> Iterator[None]:
    """
    Bound what is read inside a ``with`` block, in this thread.

    Parameters
    ----------
    seconds : float, optional
        How long a picture may take before a coarser one is made instead [s].
    is_stopped : callable, optional
        Asked between pieces, from any thread; when it says True the reading ends with :class:`StoppedError`.

    Examples
    --------
    >>> with limited(seconds=0.5):
    ...     pass
    """
    token = _limits.set(Limits(seconds=seconds, is_stopped=is_stopped))
    try:
        yield
    finally:
        _limits.reset(token)


def check_stopped() -> None:
    """
    End the reading when it is no longer wanted.

    Raises
    ------
    StoppedError
        When :func:`limited`'s ``is_stopped`` says so.

    Examples
    --------
    >>> check_stopped()
    """
    is_stopped = _current().is_stopped
    if is_stopped is not None and is_stopped():
        raise StoppedError(message("The picture is no longer wanted."))


@contextmanager
def unhurried() -> Iterator[None]:
    """
    Read without a limit of time, but stoppable as before: what is read now was chosen to be little.

    Examples
    --------
    >>> with limited(seconds=0.5), unhurried():
    ...     pass
    """
    with limited(seconds=math.inf, is_stopped=_current().is_stopped):
        yield


class Wanted(NamedTuple):
    """One thing to read: a band's values, or its mask."""

    number: int
    """Of the band, from 1."""
    is_mask: bool = False


class Job(NamedTuple):
    """A piece of the picture, and the part of the file under it."""

    rows: slice
    columns: slice
    window: FileWindow
    blocks: int
    """How many blocks are inflated for it."""


def read_nearest(
    path: str, dataset: Any, wanted: Sequence[Wanted], window: Window, shape: tuple[int, int], **options: Any
) -> list[NDArray[Any]]:
    """
    Read single pixels of a window, evenly spread; each block of the file is inflated once.

    Parameters
    ----------
    path : str
        What GDAL opens: each thread opens it anew, because a dataset belongs to one thread.
    dataset : rasterio.DatasetReader
        The same, open.
    wanted : sequence of Wanted
        Bands and masks.
    window : Window
        Cells of ``dataset``.
    shape : (int, int)
        (height, width) of the picture [pixels].
    **options
        With which it was opened.

    Returns
    -------
    list of ndarray
        (height, width) each, as many as wanted.

    Raises
    ------
    StoppedError
        When it is no longer wanted.
    TooSlowError
        When it would take longer than it may.
    SourceError
        When a block is too large to be inflated.
    """
    limits = _current()
    jobs = jobs_of(dataset, wanted, window, shape)
    blocks = sum(job.blocks for job in jobs)
    block_bytes = _block_bytes(dataset, wanted)
    if block_bytes > MAX_BLOCK_BYTES:
        raise SourceError(
            message(
                "The file is written in blocks of {block_bytes:,.1f} GiB, of which one must be held in memory to "
                "show a pixel. Write it anew with tiles, for example with: rio cogeo create FILE NEW.tif.",
                block_bytes=block_bytes / 2**30,
            )
        )
    out = [np.empty(shape, _dtype(dataset, one)) for one in wanted]
    is_packed = _is_packed(dataset)
    many = is_packed and len(jobs) > 1 and blocks * block_bytes > SMALL_BYTES
    threads = min(MAX_THREADS, os.cpu_count() or 1) if many else 1
    cache = max(CACHE_BYTES, 2 * threads * max(JOB_BYTES, block_bytes))
    reading = _Reading(jobs, wanted, out, limits)
    with rasterio.Env(GDAL_CACHEMAX=cache):
        if threads == 1:
            reading.work(dataset)
        else:
            _in_threads(reading, path, options, threads)
    return out


def _in_threads(reading: _Reading, path: str, options: dict[str, Any], threads: int) -> None:
    def work() -> None:
        with quiet_georeference(), rasterio.open(path, **options) as dataset:
            reading.work(dataset)

    with ThreadPoolExecutor(threads, thread_name_prefix="map reading") as pool:
        futures = [pool.submit(work) for _ in range(threads)]
    for future in futures:
        future.result()


class _Reading:
    """Jobs that threads take one after the other, until none is left or one of them failed."""

    def __init__(
        self, jobs: Sequence[Job], wanted: Sequence[Wanted], out: Sequence[NDArray[Any]], limits: Limits
    ) -> None:
        self._jobs, self._wanted, self._out, self._limits = jobs, wanted, out, limits
        self._lock = threading.Lock()
        self._next, self._done = 0, 0
        self._all = sum(job.blocks for job in jobs)
        self._has_failed = False
        self._start = time.perf_counter()

    def work(self, dataset: Any) -> None:
        """Do jobs until there is none."""
        try:
            while (job := self._take()) is not None:
                for one, out in zip(self._wanted, self._out, strict=True):
                    read = dataset.read_masks if one.is_mask else dataset.read
                    part = out[job.rows, job.columns]
                    part[...] = read(one.number, window=job.window, out_shape=part.shape)
                with self._lock:
                    self._done += job.blocks
        except BaseException:
            self._has_failed = True
            raise

    def _take(self) -> Job | None:
        if self._limits.is_stopped is not None and self._limits.is_stopped():
            raise StoppedError(message("The picture is no longer wanted."))
        with self._lock:
            if self._has_failed or self._next >= len(self._jobs):
                return None
            self._check_speed()
            self._next += 1
            return self._jobs[self._next - 1]

    def _check_speed(self) -> None:
        spent = time.perf_counter() - self._start
        if spent < min(WARM_UP, self._limits.seconds) or not self._done:
            return
        expected = spent * self._all / self._done
        # a coarser picture is a much coarser one: a little patience is better, and so is ending what has been begun
        if expected > 2 * self._limits.seconds and expected - spent > self._limits.seconds / 2:
            raise TooSlowError(max(1, math.floor(self._done * 0.8 * self._limits.seconds / spent)))


def jobs_of(dataset: Any, wanted: Sequence[Wanted], window: Window, shape: tuple[int, int]) -> list[Job]:
    """
    Cut a picture into pieces so that no block of the file lies in two of them.

    Parameters
    ----------
    dataset : rasterio.DatasetReader
        Open.
    wanted, window, shape
        As :func:`read_nearest` takes them.
    """
    height, width = dataset.block_shapes[wanted[0].number - 1]
    block_bytes = _block_bytes(dataset, wanted)
    overview = overview_of(dataset, wanted[0].number, min(window.rows / shape[0], window.columns / shape[1]))
    height, width = height * overview, width * overview  # GDAL reads that overview's blocks
    row_blocks = _blocks(window.row, window.rows, shape[0], height)
    column_blocks = _blocks(window.column, window.columns, shape[1], width)
    if (row_blocks[-1] + 1) * (column_blocks[-1] + 1) * block_bytes <= SMALL_BYTES:
        whole = FileWindow(window.column, window.row, window.columns, window.rows)
        count = int((row_blocks[-1] + 1) * (column_blocks[-1] + 1))
        return [Job(slice(0, shape[0]), slice(0, shape[1]), whole, count)]
    a_job = max(1, int(JOB_BYTES // block_bytes))
    across = min(a_job, int(column_blocks[-1]) + 1)
    columns, rows = _runs(column_blocks, across), _runs(row_blocks, max(1, a_job // across))
    wide, high = window.columns / shape[1], window.rows / shape[0]
    return [
        Job(
            slice(top, bottom),
            slice(left, right),
            FileWindow(
                window.column + left * wide, window.row + top * high, (right - left) * wide, (bottom - top) * high
            ),
            int(column_blocks[right - 1] - column_blocks[left] + 1)
            * int(row_blocks[bottom - 1] - row_blocks[top] + 1),
        )
        for top, bottom in rows
        for left, right in columns
    ]


def overview_of(dataset: Any, number: int, factor: float) -> int:
    """Return how much coarser the overview is that GDAL reads a picture from; 1 when it reads the full resolution."""
    overviews = dataset.overviews(number)
    return max((overview for overview in overviews if overview <= factor * OVERVIEW_SLACK), default=1)


def _blocks(first: int, size: int, count: int, block: int) -> NDArray[np.intp]:
    """For each of ``count`` pixels the position of its block among those that are touched."""
    places = first + np.minimum(((np.arange(count) + 0.5) * size / count).astype(np.intp), size - 1)
    positions: NDArray[np.intp] = np.unique(places // block, return_inverse=True)[1]
    return positions


def _runs(blocks: NDArray[np.intp], together: int) -> list[tuple[int, int]]:
    """First and last + 1 of the pixels whose blocks belong to one job."""
    groups = blocks // together
    edges = [0, *(np.flatnonzero(np.diff(groups)) + 1).tolist(), len(groups)]
    return list(pairwise(edges))


def _is_packed(dataset: Any) -> bool:
    try:
        return dataset.compression is not None
    except ValueError:  # a compression that rasterio has no name for
        return True


def _bands_inflated(dataset: Any) -> int:
    try:
        is_mixed = dataset.interleaving is not None and dataset.interleaving.name == "pixel"
    except ValueError:  # as above
        is_mixed = True
    return int(dataset.count) if is_mixed else 1


def _block_bytes(dataset: Any, wanted: Sequence[Wanted]) -> int:
    rows, columns = dataset.block_shapes[wanted[0].number - 1]
    bands = max(_bands_inflated(dataset), len(wanted))
    return int(rows * columns * _dtype(dataset, wanted[0]).itemsize * bands)


def _dtype(dataset: Any, one: Wanted) -> np.dtype[Any]:
    return np.dtype("uint8" if one.is_mask else dataset.dtypes[one.number - 1])


def read_average(
    dataset: Any, wanted: Sequence[Wanted], window: Window, shape: tuple[int, int]
) -> list[NDArray[Any]]:
    """
    Read averages of the pixels of a window; masks are read nearest.

    Parameters
    ----------
    dataset, wanted, window, shape
        As :func:`read_nearest` takes them.
    """
    whole = FileWindow(window.column, window.row, window.columns, window.rows)
    out = []
    with rasterio.Env(GDAL_CACHEMAX=4 * CACHE_BYTES):
        for one in wanted:
            if one.is_mask:
                out.append(dataset.read_masks(one.number, window=whole, out_shape=shape))
            else:
                kind = "float64" if _dtype(dataset, one).itemsize > 4 else "float32"  # noqa: PLR2004 -- [bytes]
                out.append(
                    dataset.read(
                        one.number, window=whole, out_shape=shape, resampling=Resampling.average, out_dtype=kind
                    )
                )
    return out
