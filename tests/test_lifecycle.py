"""The four phases: their order, what each costs, and what the record says when one of them does not end well."""

from __future__ import annotations

import itertools
import mmap
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from dissmodel_lab.errors import ExecutorError
from dissmodel_lab.executor import ExperimentRecord, ModelExecutor, Phase, execute_lifecycle, report_step, steps
from dissmodel_lab.executor.events import (
    LogLine,
    PhaseFailed,
    PhaseFinished,
    PhaseStarted,
    RunFinished,
    RunStarted,
    StepFinished,
)
from dissmodel_lab.executor.testing import FailingExecutor, SteppingExecutor

PHASES = ["validate", "load", "run", "save"]
MB = 1024 * 1024


class Model(ModelExecutor, register=False):
    """A model whose phases are what a test gives."""

    name = "model_of_the_test"

    def __init__(self, **phases):
        self._phases = phases

    def validate(self, record):
        self._phases.get("validate", lambda record: None)(record)

    def load(self, record):
        return self._phases.get("load", lambda record: "loaded")(record)

    def run(self, data, record):
        return self._phases.get("run", lambda data, record: f"{data}, run")(data, record)

    def save(self, result, record):
        return self._phases.get("save", lambda result, record: record)(result, record)


def run(executor, record=None, **options):
    """Run, and return record and events, whatever happens."""
    record = record or ExperimentRecord()
    events = []
    error = None
    try:
        execute_lifecycle(executor, record, observers=[events.append, *options.pop("observers", [])], **options)
    except BaseException as raised:
        error = raised
    return SimpleNamespace(record=record, events=events, error=error)


def told(events, *kinds):
    return [event for event in events if isinstance(event, kinds)]


def test_a_run_returns_its_record_and_timings():
    record = ExperimentRecord()
    returned, timings = execute_lifecycle(Model(), record)
    assert returned is record
    assert list(timings) == [f"time_{phase}_sec" for phase in [*PHASES, "total"]]
    assert {key: record.metrics[key] for key in timings} == timings
    assert timings["time_total_sec"] == pytest.approx(sum(timings[f"time_{phase}_sec"] for phase in PHASES), abs=1e-5)
    assert record.status == "completed"
    assert (record.failed_phase, record.error, record.logs) == (None, None, [])
    assert list(record.phases) == PHASES
    assert record.created_at <= record.started_at <= record.phases["validate"].started_at
    assert record.phases["save"].started_at <= record.ended_at


def test_the_order_of_events():
    events = run(Model()).events
    expected = [RunStarted, *[PhaseStarted, PhaseFinished] * 4, RunFinished]
    assert [type(event) for event in events] == expected
    assert [event.phase for event in told(events, PhaseStarted)] == list(Phase)
    assert [event.value for event in told(events, PhaseFinished)][1:3] == ["loaded", "loaded, run"]
    assert events[-1] == RunFinished("completed", None)


def test_the_status_while_it_runs_is_running():
    seen = []
    run(Model(run=lambda data, record: seen.append((record.status, record.ended_at))))
    assert seen == [("running", None)]


def test_seconds_are_those_of_the_phase():
    record = run(Model(load=lambda record: time.sleep(0.05))).record
    assert 0.05 <= record.metrics["time_load_sec"] < 1
    assert record.metrics["time_load_sec"] == record.phases["load"].seconds
    assert record.metrics["time_run_sec"] < record.metrics["time_load_sec"]


def test_the_peak_memory_of_a_phase_is_seen_although_it_is_freed():
    def allocate(data, record):
        # Fresh pages of the system's: an allocator may have memory of an earlier test at hand.
        with mmap.mmap(-1, 50 * MB) as block:
            for start in range(0, 50 * MB, mmap.PAGESIZE):
                block[start] = 1

    phases = run(Model(run=allocate)).record.phases
    assert phases["run"].peak_memory_bytes - phases["load"].peak_memory_bytes > 40 * MB
    assert phases["save"].peak_memory_bytes < phases["run"].peak_memory_bytes - 40 * MB


def test_bytes_read_and_written_are_those_of_the_phase(tmp_path):
    path = tmp_path / "five.bin"
    phases = run(
        Model(
            run=lambda data, record: path.write_bytes(b"x" * 5 * MB),
            save=lambda result, record: (path.read_bytes(), record)[1],
        )
    ).record.phases
    assert 5 * MB <= phases["run"].written_bytes < 6 * MB
    assert 5 * MB <= phases["save"].read_bytes < 6 * MB
    assert phases["load"].written_bytes < MB
    assert phases["save"].written_bytes < MB


