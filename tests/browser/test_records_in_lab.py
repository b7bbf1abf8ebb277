"""Records in the real browser: found, seen changed, compared, run again; and all without a kernel."""

from __future__ import annotations

import json
from types import SimpleNamespace

import nbformat
import pytest
from chromium import SCREENSHOTS
from lab import STARTED, Notebook, Server, set_up
from test_run_in_lab import LOAD
from test_steps_in_lab import NO_KERNEL

RUN = "%dissmodel run coastal_flood -p start_year=2020 -p end_year=2026 -p sea_level_rise="
CELLS = {
    "load": LOAD,
    "low": f"low = {RUN}10",
    "high": f"high = {RUN}30",
    "runs": "%dissmodel runs",
    "pages": "%dissmodel runs --limit 1",
    "changes": "%dissmodel changes last",
    "compare": "%dissmodel compare {low.experiment_id} last",
    "rerun": "%dissmodel rerun last",
    "verify": "%dissmodel verify last",
}
WHERE = {name: at for at, name in enumerate(CELLS)}
# Notes each new text of the phases' table in one cell, as it stands on the screen.
WATCH = """index => {
  window.__seen = [];
  new MutationObserver(() => {
    const table = document.querySelectorAll('.jp-CodeCell')[index].querySelector('.dl-phases');
    if (!table) return;
    const text = [...table.querySelectorAll('tr')].slice(0, 4).map(row => row.cells[2].textContent.trim()).join(' ');
    if (window.__seen[window.__seen.length - 1] !== text) window.__seen.push(text);
  }).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""
PICTURES = """images => Promise.all(images.map(async image => {
  try { await image.decode(); } catch { return 0; }
  return image.naturalWidth * image.clientWidth;
}))"""
# The two pictures of the player that are seen, as long as both are drawn.
PLAYED = """() => {
  const seen = [...document.querySelectorAll('.dl-pair-player .dl-step-picture')].filter(one => one.offsetParent);
  if (seen.length !== 2 || !seen.every(image => image.complete && image.naturalWidth)) return null;
  return seen.map(image => {
    const canvas = document.createElement('canvas');
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    canvas.getContext('2d').drawImage(image, 0, 0);
    return canvas.toDataURL();
  });
}"""


# Texts of a cell whose contrast with what is behind them is below 4.5 : 1 (WCAG 2.2, 1.4.3).
FAINT = """index => {
  const rgba = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const over = (top, below) => [0, 1, 2].map(at => top[at] * top[3] + below[at] * (1 - top[3]));
  const light = rgb => rgb.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const seen = node => {  // the colours of the text and of its ground, with the opacity of all boxes around it
    const boxes = [];
    for (let at = node; at; at = at.parentElement) boxes.unshift(at);
    let ground = [255, 255, 255], ink = null;
    for (const box of boxes) {
      const style = getComputedStyle(box), share = Number(style.opacity);
      const fill = rgba(style.backgroundColor);
      if (fill[3]) ground = over([...fill.slice(0, 3), fill[3] * share], ground);
      ink = rgba(style.color);
    }
    const opacity = boxes.reduce((all, box) => all * Number(getComputedStyle(box).opacity), 1);
    return [over([...ink.slice(0, 3), ink[3] * opacity], ground), ground];
  };
  const cell = document.querySelectorAll('.jp-CodeCell')[index];
  const faint = [];
  for (const node of cell.querySelectorAll('.jp-OutputArea-output.jp-RenderedHTMLCommon *')) {
    const said = [...node.childNodes].filter(one => one.nodeType === 3).map(one => one.data.trim()).join('');
    if (!said || !node.checkVisibility()) continue;
    const [bright, dark] = seen(node).map(light).sort((a, b) => b - a), contrast = (bright + 0.05) / (dark + 0.05);
    if (contrast < 4.5) faint.push(`${said.slice(0, 60)}: ${contrast.toFixed(2)}`);
  }
  return faint;
}"""

ACTIVE = "index => { jupyterapp.shell.currentWidget.content.activeCellIndex = index }"


class Cell:
    """A cell of a notebook that is open, by its name above."""

    def __init__(self, notebook, name):
        self.page, self.index = notebook.page, WHERE[name]
        self.node = notebook.page.locator(".jp-CodeCell").nth(self.index)
        self.output = self.node.locator(".jp-OutputArea-output")
        self.images = self.node.locator(".jp-OutputArea-output.jp-RenderedHTMLCommon img")

    def bring(self):
        """Wait until its output is drawn, and scroll to it."""
        self.output.last.wait_for(state="attached")
        self.node.evaluate("node => node.scrollIntoView({block: 'start'})")
        return self

    def rows(self):
        """Return the rows of its table of runs, each by heading; all at once, as the table may be drawn anew."""
        return self.node.evaluate(
            """cell => {
              const texts = row => [...row.cells].map(cell => cell.innerText.trim());
              const heads = texts(cell.querySelector('thead tr'));
              return [...cell.querySelectorAll('tbody tr')].map(
                row => Object.fromEntries(texts(row).map((text, at) => [heads[at].split(' ')[0], text])));
            }"""
        )

    def wait_runs(self, *ids):
        """Wait until its table has these runs in this order, and return its rows."""
        self.page.wait_for_function(
            """([index, ids]) => {
              const rows = document.querySelectorAll('.jp-CodeCell')[index].querySelectorAll('tbody tr th');
              return [...rows].map(head => head.innerText).join() === ids.join();
            }""",
            arg=[self.index, list(ids)],
        )
        return self.rows()

    def pictures(self):
        """Return how large each picture of its static HTML is drawn; 0 for one that cannot be shown."""
        return self.images.evaluate_all(PICTURES)

    def sources(self):
        """Return the data of these pictures."""
        return self.images.evaluate_all("images => images.map(one => one.src)")

    def text(self):
        """Return what its output says."""
        return "\n".join(self.output.all_inner_texts()).strip()

    def shoot(self, name):
        """Keep a picture of the page, with the cell at its top."""
        self.bring()
        self.page.screenshot(path=SCREENSHOTS / f"records--{name}.png")


def run_above(notebook, name):
    """Run all cells above one; what is asked for too early is dropped without a word, so it is asked for again."""
    page = notebook.page
    page.evaluate(ACTIVE, WHERE[name])
    for _ in range(3):
        notebook.command("notebook:run-all-above")
        notebook.wait_done()
        if page.evaluate(STARTED):
            return
    raise AssertionError("JupyterLab did not run the cells.")


def run_one(notebook, name):
    """Run one cell, in view, as a person does who wants to see what it shows while it runs."""
    page = notebook.page
    page.evaluate(ACTIVE, WHERE[name])
    Cell(notebook, name).node.scroll_into_view_if_needed()
    notebook.command("notebook:run-cell")
    notebook.wait_done()


def filter_runs(cell, condition):
    """Type a condition into the filter box."""
    box = cell.node.get_by_label("Filter")
    box.fill(condition)
    box.press("Enter")


def ids(rows):
    """Return the ids of a table's rows."""
    return [row["run"] for row in rows]


