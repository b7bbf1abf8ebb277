"""STAC sources: a real API server from PyPI with COGs behind it, and answers that no server should give."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import rasterio
from data_servers import bucket_server, web_server
from data_servers.buckets import SECRET
from data_servers.web import PASSWORD, USER
from stac_catalogue import BOX, PIXEL, SIDE, asset, cog, item, stac_server, tile_values, write_catalogue

from dissmodel_lab import ModelExecutor, RunStore, read_raster, run
from dissmodel_lab.errors import SourceError
from dissmodel_lab.executor import DataSource
from dissmodel_lab.sources.cache import DataCache
from dissmodel_lab.sources.fetching import fetch
from dissmodel_lab.sources.hashing import sha256
from dissmodel_lab.sources.stac import BRAZIL_DATA_CUBE, fetch_items, format_query, mark_of, parse_query

MONTHS = {"2020-01-01": 1, "2020-02-01": 2}


@pytest.fixture(scope="module")
def web():
    with web_server() as running:
        for tile in (0, 1):
            for month in MONTHS.values():
                for band in ("NDVI", "EVI"):
                    content = cog(tile_values(tile, month, band), left=500_000 + (tile - 1) * SIDE * PIXEL)
                    running.put(f"{band}_{tile}_{month}.tif", content)
        running.put("other_crs.tif", cog(tile_values(0, 1, "NDVI"), crs="EPSG:31984", left=500_000 - SIDE * PIXEL))
        running.put("shifted.tif", cog(tile_values(0, 1, "NDVI"), left=500_013 - SIDE * PIXEL))
        running.put("coarse.tif", cog(tile_values(0, 1, "NDVI"), pixel=60))
        both = np.stack([tile_values(1, 1, "NDVI"), tile_values(1, 1, "EVI")])
        running.put("both.tif", cog(both))
        quality = np.where(tile_values(1, 1, "NDVI") < 0, 255, 3).astype("uint8")
        running.put("quality.tif", cog(quality, nodata=255))
        running.put("noise.tif", cog(np.random.default_rng(0).integers(0, 9999, (300, 300), "int16")))
        running.put("page.tif", b"<html>sign in</html>")
        yield running


@pytest.fixture(scope="module")
def bucket():
    with bucket_server() as running:
        running.put("cube/ndvi.tif", cog(tile_values(1, 1, "NDVI")))
        yield running


@pytest.fixture(scope="module")
def api(web, bucket, tmp_path_factory):
    def tiles(collection, *, bands=("NDVI", "EVI")):
        return [
            item(
                f"{collection}_{tile}_{month}",
                collection,
                f"{day}T00:00:00Z",
                {band: asset(web.at(f"{band}_{tile}_{month}.tif")) for band in bands}
                | {"thumbnail": {"href": web.at("t.png"), "type": "image/png", "roles": ["thumbnail"]}},
            )
            for tile in (0, 1)
            for day, month in MONTHS.items()
        ]

    def one(collection, **assets):
        return [item(f"{collection}_a", collection, "2020-01-01T00:00:00Z", assets)]

    def two(collection, other):
        named = [("a", web.at(f"{'NDVI'}_1_1.tif")), ("b", web.at(other))]
        return [item(f"{collection}_{n}", collection, "2020-01-01T00:00:00Z", {"NDVI": asset(h)}) for n, h in named]

    catalogue = write_catalogue(
        tmp_path_factory.mktemp("catalogue"),
        {
            "CUBE-1": ({"version": "1"}, tiles("CUBE-1")),
            "CRS-1": ({}, two("CRS-1", "other_crs.tif")),
            "SHIFT-1": ({}, two("SHIFT-1", "shifted.tif")),
            "MIX-1": (
                {},
                one(
                    "MIX-1",
                    NDVI=asset(web.at("NDVI_1_1.tif"), **{"raster:bands": [{"scale": 0.0001, "offset": 0}]}),
                    QA=asset(web.at("quality.tif")),
                    COARSE=asset(web.at("coarse.tif")),
                    BOTH=asset(web.at("both.tif"), **{"eo:bands": [{"name": "b1"}, {"name": "b2"}]}),
                    S3=asset("s3://maps/cube/ndvi.tif"),
                    SIGNED=asset(web.at("NDVI_1_1.tif", "signed") + "?X-Amz-Signature=5igned"),
                    GONE=asset(web.at("gone.tif")),
                    PAGE=asset(web.at("page.tif")),
                    NORANGES=asset(web.at("noise.tif", "noranges")),
                    DENIED=asset(web.at("NDVI_1_1.tif", "403")),
                    FTP=asset("ftp://127.0.0.1/x.tif"),
                ),
            ),
        },
    )
    with stac_server(catalogue) as url:
        yield f"stac+{url}"


@pytest.fixture
def cache(tmp_path):
    return DataCache(tmp_path / "cache")


def problem(text, cache):
    with pytest.raises(SourceError) as caught:
        fetch_items(text, cache=cache)
    return str(caught.value)


def mosaic(month, band):
    return np.hstack([tile_values(0, month, band), tile_values(1, month, band)])


def test_one_day_is_a_geotiff_cut_from_two_tiles(api, cache, web):
    web.asked.clear()
    told = []
    text = f"{api}?collection=CUBE-1&bbox={BOX}&dates=2020-01-01&bands=NDVI,EVI"
    got = fetch_items(text, cache=cache, progress=lambda *facts: told.append(facts))
    assert got.path.name == "CUBE-1_2020-01-01.tif"
    with rasterio.open(got.path) as dataset:
        assert dataset.descriptions == ("NDVI", "EVI")
        assert (dataset.nodata, dataset.dtypes, dataset.crs.to_epsg()) == (-9999, ("int16", "int16"), 31983)
        column = round((dataset.transform.c - (500_000 - SIDE * PIXEL)) / PIXEL)
        row = round((8_000_000 - dataset.transform.f) / PIXEL)
        assert column < SIDE < column + dataset.width  # across the border of the tiles
        for number, band in enumerate(("NDVI", "EVI"), 1):
            truth = mosaic(1, band)[row : row + dataset.height, column : column + dataset.width]
            assert np.array_equal(dataset.read(number), truth)
        west, south, east, north = rasterio.warp.transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
        assert west <= -45.02 < -44.96 <= east
        assert south <= -18.14 < -18.10 <= north
        assert dataset.profile["tiled"]
        assert dataset.profile["compress"] == "deflate"
        assert dataset.tags()["STAC_ITEMS"] == "CUBE-1_0_1,CUBE-1_1_1"
    assert got.sha256 == sha256(got.path)
    assert not got.is_from_cache
    assert told[0][0] == "CUBE-1"
    assert {path for _, path, _ in web.asked} == {
        f"/plain/{band}_{tile}_1.tif" for band in ("NDVI", "EVI") for tile in (0, 1)
    }
    written, *read = got.files
    assert (written.uri, written.name, written.sha256) == (parse_query(text).text, got.path.name, got.sha256)
    assert [file.uri for file in read] == [
        web.at(f"{band}_{tile}_1.tif") for band in ("NDVI", "EVI") for tile in (0, 1)
    ]
    assert {(file.name, file.sha256, file.bytes) for file in read} == {(got.path.name, got.sha256, 0)}
    assert all(file.etag and file.modified for file in read)


def test_days_are_a_folder_and_the_same_question_is_answered_from_the_cache(api, cache, web, tmp_path):
    text = f"{api}?collection=CUBE&version=1&bbox={BOX}&dates=2020-01-01/2020-12-31&bands=NDVI"
    first = fetch_items(text, cache=cache)
    assert sorted(path.name for path in first.path.iterdir()) == ["2020-01-01.tif", "2020-02-01.tif"]
    assert first.sha256 == sha256(first.path)
    web.asked.clear()
    again = fetch(text, cache=cache)
    assert (again.path, again.sha256, again.is_from_cache) == (first.path, first.sha256, True)
    assert web.asked == []
    elsewhere = fetch_items(text, cache=DataCache(tmp_path / "other"))
    assert elsewhere.sha256 == first.sha256  # the same pixels are the same bytes
    assert elsewhere.files == first.files


def test_nodata_of_one_tile_gives_way_to_another(web, tmp_path, api, cache):
    got = fetch_items(f"{api}?collection=CUBE-1&dates=2020-01-01&bands=NDVI", cache=cache)
    with rasterio.open(got.path) as dataset:
        assert np.array_equal(dataset.read(1), mosaic(1, "NDVI"))  # without a bbox: everything


def test_bands_of_other_types_and_scales(api, cache):
    got = fetch_items(f"{api}?collection=MIX-1&bands=NDVI,QA,b2", cache=cache)
    with rasterio.open(got.path) as dataset:
        assert dataset.descriptions == ("NDVI", "QA", "b2")
        assert dataset.scales == (0.0001, 1.0, 1.0)
        assert np.array_equal(dataset.read(1), tile_values(1, 1, "NDVI"))
        assert set(np.unique(dataset.read(2))) == {-9999, 3}
        assert np.array_equal(dataset.read(3), tile_values(1, 1, "EVI"))


def test_an_asset_of_several_bands(api, cache):
    got = fetch_items(f"{api}?collection=MIX-1&bands=BOTH", cache=cache)
    with rasterio.open(got.path) as dataset:
        assert dataset.descriptions == ("BOTH_1", "BOTH_2")


def test_an_asset_in_a_bucket_and_a_signed_one(api, cache, bucket, monkeypatch):
    bucket.set_environment(monkeypatch)
    got = fetch_items(f"{api}?collection=MIX-1&bands=S3,SIGNED", cache=cache)
    with rasterio.open(got.path) as dataset:
        assert np.array_equal(dataset.read(1), dataset.read(2))
    assert got.files[1].uri == "s3://maps/cube/ndvi.tif"
    assert got.files[2].uri.endswith("?X-Amz-Signature=***")
    for path in cache.root.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"5igned" not in content
            assert SECRET.encode() not in content


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("collection=CUBES-1", "{api} has no collection CUBES-1. Did you mean 'CUBE-1'?"),
        ("collection=CUBE", "{api} has no collection CUBE. There is CUBE-1."),
        ("collection=CUBE-1&version=2", "The collection CUBE-1 of {api} has version 1, not 2. Give another version"),
        (
            "collection=CUBE-1&dates=2024-01-01/2024-02-01&bbox=-45,-18.1,-44.9,-18",
            "The collection CUBE-1 of {api} has no item there: bbox -45,-18.1,-44.9,-18, dates 2024-01-01/",
        ),
        (
            "collection=CUBE-1&bands=NDWI",
            "The item CUBE-1_0_1 has no band NDWI. Did you mean 'NDVI'? Known: NDVI, EVI.",
        ),
        (
            "collection=CUBE-1",
            "The item CUBE-1_0_1 has 2 files with data: say which with bands=... Known: NDVI, EVI.",
        ),
        (
            "collection=CUBE-1&bands=NDVI&bbox=-44.72,-18.28,-44.71,-18.27",
            "No pixel of the items of CUBE-1 lies in the bbox, although the catalogue says so. Give a larger bbox.",
        ),
        (
            "collection=CRS-1",
            "CRS-1_b (NDVI) has another CRS (EPSG:31984) than CRS-1_a (NDVI) (EPSG:31983): put together",
        ),
        (
            "collection=SHIFT-1",
            "SHIFT-1_b (NDVI) has a grid that is shifted against that of SHIFT-1_a (NDVI): together",
        ),
        (
            "collection=MIX-1&bands=NDVI,COARSE",
            "MIX-1_a (COARSE) has pixels of 60 instead of the 30 of MIX-1_a (NDVI)",
        ),
        (
            "collection=MIX-1&bands=GONE",
            "The input '{web}/plain/gone.tif' does not exist: the server has nothing there",
        ),
        (
            "collection=MIX-1&bands=PAGE",
            "The input '{web}/plain/page.tif' is no file: the server answered with a web",
        ),
        ("collection=MIX-1&bands=NORANGES", "The server of {web}/noranges/noise.tif sends no parts of files"),
        ("collection=MIX-1&bands=DENIED", "The input '{web}/403/NDVI_1_1.tif' may not be read: the server denies it"),
        (
            "collection=MIX-1&bands=FTP",
            "The item MIX-1_a names ftp://127.0.0.1/x.tif for FTP, which is not fetched: only https://, http:// and",
        ),
    ],
)
def test_what_a_catalogue_cannot_give(api, web, cache, query, message):
    said = problem(f"{api}?{query}", cache)
    assert said.startswith(message.format(api=api.removeprefix("stac+"), web=web.url))


def test_too_many_cells(api, cache, monkeypatch):
    monkeypatch.setattr("dissmodel_lab.sources.stac_windows.MOST_CELLS", 1000)
    assert problem(f"{api}?collection=CUBE-1&bands=NDVI&dates=2020-01-01", cache) == (
        "The bounding box covers 600 x 300 pixels in 1 band(s) of CUBE-1_0_1 (NDVI); one file may hold 1,000 cells. "
        "Give a smaller bbox, or fewer bands."
    )


def test_a_cancelled_fetch_goes_on_where_it_was(api, cache, web):
    text = f"{api}?collection=CUBE-1&bbox={BOX}&bands=EVI"
    web.asked.clear()
    with pytest.raises(KeyboardInterrupt):
        fetch_items(text, cache=cache, cancelled=lambda: any("EVI_0_2" in path for _, path, _ in web.asked))
    assert cache.entries() == []
    web.asked.clear()
    got = fetch_items(text, cache=cache)
    assert sorted(path.name for path in got.path.iterdir()) == ["2020-01-01.tif", "2020-02-01.tif"]
    assert not [path for _, path, _ in web.asked if path.endswith("_1.tif")]  # the first day was complete


class Means(ModelExecutor):
    """The mean of each raster that lies at the source's path."""

    name = "means_of_items"

    def load(self, record):
        from pathlib import Path

        path = Path(record.source.uri)
        return {one.name: read_raster(one) for one in (sorted(path.iterdir()) if path.is_dir() else [path])}

    def run(self, data, record):
        return {name: float(np.where(raster.array < 0, 0, raster.array).mean()) for name, raster in data.items()}

    def save(self, result, record):
        record.metrics = result
        return record


