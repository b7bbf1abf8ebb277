"""Sweeps that run: rows, failures, cancel, resume, kills, full disks, and two drivers at once."""

from __future__ import annotations

import errno
import gc
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import sweep_models
from sweep_models import N_RUNS, Endless, Plain, Slow, Unlucky

from dissmodel_lab import RunStore, read_record
from dissmodel_lab.engines import Engine, InlineEngine, ProcessEngine, RunHandle
from dissmodel_lab.errors import EngineError, LabError, SourceError, SweepError
from dissmodel_lab.executor import steps
from dissmodel_lab.jobs import Job, Outcome
from dissmodel_lab.models.game_of_life import GameOfLife
from dissmodel_lab.store.reading import is_alive
from dissmodel_lab.sweeps import SweepRow, ledger, list_sweeps, open_sweep, plan_sweep, sweep
from dissmodel_lab.sweeps.driver import Driver
from dissmodel_lab.sweeps.folder import DriverLock, SweepFacts, SweepFolder, new_id, run_id

SCRIPT = Path(sweep_models.__file__)


@pytest.fixture(scope="module")
def workers():
    """Two worker processes, for all tests here."""
    with ProcessEngine(workers=2) as engine:
        yield engine


def inline(model=Plain, axes=None, **options):
    return sweep(model, axes or {"years": "1,2,3"}, engine="inline", store="runs", **options)


def attempts_of(found):
    """Return the status of every attempt on disk, by point."""
    kept = {}
    for path in sorted(found.folder.glob("*/record.json")):
        record = read_record(path)
        kept.setdefault(record.sweep["point"], []).append(record.status)
    return kept


def wait_until(what, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)
    return value


# -------------------------------------------------------------------------------------------------- all is well


def test_each_point_has_a_row_and_a_record():
    done = inline(axes={"rise": "0:1:2", "years": "4,5"}, seeds=2, parameters={"tide": 2.0})
    assert done.progress()[:5] == (8, 0, 0, 0, 0)
    assert (done.progress().state, done.progress().total, done.progress().ended) == ("finished", 8, 8)
    assert done.metric_names() == [
        "area",
        "zones.north",
        "time_validate_sec",
        "time_load_sec",
        "time_run_sec",
        "time_save_sec",
        "time_total_sec",
    ]
    rows = done.rows()
    assert [row.point for row in rows] == list(range(1, 9))
    row = rows[6]
    assert (row.setting, row.parameters, row.seed, row.status) == (4, {"rise": 1.0, "years": 5}, 1, "completed")
    assert row.metrics["area"] == 15.001
    assert row.attempt == 1
    assert row.error == ""
    record = read_record(row.record_path)
    assert record.experiment_id == row.experiment_id == run_id(done.id, 7, 1)
    assert (record.parameters["rise"], record.parameters["years"], record.parameters["seed"]) == (1.0, 5, 1)
    assert record.parameters["tide"] == 2.0
    assert record.sweep == {"id": done.id, "point": 7}
    assert record.engine == "inline"
    assert row.seconds == record.metrics["time_total_sec"]
    assert done.folder.parent == Path("runs").absolute()
    assert repr(done) == f"<sweep {done.id[:8]} of plain over rise, years: 8 of 8 done, finished>"


def test_its_runs_are_found_in_the_store():
    done = inline()
    assert {entry.experiment_id for entry in RunStore("runs").entries()} == {row.experiment_id for row in done.rows()}


def test_a_data_frame():
    frame = inline(axes={"years": "1,2"}, seeds=2).to_frame()
    assert list(frame.columns[:7]) == ["point", "setting", "years", "seed", "status", "error", "area"]
    assert frame["area"].tolist() == [6.001, 6.002, 7.001, 7.002]
    assert list(frame.columns[-3:]) == ["seconds", "attempt", "experiment_id"]