@pytest.mark.parametrize("phase", PHASES)
def test_a_phase_that_raises(phase):
    broken = KeyError("uso")
    outcome = run(FailingExecutor(phase, broken))
    record, index = outcome.record, PHASES.index(phase)
    assert outcome.error is broken
    assert record.status == "failed"
    assert record.failed_phase == phase
    assert record.error == "KeyError: 'uso'"
    assert list(record.phases) == PHASES[: index + 1]
    assert [usage.status for usage in record.phases.values()] == ["completed"] * index + ["failed"]
    ended = [f"time_{each}_sec" for each in PHASES[:index]]
    assert [key for key in record.metrics if key.startswith("time_")] == [*ended, "time_total_sec"]
    assert record.ended_at >= record.started_at
    assert record.logs[-2] == f"failed in phase {phase}: KeyError: 'uso'"
    assert record.logs[-1].startswith("Traceback (most recent call last):\n")
    assert "in _maybe\n    raise self._error\n" in record.logs[-1]
    assert record.logs[-1].endswith("KeyError: 'uso'\n")
    failure = told(outcome.events, PhaseFailed)
    assert [(event.phase, event.error, event.usage.status) for event in failure] == [(phase, broken, "failed")]
    assert outcome.events[-1] == RunFinished("failed", broken)


@pytest.mark.parametrize("phase", PHASES)
def test_an_interrupt_cancels(phase):
    outcome = run(FailingExecutor(phase, KeyboardInterrupt()))
    assert isinstance(outcome.error, KeyboardInterrupt)
    assert outcome.record.status == "cancelled"
    assert outcome.record.failed_phase == phase
    assert outcome.record.phases[phase].status == "cancelled"
    assert outcome.record.error == "KeyboardInterrupt"
    assert outcome.record.logs[-2] == f"cancelled in phase {phase}: KeyboardInterrupt"
    assert outcome.events[-1].status == "cancelled"


@pytest.mark.parametrize("phase", PHASES)
def test_sys_exit_is_a_broken_contract(phase):
    outcome = run(FailingExecutor(phase, SystemExit("bye")))
    assert type(outcome.error) is ExecutorError
    assert str(outcome.error) == (
        f"The executor ended the program (sys.exit('bye')) in phase '{phase}'. "
        "A model reports a problem by raising an exception."
    )
    assert isinstance(outcome.error.__cause__, SystemExit)
    assert outcome.record.status == "failed"
    assert outcome.record.failed_phase == phase
    assert "in _maybe\n    raise self._error\nSystemExit: bye\n" in outcome.record.logs[-1]


