"""Designs of sweeps: what a person wrote, checked against the model before anything runs."""

from __future__ import annotations

import datetime as dt
import itertools
import math

import numpy as np
import pytest
from sweep_models import Plain, Undeclared

from dissmodel_lab import ModelExecutor
from dissmodel_lab.errors import SweepError
from dissmodel_lab.sweeps import Axis, SweepDesign, plan_sweep
from dissmodel_lab.sweeps.fields import wanted
from dissmodel_lab.sweeps.ranges import value_at, value_text

HOW = "Write low:high:count, such as 0.1:2.0:20, with :log behind it for equal steps of the logarithm."


def values(said, name="rise", **options):
    """Return the values of the only axis of a grid."""
    return list(plan_sweep(Plain, {name: said}, **options).axes[0].values)


# ------------------------------------------------------------------------------------------------- good input


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        ("rise", "0.1:0.5:5", [0.1, 0.2, 0.3, 0.4, 0.5]),
        ("rise", " 0.1 : 2.0 : 20 ", [round(0.1 * n, 1) for n in range(1, 21)]),
        ("rise", "1e-4:1:5:log", [1e-4, 1e-3, 1e-2, 0.1, 1.0]),
        ("rise", "0:2:3", [0.0, 1.0, 2.0]),
        ("rise", "0.25", [0.25]),
        ("rise", 0.25, [0.25]),
        ("rise", [0.1, 0.3], [0.1, 0.3]),
        ("rise", np.linspace(0, 1, 3), [0.0, 0.5, 1.0]),
        ("rise", (n / 4 for n in range(3)), [0.0, 0.25, 0.5]),
        ("years", "4,5,6", [4, 5, 6]),
        ("years", "[4, 5, 6]", [4, 5, 6]),
        ("years", "10:50:5", [10, 20, 30, 40, 50]),
        ("years", "1:4", [1, 2, 3, 4]),
        ("years", "1:100:3:log", [1, 10, 100]),
        ("years", range(2, 8, 2), [2, 4, 6]),
        ("years", np.array([3, 1]), [3, 1]),
        ("rule", "moore,von", ["moore", "von"]),
        ("near", "4,8", [4, 8]),
        ("wraps", "true,false", [True, False]),
        ("wraps", [False, True], [False, True]),
        ("label", '"a","b,c","12:30"', ["a", "b,c", "12:30"]),
        ("label", "a:b,c", ["a:b", "c"]),
        ("tide", "-1:1:3", [-1.0, 0.0, 1.0]),
        ("start", "2020-01-01:2020-01-09:3", [dt.date(2020, 1, 1), dt.date(2020, 1, 5), dt.date(2020, 1, 9)]),
        ("start", "2020-01-01,2021-01-01", [dt.date(2020, 1, 1), dt.date(2021, 1, 1)]),
        ("rates", "[0.1, 0.2]", [[0.1, 0.2]]),
        ("rates", "[[0.1], [0.2, 0.3]]", [[0.1], [0.2, 0.3]]),
    ],
)
def test_what_a_person_may_write(name, said, expected):
    found = values(said, name)
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]


def test_values_are_what_they_look_like():
    assert values("0.1:0.7:7") == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert values("0:1:4")[1] == 0.333333333333


def test_an_axis_tells_what_the_model_says_of_it():
    axis = plan_sweep(Plain, {"rise": "0.5:1:2:log"}).axis("rise")
    assert axis == Axis(
        name="rise",
        kind="number",
        text="0.5:1:2:log",
        values=(0.5, 1.0),
        low=0.5,
        high=1.0,
        is_log=True,
        unit="m",
        description="How much the sea rises.",
    )
    assert axis.label == "rise [m]"
    assert axis.is_ordered


def test_a_choice_has_no_order_and_no_ends():
    axis = plan_sweep(Plain, {"rule": "moore,von"}).axis("rule")
    assert (axis.kind, axis.is_ordered, axis.low, axis.high) == ("choice", False, None, None)


