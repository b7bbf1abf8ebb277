"""What each front end gets: text, static HTML that needs no widget state, and widgets by their mime type and version.

VS Code and Colab choose among the same mime types as Jupyter does; Colab must be asked to draw widgets of others.
"""

from __future__ import annotations

import importlib.resources
import itertools
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import dissmodel_lab as lab
from dissmodel_lab import magics
from dissmodel_lab.views.outputs import WIDGET_VIEW
from dissmodel_lab.views.player import StepPlayer

RUN = "run coastal_flood -p start_year=2020 -p end_year=2022"


def shown(shell, line):
    """Run a line, and return the bundles that it displayed; what a cell's last value shows is among them."""
    del shell.bundles[:]
    value = shell.run_line_magic("dissmodel", line)
    bundles = [bundle for bundle in shell.bundles if any(bundle.values())]
    if hasattr(value, "_repr_mimebundle_") and not bundles:
        bundles.append(value._repr_mimebundle_())
    return bundles


LINES = [
    "show last",
    "changes last",
    "verify last",
    "runs",
    "models",
    "queue",
    "form coastal_flood",
    "sweep game_of_life -p generations=2:4:2",
    "sweeps",
]


@pytest.fixture
def kept(shell):
    """One run in the store."""
    shell.run_line_magic("dissmodel", RUN)
    return shell


def test_each_output_has_text_and_html_and_widgets_beside_it(kept):
    found = {line: shown(kept, line) for line in LINES}
    assert all(found.values())
    for bundle in itertools.chain(*found.values()):
        assert set(bundle) <= {"text/plain", "text/html", "text/markdown", "image/png", WIDGET_VIEW}, set(bundle)
        assert isinstance(bundle["text/plain"], str)
        assert "text/html" in bundle or "text/markdown" in bundle
        if WIDGET_VIEW in bundle:
            assert bundle[WIDGET_VIEW] | {"model_id": ""} == {
                "version_major": 2,
                "version_minor": 0,
                "model_id": "",
            }


def test_a_finished_run_is_read_without_widget_state(kept):
    static = [bundle for bundle in shown(kept, "show last") if WIDGET_VIEW not in bundle]
    html = "".join(bundle["text/html"] for bundle in static)
    assert html.count("<img ") >= 4
    assert "data:image/png;base64," in html
    assert all(word not in html for word in ("<script", "<style", "<svg", "onclick", " id="))
    assert "coastal_flood" in static[0]["text/plain"]
    assert "completed" in static[0]["text/plain"]


def test_a_record_as_the_last_value_of_a_cell(kept):
    lab._teach_ipython()  # as the import does in a notebook; this shell is younger than the import
    record = kept.run_line_magic("dissmodel", "show last")
    bundle = kept.display_formatter.format(record)[0]
    assert "coastal_flood" in bundle["text/plain"]
    assert "data:image/png;base64," in bundle["text/html"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: lab.explore(np.eye(8, dtype="uint8")),
        lambda: lab.explore(np.eye(8, dtype="uint8"), np.ones((8, 8), "uint8"), names=["before", "after"]),
    ],
    ids=["one", "two"],
)
def test_an_explored_map_has_a_static_twin(shell, make):
    view = make()
    shell.display_formatter.format(view)
    html = "".join(bundle.get("text/html", "") for bundle in shell.bundles)
    assert "data:image/png;base64," in html
    assert any(WIDGET_VIEW in bundle for bundle in shell.bundles)


@pytest.fixture
def colab(monkeypatch):
    """A module as Colab has it; what it is asked is counted."""
    asked: list[str] = []
    output = SimpleNamespace(enable_custom_widget_manager=lambda: asked.append("widgets"))
    module = ModuleType("google.colab")
    module.output = output
    monkeypatch.setitem(sys.modules, "google.colab", module)
    return asked


def test_colab_is_asked_for_widgets_and_the_person_is_told(shell, colab, capsys):
    magics.load(shell)
    assert colab == ["widgets"]
    assert capsys.readouterr().out == (
        "Colab draws the maps and forms with a widget manager that it fetches from its own servers; it is on now. "
        "To turn it off: google.colab.output.disable_custom_widget_manager()\n"
    )


def test_a_colab_that_refuses_is_told_with_what_to_do(shell, colab, capsys, monkeypatch):
    def refuse():
        raise RuntimeError("not here")

    monkeypatch.setattr(sys.modules["google.colab"].output, "enable_custom_widget_manager", refuse)
    magics.load(shell)
    assert capsys.readouterr().out == (
        "Colab's widget manager could not be turned on (not here): maps to explore and forms are not drawn; runs, "
        "pictures and tables are. Try: from google.colab import output; output.enable_custom_widget_manager()\n"
    )


def test_elsewhere_loading_says_nothing(shell, capsys):
    assert "google.colab" not in sys.modules
    magics.load(shell)
    assert capsys.readouterr().out == ""


def test_the_page_script_comes_with_the_package():
    script = importlib.resources.files("dissmodel_lab.views").joinpath("access.js").read_text(encoding="utf-8")
    assert "export default { render }" in script
    assert StepPlayer.__module__.startswith("dissmodel_lab.views")
