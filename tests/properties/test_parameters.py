"""A value is the same value in TOML, in a form, in a terminal's words and in a cell; any text is read or refused."""

# ruff: noqa: E501, PT017 -- inputs read better in one line; an error or a result, both are checked

from __future__ import annotations

import shlex
import tomllib
from typing import Literal

import ipywidgets as widgets
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import Field, create_model

from dissmodel_lab.commands.grammar import Grammar, cell_spec
from dissmodel_lab.errors import CommandError, ParameterError
from dissmodel_lab.executor import ModelExecutor, Parameters
from dissmodel_lab.executor.schemas import METADATA_KEYS
from dissmodel_lab.parameters import (
    ModelSpec,
    allowed_text,
    parameter_problems,
    parameter_schema,
    parse_value,
    resolve_parameters,
    write_spec,
)
from dissmodel_lab.views.form import ParameterForm
from dissmodel_lab.views.form.fields import toml_value
from properties import examples


class Declared(ModelExecutor, register=False):
    """Says what it takes."""

    name = "declared"

    class Parameters(Parameters):
        rise: float = Field(0.5, ge=-10, le=10)
        years: int = Field(20, ge=1, le=500)
        offset: int = 0
        rate: float = 1.0
        diffuse: bool = True
        scheme: Literal["euler", "rk4"] = "euler"
        label: str = "a"
        betas: list[float] = Field(default_factory=list)
        zones: dict[str, float] = Field(default_factory=dict)

    def load(self, record):
        return None

    def run(self, data, record):
        return data

    def save(self, result, record):
        return record


class Inferred(Declared, register=False):
    """Says nothing; what it reads says it."""

    name = "inferred"
    Parameters = None

    def run(self, data, record):
        read = record.parameters
        return (
            float(read.get("rise", 0.5)), int(read.get("years", 20)), read.get("offset", 0), read.get("rate", 1.0),
            read.get("diffuse", True), read.get("scheme", "euler"), read.get("label", "a"), read.get("betas", []),
        )  # fmt: skip


FINITE = st.floats(allow_nan=False, allow_infinity=False)
# a text box has one line, and no spaces around it
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Zs"]), min_size=1, max_size=10)
GIVEN = st.fixed_dictionaries(
    {},
    optional={
        "rise": st.floats(-10, 10),
        "years": st.integers(1, 500),
        "offset": st.integers(-(2**62), 2**62),
        "rate": FINITE,
        "diffuse": st.booleans(),
        "scheme": st.sampled_from(["euler", "rk4"]),
        "label": TEXTS,
        "betas": st.lists(FINITE, max_size=3),
    },
)


def resolved(executor, values):
    return resolve_parameters(executor, values)


def same(one, other):
    return one == other and {k: type(v) for k, v in one.items()} == {k: type(v) for k, v in other.items()}


def entry_of(form, name):
    """The one widget into which a parameter is typed."""
    left, found = [form.widget], []
    while left:
        widget = left.pop()
        left += getattr(widget, "children", ())
        found += [widget] if f"dl-field-{name}" in getattr(widget, "_dom_classes", ()) else []
    (widget,) = found
    return widget


@pytest.fixture(scope="module")
def grammar():
    return Grammar("dissmodel-lab")


@examples(5)
@given(GIVEN)
@example({"label": "true"})
@example({"label": "1e3"})
@example({"label": "it's"})
@example({"offset": -(2**62), "rate": 5e-324})
@pytest.mark.parametrize("executor", [Declared, Inferred])
def test_a_value_is_the_same_through_every_door(executor, grammar, given):
    wanted = resolved(executor, given)
    toml = write_spec("declared", given)
    assert same(resolved(executor, ModelSpec.from_text(toml).parameters), wanted)
    assert same(resolved(executor, cell_spec(toml).parameters), wanted)
    # the terminal: as one writes it behind --param, and as a shell splits it again
    words = [f"--param={shlex.quote(f'{name}={toml_value(value)}')}" for name, value in given.items()]
    command = grammar.parse_line(" ".join(["run declared", *words]))
    assert same(resolved(executor, command.parameters), wanted)
    # a form that is filled in, and one into which it is typed
    schema = parameter_schema(executor, given)
    filled, typed = ParameterForm("m", schema, values=given), ParameterForm("m", schema)
    for name, value in given.items():
        entry = entry_of(typed, name)
        is_as_it_is = isinstance(value, str) or isinstance(entry, widgets.Checkbox)
        entry.value = value if is_as_it_is else toml_value(value)
    for form in (filled, typed):
        assert form.problems == {}
        shown = form.values if executor is Declared else {name: form.values[name] for name in given}
        assert same(resolved(executor, shown), wanted)
    widgets.Widget.close_all()


