"""Runs that stop in the middle of a step until they are let go, for the tests of what is shown meanwhile."""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager, suppress
from uuid import uuid4

from dissmodel_lab import run
from dissmodel_lab.store import RunStore


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.02)


def text(html):
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


@contextmanager
def held_run(model, is_there, **fields):
    """Carry out a run on another thread; its record, once ``is_there(entry)``. It is let go at the end."""
    model.go.clear()
    fields = {"experiment_id": str(uuid4()), **fields}

    def carry_out():
        with suppress(KeyboardInterrupt):  # a test may cancel it
            run(model, fields=fields)

    thread = threading.Thread(target=carry_out, daemon=True)
    thread.start()
    store = RunStore()
    until(lambda: any(is_there(entry) for entry in store.entries()))
    yield store.read(fields["experiment_id"])
    model.go.set()
    thread.join(30)
