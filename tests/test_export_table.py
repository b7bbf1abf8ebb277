"""Many runs -> CSV and Parquet, and back to the same values."""

from __future__ import annotations

import csv
import json
import math
import tracemalloc

import pandas as pd
import pytest
from export_records import NASTY, failed, finished, foreign, nasty
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dissmodel_lab.annotations import annotate
from dissmodel_lab.errors import ExportError
from dissmodel_lab.executor import ExperimentRecord
from dissmodel_lab.exports import table
from dissmodel_lab.exports.table import RUN_COLUMNS, export_csv, export_parquet, row_of


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def runs(n):
    return (finished(experiment_id=f"{i:032x}", parameters={"rise": i / 8, "seed": i}) for i in range(n))


def test_columns_and_their_order(tmp_path):
    rows = read_csv(export_csv([finished(), failed(parameters={"b": 1, "a": 2})], tmp_path / "t.csv"))
    more = list(rows[0])[len(RUN_COLUMNS) :]
    assert list(rows[0])[: len(RUN_COLUMNS)] == list(RUN_COLUMNS)
    assert more == [
        "parameters.a",
        "parameters.b",
        "parameters.demand_csv",
        "parameters.is_open",
        "parameters.name",
        "parameters.potential[0].betas.dist",
        "parameters.rise",
        "parameters.years",
        "metrics.area.2021",
        "metrics.area.2022",
        "metrics.cells",
        "metrics.rate",
        "metrics.time_total_sec",
    ]


def test_the_order_of_the_runs_does_not_change_the_columns(tmp_path):
    one = read_csv(export_csv([finished(), foreign(tmp_path)], tmp_path / "1.csv"))
    other = read_csv(export_csv([foreign(tmp_path), finished()], tmp_path / "2.csv"))
    assert list(one[0]) == list(other[0])
    assert one == other[::-1]


def test_what_a_row_says(tmp_path):
    row = row_of(finished())
    assert row["id"] == "0123456789abcdef0123456789abcdef"
    assert (row["title"], row["status"], row["seconds"], row["steps"], row["seed"]) == (
        "rise=0.5",
        "completed",
        4.0,
        20,
        42,
    )
    assert (row["source_sha256"], row["output_sha256"], row["output_content_sha256"]) == (
        "aa" * 32,
        "cc" * 32,
        "dd" * 32,
    )
    assert (row["package"], row["commit"]) == ("floods==1.2.0", "f" * 40)
    assert row["created"] == "2026-03-01T12:00:00+00:00"


def test_tags_stand_in_the_table(tmp_path):
    record = foreign(tmp_path)
    annotate(record.record_path, tags=["paper", "figure 3"])
    assert row_of(record)["tags"] == "paper, figure 3"


def test_csv_is_rfc_4180(tmp_path):
    path = export_csv(finished(model_name='a "b", c\nd', error=None), tmp_path / "t.csv")
    raw = path.read_bytes()
    assert raw.endswith(b"\r\n")
    assert b'"a ""b"", c\nd"' in raw
    assert not raw.startswith(b"\xef\xbb\xbf")
    assert read_csv(path)[0]["model"] == 'a "b", c\nd'


