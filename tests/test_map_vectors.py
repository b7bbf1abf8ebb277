"""Vector layers of any size, from any file, true to the data."""

from __future__ import annotations

import contextlib
import datetime as dt
import html
import json
import sqlite3
import struct
import zipfile

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS, Transformer
from rasterio.features import rasterize

from dissmodel_lab.errors import SourceError
from dissmodel_lab.maps import preview
from dissmodel_lab.maps.area import Area
from dissmodel_lab.maps.features import attributes_of, colours_of, feature_at, features_of, text_of
from dissmodel_lab.maps.vector import find_owners, from_table, open_parquet, open_table
from dissmodel_lab.maps.vectors import shapefiles, tables
from dissmodel_lab.maps.vectors import shapes as drawing
from dissmodel_lab.maps.vectors.cells import find_lattice
from dissmodel_lab.maps.vectors.packed import Packed

FORMATS = {
    "cells.gpkg": "GPKG",
    "cells.shp": "ESRI Shapefile",
    "cells.fgb": "FlatGeobuf",
    "cells.geojson": "GeoJSON",
    "cells.geojsonl": "GeoJSONSeq",
}


def cells(rows, columns, side=100.0, *, west=300_000.0, south=7_400_000.0):
    row, column = np.divmod(np.arange(rows * columns), columns)
    x, y = west + column * side, south + row * side
    return shapely.box(x, y, x + side, y + side)


def blobs(n, seed=5, *, size=10.0):
    rng = np.random.default_rng(seed)
    return shapely.buffer(
        shapely.points(rng.random((n, 2)) * size), rng.random(n) * size / 20 + size / 50, quad_segs=3
    )


def table_of(shapes, crs=31983):
    return gpd.GeoDataFrame({"n": np.arange(len(shapes))}, geometry=shapes, crs=crs)


@pytest.fixture
def small_budget(monkeypatch):
    monkeypatch.setattr(tables, "AT_ONCE", 0)
    monkeypatch.setattr(tables, "MAX_FEATURES", 50)
    monkeypatch.setattr(tables, "MOST_NEAR", 40)


# --- what a pixel shows --------------------------------------------------------------------------------------


def test_areas_are_filled_like_gdal_does():
    ring = shapely.Point(3, 3).buffer(2).difference(shapely.Point(3, 3).buffer(1))
    two = shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(5, 5, 6, 7)])
    shapes = np.array([*blobs(60), ring, two])
    transform = Affine(0.2, 0, -1, 0, -0.2, 11)
    burned = rasterize(((s, i) for i, s in enumerate(shapes, 1)), (60, 60), transform=transform, dtype="int32")
    owners = drawing.owners_of(drawing.parts_of(shapes), transform, (60, 60), (1, 1))
    # an area smaller than a pixel gets one that GDAL leaves empty: there is none here
    assert (owners + 1).tolist() == burned.tolist()


def test_pieces_make_no_difference(monkeypatch):
    shapes, transform = np.array([*blobs(80), *shapely.boundary(blobs(9, 2))]), Affine(0.1, 0, -1, 0, -0.1, 11)
    whole = drawing.owners_of(drawing.parts_of(shapes), transform, (120, 120), (3, 3))
    monkeypatch.setattr(drawing, "PIECE", 37)
    assert (drawing.owners_of(drawing.parts_of(shapes), transform, (120, 120), (3, 3)) == whole).all()


def test_points_lie_on_lines_on_areas():
    mixed = shapely.GeometryCollection(
        [shapely.Point(0.5, 2.5), shapely.GeometryCollection([shapely.LineString([(0, 1.5), (3, 1.5)])])]
    )
    shapes = np.array(
        [mixed, shapely.box(0, 0, 3, 3), shapely.Polygon(), None, shapely.LinearRing([(0, 0), (0, 0), (0, 0)])]
    )
    owners = drawing.owners_of(drawing.parts_of(shapes), Affine(1, 0, 0, 0, -1, 3), (3, 3), (1, 1))
    assert owners.tolist() == [[0, 1, 1], [0, 0, 0], [4, 1, 1]]


