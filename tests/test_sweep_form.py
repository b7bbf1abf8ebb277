"""The part of the form that starts sweeps."""

from __future__ import annotations

import time

import pytest
from pydantic import Field, create_model

from dissmodel_lab import ModelExecutor
from dissmodel_lab.parameters import declared_parameters, parameter_schema
from dissmodel_lab.resolve import resolve_model
from dissmodel_lab.views.form import ParameterForm
from dissmodel_lab.views.form.fields import describe
from dissmodel_lab.views.sweep_form import MOST_LINES, SweepForm, SweepRequest, add_sweep, proposal


def forest(start=None, **options):
    cls = resolve_model("forest_fire").executor_class
    form = ParameterForm("forest_fire", parameter_schema(cls), **options)
    asked = []
    part = SweepForm(form, "forest_fire", start or asked.append)
    part.unfold()
    return form, part, asked


def said(part):
    return part._status.value


def test_it_costs_nothing_until_it_is_unfolded():
    cls = resolve_model("forest_fire").executor_class
    part = SweepForm(ParameterForm("forest_fire", declared_parameters(cls)), "forest_fire", lambda _request: None)
    assert part.lines == {}
    part.fold.value = True
    assert "density" in part.lines


def test_a_tick_proposes_a_range_and_says_how_many_runs():
    _, part, _ = forest()
    assert part.button.disabled
    assert "Tick a parameter to vary it." in said(part)
    line = part.lines["density"]
    assert line.text.disabled
    line.box.value = True
    assert not line.text.disabled
    assert line.text.value == "0:1:5"
    assert "This makes 5 values of density = 5 runs." in said(part)
    assert not part.button.disabled


def test_counts_follow_what_is_typed():
    _, part, _ = forest()
    part.tick("density", "0.1:0.5:20")
    part.tick("n_steps", "4,5,6")
    part.seeds.value = 5
    assert "20 values of density x 3 values of n_steps x 5 seeds = 300 runs." in said(part)
    part.sample.value = "lhs"
    part.samples.value = "40"
    assert "40 points of density, n_steps, Latin hypercube x 5 seeds = 200 runs." in said(part)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.5:0.1:5", "density=0.5:0.1:5 runs backwards: 0.5 is above 0.1. Write 0.1:0.5:5."),
        ("", "density has no value."),
        ("0.1:0.5:0", "density=0.1:0.5:0 has 0 values: at least 2 are needed."),
        ("0.1:<b>:3", "is no range: its ends must be numbers."),
    ],
)
def test_what_is_wrong_stands_at_its_range(text, message):
    _, part, _ = forest()
    part.tick("density", text)
    shown = part.lines["density"].message
    assert message in shown.value
    assert "<b>" not in shown.value
    assert shown.layout.display is None
    assert part.button.disabled
    part.lines["density"].text.value = "0.1,0.2"
    assert shown.value == ""
    assert not part.button.disabled


def test_values_that_the_model_refuses_are_said():
    _, part, _ = forest()
    part.tick("density", "0.5:1.5:3")
    assert part.button.disabled
    assert "density" in said(part)
    assert "1.5" in said(part)


def test_a_number_of_combinations_that_is_none():
    _, part, _ = forest()
    part.tick("density", "0.1:0.5")
    part.sample.value = "lhs"
    part.samples.value = "many"
    assert "The number of combinations must be a whole number, got &#x27;many&#x27;." in said(part)
    assert part.button.disabled


def test_more_than_ten_thousand_must_be_meant():
    _, part, _asked = forest()
    part.tick("density", "0:1:200")
    part.tick("n_steps", "1:100:100")
    assert "This makes 20,000 runs." in said(part)
    assert part.confirmed.description == "Yes, 20,000 runs are meant"
    assert part.confirmed.layout.display is None
    assert part.button.disabled
    part.confirmed.value = True
    assert not part.button.disabled
    assert part.request.confirmed
    part.lines["n_steps"].text.value = "1:10:10"
    assert part.confirmed.layout.display == "none"


def test_other_values_that_need_attention_hold_it_back():
    form, part, _ = forest()
    form.set_values({"spread_probability": 7})
    part.tick("density", "0.1,0.2")
    assert part.button.disabled
    form.set_values({"spread_probability": 0.5})
    part.refresh()
    assert not part.button.disabled
    assert part.request.parameters == {"spread_probability": 0.5}