def test_the_points_of_a_grid_with_seeds():
    design = plan_sweep(Plain, {"rise": "0:1:2", "years": "4,5"}, seeds=2, parameters={"tide": 3})
    assert (design.n_settings, design.n_seeds, design.n_runs, design.seeds) == (4, 2, 8, (1, 2))
    assert [(p.number, p.setting, p.parameters["rise"], p.parameters["years"], p.seed) for p in design.points] == [
        (1, 1, 0.0, 4, 1),
        (2, 1, 0.0, 4, 2),
        (3, 2, 0.0, 5, 1),
        (4, 2, 0.0, 5, 2),
        (5, 3, 1.0, 4, 1),
        (6, 3, 1.0, 4, 2),
        (7, 4, 1.0, 5, 1),
        (8, 4, 1.0, 5, 2),
    ]
    assert design.parameters == {"tide": 3}
    with pytest.raises(IndexError, match=r"^Points are numbered from 1 to 8, got 9\.$"):
        design.point(9)
    with pytest.raises(KeyError):
        design.axis("tide")


def test_seeds_can_be_named():
    assert plan_sweep(Plain, {"rise": "0,1"}, seeds=[7, 3]).seeds == (7, 3)
    assert plan_sweep(Plain, {"rise": "0,1"}, seeds=np.array([7, 3])).seeds == (7, 3)
    assert plan_sweep(Plain, {"rise": "0,1"}).seeds == ()
    assert plan_sweep(Plain, {"rise": "0,1"}, seeds=[7]).point(1).seed == 7


@pytest.mark.parametrize(("sample", "samples"), [("lhs", 12), ("sobol", 16), ("morris", 20), ("saltelli", 80)])
def test_designs_that_sample_are_the_same_each_time(sample, samples):
    axes = {"rise": "0:2", "years": "1:500", "tide": "1:100:log"}
    design = plan_sweep(Plain, axes, sample=sample, samples=samples)
    assert design.n_runs == samples
    again = plan_sweep(Plain, axes, sample=sample, samples=samples)
    other = plan_sweep(Plain, axes, sample=sample, samples=samples, design_seed=1)
    assert design == again
    assert design.settings != other.settings
    rise, years, tide = zip(*design.settings, strict=True)
    assert all(0 <= value <= 2 for value in rise)
    assert all(isinstance(value, int) and 1 <= value <= 500 for value in years)
    assert all(1 <= value <= 100 for value in tide)
    assert bool(design.units) == (sample == "morris")


def test_a_latin_hypercube_has_one_point_in_each_part():
    design = plan_sweep(Plain, {"rise": "0:2", "tide": "1:10000:log"}, sample="lhs", samples=10)
    rise, tide = zip(*design.settings, strict=True)
    assert sorted(int(value / 0.2) for value in rise) == list(range(10))
    assert sorted(int(math.log10(value) / 0.4) for value in tide) == list(range(10))


def test_whole_numbers_and_lists_have_equal_parts_of_a_range():
    design = plan_sweep(Plain, {"years": "1:4", "rule": "moore,von"}, sample="sobol", samples=8)
    years, rules = zip(*design.settings, strict=True)
    assert sorted(years) == [1, 1, 2, 2, 3, 3, 4, 4]
    assert sorted(rules) == ["moore"] * 4 + ["von"] * 4
    assert design.notes == ()


def test_trajectories_move_one_parameter_at_a_time():
    design = plan_sweep(Plain, {"rise": "0:2", "years": "1:100", "tide": "0:1"}, sample="morris", samples=20)
    for start in range(0, 20, 4):
        block = design.settings[start : start + 4]
        changed = [
            sum(a != b for a, b in zip(first, second, strict=True)) for first, second in itertools.pairwise(block)
        ]
        assert changed == [1, 1, 1]


@pytest.mark.parametrize(("sample", "count"), [("lhs", 20), ("sobol", 32), ("morris", 30), ("saltelli", 256)])
def test_the_usual_number_of_samples(sample, count):
    assert plan_sweep(Plain, {"rise": "0:2", "tide": "0:1"}, sample=sample).n_runs == count


def test_a_count_has_no_use_where_a_design_samples():
    design = plan_sweep(Plain, {"rise": "0:2:7"}, sample="lhs", samples=5)
    assert design.notes == ("rise is drawn from its whole range; the count 7 has no use here.",)


def test_values_at_the_ends_of_a_range():
    whole = Axis(name="n", kind="whole", text="", low=3, high=5)
    assert [value_at(whole, share) for share in (0.0, 0.34, 0.67, 1.0)] == [3, 4, 5, 5]
    day = Axis(name="d", kind="date", text="", low=dt.date(2020, 1, 1), high=dt.date(2020, 1, 2))
    assert [value_at(day, share) for share in (0.0, 0.5, 1.0)] == [dt.date(2020, 1, n) for n in (1, 2, 2)]
    log = Axis(name="n", kind="whole", text="", low=1, high=100, is_log=True)
    assert [value_at(log, share) for share in (0.0, 0.5, 1.0)] == [1, 10, 100]


