"""A sweep as it is seen: text, table, charts, small maps, live and static."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import re
import threading
import time
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import pytest
from PIL import Image

from dissmodel_lab.sweeps import sweep as run_sweep
from dissmodel_lab.sweeps.design import Axis, SweepDesign
from dissmodel_lab.sweeps.planning import plan_sweep
from dissmodel_lab.sweeps.report import Sensitivity, SensitivityIndex, SweepProgress, SweepRow
from dissmodel_lab.views import sweep as views
from dissmodel_lab.views import sweep_charts
from dissmodel_lab.views.sweep import (
    Choice,
    SweepOutputs,
    SweepPanel,
    SweepPictures,
    SweepView,
    first_choice,
    show_sweep,
    sweep_bundle,
)
from dissmodel_lab.views.sweep_charts import Chart, chart_html, metric_chart, sensitivity_chart
from dissmodel_lab.views.sweep_maps import caption, small_maps, small_maps_html
from dissmodel_lab.views.sweep_numbers import along, cloud, over
from dissmodel_lab.views.sweep_table import SweepTable, runs_html
from dissmodel_lab.views.sweep_text import progress_text, reasons, sweep_text, table_of, text_bar

HOSTILE = "<script>alert(1)</script>$x_1$ & ]"


class Recorded:
    """An output that keeps what it was told to show."""

    def __init__(self):
        self.reserved = 0
        self.shown = []

    def reserve(self):
        self.reserved += 1

    def show_widget(self, widget, fallback=""):
        self.shown.append(("widget", widget, fallback))

    def show_static(self, bundle):
        self.shown.append(("static", bundle))


@pytest.fixture
def outputs():
    place = SweepOutputs()
    place.chooser, place.result, place.pages, place.table = Recorded(), Recorded(), Recorded(), Recorded()
    return place


class FakeSweep:
    """A sweep without files: every point has the status that is asked for."""

    def __init__(self, design, status=lambda _point: "completed", *, state="finished", error="ValueError: no"):
        self.id, self.folder, self.design = "3f2a77aa-0000", Path("sweeps/3f2a"), design
        self.status, self.state, self.error = status, state, error
        self.why, self.n_read = None, 0
        self.lock = threading.Lock()

    @property
    def is_running(self):
        return self.state == "running"

    def rows(self):
        self.n_read += 1
        found = []
        for point in self.design.points:
            status = self.status(point.number)
            is_done = status == "completed"
            found.append(
                SweepRow(
                    point=point.number,
                    setting=point.setting,
                    parameters=point.parameters,
                    seed=point.seed,
                    status=status,
                    error=self.error if status == "failed" else "",
                    metrics={"area": float(point.number), "time_run_sec": 0.5} if is_done else {},
                    seconds=0.25 if is_done else None,
                    attempt=0 if status == "waiting" else 1,
                    experiment_id="" if status == "waiting" else f"{point.number:08x}-0000",
                )
            )
        return found

    def progress(self):
        counts = [self.status(number) for number in range(1, self.design.n_runs + 1)]
        known = [counts.count(word) for word in ("completed", "failed", "cancelled", "running", "waiting")]
        return SweepProgress(*known, 80.0, 95.4 if self.is_running else None, self.state)

    def metric_names(self):
        return ["area", "time_run_sec"]

    def sensitivity(self, metric):
        return Sensitivity(
            metric=metric,
            sample=self.design.sample,
            method="",
            names=self.design.names,
            indices=(),
            n_points=1,
            n_used=0,
        )

    def maps(self, metric=None, *, most=16):
        return []

    def cancel(self, why=""):
        self.why, self.state = why, "stopped"

    def wait(self, timeout=None):
        return self.progress()


def grid(**axes):
    """Return a grid of numbers, in metres."""
    made = tuple(
        Axis(name=name, kind="number", text="", values=tuple(values), low=min(values), high=max(values), unit="m")
        for name, values in axes.items()
    )
    settings = [()]
    for axis in made:
        settings = [(*before, value) for before in settings for value in axis.values]
    return SweepDesign(model_name="flood", axes=made, sample="grid", settings=tuple(settings))


def row(point, parameters, area=None, *, seed=None, status=None, setting=None):
    metrics = {} if area is None else {"area": area}
    return SweepRow(
        point=point,
        setting=setting or point,
        parameters=parameters,
        seed=seed,
        status=status or ("completed" if area is not None else "failed"),
        metrics=metrics,
    )


class Tags(HTMLParser):
    """The tags and the pictures' texts of a piece of HTML."""

    def __init__(self, html):
        super().__init__()
        self.names, self.alts = set(), []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        if tag == "img":
            self.alts.append(dict(attrs).get("alt"))


