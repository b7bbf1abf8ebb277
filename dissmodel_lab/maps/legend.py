"""Values -> colours, and the legend that says what each colour means.

A band is a band of classes when it carries a legend or colour table, or holds whole numbers, truth values
or texts with few distinct values; otherwise it is continuous and drawn on a colour scale. The legend is the
data's own, else the one in its executor's constants (:mod:`.classes`), else colours for every kind of colour
vision. A class keeps
its colour from one map to the next, because the colour follows from its code.
"""

from __future__ import annotations

import colorsys
import functools
import math
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from dissmodel_lab.maps.grid import Grid

ClassValue = int | float | str

#: More distinct whole numbers than this are a quantity, not classes.
MAX_CLASSES = 32
#: What a class is called that has no name where others have one.
STRANGER = "not in the legend"
#: A paletted picture has 256 colours; index 0 is "no data".
MAX_COLOURS = 255
#: Longer legends of the data list only the classes that occur.
MAX_LISTED = 40
#: The part of the values that a continuous scale stretches over [%].
STRETCH = (2.0, 98.0)

#: Qualitative colours for every kind of colour vision: Okabe and Ito (2008), Color Universal Design, without
#: black; then Tol (2021), Colour Schemes, SRON/EPS/TN/09-002 issue 3.2, "muted" and "light".
PALETTE = (
    "#56b4e9", "#e69f00", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#999999",
    "#332288", "#88ccee", "#44aa99", "#117733", "#999933", "#ddcc77", "#cc6677", "#882255", "#aa4499",
    "#dddddd", "#77aadd", "#99ddff", "#44bb99", "#bbcc33", "#aaaa00", "#eedd88", "#ee8866", "#ffaabb",
)  # fmt: skip


@dataclass(frozen=True)
class LegendEntry:
    """One class: its value in the data, its label and its colour."""

    value: ClassValue
    label: str
    colour: str
    """``#rrggbb``."""

    @property
    def text(self) -> str:
        """Label and code: ``sea (2)``; the code alone when there is no label."""
        return self.label if self.label == str(self.value) else f"{self.label} ({self.value})"


@dataclass(frozen=True, kw_only=True)
class Legend:
    """What the colours of one map mean."""

    title: str
    """The band's name."""
    kind: Literal["classes", "continuous", "empty"]
    """``empty`` when no cell has a value."""
    unit: str = ""
    """Unit of the values."""
    entries: tuple[LegendEntry, ...] = ()
    """The classes; colour index i is ``entries[i - 1]``."""
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

    @property
    def colours(self) -> tuple[str, ...]:
        """The picture's palette without index 0, which is transparent."""
        return self.scale or tuple(entry.colour for entry in self.entries)

    @property
    def range_text(self) -> str:
        """Say the range of the values and, when the scale is narrower, of the colours."""
        if self.minimum is None or self.maximum is None or self.low is None or self.high is None:
            return ""
        values = f"values {number(self.minimum)} to {number(self.maximum)}{self._unit}"
        if (self.low, self.high) == (self.minimum, self.maximum):
            return values
        return f"{values}; colours from {number(self.low)} to {number(self.high)}{self._unit}"

    @property
    def _unit(self) -> str:
        return f" {self.unit}" if self.unit else ""

    @property
    def summary(self) -> str:
        """One sentence for those who can't see the colours."""
        if self.kind == "empty":
            return "no data"
        if self.kind == "continuous":
            return self.range_text
        labels = [entry.label for entry in self.entries]
        shown = ", ".join(labels[:8])
        return f"classes {shown}" + (f" and {len(labels) - 8} more" if len(labels) > 8 else "")  # noqa: PLR2004 -- what fits a sentence

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


