"""A run in a worker process is a run like any other, can always be ended, and hurts nobody when it dies."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from behaving import BEHAVING, C_LOOP, command_of, job, started

import dissmodel_lab
from dissmodel_lab import cancelling
from dissmodel_lab.engines import InlineEngine, ProcessEngine, RunHandle, Slot, engine_for
from dissmodel_lab.engines.choice import close_all
from dissmodel_lab.engines.travel import pack, pack_exception, unpack, unpack_exception
from dissmodel_lab.engines.watching import Watch, how_it_ended
from dissmodel_lab.errors import CrashError, EngineError, ExecutorNotFoundError
from dissmodel_lab.executor import ModelExecutor
from dissmodel_lab.executor.events import (
    LogLine,
    PhaseFailed,
    PhaseFinished,
    PhaseStarted,
    RunFinished,
    RunStarted,
    StepFinished,
)
from dissmodel_lab.executor.schemas import DataSource
from dissmodel_lab.frames.checkpoint import LIVE_NAME, WATCHED_NAME
from dissmodel_lab.jobs import Limits, Outcome
from dissmodel_lab.parameters import ModelSpec
from dissmodel_lab.runner import queue_run
from dissmodel_lab.store import RunStore, read_record

MODEL = (
    '''
"""Executors that behave, and that do not."""
import ctypes, os, signal, subprocess, sys, threading, time
from pathlib import Path
from dissmodel_lab.executor import ModelExecutor, steps

class Talking(ModelExecutor):
    name = "talking"
    def load(self, record):
        return sys.stdin.read() + Path(record.source.uri).read_text()
    def run(self, data, record):
        print("printed")
        subprocess.run(["echo", "printed by a child"], check=True)
        record.add_log("half way")
        for _ in steps(range(3), values=lambda: {"cells": 7.5}):
            pass
        record.metrics |= {"argv": sys.argv, "environ": "s3cr3t" in str(os.environ), "here": os.getcwd()}
        return data
    def save(self, result, record):
        Path(record.output_path).write_text(result + str(record.band_map) + Path(record.output_path).name)
        return record

'''
    + BEHAVING
)
SLEEP = "Path('started').touch(); time.sleep(60)"
IS_LINUX = sys.platform == "linux"


@pytest.fixture
def folder(workspace):
    close_all()  # what other tests have left warm is not of this one
    Path("models.py").write_text(MODEL)
    Path("in.txt").write_text("input ")
    return workspace


@pytest.fixture
def engine(folder):
    engine = ProcessEngine(workers=2)
    yield engine
    engine.shutdown(cancel=True)


@pytest.fixture
def importable(folder, monkeypatch):
    """The models can be imported in this process, too; another test's are forgotten."""
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    sys.modules.pop("models", None)


def running(*, within=10):
    """Return the workers of this process that are there, once none is on its way out."""
    deadline = time.monotonic() + within
    while True:
        found = [one for one in psutil.Process().children() if "popen_loky" in command_of(one)]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


# ------------------------------------------------------------------------------------------ a run like any other


def test_a_run_is_told_as_it_goes_and_leaves_its_record(engine, folder):
    events = []
    handle = engine.start(
        job(
            model="models.py:Talking",
            source=DataSource(uri="in.txt"),
            parameters={"api_key": "s3cr3t", "when": (1, float("inf"))},
            toml=ModelSpec(parameters={"years": 3}, document={"model": {"class": "talking"}}),
            fields={"band_map": {"a": "b"}, "verdict": {"of": "x"}},
            output_name="named.txt",
            limits=Limits(seconds=60),
        ),
        observers=[events.append],
    )
    outcome = handle.wait(60)
    record = handle.result()
    assert (outcome.status, outcome.error, outcome.exception) == ("completed", "", None)
    assert outcome.record_path == handle.folder / "record.json"
    assert sorted(outcome.printed.splitlines()) == ["printed", "printed by a child"]
    assert (handle.folder / "printed.log").read_text() == outcome.printed
    assert record.artifact_path().read_text() == "input {'a': 'b'}named.txt"
    assert record.metrics["here"] == str(folder)
    assert not record.metrics["environ"]
    assert "s3cr3t" not in str(record.metrics["argv"])
    assert record.parameters == {"years": 3, "api_key": "***", "when": (1, float("inf"))}
    assert record.parameter_origins["years"] == "toml"
    assert (record.engine, record.limits) == ("process", {"seconds": 60})
    assert record.experiment_id == handle.experiment_id
    assert record.provenance.process_id != os.getpid()
    kinds = [type(event) for event in events]
    assert kinds[0] is RunStarted
    assert kinds[-1] is RunFinished
    assert [event.phase for event in events if isinstance(event, PhaseStarted)] == ["validate", "load", "run", "save"]
    assert sum(isinstance(event, PhaseFinished) for event in events) == 4
    last = [event for event in events if isinstance(event, StepFinished)][-1]
    assert (last.step, dict(last.values)) == (3, {"cells": 7.5})
    assert LogLine("half way") in events
    late = []
    handle.subscribe(late.append)
    assert [type(event) for event in late] == kinds


def test_a_warm_worker_takes_the_next_run_at_once(engine):
    first = engine.start(job()).result(60)
    waits = []
    for _ in range(5):
        at = time.time()
        record = engine.start(job()).result(60)
        waits.append(record.phases["validate"].started_at.timestamp() - at)
    print(f"from request to phase validate: {sorted(waits)[2] * 1000:.1f} ms")
    assert record.provenance.process_id == first.provenance.process_id
    assert sorted(waits)[2] < 1  # 30 ms on a machine of its own: measured by `make bench`


