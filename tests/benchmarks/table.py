"""The report: one line a figure, ours beside another's, with the goal and whether it holds."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from machine import median_ratio, range_of_ratios

if TYPE_CHECKING:
    from machine import Rounds

HOLDS, MISSES = "holds", "MISSES"
HEADINGS = ("item", "figure", "ours", "beside", "theirs", "ratio", "spread", "(best)", "goal", "")
GROWTH_HEADINGS = ("item", "figure", "of", "sizes", "each", "exponent")
FEWEST_SIZES = 3
"""Fewer don't tell how a figure grows."""


@dataclass(frozen=True)
class Line:
    """One comparison."""

    item: str
    """The goal's number in the list of goals: 1a, 1b, 2a, ..."""
    figure: str
    ours: float | None
    beside: str
    """The floor or the peer."""
    theirs: float | None
    unit: str = "ms"
    ratio: float | None = None
    """ours / theirs; computed from the two when not given."""
    spread: tuple[float, float] | None = None
    """The least and the largest ratio of a round."""
    best: float | None = None
    """The same of the best of each: what the machine's other work disturbs least."""
    goal: float | None = None
    """What the ratio (or ``ours`` itself, where there is nothing beside) must not pass; None: for information."""
    kind: Literal["at most", "at least"] = "at most"
    reason: str = ""
    """Why the other one is not available."""

    @property
    def measured(self) -> float | None:
        """What is held against the goal."""
        if self.ratio is not None:
            return self.ratio
        if self.theirs is None:
            return None if self.beside else self.ours
        return None if self.ours is None else self.ours / self.theirs

    @property
    def verdict(self) -> str:
        """``holds``, ``MISSES``, or empty where there is no goal or no figure."""
        if self.goal is None or self.measured is None:
            return ""
        held = self.measured <= self.goal if self.kind == "at most" else self.measured >= self.goal
        return HOLDS if held else MISSES

    def cells(self) -> tuple[str, ...]:
        """Return the texts of the table's row."""
        ratio = self.measured if self.beside else None
        sign = "<=" if self.kind == "at most" else ">="
        goal = "" if self.goal is None else f"{sign} {number(self.goal)}{'x' if self.beside else ' ' + self.unit}"
        return (
            self.item,
            self.figure,
            with_unit(self.ours, self.unit),
            self.beside,
            f"not available: {self.reason}" if self.reason else with_unit(self.theirs, self.unit),
            "" if ratio is None else f"{number(ratio)}x",
            "" if self.spread is None else " to ".join(map(number, self.spread)),
            "" if self.best is None else f"({number(self.best)}x)",
            goal,
            self.verdict,
        )


@dataclass(frozen=True)
class Growth:
    """How one figure grows with the size of what it is taken of."""

    item: str
    figure: str
    of: str
    """What the sizes count."""
    points: list[tuple[float, float]]
    """(size, figure), by size."""
    unit: str = "ms"

    @property
    def exponent(self) -> float | None:
        """
        The power of the size with which it grows: 0 not at all, 1 in proportion; None when it can't be told.

        Least squares of the logarithms.
        """
        points = [(math.log(size), math.log(value)) for size, value in self.points if size > 0 and value > 0]
        if len(points) < FEWEST_SIZES:
            return None
        return statistics.linear_regression(*zip(*points, strict=True)).slope

    def cells(self) -> tuple[str, ...]:
        """Return the texts of the table's row."""
        exponent = self.exponent
        return (
            self.item,
            self.figure,
            self.of,
            " / ".join(f"{size:,.0f}" for size, _ in self.points),
            " / ".join(number(value) for _, value in self.points) + f" {self.unit}",
            "" if exponent is None else f"{exponent:.2f}",
        )


@dataclass(frozen=True)
class Part:
    """What one part of the benchmark found."""

    lines: list[Line]
    rounds: dict[str, Rounds]
    """The raw figures, by what was measured."""
    growth: list[Growth] = field(default_factory=list)


def compared(ours: list[float], theirs: list[float]) -> dict[str, Any]:
    """Return the ratio of two figures of the same rounds, and its spread, as a line takes them."""
    return {"ratio": median_ratio(ours, theirs), "spread": range_of_ratios(ours, theirs)}


def line_of_rounds(
    item: str,
    figure: str,
    sides: tuple[list[float], list[float]],
    beside: str,
    *,
    goal: float | None = None,
    unit: str = "ms",
) -> Line:
    """Return the line of two figures of the same rounds, ours and theirs."""
    ours, theirs = sides
    return Line(
        item,
        figure,
        statistics.median(ours),
        beside,
        statistics.median(theirs),
        unit,
        **compared(ours, theirs),
        best=min(ours) / min(theirs),
        goal=goal,
    )


def set_in_columns(rows: list[tuple[str, ...]], widest: int = 200) -> str:
    """Set rows in columns, the first one the headings; what is not available may be longer than its column."""
    widths = [
        max(len(row[column]) if "not available" not in row[column] else widest for row in rows)
        for column in range(len(rows[0]))
    ]
    texts = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    rule = "-" * max(len(text) for text in texts if "not available" not in text)
    return "\n".join([texts[0], rule, *texts[1:]])


def number(value: float) -> str:
    """Write a number with three digits."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def with_unit(value: float | None, unit: str) -> str:
    """Write a figure; nothing when there is none."""
    return "" if value is None else f"{number(value)} {unit}"