def test_lines_that_only_pass_by_are_cut_at_the_edges():
    far = shapely.LineString([(-1e9, 1.5), (1e9, 1.5)])
    beside = shapely.LineString([(-5, -5), (50, -5)])
    owners = drawing.owners_of(drawing.parts_of(np.array([far, beside])), Affine(1, 0, 0, 0, -1, 3), (3, 3), (1, 1))
    assert owners.tolist() == [[-1] * 3, [0] * 3, [-1] * 3]


def test_small_areas_do_not_vanish():
    sparse = shapely.box([0, 500, 1000.2], [0, 500, 1000.2], [0.1, 500.1, 1000.3], [0.1, 500.1, 1000.3])
    picture = preview(table_of(np.array([*sparse, shapely.box(200, 200, 300, 310)])), "n")
    assert [e.value for e in picture.legend.entries] == [0, 1, 2, 3]


def test_areas_over_areas_are_drawn_coarsely_and_it_is_said(monkeypatch):
    monkeypatch.setattr(drawing, "MOST_FILLED", 10_000)
    shapes = np.append(np.repeat(shapely.box(0, 0, 1, 1), 40), shapely.box(0, 0, 0.5, 1))
    owners = find_owners(shapes, 100)
    assert owners.features.shape == (15, 15)
    assert owners.shown == "41 areas that overlap drawn coarsely"
    assert owners.notes[-1] == "41 areas that overlap drawn coarsely."
    assert set(owners.features.ravel().tolist()) == {39, 40}


# --- grids of cells ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("angle", [0, 30, 100, -75, 180])
@pytest.mark.parametrize("clockwise", [False, True])
def test_turned_grids_are_exact(angle, clockwise):
    chosen = np.random.default_rng(2).permutation(12)[:9]
    upright = cells(3, 4)[chosen]
    turned = gpd.GeoSeries(upright).rotate(angle, origin=(300_000, 7_400_000)).to_numpy()
    if clockwise:
        turned = shapely.reverse(turned)
    found = find_lattice(turned)
    assert found is not None
    assert sorted(found.size) == [3, 4]
    middles = shapely.get_coordinates(shapely.centroid(turned))
    a, b, c, d, e, f = found.transform[:6]
    column, row = found.column + 0.5, found.row + 0.5
    np.testing.assert_allclose(
        np.column_stack((a * column + b * row + c, d * column + e * row + f)), middles, atol=1e-6
    )
    picture = preview(table_of(turned), "n")
    assert sorted(e.value for e in picture.legend.entries) == list(range(9))
    for place, number in zip(middles, range(9), strict=True):
        x, y = Transformer.from_crs(31983, 4326, always_xy=True).transform(*place)
        assert picture.value_at(y, x) == str(number)


def test_cells_whose_corners_were_rounded():
    steps = np.round(np.arange(101) / 3, 4)
    west, south = (part.ravel() for part in np.meshgrid(steps[:-1], steps[:-1]))
    east, north = (part.ravel() for part in np.meshgrid(steps[1:], steps[1:]))
    found = find_lattice(shapely.box(west, south, east, north))
    assert found.size == (100, 100)


def test_cells_apart_by_half_a_cell_are_no_grid():
    assert find_lattice(shapely.box([179.5, 181], -17, [180.5, 182], -16)) is None


def test_points_on_a_lattice_become_cells_and_others_stay_points():
    x, y = np.meshgrid(np.arange(6) * 30.0, np.arange(5) * 20.0)
    points = table_of(shapely.points(x.ravel() + 300_000, y.ravel() + 7_400_000))
    grid = from_table(points).grid("n", 1024)
    assert grid.values.shape == (5, 6)
    assert grid.transform[:6] == (30, 0, 299_985, 0, -20, 7_400_090)
    assert grid.notes == ("Points on a regular grid: each is drawn as a cell of 30 x 20.",)
    points.loc[7, "geometry"] = shapely.Point(300_031, 7_400_020)
    assert "Points drawn as pixels" in from_table(points).grid("n", 1024).notes[0]


def test_a_part_of_a_grid_of_cells_is_cut_out_sharply():
    layer = from_table(table_of(cells(300, 400)))
    whole = layer.grid("n", 100)
    assert (whole.shown, whole.source_size) == ("1 of 16 cells shown", (400, 300))
    assert whole.notes[-1] == "1 of 16 cells shown."
    part = layer.grid("n", 100, Area(west=301_010, south=7_400_510, east=301_290, north=7_400_690))
    assert part.values.tolist() == [[r * 400 + c for c in (10, 11, 12)] for r in (6, 5)]
    assert part.transform[:6] == (100, 0, 301_000, 0, -100, 7_400_700)
    assert (part.source_size, part.whole_size, part.shown) == ((3, 2), (400, 300), "")
    assert (part.window.column, part.window.row) == (10, 293)


