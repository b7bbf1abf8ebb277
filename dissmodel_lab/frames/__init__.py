"""Frames of a run: small copies of the model's map and values, taken at a bounded cost, kept in the run's folder.

The model's thread only copies, and this module loads nothing heavy: colours are given later, on another
thread or when the run is over, by :mod:`dissmodel_lab.maps.frames`.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import time
import zipfile
import zlib
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from dissmodel_lab.executor.events import (
    Event,
    Phase,
    PhaseFailed,
    PhaseFinished,
    RunFinished,
    RunStarted,
    Step,
    StepFinished,
)
from dissmodel_lab.frames import checkpoint
from dissmodel_lab.frames.checkpoint import FILM_NAME, Checkpoint, read_film
from dissmodel_lab.frames.moments import UNNAMED, Backdrop, Moment, RawFrame, Series, Shown
from dissmodel_lab.language import message
from dissmodel_lab.provenance import loaded_executor
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.store import RECORD_NAME, write_atomic
from dissmodel_lab.store.reading import try_read
from dissmodel_lab.upstream import MASK_BAND

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.maps.frames import Frames

T = TypeVar("T")

FILE_NAME = "frames.npz"
SIDE = 256
"""Longest side of a frame [pixels]."""
MOST = 48
"""Most frames that are kept; an even number, so that thinning keeps the first and the last."""
POINTS = 240
"""Most points of a series that are kept; even as well."""
SHARE = 0.005
"""Part of the run's time that copying may take; the panel may take 1 %, telling the steps has the rest of 3 %."""
ALLOWANCE = 0.005
"""What copying may take before :data:`SHARE` holds, so that short runs have frames too [s]."""
LIVE_INTERVAL = 0.25
"""Shortest time between two frames for the live picture [s]."""
ROOM = 64 << 20
"""Most memory for the kept copies [bytes]; large tables have fewer frames."""
FILE_ROOM = 2_000_000
"""Largest file [bytes]; frames are thinned until they fit."""
_MAX_BANDS = 32
"""How many bands or columns are looked at to find the one that changes."""
_MAX_SERIES = 32
_LABEL = 200
"""Longest label and name [characters]."""
_UNPACKED = 64 << 20
"""A file that says it holds more than this is not unpacked [bytes]."""
_DRAWABLE = "biuf"
_PLANE, _STACK = 2, 3  # numbers of axes


__all__ = [  # noqa: RUF022 -- in the order of sorted(), as in the other packages
    "Backdrop",
    "FILE_NAME",
    "FrameKeeper",
    "Moment",
    "POINTS",
    "RawFrame",
    "Series",
    "Shown",
    "read_frames",
    "write_frames",
]


