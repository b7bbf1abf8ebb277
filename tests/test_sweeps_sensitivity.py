"""What a metric depends on: against models whose indices are known, and where a design allows none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dissmodel_lab import ModelExecutor
from dissmodel_lab.errors import SweepError
from dissmodel_lab.executor import Parameters
from dissmodel_lab.sweeps import SweepRow, plan_sweep
from dissmodel_lab.sweeps.sensitivity import sensitivity_of


class Three(ModelExecutor, register=False):
    """Three numbers and a choice."""

    name = "three"

    class Parameters(Parameters):
        """They have no limits."""

        a: float = 0.0
        b: float = 0.0
        c: float = 0.0
        n: int = 0
        rule: str = "x"
        seed: int = 0

    def load(self, record): ...
    def run(self, data, record): ...
    def save(self, result, record):
        return record


def said_of(design, metric_of, *, without=()):
    """Work out the sensitivity of a metric that a function gives, some points missing."""
    rows = []
    for point in design.points:
        is_there = point.number not in without
        value = metric_of(point) if is_there else None
        rows.append(
            SweepRow(
                point=point.number,
                setting=point.setting,
                parameters=point.parameters,
                seed=point.seed,
                status="completed" if is_there else "failed",
                metrics={"y": value} if is_there else {},
            )
        )
    return sensitivity_of(design, rows, "y", ["y"])


def ishigami(point):
    """
    Return a function whose indices are known.

    Ishigami, T. and Homma, T. (1990), https://doi.org/10.1109/ISUMA.1990.151285, with a = 7 and b = 0.1:
    S1 = 0.3139, 0.4424, 0; ST = 0.5576, 0.4424, 0.2437.
    """
    a, b, c = (point.parameters[name] for name in "abc")
    return math.sin(a) + 7 * math.sin(b) ** 2 + 0.1 * c**4 * math.sin(a)


PI = f"{-math.pi}:{math.pi}"
S1, ST = (0.3139, 0.4424, 0.0), (0.5576, 0.4424, 0.2437)


# ------------------------------------------------------------------------------------------------------- saltelli


def test_indices_of_a_saltelli_design():
    design = plan_sweep(Three, dict.fromkeys("abc", PI), sample="saltelli", samples=1024 * 5)
    said = said_of(design, ishigami)
    assert said.names == ("a", "b", "c")
    assert (said.n_points, said.n_used, said.confidence) == (5120, 5120, 0.95)
    for index, known in ((said.index("S1"), S1), (said.index("ST"), ST)):
        assert index.is_share
        for value, low, high, true in zip(index.values, index.lower, index.upper, known, strict=True):
            assert value == pytest.approx(true, abs=0.05)
            assert low <= true + 0.02
            assert high >= true - 0.02
            assert low < value < high
    assert said.notes[-1] == "Second-order indices, of pairs of parameters, are not part of this design."
    assert said_of(design, ishigami) == said


def test_blocks_with_a_failed_run_are_left_out_whole():
    design = plan_sweep(Three, dict.fromkeys("abc", PI), sample="saltelli", samples=512 * 5)
    said = said_of(design, ishigami, without={3, 4, 777})
    assert said.n_used == (512 - 2) * 5
    assert said.notes[:2] == (
        "3 of 2,560 runs have no such value: they failed, or have not run yet.",
        "2 of 512 blocks are left out whole, because a run of them has no value.",
    )
    assert said.index("ST").values == pytest.approx(said_of(design, ishigami).index("ST").values, abs=0.02)


def test_wide_intervals_are_told():
    design = plan_sweep(Three, dict.fromkeys("abc", PI), sample="saltelli", samples=16 * 5)
    notes = said_of(design, ishigami).notes
    assert [note for note in notes if note.startswith("The widest interval reaches ")]


def test_too_few_blocks():
    design = plan_sweep(Three, dict.fromkeys("abc", PI), sample="saltelli", samples=8 * 5)
    said = said_of(design, ishigami, without=range(6, 36))
    assert said.indices == ()
    assert said.notes[-1] == "Fewer than 4 whole blocks that differ are left: too few for indices."


def test_random_numbers_of_others_are_left_alone():
    design = plan_sweep(Three, dict.fromkeys("abc", PI), sample="saltelli", samples=8 * 5)
    np.random.seed(5)  # noqa: NPY002 -- the global state is what is looked at
    before = np.random.get_state()[1].tolist()  # noqa: NPY002 -- as above
    said_of(design, ishigami)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002 -- as above


# --------------------------------------------------------------------------------------------------------- morris


def test_effects_of_trajectories():
    design = plan_sweep(Three, {"a": "0:1", "b": "0:10", "c": "0:1"}, sample="morris", samples=80)
    said = said_of(design, lambda p: 3 * p.parameters["a"] - 0.5 * p.parameters["b"])
    assert said.index("mu*").values == pytest.approx((3.0, 5.0, 0.0), abs=1e-9)
    assert said.index("mu").values == pytest.approx((3.0, -5.0, 0.0), abs=1e-9)
    assert said.index("sigma").values == pytest.approx((0.0, 0.0, 0.0), abs=1e-9)
    assert said.index("mu*").lower == pytest.approx((3.0, 5.0, 0.0), abs=1e-9)
    assert said.index("mu").lower == (None, None, None)
    assert said.index("ST") is None
    assert said.notes[-1].startswith(
        "morris ranks parameters; it allows no shares of the variance: the sample saltelli"
    )


def test_an_interaction_shows_in_sigma():
    design = plan_sweep(Three, {"a": "0:1", "b": "0:1"}, sample="morris", samples=60)
    said = said_of(design, lambda p: p.parameters["a"] * p.parameters["b"])
    assert min(said.index("sigma").values) > 0.2
    low, high = said.index("mu*").lower[0], said.index("mu*").upper[0]
    assert low < said.index("mu*").values[0] < high


def test_trajectories_with_a_failed_run_are_left_out_whole():
    design = plan_sweep(Three, {"a": "0:1", "b": "0:1", "n": "0:9"}, sample="morris", samples=40)
    said = said_of(design, lambda p: p.parameters["a"], without={1, 2, 9})
    assert said.n_used == 32
    assert said.index("mu*").values == pytest.approx((1.0, 0.0, 0.0), abs=1e-9)
    assert "2 of 10 trajectories are left out whole, because a run of them has no value." in said.notes
    assert "n moved in whole steps, so that its effects are rounded too." in said.notes


# ----------------------------------------------------------------------------------------------------------- grid


def test_shares_of_a_grid_are_exact():
    design = plan_sweep(Three, {"a": "0:2:3", "b": "0:1:2"})
    said = said_of(design, lambda p: p.parameters["a"] + 2 * p.parameters["b"])
    assert said.index("S1").values == pytest.approx((0.4, 0.6))
    assert said.index("ST").values == pytest.approx((0.4, 0.6))
    assert said.index("span").values == pytest.approx((2.0, 2.0))
    assert said.index("S1").lower == (None, None)
    assert "A grid with one seed has no sampling error, and therefore no intervals." in said.notes


def test_an_interaction_in_a_grid_is_in_the_total():
    design = plan_sweep(Three, {"a": "-1,1", "b": "-1,1", "c": "-1,1"})
    said = said_of(design, lambda p: p.parameters["a"] * p.parameters["b"])
    assert said.index("S1").values == pytest.approx((0.0, 0.0, 0.0), abs=1e-12)
    assert said.index("ST").values == pytest.approx((1.0, 1.0, 0.0), abs=1e-12)


def test_a_choice_has_a_share_in_a_grid():
    design = plan_sweep(Three, {"rule": "x,y,z", "a": "0:1:2"})
    said = said_of(design, lambda p: {"x": 0.0, "y": 5.0, "z": 1.0}[p.parameters["rule"]])
    assert said.index("S1").values == pytest.approx((1.0, 0.0))


def test_noise_of_the_seeds_is_taken_off():
    random = np.random.default_rng(3)
    noise = random.normal(size=1000)
    design = plan_sweep(Three, {"a": "0:9:10", "b": "0:9:10"}, seeds=10)
    said = said_of(design, lambda p: noise[p.number - 1])
    assert said.index("S1").values == pytest.approx((0.0, 0.0), abs=0.02)
    assert said.index("ST").values == pytest.approx((0.0, 0.0), abs=0.05)
    (told,) = [note for note in said.notes if note.startswith("The seed alone makes ")]
    assert told in {
        f"The seed alone makes {share}% of the variance; it is taken off the shares." for share in range(95, 106)
    }


def test_intervals_over_seeds_hold_what_is_true():
    """Of y = a + noise the share of a is known: var(a) / (var(a) + var(noise))."""
    held = 0
    for trial in range(40):
        noise = np.random.default_rng(trial).normal(scale=1.0, size=60)
        design = plan_sweep(Three, {"a": "0:5:6"}, seeds=10)
        said = said_of(design, lambda p, noise=noise: p.parameters["a"] + noise[p.number - 1])
        variance = np.arange(6).var()
        true = variance / (variance + 1.0)
        index = said.index("S1")
        held += index.lower[0] <= true <= index.upper[0]
    assert held >= 34


def test_two_seeds_are_too_few_for_intervals():
    design = plan_sweep(Three, {"a": "0:5:6"}, seeds=2)
    said = said_of(design, lambda p: p.parameters["a"] + 0.1 * p.seed)
    assert said.index("S1").lower == (None,)
    assert "Intervals need at least 3 seeds." in said.notes
    assert said.index("ST") is None


def test_one_parameter_with_one_seed_has_no_shares():
    design = plan_sweep(Three, {"a": "0:5:6"})
    said = said_of(design, lambda p: p.parameters["a"])
    assert [index.symbol for index in said.indices] == ["span"]
    assert said.index("span").values == (5.0,)
    assert said.notes == ("Only one parameter varies, so that all of the variance is its own: look at the line.",)


def test_a_grid_with_gaps_says_so():
    design = plan_sweep(Three, {"a": "0:3:4", "b": "0:3:4"})
    said = said_of(design, lambda p: p.parameters["a"], without={6, 11})
    assert said.n_used == 14
    assert said.index("ST") is None
    assert said.index("S1").values[0] == pytest.approx(1.0)
    assert said.index("S1").values[1] < 0.05
    assert said.notes[0] == "2 of 16 runs have no such value: they failed, or have not run yet."
    assert said.notes[-1].startswith(
        "The grid has gaps: the means of two values may be over different combinations, "
    )


def test_grids_of_lists_in_any_order():
    design = plan_sweep(Three, {"a": "3,1,2", "b": "5,0"})
    said = said_of(design, lambda p: p.parameters["a"])
    assert said.index("S1").values == pytest.approx((1.0, 0.0))


# ------------------------------------------------------------------------------------------------ lhs and sobol


@pytest.mark.parametrize(("sample", "samples"), [("lhs", 600), ("sobol", 512)])
def test_designs_that_fill_the_space(sample, samples):
    design = plan_sweep(Three, dict.fromkeys("abc", PI), sample=sample, samples=samples)
    said = said_of(design, ishigami)
    assert said.index("S1").values == pytest.approx(S1, abs=0.1)
    rho = said.index("rho")
    assert rho.values[0] > 0.3
    assert abs(rho.values[1]) < 0.15
    assert all(low <= value <= high for low, value, high in zip(rho.lower, rho.values, rho.upper, strict=True))
    assert said.index("ST") is None
    assert said.notes[-1].startswith(
        f"This design ({sample}) allows no total effects: the sample saltelli gives S1 and ST,"
    )


def test_few_samples_allow_no_shares():
    design = plan_sweep(Three, {"a": "0:1", "b": "0:1"}, sample="lhs", samples=20)
    said = said_of(design, lambda p: p.parameters["a"] ** 3, without={4})
    assert said.index("S1") is None
    assert said.index("rho").values[0] == pytest.approx(1.0)
    assert said.n_used == 19
    assert "Shares of the variance (S1) need at least 60 runs of such a design." in said.notes


def test_a_choice_neither_rises_nor_falls():
    design = plan_sweep(Three, {"a": "0:1", "rule": "x,y"}, sample="lhs", samples=80)
    said = said_of(design, lambda p: p.parameters["a"] + (p.parameters["rule"] == "y"))
    assert said.index("rho").values[1] is None
    assert said.index("S1").values[1] is None
    assert said.index("S1").values[0] is not None
    assert "rule: its values have no order, so that nothing rises or falls with it. Take a grid." in said.notes


def test_means_over_seeds():
    design = plan_sweep(Three, {"a": "0:1", "b": "0:1"}, sample="lhs", samples=20, seeds=3)
    said = said_of(design, lambda p: p.parameters["a"] + p.seed, without={1})
    assert said.index("rho").values[0] > 0.9
    assert "Each combination counts by its mean over 3 seeds, what is left of their noise included." in said.notes


# -------------------------------------------------------------------------------------------- nothing to be said


@pytest.mark.parametrize(
    ("sample", "samples"), [("grid", None), ("lhs", 20), ("sobol", 16), ("morris", 12), ("saltelli", 32)]
)
def test_a_metric_that_is_always_the_same(sample, samples):
    ends = "0:1:3" if sample == "grid" else "0:1"
    design = plan_sweep(Three, {"a": ends, "b": ends}, sample=sample, samples=samples)
    said = said_of(design, lambda _: 7.0)
    assert said.indices == ()
    assert said.notes == ("y is the same in all runs: over these values it depends on none of them.",)


@pytest.mark.parametrize(("sample", "samples"), [("grid", None), ("lhs", 20), ("morris", 12), ("saltelli", 32)])
def test_runs_that_have_not_come_yet(sample, samples):
    ends = "0:1:3" if sample == "grid" else "0:1"
    design = plan_sweep(Three, {"a": ends, "b": ends}, sample=sample, samples=samples)
    said = said_of(design, lambda p: p.parameters["a"], without=range(4, design.n_runs + 1))
    assert said.indices == ()
    assert said.notes[-1] == "Too few runs have completed to say anything yet."


def test_a_metric_that_no_run_has():
    design = plan_sweep(Three, {"a": "0:1:3"})
    with pytest.raises(SweepError) as caught:
        sensitivity_of(design, [], "aera", ["area", "n"])
    assert str(caught.value) == (
        "No run of this sweep has a metric 'aera' that is a number. Did you mean 'area'? Known: area, n."
    )
