"""Runs on a DisSModel Platform: from a job to a record in the local store, whatever the server does."""

import hashlib
import json
import logging
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from platform_server import GATED, KEY, Fault, running_platform
from platform_server.models import ENTERED, GATE

from dissmodel_lab import RunStore, read_record, run
from dissmodel_lab.cancelling import cancel_run
from dissmodel_lab.engines import platform_run
from dissmodel_lab.engines.platform import PlatformEngine
from dissmodel_lab.errors import EngineError, OutputError, PlatformError
from dissmodel_lab.executor import ModelExecutor
from dissmodel_lab.executor.events import LogLine, RunFinished, RunStarted
from dissmodel_lab.index import RunQuery
from dissmodel_lab.jobs import Job, Limits
from dissmodel_lab.launch import platform_job
from dissmodel_lab.maps import preview
from dissmodel_lab.platform_client import ApiKey, PackageError, PlatformClient
from dissmodel_lab.platform_client.transport import Timing

# Runs in several threads read rasters without a transform: what one of them ignores, another one undoes.
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

FAST = Timing(connect=2, read=2.0, deadline=3.0, attempts=4, first_pause=0.01)


@pytest.fixture(scope="module")
def server():
    with running_platform() as platform:
        yield platform


@pytest.fixture
def platform(server):
    return server.reset()


@pytest.fixture
def engine(platform, monkeypatch):
    monkeypatch.setattr(platform_run, "_LONGEST", 0.3)
    client = PlatformClient(platform.url, key=ApiKey(KEY, "a test"), timing=FAST)
    with PlatformEngine(client=client) as engine:
        yield engine
        GATE.set()


@pytest.fixture
def store(workspace):
    return RunStore(workspace / "store")


def job_of(store, model, **options):
    experiment_id = uuid4().hex
    return Job(
        model=model,
        store=str(store.root.absolute()),
        working_folder=os.getcwd(),
        experiment_id=experiment_id,
        folder_name=f"20261123T120000-x-{experiment_id[:8]}",
        **options,
    )


def run_here(engine, store, model, **options):
    handle = engine.start(job_of(store, model, **options))
    handle.wait(40)
    return handle


# ------------------------------------------------------------------------------------------------ flow


def test_a_run_there_is_kept_here_like_any_other(engine, platform, store):
    told = []
    handle = engine.start(job_of(store, "game_of_life", parameters={"generations": 4}), observers=[told.append])
    record = handle.result(40)
    theirs = platform.work.find(record.platform["id"])
    assert (record.status, record.engine, record.model_name) == ("completed", "platform", "game_of_life")
    assert record.platform == {"url": platform.url, "id": theirs.experiment_id}
    assert (record.parameters, record.metrics, record.artifacts) == (
        theirs.parameters,
        theirs.metrics,
        theirs.artifacts,
    )
    assert (record.model_commit, record.code_version) == ("abc1234", "0.6.6")
    output = record.artifact_path()
    assert output.parent == handle.folder
    assert hashlib.sha256(output.read_bytes()).hexdigest() == record.output_sha256
    assert [type(event) for event in told] == [RunStarted, LogLine, RunFinished]
    assert told[1].text == (
        f"Submitted to {platform.url} as {theirs.experiment_id}. It tells only that a job is pending until it has "
        "ended: whether it waits or runs, and its phase, is not known before its record arrives."
    )
    assert record.phases == {}
    assert record.metrics["time_run_sec"] > 0
    assert [entry.status for entry in store.entries()] == ["completed"]
    assert preview(output).png.startswith(b"\x89PNG")


def their_id(handle):
    """Return the platform's own id of a run: the model may begin there before its submission is answered here."""
    deadline = time.monotonic() + 60
    while "id" not in handle.record.platform:
        assert time.monotonic() < deadline, "the submission was not answered"
        time.sleep(0.01)
    return handle.record.platform["id"]