def test_a_plane_counts_cells_from_the_lower_left():
    layer = from_table(gpd.GeoDataFrame({"n": np.arange(12)}, geometry=cells(3, 4, west=0.0, south=0.0)))
    assert layer.extent == Area(west=0, south=0, east=4, north=3)
    assert layer.grid("n", 10, Area(west=1, south=0, east=2.5, north=1, is_cells=True)).values.tolist() == [[1, 2]]


def test_many_cells_say_that_they_are_an_image():
    grid = from_table(table_of(cells(50, 50))).grid("n", 1024)
    assert (grid.shown, grid.notes) == ("2,500 cells drawn as an image", ("2,500 cells drawn as an image.",))


# --- parts of other shapes -----------------------------------------------------------------------------------


def test_a_part_of_shapes_is_drawn_from_what_touches_it():
    table = table_of(shapely.transform(blobs(3000), lambda p: p * 3000 + 5e5))
    layer = from_table(table)
    whole = layer.grid("n", 256)
    assert whole.shown == "3,000 areas drawn as an image"
    area = Area(west=510_000, south=510_000, east=511_000, north=511_000)
    part = layer.grid("n", 256, area)
    burned = rasterize(
        ((s, i) for i, s in enumerate(table.geometry, 1)), part.values.shape, transform=part.transform, dtype="int32"
    )
    assert part.values.shape == (256, 256)
    assert part.transform[:6] == pytest.approx((1000 / 256, 0, 510_000, 0, -1000 / 256, 511_000))
    assert np.where(part.valid, part.values + 1, 0).tolist() == burned.tolist()
    touching = set(layer.rows_in(area).tolist())
    assert set(part.values[part.valid].tolist()) <= touching
    assert len(touching) < 3000


def test_a_deep_look_into_one_large_area_stays_sharp():
    layer = from_table(table_of(shapely.box([1e5, 6e5], 7e6, [6e5, 8e5], 7.5e6)))
    part = layer.grid("n", 64, Area(west=599_999.5, south=7_200_000, east=600_000.5, north=7_200_001))
    assert part.values.shape == (64, 64)
    assert part.values.tolist() == [[0] * 32 + [1] * 32] * 64


def test_a_part_of_a_plane_fits_the_whole():
    table = gpd.GeoDataFrame({"n": np.arange(40)}, geometry=blobs(40))
    layer = from_table(table)
    whole = preview(layer, "n")
    (south, west), (north, east) = whole.bounds
    assert max(north - south, east - west) == 1024
    view = ((200.0, 300.0), (400.0, 500.0))
    part = preview(layer, "n", area_bounds=view, like=whole)
    assert part.bounds == view
    differs = 0
    for y in range(205, 400, 13):
        for x in range(305, 500, 13):
            differs += whole.value_at(y + 0.5, x + 0.5) != part.value_at(y + 0.5, x + 0.5)
    assert differs == 0


# --- coordinates ---------------------------------------------------------------------------------------------


def test_features_without_a_finite_place_are_said():
    with np.errstate(invalid="ignore"):
        torn = shapely.from_wkt("LINESTRING (0 0, NaN 1, 2 2)")
    shapes = [None, shapely.Polygon(), shapely.Point(np.inf, 0), torn, shapely.Point(1e300, 0), *blobs(5)]
    layer = from_table(gpd.GeoDataFrame({"n": range(10)}, geometry=shapes))
    grid = layer.grid("n", 64)
    assert grid.notes[:3] == (
        "3 of 10 features have no place: no geometry, or no finite one.",
        "1 of 10 features lie absurdly far away (coordinates beyond 1e+12): not drawn.",
        "1 of 10 features have corners that are no finite numbers: not drawn.",
    )
    assert set(grid.values[grid.valid].tolist()) == {5, 6, 7, 8, 9}
    assert layer.rows_in().tolist() == [5, 6, 7, 8, 9]
    assert [layer.shapes[i] is None for i in range(10)] == [True] * 5 + [False] * 5


