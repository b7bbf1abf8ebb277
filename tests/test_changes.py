"""Two rasters: the from-to matrix, areas, disagreement, values; and what is refused."""

from __future__ import annotations

import dataclasses
import tracemalloc

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pyproj import CRS, Geod

from dissmodel_lab.changes import change_between
from dissmodel_lab.changes import picture as picture_module
from dissmodel_lab.changes import values as values_module
from dissmodel_lab.changes.areas import areas_of_cells, in_unit
from dissmodel_lab.changes.bands import opened_band
from dissmodel_lab.changes.disagreement import disagreement
from dissmodel_lab.changes.facts import change_facts
from dissmodel_lab.changes.grids import Place
from dissmodel_lab.changes.report import CHANGED, NOTHING, ONE_SIDED, QUANTILES, SAME, percent
from dissmodel_lab.changes.values import Quantiles
from dissmodel_lab.errors import ComparisonError
from dissmodel_lab.maps import open_layer, preview
from dissmodel_lab.rasters import Raster, cell_areas, write_raster
from dissmodel_lab.views.comparison_text import area_rows, change_text

UTM = {"transform": Affine(100, 0, 300_000, 0, -100, 7_400_000), "crs": CRS("EPSG:31983")}
DEGREES = {"transform": Affine(0.5, 0, -60, 0, -0.25, -2), "crs": CRS("EPSG:4326")}
COVER = {1: ("forest", "#117733"), 2: ("sea", "#0072b2"), 3: ("city", "#cc3311")}


def raster(rows, dtype="uint8", band="cover", **options):
    array = np.array(rows, dtype)
    return Raster(array=array[np.newaxis] if array.ndim == 2 else array, bands=(band,), **options)


def refusal(*args, **options):
    with pytest.raises(ComparisonError) as caught:
        change_between(*args, **options)
    return str(caught.value)


# --- the matrix --------------------------------------------------------------------------------------------

CODES = st.sampled_from([0, 1, 2, 7, 200, 255])
SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 12))


@st.composite
def pairs_of_rasters(draw):
    """Two rasters of one shape, with nodata, on a plane, in degrees, or nowhere; as files' types have it."""
    shape = draw(SHAPES)
    dtype = draw(st.sampled_from(["uint8", "int16", "float32", "int64"]))
    place = draw(st.sampled_from([{}, UTM, DEGREES]))
    arrays = [draw(hnp.arrays("int64", shape, elements=CODES)).astype(dtype) for _ in range(2)]
    nodata = draw(st.sampled_from([None, 255, 0]))
    classes = {"cover": {code: (f"class {code}", "#336699") for code in (0, 1, 2, 7, 200, 255)}}
    return [raster(array, dtype, nodata=nodata, classes=classes, **place) for array in arrays]


@settings(max_examples=60, deadline=None)
@given(pairs_of_rasters())
def test_row_sums_are_the_class_areas_before_and_column_sums_those_after(pair):
    before, after = pair
    change = change_between(before, after)
    found = change.classes
    size = {"cells": 1, "m2": 1, "ha": 1e4, "km2": 1e6}[found.area_unit]
    known = before.crs is not None
    areas = cell_areas(before) * 1e6 if known else np.ones(before.shape)
    one, other = before.array[0], after.array[0]
    exists = [np.ones(before.shape, bool) if r.nodata is None else r.array[0] != r.nodata for r in pair]
    both = exists[0] & exists[1]
    for i, code in enumerate(found.codes):
        assert found.cells_before[i] == np.count_nonzero(both & (one == code))
        assert found.cells_after[i] == np.count_nonzero(both & (other == code))
        assert found.areas_before[i] * size == pytest.approx(areas[both & (one == code)].sum(), rel=1e-9)
        assert found.areas_after[i] * size == pytest.approx(areas[both & (other == code)].sum(), rel=1e-9)
        assert found.cells_before[i] + found.only_before[i] == np.count_nonzero(exists[0] & (one == code))
        assert found.cells_after[i] + found.only_after[i] == np.count_nonzero(exists[1] & (other == code))
        for j, to in enumerate(found.codes):
            assert found.cells[i, j] == np.count_nonzero(both & (one == code) & (other == to))
    assert found.cells.sum() == change.compared == np.count_nonzero(both)
    assert change.changed == np.count_nonzero(both & (one != other)) == change.compared - np.trace(found.cells)
    assert change.total == before.array.size
    assert set(found.codes) == set(one[exists[0]].tolist()) | set(other[exists[1]].tolist())


def test_a_change_of_one_class_into_another_is_told_in_cells_areas_and_words():
    before = raster([[1, 1, 1, 2], [1, 1, 2, 2]], classes={"cover": COVER}, **UTM)
    after = raster([[1, 3, 1, 2], [1, 1, 3, 2]], classes={"cover": COVER}, **UTM)
    change = change_between(before, after, names=("input", "output"))
    assert change.sentence == "2 of 8 cells changed (25 %)"
    assert change.kind == "classes"
    found = change.classes
    assert found.codes == (1, 2, 3)
    assert found.labels == ("forest", "sea", "city")
    assert found.colours == ("#117733", "#0072b2", "#cc3311")
    assert found.cells.tolist() == [[4, 0, 1], [0, 2, 1], [0, 0, 0]]
    assert found.areas.tolist() == [[4, 0, 1], [0, 2, 1], [0, 0, 0]]  # cells of one hectare
    assert found.area_unit == "ha"
    assert found.area_method == "Width times height of a cell in EPSG:31983, which keeps areas within 1 % here."
    assert found.area_disagreement is None
    assert found.transitions() == [(0, 2), (1, 2)]
    assert found.transitions(1) == [(0, 2)]
    assert change.picture.state.tolist() == [[SAME, CHANGED, SAME, SAME], [SAME, SAME, CHANGED, SAME]]
    assert change.picture.after.tolist() == after.array[0].tolist()
    assert change.notes == ()


