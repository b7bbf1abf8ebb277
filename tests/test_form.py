"""The parameter form, without a browser: widgets are set and clicked as a front end would."""

from __future__ import annotations

import asyncio
import datetime as dt
import enum
import html
import re
import shlex
import stat
import threading
import tomllib
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Literal

import ipywidgets as widgets
import pytest
from disslucc.executors import LuccContinuousExecutor, LuccDiscreteExecutor, LuccSaturationExecutor
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, SecretStr, create_model, field_validator, model_validator

from dissmodel_lab.errors import ParameterError
from dissmodel_lab.inference import unknown_parameters
from dissmodel_lab.parameters import ModelSpec, parameter_schema
from dissmodel_lab.views.form import ParameterForm, RunRequest
from dissmodel_lab.views.form.controls import parse_number, slider_scale
from dissmodel_lab.views.form.fields import describe, hint, number_text, toml_value
from dissmodel_lab.views.form.text import form_table
from dissmodel_lab.views.form_results import FormResults
from dissmodel_lab.views.markup import escape


class Rule(enum.Enum):
    QUEEN = "queen"
    ROOK = "rook"


class Wind(BaseModel):
    model_config = ConfigDict(extra="forbid")
    speed: float = Field(3.0, ge=0, le=60, description="Mean speed.", json_schema_extra={"unit": "m/s"})
    gusts: bool = False


class Species(BaseModel):
    name: str = "oak"
    rate: float = Field(0.1, gt=0)


class Flood(BaseModel):
    model_config = ConfigDict(extra="forbid")
    rise: float = Field(0.5, ge=0, le=10, description="Sea-level rise.", json_schema_extra={"unit": "m"})
    years: int = Field(20, ge=1, le=500)
    beta: float = 2.388e-7
    diffuse: bool = True
    scheme: Literal["euler", "rk4"] = "euler"
    rule: Rule = Rule.QUEEN
    region: str = "north"
    demand: Path = Path("demand.csv")
    betas: list[float] = [1.0, 2.0]
    table: dict[str, int] = {"a": 1}
    mixed: int | str = 5
    start: dt.date = dt.date(2020, 1, 1)
    cap: int | None = Field(None, ge=0)
    wind: Wind = Wind()
    storm: Wind | None = None
    species: list[Species] = [Species()]


FLOOD = {
    "rise": 0.5,
    "years": 20,
    "beta": 2.388e-7,
    "diffuse": True,
    "scheme": "euler",
    "rule": "queen",
    "region": "north",
    "demand": "demand.csv",
    "betas": [1.0, 2.0],
    "table": {"a": 1},
    "mixed": 5,
    "start": dt.date(2020, 1, 1),
    "cap": None,
    "wind": {"speed": 3.0, "gusts": False},
    "storm": None,
    "species": [{"name": "oak", "rate": 0.1}],
}


def below(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from below(child)


def find(form, css_class):
    found = [widget for widget in below(form.widget) if css_class in getattr(widget, "_dom_classes", ())]
    assert len(found) == 1, f"{len(found)} widgets of class {css_class}"
    return found[0]


def entry(form, name):
    return find(form, f"dl-field-{name}")


def text_of(widget):
    return html.unescape(re.sub(r"<[^>]+>", "", widget.value))


def error(form, name):
    return text_of(find(form, f"dl-error-{name}"))


def status(form):
    return text_of(find(form, "dl-status"))


def click(form, css_class):
    find(form, css_class).click()


def one(annotation, default=..., **limits):
    return create_model("One", x=(annotation, Field(default, **limits)))


@pytest.fixture(autouse=True)
def widgets_closed():
    yield
    widgets.Widget.close_all()


@pytest.fixture
def form():
    return ParameterForm("flood", Flood, on_run=lambda request: None)


class TestValues:
    def test_the_defaults_of_every_type_are_kept(self, form):
        assert form.values == FLOOD
        assert form.problems == {}

    @pytest.mark.parametrize(
        ("name", "entered", "value"),
        [
            ("rise", "2.388e-7", 2.388e-7),
            ("beta", "6e12", 6e12),
            ("beta", "-1_000.5", -1000.5),
            ("years", "1e2", 100),
            ("years", " 7 ", 7),
            ("diffuse", False, False),
            ("scheme", "rk4", "rk4"),
            ("rule", "rook", "rook"),
            ("region", " south ", " south "),
            ("region", "", ""),
            ("demand", "a b/c.csv", "a b/c.csv"),
            ("betas", "[2.388e-7, 3.0]", [2.388e-7, 3.0]),
            ("betas", "[]", []),
            ("table", "{b = 2, 'c d' = 3}", {"b": 2, "c d": 3}),
            ("mixed", "weng", "weng"),
            ("mixed", '"007"', "007"),
            ("start", dt.date(2030, 5, 4), dt.date(2030, 5, 4)),
            ("cap", "6", 6),
            ("wind-speed", "60", 60.0),
            ("species-0-name", "elm", "elm"),
        ],
    )
    def test_what_is_entered_is_the_value(self, form, name, entered, value):
        entry(form, name).value = entered
        found = form.values
        for step in name.split("-"):
            found = found[int(step) if step.isdigit() else step]
        assert found == value
        assert type(found) is type(value)
        assert form.problems == {}

    def test_an_empty_optional_is_none(self):
        form = ParameterForm("m", one(int | None, 5))
        assert entry(form, "x").value == "5"
        entry(form, "x").value = ""
        assert form.values == {"x": None}
        assert form.problems == {}

    def test_the_text_of_a_number_stays_as_typed(self, form):
        for text in ("2.388e-7", "0.1234567", "1.50"):
            entry(form, "rise").value = text
            assert entry(form, "rise").value == text

    def test_set_values_leaves_the_others(self, form):
        form.set_values({"rise": 2, "wind": {"gusts": True}, "rule": Rule.ROOK})
        assert form.values == FLOOD | {"rise": 2, "wind": {"speed": 3.0, "gusts": True}, "rule": "rook"}
        assert entry(form, "rise").value == "2"
        assert entry(form, "wind-gusts").value is True

    def test_values_of_the_constructor(self):
        form = ParameterForm("flood", Flood, values={"years": 7}, source="in.tif", output="out.tif")
        assert form.values == FLOOD | {"years": 7}
        assert (form.source, form.output) == ("in.tif", "out.tif")

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (
                {"year": 1},
                "Unknown parameter 'year' of flood. Did you mean 'years'? Known: " + ", ".join(FLOOD) + ".",
            ),
            (
                {"wind": {"sped": 1}},
                "Unknown parameter 'wind.sped' of flood. Did you mean 'speed'? Known: speed, gusts.",
            ),
            (
                {"species": [{}, {"rat": 1}]},
                "Unknown parameter 'species.2.rat' of flood. Did you mean 'rate'? Known: name, rate.",
            ),
        ],
    )
    def test_an_unknown_name_is_refused(self, form, values, message):
        with pytest.raises(ParameterError) as raised:
            form.set_values(values)
        assert str(raised.value) == message
        assert form.values == FLOOD
        with pytest.raises(ParameterError):
            ParameterForm("flood", Flood, values=values)

    def test_reset_enters_the_defaults_and_keeps_input_and_output(self, form):
        form.set_values({"rise": 99, "species": [], "storm": {"speed": 5}, "start": dt.date(1999, 1, 1)})
        find(form, "dl-input").value = "a.tif"
        click(form, "dl-reset")
        assert form.values == FLOOD
        assert form.source == "a.tif"
        assert status(form) == "All parameters are at their defaults.\nReady to run."

    def test_undeclared_values_of_an_open_schema_are_kept(self):
        schema = create_model("Open", __config__=ConfigDict(extra="allow"), x=(int, 1))
        form = ParameterForm("m", schema, values={"x": 2, "other": [1]})
        entry(form, "x").value = "3"
        assert form.values == {"x": 3, "other": [1]}

    def test_a_schema_that_takes_only_aliases_gets_them(self):
        form = ParameterForm("m", create_model("A", n_steps=(int, Field(alias="nSteps"))))
        entry(form, "nSteps").value = "4"
        assert form.values == {"nSteps": 4}
        assert form.problems == {}

    def test_a_model_without_parameters(self):
        form = ParameterForm("m", create_model("Empty"), on_run=lambda request: None)
        texts = [text_of(widget) for widget in below(form.widget) if isinstance(widget, widgets.HTML)]
        assert "This model declares no parameters." in texts
        assert not find(form, "dl-run").disabled