def test_a_broken_feature_does_not_hide_the_grid():
    layer = from_table(table_of(np.append(cells(30, 30), None)))
    grid = layer.grid("n", 64)
    assert grid.values.shape == (30, 30)
    assert grid.notes == ("1 of 901 features have no place: no geometry, or no finite one.",)


@pytest.mark.parametrize(
    "shapes", [cells(3, 4, 0.5, west=-15.0, south=-120.0), shapely.points([[-10.5, -100.2], [3, 95]])]
)
def test_latitude_first_is_noticed_and_turned(shapes):
    layer = from_table(table_of(shapes, 4326))
    assert (
        layer.grid("n", 64)
        .notes[0]
        .endswith(
            "which no latitude does: x and y were swapped, and are drawn the other way round. Write longitude first."
        )
    )
    assert layer.extent.west <= -100
    assert preview(layer, "n").is_georeferenced
    x, y = shapely.get_coordinates(shapely.centroid(shapes[-1]))[0]
    assert feature_at(layer, y, x) == {"n": str(len(shapes) - 1)}


def test_axes_that_are_only_probably_swapped_are_said():
    shapes = shapely.points([[-15.5, -47.5], [-15.1, -47.2]])  # Brasilia, latitude first
    grid = from_table(table_of(shapes, 4674)).grid("n", 64)
    assert grid.notes[0] == (
        "All lies outside of the region that SIRGAS 2000 is made for; with x and y swapped it would lie inside. "
        "Check the order of the axes: east (longitude) comes first."
    )
    assert from_table(table_of(shapely.points([[-47.5, -15.5], [-47.2, -15.1]]), 4674)).grid("n", 64).notes == (
        "Points drawn as pixels on a grid of 48 x 64. Points and lines are wider than they are, to be seen.",
    )


def test_degrees_without_a_crs_are_said_and_not_guessed():
    picture = preview(gpd.GeoDataFrame({"n": [1, 2]}, geometry=shapely.points([[-47.5, -15.5], [-47.2, -15.1]])))
    assert not picture.is_georeferenced
    assert (
        "The coordinates look like longitude and latitude, but nothing says so: "
        "set the CRS (EPSG:4326?) to see them on Earth."
    ) in picture.notes
    counted = preview(gpd.GeoDataFrame({"n": range(4)}, geometry=cells(2, 2, 1.0, west=0, south=0)))
    assert not any("look like" in note for note in counted.notes)


def test_a_feature_at_null_island_is_said():
    shapes = np.append(shapely.transform(blobs(300), lambda p: p * 10 + 5e5), shapely.Point(0, 0).buffer(1))
    assert (
        from_table(table_of(shapes))
        .grid("n", 64)
        .notes[0]
        .startswith("1 of 301 features lie far away from all others, which are tiny therefore: from -1, -1 to 1, 1.")
    )


def test_heights_are_left_out():
    solid = shapely.force_3d(blobs(3), 7.0)
    assert (
        features_of(from_table(table_of(solid, 4326))).geojson["features"][0]["geometry"]["coordinates"][0][0][2:]
        == []
    )
    assert preview(table_of(solid, 4326)).is_georeferenced


# --- files ---------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    table = gpd.GeoDataFrame({"z": [1, 2, 3, 4], "name": list("abcd")}, geometry=cells(2, 2), crs=31983)
    for name, driver in FORMATS.items():
        (table.to_crs(4326) if "json" in name else table).to_file(tmp_path / name, driver=driver)
    table.to_parquet(tmp_path / "cells.parquet")
    return tmp_path


@pytest.mark.parametrize("name", [*FORMATS, "cells.parquet"])
@pytest.mark.parametrize("at_once", [True, False])
def test_formats(folder, name, at_once, monkeypatch):
    if not at_once:
        monkeypatch.setattr(tables, "AT_ONCE", 0)
    opened = open_parquet if name.endswith("parquet") else open_table
    layer = opened(str(folder / name), name)
    assert isinstance(layer.rows, tables.MemoryRows if at_once or "json" in name else tables.FileRows)
    assert (layer.bands, layer.default_band, layer.parts, layer.part) == (("z", "name"), "z", (), "")
    grid = layer.grid("z", 64)
    assert set(grid.values[grid.valid].tolist()) == {1, 2, 3, 4}
    x, y = Transformer.from_crs(31983, 4326, always_xy=True).transform(300_150, 7_400_050)
    assert feature_at(layer, x, y) == {"z": "2", "name": "b"}
    assert list(layer.table.columns) == ["z", "name", "geometry"]
    assert layer.crs == (CRS(4326) if "json" in name else CRS(31983))


