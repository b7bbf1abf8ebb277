"""A from-to matrix -> how two maps of classes differ: in quantity and in allocation. Does not touch disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dissmodel_lab.changes.report import Disagreement

if TYPE_CHECKING:
    from numpy.typing import NDArray


def disagreement(matrix: NDArray[Any], *, weights: Literal["cells", "areas"] = "cells") -> Disagreement:
    """
    Split what differs between two maps of classes into quantity and allocation, and that into exchange and shift.

    With p[i, j] the share of what is i in one map and j in the other:

    - quantity of class g: abs(sum of row g - sum of column g); overall half of the sum over all classes;
    - allocation of class g: 2 min(row g - p[g, g], column g - p[g, g]); overall half of the sum;
    - total: 1 - sum of p[g, g], which is quantity + allocation
      (Pontius and Millones 2011, eq. 2 to 7; https://doi.org/10.1080/01431161.2011.552923);
    - exchange of i and j: 2 min(p[i, j], p[j, i]); overall the sum over all pairs; shift is the rest of the
      allocation (Pontius and Santacruz 2014; https://doi.org/10.1080/2150704X.2014.969814).

    Rows and columns may change places: the figures stay.

    Parameters
    ----------
    matrix : ndarray
        (classes, classes): cells or areas from each class (rows) to each class (columns).
    weights : {"cells", "areas"}, optional
        What the matrix holds.

    Returns
    -------
    Disagreement
        Shares [-]; all zero when the matrix is empty.

    Examples
    --------
    Two reds and fourteen greens that became one red and fifteen greens, with one red left in its place:

    >>> found = disagreement(np.array([[1, 1], [0, 14]]))
    >>> found.total, found.quantity, found.allocation
    (0.0625, 0.0625, 0.0)
    """
    total = float(matrix.sum())
    whole = total or 1.0
    diagonal = np.diagonal(matrix)
    # Sums and differences of whole cells are exact; shares are taken last.
    lost, gained = matrix.sum(axis=1) - diagonal, matrix.sum(axis=0) - diagonal
    quantities, allocations = np.abs(lost - gained), 2 * np.minimum(lost, gained)
    exchange = 2 * np.triu(np.minimum(matrix, matrix.T), k=1).sum()
    allocation = allocations.sum() / 2
    return Disagreement(
        total=float(lost.sum()) / whole,
        quantity=float(quantities.sum()) / 2 / whole,
        allocation=float(allocation) / whole,
        exchange=float(exchange) / whole,
        shift=max(float(allocation - exchange), 0.0) / whole,  # areas are rounded
        class_quantity=quantities / whole,
        class_allocation=allocations / whole,
        weights=weights,
    )