def test_nothing_is_claimed_of_the_machine_that_computes(engine, store):
    facts = run_here(engine, store, "game_of_life").record.provenance
    assert (facts.versions, facts.platform, facts.cpu_count, facts.memory_bytes) == ({}, "", None, None)
    assert (facts.executor_class, facts.executor_git, facts.process_id) == ("", None, os.getpid())


def test_the_output_is_that_of_a_run_in_this_process(engine, store):
    there = run_here(engine, store, "coastal_flood", parameters={"end_year": 2050}).record
    here = run("coastal_flood", parameters={"end_year": 2050}, store=store)
    assert there.output_sha256 == here.output_sha256
    assert there.content_sha256 == here.content_sha256


def test_a_record_is_pending_before_and_running_after_the_submission(engine, platform, store):
    GATE.clear()
    handle = engine.start(job_of(store, "gated"))
    assert handle.record.status in ("pending", "running")
    assert ENTERED.wait(60)
    assert platform.work.find(their_id(handle)).status == "pending"
    assert (handle.status, handle.record.status) == ("running", "running")
    GATE.set()
    assert handle.result(40).metrics["time_run_sec"] > 0


def test_an_input_of_this_machine_is_uploaded_once_by_its_content(engine, platform, store, workspace):
    sample = run("coastal_flood", parameters={"end_year": 2040}, store=store).source
    path = Path(sample.uri)
    Path("grid.tif").write_bytes(path.read_bytes())
    handle = run_here(engine, store, "coastal_flood", source="grid.tif", parameters={"end_year": 2040})
    record = handle.record
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (record.source.uri, record.source.checksum) == ("grid.tif", sha256)
    theirs = platform.work.find(record.platform["id"])
    assert theirs.source.uri == f"s3://dissmodel-inputs/inputs/{sha256[:12]}/grid.tif"
    assert record.logs[0] == f"Uploaded grid.tif to {theirs.source.uri} (SHA-256 {sha256})."


def test_an_input_that_is_not_there_fails_before_anything_is_submitted(engine, platform, store):
    handle = run_here(engine, store, "coastal_flood", source="no.tif")
    assert handle.record.error.startswith("PlatformError: The file ")
    assert handle.record.error.endswith("cannot be read: No such file or directory. Check the path.")
    assert platform.work.records == {}


def test_a_model_that_is_not_registered_is_submitted_by_toml(engine, platform, store):
    record = run_here(engine, store, "forest_fire", parameters={"seed": 3}).record
    assert record.status == "completed"
    theirs = platform.work.find(record.platform["id"])
    assert theirs.resolved_spec["model"]["executor_module"] == "dissmodel_lab.models.forest_fire"
    assert theirs.model_name == f"forest_fire ({record.experiment_id[:12]})"
    assert record.model_name == "forest_fire"


def test_a_model_that_nobody_knows_names_the_known_ones(engine, platform, store):
    handle = run_here(engine, store, "gaem_of_life")
    assert handle.record.error == (
        f"UnregisteredModelError: The platform at {platform.url} has no registered model 'gaem_of_life'. "
        "Did you mean 'game_of_life'? Known: broken, coastal_flood, game_of_life, gated."
    )
    with pytest.raises(PlatformError, match="has no registered model"):
        handle.result()


def test_a_toml_file_is_submitted_as_it_means(engine, platform, store):
    Path("gated.toml").write_text(GATED)
    record = run_here(engine, store, "gated.toml", parameters={"size": 2}).record
    assert record.status == "completed"
    assert np.load(record.artifact_path()).tolist() == [[[0.0, 3.0], [6.0, 9.0]]]
    assert record.parameters == {"years": 3, "size": 2}


def test_a_class_is_named_by_what_the_server_has_registered(engine, platform, store):
    from dissmodel_lab.models import GameOfLife
    from dissmodel_lab.models.forest_fire import ForestFire

    assert run_here(engine, store, GameOfLife).record.model_commit == "abc1234"
    assert run_here(engine, store, ForestFire).record.model_commit == "local-inline"


