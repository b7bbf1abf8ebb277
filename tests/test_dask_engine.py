"""A run on a Dask cluster is a run like any other: the scheduler and its workers here are processes of their own."""

from __future__ import annotations

import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import behaving
import numpy as np
import psutil
import pytest
from behaving import BEHAVING, C_LOOP, command_of

from dissmodel_lab.cancelling import cancel_run
from dissmodel_lab.engines import InlineEngine, ProcessEngine, engine_for
from dissmodel_lab.engines.choice import close_all
from dissmodel_lab.engines.dask import DaskEngine
from dissmodel_lab.errors import EngineError
from dissmodel_lab.executor.events import PhaseFinished, PhaseStarted, RunFinished, RunStarted, StepFinished
from dissmodel_lab.jobs import Limits
from dissmodel_lab.runner import queue_run
from dissmodel_lab.store import RunStore, read_record
from dissmodel_lab.sweeps import sweep

MODEL = (
    '''
"""Executors that behave, and that do not."""
import ctypes, os, signal, subprocess, sys, time
from pathlib import Path
import numpy as np
from dissmodel_lab.executor import ModelExecutor, steps

class Drawing(ModelExecutor):
    """Draws numbers, in steps."""
    name = "drawing"
    def load(self, record):
        return np.arange(1000.0)
    def run(self, data, record):
        numbers = np.random.default_rng(record.parameters["seed"])
        for _ in steps(range(3), values=lambda: {"mean": float(data.mean())}):
            data = data + numbers.normal(size=data.size)
        record.metrics["mean"] = float(data.mean())
        return data
    def save(self, result, record):
        np.savetxt(record.output_path, result)
        return record
'''
    + BEHAVING
)
NAP = "Path('started').touch(); time.sleep(1.5)"
SEGFAULT = "ctypes.string_at(0)"
LOCALHOST = "127.0.0.1"
job = partial(behaving.job, keeps_frames=False)
started = partial(behaving.started, seconds=60)


