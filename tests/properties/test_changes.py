"""Matrices of what changed: beside pandas' own tables, and the same whichever way one looks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rasterio.transform import from_origin

from dissmodel_lab.changes import change_between
from dissmodel_lab.changes.disagreement import disagreement
from dissmodel_lab.rasters import Raster
from properties import examples

PLACE = {"crs": "EPSG:31983", "transform": from_origin(300_000, 7_400_000, 30, 30)}
NAMES = {code: (f"class {code}", "#336699") for code in range(8)}
CODES = hnp.arrays("uint8", st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 7))


def raster(array, nodata):
    return Raster(array=array[None], bands=("cover",), classes={"cover": NAMES}, nodata=nodata, **PLACE)


@st.composite
def pairs(draw):
    before = draw(CODES)
    after = draw(hnp.arrays("uint8", before.shape, elements=st.integers(0, 7)))
    return before, after, draw(st.sampled_from([None, 0, 7]))


@examples(20)
@given(pairs())
def test_the_matrix_is_pandas_crosstab(pair):
    before, after, nodata = pair
    change = change_between(raster(before, nodata), raster(after, nodata))
    exists = np.ones(before.shape, bool) if nodata is None else (before != nodata) & (after != nodata)
    assert change.compared == exists.sum()
    assert change.only_before == (
        np.count_nonzero((before != nodata) & (after == nodata)) if nodata is not None else 0
    )
    if not exists.any():
        return
    table = pd.crosstab(before[exists], after[exists])
    classes = change.classes
    wanted = table.reindex(index=classes.codes, columns=classes.codes, fill_value=0).to_numpy()
    np.testing.assert_array_equal(classes.cells, wanted)
    np.testing.assert_array_equal(classes.cells.sum(1), classes.cells_before)
    np.testing.assert_array_equal(classes.cells.sum(0), classes.cells_after)
    assert table.to_numpy().sum() == classes.cells.sum()
    share = disagreement(classes.cells)
    assert share.quantity + share.allocation == pytest.approx(share.total, abs=1e-12)
    assert share.total == pytest.approx(change.changed / change.compared, abs=1e-12)


@examples(20)
@given(pairs())
def test_looked_at_from_the_other_end_rows_are_columns(pair):
    before, after, nodata = pair
    there = change_between(raster(before, nodata), raster(after, nodata))
    back = change_between(raster(after, nodata), raster(before, nodata))
    assert (there.changed, there.compared) == (back.changed, back.compared)
    assert (there.only_before, there.only_after) == (back.only_after, back.only_before)
    if there.classes is None or not there.compared:
        return
    assert set(there.classes.codes) == set(back.classes.codes)
    order = [back.classes.codes.index(code) for code in there.classes.codes]
    np.testing.assert_array_equal(there.classes.cells, back.classes.cells.T[np.ix_(order, order)])
    one, other = disagreement(there.classes.cells), disagreement(back.classes.cells)
    for name in ("total", "quantity", "allocation", "exchange", "shift"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-12)


@examples(30)
@given(hnp.arrays("int64", st.integers(1, 7).map(lambda n: (n, n)), elements=st.integers(0, 10**6)), st.randoms())
def test_disagreement_does_not_know_the_classes_names(matrix, random):
    """Classes in another order, and one more that nothing has, change no figure."""
    order = list(range(len(matrix)))
    random.shuffle(order)
    wider = np.pad(matrix[np.ix_(order, order)], (0, 1))
    one, other = disagreement(matrix), disagreement(wider)
    for name in ("total", "quantity", "allocation", "exchange", "shift"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-12)
        assert 0 <= getattr(one, name) <= 1 + 1e-12
    scaled = disagreement(matrix * 3)
    assert scaled.quantity == pytest.approx(one.quantity, abs=1e-12)
