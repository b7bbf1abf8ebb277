"""Runs that go on after their cell: the panel, its end, the variable, the tab, and runs that others carry out."""

from __future__ import annotations

import os
import re
import threading
import time
from uuid import uuid4

import ipywidgets as widgets
import numpy as np
import pytest
from held_runs import held_run, text, until

from dissmodel_lab import run, steps
from dissmodel_lab.cancelling import is_requested, request
from dissmodel_lab.engines import RunHandle, engine_for
from dissmodel_lab.executor.events import (
    LogLine,
    Phase,
    PhaseStarted,
    RunFinished,
    RunStarted,
    StepFinished,
)
from dissmodel_lab.executor.schemas import ExperimentRecord, utc_now
from dissmodel_lab.executor.testing import SteppingExecutor
from dissmodel_lab.jobs import Job, Outcome
from dissmodel_lab.store import RunStore
from dissmodel_lab.views import background
from dissmodel_lab.views.background import going_bundle, show_background
from dissmodel_lab.views.followed import FollowedProgress, ToldSteps
from dissmodel_lab.views.on_disk import RunOnDisk, is_going
from dissmodel_lab.views.run_panel import run_handle_in_cell, show_record
from dissmodel_lab.views.tab_title import TabTitle

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class Held(SteppingExecutor, register=False):
    """Stops in its second step until it is let go."""

    name = "held"
    go = threading.Event()

    def run(self, data, record):
        grid = np.zeros((4, 5), "uint8")
        for step in steps(range(1, 4), layers=lambda: {"city": grid}, values=lambda: {"built": int(grid.sum())}):
            grid.flat[step] = 1
            if step == 2:  # a step is told when the next one begins
                self.go.wait(30)
        return "held"


class Stepping(SteppingExecutor, register=False):
    """Steps for a long time."""

    name = "stepping"

    def run(self, data, record):
        for _ in steps(range(1, 2000), values=lambda: {"built": 1}):
            time.sleep(0.02)
        return "late"


@pytest.fixture
def held(workspace):
    """A run that another thread carries out, in the middle of its second step; released at the end."""
    with held_run(Held, lambda entry: entry.phase == "run") as record:
        yield record


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The panel's last words need not be read aloud here."""
    monkeypatch.setattr(background, "_LOOKED_AT", 0.05)
    yield
    Held.go.set()
    widgets.Widget.close_all()


def handle_of(model, **parameters):
    """Start a model in a worker process of its own."""
    run_id = str(uuid4())
    job = Job(
        model=model,
        parameters=parameters,
        store=str(RunStore().root.absolute()),
        working_folder=os.getcwd(),
        experiment_id=run_id,
        folder_name=run_id[:8],
        fields={"engine": "process"},
    )
    return engine_for("process").start(job)