def paint(grid: Grid, like: Legend | None = None) -> tuple[Legend, NDArray[np.uint8], tuple[str, ...]]:
    """
    Give every cell of a grid a colour.

    Parameters
    ----------
    grid : Grid
        One band.
    like : Legend, optional
        The legend of another map of the same band: its colours and its scale are kept, so that the two
        can be compared.

    Returns
    -------
    legend : Legend
        What the colours mean.
    index : ndarray of uint8
        (height, width); 0 where there is no data, else i for ``legend.colours[i - 1]``.
    notes : tuple of str
        What must be said with the map.
    """
    values = grid.values[grid.valid]
    notes = _missing_note(grid.valid)
    if not values.size:
        return Legend(title=grid.band, kind="empty", unit=grid.unit), np.zeros(grid.valid.shape, np.uint8), notes
    codes = _codes(grid, values)
    if codes is not None:
        legend, more = _classes_legend(grid, codes, like)
        order = {entry.value: i for i, entry in enumerate(legend.entries, start=1)}
        colours = np.array([order[_class_value(grid, code)] for code in codes], np.uint8)
        painted = colours[np.searchsorted(codes, values)]
    else:
        legend, more = _scale_legend(grid, values, like)
        painted = _on_scale(values, legend)
    index = np.zeros(grid.valid.shape, np.uint8)
    index[grid.valid] = painted
    return legend, index, (*notes, *more)


def _missing_note(valid: NDArray[np.bool_]) -> tuple[str, ...]:
    missing = valid.size - int(np.count_nonzero(valid))
    if not missing:
        return ()
    if missing == valid.size:
        return ("No cell has a value: nothing to show.",)
    percent = 100 * missing / valid.size
    share = "less than 1" if percent < 1 else "more than 99" if percent > 99 else f"{percent:.0f}"  # noqa: PLR2004 -- [%]
    return (f"No data in {share} % of the cells (transparent).",)


def _codes(grid: Grid, values: NDArray[Any]) -> NDArray[Any] | None:
    """Return the distinct values, sorted, when the band is one of classes; else None."""
    if grid.reach is not None or not (grid.is_discrete or grid.classes or grid.names):
        return None
    codes = np.unique(values)
    return codes if len(codes) <= (MAX_COLOURS if grid.classes or grid.names else MAX_CLASSES) else None


def _class_value(grid: Grid, code: Any) -> ClassValue:
    if grid.names is not None:
        return grid.names[int(code)]
    return int(code) if float(code).is_integer() else float(code)


def _classes_legend(grid: Grid, codes: NDArray[Any], like: Legend | None) -> tuple[Legend, tuple[str, ...]]:
    present = [_class_value(grid, code) for code in codes]
    declared: dict[Any, tuple[str, str]] = dict(grid.classes or {})
    known = {entry.value: entry for entry in like.entries} if like and like.kind == "classes" else {}
    listed: dict[ClassValue, None] = dict.fromkeys(present)
    if len(declared) <= MAX_LISTED:
        listed |= dict.fromkeys(declared)
    if len(listed | dict.fromkeys(known)) <= MAX_COLOURS:
        listed |= dict.fromkeys(known)
    values = list(listed) if grid.names is not None else sorted(listed, key=_sort_key)
    colours = _colours(values, declared, known)
    strangers = [v for v in present if v not in declared] if declared else []
    entries = tuple(
        LegendEntry(v, _label(v, declared, known, is_stranger=v in strangers), colours[v]) for v in values
    )
    notes: tuple[str, ...] = ()
    if strangers:
        notes += (f"Not in the legend of the data: {', '.join(map(str, strangers[:8]))}.",)
    if sum(not declared.get(value, ("", ""))[1] for value in values) > len(PALETTE):
        notes += (f"{len(entries)} classes: more than colours that can be told apart; click to be sure.",)
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
) -> dict[ClassValue, str]:
    """Choose the data's own colours, then those of the map to be compared with, then a free one by code."""
    colours = {v: entry.colour for v, entry in known.items() if v in values}
    colours |= {v: declared[v][1].lower() for v in values if v in declared and declared[v][1]}
    taken = set(colours.values())
    for position, value in enumerate(values):
        if value not in colours:
            wish = value if isinstance(value, int) else position
            colours[value] = _free_colour(wish, taken)
            taken.add(colours[value])
    return colours