# ------------------------------------------------------------------------------------------------- numbers


def test_a_mean_over_seeds_counts_what_is_missing():
    design = grid(rise=[1.0, 2.0])
    rows = [
        row(1, {"rise": 1.0}, 2.0, seed=1),
        row(2, {"rise": 1.0}, 4.0, seed=2),
        row(3, {"rise": 2.0}, seed=1),
        row(4, {"rise": 2.0}, seed=2, status="waiting"),
    ]
    line = along(rows, "area", design.axes[0], design.names)
    (at, said), (_, gap) = line.at
    assert (at, said.mean, said.low, said.high) == (1.0, 3.0, 2.0, 4.0)
    assert math.isnan(gap.mean)
    assert (gap.n_failed, gap.n_waiting) == (1, 1)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, True, 10**400])
def test_what_is_no_finite_number_is_missing(value):
    design = grid(rise=[1.0])
    ((_, said),) = along([row(1, {"rise": 1.0}, value)], "area", design.axes[0]).at
    assert (said.values, said.n_failed) == ((), 1)


def test_a_grid_with_a_hole_has_no_cell_there():
    design = grid(rise=[1.0, 2.0], tide=[4.0, 5.0])
    rows = [row(1, {"rise": 1.0, "tide": 4.0}, 7.0), row(2, {"rise": 2.0, "tide": 5.0})]
    found = over(rows, "area", *design.axes)
    assert found.cells[0][0].mean == 7.0
    assert found.cells[0][1] is None
    assert found.cells[1][1].n_failed == 1


def test_a_sample_is_gathered_by_setting():
    axis = Axis(name="rise", kind="number", text="0:1", low=0.0, high=1.0)
    rows = [row(1, {"rise": 0.2}, 1.0, setting=1, seed=1), row(2, {"rise": 0.2}, 3.0, setting=1, seed=2)]
    ((x, _, said),) = cloud(rows, "area", axis).points
    assert (x, said.mean, said.low, said.high) == (0.2, 2.0, 1.0, 3.0)


# -------------------------------------------------------------------------------------------------- charts


def size_of(png):
    return Image.open(io.BytesIO(png)).size


def test_a_line_names_axes_with_units_and_missing_runs():
    design = grid(rise=[1.0, 2.0, 3.0])
    rows = [row(1, {"rise": 1.0}, 5.0), row(2, {"rise": 2.0}), row(3, {"rise": 3.0}, 9.0)]
    chart = metric_chart(rows, design, "area", "rise")
    assert chart.title == "area against rise [m]"
    assert chart.notes == ("✗ 1 run without a value.",)
    assert chart.rows[1] == ("2", "-", "-", "-", "0", "1")
    assert chart.alt == "Line chart of area against rise [m]: from 5 at 1 to 9 at 3. Smallest mean 5, largest 9."
    assert size_of(chart.png) == (960, 510)


@pytest.mark.parametrize("is_log", [False, True])
def test_an_axis_shows_the_whole_design(monkeypatch, is_log):
    spans = []

    def encoded(figure):
        spans.append(figure.axes[0].get_xlim())
        return b""

    monkeypatch.setattr(sweep_charts, "_encoded", encoded)
    made = Axis(name="rise", kind="number", text="", values=(1, 10, 100), low=1, high=100, is_log=is_log)
    design = SweepDesign(model_name="flood", axes=(made,), sample="grid", settings=((1,), (10,), (100,)))
    rows = [row(1, {"rise": 1}, 1.0), row(2, {"rise": 10}, 2.0), row(3, {"rise": 100}, status="waiting")]
    metric_chart(rows, design, "area", "rise")
    low, high = spans[0]
    assert low < 1
    assert 100 < high < 130
    sampled = dataclasses.replace(design, axes=(dataclasses.replace(made, values=(), high=400),), sample="lhs")
    metric_chart(rows, sampled, "area", "rise")
    assert 400 < spans[1][1] < 600