class TestProblems:
    @pytest.mark.parametrize(
        ("name", "entered", "message"),
        [
            ("rise", "11", "0 to 10 is allowed, got 11.0."),
            ("rise", "ten", "A number is needed, got 'ten'."),
            ("rise", "", "A number is needed, got ''."),
            ("rise", "0,5", "A number is needed, got '0,5'. Write 0.5."),
            ("years", "2.5", "A whole number is needed, got 2.5."),
            ("years", "true", "A whole number is needed, got 'true'."),
            ("betas", "[1.0, 'x']", "item 2: a number is needed, got 'x'."),
            ("betas", "[1.0", "A list is needed, got '[1.0'."),
            ("cap", "-1", "at least 0 is allowed, got -1."),
            ("species-0-rate", "x", "A number is needed, got 'x'."),
        ],
    )
    def test_the_message_stands_under_the_field(self, form, name, entered, message):
        entry(form, name).value = entered
        shown = find(form, f"dl-error-{name}")
        assert text_of(shown).lower() == message.lower()
        assert shown.value.startswith('<span role="alert">')
        assert shown.layout.display is None
        assert "dl-invalid" in entry(form, name)._dom_classes
        assert find(form, "dl-run").disabled
        place = ".".join(str(int(s) + 1) if s.isdigit() else s for s in name.split("-"))
        assert status(form).startswith(f"1 value needs attention: {place}")

    def test_the_first_letter_is_a_capital(self, form):
        entry(form, "cap").value = "-1"
        assert error(form, "cap") == "At least 0 is allowed, got -1."

    def test_the_message_goes_when_it_is_right_again(self, form):
        entry(form, "years").value = "900"
        entry(form, "rise").value = "x"
        assert status(form) == "2 values need attention: rise, years."
        entry(form, "years").value = "90"
        entry(form, "rise").value = "1"
        assert error(form, "years") == ""
        assert find(form, "dl-error-years").layout.display == "none"
        assert "dl-invalid" not in entry(form, "years")._dom_classes
        assert status(form) == "Ready to run."
        assert not find(form, "dl-run").disabled

    def test_the_status_is_announced_politely(self, form):
        assert find(form, "dl-status").value == '<div role="status" aria-live="polite">Ready to run.</div>'

    @pytest.mark.parametrize("annotation", [int, float, str, Path, dt.date, list[int], bool, Literal["a"], Rule])
    def test_a_field_without_default_asks_for_a_value(self, annotation):
        form = ParameterForm("m", one(annotation))
        assert form.values == {}
        assert form.problems == {("x",): "a value is needed."}
        assert error(form, "x") == "A value is needed."

    @pytest.mark.parametrize(
        ("name", "given"),
        [
            ("years", "many"),
            ("years", True),
            ("diffuse", "perhaps"),
            ("scheme", "foo"),
            ("rule", 7),
            ("region", 7),
            ("betas", {"a": 1}),
            ("start", "2020-13-01"),
            ("wind", 5),
            ("species", "oak"),
            ("species", [1, 2]),
            ("storm", "strong"),
        ],
    )
    def test_a_wrong_value_is_kept_and_shown_until_it_is_edited(self, form, name, given):
        form.set_values({name: given})
        assert form.values[name] == given
        assert [place[0] for place in form.problems] == [name] * len(form.problems)
        assert form.problems
        assert error(form, name) != ""
        assert find(form, "dl-run").disabled
        click(form, "dl-reset")
        assert form.values == FLOOD
        assert error(form, name) == ""

    def test_an_edit_replaces_a_wrong_value(self, form):
        form.set_values({"diffuse": "perhaps", "scheme": "foo", "wind": 5, "species": "oak"})
        assert entry(form, "scheme").value == "foo (not allowed)"
        entry(form, "diffuse").value = not entry(form, "diffuse").value
        entry(form, "scheme").value = "rk4"
        entry(form, "wind-speed").value = "9"
        click(form, "dl-add-species")
        assert form.problems == {}
        assert form.values["wind"] == {"speed": 9.0, "gusts": False}
        assert form.values["species"] == [{"name": "oak", "rate": 0.1}]

    def test_values_that_the_schema_converts_are_shown_as_it_reads_them(self, form):
        form.set_values({"diffuse": "no", "start": "2021-02-03"})
        assert entry(form, "diffuse").value is False
        assert entry(form, "start").value == dt.date(2021, 2, 3)
        assert form.problems == {}

    def test_a_rule_over_several_values(self):
        class Span(BaseModel):
            first: int = 1
            last: int = 2

            @model_validator(mode="after")
            def ordered(self):
                if self.first > self.last:
                    raise ValueError("first must not be after last")
                return self

        form = ParameterForm("m", Span, on_run=lambda request: None)
        entry(form, "first").value = "3"
        assert form.problems == {(): "first must not be after last."}
        assert text_of(find_whole_error(form)) == "First must not be after last."
        assert status(form) == "1 value needs attention: the values together."

    def test_a_check_that_crashes_is_shown_and_kept_once(self):
        class Crashing(BaseModel):
            x: int = 1

            @field_validator("x")
            @classmethod
            def check(cls, x):
                return x if x < 2 else 1 // 0

        form = ParameterForm("m", Crashing, on_run=lambda request: None)
        entry(form, "x").value = "2"
        assert form.problems == {
            (): "the model's own check of the values broke. It failed with ZeroDivisionError: integer division or "
            "modulo by zero"
        }
        assert [type(kept) for kept in form.errors] == [ZeroDivisionError]
        assert find(form, "dl-run").disabled

    def test_a_model_without_sample_needs_an_input(self):
        form = ParameterForm("m", one(int, 1), needs_source=True, on_run=lambda request: None)
        assert form.problems == {("--input",): "this model has no sample input; name a file or a URI."}
        assert status(form) == "1 value needs attention: input."
        assert error(form, "--input") == "This model has no sample input; name a file or a URI."
        find(form, "dl-input").value = "a.tif"
        assert status(form) == "Ready to run."


def find_whole_error(form):
    shown = [w for w in below(form.widget) if {"dl-error"} == {c for c in w._dom_classes if "error" in c}]
    return next(widget for widget in shown if widget.value)


class TestSliders:
    @pytest.mark.parametrize("limits", [{}, {"ge": 0}, {"le": 9}, {"gt": 0}, {"ge": 0, "le": float("inf")}])
    def test_no_range_is_invented(self, limits):
        form = ParameterForm("m", one(float, 5.0, **limits))
        assert not any(isinstance(widget, (widgets.FloatSlider, widgets.IntSlider)) for widget in below(form.widget))
        entry(form, "x").value = "6e12"
        assert form.values == {"x": 6e12}

    def test_the_slider_follows_the_box(self, form):
        entry(form, "years").value = "300"
        assert find(form, "dl-slider-years").value == 300
        entry(form, "years").value = "900"
        assert find(form, "dl-slider-years").value == 300

    def test_the_box_follows_the_slider(self, form):
        find(form, "dl-slider-rise").value = 3.3000000000000003
        assert entry(form, "rise").value == "3.3"
        assert form.values["rise"] == 3.3

    def test_the_front_ends_rounding_of_the_slider_does_not_change_the_text(self, form):
        entry(form, "rise").value = "0.1234567"
        slider = find(form, "dl-slider-rise")
        assert slider.value == pytest.approx(0.1)
        slider.set_state({"value": 0.1})
        assert entry(form, "rise").value == "0.1234567"

    def test_reset_moves_the_slider_too(self, form):
        find(form, "dl-slider-years").value = 400
        click(form, "dl-reset")
        assert (entry(form, "years").value, find(form, "dl-slider-years").value) == ("20", 20)

    @pytest.mark.parametrize(
        ("annotation", "limits", "expected"),
        [
            (float, {"ge": 0, "le": 10}, (0, 10, 0.1, False)),
            (float, {"gt": 0, "lt": 1}, (0.01, 0.99, 0.01, False)),
            (float, {"ge": 0.5, "le": 3}, (0.5, 3, 0.02, False)),
            (int, {"ge": 1, "le": 500}, (1, 500, 1, False)),
            (int, {"gt": 1, "lt": 5}, (2, 4, 1, False)),
            (int, {"ge": 0, "le": 10**6}, (0, 10**6, 10**4, False)),
            (float | None, {"ge": -1, "le": 1}, (-1, 1, 0.02, False)),
            (float, {"ge": 1e-9, "le": 1}, (1e-9, 1, 0.045, True)),
        ],
    )
    def test_ends_and_steps(self, annotation, limits, expected):
        scale = slider_scale(describe(one(annotation, None, **limits))[0])
        assert (scale.low, scale.high, scale.step, scale.is_log) == pytest.approx(expected)

    def test_bounds_inside_of_optional_count(self):
        schema = one(create_model("B", y=(float, Field(ge=0, le=4))).model_fields["y"].annotation | None, None)
        assert slider_scale(describe(schema)[0]) is None
        from typing import Annotated

        inner = one(Annotated[float, Field(ge=0, le=4)] | None, None)
        assert hint(describe(inner)[0]) == "between 0 and 4; empty means none"
        assert slider_scale(describe(inner)[0]).high == 4

    def test_decades_get_a_logarithmic_slider(self):
        form = ParameterForm("m", one(float, 1e-5, ge=1e-9, le=1))
        slider = find(form, "dl-slider-x")
        assert entry(form, "x").value == "1e-5"
        slider.value = 1e-3
        assert entry(form, "x").value == "0.001"
        slider.value = slider.base**slider.max
        assert form.values == {"x": 1.0}

    finite = st.floats(allow_nan=False, allow_infinity=False)

    @given(ends=st.tuples(finite, finite).map(sorted), share=st.floats(0, 1), at=st.floats(0, 1))
    @settings(deadline=None, max_examples=50)
    @example(ends=[2.2250738585e-313, 1.0], share=0.0, at=0.0)
    @example(ends=[-1.7e308, 1.7e308], share=0.5, at=0.5)
    @example(ends=[0.0, 5e-324], share=0.5, at=0.5)
    @example(ends=[1.0, 1.7976931348622105e308], share=0.0, at=0.0)
    @example(ends=[1e15, 1e15 + 1], share=0.5, at=0.5)
    @example(ends=[0.5, 5000.0], share=1.0, at=1.0)
    def test_no_place_is_out_of_bounds(self, ends, share, at):
        low, high = ends
        scale = slider_scale(describe(one(float, low, ge=low, le=high))[0])
        if scale is None:  # no room for places between the bounds, or as good as no bounds
            largest = max(abs(low), abs(high))
            assert high - low < 1e-12 * max(largest, 1e-300) or largest > 1e300
            return
        assert (scale.low, scale.high) == (low, high)
        typed = min(max(low + share * (high - low), low), high)
        place = scale.place(typed)
        assert low <= place <= high
        assert low <= scale.number(place) <= high
        assert low <= scale.number(min(max(low + at * (high - low), low), high)) <= high
        ParameterForm("m", one(float, typed, ge=low, le=high))


