"""Whatever a modeller puts into a record is written as strict JSON and comes back meaning the same."""

from __future__ import annotations

import datetime as dt
import enum
import json
import math
import tracemalloc
import types
from decimal import Decimal
from pathlib import Path, PurePosixPath
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from pydantic import BaseModel

from dissmodel_lab.executor import ExperimentRecord
from dissmodel_lab.executor.jsonvalue import decode, encode


def refuse(constant):
    raise AssertionError(f"{constant} is no JSON")


def through_a_record(value):
    """Write as metric and parameter, check that it is strict JSON, and read back."""
    record = ExperimentRecord()
    record.metrics = {"value": value}
    record.parameters = {"value": value}
    text = record.model_dump_json()
    json.loads(text, parse_constant=refuse)
    back = ExperimentRecord.model_validate_json(text)
    assert same(back.metrics["value"], back.parameters["value"])
    return back.metrics["value"]


def same(left, right):
    """Equal in kind and value; NaN equals NaN, a numpy scalar its Python value."""
    if isinstance(left, np.generic) and left.dtype.kind not in "mM":
        left = left.item()
    if isinstance(right, np.generic) and right.dtype.kind not in "mM":
        right = right.item()
    if type(left) is not type(right):
        return False
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and left.shape == right.shape and same(left.tolist(), right.tolist())
    if isinstance(left, np.generic):
        return left.dtype == right.dtype and (left == right or (np.isnat(left) and np.isnat(right)))
    if isinstance(left, float):
        signs = math.copysign(1, left) == math.copysign(1, right)
        return (left == right and signs) or (math.isnan(left) and math.isnan(right))
    if isinstance(left, complex):
        return same(left.real, right.real) and same(left.imag, right.imag)
    if isinstance(left, dict):
        return len(left) == len(right) and all(
            same(a, b) and same(left[a], right[b]) for a, b in zip(left, right, strict=True)
        )
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


TEXT = st.text(st.characters(codec=None))  # lone surrogates too: file names hold them
HASHABLE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    TEXT,
    st.binary(),
    st.dates(),
    st.tuples(st.integers(), TEXT),
    st.frozensets(st.integers()),
)
SCALARS = st.one_of(
    HASHABLE,
    st.floats(),
    st.complex_numbers(),
    st.datetimes(timezones=st.sampled_from([None, dt.UTC, dt.timezone(dt.timedelta(hours=-3))])),
    st.times(),
    st.timedeltas(min_value=dt.timedelta(days=-9999), max_value=dt.timedelta(days=9999)),
    st.uuids(),
    st.decimals(allow_nan=False),
    st.text("abc/. é", min_size=1).map(Path),
    st.sets(HASHABLE.filter(lambda value: not isinstance(value, bool)), max_size=4),
    npst.from_dtype(np.dtype("float32")),
    npst.from_dtype(np.dtype("int64")),
    npst.from_dtype(np.dtype("uint8")),
    npst.from_dtype(np.dtype("bool")),
    npst.from_dtype(np.dtype("datetime64[ns]")),
    npst.arrays(
        st.sampled_from(
            ["int16", "uint64", "float32", "float64", "bool", "complex64", "<U3", "S3", "timedelta64[s]"]
        ),
        npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(
            st.one_of(TEXT, st.integers(), st.sampled_from(["$float", "$dict", "$x"])), inner, max_size=4
        ),
    ),
    max_leaves=12,
)


@settings(database=None, max_examples=300, deadline=None)
@given(VALUES)
def test_any_value_comes_back_meaning_the_same(value):
    text = json.dumps(encode(value), allow_nan=False)
    assert same(decode(json.loads(text, parse_constant=refuse)), value)


@settings(database=None, max_examples=150, deadline=None)
@given(VALUES.filter(lambda value: "://" not in repr(value)))
def test_any_value_survives_in_a_record(value):
    assert same(through_a_record(value), value)


class Cover(enum.Enum):
    SEA = 3


class Zone(BaseModel):
    rate: float


class Odd:
    def __repr__(self):
        raise RuntimeError("no text either")


