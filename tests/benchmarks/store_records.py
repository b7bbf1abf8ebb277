"""
A store of many records, kept in one of several ways; each way in a process of its own.

``python store_records.py WAY FOLDER COUNT make`` makes it. ``... WAY FOLDER COUNT newest`` asks one question and
ends. Without a question it reads questions and how often to ask each from standard input (``newest 15``), and
answers with the seconds, as a JSON list. The first answer to each question is held against the truth.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MODELS = [f"model_{number}" for number in range(10)]
STATUSES = ["completed"] * 9 + ["failed"]
SHOWN = 50
QUESTIONS = ("newest", "filter", "two")


def facts(number: int) -> dict[str, Any]:
    """Say what the record of a number holds."""
    luck = random.Random(number)
    return {
        "experiment_id": hashlib.md5(str(number).encode()).hexdigest(),
        "created_at": BEGIN + timedelta(minutes=number, seconds=luck.random() * 30),
        "model_name": luck.choice(MODELS),
        "parameters": {
            "alpha": round(luck.random(), 4),
            "steps": luck.randrange(10, 100),
            "method": luck.choice(["weng", "lin", "rk4"]),
            "seed": number,
        },
        "metrics": {
            "kappa": round(luck.random(), 4),
            "loss": round(luck.random(), 4),
            "n_cells": 4096,
            "time_run_sec": round(luck.random() * 10, 3),
            "time_total_sec": 12.0,
        },
        "status": luck.choice(STATUSES),
    }


FITS = {
    "newest": lambda record: True,
    "filter": lambda record: (
        record["model_name"] == "model_3"
        and record["status"] == "completed"
        and 0.2 <= record["parameters"]["alpha"] <= 0.3
    ),
    "two": lambda record: 0.2 <= record["metrics"]["kappa"] <= 0.21 and record["parameters"]["steps"] > 50,
}


@cache
def truth(question: str, count: int) -> list[str]:
    """Return the ids of the right answer."""
    found = (record for record in map(facts, range(count - 1, -1, -1)) if FITS[question](record))
    return [record["experiment_id"] for record, _ in zip(found, range(SHOWN), strict=False)]


def runs_of(folder: Path) -> list[str]:
    """Return the folders of runs in a store."""
    return [item.path for item in os.scandir(folder) if not item.name.startswith(".")]


class Ours:
    """A :class:`RunStore`: a folder a run, and the index."""

    def __init__(self, folder: Path, count: int) -> None:
        self._root, self._count = folder / "ours", count

    def make(self) -> None:
        from dissmodel_lab import ExperimentRecord
        from dissmodel_lab.executor.schemas import DataSource, Provenance, utc_now

        self._root.mkdir(parents=True)
        provenance = Provenance(
            executor_class="models.flood:Flood",
            executor_package="models==1.0",
            command="dissmodel-lab run flood",
            versions=dict.fromkeys(("python", "dissmodel_lab", "numpy", "pydantic", "rasterio", "gdal"), "1.2.3"),
            user="ana",
            hostname="office",
            process_id=1,
            working_folder="/home/ana/models",
        )
        for number in range(self._count):
            said = facts(number)
            record = ExperimentRecord(
                **said,
                source=DataSource(uri=f"data/in_{number % 50}.tif", checksum="0" * 64),
                parameter_defaults={"alpha": 0.5, "seed": 0},
                parameter_origins=dict.fromkeys(said["parameters"], "given"),
                artifacts={"output": "1" * 64},
                output_path="output.tif",
                logs=[f"step {step} done" for step in range(5)],
                started_at=utc_now(),
                ended_at=utc_now(),
                provenance=provenance,
            )
            moment = said["created_at"].strftime("%Y%m%dT%H%M%S")
            run = self._root / f"{moment}-{said['model_name']}-{said['experiment_id'][:8]}"
            run.mkdir()
            (run / "record.json").write_text(record.model_dump_json(indent=2), encoding="utf-8")

    def open(self) -> None:
        from dissmodel_lab.store import RunStore

        self._store = RunStore(self._root)
        self._queries: dict[str, Any] = {}

    def _query(self, question: str) -> Any:
        if question not in self._queries:
            self._queries[question] = self._made(question)
        return self._queries[question]

    @staticmethod
    def _made(question: str) -> Any:
        from dissmodel_lab.index import RunQuery

        if question == "newest":
            return RunQuery(limit=SHOWN)
        from dissmodel_lab.conditions import parse_condition

        if question == "filter":
            where = parse_condition("0.2 <= alpha <= 0.3")
            return RunQuery(model="model_3", status="completed", where=where, limit=SHOWN)
        return RunQuery(where=parse_condition("0.2<=kappa<=0.21 and parameters.steps>50"), limit=SHOWN)

    def ask(self, question: str) -> list[str]:
        return [entry.experiment_id for entry in self._store.select(self._query(question))]

    def parse(self) -> None:
        """Read and parse all files: what a rebuilding of the index is held against."""
        from dissmodel_lab import ExperimentRecord

        for run in runs_of(self._root):
            with open(f"{run}/record.json", "rb") as file:
                ExperimentRecord.model_validate_json(file.read())

    def rebuild(self) -> None:
        """Make the index anew."""
        from dissmodel_lab.index import INDEX_NAME

        self._store._index.close()
        shutil.rmtree(self._root / INDEX_NAME)
        assert self._store.reindex().n_records == self._count

    def prepare(self, question: str) -> Any:
        """Get ready what is not timed: a record that is begun; for ``close`` in its folder."""
        if question not in ("insert", "close"):
            return None
        from dissmodel_lab import ExperimentRecord

        record = ExperimentRecord(**{**facts(len(STATUSES)), "status": "running"})
        record.experiment_id = hashlib.md5(os.urandom(8)).hexdigest()
        record.created_at = BEGIN
        return record, self._store.begin(record) if question == "close" else None

    def insert(self, ready: Any) -> None:
        """Begin a run and end it."""
        record, _ = ready
        folder = self._store.begin(record)
        self.close((record, folder))

    def close(self, ready: Any) -> None:
        """End a run: its record is written durably, and indexed."""
        record, folder = ready
        record.status = "completed"
        self._store.end(folder, record)

    def finish(self) -> None:
        """Bring into the index what waits for it: runs that end together are indexed together."""
        from dissmodel_lab.index.arrivals import bring_in

        bring_in(self._root)


class JsonFolder(Ours):
    """The same files without an index: each question reads all of them."""

    def make(self) -> None:
        return

    def open(self) -> None:
        from dissmodel_lab import ExperimentRecord

        self._read = ExperimentRecord.model_validate_json

    def ask(self, question: str) -> list[str]:
        found = []
        for run in runs_of(self._root):
            with open(f"{run}/record.json", "rb") as file:
                record = self._read(file.read())
            if FITS[question](vars(record)):
                found.append(record)
        found.sort(key=lambda record: record.created_at, reverse=True)
        return [record.experiment_id for record in found[:SHOWN]]


class Mlflow:
    """MLflow's sqlite store; its rows are written straight into its tables, as its API takes 30 ms for each."""

    def __init__(self, folder: Path, count: int) -> None:
        self._file, self._count = folder / "mlflow.db", count

    def _client(self) -> Any:
        import logging

        logging.disable(logging.CRITICAL)
        import mlflow

        mlflow.set_tracking_uri(f"sqlite:///{self._file}")
        return mlflow.MlflowClient()

    def make(self) -> None:
        import sqlite3

        self._file.parent.mkdir(parents=True, exist_ok=True)
        client = self._client()
        experiments = {model: client.create_experiment(model) for model in MODELS}
        made = client.create_run(experiments[MODELS[0]])  # its rows are the pattern of all others
        client.log_param(made.info.run_id, "alpha", 1)
        client.log_metric(made.info.run_id, "kappa", 1.0)
        client.set_terminated(made.info.run_id)
        database = sqlite3.connect(self._file)
        database.execute("PRAGMA foreign_keys = off")
        patterns = {name: _pattern(database, name) for name in ("runs", "params", "metrics", "latest_metrics")}
        for name in ("params", "metrics", "latest_metrics", "tags", "runs"):
            database.execute(f"DELETE FROM {name}")
        for first in range(0, self._count, 5_000):
            records = [facts(number) for number in range(first, min(self._count, first + 5_000))]
            with database:
                self._insert(database, patterns, experiments, records)
        database.execute("ANALYZE")
        database.commit()
        database.close()

    @staticmethod
    def _insert(database: Any, patterns: dict[str, Any], experiments: dict[str, str], records: list[Any]) -> None:
        moments = [int(record["created_at"].timestamp() * 1000) for record in records]
        runs = [
            {
                "run_uuid": record["experiment_id"],
                "name": "r",
                "experiment_id": int(experiments[record["model_name"]]),
                "start_time": moment,
                "end_time": moment + 1000,
                "status": "FINISHED" if record["status"] == "completed" else "FAILED",
            }
            for record, moment in zip(records, moments, strict=True)
        ]
        parameters = [
            {"run_uuid": record["experiment_id"], "key": name, "value": str(value)}
            for record in records
            for name, value in record["parameters"].items()
        ]
        # MLflow's parameters are texts, which have no range: the two that are asked for are metrics, too.
        metrics = [
            {"run_uuid": record["experiment_id"], "key": name, "value": float(value), "timestamp": moment}
            for record, moment in zip(records, moments, strict=True)
            for name, value in {
                **record["metrics"],
                **{f"p_{name}": record["parameters"][name] for name in ("alpha", "steps")},
            }.items()
        ]
        for name, rows in (("runs", runs), ("params", parameters), ("metrics", metrics), ("latest_metrics", metrics)):
            pattern = patterns[name]
            marks = ", ".join("?" * len(pattern))
            database.executemany(
                f"INSERT INTO {name} ({', '.join(pattern)}) VALUES ({marks})",
                [list({**pattern, **row}.values()) for row in rows],
            )

    def open(self) -> None:
        self._mlflow = self._client()
        self._experiments = {found.name: found.experiment_id for found in self._mlflow.search_experiments()}

    def ask(self, question: str) -> list[str]:
        everything = list(self._experiments.values())
        where = {
            "newest": (everything, ""),
            "filter": (
                [self._experiments["model_3"]],
                "metrics.p_alpha >= 0.2 and metrics.p_alpha <= 0.3 and attributes.status = 'FINISHED'",
            ),
            "two": (everything, "metrics.kappa >= 0.2 and metrics.kappa <= 0.21 and metrics.p_steps > 50"),
        }[question]
        found = self._mlflow.search_runs(*where, order_by=["attributes.start_time DESC"], max_results=SHOWN)
        return [run.info.run_id for run in found]

    def prepare(self, question: str) -> Any:
        return facts(len(STATUSES))

    def insert(self, record: Any) -> None:
        """Make a run through the API."""
        from mlflow.entities import Metric, Param

        made = self._mlflow.create_run(self._experiments[record["model_name"]])
        self._mlflow.log_batch(
            made.info.run_id,
            [Metric(name, float(value), 0, 0) for name, value in record["metrics"].items()],
            [Param(name, str(value)) for name, value in record["parameters"].items()],
        )
        self._mlflow.set_terminated(made.info.run_id)