def test_a_model_that_is_known_there_alone_needs_no_class_here(engine, platform, store):
    platform.work.registry["only_there"] = '[model]\nclass = "game_of_life"\n'
    job = platform_job("only_there", parameters={"generations": 2}, store=store)
    record = engine.start(job).result(40)
    assert (record.model_name, record.experiment_id, record.status) == ("only_there", job.experiment_id, "completed")


def test_through_the_front_door(platform, store, monkeypatch):
    from dissmodel_lab import launch

    monkeypatch.setenv("DISSMODEL_API_KEY", KEY)
    record = launch.run(
        "game_of_life", parameters={"generations": 2}, engine="platform", url=platform.url, store=store
    )
    assert (record.status, record.engine, record.model_commit) == ("completed", "platform", "abc1234")
    handle = launch.run("game_of_life", engine="platform", url=platform.url, store=store, background=True)
    assert handle.record.status in ("pending", "running", "completed")
    assert handle.result(40).status == "completed"
    assert store.count(RunQuery(status="completed")) == 2


def test_a_package_needs_consent(engine, platform, store):
    Path("gated.toml").write_text(f'{GATED}package = "coastal==0.1"\n')
    job = job_of(store, "gated.toml")
    with pytest.raises(PackageError) as caught:
        engine.start(job)
    assert not Path(job.store).exists()
    engine.allow_package(caught.value.package)
    engine.start(job).result(40)
    assert platform.work.installed == ["coastal==0.1"]


def test_an_output_goes_where_it_was_asked_for(engine, store):
    record = run_here(engine, store, "game_of_life", output="maps/life.tif").record
    assert Path("maps/life.tif").is_file()
    assert record.artifact_path().samefile("maps/life.tif")
    handle = run_here(engine, store, "game_of_life", output="maps/life.tif")
    assert handle.record.error.startswith("OutputError: The output 'maps/life.tif' exists and is never replaced.")
    with pytest.raises(OutputError):
        handle.result()


class InThisFile(ModelExecutor):
    name = "in_this_file"

    def load(self, record):
        return None

    def run(self, data, record):
        return None

    def save(self, result, record):
        return record


def test_what_a_platform_cannot_run_is_refused_at_once(engine, platform, store):
    local = type("InACell", (InThisFile,), {"__module__": "__main__", "name": "in_a_cell"})
    for options, message in (
        ({"model": "gated", "data": (1,)}, "takes its input as a file, and this run has one in memory"),
        ({"model": "gated", "limits": Limits(seconds=5)}, "cannot limit a run's time or memory"),
        ({"model": "gated", "environment": {"A": "1"}}, "has its own environment"),
        ({"model": "gated", "output": "s3://b/a.tif"}, "is not a local path"),
        ({"model": local}, "The model 'InACell' is defined in this notebook or script; a platform imports models"),
        ({"model": "gated", "parameters": {"size": float("nan")}}, "Parameter size is nan"),
        ({"model": "gated", "parameters": {"size": object()}}, "Parameter size is a object, which cannot be sent"),
    ):
        with pytest.raises((EngineError, PlatformError), match=re.escape(message)):
            engine.start(job_of(store, **options))
    assert not store.root.exists()
    assert platform.faults.requests == []


def test_without_a_key_nothing_is_begun(platform, store, monkeypatch):
    monkeypatch.delenv("DISSMODEL_API_KEY", raising=False)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    with PlatformEngine(platform.url) as engine, pytest.raises(PlatformError, match="There is no API key for http:"):
        engine.start(job_of(store, "gated"))
    assert not store.root.exists()


# ------------------------------------------------------------------------------------------ failures


