"""Text and tables come in, a checked dict of parameters goes out; every refusal says what is allowed."""

from __future__ import annotations

import datetime as dt
import enum
import math
import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr, create_model, field_validator, model_validator

from dissmodel_lab import run
from dissmodel_lab.errors import ParameterError
from dissmodel_lab.executor import Parameters
from dissmodel_lab.executor.testing import SteppingExecutor
from dissmodel_lab.inference import unknown_parameters
from dissmodel_lab.parameters import (
    METADATA_KEYS,
    ModelSpec,
    allowed_text,
    bounds,
    declared_parameters,
    default_values,
    inferred_facts,
    parameter_problems,
    parameter_schema,
    parse_assignment,
    parse_value,
    problem_text,
    resolve_parameters,
    shown,
    unit,
    write_spec,
)
from dissmodel_lab.redaction import redact_text


class Cover(enum.Enum):
    SEA = "sea"
    LAND = "land"


class Zone(Parameters):
    rate: float = Field(0.1, ge=0, le=1)
    name: str = "zone"


class Flood(Parameters):
    """Everything that a form must know."""

    years: int = Field(20, ge=1, le=500, json_schema_extra={"unit": "yr"})
    rise: float = Field(0.01, gt=0, json_schema_extra={"unit": "m/yr"})
    share: float = Field(0.5, gt=0, lt=1)
    depth: float = Field(-1.0, le=0)
    speed: float = Field(1.0, lt=5)
    floor: int = Field(3, ge=2)
    method: Literal["d4", "d8"] = "d8"
    cover: Cover = Cover.SEA
    wet: bool = False
    label: str = "a"
    start: dt.date = dt.date(2020, 1, 1)
    moment: dt.datetime = dt.datetime(2020, 1, 1)  # noqa: DTZ001 -- TOML's local date-time
    folder: Path = Path()
    seed: int | None = None
    zones: list[Zone] = Field([])
    rates: list[float] = Field([])
    betas: dict[str, float] = Field({})
    pair: tuple[int, int] = (1, 2)
    weights: list[Annotated[float, Field(ge=0)]] = Field([])
    anything: int | str = 1
    zone: Zone | None = None
    even: int = 2

    @field_validator("even")
    @classmethod
    def _is_even(cls, value):
        if value % 2:
            raise ValueError(f"an even number is needed, got {value}")
        return value

    @model_validator(mode="after")
    def _together(self):
        if self.floor > self.years:
            raise ValueError("floor must not be above years.")
        return self


class Model:
    """An executor is recognised by what it has."""

    name = "flood"
    Parameters = Flood


PROBLEMS = [
    ({"yeras": 5}, ("yeras",), f"no such parameter. Did you mean 'years'? Known: {', '.join(Flood.model_fields)}."),
    ({"years": "many"}, ("years",), "a whole number is needed, got 'many'."),
    ({"years": 1.5}, ("years",), "a whole number is needed, got 1.5."),
    ({"years": None}, ("years",), "a whole number is needed, got None."),
    ({"years": True}, ("years",), "a number is needed, got true."),
    ({"rise": False}, ("rise",), "a number is needed, got false."),
    ({"seed": True}, ("seed",), "a number is needed, got true."),
    ({"years": 0}, ("years",), "1 to 500 is allowed, got 0."),
    ({"years": 501}, ("years",), "1 to 500 is allowed, got 501."),
    ({"rise": 0}, ("rise",), "more than 0 is allowed, got 0."),
    ({"share": 1.0}, ("share",), "0 to 1, without 0 and 1 is allowed, got 1.0."),
    ({"depth": 0.5}, ("depth",), "at most 0 is allowed, got 0.5."),
    ({"speed": 5}, ("speed",), "less than 5 is allowed, got 5."),
    ({"floor": 1}, ("floor",), "at least 2 is allowed, got 1."),
    ({"rise": float("nan")}, ("rise",), "a finite number is needed, got nan."),
    ({"rise": float("inf")}, ("rise",), "a finite number is needed, got inf."),
    ({"years": float("nan")}, ("years",), "a finite number is needed, got nan."),
    ({"rise": "high"}, ("rise",), "a number is needed, got 'high'."),
    ({"rise": [1]}, ("rise",), "a number is needed, got [1]."),
    ({"method": "d6"}, ("method",), "one of d4, d8 is allowed, got 'd6'."),
    ({"cover": "ice"}, ("cover",), "one of sea, land is allowed, got 'ice'."),
    ({"wet": "maybe"}, ("wet",), "true or false is needed, got 'maybe'."),
    ({"label": 5}, ("label",), "a text is needed, got 5."),
    ({"start": "soon"}, ("start",), "a date is needed, got 'soon'."),
    ({"moment": "soon"}, ("moment",), "a date with a time is needed, got 'soon'."),
    ({"moment": True}, ("moment",), "a date with a time is needed, got true."),
    ({"folder": 5}, ("folder",), "a path is needed, got 5."),
    ({"zones": 5}, ("zones",), "a list is needed, got 5."),
    ({"zones": [5]}, ("zones", 0), "a table is needed, got 5."),
    ({"zones": [{}, {"rate": "x"}]}, ("zones", 1, "rate"), "a number is needed, got 'x'."),
    ({"zones": [{"rate": True}]}, ("zones", 0, "rate"), "a number is needed, got true."),
    ({"zones": [{"rate": 2}]}, ("zones", 0, "rate"), "0 to 1 is allowed, got 2."),
    ({"zones": [{"rat": 1}]}, ("zones", 0, "rat"), "no such parameter."),
    ({"zone": {"name": 5}}, ("zone", "name"), "a text is needed, got 5."),
    ({"rates": [1.0, "x"]}, ("rates", 1), "a number is needed, got 'x'."),
    ({"rates": [True]}, ("rates", 0), "a number is needed, got true."),
    ({"weights": [True]}, ("weights", 0), "a number is needed, got true."),
    ({"weights": [-1]}, ("weights", 0), "it should be greater than or equal to 0, got -1."),
    ({"betas": {"dist": "x"}}, ("betas", "dist"), "a number is needed, got 'x'."),
    ({"betas": {"dist": True}}, ("betas", "dist"), "a number is needed, got true."),
    ({"betas": [1]}, ("betas",), "a table is needed, got [1]."),
    ({"pair": [1]}, ("pair", 1), "a value is needed."),
    ({"pair": [1, True]}, ("pair", 1), "a number is needed, got true."),
    ({"anything": [1]}, ("anything",), "a whole number is needed, got [1]."),
    ({"even": 3}, ("even",), "an even number is needed, got 3."),
    ({"floor": 30}, (), "floor must not be above years."),
]


