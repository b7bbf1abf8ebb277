"""Data without a run, through the magic and the terminal: ``map``, ``fetch`` and ``cache``, and what they refuse."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from data_servers.web import web_server
from doors import Desk
from rasterio.transform import Affine

import dissmodel_lab as lab
from dissmodel_lab.cli import main

KNOWN_MAPS = (
    "Known by their content are: GeoTIFF, PNG, JPEG, ESRI ASCII grid and ENVI rasters; GeoPackage, shapefile, "
    "GeoJSON, FlatGeobuf and GeoParquet; netCDF, HDF5 and Zarr; a zip with one of the first nine. "
    "Convert it to one of them."
)
CONTENT = b"elevation " * 500
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(params=("magic", "cli"))
def said(request):
    """Give a command on data through one door."""
    return Desk(request)


@pytest.fixture
def land(workspace):
    """Two rasters, a GeoPackage of two layers, and what is none of them."""
    for name, seed in (("a.tif", 0), ("b.tif", 1)):
        profile = {"driver": "GTiff", "width": 4, "height": 3, "count": 1, "dtype": "float32", "crs": "EPSG:31983"}
        with rasterio.open(name, "w", **profile, transform=Affine(100, 0, 3e5, 0, -100, 75e5)) as file:
            file.write(np.arange(12, dtype="float32").reshape(3, 4) + seed, 1)
    squares = geopandas.GeoDataFrame({"age": [1, 2]}, geometry=shapely.box([0, 1], 0, [0.9, 1.9], 1), crs=4326)
    squares.to_file("two.gpkg", layer="sites")
    squares.rename(columns={"age": "depth"}).to_file("two.gpkg", layer="wells")
    Path("text.txt").write_text("hello\n")
    Path("empty.tif").touch()
    Path("folder").mkdir()
    return workspace


@pytest.fixture
def server():
    """A web server with one file."""
    with web_server() as server:
        server.put("dem.tif", CONTENT)
        yield server


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("nowhere.tif", "nowhere.tif doesn't exist. Check the path."),
        (
            "folder",
            (
                "folder is a folder without a map in it. Name a file, a Zarr folder, or a folder with one of .tif, "
                ".tiff, .shp, .gpkg, "
                ".geojson, .geojsonl, .fgb, .parquet, .geoparquet, .nc, .nc4, .h5, .hdf5, .asc, .zip."
            ),
        ),
        ("text.txt", f"text.txt is not a map that can be read. {KNOWN_MAPS}"),
        ("empty.tif", "empty.tif is empty (0 bytes). Write or fetch it again."),
        ("a.tif --style nowhere.qml", "nowhere.qml doesn't exist. Check the path."),
        (
            "a.tif --style text.txt",
            (
                "text.txt is not a colour table: line 1 is 'hello'. A line holds a value and its colour, such as "
                "'3 31 141 73' or '3,31,141,73,255,Forest'."
            ),
        ),
        (
            "a.tif --classify nonsense",
            (
                "The classification 'nonsense' is not known. Known: quantiles, equal interval, natural breaks, "
                "standard deviation, pretty breaks, head/tail breaks, maximum breaks, user-defined."
            ),
        ),
        (
            "a.tif --colours nonsense",
            (
                "No colour map is called 'nonsense'. Known: viridis, cividis, magma, YlGnBu, Greys, coolwarm, PuOr, "
                "RdBu, BrBG and all others of matplotlib."
            ),
        ),
        (
            "a.tif --style text.txt --colours magma",
            "Colours come from --style or from --colours, --limits and --classify, not from both. Leave one out.",
        ),
        ("a.tif --part nonsense", "a.tif has no part nonsense: there is one map in it. Leave `part` out."),
        ("two.gpkg --part nonsense", "two.gpkg holds no layer 'nonsense'. Known: sites, wells."),
        ("a.tif --band nonsense", "No band or column is called 'nonsense'. Known: band_1."),
        ("two.gpkg --part wells --band age", "No band or column is called 'age'. Known: depth."),
        ("a.tif nowhere.tif", "nowhere.tif doesn't exist. Check the path."),
        ("a.tif b.tif two.gpkg", "map shows one source, or two beside each other; 3 are named."),
    ],
)
def test_a_map_that_cannot_be_shown_is_one_message(said, land, words, message):
    answer = said("map", *words.split())
    assert answer.message == message
    assert answer.text.strip() == ""
    assert answer.shown == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--limits 3,1", "argument --limits: two numbers that rise are needed, such as 0,12.5, got '3,1'."),
        ("--n-classes many", "argument --n-classes: "),
    ],
)
def test_options_that_are_no_numbers_are_named(said, land, options, message):
    assert f" map: {message}" in said("map", "a.tif", *options.split()).message


def test_a_map_is_told_in_words_and_in_json(land, capsys):
    assert main(["map", "a.tif"]) == 0
    words = capsys.readouterr().out
    assert words.startswith("a.tif: band band_1 of band_1; 4 x 3 cells\n  EPSG:31983, ")
    assert "  Warped from EPSG:31983 to Web Mercator (EPSG:3857), nearest cell.\n" in words
    assert main(["map", "a.tif", "b.tif", "--classify", "equal interval", "--n-classes", "2", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["name"], first["width"], first["height"], first["crs"]) == ("a.tif", 4, 3, "EPSG:31983")
    assert [len(one["legend"]) for one in (first, second)] == [2, 2]
    assert (first["minimum"], first["maximum"]) == (0, 11)
    assert -22.7 < first["bounds"]["south"] < first["bounds"]["north"] < -22.5


def test_a_map_in_a_cell_has_a_widget_and_a_twin_that_stays(shell, land):
    view = shell.run_line_magic("dissmodel", "map two.gpkg --part wells --band depth")
    twin, live = shell.bundles
    assert twin["text/plain"] == "Map of two.gpkg"
    assert "application/vnd.jupyter.widget-view+json" in live
    assert "data:image/png;base64," in twin["text/html"]
    assert "Layer wells is shown, one of 2: sites, wells." in twin["text/html"]
    view.part.value = "sites"
    assert (view.errors, view.band.options) == ([], ("age",))


def test_maps_are_written_and_never_replaced(land, capsys):
    for name in ("m.html", "m.png"):
        assert main(["map", "a.tif", "--output", name]) == 0
        assert capsys.readouterr().out.endswith(f"\nWritten: {name}\n")
        before = Path(name).read_bytes()
        assert main(["map", "b.tif", "--output", name]) == 2
        message = f"Error: The output '{name}' exists and is never replaced. Choose another --output.\n"
        assert capsys.readouterr() == ("", message)
        assert Path(name).read_bytes() == before
    assert Path("m.png").read_bytes().startswith(b"\x89PNG")
    page = Path("m.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "<title>a.tif</title>" in page
    assert "data:image/png;base64," in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("a.tif --output m.pdf", "A map is written as .html or .png, got 'm.pdf'. Choose such an ending."),
        ("a.tif b.tif --output m.png", "One .png holds one map. Name one source, or write .html."),
        (
            "a.tif --output no/m.png",
            "The output 'no/m.png' cannot be written: No such file or directory. Choose another --output.",
        ),
    ],
)
def test_outputs_that_cannot_be_written(land, capsys, words, message):
    before = sorted(Path().iterdir())
    assert main(["map", *words.split()]) == 2
    assert capsys.readouterr() == ("", f"Error: {message}\n")
    assert sorted(Path().iterdir()) == before


def test_what_is_fetched_once_is_there_the_next_time(said, server):
    address = server.at("dem.tif")
    first, second = (said("fetch", address).text.strip().split("\n") for _ in range(2))
    assert Path(first[0]).read_bytes() == CONTENT
    assert Path(first[0]).name == "dem.tif"
    assert first[1].startswith("  4.9 KiB, fetched in ")
    assert second[:2] == [first[0], "  4.9 KiB, was in the cache"]
    assert first[2] == second[2] == f"  sha256 {SHA256}"


def test_a_fetch_is_told_in_json_without_its_password(server, capsys):
    server.put("dem.tif", CONTENT)
    address = server.at("dem.tif", "login", login="ana:pa55-w0rd@")
    assert main(["fetch", address, "--json"]) == 0
    out, err = capsys.readouterr()
    values = json.loads(out)
    assert (values["sha256"], values["bytes"], values["is_from_cache"]) == (SHA256, len(CONTENT), False)
    assert [file["name"] for file in values["files"]] == ["dem.tif"]
    assert "pa55" not in out + err


def test_a_fetch_that_fails_is_one_message(said, server):
    address = server.at("missing.tif")
    assert said("fetch", address).message == (
        f"The input '{address}' does not exist: the server has nothing there (404). Check the address."
    )
    assert said("fetch", "a.tif").message == (
        "The input 'a.tif' is on this machine: there is nothing to fetch. Use its path."
    )
    assert " fetch: the following arguments are required: URI. " in said("fetch").message


def test_the_cache_is_listed_and_verified(said, server):
    root = os.environ["DISSMODEL_LAB_CACHE"]
    address = server.at("dem.tif")
    path = Path(said("fetch", address).text.strip().split("\n")[0])
    listed = said("cache").text
    assert f"{SHA256[:12]}    4.9 KiB  " in listed
    assert f"  {address}\n" in listed
    assert listed.rstrip().endswith(f"in {root}")
    path.chmod(0o644)
    path.write_bytes(CONTENT[:-1] + b"?")
    problems = said("cache", "verify").text
    assert str(path.name) in problems
    assert "What was damaged is fetched again when it is needed." in problems
    assert Path(said("fetch", address).text.strip().split("\n")[0]).read_bytes() == CONTENT
    in_use = lab.fetch(address)
    kept = f"0 B were removed from {root}. 4.9 KiB are in use by runs and stay."
    assert said("cache", "clear").text.strip() == kept
    assert in_use.path.read_bytes() == CONTENT
    in_use.lease.close()
    assert said("cache", "clear").text.strip() == f"4.9 KiB were removed from {root}."


def test_what_nobody_reads_is_cleared(said, server):
    words = ["fetch", server.at("dem.tif")]
    program = f"from dissmodel_lab.cli import main; main({words!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    path = Path(done.stdout.split("\n")[0])
    assert path.read_bytes() == CONTENT
    root = os.environ["DISSMODEL_LAB_CACHE"]
    assert said("cache", "clear").text.strip() == f"4.9 KiB were removed from {root}."
    assert not path.exists()
    assert said("cache", "list").text.strip().startswith("0 inputs, 0 B of at most ")


def test_an_action_that_the_cache_does_not_know(said):
    message = said("cache", "nonsense").message
    assert " cache: argument ACTION: no action is called 'nonsense'. Known: list, verify, clear. " in message
