"""Maps on the page: static HTML that says everything, and a widget that follows its controls."""

from __future__ import annotations

import io
import itertools
import re
import threading
import time
from base64 import b64decode
from html.parser import HTMLParser

import geopandas
import ipyleaflet as leaflet
import numpy as np
import pytest
import shapely
from affine import Affine
from IPython.display import display
from PIL import Image
from pyproj import CRS, Transformer

from dissmodel_lab.errors import SourceError
from dissmodel_lab.maps import preview
from dissmodel_lab.maps.area import Area
from dissmodel_lab.maps.arrays import from_array
from dissmodel_lab.maps.grid import Axis, LayerBase
from dissmodel_lab.rasters import Raster, write_raster
from dissmodel_lab.views.map_view import (
    MAP_HEIGHT,
    MAP_WIDTH,
    MapView,
    beside,
    data_url,
    legend_html,
    map_figure,
    png_of,
    share_bounds,
    swipe,
    view_of,
)
from dissmodel_lab.views.map_view.linked import LinkedMaps
from dissmodel_lab.views.map_view.worker import NewestWins

EVIL = "<script>alert('x')</script>\"&"
COVER = {"cover": {1: ("forest", "#117733"), 2: ("sea", "#0072b2"), 3: (EVIL, "#ddcc77")}}
SOUTH_EAST = Affine(0.1, 0, -52, 0, -0.1, -20)
#: What JupyterLab 4.6 keeps of an untrusted notebook's inline styles, as far as it is used here.
KEPT_STYLES = {
    "background-color", "border", "border-right", "box-sizing", "display", "font-size", "font-weight", "height",
    "left", "line-height", "margin", "max-width", "min-width", "overflow", "padding-left", "position", "resize",
    "top", "vertical-align", "width",
}  # fmt: skip


#: What has to be scrolled can have the focus, and then has a name.
ALLOWED = {"style", "alt", "width", "height", "src", "role", "tabindex", "aria-label"}


def cover(codes, transform=SOUTH_EAST, crs=4326, **changes):
    return Raster(
        array=np.asarray(codes, "uint8")[np.newaxis],
        bands=("cover",),
        transform=transform,
        crs=CRS(crs),
        classes=COVER,
        **changes,
    )


@pytest.fixture
def before():
    return cover(np.random.default_rng(0).integers(1, 4, (20, 30)))


@pytest.fixture
def after():
    return cover(np.random.default_rng(1).integers(1, 4, (20, 30)))


