"""The live panel: what it shows, how often, and what stays when the run is over."""

from __future__ import annotations

import re
import sys
import threading
import time
import types

import ipywidgets as widgets
import numpy as np
import pytest

from dissmodel_lab import run, steps
from dissmodel_lab.class_tables import _tables_of as class_tables_of
from dissmodel_lab.errors import LabError
from dissmodel_lab.executor.testing import FailingExecutor, SteppingExecutor
from dissmodel_lab.magics import caller_of
from dissmodel_lab.progress import Progress
from dissmodel_lab.rasters import Raster
from dissmodel_lab.store import RunStore
from dissmodel_lab.views import cancel_button, phases, run_panel
from dissmodel_lab.views.cancel_button import INLINE, WORKER, CancelButton, answer_during_cells
from dissmodel_lab.views.outputs import CellOutput, WidgetOutput, new_output
from dissmodel_lab.views.phases import INTERVAL, PhasePanel, phases_html
from dissmodel_lab.views.player import StepPlayer
from dissmodel_lab.views.run_panel import run_in_cell, show_record

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class Slow(SteppingExecutor, register=False):
    """Takes its time in each phase."""

    name = "slow"

    def load(self, record):
        time.sleep(0.35)
        return super().load(record)

    def run(self, data, record):
        record.add_log("half way")
        time.sleep(0.35)
        return super().run(data, record)


class Spreading(SteppingExecutor, register=False):
    """Tells its map and a value, 40 ms a step."""

    name = "spreading"

    def run(self, data, record):
        grid = np.zeros((8, 8), "uint8")
        for step in steps(range(1, 61), layers=lambda: {"city": grid}, values=lambda: {"built": int(grid.sum())}):
            time.sleep(0.04)
            grid.flat[step] = 1
        return "spread"


def in_cell(model):
    return run_in_cell(lambda listeners: run(model, **listeners._asdict()))


def watched(monkeypatch):
    """Keep the panel of the next run and every table that it shows."""
    seen = []

    class Watched(PhasePanel):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            self._table.observe(lambda change: seen.append(change["new"]), "value")
            watched.panel = self

    monkeypatch.setattr(run_panel, "PhasePanel", Watched)
    return seen


def test_panel_is_refreshed_at_most_four_times_a_second(shell, monkeypatch):
    seen = watched(monkeypatch)
    began = time.monotonic()
    run_in_cell(lambda listeners: run(Slow, **listeners._asdict()))
    lasted = time.monotonic() - began
    assert INTERVAL >= 0.25
    assert 2 <= watched.panel.updates <= lasted / INTERVAL + 1
    running = [html for html in seen if "half way" in html]
    assert running
    assert "<td" in running[0]


def test_each_phase_is_seen_however_dear_an_update_was(shell, monkeypatch):
    class Even(SteppingExecutor, register=False):
        name = "even"

        def load(self, record):
            time.sleep(0.6)
            return super().load(record)

        def run(self, data, record):
            time.sleep(0.6)
            return super().run(data, record)

        def save(self, result, record):
            time.sleep(0.6)
            return super().save(result, record)

    monkeypatch.setattr(phases, "_SHARE", 1e9)
    monkeypatch.setattr(phases, "_LONGEST", 60)
    seen = watched(monkeypatch)
    in_cell(Even)
    table = [re.sub(r"<[^>]*>", " ", html) for html in seen]
    running = [re.search(r"(\w+) +running", text) for text in table]
    assert list(dict.fromkeys(match[1] for match in running if match)) == ["load", "run", "save"]


def test_a_phase_runs_only_when_the_one_before_has_ended():
    states = []
    progress = Progress()

    def note(event):
        progress(event)
        states.append([part.state for part in progress.phases.values()])

    run(Slow, observers=[note])
    for now in states:
        assert now == sorted(now, key=["done", "running", "waiting"].index)
        assert now.count("running") <= 1


def test_what_stays_is_static_and_the_widgets_are_closed(shell, monkeypatch):
    watched(monkeypatch)
    run_in_cell(lambda listeners: run(SteppingExecutor, **listeners._asdict()))
    first, last = shell.bundles[0], shell.bundles[-1]
    assert WIDGET_VIEW in first
    assert WIDGET_VIEW not in last
    assert "testing_stepping</b> &middot; completed" in last["text/html"]
    assert watched.panel.widget.comm is None


def test_failure_is_shown_and_raised(shell):
    with pytest.raises(RuntimeError, match="broken on purpose in run"):
        run_in_cell(lambda listeners: run(FailingExecutor("run"), **listeners._asdict()))
    html = shell.bundles[-1]["text/html"]
    assert "failed in phase run" in html
    assert "not reached" in html


def test_refusal_before_there_is_a_record_leaves_nothing(shell):
    with pytest.raises(LookupError):
        run_in_cell(lambda listeners: run("no_such_model", **listeners._asdict()))
    assert shell.bundles[-1] == {"text/plain": "", "text/html": ""}


