"""Executors that others wrote: in installed packages, declared or not, whole or broken."""

from __future__ import annotations

import html
import importlib.metadata
import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import tomlkit
import upstream_inputs
from dissmodel.executor.registry import ExecutorRegistry as TheirRegistry

from dissmodel_lab.commands import Grammar, complete
from dissmodel_lab.discovery import at_hand, distributions, listing, search
from dissmodel_lab.discovery.kinds import kinds_of
from dissmodel_lab.discovery.undisturbed import undisturbed
from dissmodel_lab.errors import ExecutorNotFoundError
from dissmodel_lab.executor import ModelExecutor
from dissmodel_lab.resolve import import_path, known_models, listed_models, model_names, resolve_model
from dissmodel_lab.texts import MODEL_COLUMNS, model_rows, table_text

PHASES = """
    def load(self, record): ...
    def run(self, data, record): ...
    def save(self, result, record): ...
"""


def executor(class_name="Flood", name="flood_x", base="ModelExecutor", more=""):
    """Write a class as the authors of PyPI dissmodel's executors do."""
    return f"""
from dissmodel.executor import ModelExecutor
class {class_name}({base}):
    '''Let it flood.'''
    name = "{name}"
{PHASES}
{more}
"""


def install(folder, name="flood-pkg", version="1.2", requires=("dissmodel>=0.4",), points=(), **files):
    """Lay a distribution on disk as pip does; ``a__b="text"`` is the module ``a.b``."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {line}" for line in requires]
    (info / "METADATA").write_text("\n".join([*lines, "", "Requires-Dist: not-a-header"]), encoding="utf-8")
    if points:
        (info / "entry_points.txt").write_text("\n".join(["[dissmodel.executors]", *points]))
    record = []
    for module, text in files.items():
        path = Path(*module.split("__")).with_suffix(".py") if not module.endswith("__init") else None
        path = path or Path(*module.removesuffix("__init").split("__"), "__init__.py")
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(textwrap.dedent(text), encoding="utf-8")
        record.append(f"{path.as_posix()},,")
    (info / "RECORD").write_text("\n".join(record))


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An environment of its own: only the distributions in it are installed, and nobody has searched them."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    everywhere = importlib.metadata.distributions
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: everywhere(path=[str(folder)]))
    searched = at_hand.Searched()
    fresh = search.Search(searched)
    monkeypatch.setattr(at_hand, "SEARCHED", searched)
    monkeypatch.setattr(listing, "SEARCH", fresh)
    distributions._packages_on.cache_clear()
    theirs = dict(TheirRegistry._executors)
    yield folder
    distributions._packages_on.cache_clear()
    TheirRegistry._executors.clear()
    TheirRegistry._executors.update(theirs)
    tops = {path.stem for path in folder.iterdir()}
    for name in [name for name in sys.modules if name.partition(".")[0] in tops]:
        del sys.modules[name]


def listed(package="flood-pkg"):
    """Return name, path and problem of what a package has."""
    return [(one.name, one.path, one.problem) for one in listed_models() if one.package == package]


def refusal(name):
    with pytest.raises(ExecutorNotFoundError) as raised:
        resolve_model(name)
    return str(raised.value)


def test_a_package_that_requires_dissmodel(site):
    install(site, flood_pkg__init=executor())
    assert "flood_x" not in known_models()
    [found] = [one for one in listed_models() if one.package == "flood-pkg"]
    assert (found.name, found.path, found.version, found.problem) == ("flood_x", "flood_pkg:Flood", "1.2", "")
    assert known_models()["flood_x"] is found.executor_class


def test_an_unknown_name_searches_the_packages(site):
    install(site, flood_pkg__init="", flood_pkg__models__init="", flood_pkg__models__deep=executor())
    assert import_path(resolve_model("flood_x").executor_class) == "flood_pkg.models.deep:Flood"


LAZY = """
__all__ = ["Base", "Tide", "nothing_such"]
def __getattr__(name):
    if name in ("Base", "Tide"):
        import importlib
        return getattr(importlib.import_module("flood_pkg.executors.inner"), name)
    raise AttributeError(name)
"""
# No word in it says that it is an executor: only its package's names lead to it.
INNER = f"""
from dissmodel import executor
theirs = getattr(executor, "Model" + "Executor")
class Base(theirs):
    required_parameters = ["rate"]
{PHASES}
class Tide(Base):
    name = "tide"
