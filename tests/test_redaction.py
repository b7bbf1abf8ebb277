"""Secrets are hidden in texts and URIs; everything else stays as it was written."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissmodel_lab.redaction import HIDDEN, is_secret_key, is_secret_name, redact_text, redact_uri

TEXTS = [
    ('password = "hunter2"', "password = ***"),
    ("password = 'hun\\'hunter2'", "password = ***"),
    ('password: str = "hunter2"', "password: str = ***"),
    ('password: str | None = "hunter2"', "password: str | None = ***"),
    ('token = """hunter2\nhunter2"""', "token = ***"),
    ('secret = (\n    "hunter2"\n)', "secret = (\n    ***\n)"),
    ('password="hunter2', "password=***"),
    ("token: hunter2", "token: ***"),
    ("token=hunter2,years=4", "token=***,years=4"),
    ("export DB_PASSWORD=hunter2", "export DB_PASSWORD=***"),
    ('os.environ["AWS_SECRET_ACCESS_KEY"] = "hunter2"', 'os.environ["AWS_SECRET_ACCESS_KEY"] = ***'),
    ('os.environ.setdefault("API_KEY", "hunter2")', 'os.environ.setdefault("API_KEY", ***)'),
    ('connect(api_key=b"hunter2", years=4)', "connect(api_key=***, years=4)"),
    ('{"db": {"password": "hunter2", "n": 1}}', '{"db": {"password": ***, "n": 1}}'),
    ("{'accessToken': 'hunter2'}", "{'accessToken': ***}"),
    ('headers = {"Authorization": "Bearer hunter2"}', 'headers = {"Authorization": ***}'),
    ("Authorization: Bearer hunter2", "Authorization: ***"),
    ("mc alias set x --secret-key hunter2 y", "mc alias set x --secret-key *** y"),
    ("run m --param token=hunter2 --param years=5", "run m --param token=*** --param years=5"),
    ("run m --param 'password='\"'\"'a hunter2'\"'\"''", "run m --param 'password=***'"),
    ("read s3://key:hunter2@bucket/x.tif twice", "read s3://***@bucket/x.tif twice"),
    ("PG:host=x user=a password=hunter2", "PG:host=x user=a password=***"),
    ("export DB_PASS=hunter2", "export DB_PASS=***"),
    ('os.environ["DB_PASS"] = "hunter2"', 'os.environ["DB_PASS"] = ***'),
    ("get(url, auth=('ana', 'hunter2'), n=1)", "get(url, auth=***, n=1)"),
    ('basic_auth = "hunter2"', "basic_auth = ***"),
    ("AccountName=a;AccountKey=hunter2==;EndpointSuffix=b", "AccountName=a;AccountKey=***;EndpointSuffix=b"),
    ("SharedAccessSignature=sv=2020&sig=hunter2&se=1;x=1", "SharedAccessSignature=***;x=1"),
    ("Cookie: session=hunter2; theme=hunter2", "Cookie: ***"),
    ('headers={"Cookie": "session=hunter2; a=b"}', 'headers={"Cookie": ***}'),
    ("sent Bearer abc.hunter2-x_y", "sent Bearer ***"),
    ("curl -u ana:hunter2 https://host/x", "curl -u *** https://host/x"),
    ("curl --user='ana:hunter2' x", "curl --user=*** x"),
    ("{b'password': b'hunter2'}", "{b'password': ***}"),
]


@pytest.mark.parametrize(("text", "shown"), TEXTS)
def test_text_hides(text, shown):
    assert redact_text(text) == shown
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    "text",
    [
        "years = 5",
        "12 cells flooded in 0.3 s",
        "a tokenised keyboard; no secrets here",
        "monkey=3 and passage: 4",
        "author = Ana; compass: north; n_pass=3; pass: 4",
        "docker run -u 1000:1000 image",
        "python -u model.py",
        "bearer authentication is not used",
        "--input https://host:8080/grid.tif?band=2&x=a,b+c",
        "git+https://github.com/LambdaGeo/coastal-dynamics@main",
        "C:\\data\\grid.tif",
        "",
    ],
)
def test_text_without_secrets_stays(text):
    assert redact_text(text) == text


URIS = [
    ("https://ana:hunter2@host/x", "https://***@host/x"),
    ("https://ana:p@hunter2@host/x", "https://***@host/x"),
    ("s3://AKIA:ab/hunter2@bucket/key", "s3://***@bucket/key"),
    ("https://hunter2@host/x.git", "https://***@host/x.git"),
    ("/vsicurl/https://a:hunter2@h/x.tif", "/vsicurl/https://***@h/x.tif"),
    (
        "https://b.s3.amazonaws.com/g.tif?X-Amz-Credential=hunter2&X-Amz-Signature=hunter2&v=1",
        "https://b.s3.amazonaws.com/g.tif?X-Amz-Credential=***&X-Amz-Signature=***&v=1",
    ),
    ("https://x/g.tif?AWSAccessKeyId=hunter2&Signature=hunter2", "https://x/g.tif?AWSAccessKeyId=***&Signature=***"),
    ("https://x.blob.core.windows.net/g?sv=2020&sig=hunter2", "https://x.blob.core.windows.net/g?sv=2020&sig=***"),
    ("https://x/#access_token=hunter2", "https://x/#access_token=***"),
    ("https://tiles/x?url=s3://k:hunter2@b/y&n=1", "https://tiles/x?url=***&n=1"),
    ("https://tiles/x?url=s3%3A%2F%2Fk%3Ahunter2%40b", "https://tiles/x?url=***"),
]


@pytest.mark.parametrize(("uri", "shown"), URIS)
def test_uri_hides(uri, shown):
    assert redact_uri(uri) == shown
    assert "hunter2" not in redact_text(f"see {uri} there")


@pytest.mark.parametrize(
    "uri",
    [
        "data/input.tif",
        "synthetic",
        "",
        "HTTPS://Host/x?",
        "https://tiles/{z}/{x}/{y}?url=s3://b/x,y&flag&q=a+b%20c",
        "http://[::1]:80/a@b",
        "http://[::1/x",
        "http://host:80/x@y",
        "file://c:/data/a@b.tif",
    ],
)
def test_uri_without_secrets_stays_as_it_is_written(uri):
    assert redact_uri(uri) == uri


@pytest.mark.parametrize(
    "name",
    ["password", "DB_PASSWORD", "minio_secret_key", "accessToken", "AWSAccessKeyId", "api-key", "credentials",
     "X-Amz-Signature", "db.password", "passwords", "password2", "sig", "DB_PASS", "dbPass", "pass", "auth",
     "proxy_auth", "cookie", "session_cookies", "sas", "bearer", "AccountKey", "SharedAccessSignature"],
)  # fmt: skip
def test_secret_names(name):
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["steps", "sigma", "design", "monkey", "key", "secretary", "passage", "n_tokenised",
                                  "author", "n_pass", "low_pass", "auth_method", "compass", "sassafras"])  # fmt: skip
def test_names_that_only_look_secret(name):
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("key", "hides"),
    [("password", True), (b"password", True), (bytearray(b"api_key"), True), ({"$bytes": "cGFzc3dvcmQ="}, True),
     (b"steps", False), ({"$bytes": 5}, False), ({"$bytes": "%"}, False), (3, False), (None, False)],
)  # fmt: skip
def test_keys_of_any_type(key, hides):
    assert is_secret_key(key) is hides


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "a-",
        "token",
        "token ",
        "password=",
        "x://",
        "'",
        '"',
        "token=(",
        "--token ",
        "[=:",
        "auth=(",
        "-u a:",
        "bearer ",
        "cookie: ",
        "sas_",
        "-u ",
    ],
)
def test_long_texts_take_no_longer_than_their_length(unit):
    # A cell may hold a picture in base64; patterns that backtrack would take minutes.
    began = time.perf_counter()
    redact_text(unit * (200_000 // len(unit)))
    assert time.perf_counter() - began < 20


@settings(database=None, max_examples=200, deadline=None)
@given(st.text())
def test_any_text_can_be_redacted_and_twice_is_once(text):
    once = redact_text(text)
    assert redact_text(once) == once


@settings(database=None, max_examples=100, deadline=None)
@given(
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.from_regex(r"[A-Za-z0-9/+]{12}", fullmatch=True),
    st.text(st.characters(codec="utf-8"), max_size=20),
)
def test_a_password_in_any_text_is_hidden(before, secret, after):
    text = f"{before}\npassword = '{secret}'\n{after}"
    assert redact_text(text).count(secret) == (before + after).count(secret)
    assert HIDDEN in redact_text(text)


def test_the_end_of_one_secret_does_not_hide_the_beginning_of_the_next():
    line = """--param 'password="a"' --param 'db={"token": "b"}'"""
    assert redact_text(line) == """--param 'password=***' --param 'db={"token": ***}'"""
