"""Maps of files on servers, without fetching the files: what is asked for, and what is said when it cannot be."""

from __future__ import annotations

import re
import ssl
import subprocess
import time

import numpy as np
import pytest
import rasterio
from data_servers import bucket_server, web_server
from data_servers.buckets import KEY, SECRET
from data_servers.web import PASSWORD, USER
from stac_catalogue import cog

from dissmodel_lab.errors import SourceError
from dissmodel_lab.maps.area import Area
from dissmodel_lab.maps.remote import is_taken_from, open_remote, thrifty
from dissmodel_lab.sources import ranges
from dissmodel_lab.sources.addresses import parse
from dissmodel_lab.sources.ranges import RangeReader, opened_raster

SIDE = 6_200


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Return the path of a COG of 50 MB: noise, which no compression makes smaller."""
    path = tmp_path_factory.mktemp("cogs") / "large.tif"
    values = np.random.default_rng(0).integers(1, 255, (SIDE, SIDE), "uint8")
    with rasterio.open(
        path, "w", driver="COG", width=SIDE, height=SIDE, count=1, dtype="uint8", crs="EPSG:31983", nodata=0,
        transform=rasterio.Affine(10, 0, 500_000, 0, -10, 8_000_000), compress="deflate", level=1, num_threads=2,
        resampling="nearest", overview_resampling="nearest",
    ) as dataset:  # fmt: skip
        dataset.write(values, 1)
    return path


@pytest.fixture(scope="module")
def server(large):
    with web_server() as running:
        running.put("large.tif", large.read_bytes())
        running.put("small.tif", cog(np.arange(90_000, dtype="int16").reshape(300, 300)))
        yield running


@pytest.fixture
def asked(server):
    server.asked.clear()
    return server.asked


@pytest.fixture(scope="module")
def bucket():
    with bucket_server() as running:
        running.put("maps/small.tif", cog(np.arange(90_000, dtype="int16").reshape(300, 300)))
        yield running


def fetched(asked):
    spans = [re.fullmatch(r"bytes=(\d+)-(\d+)", headers["Range"]) for _, _, headers in asked]
    return sum(int(span[2]) - int(span[1]) + 1 for span in spans)


def problem(uri):
    with pytest.raises(SourceError) as caught:
        open_remote(uri).grid("band_1", 200)
    return str(caught.value)


def test_a_picture_of_50_mb_fetches_less_than_2_mb(server, asked, large):
    assert large.stat().st_size > 50_000_000
    layer = open_remote(server.at("large.tif"))
    grid = layer.grid(layer.default_band, 1024)
    assert fetched(asked) < 2_000_000
    assert {path for _, path, _ in asked} == {"/plain/large.tif"}  # no file beside it is asked for
    with rasterio.open(large) as dataset:
        truth = dataset.read(1, out_shape=grid.values.shape)
    assert np.array_equal(grid.values, truth)
    assert grid.shown == "1 of 64 pixels shown"
    assert grid.values.shape == (SIDE // 8, SIDE // 8)
    assert layer.crs.to_epsg() == 31983
    assert layer.extent == Area(west=500_000, south=8_000_000 - SIDE * 10, east=500_000 + SIDE * 10, north=8_000_000)


def test_a_part_is_shown_as_it_is_and_fetched_alone(server, asked, large):
    layer = open_remote(server.at("large.tif"))
    area = Area(west=520_003, south=7_970_000, east=523_000, north=7_973_000)
    grid = layer.grid("band_1", 1024, area)
    with rasterio.open(large) as dataset:
        truth = dataset.read(1, window=((2700, 3000), (2000, 2300)))
    assert np.array_equal(grid.values, truth)
    assert (grid.transform.c, grid.transform.f, grid.transform.a) == (520_000, 7_973_000, 10)
    assert (grid.shown, grid.source_size) == ("", (300, 300))
    first = fetched(asked)
    assert first < 1_500_000
    layer.grid("band_1", 1024, area)  # what was fetched is kept
    assert fetched(asked) == first


def test_a_part_between_overviews_is_decimated_as_rasterio_does(server, large):
    layer = open_remote(server.at("large.tif"))
    grid = layer.grid("band_1", 500, Area(west=500_000, south=7_980_000, east=520_000, north=8_000_000))
    with rasterio.open(large) as dataset:
        truth = dataset.read(1, window=((0, 2000), (0, 2000)), out_shape=grid.values.shape)
    assert grid.values.shape == (500, 500)
    assert np.array_equal(grid.values, truth)
    assert grid.shown == "1 of 16 pixels shown"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("noranges", ("The server of {} sends no parts of files (it knows no ranges), so that a map "
         "of it would need the "
         "whole file. Fetch it first, as a run's source, and show the fetched file.")),
        ("html", ("The input '{}' is no file: the server answered with a web page (a login, or an error?). Open the "
         "address in a browser, and take the one of the file itself.")),
        ("404", "The input '{}' does not exist: the server has nothing there (404). Check the address."),
        ("403", ("The input '{}' may not be read: the server denies it (403). Check the "
         "credentials; the link may have "
         "expired.")),
        ("500", "The input '{}' cannot be fetched: the server failed (500). Try again later."),
        ("wrongranges", ("The server of {} sends other parts of it than were asked for. Fetch it "
         "first, as a run's source, "
         "and show the fetched file.")),
        ("changing", "{} was changed on the server while it was read. Open it again."),
        ("redirect-loop", "{} leads from address to address without an end. Check the address."),
        ("redirect-file", ("{} leads to another kind of address (file://), which is not followed. "
         "Ask those who provide "
         "it for its address.")),
        ("redirect-ftp", ("{} leads to another kind of address (ftp://), which is not followed. Ask "
         "those who provide it "
         "for its address.")),
    ],
)  # fmt: skip
def test_what_a_server_may_do(server, fault, message):
    uri = server.at("large.tif", fault)
    began = time.monotonic()
    assert problem(uri) == message.format(uri)
    assert time.monotonic() - began < 30


def test_a_cut_answer_is_asked_for_again(server):
    server.cuts["large.tif"] = 1
    layer = open_remote(server.at("large.tif", "cut"))
    assert layer.grid("band_1", 100).values.shape == (100, 100)
    server.cuts["large.tif"] = 9
    uri = server.at("large.tif", "cut")
    assert problem(uri) == f"The server of {uri} cut the connection before all was sent. Try again."


def test_a_truncated_file(server, large):
    server.put("half.tif", large.read_bytes()[:2_000_000])
    uri = server.at("half.tif")
    said = problem(uri)
    assert said.startswith((f"{uri} cannot be read as a GeoTIFF", f"The server of {uri}"))
    assert "vsi" not in said


def test_silence(server, monkeypatch):
    monkeypatch.setenv("DISSMODEL_LAB_TIMEOUT", "0.5")
    uri = server.at("large.tif", "silent")
    began = time.monotonic()
    assert problem(uri) == (
        f"The server of {uri} fell silent, or sends too slowly (limit 0.5 s). Try again; DISSMODEL_LAB_TIMEOUT sets "
        "another limit [s]."
    )
    assert time.monotonic() - began < 30


def test_nobody_there():
    assert problem("http://127.0.0.1:1/x.tif") == (
        "The input 'http://127.0.0.1:1/x.tif' cannot be fetched: 127.0.0.1:1 refused the connection. Check the "
        "address and its port."
    )


def test_a_certificate_that_nobody_trusts(tmp_path, monkeypatch):
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    pem = tmp_path / "own.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", pem, "-out", tmp_path / "cert.pem",
         "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert.pem", pem)
    with web_server(tls) as running:
        running.put("small.tif", cog(np.ones((300, 300), "int16")))
        assert "the certificate of 127.0.0.1" in problem(running.at("small.tif"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert open_remote(running.at("small.tif")).bands == ("band_1",)


def test_logins_are_used_and_shown_nowhere(server, asked):
    layer = open_remote(server.at("large.tif", "login", f"{USER}:{PASSWORD}@"))
    grid = layer.grid("band_1", 100)
    with pytest.raises(SourceError) as caught:
        layer.grid("band_2", 100)
    for text in (repr(layer), str(grid.notes), str(caught.value), repr(layer.reader)):
        assert PASSWORD not in text
    assert layer.name == server.at("large.tif", "login", "***@")
    said = problem(server.at("large.tif", "login", f"{USER}:wr0ng-pass@"))
    assert "needs a login that was not accepted" in said
    assert "wr0ng-pass" not in said
    assert "X-Amz-Signature=***" in open_remote(server.at("large.tif", "signed") + "?X-Amz-Signature=5igned").name


def test_a_login_stays_with_its_server(server, asked):
    with web_server() as other:
        other.put("large.tif", server.files["large.tif"][0])
        server.other = other.url
        open_remote(server.at("large.tif", "redirect-away+login", f"{USER}:{PASSWORD}@").replace("+login", ""))
        assert all("Authorization" in headers for _, _, headers in asked)
        assert other.asked
        assert not any("Authorization" in headers for _, _, headers in other.asked)


def test_a_bucket(bucket, monkeypatch):
    bucket.set_environment(monkeypatch)
    layer = open_remote("s3://maps/maps/small.tif")
    assert layer.grid("band_1", 300).values[299, 299] == np.arange(90_000, dtype="int16")[-1]
    for text in (repr(layer), repr(layer.reader), str(layer.grid("band_1", 300).notes)):
        assert KEY not in text
        assert SECRET not in text
        assert "X-Amz" not in text
    said = problem("s3://maps/maps/other.tif")
    assert said == (
        "The input 's3://maps/maps/other.tif' does not exist: the server has nothing there (404). Check the address."
    )


def test_minio_variables_and_no_keys(bucket, monkeypatch):
    bucket.set_environment(monkeypatch, AWS_ENDPOINT_URL="", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    monkeypatch.setenv("MINIO_ENDPOINT", bucket.url.removeprefix("http://"))
    bucket.client.put_object(Bucket="maps", Key="open.tif", Body=cog(np.ones((300, 300), "int16")), ACL="public-read")
    assert open_remote("s3://maps/open.tif").grid("band_1", 300).values.max() == 1
    monkeypatch.setenv("MINIO_ACCESS_KEY", KEY)
    monkeypatch.setenv("MINIO_SECRET_KEY", SECRET)
    assert open_remote("s3://maps/open.tif").grid("band_1", 300).values.max() == 1


def test_a_bucket_that_denies(server, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"{server.url}/403")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert problem("s3://maps/x.tif") == (
        "The input 's3://maps/x.tif' may not be read: the server denies it (403). The keys are those of "
        "AWS_ACCESS_KEY_ID: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, MINIO_ACCESS_KEY and MINIO_SECRET_KEY, or "
        "AWS_PROFILE name others. Check the credentials; the link may have expired."
    )


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("a.gpkg", "a GeoPackage"),
        ("a.fgb", "a FlatGeobuf"),
        ("a.parquet", "a GeoParquet file"),
        ("a.zip", "a zip file"),
        ("a.nc", "a netCDF file"),
    ],
)
def test_what_must_be_fetched_first(server, asked, name, what):
    uri = server.at(name)
    assert problem(uri) == (
        f"{uri} is {what}, which cannot be shown without fetching it. Fetch it first, as a run's source, and show "
        "the fetched file."
    )
    assert asked == []


def test_content_decides_over_the_name(server):
    server.put("really.tif", b"PK\x03\x04" + bytes(100))
    assert "is a zip file, which cannot be shown without fetching it" in problem(server.at("really.tif"))
    server.put("empty.tif", b"")
    assert "is empty (0 bytes)" in problem(server.at("empty.tif"))


def test_a_file_without_overviews_is_refused_before_it_is_read(server, asked, monkeypatch, tmp_path):
    path = tmp_path / "striped.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=3000, height=3000, count=1, dtype="uint8", crs="EPSG:31983",
        transform=rasterio.Affine(10, 0, 500_000, 0, -10, 8_000_000),
    ) as dataset:  # fmt: skip
        dataset.write(np.random.default_rng(0).integers(0, 255, (3000, 3000), "uint8"), 1)
    server.put("striped.tif", path.read_bytes())
    monkeypatch.setattr("dissmodel_lab.maps.remote.BUDGET_BYTES", 2_000_000)
    uri = server.at("striped.tif")
    assert problem(uri) == (
        f"A map of {uri} would fetch about 8.6 MiB of its 8.6 MiB: it has no overviews (it is no COG). "
        "One picture may fetch 1.9 MiB. Fetch it first, as a run's source, and show the fetched file. Or zoom in."
    )
    assert fetched(asked) < 300_000
    part = open_remote(uri).grid("band_1", 300, Area(west=0, south=7_999_000, east=600_000, north=8_000_000))
    assert part.source_size == (3000, 100)


def test_the_budget_holds_whatever_was_estimated(server):
    reader = RangeReader(parse(server.at("large.tif")), budget_bytes=200_000)
    with (
        pytest.raises(
            SourceError, match=r"would fetch more than 195 KiB of its 49 MiB: that is what one picture may"
        ),
        opened_raster(reader) as dataset,
    ):
        dataset.read(1, window=((0, 1500), (0, 1500)))


def test_averages_of_classes_are_no_classes(server, tmp_path, monkeypatch):
    blobs = np.random.default_rng(1).choice([1, 3, 9], (2000, 2000)).astype("uint8")
    for how in ("average", "nearest"):
        server.put(f"{how}.tif", cog(blobs, nodata=0, overview_resampling=how, blocksize=256))
    shown = open_remote(server.at("average.tif")).grid("band_1", 200)
    assert set(np.unique(shown.values)) <= {1, 3, 9}
    shown = open_remote(server.at("nearest.tif")).grid("band_1", 200)
    assert set(np.unique(shown.values)) <= {1, 3, 9}
    monkeypatch.setattr("dissmodel_lab.maps.remote.BUDGET_BYTES", 500_000)
    assert "its overviews hold averages of classes, which are no classes" in problem(server.at("average.tif"))


def test_quantities_from_averages_say_so(server):
    slope = np.random.default_rng(2).integers(0, 3000, (1200, 1200), "int16")
    server.put("slope.tif", cog(slope, overview_resampling="average"))
    grid = open_remote(server.at("slope.tif")).grid("band_1", 300)
    assert "Shown from the file's overviews, which hold averages." in grid.notes


def test_an_interrupt_comes_out_of_gdal(server, asked):
    reader = RangeReader(parse(server.at("large.tif")), cancelled=lambda: len(asked) > 1)
    with pytest.raises(KeyboardInterrupt), opened_raster(reader) as dataset:
        _ = [dataset.read(1, window=((row, row + 100), (0, 3000))) for row in range(0, 3000, 500)]
    assert len(asked) == 2


def test_options_of_the_process_stay_as_they_are(server):
    from rasterio.env import get_gdal_config

    open_remote(server.at("small.tif")).grid("band_1", 100)
    for name in ("GDAL_DISABLE_READDIR_ON_OPEN", "AWS_ACCESS_KEY_ID", "GDAL_HTTP_TIMEOUT", "GDAL_HTTP_USERPWD"):
        assert get_gdal_config(name) is None


def test_runs_of_pages():
    assert ranges._runs([0, 1, 4, 9, 30]) == [(0, 5), (9, 10), (30, 31)]
    assert thrifty(3, [2, 4]) == 4
    fine = np.arange(16).reshape(4, 4)
    assert is_taken_from(fine[::2, ::2], fine, (0, 0), 2)
