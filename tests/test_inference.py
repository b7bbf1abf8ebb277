"""What is read from an executor's source, beside tables that were written by reading it by eye."""

from __future__ import annotations

import importlib.util
import linecache
import sys
import textwrap
import time

import pytest
from disslucc import AllocationClueLike
from disslucc.executors import LuccContinuousExecutor, LuccDiscreteExecutor, LuccSaturationExecutor
from dissmodel.geo.raster.raster_model import RasterModel

from dissmodel_lab.executor.testing import SteppingExecutor
from dissmodel_lab.inference import (
    NO_DEFAULT,
    InferredParameter,
    inference_problem,
    inferred_parameters,
    reads_anything,
    required_names,
    setup_parameters,
)
from dissmodel_lab.inference.findings import _findings_of
from dissmodel_lab.inference.statements import Reader

REQUIRED = object()
BASE, CONTINUOUS, DISCRETE, SATURATION = (
    f"disslucc/executors/{name}.py" for name in ("base", "continuous", "discrete", "saturation")
)

# Written by reading disslucc 0.5.0 by eye: name -> (default or REQUIRED, kind, one of the lines that read it).
HAND_MADE = {
    LuccContinuousExecutor: {
        "land_use_types": (REQUIRED, list, f"{BASE}:77"),
        "demand_csv": (REQUIRED, str, f"{CONTINUOUS}:83"),
        "potential_data": (REQUIRED, None, f"{BASE}:78"),
        "static": (REQUIRED, None, f"{CONTINUOUS}:98"),
        "complementar_lu": (REQUIRED, None, f"{CONTINUOUS}:98"),
        "allocation_data": (REQUIRED, None, f"{CONTINUOUS}:100"),
        "resolution": (5000.0, float, f"{BASE}:101"),
        "n_steps": (7, int, f"{CONTINUOUS}:79"),
        "cell_area": (25.0, float, f"{CONTINUOUS}:80"),
        "land_use_no_data": (None, None, f"{CONTINUOUS}:94"),
        "max_difference": (1643, float, f"{CONTINUOUS}:99"),
    },
    LuccDiscreteExecutor: {
        "land_use_types": (REQUIRED, list, f"{BASE}:77"),
        "demand_csv": (REQUIRED, str, f"{DISCRETE}:60"),
        "potential_data": (REQUIRED, None, f"{BASE}:78"),
        "transition_matrix": (REQUIRED, None, f"{DISCRETE}:72"),
        "resolution": (5000.0, float, f"{BASE}:101"),
        "n_steps": (6, int, f"{DISCRETE}:56"),
        "cell_area": (1.0, float, f"{DISCRETE}:57"),
        "max_difference": (10.0, float, f"{DISCRETE}:73"),
        "factor_iteration": (0.0001, float, f"{DISCRETE}:74"),
    },
    LuccSaturationExecutor: {
        "land_use_types": (REQUIRED, list, f"{BASE}:77"),
        "demand_csv": (REQUIRED, str, f"{SATURATION}:103"),
        "potential_data": (REQUIRED, None, f"{BASE}:78"),
        "complementar_lu": (REQUIRED, None, f"{SATURATION}:121"),
        "allocation_data": (REQUIRED, None, f"{SATURATION}:120"),
        "resolution": (5000.0, float, f"{BASE}:101"),
        "n_steps": ("len(annual_demand)", int, f"{SATURATION}:104"),
        "cell_area": (1.0, float, f"{SATURATION}:105"),
        "save_steps": ([], list, f"{SATURATION}:106"),
        "land_use_no_data": (None, None, f"{SATURATION}:116"),
        "attr_protection": (None, None, f"{SATURATION}:123"),
        "saturation_indicator": ("saturationLimiar", str, f"{SATURATION}:124"),
        "max_difference": (1643, float, f"{SATURATION}:125"),
        "max_iteration": (1000, int, f"{SATURATION}:126"),
        "initial_elasticity": (0.1, float, f"{SATURATION}:127"),
        "min_elasticity": (0.001, float, f"{SATURATION}:128"),
        "max_elasticity": (1.5, float, f"{SATURATION}:129"),
        "order_attr": (None, None, f"{SATURATION}:130"),
    },
}


