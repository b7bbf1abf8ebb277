"""Sweeps in the real browser: progress, table, chart and maps; by keyboard alone; cancelled, and gone on with."""

from __future__ import annotations

import json
import time

import nbformat
from chromium import SCREENSHOTS
from lab import Notebook
from test_cancel_in_lab import PRESS, records, run_cell
from test_run_in_lab import LOAD, press_until, run_html, static_pictures

# The first three runs end at once, the others when there is a file `go`.
WAITING = """
import time
from pathlib import Path
from dissmodel_lab.executor import Parameters, steps
from dissmodel_lab.executor.testing import SteppingExecutor

class Waiting(SteppingExecutor):
    "Waits for a file."
    name = "waiting_for_go"
    class Parameters(Parameters):
        rise: int = 1
    def run(self, data, record):
        for _ in steps(range(100_000)):
            if self.parameters(record).rise <= 3 or Path("go").exists():
                break
            time.sleep(0.05)
        record.metrics["area"] = 2 * self.parameters(record).rise
"""
# The built-in model, so slow that each run can be seen on a machine that is busy.
SLOW_LIFE = """
import time
from dissmodel_lab.models.game_of_life import GameOfLife

class SlowLife(GameOfLife):
    "Conway's game, slowly."
    name = "slow_life"
    def run(self, data, record):
        time.sleep(0.5)
        return super().run(data, record)
"""
# Notes each new text that tells how far the sweep is, as it stands on the screen.
WATCH = """() => {
  window.__seen = [];
  const look = () => {
    const text = /\\b(\\d+) %/.exec(document.querySelector('.dl-sweep')?.innerText || '');
    if (text && window.__seen.at(-1) !== +text[1]) window.__seen.push(+text[1]);
  };
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""
OVER = "() => !document.querySelector('.dl-sweep') && document.querySelector('.jp-RenderedHTMLCommon img')"


def test_a_sweep_is_followed_and_stays_without_a_kernel(open_notebook, servers, browser, screenshot):
    notebook = open_notebook(LOAD + SLOW_LIFE, "sweep = %dissmodel sweep SlowLife --param generations=100:1000:10")
    page, server = notebook.page, servers("lab")
    run_cell(notebook, 0)
    page.evaluate(WATCH)
    run_cell(notebook, 1, wait=False)
    page.wait_for_function("() => window.__seen.some(share => share > 0 && share < 100)", timeout=60_000)
    screenshot("running")
    notebook.wait_done()
    page.wait_for_function(OVER)
    screenshot("done")
    shares = page.evaluate("() => window.__seen")
    assert shares == sorted(shares)
    assert len(shares) >= 2
    html = run_html(notebook)
    assert html.count("completed") >= 10
    pictures = static_pictures(page)
    assert len(pictures) >= 3
    assert notebook.errors() == []
    assert notebook.broken_widgets() == 0
    assert notebook.complaints == []
    notebook.save()
    server.end_sessions()
    saved = nbformat.read(server.root / notebook.path, as_version=4)
    assert "widgets" not in saved.metadata
    assert len(json.dumps(saved.cells[1].outputs)) < 350_000
    page.close()
    # As somebody else gets the file: another name, so that nothing is trusted, and no kernel is started.
    saved.metadata["kernelspec"] = {"name": "no-such-kernel", "display_name": "none"}
    nbformat.write(saved, server.root / "received-sweep.ipynb")
    page = browser.new_page(viewport={"width": 1280, "height": 1600})
    reader = Notebook(page, server, "received-sweep.ipynb", wait=False)
    page.wait_for_selector(".jp-OutputArea-output img", timeout=60_000)
    assert static_pictures(page) == pictures
    assert page.locator(".jp-OutputArea-output table tr", has_text="completed").count() >= 10
    page.screenshot(path=SCREENSHOTS / "sweep--reopened-without-kernel.png")
    assert reader.broken_widgets() == 0
    page.close()


def test_a_sweep_is_started_by_keyboard_cancelled_and_gone_on_with(open_notebook, screenshot):
    notebook = open_notebook(
        LOAD,
        WAITING,
        "%dissmodel form Waiting",
        "open('go', 'w').close()\nsweep = %dissmodel sweep --resume last",
        "print(*(row.status for row in sweep.rows()))",
    )
    page, folder = notebook.page, notebook.server.root
    known = records(folder)
    for index in range(3):
        run_cell(notebook, index)
    page.locator(".dl-form").first.scroll_into_view_if_needed()
    page.evaluate("() => document.activeElement.blur()")
    press_until(page, "Tab", ".dl-sweep-form")
    page.keyboard.press("Enter")
    page.locator(".dl-vary-rise").wait_for()
    press_until(page, "Tab", ".dl-vary-rise")
    page.keyboard.press("Space")
    press_until(page, "Tab", ".dl-range-rise")
    page.keyboard.press("Control+a")
    page.keyboard.type("1:8:8")
    page.keyboard.press("Tab")
    page.get_by_text("8 runs").first.wait_for()
    screenshot("form")
    press_until(page, "Tab", ".dl-sweep-start")
    page.keyboard.press("Enter")
    page.wait_for_function("() => /3 completed/.test(document.querySelector('.dl-sweep')?.innerText || '')")
    page.locator(".dl-sweep").scroll_into_view_if_needed()
    screenshot("running")
    press_until(page, "Tab", ".dl-sweep .dl-cancel")
    began = time.monotonic()
    page.keyboard.press("Enter")
    page.wait_for_function(OVER)
    print(f"sweep: over {time.monotonic() - began:.2f} s after Cancel")
    screenshot("cancelled")
    left = {path: record for path, record in records(folder).items() if path not in known}
    kept = {path for path, record in left.items() if record["status"] == "completed"}
    assert len(kept) == 3
    assert {record["status"] for path, record in left.items() if path not in kept} == {"cancelled"}
    run_cell(notebook, 3, seconds=60)
    page.get_by_text("8 of 8 runs ended: 8 completed").scroll_into_view_if_needed()
    screenshot("resumed")
    assert all(records(folder)[path] == left[path] for path in kept)
    run_cell(notebook, 4)
    told = notebook.cells()[4]["outputs"][0]["text"]
    assert "".join(told).split() == ["completed"] * 8
    assert page.locator(PRESS).count() == 0
    assert notebook.errors() == []
    assert notebook.broken_widgets() == 0
    assert notebook.complaints == []