def test_layers_of_a_geopackage(tmp_path):
    path = str(tmp_path / "two.gpkg")
    table_of(cells(1, 2)).to_file(path, layer="fields")
    table_of(shapely.points([[1, 2]])).to_file(path, layer="wells")
    layer = open_table(path, "two.gpkg")
    assert (layer.parts, layer.part) == (("fields", "wells"), "fields")
    assert layer.notes == ("Layer fields is shown, one of 2: fields, wells.",)
    other = open_table(path, "two.gpkg", part="wells")
    assert (other.part, len(other.table)) == ("wells", 1)
    with pytest.raises(SourceError) as caught:
        open_table(path, "two.gpkg", part="field")
    assert str(caught.value) == ("two.gpkg holds no layer 'field'. Did you mean 'fields'? Known: fields, wells.")


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("lost", "notes", "columns"),
    [
        ("shx", ("cells.shx (the index) is missing: rebuilt from cells.shp.",), ["z", "name", "geometry"]),
        ("dbf", ("cells.dbf (the columns) is missing: shapes only.",), ["geometry"]),
        ("prj", ("cells.prj (the CRS) is missing.",), ["z", "name", "geometry"]),
        ("cpg", (), ["z", "name", "geometry"]),
    ],
)
def test_missing_files_of_a_shapefile(folder, zipped, lost, notes, columns):
    (folder / f"cells.{lost}").unlink()
    before = sorted(path.name for path in folder.iterdir())
    path = str(folder / "cells.shp")
    if zipped:
        with zipfile.ZipFile(folder / "a.zip", "w") as archive:
            for part in folder.glob("cells.[sdpc][hbrp]?"):
                archive.write(part, f"in/{part.name}")
        path = f"/vsizip/{{{folder / 'a.zip'}}}/in/cells.shp"
    layer = open_table(path, "cells.shp")
    assert layer.notes == notes
    assert list(layer.table.columns if lost != "dbf" else layer.table[["geometry"]].columns) == columns
    assert layer.grid(layer.default_band, 8).values.shape == (2, 2)
    assert (layer.crs is None) == (lost == "prj")
    assert sorted(path.name for path in folder.iterdir() if path.suffix != ".zip") == before


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("UTF-8", "texts read as UTF-8, which they are."),
        ("ISO-8859-1", "texts read as Latin-1, because they are no valid UTF-8."),
    ],
)
def test_encodings_of_a_shapefile(tmp_path, written, said):
    table = gpd.GeoDataFrame({"uso": ["São João", "água"]}, geometry=cells(1, 2), crs=31983)
    table.to_file(tmp_path / "a.shp", encoding=written)
    (tmp_path / "a.cpg").unlink()
    layer = open_table(str(tmp_path / "a.shp"), "a.shp")
    assert layer.table["uso"].tolist() == ["São João", "água"]
    assert layer.notes == (f"a.cpg (the encoding) is missing: {said}",)


def test_a_cut_off_shapefile_without_index_shows_what_is_left(tmp_path):
    table_of(cells(3, 3)).to_file(tmp_path / "a.shp")
    (tmp_path / "a.shx").unlink()
    whole = (tmp_path / "a.shp").read_bytes()
    (tmp_path / "a.shp").write_bytes(whole[:-200])
    assert len(open_table(str(tmp_path / "a.shp"), "a.shp").table) == 7
    (tmp_path / "a.shp").write_bytes(b"no shapefile" * 40)
    with pytest.raises(SourceError, match=r"^shapes\.shp is no shapefile"):
        open_table(str(tmp_path / "a.shp"), "a.shp")


