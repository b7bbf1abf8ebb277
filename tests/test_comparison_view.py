"""Two runs on the page: tables that differ, the change of their outputs, and their steps under one slider."""

from __future__ import annotations

import io
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image
from test_change_view import EVIL, Page, colour

from dissmodel_lab import run
from dissmodel_lab.changes import compare_runs
from dissmodel_lab.changes.report import RunComparison, RunSide, ValuePair
from dissmodel_lab.executor import ExperimentRecord
from dissmodel_lab.executor.testing import SteppingExecutor
from dissmodel_lab.frames import Moment, Series, write_frames
from dissmodel_lab.maps.frames import Frames
from dissmodel_lab.maps.legend import Legend, LegendEntry
from dissmodel_lab.maps.pairs import MOST, pair_frames
from dissmodel_lab.rasters import Raster, write_raster
from dissmodel_lab.views import change_view, comparison
from dissmodel_lab.views.change_view import LIMIT
from dissmodel_lab.views.comparison import (
    PairedSteps,
    comparison_bundle,
    comparison_html,
    show_comparison,
    steps_of,
)
from dissmodel_lab.views.comparison_text import comparison_text, metric_rows
from dissmodel_lab.views.pair_player import PairPlayer, pair_html

TREE, FIRE, ASH = (
    LegendEntry(1, "tree", "#117733"),
    LegendEntry(2, "fire", "#d55e00"),
    LegendEntry(5, "ash", "#999999"),
)
GREY_SCALE = tuple(f"#{at:02x}{at:02x}{at:02x}" for at in range(255))


def frames_of(times, *, entries=(TREE, FIRE), scale=None, band="state", pixels=None, counts=None):
    """Return frames of 4 x 6 pixels; the colour of frame ``i`` is ``1 + i % 2`` where none are given."""
    known = [time is not None for time in times]
    moments = tuple(
        Moment(at, len(times) - 1, time=time if has else None, count=counts[at] if counts else at)
        for at, (time, has) in enumerate(zip(times, known, strict=True))
    )
    legend = Legend(title=band, kind="classes", entries=entries)
    if scale is not None:
        low, high = scale
        legend = Legend(
            title=band, kind="continuous", scale=GREY_SCALE, low=low, high=high, minimum=low, maximum=high
        )
    if pixels is None:
        pixels = np.stack([np.full((4, 6), 1 + at % 2, np.uint8) for at in range(len(times))])
    return Frames(
        pixels=pixels, moments=moments, layer="", band=band, legend=legend, bounds=((0.0, 0.0), (4.0, 6.0)),
        is_georeferenced=False, crs="", notes=(), series=Series(),
    )  # fmt: skip


def shown(pair):
    return [(moment.text, *moment.numbers) for moment in pair.moments]


# --- moments that belong together ------------------------------------------------------------------------------


def test_moments_of_one_time_are_shown_together_whatever_their_step():
    pair = pair_frames(frames_of([2020, 2030, 2040]), frames_of([2020, 2025, 2030, 2035, 2040]))
    assert pair.by_time
    assert shown(pair) == [
        ("time 2020", 0, 0),
        ("time 2025", 0, 1),
        ("time 2030", 1, 2),
        ("time 2035", 1, 3),
        ("time 2040", 2, 4),
    ]
    assert [moment.is_exact for moment in pair.moments] == [True, False, True, False, True]
    assert pair.notes == ("Moments of the same simulated time are shown together.",)


def test_a_run_that_is_over_or_not_begun_is_said_to_be():
    pair = pair_frames(frames_of([2020, 2021]), frames_of([2021, 2022]))
    assert [moment.sides for moment in pair.moments] == [
        ("start", "not begun; start"),
        ("step 1 of 1", "start"),
        ("step 1 of 1 (the run is over)", "step 1 of 1"),
    ]
    assert "The runs end at different moments: the one that is over keeps showing its last picture." in pair.notes


def test_the_state_before_the_first_step_may_have_no_time():
    pair = pair_frames(frames_of([None, 1, 2]), frames_of([None, 1, 2]))
    assert shown(pair) == [("start", 0, 0), ("time 1", 1, 1), ("time 2", 2, 2)]


@pytest.mark.parametrize("times", [[1, None, 3], [3, 2, 1], [None, None, None]])
def test_without_time_the_count_of_steps_decides(times):
    pair = pair_frames(frames_of(times, counts=[0, 5, 10]), frames_of([1, 2], counts=[0, 10]))
    assert not pair.by_time
    assert shown(pair) == [("step 0", 0, 0), ("step 5", 1, 0), ("step 10", 2, 1)]
    assert pair.notes[0] == (
        "Moments after the same number of steps are shown together: no simulated time is known of both."
    )


