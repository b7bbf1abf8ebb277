"""What a run told, told again: from a journal that grows, is torn, or was written by somebody else."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from dissmodel_lab import journal, read_record, report_step
from dissmodel_lab.cancelling import cancel, close_dead, request
from dissmodel_lab.errors import ExecutorError
from dissmodel_lab.executor.events import (
    LogLine,
    PhaseFailed,
    PhaseFinished,
    PhaseStarted,
    RunFinished,
    RunStarted,
    StepFinished,
)
from dissmodel_lab.executor.schemas import ExperimentRecord
from dissmodel_lab.executor.testing import FailingExecutor, SteppingExecutor
from dissmodel_lab.journal import EndOnDisk, JournalReader, Story, event_of, follow, told
from dissmodel_lab.runner import queue_run, run

SCRIPT = Path(__file__).with_name("runs_elsewhere.py")


class Telling(SteppingExecutor, register=False):
    """Tells everything that can be told."""

    name = "telling"

    def run(self, data, record):
        record.add_log("it begins")
        report_step(1, 2, "year 2030", {"area": 1.5, "cells": 3}, time=2030.0)
        time.sleep(0.21)  # steps closer to each other than 0.2 s are not told
        report_step(2, 2, "year 2031", {"area": float("nan")}, time=2031.0)
        report_step(1, 1, "again", {"area": float("inf")}, part=2)
        record.add_log("it ends")
        return data


def retold(folder, is_over=lambda: True):
    events = []
    record = follow(folder, events.append, is_over, interval=0.005)
    return events, record


def folder_of(record):
    return record.record_path.parent


def newest():
    return max(Path("experiments").glob("*/record.json")).parent


def kinds(events):
    return [type(event).__name__ for event in events]


def test_all_that_was_told_is_told_again():
    live = []
    record = run(Telling, observers=[live.append])
    again, last = retold(folder_of(record))
    assert kinds(again) == kinds(live)
    for before, after in zip(live, again, strict=True):
        match before:
            case StepFinished():
                assert repr(after) == repr(StepFinished(*before[:3], dict(before.values), *before[4:]))
            case PhaseStarted():
                assert after.phase == before.phase
                assert abs((after.at - before.at).total_seconds()) < 0.1
            case PhaseFinished():
                assert (after.phase, after.usage, after.value) == (before.phase, before.usage, None)
            case RunStarted():
                assert after.record is last
            case _:
                assert after == before
    assert last == read_record(record.record_path)
    assert last.record_path == record.record_path


@pytest.mark.parametrize("phase", ["validate", "load", "run", "save"])
@pytest.mark.parametrize("error", [ValueError("no cells"), KeyboardInterrupt()], ids=["failed", "cancelled"])
def test_how_it_failed_is_told_again(phase, error):
    with pytest.raises(type(error)):
        run(FailingExecutor(phase, error), source=None)
    events, record = retold(newest())
    failed = next(event for event in events if isinstance(event, PhaseFailed))
    assert failed.phase == phase
    if isinstance(error, KeyboardInterrupt):
        assert isinstance(failed.error, KeyboardInterrupt)
        assert failed.usage.status == record.status == events[-1].status == "cancelled"
        assert isinstance(events[-1].error, KeyboardInterrupt)
    else:
        assert isinstance(failed.error, ExecutorError)
        assert str(failed.error) == str(events[-1].error) == "ValueError: no cells"
        assert failed.usage.status == record.status == events[-1].status == "failed"


def test_a_run_is_followed_while_it_runs():
    process = subprocess.Popen([sys.executable, SCRIPT, "experiments", "steps"])
    try:
        while not (paths := list(Path("experiments").glob("*/record.json"))):
            time.sleep(0.01)
        folder, events, moments = paths[0].parent, [], []

        def tell(event):
            events.append(event)
            moments.append(time.time())
            if isinstance(event, StepFinished) and sum(isinstance(one, StepFinished) for one in events) == 3:
                assert list(events[0].record.phases) == ["validate", "load"]
                assert events[0].record.status == "running"
                assert events[0].record.logs == ["it begins"]
                request(folder, "seen enough")

        record = follow(folder, tell, EndOnDisk(folder))
    finally:
        process.kill()
        process.wait()
    steps = [event for event in events if isinstance(event, StepFinished)]
    assert steps[0] == (1, 1_000_000, "year 1", {"area": 0.5}, 2001.0, 1)
    assert [event.phase for event in events if isinstance(event, PhaseStarted)] == ["validate", "load", "run"]
    assert isinstance(events[-1], RunFinished)
    assert events[-1].status == record.status == "cancelled"
    assert record is events[0].record
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    written = [datetime.fromisoformat(line["at"]).timestamp() for line in lines if line["event"] == "step"][:3]
    seen = [moment for event, moment in zip(events, moments, strict=True) if isinstance(event, StepFinished)][:3]
    assert all(after - before < 0.5 for before, after in zip(written, seen, strict=True))


def test_who_looks_late_sees_the_record_grow_all_the_same():
    record = run(Telling)
    seen = []

    def tell(event):
        if isinstance(event, RunStarted):
            seen.append(
                (event.record.status, dict(event.record.phases), list(event.record.logs), event.record.ended_at)
            )
            seen.append(event.record)
        elif isinstance(event, LogLine):
            assert seen[1].logs[-1] == event.text

    last = follow(folder_of(record), tell, lambda: True)
    assert seen[0] == ("running", {}, [], None)
    assert seen[1] is last
    assert last.status == "completed"
    assert last.logs == read_record(record.record_path).logs


def test_a_killed_run_is_lost_until_somebody_closes_it():
    process = subprocess.Popen([sys.executable, SCRIPT, "experiments", "steps"])
    while (
        not (journals := list(Path("experiments").glob("*/journal.jsonl"))) or '"step"' not in journals[0].read_text()
    ):
        time.sleep(0.01)
    process.kill()
    process.wait()
    folder = journals[0].parent
    events, record = retold(folder, EndOnDisk(folder))
    assert (events[-1].status, record.status) == ("lost", "running")
    assert isinstance(events[-1].error, ExecutorError)
    close_dead(folder / "record.json", "failed", "CrashError: it was killed")
    events, record = retold(folder, EndOnDisk(folder))
    assert (events[-1].status, str(events[-1].error)) == ("failed", "CrashError: it was killed")
    assert "run" in record.phases


def test_a_queued_run_tells_nothing_until_it_begins():
    queued = queue_run("game_of_life", parameters={"generations": 2})
    folder, events = folder_of(queued), []
    follower = threading.Thread(target=follow, args=(folder, events.append, EndOnDisk(folder, 0.01), 0.005))
    follower.start()
    time.sleep(0.1)
    assert events == []
    work = {"parameters": {"generations": 2}, "fields": {"experiment_id": queued.experiment_id}}
    run("game_of_life", **work, folder_name=folder.name, is_queued=True)
    follower.join(10)
    assert kinds(events)[:2] == ["RunStarted", "PhaseStarted"]
    assert events[-1] == RunFinished("completed")


def test_a_queued_run_that_is_cancelled_begins_and_ends():
    queued = queue_run("game_of_life")
    assert cancel(read_record(queued.record_path)).outcome == "cancelled"
    events, record = retold(folder_of(queued))
    assert kinds(events) == ["RunStarted", "RunFinished"]
    assert events[-1].status == record.status == "cancelled"


def test_a_run_that_never_came_tells_nothing(tmp_path):
    assert retold(tmp_path / "gone") == ([], None)


def test_a_journal_without_its_record_tells_nothing():
    record = run(Telling)
    record.record_path.unlink()
    assert retold(folder_of(record)) == ([], None)


def test_an_exception_of_the_listener_ends_the_following():
    record = run(Telling)

    def refuse(event):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        follow(folder_of(record), refuse, lambda: True)


# ----------------------------------------------------------------------------------------------- what is read


def test_a_line_counts_once_it_is_whole(tmp_path):
    path = tmp_path / "journal.jsonl"
    with JournalReader(tmp_path) as reader:
        assert list(reader.lines()) == []  # it is not there yet
        content = b'{"event": "log", "text": "\xc3\xa9"}\n{"event": "log", "text": "b"}\n'
        found = []
        with path.open("ab", buffering=0) as file:
            for place in range(len(content)):
                file.write(content[place : place + 1])
                found.append(list(reader.lines()))
    assert [lines for lines in found if lines] == [
        [{"event": "log", "text": "é"}],
        [{"event": "log", "text": "b"}],
    ]


FOREIGN = [
    b"",
    b"no json",
    b"[1, 2]",
    b"7",
    b"null",
    b"\xff\x00\xfe",
    b"[" * 100_000,
    b'{"event": 5}',
    b'{"event": ["log"]}',
    b'{"event": "log"}',
    b'{"event": "step"}',
    b'{"event": "step", "step": "many"}',
    b'{"event": "step", "step": 1e999}',
    b'{"event": "step", "step": 1, "values": [1]}',
    b'{"event": "step", "step": 1, "values": {"a": 1}, "part": {}}',
    b'{"event": "phase_started", "phase": "lunch"}',
    b'{"event": "phase_started"}',
    b'{"event": "phase_completed", "phase": "run"}',
    b'{"event": "phase_failed", "phase": "run", "started_at": "yesterday", "seconds": "x"}',
    b'{"event": "lunch"}',
]


def test_lines_of_others_are_passed_over():
    record = run(Telling)
    path = record.record_path.with_name("journal.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    plain, _ = retold(folder_of(record))
    mixed = [line + b"\n" + own for line, own in zip(FOREIGN * 2, lines, strict=False)]
    path.write_bytes(b"".join(mixed) + b"".join(lines[len(mixed) :]))
    assert repr(retold(folder_of(record))[0]) == repr(plain)


@pytest.mark.parametrize("line", FOREIGN)
def test_each_line_of_others_is_passed_over(tmp_path, line):
    (tmp_path / "journal.jsonl").write_bytes(line + b'\n{"event": "log", "text": "own"}\n')
    assert told(tmp_path).logs == ["own"]
    assert told(tmp_path).phases == {}


def test_an_endless_line_is_passed_over_and_takes_no_memory(tmp_path):
    own = b'{"event": "log", "text": "own"}\n'
    (tmp_path / "journal.jsonl").write_bytes(own + b"x" * 5_000_000 + b"\n" + own)
    with JournalReader(tmp_path) as reader:
        assert len(list(reader.lines())) == 2
        assert reader._rest == b""


def test_a_long_line_of_ours_is_read(tmp_path):
    text = "x" * 900_000
    (tmp_path / "journal.jsonl").write_text(json.dumps({"event": "log", "text": text}) + "\n")
    assert told(tmp_path).logs == [text]


def test_a_journal_that_is_a_folder(tmp_path):
    (tmp_path / "journal.jsonl").mkdir()
    with JournalReader(tmp_path) as reader:
        assert list(reader.lines()) == []


def test_a_huge_journal_is_read_in_pieces(tmp_path):
    line = json.dumps({"event": "step", "step": 3, "n_steps": 9, "label": "year 2030", "values": {"area": 1.5}})
    (tmp_path / "journal.jsonl").write_text(f"{line}\n" * 100_000)
    with JournalReader(tmp_path) as reader:
        count = 0
        for _ in reader.lines():
            count += 1
            assert len(reader._rest) < len(line)
    assert count == 100_000


def test_what_a_dead_run_told_is_summed_up(tmp_path):
    lines = [
        {"event": "phase_started", "phase": "validate", "at": "2026-05-04T03:02:00+00:00"},
        {"event": "phase_completed", "phase": "validate", "started_at": "2026-05-04T03:02:00Z", "seconds": 0.5},
        {"event": "phase_started", "phase": "run", "at": "2026-05-04T03:02:01+00:00"},
        {"event": "step", "step": 4},
        {"event": "step", "step": 7},
        {"event": "step", "step": 2, "part": 2},
        {"event": "log", "text": "a"},
    ]
    (tmp_path / "journal.jsonl").write_text(
        "".join(f"{json.dumps(line)}\n" for line in lines) + '{"event": "log", "te'
    )
    found = told(tmp_path)
    assert {name: usage.seconds for name, usage in found.phases.items()} == {"validate": 0.5}
    assert (found.steps, found.logs, found.open_phase, found.last_phase) == (9, ["a"], "run", "run")
    assert found.opened_at.isoformat() == "2026-05-04T03:02:01+00:00"


# --------------------------------------------------------------------------------------------- what is written


def steps_told(values, **options):
    class Odd(SteppingExecutor, register=False):
        name = "odd"

        def run(self, data, record):
            report_step(1, 1, values=values, **options)
            return data

    record = run(Odd)
    again, _ = retold(folder_of(record))
    text = record.record_path.with_name("journal.jsonl").read_text()
    for line in text.splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    return [event for event in again if isinstance(event, StepFinished)], text


def test_numbers_of_any_kind_come_back():
    values = {
        "numpy": np.float32(1.5),
        "whole": np.int64(7),
        "decimal": Decimal("2.5"),
        "true": True,
        "big": 10**30,
        "tiny": 5e-324,
        "array": np.array(3.0),
        5: 6,
    }
    (step,), _ = steps_told(values, time=np.float64(2030.5))
    expected = {
        "numpy": 1.5,
        "whole": 7,
        "decimal": 2.5,
        "true": 1,
        "big": 10**30,
        "tiny": 5e-324,
        "array": 3,
        "5": 6,
    }
    assert step.values == expected
    assert step.time == 2030.5


def test_what_is_no_number_is_left_out():
    (step,), _ = steps_told({"text": "far", "none": None, "list": [1], "huge": 10**400, "a": 1})
    assert step.values == {"huge": 10**400, "a": 1}


def test_infinite_numbers_come_back():
    (step,), text = steps_told({"a": float("inf"), "b": float("-inf"), "c": float("nan")}, time=float("nan"))
    assert step.values["a"] == float("inf")
    assert step.values["b"] == float("-inf")
    assert step.values["c"] != step.values["c"]
    assert step.time != step.time
    assert "NaN" not in text


def test_no_secret_is_told():
    class Leaking(SteppingExecutor, register=False):
        name = "leaking"

        def run(self, data, record):
            record.add_log("opening s3://ana:hunter2@bucket")
            report_step(1, 2, "password=hunter2", {"api_key": 471147, "token=hunter2": 1.0, "area": 2.0})
            raise ValueError("no access with password=hunter2")

    with pytest.raises(ValueError, match="hunter2"):
        run(Leaking)
    text = (newest() / "journal.jsonl").read_text()
    assert "hunter2" not in text
    assert "471147" not in text
    events, _ = retold(newest())
    assert next(event for event in events if isinstance(event, StepFinished)).values == {
        "token=***": 1.0,
        "area": 2.0,
    }
    assert str(next(event.error for event in events if isinstance(event, PhaseFailed))) == (
        "ValueError: no access with password=***"
    )


def test_a_lone_surrogate_in_a_label_or_name():
    (step,), _ = steps_told({"caf\udce9": 1.0})
    assert step.values == {"caf\udce9": 1.0}


def test_what_an_older_journal_tells():
    line = {"event": "step", "step": 3, "n_steps": None, "label": "year 2030", "at": "2026-05-04T03:02:00+00:00"}
    assert event_of(line) == StepFinished(3, None, "year 2030", {}, None, 1)


def test_the_record_that_is_handed_out_takes_extra_fields_too():
    record = run("game_of_life", parameters={"generations": 2}, fields={"priority": "high"})
    story = Story(folder_of(record))
    assert [type(event).__name__ for event in story.events(lambda: True)][-1] == "RunFinished"
    assert isinstance(story.record, ExperimentRecord)
    assert story.record.priority == "high"


def test_the_end_on_disk_is_asked_for_rarely(monkeypatch):
    record = run("game_of_life", parameters={"generations": 2})
    record.status = "running"
    record.record_path.write_text(record.model_dump_json())
    reads = []
    real = journal.try_read
    monkeypatch.setattr(journal, "try_read", lambda path: reads.append(path) or real(path))
    is_over = EndOnDisk(folder_of(record), interval=60)
    assert [is_over() for _ in range(100)] == [False] * 100  # this process is the run's own, and alive
    assert len(reads) == 1


def test_a_record_that_waits_is_not_read_again_and_again(monkeypatch):
    queued = queue_run("game_of_life", parameters={"generations": 2})
    reads, looks = [], []
    real = journal.try_read
    monkeypatch.setattr(journal, "try_read", lambda path: reads.append(path) or real(path))

    def is_over():
        looks.append(1)
        return len(looks) > 50

    events = []
    record = follow(folder_of(queued), events.append, is_over, interval=0.001)
    assert record.status == "pending"
    assert kinds(events) == ["RunStarted", "RunFinished"]
    assert events[-1].status == "lost"
    assert len(reads) == 2
