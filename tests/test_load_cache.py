"""A run whose input comes from the cache is the same run: same output, same record, whatever the model does to it."""

from __future__ import annotations

import copy
import os
import time
from typing import ClassVar

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dissmodel_lab as lab
from dissmodel_lab.executor import DataSource, ModelExecutor, report_step
from dissmodel_lab.executor.schemas import ExperimentRecord
from dissmodel_lab.load_cache import LoadCache
from dissmodel_lab.load_cache import cache as cache_module
from dissmodel_lab.load_cache.copies import KeptValue, NotKeptError
from dissmodel_lab.runner import run

ROOM = 50_000_000


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Files that were written just now count as old ones: one test looks at that by itself."""
    monkeypatch.setattr(cache_module, "_SETTLED", -3600.0)


class Base(ModelExecutor, register=False):
    """It loads an array, spoils it in place, and saves it."""

    name = "base"

    def load(self, record):
        return np.load(record.source.uri)

    def run(self, data, record):
        data += record.parameters.get("add", 1)
        return data

    def save(self, result, record):
        record.output_path = str(record.output_path).removesuffix(".tif") + ".npy"
        with open(record.output_path, "wb") as file:
            np.save(file, np.ascontiguousarray(result))
        return record


class Plain(Base, register=False):
    """Nothing but that."""


class Fortran(Base, register=False):
    """Whose sum depends on how the array lies in memory."""

    def load(self, record):
        return np.asfortranarray(np.load(record.source.uri) / 7)

    def run(self, data, record):
        data[0] += 1
        return np.array([data.sum(), data.ravel(order="K").sum()]) + data.flags.f_contiguous


class Strided(Base, register=False):
    """A view with gaps: a copy would lie differently."""

    def load(self, record):
        return np.load(record.source.uri)[:, ::2]


class Views(Base, register=False):
    """What is done to one array is done to the other."""

    def load(self, record):
        whole = np.load(record.source.uri)
        return whole, whole[0]

    def run(self, data, record):
        whole, row = data
        row += 100
        return whole


class Twice(Base, register=False):
    """The same array under two names: no view, and it stays the same."""

    def load(self, record):
        whole = np.load(record.source.uri)
        return {"a": whole, "b": whole}

    def run(self, data, record):
        data["a"] += 1
        return data["b"] + (data["a"] is data["b"])


class ReadOnly(Base, register=False):
    """Whose author finds out that it cannot be written."""

    def load(self, record):
        data = np.load(record.source.uri)
        data.flags.writeable = False
        return data

    def run(self, data, record):
        try:
            data += 1
        except ValueError:
            return np.array([-1])
        return data


class Mapped(Base, register=False):
    """A file in memory."""

    def load(self, record):
        return np.load(record.source.uri, mmap_mode="c")


class Objects(Base, register=False):
    """Lists in a table's column: pandas copies only the references to them."""

    def load(self, record):
        table = pd.DataFrame({"name": ["a", "b"], "cells": [[1], [2, 3]]})
        table.attrs["note"] = {"seen": []}
        return table, np.load(record.source.uri)

    def run(self, data, record):
        table, grid = data
        table["cells"][0].append(5)
        table.attrs["note"]["seen"].append(1)
        return grid + sum(map(len, table["cells"])) * 10 + len(table.attrs["note"]["seen"])


class Geo(Base, register=False):
    """A table of geometries, changed in place."""

    def load(self, record):
        grid = np.load(record.source.uri)
        return geopandas.GeoDataFrame(
            {"height": grid.ravel(), "kind": "wood"},
            geometry=shapely.box(np.arange(grid.size), 0, np.arange(grid.size) + 1.0, 2),
            crs="EPSG:31983",
        )

    def run(self, data, record):
        data["height"] += record.parameters.get("add", 1)
        data.loc[0, "kind"] = "sea"
        data.loc[1, "geometry"] = shapely.Point(0, 0).buffer(3)
        near = data.sindex.query(shapely.box(0, 0, 3, 1)).size
        return np.array([data["height"].sum(), (data["kind"] == "wood").sum(), near, data.area.sum()])


class Keeping(Base, register=False):
    """It keeps on itself what it loaded, and looks at it later."""

    def load(self, record):
        self.grid = np.load(record.source.uri)
        self.n_cells = self.grid.size
        return self.grid

    def run(self, data, record):
        data += 1
        return self.grid + self.n_cells


class Prepared(Base, register=False):
    """It reads its parameters in validate, and loads by what it kept of them."""

    def validate(self, record):
        self.factor = record.parameters.get("add", 1)

    def load(self, record):
        return np.load(record.source.uri) * self.factor


