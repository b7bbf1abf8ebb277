"""Rasters of every make: masks, scales, overviews, parts of them, archives and arrays with dimensions."""

from __future__ import annotations

import json
import sys
import time
import warnings
import zipfile

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import CRS
from rasterio.control import GroundControlPoint
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning

from dissmodel_lab.errors import SourceError
from dissmodel_lab.maps import open_layer, preview
from dissmodel_lab.maps.area import Area, area_of, window_of
from dissmodel_lab.maps.dimensions import open_dimensions
from dissmodel_lab.maps.memory import SETTLED, Memory, pictures
from dissmodel_lab.maps.picture import draw
from dissmodel_lab.maps.reading import StoppedError, Wanted, jobs_of, limited, read_nearest
from dissmodel_lab.maps.sidecars import class_names_beside

UTM = {"crs": "EPSG:31983", "transform": Affine(30, 0, 300_000, 0, -30, 7_400_000)}


@pytest.fixture(autouse=True)
def forgotten():
    """Nothing that an earlier test worked out."""
    pictures.clear()


def write(path, array, **profile):
    stack = array if array.ndim == 3 else array[np.newaxis]
    profile = {"driver": "GTiff", "count": len(stack), "dtype": stack.dtype, "height": stack.shape[1],
               "width": stack.shape[2], **UTM, **profile}  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(stack)
    return path


# --- what a file says of its values ------------------------------------------------------------------------


def test_scale_and_offset_are_applied_and_said(tmp_path):
    path = write(tmp_path / "x.tif", np.array([[0, 10], [20, -1]], "int16"), nodata=-1)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets, dataset.units = [0.5], [2.0], ["°C"]
    picture = preview(path)
    assert picture.grid.values[picture.grid.valid].tolist() == [2.0, 7.0, 12.0]
    assert (picture.legend.kind, picture.legend.unit) == ("continuous", "°C")
    assert "Values are the stored numbers times 0.5 plus 2, as the file says." in picture.notes


@pytest.mark.parametrize("where", ["beside", "inside", "alpha"])
def test_masks_of_every_kind(tmp_path, where):
    array = np.arange(1, 13, dtype="uint8").reshape(3, 4)
    mask = np.arange(12).reshape(3, 4) % 3 > 0
    path = tmp_path / "x.tif"
    if where == "alpha":
        write(path, np.stack([array, mask.astype("uint8") * 255]), alpha="YES", photometric="MINISBLACK")
    else:
        write(path, array)
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=where == "inside"), rasterio.open(path, "r+") as dataset:
            dataset.write_mask(mask)
    assert (tmp_path / "x.tif.msk").exists() == (where == "beside")
    assert preview(path).grid.valid.tolist() == mask.tolist()


@pytest.mark.parametrize(
    ("dtype", "nodata", "values"),
    [
        ("float32", np.nan, [1.5, np.nan]),
        ("float32", -3.4e38, [1.5, -3.4e38]),
        ("int64", -9999, [2**40, -9999]),
        ("uint16", 65535, [7, 65535]),
        ("int8", -128, [7, -128]),
    ],
)
def test_nodata_of_every_type(tmp_path, dtype, nodata, values):
    path = write(tmp_path / "x.tif", np.array([values], dtype), nodata=nodata)
    picture = preview(path)
    assert picture.grid.valid.tolist() == [[True, False]]
    assert picture.legend.text_of(picture.grid.values[0, 0].item()) == f"{values[0]}"


def test_half_floats_and_each_band_its_nodata(tmp_path):
    half = write(tmp_path / "half.tif", np.array([[0.5, 2.0]], "float32"), nbits=16)
    assert preview(half).legend.maximum == 2
    vrt = tmp_path / "two.tif"
    write(vrt, np.array([[[1, 2]], [[1, 2]]], "uint8"), nodata=1)
    assert [preview(vrt, f"band_{i}").grid.valid.tolist() for i in (1, 2)] == [[[False, True]]] * 2