def test_input_in_memory_is_drawn_before_the_model_changes_it(shell):
    class Zeroing(SteppingExecutor, register=False):
        name = "zeroing"

        def run(self, data, record):
            data.array[:] = 0
            return data

    raster = Raster(array=np.arange(6, dtype="uint8").reshape(1, 2, 3))
    run_in_cell(lambda listeners: run(Zeroing, data=raster, **listeners._asdict()))
    html = shell.bundles[-1]["text/html"]
    assert "Map of band_1" in html
    assert "5" in html


def test_steps_are_shown_as_text_and_bar():
    html = phases_html(Progress(step=3, n_steps=12, label="<b>year</b>", values={"area": 2.5}))
    assert "step 3 of 12 (&lt;b&gt;year&lt;/b&gt;): area 2.5" in html
    assert "width:25.0%" in html


def test_voila_gets_widgets_and_notebooks_get_outputs(monkeypatch):
    assert isinstance(new_output(), CellOutput)
    monkeypatch.setenv("SERVER_SOFTWARE", "voila/0.5.13")
    output = new_output()
    assert isinstance(output, WidgetOutput)
    output.show_static({"text/html": "<b>done</b>"})
    assert output._box.children[0].value == "<b>done</b>"


def test_colab_is_asked_to_draw_maps(monkeypatch, shell):
    asked = []
    colab = types.ModuleType("google.colab")
    colab.output = types.SimpleNamespace(enable_custom_widget_manager=lambda: asked.append(True))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    shell.run_line_magic("reload_ext", "dissmodel_lab")
    assert asked == [True]


def test_notebook_path_by_front_end(monkeypatch, shell, workspace):
    (workspace / "a.ipynb").touch()
    (workspace / "b.ipynb").touch()
    assert caller_of(shell).notebook_path == ""
    monkeypatch.setenv("JPY_SESSION_NAME", str(workspace / "renamed.ipynb"))
    assert caller_of(shell).notebook_path == ""
    monkeypatch.setenv("JPY_SESSION_NAME", str(workspace / "a.ipynb"))
    assert caller_of(shell).notebook_path == str(workspace / "a.ipynb")
    shell.user_ns["__vsc_ipynb_file__"] = str(workspace / "b.ipynb")
    assert caller_of(shell).notebook_path == str(workspace / "b.ipynb")


def test_picture_and_charts_follow_while_the_phase_is_run(shell, monkeypatch):
    seen = watched(monkeypatch)
    pictures = []

    class Followed(run_panel.LiveMap):
        def __init__(self, keeper):
            super().__init__(keeper)
            self.image.observe(lambda change: pictures.append((phase(), change["new"])), "value")

    def phase():
        return watched.panel._progress.phases["run"].state

    monkeypatch.setattr(run_panel, "LiveMap", Followed)
    began = time.monotonic()
    in_cell(Spreading)
    lasted = time.monotonic() - began
    running = {picture for state, picture in pictures if state == "running"}
    assert len(running) >= 2
    assert any("built <b>" in html and "<svg" in html for html in seen)
    assert not any(": built" in html and "<svg" in html for html in seen)  # once is enough
    assert watched.panel.pictures == len(pictures) <= lasted / INTERVAL / 2 + 1
    assert watched.panel.updates <= lasted / INTERVAL + 2
    assert 0 < watched.panel.busy <= 1.1 * watched.panel.seconds


class Laborious:
    """A follower whose first picture takes 30 ms of the processor."""

    def __init__(self, *, is_once):
        self.widget, self.once, self.moments = widgets.HTML(), 0.0, []
        self._is_once = is_once

    def draw(self):
        began = time.thread_time()
        while not self.moments and time.thread_time() - began < 0.03:
            pass
        self.once += self._is_once * (time.thread_time() - began)
        self.moments.append(time.perf_counter())
        return True

    def charts(self):
        self.moments.append(time.perf_counter())
        return ""


@pytest.mark.parametrize("is_once", [True, False])
def test_only_what_is_repeated_makes_the_next_update_wait(is_once):
    follower = Laborious(is_once=is_once)
    panel = PhasePanel(Progress(), follower)
    panel.start()
    ends = time.monotonic() + (30 if is_once else 1)
    while time.monotonic() < ends and len(follower.moments) < 2:
        time.sleep(0.05)
    seen = len(follower.moments)
    panel.stop()
    assert (seen >= 2) is is_once
    assert panel.busy >= 0.03


class Loaded(Spreading, register=False):
    """Loads a grid, so that the input's map is drawn before the phase run."""

    name = "loaded"

    def load(self, record):
        return np.zeros((8, 8))

    def run(self, data, record):
        record.metrics["read_before"] = class_tables_of.cache_info().currsize
        return super().run(data, record)


def test_the_executors_constants_are_read_before_the_phase_run(shell):
    assert in_cell(Loaded).metrics["read_before"] == 1


