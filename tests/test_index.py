"""The index: what is asked of it is answered as a look at every run would answer; damage and age mend themselves."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cmp_to_key
from math import inf, isnan, nan
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from index_state import state

from dissmodel_lab import ExperimentRecord, RunStore, run
from dissmodel_lab.annotations import annotate
from dissmodel_lab.conditions import Both, Comparison, Either, Membership, Negation, parse_condition
from dissmodel_lab.executor.testing import SteppingExecutor
from dissmodel_lab.index import INDEX_NAME, RunIndex, RunQuery, arrivals, mounts, run_index, scan, tables
from dissmodel_lab.index.queries import counting, selection, sorted_index
from dissmodel_lab.index.rows import Found, write_rows
from dissmodel_lab.index.summaries import METRIC, PARAMETER, microseconds, summary_of
from dissmodel_lab.index.tables import DATABASE_NAME, close
from dissmodel_lab.store import readers, reading

ROOT = Path("experiments")
DATABASE = ROOT / INDEX_NAME / DATABASE_NAME


# --- what is asked, beside an evaluation of the tree for every run

TEXT_FIELDS = {
    "id": "id",
    "model": "model",
    "status": "status",
    "title": "title",
    "source": "source",
    "source_sha256": "source_sha256",
    "phase": "phase",
    "version": "version",
    "package": "package",
}
NAMES = ("a", "it's; DROP TABLE runs; --")
TEXTS = ("", "a", "ab", "B", "é", "nan", "5", "%", "x' OR 1=1 --")
NUMBERS = (0, 1, 5, 0.5, inf, -inf, 2**53, 2**53 + 1, -(2**63))
values = st.one_of(st.sampled_from(TEXTS), st.sampled_from(NUMBERS), st.booleans(), st.none())
DAY = datetime(2026, 1, 1, tzinfo=UTC)
moments = st.sampled_from([DAY + timedelta(hours=hours) for hours in range(5)])

records = st.builds(
    lambda number, parameters, metrics, model, status, created, steps, tags: (
        ExperimentRecord(
            experiment_id=f"{number:02x}",
            parameters=parameters,
            metrics=metrics,
            model_name=model,
            status=status,
            created_at=created,
            steps=steps,
            source={"uri": model, "checksum": status},
            code_version=model,
            failed_phase=status,
        ),
        tuple(tags),
    ),
    st.integers(0, 255),
    st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, st.one_of(values, st.just(nan)))),
    st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, values)),
    st.sampled_from(TEXTS[:4]),
    st.sampled_from(TEXTS[:4]),
    moments,
    st.one_of(st.none(), st.integers(0, 3)),
    st.lists(st.sampled_from(("a", "B", "ab")), unique=True, max_size=2),
)

operators = st.sampled_from(("==", "!=", "<", "<=", ">", ">=", "contains"))
any_name = st.sampled_from(
    (*NAMES, *(f"parameters.{n}" for n in NAMES), *(f"metrics.{n}" for n in NAMES), "none_has_it")
)
fields = st.sampled_from((*TEXT_FIELDS, "tag", "seconds", "steps"))
leaves = st.one_of(
    st.builds(Comparison, st.one_of(any_name, fields), operators, values),
    st.builds(
        Comparison,
        st.just("created"),
        st.sampled_from(("==", "!=", "<", "<=", ">", ">=")),
        moments.map(datetime.isoformat),
    ),
    st.builds(Membership, st.one_of(any_name, fields), st.lists(values, max_size=3).map(tuple), st.booleans()),
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: Both(tuple(parts))),
        st.lists(inner, max_size=3).map(lambda parts: Either(tuple(parts))),
        inner.map(Negation),
    ),
    max_leaves=6,
)


def values_of(name, summary, tags):
    """Return the values that a run has under a name, in a list; empty: it has none."""
    if name == "tag":
        return list(tags)
    if name in ("seconds", "steps", "created"):
        found = [getattr(summary, name)]
    elif name in TEXT_FIELDS:
        found = [getattr(summary, name) or None]
    else:
        kinds = (PARAMETER, METRIC)
        for prefix, kind in (("parameters.", PARAMETER), ("metrics.", METRIC)):
            if name.startswith(prefix):
                name, kinds = name.removeprefix(prefix), (kind,)
        found = [summary.facts[kind, name] for kind in kinds if (kind, name) in summary.facts][:1]
    return [value for value in found if value is not None]


def kept(value):
    """Return a value as the index keeps it."""
    if isinstance(value, float) and isnan(value):
        return "nan"
    return value


def holds(value, operator, wanted):
    wanted = kept(wanted)
    alike = isinstance(value, str) == isinstance(wanted, str)
    match operator:
        case "==":
            return alike and value == wanted
        case "!=":
            return not (alike and value == wanted)
        case "<":
            return alike and value < wanted
        case "<=":
            return alike and value <= wanted
        case ">":
            return alike and value > wanted
        case ">=":
            return alike and value >= wanted
        case _:
            return isinstance(value, str) and isinstance(wanted, str) and wanted in value


def fits(condition, summary, tags):
    """Say whether a run fits, by the rules that the module of queries states."""
    match condition:
        case Both(parts):
            return all(fits(part, summary, tags) for part in parts)
        case Either(parts):
            return any(fits(part, summary, tags) for part in parts)
        case Negation(part):
            return not fits(part, summary, tags)
        case Comparison(name, operator, value):
            wanted, is_none_of = (value,), operator == "!="
        case Membership(name, wanted, is_none_of):
            operator = "=="
    if name == "created":
        wanted = tuple(microseconds(datetime.fromisoformat(value)) for value in wanted)
    found = values_of(name, summary, tags)
    if is_none_of and name == "tag" and None not in wanted:
        return not any(holds(value, "==", one) for value in found for one in wanted if one is not None)
    if is_none_of:
        return bool(found) and not any(holds(v, "==", one) for v in found for one in wanted if one is not None)
    if operator == "==" and None in wanted and not found:
        return True
    return any(holds(value, operator, one) for value in found for one in wanted if one is not None)


def in_memory(found):
    """Fill an index in memory."""
    opened = tables._in_memory("")
    rows = [
        (1, f"run{number}/record.json".encode(), Found((0, 0, -1, -1), 0, summary_of(record), tags))
        for number, (record, tags) in enumerate(found)
    ]
    with opened.writing():
        write_rows(opened, rows)
    return opened, [(row[2].summary, row[2].tags, row[1]) for row in rows]


def places(opened, question):
    return [row[2] for row in opened.connection.execute(question.sql, question.values)]


def newest_first(one, other):
    keys = [(summary.created, summary.id, place) for summary, _, place in (one, other)]
    return -1 if keys[0] > keys[1] else 1


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(found=st.lists(records, min_size=4, max_size=12), condition=conditions)
def test_conditions_in_sql_as_in_python(found, condition):
    opened, runs = in_memory(found)
    for fewest in (500, 0):  # along the newest, and from the rare values
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("dissmodel_lab.index.queries._FEWEST", fewest)
            expected = [
                place
                for *_, place in sorted((r for r in runs if fits(condition, *r[:2])), key=cmp_to_key(newest_first))
            ]
            query = RunQuery(where=condition)
            assert places(opened, selection(opened, query)) == expected
            assert opened.connection.execute(*_pair(counting(opened, query))).fetchone() == (len(expected),)
            page = RunQuery(where=condition, limit=2, offset=1)
            assert places(opened, selection(opened, page)) == expected[1:3]
    opened.connection.close()


def _pair(question):
    return question.sql, question.values


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    found=st.lists(records, min_size=4, max_size=12),
    name=st.one_of(any_name, fields),
    down=st.booleans(),
    condition=conditions,
)
def test_order_in_sql_as_in_python(found, name, down, condition):
    def before(one, other):
        first, second = (min(values_of(name, *item[:2]), default=None) for item in (one, other))
        if first is None or second is None or first == second:
            return newest_first(one, other) if first == second else (1 if first is None else -1)
        is_alike = isinstance(first, str) == isinstance(second, str)
        smaller = first < second if is_alike else isinstance(second, str)
        return -1 if smaller != down else 1

    opened, runs = in_memory(found)
    runs = [item for item in runs if fits(condition, *item[:2])]
    expected = [place for *_, place in sorted(runs, key=cmp_to_key(before))]
    query = RunQuery(sort=f"{'-' if down else ''}{name}", where=condition)
    assert places(opened, selection(opened, query)) == expected
    for limit, offset in ((1, 0), (2, 1), (20, 0)):
        page = RunQuery(sort=query.sort, where=condition, limit=limit, offset=offset)
        assert [row[2] for row in run_index._rows(opened, page)] == expected[offset : offset + limit]
    opened.connection.close()


RUNS = {
    "number": {"x": 5},
    "fraction": {"x": 0.5},
    "text": {"x": "5"},
    "word": {"x": "é"},
    "true": {"x": True},
    "null": {"x": None},
    "infinite": {"x": inf},
    "odd": {"x": nan},
    "none": {},
}
RULES = {
    "x == 5": "number",
    "x == '5'": "text",
    "x != 5": "fraction text word true infinite odd",
    "not x == 5": "fraction text word true null infinite odd none",
    "x == none": "null none",
    "x != none": "number fraction text word true infinite odd",
    "x > 0.5": "number true infinite",
    "x >= 0.5": "number fraction true infinite",
    "x < 5": "fraction true",
    "x > '4'": "text word odd",
    "x < 'n'": "text",
    "x >= ''": "text word odd",
    "not x >= ''": "number fraction true null infinite none",
    "0.2 < x <= 5": "number fraction true",
    "x == true": "true",
    "x == 'nan'": "odd",
    "x contains ''": "text word odd",
    "x in (5, '5', none)": "number text null none",
    "x not in (5, '5')": "fraction word true infinite odd",
    "not x in (5, '5')": "fraction word true null infinite odd none",
    "x > 1e308": "infinite",
    "parameters.x == 5": "number",
    "metrics.x == 5": "",
    "metrics.x == none": " ".join(RUNS),
    "unknown < 5": "",
    "not unknown < 5": " ".join(RUNS),
    "unknown == none and x == 5": "number",
    "tag == 'word'": "word odd",
    "tag != 'word'": "number fraction text true null infinite none",
    "tag not in ('word', 'text')": "number fraction true null infinite none",
    "tag == none": "number fraction true null infinite none",
    "tag != none": "text word odd",
    "tag contains 'or'": "word odd",
    "steps > 0": "fraction text word true null infinite odd none",
    "steps == 0": "number",
    "seconds == none": " ".join(RUNS),
    "seconds > 1": "",
    "not seconds > 1": " ".join(RUNS),
    "phase == none": " ".join(RUNS),
    "phase != 'run'": "",
    "id contains 'u'": "number true null",
    "id < 'o'": "number fraction null infinite none",
}


@pytest.mark.parametrize("fewest", [500, 0], ids=["along the newest", "from rare values"])
def test_rules_of_comparisons(fewest, monkeypatch):
    monkeypatch.setattr("dissmodel_lab.index.queries._FEWEST", fewest)
    tags = {"text": ("text",), "word": ("word", "text"), "odd": ("word",)}
    opened, _ = in_memory(
        [
            (ExperimentRecord(experiment_id=name, parameters=parameters, steps=number), tags.get(name, ()))
            for number, (name, parameters) in enumerate(RUNS.items())
        ]
    )
    for text, expected in RULES.items():
        query = RunQuery(where=parse_condition(text), limit=100)
        found = [row[7] for row in opened.connection.execute(*_pair(selection(opened, query)))]
        assert sorted(found) == sorted(expected.split()), text
    opened.connection.close()


def test_values_of_another_kind_fit_no_field():
    opened, _ = in_memory([(ExperimentRecord(experiment_id="5", model_name="5", steps=5), ("5",))])
    for name, value in (("model", 5), ("steps", "5"), ("tag", 5)):
        for operator, fitting in (("==", 0), ("!=", 1), ("<", 0), (">=", 0), ("contains", 0)):
            question = counting(opened, RunQuery(where=Comparison(name, operator, value)))
            assert opened.connection.execute(*_pair(question)).fetchone() == (fitting,), (name, operator)
    opened.connection.close()


def test_walk_along_one_value_is_taken():
    opened, _ = in_memory([(ExperimentRecord(metrics={"kappa": number}), ()) for number in range(5)])
    question = sorted_index(opened, RunQuery(sort="-kappa", limit=2))
    assert places(opened, question) == [b"run4/record.json", b"run3/record.json"]
    assert sorted_index(opened, RunQuery(sort="-created", limit=2)) is None
    assert sorted_index(opened, RunQuery(sort="-kappa")) is None
    opened.connection.close()


def test_the_other_parts_of_a_query():
    moment = datetime(2026, 5, 1, tzinfo=UTC)
    opened, _ = in_memory(
        [
            (
                ExperimentRecord(
                    experiment_id=f"{number}",
                    model_name=f"m{number % 2}",
                    status="completed" if number < 3 else "failed",
                    created_at=moment + timedelta(days=number),
                    source={"checksum": f"abc{number}"},
                ),
                ("odd",) if number % 2 else (),
            )
            for number in range(4)
        ]
    )

    def found(**facts):
        return "".join(place[3:4].decode() for place in places(opened, selection(opened, RunQuery(**facts))))

    assert found() == "3210"
    assert found(model="m1") == "31"
    assert found(model="m1", status="failed") == "3"
    assert found(tag="odd", status="completed") == "1"
    assert found(source_sha256="ABC2") == "2"
    assert found(source_sha256="abc") == "3210"
    assert found(since=moment + timedelta(days=2)) == "32"
    assert found(since=datetime(2026, 5, 2), until=datetime(2026, 5, 3)) == "1"  # noqa: DTZ001 -- naive is UTC
    assert found(sort="created", limit=2, offset=1) == "12"
    assert found(limit=0) == ""
    assert found(where=parse_condition("model == 'm0' and created < '2026-05-03'")) == "0"
    opened.connection.close()


# --- what a listing notices


@pytest.fixture
def large(monkeypatch):
    """Every store counts as large: only what a listing of 100,000 runs looks at is looked at."""
    monkeypatch.setattr(scan, "_FEW", 0)


def make(name, experiment_id, **fields):
    path = ROOT / name / "record.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    record = ExperimentRecord(experiment_id=experiment_id * 32, model_name="m", status="completed", **fields)
    path.write_text(record.model_dump_json())
    return path


def ids():
    return "".join(sorted(entry.experiment_id[0] for entry in RunStore().entries()))


def test_large_store_notices_what_was_added_and_removed(large):
    make("20260101T000000-m-aaaaaaaa", "a")
    assert ids() == "a"
    make("20260101T000000-m-bbbbbbbb", "b")
    make("20260101T000000-m-cccccccc", "c")
    assert ids() == "abc"
    make("from_ana/x", "d")
    assert ids() == "abcd"
    make("from_ana/y/z", "e")
    assert ids() == "abcde"
    shutil.rmtree(ROOT / "20260101T000000-m-bbbbbbbb")
    shutil.rmtree(ROOT / "from_ana" / "y")
    assert ids() == "acd"
    shutil.rmtree(ROOT / "from_ana")
    assert ids() == "ac"
    run(SteppingExecutor)
    assert len(RunStore().entries()) == 3


def test_large_store_does_not_list_a_folder_that_has_not_changed(large, monkeypatch):
    make("20260101T000000-m-aaaaaaaa", "a")
    long_ago = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    RunStore().entries()
    os.utime(ROOT, (long_ago, long_ago))
    RunStore().entries()
    listed = []
    usual = scan._listed
    monkeypatch.setattr(scan, "_listed", lambda *what: listed.append(what) or usual(*what))
    assert ids() == "a"
    assert listed == []
    make("20260101T000000-m-bbbbbbbb", "b")
    assert ids() == "ab"
    assert len(listed) == 1
    assert ids() == "ab"
    assert len(listed) == 2  # it changed less than two seconds ago: its time of change may not tell of another change


def test_large_store_shows_each_record_as_its_file_says(large):
    path = make("20260101T000000-m-aaaaaaaa", "a", metrics={"n": 1})
    other = make("20260101T000000-m-bbbbbbbb", "b", metrics={"n": 2})
    store = RunStore()
    assert len(store.entries()) == 2
    path.write_text(path.read_text().replace('"completed"', '"failed"'))
    assert {entry.status for entry in store.entries()} == {"completed", "failed"}
    assert store.find("aaa").status == "failed"
    other.unlink()
    assert ids() == "a"
    # What does not fit as it was before is found by a reindexing, as the module says.
    path.write_text(path.read_text().replace('"n":1', '"n":7'))
    query = RunQuery(where=parse_condition("n == 7"))
    assert store.select(query) == []
    assert store.reindex()[:3] == (1, 0, 0)
    assert [entry.experiment_id[0] for entry in store.select(query)] == ["a"]


def test_folder_without_a_record_is_watched(large):
    folder = ROOT / "20260101T000000-m-aaaaaaaa"
    (folder / "partial").mkdir(parents=True)
    make("20260101T000000-m-bbbbbbbb", "b")
    assert ids() == "b"
    make("20260101T000000-m-aaaaaaaa", "a")
    assert ids() == "ab"
    with tables.database(ROOT) as opened:
        assert opened.connection.execute("SELECT path FROM folders").fetchall() == [(b"",)]


def test_record_that_comes_while_its_folder_is_listed(monkeypatch):
    (ROOT / "20260101T000000-m-aaaaaaaa").mkdir(parents=True)
    usual = scan._listed

    def later(folder, known):
        if folder.endswith(b"aaaaaaaa"):
            make("20260101T000000-m-aaaaaaaa", "a")
        return usual(folder, known)

    monkeypatch.setattr(scan, "_listed", later)
    assert ids() == "a"
    with tables.database(ROOT) as opened:
        assert opened.connection.execute("SELECT parent, place FROM runs").fetchall() == [
            (1, b"20260101T000000-m-aaaaaaaa/record.json")
        ]


def test_reindex_makes_the_same_rows_as_run_by_run():
    for number in range(5):
        run(SteppingExecutor, parameters={"n_steps": number + 1} if number else None)
    with pytest.raises(Exception, match="whatever"):
        run(_Failing)
    store = RunStore()
    store.annotate(store.entries()[0].experiment_id, tags=["b", "a"])
    make("from_ana/x", "d")
    (ROOT / "torn").mkdir()
    (ROOT / "torn" / "record.json").write_text("{")
    store.entries()
    before = state(ROOT)
    assert len(before["runs"]) == 8
    assert store.reindex()[:3] == (8, 1, 0)
    assert state(ROOT) == before
    close(ROOT)
    shutil.rmtree(ROOT / INDEX_NAME)
    assert RunStore().reindex()[:3] == (8, 1, 0)
    assert state(ROOT) == before


class _Failing(SteppingExecutor, register=False):
    name = "failing_here"

    def run(self, data, record):
        raise RuntimeError("whatever")


def test_reindex_repairs_rows_that_say_something_else():
    make("20260101T000000-m-aaaaaaaa", "a", metrics={"n": 1})
    store = RunStore()
    store.entries()
    before = state(ROOT)
    with tables.database(ROOT) as opened:
        opened.connection.execute("UPDATE facts SET value = 9")
        opened.connection.execute("UPDATE runs SET title = 'something else', status = 'failed'")
        opened.connection.execute("INSERT INTO tags SELECT n, 'invented', 0 FROM runs")
    assert state(ROOT) != before
    store.reindex()
    assert state(ROOT) == before


def test_interrupted_reindex_goes_on(monkeypatch):
    for number in range(10):
        make(f"20260101T000000-m-{number:08}", f"{number}")
    store = RunStore()
    store.entries()
    monkeypatch.setattr(scan, "_BATCH", 2)
    read = []

    def read_some(path):
        if len(read) == 5:
            raise KeyboardInterrupt
        read.append(path)
        return reading.look_at(path)

    monkeypatch.setattr(readers, "look_at", read_some)
    with pytest.raises(KeyboardInterrupt):
        store.reindex()
    assert len(read) == 5  # the fifth was read, but not yet written
    again = []
    monkeypatch.setattr(readers, "look_at", lambda path: again.append(path) or reading.look_at(path))
    assert store.reindex().n_records == 10
    assert len(again) == 6
    assert again[0] == read[4]
    assert store.reindex().n_records == 10
    assert len(again) == 16


@pytest.fixture
def several(monkeypatch):
    """Records are read by two other processes, in batches of four."""
    monkeypatch.setattr(scan, "_VERY_MANY", 3)
    monkeypatch.setattr(scan, "_BATCH", 4)
    monkeypatch.setattr(readers, "MANY", 3)
    monkeypatch.setattr(readers, "_processors", lambda: 2)


def odd_store():
    """A store with records of all kinds."""
    for number in range(20):
        make(f"20260101T000000-m-{number:08}", f"{number % 10}", metrics={"n": number, "far": inf, "odd": nan})
    (ROOT / "torn").mkdir()
    (ROOT / "torn" / "record.json").write_text("{")
    (ROOT / "half").mkdir()
    (ROOT / "half" / "record.json").write_text(
        '{"experiment_id": "h", "parameters": {"x": {"$escaped": "\\\\ud800"}}}'
    )
    (ROOT / "map.json").write_text("{}")
    annotate(ROOT / "20260101T000000-m-00000003" / "record.json", tags=["b", "a"])


def test_several_processes_read_the_same(several, monkeypatch):
    odd_store()
    here = []
    monkeypatch.setattr(readers, "look_at", lambda path: here.append(path) or reading.look_at(path))
    assert len(RunStore().entries()) == 22
    assert sorted(here) == [b"experiments/half/record.json", b"experiments/torn/record.json"]  # a few are read here
    found = state(ROOT)
    monkeypatch.setattr(readers, "MANY", 1000)
    close(ROOT)
    shutil.rmtree(ROOT / INDEX_NAME)
    RunStore().entries()
    assert len(here) == 2 + 23  # the map is looked at, too
    assert state(ROOT) == found


@pytest.mark.parametrize("when", ["asked", "answering", "never started"])
def test_processes_that_end_are_done_without(several, monkeypatch, when):
    odd_store()
    name = {"asked": "_asked", "answering": "_answer"}.get(when)
    if name is None:
        monkeypatch.setattr(readers, "_SERVE", "raise SystemExit(1)")
    else:
        usual = getattr(readers, name)

        def end_it(process, what):
            process.kill()
            process.wait()
            return usual(process, what)

        monkeypatch.setattr(readers, name, end_it)
    assert len(RunStore().entries()) == 22
    assert RunStore().count(RunQuery(where=parse_condition("n >= 10"))) == 10


def test_two_reindexings_share_the_work(monkeypatch):
    for number in range(40):
        make(f"20260101T000000-m-{number:08}", f"{number % 10}", metrics={"n": number})
    monkeypatch.setattr(scan, "_BATCH", 4)
    stores = [RunStore(), RunStore()]
    threads = [threading.Thread(target=store.reindex) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    before = state(ROOT)
    assert len(before["runs"]) == 40
    assert stores[0].reindex().n_records == 40
    assert state(ROOT) == before


def test_very_many_new_records_are_added_without_the_index_of_values(monkeypatch):
    monkeypatch.setattr(scan, "_VERY_MANY", 3)
    for number in range(6):
        make(f"20260101T000000-m-{number:08}", f"{number}", metrics={"n": number})
    assert ids() == "012345"
    with tables.database(ROOT) as opened:
        plan = opened.connection.execute("EXPLAIN QUERY PLAN SELECT run FROM facts WHERE name = 1 AND value > 2")
        assert "facts_name" in plan.fetchone()[3]


# --- damage


def edit(*statements):
    connection = sqlite3.connect(DATABASE)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def overwrite():
    with DATABASE.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(DATABASE.stat().st_size - 4096))


def put_a_file_in_its_place():
    shutil.rmtree(ROOT / INDEX_NAME)
    (ROOT / INDEX_NAME).write_text("")


DAMAGES = {
    "deleted": lambda: shutil.rmtree(ROOT / INDEX_NAME),
    "no database": lambda: DATABASE.write_bytes(b"no database at all" * 1000),
    "cut off": lambda: os.truncate(DATABASE, 8192),
    "empty": lambda: DATABASE.write_bytes(b""),
    "overwritten": overwrite,
    "another version": lambda: edit("PRAGMA user_version = 99"),
    "other tables": lambda: edit("DROP TABLE runs", "CREATE TABLE runs (whatever)"),
    "other values": lambda: edit("UPDATE runs SET created = 'yesterday'"),
    "no index of values": lambda: edit("DROP INDEX facts_name"),
    "a file in its place": put_a_file_in_its_place,
}


@pytest.mark.parametrize("in_use", [False, True], ids=["closed", "in use"])
@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_is_mended_and_nothing_is_lost(kind, in_use):
    for number in range(9):
        make(f"20260101T000000-m-{number:08}", f"{number}", metrics={"n": number})
    store = RunStore()
    store.annotate("333", tags=["paper"])
    expected = store.entries()
    if not in_use or kind == "overwritten":  # what a process holds in memory hides what lies on the disk
        close(ROOT)
    DAMAGES[kind]()
    query = RunQuery(where=parse_condition("n >= 7"))
    assert store.entries() == expected
    assert [entry.experiment_id[0] for entry in store.select(query)] == ["8", "7"]
    assert store.count(RunQuery(tag="paper")) == 1
    record = run(SteppingExecutor)
    assert store.find("last").experiment_id == record.experiment_id
    assert len(store.entries()) == 10
    assert store.reindex().n_records == 10
    command = "from dissmodel_lab import RunStore; print(len(RunStore().entries()))"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "10\n"


def test_index_that_another_process_holds_is_not_waited_for_forever(monkeypatch):
    make("20260101T000000-m-aaaaaaaa", "a")
    RunStore().entries()
    close(ROOT)
    monkeypatch.setattr(tables, "_PATIENCE", 0.1)
    other = sqlite3.connect(DATABASE)
    other.execute("BEGIN IMMEDIATE")
    make("20260101T000000-m-bbbbbbbb", "b")
    store = RunStore()
    assert len(store.entries()) == 2
    assert store.notices[0].startswith("The index of 'experiments' is kept in memory: database is locked. ")
    other.rollback()
    other.close()
    assert len(store.entries()) == 2
    monkeypatch.setattr(tables, "_AGAIN", 0.0)
    tables._open[tables.key_of(ROOT)].until = 0.0  # a minute later
    assert len(store.entries()) == 2
    assert store.notices == []


def test_few_connections_are_kept(workspace):
    for number in range(10):
        run(SteppingExecutor, store=workspace / f"s{number}")
        assert len(RunStore(workspace / f"s{number}").entries()) == 1
    assert len(tables._open) <= 4


def test_forked_child_opens_an_index_of_its_own():
    make("20260101T000000-m-aaaaaaaa", "a")
    assert ids() == "a"
    parents = tables._open[tables.key_of(ROOT)].connection
    child = os.fork()
    if child == 0:
        is_right = ids() == "a" and tables._open[tables.key_of(ROOT)].connection is not parents
        os._exit(0 if is_right else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert ids() == "a"


def test_link_in_place_of_the_index_is_not_followed(workspace):
    make("20260101T000000-m-aaaaaaaa", "a")
    (workspace / "elsewhere").mkdir()
    (ROOT / INDEX_NAME).symlink_to(workspace / "elsewhere", target_is_directory=True)
    store = RunStore()
    assert len(store.entries()) == 1
    assert "kept in memory: .index-v2 is a link, which is not followed." in store.notices[0]
    assert list((workspace / "elsewhere").iterdir()) == []


# --- where it lies

MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:30 / /mnt/share rw - nfs4 server:/x rw
31 30 0:31 / /mnt/share/local rw - tmpfs tmpfs rw
32 22 0:32 / /mnt/my\\040drive rw shared:1 master:2 - fuse.sshfs host:/ rw
33 22 0:33 / /mnt/win rw - cifs //server/share rw
34 22 0:34 / /mnt/usb rw - fuseblk /dev/sdb1 rw
broken line
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/mnt/share/ana/experiments", "nfs4"),
        ("/mnt/share", "nfs4"),
        ("/mnt/shared", ""),
        ("/mnt/share/local/x", ""),
        ("/mnt/my drive/x", "fuse.sshfs"),
        ("/mnt/win/x", "cifs"),
        ("/mnt/usb/x", ""),
        ("/home/ana", ""),
    ],
)
def test_network_file_systems(folder, kind, workspace):
    listing = workspace / "mountinfo"
    listing.write_text(MOUNTS)
    assert mounts.network_type(Path(folder), listing) == kind
    assert mounts.network_type(Path(folder), workspace / "not Linux") == ""


def test_known_names():
    make("20260101T000000-m-aaaaaaaa", "a", metrics={"n": 1}, parameters={"rates": [{"urban": 2}]})
    store = RunStore()
    assert store.known_names() == []
    store.entries()
    assert store.known_names() == ["n", "rates[0].urban"]
    shutil.rmtree(ROOT / "20260101T000000-m-aaaaaaaa")
    store.entries()
    assert store.known_names() == []


def test_index_alone_says_what_it_knows():
    assert RunIndex(ROOT, None).newest_completed("m", 5) == []
    assert not ROOT.exists()


def rows_on_disk(root):
    """Count the runs in the index's file, as another program finds it."""
    with closing(sqlite3.connect(root / INDEX_NAME / DATABASE_NAME)) as file:
        return file.execute("SELECT count(*) FROM runs").fetchone()[0]


