"""What a schema declares about each parameter, in a person's words; and how a value is written.

A pydantic schema comes in, facts and text go out; no widget is made here.
"""

from __future__ import annotations

import datetime as dt
import enum
import json
import math
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, replace
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from dissmodel_lab.errors import ParameterError
from dissmodel_lab.language import in_language, message, say
from dissmodel_lab.models.words import own_words
from dissmodel_lab.parameters import (
    AsTyped,
    Bound,
    OpenTable,
    bounds,
    count_values,
    default_values,
    inferred_facts,
    names_of,
    shown,
    unit,
)
from dissmodel_lab.redaction import HIDDEN, is_secret_name, redact_text

_MANY = 1000
"""Lists and tables of more values are told by their number."""
_MAX_BITS = 4096
"""Longer whole numbers are not written: Python itself would refuse to read them."""


class Kind(enum.StrEnum):
    """How a parameter is entered."""

    NUMBER = "number"
    CHOICE = "choice"
    FLAG = "flag"
    DATE = "date"
    TEXT = "text"
    VALUE = "value"
    """Any other type: a TOML value."""
    TABLE = "table"
    """A nested model."""
    TABLES = "tables"
    """A list of nested models."""
    OPEN_TABLE = "open table"
    """A table whose names nobody declared."""
    OPEN_TABLES = "open tables"
    """A list of such tables."""


@dataclass(frozen=True, kw_only=True)
class FieldFacts:
    """What a schema declares about one parameter."""

    name: str
    """The key in the dict of values."""
    names: tuple[str, ...] = ()
    """All that it may be called where values are given: its name and its aliases."""
    title: str
    unit: str
    description: str
    kind: Kind
    default: Any
    """``dataclasses.MISSING`` when a value must be given, and when the model takes its own."""
    is_optional: bool = False
    """Whether None is allowed."""
    is_whole: bool = False
    """Whether a number must be an integer."""
    is_secret: bool = False
    low: Bound | None = None
    high: Bound | None = None
    rules: tuple[str, ...] = ()
    """Other declared limits, in words."""
    choices: tuple[tuple[str, Any], ...] = ()
    """(label, plain value) of each."""
    model: type[BaseModel] | None = None
    """Schema of the table, or of each table."""
    is_inferred: bool = False
    """Whether nobody declared it: then what is left empty is not given."""
    is_required: bool = True
    """Whether a run needs a value, where the default is ``MISSING``."""
    is_as_typed: bool = False
    """Whether a number stays whole or not as it was written."""
    own_default: str = ""
    """What an inferred model takes when nothing is given: a value, or an expression that nobody evaluates."""
    found: str = ""
    """Where an inferred parameter is read."""
    conflicts: tuple[str, ...] = ()
    """Other defaults that the model takes in other places."""

    @property
    def label(self) -> str:
        """Title with the unit in brackets."""
        return f"{self.title} [{self.unit}]" if self.unit else self.title


def describe(schema: type[BaseModel]) -> list[FieldFacts]:
    """
    Describe the fields of a schema, in its order.

    Parameters
    ----------
    schema : type
        The declared parameters.

    Examples
    --------
    >>> from pydantic import create_model, Field
    >>> P = create_model("P", sea_rise=(float, Field(0.5, ge=0, le=10, json_schema_extra={"unit": "m"})))
    >>> describe(P)[0].label, hint(describe(P)[0])
    ('sea rise [m]', 'between 0 and 10; default 0.5')
    """
    defaults = default_values(schema)
    by_alias = not (schema.model_config.get("populate_by_name") or schema.model_config.get("validate_by_name"))
    return [
        _facts(
            info.alias if info.alias and by_alias else name, info, defaults.get(name, MISSING), names_of(name, info)
        )
        for name, info in schema.model_fields.items()
    ]


