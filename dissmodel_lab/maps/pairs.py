"""The steps of two runs side by side: moments that belong together, in one legend and on one scale.

In: the frames of two runs. Out: a :class:`Pair` that a player leads through. Does not touch disk.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dissmodel_lab.language import message
from dissmodel_lab.maps.legend import MAX_COLOURS, STRANGER, Legend, LegendEntry, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dissmodel_lab.frames import Moment
    from dissmodel_lab.maps.frames import Frames

#: Most moments of a pair: twice as many pictures.
MOST = 48


@dataclass(frozen=True)
class PairMoment:
    """One position of the player."""

    text: str
    """What it is called: ``time 2030``, ``step 4``."""
    numbers: tuple[int, int]
    """Which frame of each run is shown, from 0."""
    sides: tuple[str, str]
    """What must be said of each: its own step, and whether it has ended or not begun."""
    is_exact: bool
    """True when both runs kept a picture of this very moment."""


@dataclass(frozen=True, eq=False)
class Pair:
    """Two runs' frames that can be led through time together."""

    first: Frames
    second: Frames
    moments: tuple[PairMoment, ...]
    by_time: bool
    """True when the simulated time decides what belongs together, else the count of steps."""
    has_one_legend: bool
    """True when one colour means the same in both."""
    notes: tuple[str, ...]

    def spread(self, most: int) -> list[int]:
        """
        Return the numbers of at most so many moments, evenly spread: where there is one, one that both runs kept.

        Parameters
        ----------
        most : int
            At least 2; the first and the last moment are always among them.
        """
        last = len(self.moments) - 1
        if last < most:
            return list(range(last + 1))
        exact = [at for at, moment in enumerate(self.moments) if moment.is_exact]
        chosen = {0, last}
        for wish in np.linspace(0, last, most).tolist()[1:-1]:
            near = [at for at in exact if abs(at - wish) <= last / (2 * most)]
            chosen.add(min(near or [round(wish)], key=lambda at: abs(at - wish)))
        return sorted(chosen)


def pair_frames(first: Frames, second: Frames) -> Pair:
    """
    Put the frames of two runs beside each other.

    Where both runs tell simulated time, moments of the same time belong together; else those after the same
    number of steps. A run without a frame at a moment shows its latest one before; one that is over, its last.

    Parameters
    ----------
    first, second : Frames
        Each with at least one picture.

    Returns
    -------
    Pair
        At most :data:`MOST` moments.

    Examples
    --------
    >>> from dissmodel_lab.frames import Moment, Series
    >>> from dissmodel_lab.maps.frames import Frames
    >>> from dissmodel_lab.maps.legend import Legend, LegendEntry
    >>> legend = Legend(title="state", kind="classes", entries=(LegendEntry(1, "tree", "#00ff00"),))
    >>> def run(*times):
    ...     moments = tuple(Moment(at, time=time, count=at) for at, time in enumerate(times))
    ...     return Frames(pixels=np.ones((len(times), 2, 2), "uint8"), moments=moments, layer="", band="state",
    ...         legend=legend, bounds=((0, 0), (2, 2)), is_georeferenced=False, crs="", notes=(), series=Series())
    >>> [moment.numbers for moment in pair_frames(run(2020, 2030), run(2020, 2025, 2030)).moments]
    [(0, 0), (0, 1), (1, 2)]
    """
    clocks = [_times(frames.moments) for frames in (first, second)]
    by_time = all(clock is not None for clock in clocks)
    known = [clock or [] for clock in clocks] if by_time else [_counts(frames.moments) for frames in (first, second)]
    points = sorted({*known[0], *known[1]})
    if len(points) > MOST:
        points = [points[round(at)] for at in np.linspace(0, len(points) - 1, MOST).tolist()]
    moments = tuple(_moment(point, known, (first, second), by_time=by_time) for point in points)
    one, other, is_shared = in_one_legend(first, second)
    notes = _notes((one, other), known, by_time=by_time, is_shared=is_shared)
    return Pair(one, other, moments, by_time, is_shared, notes)


def _times(moments: Sequence[Moment]) -> list[float] | None:
    """Return simulated times that never run back; the state before the first step may have none."""
    times = [moment.time for moment in moments]
    known = [time for time in (times[1:] if times and times[0] is None else times) if time is not None]
    missing = len(times) - len(known)
    if not known or missing > (times[0] is None) or known != sorted(known) or not all(map(math.isfinite, known)):
        return None
    return [-math.inf] * missing + known


def _counts(moments: Sequence[Moment]) -> list[float]:
    counts = [float(moment.count) for moment in moments]
    return counts if counts == sorted(counts) else [float(at) for at in range(len(counts))]


def _moment(point: float, known: list[list[float]], frames: tuple[Frames, Frames], *, by_time: bool) -> PairMoment:
    at = [max(0, bisect.bisect_right(points, point) - 1) for points in known]
    sides = [_said(frames[side].moments[at[side]], known[side], point) for side in (0, 1)]
    text = "start" if point == -math.inf else f"{'time' if by_time else 'step'} {number(point)}"
    is_exact = all(points[number] == point for points, number in zip(known, at, strict=True))
    return PairMoment(text, (at[0], at[1]), (sides[0], sides[1]), is_exact)