class Page(HTMLParser):
    """Tags, attributes and text of HTML, as a browser takes them."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.words, self.open = [], [], []
        self.feed(html)
        self.text = re.sub(r"\s+", " ", " ".join(self.words)).strip()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def images(self):
        return [attributes for tag, attributes in self.tags if tag == "img"]

    def pictures(self):
        """The maps themselves, without boxes and bars of legends."""
        return [a for a in self.images() if a["alt"].startswith("Map of")]


def decoded(url):
    with Image.open(io.BytesIO(b64decode(url.removeprefix("data:image/png;base64,")))) as image:
        return np.asarray(image)


# --- static ------------------------------------------------------------------------------------------------


def test_a_figure_says_all(before):
    picture = preview(before)
    page = Page(map_figure(picture, "Input"))
    (image,) = page.pictures()
    assert image["alt"] == picture.alt_text
    assert (image["width"], image["height"]) == ("440", "314")
    assert page.text.startswith("Input cover forest (1)")
    assert "22.00 to 20.00 °S, 52.00 to 49.00 °W (data in EPSG:4326); 312 km across at the centre" in page.text
    assert "30 x 20 cells" in page.text
    for note in picture.notes:
        assert note in page.text


def test_a_figure_of_a_plane_says_so():
    page = Page(map_figure(preview(np.eye(3)), "Life"))
    assert "plane, no georeference; 3 x 3 cells" in page.text
    assert "No CRS: shown in a plane, not on Earth." in page.text


def test_a_scale_shows_its_ends_and_unit():
    depth = Raster(array=np.linspace(0, 50, 100).reshape(1, 10, 10), bands=("depth",), units={"depth": "m<i>"})
    page = Page(legend_html(preview(depth).legend))
    assert page.text == "depth [m<i>] \u2264 1 m<i> \u2265 49 m<i> values 0 to 50 m<i>; colours from 1 to 49 m<i>"
    (bar,) = page.images()
    assert bar["alt"] == "colour scale from \u2264 1 m<i> to \u2265 49 m<i>"
    assert decoded(bar["src"]).shape == (1, 255)


def test_a_legend_has_a_box_for_each_class(before):
    page = Page(legend_html(preview(before).legend))
    boxes = [decoded(image["src"]) for image in page.images()]
    assert [box.shape for box in boxes] == [(1, 1)] * 3
    assert page.text == f"cover forest (1) sea (2) {EVIL} (3)"


def test_long_legends_are_cut_and_say_so():
    array = np.arange(32, dtype="uint8").reshape(4, 8)
    assert Page(legend_html(preview(array).legend)).text.endswith("23 and 8 more classes")


@pytest.mark.parametrize("view", ["figure", "swipe", "stranger"])
def test_untrusted_text_is_text(view):
    """Titles, labels, band names, units and notes with HTML in them come out as they went in."""
    source = Raster(
        array=np.array([[[1, 3]]], "uint8"), bands=(EVIL,), classes={EVIL: COVER["cover"]}, units={EVIL: EVIL}
    )
    picture = preview(source)
    html = {
        "figure": lambda: map_figure(picture, EVIL),
        "swipe": lambda: swipe(picture, picture, (EVIL, EVIL)),
        "stranger": lambda: swipe(picture, preview(np.eye(9)), (EVIL, EVIL)),
    }[view]()
    page = Page(html)
    assert {tag for tag, _ in page.tags} <= {"div", "img", "span", "ul", "li"}
    assert {name for _, attributes in page.tags for name in attributes} <= ALLOWED
    assert page.text.count(EVIL) >= 3
    assert EVIL in page.pictures()[0]["alt"]


def test_only_styles_that_survive_an_untrusted_notebook(before, after):
    pages = [
        Page(map_figure(preview(before), "a")),
        Page(map_figure(preview(np.linspace(0, 1, 9).reshape(3, 3)), "a")),
        Page(swipe(preview(before), preview(after), ("a", "b"))),
    ]
    used = {
        declaration.partition(":")[0]
        for page in pages
        for _, attributes in page.tags
        for declaration in attributes.get("style", "").split(";")
    } - {""}
    assert used <= KEPT_STYLES
    assert all(not page.open for page in pages)


def test_budget():
    """Noise packs worst: it is shown smaller, in the data's own colours, and that is said."""
    noise = preview(np.random.default_rng(0).choice(np.array([1, 9, 25], "uint8"), (900, 1000)))
    html = map_figure(noise, "noise", budget=10_000)
    (image,) = Page(html).pictures()
    assert len(b64decode(image["src"].partition(",")[2])) <= 10_000
    assert set(np.unique(decoded(image["src"]))) <= {1, 2, 3}
    assert image["width"] == "440"
    assert re.search(r"Picture reduced from [\d,]+ to \d+ pixels across, nearest pixel\.", Page(html).text)
    for source in (np.random.default_rng(0).random((2000, 3000)), np.random.default_rng(0).random((3000, 200))):
        assert len(map_figure(preview(source), "noise")) < 60_000


def test_tiny_pictures_are_enlarged_by_a_whole_number():
    picture = preview(np.array([[0, 1, 2], [2, 1, 0]], "uint8"))
    with Image.open(io.BytesIO(png_of(picture))) as image:
        assert image.size == (879, 586)
        assert np.asarray(image)[::293, ::293].tolist() == picture.pixels.tolist()
    assert "Picture reduced" not in map_figure(picture, "tiny")


def test_narrow_pictures_keep_their_shape():
    (image,) = Page(map_figure(preview(np.eye(200, 20)), "narrow")).pictures()
    assert (image["width"], image["height"]) == ("62", "620")


def test_swipe_puts_both_in_one_place(before, after):
    html = swipe(preview(before), preview(after), ("input", "output"))
    page = Page(html)
    assert page.text.startswith(
        "Swipe: output (left of the line) over input (right of it) "
        "Drag the lower right corner of the upper picture (output) to the side. "
    )
    lower, upper = page.pictures()
    assert (lower["width"], lower["height"]) == (upper["width"], upper["height"]) == ("440", "314")
    assert lower["alt"] == preview(before).alt_text
    boxes = [a["style"] for tag, a in page.tags if tag == "div" and "resize" in a.get("style", "")]
    assert len(boxes) == 1
    for declaration in ("position:absolute", "overflow:hidden", "resize:horizontal", "width:50%", "max-width:100%"):
        assert declaration in boxes[0].split(";")
    assert page.text.count("forest (1)") == 1
    assert len(html) < 80_000


