"""Values -> colours, and the legend that says what each colour means.

A band is a band of classes when it carries a legend or colour table, or holds whole numbers, truth values
or texts with few distinct values; otherwise it is continuous and drawn on a colour scale. A style that
somebody chose (:mod:`.styles`) may say otherwise, such as ranges instead of a scale. The legend is the
data's own, else the one in its executor's constants (:mod:`.classes`), else colours for every kind of colour
vision. A class keeps its colour from one map to the next, because the colour follows from its code.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dissmodel_lab.class_tables import one_line
from dissmodel_lab.language import joined, message
from dissmodel_lab.maps.styles import colours as palettes
from dissmodel_lab.maps.styles.ranges import upper_ends
from dissmodel_lab.maps.styles.style import Style

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from dissmodel_lab.maps.grid import Grid

ClassValue = int | float | str

#: More distinct whole numbers than this are a quantity, not classes.
MAX_CLASSES = 32
#: Whole numbers that lie no farther apart are counted instead of sorted.
MAX_COUNTED = 1 << 16
#: What a class is called that has no name where others have one.
STRANGER = message("not in the legend")
#: A paletted picture has 256 colours; index 0 is "no data".
MAX_COLOURS = palettes.MAX_COLOURS
#: Longer legends of the data list only the classes that occur.
MAX_LISTED = 40
#: The part of the values that a continuous scale stretches over [%].
STRETCH = (2.0, 98.0)
#: Colours that tell classes apart.
PALETTE = palettes.PALETTE


@dataclass(frozen=True)
class LegendEntry:
    """One class: its value in the data, its label and its colour."""

    value: ClassValue
    label: str
    colour: str
    """``#rrggbb``."""
    low: float | None = None
    """Of a range: all values above this one, up to ``high``, have the colour; the lowest range has this one too."""
    high: float | None = None

    @property
    def text(self) -> str:
        """Label and code: ``sea (2)``; the code alone when there is no label, the label alone of a range."""
        return (
            self.label if self.high is not None or self.label == str(self.value) else f"{self.label} ({self.value})"
        )


@dataclass(frozen=True, kw_only=True)
class Legend:
    """What the colours of one map mean."""

    title: str
    """The band's name."""
    kind: Literal["classes", "continuous", "ranges", "empty"]
    """``ranges``: quantities in classes of size; ``empty``: no cell has a value."""
    unit: str = ""
    """Unit of the values."""
    entries: tuple[LegendEntry, ...] = ()
    """The classes or ranges; colour index i is ``entries[i - 1]``."""
    scale: tuple[str, ...] = field(default=(), repr=False)
    """Colours of a continuous scale from ``low`` to ``high``."""
    minimum: float | None = None
    """Smallest value among the shown cells."""
    maximum: float | None = None
    """Largest value among the shown cells."""
    low: float | None = None
    """The value, and everything below it, that has the first colour."""
    high: float | None = None
    """The value, and everything above it, that has the last colour."""
    marks: tuple[float, ...] = ()
    """Values at evenly spaced places of a scale that is not linear; rising, from ``low`` to ``high``."""
    method: str = ""
    """How the ranges were found: ``quantiles``; empty when somebody gave them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "marks", tuple(self.marks))  # a legend that was kept as JSON has a list

    @property
    def colours(self) -> tuple[str, ...]:
        """The picture's palette without index 0, which is transparent."""
        return self.scale or tuple(entry.colour for entry in self.entries)

    @property
    def range_text(self) -> str:
        """Say the range of the values and, when the scale is narrower, of the colours."""
        if self.minimum is None or self.maximum is None or self.low is None or self.high is None:
            return ""
        values = message(
            "values {number} to {number_2}{unit}",
            number=number(self.minimum),
            number_2=number(self.maximum),
            unit=self._unit,
        )
        if (self.low, self.high) == (self.minimum, self.maximum):
            return values
        return message(
            "{values}; colours from {number} to {number_2}{unit}",
            values=values,
            number=number(self.low),
            number_2=number(self.high),
            unit=self._unit,
        )

    @property
    def _unit(self) -> str:
        return f" {self.unit}" if self.unit else ""

    @property
    def summary(self) -> str:
        """One sentence for those who can't see the colours."""
        if self.kind == "empty":
            return message("no data")
        if self.kind == "continuous":
            return self.range_text
        if self.kind == "ranges":
            listed = functools.reduce(_and_then, [entry.label for entry in self.entries[:8]] + [self.range_text])
            unit = self.unit and f" [{self.unit}]"
            return message("{n} ranges{unit}: {ranges}", n=len(self.entries), unit=unit, ranges=listed)
        labels = [entry.label for entry in self.entries]
        listed, n_more = joined(labels[:8], ", "), len(labels) - 8
        if n_more > 0:
            return message("classes {labels} and {n} more", labels=listed, n=n_more)
        return message("classes {labels}", labels=listed)

    def text_of(self, value: Any) -> str:
        """Say one value: the class's label and code, or the number with its unit."""
        if self.kind == "classes":
            entry = next((e for e in self.entries if e.value == value), None)
            if entry is not None and entry.label != str(value):
                return entry.text
        return f"{value if isinstance(value, str) else number(value)}{self._unit}"


