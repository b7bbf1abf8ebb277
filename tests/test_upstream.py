"""Observed for real: the installed dissmodel, its schedulers, and the executors of disslucc where they are there.

``make test-upstream`` runs this file against several versions of dissmodel.
"""

from __future__ import annotations

import functools
import hashlib
import math
import os
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import contextmanager, suppress

import numpy as np
import pytest
import upstream_inputs
from dissmodel.core import Environment, Model

from dissmodel_lab.errors import ParameterError
from dissmodel_lab.executor import DataSource, ExperimentRecord, execute_lifecycle
from dissmodel_lab.upstream import (
    dissmodel_version,
    end_time_semantics,
    georeference_of,
    is_raster_backend,
    layers_of,
    series,
    values_of,
    watched,
)
from dissmodel_lab.upstream.clock import WAITING, Watch
from dissmodel_lab.upstream.schedule import PLAYED, Window, planned_steps

VERSION = dissmodel_version()
SERIES = tuple(int(number) for number in VERSION.split(".")[:2])
SALABIM = SERIES == (0, 4)
INCLUSIVE = end_time_semantics(VERSION) == "inclusive"
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


class Body:
    """An executor whose run is one function."""

    def __init__(self, body) -> None:
        self._body = body

    def validate(self, record):
        pass

    def load(self, record):
        return record

    def run(self, data, record):
        return self._body()

    def save(self, result, record):
        return record


def observe(body, *, watch=None):
    """Run a function as a run's phase, observed; return its steps."""
    steps = []
    with watched():
        execute_lifecycle(Body(body), ExperimentRecord(), watchers=[watch or steps.append])
    return steps


class Clocked(Model):
    """Knows when it executed."""

    def execute(self):
        self.__dict__.setdefault("times", []).append(self.env.now())


def class_state():
    # _current is upstream's own note of the newest environment.
    return [item for item in vars(Environment).items() if item[0] != "_current"], list(sys.meta_path)


# ------------------------------------------------------------------ step counts

SCHEDULES = {
    "whole": ({"end_time": 7}, [{}]),
    "one tick": ({"end_time": 0}, [{}]),
    "years": ({"start_time": 2000, "end_time": 2010}, [{}]),
    "every fifth year": ({"start_time": 2000, "end_time": 2013}, [{"step": 5}]),
    "tenths": ({"end_time": 3}, [{"step": 0.1}]),
    "halves in floats": ({"start_time": 0.5, "end_time": 4.0}, [{"step": 0.5}]),
    "two steps": ({"end_time": 12}, [{"step": 2}, {"step": 3}]),
    "same step, other phase": ({"end_time": 6}, [{"step": 2}, {"step": 2, "start_time": 1}]),
    "late start": ({"end_time": 6}, [{"start_time": 4}]),
    "early end": ({"end_time": 6}, [{"end_time": 3}]),
    "one ends early": ({"end_time": 6}, [{"end_time": 3}, {"step": 2}]),
    "ends before it begins": ({"start_time": 10, "end_time": 12}, [{"end_time": 5}, {}]),
    "none executes": ({"end_time": 6}, [{"start_time": 9}]),
    "end between ticks": ({"end_time": 5}, [{"step": 2}]),
}
#: 0.5.0 hangs when a model ends before its environment.
HANGS = {"early end", "one ends early", "ends before it begins"} if VERSION == "0.5.0" else set()


@pytest.mark.parametrize("name", [name for name in SCHEDULES if name not in HANGS])
def test_steps_are_upstreams_own(name):
    window, plans = SCHEDULES[name]
    times = []

    class Noted(Model):
        def execute(self):
            if not times or times[-1] != self.env.now():
                times.append(self.env.now())

    def body():
        environment = Environment(**window)
        for plan in plans:
            Noted(**plan)
        environment.run()

    steps = observe(body)
    assert [step.time for step in steps] == times
    assert [step.step for step in steps] == list(range(1, len(times) + 1))
    assert {step.n_steps for step in steps} <= {len(times)}
    assert {step.part for step in steps} <= {1}
    assert bool(times) == (name != "none executes" and (INCLUSIVE or name != "one tick"))