def ended(store, count):
    for _ in range(count):
        record = ExperimentRecord(model_name="m", status="completed")
        store.end(store.begin(record), record)


@pytest.fixture
def slow_index(monkeypatch):
    """Let runs wait for the index until somebody asks."""
    monkeypatch.setattr(arrivals, "DELAY", 60.0)
    monkeypatch.setattr(arrivals, "_waiting", [arrivals._Waiting()])  # its thread sleeps for as long


@pytest.mark.usefixtures("slow_index")
def test_runs_that_end_together_are_written_together(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(
        arrivals, "write_rows", lambda opened, found: (written.append(len(found)), write_rows(opened, found))
    )
    store = RunStore(tmp_path)
    ended(store, 6)
    assert written == [1]  # the first one made the index
    assert len(store.entries()) == 6
    assert written == [1, 5]
    assert rows_on_disk(tmp_path) == 6


def test_runs_are_written_a_moment_later_by_themselves(tmp_path):
    ended(RunStore(tmp_path), 4)
    deadline = time.monotonic() + 20
    while rows_on_disk(tmp_path) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.usefixtures("slow_index")
def test_very_many_runs_are_not_kept_waiting(tmp_path, monkeypatch):
    monkeypatch.setattr(arrivals, "_MOST", 3)
    ended(RunStore(tmp_path), 4)
    assert rows_on_disk(tmp_path) == 4


def test_a_store_that_was_removed_is_not_made_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(arrivals, "DELAY", 0.05)
    store = RunStore(tmp_path / "store")
    ended(store, 3)
    shutil.rmtree(tmp_path / "store")
    time.sleep(0.5)
    assert not (tmp_path / "store").exists()
    assert store.entries() == []


def test_the_last_runs_of_a_process_are_written_at_its_end(tmp_path):
    code = (
        "from dissmodel_lab import ExperimentRecord, RunStore\n"
        "store = RunStore('store')\n"
        "for _ in range(5):\n"
        "    record = ExperimentRecord(model_name='m', status='completed')\n"
        "    store.end(store.begin(record), record)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert rows_on_disk(tmp_path / "store") == 5
