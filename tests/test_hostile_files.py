"""Files made to harm: nothing is read or fetched that nobody named, nothing crashes or hangs, and it is said why."""

# ruff: noqa: E501, ISC004, PT031 -- tables of inputs and whole messages read better in one line

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import zipfile

import geopandas
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely

from dissmodel_lab.errors import SourceError
from dissmodel_lab.executor import DataSource
from dissmodel_lab.maps import open_layer, preview
from dissmodel_lab.preflight.datasets import look_at
from dissmodel_lab.rasters import Raster, write_raster
from dissmodel_lab.sources.guards import archives, quarantine, shapes

pytestmark = pytest.mark.usefixtures("_here")
SQUARES = geopandas.GeoDataFrame(
    {"age": [1, 2]}, geometry=[shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)], crs=4326
)
VRT = """<VRTDataset rasterXSize="2" rasterYSize="2"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>
<SourceFilename relativeToVRT="0">{}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"""


@pytest.fixture
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def host():
    """A host that nobody named: its address, and what came in."""
    calls: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen():
            while True:
                try:
                    call, _ = server.accept()
                except OSError:
                    return
                with call:
                    calls.append(call.recv(100))

        threading.Thread(target=listen, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/x.tif", calls


def tiff(path, array=None, **tags):
    array = np.arange(64, dtype="uint8").reshape(1, 8, 8) if array is None else array
    write_raster(Raster(array=array), path, **tags)


def refusal(path, part=None):
    with pytest.raises(SourceError) as raised:
        open_layer(path, part)
    return str(raised.value)


# --- nothing is fetched that nobody named ------------------------------------------------------------------


def test_a_tiff_that_names_a_host_as_its_overview(host):
    """GDAL asks that host when it reads: it does so in this test, and not in ours."""
    address, calls = host
    tiff("a.tif")
    with rasterio.open("a.tif", "r+") as dataset:
        dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=f"/vsicurl/{address}")
    assert refusal("a.tif") == (
        f"a.tif names another file to be read in its place, /vsicurl/{address}, which nobody asked for. "
        f"Have it written "
        "anew where it was made: gdal_translate -nomd FILE NEW.tif."
    )
    assert [finding.rule for finding in look_at(_path("a.tif"), "a.tif").findings] == ["unreadable"]
    assert calls == []
    with rasterio.open("a.tif") as dataset:
        dataset.read(1, out_shape=(2, 2))
    assert calls


@pytest.mark.parametrize(
    "crs",
    [
        {"type": "link", "properties": {"href": "ADDRESS", "type": "proj4"}},
        {"type": "url", "properties": {"url": "ADDRESS"}},
        {"properties": {"type": "name", "href": "ADDRESS"}, "type": "link"},
    ],
)
@pytest.mark.parametrize("written", ['"crs"', '"\\u0063r\\u0073"', '"crs" '])
def test_a_geojson_whose_crs_is_a_link(host, crs, written):
    address, calls = host
    text = json.dumps({"type": "FeatureCollection", "features": [], "crs": crs}).replace("ADDRESS", address)
    _path("a.geojson").write_text(text.replace('"crs"', written))
    assert re.fullmatch(
        r"a\.geojson names its CRS by a link \(.{20,120}\), which is not followed\. Write it as a name: "
        r'"crs": \{"type": "name", "properties": \{"name": "EPSG:31983"\}\}\.',
        refusal("a.geojson"),
    )
    assert [finding.rule for finding in look_at(_path("a.geojson"), "a.geojson").findings] == ["unreadable"]
    assert calls == []
    pyogrio.read_info("GeoJSON:a.geojson")
    assert calls


def test_a_geojson_may_name_its_crs_and_speak_of_crs():
    feature = {
        "type": "Feature",
        "properties": {"crs": "link", "type": "link"},
        "geometry": SQUARES.geometry[0].__geo_interface__,
    }
    crs = {"type": "name", "properties": {"name": "EPSG:31983"}}
    _path("a.geojson").write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": [feature]}))
    assert open_layer("a.geojson").crs.to_epsg() == 31983


