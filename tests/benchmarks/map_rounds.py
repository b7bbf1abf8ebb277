"""One map, drawn in every way in rounds, each picture by a process of its own; and the lines that come out of it."""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import peers
from machine import Rounds, in_rounds
from map_process import Drawn, drawn
from table import Growth, Line, line_of_rounds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

OURS = "ours"


class Figure(NamedTuple):
    """What is compared."""

    item: str
    what: str
    value: Callable[[Drawn], float]
    unit: str = "ms"


@dataclass(frozen=True)
class Way:
    """A way to draw a map."""

    name: str
    package: str = ""
    """Of a peer; what has none is drawn with our own Python."""
    is_slow: bool = False
    """Drawn once, beside one more picture of ours."""
    most: float = float("inf")
    """A larger map than that is not drawn: it would not fit, or take many minutes."""

    @property
    def python(self) -> str:
        """The interpreter that has it."""
        return peers.python() if self.package else sys.executable


@dataclass(frozen=True)
class Map:
    """One map, and what drawing it took."""

    name: str
    ways: Mapping[str, Way]
    often: Rounds
    seldom: Rounds
    reasons: Mapping[str, str]
    """Why a way was not taken."""

    @property
    def pictures(self) -> list[Drawn]:
        """Ours, one a round."""
        return self.often.column(OURS)

    def drawn_by(self, way: str) -> list[Drawn]:
        """Return the pictures of one way; none when it was not taken in every round, or seldom."""
        is_complete = bool(self.often.figures) and all(way in figures for figures in self.often.figures)
        return self.often.column(way) if is_complete else []

    def beside(self, figure: Figure, way: str, goal: float | None = None) -> Line:
        """Return the line of a figure beside another way's."""
        name = f"{figure.what}, {self.name}"
        for rounds in (self.often, self.seldom):
            if rounds.figures and all(way in figures for figures in rounds.figures):
                sides = tuple([figure.value(one) for one in rounds.column(each)] for each in (OURS, way))
                return line_of_rounds(figure.item, name, sides, self.ways[way].name, goal=goal, unit=figure.unit)
        mine = statistics.median(map(figure.value, self.pictures))
        reason = self.reasons.get(way, "not drawn")
        return Line(figure.item, name, mine, self.ways[way].name, None, figure.unit, goal=goal, reason=reason)

    def alone(self, figure: Figure, goal: float | None, take: Callable[[Iterable[float]], float]) -> Line:
        """Return the line of a figure of ours: the median or the largest of the rounds."""
        mine = take([figure.value(one) for one in self.pictures])
        return Line(figure.item, f"{figure.what}, {self.name}", mine, "", None, figure.unit, goal=goal)

    def raw(self) -> dict[str, Rounds]:
        """Return the raw figures."""
        return {self.name: self.often, f"{self.name}, slow peers": self.seldom}


def growth_of(
    maps: Sequence[tuple[str, float, Map]], figures: Sequence[Figure], ways: Sequence[str], of: str
) -> list[Growth]:
    """Return how figures grow over maps of one kind, (kind, size, map), for ours and some other ways."""
    found = []
    for figure in figures:
        for kind, way in ((kind, way) for kind in dict.fromkeys(kind for kind, _, _ in maps) for way in ways):
            drawn_ones = [(size, one.drawn_by(way)) for its_kind, size, one in maps if its_kind == kind]
            points = [(size, _middle(figure, all_of)) for size, all_of in drawn_ones if all_of]
            if len(points) > 1 and all(value > 0 for _, value in points):
                name = "dissmodel_lab" if way == OURS else maps[0][2].ways[way].name
                found.append(Growth(figure.item, f"{figure.what}, {kind}, {name}", of, points, figure.unit))
    return found


def _middle(figure: Figure, pictures: Sequence[Drawn]) -> float:
    """Return the median; 0 where the way has no such figure."""
    try:
        return statistics.median(map(figure.value, pictures))
    except KeyError:
        return 0.0


def draw_in_rounds(
    name: str,
    size: float,
    ways: Mapping[str, Way],
    words: Callable[[str], list[str]],
    answers: Mapping[str, str],
    *,
    count: int,
) -> Map:
    """
    Draw a map in every way.

    ``words`` returns a way's command behind its interpreter. A peer that fails is not drawn again; the report
    says why.
    """
    print(f"  {name} ...", file=sys.stderr)
    reasons = {way: peers.reason(dict(answers), one.package) for way, one in ways.items() if one.package}
    reasons |= {way: f"not above {one.most:,.0f}" for way, one in ways.items() if size > one.most}
    reasons = {way: reason for way, reason in reasons.items() if reason}

    def one_round(*, is_slow: bool) -> dict[str, Drawn]:
        found = {}
        for way, one in ways.items():
            if way in reasons or (way != OURS and one.is_slow != is_slow):
                continue
            try:
                found[way] = drawn([one.python, "-W", "ignore", *words(way)])
            except Exception as error:
                if not one.package:
                    raise
                reasons[way] = f"{type(error).__name__}: {error!s:.100}"
        return found

    often = in_rounds(count, lambda: one_round(is_slow=False))
    seldom = in_rounds(1, lambda: one_round(is_slow=True))
    return Map(name, ways, often, seldom, reasons)