def test_two_equal_maps_have_not_changed():
    same = raster(np.arange(6574).reshape(2, 3287) % 5, classes={"cover": {i: (str(i), "") for i in range(5)}})
    change = change_between(same, same)
    assert change.sentence == "0 of 6,574 cells changed"
    assert dataclasses.astuple(change.classes.disagreement)[:5] == (0, 0, 0, 0, 0)
    assert not (change.picture.state == CHANGED).any()


def test_seventeen_cells_of_6574_changed():
    before = np.zeros((2, 3287), "uint8")
    after = before.copy()
    after[0, :17] = 1
    assert change_between(before, after).sentence == "17 of 6,574 cells changed (0.26 %)"


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0 %"), (1e-9, "less than 0.01 %"), (0.00006, "0.01 %"), (0.1, "10 %"), (0.99999, "more than 99.99 %"),
     (1.0, "100 %")],
)  # fmt: skip
def test_a_share_is_never_rounded_to_nothing_or_all(share, text):
    assert percent(share) == text


def test_cells_without_a_value_in_one_map_are_counted_apart_and_are_no_change():
    before = raster([[1, 1, 2, 255, 255]], nodata=255)
    after = raster([[1, 255, 3, 3, 255]], nodata=255)
    change = change_between(before, after)
    assert (change.compared, change.changed, change.only_before, change.only_after, change.neither) == (2, 1, 1, 1, 1)
    assert change.classes.only_before.tolist() == [1, 0, 0]
    assert change.classes.only_after.tolist() == [0, 0, 1]
    assert change.picture.state.tolist() == [[SAME, ONE_SIDED, CHANGED, ONE_SIDED, NOTHING]]
    assert change.notes == (
        "2 cells with a value in one map only (1 before, 1 after): counted apart, not as change.",
    )


def test_nodata_may_be_another_value_in_each_map_and_nan_counts_as_nodata():
    before = raster([[1, 2, -9]], "int16", nodata=-9, classes={"cover": COVER})
    after = raster([[1, 3, np.nan]], "float32", classes={"cover": COVER})
    change = change_between(before, after)
    assert change.sentence == "1 of 2 cells changed (50 %)"
    assert change.neither == 1


@pytest.mark.parametrize(
    ("before", "after"), [([[9, 9]], [[9, 9]]), ([[9, 1]], [[1, 9]]), ([[9, 9]], [[1, 1]])]
)  # fmt: skip
def test_maps_without_a_common_cell_say_that_there_is_nothing_to_compare(before, after):
    change = change_between(raster(before, nodata=9), raster(after, nodata=9))
    assert change.sentence == "No cell has a value in both maps: nothing to compare."
    assert (change.compared, change.changed, change.total) == (0, 0, 2)


def test_a_mask_band_hides_cells_as_on_the_map():
    stack = np.array([[[1, 2, 3]], [[1, 1, 0]]], "uint8")
    before = Raster(array=stack, bands=("cover", "mask"))
    after = Raster(array=np.array([[[1, 3, 1]], [[1, 1, 0]]], "uint8"), bands=("cover", "mask"))
    change = change_between(before, after)
    assert change.sentence == "1 of 2 cells changed (50 %)"
    assert change.notes == ("Cells outside of the band 'mask' are not compared.",)


def test_masked_arrays_and_truth_values_are_classes():
    before = np.array([[True, False, True]])
    assert change_between(before, ~before).classes.labels == ("False", "True")
    assert change_between(before.astype("uint8"), ~before).changed == 3
    assert change_between(before, before.astype("uint8")).changed == 0
    masked = np.ma.masked_array(np.array([[1, 2, 3]], "uint8"), [[False, False, True]])
    assert change_between(masked, np.array([[1, 1, 1]], "uint8")).sentence == "1 of 2 cells changed (50 %)"


def test_codes_may_be_negative_far_apart_or_floats():
    codes = [-3, 0, 2_000_000_000]
    before, after = raster([codes], "int64"), raster([codes[::-1]], "int64")
    assert change_between(before, after).classes.codes == (-3, 0, 2_000_000_000)
    halves = {"cover": {1: ("one", ""), 2: ("two", "")}}
    change = change_between(
        raster([[1.0, 2.5]], "float64", classes=halves), raster([[1, 2]], "float64", classes=halves)
    )
    assert change.classes.codes == (1, 2, 2.5)
    assert change.classes.labels == ("one", "two", "2.5, not in the legend")


def test_two_hundred_classes_with_a_legend_are_told_one_by_one():
    legend = {"cover": {i: (f"class {i}", "") for i in range(200)}}
    before = raster(np.arange(200).reshape(10, 20), classes=legend)
    after = raster(np.roll(np.arange(200), 1).reshape(10, 20), classes=legend)
    change = change_between(before, after)
    assert change.classes.cells.shape == (200, 200)
    assert change.changed == 200
    assert len(set(change.classes.colours)) == 200


def test_more_numbers_than_a_legend_has_are_compared_as_numbers():
    before = raster(np.arange(400).reshape(20, 20), "int32")
    change = change_between(before, raster(np.arange(400).reshape(20, 20) + 1, "int32"))
    assert change.kind == "values"
    assert change.values.mean == 1


