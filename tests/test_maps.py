"""The maps never lie: every colour is a value of the data, at its place, and what is left out is said."""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from types import SimpleNamespace

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pyproj import CRS, Geod, Transformer
from rasterio.enums import Resampling
from rasterio.features import rasterize
from rasterio.warp import transform as warp_points

from dissmodel_lab.errors import SourceError
from dissmodel_lab.executor import DataSource
from dissmodel_lab.maps import open_layer, preview
from dissmodel_lab.maps.png import encode
from dissmodel_lab.maps.vector import find_owners
from dissmodel_lab.rasters import Raster, write_raster

ROTATED = Affine.translation(300_000, 7_400_000) @ Affine.rotation(30) @ Affine.scale(30, -30)
PLACES = {
    "EPSG:4326": (4326, Affine(0.1, 0, -52, 0, -0.1, 62)),
    "EPSG:4326 south up": (4326, Affine(0.1, 0, -52, 0, 0.1, -20)),
    "EPSG:3857": (3857, Affine(1000, 0, -5_000_000, 0, -1000, -2_000_000)),
    "EPSG:31983": (31983, Affine(30, 0, 300_000, 0, -30, 7_400_000)),
    "EPSG:5880": (5880, Affine(50_000, 0, 3_000_000, 0, -50_000, 10_000_000)),
    "rotated": (31983, ROTATED),
}
EVERYWHERE = pytest.mark.parametrize("place", PLACES)


def raster(array, place="EPSG:4326", **changes):
    epsg, transform = PLACES[place]
    array = np.asarray(array)
    stack = array if array.ndim == 3 else array[np.newaxis]
    return Raster(array=stack, transform=transform, crs=CRS.from_epsg(epsg), **changes)


def seen(picture):
    """Decode the PNG with another program: RGBA, (height, width, 4)."""
    with Image.open(io.BytesIO(picture.png)) as image:
        return np.asarray(image.convert("RGBA"))


def classes_seen(picture):
    """The class value of each pixel of the PNG, by its colour; None where transparent."""
    by_colour = {entry.colour: entry.value for entry in picture.legend.entries}
    rgba = seen(picture)
    return [[by_colour[f"#{r:02x}{g:02x}{b:02x}"] if alpha else None for r, g, b, alpha in row] for row in rgba]


def pixel_of(picture, longitude, latitude):
    """Row and column (fractions) of a place in the picture, by the web map's own arithmetic."""
    (south, west), (north, east) = picture.bounds
    top, y, bottom = (math.asinh(math.tan(math.radians(v))) for v in (north, latitude, south))
    return (top - y) / (top - bottom) * picture.size[1], (longitude - west) / (east - west) * picture.size[0]


# --- what is seen is in the data, at its place -------------------------------------------------------------


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.sampled_from(list(PLACES)),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
    max_pixels=st.sampled_from([3, 16, 61]),
)
def test_every_colour_is_a_class_of_the_data(place, height, width, seed, max_pixels):
    """Whatever the grid and its CRS: the PNG, decoded by PIL, holds only classes that the data hold."""
    array = np.random.default_rng(seed).integers(0, 6, (height, width), dtype="uint8")
    picture = preview(raster(array, place, nodata=5), max_pixels=max_pixels)
    found = {value for row in classes_seen(picture) for value in row}
    assert found - {None} <= set(array[array != 5].tolist())
    assert max(picture.size) <= max_pixels + 1


@EVERYWHERE
def test_cells_lie_where_rasterio_puts_them(place):
    """Corners and centre: the pixel at a cell's middle shows that cell; the bounds err by one pixel at most."""
    epsg, transform = PLACES[place]
    array = np.arange(20 * 30).reshape(20, 30).astype("float32")
    picture = preview(raster(array, place), max_pixels=600)
    for row, column in ((0, 0), (0, 29), (19, 0), (19, 29), (10, 15)):
        x, y = transform @ (column + 0.5, row + 0.5)
        (longitude,), (latitude,) = warp_points(f"EPSG:{epsg}", "EPSG:4326", [x], [y])
        assert picture.value_at(latitude, longitude) == str(int(array[row, column]))
    edge = [transform @ (c, r) for c in np.linspace(0, 30, 61) for r in np.linspace(0, 20, 41)]
    longitude, latitude = warp_points(f"EPSG:{epsg}", "EPSG:4326", *zip(*edge, strict=True))
    (_south, west), (north, _east) = picture.bounds
    rows = [pixel_of(picture, west, v)[0] for v in (max(latitude), min(latitude))]
    columns = [pixel_of(picture, v, north)[1] for v in (min(longitude), max(longitude))]
    assert rows == pytest.approx([0, picture.size[1]], abs=1)
    assert columns == pytest.approx([0, picture.size[0]], abs=1)


