"""The step player, the live picture, and the strip that stays in the notebook."""

from __future__ import annotations

import base64
import importlib.util
import io
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import geopandas
import nbformat
import numpy as np
import pytest
import shapely
from PIL import Image

from dissmodel_lab import frames as frames_module
from dissmodel_lab.executor.events import Step
from dissmodel_lab.frames import Backdrop, FrameKeeper, Moment, RawFrame, Series, Shown
from dissmodel_lab.maps import preview
from dissmodel_lab.maps.frames import compose
from dissmodel_lab.rasters import Raster
from dissmodel_lab.views.player import REPORT_SCRIPT, STRIP, LiveMap, StepPlayer, film_html, with_players

EVIL = "<img src=x onerror=alert(1)>"
ALLOWED_STYLES = {
    "background-color", "border", "display", "font-size", "font-weight", "height", "line-height", "margin",
    "max-width", "overflow-wrap", "overflow-x", "padding-left", "vertical-align", "white-space", "width",
}  # fmt: skip


def film(n=12, size=(20, 30), *, band="use", label="year", series=None, values=None):
    def raw(at):
        cells = np.zeros(size, "uint8") if values is None else values(at)
        if values is None:
            cells.flat[: (at + 1) * 10] = 1
        return cells

    raws = [
        RawFrame(
            Moment(at + 1, n, f"{label} {at}", count=at + 1), Shown("l", band), raw(at), Backdrop(size=size[::-1])
        )
        for at in range(n)
    ]
    return compose(raws, series or Series(), [])