def _facts(name: str, info: FieldInfo, default: Any, names: list[str]) -> FieldFacts:
    inner, is_optional = _without_none(info)
    low, high = bounds(info)
    inner_low, inner_high = bounds(inner)
    inferred = inferred_facts(info)
    needs_choice = is_optional or default is MISSING or inferred is not None
    kind, choices, model = _kind(inner.annotation, needs_choice=needs_choice)
    facts = FieldFacts(
        name=name,
        names=tuple(names),
        title=one_line(info.title or name.replace("_", " ")),
        unit=one_line(unit(info)),
        description=own_words(one_line(info.description or "")),
        kind=kind,
        default=default if default is MISSING else plain(default),
        is_optional=is_optional,
        is_whole=inner.annotation is int,
        is_secret=inner.annotation is SecretStr or is_secret_name(name),
        low=low or inner_low,
        high=high or inner_high,
        rules=_rules([*info.metadata, *inner.metadata], kind),
        choices=choices,
        model=model,
    )
    return facts if inferred is None else _inferred(facts, inferred, info)


def _inferred(facts: FieldFacts, known: Mapping[str, Any], info: FieldInfo) -> FieldFacts:
    """Leave the default to the model: a record must say what was given, and what the model took by itself."""
    own: str = "" if facts.default is MISSING else value_text(facts.default)
    expression = one_line(known["expression"])
    return replace(
        facts,
        title=one_line(facts.name) or '""',  # a name in somebody's code, not a title
        default=MISSING,
        is_inferred=True,
        is_required=info.is_required(),
        is_as_typed=any(isinstance(rule, AsTyped) for rule in info.metadata),
        own_default=own if facts.default is None and not expression else redact_text(expression or own),
        found=known["found"],
        conflicts=tuple(map(redact_text, known["conflicts"])),
    )


def one_line(text: str) -> str:
    r"""
    Put a text into one line, without control characters.

    Examples
    --------
    >>> one_line(" a\n  b ")
    'a b'
    """
    return " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", text).split())


def _without_none(info: FieldInfo) -> tuple[FieldInfo, bool]:
    """Return the field without its None, with the limits that stand inside of ``Optional[...]``."""
    annotation: Any = info.annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        rest = [part for part in typing.get_args(annotation) if part is not type(None)]
        if len(rest) < len(typing.get_args(annotation)):
            annotation = typing.Union[tuple(rest)]  # noqa: UP007 -- made at run time
            return FieldInfo.from_annotation(annotation), True
    return FieldInfo.from_annotation(annotation), False


def _kind(annotation: Any, *, needs_choice: bool) -> tuple[Kind, tuple[tuple[str, Any], ...], type[BaseModel] | None]:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return Kind.CHOICE, _labelled([(str(plain(value)), plain(value)) for value in arguments]), None
    if origin is list and arguments and _is_class(arguments[0], BaseModel):
        return Kind.OPEN_TABLES if _is_class(arguments[0], OpenTable) else Kind.TABLES, (), arguments[0]
    if not isinstance(annotation, type) or origin is not None:
        return Kind.VALUE, (), None
    if issubclass(annotation, enum.Enum):
        named = [(_member_label(member), plain(member)) for member in annotation]
        return Kind.CHOICE, _labelled(named), None
    if annotation is bool:
        return (Kind.CHOICE, (("true", True), ("false", False)), None) if needs_choice else (Kind.FLAG, (), None)
    if issubclass(annotation, BaseModel):
        return Kind.OPEN_TABLE if issubclass(annotation, OpenTable) else Kind.TABLE, (), annotation
    if issubclass(annotation, PurePath):
        return Kind.TEXT, (), None
    kinds = {int: Kind.NUMBER, float: Kind.NUMBER, str: Kind.TEXT, SecretStr: Kind.TEXT, dt.date: Kind.DATE}
    return kinds.get(annotation, Kind.VALUE), (), None


def _is_class(annotation: Any, parent: type[Any]) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, parent)


def _member_label(member: enum.Enum) -> str:
    return member.value if isinstance(member.value, str) else f"{member.value} ({member.name})"


def _labelled(choices: list[tuple[str, Any]]) -> tuple[tuple[str, Any], ...]:
    labels = [label for label, _ in choices]  # 1 and "1" have one label
    return tuple((repr(value) if labels.count(label) > 1 else label, value) for label, value in choices)


