"""Records, requests and sources: what was written is read again; any JSON is a record or one clear error."""

# ruff: noqa: E501, PT017 -- inputs read better in one line; an error or a result, both are checked

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from dissmodel_lab import DataSource, ExperimentRecord, JobRequest
from dissmodel_lab.errors import LabError
from dissmodel_lab.executor.schemas import PhaseUsage, can_be_read, mend
from dissmodel_lab.redaction import redact_text, redact_uri
from dissmodel_lab.store import read_record
from dissmodel_lab.store.reading import look_at, try_read
from properties import examples

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(
    lambda text: redact_text(redact_uri(text)) == text
)
NAMES = st.text("abcdefghij_ é", min_size=1, max_size=8)
VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXTS, st.dates(), st.binary(max_size=4)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3), st.tuples(inner, inner)
    ),
    max_leaves=5,
)
TABLES = st.dictionaries(NAMES, VALUES, max_size=3)
MOMENTS = st.datetimes(
    datetime(1, 1, 2),  # noqa: DTZ001 -- hypothesis adds the zone
    datetime(9999, 12, 30),  # noqa: DTZ001 -- as above
    timezones=st.integers(-14, 14).map(lambda h: timezone(timedelta(hours=h))),
)
SOURCES = st.builds(
    DataSource,
    type=st.sampled_from(["local", "s3", "http", "bdc_stac", "another"]),
    uri=TEXTS,
    collection=NAMES,
    version=NAMES,
    checksum=st.sampled_from(["", "e3" * 32]),
)
PHASES = st.builds(
    PhaseUsage,
    started_at=MOMENTS,
    seconds=st.floats(0, 1e9),
    status=st.sampled_from(["completed", "failed", "cancelled"]),
    peak_memory_bytes=st.none() | st.integers(0, 2**40),
)
RECORDS = st.builds(
    ExperimentRecord,
    experiment_id=st.text("0123456789abcdef", min_size=1, max_size=32),
    created_at=MOMENTS,
    model_name=NAMES,
    resolved_spec=TABLES,
    source=SOURCES,
    input_format=st.sampled_from(["auto", "tiff", "vector"]),
    band_map=TABLES,
    parameters=TABLES,
    parameter_origins=st.dictionaries(NAMES, NAMES, max_size=2),
    unread_parameters=st.lists(TEXTS, max_size=2),
    period=st.none() | st.tuples(NAMES, NAMES),
    fetched=st.lists(TABLES, max_size=2),
    output_path=st.none() | TEXTS,
    artifacts=st.dictionaries(NAMES, NAMES, max_size=2),
    metrics=TABLES,
    steps=st.none() | st.integers(),
    status=st.sampled_from(["pending", "running", "completed", "failed", "cancelled", "odd"]),
    logs=st.lists(TEXTS, max_size=3),
    started_at=st.none() | MOMENTS,
    phases=st.dictionaries(st.sampled_from(["validate", "load", "run", "save"]), PHASES, max_size=2),
    verdict=TABLES,
    sweep=TABLES,
    error=st.none() | TEXTS,
)
REQUESTS = st.builds(
    JobRequest,
    model_name=NAMES,
    package=NAMES,
    source=SOURCES,
    input_format=st.sampled_from(["tiff", "vector", "auto"]),
    parameters=TABLES,
    column_map=TABLES,
    band_map=TABLES,
    priority=st.sampled_from(["low", "normal", "high"]),
)


@examples(20)
@given(RECORDS)
def test_a_record_is_read_as_it_was_written(record):
    text = record.model_dump_json()
    again = ExperimentRecord.model_validate_json(text)
    assert again == record
    assert again.model_dump_json() == text
    assert again.created_at.tzinfo is UTC
    assert not mend(again)
    # no reader of JSON stumbles over it
    assert json.loads(text, parse_constant=pytest.fail)["experiment_id"] == record.experiment_id