def number(value: float) -> str:
    """
    Write a number shortly.

    Examples
    --------
    >>> number(2.0), number(0.1234567), number(2_388_000)
    ('2', '0.123457', '2388000')
    """
    if isinstance(value, int):
        return str(value)
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.6g}"  # noqa: PLR2004 -- exact


def paint(
    grid: Grid, like: Legend | None = None, style: Style | None = None
) -> tuple[Legend, NDArray[np.uint8], tuple[str, ...]]:
    """
    Give every cell of a grid a colour.

    Parameters
    ----------
    grid : Grid
        One band.
    like : Legend, optional
        The legend of another map of the same band, or of the whole band when this is a part of it: its
        colours, its scale and its ranges are kept, so that the two can be compared.
    style : Style, optional
        What somebody chose. It comes before the legend of the data, unless it only lay beside them.

    Returns
    -------
    legend : Legend
        What the colours mean.
    index : ndarray of uint8
        (height, width); 0 where there is no data, else i for ``legend.colours[i - 1]``.
    notes : tuple of str
        What must be said with the map.

    Raises
    ------
    SourceError
        When the style names a colour map that doesn't exist.

    Examples
    --------
    >>> from dissmodel_lab.maps.arrays import from_array
    >>> grid = from_array(np.arange(6.0).reshape(2, 3)).grid("band_1", 8)
    >>> legend, index, _ = paint(grid, style=Style(classification="equal interval", n_classes=2))
    >>> [entry.label for entry in legend.entries], index.tolist()
    (['0 to 2.5', '2.5 to 5'], [[1, 1, 1], [2, 2, 2]])
    """
    chosen, said = _chosen(style, grid)
    valid = grid.valid if not chosen.hidden else grid.valid & ~_hidden(grid, chosen)
    values = grid.values[valid]
    notes = (*_missing_note(grid.valid), *said)
    if not values.size:
        return Legend(title=grid.band, kind="empty", unit=grid.unit), np.zeros(grid.valid.shape, np.uint8), notes
    codes = _codes(grid, values, like, chosen)
    if codes is not None:
        legend, painted, more = _paint_classes(grid, values, codes, like, chosen)
    elif chosen.ranges or (like is not None and like.kind == "ranges") or (chosen.method and grid.reach is None):
        legend, painted, more = _paint_ranges(grid, values, like, chosen)
    else:
        legend, more = _scale_legend(grid, values, like, chosen)
        painted = places_on_scale(values, legend)
    index = np.zeros(grid.valid.shape, np.uint8)
    index[valid] = painted
    return legend, index, (*notes, *more)