def test_two_workers_run_at_once(engine):
    meet = (
        "mine, other = Path(record.parameters['me']), Path(record.parameters['you'])\n"
        "mine.touch()\n"
        "for _ in range(3000):\n"
        "    if other.exists(): break\n"
        "    time.sleep(0.01)\n"
        "else: raise TimeoutError('the other did not come')"
    )
    both = [engine.start(job(parameters={"do": meet, "me": me, "you": you})) for me, you in (("a", "b"), ("b", "a"))]
    for handle in both:
        handle.wait(90)
    records = [handle.record for handle in both]
    assert [(record.status, record.error) for record in records] == [("completed", None)] * 2
    assert len({record.provenance.process_id for record in records}) == 2


def test_the_most_urgent_goes_first_and_equal_ones_in_their_order(folder):
    with ProcessEngine(workers=1) as engine:
        handles = [engine.start(job(SLEEP))]
        started()
        for priority, name in ((0, "b"), (-1, "d"), (1, "a"), (0, "c")):
            handles.append(engine.start(job(f"open('order', 'a').write({name!r})"), priority))
        assert [handle.status for handle in handles] == ["running", "queued", "queued", "queued", "queued"]
        handles[0].cancel()
        assert [handle.wait(60).status for handle in handles] == ["cancelled", *["completed"] * 4]
    assert Path("order").read_text() == "abcd"


def test_a_model_that_fails_raises_its_own_exception_with_its_traceback(engine):
    handle = engine.start(
        job("try:\n    1 / 0\nexcept ZeroDivisionError as zero:\n    raise ValueError('no rain') from zero")
    )
    with pytest.raises(ValueError, match=r"^no rain(\n|$)") as caught:
        handle.result(60)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert caught.value.__notes__ == [f"The record of this run is {handle.folder / 'record.json'}"]
    assert "models.py" in [Path(str(entry.path)).name for entry in caught.traceback]
    assert handle.wait().error == "ValueError: no rain"
    assert (handle.record.status, handle.record.failed_phase) == ("failed", "run")


def test_a_model_that_is_not_there_is_refused_and_a_queued_record_says_so(engine):
    handle = engine.start(job(model="nowhere:Model"))
    assert (handle.wait(60).status, handle.record) == ("refused", None)
    with pytest.raises(ExecutorNotFoundError, match="'nowhere:Model' names a module that is not installed"):
        handle.result()
    queued = queue_run("game_of_life", store="runs")
    place = {"folder_name": queued.record_path.parent.name, "experiment_id": queued.experiment_id, "is_queued": True}
    assert engine.start(job(model="nowhere:Model", **place)).wait(60).status == "failed"
    assert read_record(queued.record_path).error.startswith("ExecutorNotFoundError: 'nowhere:Model' names a module")
    assert [entry.status for entry in RunStore("runs").entries()] == ["failed"]


def test_nobody_runs_a_job_twice(engine):
    same = job("open('ran', 'a').write('x')")
    outcomes = [engine.start(same).wait(60) for _ in range(2)]
    assert [outcome.status for outcome in outcomes] == ["completed", "refused"]
    assert outcomes[1].error.startswith("RunTakenError: The folder")
    assert Path("ran").read_text() == "x"


def test_a_worker_that_dies_leaves_the_run_of_an_orphan_alone(folder):
    Path("dies.py").write_text("import os; os._exit(3)")
    with ProcessEngine(workers=1) as orphan, ProcessEngine(workers=1) as other:
        same = job(UNTIL_GO)
        handle = orphan.start(same)
        started()
        outcome = other.start(replace(same, model="dies:Model")).wait(60)
        assert (outcome.status, outcome.record_path) == ("refused", None)
        assert outcome.error.endswith(" Another process is at this run.")
        assert other.start(replace(same, model="nowhere:Model")).wait(60).status == "refused"
        assert handle.record.status == "running"
        Path("go").touch()
        assert handle.wait(60).status == "completed"


def test_the_traceback_of_a_model_begins_with_its_own_code(engine):
    with pytest.raises(ZeroDivisionError) as caught:
        engine.start(job("1 / 0")).result(60)
    names = [Path(str(entry.path)).name for entry in caught.traceback]
    assert names[:3] == ["test_engines.py", "handle.py", "models.py"]
    with pytest.raises(ExecutorNotFoundError) as refused:  # none of the model's: all of it is kept
        engine.start(job(model="nowhere:Model")).result(60)
    assert "worker_side.py" in [Path(str(entry.path)).name for entry in refused.traceback]


# ------------------------------------------------------------------------------------------ crashes and limits


@pytest.mark.parametrize(
    ("do", "reason"),
    [
        (
            "ctypes.string_at(0)",
            "The worker process was ended by SIGSEGV (a library read or wrote memory that is not",
        ),
        (
            "os.kill(os.getpid(), signal.SIGKILL)",
            "The worker process was ended by SIGKILL (killed from outside; syste",
        ),
        ("os.abort()", "The worker process was ended by SIGABRT (a library gave up)"),
        ("os._exit(7)", "The worker process ended itself with exit code 7 in the middle of the run"),
        ("os._exit(0)", "The worker process ended itself with exit code 0 in the middle of the run"),
    ],
)
def test_a_crash_is_contained_and_told(folder, do, reason):
    with ProcessEngine(workers=1) as engine:
        handle = engine.start(job(f"print('last words')\n{do}"))
        outcome = handle.wait(60)
        assert (outcome.status, outcome.error[: len(f"CrashError: {reason}")]) == ("failed", f"CrashError: {reason}")
        with pytest.raises(CrashError, match="The worker process"):
            handle.result()
        record = handle.record
        assert (record.status, record.failed_phase, record.error) == ("failed", "run", outcome.error)
        assert record.phases["load"].status == "completed"
        assert record.phases["run"].status == "failed"
        assert "last words" in (handle.folder / "printed.log").read_text()
        assert any(line.startswith("The process printed last:\n") for line in record.logs)
        assert engine.start(job()).wait(60).status == "completed"
        assert [entry.status for entry in RunStore("runs").entries()] == ["completed", "failed"]
    assert running() == []


