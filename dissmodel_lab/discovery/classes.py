"""What makes a class an executor, and which one of several of the same path is the one that counts."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from dissmodel_lab.executor.events import Phase

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType


def import_path(executor_class: type[Any]) -> str:
    """
    Return ``package.module:Class``.

    Examples
    --------
    >>> import_path(dict)
    'builtins:dict'
    """
    return f"{executor_class.__module__}:{executor_class.__qualname__}"


def own_name(executor_class: type[Any]) -> str:
    """
    Return the name that a class gives itself; empty when it has none, or only its parent's.

    Examples
    --------
    >>> class Flood:
    ...     name = "flood"
    >>> class Double(Flood): ...
    >>> own_name(Flood), own_name(Double)
    ('flood', '')
    """
    name = vars(executor_class).get("name")
    return name if isinstance(name, str) and name.strip() else ""  # a property, for example, is no name


def is_executor(candidate: Any) -> bool:
    """
    Tell whether something has the four phases, all of them written.

    Examples
    --------
    >>> from dissmodel_lab.executor import ModelExecutor
    >>> from dissmodel_lab.models import CoastalFlood
    >>> is_executor(ModelExecutor), is_executor(CoastalFlood)
    (False, True)
    """
    try:
        methods = [getattr(candidate, phase, None) for phase in Phase]
    except Exception:  # noqa: BLE001 -- a class may answer a question for an attribute with anything
        return False
    return all(callable(method) and not getattr(method, "__isabstractmethod__", False) for method in methods)


def root_of(executor_class: type[Any]) -> type[Any] | None:
    """
    Return the abstract class at the top, which says what an executor is; None when there is none.

    Examples
    --------
    >>> from dissmodel_lab.models import CoastalFlood
    >>> root_of(CoastalFlood).__name__
    'ModelExecutor'
    """
    abstract = [base for base in executor_class.__mro__ if "load" in getattr(base, "__abstractmethods__", ())]
    return abstract[-1] if abstract else None


def subclasses_of(root: Any) -> list[type[Any]]:
    """
    Return all classes below a class that are alive, each once.

    Examples
    --------
    >>> class Root: ...
    >>> class Twig(Root): ...
    >>> class Leaf(Twig): ...
    >>> [one.__name__ for one in subclasses_of(Root)]
    ['Twig', 'Leaf']
    """
    classes: dict[type[Any], None] = {}
    waiting = type.__subclasses__(root)
    while waiting:
        one = waiting.pop(0)
        if one not in classes:
            classes[one] = None
            waiting += type.__subclasses__(one)
    return list(classes)


def newest(classes: Iterable[type[Any]]) -> list[type[Any]]:
    """
    Keep one class of each import path: the one it leads to now, or else the last.

    Examples
    --------
    >>> def define():
    ...     class Flood:
    ...         name = "flood"
    ...     return Flood
    >>> first, second = define(), define()
    >>> newest([first, second]) == [second]
    True
    """
    kept: dict[tuple[str, ...], type[Any]] = {}
    for one in classes:
        # A function that makes classes gives all of them one path; they are told apart by their names.
        is_made = "<locals>" in one.__qualname__
        key = (import_path(one), own_name(one)) if is_made else (import_path(one),)
        if key not in kept or not path_leads_to(kept[key]):
            kept[key] = one
    return list(kept.values())


def path_leads_to(executor_class: type[Any]) -> bool:
    """
    Tell whether a class is what its import path leads to: not replaced, nor made inside of a function.

    Examples
    --------
    >>> path_leads_to(dict), path_leads_to(type("dict", (), {"__module__": "builtins"}))
    (True, False)
    """
    found: Any = sys.modules.get(executor_class.__module__)
    for part in executor_class.__qualname__.split("."):
        found = getattr(found, "__dict__", {}).get(part)
    return found is executor_class


def public_names(module: ModuleType) -> list[str]:
    """
    Return the names in a module's ``__all__``, whatever else its author put there.

    Examples
    --------
    >>> import json
    >>> public_names(json)[:2]
    ['dump', 'dumps']
    """
    names = vars(module).get("__all__", ())
    return [name for name in names if isinstance(name, str)] if isinstance(names, (list, tuple)) else []
