"""Worker processes, cancelling, queue and sweeps: the same through function, magic, form and terminal."""

from __future__ import annotations

import os
import re
import signal
import time

import pytest

from dissmodel_lab import run, sweep
from dissmodel_lab.executor import ModelExecutor
from dissmodel_lab.executor.testing import FailingExecutor
from dissmodel_lab.store import RunStore, read_record

LIFE = {"generations": 6, "wrap": False}


class Sleeping(ModelExecutor, register=False):
    """A model that waits, without steps."""

    name = "sleeping"

    def load(self, record):
        return record.parameters.get("naps", 200)

    def run(self, data, record):
        for _ in range(data):
            time.sleep(0.05)
        return {"slept": data}

    def save(self, result, record):
        return record


class Dying(Sleeping, register=False):
    """A model that takes its process with it."""

    name = "dying"

    def run(self, data, record):
        os.kill(os.getpid(), signal.SIGSEGV)


class Hungry(Sleeping, register=False):
    """A model that takes ever more memory."""

    name = "hungry"

    def run(self, data, record):
        kept = []
        while True:
            kept.append(bytes([1]) * 20_000_000)
            time.sleep(0.02)


@pytest.fixture
def is_form(door):
    """Forms take neither limits nor several values."""
    return door.name == "form"


def test_a_run_in_a_worker_gives_the_same_as_one_here(door):
    here, there = door("game_of_life", LIFE), door("game_of_life", LIFE, engine="process")
    assert (here.message, there.message) == ("", "")
    assert (here.record.engine, there.record.engine) == ("inline", "process")
    assert here.record.artifacts["output"] == there.record.artifacts["output"]
    assert here.record.provenance.process_id == os.getpid() != there.record.provenance.process_id
    assert list(there.record.phases) == ["validate", "load", "run", "save"]


def test_a_class_of_the_notebook_travels_to_the_worker(door):
    outcome = door(Sleeping, {"naps": 1}, engine="process")
    assert outcome.message == ""
    assert (outcome.record.status, outcome.record.model_name) == ("completed", "sleeping")


def test_a_models_own_exception_comes_back(door):
    class Broken(FailingExecutor, register=False):
        name = "broken"
        fails_in = "run"

    here, there = door(Broken), door(Broken, engine="process")
    assert here.record.status == there.record.status == "failed"
    assert here.record.error == there.record.error
    assert there.record.error.partition(": ")[2] in there.message


def test_a_refused_parameter_is_told_as_here(door):
    here, there = (
        door("game_of_life", {"generations": -1}),
        door("game_of_life", {"generations": -1}, engine="process"),
    )
    if door.name == "form":  # it runs nothing while a value is wrong
        assert here.message == there.message == "0 to 10000 is allowed, got -1."
        assert here.record is there.record is None
        return
    wrong = "game_of_life cannot run with these parameters. generations: 0 to 10000 is allowed, got -1."
    assert wrong in here.message
    assert wrong in there.message
    assert (here.record.status, here.record.failed_phase) == ("failed", "validate")
    assert (there.record.status, there.record.failed_phase) == ("failed", "validate")


def test_a_crash_ends_as_failed_and_says_why(door):
    outcome = door(Dying, engine="process")
    assert outcome.record.status == "failed"
    assert "SIGSEGV" in outcome.record.error
    assert "SIGSEGV" in outcome.message
    assert outcome.record.failed_phase == "run"
    assert list(outcome.record.phases)[:2] == ["validate", "load"]


def test_a_run_beyond_its_time_is_ended(door, is_form):
    if is_form:
        pytest.skip("a form has no limits")
    outcome = door(Sleeping, seconds=0.6)
    assert (outcome.record.status, outcome.record.engine) == ("failed", "process")
    assert "0.6 s" in outcome.record.error
    assert outcome.record.limits == {"seconds": 0.6}


def test_a_run_beyond_its_memory_is_ended(door, is_form):
    if is_form:
        pytest.skip("a form has no limits")
    outcome = door(Hungry, memory="400MB")
    assert outcome.record.status == "failed"
    assert "memory" in outcome.record.error
    assert outcome.record.failed_phase == "run"


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def in_phase_run(handle):
    journal = handle.folder / "journal.jsonl"
    return journal.exists() and '"phase": "run"' in journal.read_text()


