"""Where an output lies whose file has lost it."""

from __future__ import annotations

import pytest
from affine import Affine

from dissmodel_lab.executor import ExperimentRecord
from dissmodel_lab.maps.kept import kept_georeference


def record_with(crs, transform):
    return ExperimentRecord(output_georeference={"crs": crs, "transform": transform, "shape": [2, 3]})


def test_what_the_run_kept_is_returned():
    assert kept_georeference(record_with("EPSG:31983", [30, 0, 5, 0, -30, 7])) == (
        "EPSG:31983",
        Affine(30, 0, 5, 0, -30, 7),
    )


def test_nothing_was_kept():
    assert kept_georeference(ExperimentRecord()) is None


@pytest.mark.parametrize(
    "transform",
    [None, "here", [1, 2, 3], [0] * 6, [float("nan")] * 6, ["1e400", 0, 0, 0, -30, 0], [10**400, 0, 0, 0, -1, 0]],
)
def test_what_somebody_else_wrote_is_no_place(transform):
    assert kept_georeference(record_with("EPSG:31983", transform)) is None
