"""Objects and folders in a bucket, against a real S3 server (moto)."""

from __future__ import annotations

import hashlib
import os

import pytest
from data_servers.buckets import KEY, SECRET, bucket_server
from test_fetching import all_text

from dissmodel_lab.errors import SourceError
from dissmodel_lab.sources import downloads, folder_sha256
from dissmodel_lab.sources.cache import DataCache
from dissmodel_lab.sources.credentials import S3Options, s3_options
from dissmodel_lab.sources.fetching import check_address, fetch

CONTENT = b"II*\0" + os.urandom(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(scope="module")
def one_server():
    with bucket_server() as server:
        yield server


@pytest.fixture
def bucket(one_server, monkeypatch, tmp_path):
    for item in one_server.client.list_objects_v2(Bucket="maps").get("Contents", ()):
        one_server.client.delete_object(Bucket="maps", Key=item["Key"])
    one_server.set_environment(monkeypatch, DISSMODEL_LAB_CACHE=str(tmp_path / "cache"))
    monkeypatch.setattr(downloads, "PAUSE", 0.01)
    return one_server


def refusal(uri):
    with pytest.raises(SourceError) as raised:
        fetch(uri)
    return str(raised.value)


@pytest.mark.parametrize("key", ["x.tif", "a folder/mapa ç#1?.tif", "100%25/x+y&z.tif"])
def test_an_object(bucket, key, tmp_path):
    uri = bucket.put(key, CONTENT)
    told = []
    first = fetch(uri, progress=lambda *now: told.append(now))
    assert (first.sha256, first.is_from_cache) == (SHA256, False)
    assert told[-1][1:] == (len(CONTENT), len(CONTENT))
    assert fetch(uri).is_from_cache
    check_address(uri)
    bucket.put(key, b"II*\0new")
    assert fetch(uri).path.read_bytes() == b"II*\0new"
    written = all_text(tmp_path)
    assert SECRET.encode() not in written
    assert KEY.encode() not in written


def test_a_version_of_an_object(bucket):
    bucket.client.put_bucket_versioning(Bucket="maps", VersioningConfiguration={"Status": "Enabled"})
    try:
        bucket.put("x.tif", CONTENT)
        version = bucket.client.head_object(Bucket="maps", Key="x.tif")["VersionId"]
        bucket.put("x.tif", b"II*\0new")
        assert fetch(f"s3://maps/x.tif?versionId={version}").sha256 == SHA256
        assert fetch("s3://maps/x.tif").path.read_bytes() == b"II*\0new"
        assert "has no such version" in refusal("s3://maps/x.tif?versionId=4711")
    finally:
        bucket.client.put_bucket_versioning(Bucket="maps", VersioningConfiguration={"Status": "Suspended"})


def test_a_folder(bucket):
    names = {".zattrs": b"{}", "0/0.0": b"1", "0/0.1": b"22", "empty": b""}
    for name, content in names.items():
        bucket.put(f"cubes/rain.zarr/{name}", content)
    bucket.put("cubes/rain.zarr.txt", b"another")
    first = fetch("s3://maps/cubes/rain.zarr")
    assert first.path.name == "rain.zarr"
    assert {
        path.relative_to(first.path).as_posix(): path.read_bytes() for path in first.path.rglob("*") if path.is_file()
    } == names
    assert first.sha256 == folder_sha256(first.path)
    assert [file.name for file in first.files] == sorted(names)
    assert first.files[0].uri == "s3://maps/cubes/rain.zarr/.zattrs"
    assert fetch("s3://maps/cubes/rain.zarr").is_from_cache
    bucket.put("cubes/rain.zarr/0/0.1", b"333")
    second = fetch("s3://maps/cubes/rain.zarr/")
    assert (second.path / "0/0.1").read_bytes() == b"333"
    assert (first.path / "0/0.1").read_bytes() == b"22"


def test_a_folder_with_a_name_that_leads_out_of_it(bucket):
    bucket.put("f/../../evil.txt", b"1")
    said = refusal("s3://maps/f/")
    assert "holds an object whose name cannot be a file's: '../../evil.txt'. Rename it in the bucket." in said


def test_a_shapefile_with_its_sidecars(bucket):
    for ending in ("shp", "shx", "dbf", "cpg", "txt"):
        bucket.put(f"v/roads.{ending}", ending.encode())
    bucket.put("v/roads2.dbf", b"another")
    found = fetch("s3://maps/v/roads.shp")
    assert sorted(path.name for path in found.path.parent.iterdir()) == [
        "roads.cpg", "roads.dbf", "roads.shp", "roads.shx",
    ]  # fmt: skip
    assert found.path.name == "roads.shp"
    assert found.sha256 == folder_sha256(found.path.parent)
    assert fetch("s3://maps/v/roads.shp").is_from_cache


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://nobody/x.tif", "does not exist: there is no bucket 'nobody' at 127.0.0.1:"),
        ("s3://maps/none.tif", "does not exist: the bucket 'maps' of 127.0.0.1:"),
        ("s3://maps/none/", "nothing in the bucket 'maps' of 127.0.0.1:"),
    ],
)
def test_what_is_not_there(bucket, uri, said):
    assert said in refusal(uri)
    with pytest.raises(SourceError, match="does not exist"):
        check_address(uri)