@pytest.mark.parametrize("executor_class", HAND_MADE, ids=lambda cls: cls.__name__)
def test_what_disslucc_reads(executor_class):
    found = inferred_parameters(executor_class)
    wanted = HAND_MADE[executor_class]
    assert set(found) == set(wanted)
    assert not reads_anything(executor_class)
    assert inference_problem(executor_class) == ""
    for name, (default, kind, where) in wanted.items():
        parameter = found[name]
        assert parameter.required == (default is REQUIRED), name
        assert parameter.kind is kind, name
        assert where in parameter.found_in.split(", "), parameter
        if parameter.expression:
            assert (parameter.default, parameter.expression) == (NO_DEFAULT, default)
        elif default is not REQUIRED:
            assert (parameter.default, type(parameter.default)) == (default, type(default)), name
        else:
            assert parameter.default is NO_DEFAULT
            assert parameter.needed_in[0] == "required_parameters"


def test_dissmodel_itself_ships_no_executor():
    import dissmodel.executor.model_executor as upstream

    own = {cls for cls in upstream.ModelExecutor.__subclasses__() if cls.__module__.split(".")[0] == "dissmodel"}
    assert own == set()


@pytest.fixture
def made(tmp_path):
    """Write a module with an executor ``M`` in it, import it, and return the class."""
    names = []

    def make(source, name="wild_model", package=""):
        folder = tmp_path / package if package else tmp_path
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}.py"
        path.write_text(textwrap.dedent(source))
        full = f"{package}.{name}" if package else name
        spec = importlib.util.spec_from_file_location(full, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[full] = module
        names.append(full)
        spec.loader.exec_module(module)
        return getattr(module, "M", module)

    yield make
    for name in names:
        del sys.modules[name]


PHASES = """
    def load(self, record): pass
    def save(self, result, record): return record
"""


def body(lines, *, module="", methods=""):
    """Return the source of an executor whose run() holds some lines."""
    inner = textwrap.indent(textwrap.dedent(lines), "        ")
    more = textwrap.indent(textwrap.dedent(methods), "    ")
    head = "    def validate(self, record): pass\n"
    return f"{textwrap.dedent(module)}\nclass M:\n{head}{PHASES}\n    def run(self, data, record):\n{inner}\n{more}\n"


def brief(executor_class):
    """Say of each parameter: REQUIRED, a default, an expression in <>, or ... for none."""
    said = {}
    for name, found in inferred_parameters(executor_class).items():
        nothing = f"<{found.expression}>" if found.expression else ...
        said[name] = "REQUIRED" if found.required else nothing if found.default is NO_DEFAULT else found.default
    return said


READS = {
    "direct": ('record.parameters.get("a", 5); record.parameters["b"]', {"a": 5, "b": "REQUIRED"}),
    "no default is none": ('record.parameters.get("a")', {"a": None}),
    "an alias": ('p = record.parameters\nq = p\nq.get("a", 0.5)', {"a": 0.5}),
    "a bound method": ('get = record.parameters.get\nget("a", 1)', {"a": 1}),
    "getattr": ('getattr(record, "parameters", {}).get("a", 1)', {"a": 1}),
    "a copy": ('p = dict(record.parameters)\np["a"]', {"a": "REQUIRED"}),
    "a shadowed alias": (
        'p = record.parameters\nx = [p["no"] for p in p["a"]]\np.get("b", 1)',
        {"a": "REQUIRED", "b": 1},
    ),
    "an alias that ends": ('p = record.parameters\np = p.get("a", {})\np["no"]', {"a": {}}),
    "a negative number": ('record.parameters.get("a", -1)', {"a": -1}),
    "a list": ('record.parameters.get("a", [1, {"x": 2.5}])', {"a": [1, {"x": 2.5}]}),
    "an expression": ('record.parameters.get("a", 60 * 60)', {"a": "<60 * 60>"}),
    "a call": ('record.parameters.get("a", len(data))', {"a": "<len(data)>"}),
    "or": ('record.parameters.get("a") or 7', {"a": 7}),
    "or an expression": ('record.parameters.get("a") or len(data)', {"a": "<len(data)>"}),
    "only asked for": ('if "a" in record.parameters: pass', {"a": ...}),
    "guarded": ('p = record.parameters\nif "a" in p:\n    p["a"]', {"a": ...}),
    "guarded by and": ('p = record.parameters\nx = "a" in p and p["a"]', {"a": ...}),
    "conditional": ('p = record.parameters\nx = p["a"] if "a" in p else 3', {"a": 3}),
    "conditional, the other way": ('p = record.parameters\nx = 3 if "a" not in p else p["a"]', {"a": 3}),
    "refused": ('if "a" not in record.parameters:\n    raise ValueError', {"a": "REQUIRED"}),
    "refused when empty": ('a = record.parameters.get("a", [])\nif not a:\n    raise ValueError', {"a": "REQUIRED"}),
    "refused when none": ('a = record.parameters.get("a")\nif a is None:\n    raise ValueError', {"a": "REQUIRED"}),
    "zero is no none": ('a = record.parameters.get("a", 5)\nif not a:\n    raise ValueError', {"a": 5}),
    "asserted with a default": ('assert record.parameters.get("a", 5)', {"a": 5}),
    "refused, one of two": (
        'p = record.parameters\nif data or "a" not in p or not ("b" in p):\n    raise ValueError',
        {"a": "REQUIRED", "b": "REQUIRED"},
    ),
    "refused, both of two": (
        'p = record.parameters\nif "a" not in p and "b" not in p:\n    raise ValueError',
        {"a": ..., "b": ...},
    ),
    "asserted": ('assert "a" in record.parameters', {"a": "REQUIRED"}),
    "in a branch": ('if data:\n    record.parameters["a"]', {"a": ...}),
    "after a return": ('if data:\n    return 1\nrecord.parameters["a"]', {"a": ...}),
    "after a raise": ('if data:\n    raise ValueError\nrecord.parameters["a"]', {"a": "REQUIRED"}),
    "tried": ('try:\n    record.parameters["a"]\nexcept KeyError:\n    pass', {"a": ...}),
    "tried for something else": ('try:\n    record.parameters["a"]\nexcept OSError:\n    pass', {"a": "REQUIRED"}),
    "in a loop of unknown length": ('for x in data:\n    record.parameters["a"]', {"a": ...}),
    "in a with": ('with data:\n    record.parameters["a"]', {"a": "REQUIRED"}),
    "in a match": ('match data:\n    case 1:\n        record.parameters["a"]', {"a": ...}),
    "a loop over names": ('for n in ("a", "b"):\n    record.parameters[n]', {"a": "REQUIRED", "b": "REQUIRED"}),
    "a loop over defaults": (
        'D = {"a": 1, "b": 2.5}\nfor n, d in D.items():\n    record.parameters.get(n, d)',
        {"a": 1, "b": 2.5},
    ),
    "names that are missing": (
        'm = [n for n in ("a", "b") if n not in record.parameters]\nif m:\n    raise ValueError(m)',
        {"a": "REQUIRED", "b": "REQUIRED"},
    ),
    "a set of names that are missing": (
        'm = {"a", "b"} - set(record.parameters)\nif m:\n    raise ValueError(m)',
        {"a": "REQUIRED", "b": "REQUIRED"},
    ),
    "names that may be missing": ('m = [n for n in ("a",) if n not in record.parameters]', {"a": ...}),
    "written before it is read": ('p = record.parameters\np["a"] = 5\np["a"]\np["b"]', {"a": ..., "b": "REQUIRED"}),
    "setdefault": ('p = record.parameters\np.setdefault("a", 5)\np["a"]', {"a": 5}),
    "pop": ('record.parameters.pop("a", 1); record.parameters.pop("b")', {"a": 1, "b": "REQUIRED"}),
    "merged with defaults": ('p = {**{"a": 1}, **record.parameters}\np["a"]\np["b"]', {"a": 1, "b": "REQUIRED"}),
    "merged by |": ('p = {"a": 1} | record.parameters\np["a"]', {"a": 1}),
    "merged with what is not known": ('p = {**data, **record.parameters}\np["a"]', {"a": ...}),
    "the older form": (
        'spec = record.resolved_spec["model"]\nspec["a"]\nspec.get("b", 2)',
        {"a": "REQUIRED", "b": 2},
    ),
    "the older form, with get": ('record.resolved_spec.get("model", {}).get("b", 2)', {"b": 2}),
    "the older form, parameters": ('record.resolved_spec["model"]["parameters"]["a"]', {"a": "REQUIRED"}),
    "the older form, parameters by get": (
        'record.resolved_spec.get("model", {}).get("parameters", {}).get("a", 1)',
        {"a": 1},
    ),
    "one name in both tables": (
        'p = record.parameters\ns = record.resolved_spec["model"]\nx = p.get("a") or s.get("a", 1.0)',
        {"a": 1.0},
    ),
    "a table of a parameter": ('t = record.parameters.get("a", {})\nt.get("no", 5)\nt["no2"]', {"a": {}}),
    "in a function inside": ('def f():\n    return record.parameters["a"]\nf()', {"a": "REQUIRED"}),
    "in a function that may be called": ('def f():\n    return record.parameters["a"]\ndata.on(f)', {"a": ...}),
    "in a lambda": ('f = lambda x: record.parameters.get("a", x)\nf(5)', {"a": 5}),
    "in a class inside": ('class C:\n    def go(self):\n        return record.parameters.get("a", 5)', {"a": 5}),
    "with :=": ('if (a := record.parameters.get("a", 5)) > 3: pass', {"a": 5}),
    "in an f-string": ("f\"{record.parameters.get('a', 5)}\"", {"a": 5}),
    "counted up": ('record.parameters["a"] += 1', {"a": "REQUIRED"}),
}


@pytest.mark.parametrize(("lines", "wanted"), READS.values(), ids=READS)
def test_reads(made, lines, wanted):
    executor_class = made(body(lines))
    assert brief(executor_class) == wanted
    assert inference_problem(executor_class) == ""
    assert not reads_anything(executor_class)


DYNAMIC = {
    "a variable": "record.parameters[data]",
    "get with a variable": "record.parameters.get(data, 1)",
    "asked for with a variable": "data in record.parameters",
    "spread": "print(**record.parameters)",
    "spread to a function": "data(**record.parameters)",
    "items": "for k, v in record.parameters.items(): pass",
    "values": "list(record.parameters.values())",
    "over its own names": "for k in record.parameters:\n    record.parameters[k]",
    "given away": "data.configure(record.parameters)",
    "the record given away": "data.configure(record)",
    "the specification given away": 'data.configure(record.resolved_spec["model"])',
}


@pytest.mark.parametrize("lines", DYNAMIC.values(), ids=DYNAMIC)
def test_reads_of_anything(made, lines):
    executor_class = made(body(f'{lines}\nrecord.parameters.get("a", 1)'))
    assert reads_anything(executor_class)
    assert brief(executor_class) == {"a": 1}
    assert inference_problem(executor_class) == ""


@pytest.mark.parametrize(
    "lines",
    [
        "print(record.parameters, record)",
        "len(record.parameters); str(record.parameters); sorted(record.parameters)",
        'record.add_log(f"{record.parameters}")',
        "import json\njson.dumps(record.parameters)",
        "record.parameters.keys()",
        'record.parameters.update({"x": 1})',
    ],
)
def test_showing_the_parameters_reads_none(made, lines):
    assert not reads_anything(made(body(lines)))


CASTS = {
    'int(record.parameters.get("a", 5.5))': (int, True),
    'x = record.parameters.get("a", 5)\nfloat(x)': (float, True),
    'bool(record.parameters["a"])': (bool, True),
    'import pathlib\npathlib.Path(record.parameters["a"])': (str, True),
    'tuple(record.parameters["a"])': (list, True),
    'record.parameters.get("a", 5)': (int, False),
    'record.parameters.get("a", True)': (bool, False),
    'record.parameters.get("a")': (None, False),
    'record.parameters["a"]': (None, False),
}


@pytest.mark.parametrize(("lines", "wanted"), CASTS.items(), ids=CASTS)
def test_casts(made, lines, wanted):
    found = inferred_parameters(made(body(lines)))["a"]
    assert (found.kind, found.is_cast) == wanted


def test_constants_of_the_module_and_of_the_class(made):
    executor_class = made(
        body(
            """
            from wild_constants import CRS, missing
            p = record.parameters
            p.get("years", YEARS); p.get("rates", self.RATES); p.get("crs", CRS); p.get("unit", Unit.METRE)
            p.get("rows", TABLE["rows"]); p.get("zone", zones.ZONE); p.get("thing", THING); p[NAME]
            """,
            module="""
            import sys, types
            zones = types.ModuleType("zones"); zones.ZONE = 23
            sys.modules["wild_constants"] = types.SimpleNamespace(CRS="EPSG:31982", missing=1)
            class Unit:
                METRE = "m"
            YEARS = 88; NAME = "named"; TABLE = {"rows": [1, 2]}; THING = object()
            """,
            methods="RATES = [0.1, 0.2]",
        )
    )
    try:
        assert brief(executor_class) == {
            "years": 88, "rates": [0.1, 0.2], "crs": "EPSG:31982", "unit": "m",
            "rows": [1, 2], "zone": 23, "thing": "<THING>", "named": "REQUIRED",
        }  # fmt: skip
    finally:
        del sys.modules["wild_constants"]


def test_a_default_is_a_copy(made):
    executor_class = made(body('record.parameters.get("a", STEPS)', module="STEPS = [1, 5]"))
    inferred_parameters(executor_class)["a"].default.append(9)
    assert sys.modules["wild_model"].STEPS == [1, 5]


HELPERS = """
LIMIT = 3

def outer(p, extra):
    return inner(p)

def inner(params, *, depth=0):
    params.get("inner", LIMIT)
    if depth < 3:
        inner(params, depth=depth + 1)

def table_of(record):
    return record.parameters

def never(params):
    return params["no"]

class M:
    required_parameters = ("listed",)

    def __init__(self):
        self.setting = None

    def validate(self, record):
        self._check(record.parameters)

    def load(self, record):
        self.settings = record.parameters
        self.record = record
        return table_of(record).get("loaded", "x")

    def run(self, data, rec):
        outer(rec.parameters, extra=1)
        self.settings.get("settings", 1)
        self.helper(rec)
        self.checked(rec.parameters)
        return self.steps

    def save(self, result, record):
        getattr(self, "_save_" + result)(record)
        return record

    def _save_tif(self, record):
        record.parameters["tif"]

    def helper(self, record, *, deep=True):
        p = record.parameters
        p["helper"]

    @staticmethod
    def checked(p):
        p.get("static", 1)

    @property
    def steps(self):
        return int(self.record.parameters.get("steps", 5))

    def _check(self, params):
        for name in self.required_parameters:
            if name not in params:
                raise ValueError(name)
"""


def test_helpers_are_followed(made):
    executor_class = made(HELPERS)
    assert brief(executor_class) == {
        "listed": "REQUIRED", "loaded": "x", "inner": 3, "settings": 1, "helper": "REQUIRED", "static": 1,
        "steps": 5, "tif": ...,
    }  # fmt: skip
    found = inferred_parameters(executor_class)
    assert found["listed"].needed_in == ("required_parameters", "validate")
    assert found["listed"].found_in == "wild_model.py:60, wild_model.py:19"
    assert found["helper"].needed_in == ("run",)
    assert not reads_anything(executor_class)


def test_parents_come_in_the_order_of_their_methods(made):
    executor_class = made(
        """
        class Base:
            required_parameters = ["a"]
            def validate(self, record):
                record.parameters.get("checked", 1)
            def load(self, record):
                record.parameters.get("years", 5)
            def run(self, data, record):
                record.parameters["overridden"]
            def save(self, result, record):
                self.write(record)
            def write(self, record):
                record.parameters["base_write"]
        class M(Base):
            required_parameters = ["b"]
            def load(self, record):
                super().load(record)
                record.parameters.get("years", 10)
            def run(self, data, record):
                record.parameters.get("own", 2)
            def write(self, record):
                record.parameters.get("own_write", 3)
        """
    )
    assert brief(executor_class) == {"checked": 1, "years": 5, "own": 2, "own_write": 3, "b": "REQUIRED"}
    years = inferred_parameters(executor_class)["years"]
    assert years == InferredParameter(
        name="years",
        default=5,
        kind=int,
        found_in="wild_model.py:7, wild_model.py:18",
        conflicts=("10 at wild_model.py:18",),
    )


def test_a_file_of_a_package_is_named_by_its_module(made):
    executor_class = made(body('record.parameters["a"]'), name="models", package="somewhere")
    assert inferred_parameters(executor_class)["a"].found_in == "somewhere/models.py:9"


class TestSourcesThatCannotBeRead:
    def test_exec(self):
        names = {"__name__": __name__}
        exec(body('record.parameters["a"]'), names)
        assert inferred_parameters(names["M"]) == {}
        assert reads_anything(names["M"])
        assert inference_problem(names["M"]) == (
            "What M.validate, M.load, M.run and M.save read is not known: it was made by exec(), or in an "
            "interpreter that keeps no source, or its .py file is missing."
        )

    def test_a_compiled_class(self):
        methods = dict.fromkeys(("validate", "load", "save"), lambda self, *a: None)
        executor_class = type("Compiled", (), {**methods, "run": dict.get})
        assert inferred_parameters(executor_class) == {}
        assert inference_problem(executor_class).endswith(
            "What Compiled.run reads is not known: it is compiled, or no function."
        )
        assert inference_problem(int) == (
            "int has no phases to read parameters from: validate, load, run and save are missing."
        )

    def test_lambdas(self, made):
        executor_class = made(
            """
            class M:
                validate = lambda self, record: None
                load = lambda self, record: record.parameters.get("a", 5)
                run, save = (lambda self, data, record: record.parameters["b"]), (lambda self, x, record: record)
            """
        )
        assert brief(executor_class) == {"a": 5}
        assert inference_problem(executor_class) == (
            "What M.run and M.save read is not known: it is one of several lambdas in one line; write it as a method."
        )
        assert reads_anything(executor_class)

    def test_a_file_that_has_changed(self, made, tmp_path):
        executor_class = made(body('record.parameters["a"]'))
        path = tmp_path / "wild_model.py"
        path.write_text(f"import os\n{path.read_text()}")
        assert inference_problem(executor_class) == (
            "What M.validate, M.load, M.run and M.save read is not known: "
            "its file has changed since it was imported; restart the kernel."
        )
        assert inferred_parameters(executor_class) == {}

    def test_a_file_that_is_no_python_any_more(self, made, tmp_path):
        executor_class = made(body('record.parameters["a"]'))
        (tmp_path / "wild_model.py").write_text("def (:\n")
        assert "its file is not the Python that was imported (invalid syntax" in inference_problem(executor_class)

    def test_a_source_that_is_nested_too_deeply(self, made, monkeypatch):
        executor_class = made(body('record.parameters["a"]'))
        monkeypatch.setattr(Reader, "_visit_expr", lambda self, node: self._visit_expr(node), raising=False)
        assert inference_problem(executor_class) == "The source of M is nested too deeply to be read."
        assert reads_anything(executor_class)

    def test_half_a_class(self, made):
        executor_class = made('class M:\n    def run(self, data, record):\n        record.parameters["a"]')
        assert brief(executor_class) == {"a": "REQUIRED"}


class TestOddSources:
    def test_decorated_methods(self, made):
        executor_class = made(
            """
            import functools
            def wrapped(function):
                @functools.wraps(function)
                def inner(*args, **kwargs): return function(*args, **kwargs)
                return inner
            def bare(function):
                def inner(*args, **kwargs): return function(*args, **kwargs)
                return inner
            class Timed:
                def __init__(self, function): self.function = function
                def __call__(self, *args): return self.function(*args)
            class M:
                @wrapped
                def validate(self, record): record.parameters["a"]
                @bare
                def load(self, record): record.parameters["b"]
                @Timed
                def run(self, data, record): record.parameters["c"]
                @wrapped
                @bare
                def save(self, result, record): record.parameters["d"]
            """
        )
        assert brief(executor_class) == dict.fromkeys("abcd", "REQUIRED")
        assert inference_problem(executor_class) == ""

    def test_what_getsource_misreads(self, made):
        executor_class = made(
            '''
            text = """
            class M:
                def run(self, data, record): record.parameters["no"]
            """
            class M:
                def run(self, data, record): record.parameters["old"]
            if True:
                class M:
                    def validate(self, record): pass
                    def load(self, record): pass
                    def run(self, data, record,
                        note=(lambda: """
            def run(self): ) """)):
                        record.parameters["new"]
                    def save(self, result, record): return record
            '''
        )
        assert brief(executor_class) == {"new": "REQUIRED"}

    def test_functions_from_elsewhere(self, made):
        executor_class = made(
            """
            def make(name):
                class Made:
                    def validate(self, record): pass
                    def load(self, record): pass
                    def run(self, data, record): record.parameters.get("made", 1)
                    def save(self, result, record): return record
                return Made
            def run(self, data, record): record.parameters.get("later", 2)
            M = make("x")
            class N(M): pass
            N.run = run
            """
        )
        assert brief(executor_class) == {"made": 1}
        assert brief(sys.modules["wild_model"].N) == {"later": 2}

    def test_a_class_in_a_notebooks_cell(self):
        for number, default in ((1, 5), (2, 7)):
            name = f"/tmp/ipykernel_99/{number}.py"
            source = body(f'record.parameters.get("a", {default})')
            linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
            names = {"__name__": "__main__"}
            exec(compile(source, name, "exec"), names)
            assert inferred_parameters(names["M"])["a"].default == default
            assert inferred_parameters(names["M"])["a"].found_in == "notebook cell:9"
            assert inference_problem(names["M"]) == ""
            del linecache.cache[name]

    def test_a_real_cell_of_ipython(self, shell):
        shell.run_cell(body('record.parameters.get("a", 5)'))
        executor_class = shell.user_ns["M"]
        assert brief(executor_class) == {"a": 5}
        assert inferred_parameters(executor_class)["a"].found_in == "notebook cell:8"  # IPython strips empty lines

    @pytest.mark.parametrize("said", [None, 5, [5, "a"], "a", {"a": "text"}, property(lambda self: ["a"])])
    def test_required_parameters_may_be_written_oddly(self, said):
        wanted = ["a"] if said in ([5, "a"], "a", {"a": "text"}) else []
        assert required_names(type("M", (), {"required_parameters": said})) == wanted


def test_plain_models():
    found = setup_parameters(AllocationClueLike)
    assert {name: p.default for name, p in found.items() if not p.required} == {
        "max_difference": 1643, "max_iteration": 1000, "initial_elasticity": 0.1, "min_elasticity": 0.001,
        "max_elasticity": 1.5, "allocation_data": None, "cell_correction": True,
    }  # fmt: skip
    assert [name for name, p in found.items() if p.required] == [
        "backend", "demand", "potential", "land_use_types", "static", "complementar_lu", "cell_area",
    ]  # fmt: skip
    kinds = {name: found[name].kind for name in ("land_use_types", "static", "cell_area", "max_iteration", "backend")}
    assert kinds == {
        "land_use_types": list, "static": dict, "cell_area": float, "max_iteration": int, "backend": None,
    }  # fmt: skip
    assert found["cell_area"].found_in == "disslucc/components/allocation/clue.py:44"


def test_a_plain_model_passes_the_rest_to_its_parent():
    class Heat(RasterModel):
        def setup(self, rate: float | None = None, when=time, *args, **kwargs):
            super().setup(**kwargs)

    found = setup_parameters(Heat)
    assert list(found) == ["rate", "when", "backend"]
    assert (found["rate"].default, found["rate"].kind) == (None, float)
    assert (found["when"].default, found["when"].expression) == (NO_DEFAULT, repr(time)[:80])
    assert found["backend"].required
    assert setup_parameters(int) == {}


@pytest.mark.parametrize("executor_class", HAND_MADE, ids=lambda cls: cls.__name__)
def test_inference_is_quick_and_kept(executor_class):
    seconds = []
    for _ in range(5):  # the best of five: other work on the machine is not its own
        _findings_of.cache_clear()
        started = time.process_time()
        inferred_parameters(executor_class)
        seconds.append(time.process_time() - started)
    assert min(seconds) < 1
    before = _findings_of.cache_info().hits
    assert inferred_parameters(executor_class)["resolution"].default == 5000.0
    assert _findings_of.cache_info().hits == before + 1


def test_what_is_returned_is_ones_own():
    inferred_parameters(LuccDiscreteExecutor).clear()
    assert "n_steps" in inferred_parameters(LuccDiscreteExecutor)


def test_an_executor_that_calls_itself_without_end(made):
    lines = "self.run(data, record)\n" + "\n".join(f"self.h{i % 5}(record)" for i in range(30))
    methods = "\n".join(
        f"def h{i}(self, record):\n"
        + "\n".join(f"    self.h{j}(record)" for j in range(5))
        + f'\n    record.parameters["p{i}"]'
        for i in range(5)
    )
    started = time.process_time()
    executor_class = made(body(lines, methods=methods))
    assert set(brief(executor_class)) == {f"p{i}" for i in range(5)}
    assert reads_anything(executor_class)  # given up in time, and said
    assert time.process_time() - started < 10


def test_an_executor_of_the_lab_that_declares_nothing():
    assert brief(SteppingExecutor) == {"n_steps": 3}
    assert inference_problem(SteppingExecutor) == ""
    assert not reads_anything(SteppingExecutor)
