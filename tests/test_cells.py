"""Plain code in a cell, run and recorded as a model."""

from __future__ import annotations

import ast

import numpy as np
import pytest
from IPython.core.error import UsageError

from dissmodel_lab import Raster, read_raster, read_record
from dissmodel_lab.cells import CellExecutor, literal_settings
from dissmodel_lab.errors import ParameterError
from dissmodel_lab.store import RunStore

GROW = """
from dissmodel.core import Environment, Model

end_time = 7

class Grow(Model):
    def setup(self, rate=2):
        self.rate, self.total, self.grid = rate, 0, grid.copy()

    def execute(self):
        self.total += self.rate
        self.grid[int(self.env.now())] = 3

environment = Environment(start_time=1, end_time=end_time)
model = Grow(rate=3)
environment.run()
grown = model.grid
model.total
"""


@pytest.fixture
def record_cell(shell):
    """Run a ``%%dissmodel record`` cell; return what IPython says of it."""

    def call(line, body):
        return shell.run_cell(f"%%dissmodel record {line}\n{body}", store_history=True)

    return call


def newest():
    return read_record(RunStore().entries()[0].folder / "record.json")


def test_plain_model_is_followed_and_recorded(shell, record_cell):
    shell.user_ns["grid"] = np.zeros((9, 4), "uint8")
    result = record_cell("--input grid --output grown --name growth --as kept", GROW)
    assert result.success
    record = shell.user_ns["kept"]
    assert record.model_dump_json() == newest().model_dump_json()
    assert (record.model_name, record.status, record.steps) == ("growth", "completed", 7)
    assert record.parameters == {"end_time": 7}
    assert record.parameter_origins == {"end_time": "cell"}
    assert record.unread_parameters == []
    assert record.logs[:2] == [
        "The input was given in memory; it has no path and no checksum.",
        "The input is the notebook's variable 'grid'.",
    ]
    assert record.provenance.cell_source.startswith("%%dissmodel record --input grid")
    saved = read_raster(record.artifact_path())
    assert np.array_equal(saved.array[0], shell.user_ns["grown"])
    assert shell.user_ns["model"].total == 21
    assert "21" in [bundle.get("text/plain") for bundle in shell.bundles]


def test_a_step_is_told_by_steps_too(shell, record_cell):
    assert record_cell("", "from dissmodel_lab import steps\nfor year in steps(range(5)): pass").success
    assert (newest().steps, newest().model_name, newest().output_path) == (5, "cell", None)


def test_magics_in_the_body_work(shell, record_cell):
    assert record_cell("--output y", "y = 'text'\n!true").success
    assert newest().artifact_path().read_text() == "text"


def test_own_exception_keeps_its_traceback_and_the_record(shell, record_cell, capsys):
    result = record_cell("", "rate = 2\nrate / 0")
    assert isinstance(result.error_in_exec, ZeroDivisionError)
    record = newest()
    assert (record.status, record.failed_phase, record.error) == (
        "failed",
        "run",
        "ZeroDivisionError: division by zero",
    )
    assert "rate / 0" in record.logs[-1]
    assert "rate / 0" in capsys.readouterr().out


@pytest.mark.parametrize(("line", "body", "message"), [
    ("", " ", "%dissmodel record needs code to record. Begin the cell with %%dissmodel record, and write it below."),
    ("--output a-b", "x = 1", "The output 'a-b' is no name of a variable. Name one that the cell sets."),
    (
        "--output grwn",
        "grown = 1",
        "The cell sets no variable 'grwn', which is named as its output. Did you mean 'grown'?",
    ),
])  # fmt: skip
def test_mistakes_are_one_message(shell, line, body, message):
    with pytest.raises(UsageError) as caught:
        shell.run_cell_magic("dissmodel", f"record {line}", body or " ")
    assert str(caught.value).startswith(message)


def test_code_that_is_no_python_is_one_message(shell, record_cell):
    result = record_cell("", "x ==")
    assert isinstance(result.error_in_exec, UsageError)
    assert str(result.error_in_exec) == "The cell is no Python: invalid syntax (line 1).\n    x ==\n        ^"
    assert RunStore().entries() == []


def test_a_file_may_be_the_input(shell, record_cell, workspace):
    (workspace / "cells.csv").write_text("a\n1\n")
    assert record_cell(
        "--input cells.csv --output rows", "from pathlib import Path\nrows = Path('cells.csv').read_text()"
    ).success
    assert newest().source.uri == "cells.csv"
    assert len(newest().source.checksum) == 64
    assert not record_cell("--input nothing.csv", "x = 1").success
    assert newest().error == (
        f"SourceError: The input 'nothing.csv' does not exist (looked in {workspace}). Check the path."
    )


def test_outputs_are_written_by_their_kind(shell, record_cell):
    import geopandas
    import pandas as pd
    from shapely.geometry import box

    shell.user_ns["values"] = {
        "frame": geopandas.GeoDataFrame({"a": [1]}, geometry=[box(0, 0, 1, 1)], crs="EPSG:32723"),
        "table": pd.DataFrame({"a": [1, 2]}),
        "raster": Raster(array=np.ones((2, 3, 4)), bands=("x", "y")),
        "stack": np.ones((2, 3, 4), "float32"),
        "raw": b"\x00\x01",
        "number": 4.5,
        "named": {"a/b": 1, "grid": np.ones((2, 3))},
    }
    endings = {}
    for name in shell.user_ns["values"]:
        assert record_cell("--output result", f"result = values[{name!r}]").success, name
        endings[name] = newest().artifact_path().suffix
    assert endings == {
        "frame": ".gpkg",
        "table": ".csv",
        "raster": ".tif",
        "stack": ".tif",
        "raw": ".bin",
        "number": ".txt",
        "named": "",
    }
    assert sorted(path.name for path in newest().artifact_path().iterdir()) == ["a-b.txt", "grid.tif"]


def test_backend_of_dissmodel_keeps_its_georeference(shell, record_cell):
    body = """
import numpy as np
from affine import Affine
from dissmodel.geo.raster.backend import RasterBackend
land = RasterBackend(shape=(3, 4))
land.set("use", np.arange(12).reshape(3, 4).astype("uint8"))
land.set("rate", np.full((3, 4), 0.5))
land.crs, land.transform = "EPSG:32723", Affine(30, 0, 600_000, 0, -30, 7_400_000)
"""
    assert record_cell("--output land", body).success
    saved = read_raster(newest().artifact_path())
    assert (saved.bands, saved.crs.to_epsg(), saved.transform.a) == (("use", "rate"), 32723, 30)


def test_settings_are_plain_values_only():
    code = "a = 1\nb: float = 0.5\nc = [1, {'k': 'v'}]\nd = a + 1\ne = f()\nx.y = 3\na = 2\nf, g = 1, 2\nb = d"
    assert literal_settings(ast.parse(code)) == {"a": 2, "c": [1, {"k": "v"}]}


def test_empty_code_is_a_run_of_nothing(workspace):
    from dissmodel_lab import run

    assert run(CellExecutor("", {})).status == "completed"
    with pytest.raises(ParameterError, match="no name of a variable"):
        CellExecutor("x = 1", {}, "1x")