def test_till_counts_from_the_start():
    def body():
        environment = Environment(start_time=2000)
        Clocked()
        environment.run(till=4)

    steps = observe(body)
    assert [(step.step, step.n_steps, step.label()) for step in steps] == [
        (count, 5 if INCLUSIVE else 4, f"time {1999 + count}") for count in range(1, 6 if INCLUSIVE else 5)
    ]


def test_no_model_is_no_step():
    assert observe(lambda: Environment(end_time=3).run()) == []


def test_a_model_that_ends_the_run_early():
    class Stopper(Model):
        def execute(self):
            if self.env.now() == 3:
                self.env.end_time = 3

    def body():
        environment = Environment(end_time=9)
        Stopper()
        environment.run()

    steps = observe(body)
    planned = 10 if INCLUSIVE else 9
    if SALABIM:  # its scheduler has taken the end over when it began
        assert [step.step for step in steps] == list(range(1, planned + 1))
        assert {step.n_steps for step in steps[5:]} == {None}
    else:
        assert [(step.step, step.n_steps) for step in steps] == [
            (1, planned), (2, planned), (3, planned), (4, 4 if INCLUSIVE else None)
        ]  # fmt: skip


def test_the_end_of_a_tick_is_when_all_models_have_executed():
    seen = []

    class First(Model):
        def execute(self):
            self.level = self.env.now()

    class Second(Model):
        def execute(self):
            self.level = 10 * self.env.now()

    def body():
        environment = Environment(start_time=1, end_time=3)
        First()
        Second()
        environment.run()

    observe(body, watch=lambda step: seen.append((step.time, step.current_values())))
    assert seen[:2] == [
        (1, {"First.level": 1.0, "Second.level": 10.0}),
        (2, {"First.level": 2.0, "Second.level": 20.0}),
    ]
    assert len(seen) == (3 if INCLUSIVE else 2)


@pytest.mark.parametrize(
    ("windows", "end", "count"),
    [
        ([Window(0, 1, math.inf)], 10**9, 10**9 + 1),
        ([Window(0, 1, 10)], math.inf, 11),
        ([Window(0, 1, math.inf)], math.inf, None),
        ([Window(0, -1, math.inf)], 10, None),
        ([Window(0, 0.5, math.inf)], PLAYED, None),
        ([Window(0, 0.5, math.inf)], PLAYED / 2 - 1, PLAYED - 1),
        ([], 10, 0),
        ([Window(0, 1, math.inf)], -1, 0),
    ],
)
def test_planned_steps(windows, end, count):
    assert planned_steps(0, end, windows) == count


def test_planned_steps_is_cheap():
    began = time.perf_counter()
    planned_steps(0, 1e9, [Window(0, 0.1, math.inf), Window(0, 0.3, math.inf)])
    assert time.perf_counter() - began < 30


def test_times_that_are_no_numbers():
    pandas = pytest.importorskip("pandas")
    if SALABIM:
        pytest.skip("salabim's times are numbers")

    def body():
        first = pandas.Timestamp("2030-01-01")
        environment = Environment(first, first + pandas.Timedelta(days=3))
        Clocked(step=pandas.Timedelta(days=1), start_time=first, end_time=first + pandas.Timedelta(days=3))
        environment.run()

    steps = observe(body)
    assert [(step.n_steps, step.time) for step in steps] == [(None, None)] * (4 if INCLUSIVE else 3)
    assert steps[0].label() == "time 2030-01-01 00:00:00"


# ------------------------------------------------------------------ several simulations in a run


def simulate(end, kind=Clocked, **options):
    environment = Environment(end_time=end, **options)
    model = kind()
    environment.run()
    return environment, model


def test_two_environments_are_two_parts():
    def body():
        simulate(2)
        simulate(4, start_time=3)

    steps = observe(body)
    first, second = (3, 2) if INCLUSIVE else (2, 1)
    assert [(step.part, step.step, step.n_steps) for step in steps] == [
        *((1, count, first) for count in range(1, first + 1)),
        *((2, count, second) for count in range(1, second + 1)),
    ]