def test_a_model_that_declares_nothing():
    design = plan_sweep(Undeclared, {"n_steps": "10:50:3", "rate": "0:1:3"})
    assert design.axis("n_steps").values == (10, 30, 50)
    assert design.axis("rate").values == (0.0, 0.5, 1.0)
    assert design.notes == ()
    assert plan_sweep(Undeclared, {"n_stpes": "1,2"}).notes == (
        "The source of undeclared does not name 'n_stpes'. Did you mean 'n_steps'? Known: n_steps, rate.",
    )


def test_combinations_that_break_a_rule_are_told_and_kept():
    design = plan_sweep(Plain, {"low": "1,5", "high": "3,7"})
    assert design.n_runs == 4
    assert design.notes == (
        "1 of 4 combinations break a rule of the model and will fail: low must not be above high.",
    )


def test_what_values_look_like_in_a_title():
    assert [value_text(value) for value in (0.1 + 0.2, 4, True, "a", dt.date(2020, 1, 1), [1, 2])] == [
        "0.3",
        "4",
        "true",
        "a",
        "2020-01-01",
        "[1, 2]",
    ]


def test_what_parameters_take():
    kinds = {name: wanted(info).kind for name, info in Plain.Parameters.model_fields.items()}
    assert kinds == {
        "rise": "number",
        "years": "whole",
        "tide": "number",
        "rule": "choice",
        "near": "choice",
        "wraps": "choice",
        "label": "choice",
        "start": "date",
        "rates": None,
        "api_key": "choice",
        "low": "number",
        "high": "number",
        "seed": "whole",
    }


