"""A run in a process of its own is a run like any other, and can always be ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dissmodel_lab.executor.events import LogLine, PhaseFinished, PhaseStarted, RunFinished, RunStarted, StepFinished
from dissmodel_lab.executor.schemas import DataSource
from dissmodel_lab.store import RunStore
from dissmodel_lab.worker import Worker, WorkerRequest, run_in_worker

MODEL = '''
"""Executors that behave, and that do not."""
import os, signal, subprocess, sys, time
from pathlib import Path
from dissmodel_lab.executor import ModelExecutor, steps

class Talking(ModelExecutor):
    name = "talking"
    def load(self, record):
        return sys.stdin.read() + Path(record.source.uri).read_text()
    def run(self, data, record):
        print("printed", flush=True)
        subprocess.run(["echo", "printed by a child"], check=True)
        record.add_log("half way")
        for _ in steps(range(3)):
            pass
        record.metrics |= {"argv": sys.argv, "environ": "s3cr3t" in str(os.environ), "here": os.getcwd()}
        return data
    def save(self, result, record):
        Path(record.output_path).write_text(result + str(record.band_map) + Path(record.output_path).name)
        return record

class Behaving(ModelExecutor):
    """Does to its process what it is told to."""
    name = "behaving"
    def load(self, record):
        return 1
    def run(self, data, record):
        exec(record.parameters["do"])
        return "done"
    def save(self, result, record):
        Path(record.output_path).write_text(result)
        return record
'''


@pytest.fixture
def model(workspace):
    Path("models.py").write_text(MODEL)
    Path("in.txt").write_text("input ")
    return workspace


def request(do="", **changes):
    facts = {"model": "models:Behaving", "parameters": {"do": do}, "store": "runs", **changes}
    return WorkerRequest(**facts)


def test_a_run_is_told_as_it_goes_and_leaves_its_record(model, tmp_path):
    events = []
    result = run_in_worker(
        request(
            model="models.py:Talking",
            source=DataSource(uri="in.txt"),
            parameters={"api_key": "s3cr3t", "when": (1, float("inf"))},
            toml_parameters={"years": 3},
            spec={"class": "talking"},
            fields={"band_map": {"a": "b"}, "verdict": {"of": "x"}},
            output_name="named.txt",
        ),
        observers=[events.append],
    )
    record = result.record
    assert (result.status, result.error, result.signal) == ("completed", "", "")
    assert sorted(result.printed.splitlines()) == ["printed", "printed by a child"]
    assert record.artifact_path().read_text() == "input {'a': 'b'}named.txt"
    assert record.artifact_paths == {"output": "named.txt"}
    assert record.metrics["here"] == str(model)
    assert "s3cr3t" not in str(record.metrics["argv"])
    assert not record.metrics["environ"]
    assert record.parameters == {"years": 3, "api_key": "***", "when": (1, float("inf"))}
    assert record.parameter_origins["years"] == "toml"
    assert record.verdict == {"of": "x"}
    assert record.model_dump_json() == RunStore("runs").read("last").model_dump_json()
    assert record.provenance.process_id != os.getpid()
    kinds = [type(event) for event in events]
    assert kinds[0] is RunStarted
    assert kinds[-1] is RunFinished
    assert [event.phase for event in events if isinstance(event, PhaseStarted)] == ["validate", "load", "run", "save"]
    assert sum(isinstance(event, PhaseFinished) for event in events) == 4
    assert [event.step for event in events if isinstance(event, StepFinished)][-1] == 3
    assert LogLine("half way") in events
    assert events[0].record is record


def test_a_model_that_fails_and_one_that_is_not_there(model):
    failed = run_in_worker(request("raise ValueError('no rain')"))
    assert (failed.status, failed.error) == ("failed", "ValueError: no rain")
    assert (failed.record.status, failed.record.failed_phase) == ("failed", "run")
    refused = run_in_worker(request(model="nowhere:Model"))
    assert (refused.status, refused.record) == ("refused", None)
    assert refused.error.startswith("ExecutorNotFoundError: 'nowhere:Model' names a module that is not installed")
    assert len(RunStore("runs").entries()) == 1


def test_a_killed_run_is_lost_with_its_signal(model):
    result = run_in_worker(request("os.kill(os.getpid(), signal.SIGKILL)"))
    assert (result.status, result.signal) == ("lost", "SIGKILL")
    assert result.error == "the process was ended by SIGKILL"
    assert [entry.status for entry in RunStore("runs").entries()] == ["lost"]


def test_a_timeout_cancels_and_a_deaf_run_is_killed(model):
    polite = run_in_worker(request("time.sleep(60)"), timeout=2)
    assert (polite.status, polite.error) == ("cancelled", "timed out after 2 s")
    assert (polite.record.status, polite.record.failed_phase) == ("cancelled", "run")
    began = time.monotonic()
    deaf = (
        "signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    )
    result = run_in_worker(request(deaf), timeout=2, grace=0.3)
    assert (result.status, result.signal) == ("lost", "SIGKILL")
    assert result.error == "timed out after 2 s: the process was ended by SIGKILL"
    assert time.monotonic() - began < 10


def test_it_can_be_cancelled_from_another_thread(model):
    worker = Worker(request("Path('started').touch(); time.sleep(60)"))

    def cancel():
        while not Path("started").exists():
            time.sleep(0.05)
        worker.cancel()

    threading.Thread(target=cancel).start()
    result = worker.wait()
    assert (result.status, result.error) == ("cancelled", "cancelled")
    assert worker.record.status == "cancelled"
    with pytest.raises(ProcessLookupError):
        os.kill(worker.process_id, 0)


def test_an_interrupt_ends_the_child_and_its_record_says_so(model):
    worker = Worker(request("Path('started').touch(); time.sleep(60)"))

    def interrupt():
        while not Path("started").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        worker.wait()
    assert worker.record.status == "cancelled"
    assert [entry.status for entry in RunStore("runs").entries()] == ["cancelled"]


def test_a_run_whose_parent_is_gone_is_cancelled(model):
    code = (
        "from dissmodel_lab.worker import Worker, WorkerRequest\n"
        "do = \"Path('started').touch(); time.sleep(60)\"\n"
        "Worker(WorkerRequest(model='models:Behaving', parameters={'do': do}, store='runs')).wait()"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    while not Path("started").exists():
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while [entry.status for entry in RunStore("runs").entries()] != ["cancelled"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_broken_observer_is_left_out(model):
    def broken(event):
        raise ValueError

    assert run_in_worker(request("pass"), observers=[broken]).status == "completed"


def test_a_file_with_several_executors_must_say_which(model):
    result = run_in_worker(request(model="models.py"))
    assert result.error == (
        "ExecutorNotFoundError: 'models.py' defines 2 executors: Talking, Behaving. "
        "Write which one is meant: models.py:Class."
    )


def test_without_a_request_it_says_what_it_is_for():
    done = subprocess.run([sys.executable, "-m", "dissmodel_lab.worker"], input="x", capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "dissmodel_lab.worker is started by dissmodel_lab itself, with a request.\n"