def test_a_run_again_is_another_part():
    def body():
        environment, _ = simulate(2)
        environment.end_time = 4
        environment.run()

    steps = observe(body)
    times = [(step.part, step.time) for step in steps]
    if SALABIM:  # its clock goes on
        assert times == [(1, 0), (1, 1), (1, 2), (2, 3), (2, 4)]
    else:
        last = 5 if INCLUSIVE else 4
        assert times == [*((1, now) for now in range(last - 2)), *((2, now) for now in range(last))]
    assert {step.n_steps for step in steps if step.part == 2} == {sum(part == 2 for part, _ in times)}


def test_a_simulation_in_a_model():
    class Outer(Model):
        def execute(self):
            simulate(1)

    def body():
        environment = Environment(end_time=1)
        Outer()
        environment.run()

    steps = [(step.part, step.step) for step in observe(body)]
    if SALABIM:  # its models run in greenlets, whose contexts are empty: the inner ones are not told
        assert steps == [(1, 1), (1, 2)]
        return
    inner = 2 if INCLUSIVE else 1
    assert steps == [
        pair
        for outer in range(inner)
        for pair in [*((outer + 2, count) for count in range(1, inner + 1)), (1, outer + 1)]
    ]


def test_contexts_nest_and_the_inner_tells():
    inner = []

    def body():
        inner.extend(observe(lambda: simulate(2)))
        simulate(1)

    outer = observe(body)
    assert len(inner) == (3 if INCLUSIVE else 2)
    assert [step.part for step in outer] == [1] * (2 if INCLUSIVE else 1)


def test_an_environment_made_before():
    environment = Environment(end_time=3)
    Clocked()

    def body():
        environment.run()

    assert len(observe(body)) == (4 if INCLUSIVE else 3)


# ------------------------------------------------------------------ nothing stays


def test_the_class_is_as_before():
    before = class_state()
    with watched():
        assert class_state() != before
        with watched():
            simulate(1)
        assert class_state() != before
    assert class_state() == before


@pytest.mark.parametrize("error", [ValueError("the model's own"), KeyboardInterrupt(), SystemExit(3)])
def test_the_class_is_as_before_whatever_is_raised(error):
    class Failing(Model):
        def execute(self):
            if self.env.now() == 2:
                raise error

    steps = []
    before = class_state()

    def fail():
        with watched():
            execute_lifecycle(Body(lambda: simulate(5, Failing)), ExperimentRecord(), watchers=[steps.append])

    with pytest.raises(BaseException) as raised:  # noqa: PT011 -- which one is asserted below
        fail()
    assert raised.value is error or raised.value.__cause__ is error
    assert class_state() == before
    assert [step.time for step in steps] == [0, 1]  # the tick that failed is not complete
    assert len(observe(lambda: simulate(1))) == (2 if INCLUSIVE else 1)


def test_the_class_of_someone_else_is_left_alone():
    own = Environment.run
    try:
        with watched():
            ours = Environment.run

            @functools.wraps(ours)
            def theirs(environment, *args, **kwargs):
                return ours(environment, *args, **kwargs)

            Environment.run = theirs
        assert Environment.run is theirs
        simulate(1)  # ours passes everything on
    finally:
        Environment.run = own


def test_a_watcher_can_stop_the_run_between_two_ticks():
    made = []

    def stop(step):
        if step.step == 2:
            raise KeyboardInterrupt

    class Kept(Clocked):
        def execute(self):
            made.append(self)
            super().execute()

    before = class_state()
    with pytest.raises(KeyboardInterrupt):
        observe(lambda: simulate(9, Kept), watch=stop)
    assert made[0].times == [0, 1]
    assert class_state() == before


def test_reading_the_time_is_not_slowed_down():
    with watched():
        assert not hasattr(type(vars(Environment)["_now"]), "__get__")
        environment = Environment(start_time=5, end_time=6)
        assert environment.now() == 5


def test_a_model_that_never_ends_can_be_interrupted():
    before = class_state()
    began = time.monotonic()

    class Stuck(Clocked):
        def execute(self):
            if time.monotonic() - began > 0.3:
                raise KeyboardInterrupt  # as a signal does, at any place

    def body():
        environment = Environment(end_time=3)
        Stuck(step=0)
        environment.run()

    with pytest.raises(KeyboardInterrupt):
        observe(body)
    assert class_state() == before


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_signal_ends_a_run_with_step_0():
    code = """
        import signal, sys, threading, time
        from dissmodel.core import Environment, Model
        from dissmodel_lab.upstream import watched
        state = lambda: [item for item in vars(Environment).items() if item[0] != "_current"]
        before = state()
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        try:
            with watched():
                environment = Environment(end_time=3)
                Model(step=0)
                environment.run()
        except KeyboardInterrupt:
            print("interrupted", state() == before)
    """
    assert run_python(code).splitlines()[-1] == "interrupted True"