SPECIAL = [
    (Cover.SEA, 3),
    (np.str_("x"), "x"),
    (np.longdouble(1.5), 1.5),
    (np.clongdouble(1 + 2j), 1 + 2j),
    (np.datetime64("2020-01-01T00:00:00.123456789", "ns"), np.datetime64("2020-01-01T00:00:00.123456789", "ns")),
    (np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")])[0], (1, 2.5)),
    (types.MappingProxyType({"a": 1}), {"a": 1}),
    (Zone(rate=0.5), {"rate": 0.5}),
    (PurePosixPath("a/b"), Path("a/b")),
    (bytearray(b"\xff"), b"\xff"),
    (Decimal("0.10"), Decimal("0.10")),
    (UUID(int=5), UUID(int=5)),
    (10**400, 10**400),
    (10**5000, 10**5000),
    (b"", b""),
    (float("-inf"), float("-inf")),
    (-0.0, -0.0),
]


@pytest.mark.parametrize(("value", "meant"), SPECIAL, ids=lambda value: type(value).__name__)
def test_special_values(value, meant):
    assert same(through_a_record(value), meant)


def test_arrays_of_odd_kinds_come_back():
    structured = np.zeros((2, 2), dtype=[("a", "<i4"), ("b", "<f8")])
    assert np.array_equal(through_a_record(structured), structured)
    assert through_a_record(structured).dtype == structured.dtype
    objects = np.array([[1, 2], None, "x"], dtype=object)
    assert through_a_record(objects).tolist() == objects.tolist()
    masked = np.ma.MaskedArray([1, 2], mask=[False, True])
    back = through_a_record(masked)
    assert back.mask.tolist() == [False, True]
    assert back[0] == 1
    moments = np.array(["2020-01-01", "NaT"], dtype="datetime64[D]")
    assert np.array_equal(through_a_record(moments), moments, equal_nan=True)
    assert through_a_record(np.array([1.5], dtype=np.longdouble)).tolist() == [1.5]


@pytest.mark.parametrize(
    "value",
    [{"$float": "nan"}, {"$dict": [[1, 2]]}, {"$ndarray": 5}, {"$": 1}, {"$tuple": [1], "b": 2}, {"$repr": "x"},
     [{"$path": "a"}], {"a": {"$set": [1]}}],
)  # fmt: skip
def test_dicts_that_look_like_tags_survive(value):
    assert through_a_record(value) == value


@pytest.mark.parametrize(
    "foreign",
    [{"$uuid": 5}, {"$ndarray": 5}, {"$ndarray": {"dtype": "x(", "shape": [1], "data": [1]}}, {"$float": []},
     {"$dict": 3}, {"$set": [[1]]}, {"$bytes": "é"}, {"$seconds": 1e300}, {"$datetime": 1}, {"$unknown": 1},
     {"$escaped": 5}, {"$int": 5}, {"$decimal": "x"}, {"$path": None}],
)  # fmt: skip
def test_tags_of_another_program_are_kept_as_they_are(foreign):
    text = json.dumps({"metrics": {"value": foreign}})
    record = ExperimentRecord.model_validate_json(text)
    assert record.metrics == {"value": foreign}
    assert through_a_record(foreign) == foreign


def test_an_unknown_object_is_written_as_its_text():
    def model():
        return None

    assert through_a_record(range(3)) == {"$repr": "builtins.range: range(0, 3)"}
    assert through_a_record(Odd()) == {"$repr": f"{__name__}.Odd"}
    assert through_a_record(model)["$repr"].startswith("builtins.function: <function ")
    assert len(through_a_record(object)["$repr"]) < 600


def test_what_holds_itself_is_cut_off():
    loop: dict[str, object] = {"years": 5}
    loop["again"] = loop
    loop["twice"] = [loop]
    back = through_a_record(loop)
    assert back["years"] == 5
    assert set(back["again"]) == {"$repr"}
    deep: object = 1
    for _ in range(500):
        deep = (deep,)
    assert isinstance(through_a_record(deep), tuple)


def test_forty_levels_are_not_too_deep():
    deep: object = 1
    for _ in range(20):
        deep = ({1: deep},)
    assert through_a_record(deep) == deep


def test_a_set_is_always_written_as_the_same_bytes():
    names = [f"word{i}" for i in range(50)]
    assert encode(set(names)) == {"$set": sorted(names)}


def test_plain_values_are_written_as_they_are():
    plain = {"a": [1, 2.5, "x", None, True], "b": {"c": {}}}
    assert encode(plain) == plain
    assert decode(plain) == plain


@pytest.mark.parametrize(
    ("dtype", "data"),
    [
        ("<U500000000", ["a", "b"]),
        ("S2000000000", [{"$bytes": "YQ=="}]),
        ("S2000000000", []),
        ("V2000000000", [{"$bytes": "YQ=="}]),
        ("(200000000,)f8", [1]),
        ("[('a', '<f8'), ('b', '<U500000000')]", [{"$tuple": [1.0, "b"]}]),
        ("[('a', 'O'), ('b', '<U500000000')]", [{"$tuple": [1.0, "b"]}]),
    ],
)
def test_an_array_takes_no_more_memory_than_its_data_could_fill(dtype, data):
    written = {"$ndarray": {"dtype": dtype, "shape": [len(data)], "data": data}}
    tracemalloc.start()
    try:
        found = decode(written)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000
    if isinstance(found, np.ndarray):
        assert found.tolist() == decode(data)
    else:
        assert found == written


def test_texts_that_are_shorter_than_their_array_allows_keep_their_type():
    names = np.array(["a", "bc"], "<U200")
    assert decode(encode(names)).dtype == names.dtype
    crowd = np.array(["ab"] * 1_000, "<U2000")
    assert decode(encode(crowd)).tolist() == crowd.tolist()