@pytest.mark.parametrize("dtype", ["complex64", "complex_int16"])
def test_complex_numbers_are_refused_in_words(tmp_path, dtype):
    profile = {"driver": "GTiff", "count": 1, "dtype": dtype, "height": 2, "width": 2, **UTM}
    with rasterio.open(tmp_path / "x.tif", "w", **profile) as dataset:
        dataset.write(np.ones((1, 2, 2), "complex64"))
    with pytest.raises(SourceError, match=r"x\.tif: band 'band_1' holds values of type complex64, which a map can't"):
        preview(tmp_path / "x.tif")


def test_class_names_beside_the_file(tmp_path):
    path = write(tmp_path / "x.tif", np.array([[0, 1, 2]], "uint8"))
    beside = tmp_path / "x.tif.aux.xml"
    names = "<CategoryNames><Category>sea</Category><Category>land &lt;b&gt;</Category></CategoryNames>"
    beside.write_text(f'<PAMDataset><PAMRasterBand band="1">{names}</PAMRasterBand></PAMDataset>')
    assert [e.text for e in preview(path).legend.entries] == ["sea (0)", "land <b> (1)", "not in the legend (2)"]
    rows = "".join(
        f"<Row><F>{i}</F><F>{name}</F><F>255</F><F>0</F><F>{i}</F></Row>" for i, name in ((1, "a"), (2, "b"))
    )
    fields = "".join(f"<FieldDefn><Name>n</Name><Usage>{usage}</Usage></FieldDefn>" for usage in (5, 2, 6, 7, 8))
    table = f"<GDALRasterAttributeTable>{fields}{rows}</GDALRasterAttributeTable>"
    beside.write_text(f'<PAMDataset><PAMRasterBand band="1">{table}</PAMRasterBand></PAMDataset>')
    assert [(e.label, e.colour) for e in preview(path).legend.entries][1:] == [("a", "#ff0001"), ("b", "#ff0002")]
    entity = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    evil = f'{entity}<PAMDataset><PAMRasterBand band="1">{names}</PAMRasterBand></PAMDataset>'
    beside.write_text(evil.replace("sea", "&e;"))
    assert class_names_beside(str(path), 1) == {}


# --- where it lies -----------------------------------------------------------------------------------------


def test_control_points_are_a_plane_and_said(tmp_path):
    points = [GroundControlPoint(r, c, -50 + c, -10 - r) for r, c in ((0, 0), (0, 2), (2, 0), (2, 2))]
    place = {"gcps": points, "crs": "EPSG:4326", "transform": None}
    write(tmp_path / "x.tif", np.ones((2, 2), "uint8"), **place)
    picture = preview(tmp_path / "x.tif")
    assert not picture.is_georeferenced
    assert "Placed by 4 ground control points instead of a grid: warp it first to see it on Earth." in picture.notes


def test_the_moon_is_a_plane_and_said(tmp_path):
    moon = "+proj=eqc +lat_ts=0 +lon_0=0 +x_0=0 +y_0=0 +R=1737400 +units=m +no_defs"
    path = write(tmp_path / "moon.tif", np.arange(12, dtype="uint8").reshape(3, 4), crs=moon,
                 transform=Affine(1000, 0, 5000, 0, -1000, 9000))  # fmt: skip
    whole = preview(path)
    assert whole.bounds == ((0.0, 0.0), (3.0, 4.0))
    assert whole.notes[0].endswith("is of a body with a radius of 1,737 km: shown in a plane, not on Earth.")
    part = preview(path, area_bounds=((1, 1), (3, 2)), like=whole)
    assert part.bounds == ((1.0, 1.0), (3.0, 2.0))
    assert part.grid.values.tolist() == [[1], [5]]


