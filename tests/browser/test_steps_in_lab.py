"""Executors of others in the real browser: their steps, live map and charts, and the player that needs no kernel."""

from __future__ import annotations

import base64
import importlib.util
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import upstream_inputs
from chromium import SCREENSHOTS
from lab import Notebook
from test_run_in_lab import LOAD, run_html

STEPS = 30
# Written against PyPI dissmodel; nothing in it knows of this project.
FIRE = """
import time
import numpy as np
from affine import Affine
from dissmodel.core import Environment, Model
from dissmodel.executor import ModelExecutor
from dissmodel.geo import RasterBackend
from dissmodel.io.raster import save_geotiff
from scipy.ndimage import binary_dilation

STATE_LABELS = {0: "forest", 1: "burning", 2: "burnt"}
STATE_COLORS = {0: "#2e8540", 1: "#d55e00", 2: "#4d4d4d"}

class Fire(Model):
    def setup(self, backend, pause=0.15):
        self.backend, self.pause, self.burnt_cells = backend, pause, 0

    def execute(self):
        time.sleep(self.pause)
        state = self.backend.get("state")
        catches = binary_dilation(state == 1) & (state == 0)
        state[state == 1] = 2
        state[catches] = 1
        self.burnt_cells = int((state == 2).sum())

class FireExecutor(ModelExecutor):
    "A fire that spreads from one cell."
    name = "slow_fire"

    def validate(self, record):
        pass

    def load(self, record):
        backend = RasterBackend(shape=(60, 80))
        backend.crs, backend.transform = "EPSG:32722", Affine(100, 0, 500_000, 0, -100, 8_000_000)
        state = np.zeros((60, 80), "uint8")
        state[30, 20] = 1
        backend.set("state", state)
        return backend

    def run(self, data, record):
        environment = Environment(start_time=1, end_time=record.parameters.get("end_time", 30))
        Fire(backend=data)
        environment.run()
        return data

    def save(self, result, record):
        save_geotiff(result, record.output_path, band_spec=[("state", "uint8", 255)])
        record.status = "completed"
        return record
"""
PLAIN = """%%dissmodel record --name front --output land --as kept
import numpy as np
from dissmodel.core import Environment, Model

class Front(Model):
    def setup(self, speed=2):
        self.speed, self.cleared = speed, 0
        self.land = np.zeros((20, 50), "uint8")

    def execute(self):
        self.land[:, : self.speed * int(self.env.now())] = 1
        self.cleared = int(self.land.sum())

end_time = 20
environment = Environment(start_time=1, end_time=end_time)
front = Front(speed=2)
environment.run()
land = front.land
"""
# Notes what stands on the screen, ten times a second: step, state of the phase `run`, live picture, lines of charts.
WATCH = """() => {
  window.__seen = [];
  const pixels = image => {
    const canvas = document.createElement('canvas');
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    canvas.getContext('2d').drawImage(image, 0, 0);
    return canvas.toDataURL();
  };
  const look = () => {
    const table = document.querySelector('.dl-phases');
    if (!table) return;
    const row = [...table.querySelectorAll('tr')].find(row => row.cells[1]?.textContent.trim() === 'run');
    const step = /step (\\d+) of (\\d+)/.exec(table.innerText);
    const image = document.querySelector('.dl-live-picture');
    window.__seen.push({
      state: row?.cells[2].textContent.trim(),
      step: step && +step[1],
      of: step && +step[2],
      picture: image?.complete && image.naturalWidth ? pixels(image) : null,
      charts: table.querySelectorAll('svg polyline').length,
    });
  };
  setInterval(look, 100);
}"""
# The picture of the player that is seen: its pixels.
PLAYED = """() => {
  const image = [...document.querySelectorAll('.dl-step-picture')].find(image => image.offsetParent);
  if (!image?.complete || !image.naturalWidth) return null;
  const canvas = document.createElement('canvas');
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  canvas.getContext('2d').drawImage(image, 0, 0);
  return canvas.toDataURL();
}"""
# What ipywidgets itself says of every value that moves when there is no kernel to be told.
NO_KERNEL = "Cannot send"
LABEL = ".dl-player .widget-readout"


