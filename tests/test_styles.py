"""What the colours mean: styles, ranges, legends, histograms, and styles from files of other programs."""

from __future__ import annotations

import html
import itertools
import json
import re
import sys
import time
from dataclasses import asdict, replace
from html.parser import HTMLParser

import numpy as np
import pytest

from dissmodel_lab.errors import SourceError
from dissmodel_lab.executor.schemas import DataSource
from dissmodel_lab.maps.arrays import from_array, from_raster
from dissmodel_lab.maps.histogram import histogram, share_text
from dissmodel_lab.maps.legend import Legend, LegendEntry, paint, range_labels
from dissmodel_lab.maps.styles import CLASSIFICATIONS, Style, read_style, style_beside, style_for
from dissmodel_lab.maps.styles.colours import DIVERGING, PALETTE, SEQUENTIAL, class_colours, scale
from dissmodel_lab.maps.styles.ranges import MAX_NATURAL, upper_ends
from dissmodel_lab.rasters import Raster
from dissmodel_lab.views.legends import BARS, bars_html, legend_html

EVIL = "<script>alert('x')</script>\"&"


def grid_of(array, **facts):
    return replace(from_array(np.atleast_2d(array)).grid("band_1", 4096), **facts)


def painted(array, style=None, like=None, **facts):
    return paint(grid_of(array, **facts), like, style)


def colours_of(array, style=None, **facts):
    """Return the colour of each cell; an empty text where it is transparent."""
    legend, index, _ = painted(array, style, **facts)
    return [["" if not i else legend.colours[i - 1] for i in row] for row in index.tolist()]


# --- what somebody may choose ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"classification": "jenks"}, "The classification 'jenks' is not known. Known: "),
        ({"n_classes": 1}, "n_classes is 1; 2 to 24 ranges can be told apart."),
        ({"n_classes": 25}, "n_classes is 25; 2 to 24 ranges can be told apart."),
        ({"limits": (2, 1)}, "limits is (2, 1); give two numbers, the lower one first."),
        ({"limits": (0, float("nan"))}, "limits is (0, nan); give two numbers, the lower one first."),
        ({"limits": (0, 1, 2)}, "limits is (0, 1, 2); give two numbers, the lower one first."),
        ({"breaks": (1, 1)}, "breaks is (1, 1); give rising numbers: the upper ends of the ranges."),
        (
            {"classification": "user-defined"},
            "A user-defined classification needs breaks: the upper ends of the ranges, rising.",
        ),
    ],
)
def test_a_choice_that_cannot_be(choice, message):
    with pytest.raises(SourceError, match=f"^{re.escape(message)}"):
        Style(**choice)


def test_a_style_is_a_key():
    """Pictures are kept by style, one with classes too."""
    one, same = (Style(classes={1: ("sea", "#0000ff")}) for _ in range(2))
    assert {one: "picture"}[same] == "picture"
    assert one != Style(classes={1: ("sea", "#0000fe")})
    assert Style().is_empty
    assert not any(s.is_empty for s in (one, Style(limits=(0, 1)), Style(reverse=True), Style(colour_map="magma")))


def test_an_unknown_colour_map_is_said():
    with pytest.raises(SourceError, match=r"^No colour map is called 'virdis'\. Did you mean 'viridis'\? Known: "):
        painted(np.linspace(0, 1, 9), Style(colour_map="virdis"))


# --- colours for every kind of colour vision ---------------------------------------------------------------

#: Machado, Oliveira and Fernandes (2009), A Physiologically-based Model for Simulation of Color Vision
#: Deficiency, IEEE TVCG 15(6), 1291-1298, table 1, severity 1.0; of linear red, green and blue.
VISIONS = {
    "normal": (1, 0, 0, 0, 1, 0, 0, 0, 1),
    "protan": (0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998),
    "deutan": (0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.011820, 0.042940, 0.968881),
    "tritan": (1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.303900),
}
#: sRGB to XYZ under D65 (IEC 61966-2-1).
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def seen(colours, vision):
    """Return CIE Lab (CIE 15:2004) of colours as they are seen with a kind of colour vision."""
    coded = np.array([list(bytes.fromhex(colour[1:])) for colour in colours]) / 255
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    left = np.clip(linear @ np.reshape(VISIONS[vision], (3, 3)).T, 0, 1)
    xyz = left @ XYZ.T / [0.95047, 1, 1.08883]
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def nearest(colours, vision):
    lab = seen(colours, vision)
    return min(np.linalg.norm(one - other) for one, other in itertools.combinations(lab, 2))


@pytest.mark.parametrize("vision", VISIONS)
def test_default_colours_are_told_apart_with_every_kind_of_colour_vision(vision):
    """A difference of 2.3 is just noticeable; patches of a map need several times as much."""
    assert nearest(PALETTE[:12], vision) > 16
    assert nearest(PALETTE, vision) > 12
    assert nearest(scale(SEQUENTIAL, 5), vision) > 18
    assert nearest(scale("cividis", 5), vision) > 17
    assert nearest(scale(DIVERGING, 5), vision) > 30
    assert nearest(scale("PuOr", 5), vision) > 30


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("name", ["viridis", "cividis"])
def test_default_scales_rise_in_lightness(vision, name):
    assert (np.diff(seen(scale(name, 16), vision)[:, 0]) > 1).all()


@pytest.mark.parametrize("name", ["viridis", "cividis", "coolwarm", "PuOr"])
def test_the_scales_kept_here_are_those_of_matplotlib(name):
    from matplotlib import colormaps
    from matplotlib.colors import to_rgb

    ours = np.array([to_rgb(colour) for colour in scale(name)])
    theirs = np.array([colormaps[name](i / 254)[:3] for i in range(255)])
    assert np.abs(ours - theirs).max() <= 5.5 / 255
    assert scale(f"{name}_r") == scale(name, reverse=True) == scale(name)[::-1]