class TestNested:
    def test_an_optional_table_is_switched_on_and_off(self, form):
        entry(form, "storm").value = True
        assert form.values["storm"] == {"speed": 3.0, "gusts": False}
        entry(form, "storm-speed").value = "70"
        assert list(form.problems) == [("storm", "speed")]
        said = form.problems["storm", "speed"]
        assert error(form, "storm-speed") == said[0].upper() + said[1:]
        assert status(form) == "1 value needs attention: storm.speed."
        entry(form, "storm").value = False
        assert form.values["storm"] is None
        assert form.problems == {}

    def test_a_model_that_contains_itself(self):
        form = ParameterForm("m", Node, values={"child": {"x": 2, "child": {"x": 3}}})
        assert form.values == {"x": 1, "child": {"x": 2, "child": {"x": 3, "child": None}}}
        entry(form, "child-child-x").value = "4"
        assert form.values["child"]["child"]["x"] == 4

    def test_a_required_table_is_filled_by_its_own_defaults(self):
        form = ParameterForm("m", one(Wind))
        assert form.values == {"x": {"speed": 3.0, "gusts": False}}

    def test_items_are_added_and_removed(self, form):
        click(form, "dl-add-species")
        entry(form, "species-1-name").value = "elm"
        click(form, "dl-add-species")
        assert [item["name"] for item in form.values["species"]] == ["oak", "elm", "oak"]
        click(form, "dl-remove-species-0")
        assert [item["name"] for item in form.values["species"]] == ["elm", "oak"]
        entry(form, "species-1-rate").value = "-1"
        assert ("species", 1, "rate") in form.problems
        assert status(form) == "1 value needs attention: species.2.rate."
        click(form, "dl-remove-species-1")
        click(form, "dl-remove-species-0")
        assert form.values["species"] == []
        assert form.problems == {}

    def test_wrong_text_survives_when_another_item_is_removed(self, form):
        click(form, "dl-add-species")
        entry(form, "species-1-rate").value = "fast"
        click(form, "dl-remove-species-0")
        assert entry(form, "species-0-rate").value == "fast"
        assert error(form, "species-0-rate") == "A number is needed, got 'fast'."

    def test_a_wrong_number_of_items_is_said(self):
        form = ParameterForm("m", one(list[Species], [Species()], max_length=1))
        click(form, "dl-add-x")
        assert error(form, "x") != ""
        click(form, "dl-remove-x-0")
        assert error(form, "x") == ""


class Node(BaseModel):
    x: int = 1
    child: Node | None = None


class TestRun:
    def test_the_request_is_what_the_form_shows(self):
        asked = []
        form = ParameterForm("flood", Flood, on_run=asked.append)
        find(form, "dl-input").value = " my data.tif "
        find(form, "dl-output").value = "out/"
        entry(form, "years").value = "3"
        click(form, "dl-run")
        assert asked == [RunRequest("flood", FLOOD | {"years": 3}, "my data.tif", "out/")]
        assert Flood.model_validate(asked[0].parameters).years == 3
        assert status(form) == "The run has ended.\nReady to run."

    def test_the_button_is_disabled_while_it_runs(self):
        seen = []
        form = ParameterForm(
            "flood", Flood, on_run=lambda request: seen.append((find(form, "dl-run").disabled, status(form)))
        )
        click(form, "dl-run")
        assert seen == [(True, "Running ...")]
        assert not find(form, "dl-run").disabled

    def test_a_click_during_a_run_starts_no_second_one(self):
        calls = []

        def on_run(request):
            calls.append(request)
            if len(calls) < 3:
                find(form, "dl-run").click()

        form = ParameterForm("flood", Flood, on_run=on_run)
        click(form, "dl-run")
        assert len(calls) == 1

    def test_a_click_that_was_under_way_when_a_value_became_wrong_runs_nothing(self):
        asked = []
        form = ParameterForm("flood", Flood, on_run=asked.append)
        entry(form, "years").value = "0"
        click(form, "dl-run")
        assert asked == []

    @pytest.mark.parametrize(
        ("failure", "message"),
        [
            (ValueError("<b>boom</b>"), "It failed with ValueError: <b>boom</b>"),
            (ParameterError("Unknown parameter 'x'."), "Unknown parameter 'x'."),
            (OSError("s3://key:pw@bucket/x"), "It failed with OSError: s3://***@bucket/x"),
            (KeyboardInterrupt(), "The run was cancelled."),
        ],
    )
    def test_what_it_raises_is_shown_and_kept_until_the_next_run(self, failure, message):
        failures = [failure]

        def on_run(request):
            if failures:
                raise failures.pop()

        form = ParameterForm("flood", Flood, on_run=on_run)
        click(form, "dl-run")
        assert form.errors == [failure]
        assert status(form) == f"{message}\nReady to run."
        assert "<b>" not in find(form, "dl-status").value
        assert not find(form, "dl-run").disabled
        entry(form, "years").value = "3"
        assert status(form) == f"{message}\nReady to run."
        click(form, "dl-run")
        assert status(form) == "The run has ended.\nReady to run."
        assert form.errors == [failure]

    def test_where_it_runs_can_be_chosen(self):
        asked = []
        form = ParameterForm("flood", Flood, on_run=asked.append, offers_engines=True)
        choice = find(form, "dl-engine")
        for option in choice.options:
            choice.value = option
            click(form, "dl-run")
        assert [request.engine for request in asked] == ["here", "worker", "background"]
        assert form.as_cell().splitlines()[0] == "%%dissmodel run flood --engine process --background"
        assert find(ParameterForm("flood", Flood), "dl-engine").layout.display == "none"

    @pytest.mark.parametrize(
        ("failure", "message"), [(None, "The run has ended."), (KeyboardInterrupt(), "The run was cancelled.")]
    )
    def test_a_run_whose_end_comes_later_is_running_until_then(self, failure, message):
        end = Future()
        form = ParameterForm("flood", Flood, on_run=lambda request: end)
        click(form, "dl-run")  # returns at once, so that a click on Cancel can be heard
        assert (find(form, "dl-run").disabled, status(form)) == (True, "Running ...")
        end.set_exception(failure) if failure else end.set_result(None)
        assert status(form) == f"{message}\nReady to run."
        assert not find(form, "dl-run").disabled

    def test_what_is_said_of_a_run_in_the_background(self):
        form = ParameterForm("flood", Flood, on_run=lambda request: "Run a1b2 goes on.")
        click(form, "dl-run")
        assert status(form) == "Run a1b2 goes on.\nReady to run."

    def test_sections_and_listeners_follow_what_is_entered(self):
        form, seen = ParameterForm("flood", Flood), []
        form.add_section(widgets.HTML("ranges"))
        form.on_change(lambda: seen.append(form.values["years"]))
        entry(form, "years").value = "3"
        assert seen == [3]
        assert any(getattr(widget, "value", "") == "ranges" for widget in below(form.widget))

    def test_without_a_runner_there_is_no_run_button(self):
        form = ParameterForm("flood", Flood)
        assert find(form, "dl-run").layout.display == "none"
        assert status(form) == "All values are fine."
        click(form, "dl-run")
        assert form.errors == []


