"""The change report: pixels of the changed cells, the tables' texts, what is said when nothing changed."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from base64 import b64decode
from html.parser import HTMLParser

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pyproj import CRS

from dissmodel_lab.changes import change_between
from dissmodel_lab.maps import preview
from dissmodel_lab.maps.differences import (
    DIFFERS,
    FIRST_MARK,
    NOTHING,
    ONE_SIDED,
    SAME,
    DifferenceLayer,
    Mark,
    MarkedLayer,
    enlarged,
    farthest_grey,
    largest_of_blocks,
    shown_states,
    table_states,
)
from dissmodel_lab.maps.legend import _difference_colours
from dissmodel_lab.rasters import Raster
from dissmodel_lab.views.change_view import (
    LIMIT,
    change_bundle,
    change_html,
    change_layers,
    offer_change_map,
    pictures_of,
)
from dissmodel_lab.views.comparison_text import change_text

EVIL = "<script>alert('x')</script>\"&"
COVER = {1: ("forest", "#117733"), 2: ("pasture", "#ddcc77"), 3: ("water", "#0072b2")}
PLACE = Affine(30, 0, 600_000, 0, -30, 7_400_000)


def cover(codes, classes=None, crs=None):
    return Raster(
        array=np.asarray(codes, "uint8")[np.newaxis],
        bands=("cover",),
        nodata=0,
        classes={"cover": classes or COVER},
        transform=PLACE if crs else None,
        crs=CRS(crs) if crs else None,
    )


def depth(values):
    return Raster(array=np.asarray(values, "float64")[np.newaxis], bands=("depth",), units={"depth": "m"})


def cleared():
    """Six by eight cells: a column without data, one cell of forest cleared, two cells of water dried."""
    before = np.ones((6, 8), int)
    before[:, 0], before[4:, 1:] = 0, 3
    after = before.copy()
    after[2, 3], after[5, 6:] = 2, 1
    return before, after


@pytest.fixture
def change():
    return change_between(*map(cover, cleared()), names=("input", "output"))


class Page(HTMLParser):
    """What a page holds: tags, styles, pictures, and tables as lists of rows of texts."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.images, self.tables, self.roles = [], set(), [], [], []
        self._cell = None
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        found = dict(attributes)
        self.attributes |= set(found)
        if "role" in found:
            self.roles.append(found["role"])
        if tag == "img":
            self.images.append(found)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in {"td", "th"}:
            self.tables[-1][-1].append("")
            self._cell = self.tables[-1][-1]

    def handle_endtag(self, tag):
        if tag in {"td", "th"}:
            self._cell = None

    def handle_data(self, data):
        if self._cell is not None:
            self._cell[-1] += data

    def picture(self, alt):
        """Return the pixels, (height, width, 4), of the first picture whose alternative text begins so."""
        image = next(one for one in self.images if one["alt"].startswith(alt))
        encoded = b64decode(image["src"].removeprefix("data:image/png;base64,"))
        return np.asarray(Image.open(io.BytesIO(encoded)).convert("RGBA"))


def colour(pixels, row, column, shape):
    """Return the colour at the centre of a cell as ``#rrggbb``, or an empty text where it is clear."""
    y, x = (
        int((at + 0.5) * size / count) for at, size, count in zip((row, column), pixels.shape, shape, strict=False)
    )
    red, green, blue, alpha = (int(part) for part in pixels[y, x])
    return f"#{red:02x}{green:02x}{blue:02x}" if alpha else ""


# --- classes ---------------------------------------------------------------------------------------------------


def test_changed_cells_have_the_colour_of_their_new_class_and_others_are_grey(change):
    pixels = Page(change_html(change)).picture("Map of change of cover")
    shape = (6, 8)
    assert colour(pixels, 2, 3, shape) == COVER[2][1]
    assert [colour(pixels, 5, column, shape) for column in (6, 7)] == [COVER[1][1]] * 2
    assert colour(pixels, 0, 0, shape) == ""
    greys = {colour(pixels, row, column, shape) for row, column in ((0, 1), (2, 2), (4, 4), (5, 5))}
    assert greys == {"#d9d9d9"}