def test_swipe_refuses_to_lie(before):
    elsewhere = cover(np.ones((20, 30)), SOUTH_EAST @ Affine.translation(5, 0))
    html = swipe(preview(before), preview(elsewhere), ("input", "output"))
    page = Page(html)
    assert page.text.startswith(
        "output doesn't cover the same ground as input: no swipe, it would compare different places. input cover"
    )
    assert "resize" not in html
    assert len(page.pictures()) == 2


def test_swipe_says_when_scales_differ():
    one, other = preview(np.linspace(0, 1, 25).reshape(5, 5)), preview(np.linspace(0, 9, 25).reshape(5, 5))
    text = Page(swipe(one, other, ("a", "b"))).text
    assert "The two pictures have different colour scales: compare shapes, not colours." in text
    same = preview(np.linspace(0, 9, 25).reshape(5, 5), like=one)
    assert "different colour scales" not in swipe(one, same, ("a", "b"))


def test_share_bounds(before):
    plane, other = preview(np.eye(4)), preview(np.eye(5))
    assert share_bounds(plane, plane)
    assert not share_bounds(plane, other)
    assert not share_bounds(plane, preview(before))
    nearly = cover(np.ones((20, 30)), SOUTH_EAST @ Affine.translation(0.01, 0))
    assert share_bounds(preview(before), preview(nearly))


# --- the widget --------------------------------------------------------------------------------------------


@pytest.fixture
def view(before, after, tmp_path):
    two_bands = Raster(
        array=np.stack([before.array[0], before.array[0] * 10]),
        bands=("cover", "age"),
        transform=before.transform,
        crs=before.crs,
        classes=COVER,
        units={"age": "yr"},
    )
    write_raster(after, tmp_path / "out.tif")
    return MapView({"input": two_bands, "output": tmp_path / "out.tif"})


def overlay(view):
    return view._ground.above.whole


def below(view):
    return view._ground.below.whole


def is_shown(widget):
    return widget.layout.display != "none"


def click(view, latitude, longitude):
    view.map._interaction_callbacks(type="click", coordinates=[latitude, longitude])
    return Page(view.value.value).text


def test_it_opens_on_the_first_layer(view):
    assert (view.layer.value, view.layer.options) == ("input", ("input", "output"))
    assert (view.band.value, view.band.options) == ("cover", ("cover", "age"))
    shown = view.preview("input", "cover")
    assert overlay(view).url == data_url(shown.png)
    assert overlay(view).bounds == [list(corner) for corner in shown.bounds]
    assert "forest (1)" in view.legend.value
    assert not below(view).visible
    assert view.map.layers == (*view._ground.below.layers, *view._ground.above.layers)
    assert view.errors == []
    for widget, name in ((view.layer, "dl-layer"), (view.band, "dl-band"), (view.value, "dl-value")):
        assert name in widget._dom_classes
    assert "dl-map" in view.widget._dom_classes
    assert "image-rendering:pixelated" in view._style.value


def test_band_and_layer_choosers(view):
    view.band.value = "age"
    assert overlay(view).url == data_url(view.preview("input", "age").png)
    assert "age [yr]" in Page(view.legend.value).text
    view.layer.value = "output"
    assert (view.band.value, view.band.options) == ("cover", ("cover",))
    assert overlay(view).url == data_url(view.preview("output", "cover").png)
    view.layer.value = "input"
    assert view.band.value == "cover"
    assert view.errors == []


def test_previews_are_drawn_once_and_only_when_seen(view, monkeypatch):
    def drawn():
        return [(choice.name, choice.band) for choice in view.stock._pictures]

    assert drawn() == [("input", "cover")]
    view.band.value = "age"
    view.band.value = "cover"
    monkeypatch.setattr("dissmodel_lab.views.map_view.stock.draw", lambda *_a, **_k: pytest.fail("drawn again"))
    view.band.value = "age"
    assert sorted(drawn()) == [("input", "age"), ("input", "cover")]
    assert view.errors == []


def test_opacity(view):
    view.opacity.value = 0.4
    assert (overlay(view).opacity, below(view).opacity) == (0.4, 0.4)
    view.layer.value = "output"
    assert overlay(view).opacity == 0.4


def test_swipe_slider(view):
    view.swipe.value = 30
    assert below(view).visible
    assert below(view).url == data_url(view.preview("output", "cover").png)
    assert "above-pane img{clip-path:inset(0 0% 0 30%)}" in view._style.value
    assert "below-pane img{clip-path:inset(0 70% 0 0%)}" in view._style.value
    assert "Left of the edge: output. Right of it: input." in Page(view.notes.value).text
    assert click(view, -20.55, -51.05).startswith("-20.55, -51.05: input: ")
    assert "; output: " in view.value.value
    view.layer.value = "output"
    assert below(view).url == data_url(view.preview("input", "cover").png)
    view.swipe.value = 0
    assert not below(view).visible
    assert "above-pane img{clip-path:inset(0 0% 0 0%)}" in view._style.value
    assert view.errors == []


