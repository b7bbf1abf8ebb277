"""What an executor reads of its parameters is noted, and the executor cannot tell."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
from pathlib import Path

import pytest
from doors import DOORS

from dissmodel_lab import ExperimentRecord, ModelExecutor, execute_lifecycle, run
from dissmodel_lab.executor.reads import Reads, WatchedParameters, plain_spec, watched_spec
from dissmodel_lab.store import RunStore


class Undeclared(ModelExecutor, register=False):
    """Reads its parameters as older executors do."""

    name = "undeclared"

    def load(self, record):
        return record.parameters.get("demand_csv", "none")

    def run(self, data, record):
        spec = record.resolved_spec["model"]
        return f"{record.parameters['end_time']} {record.parameters.get('gain', 0.5)} {spec.get('rate', 3)} {data}"

    def save(self, result, record):
        Path(record.output_path).write_text(result)
        return record


@pytest.fixture
def watched():
    reads = Reads(is_watching=True)
    return WatchedParameters({"gain": 2, "rate": None}, reads), reads


def test_answers_as_any_dict_does(watched):
    parameters, _ = watched
    assert parameters == {"gain": 2, "rate": None}
    assert (parameters["gain"], parameters.get("rate", 7), parameters.get("x"), "x" in parameters) == (
        2,
        None,
        None,
        False,
    )
    assert list(parameters) == ["gain", "rate"]
    assert parameters | {"z": 1} == {"gain": 2, "rate": None, "z": 1}
    assert {"z": 1} | parameters == {"z": 1, "gain": 2, "rate": None}
    assert json.loads(json.dumps(parameters)) == {"gain": 2, "rate": None}
    assert parameters.pop("gain") == 2
    assert parameters.pop("gain", "gone") == "gone"
    assert parameters.setdefault("new", 4) == 4
    assert parameters["new"] == 4
    with pytest.raises(KeyError, match="gain"):
        parameters["gain"]


@pytest.mark.parametrize("ask", [
    lambda p: p["gain"],
    lambda p: p.get("gain"),
    lambda p: p.pop("gain"),
    lambda p: "gain" in p,
    lambda p: p.setdefault("gain", 1),
])  # fmt: skip
def test_asking_for_a_name_is_noted(watched, ask):
    parameters, reads = watched
    ask(parameters)
    assert (reads.names, reads.unread({"gain": 2, "rate": None}), reads.defaults) == ({"gain"}, ["rate"], {})


@pytest.mark.parametrize("take", [
    dict,
    list,
    copy.copy,
    copy.deepcopy,
    pickle.dumps,
    json.dumps,
    lambda p: p.copy(),
    lambda p: p.items(),
    lambda p: p.values(),
    lambda p: p.keys(),
    lambda p: {**p},
    lambda p: dict(**p),
    lambda p: p | {},
])  # fmt: skip
def test_taken_as_a_whole_leaves_nothing_unread(watched, take):
    parameters, reads = watched
    take(parameters)
    assert reads.unread({"gain": 2, "rate": None}) == []


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p)), dict.copy])
def test_copies_are_plain(watched, duplicate):
    assert type(duplicate(watched[0])) is dict
    assert duplicate(watched[0]) == {"gain": 2, "rate": None}


@pytest.mark.parametrize("take", [
    lambda p: p.get("end_time", 88),
    lambda p: p.pop("end_time", 88),
    lambda p: p.setdefault("end_time", 88),
])  # fmt: skip
def test_defaults_that_are_taken_are_noted(watched, take):
    parameters, reads = watched
    assert take(parameters) == 88
    assert reads.defaults == {"end_time": 88}


def test_what_the_lab_reads_does_not_count():
    reads = Reads()
    parameters = WatchedParameters({"gain": 2}, reads)
    assert (parameters["gain"], parameters.get("x", 1), dict(parameters)) == (2, 1, {"gain": 2})
    assert (reads.names, reads.defaults, reads.is_whole) == (set(), {}, False)


def test_older_spec_is_watched_and_given_back_plain():
    reads = Reads(is_watching=True)
    spec = watched_spec({"model": {"class": "x", "rate": 3, "parameters": {"gain": 1}}, "other": 1}, reads)
    assert (spec["model"]["rate"], spec["model"]["parameters"].get("steps", 5)) == (3, 5)
    assert reads.defaults == {"steps": 5}
    reads.is_watching = False
    plain = plain_spec(spec)
    assert plain == {"model": {"class": "x", "rate": 3, "parameters": {"gain": 1}}, "other": 1}
    assert {type(plain["model"]), type(plain["model"]["parameters"])} == {dict}


@pytest.mark.parametrize("door", DOORS, indirect=True)
def test_record_tells_what_was_really_used(door, workspace):
    Path("demand.csv").write_text("year,area\n2020,5\n")
    Path("model.toml").write_text("[model]\nrate = 9\n[model.parameters]\nend_time = 4\n")
    record = door(Undeclared, {"end_time": 5, "demand_csv": "demand.csv", "gian": 0.7}).record
    assert record.status == "completed"
    assert record.parameters == {"end_time": 5, "demand_csv": "demand.csv", "gian": 0.7}
    assert record.defaults_taken == {"gain": 0.5, "rate": 3}
    assert record.parameter_origins == {
        "end_time": "given",
        "demand_csv": "given",
        "gian": "given",
        "gain": "default taken",
        "rate": "default taken",
    }
    assert record.unread_parameters == ["gian"]
    assert record.warnings[-1] == (
        "The parameter 'gian' was given, but the model never read it. "
        "Did you mean 'gain'? Known: demand_csv, end_time, gain, rate."
    )
    assert record.parameter_files == {"demand_csv": hashlib.sha256(Path("demand.csv").read_bytes()).hexdigest()}
    assert record.artifact_path().read_text() == "5 0.5 3 demand.csv"


def test_toml_values_stand_where_any_executor_looks_and_say_so(workspace):
    from dissmodel_lab import run

    Path("model.toml").write_text("[model]\nrate = 9\n[model.parameters]\nend_time = 4\n")
    record = run(Undeclared, toml="model.toml", parameters={"gain": 2})
    assert record.artifact_path().read_text() == "4 2 9 none"
    assert record.parameter_origins == {
        "rate": "toml",
        "end_time": "toml",
        "gain": "given",
        "demand_csv": "default taken",
    }
    assert record.resolved_spec["model"]["end_time"] == 4  # some read [model], some [model.parameters]
    assert record.resolved_spec["model"]["parameters"] == {"rate": 9, "end_time": 4, "gain": 2}


def test_a_failed_run_accuses_nobody():
    class Failing(Undeclared, register=False):
        def load(self, record):
            raise ValueError("no cells")

    record = ExperimentRecord(parameters={"end_time": 4})
    with pytest.raises(ValueError, match="no cells"):
        execute_lifecycle(Failing(), record)
    assert record.unread_parameters == []
    assert type(record.parameters) is dict


def test_secrets_among_the_defaults_are_hidden(workspace):
    from dissmodel_lab import run

    class Secretive(Undeclared, register=False):
        def run(self, data, record):
            return record.parameters.get("api_key", "hunter2-hunter2")

    record = run(Secretive, parameters={"end_time": 1, "password": "s3cr3t-s3cr3t"})
    [entry] = RunStore().entries()
    text = (entry.folder / "record.json").read_text()
    assert "hunter2" not in text
    assert "s3cr3t" not in text
    assert record.unread_parameters == ["end_time", "password"]


def test_replaced_parameters_accuse_nobody(workspace):
    from dissmodel_lab import run

    class Replacing(Undeclared, register=False):
        def load(self, record):
            record.parameters = {"end_time": 3}

    record = run(Replacing, parameters={"end_time": 1, "x": 2})
    assert record.unread_parameters == []
    assert record.parameters == {"end_time": 3}


def test_of_thousands_of_parameters_that_nobody_reads_the_first_are_named(workspace):
    extra = {f"extra_{number}": number for number in range(5_000)}
    record = run(Undeclared, parameters={"end_time": 5, **extra})
    assert len(record.unread_parameters) == 5_000
    never = [warning for warning in record.warnings if "never read" in warning]
    assert len(never) == 42
    assert never[20] == "4,980 more parameters are never read by Undeclared. Leave them out."
    assert never[-1] == "4,980 more parameters were given, but never read."


def test_a_table_beside_the_model_that_nothing_reads(workspace):
    Path("study.toml").write_text("[model]\nend_time = 5\n[parameters]\ngain = 0.7\n")
    record = run(Undeclared, toml="study.toml")
    assert "The table [parameters] beside [model] is never read. Write [model.parameters]." in record.warnings
    assert record.defaults_taken["gain"] == 0.5
