"""A name, a class, an import string or a TOML file -> the executor that it stands for."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import pytest
from dissmodel.executor import ModelExecutor as TheirExecutor
from dissmodel.executor.registry import ExecutorRegistry as TheirRegistry

from dissmodel_lab.errors import ExecutorError, ExecutorNotFoundError, ParameterError
from dissmodel_lab.executor import ExecutorNameWarning, ExperimentRecord, ModelExecutor, execute_lifecycle
from dissmodel_lab.executor.testing import SteppingExecutor
from dissmodel_lab.parameters import ModelSpec
from dissmodel_lab.resolve import import_path, known_models, resolve_class, resolve_model
from dissmodel_lab.upstream import is_raster_backend, registered_executors

PHASES = """
    def validate(self, record): pass
    def load(self, record): return 1
    def run(self, data, record): return data
    def save(self, result, record): return record
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module; return its name. It is forgotten after the test."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name, text):
        path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return name

    yield write
    tops = {path.stem for path in tmp_path.iterdir()}
    for name in [name for name in sys.modules if name.partition(".")[0] in tops]:
        del sys.modules[name]


@pytest.fixture(autouse=True)
def their_registry():
    before = dict(TheirRegistry._executors)
    yield
    TheirRegistry._executors.clear()
    TheirRegistry._executors.update(before)


def refusal(model, **options):
    with pytest.raises(ExecutorNotFoundError) as raised:
        resolve_model(model, **options)
    return str(raised.value)


def test_a_registered_name():
    class Burning(SteppingExecutor):
        name = "burning"

    resolved = resolve_model("burning")
    assert type(resolved.executor) is resolved.executor_class is Burning
    assert resolved.name == "burning"
    assert resolved.spec == ModelSpec()


def test_a_class_and_an_instance():
    assert type(resolve_model(SteppingExecutor).executor) is SteppingExecutor
    mine = SteppingExecutor()
    assert resolve_model(mine).executor is mine


def test_an_unknown_name_suggests_the_nearest_and_tells_the_other_ways():
    message = refusal("game_of_live")
    known = ", ".join(known_models())
    assert message == (
        f"No model is called 'game_of_live'. Did you mean 'game_of_life'? Known: {known}. "
        "A model outside this list is named by its import path, package.module:Class, or by a .toml file."
    )


def test_a_name_of_the_notebook():
    class Mine(SteppingExecutor, register=False):
        name = "mine"

    class Nameless(SteppingExecutor, register=False):
        name = property(lambda self: "x")

    class Double(Mine, register=False):
        """It has no name but its parent's."""

    namespace = {"Mine": Mine, "Nameless": Nameless, "_Hidden": SteppingExecutor, "years": 5, "Other": dict}
    namespace |= {"Double": Double, "__name__": __name__}
    assert resolve_model("Mine", namespace=namespace).executor_class is Mine
    assert resolve_model("mine", namespace=namespace).executor_class is Mine
    assert resolve_model("Nameless", namespace=namespace).name == "Nameless"
    models = known_models(namespace)
    assert list(models) == sorted(models)
    assert (models["mine"], models["Nameless"], models["Double"]) == (Mine, Nameless, Double)
    assert "testing_stepping" not in models
    assert "Other" not in models
    assert not {"Nameless", "Double"} & set(known_models({**namespace, "__name__": "elsewhere"}))


def test_a_variable_that_is_no_class_does_not_hide_a_model():
    resolved = resolve_model("game_of_life", namespace={"game_of_life": ExperimentRecord()})
    assert resolved.executor_class.__name__ == "GameOfLife"


def test_a_class_of_the_notebook_that_is_no_executor():
    class Plain:
        def load(self, record):
            return None

    assert refusal("Plain", namespace={"Plain": Plain}) == (
        "Plain is no executor: it lacks validate, run, save. "
        "An executor is a class with the methods validate, load, run and save."
    )


@pytest.mark.parametrize("model", [5, None, ExperimentRecord(model_name="m")])
def test_what_is_no_model(model):
    message = refusal(model)
    assert message.startswith(f"{model!r:.80}")
    assert message.endswith(
        "is no model. Give a name, a class, an import path 'package.module:Class' or a .toml file."
    )


