"""A record that goes out as a crate and comes in again is the same record, whatever is in it."""

from __future__ import annotations

import json
from pathlib import Path

from export_records import with_files
from hypothesis import given
from hypothesis import strategies as st

from dissmodel_lab.exports.crate_reader import import_crate
from dissmodel_lab.exports.ro_crate import export_ro_crate
from dissmodel_lab.exports.table import row_of
from dissmodel_lab.plain import as_on_disk
from dissmodel_lab.store import RunStore, read_record
from properties import examples
from properties.test_records import NAMES, TABLES, TEXTS


@examples(8)
@given(st.tuples(TABLES, TABLES, st.lists(TEXTS, max_size=3), NAMES), st.booleans())
def test_a_record_comes_out_of_a_crate_as_it_went_in(tmp_path_factory, fields, is_zip):
    parameters, metrics, logs, model = fields
    folder = tmp_path_factory.mktemp("crates")
    record = with_files(Path(), parameters=parameters, metrics=metrics, logs=logs, model_name=model)
    crate = export_ro_crate(record, folder / ("a.zip" if is_zip else "a"))
    imported = import_crate(crate, folder / "yours")
    assert imported.is_new
    again = read_record(imported.record_path)
    assert again.artifact_path().read_text(encoding="utf-8") == "flooded"
    went, came = (json.loads(one.model_dump_json()) for one in (as_on_disk(record), again))
    assert came.pop("imported")
    assert came == {name: value for name, value in went.items() if name != "imported"}
    assert row_of(again) | {"imported": None} == row_of(record) | {"imported": None}
    (entry,) = RunStore(folder / "yours").entries()
    assert (entry.experiment_id, entry.model_name) == (record.experiment_id, model)
    # a second time it is known; and it can go on to somebody else
    assert not import_crate(crate, folder / "yours").is_new
    onward = export_ro_crate(again, folder / "b.zip")
    third = json.loads(read_record(import_crate(onward, folder / "theirs").record_path).model_dump_json())
    assert {k: v for k, v in third.items() if k != "imported"} == came
