"""Where the features of a table lie is found once for all its columns, and never for other features."""

from __future__ import annotations

import gc

import geopandas as gpd
import numpy as np
import pytest
import shapely

from dissmodel_lab.maps import open_layer, preview
from dissmodel_lab.maps.vectors import cells as lattices
from dissmodel_lab.maps.vectors import known
from dissmodel_lab.maps.vectors.known import KnownTables

SIDE = 50


def grid_of(side=SIDE, *, size=100.0):
    row, column = np.divmod(np.arange(side * side), side)
    x, y = 300_000 + column * size, 7_400_000 + row * size
    shapes = shapely.box(x, y, x + size, y + size)
    return gpd.GeoDataFrame({"row": row, "column": column}, geometry=shapes, crs=31983)


@pytest.fixture
def looks(monkeypatch):
    """The sizes of the tables whose features were looked at."""
    seen, find = [], lattices.find_lattice

    def counting(shapes):
        seen.append(len(shapes))
        return find(shapes)

    monkeypatch.setattr(known, "tables", KnownTables())
    monkeypatch.setattr("dissmodel_lab.maps.vectors.places.find_lattice", counting)
    return seen


def test_another_column_is_drawn_without_a_second_look_even_after_other_tables(looks):
    table = grid_of()
    first = preview(table, "row")
    preview(table.iloc[:4], "column")
    preview(grid_of(40), "column")
    other = preview(table, "column")
    assert looks == [SIDE * SIDE, 4, 1600]
    assert first.value_at(*middle_of(first, 0.51)) == "25" == other.value_at(*middle_of(other, 0.51))
    assert (other.grid.values == other.grid.values[0]).all()


def middle_of(picture, part):
    (south, west), (north, east) = picture.bounds
    return south + (north - south) * part, west + (east - west) * part


def test_a_copy_with_the_same_features_is_known(looks):
    table = grid_of()
    preview(table, "row")
    result = table.copy()
    result["row"] = 7
    assert set(preview(result, "row").grid.values.ravel()) == {7}
    assert looks == [SIDE * SIDE]


def test_a_feature_that_moves_in_place_is_seen(looks):
    table = grid_of()
    before = preview(table, "row").grid.values.shape
    for _ in range(3):  # the last one may come to lie where the first one has been
        table.loc[table.index[-1], "geometry"] = shapely.box(300_000, 7_405_000, 300_100, 7_405_100)
        assert preview(table, "row").grid.values.shape == (SIDE + 1, SIDE)
        table.loc[table.index[-1], "geometry"] = shapely.box(304_900, 7_404_900, 305_000, 7_405_000)
        assert preview(table, "row").grid.values.shape == before
    assert len(looks) == 7


def test_the_same_features_elsewhere_are_others(looks):
    table = grid_of()
    here = preview(table, "row").bounds
    assert preview(table.set_crs(31984, allow_override=True), "row").bounds != here


def test_what_is_known_goes_with_its_tables(monkeypatch):
    tables = KnownTables()
    monkeypatch.setattr(known, "tables", tables)
    kept = [grid_of(size=float(size)) for size in range(100, 100 + known.MOST + 2)]
    for table in kept:
        preview(table, "row")
    assert len(tables) == known.MOST
    copy = kept[-1].copy()
    preview(copy, "row")
    del kept, table
    gc.collect()
    assert len(tables) == 1
    del copy
    gc.collect()
    assert len(tables) == 0


def test_a_layer_that_is_opened_knows_them_as_long_as_it_lives(looks):
    layer = open_layer(grid_of())
    for column in ("row", "column"):
        preview(layer, column)
    assert looks == [SIDE * SIDE]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 3, 0, 1), (3, 2, 1, 0), (1, 0, 3, 2)])
def test_cells_that_begin_at_any_corner_and_turn_either_way_are_a_grid(order):
    table = grid_of()
    corners = shapely.get_coordinates(table.geometry).reshape(-1, 5, 2)[:, :4]
    turned = shapely.polygons(corners[:, order])
    mixed = np.where(np.arange(len(turned)) % 3 == 0, turned, np.asarray(table.geometry))
    for shapes in (turned, mixed):
        found = lattices.find_lattice(shapes)
        assert found is not None
        assert found.size == (SIDE, SIDE)
        assert (found.row == SIDE - 1 - table["row"]).all()
        assert (found.column == table["column"]).all()


def test_two_cells_in_one_feature_and_none_in_the_next_are_no_grid():
    shapes = np.asarray(grid_of().geometry).copy()
    shapes[10] = shapely.multipolygons([shapes[10], shapes[11]])
    shapes[11] = shapely.from_wkt("POLYGON EMPTY")
    assert lattices.find_lattice(shapes) is None


def test_an_area_whose_corners_are_off_by_a_hundredth_of_a_cell_is_no_cell():
    shapes = np.asarray(grid_of().geometry).copy()
    assert lattices.find_lattice(shapes) is not None
    shapes[77] = shapely.transform(shapes[77], lambda points: points + np.eye(5, 2, -1))
    assert lattices.find_lattice(shapes) is None