def parsed_cell(cell):
    line, _, body = cell.partition("\n")
    words = shlex.split(line)
    return words, tomllib.loads(body), ModelSpec.from_text(body).parameters


class TestCell:
    def test_a_model_without_parameters_has_a_body_that_ipython_accepts(self):
        assert ParameterForm("m", create_model("Empty")).as_cell() == "%%dissmodel run m\n# no parameters"
        none = ParameterForm("m", one(int | None, None))
        assert none.as_cell() == "%%dissmodel run m\n# x: none"

    def test_a_number_that_toml_cannot_hold_is_said(self):
        form = ParameterForm("m", one(int, 1), values={"x": 10**5000})
        with pytest.raises(
            ParameterError, match=r"^a value of type int that cannot be shown cannot be written as TOML"
        ):
            form.as_cell()
        assert "a value of type int that cannot be shown" in form._repr_mimebundle_()["text/plain"]

    def test_an_alias_is_known_by_both_names(self):
        schema = create_model("P", a=(int, Field(1, alias="rate")))
        form = ParameterForm("m", schema, values={"a": 5})
        assert form.values == {"rate": 5}
        form.set_values({"rate": 6})
        assert form.as_cell() == "%%dissmodel run m\nrate = 6"
        form.set_values({"a": "x"})
        assert error(form, "rate") == "A whole number is needed, got 'x'."
        with pytest.raises(ParameterError, match=r"Did you mean 'rate'\? Known: rate\.$"):
            form.set_values({"rat": 1})

    def test_defaults_that_are_wrong_or_cannot_be_made_are_said(self):
        class Broken(BaseModel):
            a: int = "abc"
            b: int = Field(default_factory=lambda: 1 // 0)

        form = ParameterForm("m", Broken)
        assert error(form, "b") == (
            "Its default cannot be made (ZeroDivisionError: integer division or modulo by zero). "
            "Give a value, or correct the model."
        )
        form.set_values({"b": 1})
        assert form.problems == {
            ("a",): "a whole number is needed, got 'abc'. It is the model's own default: give a value, or correct "
            "the model."
        }

    @pytest.mark.parametrize("typed", ["1" * 5000, "[" * 5000])
    def test_what_cannot_be_read_as_a_value_stays_text(self, typed):
        form = ParameterForm("m", one(list[int], [1]))
        entry(form, "x").value = typed
        assert form.values == {"x": typed}
        assert form.problems == {("x",): f"a list is needed, got {typed!r:.80}."}

    def test_signs_that_turn_the_page_are_shown_by_their_code(self):
        form = ParameterForm("a\u202eb", one(int, 1))
        assert "<b>a\\u202eb</b>" in form._repr_mimebundle_()["text/html"]

    def test_it_parses_back_to_the_same_parameters(self):
        form = ParameterForm("flood", Flood, source="my data's.tif", output='out "1"/x.tif')
        form.set_values(
            {
                "region": 'a "b" \\ # c\n\td\x7f é',
                "rise": 2.388e-7,
                "cap": 3,
                "table": {"a b": 1, 'q"': 2},
                "mixed": "007",
                "storm": {"speed": 1.0},
                "species": [{"name": "#1"}, {"rate": 6e12}],
            }
        )
        words, _, parameters = parsed_cell(form.as_cell())
        assert words == [
            "%%dissmodel", "run", "flood", "--input", "my data's.tif", "--output", 'out "1"/x.tif',
        ]  # fmt: skip
        assert parameters == form.values
        assert Flood.model_validate(parameters) == Flood.model_validate(form.values)

    def test_the_whole_text(self):
        form = ParameterForm("flood", Flood, values={"beta": 6e12, "years": 1})
        assert (
            form.as_cell()
            == """%%dissmodel run flood
rise = 0.5  # [m]
years = 1
beta = 6e12
diffuse = true
scheme = "euler"
rule = "queen"
region = "north"
demand = "demand.csv"
betas = [1.0, 2.0]
table = {a = 1}
mixed = 5
start = 2020-01-01
# cap: none
# storm: none

[wind]
speed = 3.0  # [m/s]
gusts = false

[[species]]
name = "oak"
rate = 0.1"""
        )

    def test_a_parameter_called_model(self):
        form = ParameterForm("m", create_model("M", model=(str, "a"), wind=(Wind, Wind())))
        assert parsed_cell(form.as_cell())[2] == {"model": "a", "wind": {"speed": 3.0, "gusts": False}}

    def test_a_none_that_is_not_the_default_is_said(self):
        form = ParameterForm("m", one(int | None, 5), values={"x": None})
        assert form.as_cell() == "%%dissmodel run m\n# x: none, which TOML cannot say; the run takes 5"
        click(form, "dl-copy")
        assert status(form) == (
            "Select the text of the cell below and copy it. TOML has no word for none, so the default is taken "
            "instead for: x.\nAll values are fine."
        )

    def test_hostile_units_stay_in_their_comment(self):
        schema = one(float, 1.0, json_schema_extra={"unit": "m\nx = 2\x00"})
        assert tomllib.loads(ParameterForm("m", schema).as_cell().partition("\n")[2]) == {"x": 1.0}

    def test_hostile_model_and_paths_stay_words(self):
        form = ParameterForm("m; rm -rf ~", one(int, 1), source="$(x) `y` --output z")
        assert parsed_cell(form.as_cell())[0] == [
            "%%dissmodel", "run", "m; rm -rf ~", "--input", "$(x) `y` --output z",
        ]  # fmt: skip

    def test_a_line_break_in_a_path_is_refused(self):
        form = ParameterForm("m", one(int, 1), output="a\nb")
        with pytest.raises(ParameterError) as raised:
            form.as_cell()
        assert str(raised.value) == "A path cannot hold a line break, got 'a\\nb'. Rename the file."
        click(form, "dl-copy")
        assert "A path cannot hold a line break" in status(form)

    def test_the_box_appears_follows_and_cannot_be_edited(self, form):
        box = find(form, "dl-cell")
        assert box.layout.display == "none"
        click(form, "dl-copy")
        assert box.layout.display is None
        assert box.value == form.as_cell()
        entry(form, "years").value = "77"
        assert "years = 77" in box.value
        box.value = "something else"
        assert box.value == form.as_cell()

    def test_secrets_are_not_copied_saved_or_shown(self, tmp_path):
        schema = create_model("S", api_key=(str, "s3cr3t"), code=(SecretStr, SecretStr("s3cr3t")), x=(int, 1))
        form = ParameterForm("m", schema)
        assert form.values == {"api_key": "s3cr3t", "code": "s3cr3t", "x": 1}
        assert isinstance(entry(form, "api_key"), widgets.Password)
        assert form.as_cell().splitlines()[1:] == [
            "# api_key: a secret, not copied",
            "# code: a secret, not copied",
            "x = 1",
        ]
        form.save(tmp_path / "a.toml")
        assert "s3cr3t" not in (tmp_path / "a.toml").read_text()
        assert "Left out, because they are secrets: api_key, code." in status(form)
        bundle = form._repr_mimebundle_()
        assert "s3cr3t" not in bundle["text/html"] + bundle["text/plain"]
        hints = [w.value for w in below(form.widget) if isinstance(w, widgets.HTML)]
        assert not any("s3cr3t" in text for text in hints)

    plain_values = st.recursive(
        st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.dates(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )

    @given(plain_values)
    @settings(deadline=None, max_examples=50)
    def test_any_value_survives_as_toml(self, value):
        assert tomllib.loads(f"x = {toml_value(value)}") == {"x": value}

    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_any_number_survives_as_text(self, number):
        assert parse_number(number_text(number), whole=False) == number

    @given(st.integers())
    def test_any_integer_survives_as_text(self, number):
        assert parse_number(number_text(number), whole=True) == number


COMMENTED = """# Made for the paper.
[model]
class = "flood"
note_by = "ana"

[model.parameters]
rise = 0.7 # metres
years = 9
# kept
[extra]
x = 1
"""


class TestFiles:
    def saved(self, form, path):
        find(form, "dl-toml-path").value = str(path)
        click(form, "dl-save")
        return status(form)

    def loaded(self, form, path):
        find(form, "dl-toml-path").value = str(path)
        click(form, "dl-load")
        return status(form)

    def test_round_trip(self, form, tmp_path):
        path = tmp_path / "a b.toml"
        form.set_values({"beta": 6e12, "storm": {"speed": 9.0}, "species": [{"name": "x"}, {"rate": 2.0}]})
        before = form.values
        assert self.saved(form, path) == f"Saved to '{path}'.\nReady to run."
        other = ParameterForm("flood", Flood, on_run=lambda request: None)
        assert self.loaded(other, path) == f"Loaded '{path}'.\nReady to run."
        assert other.values == before

    def test_comments_and_other_tables_are_kept(self, form, tmp_path):
        schema = create_model("P", rise=(float, 0.5), years=(int, 20))
        form = ParameterForm("flood", schema, values={"rise": 2.388e-7, "years": 9})
        path = tmp_path / "a.toml"
        path.write_text(COMMENTED)
        path.chmod(0o640)
        self.saved(form, path)
        assert path.read_text() == COMMENTED.replace("rise = 0.7", "rise = 2.388e-07")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert not list(tmp_path.glob(".*"))

    def test_comments_of_a_loaded_file_go_to_a_new_one(self, tmp_path):
        schema = create_model("P", rise=(float, 0.5), years=(int, 20))
        form = ParameterForm("flood", schema)
        (tmp_path / "a.toml").write_text(COMMENTED.replace('note_by = "ana"\n', ""))
        self.loaded(form, tmp_path / "a.toml")
        entry(form, "years").value = "10"
        self.saved(form, tmp_path / "b.toml")
        assert (tmp_path / "b.toml").read_text() == COMMENTED.replace('note_by = "ana"\n', "").replace(
            "years = 9", "years = 10"
        )

    def test_a_new_file_is_readable_by_others(self, form, tmp_path):
        self.saved(form, tmp_path / "a.toml")
        (tmp_path / "plain").write_text("")
        assert (tmp_path / "a.toml").stat().st_mode == (tmp_path / "plain").stat().st_mode

    def test_a_link_stays_a_link(self, form, tmp_path):
        (tmp_path / "real.toml").write_text("")
        (tmp_path / "link.toml").symlink_to("real.toml")
        self.saved(form, tmp_path / "link.toml")
        assert (tmp_path / "link.toml").is_symlink()
        assert ModelSpec.from_path(tmp_path / "real.toml").model == "flood"

    def test_loading_enters_defaults_for_what_is_not_named_and_says_what_is_unknown(self, form, tmp_path):
        path = tmp_path / "a.toml"
        path.write_text("years = 7\nrize = 1\n[wind]\nsped = 1\ngusts = true\n")
        form.set_values({"rise": 9})
        assert self.loaded(form, path) == (
            f"Loaded '{path}'. ignored: 'rize'. Did you mean 'rise'? Known: {', '.join(FLOOD)}. "
            "ignored: 'wind.sped'. Did you mean 'speed'? Known: speed, gusts.\nReady to run."
        )
        assert form.values == FLOOD | {"years": 7, "wind": {"speed": 3.0, "gusts": True}}

    def test_wrong_values_of_a_file_are_shown_in_the_form(self, form, tmp_path):
        (tmp_path / "a.toml").write_text('[model]\nclass = "fire"\n[model.parameters]\nyears = 0\n')
        assert self.loaded(form, tmp_path / "a.toml") == (
            f"Loaded '{tmp_path / 'a.toml'}'. It is written for the model 'fire', not for 'flood'.\n"
            "1 value needs attention: years."
        )
        assert error(form, "years") == "1 to 500 is allowed, got 0."

    def test_malformed_toml_leaves_the_form_as_it_was(self, form, tmp_path):
        path = tmp_path / "a.toml"
        path.write_text("years = 7\nrise = = 2\n")
        form.set_values({"rise": 9})
        assert self.loaded(form, path) == (
            f"The TOML file '{path}' is not valid TOML: Invalid value (at line 2, column 8).\nReady to run."
        )
        assert form.values == FLOOD | {"rise": 9}

    @pytest.mark.parametrize("button", ["dl-load", "dl-save"])
    def test_a_path_is_needed(self, form, button):
        click(form, button)
        assert status(form) == "Name a TOML file first.\nReady to run."

    def test_a_missing_file_is_said(self, form, tmp_path):
        path = tmp_path / "none.toml"
        assert self.loaded(form, path) == (
            f"The TOML file '{path}' cannot be read: No such file or directory.\nReady to run."
        )

    def test_wrong_values_are_not_saved(self, form, tmp_path):
        form.set_values({"years": 0})
        assert self.saved(form, tmp_path / "a.toml") == (
            "Not saved: 1 value needs attention: years.\n1 value needs attention: years."
        )
        assert not (tmp_path / "a.toml").exists()

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (
                '[model]\nclass = "fire"\n',
                "Not saved: '{}' belongs to the model 'fire', not to 'flood'. Choose another file.",
            ),
            ("[project]\nname = 'x'\n", "Not saved: '{}' has no table [model]. Choose another file."),
            ("a = = 1\n", "The TOML file '{}' is not valid TOML: Invalid value (at line 1, column 5)."),
        ],
    )
    def test_a_file_of_something_else_is_not_touched(self, form, tmp_path, content, reason):
        path = tmp_path / "a.toml"
        path.write_text(content)
        assert self.saved(form, path) == f"{reason.format(path)}\nReady to run."
        assert path.read_text() == content

    def test_a_missing_folder_is_said(self, form, tmp_path):
        path = tmp_path / "no" / "a.toml"
        assert self.saved(form, path) == (
            f"Not saved: '{path}' cannot be written: No such file or directory. Choose another place.\nReady to run."
        )

    def test_upload(self, form):
        upload = find(form, "dl-upload")
        upload.value = ({"name": "<a>.toml", "type": "", "size": 9, "content": memoryview(b"years = 7"), "last_modified": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)},)  # fmt: skip  # noqa: E501
        assert form.values["years"] == 7
        assert status(form) == "Loaded '<a>.toml'.\nReady to run."
        assert upload.value == ()

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"years = ", "The TOML file 'a.toml' is not valid TOML: Invalid value (at end of document)."),
            (b"\xff", "The TOML file 'a.toml' is not UTF-8 text (byte 0). TOML is always UTF-8."),
        ],
    )
    def test_a_bad_upload_leaves_the_form_as_it_was(self, form, content, message):
        find(form, "dl-upload").value = ({"name": "a.toml", "type": "", "size": 9, "content": memoryview(content), "last_modified": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)},)  # fmt: skip  # noqa: E501
        assert form.values == FLOOD
        assert status(form) == f"{message}\nReady to run."