def watch(notebook, picture):
    """Run all cells while the screen is watched; return what was seen while the phase was `run`."""
    page = notebook.page
    page.evaluate(WATCH)
    notebook.run_all(wait=False)
    page.wait_for_function("() => window.__seen.some(look => look.picture && look.charts)", timeout=60_000)
    page.locator(".dl-panel").scroll_into_view_if_needed()
    page.screenshot(path=SCREENSHOTS / f"{picture}--running.png")
    notebook.wait_done()
    page.wait_for_selector(".dl-player", timeout=60_000)
    return [look for look in page.evaluate("() => window.__seen") if look["state"] == "running"]


def distinct(looks, what):
    """Return the values that were seen, each once, in the order of their first appearance."""
    return list(dict.fromkeys(look[what] for look in looks if look[what] is not None))


@pytest.fixture(scope="module")
def fire(servers, browser):
    """A run of the fire in JupyterLab: what was seen of it, the page as it is now, and the saved notebook."""
    server = servers("lab")
    cells = [nbformat.v4.new_code_cell(cell) for cell in (LOAD, FIRE, "rec = %dissmodel run slow_fire")]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), server.root / "fire.ipynb")
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(20_000)
    notebook = Notebook(page, server, "fire.ipynb")
    looks = watch(notebook, "slow-fire")
    facts = {
        "html": run_html(notebook),
        "errors": notebook.errors(),
        "broken_widgets": notebook.broken_widgets(),
        "complaints": list(notebook.complaints),
    }
    notebook.save()
    saved = nbformat.read(server.root / "fire.ipynb", as_version=4)
    yield SimpleNamespace(notebook=notebook, looks=looks, saved=saved, server=server, **facts)
    context.close()
    server.end_sessions()


def test_counter_map_and_charts_follow_while_the_phase_is_run(fire):
    steps = distinct(fire.looks, "step")
    assert steps == sorted(steps)
    assert len(steps) >= 5
    assert distinct(fire.looks, "of") == [STEPS]
    assert len(distinct(fire.looks, "picture")) >= 3
    assert max(look["charts"] for look in fire.looks) >= 1
    assert "slow_fire</b> &middot; completed" in fire.html
    assert fire.errors == []
    assert fire.broken_widgets == 0
    assert fire.complaints == []


def test_player_moves_with_the_kernel_shut_down(fire, servers):
    notebook, page = fire.notebook, fire.notebook.page
    servers("lab").end_sessions()
    page.wait_for_function("() => jupyterapp.shell.currentWidget.sessionContext.session?.kernel == null", polling=50)
    handle = page.locator(".dl-step-slider .noUi-handle")
    handle.scroll_into_view_if_needed()
    handle.focus()
    first = new_picture(page, "^start$")
    page.keyboard.press("End")
    last = new_picture(page, f"^step {STEPS} of {STEPS}", first)
    page.keyboard.press("Home")
    assert new_picture(page, "^start$", last) == first
    drag(page, handle, 0.5)
    new_picture(page, "^step 1[2-8] of", first, last)
    page.screenshot(path=SCREENSHOTS / "slow-fire--player-without-kernel.png")
    assert notebook.broken_widgets() == 0
    assert [text for text in notebook.complaints if NO_KERNEL not in text] == []


def new_picture(page, label, *others):
    """Wait until the player says a step's name and shows another picture than before; return the picture."""
    page.wait_for_function(
        f"""([label, others]) => {{
          const picture = ({PLAYED})();
          const said = document.querySelector({LABEL!r}).innerText;
          return new RegExp(label).test(said) && picture && !others.includes(picture);
        }}""",
        arg=[label, others],
    )
    return page.evaluate(PLAYED)


def drag(page, handle, share):
    """Drag the slider's handle with the mouse to a share of its way."""
    at, way = handle.bounding_box(), page.locator(".dl-step-slider .noUi-target").bounding_box()
    y = at["y"] + at["height"] / 2
    page.mouse.move(at["x"] + at["width"] / 2, y)
    page.mouse.down()
    page.mouse.move(way["x"] + way["width"] * share, y, steps=6)
    page.mouse.up()