def test_a_missing_run_is_seen_in_the_picture():
    design = grid(rise=[1.0, 2.0, 3.0])
    whole = [row(n, {"rise": float(n)}, 5.0 * n) for n in (1, 2, 3)]
    gap = [whole[0], row(2, {"rise": 2.0}), whole[2]]
    red = [
        sum(
            pixel[0] > 150 and pixel[1] < 90 and pixel[2] < 90
            for pixel in pixels_of(metric_chart(rows, design, "area", "rise"))
        )
        for rows in (whole, gap)
    ]
    assert red[0] == 0
    assert red[1] > 10


def pixels_of(chart):
    image = Image.open(io.BytesIO(chart.png)).convert("RGB")
    return [image.getpixel((x, y)) for x in range(image.width) for y in range(image.height)]


def test_a_map_of_two_parameters_shows_gaps_in_grey_and_as_words():
    design = grid(rise=[1.0, 2.0], tide=[4.0, 5.0])
    points = [(1.0, 4.0, 1.0), (1.0, 5.0, 2.0), (2.0, 4.0, 3.0)]
    rows = [row(n, {"rise": rise, "tide": tide}, area) for n, (rise, tide, area) in enumerate(points, start=1)]
    rows.append(row(4, {"rise": 2.0, "tide": 5.0}))
    chart = metric_chart(rows, design, "area", "rise", "tide")
    assert chart.title == "area over rise [m] and tide [m]"
    assert chart.notes == ("✗ 1 run without a value.", "Grey: no run has a value there.")
    assert chart.columns == ("tide [m] \\ rise [m]", "1", "2")
    assert chart.rows == (("4", "1", "3"), ("5", "2", "failed"))
    assert (228, 228, 228) in set(pixels_of(chart))


def test_other_parameters_and_seeds_are_said():
    design = grid(rise=[1.0, 2.0], tide=[4.0, 5.0])
    rows = [
        row(n, {"rise": rise, "tide": tide}, float(n), seed=seed)
        for n, (rise, tide, seed) in enumerate([(r, t, s) for r in (1.0, 2.0) for t in (4.0, 5.0) for s in (1, 2)])
    ]
    assert metric_chart(rows, design, "area", "rise").notes == (
        "Mean, with the range from smallest to largest, over 2 seeds and all values of tide.",
    )
    assert metric_chart(rows, design, "area", "rise", "tide").notes == ("Mean over 2 seeds.",)


def test_a_sample_is_drawn_as_points_and_says_what_else_varies():
    design = plan_sweep("forest_fire", {"density": "0.1:0.8", "n_steps": "1:50"}, sample="lhs", samples=30)
    rows = FakeSweep(design).rows()
    chart = metric_chart(rows, design, "area", "density")
    assert chart.notes[0] == "n_steps also varies from point to point."
    assert chart.notes[1] == "The numbers show 24 of 30 rows; sweep.to_frame() has all runs."
    both = metric_chart(rows, design, "area", "density", "n_steps")
    assert both.title == "area over density [-] and n_steps [steps]"
    assert both.png


@pytest.mark.parametrize("kind", ["choice", "date", "log"])
def test_axes_that_are_no_plain_numbers(kind):
    values = {"choice": ("von", "moore"), "date": ("2020-01-01", "2021-01-01"), "log": (0.001, 1.0)}[kind]
    axis = Axis(name="a", kind="number" if kind == "log" else kind, text="", values=values, is_log=kind == "log")
    design = SweepDesign(model_name="m", axes=(axis,), sample="grid", settings=tuple((value,) for value in values))
    chart = metric_chart([row(n, {"a": value}, float(n)) for n, value in enumerate(values)], design, "area", "a")
    assert chart.png
    assert {line[0] for line in chart.rows} == {"0.001", "1"} if kind == "log" else set(values)


def test_nothing_to_draw_is_said():
    chart = metric_chart([row(1, {"rise": 1.0})], grid(rise=[1.0]), "area", "rise")
    assert chart.png == b""
    assert chart.notes == ("No run has a value to draw.", "✗ 1 run without a value.")
    assert chart.alt == "area against rise [m]: no value."


