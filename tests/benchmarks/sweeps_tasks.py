"""What is run 200 times: the same numbers for everybody, as a function, as an agent model, as an executor."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from dissmodel_lab import ModelExecutor

SECONDS = 0.05


def burn(seed, loops=None):
    """Keep one processor busy: sines of 65,536 numbers, as often as the variable LOOPS says."""
    numbers = np.random.default_rng(seed).random((256, 256))
    total = 0.0
    for _ in range(loops or int(os.environ["LOOPS"])):
        numbers = np.sin(numbers) * 1.0001 + 0.1
        total += float(numbers[0, 0])
    return total


def nothing(seed):
    """Do nothing: what is left is what a task costs."""
    return seed


def loops_of(seconds):
    """Return how many loops take so long on this machine, at its best."""
    burn(0, 20)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        burn(0, 40)
        times.append(time.perf_counter() - began)
    return max(1, round(40 * seconds / min(times)))


class Burning(ModelExecutor, register=False):
    """The same as an executor, whose runs are recorded."""

    name = "burning"

    def load(self, record):
        return record.parameters["seed"]

    def run(self, data, record):
        record.metrics["total"] = burn(data)
        return record.metrics["total"]

    def save(self, result, record):
        Path(record.output_path).write_text(repr(result))
        return record


class Empty(Burning, register=False):
    """A run with nothing in it: what is left is bookkeeping."""

    name = "empty"

    def run(self, data, record):
        return data