def test_a_geojson_with_a_list_of_other_files_in_it(host):
    address, calls = host
    inner = (
        f"<OGRVRTDataSource><OGRVRTLayer "
        f"name='x'><SrcDataSource>/vsicurl/{address}</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>"
    )
    _path("a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [], "a": inner}))
    # GDAL on its own takes it for the list, and asks the host
    peek = "import pyogrio, sys; pyogrio.read_info('a.geojson')"
    subprocess.run([sys.executable, "-c", peek], capture_output=True, timeout=60)
    assert calls
    calls.clear()
    with contextlib.suppress(SourceError):
        open_layer("a.geojson")
    assert calls == []


@pytest.mark.parametrize("content", ["<OGRVRTDataSource><SrcDataSource>{}</SrcDataSource></OGRVRTDataSource>", VRT])
@pytest.mark.parametrize("name", ["a.vrt", "a.tif", "a.shp", "a.gpkg", "a.geojson"])
def test_virtual_datasets_under_any_name(host, content, name):
    address, calls = host
    _path(name).write_text(content.format(f"/vsicurl/{address}"))
    assert refusal(name) == (
        f"{name} is a virtual dataset (VRT), which names other files. It is not opened here. Write what it "
        f"shows into a "
        "file of its own: gdal_translate FILE NEW.tif, or ogr2ogr NEW.gpkg FILE."
    )
    assert calls == []


# --- nothing is read that nobody named ---------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".ovr", ".msk", ".ovr.ovr", ".OVR"])
def test_overviews_and_masks_that_are_lists(ending):
    tiff("secret.tif")
    tiff("a.tif")
    _path(f"a.tif{ending}").write_text(VRT.format(_path("secret.tif").absolute()))
    assert refusal("a.tif") == (
        f"a.tif has a file of overviews or a mask beside it, a.tif{ending}, that is no TIFF and may name "
        f"other files. "
        "Move it away, or build overviews anew: gdaladdo FILE."
    )
    assert "mask beside it" in look_at(_path("a.tif"), "a.tif").findings[0].what


@pytest.mark.parametrize("key", ["OVERVIEW_FILE", "&#79;VERVIEW_FILE", "&#x4f;verview_file"])
def test_a_description_that_names_another_file(key):
    tiff("a.tif")
    _path("a.tif.aux.xml").write_text(
        f'<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="{key}">/secret.ovr</MDI></Metadata></PAMDataset>'
    )
    assert refusal("a.tif") == (
        "a.tif has a description beside it, a.tif.aux.xml, that names another file to be read in its place. "
        "Move it away."
    )


def test_a_harmless_description_is_no_reason():
    tiff("a.tif")
    _path("a.tif.aux.xml").write_text("<PAMDataset><Metadata><MDI key='AREA'>x</MDI></Metadata></PAMDataset>")
    with rasterio.open("a.tif", "r+") as dataset:
        dataset.build_overviews([2])
    assert preview("a.tif", max_pixels=4).size == (4, 4)


@pytest.mark.parametrize("uri", ["/vsicurl/http://127.0.0.1:9/a.tif", "/vsizip/a.zip/a.tif", "/vsistdin/"])
def test_names_of_virtual_files(uri):
    assert (
        refusal(uri) == f"{uri} is a name of GDAL's virtual files, not a local file. Name the file or address itself."
    )


@pytest.mark.parametrize("uri", ["ftp://host/a.tif", "WFS:http://host", "gs://b/a.tif"])
def test_other_addresses(uri):
    assert refusal(uri) == (
        f"{uri} is not a local file (local). Fetch it first, then show the fetched file; only a GeoTIFF at s3://, "
        "http://, https:// is shown where it lies."
    )


def test_a_pipe_is_not_waited_for():
    os.mkfifo("a.tif")
    assert refusal("a.tif") == "a.tif is a device, a pipe or a socket, not a map. Name a file or a folder."
    assert refusal("/dev/zero").startswith("/dev/zero is a device")


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"<!DOCTYPE html><html>login</html>", "a web page (HTML), such as a server's login or error page"),
        (b"<GDAL_WMS><Service name='WMS'><ServerUrl>http://h</ServerUrl></Service></GDAL_WMS>", "a description of a service or of other files"),
        (b"<kml><NetworkLink><href>http://h</href></NetworkLink></kml>", "KML or GML (XML that may name other files and hosts)"),
        (b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>", "XML, which may name other files and hosts"),
        (b'{"stac_version": "1.0.0", "type": "Collection"}', "a catalogue (STAC), which names other files"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer, and not the file itself"),
        (b"\x1f\x8b\x08\0", "a packed file"),
        (b"EHFA_HEADER_TAG\0", "an ERDAS Imagine file, which may name other files"),
        (b"!table\n!version 300\n", "a MapInfo file, which may name other files"),
        (b"%PDF-1.7", "a PDF"),
    ],
)  # fmt: skip
def test_what_is_known_and_not_opened(head, said):
    _path("a.tif").write_bytes(head)
    assert refusal("a.tif").startswith(f"a.tif is {said}. It is not opened here. ")


