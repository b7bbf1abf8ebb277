"""From what a person calls a model to the executor that runs it.

A model is named by its registered name, a class (itself, or its name in the notebook), an import
string ``package.module:Class``, or a TOML file.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from dissmodel_lab.discovery import (
    FoundExecutor,
    executors_at_hand,
    executors_called,
    import_path,
    is_executor,
    own_name,
    public_names,
)
from dissmodel_lab.errors import ExecutorError, ExecutorNotFoundError, ParameterError, did_you_mean
from dissmodel_lab.executor.events import Phase
from dissmodel_lab.language import joined, message
from dissmodel_lab.parameters import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "ResolvedModel",
    "import_path",
    "known_models",
    "listed_models",
    "model_names",
    "resolve_class",
    "resolve_model",
]


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
        given = getattr(self.executor_class, "name", "")
        return given if isinstance(given, str) and given else self.executor_class.__name__


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
        When nothing fits; the message says what is known. When two executors have the name; the message says
        how to name each of them.
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


def resolve_class(model: str, *, namespace: Mapping[str, Any] | None = None, search: bool = True) -> type[Any]:
    """
    Find the class that :func:`resolve_model` would make an instance of; none of its code is run.

    Parameters
    ----------
    model : str
        A name, an import string or the path of a TOML file.
    namespace : mapping, optional
        The notebook's variables.
    search : bool, optional
        Whether installed packages are looked into for a name that is not at hand; Tab does not.

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
        return _class_of_spec(ModelSpec.from_path(model), namespace, search=search)
    return _class_by_name(model, namespace or {}, search=search)


def known_models(namespace: Mapping[str, Any] | None = None) -> dict[str, type[Any]]:
    """
    Return every model at hand that its bare name means, sorted by name; nothing is imported to find more.

    Parameters
    ----------
    namespace : mapping, optional
        The notebook's variables; executor classes among them count by their model's name.

    Returns
    -------
    dict of str to type
        Names that two executors share are left out.

    Examples
    --------
    >>> set(known_models()) >= {"coastal_flood", "forest_fire", "game_of_life"}
    True
    """
    found = _at_hand(namespace)
    meant = {one.name: executors_called(one.name, found) for one in found}
    return {
        name: called[0].executor_class
        for name, called in meant.items()
        if len(called) == 1 and called[0].executor_class is not None
    }


def model_names(namespace: Mapping[str, Any] | None = None) -> list[str]:
    """
    Return the names that can be offered at once: models at hand, and those that installed packages declare.

    Parameters
    ----------
    namespace : mapping, optional
        The notebook's variables.

    Examples
    --------
    >>> "coastal_flood" in model_names()
    True
    """
    from dissmodel_lab.discovery.distributions import declared_names  # noqa: PLC0415 -- not needed for a run

    return sorted({*known_models(namespace), *declared_names()})


def listed_models(namespace: Mapping[str, Any] | None = None) -> list[FoundExecutor]:
    """
    Return every executor that can be found, installed packages included, each with what is the matter with it.

    Parameters
    ----------
    namespace : mapping, optional
        The notebook's variables.

    Examples
    --------
    >>> {found.package for found in listed_models() if found.name == "coastal_flood"}
    {'dissmodel_lab'}
    """
    from dissmodel_lab.discovery.listing import list_executors  # noqa: PLC0415 -- not needed for a run

    _register_built_in()
    return list_executors(namespace)


def _at_hand(namespace: Mapping[str, Any] | None) -> list[FoundExecutor]:
    _register_built_in()
    return executors_at_hand(namespace)


def _register_built_in() -> None:
    import dissmodel_lab.models  # noqa: F401, PLC0415 -- registers the built-in models, at first use


def _class_of_spec(spec: ModelSpec, namespace: Mapping[str, Any] | None, *, search: bool = True) -> type[Any]:
    if not spec.model and not spec.executor_module:
        raise ParameterError(message('The TOML names no model. Add for example: [model] class = "coastal_flood".'))
    found = _class_of_module(spec) if spec.executor_module else None
    return found if found is not None else _class_by_name(spec.model, namespace or {}, search=search)


