"""The house rules that a reader can rely on: which room may know which."""

from __future__ import annotations

import ast
import graphlib
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dissmodel_lab

ROOT = Path(dissmodel_lab.__file__).parent
ROOMS = re.findall(r"``(\w+)``", "\n".join(re.findall(r"^(``.*?``)  ", dissmodel_lab.__doc__, re.MULTILINE)))
MODULES = {
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}
#: Packages that plug themselves in when a name is looked up: the only way to know them without importing them.
DISCOVERED = {("dissmodel_lab.resolve", "dissmodel_lab.models")}
SHOWING = ("ipywidgets", "ipyleaflet", "IPython")


class _Imports(ast.NodeVisitor):
    """The modules that a file imports: at once, or when a function is called."""

    def __init__(self, module, path):
        self.at_once, self.later = set(), set()
        self._package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        self._depth = 0
        self.visit(ast.parse(path.read_text(encoding="utf-8")))

    def visit_If(self, node):
        if "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                self.visit(other)
        else:
            self.generic_visit(node)

    def visit_FunctionDef(self, node):
        self._depth += 1
        self.generic_visit(node)
        self._depth -= 1

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 -- ast's own name

    def visit_Import(self, node):
        for alias in node.names:
            self._add(alias.name)

    def visit_ImportFrom(self, node):
        base = node.module or ""
        if node.level:
            base = ".".join([*self._package.split(".")[: len(self._package.split(".")) - node.level + 1], base])
        base = base.rstrip(".")
        for alias in node.names:
            inner = f"{base}.{alias.name}"
            self._add(inner if inner in MODULES else base)

    def _add(self, name):
        (self.later if self._depth else self.at_once).add(name)


IMPORTS = {module: _Imports(module, path) for module, path in MODULES.items()}


def room(module):
    """Return the room that a module stands in: the first name under the package."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def test_every_room_is_in_the_list_of_rooms():
    assert len(ROOMS) == len(set(ROOMS))
    assert {room(module) for module in MODULES} - {""} == set(ROOMS)


def test_imports_point_one_way():
    wrong = [
        f"{module} imports {other}"
        for module, imports in IMPORTS.items()
        for other in imports.at_once | imports.later
        if other in MODULES
        and module != "dissmodel_lab"
        and other != "dissmodel_lab"
        and ROOMS.index(room(other)) > ROOMS.index(room(module))
        and (module, other) not in DISCOVERED
    ]
    assert wrong == []


def test_the_exceptions_are_still_needed():
    for module, other in DISCOVERED:
        assert other in IMPORTS[module].later
        assert other not in IMPORTS[module].at_once


def test_no_module_needs_itself():
    graph = {
        module: {other for other in imports.at_once if other in MODULES and other != module}
        for module, imports in IMPORTS.items()
    }
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(MODULES)


def test_only_views_and_magics_show():
    wrong = [
        f"{module} imports {other}"
        for module, imports in IMPORTS.items()
        for other in imports.at_once | imports.later
        if other.split(".")[0] in SHOWING and room(module) not in {"views", "magics"}
    ]
    assert wrong == []
    assert any("ipywidgets" in imports.at_once | imports.later for imports in IMPORTS.values())


def test_only_upstream_knows_dissmodel():
    knowing = set()
    for module, path in MODULES.items():
        assert not [
            other for other in IMPORTS[module].at_once | IMPORTS[module].later if other.split(".")[0] == "dissmodel"
        ]
        strings = [
            node.value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        internals = [text for text in strings if re.fullmatch(r"dissmodel\.[a-z_.]*", text)]
        if set(internals) - {"dissmodel.executors"}:  # the group of entry points, which is for everybody
            knowing.add(room(module))
    assert knowing == {"upstream"}


LIGHT = (
    "numpy pydantic IPython ipywidgets ipyleaflet rasterio geopandas pandas matplotlib scipy psutil tomlkit dissmodel"
)


def loaded_by(code):
    """Return which heavy packages a fresh process has loaded after some code."""
    check = f"{code}\nimport sys\nprint(*[name for name in {LIGHT.split()!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing():
    assert loaded_by("import dissmodel_lab; dir(dissmodel_lab)") == set()


def test_the_contract_is_light():
    assert loaded_by("from dissmodel_lab import ModelExecutor, ExperimentRecord, execute_lifecycle") <= {
        "pydantic",
        "psutil",
    }


def test_the_front_door_loads_no_widget_and_no_reader_of_files():
    heavy = {
        "IPython",
        "ipywidgets",
        "ipyleaflet",
        "rasterio",
        "geopandas",
        "pandas",
        "matplotlib",
        "scipy",
        "dissmodel",
    }
    assert loaded_by("from dissmodel_lab import run, validate, RunStore") & heavy == set()


def test_public_names_are_sorted_and_importable():
    assert dissmodel_lab.__all__ == sorted(dissmodel_lab.__all__)
    assert set(dissmodel_lab.__all__) == set(dissmodel_lab._HOMES)
    for name in dissmodel_lab.__all__:
        value = getattr(dissmodel_lab, name)
        assert value.__name__ == name
        assert value.__module__.startswith("dissmodel_lab.")
        assert value.__doc__
    assert set(dissmodel_lab.__all__) <= set(dir(dissmodel_lab))


@pytest.mark.parametrize(
    "module", [name for name, path in MODULES.items() if path.name == "__init__.py" and name != "dissmodel_lab"]
)
def test_names_of_a_package_are_sorted_and_importable(module):
    loaded = importlib.import_module(module)
    names = getattr(loaded, "__all__", [])
    assert names == sorted(names)
    for name in names:
        assert getattr(loaded, name) is not None


def test_a_name_that_is_not_public():
    with pytest.raises(AttributeError, match=r"^module 'dissmodel_lab' has no attribute 'rnu'$"):
        _ = dissmodel_lab.rnu


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_is_for(module):
    assert ast.get_docstring(ast.parse(MODULES[module].read_text(encoding="utf-8")))
