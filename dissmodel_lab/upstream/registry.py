"""Which ``dissmodel`` is there, what its version means, and the executors that it knows."""

from __future__ import annotations

import functools
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from dissmodel_lab.errors import ParameterError
from dissmodel_lab.language import message


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


@functools.cache
def dissmodel_version() -> str | None:
    """
    Return the version of the installed ``dissmodel``, or None when it is not installed.

    The package's own ``__version__`` is wrong from 0.4.1 to 0.5.1; this is what pip installed.

    Examples
    --------
    >>> dissmodel_version()
    '...'
    """
    try:
        return version("dissmodel")
    except PackageNotFoundError:
        return None


def end_time_semantics(version: str) -> Literal["inclusive", "exclusive"]:
    """
    Tell whether ``Environment(end_time=t)`` still runs the tick at ``t``; in 0.5 alone it does not.

    Parameters
    ----------
    version : str
        Of ``dissmodel``, such as ``0.5.1``; only its first two numbers count.

    Returns
    -------
    str
        ``inclusive`` or ``exclusive``.

    Raises
    ------
    ParameterError
        When the text does not begin with two numbers.

    Examples
    --------
    >>> [end_time_semantics(version) for version in ("0.4.1", "0.5.0", "0.6.6")]
    ['inclusive', 'exclusive', 'inclusive']
    """
    found = re.match(r"\s*v?(\d+)\.(\d+)", version)
    if found is None:
        raise ParameterError(
            message(
                "{version!r} is not a version of dissmodel. It begins with two numbers, such as 0.6.6; "
                "importlib.metadata.version('dissmodel') returns the installed one.",
                version=version,
            )
        )
    return "exclusive" if (int(found[1]), int(found[2])) == (0, 5) else "inclusive"