def _class_of_module(spec: ModelSpec) -> type[Any] | None:
    """Return the executor that the TOML's module offers; None when it offers none of the model's name."""
    offered, missing = _offered_by(spec.executor_module)
    called = [one for one in offered if not spec.model or spec.model in (own_name(one), one.__name__)]
    if len(called) == 1:
        return called[0]
    if missing and not called:
        raise missing[0]  # very likely of the one that is wanted: its own traceback says it best
    if spec.model and not called:
        return None
    what = message("executors called {model!r}", model=spec.model) if spec.model else message("executors with a name")
    example = import_path(called[0]) if called else "package.module:Class"
    raise ExecutorNotFoundError(
        message(
            "The module {executor_module!r} has {n_called} {what}: {map}. Write in the TOML which one is meant, "
            'for example [model] class = "{example}".',
            executor_module=spec.executor_module,
            n_called=len(called),
            what=what,
            map=", ".join(map(import_path, called)) or message("none"),
            example=example,
        )
    )


def _offered_by(module_name: str) -> tuple[list[type[Any]], list[ImportError]]:
    """Return the named executors that a module defines, hands out or has registered, and what it cannot hand out."""
    from dissmodel_lab.discovery.undisturbed import undisturbed  # noqa: PLC0415 -- not needed for a built-in model

    module = _import(module_name, module_name)
    offered = list(vars(module).values())
    missing: list[ImportError] = []
    for name in public_names(module):  # some packages import an executor at its first use
        try:
            with _no_exit(f"{module_name}:{name}"), undisturbed(sys.stderr):
                offered.append(getattr(module, name, None))
        except ImportError as error:  # what another one of its executors needs may not be installed
            missing.append(error)
    home = f"{module_name}."
    offered += [
        one.executor_class
        for one in executors_at_hand()
        if one.executor_class is not None and f"{one.executor_class.__module__}.".startswith(home)
    ]
    classes = dict.fromkeys(one for one in offered if isinstance(one, type))
    return [one for one in classes if is_executor(one) and own_name(one)], missing


def _class_by_name(name: str, namespace: Mapping[str, Any], *, search: bool = True) -> type[Any]:
    if ":" in name:
        return _class_by_path(name)
    if name in namespace and isinstance(namespace[name], type):
        return _checked(namespace[name])
    called = executors_called(name, _at_hand(namespace))
    listed: list[FoundExecutor] = []
    if search and not called:
        listed = listed_models(namespace)
        called = executors_called(name, listed)
    if not called:
        raise ExecutorNotFoundError(_not_found(name, namespace, listed))
    if len(called) > 1:
        raise ExecutorNotFoundError(_ambiguous(name, namespace))
    assert called[0].executor_class is not None  # for the type checker: only usable ones are called
    return called[0].executor_class


def _not_found(name: str, namespace: Mapping[str, Any], listed: Sequence[FoundExecutor]) -> str:
    for one in listed:
        if one.name == name:
            return message(
                "The model {name!r} of {origin} cannot be used. {problem} Repair or update the package.",
                name=name,
                origin=one.origin,
                problem=one.problem,
            )
    broken = {one.origin: f"{one.path}: {one.problem}" for one in listed if one.executor_class is None}
    return joined(
        [
            message(
                "No model is called {name!r:.100}. {did_you_mean}",
                name=name,
                did_you_mean=did_you_mean(name[:100], known_models(namespace)),
            ),
            message(
                "A model outside this list is named by its import path, package.module:Class, or by a .toml file."
            ),
            *(
                message("Not all of {origin} could be searched: {problem}", origin=origin, problem=problem)
                for origin, problem in broken.items()
            ),
        ]
    )