HOSTILE = "<img src=x onerror=alert(1)>"


class TestLooks:
    def test_a_box_tells_its_text_when_it_is_left_so_that_a_click_comes_after_it(self, form):
        boxes = [box for box in below(form.widget) if isinstance(box, widgets.Text | widgets.Textarea)]
        typed = [box for box in boxes if "dl-cell" not in box._dom_classes]  # typing into that one is undone
        told_at_each_key = [box.description for box in typed if box.continuous_update]
        assert len(boxes) > 4
        assert told_at_each_key == []

    @pytest.mark.parametrize(
        ("annotation", "default", "limits", "expected"),
        [
            (float, 0.5, {"ge": 0, "le": 10}, "between 0 and 10; default 0.5"),
            (float, 0.5, {"gt": 0, "le": 1}, "more than 0, at most 1; default 0.5"),
            (int, 20, {"ge": 1}, "a whole number, at least 1; default 20"),
            (float, 6e12, {"lt": 1e13}, "less than 1e13; default 6e12"),
            (int, ..., {"multiple_of": 5}, "a whole number, a multiple of 5; no default"),
            (str, "a", {"min_length": 1, "pattern": "^a"}, "at least 1 character, matching ^a; default a"),
            (int | None, None, {}, "a whole number; empty means none"),
            (int | None, 5, {}, "a whole number; empty means none; default 5"),
            (list[int], [1], {"max_length": 3}, "at most 3 items, a TOML value such as [1, 2]; default [1]"),
            (dict[str, int], {"a": 1}, {}, "a TOML value such as {a = 1}; default {a = 1}"),
            (bool, True, {}, "default true"),
            (Rule, Rule.ROOK, {}, "default rook"),
        ],
    )
    def test_hints_say_what_is_allowed(self, annotation, default, limits, expected):
        assert hint(describe(one(annotation, default, **limits))[0]) == expected
        described = describe(one(annotation, default, description="What it is.", **limits))[0]
        assert hint(described) == f"What it is — {expected}"

    def test_labels_carry_title_and_unit(self, form):
        assert entry(form, "rise").description == "rise [m]"
        assert entry(form, "wind-speed").description == "speed [m/s]"
        titled = ParameterForm("m", one(bool, True, title="Wet start", json_schema_extra={"unit": "-"}))
        assert entry(titled, "x").description == "Wet start [-]"

    def test_placeholders_say_what_empty_means(self, form):
        assert find(form, "dl-input").placeholder == "sample input of the model"
        assert find(form, "dl-output").placeholder == "a folder of its own under experiments/"

    def test_choices_keep_their_types(self):
        form = ParameterForm("m", one(Literal[1, "1", True], 1))
        picker = entry(form, "x")
        assert picker.options == ("1", "'1'", "True")
        picker.value = "'1'"
        assert form.values == {"x": "1"}
        picker.value = "True"
        assert form.values["x"] is True

    def test_optional_and_required_choices(self):
        assert entry(ParameterForm("m", one(Rule | None, None)), "x").options == ("none", "queen", "rook")
        assert entry(ParameterForm("m", one(bool)), "x").options == ("choose ...", "true", "false")
        level = enum.IntEnum("Level", {"LOW": 1, "HIGH": 2})
        form = ParameterForm("m", one(level, level.LOW))
        assert entry(form, "x").options == ("1 (LOW)", "2 (HIGH)")
        assert form.values == {"x": 1}

    def test_long_texts_get_a_box(self):
        assert isinstance(entry(ParameterForm("m", one(list[int], list(range(50)))), "x"), widgets.Textarea)
        form = ParameterForm("m", one(str, "a\nb"))
        assert isinstance(entry(form, "x"), widgets.Textarea)
        assert form.values == {"x": "a\nb"}

    def test_tab_order_is_layout_order(self, form):
        wanted = ["dl-input", "dl-output", "dl-field-rise", "dl-slider-rise", "dl-field-years", "dl-run",
                  "dl-reset", "dl-copy", "dl-toml-path", "dl-load", "dl-save"]  # fmt: skip
        classes = [c for widget in below(form.widget) for c in widget._dom_classes if c in wanted]
        assert classes == wanted
        assert all(widget.tabbable is not False for widget in below(form.widget))

    def test_names_and_texts_with_html_are_shown_as_text(self):
        schema = create_model(
            "Hostile",
            x=(int, Field(1, title=HOSTILE, description=HOSTILE, json_schema_extra={"unit": HOSTILE})),
            y=(list[Wind], Field([Wind()], title=HOSTILE, description=HOSTILE)),
            z=(Wind | None, Field(Wind(), title=HOSTILE, description=HOSTILE)),
            s=(str, HOSTILE),
        )
        form = ParameterForm(HOSTILE, schema, description=HOSTILE)
        form.set_values({"x": HOSTILE, "y": HOSTILE})
        find(form, "dl-toml-path").value = HOSTILE
        click(form, "dl-load")
        texts = [widget.value for widget in below(form.widget) if isinstance(widget, widgets.HTML)]
        assert not any("<img" in text for text in texts)
        assert HOSTILE in status(form)
        assert not any(getattr(w, "description_allow_html", False) for w in below(form.widget))
        assert "<img" not in form._repr_mimebundle_()["text/html"]