def test_values_beyond_all_pictures_are_listed():
    design = grid(rise=[1.0, 2.0])
    chart = metric_chart([row(1, {"rise": 1.0}, 1e308), row(2, {"rise": 2.0}, -1e308)], design, "area", "rise")
    assert chart.png == b""
    assert chart.notes == ("2 too large to be drawn; the numbers have them.",)
    assert chart.rows[0][1] == "1e+308"


def test_names_are_no_markup_and_no_formula():
    axis = Axis(name=HOSTILE, kind="choice", text="", values=("$\\frac$", "b"), unit="<b>")
    design = SweepDesign(model_name=HOSTILE, axes=(axis,), sample="grid", settings=(("$\\frac$",), ("b",)))
    rows = [
        SweepRow(point=n, setting=n, parameters={HOSTILE: value}, status="completed", metrics={HOSTILE: float(n)})
        for n, value in enumerate(axis.values, start=1)
    ]
    html = chart_html(metric_chart(rows, design, HOSTILE, HOSTILE))
    assert Tags(html).names <= {"div", "img", "details", "summary", "table", "tr", "th", "td", "span"}
    assert "&lt;script&gt;" in html


def test_the_style_of_the_notebook_does_not_matter():
    design = grid(rise=[1.0, 2.0])
    rows = [row(1, {"rise": 1.0}, 5.0), row(2, {"rise": 2.0}, 6.0)]
    usual = metric_chart(rows, design, "area", "rise").png
    with mpl.rc_context(
        {"text.color": "white", "axes.labelcolor": "white", "xtick.color": "white", "text.usetex": True}
    ):
        assert metric_chart(rows, design, "area", "rise").png == usual


def test_no_figure_is_left_in_pyplot():
    from matplotlib import pyplot as plt

    metric_chart([row(1, {"rise": 1.0}, 5.0)], grid(rise=[1.0]), "area", "rise")
    assert plt.get_fignums() == []


def indices(names, **given):
    made = [
        SensitivityIndex(symbol=symbol, title=title, values=values, lower=lower, upper=upper, is_share=True)
        for symbol, (title, values, lower, upper) in given.items()
    ]
    return Sensitivity(
        metric="area",
        sample="saltelli",
        method="Saltelli (2010).",
        names=names,
        indices=tuple(made),
        n_points=64,
        n_used=60,
    )


def test_indices_are_bars_with_intervals_the_strongest_first():
    found = indices(
        ("rise", "tide", "<b>"),
        S1=("alone", (0.1, 0.6, None), (0.0, 0.5, None), (0.2, 0.7, None)),
        ST=("with others", (0.2, 0.7, None), (0.1, 0.6, None), (0.3, 0.8, None)),
    )
    chart = sensitivity_chart(found)
    assert chart.title == "What area depends on"
    assert chart.rows[0] == ("tide", "0.6 (0.5 to 0.7)", "0.7 (0.6 to 0.8)")
    assert [line[0] for line in chart.rows] == ["tide", "rise", "<b>"]
    assert chart.notes == ("Saltelli (2010).", "60 of 64 runs have a value.", "Lines: 95 % confidence intervals.")
    assert chart.png


def test_shares_and_spans_are_not_drawn_on_one_axis():
    found = indices(("rise",), S1=("alone", (0.5,), (None,), (None,)))
    span = SensitivityIndex(symbol="span", title="from low to high", values=(1600.0,), lower=(None,), upper=(None,))
    both = sensitivity_chart(dataclasses.replace(found, indices=(*found.indices, span)))
    assert both.png == sensitivity_chart(found).png
    assert both.rows == (("rise", "0.5", "1.6e+03"),)


def test_many_parameters_have_bars_for_the_strongest():
    names = tuple(f"p{n}" for n in range(40))
    values = tuple(n / 40 for n in range(40))
    chart = sensitivity_chart(indices(names, S1=("alone", values, values, values)))
    assert "The 16 strongest of 40 parameters are drawn." in chart.notes
    assert len(chart.rows) == 24