def test_an_unfinished_class():
    class Unfinished(ModelExecutor, register=False):
        name = "unfinished"

        def load(self, record):
            return None

    assert refusal(Unfinished) == (
        "Unfinished is no executor: it lacks run, save. "
        "An executor is a class with the methods validate, load, run and save."
    )


def test_an_import_string(module):
    module("flood_pkg.models", f"class Flood:\n{PHASES}\n    class Inner:\n{textwrap.indent(PHASES, '    ')}")
    resolved = resolve_model("flood_pkg.models:Flood")
    assert resolved.name == "Flood"
    assert import_path(resolved.executor_class) == "flood_pkg.models:Flood"
    assert import_path(resolve_model("flood_pkg.models:Flood.Inner").executor_class) == "flood_pkg.models:Flood.Inner"


def test_import_strings_that_lead_nowhere(module):
    module(
        "flood_mod", f"VALUE = 5\nclass Flood:\n{PHASES}\nflood = Flood()\nclass Half:\n    def load(self, r): pass"
    )
    install = "Install its package, or check the spelling; an import path is written package.module:Class."
    assert refusal("no_such_pkg:X") == (
        f"'no_such_pkg:X' names a module that is not installed: 'no_such_pkg'. {install}"
    )
    assert refusal("flood_mod.sub:X") == (
        f"'flood_mod.sub:X' names a module that is not installed: 'flood_mod.sub'. {install}"
    )
    assert refusal("flood_mod:Flod") == "The module 'flood_mod' has no 'Flod'. Did you mean 'Flood'? Known: Flood."
    assert refusal("flood_mod:VALUE.x") == "The module 'flood_mod' has no 'VALUE.x'. Known: none."
    assert refusal("flood_mod:") == "The module 'flood_mod' has no ''. Known: Flood."
    lacks = "An executor is a class with the methods validate, load, run and save."
    assert refusal("flood_mod:VALUE") == f"5 is no executor: it lacks validate, load, run, save. {lacks}"
    assert refusal("flood_mod:Half") == f"Half is no executor: it lacks validate, run, save. {lacks}"
    assert "is no executor: it lacks a class." in refusal("flood_mod:flood")


@pytest.mark.parametrize("path", [":X", ".relative:X", "a b:X", "model.py/x:X", "a..b:X"])
def test_what_is_no_import_path(path):
    assert refusal(path) == f"{path!r} is no import path. Write package.module:Class, or give a .toml file."


def test_a_modules_own_import_error_keeps_its_traceback(module):
    module("needy_mod", "import not_installed_anywhere")
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere") as raised:
        resolve_model("needy_mod:X")
    assert raised.traceback[-1].path.name == "needy_mod.py"


def test_a_modules_own_bug_keeps_its_traceback(module):
    module("buggy_mod", "1 / 0")
    with pytest.raises(ZeroDivisionError):
        resolve_model("buggy_mod:X")


def test_a_constructor_that_raises_is_the_modellers_own():
    class Failing(SteppingExecutor, register=False):
        def __init__(self):
            raise KeyError("path")

    with pytest.raises(KeyError):
        resolve_model(Failing)


def test_a_constructor_that_ends_the_program_is_refused():
    class Quitting(SteppingExecutor, register=False):
        name = "quitting"

        def __init__(self):
            sys.exit("no licence")

    with pytest.raises(ExecutorError) as raised:
        resolve_model(Quitting)
    assert str(raised.value) == (
        "Quitting called sys.exit('no licence') in its __init__. Let it raise an exception that says what is wrong."
    )


