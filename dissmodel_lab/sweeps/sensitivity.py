"""Rows -> what a metric depends on: the indices that a design allows, and plainly which it does not."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from dissmodel_lab.errors import SweepError, did_you_mean, shown
from dissmodel_lab.language import message
from dissmodel_lab.quiet import quiet_about
from dissmodel_lab.sweeps.effects import (
    FEWEST_SEEDS,
    grid_effects,
    incomplete_effects,
    rank_correlations,
    seed_intervals,
)
from dissmodel_lab.sweeps.report import Sensitivity, SensitivityIndex
from dissmodel_lab.sweeps.samples import MORRIS_LEVELS, unit_problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dissmodel_lab.sweeps.design import SweepDesign
    from dissmodel_lab.sweeps.report import SweepRow

_CONFIDENCE = 0.95
_RESAMPLES, _RESAMPLED = 1000, 2_000_000
"""How often an interval draws anew, and at most how many values in all."""
_SEED = 20240229
"""Of the drawing: the same runs give the same intervals; SALib takes no 0."""
_FEWEST_RUNS = 4
_FEWEST_FOR_S1 = 60
"""RBD-FAST takes ten harmonics: below, its bias is as large as what it tells."""
_FEWEST_BLOCKS = 4
_WIDE = 0.1
"""Intervals of shares that reach farther to each side leave the order of parameters open [-]."""
_ALONE = message("share of variance, alone")
_TOTAL = message("share of variance, with interactions")
_NO_SALIB = message("The package SALib, which works this out, is not installed: pip install SALib.")


def sensitivity_of(design: SweepDesign, rows: Sequence[SweepRow], metric: str, known: Sequence[str]) -> Sensitivity:
    """
    Say what a metric depends on.

    Parameters
    ----------
    design : SweepDesign
        What was run.
    rows : sequence of SweepRow
        All of them, in the order of the points.
    metric : str
        One of ``known``.
    known : sequence of str
        Metrics that runs told.

    Raises
    ------
    SweepError
        When no run told such a metric.

    Examples
    --------
    >>> from dissmodel_lab.sweeps.design import Axis, SweepDesign
    >>> from dissmodel_lab.sweeps.report import SweepRow
    >>> axes = tuple(Axis(name=name, kind="whole", text="", values=(0, 1), low=0, high=1) for name in "ab")
    >>> design = SweepDesign(model_name="m", axes=axes, sample="grid", settings=((0, 0), (0, 1), (1, 0), (1, 1)))
    >>> rows = [
    ...     SweepRow(point=n, setting=n, parameters={}, status="completed", metrics={"y": float(y)})
    ...     for n, y in enumerate([0, 1, 3, 4], 1)
    ... ]
    >>> sensitivity_of(design, rows, "y", ["y"]).index("S1").values
    (0.9, 0.1)
    """
    if metric not in known:
        raise SweepError(
            message(
                "No run of this sweep has a metric {metric!r} that is a number. {did_you_mean}",
                metric=shown(metric),
                did_you_mean=did_you_mean(metric, known),
            )
        )
    values = _values(design, rows, metric)
    there = np.isfinite(values)
    notes = _missing_notes(design, there)
    if int(there.any(axis=1).sum()) < _FEWEST_RUNS and design.n_settings >= _FEWEST_RUNS:
        notes.append(message("Too few runs have completed to say anything yet."))
        return _said(design, metric, "", (), there, notes=notes)
    if not there.any() or np.ptp(values[there]) == 0:
        notes.append(
            message(
                "{metric} is the same in all runs: over these values it depends on none of them.",
                metric=shown(metric),
            )
        )
        return _said(design, metric, "", (), there, notes=notes)
    if design.sample == "grid":
        return _of_grid(design, metric, values, notes)
    means, spread_notes = _setting_means(design, values)
    notes += spread_notes
    if design.sample == "morris":
        return _of_morris(design, metric, means, there, notes)
    if design.sample == "saltelli":
        return _of_saltelli(design, metric, means, there, notes)
    return _of_sample(design, metric, means, there, notes)


def _values(design: SweepDesign, rows: Sequence[SweepRow], metric: str) -> NDArray[np.float64]:
    """Return the metric of each run, (settings, seeds); NaN where there is none."""
    values = np.full(design.n_runs, np.nan)
    for row in rows:
        value = row.metrics.get(metric)
        if row.status == "completed" and value is not None and isfinite(value):
            values[row.point - 1] = value
    return values.reshape(design.n_settings, design.n_seeds)


def _missing_notes(design: SweepDesign, there: NDArray[np.bool_]) -> list[str]:
    n_missing = design.n_runs - int(there.sum())
    if not n_missing:
        return []
    return [
        message(
            "{n_missing:,} of {n_runs:,} runs have no such value: they failed, or have not run yet.",
            n_missing=n_missing,
            n_runs=design.n_runs,
        )
    ]


def _setting_means(design: SweepDesign, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], list[str]]:
    """Return the mean over the seeds of each combination, NaN where none is there."""
    if design.n_seeds == 1:
        return values[:, 0], []
    with quiet_about(RuntimeWarning):
        means: NDArray[np.float64] = np.nanmean(values, axis=1)
    return means, [
        message(
            "Each combination counts by its mean over {n_seeds} seeds, what is left of their noise included.",
            n_seeds=design.n_seeds,
        )
    ]


def _said(
    design: SweepDesign,
    metric: str,
    method: str,
    indices: tuple[SensitivityIndex, ...],
    used: NDArray[np.bool_],
    *,
    notes: list[str],
) -> Sensitivity:
    return Sensitivity(
        metric=metric,
        sample=design.sample,
        method=method,
        names=design.names,
        indices=indices,
        n_points=design.n_runs,
        n_used=int(used.sum()),
        confidence=_CONFIDENCE,
        notes=tuple(notes),
    )


def _index(symbol: str, title: str, values: Any, half: Any = None, *, is_share: bool = False) -> SensitivityIndex:
    plain = _plain(values)
    reach: tuple[float | None, ...] = (None,) * len(plain) if half is None else _plain(half)
    pairs = list(zip(plain, reach, strict=True))
    return SensitivityIndex(
        symbol=symbol,
        title=title,
        values=plain,
        lower=tuple(None if value is None or one is None else value - one for value, one in pairs),
        upper=tuple(None if value is None or one is None else value + one for value, one in pairs),
        is_share=is_share,
    )


def _plain(values: Any) -> tuple[float | None, ...]:
    return tuple(None if value is None or not isfinite(value) else float(value) for value in values)


# ------------------------------------------------------------------------------------------------- grids


def _of_grid(design: SweepDesign, metric: str, values: NDArray[np.float64], notes: list[str]) -> Sensitivity:
    there = np.isfinite(values)
    shape = tuple(len(axis.values) for axis in design.axes)
    if not there.all():
        return _of_incomplete_grid(design, metric, values, notes)
    method = message(
        "Analysis of variance of the complete grid: exact shares for these values, by epsilon squared (Kelley 1935)."
    )
    if len(shape) == 1 and design.n_seeds == 1:
        found = grid_effects(values.reshape(*shape, 1))
        notes.append(message("Only one parameter varies, so that all of the variance is its own: look at the line."))
        return _said(design, metric, method, (_span(found.span),), there, notes=notes)
    cube = values.reshape(*shape, design.n_seeds)
    found = grid_effects(cube)
    halves = [seed_intervals(cube, figures, _CONFIDENCE) for figures in (_alone, _total, _spans)]
    indices = [_index("S1", _ALONE, found.alone, halves[0], is_share=True)]
    if len(shape) > 1:
        indices.append(_index("ST", _TOTAL, found.total, halves[1], is_share=True))
    indices.append(_span(found.span, halves[2]))
    notes += _grid_notes(design, found.noise)
    return _said(design, metric, method, tuple(indices), there, notes=notes)


def _alone(cube: NDArray[np.float64]) -> NDArray[np.float64]:
    return grid_effects(cube).alone


def _total(cube: NDArray[np.float64]) -> NDArray[np.float64]:
    return grid_effects(cube).total


def _spans(cube: NDArray[np.float64]) -> NDArray[np.float64]:
    return grid_effects(cube).span


def _span(span: NDArray[np.float64], half: Any = None) -> SensitivityIndex:
    return _index("span", message("from the lowest to the highest mean, in the metric's unit"), span, half)


def _grid_notes(design: SweepDesign, noise: float) -> list[str]:
    notes = [message("The shares are of these values only: other ends of the ranges give other shares.")]
    if design.n_seeds == 1:
        notes.append(message("A grid with one seed has no sampling error, and therefore no intervals."))
        return notes
    notes.append(
        message("The seed alone makes {noise:.0%} of the variance; it is taken off the shares.", noise=noise)
    )
    if design.n_seeds < FEWEST_SEEDS:
        notes.append(message("Intervals need at least {fewest_seeds} seeds.", fewest_seeds=FEWEST_SEEDS))
    else:
        notes.append(message("The intervals tell what other seeds would give, by leaving out one after the other."))
    return notes


def _of_incomplete_grid(
    design: SweepDesign, metric: str, values: NDArray[np.float64], notes: list[str]
) -> Sensitivity:
    means, spread_notes = _setting_means(design, values)
    has_value = np.isfinite(means)
    places = [{repr(value): at for at, value in enumerate(axis.values)} for axis in design.axes]
    levels = np.array(
        [
            [at[repr(value)] for at, value in zip(places, setting, strict=True)]
            for setting, is_there in zip(design.settings, has_value, strict=True)
            if is_there
        ]
    )
    if np.ptp(means[has_value]) == 0:
        notes.append(message("The means over the seeds are all the same."))
        return _said(design, metric, "", (), np.isfinite(values), notes=notes)
    alone, span = incomplete_effects(levels, means[has_value])
    notes += spread_notes
    notes.append(
        message(
            "The grid has gaps: the means of two values may be over different combinations, so that these shares "
            "are approximate, overlap and need not add up. Total effects and intervals need a complete grid."
        )
    )
    method = message("Analysis of variance of the combinations that completed, by eta squared (Fisher 1925).")
    indices = (_index("S1", _ALONE, alone, is_share=True), _span(span))
    return _said(design, metric, method, indices, np.isfinite(values), notes=notes)


# ----------------------------------------------------------------------------------------- sampled designs


def _of_sample(
    design: SweepDesign, metric: str, means: NDArray[np.float64], there: NDArray[np.bool_], notes: list[str]
) -> Sensitivity:
    has_value = np.isfinite(means)
    places = _places(design)[has_value]
    values = means[has_value]
    ordered = np.array([axis.is_ordered for axis in design.axes])
    rho, lower, upper = rank_correlations(places, values, _CONFIDENCE, _resamples(values.size), _SEED)
    for at in np.flatnonzero(~ordered):
        rho[at] = lower[at] = upper[at] = np.nan
    indices = [
        SensitivityIndex(
            symbol="rho",
            title=message("rank correlation: does it rise (+) or fall (-) with the parameter"),
            values=_plain(rho),
            lower=_plain(lower),
            upper=_plain(upper),
        )
    ]
    method = message("Spearman's rank correlation, with percentile intervals of the bootstrap.")
    if not ordered.all():
        names = ", ".join(axis.name for axis in design.axes if not axis.is_ordered)
        notes.append(
            message(
                "{names}: its values have no order, so that nothing rises or falls with it. Take a grid.", names=names
            )
        )
    shares = _rbd_fast(places, values, ordered, notes)
    if shares is not None:
        indices.insert(0, shares)
        method += message(" S1 by RBD-FAST (Tarantola et al. 2006, bias corrected by Tissot and Prieur 2012).")
    notes.append(
        message(
            "This design ({sample}) allows no total effects: the sample saltelli gives S1 and ST, morris screens "
            "many parameters with few runs.",
            sample=design.sample,
        )
    )
    return _said(design, metric, method, tuple(indices), there, notes=notes)


def _places(design: SweepDesign) -> NDArray[np.float64]:
    """Return numbers in the order of the values, (settings, parameters)."""
    columns = []
    for at, axis in enumerate(design.axes):
        column = [setting[at] for setting in design.settings]
        if axis.kind == "date":
            column = [day.toordinal() for day in column]
        elif not axis.is_ordered:
            codes = {repr(value): code for code, value in enumerate(axis.values)}
            column = [codes[repr(value)] for value in column]
        columns.append([float(value) for value in column])
    return np.array(columns).T


def _resamples(n_values: int) -> int:
    return max(100, min(_RESAMPLES, _RESAMPLED // max(1, n_values)))


def _rbd_fast(
    places: NDArray[np.float64], values: NDArray[np.float64], ordered: NDArray[np.bool_], notes: list[str]
) -> SensitivityIndex | None:
    if values.size < _FEWEST_FOR_S1:
        notes.append(
            message(
                "Shares of the variance (S1) need at least {fewest_for_s1} runs of such a design.",
                fewest_for_s1=_FEWEST_FOR_S1,
            )
        )
        return None
    try:
        from SALib.analyze import rbd_fast  # noqa: PLC0415 -- loads pandas
    except ImportError:
        notes.append(_NO_SALIB)
        return None
    with quiet_about(RuntimeWarning):
        found = rbd_fast.analyze(
            unit_problem(places.shape[1]), places, values, num_resamples=100, conf_level=_CONFIDENCE, seed=_SEED
        )
    shares = [share if is_ordered else None for share, is_ordered in zip(found["S1"], ordered, strict=True)]
    return _index("S1", _ALONE, shares, found["S1_conf"], is_share=True)


# ----------------------------------------------------------------------------------------- designs of SALib


def _blocks(means: NDArray[np.float64], size: int, notes: list[str], what: str) -> NDArray[np.bool_]:
    """Return which combinations belong to blocks of the design that are whole, and say how many are not."""
    whole = np.isfinite(means).reshape(-1, size).all(axis=1)
    if not whole.all():
        n_left = int((~whole).sum())
        notes.append(
            message(
                "{n_left:,} of {size:,} {what} are left out whole, because a run of them has no value.",
                n_left=n_left,
                size=whole.size,
                what=what,
            )
        )
    return np.repeat(whole, size)


def _of_morris(
    design: SweepDesign, metric: str, means: NDArray[np.float64], there: NDArray[np.bool_], notes: list[str]
) -> Sensitivity:
    size = len(design.axes) + 1
    used = _blocks(means, size, notes, "trajectories")
    kept = there & used[:, None]
    method = message(
        "Elementary effects (Morris 1991; mu* by Campolongo et al. 2007), by SALib; mu* with bootstrap intervals."
    )
    if used.sum() < _FEWEST_BLOCKS * size:
        notes.append(
            message(
                "Fewer than {fewest_blocks} whole trajectories are left: too few for effects.",
                fewest_blocks=_FEWEST_BLOCKS,
            )
        )
        return _said(design, metric, method, (), kept, notes=notes)
    try:
        from SALib.analyze import morris  # noqa: PLC0415 -- loads pandas
    except ImportError:
        notes.append(_NO_SALIB)
        return _said(design, metric, method, (), kept, notes=notes)
    found = morris.analyze(
        unit_problem(len(design.axes)),
        np.array(design.units, dtype=float)[used],
        means[used],
        num_resamples=_resamples(int(used.sum())),
        conf_level=_CONFIDENCE,
        num_levels=MORRIS_LEVELS,
        seed=_SEED,
    )
    indices = (
        _index(
            "mu*",
            message("mean size of the effect, over the whole range"),
            found["mu_star"],
            found["mu_star_conf"],
        ),
        _index("mu", message("mean effect, with its sign"), found["mu"]),
        _index("sigma", message("spread of the effect: interactions, or a bend"), found["sigma"]),
    )
    notes.append(message("Effects are in the metric's unit, for a move over the whole range of the parameter."))
    rounded = [axis.name for axis in design.axes if axis.kind != "number"]
    if rounded:
        notes.append(
            message(
                "{rounded} moved in whole steps, so that its effects are rounded too.", rounded=", ".join(rounded)
            )
        )
    notes.append(
        message("morris ranks parameters; it allows no shares of the variance: the sample saltelli gives S1 and ST.")
    )
    return _said(design, metric, method, indices, kept, notes=notes)


def _of_saltelli(
    design: SweepDesign, metric: str, means: NDArray[np.float64], there: NDArray[np.bool_], notes: list[str]
) -> Sensitivity:
    size = len(design.axes) + 2
    used = _blocks(means, size, notes, "blocks")
    kept = there & used[:, None]
    method = message(
        "Sobol' indices (S1 by Saltelli et al. 2010, ST by Jansen 1999), by SALib, with bootstrap intervals."
    )
    if used.sum() < _FEWEST_BLOCKS * size or np.ptp(means[used]) == 0:
        notes.append(
            message(
                "Fewer than {fewest_blocks} whole blocks that differ are left: too few for indices.",
                fewest_blocks=_FEWEST_BLOCKS,
            )
        )
        return _said(design, metric, method, (), kept, notes=notes)
    try:
        from SALib.analyze import sobol  # noqa: PLC0415 -- loads pandas
    except ImportError:
        notes.append(_NO_SALIB)
        return _said(design, metric, method, (), kept, notes=notes)
    with quiet_about(RuntimeWarning), quiet_about(UserWarning, "Constant values encountered"):
        found = sobol.analyze(
            unit_problem(len(design.axes)),
            means[used],
            calc_second_order=False,
            num_resamples=_resamples(int(used.sum())),
            conf_level=_CONFIDENCE,
            seed=_SEED,
        )
    indices = (
        _index("S1", _ALONE, found["S1"], found["S1_conf"], is_share=True),
        _index("ST", _TOTAL, found["ST"], found["ST_conf"], is_share=True),
    )
    widest = float(np.nanmax([*found["S1_conf"], *found["ST_conf"]]))
    if widest > _WIDE:
        notes.append(
            message(
                "The widest interval reaches {widest:.2f} to each side: take more samples to tell close ones apart.",
                widest=widest,
            )
        )
    notes.append(message("Second-order indices, of pairs of parameters, are not part of this design."))
    return _said(design, metric, method, indices, kept, notes=notes)
