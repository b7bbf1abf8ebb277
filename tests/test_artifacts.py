"""Outputs arrive whole or not at all, and their content has a hash of its own."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from types import SimpleNamespace

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import CRS

from dissmodel_lab.artifacts import content_sha256, output_suffix, publish
from dissmodel_lab.errors import OutputError
from dissmodel_lab.rasters import Raster, quiet_georeference, write_raster
from dissmodel_lab.sources import file_sha256, folder_sha256

ARRAY = np.arange(2 * 600 * 7, dtype="float32").reshape(2, 600, 7)  # more rows than are hashed at once


def raster(**changes):
    facts = {
        "array": ARRAY.copy(),
        "bands": ("depth", "state"),
        "transform": Affine(30, 0, 500_000, 0, -30, 8_000_000),
        "crs": CRS(31983),
        "nodata": -1.0,
    }
    return Raster(**{**facts, **changes})


def hash_of(path, raster, **profile):
    """Write with rasterio itself, with any container options; return the content's hash."""
    height, width = raster.shape
    facts = {"driver": "GTiff", "count": len(raster.array), "height": height, "width": width,
             "dtype": raster.array.dtype, "nodata": raster.nodata, "crs": raster.crs and raster.crs.to_wkt(),
             "transform": raster.transform or Affine.identity(), **profile}  # fmt: skip
    with quiet_georeference(), rasterio.open(path, "w", **facts) as dataset:
        dataset.write(raster.array.astype(facts["dtype"]))
        for index, name in enumerate(raster.bands, start=1):
            dataset.set_band_description(index, name)
    return content_sha256(path)


@pytest.mark.parametrize(
    "profile",
    [
        {"compress": "deflate"},
        {"compress": "lzw", "predictor": 2},
        {"tiled": True, "blockxsize": 16, "blockysize": 16},
        {"interleave": "band"},
        {"BIGTIFF": "YES"},
        {"dtype": "float64"},
        {"dtype": "int32"},
        {"dtype": "uint16", "nodata": None, "minus": True},
    ],
    ids=str,
)
def test_another_container_has_the_same_content(workspace, profile):
    options = dict(profile)
    plain = raster(nodata=None) if options.pop("minus", False) else raster()
    first = hash_of("plain.tif", plain)
    assert hash_of("other.tif", plain, **options) == first
    assert file_sha256("plain.tif") != file_sha256("other.tif")


def test_tags_and_timestamps_are_no_content(workspace):
    write_raster(raster(), "a.tif")
    write_raster(raster(), "b.tif", TIFFTAG_DATETIME="2026:01:02 03:04:05", author="ana")
    assert file_sha256("a.tif") != file_sha256("b.tif")
    assert content_sha256("a.tif") == content_sha256("b.tif")


CHANGED = ARRAY.copy()
CHANGED[1, 599, 6] += 1
OTHERS = {
    "one cell": {"array": CHANGED},
    "band name": {"bands": ("depth", "class")},
    "band order": {"array": ARRAY[::-1].copy()},
    "crs": {"crs": CRS(31982)},
    "no crs": {"crs": None},
    "transform": {"transform": Affine(30, 0, 500_000, 0, -30, 8_000_030)},
    "nodata": {"nodata": -2.0},
    "no nodata": {"nodata": None},
    "shape": {"array": ARRAY.reshape(2, 700, 6)},
    "one band": {"array": ARRAY[:1].copy(), "bands": ("depth",)},
}


def test_other_content_has_another_hash(workspace):
    hashes = {"as it is": hash_of("plain.tif", raster())}
    for name, changes in OTHERS.items():
        hashes[name] = hash_of(f"{name}.tif", raster(**changes))
    assert len(set(hashes.values())) == len(OTHERS) + 1, hashes


def test_nan_is_nan_and_zero_is_zero(workspace):
    payload = np.array([0x7FC00000, 0x7FC00001, 0xFFC00000], dtype="uint32").view("float32")
    first = np.array([[[np.nan, np.nan, np.nan, 0.0]]], dtype="float32")
    second = np.append(payload, np.float32(-0.0)).reshape(1, 1, 4)
    assert hash_of("a.tif", Raster(array=first)) == hash_of("b.tif", Raster(array=second))


def test_integers_of_64_bits_are_exact(workspace):
    near = np.array([[[2**53, 2**53 + 1]]], dtype="int64")
    same = np.array([[[2**53, 2**53]]], dtype="int64")
    assert hash_of("a.tif", Raster(array=near)) != hash_of("b.tif", Raster(array=same))


