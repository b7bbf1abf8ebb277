"""A record is checked against what it names, and run again; each of the five verdicts comes from a real case."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import upstream_inputs

from dissmodel_lab import run
from dissmodel_lab.errors import ComparisonError, LabError
from dissmodel_lab.executor.schemas import DataSource, ExperimentRecord
from dissmodel_lab.exports.crate_reader import import_crate
from dissmodel_lab.exports.ro_crate import export_ro_crate
from dissmodel_lab.rasters import Raster, read_raster, write_raster
from dissmodel_lab.sources import file_sha256, source_path
from dissmodel_lab.store import RunStore, read_record
from dissmodel_lab.verification import State, Verdict, VerdictKind, rerun, verify
from dissmodel_lab.verification.places import locate_artifact, locate_input, working_folder
from dissmodel_lab.verification.plan import plan_rerun

MODELS = '''
"""Executors of a modeller's own file."""
import os, signal, time
from pathlib import Path
import numpy as np
from dissmodel_lab.executor import ModelExecutor
from dissmodel_lab.rasters import Raster, write_raster

class Noise(ModelExecutor):
    """A raster that is never the same, unless it is given a seed."""
    name = "noise"
    def load(self, record):
        return None
    def run(self, data, record):
        if "slow" in record.parameters and Path("slow").exists():
            time.sleep(60)
        if "deadly" in record.parameters and Path("deadly").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        if "failing" in record.parameters and Path("failing").exists():
            raise ValueError("no rain")
        rng = np.random.default_rng(record.parameters.get("seed"))
        return Raster(array=rng.random((1, 6, 5)), bands=("noise",))
    def save(self, result, record):
        if "own_place" in record.parameters:
            record.output_path = str(Path(record.parameters["own_place"]).absolute())
        write_raster(result, record.output_path)
        return record

class Reader(ModelExecutor):
    """Copies its input's sum and a table's into a raster; its maps can be spoiled by files in the working folder."""
    name = "reader"
    def load(self, record):
        return Path(record.source.uri).read_bytes() + Path(record.parameters["table"]).read_bytes()
    def run(self, data, record):
        table = Path(record.parameters.get("usual", "usual.csv"))
        more = table.read_bytes() if table.exists() else b""
        return Raster(array=np.full((1, 2, 2), sum(data + more)), bands=("sum",))
    def save(self, result, record):
        write_raster(result, record.output_path)
        return record

class Pair(Noise):
    """A map, and a second one beside it; the second is what files in the working folder make of it."""
    name = "pair"
    def run(self, data, record):
        return Raster(array=np.ones((1, 2, 2)), bands=("one",))
    def save(self, result, record):
        write_raster(result, record.output_path)
        if not Path("without").exists():
            other = os.urandom(1)[0] + 1.0 if Path("random").exists() else 2.0 if Path("spoiled").exists() else 1.0
            other = Raster(array=np.full((1, 2, 2), other), bands=("two",))
            write_raster(other, Path(record.output_path).with_name("second.tif"))
        return record

class Shapes(Noise):
    """A shapefile whose attributes, not its shapes, are what a file in the working folder makes of them."""
    name = "shapes"
    output_suffix = ".shp"
    def run(self, data, record):
        return object()
    def save(self, result, record):
        import geopandas, shapely
        value = 2 if Path("spoiled").exists() else 1
        frame = geopandas.GeoDataFrame({"v": [value]}, geometry=shapely.points([[1.0, 2.0]]), crs=4326)
        frame.to_file(record.output_path)
        return record

class Table(Noise):
    """A folder with a table that never repeats itself, and nothing else."""
    name = "table"
    def run(self, data, record):
        return {"rows": os.urandom(4).hex()}
    def save(self, result, record):
        os.makedirs(record.output_path, exist_ok=True)
        Path(record.output_path, "results.csv").write_text(result["rows"])
        return record

class Report(Noise):
    """A folder with a map that repeats itself and a report that does not."""
    name = "report"
    def run(self, data, record):
        return {"map": Raster(array=np.ones((1, 2, 2))), "seconds": os.urandom(4).hex()}
    def save(self, result, record):
        os.mkdir(record.output_path) if not os.path.isdir(record.output_path) else None
        write_raster(result["map"], Path(record.output_path, "map.tif"))
        Path(record.output_path, "report.md").write_text(f"took {result['seconds']}\\n")
        return record