class Telling(Base, register=False):
    """It writes into the record what dissmodel's executors write there."""

    def load(self, record):
        data = np.load(record.source.uri)
        record.source.checksum = "of its own making"
        record.source.version = "2"
        record.add_log(f"Loaded {data.shape}")
        record.metrics["n_cells"] = data.size
        record.metrics |= {"mean": float(data.mean())}
        return data


class ByParameter(Base, register=False):
    """What it loads depends on one parameter of two, and on a default of its own."""

    def load(self, record):
        p = record.parameters
        return np.load(record.source.uri)[: p["rows"]] * p.get("gain", 2)


class BySpec(Base, register=False):
    """It reads as older executors do."""

    def load(self, record):
        return np.load(record.source.uri)[: record.resolved_spec["model"]["parameters"]["rows"]]


class ByColumns(Base, register=False):
    """It reads another field of the record."""

    def load(self, record):
        return np.load(record.source.uri) * len(record.column_map)


class ById(Base, register=False):
    """Another one in each run."""

    def load(self, record):
        return np.load(record.source.uri) * (len(record.experiment_id) > 3)


class Whole(Base, register=False):
    """The record in one piece."""

    def load(self, record):
        return np.load(record.source.uri) * bool(record.model_dump())


class Changing(Base, register=False):
    """It changes a parameter of the run."""

    def load(self, record):
        record.parameters["add"] = 50
        return np.load(record.source.uri)


class Sharing(Base, register=False):
    """It hands out a part of the record."""

    def load(self, record):
        return {"grid": np.load(record.source.uri), "table": record.parameters["table"]}

    def run(self, data, record):
        data["table"].append(1)
        return data["grid"] + len(record.parameters["table"])


class Random(Base, register=False):
    """Never the same: by the global generator, which its code does not name."""

    def load(self, record):
        return np.load(record.source.uri) + _some_numbers(3)


def _some_numbers(n):
    return getattr(getattr(np, "ran" + "dom"), "rand")(n)  # noqa: B009


class Clocked(Base, register=False):
    """Never the same."""

    def load(self, record):
        return np.load(record.source.uri) * 0 + time.time()


class Caching(Base, register=False):
    """It keeps what it loaded on its class."""

    kept: ClassVar[dict] = {}

    def load(self, record):
        self.kept[len(self.kept)] = 1
        return np.load(record.source.uri) + len(self.kept)


class Stepping(Base, register=False):
    """It tells steps while it loads."""

    def load(self, record):
        report_step(1, 2)
        return np.load(record.source.uri)


class Leaving(Base, register=False):
    """It leaves a file."""

    def load(self, record):
        with open("left.txt", "a") as file:
            file.write("x")
        return np.load(record.source.uri) + os.path.getsize("left.txt")


class ByFolder(Base, register=False):
    """It reads a file beside its input, by a library that nobody sees reading."""

    def load(self, record):
        return (
            np.load(record.source.uri) + np.fromfile(os.path.dirname(record.source.uri) + "/beside.bin", "u1").sum()
        )


class ByOther(Base, register=False):
    """It reads a file from somewhere else."""

    def load(self, record):
        with open(os.path.join("else" + "where", "factor.txt")) as file:
            return np.load(record.source.uri) * float(file.read())


class ByNamed(Base, register=False):
    """It reads a file that a parameter names."""

    def load(self, record):
        return np.load(record.source.uri) * float(pd.read_csv(record.parameters["table"]).iloc[0, 0])


class Lock(Base, register=False):
    """What it loads cannot be copied."""

    def load(self, record):
        import threading

        return np.load(record.source.uri), threading.Lock()

    def run(self, data, record):
        return data[0]


class Marked(Base, register=False):
    """A mark that is compared by identity."""

    MARK = object()

    def load(self, record):
        return np.load(record.source.uri), self.MARK

    def run(self, data, record):
        return data[0] + (data[1] is self.MARK)


