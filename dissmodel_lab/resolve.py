"""From what a person calls a model to the executor that runs it.

A model is named by its registered name, a class (itself, or its name in the notebook), an import
string ``package.module:Class``, or a TOML file.
"""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissmodel_lab.errors import ExecutorError, ExecutorNotFoundError, ParameterError, did_you_mean
from dissmodel_lab.executor.base import ExecutorRegistry
from dissmodel_lab.executor.events import Phase
from dissmodel_lab.parameters import ModelSpec
from dissmodel_lab.upstream import registered_executors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True)
class ResolvedModel:
    """An executor, ready to run, and what its TOML said."""

    executor: Any
    """An instance with the four phases."""
    spec: ModelSpec = field(default_factory=ModelSpec)

    @property
    def executor_class(self) -> type[Any]:
        """The executor's class."""
        return type(self.executor)

    @property
    def name(self) -> str:
        """The model's name; the class's when it has none."""
        return _own_name(self.executor_class) or self.executor_class.__name__


def resolve_model(model: Any, *, namespace: Mapping[str, Any] | None = None) -> ResolvedModel:
    """
    Find the executor that a model's name, class, import string or TOML file stands for.

    Parameters
    ----------
    model : str, Path, type, object or ModelSpec
        What the person named.
    namespace : mapping, optional
        The notebook's variables, in which classes are looked up by their name.

    Raises
    ------
    ExecutorNotFoundError
        When nothing fits; the message says what is known.
    ParameterError
        When a TOML file is malformed or names no model.
    ExecutorError
        When the executor's module or ``__init__`` calls ``sys.exit()``.

    Examples
    --------
    >>> resolve_model("coastal_flood").executor_class.__name__
    'CoastalFlood'
    >>> resolve_model("coastal_flod")
    Traceback (most recent call last):
    dissmodel_lab.errors.ExecutorNotFoundError: No model is called 'coastal_flod'. Did you mean ...
    """
    if isinstance(model, Path) or (isinstance(model, str) and model.lower().endswith(".toml")):
        model = ModelSpec.from_path(model)
    if isinstance(model, ModelSpec):
        return ResolvedModel(_instance(_class_of_spec(model, namespace)), model)
    if isinstance(model, str):
        return ResolvedModel(_instance(_class_by_name(model, namespace or {})))
    return ResolvedModel(_instance(model))


def resolve_class(model: str, *, namespace: Mapping[str, Any] | None = None) -> type[Any]:
    """
    Find the class that :func:`resolve_model` would make an instance of; none of its code is run.

    Parameters
    ----------
    model : str
        A name, an import string or the path of a TOML file.
    namespace : mapping, optional
        The notebook's variables.

    Raises
    ------
    ExecutorNotFoundError
        When nothing fits.
    ParameterError
        When a TOML file is malformed or names no model.

    Examples
    --------
    >>> resolve_class("coastal_flood").__name__
    'CoastalFlood'
    """
    if model.lower().endswith(".toml"):
        return _class_of_spec(ModelSpec.from_path(model), namespace)
    return _class_by_name(model, namespace or {})


def known_models(namespace: Mapping[str, Any] | None = None) -> dict[str, type[Any]]:
    """
    Return every model that can be named without an import string, sorted by name.

    Parameters
    ----------
    namespace : mapping, optional
        The notebook's variables; executor classes among them count by their model's name.

    Examples
    --------
    >>> set(known_models()) >= {"coastal_flood", "forest_fire", "game_of_life"}
    True
    """
    import dissmodel_lab.models  # noqa: F401, PLC0415 -- registers the built-in models, at first use

    own = {name: ExecutorRegistry.get(name) for name in ExecutorRegistry.list()}
    in_notebook = {
        _own_name(value) or key: value
        for key, value in (namespace or {}).items()
        if isinstance(value, type) and _is_executor(value) and not key.startswith("_")
    }
    upstream = {name: value for name, value in registered_executors().items() if isinstance(name, str)}
    return dict(sorted({**upstream, **own, **in_notebook}.items()))


def _own_name(executor_class: type[Any]) -> str:
    name = getattr(executor_class, "name", "")
    return name if isinstance(name, str) else ""  # a property, for example, is no name


def import_path(executor_class: type[Any]) -> str:
    """
    Return ``package.module:Class``.

    Examples
    --------
    >>> import_path(dict)
    'builtins:dict'
    """
    return f"{executor_class.__module__}:{executor_class.__qualname__}"