def _free_colour(wish: int, taken: set[str]) -> str:
    start = wish % len(PALETTE)
    for colour in chain(PALETTE[start:], PALETTE[:start], _more_colours()):
        if colour not in taken:
            return colour
    raise AssertionError("a legend has at most 255 entries")  # pragma: no cover -- 26 + 512 colours


def _more_colours() -> Iterable[str]:
    """Further colours, each far in hue from the one before (golden ratio)."""
    for i in range(512):
        red, green, blue = colorsys.hsv_to_rgb(i * 0.61803 % 1, 0.45 + 0.15 * (i % 3), 0.95 - 0.15 * (i % 4))
        yield f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def _scale_legend(grid: Grid, values: NDArray[Any], like: Legend | None) -> tuple[Legend, tuple[str, ...]]:
    minimum, maximum = float(values.min()), float(values.max())
    notes: tuple[str, ...] = ()
    if like is not None and like.kind == "continuous" and like.low is not None and like.high is not None:
        low, high = like.low, like.high
    elif grid.reach is not None:
        low, high = -grid.reach or -1.0, grid.reach or 1.0
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            low, high = (float(p) for p in np.percentile(values.astype(np.float64), STRETCH))
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            low, high = minimum, maximum
    if grid.classes or grid.names:
        notes += (f"More than {MAX_COLOURS} classes: shown as numbers on a scale.",)
    if minimum == maximum:
        notes += (f"Every cell has the same value, {number(minimum)}{f' {grid.unit}' if grid.unit else ''}.",)
    return Legend(
        title=grid.band, kind="continuous", unit=grid.unit,
        scale=_scale_colours() if grid.reach is None else _difference_colours(),
        minimum=minimum, maximum=maximum, low=low, high=high,
    ), notes  # fmt: skip


@functools.cache
def _difference_colours() -> tuple[str, ...]:
    """
    Return a scale from blue over grey to red, told apart with every kind of colour vision; the middle is zero.

    Its middle is a grey, not white, so that "the same" is not taken for "no data". Moreland (2009), Diverging
    Color Maps for Scientific Visualization, ISVC 2009, LNCS 5876, 92-103.
    """
    from matplotlib import colormaps  # noqa: PLC0415 -- as below
    from matplotlib.colors import to_hex  # noqa: PLC0415

    coolwarm = colormaps["coolwarm"]
    return tuple(to_hex(coolwarm(i / (MAX_COLOURS - 1))) for i in range(MAX_COLOURS))


@functools.cache
def _scale_colours() -> tuple[str, ...]:
    """
    Return viridis, even in steps of lightness and readable with every kind of colour vision.

    Smith and van der Walt (2015), "A Better Default Colormap for Matplotlib", SciPy 2015.
    """
    from matplotlib import colormaps  # noqa: PLC0415 -- 0.2 s, only for continuous bands
    from matplotlib.colors import to_hex  # noqa: PLC0415

    viridis = colormaps["viridis"]
    return tuple(to_hex(viridis(i / (MAX_COLOURS - 1))) for i in range(MAX_COLOURS))


def _on_scale(values: NDArray[Any], legend: Legend) -> NDArray[np.uint8]:
    low, high = legend.low or 0.0, legend.high or 0.0
    if not low < high:
        return np.where(values.astype(np.float64) > high, MAX_COLOURS, 1).astype(np.uint8)
    steps = values.astype(np.float64)
    steps /= 4  # the span of all floats is no float
    with np.errstate(over="ignore"):
        steps -= low / 4
        steps /= high / 4 - low / 4
    np.clip(steps, 0, 1, out=steps)
    steps *= MAX_COLOURS - 1
    np.rint(steps, out=steps)
    steps += 1
    return steps.astype(np.uint8)