def test_saved_notebook_has_strip_and_animation_without_kernel(fire, browser):
    saved = nbformat.from_dict(fire.saved)
    assert "widgets" not in saved.metadata
    # As somebody else gets the file: another name, so that nothing is trusted, and no kernel is started.
    saved.metadata["kernelspec"] = {"name": "no-such-kernel", "display_name": "none"}
    nbformat.write(saved, fire.server.root / "received-fire.ipynb")
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    reader = Notebook(page, fire.server, "received-fire.ipynb", wait=False)
    film = page.locator(".jp-OutputArea-output .dl-film")
    film.wait_for(timeout=60_000)
    film.scroll_into_view_if_needed()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.dl-film img')].every(image => image.complete && image.naturalWidth)"
    )
    assert page.locator(".dl-film .dl-frame img").count() == 8
    moving = base64.b64decode(film.locator("img").first.get_attribute("src").split(",")[1])
    assert b"acTL" in moving
    labels = page.locator(".dl-film .dl-frame").all_inner_texts()
    assert labels[0] == "start"
    assert labels[-1].startswith(f"step {STEPS} of {STEPS}")
    page.screenshot(path=SCREENSHOTS / "slow-fire--reopened-without-kernel.png")
    assert reader.broken_widgets() == 0
    page.close()


@pytest.fixture
def report(fire, tmp_path):
    """The HTML report of the saved notebook, as ``make demo`` writes it."""
    path = Path(__file__).parents[2] / "notebooks" / "execute.py"
    spec = importlib.util.spec_from_file_location("execute", path)
    execute = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(execute)
    written = tmp_path / "fire.html"
    written.write_text(execute.html_report(fire.saved), encoding="utf-8")
    return written.as_uri()


def test_report_has_a_player_where_scripts_may_run(report, page):
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(report)
    film = page.locator(".dl-film")
    slider = film.locator("input[type=range]")
    slider.focus()
    pictures, labels = [], []
    for key in ("Home", "End", "PageDown"):
        page.keyboard.press(key)
        image = film.locator("img").first
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
        pictures.append(image.get_attribute("src"))
        labels.append(film.locator("output").inner_text())
    assert len(set(pictures)) == 3
    assert labels[0] == "start"
    assert labels[1].startswith(f"step {STEPS} of {STEPS}")
    assert not film.locator(".dl-strip").is_visible()
    film.scroll_into_view_if_needed()
    page.screenshot(path=SCREENSHOTS / "slow-fire--report.png")
    page.keyboard.press("Home")
    film.get_by_role("button", name="Play").click()
    page.wait_for_function("() => document.querySelector('.dl-film output').innerText !== 'start'")
    assert film.get_by_role("button", name="Pause").is_visible()
    assert complaints == []


def test_report_has_a_strip_where_no_script_may_run(report, browser):
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    page.goto(report)
    assert page.locator(".dl-film .dl-strip").is_visible()
    assert page.locator(".dl-film .dl-frame img").count() == 8
    assert page.locator(".dl-film input").count() == 0
    context.close()


def test_recorded_cell_is_followed(open_notebook, screenshot):
    notebook = open_notebook(LOAD, PLAIN, "print(kept.status, kept.steps, kept.output_path is not None)")
    page = notebook.page
    notebook.run_all()
    page.wait_for_selector(".dl-player")
    html = run_html(notebook)
    assert "front</b> &middot; completed" in html
    assert "Step by step: land" in html
    assert "Line charts by time: cleared ends at 800." in html
    assert "".join(notebook.cells()[2]["outputs"][0]["text"]) == "completed 20 True\n"
    page.wait_for_function(PLAYED)
    page.locator(".dl-film").scroll_into_view_if_needed()
    screenshot("done")
    assert notebook.errors() == []
    assert notebook.broken_widgets() == 0
    assert notebook.complaints == []


def test_form_of_an_executor_from_pypi(open_notebook, servers, screenshot):
    pytest.importorskip("disslucc")
    folder = servers("lab").root / "lucc"
    source, parameters = upstream_inputs.make_continuous(folder, n_steps=20, kind="tif")
    upstream_inputs.write_toml(folder / "model.toml", "lucc_continuous", parameters)
    notebook = open_notebook(LOAD, f"%dissmodel form lucc/model.toml --input lucc/{source.name}")
    notebook.run_all()
    page = notebook.page
    form = page.locator(".dl-form")
    form.wait_for()
    assert "betas" in form.inner_text()
    screenshot("form")
    page.locator(".dl-run").click()
    page.wait_for_selector(".dl-player", timeout=60_000)
    html = run_html(notebook)
    assert "lucc_continuous</b> &middot; completed" in html
    assert "Step by step: " in html
    page.locator(".dl-player").scroll_into_view_if_needed()
    page.wait_for_function(PLAYED)
    screenshot("done")
    assert notebook.errors() == []
    assert notebook.broken_widgets() == 0
    assert notebook.complaints == []
