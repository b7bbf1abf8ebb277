"""What is known of a parameter that was read from an executor's source."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any


class NoDefault(enum.Enum):
    """The type of :data:`NO_DEFAULT`."""

    NO_DEFAULT = "no default"


NO_DEFAULT = NoDefault.NO_DEFAULT
"""Stands where a parameter has no default, or one that cannot be known without running the executor."""


@dataclass(frozen=True)
class InferredParameter:
    """A parameter that an executor's source reads."""

    name: str
    default: Any = NO_DEFAULT
    """What the executor takes when nothing is given: a literal or a constant of its module."""
    expression: str = ""
    """The default's source where it is an expression; it is shown, and never evaluated."""
    required: bool = False
    """Whether a run without it must fail."""
    kind: type[Any] | None = None
    """What its values are cast to, or else the type of its default."""
    found_in: str = ""
    """Where it is read, in phase order, then where it is only asked for: ``package/a.py:42, package/b.py:57``."""
    is_cast: bool = False
    """Whether ``kind`` comes from a cast: ``int(parameters.get("years", 5))``."""
    needed_in: tuple[str, ...] = ()
    """What fails without it: names of phases, or ``required_parameters``."""
    conflicts: tuple[str, ...] = ()
    """Other defaults elsewhere, each with its place: ``10 at package/module.py:57``."""
