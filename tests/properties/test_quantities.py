"""Durations and sizes: what a person reads is what was measured, rounded; and larger is never less."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dissmodel_lab.quantities import bytes_text, duration_text
from properties import examples

UNITS = {"ms": 0.001, "s": 1, "min": 60, "h": 3600}
SIZES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}


def seconds_in(text):
    found = re.findall(r"([\d.]+) (ms|s|min|h)\b", text)
    assert " ".join(f"{number} {unit}" for number, unit in found) == text
    return sum(float(number) * UNITS[unit] for number, unit in found), UNITS[found[-1][1]], found


def bytes_in(text):
    number, unit = re.fullmatch(r"([\d.,]+) (B|[KMGT]iB)", text).groups()
    return float(number.replace(",", "")) * SIZES[unit]


@examples(80)
@given(st.floats(0, 1e9))
@example(0.9995)
@example(59.95)
@example(3599.5)
@example(3629.9999)
def test_a_duration_says_what_was_measured(seconds):
    said, unit, parts = seconds_in(duration_text(seconds))
    shown = 0.1 if parts == [(parts[0][0], "s")] else unit
    # minutes behind hours are cut off, all else is rounded
    assert abs(said - seconds) <= (60.5 if unit == 60 else shown / 2 * 1.000001)
    assert all(float(number) < 60 for number, unit in parts[1:])
    assert float(parts[0][0]) < {"ms": 1000, "s": 60, "min": 60, "h": float("inf")}[parts[0][1]]


@examples(100)
@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_longer_duration_never_reads_shorter(one, other):
    short, long = sorted((one, other))
    assert seconds_in(duration_text(short))[0] <= seconds_in(duration_text(long))[0]


@examples(80)
@given(st.one_of(st.integers(0, 2**50), st.floats(0, 2**50)), st.integers(0, 2**50))
@example(1023.5, 1024)
@example(1024**2 - 1, 1024**2)
@example(9.95 * 1024, 10 * 1024)
def test_a_size_says_what_was_counted(size, other):
    said = bytes_in(bytes_text(size))
    assert said == pytest.approx(size, rel=0.06, abs=0.5)
    assert (said <= bytes_in(bytes_text(other))) or size > other