@pytest.mark.parametrize("lost", [True, False])
def test_a_part_of_what_a_record_places(tmp_path, lost):
    """The file knows only its cells; the map is on Earth; a view of it finds the right ones."""
    array = np.arange(100, dtype="float32").reshape(10, 10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        path = write(tmp_path / "x.tif", array, **({"crs": None, "transform": None} if lost else {}))
    where = ("EPSG:31983", UTM["transform"])
    whole = preview(path, georeference=where)
    (south, west), (north, east) = whole.bounds
    view = (south + 0.55 * (north - south), west + 0.55 * (east - west)), (north, east)
    part = preview(path, area_bounds=view, like=whole, georeference=where)
    assert part.is_georeferenced
    middle = [(a + b) / 2 for a, b in zip(*part.bounds, strict=True)]
    assert part.value_at(*middle) == whole.value_at(*middle)
    assert part.grid.values[0, -1] == 9  # the upper right corner
    assert max(part.grid.values.shape) < 7


def test_areas_are_snapped_outwards_and_never_empty():
    transform = Affine(10, 0, 0, 0, -10, 100)
    crs = CRS.from_epsg(31983)
    assert window_of(Area(west=11, south=71, east=19, north=89), (10, 10), transform, crs) == (1, 1, 2, 1)
    assert window_of(Area(west=10, south=70, east=20, north=90), (10, 10), transform, crs) == (1, 1, 2, 1)
    assert window_of(Area(west=-999, south=-999, east=-900, north=-900), (10, 10), transform, crs) == (9, 0, 1, 1)
    with pytest.raises(SourceError, match="An area from 2, 0 to 1, 1 is none"):
        Area(west=2, south=0, east=1, north=1)
    assert area_of(((0, 0), (0, 1)), crs, Area(west=0, south=0, east=1, north=1)) is None
    with pytest.raises(SourceError, match="Nothing of the data lies in"):
        preview(np.eye(3), area_bounds=((5, 5), (6, 6)), like=preview(np.eye(3)))


# --- how it is read ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [{"tiled": True, "blockxsize": 16, "blockysize": 32}, {"blockysize": 1}, {"blockysize": 7},
     {"tiled": True, "blockxsize": 16, "blockysize": 16, "interleave": "pixel"}],
)  # fmt: skip
@pytest.mark.parametrize("overviews", [False, True])
def test_pieces_are_the_whole(tmp_path, monkeypatch, form, overviews):
    """However the picture is cut into jobs for two threads: each pixel is what one read of GDAL's gives."""
    from dissmodel_lab.maps import reading

    array = np.random.default_rng(0).random((2, 203, 157))
    path = write(tmp_path / "x.tif", array, compress="deflate", **form)
    if overviews:
        with rasterio.open(path, "r+") as dataset:
            dataset.build_overviews([2, 4], Resampling.nearest)
    window = window_of(Area(west=5, south=3, east=150, north=201, is_cells=True), (157, 203), None, None)
    with rasterio.open(path) as dataset:
        expected = dataset.read(2, window=((window.row, window.row + window.rows), (5, 150)), out_shape=(40, 29))
    monkeypatch.setattr(reading, "SMALL_BYTES", 0)
    monkeypatch.setattr(reading, "JOB_BYTES", 20_000)
    with rasterio.open(path) as dataset:
        jobs = jobs_of(dataset, [Wanted(2)], window, (40, 29))
        covered = np.zeros((40, 29), int)
        for job in jobs:
            covered[job.rows, job.columns] += 1
        assert covered.min() == covered.max() == 1
        assert len(jobs) > 2
        with reading.unhurried():  # many small pieces, on a machine that may be busy
            (found,) = read_nearest(str(path), dataset, [Wanted(2)], window, (40, 29))
    assert (found == expected).mean() > (0.99 if overviews else 0.9999)
    assert set(found.ravel().tolist()) <= set(array[1].ravel().tolist())


