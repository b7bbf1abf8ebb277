"""The magic in a real kernel, as a front end uses it: execute, complete, interrupt, saved output."""

from __future__ import annotations

import re
import time
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

pytestmark = pytest.mark.kernel

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


@pytest.fixture
def kernel(workspace):
    """A kernel in the test's folder, with the extension loaded."""
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(workspace))
    run_cell(client, "%load_ext dissmodel_lab")
    yield client, manager
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run_cell(client, code, *, allow_error=False):
    """Run a cell; return its reply and the messages it sent."""
    messages = []
    reply = client.execute_interactive(
        code, timeout=90, output_hook=messages.append, store_history=True, allow_stdin=False, stop_on_error=False
    )
    if not allow_error:
        assert reply["content"]["status"] == "ok", messages
    return reply["content"], messages


def text_of(messages):
    """Return what the cell printed."""
    return "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream")


def final_bundles(messages):
    """Return the cell's outputs as a saved notebook would hold them."""
    shown = {}
    for message in messages:
        content = message["content"]
        if message["msg_type"] in ("display_data", "update_display_data", "execute_result"):
            key = content.get("transient", {}).get("display_id") or len(shown)
            shown[key] = content["data"]
    return list(shown.values())


def maps_in(html):
    """Return the alternative text's first word and the size of each map, colour scales and legends left out."""
    found = re.findall(r'<img alt="Map of (\S+?)[,:; ][^"]*" width="(\d+)"', html)
    return [(name, int(width)) for name, width in found]


def matches(client, code, timeout=60):
    """Ask the kernel to complete at the end of the code."""
    client.complete(code, len(code))
    while True:
        message = client.get_shell_msg(timeout=timeout)
        if message["msg_type"] == "complete_reply":
            return message["content"]["matches"]


def test_run_assigns_the_record_and_leaves_a_static_picture(kernel):
    client, _ = kernel
    _, messages = run_cell(client, "rec = %dissmodel run coastal_flood --param sea_level_rise=3")
    picture, explorer = final_bundles(messages)
    assert set(picture) == {"text/plain", "text/html", "image/png"}
    assert "coastal_flood</b> &middot; completed" in picture["text/html"]
    assert [name for name, _ in maps_in(picture["text/html"])] == ["elevation", "cover_after"] * 2
    assert len(repr(picture)) < 300_000
    assert not re.search(r"<(script|style|svg)|\bid=", picture["text/html"])
    assert "application/vnd.jupyter.widget-view+json" in explorer
    assert "needs a running kernel" in explorer["text/html"]
    _, messages = run_cell(
        client, "print(rec.status, rec.parameters['sea_level_rise'], rec.provenance.execution_count)"
    )
    assert text_of(messages) == "completed 3.0 2\n"
    _, messages = run_cell(client, "print(rec.provenance.cell_source, len(rec.provenance.cell_sha256))")
    assert text_of(messages) == "rec = %dissmodel run coastal_flood --param sea_level_rise=3 64\n"


def test_live_panel_is_shown_from_the_start(kernel):
    client, _ = kernel
    _, messages = run_cell(client, "%dissmodel run game_of_life")
    kinds = [
        sorted(m["content"]["data"]) for m in messages if m["msg_type"] in ("display_data", "update_display_data")
    ]
    assert "application/vnd.jupyter.widget-view+json" in kinds[0]
    assert "image/png" in kinds[1]
    assert not [m for m in messages if m["msg_type"] == "execute_result"]


def test_cell_body_is_toml_and_as_names_the_variable(kernel):
    client, _ = kernel
    run_cell(client, "%%dissmodel run game_of_life --as life\ngenerations = 3 # few\nwrap = true\n")
    _, messages = run_cell(client, "print(life.parameters)")
    assert text_of(messages) == "{'generations': 3, 'wrap': True}\n"


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%dissmodel rnu", "UsageError: %dissmodel has no command 'rnu'. Did you mean 'run'?"),
        ("%dissmodel run game_of_life --prm a=1", "%dissmodel run has no option '--prm'. Did you mean '--param'?"),
        ("%dissmodel run 'game_of_life", "%dissmodel: No closing quotation"),
        ("%dissmodel show nothing", "No run in 'experiments' begins with 'nothing'. Newest: none yet."),
        ("%%dissmodel run game_of_life\ngenerations = \n", "not valid TOML: Invalid value (at line 1, column 15)."),
        ("%%dissmodel runs\na = 1", "%%dissmodel runs takes no body."),
    ],
)
def test_mistake_is_one_message_without_a_traceback(kernel, cell, message):
    client, _ = kernel
    content, messages = run_cell(client, cell, allow_error=True)
    assert content["status"] == "error"
    assert content["ename"] == "UsageError"
    assert message in text_of(messages)
    assert "Traceback" not in text_of(messages)
    assert not [m for m in messages if m["msg_type"] == "error"]