# ------------------------------------------------------------------ imported only meanwhile


def run_python(code):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_never_imports_dissmodel():
    code = """
        import sys
        from dissmodel_lab.upstream import watched
        before = list(sys.meta_path)
        with watched() as watch:
            import json, wave
        print(watch.parts, sys.meta_path == before, [name for name in sys.modules if name.startswith("dissmodel.")])
    """
    assert run_python(code) == "0 True []\n"


def test_dissmodel_imported_during_the_run():
    code = """
        import sys
        from dissmodel_lab.executor import ExperimentRecord, execute_lifecycle
        from dissmodel_lab.upstream import watched

        class Lazy:
            def validate(self, record): pass
            def load(self, record): pass
            def run(self, data, record):
                from dissmodel.core import Environment, Model
                environment = Environment(start_time=2000, end_time=2003)
                Model()
                environment.run()
            def save(self, result, record): return record

        steps = []
        with watched():
            execute_lifecycle(Lazy(), ExperimentRecord(), watchers=[steps.append])
        module = sys.modules["dissmodel.core.environment"]
        print([int(step.time) for step in steps])
        print("_now" in vars(module.Environment), vars(module.Environment)["run"].__qualname__)
        print("exec_module" in vars(module.__spec__.loader), hasattr(module.Environment.run, "__wrapped__"))
    """
    times = [2000, 2001, 2002, 2003] if INCLUSIVE else [2000, 2001, 2002]
    assert [line for line in run_python(code).splitlines() if not line.startswith("Running")] == [
        str(times),
        "False Environment.run",
        "False False",
    ]


# ------------------------------------------------------------------ threads and processes