@pytest.mark.parametrize(("values", "location", "sentence"), PROBLEMS)
def test_problem(values, location, sentence):
    assert parameter_problems(Flood, values) == {location: sentence}


def test_a_long_value_is_cut_in_the_message():
    sentence = parameter_problems(Flood, {"years": "x" * 500})[("years",)]
    assert len(sentence) < 130


def test_no_problem_with_what_fits():
    fits = {
        "years": np.int64(5),
        "rise": 1,
        "method": "d4",
        "cover": "land",
        "seed": None,
        "rates": [1, 2.5],
        "zones": [{"rate": 0.5}],
        "betas": {"a": 1},
        "folder": "out",
        "start": "2020-02-01",
        "pair": [3, 4],
    }
    assert parameter_problems(Flood, fits) == {}


def test_every_problem_is_in_one_message():
    with pytest.raises(ParameterError) as raised:
        resolve_parameters(Model, {"years": 0, "method": "d6", "yeers": 1, "zones": [{"rate": "x"}]})
    known = ", ".join(Flood.model_fields)
    assert str(raised.value) == (
        "flood cannot run with these parameters. "
        f"yeers: no such parameter. Did you mean 'years'? Known: {known}. "
        "years: 1 to 500 is allowed, got 0. "
        "method: one of d4, d8 is allowed, got 'd6'. "
        "zones.0.rate: a number is needed, got 'x'."
    )


def test_a_rule_over_several_is_told_as_together():
    with pytest.raises(ParameterError) as raised:
        resolve_parameters(Model, {"floor": 30})
    assert str(raised.value) == ("flood cannot run with these parameters. together: floor must not be above years.")


def test_a_missing_value():
    class Needy(Parameters):
        region: str
        years: int = 3

    class NeedyModel:
        Parameters = Needy

    assert default_values(Needy) == {"years": 3}
    with pytest.raises(ParameterError) as raised:
        resolve_parameters(NeedyModel, {})
    assert str(raised.value) == "NeedyModel cannot run with these parameters. region: a value is needed."


def test_the_validators_own_error_is_not_wrapped():
    class Buggy(Parameters):
        years: int = 3

        @field_validator("years")
        @classmethod
        def _look_up(cls, value):
            return {}[value]

    with pytest.raises(KeyError):
        parameter_problems(Buggy, {"years": 4})


def test_defaults_are_filled_in():
    resolved = resolve_parameters(Model, {"years": "30", "zones": [{"rate": 0.5}]})
    assert resolved["years"] == 30
    assert resolved["zones"] == [{"rate": 0.5, "name": "zone"}]
    assert resolved["cover"] is Cover.SEA
    assert list(resolved) == list(Flood.model_fields)
    assert resolved == resolve_parameters(Model, resolved)


