"""Accessibility in the real browser: axe-core over every view, live regions, keyboard, focus; light and dark.

The whole matrix of views, themes and widths is run by ``make accessibility``; here, what breaks first.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from chromium import SCREENSHOTS
from lab import Notebook, Server, axe_findings, set_up
from test_run_in_lab import LOAD, press_until
from test_steps_in_lab import NO_KERNEL

#: Set by ``make accessibility``.
WHOLE = "DISSMODEL_LAB_ACCESSIBILITY" in os.environ
# The run goes on until there is a file `go`.
STEPPING = """
import time
import numpy as np
from pathlib import Path
from dissmodel_lab.executor import steps
from dissmodel_lab.executor.testing import SteppingExecutor

class Stepping(SteppingExecutor):
    "Steps until it is cancelled."
    name = "stepping_on"
    def run(self, data, record):
        for year in steps(range(100_000), values=lambda: {"area": year}):
            time.sleep(0.05)
            if Path("go").exists():
                break
"""
LAND = """
from affine import Affine
from pyproj import CRS
import geopandas, shapely
import dissmodel_lab as lab

def land(seed):
    codes = np.random.default_rng(seed).integers(1, 4, (1, 60, 80)).astype("uint8")
    return lab.Raster(array=codes, bands=("cover",), crs=CRS(31983), transform=Affine(100, 0, 3e5, 0, -100, 75e5),
                      classes={"cover": {1: ("forest", "#117733"), 2: ("sea", "#0072b2"), 3: ("sand", "#ddcc77")}})
"""
RUN = "%dissmodel run coastal_flood -p start_year=2020 -p end_year=2026 -p sea_level_rise="
FEW = {
    "load": LOAD,
    "model": STEPPING,
    "finished": f"low = {RUN}10",
    "form": "%dissmodel form coastal_flood",
    "background": "going = %dissmodel run Stepping --background",
    "queue": "%dissmodel queue",
    "history": "%dissmodel runs",
    "end": "print('end')",
}
MORE = {
    "high": f"high = {RUN}30",
    "models": "%dissmodel models",
    "record": "rec = %dissmodel show {low.experiment_id}",
    "change": "%dissmodel changes {low.experiment_id}",
    "comparison": "%dissmodel compare {low.experiment_id} {high.experiment_id}",
    "verdict": "%dissmodel rerun {low.experiment_id}",
    "integrity": "%dissmodel verify {low.experiment_id}",
    "sweep": "sweep = %dissmodel sweep game_of_life --param generations=10:40:4",
    "sweeps": "%dissmodel sweeps",
    "land": LAND,
    "explore": "lab.explore(land(0), land(1), names=['before', 'after'])",
    "swipe": "from dissmodel_lab.views.map_view import MapView\nMapView({'a': land(0), 'b': land(1)}, mode='swipe')",
    "features": "lab.explore(geopandas.GeoDataFrame({'age': [1.5, 20.0]}, geometry=shapely.box([0, 1], 0, [1, 2], 1),"
    " crs=4326))",
    "mistake": "get_ipython().run_cell('%dissmodel run no_such_model')",
}
CELLS = {**FEW, **MORE} if WHOLE else FEW
SHOWN = [name for name in CELLS if name not in ("load", "model", "land", "end")]
THEMES = ("JupyterLab Light", "JupyterLab Dark")
# A panel at work: its phase `run` is shown, and its button can be pressed.
GOES = (
    "() => document.querySelector('.dl-panel .dl-cancel:not([disabled])') && /step \\d/.test(document.body.innerText)"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A JupyterLab of its own, whose settings are changed: it draws all cells, not only those on the screen."""
    server = Server(tmp_path_factory.mktemp("accessibility"), "lab")
    set_up(server, "notebook-extension:tracker", windowingMode="none")
    yield server
    (server.root / "go").touch()
    server.end_sessions()
    server.stop()


@pytest.fixture(scope="module")
def views(server, browser):
    """Every view on one page, with a run at work."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    write(server, "views.ipynb", CELLS.values())
    page = browser.new_context(viewport={"width": 1280, "height": 1000}).new_page()
    page.set_default_timeout(60_000)
    notebook = Notebook(page, server, "views.ipynb")
    notebook.run_all()
    page.wait_for_function(GOES, timeout=60_000)
    page.locator(".dl-map .leaflet-container").first.wait_for()
    name_cells(page)
    open_sweep_form(page)
    yield SimpleNamespace(notebook=notebook, page=page, server=server)
    page.context.close()


def write(server, name, sources):
    """Write a notebook."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)"}}
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), server.root / name)


def open_sweep_form(page):
    """Unfold the part of the form that varies parameters."""
    page.locator(".dl-sweep-form button").first.click()
    page.locator(".dl-vary-sea_level_rise").wait_for()


def change_theme(page, name):
    """Change JupyterLab's theme; its server is this module's own."""
    page.evaluate("theme => { jupyterapp.commands.execute('apputils:change-theme', {theme}) }", name)
    page.wait_for_selector(f"body[data-jp-theme-name='{name}']", state="attached")