def test_no_indices_are_said():
    empty = Sensitivity(
        metric="area",
        sample="grid",
        method="",
        names=("a",),
        indices=(),
        n_points=3,
        n_used=0,
        notes=("Too few runs.",),
    )
    assert sensitivity_chart(empty).png == b""
    assert "Too few runs." in chart_html(sensitivity_chart(empty))


def test_a_chart_without_a_picture_has_none():
    assert "<img" not in chart_html(Chart("t", b"", "", ("n",), (), ()))


# -------------------------------------------------------------------------------------------- text and table


def test_the_text_of_a_sweep():
    sweep = FakeSweep(grid(rise=[0.1, 0.2, 0.3]), lambda n: "failed" if n == 2 else "completed")
    assert sweep_text(sweep).splitlines() == [
        "sweep of flood: 3 values of rise = 3 runs (sweep 3f2a77aa)",
        f"  [{20 * '#'}{10 * 'x'}] 100 %  3 of 3 runs ended: 2 completed, 1 failed; finished after 1 min 20 s",
        "  1 failed: ValueError: no (point 2)",
        "",
        "point  rise [m]  status     area  time    run       reason",
        "1      0.1       completed  1     250 ms  00000001",
        "2      0.2       failed                   00000002  ValueError: no",
        "3      0.3       completed  3     250 ms  00000003",
        "  folder  sweeps/3f2a",
    ]


def test_a_long_sweep_says_how_many_rows_are_left_out():
    sweep = FakeSweep(grid(rise=[float(n) for n in range(50)]))
    assert "... and 45 more runs; --json prints them all\n" in sweep_text(sweep, limit=5)
    assert "... and 45 more runs; sweep.to_frame() has them all\n" in sweep_text(sweep, limit=5, command="%dissmodel")


def test_a_steering_error_text_is_harmless():
    sweep = FakeSweep(grid(rise=[1.0]), lambda _n: "failed", error="E: \x1b[31mred\nsecond line")
    assert "E: \\x1b[31mred" in sweep_text(sweep)
    assert "second line" not in sweep_text(sweep)


def test_who_cancelled_reads_no_word_of_python():
    found = dataclasses.replace(row(1, {"rise": 1.0}, status="cancelled"), error="KeyboardInterrupt: too slow")
    _, cells = table_of(grid(rise=[1.0]), [found], [])
    assert cells[0][-1] == "too slow"


def test_99_percent_is_not_the_end():
    progress = SweepProgress(999, 0, 0, 1, 0, 10.0, 0.01, "running")
    assert text_bar(progress, 10) == "[#########.]  99 %"
    assert progress_text(progress) == (
        "999 of 1,000 runs ended: 999 completed; 1 running; 10.0 s so far, about 1.0 s left"
    )


def test_time_left_is_unknown_at_first():
    said = progress_text(SweepProgress(0, 0, 0, 2, 8, 0.1, None, "running"))
    assert said == "0 of 10 runs ended: 0 completed; 2 running, 8 waiting; 100 ms so far, time left unknown"


def test_reasons_are_gathered():
    rows = [
        SweepRow(point=n, setting=n, parameters={}, status="failed", error=f"E{min(n, 7)}: x\nmore")
        for n in range(1, 15)
    ]
    said = reasons(rows)
    assert said[0] == "8 failed: E7: x (points 7, 8, 9, 10, 11 and 3 more)"
    assert said[-1] == "2 more failed, for other reasons; the table tells why"


def test_the_table_escapes_and_says_its_page():
    sweep = FakeSweep(grid(rise=[float(n) for n in range(45)]), lambda _n: "failed", error=f"E: {HOSTILE}")
    table = SweepTable(sweep, lambda: None)
    html = table.html()
    assert "1 to 20 of 45 runs" in html
    assert "script" not in Tags(html).names
    assert html.count("<tr>") == 21


def test_pages_and_statuses_are_chosen():
    turned = []
    sweep = FakeSweep(grid(rise=[float(n) for n in range(45)]), lambda n: "failed" if n % 15 == 0 else "completed")
    table = SweepTable(sweep, lambda: turned.append(table.html()))
    table.html()
    assert table.previous.disabled
    table.next.click()
    table.page.value = 3
    assert "41 to 45 of 45 runs" in turned[-1]
    assert table.next.disabled
    table.status.value = "failed"
    assert "1 to 3 of 3 failed runs" in turned[-1]
    assert len(turned) == 3
    table.status.value = "waiting"
    assert "no waiting runs" in turned[-1]