def test_swipe_between_different_places_is_refused(before):
    elsewhere = cover(np.ones((20, 30)), SOUTH_EAST @ Affine.translation(5, 0))
    view = MapView({"input": before, "output": elsewhere})
    view.swipe.value = 50
    assert not below(view).visible
    assert "above-pane img{clip-path:inset(0 0% 0 0%)}" in view._style.value
    assert Page(view.notes.value).text.startswith(
        "input doesn't cover the same ground as output: no swipe, it would compare different places."
    )
    view.layer.value = "output"
    assert view.map.center == list(view_of(view.preview("output").bounds, is_georeferenced=True)[0])


def test_one_layer_has_no_swipe(before):
    assert MapView({"input": before}).swipe.disabled


def test_a_click_is_answered(view):
    codes = view.preview("input", "cover").grid.values
    label = view.preview("input").legend.text_of(int(codes[5, 9]))
    assert click(view, -20.55, -51.05) == f"-20.55, -51.05: {label}"
    assert click(view, 10, 10) == "10, 10: outside the data"
    view.band.value = "age"
    assert click(view, -20.55, -51.05) == f"-20.55, -51.05: {codes[5, 9] * 10} yr"
    view.map._interaction_callbacks(type="mousemove", coordinates=[0, 0])
    assert "-20.55" in view.value.value
    assert 'role="status"' in view.value.value


def test_labels_are_text_in_the_widget(before):
    view = MapView({EVIL: before})
    for widget in (view.value, view.legend, view.notes):
        assert "<script" not in widget.value
    codes = view.preview(EVIL).grid.values
    row, column = np.argwhere(codes == 3)[0]
    text = click(view, -20 - (row + 0.5) * 0.1, -52 + (column + 0.5) * 0.1)
    assert text.endswith(f"{EVIL} (3)")
    assert "<script" not in view.value.value


def test_a_plane_has_no_scale_and_no_earth(before):
    view = MapView({"grid": np.eye(10, dtype="uint8"), "place": before}, basemap=True)
    assert view.map.crs["name"] == "Simple"
    assert {type(layer).__name__ for layer in view.map.layers} == {"ImageOverlay"}
    assert "ScaleControl" not in [type(control).__name__ for control in view.map.controls]
    view.layer.value = "place"
    assert view.map.crs["name"] == "EPSG3857"
    assert type(view.map.layers[0]).__name__ == "TileLayer"
    assert "ScaleControl" in [type(control).__name__ for control in view.map.controls]
    assert view._frame.children == (view.map,)
    assert view.errors == []


@pytest.mark.parametrize("georeferenced", [True, False])
@pytest.mark.parametrize("bounds", [((-22, -52), (-20, -49)), ((0, 0), (3000, 4000)), ((0, 0), (0.5, 80))])
def test_the_view_fits(bounds, georeferenced):
    """At the zoom that is chosen the bounds fit into the map, and wouldn't fit a step further in."""
    if georeferenced:
        bounds = tuple((latitude % 80, longitude % 180) for latitude, longitude in bounds)
        bounds = (min(bounds), max(bounds))
    (south, west), (north, east) = bounds
    (latitude, longitude), zoom = view_of(bounds, is_georeferenced=georeferenced)
    assert south <= latitude <= north
    assert longitude == pytest.approx((west + east) / 2)
    scale = 2**zoom
    if georeferenced:
        y = np.arcsinh(np.tan(np.radians([south, north]))) * 256 / (2 * np.pi)
        high, wide = (y[1] - y[0]) * scale, (east - west) * 256 / 360 * scale
    else:
        high, wide = (north - south) * scale, (east - west) * scale
    fill = max(high / MAP_HEIGHT, abs(wide) / MAP_WIDTH)
    assert 2**-0.25 < fill <= 1


def test_problems_are_shown_and_kept(before, tmp_path):
    view = MapView({"input": before, "output": tmp_path / "gone<b>.tif"})
    url = overlay(view).url
    view.layer.value = "output"
    message = f"{tmp_path}/gone<b>.tif doesn't exist. Check the path."
    assert view.errors == [message]
    assert Page(view.value.value).text.endswith(message)
    assert '<div role="alert">' in view.value.value
    assert overlay(view).url == url
    view.layer.value = "input"
    assert 'role="status"' in view.value.value
    assert message in Page(view.twin()["text/html"]).text