def _chosen(style: Style | None, grid: Grid) -> tuple[Style, tuple[str, ...]]:
    """Return what a style says of this band, and what to say of the style."""
    if style is None or (style.is_beside and grid.classes):
        return Style(), ()
    refusal = style.refusal(grid.band, grid.bands)
    if refusal:
        return Style(), () if style.is_beside else (refusal,)
    notes: tuple[str, ...] = (
        (message("Colours from {origin}.", origin=one_line(style.origin)),) if style.origin else ()
    )
    if style.is_numeric and grid.names is not None:
        style = replace(style, limits=None, classification="", breaks=(), ranges=(), stops=())
        notes += (
            message("{band} holds texts or truth values, which have no ranges: shown as classes.", band=grid.band),
        )
    return style, (*notes, *style.notes)


def _hidden(grid: Grid, style: Style) -> NDArray[np.bool_]:
    hidden: list[Any] = list(_keyed(dict.fromkeys(style.hidden, ("", "")), grid))
    if grid.names is not None:
        hidden = [code for code, name in enumerate(grid.names) if name in hidden]
    return np.isin(grid.values, hidden)


def _keyed(classes: Mapping[Any, tuple[str, str]], grid: Grid) -> dict[Any, tuple[str, str]]:
    """Return classes by the values of this grid: a file may call the text "1" the number 1, or the other way."""
    if grid.names is not None:
        return {str(value): what for value, what in classes.items()}
    found = {}
    for value, what in classes.items():
        try:
            code = float(value)
        except (TypeError, ValueError):
            continue
        if math.isfinite(code):
            found[int(code) if code.is_integer() else code] = what
    return found


def _missing_note(valid: NDArray[np.bool_]) -> tuple[str, ...]:
    missing = valid.size - int(np.count_nonzero(valid))
    if not missing:
        return ()
    if missing == valid.size:
        return (message("No cell has a value: nothing to show."),)
    return (message("No data in {percent} of the cells (transparent).", percent=_percent(missing, valid.size)),)


def _percent(part: int, whole: int) -> str:
    percent = 100 * part / whole
    share = "less than 1" if percent < 1 else "more than 99" if percent > 99 else f"{percent:.0f}"  # noqa: PLR2004 -- [%]
    return f"{share} %"


# --- classes -----------------------------------------------------------------------------------------------


def _codes(grid: Grid, values: NDArray[Any], like: Legend | None, style: Style) -> NDArray[Any] | None:
    """Return the distinct values, sorted, when the band is one of classes; else None."""
    if grid.reach is not None:
        return None
    has_classes = style.classes is not None or style.others is not None
    has_legend = bool(grid.classes or grid.names or has_classes)
    # An input's elevation makes no quantity of an output's land cover, which says itself what its classes are.
    is_its_own = has_legend and like is not None and like.title != grid.band
    is_like_quantity = like is not None and not is_its_own and (like.kind == "ranges" or bool(like.scale))
    if grid.names is None and (style.is_numeric or is_like_quantity):
        return None
    if not (grid.is_discrete or has_legend):
        return None
    codes = _distinct(values)
    if len(codes) <= MAX_CLASSES or (has_legend and len(codes) <= MAX_COLOURS):
        return codes
    if has_legend:  # a long list of classes, not a quantity that has names for some of its values
        declared = _declared(grid, style)
        known = sum(_class_value(grid, code) in declared for code in codes)
        return codes if grid.names is not None or style.others is not None or 2 * known > len(codes) else None
    # the part of a map may hold a few classes more than were seen in the whole
    seen = {entry.value for entry in like.entries} if like is not None and like.kind == "classes" else set()
    is_part = len(codes) <= MAX_COLOURS and 2 * sum(_class_value(grid, code) in seen for code in codes) > len(codes)
    return codes if is_part else None