def test_a_bucket_that_denies(bucket, monkeypatch):
    uri = bucket.put("x.tif", CONTENT)
    from botocore.exceptions import ClientError

    async def denied(self, *_, **__):
        raise ClientError({"Error": {"Code": self.code}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "GetObject")

    import s3fs

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", denied)
    for code, words in {
        "AccessDenied": "denies it with the keys of AWS_ACCESS_KEY_ID. Set AWS_ACCESS_KEY_ID and ",
        "InvalidAccessKeyId": "does not accept the keys of AWS_ACCESS_KEY_ID. Check them.",
        "SignatureDoesNotMatch": "does not accept the keys of AWS_ACCESS_KEY_ID. Check them.",
        "ExpiredToken": "the keys of AWS_ACCESS_KEY_ID have expired. Sign on again.",
        "RequestTimeTooSkewed": "this machine's clock is wrong. Set it.",
    }.items():
        monkeypatch.setattr(s3fs.S3FileSystem, "code", code, raising=False)
        said = refusal(uri)
        assert f"The input '{uri}' may not be read: " in said
        assert words in said


def test_a_server_that_is_not_there(bucket, monkeypatch):
    uri = bucket.put("x.tif", CONTENT)
    fetch(uri)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    said = refusal(uri)  # another server is another address: its copy is not that one's
    assert said.startswith(f"The input '{uri}' cannot be fetched: ")
    assert "127.0.0.1:9" in said


def test_an_anonymous_reader(bucket, monkeypatch):
    uri = bucket.put("x.tif", CONTENT)
    bucket.client.put_object_acl(Bucket="maps", Key="x.tif", ACL="public-read")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert s3_options().anonymous
    assert fetch(uri).sha256 == SHA256


# --- credentials


def test_minios_variables(bucket, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("MINIO_ENDPOINT", bucket.url.removeprefix("http://"))
    monkeypatch.setenv("MINIO_ACCESS_KEY", "m1n10")
    monkeypatch.setenv("MINIO_SECRET_KEY", "s3cr3t")
    options = s3_options()
    assert (options.key, options.secret, options.endpoint_url) == ("m1n10", "s3cr3t", bucket.url)
    assert fetch(bucket.put("x.tif", CONTENT)).sha256 == SHA256
    monkeypatch.setenv("MINIO_SECURE", "true")
    assert s3_options().endpoint_url.startswith("https://")
    monkeypatch.delenv("MINIO_SECRET_KEY")
    with pytest.raises(
        SourceError, match=r"MINIO_ACCESS_KEY is set, but MINIO_SECRET_KEY is not. Set both, or neither"
    ):
        s3_options()


def test_a_session_token_and_a_region(bucket, monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "t0k3n")
    monkeypatch.setenv("AWS_REGION", "sa-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://s3.example:9000/")
    options = s3_options()
    assert (options.token, options.region, options.endpoint_url) == ("t0k3n", "sa-east-1", "https://s3.example:9000")
    assert options.s3fs()["client_kwargs"]["region_name"] == "sa-east-1"


def test_a_profile(bucket, monkeypatch, tmp_path):
    config = tmp_path / "config"
    config.write_text(f"[profile inpe]\nregion = sa-east-1\nendpoint_url = {bucket.url}\n")
    keys = tmp_path / "keys"
    keys.write_text("[inpe]\naws_access_key_id = p\naws_secret_access_key = q\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keys))
    monkeypatch.setenv("AWS_PROFILE", "inpe")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name)
    options = s3_options()
    assert (options.key, options.secret, options.region, options.endpoint_url) == ("p", "q", "sa-east-1", bucket.url)
    assert options.origin == "the AWS profile 'inpe'"
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(
        SourceError, match=r"AWS_PROFILE is 'nobody', but The config profile .nobody. could not be found"
    ):
        s3_options()


def test_endpoints_that_are_none(bucket, monkeypatch):
    for value in ("ftp://host", "https://", "https://ana:pw@host", "http://host:x"):
        monkeypatch.setenv("AWS_ENDPOINT_URL", value)
        with pytest.raises(SourceError) as raised:
            s3_options()
        assert str(raised.value) == (
            "AWS_ENDPOINT_URL is no address of a server. Write https://host:port, without a login."
        )


def test_options_show_no_secret():
    options = S3Options("AKIA", "s3cr3t", "t0k3n", "http://host:9000")
    assert not {"AKIA", "s3cr3t", "t0k3n"} & set(str(options).replace("'", " ").split())
    assert "s3cr3t" not in repr(options)


def test_nothing_is_left_of_what_failed(bucket):
    refusal("s3://maps/none.tif")
    assert DataCache().entries() == []