@pytest.mark.parametrize(
    "content", [b"\0", b"age;x\n1;2\n", b"ENVI", b"\x80" + b"\x01" * 99], ids=["zero", "csv", "envi", "noise"]
)
def test_what_is_not_known(content):
    _path("a.dat").write_bytes(content)
    assert refusal("a.dat") == (
        "a.dat is not a map that can be read. Known by their content are: GeoTIFF, PNG, JPEG, ESRI "
        "ASCII grid and "
        "ENVI rasters; GeoPackage, shapefile, GeoJSON, FlatGeobuf and GeoParquet; netCDF, HDF5 and Zarr; a "
        "zip with one "
        "of the first nine. Convert it to one of them."
    )


# --- databases that run programs ---------------------------------------------------------------------------


def geopackage(*statements):
    SQUARES.to_file("a.gpkg", layer="cells", driver="GPKG")
    connection = sqlite3.connect("a.gpkg")
    connection.execute("PRAGMA writable_schema = ON")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


ENDLESS = (
    "CREATE VIEW endless AS WITH RECURSIVE c(fid) AS (SELECT 1 UNION ALL SELECT fid + 1 FROM c) "
    "SELECT fid, NULL AS geom FROM c"
)
REGISTERED = (
    "INSERT INTO gpkg_contents (table_name, data_type, identifier, srs_id) VALUES ('endless', 'features', "
    "'endless', 4326)",
    "INSERT INTO gpkg_geometry_columns VALUES ('endless', 'geom', 'POLYGON', 4326, 0, 0)",
)


def test_a_view_is_not_run():
    """Counting its rows would take for ever."""
    geopackage(ENDLESS, *REGISTERED)
    assert preview("a.gpkg", max_pixels=8).band == "age"
    assert refusal("a.gpkg", "endless") == (
        "a.gpkg has no table endless; views aren't read, because reading one runs its query. Known: cells."
    )
    assert refusal("a.gpkg", "cels").endswith("Did you mean 'cells'? Known: cells.")


def test_a_view_instead_of_a_table():
    geopackage(
        "ALTER TABLE gpkg_ogr_contents RENAME TO other", "CREATE VIEW gpkg_ogr_contents AS SELECT * FROM other"
    )
    assert refusal("a.gpkg") == (
        "a.gpkg has a view gpkg_ogr_contents where a GeoPackage has a table: reading it runs its query. "
        "Convert it where it was made: ogr2ogr NEW.gpkg FILE."
    )


def test_a_virtual_table():
    geopackage(
        "INSERT INTO sqlite_master VALUES ('table', 'spy', 'spy', 0, 'CREATE VIRTUAL TABLE spy USING "
        "VirtualOGR(''/etc/passwd'')')"
    )
    assert refusal("a.gpkg") == (
        "a.gpkg has a virtual table spy, which is a program and may read other files. Convert it where it was made: "
        "ogr2ogr NEW.gpkg FILE."
    )


def test_a_computed_column():
    geopackage("ALTER TABLE cells ADD COLUMN big GENERATED ALWAYS AS (hex(zeroblob(1000000000))) VIRTUAL")
    assert refusal("a.gpkg") == (
        "a.gpkg: the layer cells has computed columns: reading them runs a program. Write it anew: ogr2ogr "
        "NEW.gpkg FILE."
    )


def test_a_database_that_is_no_geopackage():
    sqlite3.connect("a.gpkg").execute("CREATE TABLE a (b)").connection.commit()
    assert refusal("a.gpkg") == "a.gpkg is an SQLite database, but no GeoPackage. Convert it: ogr2ogr NEW.gpkg FILE."


# --- lying headers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "rows"), [("2147483647", "2147483647"), ("1e300", "1e300"), ("-3", "5"), ("nan", "2")]
)
def test_an_ascii_grid_that_is_said_to_be_huge(columns, rows):
    _path("a.asc").write_text(f"ncols {columns}\nnrows {rows}\nxllcorner 0\nyllcorner 0\ncellsize 1\n1 2\n")
    assert re.fullmatch(
        r"a\.asc is said to have .* x .* cells, which its \d+ bytes can't hold\. It is damaged or cut off: "
        r"get it again\.",
        refusal("a.asc"),
    )


