"""The main job in the real browser: form, phases, maps, swipe, and the saved notebook without a kernel."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from chromium import SCREENSHOTS
from lab import Notebook, axe_findings

LOAD = "%load_ext dissmodel_lab"
# The built-in model, slowed down so that a person, and this test, can see each phase.
SLOW = """
import time
from dissmodel_lab.models import CoastalFlood
class SlowFlood(CoastalFlood):
    "A slow flood."
    name = "slow_flood"
    def validate(self, record): time.sleep(0.7); super().validate(record)
    def load(self, record): time.sleep(0.9); return super().load(record)
    def run(self, data, record): time.sleep(0.9); return super().run(data, record)
    def save(self, result, record): time.sleep(0.9); return super().save(result, record)
"""
# Notes each new text of the phases' table, as it stands on the screen.
WATCH = """() => {
  window.__seen = [];
  const look = () => {
    const table = document.querySelector('.dl-phases');
    if (!table) return;
    const states = [...table.querySelectorAll('tr')].slice(0, 4).map(row => row.cells[2].textContent.trim());
    const text = states.join(' ');
    if (window.__seen[window.__seen.length - 1] !== text) window.__seen.push(text);
  };
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""
ORDER = [
    "running waiting waiting waiting",
    "done running waiting waiting",
    "done done running waiting",
    "done done done running",
]


def press_until(page, key, inside, limit=80):
    """Press a key until the focus is inside of an element."""
    for _ in range(limit):
        if page.evaluate("css => !!document.activeElement?.closest(css)", inside):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{limit} times {key} did not reach {inside}")


@pytest.mark.parametrize("kind", ["lab", "notebook"])
def test_form_to_maps_by_keyboard_alone(open_notebook, screenshot, kind):
    notebook = open_notebook(LOAD, SLOW, "%dissmodel form slow_flood", kind=kind)
    notebook.run_all()
    page = notebook.page
    page.wait_for_selector(".dl-form")
    screenshot("form")
    page.evaluate(WATCH)
    page.evaluate("() => document.activeElement.blur()")
    page.locator(".dl-form").first.scroll_into_view_if_needed()
    press_until(page, "Tab", ".dl-form")
    press_until(page, "Tab", ".dl-field-sea_level_rise")
    type_number(page, "sea_level_rise", "12.5")
    press_until(page, "Tab", ".dl-run")
    page.keyboard.press("Enter")
    page.wait_for_selector(".dl-panel", timeout=60_000)
    page.locator(".dl-panel").scroll_into_view_if_needed()
    page.wait_for_function("() => window.__seen.some(text => text.startsWith('done done'))")
    screenshot("running")
    page.locator(".dl-map img.leaflet-image-layer[src^='data:image/png']").first.wait_for(timeout=60_000)
    page.locator(".dl-map").first.scroll_into_view_if_needed()
    screenshot("done")
    seen = page.evaluate("() => window.__seen")
    assert [text for text in seen if text in ORDER] == ORDER
    html = run_html(notebook)
    assert "slow_flood</b> &middot; completed" in html
    assert ">12.5<" in html
    assert html.count("data:image/png;base64,") >= 4
    assert notebook.errors() == []
    assert notebook.broken_widgets() == 0
    assert notebook.complaints == []


def type_number(page, name, text):
    """Reach the number box of a field and type into it."""
    for _ in range(6):
        tag = page.evaluate("() => document.activeElement.tagName + (document.activeElement.type || '')")
        if tag in ("INPUTnumber", "INPUTtext"):
            break
        page.keyboard.press("Tab")
    assert page.evaluate("css => !!document.activeElement.closest(css)", f".dl-field-{name}")
    page.keyboard.press("Control+a")
    page.keyboard.type(text)


def run_html(notebook):
    """Return the HTML of all outputs as the notebook holds it."""
    return "".join(
        "".join(output.get("data", {}).get("text/html", ""))
        for cell in notebook.cells()
        for output in cell["outputs"]
    )


def test_run_cell_shows_map_and_swipe(open_notebook, screenshot):
    notebook = open_notebook(LOAD, "rec = %dissmodel run coastal_flood")
    notebook.run_all()
    page = notebook.page
    layer = page.locator(".dl-map img.leaflet-image-layer[src^='data:image/png']").first
    layer.wait_for()
    assert layer.evaluate("image => image.naturalWidth") > 100
    assert layer.evaluate("image => getComputedStyle(image).imageRendering") == "pixelated"
    page.locator(".dl-map").first.scroll_into_view_if_needed()
    page.locator(".dl-map .leaflet-container").first.click(position={"x": 300, "y": 200})
    page.wait_for_function("() => /-?\\d+\\.\\d+.*:.*\\w/.test(document.querySelector('.dl-value')?.innerText || '')")
    screenshot("map")
    swipe = page.locator("div[style*='resize']").first
    swipe.scroll_into_view_if_needed()
    box = swipe.bounding_box()
    mouse = page.mouse
    mouse.move(box["x"] + box["width"] - 5, box["y"] + box["height"] - 5)
    mouse.down()
    mouse.move(box["x"] + box["width"] - 125, box["y"] + box["height"] - 5, steps=8)
    mouse.up()
    assert swipe.bounding_box()["width"] == pytest.approx(box["width"] - 120, abs=15)
    screenshot("swiped")
    assert notebook.errors() == []
    assert notebook.complaints == []


def test_saved_notebook_shows_the_same_maps_without_a_kernel(open_notebook, servers, browser, screenshot):
    notebook = open_notebook(LOAD, "rec = %dissmodel run coastal_flood")
    notebook.run_all()
    notebook.page.locator(".dl-map img.leaflet-image-layer[src^='data:image/png']").first.wait_for(timeout=60_000)
    pictures = static_pictures(notebook.page)
    assert len(pictures) >= 4
    notebook.save()
    server = servers("lab")
    server.end_sessions()
    saved = nbformat.read(server.root / notebook.path, as_version=4)
    assert "widgets" not in saved.metadata
    assert len(json.dumps(saved.cells[1].outputs)) < 300_000
    notebook.page.close()
    # As somebody else gets the file: another name, so that nothing is trusted, and no kernel is started.
    saved.metadata["kernelspec"] = {"name": "no-such-kernel", "display_name": "none"}
    nbformat.write(saved, server.root / "received.ipynb")
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    reader = Notebook(page, server, "received.ipynb", wait=False)
    page.wait_for_selector(".jp-OutputArea-output img", timeout=60_000)
    assert static_pictures(page) == pictures
    sizes = page.eval_on_selector_all(
        ".jp-OutputArea-output img", "images => images.map(image => image.naturalWidth * image.clientWidth)"
    )
    assert all(size > 0 for size in sizes)
    page.screenshot(path=SCREENSHOTS / "reopened-without-kernel.png")
    assert reader.broken_widgets() == 0
    page.close()


def static_pictures(page):
    """Return the pictures that stand in the static HTML, in their order."""
    return page.eval_on_selector_all(
        ".jp-RenderedHTMLCommon img",
        "images => images.map(image => image.src).filter(src => src.startsWith('data:'))",
    )


def test_interrupt_cancels_the_run(open_notebook, screenshot):
    endless = SLOW.replace("time.sleep(0.9); return super().run", "time.sleep(60); return super().run")
    notebook = open_notebook(LOAD, endless, "%dissmodel run slow_flood", "%dissmodel runs")
    notebook.run_all(wait=False)
    page = notebook.page
    page.locator(".dl-phases", has_text="run").wait_for()
    page.wait_for_function("() => /run\\s*running/.test(document.querySelector('.dl-phases')?.innerText || '')")
    notebook.command("notebook:interrupt-kernel")
    page.wait_for_function("() => document.body.innerText.includes('The run was cancelled')", timeout=60_000)
    told = [output.get("text", "") for cell in notebook.cells() for output in cell["outputs"]]
    assert "UsageError: The run was cancelled; its record is kept: %dissmodel show last\n" in [
        "".join(text) for text in told
    ]
    assert "cancelled in phase run" in run_html(notebook)
    screenshot("cancelled")


def test_voila_serves_the_quickstart_as_an_app(servers, page, screenshot):
    server = servers("voila")
    shutil.copy(Path(__file__).parents[2] / "notebooks" / "01_quickstart.ipynb", server.root / "app.ipynb")
    page.goto(f"{server.address}/voila/render/app.ipynb", timeout=120_000)
    page.locator(".dl-run").wait_for(timeout=120_000)
    maps = page.locator(".dl-map img.leaflet-image-layer[src^='data:image/png']")
    maps.nth(2).wait_for()  # of the three runs in the notebook's own cells
    before = maps.count()
    page.locator(".dl-field-sea_level_rise input").fill("12.5")
    page.keyboard.press("Tab")
    page.locator(".dl-run").click()
    maps.nth(before).wait_for(timeout=60_000)
    assert page.locator("td", has_text=re.compile(r"^12\.5$")).count() >= 1
    assert page.locator("text=/Click to show javascript error|Error displaying widget/").count() == 0
    assert "UsageError" not in page.inner_text("body")
    assert axe_findings(page, ".dl-form, .dl-map, .dl-player") == []
    page.locator(".dl-form").scroll_into_view_if_needed()
    screenshot("app")


def test_names_and_logs_with_html_are_shown_as_text(open_notebook, screenshot):
    hostile = """
from dissmodel_lab.executor.testing import SteppingExecutor
from dissmodel_lab.executor import Parameters
attack = "<img src=x onerror='window.__attacked=1'><script>window.__attacked=1</script>"
class Hostile(SteppingExecutor):
    __doc__ = attack
    name = "hostile" + attack.replace(" ", "_")
    class Parameters(Parameters):
        n_steps: int = 3
        label: str = attack
    def run(self, data, record):
        record.add_log(attack)
        record.metrics[attack] = attack
        raise RuntimeError(attack)
"""
    notebook = open_notebook(
        LOAD,
        hostile,
        "%dissmodel form Hostile",
        "try:\n    get_ipython().run_line_magic('dissmodel', 'run Hostile')\nexcept RuntimeError: pass",
        "%dissmodel runs",
        "%dissmodel models",
        "rec = %dissmodel show last",
    )
    notebook.run_all()
    page = notebook.page
    page.locator(".dl-run").first.click()
    page.wait_for_function("() => document.body.innerText.includes('It failed with RuntimeError')")
    page.wait_for_timeout(500)
    assert page.evaluate("() => window.__attacked") is None
    assert page.locator("img[src='x']").count() == 0
    assert notebook.errors() == []
    screenshot("hostile")
