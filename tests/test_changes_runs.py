"""A run's input to its output, and two runs side by side."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from dissmodel_lab import run
from dissmodel_lab.changes import change_of_run, compare_runs
from dissmodel_lab.changes import runs as runs_module
from dissmodel_lab.changes.facts import comparison_facts
from dissmodel_lab.errors import ComparisonError, SourceError
from dissmodel_lab.executor import DataSource, ExperimentRecord
from dissmodel_lab.executor.schemas import GitState, PhaseUsage, Provenance, utc_now
from dissmodel_lab.maps import preview
from dissmodel_lab.rasters import Raster, read_raster, write_raster
from dissmodel_lab.sources import file_sha256
from dissmodel_lab.views.comparison_text import comparison_text

UTM = {"transform": Affine(100, 0, 300_000, 0, -100, 7_400_000), "crs": CRS("EPSG:31983")}


def write(path, bands, **options):
    arrays = {name: np.array(rows) for name, rows in bands.items()}
    array = np.stack(list(arrays.values()))
    write_raster(Raster(array=array, bands=tuple(arrays), **options), path)
    return path


def record_of(source="in.tif", output="out.tif", **fields):
    """A record as another program may have written it."""
    known = {"model_name": "lucc", "status": "completed", "experiment_id": "ab12cd34ef567890"}
    checksum = file_sha256(output) if output and Path(output).is_file() else "0" * 64
    return ExperimentRecord(
        source=source if isinstance(source, DataSource) else DataSource(uri=source),
        output_path=output,
        artifacts={"output": checksum} if output else {},
        **{**known, **fields},
    )


def refusal(call, *args, **options):
    with pytest.raises(ComparisonError) as caught:
        call(*args, **options)
    return str(caught.value)


# --- input to output ---------------------------------------------------------------------------------------


def test_coastal_flood_is_told_in_square_kilometres_on_the_ellipsoid():
    record = run("coastal_flood", parameters={"sea_level_rise": 2.0})
    change = change_of_run(record)
    found = change.classes
    assert change.sentence == "36 of 10,920 cells changed (0.33 %)"
    assert change.band_text == "cover_before to cover_after"
    assert change.notes == ("Compared within the output: its band 'cover_before' is the state before.",)
    assert found.area_unit == "km2"
    assert found.area_method.startswith("Geodesic: on the ellipsoid WGS 84 of EPSG:4326 ")
    land, flooded = found.labels.index("land up to 10 m"), found.labels.index("flooded")
    assert found.transitions() == [(land, flooded)]
    assert found.cells[land, flooded] == record.metrics["flooded_cells"]
    assert found.areas[land, flooded] == pytest.approx(record.metrics["flooded_area_km2"], rel=1e-12)
    assert found.disagreement.allocation == 0
    shown = {entry.value: entry.colour for entry in preview(record.artifact_path()).legend.entries}
    assert dict(zip(found.codes, found.colours, strict=True)) == shown


def test_a_band_of_the_input_that_the_model_left_alone_has_not_changed():
    record = run("coastal_flood")
    change = change_of_run(record, band="elevation")
    assert change.sentence == "0 of 10,920 cells changed"
    assert (change.kind, change.before_name, change.after_name) == ("values", "input", "output")


def test_game_of_life_is_told_in_cells():
    record = run("game_of_life", parameters={"generations": 1})
    change = change_of_run(record)
    before, after = (read_raster(path).array[0] for path in (record.source.uri, record.artifact_path()))
    assert change.band_text == "alive to last"
    assert change.changed == np.count_nonzero(before != after) > 0
    assert (change.classes.labels, change.classes.area_unit) == (("dead", "alive"), "cells")
    assert change.classes.area_method == "Areas are unknown, the map has no CRS."


def test_forest_fire_is_told_by_features_in_hectares():
    record = run("forest_fire")
    change = change_of_run(record)
    found = change.classes
    tree, burnt = found.codes.index("tree"), found.codes.index("burnt")
    assert change.sentence == "1,115 of 3,600 features changed (30.97 %)"
    assert found.area_unit == "ha"
    assert found.areas[tree, burnt] == pytest.approx(record.metrics["burnt_area_ha"])
    assert found.colours[burnt] == "#3d2b26"
    assert (change.picture.state == 3).sum() == 1115


def test_the_same_band_of_input_and_output_is_compared():
    write("in.tif", {"uso": [[1, 1, 2]], "slope": [[3, 3, 3]]}, **UTM)
    write("out.tif", {"slope": [[3, 3, 3]], "uso": [[1, 2, 2]]}, **UTM)
    assert change_of_run(record_of()).band == "slope"  # what the map shows
    change = change_of_run(record_of(), band="uso")
    assert change.sentence == "1 of 3 cells changed (33.33 %)"
    assert change.notes == ()
    assert change_of_run(record_of(), band="uso", before_band="slope").changed == 3


def test_a_band_before_is_looked_for_in_the_output_too():
    write("in.tif", {"dem": [[1.5, 2.5]]})
    write("out.tif", {"uso": [[1, 2]], "uso_start": [[1, 1]], "age_final": [[1, 1]], "age_initial": [[2, 1]]})
    assert change_of_run(record_of(), band="age_final").band_text == "age_initial to age_final"
    change = change_of_run(record_of(), band="uso", before_band="uso_start")
    assert change.notes == ("Compared within the output: its band 'uso_start' is the state before.",)
    assert refusal(change_of_run, record_of(), before_band="uso_stat") == (
        "No band or column of the input is called 'uso_stat'. Known: dem."
    )


def test_a_band_that_only_the_output_has_is_refused_with_the_choice():
    write("in.tif", {"dem": [[1.5, 2.5]]})
    write("out.tif", {"uso": [[1, 2]]})
    assert refusal(change_of_run, record_of()) == (
        "The output has a band 'uso' and the input has none to compare it with. Bands of the input: dem. In both: "
        "none. Choose one that is in both, or name the other one too (before_band=...)."
    )


def test_a_run_without_an_output_is_refused():
    record = record_of(output=None, status="failed", failed_phase="run")
    assert refusal(change_of_run, record) == (
        "Run ab12cd34 has no output to compare (it is failed in phase run). Choose a completed run."
    )


def test_an_input_that_is_gone_or_elsewhere_is_said():
    write("out.tif", {"uso": [[1, 2]], "cover_after": [[1, 2]], "cover_before": [[1, 1]]})
    change = change_of_run(record_of("gone.tif"), band="cover_after")
    assert change.changed == 1
    assert refusal(change_of_run, record_of("gone.tif")) == (
        "The output's band 'uso' has nothing to be compared with: gone.tif doesn't exist. Check the path. "
        "Name a band of the output that holds the state before (before_band=...)."
    )
    remote = record_of(DataSource(type="s3", uri="s3://bucket/in.tif"))
    assert "input of run ab12cd34 is not a local file: 's3://bucket/in.tif' (s3)." in refusal(change_of_run, remote)


def test_an_output_that_is_gone_is_a_source_error():
    with pytest.raises(SourceError, match=r"^out\.tif doesn't exist\. Check the path\.$"):
        change_of_run(record_of(output="out.tif"))


def test_an_output_that_has_lost_its_place_has_the_one_that_the_run_kept():
    write("in.tif", {"uso": [[1, 2]]}, **UTM)
    write("out.tif", {"uso": [[1, 1]]})
    kept = {"crs": "EPSG:31983", "transform": list(UTM["transform"])[:6], "shape": [1, 2]}
    change = change_of_run(record_of(output_georeference=kept))
    assert change.notes == ()
    assert change.classes.area_unit == "ha"
    elsewhere = {**kept, "transform": [100, 0, 900_000, 0, -100, 7_400_000]}
    assert "their corners lie at" in refusal(change_of_run, record_of(output_georeference=elsewhere))


def test_an_output_on_another_grid_is_compared_when_asked():
    write("in.tif", {"uso": [[1, 1, 2, 2]]}, **UTM)
    write("out.tif", {"uso": [[1, 2]]}, transform=Affine(200, 0, 300_000, 0, -200, 7_400_000), crs=UTM["crs"])
    assert refusal(change_of_run, record_of()) == (
        "Not one grid, the input and the output: their sizes are 4 x 1 cells and 2 x 1 cells. Bring them onto one "
        "grid first, or ask for it: common_grid=True (--common-grid) takes for each cell of the input the nearest "
        "one of the output."
    )
    change = change_of_run(record_of(), common_grid=True)
    assert change.sentence == "0 of 4 cells changed"
    assert change.notes[0].startswith("Compared on the grid of the input (4 x 1 cells): their sizes are ")


# --- two runs ----------------------------------------------------------------------------------------------


def test_two_runs_of_one_model_side_by_side():
    one, other = (run("coastal_flood", parameters={"sea_level_rise": rise}) for rise in (2.0, 5.0))
    found = compare_runs(one, other)
    assert found.sentence == "1 parameter differs; cover_after: 85 of 10,920 cells changed (0.78 %)."
    (pair,) = found.parameters
    assert (pair.name, pair.first, pair.second, pair.difference, pair.ratio) == ("sea_level_rise", 2.0, 5.0, 3.0, 2.5)
    assert found.same_parameters == 4
    metrics = {pair.name: pair for pair in found.metrics}
    assert metrics["flooded_cells"].difference == 85
    assert not any(name.startswith("time_") for name in metrics)
    assert [pair.name for pair in found.timings] == ["validate", "load", "run", "save", "all phases"]
    assert (found.same_input, found.same_output) == (True, False)
    assert found.input_sentence == (
        f"The same input, byte for byte: {one.source.uri} (SHA-256 {one.source.checksum[:12]})."
    )
    assert [change.band for change in found.changes] == ["cover_after", "cover_before", "flood_year", "elevation"]
    assert [change.kind for change in found.changes] == ["classes", "classes", "values", "values"]
    assert found.changes[0].before_name == f"output of run {one.experiment_id[:8]}"
    assert (found.first.title, found.problem, found.versions) == ("sea_level_rise=2", "", ())
    assert found.same_versions > 3


def test_the_same_run_twice_has_not_changed():
    record = run("game_of_life")
    found = compare_runs(record, record)
    assert found.sentence == "The parameters are the same; last: 0 of 3,072 cells changed."
    assert found.same_output is True
    assert found.changes[0].before_name == "output of the first run"


def test_nested_parameters_are_flat_and_secrets_stay_hidden():
    write("out.tif", {"uso": [[1, 2]]})
    one = record_of(parameters={"potential_data": [{"betas": {"dist": 1}}], "a": 1, "api_key": "s3cr3t", "n": 2.0})
    other = record_of(parameters={"potential_data": [{"betas": {"dist": 2}}], "b": None, "api_key": "0ther", "n": 2})
    found = compare_runs(one, other)
    pairs = {pair.name: pair for pair in found.parameters}
    assert set(pairs) == {"potential_data[0].betas.dist", "a", "b"}
    assert (pairs["a"].in_first, pairs["a"].in_second) == (True, False)
    assert (pairs["b"].in_first, pairs["b"].in_second, pairs["b"].second) == (False, True, None)
    assert found.sentence.startswith("3 parameters differ; uso: ")
    assert "s3cr3t" not in repr(found)


@pytest.mark.parametrize(
    ("first", "second", "differs"),
    [(1, 1.0, False), (1, True, True), (float("nan"), float("nan"), False), ("1", 1, True), ([1], [1], False)],
)
def test_values_are_the_same_or_not(first, second, differs):
    write("out.tif", {"uso": [[1, 2]]})
    found = compare_runs(record_of(parameters={"p": first}), record_of(parameters={"p": second}))
    assert bool(found.parameters) == differs


def test_a_number_beside_a_text_or_zero_has_no_ratio():
    write("out.tif", {"uso": [[1, 2]]})
    found = compare_runs(record_of(metrics={"a": 0, "b": "x"}), record_of(metrics={"a": 3, "b": 3}))
    assert [(pair.difference, pair.ratio) for pair in found.metrics] == [(3.0, None), (None, None)]


def test_seconds_of_foreign_records_are_found_among_their_metrics():
    write("out.tif", {"uso": [[1, 2]]})
    usage = PhaseUsage(started_at=utc_now(), seconds=2.0)
    own = record_of(phases={"run": usage}, metrics={"time_run_sec": 2.0, "area": 1.0})
    foreign = record_of(metrics={"time_run_sec": 3.0, "time_load_sec": 0.5, "time_total_sec": 3.5, "area": 2.0})
    found = compare_runs(own, foreign)
    assert [(pair.name, pair.first, pair.second) for pair in found.timings] == [
        ("run", 2.0, 3.0),
        ("all phases", 2.0, 3.5),
        ("load", None, 0.5),
    ]
    assert [pair.name for pair in found.metrics] == ["area"]


def test_versions_and_models_that_differ_are_named():
    write("out.tif", {"uso": [[1, 2]]})
    facts = [
        Provenance(versions={"python": "3.11", "numpy": version}, executor_git=GitState(commit="abc", dirty=dirty))
        for version, dirty in (("1.26", False), ("2.0", True))
    ]
    found = compare_runs(record_of(provenance=facts[0]), record_of(provenance=facts[1], model_name="other"))
    assert [(pair.name, pair.first, pair.second) for pair in found.versions] == [
        ("git commit", "abc", "abc with changes"),
        ("numpy", "1.26", "2.0"),
    ]
    assert found.same_versions == 1
    assert found.notes == ("Two models: lucc and other.",)


@pytest.mark.parametrize(
    ("one", "other", "sentence"),
    [
        (("a.tif", "a" * 64), ("b.tif", "A" * 64),
         "The same input, byte for byte: a.tif and b.tif (SHA-256 aaaaaaaaaaaa)."),
        (("a.tif", "a" * 64), ("a.tif", "b" * 64),
         "The inputs differ: a.tif (SHA-256 aaaaaaaaaaaa and bbbbbbbbbbbb)."),
        (("a.tif", ""), ("", "b" * 64),
         "Nobody knows whether the inputs are the same, a checksum is missing: a.tif and none named."),
        (("", ""), ("", ""), "No input is named in either record."),
    ],
)  # fmt: skip
def test_it_is_said_whether_the_inputs_are_the_same(one, other, sentence):
    write("out.tif", {"uso": [[1, 2]]})
    records = [record_of(DataSource(uri=uri, checksum=checksum)) for uri, checksum in (one, other)]
    assert compare_runs(*records).input_sentence == sentence


def test_outputs_that_cannot_be_compared_stop_nothing():
    write("a.tif", {"uso": [[1, 2]]})
    write("b.tif", {"uso": [[1], [2]]})
    write("c.tif", {"age": [[1, 2]]})
    one = record_of(output="a.tif", parameters={"n": 1})
    for other, problem in (
        (record_of(output="b.tif"), "Not one grid, the output of the first run and the output of the second run: "),
        (record_of(output="c.tif"), "The outputs have no band or column in common (output of the first run: uso; "),
        (record_of(output=None, status="lost"), "Run ab12cd34 has no output to compare (it is lost). Choose a "),
        (record_of(output="gone.tif"), "gone.tif doesn't exist. Check the path."),
    ):
        found = compare_runs(one, other)
        assert found.problem.startswith(problem)
        assert found.changes == ()
        assert found.sentence == "1 parameter differs."


def test_a_band_that_was_named_must_be_in_both():
    write("a.tif", {"uso": [[1, 2]], "age": [[1, 2]]})
    write("b.tif", {"uso": [[1, 2]]})
    one, other = record_of(output="a.tif"), record_of(output="b.tif", experiment_id="ffff0000")
    assert [change.band for change in compare_runs(one, other, band="uso").changes] == ["uso"]
    assert refusal(compare_runs, one, other, band="age") == (
        "No band or column of the output of run ffff0000 is called 'age'. Known: uso."
    )


def test_one_band_that_cannot_be_compared_is_a_note():
    write("a.tif", {"uso": [[1, 2]], "depth": [[0.5, 2]]}, units={"depth": "m"})
    write("b.tif", {"uso": [[1, 1]], "depth": [[1.5, 2]]}, units={"depth": "ft"})
    found = compare_runs(record_of(output="a.tif"), record_of(output="b.tif"))
    assert [change.band for change in found.changes] == ["uso"]
    said = (
        "depth: Units differ: 'depth' of the output of the first run is in 'm', 'depth' of the output of the second "
    )
    assert found.notes == (f"{said}run in 'ft'. Convert one of them first.",)
    assert found.problem == ""


def test_many_or_large_bands_wait_until_they_are_asked_for(monkeypatch):
    bands = {f"b{i}": [[i, 0]] for i in range(15)}
    write("out.tif", bands)
    found = compare_runs(record_of(), record_of())
    assert len(found.changes) == 12
    assert found.notes == ("Not compared yet, to save time: b12, b13, b14. Name one of them (band=...).",)
    monkeypatch.setattr(runs_module, "MAX_CELLS", 3)
    found = compare_runs(record_of(), record_of())
    assert [change.band for change in found.changes] == ["b0"]
    assert found.notes[0].startswith("Not compared yet, to save time: b1, b2, b3, b4, b5, b6, b7, b8 and 6 more.")
    assert [change.band for change in compare_runs(record_of(), record_of(), band="b7").changes] == ["b7"]


def test_columns_that_name_features_are_left_out():
    geopandas = pytest.importorskip("geopandas")
    points = geopandas.points_from_xy([0, 1], [0, 0])
    table = geopandas.GeoDataFrame({"id": [1, 2], "use": ["a", "b"]}, geometry=points, crs="EPSG:4326")
    table.to_file("out.gpkg")
    found = compare_runs(record_of(output="out.gpkg"), record_of(output="out.gpkg"))
    assert [change.band for change in found.changes] == ["use"]


def test_all_of_it_is_json():
    write("a.tif", {"uso": [[1, 2]], "depth": [[0.5, np.nan]]}, **UTM)
    write("b.tif", {"uso": [[1, 1]], "depth": [[np.nan, 2]]}, **UTM)
    one = record_of(output="a.tif", metrics={"share": float("nan")}, parameters={"file": Path("a.csv")})
    found = comparison_facts(compare_runs(one, record_of(output="b.tif")))
    read = json.loads(json.dumps(found, allow_nan=False))
    assert read == found
    assert read["changes"][0]["sentence"] == "1 of 2 cells changed (50 %)"
    assert (read["changes"][1]["values"]["mean"], read["changes"][1]["only_before"]) == (None, 1)
    assert read["parameters"].keys() == {"file"}


def test_a_record_that_holds_no_data_is_refused():
    write("out.tif", {"uso": [[1, 2]]})
    record = record_of()
    record.created_at = "yesterday"
    assert refusal(compare_runs, record, record_of()) == (
        "Run ab12cd34 can't be compared: its record holds what is no data (ValidationError). Read it from the store."
    )


@pytest.mark.parametrize(
    "metrics",
    [
        {"time_a_sec": 10**400},
        {"time_a_sec": 1e308, "time_b_sec": 1e308},
        {"time_a_sec": float("inf"), "time_b_sec": float("-inf")},
        {"time_a_sec": True},
        {"n": 10**400},
    ],
)
def test_numbers_of_any_size_in_a_record_from_elsewhere_stop_nothing(metrics):
    first, second = ExperimentRecord(metrics=metrics), ExperimentRecord(metrics={"n": 0.5, "time_b_sec": 2.0})
    compared = compare_runs(first, second)
    assert {pair.name: pair.second for pair in compared.timings}["all phases"] == 2.0
    assert {pair.name: pair.difference for pair in compared.metrics} == {"n": None}
    assert "all phases" in comparison_text(compared)
    json.dumps(comparison_facts(compared), allow_nan=False)


def test_a_large_count_differs_by_its_last_digit():
    pair = compare_runs(*(ExperimentRecord(metrics={"cells": 2**60 + more}) for more in (0, 1))).metrics[0]
    assert (pair.difference, pair.ratio) == (1.0, 1.0)


def test_a_line_break_in_a_name_makes_no_line():
    evil = "x\n0 of 9 cells changed"
    first = ExperimentRecord(model_name=evil, source=DataSource(uri=evil))
    text = comparison_text(compare_runs(first, ExperimentRecord(model_name="m")))
    assert "x 0 of 9 cells changed" in text
    assert not any(line.strip().startswith("0 of 9") for line in text.splitlines())
