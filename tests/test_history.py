"""The table of runs: what tells runs apart, small pictures, static HTML that is safe, and controls that work."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import struct
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dissmodel_lab import ExperimentRecord, RunStore, history, run
from dissmodel_lab.conditions import parse_condition
from dissmodel_lab.errors import QueryError
from dissmodel_lab.executor.schemas import Provenance
from dissmodel_lab.executor.testing import FailingExecutor, SteppingExecutor
from dissmodel_lab.history import HEADS, THUMBNAIL, History, differing_names, list_runs, query_words, thumbnail_of
from dissmodel_lab.index import RunQuery
from dissmodel_lab.rasters import Raster, write_raster
from dissmodel_lab.views import history as view
from dissmodel_lab.views import outputs
from dissmodel_lab.views.history import LIMIT, RunControls, RunTable, history_html, runs

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
MOMENT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def put(number, output=None, **fields):
    """Write a record into the store, the way another program would; the number is its minute."""
    folder = Path("experiments", f"run-{number:04}")
    folder.mkdir(parents=True)
    facts = {
        "experiment_id": f"{number:08x}{'0' * 24}",
        "model_name": "flood",
        "status": "completed",
        "created_at": MOMENT + dt.timedelta(minutes=number),
        **fields,
    }
    if output is not None:
        facts |= {"artifacts": {"output": "0" * 64}, "artifact_paths": {"output": output}}
    (folder / "record.json").write_text(ExperimentRecord(**facts).model_dump_json())
    return folder


def put_raster(folder, values, name="output.tif"):
    write_raster(Raster(array=np.array([values], "uint8"), bands=("class",)), folder / name)


def listed(**options):
    return list_runs(RunStore(), **options)


# --- what tells runs apart


def test_columns_are_the_parameters_that_differ():
    put(1, parameters={"years": 20, "rise": 0.5, "same": 1, "zones": [{"rate": 0.1, "name": "a"}]})
    put(2, parameters={"years": 20.0, "rise": 0.7, "same": 1, "zones": [{"rate": 0.2, "name": "a"}]})
    put(3, parameters={"years": 30, "rise": 0.5, "same": 1, "zones": [{"rate": 0.2, "name": "a"}], "only": "here"})
    put(4, model_name="fire", parameters={"density": 0.4, "years": 99})
    found = listed(thumbnails=False)
    assert found.columns == ("years", "rise", "zones[0].rate", "only")
    assert [row.by_column for row in found.rows] == [
        {"years": 99},
        {"years": 30, "rise": 0.5, "zones[0].rate": 0.2, "only": "here"},
        {"years": 20.0, "rise": 0.7, "zones[0].rate": 0.2},
        {"years": 20, "rise": 0.5, "zones[0].rate": 0.1},
    ]
    assert found.rows[0].title == "density=0.4, years=99"


def test_a_run_that_was_refused_lacks_defaults_that_make_no_difference():
    run("game_of_life", parameters={"generations": 2})
    with pytest.raises(ValueError, match="generations"):
        run("game_of_life", parameters={"generations": -1})
    found = listed(thumbnails=False)
    assert found.columns == ("generations",)
    assert [row.by_column["generations"] for row in found.rows] == [-1, 2]


def test_what_a_model_took_by_itself_is_known():
    run(SteppingExecutor)
    run(SteppingExecutor, parameters={"n_steps": 5})
    found = listed(thumbnails=False)
    assert [row.by_column for row in found.rows] == [{"n_steps": 5}, {"n_steps": 3}]
    assert [row.title for row in found.rows] == ["n_steps=5", "defaults"]


def test_only_runs_on_the_page_are_compared():
    for number in range(4):
        put(number, parameters={"years": number // 2})
    assert listed(query=RunQuery(limit=2)).columns == ()
    assert listed(query=RunQuery(limit=3)).columns == ("years",)


def test_many_parameters_that_differ_are_named_in_a_note():
    for number in (1, 2):
        put(number, parameters={f"p{at}": number + at for at in range(11)})
    found = listed(thumbnails=False)
    assert found.columns == tuple(f"p{at}" for at in range(8))
    assert found.notes == ("3 more parameters differ: p8, p9, p10. Ask for one as a column to see it.",)


def test_columns_that_are_asked_for_come_first():
    provenance = Provenance(executor_package="flood==1.2")
    put(1, parameters={"years": 1, "a": 1}, metrics={"cells": 7, "a": 9}, steps=4, provenance=provenance)
    put(2, parameters={"years": 2, "a": 1}, metrics={"cells": 8, "a": 8})
    found = listed(columns=["metrics.a", "cells", "a", "steps", "package", "status", "years"])
    assert found.columns == ("metrics.a", "cells", "a", "steps", "package", "years")
    assert [row.by_column for row in found.rows] == [
        {"metrics.a": 8, "cells": 8, "a": 1, "years": 2},
        {"metrics.a": 9, "cells": 7, "a": 1, "steps": 4, "package": "flood==1.2", "years": 1},
    ]
    assert listed(columns=["parameters.years"]).columns == ("parameters.years",)


def test_a_parameter_that_is_called_as_a_field():
    put(1, parameters={"status": "wet", "run": 1})
    put(2, parameters={"status": "dry", "run": 2})
    found = listed()
    assert found.columns == ("parameters.status", "parameters.run")
    assert found.cells(found.rows[0])[-2:] == ["dry", "2"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("years", "columns is a list of names, got the text 'years'. Write ['years']."),
        ([3], "A column is called by the name of a parameter or metric, got 3."),
        ([" "], "A column is called by the name of a parameter or metric, got ' '."),
        (["a\x1b[31m"], "A column is called by the name of a parameter or metric, got 'a\\x1b[31m'."),
    ],
)
def test_columns_that_are_no_names(columns, message):
    with pytest.raises(QueryError, match=f"^{re.escape(message)}$"):
        listed(columns=columns)


def test_names_that_no_run_has_are_said():
    put(1, parameters={"sea_level_rise": 0.5}, metrics={"cells": 3})
    where = parse_condition("sea_levle_rise > 0.4 or metrics.cells > 1 or status == 'x' or zzzzz == 1")
    found = listed(query=RunQuery(where=where, sort="-parameters.cells"), columns=["celsl"])
    assert found.notes == (
        "No run has a parameter or metric 'sea_levle_rise'. Did you mean 'sea_level_rise'?",
        "No run has a parameter or metric 'zzzzz'.",
        "None of these runs has 'celsl'. Did you mean 'cells'?",
    )


@pytest.mark.parametrize(
    ("models", "parameters", "names"),
    [
        ([], [], []),
        (["a"], [{"x": 1}], []),
        (["a", "a"], [{"x": 1}, {"x": True}], ["x"]),
        (["a", "a"], [{"x": float("nan")}, {"x": float("nan")}], []),
        (["a", "a"], [{"x": [1, 2]}, {"x": (1, 2)}], ["x"]),
        (["a", "a", "a"], [{"x": 1, "y": 1}, {"y": 2}, {"y": 2}], ["y", "x"]),
        (["a", "b"], [{"x": 1}, {"x": 2}], []),
    ],
)
def test_differing_names(models, parameters, names):
    assert differing_names(models, parameters) == names


# --- runs of all kinds


def test_runs_that_went_wrong_say_what_happened():
    put(1, status="failed", failed_phase="load", error="RuntimeError: no such file\nsecond line")
    put(2, status="running", provenance=Provenance(hostname=os.uname().nodename, process_id=2**22 + 1))
    Path("experiments/run-0003").mkdir()
    Path("experiments/run-0003/record.json").write_text('{"parameters": {')
    found = listed()
    rows = {row.entry.status: row for row in found.rows}
    assert set(rows) == {"failed", "lost", "unreadable"}
    assert rows["failed"].problem == "RuntimeError: no such file"
    assert rows["lost"].problem.startswith("the process ended in phase")
    assert rows["unreadable"].problem
    assert rows["unreadable"].by_column == {}
    assert found.heads == [head for head in HEADS if head != "tags"]


def test_a_record_that_goes_away_or_is_too_large_is_listed_all_the_same(monkeypatch):
    put(1, parameters={"a": 1})
    put(2, parameters={"a": 2})
    store = RunStore()
    entries = store.select(RunQuery())
    Path("experiments/run-0001/record.json").unlink()
    with monkeypatch.context() as patched:
        patched.setattr(store, "select", lambda query: entries)
        assert [row.by_column for row in list_runs(store).rows] == [{}, {}]
    put(3, parameters={"a": 3})
    assert listed().columns == ("a",)
    monkeypatch.setattr(history, "_LARGEST_RECORD", 100)
    assert listed().columns == ()
    assert len(listed().rows) == 2


def test_reading_has_a_limit_of_time_and_says_so(monkeypatch):
    for number in range(3):
        put(number, parameters={"a": number})
    monkeypatch.setattr(history, "_BUDGET", -1.0)
    found = listed(thumbnails=False)
    assert (len(found.rows), found.columns) == (3, ())
    assert found.notes == ("3 records were not read, because the others took -1 s.",)


def test_tags_are_shown_and_found():
    put(1)
    folder = put(2)
    RunStore().annotate(f"{2:08x}", tags=["paper", "draft"])
    found = listed(query=RunQuery(tag="paper"))
    assert [row.entry.folder.name for row in found.rows] == [folder.name]
    assert found.rows[0].cells["tags"] == "paper, draft"
    assert "tags" in found.heads


def test_secrets_are_hidden_everywhere():
    # as a program wrote it that hides nothing
    for number in (1, 2):
        text = json.dumps(
            {
                "experiment_id": str(number) * 8,
                "model_name": "m",
                "parameters": {"api_key": f"s3cr3t{number}", "url": f"https://ana:s3cr3t{number}@host/x"},
                "error": f"ValueError: password=s3cr3t{number}",
                "status": "failed",
            }
        )
        folder = put(number)
        (folder / "record.json").write_text(text)
    table = runs(columns=["api_key", "url"])
    assert table.history.columns == ("api_key", "url")
    shown = [repr(table), json.dumps(table.history.to_json()), *table._repr_mimebundle_().values()]
    assert all("s3cr3t" not in text and "***" in text for text in shown)


def test_a_password_of_digits_is_hidden_and_a_count_of_tokens_is_not():
    folder = put(1)
    parameters = {"password": 86420, "token_count": 512}
    (folder / "record.json").write_text(json.dumps({"experiment_id": "1" * 8, "parameters": parameters}))
    table = runs(columns=["password", "token_count"])
    assert table.history.rows[0].by_column == {"password": "***", "token_count": 512}
    assert "86420" not in json.dumps(table.history.to_json())


# --- words


def page(n_rows, total, **query):
    entries = [history.RunRow(entry, "") for entry in [RunStore().select(RunQuery())[0]] * n_rows]
    return History(tuple(entries), total=total, query=RunQuery(**query)).range_text


def test_the_caption_says_how_many_of_how_many():
    put(1)
    assert page(50, 1_234) == "50 of 1,234 runs"
    assert page(50, 1_234, offset=50) == "runs 51 to 100 of 1,234"
    assert page(0, 1_234, offset=2_000) == "none left of 1,234 runs"
    assert page(1, 1) == "1 of 1 run"
    assert page(0, 0) == "no runs"
    where = parse_condition("a > 1 and b == 'x'")
    query = RunQuery("flood", "failed", "paper", "ab12", MOMENT, MOMENT, where, "-years")
    assert query_words(query) == [
        "model flood",
        "status failed",
        "tag paper",
        "input sha256 ab12",
        "from 2026-01-01 00:00:00+00:00",
        "before 2026-01-01 00:00:00+00:00",
        "a > 1 and b == 'x'",
        "sorted by years, largest first",
    ]
    assert query_words(RunQuery(sort="created")) == ["oldest first"]


def test_the_table_as_text():
    put(1, parameters={"years": 20}, metrics={"time_total_sec": 1.5})
    put(2, parameters={"years": 30}, status="failed", error="ValueError: dry")
    assert listed().to_text() == (
        "2 of 2 runs; newest first\n"
        "run       what differs  model  status     when (UTC)           seconds  what happened    years\n"
        "00000002  years=30      flood  failed     2026-01-01 00:02:00           ValueError: dry  30\n"
        "00000001  years=20      flood  completed  2026-01-01 00:01:00  1.500                     20"
    )


def test_the_table_as_json():
    put(1, parameters={"years": 20, "grid": (1, 2)})
    put(2, parameters={"years": float("nan"), "grid": (1, 2)})
    found = json.loads(json.dumps(listed(columns=["grid"]).to_json(), allow_nan=False))
    assert found[1] == {
        "experiment_id": f"{1:08x}{'0' * 24}",
        "title": "years=20, grid=[1, 2]",
        "model": "flood",
        "status": "completed",
        "created_at": "2026-01-01T00:01:00+00:00",
        "seconds": None,
        "phase": "",
        "problem": "",
        "tags": [],
        "values": {"grid": {"$tuple": [1, 2]}, "years": 20},
        "folder": str(Path("experiments/run-0001")),
        "record": str(Path("experiments/run-0001/record.json")),
    }
    assert found[0]["values"]["years"] == {"$float": "nan"}


# --- pictures


def png_size(content):
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", content[16:24])


def test_outputs_have_small_pictures():
    put_raster(put(1, "output.tif"), np.arange(200 * 100).reshape(200, 100) % 3)
    put_raster(put(2, "output.tif"), np.eye(10))
    put(3)
    small, large = (row.thumbnail for row in listed().rows[1:])
    assert listed().rows[0].thumbnail is None
    assert png_size(large.png) == large.size == (25, 50)
    assert png_size(small.png) == small.size == (60, 60)  # whole pixels for each cell
    assert large.text == f"Output of run {1:08x}…: class, classes 0, 1, 2"
    assert max(large.size) <= THUMBNAIL


def test_a_real_run_has_a_picture():
    run("game_of_life", parameters={"generations": 2})
    (row,) = listed().rows
    assert png_size(row.thumbnail.png) == row.thumbnail.size
    assert "alive" in row.thumbnail.text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("output.tif", None),
        ("output.tif", b""),
        ("output.tif", b"no raster at all"),
        ("output.gpkg", b"no table at all"),
        ("output.zip", b"PK"),
        ("report.md", b"# words"),
        ("a\x00b.tif", None),
        ("/vsicurl/http://127.0.0.1:9/x.tif", None),
        ("https://127.0.0.1:9/x.tif", None),
    ],
)
def test_an_output_that_cannot_be_drawn_has_no_picture_and_is_no_error(name, content):
    folder = put(1, name)
    if content is not None:
        (folder / name).write_bytes(content)
    found = listed()
    assert [row.thumbnail for row in found.rows] == [None]
    assert found.notes == ()


def test_a_folder_or_a_pipe_is_not_opened():
    (put(1, "output.tif") / "output.tif").mkdir()
    os.mkfifo(put(2, "output.tif") / "output.tif")
    assert [row.thumbnail for row in listed().rows] == [None, None]


def test_large_vectors_are_not_read(monkeypatch):
    folder = put(1, "output.tif")
    put_raster(folder, np.eye(3))
    assert listed().rows[0].thumbnail is not None
    monkeypatch.setattr(history, "_LARGEST_RASTER", 10)
    assert listed().rows[0].thumbnail is None


def test_pictures_are_drawn_once_and_only_for_the_page(monkeypatch):
    import dissmodel_lab.maps

    folders = [put(number, "output.tif") for number in range(5)]
    for number, folder in enumerate(folders):
        put_raster(folder, np.eye(4 + number))
    drawn, preview = [], dissmodel_lab.maps.preview

    def counting(path, **options):
        drawn.append(Path(path).parent.name)
        return preview(path, **options)

    monkeypatch.setattr(dissmodel_lab.maps, "preview", counting)
    listed(query=RunQuery(limit=2))
    listed(query=RunQuery(limit=2))
    assert drawn == ["run-0004", "run-0003"]
    listed(thumbnails=False)
    assert len(drawn) == 2
    put_raster(folders[4], np.ones((30, 30)), "other.tif")
    (folders[4] / "other.tif").replace(folders[4] / "output.tif")
    listed(query=RunQuery(limit=1))
    assert drawn == ["run-0004", "run-0003", "run-0004"]


def test_pictures_have_a_limit_of_time_and_it_is_said(monkeypatch):
    for number in range(3):
        put_raster(put(number, "output.tif"), np.eye(4 + number))
    put(3)
    clock = iter(range(0, 1_000, 2))
    records, _ = history._records(RunStore().select(RunQuery()))
    with monkeypatch.context() as patched:
        patched.setattr(history.time, "perf_counter", lambda: next(clock))
        pictures, notes = history._thumbnails(records)
    assert [picture is not None for picture in pictures] == [False, False, False, False]
    assert notes == ["3 outputs were not drawn, because the others took 3 s."]
    assert all(history._thumbnails(records)[0][1:])


def test_a_record_in_memory_has_a_picture_too():
    record = run("game_of_life", parameters={"generations": 1})
    assert thumbnail_of(record).text.startswith("Output of run ")


# --- HTML


HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(1)">\u202e\x1b[31m'


def test_texts_of_others_are_escaped():
    folder = put(
        1,
        model_name=HOSTILE,
        status=HOSTILE,
        error=HOSTILE,
        parameters={HOSTILE: HOSTILE, "x": 1},
        parameter_origins={},
    )
    put(2, model_name=HOSTILE, parameters={"x": 2})
    RunStore().annotate(folder.name, tags=["<b>tag</b>"])
    html = history_html(listed(columns=[HOSTILE.split("\u202e", maxsplit=1)[0]]))
    assert "&lt;b&gt;tag&lt;/b&gt;" in html
    assert "&lt;script&gt;" in html
    assert not re.search(r"<(?!/?(div|b|table|thead|tbody|tr|th|td|img)\b)", html)
    assert "<img" not in html
    assert "\u202e" not in html
    assert "\x1b" not in html
    assert "\x1b" not in listed().to_text()


def test_the_html_survives_jupyters_cleaning_and_reads_aloud():
    put_raster(put(1, "output.tif", parameters={"years": 20}), np.eye(9))
    put_raster(put(2, "output.tif", parameters={"years": 30}), np.eye(10))
    html = history_html(listed(query=RunQuery(sort="years")))
    assert not re.search(r"<(style|script|svg)|\sid=|position:|z-index|grid|flex", html)
    assert html.count('<th scope="row"') == 2
    assert re.findall(r'<th scope="col" aria-sort="(\w+)"[^>]*>([^<]*)<', html) == [("ascending", "years ▲")]
    images = re.findall(r'<img alt="([^"]*)" width="(\d+)" height="(\d+)" src="data:image/png;base64,([^"]*)"', html)
    assert [image[:3] for image in images] == [
        (f"Output of run {number:08x}…: class, classes 0, 1", "40", "40") for number in (1, 2)
    ]
    assert [png_size(b64decode(image[3])) for image in images] == [(63, 63), (60, 60)]
    assert html.startswith(
        '<div style="font-size:13px;line-height:1.5"><div><b>2 of 2 runs</b>; sorted by years</div>'
    )


def test_colours_are_the_pages_own():
    put(1, status="failed", error="x")
    html = history_html(listed())
    assert not re.search(r"(?<![-\w])color:", html)  # text keeps the theme's colour
    assert "✗ failed" in html


def test_the_html_has_a_limit_whatever_the_runs_hold():
    rng = np.random.default_rng(1)
    for number in range(80):
        long = {f"{'n' * 200}{at}": f"{'v' * 200}{number}" for at in range(20)}
        put_raster(
            put(number, "output.tif", parameters=long, error="<&" * 5_000, status="failed"),
            rng.integers(0, 30, (64, 64)),
        )
    found = listed()
    html = history_html(found)
    assert len(html.encode()) <= LIMIT
    assert "pictures do not fit here." in html
    assert history_html(found, limit=60_000).count("<tr>") < 81
    assert re.search(r"\d+ more runs do not fit here\. Ask for fewer with limit\.", history_html(found, limit=60_000))
    assert len(history_html(found, limit=60_000).encode()) <= 60_000
    assert found.rows[0].cells["what happened"].endswith("…")


def test_an_empty_store_says_how_to_start():
    table = runs()
    assert repr(table) == "No runs yet. Start one with: %dissmodel run MODEL"
    assert "Start one with: %dissmodel run MODEL" in table._repr_mimebundle_()["text/html"]
    assert repr(runs(model="flood")) == "no runs; model flood; newest first"
    assert "Start one" not in runs(model="flood")._repr_mimebundle_()["text/html"]


# --- runs() and its table


def test_a_table_is_a_sequence_of_entries():
    for number in range(3):
        put(number)
    table = runs(limit=2)
    assert isinstance(table, Sequence)
    assert (len(table), table.total) == (2, 3)
    assert [entry.folder.name for entry in table] == ["run-0002", "run-0001"]
    assert table[-1] == table[1]
    assert table[:1] == [table[0]]
    assert table[0] in table
    with pytest.raises(IndexError):
        table[2]
    assert list(table._repr_mimebundle_()) == ["text/plain", "text/html"]
    assert repr(table).startswith("2 of 3 runs; newest first\nrun ")


def test_a_table_as_a_frame():
    put(1, parameters={"years": 20, "title": "a", "grid": [1, 2]}, metrics={"time_total_sec": 1.5})
    put(2, parameters={"years": 30, "title": "b", "grid": [3]})
    frame = runs(columns=["metrics.time_total_sec"]).to_frame()
    assert list(frame.columns) == [
        *("experiment_id", "title", "model", "status", "created_at", "seconds", "tags", "problem", "record"),
        *("metrics.time_total_sec", "years", "parameters.title", "grid"),
    ]
    assert frame["years"].tolist() == [30, 20]
    assert frame["grid"].tolist() == [[3], [1, 2]]
    assert str(frame["created_at"].dtype).startswith("datetime64")
    assert frame["metrics.time_total_sec"].isna().tolist() == [True, False]
    assert isinstance(runs(model="none").to_frame(), pd.DataFrame)
    assert len(runs(model="none").to_frame()) == 0


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, "4321"),
        ({"model": "fire"}, "4"),
        ({"status": "failed"}, "2"),
        ({"tag": "paper"}, "1"),
        ({"source": "AB" * 32}, "3"),
        ({"since": "2026-01-01T00:03"}, "43"),
        ({"since": dt.datetime(2026, 1, 1, 1, 3, tzinfo=dt.timezone(dt.timedelta(hours=1)))}, "43"),
        ({"until": "2026-01-01T00:03"}, "21"),
        ({"since": dt.date(2026, 1, 2)}, ""),
        ({"until": dt.date(2026, 1, 2)}, "4321"),
        ({"where": "years >= 30"}, "43"),
        ({"where": parse_condition("years >= 30")}, "43"),
        ({"where": "status == 'completed' and years < 30"}, "1"),
        ({"where": " "}, "4321"),
        ({"sort": "created"}, "1234"),
        ({"sort": "-years", "limit": 2}, "43"),
        ({"limit": 1}, "4"),
    ],
)
def test_runs_are_found(options, found):
    put(1, parameters={"years": 10})
    put(2, parameters={"years": 20}, status="failed")
    put(3, parameters={"years": 30}, source={"uri": "x.tif", "checksum": "ab" * 32})
    put(4, parameters={"years": 40}, model_name="fire")
    RunStore().annotate(f"{1:08x}", tags=["paper"])
    assert "".join(entry.folder.name[-1] for entry in runs(**options)) == found
    assert [entry.folder.name for entry in runs("experiments", **options)] == [
        entry.folder.name for entry in runs(RunStore("experiments"), **options)
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"where": "years = 3"}, "The condition has '=' at character 7. Write == to compare."),
        (
            {"since": "yesterday"},
            "since is 'yesterday', which is no moment. Write '2026-11-01', or '2026-11-01T12:00' (in UTC).",
        ),
        ({"until": 5}, "until is 5, which is no moment. Write '2026-11-01', or '2026-11-01T12:00' (in UTC)."),
        ({"limit": 0}, "limit is 0; a whole number from 1 on is needed."),
        ({"limit": True}, "limit is True; a whole number from 1 on is needed."),
        ({"limit": "5"}, "limit is '5'; a whole number from 1 on is needed."),
    ],
)
def test_what_cannot_be_understood(options, message):
    with pytest.raises(QueryError, match=f"^{re.escape(message)}$"):
        runs(**options)


# --- controls


@pytest.fixture
def controls():
    for number in range(1, 26):
        put(number, parameters={"years": 100 - number, "a": number % 2})
    return make_controls(limit=10)


def make_controls(**options):
    table, shown = runs(thumbnails=False, **options), []
    controls = RunControls(table, lambda: shown.append([entry.folder.name[-2:] for entry in table]))
    controls.shown, controls.table = shown, table
    return controls


def text_of(widget):
    return re.sub(r"<[^>]*>", "", widget.value)


def test_pages_turn(controls):
    assert (controls.previous.disabled, controls.next.disabled) == (True, False)
    controls.next.click()
    controls.next.click()
    assert [names[0] for names in controls.shown] == ["15", "05"]
    assert controls.shown[-1] == ["05", "04", "03", "02", "01"]
    assert (controls.previous.disabled, controls.next.disabled) == (False, True)
    assert (controls.page.value, controls.page.max) == (3, 3)
    assert text_of(controls._status) == "runs 21 to 25 of 25"
    controls.previous.click()
    assert controls.page.value == 2
    controls.page.value = 1
    assert controls.shown[-1][0] == "25"
    assert len(controls.shown) == 4  # setting the page's number by itself asks nothing again


def test_a_click_on_a_column_sorts(controls):
    controls.next.click()
    button = controls.sort_button("years")
    button.click()
    assert controls.shown[-1][0] == "25"  # the smallest, from the first page on
    assert (button.description, button.tooltip) == ("years ▲", "Sort by years, now the smallest first")
    button.click()
    assert controls.shown[-1][0] == "01"
    assert button.description == "years ▼"
    assert controls.sort_button("years") is button  # the keyboard's place is kept
    assert controls.sort_button("when (UTC)").description == "when (UTC)"
    controls.sort_button("when (UTC)").click()
    assert controls.shown[-1][0] == "25"
    controls.sort_button("when (UTC)").click()
    assert controls.shown[-1][0] == "01"
    for head, name in (("run", "id"), ("what differs", "title"), ("model", "model"), ("seconds", "seconds")):
        controls.sort_button(head).click()
        assert controls.table.history.query.sort == name
    assert controls.error is None


def test_the_filter_finds_and_says_what_it_does_not_understand(controls):
    controls.next.click()
    controls.filter.value = "years > 95"
    assert controls.shown[-1] == ["04", "03", "02", "01"]
    assert (controls.page.value, controls.page.max) == (1, 1)
    n_shown = len(controls.shown)
    controls.filter.value = "years = 95 <b>"
    assert len(controls.shown) == n_shown
    assert len(controls.table) == 4
    assert controls._message.value.startswith('<div role="alert"')
    assert (
        text_of(controls._message) == "&#9888; The condition has &#x27;=&#x27; at character 7. Write == to compare."
    )
    controls.filter.value = ""
    assert controls._message.value == ""
    assert controls.table.total == 25


def test_a_filter_stays_within_what_the_table_was_asked_for():
    for number in range(1, 5):
        put(number, model_name="fire" if number % 2 else "flood", parameters={"years": number})
    controls = make_controls(model="fire", where="years > 0")
    assert controls.filter.value == "years > 0"
    controls.filter.value = "years < 4"
    assert controls.shown[-1] == ["03", "01"]


def test_whatever_goes_wrong_is_shown_and_kept(controls, monkeypatch):
    def broken(query):
        raise RuntimeError("disk <gone>, password=s3cr3t")

    with monkeypatch.context() as patched:
        patched.setattr(controls.table, "select", broken)
        controls.next.click()
    assert str(controls.error).startswith("disk")
    assert text_of(controls._message) == "&#9888; RuntimeError: disk &lt;gone&gt;, password=***"
    controls.next.click()
    assert (controls.error, controls._message.value) == (None, "")


def test_everything_has_a_name_for_those_who_cannot_see(controls):
    assert (controls.filter.description, controls.page.description) == ("Filter", "Page")
    assert {controls.previous.description, controls.next.description} == {"Previous", "Next"}
    assert 'role="status" aria-live="polite"' in controls._status.value


def test_showing_leaves_a_static_table_behind(shell, monkeypatch):
    for number in range(1, 4):
        put(number, parameters={"years": number})
    updates = []

    class Handle:
        def __init__(self, place):
            self.place = place

        def update(self, bundle, raw):
            updates.append((self.place, bundle))

    places = iter("ab")
    monkeypatch.setattr(outputs, "display", lambda bundle, raw, display_id: Handle(next(places)))
    table = runs(limit=2)
    made = []
    monkeypatch.setattr(view, "RunControls", lambda *given: made.append(RunControls(*given)) or made[0])
    table.show()
    (above, controls), (below, static) = updates
    assert (above, below) == ("a", "b")
    assert WIDGET_VIEW in controls
    assert controls["text/plain"] == "To page, sort and filter needs a running kernel; the table below does not."
    assert list(static) == ["text/plain", "text/html"]
    made[0].next.click()
    place, bundle = updates[-1]
    assert place == "b"
    assert "<b>runs 3 to 3 of 3</b>" in bundle["text/html"]
    assert bundle == table._repr_mimebundle_()


def test_an_empty_store_is_shown_without_controls(shell):
    runs().show()
    assert [WIDGET_VIEW in bundle for bundle in shell.bundles] == [False, False]
    assert "No runs yet." in shell.bundles[-1]["text/html"]
    del shell.bundles[:]
    runs(model="none").show()
    assert any(WIDGET_VIEW in bundle for bundle in shell.bundles)


def test_where_cells_cannot_change_the_table_is_a_widget(shell, monkeypatch):
    monkeypatch.setenv("SERVER_SOFTWARE", "voila/0.5.13")
    shown = []
    monkeypatch.setattr(outputs, "display", shown.append)
    put(1)
    runs().show()
    above, below = shown
    assert "dl-runs" in above.children[0]._dom_classes
    assert "<b>1 of 1 run</b>" in below.children[0].value


def test_records_of_pypi_dissmodel_are_listed():
    folder = Path("experiments", "cli")
    folder.mkdir(parents=True)
    (folder / "result.record.json").write_text(
        json.dumps(
            {
                "experiment_id": "abcd" * 8,
                "created_at": "2026-02-01T10:00:00.123456",
                "model_name": "coastal",
                "parameters": {"end_time": 5, "rates": {"urban": 0.5}},
                "status": "completed",
            }
        )
    )
    (entry,) = runs(where="rates.urban == 0.5")
    assert entry.title == "end_time=5, rates.urban=0.5"
    assert runs().history.rows[0].cells["when (UTC)"] == "2026-02-01 10:00:00"


def test_a_run_that_failed_here_is_listed():
    with pytest.raises(RuntimeError):
        run(FailingExecutor("load"))
    (row,) = listed().rows
    assert row.problem == "RuntimeError: broken on purpose in load"
    assert isinstance(RunTable(RunStore())[0].folder, Path)
