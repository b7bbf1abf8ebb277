"""Records of every version are read, nothing in them is lost, and no secret is ever written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from dissmodel.executor.schemas import ExperimentRecord as TheirRecord
from pydantic import ValidationError

from dissmodel_lab.executor import DataSource, ExperimentRecord, JobRequest
from dissmodel_lab.executor.schemas import GitState, PhaseUsage, Provenance, RunStatus

RECORD_0_4 = {
    "experiment_id": "5f0c1a7e9d1b4a0e8f6f2d3c4b5a6978",
    "created_at": "2025-11-03T14:22:31.512345",
    "model_name": "local",
    "model_commit": "",
    "code_version": "dev",
    "resolved_spec": {"model": {"class": "coastal_raster", "parameters": {"end_time": 88}}},
    "source": {"type": "local", "uri": "grid.tif", "collection": "", "version": "", "checksum": "ab12"},
    "input_format": "tiff",
    "column_map": {},
    "band_map": {"uso": "land"},
    "parameters": {"end_time": 88, "rate": None},
    "output_path": "out.tif",
    "artifacts": {"output": "cd34"},
    "metrics": {"time_load_sec": 1.25, "rmse": None},
    "status": "completed",
    "logs": ["Saved"],
}


def written(record):
    """Return what stands in the file, as strict JSON."""
    return json.loads(record.model_dump_json(), parse_constant=pytest.fail)


def test_a_naive_time_of_an_old_record_is_utc():
    record = ExperimentRecord.model_validate(RECORD_0_4)
    assert record.created_at == datetime(2025, 11, 3, 14, 22, 31, 512345, tzinfo=UTC)
    assert record.created_at.tzinfo is UTC
    newer = ExperimentRecord.model_validate({**RECORD_0_4, "created_at": "2026-01-05T10:00:00-03:00"})
    assert newer.created_at.isoformat() == "2026-01-05T13:00:00+00:00"
    assert sorted([newer, record], key=lambda each: each.created_at) == [record, newer]


def test_an_old_record_comes_back_with_all_that_it_said():
    record = ExperimentRecord.model_validate_json(json.dumps(RECORD_0_4))
    back = written(record)
    assert back["created_at"] == "2025-11-03T14:22:31.512345Z"
    assert {name: back[name] for name in RECORD_0_4 if name != "created_at"} == {
        name: value for name, value in RECORD_0_4.items() if name != "created_at"
    }


def test_a_record_of_one_field_loads():
    record = ExperimentRecord.model_validate_json('{"model_name": "flood"}')
    assert record.model_name == "flood"
    assert record.status == "pending"
    assert record.created_at.tzinfo is UTC


def test_the_period_of_newer_records():
    record = ExperimentRecord.model_validate_json(json.dumps({**RECORD_0_4, "period": ["2000", "2014"]}))
    assert record.period == ("2000", "2014")
    assert written(record)["period"] == ["2000", "2014"]


def test_an_odd_status_is_kept():
    assert written(ExperimentRecord.model_validate({"status": "concluído, quase"}))["status"] == "concluído, quase"


def test_unknown_fields_survive_at_every_level():
    future = {
        "tags": ["a", {"b": None}],
        "source": {"uri": "g.tif", "etag": "W/1", "grid": {"rows": 5}},
        "phases": {"load": {"started_at": "2026-01-01T00:00:00Z", "seconds": 1.0, "energy_joules": 3.5}},
        "provenance": {"container": "sha256:ab", "executor_git": {"commit": "ab", "branch": "main"}},
        "metrics": {"nested": {"unknown": [1, 2]}},
    }
    record = ExperimentRecord.model_validate_json(json.dumps(future))
    back = written(record)
    assert back["tags"] == future["tags"]
    assert back["source"]["etag"] == "W/1"
    assert back["source"]["grid"] == {"rows": 5}
    assert back["phases"]["load"]["energy_joules"] == 3.5
    assert back["provenance"]["container"] == "sha256:ab"
    assert back["provenance"]["executor_git"]["branch"] == "main"
    assert back["metrics"] == future["metrics"]
    assert ExperimentRecord.model_validate_json(record.model_dump_json()) == record
    assert record.tags == future["tags"]


def test_values_of_unknown_fields_come_back_meaning_the_same():
    record = ExperimentRecord(window=(1, 2), share=float("inf"))
    back = ExperimentRecord.model_validate_json(record.model_dump_json())
    assert (back.window, back.share) == ((1, 2), float("inf"))


def full_record():
    """A record with something in every field."""
    moment = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    return ExperimentRecord(
        model_name="flood",
        model_commit="abc",
        code_version="1.0",
        resolved_spec={"model": {"class": "flood"}},
        source=DataSource(type="bdc_stac", uri="g.tif", collection="S2", version="2", checksum="ab"),
        input_format="tiff",
        column_map={"uso": "land"},
        band_map={"b1": 1},
        parameters={"years": 5, "zones": (1, 2), "rate": float("nan")},
        period=("2000", "2014"),
        output_path="out.tif",
        artifacts={"output": "cd"},
        artifact_paths={"output": "out.tif"},
        content_sha256={"output": "ef"},
        metrics={"time_load_sec": 1.0, "error": float("inf")},
        status="failed",
        logs=["a line"],
        started_at=moment,
        ended_at=moment,
        phases={"load": PhaseUsage(started_at=moment, seconds=1.0, status="failed", peak_memory_bytes=5)},
        failed_phase="load",
        error="ValueError: x",
        provenance=Provenance(executor_git=GitState(commit="ab", dirty=True), cell_source="1 + 1", seed=4),
    )


def test_a_full_record_comes_back_equal():
    record = full_record()
    record.parameters["rate"] = float("-inf")  # NaN would not equal itself
    assert ExperimentRecord.model_validate_json(record.model_dump_json()) == record
    assert ExperimentRecord.model_validate(record.model_dump()) == record


def test_our_record_is_read_by_dissmodel():
    record = full_record()
    theirs = TheirRecord.model_validate_json(record.model_dump_json())
    other = {"source", "parameters", "metrics"}
    same = [*(set(TheirRecord.model_fields) - other), "output_sha256"]
    assert {name: getattr(theirs, name) for name in same} == {name: getattr(record, name) for name in same}
    assert theirs.source.model_dump() == record.source.model_dump()
    assert theirs.parameters["years"] == 5
    assert theirs.metrics["time_load_sec"] == 1.0


def test_a_record_of_dissmodel_is_read_here():
    theirs = TheirRecord(model_name="flood", parameters={"years": 5}, period=("2000", "2014"), metrics={"m": 1})
    theirs.output_sha256 = "ab"
    theirs.add_log("line")
    for read in (
        ExperimentRecord.model_validate_json(theirs.model_dump_json()),
        ExperimentRecord.model_validate(theirs.model_dump()),
    ):
        assert {name: getattr(read, name) for name in TheirRecord.model_fields if name != "source"} == {
            name: getattr(theirs, name) for name in TheirRecord.model_fields if name != "source"
        }
        assert read.source.model_dump() == theirs.source.model_dump()
        assert read.output_sha256 == "ab"


def test_a_record_goes_there_and_back_unchanged():
    record = ExperimentRecord.model_validate(RECORD_0_4)
    theirs = TheirRecord.model_validate_json(record.model_dump_json())
    back = ExperimentRecord.model_validate_json(theirs.model_dump_json())
    assert back == record


def test_times_are_always_written_in_utc():
    local = datetime(2026, 6, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert written(ExperimentRecord(created_at=local))["created_at"] == "2026-06-01T10:00:00Z"


def test_text_that_is_not_utf8_does_not_lose_the_record():
    odd = b"caf\xe9.tif".decode("utf-8", "surrogateescape")
    record = ExperimentRecord(
        source=DataSource(uri=odd), output_path=odd, logs=[odd], error=odd, artifact_paths={"output": odd}
    )
    record.provenance = Provenance(working_folder=odd, notebook_path=odd, cell_source=odd, command=odd)
    back = ExperimentRecord.model_validate_json(record.model_dump_json())
    shown = "caf\\udce9.tif"
    assert (back.source.uri, back.output_path, back.logs, back.error) == (shown, shown, [shown], shown)
    assert back.artifact_paths == {"output": shown}
    assert back.provenance.working_folder == back.provenance.notebook_path == shown
    assert record.source.uri == odd


def test_what_executors_put_in_the_wrong_place_does_not_lose_the_record():
    record = ExperimentRecord()
    record.add_log(5)
    record.logs.append(ValueError("odd"))
    record.output_path = Path("out/x.tif")
    record.source.uri = Path("in.tif")
    record.source.checksum = None
    record.artifacts["plot"] = None
    record.artifacts["report"] = Path("r.html")
    record.status = RunStatus.COMPLETED
    back = ExperimentRecord.model_validate(written(record) | {"source": {"uri": "in.tif"}})
    assert back.logs == ["5", "odd"]
    assert back.output_path == "out/x.tif"
    assert back.artifacts == {"plot": "", "report": "r.html"}
    assert back.status == "completed"
    assert written(record)["source"]["uri"] == "in.tif"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "5", '{"metrics": 5}', '{"created_at": "yesterday"}', '{"artifacts": {"output": 5}}']
)
def test_what_is_no_record_is_refused(text):
    with pytest.raises(ValidationError):
        ExperimentRecord.model_validate_json(text)


@pytest.mark.parametrize(
    ("uri", "kind"),
    [("s3://b/x", "s3"), ("http://h/x", "http"), ("HTTPS://h/x", "http"), ("data/x.tif", "local"),
     ("file:///x.tif", "local"), ("synthetic", "local"), ("", "local"), ("ftp://h/x", "local")],
)  # fmt: skip
def test_the_type_of_a_source_from_its_uri(uri, kind):
    source = DataSource.from_uri(uri)
    assert (source.type, source.uri) == (kind, uri)


def test_artifact_path_prefers_the_file_beside_the_record(tmp_path):
    (tmp_path / "flood.tif").touch()
    record = ExperimentRecord(artifact_paths={"output": "flood.tif", "gone": "gone.tif"}, output_path="else.tif")
    assert record.artifact_path() == Path("flood.tif")
    record._record_path = tmp_path / "record.json"
    assert record.artifact_path() == tmp_path / "flood.tif"
    assert record.artifact_path("gone") == Path("gone.tif")
    assert record.artifact_path("none") is None
    assert record.record_path == tmp_path / "record.json"
    assert "record_path" not in written(record)


SECRET = "hunter2"


class _Carrier:
    """Each method puts the secret into another place of a record."""

    def uri(self, record):
        record.source.uri = f"s3://key:{SECRET}@bucket/x.tif"

    def signed_uri(self, record):
        record.source.uri = f"https://host/x.tif?X-Amz-Signature={SECRET}&band=1"

    def connection_text(self, record):
        record.source.uri = f"PG:host=db user=ana password={SECRET}"

    def output_path(self, record):
        record.output_path = f"s3://key:{SECRET}@bucket/out.tif"

    def artifact_path(self, record):
        record.artifact_paths["output"] = f"s3://key:{SECRET}@bucket/out.tif"

    def parameter_by_name(self, record):
        record.parameters["api_key"] = SECRET

    def parameter_bytes(self, record):
        record.parameters["password"] = SECRET.encode()

    def parameter_list(self, record):
        record.parameters["tokens"] = [SECRET]

    def parameter_table(self, record):
        record.parameters["credentials"] = {"user": "ana", "value": SECRET}

    def nested(self, record):
        record.parameters["store"] = [{"deep": ({"minio_secret_key": SECRET},)}]

    def nested_with_odd_keys(self, record):
        record.parameters["store"] = {1: 2, "token": SECRET}

    def key_of_a_dict(self, record):
        record.parameters["layers"] = {f"https://ana:{SECRET}@host/wms": 1}

    def parameter_uri(self, record):
        record.parameters["demand"] = f"https://ana:{SECRET}@host/demand.csv"

    def resolved_spec(self, record):
        record.resolved_spec = {"model": {"parameters": {"token": SECRET}}}

    def metric(self, record):
        record.metrics["access_token"] = SECRET

    def log(self, record):
        record.add_log(f"reading s3://key:{SECRET}@bucket/x.tif with token={SECRET}")

    def error(self, record):
        record.error = f"OSError: 403 for https://host/x?sig={SECRET}"

    def cell(self, record):
        record.provenance = Provenance(cell_source=f'import os\nos.environ["AWS_SECRET_ACCESS_KEY"] = "{SECRET}"')

    def command(self, record):
        record.provenance = Provenance(command=f"dissmodel-lab run m --param password={SECRET}")

    def unknown_field(self, record):
        record.api_token = SECRET

    def unknown_field_of_source(self, record):
        record.source.secret = SECRET

    def column_map(self, record):
        record.column_map["password"] = SECRET


PLACES = [name for name in vars(_Carrier) if not name.startswith("_")]


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_is_never_written(place):
    record = ExperimentRecord()
    getattr(_Carrier(), place)(record)
    before = repr(record.model_dump())
    text = record.model_dump_json()
    assert SECRET not in text
    assert "aHVudGVyMg" not in text  # base64 of it
    assert "***" in text
    assert SECRET not in json.dumps(record.model_dump(mode="json"))
    assert repr(record.model_dump()) == before  # the values in memory stay: an executor needs them
    assert SECRET in before
    assert SECRET not in repr(record)
    ExperimentRecord.model_validate_json(text)


def test_a_password_of_digits_is_hidden_but_a_count_is_not():
    record = ExperimentRecord(parameters={"password": 1234, "token_count": 512, "secret": True, "token": None})
    assert written(record)["parameters"] == {"password": "***", "token_count": 512, "secret": True, "token": None}


def test_a_request_hides_its_secrets():
    job = JobRequest(model_name="m", input_dataset=f"s3://k:{SECRET}@b/x", parameters={"token": SECRET})
    assert SECRET not in job.model_dump_json()
    assert SECRET in job.input_dataset


def test_a_printed_record_shows_no_values():
    record = ExperimentRecord(
        experiment_id="ab12",
        model_name="flood",
        source=DataSource(type="http", uri="https://ana:pw@host/x.tif"),
        parameters={"api_key": "s3cr3t"},
    )
    assert repr(record) == "ExperimentRecord(experiment_id='ab12', model_name='flood', status='pending')"
    assert str(record) == "experiment_id='ab12' model_name='flood' status='pending'"
    assert repr(record.source) == "DataSource(type='http', uri='https://***@host/x.tif', checksum='')"