def test_codes_that_only_the_whole_file_shows_are_counted_too(monkeypatch):
    # On the map one of 100 pixels is shown: a class there, numbers in the file.
    cells = np.zeros((2000, 10), "int32")
    cells[::3] = np.arange(667)[:, np.newaxis]
    monkeypatch.setattr(picture_module, "MAX_SIDE", 8)
    monkeypatch.setattr("dissmodel_lab.changes.sides.MAX_SIDE", 8)
    before = raster(np.zeros((2000, 10)), "int32")
    change = change_between(before, raster(cells, "int32"))
    assert change.kind == "values"
    assert change.changed == np.count_nonzero(cells)
    assert "Compared as numbers: more than 255 different ones occur." in change.notes


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32"])
def test_the_report_calls_classes_what_the_map_calls_classes(dtype):
    rows = np.arange(12).reshape(3, 4)
    kinds = {"classes": "classes", "continuous": "values"}
    assert (
        change_between(raster(rows, dtype), raster(rows, dtype)).kind
        == kinds[preview(raster(rows, dtype)).legend.kind]
    )


def test_colours_are_those_of_the_maps():
    before, after = raster([[4, 5]]), raster([[5, 6]])
    first = preview(before)
    second = preview(after, like=first)
    change = change_between(before, after)
    shown = {entry.value: entry.colour for picture in (first, second) for entry in picture.legend.entries}
    assert dict(zip(change.classes.codes, change.classes.colours, strict=True)) == shown
    assert {entry.value: entry.colour for entry in change.legend.entries} == shown


# --- disagreement ------------------------------------------------------------------------------------------


def by_the_letter(counts):
    """Pontius and Millones (2011), eq. 2 to 7, and Pontius and Santacruz (2014), written out with loops."""
    total = sum(map(sum, counts))
    p = [[cell / total for cell in row] for row in counts]
    classes = range(len(p))
    q = [abs(sum(p[i][g] for i in classes) - sum(p[g][j] for j in classes)) for g in classes]
    a = [2 * min(sum(p[i][g] for i in classes) - p[g][g], sum(p[g][j] for j in classes) - p[g][g]) for g in classes]
    exchange = sum(2 * min(p[i][j], p[j][i]) for i in classes for j in range(i))
    return {
        "class_quantity": q,
        "quantity": sum(q) / 2,
        "class_allocation": a,
        "allocation": sum(a) / 2,
        "total": 1 - sum(p[j][j] for j in classes),
        "exchange": exchange,
        "shift": sum(a) / 2 - exchange,
    }


def kappa(counts):
    """Cohen (1960): which of its values are published with the examples tells that these are their matrices."""
    p = np.asarray(counts) / np.sum(counts)
    expected = (p.sum(0) * p.sum(1)).sum()
    return (np.trace(p) - expected) / (1 - expected)


@pytest.mark.parametrize(
    ("counts", "total", "quantity", "allocation", "said_kappa"),
    [
        # The two comparisons that Wikipedia's article "Cohen's kappa" works out after Pontius and Millones (2011):
        # "The disagreement proportion is 14/16 or 0.875. The disagreement is due to quantity because allocation is
        # optimal. Kappa is 0.01." and "2/16 or 0.125. The disagreement is due to allocation because quantities are
        # identical. Kappa is -0.07."
        ([[1, 14], [0, 1]], 14 / 16, 14 / 16, 0, 0.01),
        ([[0, 1], [1, 14]], 2 / 16, 0, 2 / 16, -0.07),
    ],
)
def test_disagreement_equals_published_examples(counts, total, quantity, allocation, said_kappa):
    assert round(kappa(counts), 2) == said_kappa
    found = disagreement(np.array(counts))
    assert (found.total, found.quantity, found.allocation) == (total, quantity, allocation)


def test_disagreement_equals_the_authors_worked_example():
    """
    The matrix that Pontius' own spreadsheet ``PontiusMatrix26.xlsx`` works out for Pontius and Millones (2011).

    Sampled counts of four classes become shares of the map by eq. 1, each row by the size of its class on the map.
    Spreadsheet and results, 0.182234 and 0.567193, and 0.163636 and 0.586364 without eq. 1, are taken from the tests
    of the R package teamlucc, which had the sheet from the author.
    """
    counts = np.array([[11, 12, 13, 14], [21, 22, 23, 24], [31, 32, 33, 34], [41, 42, 43, 44]])
    sizes = np.array([[100], [200], [300], [400]])
    found = disagreement(counts / counts.sum(axis=1, keepdims=True) * sizes)
    assert (round(found.quantity, 6), round(found.allocation, 6)) == (0.182234, 0.567194)  # the sheet cuts it off
    plain = disagreement(counts)
    assert (round(plain.quantity, 6), round(plain.allocation, 6)) == (0.163636, 0.586364)


def test_disagreement_equals_the_worked_example_of_a_package_for_it():
    """
    The notebook ``IntrotopontiPy.ipynb`` of pontiPy (github.com/verma-priyanka/pontiPy), a package for such matrices.

    Built-up land, barren land, forest and water of one year (rows) and a later one (columns) [ha]; compared are the
    results that the notebook prints: 4096 in all, 3553 hits, 543 misses; quantity of built-up land 460, of barren
    land and forest 11.66 % and 14.58 % of their first size; no exchange. Its overall quantity (230) is left out: it
    is half of built-up land's, where eq. 3 of the paper has half of the sum over all classes.
    """
    found = disagreement(np.array([[612, 0, 0, 0], [168, 561, 0, 0], [292, 83, 2197, 0], [0, 0, 0, 183]]))
    whole = 612 + 168 + 561 + 292 + 83 + 2197 + 183
    assert (whole, 612 + 561 + 2197 + 183) == (4096, 3553)
    assert found.total == 543 / whole
    quantities = found.class_quantity * whole
    assert (quantities[0], quantities[3]) == (460, 0)
    assert (round(100 * quantities[1] / 729, 2), round(100 * quantities[2] / 2572, 2)) == (11.66, 14.58)
    assert found.exchange == 0
    assert found.quantity == quantities.sum() / 2 / whole
    assert found.allocation == found.shift == found.total - found.quantity