def test_a_tiff_of_two_thousand_million_columns():
    """A few hundred bytes that claim 2**31 x 2**31 cells."""
    tiff("a.tif")
    content = bytearray(_path("a.tif").read_bytes())
    start = int.from_bytes(content[4:8], "little")
    for entry in range(start + 2, start + 2 + 12 * int.from_bytes(content[start : start + 2], "little"), 12):
        if int.from_bytes(content[entry : entry + 2], "little") in {256, 257, 278}:  # width, length, rows per strip
            content[entry + 2 : entry + 4] = (4).to_bytes(2, "little")
            content[entry + 8 : entry + 12] = (2**31 - 1).to_bytes(4, "little")
    _path("a.tif").write_bytes(content)
    with pytest.raises(SourceError, match=r"a\.tif") as raised:
        preview("a.tif", max_pixels=8)
    assert len(str(raised.value).split()) > 8


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("ending", [".tif", ".shp", ".gpkg", ".fgb", ".png"])
def test_half_a_file(ending):
    if ending in {".tif", ".png"}:
        with rasterio.open(
            f"a{ending}",
            "w",
            driver={".tif": "GTiff", ".png": "PNG"}[ending],
            width=90,
            height=90,
            count=1,
            dtype="uint8",
        ) as file:
            file.write(np.random.default_rng(1).integers(0, 200, (1, 90, 90), dtype="uint8"))
    else:
        SQUARES.to_file(f"a{ending}")
    path = _path(f"a{ending}")
    path.write_bytes(path.read_bytes()[:90])
    with pytest.raises(SourceError) as raised:
        preview(path.name, max_pixels=8)
    assert path.name in str(raised.value)
    assert re.search(r"get it again|Get it again|whole\?|fetch it again|Fetch it again", str(raised.value))


# --- archives ----------------------------------------------------------------------------------------------


