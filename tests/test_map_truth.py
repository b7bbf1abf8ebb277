"""Must-show 2 of the maps: classes on the map are classes in the data, at their place, by every way to the pixels."""

from __future__ import annotations

import json
import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import CRS
from rasterio.enums import Resampling
from rasterio.warp import transform as warp_points

from dissmodel_lab.maps import open_layer, preview
from dissmodel_lab.maps.memory import pictures
from dissmodel_lab.maps.picture import area_under
from dissmodel_lab.maps.reading import limited
from dissmodel_lab.rasters import Raster

PLACES = {
    "EPSG:31983": (31983, Affine(30, 0, 300_000, 0, -30, 7_400_000)),
    "EPSG:31984": (31984, Affine(30, 0, 250_000, 0, -30, 8_900_000)),
    "EPSG:4326": (4326, Affine(0.01, 0, -52, 0, -0.01, -10)),
    "EPSG:3857": (3857, Affine(1000, 0, -5_000_000, 0, -1000, -2_000_000)),
    "EPSG:5880": (5880, Affine(2_000, 0, 4_500_000, 0, -2_000, 9_000_000)),
    "rotated": (31983, Affine.translation(300_000, 7_400_000) @ Affine.rotation(30) @ Affine.scale(30, -30)),
    "south up": (31983, Affine(30, 0, 300_000, 0, 30, 7_300_000)),
    "date line": (4326, Affine(0.05, 0, 175, 0, -0.05, -10)),
    "0 to 360": (4326, Affine(0.05, 0, 300, 0, -0.05, -10)),
    "polar": (3031, Affine(2_000, 0, -1_000_000, 0, -2_000, 2_500_000)),
}
RESAMPLINGS = [None, "nearest", "mode", "average", "bilinear", "cubic", "gauss", "rms"]


@pytest.fixture(autouse=True)
def forgotten():
    """Nothing that an earlier test worked out."""
    pictures.clear()


def write(path, array, place, *, resampling=None, tells=True, nodata=None, **profile):
    epsg, transform = PLACES[place]
    height, width = array.shape
    profile = {"driver": "GTiff", "count": 1, "dtype": array.dtype, "height": height, "width": width,
               "crs": f"EPSG:{epsg}", "transform": transform, "nodata": nodata, **profile}  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(array, 1)
    if resampling is not None:
        with rasterio.open(path, "r+") as dataset:
            dataset.build_overviews([2, 4], Resampling[resampling])
            if not tells:
                dataset.update_tags(ns="rio_overview", resampling="")


def values_on(picture):
    """All values that a pixel of the picture has."""
    return set(np.unique(picture.grid.values.ravel()[picture.cells[picture.pixels > 0]]).tolist())


def middle_of(picture, *, part=0.4):
    """A view: the middle of a picture."""
    (south, west), (north, east) = picture.bounds
    high, wide = (north - south) * part / 2, (east - west) * part / 2
    y, x = (south + north) / 2, (west + east) / 2
    return (y - high, x - wide), (y + high, x + wide)


@settings(max_examples=45, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.sampled_from(list(PLACES)),
    resampling=st.sampled_from(RESAMPLINGS),
    tells=st.booleans(),
    form=st.sampled_from([{}, {"tiled": True, "blockxsize": 32, "blockysize": 16, "compress": "deflate"},
                          {"compress": "lzw"}]),
    codes=st.sampled_from([(1, 9, 25), (0, 100, 200, 255), tuple(range(0, 250, 10))]),
    dtype=st.sampled_from(["uint8", "int16", "float32"]),
    size=st.sampled_from([(96, 128), (101, 77)]),
    seed=st.integers(0, 2**16),
    max_pixels=st.sampled_from([20, 40, 300]),
    in_part=st.booleans(),
)  # fmt: skip
def test_classes_on_the_map_are_classes_of_the_data(  # noqa: PLR0917 -- hypothesis's
    tmp_path, place, resampling, tells, form, codes, dtype, size, seed, max_pixels, in_part
):
    """Overviews of every resampling, decimation, warp and zoom: no class appears that isn't there."""
    array = np.random.default_rng(seed).choice(np.array(codes, dtype), size)
    path = tmp_path / "classes.tif"
    path.unlink(missing_ok=True)
    write(path, array, place, resampling=resampling, tells=tells, nodata=codes[-1], **form)
    if dtype == "float32":  # classes by their legend, else averages of numbers are numbers
        with rasterio.open(path, "r+") as dataset:
            dataset.update_tags(1, classes=json.dumps({str(code): [f"c{code}", "#ff0000"] for code in codes}))
    pictures.clear()
    whole = preview(path, max_pixels=max_pixels)
    shown = preview(path, max_pixels=max_pixels, area_bounds=middle_of(whole), like=whole) if in_part else whole
    assert whole.is_georeferenced
    assert values_on(shown) <= set(codes[:-1])
    if dtype == "uint8":
        assert {e.value for e in whole.legend.entries} <= set(codes)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("is_part", [False, True])