def test_gross_gains_and_losses_equal_those_of_a_package_for_it():
    """
    The matrix in pontiPy's ``Metrics_Test.ipynb``, whose rows and columns disagree as it prints, in 339 of 492.

    Quantity is the difference of the two, allocation twice the smaller (Pontius and Millones 2011, eq. 2 and 4).
    """
    found = disagreement(np.array([[50, 22, 30, 71], [21, 30, 5, 38], [13, 1, 51, 3], [99, 30, 6, 22]]))
    assert found.total == 339 / 492
    assert (found.class_quantity * 492).tolist() == pytest.approx([133 - 123, 64 - 53, 41 - 17, 135 - 112])
    assert (found.class_allocation * 492).tolist() == pytest.approx([2 * 123, 2 * 53, 2 * 17, 2 * 112])


def test_classes_that_swap_are_exchange_and_a_circle_of_three_is_shift():
    swap = disagreement(np.array([[5, 2], [2, 5]]))
    assert (swap.allocation, swap.exchange, swap.shift) == (4 / 14, 4 / 14, 0)
    circle = disagreement(np.array([[5, 1, 0], [0, 5, 1], [1, 0, 5]]))
    assert (circle.allocation, circle.exchange, circle.shift) == (3 / 18, 0, 3 / 18)


MATRICES = st.integers(1, 6).flatmap(lambda n: hnp.arrays("int64", (n, n), elements=st.integers(0, 10**9)))


@settings(max_examples=100, deadline=None)
@given(MATRICES.filter(lambda matrix: matrix.any()))
def test_disagreement_follows_the_papers_equations(matrix):
    found = disagreement(matrix)
    for name, value in by_the_letter(matrix.tolist()).items():
        assert getattr(found, name) == pytest.approx(value, abs=1e-12), name
    agreement = np.trace(matrix) / matrix.sum()
    assert found.quantity + found.allocation == pytest.approx(1 - agreement, abs=1e-12)
    assert found.exchange + found.shift == pytest.approx(found.allocation, abs=1e-12)
    assert found.class_quantity.sum() == pytest.approx(2 * found.quantity)
    assert found.class_allocation.sum() == pytest.approx(2 * found.allocation)
    turned = disagreement(matrix.T)
    assert (turned.quantity, turned.allocation) == (found.quantity, found.allocation)


def test_disagreement_of_one_class_is_that_of_disslucc():
    pontius = pytest.importorskip("disslucc.validation.pontius")
    random = np.random.default_rng(1)
    before, after = random.integers(0, 4, (2, 500))
    change = change_between(before.reshape(20, 25), after.reshape(20, 25))
    for g, code in enumerate(change.classes.codes):
        theirs = pontius.pontius_millones(after == code, before == code)
        ours = change.classes.disagreement
        assert ours.class_quantity[g] == pytest.approx(theirs["quantity_disagreement"])
        assert ours.class_allocation[g] == pytest.approx(theirs["allocation_disagreement"])


def test_nothing_compared_is_no_disagreement():
    found = disagreement(np.zeros((2, 2), int))
    assert (found.total, found.quantity, found.allocation) == (0, 0, 0)


def test_where_cells_differ_in_size_disagreement_is_told_by_area_too():
    rows = np.array([[1, 2], [2, 1]], "uint8")
    place = {"transform": Affine(1, 0, 0, 0, -40, 80), "crs": CRS("EPSG:4326")}
    change = change_between(raster(rows, **place), raster([[2, 2], [2, 1]], **place))
    areas = cell_areas(raster(rows, **place))
    assert change.classes.disagreement.total == 0.25
    assert change.classes.area_disagreement.total == pytest.approx(areas[0, 0] / areas.sum())
    assert change.classes.area_disagreement.weights == "areas"


# --- areas -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("latitude", [0, 45, -60, 89])
def test_areas_in_degrees_are_those_of_geodesic_polygons(latitude):
    step = 0.001  # so small that a parallel and the geodesic beside it enclose nothing
    place = Place(shape=(1, 2), transform=Affine(step, 0, 10, 0, -step, latitude + step), crs=CRS("EPSG:4326"))
    areas = areas_of_cells(place)
    corners = [10, 10 + step, 10 + step, 10], [latitude, latitude, latitude + step, latitude + step]
    geodesic, _ = Geod(ellps="WGS84").polygon_area_perimeter(*corners)
    assert areas.of_rows(0, 1, 2).tolist() == pytest.approx(np.full((1, 2), abs(geodesic)), rel=1e-6)
    assert areas.method == (
        "Geodesic: on the ellipsoid WGS 84 of EPSG:4326 (Snyder 1987, Map Projections, USGS PP 1395, eq. 3-12), "
        "row by row."
    )


def test_all_the_earth_has_its_area():
    place = Place(shape=(180, 360), transform=Affine(1, 0, -180, 0, -1, 90), crs=CRS("EPSG:4326"))
    total = areas_of_cells(place).of_rows(0, 180, 360).sum()
    assert total == pytest.approx(510_065_621_724_000, rel=1e-9)  # [m2], WGS 84: NIMA TR8350.2 (2000), table 3.3