def test_an_alias_and_the_name_are_both_known():
    class Aliased(Parameters):
        end_time: int = Field(1, alias="endTime")

    assert parameter_problems(Aliased, {"endTime": 3}) == {}
    assert parameter_problems(Aliased, {"end_time": 3}) == {}
    assert Aliased(end_time=3) == Aliased(endTime=3)

    class OnlyAlias(BaseModel):
        end_time: int = Field(1, validation_alias="endTime")

    assert parameter_problems(OnlyAlias, {"endTime": 3}) == {}
    assert parameter_problems(OnlyAlias, {"end_time": 3}) == {}
    assert parameter_problems(OnlyAlias, {"end_time": 3, "endTime": 4}) == {
        ("endTime",): "it is the same parameter as 'end_time'. Give one of the two."
    }
    assert parameter_problems(OnlyAlias, {"end_tim": 3}) == {
        ("end_tim",): "no such parameter. Did you mean 'end_time'? Known: end_time."
    }


class Rate(BaseModel):
    a: int = Field(1, alias="rate", ge=0)


@pytest.mark.parametrize("base", [BaseModel, Parameters])
@pytest.mark.parametrize("called", ["a", "rate"])
def test_an_alias_reaches_the_model_however_it_is_called(base, called):
    class Aliased(base):
        a: int = Field(1, alias="rate", ge=0)
        inner: Rate = Rate()

    class Model(SteppingExecutor, register=False):
        name = "aliased"
        Parameters = Aliased

        def run(self, data, record):
            record.metrics["used"] = [self.parameters(record).a, self.parameters(record).inner.a]
            return data

    record = run(Model, parameters={called: 5, "inner": {called: 7}})
    assert record.metrics["used"] == [5, 7]
    assert record.parameters == {"a": 5, "inner": {"a": 7}}
    assert parameter_problems(Aliased, {called: -1}) == {(called,): "at least 0 is allowed, got -1."}
    assert parameter_problems(Aliased, {called: True}) == {(called,): "a number is needed, got true."}


def test_a_model_with_a_wrong_default_is_refused_before_it_runs():
    class Wrong(BaseModel):
        a: int = "abc"
        b: float = Field(5, ge=10)
        c: int = 1

    own = "It is the model's own default: give a value, or correct the model."
    assert parameter_problems(Wrong, {"c": "x"}) == {
        ("a",): f"a whole number is needed, got 'abc'. {own}",
        ("b",): f"at least 10 is allowed, got 5. {own}",
        ("c",): "a whole number is needed, got 'x'.",
    }
    assert parameter_problems(Wrong, {"a": 1, "b": 10}) == {}
    assert parameter_problems(Wrong, {"a": "abc", "b": 10}) == parameter_problems(
        Wrong, {"b": 10}
    )  # as the form asks