def open_records(browser, server, name, *, wait=True):
    """Open a notebook in a page of its own."""
    page = browser.new_context(viewport={"width": 1280, "height": 1000}).new_page()
    page.set_default_timeout(30_000)
    return Notebook(page, server, name, wait=wait)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A JupyterLab of its own, whose settings may be changed: it draws all cells, not only those on the screen."""
    server = Server(tmp_path_factory.mktemp("records"), "lab")
    set_up(server, "notebook-extension:tracker", windowingMode="none")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def records(server, browser):
    """Two runs that are listed and compared, in a notebook that is open with its kernel."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)"}}
    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS.values()]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), server.root / "records.ipynb")
    notebook = open_records(browser, server, "records.ipynb")
    run_above(notebook, "rerun")
    listed = Cell(notebook, "runs").bring().rows()
    yield SimpleNamespace(notebook=notebook, server=server, listed=listed, high=ids(listed)[0], low=ids(listed)[-1])
    notebook.page.context.close()
    server.end_sessions()


# Each fixture does what a person does next in the one notebook, so that the order of the tests does not matter.
@pytest.fixture(scope="module")
def table(records):
    """What the table of runs showed after each deed of a person."""
    low, high = records.low, records.high
    cell = Cell(records.notebook, "runs").bring()
    cell.shoot("runs")
    looks = {"pictures": cell.pictures(), "sources": cell.sources()}
    filter_runs(cell, "sea_level_rise < 20 and status == 'completed'")
    looks["filtered"] = cell.wait_runs(low)
    filter_runs(cell, "sea_level_rise = 30")
    alert = cell.node.get_by_role("alert")
    alert.wait_for()
    looks["told"], looks["kept"] = alert.inner_text(), cell.rows()
    cell.shoot("runs-wrong-condition")
    filter_runs(cell, "")
    cell.wait_runs(high, low)
    alert.wait_for(state="detached")
    button = cell.node.locator(".dl-runs button", has_text="sea_level_rise")
    button.click()
    looks["smallest first"] = cell.wait_runs(low, high)
    button.get_by_text("sea_level_rise ▲").wait_for()
    button.click()
    looks["largest first"] = cell.wait_runs(high, low)
    button.get_by_text("sea_level_rise ▼").wait_for()
    cell.shoot("runs-sorted")
    return looks