def test_web_mercator_is_brought_back_to_the_ellipsoid_in_blocks_when_large(monkeypatch):
    place = Place(shape=(60, 50), transform=Affine(1000, 0, 0, 0, -1000, 8_000_000), crs=CRS("EPSG:3857"))
    exact = areas_of_cells(place)
    assert exact.block == 1
    assert exact.method == (
        "Geodesic: on the ellipsoid WGS 84 of EPSG:3857 (Snyder 1987, Map Projections, USGS PP 1395, eq. 3-12), "
        "because EPSG:3857 does not keep areas."
    )
    monkeypatch.setattr("dissmodel_lab.changes.areas.MAX_CELLS", 200)
    coarse = areas_of_cells(place)
    assert coarse.block == 4
    assert ", for blocks of 4 x 4 cells, because" in coarse.method
    assert coarse.of_rows(10, 30, 50) == pytest.approx(exact.of_rows(10, 30, 50), rel=1e-3)
    assert coarse.of_rows(0, 60, 50)[:, :48].sum() == pytest.approx(exact.of_rows(0, 60, 50)[:, :48].sum(), rel=1e-9)


@pytest.mark.parametrize(
    ("place", "method"),
    [
        ({}, "Areas are unknown, the map has no CRS."),
        ({"crs": CRS("EPSG:31983")}, "Areas are unknown, the map has no transform."),
        ({"transform": UTM["transform"]}, "Areas are unknown, the map has no CRS."),
    ],
)
def test_without_a_place_cells_are_counted_and_it_is_said(place, method):
    found = change_between(raster([[1, 2]], **place), raster([[2, 2]], **place)).classes
    assert (found.area_unit, found.area_method, found.has_areas) == ("cells", method, False)
    assert found.areas.tolist() == found.cells.tolist()


def test_feet_are_turned_into_metres():
    place = {"transform": Affine(1000, 0, 6_000_000, 0, -1000, 2_000_000), "crs": CRS("EPSG:2225")}  # US survey feet
    found = change_between(raster([[1] * 50], **place), raster([[2] * 50], **place)).classes
    assert found.areas[0, 1] == pytest.approx(50 * (1000 * 1200 / 3937) ** 2 / 1e4)
    assert found.area_unit == "ha"


@pytest.mark.parametrize(("square_metres", "unit"), [(50.0, "m2"), (1e4, "ha"), (9.9e7, "ha"), (1e8, "km2")])
def test_the_unit_fits_the_largest_class(square_metres, unit):
    assert in_unit(np.array([[square_metres]]))[1] == unit


# --- values ------------------------------------------------------------------------------------------------


def test_values_are_compared_by_their_difference():
    before = raster([[1.0, 2.0, 3.0], [4.0, np.nan, 6.0]], "float32", band="depth", units={"depth": "m"}, **UTM)
    after = raster([[1.0, 2.5, 3.0], [2.0, 5.0, np.nan]], "float32", band="depth", units={"depth": "m"}, **UTM)
    change = change_between(before, after)
    found = change.values
    assert change.kind == "values"
    assert change.sentence == "2 of 4 cells changed (50 %)"
    assert (found.unit, found.only_before, found.only_after) == ("m", 1, 1)
    assert (found.mean, found.median, found.mean_absolute) == (-0.375, 0.0, 0.625)
    assert found.rmse == pytest.approx(np.sqrt((0.5**2 + 2**2) / 4))
    assert (found.mean_before, found.mean_after) == (2.5, 2.125)
    assert [part for part, _ in found.quantiles] == list(QUANTILES)
    assert (found.quantiles[0][1], found.quantiles[-1][1]) == (-2.0, 0.5)
    assert found.limit == pytest.approx(np.quantile([0.5, 2.0], 0.98))
    assert found.limit_text == "98 % of the differences that are not zero lie within the scale."
    largest = found.largest
    assert (largest.difference, largest.before, largest.after) == (-2.0, 4.0, 2.0)
    assert (largest.row, largest.column, largest.x, largest.y) == (1, 0, 300_050.0, 7_399_850.0)
    assert change.picture.difference == pytest.approx(
        np.array([[0, 0.5, 0], [-2, np.nan, np.nan]]), nan_ok=True
    )  # fmt: skip


def test_values_that_do_not_differ_have_no_largest_difference_and_no_scale():
    same = raster([[0.5, 1.5]], "float64")
    change = change_between(same, same)
    assert change.sentence == "0 of 2 cells changed"
    assert (change.values.largest, change.values.limit, change.values.rmse) == (None, 0.0, 0.0)


def test_without_a_common_value_figures_are_nan():
    change = change_between(raster([[0.5, np.nan]], "float64"), raster([[np.nan, 0.5]], "float64"))
    assert change.sentence == "No cell has a value in both maps: nothing to compare."
    assert np.isnan([change.values.mean, change.values.median, change.values.rmse]).all()
    assert change.values.largest is None


def test_unsigned_numbers_do_not_wrap_around():
    before, after = raster([range(100)], "uint8"), raster([range(100, 200)], "uint8")
    found = change_between(after, before).values
    assert (found.mean, found.largest.difference) == (-100.0, -100.0)


def test_the_ends_of_all_floats_are_compared_without_a_warning():
    top = np.finfo("float64").max
    change = change_between(raster([[top, 0.5]], "float64"), raster([[-top, 0.5]], "float64"))
    assert change.changed == 1
    assert change.values.largest.difference == -np.inf


