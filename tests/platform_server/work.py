"""The queue and the workers: they run real models, and keep what the platform keeps of them, mistakes included."""

import importlib
import itertools
import os
import queue
import tempfile
import threading
import tomllib
from pathlib import Path

from dissmodel.executor.schemas import ExperimentRecord

from dissmodel_lab.resolve import resolve_class
from dissmodel_lab.runner import run
from dissmodel_lab.sources import file_sha256

RANKS = {"high": 0, "normal": 1, "low": 2}
INPUTS, OUTPUTS = "dissmodel-inputs", "dissmodel-outputs"


class Work:
    """Records as JSON by id, as in Redis; a queue by priority; threads that take from it."""

    def __init__(self, s3, registry, n_workers=2):
        self.s3 = s3
        self.registry = registry
        """TOML texts by name."""
        self.records = {}
        self.installed = []
        """What pip would have been asked to install."""
        self.keeps_outputs_local = False
        self.writes_records = True
        self.spoils_outputs = False
        self.spoils_records = False
        self._queue = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(n_workers)]
        for thread in self._threads:
            thread.start()

    def close(self):
        for _ in self._threads:
            self._queue.put((9, next(self._numbers), None))
        for thread in self._threads:
            thread.join(30)

    # ------------------------------------------------------------------------------------------- records

    def keep(self, record):
        self.records[record.experiment_id] = record.model_dump_json()

    def find(self, experiment_id):
        return ExperimentRecord.model_validate_json(self.records[experiment_id])

    def enqueue(self, record, priority="normal"):
        self.keep(record)
        self._queue.put((RANKS[priority], next(self._numbers), record.experiment_id))

    def registered(self, request):
        return self._record(request.model_name, tomllib.loads(self.registry[request.model_name]), request, "abc1234")

    def inline(self, request):
        spec = tomllib.loads(request.model_spec_toml)
        return self._record(spec.get("model", {}).get("name", "inline"), spec, request, "local-inline")

    @staticmethod
    def _record(name, spec, request, commit):
        uri = request.input_dataset
        record = ExperimentRecord(
            model_name=name,
            model_commit=commit,
            code_version="0.6.6",
            resolved_spec=spec,
            input_format=request.input_format,
            column_map=request.column_map,
            band_map=request.band_map,
            # Only [model.parameters]: what stands under [model] itself is overlooked.
            parameters={**spec.get("model", {}).get("parameters", {}), **request.parameters},
        )
        record.source.uri = uri
        record.source.type = "s3" if uri.startswith("s3://") else "http" if uri.startswith("http") else "local"
        record.add_log(f"Record created - model={name} commit={commit}")
        return record

    # ------------------------------------------------------------------------------------------- workers

    def wait_until_idle(self):
        """Return when nothing is queued or at work."""
        self._queue.join()

    def _serve(self):
        while True:
            _, _, experiment_id = self._queue.get()
            if experiment_id is None:
                return
            try:
                self._carry_out(experiment_id)
            finally:
                self._queue.task_done()

    def _carry_out(self, experiment_id):
        # The status is not looked at: a cancelled job is run all the same, and "running" is never kept.
        record = self.find(experiment_id)
        try:
            self._run(record)
            record.status = "completed"
        except Exception as error:
            record.status = "failed"
            record.add_log(f"Failed: {error}")
        self.keep(record)

    def _run(self, record):
        model = record.resolved_spec.get("model", {})
        if model.get("package"):
            self.installed.append(model["package"])
        if model.get("executor_module"):
            importlib.import_module(model["executor_module"])
        executor = resolve_class(model["class"])
        with tempfile.TemporaryDirectory() as folder:
            done = run(
                executor,
                parameters=record.parameters,
                source=self._fetched(record.source.uri, folder),
                store=Path(folder, "store"),
            )
            record.source.checksum = done.source.checksum
            record.metrics = done.metrics
            record.logs += done.logs
            self._put(record, done.artifact_path())

    def _fetched(self, uri, folder):
        if not uri.startswith("s3://"):
            return uri or None
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        target = Path(folder, key.rpartition("/")[2])
        self.s3.download_file(bucket, key, str(target))
        return str(target)

    def _put(self, record, output):
        experiment_id, place = record.experiment_id, f"experiments/{record.experiment_id}"
        if output is not None:
            record.output_sha256 = file_sha256(output)
            record.output_path = f"/data/outputs/{output.name}"
            if not self.keeps_outputs_local:
                content = output.read_bytes() + (b"\0" if self.spoils_outputs else b"")
                self.s3.put_object(Bucket=OUTPUTS, Key=f"{place}/{output.name}", Body=content)
                record.output_path = f"s3://{OUTPUTS}/{place}/{output.name}"
        record.status = "completed"
        record.add_log(f"Completed - output={record.output_path} by process {os.getpid()}")
        if self.writes_records:
            text = record.model_dump_json() if not self.spoils_records else record.model_dump_json()[:100]
            self.s3.put_object(Bucket=OUTPUTS, Key=f"{place}/{experiment_id[:8]}.record.json", Body=text.encode())