@EVERYWHERE
@pytest.mark.parametrize("size", [(20, 30), (300, 200)])
def test_no_pixel_is_off_by_more_than_one(place, size):
    """Every pixel's middle, followed back exactly, lies in the cell it shows, or within a pixel of it."""
    epsg, transform = PLACES[place]
    if place == "EPSG:5880":
        transform = transform @ Affine.scale(20 / size[0])  # stay on the continent
    array = np.zeros((1, *size), "uint8")
    picture = preview(Raster(array=array, transform=transform, crs=CRS.from_epsg(epsg)), max_pixels=256)
    (south, west), (north, east) = picture.bounds
    factor = size[0] / picture.grid.values.shape[0], size[1] / picture.grid.values.shape[1]
    rows, columns = np.nonzero(picture.cells >= 0)
    top, bottom = (math.asinh(math.tan(math.radians(v))) for v in (north, south))
    latitude = np.degrees(np.arctan(np.sinh(top - (rows + 0.5) / picture.size[1] * (top - bottom))))
    longitude = west + (columns + 0.5) / picture.size[0] * (east - west)
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(longitude, latitude)
    a, b, c, d, e, f = (~transform)[:6]
    column, row = a * np.array(x) + b * np.array(y) + c, d * np.array(x) + e * np.array(y) + f
    shown_row, shown_column = np.divmod(picture.cells[rows, columns], picture.grid.values.shape[1])
    pixel = math.hypot(*size) / math.hypot(*picture.size) * 1.5  # source cells a pixel, with the latitude's stretch
    off_row = np.maximum(shown_row * factor[0] - row, row - (shown_row + 1) * factor[0])
    off_column = np.maximum(shown_column * factor[1] - column, column - (shown_column + 1) * factor[1])
    assert max(off_row.max(), off_column.max()) <= pixel
    assert np.median(np.maximum(off_row, off_column)) < 0


def test_small_geographic_cells_keep_their_shape():
    """At 62 °N a cell is 24 pixels wide and about twice as high: rows stretch, columns don't."""
    array = np.indices((20, 30)).sum(axis=0).astype("uint8") % 2
    picture = preview(raster(array))
    assert picture.size == (720, 991)
    changes = np.flatnonzero(np.diff(picture.pixels[5].astype(int))) + 1
    assert changes.tolist() == list(range(24, 720, 24))
    heights = np.diff(np.flatnonzero(np.diff(picture.pixels[:, 5].astype(int))))
    assert heights.min() >= 48
    assert heights.max() <= 52


def test_web_mercator_is_not_resampled():
    array = np.arange(12, dtype="uint8").reshape(3, 4)
    picture = preview(raster(array, "EPSG:3857"))
    assert picture.size == (4, 3)
    assert classes_seen(picture) == array.tolist()
    assert picture.notes == ()
    flipped = Raster(
        array=array[np.newaxis, ::-1], transform=Affine(1000, 0, -5e6, 0, 1000, -2_003_000), crs=CRS(3857)
    )
    assert classes_seen(preview(flipped)) == array.tolist()
    assert preview(flipped).bounds == picture.bounds


def test_nodata_is_transparent():
    array = np.array([[0, 1, 2], [2, 1, 0]], "uint8")
    picture = preview(raster(array, "EPSG:3857", nodata=1))
    assert (seen(picture)[..., 3] == 0).tolist() == (array == 1).tolist()
    assert picture.notes == ("No data in 33 % of the cells (transparent).",)
    assert preview(np.ma.masked_equal(array, 2)).pixels.tolist()[0][2] == 0


def test_longitudes_beyond_180():
    """matplotlib's sample counts longitudes from 0 to 360; the map is in Canada all the same."""
    sample = matplotlib_topobathy()
    picture = preview(sample)
    (_, west), (_, east) = picture.bounds
    assert (round(west, 2), round(east, 2)) == (-126.0, -122.0)
    assert picture.bounds_text == "48.01 to 50.00 °N, 126.00 to 122.00 °W (data in EPSG:4326)"
    row = Geod(ellps="WGS84").line_length(np.linspace(-126, -122, 200), np.full(200, 49.0))
    assert picture.width_km == pytest.approx(row / 1000, rel=2e-3)
    row, column = 10, 100
    longitude, latitude = sample.transform @ (column + 0.5, row + 0.5)
    assert picture.value_at(latitude, longitude - 360) == f"{int(sample.array[0, row, column])} m"
    assert picture.value_at(latitude, longitude) == picture.value_at(latitude, longitude - 360)


def matplotlib_topobathy():
    from matplotlib.cbook import get_sample_data

    with get_sample_data("topobathy.npz") as sample:
        topo, x, y = sample["topo"], sample["longitude"], sample["latitude"]
    across, up = (x[-1] - x[0]) / (len(x) - 1), (y[-1] - y[0]) / (len(y) - 1)
    return Raster(
        array=topo[np.newaxis, ::-1],
        bands=("elevation",),
        transform=Affine(across, 0, x[0] - across / 2, 0, -up, y[-1] + up / 2),
        crs=CRS(4326),
        units={"elevation": "m"},
    )


def test_date_line_and_poles():
    fiji = Raster(
        array=np.arange(64, dtype="int16").reshape(1, 8, 8),
        transform=Affine(100_000, 0, 200_000, 0, -100_000, 8_400_000),
        crs=CRS(32760),
    )
    (_, west), (_, east) = preview(fiji).bounds
    assert west < 180 < east < west + 15
    x, y = fiji.transform @ (7.5, 4.5)
    longitude, latitude = Transformer.from_crs(32760, 4326, always_xy=True).transform(x, y)
    assert longitude < -177
    assert preview(fiji).value_at(latitude, longitude) == "39"
    antarctica = Raster(
        array=np.ones((1, 6, 6), "uint8"), transform=Affine(1e6, 0, -3e6, 0, -1e6, 3e6), crs=CRS(3031)
    )
    picture = preview(antarctica)
    assert [round(corner[1]) for corner in picture.bounds] == [-180, 180]
    assert "Nothing beyond 85.05° north or south is shown: Web Mercator ends there." in picture.notes
    assert picture.value_at(-80, 179.5) == picture.value_at(-80, -179.5) == "1"
    world = Raster(
        array=np.arange(8, dtype="uint8").reshape(1, 1, 8) + np.zeros((1, 4, 1), "uint8"),
        transform=Affine(45, 0, 0, 0, -45, 90),
        crs=CRS(4326),
    )
    assert [preview(world).value_at(10, longitude) for longitude in (1, 179, 181, -1)] == ["0", "3", "4", "7"]


