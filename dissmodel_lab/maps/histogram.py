"""Cells -> how many lie in each class, range or stretch of a scale. Counts what is shown, and says so."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from dissmodel_lab.language import message
from dissmodel_lab.maps.legend import counted_from, number, numbers_in_ranges, places_on_scale, range_labels

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from dissmodel_lab.maps.grid import Grid
    from dissmodel_lab.maps.legend import Legend

#: Bars of a continuous band.
BINS = 32
#: Whole numbers with at most so many different values have a bar for each value.
MAX_WHOLE = 64


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """How often values occur among the cells of one map."""

    counts: tuple[int, ...]
    """Cells of each bar."""
    labels: tuple[str, ...]
    """What each bar stands for: a class's label and code, or a range of values."""
    colours: tuple[str, ...] = field(repr=False)
    """``#rrggbb`` of each bar: the one that its middle has on the map."""
    edges: tuple[float, ...] = ()
    """The ends of the bars of quantities, one more than there are bars; the last bar holds its upper end too."""
    missing: int = 0
    """Cells without a value."""
    counted: str = ""
    """What was counted when it isn't everything: ``1 of 16 pixels``."""

    @property
    def total(self) -> int:
        """All cells that have a value."""
        return sum(self.counts)

    @property
    def summary(self) -> str:
        """One sentence for those who can't see the bars."""
        if not self.total:
            return message("no cell has a value")
        most = max(range(len(self.counts)), key=self.counts.__getitem__)
        part = f" ({self.counted})" if self.counted else ""
        percent = share_text(self.counts[most], self.total)
        return message(
            "{total:,} cells{part}; most often {labels}: {percent}",
            total=self.total,
            part=part,
            labels=self.labels[most],
            percent=percent,
        )


def share_text(part: int, whole: int) -> str:
    """
    Write a share of cells.

    Examples
    --------
    >>> share_text(1, 3), share_text(1, 100_000), share_text(0, 3), share_text(99_999, 100_000)
    ('33.3 %', '< 0.1 %', '0 %', '> 99.9 %')
    """
    if part in {0, whole}:
        return "0 %" if part == 0 else "100 %"
    percent = 100 * part / whole
    if percent < 0.1:  # noqa: PLR2004 -- what one digit can say
        return "< 0.1 %"
    return "> 99.9 %" if percent > 99.9 else f"{percent:.1f} %"  # noqa: PLR2004 -- as above


def histogram(grid: Grid, legend: Legend, *, bins: int = BINS) -> Histogram:
    """
    Count the shown cells: per class, per range, or in stretches of equal width.

    Parameters
    ----------
    grid : Grid
        One band; its decimated cells are what is counted.
    legend : Legend
        Of the same map, as :func:`~dissmodel_lab.maps.legend.paint` returns it.
    bins : int, optional
        Bars of a continuous band; whole numbers with few values have a bar each.

    Returns
    -------
    Histogram
        Classes in the order of the legend, those that don't occur included.

    Examples
    --------
    >>> from dissmodel_lab.maps.arrays import from_array
    >>> from dissmodel_lab.maps.legend import paint
    >>> grid = from_array(np.array([[1, 1, 2]], "uint8")).grid("band_1", 8)
    >>> histogram(grid, paint(grid)[0]).counts
    (2, 1)
    """
    values = grid.values[grid.valid]
    missing = int(grid.valid.size - values.size)
    counted = grid.shown.removesuffix(" shown")
    if legend.kind == "empty" or not values.size:
        return Histogram(counts=(), labels=(), colours=(), missing=missing, counted=counted)
    if legend.kind == "classes":
        counts, labels = _of_classes(grid, values, legend)
        colours: Iterable[str] = (entry.colour for entry in legend.entries)
        edges: tuple[float, ...] = ()
    elif legend.kind == "ranges":
        counts, labels = _of_ranges(values, legend)
        colours, edges = (entry.colour for entry in legend.entries), ()
    else:
        counts, labels, edges = _of_scale(grid, values, bins)
        colours = _colours(edges, legend)
    return Histogram(
        counts=tuple(counts),
        labels=tuple(labels),
        colours=tuple(colours),
        edges=edges,
        missing=missing,
        counted=counted,
    )


def _of_classes(grid: Grid, values: NDArray[Any], legend: Legend) -> tuple[list[int], list[str]]:
    places, lowest = counted_from(values)
    if places is None:
        codes, counts = np.unique(values, return_counts=True)
    else:
        every = np.bincount(places)
        codes = np.flatnonzero(every)
        counts = every[codes]
        codes += lowest
    found: dict[Any, int] = {
        (grid.names[int(code)] if grid.names is not None else code.item()): int(n)
        for code, n in zip(codes, counts, strict=True)
    }
    own = [found.pop(entry.value, 0) for entry in legend.entries]
    if found and legend.entries[-1].label.endswith(" other classes"):
        own[-1] = sum(found.values())
    return own, [entry.text for entry in legend.entries]


def _of_ranges(values: NDArray[Any], legend: Legend) -> tuple[list[int], list[str]]:
    numbers = numbers_in_ranges(values, legend)
    counts = np.bincount(numbers, minlength=len(legend.entries) + 1)[1:]
    return counts.tolist(), [entry.label for entry in legend.entries]


def _of_scale(grid: Grid, values: NDArray[Any], bins: int) -> tuple[list[int], list[str], tuple[float, ...]]:
    low, high = float(values.min()), float(values.max())
    if low == high:
        return [int(values.size)], [number(low)], (low, high)
    if grid.is_discrete and high - low < MAX_WHOLE:
        counts = np.bincount((values.astype(np.int64) - int(low)).ravel(), minlength=int(high - low) + 1)
        edges = tuple(float(edge) - 0.5 for edge in range(int(low), int(high) + 2))
        return counts.tolist(), [f"{value:,}" for value in range(int(low), int(high) + 1)], edges
    quarter = values.astype(np.float64) / 4  # the span of all floats is no float
    found, ends = np.histogram(quarter, bins=bins, range=(low / 4, high / 4))
    edges = tuple(float(end) * 4 if abs(end) < 1e307 else float(end) for end in ends)  # noqa: PLR2004 -- near the largest float
    return found.tolist(), range_labels(edges), edges


def _colours(edges: tuple[float, ...], legend: Legend) -> list[str]:
    middles = np.array([low / 2 + high / 2 for low, high in pairwise(edges)])
    return [legend.scale[int(place) - 1] for place in places_on_scale(middles, legend)]
