"""What a parameter can be told, as far as a sweep must know: a number, a whole number, a date, or one of some."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import types
import typing
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from dissmodel_lab.parameters import AsTyped, unit

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from dissmodel_lab.sweeps.design import AxisKind


@dataclass(frozen=True)
class Wanted:
    """
    What one parameter takes.

    Examples
    --------
    >>> Wanted().kind is None
    True
    """

    kind: AxisKind | None = None
    """None when nobody says: then what was written decides."""
    is_as_typed: bool = False
    """Whether a number stays whole when it was written whole."""
    is_list: bool = False
    """Whether a list is one value of it."""
    unit: str = ""
    description: str = ""


def wanted(info: FieldInfo | None) -> Wanted:
    """
    Say what a parameter takes.

    Parameters
    ----------
    info : FieldInfo or None
        Of the executor's declared or inferred parameters; None when it has no such parameter.

    Examples
    --------
    >>> from pydantic import create_model, Field
    >>> fields = create_model("P", years=(int, Field(20, json_schema_extra={"unit": "yr"}))).model_fields
    >>> wanted(fields["years"]).kind, wanted(fields["years"]).unit
    ('whole', 'yr')
    """
    if info is None:
        return Wanted()
    plain = _plain(info.annotation)
    is_as_typed = any(isinstance(rule, AsTyped) for rule in info.metadata) or _is_as_typed(info.annotation)
    return Wanted(
        kind=_kind(plain),
        is_as_typed=is_as_typed,
        is_list=_is_list(plain),
        unit=unit(info),
        description=" ".join((info.description or "").split()),
    )


def _is_as_typed(annotation: Any) -> bool:
    return any(
        isinstance(part, AsTyped) or (part is not annotation and _is_as_typed(part))
        for part in typing.get_args(annotation)
    )


def _plain(annotation: Any) -> Any:
    """Return a type without its rules, and without None."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _plain(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        parts = [_plain(part) for part in typing.get_args(annotation) if part is not type(None)]
        if len(set(map(str, parts))) == 1:
            return parts[0]
        return float if set(parts) <= {int, float} else Any
    return annotation


def _kind(plain: Any) -> AxisKind | None:
    if typing.get_origin(plain) is typing.Literal:
        return "choice"
    if not isinstance(plain, type):
        return None
    if issubclass(plain, (bool, str, enum.Enum, PurePath)):
        return "choice"
    if issubclass(plain, int):
        return "whole"
    if issubclass(plain, (float, decimal.Decimal)):
        return "number"
    if issubclass(plain, dt.date) and not issubclass(plain, dt.datetime):
        return "date"
    return None


def _is_list(plain: Any) -> bool:
    base = typing.get_origin(plain) or plain
    return isinstance(base, type) and issubclass(base, (list, tuple, set, frozenset))
