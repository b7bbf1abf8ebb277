"""Grids that do not match: refused with the reason, or compared on a common grid when asked."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS, Transformer

from dissmodel_lab.changes import change_between
from dissmodel_lab.changes import grids as grids_module
from dissmodel_lab.errors import ComparisonError
from dissmodel_lab.rasters import Raster, write_raster

UTM = CRS("EPSG:31983")


def raster(rows, transform=None, crs=None, dtype="uint8", **options):
    return Raster(array=np.array(rows, dtype)[np.newaxis], bands=("cover",), transform=transform, crs=crs, **options)


def at(x, y, size=100.0):
    return Affine(size, 0, x, 0, -size, y)


def refusal(*args, **options):
    with pytest.raises(ComparisonError) as caught:
        change_between(*args, **options)
    return str(caught.value)


ASK = (
    "Bring them onto one grid first, or ask for it: common_grid=True (--common-grid) takes for each cell of the "
    "first map the nearest one of the second map."
)


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (raster([[1, 2]]), raster([[1], [2]]), "their sizes are 2 x 1 cells and 1 x 2 cells"),
        (
            raster([[1, 2]], at(0, 0), UTM),
            raster([[1, 2]], at(0, 0), CRS("EPSG:4326")),
            "their CRS are EPSG:31983 and EPSG:4326",
        ),
        (
            raster([[1, 2]], at(300_000, 500), UTM),
            raster([[1, 2]], at(300_050, 500), UTM),
            "their corners lie at (300000, 500) and (300050, 500)",
        ),
        (
            raster([[1, 2]], at(300_000, 500), UTM),
            raster([[1, 2]], at(300_000, 500, 30.5), UTM),
            "their cells are 100 x 100 from (300000, 500) and 30.5 x 30.5 from (300000, 500)",
        ),
    ],
)
def test_grids_that_do_not_match_are_refused_with_the_reason(before, after, reason):
    assert refusal(before, after) == f"Not one grid, the first map and the second map: {reason}. {ASK}"


def test_a_hair_of_a_cell_is_no_other_grid():
    before = raster([[1, 2]], at(300_000, 500), UTM)
    assert change_between(before, raster([[1, 3]], at(300_000.3, 500.3), UTM)).changed == 1
    one = raster([[1, 2]], at(10, 5, 0.1), CRS("EPSG:4326"))
    assert change_between(one, raster([[1, 3]], at(10, 5, 0.1), CRS("OGC:CRS84"))).changed == 1  # only its axes turn


def test_a_map_without_a_place_lies_on_the_other_ones_grid_when_it_has_its_size():
    change = change_between(raster([[1, 2]], at(300_000, 500), UTM), raster([[2, 2]]))
    assert change.notes == ("The second map has no transform and no CRS: taken to lie on the other one's grid.",)
    assert change.classes.area_unit == "ha"
    change = change_between(raster([[1, 2]], at(300_000, 500)), raster([[2, 2]], at(300_000, 500), UTM))
    assert change.notes == ("The first map has no CRS: taken to lie on the other one's grid.",)
    assert change.picture.crs == UTM


def test_a_map_without_a_place_and_of_another_size_cannot_be_brought_onto_a_grid():
    assert refusal(raster([[1, 2]], at(0, 0), UTM), raster([[1]]), common_grid=True) == (
        "Not one grid, the first map and the second map: their sizes are 2 x 1 cells and 1 x 1 cells. The second map "
        "has no transform, so it can't be brought onto another grid. Write its transform into the file first."
    )


def test_on_a_common_grid_each_cell_has_the_value_at_its_centre():
    before = raster([[1, 1, 1, 1], [1, 1, 1, 1]], at(300_000, 200), UTM)
    fine = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 1, 1], [3, 3, 1, 1]])
    after = raster(fine, at(300_100, 200, 50), UTM)  # covers the two columns in the middle
    change = change_between(before, after, common_grid=True)
    assert change.picture.after[change.picture.has_after].tolist() == [1, 2, 3, 1]
    assert change.sentence == "2 of 4 cells changed (50 %)"
    assert (change.only_before, change.only_after, change.total) == (4, 0, 8)
    assert change.notes == (
        (
            "Compared on the grid of the first map (4 x 2 cells): their sizes are 4 x 2 cells and 4 x 4 cells. "
            "Each cell has the value of the second map's nearest cell."
        ),
        "4 cells with a value in one map only (4 before, 0 after): counted apart, not as change.",
    )  # fmt: skip


def test_a_map_turned_upside_down_is_the_same_map():
    rows = np.arange(12).reshape(3, 4)
    before = raster(rows, at(300_000, 300), UTM)
    after = raster(rows[::-1], Affine(100, 0, 300_000, 0, 100, 0), UTM)
    assert change_between(before, after, common_grid=True).sentence == "0 of 12 cells changed"


def test_another_crs_is_reprojected_cell_by_cell():
    random = np.random.default_rng(4)
    before = raster(random.integers(0, 9, (20, 30)), Affine(0.01, 0, -45, 0, -0.01, -22), CRS("EPSG:4326"))
    after = raster(random.integers(0, 9, (90, 90)), at(495_000, 7_570_000, 400), UTM)
    change = change_between(before, after, common_grid=True)
    to_utm = Transformer.from_crs(4326, 31983, always_xy=True)
    for row in range(20):
        for column in range(30):
            x, y = to_utm.transform(-45 + 0.01 * (column + 0.5), -22 - 0.01 * (row + 0.5))
            there = int((7_570_000 - y) // 400), int((x - 495_000) // 400)
            is_inside = 0 <= there[0] < 90 and 0 <= there[1] < 90
            assert change.picture.has_after[row, column] == is_inside
            if is_inside:
                assert change.picture.after[row, column] == after.array[0][there]
    assert change.compared > 100


@pytest.mark.parametrize("window", [1, 7, 10_000])
def test_a_large_file_is_read_in_windows_for_a_common_grid(monkeypatch, window):
    random = np.random.default_rng(6)
    rows = random.integers(0, 9, (120, 80)).astype("uint8")
    write_raster(raster(rows, at(300_000, 12_000), UTM, nodata=8), "fine.tif")
    coarse = raster(np.zeros((6, 8)), at(300_000, 12_000, 1000), UTM)
    monkeypatch.setattr(grids_module, "MAX_WINDOW", window)
    change = change_between(coarse, "fine.tif", common_grid=True)
    expected = rows[5:60:10, 5:80:10]
    assert change.picture.after[change.picture.has_after].tolist() == expected[expected != 8].tolist()
    assert change.only_before == np.count_nonzero(expected == 8)


def test_a_map_far_away_has_nothing_in_common():
    before = raster([[1, 2]], at(300_000, 500), UTM)
    change = change_between(before, raster([[1, 2]], at(900_000, 500), UTM), common_grid=True)
    assert change.sentence == "No cell has a value in both maps: nothing to compare."


def test_a_grid_from_0_to_360_is_brought_onto_one_from_west_to_east():
    rows = np.arange(12).reshape(1, 12) % 5
    degrees = CRS("EPSG:4326")
    before = raster(rows, Affine(30, 0, -180, 0, -30, 15), degrees)
    after = raster(np.roll(rows, 6, axis=1), Affine(30, 0, 0, 0, -30, 15), degrees)
    for one, other in ((before, after), (after, before)):
        assert change_between(one, other, common_grid=True).sentence == "0 of 12 cells changed"


def test_a_grid_on_both_sides_of_the_antimeridian_is_found_from_a_projected_one():
    degrees = raster([[1, 2], [3, 4]], Affine(1, 0, 179, 0, -1, 1), CRS("EPSG:4326"))
    pacific = raster([[0, 0], [0, 0]], Affine(111_320, 0, 29 * 111_320, 0, -110_000, 110_000), CRS("EPSG:3832"))
    change = change_between(pacific, degrees, common_grid=True)
    assert (change.compared, change.classes.codes) == (4, (0, 1, 2, 3, 4))


def test_grids_that_are_turned_against_each_other_are_told_apart():
    rows, place = [[1, 2], [1, 2]], at(300_000, 500)
    assert "their cells are 100 x 100 from (300000, 500) and 100 x 100 from (300000, 500) turned by 30 degrees. " in (
        refusal(raster(rows, place, UTM), raster(rows, place @ Affine.rotation(-30), UTM))
    )
    south_up = Affine(100, 0, 300_000, 0, 100, 300)
    assert "and 100 x 100 from (300000, 300) with the first row in the south. " in (
        refusal(raster(rows, place, UTM), raster(rows, south_up, UTM))
    )
