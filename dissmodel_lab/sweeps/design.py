"""What a sweep runs: its axes, and a point for each run. Pure data: nothing here reads files or runs a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

AxisKind = Literal["number", "whole", "date", "choice"]
Sampling = Literal["grid", "lhs", "sobol", "morris", "saltelli"]

SEED = "seed"
"""The parameter that the seeds of a sweep go to."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """
    A parameter that a sweep varies, and over what.

    Either it has ``values``, in their order; or, of a design that samples, it is a range from ``low`` to
    ``high`` without values of its own.
    """

    name: str
    """Of the parameter."""
    kind: AxisKind
    """``number``, ``whole`` (a whole number) and ``date`` have an order; ``choice`` (a text, a truth) has none."""
    text: str
    """As a person wrote it: ``0.1:2.0:20``."""
    values: tuple[Any, ...] = ()
    """The values, each once, in the order in which they were given; empty for a range that is sampled."""
    low: Any = None
    """The lower end; of a list, its smallest value. None for a choice."""
    high: Any = None
    """The upper end; of a list, its largest value. None for a choice."""
    is_log: bool = False
    """Whether steps are equal in the logarithm: draw it so, too."""
    unit: str = ""
    """As the model declares it, such as ``m``; empty when it declares none."""
    description: str = ""
    """What the model says of it."""

    @property
    def is_ordered(self) -> bool:
        """
        Whether its values can stand on a line.

        Examples
        --------
        >>> Axis(name="rule", kind="choice", text="von,moore", values=("von", "moore")).is_ordered
        False
        """
        return self.kind != "choice"

    @property
    def label(self) -> str:
        """
        Return the name with the unit.

        Examples
        --------
        >>> Axis(name="rise", kind="number", text="0:1", low=0.0, high=1.0, unit="m").label
        'rise [m]'
        >>> Axis(name="years", kind="whole", text="1:9", low=1, high=9, unit="years").label
        'years'
        """
        return f"{self.name} [{self.unit}]" if self.unit not in ("", self.name) else self.name


@dataclass(frozen=True, slots=True)
class DesignPoint:
    """One run of a sweep."""

    number: int
    """From 1 on."""
    setting: int
    """Which combination of parameters, from 1 on: with several seeds, several points share one."""
    parameters: Mapping[str, Any]
    """The value of each axis, by name."""
    seed: int | None = None
    """The value of the parameter ``seed``; None when the sweep sets none."""


@dataclass(frozen=True, kw_only=True)
class SweepDesign:
    """
    All runs of a sweep, known before the first one begins.

    Examples
    --------
    >>> axis = Axis(name="rise", kind="number", text="0.1,0.2", values=(0.1, 0.2), low=0.1, high=0.2)
    >>> design = SweepDesign(model_name="flood", axes=(axis,), sample="grid", settings=((0.1,), (0.2,)), seeds=(1, 2))
    >>> design.n_runs, design.point(3)
    (4, DesignPoint(number=3, setting=2, parameters={'rise': 0.2}, seed=1))
    """

    model_name: str
    axes: tuple[Axis, ...]
    """Those that vary; in a grid the last one varies fastest."""
    sample: Sampling
    """``grid`` (all combinations), ``lhs`` (Latin hypercube), ``sobol`` (a Sobol' sequence: fills the space evenly),
    ``morris`` (trajectories, for screening), ``saltelli`` (for Sobol' indices)."""
    settings: tuple[tuple[Any, ...], ...]
    """The values of the axes, one tuple a combination."""
    seeds: tuple[int, ...] = ()
    """Each setting is run once with each of these; empty when the sweep sets no seed."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Values that are the same in all runs; what is neither here nor an axis has the model's default."""
    design_seed: int = 0
    """Of the random numbers that chose the settings; a grid needs none."""
    units: tuple[tuple[float, ...], ...] = ()
    """For ``morris``: where each setting lies in the unit cube [-]; empty for the others."""
    notes: tuple[str, ...] = ()
    """What a person should know of it before it runs, a sentence each."""

    @property
    def n_settings(self) -> int:
        """How many combinations of parameters there are."""
        return len(self.settings)

    @property
    def n_seeds(self) -> int:
        """How often each combination is run."""
        return max(1, len(self.seeds))

    @property
    def n_runs(self) -> int:
        """How many runs there are in all; points are numbered from 1 to this."""
        return self.n_settings * self.n_seeds

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the axes."""
        return tuple(axis.name for axis in self.axes)

    def axis(self, name: str) -> Axis:
        """
        Return the axis of a parameter.

        Raises
        ------
        KeyError
            When that parameter is not varied.
        """
        for axis in self.axes:
            if axis.name == name:
                return axis
        raise KeyError(name)

    def point(self, number: int) -> DesignPoint:
        """
        Return a point by its number.

        Parameters
        ----------
        number : int
            From 1 to ``n_runs``.

        Raises
        ------
        IndexError
            When there is no such point.
        """
        if not 1 <= number <= self.n_runs:
            raise IndexError(
                message("Points are numbered from 1 to {n_runs:,}, got {number}.", n_runs=self.n_runs, number=number)
            )
        setting, repeat = divmod(number - 1, self.n_seeds)
        values = dict(zip(self.names, self.settings[setting], strict=True))
        return DesignPoint(number, setting + 1, values, self.seeds[repeat] if self.seeds else None)

    @property
    def points(self) -> Iterator[DesignPoint]:
        """All points, in the order of their numbers; each is made when it is asked for."""
        return (self.point(number) for number in range(1, self.n_runs + 1))