# --- planes ------------------------------------------------------------------------------------------------


def test_no_crs_is_a_plane():
    picture = preview(np.arange(6, dtype="uint8").reshape(2, 3))
    assert not picture.is_georeferenced
    assert picture.bounds == ((0.0, 0.0), (2.0, 3.0))
    assert picture.notes == ("No CRS: shown in a plane, not on Earth.",)
    assert (picture.bounds_text, picture.width_km) == ("plane, no georeference", None)
    assert [picture.value_at(y, x) for y, x in ((1.5, 0.5), (0.5, 2.5), (2.5, 0.5), (0.5, -0.1))] == [
        "0", "5", "outside the data", "outside the data",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("transform", "note"),
    [
        (None, "A CRS (EPSG:31983) but no place in it: shown in a plane, not on Earth."),
        (Affine.identity(), "A CRS (EPSG:31983) but no place in it: shown in a plane, not on Earth."),
        (Affine(1, 0, 0, 0, -1, 2), "A CRS (EPSG:31983) but no place in it: shown in a plane, not on Earth."),
        (Affine(0, 0, 5, 0, -1, 2), "The georeference (EPSG:31983) is degenerate: shown in a plane, not on Earth."),
        (Affine(1e9, 0, 1e12, 0, -1e9, 1e12), "Coordinates outside EPSG:31983: shown in a plane, not on Earth."),
    ],
)
def test_no_place_in_the_crs_is_a_plane(transform, note):
    picture = preview(Raster(array=np.ones((1, 2, 3), "uint8"), transform=transform, crs=CRS(31983)))
    assert not picture.is_georeferenced
    assert picture.bounds == ((0.0, 0.0), (2.0, 3.0))
    assert picture.notes == (note,)


def test_degrees_outside_the_globe_are_a_plane():
    picture = preview(Raster(array=np.ones((1, 2, 3)), transform=Affine(30, 0, 300_000, 0, -30, 7e6), crs=CRS(4326)))
    assert picture.notes[0] == "Coordinates outside EPSG:4326: shown in a plane, not on Earth."


@pytest.mark.parametrize(
    ("crs", "transform", "note"),
    [
        ("EPSG:4326", Affine(1, 0, 10, 0, -1, 90), "All lies beyond 85.05° north or south: "),
        ('LOCAL_CS["site",UNIT["metre",1]]', Affine(1, 0, 10, 0, -1, 20), "The projection from site failed ("),
        ("EPSG:4978", Affine(1, 0, 10, 0, -1, 20), "Coordinates outside EPSG:4978: "),
    ],
)
def test_what_the_web_map_cannot_show_is_a_plane(crs, transform, note):
    picture = preview(Raster(array=np.ones((1, 2, 3)), transform=transform, crs=CRS.from_user_input(crs)))
    assert not picture.is_georeferenced
    assert picture.notes[0].startswith(note)
    assert picture.notes[0].endswith("shown in a plane, not on Earth.")


@pytest.mark.parametrize("values", [[-1e308, 0, 1e308], [1e-320, 2e-320, 3e-320], [2**60, 2**61, 2**62]])
def test_extreme_numbers_have_colours(values):
    picture = preview(np.array([values * 20], dtype="float64"))
    assert np.diff(picture.pixels[0, :3].astype(int)).min() > 0
    assert preview(np.array([[2**60 + 1, 3]])).value_at(0.5, 0.5) == str(2**60 + 1)


def test_a_corner_at_the_origin_is_said():
    picture = preview(Raster(array=np.ones((1, 2, 3)), transform=Affine(0.5, 0, 0, 0, -0.5, 1), crs=CRS(4326)))
    assert picture.is_georeferenced
    assert "A corner lies at exactly 0, 0 of the CRS: check that the georeference is real." in picture.notes


def test_an_unreadable_crs_is_said():
    source = SimpleNamespace(arrays={"a": np.ones((2, 2))}, crs="EPSG:nowhere", transform=None)
    assert preview(source).notes[:2] == (
        "No CRS: shown in a plane, not on Earth.",
        "The CRS 'EPSG:nowhere' can't be understood.",
    )


# --- legends -----------------------------------------------------------------------------------------------


def test_the_legend_of_the_data_is_used():
    cover = {1: ("forest", "#117733"), 2: ("sea", "#0072B2"), 9: ("city", "#000000")}
    array = np.array([[1, 2], [7, 1]], "uint8")
    picture = preview(raster(array, "EPSG:3857", bands=("cover",), classes={"cover": cover}))
    assert [(e.value, e.label, e.colour) for e in picture.legend.entries][:3] == [
        (1, "forest", "#117733"), (2, "sea", "#0072b2"), (7, "not in the legend", picture.legend.entries[2].colour),
    ]  # fmt: skip
    assert picture.legend.entries[3].label == "city"
    assert picture.notes == ("Not in the legend of the data: 7.",)
    assert classes_seen(picture) == array.tolist()
    assert picture.legend.text_of(2) == "sea (2)"


def test_a_class_keeps_its_colour():
    """Without a legend in the data the colour follows from the code, whatever else occurs."""
    one, other = (preview(np.array([codes], "uint8")) for codes in ([1, 2, 5], [5, 7]))
    colours = [{e.value: e.colour for e in picture.legend.entries} for picture in (one, other)]
    assert colours[0][5] == colours[1][5]