PATHS = [
    ("~nobody-of-this-name/x", "'~nobody-of-this-name/x' is no path: Could not determine home directory."),
    ("a\0b", "'a\\x00b' is no path: it holds a NUL character."),
    ("x" * 300, f"'{'x' * 80} ... (220 more characters)' is no path: File name too long."),
]


class TestPathsThatAreNone:
    @pytest.mark.parametrize(("path", "said"), PATHS, ids=["home", "nul", "long"])
    def test_load_and_save_say_so(self, form, path, said):
        for action in (form.load, form.save):
            with pytest.raises(ParameterError) as raised:
                action(path)
            assert str(raised.value) == said

    @pytest.mark.parametrize("button", ["dl-load", "dl-save"])
    @pytest.mark.parametrize(("path", "said"), PATHS, ids=["home", "nul", "long"])
    def test_a_button_says_it_in_the_status_line(self, form, path, said, button):
        find(form, "dl-toml-path").value = path
        click(form, button)
        assert said in status(form)

    def test_a_loop_of_links(self, form, workspace):
        (workspace / "loop.toml").symlink_to("loop.toml")
        for action in (form.load, form.save):
            with pytest.raises(ParameterError, match=r"loop\.toml"):
                action("loop.toml")


class TestStaticTwin:
    def test_the_bundle_holds_text_table_and_widget(self, form):
        bundle = form._repr_mimebundle_()
        assert bundle["text/plain"].startswith("Form of flood: rise = 0.5, years = 20, beta = 2.388e-7, ")
        assert bundle["text/html"] == form_table("flood", Flood, form.values)
        assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == form.widget.model_id

    def test_every_value_is_a_row(self):
        values = {"rise": 2.388e-7, "cap": None, "wind": {"speed": 5.0}, "species": [{"name": "<oak>"}]}
        found = form_table("flood", Flood, values)
        rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", found)][1:]
        assert ["rise", "2.388e-7", "m", "between 0 and 10", "Sea-level rise."] in rows
        assert ["cap", "none", "", "a whole number, at least 0", ""] in rows
        assert ["wind.speed", "5", "m/s", "between 0 and 60", "Mean speed."] in rows
        assert ["species.1.name", "&lt;oak&gt;", "", "", ""] in rows
        assert ["scheme", "not given", "", "euler, rk4", ""] in rows

    def test_it_needs_no_script_and_no_style_sheet(self):
        found = form_table(HOSTILE, Flood, FLOOD)
        assert set(re.findall(r"<(\w+)", found)) == {"div", "p", "b", "table", "tr", "th", "td"}
        assert not re.search(r'\s(id|class|on\w+)="', found)

    def test_a_password_inside_of_a_value_is_hidden(self):
        form = ParameterForm("m", one(str, "https://ana:hunter2@host/x"))
        bundle = form._repr_mimebundle_()
        assert "hunter2" not in bundle["text/plain"] + bundle["text/html"]
        assert "https://***@host/x" in bundle["text/html"]

    def test_a_model_without_parameters(self):
        assert "This model declares no parameters." in form_table("m", create_model("Empty"), {})


# As examples/dissmodel-configs of disslucc are written: names under [model], tables indented, comments.
LUCC = """# A cellular space of 5 km.
[model]
executor_module = "disslucc.executors"
name            = "lucc_continuous"
class           = "lucc_continuous"
description     = "CLUE-like"
package         = "disslucc"
dissmodel       = ">=0.6.0,<0.7.0"

land_use_types   = ["forest", "farm", "other"]
land_use_no_data = "other"
complementar_lu  = "forest"
cell_area        = 25.0
resolution       = 5000  # metres

[model.static]
forest = -1
farm   = -1
other  = 1   # never changes

[model.parameters]
n_steps    = 7
demand_csv = "demand.csv"

[[model.potential_data]]
lu    = "forest"
const = 0.75
  [model.potential_data.betas]
  settlements = -0.22
  reserves    =  0.175
  dist_river  =  2.388e-7  # per metre

# The drivers of farms.
[[model.potential_data]]
lu     = "farm"
const  = 0.25
is_log = false
betas  = {roads = -9.9e-7, settlements = 0.23}

[[model.potential_data]]
lu    = "other"
const = 0

[[model.allocation_data]]
lu         = "forest"
static     = -1
min_value  = 0
max_value  = 1

[[model.allocation_data]]
lu         = "farm"
static     = -1
max_change = 0.5

[[model.allocation_data]]
lu         = "other"
static     = 1
"""

DISCRETE = """
[model]
class = "lucc_discrete"
land_use_types = ["forest", "farm"]
transition_matrix = [[[1, 1], [0, 1]]]
cell_area = 1.0
[[model.potential_data]]
const = 0.1
elasticity = 0.5
betas = {dist = 2.388e-7}
[[model.potential_data]]
const = -0.1
[model.parameters]
demand_csv = "demand.csv"
factor_iteration = 1e-4
"""

