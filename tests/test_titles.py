"""Titles of runs: what a person chose, in one line."""

from __future__ import annotations

import itertools
import time
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from dissmodel_lab import ExperimentRecord, Parameters, RunStore, read_record, run, validate
from dissmodel_lab.errors import ParameterError
from dissmodel_lab.executor.schemas import Provenance
from dissmodel_lab.executor.testing import SteppingExecutor
from dissmodel_lab.titles import changed_defaults, leaves, one_line, shown_leaf, title_of


class Zone(BaseModel):
    rate: float = 0.1
    name: str = "a"


class Kind(Enum):
    FAST = "fast"
    SLOW = "slow"


_numbers = itertools.count()


class Declared(SteppingExecutor, register=False):
    """Declares a parameter of each kind."""

    name = "declared"

    class Parameters(Parameters):
        region: str
        n_steps: int = 3
        rise: float = 0.5
        kind: Kind = Kind.FAST
        zone: Zone = Zone()
        zones: list[Zone] = Field(default_factory=list)
        drawn: int = Field(default_factory=lambda: next(_numbers))
        broken: int = Field(default_factory=lambda: 1 // 0)
        api_key: SecretStr = SecretStr("")


def titled(**parameters):
    return run(Declared, parameters={"region": "PA", "broken": 1, **parameters})


@pytest.mark.parametrize(
    ("parameters", "title"),
    [
        ({}, "region=PA, broken=1"),
        ({"n_steps": 3, "rise": 0.5, "zone": {"rate": 0.1}, "kind": "fast", "zones": []}, "region=PA, broken=1"),
        ({"n_steps": 4, "rise": 1}, "region=PA, n_steps=4, rise=1, broken=1"),
        ({"kind": "slow"}, "region=PA, kind=slow, broken=1"),
        ({"zone": {"rate": 0.2}}, "region=PA, zone.rate=0.2, broken=1"),
        ({"zones": [{"rate": 0.1}]}, "region=PA, zones[0].rate=0.1, zones[0].name=a, broken=1"),
        ({"drawn": 7}, "region=PA, drawn=7, broken=1"),
        ({"api_key": "s3cr3t"}, "region=PA, broken=1, api_key=***"),
    ],
)
def test_a_run_of_a_declared_model_is_named_by_what_differs(parameters, title):
    record = titled(**parameters)
    assert title_of(record) == title
    assert title_of(read_record(record.record_path)) == title


def test_the_record_keeps_the_defaults_of_what_differs():
    record = titled(n_steps=4, rise=0.5, zone={"rate": 0.2}, drawn=7)
    assert record.parameter_defaults == {
        "region": None,
        "n_steps": 3,
        "zone": {"rate": 0.1, "name": "a"},
        "drawn": None,
        "broken": None,
    }
    assert read_record(record.record_path).parameter_defaults == record.parameter_defaults


def test_nothing_differs():
    record = run("game_of_life")
    assert (title_of(record), record.parameter_defaults) == ("defaults", {})
    again = run("game_of_life", parameters=dict(record.parameters))  # as the form gives them all
    assert set(again.parameter_origins.values()) == {"given"}
    assert title_of(again) == title_of(read_record(again.record_path)) == "defaults"


def test_defaults_are_known_by_their_alias_too():
    class Aliased(SteppingExecutor, register=False):
        name = "aliased"

        class Parameters(Parameters):
            n_steps: int = Field(3, alias="steps")

    assert title_of(run(Aliased, parameters={"steps": 5})) == "n_steps=5"
    assert title_of(run(Aliased, parameters={"n_steps": 5})) == "n_steps=5"
    assert title_of(run(Aliased, parameters={"steps": 3})) == "defaults"


def test_a_run_that_was_refused_is_named_by_what_was_given():
    with pytest.raises(ParameterError):
        run("game_of_life", parameters={"generations": -1})
    (entry,) = RunStore().entries()
    assert title_of(read_record(entry.folder / "record.json")) == "generations=-1"


def test_a_model_that_declares_nothing_is_known_by_its_source():
    # SteppingExecutor asks for n_steps, and takes 3 when nothing is given
    assert run(SteppingExecutor, parameters={"n_steps": 3}).parameter_defaults == {}
    record = run(SteppingExecutor, parameters={"n_steps": 5, "extra": [1, 2]})
    assert record.parameter_defaults == {"n_steps": 3, "extra": None}
    assert title_of(record) == "n_steps=5, extra=[1, 2]"
    assert title_of(run(SteppingExecutor)) == "defaults"


def test_checking_alone_fills_the_defaults_too():
    assert validate("game_of_life", parameters={"generations": 9}).parameter_defaults == {"generations": 120}


@pytest.mark.parametrize(
    ("record", "title"),
    [
        # of an older version, or of PyPI dissmodel: no defaults, no provenance
        (ExperimentRecord(parameters={"years": 5, "rise": 0.1}), "years=5, rise=0.1"),
        (
            ExperimentRecord(
                parameters={"years": 5, "rise": 0.1, "mode": "a", "made": 1},
                parameter_origins={"years": "given", "rise": "default", "mode": "toml", "made": "model"},
            ),
            "years=5, mode=a",
        ),
        (ExperimentRecord(parameters={"years": 5}, parameter_origins={"years": "default"}), "defaults"),
        (ExperimentRecord(), "defaults"),
        # made without the runner: the field is there, but nobody filled it
        (
            ExperimentRecord(parameters={"years": 5}, parameter_origins={"years": "given"}, parameter_defaults={}),
            "years=5",
        ),
        # a recorded cell's own settings
        (
            ExperimentRecord(
                parameters={"n": 5},
                parameter_origins={"n": "cell"},
                parameter_defaults={},
                provenance=Provenance(executor_class="dissmodel_lab.cells:CellExecutor"),
            ),
            "n=5",
        ),
    ],
)
def test_records_from_elsewhere(record, title):
    assert title_of(record) == title
    assert title_of(ExperimentRecord.model_validate_json(record.model_dump_json())) == title


def of(defaults=None, **parameters):
    return title_of(ExperimentRecord(parameters=parameters, parameter_defaults=defaults or dict.fromkeys(parameters)))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (20, "20"),
        (0.5, "0.5"),
        (20.0, "20"),
        (1 / 3, "0.333333"),
        (2.388e-7, "2.388e-07"),
        (1e300, "1e+300"),
        (float("nan"), "nan"),
        (10**20, "10... (21 digits)"),
        (True, "true"),
        (None, "none"),
        ("fast", "fast"),
        ("two\nlines\u202e and more", "two lines and more"),
        ("a" * 100, "a" * 23 + "…"),
        ("/data/amazonia/2026/demand_2030.csv", "…/demand_2030.csv"),
        ("C:\\data\\amazonia\\2026\\demand.csv", "…/demand.csv"),
        (Path("/data/amazonia/2026/demand_2030.csv"), "…/demand_2030.csv"),
        ("https://ana:s3cr3t@host/x", "https://***@host/x"),
        ("https://host/x/yyyyyyyyyyyyyyyy?token=s3cr3t", "https://host/x/yyyyyyyy…"),
        ([1, 2.5, "a", None], "[1, 2.5, a, none]"),
        (list(range(10**6)), "[0, 1, 2, 3, 4, 5, 6, 7…"),
        ((1, 2), "[1, 2]"),
        ({1}, "[1]"),
        ([], "[]"),
        ({}, "{}"),
        (b"abc", "YWJj"),
        (np.float32(0.5), "0.5"),
        (np.zeros((3, 4)), "array of 3 x 4"),
        (object, "builtins.type: <class '…"),
    ],
)
def test_values_are_short(value, shown):
    assert of(x=value) == f"x={shown}"