def test_a_default_that_cannot_be_made():
    class Broken(BaseModel):
        a: int = Field(default_factory=lambda: 1 // 0)
        b: int = 2

    class Model(SteppingExecutor, register=False):
        name = "broken"
        Parameters = Broken

    with pytest.raises(ParameterError) as raised:
        resolve_parameters(Model, {})
    assert str(raised.value) == (
        "broken cannot run with these parameters. a: its default cannot be made (ZeroDivisionError: integer division "
        "or modulo by zero). Give a value, or correct the model."
    )
    assert default_values(Broken) == {"b": 2}
    assert resolve_parameters(Model, {"a": 3}) == {"a": 3, "b": 2}


def test_a_default_that_is_made_from_other_values():
    class Twice(BaseModel):
        a: int = 1
        b: int = Field(default_factory=lambda data: 2 * data["a"])

    class Model(SteppingExecutor, register=False):
        name = "twice"
        Parameters = Twice

    assert resolve_parameters(Model, {"a": 3}) == {"a": 3, "b": 6}


@pytest.mark.parametrize(("required", "missing"), [("years", ["years"]), (None, []), (5, []), ([5, "a"], ["a"])])
def test_required_parameters_may_be_written_oddly(required, missing):
    class Model(SteppingExecutor, register=False):
        name = "odd"
        required_parameters = required

    if not missing:
        assert resolve_parameters(Model, {}) == {}
        return
    with pytest.raises(ParameterError) as raised:
        resolve_parameters(Model, {})
    assert str(raised.value) == f"odd cannot run with these parameters. {missing[0]}: a value is needed."


def test_numbers_of_thousands_of_digits():
    text = f"years = {'1' * 5000}"
    said = "holds a whole number of more than 4,300 digits. Write it with an exponent."
    with pytest.raises(ParameterError) as raised:
        ModelSpec.from_text(text)
    assert str(raised.value) == f"The TOML text {said}"
    with pytest.raises(ParameterError) as raised:
        parse_value("1" * 5000)
    assert str(raised.value) == f"The value {'1' * 40}... {said}"
    with pytest.raises(ParameterError, match=r"^The TOML text is not valid TOML: "):
        write_spec("flood", {"years": 1}, onto=text)
    with pytest.raises(ParameterError, match=r"^A whole number of 16,610 bits cannot be written as TOML\."):
        write_spec("flood", {"years": 10**5000})
    years = create_model("P", years=(int, Field(1, le=5)))
    assert parameter_problems(years, {"years": 10**5000}) == {
        ("years",): "at most 5 is allowed, got a value of type int that cannot be shown."
    }


def test_a_file_without_an_end():
    with pytest.raises(ParameterError) as raised:
        ModelSpec.from_path("/dev/zero")
    assert str(raised.value) == "The TOML file '/dev/zero' is larger than 16 MiB. Name another."


def test_a_value_that_is_nested_too_deeply():
    with pytest.raises(ParameterError) as raised:
        parse_value("[" * 5000)
    assert str(raised.value) == (
        f"The value {'[' * 40}... is nested too deeply to be read. Write shorter tables and lists."
    )


def test_any_value_can_be_shown():
    class Rude:
        def __repr__(self):
            raise RuntimeError

    endless: list = []
    endless.append(endless)
    assert [shown(value) for value in (Rude(), endless, float("nan"))] == [
        "a value of type Rude that cannot be shown", "[[...]]", "nan",
    ]  # fmt: skip


def test_what_is_wrong_with_a_secret_is_said_without_it():
    class Login(Parameters):
        token: int = 1
        pin: SecretStr = SecretStr("")
        api_key: str = ""

        @field_validator("api_key")
        @classmethod
        def long(cls, value):
            if value:
                raise ValueError(f"{value} is too short")
            return value

    class Model(SteppingExecutor, register=False):
        name = "login"
        Parameters = Login

    with pytest.raises(ParameterError) as raised:
        resolve_parameters(
            Model, {"token": "hunter2", "pin": ["hunter2"], "api_key": "hunter2", "password": "hunter2"}
        )
    text = str(raised.value)
    assert text == (
        "login cannot run with these parameters. password (a secret): no such parameter. Known: token, pin, api_key. "
        "token (a secret): a whole number is needed, got ***. pin: a text is needed, got ***. "
        "api_key (a secret): *** is too short."
    )
    assert redact_text(text) == text  # so that the record says it too


def test_an_executor_that_declares_nothing_takes_everything():
    class Free:
        name = "free"

    given = {"a": 1, "b": [True]}
    resolved = resolve_parameters(Free, given)
    assert resolved == given
    assert resolved is not given


def test_required_parameters_of_an_executor_that_declares_nothing():
    class Asking:
        name = "asking"
        required_parameters = ("end_time", "demand")

    assert resolve_parameters(Asking, {"end_time": 1, "demand": None, "x": 2})["x"] == 2
    with pytest.raises(ParameterError) as raised:
        resolve_parameters(Asking, {"end_time": 1})
    assert str(raised.value) == "asking cannot run with these parameters. demand: a value is needed."


def test_declared_parameters_are_a_pydantic_model_or_nothing():
    assert declared_parameters(Model) is Flood
    assert declared_parameters(type("M", (), {"Parameters": {"years": 5}})) is None
    assert declared_parameters(type("M", (), {"Parameters": dict})) is None


def test_problem_text_names_the_class_where_there_is_no_name():
    assert problem_text(Flood, {(): "x."}) == "Flood cannot run with these parameters. together: x."


@pytest.mark.parametrize(
    ("name", "text"),
    [("years", "1 to 500"), ("rise", "more than 0"), ("share", "0 to 1, without 0 and 1"), ("depth", "at most 0"),
     ("speed", "less than 5"), ("floor", "at least 2"), ("method", "one of d4, d8"), ("cover", "one of sea, land"),
     ("label", "")],
)  # fmt: skip
def test_allowed_text(name, text):
    assert allowed_text(Flood.model_fields[name]) == text


def test_bounds_and_units():
    assert bounds(Flood.model_fields["share"]) == ((0, False), (1, False))
    assert bounds(Flood.model_fields["label"]) == (None, None)
    assert unit(Flood.model_fields["rise"]) == "m/yr"
    assert unit(Flood.model_fields["label"]) == ""


class Wild:
    """An executor of someone else's: it declares nothing."""

    name = "wild"
    required_parameters = ("region",)

    def validate(self, record):
        record.parameters.get("years", 20)

    def load(self, record):
        return record.parameters["grid"]

    def run(self, data, record):
        p = record.parameters
        steps = int(p.get("steps", 5))
        p.get("rate", 0.5), p.get("deep", False), p.get("tail", len(data)), p.get("years", 30), p.get("table", {})
        if "cap" in p:
            steps += p["cap"]
        return steps

    def save(self, result, record):
        return record


class TestInferred:
    def test_a_declaration_comes_first(self):
        assert parameter_schema(Model, {"x": 1}) is Flood

    def test_what_the_source_tells(self):
        schema = parameter_schema(Wild)
        assert list(schema.model_fields) == [
            "grid", "region", "years", "steps", "rate", "deep", "tail", "table", "cap",
        ]  # fmt: skip
        assert default_values(schema) == {"years": 20, "steps": 5, "rate": 0.5, "deep": False, "table": {}}
        facts = inferred_facts(schema.model_fields["years"])
        assert re.sub(r":\d+", ":N", repr(facts)) == (
            "{'found': 'test_parameters.py:N, test_parameters.py:N', 'expression': '', "
            "'conflicts': ['30 at test_parameters.py:N']}"
        )
        assert inferred_facts(schema.model_fields["tail"])["expression"] == "len(data)"
        assert [name for name, info in schema.model_fields.items() if info.is_required()] == ["grid", "region"]

    @pytest.mark.parametrize(
        ("given", "problems"),
        [
            ({}, {}),
            ({"new": 1, "cap": "any"}, {}),
            ({"years": 2.5, "rate": 1}, {}),
            ({"years": "x"}, {("years",): "a number is needed, got 'x'."}),
            ({"years": True}, {("years",): "a number is needed, got true."}),
            ({"steps": 2.5}, {("steps",): "a whole number is needed, got 2.5."}),
            ({"deep": "maybe"}, {("deep",): "true or false is needed, got 'maybe'."}),
            ({"table": 5}, {("table",): "a table is needed, got 5."}),
            ({"region": None}, {}),
        ],
    )
    def test_problems(self, given, problems):
        schema = parameter_schema(Wild)
        assert parameter_problems(schema, {"grid": "a.tif", "region": "north", **given}) == problems

    def test_what_must_be_given(self):
        assert parameter_problems(parameter_schema(Wild), {}) == {
            ("grid",): "a value is needed.",
            ("region",): "a value is needed.",
        }

    def test_the_shapes_of_given_tables(self):
        given = {
            "rows": [{"lu": "f", "const": 1, "betas": {"dist": 2.388e-7}}, {"lu": "d", "betas": {"road": 1.0}}],
            "static": {"f": -1},
            "matrix": [[1, 0], [0, 1]],
            "mixed": [{"a": 1}, {"a": "x", "inner": [{"b": True}]}],
            "years": "many",
        }
        schema = parameter_schema(type("Open", (Wild,), {"required_parameters": ()}), {"grid": 1, **given})
        assert parameter_problems(schema, {"grid": 1, **given}) == {}
        wrong = {
            "grid": 1,
            "rows": [{"const": "x", "new": 5}, {"lu": 5, "betas": {"road": "far", "other": 1}}],
            "static": {"f": True},
            "mixed": [{"a": []}, {"inner": [{"b": "perhaps"}]}],
            "matrix": 5,
        }
        assert parameter_problems(schema, wrong) == {
            ("rows", 0, "const"): "a number is needed, got 'x'.",
            ("rows", 1, "lu"): "a text is needed, got 5.",
            ("rows", 1, "betas", "road"): "a number is needed, got 'far'.",
            ("static", "f"): "a number is needed, got true.",
            ("mixed", 1, "inner", 0, "b"): "true or false is needed, got 'perhaps'.",
            ("matrix",): "a list is needed, got 5.",
        }

    def test_names_that_pydantic_keeps_for_itself(self):
        given = {"json": "a", "model_fields": 1.5, "_hidden": 2, "a b": [1], "": 3, "__base__": 4, "nothing": None}
        schema = parameter_schema(object, given)
        assert parameter_problems(schema, given) == {}
        assert parameter_problems(schema, {**given, "model_fields": "x", "_hidden": "y"}) == {
            ("model_fields",): "a number is needed, got 'x'.",
            ("_hidden",): "a number is needed, got 'y'.",
        }

    def test_the_executor_takes_its_own_defaults(self):
        given = {"grid": "a.tif", "region": "north", "anything": [1]}
        assert resolve_parameters(Wild, given) == given

    def test_what_it_cannot_run_without(self):
        with pytest.raises(ParameterError) as raised:
            resolve_parameters(Wild, {"anything": 1})
        assert str(raised.value) == (
            "wild cannot run with these parameters. grid: a value is needed. region: a value is needed."
        )

    def test_what_only_load_needs_is_not_needed_in_memory(self):
        assert resolve_parameters(Wild, {"region": "north"}, is_in_memory=True) == {"region": "north"}
        with pytest.raises(ParameterError, match=r"region: a value is needed\.$"):
            resolve_parameters(Wild, {}, is_in_memory=True)

    def test_unknown_names(self):
        assert unknown_parameters(Wild, {"year": 1, "grid": 2, "zzz": 3}) == {
            "year": "Did you mean 'years'? Known: years, grid, steps, rate, deep, tail, table, cap, region.",
            "zzz": "Known: years, grid, steps, rate, deep, tail, table, cap, region.",
        }
        assert unknown_parameters(Model, {"yeers": 1}) == {}  # declared: parameter_problems() says it

        class Dynamic(Wild):
            def save(self, result, record):
                return record.parameters[result]

        assert unknown_parameters(Dynamic, {"year": 1}) == {}


VALUES = [
    ("2.388e-7", 2.388e-7),
    ("true", True),
    ("false", False),
    ("[1, 2]", [1, 2]),
    ("[]", []),
    ('"007"', "007"),
    ("'007'", "007"),
    ("007", "007"),
    ("7", 7),
    ("-7", -7),
    ("+7", 7),
    ("1_000", 1000),
    ("0xff", 255),
    ("1.0", 1.0),
    (".5", ".5"),
    ("5.", "5."),
    ("1e3", 1000.0),
    ("inf", math.inf),
    ("-inf", -math.inf),
    ("True", "True"),
    ("none", "none"),
    ("weng", "weng"),
    ("two words", "two words"),
    ("", ""),
    ('""', ""),
    ("2020-01-02", dt.date(2020, 1, 2)),
    ("12:30:00", dt.time(12, 30)),
    ("2020-01-02T12:30:00Z", dt.datetime(2020, 1, 2, 12, 30, tzinfo=dt.UTC)),
    ("{ dist = 2.388e-7, name = 'x' }", {"dist": 2.388e-7, "name": "x"}),
    ("[1,", "[1,"),
    ("data/grid.tif", "data/grid.tif"),
    ("C:\\data\\grid.tif", "C:\\data\\grid.tif"),
    ("s3://bucket/x?a=1", "s3://bucket/x?a=1"),
    ("#5", "#5"),
    ("1\nother = 2", "1\nother = 2"),
    ("\n[table]", "\n[table]"),
    ("é", "é"),
]


@pytest.mark.parametrize(("text", "value"), VALUES, ids=[repr(text)[:20] for text, _ in VALUES])
def test_parse_value(text, value):
    parsed = parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)