def test_long_runs_are_thinned_and_keep_both_ends():
    pair = pair_frames(frames_of(list(range(0, 200, 2))), frames_of(list(range(1, 201, 2))))
    assert len(pair.moments) == MOST
    assert (pair.moments[0].text, pair.moments[-1].text) == ("time 0", "time 199")


def test_a_strip_prefers_moments_that_both_runs_kept():
    pair = pair_frames(frames_of(list(range(0, 41, 4))), frames_of(list(range(0, 41, 5))))
    texts = [pair.moments[at].text for at in pair.spread(3)]
    assert texts == ["time 0", "time 20", "time 40"]
    assert pair.spread(100) == list(range(len(pair.moments)))


# --- one legend ------------------------------------------------------------------------------------------------


def test_one_class_has_one_colour_in_both_runs():
    other = (LegendEntry(2, "fire", "#123456"), ASH)
    pair = pair_frames(frames_of([0, 1]), frames_of([0, 1], entries=other))
    assert pair.has_one_legend
    assert pair.first.legend == pair.second.legend
    assert [(entry.value, entry.colour) for entry in pair.first.legend.entries] == [
        (1, "#117733"), (2, "#d55e00"), (5, "#999999"),
    ]  # fmt: skip
    colours = pair.first.legend.colours
    assert colours[pair.first.pixels[1, 0, 0] - 1] == "#d55e00"
    assert [colours[pair.second.pixels[at, 0, 0] - 1] for at in (0, 1)] == ["#d55e00", "#999999"]


def test_a_class_with_two_names_gets_no_common_legend():
    other = (LegendEntry(5, "water", "#0072b2"),)
    pair = pair_frames(frames_of([0], entries=(ASH,)), frames_of([0], entries=other))
    assert not pair.has_one_legend
    assert pair.second.legend.entries == other
    assert pair.notes[-1] == (
        f"The runs give one class two names ('5': {ASH.label!r} and 'water'): each has its own legend, "
        "so colours cannot be compared."
    )


def test_clear_pixels_stay_clear():
    pixels = np.zeros((1, 4, 6), np.uint8)
    pair = pair_frames(frames_of([0], pixels=pixels), frames_of([0], entries=(ASH,), pixels=pixels + 1))
    assert not pair.first.pixels.any()


def test_one_value_has_one_colour_in_both_runs():
    def at(step):
        return np.full((1, 4, 6), step, np.uint8)

    # 5 on a scale from 0 to 10, and on one from 0 to 20
    one, other = frames_of([0], scale=(0, 10), pixels=at(128)), frames_of([0], scale=(0, 20), pixels=at(65))
    pair = pair_frames(one, other)
    assert (pair.first.legend.low, pair.first.legend.high) == (0, 20)
    assert abs(int(pair.first.pixels[0, 0, 0]) - int(pair.second.pixels[0, 0, 0])) <= 1
    assert pair.second.pixels[0, 0, 0] == 65


def test_different_bands_keep_their_own_legends_and_it_is_said():
    pair = pair_frames(frames_of([0, 1]), frames_of([0, 1], band="age", scale=(0, 1)))
    assert not pair.has_one_legend
    assert pair.notes[-1] == (
        "The runs kept different maps ('state' and 'age'): each has its own legend, so colours cannot be compared."
    )
    html = pair_html(pair, ("one", "other"), budget=20_000)
    assert "one:</div>" in html
    assert "other:</div>" in html


# --- the strip and the player ----------------------------------------------------------------------------------


def test_the_strip_has_a_row_for_each_run_with_the_pictures_of_the_moments():
    pair = pair_frames(frames_of([2020, 2030]), frames_of([2020, 2025, 2030]))
    page = Page(pair_html(pair, ("run a", f"run {EVIL}"), budget=20_000))
    assert not {"script", "style", "svg"} & set(page.tags)
    assert page.tables[0] == [
        ["", "time 2020", "time 2025", "time 2030"],
        ["run a", "start", "as before: start", "step 1 of 1"],
        [f"run {EVIL}", "start", "step 1 of 2", "step 2 of 2"],
    ]
    first = [colour(page.picture(f"run a, state, {name}"), 1, 1, (4, 6)) for name in ("start", "step 1")]
    assert first == ["#117733", "#d55e00"]


def test_the_strip_keeps_its_budget():
    random = np.random.default_rng(0)
    pixels = random.integers(1, 255, (12, 256, 256)).astype(np.uint8)
    runs = [frames_of(list(range(12)), scale=(0, 1), pixels=pixels) for _ in range(2)]
    html = pair_html(pair_frames(*runs), ("a", "b"), budget=60_000)
    assert len(html.encode()) < 60_000 * 4 / 3 + 12_000