@pytest.mark.soak
def test_ten_thousand_runs_fit_on_a_page():
    design = grid(rise=[float(n) for n in range(100)], tide=[float(n) for n in range(100)])
    sweep = FakeSweep(design, lambda _n: "failed", error="E: " + "<" * 5_000)
    bundle = sweep_bundle(sweep)
    assert len(bundle["text/html"].encode()) < 300_000
    assert "1 to 20 of 10,000 runs" in bundle["text/html"]


def test_a_table_that_is_too_heavy_says_what_is_left_out():
    design = grid(rise=[1.0])
    rows = [
        SweepRow(point=n, setting=1, parameters={"rise": 1.0}, status="failed", error="&" * 400) for n in range(200)
    ]
    assert re.search(r"\d+ more runs do not fit here\.", runs_html(design, rows, []))


# ---------------------------------------------------------------------------------------------------- maps


def test_small_maps_share_one_legend():
    done = run_sweep("game_of_life", {"generations": "1:4:4"}, engine="inline")
    maps = small_maps(done.maps(most=4), done.design)
    assert maps.captions[0].startswith("generations = 1")
    assert len({picture.legend for picture in maps.pictures}) == 1
    html = small_maps_html(maps, n_runs=9)
    assert html.count("4 of 9 completed runs are shown.") == 1
    assert all(alt is not None for alt in Tags(html).alts)
    assert html.count("Map of") == 4


def test_classes_in_another_order_have_one_legend():
    done = run_sweep("forest_fire", {"density": "0.3,0.9"}, parameters={"n_steps": 5}, engine="inline")
    maps = small_maps(done.maps(most=2), done.design)
    assert maps.captions == ("density = 0.3", "density = 0.9")
    assert small_maps_html(maps).count("bare") == 3  # in the text of two pictures and in one legend


def test_a_scale_covers_all_maps():
    import numpy as np

    from dissmodel_lab.maps import preview
    from dissmodel_lab.views.sweep_maps import _in_one_legend

    pictures = _in_one_legend([preview(np.linspace(low, low + 1, 400).reshape(20, 20)) for low in (0.0, 5.0)])
    assert pictures[0].legend == pictures[1].legend
    assert (pictures[0].legend.minimum, pictures[0].legend.maximum) == (0.0, 6.0)
    assert pictures[0].pixels.max() < pictures[1].pixels.min()


def test_a_map_that_is_gone_is_said_and_stops_nothing():
    done = run_sweep("game_of_life", {"generations": "1:2:2"}, engine="inline")
    found = done.maps(most=2)
    found[0].output_path.unlink()
    maps = small_maps(found, done.design)
    assert len(maps.pictures) == 1
    assert maps.notes[0] == "No map of generations = 1: the .tif output doesn't exist."


def test_outputs_that_are_no_maps_are_said_once():
    done = run_sweep("game_of_life", {"generations": "1:3:3"}, engine="inline")
    found = done.maps(most=3)
    for number, one in enumerate(found):
        one.output_path.write_text(json.dumps({"alive": number}))
    maps = small_maps(found, done.design)
    assert maps.pictures == ()
    assert maps.notes == ("No maps of 3 runs: the .tif output is not a map that can be read.",)


def test_a_unit_that_only_repeats_the_name_is_not_said():
    axis = Axis(name="Generations", kind="whole", text="", values=(3,), unit="generations")
    design = SweepDesign(model_name="life", axes=(axis,), sample="grid", settings=((3,),))
    assert caption(row(1, {"Generations": 3}, 1.0), design) == "Generations = 3"


# -------------------------------------------------------------------------------------------------- whole


def test_a_sweep_that_is_over_stands_in_four_outputs(outputs):
    sweep = run_sweep("game_of_life", {"generations": "1:3:3", "wrap": [True, False]}, engine="inline")
    assert show_sweep(sweep, outputs) is sweep
    kind, bundle = outputs.result.shown[-1]
    assert kind == "static"
    assert bundle["text/plain"] == sweep_text(sweep, command="%dissmodel")
    tags = Tags(bundle["text/html"])
    assert not tags.names & {"script", "style", "svg", "iframe"}
    assert len(bundle["text/html"]) + len(outputs.table.shown[-1][1]["text/html"]) < 300_000
    assert outputs.chooser.shown[-1][0] == "widget"
    assert (
        outputs.chooser.shown[-1][2] == "To choose what is drawn needs a running kernel; what stands below does not."
    )


