"""Ending runs: the request, who hears it, and the last record of a run whose process is gone."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dissmodel_lab import ExperimentRecord, RunStore, cancelling, read_record
from dissmodel_lab.cancelling import (
    WAKE_SIGNAL,
    Request,
    cancel,
    cancel_run,
    close_dead,
    is_requested,
    request,
    requested,
    wake,
)
from dissmodel_lab.errors import LabError, OutputError, RunNotFoundError, RunTakenError
from dissmodel_lab.executor.events import RunFinished
from dissmodel_lab.executor.schemas import Provenance
from dissmodel_lab.executor.testing import SteppingExecutor
from dissmodel_lab.processes import process_mark
from dissmodel_lab.runner import queue_run, run
from dissmodel_lab.store import run_folder
from dissmodel_lab.store.reading import journal_sha256

HERE = platform.node()
IN_A_NOTEBOOK = (
    "It runs in a notebook or script on node7 and ends at its next step; interrupt it there when it tells none."
)
SCRIPT = Path(__file__).with_name("runs_elsewhere.py")


@contextmanager
def elsewhere(kind, phase="run"):
    """Run the endless model in another process; give its record once it is in its phase run."""
    process = subprocess.Popen([sys.executable, SCRIPT, "experiments", kind])
    try:
        yield process, wait_for(lambda: begun(Path("experiments")))
    finally:
        process.kill()
        process.wait()


def begun(store):
    for path in store.glob("*/record.json"):
        journal = path.with_name("journal.jsonl")
        if journal.exists() and "it begins" in journal.read_text():
            return read_record(path)
    return None


def wait_for(look, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("it did not come")


def killed(kind="steps"):
    """Return the record of a run that was killed in its phase run."""
    with elsewhere(kind) as (process, record):
        if kind != "busy":
            wait_for(lambda: '"step"' in record.record_path.with_name("journal.jsonl").read_text())
        process.kill()
        process.wait()
    return record


def changed(record, **fields):
    """Write a record again with other fields, provenance's included."""
    for name, value in fields.items():
        setattr(record if name in ExperimentRecord.model_fields else record.provenance, name, value)
    record.record_path.write_text(record.model_dump_json())
    return record


# --------------------------------------------------------------------------------------------- the request


def test_the_first_request_counts(tmp_path):
    first = request(tmp_path, "too slow")
    again = request(tmp_path, "another reason")
    assert again == first == requested(tmp_path)
    assert first.why == "too slow"
    assert first.who.endswith(f"@{HERE}")
    assert abs((datetime.now(UTC) - first.at).total_seconds()) < 60


def test_no_secret_gets_into_a_request(tmp_path):
    request(tmp_path, "stop s3://ana:hunter2@bucket/x.tif with api_key=hunter2")
    text = (tmp_path / "cancel").read_text()
    assert "hunter2" not in text
    assert requested(tmp_path).why == "stop s3://***@bucket/x.tif with api_key=***"


def test_a_long_reason_is_cut(tmp_path):
    assert len(request(tmp_path, "x" * 100_000).why) == 1000
    assert len(requested(tmp_path).why) == 1000


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[1, 2]",
        b'"please"',
        b"null",
        b"[" * 50_000,
        b"x" * 100_000,
        b'{"why": {"a": 1}, "at": 5}',
    ],
    ids=["empty", "torn", "binary", "list", "text", "null", "deep", "large", "odd"],
)
def test_an_unreadable_request_is_one(tmp_path, content):
    (tmp_path / "cancel").write_bytes(content)
    assert is_requested(tmp_path)
    found = requested(tmp_path)
    assert (found.who, found.at) == ("", None)
    assert len(found.why) < 20


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("nowhere"), os.mkfifo])
def test_a_request_that_is_no_file_is_one_and_nobody_waits_for_it(tmp_path, make):
    make(tmp_path / "cancel")
    assert requested(tmp_path) == Request()
    assert request(tmp_path, "again") == Request()


def test_a_folder_that_cannot_be_written(tmp_path):
    place = tmp_path / "file"
    place.touch()
    with pytest.raises(LabError) as caught:
        request(place)
    assert str(caught.value) == (
        f"The run in {str(place)!r} cannot be asked to end: Not a directory. Who may write that folder can cancel it."
    )


# ----------------------------------------------------------------------------------------- runs that hear it


