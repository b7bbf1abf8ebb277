"""Whatever a platform's server answers, its client returns a result or raises one PlatformError."""

# ruff: noqa: E501, PT017 -- inputs read better in one line; an error or a result, both are checked

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dissmodel_lab.errors import PlatformError
from dissmodel_lab.platform_client import ApiKey, PlatformClient
from dissmodel_lab.platform_client.answers import JobListing, PlatformJob, PlatformModel
from dissmodel_lab.platform_client.transport import Timing
from properties import examples
from properties.any_answers import any_answers, http

KEY = "k3y-0f-the-properties/4711"
FAST = Timing(connect=2, read=2, deadline=3, attempts=2, first_pause=0.0)


@pytest.fixture(scope="module")
def server():
    with any_answers() as server:
        yield server


@pytest.fixture(scope="module")
def client(server):
    with PlatformClient(server.url, key=ApiKey(KEY, "a test"), timing=FAST) as client:
        yield client


ODD_TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            "completed", "pending", "2026-01-02T03:04:05", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
            "s3://dissmodel-outputs/experiments/a/b.tif", "s3://", "http://[::1", "http://127.0.0.1:9/x", "\x00", KEY,
            "\ud800", "E3" * 32, "../..", "a" * 5_000,
        ]
    ),
)  # fmt: skip
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), ODD_TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(ODD_TEXTS, inner, max_size=3)),
    max_leaves=8,
)
JOBS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        (
            "experiment_id", "job_id", "status", "model_name", "created_at", "output_path", "output_sha256",
            "input_sha256", "logs",
        ),
        st.one_of(ODD_TEXTS, JSON),
    ),
)  # fmt: skip
NEARLY = st.one_of(
    JSON,
    JOBS,
    st.fixed_dictionaries({}, optional={"experiments": st.lists(st.one_of(JOBS, JSON), max_size=3), "total": JSON}),
    st.fixed_dictionaries({}, optional={"models": st.lists(JSON, max_size=3)}),
    st.fixed_dictionaries({}, optional={"spec": JSON, "model_name": JSON}),
    st.fixed_dictionaries({}, optional={"url": st.one_of(ODD_TEXTS, JSON), "uri": ODD_TEXTS, "checksum": ODD_TEXTS}),
    st.fixed_dictionaries({}, optional={"detail": st.one_of(JSON, st.lists(st.dictionaries(ODD_TEXTS, JSON)))}),
    st.fixed_dictionaries({"spec": st.fixed_dictionaries({"model": st.dictionaries(ODD_TEXTS, JSON, max_size=3)})}),
)
BODIES = st.one_of(
    NEARLY.map(lambda value: json.dumps(value).encode()),
    st.tuples(NEARLY, st.floats(0, 1)).map(
        lambda given: json.dumps(given[0]).encode()[: int(given[1] * len(json.dumps(given[0])))]
    ),
    st.binary(max_size=60),
    st.sampled_from(
        [b"[" * 50_000, b"1" * 5_000, b'{"a":' * 2_000, b"<html>", b"\xff\xfe{}", b"NaN", b"1e999", b" "]
    ),
)
STATUSES = st.one_of(
    st.sampled_from([200, 201, 204, 206, 301, 302, 304, 307, 400, 401, 403, 404, 408, 409, 422, 429, 500, 502, 503]),
    st.integers(100, 999),
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [b"location", b"date", b"retry-after", b"content-encoding", b"transfer-encoding", b"content-type", b"x"]
        ),
        st.one_of(
            st.sampled_from(
                [
                    b"/jobs", b"http://[", b"http://a b/", b"//", b"http://127.0.0.1:99999/", b"gzip", b"br", b"chunked",
                    b"0", b"-1", b"\xb2", b"Mon, 01 Jan 0001 00:00:00 -0000", b"Fri, 31 Dec 9999 23:59:59 -2359",
                    b"Fri, 99 Foo 2026 99:99:99 GMT", b"text/html; charset=nonsense", b"http://example.org:0/",
                ]
            ),
            st.binary(max_size=12).map(lambda value: value.translate(None, b"\r\n\0")),
        ),
    ),
    max_size=3,
)  # fmt: skip
ANSWERS = st.one_of(
    st.builds(
        lambda status, body, headers, length: http(status, body, headers=headers, length=length),
        STATUSES,
        BODIES,
        HEADERS,
        st.sampled_from([None, None, None, False, 0, 3, 10**6, -1]),
    ),
    st.builds(lambda body: http(200, body), BODIES),
    st.binary(max_size=80),
)

CALLS = {
    "health": (lambda client: client.health(), dict),
    "models": (lambda client: client.models(), list),
    "model": (lambda client: client.model("flood"), object),
    "job": (lambda client: client.job("a1"), PlatformJob),
    "jobs": (lambda client: client.jobs(), JobListing),
    "submit": (lambda client: client.submit("flood", parameters={"years": 3}), PlatformJob),
    "submit_inline": (lambda client: client.submit_inline('[model]\nclass = "flood"\n'), PlatformJob),
    "reproduce": (lambda client: client.reproduce("a1"), PlatformJob),
    "cancel": (lambda client: client.cancel("a1"), PlatformJob),
    "upload": (lambda client: client.upload(__file__), object),
    "download": (lambda client: client.download("s3://b/k", _new_folder()), object),
    "record": (
        lambda client: client.record(PlatformJob("a1", "completed", "flood", None, "s3://b/k.tif", "", "", ())),
        dict | None,
    ),
}


def _new_folder():
    return Path(tempfile.mkdtemp(dir="."))


@examples(60)
@given(st.sampled_from(sorted(CALLS)), st.lists(ANSWERS, min_size=1, max_size=3))
@example("jobs", [http(429, headers=[(b"retry-after", b"\xb2")])])
@example("jobs", [http(302, headers=[(b"location", b"http://[")])])
@example("job", [http(200, b'{"job_id": "a", "status": "b", "created_at": "0001-01-01T00:00:00+14:00"}')])
@example("jobs", [http(200, b"{}", headers=[(b"date", b"Mon, 01 Jan 0001 00:00:00 -0000")])])
def test_any_answer_is_a_result_or_one_clear_error(server, client, call, answers):
    server.tell(*answers)
    ask, kind = CALLS[call]
    try:
        result = ask(client)
    except PlatformError as error:
        assert len(str(error).split()) >= 6
        assert KEY not in str(error)
        assert str(error).isprintable()
    else:
        assert isinstance(result, kind)
        assert KEY not in repr(result)


def test_the_models_are_models(server, client):
    server.tell(http(200, b'{"models": [{"name": "flood"}, "fire", 5]}'))
    assert client.models() == [PlatformModel("flood"), PlatformModel("fire")]


def test_a_pause_that_is_no_number_and_a_moment_outside_of_the_calendar(server, client):
    job = b'{"experiment_id": "a1", "status": "pending", "created_at": "0001-01-01T00:00:00+14:00"}'
    server.tell(http(503, headers=[(b"retry-after", b"\xb2")]), http(200, job))
    assert client.job("a1").created_at is None


def test_a_redirect_to_what_is_no_address_is_refused(server, client):
    server.tell(http(302, headers=[(b"location", b"http://127.0.0.1:99999/")]))
    with pytest.raises(PlatformError, match=r"redirects GET /jobs to 'http://127\.0\.0\.1:99999/' \(302\)\."):
        client.jobs()
