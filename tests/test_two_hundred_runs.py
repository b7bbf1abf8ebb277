"""Two hundred runs, five of them bad in every way that a model can be: the rest is untouched, the reasons true."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
from pydantic import BaseModel, Field

from dissmodel_lab import sweep
from dissmodel_lab.executor import ModelExecutor
from dissmodel_lab.rasters import Raster, write_raster
from dissmodel_lab.store import read_record

RAISING, DYING, HUNGRY = (17, 90, 163), 44, 121
BAD = (*RAISING, DYING, HUNGRY)
MEMORY = 1_000_000_000


class Noise(ModelExecutor, register=False):
    """Random numbers from a seed; of five seeds it does what it should not."""

    name = "noise"

    class Parameters(BaseModel):
        number: int = Field(1, ge=1, le=200)

    def load(self, record):
        return np.zeros((20, 30))

    def run(self, data, record):
        number = record.parameters["number"]
        if number in RAISING:
            raise ZeroDivisionError(f"number {number} cannot be divided by")
        if number == DYING:
            os.kill(os.getpid(), signal.SIGSEGV)
        if number == HUNGRY:
            self.eat()
        return Raster(array=np.random.default_rng(number).random((1, 20, 30)) + data, bands=("noise",))

    @staticmethod
    def eat():
        kept = []
        while True:
            kept.append(np.ones(4_000_000))
            time.sleep(0.01)

    def save(self, result, record):
        write_raster(result, record.output_path)
        return record


def checksums(done):
    return {
        row.parameters["number"]: read_record(row.record_path).artifacts["output"]
        for row in done.rows()
        if row.status == "completed"
    }


def test_195_complete_and_5_fail_with_true_reasons_and_all_outputs_are_those_of_inline_runs():
    done = sweep(Noise, {"number": "1:200:200"}, workers=2, memory=MEMORY)
    progress = done.progress()
    assert (progress.done, progress.failed, progress.total) == (195, 5, 200)
    errors = {row.parameters["number"]: row.error for row in done.rows() if row.status == "failed"}
    assert sorted(errors) == sorted(BAD)
    for number in RAISING:
        assert errors[number] == f"ZeroDivisionError: number {number} cannot be divided by"
    assert "SIGSEGV" in errors[DYING]
    assert "memory" in errors[HUNGRY]
    assert "954 MiB" in errors[HUNGRY]
    for number in (DYING, HUNGRY):
        record = read_record(done.rows()[number - 1].record_path)
        assert (record.status, record.failed_phase, list(record.phases)[:2]) == (
            "failed",
            "run",
            ["validate", "load"],
        )
    here = sweep(Noise, {"number": [number for number in range(1, 201) if number not in BAD]}, engine="inline")
    assert here.progress().done == 195
    assert checksums(done) == checksums(here)
