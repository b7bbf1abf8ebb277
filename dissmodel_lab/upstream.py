"""The only module that knows PyPI ``dissmodel``; everything works without it.

It never imports the package by itself: what is not imported yet cannot have registered an executor.
"""

from __future__ import annotations

import sys
from typing import Any


def registered_executors() -> dict[str, type[Any]]:
    """
    Return the executors that ``dissmodel``'s own registry holds, by name.

    Returns
    -------
    dict of str to type
        Empty when ``dissmodel`` is not imported in this process.

    Examples
    --------
    >>> isinstance(registered_executors(), dict)
    True
    """
    module = sys.modules.get("dissmodel.executor.registry")
    if module is None:
        return {}
    registry = module.ExecutorRegistry
    return {name: registry.get(name) for name in registry.list()}


def is_raster_backend(value: Any) -> bool:
    """
    Tell whether a result is ``dissmodel``'s raster in memory.

    Examples
    --------
    >>> is_raster_backend([1, 2])
    False
    """
    return type(value).__module__.startswith("dissmodel.") and isinstance(getattr(value, "arrays", None), dict)
