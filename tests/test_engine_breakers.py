"""What somebody found whose job is to break engines and sweeps, through the doors that people use."""

from __future__ import annotations

import json
import shutil

import pytest

from dissmodel_lab import ModelExecutor, sweep
from dissmodel_lab.cli import main
from dissmodel_lab.sweeps import open_sweep


class LongSeriesModel(ModelExecutor):
    """A model that tells a long series first, and a single number after it."""

    name = "breakers_long_series"

    def load(self, record):
        return 0

    def run(self, data, record):
        record.metrics["series"] = {str(step): float(step) for step in range(300)}
        record.metrics["what_matters"] = float(record.parameters["rise"])
        return data

    def save(self, result, record):
        return record


def swept(store):
    return sweep(LongSeriesModel, {"rise": [1, 2]}, engine="inline", store=store)


def test_long_series_pushes_no_single_number_and_no_time_out_of_a_sweep(workspace):
    rows = swept(workspace).rows()
    assert [row.metrics.get("what_matters") for row in rows] == [1.0, 2.0]
    assert all(row.seconds is not None for row in rows)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": "dissmodel_lab sweep", "version": 99}', "\x00" * 9])
def test_damaged_design_is_one_clear_message_and_leaves_the_runs(workspace, content):
    done = swept(workspace)
    (done.folder / "sweep.json").write_text(content)
    with pytest.raises(Exception, match=r"sweep\.json") as caught:
        open_sweep(workspace, done.id[:8])
    assert type(caught.value).__name__ == "SweepError"
    assert (done.folder / "000001" / "record.json").exists()


def test_sweep_goes_on_without_its_results_file_and_runs_only_what_is_missing(workspace):
    done = swept(workspace)
    (done.folder / "results.jsonl").unlink()
    shutil.rmtree(done.folder / "000002")
    kept = (done.folder / "000001" / "record.json").read_bytes()
    again = open_sweep(workspace, done.id[:8]).resume(model=LongSeriesModel)
    assert again.progress().done == 2
    assert (done.folder / "000001" / "record.json").read_bytes() == kept


@pytest.mark.parametrize("words", [["sweeps", "--json"], ["queue", "--json"]])
def test_lists_are_json_where_there_is_nothing(workspace, monkeypatch, capsys, words):
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("DISSMODEL_LAB_STORE", str(workspace / "empty"))
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out) == []