class TestPanel:
    def test_it_returns_at_once_and_ends_as_the_runs_own_page(self, shell, held):
        names = {}
        began = time.monotonic()
        shown = show_background(RunOnDisk(held), "rec", names)
        assert time.monotonic() - began < 30
        assert isinstance(names["rec"], RunOnDisk)
        assert [WIDGET_VIEW in bundle for bundle in shell.bundles] == [False, True]
        until(lambda: "step 1 of 3" in shown.live.panel._table.value)
        assert shown.is_going
        Held.go.set()
        shown.wait(30)
        assert names["rec"].status == "completed"
        assert names["rec"].experiment_id == held.experiment_id
        page = next(b["text/html"] for b in shell.bundles if "held</b> &middot; completed" in b.get("text/html", ""))
        assert f"&#10003; Run {held.experiment_id[:8]} completed after " in page
        assert "Its record is in <code>rec</code>." in page
        assert not shown.is_going

    def test_a_saved_notebook_is_true_at_every_moment(self, shell, held):
        shown = show_background(RunOnDisk(held))
        going = shell.bundles[0]
        run_id = held.experiment_id[:8]
        said = (
            f"In a saved notebook: this run was still going when the notebook was saved; %dissmodel show {run_id} "
            "tells how it ended."
        )
        assert said in text(going["text/html"])
        assert said in going["text/plain"]
        assert not re.search(r"<(script|style|svg)|\bid=", going["text/html"])
        Held.go.set()
        shown.wait(30)
        saved = "".join(str(bundle) for bundle in shell.bundles)
        assert "javascript" not in saved

    def test_what_stays_of_the_panel_says_how_it_ended(self, shell, held):
        shown = show_background(RunOnDisk(held))
        Held.go.set()
        shown.wait(30)
        said = text(shown._said.value)
        assert said.startswith(f"&#10003; Run {held.experiment_id[:8]} completed after ")
        assert said.endswith(f"%dissmodel show {held.experiment_id[:8]}")
        assert 'role="status"' in shown._said.value
        panel = shown.live.panel
        assert panel._table in panel.widget.children
        assert panel._table.comm is not None
        assert (panel.cancel.button.comm, panel.below.comm, panel.picture.comm) == (None, None, None)

    def test_what_a_person_put_into_the_variable_stays(self, shell, held):
        names = {}
        shown = show_background(RunOnDisk(held), "rec", names)
        names["rec"] = "mine"
        Held.go.set()
        shown.wait(30)
        assert names == {"rec": "mine"}

    def test_an_assignment_after_the_end_is_filled_too(self, shell, monkeypatch):
        monkeypatch.setattr(background, "_LOOKED_AT", 0.5)
        record = run(SteppingExecutor)
        names, over = {}, RunOnDisk(record)
        shown = show_background(over, "rec", names)
        until(lambda: isinstance(names["rec"], ExperimentRecord))
        names["rec"] = over  # what `rec = %dissmodel run ... --background` does when the magic returns
        shown.wait(30)
        assert names["rec"].experiment_id == record.experiment_id

    @pytest.mark.parametrize(
        ("is_disk", "ends", "sentence"),
        [
            (True, False, "Another process carries it out, whatever happens to this notebook."),
            (False, False, "It goes on when the browser is closed, and when the kernel ends."),
            (False, True, "It goes on when the browser is closed, and ends when the kernel does."),
        ],
    )
    def test_it_says_what_a_restart_does(self, is_disk, ends, sentence):
        job = Job(model="m", store="s", working_folder="w", experiment_id="a1b2c3d4e5", folder_name="f")
        record = ExperimentRecord(experiment_id="a1b2c3d4e5", model_name="m")
        going = RunOnDisk(record) if is_disk else RunHandle(job, "process")
        said = going_bundle(going, "rec", ends_with_kernel=ends)
        assert sentence in text(said["text/html"])
        assert f"{sentence} Its record will be in rec." in said["text/plain"]

    def test_names_are_escaped(self):
        record = ExperimentRecord(experiment_id="a1b2c3d4e5", model_name="<b>evil</b>")
        assert "<b>evil" not in going_bundle(RunOnDisk(record))["text/html"]

    def test_a_run_that_was_never_begun_says_why(self, shell):
        job = Job(model="<m>", store="nowhere", working_folder="w", experiment_id="a1b2c3d4e5", folder_name="f")
        handle, names = RunHandle(job, "process"), {}
        shown = show_background(handle, "rec", names)
        handle.finish(Outcome("refused", "a1b2c3d4e5", error="EngineError: <b> cannot travel"))
        shown.wait(30)
        pages = [bundle["text/html"] for bundle in shell.bundles if "was not begun" in bundle["text/html"]]
        assert text(pages[0]) == "&#10007; Run a1b2c3d4 was not begun: EngineError: &lt;b&gt; cannot travel"
        assert names["rec"] is handle

    def test_a_lost_run_is_called_lost(self, shell, held, monkeypatch):
        shown = show_background(RunOnDisk(held))
        monkeypatch.setattr("dissmodel_lab.views.on_disk.is_alive", lambda record: False)
        shown.wait(30)
        assert any("is lost: its process ended without a word" in b.get("text/html", "") for b in shell.bundles)

    def test_threads_that_touch_widgets_carry_the_cells_context(self, shell, held):
        import contextvars

        cell = contextvars.ContextVar("cell")
        cell.set("this one")
        seen = []
        going = RunOnDisk(held)
        shown = show_background(going)
        shown._title.mark = lambda status: seen.append((status, cell.get("none")))
        Held.go.set()
        shown.wait(30)
        assert seen == [("completed", "this one")]