def test_a_run_that_works_is_cancelled_by_its_id(desk):
    handle = run(Sleeping, background=True)
    wait_for(lambda: in_phase_run(handle))
    answer = desk("cancel", handle.experiment_id[:8])
    assert f"Run {handle.experiment_id[:8]} is asked to end." in answer.text
    assert handle.wait(60).status == "cancelled"
    record = read_record(handle.folder / "record.json")
    assert (record.status, record.failed_phase) == ("cancelled", "run")
    again = desk("cancel", handle.experiment_id[:8])
    assert "has ended as cancelled" in again.text


def test_cancelling_what_is_not_there_is_one_message(desk):
    answer = desk("cancel", "abcd")
    assert answer.message.startswith(f"No run in {str(RunStore().root)!r} begins with 'abcd'.")


def test_the_queue_lists_what_works_and_what_waits(desk):
    assert "No run waits or works." in desk("queue").text
    handles = [run(Sleeping, background=True, workers=1) for _ in range(2)]
    try:
        wait_for(lambda: in_phase_run(handles[0]))
        text = desk("queue").text
        assert [handle.experiment_id[:8] in text for handle in handles] == [True, True]
        assert "running" in text
        assert "waiting" in text
    finally:
        for handle in handles:
            handle.cancel()
            handle.wait(60)
    assert "No run waits or works." in desk("queue").text


def test_a_sweep_makes_a_record_for_each_point(desk):
    words = (
        "sweep",
        "game_of_life",
        "--param",
        "generations=2:6:3",
        "--param",
        "wrap=true,false",
        "--engine",
        "inline",
    )
    answer = desk(*words)
    assert answer.message == ""
    entries = RunStore().entries()
    assert sorted((read_record(entry.record_path).parameters["generations"]) for entry in entries) == [
        2,
        2,
        4,
        4,
        6,
        6,
    ]
    assert "6 of 6" in answer.text
    assert desk("sweeps", "last").text.count("completed") >= 6


def test_a_wrong_range_is_one_message_and_nothing_runs(desk):
    answer = desk("sweep", "game_of_life", "--param", "generations=9:2:3")
    assert answer.message == "generations=9:2:3 runs backwards: 9 is above 2. Write 2:9:3."
    assert RunStore().entries() == []


def test_an_option_that_a_run_here_does_not_have_is_refused(door, is_form):
    if is_form:
        pytest.skip("a form offers no such option")
    message = door("game_of_life", LIFE, workers=2).message
    assert "A run in this process has no workers. Choose the engine process or dask, or leave workers out." in message
    assert RunStore().entries() == []


def test_what_would_change_a_sweep_is_refused_when_it_is_gone_on_with(desk):
    if desk.name == "function":
        pytest.skip("resume() has no such arguments")
    desk("sweep", "game_of_life", "--param", "generations=2,3", "--engine", "inline")
    assert desk("sweep", "--resume", "last", "--param", "wrap=true", "--samples", "5").message == (
        "sweep --resume goes on with a sweep as it was designed. Leave --param, --samples out, or begin another."
    )


def test_a_metric_that_no_run_has_reported_is_refused(desk):
    if desk.name == "function":
        pytest.skip("a sweep takes no metric")
    desk("sweep", "game_of_life", "--param", "generations=2,3", "--engine", "inline")
    for words in (("sweeps", "last"), ("sweep", "--resume", "last")):
        message = desk(*words, "--metric", "nonsense").message
        assert re.fullmatch(r"No metric of this sweep is called 'nonsense'\. Known: .*time_run_sec.*\.", message)
        assert desk(*words, "--metric", "time_run_sec").message == ""


def test_the_queue_as_json_has_whole_ids():
    from dissmodel_lab.views.queue import run_queue

    handle = run(Sleeping, background=True)
    try:
        wait_for(lambda: in_phase_run(handle))
        found = run_queue().to_json()
        assert [(one["experiment_id"], one["status"], one["engine"]) for one in found] == [
            (handle.experiment_id, "running", "process")
        ]
    finally:
        handle.cancel()
        handle.wait(60)


def test_the_terminal_tells_a_model_that_failed_from_a_command_that_cannot_be():
    from dissmodel_lab.cli import main

    assert main(["run", "game_of_life", "--param", "generations=-1", "--engine", "process"]) == 2
    assert main(["run", "tests_of_engines:Nobody"]) == 2


def test_a_sweep_is_cancelled_by_its_id(desk):
    going = sweep(Sleeping, {"naps": "300,301,302"}, workers=1, background=True)
    wait_for(lambda: any(row.status == "running" for row in going.rows()))
    assert f"Sweep {going.id[:8]} is asked to end" in desk("cancel", going.id[:8]).text
    going.wait(60)
    assert going.progress().done == 0
    assert "is not at work" in desk("cancel", going.id[:8]).text