@pytest.mark.parametrize("kind", ["steps", "busy", "asleep", "in a thread"])
def test_an_inline_run_is_cancelled_from_another_process(kind):
    with elsewhere(kind) as (process, running):
        began = time.monotonic()
        answer = cancel_run(RunStore(), "last", "too slow")
        assert process.wait(60) == 0
        assert time.monotonic() - began < 10
    record = read_record(running.record_path)
    assert answer == (
        record.experiment_id,
        "asked",
        (
            f"Run {record.experiment_id[:8]} is asked to end. It hears that in process {process.pid} between two of "
            "Python's instructions, or at its next step."
        ),
    )
    assert (record.status, record.failed_phase) == ("cancelled", "run")
    asked = requested(record.record_path.parent)
    assert record.error == f"KeyboardInterrupt: cancelled by {asked.who}: too slow"
    assert record.phases["run"].status == "cancelled"
    assert [entry.status for entry in RunStore().entries()] == ["cancelled"]
    assert '"phase_cancelled"' in record.record_path.with_name("journal.jsonl").read_text()


def test_a_run_in_this_process_is_cancelled_too():
    class Asking(SteppingExecutor, register=False):
        name = "asking"

        def run(self, data, record):
            cancel_run(RunStore(), record.experiment_id, "enough")
            time.sleep(30)
            return data

    with pytest.raises(KeyboardInterrupt, match=r"cancelled by .*: enough"):
        run(Asking)
    assert read_record(*Path("experiments").glob("*/record.json")).status == "cancelled"


def test_a_request_while_the_lab_itself_works_is_heard_in_the_next_phase():
    def ask(event):
        if type(event).__name__ == "PhaseFinished" and event.phase == "validate":
            request(folder(), "enough")

    def folder():
        return next(Path("experiments").glob("*/record.json")).parent

    with pytest.raises(KeyboardInterrupt):
        run(SteppingExecutor, observers=[ask])
    record = read_record(folder() / "record.json")
    assert (record.status, record.failed_phase, list(record.phases)) == ("cancelled", "load", ["validate", "load"])


def test_a_request_before_the_beginning_is_heard_in_the_first_phase():
    queued = queue_run("game_of_life")
    request(queued.record_path.parent)
    work = {"folder_name": queued.record_path.parent.name, "fields": {"experiment_id": queued.experiment_id}}
    with pytest.raises(KeyboardInterrupt):
        run("game_of_life", **work, is_queued=True)
    assert read_record(queued.record_path).failed_phase == "validate"


def test_a_wake_without_a_request_in_its_own_folder_means_nothing():
    class Woken(SteppingExecutor, register=False):
        name = "woken"

        def run(self, data, record):
            Path("other").mkdir()
            request(Path("other"))
            os.kill(os.getpid(), WAKE_SIGNAL)
            return data

    assert run(Woken).status == "completed"


def test_a_late_wake_does_not_reach_what_the_process_does_next():
    before = signal.getsignal(WAKE_SIGNAL)
    record = run("game_of_life", parameters={"generations": 2})
    request(record.record_path.parent)
    os.kill(os.getpid(), WAKE_SIGNAL)
    time.sleep(0.01)
    assert signal.getsignal(WAKE_SIGNAL) == before == signal.SIG_DFL
    assert run("game_of_life", parameters={"generations": 2}).status == "completed"


def test_a_wake_while_the_record_is_closed_is_dropped():
    def ask(event):
        if type(event).__name__ == "RunFinished":
            request(next(Path("experiments").glob("*/record.json")).parent)

    assert run("game_of_life", parameters={"generations": 2}, observers=[ask]).status == "completed"


@pytest.mark.parametrize("where", ["model", "lab"])
def test_a_wake_reaches_the_run_that_has_begun_another(where):
    def outer():
        return next(path for path in Path("experiments").glob("*/record.json") if "-outer-" in str(path)).parent

    class Inner(SteppingExecutor, register=False):
        name = "inner"

        def run(self, data, record):
            if where == "model":
                request(outer())
            return super().run(data, record)

    class Outer(SteppingExecutor, register=False):
        name = "outer"

        def run(self, data, record):
            told = (
                (lambda event: request(outer()) if isinstance(event, RunFinished) else None) if where == "lab" else id
            )
            run(Inner, observers=[told])
            time.sleep(30)
            return data

    with pytest.raises(KeyboardInterrupt):
        run(Outer)
    statuses = {entry.model_name: entry.status for entry in RunStore().entries()}
    assert statuses == {"outer": "cancelled", "inner": "cancelled" if where == "model" else "completed"}


