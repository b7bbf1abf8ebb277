"""The front door and the three doors in front of it: the same tests through each."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from doors import read_json
from pydantic import Field

from dissmodel_lab import ExperimentRecord, ModelExecutor, Parameters, run
from dissmodel_lab.errors import OutputError, ParameterError
from dissmodel_lab.executor.testing import FailingExecutor, SteppingExecutor
from dissmodel_lab.rasters import Raster, read_raster, write_raster
from dissmodel_lab.store import RunStore

PHASES = ["validate", "load", "run", "save"]


def sha256(path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


class Halving(ModelExecutor, register=False):
    """Halves every value of a raster."""

    name = "halving"

    class Parameters(Parameters):
        factor: float = Field(0.5, gt=0, le=1, json_schema_extra={"unit": "-"})
        """What each value is multiplied with."""
        rounds: int = 1

    def load(self, record):
        return read_raster(record.source.uri)

    def run(self, data, record):
        array = data.array * self.parameters(record).factor ** self.parameters(record).rounds
        return data.with_bands({"half": array[0]})

    def save(self, result, record):
        write_raster(result, record.output_path)
        return record


@pytest.fixture
def grid(workspace):
    path = workspace / "grid.tif"
    write_raster(Raster(array=np.arange(12, dtype="float32").reshape(1, 3, 4), bands=("value",)), path)
    return path


def test_completed_run(door, grid):
    outcome = door(Halving, {"factor": 0.25}, source="grid.tif")
    record = outcome.record
    assert outcome.message == ""
    assert record.status == "completed", record.logs
    assert record.parameters == {"factor": 0.25, "rounds": 1}
    assert record.source.checksum == sha256(grid)
    assert record.output_sha256 == sha256(record.output_path)
    assert list(record.phases) == PHASES
    assert all(record.metrics[f"time_{phase}_sec"] >= 0 for phase in [*PHASES, "total"])
    assert read_raster(record.output_path).band("half").max() == pytest.approx(11 * 0.25)
    assert record.provenance.executor_class == "test_runner:Halving"
    assert set(record.content_sha256) == {"output"}
    assert not (record.record_path.parent / "partial").exists()


def test_output_goes_where_asked_with_its_record_beside_it(door, grid):
    record = door(Halving, source="grid.tif", output="out/half.tif").record
    assert record.output_path == "out/half.tif"
    assert record.output_sha256 == sha256("out/half.tif")
    beside = ExperimentRecord.model_validate_json(Path("out/half.record.json").read_text())
    assert beside.model_dump() == record.model_dump()
    assert beside.status == "completed"
    read_json(Path("out/half.record.json"))
    assert os.stat("out/half.tif").st_mode & 0o444 == 0o444


@pytest.mark.parametrize("phase", PHASES)
def test_failing_phase(door, phase, monkeypatch):
    class Broken(FailingExecutor, register=False):
        name = "broken"

        def __init__(self):
            super().__init__(phase, ZeroDivisionError("<b>nothing</b> to divide"))

    outcome = door(Broken)
    record = outcome.record
    assert "<b>nothing</b> to divide" in outcome.message
    assert record.status == "failed"
    assert record.failed_phase == phase
    assert record.error == "ZeroDivisionError: <b>nothing</b> to divide"
    assert "Traceback (most recent call last)" in record.logs[-1]
    ended = PHASES[: PHASES.index(phase)]
    assert [name for name, usage in record.phases.items() if usage.status == "completed"] == ended
    assert record.phases[phase].status == "failed"
    assert [name for name in PHASES if f"time_{name}_sec" in record.metrics] == ended
    if door.name in ("magic", "form"):
        html = "".join(bundle.get("text/html", "") for bundle in outcome.shown)
        assert "&lt;b&gt;nothing&lt;/b&gt; to divide" in html
        assert "<b>nothing</b>" not in html


def test_interrupt_cancels(door):
    class Interrupted(FailingExecutor, register=False):
        name = "interrupted"

        def __init__(self):
            super().__init__("run", KeyboardInterrupt())

    outcome = door(Interrupted)
    assert outcome.record.status == "cancelled"
    assert outcome.record.failed_phase == "run"
    assert outcome.record.phases["load"].status == "completed"
    said = {"function": "KeyboardInterrupt", "cli": ""}.get(door.name, "The run was cancelled")
    assert said in outcome.message


def test_system_exit_is_a_failure(door):
    class Exiting(FailingExecutor, register=False):
        name = "exiting"

        def __init__(self):
            super().__init__("run", SystemExit(3))

    outcome = door(Exiting)
    assert (
        "The executor ended the program (sys.exit(3)) in phase 'run'. "
        "A model reports a problem by raising an exception."
    ) in outcome.message
    assert outcome.record.status == "failed"


REFUSALS = [
    ({"factor": 3.0}, "factor: 0 to 1, without 0 is allowed, got 3.0."),
    ({"factor": "fast"}, "factor: a number is needed, got 'fast'."),
    ({"rounds": 1.5}, "rounds: a whole number is needed, got 1.5."),
    ({"rounds": True}, "rounds: a number is needed, got true."),
]


@pytest.mark.parametrize(("parameters", "sentence"), REFUSALS)
def test_wrong_parameter(door, grid, parameters, sentence):
    outcome = door(Halving, parameters, source="grid.tif")
    assert sentence.partition(": ")[2] in outcome.message
    if door.name == "form":  # its Run button is disabled: nothing was asked for, nothing is recorded
        assert outcome.record is None
        return
    assert f"halving cannot run with these parameters. {sentence}" in outcome.message
    assert outcome.record.status == "failed"
    assert outcome.record.failed_phase == "validate"


def test_unknown_parameter(door, grid):
    outcome = door(Halving, {"facter": 0.1}, source="grid.tif")
    assert "Did you mean 'factor'? Known: factor, rounds." in outcome.message


def test_missing_input(door):
    outcome = door(Halving, source="no/such.tif")
    assert "The input 'no/such.tif' does not exist (looked in" in outcome.message
    assert outcome.record.status == "failed"


def test_empty_input(door):
    Path("empty.tif").touch()
    assert (
        "The input 'empty.tif' is empty (0 bytes). Get the file again." in door(Halving, source="empty.tif").message
    )


def test_input_that_is_not_what_it_says(door):
    Path("text.tif").write_text("hello")
    outcome = door(Halving, source="text.tif")
    assert "text.tif cannot be read: " in outcome.message
    assert "Get the file again, or open it with the program it is from." in outcome.message
    assert outcome.record.failed_phase == "validate"
    assert outcome.record.source.checksum == ""


def test_output_equal_to_input(door, grid):
    before = grid.read_bytes()
    outcome = door(Halving, source="grid.tif", output="./grid.tif")
    assert "The output './grid.tif' is the input itself" in outcome.message.replace("'grid.tif'", "'./grid.tif'")
    assert grid.read_bytes() == before
    assert outcome.record.failed_phase == "validate"


def test_output_of_another_run(door, grid):
    first = door(Halving, source="grid.tif", output="half.tif")
    before = Path("half.tif").read_bytes(), Path("half.record.json").read_bytes()
    outcome = door(Halving, {"factor": 0.1}, source="grid.tif", output="half.tif")
    assert "The output 'half.tif' exists and is never replaced. Choose another --output." in outcome.message
    assert (Path("half.tif").read_bytes(), Path("half.record.json").read_bytes()) == before
    assert first.record.experiment_id != outcome.record.experiment_id


def test_record_of_another_run_beside_the_output(door, grid):
    Path("half.record.json").write_text("{}")
    outcome = door(Halving, source="grid.tif", output="half.tif")
    assert "'half.record.json' is the record of another run and is never replaced." in outcome.message
    assert Path("half.record.json").read_text() == "{}"


def test_output_folder_cannot_be_made(door, grid):
    Path("occupied").write_text("a file")
    outcome = door(Halving, source="grid.tif", output="occupied/half.tif")
    assert (
        "The folder 'occupied' cannot be written: File exists. "
        "Choose another --output, or leave it out for a folder of the run's own."
    ) in outcome.message
    assert outcome.record.failed_phase == "validate"


def test_disk_full_while_saving(door, grid, monkeypatch):
    class Filling(Halving, register=False):
        name = "filling"

        def save(self, result, record):
            Path(record.output_path).write_bytes(b"half of a file")
            raise OSError(errno.ENOSPC, "No space left on device")

    outcome = door(Filling, source="grid.tif", output="out/half.tif")
    assert "No space left on device" in outcome.message
    assert outcome.record.status == "failed"
    assert outcome.record.failed_phase == "save"
    assert not Path("out/half.tif").exists()
    beside = ExperimentRecord.model_validate_json(Path("out/half.record.json").read_text())
    assert beside.status == "failed"


def test_forgotten_status_and_lost_record(door):
    class Forgetful(SteppingExecutor, register=False):
        name = "forgetful"

        def save(self, result, record):
            record.status = "pending"

    record = door(Forgetful).record
    assert record.status == "completed", record.logs
    assert record.logs == [
        "save() returned None instead of the record; the record was kept.",
        "save() wrote no output file.",
    ]
    assert record.output_path is None


def test_replaced_record(door):
    class Replacing(SteppingExecutor, register=False):
        name = "replacing"

        def save(self, result, record):
            return ExperimentRecord(experiment_id="f" * 32, metrics={"answer": 42})

    record = door(Replacing).record
    assert record.experiment_id != "f" * 32
    assert record.metrics["answer"] == 42
    assert "save() returned another record" in " ".join(record.logs)


def test_output_that_is_not_there(door):
    class Boasting(SteppingExecutor, register=False):
        name = "boasting"

        def save(self, result, record):
            record.output_path = "nowhere.tif"
            return record

    outcome = door(Boasting)
    assert "save() of boasting says that its output is 'nowhere.tif', but there is no such file." in outcome.message
    assert outcome.record.status == "failed"


def test_several_files_become_artifacts(door):
    class Reporting(SteppingExecutor, register=False):
        name = "reporting"

        def run(self, data, record):
            return {"n": data}

        def save(self, result, record):
            folder = Path(record.output_path)
            (folder / "report.md").write_text("# report")
            (folder / "table.csv").write_text("n\n3\n")
            return record

    record = door(Reporting).record
    folder = record.artifact_path()
    assert sorted(path.name for path in folder.iterdir()) == ["report.md", "table.csv"]
    assert record.artifact_paths == {"output": "output"}
    assert record.output_sha256 == record.content_sha256["output"]


def test_files_beside_the_output_are_kept_and_hashed(door):
    class Plotting(SteppingExecutor, register=False):
        name = "plotting"
        output_suffix: ClassVar = ".txt"

        def save(self, result, record):
            Path(record.output_path).with_name("plot.png").write_bytes(b"picture")
            record.add_log(f"wrote {record.output_path}")
            return super().save(result, record)

    record = door(Plotting).record
    assert record.artifacts["plot"] == hashlib.sha256(b"picture").hexdigest()
    assert record.artifact_path("plot").read_bytes() == b"picture"
    assert record.logs == [f"wrote {record.output_path}"]
    assert Path(record.output_path).exists()


def test_unknown_model(door):
    outcome = door("coastal_flod")
    assert "No model is called 'coastal_flod'. Did you mean 'coastal_flood'?" in outcome.message
    assert outcome.record is None


def test_model_from_toml(door):
    Path("life.toml").write_text(
        '[model]\nclass = "game_of_life"\ngenerations = 9\n[model.parameters]\ngenerations = 3\n'
    )
    record = door("life.toml").record
    assert record.parameters["generations"] == 3
    assert record.resolved_spec["model"]["class"] == "game_of_life"
    assert record.resolved_spec["model"]["generations"] == 3
    assert record.resolved_spec["model"]["parameters"]["generations"] == 3


def test_malformed_toml(door):
    Path("bad.toml").write_text("[model]\nclass = \n")
    outcome = door("bad.toml")
    assert "The TOML file 'bad.toml' is not valid TOML: Invalid value (at line 2, column 9)." in outcome.message


def test_input_that_changes_during_the_run_is_noted(grid):
    class Meddling(Halving, register=False):
        name = "meddling"

        def run(self, data, record):
            grid.write_bytes(grid.read_bytes() + b" ")
            return super().run(data, record)

    before = sha256(grid)
    record = run(Meddling, source=grid)
    assert record.source.checksum == before
    changed = f"The input {grid} changed after it was read; its checksum is that of what was read."
    assert [line for line in record.logs if not line.startswith("Warning: ")] == [changed]


def test_data_in_memory():
    raster = Raster(array=np.ones((1, 2, 2), "float32"))
    record = run(Halving, data=raster)
    assert record.status == "completed", record.logs
    assert record.logs == ["The input was given in memory; it has no path and no checksum."]


def test_read_only_store_refuses_before_anything_runs(monkeypatch):
    def refuse(*_args, **_options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OutputError) as caught:
        run(FailingExecutor("load", AssertionError("it ran")))
    assert str(caught.value) == (
        "The run cannot be kept in 'experiments': Permission denied. Nothing was run. "
        "Make the folder writable, or set DISSMODEL_LAB_STORE to another."
    )


def test_record_is_on_disk_before_load():
    seen = []

    class Looking(SteppingExecutor, register=False):
        name = "looking"

        def load(self, record):
            seen.append(ExperimentRecord.model_validate_json(record.record_path.read_text()))
            return super().load(record)

    run(Looking, parameters={"n_steps": 2})
    assert seen[0].status == "running"
    assert seen[0].parameters == {"n_steps": 2}


def test_two_runs_have_two_folders(grid):
    records = [run(Halving, source=grid) for _ in range(3)]
    assert len({record.record_path.parent for record in records}) == 3
    assert len(RunStore().entries()) == 3
    assert len({record.output_sha256 for record in records}) == 1


def test_executor_written_against_pypi_dissmodel(door, grid):
    """Its own record class, its own registry, parameters that nobody declares: it runs unchanged."""
    from dissmodel.core import Environment, Model
    from dissmodel.executor import ModelExecutor as UpstreamExecutor

    class Growth(Model):
        def setup(self, values, rate):
            self.values, self.rate = values, rate

        def execute(self):
            self.values *= 1 + self.rate

    class GrowthExecutor(UpstreamExecutor):
        name = "growth_upstream"

        def load(self, record):
            record.source.checksum = self._sha256(record.source.uri)
            return read_raster(record.source.uri).array[0].copy()

        def run(self, data, record):
            environment = Environment(start_time=1, end_time=record.resolved_spec["model"]["parameters"]["end_time"])
            Growth(values=data, rate=record.parameters.get("rate", 0.5))
            environment.run()
            return data

        def save(self, result, record):
            write_raster(Raster(array=result[np.newaxis]), record.output_path)
            record.output_sha256 = self._sha256(record.output_path)
            record.status = "completed"
            return record

    record = door(GrowthExecutor, {"end_time": 3, "rate": 1.0}, source="grid.tif").record
    assert record.status == "completed", record.logs
    assert record.source.checksum == sha256(grid)
    assert record.output_sha256 == sha256(record.output_path)
    assert read_raster(record.output_path).array.max() == 11 * 2**3
    from dissmodel.executor.schemas import ExperimentRecord as UpstreamRecord

    assert UpstreamRecord.model_validate_json(record.record_path.read_text()).output_sha256 == record.output_sha256


def test_parameters_that_hold_themselves_are_refused(workspace):
    endless = {}
    endless["again"] = endless
    with pytest.raises(ParameterError, match=r"^The parameters "):
        run(Halving, parameters={"table": endless})
    assert RunStore().entries() == []