def _rules(metadata: list[Any], kind: Kind) -> tuple[str, ...]:
    found = [
        _rule(name, number_text(getattr(rule, name)), is_text=kind is Kind.TEXT)
        for rule in metadata
        for name in ("multiple_of", "min_length", "max_length", "pattern")
        if getattr(rule, name, None) is not None
    ]
    return tuple(dict.fromkeys(found))  # one rule may stand both outside and inside of Optional


def _rule(name: str, limit: str, *, is_text: bool) -> str:
    if name == "multiple_of":
        return message("a multiple of {limit}", limit=limit)
    if name == "pattern":
        return message("matching {pattern}", pattern=limit)
    if limit == "1" and name == "min_length":
        return message("at least 1 character" if is_text else "at least 1 item")
    if limit == "1":
        return message("at most 1 character" if is_text else "at most 1 item")
    if name == "min_length":
        return message("at least {n} characters" if is_text else "at least {n} items", n=limit)
    return message("at most {n} characters" if is_text else "at most {n} items", n=limit)


def allowed(facts: FieldFacts) -> str:
    """
    Say in words what a parameter allows, as far as it is declared, to the person who looks at it.

    Parameters
    ----------
    facts : FieldFacts
        From :func:`describe`.

    Examples
    --------
    >>> from pydantic import create_model, Field
    >>> allowed(describe(create_model("P", years=(int, Field(20, gt=0))))[0])
    'a whole number, more than 0'
    """
    low, high = facts.low, facts.high
    if low and high and low[1] and high[1]:
        ends = {"low": number_text(low[0]), "high": number_text(high[0])}
        whole, any_ = say("a whole number between {low} and {high}", **ends), say("between {low} and {high}", **ends)
        parts = [whole if facts.is_whole else any_]
    else:
        parts = [say("a whole number")] if facts.is_whole else []
        parts += [say("at least {n}" if low[1] else "more than {n}", n=number_text(low[0]))] if low else []
        parts += [say("at most {n}" if high[1] else "less than {n}", n=number_text(high[0]))] if high else []
    parts += map(in_language, facts.rules)
    parts += [say("a TOML value such as {example}", example=_example(facts))] if facts.kind is Kind.VALUE else []
    return ", ".join(parts)


def _example(facts: FieldFacts) -> str:
    default = facts.default
    if isinstance(default, Mapping):
        return "{a = 1}"
    is_list = default is MISSING or isinstance(default, list) or default is None
    return "[1, 2]" if is_list else message('true, 0.5 or "text"')


def hint(facts: FieldFacts) -> str:
    """
    Say under a field what it means, allows and is when nothing is changed, to the person who looks at it.

    Parameters
    ----------
    facts : FieldFacts
        From :func:`describe`.

    Examples
    --------
    >>> from pydantic import create_model, Field
    >>> hint(describe(create_model("P", cap=(float | None, Field(None, ge=0, description="Upper limit."))))[0])
    'Upper limit — at least 0; empty means none'
    """
    if facts.is_inferred:
        return _inferred_hint(facts)
    parts = [allowed(facts)]
    is_table = facts.kind in (Kind.TABLE, Kind.TABLES)
    may_be_empty = facts.is_optional and facts.kind is not Kind.CHOICE and not is_table
    if may_be_empty:
        parts.append(say("empty means none"))
    if facts.default is MISSING:
        parts.append("" if is_table else say("no default"))
    elif not is_table and not (facts.default is None and may_be_empty):
        is_hidden = facts.is_secret and facts.default
        default = HIDDEN if is_hidden else redact_text(in_language(value_text(facts.default)))
        parts.append(say("default {value}", value=default))
    limits, description = "; ".join(part for part in parts if part), in_language(facts.description)
    return f"{description.rstrip('.')} — {limits}" if description and limits else description or limits


def _inferred_hint(facts: FieldFacts) -> str:
    """Say what is known of a parameter that nobody declared; nothing of the names inside of a table."""
    if not facts.found and not facts.own_default and not facts.is_required:
        return ""
    own = HIDDEN if facts.is_secret and facts.own_default else facts.own_default
    if facts.is_required:
        empty = say("needed")
    else:
        empty = say("left empty, the model takes {value}", value=own) if own else say("may be left empty")
    parts = [allowed(facts), empty]
    parts += [say("elsewhere {values}", values=", ".join(facts.conflicts))] if facts.conflicts else []
    parts += [say("read at {places}", places=_few(facts.found))] if facts.found else []
    return "; ".join(part for part in parts if part)