SATURATION = """
[model]
class = "lucc_continuous_saturation"
land_use_types = {types = ["forest", "farm"]}
complementar_lu = "forest"
[[model.potential_data]]
lu = "forest"
region = 1
const = 0.1
ro = 0.9
min_reg = 0.0
betas = {dist = 2.388e-7, "a name" = 1}
[[model.potential_data]]
lu = "farm"
const = 0.2
ro = 0.8
[[model.allocation_data]]
lu = "forest"
static = -1
change_limiar_value = 0.5
[[model.allocation_data]]
lu = "farm"
[model.parameters]
demand_csv = "demand.csv"
save_steps = [1, 3]
"""


def undeclared(executor_class, text="", **options):
    spec = ModelSpec.from_text(text)
    schema = parameter_schema(executor_class, spec.parameters)
    options.setdefault("adapt", partial(parameter_schema, executor_class))
    return ParameterForm(executor_class.name, schema, values=spec.parameters, on_run=lambda request: None, **options)


class TestUndeclared:
    @pytest.mark.parametrize(
        ("executor_class", "text"),
        [
            (LuccContinuousExecutor, LUCC),
            (LuccDiscreteExecutor, DISCRETE),
            (LuccSaturationExecutor, SATURATION),
        ],
        ids=["continuous", "discrete", "saturation"],
    )
    def test_a_toml_comes_out_whole(self, executor_class, text):
        form = undeclared(executor_class, text)
        wanted = ModelSpec.from_text(text).parameters
        assert form.values == wanted
        assert repr(sorted(form.values.items())) == repr(sorted(wanted.items()))  # 7 is not 7.0, nor is true 1
        assert form.problems == {}
        assert status(form) == "Ready to run."
        assert ModelSpec.from_text(form.as_cell().partition("\n")[2]).parameters == wanted

    def test_every_leaf_can_be_edited(self):
        form = undeclared(LuccContinuousExecutor, LUCC)
        entry(form, "potential_data-0-betas-dist_river").value = "3e-7"
        entry(form, "potential_data-1-is_log").value = "true"
        entry(form, "potential_data-2-const").value = "0.5"
        entry(form, "static-farm").value = "0"
        entry(form, "land_use_types").value = '["forest", "farm"]'
        wanted = ModelSpec.from_text(LUCC).parameters
        wanted["potential_data"][0]["betas"]["dist_river"] = 3e-7
        wanted["potential_data"][1]["is_log"] = True
        wanted["potential_data"][2]["const"] = 0.5
        wanted["static"]["farm"] = 0
        wanted["land_use_types"] = ["forest", "farm"]
        assert repr(sorted(form.values.items())) == repr(sorted(wanted.items()))

    def test_wrong_leaves_are_said_where_they_stand(self):
        form = undeclared(LuccContinuousExecutor, LUCC)
        entry(form, "potential_data-0-betas-dist_river").value = "far"
        entry(form, "static-farm").value = "x"
        assert form.problems == {
            ("potential_data", 0, "betas", "dist_river"): "a number is needed, got 'far'.",
            ("static", "farm"): "a number is needed, got 'x'.",
        }
        assert error(form, "potential_data-0-betas") == "dist_river: a number is needed, got 'far'."
        assert "dl-invalid" in entry(form, "static-farm")._dom_classes
        assert status(form) == "2 values need attention: potential_data.1.betas.dist_river, static.farm."
        entry(form, "static-farm").value = "1"
        assert error(form, "static") == ""
        assert "dl-invalid" not in entry(form, "static-farm")._dom_classes

    def test_rows_are_added_and_removed(self):
        form = undeclared(LuccContinuousExecutor, LUCC)
        before = form.values["potential_data"]
        click(form, "dl-remove-potential_data-1")
        assert form.values["potential_data"] == [before[0], before[2]]
        click(form, "dl-add-potential_data")  # with the names of the last one, all of them empty
        assert form.values["potential_data"] == [before[0], before[2], {}]
        entry(form, "potential_data-2-lu").value = "5"
        entry(form, "potential_data-2-const").value = "5"
        click(form, "dl-add-potential_data")
        assert form.values["potential_data"][2:] == [{"lu": "5", "const": 5}, {}]
        entry(form, "potential_data-3-const").value = "1"
        click(form, "dl-remove-potential_data-0")
        assert form.values["potential_data"] == [before[2], {"lu": "5", "const": 5}, {"const": 1}]
        for _ in range(3):
            click(form, "dl-remove-potential_data-0")
        assert form.values["potential_data"] == []
        click(form, "dl-add-potential_data")  # with all names that the file held
        entry(form, "potential_data-0-betas-roads").value = "0.5"
        assert form.values["potential_data"] == [{"betas": {"roads": 0.5}}]

    def test_names_are_added_and_left_out(self):
        form = undeclared(LuccContinuousExecutor, LUCC)
        find(form, "dl-name-static").value = "water body"
        click(form, "dl-add-static")
        entry(form, "static-water_body").value = "1"
        entry(form, "static-other").value = ""
        assert form.values["static"] == {"forest": -1, "farm": -1, "water body": 1}
        names = find(form, "dl-name-potential_data-2")
        assert names.options == ("betas", "is_log")  # what other rows have
        names.value = "betas"
        click(form, "dl-add-potential_data-2")
        assert "betas" not in form.values["potential_data"][2]
        find(form, "dl-name-potential_data-2-betas").value = "roads"
        click(form, "dl-add-potential_data-2-betas")
        entry(form, "potential_data-2-betas-roads").value = "-1e-3"
        assert form.values["potential_data"][2]["betas"] == {"roads": -1e-3}
        click(form, "dl-remove-potential_data-2-betas")
        assert form.values["potential_data"][2] == {"lu": "other", "const": 0}

    def test_a_parameter_that_nobody_knows_can_be_added(self):
        form = undeclared(LuccContinuousExecutor, LUCC)
        find(form, "dl-name-others").value = "seed"
        click(form, "dl-add-others")
        assert "seed" not in form.values
        entry(form, "seed").value = '[1, 2.0, "x"]'
        assert form.values["seed"] == [1, 2.0, "x"]
        form.set_values({"seed": {"a": 1}, "another": True})
        assert (form.values["seed"], form.values["another"]) == ({"a": 1}, True)

    def test_what_is_left_empty_is_not_given(self):
        form = undeclared(LuccSaturationExecutor, SATURATION)
        assert entry(form, "n_steps").placeholder == "len(annual_demand)"
        assert entry(form, "n_steps").value == ""
        assert entry(form, "max_difference").placeholder == "1643"
        assert "n_steps" not in form.values
        entry(form, "n_steps").value = "9"
        assert form.values["n_steps"] == 9
        entry(form, "n_steps").value = " "
        assert "n_steps" not in form.values
        entry(form, "demand_csv").value = ""
        assert form.problems == {("demand_csv",): "a value is needed."}

    def test_a_line_tells_where_it_was_found(self):
        hints = {fact.name: hint(fact) for fact in describe(parameter_schema(LuccSaturationExecutor))}
        where = "disslucc/executors/saturation.py"
        assert hints["n_steps"] == (
            f"a whole number; left empty, the model takes len(annual_demand); read at {where}:104"
        )
        assert hints["demand_csv"] == f"needed; read at {where}:103 and in 2 more"
        assert hints["saturation_indicator"] == f"left empty, the model takes saturationLimiar; read at {where}:124"
        shown = [w.value for w in below(undeclared(LuccSaturationExecutor).widget) if isinstance(w, widgets.HTML)]
        assert escape(hints["n_steps"]) in shown

    def test_choices_and_two_defaults(self):
        form = undeclared(Wild)
        assert form.values == {}
        assert entry(form, "deep").value == "left to the model"
        entry(form, "deep").value = "false"
        entry(form, "years").value = "7.0"
        assert repr(form.values) == "{'years': 7.0, 'deep': False}"
        entry(form, "years").value = "7"
        assert repr(form.values) == "{'years': 7, 'deep': False}"
        facts = {fact.name: fact for fact in describe(form.schema)}
        assert re.sub(r":\d+", ":N", hint(facts["years"])) == (
            "left empty, the model takes 20; elsewhere 30 at test_form.py:N; read at test_form.py:N, test_form.py:N"
        )

    def test_reset_goes_back_to_the_beginning(self):
        form = undeclared(LuccContinuousExecutor, LUCC)
        before = form.values
        entry(form, "static-farm").value = "0"
        click(form, "dl-remove-potential_data-0")
        entry(form, "max_difference").value = "5"
        click(form, "dl-reset")
        assert form.values == before
        assert status(form) == "All parameters are as they were.\nReady to run."

    def test_saving_keeps_the_file_but_for_what_changed(self, tmp_path):
        path = tmp_path / "lucc.toml"
        path.write_text(LUCC)
        form = undeclared(LuccContinuousExecutor, LUCC)
        form.save(path)
        assert path.read_text() == LUCC
        entry(form, "static-farm").value = "0"
        entry(form, "potential_data-0-betas-dist_river").value = "3e-7"
        entry(form, "n_steps").value = ""
        click(form, "dl-remove-potential_data-2")
        form.save(path)
        wanted = LUCC
        for old, new in (
            ("farm   = -1", "farm   = 0"),
            ("2.388e-7 ", "3e-07 "),
            ("n_steps    = 7\n", ""),
            ('[[model.potential_data]]\nlu    = "other"\nconst = 0\n\n', ""),
        ):
            assert wanted.count(old) == 1
            wanted = wanted.replace(old, new)
        assert path.read_text() == wanted
        assert ModelSpec.from_path(path).parameters == form.values

    def test_loading_a_toml_shows_its_tables(self, tmp_path):
        (tmp_path / "lucc.toml").write_text(LUCC)
        form = undeclared(LuccContinuousExecutor)
        assert list(form.problems.values()) == ["a value is needed."] * 6
        form.load(tmp_path / "lucc.toml")
        assert form.values == ModelSpec.from_text(LUCC).parameters
        assert entry(form, "potential_data-1-betas-roads").value == "-9.9e-7"
        entry(form, "potential_data-1-betas-roads").value = "1"
        click(form, "dl-reset")
        assert form.values == ModelSpec.from_text(LUCC).parameters

    def test_a_large_table_is_one_value(self):
        rows = [{f"k{at}": float(at) for at in range(26)} for _ in range(10)]
        form = ParameterForm("m", parameter_schema(object, {"rows": rows}), values={"rows": rows})
        assert form.values == {"rows": rows}
        entry(form, "rows").value = "[{a = 1}]"
        assert form.values == {"rows": [{"a": 1}]}

    def test_advice_does_not_stand_in_the_way(self):
        form = undeclared(LuccContinuousExecutor, LUCC, advise=partial(unknown_parameters, LuccContinuousExecutor))
        form.set_values({"max_diference": 5})
        known = "Did you mean 'max_difference'? Known: "
        assert status(form).startswith(f"max_diference: {known}")
        assert status(form).endswith("\nReady to run.")
        assert form.problems == {}

    def test_a_wrong_kind_of_value_is_kept_for_the_person(self):
        form = undeclared(LuccContinuousExecutor, LUCC)
        form.set_values({"static": 5, "potential_data": [1]})
        assert form.values["static"] == 5
        assert form.values["potential_data"] == [1]
        assert form.problems == {
            ("potential_data", 0): "a table is needed, got 1.",
            ("static",): "a table is needed, got 5.",
        }

    def test_the_static_twin_tells_all(self):
        form = undeclared(LuccContinuousExecutor, LUCC)
        form.set_values({"extra <b>": 1})
        table = html.unescape(re.sub(r"<[^>]+>", "|", form_table("m", form.schema, form.values)))
        for text in ("potential_data.1.betas.dist_river||2.388e-7", "static.other||1", "extra <b>||1"):
            assert text in table
        assert "max_difference||left to the model: 1643||||||read at disslucc/executors/continuous.py:99" in table
        assert "<b>|" not in form_table("m", form.schema, form.values)

    def test_a_form_of_nothing(self):
        form = ParameterForm("m", parameter_schema(object))
        assert form.values == {}
        assert form.problems == {}

    def test_the_form_of_show_form(self, shell):
        from dissmodel_lab.provenance import Caller
        from dissmodel_lab.views.form_panel import show_form

        Path("lucc.toml").write_text(LUCC)
        form = show_form(
            "disslucc.executors.continuous:LuccContinuousExecutor",
            source="a.tif", output="", parameters={"n_step": 3}, toml="lucc.toml", namespace={}, caller=Caller(),
        )  # fmt: skip
        assert form.values == {**ModelSpec.from_text(LUCC).parameters, "n_step": 3}
        assert status(form).startswith("n_step: The model never reads it. Did you mean 'n_steps'? Known: ")

    def test_a_source_that_cannot_be_read_is_said(self, shell):
        from dissmodel_lab.provenance import Caller
        from dissmodel_lab.views.form_panel import show_form

        names = {"__name__": "__main__"}
        phases = "\n".join(f"    def {phase}(self, *a): pass" for phase in ("validate", "load", "run", "save"))
        exec(f"class Hidden:\n{phases}", names)
        form = show_form(
            "Hidden", source="", output="", parameters={"years": 5}, toml=None,
            namespace={"Hidden": names["Hidden"]}, caller=Caller(),
        )  # fmt: skip
        assert form.values == {"years": 5}
        assert status(form) == (
            "parameters: What Hidden.validate, Hidden.load, Hidden.run and Hidden.save read is not known: it was "
            "made by exec(), or in an interpreter that keeps no source, or its .py file is missing.\nReady to run."
        )

    def test_what_was_emptied_is_not_brought_back_by_the_toml(self, shell):
        from dissmodel_lab.executor import ModelExecutor
        from dissmodel_lab.provenance import Caller
        from dissmodel_lab.store import RunStore
        from dissmodel_lab.views.form_panel import show_form

        class Asking(ModelExecutor, register=False):
            name = "asking"

            def load(self, record):
                return record.parameters.get("rate", 0.5)

            def run(self, data, record):
                record.metrics["answer"] = [
                    data, int(record.parameters.get("years", 20)), record.resolved_spec["model"].get("rate", "own")
                ]  # fmt: skip

            def save(self, result, record):
                record.status = "completed"
                return record

        Path("asking.toml").write_text('[model]\nclass = "Asking"\nrate = 0.1\n[model.parameters]\nyears = 3\n')
        form = show_form(
            "asking.toml", source="", output="", parameters={}, toml=None,
            namespace={"Asking": Asking}, caller=Caller(),
        )  # fmt: skip
        answers = []
        for change in ({}, {"years": 7}, {"rate": ""}):
            for name, text in change.items():
                entry(form, name).value = str(text)
            form.run()
            assert form.errors == []
            latest = RunStore().read("last")
            answers.append((latest.metrics["answer"], latest.parameter_origins))
        assert answers == [
            ([0.1, 3, 0.1], {"rate": "toml", "years": "toml"}),
            ([0.1, 7, 0.1], {"rate": "toml", "years": "given"}),
            ([0.5, 7, "own"], {"years": "given", "rate": "default taken"}),
        ]