def test_processes_give_what_this_one_gives(workers):
    here = inline(axes={"rise": "0:2:5", "rule": "moore,von"})
    there = sweep(Plain, {"rise": "0:2:5", "rule": "moore,von"}, engine=workers, store="runs")
    assert there.progress().done == 10
    for one, other in zip(here.rows(), there.rows(), strict=True):
        first, second = read_record(one.record_path), read_record(other.record_path)
        assert first.artifacts["output"] == second.artifacts["output"]
        assert second.engine == "process"


def test_a_sample_input_is_made_once_and_shared():
    done = inline(GameOfLife, {"generations": "1,2,3"})
    sources = {read_record(row.record_path).source.uri for row in done.rows()}
    assert len(sources) == 1
    assert not (done.folder / "inputs").exists()
    assert len(list(Path("runs/inputs").iterdir())) == 1


def test_progress_is_told_and_a_broken_listener_is_left_out():
    told = []

    def broken(progress):
        told.append(progress)
        raise RuntimeError("no cell to draw in")

    assert inline(on_progress=broken).progress().done == 3
    assert len(told) == 1
    seen = []
    inline(on_progress=seen.append)
    assert seen[-1].done == 3
    assert seen[-1].state == "finished"
    assert seen[-1].eta is None


def test_maps_of_a_grid_stand_in_rows_and_columns():
    done = inline(axes={"rise": "0:2:5", "years": "1,2,3,4,5"})
    chosen = done.maps(most=9)
    assert [tuple(one.row.parameters.values()) for one in chosen] == [
        (rise, years) for rise in (0.0, 1.0, 2.0) for years in (1, 3, 5)
    ]
    assert chosen[0].title == "rise=0, years=1"
    assert chosen[0].output_path.read_text() == "1.0\n"
    by_area = done.maps("area", most=3)
    assert [one.row.metrics["area"] for one in by_area] == [1.0, 13.0, 25.0]
    assert by_area[2].title == "rise=2, years=5: 25"
    assert len(done.maps()) == 16
    with pytest.raises(
        SweepError, match=r"^No run of this sweep has a metric 'aera' that is a number\. Did you mean"
    ):
        done.maps("aera")
    with pytest.raises(SweepError, match=r"^most must be a whole number of at least 1, got 0\.$"):
        done.maps(most=0)


# ------------------------------------------------------------------------------------------------- it goes wrong


def test_failed_runs_stand_in_the_table_and_stop_no_other(workers):
    done = sweep(Unlucky, {"years": "1:6"}, engine=workers, store="runs", seconds=2)
    assert done.progress()[:3] == (3, 3, 0)
    errors = {row.parameters["years"]: row.error for row in done.rows() if row.status == "failed"}
    assert errors == {
        3: "RuntimeError: no rain in year 3",
        5: errors[5],
        6: "CrashError: The run went beyond its limit of 2 s.",
    }
    assert errors[5].startswith(
        "CrashError: The worker process ended itself with exit code 7 in the middle of the run"
    )
    assert all(read_record(row.record_path).status == row.status for row in done.rows())


def test_failed_points_are_run_again_or_left(monkeypatch):
    done = inline(Unlucky, {"years": "1,3"})
    assert [row.status for row in done.rows()] == ["completed", "failed"]
    done.resume(failed=False)
    assert attempts_of(done) == {1: ["completed"], 2: ["failed"]}
    monkeypatch.setattr(Unlucky, "run", Plain.run)
    done.resume()
    assert attempts_of(done) == {1: ["completed"], 2: ["failed", "completed"]}
    assert done.rows()[1].attempt == 2
    assert done.rows()[1].error == ""
    assert done.progress()[:3] == (2, 0, 0)


def test_combinations_that_break_a_rule_fail_in_the_table():
    done = inline(axes={"low": "1,5", "high": "3,7"})
    assert [row.status for row in done.rows()] == ["completed", "completed", "failed", "completed"]
    assert "low must not be above high" in done.rows()[2].error


def test_limits_need_a_process():
    with pytest.raises(
        SweepError, match=r"^A sweep in this process cannot have limits of time or memory: nobody could"
    ):
        inline(seconds=5)
    assert list_sweeps("runs") == []


def test_an_input_that_is_not_there():
    with pytest.raises(SourceError):
        inline(source="no/such.tif")
    assert not Path("runs").exists()


