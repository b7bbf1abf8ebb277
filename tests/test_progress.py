"""Events, added up to what can be said right now."""

from __future__ import annotations

import time

import pytest

from dissmodel_lab import run
from dissmodel_lab.executor import ExperimentRecord, Phase, execute_lifecycle
from dissmodel_lab.executor.events import PhaseFinished, PhaseStarted, RunFinished, StepFinished
from dissmodel_lab.executor.schemas import PhaseUsage, utc_now
from dissmodel_lab.executor.testing import FailingExecutor, SteppingExecutor
from dissmodel_lab.progress import Progress
from dissmodel_lab.store import RunStore
from dissmodel_lab.views.phases import phases_html


def states(progress):
    return [progress.phases[phase].state for phase in Phase]


class Watch:
    """Adds up events, and keeps the states after each."""

    def __init__(self):
        self.progress = Progress()
        self.states = []

    def __call__(self, event):
        self.progress(event)
        if not self.states or self.states[-1] != states(self.progress):
            self.states.append(states(self.progress))


def test_a_phase_runs_only_when_the_one_before_is_done():
    watch, record = Watch(), ExperimentRecord()
    assert states(watch.progress) == ["waiting"] * 4
    execute_lifecycle(SteppingExecutor(), record, observers=[watch])
    expected = [["waiting"] * 4]
    for index in range(4):
        done, waiting = ["done"] * index, ["waiting"] * (3 - index)
        expected += [[*done, "running", *waiting], [*done, "done", *waiting]]
    assert watch.states == expected
    progress = watch.progress
    assert progress.record is record
    assert (progress.status, progress.error) == ("completed", None)
    assert (progress.step, progress.n_steps, progress.step_text()) == (3, 3, "step 3 of 3")
    assert progress.total_seconds() == pytest.approx(record.metrics["time_total_sec"], abs=1e-5)


@pytest.mark.parametrize(("error", "status"), [(ValueError("x"), "failed"), (KeyboardInterrupt(), "cancelled")])
def test_a_phase_that_does_not_end_well(error, status):
    progress = Progress()
    with pytest.raises(type(error)):
        execute_lifecycle(FailingExecutor("run", error), ExperimentRecord(), observers=[progress])
    assert states(progress) == ["done", "done", status, "not reached"]
    assert progress.status == status
    assert progress.error is error
    assert progress.last_log.startswith("Traceback")


def test_what_was_loaded_is_held_until_the_run_is_over():
    seen = []
    progress = Progress()
    execute_lifecycle(
        SteppingExecutor(), ExperimentRecord(), observers=[progress, lambda event: seen.append(progress.loaded)]
    )
    assert seen[0] is None
    assert 3 in seen
    assert progress.loaded is None


def test_a_running_phase_has_a_running_time():
    progress = Progress()
    times = []

    class Slow(SteppingExecutor, register=False):
        def run(self, data, record):
            times.append(progress.phases[Phase.RUN].elapsed())
            time.sleep(0.02)
            times.append(progress.phases[Phase.RUN].elapsed())
            times.append(progress.total_seconds())
            assert progress.memory_bytes() > 1_000_000
            return data

    execute_lifecycle(Slow(), ExperimentRecord(), observers=[progress])
    assert times[0] >= 0
    assert times[0] + 0.02 <= times[1] <= times[2]
    assert progress.phases[Phase.RUN].elapsed() == progress.record.phases["run"].seconds
    assert progress.memory_bytes() == max(usage.peak_memory_bytes for usage in progress.record.phases.values())


def test_from_a_record_of_today():
    record = ExperimentRecord()
    with pytest.raises(RuntimeError):
        execute_lifecycle(FailingExecutor("run"), record)
    progress = Progress.from_record(record)
    assert states(progress) == ["done", "done", "failed", "not reached"]
    assert progress.phases[Phase.RUN].seconds == record.phases["run"].seconds
    assert progress.status == "failed"


def test_from_a_record_of_yesterday():
    old = ExperimentRecord(status="completed", metrics={"time_load_sec": 1.5, "time_run_sec": "long"})
    progress = Progress.from_record(old)
    assert states(progress) == ["not reached", "done", "not reached", "not reached"]
    assert progress.total_seconds() == 1.5
    assert progress.memory_bytes() == 0