def test_tables_tell_only_what_differs_in_them():
    before = {"forest": 0.2, "urban": {"rate": 0.1, "cost": 3}}
    assert of({"t": before}, t={"forest": 0.2, "urban": {"rate": 0.3, "cost": 3}}) == "t.urban.rate=0.3"
    assert of({"t": before}, t={"forest": 0.2}) == "t={forest: 0.2}"  # it only lacks something
    assert of({"t": [{"a": 1}]}, t=[{"a": 1}, {"a": 2}]) == "t[1].a=2"
    assert of({"t": None}, t={"a": {"api_key": "s3cr3t", "token_count": 5}}) == "t.a.api_key=***, t.a.token_count=5"


def test_a_title_has_a_limit_and_says_what_it_leaves_out():
    assert of(**{f"p{n}": n for n in range(30)}) == (
        "p0=0, p1=1, p2=2, p3=3, p4=4, p5=5, p6=6, p7=7, p8=8, p9=9, p10=10, +19 more"
    )
    assert of(**{"long" * 30: 1, "b": 2}) == f"{('long' * 30)[:39]}…=1, b=2"
    assert len(of(**{f"{'n' * 60}{n}": "v" * 60 for n in range(3)})) == 74


@given(st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=40), st.binary(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=30), inner, max_size=4)),
    max_leaves=20,
))  # fmt: skip
@settings(deadline=None)
def test_any_value_has_a_short_title_on_one_line(value):
    title = of(x=value)
    assert 1 <= len(title) <= 80
    assert title.isprintable()
    record = ExperimentRecord(parameters={"x": value}, parameter_defaults={"x": None})
    assert title_of(ExperimentRecord.model_validate_json(record.model_dump_json())) == title


def test_values_that_hold_themselves_end():
    endless = {}
    endless["again"] = endless
    assert len(dict(leaves({"a": endless}))) == 1
    record = ExperimentRecord()
    record.parameters["x"] = endless
    assert title_of(record).startswith("x.again.again")


def test_leaves_have_a_limit():
    assert list(leaves({})) == []
    assert list(leaves({"a": {}, "b": []})) == [("a", {}), ("b", [])]
    assert len(dict(leaves({str(n): n for n in range(5_000)}))) == 1_000


def test_odd_defaults_are_compared_by_what_would_be_written():
    class Odd:
        class Parameters(Parameters):
            grid: object = np.zeros(3)
            rate: float = 1.0
            is_open: bool = True

            model_config = ConfigDict(arbitrary_types_allowed=True)

    same = {"grid": np.zeros(3), "rate": 1, "is_open": True}
    assert changed_defaults(Odd, same, same) == {}
    other = {"grid": np.ones(3), "rate": 1.5, "is_open": False}
    assert list(changed_defaults(Odd, other, other)) == ["grid", "rate", "is_open"]


def test_texts_of_others_are_made_harmless():
    assert one_line("a\tb\x00\x1b[31m  c", 20) == "a b [31m c"
    assert one_line("password=s3cr3t", 40) == "password=***"
    assert shown_leaf("settings.password", 12345) == "***"
    assert shown_leaf("token_count", 512) == "512"


def test_a_hundred_thousand_parameters_take_no_time():
    record = ExperimentRecord(parameters={f"p{n}": n for n in range(100_000)})
    began = time.perf_counter()
    title = title_of(record)
    assert time.perf_counter() - began < 20
    assert title == "p0=0, p1=1, p2=2, p3=3, p4=4, p5=5, p6=6, p7=7, p8=8, p9=9, p10=10, +99,989 more"