@pytest.mark.parametrize("dates", ["2020-01-01", "2020-01-01/2020-12-31"])
def test_a_run_of_a_model_that_reads_local_files(api, web, tmp_path, monkeypatch, dates):
    monkeypatch.setenv("DISSMODEL_LAB_CACHE", str(tmp_path / "cache"))
    text = f"{api}?collection=CUBE-1&bbox={BOX}&dates={dates}&bands=NDVI"
    source = DataSource(type="bdc_stac", uri=text)
    record = run(Means, source=source, store=RunStore(tmp_path / "runs"))
    assert record.status == "completed"
    assert next(iter(record.metrics.values())) > 0
    assert sum(name.endswith(".tif") for name in record.metrics) == (1 if dates == "2020-01-01" else 2)
    assert record.source.uri == text
    fetched = fetch(text, cache=DataCache(tmp_path / "cache"))
    assert (record.source.checksum, fetched.is_from_cache) == (fetched.sha256, True)
    assert web.at("NDVI_0_1.tif") in json.dumps(record.model_dump(mode="json"))


# --- answers that no server should give


@contextmanager
def answering(answers):
    """Serve JSON or text by path; a list is given away one after the other, the last one again and again."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, dict(self.headers)))
            path = self.path.partition("?")[0]
            answer = answers.get(path, 404)
            if isinstance(answer, list):
                answer = answer.pop(0) if len(answer) > 1 else answer[0]
            status, body = (answer, b"") if isinstance(answer, int) else (200, answer)
            body = body if isinstance(body, bytes) else json.dumps(body).replace("URL", url).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"stac+{url}/", url, asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


LANDING = {
    "type": "Catalog", "id": "x", "stac_version": "1.0.0", "description": "x",
    "conformsTo": ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"],
    "links": [{"rel": "search", "href": "URL/search", "type": "application/geo+json", "method": "POST"}],
}  # fmt: skip
COLLECTION = {"id": "C", "type": "Collection"}


def page(*items, **more):
    return {"type": "FeatureCollection", "features": list(items), "links": [], **more}


def answers(search, **more):
    return {"/": LANDING, "/collections/C": COLLECTION, "/search": search, **more}


NEXT = [{"rel": "next", "href": "URL/search", "method": "POST", "body": {"token": "1"}}]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"/": b"<!doctype html><html>sign in</html>"}, "The STAC API {} answers with a web page (a login, or"),
        ({"/": b"x" * 100}, "The STAC API {} answers with no JSON. Check its address."),
        ({"/": 401}, "The STAC API {} wants a login, or refuses the one it got (status 401)."),
        ({"/": 503}, "The STAC API {} cannot answer now (status 503). Try again later, or ask for less."),
        ({}, "{} does not exist (404). Check the address of the STAC API"),
        ({"/": {"type": "Catalog"}}, "The answer of the STAC API {} cannot be understood ("),
        ({"/": {**LANDING, "conformsTo": [], "links": []}}, "{} is no STAC API that can be searched"),
        (answers(page(item("a", "C", "2020", {}))), "The item a of {} has no date: 2020. It cannot be used."),
        (answers(page({"type": "Feature"})), "The STAC API {} sends an item without an id. Check its address."),
        (answers(page(item("a", "C", "2020-01-01T00:00:00Z", "none"))), "The item a of {} has no assets."),
        (
            answers(page(item("a", "C", "2020-01-01T00:00:00Z", {}), links=NEXT)),
            "The STAC API {} sends the same page again and again: its paging is broken.",
        ),
        (
            answers(
                [
                    page(*(item(f"{n}_{k}", "C", "2020-01-01T00:00:00Z", {}) for k in range(100)), links=NEXT)
                    for n in range(12)
                ]
            ),
            "The collection C of {} has more than 1,000 items there: any place, any date. One source may take 1,000.",
        ),
        (
            answers(page(item("a", "C", "2020-01-01T00:00:00Z", {}), links=[{"rel": "next", "href": "file:///etc/passwd"}])),
            "The STAC API {} links to file:///etc/passwd, which is no web address.",
        ),
        (
            answers(
                page(item("a", "C", "2020-01-01T00:00:00Z", {}), links=[{"rel": "next", "href": "http://evil.example/"}])
            ),
            "The STAC API {} leads to another server (http://evil.example/), which nobody named.",
        ),
        (answers(page(item("a", "C", "2020-01-01T00:00:00Z", {"x": asset("file:///etc/passwd")}))),
         "The item a names file:///etc/passwd for x, which is not fetched"),
        (answers(page(item("a", "C", "2020-01-01T00:00:00Z", {"x": {"type": "image/tiff"}}))),
         "The item a names nothing for x, which is not fetched"),
        (answers(page(item("a", "C", "2020-01-01T00:00:00Z", {"x": asset("/vsicurl/http://x/y.tif")}))),
         "The input '{}vsicurl/http://x/y.tif' does not exist"),
    ],
)  # fmt: skip
def test_answers_that_make_no_sense(given, message, cache):
    with answering(given) as (api, url, _):
        assert problem(f"{api}?collection=C", cache).startswith(message.format(f"{url}/"))


def test_an_api_that_is_gone_is_no_problem_while_there_is_a_copy(web, cache):
    found = page(item("a", "C", "2020-01-01T00:00:00Z", {"NDVI": asset(web.at("NDVI_1_1.tif"))}))
    given = answers(found)
    with answering(given) as (api, url, _):
        text = f"{api}?collection=C"
        first = fetch_items(text, cache=cache)
        given["/"] = 503
        later = fetch_items(text, cache=cache)
        assert (later.sha256, later.is_from_cache) == (first.sha256, True)
        assert later.notes[0].startswith(
            f"The STAC API {url}/ cannot answer now (status 503). Try again later, or ask for less. The copy of 20"
        )
    gone = fetch_items(text, cache=cache)
    assert gone.sha256 == first.sha256
    assert "cannot be reached: it refused the connection" in gone.notes[0]
    assert problem(text + "&bands=NDVI", cache).startswith(f"The STAC API {url}/ cannot be reached")


def test_an_item_that_has_changed_is_read_again(web, cache):
    def found(href, updated):
        return page(item("a", "C", "2020-01-01T00:00:00Z", {"NDVI": asset(web.at(href))}, updated=updated))

    given = answers(found("NDVI_1_1.tif", "2024-01-01T00:00:00Z"))
    with answering(given) as (api, _, _):
        first = fetch_items(f"{api}?collection=C", cache=cache)
        given["/search"] = found("NDVI_1_2.tif", "2024-02-01T00:00:00Z")
        second = fetch_items(f"{api}?collection=C", cache=cache)
    assert (first.is_from_cache, second.is_from_cache) == (False, False)
    assert first.sha256 != second.sha256


def test_logins_go_to_the_api_alone(web, cache):
    found = page(item("a", "C", "2020-01-01T00:00:00Z", {"NDVI": asset(web.at("NDVI_1_1.tif"))}))
    with answering(answers(found)) as (api, url, asked):
        web.asked.clear()
        text = api.replace("://", f"://{USER}:{PASSWORD}@") + "?collection=C&access_token=t0psecret"
        got = fetch_items(text, cache=cache)
    assert all("Authorization" in headers and "access_token=t0psecret" in path for path, headers in asked)
    assert web.asked
    assert not any("Authorization" in headers or "t0psecret" in path for _, path, headers in web.asked)
    assert f"{got.files[0].uri}" == f"stac+http://***@{url[7:]}/?collection=C&access_token=***"
    for path in cache.root.rglob("*"):
        assert not path.is_file() or not {b"t0psecret", PASSWORD.encode()} & set(path.read_bytes().split(b'"'))
        assert not path.is_file() or (
            b"t0psecret" not in path.read_bytes() and PASSWORD.encode() not in path.read_bytes()
        )


def test_an_api_that_knows_only_get(web, cache):
    found = page(item("a", "C", "2020-01-01T00:00:00Z", {"NDVI": asset(web.at("NDVI_1_1.tif"))}))
    with answering(answers([405, found])) as (api, _, asked):
        assert fetch_items(f"{api}?collection=C&bbox={BOX}", cache=cache).path.name == "C_2020-01-01.tif"
    assert asked[-1][0].startswith("/search?limit=100&bbox=-45.02")


# --- the text of a source


@pytest.mark.parametrize(
    "text",
    [
        "bdc_stac://S2-16D-2",
        "bdc_stac://C?version=2&bbox=-46,-19,-45,-18&dates=2020-01-01/2020-12-31&bands=NDVI,EVI",
        "stac+https://host/path?collection=C&version=2&bbox=-46,-19.5,-45,-18&dates=../2020-12-31",
        "stac+http://host:8080/stac/v1/?collection=a%20b&bands=a%26b",
        "stac+https://ana:p%40ss@host/?collection=C&access_token=x",
    ],
)
def test_text_and_back(text):
    assert format_query(parse_query(text)) == text
    assert parse_query(format_query(parse_query(text))) == parse_query(text)


def test_a_description_says_the_same():
    source = DataSource(type="bdc_stac", collection="C", version="2", uri="bbox=-46,-19,-45,-18&bands=NDVI")
    query = parse_query(source)
    assert query == parse_query("bdc_stac://C?version=2&bbox=-46,-19,-45,-18&bands=NDVI")
    assert query.url == BRAZIL_DATA_CUBE
    assert parse_query(DataSource(type="bdc_stac", uri="https://host/stac?collection=C")).url == "https://host/stac"
    assert mark_of(query) != mark_of(parse_query("bdc_stac://C?version=2"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bdc_stac://?bbox=1,2,3,4", "The STAC source bdc_stac://?bbox=1,2,3,4 names no collection."),
        ("bdc_stac://C?bbox=1,2,3", "bbox=1,2,3: 3 values instead of 4. Write bbox=west,south,east,north in degrees"),
        ("bdc_stac://C?bbox=1,2,x,4", "bbox=1,2,x,4: not all are numbers."),
        ("bdc_stac://C?bbox=1,2,nan,4", "bbox=1,2,nan,4: not all are numbers."),
        ("bdc_stac://C?bbox=-19,-46,-18,-45000", "bbox=-19,-46,-18,-45000: not degrees of the Earth."),
        ("bdc_stac://C?bbox=-45,-18,-46,-17", "bbox=-45,-18,-46,-17: west (-45) is not left of east (-46)."),
        ("bdc_stac://C?bbox=-46,-17,-45,-18", "bbox=-46,-17,-45,-18: south (-17) is not below north (-18)."),
        (
            "bdc_stac://C?dates=2020-02-30",
            "dates=2020-02-30: 2020-02-30 is no date. Write dates=2020-01-01/2020-12-31",
        ),
        (
            "bdc_stac://C?dates=2021-01-01/2020-01-01",
            "dates=2021-01-01/2020-01-01: the first (2021-01-01) is after the",
        ),
        ("bdc_stac://C?band=a,a", "bands=a,a: a is named twice. Name each band once."),
        ("bdc_stac://C?cloud=3", "A STAC source knows no cloud. Known: collection, version, bbox, dates, bands."),
        ("ftp://host/?collection=C", "The STAC source ftp://host/?collection=C begins with ftp://."),
        ("stac+https:///?collection=C", "The STAC source stac+https:///?collection=C names no host."),
        (
            "stac+https://***@host/?collection=C",
            "The STAC source stac+https://***@host/?collection=C cannot be used:",
        ),
    ],
)
def test_texts_that_make_no_sense(text, message):
    with pytest.raises(SourceError) as caught:
        parse_query(text)
    assert str(caught.value).startswith(message)


def test_a_search_makes_no_grammar_of_addresses(tmp_path):
    """The grammar is one that tells when it is made."""
    grammar = "print('made')\ndef is_valid_syntax(rule, text):\n    return ' ' not in text\n"
    (tmp_path / "rfc3987_syntax.py").write_text(grammar)
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from dissmodel_lab.sources.stac_search import _grammar_later
with _grammar_later():
    import pystac_client, jsonschema
print("found", "rfc3987_syntax" in sys.modules)
print(jsonschema.FormatChecker().conforms("https://host/x", "iri"))
print(jsonschema.FormatChecker().conforms("no address", "iri"))
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True).stdout
    assert said.split() == ["found", "False", "made", "True", "False"]