#: Executor, parameters of the runs one after another, how many of them are spared their load.
CASES = [
    (Plain, [{}, {"add": 2}, {}], 2),
    (Fortran, [{}, {}, {}], 2),
    (Strided, [{}, {}, {}], 0),
    (Views, [{}, {}, {}], 0),
    (Twice, [{}, {}, {}], 2),
    (ReadOnly, [{}, {}], 0),
    (Mapped, [{}, {}], 0),
    (Objects, [{}, {}, {}], 2),
    (Geo, [{}, {"add": 3}, {}], 2),
    (Keeping, [{}, {}, {}], 2),
    (Prepared, [{"add": 2}, {"add": 3}, {"add": 2}], 1),
    (Telling, [{}, {}, {}], 2),
    (ByParameter, [{"rows": 1}, {"rows": 2}, {"rows": 1, "add": 9}, {"rows": 1, "gain": 3}, {"rows": 1}], 2),
    (BySpec, [{"rows": 1}, {"rows": 2}, {"rows": 1, "add": 9}], 1),
    (ByColumns, [{}, {}], 1),
    (ById, [{}, {}], 0),
    (Whole, [{}, {}], 0),
    (Changing, [{"add": 1}, {"add": 1}], 0),
    (Sharing, [{"table": [1]}, {"table": [1]}], 0),
    (Random, [{}, {}], 0),
    (Clocked, [{}, {}], 0),
    (Caching, [{}, {}, {}], 0),
    (Stepping, [{}, {}], 0),
    (Leaving, [{}, {}, {}], 0),
    (Lock, [{}, {}], 0),
    (Marked, [{}, {}], 0),
]


@pytest.fixture
def grid(tmp_path):
    folder = tmp_path / "inputs"
    folder.mkdir()
    np.save(folder / "grid.npy", np.arange(12.0).reshape(4, 3))
    return folder / "grid.npy"


def all_runs(executor, grid, inputs, cache, store):
    np.random.seed(1)  # noqa: NPY002 -- the legacy generator is what is looked at
    Caching.kept.clear()
    if os.path.exists("left.txt"):
        os.remove("left.txt")
    records = []
    for parameters in inputs:
        given = copy.deepcopy(parameters)
        records.append(run(executor, source=str(grid), parameters=given, store=store, load_cache=cache))
    return records


def facts(record):
    """Return what must not depend on whether the input was loaded."""
    timed = [name for name in record.metrics if name.startswith("time_")]
    return {
        "artifacts": record.artifacts,
        "source": record.source.model_dump(),
        "metrics": {name: value for name, value in record.metrics.items() if name not in timed},
        "logs": [line for line in record.logs if not line.startswith("The input was taken")],
        "parameters": record.parameters,
        "origins": record.parameter_origins,
        "defaults": record.defaults_taken,
        "unread": record.unread_parameters,
        "steps": record.steps,
        "type": type(record),
    }


@pytest.mark.parametrize(("executor", "inputs", "n_hits"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_cached_run_equals_one_that_loads(executor, inputs, n_hits, grid, tmp_path):
    without = all_runs(executor, grid, inputs, None, tmp_path / "without")
    cache = LoadCache(ROOM)
    cached = all_runs(executor, grid, inputs, cache, tmp_path / "with")
    fickle = executor is Clocked
    assert fickle or [facts(record) for record in cached] == [facts(record) for record in without]
    assert cache.n_hits == n_hits
    told = [line for record in cached for line in record.logs if line.startswith("The input was taken")]
    assert len(told) == n_hits
    assert {len(record.source.checksum) for record in cached} == {64}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from([Plain, ByParameter, Keeping, Telling, Geo, Prepared]),
            st.fixed_dictionaries({"rows": st.integers(1, 3), "add": st.integers(0, 2)}),
        ),
        max_size=8,
    )
)
def test_any_sequence_of_runs_gives_the_same_outputs(grid, tmp_path, sequence):
    cache = LoadCache(2_000)  # so small that what is kept is given up again and again
    for executor, parameters in sequence:
        seen = [
            run(
                executor,
                source=str(grid),
                parameters=parameters,
                store=tmp_path / "s",
                load_cache=one,
                preflight=False,
            )
            for one in (None, cache)
        ]
        assert facts(seen[0]) == facts(seen[1])
        assert cache.n_bytes <= 2_000


def test_the_line_in_the_log_is_true(grid, tmp_path):
    cache = LoadCache(ROOM)
    first, second = all_runs(ByParameter, grid, [{"rows": 1}, {"rows": 1}], cache, tmp_path / "s")
    line = (
        f"The input was taken from this worker's cache: the run {first.experiment_id[:8]} loaded the same file "
        f"(SHA-256 {first.source.checksum}), with the same gain, rows."
    )
    assert second.logs == [line]
    assert lab.read_record(second.record_path).source.checksum == first.source.checksum