def _distinct(values: NDArray[Any]) -> NDArray[Any]:
    places, lowest = counted_from(values)
    if places is None:
        return np.unique(values)
    return (np.flatnonzero(np.bincount(places)) + lowest).astype(values.dtype)


def counted_from(values: NDArray[Any]) -> tuple[NDArray[Any] | None, int]:
    """
    Return whole numbers from 0 on, and what 0 stands for; None when they lie too far apart.

    Counting a few thousand values takes a fraction of sorting a million.

    Examples
    --------
    >>> counted_from(np.array([-3, 5]))
    (array([0, 8]), -3)
    >>> counted_from(np.array([0, 1 << 40]))[0] is None
    True
    """
    if values.dtype == np.uint8:
        return values, 0
    if values.dtype.kind not in "iu":
        return None, 0
    lowest, highest = int(values.min()), int(values.max())
    if highest - lowest >= MAX_COUNTED or highest > np.iinfo(np.int64).max:
        return None, 0
    return values.astype(np.int64) - lowest, lowest


def _class_value(grid: Grid, code: Any) -> ClassValue:
    if grid.names is not None:
        return grid.names[int(code)]
    return int(code) if float(code).is_integer() else float(code)


def _declared(grid: Grid, style: Style) -> dict[Any, tuple[str, str]]:
    """Return the classes that somebody gave; the style's before those of the data."""
    return {**(grid.classes or {}), **_keyed(style.classes or {}, grid)}


def _paint_classes(
    grid: Grid, values: NDArray[Any], codes: NDArray[Any], like: Legend | None, style: Style
) -> tuple[Legend, NDArray[np.uint8], tuple[str, ...]]:
    notes: tuple[str, ...] = ()
    known = {entry.value for entry in like.entries} if like is not None and like.kind == "classes" else set()
    own, others = codes, codes[:0]
    if len(codes) > MAX_COLOURS:
        own, others, notes = _most_frequent(grid, values, codes, known)
    legend, more = _classes_legend(grid, own, like, style, room=MAX_COLOURS - bool(len(others)))
    if len(others):
        name = f"{len(others):,} other classes"
        legend = replace(legend, entries=(*legend.entries, LegendEntry(name, name, palettes.GREY)))
    order = {entry.value: i for i, entry in enumerate(legend.entries, start=1)}
    mine = set(own.tolist())
    last = len(legend.entries)
    colours = np.array(
        [order[_class_value(grid, code)] if code in mine else last for code in codes.tolist()], np.uint8
    )
    places, lowest = counted_from(values)
    if places is not None:
        table = np.zeros(int(codes[-1]) - lowest + 1, np.uint8)
        table[codes.astype(np.int64) - lowest] = colours
        return legend, table[places], (*notes, *more)
    return legend, colours[np.searchsorted(codes, values)], (*notes, *more)


def _most_frequent(
    grid: Grid, values: NDArray[Any], codes: NDArray[Any], known: set[ClassValue]
) -> tuple[NDArray[Any], NDArray[Any], tuple[str, ...]]:
    """Return the codes that have colours of their own, those that have not, and what to say."""
    counts = np.bincount(np.searchsorted(codes, values), minlength=len(codes))
    is_known = np.array([_class_value(grid, code) in known for code in codes])
    order = np.lexsort((-counts, ~is_known))
    own, others = np.sort(order[: MAX_COLOURS - 1]), np.sort(order[MAX_COLOURS - 1 :])
    share = _percent(int(counts[others].sum()), values.size)
    said = message(
        "{n_codes:,} classes: {n_own} have a colour, the {n_others:,} others share a grey ({share} of the "
        "cells); click to read one.",
        n_codes=len(codes),
        n_own=len(own),
        n_others=len(others),
        share=share,
    )
    return codes[own], codes[others], (said,)


