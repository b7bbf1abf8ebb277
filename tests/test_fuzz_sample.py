"""A sample of what tests/fuzz/run.py does ten thousand times."""

from __future__ import annotations

import random
import time

import pytest
from fuzz import isolation, run
from fuzz.mutations import mutate
from fuzz.seeds import all_seeds

#: Inputs of each kind.
EACH = 6


@pytest.fixture(scope="module")
def seeds():
    return all_seeds()


def test_the_same_numbers_make_the_same_damage():
    data = bytes(range(256)) * 4
    damaged = [mutate(data, random.Random(number)) for number in range(50)]
    assert damaged == [mutate(data, random.Random(number)) for number in range(50)]
    assert sum(one != data for one in damaged) > 45


def test_a_sample_of_damaged_inputs(seeds):
    found = run.run_all(seeds, EACH * len(seeds), 20_261_123)
    assert run.faults(found) == [], run.table(seeds, found)
    outcomes = [one for outcomes in found.values() for one in outcomes]
    assert len(outcomes) == EACH * len(seeds)
    # neither "everything is refused" nor "nothing was damaged"
    assert {one.ended for one in outcomes} == {"picture", "refused"}


def test_the_harness_sees_crashes_hangs_and_other_errors():
    """A test that can't fail would be worth nothing."""

    def do(number):
        if number == 1:
            import ctypes

            ctypes.string_at(0)
        if number == 3:
            time.sleep(30)
        return "picture", ""

    outcomes = isolation.run_all(range(5), do, longest=1.0)
    assert [one.ended for one in outcomes] == ["picture", "crash", "picture", "hang", "picture"]
    assert outcomes[1].text == "SIGSEGV"