def test_the_stack_of_a_segfault_stands_in_the_log(engine):
    record_path = engine.start(job("ctypes.string_at(0)")).wait(60).record_path
    [told] = [line for line in read_record(record_path).logs if line.startswith("The process printed last")]
    assert told.splitlines()[1] == "Fatal Python error: Segmentation fault"
    assert "models.py" in told


def test_a_live_picture_goes_with_a_run_that_died(engine):
    dies = "[Path('runs', '000001', name).touch() for name in ('.live', '.watched')]; Path('started').touch(); "
    handle = engine.start(job(f"{dies}time.sleep(0.2); os._exit(3)", folder_name="000001"))
    started()
    handle.wait(60)
    assert handle.record.status == "failed"
    assert not [path.name for path in handle.folder.iterdir() if path.name in (LIVE_NAME, WATCHED_NAME)]


def test_the_others_go_on_when_one_dies(engine):
    steady = engine.start(job("Path('started').touch()\nwhile not Path('go').exists(): time.sleep(0.01)"))
    started()
    assert engine.start(job("ctypes.string_at(0)")).wait(60).status == "failed"
    Path("go").touch()
    assert steady.wait(60).status == "completed"


def test_a_child_that_holds_the_pipes_does_not_hide_a_death(engine):
    do = "subprocess.Popen(['sleep', '60'], close_fds=False); os._exit(3)"
    at = time.monotonic()
    outcome = engine.start(job(do)).wait(60)
    assert (outcome.status, time.monotonic() - at < 20) == ("failed", True)
    assert [one for one in psutil.process_iter() if command_of(one) == ["sleep", "60"]] == []


def test_memory_beyond_the_limit_ends_the_run_with_the_figures(engine):
    eat = "held = []\nfor _ in range(80):\n    held.append(b'x' * 10_000_000); time.sleep(0.02)"
    limit = 300 * 1024**2
    handle = engine.start(job(eat, limits=Limits(memory_bytes=limit)))
    outcome = handle.wait(60)
    assert outcome.status == "failed"
    assert outcome.error.startswith("CrashError: The run went beyond its limit of 300 MiB of memory (")
    assert limit < outcome.peak_memory_bytes < 2 * limit
    assert handle.record.phases["run"].peak_memory_bytes == outcome.peak_memory_bytes
    assert handle.record.limits == {"memory_bytes": limit}


def test_memory_of_what_the_model_starts_counts(engine):
    eat = (
        'code = "held = []\\nimport time\\nfor _ in range(80):'
        "\\n held.append(b'x' * 10_000_000); time.sleep(0.02)\"\n"
        "subprocess.run([sys.executable, '-c', code])"
    )
    outcome = engine.start(job(eat, limits=Limits(memory_bytes=300 * 1024**2))).wait(60)
    assert outcome.error.startswith("CrashError: The run went beyond its limit of 300 MiB of memory (")


@pytest.mark.parametrize("do", [SLEEP, C_LOOP])
def test_time_beyond_the_limit_ends_the_run(engine, do):
    handle = engine.start(job(do, limits=Limits(seconds=2)))
    outcome = handle.wait(60)
    assert (outcome.status, outcome.error) == ("failed", "CrashError: The run went beyond its limit of 2 s.")
    assert handle.record.status == "failed"


def test_a_limit_of_more_than_a_lifetime_is_one(engine):
    assert engine.start(job(limits=Limits(seconds=1e200))).wait(60).status == "completed"


def test_every_way_to_end_has_its_sentence():
    assert how_it_ended(None, None) == "The worker process ended in the middle of the run."
    assert how_it_ended(-64, None) in (
        "The worker process was ended by SIGRTMAX.",
        "The worker process was ended by signal 64.",
    )
    assert how_it_ended(-99, 2**20) == (
        "The worker process was ended by signal 99; 1.0 MiB of memory was the most that was seen of it."
    )
    assert how_it_ended(3, 0) == "The worker process ended itself with exit code 3 in the middle of the run."


def test_memory_of_a_process_that_has_just_ended_counts_for_nothing(folder, monkeypatch):
    monkeypatch.setattr("dissmodel_lab.engines.watching.memory_of", lambda *_, **__: 0)
    watch = Watch(job(), os.getpid())
    assert (watch.look(), watch.peak) == (None, None)


def test_a_number_that_is_another_process_s_by_now_is_left_alone(folder):
    slot = Slot()
    slot.warm()
    worker = slot._worker
    worker._process.terminate()
    worker._exit_code()
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    worker.pid = stranger.pid  # as if the system had given its number away
    slot.close()
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


# ------------------------------------------------------------------------------------------ cancel


@pytest.mark.parametrize(
    "do",
    [
        SLEEP,
        "Path('started').touch()\nwhile True: pass",
        "Path('started').touch()\nfor _ in steps(range(10**9)): time.sleep(0.01)",
        C_LOOP,
        "Path('started').touch()\nwhile True:\n    try: time.sleep(60)\n    except BaseException: pass",
        "Path('started').touch(); subprocess.run(['sleep', '60'])",
        "signal.signal(signal.SIGURG, signal.SIG_IGN); Path('started').touch(); time.sleep(60)",
    ],
    ids=["sleeps", "spins", "steps", "loops in C", "catches all", "waits for a child", "ignores the signal"],
)
def test_a_cancel_is_heard_within_two_seconds(engine, do):
    handle = engine.start(job(do))
    started()
    at = time.monotonic()
    handle.cancel("enough seen")
    assert time.monotonic() - at < 10
    outcome = handle.wait(60)
    seconds = time.monotonic() - at
    print(f"cancelled after {seconds:.2f} s")
    record = handle.record
    assert (outcome.status, record.status, record.failed_phase) == ("cancelled", "cancelled", "run")
    assert outcome.error.endswith(": enough seen")
    assert record.error == outcome.error
    assert record.phases["run"].status == "cancelled"
    with pytest.raises(KeyboardInterrupt):
        handle.result()
    assert seconds < 30
    assert engine.start(job()).wait(60).status == "completed"