def test_another_file_under_the_same_name_is_loaded(grid, tmp_path):
    cache = LoadCache(ROOM)
    before = run(Plain, source=str(grid), store=tmp_path / "s", load_cache=cache)
    np.save(grid, np.ones((4, 3)))
    after = run(Plain, source=str(grid), store=tmp_path / "s", load_cache=cache)
    assert cache.n_hits == 0
    assert before.source.checksum != after.source.checksum
    assert np.load(after.artifact_path()).tolist() == np.full((4, 3), 2.0).tolist()


def test_the_same_bytes_written_anew_are_not_loaded_again(grid, tmp_path):
    cache = LoadCache(ROOM)
    run(Plain, source=str(grid), store=tmp_path / "s", load_cache=cache)
    grid.write_bytes(grid.read_bytes())
    run(Plain, source=str(grid), store=tmp_path / "s", load_cache=cache)
    assert cache.n_hits == 1


def test_a_file_that_has_just_changed_is_not_trusted(grid, tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module, "_SETTLED", 3600.0)
    cache = LoadCache(ROOM)
    for _ in range(3):
        run(Plain, source=str(grid), store=tmp_path / "s", load_cache=cache)
    assert (cache.n_hits, cache.n_bytes, cache.checksum(grid)) == (0, 0, "")


@pytest.mark.parametrize("executor", [ByFolder, ByOther, ByNamed])
def test_a_change_of_another_file_that_load_reads_is_seen(executor, grid, tmp_path):
    os.mkdir("elsewhere")
    files = {ByFolder: grid.parent / "beside.bin", ByOther: "elsewhere/factor.txt", ByNamed: "table.csv"}

    def write(value):
        with open(files[executor], "w") as file:
            file.write(f"a\n{value}\n" if executor is ByNamed else str(value))

    parameters = {"table": "table.csv"} if executor is ByNamed else {}
    cache = LoadCache(ROOM)
    outputs = []
    for value in (2, 2, 3):
        if value == 3 or not outputs:
            write(value)
        record = run(executor, source=str(grid), parameters=parameters, store=tmp_path / "s", load_cache=cache)
        outputs.append(record.output_sha256)
    assert cache.n_hits == 1
    assert outputs[0] == outputs[1] != outputs[2]


def test_an_input_in_memory_or_from_elsewhere_is_never_kept(grid, tmp_path):
    class Given(Plain, register=False):
        def load(self, record):
            return np.ones(3)

    cache = LoadCache(ROOM)
    for source in (DataSource(type="postgis", uri="postgis://host/table"), None):
        for _ in range(2):
            data = {"data": np.ones(3)} if source is None else {}
            run(Given, source=source, store=tmp_path / "s", load_cache=cache, **data)
    assert (cache.n_hits, cache.n_bytes) == (0, 0)


def test_a_synthetic_input_is_kept_by_its_parameters(tmp_path):
    class Made(Plain, register=False):
        def load(self, record):
            return np.arange(record.parameters["n"])

    cache = LoadCache(ROOM)
    for n in (3, 3, 4):
        run(Made, source="synthetic", parameters={"n": n}, store=tmp_path / "s", load_cache=cache)
    assert cache.n_hits == 1


def test_a_class_of_a_notebook_with_another_variable_is_another_one(grid, tmp_path):
    names = {"ModelExecutor": ModelExecutor, "Plain": Plain, "np": np, "FACTOR": 2, "__name__": "__main__"}
    code = (
        "class Cell(Plain, register=False):\n    def load(self, record):\n"
        "        return np.load(record.source.uri) * FACTOR\n"
    )
    exec(code, names)
    cache, outputs = LoadCache(ROOM), []
    for factor in (2, 2, 3):
        names["FACTOR"] = factor
        record = run(names["Cell"], source=str(grid), store=tmp_path / "s", load_cache=cache)
        outputs.append(record.output_sha256)
    assert outputs[0] == outputs[1] != outputs[2]
    assert cache.n_hits == 1


def test_a_failing_load_fails_each_time_and_leaves_the_record_as_it_was(grid, tmp_path):
    class Failing(Plain, register=False):
        def load(self, record):
            record.add_log("trying")
            raise ValueError("no grid")

    cache = LoadCache(ROOM)
    for _ in range(2):
        with pytest.raises(ValueError, match="no grid"):
            run(Failing, source=str(grid), store=tmp_path / "s", load_cache=cache)
    record = lab.read_record(max((tmp_path / "s").glob("*/record.json")))
    assert (record.status, record.failed_phase, record.logs[0]) == ("failed", "load", "trying")
    assert (cache.n_hits, cache.n_bytes) == (0, 0)


