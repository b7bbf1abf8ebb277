"""Models for the tests of sweeps, and a driver of one in a process of its own.

``sweep_models.py STORE ENGINE`` begins a sweep of 40 runs in the store, or goes on with the one that is there.
"""

from __future__ import annotations

import datetime as dt
import enum
import os
import sys
import time
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from dissmodel_lab import ModelExecutor
from dissmodel_lab.executor import Parameters

N_RUNS = 40


class Rule(enum.Enum):
    """A choice."""

    MOORE = "moore"
    VON_NEUMANN = "von"


class Plain(ModelExecutor, register=False):
    """A model without input: what its metrics are is known."""

    name = "plain"

    class Parameters(Parameters):
        """All kinds of parameters."""

        rise: float = Field(0.5, ge=0, le=2, json_schema_extra={"unit": "m"})
        """How much the sea rises."""
        years: int = Field(20, ge=1, le=500)
        tide: float | None = 1.0
        rule: Rule = Rule.MOORE
        near: Literal[4, 8] = 4
        wraps: bool = False
        label: str = "a"
        start: dt.date = dt.date(2020, 1, 1)
        rates: list[float] = Field(default_factory=lambda: [0.1])
        api_key: str = ""
        low: float = 0.0
        high: float = 10.0
        seed: int = Field(0, ge=0, le=100)

        @model_validator(mode="after")
        def _ordered(self):
            if self.low > self.high:
                raise ValueError("low must not be above high")
            return self

    def load(self, record):
        """Read nothing."""
        return

    def run(self, data, record):
        """Work out something that depends on rise, years and seed in a known way."""
        given = record.parameters
        return given["rise"] * 10 + given["years"] + given["seed"] * 0.001

    def save(self, result, record):
        """Note it as a metric, and write it."""
        record.metrics["area"] = result
        record.metrics["zones"] = {"north": result / 2}
        record.metrics["name"] = "no number"
        record.metrics["worst"] = float("nan")
        Path(record.output_path).write_text(f"{result}\n", encoding="utf-8")
        return record


class Unlucky(Plain, register=False):
    """Fails for some values, each in its own way."""

    name = "unlucky"

    def run(self, data, record):
        """Fail, die, or do as the other does."""
        years = record.parameters["years"]
        if years == 3:
            raise RuntimeError("no rain in year 3")
        if years == 5:
            os._exit(7)
        if years == 6:
            time.sleep(60)
        return super().run(data, record)


class Slow(Plain, register=False):
    """Takes a while."""

    name = "slow"

    def run(self, data, record):
        """Sleep before it works."""
        time.sleep(float(os.environ.get("SLOW_SECONDS", "0.1")))
        return super().run(data, record)


class Endless(Plain, register=False):
    """Never ends by itself."""

    name = "endless"

    def run(self, data, record):
        """Sleep, a little at a time."""
        while True:
            time.sleep(0.01)


class Undeclared(ModelExecutor, register=False):
    """Declares nothing; what it reads stands in its source."""

    name = "undeclared"

    def load(self, record):
        """Read nothing."""
        return

    def run(self, data, record):
        """Count."""
        return record.parameters.get("n_steps", 10) + record.parameters.get("rate", 0.5)

    def save(self, result, record):
        """Note it as a metric."""
        record.metrics["n"] = result
        return record


def drive(store: str, engine: str) -> Any:
    """Begin a sweep, or go on with the one that is there."""
    from dissmodel_lab.engines import engine_for
    from dissmodel_lab.sweeps import list_sweeps, open_sweep, sweep

    where = engine_for(engine, **({"workers": 2} if engine == "process" else {}))
    try:
        if list_sweeps(store):
            return open_sweep(store).resume(engine=where)
        return sweep(Slow, {"years": f"1:{N_RUNS}"}, engine=where, store=store)
    finally:
        where.shutdown()


if __name__ == "__main__":
    # As workers and later drivers import it: not from __main__.
    import sweep_models

    print(sweep_models.drive(*sys.argv[1:3]), flush=True)