def test_the_headline_counts_the_changed_cells(change):
    html = change_html(change)
    assert "3 of 42 cells changed (7.14 %)" in html
    assert "input &rarr; output &middot; band cover" in html
    assert Page(html).roles[0] == "note"


def test_the_matrix_has_rows_from_and_columns_to_with_totals(change):
    assert Page(change_html(change)).tables[0] == [
        ["from \\ to", "forest (1)", "pasture (2)", "water (3)", "total before"],
        ["forest (1)", "27", "1", "0", "28"],
        ["pasture (2)", "0", "0", "0", "0"],
        ["water (3)", "2", "0", "12", "14"],
        ["total after", "29", "1", "12", "42"],
    ]


def test_the_diagonal_is_faint_and_the_changes_strong(change):
    html = change_html(change)
    found = re.findall(r'<td style="([^"]*)">([\d,]+)</td>', html)
    looks = {text: style for style, text in found[::-1]}  # the first of each: those of the matrix
    assert "opacity:0.65" in looks["27"]
    assert "font-weight:bold;background-color:#ffe0b3;color:#1a1a1a" in looks["2"]
    assert "Largest changes: water (3) &rarr; forest (1): 2 cells; forest (1) &rarr; pasture (2): 1 cell." in html


def test_areas_stand_in_their_unit_with_the_method():
    before, after = cleared()
    change = change_between(cover(before, crs=31983), cover(after, crs=31983), names=("input", "output"))
    html = change_html(change)
    head, forest, *_ = Page(html).tables[1]
    # 900 m2 a cell: 28 cells of forest before and 29 after; UTM's cells are no exact 900 m2 on the ground
    unit = {"ha": 1e4, "m2": 1.0, "km2": 1e6}[change.classes.area_unit]
    assert head[1] == f"before [{change.classes.area_unit.replace('2', '²')}]"
    assert float(forest[1].replace(",", "")) == pytest.approx(28 * 900 / unit, rel=0.01)
    assert float(forest[3].replace(",", "")) == pytest.approx(900 / unit, rel=0.01)
    assert forest[3].startswith("+")
    assert forest[4] == "+3.57"
    assert change.classes.area_method in html


def test_disagreement_is_told_with_its_source(change):
    # Worked by hand: rows 28, 0, 14; columns 29, 1, 12; quantity (1 + 1 + 2) / 2 / 42, all: 3 / 42.
    html = change_html(change)
    assert "7.14 % = quantity 4.76 % (one map has more of a class than the other) + allocation 2.38 %" in html
    assert "Pontius and Millones (2011), Death to Kappa" in html


def test_nothing_changed_is_a_warning_that_cannot_be_missed():
    before, _ = cleared()
    change = change_between(cover(before), cover(before), names=("input", "output"))
    html = change_html(change)
    page = Page(html)
    assert page.roles[0] == "alert"
    assert html.index("&#9888; 0 of 42 cells changed</div>") < html.index("<table")
    assert "Both maps are the same in this band. Was that meant?" in html
    assert "No change." in html
    pixels = page.picture("Map of change of cover")
    opaque = pixels[pixels[..., 3] > 0]
    assert {tuple(map(int, pixel)) for pixel in opaque} == {(0xD9, 0xD9, 0xD9, 255)}
    assert change_text(change).startswith("0 of 42 cells changed  [input to output, cover]")


def test_cells_with_a_value_in_one_map_only_are_counted_apart_and_drawn_darker():
    before, after = cleared()
    after[0, 5] = 0
    change = change_between(cover(before), cover(after), names=("input", "output"))
    html = change_html(change)
    assert "3 of 41 cells changed" in html
    assert "1 cell with a value in one map only (1 before, 0 after): counted apart" in html
    assert "6 cells have no value in either map: nothing to compare there." in html
    pixels = Page(html).picture("Map of change of cover")
    assert colour(pixels, 0, 5, (6, 8)) == "#b3b3b3"
    assert "a value in one map only" in html


