"""The executors of PyPI ``disslucc`` run through every door as they run at home, and leave more behind."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from pathlib import Path

import pytest
import upstream_inputs

pytest.importorskip("disslucc")

NAMES = {
    "LuccContinuousExecutor": "lucc_continuous",
    "LuccDiscreteExecutor": "lucc_discrete",
    "LuccSaturationExecutor": "lucc_continuous_saturation",
}
#: What takes part in every step, and so tells how many there were.
STEPPING = {
    "LuccContinuousExecutor": "AllocationClueLike",
    "LuccDiscreteExecutor": "AllocationDClueSLike",
    "LuccSaturationExecutor": "AllocationClueLikeSaturation",
}


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@pytest.fixture(params=NAMES)
def executor(request):
    """Class name of one of the three."""
    return request.param


@pytest.fixture
def made(executor, workspace):
    """Its input, its parameters, and both in a model file as ``disslucc`` ships them."""
    source, parameters = upstream_inputs.MAKERS[executor](workspace / "input")
    toml = upstream_inputs.write_toml(workspace / "model.toml", NAMES[executor], parameters)
    return source, parameters, toml


@pytest.fixture
def at_home(executor, made, monkeypatch):
    """Run it as ``dissmodel`` itself does; return the record and how often its model was executed."""
    import disslucc.executors
    from disslucc.components import allocation
    from dissmodel.executor import DataSource, ExperimentRecord, execute_lifecycle

    source, parameters, _ = made
    kind = getattr(allocation, STEPPING[executor])
    usual, count = kind.execute, []

    def execute(self):
        count.append(self)
        usual(self)

    with monkeypatch.context() as patched, contextlib.redirect_stdout(io.StringIO()):
        patched.setattr(kind, "execute", execute)
        record, _ = execute_lifecycle(
            getattr(disslucc.executors, executor)(),
            ExperimentRecord(
                source=DataSource(type="local", uri=str(source)), parameters=parameters, output_path="home.tif"
            ),
        )
    return record, len(count)


def through_magic(shell, name, source, toml):
    shell.run_line_magic("dissmodel", f"run {name} --input {source} --toml {toml} --as kept")
    return shell.user_ns["kept"]


def through_form(shell, name, source, toml):
    from dissmodel_lab.parameters import ModelSpec
    from dissmodel_lab.provenance import Caller
    from dissmodel_lab.store import RunStore
    from dissmodel_lab.views.form_panel import show_form

    form = show_form(
        name,
        source=str(source),
        output="",
        parameters={},
        toml=ModelSpec.from_path(toml),
        namespace=shell.user_ns,
        caller=Caller(),
    )
    form.run()
    assert (form.errors, form.problems) == ([], {})
    return RunStore().read("last")


def through_terminal(shell, name, source, toml):
    from dissmodel_lab.cli import main
    from dissmodel_lab.store import RunStore

    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        assert main(["run", name, "--input", str(source), "--toml", str(toml), "--json"]) == 0
    record = RunStore().read("last")
    assert json.loads(out.getvalue())["experiment_id"] == record.experiment_id
    return record


@pytest.mark.parametrize("through", [through_magic, through_form, through_terminal])
def test_same_output_and_steps_as_at_home(through, shell, executor, made, at_home):
    source, parameters, toml = made
    home, n_steps = at_home
    record = through(shell, NAMES[executor], source, toml)
    assert (record.status, record.model_name, record.steps) == ("completed", NAMES[executor], n_steps)
    assert record.output_sha256 == sha256("home.tif") == home.artifacts["output"]
    assert sha256(record.artifact_path()) == record.output_sha256
    assert record.source.checksum == sha256(source)
    assert record.parameters == parameters
    assert set(record.parameter_origins.values()) <= {"toml", "given", "default taken"}
    assert record.unread_parameters == []
    assert record.parameter_files == {"demand_csv": sha256(parameters["demand_csv"])}
    assert record.provenance.executor_package == "disslucc==0.5.0"
    home_metrics = {key: value for key, value in home.metrics.items() if key.startswith("final_")}
    assert home_metrics
    assert home_metrics.items() <= record.metrics.items()


def test_effective_parameters_hold_the_defaults_that_were_taken(shell, made, executor):
    source, parameters, toml = made
    record = through_magic(shell, NAMES[executor], source, toml)
    effective = {**record.defaults_taken, **record.parameters}
    expected = {
        "LuccContinuousExecutor": {},
        "LuccDiscreteExecutor": {},
        "LuccSaturationExecutor": {
            "save_steps": [],
            "saturation_indicator": "saturationLimiar",
            "max_iteration": 1000,
            "initial_elasticity": 0.1,
            "min_elasticity": 0.001,
            "max_elasticity": 1.5,
            "order_attr": None,
        },
    }[executor]
    assert record.defaults_taken == expected
    assert effective == {**expected, **parameters}


def test_misspelt_parameter_is_told_before_and_after(shell, workspace, capsys):
    source, parameters = upstream_inputs.make_continuous(workspace / "input")
    parameters["max_diference"] = parameters.pop("max_difference")
    toml = upstream_inputs.write_toml(workspace / "model.toml", "lucc_continuous", parameters)
    before = (
        "Warning: The parameter max_diference is never read by LuccContinuousExecutor. "
        "Did you mean 'max_difference'? Known: "
    )
    shell.run_line_magic("dissmodel", f"validate lucc_continuous --input {source} --toml {toml}")
    assert before in capsys.readouterr().out
    record = through_magic(shell, "lucc_continuous", source, toml)
    assert record.unread_parameters == ["max_diference"]
    assert "The parameter 'max_diference' was given, but the model never read it. Did you mean 'max_difference'?" in (
        "\n".join(record.logs)
    )


def test_files_that_save_reported_keep_the_names_it_gave_them(shell, workspace):
    source, parameters = upstream_inputs.make_saturation(workspace / "input", save_steps=(2, 4))
    toml = upstream_inputs.write_toml(workspace / "model.toml", "lucc_continuous_saturation", parameters)
    record = through_magic(shell, "lucc_continuous_saturation", source, toml)
    assert record.artifact_paths == {
        "output": "output.tif",
        "step2": "output_step2.tif",
        "step4": "output_step4.tif",
    }
    for name, checksum in record.artifacts.items():
        assert sha256(record.artifact_path(name)) == checksum


def test_georeference_that_save_left_out_is_kept_from_memory(workspace):
    import numpy as np
    from dissmodel.executor import ModelExecutor
    from dissmodel.geo import RasterBackend
    from dissmodel.io.raster import save_geotiff
    from rasterio.transform import from_origin

    from dissmodel_lab import run

    class Forgetful(ModelExecutor):
        name = "forgetful"

        def load(self, record):
            backend = RasterBackend(shape=(4, 5))
            backend.set("use", np.ones((4, 5), "uint8"))
            backend.crs, backend.transform = "EPSG:5880", from_origin(5_000_000, 9_000_000, 30, 30)
            return backend

        def run(self, data, record):
            return data

        def save(self, result, record):
            plain = RasterBackend(shape=(4, 5))
            plain.set("use", result.get("use"))
            save_geotiff(
                (plain, {"crs": None, "transform": None}), record.output_path, band_spec=[("use", "uint8", 0)]
            )
            record.status = "completed"
            return record

        def validate(self, record):
            pass

    record = run(Forgetful, source="synthetic")
    assert record.output_georeference == {
        "crs": "EPSG:5880",
        "transform": [30.0, 0.0, 5_000_000.0, 0.0, -30.0, 9_000_000.0],
        "shape": [4, 5],
    }
    assert record.logs[-1] == (
        "save() left the georeference out of output.tif; this record keeps that of the model's raster in memory, and "
        "the map uses it."
    )
