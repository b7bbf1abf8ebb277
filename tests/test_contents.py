"""What a file means has one hash, whatever its container; and anybody can compute it."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import CRS

from dissmodel_lab.contents import content_sha256, crs_key, crs_text, has_content
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


def independent_raster_hash(array, *, bands, crs, transform, nodata):
    """The definition once more, with numpy, struct and json alone, from the array that was written."""
    header = {
        "bands": bands,
        "crs": crs,
        "kind": "raster",
        "nodata": nodata,
        "shape": list(array.shape),
        "transform": transform,
    }
    digest = hashlib.sha256(json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())
    for cell in array.ravel():
        number = float(cell)
        digest.update(b"\0\0\0\0\0\0\xf8\x7f" if np.isnan(number) else struct.pack("<d", number + 0.0))
    return digest.hexdigest()


def test_anybody_can_compute_a_rasters_hash(workspace):
    array = np.array([[[1.5, np.nan, -0.0], [3, 4, 5]], [[0, 1, 2], [7, -8, 1e-7]]], dtype="float32")
    facts = {"bands": ("profundeza_á", "state"), "nodata": -9999.0, "crs": CRS(31983), "array": array}
    found = hash_of("a.tif", raster(**facts), compress="deflate", tiled=True, blockxsize=16, blockysize=16)
    assert found == independent_raster_hash(
        array,
        bands=["profundeza_á", "state"],
        crs="EPSG:31983",
        transform=[30.0, 0.0, 500000.0, 0.0, -30.0, 8000000.0],
        nodata="-9999.0",
    )


def test_anybody_can_compute_a_vectors_hash(workspace):
    frame().to_file("a.gpkg")
    box = struct.pack("<BIII10d", 1, 3, 1, 5, 1, 0, 1, 1, 0, 1, 0, 0, 1, 0)
    point = struct.pack("<BI2d", 1, 1, 0.5, 0.25)
    line = struct.pack("<BII4d", 1, 2, 2, 0, 0, 2, 2)
    header = '{"columns":["count","share","name","wet"],"crs":"EPSG:4326","kind":"vector","layer":null,"rows":3}'
    digest = hashlib.sha256(header.encode())
    for shape in (box, point, line):
        digest.update(struct.pack("<Q", len(shape)) + shape)
    digest.update(struct.pack("<3d", 1, 2, 3))
    digest.update(struct.pack("<d", 0.5) + b"\0\0\0\0\0\0\xf8\x7f" + struct.pack("<d", 1.5))
    digest.update('["a", null, "ç"]'.encode())
    digest.update(struct.pack("<3d", 1, 0, 1))
    assert content_sha256("a.gpkg") == digest.hexdigest()


def test_anybody_can_compute_a_folders_hash(workspace):
    Path("out/b").mkdir(parents=True)
    write_raster(raster(), "out/b/map.tif")
    Path("out/a.txt").write_text("x")
    lines = f"{hashlib.sha256(b'x').hexdigest()}  a.txt\n{content_sha256('out/b/map.tif')}  b/map.tif\n"
    assert content_sha256("out") == hashlib.sha256(lines.encode()).hexdigest()
    assert has_content("out", folder_sha256(Path("out")))  # as definition 1 had it


def test_a_folder_of_another_moment_has_the_same_content(workspace, monkeypatch):
    for folder, moment in (("a", "2000"), ("b", "2020")):
        Path(folder).mkdir()
        monkeypatch.setenv("OGR_CURRENT_DATE", f"{moment}-01-01T00:00:00.000Z")
        frame().to_file(f"{folder}/cells.gpkg")
        frame().iloc[:1].to_file(f"{folder}/cell.shp")
        Path(f"{folder}/cells.gpkg.aux.xml").write_text(moment)
    table = bytearray(Path("b/cell.dbf").read_bytes())
    table[1:4] = bytes([99, 1, 1])  # the day of its last change, as dBase keeps it
    Path("b/cell.dbf").write_bytes(table)
    assert folder_sha256(Path("a")) != folder_sha256(Path("b"))
    assert content_sha256("a") == content_sha256("b")


#: Computed by the first version of this package: old records hold such hashes.
OLD_RASTER = "a2b0ecbe86f3f049d0ef00247c8135202f6fbb4190c1aa24b53bd593815d20ec"
OLD_VECTOR = "b4b94f511002683f84572d2c3d4691a0a6d7a16a0331ec36d6efd091cf806c63"


def test_hashes_in_old_records_stay_valid(workspace):
    assert hash_of("a.tif", raster()) == OLD_RASTER
    assert vector_hash("a.gpkg", frame()) == OLD_VECTOR
    hash_of("b.tif", raster(crs=CRS(CUSTOM)))
    assert has_content("b.tif", content_sha256("b.tif", definition=1))
    assert not has_content("b.tif", OLD_RASTER)


CUSTOM = "+proj=laea +lat_0=-12.5 +lon_0=-54 +ellps=GRS80 +units=m"


def test_a_crs_without_a_code_is_its_numbers(workspace):
    assert crs_key(CUSTOM) == {
        "axes": [["east", 1.0], ["north", 1.0]],
        "base": {"datum": "", "ellipsoid": [6378137.0, 298.257222101], "prime": 0.0},
        "projection": [
            "EPSG:9820",
            ["EPSG:8801", -0.218166156499],
            ["EPSG:8802", -0.942477796077],
            ["EPSG:8806", 0.0],
            ["EPSG:8807", 0.0],
        ],
    }
    assert crs_text(CUSTOM).startswith('PROJCRS["unknown"')


@pytest.mark.parametrize(
    "crs",
    [
        CUSTOM,
        "+proj=laea +lat_0=-12.5 +lon_0=-54 +datum=WGS84 +units=us-ft",
        "+proj=longlat +a=6371000 +b=6371000",
        "+proj=tmerc +lon_0=-45.5 +ellps=aust_SA +towgs84=-67.35,3.88,-38.22,0,0,0,0",
        "OGC:CRS84",
        "ESRI:102033",
    ],
)
def test_a_crs_survives_every_container(workspace, crs):
    """GDAL names it anew in each, swaps axes, and rounds 1/f to 298.257222101004."""
    found = {json.dumps(crs_key(crs), sort_keys=True)}
    hash_of("a.tif", raster(crs=CRS(crs)))
    with rasterio.open("a.tif") as dataset:
        found.add(json.dumps(crs_key(dataset.crs.to_wkt()), sort_keys=True))
    for name in ("a.gpkg", "a.shp", "a.fgb"):
        geopandas.GeoDataFrame({"a": [1]}, geometry=[shapely.Point(0, 0)], crs=crs).to_file(name)
        found.add(json.dumps(crs_key(geopandas.read_file(name).crs.to_wkt()), sort_keys=True))
    assert len(found) == 1, found


def test_another_crs_without_a_code_has_another_hash(workspace):
    others = [CUSTOM, CUSTOM.replace("-54", "-55"), CUSTOM.replace("GRS80", "WGS84"), CUSTOM.replace("=m", "=us-ft")]
    hashes = {hash_of(f"{i}.tif", raster(crs=CRS(crs))) for i, crs in enumerate(others)}
    assert len(hashes) == len(others)


def test_the_width_of_integers_is_no_content(workspace):
    counts = np.arange(12).reshape(1, 3, 4)
    hashes = {
        hash_of(f"{kind}.tif", Raster(array=counts.astype(kind))) for kind in ("uint8", "int64", "uint64", "f4")
    }
    assert len(hashes) == 1


def test_complex_cells_are_pairs(workspace):
    cells = np.arange(600 * 2).reshape(1, 600, 2) * (1 + 2j)
    found = hash_of("a.tif", Raster(array=cells.astype("complex64")))
    assert found == hash_of("b.tif", Raster(array=cells.astype("complex128")))
    header = (
        '{"bands":["band_1"],"crs":null,"kind":"raster","nodata":null,"shape":[1,600,2],'
        '"transform":[1.0,0.0,0.0,0.0,1.0,0.0]}'
    )
    pairs = b"".join(struct.pack("<dd", cell.real, cell.imag) for cell in cells.ravel())
    assert found == hashlib.sha256(header.encode() + pairs).hexdigest()


def test_scale_and_offset_are_content(workspace):
    plain = hash_of("a.tif", raster())
    hash_of("b.tif", raster())
    with rasterio.open("b.tif", "r+") as dataset:
        dataset.scales = (0.1, 1.0)
    assert content_sha256("b.tif") != plain
    assert content_sha256("b.tif", definition=1) == plain


def test_nodata_is_that_of_the_cells(workspace):
    """Some builds of GDAL tell 0.1 as it stands in the file, some as 32 bits hold it."""
    narrow = np.full((1, 2, 2), 0.1, "float32")
    found = hash_of("a.tif", Raster(array=narrow, nodata=0.1))
    assert found == hash_of("b.tif", Raster(array=narrow, nodata=float(np.float32(0.1))))


def test_moments_are_the_same_in_every_container(workspace):
    when = pd.to_datetime(["2020-01-01 10:00:00.5", None, "2021-01-01 00:00:00.0"])
    there = pd.to_datetime(["2020-01-01 10:00", None, "2021-01-01 00:00"]).tz_localize("America/Sao_Paulo")
    days = pd.to_datetime(["2020-01-01", None, "2021-01-01"])
    data = frame().assign(when=when, there=there, day=[None if pd.isna(day) else day.date() for day in days])
    utc = data.assign(there=there.tz_convert("UTC"))  # the only one that a GeoPackage has room for
    first = vector_hash("a.gpkg", utc)
    assert vector_hash("b.geojson", data) == vector_hash("c.geojson", utc) == first
    assert vector_hash("d.geojson", data.assign(there=there + pd.Timedelta(seconds=1))) != first


def test_missing_shapes_and_three_dimensions(workspace):
    shapes = [shapely.Point(1, 2, 3), None, shapely.Point(1, 2, 3)]
    first = vector_hash("a.gpkg", frame(geometry=shapes))
    assert vector_hash("b.fgb", frame(geometry=shapes), SPATIAL_INDEX="NO") == first
    assert vector_hash("c.gpkg", frame(geometry=[shapely.Point(1, 2, 4), *shapes[1:]])) != first


def test_a_broken_map_in_a_folder_is_a_file_like_any_other(workspace):
    Path("out").mkdir()
    Path("out/a.tif").write_text("no raster")
    assert content_sha256("out") == folder_sha256(Path("out"))