def test_a_single_changed_cell_of_a_large_map_is_drawn_so_that_it_is_seen():
    before = np.ones((1500, 1500), int)
    after = before.copy()
    after[1234, 321] = 2
    html = change_html(change_between(cover(before), cover(after)))
    pixels = Page(html).picture("Map of change of cover")
    marked = (pixels == (0xDD, 0xCC, 0x77, 255)).all(axis=-1)
    rows, columns = np.nonzero(marked)
    # at least five of the 440 pixels on the page, around the cell's own place
    assert (np.ptp(rows) + 1) * 440 / pixels.shape[0] >= 5
    assert rows.mean() / pixels.shape[0] == pytest.approx(1234.5 / 1500, abs=0.005)
    assert columns.mean() / pixels.shape[1] == pytest.approx(321.5 / 1500, abs=0.005)
    assert re.search(r"Marked cells are drawn \d+ x \d+ pixels large, so that they can be seen\.", html)
    assert "Drawn 1 of up to 4 cells: a changed one where there is any." in html


def test_frequent_changes_keep_their_share_of_the_picture():
    random = np.random.default_rng(1)
    states = np.where(random.random((1200, 1200)) < 0.2, FIRST_MARK, SAME)
    drawn, notes = shown_states(states, 300)
    assert np.mean(drawn == FIRST_MARK) == pytest.approx(0.2, abs=0.01)
    assert notes == ("Drawn 1 of 16 pixels.",)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.sampled_from([0, 1, 1, 1])
    ),
    st.integers(0, 39),
    st.integers(0, 39),
    st.integers(2, 12),
)
def test_no_rare_mark_is_ever_lost(states, row, column, side):
    states[row % states.shape[0], column % states.shape[1]] = FIRST_MARK
    drawn, _ = shown_states(states, side)
    assert max(drawn.shape) <= side
    assert (drawn == FIRST_MARK).any()


def test_a_mark_grows_around_itself_and_covers_no_other():
    states = np.full((7, 7), SAME)
    states[3, 3], states[3, 4], states[0, 0] = FIRST_MARK, FIRST_MARK + 1, NOTHING
    grown = enlarged(states, 2)
    assert grown[3, 3] == FIRST_MARK
    assert grown[3, 4] == FIRST_MARK + 1
    assert grown[0, 0] == NOTHING
    assert (grown[1:6, 1:3] == FIRST_MARK).all()
    assert (grown[:, 0] != FIRST_MARK).all()


def test_classes_of_texts():
    squares = [shapely.box(x, y, x + 1, y + 1) for y in range(2) for x in range(3)]
    before = geopandas.GeoDataFrame({"use": ["wood"] * 4 + ["farm"] * 2}, geometry=squares)
    after = before.assign(use=["wood", "wood", "farm", "wood", "farm", EVIL])
    change = change_between(before, after, "use")
    html = change_html(change)
    assert "2 of 6 features changed (33.33 %)" in html
    assert "<script" not in html
    rows = {row[0]: row[1:] for row in Page(html).tables[0]}
    assert rows["wood"][-1] == "4"
    # the third square lies at the lower right
    farm = next(
        colour for code, colour in zip(change.classes.codes, change.classes.colours, strict=True) if code == "farm"
    )
    pixels = Page(html).picture("Map of change of use")
    assert colour(pixels, 1, 2, (2, 3)) == farm
    assert "column use" in html


def test_many_classes_stand_together_and_the_sums_stay():
    random = np.random.default_rng(2)
    before = random.integers(1, 31, (60, 60))
    after = np.where(random.random((60, 60)) < 0.3, random.integers(1, 31, (60, 60)), before)
    classes = {code: (f"class number {code}", "") for code in range(1, 31)}
    change = change_between(cover(before, classes), cover(after, classes))
    table = Page(change_html(change)).tables[0]
    assert len(table) == 14  # a head, eleven classes, the others, the totals
    assert table[-2][0] == "19 other classes"
    numbers = [[int(text.replace(",", "")) for text in row[1:]] for row in table[1:]]
    assert numbers[-1][-1] == 3600
    assert [sum(row[:-1]) for row in numbers] == [row[-1] for row in numbers]
    assert [sum(column[:-1]) for column in zip(*numbers, strict=True)] == numbers[-1]
    unchanged = sum(int(n) for n in change.classes.cells.diagonal())
    assert unchanged == change.compared - change.changed