class TestCancel:
    def test_the_button_asks_and_says_what_happens(self, shell):
        handle = handle_of(Stepping)
        shown = show_background(handle)
        cancel = shown.live.panel.cancel
        until(lambda: "step " in shown.live.panel._table.value)
        assert text(cancel._said.value) == (
            "Cancel ends the run at its next step; if it does not react, its process is ended after 1 s."
        )
        began = time.monotonic()
        cancel.button.click()
        assert time.monotonic() - began < 10
        assert cancel.button.description == "Cancelling ..."
        assert text(cancel._said.value).startswith("Cancelling: the run ends at its next step;")
        shown.wait(30)
        assert handle.wait(1).status == "cancelled"
        page = next(b["text/html"] for b in shell.bundles if "&middot; cancelled" in b.get("text/html", ""))
        assert f"&#9632; Run {handle.experiment_id[:8]} was cancelled after " in page

    def test_a_run_of_another_process_is_asked_by_its_folder(self, held):
        folder = held.record_path.parent
        assert not is_requested(folder)
        RunOnDisk(held).cancel("enough")
        assert is_requested(folder)


class TestOnDisk:
    def test_show_follows_a_run_that_is_still_going(self, shell, held):
        assert is_going(held)
        show_record(held)
        assert "goes on in the background" in shell.bundles[0]["text/html"]
        assert WIDGET_VIEW in shell.bundles[1]
        Held.go.set()
        until(lambda: any("held</b> &middot; completed" in b.get("text/html", "") for b in shell.bundles))

    def test_show_of_a_run_that_is_over_is_static_at_once(self, shell):
        record = run(SteppingExecutor)
        show_record(record)
        assert "&middot; completed" in shell.bundles[0]["text/html"]

    def test_events_of_the_past_are_told_first(self, held):
        told = []
        going = RunOnDisk(held)
        going.subscribe(told.append)
        until(lambda: any(isinstance(event, StepFinished) for event in told))
        assert isinstance(told[0], RunStarted)
        assert [event.phase for event in told if isinstance(event, PhaseStarted)] == ["validate", "load", "run"]
        with pytest.raises(TimeoutError, match=r"^Run \w{8} has not ended after 0\.1 s\. It goes on\.$"):
            going.wait(0.1)
        Held.go.set()
        outcome = going.wait(30)
        assert (outcome.status, outcome.record_path) == ("completed", held.record_path)
        assert isinstance(told[-1], RunFinished)

    def test_a_broken_observer_is_left_alone(self, held):
        going = RunOnDisk(held)
        going.subscribe(lambda event: 1 / 0)
        Held.go.set()
        assert going.wait(30).status == "completed"

    def test_a_cancelled_queued_run_ends(self, workspace):
        record = ExperimentRecord(model_name="m", status="cancelled")
        path = workspace / "record.json"
        path.write_text(record.model_dump_json())
        record._record_path = path
        assert RunOnDisk(record).wait(60).status == "cancelled"
        assert request(workspace).why == "cancelled"