def test_a_request_is_whole_from_its_first_moment_on(tmp_path):
    found, is_over = [], threading.Event()

    def look():
        while not is_over.is_set():
            seen = requested(folders[-1]) if folders else None
            if seen is not None:
                found.append(seen.why)

    folders = []
    thread = threading.Thread(target=look)
    thread.start()
    for number in range(300):
        folder = tmp_path / str(number)
        folder.mkdir()
        folders.append(folder)
        request(folder, "too slow")
    is_over.set()
    thread.join()
    assert set(found) == {"too slow"}
    assert [path.name for path in folders[0].iterdir()] == ["cancel"]


def test_a_file_system_without_links_takes_a_request(workspace, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert request(workspace, "too slow") == requested(workspace)
    assert [path.name for path in workspace.iterdir()] == ["cancel"]


def test_only_a_running_process_of_ours_is_woken(monkeypatch):
    record = run("game_of_life", parameters={"generations": 2})
    folder, woken = record.record_path.parent, []
    monkeypatch.setattr(os, "kill", lambda *said: woken.append(said))
    here = {"hostname": HERE, "process_id": os.getpid(), "process_mark": process_mark(os.getpid())}
    for fields in (
        {"status": "completed"},
        {"status": "pending"},
        {"status": "running", "hostname": "another"},
        {"status": "running", "process_id": None},
        {"status": "running", "process_id": 0},
        {"status": "running", "process_id": -1},
        {"status": "running", "process_mark": "another"},  # its number belongs to another process by now
        {"status": "running", "process_id": 2**40},
    ):
        changed(record, **{**here, **fields})
        assert not wake(folder)
    assert woken == []
    changed(record, **here, status="running")
    assert wake(folder)
    assert woken == [(os.getpid(), WAKE_SIGNAL)]


# ------------------------------------------------------------------------------------------------ cancel_run


def test_a_queued_run_is_closed_at_once():
    queued = queue_run("game_of_life", fields={"engine": "process"})
    answer = cancel_run(RunStore(), queued.experiment_id[:6], "not needed")
    short = queued.experiment_id[:8]
    assert answer == (queued.experiment_id, "cancelled", f"Run {short} was queued, and is cancelled now.")
    assert str(answer) == answer.text
    record = read_record(queued.record_path)
    asked = requested(queued.record_path.parent)
    assert (record.status, record.error) == ("cancelled", f"KeyboardInterrupt: cancelled by {asked.who}: not needed")
    assert record.ended_at is not None
    assert [entry.status for entry in RunStore().entries()] == ["cancelled"]
    folder = queued.record_path.parent
    with pytest.raises(RunTakenError) as caught:
        run("game_of_life", folder_name=folder.name, is_queued=True, fields={"experiment_id": queued.experiment_id})
    place = str(folder)
    assert str(caught.value) == (
        f"The run {short} does not wait in {place!r}: there is the record of run {short}, which is cancelled. "
        "Nothing was run."
    )
    assert sorted(path.name for path in folder.iterdir()) == ["cancel", "journal.jsonl", "record.json"]


def test_a_queued_run_that_was_taken_just_now_is_asked():
    queued = queue_run("game_of_life", fields={"engine": "process"})
    (queued.record_path.parent / ".claim").touch()
    answer = cancel_run(RunStore(), "last")
    assert answer.outcome == "asked"
    assert read_record(queued.record_path).status == "pending"
    assert is_requested(queued.record_path.parent)


def test_what_is_over_is_said():
    record = run("game_of_life", parameters={"generations": 2})
    before = record.record_path.read_bytes()
    answer = cancel_run(RunStore(), "last")
    assert answer.outcome == "over"
    assert answer.text == (
        f"Run {record.experiment_id[:8]} has ended as completed at {record.ended_at:%Y-%m-%d %H:%M:%S} UTC. "
        "There is nothing to cancel."
    )
    assert record.record_path.read_bytes() == before
    assert not is_requested(record.record_path.parent)


def test_what_is_lost_is_said_and_closed_by_nobody():
    record = killed()
    before = record.record_path.read_bytes()
    answer = cancel_run(RunStore(), "last")
    assert answer == (
        record.experiment_id,
        "lost",
        (
            f"Run {record.experiment_id[:8]} is lost: the process in which it ran is gone. "
            "There is nothing left to cancel."
        ),
    )
    assert record.record_path.read_bytes() == before
    assert not is_requested(record.record_path.parent)


def test_a_queued_run_of_a_dead_process_is_lost():
    queued = changed(queue_run("game_of_life"), process_started=1.0, process_mark="")
    assert cancel_run(RunStore(), "last").text == (
        f"Run {queued.experiment_id[:8]} is lost: the process by which it was queued is gone. "
        "There is nothing left to cancel."
    )
    (entry,) = RunStore().entries()
    assert (entry.status, entry.phase) == ("lost", "queued")
    assert entry.problem == "the process that queued it ended before it began"


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        (
            "",
            IN_A_NOTEBOOK,
        ),
        (
            "inline",
            IN_A_NOTEBOOK,
        ),
        ("process", "Its worker on node7 is ended by force when it does not end by itself within a few seconds."),
        ("dask", "Its worker on node7 is ended by force when it does not end by itself within a few seconds."),
        ("platform", "The process that follows it asks the server."),
    ],
)
def test_a_run_on_another_machine_is_asked(engine, said):
    record = changed(
        run("game_of_life", parameters={"generations": 2}), status="running", engine=engine, hostname="node7"
    )
    answer = cancel_run(RunStore(), "last")
    assert (answer.outcome, answer.text) == ("asked", f"Run {record.experiment_id[:8]} is asked to end. {said}")
    assert is_requested(record.record_path.parent)


