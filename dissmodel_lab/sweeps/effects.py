"""The arithmetic of a grid: which share of a metric's variance each parameter makes, alone and with the others.

A grid in which nothing is missing is a balanced factorial design: the sums of squares of its analysis of variance
are exact shares of what varies over these values, and need no sampling. Where each combination was run with several
seeds, what the seeds make is taken off as noise, and the seeds are the sample from which intervals are worked out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

FEWEST_SEEDS = 3
"""With fewer seeds, leaving one out says nothing."""


class GridEffects(NamedTuple):
    """What a complete grid tells, an entry for each parameter."""

    alone: NDArray[np.float64]
    """Share of the variance that the parameter makes by itself [-], (parameters,)."""
    total: NDArray[np.float64]
    """The same with all its interactions [-], (parameters,)."""
    span: NDArray[np.float64]
    """From the lowest to the highest mean over its values [unit of the metric], (parameters,)."""
    noise: float
    """Share of the variance that the seeds make [-]."""


def grid_effects(values: NDArray[np.float64]) -> GridEffects:
    """
    Work out the shares of a complete grid: epsilon squared, which is eta squared without seeds.

    Kelley, T. L. (1935). An unbiased correlation ratio measure. *Proceedings of the National Academy of Sciences*
    21(9), 554-559. https://doi.org/10.1073/pnas.21.9.554

    Parameters
    ----------
    values : ndarray
        The metric, (values of the first parameter, ..., values of the last, seeds); none missing.

    Examples
    --------
    >>> a, b = np.meshgrid([0.0, 1.0, 2.0], [0.0, 1.0], indexing="ij")
    >>> found = grid_effects((a + 2 * b)[..., None])
    >>> found.alone.round(3).tolist(), found.span.tolist()
    ([0.4, 0.6], [2.0, 2.0])
    """
    shape, n_seeds = values.shape[:-1], values.shape[-1]
    axes = tuple(range(len(shape)))
    all_squares = float(((values - values.mean()) ** 2).sum())
    means = values.mean(axis=-1)
    n_settings = means.size
    within = float(((values - means[..., None]) ** 2).sum())
    noise = within / (n_settings * (n_seeds - 1)) if n_seeds > 1 else 0.0
    alone, total, span = np.zeros(len(shape)), np.zeros(len(shape)), np.zeros(len(shape))
    for axis in axes:
        others = tuple(other for other in axes if other != axis)
        levels = means.mean(axis=others)
        squares = n_seeds * n_settings / shape[axis] * float(((levels - levels.mean()) ** 2).sum())
        alone[axis] = (squares - (shape[axis] - 1) * noise) / all_squares
        within_others = means - means.mean(axis=axis, keepdims=True)
        squares = n_seeds * float((within_others**2).sum())
        total[axis] = (squares - (n_settings - n_settings // shape[axis]) * noise) / all_squares
        span[axis] = np.ptp(levels)
    return GridEffects(alone, total, span, noise * (values.size - 1) / all_squares)


def incomplete_effects(
    levels: NDArray[np.int64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Work out eta squared and the spans where combinations are missing: only as good as the rest is balanced.

    Parameters
    ----------
    levels : ndarray
        Which value each combination has of each parameter, (combinations, parameters).
    values : ndarray
        The metric of each, (combinations,).

    Examples
    --------
    >>> alone, span = incomplete_effects(np.array([[0, 0], [0, 1], [1, 0]]), np.array([0.0, 0.0, 3.0]))
    >>> alone.round(3).tolist(), span.tolist()
    ([1.0, 0.25], [3.0, 1.5])
    """
    all_squares = float(((values - values.mean()) ** 2).sum())
    alone, span = np.zeros(levels.shape[1]), np.zeros(levels.shape[1])
    for axis in range(levels.shape[1]):
        groups = [values[levels[:, axis] == level] for level in np.unique(levels[:, axis])]
        means = np.array([group.mean() for group in groups])
        sizes = np.array([group.size for group in groups])
        alone[axis] = float((sizes * (means - values.mean()) ** 2).sum()) / all_squares
        span[axis] = np.ptp(means)
    return alone, span


def seed_intervals(
    values: NDArray[np.float64],
    estimate: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    confidence: float,
) -> NDArray[np.float64] | None:
    """
    Return how far an estimate reaches to both sides, by leaving out one seed after the other (the jackknife).

    Efron, B. and Stein, C. (1981). The jackknife estimate of variance. *Annals of Statistics* 9(3), 586-596.
    https://doi.org/10.1214/aos/1176345462 -- with Student's t for the number of seeds.

    Parameters
    ----------
    values : ndarray
        The metric; the last dimension are the seeds.
    estimate : callable
        From such values to the figures.
    confidence : float
        Of the interval [-].

    Returns
    -------
    ndarray or None
        Half the width of each interval; None with fewer than three seeds.

    Examples
    --------
    >>> values = np.array([[1.0, 2.0, 3.0]])
    >>> seed_intervals(values, lambda some: some.mean(axis=-1), 0.95).round(2).tolist()
    [2.48]
    """
    n_seeds = values.shape[-1]
    if n_seeds < FEWEST_SEEDS:
        return None
    from scipy.stats import t  # noqa: PLC0415 -- loads scipy

    left_out = np.array([estimate(np.delete(values, seed, axis=-1)) for seed in range(n_seeds)])
    error = np.sqrt((n_seeds - 1) / n_seeds * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    reach: NDArray[np.float64] = float(t.ppf(0.5 + confidence / 2, n_seeds - 1)) * error
    return reach


def rank_correlations(
    places: NDArray[np.float64], values: NDArray[np.float64], confidence: float, n_resamples: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """
    Return Spearman's rank correlation with each parameter, and the ends of its interval, by the bootstrap.

    Parameters
    ----------
    places : ndarray
        Numbers in the order of the parameters' values, (runs, parameters).
    values : ndarray
        The metric, (runs,).
    confidence : float
        Of the interval [-].
    n_resamples : int
        How often runs are drawn anew.
    seed : int
        Of the drawing.

    Examples
    --------
    >>> x = np.arange(20.0)
    >>> rho, lower, upper = rank_correlations(x[:, None], x**3, 0.95, 100, 1)
    >>> rho.tolist(), lower.round(6).tolist()
    ([1.0], [1.0])
    """
    from scipy.stats import rankdata  # noqa: PLC0415 -- loads scipy

    def correlations(some: NDArray[np.float64]) -> NDArray[np.float64]:
        ranks = rankdata(some, axis=0)
        ranks -= ranks.mean(axis=0)
        norms = np.sqrt((ranks**2).sum(axis=0))
        products: NDArray[np.float64] = ranks[:, -1] @ ranks[:, :-1]
        with np.errstate(invalid="ignore", divide="ignore"):
            result: NDArray[np.float64] = products / (norms[-1] * norms[:-1])
        return result

    both = np.column_stack([places, values])
    random = np.random.default_rng(seed)
    drawn = np.array([correlations(both[random.integers(len(both), size=len(both))]) for _ in range(n_resamples)])
    ends = np.nanquantile(drawn, [0.5 - confidence / 2, 0.5 + confidence / 2], axis=0)
    return correlations(both), ends[0], ends[1]
