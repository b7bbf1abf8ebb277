"""Run as a script in a store's folder: start runs in forked children and kill each with SIGKILL.

Half of them are killed inside a known phase, half at a random moment. Prints, as JSON, the phase each
of the first half was in.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from dissmodel_lab import run
from dissmodel_lab.executor.testing import SteppingExecutor

PHASES = ("validate", "load", "run", "save")


class Pausing(SteppingExecutor):
    """Says that it is in a phase and stays there."""

    name = "pausing"

    def __init__(self) -> None:
        self._phase = os.environ.get("PAUSE_IN", "")

    def _maybe(self, phase: str) -> None:
        if phase == self._phase:
            Path(os.environ["PAUSE_MARK"]).touch()
            time.sleep(60)

    def validate(self, record):
        self._maybe("validate")

    def load(self, record):
        self._maybe("load")
        return 50

    def run(self, data, record):
        self._maybe("run")
        return super().run(data, record)

    def save(self, result, record):
        Path(record.output_path).write_text("half of it")
        self._maybe("save")
        return super().save(result, record)


def start(phase: str, mark: Path) -> int:
    """Fork a child that runs; return its process id."""
    child = os.fork()
    if child == 0:
        os.environ["PAUSE_IN"], os.environ["PAUSE_MARK"] = phase, str(mark)
        run(Pausing, parameters={"killed_in": phase})
        os._exit(0)
    return child


def main(count: int) -> None:
    """Start and kill ``count`` runs."""
    luck = random.Random(20261123)
    for number in range(count):
        phase = PHASES[number % 4] if number % 8 < 4 else ""
        mark = Path(f"mark-{number}")
        child = start(phase, mark)
        if phase:
            while not mark.exists():
                time.sleep(0.001)
        else:
            time.sleep(luck.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    print(json.dumps({"killed": count}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
