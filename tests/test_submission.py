"""A request for a run becomes a queued run with a record, on any engine, in whichever environment."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from tiny_wheel import write_wheel

import dissmodel_lab as lab
from dissmodel_lab.engines import Engine, RunHandle
from dissmodel_lab.environments import InstallConsent, environments, make_environment, remove_environment
from dissmodel_lab.errors import EngineError, ExecutorNotFoundError, InstallError, ParameterError
from dissmodel_lab.executor import JobRequest, ModelExecutor
from dissmodel_lab.submission import submit

posix = pytest.mark.skipif(os.name != "posix", reason="environments of their own need POSIX")


class Waiting(Engine):
    """An engine that takes jobs and keeps them."""

    name = "waiting"

    def __init__(self):
        self.taken = []

    def start(self, job, priority=0, observers=()):
        self.taken.append((job, priority))
        return RunHandle(job, self.name)

    def shutdown(self, wait=True, cancel=False):
        pass


NESTED = {
    "model": {"class": "game_of_life", "parameters": {"generations": 2}},
    "source": {"uri": "synthetic"},
    "priority": "high",
    "input_format": "tiff",
    "column_map": {"uso": "landuse"},
    "band_map": {"1": "state"},
}


@pytest.mark.parametrize("form", ["nested", "flat", "object"])
def test_a_request_becomes_a_job_whose_record_is_on_disk_first(form, tmp_path):
    request = {
        "nested": NESTED,
        "flat": {
            **{name: NESTED[name] for name in ("priority", "input_format", "column_map", "band_map")},
            "model_name": "game_of_life",
            "parameters": {"generations": 2},
            "input_dataset": "synthetic",
        },
        "object": JobRequest(**NESTED),
    }[form]
    engine = Waiting()
    handle = submit(request, engine=engine, store=tmp_path / "s", memory="1 GiB", keep=False)
    ((job, priority),) = engine.taken
    record = handle.record
    assert priority == 1
    assert (job.ends_with_kernel, job.limits.memory_bytes, job.is_queued) == (True, 1024**3, True)
    assert (record.status, record.engine, handle.status) == ("pending", "waiting", "queued")
    assert (record.input_format, record.column_map, record.band_map) == ("tiff", {"uso": "landuse"}, {"1": "state"})
    assert (record.model_name, record.source.uri) == ("game_of_life", "synthetic")
    assert record.parameters["generations"] == 2
    assert record.parameter_origins["generations"] == "given"
    assert record.provenance.process_id == os.getpid()


def test_a_request_runs_and_its_fields_are_in_the_record(tmp_path):
    request = {"model": NESTED["model"], "input_format": "tiff", "band_map": {"state": "alive"}}
    handle = submit(request, store=tmp_path / "s")
    record = handle.result(timeout=120)
    assert (record.status, record.engine, record.band_map) == ("completed", "process", {"state": "alive"})
    assert record.experiment_id == handle.experiment_id
    assert len(list((tmp_path / "s").glob("*/record.json"))) == 1


def test_a_request_may_name_a_class_of_the_notebook(tmp_path):
    class Cell(ModelExecutor, register=False):
        name = "cell_model"

        def load(self, record):
            return 1

        def run(self, data, record):
            return data

        def save(self, result, record):
            record.metrics["result"] = result
            return record

    handle = submit({"model_name": "Cell"}, engine="inline", store=tmp_path / "s", namespace={"Cell": Cell})
    assert handle.result().metrics["result"] == 1


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ({}, "This is no request for a run. model_name: Field required"),
        ({"model_name": ""}, "This is no request for a run. model_name: String should have at least 1 character"),
        ({"model_name": "game_of_life", "priority": "urgent"}, "priority: Input should be 'low', 'normal' or 'high'"),
        ({"model": {"class": "x", "parameters": [1]}}, "parameters must be a table of names and values"),
        ("game_of_life", "This is no request for a run."),
        (None, "This is no request for a run."),
    ],
)
def test_a_malformed_request_is_refused_in_one_message(request_, why, tmp_path):
    with pytest.raises(ParameterError) as refused:
        submit(request_, store=tmp_path / "s")
    assert why in str(refused.value)
    assert not (tmp_path / "s").exists()


def test_an_unknown_model_leaves_nothing(tmp_path):
    with pytest.raises(ExecutorNotFoundError, match="Did you mean 'game_of_life'"):
        submit({"model_name": "game_of_lif"}, store=tmp_path / "s", engine=Waiting())
    assert not list(tmp_path.rglob("record.json"))


def test_a_package_that_is_here_already_needs_no_consent(tmp_path):
    request = {"model": {"class": "game_of_life", "package": "dissmodel-lab>=0.0", "parameters": {"generations": 1}}}
    engine = Waiting()
    submit(request, store=tmp_path / "s", engine=engine)
    assert engine.taken[0][0].python == ""
    with pytest.raises(InstallError, match="Nothing was installed"):
        submit({"model": {**request["model"], "package": "dissmodel-lab>99"}}, store=tmp_path / "s", engine=engine)


@pytest.mark.parametrize("package", ["--pre x", "a; rm -rf ~", "http://example.org/a.zip"])
def test_a_package_that_is_none_is_refused_whatever_the_consent(package, tmp_path):
    with pytest.raises(InstallError):
        submit({"model": {"class": "game_of_life", "package": package}}, consent=True, store=tmp_path / "s")
    assert not (tmp_path / "s").exists()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Environment of a package that only this test has, made once."""
    folder = tmp_path_factory.mktemp("tiny")
    write_wheel(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(folder))
        make_environment("tiny_models", consent=True, folder=folder / "environments")
    return folder


