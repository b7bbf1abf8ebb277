"""Cancel, crash, reload and queue in the real browser: what a person clicks, and what is on disk two seconds later."""

from __future__ import annotations

import json
import time
from typing import NamedTuple

import nbformat
import pytest
from chromium import SCREENSHOTS
from lab import READY, Notebook
from test_run_in_lab import LOAD, run_html

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
# Issue 5 promises 2 s. A machine that is busy with other things gets more, and the figure is printed.
GOAL, LIMIT = 2.0, 5.0
ACTIVATE = """index => {
  const notebook = jupyterapp.shell.currentWidget.content;
  notebook.deselectAll();
  notebook.activeCellIndex = index;
}"""
RUNS = "() => /run\\s*running/.test(document.querySelector('.dl-phases')?.innerText || '')"
STEP = """step => {
  const told = [...document.querySelectorAll('.dl-phases')].map(table => /step ([\\d,]+)/.exec(table.innerText));
  return told.some(found => found && +found[1].replace(',', '') > step) && told.map(found => found && found[0]);
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
    """Return the record that is new and has a status, and how long that took from now."""
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        for path, record in records(folder).items():
            if path not in known and record["status"] == status:
                return record, time.monotonic() - began
        time.sleep(0.01)  # how often it is looked
    pytest.fail(f"No {status} record after {seconds} s: {[one['status'] for one in records(folder).values()]}")


def printed(notebook, index):
    """Return what a cell printed."""
    outputs = notebook.cells()[index]["outputs"]
    return "".join("".join(output.get("text", "")) for output in outputs)


def test_cancel_by_the_panels_button(open_notebook, servers, screenshot):
    notebook = open_notebook(LOAD, MODELS, *(case.line for case in CASES), ANSWER)
    page, folder = notebook.page, servers("lab").root
    run_cell(notebook, 0)
    run_cell(notebook, 1)
    figures = []
    for index, case in enumerate(CASES, start=2):
        known = records(folder)
        run_cell(notebook, index, wait=False)
        page.wait_for_function(RUNS, timeout=60_000)
        button = page.locator(PRESS)
        button.scroll_into_view_if_needed()
        if "stepping" in case.name:
            page.wait_for_function(STEP, arg=3)
        screenshot(f"{case.name}-running")
        clicked = time.monotonic()
        if case.by_stop_button:
            notebook.command("notebook:interrupt-kernel")
        else:
            button.click()
        asked = time.monotonic()
        record, _ = wait_for_record(folder, known, "cancelled")
        on_disk = time.monotonic() - clicked
        page.wait_for_function("run => document.body.innerText.includes('cancelled in phase run')")
        page.wait_for_selector(PRESS, state="detached")
        page.wait_for_timeout(100)
        screenshot(f"{case.name}-cancelled")
        run_cell(notebook, len(CASES) + 2, seconds=10)
        answered = time.monotonic() - clicked
        assert printed(notebook, len(CASES) + 2) == "answered\n"
        assert record["phases"]["run"]["status"] == "cancelled"
        assert (record["steps"] > 0) == ("Stepping" in case.line)
        figures.append(f"{case.name}: on disk {on_disk:.2f} s, click {asked - clicked:.2f} s, answer {answered:.2f} s")
        assert on_disk < LIMIT
    print(*figures, sep="\n")
    assert notebook.broken_widgets() == 0
    assert notebook.complaints == []
