"""Code written to the page that describes the schemas runs when only the package name is changed."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

FIELDS = {
    "model_name": "",
    "model_commit": "",
    "code_version": "",
    "resolved_spec": {},
    "input_format": "auto",
    "column_map": {},
    "band_map": {},
    "parameters": {},
    "output_path": None,
    "artifacts": {},
    "metrics": {},
    "status": "pending",
    "logs": [],
}

READING = """
from dissmodel.executor.schemas import ExperimentRecord
from pathlib import Path

record = ExperimentRecord.model_validate_json(
    Path("output.record.json").read_text()
)

print(record.experiment_id)
print(record.metrics["time_load_sec"])
print(record.source.checksum)
"""

BUILDING = """
from dissmodel.executor.schemas import ExperimentRecord, DataSource

record = ExperimentRecord(
    model_name   = "my_model",
    model_commit = "abc123",
    code_version = "0.4.0",
    source       = DataSource(type="local", uri="data/input.gpkg"),
    parameters   = {"end_time": 20, "resolution": 100.0},
)
"""

SOURCE = """
from dissmodel.executor.schemas import DataSource

source = DataSource(
    type     = "s3",           # "local" | "s3" | "http"
    uri      = "s3://bucket/input.tif",
    checksum = "",             # filled by load()
)
"""

REQUEST = """
from dissmodel.executor.schemas import JobRequest