def test_a_model_that_fails_there_has_failed_here(engine, platform, store):
    handle = run_here(engine, store, "broken")
    assert handle.record.status == "failed"
    assert handle.record.error == (
        f"PlatformError: The run failed at {platform.url}: Failed: the model divided by zero"
    )
    assert handle.record.logs[-1] == "Failed: the model divided by zero"


def test_a_wrong_key_is_a_failed_record_without_it(platform, store):
    with PlatformEngine(
        client=PlatformClient(platform.url, key=ApiKey("wr0ng-k3y", "a test"), timing=FAST)
    ) as engine:
        handle = run_here(engine, store, "gated")
    assert handle.record.error.startswith(
        f"AnswerError: The platform at {platform.url} refused the API key from a te"
    )
    assert "wr0ng-k3y" not in handle.record.model_dump_json()


def test_an_output_that_differs_is_kept_aside_and_the_run_has_failed(engine, platform, store):
    platform.work.spoils_outputs = True
    handle = run_here(engine, store, "game_of_life")
    record = handle.record
    assert record.status == "failed"
    assert "is not what the platform's record says: its SHA-256 is" in record.error
    kept = handle.folder / "output.tif.differs"
    assert str(kept) in record.error
    assert hashlib.sha256(kept.read_bytes()).hexdigest() in record.error
    assert (record.output_path, record.artifact_paths) == (None, {})
    assert record.metrics["alive_first"] == 36


def test_an_output_that_stays_there_is_told(engine, platform, store):
    platform.work.keeps_outputs_local = True
    record = run_here(engine, store, "game_of_life").record
    assert (record.status, record.output_path) == ("completed", None)
    assert record.warnings == [
        "The output stays on the platform's worker ('/data/outputs/output.tif') and cannot be downloaded."
    ]


def test_without_their_record_the_little_they_tell_is_kept(engine, platform, store):
    platform.work.writes_records = False
    record = run_here(engine, store, "game_of_life", parameters={"generations": 2}).record
    assert (record.status, record.parameters, record.metrics) == ("completed", {"generations": 2}, {})
    (warning,) = record.warnings
    assert warning == (
        "The platform kept no record of this run that can be had: parameters are those that were asked for, and "
        "metrics are not known."
    )
    assert record.artifact_path().is_file()
    assert record.output_sha256 == hashlib.sha256(record.artifact_path().read_bytes()).hexdigest()


def test_a_record_of_theirs_that_was_cut_off_loses_nothing_else(engine, platform, store):
    platform.work.spoils_records = True
    record = run_here(engine, store, "game_of_life").record
    assert record.status == "completed"
    assert any("at the platform is no JSON" in line for line in record.warnings)


def test_a_server_that_fails_for_a_while_is_asked_again(engine, platform, store):
    kinds = ["reset", "status", "half", "html", "status-reset", "garbled-after", "slow", "reset-after"]
    faults = [Fault(kind, "/job/", "GET", times=2, seconds=3) for kind in kinds]
    platform.faults.add(*faults)
    record = run_here(engine, store, "game_of_life").record
    assert record.status == "completed"
    assert [fault.hits for fault in faults] == [2] * 8
    assert "The platform answers again." in record.logs
    assert any(line.endswith("The job may go on there; it is asked again.") for line in record.logs)


def test_a_server_that_has_forgotten_the_job_is_believed_the_third_time(engine, platform, store):
    platform.faults.add(Fault("status", "/job/", "GET", status=404, times=2, body={"detail": "not found"}))
    assert run_here(engine, store, "game_of_life").record.status == "completed"
    platform.faults.add(Fault("status", "/job/", "GET", status=404, times=3, body={"detail": "not found"}))
    record = run_here(engine, store, "game_of_life").record
    assert (record.status, "knows no job" in record.error) == ("failed", True)


