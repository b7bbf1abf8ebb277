"""Designs of sweeps: their sizes, their points and their seeds, for any axes that may be varied."""

# ruff: noqa: PT017 -- inputs read better in one line; an error or a result, both are checked

from __future__ import annotations

import itertools
import math

from hypothesis import assume, given
from hypothesis import strategies as st

from dissmodel_lab.errors import SweepError
from dissmodel_lab.executor import ModelExecutor
from dissmodel_lab.sweeps.planning import plan_sweep
from properties import examples


class Plain(ModelExecutor, register=False):
    """Declares nothing, and reads what is varied."""

    name = "plain"

    def load(self, record):
        return None

    def run(self, data, record):
        read = record.parameters
        return [read.get("a", 0.5), read.get("b", 3), read.get("c", "x"), read.get("d", 1.0), read.get("seed", 1)]

    def save(self, result, record):
        return record


NUMBERS = st.floats(-1e6, 1e6, allow_subnormal=False)
RANGES = st.tuples(NUMBERS, NUMBERS).map(sorted).filter(lambda ends: ends[1] - ends[0] > 1e-3)
WHOLE = st.tuples(st.integers(-1000, 1000), st.integers(4, 500)).map(lambda given: (given[0], given[0] + given[1]))
AXES = st.fixed_dictionaries(
    {"a": RANGES.map(lambda ends: f"{ends[0]!r}:{ends[1]!r}"), "b": WHOLE.map(lambda ends: f"{ends[0]}:{ends[1]}")},
    optional={"d": RANGES.map(lambda ends: f"{ends[0]!r}:{ends[1]!r}")},
)
LISTS = st.fixed_dictionaries(
    {},
    optional={
        "a": st.lists(NUMBERS, min_size=1, max_size=4, unique=True),
        "b": st.lists(st.integers(-9, 9), min_size=1, max_size=4, unique=True),
        "c": st.lists(st.sampled_from(["queen", "rook", "it's", "a,b", "1:2"]), min_size=1, max_size=3, unique=True),
    },
).filter(bool)


@examples(20)
@given(LISTS, st.integers(1, 3))
def test_a_grid_is_every_combination_once(axes, seeds):
    design = plan_sweep(Plain, axes, seeds=seeds)
    points = list(design.points)
    assert design.n_settings == math.prod(map(len, axes.values()))
    assert len(points) == design.n_runs == design.n_settings * seeds
    wanted = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    assert [point.parameters for point in points[::seeds]] == wanted
    assert [point.number for point in points] == list(range(1, design.n_runs + 1))
    numbers = [None] if seeds == 1 else list(range(1, seeds + 1))
    assert [point.seed for point in points] == numbers * design.n_settings
    assert len({repr((point.parameters, point.seed)) for point in points}) == design.n_runs


@examples(20)
@given(AXES, st.sampled_from(["lhs", "sobol", "morris", "saltelli"]), st.integers(0, 3), st.integers(0, 2**31))
def test_a_design_that_samples_has_its_size_lies_in_its_ranges_and_comes_again(axes, sample, power, design_seed):
    n_axes = len(axes)
    samples = {
        "lhs": 2 + power,
        "sobol": 2 ** (power + 1),
        "morris": (power + 4) * (n_axes + 1),
        "saltelli": 2 ** (power + 3) * (n_axes + 2),
    }[sample]
    try:
        design = plan_sweep(Plain, axes, sample=sample, samples=samples, design_seed=design_seed)
    except SweepError:  # a number of trajectories that is too small is refused
        assume(False)
    assert design.n_runs == len(design.settings) == samples
    for axis, values in zip(design.axes, zip(*design.settings, strict=True), strict=True):
        low, high = map(float, axes[axis.name].split(":"))
        assert all(low <= value <= high for value in values)
        assert axis.kind == ("whole" if axis.name == "b" else "number")
        assert all(isinstance(value, int if axis.name == "b" else float) for value in values)
    assert plan_sweep(Plain, axes, sample=sample, samples=samples, design_seed=design_seed) == design
    if sample in ("lhs", "sobol"):
        assert len(set(design.settings)) == samples
    if sample == "lhs":  # one point in each part of each range
        at = design.names.index("a")
        low, high = map(float, axes["a"].split(":"))
        shares = sorted((row[at] - low) / (high - low) for row in design.settings)
        assert all(part - 1e-9 <= share * samples <= part + 1 + 1e-9 for part, share in enumerate(shares))


@examples(100)
@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "c"]), st.text("0123456789.:,-+einflog[]'\" ax", max_size=14), max_size=2
    )
)
def test_any_range_is_a_design_or_one_clear_error(axes):
    try:
        design = plan_sweep(Plain, axes)
    except SweepError as error:
        assert len(str(error).split()) >= 6
        assert str(error)[-1] in ".?"
    else:
        assert design.n_runs == len(list(design.points)) >= 1