def _class_of_spec(spec: ModelSpec, namespace: Mapping[str, Any] | None) -> type[Any]:
    if not spec.model:
        raise ParameterError('The TOML names no model. Add for example: [model] class = "coastal_flood".')
    if spec.executor_module:
        module = _import(spec.executor_module, spec.executor_module)
        if spec.model not in known_models(namespace):
            with _undisturbed():
                for name in getattr(module, "__all__", ()):  # some packages import an executor at its first use
                    getattr(module, name, None)
    return _class_by_name(spec.model, namespace or {})


def _class_by_name(name: str, namespace: Mapping[str, Any]) -> type[Any]:
    if ":" in name:
        return _class_by_path(name)
    if name in namespace and isinstance(namespace[name], type):
        return _checked(namespace[name])
    known = known_models(namespace)
    if name not in known:
        raise ExecutorNotFoundError(
            f"No model is called {name!r}. {did_you_mean(name, known)} "
            "A model outside this list is named by its import path, package.module:Class, or by a .toml file."
        )
    return known[name]


def _class_by_path(path: str) -> type[Any]:
    module_name, _, class_name = path.partition(":")
    found: Any = _import(module_name, path)
    for part in class_name.split("."):
        if not hasattr(found, part):
            around = getattr(found, "__dict__", {})
            classes = [key for key, value in around.items() if isinstance(value, type) and _is_executor(value)]
            raise ExecutorNotFoundError(
                f"The module {module_name!r} has no {class_name!r}. {did_you_mean(class_name, classes)}"
            )
        found = getattr(found, part)
    return _checked(found)


def _import(module_name: str, wanted: str) -> Any:
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise ExecutorNotFoundError(
            f"{wanted!r} is no import path. Write package.module:Class, or give a .toml file."
        )
    try:
        with _undisturbed():
            return importlib.import_module(module_name)
    except SystemExit as error:
        raise ExecutorError(
            f"The module {module_name!r} called sys.exit({error.code!r:.80}) when it was imported. "
            "Put what it runs under: if __name__ == '__main__'."
        ) from error
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise  # the module is there, but something that it needs is not: its own traceback says it best
        raise ExecutorNotFoundError(
            f"{wanted!r} names a module that is not installed: {error.name!r}. Install its package, or check "
            "the spelling; an import path is written package.module:Class."
        ) from error


@contextmanager
def _undisturbed() -> Iterator[None]:
    # Some executors' packages switch matplotlib to Agg when imported, which ends inline plots in the notebook.
    folder = os.getcwd()  # noqa: PTH109 -- compared and restored as the system has it
    usual = _backend() if "matplotlib" in sys.modules else os.environ.get("MPLBACKEND")
    try:
        yield
    finally:
        os.chdir(folder)
        if usual and _backend() not in (None, usual):
            sys.modules["matplotlib"].use(usual)


def _backend() -> str | None:
    matplotlib = sys.modules.get("matplotlib")
    if matplotlib is None:
        return None
    chosen: str | None = matplotlib.rcParams._get_backend_or_none()  # noqa: SLF001 -- public access would choose one
    return chosen


def _is_executor(candidate: Any) -> bool:
    phases = (getattr(candidate, phase, None) for phase in Phase)
    return all(callable(method) and not getattr(method, "__isabstractmethod__", False) for method in phases)


def _checked(candidate: Any) -> type[Any]:
    if isinstance(candidate, type) and _is_executor(candidate):
        return candidate
    missing = [
        phase.value
        for phase in Phase
        if not callable(getattr(candidate, phase, None))
        or getattr(getattr(candidate, phase), "__isabstractmethod__", False)
    ]
    name = getattr(candidate, "__name__", repr(candidate))
    raise ExecutorNotFoundError(
        f"{name} is no executor: it lacks {', '.join(missing) or 'a class'}. "
        "An executor is a class with the methods validate, load, run and save."
    )


def _instance(model: Any) -> Any:
    if not isinstance(model, type):
        if _is_executor(model):
            return model
        raise ExecutorNotFoundError(
            f"{model!r:.80} is no model. Give a name, a class, an import path 'package.module:Class' or a .toml file."
        )
    executor_class = _checked(model)
    try:
        return executor_class()
    except SystemExit as error:  # it would end the notebook's cell, or the terminal, without a word
        raise ExecutorError(
            f"{executor_class.__name__} called sys.exit({error.code!r:.80}) in its __init__. "
            "Let it raise an exception that says what is wrong."
        ) from error