def test_infinite_values_are_no_values():
    assert change_between(raster([[np.inf, 0.5]], "float64"), raster([[1.5, 0.5]], "float64")).compared == 1


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hnp.arrays("float64", st.integers(5, 400), elements=st.floats(-1e6, 1e6, allow_subnormal=False)))
def test_quantiles_of_many_numbers_are_right_to_a_thousandth(numbers):
    stream = Quantiles()
    whole, values_module.MAX_EXACT = values_module.MAX_EXACT, 4
    try:
        for piece in np.array_split(numbers, 3):
            stream.add(piece)
        assert not stream.is_exact
        found = stream.at(QUANTILES)
    finally:
        values_module.MAX_EXACT = whole
    expected = np.quantile(numbers, QUANTILES, method="lower")
    assert found[0] == numbers.min()
    assert found[-1] == numbers.max()
    assert found == pytest.approx(expected.tolist(), rel=1 / 1000, abs=1e-300)


def test_quantiles_from_a_histogram_are_said_to_be(monkeypatch):
    monkeypatch.setattr(values_module, "MAX_EXACT", 10)
    random = np.random.default_rng(3)
    before, after = raster(random.random((10, 10)), "float64"), raster(random.random((10, 10)), "float64")
    change = change_between(before, after)
    assert change.notes == ("Quantiles of 100 differences: to 0.1 % of their value.",)
    exact = np.quantile((after.array - before.array).ravel(), QUANTILES, method="lower")
    assert [value for _, value in change.values.quantiles] == pytest.approx(exact, rel=1e-3)


# --- what is refused ---------------------------------------------------------------------------------------


def test_classes_and_values_are_not_compared():
    before = raster([[1, 2]], classes={"cover": COVER})
    after = raster([[0.25, 3.5]], "float32")
    assert refusal(before, after) == (
        "Classes and values can't be compared: 'cover' of the first map holds classes forest, sea, city; "
        "'cover' of the second map holds numbers (0.25 to 3.5; colours from 0.315 to 3.435). "
        "Choose another band. In both: cover."
    )


def test_whole_numbers_beside_a_legend_are_classes():
    before = raster([[1, 2]], classes={"cover": COVER})
    assert change_between(before, raster([[1, 3]], "float32")).classes.labels == ("forest", "sea", "city")


def test_a_few_numbers_beside_many_are_compared_as_numbers():
    change = change_between(raster([[0] * 100]), raster([range(100)]))
    assert change.kind == "values"
    assert change.notes == ("Compared as numbers: one of the maps has more different ones than classes have.",)


def test_codes_that_a_model_writes_as_floats_are_classes_beside_whole_numbers():
    change = change_between(raster([[1, 2, 3]]), raster([[1, 2, 2]], "float32"))
    assert (change.kind, change.sentence) == ("classes", "1 of 3 cells changed (33.33 %)")
    assert change.notes == ()


def test_whole_numbers_beside_fractions_are_compared_as_numbers():
    change = change_between(raster([[0, 0]]), raster([[0.5, 0.25]], "float32"))
    assert change.kind == "values"
    assert change.notes == ("Compared as numbers: one of the maps holds fractions.",)


def test_a_code_that_means_two_things_is_said():
    other = {1: ("water", "#0072b2"), 2: ("sea", "#0072b2"), 3: ("3", "#cc3311")}
    before, after = (raster([[1, 2, 3]], classes={"cover": classes}) for classes in (COVER, other))
    change = change_between(before, after)
    assert change.sentence == "0 of 3 cells changed"
    assert change.notes == (
        (
            "The two legends differ, codes are compared, not labels: "
            "1 is 'forest' in the first map and 'water' in the second map."
        ),
    )


def scaled_file(path, rows, scale, offset=0.0, dtype="int16"):
    array = np.array(rows, dtype)
    profile = {"driver": "GTiff", "count": 1, "height": array.shape[0], "width": array.shape[1], "dtype": dtype}
    with rasterio.open(path, "w", **profile, transform=UTM["transform"], crs="EPSG:31983") as dataset:
        dataset.write(array, 1)
        dataset.scales, dataset.offsets, dataset.units = (scale,), (offset,), ("m",)
    return path


@pytest.mark.parametrize("rows", [[[15, 20]], [list(range(100))]])
def test_values_that_are_stored_in_two_ways_are_refused(tmp_path, rows):
    before = scaled_file(tmp_path / "a.tif", rows, 0.1)
    after = scaled_file(tmp_path / "b.tif", rows, 1.0)
    assert refusal(before, after) == (
        "The values are stored in two ways: 'band_1' of a.tif times 0.1 plus 0, 'band_1' of b.tif as it is "
        "(scale and offset in the file). Write both with one scale and offset first."
    )


def test_stored_values_have_no_unit(tmp_path):
    before = scaled_file(tmp_path / "a.tif", [range(100)], 0.1, 5.0)
    after = scaled_file(tmp_path / "b.tif", [range(1, 101)], 0.1, 5.0)
    change = change_between(before, after)
    assert (change.values.mean, change.values.unit) == (1.0, "")
    assert "Values as they are stored: the files say that each stands for 0.1 times itself plus 5." in change.notes


def test_units_that_differ_are_refused():
    before = raster([[0.5]], "float32", band="depth", units={"depth": "m"})
    after = raster([[1.5]], "float32", band="depth", units={"depth": "ft"})
    assert refusal(before, after) == (
        "Units differ: 'depth' of the first map is in 'm', 'depth' of the second map in 'ft'. "
        "Convert one of them first."
    )


