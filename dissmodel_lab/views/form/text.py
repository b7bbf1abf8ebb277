"""What a form holds, as text that lasts: the cell that does the same, and a static table.

A schema and plain values come in, text goes out; no widget is made here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import MISSING
from typing import TYPE_CHECKING, Any

from dissmodel_lab.errors import ParameterError, did_you_mean
from dissmodel_lab.language import in_language, message, say
from dissmodel_lab.parameters import OpenTable, parameter_schema
from dissmodel_lab.redaction import HIDDEN, is_secret_name, redact_text
from dissmodel_lab.views.form.fields import (
    FieldFacts,
    allowed,
    describe,
    one_line,
    plain,
    toml_key,
    toml_value,
    value_text,
)
from dissmodel_lab.views.markup import escape

if TYPE_CHECKING:
    from pydantic import BaseModel

    from dissmodel_lab.parameters import Location


def unknown_places(schema: type[BaseModel], values: Mapping[str, Any]) -> dict[Location, str]:
    """
    Find the keys that a schema does not know, in nested tables too.

    Parameters
    ----------
    schema : type
        The declared parameters; one that allows extra keys knows them all.
    values : mapping
        What was given.

    Returns
    -------
    dict
        Location -> "Did you mean ...".

    Examples
    --------
    >>> from pydantic import create_model
    >>> unknown_places(create_model("P", growth=(float, 1.0)), {"growht": 2})
    {('growht',): "Did you mean 'growth'? Known: growth."}
    """
    facts = {called: fact for fact in describe(schema) for called in (fact.name, *fact.names)}
    unknown: dict[Location, str] = {}
    for name, value in values.items():
        if name not in facts:
            if schema.model_config.get("extra") != "allow":
                unknown[(name,)] = did_you_mean(name, [fact.name for fact in describe(schema)])
            continue
        model = facts[name].model
        tables: dict[Location, Any] = {(name,): value} if isinstance(value, Mapping) else {}
        if isinstance(value, list):
            tables = {(name, at): item for at, item in enumerate(value) if isinstance(item, Mapping)}
        if model:
            for where, table in tables.items():
                unknown |= {(*where, *loc): text for loc, text in unknown_places(model, table).items()}
    return unknown


def location_text(location: Location) -> str:
    """
    Name a place in the parameters as a person counts: from one.

    Examples
    --------
    >>> location_text(("zones", 0, "rate")), location_text(())
    ('zones.1.rate', 'the values together')
    """
    parts = (str(part + 1) if isinstance(part, int) else part for part in location)
    return ".".join(parts) or message("the values together")


def cell_text(
    model_name: str,
    schema: type[BaseModel],
    values: Mapping[str, Any],
    *,
    source: str = "",
    output: str = "",
    options: Sequence[str] = (),
) -> str:
    r"""
    Write the notebook cell that runs a model with these parameters.

    Secrets are left out, and so is None, for which TOML has no word; a comment stands in their place.

    Parameters
    ----------
    model_name : str
        As ``%dissmodel run`` takes it.
    schema : type
        The declared parameters.
    values : mapping
        Name -> value.
    source, output : str
        Values of ``--input`` and ``--output``; left out when empty.
    options : sequence of str
        Other words of the command, such as ``--background``.

    Raises
    ------
    ParameterError
        When a value cannot be written as TOML, or a path holds a line break.

    Examples
    --------
    >>> from pydantic import create_model, Field
    >>> P = create_model("P", rise=(float, Field(0.5, json_schema_extra={"unit": "m"})))
    >>> print(cell_text("flood", P, {"rise": 2e-7}, source="my data.tif"))
    %%dissmodel run flood --input 'my data.tif'
    rise = 2e-7  # [m]
    """
    words = ["%%dissmodel", "run", shlex.quote(model_name)]
    for option, value in (("--input", source), ("--output", output)):
        if re.search(r"[\r\n]", value):
            raise ParameterError(
                message("A path cannot hold a line break, got {path!r}. Rename the file.", path=value)
            )
        words += [option, shlex.quote(value)] if value else []
    words += options
    # Alone, a parameter called "model" would read as the table [model] of a specification.
    under = ("model", "parameters") if "model" in values else ()
    lines = [f"[{'.'.join(under)}]"] if under else []
    lines += _toml_lines(schema, values, under)
    # IPython refuses a %% line with nothing under it.
    return "\n".join([" ".join(words), *(lines or [f"# {say('no parameters')}"])])


def _toml_lines(schema: type[BaseModel], values: Mapping[str, Any], under: tuple[str, ...]) -> list[str]:
    plain_lines: list[str] = []
    table_lines: list[str] = []  # a table ends only where the next begins, so they come last
    facts = {fact.name: fact for fact in describe(schema)}
    for name, given in values.items():
        value, fact = plain(given), facts.get(name)
        header = ".".join(toml_key(part) for part in (*under, name))
        if fact and fact.model and isinstance(value, dict):
            table_lines += ["", f"[{header}]", *_toml_lines(fact.model, value, (*under, name))]
        elif fact and fact.model and isinstance(value, list) and value and _are_tables(value):
            for item in value:
                table_lines += ["", f"[[{header}]]", *_toml_lines(fact.model, item, (*under, name))]
        else:
            plain_lines.append(_toml_line(name, value, fact))
    return plain_lines + table_lines


def _are_tables(values: list[Any]) -> bool:
    return all(isinstance(value, dict) for value in values)


def _toml_line(name: str, value: Any, fact: FieldFacts | None) -> str:
    if is_secret_name(name) or (fact and fact.is_secret):
        return f"# {one_line(name)}: {say('a secret, not copied')}"
    if value is None:
        default = fact.default if fact else None
        if default is None:
            return f"# {one_line(name)}: {say('none')}"
        said = say("none, which TOML cannot say; the run takes {default}", default=value_text(default))
        return f"# {one_line(name)}: {said}"
    comment = f"  # [{fact.unit}]" if fact and fact.unit else ""
    return f"{toml_key(name)} = {toml_value(value)}{comment}"


def unwritable_nones(schema: type[BaseModel], values: Mapping[str, Any]) -> list[str]:
    """
    Name the parameters whose None a TOML text would turn into another default.

    Parameters
    ----------
    schema : type
        The declared parameters.
    values : mapping
        Name -> value.

    Examples
    --------
    >>> from pydantic import create_model
    >>> unwritable_nones(create_model("P", cap=(int | None, 5), top=(int | None, None)), {"cap": None, "top": None})
    ['cap']
    """
    names: list[str] = []
    for fact in describe(schema):
        value = values.get(fact.name, MISSING)
        if value is None and fact.default is not None and fact.own_default != "none":
            names.append(fact.name)
        elif fact.model:
            tables = value if isinstance(value, list) else [value]
            inner = (unwritable_nones(fact.model, table) for table in tables if isinstance(table, Mapping))
            names += [f"{fact.name}.{name}" for found in inner for name in found]
    return names


def without_secrets(schema: type[BaseModel], values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """
    Take the secrets out of values that will be written to a file.

    Parameters
    ----------
    schema : type
        The declared parameters.
    values : mapping
        Name -> value.

    Returns
    -------
    dict, list of str
        The other values, and the names of what was taken out.

    Examples
    --------
    >>> from pydantic import create_model
    >>> without_secrets(create_model("P", years=(int, 2), api_key=(str, "")), {"years": 2, "api_key": "x"})
    ({'years': 2}, ['api_key'])
    """
    facts = {fact.name: fact for fact in describe(schema)}
    kept: dict[str, Any] = {}
    taken: list[str] = []
    for name, value in values.items():
        fact = facts.get(name)
        if is_secret_name(name) or (fact and fact.is_secret):
            taken.append(name)
            continue
        if fact and fact.model and isinstance(value, Mapping):
            kept[name], inner = without_secrets(fact.model, value)
        elif fact and fact.model and isinstance(value, list) and _are_tables(value):
            pairs = [without_secrets(fact.model, item) for item in value]
            kept[name], inner = [pair[0] for pair in pairs], [found for pair in pairs for found in pair[1]]
        else:
            kept[name], inner = value, []
        taken += [f"{name}.{found}" for found in inner]
    return kept, taken


_CELL = "padding:3px 12px 3px 0;text-align:left;vertical-align:top;border-bottom:1px solid #8888"


def form_table(model_name: str, schema: type[BaseModel], values: Mapping[str, Any]) -> str:
    """
    Render parameters as a table that needs no script and no widget.

    Parameters
    ----------
    model_name : str
        The heading.
    schema : type
        The declared parameters.
    values : mapping
        Name -> value.

    Returns
    -------
    str
        HTML with inline styles only; every text in it is escaped.

    Examples
    --------
    >>> from pydantic import create_model
    >>> "<td" in form_table("flood", create_model("P", years=(int, 20)), {"years": 5})
    True
    """
    heads = (say("Parameter"), say("Value"), say("Unit"), say("Allowed"), say("Description"))
    head = "".join(f'<th scope="col" style="{_CELL}">{text}</th>' for text in heads)
    rows = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{escape(text)}</td>' for text in row) + "</tr>"
        for row in _table_rows(schema, values, ())
    )
    empty = "" if rows else f"<p>{say('This model declares no parameters.')}</p>"
    table = f'<table style="border-collapse:collapse"><tr>{head}</tr>{rows}</table>' if rows else ""
    return f'<div><p style="margin:0 0 4px 0"><b>{escape(model_name)}</b></p>{table}{empty}</div>'


def _table_rows(
    schema: type[BaseModel], values: Mapping[str, Any], under: Location
) -> list[tuple[str, str, str, str, str]]:
    rows: list[tuple[str, str, str, str, str]] = []
    facts = describe(schema)
    if issubclass(schema, OpenTable):  # names that were added
        known = {called for fact in facts for called in (fact.name, *fact.names)}
        added = {name: value for name, value in values.items() if name not in known}
        facts += describe(parameter_schema(object, added))
        facts = [fact for fact in facts if not under or fact.name in values]
    for fact in facts:
        where, value = (*under, fact.name), plain(values.get(fact.name, MISSING))
        if fact.model and isinstance(value, dict):
            rows += _table_rows(fact.model, value, where)
        elif fact.model and isinstance(value, list) and value and _are_tables(value):
            for at, item in enumerate(value):
                rows += _table_rows(fact.model, item, (*where, at))
        else:
            shown = HIDDEN if fact.is_secret and value else redact_text(in_language(value_text(value, limit=200)))
            if value is MISSING and fact.own_default and not fact.is_secret:
                shown = redact_text(say("left to the model: {value}", value=fact.own_default))
            listing = ", ".join(label for label, _ in fact.choices)
            said = in_language(fact.description) or (say("read at {places}", places=fact.found) if fact.found else "")
            rows.append((location_text(where), shown, fact.unit, listing or allowed(fact), said))
    return rows