def test_an_exception_whose_text_cannot_be_made():
    class MuteError(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    outcome = run(FailingExecutor("run", MuteError()))
    assert isinstance(outcome.error, MuteError)
    assert outcome.record.status == "failed"
    assert outcome.record.error == "MuteError"
    assert ExperimentRecord.model_validate_json(outcome.record.model_dump_json()).failed_phase == "run"


@pytest.mark.parametrize("moment", [PhaseStarted, PhaseFinished])
def test_an_interrupt_while_the_panel_is_drawn_cancels_too(moment):
    def draw(event):
        if isinstance(event, moment) and event.phase is Phase.LOAD:
            raise KeyboardInterrupt

    outcome = run(Model(), observers=[draw])
    assert isinstance(outcome.error, KeyboardInterrupt)
    assert outcome.record.status == "cancelled"
    assert outcome.record.failed_phase == "load"
    where = "in" if moment is PhaseStarted else "after"
    assert outcome.record.logs[-2] == f"cancelled {where} phase load: KeyboardInterrupt"
    assert isinstance(outcome.events[-1], RunFinished)
    assert len(told(outcome.events, PhaseStarted)) == len(told(outcome.events, PhaseFinished, PhaseFailed))


def test_run_that_returns_none_is_told_in_the_log():
    seen = []
    record = run(
        Model(run=lambda data, record: None, save=lambda result, record: (seen.append(result), record)[1])
    ).record
    assert seen == [None]
    assert record.status == "completed"
    assert record.logs == ["run() returned None; save() gets None."]


def test_save_that_returns_none_keeps_the_record():
    def save(result, record):
        record.metrics["cells"] = 3

    record = run(Model(save=save)).record
    assert (record.status, record.metrics["cells"]) == ("completed", 3)
    assert record.logs == ["save() returned None instead of the record; the record was kept."]


@pytest.mark.parametrize(
    "returned", [5, {"status": "completed"}, "out.tif", SimpleNamespace(metrics={}, artifacts={})]
)
def test_save_that_returns_something_else_keeps_the_record(returned):
    record = run(Model(save=lambda result, record: returned)).record
    assert record.status == "completed"
    kind = type(returned).__name__
    assert record.logs == [f"save() returned a {kind} instead of the record; the record was kept."]


@pytest.mark.parametrize("keeps_id", [True, False])
def test_save_that_replaces_the_record(keeps_id):
    def save(result, record):
        other = ExperimentRecord(logs=["theirs"], metrics={"cells": 3, "time_load_sec": 99.0}, output_path="x.tif")
        if keeps_id:
            other.experiment_id = record.experiment_id
        other.output_sha256 = "ab"
        other.status = "completed"
        return other

    given = ExperimentRecord(experiment_id="given")
    given.add_log("ours")
    returned, timings = execute_lifecycle(Model(save=save), given)
    assert returned is given
    assert given.experiment_id == "given"
    assert (given.status, given.output_path, given.output_sha256) == ("completed", "x.tif", "ab")
    assert given.metrics["cells"] == 3
    assert timings["time_load_sec"] < 1
    assert given.logs[:2] == ["ours", "theirs"]
    assert given.logs[2].startswith("save() returned another record; its output, artifacts, metrics and logs were ")


def test_a_copy_of_the_record_brings_no_log_twice():
    def save(result, record):
        copy = record.model_copy(deep=True)
        copy.add_log("saved")
        return copy

    record = run(Model(save=save), ExperimentRecord(logs=["before"])).record
    assert record.logs[:2] == ["before", "saved"]
    assert len(record.logs) == 3


@pytest.mark.parametrize("replaces", [True, False])
def test_save_may_say_that_the_run_failed(replaces):
    def save(result, record):
        target = record.model_copy() if replaces else record
        target.status = "failed"
        return target

    outcome = run(Model(save=save))
    assert outcome.error is None
    assert outcome.record.status == "failed"
    assert outcome.record.failed_phase == "save"
    assert "save() set the status to failed." in outcome.record.logs
    assert outcome.events[-1] == RunFinished("failed", None)


@pytest.mark.parametrize("status", ["pending", "concluído", None])
def test_a_status_that_was_forgotten_or_is_odd_becomes_completed(status):
    def save(result, record):
        record.status = status
        return record

    assert run(Model(save=save)).record.status == "completed"


def test_a_path_as_output_path_becomes_text():
    def save(result, record):
        record.output_path = Path("out") / "x.tif"
        return record

    assert run(Model(save=save)).record.output_path == "out/x.tif"


def test_a_record_that_is_run_again_says_nothing_of_the_run_before():
    record = run(FailingExecutor("save")).record
    assert record.failed_phase == "save"
    again = run(FailingExecutor("load"), record).record
    assert again.failed_phase == "load"
    assert list(again.phases) == ["validate", "load"]
    assert "time_run_sec" not in again.metrics
    run(Model(), record)
    assert (record.status, record.failed_phase, record.error) == ("completed", None, None)
    assert list(record.phases) == PHASES


def test_data_in_memory_skips_load():
    loads = []
    outcome = run(Model(load=loads.append), data=None)
    assert loads == []
    assert told(outcome.events, PhaseFinished)[2].value == "None, run"
    assert list(outcome.record.phases) == PHASES


class Hook:
    """Notes what it sees; raises where it is told to."""

    def __init__(self, fails=None):
        self.seen = []
        self._fails = fails

    def before(self, phase, value):
        self._note("before", phase, value)

    def after(self, phase, value):
        self._note("after", phase, value)

    def _note(self, when, phase, value):
        self.seen.append((when, phase.value, value))
        if (when, phase.value) == self._fails:
            raise OSError("disk full")


def test_hooks_see_what_goes_in_and_what_comes_out():
    record, hook = ExperimentRecord(), Hook()
    execute_lifecycle(Model(), record, hooks=[hook])
    assert hook.seen == [
        ("before", "validate", record),
        ("after", "validate", None),
        ("before", "load", record),
        ("after", "load", "loaded"),
        ("before", "run", "loaded"),
        ("after", "run", "loaded, run"),
        ("before", "save", "loaded, run"),
        ("after", "save", record),
    ]


@pytest.mark.parametrize("fails", [("before", "run"), ("after", "load")])
def test_a_hook_that_refuses_fails_its_phase(fails):
    outcome = run(Model(), hooks=[Hook(fails)])
    assert outcome.record.failed_phase == fails[1]
    assert outcome.record.error == "OSError: disk full"


def test_an_observer_that_raises_is_left_out_and_the_run_goes_on():
    seen = []

    def broken(event):
        seen.append(event)
        raise ZeroDivisionError("no picture")

    with pytest.warns(RuntimeWarning) as warned:
        outcome = run(Model(), observers=[broken])
    problem = "An observer of the run failed and was left out: ZeroDivisionError('no picture')"
    assert [str(warning.message) for warning in warned] == [problem]
    assert outcome.record.status == "completed"
    assert outcome.record.logs == [problem]
    assert len(seen) == 1
    assert LogLine(problem) in outcome.events
    assert isinstance(outcome.events[-1], RunFinished)


def test_two_broken_observers_end_nothing_either():
    def first(event):
        raise ValueError(1)

    def second(event):
        raise ValueError(2)

    with pytest.warns(RuntimeWarning, match="left out") as warned:
        outcome = run(Model(), observers=[first, second])
    assert len(warned) == 2
    assert outcome.record.status == "completed"
    assert len(outcome.record.logs) == 2


def test_log_lines_are_told_as_they_are_written():
    def work(data, record):
        record.add_log("one")
        record.logs.append("two")
        record.logs.extend(["three", "four"])
        record.logs += ["five"]

    outcome = run(Model(run=work), ExperimentRecord(logs=["zero"]))
    words = ["one", "two", "three", "four", "five"]
    assert [event.text for event in told(outcome.events, LogLine)][:5] == words
    assert outcome.record.logs[:6] == ["zero", *words]


@pytest.mark.parametrize("phase", [None, "run"])
def test_the_log_is_a_plain_list_afterwards(phase):
    record = run(FailingExecutor(phase) if phase else Model()).record
    assert type(record.logs) is list


def test_steps_are_told_at_most_five_times_a_second_and_always_the_last():
    def work(data, record):
        for _ in steps(range(300)):
            time.sleep(0.002)

    outcome = run(Model(run=work))
    numbers = [event.step for event in told(outcome.events, StepFinished)]
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 1
    assert numbers[-1] == 300
    assert len(numbers) <= 2 + outcome.record.phases["run"].seconds / 0.2
    assert {event.n_steps for event in told(outcome.events, StepFinished)} == {300}


def test_a_fast_loop_tells_the_first_and_the_last():
    def work(data, record):
        return list(steps(range(2020, 2120), label=lambda year: f"year {year}"))

    told_steps = told(run(Model(run=work)).events, StepFinished)
    assert [(event.step, event.n_steps, event.label) for event in told_steps] == [
        (1, 100, "year 2020"),
        (100, 100, "year 2119"),
    ]


def test_without_a_number_of_steps_the_last_is_told_when_the_loop_ends():
    def work(data, record):
        for _ in steps(iter(range(50))):
            pass
        record.add_log("the loop is over")

    events = told(run(Model(run=work)).events, StepFinished, LogLine)
    assert [getattr(event, "step", "log") for event in events][:3] == [1, 50, "log"]
    assert events[0].n_steps is None


@pytest.mark.parametrize("ending", ["break", "raise"])
def test_the_last_complete_step_is_told_when_a_loop_ends_early(ending):
    def work(data, record):
        for step in steps(range(1, 101), label=lambda step: f"step {step}"):
            if step == 43:
                if ending == "break":
                    break
                raise ArithmeticError("diverged")

    events = run(Model(run=work)).events
    assert [event.label for event in told(events, StepFinished)] == ["step 1", "step 42"]
    assert [type(event) for event in events].index(RunFinished) == len(events) - 1


def test_report_step_with_values():
    def work(data, record):
        for step in range(1, 31):
            report_step(step, 30, f"year {2000 + step}", {"flooded": step * 0.5})

    events = told(run(Model(run=work)).events, StepFinished)
    assert [(event.step, event.label, event.values) for event in events] == [
        (1, "year 2001", {"flooded": 0.5}),
        (30, "year 2030", {"flooded": 15.0}),
    ]


def test_a_step_between_is_told_before_the_phase_ends():
    def work(data, record):
        for step in itertools.count(1):
            report_step(step)
            if step == 7:
                return

    events = run(Model(run=work)).events
    kinds = [(type(event).__name__, getattr(event, "step", "")) for event in events]
    at = kinds.index(("StepFinished", 7))
    assert kinds[at + 1][0] in {"LogLine", "PhaseFinished"}
    assert ("StepFinished", 1) in kinds[:at]


def test_outside_of_a_run_steps_only_iterate():
    report_step(1, 2, "x", {"a": 1.0})
    assert list(steps("abc", label=lambda letter: pytest.fail("no label is needed"))) == ["a", "b", "c"]


def test_a_run_inside_of_a_run_tells_its_own_steps():
    inner_events = []

    def outer(data, record):
        report_step(1, 2, "outer")
        execute_lifecycle(SteppingExecutor(), ExperimentRecord(), observers=[inner_events.append])
        report_step(2, 2, "outer")

    outcome = run(Model(run=outer))
    assert [event.label for event in told(outcome.events, StepFinished)] == ["outer", "outer"]
    assert [event.step for event in told(inner_events, StepFinished)][-1] == 3
    assert list(outcome.record.phases) == PHASES


def test_a_step_costs_little():
    def work(data, record):
        began = time.perf_counter()
        for _ in steps(range(100_000)):
            pass
        record.metrics["seconds"] = time.perf_counter() - began

    assert run(Model(run=work)).record.metrics["seconds"] < 1  # ten times what was measured
