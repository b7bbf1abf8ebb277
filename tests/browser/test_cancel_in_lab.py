"""Cancel, crash, reload and queue in the real browser: what a person clicks, and what is on disk soon after."""

from __future__ import annotations

import json
import time
from typing import NamedTuple

import nbformat
import pytest
from chromium import SCREENSHOTS
from lab import READY, Notebook
from test_run_in_lab import LOAD

MODELS = """
import itertools, os, signal, time
from dissmodel_lab.executor import steps
from dissmodel_lab.executor.testing import SteppingExecutor

class Stepping(SteppingExecutor):
    "Tells a step every 50 ms, for five minutes."
    name = "stepping_on"
    def run(self, data, record):
        for year in steps(range(6000), values=lambda: {"area": year}):
            time.sleep(0.05)

class Looping(SteppingExecutor):
    "Never returns from a loop in C that holds the interpreter's lock and looks for no signals."
    name = "looping_in_c"
    def run(self, data, record):
        all(itertools.repeat(True))

class Crashing(SteppingExecutor):
    "Takes its process with it."
    name = "crashing_hard"
    def run(self, data, record):
        os.kill(os.getpid(), signal.SIGSEGV)
"""
ANSWER = "print('answered')"
CRASH = "rec = %dissmodel run Crashing --engine process"
# The goal is 2 s, and the figure is printed; a machine that is busy with other things gets more.
LIMIT = 30.0
ACTIVATE = """index => {
  const notebook = jupyterapp.shell.currentWidget.content;
  notebook.deselectAll();
  notebook.activeCellIndex = index;
}"""
IS_IDLE = "index => jupyterapp.shell.currentWidget.content.widgets[index].model.executionState === 'idle'"
# A panel that is over stays for a second, with a button that does nothing.
RUNS = """() => [...document.querySelectorAll('.dl-panel')].some(panel =>
  panel.querySelector('.dl-cancel:not([disabled])') && /run\\s*running/.test(panel.innerText))"""
STEP = """least => {
  const told = [...document.querySelectorAll('.dl-panel')].map(panel =>
    panel.querySelector('.dl-cancel:not([disabled])') && /step (\\d+)/.exec(panel.innerText));
  const steps = told.filter(found => found).map(found => +found[1]);
  return Math.max(0, ...steps) > least && Math.max(...steps);
}"""
PRESS = ".dl-cancel:not([disabled])"


class Case(NamedTuple):
    """A run that is cancelled."""

    name: str
    line: str
    by_stop_button: bool = False


CASES = [
    Case("inline-stepping", "rec = %dissmodel run Stepping"),
    Case("worker-stepping", "rec = %dissmodel run Stepping --engine process"),
    Case("worker-c-loop", "rec = %dissmodel run Looping --engine process"),
    Case("background-stepping", "rec = %dissmodel run Stepping --background"),
    Case("background-c-loop", "rec = %dissmodel run Looping --background"),
    Case("worker-stopped", "rec = %dissmodel run Stepping --engine process", by_stop_button=True),
]


def run_cell(notebook, index, seconds=30.0, *, wait=True):
    """Run one cell, as a person does with Ctrl+Enter."""
    notebook.page.evaluate(ACTIVATE, index)
    notebook.command("notebook:run-cell")
    if wait:
        notebook.wait_done(seconds)


def records(folder):
    """Return the records on disk by their paths; one that is being replaced is looked at the next time."""
    found = {}
    for path in folder.glob("experiments/**/record.json"):
        try:
            found[path] = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
    return found


def wait_for_record(folder, known, status, seconds=LIMIT):
    """Return the record that is new and has a status, as soon as it is on disk."""
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        for path, record in records(folder).items():
            if path not in known and record["status"] == status:
                return record
        time.sleep(0.01)  # how often it is looked
    pytest.fail(f"No {status} record after {seconds} s: {[one['status'] for one in records(folder).values()]}")


def answer(notebook):
    """Run the cell that prints, anew, and see what it printed."""
    index = len(CASES) + 2
    count = notebook.cells()[index]["count"]
    run_cell(notebook, index, seconds=10)
    cell = notebook.cells()[index]
    assert cell["count"] != count
    assert ["".join(output.get("text", "")) for output in cell["outputs"]] == ["answered\n"]