def test_a_map_that_is_all_nodata_says_so():
    html = change_html(change_between(cover(np.zeros((3, 3))), cover(np.zeros((3, 3)))))
    assert "No cell has a value in both maps: nothing to compare." in html
    assert "From (rows) to (columns)" not in html
    assert "Quantity and allocation" not in html
    assert "Was that meant?" not in html


def test_hostile_texts_are_escaped_everywhere():
    before, after = cleared()
    classes = {**COVER, 2: (EVIL, "#ddcc77")}
    change = change_between(cover(before, classes), cover(after, classes), names=(EVIL, f"b {EVIL}"))
    html = change_html(change)
    assert EVIL not in html
    assert "<script" not in html
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;&quot;&amp; (2)" in html


def test_secrets_are_hidden():
    before, after = cleared()
    html = change_html(
        change_between(cover(before), cover(after), names=("https://ana:pw@host/x", "password=hunter2"))
    )
    assert "pw@" not in html
    assert "hunter2" not in html


def test_static_html_holds_only_what_an_untrusted_notebook_keeps(change):
    page = Page(change_html(change))
    assert not {"script", "style", "svg", "iframe"} & set(page.tags)
    assert not {name for name in page.attributes if name == "id" or name.startswith("on")}
    assert all(image.get("alt") is not None for image in page.images)
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.images)


def test_a_report_stays_below_its_limit_whatever_it_holds():
    random = np.random.default_rng(3)
    codes = random.integers(1, 200, (2, 1000, 1000))
    classes = {code: (f"{EVIL * 20} {code}", "") for code in range(1, 200)}
    change = change_between(cover(codes[0], classes), cover(codes[1], classes), names=("x" * 5000, "y" * 5000))
    html = change_html(*[change] * 30)
    assert len(html.encode()) <= LIMIT
    assert "cells changed" in html
    assert Page(html).picture("Map of change of cover").size


def test_the_bundle_holds_a_picture_and_plain_text(change):
    bundle = change_bundle(change)
    assert set(bundle) == {"text/plain", "text/html", "image/png"}
    assert b64decode(bundle["image/png"])[1:4] == b"PNG"


def test_nothing_to_compare():
    assert change_bundle() == {
        "text/plain": "There is nothing to compare.",
        "text/html": "<div>There is nothing to compare.</div>",
    }


def test_plain_text_of_classes(change):
    assert change_text(change).splitlines()[:11] == [
        "3 of 42 cells changed (7.14 %)  [input to output, cover]",
        "  from \\ to [cells]  forest (1)  pasture (2)  water (3)  total",
        "  forest (1)         27          1            0          28",
        "  pasture (2)        0           0            0          0",
        "  water (3)          2           0            12         14",
        "  total              29          1            12         42",
        "  class [cells]  before  after  net  net [%]  gained  lost",
        "  forest (1)     28      29     +1   +3.57    2       1",
        "  pasture (2)    0       1      +1   -        1       0",
        "  water (3)      14      12     -2   -14.29   0       2",
        f"  {change.classes.area_method}",
    ]


def test_several_bands_are_listed_and_folded(change):
    before, _ = cleared()
    same = change_between(cover(before), cover(before), names=("input", "output"))
    html = change_html(change, same)
    assert Page(html).tables[0] == [
        ["band", "what changed"],
        ["cover", "3 of 42 cells changed (7.14 %)"],
        ["cover", "0 of 42 cells changed"],
    ]
    assert '<summary style="cursor:pointer">cover: 0 of 42 cells changed</summary>' in html
    assert change_text(change, same).endswith("other bands:\n  cover: 0 of 42 cells changed")


# --- values ----------------------------------------------------------------------------------------------------