def test_like_shares_colours_and_scale():
    before = preview(np.linspace(0, 10, 100).reshape(10, 10))
    after = preview(np.linspace(0, 50, 100).reshape(10, 10), like=before)
    assert (after.legend.low, after.legend.high) == (before.legend.low, before.legend.high)
    assert after.legend.range_text == "values 0 to 50; colours from 0.2 to 9.8"
    cells = [shapely.box(i, 0, i + 1, 1) for i in range(3)]
    trees = preview(gpd.GeoDataFrame({"state": ["tree", "fire", "ash"]}, geometry=cells))
    ashes = preview(gpd.GeoDataFrame({"state": ["ash", "ash", "bare"]}, geometry=cells), like=trees)
    colour = {e.value: e.colour for e in ashes.legend.entries}
    assert {e.value: e.colour for e in trees.legend.entries}.items() <= colour.items()
    assert classes_seen(ashes) == [["ash", "ash", "bare"]]


@pytest.mark.parametrize(
    ("dtype", "distinct", "kind"),
    [("uint8", 32, "classes"), ("int32", 33, "continuous"), ("bool", 2, "classes"), ("float32", 3, "continuous")],
)
def test_what_counts_as_classes(dtype, distinct, kind):
    array = (np.arange(99) % distinct).reshape(9, 11).astype(dtype)
    assert preview(array).legend.kind == kind


def test_many_classes_with_a_legend_have_colours_of_their_own():
    legend = {i: (f"class {i}", "") for i in range(250)}
    array = np.arange(250, dtype="uint8").reshape(10, 25)
    picture = preview(Raster(array=array[np.newaxis], bands=("c",), classes={"c": legend}))
    assert len({e.colour for e in picture.legend.entries}) == 250
    assert classes_seen(picture) == array.tolist()


def test_more_classes_than_colours_become_a_scale():
    array = np.arange(300, dtype="int16").reshape(1, 10, 30)
    picture = preview(Raster(array=array, bands=("c",), classes={"c": {1: ("one", "#ff0000")}}))
    assert picture.legend.kind == "continuous"
    assert "More than 255 classes: shown as numbers on a scale." in picture.notes


def test_a_scale_says_what_it_stretches():
    array = np.append(np.linspace(0, 1, 99), 1000.0).reshape(10, 10).astype("float32")
    legend = preview(Raster(array=array[np.newaxis], bands=("depth",), units={"depth": "m"})).legend
    assert (legend.minimum, legend.maximum) == (0, 1000)
    assert legend.high < 2
    assert legend.range_text.startswith("values 0 to 1000 m; colours from ")
    assert legend.colours[0] == "#440154"
    assert legend.colours[-1] == "#fde725"


def test_the_scale_is_monotonic():
    picture = preview(np.linspace(-5, 5, 50).reshape(1, 50))
    assert (np.diff(picture.pixels[0].astype(int)) >= 0).all()
    assert (picture.pixels.min(), picture.pixels.max()) == (1, 255)


@pytest.mark.parametrize(
    ("array", "kind", "notes"),
    [
        (np.full((2, 2), np.nan), "empty", ("No cell has a value: nothing to show.",)),
        (np.full((2, 2), 3.5), "continuous", ("Every cell has the same value, 3.5.",)),
        (np.array([[np.inf, 1.0], [-np.inf, 2.0]]), "continuous",
         ("2 infinite values are not shown.", "No data in 50 % of the cells (transparent).")),
        (np.ones((1, 1), "uint8"), "classes", ()),
    ],
)  # fmt: skip
def test_odd_bands_work_and_are_said(array, kind, notes):
    picture = preview(array)
    assert picture.legend.kind == kind
    assert picture.notes[1:] == notes
    assert seen(picture).shape[:2] == array.shape


def test_values_and_their_units():
    picture = preview(
        Raster(array=np.array([[[1.25, np.nan]]]), bands=("d",), units={"d": "m"}, crs=CRS(3857),
               transform=Affine(1e5, 0, 2e5, 0, -1e5, 3e5))
    )  # fmt: skip
    assert picture.value_at(2.2, 2.2) == "1.25 m"
    assert picture.value_at(2.2, 3.1) == "no data"
    assert picture.value_at(2.2, 9) == "outside the data"
    assert picture.value_at(89.999999, 2.2) == picture.value_at(90, 2.2) == "outside the data"
    assert picture.alt_text == (
        "Map of d: values 1.25 to 1.25 m. 1.80 to 2.69 °N, 1.80 to 3.59 °E (data in EPSG:3857)."
    )


# --- files -------------------------------------------------------------------------------------------------


@pytest.fixture
def classes_tif(tmp_path):
    """1,200 x 900 random classes, with averaged overviews: averages of classes are lies."""
    path = tmp_path / "classes.tif"
    array = np.random.default_rng(1).choice(np.array([1, 9, 25], "uint8"), (1, 900, 1200))
    write_raster(raster(array, "EPSG:31983", bands=("cover",), nodata=0), path)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4, 8], Resampling.average)
    return path


def test_averaged_overviews_are_not_used_for_classes(classes_tif):
    picture = preview(classes_tif, max_pixels=200)
    assert {e.value for e in picture.legend.entries} == {1, 9, 25}
    assert picture.notes[1] == "1 of 36 pixels shown."
    assert picture.source_size == (1200, 900)
    with rasterio.open(classes_tif) as dataset:
        averaged = dataset.read(1, out_shape=(150, 200))
    assert not set(np.unique(averaged)) <= {1, 9, 25}, "the trap must be there"