# -------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("name", "said", "message"),
    [
        ("rise", "2:1:5", "rise=2:1:5 runs backwards: 2 is above 1. Write 1:2:5."),
        ("rise", "1:0.1:3:log", "rise=1:0.1:3:log runs backwards: 1.0 is above 0.1. Write 0.1:1.0:3:log."),
        ("rise", "1:1:5", "rise=1:1:5 is one value, not a range. Write rise=1."),
        ("rise", "0:1:0", f"rise=0:1:0 has 0 values: at least 2 are needed. {HOW}"),
        ("rise", "0:1:-3", f"rise=0:1:-3 has -3 values: at least 2 are needed. {HOW}"),
        ("rise", "0:1:1", f"rise=0:1:1 asks for 1 value between 0 and 1: at least 2 are needed. {HOW}"),
        (
            "rise",
            "0:1:2.5",
            f"rise=0:1:2.5: the number of values must be a whole number, got '2.5'. {HOW}",
        ),
        ("rise", "0:1:5:6", f"rise=0:1:5:6 has too many parts. {HOW}"),
        ("rise", "0:1:5:lin", f"rise=0:1:5:lin has too many parts. {HOW}"),
        (
            "rise",
            "0:1:1000000000",
            "rise=0:1:1000000000 has 1,000,000,000 values: at most 1,000,000 are allowed. Write fewer.",
        ),
        (
            "rise",
            "0:1",
            (
                f"rise=0:1 does not say how many values a grid has. {HOW} "
                "Or draw them from the range, by the sample lhs."
            ),
        ),
        (
            "rise",
            "0:1:5:log",
            (
                "rise=0:1:5:log: equal steps of the logarithm need ends above 0, got 0. "
                "Raise the lower end, or leave :log away."
            ),
        ),
        ("rise", "nan:1:5", f"rise=nan:1:5: both ends must be finite numbers. {HOW}"),
        ("rise", "0:inf:5", f"rise=0:inf:5: both ends must be finite numbers. {HOW}"),
        ("rise", "-1e308:1e308:5", f"rise=-1e308:1e308:5: both ends must be finite numbers. {HOW}"),
        ("rise", "a:b:5", f"rise=a:b:5 is no range: its ends must be numbers. {HOW}"),
        ("rise", "", f"rise has no value. {HOW} Or a list: 4,5,6."),
        ("rise", [], f"rise has no value. {HOW} Or a list: 4,5,6."),
        ("rise", "0.1,,0.2", "rise=0.1,,0.2: a value is missing between two commas, or at an end."),
        (
            "rise",
            "0.1:0.5:3,0.7",
            "rise=0.1:0.5:3,0.7 mixes a list with a range. Write all values, or one range.",
        ),
        (
            "rise",
            "0.1,0.2,0.1",
            "rise has the value 0.1 twice. Write each value once; seeds=2 runs each point twice.",
        ),
        ("rise", [1, 1.0], "rise has the value 1.0 twice. Write each value once; seeds=2 runs each point twice."),
        ("rise", [0.5, float("nan")], "rise: nan is no value to run a model with. Write finite numbers."),
        ("rise", {"a": 1}, "rise: a table is no list of values. Write [{...}, {...}] to vary a table."),
        ("rise", "0:3:4", "plain cannot run with these parameters. rise: 0 to 2 is allowed, got 3.0."),
        ("rise", "high,low", "plain cannot run with these parameters. rise: a number is needed, got 'high'."),
        ("rise", "true,false", "plain cannot run with these parameters. rise: a number is needed, got true."),
        (
            "years",
            "1:10:4:log",
            "years takes whole numbers, and 1:10:4:log gives 2.15443. Write the values as a list.",
        ),
        (
            "years",
            "1:11:4",
            (
                "years takes whole numbers, and 1:11:4 gives 4.33333. Between these ends, 2, 3, 6 or 11 values are "
                "whole; or write a list."
            ),
        ),
        ("years", "0,5", "plain cannot run with these parameters. years: 1 to 500 is allowed, got 0."),
        ("years", "1:600:2", "plain cannot run with these parameters. years: 1 to 500 is allowed, got 600."),
        ("years", "2.5,3", "plain cannot run with these parameters. years: a whole number is needed, got 2.5."),
        ("label", "12:30:45", "label=12:30:45 is a range, and label takes no numbers. Write a list: a,b,c."),
        ("rule", "1:2:3", "rule=1:2:3 is a range, and rule takes no numbers. Write a list: a,b,c."),
        (
            "rule",
            "moore,hex",
            "plain cannot run with these parameters. rule: one of moore, von is allowed, got 'hex'.",
        ),
        (
            "start",
            "2020-01-01:2020-01-10:5",
            (
                "start=2020-01-01:2020-01-10:5: 9 days do not divide into 4 equal steps. "
                "Allowed are, for example, 2, 4 or 10 values."
            ),
        ),
        ("start", "2020-02-30:2020-03-01:2", "start=2020-02-30:2020-03-01:2: 2020-02-30 is no date: day is out of "),
        ("start", "1:5:2", "plain cannot run with these parameters. start: "),
        ("start", "2020-01-01:2020-02-01:2:log", "start=2020-01-01:2020-02-01:2:log: dates have no logarithm."),
        ("api_key", "a,b", "api_key is a secret and cannot be varied: its values would stand in the table."),
    ],
)
def test_what_a_person_may_not_write(name, said, message):
    with pytest.raises(SweepError) as caught:
        values(said, name)
    assert str(caught.value).startswith(message)
    if message.endswith("."):
        assert str(caught.value).removeprefix(message) in ("", " Leave :log away.")


def test_unknown_parameters():
    with pytest.raises(SweepError) as caught:
        plan_sweep(Plain, {"rsie": "0:1:2"})
    assert str(caught.value).startswith(
        "plain has no parameter 'rsie'. Did you mean 'rise'? Known: rise, years, tide"
    )
    with pytest.raises(
        SweepError, match=r"^plain cannot run with these parameters. yaers: no such parameter\. Did you"
    ):
        plan_sweep(Plain, {"rise": "0:1:2"}, parameters={"yaers": 3})
    with pytest.raises(
        SweepError, match=r"^plain cannot run with these parameters. years: 1 to 500 is allowed, got 0"
    ):
        plan_sweep(Plain, {"rise": "0:1:2"}, parameters={"years": 0})


def test_a_parameter_that_is_varied_and_fixed():
    with pytest.raises(
        SweepError, match=r"^rise is both varied and fixed \(rise=0\.5\)\. Leave one of the two away\.$"
    ):
        plan_sweep(Plain, {"rise": "0:1:2"}, parameters={"rise": 0.5})


