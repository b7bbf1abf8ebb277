"""The model of a sweep: found again in another process, and whether its source is still the same."""

from __future__ import annotations

import hashlib
import inspect
import sys
from typing import TYPE_CHECKING, Any

from dissmodel_lab.errors import LabError, SweepError
from dissmodel_lab.language import message
from dissmodel_lab.resolve import import_path, resolve_model

if TYPE_CHECKING:
    from collections.abc import Mapping


def class_of(model: Any) -> type[Any]:
    """
    Return the class of a model, which may be an instance of it.

    Examples
    --------
    >>> class_of(3)
    <class 'int'>
    """
    return model if isinstance(model, type) else type(model)


def code_sha256(model: Any) -> str:
    """
    Return the SHA-256 of the source of a model's class; empty where there is no source to read.

    Examples
    --------
    >>> code_sha256(int)
    ''
    """
    try:
        return hashlib.sha256(inspect.getsource(class_of(model)).encode()).hexdigest()
    except (OSError, TypeError):
        return ""


def model_of(path: str, name: str, given: Any = None, namespace: Mapping[str, Any] | None = None) -> Any:
    """
    Find the model of a sweep that another process began.

    Parameters
    ----------
    path : str
        Import path of its class, ``package.module:Class``.
    name : str
        What the model is called.
    given : object, optional
        What a person says it is.
    namespace : mapping, optional
        The notebook's variables.

    Returns
    -------
    type or object
        The class; or an instance, when one was given.

    Raises
    ------
    SweepError
        When it is not at hand, or another model was given.

    Examples
    --------
    >>> model_of("dissmodel_lab.models.game_of_life:GameOfLife", "game_of_life").__name__
    'GameOfLife'
    """
    module, _, class_name = path.rpartition(":")
    try:
        if given is not None:
            found = resolve_model(given, namespace=namespace).executor
        elif module == "__main__":
            here = namespace if namespace is not None else vars(sys.modules["__main__"])
            found = resolve_model(class_name if class_name in here else name, namespace=here).executor
        else:
            found = resolve_model(path, namespace=namespace).executor
    except LabError as error:
        raise SweepError(
            message(
                "The model {name} of this sweep is not at hand ({path}). Import it or run its cell, and give it, "
                "in Python: open_sweep(...).resume(model=...). {error}",
                name=name,
                path=path,
                error=error,
            )
        ) from error
    cls = type(found)
    if import_path(cls) != path and getattr(cls, "name", cls.__name__) != name:
        raise SweepError(
            message(
                "This sweep is of {name} ({path}), not of {import_path}. Begin a new sweep with that one.",
                name=name,
                path=path,
                import_path=import_path(cls),
            )
        )
    return given if given is not None and not isinstance(given, str | type) else cls