def test_unforeseen_exceptions_are_not_swallowed(view, monkeypatch):
    def broken(*_arguments, **_keywords):
        raise ZeroDivisionError("by <zero>")

    monkeypatch.setattr("dissmodel_lab.views.map_view.stock.draw", broken)
    view.band.value = "age"
    assert view.errors == ["ZeroDivisionError: by <zero>"]
    assert "by &lt;zero&gt;" in view.value.value


def test_a_first_layer_that_cannot_be_drawn(before):
    view = MapView({"input": "gone.tif", "output": before})
    assert view.errors == ["gone.tif doesn't exist. Check the path."]
    assert view.map is None
    view.opacity.value = 0.5
    view.layer.value = "output"
    assert overlay(view).url == data_url(view.preview("output").png)
    assert overlay(view).opacity == 0.5
    assert len(view.errors) == 1


def test_no_layer_at_all():
    with pytest.raises(SourceError) as caught:
        MapView({})
    assert str(caught.value) == "There is no layer to show. Give at least one, such as {'input': path}."


def test_one_class_has_one_colour_in_all_layers():
    view = MapView({"input": np.array([[4, 9]], "uint8"), "output": np.array([[3, 4, 5]], "uint8")})
    first = {e.value: e.colour for e in view.preview("input").legend.entries}
    assert first.items() <= {e.value: e.colour for e in view.preview("output").legend.entries}.items()


def test_the_static_twin_has_an_output_of_its_own(view, shell):
    display(view)
    twin, live = shell.bundles
    assert twin["text/plain"] == "Map of input, output"
    assert "Drag the lower right corner" in twin["text/html"]
    assert len(twin["text/html"]) < 100_000
    assert "application/vnd.jupyter.widget-view+json" not in twin
    assert live["application/vnd.jupyter.widget-view+json"]["model_id"] == view.widget.model_id
    assert live["text/plain"] == "The map to explore needs a running kernel; the pictures above do not."


def test_a_living_map_hides_its_twin(view):
    name = re.search('class="([^"]+-twin)"', view.twin()["text/html"])[1]
    assert f".{name}{{display:none}}" in view._style.value


# --- what follows the person -------------------------------------------------------------------------------


def look(view, south, west, north, east):
    """Report a view as the browser does, and wait until the pictures have caught up."""
    view.map.set_trait("south", float(south))
    view.map.set_trait("west", float(west))
    view.map.set_trait("north", float(north))
    view.map.set_trait("east", float(east))
    assert view.settled()
    assert view.errors == []


def words(view):
    return Page(view._ground.words.value).text


def urls_of_parts(view, side="above"):
    return [one.url for one in getattr(view._ground, side).layers[1:] if one.url.startswith("data:image/png")]


@pytest.fixture
def chequered():
    """Too many cells for its pictures; every neighbour differs, and one class is hidden from the whole picture."""
    rows, columns = np.indices((400, 400))
    codes = (1 + (rows + columns) % 2).astype("uint8")
    codes[201, 203] = 9
    return codes


def test_the_part_in_view_is_drawn_sharper(chequered):
    view = MapView({"land": chequered}, max_pixels=100)
    assert view.settled()
    assert words(view) == "1 of 16 pixels shown plane, no georeference"
    assert urls_of_parts(view) == []
    look(view, 180, 180, 220, 220)
    side = view._ground.above
    assert side.part.bounds == ((176, 176), (224, 224))
    assert np.array_equal(side.part.grid.values, chequered[176:224, 176:224])
    assert urls_of_parts(view) == [data_url(side.part.png)]
    assert side.sharp.bounds == [[176, 176], [224, 224]]
    assert words(view) == "every cell of this view shown plane, no georeference"
    # the whole is cut out under the part, so that it can't shine through
    assert (
        "above-pane img{clip-path:polygon(evenodd,0% 0%,100% 0%,100% 100%,0% 100%,0% 0%,44% 44%" in view._style.value
    )
    look(view, 0, 0, 400, 400)
    assert not side.is_sharp
    assert urls_of_parts(view) == []
    assert words(view).startswith("1 of 16 pixels shown")
    assert "polygon" not in view._style.value