job = JobRequest(
    model = {
        "class":   "coastal_raster",
        "package": "git+https://github.com/LambdaGeo/coastal-dynamics@main",
        "parameters": {"end_time": 88},
    },
    source = {"type": "s3", "uri": "s3://dissmodel-inputs/grid.zip"},
)
"""


def page(code):
    """Run an example of the page with the package name changed."""
    names: dict[str, object] = {}
    exec(code.replace("from dissmodel.", "from dissmodel_lab."), names)  # the page's own code is what is tested
    return names


def test_reading_a_record(capsys):
    saved = {"experiment_id": "0a1b", "metrics": {"time_load_sec": 0.25}, "source": {"checksum": "e3b0"}}
    Path("output.record.json").write_text(json.dumps(saved))
    page(READING)
    assert capsys.readouterr().out == "0a1b\n0.25\ne3b0\n"


def test_building_a_record():
    record = page(BUILDING)["record"]
    assert (record.model_name, record.model_commit, record.code_version) == ("my_model", "abc123", "0.4.0")
    assert (record.source.type, record.source.uri, record.source.checksum) == ("local", "data/input.gpkg", "")
    assert record.parameters == {"end_time": 20, "resolution": 100.0}
    assert isinstance(record.parameters["end_time"], int)
    assert record.status == "pending"


def test_a_source():
    source = page(SOURCE)["source"]
    assert source.model_dump() == {
        "type": "s3",
        "uri": "s3://bucket/input.tif",
        "collection": "",
        "version": "",
        "checksum": "",
    }


def test_a_request():
    job = page(REQUEST)["job"]
    assert job.model["class"] == job.model_name == "coastal_raster"
    assert job.model["package"] == "git+https://github.com/LambdaGeo/coastal-dynamics@main"
    assert job.model["parameters"] == job.parameters == {"end_time": 88}
    assert job.source.type == "s3"
    assert job.source.uri == job.input_dataset == "s3://dissmodel-inputs/grid.zip"


def test_every_field_of_the_page_has_its_default():
    from dissmodel_lab.executor.schemas import DataSource, ExperimentRecord

    record = ExperimentRecord()
    assert {name: getattr(record, name) for name in FIELDS} == FIELDS
    assert len(record.experiment_id) == 32
    assert int(record.experiment_id, 16) >= 0
    assert ExperimentRecord().experiment_id != record.experiment_id
    assert isinstance(record.created_at, datetime)
    assert record.created_at.utcoffset().total_seconds() == 0
    assert record.source == DataSource()
    assert record.source.model_dump() == dict.fromkeys(("uri", "collection", "version", "checksum"), "") | {
        "type": "local"
    }


def test_defaults_are_not_shared():
    from dissmodel_lab.executor.schemas import ExperimentRecord

    first, second = ExperimentRecord(), ExperimentRecord()
    first.metrics["n"] = 1
    first.logs.append("line")
    first.add_artifact("plot", "e3b0")
    first.source.checksum = "e3b0"
    assert (second.metrics, second.logs, second.artifacts, second.source.checksum) == ({}, [], {}, "")


def test_output_sha256_is_the_artifact_named_output():
    from dissmodel_lab.executor.schemas import ExperimentRecord

    record = ExperimentRecord()
    assert record.output_sha256 is None
    record.output_sha256 = "abc"
    assert record.artifacts == {"output": "abc"}
    record.output_sha256 = None
    assert record.output_sha256 == "abc"
    record.add_artifact("output", "def")
    assert record.output_sha256 == "def"
    assert "output_sha256" not in json.loads(record.model_dump_json())


def test_helpers_append_in_order():
    from dissmodel_lab.executor.schemas import ExperimentRecord

    record = ExperimentRecord()
    record.add_log("first")
    record.add_log("second")
    record.add_artifact("report", "aa")
    record.add_artifact("plot", "bb")
    assert record.logs == ["first", "second"]
    assert record.artifacts == {"report": "aa", "plot": "bb"}


NESTED = {
    "model": {"class": "flood", "package": "git+https://x/y@main", "parameters": {"years": 3}},
    "source": {"type": "http", "uri": "https://host/g.tif"},
    "priority": "high",
}
FLAT = {
    "model_name": "flood",
    "package": "git+https://x/y@main",
    "input_dataset": "https://host/g.tif",
    "parameters": {"years": 3},
    "priority": "high",
}


def test_both_forms_of_a_request_are_one():
    from dissmodel_lab.executor.schemas import JobRequest

    nested, flat = JobRequest(**NESTED), JobRequest(**FLAT)
    assert nested == flat
    assert nested.model_dump_json() == flat.model_dump_json()
    assert JobRequest.model_validate(NESTED) == JobRequest.model_validate_json(json.dumps(FLAT))


@pytest.mark.parametrize("form", [NESTED, FLAT])
def test_a_request_survives_a_round_trip(form):
    from dissmodel_lab.executor.schemas import JobRequest

    job = JobRequest(**form)
    assert JobRequest.model_validate_json(job.model_dump_json()) == job
    assert JobRequest.model_validate(job.model_dump()) == job
    assert JobRequest(model=job.model, source=job.source, priority=job.priority) == job


def test_a_request_is_read_by_the_platform():
    from dissmodel.executor.schemas import JobRequest as Theirs

    from dissmodel_lab.executor.schemas import JobRequest

    read = Theirs.model_validate_json(JobRequest(**NESTED).model_dump_json())
    assert (read.model_name, read.input_dataset) == ("flood", "https://host/g.tif")
    assert (read.parameters, read.priority) == ({"years": 3}, "high")
    assert JobRequest.model_validate(read.model_dump()).source.type == "http"


def test_what_a_request_names_twice_comes_from_its_flat_fields():
    from dissmodel_lab.executor.schemas import JobRequest

    job = JobRequest(model={"class": "flood", "parameters": {"years": 3, "rise": 1.0}}, parameters={"years": 4})
    assert job.parameters == {"years": 4, "rise": 1.0}


@pytest.mark.parametrize("source", [{"uri": "s3://b/g.tif"}, {"uri": "S3://b/g.tif"}])
def test_a_source_without_a_type_gets_it_from_its_uri(source):
    from dissmodel_lab.executor.schemas import JobRequest

    assert JobRequest(model_name="flood", source=source).source.type == "s3"


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"model": {}},
        {"model": {"class": ""}},
        {"model": "flood"},
        {"model_name": "flood", "priority": "urgent"},
        {"model_name": "flood", "input_format": "shp"},
        {"model": {"class": "flood", "parameters": [1]}},
        {"model_name": "flood", "source": {"uri": None}},
        {"model_name": "flood", "source": "s3://b/g.tif"},
    ],
)
def test_a_request_that_cannot_be_understood_is_refused(wrong):
    from dissmodel_lab.executor.schemas import JobRequest

    with pytest.raises(ValidationError):
        JobRequest.model_validate(wrong)


def test_a_request_with_null_for_no_parameters():
    from dissmodel_lab.executor.schemas import JobRequest

    assert JobRequest(model={"class": "flood", "parameters": None}).parameters == {}
    assert JobRequest(model_name="flood", input_dataset=Path("g.tif")).source.uri == "g.tif"