def test_nearest_overviews_are_used(tmp_path):
    path = tmp_path / "n.tif"
    write_raster(raster(np.zeros((1, 900, 1200), "uint8"), "EPSG:31983"), path)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([4], Resampling.nearest)
    with rasterio.open(path, "r+", OVERVIEW_LEVEL=0) as dataset:
        assert dataset.shape == (225, 300)
    assert preview(path, max_pixels=300).legend.kind == "classes"


def test_a_file_and_its_array_look_alike(tmp_path):
    array = np.random.default_rng(2).random((2, 700, 500)).astype("float32")
    array[0, :50, :50] = -9999
    source = raster(array, "EPSG:31983", bands=("a", "b"), nodata=-9999, units={"a": "m"})
    write_raster(source, tmp_path / "x.tif")
    for band in ("a", "b"):
        file, memory = (preview(s, band, max_pixels=128) for s in (tmp_path / "x.tif", source))
        assert file.png == memory.png
        assert file.bounds == memory.bounds
        assert file.notes == memory.notes
        assert file.legend == memory.legend


def test_colour_table_and_mask(tmp_path):
    path = tmp_path / "table.tif"
    profile = {"driver": "GTiff", "width": 3, "height": 1, "count": 1, "dtype": "uint8", "crs": "EPSG:3857",
               "transform": Affine(10, 0, 1000, 0, -10, 1000)}  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(np.array([[[1, 2, 3]]], "uint8"))
        dataset.write_colormap(1, {1: (255, 0, 0, 255), 2: (0, 255, 0, 255), 3: (0, 0, 255, 255)})
    picture = preview(path)
    assert seen(picture)[0].tolist() == [[255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 255, 255]]
    assert [e.text for e in picture.legend.entries if e.value in {1, 2, 3}] == ["1", "2", "3"]
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(np.array([[False, True, True]]))
    assert preview(path).pixels[0].tolist()[0] == 0
    (tmp_path / "clear.png").write_bytes(encode(np.array([[0, 1]], "uint8"), ["#ff0000"]))
    clear = preview(tmp_path / "clear.png")
    assert seen(clear)[0].tolist() == [[0, 0, 0, 0], [255, 0, 0, 255]]
    assert "Codes that the file's colour table makes transparent are not shown." in clear.notes


def test_known_by_content_and_from_zip(tmp_path):
    write_raster(raster(np.eye(3, dtype="uint8")), tmp_path / "grid.tif")
    (tmp_path / "grid.dat").write_bytes((tmp_path / "grid.tif").read_bytes())
    table = gpd.GeoDataFrame({"state": [1, 2]}, geometry=[shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)], crs=4326)
    table.to_file(tmp_path / "cells.gpkg")
    table.to_file(tmp_path / "cells.shp")
    (tmp_path / "cells.bin").write_bytes((tmp_path / "cells.gpkg").read_bytes())
    table.to_file(tmp_path / "cells.geojson")
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
        archive.write(tmp_path / "grid.tif", "in side/grid.tif")
        archive.write(tmp_path / "cells.geojson", "cells.geojson")
    with zipfile.ZipFile(tmp_path / "shape.zip", "w") as archive:
        for part in tmp_path.glob("cells.[sdp][hbr]*"):
            archive.write(part, part.name)
    rasters = ["grid.dat", "both.zip"]
    assert len({preview(tmp_path / name).png for name in rasters}) == 1
    vectors = ["cells.gpkg", "cells.shp", "cells.bin", "cells.geojson", "shape.zip"]
    assert {preview(str(tmp_path / name)).band for name in vectors} == {"state"}
    assert len({preview(str(tmp_path / name)).png for name in vectors}) == 1
    assert preview(tmp_path / "both.zip").notes[1] == "in side/grid.tif is shown, one of 2 maps in both.zip."
    assert preview(DataSource(uri=str(tmp_path / "grid.tif"))).png == preview(tmp_path / "grid.tif").png


def test_a_file_without_georeference_warns_nobody(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_raster(Raster(array=np.eye(4, dtype="uint8")[np.newaxis]), tmp_path / "life.tif")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert preview(tmp_path / "life.tif").notes == ("No CRS: shown in a plane, not on Earth.",)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.tif", None, "gone.tif doesn't exist. Check the path."),
        ("", None, "An empty path doesn't exist. Check the path."),
        (".", None,
         (". is a folder without a map in it. Name a file, a Zarr folder, or a folder with one of .tif, .tiff, .shp, "
          ".gpkg, .geojson, .geojsonl, .fgb, .parquet, .geoparquet, .nc, .nc4, .h5, .hdf5, .asc, .zip.")),
        ("empty.tif", b"", "empty.tif is empty (0 bytes). Write or fetch it again."),
        ("bad.zip", b"PK\x03\x04 cut", "bad.zip is a damaged zip file (File is not a zip file). Fetch it again."),
    ],
)  # fmt: skip
def test_unusable_files(workspace, name, content, message):
    if content is not None:
        (workspace / name).write_bytes(content)
    with pytest.raises(SourceError) as caught:
        preview(name)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello, this is text\n", "notes.tif is not a map that can be read. Known by their content are: "),
        (b'{"a": 1}', "notes.tif is not a map that can be read. Known by their content are: "),
        (b"II*\0cut short", "notes.tif can't be read: "),
        (b"SQLite format 3\0", "notes.tif is a damaged GeoPackage (file is not a database). Get it again."),
    ],
)
def test_not_a_map(workspace, content, message):
    (workspace / "notes.tif").write_bytes(content)
    with pytest.raises(SourceError) as caught:
        preview("notes.tif")
    assert str(caught.value).startswith(message)