def test_a_store_that_cannot_be_written(workspace):
    (workspace / "runs").write_text("a file")
    with pytest.raises(
        SweepError, match=r"^The sweep cannot be kept in '.*runs': .* Nothing was run\. Make room or make"
    ):
        inline()


class _Refusing(Engine):
    """Takes no job."""

    name = "refusing"
    n_workers = 2

    def __init__(self):
        self.n_asked = 0

    def start(self, job, priority=0, observers=()):
        self.n_asked += 1
        raise EngineError("The scheduler is gone.")

    def shutdown(self, wait=True, cancel=False):
        pass


def test_a_sweep_ends_when_no_run_can_begin():
    engine = _Refusing()
    with pytest.raises(SweepError) as caught:
        sweep(Plain, {"years": "1:100"}, engine=engine, store="runs")
    assert str(caught.value) == (
        "The sweep was stopped: 20 runs in a row could not begin. The last one: EngineError: The scheduler is gone. "
        "Resume the sweep when the cause is gone."
    )
    assert engine.n_asked == 20
    found = open_sweep("runs")
    assert found.progress()[:5] == (0, 20, 0, 0, 80)
    assert (found.progress().state, found.progress().problem) == ("stopped", str(caught.value))
    assert found.rows()[0].error == "EngineError: The scheduler is gone."
    assert found.rows()[0].record_path is None
    assert found.resume(engine="inline").progress().done == 100
    assert all(statuses == ["completed"] for statuses in attempts_of(found).values())


def test_a_full_disk(monkeypatch):
    real = ledger.write_all
    state = {"left": 6}

    def full(file, content):
        if b'"point"' in content:
            state["left"] -= 1
            if state["left"] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(file, content)

    monkeypatch.setattr(ledger, "write_all", full)
    with pytest.raises(SweepError) as caught:
        inline(axes={"years": "1:6"})
    assert str(caught.value).startswith("The sweep's results cannot be written in '")
    assert str(caught.value).endswith(
        "No space left on device. 3 of 6 runs are done and kept. Make room, then resume the sweep."
    )
    monkeypatch.setattr(ledger, "write_all", real)
    found = open_sweep("runs")
    assert found.progress().done == 3
    assert found.resume().progress().done == 6
    assert all(statuses == ["completed"] for statuses in attempts_of(found).values())


def test_results_that_were_lost_or_cut_are_found_in_the_records():
    done = inline()
    results = done.folder / "results.jsonl"
    kept = results.read_bytes()
    results.write_bytes(kept[:-40])
    again = open_sweep("runs").resume()
    assert again.progress()[:5] == (3, 0, 0, 0, 0)
    results.unlink()
    again = open_sweep("runs").resume()
    assert [row.metrics["area"] for row in again.rows()] == [6.0, 7.0, 8.0]
    assert all(statuses == ["completed"] for statuses in attempts_of(done).values())


def test_a_run_whose_folder_was_removed_is_run_again():
    import shutil

    done = inline()
    shutil.rmtree(done.folder / "000002")
    again = open_sweep("runs").resume()
    assert again.progress().done == 3
    assert attempts_of(again) == {1: ["completed"], 2: ["completed"], 3: ["completed"]}


# ------------------------------------------------------------------------------------------------- found again


def test_sweeps_are_found_by_id_folder_name_and_last():
    first, second = inline(), inline()
    assert open_sweep("runs").id == second.id
    for which in (first.id, first.id[:8], first.id[:5], first.folder, first.folder.name, str(first.folder)):
        assert open_sweep("runs", which).id == first.id
    assert [entry.id for entry in list_sweeps("runs")] == [second.id, first.id]
    entry = next(entry for entry in list_sweeps("runs") if entry.id == first.id)
    assert (entry.model_name, entry.sample, entry.names, entry.progress.done) == ("plain", "grid", ("years",), 3)
    with pytest.raises(SweepError) as caught:
        open_sweep("runs", "zz")
    assert str(caught.value).startswith("No sweep in 'runs' begins with 'zz'. Newest: ")
    with pytest.raises(SweepError, match=r"^No sweep in 'empty' begins with 'last'\. Newest: none yet\.$"):
        open_sweep("empty")