def name_cells(page):
    """Give each cell on the page the name that it has above."""
    page.evaluate(
        """names => document.querySelectorAll('.jp-CodeCell').forEach(
             (cell, at) => { cell.setAttribute('data-view', names[at]); })""",
        list(CELLS),
    )


def of_cells(page, names):
    """Return what axe finds in the outputs of cells, each with the cell's name."""
    return [
        f"{name}: {finding}"
        for name in names
        for finding in axe_findings(page, f"[data-view={name}] .jp-OutputArea-output")
    ]


@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_nothing_serious_in_any_view(views, theme):
    change_theme(views.page, theme)
    assert of_cells(views.page, SHOWN) == []
    for name in SHOWN if WHOLE else ("form", "finished"):
        shoot(views.page, name, theme.rpartition(" ")[2].lower())
    assert views.notebook.errors() == []
    assert views.notebook.broken_widgets() == 0
    assert views.notebook.complaints == []


def shoot(page, name, looks):
    """Keep a picture of a view, to be looked at."""
    cell = page.locator(f"[data-view={name}]")
    cell.evaluate("node => node.scrollIntoView({block: 'start'})")
    page.screenshot(path=SCREENSHOTS / f"accessibility--{name}-{looks}.png")


# Boxes of ours that are wider than the page, though they should wrap; tables and code scroll in a box of their own.
WIDE = """() => [...document.querySelectorAll('.jp-OutputArea-output')].flatMap(output => {
  const room = output.getBoundingClientRect().right + 1;
  const parts = output.querySelectorAll('button, input, select, textarea, .leaflet-container, img, svg');
  return [...parts].filter(node => {
    if (!node.checkVisibility() || node.matches('img') && node.clientHeight < 20) return false;  // of a legend's line
    for (let at = node.parentElement; at !== output; at = at.parentElement)
      if (/auto|scroll|hidden/.test(getComputedStyle(at).overflowX) && at.scrollWidth > at.clientWidth) return false;
    return node.getBoundingClientRect().right > room;
  }).map(node => node.outerHTML.slice(0, 160));
})"""


@pytest.mark.parametrize("width", [360, 640], ids=["a phone", "zoom of 200 %"])
def test_nothing_is_cut_off_on_a_small_screen(views, width):
    page = views.page
    change_theme(page, THEMES[0])
    page.set_viewport_size({"width": width, "height": 800})
    page.evaluate("() => { jupyterapp.shell.collapseLeft(); }")
    try:
        page.wait_for_function("width => document.querySelector('.jp-Notebook').clientWidth <= width", arg=width)
        page.wait_for_timeout(300)  # the widgets measure themselves anew
        for name in SHOWN if WHOLE else ("form", "finished"):
            shoot(page, name, f"{width}-px")
        wide = page.evaluate(WIDE)
        assert wide == [], "\n".join(wide)
    finally:
        page.set_viewport_size({"width": 1280, "height": 1000})


def test_phases_are_told_by_a_live_region(views):
    views.page.wait_for_function(GOES)
    for _ in range(40):  # the browser makes its accessibility tree when it has time
        told = [text for mode, text in live_regions(views.page) if mode == "polite" and text]
        if any("run: phase run" in text for text in told):
            break
        views.page.wait_for_timeout(500)
    assert any("run: phase run" in text for text in told), told
    assert any("Ready to run." in text or "The run has ended." in text for text in told), told


def live_regions(page):
    """Return politeness and text of the live regions in the browser's own accessibility tree."""
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    by_id = {node["nodeId"]: node for node in nodes}

    def text(node):
        own = node.get("name", {}).get("value", "") if node.get("role", {}).get("value") == "StaticText" else ""
        return own + "".join(text(by_id[child]) for child in node.get("childIds", []) if child in by_id)

    found = []
    for node in nodes:
        properties = {one["name"]: one["value"].get("value") for one in node.get("properties", [])}
        if properties.get("live") in ("polite", "assertive") and not node.get("ignored"):
            found.append((properties["live"], text(node)))
    return found


# What can have the focus in a form, top to bottom as it stands on the page: its row, then its column.
PLACES = """root => [...document.querySelectorAll(`${root} :is(button, input, select, textarea, [tabindex='0'])`)]
  .filter(node => node.checkVisibility() && !node.disabled && node.tabIndex >= 0 && node.type !== 'file').length"""
FOCUSED = """root => {
  const node = document.activeElement;
  if (!node?.closest(root)) return null;
  const box = node.getBoundingClientRect(), style = getComputedStyle(node);
  const name = node.labels?.[0]?.innerText || node.getAttribute('aria-label') || node.innerText || node.title;
  const top = box.top - node.closest(root).getBoundingClientRect().top;
  const ring = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
  return {name: name.trim(), top: Math.round(top), left: Math.round(box.left), ring};
}"""