def cancel(notebook, case, screenshot):
    """Start a run, cancel it, and see that the next cell is answered; return the seconds until both were so."""
    page, folder = notebook.page, notebook.server.root
    known, index = records(folder), CASES.index(case) + 2
    run_cell(notebook, index, wait=False)
    page.wait_for_function(RUNS, timeout=60_000)
    if "Stepping" in case.line:
        page.wait_for_function(STEP, arg=3)
    button = page.locator(PRESS)
    button.scroll_into_view_if_needed()
    screenshot(f"{case.name}-running")
    began = time.monotonic()
    if case.by_stop_button:
        notebook.command("notebook:interrupt-kernel")
    else:
        button.click()
    record = wait_for_record(folder, known, "cancelled")
    on_disk = time.monotonic() - began
    page.wait_for_function(IS_IDLE, arg=index)
    answer(notebook)
    answered = time.monotonic() - began
    page.get_by_text(f"cancelled · run {record['experiment_id'][:8]}").scroll_into_view_if_needed()
    screenshot(f"{case.name}-cancelled")
    assert record["phases"]["run"]["status"] == "cancelled"
    assert (record["steps"] is not None) == ("Stepping" in case.line)
    return on_disk, answered


def test_cancel_and_crash_leave_the_kernel_alive(open_notebook, screenshot):
    notebook = open_notebook(LOAD, MODELS, *(case.line for case in CASES), ANSWER, CRASH)
    run_cell(notebook, 0)
    run_cell(notebook, 1)
    for case in CASES:
        on_disk, answered = cancel(notebook, case, screenshot)
        print(
            f"{case.name}: cancelled on disk {on_disk:.2f} s after the click, next cell over after {answered:.2f} s"
        )
        assert on_disk < LIMIT
    known = records(notebook.server.root)
    run_cell(notebook, len(CASES) + 3)
    record = wait_for_record(notebook.server.root, known, "failed")
    assert "SIGSEGV" in record["error"]
    notebook.page.get_by_text("ended by SIGSEGV").first.scroll_into_view_if_needed()
    screenshot("crashed")
    answer(notebook)
    assert notebook.broken_widgets() == 0
    assert notebook.complaints == []


@pytest.fixture
def second(browser, servers):
    """Open another notebook, with a kernel of its own, in a window of its own."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})

    def of(*cells):
        server, name = servers("lab"), "second.ipynb"
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)"}}
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells], metadata=kernel)
        nbformat.write(made, server.root / name)
        return Notebook(context.new_page(), server, name)

    yield of
    context.close()


def test_a_background_run_outlives_page_and_kernel(open_notebook, second, screenshot):
    notebook = open_notebook(LOAD, MODELS, "rec = %dissmodel run Stepping --background")
    page, server = notebook.page, notebook.server
    known = records(server.root)
    for index in range(3):
        run_cell(notebook, index)
    page.wait_for_function(STEP, arg=3)
    run_id = next(record["experiment_id"] for path, record in records(server.root).items() if path not in known)[:8]
    notebook.save()

    page.goto(page.url.partition("?")[0])
    page.wait_for_function(READY, timeout=60_000, polling=100)
    page.get_by_text(f"run {run_id} goes on in the background").wait_for()
    step = page.wait_for_function(STEP, arg=10).json_value()
    page.wait_for_function(STEP, arg=step)
    screenshot("reloaded")

    other = second(LOAD, f"rec = %dissmodel show {run_id}", "%dissmodel queue")
    run_cell(other, 0)
    run_cell(other, 1)
    other.page.wait_for_function(STEP, arg=step)
    server.end_sessions(notebook.path)
    step = other.page.wait_for_function(STEP, arg=step).json_value()
    other.page.wait_for_function(STEP, arg=step + 5)
    run_cell(other, 2)
    queue = other.page.locator(".dl-queue")
    queue.locator(PRESS).scroll_into_view_if_needed()
    other.page.screenshot(path=SCREENSHOTS / "background--queue.png")
    began = time.monotonic()
    queue.locator(PRESS).click()
    wait_for_record(server.root, known, "cancelled")
    print(f"queue: record cancelled {time.monotonic() - began:.2f} s after the click")
    other.page.get_by_text(f"cancelled · run {run_id}").wait_for()
    other.page.get_by_text("No run waits or works.").wait_for()
    other.page.screenshot(path=SCREENSHOTS / "background--followed-to-its-end.png")
    page.screenshot(path=SCREENSHOTS / "background--kernel-ended.png")
    assert other.broken_widgets() == 0
    assert other.errors() == []
    assert other.complaints == []