def test_a_server_that_is_silent_for_too_long_is_given_up(engine, platform, store, monkeypatch):
    monkeypatch.setattr(platform_run, "_PATIENCE", 0.2)
    platform.faults.add(Fault("status", "/job/", "GET", times=9999, status=503))
    record = run_here(engine, store, "game_of_life").record
    assert record.status == "failed"
    assert record.error.endswith(
        f"The job may go on there: get it later with platform fetch {record.platform['id']}."
    )
    platform.faults.clear()
    platform.wait(record.platform["id"])
    assert engine.fetch(record.platform["id"], store).result(40).status == "completed"


def test_a_submission_of_which_nobody_knows_names_its_candidates(engine, platform, store):
    platform.faults.add(Fault("reset-after", "/submit_job"))
    record = run_here(engine, store, "game_of_life").record
    assert record.status == "failed"
    assert "Whether the job exists is not known" in record.error
    assert record.platform["candidates"] == list(platform.work.records)


def test_other_parameters_than_were_asked_for_are_told(engine, platform, store, monkeypatch):
    usual = platform.work.registered

    def forgetful(request):
        record = usual(request)
        record.parameters["generations"] = 2
        return record

    monkeypatch.setattr(platform.work, "registered", forgetful)
    record = run_here(engine, store, "game_of_life", parameters={"generations": 5}).record
    assert record.parameters == {"generations": 2}
    assert record.warnings == ["The platform ran with other parameters than were asked for: generations."]


# -------------------------------------------------------------------------------------------- cancel


def test_a_run_is_cancelled_here_and_may_complete_there(engine, platform, store):
    GATE.clear()
    handle = engine.start(job_of(store, "gated"))
    assert ENTERED.wait(60)
    their_id(handle)
    began = time.monotonic()
    assert cancel_run(store, handle.experiment_id, "enough").outcome == "asked"
    outcome = handle.wait(60)
    assert time.monotonic() - began < 20
    assert (outcome.status, handle.record.status) == ("cancelled", "cancelled")
    assert re.fullmatch(r"KeyboardInterrupt: cancelled by .*: enough", handle.record.error)
    with pytest.raises(KeyboardInterrupt):
        handle.result()
    theirs = their_id(handle)
    assert handle.record.logs[-1] == (
        "The platform has noted that the job is cancelled, but does not tell its worker: it may complete all the "
        f"same. Then get it with: platform fetch {theirs}."
    )
    GATE.set()
    assert platform.wait(theirs).status == "completed"
    late = engine.fetch(theirs, store).result(40)
    assert (late.status, late.experiment_id) == ("completed", theirs)
    assert handle.record.status == "cancelled"


def test_a_run_that_waits_here_is_cancelled_without_the_server(platform, store):
    GATE.clear()
    client = PlatformClient(platform.url, key=ApiKey(KEY, "a test"), timing=FAST)
    with PlatformEngine(client=client, workers=1) as engine:
        first = engine.start(job_of(store, "gated"))
        assert ENTERED.wait(60)
        second, third = engine.start(job_of(store, "gated")), engine.start(job_of(store, "gated"))
        assert (second.status, second.record.status) == ("queued", "pending")
        second.cancel("not needed")
        assert second.wait(60).status == "cancelled"
        assert cancel_run(store, third.experiment_id).outcome == "cancelled"
        assert third.record.status == "cancelled"
        GATE.set()
        assert [first.wait(40).status, third.wait(40).status] == ["completed", "cancelled"]
    assert len(platform.work.records) == 1


def test_the_highest_priority_is_submitted_first(platform, store):
    GATE.clear()
    client = PlatformClient(platform.url, key=ApiKey(KEY, "a test"), timing=FAST)
    with PlatformEngine(client=client, workers=1) as engine:
        engine.start(job_of(store, "gated"))
        assert ENTERED.wait(60)
        low = engine.start(job_of(store, "game_of_life"), priority=-1)
        high = engine.start(job_of(store, "game_of_life"), priority=1)
        GATE.set()
        assert high.result(40).started_at < low.result(40).started_at