def _ambiguous(name: str, namespace: Mapping[str, Any]) -> str:
    from dissmodel_lab.discovery.listing import list_executors  # noqa: PLC0415 -- not needed for a run

    called = executors_called(name, list_executors(namespace, search=False))
    ways = [f"{one.way} ({one.origin})" if one.origin else one.way for one in called]
    return message(
        "{n_called} models are called {name!r}. Write which one is meant: {ways}.",
        n_called=len(called),
        name=name,
        ways=" or ".join(ways),
    )


def _class_by_path(path: str) -> type[Any]:
    from dissmodel_lab.discovery.undisturbed import undisturbed  # noqa: PLC0415 -- not needed for a built-in model

    module_name, _, class_name = path.partition(":")
    found: Any = _import(module_name, path)
    for part in class_name.split("."):
        with _no_exit(path), undisturbed(sys.stderr):  # some packages import an executor at its first use
            is_there = hasattr(found, part)
        if not is_there:
            raise ExecutorNotFoundError(
                message(
                    "The module {module_name!r} has no {class_name!r:.100}. {did_you_mean}",
                    module_name=module_name,
                    class_name=class_name,
                    did_you_mean=did_you_mean(class_name, _offered(found)),
                )
            )
        found = getattr(found, part)
    return _checked(found)


def _offered(around: Any) -> list[str]:
    """Return the names of executors that a module or class holds, and what it says that it hands out."""
    held = getattr(around, "__dict__", {})
    classes = [key for key, value in held.items() if isinstance(value, type) and is_executor(value)]
    return list(dict.fromkeys([*classes, *(public_names(around) if isinstance(around, ModuleType) else [])]))


@contextmanager
def _no_exit(path: str) -> Iterator[None]:
    """Keep what is imported from ending the notebook's cell, or the terminal, without a word."""
    try:
        yield
    except SystemExit as error:
        raise ExecutorError(
            message(
                "The module {path!r} called sys.exit({code!r:.80}) when it was imported. Put what it runs under: "
                "if __name__ == '__main__'.",
                path=path.partition(":")[0],
                code=error.code,
            )
        ) from error


def _import(module_name: str, wanted: str) -> Any:
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise ExecutorNotFoundError(
            message(
                "{wanted!r:.100} is no import path. Write package.module:Class, or give a .toml file.", wanted=wanted
            )
        )
    from dissmodel_lab.discovery.undisturbed import undisturbed  # noqa: PLC0415 -- not needed for a built-in model

    try:
        with _no_exit(module_name), undisturbed(sys.stderr):  # what it prints must not stand in a result
            return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise  # the module is there, but something that it needs is not: its own traceback says it best
        raise ExecutorNotFoundError(
            message(
                "{wanted!r:.100} names a module that is not installed: {name!r:.100}. Install its package, or "
                "check the spelling; an import path is written package.module:Class.",
                wanted=wanted,
                name=error.name,
            )
        ) from error


def _checked(candidate: Any) -> type[Any]:
    if isinstance(candidate, type) and is_executor(candidate):
        return candidate
    missing = [
        phase.value
        for phase in Phase
        if not callable(getattr(candidate, phase, None))
        or getattr(getattr(candidate, phase), "__isabstractmethod__", False)
    ]
    name = getattr(candidate, "__name__", repr(candidate))
    raise ExecutorNotFoundError(
        message(
            "{name} is no executor: it lacks {missing}. An executor is a class with the methods validate, load, "
            "run and save.",
            name=name,
            missing=", ".join(missing) or message("a class"),
        )
    )


def _instance(model: Any) -> Any:
    if not isinstance(model, type):
        if is_executor(model):
            return model
        raise ExecutorNotFoundError(
            message(
                "{model!r:.80} is no model. Give a name, a class, an import path 'package.module:Class' or a .toml "
                "file.",
                model=model,
            )
        )
    executor_class = _checked(model)
    try:
        return executor_class()
    except SystemExit as error:  # it would end the notebook's cell, or the terminal, without a word
        raise ExecutorError(
            message(
                "{executor_class} called sys.exit({code!r:.80}) in its __init__. Let it raise an exception that "
                "says what is wrong.",
                executor_class=executor_class.__name__,
                code=error.code,
            )
        ) from error
