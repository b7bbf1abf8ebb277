"""Names of a package that are loaded when they are first used."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def loaded_when_used(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """
    Return the ``__getattr__`` of a package whose names lie in modules that it does not load itself.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    homes : mapping
        Name -> the module inside the package that has it.

    Examples
    --------
    >>> loaded_when_used("dissmodel_lab", {"LabError": "errors"})("LabError").__name__
    'LabError'
    >>> loaded_when_used("dissmodel_lab", {})("rnu")
    Traceback (most recent call last):
    AttributeError: module 'dissmodel_lab' has no attribute 'rnu'
    """

    def load(name: str) -> Any:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415 -- only when a name is used

        value = getattr(import_module(f"{package}.{home}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return load
