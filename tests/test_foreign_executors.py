"""Executors of others that are hostile, broken or odd, through every door: nothing leaks, hangs or is lost."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import signal
import socket
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from dissmodel.core import Environment, Model
from dissmodel.executor import ModelExecutor
from dissmodel.executor.registry import ExecutorRegistry as TheirRegistry
from dissmodel.executor.schemas import ExperimentRecord as TheirRecord
from doors import bundle_html, newest_record, read_json
from IPython.core.error import UsageError

from dissmodel_lab import RunStore, read_raster, read_record, run, validate
from dissmodel_lab.class_tables import class_tables
from dissmodel_lab.cli import main
from dissmodel_lab.discovery.undisturbed import undisturbed
from dissmodel_lab.errors import ExecutorError, ExecutorNotFoundError, ParameterError
from dissmodel_lab.executor import DataSource, ExperimentRecord
from dissmodel_lab.executor.events import LogLine, PhaseStarted
from dissmodel_lab.executor.schemas import Provenance
from dissmodel_lab.inference import inference_problem, misplaced_parameters
from dissmodel_lab.parameters import MAX_FIELDS, ModelSpec
from dissmodel_lab.preflight import findings_text, preflight
from dissmodel_lab.preflight import versions as preflight_versions
from dissmodel_lab.preflight.versions import preflight_of_record
from dissmodel_lab.resolve import resolve_class
from dissmodel_lab.upstream.clock import WAITING
from dissmodel_lab.views.form_panel import show_form

ANOTHER = "Name another output."
SECRET = "s3cr3tvalue"
EVIL = "<img src=x onerror=alert(1)>\x1b[31m</td><script>alert(2)</script>"

FILE = """
from dissmodel.executor import ModelExecutor

class Gain(ModelExecutor):
    name = {name!r}
    def validate(self, record): pass
    def load(self, record): return 1
    def run(self, data, record): return record.parameters.get("gain", 3)
    def save(self, result, record):
        with open(record.output_path, "w") as file:
            file.write(str(result))
        return record
"""


@pytest.fixture(autouse=True)
def their_registry():
    """Classes of the tests leave upstream's registry again."""
    before = dict(TheirRegistry._executors)
    yield
    TheirRegistry._executors.clear()
    TheirRegistry._executors.update(before)


@pytest.fixture
def module(workspace, monkeypatch):
    """Write a module that can be imported during one test."""
    monkeypatch.syspath_prepend(str(workspace))
    before = set(sys.modules)

    def write(name, text):
        (workspace / f"{name}.py").write_text(text, encoding="utf-8")
        return name

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("foreign_"):
            del sys.modules[name]


def gain(**members):
    """Make an executor of upstream's kind, which registers itself there."""

    class Gain(ModelExecutor):
        name = "foreign_gain"

        def validate(self, record):
            pass

        def load(self, record):
            return 1

        def run(self, data, record):
            return record.parameters.get("gain", 3)

        def save(self, result, record):
            Path(record.output_path).write_text(str(result), encoding="utf-8")
            return record

    for name, member in members.items():
        setattr(Gain, name, member)
    return Gain


class Count(Model):
    """Counts its ticks."""

    def setup(self, pause=0.0):
        self.times, self.pause = [], pause

    def execute(self):
        self.times.append(self.env.now())
        time.sleep(self.pause)


def simulating(*windows, runs=1, pause=0.0):
    """Make a method run() with one Environment a window (end, step)."""

    def go(self, data, record):
        told = []
        for end, step in windows:
            environment = Environment(start_time=0, end_time=end)
            model = Count(step=step, pause=pause)
            for _ in range(runs):
                environment.run()
            told.append(model.times)
        return str(told)

    return go


def problem_of(entry):
    return read_record(entry.folder / "record.json")


# --- sources that cannot be read ---------------------------------------------------------------------------


def made_by_exec():
    names = {}
    exec(compile(FILE.format(name="foreign_exec"), "<nowhere>", "exec"), names)
    return names["Gain"]


def with_lambdas():
    return gain(run=lambda self, data, record: record.parameters.get("gain", 3), load=lambda self, record: 1)


def by_type():
    parent = gain()
    return type("Typed", (parent,), {"name": "foreign_typed"})


@pytest.mark.parametrize("make", [made_by_exec, with_lambdas, by_type])
def test_without_a_source_what_was_read_still_tells_of_the_typo(door, make):
    record = door(make(), {"gian": 4}).record
    assert record.status == "completed"
    assert record.defaults_taken == {"gain": 3}
    assert record.parameter_origins == {"gian": "given", "gain": "default taken"}
    assert record.unread_parameters == ["gian"]
    assert "The parameter 'gian' was given, but the model never read it. Did you mean 'gain'?" in " ".join(
        record.warnings
    )


def test_a_source_that_is_nowhere_is_said_in_one_sentence():
    assert inference_problem(made_by_exec()) == (
        "What Gain.validate, Gain.load, Gain.run and Gain.save read is not known: it was made by exec(), or in an "
        "interpreter that keeps no source, or its .py file is missing."
    )


