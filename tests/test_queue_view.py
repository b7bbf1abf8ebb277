"""The queue: which runs are listed, in which words, and what its buttons do."""

from __future__ import annotations

import re
import threading

import ipywidgets as widgets
import pytest
from held_runs import held_run, text, until

from dissmodel_lab import run, steps
from dissmodel_lab.cancelling import is_requested
from dissmodel_lab.executor.schemas import ExperimentRecord
from dissmodel_lab.executor.testing import SteppingExecutor
from dissmodel_lab.provenance import Caller, collect_provenance
from dissmodel_lab.store import RunStore
from dissmodel_lab.views import queue
from dissmodel_lab.views.queue import COLUMNS, QueueControls, last_step, run_queue

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class Waiting(SteppingExecutor, register=False):
    """Stops in its second step until it is let go."""

    name = "waiting_model"
    go = threading.Event()

    def run(self, data, record):
        for step in steps(range(1, 4)):
            if step == 2:
                self.go.wait(30)
        return "held"


@pytest.fixture
def running(workspace):
    """A run in the middle of its second step."""
    said = {"engine": "process", "sweep": {"id": "5eeb" * 8, "point": 7}}
    with held_run(Waiting, lambda entry: last_step(entry.folder), **said) as record:
        yield record
    widgets.Widget.close_all()


@pytest.fixture
def queued(workspace):
    """A run of this process that waits for a worker."""
    record = ExperimentRecord(
        model_name="<b>queued</b>",
        status="pending",
        engine="dask",
        priority="high",
        provenance=collect_provenance(SteppingExecutor, Caller()),
    )
    RunStore().queue(record)
    return record


def test_an_empty_queue_says_so(shell):
    shown = run_queue()
    shown.show()
    assert str(shown) == "No run waits or works."
    assert len(shell.bundles) == 2
    assert "No run waits or works." in shell.bundles[-1]["text/html"]
    assert WIDGET_VIEW not in shell.bundles[-1]


def test_a_row_tells_model_engine_step_and_since_when(running):
    shown = run_queue()
    row = dict(zip(COLUMNS, shown.rows[0], strict=True))
    assert row.pop("since").startswith(f"{running.created_at:%Y-%m-%d %H:%M:%S} UTC, ")
    assert row == {
        "run": running.experiment_id[:8],
        "model": "waiting_model",
        "what": "sweep 5eeb5eeb, point 7; defaults",
        "engine": "process",
        "priority": "normal",
        "state": "running",
        "phase and step": "run, step 1 of 3 (1)",
    }


def test_those_that_wait_come_after_those_that_work_and_are_escaped(queued, running):
    shown = run_queue()
    assert [run.status for run in shown.runs] == ["running", "waiting"]
    row = dict(zip(COLUMNS, shown.rows[1], strict=True))
    assert (row["engine"], row["priority"], row["phase and step"]) == ("dask", "high", "")
    html = shown._repr_mimebundle_()["text/html"]
    assert "&lt;b&gt;queued&lt;/b&gt;" in html
    assert not re.search(r"<(script|style|svg|b>queued)|\bid=", html)


def test_a_run_that_is_over_or_lost_is_not_listed(workspace, queued, monkeypatch):
    run(SteppingExecutor)
    assert [one.experiment_id for one in run_queue().runs] == [queued.experiment_id]
    path = queued.record_path
    record = ExperimentRecord.model_validate_json(path.read_text())
    record.provenance.process_id = 2**22 + 1  # nobody has this number
    path.write_text(record.model_dump_json())
    RunStore().reindex()
    assert run_queue().runs == []


def test_how_many_more_there_are_is_said(running, queued, monkeypatch):
    shown = queue.RunQueue(RunStore(), most=1)
    assert (len(shown.runs), shown.left_out) == (1, 1)
    monkeypatch.setattr(queue, "_LOOKED_AT", 2)
    other = ExperimentRecord(model_name="m", status="pending", provenance=queued.provenance)
    RunStore().queue(other)
    shown = queue.RunQueue(RunStore(), most=1)
    assert (len(shown.runs), shown.left_out) == (1, 2)


def test_the_table_is_static_and_the_buttons_go_when_nothing_is_left(shell, running, monkeypatch):
    monkeypatch.setattr(queue, "INTERVAL", 0.1)
    run_queue().show()
    assert WIDGET_VIEW not in shell.bundles[1]
    assert "as of 20" in text(shell.bundles[1]["text/html"])
    assert any(WIDGET_VIEW in bundle for bundle in shell.bundles)
    Waiting.go.set()
    until(lambda: "No run waits or works." in str(shell.bundles))
    until(lambda: WIDGET_VIEW not in shell.bundles[-1] and "text/html" in shell.bundles[-1])


class Place:
    def __init__(self):
        self.shown = []

    def show_widget(self, widget, fallback=""):
        self.shown.append((widget, fallback))

    def show_static(self, bundle):
        self.shown.append(bundle)


def test_a_button_cancels_its_run_and_says_so(running, queued):
    table = Place()
    controls = QueueControls(run_queue(), table, Place())
    labels = [button.description for button in controls._row.children]
    assert labels == [f"Cancel {running.experiment_id[:8]}", f"Cancel {queued.experiment_id[:8]}"]
    assert not is_requested(running.record_path.parent)
    controls._row.children[0].click()
    assert is_requested(running.record_path.parent)
    assert controls._row.children[0].description == f"Cancelling {running.experiment_id[:8]} ..."
    assert f"Run {running.experiment_id[:8]} is asked to end" in text(controls._answer.value)
    assert 'role="status"' in controls._answer.value
    controls._row.children[1].click()
    assert RunStore().read(queued.experiment_id).status == "cancelled"
    Waiting.go.set()
    until(lambda: not controls.refresh())
    assert controls._row.children == ()


def test_the_answer_goes_when_its_run_has_ended(running):
    controls = QueueControls(run_queue(), Place(), Place())
    controls.cancel(running.experiment_id, controls._row.children[0])
    controls.refresh()
    assert "is asked to end" in text(controls._answer.value)
    Waiting.go.set()
    until(lambda: not controls.refresh())
    assert controls._answer.value == ""


def test_an_answer_that_is_final_stays(running, queued):
    controls = QueueControls(run_queue(), Place(), Place())
    controls.cancel(queued.experiment_id, controls._row.children[1])
    controls.refresh()
    assert f"Run {queued.experiment_id[:8]} was queued, and is cancelled now." in text(controls._answer.value)


def test_a_store_that_is_gone_is_said_once_and_leaves_the_table(running):
    table = Place()
    shown = run_queue()
    controls = QueueControls(shown, table, Place())
    shown.store = RunStore(__file__)
    assert controls.refresh()
    assert table.shown == []
    controls.cancel(running.experiment_id, controls._row.children[0])
    assert text(controls._answer.value)