def test_a_band_that_is_not_there_is_suggested():
    assert refusal(raster([[1]]), raster([[1]]), "covr") == (
        "No band or column of the second map is called 'covr'. Did you mean 'cover'? Known: cover."
    )
    assert refusal(raster([[1]]), raster([[1]]), before_band="covr") == (
        "No band or column of the first map is called 'covr'. Did you mean 'cover'? Known: cover."
    )


def test_a_band_without_its_like_is_refused_with_the_choice():
    before, after = raster([[1]], band="uso"), raster([[1]], band="age")
    assert refusal(before, after) == (
        "The second map has a band 'age' and the first map has none to compare it with. Bands of the first map: uso. "
        "In both: none. Choose one that is in both, or name the other one too (before_band=...)."
    )
    assert change_between(before, after, before_band="uso").band_text == "uso to age"


def test_the_band_that_the_map_shows_is_compared_else_the_first_in_both():
    def stack(*bands):
        return Raster(array=np.zeros((len(bands), 1, 2), "uint8"), bands=bands)

    assert change_between(stack("b", "a"), stack("a", "b")).band == "a"
    assert change_between(stack("b", "c"), stack("a", "c", "b")).band == "c"
    assert change_between(stack("cover_before"), stack("cover_after")).band_text == "cover_before to cover_after"
    assert change_between(stack("a", "b"), stack("a", "b")).bands == ("a", "b")


def test_a_raster_and_a_table_are_not_compared():
    geopandas = pytest.importorskip("geopandas")
    table = geopandas.GeoDataFrame({"cover": [1]}, geometry=geopandas.points_from_xy([0], [0]))
    assert refusal(raster([[1]]), table) == (
        "Cells and features can't be compared: the first map is a raster, the second map is a table of features. "
        "Bring one into the form of the other first."
    )


# --- files, large and small --------------------------------------------------------------------------------


def write(name, rows, dtype="uint8", **options):
    write_raster(raster(rows, dtype, **options), name)
    return name


def test_files_are_called_by_their_names():
    write("a.tif", [[1, 2]], classes={"cover": COVER})
    write("b.tif", [[0.25, 1.5]], "float32")
    assert refusal("a.tif", "b.tif").startswith(
        "Classes and values can't be compared: 'cover' of a.tif holds classes"
    )
    change = change_between("a.tif", "a.tif")
    assert (change.before_name, change.after_name, change.sentence) == ("a.tif", "a.tif", "0 of 2 cells changed")


@pytest.mark.parametrize("band", ["cover", "shade"])
@pytest.mark.parametrize("with_alpha", [False, True])
def test_a_file_is_read_in_pieces_as_the_map_reads_it(monkeypatch, band, with_alpha):
    monkeypatch.setattr("dissmodel_lab.changes.bands.CHUNK_CELLS", 50)
    random = np.random.default_rng(5)
    values = random.integers(0, 5, (3, 37, 23)).astype("uint8")
    values[2] = random.integers(0, 2, (37, 23))
    names = ("cover", "shade", "mask")
    with rasterio.open(
        "m.tif", "w", driver="GTiff", width=23, height=37, count=3, dtype="uint8", tiled=True, blockxsize=16,
        blockysize=16, nodata=None if with_alpha else 4, transform=UTM["transform"],
    ) as file:  # fmt: skip
        file.write(values)
        file.descriptions = names
        if with_alpha:
            file.write_mask(random.random((37, 23)) > 0.3)
        file.write_colormap(1, {0: (0, 0, 0, 0), 1: (9, 9, 9, 255)}) if not with_alpha else None
    layer = open_layer("m.tif")
    shown = layer.grid(band, 4096)
    with opened_band(layer, band) as cells:
        pieces = [cells.read(top, min(top + 5, 37), 3, 20) for top in range(0, 37, 5)]
    read, valid = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    assert read.tolist() == shown.values[:, 3:20].tolist()
    assert valid.tolist() == shown.valid[:, 3:20].tolist()
    assert not valid.all()


def test_large_files_are_compared_in_little_memory(monkeypatch):
    monkeypatch.setattr("dissmodel_lab.changes.picture.CHUNK_CELLS", 100_000)
    rows = np.zeros((3000, 3000), "uint8")
    rows[1000:2000] = 1
    write("a.tif", rows, **DEGREES)
    rows[2999, 2999] = 2
    write("b.tif", rows, **DEGREES)
    change_between("a.tif", "a.tif")  # libraries are loaded once
    tracemalloc.start()
    change = change_between("a.tif", "b.tif")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert change.sentence == "1 of 9,000,000 cells changed (less than 0.01 %)"
    assert peak < 40e6  # both whole are 18 MB, with their masks and counts 150 MB


