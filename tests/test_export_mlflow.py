"""Runs -> an MLflow tracking store, and back through MLflow's own client."""

from __future__ import annotations

import json
import math
import os
import re
import socket
import sqlite3
import sys
import time
from datetime import timedelta

import pytest
from export_records import BEGAN, failed, finished, foreign, nasty

from dissmodel_lab import ExperimentRecord, run
from dissmodel_lab.annotations import annotate
from dissmodel_lab.errors import ExportError
from dissmodel_lab.exports import mlflow_run
from dissmodel_lab.exports.mlflow_run import export_mlflow

pytest.importorskip("mlflow")


@pytest.fixture
def client(monkeypatch):
    """Open a store as anybody would."""
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return lambda store: MlflowClient(tracking_uri=store.absolute().as_uri())


@pytest.fixture
def read(client):
    """Return all runs of a store."""

    def runs(store):
        opened = client(store)
        ids = [experiment.experiment_id for experiment in opened.search_experiments()]
        return opened.search_runs(ids)

    return runs


@pytest.fixture
def offline(monkeypatch):
    """Fail on any connection."""

    def refuse(*args):
        raise AssertionError(f"a connection was tried: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)  # MLflow keeps quiet when it sees one


def milliseconds(moment):
    return int(moment.timestamp() * 1000)


def test_it_reads_back(tmp_path, client, read):
    store = export_mlflow(finished(), tmp_path / "mlflow")
    (found,) = read(store)
    assert client(store).get_experiment(found.info.experiment_id).name == "flood"
    assert found.info.run_name == "rise=0.5"
    assert found.info.status == "FINISHED"
    assert (found.info.start_time, found.info.end_time) == (
        milliseconds(BEGAN),
        milliseconds(BEGAN + timedelta(seconds=4)),
    )
    assert found.data.params == {
        "rise": "0.5",
        "years": "20",
        "is_open": "true",
        "name": "São Luís",
        "potential.0.betas.dist": "2.388e-07",
        "demand_csv": "data/demand.csv",
    }
    metrics = dict(found.data.metrics)
    assert math.isnan(metrics.pop("rate"))
    assert metrics == {"cells": 12.0, "area": 2.5, "time_total_sec": 4.0}
    tags = found.data.tags
    assert tags["dissmodel_lab.experiment_id"] == finished().experiment_id
    assert tags["dissmodel_lab.sha256.output"] == "cc" * 32
    assert tags["dissmodel_lab.content_sha256.output"] == "dd" * 32
    assert tags["dissmodel_lab.source_sha256"] == "aa" * 32
    assert tags["dissmodel_lab.software.gdal"] == "3.10.3"
    assert tags["dissmodel_lab.seed"] == "42"
    assert tags["mlflow.user"] == "ana"
    assert tags["mlflow.source.git.commit"] == "f" * 40
    assert tags["dissmodel_lab.left_out.output"] == "not here"


def test_a_table_by_year_has_steps(tmp_path, client, read):
    record = finished(metrics={"area": {"2021": 1.5, "2022": 2.5}, "shares": [0.25, 0.5, 0.25]})
    store = export_mlflow(record, tmp_path / "mlflow")
    (found,) = read(store)
    history = {name: client(store).get_metric_history(found.info.run_id, name) for name in ("area", "shares")}
    assert [(point.step, point.value) for point in history["area"]] == [(2021, 1.5), (2022, 2.5)]
    assert [(point.step, point.value) for point in history["shares"]] == [(0, 0.25), (1, 0.5), (2, 0.25)]


def test_outputs_and_record_come_with_it(tmp_path, client, read):
    record = run("game_of_life", parameters={"generations": 2}, store=tmp_path / "runs")
    store = export_mlflow(record, tmp_path / "mlflow")
    (found,) = read(store)
    opened = client(store)
    assert [item.path for item in opened.list_artifacts(found.info.run_id)] == ["outputs", "record.json"]
    copied = opened.download_artifacts(found.info.run_id, "outputs/output/output.tif", str(tmp_path))
    with open(copied, "rb") as file:
        assert file.read() == record.artifact_path().read_bytes()
    noted = opened.download_artifacts(found.info.run_id, "record.json", str(tmp_path))
    with open(noted, encoding="utf-8") as file:
        assert json.load(file)["experiment_id"] == record.experiment_id


def test_only_what_has_the_recorded_hash_is_copied(tmp_path, client, read):
    secret = tmp_path / "id_rsa"
    secret.write_text("private", encoding="utf-8")
    record = foreign(tmp_path, output_path=str(secret))
    (found,) = read(export_mlflow(record, tmp_path / "mlflow"))
    assert found.data.tags["dissmodel_lab.left_out.output"] == "changed since the run"
    names = [path.name for path in (tmp_path / "mlflow").rglob("*") if path.is_file()]
    assert "id_rsa" not in names


def test_outputs_that_are_too_large_are_left_out(tmp_path, read, monkeypatch):
    record = run("game_of_life", parameters={"generations": 2}, store=tmp_path / "runs")
    monkeypatch.setattr(mlflow_run, "_MOST_BYTES", 100)
    (found,) = read(export_mlflow(record, tmp_path / "mlflow"))
    assert found.data.tags["dissmodel_lab.left_out.output"] == "with it, outputs are larger than 0 MB"


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("completed", "FINISHED"),
        ("failed", "FAILED"),
        ("cancelled", "KILLED"),
        ("running", "RUNNING"),
        ("pending", "SCHEDULED"),
        ("odd", "FINISHED"),
    ],
)
def test_status(tmp_path, read, status, told):
    (found,) = read(export_mlflow(finished(status=status), tmp_path / "mlflow"))
    assert found.info.status == told
    assert found.data.tags["dissmodel_lab.status"] == status


