"""Executors that do what they must not: the record still says what happened, and nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from doors import read_json

from dissmodel_lab import ExperimentRecord, RunStore, read_record, run
from dissmodel_lab.errors import ExecutorError, OutputError
from dissmodel_lab.executor.testing import FailingExecutor, SteppingExecutor
from dissmodel_lab.rasters import Raster, read_raster, write_raster


def executor(**methods):
    """Make a stepping executor with some methods of its own."""
    return type("Odd", (SteppingExecutor,), {"name": "odd", "output_suffix": ".txt", **methods}, register=False)


SPOILED = [
    ("metrics", None),
    ("metrics", "text"),
    ("parameters", 5),
    ("logs", "text"),
    ("logs", None),
    ("artifacts", None),
    ("artifact_paths", None),
    ("source", None),
    ("source", "grid.tif"),
    ("provenance", "x"),
    ("resolved_spec", None),
    ("model_name", None),
    ("created_at", None),
    ("experiment_id", 7),
    ("phases", None),
    ("period", 5),
    ("started_at", "abc"),
    ("column_map", ["a"]),
    ("code_version", "\udcff"),
    ("error", 5),
    ("status", object()),
]


@pytest.mark.parametrize("phase", ["load", "save"])
@pytest.mark.parametrize(("name", "value"), SPOILED, ids=lambda value: repr(value)[:20])
def test_spoiled_record_is_put_straight(phase, name, value):
    def spoil(self, *arguments):
        result = getattr(SteppingExecutor, phase)(self, *arguments)
        setattr(arguments[-1], name, value)
        return result

    record = run(executor(**{phase: spoil}))
    kept = read_record(record.record_path)
    read_json(record.record_path)
    assert kept.status == "completed"
    assert kept.experiment_id == record.experiment_id
    assert kept.output_sha256 == record.output_sha256
    assert [entry.status for entry in RunStore().entries()] == ["completed"]


def test_own_exception_survives_a_spoiled_record():
    def save(self, result, record):
        record.metrics = None
        record.artifacts = {1: object()}
        raise ValueError("a\udcff")

    with pytest.raises(ValueError, match="a\udcff"):
        run(executor(save=save))
    [entry] = RunStore().entries()
    assert (entry.status, entry.problem) == ("failed", "ValueError: a\\udcff")


def test_working_folder_is_the_models_own(workspace):
    (workspace / "elsewhere").mkdir()
    seen = []

    def load(self, record):
        os.chdir("elsewhere")
        return 3

    def go(self, data, record):
        seen.append(Path.cwd().name)
        return data

    record = run(executor(load=load, run=go), output="out/count.txt")
    assert seen == ["elsewhere"]
    assert Path.cwd() == workspace
    assert (workspace / "out" / "count.txt").read_text() == "3\n"
    assert record.output_path == "out/count.txt"
    assert read_record(record.record_path).status == "completed"


def test_asynchronous_run_is_refused():
    async def go(self, data, record):
        return data

    with pytest.raises(ExecutorError, match=r"run\(\) of Odd is asynchronous, so its body never ran\."):
        run(executor(run=go))
    assert RunStore().entries()[0].status == "failed"


def test_generator_save_is_refused():
    def save(self, result, record):
        yield record

    with pytest.raises(ExecutorError, match=r"save\(\) of Odd is a generator"):
        run(executor(save=save))


def test_status_failed_is_believed(capsys):
    from dissmodel_lab.cli import run_cli

    def save(self, result, record):
        record.status = "failed"
        return record

    with pytest.raises(SystemExit) as ended:
        run_cli(executor(save=save), ["run"])
    assert ended.value.code == 1
    assert "odd: failed" in capsys.readouterr().out


def test_overwriting_the_input_fails_the_run(workspace):
    (workspace / "in.txt").write_text("precious")

    def save(self, result, record):
        Path(record.source.uri).write_text("gone")
        record.output_path = record.source.uri
        return record

    with pytest.raises(ExecutorError, match=r"save\(\) of odd wrote over its input 'in.txt'"):
        run(executor(save=save), source="in.txt")
    assert RunStore().entries()[0].status == "failed"


def test_given_checksum_is_checked_not_believed(workspace):
    from dissmodel_lab import DataSource

    (workspace / "in.txt").write_text("data")
    record = run(executor(), source=DataSource(uri="in.txt", checksum="deadbeef"))
    assert record.source.checksum.startswith("3a6eb0790f39ac87")
    assert record.logs == ["The checksum given for the input was deadbeef; that of the file stands in this record."]


def test_input_that_vanishes_while_loaded(workspace):
    (workspace / "in.txt").write_text("data")

    def load(self, record):
        Path("in.txt").unlink()
        return 1

    record = run(executor(load=load), source="in.txt")
    assert record.source.checksum == ""
    assert record.logs == ["The input in.txt was removed while it was loaded; it has no checksum."]


def test_rerun_after_a_failure_may_take_the_same_output():
    with pytest.raises(RuntimeError):
        run(FailingExecutor("run"), output="o.txt")
    assert read_record("o.record.json").status == "failed"
    record = run(executor(), output="o.txt")
    assert read_record("o.record.json").experiment_id == record.experiment_id
    with pytest.raises(OutputError, match=r"The output 'o\.txt' exists and is never replaced"):
        run(executor(), output="o.txt")


def test_dots_in_a_name_are_no_suffix():
    grid = Raster(array=np.ones((1, 2, 2), "uint8"))

    class Copy(SteppingExecutor, register=False):
        name = "copy"

        def run(self, data, record):
            return grid

        def save(self, result, record):
            write_raster(result, record.output_path)
            return record

    for rise in ("0.5", "0.7"):
        assert run(Copy, output=f"out/rise_{rise}").output_path == f"out/rise_{rise}.tif"
    assert read_raster("out/rise_0.7.tif").shape == (2, 2)
    assert Path("out/rise_0.5.record.json").exists()
    with pytest.raises(OutputError, match=r"The output 'out/rise_0\.5\.tif' exists"):
        run(FailingExecutor("load", AssertionError("it ran")), output="out/rise_0.5")


def test_dangling_link_is_no_free_name():
    Path("o.txt").symlink_to("nowhere")
    with pytest.raises(OutputError, match=r"The output 'o\.txt' exists"):
        run(FailingExecutor("load", AssertionError("it ran")), output="o.txt")


@pytest.mark.parametrize("name", ["a\0b.txt", "x" * 300 + ".txt"])
def test_impossible_output_names(name):
    with pytest.raises(OutputError, match="cannot be written"):
        run(FailingExecutor("load", AssertionError("it ran")), output=name)


def test_home_is_expanded(monkeypatch, workspace):
    monkeypatch.setenv("HOME", str(workspace / "home"))
    (workspace / "home").mkdir()
    run(executor(), output="~/o.txt", store="~/runs")
    assert (workspace / "home" / "o.txt").exists()
    assert len(list((workspace / "home" / "runs").glob("*/record.json"))) == 1
    assert not (workspace / "~").exists()


def test_store_must_be_a_folder_here():
    with pytest.raises(OutputError, match=r"The store 's3://bucket' is not a local folder"):
        run(executor(), store="s3://bucket")


def test_hostile_name_stays_inside_the_output_folder():
    hostile = executor()
    hostile.name = "../../evil"
    Path("q").mkdir()
    record = run(hostile, output="q/")
    assert Path(record.output_path).parent == Path("q")
    assert Path(record.output_path).name.startswith("evil-")


def test_files_named_like_the_labs_own_get_another_name():
    def save(self, result, record):
        Path(record.output_path).with_name("record.json").write_text("mine")
        Path(record.output_path).with_name("journal.jsonl").write_text("mine too")
        return SteppingExecutor.save(self, result, record)

    record = run(executor(save=save))
    assert record.artifact_path("record").name == "record-2.json"
    assert record.artifact_path("record").read_text() == "mine"
    assert read_record(record.record_path).status == "completed"


def test_forked_child_writes_nothing(workspace):
    program = """
        import os
        from dissmodel_lab import run
        from dissmodel_lab.executor.testing import SteppingExecutor
        class Forking(SteppingExecutor):
            name = "forking"
            def run(self, data, record):
                self.child = os.fork()
                if self.child == 0:
                    import time; time.sleep(0.5)
                    raise RuntimeError("in the child")
                return data
        model = Forking()
        try:
            run(model)
        finally:
            if model.child:
                os.waitpid(model.child, 0)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=workspace, timeout=60, capture_output=True)
    [entry] = RunStore().entries()
    assert entry.status == "completed"