def frame(**changes):
    columns = {"count": [1, 2, 3], "share": [0.5, np.nan, 1.5], "name": ["a", None, "ç"], "wet": [True, False, True]}
    shapes = [shapely.box(0, 0, 1, 1), shapely.Point(0.5, 0.25), shapely.LineString([(0, 0), (2, 2)])]
    facts = {"data": columns, "geometry": shapes, "crs": 4326, **changes}
    return geopandas.GeoDataFrame(**facts)


def vector_hash(path, data, **options):
    data.to_file(path, **options)
    return content_sha256(path)


def test_a_vector_in_another_container_has_the_same_content(workspace):
    first = vector_hash("a.gpkg", frame())
    assert vector_hash("b.gpkg", frame(), layer="another_name") == first
    assert vector_hash("c.geojson", frame()) == first


def test_a_geopackage_of_another_moment_has_the_same_content(workspace, monkeypatch):
    monkeypatch.setenv("OGR_CURRENT_DATE", "2000-01-01T00:00:00.000Z")
    first = vector_hash("a.gpkg", frame())
    monkeypatch.setenv("OGR_CURRENT_DATE", "2020-01-01T00:00:00.000Z")
    assert vector_hash("b.gpkg", frame()) == first
    assert file_sha256("a.gpkg") != file_sha256("b.gpkg")


MOVED = [shapely.box(0, 0, 1, 1), shapely.Point(0.5, 0.26), shapely.LineString([(0, 0), (2, 2)])]


def test_another_vector_has_another_hash(workspace):
    hashes = {
        "as it is": vector_hash("0.gpkg", frame()),
        "value": vector_hash("1.gpkg", frame().assign(count=[1, 2, 4])),
        "text": vector_hash("2.gpkg", frame().assign(name=["a", None, "c"])),
        "column name": vector_hash("3.gpkg", frame().rename(columns={"count": "number"})),
        "column order": vector_hash("4.gpkg", frame()[["share", "count", "name", "wet", "geometry"]]),
        "row order": vector_hash("5.gpkg", frame().iloc[::-1]),
        "geometry": vector_hash("6.gpkg", frame(geometry=MOVED)),
        "crs": vector_hash("7.gpkg", frame(crs=4674)),
        "a row less": vector_hash("8.gpkg", frame().iloc[:2]),
    }
    assert len(set(hashes.values())) == len(hashes), hashes


def test_large_whole_numbers_are_exact(workspace):
    near = frame().assign(count=[2**53, 2**53 + 1, 0])
    same = frame().assign(count=[2**53, 2**53, 0])
    assert vector_hash("a.gpkg", near) != vector_hash("b.gpkg", same)


def test_every_layer_counts(workspace):
    for name, second in (("a", [1, 2, 3]), ("b", [1, 2, 4]), ("c", [1, 2, 3])):
        frame().to_file(f"{name}.gpkg", layer="cells")
        frame().assign(count=second).to_file(f"{name}.gpkg", layer="roads")
    assert content_sha256("a.gpkg") == content_sha256("c.gpkg") != content_sha256("b.gpkg")


def test_an_empty_vector_has_a_hash(workspace):
    empty = frame().iloc[:0]
    assert vector_hash("a.gpkg", empty) == vector_hash("b.gpkg", empty, layer="x")


def test_other_files_have_no_content_hash(workspace):
    Path("report.html").write_text("x")
    assert content_sha256("report.html") is None


def test_a_folders_content_is_its_files(workspace):
    Path("out").mkdir()
    Path("out/a.txt").write_text("x")
    assert content_sha256("out") == folder_sha256(Path("out"))


def test_a_file_that_is_not_what_it_says(workspace):
    Path("text.tif").write_text("no raster")
    with pytest.raises(rasterio.errors.RasterioIOError, match=r"text\.tif"):
        content_sha256("text.tif")


@pytest.mark.parametrize(
    ("result", "suffix"),
    [
        (raster(), ".tif"),
        (ARRAY, ".tif"),
        ((ARRAY, {}), ".tif"),
        (frame(), ".gpkg"),
        ({"report": "x"}, ""),
        ("text", ".txt"),
        (b"bytes", ".bin"),
        (5, ""),
        (None, ""),
    ],
    ids=lambda value: type(value).__name__,
)
def test_output_suffix(result, suffix):
    assert output_suffix(result, object) == suffix


def test_output_suffix_of_dissmodels_own_raster():
    backend = type("RasterBackend", (), {"__module__": "dissmodel.geo.raster.backend", "arrays": {}})
    assert output_suffix(backend(), object) == ".tif"


def test_an_executor_may_name_its_suffix():
    assert output_suffix(5, type("E", (), {"output_suffix": ".csv"})) == ".csv"


