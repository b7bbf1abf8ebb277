"""What differs between two outputs: in which band or column, in how many cells, by how much and where."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import CRS

from dissmodel_lab.contents import content_sha256
from dissmodel_lab.differences import Place, find_differences
from dissmodel_lab.errors import ComparisonError
from dissmodel_lab.rasters import Raster, write_raster

HEIGHT, WIDTH = 1100, 1003  # more than one strip, and no multiple of eight
TRANSFORM = Affine(30, 0, 500_000, 0, -30, 8_000_000)


def raster(**changes):
    array = np.arange(2 * 6 * 5, dtype="float32").reshape(2, 6, 5)
    facts = {"array": array, "bands": ("depth", "state"), "transform": TRANSFORM, "crs": CRS(31983), "nodata": -1.0}
    return Raster(**{**facts, **changes})


def differences(first, second, **options):
    for name, one in (("a.tif", first), ("b.tif", second)):
        write_raster(one, name)
    found = find_differences("a.tif", "b.tif", **options)
    assert found.is_same == (content_sha256("a.tif") == content_sha256("b.tif"))
    return found


def test_one_cell_among_many_is_found_with_its_place(workspace):
    large = np.zeros((1, HEIGHT, WIDTH), "uint8")
    other = large.copy()
    other[0, 1077, 1001] = 3
    found = differences(*(raster(array=array, bands=("state",), nodata=None) for array in (large, other)))
    part = found.parts[0]
    assert (part.name, part.compared, part.differing, part.beyond, part.largest) == ("state", 1_103_300, 1, 1, 3.0)
    assert part.place == Place(1077, 1001, 530_045.0, 7_967_675.0, 0, 3)
    assert found.sentence == (
        "state: 1 of 1,103,300 cells differs, largest difference 3, at row 1077, column 1001 (x 530045, y 7967675): "
        "0 and 3."
    )
    assert np.argwhere(found.mask()).tolist() == [[1077, 1001]]
    assert found.mask(step=100).shape == (11, 11)
    assert np.argwhere(found.mask(step=100)).tolist() == [[10, 10]]
    assert found.grid.shape == (HEIGHT, WIDTH)
    assert found.grid.transform == (30.0, 0.0, 500_000.0, 0.0, -30.0, 8_000_000.0)
    assert CRS(found.grid.crs_wkt) == CRS(31983)


def test_each_band_has_its_own_figures(workspace):
    array = raster().array.copy()
    array[0, 2, 3] += 0.5
    array[0, 0, 0] -= 2
    array[1, 5, 4] = -1  # nodata
    found = differences(raster(), raster(array=array))
    depth, state = found.parts
    assert (depth.differing, depth.one_sided, depth.largest) == (2, 0, 2.0)
    assert depth.place[:2] == (0, 0)
    assert (state.differing, state.one_sided, state.largest) == (1, 1, None)
    assert state.place == Place(5, 4, 500_135.0, 7_999_835.0, 59.0, None)
    assert found.mask("depth").sum() == 2
    assert found.mask("state").sum() == 1
    assert found.mask().sum() == 3
    assert state.text == (
        "state: 1 of 30 cells differs, 1 with a value on one side only, at row 5, column 4 "
        "(x 500135, y 7999835): 59 and no value."
    )


@pytest.mark.parametrize(
    ("tolerance", "beyond", "is_within"), [(None, 2, False), (0.4, 1, False), (0.5, 0, True), (0, 2, False)]
)
def test_a_tolerance_is_what_was_asked_for(workspace, tolerance, beyond, is_within):
    array = raster().array.copy()
    array[0, 2, 3] += 0.5
    array[0, 2, 4] += 0.25
    found = differences(raster(), raster(array=array), tolerance=tolerance)
    assert (found.parts[0].differing, found.parts[0].beyond, found.is_within) == (2, beyond, is_within)


def test_a_value_on_one_side_is_beyond_any_tolerance(workspace):
    array = raster().array.copy()
    array[0, 2, 3] = np.nan
    found = differences(raster(), raster(array=array), tolerance=1e9)
    assert (found.parts[0].beyond, found.is_within) == (1, False)


def test_nan_is_nan_and_dtypes_are_no_content(workspace):
    array = raster().array.copy()
    array[0, 2, 3] = np.nan
    found = differences(raster(array=array), raster(array=array.astype("float64")))
    assert found.is_same
    assert found.notes == ("Data type: float32 in the first, float64 in the second; that is no content.",)
    assert found.sentence == "Nothing differs."


def test_infinities(workspace):
    array = raster().array.copy()
    array[0, 0, 0] = np.inf
    other = array.copy()
    other[0, 0, 1] = np.inf
    part = differences(raster(array=array), raster(array=other)).parts[0]
    assert (part.differing, part.largest) == (1, np.inf)


def test_large_whole_numbers_differ_by_one(workspace):
    first = np.array([[[2**60, 0]]], "int64")
    part = differences(Raster(array=first), Raster(array=first + np.array([1, 0]))).parts[0]
    assert (part.differing, part.largest) == (1, 1.0)


STRUCTURES = {
    "crs": ({"crs": CRS(31982)}, "CRS: EPSG:31983 in the first, EPSG:31982 in the second."),
    "no crs": ({"crs": None}, "CRS: EPSG:31983 in the first, none in the second."),
    "transform": (
        {"transform": Affine(30, 0, 500_000, 0, -30, 8_000_030)},
        (
            "Transform (a to f): (30.0, 0.0, 500000.0, 0.0, -30.0, 8000000.0) in the first, "
            "(30.0, 0.0, 500000.0, 0.0, -30.0, 8000030.0) in the second."
        ),
    ),
    "bands": ({"bands": ("depth", "class")}, "Bands: depth, state in the first, depth, class in the second."),
    "order": ({"bands": ("state", "depth")}, "Bands: depth, state in the first, state, depth in the second."),
    "nodata": ({"nodata": -2.0}, "Nodata: -1.0 in the first, -2.0 in the second."),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_structure_is_told_and_values_are_compared_all_the_same(workspace, name):
    changes, sentence = STRUCTURES[name]
    found = differences(raster(), raster(**changes))
    assert found.structure == (sentence,)
    assert not found.is_within
    assert found.parts[0].differing == (30 if name == "order" else 0)  # by name


def test_other_sizes_are_not_compared_cell_by_cell(workspace):
    found = differences(raster(), raster(array=raster().array.reshape(2, 5, 6)))
    assert found.structure == ("Rows and columns: 6 x 5 in the first, 5 x 6 in the second.",)
    assert found.parts == ()
    with pytest.raises(ComparisonError, match="no two rasters of one shape"):
        found.mask()


def test_scales_are_structure(workspace):
    write_raster(raster(), "a.tif")
    write_raster(raster(), "b.tif")
    with rasterio.open("b.tif", "r+") as dataset:
        dataset.scales = (0.5, 1.0)
    assert find_differences("a.tif", "b.tif").structure == (
        "Scales: (1.0, 1.0) in the first, (0.5, 1.0) in the second.",
    )


def frame(**changes):
    columns = {
        "count": [1, 2, 3],
        "share": [0.5, np.nan, 1.5],
        "name": ["a", None, "ç"],
        "_neighs": ["1 2", "3", "4"],
    }
    shapes = [shapely.box(0, 0, 2, 2), shapely.Point(0.5, 0.25), shapely.LineString([(0, 0), (2, 2)])]
    return geopandas.GeoDataFrame(**{"data": columns, "geometry": shapes, "crs": 4326, **changes})


def tables(first, second, **options):
    first.to_file("a.gpkg")
    second.to_file("b.gpkg")
    return find_differences("a.gpkg", "b.gpkg", **options)


def test_columns_that_begin_with_an_underscore_are_ignored_and_said(workspace):
    found = tables(frame(), frame().assign(_neighs=["2 1", "3", "4"]))
    assert found.is_same
    assert found.notes == ("Columns that begin with _ were not compared: _neighs.",)
    assert [part.name for part in found.parts] == ["geometry", "count", "share", "name"]


def test_values_of_a_table(workspace):
    found = tables(frame(), frame().assign(count=[1, 2, 7], share=[0.5, 0.5, 1.25], name=["b", None, "ç"]))
    geometry, count, share, name = found.parts
    assert geometry.text == "geometry: all 3 rows are equal."
    assert (count.differing, count.largest, count.place.row, count.place.x) == (1, 4.0, 2, 1.0)
    assert (share.differing, share.one_sided, share.largest) == (2, 1, 0.25)
    assert name.text == "name: 1 of 3 rows differs, at row 0 (x 1, y 1): 'a' and 'b'."
    assert {column: rows.tolist() for column, rows in found.rows.items()} == {
        "count": [2],
        "share": [1, 2],
        "name": [0],
    }


def test_a_tolerance_holds_for_numbers_only(workspace):
    moved = [*frame().geometry[:2], shapely.LineString([(0, 0), (2, 2.001)])]
    near = tables(frame(), frame().assign(share=[0.5, np.nan, 1.500001]), tolerance=1e-3)
    assert near.is_within
    assert not near.is_same
    found = tables(frame(), frame(geometry=moved), tolerance=1)
    assert not found.is_within
    assert (found.parts[0].beyond, round(found.parts[0].largest, 6)) == (1, 0.001)


def test_structure_of_a_table(workspace):
    found = tables(
        frame(),
        frame().iloc[:2].drop(columns="share").assign(new=1, count=["1", "2"]).set_crs(4674, allow_override=True),
    )
    assert found.structure == (
        "Rows: 3 in the first, 2 in the second.",
        "CRS: EPSG:4326 in the first, EPSG:4674 in the second.",
        "Columns only in the first: share; only in the second: new.",
        "The column count holds numbers in one and other values in the other.",
    )
    assert found.parts == ()


def test_another_container_is_the_same(workspace):
    frame().to_file("a.gpkg", layer="cells")
    frame().to_file("b.geojson")
    found = find_differences("a.gpkg", "b.geojson")
    assert found.is_same
    assert found.notes[1] == "Data types differ, which is no content: count (int64, int32)."


def test_every_layer_is_compared(workspace):
    for name, counts in (("a.gpkg", [1, 2, 3]), ("b.gpkg", [1, 2, 4])):
        frame().to_file(name, layer="cells")
        frame().assign(count=counts).to_file(name, layer="roads")
    found = find_differences("a.gpkg", "b.gpkg")
    assert found.sentence == "roads: count: 1 of 3 rows differs, largest difference 1, at row 2 (x 1, y 1): 3 and 4."


def test_a_missing_shape_and_a_third_dimension(workspace):
    first = [shapely.Point(1, 2, 3), None, shapely.Point(1, 2)]
    second = [shapely.Point(1, 2, 5), None, None]
    part = tables(frame(geometry=first), frame(geometry=second)).parts[0]
    assert (part.differing, part.one_sided, part.largest, part.place.row) == (2, 1, 2.0, 0)


def test_folders_are_compared_file_by_file(workspace):
    for folder, cell, text in (("a", 1, "took 0.51 s\nok\n"), ("b", 2, "took 0.74 s\nok\n")):
        Path(folder).mkdir()
        write_raster(Raster(array=np.full((1, 2, 2), cell), bands=("state",)), f"{folder}/map.tif")
        write_raster(Raster(array=np.zeros((1, 2, 2))), f"{folder}/same.tif", moment=text)
        Path(f"{folder}/report.md").write_text(text)
    Path("a/only.txt").write_text("x")
    found = find_differences("a", "b")
    assert found.sentences == (
        "only.txt: only in the first.",
        "map.tif: state: 4 of 4 cells differ, largest difference 1, at row 0, column 0: 1 and 2.",
        "report.md: 1 of 2 lines differs, only in numbers.",
    )
    assert found.notes == ("same.tif: other bytes, the same content.",)
    assert [part.name for part in found.all_parts] == ["map.tif: state"]


def test_other_files_are_compared_by_their_bytes(workspace):
    Path("a.bin").write_bytes(b"\0\1")
    Path("b.bin").write_bytes(b"\0\1\2")
    assert find_differences("a.bin", "a.bin").is_same
    assert find_differences("a.bin", "b.bin").sentence == "The bytes differ (2 and 3 bytes)."


def test_a_map_that_cannot_be_read_is_compared_by_its_bytes(workspace):
    Path("a.tif").write_text("no raster")
    write_raster(raster(), "b.tif")
    found = find_differences("a.tif", "b.tif")
    assert (found.kind, found.is_same) == ("file", False)
    assert found.notes[0].startswith("Compared by bytes: RasterioIOError: ")


@pytest.mark.parametrize("tolerance", [-1, float("nan"), float("inf")])
def test_a_tolerance_is_a_number_of_0_or_more(workspace, tolerance):
    write_raster(raster(), "a.tif")
    with pytest.raises(
        ComparisonError, match=r"^The tolerance .* is no number of 0 or more\. Give for example 1e-6\.$"
    ):
        find_differences("a.tif", "a.tif", tolerance=tolerance)


def test_a_missing_file(workspace):
    with pytest.raises(ComparisonError, match=r"^'a.tif' does not exist, so it cannot be compared. Check the path.$"):
        find_differences("a.tif", "b.tif")


def points(path, shapes=((1, 2),), **columns):
    geometry = shapely.points([list(shape) for shape in shapes])
    geopandas.GeoDataFrame(columns, geometry=geometry, crs=4326).to_file(path)


@pytest.mark.parametrize("others", [((1, 2, 7),), ((1, 2, 0),)])
def test_a_height_on_one_side_only_is_a_difference(workspace, others):
    points("a.gpkg", v=[1])
    points("b.gpkg", others, v=[1])
    found = find_differences("a.gpkg", "b.gpkg")
    figures = [(part.name, part.differing, part.largest) for part in found.parts]
    assert figures == [("geometry", 1, None), ("v", 0, None)]


def test_attributes_of_a_shapefile_in_a_folder_are_compared(workspace):
    for folder, value in (("a", 1), ("b", 2)):
        Path(folder).mkdir()
        points(f"{folder}/x.shp", v=[value])
    assert Path("a/x.shp").read_bytes() == Path("b/x.shp").read_bytes()
    found = find_differences("a", "b")
    assert found.sentence == "x.shp: v: 1 of 1 rows differs, largest difference 1, at row 0 (x 1, y 2): 1 and 2."


def test_lists_are_compared_to_their_last_digit(workspace):
    for name, last in (("a", 3.0), ("b", 3.0000000001)):
        shape = {"type": "Point", "coordinates": [1, 2]}
        feature = {"type": "Feature", "properties": {"v": [1.0] * 2_000 + [last, 1.0]}, "geometry": shape}
        Path(f"{name}.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    found = find_differences("a.geojson", "b.geojson")
    assert [(part.name, part.differing) for part in found.parts] == [("geometry", 0), ("v", 1)]
    assert content_sha256("a.geojson") != content_sha256("b.geojson")


@pytest.mark.parametrize("zone", ["", "Z"])
def test_one_moment_among_days_is_one_difference(workspace, zone):
    kind = "datetime64[ms, UTC]" if zone else "datetime64[ms]"
    days = [f"{year}-01-01T00:00:00{zone}" for year in (1000, 2020, 3000)]
    for name, hour in (("a", "00"), ("b", "10")):
        moments = [*days[:1], days[1].replace("T00", f"T{hour}"), *days[2:]]
        points(f"{name}.gpkg", [(1, 2)] * 3, v=pd.to_datetime(moments).astype(kind))
    part = find_differences("a.gpkg", "b.gpkg").parts[1]
    assert (part.name, part.differing, part.place.row) == ("v", 1, 1)


def test_a_complex_cell_whose_difference_is_no_number_is_beyond_any_tolerance(workspace):
    one, two = (raster(array=np.full((1, 1, 1), complex(np.inf, n)), bands=("z",), nodata=None) for n in (1, 2))
    found = differences(one, two, tolerance=5.0)
    assert (found.parts[0].differing, found.is_within) == (1, False)