def test_sharp_parts_keep_the_colours_and_name_what_only_they_show(chequered):
    view = MapView({"land": chequered}, max_pixels=100)
    before = {entry.value: entry.colour for entry in view.preview("land").legend.entries}
    assert 9 not in before
    look(view, 180, 180, 220, 220)
    after = {entry.value: entry.colour for entry in view._ground.above.part.legend.entries}
    assert before.items() <= after.items()
    assert set(after) == {1, 2, 9}
    assert Page(view.legend.value).text.startswith("band_1 1")
    assert re.search(r"\b9 0 %", Page(view.legend.value).text)
    look(view, 190, 190, 200, 200)
    assert {e.value: e.colour for e in view._ground.above.part.legend.entries}.items() <= after.items()


def test_a_click_is_answered_by_what_is_seen(chequered):
    view = MapView({"land": chequered}, max_pixels=100)
    look(view, 180, 180, 220, 220)
    assert click(view, 400 - 201.5, 203.5).endswith(": 9")
    assert click(view, 10.5, 10.5).endswith(f": {view.preview('land').value_at(10.5, 10.5)}")


def test_a_short_drag_needs_no_new_picture(chequered):
    view = MapView({"land": chequered}, max_pixels=100)
    look(view, 180, 180, 220, 220)
    part = view._ground.above.part
    look(view, 182, 183, 222, 223)
    assert view._ground.above.part is part
    look(view, 240, 240, 280, 280)
    assert view._ground.above.part is not part
    assert urls_of_parts(view) == [data_url(view._ground.above.part.png)]


def test_nothing_is_drawn_when_all_is_shown(view, monkeypatch):
    monkeypatch.setattr("dissmodel_lab.views.map_view.stock.draw", lambda *_a, **_k: pytest.fail("drawn"))
    look(view, -20.5, -51, -20.2, -50.8)
    assert not view._ground.above.is_sharp


def test_both_sides_of_a_swipe_are_sharpened(chequered):
    view = MapView({"input": chequered, "output": chequered[::-1].copy()}, max_pixels=100)
    view.swipe.value = 50
    look(view, 150, 150, 250, 250)
    ground = view._ground
    assert ground.above.is_sharp
    assert ground.below.is_sharp
    rule = re.search(r"dlabove1-pane img\{clip-path:([^}]*)\}", view._style.value) or re.search(
        r"dlabove0-pane img\{clip-path:([^}]*)\}", view._style.value
    )
    assert rule[1] == "inset(0 0% 0 50%)"
    view.swipe.value = 90
    assert "dlabove" in view._style.value
    assert "inset(0 0% 0 100%)" in view._style.value