@pytest.fixture(params=["same disk", "another disk"])
def disk(request, monkeypatch):
    """Publish on one disk and across two."""
    if request.param == "another disk":

        def refuse(*args, **kwargs):
            raise OSError(errno.EXDEV, "Invalid cross-device link")

        rename = Path.rename

        def rename_inside(self, target):
            if self.parent != Path(target).parent:
                refuse()
            return rename(self, target)

        monkeypatch.setattr(os, "link", refuse)
        monkeypatch.setattr(Path, "rename", rename_inside)
    Path("partial").mkdir()
    Path("out").mkdir()
    return SimpleNamespace(staged=Path("partial/x.tif"), target=Path("out/deep/y.tif"))


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def left_over(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_moved_and_readable(workspace, disk, umask):
    disk.staged.write_bytes(b"whole")
    disk.staged.chmod(0o600)
    publish(disk.staged, disk.target)
    assert disk.target.read_bytes() == b"whole"
    assert stat.S_IMODE(disk.target.stat().st_mode) == 0o644
    assert left_over(disk.target.parent) == ["y.tif"]
    assert left_over(disk.staged.parent) == []


def test_a_folder_is_moved_and_readable(workspace, disk, umask):
    (disk.staged / "plots").mkdir(parents=True)
    (disk.staged / "plots" / "a.png").write_bytes(b"png")
    (disk.staged / "plots" / "a.png").chmod(0o600)
    disk.staged.chmod(0o700)
    publish(disk.staged, disk.target)
    assert (disk.target / "plots" / "a.png").read_bytes() == b"png"
    assert stat.S_IMODE((disk.target / "plots" / "a.png").stat().st_mode) == 0o644
    assert stat.S_IMODE(disk.target.stat().st_mode) == 0o755
    assert left_over(disk.target.parent) == ["y.tif"]
    assert left_over(disk.staged.parent) == []


def test_the_umask_is_left_as_it_was(workspace, disk):
    before = os.umask(0o027)
    try:
        disk.staged.write_bytes(b"x")
        publish(disk.staged, disk.target)
        assert stat.S_IMODE(disk.target.stat().st_mode) & 0o007 == 0
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


@pytest.mark.parametrize("is_folder", [False, True])
@pytest.mark.parametrize("existing", ["file", "folder"])
def test_nothing_is_ever_replaced(workspace, disk, is_folder, existing):
    if is_folder:
        disk.staged.mkdir()
        (disk.staged / "new").write_bytes(b"new")
    else:
        disk.staged.write_bytes(b"new")
    disk.target.parent.mkdir(parents=True)
    if existing == "folder":
        disk.target.mkdir()
        (disk.target / "old").write_bytes(b"old")
    else:
        disk.target.write_bytes(b"old")
    with pytest.raises(OutputError) as raised:
        publish(disk.staged, disk.target)
    assert str(raised.value) == (
        "The output 'out/deep/y.tif' exists and is never replaced; the result of this run is kept in "
        "'partial/x.tif'. Choose another --output."
    )
    kept = disk.target / "old" if existing == "folder" else disk.target
    assert kept.read_bytes() == b"old"
    assert (disk.staged / "new" if is_folder else disk.staged).read_bytes() == b"new"
    assert left_over(disk.target.parent) == ["y.tif"]


def test_a_full_disk_keeps_the_result_and_leaves_no_part(workspace, disk, monkeypatch):
    import shutil

    def full(source, target, **kwargs):
        Path(target).write_bytes(b"par")
        raise OSError(errno.ENOSPC, "No space left on device")

    def refuse(*args, **kwargs):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(shutil, "copyfile", full)
    disk.staged.write_bytes(b"whole")
    with pytest.raises(OutputError) as raised:
        publish(disk.staged, disk.target)
    assert str(raised.value) == (
        "The output 'out/deep/y.tif' cannot be written: No space left on device. "
        "The result of this run is kept in 'partial/x.tif'."
    )
    assert disk.staged.read_bytes() == b"whole"
    assert left_over(disk.target.parent) == []


def test_a_folder_that_cannot_be_copied_leaves_no_part(workspace, disk, monkeypatch):
    import shutil

    def full(source, target, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    def refuse(*args, **kwargs):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(shutil, "copy2", full)
    disk.staged.mkdir()
    (disk.staged / "a").write_bytes(b"whole")
    monkeypatch.setattr(shutil, "copytree", lambda source, target: (Path(target).mkdir(), full(source, target)))
    with pytest.raises(OutputError, match="No space left on device"):
        publish(disk.staged, disk.target)
    assert (disk.staged / "a").read_bytes() == b"whole"
    assert left_over(disk.target.parent) == []


def test_an_output_folder_that_is_a_file(workspace):
    Path("out").write_text("a file")
    Path("x.tif").write_text("x")
    with pytest.raises(OutputError) as raised:
        publish(Path("x.tif"), Path("out/x.tif"))
    assert "The output 'out/x.tif' " in str(raised.value)
    assert Path("x.tif").read_text() == "x"