def test_parse_value_nan():
    assert math.isnan(parse_value("nan"))


def test_parse_assignment():
    assert parse_assignment("a=1=2") == ("a", "1=2")
    assert parse_assignment(" a = [1, 2] ") == ("a", [1, 2])
    assert parse_assignment("a=") == ("a", "")


@pytest.mark.parametrize("text", ["years", "=5", " =5", ""])
def test_an_assignment_needs_a_name_and_a_sign(text):
    with pytest.raises(ParameterError) as raised:
        parse_assignment(text)
    assert str(raised.value) == f"--param takes name=value, got {text!r}. Write for example: --param years=20."


SPEC = """
[model]
class = "lucc"
name = "Land use"
description = "text"
package = "git+https://x/y"
executor_module = "pkg.mod"
dissmodel = ">=0.6"
end_time = 88
types = ["f", "d"]
years = 1

[model.land_use_types]
types = ["f", "d", "o"]

[[model.potential_data]]
lu = "f"
betas = { dist = 2.388e-7, slope = -0.01 }
[[model.potential_data]]
lu = "d"

[model.parameters]
years = 2
[model.parameters.zones.north]
rate = 0.5

[other]
x = 1
"""


def test_a_spec_is_read_whole():
    spec = ModelSpec.from_text(SPEC)
    assert spec.model == "lucc"
    assert spec.executor_module == "pkg.mod"
    assert spec.parameters == {
        "end_time": 88,
        "types": ["f", "d"],
        "years": 2,
        "land_use_types": ["f", "d", "o"],
        "potential_data": [{"lu": "f", "betas": {"dist": 2.388e-7, "slope": -0.01}}, {"lu": "d"}],
        "zones": {"north": {"rate": 0.5}},
    }
    assert not METADATA_KEYS & set(spec.parameters)
    assert spec.document == tomllib.loads(SPEC)
    assert spec.text == SPEC