def zipped(**files):
    with zipfile.ZipFile("a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)


def packed_tiff():
    tiff("inner.tif")
    return _path("inner.tif").read_bytes()


def test_a_zip_in_a_zip():
    zipped(b__zip=b"PK")
    assert refusal("a.zip") == "a.zip is a zip file in which another one lies (b.zip). Unpack it once."
    zipped(b__tif=b"PK\x03\x04")
    assert refusal("a.zip") == "a.zip (b.tif) is another zip file. Unpack it once."


def test_a_zip_without_a_map():
    zipped(a__txt=b"a")
    assert refusal("a.zip") == (
        "a.zip is a zip file without a map in it. Known in a zip: .tif, .tiff, .shp, .gpkg, .geojson, .json, .fgb, "
        ".geojsonl, .asc, .png, .jpg, .jpeg."
    )


def test_names_that_lead_out_of_a_zip():
    with zipfile.ZipFile("a.zip", "w") as archive:
        archive.writestr("../../a.tif", packed_tiff())
    assert refusal("a.zip") == (
        "a.zip (../../a.tif) has a name that leads out of the archive. Don't unpack it: ask who made it."
    )


def test_a_link_in_a_zip():
    info = zipfile.ZipInfo("a.tif")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile("a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert refusal("a.zip") == (
        "a.zip (a.tif) is a link to another file, not a file. Put the file itself into the zip."
    )


def test_a_bomb(monkeypatch):
    monkeypatch.setattr(archives, "MAX_PACKED", 1_000_000)
    zipped(a__tif=packed_tiff() + bytes(2_000_000))
    assert re.fullmatch(
        r"a\.zip \(a\.tif\) has 2,000,\d+ bytes when unpacked; packed files are read up to 1,000,000\. Unpack it\.",
        refusal("a.zip"),
    )


def test_a_zip_that_claims_the_impossible():
    zipped(a__tif=packed_tiff())
    content = bytearray(_path("a.zip").read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 24 : at + 28] = (400_000_000).to_bytes(4, "little")
    _path("a.zip").write_bytes(content)
    assert "is said to be 400,000,000 bytes, which" in refusal("a.zip")
    assert refusal("a.zip").endswith("the zip file is damaged, or was made to harm. Fetch it again.")


def test_a_zip_that_two_programs_could_read_differently():
    with zipfile.ZipFile("a.zip", "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a.tif", packed_tiff())
        archive.writestr("a.tif", VRT)
    assert refusal("a.zip") == (
        "a.zip is a zip file that programs could read in different ways: two files in it have the same "
        "name. Unpack it, "
        "and look at what is in it before you name one of the files."
    )
    zipped(a__tif=packed_tiff())
    _path("a.zip").write_bytes(_path("a.zip").read_bytes() + b"PK\x05\x06" + bytes(18))
    assert "it has no single end" in refusal("a.zip") or "without a map" in refusal("a.zip")


def test_a_zip_with_a_list_in_it(host):
    address, calls = host
    zipped(a__shp=VRT.format(f"/vsicurl/{address}"))
    assert refusal("a.zip").startswith("a.zip (a.shp) is a virtual dataset (VRT), which names other files.")
    zipped(a__tif=packed_tiff(), a__tif__ovr=VRT.format(f"/vsicurl/{address}"))
    assert refusal("a.zip").startswith("a.zip (a.tif) has a file of overviews or a mask beside it, a.tif.ovr, ")
    assert calls == []


def test_a_part_of_a_zip():
    SQUARES.to_file("s.gpkg", layer="cells", driver="GPKG")
    SQUARES.to_file("s.gpkg", layer="more", driver="GPKG")
    zipped(a__tif=packed_tiff(), b__gpkg=_path("s.gpkg").read_bytes())
    layer = open_layer("a.zip")
    assert (layer.parts, layer.part) == (("a.tif", "b.gpkg"), "a.tif")
    assert open_layer("a.zip", "b.gpkg").part == "b.gpkg"
    assert open_layer("a.zip", "b.gpkg:more").default_band == "age"
    assert (
        refusal("a.zip", "c.tif") == "There is no map c.tif in the zip. Did you mean 'a.tif'? Known: a.tif, b.gpkg."
    )


# --- folders -----------------------------------------------------------------------------------------------


def test_folders():
    os.mkdir("maps")
    assert refusal("maps").startswith(
        "maps is a folder without a map in it. Name a file, a Zarr folder, or a folder with one of "
    )
    tiff("maps/a.tif")
    assert open_layer("maps").bands == open_layer(DataSource(uri="maps/a.tif")).bands
    tiff("maps/b.tif")
    assert refusal("maps") == "maps is a folder with 2 maps: a.tif, b.tif. Name one of them."
    assert open_layer("maps", "b.tif").bands == ("band_1",)


def test_a_zarr_with_chunks_beyond_the_memory():
    os.mkdir("a.zarr")
    _path("a.zarr/.zgroup").write_text('{"zarr_format": 2}')
    os.mkdir("a.zarr/uso")
    described = {"zarr_format": 2, "shape": [10, 10], "chunks": [1 << 20, 1 << 20], "dtype": "<f8", "compressor": None,
                 "fill_value": 0, "order": "C", "filters": None}  # fmt: skip
    _path("a.zarr/uso/.zarray").write_text(json.dumps(described))
    assert refusal("a.zarr") == (
        "a.zarr/uso/.zarray says that a chunk has 1048576 x 1048576 cells. A chunk is held in memory, and may have "
        "1,073,741,824 bytes. Is the folder whole? If so, write it anew in smaller chunks."
    )
    described |= {"chunks": [10, 10], "filters": [{"id": "pickle"}], "dtype": "|O"}
    _path("a.zarr/uso/.zarray").write_text(json.dumps(described))
    assert "pickle" in refusal("a.zarr")


# --- what crashes or hangs its library ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("import os; os.abort()", "ends the process that reads it (code -6), so it is not opened here. It " "" "" "is damaged, or was made to harm: get it again."),
        ("import time; time.sleep(60)", "could not be read within 1 s. It is damaged, or was made to harm: " "" "" "get it again."),
        ("print('because the sky fell.')", "can't be read: the sky fell. It is damaged or cut off: get it again."),
    ],
)  # fmt: skip
def test_the_child_dies_and_not_the_kernel(monkeypatch, script, said):
    _path("child.py").write_text(script)
    monkeypatch.setattr(quarantine, "_CHILD", _path("child.py").absolute())
    monkeypatch.setattr(quarantine, "LONGEST", 1.0)
    _path("a.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert refusal("a.h5") == f"a.h5 {said}"
    monkeypatch.setattr(quarantine, "_CHILD", _path("gone.py"))
    assert refusal("a.h5") == f"a.h5 {said}"  # remembered


def test_a_long_geojson(monkeypatch):
    monkeypatch.setattr(shapes, "MAX_GEOJSON", 10)
    SQUARES.to_file("a.geojson")
    assert re.fullmatch(
        r"a\.geojson has [\d,]+ bytes; GeoJSON is text, of which at most 10 are read\. Convert it: ogr2ogr "
        r"NEW\.gpkg FILE\.",
        refusal("a.geojson"),
    )


def _path(name):
    from pathlib import Path

    return Path(name)
