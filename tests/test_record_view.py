"""A run on the page: without secrets, never too long, with maps of the run's own files only."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissmodel_lab import run
from dissmodel_lab.executor import DataSource, ExperimentRecord
from dissmodel_lab.executor.events import Phase, StepFinished
from dissmodel_lab.executor.schemas import Provenance
from dissmodel_lab.executor.testing import SteppingExecutor
from dissmodel_lab.frames import Backdrop, Moment, RawFrame, Series, Shown
from dissmodel_lab.maps import preview
from dissmodel_lab.maps.frames import compose
from dissmodel_lab.progress import Progress
from dissmodel_lab.rasters import Raster, write_raster
from dissmodel_lab.store import RunStore
from dissmodel_lab.texts import record_text, shareable
from dissmodel_lab.views import run_panel
from dissmodel_lab.views.map_view import MapView
from dissmodel_lab.views.phases import phases_html
from dissmodel_lab.views.record import LIMIT, RunMaps, changes_since, maps_of, record_bundle, record_html

SECRET = "hunter2"


def grid(value):
    return Raster(array=np.full((1, 30, 30), value, "float32"))


class Gridded(SteppingExecutor, register=False):
    name = "gridded"
    output_suffix = ".tif"

    def load(self, record):
        return record.source.uri

    def run(self, data, record):
        return grid(3)

    def save(self, result, record):
        write_raster(result, record.output_path)
        return record


class Kept:
    """An output that remembers what it showed."""

    def __init__(self):
        self.shown = []

    def show_widget(self, widget, fallback=""):
        self.shown.append("widget")

    def show_static(self, bundle):
        self.shown.append(dict(bundle))


def secretive():
    record = ExperimentRecord(
        model_name="flood",
        source=DataSource(uri=f"https://ana:{SECRET}@host/x.tif?sig={SECRET}", checksum="ab"),
        output_path=f"s3://key:{SECRET}@bucket/y.tif",
        artifacts={"output": "cd", "other": f"token={SECRET}"},
        parameters={"api_key": SECRET, "db": {"password": SECRET}, "auth": SECRET, "cookie": SECRET},
        metrics={"note": f"AccountKey={SECRET}abc==;", "DB_PASS": SECRET},
        status="failed",
        failed_phase="load",
        error=f"OSError: https://ana:{SECRET}@host/x.tif",
        logs=[f"password = '{SECRET}'", f"curl -u ana:{SECRET} x"],
        provenance=Provenance(cell_source=f'token = "{SECRET}"'),
    )
    record.provenance.remote = f"Bearer {SECRET}{SECRET}"
    return record


def test_nothing_that_is_shown_of_a_record_holds_a_secret():
    record = secretive()
    shown = json.dumps(record_bundle(record, RunMaps(notes=[f"No map of https://ana:{SECRET}@host/x"])))
    assert SECRET not in shown
    assert SECRET not in record_text(record)
    assert "https://***@host/x.tif" in record_text(record)
    assert record.parameters["api_key"] == SECRET  # the run itself may need it


def test_a_live_panel_hides_secrets():
    progress = Progress(step=1, label=f"token={SECRET}", last_log=f"reading s3://a:{SECRET}@b/c")
    progress.values = {f"password={SECRET}": 1.5}
    shown = phases_html(progress)
    assert SECRET not in shown
    assert "reading s3://***@b/c" in shown


def test_a_live_panel_takes_any_value_and_any_length():
    progress = Progress()
    progress(StepFinished(1, None, "x" * 100_000, {f"v{at}" * 1000: "odd" for at in range(1000)}))
    assert len(phases_html(progress)) < 20_000


def test_a_map_that_fails_hides_secrets_in_its_reason():
    view = MapView({"input": f"/vsicurl/https://ana:{SECRET}@host.invalid/x.tif"})
    assert view.errors
    assert SECRET not in str(view.errors) + view.value.value


def test_a_shareable_copy_keeps_where_the_record_lies():
    record = run("game_of_life", parameters={"generations": 2})
    copy = shareable(record)
    assert copy.record_path == record.record_path
    assert copy.model_dump_json() == record.model_dump_json()


def test_a_spoiled_record_still_says_what_it_was():
    record = ExperimentRecord(model_name="flood", status="failed", error=f"password={SECRET}")
    record.metrics = None
    record.logs = 5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown = record_html(record, RunMaps())
    assert "<b>flood</b> &middot; failed" in shown
    assert "password=***" in shown
    assert "The rest of this record cannot be shown" in shown


def test_odd_names_of_metrics_are_shown():
    record = ExperimentRecord(metrics={3: 1, ("a", 2): 2.5, 10**5000: 1, None: {10**5000: 2}, b"password": SECRET})
    assert "2.5" in record_html(record, RunMaps())


BIG = {
    "metrics": {"metrics": {f"m{at}": "x" * 1000 for at in range(500)}},
    "one metric": {"metrics": {"m": "<" * 1_000_000}},
    "one name": {"metrics": {"n" * 1_000_000: 1}},
    "nested": {"metrics": {"m": {f"{at}" * 1000: ["é" * 1000] * 100 for at in range(100)}}},
    "error": {"error": "&" * 2_000_000, "failed_phase": "run" * 1000},
    "cell": {"provenance": Provenance(cell_source="'" * 1_000_000, executor_class="c" * 100_000)},
    "parameters": {"parameters": {f"p{at}": at for at in range(5000)}},
    "artifacts": {"artifacts": {f"a{at}": "0" * 64 for at in range(300)}},
    "log": {"logs": [f"line {at}: <&>" for at in range(20_000)]},
    "one line": {"logs": ["😀" * 1_000_000]},
    "name": {"model_name": "m" * 100_000, "status": "s" * 100_000, "output_path": "o" * 100_000},
}
NOISE = preview(np.random.default_rng(0).random((900, 900)))


@pytest.mark.parametrize("facts", BIG.values(), ids=BIG)
def test_whatever_a_record_holds_its_page_is_short(facts):
    bundle = record_bundle(ExperimentRecord(**facts), RunMaps(NOISE, NOISE))
    assert len(bundle["text/html"].encode()) <= LIMIT
    assert len(bundle["text/plain"].encode()) <= 20_000


def noisy_frames():
    random = np.random.default_rng(3)
    taken = [
        RawFrame(Moment(at, label="&" * 200, count=at), Shown("", "&" * 200), random.random((256, 256)), Backdrop())
        for at in range(40)
    ]
    values = {f"{at}&" * 60: random.random(200).tolist() for at in range(30)}
    return compose(taken, Series(list(range(200)), [float(at) for at in range(200)], values), [])


@pytest.mark.parametrize("facts", [{}, *BIG.values()], ids=["nothing", *BIG])
def test_with_steps_the_page_is_short_too(facts):
    shown = record_html(ExperimentRecord(**facts), RunMaps(NOISE, NOISE, noisy_frames()))
    assert len(shown.encode()) <= LIMIT
    assert "Animation of" in shown


def test_everything_big_at_once_is_short_and_says_what_is_left_out():
    facts = {name: value for part in BIG.values() for name, value in part.items()}
    maps = RunMaps(NOISE, NOISE, notes=["n" * 100_000])
    shown = record_html(ExperimentRecord(**facts), maps)
    assert len(shown.encode()) <= LIMIT
    assert shown.count("<img") == 8  # two maps, each with its scale and histogram, and the swipe
    assert "more, which stand in the record" in shown
    assert "more characters)" in shown


def test_how_much_is_left_out_is_said():
    logs = [f"line {at}" for at in range(20_000)]
    record = ExperimentRecord(parameters={f"p{at}": at for at in range(5000)}, error="e" * 9000, logs=logs)
    shown = record_html(record, RunMaps())
    n_rows = len(re.findall(r">p\d+<", shown))
    assert n_rows > 50
    assert f"and {5000 - n_rows:,} more, which stand in the record" in shown
    assert "e ... (1,000 more characters)" in shown
    assert "line 19999" in shown
    assert "earlier entries stand in the record)" in shown


@settings(database=None, max_examples=50, deadline=None)
@given(st.recursive(st.none() | st.integers() | st.floats() | st.text() | st.binary(), lambda inner: (
    st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.binary(), inner)), max_leaves=20))  # fmt: skip
def test_any_value_can_be_shown(value):
    shown = record_html(ExperimentRecord(parameters={"p": value}, metrics={"m": value}), RunMaps())
    shown.encode()


def test_letters_that_turn_the_page_are_shown_by_their_code():
    record = ExperimentRecord(model_name="a\u202egnp.exe", parameters={"\u2066x": "y\u2069"}, logs=["\u202d"])
    bundle = record_bundle(record, RunMaps())
    for text in bundle.values():
        assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") & set(text)
    assert "<b>a\\u202egnp.exe</b>" in bundle["text/html"]
    assert bundle["text/plain"].startswith("a\\u202egnp.exe:")


def test_a_run_without_output_shows_no_map_of_a_file_that_lies_there():
    write_raster(grid(9), "old.tif")
    record = ExperimentRecord(status="failed", output_path="old.tif", failed_phase="run")
    assert maps_of(record).after is None
    record.artifacts["output"] = "ab"
    assert maps_of(record).after is not None


def test_files_are_those_of_the_folder_that_the_run_worked_in(monkeypatch, tmp_path):
    monkeypatch.setenv("DISSMODEL_LAB_STORE", str(tmp_path / "store"))
    for name, value in (("A", 1), ("B", 2)):
        Path(name).mkdir()
        write_raster(grid(value), f"{name}/grid.tif")
    write_raster(grid(9), "B/out.tif")
    folder = Path.cwd()
    monkeypatch.chdir(folder / "A")
    run(Gridded, source="grid.tif", output="out.tif")
    monkeypatch.chdir(folder / "B")
    record = RunStore().read("last")
    maps = maps_of(record)
    assert (maps.before.grid.values == 1).all()
    assert (maps.after.grid.values == 3).all()
    assert changes_since(record) == []
    shown = Kept()
    run_panel.offer_map(record, maps, shown)
    assert shown.shown == ["widget"]


def test_a_file_that_has_changed_since_is_said(shell):
    write_raster(grid(1), "grid.tif")
    record = run(Gridded, source="grid.tif")
    write_raster(grid(2), "grid.tif")
    assert changes_since(record) == ["The input has changed since the run."]
    write_raster(grid(2), record.output_path)
    run_panel.show_record(RunStore().read("last"))
    page = shell.bundles[0]["text/html"]
    assert "The input has changed since the run." in page
    assert "The output has changed since the run." in page


def test_a_file_that_is_gone_or_huge_is_not_compared(monkeypatch):
    write_raster(grid(1), "grid.tif")
    record = run(Gridded, source="grid.tif")
    Path("grid.tif").write_text("other")
    monkeypatch.setattr("dissmodel_lab.views.record._MAX_COMPARED", 1)
    assert changes_since(record) == []
    Path("grid.tif").unlink()
    monkeypatch.undo()
    assert changes_since(record) == []


def test_a_run_that_starts_takes_the_map_of_the_one_before_away(shell):
    panel, place = Kept(), Kept()

    def call(listeners):
        assert place.shown == [{"text/plain": "", "text/html": ""}]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_panel.run_in_cell(call, panel, place)


def test_a_record_that_the_model_spoiled_does_not_hide_the_models_error(shell):
    class Spoiling(SteppingExecutor, register=False):
        name = "spoiling"

        def run(self, data, record):
            record.artifacts = None
            record.metrics = 5
            raise ZeroDivisionError("the model's own")

    with pytest.raises(ZeroDivisionError, match="the model's own"):
        run_panel.run_in_cell(lambda listeners: run(Spoiling, **listeners._asdict()))
    assert "spoiling" in shell.bundles[-1]["text/html"]
    assert "the model&#x27;s own" in shell.bundles[-1]["text/html"]


def test_a_cancelled_run_says_where_and_does_not_look_like_a_failure():
    html = record_html(ExperimentRecord(status="cancelled", error="KeyboardInterrupt", failed_phase="run"), RunMaps())
    assert "<b>cancelled in phase run</b></div>" in html
    assert "KeyboardInterrupt" not in html
    failed = record_html(ExperimentRecord(status="failed", error="ValueError: 5", failed_phase="run"), RunMaps())
    assert "<b>failed in phase run</b><br>ValueError: 5</div>" in failed


def test_a_path_that_no_file_can_have_is_said():
    record = ExperimentRecord(source=DataSource(uri="x" * 300 + ".tif"))
    assert maps_of(record).notes[0].startswith("No map of the input: OSError: ")


def test_numbers_of_any_kind_are_shown_short():
    progress = Progress(step=1, values={"a": np.float32(0.1), "b": 1 / 3, "c": np.int64(5), "d": "odd"})
    assert "a 0.1, b 0.333333, c 5, d odd" in phases_html(progress)


def test_phases_without_usage_are_drawn():
    record = ExperimentRecord(status="completed", metrics={f"time_{phase}_sec": 1.5 for phase in Phase})
    assert record_html(record, RunMaps()).count("1.5 s") == 4