def test_from_a_record_whose_memory_is_not_known():
    usage = PhaseUsage(started_at=utc_now(), seconds=2.0)
    progress = Progress.from_record(ExperimentRecord(status="completed", phases={"load": usage}))
    assert progress.memory_bytes() == 0


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (Progress(), ""),
        (Progress(step=3), "step 3"),
        (Progress(step=3, n_steps=20), "step 3 of 20"),
        (Progress(step=3, label="year 2030"), "step 3 (year 2030)"),
        (Progress(step=3, n_steps=20, label="year 2030"), "step 3 of 20 (year 2030)"),
    ],
)
def test_step_text(progress, text):
    assert progress.step_text() == text


def running(phase, **changes):
    progress = Progress(**changes)
    progress(PhaseStarted(phase, utc_now()))
    return progress


def test_time_left_comes_from_the_pace_of_the_latest_steps(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    progress = running(Phase.RUN)
    assert progress.left_text() == "time left unknown"
    progress(StepFinished(1, 11))
    assert progress.seconds_left() is None  # one step tells no pace
    clock[0] += 10
    progress(StepFinished(3, 11))  # 5 s a step
    assert progress.seconds_left() == pytest.approx(40)
    assert progress.left_text() == "about 40.0 s left"
    clock[0] += 30
    assert progress.seconds_left() == pytest.approx(10)
    progress(StepFinished(1, 4, part=2))  # another simulation begins: its pace is not known
    assert progress.seconds_left() is None
    progress(StepFinished(2, None, part=2))
    clock[0] += 1
    progress(StepFinished(3, None, part=2))
    assert progress.left_text() == "time left unknown"


def test_time_left_comes_from_earlier_runs_that_did_the_same(workspace, monkeypatch):
    class Sleepy(SteppingExecutor, register=False):
        name = "sleepy"

    record = run(Sleepy, parameters={"n_steps": 2})
    record.phases["load"].seconds, record.phases["run"].seconds = 50.0, 200.0
    record.record_path.write_text(record.model_dump_json())
    RunStore().entries()
    again = run(Sleepy, parameters={"n_steps": 2})
    for parameters, phase, expected in (
        ({"n_steps": 2}, Phase.RUN, 100),
        ({"n_steps": 3}, Phase.RUN, None),
        ({"n_steps": 3}, Phase.LOAD, 25),
    ):
        again.parameters = parameters
        progress = running(phase, record=again)
        left = progress.seconds_left()
        assert left is None if expected is None else left == pytest.approx(expected, abs=2)
    progress = running(Phase.RUN, record=again)
    again.parameters = {"n_steps": 2}
    progress.phases[Phase.RUN].began -= 1000  # it takes longer than it ever did
    assert progress.left_text() == "time left unknown"


def test_nothing_is_left_of_a_run_that_is_over():
    progress = Progress()
    execute_lifecycle(SteppingExecutor(), ExperimentRecord(), observers=[progress])
    assert (progress.left_text(), progress.seconds_left()) == ("", None)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("cancelled", "cancelled"),
        ("failed", "failed"),
        ("lost", "lost"),
        ("refused", "failed"),
        ("completed", "done"),
    ],
)
def test_a_run_that_is_over_has_no_open_phase(status, state):
    """A killed process tells the end of no phase."""
    progress = Progress()
    for phase in (Phase.VALIDATE, Phase.LOAD):
        progress(PhaseStarted(phase, utc_now()))
        progress(PhaseFinished(phase, PhaseUsage(started_at=utc_now(), seconds=1.0, status="completed")))
    progress(PhaseStarted(Phase.RUN, utc_now()))
    progress(RunFinished(status))
    assert states(progress) == ["done", "done", state, "not reached"]
    assert progress.left_text() == ""
    html = phases_html(progress)
    assert "running" not in html
    assert "waiting" not in html
    total = progress.total_seconds()
    time.sleep(0.01)
    assert progress.total_seconds() == total


def test_a_run_that_was_queued_when_it_ended_reached_nothing():
    progress = Progress(status="queued")
    progress(RunFinished("cancelled"))
    assert states(progress) == ["not reached"] * 4