def test_reading_can_be_stopped(tmp_path):
    path = write(tmp_path / "x.tif", np.eye(50))
    with limited(is_stopped=lambda: True), pytest.raises(StoppedError, match="no longer wanted"):
        preview(path)
    assert preview(path).size[0] > 1


def test_a_giant_block_is_refused(tmp_path, monkeypatch):
    from dissmodel_lab.maps import reading

    path = write(tmp_path / "x.tif", np.eye(50))
    monkeypatch.setattr(reading, "MAX_BLOCK_BYTES", 100)
    with pytest.raises(
        SourceError, match=r"Write it anew with tiles, for example with: rio cogeo create FILE NEW\.tif"
    ):
        preview(path)


def test_averages_are_a_second_step_and_said(tmp_path):
    array = np.random.default_rng(0).random((400, 400)).astype("float32")
    layer = open_layer(write(tmp_path / "x.tif", array))
    first, second = layer.grid("band_1", 100), layer.refined("band_1", 100)
    assert (first.shown, second.shown) == ("1 of 16 pixels shown", "averages of 16 pixels")
    assert second.values[0, 0] == pytest.approx(array[:4, :4].mean())
    assert draw(second, 100).shown == "averages of 16 pixels"
    assert layer.refined("band_1", 400) is None
    classes = open_layer(write(tmp_path / "c.tif", (array * 5).astype("uint8")))
    assert classes.refined("band_1", 100) is None
    assert open_layer(array).refined("band_1", 100) is None


@pytest.mark.parametrize("resampling", ["nearest", "average"])
def test_untold_overviews_are_looked_at(tmp_path, resampling):
    """Nearest overviews that don't say so are found out; averaged ones are not used for classes."""
    array = np.random.default_rng(0).integers(1, 6, (400, 400), dtype="uint8")
    path = write(tmp_path / "x.tif", array, tiled=True, blockxsize=64, blockysize=64)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4], Resampling[resampling])
        dataset.update_tags(ns="rio_overview", resampling="")
    picture = preview(path, max_pixels=100)
    assert picture.shown == "1 of 16 pixels shown"
    assert set(np.unique(picture.grid.values).tolist()) <= set(range(1, 6))
    with rasterio.open(path) as dataset:
        quick = dataset.read(1, out_shape=(100, 100))
    assert (picture.grid.values.tolist() == quick.tolist()) == (resampling == "nearest")


# --- what is kept ------------------------------------------------------------------------------------------


def test_the_same_file_again_is_there_at_once(tmp_path):
    path = write(tmp_path / "x.tif", np.random.default_rng(0).random((600, 600)))
    time.sleep(SETTLED + 0.05)
    first = preview(path)
    assert preview(path) is first
    assert preview(path, max_pixels=64) is not first
    write(path, np.zeros((600, 600)))
    assert preview(path).legend.maximum == 0


def test_a_fresh_file_is_not_trusted_to_stay(tmp_path):
    path = write(tmp_path / "x.tif", np.zeros((5, 5), "uint8"))
    assert preview(path).legend.entries[0].value == 0
    write(path, np.ones((5, 5), "uint8"))
    assert preview(path).legend.entries[0].value == 1


def test_memory_is_bounded():
    memory = Memory(1000)
    memory.keep("large", 1, 251)
    assert memory.get("large") is None
    for number in range(20):
        memory.keep(number % 7, number, 200)
    assert memory.size <= 1000
    assert [memory.get(key) for key in (5, 0)] == [19, None]


# --- how many bytes ----------------------------------------------------------------------------------------


def test_noise_weighs_no_more_than_it_may():
    rng = np.random.default_rng(0)
    noise = preview(rng.random((1024, 1024)))
    assert len(noise.png) <= 500_000
    assert min(noise.size) > 650
    assert noise.shown == noise.notes[-1].partition(":")[0]
    assert noise.shown.startswith("1 of 2 pixels shown")
    assert noise.bounds == ((0, 0), (1024, 1024))
    classes = preview(rng.integers(1, 8, (1024, 1024), dtype="uint8"))
    assert len(classes.png) <= 180_000
    assert {e.value for e in classes.legend.entries} == set(range(1, 8))
    assert preview(np.zeros((1024, 1024))).size == (1024, 1024)


