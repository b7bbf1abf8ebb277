"""Axes -> settings: which combinations of values a design runs. The same seed gives the same settings."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from dissmodel_lab.errors import SweepError, did_you_mean
from dissmodel_lab.language import message
from dissmodel_lab.sweeps.design import Sampling
from dissmodel_lab.sweeps.ranges import value_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from dissmodel_lab.sweeps.design import Axis

SAMPLINGS: tuple[str, ...] = get_args(Sampling)
MORRIS_LEVELS = 4
"""Into how many values a trajectory divides each range; Morris's own advice is a small even number."""
_FEWEST_TRAJECTORIES = 4
"""With fewer, an interval of the effects means nothing."""
_USUAL_TRAJECTORIES = 10
_FEWEST_BASE, _USUAL_BASE = 8, 64
"""Of the base sample of a Saltelli design: below, intervals mean nothing."""
_USUAL_PER_AXIS = 10
"""Loeppky, J. L. et al. (2009). Choosing the sample size of a computer experiment. *Technometrics* 51(4), 366-376.
https://doi.org/10.1198/TECH.2009.08040 -- ten points a parameter."""
_NEEDS_SALIB = message("Install it with: pip install SALib.")


class Settings(NamedTuple):
    """What a design runs."""

    values: list[tuple[Any, ...]]
    units: list[tuple[float, ...]]
    """For ``morris``: where each lies in the unit cube [-]; empty else."""


def check_sampling(sample: str) -> Sampling:
    """
    Return the name of a kind of design.

    Raises
    ------
    SweepError
        When there is no such kind.

    Examples
    --------
    >>> check_sampling("gird")
    Traceback (most recent call last):
    dissmodel_lab.errors.SweepError: There is no design 'gird'. Did you mean 'grid'? Known: grid, lhs, ...
    """
    if sample not in SAMPLINGS:
        raise SweepError(
            message(
                "There is no design {sample!r:.80}. {did_you_mean}",
                sample=sample,
                did_you_mean=did_you_mean(str(sample), SAMPLINGS),
            )
        )
    return sample  # type: ignore[return-value]  # just looked up


def count_settings(axes: Sequence[Axis], sample: Sampling, samples: int | None) -> int:
    """
    Return how many combinations a design has, before it is made; a number that a design cannot have is refused.

    Parameters
    ----------
    axes : sequence of Axis
        What varies.
    sample : str
        The kind of design.
    samples : int or None
        How many were asked for; the usual number when None.

    Raises
    ------
    SweepError
        With the numbers that are allowed.

    Examples
    --------
    >>> from dissmodel_lab.sweeps.design import Axis
    >>> axes = [Axis(name=name, kind="number", text="0:1", low=0.0, high=1.0) for name in "abc"]
    >>> count_settings(axes, "morris", None), count_settings(axes, "saltelli", None), count_settings(axes, "lhs", 7)
    (40, 320, 7)
    >>> count_settings(axes, "saltelli", 100)
    Traceback (most recent call last):
    dissmodel_lab.errors.SweepError: saltelli with 3 parameters needs 5 x a power of two combinations, ...
    """
    if not axes:
        raise SweepError(
            message("A sweep needs at least one parameter that varies. Write for example: rise=0.1:2.0:20.")
        )
    if sample == "grid":
        if samples is not None:
            raise SweepError(
                message(
                    "A grid has as many combinations as its values make; a number of samples ({samples!r:.80}) is "
                    "for the designs that draw them: lhs, sobol, morris or saltelli.",
                    samples=samples,
                )
            )
        return math.prod(len(axis.values) for axis in axes)
    if samples is not None and (isinstance(samples, bool) or not isinstance(samples, int)):
        raise SweepError(
            message("The number of samples must be a whole number, got {samples!r:.80}.", samples=samples)
        )
    if sample in ("morris", "saltelli"):
        _check_effects(axes, sample)
    if samples is None:
        return _usual(len(axes), sample)
    return _check_count(len(axes), sample, samples)


def _check_effects(axes: Sequence[Axis], sample: Sampling) -> None:
    if len(axes) == 1:
        raise SweepError(
            message(
                "{sample} compares parameters, and only {name} varies. Take a grid, or vary another one.",
                sample=sample,
                name=axes[0].name,
            )
        )
    if sample != "morris":
        return
    for axis in axes:
        if axis.values:
            raise SweepError(
                message(
                    "morris moves in equal steps along a range, and {name}={text} is a list. Write a range such as "
                    "0.1:2.0, or take saltelli, which takes lists too.",
                    name=axis.name,
                    text=axis.text,
                )
            )
        if axis.kind != "number" and len(_levels(axis)) < MORRIS_LEVELS:
            raise SweepError(
                message(
                    "morris takes {morris_levels} values of each range, and {text} has fewer for {name}. Write a "
                    "wider range, or take a grid.",
                    morris_levels=MORRIS_LEVELS,
                    text=axis.text,
                    name=axis.name,
                )
            )


def _levels(axis: Axis) -> set[Any]:
    return {value_at(axis, level / (MORRIS_LEVELS - 1), is_rounded=True) for level in range(MORRIS_LEVELS)}


def _usual(n_axes: int, sample: Sampling) -> int:
    if sample == "morris":
        return _USUAL_TRAJECTORIES * (n_axes + 1)
    if sample == "saltelli":
        return _USUAL_BASE * (n_axes + 2)
    least = _USUAL_PER_AXIS * n_axes
    return least if sample == "lhs" else 2 ** math.ceil(math.log2(least))


