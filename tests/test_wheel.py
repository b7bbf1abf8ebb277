"""The wheel holds the package, whole, and nothing else."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

HOME = Path(__file__).parent / "versions" / "wheel.py"


@pytest.fixture(scope="module")
def wheel_script():
    spec = importlib.util.spec_from_file_location("wheel_script", HOME)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_the_sample_of_tests_is_there(wheel_script):
    assert [name for name in wheel_script.TESTS if not (HOME.parents[1] / name).is_file()] == []


def test_it_holds_what_it_must(wheel_script, tmp_path):
    wheel = wheel_script.built("wheel", tmp_path)
    assert wheel_script.problems_of(wheel_script.names_in(wheel), wheel_script.sources()) == []


def test_what_is_missing_or_strange_is_told(wheel_script):
    names = [
        "dissmodel_lab/__init__.py",
        "dissmodel_lab/tests/test_a.py",
        "tests/conftest.py",
        "dissmodel_lab-0.1.0.dist-info/METADATA",
        "dissmodel_lab-0.1.0.dist-info/entry_points.txt",
    ]
    assert wheel_script.problems_of(names, ["dissmodel_lab/__init__.py", "dissmodel_lab/cli.py"]) == [
        "missing: dissmodel_lab/cli.py",
        "missing: dissmodel_lab/py.typed",
        "missing: dissmodel_lab/locale/*.mo",
        "missing: licenses/LICENSE",
        "not for a wheel: dissmodel_lab/tests/test_a.py",
        "not for a wheel: tests/conftest.py",
    ]
