"""What is done with runs afterwards, through every door: find, annotate, verify, rerun, compare, export, cite."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio

from dissmodel_lab import RunStore, read_record, run
from dissmodel_lab.cli import main


@pytest.fixture
def life(workspace):
    """Two runs of one model, the second with twice as many steps."""
    return [run("game_of_life", parameters={"generations": n}) for n in (2, 4)]


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def change_one_cell(output):
    """Change the cell in row 3, column 5, and return how many cells there are."""
    with rasterio.open(output, "r+") as dataset:
        band = dataset.read(1)
        band[3, 5] = 1 - band[3, 5]
        dataset.write(band, 1)
    return band.size


def test_runs_are_found_by_what_they_were_given(desk, life):
    answer = desk("runs", "--where", "generations > 3 and status == 'completed'")
    assert "1 of 1 run; generations > 3 and status == 'completed'; newest first" in answer.text
    assert life[1].experiment_id[:8] in answer.text
    assert life[0].experiment_id[:8] not in answer.text
    assert "generations=4" in answer.text


def test_a_condition_that_is_code_is_refused(desk, life):
    answer = desk("runs", "--where", "__import__('os').system('touch broken')")
    assert "argument --where: " in answer.message
    assert not Path("broken").exists()
    answer = desk("runs", "--where", "generations > 3; DROP TABLE runs")
    assert "argument --where: " in answer.message
    assert len(RunStore().entries()) == 2


def test_tags_and_notes_leave_the_record_as_it_is(desk, life):
    before = sha256(life[1].record_path)
    answer = desk("annotate", "last", "--tag", "thesis", "--tag", "draft", "--note", "figure 3")
    assert (
        answer.text.strip() == "Tags: draft, thesis. 1 note." or answer.text.strip() == "Tags: thesis, draft. 1 note."
    )
    assert desk("annotate", "last", "--untag", "draft").text.strip() == "Tags: thesis. 1 note."
    assert sha256(life[1].record_path) == before
    found = desk("runs", "--tag", "thesis").text
    assert life[1].experiment_id[:8] in found
    assert life[0].experiment_id[:8] not in found


def test_nothing_to_annotate(desk, life):
    assert desk("annotate", "last").message == (
        "annotate needs something to write: --tag NAME, --untag NAME or --note TEXT."
    )


def test_what_a_run_changed(desk, life):
    answer = desk("changes", "last")
    assert re.search(r"\d[\d,]* of \d[\d,]* cells changed \(\d+(\.\d+)? %\)|0 of \d[\d,]* cells changed", answer.text)


def test_two_runs_side_by_side(desk, life):
    first, second = (record.experiment_id[:8] for record in life)
    answer = desk("compare", first, second)
    assert "generations" in answer.text
    assert re.search(r"of \d[\d,]* cells changed", answer.text)


def test_a_record_is_verified(desk, life):
    answer = desk("verify", "last")
    assert answer.code in (None, 0)
    assert "as recorded" in answer.text.lower()


def test_an_output_that_was_changed_is_noticed(desk, life):
    change_one_cell(life[1].artifact_path())
    answer = desk("verify", "last")
    assert answer.code in (None, 1)
    assert "artifact output is changed" in answer.text


def test_a_run_is_run_again_and_is_identical(desk, life):
    answer = desk("rerun", "last")
    assert answer.code in (None, 0)
    assert f"IDENTICAL: rerun of run {life[1].experiment_id[:8]}" in answer.text
    [newest, *others] = RunStore().entries()
    assert len(others) == 2
    verdict = read_record(newest.record_path).verdict
    assert (verdict["kind"], verdict["of"]) == ("identical", life[1].experiment_id)


def test_one_changed_cell_is_found(desk, life):
    size = change_one_cell(life[1].artifact_path())
    answer = desk("rerun", "last")
    assert answer.code in (None, 1)
    assert f"DIFFERENT: rerun of run {life[1].experiment_id[:8]}" in answer.text
    assert f"1 of {size:,} cells differs, largest difference 1, at row 3, column 5" in answer.text


def test_the_methods_text_for_a_paper(desk, life):
    english, portuguese = desk("cite", "last").text, desk("cite", "last", "--language", "pt").text
    for text in (english, portuguese):
        assert "game\\_of\\_life" in text or "game_of_life" in text
        assert life[1].experiment_id[:8] in text
        assert "generations" in text
        assert "None" not in text
    assert "parameters" in english.lower()
    assert "parâmetros" in portuguese.lower()


def test_a_crate_goes_to_another_store_and_is_verified_there(desk, life, monkeypatch):
    answer = desk("export", "last", "--format", "ro-crate", "--output", "life.zip")
    assert answer.text.strip() == "Written: life.zip"
    monkeypatch.setenv("DISSMODEL_LAB_STORE", "reviewer")
    assert desk("import", "life.zip").text.strip().startswith(f"Imported: reviewer{os.sep}")
    assert RunStore().entries()[0].experiment_id == life[1].experiment_id
    assert "as recorded" in desk("verify", "last").text.lower()
    assert "IDENTICAL" in desk("rerun", "last").text
    again = desk("import", "life.zip").text.strip()
    assert again.startswith("This run is in the store already, and nothing was changed")


@pytest.mark.parametrize(
    ("form", "name"), [("csv", "runs.csv"), ("parquet", "runs.parquet"), ("prov", "run.json"), ("profile", "run.md")]
)
def test_exports(desk, life, form, name):
    runs = [] if form in ("csv", "parquet") else ["last"]
    assert desk("export", *runs, "--format", form, "--output", name).text.strip() == f"Written: {name}"
    assert Path(name).stat().st_size > 0
    kept = sha256(name)
    answer = desk("export", *runs, "--format", form, "--output", name)
    assert "exists" in answer.message
    assert sha256(name) == kept


def test_an_export_of_one_run_needs_a_run(desk, life):
    answer = desk("export", "--format", "ro-crate", "--output", "x.zip")
    assert answer.message == "export --format ro-crate needs a run: its first characters, or last."


def test_the_index_is_built_again(desk, life):
    assert desk("reindex").text.strip() == "2 records."
    shutil.rmtree(next(Path("experiments").glob(".index*")))
    assert len(RunStore().entries()) == 2
    assert desk("reindex").text.strip() == "2 records."


@pytest.mark.parametrize("command", ["verify", "rerun", "changes", "cite", "annotate"])
def test_a_run_that_is_not_there(desk, life, command):
    more = ["--tag", "x"] if command == "annotate" else []
    answer = desk(command, "zzzz", *more)
    assert answer.message.startswith("No run in 'experiments' begins with 'zzzz'. Newest: ")


def test_the_terminal_prints_json(life, capsys):
    first, second = (record.experiment_id[:8] for record in life)
    for words in (["changes", "last"], ["compare", first, second], ["verify", "last"], ["runs"]):
        capsys.readouterr()
        assert main([*words, "--json"]) == 0
        told = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
        assert told
    assert main(["rerun", "last", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["of"]) == ("identical", life[1].experiment_id)


def test_the_functions_are_at_hand(life):
    import dissmodel_lab as lab

    assert [entry.experiment_id for entry in lab.runs(where="generations < 3")] == [life[0].experiment_id]
    assert lab.verify(life[0]).is_intact
    assert lab.compare(*life).parameters[0].name == "generations"
    assert np.array_equal([pair.first for pair in lab.compare(*life).parameters], [2])
    assert lab.annotate("last", tags=["a"]).tags == ("a",)