def _check_count(n_axes: int, sample: Sampling, samples: int) -> int:
    if sample == "lhs":
        if samples < 2:  # noqa: PLR2004 -- one point is no design
            raise SweepError(
                message(
                    "lhs needs at least 2 combinations, got {samples}. Usual are {usual}.",
                    samples=samples,
                    usual=_usual(n_axes, sample),
                )
            )
        return samples
    step = {"sobol": 1, "morris": n_axes + 1, "saltelli": n_axes + 2}[sample]
    fewest = {"sobol": 2, "morris": _FEWEST_TRAJECTORIES, "saltelli": _FEWEST_BASE}[sample]
    base, rest = divmod(samples, step)
    is_power = base > 0 and base & (base - 1) == 0
    if rest == 0 and base >= fewest and (is_power or sample == "morris"):
        return samples
    many = message("{step} x a power of two", step=step) if step > 1 else message("a power of two")
    needs = f"a multiple of {step}" if sample == "morris" else many
    with_axes = message(" with {n_axes} parameters", n_axes=n_axes) if step > 1 else ""
    raise SweepError(
        message(
            "{sample}{with_axes} needs {needs} combinations, at least {fewest}: got {samples}. Nearest: {nearest}.",
            sample=sample,
            with_axes=with_axes,
            needs=needs,
            fewest=fewest * step,
            samples=samples,
            nearest=_nearest(sample, samples, step, fewest),
        )
    )


def _nearest(sample: Sampling, samples: int, step: int, fewest: int) -> str:
    base = max(samples / step, fewest)
    if sample == "morris":
        low, high = math.floor(base), math.ceil(base)
    else:
        low, high = 2 ** math.floor(math.log2(base)), 2 ** math.ceil(math.log2(base))
    return " or ".join(f"{number * step}" for number in sorted({low, high}))


def make_settings(axes: Sequence[Axis], sample: Sampling, count: int, design_seed: int) -> Settings:
    """
    Choose the combinations of a design.

    ``lhs`` is McKay, Beckman and Conover (1979), https://doi.org/10.1080/00401706.1979.10489755; ``sobol`` a
    scrambled Sobol' sequence, Owen (1998), https://doi.org/10.1006/jcom.1998.0487, both by ``scipy.stats.qmc``;
    ``morris`` Morris (1991), https://doi.org/10.1080/00401706.1991.10484804, and ``saltelli`` Saltelli et al.
    (2010), https://doi.org/10.1016/j.cpc.2009.09.018, without second-order indices, both by SALib.

    Parameters
    ----------
    axes : sequence of Axis
        What varies.
    sample : str
        The kind of design.
    count : int
        From :func:`count_settings`.
    design_seed : int
        Of its random numbers.

    Raises
    ------
    SweepError
        When SALib is needed and not installed.

    Examples
    --------
    >>> from dissmodel_lab.sweeps.design import Axis
    >>> axes = [Axis(name="a", kind="whole", text="", values=(1, 2))]
    >>> axes += [Axis(name="b", kind="choice", text="", values=("x", "y"))]
    >>> make_settings(axes, "grid", 4, 0).values
    [(1, 'x'), (1, 'y'), (2, 'x'), (2, 'y')]
    """
    if sample == "grid":
        return Settings(list(itertools.product(*(axis.values for axis in axes))), [])
    unit = _unit_cube(len(axes), sample, count, design_seed)
    is_rounded = sample == "morris"
    values = [
        tuple(value_at(axis, share, is_rounded=is_rounded) for axis, share in zip(axes, row, strict=True))
        for row in unit.tolist()
    ]
    return Settings(values, [tuple(row) for row in unit.tolist()] if is_rounded else [])


def _unit_cube(n_axes: int, sample: Sampling, count: int, design_seed: int) -> NDArray[np.float64]:
    """Return where the combinations lie in the unit cube, (count, n_axes)."""
    from scipy.stats import qmc  # noqa: PLC0415 -- loads scipy, which a grid does without

    if sample == "lhs":
        return qmc.LatinHypercube(n_axes, seed=design_seed).random(count)  # type: ignore[no-any-return]  # untyped
    if sample == "sobol":
        return qmc.Sobol(n_axes, seed=design_seed).random(count)  # type: ignore[no-any-return]  # untyped
    problem = unit_problem(n_axes)
    try:
        if sample == "morris":
            from SALib.sample.morris import sample as morris  # noqa: PLC0415 -- only for such designs

            return morris(  # type: ignore[no-any-return]  # untyped
                problem, count // (n_axes + 1), num_levels=MORRIS_LEVELS, seed=design_seed
            )
        from SALib.sample.sobol import sample as saltelli  # noqa: PLC0415 -- only for such designs

        return saltelli(  # type: ignore[no-any-return]  # untyped
            problem, count // (n_axes + 2), calc_second_order=False, seed=design_seed
        )
    except ImportError as error:
        raise SweepError(
            message(
                "sample={sample!r} needs the package SALib ({error}). {needs_salib}",
                sample=sample,
                error=error,
                needs_salib=_NEEDS_SALIB,
            )
        ) from error


def unit_problem(n_axes: int) -> dict[str, Any]:
    """
    Describe the unit cube to SALib.

    Examples
    --------
    >>> unit_problem(2)["bounds"]
    [[0.0, 1.0], [0.0, 1.0]]
    """
    return {"num_vars": n_axes, "names": [f"x{at}" for at in range(n_axes)], "bounds": [[0.0, 1.0]] * n_axes}