def test_a_run_that_nobody_knows():
    with pytest.raises(RunNotFoundError):
        cancel_run(RunStore(), "abc")


def test_a_record_that_cannot_be_read():
    record = run("game_of_life", parameters={"generations": 2})
    record.record_path.write_text("")
    with pytest.raises(RunNotFoundError, match=r"cannot be read: record\.json is empty"):
        cancel_run(RunStore(), "last")


def test_a_record_in_memory_is_lost():
    record = ExperimentRecord(status="running", provenance=Provenance(hostname="node7", process_id=1))
    assert cancel(record).outcome == "lost"


# ------------------------------------------------------------------------------------------------ close_dead


def test_a_dead_run_is_closed_with_what_its_journal_tells():
    record = killed()
    closed = close_dead(
        record.record_path,
        "failed",
        "CrashError: The worker process was ended by SIGKILL (token=hunter2).",
        peak_memory_bytes=5_000_000,
        log=["Printed last: a line"],
    )
    told = [json.loads(line) for line in record.record_path.with_name("journal.jsonl").read_text().splitlines()]
    n_steps = max(line["step"] for line in told if line["event"] == "step")
    assert (closed.status, closed.failed_phase, closed.steps) == ("failed", "run", n_steps)
    assert closed.error == "CrashError: The worker process was ended by SIGKILL (token=***)."
    assert {name: usage.status for name, usage in closed.phases.items()} == {
        "validate": "completed",
        "load": "completed",
        "run": "failed",
    }
    assert closed.phases["run"].peak_memory_bytes == 5_000_000
    assert 0 < closed.phases["run"].seconds < 60
    assert closed.metrics["time_load_sec"] == closed.phases["load"].seconds
    assert "time_run_sec" not in closed.metrics
    assert closed.metrics["time_total_sec"] == pytest.approx(sum(usage.seconds for usage in closed.phases.values()))
    assert closed.logs[-2:] == [f"failed in phase run: {closed.error}", "Printed last: a line"]
    assert closed.logs.count("it begins") == 1
    assert closed.parameters == record.parameters
    assert closed.provenance == record.provenance
    assert closed.ended_at >= closed.phases["run"].started_at
    assert told[-1]["event"] == "record"
    assert closed.output_path is None
    (entry,) = RunStore().entries()
    assert (entry.status, entry.phase) == ("failed", "run")
    assert journal_sha256(record.record_path.parent) == hashlib.sha256(record.record_path.read_bytes()).hexdigest()


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_a_closed_record_stays_as_it_is(status):
    record = changed(run("game_of_life", parameters={"generations": 2}), status=status)
    folder = record.record_path.parent
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    assert close_dead(record.record_path, "failed", "CrashError: late").status == status
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before


