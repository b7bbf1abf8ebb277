"""
One recorded run, kept in one of several ways; each way in a process of its own.

``python recorded_run.py WAY FOLDER --once`` makes one run and ends. Without ``--once`` it reads a count
from each line of standard input, makes that many runs and answers with their seconds, as a JSON list.

The run: 3 parameters, 4 metrics, an input of 1 MB hashed, an output of 1 MB written, hashed and stored; of another
size where ``BENCH_RUN_BYTES`` says so.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
import uuid
from pathlib import Path
from typing import Any

SIZE = int(os.environ.get("BENCH_RUN_BYTES", "1_000_000"))
"""Of the input and of the output [bytes]."""
OUTPUT = (b"0123456789abcdef" * (SIZE // 16 + 1))[:SIZE]
PARAMETERS = {"alpha": 0.25, "steps": 40, "method": "weng"}
METRICS = {"kappa": 0.81, "loss": 0.123, "n_cells": 4096.0, "time_s": 0.01}


def make_input(folder: Path) -> Path:
    """Write the input once."""
    path = folder / "input.bin"
    if not path.exists():
        path.write_bytes(os.urandom(SIZE))
    return path


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def floor(folder: Path) -> Any:
    """Floor B: hash both files, write the output into the run's folder, the record in one step with fsync."""
    given = make_input(folder)

    def run() -> None:
        name = uuid.uuid4().hex
        home = folder / name
        home.mkdir()
        record = {"id": name, "params": PARAMETERS, "metrics": METRICS, "status": "completed", "t": time.time()}
        record["in"] = sha256(given)
        (home / "out.bin").write_bytes(OUTPUT)
        record["out"] = sha256(home / "out.bin")
        temporary = home / "record.tmp"
        with temporary.open("w") as file:
            file.write(json.dumps(record))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(home / "record.json")

    return run


def dissmodel_lab(folder: Path) -> Any:
    """Ours, through the front door."""
    from trivial import Trivial

    from dissmodel_lab import run

    given, store = make_input(folder), folder / "experiments"
    return lambda: run(Trivial, source=given, parameters=PARAMETERS, store=store)


def dissmodel(folder: Path) -> Any:
    """PyPI dissmodel: its lifecycle and its record as JSON; no fsync, no index."""
    from dissmodel.executor import DataSource, ExperimentRecord, ModelExecutor, execute_lifecycle
    from dissmodel.io._utils import write_bytes

    given = make_input(folder)

    class Trivial(ModelExecutor):
        name = "trivial"

        def load(self, record):
            record.source.checksum = self._sha256(record.source.uri)
            return record.source.uri

        def run(self, data, record):
            assert {name: record.parameters[name] for name in PARAMETERS} == PARAMETERS
            record.metrics.update(METRICS)
            return OUTPUT

        def save(self, result, record):
            record.output_path = str(folder / record.experiment_id / "out.bin")
            record.output_sha256 = write_bytes(result, record.output_path)
            record.status = "completed"
            return record

    def run() -> None:
        source = DataSource(uri=str(given))
        record = ExperimentRecord(model_name="trivial", source=source, parameters=dict(PARAMETERS))
        record, _ = execute_lifecycle(Trivial(), record)
        path = Path(record.output_path).with_suffix(".record.json")
        path.write_text(record.model_dump_json(indent=2), encoding="utf-8")

    return run


def sacred(folder: Path) -> Any:
    """Sacred's FileStorageObserver; it copies the input, too."""
    import logging

    from sacred import Experiment
    from sacred.observers import FileStorageObserver

    given = make_input(folder)
    logging.disable(logging.CRITICAL)
    experiment = Experiment("bench", save_git_info=False)
    experiment.observers.append(FileStorageObserver(str(folder / "runs"), copy_sources=False))
    experiment.add_config(**PARAMETERS)

    @experiment.main
    def main(_run):
        with experiment.open_resource(str(given), "rb") as file:  # hashes it with MD5
            file.read(1)
        for name, value in METRICS.items():
            experiment.log_scalar(name, value)
        output = folder / "out.bin"
        output.write_bytes(OUTPUT)
        experiment.info["sha256_in"], experiment.info["sha256_out"] = sha256(given), sha256(output)
        experiment.add_artifact(str(output))

    return lambda: experiment.run(options={"--loglevel": "CRITICAL"})


def mlflow_file(folder: Path) -> Any:
    """MLflow with its file store."""
    return _mlflow(folder, (folder / "runs").as_uri())


def mlflow_sqlite(folder: Path) -> Any:
    """MLflow with a SQLite database that exists already, as a user's does after the first run."""
    return _mlflow(folder, f"sqlite:///{folder}/mlflow.db")


def _mlflow(folder: Path, store: str) -> Any:
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # asked for before the import
    import logging

    import mlflow

    given = make_input(folder)
    logging.disable(logging.CRITICAL)
    mlflow.set_tracking_uri(store)
    if mlflow.get_experiment_by_name("bench") is None:
        mlflow.create_experiment("bench", artifact_location=(folder / "artifacts").as_uri())
    mlflow.set_experiment("bench")

    def run() -> None:
        with mlflow.start_run():
            mlflow.log_params(PARAMETERS)
            mlflow.set_tag("input_sha256", sha256(given))
            output = folder / "out.bin"
            output.write_bytes(OUTPUT)
            mlflow.log_artifact(str(output))
            mlflow.set_tag("output_sha256", sha256(output))
            mlflow.log_metrics(METRICS)

    return run


def papermill(folder: Path) -> Any:
    """Papermill: the run is a notebook of one cell, in a kernel of its own."""
    import logging

    import nbformat
    import papermill as pm

    given = make_input(folder)
    logging.disable(logging.CRITICAL)
    notebook = nbformat.v4.new_notebook()
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "python3", "language": "python"}
    defaults = nbformat.v4.new_code_cell("alpha = 0; steps = 0; method = ''; out = ''")
    defaults.metadata["tags"] = ["parameters"]
    body = (
        "import hashlib, json, pathlib\n"
        f"given = hashlib.file_digest(open({str(given)!r}, 'rb'), 'sha256').hexdigest()\n"
        f"pathlib.Path(out).write_bytes((b'0123456789abcdef' * {SIZE // 16 + 1})[:{SIZE}])\n"
        "made = hashlib.file_digest(open(out, 'rb'), 'sha256').hexdigest()\n"
        f"print(json.dumps(dict(given=given, made=made, **{METRICS!r})))"
    )
    notebook.cells = [defaults, nbformat.v4.new_code_cell(body)]
    template = folder / "run.ipynb"
    nbformat.write(notebook, template)

    def run() -> None:
        name = uuid.uuid4().hex
        parameters = {**PARAMETERS, "out": str(folder / f"{name}.bin")}
        pm.execute_notebook(
            str(template), str(folder / f"{name}.ipynb"), parameters, progress_bar=False, log_output=False
        )

    return run


WAYS = {way.__name__: way for way in (floor, dissmodel_lab, dissmodel, sacred, mlflow_file, mlflow_sqlite, papermill)}


def main(name: str, folder: Path, *, once: bool) -> None:
    run = WAYS[name](folder)
    run()
    if once:
        return
    answers = os.fdopen(os.dup(1), "w")  # what the ways print goes elsewhere
    os.dup2(2, 1)
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            began = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - began)
        answers.write(json.dumps(seconds) + "\n")
        answers.flush()
        # The outputs go: in a virtual machine, memory that was never used before costs many times a write.
        for output in folder.rglob("out*.bin"):
            output.unlink()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), once="--once" in sys.argv)
