"""
One way of running many tasks on two workers, in a process of its own: ``sweeps_ways.py WAY FOLDER``.

It reads a line ``WHAT COUNT`` and answers with figures as JSON, until its input ends. WHAT is ``burn`` or
``nothing`` (seconds for all tasks), ``cold`` (the same from an empty hand), or what only our own ways know:
``memory`` (a sweep of empty runs), ``start`` (from the request to phase validate), ``inline`` (here).
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

import psutil
import sweeps_tasks as tasks

N_WORKERS = 2


class Forked:
    """The floor: two children of fork, each with its half of the tasks, and nothing else."""

    def open(self):
        pass

    def close(self):
        pass

    def run(self, task, count):
        children = []
        for first in range(N_WORKERS):
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                answer = json.dumps([task(seed) for seed in range(first, count, N_WORKERS)]).encode()
                with os.fdopen(writing, "wb") as file:
                    file.write(answer)
                os._exit(0)
            os.close(writing)
            children.append((child, reading))
        found = []
        for child, reading in children:
            with os.fdopen(reading, "rb") as file:
                found += json.loads(file.read())
            os.waitpid(child, 0)
        return found


class Loky:
    """The library that our engine process stands on."""

    n_workers = N_WORKERS

    def open(self):
        from loky import ProcessPoolExecutor

        self.pool = ProcessPoolExecutor(self.n_workers)
        list(self.pool.map(tasks.nothing, range(self.n_workers)))

    def close(self):
        self.pool.shutdown(wait=True)

    def run(self, task, count):
        return list(self.pool.map(task, range(count)))


class OneOfLoky(Loky):
    """The same with one worker: what handing over a task costs."""

    n_workers = 1


class Joblib:
    """What scikit-learn uses."""

    def open(self):
        from joblib import Parallel

        self.pool = Parallel(n_jobs=N_WORKERS)
        self.run(tasks.nothing, N_WORKERS)

    def close(self):
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor().shutdown(wait=True)

    def run(self, task, count):
        from joblib import delayed

        return self.pool(delayed(task)(seed) for seed in range(count))


class Dask:
    """Dask as it comes: a local cluster of two processes, and the client's map."""

    def open(self):
        from distributed import Client, LocalCluster

        self.cluster = LocalCluster(
            n_workers=N_WORKERS, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50
        )
        self.client = Client(self.cluster)
        self.run(tasks.nothing, 4)

    def close(self):
        self.client.close()
        self.cluster.close()

    def run(self, task, count):
        return self.client.gather(self.client.map(task, range(count), pure=False))


class Mesa:
    """``batch_run`` of Mesa, which makes a pool for every call."""

    def open(self):
        import sweeps_mesa

        self.models = {tasks.burn: sweeps_mesa.Burning, tasks.nothing: sweeps_mesa.Empty}

    def close(self):
        pass

    def run(self, task, count):
        from mesa import batch_run

        numbers = {"number": range(count)}
        return batch_run(self.models[task], numbers, number_processes=N_WORKERS, max_steps=1, display_progress=False)


class Ours:
    """A sweep of ours: every run has its folder, its record, its output and its hashes."""

    engine_name = "process"
    n_workers = N_WORKERS

    def __init__(self, folder):
        self.folder = folder

    def open(self):
        from dissmodel_lab.engines import engine_for

        self.engine = engine_for(self.engine_name, workers=self.n_workers)
        self.run(tasks.nothing, 2 * self.n_workers)

    def close(self):
        from dissmodel_lab.engines.choice import close_all

        close_all()

    def run(self, task, count):
        from dissmodel_lab.sweeps import sweep

        model = {tasks.burn: tasks.Burning, tasks.nothing: tasks.Empty}[task]
        seeds = {"seed": list(range(count))}
        done = sweep(model, seeds, engine=self.engine, store=self.folder, confirmed=True)
        progress = done.progress()
        assert (progress.done, progress.failed) == (count, 0), progress
        return done

    def start(self, count):
        """Return how long it takes from the request to the phase validate, in a warm worker [s]."""
        from uuid import uuid4

        from dissmodel_lab.jobs import Job

        found = []
        for _ in range(count):
            facts = {"experiment_id": uuid4().hex, "folder_name": uuid4().hex, "working_folder": os.getcwd()}
            job = Job(model=tasks.Empty, parameters={"seed": 1}, store=str(self.folder / "single"), **facts)
            began = time.time()
            handle = self.engine.start(job)
            handle.result(timeout=60)
            first = json.loads((handle.folder / "journal.jsonl").read_text().splitlines()[0])
            assert first["phase"] == "validate", first
            found.append(datetime.fromisoformat(first["at"]).timestamp() - began)
        return found

    def memory(self, count):
        """Return the seconds of a large sweep of empty runs, and what this process grew by [bytes]."""
        process, most, is_over = psutil.Process(), 0, threading.Event()
        before = process.memory_info().rss

        def watch():
            nonlocal most
            while not is_over.wait(0.2):
                most = max(most, process.memory_info().rss)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        seconds = timed(lambda: self.run(tasks.nothing, count))
        is_over.set()
        watcher.join()
        return {"seconds": seconds, "grown": max(0, max(most, process.memory_info().rss) - before)}

    def inline(self, count):
        """Return the seconds of as many empty runs here."""
        from dissmodel_lab.runner import run

        def all_of_them():
            for seed in range(count):
                run(tasks.Empty, parameters={"seed": seed}, store=self.folder / "inline")

        return timed(all_of_them)


class OneOfOurs(Ours):
    """The same with one worker."""

    n_workers = 1


class OursOnDask(Ours):
    """The same on a local cluster of Dask."""

    engine_name = "dask"


def timed(call):
    """Return how long a call takes [s]."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def answer(way, what, count):
    """Return the figures for a line of input."""
    if what == "cold":
        way.close()
        return timed(lambda: (way.open(), way.run(tasks.burn, count)))
    if what in ("burn", "nothing"):
        return timed(lambda: way.run(getattr(tasks, what), count))
    return getattr(way, what)(count)


def main():
    """Answer until nobody asks any more."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    makers = {
        "forked": Forked,
        "loky": Loky,
        "one loky": OneOfLoky,
        "joblib": Joblib,
        "dask": Dask,
        "mesa": Mesa,
        "process": lambda: Ours(folder),
        "one process": lambda: OneOfOurs(folder),
        "our dask": lambda: OursOnDask(folder),
    }
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not look like an answer
    way = makers[name]()
    way.open()
    out.write("null\n")
    for line in sys.stdin:
        what, count = line.split()
        out.write(json.dumps(answer(way, what, int(count))) + "\n")
    way.close()


if __name__ == "__main__":
    main()