def test_what_was_used_longest_ago_goes_first(grid, tmp_path):
    cache = LoadCache(ROOM)
    inputs = [{"rows": 1}, {"rows": 2}]
    all_runs(ByParameter, grid, inputs, cache, tmp_path / "s")
    cache.room_bytes = cache.n_bytes + 30
    all_runs(ByParameter, grid, [{"rows": 1}, {"rows": 3}, {"rows": 1}, {"rows": 2}], cache, tmp_path / "s")
    assert cache.n_hits == 2
    assert cache.n_bytes <= cache.room_bytes


def test_what_is_larger_than_the_room_is_not_kept(grid, tmp_path):
    cache = LoadCache(90)
    all_runs(Plain, grid, [{}, {}], cache, tmp_path / "s")
    assert (cache.n_hits, cache.n_bytes) == (0, 0)


def test_a_model_that_never_gains_is_watched_no_more(grid, tmp_path, monkeypatch):
    watches = []
    monkeypatch.setattr(cache_module, "LoadWatch", lambda *a: watches.append(1) or original(*a))
    all_runs(Views, grid, [{}] * 6, LoadCache(ROOM), tmp_path / "s")
    assert len(watches) == 3


original = cache_module.LoadWatch


def test_dissmodels_raster_in_memory_is_kept(tmp_path, grid):
    raster = pytest.importorskip("dissmodel.geo.raster.backend")

    class Automaton(Plain, register=False):
        def load(self, record):
            backend = raster.RasterBackend(shape=(4, 3), nodata_value=-1)
            backend.set("uso", np.load(record.source.uri))
            record.source.checksum = "a"
            return backend, {"crs": "EPSG:31983"}

        def run(self, data, record):
            backend, _ = data
            backend.arrays["uso"][1] += 5
            backend.set("age", backend.get("uso") * 2)
            return np.stack(list(backend.arrays.values()))

    without = all_runs(Automaton, grid, [{}, {}, {}], None, tmp_path / "without")
    cache = LoadCache(ROOM)
    cached = all_runs(Automaton, grid, [{}, {}, {}], cache, tmp_path / "with")
    assert [record.artifacts for record in cached] == [record.artifacts for record in without]
    assert cache.n_hits == 2


@pytest.mark.parametrize(
    ("model", "parameters"),
    [("coastal_flood", {"end_year": 2024}), ("forest_fire", {"n_steps": 3})],
)
def test_the_built_in_models_load_once(model, parameters, tmp_path):
    cache, store = LoadCache(ROOM), tmp_path / "s"
    records = [run(model, parameters=parameters, store=store, load_cache=one) for one in (None, cache, cache, cache)]
    assert cache.n_hits == 2
    assert len({record.content_sha256["output"] for record in records}) == 1
    assert len({record.source.checksum for record in records}) == 1
    assert [bool(record.logs) for record in records] == [False, False, True, True]


def test_the_record_is_its_own_class_again_even_when_load_is_interrupted(grid, tmp_path):
    seen = []

    class Interrupted(Plain, register=False):
        def load(self, record):
            seen.append(record)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(Interrupted, source=str(grid), store=tmp_path / "s", load_cache=LoadCache(ROOM))
    assert type(seen[0]) is ExperimentRecord
    assert seen[0].status == "cancelled"


def test_a_value_that_cannot_be_copied_exactly_is_refused():
    for value in (object(), iter([1]), (x for x in "ab"), np.ma.masked_array([1], [True])):
        with pytest.raises(NotKeptError):
            KeptValue(value, room_bytes=ROOM)


def test_a_worker_loads_once_for_many_runs(tmp_path):
    from dissmodel_lab.engines import ProcessEngine
    from dissmodel_lab.launch import queue_job, start_queued

    store = tmp_path / "s"
    source = run("coastal_flood", parameters={"end_year": 2022}, store=store).source.uri
    time.sleep(2.1)  # a file that has just been written may still change
    with ProcessEngine(workers=1) as engine:
        handles = []
        for rise in (1.0, 2.0, 3.0):
            parameters = {"end_year": 2022, "sea_level_rise": rise}
            job = queue_job("coastal_flood", source=source, parameters=parameters, store=store, shares_inputs=True)
            handles.append(start_queued(engine, job))
        records = [handle.result(timeout=120) for handle in handles]
    told = [any("from this worker's cache" in line for line in record.logs) for record in records]
    assert told == [False, True, True]
    for record in records:
        alone = run("coastal_flood", source=source, parameters=dict(record.parameters), store=store)
        assert alone.content_sha256 == record.content_sha256
        assert alone.source.checksum == record.source.checksum