def test_a_request_that_comes_too_late_changes_nothing(engine, platform, store):
    GATE.clear()
    handle = engine.start(job_of(store, "gated"))
    assert ENTERED.wait(60)
    theirs = their_id(handle)
    stale = {"experiment_id": theirs, "status": "pending"}
    platform.faults.add(Fault("json", f"/job/{theirs}", "GET", times=3, body=stale))
    GATE.set()
    platform.wait(theirs)
    handle.cancel()
    assert handle.wait(40).status == "completed"
    assert "The request to cancel came too late: the job had ended." in handle.record.logs


def test_a_server_that_cannot_be_told_does_not_hold_the_cancelling_up(engine, platform, store, monkeypatch):
    monkeypatch.setattr(platform_run, "_CANCEL_PATIENCE", 0.3)
    GATE.clear()
    handle = engine.start(job_of(store, "gated"))
    assert ENTERED.wait(60)
    their_id(handle)
    platform.faults.add(Fault("reset", "/job/", "DELETE", times=999))
    handle.cancel()
    assert handle.wait(60).status == "cancelled"
    assert re.fullmatch(
        r"The platform could not be told to cancel: The platform at .* The job may go on there\.",
        handle.record.warnings[0],
    )


def test_closing_the_engine_cancels_when_asked(platform, store):
    GATE.clear()
    client = PlatformClient(platform.url, key=ApiKey(KEY, "a test"), timing=FAST)
    engine = PlatformEngine(client=client)
    handle = engine.start(job_of(store, "gated"))
    assert ENTERED.wait(60)
    their_id(handle)
    engine.shutdown(cancel=True)
    assert handle.record.status == "cancelled"
    with pytest.raises(EngineError, match="The engine platform is closed"):
        engine.start(job_of(store, "gated"))


# ------------------------------------------------------------------------------- others' jobs, lost runs


def test_a_job_is_reproduced_and_kept(engine, platform, store):
    first = run_here(engine, store, "game_of_life", parameters={"generations": 3}).record
    second = engine.reproduce(first.platform["id"], store).result(40)
    assert second.experiment_id == second.platform["id"] != first.platform["id"]
    assert second.output_sha256 == first.output_sha256
    assert second.parameters == {"generations": 3}
    assert store.count(RunQuery(status="completed")) == 2


def test_a_job_that_is_here_already_is_not_fetched_again(engine, platform, store):
    job = engine.client.submit("game_of_life")
    engine.fetch(job.id, store).result(40)
    with pytest.raises(EngineError, match=f"Run {job.id[:8]} is in the store already, as completed"):
        engine.fetch(job.id, store)


def test_at_the_end_of_the_process_only_what_is_to_end_is_cancelled(platform, store):
    GATE.clear()
    client = PlatformClient(platform.url, key=ApiKey(KEY, "a test"), timing=FAST)
    engine = PlatformEngine(client=client, workers=2)
    ending = engine.start(job_of(store, "gated", ends_with_kernel=True))
    staying = engine.start(job_of(store, "gated"))
    waiting = engine.start(job_of(store, "gated"))
    while not (ending.record.platform.get("id") and staying.record.platform.get("id")):
        time.sleep(0.02)
    engine.close_at_exit()
    assert [handle.record.status for handle in (ending, staying, waiting)] == ["cancelled", "running", "cancelled"]
    assert platform.work.find(their_id(ending)).status == "cancelled"
    assert len(platform.work.records) == 2
    for thread in engine._line.threads:
        thread.join(5)
    assert not staying.done()