@pytest.mark.parametrize("name", ["many.gpkg", "many.fgb"])
def test_a_large_file_is_read_in_part_and_where_one_looks(tmp_path, small_budget, name):
    table = table_of(cells(10, 20))
    table["word"] = [f"w{i}" for i in range(200)]
    # FlatGeobuf orders features by place: what is first differs
    table.to_file(tmp_path / name)
    layer = open_table(str(tmp_path / name), name)
    grid = layer.grid("n", 64)
    assert layer.notes == (
        "50 of 200 features drawn: the first ones of the file; where the map is enlarged all are.",
    )
    assert np.count_nonzero(grid.valid) == 50
    corner = Area(west=301_710, south=7_400_810, east=301_990, north=7_400_990)
    near = layer.grid("n", 64, corner)
    assert near.values.tolist() == [[197, 198, 199], [177, 178, 179]]
    assert near.transform[:6] == (100, 0, 301_700, 0, -100, 7_401_000)
    x, y = Transformer.from_crs(31983, 4326, always_xy=True).transform(301_950, 7_400_950)
    assert feature_at(layer, x, y) == {"n": "199", "word": "w199"}
    assert features_of(layer) is None  # not all are known


def test_curves_become_lines(tmp_path):
    path = tmp_path / "curve.gpkg"
    table_of([shapely.box(0, 0, 1, 1)], 4326).to_file(path, layer="c")
    ring = struct.pack("<BII", 1, 8, 5) + struct.pack("<10d", 0, 0, 1, 1, 2, 0, 1, -1, 0, 0)  # a circle of two arcs
    curve = b"GP" + struct.pack("<BBi", 0, 1, 4326) + struct.pack("<BII", 1, 10, 1) + ring
    with contextlib.closing(sqlite3.connect(path)) as file:
        for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            file.execute(f'DROP TRIGGER "{name}"')
        file.execute("UPDATE c SET geom = ?", (curve,))
        file.execute("UPDATE gpkg_geometry_columns SET geometry_type_name = 'CURVEPOLYGON'")
        file.commit()
    assert open_table(str(path), "curve.gpkg").shapes[0].area == pytest.approx(np.pi, rel=1e-3)


@pytest.mark.parametrize("name", ["cells.geojson", "cells.parquet"])
def test_the_files_of_a_layer_are_known(folder, name):
    opened = open_parquet if name.endswith("parquet") else open_table
    assert opened(str(folder / name), name).files == (folder / name,)
    assert [p.suffix for p in open_table(str(folder / "cells.shp"), "a").files] == [
        ".cpg",
        ".dbf",
        ".prj",
        ".shp",
        ".shx",
    ]


def test_a_file_that_changed_is_not_mixed(tmp_path, small_budget):
    table_of(cells(2, 2)).assign(b=0.5).to_file(tmp_path / "a.gpkg")
    layer = open_table(str(tmp_path / "a.gpkg"), "a.gpkg")
    first = layer.grid("n", 8).values.tolist()  # read with the geometries
    table_of(cells(40, 40)).assign(b=1.5).to_file(tmp_path / "a.gpkg")
    assert layer.grid("n", 8).values.tolist() == first
    with pytest.raises(SourceError) as caught:
        layer.grid("b", 8)
    assert str(caught.value) == "a.gpkg has changed since it was opened. Open it again."


def test_only_the_shown_column_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "AT_ONCE", 0)
    table_of(cells(2, 2)).assign(a=1.5, b="x").to_file(tmp_path / "a.gpkg")
    layer = open_table(str(tmp_path / "a.gpkg"), "a.gpkg")
    asked = []
    read = tables.pyogrio.read_dataframe
    monkeypatch.setattr(
        tables.pyogrio,
        "read_dataframe",
        lambda *a, **k: asked.append((k["columns"], k["read_geometry"])) or read(*a, **k),
    )
    layer.grid(layer.default_band, 8)
    layer.grid("a", 8)
    layer.grid("a", 4)
    assert asked == [(["a"], False)]  # the first one came with the geometries
    found = features_of(layer, band="a")
    assert found.geojson["features"][0]["properties"] == {"a": "1.5"}
    assert len(asked) == 1