def test_a_metadata_key_under_parameters_is_a_parameter():
    assert ModelSpec.from_text('[model.parameters]\nname = "x"').parameters == {"name": "x"}


def test_a_text_without_model_is_parameters_alone():
    spec = ModelSpec.from_text("years = 5\n[zones]\na = 1")
    assert (spec.model, spec.parameters) == ("", {"years": 5, "zones": {"a": 1}})
    assert ModelSpec.from_text("").parameters == {}


def test_a_name_stands_for_a_missing_class():
    assert ModelSpec.from_text('[model]\nname = "flood"').model == "flood"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[model]\nyears = \n", "Invalid value (at line 2, column 9)"),
        ("years = 5\nyears = 6", "Cannot overwrite a value (at end of document)"),
        ("[model\n", "Expected ']' at the end of a table declaration (at line 1, column 7)"),
        ("a = 1\nb == 2\n", "Invalid value (at line 2, column 4)"),
        ('a = "open\n', "Illegal character '\\n' (at line 1, column 10)"),
    ],
)
def test_malformed_toml_is_told_with_line_and_column(text, problem):
    with pytest.raises(ParameterError) as raised:
        ModelSpec.from_text(text, origin="The cell's body")
    assert str(raised.value) == f"The cell's body is not valid TOML: {problem}."