def test_what_is_chosen_stays_in_the_notebook(outputs):
    sweep = FakeSweep(grid(rise=[1.0, 2.0], tide=[4.0, 5.0]))
    view = SweepView(sweep, outputs)
    view.show()
    assert view.choice == Choice("area", "rise", "tide")
    view.y.value = ""
    assert "area against rise [m]" in outputs.result.shown[-1][1]["text/html"]
    view.x.value = "tide"
    view.metric.value = "time_run_sec"
    assert "time_run_sec against tide [m]" in outputs.result.shown[-1][1]["text/html"]
    view.y.value = "tide"  # the same twice is one axis
    assert "time_run_sec against tide [m]" in outputs.result.shown[-1][1]["text/html"]


def test_one_picture_that_breaks_leaves_the_others(outputs):
    sweep = FakeSweep(grid(rise=[1.0, 2.0]))
    sweep.maps = lambda *_args, **_options: 1 / 0
    html = sweep_bundle(sweep)["text/html"]
    assert "No maps: ZeroDivisionError: division by zero" in html
    assert "area against rise [m]" in html


def test_a_stopped_sweep_says_how_to_go_on():
    sweep = FakeSweep(grid(rise=[1.0, 2.0]), lambda n: "completed" if n == 1 else "waiting", state="stopped")
    bundle = sweep_bundle(sweep)
    said = "Runs are missing: %dissmodel sweep --resume 3f2a77aa goes on with exactly those."
    assert said in bundle["text/html"]
    assert said in bundle["text/plain"]
    said = "  Runs are missing: dissmodel-lab sweep --resume 3f2a77aa goes on with exactly those."
    assert said in sweep_text(sweep).splitlines()


class Measured(FakeSweep):
    """Its runs report other metrics."""

    def __init__(self, metrics_of, n=3, **options):
        super().__init__(grid(rise=[float(value) for value in range(n)]), **options)
        self.metrics_of = metrics_of

    def rows(self):
        return [
            dataclasses.replace(row, metrics=self.metrics_of(row.point) if row.status == "completed" else {})
            for row in super().rows()
        ]

    def metric_names(self):
        return list(self.metrics_of(1))


def test_a_metric_that_varies_is_drawn_first():
    def metrics_of(point):
        return {"cells": 9.0, "burnt": float(point), "time_run_sec": point / 7}

    sweep = Measured(metrics_of)
    assert first_choice(sweep, sweep.rows()).metric == "burnt"
    assert first_choice(sweep, sweep.rows(), "cells").metric == "cells"
    asked = first_choice(sweep, sweep.rows(), "<b>")
    assert (asked.metric, asked.unknown) == ("burnt", "<b>")
    said = SweepPictures(sweep).drawn(asked, sweep.rows())[0]
    assert said == "<div>No metric of this sweep is called &#x27;&lt;b&gt;&#x27;; this is burnt.</div>"
    assert "burnt against rise [m]" in sweep_bundle(sweep)["text/html"]


def test_how_long_runs_took_is_not_drawn_because_it_varies():
    sweep = Measured(lambda point: {"cells": 9.0, "time_run_sec": point / 7})
    assert first_choice(sweep, sweep.rows()).metric == "cells"
    sweep.metrics_of = lambda _point: {}
    assert first_choice(sweep, sweep.rows()).metric == ""


def test_a_long_series_does_not_fill_the_chooser(outputs):
    def metrics_of(point):
        return {"alive": point, **{f"by_year.{year}": point + year for year in range(20)}, "time_run_sec": 0.5}

    view = SweepView(Measured(metrics_of), outputs, "by_year.17")
    view.show()
    names = ["alive", "time_run_sec", "by_year.0", "by_year.4", "by_year.9", "by_year.14", "by_year.17", "by_year.19"]
    assert [value for _, value in view.metric.options] == names
    assert view.metric.value == "by_year.17"
    notes = [str(getattr(child, "value", "")) for child in view._bar.children]
    said = [note for note in notes if "Not listed" in note]
    assert re.sub("<[^>]*>", "", said[0]) == "Not listed: 14 of by_year; sweep.to_frame() has all."
    table = outputs.table.shown[-1][1]["text/html"]
    assert "17 more metrics are in sweep.to_frame()." in table


