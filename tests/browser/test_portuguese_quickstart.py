"""The quickstart in Portuguese, by keyboard alone: cells, form, run and map; no mouse, no call into the page."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from chromium import SCREENSHOTS
from lab import Notebook, Server
from test_run_in_lab import press_until, type_number

QUICKSTART = Path(__file__).parents[2] / "notebooks" / "01_quickstart.ipynb"
# The cell that runs now, and the number of cells that have run.
ACTIVE = """() => { const notebook = jupyterapp.shell.currentWidget.content; return [
  notebook.activeCellIndex, notebook.activeCell.model.sharedModel.getSource().slice(0, 60)]; }"""
IDLE = "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"
FORM = "%dissmodel form"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A JupyterLab whose kernels speak Portuguese; its own menus stay as they are."""
    server = Server(tmp_path_factory.mktemp("portugues"), "lab", language="pt")
    shutil.copy(QUICKSTART, server.root / "quickstart.ipynb")
    yield server
    server.end_sessions()
    server.stop()


def run_until(page, wanted):
    """Run cells from the top with Shift+Enter, until the next one begins with some words; it is run, too."""
    page.keyboard.press("Escape")
    page.keyboard.press("Control+Home")
    for _ in range(40):
        _, source = page.evaluate(ACTIVE)
        page.keyboard.press("Shift+Enter")
        page.wait_for_function(IDLE, timeout=90_000, polling=100)
        if source.startswith(wanted):
            return
    raise AssertionError(f"No cell begins with {wanted}")


def test_quickstart_by_keyboard_alone(server, page):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.set_default_timeout(60_000)
    notebook = Notebook(page, server, "quickstart.ipynb")
    page.evaluate("() => { document.querySelector('.jp-Notebook').focus(); }")
    run_until(page, FORM)
    form = page.locator(".dl-form")
    form.wait_for()
    said = form.inner_text()
    for words in ("entrada", "saída", "Executar", "padrão"):
        assert words in said, said
    assert "Copy as cell" not in said
    press_until(page, "Tab", ".dl-form", limit=160)
    page.screenshot(path=SCREENSHOTS / "portuguese--form.png")
    press_until(page, "Tab", ".dl-field-sea_level_rise")
    type_number(page, "sea_level_rise", "12.5")
    press_until(page, "Tab", ".dl-run")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.activeElement?.classList.contains('dl-run')")
    mapped = page.locator(".dl-form-result .leaflet-container, .dl-map .leaflet-container").last
    mapped.wait_for()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.jp-OutputArea-output')].some(one => /12\\.5/.test(one.innerText)"
        " && /concluída/.test(one.innerText))"
    )
    press_until(page, "Tab", ".dl-map .leaflet-container", limit=60)
    name = page.evaluate("() => document.activeElement.getAttribute('aria-label')")
    assert name.startswith("Mapa: "), name
    place = page.evaluate("() => document.activeElement.querySelector('.leaflet-map-pane').style.transform")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "place => document.activeElement.querySelector('.leaflet-map-pane').style.transform !== place", arg=place
    )
    page.screenshot(path=SCREENSHOTS / "portuguese--map.png")
    shown = page.evaluate("() => document.querySelector('.jp-Notebook').innerText")
    for words in ("Parâmetros", "Entrada", "Saída", "Camada"):
        assert words in shown, words
    assert notebook.errors() == []
    assert notebook.broken_widgets() == 0
    assert notebook.complaints == []