@examples(30)
@given(st.recursive(
    st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), FINITE, TEXTS, st.dates()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=5,
))  # fmt: skip
def test_a_value_typed_as_it_is_written_is_that_value(value):
    again = parse_value(toml_value(value))
    assert (again, type(again)) == (value, type(value))


@examples(30)
@given(st.integers(-700, 700), st.floats(-20, 20))
def test_bounds_are_where_they_are_said_to_be(years, rise):
    problems = parameter_problems(Declared.Parameters, {"years": years, "rise": rise})
    assert (("years",) in problems) == (not 1 <= years <= 500)
    assert (("rise",) in problems) == (not -10 <= rise <= 10)
    if ("years",) in problems:
        said = allowed_text(Declared.Parameters.model_fields["years"])
        assert problems["years",] == f"{said} is allowed, got {years}."


@examples(30)
@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), FINITE, st.booleans())
def test_any_bounds(one, other, value, exclusive):
    low, high = sorted((one, other))
    assume(low < high)
    rules = {"gt": low, "lt": high} if exclusive else {"ge": low, "le": high}
    schema = create_model("P", rate=(float, Field((low + high) / 2, **rules)))
    fits = low < value < high if exclusive else low <= value <= high
    assert (not parameter_problems(schema, {"rate": value})) == fits


TOMLISH = st.lists(
    st.sampled_from(
        [
            "[model]\n", "[model.parameters]\n", "[[model.land_use_types]]\n", "class = ", '"flood"\n', "years = ", "1",
            "\n", "=", "[", "]", "{", "}", '"', "'", '"""', "'''", "#", ".", ",", "1e999", "0x1", "nan", "2020-01-01",
            "99:99", "\\u0000", "\x00", "\ufeff", "a.b.c = 1\n", "\\UFFFFFFFF", "1" * 5_000, "[" * 200, "é", "\r",
        ]
    ),
    max_size=12,
).map("".join)  # fmt: skip


@examples(80)
@given(st.one_of(st.binary(max_size=60), TOMLISH.map(str.encode)))
@example(b"\xff\xfe[model]")
@example(b"[model]\nclass = 5\n")
@example(b"years = " + b"1" * 5_000)
def test_any_bytes_are_a_spec_or_one_clear_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(content)
    try:
        spec = ModelSpec.from_path(path)
    except ParameterError as error:
        assert len(str(error).split()) >= 6
        assert str(path) in str(error)
        assert str(error)[-1] in ".?"
    else:
        # what was read is what the standard library reads
        tables = tomllib.loads(content.decode("utf-8-sig").replace("\r\n", "\n"))
        names = set(tables.get("model", tables)) - METADATA_KEYS - {"parameters"}
        assert names <= set(spec.parameters)


@examples(80)
@given(st.lists(st.one_of(st.text(max_size=8), st.sampled_from(
    ["run", "runs", "flood", "--param", "--param=a=1", "years=3", "--where", "x > 1", "--limit", "-1", "--sort", "-x", "'",
     '"', "sweep", "a=0:1:3", "a=1,2", "export", "last", "--format", "map", "--help", "--json", "\\", "--param=a=[[[", "=",
     "platform", "--engine", "loky", "--seconds", "1e999", "--memory", "1G", "compare", "1", "--seeds", "nan", "--page", "0"]
)), max_size=7), st.booleans())  # fmt: skip
def test_any_line_is_a_command_or_one_clear_error(grammar, words, is_quoted):
    line = shlex.join(words) if is_quoted else " ".join(words)
    try:
        command = grammar.parse_line(line)
    except (CommandError, ParameterError) as error:
        assert len(str(error).split()) >= 5
    else:
        assert command.name in grammar.commands or command.name == "help"


@examples(40)
@given(GIVEN)
def test_what_a_source_reads_has_a_place_in_its_schema(given):
    schema = parameter_schema(Inferred, given)
    assert {"rise", "years", "offset", "rate", "diffuse", "scheme", "label", "betas"} <= set(schema.model_fields)
    assert parameter_problems(schema, given) == {}