def test_the_first_picture_does_not_wait_for_matplotlib(tmp_path):
    import subprocess

    code = (
        "import sys, numpy as np\n"
        "from dissmodel_lab.maps.arrays import from_array\n"
        "from dissmodel_lab.maps.legend import paint\n"
        "from dissmodel_lab.maps.styles import Style\n"
        "grid = from_array(np.linspace(0, 1, 100).reshape(10, 10)).grid('band_1', 16)\n"
        "paint(grid); paint(grid, style=Style(classification='quantiles'))\n"
        "paint(grid, style=Style(colour_map='cividis'))\n"
        "print([name for name in ('matplotlib', 'mapclassify', 'pandas', 'defusedxml') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_colours_of_a_list_are_used_as_they_are():
    assert class_colours("tab10", 3) == ("#1f77b4", "#ff7f0e", "#2ca02c")
    assert class_colours("tab10", 3, reverse=True) == ("#2ca02c", "#ff7f0e", "#1f77b4")
    assert len(set(class_colours("tab10", 40))) == 10  # it has no more
    assert colours_of(np.array([3, 1, 2], "uint8"), Style(colour_map="tab10")) == [["#2ca02c", "#1f77b4", "#ff7f0e"]]


# --- scales ------------------------------------------------------------------------------------------------


def test_limits_and_what_lies_beyond():
    legend, index, notes = painted(np.array([-1.0, 0, 5, 10, 11, 12]), Style(limits=(0, 10)), unit="m")
    assert index.tolist() == [[1, 1, 128, 255, 255, 255]]
    assert notes == (
        "17 % of the cells lie below 0 m and have the first colour.",
        "33 % of the cells lie above 10 m and have the last colour.",
    )
    assert "≤ 0 m" in html.unescape(legend_html(legend))
    assert "≥ 10 m" in html.unescape(legend_html(legend))
    assert legend.range_text == "values -1 to 12 m; colours from 0 to 10 m"


def test_limits_make_whole_numbers_a_quantity():
    array = np.array([1, 2, 3], "uint8")
    assert painted(array)[0].kind == "classes"
    assert painted(array, Style(limits=(0, 10)))[0].kind == "continuous"


def test_reversed():
    array = np.linspace(0, 1, 50)
    forward, backward = (painted(array, Style(reverse=reverse))[0].scale for reverse in (False, True))
    assert backward == forward[::-1]


@pytest.mark.parametrize(
    ("array", "kind", "said"),
    [
        (np.full(9, 7.5), "continuous", "Every cell has the same value, 7.5."),
        (np.full(9, np.nan), "empty", "No cell has a value: nothing to show."),
        (np.array([np.nan, 2.5]), "continuous", "Every cell has the same value, 2.5."),
    ],
)
@pytest.mark.parametrize("style", [None, Style(limits=(0, 10)), Style(colour_map="magma")])
def test_bands_with_little_in_them(array, kind, said, style):
    legend, index, notes = painted(array, style)
    assert legend.kind == kind
    assert said in notes
    assert (index == 0).tolist() == np.isnan(np.atleast_2d(array)).tolist()
    assert legend_html(legend, histogram(grid_of(array), legend))


@pytest.mark.parametrize("factor", [1e-300, 1e-9, 1.0, 1e9, 1e300])
@pytest.mark.parametrize(
    "style", [Style(), Style(classification="equal interval"), Style(classification="natural breaks")]
)
def test_huge_and_tiny_numbers(factor, style):
    array = np.linspace(-1, 1, 101) * factor
    legend, index, _ = painted(array, style)
    assert (np.diff(index[0].astype(int)) >= 0).all()
    assert index.max() == len(legend.colours)
    texts = [entry.label for entry in legend.entries] or [legend.range_text]
    assert len(set(texts)) == len(texts)
    assert max(map(len, texts)) < 80
    assert histogram(grid_of(array), legend).total == 101


def test_the_span_of_all_floats():
    big = np.finfo("float64").max
    array = np.array([-big, 0, big])
    legend, index, _ = painted(array)
    assert index.tolist() == [[1, 128, 255]]
    assert histogram(grid_of(array), legend).total == 3


# --- ranges ------------------------------------------------------------------------------------------------

GAMMA = np.random.default_rng(1).gamma(2.0, 3.0, 900)


def test_ranges_are_those_of_mapclassify(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)  # optional there, and slow to import
    import mapclassify

    theirs = {
        "quantiles": mapclassify.Quantiles(GAMMA, k=6),
        "equal interval": mapclassify.EqualInterval(GAMMA, k=6),
        "standard deviation": mapclassify.StdMean(GAMMA),
        "pretty breaks": mapclassify.PrettyBreaks(GAMMA, k=6),
        "head/tail breaks": mapclassify.HeadTailBreaks(GAMMA),
        "maximum breaks": mapclassify.MaximumBreaks(GAMMA, k=6),
    }
    for method, found in theirs.items():
        ends, _ = upper_ends(GAMMA, method, 6)
        inner = found.bins[(found.bins >= GAMMA.min()) & (found.bins < GAMMA.max())]
        assert ends == pytest.approx([*inner, GAMMA.max()]), method
    assert set(theirs) | {"natural breaks", "user-defined"} == set(CLASSIFICATIONS)


def within(values, ends):
    """Return the sum of squares within ranges."""
    place = np.searchsorted(ends, values)
    return sum(((values[place == i] - values[place == i].mean()) ** 2).sum() for i in np.unique(place))


@pytest.mark.parametrize("count", [2, 3, 4])
def test_natural_breaks_are_the_best_there_are(count):
    values = np.sort(np.random.default_rng(count).normal(size=13))
    ends, notes = upper_ends(values, "natural breaks", count)
    every = ([*inner, values[-1]] for inner in itertools.combinations(values[:-1], count - 1))
    assert within(values, ends) == pytest.approx(min(within(values, one) for one in every))
    assert notes == ()
    assert upper_ends(values + 1e9, "natural breaks", count)[0] == pytest.approx([end + 1e9 for end in ends])


def test_natural_breaks_of_many_values_are_sampled_and_say_so():
    values = np.random.default_rng(2).gamma(2.0, 3.0, 1_000_000)
    start = time.perf_counter()
    ends, notes = upper_ends(values, "natural breaks", 5)
    assert time.perf_counter() - start < 20
    assert notes == (f"Natural breaks found in {MAX_NATURAL:,} of 1,000,000 values, evenly spread by rank.",)
    assert ends[-1] == values.max()
    # as good as those of another, larger sample, to a percent
    sample = np.sort(values)[::100]
    assert within(sample, ends) <= 1.05 * within(sample, upper_ends(sample[::4], "natural breaks", 5)[0])


def test_a_range_holds_its_upper_end():
    style = Style(classification="equal interval", n_classes=2)
    legend, index, _ = painted(np.array([0.0, 5.0, 5.001, 10.0]), style, unit="m")
    assert index.tolist() == [[1, 1, 2, 2]]
    assert [(e.label, e.low, e.high) for e in legend.entries] == [("0 to 5", 0, 5), ("5 to 10", 5, 10)]
    assert legend.kind == "ranges"
    assert legend.summary == "2 ranges [m]: 0 to 5; 5 to 10; values 0 to 10 m"
    assert legend.text_of(5.0) == "5 m"


def test_ranges_of_whole_numbers_name_whole_numbers():
    legend, index, _ = painted(np.arange(1, 11, dtype="uint8"), Style(classification="quantiles", n_classes=3))
    assert [e.label for e in legend.entries] == ["1 to 4", "5 to 7", "8 to 10"]
    assert index.tolist() == [[1, 1, 1, 1, 2, 2, 2, 3, 3, 3]]


def test_user_defined_breaks():
    legend, index, notes = painted(np.array([0.0, 1, 2, 3]), Style(breaks=(0.5, 2, 50)))
    assert [e.label for e in legend.entries] == ["0 to 0.5", "0.5 to 2", "2 to 3"]
    assert index.tolist() == [[1, 2, 2, 3]]
    assert notes == ()
    assert painted(np.array([0.0, 1]), Style(breaks=(10, 20, 30)))[2] == ("Of 3 ranges, 1 hold values.",)


def test_ties_make_fewer_ranges_and_say_so():
    legend, _, notes = painted(np.array([0.0] * 90 + [1.0] * 10), Style(classification="quantiles"))
    assert len(legend.entries) == 2
    assert notes == ("2 ranges instead of 5: too many cells have the same value.",)


def test_one_value_is_one_range():
    legend, index, notes = painted(np.full(4, 2.5), Style(classification="quantiles"))
    assert [e.label for e in legend.entries] == ["2.5"]
    assert index.tolist() == [[1, 1, 1, 1]]
    assert notes == ("Every cell has the same value, 2.5.",)


def test_ranges_of_a_part_say_so():
    array = np.random.default_rng(3).random((400, 400))
    grid = from_array(array).grid("band_1", 100)
    _, _, notes = paint(grid, style=Style(classification="quantiles"))
    assert notes == ("Ranges worked out on 1 of 16 pixels.",)


def test_the_sharp_part_keeps_the_ranges_of_the_whole():
    array = np.random.default_rng(4).random((400, 400))
    style = Style(classification="natural breaks", n_classes=4, colour_map="magma")
    whole, *_ = paint(from_array(array).grid("band_1", 100), style=style)
    part = np.concatenate([array[:50, :50].ravel(), [-1.0, 2.0]])
    legend, index, notes = painted(part, style, whole)
    assert legend.entries == whole.entries
    assert index[0, -2:].tolist() == [1, 4]
    assert notes[-1] == "less than 1 % of the cells lie beyond the ranges and have the colour of the nearest."
    assert histogram(grid_of(part), legend).counts == tuple(np.bincount(index[0], minlength=5)[1:])


def test_the_sharp_part_keeps_the_scale_of_the_whole():
    """Few whole numbers in the part do not make it a map of classes."""
    whole, *_ = painted(np.arange(1000, dtype="int32"), Style(colour_map="magma"))
    legend, index, _ = painted(np.array([0, 500, 999], "int32"), Style(colour_map="magma"), whole)
    assert (legend.kind, legend.scale, legend.low) == ("continuous", whole.scale, whole.low)
    assert index.tolist() == [[1, 128, 255]]


def test_the_sharp_part_may_hold_more_classes_than_the_whole_showed():
    whole, *_ = painted(np.arange(30, dtype="uint8"))
    legend, *_ = painted(np.arange(40, dtype="uint8"), None, whole)
    assert legend.kind == "classes"
    kept = {e.value: e.colour for e in whole.entries}
    assert kept.items() <= {e.value: e.colour for e in legend.entries}.items()
    assert painted(np.arange(40, dtype="uint8"))[0].kind == "continuous"


def test_texts_have_no_ranges():
    legend, _, notes = painted(
        np.array([0, 1]), Style(classification="quantiles"), names=("sea", "land"), is_discrete=True
    )
    assert legend.kind == "classes"
    assert notes == ("band_1 holds texts or truth values, which have no ranges: shown as classes.",)


@pytest.mark.parametrize(
    ("ends", "labels"),
    [
        ([0, 0.0001, 1], ["0 to 0.0001", "0.0001 to 1"]),
        ([0, 1e6, 2.5e6], ["0 to 1,000,000", "1,000,000 to 2,500,000"]),
        ([0, 1e-12, 2e-12], ["0 to 1e-12", "1e-12 to 2e-12"]),
        ([1e20, 2e20], ["1e+20 to 2e+20"]),
        ([3.0, 3.0], ["3"]),
    ],
)
def test_ranges_are_written_readably(ends, labels):
    assert range_labels(ends) == labels


def test_a_legend_of_ranges_can_be_kept_as_json():
    legend, *_ = painted(GAMMA, Style(classification="quantiles"))
    facts = json.loads(json.dumps(asdict(legend)))
    entries = tuple(LegendEntry(**entry) for entry in facts.pop("entries"))
    assert Legend(**facts | {"entries": entries, "scale": ()}) == legend


# --- many classes ------------------------------------------------------------------------------------------


def test_more_texts_than_colours():
    names = tuple(f"place {i}" for i in range(300))
    values = np.concatenate([np.arange(300), np.arange(254)])
    legend, index, notes = painted(values, names=names, is_discrete=True)
    assert len(legend.entries) == 255
    assert (legend.entries[-1].label, legend.entries[-1].text) == ("46 other classes", "46 other classes")
    assert set(index[0, 254:300].tolist()) == {255}
    assert notes[0] == (
        "300 classes: 254 have a colour, the 46 others share a grey (8 % of the cells); click to read one."
    )
    counted = histogram(grid_of(values, names=names, is_discrete=True), legend)
    assert (counted.total, counted.counts[-1]) == (554, 46)


def test_a_legend_of_a_thousand_classes():
    style = Style(classes={code: (f"class {code}", f"#{code:06x}") for code in range(7000, 8000)})
    values = np.repeat(np.arange(7000, 7300), 2)
    legend, index, notes = painted(values.astype("int16"), style)
    assert (legend.kind, len(legend.entries), int(index.max())) == ("classes", 255, 255)
    assert notes[0].startswith("300 classes: 254 have a colour, the 46 others share a grey")


# --- histograms --------------------------------------------------------------------------------------------


def test_a_histogram_counts_every_shown_cell_once():
    array = np.append(GAMMA, [np.nan] * 7)
    legend, *_ = painted(array)
    counted = histogram(grid_of(array), legend)
    assert (counted.total, counted.missing, len(counted.counts)) == (900, 7, 32)
    assert counted.counts == tuple(np.histogram(GAMMA, 32)[0])
    assert counted.colours[0] == legend.scale[0]
    assert counted.colours[-1] == legend.scale[-1]
    assert counted.summary.startswith("900 cells; most often ")


def test_a_histogram_of_a_part_says_so():
    grid = from_array(np.random.default_rng(5).random((400, 400))).grid("band_1", 100)
    counted = histogram(grid, paint(grid)[0])
    assert counted.counted == "1 of 16 pixels"
    assert counted.total == 10_000
    assert "Counted: 1 of 16 pixels." in bars_html(counted)


def test_whole_numbers_have_a_bar_each():
    array = np.repeat(np.arange(-3, 40, dtype="int16"), 2)
    legend, *_ = painted(array)
    counted = histogram(grid_of(array), legend)
    assert set(counted.counts) == {2}
    assert (counted.labels[0], counted.labels[-1]) == ("-3", "39")
    assert ">-3 <img" in bars_html(counted)


def test_classes_that_do_not_occur_have_no_bar():
    style = Style(classes={1: ("sea", "#0000ff"), 2: ("land", "#00ff00")})
    array = np.array([1, 1, 1], "uint8")
    legend, *_ = painted(array, style)
    counted = histogram(grid_of(array), legend)
    assert counted.counts == (3, 0)
    assert counted.labels == ("sea (1)", "land (2)")
    shown = legend_html(legend, counted)
    assert shown.count("<img") == 3  # two boxes and one bar
    assert "100 %" in shown
    assert "</span> 0 %" in shown


def test_shares():
    assert [share_text(part, 1000) for part in (0, 1, 500, 1000)] == ["0 %", "0.1 %", "50.0 %", "100 %"]


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.images = set(), set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "img":
            self.images.append(dict(attrs))


@pytest.mark.parametrize(
    ("array", "style"),
    [
        (GAMMA, Style()),
        (GAMMA, Style(classification="quantiles")),
        (np.arange(30, dtype="uint8"), Style(classes=dict.fromkeys(range(30), (EVIL, "#0000ff")))),
    ],
)
def test_a_legend_survives_the_sanitizer(array, style):
    """No script, style sheet, id or svg; pictures with a text instead; nothing of the data is markup."""
    grid = grid_of(array, unit=EVIL, band=EVIL)
    legend, *_ = paint(grid, style=style)
    shown = legend_html(legend, histogram(grid, legend))
    tags = Tags(shown)
    assert {"div", "img"} <= tags.tags <= {"div", "span", "img"}
    assert tags.attributes <= {"style", "alt", "src", "width", "height"}
    assert all(image["src"].startswith("data:image/png;base64,") and "alt" in image for image in tags.images)
    properties = {part.partition(":")[0] for one in re.findall(r'style="([^"]*)"', shown) for part in one.split(";")}
    assert properties <= {
        "font-size", "margin", "font-weight", "line-height", "display", "width", "height", "border",
        "vertical-align", "overflow", "max-width",
    }  # fmt: skip
    assert len(shown) < 40_000


def test_the_bars_are_in_the_picture():
    from base64 import b64decode
    from io import BytesIO

    from PIL import Image

    array = np.array([0.0] * 3 + [1.0])
    legend, *_ = painted(array)
    counted = histogram(grid_of(array), legend, bins=2)
    source = re.search(r"base64,([^\"]*)", bars_html(counted))[1]
    pixels = np.asarray(Image.open(BytesIO(b64decode(source))).convert("RGB"))
    assert pixels.shape[:2] == BARS[::-1]
    dark = (pixels[:-6].sum(axis=2) < 300).sum(axis=0)  # without the strip of the map's colours
    assert dark[0] == 30
    assert dark[-1] == 10
    assert tuple(pixels[-1, 0]) == tuple(bytes.fromhex(counted.colours[0][1:]))


# --- styles from files -------------------------------------------------------------------------------------

DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
MIN_MAX = (
    "<minMaxOrigin><limits>None</limits><extent>WholeRaster</extent><statAccuracy>Estimated</statAccuracy>"
    "</minMaxOrigin>"
)
#: As QGIS 3.14 writes it; the land-use classes of MapBiomas.
PALETTED = f"""{DOCTYPE}<qgis version="3.14.16-Pi" maxScale="0" minScale="1e+08" styleCategories="AllStyleCategories">
  <flags><Identifiable>1</Identifiable></flags>
  <pipe>
    <rasterrenderer alphaBand="-1" band="1" opacity="1" nodataColor="" type="paletted">
      <rasterTransparency/>{MIN_MAX}
      <colorPalette>
        <paletteEntry label="0 - Não observado" value="0" alpha="0" color="#ffffff"/>
        <paletteEntry label="1.1. Formação Florestal" value="3" alpha="255" color="#1f8d49"/>
        <paletteEntry label="1.3. Mangue" value="5" alpha="255" color="#04381d"/>
        <paletteEntry label="5.1. Rio, Lago &amp; Oceano" value="33" alpha="255" color="#2532E4"/>
      </colorPalette>
      <colorramp type="randomcolors" name="[source]"/>
    </rasterrenderer>
    <brightnesscontrast brightness="0" contrast="0"/>
  </pipe>
  <blendMode>0</blendMode>
</qgis>
"""
#: As QGIS 2.0 to 2.18 write it: no alpha, labels optional.
PALETTED_2 = f"""{DOCTYPE}<qgis version="2.18.16" minimumScale="0" maximumScale="1e+08">
  <pipe><rasterrenderer opacity="1" alphaBand="0" band="2" type="paletted"><rasterTransparency/>
    <colorPalette>
      <paletteEntry value="1" color="#ff0000" label="a"/><paletteEntry value="2" color="#00ff00"/>
    </colorPalette></rasterrenderer></pipe></qgis>"""


def shader(kind, items, version="3.12.3-București"):
    ramp = f'colorRampType="{kind}" ' if kind else ""
    return (
        f'{DOCTYPE}<qgis version="{version}"><pipe><rasterrenderer type="singlebandpseudocolor" band="1" opacity="1" '
        f'alphaBand="-1" classificationMin="0" classificationMax="inf" nodataColor=""><rasterTransparency/>{MIN_MAX}'
        f'<rastershader><colorrampshader {ramp}clip="0" classificationMode="1"><colorramp type="gradient" '
        'name="[source]"><prop k="color1" v="202,0,32,255"/></colorramp>'
        f"{items}</colorrampshader></rastershader></rasterrenderer></pipe></qgis>"
    )


GRAY = f"""{DOCTYPE}<qgis version="3.34.4-Prizren"><pipe><rasterrenderer type="singlebandgray" grayBand="1"
  gradient="WhiteToBlack" opacity="1" alphaBand="-1"><contrastEnhancement><minValue>10</minValue>
  <maxValue>250.5</maxValue><algorithm>StretchToMinimumMaximum</algorithm></contrastEnhancement>
  </rasterrenderer></pipe></qgis>"""


def symbol(name, colour, *, is_new, alpha="1", kind="SimpleFill", key="color"):
    said = (
        f'<Option type="Map"><Option name="joinstyle" type="QString" value="bevel"/>'
        f'<Option name="{key}" type="QString" value="{colour}"/></Option>'
        if is_new
        else f'<prop k="border_width_map_unit_scale" v="3x:0,0,0,0,0,0"/><prop k="{key}" v="{colour}"/>'
    )
    return (
        f'<symbol alpha="{alpha}" clip_to_extent="1" type="fill" name="{name}"><layer pass="0" class="{kind}" '
        f'locked="0">{said}</layer></symbol>'
    )


#: As QGIS 2.18 writes it.
CATEGORIZED_2 = f"""{DOCTYPE}<qgis version="2.18.16"><edittypes/>
  <renderer-v2 attr="uso" forceraster="0" symbollevels="0" type="categorizedSymbol" enableorderby="0">
    <categories>
      <category render="true" symbol="0" value="1" label="mangue"/>
      <category render="true" symbol="1" value="2" label="mar"/>
      <category render="false" symbol="2" value="9" label="hidden"/>
      <category render="true" symbol="3" value="" label="others"/>
    </categories>
    <symbols>{symbol("0", "0,100,0,255", is_new=False)}{symbol("1", "0,0,255,255", is_new=False)}
      {symbol("2", "9,9,9,255", is_new=False)}{symbol("3", "200,200,200,255", is_new=False)}</symbols>
    <source-symbol>{symbol("0", "1,2,3,255", is_new=False)}</source-symbol>
  </renderer-v2></qgis>"""
#: As QGIS 3.40 writes it: properties as options, colours twice, types, unique ids, lists of values.
CATEGORIZED_3 = f"""{DOCTYPE}<qgis version="3.40.12-Bratislava" styleCategories="Symbology">
  <renderer-v2 symbollevels="0" attr="&quot;land use&quot;" referencescale="-1" type="categorizedSymbol">
    <categories>
      <category value="floresta" render="true" uuid="{{1}}" label="Floresta" type="string" symbol="0"/>
      <category render="true" uuid="{{2}}" label="Água" type="List" symbol="1"><val value="rio" type="QString"/>
        <val value="mar" type="QString"/></category>
    </categories>
    <symbols>{symbol("0", "31,141,73,255,rgb:0.1215686,0.5529412,0.2862745,1", is_new=True)}
      {
    symbol(
        "1", "37,50,228,255,rgb:0.145,0.196,0.894,1", is_new=True, alpha="0.5", key="line_color", kind="SimpleLine"
    )
}</symbols>
  </renderer-v2></qgis>"""
GRADUATED = f"""{DOCTYPE}<qgis version="3.10.1-A Coruña" styleCategories="Symbology|Labeling">
  <renderer-v2 type="graduatedSymbol" attr="altitude" graduatedMethod="GraduatedColor" enableorderby="0">
    <ranges>
      <range render="true" lower="0.000000000000000" label="0 - 2 m" upper="2.000000000000000" symbol="0"/>
      <range render="true" lower="2.000000000000000" label="2 - 5 m" upper="5.000000000000000" symbol="1"/>
    </ranges>
    <symbols>{symbol("0", "255,255,178,255", is_new=False)}{symbol("1", "189,0,38,255", is_new=False)}</symbols>
  </renderer-v2></qgis>"""
SINGLE = f"""{DOCTYPE}<qgis version="3.28.0-Firenze"><renderer-v2 type="singleSymbol" symbollevels="0">
  <symbols>{symbol("0", "125,139,143,255", is_new=True)}</symbols></renderer-v2></qgis>"""


@pytest.fixture
def file_of(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_a_palette_of_qgis(file_of):
    style = read_style(file_of("uso.qml", PALETTED))
    assert style.classes == {
        0: ("0 - Não observado", "#ffffff"),
        3: ("1.1. Formação Florestal", "#1f8d49"),
        5: ("1.3. Mangue", "#04381d"),
        33: ("5.1. Rio, Lago & Oceano", "#2532e4"),
    }
    legend, index, notes = painted(np.array([0, 3, 5, 77], "uint8"), style)
    assert index[0, 0] == 0
    assert [(e.value, e.label, e.colour) for e in legend.entries][:2] == [
        (3, "1.1. Formação Florestal", "#1f8d49"), (5, "1.3. Mangue", "#04381d"),
    ]  # fmt: skip
    assert notes == (
        "Colours from uso.qml.",
        "1 transparent class is not drawn.",
        "Not in the legend of the data: 77.",
    )


def test_a_palette_of_qgis_2(file_of):
    style = read_style(file_of("uso.qml", PALETTED_2))
    assert style.classes == {1: ("a", "#ff0000"), 2: ("2", "#00ff00")}
    assert style.band_number == 2


ITEMS = (
    '<item alpha="255" value="0" label="0 m (sea)" color="#2b83ba"/>'
    '<item alpha="255" value="1" label="1 m" color="#ffffbf"/>'
    '<item alpha="255" value="1001" label="" color="#d7191c"/>'
)


@pytest.mark.parametrize("kind", ["INTERPOLATED", ""])
def test_an_interpolated_scale(file_of, kind):
    """Colours between stops are linear in each stretch, however unevenly the stops are spread."""
    style = read_style(file_of("relief.qml", shader(kind, ITEMS)))
    array = np.array([-5, 0, 0.5, 1, 501, 1001.0])
    ours = [bytes.fromhex(colour[1:]) for colour in colours_of(array, style)[0]]
    red = np.interp(array, [0, 1, 1001], [0x2B, 0xFF, 0xD7])
    assert np.abs([colour[0] for colour in ours] - red).max() <= 2
    legend, _, notes = painted(array, style)
    assert notes == ("Colours from relief.qml.", "17 % of the cells lie below 0 and have the first colour.")
    assert "from left to right: 0, 1, 1001" in legend_html(legend)
    assert Legend(**json.loads(json.dumps({**asdict(legend), "entries": []}))).marks == legend.marks


def test_a_scale_of_ranges(file_of):
    items = (
        '<item label="&lt;= 7" alpha="255" color="#8dd3c7" value="7"/>'
        '<item label="7 - 9" alpha="255" color="#ffffb3" value="9"/>'
        '<item label="> 9" alpha="255" color="#bebada" value="inf"/>'
    )
    style = read_style(file_of("age.qml", shader("DISCRETE", items)))
    array = np.array([-1e30, 7, 7.1, 9, 1e30])
    assert colours_of(array, style) == [["#8dd3c7", "#8dd3c7", "#ffffb3", "#ffffb3", "#bebada"]]
    legend, *_ = painted(array, style)
    assert [entry.label for entry in legend.entries] == ["<= 7", "7 - 9", "> 9"]
    assert histogram(grid_of(array), legend).counts == (2, 2, 1)


def test_a_scale_of_single_values(file_of):
    style = read_style(file_of("x.qml", shader("EXACT", ITEMS, version="2.0.1-Dufour")))
    assert style.classes == {0: ("0 m (sea)", "#2b83ba"), 1: ("1 m", "#ffffbf"), 1001: ("1001", "#d7191c")}


def test_greys(file_of):
    style = read_style(file_of("dem.qml", GRAY))
    assert (style.colour_map, style.reverse, style.limits) == ("gray", True, (10, 250.5))
    assert colours_of(np.array([10, 250.5]), style) == [["#ffffff", "#000000"]]


def test_categories_of_qgis_2(file_of):
    style = read_style(file_of("uso.qml", CATEGORIZED_2))
    assert style.band == "uso"
    array = np.array([1, 2, 9, 7, 8], "int64")
    assert colours_of(array, style) == [["#006400", "#0000ff", "", "#c8c8c8", "#c8c8c8"]]
    legend, *_ = painted(array, style)
    assert [entry.text for entry in legend.entries] == ["mangue (1)", "mar (2)", "others (7)", "others (8)"]


def test_categories_of_qgis_3(file_of):
    style = read_style(file_of("uso.qml", CATEGORIZED_3))
    assert style.band == "land use"
    assert style.classes == {
        "floresta": ("Floresta", "#1f8d49"),
        "rio": ("Água", "#2532e4"),
        "mar": ("Água", "#2532e4"),
    }
    assert style.notes == ("Half-transparent colours of the style are drawn opaque.",)
    names = ("floresta", "mar", "rio")
    assert colours_of(np.array([0, 1, 2]), style, names=names, is_discrete=True) == [
        ["#1f8d49", "#2532e4", "#2532e4"]
    ]


def test_a_code_may_be_a_text_in_the_data():
    style = Style(classes={1: ("sea", "#0000ff"), "2": ("land", "#00ff00")})
    wanted = [["#0000ff", "#00ff00"]]
    assert colours_of(np.array([0, 1]), style, names=("1", "2"), is_discrete=True) == wanted
    assert colours_of(np.array([1, 2], "uint8"), style) == wanted
    assert colours_of(np.array([1.0, 2.0]), style) == wanted


def test_graduated(file_of):
    style = read_style(file_of("alt.qml", GRADUATED))
    legend, index, notes = painted(np.array([0, 2, 2.5, 5, 6, -1]), style)
    assert [(e.label, e.colour) for e in legend.entries] == [
        ("0 - 2 m", "#ffffb2"), ("2 - 5 m", "#bd0026"), ("not in the legend", "#c8c8c8"),
    ]  # fmt: skip
    assert index.tolist() == [[1, 1, 2, 2, 3, 3]]
    assert notes == ("Colours from alt.qml.", "33 % of the cells are in no range of the style.")
    assert histogram(grid_of(np.array([0, 2, 2.5, 5, 6, -1])), legend).counts == (2, 2, 2)


def test_a_single_symbol(file_of):
    style = read_style(file_of("one.qml", SINGLE))
    assert colours_of(np.array([0.0, 7]), style) == [["#7d8b8f", "#7d8b8f"]]
    assert [entry.label for entry in painted(np.array([1.0]), style)[0].entries] == ["all"]


def test_an_expression_is_said(file_of):
    text = CATEGORIZED_2.replace('attr="uso"', 'attr="coalesce(uso, 1) + 2"')
    style = read_style(file_of("e.qml", text))
    assert style.band == ""
    assert style.notes[-1] == "The style is for the expression 'coalesce(uso, 1) + 2', which is not worked out."


TABLES = {
    "qgis.txt": (
        "# QGIS Generated Color Map Export File\nINTERPOLATION:EXACT\n1,230,0,77,255,Town\n2,255,0,0,255,Água, rio\n",
        {1: ("Town", "#e6004d"), 2: ("Água, rio", "#ff0000")},
    ),
    "esri.clr": ("1 31 141 73\r\n2 0 0 255\r\n", {1: ("1", "#1f8d49"), 2: ("2", "#0000ff")}),
    "labels.clr": (
        "1 31 141 73 255 Forest\n2 0 0 255 255 Deep sea\n",
        {1: ("Forest", "#1f8d49"), 2: ("Deep sea", "#0000ff")},
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_classes(file_of, name):
    text, classes = TABLES[name]
    assert read_style(file_of(name, text)).classes == classes


@pytest.mark.parametrize(
    ("text", "stops"),
    [
        (
            "0 110 220 110\n900,240,250,160\n1300\t230:220:170\nnv 0 0 0 0\n",
            [(0, "#6edc6e"), (900, "#f0faa0"), (1300, "#e6dcaa")],
        ),
        (
            "# GRASS\n-10 blue\n0.5 255:255:255\n20 white\ndefault grey\n",
            [(-10, "#0000ff"), (0.5, "#ffffff"), (20, "#ffffff")],
        ),
        ("INTERPOLATION:INTERPOLATED\n0,0,0,0,255,low\n10,255,255,255,255,high\n", [(0, "#000000"), (10, "#ffffff")]),
    ],
)
def test_tables_of_scales(file_of, text, stops):
    assert read_style(file_of("relief.txt", text)).stops == tuple(stops)


def test_percentages_are_of_the_values(file_of):
    style = read_style(file_of("rules.txt", "0% black\n100% white\n"))
    assert colours_of(np.array([50.0, 100, 150]), style) == [["#000000", "#808080", "#ffffff"]]


def test_a_table_of_ranges(file_of):
    style = read_style(file_of("d.txt", "INTERPOLATION:DISCRETE\n7,1,2,3,255,low\ninf,4,5,6,255,high\n"))
    assert colours_of(np.array([7.0, 8]), style) == [["#010203", "#040506"]]


SLD = """<?xml version="1.0" encoding="UTF-8"?>
<StyledLayerDescriptor xmlns="http://www.opengis.net/sld" version="1.0.0" xmlns:ogc="http://www.opengis.net/ogc"
  xmlns:sld="http://www.opengis.net/sld" xmlns:se="http://www.opengis.net/se">{}</StyledLayerDescriptor>"""
RULE = (
    "<se:Rule><se:Name>{name}</se:Name><ogc:Filter>{test}</ogc:Filter><se:PolygonSymbolizer><se:Fill>"
    '<se:SvgParameter name="fill">{colour}</se:SvgParameter></se:Fill></se:PolygonSymbolizer></se:Rule>'
)
PROPERTY = "<ogc:PropertyName>uso</ogc:PropertyName><ogc:Literal>{}</ogc:Literal>"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("values", {"classes": {1: ("sea", "#0000ff"), 2: ("2", "#00ff00")}}),
        ("ramp", {"stops": ((1, "#0000ff"), (2, "#00ff00"))}),
    ],
)
def test_sld_of_a_raster(file_of, kind, expected):
    entries = '<ColorMapEntry color="#0000FF" quantity="1" label="sea"/><ColorMapEntry color="#00ff00" quantity="2"/>'
    text = SLD.format(f'<RasterSymbolizer><ColorMap type="{kind}">{entries}</ColorMap></RasterSymbolizer>')
    style = read_style(file_of("x.sld", text))
    assert {key: getattr(style, key) for key in expected} == expected


def test_sld_of_a_vector(file_of):
    equal = "<ogc:PropertyIsEqualTo>" + PROPERTY + "</ogc:PropertyIsEqualTo>"
    rules = "".join(
        RULE.format(name=name, test=equal.format(value), colour=colour)
        for name, value, colour in (("forest", "1", "#117733"), ("sea", "2", "#0072b2"))
    )
    style = read_style(file_of("x.sld", SLD.format(rules)))
    assert (style.band, style.classes) == ("uso", {1: ("forest", "#117733"), 2: ("sea", "#0072b2")})
    between = (
        "<ogc:And><ogc:PropertyIsGreaterThan>" + PROPERTY.format(0) + "</ogc:PropertyIsGreaterThan>"
        "<ogc:PropertyIsLessThanOrEqualTo>" + PROPERTY.format(5) + "</ogc:PropertyIsLessThanOrEqualTo></ogc:And>"
    )
    style = read_style(file_of("y.sld", SLD.format(RULE.format(name="low", test=between, colour="#117733"))))
    assert [(r.low, r.high, r.label) for r in style.ranges] == [(0, 5, "low")]


# --- files that are no styles, or mean harm ----------------------------------------------------------------

LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol0 "lol">'
    + "".join(f'<!ENTITY lol{i} "' + 10 * f"&lol{i - 1};" + '">' for i in range(1, 10))
    + "]><qgis>&lol9;</qgis>"
)
NO_STYLES = {
    "a billion laughs": (LAUGHS, "declares the XML entity 'lol0'; a style has none. Export it anew from QGIS."),
    "a file of this machine": (
        '<!DOCTYPE qgis [<!ENTITY x SYSTEM "file:///etc/passwd">]><qgis>&x;</qgis>',
        "declares the XML entity 'x'; a style has none. Export it anew from QGIS.",
    ),
    "an entity from a host": (
        '<!DOCTYPE qgis [<!ENTITY % x SYSTEM "http://127.0.0.1:9/evil.dtd"> %x;]><qgis/>',
        "declares the XML entity 'x'; a style has none. Export it anew from QGIS.",
    ),
    "too deep": (
        f"<qgis>{'<a>' * 5000}{'</a>' * 5000}</qgis>",
        "is not a style: its XML is nested more than 200 levels deep.",
    ),
    "cut off": (PALETTED[:700], "is not a style: its XML is broken ("),
    "a web page": (
        "<html><body>Please log in</body></html>",
        "is XML, but not a style (it holds 'html'). Known: QGIS",
    ),
    "no renderer": (
        "<qgis version='3.34'/>",
        "holds no renderer: it is a QGIS file, but not the style of a raster or vector layer.",
    ),
    "three bands": (
        '<qgis><pipe><rasterrenderer type="multibandcolor"/></pipe></qgis>',
        "colours a raster by multibandcolor; paletted, singlebandpseudocolor and singlebandgray can be used for one ",
    ),
    "rules": (
        '<qgis><renderer-v2 type="RuleRenderer"/></qgis>',
        "colours features by RuleRenderer; categorizedSymbol, graduatedSymbol and singleSymbol can be used.",
    ),
    "no class": (
        '<qgis><pipe><rasterrenderer type="paletted"/></pipe></qgis>',
        "names no class and no colour. Is it the style of a map?",
    ),
    "empty": ("  \n", "is empty. Export the style again."),
    "no text": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is not a style: it is no text. Known: QGIS styles (.qml)"),
    "a story": (
        "Once upon a time\n",
        "is not a colour table: line 1 is 'Once upon a time'. A line holds a value and its colour, such as '3 31 ",
    ),
    "a colour beyond": ("1 300 0 0\n", "is not a colour table: line 1 is '1 300 0 0'."),
    "values and shares": ("0 black\n100% white\n", "mixes values and percentages; use one of them."),
    "only nodata": ("nv 0 0 0\n# nothing\n", "names no class and no colour. Is it the style of a map?"),
    "many lines": ("1 2 3 4\n" * 20_001, "has 20,001 classes; at most 20,000 can be read."),
}


@pytest.mark.parametrize("what", NO_STYLES)
def test_what_is_no_style(file_of, what):
    text, message = NO_STYLES[what]
    path = file_of("x.qml", text)
    start = time.perf_counter()
    with pytest.raises(SourceError, match=f"^{re.escape(f'{path} {message}')}"):
        read_style(path)
    assert time.perf_counter() - start < 20
    assert style_beside(path.with_suffix(".tif")) is None


def test_an_external_document_type_is_not_opened(file_of, monkeypatch):
    """QGIS's own document type names a host; nothing asks it."""
    import socket

    def refuse(*_arguments, **_keywords):
        raise AssertionError("somebody asked the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert len(read_style(file_of("uso.qml", PALETTED)).classes) == 4


def test_a_file_that_is_too_large(tmp_path):
    path = tmp_path / "x.qml"
    with path.open("wb") as file:
        file.write(b"<qgis>")
        file.truncate(50 << 20)
    with pytest.raises(SourceError, match=f"^{re.escape(str(path))} is larger than 8 MiB: too large for a style"):
        read_style(path)


def test_a_path_that_is_no_file(tmp_path):
    with pytest.raises(SourceError, match=r"doesn't exist\. Check the path\.$"):
        read_style(tmp_path / "nowhere.qml")
    with pytest.raises(SourceError, match=r"is not a file\. Name a file: QGIS styles"):
        read_style(tmp_path)


def test_labels_of_a_file_are_one_short_line(file_of):
    label = html.escape(EVIL + "\n" + "x" * 500, quote=True)
    style = read_style(file_of("x.qml", PALETTED.replace("1.3. Mangue", label)))
    assert len(style.classes[5][0]) == 80
    legend, *_ = painted(np.array([5], "uint8"), style)
    assert "<script" not in legend_html(legend)


# --- styles beside the data --------------------------------------------------------------------------------


def test_a_style_beside_the_data(file_of, tmp_path):
    data = file_of("uso.tif", b"II*\0")
    assert style_beside(data) is None
    file_of("uso.clr", "1 1 2 3\n")
    assert style_beside(data).origin == "uso.clr"
    file_of("uso.qml", PALETTED)
    found = style_beside(data)
    assert (found.origin, found.is_beside) == ("uso.qml", True)
    assert style_for(str(data), None) == style_for(data, Style()) == found
    assert style_for(DataSource(type="local", uri=f"file://{data}"), None) == found
    chosen = Style(colour_map="magma")
    assert style_for(data, chosen) is chosen
    assert style_for(DataSource(type="s3", uri=str(data)), None) is None
    assert style_for("https://example.org/uso.tif", None) is None
    assert style_for(np.zeros((2, 2)), None) is None
    assert style_beside("\0") is None


@pytest.mark.parametrize("text", [GRAY, SINGLE, "nothing"])
def test_a_style_beside_that_says_nothing_is_passed_over(file_of, text):
    file_of("uso.qml", text)
    assert style_beside(file_of("uso.tif", b"II*\0")) is None


def test_a_link_beside_that_leads_elsewhere_is_not_followed(file_of, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret.clr").write_text("1 1 2 3\n")
    (tmp_path / "uso.clr").symlink_to(elsewhere / "secret.clr")
    assert style_beside(file_of("uso.tif", b"II*\0")) is None


def test_the_datas_own_legend_comes_before_a_style_beside_but_not_before_a_chosen_one():
    array = np.array([[[1, 2]]], "uint8")
    own = {"c": {1: ("own", "#111111"), 2: ("other", "#222222")}}
    grid = from_raster(Raster(array=array, bands=("c",), classes=own)).grid("c", 8)
    style = Style(classes={1: ("styled", "#333333")}, origin="c.qml")
    beside, chosen = (paint(grid, style=replace(style, is_beside=is_beside)) for is_beside in (True, False))
    assert [e.label for e in beside[0].entries] == ["own", "other"]
    assert beside[2] == ()
    assert [e.label for e in chosen[0].entries] == ["styled", "other"]
    assert chosen[2] == ("Colours from c.qml.",)


def test_a_style_of_another_band_is_not_used():
    grids = from_array(np.zeros((2, 2, 2), "uint8"))
    style = Style(classes={0: ("none", "#333333")}, band="band_2", origin="x.qml")
    first, second = (paint(grids.grid(band, 8), style=style) for band in grids.bands)
    assert first[2] == ("The style x.qml is for 'band_2', not used for 'band_1'.",)
    assert [e.label for e in second[0].entries] == ["none"]
    elsewhere = replace(style, band="uso")
    assert [e.label for e in paint(grids.grid("band_1", 8), style=elsewhere)[0].entries] == ["none"]
    numbered = replace(style, band="", band_number=2, is_beside=True)
    assert [e.label for e in paint(grids.grid("band_1", 8), style=numbered)[0].entries] == ["0"]
    assert [e.label for e in paint(grids.grid("band_2", 8), style=numbered)[0].entries] == ["none"]


def test_a_style_beside_that_changes_is_read_again(file_of):
    data, beside = file_of("uso.tif", b"II*\0"), file_of("uso.clr", "1 1 2 3\n")
    assert style_beside(data).classes == {1: ("1", "#010203")}
    beside.write_text("1 1 2 3\n2 4 5 6\n")
    assert list(style_beside(data).classes) == [1, 2]
    beside.unlink()
    assert style_beside(data) is None