def test_a_failed_run_tells_why(tmp_path, read):
    (found,) = read(export_mlflow(failed(), tmp_path / "mlflow"))
    assert found.data.tags["dissmodel_lab.failed_phase"] == "load"
    assert found.data.tags["mlflow.note.content"] == "KeyError: 'elevation'"


def test_a_foreign_run_ends_after_its_time(tmp_path, read):
    record = foreign(tmp_path)
    annotate(record.record_path, tags=["paper"])
    (found,) = read(export_mlflow(record, tmp_path / "mlflow"))
    assert found.info.end_time - found.info.start_time == 4_000
    assert found.data.tags["dissmodel_lab.package"] == "disslucc==0.5.0"
    assert found.data.tags["dissmodel_lab.tags"] == "paper"


def test_a_run_is_added_once(tmp_path, read):
    store = export_mlflow(finished(), tmp_path / "mlflow")
    (found,) = read(store)
    with pytest.raises(ExportError) as raised:
        export_mlflow(finished(), store)
    assert str(raised.value) == (
        f"Run 01234567 is in the MLflow store {str(store)!r} already, as run {found.info.run_id}. Nothing was added."
    )
    assert len(read(store)) == 1


def test_of_many_the_new_ones_are_added(tmp_path, read):
    store = tmp_path / "mlflow"
    many = [finished(experiment_id=f"{i:032x}") for i in range(3)]
    export_mlflow(many[:2], store)
    export_mlflow(iter(many), store)
    assert len(read(store)) == 3
    with pytest.raises(ExportError, match=r"^All 3 runs are in the MLflow store .* already\. Nothing was added\.$"):
        export_mlflow(many, store)
    with pytest.raises(ExportError, match=r"^There is no run to export to .*\. Nothing was added\.$"):
        export_mlflow([], store)


