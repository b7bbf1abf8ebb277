"""The targets of the fuzzer, driven by hypothesis: any bytes are read or refused in one clear message."""

from __future__ import annotations

import random

import pytest
from fuzz import parsers
from fuzz.mutations import mutate
from hypothesis import given
from hypothesis import strategies as st

from properties import examples


@pytest.mark.parametrize("name", sorted(parsers.TARGETS))
def test_any_bytes_are_read_or_refused(name):
    @examples(20)
    @given(
        st.one_of(
            st.binary(max_size=80),
            st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
            st.builds(
                lambda content, seed: mutate(content, random.Random(seed)),
                st.sampled_from(parsers.TARGETS[name].corpus),
                st.integers(0, 2**32),
            ),
        )
    )
    def read(content):
        parsers.check(name, content)

    read()


@pytest.mark.parametrize("name", sorted(parsers.TARGETS))
def test_what_the_fuzzer_begins_with_is_sound(name):
    for content in parsers.TARGETS[name].corpus:
        assert parsers.check(name, content) == ""


def test_the_harness_sees_what_must_not_be(monkeypatch):
    """A test that can't fail would be worth nothing."""
    target = parsers.TARGETS["toml"]
    monkeypatch.setitem(parsers.TARGETS, "toml", target._replace(parse=lambda content: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        parsers.check("toml", b"")
