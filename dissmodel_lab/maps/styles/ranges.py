"""Values -> the upper ends of ranges: quantiles, equal intervals, natural breaks and others.

The definitions are those of mapclassify (Rey, Stephens and Laura, 2017, An evaluation of sampling and full
enumeration strategies for Fisher Jenks classification, Transactions in GIS 21, 796-810); the common ones are
worked out here, because importing mapclassify takes six seconds.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from dissmodel_lab.errors import SourceError
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Natural breaks look at every pair of values: of more, so many are taken, evenly spread by rank.
MAX_NATURAL = 1_000
#: Standard deviations from the mean at which ranges end.
DEVIATIONS = (-2, -1, 1, 2)


def upper_ends(values: NDArray[np.float64], method: str, count: int) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """
    Divide values into ranges.

    Parameters
    ----------
    values : ndarray
        Finite numbers of one axis, at least one.
    method : str
        One of :data:`~dissmodel_lab.maps.styles.style.CLASSIFICATIONS` but user-defined.
    count : int
        How many ranges are wanted. Standard deviations make five, head/tail breaks as many as the data have.

    Raises
    ------
    SourceError
        When the method needs mapclassify, and it isn't installed.

    Returns
    -------
    ends : tuple of float
        The upper end of each range, which belongs to it; rising, the last one is the largest value.
    notes : tuple of str
        Says so when there are fewer ranges than wanted, or when values were sampled.

    Examples
    --------
    >>> upper_ends(np.arange(1000.0), "quantiles", 4)
    ((249.75, 499.5, 749.25, 999.0), ())
    >>> upper_ends(np.array([1.0, 2, 10, 11, 50]), "natural breaks", 3)[0]
    (2.0, 11.0, 50.0)
    """
    ordered = np.sort(values.astype(np.float64, copy=False))
    low, high = float(ordered[0]), float(ordered[-1])
    if low == high:
        return (high,), ()
    notes: tuple[str, ...] = ()
    if method == "quantiles":
        ends = np.percentile(ordered, np.linspace(0, 100, count + 1)[1:])
    elif method == "equal interval":
        ends = np.linspace(low, high, count + 1)[1:]
    elif method == "standard deviation":
        ends = _by_deviation(ordered)
    elif method == "natural breaks":
        sample = _by_rank(ordered, MAX_NATURAL)
        ends = _natural(sample, count)[:-1]
        if len(sample) < len(ordered):
            notes = (
                message(
                    "Natural breaks found in {n_sample:,} of {n_ordered:,} values, evenly spread by rank.",
                    n_sample=len(sample),
                    n_ordered=len(ordered),
                ),
            )
    else:
        ends = _by_mapclassify(ordered, method, count)
    # a range that holds nothing says nothing: ends below the smallest value, and those beyond the largest
    inner = np.unique(ends[(ends >= low) & (ends < high)])
    found = (*inner.tolist(), high)
    if len(found) < count and method not in {message("standard deviation"), message("head/tail breaks")}:
        notes += (
            message(
                "{n_found} ranges instead of {count}: too many cells have the same value.",
                n_found=len(found),
                count=count,
            ),
        )
    return found, notes


def _by_deviation(ordered: NDArray[np.float64]) -> NDArray[np.float64]:
    mean, deviation = float(ordered.mean()), float(ordered.std(ddof=1))
    return np.array([mean + times * deviation for times in DEVIATIONS])


def _by_rank(ordered: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """Return values evenly spread by rank: the extremes of many values would weigh too much among a few."""
    if len(ordered) <= most:
        return ordered
    return ordered[((np.arange(most) + 0.5) * len(ordered) / most).astype(np.intp)]


def _natural(ordered: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """
    Return the ends of the ranges whose values lie nearest to their range's mean, exactly, by least squares.

    Fisher (1958), On Grouping for Maximum Homogeneity, Journal of the American Statistical Association 53,
    789-798, by dynamic programming over the rising values; Jenks (1977) made maps with it.
    """
    values, weights = np.unique(ordered, return_counts=True)
    count, size = min(count, len(values)), len(values)
    centred = (values - values.mean()) / (values[-1] - values[0])  # sums of squares of huge values lose digits
    sums = [np.concatenate([[0.0], np.cumsum(part)]) for part in (weights, weights * centred, weights * centred**2)]
    number, total, squares = (part[np.newaxis, 1:] - part[:-1, np.newaxis] for part in sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        cost = squares - total**2 / number  # [first, last] of a range
    cost[np.tril_indices(size, -1)] = np.inf
    best, firsts = cost[0], []
    for _ in range(count - 1):
        # a range may begin at i when the ones before end at i - 1
        together = np.concatenate([[np.inf], best[:-1]])[:, np.newaxis] + cost
        firsts.append(together.argmin(axis=0))
        best = together.min(axis=0)
    last, ends = size - 1, []
    for first in reversed(firsts):
        ends.append(values[last])
        last = int(first[last]) - 1
    ends.append(values[last])
    return np.array(ends[::-1])


def _by_mapclassify(ordered: NDArray[np.float64], method: str, count: int) -> NDArray[np.float64]:
    try:
        import mapclassify  # noqa: PLC0415 -- 6 s, only for the rarer methods
    except ImportError as error:
        raise SourceError(
            message(
                "The classification {method!r} needs the package mapclassify: pip install mapclassify. Without it "
                "there are quantiles, equal interval, natural breaks and standard deviation.",
                method=method,
            )
        ) from error

    makers = {
        "pretty breaks": lambda: mapclassify.PrettyBreaks(ordered, k=count),
        "head/tail breaks": lambda: mapclassify.HeadTailBreaks(ordered),
        "maximum breaks": lambda: mapclassify.MaximumBreaks(ordered, k=count),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "not enough unique values": said in a note of our own
        found: NDArray[np.float64] = np.asarray(makers[method]().bins, np.float64)
    return found