'''


@pytest.fixture
def life(workspace):
    """A completed run whose output is a GeoTIFF."""
    return run("game_of_life", parameters={"generations": 3})


@pytest.fixture
def models(workspace, monkeypatch):
    """A module of executors in the working folder, as notebooks have it beside them."""
    Path("my_models.py").write_text(MODELS)
    monkeypatch.syspath_prepend(str(workspace))
    yield workspace
    sys.modules.pop("my_models", None)


def states(integrity):
    return {check.item: check.state.value for check in integrity.checks}


def state_of(path):
    facts = os.stat(path)
    return facts.st_mtime_ns, facts.st_size, file_sha256(path)


# ------------------------------------------------------------------------------------------ verify


def test_everything_as_recorded(workspace):
    Path("table.csv").write_text("a,b\n")
    first = run("game_of_life", parameters={"generations": 1}, output="out/life.tif")
    first.parameters["table"] = "table.csv"
    first.parameter_files["table"] = file_sha256("table.csv")
    found = verify(first)
    assert states(found) == {"record": "ok", "input": "ok", "parameter table": "ok", "artifact output": "ok"}
    assert found.is_intact
    assert found.sentence == "4 of 4 are as recorded."
    by_item = {check.item: check for check in found.checks}
    assert by_item["record"].recorded == file_sha256(first.record_path)
    assert (by_item["artifact output"].is_outside, by_item["input"].is_outside) == (True, False)


def test_an_edited_record_is_noticed_where_a_copy_stands(workspace):
    first = run("game_of_life", parameters={"generations": 1}, output="out/life.tif")
    text = first.record_path.read_text().replace('"generations": 1', '"generations": 9', 1)
    first.record_path.write_text(text)
    check = verify(read_record(first.record_path)).checks[0]
    assert check.state is State.CHANGED
    assert check.why == "It was edited after the run in resolved_spec: its journal has another SHA-256 of it."
    assert (check.found, check.recorded) == (file_sha256(first.record_path), file_sha256("out/life.record.json"))


def test_an_edited_record_is_noticed_by_its_journal(life):
    life.record_path.write_text(life.record_path.read_text().replace('"completed"', '"failed"', 1))
    check = verify(read_record(life.record_path)).checks[0]
    assert check.state is State.CHANGED
    assert check.why == "It was edited after the run: its journal has another SHA-256 of it."


def test_without_a_journal_the_copy_tells(workspace):
    first = run("game_of_life", parameters={"generations": 1}, output="out/life.tif")
    first.record_path.with_name("journal.jsonl").unlink()
    copy = Path("out/life.record.json")
    assert verify(first).checks[0].why == f"Its copy {copy.absolute()} says the same."
    copy.write_text(copy.read_text().replace('"completed"', '"failed"', 1))
    check = verify(first).checks[0]
    assert check.state is State.CHANGED
    assert check.why.startswith(f"Its copy {copy.absolute()} says otherwise in status; which of them was edited")
    copy.unlink()
    check = verify(first).checks[0]
    assert check.state is State.UNKNOWN
    assert check.why == "There is no second copy of it: an edit of it alone could not be noticed."


def test_what_is_changed_or_missing_is_told(life):
    Path(life.source.uri).write_bytes(b"another")
    life.artifact_path().unlink()
    found = verify(life)
    assert states(found) == {"record": "ok", "input": "changed", "artifact output": "missing"}
    assert found.sentence == "Not as recorded: input is changed, artifact output is missing."
    assert not found.is_intact


def test_another_compression_is_rewritten_not_changed(life):
    path = life.artifact_path()
    write_raster(read_raster(path), path, software="another")
    check = verify(life).checks[-1]
    assert check.state is State.REWRITTEN
    assert check.why == "Its bytes are not those that were recorded, but its content is."
    assert verify(life).is_intact


def test_a_record_may_name_anything_and_only_files_are_read(workspace):
    record = ExperimentRecord(
        status="completed",
        source=DataSource(uri="/dev/zero"),
        parameters={"table": "/", "name": "a/b"},
        parameter_files={"table": "ab" * 32, "gone": "cd" * 32},
        artifacts={"output": "ab" * 32, "s3": "ab" * 32, "odd": "<b>"},
        output_path="/etc/passwd",
        artifact_paths={"s3": "s3://bucket/x.tif", "odd": "odd.txt"},
    )
    Path("odd.txt").write_text("x")
    before = state_of("/etc/passwd")
    checks = {check.item: check for check in verify(record).checks}
    assert states(verify(record)) == {
        "record": "cannot be checked",
        "input": "cannot be checked",
        "parameter table": "cannot be checked",
        "parameter gone": "changed",
        "artifact output": "changed",
        "artifact s3": "cannot be checked",
        "artifact odd": "cannot be checked",
    }
    assert checks["input"].why == "It cannot be read: it is neither a file nor a folder."
    assert checks["parameter table"].why == "It cannot be read: it is a folder of more than 20,000 files."
    assert checks["artifact odd"].why == "It is there, but the record has no SHA-256 of it."
    assert all(checks[item].is_outside for item in ("input", "parameter table", "artifact output"))
    assert state_of("/etc/passwd") == before
    assert not Path("experiments").exists()


@pytest.mark.parametrize("path", ["/", ".", "..", "~nobody-here/x.tif", "a\0b.tif", "a" * 5000, "s3://b/x", "loop"])
def test_no_path_is_too_odd(workspace, path):
    Path("loop").symlink_to("loop")
    record = ExperimentRecord(
        status="completed",
        model_name="x",
        source=DataSource(uri=path),
        parameters={"table": path, "more": [path]},
        parameter_files={"table": "ab" * 32},
        artifacts={"output": "ab" * 32, "profiling": "ab" * 32},
        output_path=path,
    )
    assert not verify(record).is_intact
    assert rerun(record, executor="game_of_life").kind is VerdictKind.CANNOT_VERIFY


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (DataSource(uri="synthetic"), "The model makes its input by itself."),
        (DataSource(), "The record names none: it was given in memory, or there was none."),
        (DataSource(type="s3", uri="s3://b/x.tif"), "It is not on this machine: s3://b/x.tif"),
    ],
    ids=["synthetic", "none", "remote"],
)
def test_inputs_that_cannot_be_checked(workspace, source, why):
    found = verify(ExperimentRecord(source=source))
    assert found.checks[1].why == why
    assert found.sentence == "Nothing could be checked: record, input."


# ------------------------------------------------------------------------------- rerun: the five verdicts


def test_a_geotiff_is_identical_and_the_rerun_is_a_run_of_its_own(life):
    files = [life.record_path, life.artifact_path(), Path(life.source.uri)]
    before = [state_of(path) for path in files]
    events = []
    verdict = rerun(life, observers=[events.append])
    assert (verdict.kind, verdict.why) == (VerdictKind.IDENTICAL, ("The rerun gave the same bytes.",))
    second = RunStore().read(verdict.reruns[0])
    assert second.verdict == verdict.as_values()
    assert Verdict.from_values(second.verdict) == verdict
    assert (second.verdict["of"], second.verdict["record_sha256"]) == (life.experiment_id, before[0][2])
    assert (second.status, second.parameters) == ("completed", life.parameters)
    assert second.output_sha256 == life.output_sha256
    assert second.provenance.process_id != os.getpid()
    assert verdict.settings["environment"] == {
        "PYTHONHASHSEED": "0",
        "OGR_CURRENT_DATE": "1970-01-01T00:00:00.000Z",
    }
    assert [state_of(path) for path in files] == before
    assert len(events) > 8


def test_a_geopackage_of_another_moment_has_the_same_content(workspace):
    first = run("forest_fire", parameters={"n_steps": 3}, output="fire.gpkg")
    verdict = rerun(first)
    assert (verdict.kind, verdict.why[0]) == (VerdictKind.SAME_CONTENT, "All values are the same.")
    second = verdict.record
    assert second.output_sha256 != first.output_sha256
    assert second.content_sha256 == first.content_sha256
    assert second.artifact_path().name == "fire.gpkg"
    assert all(part.differing == 0 for part in verdict.figures)
    first.artifact_path().unlink()
    gone = rerun(first)
    assert (gone.kind, gone.why) == (
        VerdictKind.SAME_CONTENT,
        (
            "The rerun gave the content hash that was recorded.",
            f"The first output is not at {Path('fire.gpkg').absolute()}, so what its record tells was compared.",
        ),
    )


def test_a_geotiff_rewritten_with_other_compression_has_the_same_content(life):
    path = life.artifact_path()
    recorded = life.output_sha256
    whole = read_raster(path)
    write_raster(whole, path, software="another")
    verdict = rerun(life)
    assert verdict.kind is VerdictKind.SAME_CONTENT
    assert verdict.why == (
        "All values are the same.",
        "The rerun gave the very bytes that were recorded.",
        (
            f"The first output was changed after its run: SHA-256 {file_sha256(path)}, recorded was {recorded}; "
            "its content is the recorded one."
        ),
    )
    assert {check.item: check.state for check in verify(life).checks}["artifact output"] is State.REWRITTEN


def test_one_changed_cell_is_different_and_its_place_is_told(life):
    path = life.artifact_path()
    with rasterio.open(path, "r+") as dataset:
        band = dataset.read(1)
        band[17, 23] = 1 - band[17, 23]
        dataset.write(band, 1)
    verdict = rerun(life)
    assert verdict.kind is VerdictKind.DIFFERENT
    assert verdict.why[0] == (
        f"last: 1 of 3,072 cells differs, largest difference 1, at row 17, column 23: {band[17, 23]} and "
        f"{1 - band[17, 23]}."
    )
    assert verdict.why[1] == "The rerun gave the very bytes that were recorded."
    assert [(part.name, part.differing) for part in verdict.figures] == [
        ("last", 1),
        ("first", 0),
        ("alive_count", 0),
    ]
    assert np.argwhere(verdict.differences.mask("last")).tolist() == [[17, 23]]
    assert len(verdict.reruns) == 1  # what was recorded was given: no second rerun is needed to say so
    assert RunStore().read("last").verdict["figures"][0]["place"]["row"] == 17


def test_a_run_that_cannot_be_repeated_is_run_twice_to_tell_why(life):
    """The record itself, not only its output, tells of a run that this code does not give."""
    path = life.artifact_path()
    whole = read_raster(path)
    whole.array[0, 5, 6] = 7
    write_raster(whole, path)
    life.artifacts["output"] = file_sha256(path)
    verdict = rerun(life)
    assert verdict.kind is VerdictKind.DIFFERENT
    assert verdict.why[1] == "A second rerun gave the same as the first one: here the model repeats itself."
    assert len(verdict.reruns) == 2
    assert [RunStore().read(run_id).verdict["of"] for run_id in verdict.reruns] == [life.experiment_id] * 2


def test_within_a_tolerance_that_was_asked_for(models):
    first = run("my_models:Noise", parameters={"seed": 3})
    path = first.artifact_path()
    near = read_raster(path)
    near.array[0, 2, 2] += 1e-9
    write_raster(near, path)
    first.artifacts["output"] = file_sha256(path)
    verdict = rerun(first, tolerance=1e-6)
    assert (verdict.kind, verdict.tolerance) == (VerdictKind.WITHIN_TOLERANCE, 1e-6)
    assert verdict.why[0].startswith(
        "noise: 1 of 30 cells differs, 0 of them by more than the tolerance, largest difference 1e-09, at row 2"
    )
    assert verdict.is_confirmed
    assert rerun(first, twice=False).kind is VerdictKind.DIFFERENT


def test_an_edited_input_cannot_be_verified(life):
    path = Path(life.source.uri)
    edited = read_raster(path)
    edited.array[0, 0, 0] = 1
    write_raster(edited, path)
    verdict = rerun(life)
    assert (verdict.kind, verdict.why) == (
        VerdictKind.CANNOT_VERIFY,
        (
            (
                f"The input is not the one of the first run: {path.absolute()} has SHA-256 {file_sha256(path)}, "
                f"recorded was {life.source.checksum}."
            ),
        ),
    )
    attempt = RunStore().read("last")
    assert (attempt.status, attempt.failed_phase, attempt.phases) == ("failed", "validate", {})
    assert attempt.error.startswith(f"Cannot verify run {life.experiment_id[:8]}: The input is not the one")
    assert attempt.verdict["kind"] == "cannot verify"
    assert verdict.reruns == ()


def test_an_unseeded_model_says_so(models):
    verdict = rerun(run("my_models:Noise"))
    assert verdict.kind is VerdictKind.CANNOT_VERIFY
    assert verdict.why[0] == (
        "The model is not deterministic: two reruns under the same settings differ from each other; it needs a seed."
    )
    assert verdict.why[1].startswith("Between the reruns: noise: 30 of 30 cells differ, largest difference 0.")
    assert verdict.why[2].startswith("From the first run: noise: 30 of 30 cells differ, largest difference 0.")
    assert len(verdict.reruns) == 2


def test_a_report_that_never_repeats_itself_does_not_hide_the_map(models):
    verdict = rerun(run("my_models:Report"))
    assert verdict.kind is VerdictKind.SAME_CONTENT
    assert verdict.why[0] == "All is the same but report.md, which two reruns do not agree on either."


# --------------------------------------------------------------------------------- rerun: cannot verify


def cannot(record, **options):
    verdict = rerun(record, **options)
    assert verdict.kind is VerdictKind.CANNOT_VERIFY
    assert verdict.record.verdict["kind"] == "cannot verify"
    return verdict.why[0]


def test_executors_that_are_not_there(life):
    facts = life.provenance
    facts.executor_class = "gone_package.models:Flood"
    assert cannot(life) == (
        "The executor 'gone_package.models:Flood' cannot be imported: 'gone_package' is neither installed nor in "
        f"{Path.cwd()}. Name its file or import path: --executor."
    )
    facts.executor_class = "__main__:Flood"
    assert cannot(life) == (
        "The executor 'Flood' was defined in a notebook or script, which cannot be imported. "
        "Name its file or import path: --executor."
    )
    facts.executor_class = "my_models:make.<locals>.Flood"
    assert cannot(life).startswith("The executor 'my_models:make.<locals>.Flood' was defined inside of a function")
    facts.executor_class = "dissmodel_lab.cells:CellExecutor"
    assert cannot(life).startswith("The run was a cell of plain code in a notebook: the record keeps it")
    facts.executor_class, life.model_name = "", "local"
    assert cannot(life).startswith("The record does not say which executor it was.")
    assert cannot(life, executor="gone.py").startswith(f"The executor's file '{Path.cwd()}/gone.py' does not exist.")


def test_packages_and_versions_that_are_not_there(life):
    life.provenance.executor_package = "gone-package==1.2"
    assert cannot(life) == "The executor's package gone-package 1.2 is not installed."
    life.provenance.executor_package = "dissmodel_lab==0.0.1"
    assert cannot(life) == (
        "The first run was made with dissmodel_lab 0.0.1; dissmodel_lab 0.1.0 is installed. "
        "To run it all the same: --any-version."
    )
    verdict = rerun(life, any_version=True)
    assert verdict.kind is VerdictKind.IDENTICAL
    assert verdict.why[1] == "The first run was made with dissmodel_lab 0.0.1; dissmodel_lab 0.1.0 is installed."
    assert verdict.settings["changed since"] == {"executor": "dissmodel_lab==0.0.1 -> dissmodel_lab==0.1.0"}


def test_another_meaning_of_end_time(workspace):
    pytest.importorskip("dissmodel")
    Path("out.tif").write_text("x")
    record = ExperimentRecord(
        status="completed",
        model_name="lucc",
        code_version="0.5.1",
        parameters={"end_time": 8},
        output_path="out.tif",
        artifacts={"output": file_sha256("out.tif")},
        source=DataSource(uri="synthetic"),
    )
    assert cannot(record).startswith(
        "The record was made with dissmodel 0.5.1, where a run stops one step before end_time (8); the installed "
    )


def test_runs_that_left_nothing_to_confirm(life):
    life.artifacts.clear()
    life.artifact_path().unlink()
    assert cannot(life) == (
        "The first run left no output and no hash of one, so there is nothing that a rerun could confirm."
    )
    with pytest.raises(LabError):
        run("game_of_life", parameters={"generations": -1})
    failed = RunStore().read("last")
    assert cannot(RunStore().find(failed.experiment_id) and failed).startswith(
        "The first run ended as failed (ParameterError: game_of_life cannot run with these parameters."
    )


def test_inputs_and_values_that_are_not_in_the_record(life):
    in_memory = run("game_of_life", data=Raster(array=np.ones((1, 4, 4))), parameters={"generations": 1})
    assert cannot(in_memory) == "The input was given in memory, so it is not there to be read again."
    hidden = ExperimentRecord.model_validate_json(
        life.model_copy(update={"parameters": {"api_key": "x"}}).model_dump_json()
    )
    assert cannot(hidden).startswith(
        "The record hides what is secret, so the run cannot be repeated from it: api_key."
    )
    odd = life.model_copy(update={"parameters": {"graph": [{"$repr": "<graph>"}]}})
    assert cannot(odd) == "The record holds only the text of what these parameters were: graph."
    Path(life.source.uri).unlink()
    assert cannot(life) == (
        f"The input is missing: looked for {Path(life.source.uri).absolute()}. "
        "Name the folder that its path starts from: --base-folder."
    )


def test_a_rerun_that_dies_or_fails_is_told(models):
    first = run("my_models:Noise", parameters={"seed": 3, "deadly": True, "failing": True, "slow": True})
    Path("failing").touch()
    assert cannot(first) == "The rerun failed in phase run: ValueError: no rain."
    Path("deadly").touch()
    assert cannot(first).startswith(
        "The rerun failed in phase run: CrashError: The worker process was ended by SIGKILL (killed from outside; "
        "systems do so when memory runs out)"
    )
    assert RunStore().entries()[0].status == "failed"
    assert RunStore().read("last").verdict["of"] == first.experiment_id
    Path("slow").touch()
    assert cannot(first, timeout=2) == "The rerun was cancelled in phase run: timed out after 2 s."


def test_a_model_that_writes_over_the_first_output_is_caught(models):
    Path("out").mkdir()
    first = run("my_models:Noise", parameters={"own_place": "out/noise.tif"})
    assert first.output_path.endswith("out/noise.tif")
    assert cannot(first, twice=False) == (
        f"The model wrote over the first run's own files: {Path('out/noise.tif').absolute()}."
    )


def test_an_executor_that_lies_elsewhere_is_named_by_its_file(models, tmp_path):
    first = run("my_models:Noise", parameters={"seed": 3})
    Path("my_models.py").rename(tmp_path / "moved.py")
    verdict = rerun(first, executor=f"{tmp_path}/moved.py:Noise")
    assert (verdict.kind, verdict.record.provenance.executor_class) == (VerdictKind.IDENTICAL, "moved:Noise")


def test_what_was_asked_for_must_make_sense(life):
    with pytest.raises(ComparisonError, match=r"^The tolerance -1 is no number of 0 or more\."):
        rerun(life, tolerance=-1)
    with pytest.raises(
        LabError, match=r"^The base folder 'none' is no folder\. Give the one that the run was made in\."
    ):
        rerun(life, base_folder="none")
    assert len(RunStore().entries()) == 1


@pytest.mark.parametrize(
    "values",
    [
        {
            "of": "ab",
            "kind": "identical",
            "why": 3,
            "figures": [{"compared": "x"}, 5],
            "settings": [],
            "reruns": None,
        },
        {"of": "ab", "kind": "identical", "figures": [{"name": "a", "place": {"row": "?"}}], "tolerance": "x"},
    ],
)
def test_a_verdict_of_somebody_elses_record_is_read_as_far_as_it_goes(values):
    found = Verdict.from_values(values)
    assert (found.kind, found.of, found.why, found.figures, found.tolerance) == ("identical", "ab", (), (), None)


def test_a_record_without_a_verdict():
    with pytest.raises(ValueError, match=r"^This record holds no verdict: it does not repeat another run\.$"):
        Verdict.from_values({})


@pytest.mark.parametrize("is_kept", [True, False])
def test_attributes_of_a_shapefile_count(models, is_kept):
    first = run("my_models:Shapes")
    assert rerun(first).kind in ("identical", "same content")  # a .dbf holds the day
    Path("spoiled").touch()
    if not is_kept:
        for path in first.record_path.parent.glob("*.*"):
            path.unlink() if path.suffix not in (".json", ".jsonl") else None
    verdict = rerun(first)
    assert verdict.kind is VerdictKind.DIFFERENT
    if is_kept:
        assert verdict.why[0].startswith("v: 1 of 1 rows differs, largest difference 1, at row 0")


def test_a_second_map_that_differs_decides(models):
    first = run("my_models:Pair")
    assert rerun(first).kind is VerdictKind.IDENTICAL
    Path("spoiled").touch()
    verdict = rerun(first, twice=False)
    assert (verdict.kind, verdict.why[0]) == (
        VerdictKind.DIFFERENT,
        "Artifact second: two: 4 of 4 cells differ, largest difference 1, at row 0, column 0: 1 and 2.",
    )
    assert [part.name for part in verdict.figures] == ["second: two"]
    first.artifact_path("second").unlink()
    assert rerun(first, twice=False).why[0] == (
        "Artifact second: The rerun gave another content hash than was recorded; which cells differ cannot be told."
    )
    Path("without").touch()
    verdict = rerun(first, twice=False)
    assert (verdict.kind, verdict.why[0]) == (
        VerdictKind.DIFFERENT, "The artifact second was left by the first run only."
    )  # fmt: skip


def test_a_second_map_that_never_repeats_itself_is_told(models):
    Path("random").touch()
    assert cannot(run("my_models:Pair")).startswith("The model is not deterministic: two reruns")


def test_a_table_alone_is_no_report_beside_a_map(models):
    assert cannot(run("my_models:Table")).startswith("The model is not deterministic: two reruns")


def test_a_rerun_whose_map_cannot_be_read_is_different(models, life):
    Path(life.artifact_path()).unlink()
    life.provenance.executor_class = "my_models:NoMap"
    Path("my_models.py").write_text(
        MODELS + "class NoMap(Noise):\n    name = 'no_map'\n    def save(self, result, record):\n"
        "        Path(record.output_path).write_text('no map')\n        return record\n"
    )
    assert rerun(life, any_version=True, twice=False).kind is VerdictKind.DIFFERENT


@pytest.mark.parametrize("executor", ["evil.py:Evil", "{}/evil.py", "evil.toml", "../evil.PY", "a/b:C", ":C", "-m:C"])
def test_a_record_cannot_choose_a_file_to_run(models, life, executor):
    Path("evil.py").write_text("open('was_run', 'w')\n" + MODELS + "class Evil(Noise):\n    pass\n")
    Path("evil.toml").write_text('[model]\nclass = "evil:Evil"\nexecutor_module = "evil"\n')
    said = executor.format(models)
    for record in (life, life.model_copy(update={"provenance": None, "model_name": said})):
        if record.provenance is not None:
            record.provenance.executor_class = said
        assert cannot(record, any_version=True) == (
            f"The record names {said!r} as its executor, which is no import path. "
            "Name its file or import path: --executor."
        )
    assert not Path("was_run").exists()


@pytest.mark.parametrize(
    ("value", "is_hidden"),
    [
        ("https://host/x?sig=***", True),
        ("postgresql://***@host/x", True),
        ({"a": ["password=***"]}, True),
        ("***", True),
        ("a***b", False),
        ("*** new ***", False),
    ],
)
def test_what_is_hidden_within_a_text_is_noticed(life, value, is_hidden):
    life.parameters["place"] = value
    found = plan_rerun(life).obstacles
    assert found == (
        ["The record hides what is secret, so the run cannot be repeated from it: place."] if is_hidden else []
    )


@pytest.mark.parametrize("folder", ["/" + "a" * 5000, "/a\0b", "experiments", "."])
def test_no_working_folder_is_too_odd(life, folder):
    life.provenance.working_folder = folder
    assert working_folder(life) == Path.cwd()
    assert verify(life).checks


@pytest.mark.parametrize("values", [{"kind": []}, {"kind": {}, "figures": [{"name": "a", "compared": float("inf")}]}])
def test_odd_kinds_and_figures_are_no_verdict(values):
    assert Verdict.from_values({"of": "ab", **values}).kind is VerdictKind.CANNOT_VERIFY


def test_a_profile_of_an_odd_id_has_a_place():
    record = ExperimentRecord(experiment_id="../../x", output_path="out/a.tif", artifacts={"profiling": "ab"})
    assert locate_artifact(record, "profiling") == Path.cwd() / "out" / "profiling_x.md"


# ------------------------------------------------------------------------------- records from elsewhere


@pytest.mark.parametrize("is_absolute", [True, False])
def test_an_imported_crate_is_verified_and_rerun_where_nothing_else_is(models, is_absolute):
    home = Path("home").absolute() if is_absolute else Path("home")
    home.mkdir()
    for name in ("input.bin", "table.csv", "usual.csv"):
        (home / name).write_text(f"what stands in {name}")
    table, usual = str(home / "table.csv"), str(home / "usual.csv")
    parameters = {"table": table, "usual": usual}
    first = run("my_models:Reader", source=str(home / "input.bin"), parameters=parameters, output=home / "sum.tif")
    crate = export_ro_crate(first, "crate.zip")
    shutil.rmtree("home")
    shutil.rmtree("experiments")
    back = read_record(import_crate(crate, "yours").record_path)
    folder = back.record_path.parent.absolute()
    assert source_path(back).absolute() == locate_input(back).absolute()
    assert source_path(back).read_text() == "what stands in input.bin"
    found = verify(back, "yours")
    wanted = {"input": "ok", "parameter table": "ok", "parameter usual": "ok", "artifact output": "ok"}
    assert {**states(found), **wanted} == states(found)
    assert all(check.path.absolute().is_relative_to(folder) for check in found.checks)
    verdict = rerun(back, store="yours")
    assert verdict.kind is VerdictKind.IDENTICAL, verdict.sentence
    given = verdict.record.parameters
    assert all(Path(given[name]).is_relative_to(folder) for name in ("table", "usual"))
    assert verdict.settings["working_folder"] == str(Path.cwd())


def test_a_default_that_names_a_file_of_a_crate_is_found_too(models):
    for name in ("input.bin", "table.csv", "usual.csv"):
        Path(name).write_text(f"what stands in {name}")
    first = run("my_models:Reader", source="input.bin", parameters={"table": "table.csv"})
    assert first.defaults_taken == {"usual": "usual.csv"}
    first.parameter_files["usual"] = file_sha256("usual.csv")
    crate = export_ro_crate(first, "crate")
    for name in ("input.bin", "table.csv", "usual.csv"):
        Path(name).unlink()
    verdict = rerun(read_record(import_crate(crate, "yours").record_path), store="yours")
    assert verdict.kind is VerdictKind.IDENTICAL, verdict.sentence


def test_an_imported_record_cannot_choose_where_code_comes_from(models):
    Path("table.csv").write_text("a")
    first = run("my_models:Reader", source="table.csv", parameters={"table": "table.csv"})
    back = read_record(import_crate(export_ro_crate(first, "crate"), "yours").record_path)
    Path(back.record_path.parent, "evil.py").write_text("open('/tmp/never', 'w')")
    back.provenance.executor_class = "evil:Evil"
    for said in (str(back.record_path.parent), str(back.record_path.parent.absolute())):
        back.provenance.working_folder = said
        assert cannot(back) == (
            f"The executor 'evil:Evil' cannot be imported: 'evil' is neither installed nor in {Path.cwd()}. "
            "Name its file or import path: --executor."
        )


@pytest.fixture
def upstream_record(workspace):
    """A record that the command line of PyPI dissmodel wrote, in a folder of its own, with relative paths."""
    pytest.importorskip("disslucc")
    home = workspace / "home"
    source, parameters = upstream_inputs.make_continuous(home / "input", n_steps=3)
    parameters["demand_csv"] = "input/demand.csv"
    toml = upstream_inputs.write_toml(home / "model.toml", "lucc_continuous", parameters)
    code = (
        "from disslucc.executors import LuccContinuousExecutor\n"
        "from dissmodel.executor.cli import run_cli\n"
        "run_cli(LuccContinuousExecutor)"
    )
    words = ["run", "--input", f"input/{source.name}", "--toml", toml.name, "--output", "out/lucc.tif"]
    subprocess.run([sys.executable, "-c", code, *words], cwd=home, check=True, capture_output=True)
    return next((home / "out").glob("*.record.json"))


def test_a_record_of_pypi_dissmodels_own_command_line(upstream_record, workspace):
    home = upstream_record.parents[1]
    shutil.copytree(upstream_record.parent, "experiments/from a colleague")
    entry = RunStore().entries()[0]  # found by the scan
    assert (entry.model_name, entry.status) == ("lucc_continuous", "completed")
    first = RunStore().read(entry.experiment_id)
    assert first.record_path == Path("experiments/from a colleague", upstream_record.name)
    assert states(verify(first)) == {
        "record": "cannot be checked",
        "input": "missing",  # it was not sent along
        "artifact output": "ok",
        "artifact profiling": "ok",
    }
    assert (first.provenance, first.model_name, first.model_commit) == (None, "lucc_continuous", "disslucc==0.5.0")
    checked = verify(first, base_folder=home)
    assert states(checked) == {
        "record": "cannot be checked",
        "input": "ok",
        "parameter demand_csv": "cannot be checked",
        "artifact output": "ok",
        "artifact profiling": "ok",
    }
    before = {path: state_of(path) for path in home.rglob("*") if path.is_file()}
    assert cannot(first).startswith("The input is missing: looked for ")
    verdict = rerun(first, base_folder=home)
    assert verdict.kind is VerdictKind.IDENTICAL
    assert verdict.record.output_sha256 == first.output_sha256
    assert verdict.record.parameters == first.parameters
    assert verdict.why[1:] == (
        "The file of parameter demand_csv may be another one: It is there, but the record has no SHA-256 of it.",
        "The record names its executor by name only: lucc_continuous.",
    )
    assert {path: state_of(path) for path in home.rglob("*") if path.is_file()} == before
    facts = json.loads(upstream_record.read_text()) | {"model_name": "local", "model_commit": "local-cli"}
    facts["created_at"] = facts["created_at"][:19]  # as dissmodel < 0.6 wrote it, without a zone
    upstream_record.write_text(json.dumps(facts))
    local = read_record(upstream_record)
    assert cannot(local, base_folder=home).startswith("The record does not say which executor it was.")
    assert rerun(local, base_folder=home, executor=str(home / "model.toml")).kind is VerdictKind.IDENTICAL