def test_a_design_comes_back_as_it_was_written():
    done = inline(
        axes={"rise": "0:2", "years": "1:50", "start": "2020-01-01:2020-01-31"}, sample="morris", samples=16
    )
    found = open_sweep("runs")
    assert found.design == done.design
    assert [row.parameters for row in found.rows()] == [row.parameters for row in done.rows()]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda text: text.replace('"settings": [[1], [2], [3]]', '"settings": [[1], [2], [9]]'),
            "was changed after",
        ),
        (
            lambda text: text.replace('"version": 1', '"version": 9'),
            "was written by another version of dissmodel_lab: ",
        ),
        (lambda text: text[: len(text) // 2], "cannot be read: "),
        (lambda _: "[1, 2]", "is no design of a sweep."),
        (lambda _: "", "is empty. Its runs are still there"),
    ],
)
def test_designs_that_cannot_be_trusted(change, message):
    done = inline()
    path = done.folder / "sweep.json"
    changed = change(path.read_text())
    assert changed != path.read_text()
    path.write_text(changed)
    with pytest.raises(SweepError) as caught:
        open_sweep("runs")
    assert str(caught.value).startswith(f"{str(path)!r} {message}")
    (entry,) = list_sweeps("runs")
    assert (entry.id, entry.problem, entry.progress) == (done.id[:8], str(caught.value), None)


def test_a_model_of_a_notebook_must_be_given_again(registry):
    class Local(Plain, register=False):
        name = "local"

    inline(Local)
    found = open_sweep("runs")
    with pytest.raises(
        SweepError, match=r"^The model local of this sweep is not at hand \(test_sweeps_runs:.*resume\(mod"
    ):
        found.resume()
    assert found.resume(model=Local).progress().done == 3
    with pytest.raises(
        SweepError, match=r"^This sweep is of local \(.*\), not of sweep_models:Plain\. Begin a new sweep"
    ):
        open_sweep("runs").resume(model=Plain)


def test_a_model_whose_source_has_changed(workspace, monkeypatch):
    monkeypatch.syspath_prepend(workspace)
    text = (
        "from sweep_models import Plain\n\n\nclass Changing(Plain, register=False):\n"
        "    name = 'changing'\n    factor = 1\n"
    )
    (workspace / "changing.py").write_text(text)
    import changing

    inline(changing.Changing)
    (workspace / "changing.py").write_text(text.replace("factor = 1", "factor = 22"))
    del sys.modules["changing"]
    import linecache

    linecache.clearcache()
    found = open_sweep("runs")
    with pytest.raises(
        SweepError, match=r"^The source of changing has changed since this sweep began: its runs would"
    ):
        found.resume()
    assert found.resume(changed_code=True).progress().done == 3
    del sys.modules["changing"]


def test_secrets_are_not_kept():
    done = inline(parameters={"api_key": "hunter2hunter2", "label": "b"})
    for path in done.folder.rglob("*"):
        if path.is_file():
            assert b"hunter2" not in path.read_bytes()
    found = open_sweep("runs")
    with pytest.raises(
        SweepError,
        match=(
            r"^Secrets are not kept on disk\. Give them again, in Python: "
            r"open_sweep\(...\).resume\(parameters=\{'api_key'"
        ),
    ):
        found.resume()
    with pytest.raises(
        SweepError, match=r"^label is part of the design and cannot be changed\. Begin a new sweep\.$"
    ):
        found.resume(parameters={"label": "c"})
    assert found.resume(parameters={"api_key": "hunter2hunter2"}).progress().done == 3


# ----------------------------------------------------------------------------------------------- cancel, interrupt