"""


def test_names_that_are_lazy(site):
    install(site, flood_pkg__init="", flood_pkg__executors__init=LAZY, flood_pkg__executors__inner=INNER)
    assert listed() == [("tide", "flood_pkg.executors.inner:Tide", "")]


@pytest.mark.parametrize(
    ("requires", "is_searched"),
    [
        (["DisSModel<0.7.0,>=0.6.4"], True),
        (["numpy", 'dissmodel>=0.6 ; python_version >= "3.11"'], True),
        (["dissmodel[all] >=0.5"], True),
        (['dissmodel>=0.6; extra == "models"'], False),
        (["dissmodel-tools"], False),
        (["numpy"], False),
        ([], False),
    ],
)
def test_which_packages_are_searched(site, requires, is_searched):
    install(site, requires=requires, flood_pkg__init=executor())
    assert bool(listed()) == is_searched
    assert ("flood_pkg" in sys.modules) == is_searched


def test_a_package_that_builds_on_one_that_requires_dissmodel(site):
    install(site, name="base.pkg", base_pkg__init=executor(name="base_model"))
    install(site, name="on-top", requires=["Base_Pkg"], on_top__init=executor(name="top_model"))
    assert {one.origin for one in listed_models() if one.name in ("base_model", "top_model")} == {
        "base.pkg 1.2",
        "on-top 1.2",
    }


def test_programs_and_doubles_for_tests_are_not_imported(site):
    trap = executor() + "raise AssertionError('imported')"
    names = ("tests__trap", "examples__trap", "conftest", "testing")
    aside = {f"flood_pkg__{name}": trap for name in names}
    install(site, flood_pkg__init="", flood_pkg__plain="raise AssertionError('imported')", **aside)
    (site / "flood_pkg" / "__main__.py").write_text(trap)
    assert listed() == []
    assert not [name for name in sys.modules if name.startswith("flood_pkg.")]


def test_what_has_no_name_of_its_own_is_no_model(site):
    text = executor(more="class Double(Flood): ...\nclass Base(ModelExecutor): ...\nclass Unfinished(ModelExecutor):")
    install(site, flood_pkg__init=f"{text}\n    name = 'unfinished'")
    assert listed() == [("flood_x", "flood_pkg:Flood", "")]
    assert TheirRegistry._executors["flood_x"].__name__ == "Double"
    assert resolve_model("flood_x").executor_class.__name__ == "Flood"


def test_a_class_that_is_handed_on_is_one(site):
    install(
        site,
        points=["flood_x = flood_pkg.api:Flood"],
        flood_pkg__init="from flood_pkg.api import Flood\n__all__ = ['Flood']",
        flood_pkg__api="from flood_pkg.executors import Flood, Flood as Again\n__all__ = ['Flood', 'Again']",
        flood_pkg__executors=executor(),
    )
    assert listed() == [("flood_x", "flood_pkg.executors:Flood", "")]


# --- Two of one name ---------------------------------------------------------------------------------------


@pytest.fixture
def two(site):
    """Two packages whose models have one name; dissmodel's registry keeps the last."""
    install(site, name="dry-pkg", version="0.1", dry_pkg__init=executor("Dry", "lucc_validation"))
    install(site, name="wet-pkg", version="2.0", wet_pkg__init=executor("Wet", "lucc_validation"))
    return site


def test_two_executors_of_one_name_are_both_listed(two):
    assert [(one.origin, one.path, one.problem) for one in listed_models() if one.name == "lucc_validation"] == [
        ("dry-pkg 0.1", "dry_pkg:Dry", "2 models are called so; write dry_pkg:Dry for this one."),
        ("wet-pkg 2.0", "wet_pkg:Wet", "2 models are called so; write wet_pkg:Wet for this one."),
    ]
    assert len([name for name in TheirRegistry.list() if name == "lucc_validation"]) == 1