class Cluster:
    """A scheduler and workers, each a process of its own, as an administrator would start them."""

    def __init__(self, folder, n_workers=2, environment=None):
        self.folder = folder
        self.environment = environment or {}
        self.port = free_port()
        self.address = f"tcp://{LOCALHOST}:{self.port}"
        self.scheduler = self.start_scheduler()
        self.workers = [self.start_worker() for _ in range(n_workers)]

    def start_scheduler(self):
        answers = self._start("scheduler", "--host", LOCALHOST, "--port", str(self.port), "--no-dashboard")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex((LOCALHOST, self.port)) == 0:
                    return answers
            time.sleep(0.05)
        raise AssertionError("no scheduler")

    def start_worker(self, **environment):
        options = ("--nthreads", "1", "--no-dashboard", "--host", LOCALHOST, "--death-timeout", "60")
        return self._start("worker", self.address, *options, environment=environment)

    def _start(self, *command, environment=None):
        with (self.folder / f"{command[0]}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *command],
                cwd=self.folder,
                env={**os.environ, **self.environment, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def processes(self):
        """Every process of the cluster that is there."""
        found = []
        for one in (self.scheduler, *self.workers):
            if one.poll() is None:
                process = psutil.Process(one.pid)
                found += [process, *process.children(recursive=True)]
        return found

    def slots(self):
        """The processes in which runs are carried out."""
        return [one for one in self.processes() if "popen_loky" in command_of(one)]

    def close(self):
        everybody = self.processes()
        for process in everybody:
            try:
                process.kill()
            except psutil.Error:
                continue
        for one in (self.scheduler, *self.workers):
            one.wait(10)
        psutil.wait_procs(everybody, timeout=10)


def free_port():
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A healthy cluster; tests that harm theirs make their own."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.close()


@pytest.fixture
def make_cluster(tmp_path_factory):
    made = []

    def make(**options):
        made.append(Cluster(tmp_path_factory.mktemp("cluster"), **options))
        return made[-1]

    yield make
    for cluster in made:
        cluster.close()


@pytest.fixture
def folder(workspace):
    Path("models.py").write_text(MODEL)
    return workspace


@pytest.fixture
def engine(cluster, folder):
    engine = DaskEngine(cluster.address, timeout=30)
    yield engine
    engine.shutdown(cancel=True)


def notebook(code=MODEL):
    """Return the variables of a notebook in which a cell was run."""
    cell = {"__name__": "__main__"}
    exec(code, cell)
    return cell


def records():
    return [read_record(path) for path in Path("runs").glob("*/record.json")]


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# ------------------------------------------------------------------------------------------ a run like any other


def test_the_same_runs_leave_the_same_outputs_on_every_engine(engine, folder):
    checksums, cell = {}, notebook()
    for where in (InlineEngine(), ProcessEngine(workers=2), engine):
        jobs = [job(model=cell["Drawing"], parameters={"seed": seed}) for seed in range(12)]
        records = [handle.result(timeout=60) for handle in [where.start(one) for one in jobs]]
        checksums[where.name] = [record.output_sha256 for record in records]
        if where is not engine:
            where.shutdown()
    assert len(set(checksums["inline"])) == 12
    assert checksums["dask"] == checksums["process"] == checksums["inline"]


def test_the_same_sweep_leaves_the_same_outputs_on_every_engine(engine, folder):
    checksums = {}
    for where in (InlineEngine(), ProcessEngine(workers=2), engine):
        done = sweep("forest_fire", {"density": "0.5:0.9:5"}, seeds=2, parameters={"n_steps": 20}, engine=where)
        rows = done.rows()
        assert [row.status for row in rows] == ["completed"] * 10
        checksums[where.name] = [read_record(row.record_path).content_sha256["output"] for row in rows]
        if where is not engine:
            where.shutdown()
    assert len(set(checksums["inline"])) == 10
    assert checksums["dask"] == checksums["process"] == checksums["inline"]


def test_both_workers_run_what_is_started_together(engine, folder):
    handles = [engine.start(job("time.sleep(0.2)")) for _ in range(8)]
    processes = {handle.result(timeout=60).provenance.process_id for handle in handles}
    assert engine.n_workers == 2
    assert len(processes) == 2
    assert os.getpid() not in processes


def test_a_run_is_told_as_it_goes(engine, folder):
    events = []
    handle = engine.start(job(model="models:Drawing", parameters={"seed": 1}), observers=[events.append])
    assert handle.result(timeout=60).metrics["mean"] == pytest.approx(499.5, abs=1)
    handle.wait()
    kinds = [type(event) for event in events]
    assert kinds[0] is RunStarted
    assert kinds[-1] is RunFinished
    assert [event.phase.value for event in events if isinstance(event, PhaseStarted)] == [
        "validate",
        "load",
        "run",
        "save",
    ]
    assert [event.step for event in events if isinstance(event, StepFinished)][-1] == 3
    assert kinds.count(PhaseFinished) == 4


def test_a_class_of_the_notebook_travels(engine, folder):
    cell = notebook(MODEL.replace('"done"', 'f"of a cell: {data}"'))
    record = engine.start(job("data += 1", model=cell["Behaving"])).result(timeout=60)
    assert Path(record.output_path).read_text() == "of a cell: 1"


def test_large_data_in_memory_travels_without_a_warning(engine, folder):
    data = np.zeros(2_000_000)
    do = "record.metrics['sum'] = float(data.sum())"
    record = engine.start(job(do, data=(data + 1,))).result(timeout=60)
    assert record.metrics["sum"] == 2_000_000


def test_the_models_own_exception_comes_back(engine, folder):
    handle = engine.start(job("raise LookupError('no such cell')"))
    with pytest.raises(LookupError, match="no such cell"):
        handle.result(timeout=60)
    assert handle.record.status == "failed"


def test_what_is_queued_is_pending_on_disk_and_run_once(engine, folder):
    Path("runs").mkdir()
    record = queue_run(notebook()["Behaving"], parameters={"do": "pass"}, store="runs")
    one = job(experiment_id=record.experiment_id, folder_name=record.record_path.parent.name, is_queued=True)
    assert engine.start(one).result(timeout=60).status == "completed"
    again = engine.start(one).wait(timeout=60)
    assert (again.status, again.record_path) == ("completed", record.record_path.absolute())
    assert len(records()) == 1


def test_a_higher_priority_goes_first(folder):
    with DaskEngine(workers=1) as engine:
        first = engine.start(job(NAP))
        started()
        low = [engine.start(job()) for _ in range(4)]
        high = [engine.start(job(), priority=5) for _ in range(4)]
        moments = {handle: handle.result(timeout=60).started_at for handle in (first, *low, *high)}
    queued_in_the_engine = low[2:]  # what Dask has taken already is sorted by Dask, one task ahead
    assert max(moments[handle] for handle in high) < min(moments[handle] for handle in queued_in_the_engine)


def test_short_runs_travel_together_and_each_comes_back(engine, folder, monkeypatch):
    monkeypatch.setattr("dissmodel_lab.engines.dask._SHORT", 4.0)  # on a busy machine, a short run takes its time
    submit, sizes = engine._reach.submit, []

    def counting(loads, priority):
        sizes.extend(len(pickle.loads(load)) for load in loads)
        return submit(loads, priority)

    engine._reach.submit = counting
    handles = [engine.start(job(f"record.metrics['n'] = {number}")) for number in range(120)]
    assert [handle.result(timeout=120).metrics["n"] for handle in handles] == list(range(120))
    assert sum(sizes) == 120
    assert max(sizes) > 1
    assert sizes[:2] == [1, 1]
    assert not engine._open
    assert not engine._sent


# ------------------------------------------------------------------------------------------ ends before the end


def test_a_loop_of_c_is_cancelled_and_the_others_go_on(engine, folder):
    handles = [engine.start(job(C_LOOP)), *(engine.start(job("time.sleep(0.1)")) for _ in range(6))]
    started()
    began = time.monotonic()
    handles[0].cancel("too slow")
    with pytest.raises(KeyboardInterrupt):
        handles[0].result(timeout=60)
    assert time.monotonic() - began < 30
    record = handles[0].record
    assert (record.status, list(record.phases)) == ("cancelled", ["validate", "load", "run"])
    assert [handle.result(timeout=60).status for handle in handles[1:]] == ["completed"] * 6


def test_a_request_on_disk_ends_a_run(engine, folder):
    handle = engine.start(job(C_LOOP))
    started()
    answer = cancel_run(RunStore("runs"), handle.experiment_id, "from another notebook")
    assert answer.outcome == "asked"
    assert handle.wait(timeout=60).status == "cancelled"
    assert "from another notebook" in handle.record.error


def test_what_waits_is_cancelled_at_once_and_leaves_no_folder(folder):
    with DaskEngine(workers=1) as engine:
        first = engine.start(job("Path('started').touch(); time.sleep(6)"))
        started()
        waiting = [engine.start(job("Path('ran').touch()")) for _ in range(8)]
        for handle in waiting:
            handle.cancel("not needed")
        assert {handle.wait(timeout=60).status for handle in waiting} == {"cancelled"}
        assert first.status == "running"
        assert first.result(timeout=60).status == "completed"
    assert not Path("ran").exists()
    assert not any(handle.folder.exists() for handle in waiting)


def test_a_pending_record_is_closed_when_its_job_is_cancelled(folder):
    with DaskEngine(workers=1) as engine:
        first = engine.start(job(NAP))
        started()
        record = queue_run(notebook()["Behaving"], parameters={"do": "pass"}, store="runs")
        name = record.record_path.parent.name
        handle = engine.start(job(experiment_id=record.experiment_id, folder_name=name, is_queued=True))
        time.sleep(0.3)
        handle.cancel("not needed")
        assert handle.wait(timeout=60).status == "cancelled"
        first.wait(timeout=60)
    record = read_record(record.record_path)
    assert (record.status, record.error) == ("cancelled", "KeyboardInterrupt: not needed")


def test_a_segfault_ends_one_run_with_its_reason(engine, folder):
    handles = [engine.start(job(do)) for do in ("pass", SEGFAULT, "pass", "os._exit(7)", "pass", "pass")]
    outcomes = [handle.wait(timeout=60) for handle in handles]
    assert [outcome.status for outcome in outcomes] == [
        "completed", "failed", "completed", "failed", "completed", "completed",
    ]  # fmt: skip
    assert "SIGSEGV" in handles[1].record.error
    assert "exit code 7" in handles[3].record.error


def test_limits_hold_there_too(engine, folder):
    eater = engine.start(job("x = np.ones(10**8); time.sleep(30)", limits=Limits(memory_bytes=400 * 1024**2)))
    sleeper = engine.start(job("time.sleep(30)", limits=Limits(seconds=0.5)))
    assert [eater.wait(timeout=30).status, sleeper.wait(timeout=30).status] == ["failed", "failed"]
    assert "went beyond its limit of 400 MiB of memory" in eater.record.error
    assert "went beyond its limit of 0.5 s" in sleeper.record.error


# ------------------------------------------------------------------------------------------ a cluster in trouble


def test_a_worker_that_is_killed_with_its_run_fails_that_run_alone(make_cluster, folder):
    cluster = make_cluster()
    with DaskEngine(cluster.address, timeout=30) as engine:
        victim = engine.start(job("Path('victim').touch(); time.sleep(60)"))
        started("victim")
        others = [engine.start(job("time.sleep(0.2)")) for _ in range(10)]
        at_work = psutil.Process(victim.record.provenance.process_id)
        dask_worker = at_work.parent()
        dask_worker.kill()
        at_work.kill()
        assert [handle.result(timeout=60).status for handle in others] == ["completed"] * 10
        outcome = victim.wait(timeout=60)
    assert outcome.status == victim.record.status == "failed"
    assert victim.record.error == (
        "CrashError: The Dask worker by which it was run ended in the middle of the run, and its process with it."
    )


def test_a_run_outlives_its_worker(make_cluster, folder):
    cluster = make_cluster()
    with DaskEngine(cluster.address, timeout=30) as engine:
        handle = engine.start(job("Path('started').touch(); time.sleep(3)"))
        started()
        psutil.Process(handle.record.provenance.process_id).parent().kill()
        assert handle.result(timeout=60).status == "completed"
    assert len(records()) == 1


@pytest.mark.soak
def test_a_scheduler_that_comes_back_goes_on_with_what_is_left(make_cluster, folder):
    cluster = make_cluster()
    with DaskEngine(cluster.address, timeout=10, patience=60) as engine:
        handles = [engine.start(job("time.sleep(0.3)")) for _ in range(20)]
        until(lambda: sum(handle.done() for handle in handles) >= 3)
        for process in cluster.processes():
            if "loky" not in command_of(process):
                process.kill()
        for one in (cluster.scheduler, *cluster.workers):
            one.wait(10)
        time.sleep(1)
        cluster.scheduler = cluster.start_scheduler()
        cluster.workers = [cluster.start_worker(), cluster.start_worker()]
        assert {handle.wait(timeout=90).status for handle in handles} == {"completed"}
    assert [record.status for record in records()] == ["completed"] * 20


@pytest.mark.soak
def test_a_scheduler_that_stays_away_is_told_for_every_run(make_cluster, folder):
    cluster = make_cluster(n_workers=1)
    with DaskEngine(cluster.address, timeout=2, patience=2) as engine:
        running = engine.start(job("Path('started').touch(); time.sleep(60)"))
        started()
        record = queue_run(notebook()["Behaving"], parameters={"do": "pass"}, store="runs")
        name = record.record_path.parent.name
        queued = engine.start(job(experiment_id=record.experiment_id, folder_name=name, is_queued=True))
        pid = running.record.provenance.process_id
        cluster.close()
        outcomes = [handle.wait(timeout=60) for handle in (running, queued)]
        text = f"The scheduler {cluster.address} is gone, and did not come back within 2 s."
        assert [outcome.status for outcome in outcomes] == ["lost", "failed"]
        assert [outcome.error for outcome in outcomes] == [f"CrashError: {text}", f"EngineError: {text}"]
        assert read_record(record.record_path).error == f"EngineError: {text}"
        until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_a_scheduler_that_never_answers_is_a_message(folder):
    with socket.socket() as silent:
        silent.bind((LOCALHOST, 0))
        silent.listen()
        address = f"tcp://{LOCALHOST}:{silent.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(EngineError) as caught:
            DaskEngine(address, timeout=1)
        assert time.monotonic() - began < 30
    text = str(caught.value)
    assert text.startswith(f"The Dask scheduler '{address}' does not answer within 1 s: ")
    assert text.endswith(
        "Check its address, and that it runs; where it is only slow, set DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT, "
        "such as 60s."
    )


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:1", "nonsense://x", "127.0.0.1", "tcp://no.such.host.invalid:8786"]
)
def test_an_address_of_nobody_is_a_message(folder, address):
    with pytest.raises(
        EngineError, match=rf"^The Dask scheduler '{re.escape(address)}' does not answer within 1 s: "
    ):
        DaskEngine(address, timeout=1)


def test_a_scheduler_without_workers_waits_for_them(make_cluster, folder):
    cluster = make_cluster(n_workers=0)
    with DaskEngine(cluster.address, timeout=20) as engine:
        handle = engine.start(job())
        time.sleep(0.5)
        assert handle.status == "queued"
        cluster.workers.append(cluster.start_worker())
        assert handle.result(timeout=60).status == "completed"


def test_workers_with_another_package_are_refused_with_both_versions(make_cluster, folder, tmp_path, monkeypatch):
    for version, place in (("1.0", "here"), ("2.0", "there")):
        facts = tmp_path / place / f"floodlib-{version}.dist-info"
        facts.mkdir(parents=True)
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: floodlib\nVersion: {version}\n")
        (facts / "top_level.txt").write_text("floodlib\n")
        (facts / "RECORD").write_text("floodlib.py,,\n")
        (tmp_path / place / "floodlib.py").write_text(MODEL)
    cluster = make_cluster(n_workers=1, environment={"PYTHONPATH": str(tmp_path / "there")})
    monkeypatch.syspath_prepend(str(tmp_path / "here"))
    with DaskEngine(cluster.address, timeout=30) as engine:
        until(lambda: engine._reach._client.scheduler_info()["workers"])
        with pytest.raises(EngineError) as caught:
            engine.start(job(model="floodlib:Behaving"))
        assert engine.start(job(model="models.py:Behaving")).result(timeout=60).status == "completed"
    assert re.fullmatch(
        r"The Dask (scheduler|worker) tcp://[\d.:]+ has floodlib 2\.0, this notebook floodlib 1\.0\. "
        r"Install the same versions on both, then run again\.",
        str(caught.value),
    )
    assert len(records()) == 1


def test_workers_with_another_dissmodel_lab_are_refused_also_when_they_come_late(make_cluster, folder, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import dissmodel_lab; dissmodel_lab.__version__ = '0.0.9'")
    from dissmodel_lab import __version__

    cluster = make_cluster(n_workers=0)
    told = rf"The Dask worker tcp://[\d.:]+ has dissmodel_lab 0\.0\.9, this notebook dissmodel_lab {__version__}\. .*"
    with DaskEngine(cluster.address, timeout=30) as engine:
        handle = engine.start(job())
        cluster.workers.append(cluster.start_worker(PYTHONPATH=str(tmp_path)))
        outcome = handle.wait(timeout=60)
    assert outcome.status == "refused"
    assert re.fullmatch(rf"EngineError: {told}", outcome.error)
    with pytest.raises(EngineError) as caught:
        DaskEngine(cluster.address, timeout=30)
    assert re.fullmatch(told, str(caught.value))


@pytest.mark.skipif(sys.platform != "linux", reason="each process sees another /proc/self")
def test_a_store_that_workers_do_not_see_is_refused(engine, folder):
    with pytest.raises(EngineError) as caught:
        engine.start(job(store="/proc/self/cwd/runs"))
    assert re.fullmatch(
        r"The Dask worker tcp://[\d.:]+ does not see the store '/proc/self/cwd/runs'\. Runs are kept in a folder "
        r"that the notebook and all workers share, such as one on a network drive: set --store or "
        r"DISSMODEL_LAB_STORE to one\.",
        str(caught.value),
    )


def test_a_working_folder_that_workers_do_not_see_is_refused(engine, folder):
    outcome = engine.start(job(working_folder="/no/such/folder")).wait(timeout=60)
    assert outcome.status == "refused"
    assert "does not see the working folder '/no/such/folder'" in outcome.error


def test_what_cannot_travel_is_named(engine, folder):
    with pytest.raises(EngineError, match="its parameter 'lock' is a lock, which exists in this process alone"):
        engine.start(job(parameters={"lock": threading.Lock()}))


def test_workers_of_a_foreign_cluster_cannot_be_chosen(folder):
    with pytest.raises(
        EngineError, match=r"^The workers of a cluster that is there already cannot be chosen\. Leave workers out\.$"
    ):
        DaskEngine("tcp://127.0.0.1:1", workers=2)


# ------------------------------------------------------------------------------------------ coming and going


def test_a_clients_and_a_clusters_owner_keep_them(cluster, folder):
    from distributed import Client, LocalCluster

    with Client(cluster.address, set_as_default=False) as client:
        with DaskEngine(client) as engine:
            assert engine.start(job()).result(timeout=60).status == "completed"
        assert client.submit(lambda: 7).result(timeout=60) == 7
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as own:
        with DaskEngine(own) as engine:
            assert engine.start(job()).result(timeout=60).status == "completed"
        assert own.scheduler_info["workers"]


def test_two_notebooks_share_a_cluster(cluster, folder):
    with DaskEngine(cluster.address) as one:
        handle = one.start(job(NAP))
        started()
        with DaskEngine(cluster.address) as other:
            assert other.start(job()).result(timeout=60).status == "completed"
        assert handle.result(timeout=60).status == "completed"


def test_nothing_stays_behind(cluster, folder):
    before = {one.pid for one in cluster.slots()}
    engine = DaskEngine(cluster.address)
    handles = [engine.start(job("time.sleep(0.1)")) for _ in range(4)]
    assert {handle.wait(timeout=60).status for handle in handles} == {"completed"}
    assert {one.pid for one in cluster.slots()} > before
    engine.shutdown()
    until(lambda: {one.pid for one in cluster.slots()} <= before)
    assert all(one.status() != psutil.STATUS_ZOMBIE for one in cluster.processes())
    assert [path.name for path in Path("runs").iterdir() if path.name.startswith(".dissmodel")] == []
    with pytest.raises(EngineError, match=r"^The engine dask is closed\. Start the run again\.$"):
        engine.start(job())


def test_shutdown_cancels_when_it_is_told_to(cluster, folder):
    engine = DaskEngine(cluster.address)
    handles = [engine.start(job(C_LOOP)), *(engine.start(job("time.sleep(30)")) for _ in range(5))]
    started()
    began = time.monotonic()
    engine.shutdown(cancel=True)
    assert time.monotonic() - began < 15
    assert {handle.wait(timeout=1).status for handle in handles} == {"cancelled"}


def test_engine_for_keeps_one_for_an_address(cluster, folder):
    engine = engine_for("dask", address=cluster.address)
    assert engine_for("dask", address=cluster.address) is engine
    assert engine.start(job()).result(timeout=60).status == "completed"
    close_all()
    with pytest.raises(EngineError):
        engine.start(job())


def test_dask_is_loaded_only_for_who_asks_for_it(folder):
    code = (
        "import sys, dissmodel_lab, dissmodel_lab.engines as engines\n"
        "engines.engine_for('inline'), engines.engine_for('process', workers=1), dissmodel_lab.run\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('dask', 'distributed')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


SCRIPT = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_dask_engine import job, started, NAP
from dissmodel_lab.engines import engine_for

if __name__ == "__main__":
    engine = engine_for("dask", **{options!r})
    first = engine.start(job())
    first.result(timeout=60)
    one = engine.start(job(NAP, folder_name="kept", ends_with_kernel={ends}))
    waiting = [engine.start(job(folder_name=f"waiting{{n}}")) for n in range(1 if {options!r}.get("workers") else 4)]
    started()
"""


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("where", ["own", "cluster"])
def test_the_end_of_the_notebook_says_nothing_and_leaves_what_is_to_go_on(cluster, folder, where, ends):
    options = {"workers": 1} if where == "own" else {"address": cluster.address}
    Path("script.py").write_text(SCRIPT.format(tests=str(Path(__file__).parent), options=options, ends=ends))
    before = {one.pid for one in cluster.slots()}
    done = subprocess.run([sys.executable, "-W", "error", "script.py"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    path = Path("runs", "kept", "record.json")
    until(lambda: read_record(path).status != "running")
    assert read_record(path).status == ("cancelled" if ends else "completed")
    until(lambda: {one.pid for one in cluster.slots()} <= before)


def test_a_notebook_that_is_killed_leaves_no_process_and_no_open_record(folder):
    Path("script.py").write_text(
        SCRIPT.format(tests=str(Path(__file__).parent), options={"workers": 1}, ends=False) + "    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "script.py"])
    until(lambda: Path("runs", "kept", "record.json").exists())
    pid = read_record(Path("runs", "kept", "record.json")).provenance.process_id
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    until(lambda: read_record(Path("runs", "kept", "record.json")).status == "completed")
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