def test_a_request_by_another_process_is_heard(engine):
    handle = engine.start(job(C_LOOP))
    started()
    (handle.folder / "cancel").write_text(json.dumps({"why": "from the cluster", "who": "ana@node7"}))
    outcome = handle.wait(60)
    assert (outcome.status, outcome.error) == (
        "cancelled",
        "KeyboardInterrupt: cancelled by ana@node7: from the cluster",
    )


def test_a_model_that_cleans_up_when_told_is_given_the_time(engine):
    do = "Path('started').touch()\ntry: time.sleep(60)\nfinally: time.sleep(0.5); Path('clean').touch()"
    handle = engine.start(job(do))
    started()
    handle.cancel()
    assert handle.wait(60).status == "cancelled"
    assert Path("clean").exists()


def test_a_late_cancel_does_not_hit_the_next_run(folder):
    with ProcessEngine(workers=1) as engine:
        first = engine.start(job())
        pid = first.result(60).provenance.process_id
        second = engine.start(job("Path('started').touch(); time.sleep(1)"))
        started()
        first.cancel()
        (first.folder / "cancel").write_text("{}")
        for number in (signal.SIGINT, cancelling.WAKE_SIGNAL):
            os.kill(pid, number)
        cancelling.wake(first.folder)
        assert second.wait(60).status == "completed"
        assert first.wait().status == "completed"


def test_an_interrupt_meant_for_the_notebook_reaches_no_worker(folder):
    code = (
        "import models, signal, sys, time\n"
        "from dissmodel_lab import launch\n"
        "handle = launch.run(models.Behaving, parameters={'do': sys.argv[1]}, store='runs', background=True)\n"
        "try: time.sleep(60)\n"
        "except KeyboardInterrupt: print('interrupted', flush=True)\n"
        "print(handle.wait().status)"
    )
    do = "Path('started').touch()\nwhile not Path('go').exists(): time.sleep(0.01)"
    parent = subprocess.Popen(
        [sys.executable, "-c", code, do], stdout=subprocess.PIPE, text=True, process_group=0, env=with_path()
    )
    started()
    os.killpg(parent.pid, signal.SIGINT)
    assert parent.stdout.readline() == "interrupted\n"
    Path("go").touch()
    assert parent.stdout.read() == "completed\n"
    assert parent.wait(60) == 0
    parent.stdout.close()


