"""Executors that only the tests' server has: one that waits until it is told to go on, one that raises."""

import threading

import numpy as np

from dissmodel_lab.executor import ModelExecutor, Parameters

GATE = threading.Event()
"""Closed: a run of ``gated`` waits in its phase run."""
ENTERED = threading.Event()


class Gated(ModelExecutor):
    name = "gated"

    class Parameters(Parameters):
        size: int = 4
        years: int = 1

    def load(self, record):
        return np.arange(record.parameters["size"] ** 2, dtype="float32").reshape(1, record.parameters["size"], -1)

    def run(self, data, record):
        ENTERED.set()
        assert GATE.wait(30)
        record.add_log(f"went on for {record.parameters['years']} years")
        return data * record.parameters["years"]

    def save(self, result, record):
        np.save(record.output_path if record.output_path.endswith(".npy") else f"{record.output_path}.npy", result)
        if not record.output_path.endswith(".npy"):
            record.output_path = f"{record.output_path}.npy"
        record.status = "completed"
        return record


class Broken(ModelExecutor):
    name = "broken"

    def load(self, record):
        return None

    def run(self, data, record):
        raise ZeroDivisionError("the model divided by zero")

    def save(self, result, record):
        return record
