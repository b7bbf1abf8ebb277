"""Where an output lies whose file has lost it: as the run's record kept it. Does not touch disk."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from affine import Affine

if TYPE_CHECKING:
    from dissmodel_lab.executor.schemas import ExperimentRecord


def kept_georeference(record: ExperimentRecord) -> tuple[Any, Affine] | None:
    """
    Return (crs, transform) of an output whose file has lost them, as the run kept them.

    Parameters
    ----------
    record : ExperimentRecord
        Of any origin: somebody else may have written there what is no place.

    Returns
    -------
    tuple or None
        The CRS of any make, not read yet; None when nothing was lost, or what is there is no transform.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> kept = {"crs": "EPSG:31983", "transform": [30, 0, 0, 0, -30, 0], "shape": [2, 3]}
    >>> kept_georeference(ExperimentRecord(output_georeference=kept))[1].a
    30.0
    """
    kept = record.output_georeference
    try:
        crs, transform = kept["crs"], Affine(*map(float, kept["transform"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    is_place = all(map(math.isfinite, transform[:6])) and transform.determinant != 0
    return (crs, transform) if is_place else None