def test_the_cell_is_one_line_where_the_rest_is_default():
    form, part, _ = forest()
    part.tick("density", "0.1:0.5:5")
    part.seeds.value = 3
    assert part.as_cell() == "%dissmodel sweep forest_fire --param density=0.1:0.5:5 --seeds 3"
    form.set_values({"spread_probability": 0.5, "seed": 9})
    assert part.as_cell().splitlines() == [
        "%%dissmodel sweep forest_fire --param density=0.1:0.5:5 --seeds 3",
        "spread_probability = 0.5  # [-]",
    ]


def test_a_cell_quotes_what_a_shell_would_split():
    _, part, _ = forest(source="my data.tif")
    part.tick("density", "0.1, 0.2")
    part.sample.value = "grid"
    assert part.as_cell() == "%dissmodel sweep forest_fire --input 'my data.tif' --param 'density=0.1, 0.2'"
    part.copy.click()
    assert part.cell.value == part.as_cell()
    assert "Select the text of the cell below and copy it." in said(part)


def test_a_click_hands_over_what_is_entered():
    asked = []

    def start(request):
        asked.append(request)
        raise RuntimeError("not today <b>")

    _, part, _ = forest(start)
    part.tick("density", "0.1,0.2")
    part.button.click()
    assert asked == [SweepRequest(axes={"density": "0.1,0.2"})]
    assert "It failed with RuntimeError: not today &lt;b&gt;" in said(part)
    assert [str(error) for error in part.errors] == ["not today <b>"]


def test_a_real_sweep_from_the_form(shell):
    form = ParameterForm("forest_fire", declared_parameters(resolve_model("forest_fire").executor_class))
    part = add_sweep(form, "forest_fire", engine="inline")
    part.open()
    form.set_values({"n_steps": 3})
    part.tick("density", "0.3,0.6")
    part.button.click()
    assert part.errors == []
    part.sweep.wait(60)
    assert [row.status for row in part.sweep.rows()] == ["completed", "completed"]
    until = time.monotonic() + 30
    while not any("finished after" in str(bundle) for bundle in shell.bundles) and time.monotonic() < until:
        time.sleep(0.05)
    assert any("finished after" in bundle.get("text/html", "") for bundle in shell.bundles)
    assert f"Sweep {part.sweep.id[:8]} goes on in the background" in said(part)


def test_secrets_and_tables_cannot_be_varied():
    inner = create_model("Inner", rate=(float, 1.0))
    schema = create_model("P", api_key=(str, ""), zone=(inner, inner()), years=(int, 20))
    part = SweepForm(ParameterForm("m", schema), "forest_fire", lambda _request: None)
    part.unfold()
    assert list(part.lines) == ["years"]


def test_many_parameters_are_added_by_name():
    schema = create_model("P", **{f"p{n}": (float, 1.0) for n in range(MOST_LINES + 20)})
    part = SweepForm(ParameterForm("m", schema), "forest_fire", lambda _request: None)
    part.unfold()
    assert len(part.lines) == MOST_LINES
    part._more.value = "p50"
    assert part.lines["p50"].box.value
    assert part.lines["p50"].text.value == "0.5:1.5:5"


def test_a_model_of_the_notebook_is_planned_by_its_class():
    class Tide(ModelExecutor):
        """A model of a notebook."""

        name = "tide_of_a_notebook"
        Parameters = create_model("P", level=(float, Field(1.0, ge=0, le=2)))

        def load(self, record):
            return None

        def run(self, data, record):
            return data

        def save(self, result, record):
            return record

    form = ParameterForm("tide_of_a_notebook", declared_parameters(Tide))
    part = SweepForm(form, Tide, lambda _request: None)
    part.tick("level", "0:2:3")
    assert "= 3 runs." in said(part)


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ((int, Field(20, ge=1, le=500)), "1:497:5"),
        ((int, 2), ""),
        ((float, Field(0.5, gt=0)), "0.25:0.75:5"),
        ((float, 0.0), ""),
        ((bool, True), "false,true"),
        ((str, "x"), ""),
    ],
)
def test_proposals(field, wanted):
    assert proposal(describe(create_model("P", a=field))[0]) == wanted
