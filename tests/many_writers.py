"""
Run as a script, many times at once on one store: write runs, list them, or build the index anew.

``many_writers.py write STORE COUNT LOG`` begins and ends runs without a model, until LOG holds COUNT ids; each id is
noted there once its run has ended, so that a writer that was killed can be started again.
``many_writers.py list STORE STOP`` lists all runs until the file STOP is there, and ends with an error when one is
listed twice or cannot be read. ``many_writers.py reindex STORE STOP`` reindexes as long. Both print how often.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from dissmodel_lab import RunStore
from dissmodel_lab.executor.schemas import ExperimentRecord, Provenance, utc_now
from dissmodel_lab.processes import process_started


def write(store: RunStore, count: int, log: Path) -> None:
    """Begin and end runs."""
    n_done = len(log.read_text().splitlines()) if log.exists() else 0
    facts = Provenance(hostname=platform.node(), process_id=os.getpid(), process_started=process_started(os.getpid()))
    with log.open("a") as done:
        for number in range(n_done, count):
            record = ExperimentRecord(
                model_name=f"light_{log.stem}",
                parameters={"number": number, "writer": log.stem, "rates": [{"urban": number / count}]},
                status="running",
                started_at=utc_now(),
                provenance=facts,
            )
            folder = store.begin(record)
            record.metrics["twice"] = 2 * number
            record.status = "completed"
            store.end(folder, record)
            done.write(f"{record.experiment_id}\n")
            done.flush()


def look(store: RunStore, stop: Path) -> int:
    """List until told to stop."""
    n_looks = 0
    while not stop.exists():
        entries = store.entries()
        ids = [entry.experiment_id for entry in entries]
        assert len(ids) == len(set(ids)), "a run is listed twice"
        torn = [entry for entry in entries if entry.status == "unreadable"]
        assert not torn, torn[0]
        n_looks += 1
    return n_looks


def reindex(store: RunStore, stop: Path) -> int:
    """Reindex until told to stop."""
    n_times = 0
    while not stop.exists():
        assert store.reindex().n_unreadable == 0
        n_times += 1
    return n_times


if __name__ == "__main__":
    what, store = sys.argv[1], RunStore(sys.argv[2])
    if what == "write":
        write(store, int(sys.argv[3]), Path(sys.argv[4]))
    else:
        print({"list": look, "reindex": reindex}[what](store, Path(sys.argv[3])))
        print(*store.notices, sep="\n", end="")