@examples(25)
@given(SOURCES, REQUESTS)
def test_a_source_and_a_request_are_read_as_they_were_written(source, request):
    assert DataSource.model_validate_json(source.model_dump_json()) == source
    again = JobRequest.model_validate_json(request.model_dump_json())
    assert again == request
    nested = JobRequest.model_validate_json(json.dumps(json.loads(request.model_dump_json()) | {"model_name": "-"}))
    assert (nested.model_name, nested.parameters) == ("-", request.parameters)


@examples(20)
@given(REQUESTS)
def test_both_forms_of_a_request_are_one(request):
    """As the platform documents them: the table ``model`` with its class, and the flat one."""
    written = json.loads(request.model_dump_json())
    model = {"class": written["model_name"], "package": written["package"], "parameters": written["parameters"]}
    rest = {name: written[name] for name in ("source", "input_format", "column_map", "band_map", "priority")}
    assert JobRequest.model_validate({"model": model, **rest}) == request


FIELDS = (*ExperimentRecord.model_fields, "an_unknown_field")
ANY_JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
        st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01", "completed", "s3://a/b"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(max_size=8), inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["$float", "$int", "$ndarray", "$dict", "$set", "$datetime", "$seconds", "$tuple", "uri"]),
            inner,
            max_size=1,
        ),
    ),
    max_leaves=8,
)  # fmt: skip
NEARLY_RECORDS = st.dictionaries(st.sampled_from(FIELDS), ANY_JSON, max_size=4)
CONTENTS = st.one_of(
    NEARLY_RECORDS.map(lambda value: json.dumps(value).encode()),
    st.builds(
        lambda record, fields: json.dumps(json.loads(record.model_dump_json()) | fields).encode(),
        RECORDS,
        NEARLY_RECORDS,
    ),
    st.tuples(RECORDS, st.floats(0, 1)).map(
        lambda given: given[0].model_dump_json().encode()[: int(given[1] * len(given[0].model_dump_json()))]
    ),
    ANY_JSON.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=40),
)


@examples(80)
@given(CONTENTS)
@example(b'{"experiment_id": "a", "created_at": "0001-01-01T00:00:00+14:00"}')
@example(b'{"experiment_id": "a", "parameters": ' + b"[" * 500 + b"]" * 500 + b"}")
@example(b'{"experiment_id": "a", "steps": ' + b"9" * 5_000 + b"}")
@example(b'{"experiment_id": "a", "parameters": {"x": {"$seconds": 1e300}}}')
def test_any_content_is_a_record_or_one_clear_error(content):
    path = Path("run", "record.json")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    text = content.decode("utf-8", "replace")
    try:
        record = read_record(path)
    except LabError as error:
        assert re.fullmatch(r"'run/record\.json' holds no record: .+\.", str(error), re.DOTALL)
        assert try_read(path) is None
        if text.encode("utf-8", "replace") == content:
            assert not can_be_read(text)
    else:
        again = ExperimentRecord.model_validate_json(record.model_dump_json())
        assert again.experiment_id == record.experiment_id
        assert can_be_read(record.model_dump_json())
    found = look_at(b"run/record.json")  # as a listing does: nothing stops it
    assert found.summary is None or found.summary.id


@examples(100)
@given(ANY_JSON | NEARLY_RECORDS)
@example({"model_name": "a", "input_dataset": "http://[::1"})
def test_any_request_is_one_or_refused(said):
    for kind in (JobRequest, DataSource):
        try:
            read = kind.model_validate_json(json.dumps(said))
        except ValidationError:
            continue
        again = kind.model_validate_json(read.model_dump_json())  # NaN is not equal to itself, its text is
        assert again.model_dump_json() == read.model_dump_json()


def test_a_moment_outside_of_the_calendar_does_not_lose_a_record():
    record = ExperimentRecord(model_name="flood")
    record.ended_at = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))
    assert mend(record)
    assert record.ended_at is None
    assert can_be_read(record.model_dump_json())
