"""Runs in a process of their own, for the tests of cancelling and of the journal.

``runs_elsewhere.py STORE KIND`` runs a model inline; ``runs_elsewhere.py STORE closers N`` lets N processes close the
store's only record, each of them killed at a random moment.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sys
import threading
import time
from contextlib import suppress

from dissmodel_lab import report_step
from dissmodel_lab.cancelling import close_dead
from dissmodel_lab.executor.testing import SteppingExecutor
from dissmodel_lab.runner import run


class Endless(SteppingExecutor, register=False):
    """Never ends by itself."""

    name = "endless"

    def run(self, data, record):
        kind = record.parameters["kind"]
        record.add_log("it begins")
        if kind == "busy":
            while True:
                pass
        if kind == "asleep":
            time.sleep(600)
        if kind == "in C":
            hashlib.pbkdf2_hmac("sha256", b"", b"", 1_000_000_000)
        for step in range(1, 1_000_000):
            time.sleep(0.01)
            report_step(step, 1_000_000, f"year {step}", {"area": step / 2}, time=2000.0 + step)
        return data


def _run(store, kind):
    options = {"output": "out/result.txt"} if kind == "beside" else {}
    with suppress(KeyboardInterrupt):
        run(Endless, parameters={"kind": kind}, store=store, **options)


def _closers(store, count):
    (path,) = (os.path.join(store, name, "record.json") for name in os.listdir(store) if not name.startswith("."))
    luck = random.Random(5)
    for _ in range(count):
        child = os.fork()
        if child == 0:
            close_dead(__import__("pathlib").Path(path), "failed", "CrashError: killed")
            os._exit(0)
        time.sleep(luck.random() * 0.006)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with open(path, encoding="utf-8") as file:
            print("closed" if '"status": "failed"' in file.read() else "open", flush=True)


if __name__ == "__main__":
    folder, what = sys.argv[1:3]
    if what == "closers":
        _closers(folder, int(sys.argv[3]))
    elif what == "in a thread":
        thread = threading.Thread(target=_run, args=(folder, what))
        thread.start()
        thread.join()
    else:
        _run(folder, what)