def test_a_models_own_exception_keeps_its_traceback(kernel):
    client, _ = kernel
    run_cell(
        client,
        "from dissmodel_lab.executor.testing import FailingExecutor\n"
        "class Broken(FailingExecutor):\n"
        "    name = 'broken'\n"
        "    def run(self, data, record):\n"
        "        return {}['cells']\n",
    )
    content, messages = run_cell(client, "%dissmodel run broken", allow_error=True)
    assert content["ename"] == "KeyError"
    [error] = [m["content"] for m in messages if m["msg_type"] == "error"]
    plain = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error["traceback"]))
    assert "return {}['cells']" in plain
    assert "The record of this run is experiments/" in plain
    assert "failed in phase run" in final_bundles(messages)[0]["text/html"]


def test_completion(kernel):
    client, _ = kernel
    run_cell(client, "rec = %dissmodel run game_of_life")
    assert set(matches(client, "%dissmodel ")) >= {"run", "form", "models", "runs", "show", "validate", "help"}
    assert matches(client, "%dissmodel run co") == ["coastal_flood"]
    assert matches(client, "rec = %dissmodel run coastal_flood --par") == ["--param"]
    assert matches(client, "%dissmodel run coastal_flood --param sea") == ["sea_level_rise="]
    assert matches(client, "%dissmodel run coastal_flood --param=end") == ["--param=end_year="]
    assert matches(client, "x = 1\n%dissmodel val") == ["validate"]
    [last, run_id] = matches(client, "%dissmodel show ")
    assert last == "last"
    assert re.fullmatch("[0-9a-f]{8}", run_id)


def test_interrupt_cancels(kernel):
    client, manager = kernel
    run_cell(
        client,
        "import time\nfrom dissmodel_lab.executor.testing import SteppingExecutor\n"
        "class Slow(SteppingExecutor):\n"
        "    name = 'slow'\n"
        "    def run(self, data, record):\n"
        "        open('running', 'w').close()\n"
        "        time.sleep(60)\n",
    )
    message = client.execute("%dissmodel run slow", stop_on_error=False)  # the kernel is not to refuse the next cell
    while not Path("running").exists():
        time.sleep(0.02)
    began = time.monotonic()
    manager.interrupt_kernel()
    while True:
        reply = client.get_shell_msg(timeout=30)
        if reply["parent_header"].get("msg_id") == message:
            break
    assert time.monotonic() - began < 30
    assert reply["content"]["ename"] == "UsageError"
    _, messages = run_cell(client, "rec = %dissmodel show last\nprint(rec.status, rec.failed_phase)")
    assert text_of(messages).endswith("cancelled run\n")


def test_record_shows_itself_without_the_extension(workspace):
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(workspace))
    try:
        _, messages = run_cell(client, "import dissmodel_lab as lab\nlab.run('game_of_life')")
        assert "game_of_life</b> &middot; completed" in final_bundles(messages)[0]["text/html"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_importing_and_loading_is_light(kernel):
    client, _ = kernel
    code = (
        "import sys\nheavy = 'numpy ipywidgets ipyleaflet rasterio geopandas matplotlib'.split()\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    _, messages = run_cell(client, code)
    assert text_of(messages) == "[]\n"


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebook_still_runs_and_says_what_it_said(path, workspace):
    committed = nbformat.read(path, as_version=4)
    assert "widgets" not in committed.metadata
    fresh = nbformat.read(path, as_version=4)
    NotebookClient(
        fresh, timeout=300, resources={"metadata": {"path": str(workspace)}}, store_widget_state=False
    ).execute()
    for before, after in zip(committed.cells, fresh.cells, strict=True):
        if before.cell_type == "code":
            assert printed(before) == printed(after), before.source
            assert pictures(before) == pictures(after), before.source


def printed(cell):
    """What a cell printed, without times and ids."""
    text = "".join(o["text"] for o in cell.outputs if o.output_type == "stream" and o.name == "stdout")
    return re.sub(r"\d+\.\d+ s\b|[0-9a-f]{16,}|(?:experiments|reviewer)/\S+", "~", text)


def pictures(cell):
    """Which maps a cell's static HTML has; what it printed may come in one piece or in several."""
    return [maps_in(o["data"].get("text/html", "")) for o in cell.outputs if "data" in o]


def test_a_failing_cell_stops_run_all(workspace):
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(c) for c in ("%load_ext dissmodel_lab", "%dissmodel run nothing", "1/0")]
    )
    with pytest.raises(CellExecutionError, match="No model is called 'nothing'"):
        NotebookClient(notebook, resources={"metadata": {"path": str(workspace)}}).execute()
    assert notebook.cells[2].outputs == []