class FrameKeeper:
    """
    Keeps evenly thinned frames and values of a run, and the newest frame for a live picture.

    It is an observer, and :meth:`watch` is its watcher. What it costs the model is bounded: after a copy that
    took t seconds the next waits ``t / SHARE``. Kept are frames of the first band or column that changes, in
    the models' own order, however the live picture's choice moves; of one file, all frames show the same.

    Parameters
    ----------
    live : bool
        Whether somebody looks at :attr:`newest`.
    classes : type or mapping, optional
        Where the legend comes from when the model's data carry none: the executor's class, or value -> label,
        as :func:`~dissmodel_lab.maps.preview` takes it.
    saves : bool
        Whether the frames so far are put into the run's folder while it lasts, for whoever looks on from another
        process, and for :func:`read_frames` when this process is killed.

    Examples
    --------
    >>> import numpy as np
    >>> from dissmodel_lab.executor import ExperimentRecord, ModelExecutor, execute_lifecycle, steps
    >>> class Growth(ModelExecutor, register=False):
    ...     def load(self, record):
    ...         return np.zeros((3, 4), "uint8")
    ...     def run(self, data, record):
    ...         for step in steps(range(1, 5), layers=lambda: {"city": data}, values=lambda: {"cells": data.sum()}):
    ...             data.flat[step] = 1
    ...     def save(self, result, record):
    ...         return record
    >>> keeper = FrameKeeper()
    >>> _ = execute_lifecycle(Growth(), ExperimentRecord(), observers=[keeper], watchers=[keeper.watch])
    >>> keeper.frames.moments[0].text, keeper.frames.moments[-1].text, keeper.frames.pixels.shape[1:]
    ('start', 'step 4 of 4: 4', (3, 4))
    >>> keeper.frames.series.values
    {'cells': [1.0, 2.0, 3.0, 4.0]}
    """

    def __init__(
        self, *, live: bool = False, classes: type[Any] | Mapping[Any, Any] | None = None, saves: bool = False
    ) -> None:
        self.classes = classes
        """May be set later: it is used when something is drawn."""
        self.seconds = 0.0
        """Time that copying has taken on the model's thread [s]."""
        self.copies = 0
        """Frames that were copied so far."""
        self.options: tuple[Shown, ...] = ()
        """What the live picture can show."""
        self.wanted: Shown | None = None
        """What it shall show from the next frame on; what is kept when None."""
        self.newest: RawFrame | None = None
        """The newest frame for it."""
        self.frames: Frames | None = None
        """What was kept, once the run is over; None when there is nothing."""
        self.notes: list[str] = []
        """Why there is less than one might expect."""
        self._film: _Thinned[RawFrame] = _Thinned(MOST)
        self._points: _Thinned[tuple[float | None, dict[str, float]]] = _Thinned(POINTS)
        self._choice = _FirstThatChanges()
        self._places: dict[tuple[Shown, int], Backdrop] = {}
        self._next_live = 0.0 if live else math.inf
        self._live_interval = checkpoint.LIVE_INTERVAL if saves else LIVE_INTERVAL
        self._saves = saves
        self._disk: Checkpoint | None = None
        self._disk_due = math.inf
        self._not_before = 0.0
        self._charged = self._forgive_from = 0
        self._count = 0
        self._last: Step | None = None
        self._told: tuple[int, StepFinished] | None = None
        """The newest step whose values were worked out while the model stood still at its end, and its count."""
        self._record: ExperimentRecord | None = None
        self._process = os.getpid()

    def watch(self, step: Step) -> None:
        """
        Take what is due of a step; a step of which nothing is due costs less than a microsecond.

        Parameters
        ----------
        step : Step
            With the model's data standing still.
        """
        self._count += 1
        self._last = step
        now, is_watched = time.perf_counter(), False
        if now >= self._disk_due:
            is_watched = self._look_for_onlookers(now)
        if now >= self._not_before and (
            self._count >= self._film.due or self._count >= self._points.due or now >= self._next_live
        ):
            busy = time.thread_time()
            try:
                self._take(step, now)
            finally:
                self._charge(now, busy)
        if now >= self._disk_due:
            self._put_away(now, is_watched=is_watched)

    def __call__(self, event: Event) -> None:
        """
        Take the loaded state, the last one, and put everything together at the end.

        Parameters
        ----------
        event : Event
            One of :mod:`dissmodel_lab.executor.events`.
        """
        match event:
            case RunStarted():
                self._record = event.record
                self._open_disk()
            case PhaseFinished(phase=Phase.LOAD):
                began = time.perf_counter()
                with suppress(Exception):  # data of any kind: without a copy the frames begin with step 1
                    self._choice.remember(event.value)
                self.seconds += time.perf_counter() - began  # no waiting: the first step is always taken
            case StepFinished():
                self._told = self._count, event
            case PhaseFinished(phase=Phase.RUN):
                self._take_last(stopped=False)
            case PhaseFailed(phase=Phase.RUN):
                self._take_told()
                self._take_last(stopped=True)
            case RunFinished():
                self._finish()

    def series(self) -> Series:
        """Return the values so far; from any thread."""
        return _series(list(self._points.items))

    def _open_disk(self) -> None:
        path = self._record.record_path if self._record is not None else None
        if self._saves and path is not None:
            self._disk = Checkpoint(Path(path).parent)
            self._disk_due = 0.0

    def _look_for_onlookers(self, now: float) -> bool:
        """Tell whether a live picture is due."""
        if self._disk is None or os.getpid() != self._process:  # a child that the model forked
            self._disk_due = math.inf
            return False
        found = self._disk.look(now)
        if found is None:
            return False
        is_watched, wanted = found
        if wanted in self.options:
            self.wanted = wanted
        if not is_watched:
            self._next_live = math.inf
        elif math.isinf(self._next_live):
            self._next_live = 0.0
        return is_watched

    def _put_away(self, now: float, *, is_watched: bool) -> None:
        """Write what is new; what cannot be written is tried again when the run is over, as a whole."""
        if self._disk is None or math.isinf(self._disk_due):
            return
        live = checkpoint.Live(self.newest, self.options) if is_watched else None
        try:
            self._disk.put_away(now, self._film.items, self._points.items, live)
            self._disk_due = self._disk.due
        except Exception:  # noqa: BLE001 -- data of any kind, a full disk: the run must not suffer from it
            self._disk_due = math.inf

    def _charge(self, began: float, busy: float) -> None:
        now = time.perf_counter()
        cost, own = now - began, time.thread_time() - busy
        self.seconds += cost
        self._charged += 1
        if own < cost / 4 and self._charged >= self._forgive_from:
            # Another thread held the interpreter: no cost of this copy, and no reason to leave out many. But only
            # one in ten is taken for that: data that come from a disk make their copies wait too.
            cost, self._forgive_from = own, self._charged + 10
        if self.seconds > ALLOWANCE:
            self._not_before = now + cost / SHARE

    def _take(self, step: Step, now: float) -> None:
        is_live = now >= self._next_live
        if is_live:
            self._next_live = now + self._live_interval
        if self._count == 1 and step.n_steps:
            self._film.expect(step.n_steps)
            self._points.expect(step.n_steps)
        if self._count >= self._points.due:
            if step.values is None:
                self._points.skip(self._count)
            else:
                self._points.add(self._count, (step.time, _numbers(step.current_values())))
        if step.layers is None:
            self._film.skip(self._count)
        elif is_live or self._count >= self._film.due:
            layers, moment = step.layers(), _moment(step, self._count)
            if self._count >= self._film.due:
                self._film.skip(self._count)
                self._keep(layers, moment)
            if is_live:
                self._show(layers, moment)

    def _keep(self, layers: Mapping[str, Any], moment: Moment) -> None:
        if not self.options:
            self.options = tuple(_options(layers))
        had = self._choice.shown
        shown = self._choice.of(layers, self.options)
        if shown is None:
            return
        if had is not None and shown != had:  # nothing had changed until now: its first copy stands for all frames
            first, backdrop = self._choice.first(shown), self._choice.backdrop(shown, layers)
            for at, (count, frame) in enumerate(self._film.items):
                self._film.items[at] = count, RawFrame(frame.moment, shown, first, backdrop)
        taken = self._copied(layers, shown, moment)
        if taken is not None:
            self._add(taken)

    def _add(self, frame: RawFrame) -> None:
        if not self._film.items:
            self._begin_film(frame)
        elif frame.values.shape != self._film.items[0][1].values.shape:
            note = message("Frames of a map of another size are left out.")
            self.notes += [note] if note not in self.notes else []
            return
        self.copies += 1
        self._film.add(self._count, frame)

    def _begin_film(self, frame: RawFrame) -> None:
        size = max(1, int(getattr(frame.values, "nbytes", 0)))
        self._film.most = max(8, min(MOST, ROOM // size // 2 * 2))
        before = self._choice.before(frame.shown.band)
        if before is not None and before.shape == frame.values.shape and before.dtype == frame.values.dtype:
            self._film.add(0, replace(frame, moment=Moment(0, frame.moment.n_steps), values=before))

    def _show(self, layers: Mapping[str, Any], moment: Moment) -> None:
        shown = self.wanted or self._choice.shown
        kept = self._film.items[-1] if self._film.items else None
        if kept is not None and kept[0] == self._count and kept[1].shown == shown:
            self.newest = kept[1]
        elif shown is not None and (frame := self._copied(layers, shown, moment)) is not None:
            self.copies += 1
            self.newest = frame

    def _copied(self, layers: Mapping[str, Any], shown: Shown, moment: Moment) -> RawFrame | None:
        data = layers.get(shown.layer)
        if data is None:  # another part of the run may call its layer otherwise
            data = next((other for other in layers.values() if shown.band in _bands(other)), None)
        values = _copy(data, shown.band) if data is not None else None
        if values is None:
            return None
        backdrop = self._places.get((shown, len(values)))
        if backdrop is None:
            backdrop = _backdrop(data, shown.band)
            if backdrop.geometry is not None:  # asking a table for its shapes takes as long as copying a column
                self._places[shown, len(values)] = backdrop
        return RawFrame(moment, shown, values, backdrop)

    def _take_told(self) -> None:
        """End the values with those of the last step that told any: the model is in the middle of another one."""
        if self._told is None:
            return
        count, event = self._told
        last = self._points.items[-1][0] if self._points.items else 0
        if event.values and count > last:
            self._points.add_last(count, (event.time, _numbers(event.values)))

    def _take_last(self, *, stopped: bool) -> None:
        step, self._last = self._last, None
        if step is None:
            return
        began = time.perf_counter()
        with suppress(Exception):  # the phase may have failed already, and its own error is the one to tell
            if step.values is not None and not stopped and not self._points.has(self._count):
                self._points.add_last(self._count, (step.time, _numbers(step.current_values())))
            if step.layers is not None and (stopped or not self._film.has(self._count)):
                self._keep_last(step, step.layers(), stopped=stopped)
        self.seconds += time.perf_counter() - began

    def _keep_last(self, step: Step, layers: Mapping[str, Any], *, stopped: bool) -> None:
        moment = _moment(step, self._count)
        if stopped:  # the model was in the middle of the next step
            moment = replace(moment, label=f"{moment.label} (stopped after it)".strip())
        if not self._film.items:
            self._keep(layers, moment)
            return
        frame = self._copied(layers, self._film.items[-1][1].shown, moment)
        if frame is not None and frame.values.shape == self._film.items[0][1].values.shape:
            self._film.add_last(self._count, frame)
            self.newest = frame

    def _finish(self) -> None:
        if os.getpid() != self._process:
            return  # a child that the model forked: the run is its parent's
        from dissmodel_lab.maps.frames import compose  # noqa: PLC0415 -- numpy and more, when the model is through

        series, is_kept = self.series(), True
        if self.classes is None and self._record is not None:
            self.classes = loaded_executor(self._record)
        self.frames = compose([frame for _, frame in self._film.evened()], series, self.notes, self.classes)
        self._film.items, self._choice, self._places = [], _FirstThatChanges(), {}
        path = self._record.record_path if self._record is not None else None
        if self.frames is not None and path is not None:
            try:
                write_frames(Path(path).parent, self.frames)
            except OSError as error:
                self.notes.append(
                    message("The frames could not be kept: {strerror}.", strerror=error.strerror or error)
                )
                is_kept = False
        if self._disk is not None:
            self._disk_due = math.inf
            self._disk.close(keeps_film=not is_kept)


class _Thinned(Generic[T]):
    """Items at evenly spread counts: when there are too many, every second one goes and the stride grows."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.items: list[tuple[int, T]] = []
        self.stride = 1
        self.due = 1
        """The count from which on the next item is wanted."""

    def expect(self, counts: int) -> None:
        """Spread the items over as many counts as there will probably be."""
        self.stride = max(1, math.ceil(counts / self.most))

    def skip(self, count: int) -> None:
        self.due = count + self.stride

    def add(self, count: int, item: T) -> None:
        items = [*self.items, (count, item)]  # a new list: another thread may be reading the old one
        if len(items) > self.most:
            items = items[::2]  # an odd number of them: the first and the last stay
            spread = math.ceil((items[-1][0] - items[0][0]) / (len(items) - 1))
            self.stride = max(2 * self.stride, spread)
        self.items = items
        self.skip(count)

    def add_last(self, count: int, item: T) -> None:
        """Add an item that comes when it comes; it takes the place of the one before when there is no other."""
        items = list(self.items)
        if len(items) >= self.most or self.has(count):
            items.pop()
        self.items = [*items, (count, item)]

    def evened(self) -> list[tuple[int, T]]:
        """
        Return the items without those that crowd, closer than half of the mean gap; first and last stay.

        What may be spent at the start is soon spent, so that items can be dense there.
        """
        first, last = (self.items[0][0], self.items[-1][0]) if self.items else (0, 0)
        closest = (last - first) / max(1, len(self.items) - 1) / 2
        kept = self.items[:1]
        for item in self.items[1:-1]:
            if item[0] - kept[-1][0] >= closest and last - item[0] >= closest:
                kept.append(item)
        return kept + self.items[1:][-1:]

    def has(self, count: int) -> bool:
        return bool(self.items) and self.items[-1][0] == count


class _FirstThatChanges:
    """Finds the first band or column that changes, by comparing all of them with their first copies."""

    def __init__(self) -> None:
        self.shown: Shown | None = None
        self._before: dict[str, Any] = {}
        self._first: dict[Shown, Any] = {}
        self._is_settled = False

    def remember(self, loaded: Any) -> None:
        """Copy the loaded state, by band: what it is before the first step."""
        if isinstance(loaded, dict):
            parts = list(loaded.values())
        else:
            parts = list(loaded) if isinstance(loaded, tuple | list) else [loaded]
        for data in parts[:_MAX_BANDS]:
            for band in _bands(data)[: _MAX_BANDS - len(self._before)]:
                copied = _copy(data, band)
                if copied is not None and band not in self._before:
                    self._before[band] = copied

    def before(self, band: str) -> Any:
        """Return the loaded state of a band; None when there is none of that name."""
        return self._before.get(band)

    def first(self, shown: Shown) -> Any:
        """Return the first copy of a band."""
        return self._first[shown]

    @staticmethod
    def backdrop(shown: Shown, layers: Mapping[str, Any]) -> Backdrop:
        return _backdrop(layers[shown.layer], shown.band)

    def of(self, layers: Mapping[str, Any], options: tuple[Shown, ...]) -> Shown | None:
        """Return what to show now: once a change was seen, always the same."""
        if self._is_settled or not options:
            return self.shown
        for shown in options[:_MAX_BANDS]:
            copied = _copy(layers[shown.layer], shown.band) if shown.layer in layers else None
            if copied is None:
                continue
            first = self._first.setdefault(shown, self._fitting(shown.band, copied))
            if not _is_same(first, copied):
                self._is_settled = True
                self.shown = shown
                return shown
            self.shown = self.shown or shown
        return self.shown

    def _fitting(self, band: str, copied: Any) -> Any:
        before = self._before.get(band)
        is_like = before is not None and before.shape == copied.shape and before.dtype == copied.dtype
        return before if is_like else copied


def _options(layers: Mapping[str, Any]) -> Iterator[Shown]:
    hidden = []
    for layer, data in layers.items():
        for band in _bands(data):
            shown = Shown(str(layer), band)
            if band.startswith("_"):
                hidden.append(shown)
            else:
                yield shown
    yield from hidden


def _is_table(data: Any) -> bool:
    # Without importing geopandas, which takes half a second.
    is_like_one = hasattr(type(data), "geometry") and hasattr(type(data), "total_bounds") and hasattr(data, "columns")
    return is_like_one and getattr(data, "_geometry_column_name", None) in data.columns


def _bands(data: Any) -> list[str]:
    """Return the names of what can be drawn of a layer, in the layer's own order."""
    if _is_table(data):
        geometry = data._geometry_column_name  # noqa: SLF001 -- `.geometry.name` makes a series; this is its name
        return [name for name in data.columns if isinstance(name, str) and name != geometry]
    return [name for name, array in _arrays(data) if array.ndim == _PLANE and array.dtype.kind in _DRAWABLE]


def _arrays(data: Any) -> Iterator[tuple[str, Any]]:
    if hasattr(data, "arrays") and hasattr(data.arrays, "items"):
        yield from ((str(name), array) for name, array in data.arrays.items() if hasattr(array, "dtype"))
    elif hasattr(data, "bands") and getattr(data, "array", None) is not None:
        yield from zip(data.bands, data.array, strict=False)
    elif hasattr(data, "dtype") and getattr(data, "ndim", 0) == _PLANE:
        yield UNNAMED, data
    elif hasattr(data, "dtype") and getattr(data, "ndim", 0) == _STACK:
        yield from ((f"band_{number}", array) for number, array in enumerate(data, start=1))


def _array(data: Any, band: str) -> Any:
    return next((array for name, array in _arrays(data) if name == band), None)


def _factor(array: Any) -> int:
    height, width = map(int, array.shape)
    return max(1, math.ceil(max(height, width) / SIDE))


def _copy(data: Any, band: str) -> Any:
    """Return a small copy of a band, or a copy of a column; None when there is none."""
    if _is_table(data):
        column = data[band] if band in data.columns else None
        return column.array.copy() if column is not None and column.ndim == 1 else None
    array = _array(data, band)
    if array is None or array.ndim != _PLANE or not array.size:
        return None
    factor = _factor(array)
    # From the middle of each block where the last block reaches so far: its number of rows is then exact.
    down, across = (min(factor // 2, (length - 1) % factor) for length in array.shape)
    return array[down::factor, across::factor].copy()


def _backdrop(data: Any, band: str) -> Backdrop:
    if _is_table(data):
        return Backdrop(geometry=data.geometry.array, crs=data.crs)
    array = _array(data, band)
    return Backdrop(
        size=(array.shape[1], array.shape[0]),
        factor=_factor(array),
        transform=getattr(data, "transform", None),
        crs=getattr(data, "crs", None),
        nodata=getattr(data, "nodata", getattr(data, "nodata_value", None)),
        exists=_copy(data, MASK_BAND) if band != MASK_BAND else None,
        classes=_of_band(getattr(data, "classes", None), band),
        unit=_of_band(getattr(data, "units", None), band) or "",
    )


def _of_band(facts: Any, band: str) -> Any:
    return facts.get(band) if isinstance(facts, dict) else None


def _is_same(one: Any, other: Any) -> bool:
    """Whether two copies hold the same; as bytes, so that NaN is NaN."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if hasattr(one, "tobytes"):
        return bool(one.tobytes() == other.tobytes())
    return bool(one.equals(other))


def _moment(step: Step, count: int) -> Moment:
    label = step.label() if callable(step.label) else step.label
    simulated = float(step.time) if step.time is not None else None
    return Moment(step.step, step.n_steps, str(label)[:_LABEL], simulated, step.part, count)


def _numbers(values: Mapping[str, float]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for name, value in values.items():
        with suppress(TypeError, ValueError, OverflowError):  # a model may report anything
            numbers[str(name)[:_LABEL]] = float(value)
        if len(numbers) >= _MAX_SERIES:
            break
    return numbers


def _series(points: list[tuple[int, tuple[float | None, dict[str, float]]]]) -> Series:
    names = list(dict.fromkeys(name for _, (_, values) in points for name in values))[:_MAX_SERIES]
    return Series(
        [count for count, _ in points],
        [math.nan if moment is None else float(moment) for _, (moment, _) in points],
        {name: [values.get(name, math.nan) for _, (_, values) in points] for name in names},
    )


def write_frames(folder: Path, frames: Frames) -> Path:
    """
    Write frames into a run's folder, whole or not at all; they are thinned until the file is small enough.

    Parameters
    ----------
    folder : Path
        Of the run.
    frames : Frames
        What was kept.

    Returns
    -------
    Path
        The file: compressed arrays without pickled objects.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    while len(content := _packed(frames)) > FILE_ROOM and len(frames.moments) > 1:
        frames = frames.only(range(0, len(frames.moments) - 1, 2), with_last=True)
        if len(frames.moments) == 2:  # noqa: PLR2004 -- first and last, and still too large
            frames = frames.only([], with_last=True)
    path = folder / FILE_NAME
    write_atomic(path, content, durable=False)
    return path


def _packed(frames: Frames) -> bytes:
    import numpy as np  # noqa: PLC0415 -- when the run is over

    series = frames.series
    facts = {
        "format": 1,
        "moments": [asdict(replace(one, label=redact_text(one.label))) for one in frames.moments],
        "layer": frames.layer,
        "band": frames.band,
        "legend": asdict(frames.legend),
        "bounds": frames.bounds,
        "is_georeferenced": frames.is_georeferenced,
        "crs": frames.crs,
        "notes": frames.notes,
        "series": [redact_text(name) for name in series.values],
    }
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        facts=np.frombuffer(json.dumps(facts).encode(), np.uint8),
        pixels=frames.pixels,
        counts=np.array(series.counts, np.int64),
        times=np.array(series.times, np.float64),
        values=np.array(list(series.values.values()), np.float64).reshape(len(series.values), len(series.counts)),
    )
    return buffer.getvalue()


def read_frames(folder: Path, notes: list[str] | None = None) -> Frames | None:
    """
    Read the frames of a run.

    Parameters
    ----------
    folder : Path
        Of the run.
    notes : list of str, optional
        A sentence is added when there is a file that cannot be used.

    Returns
    -------
    Frames or None
        None when the run kept none, or the file is damaged. Of a run that was killed, those that it had put away.

    Examples
    --------
    >>> read_frames(Path("nowhere")) is None
    True
    """
    path = next((path for path in (folder / FILE_NAME, folder / FILM_NAME) if path.is_file()), None)
    if path is None:
        return None
    try:
        return _unpacked(path) if path.name == FILE_NAME else _composed(path)
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        EOFError,
        OverflowError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        if notes is not None:
            notes.append(
                message(
                    "The steps of this run cannot be shown: {name} is damaged ({kind}: {error}).",
                    name=path.name,
                    kind=type(error).__name__,
                    error=error,
                )
            )
    return None


def _composed(path: Path) -> Frames | None:
    """Draw what a run had put away when its process was ended."""
    from dissmodel_lab.maps.frames import compose  # noqa: PLC0415 -- as above

    film, points = _Thinned[RawFrame](MOST), _Thinned[tuple[float | None, dict[str, float]]](POINTS)
    frames, told = read_film(path)
    for count, frame in frames:
        film.add(count, frame)
    for count, point in told:
        points.add(count, point)
    record = try_read(path.with_name(RECORD_NAME))
    kept = [frame for _, frame in film.evened()]
    notes = [message("The run's process was ended: the last steps may be missing.")]
    return compose(kept, _series(points.items), notes, loaded_executor(record) if record is not None else None)


def _unpacked(path: Path) -> Frames:
    import numpy as np  # noqa: PLC0415 -- as above

    from dissmodel_lab.maps.frames import Frames  # noqa: PLC0415
    from dissmodel_lab.maps.legend import Legend, LegendEntry  # noqa: PLC0415

    content = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(member.file_size for member in archive.infolist()) > _UNPACKED:
            raise ValueError(f"it unpacks to more than {_UNPACKED >> 20} MiB")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        facts = json.loads(arrays["facts"].tobytes())
        pixels, counts, times, values = (arrays[name] for name in ("pixels", "counts", "times", "values"))
    legend, ((south, west), (north, east)) = facts["legend"], facts["bounds"]
    entries = tuple(LegendEntry(**entry) for entry in legend.pop("entries"))
    scale = tuple(legend.pop("scale"))
    frames = Frames(
        pixels=pixels,
        moments=tuple(Moment(**moment) for moment in facts["moments"]),
        layer=str(facts["layer"]),
        band=str(facts["band"]),
        legend=Legend(**legend, entries=entries, scale=scale),
        bounds=((float(south), float(west)), (float(north), float(east))),
        is_georeferenced=facts["is_georeferenced"],
        crs=str(facts["crs"]),
        notes=tuple(map(str, facts["notes"])),
        series=Series(counts.tolist(), times.tolist(), dict(zip(facts["series"], values.tolist(), strict=True))),
    )
    _check(frames)
    return frames


def _check(frames: Frames) -> None:
    """Refuse what no run has written: a file may come from anywhere."""
    colours = frames.legend.colours
    pixels = frames.pixels
    if pixels.dtype != "uint8" or pixels.ndim != _STACK or len(pixels) != len(frames.moments):
        raise ValueError("its pictures and its steps do not fit together")
    if pixels.size and (not colours or int(pixels.max()) > len(colours)) and pixels.any():
        raise ValueError("a pixel has a colour that is not in its legend")
    if frames.legend.kind not in {"classes", "continuous", "empty"}:
        raise ValueError("its legend is of no known kind")
    if not all(isinstance(colour, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", colour) for colour in colours):
        raise ValueError("its legend has colours that are none")
    if any(len(line) != len(frames.series.counts) for line in (frames.series.times, *frames.series.values.values())):
        raise ValueError("its series are not of one length")