@pytest.mark.parametrize("metaclass_hash", [None, "raises"])
def test_a_class_that_cannot_be_hashed_is_read_and_run(metaclass_hash):
    def refuse(cls):
        raise TypeError("no hash")

    hashes = {"__hash__": None if metaclass_hash is None else refuse, "__eq__": lambda cls, other: cls is other}
    kind = type("Odd", (type(ModelExecutor),), hashes)
    parent = gain()
    odd = kind("OddGain", (), {name: vars(parent)[name] for name in ("validate", "load", "run", "save")})
    assert class_tables(odd) == ()
    record = run(odd, parameters={"gian": 3})
    assert (record.status, record.unread_parameters) == ("completed", ["gian"])
    assert "The parameter gian is never read by OddGain. Did you mean 'gain'? Known: gain." in record.warnings


def test_slots_change_nothing(door):
    parent = gain()
    slotted = type("Slotted", (parent,), {"__slots__": ("kept",), "name": "foreign_slots"})
    assert door(slotted, {"gain": 2}).record.status == "completed"


# --- imports that misbehave --------------------------------------------------------------------------------

DISTURBING = """
import logging, os, random, signal, sys, warnings
import matplotlib
import numpy as np
print("import speaks")
matplotlib.use("Agg")
os.chdir("/")
sys.argv[:] = ["theirs"]
warnings.filterwarnings("error")
logging.basicConfig(level=10)
logging.disable(50)
random.seed(1)
np.random.seed(1)
np.seterr(all="raise")
sys.setrecursionlimit(300)
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
""" + FILE.format(name="foreign_disturbing")


def session():
    """Return what an import must not change."""
    import logging
    import warnings

    import matplotlib as mpl

    return {
        "backend": str(dict.get(mpl.rcParams, "backend")).lower(),
        "folder": Path.cwd(),
        "words": list(sys.argv),
        "errors": [entry for entry in warnings.filters if entry[0] == "error" and entry[2] is Warning],
        "logging": (
            logging.getLogger().level,
            list(logging.getLogger().handlers),
            logging.getLogger().manager.disable,
        ),
        "random": (random.getstate(), np.random.get_state()[1].tolist()),  # noqa: NPY002 -- what an import may have seeded
        "arithmetic": np.geterr(),
        "recursion": sys.getrecursionlimit(),
        "interrupts": (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)),
    }


def test_an_import_changes_nothing_of_the_session(door, module, capfd):
    name = module("foreign_disturbing", DISTURBING)
    before = session()
    assert resolve_class(f"{name}:Gain").name == "foreign_disturbing"
    assert session() == before
    del sys.modules[name]
    outcome = door(f"{name}:Gain")
    # A run may draw random numbers of its own.
    assert {**session(), "random": None} == {**before, "random": None}
    assert outcome.record.status == "completed"
    assert "import speaks" not in capfd.readouterr().out


def test_what_had_to_be_put_back_is_told(workspace):
    with undisturbed(sys.stderr) as changed:
        np.seterr(all="raise")
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.setrecursionlimit(sys.getrecursionlimit() - 1)
    assert changed == ["the limit of recursion", "what an interrupt does", "NumPy's treatment of errors"]


def test_a_higher_limit_of_recursion_stays():
    usual = sys.getrecursionlimit()
    try:
        with undisturbed(sys.stderr) as changed:
            sys.setrecursionlimit(usual + 500)
        assert (changed, sys.getrecursionlimit()) == ([], usual + 500)
    finally:
        sys.setrecursionlimit(usual)


def test_an_import_on_another_thread_is_undisturbed_too():
    problems = []

    def go():
        try:
            with undisturbed(sys.stderr):
                np.seterr(all="warn")
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=go)
    thread.start()
    thread.join()
    assert problems == []


@pytest.mark.parametrize(("text", "kind", "message"), [
    ("raise ValueError('no licence')", "ValueError", "no licence"),
    ("import not_there_at_all", "ModuleNotFoundError", "not_there_at_all"),
    ("def (:", "SyntaxError", "syntax"),
    (
        "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9/x', timeout=2)",
        "URLError",
        "refused",
    ),
])  # fmt: skip
def test_an_import_that_fails_keeps_its_own_exception(module, capsys, text, kind, message):
    name = module("foreign_broken", text)
    with pytest.raises(Exception, match=message) as caught:
        run(f"{name}:Gain")
    assert type(caught.value).__name__ == kind
    for command in ("run", "validate"):
        assert main([command, f"{name}:Gain"]) == 1
        said = capsys.readouterr().err
        assert said.startswith("Traceback")
        assert kind in said
    assert RunStore().entries() == []


LAZY = """
__all__ = ["Good", "Gone"]
def __getattr__(name):
    if name == "Gone":
        raise SystemExit(3)
    raise AttributeError(name)
"""


def test_exit_at_the_first_use_of_a_name_is_one_sentence(door, module):
    name = module("foreign_lazy", LAZY)
    Path("exits.toml").write_text(f'[model]\nclass = "x"\nexecutor_module = "{name}"\n')
    message = (
        "The module 'foreign_lazy' called sys.exit(3) when it was imported. "
        "Put what it runs under: if __name__ == '__main__'."
    )
    for model in (f"{name}:Gone", "exits.toml"):
        outcome = door(model)
        assert outcome.message.strip().removeprefix("Error: ") == message
        assert outcome.record is None


def test_what_a_lazy_module_hands_out_is_named(module):
    with pytest.raises(ExecutorNotFoundError) as caught:
        resolve_class(f"{module('foreign_lazy', LAZY)}:Goood")
    assert str(caught.value) == "The module 'foreign_lazy' has no 'Goood'. Did you mean 'Good'? Known: Good, Gone."