def test_combinations_of_which_none_can_run():
    with pytest.raises(SweepError, match=r"^None of the 4 combinations can be run: low must not be above high\.$"):
        plan_sweep(Plain, {"low": "5,6", "high": "3,4"})


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        (0, "seeds=0: each combination must be run at least once. Write 1 or more."),
        (-2, "seeds=-2: each combination must be run at least once. Write 1 or more."),
        (10**9, "seeds=1,000,000,000: at most 10,000 are allowed."),
        (True, "seeds must be a whole number, or a list of them, got True."),
        ("5", "seeds must be a whole number, or a list of them, got '5'."),
        (2.5, "seeds must be a whole number, or a list of them, got 2.5."),
        ([], "seeds is an empty list. Write a number such as 5, or leave it away."),
        ([1, 1], "seeds has 1 twice: it would give the same run twice. Write each seed once."),
        ([1, "a"], "A seed must be a whole number, got 'a'."),
        ([5, 500], "plain cannot run with these parameters. seed: 0 to 100 is allowed, got 500."),
        (101, "plain cannot run with these parameters. seed: 0 to 100 is allowed, got 101."),
    ],
)
def test_bad_seeds(seeds, message):
    with pytest.raises(SweepError) as caught:
        plan_sweep(Plain, {"rise": "0,1"}, seeds=seeds)
    assert str(caught.value) == message


def test_seeds_need_a_parameter_seed():
    message = (
        "undeclared has no parameter 'seed', so that each of 5 seeds would give the same. "
        "Leave seeds away, or give the model a parameter seed."
    )
    with pytest.raises(SweepError) as caught:
        plan_sweep(Undeclared, {"rate": "0:1:2"}, seeds=5)
    assert str(caught.value) == message
    with pytest.raises(SweepError, match=r"^seed is varied, and seeds= sets it too\. Leave one of the two away\.$"):
        plan_sweep(Plain, {"seed": "1,2"}, seeds=5)
    with pytest.raises(SweepError, match=r"^seed is fixed \(seed=4\), and seeds= sets it too\. Leave one away\.$"):
        plan_sweep(Plain, {"rise": "0,1"}, seeds=5, parameters={"seed": 4})


def test_enormous_sweeps_must_be_confirmed():
    axes = {"rise": "0:2:101", "tide": "0:1:100"}
    with pytest.raises(SweepError) as caught:
        plan_sweep(Plain, axes)
    assert str(caught.value) == (
        "This sweep is 10,100 runs: 101 of rise x 100 of tide. More than 10,000 must be confirmed: confirmed=True. "
        "Or take fewer values."
    )
    assert plan_sweep(Plain, axes, confirmed=True).n_runs == 10_100
    with pytest.raises(SweepError, match=r"^This sweep is 20,000 runs: 10,000 combinations x 2 seeds\. More than"):
        plan_sweep(Plain, {"rise": "0:2"}, sample="lhs", samples=10_000, seeds=2)
    with pytest.raises(SweepError) as caught:
        plan_sweep(Plain, {"rise": "0:2:100000", "tide": "0:1:100000"}, confirmed=True)
    assert str(caught.value) == (
        "This sweep is 10,000,000,000 runs: 100,000 of rise x 100,000 of tide. At most 1,000,000 are kept in one "
        "folder. Take fewer values, or a design that samples."
    )


@pytest.mark.parametrize(
    ("sample", "samples", "message"),
    [
        ("gird", None, "There is no design 'gird'. Did you mean 'grid'? Known: grid, lhs, sobol, morris, saltelli."),
        ("lhs", 1, "lhs needs at least 2 combinations, got 1. Usual are 20."),
        ("lhs", 0, "lhs needs at least 2 combinations, got 0. Usual are 20."),
        ("lhs", -5, "lhs needs at least 2 combinations, got -5. Usual are 20."),
        ("lhs", 2.5, "The number of samples must be a whole number, got 2.5."),
        ("sobol", 100, "sobol needs a power of two combinations, at least 2: got 100. Nearest: 64 or 128."),
        ("sobol", 0, "sobol needs a power of two combinations, at least 2: got 0. Nearest: 2."),
        (
            "morris",
            31,
            ("morris with 2 parameters needs a multiple of 3 combinations, at least 12: got 31. Nearest: 30 or 33."),
        ),
        (
            "morris",
            9,
            "morris with 2 parameters needs a multiple of 3 combinations, at least 12: got 9. Nearest: 12.",
        ),
        (
            "saltelli",
            100,
            (
                "saltelli with 2 parameters needs 4 x a power of two combinations, at least 32: got 100. "
                "Nearest: 64 or 128."
            ),
        ),
        (
            "saltelli",
            16,
            ("saltelli with 2 parameters needs 4 x a power of two combinations, at least 32: got 16. Nearest: 32."),
        ),
    ],
)
def test_numbers_that_a_design_cannot_have(sample, samples, message):
    with pytest.raises(SweepError) as caught:
        plan_sweep(Plain, {"rise": "0:2", "tide": "0:1"}, sample=sample, samples=samples)
    assert str(caught.value) == message


