"""The report: one line a figure, ours beside another's, with the goal and whether it holds."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from machine import median_ratio

if TYPE_CHECKING:
    from machine import Rounds

HOLDS, MISSES = "holds", "MISSES"
HEADINGS = ("item", "figure", "ours", "beside", "theirs", "ratio", "(best)", "goal", "")


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
        goal = "" if self.goal is None else f"{sign} {_number(self.goal)}{'x' if self.beside else ' ' + self.unit}"
        return (
            self.item,
            self.figure,
            _with_unit(self.ours, self.unit),
            self.beside,
            f"not available: {self.reason}" if self.reason else _with_unit(self.theirs, self.unit),
            "" if ratio is None else f"{_number(ratio)}x",
            "" if self.best is None else f"({_number(self.best)}x)",
            goal,
            self.verdict,
        )


@dataclass(frozen=True)
class Part:
    """What one part of the benchmark found."""

    lines: list[Line]
    rounds: dict[str, Rounds]
    """The raw figures, by what was measured."""


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
        ratio=median_ratio(ours, theirs),
        best=min(ours) / min(theirs),
        goal=goal,
    )


def table(lines: list[Line]) -> str:
    """Set the lines in columns."""
    rows = [HEADINGS, *(line.cells() for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    widths[4] = min(widths[4], 14)  # reasons may be long; they stand alone on their line
    texts = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    rule = "-" * max(len(text) for text in texts if "not available" not in text)
    return "\n".join([texts[0], rule, *texts[1:]])


def _number(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _with_unit(value: float | None, unit: str) -> str:
    return "" if value is None else f"{_number(value)} {unit}"