def test_how_long_phases_took_is_no_metric_that_is_left_out():
    sweep = Measured(lambda point: {"alive": point, "time_run_sec": 0.5, "time_total_sec": 0.5})
    assert "to_frame" not in sweep_bundle(sweep)["text/html"]
    sweep.metrics_of = lambda point: dict.fromkeys("abcde", float(point))
    assert "1 more metric is in sweep.to_frame()." in sweep_bundle(sweep)["text/html"]


def test_waiting_replaces_the_live_panel(outputs):
    sweep = FakeSweep(grid(rise=[1.0, 2.0]), state="running")
    threading.Timer(0.3, lambda: setattr(sweep, "state", "finished")).start()
    show_sweep(sweep, outputs)
    kinds = [shown[0] for shown in outputs.chooser.shown]
    assert kinds == ["widget", "static", "widget"]
    assert outputs.chooser.shown[0][2].endswith("show it again to see how far it is.")
    assert outputs.chooser.shown[0][1].comm is None  # closed
    assert outputs.result.shown


def test_the_background_returns_at_once(outputs):
    sweep = FakeSweep(grid(rise=[1.0, 2.0]), state="running")
    sweep.wait = lambda _timeout=None: [time.sleep(0.02) for _ in iter(lambda: sweep.is_running, False)]
    began = time.monotonic()
    show_sweep(sweep, outputs, background=True)
    assert time.monotonic() - began < 30
    assert not outputs.result.shown
    sweep.state = "finished"
    until = time.monotonic() + 20
    while len(outputs.pages.shown) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    assert "finished after" in outputs.result.shown[-1][1]["text/html"]


def test_an_interrupt_cancels_and_shows_what_there_is(outputs, monkeypatch):
    sweep = FakeSweep(grid(rise=[1.0, 2.0]), lambda n: "completed" if n == 1 else "cancelled", state="running")
    naps = []

    def interrupted(seconds):
        naps.append(seconds)
        raise KeyboardInterrupt

    monkeypatch.setattr(views.time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        show_sweep(sweep, outputs)
    assert sweep.why == "cancelled in the notebook"
    assert "1 completed, 1 cancelled" in outputs.result.shown[-1][1]["text/html"]


def test_the_cancel_button_cancels():
    sweep = FakeSweep(grid(rise=[1.0]), state="running")
    panel = SweepPanel(sweep)
    panel.button.button.click()
    assert sweep.why == "cancelled in the notebook"
    panel.close()


def test_a_live_panel_sends_at_most_four_updates_a_second_and_takes_little():
    design = grid(rise=[float(n) for n in range(100)], tide=[float(n) for n in range(20)])
    sweep = FakeSweep(design, state="running")
    panel = SweepPanel(sweep)
    panel.start()
    began = time.perf_counter()
    time.sleep(2.0)
    panel.stop()
    took = time.perf_counter() - began
    assert 1 <= panel.updates <= 4 * took + 1
    # Reading 2,000 rows takes some milliseconds: the next reading waits for 200 times that.
    assert sweep.n_read <= 4
    panel.close()


def test_a_turned_page_is_drawn_soon():
    panel = SweepPanel(FakeSweep(grid(rise=[float(n) for n in range(45)]), state="running"))
    panel.start()
    panel.pages.next.click()
    until = time.monotonic() + 5
    while "21 to 40 of 45 runs" not in panel._table.value and time.monotonic() < until:
        time.sleep(0.02)
    panel.stop()
    assert "21 to 40 of 45 runs" in panel._table.value
    panel.close()


def test_the_progress_is_said_for_those_who_do_not_see():
    panel = SweepPanel(FakeSweep(grid(rise=[1.0, 2.0]), lambda n: "failed" if n == 1 else "running", state="running"))
    assert 'role="status" aria-live="polite"' in panel._voice.value
    assert "sweep: 50 % ended, 1 failed" in panel._voice.value
    panel.close()