@pytest.mark.parametrize("name", ["a.gpkg", "a.fgb", "a.shp", "a.parquet"])
@pytest.mark.parametrize("change", ["", "several", "gap", "heights", "other", "points"])
def test_cells_in_a_file_are_those_in_memory(tmp_path, monkeypatch, name, change):
    """Corners are read where they lie in the file; anything else than cells is unpacked as ever."""
    monkeypatch.setattr(tables, "AT_ONCE", 0)
    if (name, change) == ("a.fgb", "gap"):
        pytest.skip("FlatGeobuf has no rows without a geometry")
    shapes = cells(7, 9)
    if change == "several":
        shapes = np.array([shapely.MultiPolygon([shape]) for shape in shapes])
    elif change == "gap":
        shapes[5] = None
    elif change == "heights":
        shapes = shapely.force_3d(shapes, 8.0)
    elif change == "other":
        shapes[5] = shapely.buffer(shapely.Point(300_550, 7_400_050), 20)
    elif change == "points":
        shapes = shapely.centroid(shapes)
    table = table_of(shapes).assign(word=[f"w{i % 3}" for i in range(len(shapes))])
    if name == "a.parquet":
        table.to_parquet(tmp_path / name)
        layer = open_parquet(str(tmp_path / name), name)
    else:
        table.to_file(tmp_path / name)
        layer = open_table(str(tmp_path / name), name)
    assert isinstance(layer.rows, tables.FileRows)
    assert isinstance(layer.rows.packed, Packed) == (change in {"", "several"})
    order = np.argsort(layer.column("n").to_numpy())  # FlatGeobuf keeps features by place
    found, expected = shapely.force_2d(layer.rows.geometry)[order], shapely.force_2d(np.asarray(table.geometry))
    assert all(a is b or a.equals(b) for a, b in zip(found, expected, strict=True))
    memory = from_table(table)
    for band in ("n", "word"):
        one, other = layer.grid(band, 64), memory.grid(band, 64)
        assert (one.valid == other.valid).all()
        assert (one.values[one.valid] == other.values[one.valid]).all()
        assert one.names == other.names
        assert one.transform.almost_equals(other.transform)
    at = (300_450.0, 7_400_350.0)
    assert layer.row_at(*at)["n"] == memory.row_at(*at)["n"] == 31


def test_parquet_in_pieces(tmp_path, small_budget):
    table = table_of(blobs(120)).assign(word="a")
    table.to_parquet(tmp_path / "a.parquet", row_group_size=30, write_covering_bbox=True)
    layer = open_parquet(str(tmp_path / "a.parquet"), "a.parquet", ("first",))
    assert layer.notes == ("first", "30 of 120 features drawn: the first ones of the file.")
    assert layer.bands == ("n", "word")
    assert attributes_of(layer.rows.record(29)) == {"n": "29", "word": "a"}
    assert layer.crs == CRS(31983)


def test_parquet_of_other_makes(tmp_path):
    table = table_of(shapely.points([[1, 2], [3, 4]]), None)
    table.to_parquet(tmp_path / "arrow.parquet", geometry_encoding="geoarrow")
    assert open_parquet(str(tmp_path / "arrow.parquet"), "x").rows_in().tolist() == [0, 1]
    table.drop(columns="geometry").to_parquet(tmp_path / "plain.parquet")
    with pytest.raises(
        SourceError, match=r"^plain is a Parquet table without geometries: the metadata of GeoParquet"
    ):
        open_parquet(str(tmp_path / "plain.parquet"), "plain")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "arrow.parquet").read_bytes()[:-300])
    with pytest.raises(SourceError, match=r"^cut is no Parquet file that can be read: "):
        open_parquet(str(tmp_path / "cut.parquet"), "cut")


# --- features ------------------------------------------------------------------------------------------------


def test_few_features_as_geojson():
    table = gpd.GeoDataFrame({"n": [1, 2], "<b>": ["x" * 500, "<script>"]}, geometry=cells(1, 2), crs=31983)
    found = features_of(from_table(table), band="<b>")
    assert len(found) == 2
    assert found.geojson["type"] == "FeatureCollection"
    first = found.geojson["features"][0]
    assert (first["id"], list(first["properties"])) == ("0", ["&lt;b&gt;", "n"])
    assert len(html.unescape(first["properties"]["&lt;b&gt;"])) == 200
    assert found.geojson["features"][1]["properties"]["&lt;b&gt;"] == "&lt;script&gt;"
    corner = Transformer.from_crs(31983, 4326, always_xy=True).transform(300_000, 7_400_000)
    distances = np.hypot(*(np.array(first["geometry"]["coordinates"][0]) - corner).T)
    assert distances.min() < 1e-7
    json.dumps(found.geojson, allow_nan=False)