def test_one_slider_leads_both_pictures_in_the_page_itself():
    player = PairPlayer(pair_frames(frames_of([2020, 2030]), frames_of([2020, 2025, 2030])), ("a", "b"))
    assert [label for label, _ in player.slider.options] == ["1: time 2020", "2: time 2025", "3: time 2030"]
    assert [len(stack.children) for stack in player.stacks] == [3, 3]
    targets = {(link.source, link.target) for link in player._links}
    assert targets == {
        ((player.play, "value"), (player.slider, "index")),
        *(((player.slider, "index"), (stack, "selected_index")) for stack in player.stacks),
    }
    assert {type(link).__name__ for link in player._links} == {"Link"}
    pictures = [
        [np.asarray(_image(cell).convert("RGB"))[0, 0].tolist() for cell in stack.children] for stack in player.stacks
    ]
    green, red = [0x11, 0x77, 0x33], [0xD5, 0x5E, 0x00]
    assert pictures == [[green, green, red], [green, red, green]]


def _image(cell):
    return Image.open(io.BytesIO(cell.children[0].value))


# --- two runs --------------------------------------------------------------------------------------------------


class Growing(SteppingExecutor, register=False):
    """Writes a map of classes of which ``grown`` cells are forest."""

    name = "growing"
    output_suffix = ".tif"

    def load(self, record):
        return np.ones((10, 10), "uint8")

    def run(self, data, record):
        data.flat[: record.parameters["grown"]] = 2
        record.metrics |= {"cells": float(record.parameters["grown"]), "by_step": {str(at): at for at in range(20)}}
        return data

    def save(self, result, record):
        classes = {"cover": {1: ("bare", "#ddcc77"), 2: ("forest", "#117733")}}
        write_raster(Raster(array=result[np.newaxis], bands=("cover",), classes=classes), record.output_path)
        return record


@pytest.fixture
def runs():
    return [run(Growing, parameters={"grown": grown, "kept": 1}) for grown in (20, 23)]


def test_what_differs_stands_side_by_side(runs):
    first, second = runs
    html = comparison_html(compare_runs(first, second))
    one, other = (f"run {record.experiment_id[:8]}" for record in runs)
    tables = Page(html).tables
    assert ["", one, other] in [table[0] for table in tables]
    assert next(table[1:] for table in tables if table[0] == ["", one, other]) == [["grown", "20", "23"]]
    assert "Parameters that differ (1 are the same)" in html
    metrics = next(table for table in tables if table[0] == ["", one, other, "difference"])
    assert ["cells", "20", "23", "+3"] in metrics
    assert "3 of 100 cells changed (3 %)" in html
    pixels = Page(html).picture("Map of change of cover")
    assert [colour(pixels, 2, column, (10, 10)) for column in (0, 2, 3)] == ["#117733", "#117733", "#d9d9d9"]


def test_many_values_of_one_metric_are_one_row(runs):
    html = comparison_html(compare_runs(*runs))
    rows = [row for table in Page(html).tables for row in table]
    assert ["by_step (20 values)", "0 ... 19", "0 ... 19", ""] in rows
    assert metric_rows([ValuePair(name=f"a[{at}]", first=1, in_second=False) for at in range(9)]) == [
        ["a (9 values)", "1 ... 1", "- ... -", "9 differ"]
    ]


def test_the_same_run_twice_keeps_two_names(runs):
    html = comparison_html(compare_runs(runs[0], runs[0]))
    short = runs[0].experiment_id[:8]
    assert f"run {short} (first)" in html
    assert f"run {short} (second)" in html
    assert "&#9888; 0 of 100 cells changed" in html


def test_outputs_that_cannot_be_compared_do_not_hide_the_rest(runs):
    first, second = runs
    second.artifact_path().unlink()
    html = comparison_html(compare_runs(first, second))
    assert "&#9888; The outputs are not compared.</b>" in html
    assert "grown" in html
    assert "The outputs are not compared: " in comparison_text(compare_runs(first, second))


def test_hostile_names_are_escaped_and_secrets_hidden():
    side = RunSide(
        experiment_id=EVIL, model_name=EVIL, title=EVIL, status=EVIL, created=EVIL, source_uri=EVIL, source_sha256="",
        output_sha256="",
    )  # fmt: skip
    evil = ValuePair(name=EVIL, first={EVIL: [EVIL]}, second="https://ana:pw@host/x")
    made = RunComparison(
        first=side, second=side, parameters=(evil,) * 100, same_parameters=0, metrics=(evil,), timings=(evil,),
        versions=(evil,), same_versions=3, input_sentence=EVIL, same_input=None, same_output=None, problem=EVIL,
        notes=(EVIL,),
    )  # fmt: skip
    html = comparison_html(made, PairedSteps(notes=[EVIL]))
    assert "<script" not in html
    assert "pw@" not in html
    assert "and 60 more, which stand in the plain text" in html
    assert "pw@" not in comparison_text(made)