def test_focus_follows_the_page_and_leaves_the_form_again(views):
    page = views.page
    change_theme(page, THEMES[0])
    page.locator(".dl-form").first.scroll_into_view_if_needed()
    page.locator(".dl-input input").focus()
    seen = []
    while (stop := page.evaluate(FOCUSED, ".dl-form")) is not None:
        seen.append(stop)
        assert len(seen) < 80, "the focus is trapped"
        page.keyboard.press("Tab")
    assert len(seen) >= page.evaluate(PLACES, ".dl-form")
    assert [stop for stop in seen if not stop["name"]] == []
    assert [stop for stop in seen if not stop["ring"]] == []
    rows = [stop["top"] for stop in seen]
    # in one row boxes differ by a few pixels
    assert all(after > before - 20 for before, after in itertools.pairwise(rows)), seen


def test_keys_in_a_view_are_the_views_own(views):
    page, notebook = views.page, views.notebook
    cells = len(notebook.cells())
    page.locator(".dl-form .noUi-handle").first.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('.dl-field-sea_level_rise input').value !== '5'")
    page.keyboard.type("dd")
    zoomed = page.locator(".dl-map .leaflet-container").first
    zoomed.focus()
    before = place_of(page)
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"before => ({PLACE})() !== before", arg=before)
    wide = page.evaluate(WIDTH)
    page.keyboard.press("+")
    page.wait_for_function(f"wide => ({WIDTH})() > 1.3 * wide", arg=wide)
    page.keyboard.type("dd")
    assert len(notebook.cells()) == cells
    assert page.evaluate("() => document.activeElement.className.includes('leaflet-container')")


PLACE = "() => document.querySelector('.dl-map .leaflet-map-pane').style.transform"
WIDTH = "() => document.querySelector('.dl-map .leaflet-dlabove-pane img').getBoundingClientRect().width"


def place_of(page):
    """Return where the map has been moved to."""
    return page.evaluate(PLACE)


def test_focus_stays_where_it_was_when_a_run_begins_and_ends(views, server):
    page = views.page
    press_from = page.locator(".dl-form .dl-run")
    press_from.focus()
    page.keyboard.press("Enter")
    page.get_by_text("The run has ended.").wait_for(timeout=60_000)
    page.wait_for_function("() => document.activeElement?.classList.contains('dl-run')")
    press_until(page, "Tab", ".dl-toml-path, .dl-load", limit=8)


def test_saved_notebook_and_report_are_clean_without_a_kernel(views, browser, server, tmp_path):
    views.notebook.save()
    saved = nbformat.read(server.root / "views.ipynb", as_version=4)
    saved.metadata["kernelspec"] = {"name": "no-such-kernel", "display_name": "none"}
    nbformat.write(saved, server.root / "received.ipynb")
    page = browser.new_context(viewport={"width": 1280, "height": 1000}).new_page()
    reader = Notebook(page, server, "received.ipynb", wait=False)
    page.locator(".jp-OutputArea-output img").first.wait_for(timeout=60_000)
    page.wait_for_function("n => document.querySelectorAll('.jp-CodeCell').length === n", arg=len(CELLS))
    name_cells(page)
    # Jupyter takes the tab stop of a wide table away where it trusts nobody; the browser gives it one of its own.
    assert [one for one in of_cells(page, SHOWN) if "scrollable-region-focusable" not in one] == []
    assert page.evaluate(UNREACHABLE) == []
    assert [text for text in reader.complaints if NO_KERNEL not in text] == []
    page.goto(report_of(saved, tmp_path))
    assert page.evaluate("() => document.documentElement.lang") == "en"
    assert page.title()
    assert axe_findings(page, ".jp-OutputArea-output") == []
    assert page.evaluate("() => [...document.images].filter(one => !one.hasAttribute('alt')).length") == 0
    page.context.close()


UNREACHABLE = """() => [...document.querySelectorAll('.jp-OutputArea-output *')].filter(node => {
  if (!/auto|scroll/.test(getComputedStyle(node).overflowX) || node.scrollWidth <= node.clientWidth + 1) return false;
  node.focus();
  return document.activeElement !== node && !node.querySelector('a, button, input');
}).map(node => node.outerHTML.slice(0, 160))"""


def report_of(saved, folder):
    """Write the HTML report of a notebook; return its address."""
    import importlib.util

    path = Path(__file__).parents[2] / "notebooks" / "execute.py"
    spec = importlib.util.spec_from_file_location("execute", path)
    execute = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(execute)
    written = folder / "report.html"
    written.write_text(execute.html_report(saved), encoding="utf-8")
    return written.as_uri()


def test_page_of_maps_is_clean(page, workspace):
    import numpy as np

    from dissmodel_lab.maps import preview
    from dissmodel_lab.views.map_page import write_map

    grid = np.arange(12, dtype="uint8").reshape(3, 4)
    written = write_map({"before": preview(grid), "after": preview(grid + 1)}, "maps.html")
    page.goto(written.absolute().as_uri())
    assert axe_findings(page, "html") == []
    assert page.title() == "before, after"
    assert page.locator("h1").count() == 1
    assert page.locator("main").inner_text().startswith("before, after\n")
    assert page.eval_on_selector_all("img", "all => all.filter(one => !one.hasAttribute('alt')).length") == 0