def test_a_module_that_ends_the_program_is_refused(tmp_path, monkeypatch):
    (tmp_path / "quitting_module.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ExecutorError) as raised:
        resolve_model("quitting_module:Model")
    assert str(raised.value) == (
        "The module 'quitting_module' called sys.exit(3) when it was imported. "
        "Put what it runs under: if __name__ == '__main__'."
    )


def test_a_class_is_found_without_making_an_instance(workspace):
    class Unmakeable(SteppingExecutor, register=False):
        name = "unmakeable"

        def __init__(self):
            raise ZeroDivisionError

    (workspace / "m.toml").write_text('[model]\nclass = "unmakeable"')
    for model in ("unmakeable", "Unmakeable", "m.toml"):
        assert resolve_class(model, namespace={"Unmakeable": Unmakeable}) is Unmakeable


def test_a_class_of_the_notebook_with_the_name_of_a_built_in_model_is_told_apart():
    class Life(SteppingExecutor, register=False):
        name = "game_of_life"

    notebook = {"Life": Life}
    assert "game_of_life" not in known_models(notebook)
    assert refusal("game_of_life", namespace=notebook) == (
        "2 models are called 'game_of_life'. Write which one is meant: "
        "dissmodel_lab.models.game_of_life:GameOfLife (dissmodel_lab 0.1.0) or Life (test_resolve)."
    )
    assert resolve_class("Life", namespace=notebook) is Life
    assert resolve_class("dissmodel_lab.models.game_of_life:GameOfLife", namespace=notebook) is not Life
    assert resolve_class("game_of_life") is not Life


def test_a_cell_that_is_run_again_replaces_its_class(shell):
    cell = """
from dissmodel_lab.executor.testing import SteppingExecutor
class Mine(SteppingExecutor):
    name = "{name}"
"""
    for name in ("of_a_cell", "of_a_cell", "renamed_in_its_cell"):
        assert shell.run_cell(cell.format(name=name)).success
    namespace = shell.user_ns
    assert known_models(namespace)["renamed_in_its_cell"] is namespace["Mine"]
    assert "of_a_cell" not in known_models(namespace)
    assert shell.run_cell(cell.format(name="of_a_cell")).success
    assert resolve_class("of_a_cell", namespace=namespace) is namespace["Mine"]
    assert resolve_class("__main__:Mine", namespace=namespace) is namespace["Mine"]


def test_a_cell_of_pypi_dissmodel_that_is_run_again_replaces_its_class(shell):
    cell = """
from dissmodel.executor import ModelExecutor
class Theirs(ModelExecutor):
    name = "theirs_of_a_cell"
    def load(self, record): ...
    def run(self, data, record): ...
    def save(self, result, record): ...
class Double(Theirs):
    "It takes its parent's place in dissmodel's registry."
"""
    assert shell.run_cell(cell).success
    old = shell.user_ns["Theirs"]
    assert shell.run_cell(cell).success
    assert registered_executors()["theirs_of_a_cell"] is shell.user_ns["Double"]
    assert resolve_class("theirs_of_a_cell", namespace=shell.user_ns) is shell.user_ns["Theirs"] is not old
    assert resolve_class("theirs_of_a_cell") is shell.user_ns["Theirs"]
    assert resolve_class("Double", namespace=shell.user_ns) is shell.user_ns["Double"]


def test_an_empty_name_is_no_model():
    assert refusal("").startswith("No model is called ''. Known: ")


def test_a_toml_with_a_class(workspace):
    (workspace / "study.TOML").write_text('[model]\nclass = "game_of_life"\ngenerations = 4\n')
    for model in ("study.TOML", Path("study.TOML"), ModelSpec.from_path("study.TOML")):
        resolved = resolve_model(model)
        assert resolved.executor_class.__name__ == "GameOfLife"
        assert resolved.spec.parameters == {"generations": 4}


def test_a_toml_with_an_import_string(workspace):
    (workspace / "m.toml").write_text('[model]\nclass = "dissmodel_lab.executor.testing:SteppingExecutor"\n')
    assert resolve_model("m.toml").executor_class is SteppingExecutor


def test_a_toml_without_a_model(workspace):
    (workspace / "m.toml").write_text("years = 5\n")
    with pytest.raises(ParameterError) as raised:
        resolve_model("m.toml")
    assert str(raised.value) == 'The TOML names no model. Add for example: [model] class = "coastal_flood".'


REGISTERING = f"""
from dissmodel_lab.executor import ModelExecutor
class Lucc(ModelExecutor):
    name = "lucc_by_toml"
{PHASES}
"""


def test_a_toml_with_an_executor_module(module):
    module("lucc_pkg.continuous", REGISTERING)
    spec = ModelSpec.from_text('[model]\nclass = "lucc_by_toml"\nexecutor_module = "lucc_pkg.continuous"\n')
    assert resolve_model(spec).name == "lucc_by_toml"


def test_a_toml_with_a_lazy_executor_module(module):
    module("lazy_pkg.continuous", REGISTERING)
    module(
        "lazy_pkg.__init__",
        """
        __all__ = ["Lucc"]
        def __getattr__(name):
            if name == "Lucc":
                from lazy_pkg.continuous import Lucc
                return Lucc
            raise AttributeError(name)
        """,
    )
    spec = ModelSpec.from_text('[model]\nclass = "lucc_by_toml"\nexecutor_module = "lazy_pkg"\n')
    assert resolve_model(spec).name == "lucc_by_toml"


def toml(**keys):
    return ModelSpec.from_text("[model]\n" + "".join(f'{key} = "{value}"\n' for key, value in keys.items()))


TWO = f"""
class First:
    name = "shared_by_two"
{PHASES}
class Second:
    name = "shared_by_two"
{PHASES}
"""


def test_an_executor_module_says_which_of_two(module):
    module("one_mod", REGISTERING.replace("lucc_by_toml", "in_two_modules"))
    module("other_mod", REGISTERING.replace("lucc_by_toml", "in_two_modules"))
    for name in ("one_mod", "other_mod"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExecutorNameWarning)
            found = resolve_model(toml(**{"class": "in_two_modules", "executor_module": name}))
        assert import_path(found.executor_class) == f"{name}:Lucc"
    assert refusal("in_two_modules") == (
        "2 models are called 'in_two_modules'. Write which one is meant: one_mod:Lucc (one_mod) "
        "or other_mod:Lucc (other_mod)."
    )
    assert import_path(resolve_model("one_mod:Lucc").executor_class) == "one_mod:Lucc"
    assert "in_two_modules" not in known_models()


def test_a_toml_may_name_the_class_or_only_its_module(module):
    module("lonely_mod", REGISTERING)
    for keys in ({"class": "Lucc"}, {}):
        assert resolve_model(toml(**keys, executor_module="lonely_mod")).name == "lucc_by_toml"


def test_a_module_with_two_executors_needs_a_class(module):
    module("two_mod", TWO)
    paths = "two_mod:First, two_mod:Second"
    write = 'Write in the TOML which one is meant, for example [model] class = "two_mod:First".'
    assert refusal(toml(executor_module="two_mod")) == (
        f"The module 'two_mod' has 2 executors with a name: {paths}. {write}"
    )
    assert refusal(toml(**{"class": "shared_by_two", "executor_module": "two_mod"})) == (
        f"The module 'two_mod' has 2 executors called 'shared_by_two': {paths}. {write}"
    )
    assert resolve_model(toml(**{"class": "two_mod:Second", "executor_module": "two_mod"})).name == "shared_by_two"


def test_a_module_without_an_executor_needs_a_class(module):
    module("empty_mod", "")
    assert refusal(toml(executor_module="empty_mod")) == (
        "The module 'empty_mod' has 0 executors with a name: none. "
        'Write in the TOML which one is meant, for example [model] class = "package.module:Class".'
    )
    assert resolve_model(toml(**{"class": "game_of_life", "executor_module": "empty_mod"})).name == "game_of_life"


LAZY = """
__all__ = ["Lucc", "Needy"]
def __getattr__(name):
    if name == "Needy":
        import not_installed_anywhere
    if name == "Lucc":
        from {package}.continuous import Lucc
        return Lucc
    raise AttributeError(name)
"""


def test_what_a_lazy_module_cannot_hand_out_is_told_when_it_is_wanted(module):
    module("half_pkg.continuous", REGISTERING)
    module("half_pkg.__init__", LAZY.format(package="half_pkg"))
    assert resolve_model(toml(**{"class": "lucc_by_toml", "executor_module": "half_pkg"})).name == "lucc_by_toml"
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        resolve_model(toml(**{"class": "needy", "executor_module": "half_pkg"}))


def test_a_lazy_name_is_imported_without_a_trace(module, workspace, capsys):
    module("roaming_pkg.continuous", f"import os, sys\nos.chdir('/')\nprint('hello')\nclass Lucc:\n{PHASES}")
    module("roaming_pkg.__init__", LAZY.format(package="roaming_pkg"))
    assert resolve_model("roaming_pkg:Lucc").name == "Lucc"
    assert Path.cwd() == workspace
    assert capsys.readouterr() == ("", "hello\n")


def test_a_toml_with_an_executor_module_that_is_not_there():
    spec = ModelSpec.from_text('[model]\nclass = "x"\nexecutor_module = "no_such_pkg.mod"\n')
    assert refusal(spec).startswith("'no_such_pkg.mod' names a module that is not installed: 'no_such_pkg'.")


def test_an_executor_written_for_dissmodel_runs():
    from dissmodel.executor.schemas import ExperimentRecord as TheirRecord

    class Theirs(TheirExecutor):
        name = "their_model"

        def load(self, record):
            record.source.checksum = "ab"
            return record.parameters.get("end_time", 88)

        def run(self, data, record):
            record.add_log(f"{data} years")
            return data

        def save(self, result, record):
            record.output_sha256 = "cd"
            record.metrics["years"] = result
            record.status = "completed"
            return record

    assert registered_executors()["their_model"] is Theirs
    assert known_models()["their_model"] is Theirs
    resolved = resolve_model("their_model")
    record, timings = execute_lifecycle(resolved.executor, ExperimentRecord(parameters={"end_time": 5}))
    assert (record.status, record.metrics["years"], record.logs) == ("completed", 5, ["5 years"])
    assert record.source.checksum == "ab"
    assert timings["time_total_sec"] >= 0
    theirs = TheirRecord.model_validate_json(record.model_dump_json())
    assert theirs.output_sha256 == "cd"


def test_a_name_that_an_own_model_shares_with_one_of_dissmodel():
    class Theirs(TheirExecutor):
        name = "shared_model"

        def load(self, record): ...
        def run(self, data, record): ...
        def save(self, result, record): ...

    class Ours(SteppingExecutor):
        name = "shared_model"

    assert "shared_model" not in known_models()
    assert refusal("shared_model").startswith("2 models are called 'shared_model'. Write which one is meant: ")
    notebook = {"Theirs": Theirs, "Ours": Ours}
    assert refusal("shared_model", namespace=notebook) == (
        "2 models are called 'shared_model'. Write which one is meant: Ours (test_resolve) or Theirs (test_resolve)."
    )
    assert resolve_class("Theirs", namespace=notebook) is Theirs


def test_a_raster_of_dissmodel_is_known():
    from dissmodel.geo.raster.backend import RasterBackend

    assert is_raster_backend(RasterBackend(shape=(2, 3)))
    assert not is_raster_backend(type("RasterBackend", (), {"arrays": {}})())


def test_importing_a_model_leaves_the_working_folder(module, workspace):
    module("roaming_mod", f"import os\nos.chdir('/')\nclass Flood:\n{PHASES}")
    resolve_model("roaming_mod:Flood")
    assert Path.cwd() == workspace
    module("roaming_buggy_mod", "import os\nos.chdir('/')\n1 / 0")
    with pytest.raises(ZeroDivisionError):
        resolve_model("roaming_buggy_mod:Flood")
    assert Path.cwd() == workspace


SWITCHING = f"import matplotlib\nmatplotlib.use('Agg')\nclass Flood:\n{PHASES}"


def test_importing_a_model_leaves_the_backend(module):
    import matplotlib as mpl

    usual = mpl.get_backend()
    mpl.use("svg")
    try:
        module("switching_mod", SWITCHING)
        resolve_model("switching_mod:Flood")
        assert mpl.get_backend() == "svg"
    finally:
        mpl.use(usual)


@pytest.mark.parametrize("before", ["", "import matplotlib\n"])
def test_the_first_import_of_matplotlib_leaves_the_notebooks_backend(module, tmp_path, before):
    module("switching_mod", SWITCHING)
    code = f"{before}from dissmodel_lab.resolve import resolve_model\n"
    code += "resolve_model('switching_mod:Flood')\nimport matplotlib\nprint(matplotlib.get_backend())"
    env = {**os.environ, "MPLBACKEND": "svg", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout == "svg\n"