def test_a_name_of_two_executors_is_refused_with_the_ways_to_say_which(two):
    message = (
        "2 models are called 'lucc_validation'. Write which one is meant: "
        "dry_pkg:Dry (dry-pkg 0.1) or wet_pkg:Wet (wet-pkg 2.0)."
    )
    assert refusal("lucc_validation") == message  # nothing is imported yet
    assert refusal("lucc_validation") == message
    assert "lucc_validation" not in known_models()
    assert resolve_model("dry_pkg:Dry").executor_class.__name__ == "Dry"
    assert resolve_model("wet_pkg:Wet").executor_class.__name__ == "Wet"


def test_two_at_hand_are_refused_without_a_search(site):
    install(site, flood_pkg__init=executor())

    class Life(ModelExecutor, register=False):
        name = "game_of_life"

        def load(self, record): ...
        def run(self, data, record): ...
        def save(self, result, record): ...

    with pytest.raises(ExecutorNotFoundError, match=r"^2 models are called 'game_of_life'\. "):
        resolve_model("game_of_life", namespace={"Life": Life})
    assert "flood_pkg" not in sys.modules


def test_a_toml_says_which_of_two(two):
    Path("study.toml").write_text('[model]\nclass = "lucc_validation"\nexecutor_module = "dry_pkg"')
    assert resolve_model("study.toml").executor_class.__name__ == "Dry"
    Path("study.toml").write_text('[model]\nclass = "wet_pkg:Wet"')
    assert resolve_model("study.toml").executor_class.__name__ == "Wet"


def test_a_built_in_models_name_means_the_same_before_and_after_a_search(site):
    install(site, flood_pkg__init=executor(name="coastal_flood"))
    before = resolve_model("coastal_flood").executor_class
    assert "flood_pkg" not in sys.modules
    built_in = "dissmodel_lab.models.coastal_flood:CoastalFlood"
    assert [(one.path, one.problem) for one in listed_models() if one.name == "coastal_flood"] == [
        (built_in, ""),
        ("flood_pkg:Flood", f"The name alone means {built_in}; write flood_pkg:Flood for this one."),
    ]
    assert resolve_model("coastal_flood").executor_class is before
    # Whoever imports the other one has two at hand.
    notebook = {"Flood": sys.modules["flood_pkg"].Flood}
    with pytest.raises(ExecutorNotFoundError, match=r"^2 models are called 'coastal_flood'\. "):
        resolve_model("coastal_flood", namespace=notebook)


# --- Entry points ------------------------------------------------------------------------------------------

PLAIN = f"class Plain:\n    '''It knows nobody.'''\n    def validate(self, record): ...\n{PHASES}"


def test_entry_points(site):
    install(
        site,
        requires=[],
        points=[
            "plain_model = flood_pkg.plain:Plain",
            "other = flood_pkg.named:Flood",
            "[console_scripts]",
            "x = y:z",
        ],
        flood_pkg__init="",
        flood_pkg__plain=PLAIN,
        flood_pkg__named=executor(),
        flood_pkg__forgotten=executor(name="not_declared"),
    )
    assert model_names() == sorted([*known_models(), "plain_model", "other"])
    assert complete(Grammar("%dissmodel"), "run plain").words == ["plain_model"]
    assert not [name for name in sys.modules if name.startswith("flood_pkg")]  # so far, metadata only
    assert listed() == [("flood_x", "flood_pkg.named:Flood", ""), ("plain_model", "flood_pkg.plain:Plain", "")]
    assert resolve_model("plain_model").executor_class.__name__ == "Plain"
    assert resolve_model("flood_x").executor_class is resolve_model("other").executor_class
    assert "flood_pkg.forgotten" not in sys.modules


