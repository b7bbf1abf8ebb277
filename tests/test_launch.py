"""One front door for every engine: the same arguments, the same record, the same exceptions."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from dissmodel_lab import launch
from dissmodel_lab.engines import ProcessEngine
from dissmodel_lab.errors import CrashError, EngineError, ExecutorNotFoundError, LabError, ParameterError
from dissmodel_lab.executor import ModelExecutor
from dissmodel_lab.executor.events import RunFinished, RunStarted, StepFinished
from dissmodel_lab.jobs import Limits
from dissmodel_lab.parameters import ModelSpec
from dissmodel_lab.provenance import Caller
from dissmodel_lab.store import RunStore, read_record
from dissmodel_lab.sweeps import sweep

STEPPING = '''
import os, time
from pathlib import Path
from dissmodel_lab.executor import ModelExecutor, steps

class Stepping(ModelExecutor):
    """Counts, and does to its process what it is told to."""
    name = "stepping"
    def load(self, record):
        return record.source.uri
    def run(self, data, record):
        exec(record.parameters.get("do", "pass"))
        for _ in steps(range(int(record.parameters.get("n", 3)))):
            pass
        return f"{data} {record.parameters.get('n', 3)}"
    def save(self, result, record):
        Path(record.output_path).write_text(str(result))
        return record
'''
SLEEP = "Path('started').touch(); time.sleep(60)"


@pytest.fixture
def stepping(workspace, monkeypatch):
    """Give the class, as a module beside the notebook defines it."""
    Path("stepping.py").write_text(STEPPING)
    monkeypatch.syspath_prepend(str(workspace))
    import stepping as module

    yield module.Stepping
    sys.modules.pop("stepping", None)


@pytest.fixture
def engine():
    engine = ProcessEngine(workers=1)
    yield engine
    engine.shutdown(cancel=True)


def started():
    deadline = time.monotonic() + 20
    while not Path("started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("place", ["inline", "process"])
def test_a_run_is_the_same_wherever_it_runs(stepping, engine, place):
    events = []
    Path("in.txt").write_text("7")
    record = launch.run(
        "stepping:Stepping",
        source=Path("in.txt"),
        parameters={"n": 5},
        toml=ModelSpec(parameters={"do": "1 + 1"}),
        output="out/result.txt",
        store="runs",
        observers=[events.append],
        caller=Caller(cell_source="%dissmodel run"),
        fields={"band_map": {"a": "b"}},
        engine="inline" if place == "inline" else engine,
    )
    assert (record.status, record.engine, record.output_path) == ("completed", place, "out/result.txt")
    assert Path("out/result.txt").read_text() == "in.txt 5"
    assert Path("out/result.record.json").read_bytes() == record.record_path.read_bytes()
    assert record.parameter_origins == {"n": "given", "do": "toml"}
    assert record.band_map == {"a": "b"}
    assert record.source.checksum.startswith("7902699b")
    assert record.provenance.cell_source == "%dissmodel run"
    assert (type(events[0]), type(events[-1])) == (RunStarted, RunFinished)
    assert [event.step for event in events if isinstance(event, StepFinished)][-1] == 5
    assert (record.provenance.process_id == os.getpid()) is (place == "inline")
    assert [entry.status for entry in RunStore("runs").entries()] == ["completed"]


def test_a_class_of_the_notebook_is_found_by_its_name_and_travels(engine):
    class Cell(ModelExecutor, register=False):
        name = "cell"

        def load(self, record):
            return 20

        def run(self, data, record):
            return data * record.parameters["times"]

        def save(self, result, record):
            Path(record.output_path).write_text(str(result))
            return record

    Path("cell.toml").write_text('[model]\nclass = "Cell"\n[model.parameters]\ntimes = 2\n')
    for options, times in (({"parameters": {"times": 3}}, 3), ({"toml": "cell.toml"}, 2)):
        record = launch.run("Cell", namespace={"Cell": Cell}, store="runs", engine=engine, **options)
        assert record.artifact_path().read_text() == str(20 * times)
    record = launch.run("cell.toml", namespace={"Cell": Cell}, store="runs", engine=engine)
    assert (record.model_name, record.parameter_origins) == ("cell", {"times": "toml"})
    with pytest.raises(ParameterError, match="The TOML is for the model 'game_of_life'"):
        launch.run(Cell, toml=ModelSpec.from_text('[model]\nclass = "game_of_life"'), store="runs", engine=engine)


def test_an_input_in_memory_travels(stepping, engine):
    record = launch.run(stepping, data=[1, 2], store="runs", engine=engine)
    assert record.artifact_path().read_text() == "[1, 2] 3"
    assert record.logs[0] == "The input was given in memory; it has no path and no checksum."


def test_a_background_run_is_on_disk_before_its_handle_is(stepping, engine):
    busy = launch.run(stepping, parameters={"do": SLEEP}, store="runs", engine=engine, background=True)
    started()
    queued = launch.run(stepping, store="runs", engine=engine, background=True, priority="low")
    assert (queued.record.status, queued.record.engine, queued.status) == ("pending", "process", "queued")
    busy.cancel("make room")
    with pytest.raises(KeyboardInterrupt):
        launch.result_of(busy)
    record = launch.result_of(queued)
    assert record.experiment_id == queued.experiment_id
    assert record.status == "completed"
    assert sorted(entry.status for entry in RunStore("runs").entries()) == ["cancelled", "completed"]


def test_the_models_own_exception_comes_with_the_place_of_the_record(stepping, engine):
    with pytest.raises(ZeroDivisionError) as caught:
        launch.run(stepping, parameters={"do": "1 / 0"}, store="runs", engine=engine)
    [entry] = RunStore("runs").entries()
    assert caught.value.__notes__ == [f"The record of this run is {entry.folder.absolute() / 'record.json'}"]


def test_wrong_parameters_are_refused_in_the_record_as_they_are_inline(engine):
    texts = []
    for place in ("inline", engine):
        with pytest.raises(ParameterError) as caught:
            launch.run("game_of_life", parameters={"generations": "many"}, store="runs", engine=place)
        texts.append(str(caught.value))
    assert texts[0] == texts[1]
    assert [read_record(entry.record_path).failed_phase for entry in RunStore("runs").entries()] == ["validate"] * 2


def test_a_model_that_is_not_there_leaves_nothing(engine):
    with pytest.raises(ExecutorNotFoundError):
        launch.run("stepping_nowhere", store="runs", engine=engine)
    assert RunStore("runs").entries() == []


def test_an_interrupt_cancels_the_run_that_is_waited_for_and_no_other(stepping):
    with ProcessEngine(workers=2) as engine:
        go = "while not Path('go').exists(): time.sleep(0.01)"
        other = launch.run(stepping, parameters={"do": go}, store="runs", engine=engine, background=True)

        def interrupt():
            started()
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            launch.run(stepping, parameters={"do": SLEEP}, store="runs", engine=engine)
        thread.join()
        statuses = {entry.status for entry in RunStore("runs").entries()}
        assert statuses == {"cancelled", "running"}
        Path("go").touch()
        assert other.result(60).status == "completed"


def test_limits_choose_a_worker_and_end_the_run(stepping):
    with pytest.raises(CrashError, match=r"^The run went beyond its limit of 1 s\.$"):
        launch.run(stepping, parameters={"do": "time.sleep(60)"}, store="runs", seconds=1)
    [entry] = RunStore("runs").entries()
    record = read_record(entry.record_path)
    assert (record.status, record.engine, record.limits) == ("failed", "process", {"seconds": 1})


def test_a_model_that_cannot_travel_leaves_a_record_that_says_so(engine):
    class Locked(ModelExecutor, register=False):
        name = "locked"
        lock = threading.Lock()

        def load(self, record):
            return 1

        def run(self, data, record):
            return 1

        def save(self, result, record):
            return record

    with pytest.raises(EngineError, match="its model Locked, its attribute 'lock' is a lock") as caught:
        launch.run(Locked, store="runs", engine=engine)
    [entry] = RunStore("runs").entries()
    assert entry.status == "failed"
    assert read_record(entry.record_path).error == f"EngineError: {caught.value}"
    assert caught.value.__notes__ == [f"The record of this run is {entry.folder.absolute() / 'record.json'}"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "inline", "background": True}, "A run in the background needs a process of its own: "),
        ({"engine": "inline", "seconds": 3}, "A run in this process cannot have limits of time or memory: "),
        ({"priority": "urgent"}, "'urgent' is no priority. Known: low, normal, high."),
        ({"seconds": 0}, "0 is no limit of time. Give a number of seconds above 0."),
        ({"seconds": float("nan")}, "nan is no limit of time. Give a number of seconds above 0."),
        ({"seconds": "soon"}, "'soon' is no limit of time. Give a number of seconds above 0."),
        ({"memory": -5}, "-5 is no amount of memory. Write for example 500MB, 2 GiB, or bytes."),
        ({"memory": "0 GB"}, "'0 GB' is no amount of memory. Write for example 500MB, 2 GiB, or bytes."),
        ({"memory": True}, "True is no amount of memory. Write for example 500MB, 2 GiB, or bytes."),
        ({"engine": "slurm"}, "There is no engine 'slurm'. Known: inline, process, dask, platform."),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(options, message):
    with pytest.raises(EngineError) as caught:
        launch.run("game_of_life", store="runs", **options)
    assert str(caught.value).startswith(message)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("memory", "size"),
    [(1024, 1024), ("500", 500), ("2k", 2048), ("1.5 GiB", 3 * 1024**3 // 2), ("1TB", 1024**4), (None, None)],
)
def test_amounts_of_memory_are_understood(memory, size):
    assert launch.limits_of(memory=memory) == Limits(None, size)


def test_a_working_folder_that_is_gone_is_told(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for engine in ("inline", "process"):
        with pytest.raises(LabError) as caught:
            launch.run("game_of_life", engine=engine, store=tmp_path / "runs")
        assert str(caught.value) == (
            "The folder in which this process works is gone (No such file or directory). "
            "Go to another one: %cd in a notebook, cd in a terminal."
        )
    with pytest.raises(LabError, match=r"^The folder in which this process works is gone"):
        sweep("game_of_life", {"generations": "1,2"}, store=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