@pytest.fixture(scope="module")
def pages(records):
    """The run on each page that was turned to, in a table of one run a page."""
    cell = Cell(records.notebook, "pages").bring()
    found = [ids(cell.rows())]
    for label, run in (("Next", records.low), ("Previous", records.high)):
        cell.node.get_by_role("button", name=label).click()
        found.append(ids(cell.wait_runs(run)))
    return found


@pytest.fixture(scope="module")
def rerun(records, table, pages):
    """The last run made again, and checked: what was seen meanwhile, and after it."""
    notebook = records.notebook
    notebook.page.evaluate(WATCH, WHERE["rerun"])
    run_one(notebook, "rerun")
    seen = notebook.page.evaluate("() => window.__seen")
    run_one(notebook, "verify")
    for name in ("changes", "compare", "rerun"):
        Cell(notebook, name).shoot(name)
    return SimpleNamespace(
        seen=seen,
        verdict=Cell(notebook, "rerun").bring().text(),
        integrity=Cell(notebook, "verify").bring().text(),
        errors=notebook.errors(),
        complaints=list(notebook.complaints),
        broken_widgets=notebook.broken_widgets(),
    )


@pytest.fixture(scope="module")
def saved(records, rerun):
    """The notebook's file, saved when all was done."""
    records.notebook.save()
    return nbformat.read(records.server.root / "records.ipynb", as_version=4)


@pytest.fixture
def ended(records, saved):
    """The notebook, still open, when its kernel has been shut down."""
    records.server.end_sessions()
    records.notebook.page.wait_for_function(
        "() => jupyterapp.shell.currentWidget.sessionContext.session?.kernel == null", polling=50
    )
    return records.notebook


@pytest.fixture(scope="module")
def received(records, saved, browser):
    """The notebook as somebody else gets it: under another name, so that nothing is trusted, and with no kernel."""
    copy = nbformat.from_dict(saved)
    copy.metadata["kernelspec"] = {"name": "no-such-kernel", "display_name": "none"}
    nbformat.write(copy, records.server.root / "received-records.ipynb")
    reader = open_records(browser, records.server, "received-records.ipynb", wait=False)
    Cell(reader, "verify").bring()
    yield reader
    reader.page.context.close()


def test_table_of_runs_has_pictures_of_the_outputs(records, table):
    assert [row["sea_level_rise"] for row in records.listed] == ["30", "10"]
    assert [row["status"] for row in records.listed] == ["✓ completed"] * 2
    assert len(table["pictures"]) == len(set(table["sources"])) == 2
    assert min(table["pictures"]) > 400


def test_condition_leaves_the_runs_that_fit(records, table):
    assert ids(table["filtered"]) == [records.low]
    # Only one is left: nothing differs any more, so that the column went.
    assert "sea_level_rise" not in table["filtered"][0]


def test_wrong_condition_is_told_and_changes_nothing(records, table):
    assert table["told"] == "⚠ The condition has '=' at character 16. Write == to compare."
    assert table["kept"] == table["filtered"]


def test_button_sorts_by_a_parameter_both_ways(table):
    found = [[row["sea_level_rise"] for row in table[order]] for order in ("smallest first", "largest first")]
    assert found == [["10", "30"], ["30", "10"]]


