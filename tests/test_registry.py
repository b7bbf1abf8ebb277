"""Names and their owners."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from dissmodel_lab.errors import ExecutorNotFoundError
from dissmodel_lab.executor import ExecutorNameWarning, ExecutorRegistry, ExperimentRecord, ModelExecutor, Parameters


def define(class_name, bases=(ModelExecutor,), **members):
    """Define an executor as a module or a cell would."""
    phases = {
        "load": lambda self, record: None,
        "run": lambda self, data, record: None,
        "save": lambda self, result, record: record,
    }
    return type(bases[0])(class_name, bases, {"__module__": "cell", "__qualname__": class_name, **phases, **members})


def test_a_subclass_with_a_name_is_registered():
    cls = define("Burning", name="burning")
    assert ExecutorRegistry.get("burning") is cls
    assert "burning" in ExecutorRegistry.list()
    assert ExecutorRegistry.list() == sorted(ExecutorRegistry.list())


def test_register_false_keeps_it_out():
    class Hidden(ModelExecutor, register=False):
        name = "hidden_model"

    assert "hidden_model" not in ExecutorRegistry.list()
    assert Hidden.name == "hidden_model"


def test_a_name_that_changes_owner_warns_with_who_owned_it():
    define("First", name="shared")
    with pytest.warns(ExecutorNameWarning) as warned:
        second = define("Second", name="shared")
    assert len(warned) == 1
    assert str(warned[0].message) == (
        "The model name 'shared' belonged to cell:First and now belongs to cell:Second. Give one of them another "
        "name, or name the one you mean by its import path 'package.module:Class'."
    )
    assert ExecutorRegistry.get("shared") is second


def test_the_warning_points_to_the_class_statement():
    define("First", name="shared")
    with pytest.warns(ExecutorNameWarning) as warned:

        class Second(ModelExecutor):
            name = "shared"

    assert Path(warned[0].filename).name == Path(__file__).name


def test_running_a_cell_again_does_not_warn():
    define("Burning", name="burning")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = define("Burning", name="burning")
    assert ExecutorRegistry.get("burning") is again


def test_a_subclass_without_a_name_of_its_own_does_not_steal():
    parent = define("Parent", name="parent_model")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        child = define("Child", (parent,))
    assert ExecutorRegistry.get("parent_model") is parent
    assert child.name == "parent_model"
    grandchild = define("Grandchild", (child,), name="grandchild_model")
    assert ExecutorRegistry.get("grandchild_model") is grandchild
    assert ExecutorRegistry.get("parent_model") is parent


@pytest.mark.parametrize("name", ["", "  ", None, 5, property(lambda self: "x")])
def test_a_name_must_be_a_text(name):
    before = ExecutorRegistry.list()
    with pytest.raises(TypeError) as raised:
        define("Nameless", name=name)
    assert str(raised.value) == (
        f"Nameless.name must be a non-empty string, got {name!r}. Write for example: name = 'coastal_flood'."
    )
    assert ExecutorRegistry.list() == before


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(ExecutorNotFoundError) as raised:
        ExecutorRegistry.get("coastal_flod")
    known = ", ".join(ExecutorRegistry.list())
    assert str(raised.value) == (
        f"No executor is registered as 'coastal_flod'. Did you mean 'coastal_flood'? Known: {known}."
    )


def test_an_unfinished_executor_cannot_be_made():
    class Unfinished(ModelExecutor, register=False):
        def load(self, record):
            return None

    with pytest.raises(TypeError, match="abstract"):
        Unfinished()


def test_parameters_are_those_of_the_record():
    class Fire(Parameters):
        density: float = 0.6
        label: str = "a"

    cls = define("Burning", name="burning", Parameters=Fire)
    assert cls().parameters(ExperimentRecord(parameters={"density": 0.25})) == Fire(density=0.25)
    with pytest.raises(ValueError, match="density"):
        cls().parameters(ExperimentRecord(parameters={"density": float("nan")}))
    with pytest.raises(ValueError, match="densty"):
        cls().parameters(ExperimentRecord(parameters={"densty": 0.5}))


def test_without_declared_parameters_the_record_is_the_place_to_look():
    with pytest.raises(TypeError) as raised:
        define("Burning", name="burning")().parameters(ExperimentRecord())
    assert str(raised.value) == "Burning declares no Parameters; read record.parameters instead."


def test_parameters_cannot_be_changed_by_accident():
    class Fire(Parameters):
        density: float = 0.6

    with pytest.raises(ValueError, match="frozen"):
        Fire().density = 0.7


def test_a_model_has_no_sample_input_and_no_checks_unless_it_says_so(tmp_path):
    cls = define("Burning", name="burning")
    assert cls.default_source(tmp_path) is None
    assert cls().validate(ExperimentRecord()) is None