def test_too_many_or_too_heavy_features_are_an_image():
    layer = from_table(table_of(cells(50, 50)))
    assert features_of(layer) is None
    part = features_of(layer, Area(west=300_010, south=7_400_010, east=300_190, north=7_400_090))
    assert part.rows.tolist() == [0, 1]
    round_ones = from_table(table_of(shapely.buffer(shapely.points([[5e5, 8e6], [6e5, 8e6]]), 3e4, quad_segs=3000)))
    simple = features_of(round_ones, max_bytes=50_000)
    assert simple.shown == "outlines simplified"
    assert len(json.dumps(simple.geojson)) < 50_000
    assert features_of(round_ones, max_bytes=500) is None
    assert features_of(from_table(table_of(np.array([None])))) is None


def test_features_lie_where_the_picture_does():
    table = table_of(np.array([shapely.box(179.5, -17, 180.5, -16), shapely.box(181, -17, 182, -16)]), 4326)
    layer = from_table(table)
    (south, west), (north, east) = preview(layer).bounds
    points = np.concatenate([f["geometry"]["coordinates"][0] for f in features_of(layer).geojson["features"]])
    assert (points.min(axis=0), points.max(axis=0)) == (
        pytest.approx((west, south), abs=0.01),
        pytest.approx((east, north), abs=0.01),
    )
    plane = from_table(gpd.GeoDataFrame({"n": [1, 2]}, geometry=cells(1, 2)))
    points = [f["geometry"]["coordinates"][0] for f in features_of(plane).geojson["features"]]
    assert min(map(tuple, points[1])) == (1, 0)
    assert feature_at(plane, 1.5, 0.5, is_georeferenced=False) == {"n": "2"}


def test_clicks():
    shapes = [
        shapely.box(0, 0, 2, 2),
        shapely.box(1, 1, 3, 3),
        shapely.LineString([(0, 0), (3, 0.5)]),
        shapely.Point(0.5, 1),
    ]
    layer = from_table(table_of(np.array(shapes), 4326))
    assert feature_at(layer, 1.5, 1.5) == {"n": "1"}
    assert feature_at(layer, 0.2, 1.8) == {"n": "0"}
    assert feature_at(layer, 0.52, 1.0, tolerance=0.05) == {"n": "3"}
    assert feature_at(layer, 360 + 2.7, 0.46, tolerance=0.05) == {"n": "2"}
    assert feature_at(layer, 2.7, 0.2, tolerance=0.05) is None
    assert feature_at(layer, np.nan, 0) is None
    assert feature_at(preview(np.zeros((2, 2))), 0, 0) is None  # type: ignore[arg-type]  # anything without features


def test_colours_are_the_pictures():
    layer = from_table(gpd.GeoDataFrame({"use": ["b", None, "a", "b"]}, geometry=cells(2, 2), crs=31983))
    picture = preview(layer, "use")
    colour = {e.label: e.colour for e in picture.legend.entries}
    assert colours_of(layer, features_of(layer), "use", picture.legend) == (colour["b"], "", colour["a"], colour["b"])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (dt.date(2020, 1, 2), "2020-01-02"),
        (np.datetime64("NaT"), "no data"),
        (b"\x00" * 40, "40 bytes: " + "00 " * 15 + "00 ..."),
        (np.float32(0.1), "0.100000001490116"),
        (1e300, "1e+300"),
        (True, "True"),
        ({"a": {"b": {"c": {"d": 1}}}}, '{"a": {"b": {"c": "{...}"}}}'),
        (list(range(1000)), "[" + ", ".join(map(str, range(20))) + "]"),
        ("a\x1b[31m\u202eb\n\nc", "a [31m b c"),
        ("x" * 10**6, "x" * 199 + "…"),
        (shapely.Point(1, 2), "POINT (1 2)"),
        (shapely.Point(1, 2).buffer(1), "Polygon, 1,053 bytes"),
    ],
)
def test_values_are_readable(value, text):
    assert text_of(value) == text


def test_many_columns_are_counted():
    found = attributes_of({f"c{i}": i for i in range(100)})
    assert (len(found), found["..."]) == (61, "40 more columns")


def test_index_of_a_shapefile_is_gdals(tmp_path):
    table_of(np.array([*blobs(5), shapely.box(0, 0, 1, 1)])).to_file(tmp_path / "a.shp")
    made = shapefiles._index_of(tmp_path / "a.shp")
    assert made == (tmp_path / "a.shx").read_bytes()
