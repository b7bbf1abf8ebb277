"""The tasks as agent models, whose one step does all."""

from __future__ import annotations

import sweeps_tasks as tasks
from mesa import DataCollector, Model


class Empty(Model):
    """A model whose step does nothing."""

    task = staticmethod(tasks.nothing)

    def __init__(self, number=0):
        super().__init__()
        self.number = number
        self.total = 0.0
        self.datacollector = DataCollector(model_reporters={"total": "total"})

    def step(self):
        self.total = self.task(self.number)
        self.datacollector.collect(self)


class Burning(Empty):
    """A model whose step keeps a processor busy."""

    task = staticmethod(tasks.burn)
