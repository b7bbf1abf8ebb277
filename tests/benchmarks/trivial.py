"""The model of the recorded run: nothing to compute, 1 MB in, 1 MB out, three parameters, four metrics."""

from __future__ import annotations

from pathlib import Path

from recorded_run import METRICS, OUTPUT, PARAMETERS

from dissmodel_lab import ModelExecutor


class Trivial(ModelExecutor, register=False):
    """Everything that surrounds a run is all that it costs."""

    name = "trivial"

    def load(self, record):
        return record.source.uri

    def run(self, data, record):
        assert {name: record.parameters[name] for name in PARAMETERS} == PARAMETERS
        record.metrics.update(METRICS)
        return OUTPUT

    def save(self, result, record):
        Path(record.output_path).write_bytes(result)
        return record