class Wild:
    name = "wild"

    def validate(self, record):
        record.parameters.get("years", 20)

    def load(self, record):
        pass

    def run(self, data, record):
        return record.parameters.get("deep", True), record.parameters.get("years", 30)

    def save(self, result, record):
        return record


class TestResults:
    def test_runs_in_the_background_stand_above_each_other(self, shell):
        class Going:
            is_going = True

        results, made = FormResults(), []
        results.open()
        for number in range(2):

            def show(page, panel, number=number):
                page.show_static({"text/plain": f"run {number}", "text/html": f"<p>run {number}</p>"})
                panel.show_widget(widgets.HTML(f"panel {number}"))
                made.append((Going(), page, panel))
                return made[-1][0]

            results.begin(show)
        box = results._stack._box
        assert [child.value for child in box.children] == ["panel 1", "panel 0"]
        assert shell.bundles[-1]["text/html"] == "<p>run 1</p>\n<p>run 0</p>"
        made[1][2].show_static({"text/plain": "", "text/html": ""})
        assert [child.value for child in box.children] == ["panel 0"]
        made[1][0].is_going = False
        results.run(lambda page, panel: page.show_static({"text/plain": "here", "text/html": "<p>here</p>"}))
        assert shell.bundles[-1]["text/html"] == "<p>here</p>\n<p>run 0</p>"  # the one that goes on stays

    def test_a_click_on_another_thread_does_not_wait_for_its_run(self, shell):
        async def clicked():
            results, threads = FormResults(), []
            results.open()
            end = await asyncio.to_thread(
                results.run, lambda page, panel: threads.append(threading.current_thread().name)
            )
            await asyncio.wrap_future(end)
            return threads

        assert asyncio.run(clicked()) == ["MainThread"]