def test_what_cannot_be_added_whole_is_taken_away(tmp_path, read, monkeypatch):
    import mlflow

    def stop(*args, **kwargs):
        raise OSError(28, "No space left on device")

    store = tmp_path / "mlflow"
    monkeypatch.setattr(mlflow.MlflowClient, "log_text", stop)
    with pytest.raises(ExportError) as raised:
        export_mlflow(finished(), store)
    assert str(raised.value) == (
        f"{str(store)!r} cannot be written: No space left on device. Nothing is left of it. "
        "Make room, or choose another --output."
    )
    assert read(store) == []
    monkeypatch.undo()
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    export_mlflow(finished(), store)
    assert len(read(store)) == 1


def test_an_interrupt_takes_it_away_too(tmp_path, read, monkeypatch):
    import mlflow

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(mlflow.MlflowClient, "log_text", stop)
    with pytest.raises(KeyboardInterrupt):
        export_mlflow(finished(), tmp_path / "mlflow")
    assert read(tmp_path / "mlflow") == []


def test_what_a_killed_export_left_is_replaced(tmp_path, client, read, monkeypatch):
    store = export_mlflow(finished(), tmp_path / "mlflow")
    (found,) = read(store)
    opened = client(store)
    opened.delete_tag(found.info.run_id, "dissmodel_lab.export_whole")
    with pytest.raises(ExportError, match=r"^Run 01234567 is being added to .* Try again later\.$"):
        export_mlflow(finished(), store)
    opened.set_tag(found.info.run_id, "dissmodel_lab.export_began", str(int(time.time() - 3_600)))
    export_mlflow(finished(), store)
    (again,) = read(store)
    assert again.info.run_id != found.info.run_id
    assert not list(store.glob(f"*/{found.info.run_id}"))


def test_nothing_is_left_elsewhere(tmp_path, workspace, offline, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://example.org:9")
    monkeypatch.delenv("DO_NOT_TRACK", raising=False)
    before = dict(os.environ)
    export_mlflow(finished(), "deep/mlflow")
    assert dict(os.environ) == before
    assert [path.name for path in workspace.iterdir()] == ["deep"]
    assert not (tmp_path / "home").exists()


def test_hostile_names_and_values(tmp_path, read):
    store = export_mlflow([nasty(), finished()], tmp_path / "a b%20#ü'")
    hostile = next(found for found in read(store) if "a.b" in found.data.params)
    assert set(hostile.data.params) >= {"up", "a.b", "a.b .2", "big"}
    assert hostile.data.params["big"].startswith("0x")
    assert "inf" not in hostile.data.metrics
    assert hostile.data.tags["dissmodel_lab.metric.inf"] == "inf"
    assert hostile.data.tags["dissmodel_lab.metric.yes"] == "true"
    inside = [path.relative_to(tmp_path).parts for path in tmp_path.rglob("*")]
    assert {parts[0] for parts in inside} == {"a b%20#ü'", "work"}


def test_long_texts_and_many_values(tmp_path, read):
    parameters = {"long": "x" * 100_000, "n" * 500: 1, "ü" * 500: 2, **{f"p{i}": i for i in range(300)}}
    (found,) = read(export_mlflow(finished(parameters=parameters, error="y" * 100_000), tmp_path / "mlflow"))
    assert len(found.data.params) == 303
    assert found.data.params["long"].startswith("x" * 5_900 + " ... (24,")
    assert found.data.params["p299"] == "299"
    assert len(found.data.tags["dissmodel_lab.error"]) < 8_000


def test_names_that_differ_in_case_only_are_two(tmp_path, read):
    (found,) = read(export_mlflow(finished(parameters={"Rate": 1, "rate": 2}), tmp_path / "mlflow"))
    assert found.data.params == {"Rate": "1", "rate-2": "2"}


def test_secrets_are_hidden(tmp_path):
    store = export_mlflow(foreign(tmp_path), tmp_path / "mlflow")
    texts = [path.read_text(encoding="utf-8") for path in store.rglob("*") if path.is_file()]
    assert not [text for text in texts if "s3cr3t" in text]
    assert [text for text in texts if text == "***"]


@pytest.mark.parametrize("uri", ["http://127.0.0.1:5000", "databricks://x", "s3://ana:pw@bucket/x"])
def test_other_stores_are_refused(uri):
    with pytest.raises(ExportError) as raised:
        export_mlflow(finished(), uri)
    shown = uri.replace("ana:pw", "***")
    assert str(raised.value) == (
        f"{shown!r} is no MLflow store on this machine. Allowed: a folder, a file that ends in .db or .sqlite, or "
        "their URI (file:///... or sqlite:///...)."
    )


def test_a_file_uri_is_a_folder(tmp_path, read):
    store = export_mlflow(finished(), (tmp_path / "ml flow").as_uri())
    assert store == tmp_path / "ml flow"
    assert len(read(store)) == 1


def test_other_folders_and_files_are_left_alone(tmp_path):
    other = tmp_path / "photos"
    other.mkdir()
    (other / "a.jpg").touch()
    with pytest.raises(ExportError) as raised:
        export_mlflow(finished(), other)
    assert str(raised.value) == f"{str(other)!r} holds something else than an MLflow store. Choose another --output."
    assert [path.name for path in other.iterdir()] == ["a.jpg"]
    database = tmp_path / "index.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE runs (id TEXT)")
    with pytest.raises(ExportError, match=r"holds something else than an MLflow store"):
        export_mlflow(finished(), database)
    (tmp_path / "text.db").write_text("no database", encoding="utf-8")
    with pytest.raises(ExportError, match=r"holds something else than an MLflow store"):
        export_mlflow(finished(), tmp_path / "text.db")


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ExportError) as raised:
        export_mlflow(finished(), tmp_path / "file" / "mlflow")
    assert str(raised.value) == (
        f"{str(tmp_path / 'file' / 'mlflow')!r} cannot be written: Not a directory. Nothing is left of it. "
        "Choose another --output."
    )