def test_pixels_lie_where_rasterio_puts_them(tmp_path, place, is_part):
    """Corners and centre of what is shown: longitude and latitude err by at most one pixel of the picture."""
    epsg, transform = PLACES[place]
    height, width = 240, 300
    rows, columns = np.indices((height, width))
    write(tmp_path / "rows.tif", rows.astype("float32"), place)
    write(tmp_path / "columns.tif", columns.astype("float32"), place)
    pair = [preview(tmp_path / f"{name}.tif", max_pixels=200) for name in ("rows", "columns")]
    if is_part:
        view = middle_of(pair[0])
        pair = [preview(tmp_path / f"{name}.tif", max_pixels=200, area_bounds=view, like=whole)
                for name, whole in zip(("rows", "columns"), pair, strict=True)]  # fmt: skip
    (south, west), (north, east) = pair[0].bounds
    wide, high = pair[0].size
    top, bottom = (math.asinh(math.tan(math.radians(v))) for v in (north, south))
    cells = pair[0].cells
    known = np.argwhere(cells >= 0)
    targets = [(0, 0), (0, wide - 1), (high - 1, 0), (high - 1, wide - 1), (high // 2, wide // 2)]
    for target in targets:  # the shown pixels nearest to the picture's corners and its centre
        row, column = known[np.argmin(((known - target) ** 2).sum(axis=1))]
        longitude = west + (column + 0.5) / wide * (east - west)
        y, x = (float(p.grid.values.flat[cells[row, column]]) for p in pair)
        (there,), (here,) = warp_points(f"EPSG:{epsg}", "EPSG:4326", *([v] for v in transform @ (x + 0.5, y + 0.5)))
        off_columns = ((there - longitude + 180) % 360 - 180) / (east - west) * wide
        off_rows = (top - math.asinh(math.tan(math.radians(here)))) / (top - bottom) * high - (row + 0.5)
        cell = max(1.0, max(wide, high) / max(pair[0].grid.values.shape))  # pixels that one cell is drawn with
        assert max(abs(off_columns), abs(off_rows)) <= max(
            1.0, cell * (1.5 if place in {"rotated", "polar"} else 1.0)
        )


@settings(max_examples=40, deadline=None)
@given(
    place=st.sampled_from(list(PLACES)),
    part=st.floats(0.02, 0.9),
    across=st.floats(-0.6, 0.6),
    up=st.floats(-0.6, 0.6),
    turns=st.sampled_from([-360, 0, 360]),
)
def test_a_view_shows_all_that_lies_in_it(place, part, across, up, turns):
    """Every cell of the layer whose middle lies in the view is in the area that is read."""
    epsg, transform = PLACES[place]
    array = np.arange(60 * 80, dtype="float32").reshape(1, 60, 80)
    layer = open_layer(Raster(array=array, transform=transform, crs=CRS.from_epsg(epsg)))
    whole = preview(layer, max_pixels=100)
    (south, west), (north, east) = middle_of(whole, part=part)
    shift, lift = across * (whole.bounds[1][1] - whole.bounds[0][1]), up * (whole.bounds[1][0] - whole.bounds[0][0])
    view = (south + lift, west + shift + turns), (north + lift, east + shift + turns)
    area = area_under(layer, view, whole)
    x, y = transform @ np.array([[c + 0.5, r + 0.5] for r in range(60) for c in range(80)]).T
    longitude, latitude = (np.array(v) for v in warp_points(f"EPSG:{epsg}", "EPSG:4326", x, y))
    middle = (view[0][1] + view[1][1]) / 2
    longitude = (longitude - middle + 180) % 360 - 180 + middle
    inside = (longitude > view[0][1]) & (longitude < view[1][1]) & (latitude > view[0][0]) & (latitude < view[1][0])
    expected = set(array.ravel()[inside].tolist())
    found = set() if area is None else set(layer.grid("band_1", 100, area).values.ravel().tolist())
    assert expected <= found
    if area is not None and place in {"EPSG:31983", "EPSG:4326", "EPSG:3857"}:
        assert len(found) <= len(expected) + 4 * (60 + 80) + 16  # and little more


def test_zoom_reads_the_full_resolution(tmp_path):
    array = np.random.default_rng(0).integers(1, 5, (400, 600), dtype="uint8")
    write(tmp_path / "x.tif", array, "EPSG:31983", tiled=True, blockxsize=64, blockysize=64, compress="deflate")
    whole = preview(tmp_path / "x.tif", max_pixels=100)
    assert whole.shown == "1 of 36 pixels shown"
    near = preview(tmp_path / "x.tif", max_pixels=100, area_bounds=middle_of(whole, part=0.1), like=whole)
    assert near.shown == ""
    window = near.grid.window
    assert near.grid.values.tolist() == window.of(array).tolist()
    assert near.source_size == window.size
    assert (near.legend.colours, near.legend.entries) == (whole.legend.colours, whole.legend.entries)


def test_a_slow_file_is_shown_coarser_and_said(tmp_path, monkeypatch):
    """Tiles without overviews that can't be read in the time: fewer pixels, all of them real."""
    from dissmodel_lab.maps import reading

    array = np.random.default_rng(0).integers(1, 5, (512, 512), dtype="uint8")
    write(tmp_path / "x.tif", array, "EPSG:31983", tiled=True, blockxsize=32, blockysize=32, compress="deflate")
    monkeypatch.setattr(reading, "SMALL_BYTES", 0)
    monkeypatch.setattr(reading, "JOB_BYTES", 2048)
    clock = iter(range(10**6))
    # this module's clock only: other threads of this process tell the time, too
    monkeypatch.setattr(reading, "time", SimpleNamespace(perf_counter=lambda: float(next(clock))))
    with limited(seconds=100):
        picture = preview(tmp_path / "x.tif", max_pixels=256)
    # How much coarser is a matter of which thread looked at the clock how often.
    told = re.fullmatch("1 of (4,096|16,384) pixels shown, coarser because the file has no overviews", picture.shown)
    assert told, picture.shown
    step = math.isqrt(int(told[1].replace(",", "")))
    assert f"{picture.shown}." in picture.notes
    assert picture.grid.values.tolist() == array[step // 2 :: step, step // 2 :: step].tolist()