def _pattern(database: Any, table: str) -> dict[str, Any]:
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    return dict(zip(columns, database.execute(f"SELECT * FROM {table} LIMIT 1").fetchone(), strict=True))


WAYS = {"ours": Ours, "json": JsonFolder, "mlflow": Mlflow}


def _timed(way: Any, question: str, times: int) -> list[float]:
    seconds = []
    if question in ("insert", "close") and hasattr(way, "finish"):
        way.finish()
    for _ in range(times):
        ready = way.prepare(question) if hasattr(way, "prepare") else None
        began = time.perf_counter()
        if question in QUESTIONS:
            way.ask(question)
        elif question in ("insert", "close"):
            getattr(way, question)(ready)
        else:
            getattr(way, question)()
        seconds.append(time.perf_counter() - began)
    if question in ("insert", "close") and hasattr(way, "finish"):
        began = time.perf_counter()
        way.finish()
        share = (time.perf_counter() - began) / times
        seconds = [one + share for one in seconds]
    return seconds


def main(name: str, folder: Path, count: int, question: str) -> None:
    way = WAYS[name](folder, count)
    if question == "make":
        way.make()
        return
    way.open()
    if question:
        assert len(way.ask(question)) == SHOWN
        return
    answers = os.fdopen(os.dup(1), "w")  # what the ways print goes elsewhere
    os.dup2(2, 1)
    answers.write("ready\n")
    answers.flush()
    checked = set()
    for line in sys.stdin:
        asked, times = line.split()
        if asked in QUESTIONS and asked not in checked:
            assert way.ask(asked) == truth(asked, count), f"{name} answers {asked} wrongly"
            checked.add(asked)
        answers.write(json.dumps(_timed(way, asked, int(times))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else "")