def test_pages_are_turned(records, pages):
    assert pages == [[records.high], [records.low], [records.high]]


def test_rerun_is_followed_and_ends_in_a_verdict(records, rerun):
    # Four updates a second: a phase shorter than that may never stand on the screen.
    assert any("running" in states for states in rerun.seen)
    order = [states.count("done") for states in rerun.seen]
    assert order == sorted(order)
    assert rerun.verdict.startswith(f"✔ IDENTICAL\nRerun of run {records.high}")
    assert rerun.integrity.startswith("✔ AS RECORDED\n")
    assert "/experiments" not in rerun.integrity
    assert rerun.errors == []
    assert rerun.complaints == []
    assert rerun.broken_widgets == 0


def test_pair_player_moves_with_the_kernel_shut_down(ended):
    page = ended.page
    cell = Cell(ended, "compare").bring()
    handle = cell.node.locator(".dl-pair-player .dl-step-slider .noUi-handle")
    handle.scroll_into_view_if_needed()
    handle.focus()
    first = played(page, "time 2021$")
    page.keyboard.press("End")
    last = played(page, "time 2026$", *first)
    assert len({*first, *last}) == 4  # two runs, two moments
    page.screenshot(path=SCREENSHOTS / "records--pair-player-without-kernel.png")
    page.keyboard.press("Home")
    assert played(page, "time 2021$", *last) == first
    assert ended.broken_widgets() == 0
    assert [text for text in ended.complaints if NO_KERNEL not in text] == []


def played(page, label, *others):
    """Wait until the player says a moment and both its pictures are other ones than before; return the two."""
    page.wait_for_function(
        f"""([label, others]) => {{
          const pictures = ({PLAYED})();
          const said = document.querySelector('.dl-pair-player .widget-readout').innerText;
          return new RegExp(label).test(said) && pictures && pictures.every(one => !others.includes(one));
        }}""",
        arg=[label, others],
    )
    return page.evaluate(PLAYED)


STANDS = {
    "runs": ("2 of 2 runs; sorted by sea_level_rise, largest first", 2),
    "pages": ("1 of 2 runs; newest first", 1),
    "changes": ("583 of 10,920 cells changed (5.34 %)", 3),
    "compare": ("1 parameter differs; cover_after: 360 of 10,920 cells changed (3.3 %).", 3 + 4),
    "rerun": ("✔ IDENTICAL", 0),
    "verify": ("✔ AS RECORDED", 0),
}
"""What each cell says for good, and how many pictures it shows at least."""


def test_saved_notebook_shows_all_of_it_without_a_kernel(saved, received):
    assert "widgets" not in saved.metadata
    assert all(len(json.dumps(cell.outputs)) < 400_000 for cell in saved.cells)
    received.server.end_sessions(received.path)  # JupyterLab may have started one in place of that which is not there
    for name, (said, least) in STANDS.items():
        cell = Cell(received, name).bring()
        assert said in cell.text()
        pictures = cell.pictures()
        assert len(pictures) >= least
        assert all(size > 0 for size in pictures)
    compared = Cell(received, "compare").bring()
    assert "Step by step, both runs: cover_after" in compared.text()
    assert "sea_level_rise\t10\t30" in compared.text()
    assert received.broken_widgets() == 0
    # A kernel that JupyterLab has started meanwhile has run nothing: the prompts are those of the file.
    assert [cell["count"] for cell in received.cells() if cell["type"] == "code"] == [
        cell.execution_count for cell in saved.cells if cell.cell_type == "code"
    ]
    compared.shoot("reopened-without-kernel")


def test_saved_notebook_reads_in_a_dark_theme(received):
    change_theme(received.page, "JupyterLab Dark")
    for name in STANDS:
        Cell(received, name).shoot(f"dark-{name}")
        assert received.page.evaluate(FAINT, WHERE[name]) == []
    change_theme(received.page, "JupyterLab Light")


def change_theme(page, name):
    """Change JupyterLab's theme; its server is this module's own."""
    page.evaluate("theme => { jupyterapp.commands.execute('apputils:change-theme', {theme}) }", name)
    page.wait_for_selector(f"body[data-jp-theme-name='{name}']", state="attached")