@pytest.fixture
def environment(tiny, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tiny))
    monkeypatch.setenv("DISSMODEL_LAB_ENVIRONMENTS", str(tiny / "environments"))
    return environments()[0]


def asking(model, **parameters):
    return {"model": {"class": model, "package": "tiny_models", "parameters": parameters}}


@posix
def test_without_consent_nothing_runs_even_where_the_environment_is_there(environment, tmp_path):
    for consent in (None, False, lambda plan: False, InstallConsent(package="other")):
        with pytest.raises(InstallError):
            submit(asking("tiny"), consent=consent, store=tmp_path / "s")
    assert not (tmp_path / "s").exists()


@posix
def test_a_model_of_another_environment_runs_there(environment, tmp_path):
    events = []
    handle = submit(asking("tiny", add=5), consent=True, store=tmp_path / "s", observers=[events.append])
    assert handle.record.status in ("pending", "running")
    outcome = handle.wait(120)
    record = handle.result()
    assert (record.status, record.metrics["result"], record.model_name) == ("completed", 25, "tiny")
    assert record.metrics["prefix"] == str(environment.folder)
    assert record.provenance.executor_package == "tiny_models==1.0"
    assert record.environment == {"package": "tiny_models", "key": environment.key}
    assert "printed by tiny" in outcome.printed
    assert [type(event).__name__ for event in events][-1] == "RunFinished"
    assert Path(record.artifact_path()).read_text() == "25"
    assert "tiny_models" not in sys.modules
    with pytest.raises(ModuleNotFoundError):
        __import__("tiny_models")


@posix
def test_a_run_in_another_environment_is_cancelled_and_holds_it_meanwhile(environment, tmp_path):
    handle = submit(asking("tiny_sleeping"), consent=True, store=tmp_path / "s")
    deadline = time.monotonic() + 60
    while not (handle.folder / "journal.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    with pytest.raises(InstallError, match=r"is in use\. Wait for the runs in it, or cancel them\."):
        remove_environment(environment.key)
    asked = time.monotonic()
    handle.cancel("enough")
    assert handle.wait(60).status == "cancelled"
    assert time.monotonic() - asked < 5
    assert handle.record.status == "cancelled"


@posix
def test_a_crash_in_another_environment_is_told(environment, tmp_path):
    handle = submit(asking("tiny_crashing"), consent=True, store=tmp_path / "s")
    outcome = handle.wait(120)
    assert outcome.status == handle.record.status == "failed"
    assert "exit code 3" in handle.record.error


@posix
def test_a_model_that_its_package_does_not_have_leaves_no_record(environment, tmp_path):
    with pytest.raises(ExecutorNotFoundError, match="In the environment of 'tiny_models': 0 models of tiny_models"):
        submit(asking("tinny"), consent=True, store=tmp_path / "s")
    assert not list(tmp_path.rglob("record.json"))


@posix
def test_a_model_of_another_environment_cannot_run_inline(environment, tmp_path):
    with pytest.raises(EngineError, match="cannot run in this process"):
        submit(asking("tiny"), consent=True, engine="inline", store=tmp_path / "s")
    assert not list(tmp_path.rglob("record.json"))


def test_a_job_that_no_engine_takes_leaves_a_record_that_says_so(tmp_path):
    class Full(Waiting):
        def start(self, job, priority=0, observers=()):
            raise EngineError("The engine is full.")

    with pytest.raises(EngineError, match="full"):
        submit({"model_name": "game_of_life"}, engine=Full(), store=tmp_path / "s")
    (path,) = (tmp_path / "s").glob("*/record.json")
    record = lab.read_record(path)
    assert (record.status, record.error) == ("failed", "EngineError: The engine is full.")