def _said(moment: Moment, points: list[float], point: float) -> str:
    if point < points[0]:
        return f"not begun; {moment.text}"
    return message("{text} (the run is over)", text=moment.text) if point > points[-1] else moment.text


def _notes(
    frames: tuple[Frames, Frames], known: list[list[float]], *, by_time: bool, is_shared: bool
) -> tuple[str, ...]:
    notes = [message("Moments of the same simulated time are shown together.")] if by_time else []
    if not by_time:
        notes.append(
            message("Moments after the same number of steps are shown together: no simulated time is known of both.")
        )
    if known[0][-1] != known[1][-1]:
        notes.append(
            message("The runs end at different moments: the one that is over keeps showing its last picture.")
        )
    doubtful = _labels_that_differ(frames[0].legend, frames[1].legend)
    if not is_shared and doubtful and frames[0].band == frames[1].band:
        notes.append(
            message(
                "The runs give one class two names ({doubtful}): each has its own legend, so colours cannot be "
                "compared.",
                doubtful=doubtful,
            )
        )
    elif not is_shared:
        notes.append(
            message(
                "The runs kept different maps ({band!r} and {frames_band!r}): each has its own legend, so colours "
                "cannot be compared.",
                band=frames[0].band[:80],
                frames_band=frames[1].band[:80],
            )
        )
    return tuple(notes)


def in_one_legend(first: Frames, second: Frames) -> tuple[Frames, Frames, bool]:
    """
    Give two runs' frames one legend: one class, one colour; one value, one colour.

    Parameters
    ----------
    first, second : Frames
        Of any two runs.

    Returns
    -------
    first, second : Frames
        With the same legend, when that is possible.
    is_shared : bool
        False when the two show different bands, classes beside a quantity, or one class by two names: then they
        stay as they are.
    """
    one, other = first.legend, second.legend
    if first.band != second.band or one.kind != other.kind:
        return first, second, False
    if one.kind == "classes":
        return _with_one_list(first, second)
    if one.kind == "continuous":
        return _on_one_scale(first, second)
    return first, second, True


def _with_one_list(first: Frames, second: Frames) -> tuple[Frames, Frames, bool]:
    if _labels_that_differ(first.legend, second.legend):
        return first, second, False
    entries = list({entry.value: entry for entry in (*second.legend.entries, *first.legend.entries)}.values())
    if all(isinstance(entry.value, int | float) for entry in entries):
        entries.sort(key=_code)
    if len(entries) > MAX_COLOURS:
        return first, second, False
    numbers = {entry.value: at for at, entry in enumerate(entries, start=1)}
    legend = replace(first.legend, entries=tuple(entries))
    both = [
        replace(
            frames,
            legend=legend,
            pixels=_looked_up(frames.pixels, [numbers[entry.value] for entry in frames.legend.entries]),
        )
        for frames in (first, second)
    ]
    return both[0], both[1], True


def _labels_that_differ(first: Legend, second: Legend) -> str:
    """Name a class that the two call differently; a class that one of them gave no name is in order."""
    named = {entry.value: entry.label for entry in second.entries}
    for entry in first.entries:
        other = named.get(entry.value, entry.label)
        if other != entry.label and not {other, entry.label} & {str(entry.value), STRANGER}:
            return f"{str(entry.value)[:80]!r}: {entry.label[:80]!r} and {other[:80]!r}"
    return ""


def _code(entry: LegendEntry) -> float:
    return float(entry.value)


def _on_one_scale(first: Frames, second: Frames) -> tuple[Frames, Frames, bool]:
    ends = [(frames.legend.low, frames.legend.high) for frames in (first, second)]
    lows, highs = [low for low, _ in ends if low is not None], [high for _, high in ends if high is not None]
    if len(lows) + len(highs) < 2 * len(ends):
        return first, second, False
    low, high = min(lows), max(highs)
    legend = replace(
        first.legend,
        low=low,
        high=high,
        minimum=min((end for end in (first.legend.minimum, second.legend.minimum) if end is not None), default=None),
        maximum=max((end for end in (first.legend.maximum, second.legend.maximum) if end is not None), default=None),
    )
    both = [
        replace(frames, legend=legend, pixels=_looked_up(frames.pixels, _steps(frames.legend, legend)))
        for frames in (first, second)
    ]
    return both[0], both[1], True


def _steps(old: Legend, new: Legend) -> list[int]:
    """Return the new scale's step for each of the old one's: at most half a step off."""
    count = len(old.scale)
    old_low, old_high, low, high = (end or 0.0 for end in (old.low, old.high, new.low, new.high))
    if not low < high:
        return list(range(1, count + 1))
    values = np.linspace(old_low / 4, old_high / 4, count)  # quarters: the span of all floats is no float
    shares = (values - low / 4) / (high / 4 - low / 4)
    return [1 + round(share) for share in (np.clip(shares, 0, 1) * (len(new.scale) - 1)).tolist()]


def _looked_up(pixels: NDArray[np.uint8], numbers: list[int]) -> NDArray[np.uint8]:
    """Replace each colour's number; 0 stays clear."""
    table = np.zeros(256, np.uint8)
    table[1 : len(numbers) + 1] = numbers
    renumbered: NDArray[np.uint8] = table[pixels]
    return renumbered