def test_a_background_sweep_can_be_cancelled_and_taken_up_again(workers, monkeypatch):
    begun = sweep(Endless, {"years": "1:20"}, engine=workers, store="runs", background=True)
    wait_until(lambda: len(list(begun.folder.glob("0*/record.json"))) == 2)
    assert begun.is_running
    progress = begun.progress()
    assert (progress.state, progress.done) == ("running", 0)
    assert progress.running >= 2
    with pytest.raises(TimeoutError, match=r"^Sweep .* has not ended after 0\.1 s\. It goes on\.$"):
        begun.wait(0.1)
    with pytest.raises(SweepError, match=r"^The sweep is being run already, by this process\."):
        begun.resume()
    with pytest.raises(
        SweepError, match=r"^The sweep is being run already, by process \d+ on .* Wait for it, or cancel"
    ):
        open_sweep("runs").resume(engine=workers)
    begun.cancel("enough")
    over = begun.wait(30)
    assert over[:5] == (0, 0, 2, 0, 18)
    assert over.state == "stopped"
    assert {status for statuses in attempts_of(begun).values() for status in statuses} == {"cancelled"}
    assert all("enough" in row.error for row in begun.rows() if row.status == "cancelled")
    monkeypatch.setattr(Endless, "run", Plain.run)
    assert begun.resume(engine="inline").progress()[:5] == (20, 0, 0, 0, 0)


def test_a_background_sweep_in_this_process_is_cancelled_in_the_middle_of_a_run():
    class Stepping(Plain, register=False):
        name = "stepping"

        def run(self, data, record):
            for _ in steps(range(10**6)):
                time.sleep(0.01)

    begun = sweep(Stepping, {"years": "1:5"}, engine="inline", store="runs", background=True)
    wait_until((begun.folder / "000001/record.json").exists)
    begun.cancel("enough")
    assert begun.wait(30)[:5] == (0, 0, 1, 0, 4)
    assert begun.rows()[0].error.endswith(": enough")


def test_a_run_that_is_handed_over_while_the_sweep_is_cancelled_is_cancelled_too(workers, monkeypatch):
    start, begun = workers.start, []

    def slow(job):
        handle = start(job)
        begun.append(handle)
        if len(begun) == 2:
            wait_until(lambda: handle.record)
            drivers[0].stop("enough")
        return handle

    drivers = []
    take = Driver.take
    monkeypatch.setattr(Driver, "take", lambda driver: (drivers.append(driver), take(driver))[1])
    monkeypatch.setattr(workers, "start", slow)
    done = sweep(Endless, {"years": "1:20"}, engine=workers, store="runs")
    assert done.progress()[:5] == (0, 0, 2, 0, 18)


def test_a_sweep_is_cancelled_from_elsewhere(workers):
    begun = sweep(Endless, {"years": "1:20"}, engine=workers, store="runs", background=True)
    wait_until(lambda: len(list(begun.folder.glob("0*/record.json"))) == 2)
    elsewhere = open_sweep("runs")
    assert elsewhere.is_running
    assert elsewhere.progress().running >= 2
    elsewhere.cancel()
    assert elsewhere.wait(30)[:3] == (0, 0, 2)
    assert begun.wait(60).state == "stopped"


def test_a_mistake_in_the_engine_leaves_no_run_behind(workers, monkeypatch):
    start, begun = workers.start, []

    def failing(job):
        if len(begun) == 2:
            wait_until(lambda: all(handle.status == "running" and handle.record for handle in begun))
            raise ZeroDivisionError("a mistake")
        begun.append(start(job))
        return begun[-1]

    monkeypatch.setattr(workers, "start", failing)
    with pytest.raises(ZeroDivisionError):
        sweep(Endless, {"years": "1:20"}, engine=workers, store="runs")
    found = open_sweep("runs")
    assert [handle.status for handle in begun] == ["cancelled", "cancelled"]
    assert found.progress().cancelled == 2
    assert found.progress().problem == "ZeroDivisionError: a mistake"
    assert not found.is_running