def _classes_legend(
    grid: Grid, codes: NDArray[Any], like: Legend | None, style: Style, *, room: int
) -> tuple[Legend, tuple[str, ...]]:
    present = [_class_value(grid, code) for code in codes]
    declared = _declared(grid, style)
    if style.others is not None:
        label, colour = style.others
        declared |= {value: (label or str(value), colour) for value in present if value not in declared}
    hidden = _keyed(dict.fromkeys(style.hidden, ("", "")), grid)
    known = {entry.value: entry for entry in like.entries} if like and like.kind == "classes" else {}
    listed: dict[ClassValue, None] = dict.fromkeys(present)
    if len(declared) <= MAX_LISTED:
        listed |= dict.fromkeys(value for value in declared if value not in hidden)
    if len(listed | dict.fromkeys(known)) <= room:
        listed |= dict.fromkeys(known)
    values = list(listed) if grid.names is not None else sorted(listed, key=_sort_key)
    colours = _colours(values, declared, known, style)
    strangers = [v for v in present if v not in declared] if declared else []
    entries = tuple(
        LegendEntry(v, _label(v, declared, known, is_stranger=v in strangers), colours[v]) for v in values
    )
    notes: tuple[str, ...] = ()
    if strangers:
        notes += (message("Not in the legend of the data: {map}.", map=", ".join(map(str, strangers[:8]))),)
    if sum(not declared.get(value, ("", ""))[1] for value in values) > len(PALETTE):
        notes += (
            message(
                "{n_entries} classes: more than colours that can be told apart; click to be sure.",
                n_entries=len(entries),
            ),
        )
    return Legend(title=grid.band, kind="classes", unit=grid.unit, entries=entries), notes


def _sort_key(value: ClassValue) -> tuple[bool, float, str]:
    return (isinstance(value, str), 0.0 if isinstance(value, str) else float(value), str(value))


def _label(
    value: ClassValue,
    declared: dict[ClassValue, tuple[str, str]],
    known: dict[ClassValue, LegendEntry],
    *,
    is_stranger: bool,
) -> str:
    if is_stranger:
        return STRANGER
    if value in declared:
        return declared[value][0] or str(value)
    return known[value].label if value in known else str(value)


def _colours(
    values: list[ClassValue],
    declared: dict[ClassValue, tuple[str, str]],
    known: dict[ClassValue, LegendEntry],
    style: Style,
) -> dict[ClassValue, str]:
    """Choose the given colours, then those of the map to be compared with, then a free one by code."""
    colours = {v: entry.colour for v, entry in known.items() if v in values}
    if style.colour_map and not style.classes:
        spread = palettes.class_colours(style.colour_map, len(values), reverse=style.reverse)
        return {**dict(zip(values, spread, strict=True)), **colours}
    colours |= {v: declared[v][1].lower() for v in values if v in declared and declared[v][1]}
    taken = set(colours.values())
    for position, value in enumerate(values):
        if value not in colours:
            wish = value if isinstance(value, int) else position
            colours[value] = palettes.free_colour(wish, taken)
            taken.add(colours[value])
    return colours


# --- ranges ------------------------------------------------------------------------------------------------


def _paint_ranges(
    grid: Grid, values: NDArray[Any], like: Legend | None, style: Style
) -> tuple[Legend, NDArray[np.uint8], tuple[str, ...]]:
    notes: tuple[str, ...] = ()
    is_like = like is not None and like.kind == "ranges"
    if like is not None and is_like:
        entries, method = like.entries, like.method
    elif style.ranges:
        entries, method = _given_ranges(style), ""
    else:
        entries, notes = _found_ranges(grid, values, style)
        method = style.method
    ranged = [entry for entry in entries if entry.high is not None]
    painted, beyond = _in_ranges(values, ranged)
    if beyond.any():
        share = _percent(int(beyond.sum()), values.size)
        if not method:  # what a file has no range for is no class of it
            entries = (*ranged, LegendEntry(0, STRANGER, palettes.GREY))
            painted[beyond] = len(entries)
            notes += (message("{share} of the cells are in no range of the style.", share=share),)
        else:
            notes += (
                message(
                    "{share} of the cells lie beyond the ranges and have the colour of the nearest.", share=share
                ),
            )
    shown = tuple(entry for entry in entries if entry.colour)
    if len(shown) < len(entries):  # ranges without a colour are transparent
        places = np.cumsum([bool(entry.colour) for entry in entries])
        table = [0, *(place if entry.colour else 0 for place, entry in zip(places, entries, strict=True))]
        painted = np.array(table, np.uint8)[painted]
    legend = Legend(
        title=grid.band, kind="ranges", unit=grid.unit, entries=shown, method=method,
        minimum=float(values.min()), maximum=float(values.max()), low=ranged[0].low, high=ranged[-1].high,
    )  # fmt: skip
    return legend, painted, notes


