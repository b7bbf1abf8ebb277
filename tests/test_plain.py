"""A record and its values as numbers, texts, flat names and Markdown."""

from __future__ import annotations

import datetime as dt
import json
import re
import time
from decimal import Decimal
from pathlib import Path

import mistune
import numpy as np
import pytest
from export_records import NASTY, finished, foreign
from hypothesis import given
from hypothesis import strategies as st

from dissmodel_lab import ExperimentRecord
from dissmodel_lab.errors import ExportError
from dissmodel_lab.plain import as_on_disk, code, cut, flat_values, markdown, plain_name, plain_value, printable
from dissmodel_lab.store import read_record

#: As nbconvert renders Markdown, with addresses as links.
RENDER = mistune.create_markdown(escape=False, plugins=["table", "strikethrough", "url"])


def test_a_copy_is_what_the_disk_has(tmp_path):
    record = run_record = finished(parameters={"token": "s3cr3t", "path": Path("a"), "pair": (1, 2)})
    copy = as_on_disk(record)
    assert copy.parameters == {"token": "***", "path": Path("a"), "pair": (1, 2)}
    assert run_record.parameters["token"] == "s3cr3t"
    read = foreign(tmp_path)
    assert as_on_disk(read).record_path == read.record_path


def test_what_no_file_can_hold_is_mended():
    record = finished(model_name="a\udce9")
    copy = as_on_disk(record)
    assert copy.model_name == ""
    assert copy.experiment_id == record.experiment_id
    assert any("record.model_name could not be written" in line for line in copy.logs)
    assert record.model_name == "a\udce9"
    assert record.logs == ["12 cells flooded"]


def test_a_record_that_is_none_is_refused():
    record = finished()
    record.created_at = "yesterday"
    with pytest.raises(ExportError, match=r"^This record cannot be exported: it holds what is no data "):
        as_on_disk(record)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        (-0.5, -0.5),
        ("a\x00b", "a\\x00b"),
        (Path("data/dem.tif"), "data/dem.tif"),
        (dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "2026-01-02T00:00:00+00:00"),
        (dt.timedelta(minutes=1), "60.0"),
        (Decimal("0.10"), "0.10"),
        ({2, 1}, "[1, 2]"),
        (np.array([[1, 2], [3, 4]]), "[[1, 2], [3, 4]]"),
        (np.float64(0.25), 0.25),
        ({"a": (1, float("inf"))}, '{"a": [1, "inf"]}'),
        (b"ab", '{"$bytes": "YWI="}'),
        ("a\r\nb\rc", "a\r\nb\\x0dc"),
        ([10**5000], None),
    ],
)
def test_plain_values(value, plain):
    found = plain_value(value)
    if plain is None and value is not None:
        assert found.startswith('["0x')
    else:
        assert found == plain
        assert type(found) is type(plain) or isinstance(value, np.floating)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_anything_becomes_something_plain(value):
    found = plain_value(value)
    assert found is None or isinstance(found, bool | int | float | str)
    if isinstance(found, str):
        found.encode()


def test_of_millions_only_the_first_are_looked_at():
    class Endless(list):
        n_seen = 0

        def __iter__(self):
            while True:
                type(self).n_seen += 1
                yield 1

    found = plain_value(Endless([1]))
    assert found.endswith(" ... (more in the record)")
    assert Endless.n_seen < 31_000


def test_flat_names_are_those_of_conditions():
    values = {"zones": [{"rates": {"urban": 0.5}}, {"name": "b"}], "cuts": [1, 2], 3: "x", "a\nb": 1}
    assert flat_values(values) == {
        "zones[0].rates.urban": 0.5,
        "zones[1].name": "b",
        "cuts": "[1, 2]",
        "3": "x",
        "a b": 1,
    }


def test_flat_names_that_meet_stay_two():
    assert flat_values({"a": {"b": 1}, "a.b": 2, "a\tb": 3, "a b": 4}) == {
        "a.b": 1,
        "a.b (2)": 2,
        "a b": 3,
        "a b (2)": 4,
    }


def test_large_tables_are_one_text():
    (value,) = flat_values({"t": {str(i): i for i in range(201)}}).values()
    assert json.loads(value)["200"] == 200
    assert len(flat_values({"t": {str(i): i for i in range(200)}})) == 200


def test_names_and_cuts():
    assert plain_name("  a \n b ") == "a b"
    assert plain_name("\n") == "(no name)"
    assert len(plain_name("x" * 1000)) < 260
    assert cut("abc", 3) == "abc"
    assert printable(NASTY).endswith("|\\x00\\x1b[31m\\u202e ç\\udce9")


@given(st.text(max_size=200))
def test_markdown_shows_what_it_was_given(text):
    shown = RENDER(f"x {markdown(text)} x")
    assert re.fullmatch(r"<p>[^<]*</p>\n", shown), shown
    wanted = " ".join(f"x {printable(' '.join(text.split()))} x".split())
    plain = " ".join(shown[3:-5].split())
    for name, sign in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        plain = plain.replace(name, sign)
    assert plain == wanted


@given(st.text(max_size=100))
def test_a_cell_stays_one_cell(text):
    shown = RENDER(f"| a | b |\n|---|---|\n| {markdown(text)} | end |\n")
    assert shown.count("<tr>") == 2
    assert shown.count("<td>") == 2
    assert "<td>end</td>" in shown


@given(st.text(max_size=100))
def test_code_is_code(text):
    shown = RENDER(f"x {code(text)} x")
    assert re.fullmatch(r"<p>x (<code>[^<]*</code>|`  `) x</p>\n", shown), shown


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("see https://x.y/z", "see https\\://x.y/z"),
        ("www.evil.com", "www\\.evil.com"),
        ("me@x.org", "me\\@x.org"),
        ("HTTP://q", "HTTP\\://q"),
        ("ftp://q", "ftp\\://q"),
        ("mailto:a@b.c", "mailto\\:a\\@b.c"),
        ("demand_2030.csv 12:30 a.b", "demand_2030.csv 12:30 a.b"),
    ],
)
def test_no_links_from_records(text, escaped):
    assert markdown(text) == escaped
    assert RENDER(escaped) == f"<p>{text}</p>\n"


def test_a_record_read_again_is_the_same(tmp_path):
    record = foreign(tmp_path)
    assert read_record(record.record_path) == record
    assert isinstance(as_on_disk(record), ExperimentRecord)


def test_thousands_of_names_that_read_alike_take_no_time():
    values = {f"{n:016b}".replace("0", " ").replace("1", "\t"): n for n in range(30_000)}
    began = time.perf_counter()
    flat = flat_values(values)
    assert time.perf_counter() - began < 20
    assert (len(flat), list(flat)[:2], list(flat)[-1]) == (
        30_000,
        ["(no name)", "(no name) (2)"],
        "(no name) (30000)",
    )