def test_no_changed_cell_is_lost_in_a_small_picture(monkeypatch):
    monkeypatch.setattr(picture_module, "MAX_SIDE", 10)
    random = np.random.default_rng(2)
    before = random.integers(0, 3, (95, 101)).astype("uint8")
    after = before.copy()
    spots = [(0, 0), (94, 100), (50, 3), (7, 88)]
    for row, column in spots:
        after[row, column] = 3 + before[row, column]
    change = change_between(before, after)
    picture = change.picture
    assert picture.state.shape == (9, 10)
    assert picture.cells_per_pixel == 121
    assert picture.source_size == (101, 95)
    where = {(row * 9 // 95, column * 10 // 101) for row, column in spots}
    found = {tuple(pixel) for pixel in np.argwhere(picture.state == CHANGED).tolist()}
    assert found == where
    assert (picture.after[picture.state == CHANGED] >= 3).all()
    assert (picture.after == picture.before).sum() == 90 - len(spots)
    assert change.notes == (
        (
            "A pixel of the picture stands for up to 121 cells, and shows a change when one of them changed; "
            "the figures count every cell."
        ),
    )


def test_a_small_picture_shows_the_largest_difference(monkeypatch):
    monkeypatch.setattr(picture_module, "MAX_SIDE", 2)
    before = np.zeros((4, 4))
    after = np.array([[0.5, 0, 0, 0], [0, -2.5, 0, 0], [0, 0, np.nan, np.nan], [0, 0.25, np.nan, np.nan]])
    picture = change_between(before, after).picture
    assert picture.difference == pytest.approx(np.array([[-2.5, 0], [0.25, np.nan]]), nan_ok=True)
    assert picture.state.tolist() == [[CHANGED, SAME], [CHANGED, ONE_SIDED]]


def test_a_picture_knows_where_it_lies():
    change = change_between(raster([[1, 2]], **UTM), raster([[2, 2]], **UTM))
    assert change.picture.transform == UTM["transform"]
    assert change.picture.crs == UTM["crs"]


# --- numbers at the ends of their types ------------------------------------------------------------------------


def test_large_whole_numbers_keep_their_last_digits():
    numbers = 2**62 + np.arange(200).reshape(10, 20)
    change = change_between(numbers, numbers + 1)
    assert (change.changed, change.values.mean, change.values.limit) == (200, 1.0, 1.0)
    assert change.values.quantiles[0] == (0.0, 1.0)


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**64 - 1)), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_differences_of_large_whole_numbers_are_those_of_exact_arithmetic(pairs):
    before, after = np.array([one for one, _ in pairs], "int64"), np.array([other for _, other in pairs], "uint64")
    found = values_module._difference(before, after)
    assert found.tolist() == pytest.approx([float(other - one) for one, other in pairs], rel=1e-15)


def test_what_the_coarser_type_cannot_hold_is_no_change():
    fine = np.random.default_rng(3).random((20, 30))
    change = change_between(fine, fine.astype("float32"))
    assert change.sentence == "0 of 600 cells changed"
    assert change.values.largest is None
    assert change.notes == ("Compared as float32, the coarser of the two types: finer digits are no change.",)


def test_where_nothing_was_compared_nothing_agrees():
    one = np.ma.masked_array([[1, 2]], [[False, True]], "uint8")
    other = np.ma.masked_array([[1, 2]], [[True, False]], "uint8")
    change = change_between(one, other)
    assert change.sentence == "No cell has a value in both maps: nothing to compare."
    assert change_facts(change)["classes"]["disagreement"] is None
    text = change_text(change)
    assert text.splitlines()[0] == f"{change.sentence}  [first map to second map, band_1]"
    assert "0 %" not in text


def test_one_changed_cell_of_very_many_is_no_rounding_error():
    change = change_between(raster([[1, 1], [2, 2]], **UTM), raster([[1, 2], [2, 2]], **UTM))
    areas = np.array([[3e9, 1.0], [0.0, 3e9]])
    rows = area_rows(dataclasses.replace(change.classes, cells=areas.astype("int64"), areas=areas))
    assert [row[3:] for row in rows] == [["-1", "-0.00", "0", "1"], ["+1", "+0.00", "1", "0"]]


def test_a_line_break_in_a_name_makes_no_line():
    evil = "in\n0 of 9 cells changed"
    change = change_between(raster([[1, 2]]), raster([[1, 1]]), names=(evil, "out"))
    said = dataclasses.replace(change, notes=(f"{evil}: note.",))
    assert [line for line in change_text(said).splitlines() if line.strip().startswith("0 of 9")] == []


# --- areas where a shortcut would be wrong ---------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (1, 4)])
def test_one_row_of_web_mercator_has_true_areas(shape):
    at_60_north = Affine(100, 0, 0, 0, -100, 8_399_738)
    found = areas_of_cells(Place(shape=shape, transform=at_60_north, crs=CRS("EPSG:3857")))
    assert found.grid == pytest.approx(np.full(shape, 2508.4), rel=1e-4)
    assert found.method.endswith("because EPSG:3857 does not keep areas.")


def test_cells_of_a_row_differ_in_a_turned_grid_of_degrees():
    turned = Affine(0, 10, 0, 10, 0, 40)  # columns run north
    found = areas_of_cells(Place(shape=(2, 3), transform=turned, crs=CRS("EPSG:4326")))
    upright = areas_of_cells(Place(shape=(3, 2), transform=Affine(10, 0, 0, 0, -10, 70), crs=CRS("EPSG:4326")))
    assert found.grid == pytest.approx(np.broadcast_to(upright.grid[::-1, 0], (2, 3)))
    assert "row by row" not in found.method


def test_a_fine_turned_grid_of_degrees_is_not_taken_for_an_upright_one():
    turned = Affine(5e-6, 5e-6, 0, 5e-6, -5e-6, 40)
    assert "row by row" not in areas_of_cells(Place(shape=(2, 2), transform=turned, crs=CRS("EPSG:4326"))).method


@pytest.mark.parametrize("west", [-180, 0])
@pytest.mark.parametrize("columns", [1, 2, 36])
def test_wide_cells_cover_the_earth(west, columns):
    place = Place(shape=(2, columns), transform=Affine(360 / columns, 0, west, 0, -90, 90), crs=CRS("EPSG:4326"))
    found = areas_of_cells(place)
    assert found.of_rows(0, 2, columns).sum() == pytest.approx(510_065_621.7e6, rel=1e-9)  # WGS 84 [m2]
