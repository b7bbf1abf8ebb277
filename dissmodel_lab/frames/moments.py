"""What a frame is: when it was taken, what it shows, and what is needed to draw it later."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from dissmodel_lab.language import message

if TYPE_CHECKING:
    from dissmodel_lab.rasters import Classes

#: What the only band of an array is called, as on maps.
UNNAMED = "band_1"


class Shown(NamedTuple):
    """Which map is shown: the layer's name, as the model calls it, and its band or column."""

    layer: str
    band: str

    @property
    def name(self) -> str:
        """The band's name; the layer's for an array, whose only band has none of its own."""
        return self.layer if self.layer and self.band == UNNAMED else self.band

    @property
    def title(self) -> str:
        """Both in one."""
        return f"{self.band} ({self.layer})" if self.layer and self.band != UNNAMED else self.name


@dataclass(frozen=True, slots=True)
class Moment:
    """When a frame was taken."""

    step: int
    """From 1; 0 is the state before the first step."""
    n_steps: int | None = None
    label: str = ""
    time: float | None = None
    part: int = 1
    count: int = 0
    """Steps of the whole run until then, counted over all of its parts."""

    @property
    def text(self) -> str:
        """
        Name the moment for people.

        Examples
        --------
        >>> Moment(3, 20, "year 2030").text, Moment(0).text, Moment(2, part=2).text
        ('step 3 of 20: year 2030', 'start', 'part 2, step 2')
        """
        if not self.step:
            said = message("start")
        elif self.n_steps:
            said = message("step {step} of {total}", step=self.step, total=self.n_steps)
        else:
            said = message("step {step}", step=self.step)
        if self.part > 1:
            said = message("part {part}, {step}", part=self.part, step=said)
        return message("{step}: {label}", step=said, label=self.label) if self.label else said


@dataclass(slots=True)
class Series:
    """
    Numbers that the model reported, by name, over the steps of the run.

    Examples
    --------
    >>> Series([1, 2], [2020.0, 2021.0], {"area": [1.5, 2.5]}).x_name
    'time'
    """

    counts: list[int] = field(default_factory=list)
    """Steps of the whole run so far, counted over all of its parts."""
    times: list[float] = field(default_factory=list)
    """Simulated time, NaN where the model told none."""
    values: dict[str, list[float]] = field(default_factory=dict)
    """Each as long as ``counts``; NaN where there was no value."""

    @property
    def x_name(self) -> str:
        """``time`` where every point has one and it never runs back, else ``step``."""
        known = self.times and not any(map(math.isnan, self.times))
        return "time" if known and self.times == sorted(self.times) else "step"

    @property
    def x(self) -> list[float]:
        """Where the points stand."""
        return self.times if self.x_name == "time" else [float(count) for count in self.counts]


@dataclass(frozen=True, slots=True, eq=False)
class Backdrop:
    """What is needed to draw a small copy later: its place, and what its values mean."""

    size: tuple[int, int] = (0, 0)
    """(width, height) of the raster that it was taken from [cells]."""
    factor: int = 1
    """One of so many rows and columns was copied."""
    transform: Any = None
    crs: Any = None
    nodata: float | None = None
    exists: Any = None
    """A small copy of the raster's mask band, which says which cells exist; None when it has none."""
    classes: Classes | None = None
    unit: str = ""
    geometry: Any = None
    """The shapes of a table, one a row; None for a raster."""


@dataclass(frozen=True, slots=True, eq=False)
class RawFrame:
    """A copy that has no colours yet."""

    moment: Moment
    shown: Shown
    values: Any
    """(height, width) of a raster, or a table's column."""
    backdrop: Backdrop