def test_broken_entry_points_are_listed_and_stop_nothing(site):
    install(
        site,
        requires=[],
        points=[
            "a_gone = no_such_module:X",
            "b_buggy = flood_pkg.buggy:X",
            "c_quits = flood_pkg.quits:X",
            "d_no_class = flood_pkg.named:PHASE",
            "e_missing = flood_pkg.named:Missing",
            "f_module = flood_pkg.named",
            "g_again = flood_pkg.buggy:Y",
            "whole = flood_pkg.named:Flood",
        ],
        flood_pkg__init="",
        flood_pkg__buggy="raise ValueError('api_key=s3cr3t is wrong\\nsecond line')",
        flood_pkg__quits="import sys\nsys.exit('no licence')",
        flood_pkg__named=executor(more="PHASE = 5"),
    )
    no_class = "It is no executor: a class with the methods validate, load, run and save is needed."
    assert [(name, problem) for name, _, problem in listed()] == [
        ("a_gone", "It cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
        ("b_buggy", "It cannot be imported: ValueError: api_key=*** is wrong"),
        ("c_quits", "It cannot be imported: it calls sys.exit('no licence') when it is imported."),
        ("d_no_class", no_class),
        ("e_missing", "It cannot be imported: AttributeError: module 'flood_pkg.named' has no attribute 'Missing'"),
        (
            "f_module",
            "Its entry point 'flood_pkg.named' names no class. It must be package.module:Class.",
        ),
        ("flood_x", ""),
        ("g_again", "It cannot be imported: ValueError: api_key=*** is wrong"),
    ]
    assert refusal("d_no_class") == (
        f"The model 'd_no_class' of flood-pkg 1.2 cannot be used. {no_class} Repair or update the package."
    )


def test_entry_points_that_cannot_be_read(site):
    install(site, requires=[], points=["no equals sign"], flood_pkg__init="")
    [(name, path, problem)] = listed()
    assert (name, path) == ("", "dissmodel.executors")
    assert problem.startswith("Its entry_points.txt cannot be read: ")


@pytest.mark.parametrize("broken", ["\xff\xfe", "", "Name\n\n"])
def test_distributions_that_are_broken_stop_nothing(site, broken):
    install(site, flood_pkg__init=executor())
    for number in (1, 2):
        (site / f"broken{number}-1.dist-info").mkdir()
        (site / f"broken{number}-1.dist-info" / "METADATA").write_text(broken, encoding="latin-1")
    (site / "broken1-1.dist-info" / "entry_points.txt").write_bytes(b"\xff[dissmodel.executors]")
    assert listed() == [("flood_x", "flood_pkg:Flood", "")]


# --- What an import does -----------------------------------------------------------------------------------


def test_each_package_is_imported_once_even_when_it_fails(site, workspace):
    count = "with open('count', 'a') as file: file.write('x')\n"
    install(
        site,
        points=["gone = flood_pkg.inner:Gone"],
        flood_pkg__init=f"{count}raise RuntimeError('no database')",
        flood_pkg__inner=executor(),
    )
    install(site, name="whole", whole__init=count + executor("Whole", "whole_model"))
    problem = "It cannot be imported: RuntimeError: no database"
    for _ in range(2):
        assert listed() == [("gone", "flood_pkg.inner:Gone", problem), ("", "flood_pkg", problem)]
        assert "Not all of flood-pkg 1.2 could be searched: flood_pkg: " + problem in refusal("no_such_model")
    assert Path("count").read_text() == "xx"
    assert [row[0] for row in model_rows()][-1] == "-"


def test_a_public_name_that_fails_is_listed(site):
    lazy = """
__all__ = ['Gpu', 'Flood']
def __getattr__(name):
    if name == 'Gpu': import no_gpu_here
    raise AttributeError(name)
"""
    install(site, flood_pkg__init=lazy + executor())
    assert listed() == [
        ("flood_x", "flood_pkg:Flood", ""),
        ("", "flood_pkg:Gpu", "It cannot be imported: ModuleNotFoundError: No module named 'no_gpu_here'"),
    ]


def test_an_import_that_a_person_interrupts_is_done_again(site):
    install(site, flood_pkg__init="import os\nif os.path.exists('stop'): raise KeyboardInterrupt\n" + executor())
    Path("stop").touch()
    with pytest.raises(KeyboardInterrupt):
        listed_models()
    Path("stop").unlink()
    assert listed() == [("flood_x", "flood_pkg:Flood", "")]


def test_a_package_that_is_installed_later_is_found(site):
    install(site, flood_pkg__init=executor())
    assert len(listed()) == 1
    time.sleep(0.02)  # a folder's time is as fine as the system's clock
    install(site, name="later", later__init=executor("Later", "later_model"))
    assert resolve_model("later_model").executor_class.__name__ == "Later"


def test_a_package_that_asks_for_the_models_while_it_is_imported(site):
    asking = "from dissmodel_lab.resolve import listed_models\nseen = [one.name for one in listed_models()]\n"
    install(site, flood_pkg__init=asking + executor())
    assert listed() == [("flood_x", "flood_pkg:Flood", "")]
    assert "coastal_flood" in sys.modules["flood_pkg"].seen


MEDDLING = """
import logging, os, random, sys, warnings
import numpy
random.seed(1)
numpy.random.seed(1)
print("Welcome to flood!")
print("Have a nice day.", file=sys.stderr)
os.chdir("/")
sys.argv[1:] = ["--flood"]
warnings.simplefilter("ignore")
warnings.showwarning = print
logging.basicConfig(level=logging.DEBUG)
logging.disable(logging.CRITICAL)
handler = logging.StreamHandler()
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot
os.environ["MPLBACKEND"] = "Agg"
"""
WITNESS = """
import importlib.metadata, json, logging, os, random, sys, warnings
sys.path.insert(0, {site!r})
everywhere = importlib.metadata.distributions
importlib.metadata.distributions = lambda: everywhere(path=[{site!r}])
import dissmodel_lab.models
{before}
random.seed(7)
state, argv, show = random.getstate(), list(sys.argv), warnings.showwarning
folder, root = os.getcwd(), logging.getLogger()
log = (root.level, list(root.handlers), root.manager.disable)
import numpy.random as numbers
drawn = numbers.RandomState(3).rand()
numbers.seed(3)
from dissmodel_lab.resolve import listed_models
filters = list(warnings.filters)
found = {{one.name: one.problem for one in listed_models()}}
import matplotlib, numpy
kept = dict(
    random=random.getstate() == state, argv=sys.argv == argv, show=warnings.showwarning is show,
    filters=warnings.filters == filters, folder=os.getcwd() == folder,
    log=(root.level, list(root.handlers), root.manager.disable) == log,
    numpy=numpy.random.rand() == drawn,
    variable=os.environ.get("MPLBACKEND") == {backend!r},
)
backend = matplotlib.rcParams._get_backend_or_none()
sys.modules["flood_pkg"].handler.stream.write("a later line")
print(json.dumps([found["flood_x"], kept, backend]))
"""


@pytest.mark.parametrize("backend", ["svg", None])
@pytest.mark.parametrize("before", ["", "import matplotlib.pyplot"])
def test_an_import_leaves_no_trace(tmp_path, before, backend):
    site = tmp_path / "site"
    site.mkdir()
    install(site, flood_pkg__init=MEDDLING + executor())
    env = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    env |= {"MPLBACKEND": backend} if backend else {}
    code = WITNESS.format(site=str(site), before=before, backend=backend)
    done = subprocess.run([sys.executable, "-c", code, "word"], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    problem, kept, chosen = json.loads(done.stdout)
    assert kept == dict.fromkeys(kept, True)
    assert chosen == backend
    assert done.stderr == "a later line"  # what the package writes later is not lost
    assert problem == (
        "Its import printed 2 lines, the first: 'Welcome to flood!'. Its import changed matplotlib's backend, "
        "sys.argv, the root logger, the state of the random numbers, the working folder; that was put back."
    )


SEEDING = """
import sys
from dissmodel_lab.discovery.undisturbed import undisturbed
assert "numpy" not in sys.modules
with undisturbed(sys.stderr):
    import numpy
    numpy.random.seed(1)
print(numpy.random.rand() == numpy.random.RandomState(1).rand())
"""


def test_the_first_import_of_numpy_leaves_no_fixed_state():
    done = subprocess.run([sys.executable, "-c", SEEDING], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_nothing_changed_is_nothing_put_back():
    with undisturbed(sys.stderr) as changed:
        pass
    assert changed == []


UNTOUCHED = """
import sys
sys.path.insert(0, {site!r})
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "dissmodel_lab")
import dissmodel_lab
record = dissmodel_lab.run("game_of_life", parameters={{"generations": 2}})
searching = [name for name in sys.modules if name.startswith("dissmodel_lab.discovery.")]
print(record.status, "flood_pkg" in sys.modules, "disslucc" in sys.modules, *sorted(searching))
"""


def test_a_run_of_a_built_in_model_searches_nothing(tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    install(site, points=["x = flood_pkg:Flood"], flood_pkg__init=executor())
    done = subprocess.run(
        [sys.executable, "-c", UNTOUCHED.format(site=str(site))], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [
        "completed", "False", "False", "dissmodel_lab.discovery.at_hand", "dissmodel_lab.discovery.classes",
    ]  # fmt: skip


WITHOUT = """
import sys
sys.path.insert(0, {site!r})
sys.modules["dissmodel"] = None
from dissmodel_lab.resolve import listed_models
print(*[one.name for one in listed_models()], "flood_pkg" in sys.modules, "disslucc" in sys.modules)
"""


def test_without_dissmodel_only_declared_executors_are_looked_for(tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    install(site, flood_pkg__init=executor())
    install(site, name="plain", requires=["dissmodel_lab"], points=["plain_model = plain:Plain"], plain__init=PLAIN)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(site=str(site))], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["coastal_flood", "forest_fire", "game_of_life", "plain_model", "False", "False"]


# --- The list ----------------------------------------------------------------------------------------------


def test_what_others_wrote_is_shown_as_text_only(site, shell):
    hostile = f"""
from dissmodel.executor import ModelExecutor
class Flood(ModelExecutor):
    '''<script>alert(1)</script> \x1b[2J\x07 & \u202efit.exe
    second line'''
    name = "<b>\x1b]0;owned\x07\\n\u202ex"
{PHASES}
"""
    install(site, flood_pkg__init=hostile)
    [row] = [row for row in model_rows() if row[1] == "flood-pkg 1.2"]
    assert row[0] == "<b>]0;owned \u202ex"
    assert row[4] == "<script>alert(1)</script> [2J & \u202efit.exe"
    text = table_text(MODEL_COLUMNS, [row], "")
    assert not set(text) & {*map(chr, range(32)), "\x7f", "\x9b", "\u202e"} - {"\n"}
    shell.run_line_magic("dissmodel", "models")
    page = shell.bundles[-1]["text/html"]
    assert "&lt;script&gt;alert(1)&lt;/script&gt; [2J &amp; \\u202efit.exe" in page
    assert not set(page) & {*map(chr, range(32)), "\u202e"}
    assert "<script" not in page
    assert "<b>" not in page
    # A name that a shell would not read as one word is not offered to Tab.
    assert complete(Grammar("%dissmodel"), "run <").words == []


def test_a_long_text_is_cut(site):
    install(site, flood_pkg__init=executor(more=f"Flood.__doc__ = {'x' * 5000!r}"))
    [row] = [row for row in model_rows() if row[0] == "flood_x"]
    assert row[4] == "x" * 400 + " ... (4,600 more characters)"


def test_a_docstring_that_is_no_text(site):
    install(site, flood_pkg__init=executor(more="Flood.__doc__ = 5"))
    [row] = [row for row in model_rows() if row[0] == "flood_x"]
    assert row[4] == ""


def test_the_list_has_every_column(site):
    install(site, flood_pkg__init=executor())
    assert MODEL_COLUMNS == ["model", "package", "input", "output", "what it does", "executor", "problem"]
    assert ["flood_x", "flood-pkg 1.2", "unknown", "unknown", "Let it flood.", "flood_pkg:Flood", ""] in model_rows()
    assert all(len(row) == len(MODEL_COLUMNS) for row in model_rows())


# --- What goes in and comes out ----------------------------------------------------------------------------


class Raster: ...


class RasterBackend: ...


class GeoDataFrame: ...


def load_dataset(uri, fmt=None): ...


save_dataset = save_geotiff = load_dataset


class _Phases:
    def validate(self, record): ...
    def load(self, record): ...
    def run(self, data, record): ...
    def save(self, result, record): ...


class ByFormat(_Phases):
    def load(self, record):
        return load_dataset(record.source.uri, fmt="vector")

    def save(self, result, record):
        return save_dataset(result, fmt="raster")


class OpenFormat(_Phases):
    def load(self, record):
        return load_dataset(record.source.uri, fmt=record.parameters["fmt"])

    def save(self, result, record):
        return save_dataset(result)


class OpenButAnnotated(OpenFormat):
    def load(self, record) -> GeoDataFrame:
        return load_dataset(record.source.uri)

    def save(self, result: RasterBackend | None, record):
        return save_dataset(result)


class InMemory(_Phases):
    def load(self, record) -> RasterBackend:
        return self._rasterised(record)

    def run(self, data, record) -> RasterBackend: ...


class Both(ByFormat):
    def load(self, record):
        return super().load(record) or load_dataset(record.source.uri, fmt="raster")

    def save(self, result, record):
        super().save(result, record)
        result.gdf.to_file(record.output_path)


class Ours(ModelExecutor, register=False):
    name = "ours_with_annotations"

    def load(self, record) -> Raster: ...
    def run(self, data, record) -> GeoDataFrame: ...
    def save(self, result: GeoDataFrame, record): ...


@pytest.mark.parametrize(
    ("executor_class", "kinds"),
    [
        (_Phases, ("unknown", "unknown")),
        (ByFormat, ("vector", "raster")),
        (OpenFormat, ("unknown", "unknown")),
        (OpenButAnnotated, ("vector", "raster")),
        (InMemory, ("unknown", "raster")),
        (Both, ("raster or vector", "raster or vector")),
        (Ours, ("raster", "vector")),
    ],
)
def test_kinds(executor_class, kinds):
    assert kinds_of(executor_class) == kinds


def test_kinds_without_a_source():
    made = type("Made", (), {"load": len, "run": len, "save": len, "validate": len})
    assert kinds_of(made) == ("unknown", "unknown")
    scope = {}
    exec("class Typed:\n    def load(self, record): ...\n    def save(self, result, record): ...", scope)
    assert kinds_of(scope["Typed"]) == ("unknown", "unknown")


# --- disslucc, as it is on PyPI ----------------------------------------------------------------------------

LUCC = {
    "lucc_continuous": "disslucc.executors.continuous:LuccContinuousExecutor",
    "lucc_continuous_saturation": "disslucc.executors.saturation:LuccSaturationExecutor",
    "lucc_discrete": "disslucc.executors.discrete:LuccDiscreteExecutor",
}


def terminal(*words):
    return subprocess.run(
        [Path(sys.executable).with_name("dissmodel-lab"), *words], capture_output=True, text=True, timeout=120
    )


def test_disslucc_is_listed_in_a_fresh_terminal():
    done = terminal("models", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    rows = {row["model"]: row for row in json.loads(done.stdout) if row["package"].startswith("disslucc ")}
    version = importlib.metadata.version("disslucc")
    assert {name: row["executor"] for name, row in rows.items()} == LUCC
    for row in rows.values():
        assert (row["package"], row["input"], row["output"]) == (f"disslucc {version}", "raster or vector", "raster")


@pytest.fixture
def study(tmp_path):
    """An input of lucc_continuous, and its parameters as options of the command line."""
    source, parameters = upstream_inputs.make_continuous(tmp_path, n_steps=3, shape=(6, 8), kind="tif")
    (tmp_path / "study.toml").write_text(tomlkit.dumps({"model": {"class": "lucc_continuous", **parameters}}))
    return ["lucc_continuous", "--input", str(source), "--toml", str(tmp_path / "study.toml")]


def test_disslucc_runs_by_its_bare_name_in_a_fresh_terminal(study):
    done = terminal("run", *study)
    assert done.returncode == 0, done.stderr
    assert "\nlucc_continuous: completed (run " in done.stdout


def test_disslucc_runs_by_its_bare_name_in_a_notebook(study, shell):
    shell.run_line_magic("dissmodel", " ".join(["run", *study, "--as rec"]))
    assert (shell.user_ns["rec"].model_name, shell.user_ns["rec"].status) == ("lucc_continuous", "completed")


def test_disslucc_has_a_form_by_its_bare_name(study, shell):
    shell.run_line_magic("dissmodel", " ".join(["form", *study]))
    assert any("lucc_continuous" in bundle.get("text/html", "") for bundle in shell.bundles)


def test_disslucc_stands_in_the_list_of_a_notebook(shell):
    shell.run_line_magic("dissmodel", "models")
    bundle = shell.bundles[-1]
    for name, path in LUCC.items():
        assert name in bundle["text/plain"]
        assert f">{html.escape(path)}<" in bundle["text/html"]


def test_an_underlined_heading_says_not_what_a_model_does():
    from dissmodel_lab.texts import summary_of

    class Headed:
        """
        Parameters expected
        -------------------
        n_steps
        """

    class Plain:
        """Let forest become cropland - step by step.

        -------
        """

    assert (summary_of(Headed), summary_of(Plain)) == ("", "Let forest become cropland - step by step.")
