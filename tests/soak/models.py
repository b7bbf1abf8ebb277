"""Models that cost a millisecond, and whose output can be worked out without them."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from pydantic import BaseModel

from dissmodel_lab.executor import ModelExecutor, report_step
from soak.ledger import Ledger

N_STEPS = 3
PHASES = ("validate", "load", "run", "save")
LEDGER_NAME = "DISSMODEL_LAB_SOAK_LEDGER"
TELL_NAME = "DISSMODEL_LAB_SOAK_TELL"
"""Number of a pipe to which the first letter of each phase is written."""


def output_of(number: int, source: bytes) -> bytes:
    """Return what a run writes: about 4 KB that its number and its input decide."""
    seed = hashlib.sha256(b"%d " % number + source).digest()
    return b"".join(hashlib.sha256(seed + bytes([block])).hexdigest().encode() for block in range(64))


class Soaked(ModelExecutor, register=False):
    """Writes what :func:`output_of` says, in two halves; may stop or eat memory in one phase."""

    name = "soaked"

    class Parameters(BaseModel):
        number: int = 1
        stop_in: str = ""
        stop_seconds: float = 0.0
        eat_in: str = ""

    def validate(self, record):
        result = output_of(record.parameters["number"], Path(record.source.uri).read_bytes())
        Ledger(Path(os.environ[LEDGER_NAME])).begun(record.experiment_id, hashlib.sha256(result).hexdigest())
        self._come_to("validate", record)

    def load(self, record):
        content = Path(record.source.uri).read_bytes()
        self._come_to("load", record)
        return content

    def run(self, data, record):
        result = output_of(record.parameters["number"], data)
        for step in range(1, N_STEPS + 1):
            if step == N_STEPS:
                self._come_to("run", record)
            report_step(step, N_STEPS, values={"size": step})
        return result

    def save(self, result, record):
        with open(record.output_path, "wb", buffering=0) as file:
            file.write(result[:100])
            self._come_to("save", record)
            file.write(result[100:])
        return record

    @staticmethod
    def _come_to(phase, record):
        if told := os.environ.get(TELL_NAME):
            os.write(int(told), phase[0].encode())
        parameters = record.parameters
        if parameters["eat_in"] == phase:
            eaten = []
            while True:
                eaten.append(b"x" * (8 << 20))
        if parameters["stop_in"] == phase:
            time.sleep(parameters["stop_seconds"])