def with_path():
    """Return an environment in which a process of another folder finds this package, and the models beside it."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(dissmodel_lab.__file__).parents[1]), os.curdir])}


def test_what_waits_is_cancelled_at_once_and_leaves_no_run(folder):
    with ProcessEngine(workers=1) as engine:
        busy = engine.start(job(SLEEP))
        queued = queue_run("game_of_life", store="runs")
        place = {"folder_name": queued.record_path.parent.name, "experiment_id": queued.experiment_id}
        waiting = engine.start(job("open('ran', 'w')", **place, is_queued=True))
        plain = engine.start(job("open('ran', 'w')"))
        started()
        called = []
        waiting.add_done_callback(called.append)
        for handle in (waiting, plain):
            handle.cancel("not needed")
            assert handle.wait(1).status == "cancelled"
        assert called == [waiting]
        assert (plain.record, plain.wait().record_path) == (None, None)
        assert (waiting.record.status, waiting.record.error) == (
            "cancelled",
            "KeyboardInterrupt: cancelled: not needed",
        )
        busy.cancel()
    assert not Path("ran").exists()


def test_a_cancel_while_the_worker_starts_is_heard(folder):
    with ProcessEngine(workers=1) as engine:
        handle = engine.start(job("open('ran', 'w')"))
        handle.cancel("at once")
        assert handle.wait(60).status == "cancelled"
    assert not Path("ran").exists()


# ------------------------------------------------------------------------------------------ handles


def test_a_handle_waits_calls_and_shows_itself(engine):
    handle = engine.start(job(SLEEP))
    with pytest.raises(TimeoutError, match=r"^Run \w{8} has not ended after 0\.01 s\. It goes on\.$"):
        handle.wait(0.01)
    started()
    assert (handle.status, handle.done(), handle.model_name) == ("running", False, "behaving")
    assert repr(handle) == f"<run {handle.experiment_id[:8]} of behaving on process: running>"
    called = threading.Event()

    def raising(_handle):
        called.set()
        raise ValueError

    handle.add_done_callback(raising)
    handle.cancel()
    handle.wait(60)
    assert called.wait(5)
    late = []
    handle.add_done_callback(late.append)
    assert late == [handle]
    handle.cancel()
    handle.finish(Outcome("failed", ""))
    assert (handle.status, handle.done()) == ("cancelled", True)


def test_a_broken_observer_is_left_out(engine):
    told = []

    def broken(event):
        told.append(event)
        raise ValueError

    events = []
    handle = engine.start(job(), observers=[broken, events.append])
    assert handle.wait(60).status == "completed"
    assert len(told) == 1
    assert isinstance(events[-1], RunFinished)


def test_observers_may_ask_the_handle_and_bring_others(engine):
    handle = engine.start(job(SLEEP))
    started()
    brought, late = [], []
    is_told = threading.Event()

    def asking(event):
        if isinstance(event, PhaseStarted) and not brought:
            brought.append(handle.status)
            is_told.set()
            time.sleep(0.3)  # somebody else subscribes meanwhile
            handle.add_done_callback(lambda _handle: None)
            handle.subscribe(brought.append)

    handle.subscribe(asking)
    assert is_told.wait(10)
    handle.subscribe(late.append)
    handle.cancel()
    assert handle.wait(60).status == "cancelled"
    assert [type(event) for event in brought[1:]] == [type(event) for event in late]
    assert isinstance(late[-1], RunFinished)


def test_observers_hear_of_a_crash(engine):
    events = []
    engine.start(job("os._exit(3)"), observers=[events.append]).wait(60)
    assert isinstance(events[0], RunStarted)
    assert (type(events[-1]), events[-1].status) == (RunFinished, "failed")
    assert not [event for event in events if isinstance(event, PhaseFailed) and event.phase != "run"]


def test_a_handle_whose_engine_tells_nothing_reads_the_disk(folder):
    handle = RunHandle(job(), "elsewhere")
    assert handle.status == "queued"
    queued = queue_run("game_of_life", store="runs", folder_name=handle.job.folder_name)
    assert handle.status == "queued"
    handle.cancel("enough")
    assert cancelling.requested(queued.record_path.parent).why == "enough"
    for status, error in (("lost", CrashError), ("failed", EngineError)):
        other = RunHandle(job(), "elsewhere")
        other.finish(Outcome(status, ""))
        with pytest.raises(error):
            other.result()


# ------------------------------------------------------------------------------------------ what can travel


def test_models_of_a_notebook_travel_and_their_exceptions_come_back(engine):
    namespace = {"ModelExecutor": ModelExecutor, "__name__": "__main__"}
    exec(
        "class Flooded(Exception):\n"
        "    def __init__(self, cells, *, depth): super().__init__(f'{cells} cells'); self.depth = depth\n"
        "class Cell(ModelExecutor):\n"
        "    name = 'cell'\n"
        "    def load(self, record): return 2\n"
        "    def run(self, data, record):\n"
        "        if record.parameters.get('deep'): raise Flooded(7, depth=1.5)\n"
        "        return FACTOR * data\n"
        "    def save(self, result, record):\n"
        "        open(record.output_path, 'w').write(str(result)); return record\n"
        "FACTOR = 21\n",
        namespace,
    )
    record = engine.start(job(model=namespace["Cell"], parameters={})).result(60)
    assert record.artifact_path().read_text() == "42"
    namespace["FACTOR"] = 50
    assert engine.start(job(model=namespace["Cell"], parameters={})).result(60).artifact_path().read_text() == "100"
    with pytest.raises(Exception, match=r"^7 cells") as caught:
        engine.start(job(model=namespace["Cell"], parameters={"deep": True})).result(60)
    assert isinstance(caught.value, namespace["Flooded"] | EngineError)


def test_an_exception_that_cannot_travel_comes_as_a_text(engine):
    do = "error = ValueError('no rain'); error.lock = threading.Lock(); raise error"
    handle = engine.start(job(do))
    with pytest.raises(EngineError) as caught:
        handle.result(60)
    assert str(caught.value) == (
        "ValueError: no rain (This exception could not travel from the worker process. The record's log has its "
        "traceback.)"
    )
    assert (handle.record.status, handle.record.error) == ("failed", "ValueError: no rain")


def test_exceptions_that_cannot_be_rebuilt_do_not_travel():
    class OddError(Exception):
        def __init__(self, one, two):
            super().__init__(f"{one}{two}")

        def __reduce__(self):
            return (OddError, (1,))

    assert pack_exception(OddError(1, 2)) == b""
    assert unpack_exception(b"no pickle") is None
    assert pack_exception(ValueError(b"x" * 5_000_000)) == b""


def unpicklable(kind):
    lock = threading.Lock()

    class Base(ModelExecutor):
        name = "unpicklable"

        def load(self, record):
            return 1

        def run(self, data, record):
            return 1

        def save(self, result, record):
            return record

    if kind == "variable":
        Base.run = lambda self, data, record: lock.acquire()
        return Base, "its method 'run', the variable 'lock' around it is a lock"
    if kind == "attribute":
        Base.lock = lock
        return Base, "its attribute 'lock' is a lock"
    if kind == "global":
        spoilt = {"lock": lock}
        exec("def run(self, data, record): return lock", spoilt)
        Base.run = spoilt["run"]
        return Base, "its method 'run', the global name 'lock' that it uses is a lock"
    if kind == "nested":
        Base.tools = {"deep": [1, lock]}
        return Base, "its attribute 'tools', its item 'deep', its item 1 is a lock"
    if kind == "property":
        Base.size = property(lambda self: lock)
        return Base, "its attribute 'size', the variable 'lock' around it is a lock"
    if kind == "default":
        Base.load = lambda self, record, held=lock: held
        return Base, "its method 'load', a default of its arguments is a lock"
    base = type("Child", (Base,), {"name": "child"})
    Base.lock = lock
    return base, "its base class Base, its attribute 'lock' is a lock"


@pytest.mark.parametrize("kind", ["variable", "attribute", "global", "nested", "property", "default", "base"])
def test_what_cannot_travel_is_named(engine, kind):
    model, culprit = unpicklable(kind)
    with pytest.raises(EngineError) as caught:
        engine.start(job(model=model))
    assert str(caught.value) == (
        f"The run cannot travel to another process: its model {model.__name__}, {culprit}, which exists in this "
        "process alone. Make it inside of the method that uses it, or run with engine inline."
    )
    assert not Path("runs").exists()


def test_data_and_instances_that_cannot_travel_are_named():
    with pytest.raises(EngineError, match=r"^The run cannot travel to another process: its input data is a lock, "):
        pack(job(data=(threading.Lock(),)))

    class Tool:
        pass

    tool = Tool()
    with Path("notes.txt").open("w") as tool.file, pytest.raises(EngineError) as caught:
        pack(job(model=tool))
    assert "its model Tool, its attribute 'file' is a TextIOWrapper, which exists in this" in str(caught.value)
    assert unpack(pack(job(data=([1, 2],)))).data == ([1, 2],)


# ------------------------------------------------------------------------------------------ surroundings


def test_changed_code_of_the_modeller_is_not_run_as_it_was(engine):
    Path("mine.py").write_text(MODEL.replace("behaving", "mine").replace('return "done"', 'return "old"'))
    one = job(model="mine:Behaving")
    first = engine.start(one).result(60)
    assert first.artifact_path().read_text() == "old"
    Path("mine.py").write_text(Path("mine.py").read_text().replace('"old"', '"newer"'))
    second = engine.start(replace(one, experiment_id=uuid4().hex, folder_name="second")).result(60)
    assert second.artifact_path().read_text() == "newer"


def test_modules_of_one_folder_are_not_taken_for_those_of_another(engine, tmp_path):
    assert engine.start(job()).wait(60).status == "completed"
    other = tmp_path / "other"
    other.mkdir()
    (other / "models.py").write_text(MODEL.replace('return "done"', 'return "other"'))
    there = engine.start(job(working_folder=str(other))).result(60)
    assert there.artifact_path().read_text() == "other"
    assert there.provenance.working_folder == str(other)


def test_a_worker_has_the_environment_and_the_path_of_now(engine, monkeypatch, tmp_path):
    tell = (
        "record.metrics['told'] = (os.environ.get('TIDE'), os.environ['MPLBACKEND'], 'PYTHONSAFEPATH' in os.environ)"
    )
    assert engine.start(job(tell)).result(60).metrics["told"] == (None, "Agg", False)
    monkeypatch.setenv("TIDE", "high")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    assert engine.start(job(tell)).result(60).metrics["told"] == ("high", "Agg", False)
    library = tmp_path / "library"
    library.mkdir()
    (library / "helping.py").write_text("ANSWER = 42")
    monkeypatch.syspath_prepend(str(library))
    record = engine.start(job("import helping; record.metrics['answer'] = helping.ANSWER")).result(60)
    assert record.metrics["answer"] == 42


def test_an_environment_of_its_own_means_a_fresh_process(engine):
    warm = engine.start(job()).result(60).provenance.process_id
    tell = "record.metrics['hash'] = (os.environ['PYTHONHASHSEED'], hash('a'))"
    fresh = [engine.start(job(tell, environment={"PYTHONHASHSEED": "0"})).result(60) for _ in range(2)]
    assert fresh[0].metrics["hash"] == fresh[1].metrics["hash"]
    assert fresh[0].metrics["hash"][0] == "0"
    assert len({warm, *(record.provenance.process_id for record in fresh)}) == 3
    assert len(running(within=0)) == 1


def test_files_that_are_called_like_libraries_do_not_keep_a_worker_from_starting(engine):
    for name in ("loky.py", "pickle.py", "queue.py"):
        Path(name).write_text("raise RuntimeError('not this one')")
    assert engine.start(job()).wait(60).status == "completed"


def test_a_worker_that_dies_before_it_is_ready_is_told(folder, monkeypatch):
    library = folder / "site"
    library.mkdir()
    (library / "sitecustomize.py").write_text("import os; os._exit(9)")
    with ProcessEngine(workers=1) as engine:
        process_id = engine.start(job()).result(60).provenance.process_id  # and with it loky's tracker of resources
        monkeypatch.setenv("PYTHONPATH", str(library))
        queued = queue_run("game_of_life", store="runs")
        place = {"folder_name": queued.record_path.parent.name, "experiment_id": queued.experiment_id}
        os.kill(process_id, signal.SIGKILL)
        handle = engine.start(job(**place, is_queued=True))
        outcome = handle.wait(60)
        assert outcome.status == "failed"
        assert outcome.error.startswith("EngineError: A worker process died before it was ready. The worker process")
        assert "exit code 9" in outcome.error
        assert handle.record.error == outcome.error
        monkeypatch.delenv("PYTHONPATH")
        assert engine.start(job()).wait(60).status == "completed"
    assert running() == []


def test_no_room_for_what_a_worker_prints_is_told(engine, monkeypatch):
    def full(**_options):
        raise OSError(28, "No space left on device")

    queued = queue_run("game_of_life", store="runs")
    place = {"folder_name": queued.record_path.parent.name, "experiment_id": queued.experiment_id, "is_queued": True}
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.mkstemp", full)
        outcome = engine.start(job(**place)).wait(60)
    assert outcome.error == (
        "EngineError: No worker process could be started: no temporary file can be made: No space left on device. "
        "Make room, or let the variable TMPDIR name a folder that can be written."
    )
    assert (outcome.status, read_record(queued.record_path).status) == ("failed", "failed")
    assert engine.start(job()).wait(60).status == "completed"


def test_no_room_for_a_thread_is_told_and_the_run_is_not_taken(folder, monkeypatch):
    def full(_thread):
        raise RuntimeError("can't start new thread")

    engine = ProcessEngine(workers=1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", full)
        with pytest.raises(EngineError, match=r"^The engine process cannot begin: can't start new thread\."):
            engine.start(job("Path('ran').touch()"))
    assert engine.start(job()).wait(60).status == "completed"
    engine.shutdown()
    assert not Path("ran").exists()


def test_a_worker_that_was_killed_while_it_waited_is_replaced(folder):
    with ProcessEngine(workers=1) as engine:
        os.kill(engine.start(job()).result(60).provenance.process_id, signal.SIGKILL)
        assert engine.start(job()).wait(60).status == "completed"
        [worker] = running(within=0)
        worker.kill()
        time.sleep(0.5)
        assert engine.start(job()).wait(60).status == "completed"


def test_a_folder_that_is_gone_is_told(engine, tmp_path):
    gone = str(tmp_path / "gone")
    said = (
        f"EngineError: The worker on {platform.node()} cannot go to the run's working folder {gone!r}: "
        "No such file or directory. It must be there on the worker's machine, too."
    )
    outcome = engine.start(job(working_folder=gone)).wait(60)
    assert (outcome.status, outcome.error) == ("refused", said)
    queued = queue_run("game_of_life", store="runs")
    place = {"folder_name": queued.record_path.parent.name, "experiment_id": queued.experiment_id, "is_queued": True}
    engine.start(job(working_folder=gone, **place)).wait(60)
    record = read_record(queued.record_path)
    assert (record.status, record.error) == ("failed", said)  # nobody takes it for one that still waits


def test_a_file_with_several_executors_must_say_which(engine):
    assert engine.start(job(model="models.py")).wait(60).error == (
        "ExecutorNotFoundError: 'models.py' defines 2 executors: Talking, Behaving. "
        "Write which one is meant: models.py:Class."
    )


# ------------------------------------------------------------------------------------------ ends


def test_a_closed_engine_leaves_nothing_behind(folder):
    before = threading.enumerate()
    engine = ProcessEngine(workers=2)
    handles = [engine.start(job(SLEEP)) for _ in range(3)]
    started()
    engine.shutdown(cancel=True)
    assert [handle.wait(1).status for handle in handles] == ["cancelled"] * 3
    with pytest.raises(EngineError, match=r"^The engine process is closed\. Start the run again\.$"):
        engine.start(job())
    assert running() == []
    assert [one for one in threading.enumerate() if one.name.startswith("slot ") and one not in before] == []


def parent_that_starts(do, *, keep, then="pass"):
    code = (
        "import models, os, signal, sys, time\n"
        "from pathlib import Path\n"
        "from dissmodel_lab import launch\n"
        f"launch.run(models.Behaving, parameters={{'do': sys.argv[1]}}, store='runs', background=True, keep={keep})\n"
        "while not Path('started').exists(): time.sleep(0.01)\n"
        f"{then}"
    )
    # Into a file: what a killed kernel leaves behind may hold a pipe open.
    with Path("told").open("w+") as told:
        command = [sys.executable, "-W", "error", "-c", code, do]
        done = subprocess.run(command, stdout=told, stderr=told, env=with_path(), timeout=60, check=False)
        told.seek(0)
        return done.returncode, told.read()


def end_of_only_run(seconds=20):
    """Wait until the only run in the store has ended and its worker is gone; return its record."""
    deadline = time.monotonic() + seconds
    while True:
        [entry] = RunStore("runs").entries()
        record = read_record(entry.record_path)
        if record.status not in ("running", "pending") and not psutil.pid_exists(record.provenance.process_id):
            return record
        assert time.monotonic() < deadline
        time.sleep(0.05)


UNTIL_GO = "Path('started').touch()\nwhile not Path('go').exists(): time.sleep(0.01)\nprint('still here')"


def test_a_run_goes_on_when_its_kernel_ends_and_the_kernel_does_not_wait(folder):
    done = parent_that_starts(UNTIL_GO, keep=True)
    assert done == (0, "")
    assert [entry.status for entry in RunStore("runs").entries()] == ["running"]
    Path("go").touch()
    record = end_of_only_run()
    assert record.status == "completed"
    assert (record.record_path.parent / "printed.log").read_text() == "still here\n"


def test_a_run_that_ends_with_its_kernel_is_cancelled(folder):
    done = parent_that_starts(UNTIL_GO, keep=False)
    assert done == (0, "")
    record = end_of_only_run()
    assert (record.status, record.error.endswith("The notebook's kernel has ended.")) == ("cancelled", True)


@pytest.mark.parametrize(("keep", "status"), [(True, "completed"), (False, "cancelled")])
def test_a_killed_kernel_takes_only_those_with_it_that_are_to_end(folder, keep, status):
    done = parent_that_starts(UNTIL_GO, keep=keep, then="os.kill(os.getpid(), signal.SIGKILL)")
    assert done[0] == -signal.SIGKILL
    if keep:
        time.sleep(1.5)
        Path("go").touch()
    assert end_of_only_run().status == status


def test_an_orphan_can_be_cancelled(folder):
    parent_that_starts(SLEEP, keep=True)
    [entry] = RunStore("runs").entries()
    cancelling.request(entry.folder, "from another notebook")
    assert end_of_only_run().error.endswith(": from another notebook")


@pytest.mark.skipif(sys.platform == "win32", reason="sessions and SIGSTOP are POSIX")
@pytest.mark.parametrize("by", ["this process", "a command"])
def test_an_orphan_in_a_loop_of_c_is_ended_by_who_cancels_it(folder, by):
    parent_that_starts(C_LOOP, keep=True, then="os.kill(os.getpid(), signal.SIGKILL)")
    [entry] = RunStore("runs").entries()
    time.sleep(1.2)
    at = time.monotonic()
    if by == "a command":
        code = "from dissmodel_lab import cancel; print(cancel('last', store='runs'))"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=with_path(), timeout=60, check=True
        )
        assert "is asked to end. Its worker is ended by force" in done.stdout
    else:
        cancelling.cancel(read_record(entry.record_path), "from another notebook")
        assert time.monotonic() - at < 10
    record = end_of_only_run()
    print(f"ended after {time.monotonic() - at:.2f} s")
    assert (record.status, record.failed_phase, record.phases["run"].status) == ("cancelled", "run", "cancelled")
    assert record.error.startswith("KeyboardInterrupt: cancelled by ")


@pytest.mark.skipif(sys.platform == "win32", reason="sessions are POSIX")
def test_nothing_but_a_worker_in_the_middle_of_that_run_is_ended_by_force(engine, monkeypatch):
    handle = engine.start(job(SLEEP))
    started()
    record = handle.record
    assert not cancelling._is_in_worker(record)  # this process's own engine sees to it
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert cancelling._is_in_worker(record)
    record.engine = "inline"
    assert not cancelling._is_in_worker(record)
    record.engine = "process"
    monkeypatch.setattr(cancelling, "_WORKERS", ("something else",))
    assert not cancelling._is_in_worker(record)
    monkeypatch.undo()
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    record.provenance.process_id, record.provenance.process_mark = stranger.pid, ""
    record.provenance.process_started = None
    assert not cancelling._is_in_worker(record)
    assert not cancelling._is_ended(record)  # the record on disk names another process
    assert psutil.Process(stranger.pid).status() != "stopped"
    stranger.kill()
    stranger.wait()
    assert handle.status == "running"


@pytest.mark.soak
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_an_orphan_in_a_loop_of_c_does_not_outlive_its_limit(folder, monkeypatch):
    code = (
        "import models, sys\n"
        "from pathlib import Path\n"
        "from dissmodel_lab import launch\n"
        "launch.run(models.Behaving, parameters={'do': sys.argv[1]}, store='runs', background=True, seconds=1.5)\n"
        "while not Path('started').exists(): pass\n"
        "import os; os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, C_LOOP], env=with_path(), timeout=60, check=False)
    [entry] = RunStore("runs").entries()
    process = read_record(entry.record_path).provenance.process_id
    deadline = time.monotonic() + 20
    while psutil.pid_exists(process):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    [entry] = RunStore("runs").entries()
    assert entry.status == "lost"


def test_an_idle_kernel_ends_without_a_word_and_without_workers(folder):
    done = parent_that_starts("Path('started').touch()", keep=True, then="time.sleep(1)")
    assert done == (0, "")
    assert end_of_only_run().status == "completed"


# ------------------------------------------------------------------------------------------ engines by name


def test_an_engine_is_kept_by_its_name_and_closed_at_the_end():
    one = engine_for("process", workers=1)
    assert engine_for("process", workers=1) is one
    assert engine_for(one) is one
    assert engine_for("process", workers=2) is not one
    close_all()
    assert engine_for("process", workers=1) is not one
    close_all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "slurm"}, "There is no engine 'slurm'. Known: inline, process, dask, platform."),
        (
            {"engine": "inline", "workers": 2},
            "The engine inline has no workers. That is an option of: process, dask.",
        ),
        (
            {"engine": "process", "address": "tcp://a:1"},
            "The engine process has no address. That is an option of: dask.",
        ),
        ({"engine": "process", "workers": 0}, "0 workers cannot be. Give a whole number from 1 to 512."),
        ({"engine": "process", "workers": True}, "True workers cannot be. Give a whole number from 1 to 512."),
    ],
)
def test_engines_that_cannot_be_are_refused(options, message):
    with pytest.raises(EngineError) as caught:
        engine_for(**options)
    assert str(caught.value) == message


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is POSIX")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_engines_of_its_own(folder):
    engine = engine_for("process", workers=1)
    assert engine.start(job()).wait(60).status == "completed"
    child = os.fork()
    if child == 0:
        is_other = engine_for("process", workers=1) is not engine
        close_all()
        os._exit(0 if is_other else 1)
    assert os.waitpid(child, 0)[1] == 0
    [worker] = running(within=0)
    assert engine.start(job()).result(60).provenance.process_id == worker.pid
    close_all()


def test_inline_runs_at_once_and_refuses_what_it_cannot_do(importable):
    events = []
    with InlineEngine() as engine:
        handle = engine.start(job("record.add_log('here')"), observers=[events.append])
        assert (handle.done(), handle.status, handle.record.engine) == (True, "completed", "inline")
        assert handle.record.provenance.process_id == os.getpid()
        assert isinstance(events[0], RunStarted)
        assert LogLine("here") in events
        failed = engine.start(job("raise ValueError('no rain')"))
        with pytest.raises(ValueError, match="no rain"):
            failed.result()
        with pytest.raises(EngineError, match="cannot have limits of time or memory"):
            engine.start(job(limits=Limits(seconds=1)))
        with pytest.raises(EngineError, match="cannot have an environment of its own"):
            engine.start(job(environment={"A": "1"}))
    with pytest.raises(EngineError, match="The engine inline is closed"):
        engine.start(job())


def test_an_interrupt_of_an_inline_run_passes_but_a_request_ends_that_run_alone(importable):
    engine = InlineEngine()
    asked = job("from dissmodel_lab import cancelling; cancelling.request(Path(record.record_path).parent, 'asked')")
    asked = replace(asked, parameters={"do": f"{asked.parameters['do']}; time.sleep(5)"})
    assert engine.start(asked).status == "cancelled"
    with pytest.raises(KeyboardInterrupt):
        engine.start(job("os.kill(os.getpid(), signal.SIGINT); time.sleep(5)"))
    assert [entry.status for entry in RunStore("runs").entries()] == ["cancelled", "cancelled"]


def test_a_slot_by_itself_packs_runs_cancels_and_closes(folder):
    slot = Slot(threads=1)
    slot.warm()
    one = job("record.metrics['threads'] = os.environ['OMP_NUM_THREADS']")
    outcome = slot.run(replace(one, model="", parameters={}), pack(one))
    assert read_record(outcome.record_path).metrics["threads"] == "1"
    slot.cancel()
    assert slot.job is None
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(slot.run(job(SLEEP))))
    thread.start()
    started()
    slot.cancel("by the cluster")
    thread.join(20)
    assert [outcome.status for outcome in outcomes] == ["cancelled"]
    slot.close()
    assert slot.run(job()).error == "EngineError: The engine is closed. Start the run again."
    assert running() == []
