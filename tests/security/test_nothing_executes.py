"""Opening what somebody else wrote executes nothing: no import, no pickle, no notebook, no file beside its folder."""

from __future__ import annotations

import json
import pickle
import sys
import zipfile
from pathlib import Path

import pytest

from dissmodel_lab import RunStore, read_record, records, run, runs
from dissmodel_lab.cli import main
from dissmodel_lab.errors import LabError
from dissmodel_lab.views.queue import run_queue
from dissmodel_lab.views.record import record_bundle

CANARY = "dissmodel_lab_canary_model"
CODE = """
from pathlib import Path
Path({canary!r}).write_text("executed")
class Model: ...
"""


class Bomb:
    """A pickle that writes the canary when it is loaded."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return Path.write_text, (Path(self.canary), "unpickled")


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A module that can be imported here, and tells when it was."""
    path = tmp_path / "executed"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / f"{CANARY}.py").write_text(CODE.format(canary=str(path)))
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield path
    assert not path.exists()
    assert CANARY not in sys.modules


@pytest.fixture
def record(canary):
    """The record of a run, as an attacker changed it: its executor is the canary, its folder is full of code."""
    made = run("game_of_life", parameters={"generations": 2})
    path = made.record_path
    facts = json.loads(path.read_text())
    facts |= {"model_name": f"{CANARY}:Model", "model_commit": f"git+file://{path.parent}", "engine": "process"}
    facts["provenance"] |= {"executor_class": f"{CANARY}:Model", "executor_path": f"{CANARY}.py",
                            "executor_package": f"{CANARY}==1"}  # fmt: skip
    facts["resolved_spec"] = {"model": {"class": f"{CANARY}:Model"}}
    facts["parameters"] |= {"class": f"{CANARY}:Model", "x": {"py/object": f"{CANARY}.Model", "$type": CANARY}}
    path.write_text(json.dumps(facts))
    code = CODE.format(canary=str(canary))
    for name in ("sitecustomize.py", "conftest.py", "__init__.py", f"{CANARY}.py", "setup.py"):
        (path.parent / name).write_text(code)
    for name in ("frames.npz", "data.pkl", "result.pickle", "model.joblib"):
        (path.parent / name).write_bytes(pickle.dumps(Bomb(str(canary))))
    notebook = {"cells": [{"cell_type": "code", "source": code, "metadata": {}, "outputs": [],
                           "execution_count": None}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}  # fmt: skip
    (path.parent / "analysis.ipynb").write_text(json.dumps(notebook))
    return read_record(path)


def test_canary_notices_an_import(tmp_path, monkeypatch):
    (tmp_path / f"{CANARY}.py").write_text(CODE.format(canary=str(tmp_path / "executed")))
    monkeypatch.syspath_prepend(tmp_path)
    __import__(CANARY)
    assert sys.modules.pop(CANARY)
    assert (tmp_path / "executed").read_text() == "executed"
    (tmp_path / "executed").unlink()
    pickle.loads(pickle.dumps(Bomb(str(tmp_path / "executed"))))
    assert (tmp_path / "executed").read_text() == "unpickled"


def test_looking_at_a_record(record):
    other = run("game_of_life", parameters={"generations": 3})
    assert CANARY in record_bundle(record)["text/html"]
    assert CANARY in repr(runs()) + str(runs()._repr_mimebundle_())
    assert CANARY not in str(run_queue().rows)  # it is over
    records.verify(record)
    records.changes(record)
    records.compare(record, other)
    assert CANARY in records.cite(record)
    records.annotate(record.experiment_id, tags=["seen"])
    for command in ("show", "verify", "changes", "cite"):
        assert main([command, record.experiment_id[:8]]) in (0, 1, 2)


@pytest.mark.parametrize(
    ("name", "path"),
    [("ro-crate", "crate.zip"), ("prov", "run.json"), ("csv", "runs.csv"), ("parquet", "runs.parquet")],
)
def test_exporting_a_record(record, name, path):
    records.export(record.experiment_id, name, path)
    assert Path(path).exists()


def test_importing_a_crate(record, tmp_path):
    records.export(record.experiment_id, "ro-crate", "crate.zip")
    with zipfile.ZipFile("crate.zip", "a") as archive:
        for file in record.record_path.parent.iterdir():
            if file.suffix in (".py", ".pkl", ".ipynb", ".npz"):
                archive.write(file, f"extra/{file.name}")
    store = RunStore(tmp_path / "theirs")
    imported = records.import_crate("crate.zip", store=store)
    [entry] = store.entries()
    assert CANARY in record_bundle(read_record(entry.folder / "record.json"))["text/html"]
    assert not [*entry.folder.rglob("*.py"), *entry.folder.rglob("*.pkl"), *entry.folder.rglob("*.ipynb")]
    assert imported is not None


@pytest.mark.parametrize("name", ["../canary", "/tmp/canary", "a/../../canary", "..\\canary", "C:\\canary", "a/\0b"])
def test_files_of_a_crate_stay_in_it(record, tmp_path, name):
    records.export(record.experiment_id, "ro-crate", "crate.zip")
    with zipfile.ZipFile("crate.zip", "a") as archive:
        info = zipfile.ZipInfo("x")
        info.filename = name
        archive.writestr(info, "escaped")
    before = sorted(tmp_path.rglob("canary"))
    with pytest.raises(LabError):
        records.import_crate("crate.zip", store=tmp_path / "theirs")
    assert sorted(tmp_path.rglob("canary")) == before
    assert not list((tmp_path / "theirs").glob("*/record.json"))