def test_an_endless_name_is_cut():
    for name in ("x" * 5000, "x" * 5000 + ":y", "a b" * 2000 + ":y"):
        with pytest.raises(ExecutorNotFoundError) as caught:
            resolve_class(name, search=False)
        assert len(str(caught.value)) < 1000


def test_one_name_in_two_modules_is_refused_with_both_paths(door, module):
    for name in ("foreign_one", "foreign_two"):
        __import__(module(name, FILE.format(name="foreign_twin")))
    outcome = door("foreign_twin")
    assert outcome.message.strip().removeprefix("Error: ").startswith("2 models are called 'foreign_twin'.")
    assert "foreign_one:Gain" in outcome.message
    assert "foreign_two:Gain" in outcome.message
    assert "Traceback" not in outcome.message


def test_a_class_that_registers_again_is_the_new_one(door, shell):
    gain(run=lambda self, data, record: "old")
    newer = gain(run=lambda self, data, record: "new")
    assert TheirRegistry.get("foreign_gain") is newer
    record = door(newer).record
    assert (record.status, record.artifact_path().read_text()) == ("completed", "new")


# --- TOML of another version -------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "message"), [
    (
        "[model]\nclass = 5\n",
        ("The TOML file 'm.toml' needs class of [model] to be a text, got 5. "
        'Write for example: [model] class = "coastal_flood".'),
    ),
    (
        '[model]\nclass = "a"\nexecutor_module = ["foreign_file"]\n',
        ("The TOML file 'm.toml' needs executor_module of [model] to be a text, got ['foreign_file']. "
        'Write for example: [model] class = "coastal_flood".'),
    ),
    (
        "[model.class]\na = 1\n",
        ("The TOML file 'm.toml' needs class of [model] to be a text, got {'a': 1}. "
        'Write for example: [model] class = "coastal_flood".'),
    ),
    (
        f"[model.parameters.{'.'.join('a' * 3000)}]\nx = 1\n",
        "The TOML file 'm.toml' is nested too deeply to be read. Write shorter tables and lists.",
    ),
    (
        '[model]\nclass = "a"\n[[model.parameters]]\ngain = 1\n',
        ("The TOML file 'm.toml' needs [model] and [model.parameters] to be tables. "
        'Write for example: [model] class = "coastal_flood".'),
    ),
    (
        '[model]\nclass = "a"\nexecutor_module = "no_such_module_x"\n',
        ("'no_such_module_x' names a module that is not installed: 'no_such_module_x'. Install its package, or check "
        "the spelling; an import path is written package.module:Class."),
    ),
])  # fmt: skip
def test_a_toml_that_cannot_be_meant_is_one_sentence(door, text, message):
    Path("m.toml").write_text(text)
    outcome = door("m.toml")
    assert outcome.message.strip().removeprefix("Error: ") == message
    assert outcome.record is None


def test_unknown_keys_and_tables_do_not_stop_a_toml(door, module):
    name = module("foreign_file", FILE.format(name="foreign_file"))
    Path("m.toml").write_text(
        f'schema = 9\n[model]\nclass = "{name}:Gain"\ndissmodel = ">=0.4"\nnew_key = true\n'
        "[model.parameters]\ngain = 5\n[[other]]\na = 1\n"
    )
    record = door("m.toml").record
    assert (record.status, record.parameters) == ("completed", {"new_key": True, "gain": 5})
    assert record.parameter_origins == {"new_key": "toml", "gain": "toml"}
    assert record.unread_parameters == ["new_key"]


def test_parameters_beside_the_model_are_noticed():
    spec = ModelSpec.from_text('[model]\nclass = "a"\n[parameters]\ngain = 1\n[Params]\ngain = 2\n[notes]\na = 1\n')
    assert (spec.parameters, spec.overlooked) == ({}, ["parameters", "Params"])
    assert ModelSpec.from_text("[parameters]\ngain = 1").overlooked == []


def test_land_use_types_that_are_another_table_are_kept():
    text = '[model]\nclass = "a"\n[model.land_use_types]\n'
    assert ModelSpec.from_text(f"{text}forest = 1").parameters == {"land_use_types": {"forest": 1}}
    assert ModelSpec.from_text(f'{text}types = ["forest"]').parameters == {"land_use_types": ["forest"]}


@pytest.mark.parametrize(("written", "sentence"), [
    (
        "==0.5.1",
        ("The TOML was written for dissmodel 0.5.1, where a run stops one step before end_time (7); the installed "
        "0.6.6 includes it."),
    ),
    (">=0.5", None),
    ("==0.6.0", None),
])  # fmt: skip
def test_the_version_in_a_toml_counts_for_a_run_that_begins(monkeypatch, written, sentence):
    monkeypatch.setattr(preflight_versions, "_installed", lambda: "0.6.6")
    record = ExperimentRecord(
        parameters={"end_time": 7},
        resolved_spec={"model": {"dissmodel": written}},
        provenance=Provenance(versions={"dissmodel": "0.6.6"}),
        status="running",
    )
    assert [finding.what for finding in preflight_of_record(record)] == ([sentence] if sentence else [])


# --- parameters of the wrong make --------------------------------------------------------------------------


def reading(**defaults):
    """Make an executor that reads these."""
    lines = "".join(f"\n        record.parameters.get({name!r}, {value!r})" for name, value in defaults.items())
    return FILE.format(name="foreign_kinds").replace(
        "def load(self, record): return 1", f"def load(self, record):{lines}\n        return 1"
    )