# --- arrays with dimensions --------------------------------------------------------------------------------


@pytest.fixture
def climate():
    xarray = pytest.importorskip("xarray")
    rng = np.random.default_rng(0)
    lat, lon = np.linspace(-5, -14, 10), np.linspace(-60, -49, 12)
    rain = rng.integers(0, 100, (3, 2, 10, 12)).astype("int16")
    rain[0, 0, 0, 0] = -99
    cover = rng.integers(1, 3, (10, 12)).astype("int8")
    return xarray.Dataset(
        {
            "rain": (("time", "level", "lat", "lon"), rain,
                     {"units": "mm", "scale_factor": 0.1, "_FillValue": np.int16(-99)}),
            "cover": (("lat", "lon"), cover, {"flag_values": np.int8([1, 2]), "flag_meanings": "forest sea"}),
            "station": (("time",), np.arange(3.0)),
        },
        coords={
            "lat": ("lat", lat, {"units": "degrees_north"}), "lon": ("lon", lon, {"units": "degrees_east"}),
            "time": ("time", np.array([0, 31, 59]), {"units": "days since 2020-01-01"}),
            "level": ("level", np.array([10.0, 20.0]), {"units": "m"}),
        },
    )  # fmt: skip


def saved(climate, tmp_path, kind):
    if kind == "netCDF":
        climate.to_netcdf(tmp_path / "x.nc", engine="scipy")
        return tmp_path / "x.nc"
    if kind == "netCDF 4":
        pytest.importorskip("h5py")  # looks for what leads into other files
        climate.to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
        return tmp_path / "x.nc"
    pytest.importorskip("zarr")
    climate.to_zarr(tmp_path / "x.zarr", zarr_format=2 if kind == "Zarr 2" else 3, consolidated=False)
    if kind != "Zarr zip":
        return tmp_path / "x.zarr"
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for file in (tmp_path / "x.zarr").rglob("*"):
            archive.write(file, file.relative_to(tmp_path / "x.zarr").as_posix())
    return tmp_path / "x.zip"


@pytest.mark.parametrize("kind", ["netCDF", "netCDF 4", "Zarr 2", "Zarr 3", "Zarr zip"])
def test_variables_are_parts_and_time_is_an_axis(climate, tmp_path, kind):
    path = saved(climate, tmp_path, kind)
    layer = open_dimensions(path)
    assert sorted(layer.parts) == ["cover", "rain"]
    layer = open_dimensions(path, part="rain")
    assert [(axis.name, axis.labels) for axis in layer.axes] == [
        ("time", ("2020-01-01", "2020-02-01", "2020-02-29")), ("level", ("10 m", "20 m")),
    ]  # fmt: skip
    first = preview(layer)
    assert first.is_georeferenced
    assert first.crs == "EPSG:4326"
    assert first.value_at(-5, -60) == "no data"
    assert first.value_at(-6, -60) == f"{climate.rain.values[0, 0, 1, 0] * 0.1:.6g} mm"
    assert "No CRS is named: longitude and latitude are taken as WGS 84 (EPSG:4326)." in first.notes
    later = preview(layer.at(time=2, level=1))
    assert later.value_at(-14, -49) == f"{climate.rain.values[2, 1, 9, 11] * 0.1:.6g} mm"
    assert "time: 2020-02-29." in later.notes
    part = preview(layer, area_bounds=((-14.4, -50.4), (-12.6, -48.6)), like=first)
    assert part.grid.source_size[0] < 5
    assert part.value_at(-14, -49) == preview(layer).value_at(-14, -49)
    cover = preview(open_dimensions(path, part="cover"))
    assert [e.text for e in cover.legend.entries] == ["forest (1)", "sea (2)"]
    with pytest.raises(SourceError, match="Axis 'time' has no position 3: it has 0 to 2"):
        layer.at(time=3)
    with pytest.raises(SourceError, match=r"has no variable 'rian' with rows and columns\. Did you mean 'rain'"):
        open_dimensions(path, part="rian")