def test_parts_of_georeferenced_layers_lie_where_they_belong():
    codes = np.random.default_rng(0).integers(1, 4, (300, 300))
    raster = cover(codes, Affine(100, 0, 300_000, 0, -100, 7_500_000), 31983)
    view = MapView({"land": raster}, max_pixels=100)
    (south, west), (north, east) = view.preview("land").bounds
    middle = (south + north) / 2, (west + east) / 2
    look(view, middle[0] - 0.02, middle[1] - 0.02, middle[0] + 0.02, middle[1] + 0.02)
    part = view._ground.above.part
    assert part.shown == ""
    to_plane = Transformer.from_crs(4326, 31983, always_xy=True)
    for latitude, longitude in ((middle[0] + 0.0131, middle[1] - 0.0117), (middle[0] - 0.0153, middle[1] + 0.0129)):
        x, y = to_plane.transform(longitude, latitude)
        code = codes[int((7_500_000 - y) // 100), int((x - 300_000) // 100)]
        assert part.value_at(latitude, longitude) == part.legend.text_of(int(code))
    assert words(view).endswith("EPSG:31983")


def test_layers_that_somebody_else_has_given_a_place_are_sharpened_too(chequered):
    place = ("EPSG:31983", Affine(30, 0, 300_000, 0, -30, 7_500_000))
    view = MapView({"land": chequered}, max_pixels=100, georeferences={"land": place})
    (south, west), (north, east) = view.preview("land").bounds
    high, wide = (north - south) / 10, (east - west) / 10
    look(
        view,
        (south + north) / 2 - high,
        (west + east) / 2 - wide,
        (south + north) / 2 + high,
        (west + east) / 2 + wide,
    )
    part = view._ground.above.part
    assert part.is_georeferenced
    assert part.grid.values.max() == 9
    assert (south, west) < part.bounds[0]


def test_the_newest_wish_wins():
    done, gate = [], threading.Event()
    wish = [0]

    def work():
        done.append(wish[0])
        gate.wait(5)

    worker = NewestWins(work, interval=0.01)
    for number in range(1, 51):
        wish[0] = number
        worker.ask(0.0)
        if number == 1:
            while not done:
                time.sleep(0.001)
    assert worker.is_asked_again
    gate.set()
    assert worker.wait(60)
    assert done == [1, 50]


def test_at_most_four_pictures_a_second():
    begun = []
    worker = NewestWins(lambda: begun.append(time.monotonic()))
    ends = time.monotonic() + 1.1
    while time.monotonic() < ends:
        worker.ask(0.0)
        time.sleep(0.005)
    assert worker.wait(60)
    assert 2 <= len(begun) <= 6
    assert min(b - a for a, b in itertools.pairwise(begun)) >= 0.24


def test_work_does_not_wait_for_ever_while_a_person_moves_on():
    begun = []
    worker = NewestWins(lambda: begun.append(time.monotonic()))
    start = time.monotonic()
    while not begun and time.monotonic() < start + 60:
        worker.ask()
        time.sleep(0.05)
    assert begun
    assert worker.wait(60)


# --- side by side, features, axes, colours, basemaps ---------------------------------------------------------


def test_side_by_side(view):
    view.mode.value = "side by side"
    (row,) = view._frame.children
    assert row.children == (view.map, view._twin.map)
    assert view._twin.above.whole.url == data_url(view.preview("output", "cover").png)
    assert not below(view).visible
    assert Page(view.notes.value).text.startswith("Left: input. Right: output.")
    assert not is_shown(view.swipe)
    view.map.center = [-20.3, -50.2]
    assert view._twin.map.center == [-20.3, -50.2]
    view._twin.map.zoom = 9
    assert view.map.zoom == 9
    click(view, -20.55, -51.05)
    assert "input: " in view.value.value
    assert "; output: " in view.value.value
    page = Page(view.twin()["text/html"])
    assert len(page.pictures()) == 2
    assert "Drag the lower right corner" not in page.text
    view.mode.value = "one map"
    assert view._frame.children == (view.map,)
    assert view._twin is None
    assert view.errors == []


def test_linked_maps_do_not_answer_their_own_echo():
    one, other = (leaflet.Map(center=[0, 0], zoom=2, layers=[]) for _ in range(2))
    links = LinkedMaps(one, other)
    one.center, one.zoom = [10, 20], 5
    one.center = [11, 21]
    assert (other.center, other.zoom) == ([11, 21], 5)
    # the browser reports, rounded to pixels, what it was told before
    other.center = [10.001, 20.001]
    assert one.center == [11, 21]
    other.center = [30, 40]
    assert one.center == [30, 40]
    links.close()


def test_different_places_side_by_side_are_not_linked(before):
    view = MapView({"place": before, "plane": np.eye(5, dtype="uint8")}, mode="side by side")
    assert view._links is None
    assert "The two lie in different places: each map is moved by itself." in Page(view.notes.value).text
    assert view._twin.map.crs["name"] == "Simple"
    assert view.errors == []


@pytest.fixture
def sites():
    return geopandas.GeoDataFrame(
        {"age": [1.5, 20.0, None], "name": [EVIL, "south", "west"]},
        geometry=[shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1), shapely.Point(3, 0.5)],
        crs=4326,
    )


def test_few_features_are_named_under_the_pointer(sites):
    view = MapView({"sites": sites})
    layer = view._ground.features
    assert view.map.layers[-1] is layer
    assert not overlay(view).visible
    assert words(view) == "3 features EPSG:4326"
    assert "cells" not in Page(view.legend.value).text + Page(view.notes.value).text
    styles = [feature["properties"]["style"] for feature in layer.data["features"]]
    assert all(set(feature["properties"]) == {"style"} for feature in layer.data["features"])
    assert styles[0]["fillColor"] != styles[1]["fillColor"]
    assert styles[2]["fillOpacity"] == 0
    layer._handle_mouse_events(None, {"event": "mouseover", "id": "0", "properties": {"name": "<img>"}}, [])
    told = view._ground.pointed.value
    assert EVIL in Page(told).text
    assert "<script" not in told
    layer._handle_mouse_events(None, {"event": "mouseover", "id": "no such feature"}, [])
    assert view._ground.pointed.value == ""
    click(view, 0.5, 1.5)
    assert "name : south" in Page(view._ground.pointed.value).text
    assert view.errors == []


def test_a_swipe_of_features_shows_their_pictures(sites):
    view = MapView({"a": sites, "b": sites.assign(age=[5.0, 6.0, 7.0])})
    view.mode.value = "swipe"
    assert view._ground.features is None
    assert overlay(view).visible
    assert below(view).visible
    view.mode.value = "side by side"
    assert view._ground.features is not None
    assert view._twin.features is not None
    assert view.errors == []


class Series(LayerBase):
    """Ten steps of a grid."""

    bands, default_band, crs = ("depth",), "depth", None
    extent = Area(west=0, south=0, east=8, north=8)

    def __init__(self, step=0):
        self.step = step

    @property
    def axes(self):
        return (Axis("time", tuple(f"step {i}" for i in range(10))),)

    def at(self, **indices):
        return Series(indices.get("time", 0))

    def grid(self, band, max_pixels, area=None):
        values = np.linspace(0, 1, 64).reshape(8, 8) + self.step
        return from_array(values).grid("band_1", max_pixels, area)


def test_steps_are_played_with_steady_colours():
    view = MapView({"flood": Series()})
    slider = view.controls.steps["time"]
    assert slider.description == "time"
    first = view._ground.above.picture
    assert first.value_at(7.5, 0.5) == "0"
    slider.value = 3
    assert view.settled()
    shown = view._ground.above.picture
    assert shown.value_at(7.5, 0.5) == "3"
    assert overlay(view).url == data_url(shown.png)
    assert (shown.legend.low, shown.legend.high) == (first.legend.low, first.legend.high)
    following = view.stock.choice("flood")._replace(positions=(("time", 4),))
    assert view.stock.is_drawn(following)
    assert view.errors == []


def test_only_what_can_be_chosen_is_shown(before, view):
    one = MapView({"input": before})
    assert not any(
        is_shown(widget)
        for widget in (one.layer, one.part, one.band, one.mode, one.swipe, one.controls.colours, one.controls.moving)
    )
    assert is_shown(one.opacity)
    assert is_shown(one.basemap)
    assert is_shown(view.layer)
    assert is_shown(view.band)
    assert not is_shown(view.swipe)
    view.mode.value = "swipe"
    assert is_shown(view.swipe)
    assert view.swipe.value == 50


def test_colours_are_chosen():
    view = MapView({"depth": np.linspace(0, 1, 100).reshape(10, 10)})
    assert is_shown(view.controls.colours)
    assert not is_shown(view.controls.n_classes)
    before = overlay(view).url
    view.controls.colour_map.value = "magma"
    magma = overlay(view).url
    assert magma != before
    view.controls.reverse.value = True
    assert overlay(view).url not in {before, magma}
    view.controls.classes.value = "quantiles"
    assert is_shown(view.controls.n_classes)
    assert len(view._ground.above.picture.legend.entries) == 5
    view.controls.n_classes.value = 3
    assert len(view._ground.above.picture.legend.entries) == 3
    view.controls.classes.value = "continuous"
    view.controls.reverse.value = False
    view.controls.colour_map.value = "own"
    assert overlay(view).url == before
    assert view.errors == []


def test_basemaps_are_named_and_credited(before):
    view = MapView({"input": before})
    assert "TileLayer" not in [type(layer).__name__ for layer in view.map.layers]
    view.basemap.value = "Satellite (Esri)"
    assert "World_Imagery" in view.map.layers[0].url
    assert "Esri" in view.map.layers[0].attribution
    assert "AttributionControl" in [type(control).__name__ for control in view.map.controls]
    assert "Without a network there are none." in Page(view.notes.value).text
    view.basemap.value = "none"
    assert "TileLayer" not in [type(layer).__name__ for layer in view.map.layers]
    assert "AttributionControl" not in [type(control).__name__ for control in view.map.controls]
    with pytest.raises(SourceError) as caught:
        MapView({"input": before}, basemap="Mars")
    assert str(caught.value).startswith("No basemap is called 'Mars'. ")


def test_beside_puts_both_in_a_row(before, after):
    page = Page(beside(preview(before), preview(after), ("input", EVIL)))
    assert [image["alt"] for image in page.pictures()] == [preview(before).alt_text, preview(after).alt_text]
    assert EVIL in page.text
    assert sum("inline-block;vertical-align:top" in a.get("style", "") for tag, a in page.tags if tag == "div") == 2


def test_a_figure_and_its_png_are_encoded_once(monkeypatch):
    from dissmodel_lab.maps.picture import Preview

    picture = preview(np.random.default_rng(0).integers(0, 6, (1000, 1000)).astype("uint8"))
    made = []
    png_at = Preview.png_at
    monkeypatch.setattr(Preview, "png_at", lambda *a: made.append(a[1:]) or png_at(*a))
    html = map_figure(picture, "noise")
    assert data_url(png_of(picture)) in html
    assert len(made) == 1
    assert len(png_of(picture)) <= 40_000