def test_csv_reads_back_as_the_same_values(tmp_path):
    records = list(runs(5))
    read = pd.read_csv(export_csv(records, tmp_path / "t.csv"), dtype={"id": str})
    assert read["parameters.rise"].tolist() == [record.parameters["rise"] for record in records]
    assert read["parameters.seed"].tolist() == [record.parameters["seed"] for record in records]
    assert read["id"].tolist() == [record.experiment_id for record in records]
    assert read["metrics.rate"].isna().all()


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(
        st.one_of(st.floats(), st.integers(-(2**70), 2**70), st.booleans(), st.none(), st.text(max_size=30)),
        min_size=1,
        max_size=6,
    )
)
def test_both_formats_keep_any_column(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("t")
    records = [ExperimentRecord(parameters={"x": value}) for value in values]
    rows = [row_of(record)["parameters.x"] for record in records]
    read = [row["parameters.x"] for row in read_csv(export_csv(records, folder / "t.csv"))]
    assert [text.removeprefix("'") for text in read] == [written(value) for value in rows]
    column = pd.read_parquet(export_parquet(records, folder / "t.parquet"), dtype_backend="pyarrow")["parameters.x"]
    for value, back in zip(rows, column.tolist(), strict=True):
        if value is None:
            assert back is None or back is pd.NA
        elif isinstance(back, str):
            assert back == written(value)
        else:
            assert back == value or (math.isnan(back) and math.isnan(value))


def written(value):
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\n", "'", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_no_text_is_a_formula(tmp_path, sign):
    text = f"{sign}HYPERLINK(1)"
    path = export_csv(finished(model_name=text, parameters={text: text}), tmp_path / "t.csv")
    (row,) = read_csv(path)
    assert row["model"] == f"'{text}"
    name = next(name for name in row if "HYPERLINK" in name)
    assert name.startswith("parameters.")
    assert row[name] == f"'{text}"


def test_numbers_below_zero_stay_numbers(tmp_path):
    (row,) = read_csv(export_csv(finished(parameters={"a": -0.5, "b": "-0.5", "c": -3}), tmp_path / "t.csv"))
    assert (row["parameters.a"], row["parameters.b"], row["parameters.c"]) == ("-0.5", "'-0.5", "-3")


def test_types_in_parquet(tmp_path):
    import pyarrow.parquet

    records = [
        finished(parameters={"b": True, "i": 1, "f": 1, "m": 1, "l": 2**60, "mix": 2**60, "n": None}),
        finished(parameters={"b": False, "i": 2, "f": 0.5, "m": "x", "l": 2, "mix": 0.5, "n": None}),
    ]
    found = pyarrow.parquet.read_table(export_parquet(records, tmp_path / "t.parquet"))
    types = {
        name: str(found.schema.field(f"parameters.{name}").type) for name in ("b", "i", "f", "m", "l", "mix", "n")
    }
    assert types == {
        "b": "bool",
        "i": "int64",
        "f": "double",
        "m": "string",
        "l": "int64",
        "mix": "string",
        "n": "string",
    }
    assert found["parameters.f"].to_pylist() == [1.0, 0.5]
    assert found["parameters.m"].to_pylist() == ["1", "x"]
    assert found["parameters.mix"].to_pylist() == [str(2**60), "0.5"]
    assert found["created"].to_pylist() == [records[0].created_at] * 2
    assert math.isnan(found["metrics.rate"].to_pylist()[0])


def test_columns_that_no_run_fills_have_their_type(tmp_path):
    import pyarrow.parquet

    schema = pyarrow.parquet.read_schema(export_parquet(ExperimentRecord(), tmp_path / "t.parquet"))
    assert {name: str(schema.field(name).type) for name in ("ended", "seconds", "steps", "seed", "error")} == {
        "ended": "timestamp[us, tz=UTC]",
        "seconds": "double",
        "steps": "int64",
        "seed": "int64",
        "error": "string",
    }


@pytest.mark.parametrize("exporter", [export_csv, export_parquet])
def test_bad_records_beside_good_ones(tmp_path, exporter):
    path = exporter([finished(), failed(), nasty(), foreign(tmp_path)], tmp_path / f"t.{exporter.__name__[7:]}")
    read = pd.read_csv(path) if exporter is export_csv else pd.read_parquet(path)
    assert len(read) == 4
    assert "s3cr3t" not in path.read_bytes().decode("latin-1")
    assert read["parameters.password"].tolist()[3] == "***"
    text = "\n".join(map(str, read.to_numpy().ravel()))
    assert "\x00" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "parameters.a.b" in read
    assert "parameters.a.b (2)" in read


def test_megabytes_become_a_cell(tmp_path):
    record = finished(parameters={"matrix": [list(range(200_000))], "text": "x" * 5_000_000})
    (row,) = read_csv(export_csv(record, tmp_path / "t.csv"))
    assert row["parameters.matrix[0]"].startswith("[0, 1, 2, ")
    assert row["parameters.matrix[0]"].endswith(" ... (more in the record)")
    assert row["parameters.text"] == "x" * 30_000 + " ... (4,970,000 more characters)"
    assert (tmp_path / "t.csv").stat().st_size < 100_000


def test_a_table_with_many_values_is_one_cell(tmp_path):
    row = row_of(finished(metrics={"by_cell": {str(i): i for i in range(300)}}))
    assert json.loads(row["metrics.by_cell"]) == {str(i): i for i in range(300)}


@pytest.mark.parametrize("exporter", [export_csv, export_parquet])
def test_memory_does_not_grow_with_the_runs(tmp_path, exporter, monkeypatch):
    monkeypatch.setattr(table, "_ROWS_AT_ONCE", 100)
    exporter(runs(2), tmp_path / "warm")
    peaks = []
    for n in (300, 1_200):
        tracemalloc.start()
        exporter(runs(n), tmp_path / f"{n}")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.5


def test_no_run(tmp_path):
    path = tmp_path / "t.csv"
    with pytest.raises(ExportError) as raised:
        export_csv([], path)
    assert str(raised.value) == f"There is no run to export to {str(path)!r}. Nothing was written."
    assert not path.exists()


def test_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ExportError, match=r"needs the library 'pyarrow': .*pip install dissmodel_lab\[export\]$"):
        export_parquet(finished(), tmp_path / "t.parquet")
    assert list(tmp_path.iterdir()) == [tmp_path / "work"]


def test_a_formula_does_not_hide_in_the_nasty_text(tmp_path):
    (row,) = read_csv(export_csv(nasty(), tmp_path / "t.csv"))
    assert not [value for value in row.values() if value.startswith(("=", "+", "@"))]
    assert NASTY.startswith("=")