def _few(places: str) -> str:
    first, *others = places.split(", ")
    return say("{place} and in {n} more", place=first, n=len(others)) if len(others) > 1 else places


def plain(value: Any) -> Any:
    """
    Return a value as TOML would hold it: tables, lists, numbers, texts, dates and None.

    Parameters
    ----------
    value : object
        A default or a validated value.

    Examples
    --------
    >>> plain({"path": PurePath("a/b.tif"), "years": (1, 2)})
    {'path': 'a/b.tif', 'years': [1, 2]}
    """
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return [plain(item) for item in sorted(value, key=repr)]  # a set's own order differs from run to run
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    return value.tolist() if hasattr(value, "tolist") else value  # numpy


def number_text(value: Any) -> str:
    """
    Write a number as short as it can be without changing it.

    Parameters
    ----------
    value : int or float
        Anything else is written as its text.

    Examples
    --------
    >>> number_text(10.0), number_text(2.388e-7), number_text(6e12), number_text(0.1 + 0.2)
    ('10', '2.388e-7', '6e12', '0.30000000000000004')
    """
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        return shown(value)
    if not isinstance(value, float) or not math.isfinite(value):
        return str(value)
    if value.is_integer() and abs(value) < 1e7:  # noqa: PLR2004 -- longer ones read better with an exponent
        return f"{value:.0f}"
    short = f"{value:g}"
    text = short if float(short) == value else repr(value)
    return re.sub(r"e([+-])0*(\d+)$", lambda match: f"e{match[1].strip('+')}{match[2]}", text)


def toml_value(value: Any) -> str:
    r"""
    Write a plain value as TOML, in one line.

    Parameters
    ----------
    value : object
        What :func:`plain` returns.

    Raises
    ------
    ParameterError
        For None and other values that TOML cannot hold.

    Examples
    --------
    >>> toml_value({"betas": [2.388e-7, 1.0], "on": True, "a b": 'say "hi"'})
    '{betas = [2.388e-7, 1.0], on = true, "a b" = "say \\"hi\\""}'
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        text = number_text(value)
        return text if not math.isfinite(value) or {".", "e"} & set(text) else f"{text}.0"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, list):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{toml_key(key)} = {toml_value(item)}' for key, item in value.items())}}}"
    if isinstance(value, int) and value.bit_length() <= _MAX_BITS:
        return str(value)
    raise ParameterError(
        message(
            "{value} cannot be written as TOML. TOML takes numbers, texts, true or false, dates, lists and tables.",
            value=shown(value),
        )
    )


def toml_key(key: str) -> str:
    """
    Write a key as TOML, quoted where it must be.

    Examples
    --------
    >>> toml_key("growth_rate"), toml_key("a b")
    ('growth_rate', '"a b"')
    """
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else toml_value(key)


def value_text(value: Any, *, limit: int = 80) -> str:
    """
    Write a plain value for people; the text is cut at a limit. Its words can be shown in other languages.

    Parameters
    ----------
    value : object
        What :func:`plain` returns, or ``dataclasses.MISSING``.
    limit : int
        Longest text [characters].

    Examples
    --------
    >>> value_text(None), value_text(6e12), value_text("queen"), value_text([1.0, 2.0]), value_text("")
    ('none', '6e12', 'queen', '[1.0, 2.0]', '""')
    """
    if value is None or value is MISSING:
        return message("none") if value is None else message("not given")
    if isinstance(value, float):
        text = number_text(value)
    elif isinstance(value, str):
        text = one_line(value) or '""'
    elif (count := count_values(value)) > _MANY:
        is_table = isinstance(value, Mapping)
        text = message("a table of {n:,} values" if is_table else "a list of {n:,} values", n=count)
    else:
        try:
            text = toml_value(value)
        except ParameterError:
            text = shown(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