@pytest.mark.parametrize("text", ["model = 5", "[[model]]\nx = 1", "[model]\nparameters = 5"])
def test_model_must_be_a_table(text):
    message = (
        "The TOML text needs [model] and [model.parameters] to be tables. "
        'Write for example: [model] class = "coastal_flood".'
    )
    with pytest.raises(ParameterError) as raised:
        ModelSpec.from_text(text)
    assert str(raised.value) == message
    with pytest.raises(ParameterError) as raised:
        write_spec("flood", {"x": 1}, onto=text)
    assert str(raised.value) == message


def test_a_bottomless_text_is_refused():
    with pytest.raises(ParameterError) as raised:
        ModelSpec.from_text("a = " + "[" * 5000)
    assert str(raised.value) == "The TOML text is nested too deeply to be read. Write shorter tables and lists."


def test_a_file_with_a_byte_order_mark(workspace):
    (workspace / "m.toml").write_bytes(b"\xef\xbb\xbf[model]\r\nclass = 'flood'\r\n")
    assert ModelSpec.from_path("m.toml").model == "flood"


def test_files_that_cannot_be_read(workspace):
    (workspace / "latin.toml").write_bytes(b"name = 'caf\xe9'")
    (workspace / "folder.toml").mkdir()
    (workspace / "bad.toml").write_text("years = ")
    for path, message in [
        ("no.toml", "The TOML file 'no.toml' cannot be read: No such file or directory."),
        ("folder.toml", "The TOML file 'folder.toml' cannot be read: Is a directory."),
        ("latin.toml", "The TOML file 'latin.toml' is not UTF-8 text (byte 11). TOML is always UTF-8."),
        ("bad.toml", "The TOML file 'bad.toml' is not valid TOML: Invalid value (at end of document)."),
        ("a\0.toml", "The TOML file 'a\\x00.toml' is no path: embedded null byte."),
    ]:
        with pytest.raises(ParameterError) as raised:
            ModelSpec.from_path(path)
        assert str(raised.value) == message


COMMENTED = """# my study
title = "t" # keep

[model] # the model
class = "flood"
years = 3 # [yr]
rise = 0.01

[[model.zones]] # north
rate = 0.5 # [-]
name = "n"

[model.parameters]
# seeds
seed = 1
betas = { a = 1.0, b = 2.0 }

[other]
x = 1 # keep
"""


def test_writing_keeps_comments_order_and_other_tables():
    new = {"years": 4, "rise": 0.01, "zones": [{"rate": 0.25, "name": "n"}], "seed": 1, "betas": {"a": 1.5}}
    assert write_spec("flood", new, onto=COMMENTED) == (
        COMMENTED.replace("years = 3", "years = 4")
        .replace("rate = 0.5", "rate = 0.25")
        .replace("{ a = 1.0, b = 2.0 }", "{ a = 1.5  }")
    )


def test_writing_what_stands_there_already_changes_nothing():
    spec = ModelSpec.from_text(COMMENTED)
    assert write_spec("flood", spec.parameters, onto=COMMENTED) == COMMENTED


def test_a_key_that_is_gone_from_a_table_is_taken_out():
    text = write_spec("flood", {"zones": [{"rate": 0.5}]}, onto=COMMENTED)
    assert ModelSpec.from_text(text).parameters["zones"] == [{"rate": 0.5}]
    assert 'name = "n"' not in text


def test_none_takes_a_parameter_out_wherever_it_stands():
    onto = "[model]\nyears = 1\n[model.parameters]\nyears = 2\nseed = 3"
    assert ModelSpec.from_text(write_spec("m", {"years": None, "seed": 3}, onto=onto)).parameters == {"seed": 3}


def test_the_table_of_land_use_types_stays_a_table():
    onto = '[model]\nclass = "m"\n[model.land_use_types] # types\ntypes = ["a"] # list\n'
    text = write_spec("m", {"land_use_types": ["a", "b"]}, onto=onto)
    assert text.startswith(onto.replace('["a"]', '["a", "b"]'))
    assert ModelSpec.from_text(text).parameters == {"land_use_types": ["a", "b"]}