def test_a_run_with_steps_ends_as_strip_charts_and_player(shell, monkeypatch):
    made = []
    monkeypatch.setattr(run_panel, "StepPlayer", lambda frames: made.append(frames) or StepPlayer(frames))
    record = in_cell(Spreading)
    page = next(bundle["text/html"] for bundle in shell.bundles if "Step by step: city" in bundle["text/html"])
    assert "Animation of " in page
    assert "Line charts by time: built ends at 60." in page
    assert len(made) == 1
    assert WIDGET_VIEW in shell.bundles[-1]
    shell.bundles.clear()
    show_record(RunStore().read(record.experiment_id))
    assert "Step by step: city" in shell.bundles[0]["text/html"]
    assert len(made) == 2
    assert (made[0].pixels == made[1].pixels).all()


def test_a_run_that_failed_has_a_player_too(shell, monkeypatch):
    made = []
    monkeypatch.setattr(run_panel, "StepPlayer", lambda frames: made.append(frames) or StepPlayer(frames))

    class Breaking(Spreading, register=False):
        def run(self, data, record):
            super().run(data, record)
            raise RuntimeError("at last")

    with pytest.raises(RuntimeError, match="at last"):
        in_cell(Breaking)
    assert "Step by step: city" in shell.bundles[-1]["text/html"]
    assert made == []  # the cell ends with the error; what it showed last has the strip
    show_record(RunStore().read("last"))
    assert made[0].moments[-1].label.endswith("(stopped after it)")


def test_all_widgets_of_the_panel_are_closed(shell, monkeypatch):
    watched(monkeypatch)
    in_cell(Spreading)
    panel = watched.panel
    inner = [panel.widget, panel._table, panel.below, panel._top, panel._follower.widget, panel._follower.image]
    assert [widget.comm for widget in inner] == [None] * 6


class TestCancelButton:
    def test_a_click_interrupts_the_run_in_the_cell(self, shell, monkeypatch):
        watched(monkeypatch)

        class Clicking(Spreading, register=False):
            def run(self, data, record):
                # As a front end's subshell does it: on a thread of its own, while the main one is busy.
                threading.Thread(target=watched.panel.cancel.button.click).start()
                return super().run(data, record)

        with pytest.raises(KeyboardInterrupt) as caught:
            in_cell(Clicking)
        assert "The record of this run is " in caught.value.__notes__[0]
        assert RunStore().read("last").status == "cancelled"
        assert "cancelled in phase run" in shell.bundles[-1]["text/html"]

    def test_a_click_that_comes_too_late_does_nothing(self, shell, monkeypatch):
        watched(monkeypatch)
        in_cell(SteppingExecutor)
        button = watched.panel.cancel.button
        assert button.disabled
        button.click()
        time.sleep(0.1)  # a signal would have been delivered by now
        assert button.description == "Cancel"

    def test_a_run_on_another_thread_has_no_button(self, shell, monkeypatch):
        watched(monkeypatch)
        thread = threading.Thread(target=in_cell, args=(SteppingExecutor,))
        thread.start()
        thread.join(60)
        assert watched.panel.cancel is None

    def test_only_one_click_cancels(self):
        asked = []
        cancel = CancelButton(lambda: asked.append(True), WORKER)
        cancel.button.click()
        cancel.button.click()
        assert (asked, cancel.button.description) == ([True], "Cancelling ...")
        assert not cancel.button.disabled  # who pressed it by keyboard keeps the focus
        assert WORKER.asked in cancel._said.value

    def test_where_no_click_arrives_the_stop_button_is_named(self, monkeypatch):
        cancel = CancelButton(lambda: None, WORKER, blocks=True)
        assert WORKER.before in cancel._said.value
        cancel._began -= 5
        cancel.refresh()
        assert "the notebook&#x27;s stop button (or I, I on the keyboard) cancels." in cancel._said.value
        monkeypatch.setattr(cancel_button, "clicks_arrive", lambda: True)
        cancel.refresh()
        assert WORKER.before in cancel._said.value

    def test_a_run_that_does_not_end_says_why(self):
        cancel = CancelButton(lambda: None, INLINE)
        cancel.button.click()
        cancel._asked_at -= 5
        cancel.refresh()
        assert "busy in compiled code, which nothing can interrupt here" in cancel._said.value

    def test_what_went_wrong_is_said(self):
        def refuse():
            raise LabError("The folder <x> cannot be written.")

        cancel = CancelButton(refuse, WORKER)
        cancel.button.click()
        assert "could not be cancelled: The folder &lt;x&gt; cannot be written." in cancel._said.value

    def test_clicks_of_ipykernel_7_4_go_where_the_front_end_sent_them(self):
        comm = types.SimpleNamespace(_reply_subshell_for=lambda data, default: None)
        answer_during_cells(types.SimpleNamespace(comm=comm))
        assert comm._reply_subshell_for({"method": "custom"}, "subshell-1") == "subshell-1"
        answer_during_cells(types.SimpleNamespace(comm=types.SimpleNamespace()))  # other versions: nothing to mend