@pytest.mark.parametrize("path", ["a?b.db", "a%41.db", "a\0b", "/"])
def test_paths_that_are_none(path):
    with pytest.raises(ExportError, match=r"is no path for an MLflow store"):
        export_mlflow(finished(), path)


def test_a_database_needs_all_of_mlflow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(ExportError) as raised:
        export_mlflow(finished(), tmp_path / "runs.db")
    assert re.fullmatch(
        r"An MLflow store in an SQLite file needs all of MLflow: .*\. Install it: pip install mlflow, or give a "
        r"folder as --output\.",
        str(raised.value),
    )
    assert not (tmp_path / "runs.db").exists()


def test_a_database_reads_back(tmp_path, workspace):
    pytest.importorskip("sqlalchemy")
    pytest.importorskip("alembic")
    from mlflow import MlflowClient

    store = export_mlflow(finished(), tmp_path / "runs.db")
    opened = MlflowClient(tracking_uri=f"sqlite:///{store}")
    experiment = opened.get_experiment_by_name("flood")
    (found,) = opened.search_runs([experiment.experiment_id])
    assert found.data.params["rise"] == "0.5"
    assert (tmp_path / "runs_artifacts" / "flood" / found.info.run_id / "artifacts" / "record.json").is_file()
    assert list(workspace.iterdir()) == []
    with pytest.raises(ExportError, match="already, as run"):
        export_mlflow(finished(), f"sqlite:///{store}")


def test_without_mlflow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(
        ExportError, match=r"needs the library 'mlflow-skinny': .* pip install dissmodel_lab\[export\]$"
    ):
        export_mlflow(finished(), tmp_path / "mlflow")


def test_an_empty_record(tmp_path, client, read):
    store = export_mlflow(ExperimentRecord(), tmp_path / "mlflow")
    (found,) = read(store)
    assert found.info.run_name == "defaults"
    assert client(store).get_experiment(found.info.experiment_id).name == "model"
    assert (found.data.params, found.data.metrics) == ({}, {})