def test_a_zip_without_a_map(workspace):
    with zipfile.ZipFile("x.zip", "w") as archive:
        archive.writestr("readme.txt", "hi")
    with pytest.raises(SourceError) as caught:
        preview("x.zip")
    assert str(caught.value) == (
        "x.zip is a zip file without a map in it. Known in a zip: .tif, .tiff, .shp, .gpkg, .geojson, .json, .fgb, "
        ".geojsonl, .asc, .png, .jpg, .jpeg."
    )


def test_a_truncated_raster(workspace):
    write_raster(raster(np.random.default_rng(0).random((1, 300, 300))), "whole.tif")
    content = (workspace / "whole.tif").read_bytes()
    (workspace / "cut.tif").write_bytes(content[: len(content) // 2])
    with pytest.raises(SourceError, match=r"^cut\.tif"):
        preview("cut.tif")


def test_unusable_sources():
    for source, message in (
        (42, ("A int can't be shown on a map. A path, a DataSource, a Raster, a GeoDataFrame, a numpy array or "
             "an object with named `arrays` can.")),
        (np.zeros(3), ("An array of the shape (3,) is not a map. "
                      "A map has the shape (height, width) or (bands, height, width).")),
        (np.zeros((0, 3)), "Array 'band_1' has the shape (0, 3): it holds no cell, so nothing to show."),
        (np.zeros((2, 2), complex), ("Band 'band_1' holds values of type complex128, which a map can't show. "
                                    "Whole numbers, floats and truth values can be shown: convert it first.")),
        (SimpleNamespace(arrays={}), "There is no band to show: the source holds no array. Add at least one."),
        (SimpleNamespace(arrays={"a": np.zeros((2, 2)), "b": np.zeros((2, 3))}),
         "Array 'b' has the shape (2, 3), others (2, 2): not one grid."),
        (SimpleNamespace(arrays={"a": np.zeros(2)}), "Array 'a' has the shape (2,); a band has (height, width)."),
    ):  # fmt: skip
        with pytest.raises(SourceError) as caught:
            preview(source)
        assert str(caught.value) == message


def test_unknown_band():
    with pytest.raises(SourceError) as caught:
        preview(raster(np.zeros((2, 2)), bands=("state",)), "sate")
    assert str(caught.value) == "No band or column is called 'sate'. Did you mean 'state'? Known: state."
    with pytest.raises(SourceError) as caught:
        preview(np.zeros((2, 2)), max_pixels=0)
    assert str(caught.value) == "max_pixels is 0; it must be 1 to 4096."


def test_upstream_backend():
    backend_module = pytest.importorskip("dissmodel.geo.raster.backend")
    backend = backend_module.RasterBackend(
        shape=(2, 3), nodata_value=-1, transform=Affine(30, 0, 300_000, 0, -30, 7_400_000), crs="EPSG:31983"
    )
    backend.set("_tmp", np.zeros((2, 3)))
    backend.set("uso", np.array([[1, 2, -1], [2, 2, 1]], "int8"))
    backend.set("roads", np.arange(12.0).reshape(2, 2, 3), time=np.array([2000, 2014]))
    picture = preview(backend)
    assert picture.band == "uso"
    assert picture.bands == ("uso", "roads [2000]", "roads [2014]", "_tmp")
    assert [e.value for e in picture.legend.entries] == [1, 2]
    assert picture.crs == "EPSG:31983"
    assert preview(backend, "roads [2014]").legend.minimum == 6


# --- vectors -----------------------------------------------------------------------------------------------


def cells(rows, columns, side=100.0, *, west=300_000.0, south=7_400_000.0, **boxes):
    row, column = np.divmod(np.arange(rows * columns), columns)
    x, y = west + column * side, south + row * side
    return shapely.box(x, y, x + side, y + side, **boxes)


@pytest.mark.parametrize("clockwise", [True, False])
def test_a_grid_of_cells_is_drawn_exactly(clockwise):
    rng = np.random.default_rng(3)
    chosen = rng.permutation(30 * 40)[:900]
    shapes = cells(30, 40, ccw=not clockwise)[chosen]
    table = gpd.GeoDataFrame({"id": chosen, "z": rng.integers(1, 9, 900)}, geometry=shapes, crs=31983)
    picture = preview(table)
    assert picture.band == "z"
    assert picture.source_size == (40, 30)
    expected = rasterize(
        zip(shapes, table["z"], strict=True), (30, 40), transform=picture.grid.transform, dtype="int32"
    )
    assert np.where(picture.grid.valid, picture.grid.values, 0).tolist() == expected.tolist()
    assert picture.notes == (
        "Warped from EPSG:31983 to Web Mercator (EPSG:3857), nearest cell.",
        "No data in 25 % of the cells (transparent).",
    )
    middle = shapes[0].centroid
    longitude, latitude = Transformer.from_crs(31983, 4326, always_xy=True).transform(middle.x, middle.y)
    assert picture.value_at(latitude, longitude) == str(table["z"][0])


def test_a_large_grid_says_how_many_cells_are_drawn():
    table = gpd.GeoDataFrame({"z": np.arange(1200)}, geometry=cells(30, 40), crs=31983)
    picture = preview(table, max_pixels=20)
    assert picture.source_size == (40, 30)
    assert picture.grid.values.shape == (15, 20)
    assert picture.notes[1] == "1 of 4 cells shown."
    assert picture.legend.kind == "continuous"


def test_cells_in_one_place_are_said():
    shapes = np.append(cells(2, 2), cells(2, 2)[:1])
    picture = preview(gpd.GeoDataFrame({"z": [1, 2, 3, 4, 5]}, geometry=shapes))
    assert picture.notes[1] == "1 cells lie under others: the last one is drawn."
    assert picture.value_at(0.5, 0.5) == "5"


@pytest.mark.parametrize(
    "shapes",
    [
        [*cells(3, 3)[:4].tolist(), shapely.box(300050, 7400250, 300150, 7400350)],  # off the grid
        [shapely.box(0, 0, 1, 1), shapely.box(1, 0, 3, 2)],  # two sizes
        [shapely.Polygon([(0, 0), (1, 0), (0, 1), (1, 1)])],  # a bow tie has the corners of a cell
        [shapely.Polygon([(0, 0), (2, 1), (2, 3), (0, 2)])],  # not square
        [shapely.box(0, 0, 1, 1).boundary],  # a line
    ],
)
def test_what_is_no_grid_of_cells_is_rasterised(shapes):
    owners = find_owners(np.array(shapes), 64)
    assert "drawn as pixels on a grid of" in owners.notes[0]
    assert (owners.features >= 0).any()


def test_points_are_drawn_and_counted():
    table = gpd.GeoDataFrame({"n": [1, 2, 3]}, geometry=gpd.points_from_xy([0, 5, 5], [0, 5, 5]))
    picture = preview(table)
    assert picture.notes[1:3] == (
        "Points drawn as pixels on a grid of 1024 x 1024. Points and lines are wider than they are, to be seen.",
        "2 of 3 features drawn: the others are smaller than a pixel or covered.",
    )
    alone = preview(gpd.GeoSeries([shapely.Point(-50, -10)], crs=4326))
    assert (alone.band, alone.legend.entries[0].label) == ("shapes", "shapes")
    assert alone.pixels.max() == 1


@pytest.mark.parametrize(
    ("columns", "band"),
    [
        ({"fid": [1, 2], "state": ["a", "b"]}, "state"),
        ({"cell_id": [1, 2], "_x": [1, 2], "age": [1.5, 2]}, "age"),
        ({"row": [1, 2], "col": [1, 2]}, "row"),
        ({"_hidden": [1, 2], "id": [1, 2]}, "_hidden"),
        ({}, "shapes"),
    ],
)
def test_the_default_column_is_not_an_id(columns, band):
    table = gpd.GeoDataFrame(columns, geometry=cells(1, 2))
    assert open_layer(table).default_band == band
    assert preview(table).band == band
    assert [b for b in open_layer(table).bands if b.startswith("_")] == list(open_layer(table).bands)[
        len(open_layer(table).bands) - sum(c.startswith("_") for c in columns) :
    ]


def test_texts_that_name_each_row_are_not_the_default():
    table = gpd.GeoDataFrame({"name": [f"c{i}" for i in range(40)], "z": range(40)}, geometry=cells(1, 40))
    assert open_layer(table).default_band == "z"
    picture = preview(table, "name")
    assert len(picture.legend.entries) == 32
    assert picture.legend.entries[-1].label == "other"


def test_columns_of_all_kinds():
    import pandas as pd

    table = gpd.GeoDataFrame(
        {
            "whole": [1, None, 3, 3],
            "nullable": pd.array([1, None, 3, 3], dtype="Int64"),
            "truth": [True, False, True, True],
            "maybe": pd.array([True, None, False, True], dtype="boolean"),
            "state": pd.Categorical(["tree", None, "fire", "tree"], categories=["tree", "fire"]),
            "text": ["a", None, "<b>", "a"],
            "day": pd.to_datetime(["2020-01-01", None, "2021-01-01", "2020-01-01"]),
            "depth": [0.5, np.nan, np.inf, 2.0],
        },
        geometry=cells(1, 4),
    )
    found = {band: preview(table, band) for band in open_layer(table).bands}
    assert {band: picture.legend.kind for band, picture in found.items()} == {
        **dict.fromkeys(("whole", "nullable", "truth", "maybe", "state", "text", "day"), "classes"),
        "depth": "continuous",
    }
    assert classes_seen(found["whole"]) == classes_seen(found["nullable"]) == [[1, None, 3, 3]]
    assert classes_seen(found["truth"]) == [["True", "False", "True", "True"]]
    assert classes_seen(found["maybe"]) == [["True", None, "False", "True"]]
    assert classes_seen(found["state"]) == [["tree", None, "fire", "tree"]]
    assert [e.label for e in found["state"].legend.entries] == ["tree", "fire"]
    assert classes_seen(found["text"]) == [["a", None, "<b>", "a"]]
    assert found["depth"].value_at(0.5, 1.5) == found["depth"].value_at(0.5, 2.5) == "no data"
    assert found["text"].value_at(0.5, 2.5) == "<b>"


def test_empty_tables_work_and_are_said():
    nothing = preview(gpd.GeoDataFrame({"z": []}, geometry=[], crs=31983))
    assert not nothing.is_georeferenced
    assert nothing.legend.kind == "empty"
    assert nothing.notes[1:] == ("The table has no features.", "No cell has a value: nothing to show.")
    holes = preview(gpd.GeoDataFrame({"z": [1, 2, 3]}, geometry=[None, shapely.Polygon(), shapely.box(0, 0, 1, 1)]))
    assert holes.notes[1] == "2 of 3 features have no place: no geometry, or no finite one."
    assert holes.value_at(0.5, 0.5) == "3"


def test_shapes_without_a_place_and_tiny_ones():
    broken = preview(gpd.GeoDataFrame({"z": [1, 2]}, geometry=[shapely.Point(np.inf, 1), shapely.Point(3, 4)]))
    assert broken.notes[1] == "1 of 2 features have no place: no geometry, or no finite one."
    assert broken.legend.entries[0].value == 2
    far_apart = [shapely.box(0, 0, 1, 1), shapely.box(5e6, 0, 5e6 + 1, 1)]
    tiny = preview(gpd.GeoDataFrame({"z": [1, 2]}, geometry=far_apart))
    assert [e.value for e in tiny.legend.entries] == [1, 2]


def test_a_table_without_geometries(workspace):
    (workspace / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SourceError, match=r"^t\.csv is not a map that can be read\. Known by"):
        preview("t.csv")


# --- the writer --------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.sampled_from([1, 6, 9]))
def test_png_round_trip(height, width, seed, level):
    index = np.random.default_rng(seed).integers(0, 4, (height, width), dtype="uint8")
    colours = ["#ff0000", "#00ff00", "#0000ff"]
    with Image.open(io.BytesIO(encode(index, colours, level=level))) as image:
        assert np.asarray(image).tolist() == index.tolist()
        rgba = np.asarray(image.convert("RGBA"))
    assert (rgba[..., 3] == 0).tolist() == (index == 0).tolist()
    assert rgba[index == 2].tolist() == [[0, 255, 0, 255]] * int((index == 2).sum())


@pytest.mark.parametrize("count", [1, 3, 4, 15, 16, 255])
@pytest.mark.parametrize("is_noise", [True, False])
def test_large_pictures_of_any_number_of_colours_come_back(count, is_noise):
    index = np.random.default_rng(count).integers(0, count + 1, (701, 803), dtype="uint8")
    if not is_noise:
        index = np.repeat(np.repeat(index[:8, :11], 88, 0), 73, 1)
    with Image.open(io.BytesIO(encode(index, ["#012345"] * count))) as image:
        assert (np.asarray(image) == index).all()


@pytest.mark.parametrize("dtype", ["uint8", "int64"])
def test_a_picture_of_noise_is_encoded_whole_once_and_quickly(monkeypatch, dtype):
    from dissmodel_lab.maps import png

    asked = []
    monkeypatch.setattr(png, "encode", lambda i, c, level=None: asked.append((i, level)) or encode(i, c, level=level))
    picture = preview(np.random.default_rng(0).integers(0, 6, (1000, 1000)).astype(dtype))
    assert [(level, index.shape) for index, level in asked if index.shape[0] > 200] == [(1, picture.pixels.shape)]
    assert {level for _, level in asked} == {1}
    assert 160_000 < len(picture.png) <= 180_000


def test_smaller_pictures_have_no_new_colours():
    picture = preview(np.random.default_rng(0).choice(np.array([1, 9, 25], "uint8"), (90, 120)))
    with Image.open(io.BytesIO(picture.png_at(37, 29))) as image:
        assert image.size == (37, 29)
        assert set(np.unique(np.asarray(image))) == {1, 2, 3}


def test_threads_that_are_quiet_together_leave_the_filters_as_they_were():
    """One thread leaves while another is still inside: neither brings the warning back, nor silences it for good."""
    import threading
    import warnings

    from rasterio.errors import NotGeoreferencedWarning

    from dissmodel_lab.rasters import quiet_georeference

    before = list(warnings.filters)
    first_is_in, second_is_in, problems = threading.Event(), threading.Event(), []

    def second():
        first_is_in.wait(5)
        with quiet_georeference():
            second_is_in.set()
            first_has_left.wait(5)
            try:
                warnings.warn("still inside", NotGeoreferencedWarning, stacklevel=1)
            except NotGeoreferencedWarning as warning:
                problems.append(warning)

    first_has_left = threading.Event()
    thread = threading.Thread(target=second)
    thread.start()
    with quiet_georeference():
        first_is_in.set()
        assert second_is_in.wait(5)
    first_has_left.set()
    thread.join()
    assert problems == []
    assert list(warnings.filters) == before


def masked(band="use", mask=((1, 1, 0), (1, 0, 0)), use=((1, 2, -1), (1, -1, -1))):
    bands = {band: np.array(use, "float32"), "mask": np.array(mask, "float32")}
    return Raster(array=np.stack(list(bands.values())), bands=tuple(bands))


@pytest.mark.parametrize("way", ["memory", "file"])
def test_cells_outside_of_a_mask_band_are_not_shown(way, workspace):
    raster = masked()
    if way == "file":
        write_raster(raster, "masked.tif")
        raster = "masked.tif"
    shown = preview(raster)
    assert "Cells outside of the band 'mask' are not shown." in shown.notes
    assert shown.grid.valid.tolist() == [[True, True, False], [True, False, False]]
    assert preview(raster, band="mask").grid.valid.all()


@pytest.mark.parametrize("mask", [((1, 1, 1), (1, 1, 1)), ((1, 1, 0.5), (1, 0, 0)), ((1, 2, 0), (1, 0, 0))])
def test_a_band_that_is_no_mask_hides_nothing(mask):
    shown = preview(masked(mask=mask))
    assert shown.grid.valid.all()
    assert not any("mask" in note for note in shown.notes)


def test_classes_stay_classes_beside_a_quantity():
    elevation = preview(raster(np.linspace(-300, 2000, 100).reshape(1, 10, 10), bands=("elevation",)))
    classes = {"cover": {1: ("sea", "#005f9e"), 2: ("land", "#6b6259")}}
    codes = np.arange(100, dtype="uint8").reshape(1, 10, 10) % 2 + 1
    cover = raster(codes, bands=("cover",), classes=classes)
    after = preview(cover, like=elevation)
    assert (elevation.legend.kind, after.legend.kind) == ("continuous", "classes")
    assert [entry.label for entry in after.legend.entries] == ["sea", "land"]
    assert "More than 255 classes: shown as numbers on a scale." not in after.notes