def test_values_of_python_are_written_as_toml():
    pairs = [
        (Cover.LAND, "land"),
        (Zone(rate=0.5), {"rate": 0.5, "name": "zone"}),
        (Path("a/b"), "a/b"),
        ((1, 2), [1, 2]),
        (np.int64(3), 3),
        (np.array([[1.5]]), [[1.5]]),
        (dt.date(2020, 1, 2), dt.date(2020, 1, 2)),
        ({"x": None, 1: 2}, {"1": 2}),
    ]
    text = write_spec("m", {f"v{index}": given for index, (given, _) in enumerate(pairs)} | {"none": None})
    assert ModelSpec.from_text(text).parameters == {f"v{index}": read for index, (_, read) in enumerate(pairs)}


def test_a_value_that_toml_has_no_word_for():
    with pytest.raises(ParameterError) as raised:
        write_spec("m", {"x": 1j})
    assert str(raised.value) == (
        "A value of type complex cannot be written as TOML: 1j. "
        "TOML takes numbers, texts, true or false, dates, lists and tables."
    )


def test_writing_onto_what_is_no_toml():
    with pytest.raises(ParameterError, match=r"^The TOML text is not valid TOML: .*line 1"):
        write_spec("m", {}, onto="years = = 3\n")


def test_a_number_of_another_kind_is_written_anew():
    onto = "[model.parameters]\na = 1\nb = [1, 2]\nc = nan\n"
    text = write_spec("m", {"a": 1.0, "b": [True, 2], "c": math.nan}, onto=onto)
    assert "a = 1.0\nb = [true, 2]\nc = nan\n" in text


NAMES = st.from_regex(r"[a-z][a-z_0-9]{0,3}", fullmatch=True).filter(
    lambda name: name not in {*METADATA_KEYS, "parameters", "land_use_types"}
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    TEXTS,
    st.dates(),
    st.datetimes().map(lambda moment: moment.replace(fold=0)),
    st.times().map(lambda time: time.replace(fold=0)),
)
LISTS = st.lists(SCALARS, max_size=3)
TABLES = st.dictionaries(TEXTS, st.one_of(SCALARS, LISTS, st.dictionaries(NAMES, SCALARS, max_size=2)), max_size=3)
ANY = st.one_of(SCALARS, LISTS, TABLES, st.lists(TABLES, min_size=1, max_size=3))


def toml_text(value):
    """Write a value as TOML, independently of the code that is tested."""
    if isinstance(value, str):
        return '"' + "".join(c if c.isascii() and c.isalnum() else f"\\U{ord(c):08X}" for c in value) + '"'
    if isinstance(value, list):
        return f"[{', '.join(map(toml_text, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml_text(key)} = {toml_text(item)}" for key, item in value.items()) + "}"
    return value.isoformat() if isinstance(value, dt.date | dt.time) else repr(value).lower()


def toml_table(prefix, values, in_line):
    """Write a table with comments; each inner table in line or under a header of its own."""
    above, below = [], []
    for (name, value), inner in zip(values.items(), in_line * len(values), strict=False):
        rows = value if isinstance(value, list) and value and all(isinstance(row, dict) for row in value) else None
        if inner or not (rows or isinstance(value, dict)):
            above.append(f"{toml_text(name)} = {toml_text(value)} # unit")
            continue
        header = f"[[{prefix}.{toml_text(name)}]] # table" if rows else f"[{prefix}.{toml_text(name)}]"
        for row in rows or [value]:
            below += [header, *(f"{toml_text(key)} = {toml_text(item)}" for key, item in row.items()), ""]
    return "\n".join([*above, *below, ""])


@settings(database=None, max_examples=200, deadline=None)
@given(
    st.dictionaries(NAMES, st.tuples(ANY, ANY, st.booleans()), max_size=5),
    st.dictionaries(NAMES, ANY, max_size=2),
    st.lists(st.booleans(), min_size=1, max_size=4),
)
def test_what_is_written_is_what_is_read(changed, new, in_line):
    onto = '# head\n[model]\nclass = "m" # keep\n'
    onto += toml_table("model", {name: old for name, (old, _, above) in changed.items() if above}, in_line)
    onto += "[model.parameters]\n"
    onto += toml_table("model.parameters", {n: old for n, (old, _, above) in changed.items() if not above}, in_line)
    onto += "[other]\nx = 1 # keep\n"
    want = {**new, **{name: value for name, (_, value, _) in changed.items()}}
    text = write_spec("m", want, onto=onto)
    read = ModelSpec.from_text(text).parameters
    assert sorted(map(repr, plain(read).items())) == sorted(map(repr, plain(want).items()))
    assert text.startswith("# head\n[model]\n")
    assert 'class = "m" # keep\n' in text
    assert "[other]\nx = 1 # keep\n" in text


def plain(value):
    """Sort tables, whose order means nothing."""
    if isinstance(value, dict):
        return {key: plain(value[key]) for key in sorted(value)}
    return [plain(item) for item in value] if isinstance(value, list) else value
