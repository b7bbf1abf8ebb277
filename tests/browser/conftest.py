"""A server of each kind, a browser, and a folder for screenshots."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from chromium import SCREENSHOTS, find
from lab import CHROMIUM_FLAGS, Notebook, Server
from playwright.sync_api import sync_playwright

# Two files of one name cannot both be collected for doctests; they hold none.
collect_ignore = ["conftest.py"]


def pytest_collection_modifyitems(items):
    """Everything in this folder needs the browser."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def browser():
    """Chromium; without it these tests fail, they are not skipped."""
    path = find()
    assert path, "No Chromium found: run `python tests/browser/chromium.py`, or set CHROMIUM to its path."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def servers(tmp_path_factory):
    """Servers by kind, started when first asked for."""
    running: dict[str, Server] = {}

    def of(kind: str) -> Server:
        if kind not in running:
            running[kind] = Server(tmp_path_factory.mktemp(kind), kind)
        return running[kind]

    yield of
    for server in running.values():
        server.stop()


@pytest.fixture
def page(browser):
    """A fresh page."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()


@pytest.fixture
def open_notebook(servers, page, request):
    """Write a notebook of some cells and open it."""
    used: list[Server] = []

    def of(*cells: str, kind: str = "lab") -> Notebook:
        server = servers(kind)
        used.append(server)
        name = re.sub(r"\W+", "-", request.node.name).strip("-") + ".ipynb"
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)"}},
        )
        nbformat.write(notebook, server.root / name)
        return Notebook(page, server, name)

    yield of
    for server in used:
        server.end_sessions()


@pytest.fixture
def screenshot(page, request):
    """Keep a picture of the page, to be looked at after the test run."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)

    def of(name: str) -> Path:
        path = SCREENSHOTS / f"{re.sub(r'[^a-z0-9]+', '-', request.node.name.lower()).strip('-')}--{name}.png"
        page.screenshot(path=path)
        return path

    return of