def test_interrupt_in_a_bad_moment_comes_in_a_good_one():
    """An interrupt while the lab itself writes is kept, and cancels the run in the model's next method."""

    def interrupt(event):
        if type(event).__name__ == "PhaseStarted" and event.phase == "load":
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(executor(), observers=[interrupt])
    record = read_record(next(Path("experiments").glob("*/record.json")))
    assert (record.status, record.failed_phase) == ("cancelled", "load")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupt_after_the_end_leaves_a_completed_record():
    def interrupt(event):
        if type(event).__name__ == "RunFinished":
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(executor(), observers=[interrupt])
    assert RunStore().entries()[0].status == "completed"


def test_full_output_disk_loses_no_result(workspace, monkeypatch):
    """What save() has finished is never removed, wherever it cannot be published to."""
    from dissmodel_lab import artifacts

    def full(staged, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(artifacts, "_move_file", full)
    with pytest.raises(
        OutputError, match=r"cannot be written: No space left on device\. The result of this run is kept"
    ):
        run(executor(), output="o.txt")
    [left] = Path("experiments").glob("*/partial/o.txt")
    assert left.read_text() == "3\n"
    assert read_record("o.record.json").status == "failed"


def test_parameters_of_two_tomls_are_merged():
    Path("a.toml").write_text('[model]\nclass = "game_of_life"\ngenerations = 7\n')
    Path("b.toml").write_text("wrap = true\n")
    record = run("a.toml", toml="b.toml")
    assert record.parameters == {"generations": 7, "wrap": True}


def test_listing_survives_odd_entries(workspace):
    run(executor())
    (workspace / "experiments" / "circle").symlink_to("circle")
    for name, text in (
        ("early", '{"experiment_id": "e1", "model_name": "m", "created_at": "0001-01-01T00:00:00+14:00"}'),
        ("negative", ExperimentRecord(status="running", provenance={"process_id": -1}).model_dump_json()),
    ):
        (workspace / "experiments" / name).mkdir()
        (workspace / "experiments" / name / "record.json").write_text(text)
    (workspace / "experiments" / "negative" / "journal.jsonl").write_text('[1, "phase_started"]\n')
    assert sorted(entry.status for entry in RunStore().entries()) == ["completed", "lost", "unreadable"]