def test_a_process_that_ends_leaves_the_job_there_and_it_is_found_again(engine, platform, store):
    script = """
import sys, time
from uuid import uuid4
from dissmodel_lab.engines import engine_for
from dissmodel_lab.jobs import Job
store, url = sys.argv[1:]
place = {"store": store, "working_folder": ".", "folder_name": "20261123T120000-gated-0a0a0a0a"}
handle = engine_for("platform", url=url).start(Job(model="gated", experiment_id="0a0a0a0a11", **place))
while not (handle.record and handle.record.platform.get("id")):
    time.sleep(0.02)
"""
    GATE.clear()
    environment = {**os.environ, "DISSMODEL_API_KEY": KEY}
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script, str(store.root), platform.url], env=environment, timeout=60)
    assert (done.returncode, time.monotonic() - began < 30) == (0, True)
    assert [entry.status for entry in store.entries()] == ["lost"]
    handle = engine.fetch("0a0a0a0a", store)
    GATE.set()
    record = handle.result(40)
    assert (record.status, record.experiment_id) == ("completed", "0a0a0a0a11")
    assert record.provenance.process_id == os.getpid()
    assert "Followed again, after the process that did so had ended." in record.logs
    assert [entry.status for entry in store.entries()] == ["completed"]
    assert len(platform.work.records) == 1


# --------------------------------------------------------------------------------- everything at once


def test_every_job_is_accounted_for_and_no_key_is_anywhere(engine, platform, store, caplog, capfd):
    """Forty runs, faults everywhere, a server that repeats the key: each of its jobs belongs to one record."""
    rng = random.Random(5)
    kinds = ["reset", "reset-after", "half", "status", "status-reset", "garbled-after", "html"]
    paths = [("GET", "/job/"), ("GET", "/models"), ("POST", "/submit_job"), ("GET", "/download"), ("GET", "/jobs")]
    for _ in range(60):
        method, path = rng.choice(paths)
        echo = {"detail": f"X-API-Key was {KEY}"}
        platform.faults.add(Fault(rng.choice(kinds), path, method, status=500, body=echo))
    models = ["game_of_life", "broken", "forest_fire", "gated"]
    with caplog.at_level(logging.DEBUG):
        handles = [engine.start(job_of(store, models[number % 4])) for number in range(40)]
        outcomes = [handle.wait(100) for handle in handles]
    platform.work.wait_until_idle()
    records = [handle.record for handle in handles]
    assert {outcome.status for outcome in outcomes} <= {"completed", "failed"}
    followed = {record.platform["id"] for record in records if record.platform.get("id")}
    maybe = {one for record in records for one in record.platform.get("candidates", ())}
    assert len(followed) == sum("id" in record.platform for record in records)
    assert followed <= set(platform.work.records) <= followed | maybe
    for record in records:
        theirs = record.platform.get("id")
        if record.status == "completed":
            assert platform.work.find(theirs).artifacts["output"] == record.output_sha256
        elif theirs and platform.work.find(theirs).status == "failed":
            assert "the model divided by zero" in record.error
        else:
            assert re.match(r"(AnswerError|UnknownSubmissionError|PlatformError): ", record.error), record.error
    assert sum(record.status == "completed" for record in records) >= 15
    out, err = capfd.readouterr()
    assert KEY not in out + err + caplog.text + repr(records) + repr(outcomes) + repr(engine.__dict__)
    assert_no_key_in(store.root.parent)


def assert_no_key_in(folder):
    forms = [KEY.encode(), KEY.replace("/", "%2F").replace("+", "%2B").encode(), json.dumps(KEY)[1:-1].encode()]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 50
    for path in files:
        content = path.read_bytes()
        assert not any(form in content for form in forms), path


def test_a_record_that_repeats_the_key_is_kept_without_it(engine, platform, store, monkeypatch):
    usual = platform.work.registered

    def telling(request):
        record = usual(request)
        record.add_log(f"submitted with {KEY}")
        record.metrics["header"] = {"X-API-Key": KEY}
        return record

    monkeypatch.setattr(platform.work, "registered", telling)
    handle = run_here(engine, store, "game_of_life")
    assert "submitted with ***" in read_record(handle.folder / "record.json").logs
    for path in handle.folder.iterdir():
        assert KEY.encode() not in path.read_bytes(), path