def test_many_closers_at_once_write_one_record():
    record = killed()
    start, found = threading.Barrier(8), []

    def close(number):
        start.wait()
        found.append(close_dead(record.record_path, "failed", f"CrashError: by {number}").error)

    threads = [threading.Thread(target=close, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert record.record_path.with_name("journal.jsonl").read_text().count('"event": "record"') == 1


def test_closers_that_are_killed_at_any_moment():
    record = killed()
    script = [sys.executable, SCRIPT, "experiments", "closers", "60"]
    said = subprocess.run(script, check=True, capture_output=True, text=True).stdout.split()
    assert len(said) == 60
    assert said == sorted(said, reverse=True)  # open, open, ..., closed: never back
    closed = close_dead(record.record_path, "failed", "CrashError: killed")
    assert (closed.status, closed.error) == ("failed", "CrashError: killed")
    assert closed.logs.count("failed in phase run: CrashError: killed") == 1
    assert [entry.status for entry in RunStore().entries()] == ["failed"]
    assert record.record_path.with_name("journal.jsonl").read_text().count('"event": "record"') <= 1


def test_a_journal_that_was_cut_off_is_closed_behind_the_cut():
    record = killed()
    journal = record.record_path.with_name("journal.jsonl")
    with journal.open("ab") as file:
        file.write(b'{"event": "log", "text": "never whole')
    closed = close_dead(record.record_path, "cancelled", "KeyboardInterrupt: cancelled")
    lines = journal.read_text().splitlines()
    assert lines[-2] == '{"event": "log", "text": "never whole'
    assert json.loads(lines[-1])["event"] == "record"
    assert closed.phases["run"].status == "cancelled"
    assert not any("never whole" in line for line in closed.logs)


@pytest.mark.parametrize("content", [None, b"", b"\x00\xff" * 1000, b"[1]\n{}\n7\n", b'{"event": "step"}\n'])
def test_a_journal_that_tells_nothing(content):
    record = killed("busy")
    journal = record.record_path.with_name("journal.jsonl")
    journal.unlink()
    if content is not None:
        journal.write_bytes(content)
    closed = close_dead(record.record_path, "failed", "CrashError: gone")
    assert (closed.status, closed.phases, closed.steps, closed.failed_phase) == ("failed", {}, None, None)
    assert closed.logs == ["failed before phase validate: CrashError: gone"]


def test_the_record_beside_the_output_is_closed_too(workspace):
    record = killed("beside")
    beside = workspace / "out/result.record.json"
    assert read_record(beside).status == "running"
    close_dead(record.record_path, "failed", "CrashError: gone")
    assert beside.read_bytes() == record.record_path.read_bytes()
    assert [entry.status for entry in RunStore().entries()] == ["failed"]


def test_a_stranger_beside_the_output_is_left_alone(workspace):
    record = killed("beside")
    beside = workspace / "out/result.record.json"
    beside.write_text(ExperimentRecord(model_name="other").model_dump_json())
    before = beside.read_bytes()
    close_dead(record.record_path, "failed", "CrashError: gone")
    assert beside.read_bytes() == before


def test_what_the_dead_process_left_is_put_straight():
    record = killed()
    folder = record.record_path.parent
    (folder / f".{record.provenance.process_id}-7f.tmp").write_text("half a record")
    (folder / ".room").write_bytes(bytes(16))
    (folder / "partial").mkdir(exist_ok=True)
    (folder / "partial" / "output").write_text("half")
    closed = close_dead(record.record_path, "failed", "CrashError: gone")
    assert sorted(path.name for path in folder.iterdir()) == ["journal.jsonl", "partial", "record.json"]
    assert closed.logs[-1] == f"What save() left is kept in {folder / 'partial'}."


def test_a_record_that_cannot_be_written_stays(monkeypatch):
    queued = queue_run("game_of_life")
    before = queued.record_path.read_bytes()

    def refuse(*_, **__):
        raise OSError(30, os.strerror(30))

    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "write_atomic", refuse)
        with pytest.raises(OutputError, match="Read-only file system"):
            cancel_run(RunStore(), "last")
    assert queued.record_path.read_bytes() == before
    assert cancel_run(RunStore(), "last").outcome == "cancelled"


def test_no_record_to_close(tmp_path):
    with pytest.raises(LabError, match="cannot be read: No such file"):
        close_dead(tmp_path / "gone" / "record.json", "failed", "CrashError: gone")


def test_the_log_as_written_and_as_told_are_joined_without_doubles():
    joined = cancelling._joined
    assert joined(["a", "b"], ["b", "c"]) == ["a", "b", "c"]
    assert joined([], ["b"]) == ["b"]
    assert joined(["a"], []) == ["a"]
    assert joined(["b", "b"], ["b", "b", "b"]) == ["b", "b", "b"]