def in_thread(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


class Slow(Clocked):
    """Takes its time, so that two threads would meet."""

    def execute(self):
        super().execute()
        time.sleep(0.01)


def test_two_threads_take_turns():
    results, told, heard = {}, {}, []

    def work(name, end):
        steps = []

        def body():
            environment = Environment(end_time=end)
            time.sleep(0.02)  # without taking turns the other's models go into this environment
            models = [Slow(), Slow()]
            environment.run()
            results[name] = [model.times for model in models]

        with watched(waiting=lambda sentence: heard.append((name, sentence))):
            execute_lifecycle(Body(body), ExperimentRecord(), watchers=[steps.append])
        told[name] = [step.n_steps for step in steps]

    threads = [in_thread(functools.partial(work, name, end)) for name, end in (("a", 5), ("b", 8))]
    for thread in threads:
        thread.join(20)
    counts = {"a": 6, "b": 9} if INCLUSIVE else {"a": 5, "b": 8}
    assert results == {name: [list(range(count))] * 2 for name, count in counts.items()}
    assert told == {name: [count] * count for name, count in counts.items()}
    assert len(heard) == 1
    assert heard[0][1] == WAITING


@contextmanager
def held():
    """Let another thread use dissmodel meanwhile."""
    entered, release = threading.Event(), threading.Event()

    def hold():
        with watched():
            Environment(end_time=1)
            entered.set()
            release.wait(20)

    holder = in_thread(hold)
    assert entered.wait(60)
    try:
        yield
    finally:
        release.set()
        holder.join(20)


def test_a_run_without_dissmodel_waits_for_nobody():
    heard = []
    with held():
        with watched(waiting=heard.append) as watch:
            assert watch.parts == 0
        assert heard == []


def test_waiting_can_be_interrupted():
    def interrupt(sentence):
        assert sentence == (
            "Waiting for another dissmodel simulation in this process: two at once give wrong results."
        )
        raise KeyboardInterrupt

    with held(), pytest.raises(KeyboardInterrupt), watched(waiting=interrupt):
        Environment(end_time=1)
    with watched(waiting=interrupt):  # the holder has left
        Environment(end_time=1)


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_signal_ends_the_wait():
    code = """
        import signal, threading, time
        from dissmodel.core import Environment
        from dissmodel_lab.upstream import watched
        entered = threading.Event()
        def hold():
            with watched():
                Environment(end_time=1)
                entered.set()
                time.sleep(60)
        threading.Thread(target=hold, daemon=True).start()
        entered.wait()
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        began = time.monotonic()
        try:
            with watched():
                Environment(end_time=1)
        except KeyboardInterrupt:
            print("interrupted", time.monotonic() - began < 20)
    """
    assert run_python(code) == "interrupted True\n"


def test_another_thread_is_not_told():
    def body():
        other = in_thread(lambda: simulate(4))
        other.join(20)

    assert observe(body) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_a_forked_child_is_not_observed_and_does_not_wait():
    answers = []

    def child():
        _, model = simulate(2)
        inner = observe(lambda: simulate(3))
        plain = "_now" not in vars(Environment)
        return f"{len(model.times)} {len(inner)} {plain}"

    def body():
        environment = Environment(end_time=1)
        Clocked()
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            answer = "failed"
            with suppress(BaseException):
                answer = child()
            os.write(writer, answer.encode())
            os._exit(0)
        os.waitpid(pid, 0)
        answers.append(os.read(reader, 100).decode())
        os.close(reader)
        os.close(writer)
        if not SALABIM:
            environment.run()

    before = class_state()
    steps = observe(body)
    assert answers == ["3 4 True" if INCLUSIVE else "2 3 True"]
    if not SALABIM:
        assert len(steps) == (2 if INCLUSIVE else 1)
    assert class_state() == before


# ------------------------------------------------------------------ what the models hold


def raster_backend(shape=(2, 3), **options):
    from dissmodel.geo.raster.backend import RasterBackend

    backend = RasterBackend(shape=shape, **options)
    backend.set("state", np.arange(shape[0] * shape[1]).reshape(shape))
    return backend


class Bare:
    """A model's attributes without its environment."""

    def __init__(self, **attributes) -> None:
        vars(self).update(attributes)


class Fire(Bare):
    """Another class of model."""


def test_layers_are_live_and_each_is_there_once():
    geopandas = pytest.importorskip("geopandas")
    backend, other = raster_backend(), raster_backend()
    frame = geopandas.GeoDataFrame({"a": [1]})
    grid, kernel = np.zeros((5, 5)), np.zeros((3, 3))
    models = [
        Bare(kernel=kernel, backend=backend, alias=backend, _private=np.ones((9, 9)), line=np.zeros(4)),
        Fire(backend=backend, grid=grid, gdf=frame),
        Fire(backend=other, words=np.array([["a", "b"]]), matrix=[[1, 2], [3, 4]]),
    ]
    layers = layers_of(models)
    assert list(layers) == ["backend", "gdf", "Fire.backend", "grid", "kernel"]
    assert [layers[name] for name in ("backend", "gdf", "Fire.backend")] == [backend, frame, other] or (
        layers["backend"] is backend and layers["gdf"] is frame and layers["Fire.backend"] is other
    )
    assert layers["grid"] is grid
    models[1].grid = new = np.ones((5, 5))
    assert layers_of(models)["grid"] is new


def test_layers_of_three_of_one_name():
    models = [Fire(grid=np.zeros((2, 2))) for _ in range(3)]
    assert list(layers_of(models)) == ["grid", "Fire.grid", "Fire.grid 2"]


def test_values_are_finite_numbers():
    models = [
        Bare(whole=3, real=2.5, kind="x", on=True, _seed=7, start_time=0, end_time=9, name="n", none=None),
        Bare(whole=np.int64(4), real=np.float32(0.5), bad=math.nan, far=math.inf, flag=np.bool_(1)),
        Fire(burnt=10**400),
    ]
    assert values_of(models) == {"Bare.whole": 3.0, "Bare.real": 2.5, "Bare 2.whole": 4.0, "Bare 2.real": 0.5}


class Angry(int):
    """A number that cannot be read."""

    def __float__(self) -> float:
        raise RuntimeError("not now")


def test_what_cannot_be_read_is_left_out():
    backend_class = type(raster_backend())

    class Refusing(backend_class):
        @property
        def arrays(self):
            raise RuntimeError("not now")

        @arrays.setter
        def arrays(self, value):
            pass

    class Slotted:
        __slots__ = ()

    models = [Bare(count=Angry(3), map=Refusing((2, 2)), good=1, grid=np.zeros((2, 2))), Slotted()]
    assert values_of(models) == {"Bare.good": 1.0}
    assert list(layers_of(models)) == ["grid"]


def test_a_model_that_cannot_be_read_does_not_end_the_run():
    class Odd(Model):
        def execute(self):
            self.count = Angry(self.env.now())
            self.good = self.env.now()

        @property
        def gdf(self):
            raise RuntimeError("not now")

    seen = []
    observe(lambda: simulate(2, Odd), watch=lambda step: seen.append((step.current_values(), step.layers())))
    assert seen == [({"Odd.good": float(now)}, {}) for now in range(3 if INCLUSIVE else 2)]


def test_the_layers_of_a_step_are_those_of_its_models():
    class Growing(Model):
        def execute(self):
            self.grid = np.full((2, 2), self.env.now())

    seen = []
    observe(lambda: simulate(2, Growing), watch=lambda step: seen.append(step.layers()["grid"].tolist()))
    assert seen == [[[now] * 2] * 2 for now in range(3 if INCLUSIVE else 2)]


def test_a_plain_model_gives_the_same_bytes():
    class Growth(Model):
        def setup(self):
            self.backend = raster_backend((40, 50))
            self.random = np.random.default_rng(1)
            self.area = 0

        def execute(self):
            state = self.backend.get("state")
            self.backend.arrays["state"] = np.roll(state, 1, axis=0) + self.random.integers(0, 9, state.shape)
            self.area = int((self.backend.get("state") % 7 == 0).sum())

    results = []

    def body():
        _, model = simulate(20, Growth)
        results.append((model.backend.get("state").tobytes(), model.area, vars(model).keys()))

    body()
    areas = []
    observe(body, watch=lambda step: areas.append((step.current_values()["Growth.area"], *step.layers())))
    assert results[0] == results[1]
    assert len({area for area, _ in areas}) > 10
    assert {layer for _, layer in areas} == {"backend"}


def test_series_of_track_plot():
    from dissmodel.visualization import track_plot

    @track_plot("Infected", "red")
    @track_plot("Healthy", "green")
    class Epidemic(Model):
        def execute(self):
            self.infected = 10 * self.env.now()
            self.healthy = self.infected if self.env.now() < 1 else math.nan

    seen = []
    with watched() as watch:
        execute_lifecycle(
            Body(lambda: (simulate(2, Epidemic), simulate(1))),
            ExperimentRecord(),
            watchers=[lambda step: seen.append(step.current_values())],
        )
    ticks = 3 if INCLUSIVE else 2
    assert watch.parts == 2
    whole = watch.series(1)
    assert whole["Infected"] == [10 * now for now in range(ticks)]
    assert len(whole["Healthy"]) == ticks
    assert watch.series() == watch.series(2) == {}
    assert seen[0] == {"Epidemic.infected": 0.0, "Epidemic.healthy": 0.0, "Infected": 0.0, "Healthy": 0.0}
    assert seen[1] == {"Epidemic.infected": 10.0, "Infected": 10.0}


def test_series_of_what_has_none():
    assert series(None) == series(Bare(_plot_metadata=[1])) == {}
    assert series(Bare(_plot_metadata={"a": {"data": [1, 2]}, "b": 3, "c": {"data": None}})) == {"a": [1, 2]}
    assert Watch().series() == {}


# ------------------------------------------------------------------ rasters in memory and versions


def test_georeference_of_a_backend():
    pytest.importorskip("rasterio")
    if SERIES < (0, 6):
        backend = raster_backend()
        assert georeference_of((backend, {"crs": "EPSG:5880", "transform": None})) == ("EPSG:5880", None, (2, 3))
        return
    backend = raster_backend()
    backend.crs, backend.transform = "EPSG:5880", (1, 2, 3)
    where = ("EPSG:5880", (1, 2, 3), (2, 3))
    assert georeference_of(backend) == where
    assert georeference_of((backend, {"crs": "EPSG:4326"})) == ("EPSG:4326", (1, 2, 3), (2, 3))
    assert georeference_of({"metrics": {}, "backend": backend}) == where
    assert georeference_of([{"inner": backend}]) == where


@pytest.mark.parametrize("value", [None, 3, {}, {"a": 1}, (1, 2), np.zeros((2, 2)), [[[[]]]]])
def test_no_georeference(value):
    assert georeference_of(value) is None


def test_no_georeference_in_a_bare_backend():
    assert georeference_of(raster_backend()) is None
    assert georeference_of((raster_backend(), "no meta")) is None


def test_is_raster_backend():
    class Mine(type(raster_backend())):
        pass

    assert is_raster_backend(raster_backend())
    assert is_raster_backend(Mine((2, 2)))
    assert not is_raster_backend(Bare(arrays={}))


@pytest.mark.parametrize("version", ["0.3.0", "0.4.1", "0.6.0", "0.6.6", "1.0", "v0.6.1", "0.50.1"])
def test_inclusive(version):
    assert end_time_semantics(version) == "inclusive"


@pytest.mark.parametrize("version", ["0.5", "0.5.0", "0.5.1.dev3+gabc"])
def test_exclusive(version):
    assert end_time_semantics(version) == "exclusive"


def test_what_is_no_version():
    with pytest.raises(ParameterError) as raised:
        end_time_semantics("dev")
    assert str(raised.value) == (
        "'dev' is not a version of dissmodel. It begins with two numbers, such as 0.6.6; "
        "importlib.metadata.version('dissmodel') returns the installed one."
    )


# ------------------------------------------------------------------ the executors of disslucc


def lucc_run(executor_class, folder, *, kind=None, observed):
    """Run an executor of disslucc on an input of its own; return the record, its output's SHA-256 and the steps."""
    options = {"kind": kind} if kind else {}
    source, parameters = upstream_inputs.MAKERS[executor_class.__name__](folder, **options)
    steps = []
    values = {"parameters": parameters, "output_path": str(folder / "out.tif")}
    if observed:
        record = ExperimentRecord(source=DataSource(uri=str(source)), **values)
        with watched():
            execute_lifecycle(executor_class(), record, watchers=[lambda step: steps.append(taken(step))])
    else:
        from dissmodel.executor import DataSource as TheirSource
        from dissmodel.executor import ExperimentRecord as TheirRecord
        from dissmodel.executor.runner import execute_lifecycle as theirs

        record, _ = theirs(executor_class(), TheirRecord(source=TheirSource(uri=str(source)), **values))
    return record, hashlib.sha256((folder / "out.tif").read_bytes()).hexdigest(), steps


def taken(step):
    (backend,) = step.layers().values()
    assert list(step.layers()) == ["backend"]
    return step.step, step.n_steps, step.part, step.time, backend.get("forest").sum(), dict(step.current_values())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("LuccContinuousExecutor", "tif"),
        ("LuccContinuousExecutor", "zip"),
        ("LuccDiscreteExecutor", "tif"),
        ("LuccDiscreteExecutor", "zip"),
        ("LuccSaturationExecutor", None),
    ],
)
def test_disslucc_observed_and_not(name, kind, tmp_path):
    executors = pytest.importorskip("disslucc.executors")
    executor_class = getattr(executors, name)
    before = class_state()
    _, plain, _ = lucc_run(executor_class, tmp_path / "plain", kind=kind, observed=False)
    record, observed, steps = lucc_run(executor_class, tmp_path / "observed", kind=kind, observed=True)
    assert observed == plain
    assert class_state() == before
    ticks = record.parameters["n_steps"]
    assert [step[:4] for step in steps] == [(count, ticks, 1, count - 1) for count in range(1, ticks + 1)]
    forest = [step[4] for step in steps]
    assert forest[0] > forest[-1]
    assert len({round(float(area), 3) for area in forest}) > ticks / 2  # each is its own tick's, not the last one's
    assert any(key.endswith(".cell_area") for key in steps[0][5])
    if "iterations_per_step" in record.metrics:
        assert len(record.metrics["iterations_per_step"]) == ticks