def falling():
    before = np.full((4, 5), 2.0)
    before[0, 0] = np.nan
    after = before.copy()
    after[1, 1], after[2, 3] = 1.5, 4.0
    return before, after


def test_differences_have_a_scale_that_parts_at_zero():
    before, after = falling()
    change = change_between(depth(before), depth(after), names=("a", "b"))
    html = change_html(change)
    pixels = Page(html).picture("Map of difference of depth")
    scale = _difference_colours()
    assert colour(pixels, 0, 0, (4, 5)) == ""
    assert colour(pixels, 3, 3, (4, 5)) == scale[127]  # its middle
    assert colour(pixels, 2, 3, (4, 5)) == scale[254]
    limit = change.values.limit
    assert colour(pixels, 1, 1, (4, 5)) == scale[127 - round(127 * 0.5 / limit)]
    assert f"-{limit:.6g} m" in html
    assert f"{limit:.6g} m" in html
    assert "Difference: b minus a" in html


def test_the_scale_can_be_told_apart_with_every_kind_of_colour_vision():
    # Machado, Oliveira and Fernandes (2009), A Physiologically-based Model for Simulation of Color Vision
    # Deficiency, IEEE TVCG 15(6), table 1, severity 1.0.
    visions = {
        "full": [1, 0, 0, 0, 1, 0, 0, 0, 1],
        "protanopia": [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
        "deuteranopia": [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.011820, 0.042940, 0.968881],
        "tritanopia": [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.303900],
    }
    colours = np.array([[int(one[at : at + 2], 16) / 255 for at in (1, 3, 5)] for one in _difference_colours()])
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    for name, matrix in visions.items():
        seen = linear @ np.array(matrix).reshape(3, 3).T
        luminance = seen @ [0.2126, 0.7152, 0.0722]
        assert (np.diff(luminance[:121:8]) > 0).all(), name  # lighter towards the middle from both sides
        assert (np.diff(luminance[134::8]) < 0).all(), name
        assert np.abs(seen[0] - seen[-1]).max() > 0.2, name  # the two ends differ
        assert np.abs(seen[0] - seen[127]).max() > 0.2, name
        assert np.abs(seen[-1] - seen[127]).max() > 0.2, name


def test_the_tables_of_values():
    before, after = falling()
    change = change_between(depth(before), depth(after), names=("a", "b"))
    facts, quantiles = Page(change_html(change)).tables
    told = dict(facts[1:])
    assert told["mean before"] == "2 m"
    assert told["mean difference"] == f"+{1.5 / 19:.6g} m"
    assert told["median difference"] == "0 m"
    assert told["largest difference"] == "+2 m: 2 to 4 at row 2, column 3 (from 0)"
    assert quantiles[1] == ["smallest", "-0.5 m"]
    assert quantiles[-1] == ["largest", "+2 m"]
    assert ["50 % (median)", "0 m"] in quantiles


def test_both_maps_of_values_share_one_scale():
    before, after = falling()
    change = change_between(depth(before), depth(after), names=("a", "b"))
    pictures = pictures_of(change)
    assert pictures.before.legend == pictures.after.legend
    assert "different colour scales" not in change_html(change)


def test_no_difference_at_all_is_grey_and_a_warning():
    before, _ = falling()
    change = change_between(depth(before), depth(before))
    html = change_html(change)
    assert "&#9888; 0 of 19 cells changed" in html
    pixels = Page(html).picture("Map of difference of depth")
    assert colour(pixels, 2, 3, (4, 5)) == _difference_colours()[127]


def test_of_a_block_the_largest_difference_stays():
    values = np.zeros((9, 9))
    values[4, 4], values[8, 8], values[0, 0] = -3, 1, np.nan
    assert largest_of_blocks(values, 3).tolist() == [[0, 0, 0], [0, -3, 0], [0, 0, 1]]
    layer = DifferenceLayer(differences=values, limit=3.0, band="d")
    grid = layer.grid("d", 3)
    assert grid.notes == ("Drawn 1 of 9 pixels: the one with the largest difference.",)
    assert np.isnan(largest_of_blocks(np.full((2, 2), np.nan), 2)).all()


# --- layers and the map to explore -----------------------------------------------------------------------------


def test_a_mark_that_is_called_as_the_ground_keeps_a_name_of_its_own():
    layer = MarkedLayer(
        states=np.array([[SAME, FIRST_MARK, ONE_SIDED]]),
        marks=(Mark("the same", "#ff0000"),),
        band="x",
        ground="the same",
    )
    shown = preview(layer)
    assert len({entry.label for entry in shown.legend.entries}) == 3
    assert shown.value_at(0.5, 1.5) == "the same"
    assert shown.value_at(0.5, 0.5) == "the same (no class)"


def test_greys_keep_away_from_the_classes():
    assert farthest_grey(["#d9d9d9"]) == "#b3b3b3"
    assert farthest_grey([DIFFERS, "#117733"]) == "#d9d9d9"


def test_states_of_a_table_lie_where_its_shapes_lie():
    squares = np.array([shapely.box(x, y, x + 1, y + 1) for y in range(2) for x in range(3)])
    states, transform = table_states(squares, np.array([1, 1, 3, 1, 1, 1]))
    assert states.tolist() == [[1, 1, 1], [1, 1, 3]]
    assert transform.f == 2


def test_layers_keep_apart_when_both_maps_have_one_name():
    before, after = cleared()
    change = change_between(cover(before), cover(after), names=("x.tif", "x.tif"))
    assert list(change_layers(change)) == ["x.tif (after)", "x.tif (before)", "changed cells"]


def test_two_states_in_one_file_are_called_by_their_bands():
    before, after = cleared()
    names = ("cover_before", "cover_after")
    both = Raster(
        array=np.asarray([before, after], "uint8"), bands=names, nodata=0, classes=dict.fromkeys(names, COVER)
    )
    change = change_between(both, both, before_band=names[0], band=names[1], names=("output", "output"))
    assert list(change_layers(change)) == ["cover_after", "cover_before", "changed cells"]
    html = change_html(change)
    assert ">output &middot; band cover_before &rarr; cover_after<" in html
    assert "Swipe: cover_after (left of the line) over cover_before (right of it)" in html


class Kept:
    """An output that remembers what it showed."""

    def __init__(self):
        self.widgets = []

    def show_widget(self, widget, fallback=""):
        self.widgets.append((widget, fallback))


def test_the_map_to_explore_answers_with_the_new_class(change, monkeypatch):
    from dissmodel_lab.views import change_view

    views = []

    class Watched(change_view.MapView):
        def __init__(self, *arguments, **keywords):
            super().__init__(*arguments, **keywords)
            views.append(self)

    monkeypatch.setattr(change_view, "MapView", Watched)
    output = Kept()
    offer_change_map(change, output)
    (view,) = views
    assert view.errors == []
    assert view.layer.value == "changed cells"
    assert view.layer.options == ("output", "input", "changed cells")
    view._answer(type="click", coordinates=[3.5, 3.5])  # the plane's origin is the lower left corner
    assert view.value.value.count("to pasture (2)") == 1
    view.layer.value = "input"
    view._answer(type="click", coordinates=[3.5, 3.5])
    assert "forest (1)" in view.value.value
    assert output.widgets[0][1] == "The map to explore needs a running kernel; the pictures above do not."


def test_plain_texts_need_no_widget_and_no_map():
    check = (
        "import dissmodel_lab.views.comparison_text, sys\n"
        "print([n for n in ('IPython', 'ipywidgets', 'ipyleaflet', 'numpy', 'rasterio') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_two_marks_of_one_name_keep_their_colours():
    marks = Mark("to other", "#ff0000"), Mark("to other", "#00ff00")
    legend = preview(MarkedLayer(states=np.array([[1, 3, 4]]), marks=marks, band="changes")).legend
    assert [(entry.label, entry.colour) for entry in legend.entries[1:]] == [
        ("to other", "#ff0000"), ("to other (another)", "#00ff00"),
    ]  # fmt: skip