class Page(HTMLParser):
    """The pictures, styles, tags and texts of some HTML."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.pictures, self.texts = set(), set(), [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        found = dict(attrs)
        if "style" in found:
            assert {rule.split(":")[0].strip() for rule in found["style"].split(";") if rule} <= ALLOWED_STYLES
        if tag == "img":
            self.pictures.append(found)

    def handle_data(self, data):
        self.texts.append(data)


def decoded(picture):
    return Image.open(io.BytesIO(base64.b64decode(picture["src"].partition(",")[2])))


def test_the_strip_is_an_animation_and_evenly_chosen_pictures():
    page = Page(film_html(film(30), budget=60_000))
    assert page.tags <= {"div", "img", "span", "ul", "li"}
    assert page.attributes <= {"class", "style", "alt", "width", "height", "src"}
    pictures = [one for one in page.pictures if one["alt"]]
    assert len(pictures) == 1 + STRIP
    moving = decoded(pictures[0])
    assert moving.is_animated
    assert moving.n_frames > 10
    assert moving.info["loop"] == 1  # once: it must not move for more than five seconds
    total = 0
    for at in range(moving.n_frames):
        moving.seek(at)
        total += moving.info["duration"]
    assert total <= 5000
    assert pictures[0]["alt"].startswith("Animation of 24 of the run's steps: use, from step 1 of 30: year 0 to")
    assert "step 1 of 30: year 0" in pictures[1]["alt"]
    assert "step 30 of 30: year 29" in pictures[-1]["alt"]


def test_the_animation_begins_with_the_first_and_ends_with_the_last_state():
    shown = film(9)
    moving = decoded(Page(film_html(shown, budget=60_000)).pictures[0])
    found = []
    for at in (0, moving.n_frames - 1):
        moving.seek(at)
        found.append(np.asarray(moving.convert("RGB")))
    for picture, at in zip(found, (0, -1), strict=True):
        colours = [bytes.fromhex(colour[1:]) for colour in shown.legend.colours]
        wanted = np.array([list(colours[index - 1]) for index in shown.pixels[at].ravel()]).reshape(20, 30, 3)
        times = picture.shape[0] // 20
        assert (picture[::times, ::times] == wanted).all()


@pytest.mark.parametrize("budget", [8_000, 20_000, 60_000])
def test_the_strip_stays_within_its_budget(budget):
    random = np.random.default_rng(2)
    noisy = film(48, (256, 256), values=lambda at: random.random((256, 256)))
    html = film_html(noisy, budget=budget)
    assert len(html) < budget * 4 / 3 + 16_000
    assert "The pictures are reduced, nearest pixel." in html


def test_one_frame_is_a_picture_and_none_is_nothing():
    page = Page(film_html(film(1), budget=60_000))
    assert len([one for one in page.pictures if one["alt"]]) == 2
    assert film_html(film(1).only([], with_last=False), budget=60_000) == ""


def test_names_are_text():
    html = film_html(film(3, band=EVIL, label=EVIL + " token=hunter2"), budget=60_000)
    assert "<img src=x" not in html
    assert "hunter2" not in html
    widget = StepPlayer(film(3, band=EVIL, label="token=hunter2"))
    assert "<img src=x" not in widget.widget.children[0].value
    assert "hunter2" not in str(widget.slider.options)


def test_the_player_is_linked_in_the_page_alone():
    player = StepPlayer(film(12))
    links = [(link.source, link.target) for link in player._links]
    assert links == [
        ((player.play, "value"), (player.slider, "index")),
        ((player.slider, "index"), (player.stack, "selected_index")),
    ]
    assert player.play.max == 11
    assert len(player.stack.children) == len(player.slider.options) == 12
    assert player.slider.options[0] == ("step 1 of 12: year 0", 0)
    first, last = player.pictures[0].value, player.pictures[-1].value
    assert first != last
    assert first[1:4] == b"PNG"
    assert not player.slider._trait_notifiers.get("index", {}).get("change", []) or player.play.value == 0


def test_colours_are_those_of_the_outputs_map():
    cells, classes = np.array([[[1, 5]]], "uint8"), {1: ("city", "#112233"), 5: ("sea", "#445566")}
    after = preview(Raster(array=cells, bands=("use",), classes={"use": classes}))
    assert film(3, band="use").with_colours_of(after.legend).legend.entries[1].colour == "#112233"
    assert film(3, band="other").with_colours_of(after.legend).legend.entries[1].colour != "#112233"
    nameless = preview(cells[0], classes=classes)  # saved without the name that the model has for it
    assert film(3, band="use").with_colours_of(nameless.legend).legend.entries[1].colour == "#112233"


def test_the_report_gets_the_script_once_and_only_with_a_strip():
    page = f"<html><body>{film_html(film(3), budget=9000)}{film_html(film(3), budget=9000)}</body></html>"
    assert with_players(page).count("<script>") == 1
    assert with_players(page).endswith("</script></body></html>")
    assert with_players("<html><body></body></html>") == "<html><body></body></html>"


def keeper_with(grid, **options):
    keeper = FrameKeeper(live=True, **options)

    def tell(step):
        keeper.watch(Step(step, None, f"year {step}", {"a": float(step)}, layers=lambda: {"l": grid}))

    return keeper, tell


@pytest.fixture
def eager(monkeypatch):
    """Let every step be due."""
    monkeypatch.setattr(frames_module, "ALLOWANCE", 3600.0)
    monkeypatch.setattr(frames_module, "LIVE_INTERVAL", 0.0)


def test_the_live_picture_follows(eager):
    grid = np.zeros((10, 10), "uint8")
    keeper, tell = keeper_with(grid)
    live = LiveMap(keeper)
    assert not live.draw()
    assert live.widget.layout.display == "none"
    seen = []
    for step in (1, 2, 3):
        grid[0, :step] = step
        tell(step)
        live._next = 0.0
        assert live.draw()
        assert not live.draw()  # nothing new
        seen.append(live.image.value)
    assert len(set(seen)) == 3
    assert live.widget.layout.display == ""
    assert [label for label, _ in live.chooser.options] == ["l"]
    assert all(f"> {code}</span>" in live.legend.value for code in range(4))


def test_the_live_scale_widens_and_never_narrows(eager):
    grid = np.zeros((10, 10))
    keeper, tell = keeper_with(grid)
    live = LiveMap(keeper)
    ranges = []
    for step, top in enumerate((1.0, 7.5, 3.0, 40.0), start=1):
        grid[0] = np.linspace(0, top, 10)
        tell(step)
        live._next = 0.0
        live.draw()
        ranges.append((live._legend.low, live._legend.high))
    assert ranges == [(0.0, 1.0), (0.0, 8.0), (0.0, 8.0), (0.0, 40.0)]


def test_live_pictures_are_seldom_enough(eager, monkeypatch):
    grid = np.zeros((200, 200), "uint8")
    keeper, tell = keeper_with(grid)
    live = LiveMap(keeper)
    drawn, began = 0, time.perf_counter()
    step = 0
    while time.perf_counter() - began < 0.9:
        step += 1
        grid[step % 200] = step % 7
        tell(step)
        drawn += live.draw()
    assert 1 <= drawn <= 4


def test_choosing_another_band_shows_it_from_the_next_frame_on(eager):
    arrays = np.stack([np.zeros((4, 4)), np.arange(16.0).reshape(4, 4)])
    keeper, tell = keeper_with(arrays)
    live = LiveMap(keeper)
    for step in (1, 2):
        arrays[0] += 1
        tell(step)
    live.draw()
    assert keeper.wanted is None  # filling the list is nobody's choice
    live.chooser.value = Shown("l", "band_2")
    arrays[0] += 1
    tell(3)
    live._next = 0.0
    live.draw()
    assert "band_2" in live.legend.value
    assert live._drawn.shown == Shown("l", "band_2")


def test_what_cannot_be_drawn_is_said_once(eager, monkeypatch):
    keeper, tell = keeper_with(np.zeros((3, 3)))
    live = LiveMap(keeper)
    tell(1)

    def refuse(*arguments):
        raise ValueError(EVIL)

    monkeypatch.setattr(LiveMap, "_show", refuse)
    assert live.draw()
    assert "No live map: ValueError: &lt;img" in live.legend.value
    assert not live.draw()


def test_cells_of_a_huge_table_are_not_looked_for_in_a_short_run(eager):
    keeper = FrameKeeper(live=True)
    live = LiveMap(keeper)
    keeper.newest = RawFrame(Moment(1), Shown("", "a"), np.zeros(10), Backdrop(geometry=range(10_000_000)))
    assert not live.draw()
    assert live.problem == ""


def test_what_is_worked_out_once_is_told_apart(eager):
    side = 30
    row, column = (axis.ravel() for axis in np.indices((side, side)))
    table = geopandas.GeoDataFrame(
        {"age": np.zeros(side * side)}, geometry=shapely.box(column, row, column + 1, row + 1)
    )
    keeper, tell = keeper_with(table)
    live = LiveMap(keeper)
    live._began -= 3600.0
    once = [live.once]
    for step in (1, 2, 3):
        table["age"] = np.arange(side * side) * step
        tell(step)
        live._next = 0.0
        assert live.draw()
        once.append(live.once)
    assert once[0] == 0.0 < once[1]
    assert once[1:] == [once[1]] * 3


def test_charts_are_drawn_anew_once_a_second(eager):
    keeper, tell = keeper_with(np.zeros((3, 3)))
    live = LiveMap(keeper)
    tell(1)
    tell(2)
    first = live.charts()
    assert "a <b>2</b>" in first
    tell(3)
    assert live.charts() == first
    live._next_charts = 0.0
    assert re.search(r"a <b>3</b>", live.charts())


def test_the_report_of_a_notebook_has_players():
    path = Path(__file__).parents[1] / "notebooks" / "execute.py"
    spec = importlib.util.spec_from_file_location("execute_notebook", path)
    execute = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(execute)
    output = nbformat.v4.new_output("display_data", {"text/html": film_html(film(3), budget=9000)})
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", outputs=[output])])
    report = execute.html_report(notebook)
    assert report.count(REPORT_SCRIPT) == 1
    assert report.count('class="dl-frame"') == 3