def test_a_grid_takes_no_samples():
    with pytest.raises(
        SweepError,
        match=r"^A grid has as many combinations as its values make; a number of samples \(7\) is for the ",
    ):
        plan_sweep(Plain, {"rise": "0:2:3"}, samples=7)


def test_designs_that_compare_parameters_need_two():
    for sample in ("morris", "saltelli"):
        with pytest.raises(SweepError) as caught:
            plan_sweep(Plain, {"rise": "0:2"}, sample=sample)
        assert str(caught.value) == (
            f"{sample} compares parameters, and only rise varies. Take a grid, or vary another one."
        )


def test_trajectories_need_ranges():
    with pytest.raises(
        SweepError, match=r"^morris moves in equal steps along a range, and rule=moore,von is a list\."
    ):
        plan_sweep(Plain, {"rise": "0:2", "rule": "moore,von"}, sample="morris")
    with pytest.raises(SweepError, match=r"^morris takes 4 values of each range, and 1:3 has fewer for years\."):
        plan_sweep(Plain, {"rise": "0:2", "years": "1:3"}, sample="morris")


def test_samples_that_are_mostly_repetitions():
    with pytest.raises(SweepError) as caught:
        plan_sweep(Plain, {"years": "1:3", "rule": "moore,von"}, sample="lhs", samples=50)
    assert str(caught.value) == (
        "lhs gives only 6 different combinations in 50: years and rule have few values. "
        "Take a grid, or fewer samples."
    )
    design = plan_sweep(Plain, {"years": "1:20", "rule": "moore,von"}, sample="lhs", samples=30)
    assert design.notes[0].endswith("of 30 combinations are repetitions of others: years and rule have few values.")


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, True])
def test_bad_seeds_of_the_design(seed):
    with pytest.raises(SweepError, match=r"^design_seed must be a whole number from 0 to 4,294,967,295, got "):
        plan_sweep(Plain, {"rise": "0:2"}, sample="lhs", design_seed=seed)


def test_no_axes_at_all():
    with pytest.raises(SweepError, match=r"^A sweep needs at least one parameter that varies\. Write for example: "):
        plan_sweep(Plain, {})
    with pytest.raises(SweepError, match=r"^A sweep takes parameters with their values, such as "):
        plan_sweep(Plain, ["rise=0:1:2"])
    with pytest.raises(SweepError, match=r"^A parameter's name must be a text, got 5\.$"):
        plan_sweep(Plain, {5: "0:1:2"})


def test_names_that_would_spoil_a_terminal():
    with pytest.raises(SweepError) as caught:
        plan_sweep(Plain, {"r\x1b[31m": "0:1:2"})
    assert "\x1b" not in str(caught.value)


def test_the_same_parameter_by_two_names():
    from pydantic import BaseModel, ConfigDict, Field

    class Aliased(ModelExecutor, register=False):
        name = "aliased"

        class Parameters(BaseModel):
            model_config = ConfigDict(populate_by_name=True)
            rate: float = Field(1.0, alias="growth")

        def load(self, record): ...
        def run(self, data, record): ...
        def save(self, result, record):
            return record

    assert plan_sweep(Aliased, {"growth": "0:1:2"}).names == ("growth",)
    with pytest.raises(SweepError, match=r"^growth and rate are the same parameter\. Vary it once\.$"):
        plan_sweep(Aliased, {"growth": "0:1:2", "rate": "0:1:2"})
    with pytest.raises(SweepError, match=r"^growth is both varied and fixed \(rate=2\)\."):
        plan_sweep(Aliased, {"growth": "0:1:2"}, parameters={"rate": 2})


def test_a_toml_gives_values_that_an_axis_replaces(workspace):
    (workspace / "model.toml").write_text("[model.parameters]\nrise = 1.5\nyears = 7\n")
    design = plan_sweep(Plain, {"rise": "0:1:2"}, toml="model.toml")
    assert isinstance(design, SweepDesign)
    (workspace / "bad.toml").write_text("[model.parameters]\nyears = 0\n")
    with pytest.raises(SweepError, match=r"^plain cannot run with these parameters\. years: 1 to 500"):
        plan_sweep(Plain, {"rise": "0:1:2"}, toml="bad.toml")