def test_steps_of_both_runs_make_one_strip(runs):
    for record, times in zip(runs, ([2020, 2030], [2020, 2025, 2030]), strict=True):
        write_frames(record.record_path.parent, frames_of(times))
    steps = steps_of(*runs)
    assert steps.notes == []
    html = comparison_html(compare_runs(*runs), steps)
    assert ["", "time 2020", "time 2025", "time 2030"] in [table[0] for table in Page(html).tables]


def test_frames_take_the_colours_of_the_map(runs):
    one = np.ones((1, 4, 6), np.uint8)
    unnamed = frames_of([0], entries=(LegendEntry(2, "2", "#000000"),), band="cover", pixels=one)
    for record in runs:
        write_frames(record.record_path.parent, unnamed)
    legend = compare_runs(*runs).changes[0].legend
    assert steps_of(*runs, legend).pair.first.legend.entries == (LegendEntry(2, "forest", "#117733"),)


def test_a_run_without_frames_is_named(runs):
    first, second = runs
    write_frames(first.record_path.parent, frames_of([0, 1]))
    steps = steps_of(first, second)
    assert steps.pair is None
    name = second.experiment_id[:8]
    assert steps.notes == [f"Run {name} kept no pictures of its steps: there is no player."]
    assert steps.notes[0] in comparison_html(compare_runs(first, second), steps)


def test_damaged_frames_are_said(runs):
    first, second = runs
    write_frames(first.record_path.parent, frames_of([0, 1]))
    (second.record_path.parent / "frames.npz").write_bytes(b"no archive")
    notes = steps_of(first, second).notes
    assert notes[0].startswith("The steps of this run cannot be shown: frames.npz is damaged")


def test_a_page_of_two_runs_stays_below_its_limit(runs):
    random = np.random.default_rng(0)
    for record in runs:
        pixels = random.integers(1, 255, (20, 256, 256)).astype(np.uint8)
        write_frames(record.record_path.parent, frames_of(list(range(20)), scale=(0, 1), pixels=pixels))
        noise = random.integers(1, 30, (1, 900, 900)).astype("uint8")
        write_raster(Raster(array=noise, bands=("cover",)), record.artifact_path())
    bundle = comparison_bundle(compare_runs(*runs), steps_of(*runs))
    assert len(bundle["text/html"].encode()) <= LIMIT
    page = Page(bundle["text/html"])
    assert not {"script", "style", "svg", "iframe"} & set(page.tags)
    assert "id" not in page.attributes
    assert b64decode(bundle["image/png"])[1:4] == b"PNG"


def test_the_same_in_plain_text(runs):
    first, second = runs
    compared = compare_runs(first, second)
    text = comparison_text(compared)
    assert text.startswith(compared.sentence)
    lines = text.splitlines()
    one, other = (record.experiment_id[:8] for record in runs)
    assert f"  parameters that differ  {one}  {other}" in lines
    assert "  grown                   20        23" in lines
    assert next(line.split() for line in lines if line.startswith("  bare (1)"))[2:] == ["77", "3", "80"]
    assert "3 of 100 cells changed (3 %)" in text


# --- in a cell -------------------------------------------------------------------------------------------------


class Kept:
    """An output that remembers what it showed."""

    shown: list[object]

    def show_widget(self, widget, fallback=""):
        self.shown.append(widget)

    def show_static(self, bundle):
        self.shown.append(bundle)


def test_the_static_page_comes_first_then_the_player_then_the_map(runs, monkeypatch):
    Kept.shown = []
    monkeypatch.setattr(comparison, "CellOutput", Kept)
    for record in runs:
        write_frames(record.record_path.parent, frames_of([0, 1]))
    show_comparison(compare_runs(*runs), *runs)
    static, player, explorer = Kept.shown
    assert "cells changed" in static["text/html"]
    assert "dl-pair-player" in player._dom_classes
    assert "dl-map" in explorer.children[1]._dom_classes


def test_two_runs_without_anything_to_draw(monkeypatch):
    Kept.shown = []
    monkeypatch.setattr(comparison, "CellOutput", Kept)
    monkeypatch.setattr(change_view, "CellOutput", Kept)
    records = [ExperimentRecord(model_name="flood", status="failed", failed_phase="load") for _ in range(2)]
    show_comparison(compare_runs(*records), *records)
    (static,) = Kept.shown
    assert "Neither run kept pictures of its steps: there is no player." in static["text/html"]
    assert set(static) == {"text/plain", "text/html"}