def test_a_table_for_a_list_is_said_before_the_run(door, module, workspace):
    executor = f"{module('foreign_kinds', reading(types=['a'], rates={'a': 1.0}))}:Gain"
    (workspace / "demand.csv").write_text("a\n1\n")
    given = {"types": {"a": 1}, "rates": [1, 2], "gain": {"a": 1}, "demand": "demand.csv"}
    Path("m.toml").write_text(
        f'[model]\nclass = "{executor}"\n[model.parameters]\nrates = [1, 2]\ndemand = "demand.csv"\n'
        "[model.parameters.types]\na = 1\n[model.parameters.gain]\na = 1\n"
    )
    assert misplaced_parameters(resolve_class(executor), given) == {
        "types": "is a table, where Gain takes a list.",
        "rates": "is a list, where Gain takes a table.",
        "gain": "is a table, where Gain takes a number.",
    }
    record = validate("m.toml")
    assert "The parameter rates is a list, where Gain takes a table. Write it so, unless the model takes both." in (
        record.warnings
    )
    outcome = door("m.toml")
    warnings = newest_record().warnings
    assert "The parameter types is a table, where Gain takes a list. Write it so, unless the model takes both." in (
        warnings
    )
    assert outcome.record is not None


def test_a_list_for_a_number_may_be_meant_where_nothing_casts():
    kind = gain()
    assert misplaced_parameters(kind, {"gain": [1, 2]}) == {}
    assert misplaced_parameters(kind, {"gain": "a text"}) == {}


def test_a_name_that_is_no_text_is_refused():
    with pytest.raises(ParameterError) as caught, contextlib.suppress(UserWarning):
        validate(gain(), parameters={1: 2, "gain": 3})
    assert str(caught.value) == (
        "foreign_gain cannot run with these parameters. 1: a parameter's name must be a text."
    )


NAMES = ["items", "get", "copy", "keys", "model_dump", "json", "self", "_x", "naïve-ü 名", "a b", "<b>"]


def test_any_name_can_be_a_parameter(door):
    given = {name: count for count, name in enumerate(NAMES)}
    record = door(gain(run=lambda self, data, record: sum(record.parameters[name] for name in NAMES)), given).record
    assert (record.status, record.parameters) == ("completed", given)
    assert record.parameter_origins == dict.fromkeys(NAMES, "given")
    assert record.artifact_path().read_text() == str(sum(range(len(NAMES))))
    assert record.unread_parameters == []


# --- what they do to the record ----------------------------------------------------------------------------


def test_copies_of_a_record_are_their_own(door):
    import copy
    import pickle

    def load(self, record):
        for other in (copy.deepcopy(record), record.model_copy(deep=True), pickle.loads(pickle.dumps(record))):
            other.add_log("in a copy")
            other.parameters["gain"] = 9
            assert type(other.parameters) is dict
        return 1

    record = door(gain(load=load), {"gain": 2}).record
    assert record.artifact_path().read_text() == "2"
    assert "in a copy" not in record.logs


def test_replaced_parameters_are_watched_on(door):
    def load(self, record):
        record.parameters = dict(record.parameters)
        return 1

    record = door(gain(load=load), {"other": 2}).record
    assert (record.status, record.defaults_taken) == ("completed", {"gain": 3})
    assert record.unread_parameters == []  # they were taken as a whole


def test_a_record_of_theirs_can_be_read_by_upstream_and_back(door):
    record = door(gain(run=simulating((4, 1))), {"gain": 2}).record
    text = record.record_path.read_text()
    read_json(record.record_path)
    theirs = TheirRecord.model_validate_json(text)
    assert (theirs.experiment_id, theirs.status, theirs.parameters) == (
        record.experiment_id,
        "completed",
        {"gain": 2},
    )
    Path("back.json").write_text(theirs.model_dump_json())
    back = read_record("back.json")
    assert (back.experiment_id, back.artifacts, back.logs) == (record.experiment_id, record.artifacts, record.logs)


def test_what_an_executor_puts_into_its_parameters_was_not_given(door):
    def save(self, result, record):
        record.parameters["n_cells"] = 3
        Path(record.output_path).write_text("x")
        return record

    record = door(gain(save=save), {"gain": 2}).record
    assert record.parameter_origins["n_cells"] != "given"
    assert (record.unread_parameters, record.warnings) == ([], [])


def test_a_replaced_log_keeps_what_the_lab_has_said(door):
    def load(self, record):
        record.logs = ["theirs"]
        return 1

    record = door(gain(load=load), {"gian": 2}).record
    assert "The parameter gian is never read by Gain. Did you mean 'gain'? Known: gain." in record.warnings
    assert "theirs" in record.logs


# --- Environments ------------------------------------------------------------------------------------------


def interrupted(after, call):
    """Send SIGINT soon after an event is set; return how long the call went on after it [s]."""
    sent = []

    def send():
        after.wait(20)
        time.sleep(0.2)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=send)
    gc.collect()
    gc.disable()  # Python loses an interrupt that comes while another test's widgets are finalized
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            call()
        return time.perf_counter() - sent[0]
    finally:  # a signal that nobody waits for any more must not reach another test
        with contextlib.suppress(KeyboardInterrupt):
            thread.join()
            time.sleep(0.01)
        gc.enable()


