"""What is said of two maps and of two runs: numbers, sentences, and small arrays to draw. Pure data, no I/O.

``before`` and ``after`` are the first and the second map: input and output of a run, or the outputs of two runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dissmodel_lab.language import message

if TYPE_CHECKING:
    from affine import Affine
    from numpy.typing import NDArray
    from pyproj import CRS

    from dissmodel_lab.maps.legend import ClassValue, Legend

#: States of a pixel of :class:`ChangePicture`; of several cells in one pixel the highest counts.
NOTHING, SAME, ONE_SIDED, CHANGED = range(4)
#: The quantiles of the difference that are told [-].
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
#: The part of all differences that a scale centred on zero spans [-]; larger ones have its last colour.
SCALE_PART = 0.98


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """
    How two maps of classes differ: by how much of a class there is, or by where it is.

    Pontius, R. G. and Millones, M. (2011). Death to Kappa: birth of quantity disagreement and allocation
    disagreement for accuracy assessment. *International Journal of Remote Sensing* 32(15), 4407-4429.
    https://doi.org/10.1080/01431161.2011.552923 -- quantity and allocation.

    Pontius, R. G. and Santacruz, A. (2014). Quantity, exchange, and shift components of difference in a square
    contingency table. *International Journal of Remote Sensing* 35(21), 7543-7554.
    https://doi.org/10.1080/2150704X.2014.969814 -- allocation as exchange and shift.

    All figures are shares of what was compared [-], 0 to 1.
    """

    total: float
    """What differs: one minus the overall agreement; ``quantity + allocation``."""
    quantity: float
    """What differs because one map has more of a class than the other."""
    allocation: float
    """What differs because the classes lie elsewhere; ``exchange + shift``."""
    exchange: float
    """The part of the allocation where two classes have swapped places, pair by pair."""
    shift: float
    """The part of the allocation that is no swap of two classes."""
    class_quantity: NDArray[np.float64]
    """Quantity disagreement of each class, (classes,); their sum is twice ``quantity``."""
    class_allocation: NDArray[np.float64]
    """Allocation disagreement of each class, (classes,); their sum is twice ``allocation``."""
    weights: Literal["cells", "areas"] = "cells"
    """What the shares are of: cells, or area where cells are of different size."""


@dataclass(frozen=True, kw_only=True)
class ClassChange:
    """From which class to which, over the cells that have a class in both maps."""

    codes: tuple[ClassValue, ...]
    """The classes that occur in either map, sorted: numbers, or texts of a table's column."""
    labels: tuple[str, ...]
    """What each class is called; its code where it has no name."""
    colours: tuple[str, ...]
    """``#rrggbb`` of each class, as the maps show it."""
    cells: NDArray[np.int64]
    """Cells from each class (rows) to each class (columns), (classes, classes)."""
    areas: NDArray[np.float64]
    """The same in ``area_unit``; equal to ``cells`` where areas are unknown."""
    only_before: NDArray[np.int64]
    """Cells of each class before that have no value after, (classes,): counted apart, no change."""
    only_after: NDArray[np.int64]
    """Cells of each class after that have no value before, (classes,)."""
    area_unit: str
    """``km2``, ``ha``, ``m2``; ``cells`` or ``features`` where areas are unknown."""
    area_method: str
    """How areas were worked out, or why they are unknown: one sentence."""
    disagreement: Disagreement
    """By cells: ``total`` is the share of changed cells."""
    area_disagreement: Disagreement | None = None
    """By area, when cells are of different size; else None."""

    @property
    def cells_before(self) -> NDArray[np.int64]:
        """Compared cells of each class before: the row sums, (classes,)."""
        sums: NDArray[np.int64] = self.cells.sum(axis=1)
        return sums

    @property
    def cells_after(self) -> NDArray[np.int64]:
        """Compared cells of each class after: the column sums, (classes,)."""
        sums: NDArray[np.int64] = self.cells.sum(axis=0)
        return sums

    @property
    def areas_before(self) -> NDArray[np.float64]:
        """Area of each class before, over the compared cells [area_unit], (classes,)."""
        sums: NDArray[np.float64] = self.areas.sum(axis=1)
        return sums

    @property
    def areas_after(self) -> NDArray[np.float64]:
        """Area of each class after, over the compared cells [area_unit], (classes,)."""
        sums: NDArray[np.float64] = self.areas.sum(axis=0)
        return sums

    @property
    def has_areas(self) -> bool:
        """Whether areas are in a unit of area, not in cells."""
        return self.area_unit not in {"cells", "features"}

    def transitions(self, most: int | None = None) -> list[tuple[int, int]]:
        """
        Return the changes that occur as (from, to) positions in ``codes``, largest first.

        Parameters
        ----------
        most : int, optional
            How many at most.
        """
        off = self.cells.copy()
        np.fill_diagonal(off, 0)
        order = np.argsort(-off, axis=None, kind="stable")[: int(np.count_nonzero(off))]
        count = len(self.codes)
        return [(int(flat) // count, int(flat) % count) for flat in order[:most]]


@dataclass(frozen=True, kw_only=True)
class Extreme:
    """The cell that differs most."""

    difference: float
    """After minus before [unit]."""
    before: float
    after: float
    row: int
    """Row of the grid, from 0 at the top; of a table the row's position."""
    column: int
    """Column of the grid, from 0; 0 in a table."""
    x: float | None = None
    """Centre of the cell in the CRS of the data; None without georeference."""
    y: float | None = None


@dataclass(frozen=True, kw_only=True)
class ValueChange:
    """How values differ, after minus before, over the cells that have a value in both maps."""

    unit: str
    """Unit of the values; empty when unknown."""
    mean: float
    """Mean difference [unit]; NaN when nothing was compared, as are the following."""
    median: float
    """Median difference [unit]."""
    rmse: float
    """Root mean square difference [unit]."""
    mean_absolute: float
    """Mean absolute difference [unit]."""
    quantiles: tuple[tuple[float, float], ...]
    """(part, difference [unit]) for each of :data:`QUANTILES`; the first is the smallest, the last the largest."""
    limit: float
    """A scale from ``-limit`` to ``limit`` spans 98 % of the differences that are not zero [unit]; 0 without any."""
    largest: Extreme | None
    """The cell that differs most, the first one of them; None when none differs."""
    only_before: int
    """Cells with a value before and none after: counted apart, no change."""
    only_after: int
    """Cells with a value after and none before."""
    mean_before: float
    """Mean of the compared cells before [unit]."""
    mean_after: float
    """Mean of the compared cells after [unit]."""

    @property
    def limit_text(self) -> str:
        """Say what the scale spans."""
        share = f"{100 * SCALE_PART:.0f} %"
        return message("{share} of the differences that are not zero lie within the scale.", share=share)


@dataclass(frozen=True, kw_only=True, eq=False)
class ChangePicture:
    """
    What to draw of a change: the grid, or a smaller one in which a pixel stands for several cells.

    A pixel that stands for several cells has the highest state among them, and shows a cell of that state: the
    middle one when it is in it. ``difference`` is the largest among them. So no changed cell is lost, however
    small the picture.
    """

    state: NDArray[np.uint8]
    """(height, width): NOTHING (no value in either map), SAME, ONE_SIDED (a value in one map only) or CHANGED."""
    before: NDArray[Any]
    """(height, width): the value before; meaningless where there is none. Texts stand as positions in ``codes``."""
    after: NDArray[Any]
    """(height, width): the value after; see ``before``."""
    has_before: NDArray[np.bool_]
    """(height, width): True where there is a value before."""
    has_after: NDArray[np.bool_]
    """(height, width): True where there is a value after."""
    difference: NDArray[np.float64] | None
    """(height, width): after minus before, NaN where not compared; None for classes."""
    transform: Affine | None
    """Pixels of this picture to CRS coordinates; None when unknown."""
    crs: CRS | None
    source_size: tuple[int, int]
    """(width, height) of the compared grid [cells]."""
    cells_per_pixel: int = 1
    """How many cells a pixel stands for, at most."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Change:
    """What changed from one map to another, in one band."""

    kind: Literal["classes", "values"]
    before_name: str
    """How the first map is called: ``input``, ``run 1a2b3c4d``, a file's name."""
    after_name: str
    band: str
    """The band or column of the second map."""
    before_band: str
    """The band or column of the first map; mostly the same."""
    compared: int
    """Cells with a value in both maps."""
    changed: int
    """Those of them whose value is another one after."""
    only_before: int
    """Cells with a value before and none after: counted apart, no change."""
    only_after: int
    """Cells with a value after and none before."""
    neither: int
    """Cells without a value in both."""
    classes: ClassChange | None
    """Set when ``kind`` is ``classes``."""
    values: ValueChange | None
    """Set when ``kind`` is ``values``."""
    legend: Legend
    """Of both maps: what colours mean, and the labels of classes."""
    picture: ChangePicture
    notes: tuple[str, ...] = ()
    """Sentences that must be shown with the figures."""
    noun: Literal["cell", "feature"] = "cell"
    """What is counted: cells of a grid, features of a table."""
    bands: tuple[str, ...] = ()
    """The names that both maps have, to choose from."""

    @property
    def sentence(self) -> str:
        """``17 of 6,574 cells changed (0.26 %)``."""
        is_grid = self.noun == "cell"
        if not self.compared:
            return message(
                "No cell has a value in both maps: nothing to compare."
                if is_grid
                else "No feature has a value in both maps: nothing to compare."
            )
        if self.compared == 1:
            counted = message(
                "{n:,} of {total:,} cell changed" if is_grid else "{n:,} of {total:,} feature changed",
                n=self.changed,
                total=self.compared,
            )
        else:
            counted = message(
                "{n:,} of {total:,} cells changed" if is_grid else "{n:,} of {total:,} features changed",
                n=self.changed,
                total=self.compared,
            )
        share = percent(self.changed / self.compared)
        return message("{counted} ({share})", counted=counted, share=share) if self.changed else counted

    @property
    def total(self) -> int:
        """All cells: compared, in one map only, in neither."""
        return self.compared + self.only_before + self.only_after + self.neither

    @property
    def band_text(self) -> str:
        """The band's name; both names when they differ."""
        if self.band == self.before_band:
            return self.band
        return message("{before} to {after}", before=self.before_band, after=self.band)


@dataclass(frozen=True, kw_only=True)
class ValuePair:
    """One name with its value in two runs: a parameter, a metric, a version, a phase's seconds."""

    name: str
    first: Any = None
    """The value without secrets; None where ``in_first`` is False."""
    second: Any = None
    in_first: bool = True
    in_second: bool = True

    @property
    def differs(self) -> bool:
        """Whether the two runs differ in it."""
        return self.in_first != self.in_second or not _same(self.first, self.second)

    @property
    def difference(self) -> float | None:
        """Second minus first; None unless both are numbers."""
        if not (_is_number(self.first) and _is_number(self.second)):
            return None
        try:
            return float(self.second - self.first)
        except OverflowError:  # a whole number of 400 digits: somebody else's record
            return None

    @property
    def ratio(self) -> float | None:
        """Second over first; None unless both are numbers and the first is not 0."""
        if not (_is_number(self.first) and _is_number(self.second)) or not self.first:
            return None
        try:
            return float(self.second / self.first)
        except OverflowError:
            return None


@dataclass(frozen=True, kw_only=True)
class RunSide:
    """What names one of the two runs."""

    experiment_id: str
    model_name: str
    title: str
    """The parameters that make it what it is; see :mod:`dissmodel_lab.titles`."""
    status: str
    created: str
    """ISO 8601, UTC."""
    source_uri: str
    source_sha256: str
    output_sha256: str

    @property
    def short_id(self) -> str:
        """The first eight letters of the id."""
        return self.experiment_id[:8]


@dataclass(frozen=True, kw_only=True, eq=False)
class RunComparison:
    """Two runs side by side."""

    first: RunSide
    second: RunSide
    parameters: tuple[ValuePair, ...]
    """Those that differ, by name; nested ones are flat: ``potential_data[0].betas.dist``."""
    same_parameters: int
    """How many are the same."""
    metrics: tuple[ValuePair, ...]
    """All of both runs, the same ones too; without the seconds, which are ``timings``."""
    timings: tuple[ValuePair, ...]
    """Seconds of each phase [s]."""
    versions: tuple[ValuePair, ...]
    """Of software, those that differ."""
    same_versions: int
    """How many are the same."""
    input_sentence: str
    """Whether the two runs read the same input."""
    same_input: bool | None
    """None when a checksum is missing."""
    same_output: bool | None
    """Whether the outputs are the same byte for byte; None when a checksum is missing."""
    changes: tuple[Change, ...] = ()
    """Output of the first to output of the second, a band each; the one that maps show first."""
    problem: str = ""
    """Why the outputs are not compared, and what to do; empty when they are."""
    notes: tuple[str, ...] = field(default=())
    """Sentences that must be shown with it."""

    @property
    def sentence(self) -> str:
        """What differs, in one line."""
        count = len(self.parameters)
        if count > 1:
            said = message("{n:,} parameters differ", n=count)
        else:
            said = message("1 parameter differs") if count else message("The parameters are the same")
        if not self.changes:
            return message("{said}.", said=said)
        first = self.changes[0]
        return message("{said}; {band}: {change}.", said=said, band=first.band_text, change=first.sentence)


def percent(share: float) -> str:
    """
    Write a share in percent: never 0 % when there is something, never 100 % when something is missing.

    Examples
    --------
    >>> percent(17 / 6574), percent(1e-9), percent(0.999999), percent(1.0), percent(0.5)
    ('0.26 %', 'less than 0.01 %', 'more than 99.99 %', '100 %', '50 %')
    """
    if 0 < share < 0.00005:  # noqa: PLR2004 -- what two digits can show [-]
        return message("less than 0.01 %")
    if 0.99995 <= share < 1:  # noqa: PLR2004
        return message("more than 99.99 %")
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + " %"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(first: Any, second: Any) -> bool:
    """Compare JSON values: 1 and 1.0 are one number, 1 and true are not the same."""
    if isinstance(first, bool) != isinstance(second, bool):
        return False
    if isinstance(first, float) and isinstance(second, float) and first != first and second != second:  # noqa: PLR0124 -- NaN
        return True
    try:
        return bool(first == second)
    except Exception:  # noqa: BLE001 -- values of others compare as they like
        return repr(first) == repr(second)