def _in_ranges(values: NDArray[Any], ranges: Sequence[LegendEntry]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return the number of each value's nearest range, from 1, and which values lie in none."""
    lows = np.array([entry.low for entry in ranges], np.float64)
    highs = np.array([entry.high for entry in ranges], np.float64)
    place = np.searchsorted(highs, values, side="left")
    nearest = np.minimum(place, len(ranges) - 1)
    return (nearest + 1).astype(np.uint8), (place == len(ranges)) | (values < lows[nearest])


def numbers_in_ranges(values: NDArray[Any], legend: Legend) -> NDArray[np.uint8]:
    """
    Return the number of each value's range in a legend, from 1; 0 where no entry stands for it.

    Examples
    --------
    >>> entries = (LegendEntry(1, "low", "#440154", 0.0, 2.0), LegendEntry(2, "high", "#fde725", 2.0, 5.0))
    >>> numbers_in_ranges(np.array([2.0, 2.1, 9.0]), Legend(title="", kind="ranges", entries=entries)).tolist()
    [1, 2, 0]
    """
    ranged = [entry for entry in legend.entries if entry.high is not None]
    numbers, beyond = _in_ranges(values, ranged)
    if not legend.method:
        numbers[beyond] = len(legend.entries) if len(ranged) < len(legend.entries) else 0
    return numbers


def _given_ranges(style: Style) -> tuple[LegendEntry, ...]:
    return tuple(
        LegendEntry(i, one.label or _range_text(one.low, one.high), one.colour, one.low, one.high)
        for i, one in enumerate(style.ranges, start=1)
    )


def _range_text(low: float, high: float) -> str:
    if math.isinf(low):
        return message("up to {n}", n=number(high)) if math.isfinite(high) else message("all values")
    if not math.isfinite(high):
        return message("more than {n}", n=number(low))
    return _from_to(number(low), number(high))


def _and_then(first: str, second: str) -> str:
    return message("{first}; {second}", first=first, second=second)


def _found_ranges(grid: Grid, values: NDArray[Any], style: Style) -> tuple[tuple[LegendEntry, ...], tuple[str, ...]]:
    exact = values.astype(np.float64)
    if style.limits is not None:
        within = exact[(exact >= style.limits[0]) & (exact <= style.limits[1])]
        exact = within if within.size else np.array(style.limits)
    low, high = float(exact.min()), float(exact.max())
    notes: tuple[str, ...] = ()
    if style.method == "user-defined":
        inner = tuple(end for end in style.breaks if low <= end < high)
        ends = (*inner, high)
        if len(ends) < len(style.breaks):
            notes = (
                message("Of {n_breaks} ranges, {n_ends} hold values.", n_breaks=len(style.breaks), n_ends=len(ends)),
            )
    else:
        ends, notes = upper_ends(exact, style.method, style.n_classes)
        part = grid.shown.removesuffix(" shown")
        if part.startswith(("1 of ", "averages ")):
            notes = (message("Ranges worked out on {part}.", part=part), *notes)
    if grid.is_discrete:  # between two whole numbers is none
        ends = tuple(dict.fromkeys(float(math.floor(end)) for end in ends))
    if len(ends) == 1 and low == high:
        notes = (
            *notes,
            message(
                "Every cell has the same value, {number}{words}.",
                number=number(low),
                words=f" {grid.unit}" if grid.unit else "",
            ),
        )
    lows = (low, *ends[:-1])
    name = style.colour_map or (palettes.DIVERGING if style.method == "standard deviation" else palettes.SEQUENTIAL)
    colours = palettes.class_colours(name, len(ends), reverse=style.reverse)
    labels = range_labels((low, *ends), is_whole=grid.is_discrete)
    rows = zip(labels, colours, lows, ends, strict=True)
    return tuple(LegendEntry(i, *row) for i, row in enumerate(rows, start=1)), notes


def range_labels(ends: Sequence[float], *, is_whole: bool = False) -> list[str]:
    """
    Write ranges with as few digits as tell their ends apart.

    Parameters
    ----------
    ends : sequence of float
        The lowest value and the upper end of each range, rising.
    is_whole : bool, optional
        True when only whole numbers occur: a range then begins after the end of the one before.

    Examples
    --------
    >>> range_labels([0, 0.123456, 0.5, 1])
    ['0 to 0.12', '0.12 to 0.5', '0.5 to 1']
    >>> range_labels([1, 3, 4, 12000], is_whole=True)
    ['1 to 3', '4', '5 to 12,000']
    """
    if is_whole:
        lows = [ends[0], *(end + 1 for end in ends[1:-1])]
        texts = [[f"{int(end):,}" for end in part] for part in (lows, ends[1:])]
        return [low if low == high else _from_to(low, high) for low, high in zip(*texts, strict=True)]
    texts_of_ends = _told_apart(ends)
    if len(set(ends)) == 1:
        return texts_of_ends[:1]
    return [_from_to(low, high) for low, high in pairwise(texts_of_ends)]


def _from_to(low: str, high: str) -> str:
    return message("{low} to {high}", low=low, high=high)


def _told_apart(ends: Sequence[float]) -> list[str]:
    largest = max(abs(end) for end in ends)
    steps = [high - low for low, high in pairwise(ends) if high > low] or [largest or 1.0]
    digits = 1 - math.floor(math.log10(min(steps)))
    if largest >= 1e12 or digits > 9:  # noqa: PLR2004 -- more digits than anybody reads
        return [f"{end:.{min(16, max(4, digits + math.ceil(math.log10(largest))))}g}" for end in ends]
    texts = [f"{end:,.{max(0, digits)}f}" for end in ends]
    return [text.rstrip("0").rstrip(".") if "." in text else text for text in texts]


# --- scales ------------------------------------------------------------------------------------------------


def _scale_legend(
    grid: Grid, values: NDArray[Any], like: Legend | None, style: Style
) -> tuple[Legend, tuple[str, ...]]:
    minimum, maximum = float(values.min()), float(values.max())
    notes: tuple[str, ...] = ()
    is_like = like is not None and like.kind == "continuous" and like.low is not None and like.high is not None
    if is_like and like is not None:
        scale, marks, low, high = like.scale or _colours_of_scale(grid, style), like.marks, like.low, like.high
    elif style.stops and grid.reach is None:
        scale, marks = _scale_of_stops(style, minimum, maximum)
        low, high = marks[0], marks[-1]
    else:
        scale, marks = _colours_of_scale(grid, style), ()
        low, high = _ends(grid, values, style)
    if grid.reach is not None and not style.colour_map:
        scale = _difference_colours()
    if (grid.classes or style.classes) and not style.is_numeric:
        notes += (message("More than {max_colours} classes: shown as numbers on a scale.", max_colours=MAX_COLOURS),)
    unit = f" {grid.unit}" if grid.unit else ""
    if minimum == maximum:
        notes += (message("Every cell has the same value, {number}{unit}.", number=number(minimum), unit=unit),)
    if style.limits or style.stops:
        notes += _beyond(values, float(low or 0.0), float(high or 0.0), unit)
    return Legend(
        title=grid.band, kind="continuous", unit=grid.unit, scale=scale, marks=marks,
        minimum=minimum, maximum=maximum, low=low, high=high,
    ), notes  # fmt: skip


def _ends(grid: Grid, values: NDArray[Any], style: Style) -> tuple[float, float]:
    if grid.reach is not None:
        return -grid.reach or -1.0, grid.reach or 1.0
    if style.limits is not None:
        return float(style.limits[0]), float(style.limits[1])
    with np.errstate(over="ignore", invalid="ignore"):
        low, high = (float(p) for p in np.percentile(values.astype(np.float64), STRETCH))
    if math.isfinite(low) and math.isfinite(high) and low < high:
        return low, high
    return float(values.min()), float(values.max())


def _beyond(values: NDArray[Any], low: float, high: float, unit: str) -> tuple[str, ...]:
    """Say how many cells lie beyond limits that somebody chose."""
    below, above = int(np.count_nonzero(values < low)), int(np.count_nonzero(values > high))
    sides = ((below, "below", low, "first"), (above, "above", high, "last"))
    return tuple(
        message(
            "{percent} of the cells lie {side} {number}{unit} and have the {which} colour.",
            percent=_percent(count, values.size),
            side=side,
            number=number(end),
            unit=unit,
            which=which,
        )
        for count, side, end, which in sides
        if count
    )


def _colours_of_scale(grid: Grid, style: Style) -> tuple[str, ...]:
    name = style.colour_map or (palettes.SEQUENTIAL if grid.reach is None else palettes.DIVERGING)
    return palettes.scale(name, reverse=style.reverse)


def _scale_of_stops(style: Style, minimum: float, maximum: float) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """
    Return the colours of a file's scale, and the values of its stops.

    The stops stand evenly spaced in the scale, whatever their values: a file may have a stop at 1 and one at
    10,000, and colours that change most between 0 and 1.
    """
    stops = style.stops[::-1] if style.reverse else style.stops
    values = [value for value, _ in style.stops]
    if style.are_shares:
        values = [minimum + share * (maximum - minimum) for share in values]
    if len(values) == 1:
        values *= 2
        stops = (*stops, *stops)
    places = np.linspace(0, 1, len(values))
    colours = palettes.interpolated(places, [colour for _, colour in stops], np.linspace(0, 1, MAX_COLOURS))
    return colours, tuple(values)


def _difference_colours() -> tuple[str, ...]:
    """Return a scale from blue over grey to red, whose middle is zero; not white: that would be "no data"."""
    return palettes.scale(palettes.DIVERGING)


def places_on_scale(values: NDArray[Any], legend: Legend) -> NDArray[np.uint8]:
    """
    Return the number of each value's colour on a continuous scale, from 1 to 255.

    Examples
    --------
    >>> legend = Legend(title="", kind="continuous", low=0.0, high=1.0)
    >>> places_on_scale(np.array([-1.0, 0.5, 9.0]), legend).tolist()
    [1, 128, 255]
    """
    low, high = legend.low or 0.0, legend.high or 0.0
    if not low < high:
        return np.where(values.astype(np.float64) > high, MAX_COLOURS, 1).astype(np.uint8)
    steps = values.astype(np.float64)
    if legend.marks:
        steps = np.interp(steps, legend.marks, np.linspace(0, 1, len(legend.marks)))
    else:
        steps /= 4  # the span of all floats is no float
        with np.errstate(over="ignore"):
            steps -= low / 4
            steps /= high / 4 - low / 4
        np.clip(steps, 0, 1, out=steps)
    steps *= MAX_COLOURS - 1
    np.rint(steps, out=steps)
    steps += 1
    return steps.astype(np.uint8)