class TestProgress:
    def test_a_queued_run_says_so(self):
        progress = FollowedProgress()
        assert progress.status == "queued"
        progress(PhaseStarted(Phase.LOAD, utc_now()))
        assert progress.status == "running"

    def test_a_phase_that_began_long_ago_has_run_for_long(self):
        from datetime import timedelta

        progress = FollowedProgress()
        progress(PhaseStarted(Phase.RUN, utc_now() - timedelta(seconds=100)))
        assert 100 <= progress.phases[Phase.RUN].elapsed() < 110

    def test_steps_that_arrive_together_say_nothing_of_the_pace(self):
        progress = FollowedProgress()
        progress(PhaseStarted(Phase.RUN, utc_now()))
        for step in range(1, 50):
            progress(StepFinished(step, 100))
        assert progress.seconds_left() is None
        time.sleep(0.2)
        progress(StepFinished(50, 100))
        assert 5 < progress.seconds_left() < 60

    def test_memory_is_that_of_the_other_process(self):
        progress = FollowedProgress()
        progress(RunStarted(ExperimentRecord()))
        progress(PhaseStarted(Phase.RUN, utc_now()))
        assert progress.memory_bytes() == 0  # nobody knows the process: not that of this one

    def test_values_are_kept_within_bounds_over_all_parts(self):
        told = ToldSteps()
        told(LogLine("no step"))
        for part in (1, 2):
            for step in range(1, 1001):
                told(StepFinished(step, 1000, values={"area": step}, part=part))
        series = told.series()
        assert series.counts == sorted(series.counts)
        assert (series.counts[0], series.counts[-1]) == (1, 2000)
        assert len(series.counts) <= 481
        assert series.values["area"][-1] == 1000


class TestTab:
    def test_no_text_of_others_gets_into_the_script(self):
        title = TabTitle()
        title.mark("</script><script>alert(1)")
        script = title.widget.outputs[0]["data"]["application/javascript"]
        assert "alert" not in script
        title.forget()
        assert title.widget.outputs == ()

    def test_it_is_marked_once_and_forgotten(self, shell, held):
        seen = []
        shown = show_background(RunOnDisk(held))
        shown._title.widget.observe(lambda change: seen.append(len(change["new"])), "outputs")
        Held.go.set()
        shown.wait(30)
        assert seen == [1, 0]


class TestInCell:
    def test_a_worker_run_looks_like_one_in_this_process(self, shell):
        record = run_handle_in_cell(handle_of("forest_fire", n_steps=20))
        assert record.status == "completed"
        assert WIDGET_VIEW in shell.bundles[0]
        static, explorer = shell.bundles[1:]
        assert "forest_fire</b> &middot; completed" in static["text/html"]
        assert "Step by step: " in static["text/html"]
        assert "image/png" in static
        assert WIDGET_VIEW not in static
        assert WIDGET_VIEW in explorer

    def test_a_worker_run_in_the_background_has_its_maps_and_player(self, shell):
        shown = show_background(handle_of("forest_fire", n_steps=20))
        shown.wait(60)
        pages = [bundle["text/html"] for bundle in shell.bundles if "image/png" in bundle]
        assert len(pages) == 1
        assert "forest_fire</b> &middot; completed" in pages[0]
        assert "Step by step: " in pages[0]
        assert WIDGET_VIEW in shell.bundles[-1]

    def test_an_interrupt_of_the_cell_cancels_the_run(self, shell):
        handle = handle_of(Stepping)
        told = threading.Event()
        handle.subscribe(lambda event: told.set() if isinstance(event, StepFinished) else None)

        def interrupt():
            told.wait(30)
            import signal

            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        threading.Thread(target=interrupt, daemon=True).start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt) as caught:
            run_handle_in_cell(handle)
        assert time.monotonic() - began < 30
        assert "The record of this run is " in caught.value.__notes__[0]
        assert handle.record.status == "cancelled"
        assert "&middot; cancelled" in shell.bundles[-1]["text/html"]

    def test_the_models_own_error_comes_out(self, shell):
        from dissmodel_lab.executor.testing import FailingExecutor

        with pytest.raises(RuntimeError, match="broken on purpose in run"):
            run_handle_in_cell(handle_of(FailingExecutor("run")))
        assert "failed in phase run" in shell.bundles[-1]["text/html"]