def test_a_projected_variable_and_uneven_ones(tmp_path):
    xarray = pytest.importorskip("xarray")
    cells = xarray.Dataset(
        {
            "z": (("y", "x"), np.arange(20.0).reshape(4, 5), {"grid_mapping": "crs"}),
            "crs": ((), 0, CRS(31983).to_cf()),
        },
        coords={
            "y": ("y", 7400.0 - np.arange(4), {"units": "km"}),
            "x": ("x", 300.0 + np.arange(5), {"units": "km"}),
        },
    )
    cells.to_netcdf(tmp_path / "x.nc", engine="scipy")
    layer = open_dimensions(tmp_path / "x.nc")
    assert layer.extent == Area(west=299_500, south=7_396_500, east=304_500, north=7_400_500)
    assert preview(layer).crs == "EPSG:31983"
    cells.assign_coords(y=("y", np.array([0.0, 1, 5, 6]))).to_netcdf(tmp_path / "uneven.nc", engine="scipy")
    uneven = preview(open_dimensions(tmp_path / "uneven.nc"))
    assert not uneven.is_georeferenced
    assert "Cells are not evenly spaced along 'y'." in uneven.notes


def test_large_planes_are_read_in_pieces(tmp_path, monkeypatch):
    xarray = pytest.importorskip("xarray")
    from dissmodel_lab.maps import dimensions

    array = np.random.default_rng(0).random((300, 200))
    xarray.DataArray(array, dims=("y", "x"), name="z").to_netcdf(tmp_path / "x.nc", engine="scipy")
    layer = open_dimensions(tmp_path / "x.nc")
    whole = layer.grid("z", 40).values
    monkeypatch.setattr(dimensions, "PIECE", 3000)
    pictures.clear()
    assert layer.grid("z", 40).values.tolist() == whole.tolist() == preview(array, max_pixels=40).grid.values.tolist()
    pictures.clear()
    with limited(is_stopped=lambda: True), pytest.raises(StoppedError):
        layer.grid("z", 40)


def test_a_missing_package_is_named(climate, tmp_path, monkeypatch):
    path = saved(climate, tmp_path, "netCDF")
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(SourceError) as caught:
        open_dimensions(path, "x.nc")
    assert str(caught.value) == (
        "x.nc is netCDF, and xarray is not installed, which reads it. "
        "Install it with: pip install 'dissmodel_lab[arrays]'"
    )


@pytest.mark.parametrize("version", [2, 3])
def test_a_codec_that_runs_code_is_refused(climate, tmp_path, version):
    path = saved(climate, tmp_path, f"Zarr {version}")
    described = path / "rain" / (".zarray" if version == 2 else "zarr.json")
    content = json.loads(described.read_text())
    if version == 2:
        content["filters"] = [{"id": "pickle", "protocol": 5}]
    else:
        content["codecs"].append({"name": "numcodecs.pickle"})
    described.write_text(json.dumps(content))
    with pytest.raises(SourceError, match=r"needs the codec '(numcodecs\.)?pickle', which is not among those"):
        open_dimensions(path)


def test_broken_array_files_are_said(climate, tmp_path):
    path = saved(climate, tmp_path, "netCDF")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(SourceError, match="Is the file whole"):
        preview(open_dimensions(path))
    zarr = saved(climate, tmp_path, "Zarr 2")
    (zarr / "rain" / ".zarray").write_text("{")
    with pytest.raises(SourceError, match=r"rain/\.zarray is no JSON \(JSONDecodeError\)\. Is it whole"):
        open_dimensions(zarr)