def test_an_interrupt_while_a_sweep_is_waited_for_lets_it_go_on(workers, monkeypatch):
    monkeypatch.setenv("SLOW_SECONDS", "1")
    begun = sweep(Slow, {"years": "1:6"}, engine=workers, store="runs", background=True)
    threading.Timer(0.3, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        begun.wait(30)
    assert begun.is_running
    assert begun.wait(30)[:3] == (6, 0, 0)
    assert not begun.is_running


def test_ctrl_c_ends_the_sweep_and_not_one_run():
    class Interrupted(Plain, register=False):
        name = "interrupted"

        def run(self, data, record):
            if record.parameters["years"] == 2:
                raise KeyboardInterrupt
            return super().run(data, record)

    with pytest.raises(KeyboardInterrupt):
        inline(Interrupted, {"years": "1:5"})
    found = open_sweep("runs")
    assert found.progress()[:5] == (1, 0, 1, 0, 3)
    assert not found.is_running


def test_the_cancel_of_one_run_does_not_end_the_sweep(workers, monkeypatch):
    from dissmodel_lab.cancelling import cancel_run

    monkeypatch.setenv("SLOW_SECONDS", "1")
    begun = sweep(Slow, {"years": "1:6"}, engine=workers, store="runs", background=True)
    wait_until((begun.folder / "000001/record.json").exists)
    cancel_run(RunStore("runs"), run_id(begun.id, 1, 1), "not this one")
    over = begun.wait(30)
    assert over.done + over.cancelled == 6
    assert over.cancelled == 1
    assert "not this one" in begun.rows()[0].error


def test_many_who_look_at_the_same_time_see_no_driver():
    fcntl = pytest.importorskip("fcntl", reason="locks of files are POSIX")
    folder = SweepFolder(inline().folder)
    looks = os.open(folder.path / ".driver", os.O_RDONLY)
    fcntl.flock(looks, fcntl.LOCK_SH)  # somebody else, at the very same moment
    assert not folder.is_driven
    os.close(looks)


def test_one_driver_at_a_time():
    done = inline()
    folder = SweepFolder(done.folder)
    with DriverLock(folder):
        assert folder.is_driven
        assert done.is_running
        with pytest.raises(SweepError) as caught:
            open_sweep("runs").resume()
    said = str(caught.value)
    assert said.startswith(f"The sweep is being run already, by process {os.getpid()} on ")
    assert said.endswith(" UTC. Wait for it, or cancel it first.")
    assert not folder.is_driven


def test_somebody_who_looks_keeps_nobody_from_driving():
    done = inline()
    folder = SweepFolder(done.folder)
    stop = threading.Event()

    def look():
        while not stop.is_set():
            _ = folder.is_driven

    watchers = [threading.Thread(target=look) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    try:
        for _ in range(20):
            with DriverLock(folder):
                pass
    finally:
        stop.set()
        for watcher in watchers:
            watcher.join()


# ---------------------------------------------------------------------------------------------------- kills


def drive(engine):
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SCRIPT.parent), str(SCRIPT.parents[1])])}
    return subprocess.Popen(
        [sys.executable, SCRIPT, "runs", engine],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("engine", ["process", "inline"])
def test_a_driver_that_is_killed_ten_times_leaves_one_completed_record_a_point(engine):
    luck = random.Random(f"kills of {engine}")
    for _ in range(10):
        driver = drive(engine)
        try:
            wait_until(lambda: list(Path("runs").glob("*-sweep-*/sweep.json")))
            time.sleep(luck.uniform(0.2, 1.0))
        finally:
            driver.send_signal(signal.SIGKILL)
            driver.communicate()
    last = drive(engine)
    said, _ = last.communicate(timeout=120)
    (entry,) = list_sweeps("runs")
    assert said.endswith(f"slow over years: {N_RUNS} of {N_RUNS} done, finished>\n"), said
    attempts = attempts_of(open_sweep("runs"))
    assert sorted(attempts) == list(range(1, N_RUNS + 1))
    counts = Counter(status for statuses in attempts.values() for status in statuses)
    assert counts["completed"] == N_RUNS
    assert all(statuses.count("completed") == 1 for statuses in attempts.values())
    assert set(counts) <= {"completed", "failed"}
    assert counts["failed"] <= 10 * 2
    assert entry.progress[:5] == (N_RUNS, 0, 0, 0, 0)
    assert [row.metrics["area"] for row in open_sweep("runs").rows()] == [5.0 + n for n in range(1, N_RUNS + 1)]


def test_a_sweep_whose_driver_is_dead_can_be_cancelled(monkeypatch):
    monkeypatch.setenv("SLOW_SECONDS", "60")
    driver = drive("process")
    wait_until(lambda: len(list(Path("runs").glob("*-sweep-*/0*/record.json"))) == 2)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    found = open_sweep("runs")
    assert not found.is_running
    found.cancel("enough")
    wait_until(lambda: attempts_of(found) == {1: ["cancelled"], 2: ["cancelled"]})
    for number in (1, 2):
        record = read_record(found.folder / f"{number:06d}/record.json")
        assert record.error.endswith(": enough")
        wait_until(lambda record=record: not is_alive(record))
    driver.stdout.close()


def test_a_run_of_a_dead_driver_is_waited_for(monkeypatch):
    monkeypatch.setenv("SLOW_SECONDS", "3")
    driver = drive("process")
    wait_until(lambda: len(list(Path("runs").glob("*-sweep-*/0*/record.json"))) == 2)
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    found = open_sweep("runs")
    at_work = [path.parent.name for path in found.folder.glob("0*/record.json")]
    monkeypatch.setattr(Slow, "run", Plain.run)
    assert found.resume(engine="inline", changed_code=True).progress().done == N_RUNS
    for name in at_work:
        record = read_record(found.folder / name / "record.json")
        assert record.status == "completed"
        assert record.engine == "process"
    assert all(statuses == ["completed"] for statuses in attempts_of(found).values())


# --------------------------------------------------------------------------------------------------- its cost


class _Instant(Engine):
    """Ends each run at once, with a record of a few bytes: what is left is the driver's own."""

    name = "instant"
    n_workers = 4

    def start(self, job, priority=0, observers=()):
        folder = Path(job.store, job.folder_name)
        folder.mkdir()
        metrics = {f"m{n}": n * 0.5 for n in range(5)}
        (folder / "record.json").write_text(json.dumps({"status": "completed", "metrics": metrics}))
        handle = RunHandle(job, self.name)
        handle.finish(Outcome("completed", job.experiment_id, folder / "record.json"))
        return handle

    def shutdown(self, wait=True, cancel=False):
        pass


def test_the_driver_keeps_nothing_of_runs_that_are_over():
    """Ten thousand runs in a process that does nothing else: benchmarks. Here: no object of a run outlives it."""
    watched = {RunHandle, Job, ledger.Result, SweepRow}

    def count():
        return sum(type(one) in watched for one in gc.get_objects())

    kept = []

    def look(_progress):
        if len(kept) < 5:  # a look at every object of a long test session takes a second
            kept.append(count())

    before = count()
    sweep(Plain, {"rise": "0:2:500"}, engine=_Instant(), store="runs", on_progress=look)
    kept.append(count())
    assert max(kept) - before < 4 * 3 * 4
    assert len(kept) >= 2


def test_progress_of_ten_thousand_points():
    design = plan_sweep(Plain, {"rise": "0:2:10000"})
    facts = SweepFacts(id=new_id(), created_at="2026-01-01T00:00:00+00:00", design=design, executor_class="")
    folder = SweepFolder.create(Path("runs").absolute(), facts)
    written = ledger.Ledger(folder, design.n_runs)
    written.open_session()
    for point in range(1, 9001):
        written.add(ledger.Result(point, 1, "completed", "", {"area": point * 0.5}, 0.1))
    found = open_sweep("runs")
    assert found.progress()[:5] == (9000, 0, 0, 0, 1000)
    written.add(ledger.Result(9001, 1, "failed", "no rain"))
    assert found.progress()[:5] == (9000, 1, 0, 0, 999)
    assert len(found.rows()) == 10_000
    assert found.rows()[9000].error == "no rain"
    written.close_session()


def test_errors_of_sweeps_are_errors_of_the_lab():
    assert issubclass(SweepError, LabError)
    assert issubclass(SweepError, ValueError)
    assert isinstance(InlineEngine(), Engine)