@pytest.mark.parametrize(("end", "step"), [(10, 0), (float("inf"), 1), (10, -1)])
def test_a_run_that_never_ends_is_cancelled_at_once(capsys, end, step):
    runs = threading.Event()

    def listen(event):
        if isinstance(event, PhaseStarted) and event.phase == "run":
            runs.set()

    waited = interrupted(runs, lambda: run(gain(run=simulating((end, step))), observers=[listen]))
    record = newest_record()
    assert waited < 0.8
    assert (record.status, record.failed_phase, record.phases["run"].status) == ("cancelled", "run", "cancelled")
    still = (
        f"The model Count has the step {step}, so that simulated time never goes on and the run may never end. "
        "Interrupt it, and choose a step above 0."
    )
    assert record.warnings == ([still] if step <= 0 else [])


def test_an_environment_run_twice_and_two_of_them_are_counted(door):
    record = door(gain(run=simulating((5, 1), runs=2))).record
    assert (record.steps, record.artifact_path().read_text()) == (12, str([[*range(6), *range(6)]]))
    record = door(gain(run=simulating((5, 1), (3, 1)))).record
    assert (record.steps, record.artifact_path().read_text()) == (10, str([[*range(6)], [*range(4)]]))


def test_two_at_once_give_what_each_gives_alone_and_say_that_they_wait():
    records = {}

    def go(end):
        records[end] = run(gain(run=simulating((end, 1), pause=0.01)))

    threads = [threading.Thread(target=go, args=(end,)) for end in (20, 25, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for end, record in records.items():
        assert record.steps == end + 1
        assert record.artifact_path().read_text() == str([[*range(end + 1)]])
    assert sorted(WAITING in record.logs for record in records.values()) == [False, True, True]


def test_the_one_that_waits_can_be_interrupted():
    begun, waits, release = threading.Event(), threading.Event(), threading.Event()

    def listen(event):
        if isinstance(event, LogLine) and event.text == WAITING:
            waits.set()

    class Holding(Model):
        def execute(self):
            begun.set()
            release.wait(20)

    def hold(self, data, record):
        environment = Environment(start_time=0, end_time=0)
        Holding(step=1)
        environment.run()
        return "held"

    holder = threading.Thread(target=lambda: run(gain(run=hold)))
    holder.start()
    assert begun.wait(10)
    try:
        waited = interrupted(waits, lambda: run(gain(run=simulating((3, 1))), observers=[listen]))
    finally:
        release.set()
        holder.join()
    waiting = newest_record()
    assert waited < 0.8
    assert (waiting.status, waiting.failed_phase, waiting.logs[0]) == ("cancelled", "run", WAITING)


# --- untrusted text and secrets ----------------------------------------------------------------------------


def evil():
    def go(self, data, record):
        from dissmodel_lab import report_step

        record.add_log(EVIL)
        record.metrics[EVIL] = EVIL
        for step in (1, 2):
            report_step(step, 2, EVIL, {EVIL: float(step)}, layers=lambda: {EVIL: np.ones((3, 4))})
        raise ValueError(EVIL)

    found = gain(run=go)
    found.name, found.__doc__ = EVIL, EVIL
    return found


def test_no_text_of_theirs_is_obeyed(door, capsys):
    outcome = door(evil(), {"<b>p</b>": EVIL})
    shown = bundle_html(outcome.shown)
    plain = "".join(bundle.get("text/plain", "") for bundle in outcome.shown)
    printed = "".join(capsys.readouterr()) + (outcome.message if door.name == "cli" else "")
    assert newest_record().error == f"ValueError: {EVIL}"
    for text in (shown, plain, printed):
        assert "\x1b[31m" not in text
    for text in ("<img src=x", "<script>alert(2)", "<b>p</b>"):
        assert text not in shown
    if door.name != "function":
        assert "\\x1b[31m" in shown + plain + printed


def test_listing_and_form_obey_nothing(shell):
    shell.user_ns["Evil"] = evil()
    shell.run_line_magic("dissmodel", "models")
    shell.run_line_magic("dissmodel", "form Evil")
    shown = bundle_html(shell.bundles) + "".join(bundle.get("text/plain", "") for bundle in shell.bundles)
    assert "\x1b[31m" not in shown
    assert "<script>alert(2)" not in bundle_html(shell.bundles)


def secretive():
    def load(self, record):
        values = record.parameters
        values.get("password", "s3cr3tvalue")
        values.get("db", {"token": "s3cr3tvalue", "table": "a"})
        values.get("url", "https://ana:s3cr3tvalue@host/x")
        record.add_log(f"password={values.get('password')} db={values.get('db')}")
        return 1

    return gain(load=load)


def form_texts(form):
    """Return every text that a form's widgets send to the browser, entries of a person aside."""
    texts, left = [], [form.widget]
    while left:
        widget = left.pop()
        left += getattr(widget, "children", ())
        state = widget.get_state()
        texts += [str(state.get(key, "")) for key in ("description", "placeholder", "tooltip", "options")]
        if type(widget).__name__ == "HTML":
            texts.append(state["value"])
    return "\n".join(texts)


@pytest.mark.parametrize("given", [
    {},
    {"password": SECRET, "db": {"token": SECRET}, "url": f"https://ana:{SECRET}@host/x", "api_key_file": SECRET},
], ids=["defaults", "given"])  # fmt: skip
def test_secrets_are_nowhere(door, shell, capsys, given):
    outcome = door(secretive(), given)
    printed = "".join(capsys.readouterr()) + outcome.message
    assert outcome.record.status == "completed"
    for path in Path().rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
    assert SECRET not in str(outcome.shown) + printed


def test_secrets_are_in_no_text_of_a_form(shell):
    from dissmodel_lab.provenance import Caller

    shell.user_ns["Secretive"] = secretive()
    form = show_form(
        "Secretive", source="", output="", parameters={"password": SECRET}, toml=None, namespace=shell.user_ns,
        caller=Caller(),
    )  # fmt: skip
    assert SECRET not in form_texts(form)
    assert SECRET not in str(shell.bundles)
    assert "left empty, the model takes https://***@host/x" in form_texts(form)


def test_an_unread_secret_is_called_by_its_name_in_a_form(shell):
    from dissmodel_lab.provenance import Caller

    shell.user_ns["Gain"] = gain()
    form = show_form(
        "Gain", source="", output="", parameters={"password": SECRET}, toml=None, namespace=shell.user_ns,
        caller=Caller(),
    )  # fmt: skip
    assert "password (a secret): The model never reads it. Known: gain." in form_texts(form)
    assert SECRET not in form_texts(form)


def test_validate_in_a_terminal_shows_no_secret(module, capsys):
    name = module("foreign_file", FILE.format(name="foreign_file"))
    words = ["--param", f"api_key={SECRET}", "--param", f"db={{token = '{SECRET}'}}", "--param", "\x1b[31mx=1"]
    assert main(["validate", f"{name}:Gain", *words]) == 0
    said = "".join(capsys.readouterr())
    assert SECRET not in said
    assert "\x1b[31m" not in said
    assert "  api_key = '***'\n" in said


def test_a_secret_path_is_in_no_finding(workspace):
    (workspace / "demand.csv").write_text("a,b\n1,2\n")
    record = ExperimentRecord(
        parameters={"token_file": f"missing/{SECRET}.csv", "api_key_band": SECRET, "demand_csv": "demand.csv"}
    )
    said = findings_text(preflight(object, record, store_folder="runs", output=None))
    assert SECRET not in said
    assert "The parameter token_file names the file '***', which does not exist. Check the path." in said


# --- much ----------------------------------------------------------------------------------------------------


def rows_toml(name, count):
    rows = "\n".join(f"[[model.parameters.rows]]\na = {i}\nb = 0.5\nname = 'x{i}'" for i in range(count))
    return f'[model]\nclass = "{name}:Gain"\n{rows}\n'


@pytest.mark.parametrize(("make", "phrase"), [
    (lambda name: rows_toml(name, 10_000), "30,000 values, too long to edit here: kept as it is"),
    (
        lambda name: f'[model]\nclass = "{name}:Gain"\n[model.parameters]\nlong = "{"x" * 10_000_000}"\n',
        "10,000,000 characters, too long to edit here: kept as it is",
    ),
    (
        lambda name: f'[model]\nclass = "{name}:Gain"\n' + "".join(f"p{i} = {i}\n" for i in range(3000)),
        "and 2,700 more parameters, kept as they are",
    ),
    (
        lambda name: f'[model]\nclass = "{name}:Gain"\n' + "".join(
            f"[model.t{i}]\n" + "".join(f"k{j} = {j}\n" for j in range(200)) for i in range(20)
        ),
        "t19",
    ),
], ids=["10,000 rows", "10 MB text", "3,000 names", "20 tables of 200"])  # fmt: skip
def test_a_form_with_very_many_values_stays_usable(shell, module, make, phrase):
    from ipywidgets.widgets.widget import _instances

    from dissmodel_lab.provenance import Caller

    text = make(module("foreign_file", FILE.format(name="foreign_file")))
    Path("m.toml").write_text(text)
    spec = ModelSpec.from_text(text)
    before = len(_instances)
    form = show_form("m.toml", source="", output="", parameters={}, toml=None, namespace={}, caller=Caller())
    assert len(_instances) - before < 6 * MAX_FIELDS
    assert sum(len(str(widget.get_state())) for widget in list(_instances.values())[before:]) < 1_500_000
    assert len(bundle_html(shell.bundles)) < 400_000
    assert form.values == spec.parameters
    began = time.perf_counter()
    form.set_values({"gain": 5})
    assert time.perf_counter() - began < 15
    assert form.values == {**spec.parameters, "gain": 5}
    assert phrase in form_texts(form)


def test_a_long_value_is_kept_until_something_is_typed(shell):
    from dissmodel_lab.provenance import Caller

    shell.user_ns["Gain"] = gain()
    values = list(range(5000))
    form = show_form(
        "Gain",
        source="",
        output="",
        parameters={"table": values},
        toml=None,
        namespace=shell.user_ns,
        caller=Caller(),
    )
    control = form._parameters.controls["table"]
    assert (control.input.value, control.input.placeholder) == (
        "",
        "5,000 values, too long to edit here: kept as it is",
    )
    assert form.values["table"] == values
    control.input.value = "[1]"
    assert form.values["table"] == [1]


# --- preflight on what is no file ----------------------------------------------------------------------------


def look(**parameters):
    began = time.perf_counter()
    record = ExperimentRecord(parameters=parameters)
    said = findings_text(preflight(gain(), record, store_folder="runs", output=None))
    assert time.perf_counter() - began < 15
    return "\n".join(line for line in said.splitlines() if "unknown-parameter" not in line)


@pytest.mark.parametrize("path", ["/dev/zero", "zero.csv", "fifo.csv", "plug.csv"])
def test_what_has_no_end_is_not_looked_at(path):
    os.mkfifo("fifo.csv")
    Path("zero.csv").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind("plug.csv")
    name = Path(path).name
    assert look(demand_file=path) == (
        f"warning: {name} was not looked at: it is a device, a pipe or a socket, and no file. "
        "Name a file, unless the model reads from such a thing. (not-looked-at)"
    )
    source = ExperimentRecord(source=DataSource(uri=path))
    assert "was not looked at" in findings_text(preflight(gain(), source, store_folder="runs", output=None))


def test_odd_files_are_findings():
    for name in ("sparse.tif", "sparse.csv", "sparse.gpkg", "sparse.zip"):
        with Path(name).open("wb") as file:
            file.truncate(2 * 2**30)
    with zipfile.ZipFile("bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("big.tif", "w") as member:
        for _ in range(120):
            member.write(bytes(2**20))
    Path("loop_a.csv").symlink_to("loop_b.csv")
    Path("loop_b.csv").symlink_to("loop_a.csv")
    here = str(Path.cwd())
    said = {
        name: look(**{parameter: name})
        for parameter, name in [
            ("grid_file", "sparse.tif"), ("table_file", "sparse.csv"), ("cells_file", "sparse.gpkg"),
            ("zip_file", "sparse.zip"), ("map_file", "bomb.zip"), ("demand_csv", "loop_a.csv"),
        ]
    }  # fmt: skip
    assert said["sparse.tif"].startswith(
        "error: sparse.tif cannot be read: it is not a map that can be read. Get the"
    )
    assert said["sparse.csv"].startswith("warning: sparse.csv was not looked at: its first line is no header")
    assert said["sparse.gpkg"].startswith("error: sparse.gpkg cannot be read:")
    assert said["sparse.zip"].startswith("error: sparse.zip cannot be read: it is no zip file.")
    assert said["bomb.zip"] == (
        "warning: bomb.zip (big.tif) was not looked at: it would have to be unpacked first. "
        "Unpack it and name the file itself. (not-looked-at)"
    )
    assert said["loop_a.csv"] == (
        "error: The parameter demand_csv names the file 'loop_a.csv', which does not exist. "
        "It is a link that leads nowhere: check where it points. (missing-file)"
    )
    assert here not in "".join(said.values())


def test_a_folder_with_a_circle_of_links_is_looked_into():
    Path("loop").symlink_to("loop")
    record = ExperimentRecord(source=DataSource(uri="."))
    said = findings_text(preflight(gain(), record, store_folder="runs", output=None))
    assert said == "error: The folder . is empty. Name a file, or a folder with a dataset in it. (datasets)"


@pytest.mark.parametrize(
    "uri", [f"http://ana:{SECRET}@127.0.0.1:9/x.tif", f"http://127.0.0.1:9/x.tif?X-Amz-Signature={SECRET}"]
)
def test_what_cannot_be_fetched_ends_the_run_and_its_secret_is_hidden(door, workspace, uri):
    (workspace / "demand.csv").write_text("a\n1\n")
    record = door(gain(), {"demand_csv": "demand.csv"}, source=uri).record
    assert (record.status, record.failed_phase) == ("failed", "validate")
    assert "127.0.0.1:9 refused the connection. Check the address and its port." in record.error
    assert SECRET not in record.record_path.read_text()


# --- %%dissmodel record ----------------------------------------------------------------------------------------


@pytest.fixture
def record_cell(shell):
    def call(line, body):
        return shell.run_cell(f"%%dissmodel record {line}\n{body}", store_history=True)

    return call


@pytest.mark.parametrize(("line", "body", "message"), [
    ("", "x = (", "The cell is no Python: '(' was never closed (line 1).\n    x = (\n        ^"),
    ("", "x = 1\nreturn x", "The cell is no Python: 'return' outside function (line 2)."),
    ("", "yield 1", "The cell is no Python: 'yield' outside function (line 1)."),
    (
        "",
        "import asyncio\nawait asyncio.sleep(0)",
        ("The cell awaits something on its top level, which cannot be recorded: its phases run one after the other. "
        "Await it in a cell before, and record the rest."),
    ),
    ("--output class", "x = 1", "The output 'class' is no name of a variable. Name one that the cell sets."),
    (
        "--output gird",
        "grid = 1",
        "The cell sets no variable 'gird', which is named as its output. Did you mean 'grid'? Known: grid.",
    ),
    ("--output sum", "x = 1", "The cell sets no variable 'sum', which is named as its output. Known: x."),
    ("--input gird", "x = 1", "No variable and no file is called 'gird'. Did you mean 'grid'? Known: grid."),
])  # fmt: skip
def test_a_cell_that_cannot_be_recorded_is_one_message(shell, record_cell, capsys, line, body, message):  # noqa: PLR0917 -- fixtures
    shell.user_ns["grid"] = 3 if "--input" in line else None
    if "--input" not in line:
        del shell.user_ns["grid"]
    result = record_cell(line, body)
    assert isinstance(result.error_in_exec, UsageError)
    assert str(result.error_in_exec) == message
    assert "Traceback" not in capsys.readouterr().out
    assert RunStore().entries() == []


@pytest.mark.parametrize(("line", "body", "output"), [
    ("--output x", "%time x = 1\nx = 3", "3"),
    ("", "%%time\nx = 1", None),
    ("--output z", "%dissmodel run game_of_life --param generations=2\nz = 1", "1"),
    ("--input given", "del given", None),
    ("", "for key in list(globals()):\n    if not key.startswith('_'): del globals()[key]", None),
    ("--output list", "list = [1]", "[1]"),
    ("--output kind", "class Kind:\n    def __str__(self): return 'a \\udcff'\nkind = Kind()", "a \\udcff"),
    ("--output n", "n = 16 ** 5000", "1" + "0" * 5000),
    ("--output os", "from os import *\nimport os as fine; os = 5", "5"),
    ("--output made", "exec('made = 4')", "4"),
    ("--output x", "import os\nos.mkdir('sub')\nos.chdir('sub')\nx = 1", "1"),
])  # fmt: skip
def test_odd_cells_are_recorded(shell, record_cell, line, body, output):
    shell.user_ns["given"] = 3
    here = Path.cwd()
    result = record_cell(line, body)
    os.chdir(here)
    assert result.success
    record = problem_of(RunStore().entries()[-1])  # the first, where a run in the cell came second
    assert (record.model_name, record.status) == ("cell", "completed")
    assert (record.artifact_path().read_text() if record.output_path else None) == output


@pytest.mark.parametrize(("kind", "written"), [("float16", "float32"), ("longdouble", "float64"), ("bool", "uint8")])
def test_arrays_of_odd_kinds_become_rasters(shell, record_cell, kind, written):
    assert record_cell("--output a", f"import numpy as np\na = np.ones((2, 3), '{kind}')").success
    saved = read_raster(newest_record().artifact_path())
    assert (str(saved.array.dtype), saved.array.shape, saved.array.sum()) == (written, (1, 2, 3), 6)


@pytest.mark.parametrize(("body", "message"), [
    (
        "import numpy as np\no = np.zeros((0, 3))",
        "The output has the shape (1, 0, 3) in bands, rows and columns: there is no cell to write. " + ANOTHER,
    ),
    (
        "from dissmodel.geo.raster.backend import RasterBackend\no = RasterBackend(shape=(2, 3))",
        "The output has the shape (0, 2, 3) in bands, rows and columns: there is no cell to write. " + ANOTHER,
    ),
    (
        "o = {}\no['o'] = o",
        "The output 'o' is nested too deeply to be read. Write shorter tables and lists.",
    ),
])  # fmt: skip
def test_outputs_that_cannot_be_written_are_one_message(shell, record_cell, body, message):
    result = record_cell("--output o", body)
    assert isinstance(result.error_in_exec, UsageError)
    assert str(result.error_in_exec) == message
    assert (newest_record().status, newest_record().failed_phase) == ("failed", "save")


def test_an_output_deleted_by_the_cell_is_one_message(shell, record_cell):
    result = record_cell("--output x", "x = 1\ndel x")
    assert str(result.error_in_exec) == "The cell set no variable 'x', which is named as its output. Known: none."
    assert (newest_record().status, newest_record().failed_phase) == ("failed", "run")


def test_an_input_changed_in_place_is_the_output(shell, record_cell):
    shell.user_ns["grid"] = np.zeros((2, 3))
    assert record_cell("--input grid --output grid", "grid[:] = 7").success
    assert read_raster(newest_record().artifact_path()).array.tolist() == [[[7.0] * 3] * 2]
    assert shell.user_ns["grid"].sum() == 42


def test_an_interrupt_in_the_middle_cancels_the_cell(shell, record_cell):
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    began = time.perf_counter()
    result = record_cell("--output x", "import time\nx = 1\nfor _ in range(100): time.sleep(0.1)\nx = 2")
    assert time.perf_counter() - began < 15
    assert isinstance(result.error_in_exec, UsageError)
    record = newest_record()
    assert (record.status, record.failed_phase, shell.user_ns["x"]) == ("cancelled", "run", 1)


def test_long_literals_are_data_and_no_settings(shell, record_cell):
    assert record_cell("", f"rate = 0.5\nvalues = [{'1, ' * 5000}]\nfew = [1, 2]").success
    assert newest_record().parameters == {"rate": 0.5, "few": [1, 2]}


@pytest.mark.parametrize("name", ["''", "'\x1b[31mr'", "n" * 101])
def test_a_cells_name_is_one_short_line(shell, name):
    with pytest.raises(UsageError) as caught:
        shell.run_cell_magic("dissmodel", f"record --name {name}", "x = 1")
    assert "a name of 1 to 100 letters, digits and other signs on one line is needed, got" in str(caught.value)
    assert "\x1b" not in str(caught.value)


# --- a modeller's own exception ----------------------------------------------------------------------------------


def test_their_own_exception_keeps_its_traceback(door):
    def go(self, data, record):
        raise ZeroDivisionError("their own trouble")

    outcome = door(gain(run=go))
    record = newest_record()
    assert "their own trouble" in outcome.message
    assert record.error == "ZeroDivisionError: their own trouble"
    assert 'raise ZeroDivisionError("their own trouble")' in record.logs[-1]
    if door.name == "cli":
        assert 'raise ZeroDivisionError("their own trouble")' in outcome.message


def test_exit_of_an_executor_is_one_sentence():
    def leave(self, data, record):
        sys.exit(4)

    with pytest.raises(ExecutorError, match=r"^The executor ended the program \(sys\.exit\(4\)\) in phase 'run'\."):
        run(gain(run=leave))
