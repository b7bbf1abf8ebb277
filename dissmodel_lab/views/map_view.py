"""Maps: a picture with legend and notes, two of them under a swipe, and the widget to look closer.

The static forms are HTML without scripts, style sheets, ids or svg, because JupyterLab strips those from a
notebook that isn't trusted; colours of legends are pictures of one pixel, so that they survive where inline
styles don't. Everything that comes from data is escaped.
"""

from __future__ import annotations

import math
from base64 import b64encode
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from dissmodel_lab.errors import LabError, SourceError
from dissmodel_lab.maps import open_layer, png
from dissmodel_lab.maps.picture import Preview, draw
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.views.markup import escape, escape_short

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dissmodel_lab.maps.grid import Layer
    from dissmodel_lab.maps.legend import Legend
    from dissmodel_lab.maps.place import Bounds

#: Width of a static picture on the page [CSS pixels].
WIDTH = 440
#: Tallest static picture [CSS pixels]; a narrow one is shown narrower than WIDTH.
MAX_HEIGHT = 620
#: What a static picture may weigh as PNG: base64 adds a third, legend and notes a little [bytes].
PNG_BUDGET = 40_000
#: How often a picture is made smaller to meet the budget; each time by what it weighs too much.
MAX_TRIES = 8
#: Legends with more classes than this are cut, and say so [entries].
MAX_ENTRIES = 24
#: Longest label and longest note, as HTML [bytes].
MAX_LABEL, MAX_NOTE = 240, 1_000
#: Size of the interactive map [CSS pixels].
MAP_WIDTH, MAP_HEIGHT = 600, 420
#: Size of the world at zoom 0 of a web map [pixels].
TILE = 256
PANES = {"dlbelow": {"zIndex": 401}, "dlabove": {"zIndex": 402}}
TILES = "https://tile.openstreetmap.org/{z}/{x}/{y}.png"
ATTRIBUTION = '&copy; <a href="https://www.openstreetmap.org/copyright">OpenStreetMap</a> contributors'
SMALL = "font-size:12px;margin:2px 0"
INLINE = "border:1px solid #888888;display:inline-block;vertical-align:middle;margin:0"


def png_of(preview: Preview, *, max_width: int = 2 * WIDTH, budget: int = PNG_BUDGET) -> bytes:
    """
    Return a picture small enough for a notebook, at its right shape.

    A tiny picture is enlarged by a whole number, so that viewers that smooth show crisp cells; a large one is
    reduced by nearest pixel, so that no colour appears that isn't in the legend.

    Parameters
    ----------
    preview : Preview
        What to show.
    max_width : int, optional
        Widest result [pixels].
    budget : int, optional
        Heaviest result [bytes]; the smallest picture is returned when none is light enough.

    Examples
    --------
    >>> from dissmodel_lab.maps import preview
    >>> len(png_of(preview(np.eye(3)))) < 4000
    True
    """
    return _sized_png(preview, max_width, budget)[0]


def _sized_png(preview: Preview, max_width: int, budget: int) -> tuple[bytes, tuple[int, int]]:
    width, height = preview.size
    wide = max(1, min(max_width, round(max_width * width / height)))
    for _ in range(MAX_TRIES):
        wide = wide // width * width or wide  # enlarged by a whole number, or reduced
        size = wide, max(1, round(wide * height / width))
        encoded = preview.png_at(*size)
        if len(encoded) <= budget:
            break
        wide = max(1, int(wide * min(0.9, math.sqrt(budget / len(encoded)))))
    return encoded, size


def map_figure(preview: Preview, title: str, *, budget: int = PNG_BUDGET) -> str:
    """
    Draw a map as static HTML: picture, legend, place, scale and notes.

    Parameters
    ----------
    preview : Preview
        What to show.
    title : str
        Heading; escaped.
    budget : int, optional
        Heaviest picture [bytes].

    Returns
    -------
    str
        HTML that reads without scripts and in an untrusted notebook.

    Examples
    --------
    >>> from dissmodel_lab.maps import preview
    >>> "plane, no georeference" in map_figure(preview(np.eye(3)), "a map")
    True
    """
    encoded, (made, _) = _sized_png(preview, 2 * WIDTH, budget)
    width, height = _shown_size(preview)
    return (
        f'<div style="max-width:{WIDTH + 2}px;margin:0 0 12px 0">'
        f'<div style="font-weight:bold;margin:2px 0">{escape(title)}</div>'
        f"{_picture(encoded, preview, width, height)}"
        f"{legend_html(preview.legend)}{_place_html(preview)}{notes_html((*preview.notes, *_reduced(preview, made)))}"
        "</div>"
    )


def swipe(
    before: Preview, after: Preview, titles: tuple[str, str], *, budget: int = PNG_BUDGET, with_legends: bool = True
) -> str:
    """
    Draw two maps of the same place, one over the other, the upper one in a box that can be made narrower.

    It needs no script: browsers let a box with ``resize`` be dragged.

    Parameters
    ----------
    before, after : Preview
        The lower and the upper picture; they must have the same bounds.
    titles : tuple of str
        What they are called, in the same order; escaped.
    budget : int, optional
        Heaviest picture [bytes], for each of the two.
    with_legends : bool, optional
        False where both maps stand beside the swipe, with their legends, places and notes.

    Returns
    -------
    str
        HTML. When the two don't lie in the same place: both maps side by side, and a sentence that says so.

    Examples
    --------
    >>> from dissmodel_lab.maps import preview
    >>> html = swipe(preview(np.eye(3)), preview(np.eye(3) * 2), ("input", "output"))
    >>> "Drag the lower right corner of the upper picture" in html
    True
    """
    if not share_bounds(before, after):
        return notes_html((_no_swipe(*titles),)) + "".join(
            map_figure(preview, title, budget=budget) for preview, title in zip((before, after), titles, strict=True)
        )
    below, above = (escape(title) for title in titles)
    width, height = _shown_size(before)
    lower, upper = (_sized_png(preview, 2 * WIDTH, budget) for preview in (before, after))
    box = "position:absolute;top:0;left:0;overflow:hidden;background-color:#ffffff"
    reduced = (*_reduced(before, lower[1][0]), *_reduced(after, upper[1][0]))
    notes = dict.fromkeys((*before.notes, *after.notes, *reduced, *_different_scales(before, after)))
    captions = ""
    if with_legends:
        captions = _swipe_legends(before.legend, after.legend, (below, above)) + _place_html(before)
        captions += notes_html(tuple(notes))
    return (
        f'<div style="max-width:{WIDTH + 2}px;margin:0 0 12px 0">'
        '<div style="font-weight:bold;margin:2px 0">'
        f"Swipe: {above} (left of the line) over {below} (right of it)</div>"
        f'<div style="{SMALL}">Drag the lower right corner of the upper picture ({above}) to the side.</div>'
        f'<div style="position:relative;width:{width}px;height:{height}px;border:1px solid #888888">'
        f'<div style="{box};width:{width}px;height:{height}px">{_img(lower[0], before, width, height)}</div>'
        f'<div style="{box};width:50%;min-width:20px;max-width:100%;height:{height}px;resize:horizontal;'
        'border-right:3px solid #d55e00;box-sizing:border-box">'
        # as wide as the picture, so that no style sheet can squeeze the picture into the box
        f'<div style="width:{width}px;height:{height}px">{_img(upper[0], after, width, height)}</div>'
        f"</div></div>{captions}</div>"
    )


def share_bounds(one: Preview, other: Preview) -> bool:
    """
    Return whether two pictures lie in the same place, to half a pixel of the coarser one.

    Examples
    --------
    >>> from dissmodel_lab.maps import preview
    >>> share_bounds(preview(np.eye(3)), preview(np.eye(4)))
    False
    """
    if one.is_georeferenced != other.is_georeferenced:
        return False
    (south, west), (north, east) = one.bounds
    columns, rows = (min(a, b) for a, b in zip(one.size, other.size, strict=True))
    allowed = [0.5 * (north - south) / rows, 0.5 * (east - west) / columns] * 2
    apart = np.abs(np.subtract(one.bounds, other.bounds)).ravel()
    return bool((apart <= allowed).all())


def legend_html(legend: Legend) -> str:
    """
    Draw a legend: a box of colour and a label for each class, or a bar with its ends.

    Examples
    --------
    >>> from dissmodel_lab.maps import preview
    >>> "No data" in legend_html(preview(np.array([[np.nan]])).legend)
    True
    """
    unit = f" [{escape_short(legend.unit, MAX_LABEL)}]" if legend.unit else ""
    title = f'<div style="{SMALL};font-weight:bold">{escape_short(legend.title, MAX_LABEL)}{unit}</div>'
    if legend.kind == "empty":
        return f'{title}<div style="{SMALL}">No data</div>'
    if legend.kind == "continuous":
        return title + _scale_html(legend)
    items = "".join(
        f'<span style="display:inline-block;margin:0 12px 2px 0">{_swatch(entry.colour)} '
        f"{escape_short(entry.text, MAX_LABEL)}</span> "
        for entry in legend.entries[:MAX_ENTRIES]
    )
    more = len(legend.entries) - MAX_ENTRIES
    rest = f"<span>and {more:,} more classes</span>" if more > 0 else ""
    return f'{title}<div style="font-size:12px;line-height:18px">{items}{rest}</div>'


def notes_html(notes: tuple[str, ...]) -> str:
    """
    Write notes as a list; nothing when there are none.

    Examples
    --------
    >>> notes_html(("1 < 2",))
    '<ul style="font-size:12px;margin:2px 0;padding-left:18px"><li>1 &lt; 2</li></ul>'
    """
    items = "".join(f"<li>{escape_short(note, MAX_NOTE)}</li>" for note in notes)
    return f'<ul style="{SMALL};padding-left:18px">{items}</ul>' if notes else ""


def data_url(encoded: bytes) -> str:
    """
    Return a PNG as a data: URL.

    Examples
    --------
    >>> data_url(b"x")
    'data:image/png;base64,eA=='
    """
    return "data:image/png;base64," + b64encode(encoded).decode()


def _shown_size(preview: Preview) -> tuple[int, int]:
    """Width and height on the page [CSS pixels]."""
    width, height = preview.size
    scale = min(WIDTH / width, MAX_HEIGHT / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _img(encoded: bytes, preview: Preview, width: int, height: int) -> str:
    return (
        f'<img alt="{escape(preview.alt_text)}" width="{width}" height="{height}" src="{data_url(encoded)}" '
        f'style="width:{width}px;height:{height}px;max-width:{width}px;margin:0;display:block">'
    )


def _picture(encoded: bytes, preview: Preview, width: int, height: int) -> str:
    frame = f"width:{width}px;height:{height}px;border:1px solid #888888;background-color:#ffffff"
    return f'<div style="{frame}">{_img(encoded, preview, width, height)}</div>'


def _reduced(preview: Preview, width: int) -> tuple[str, ...]:
    if width >= min(preview.size[0], preview.grid.values.shape[1]):
        return ()  # no cell is lost
    return (f"Picture reduced from {preview.size[0]:,} to {width:,} pixels across, nearest pixel.",)


def _swatch(colour: str) -> str:
    dot = png.encode(np.ones((1, 1), np.uint8), [colour])
    return f'<img alt="" width="14" height="14" src="{data_url(dot)}" style="width:14px;height:14px;{INLINE}">'


def _scale_html(legend: Legend) -> str:
    if legend.low is None or legend.high is None:
        return ""
    bar = png.encode(np.arange(1, len(legend.scale) + 1, dtype=np.uint8)[np.newaxis], legend.scale, level=9)
    ends = [escape(legend.text_of(value)) for value in (legend.low, legend.high)]
    image = (
        f'<img alt="colour scale from {ends[0]} to {ends[1]}" width="200" height="12" src="{data_url(bar)}" '
        f'style="width:200px;height:12px;{INLINE}">'
    )
    said = f'<div style="{SMALL}">{escape(legend.range_text)}</div>'
    return f'<div style="{SMALL}">{ends[0]} {image} {ends[1]}</div>{said}'


def _place_html(preview: Preview) -> str:
    kilometres = preview.width_km
    scale = f"; {_length(kilometres)} across at the centre" if kilometres is not None else ""
    width, height = preview.source_size
    return f'<div style="{SMALL}">{escape(preview.bounds_text)}{scale}; {width:,} x {height:,} cells</div>'


def _length(kilometres: float) -> str:
    if kilometres < 1:
        return f"{kilometres * 1000:.3g} m"
    return f"{kilometres:,.0f} km" if kilometres >= 100 else f"{kilometres:.3g} km"  # noqa: PLR2004 -- 3 digits


def _no_swipe(below: str, above: str) -> str:
    return f"{above} doesn't cover the same ground as {below}: no swipe, it would compare different places."


def _different_scales(before: Preview, after: Preview) -> tuple[str, ...]:
    one, other = before.legend, after.legend
    if one.kind == other.kind == "continuous" and (one.low, one.high) != (other.low, other.high):
        return ("The two pictures have different colour scales: compare shapes, not colours.",)
    return ()


def _swipe_legends(below: Legend, above: Legend, titles: tuple[str, str]) -> str:
    if below == above:
        return legend_html(below)
    return "".join(
        f'<div style="{SMALL}">{title}:</div>{legend_html(legend)}'
        for title, legend in zip(titles, (below, above), strict=True)
    )


class MapView:
    """
    An interactive map of one or several layers, such as a run's input and output.

    Pictures are drawn when they are first looked at, and kept. Layers of one name share colours and scale.
    The static twin of the whole view is in :meth:`_repr_mimebundle_`.

    Parameters
    ----------
    sources : mapping of str to source
        Layer name -> anything that :func:`~dissmodel_lab.maps.preview` takes.
    basemap : bool, optional
        Show OpenStreetMap below the layers; needs the network, and nothing breaks without.
    max_pixels : int, optional
        The longest side of the pictures [pixels].
    classes : type or mapping, optional
        Where legends come from when the data carry none, as :func:`~dissmodel_lab.maps.preview` takes it.
    georeferences : mapping of str to (crs, transform), optional
        Where layers lie that don't say it themselves, by layer name.

    Raises
    ------
    SourceError
        When there is no layer at all. A layer that can't be drawn is said in the view instead.

    Examples
    --------
    >>> view = MapView({"input": np.eye(3, dtype="uint8"), "output": np.ones((3, 3), "uint8")})
    >>> view.layer.value, view.band.value
    ('input', 'band_1')
    >>> view.errors
    []
    """

    def __init__(
        self,
        sources: Mapping[str, Any],
        *,
        basemap: bool = False,
        max_pixels: int = 1024,
        classes: type[Any] | Mapping[Any, Any] | None = None,
        georeferences: Mapping[str, tuple[Any, Any]] | None = None,
    ) -> None:
        if not sources:
            raise SourceError("There is no layer to show. Give at least one, such as {'input': path}.")
        self.errors: list[str] = []
        self._sources = dict(sources)
        self._layers: dict[str, Layer] = {}
        self._previews: dict[tuple[str, str], Preview] = {}
        self._basemap = basemap
        self._max_pixels = max_pixels
        self._legends = classes
        self._georeferences = dict(georeferences or {})
        self._is_georeferenced: bool | None = None
        self._is_switching = False
        self._swipe_partner: str | None = None
        self._scope = f"dl-map-{uuid4().hex[:8]}"
        self._build_controls()
        self._guarded(self._show_layer)()
        self._connect()

    def _build_controls(self) -> None:
        import ipywidgets as w  # noqa: PLC0415 -- 0.2 s, not needed for static maps

        names = list(self._sources)
        wide = w.Layout(width="300px")
        self.layer = w.Dropdown(options=names, value=names[0], description="Layer", layout=wide)
        self.band = w.Dropdown(options=[], description="Band", layout=wide)
        self.opacity = w.FloatSlider(
            value=1.0, min=0, max=1, step=0.05, description="Opacity", layout=wide, readout_format=".0%"
        )
        self.swipe = w.IntSlider(
            value=0,
            min=0,
            max=100,
            description="Swipe [%]",
            layout=wide,
            disabled=len(names) < 2,  # noqa: PLR2004
        )
        self.value = w.HTML()
        self.legend = w.HTML()
        self.notes = w.HTML()
        self._style = w.HTML()
        self._frame = w.VBox()
        self.map: Any = None
        self._classes = {
            "dl-layer": self.layer, "dl-band": self.band, "dl-opacity": self.opacity, "dl-swipe": self.swipe,
            "dl-value": self.value, "dl-legend": self.legend, "dl-notes": self.notes,
        }  # fmt: skip
        for name, widget in self._classes.items():
            widget.add_class(name)
        controls = w.VBox([w.HBox([self.layer, self.band]), w.HBox([self.opacity, self.swipe])])
        self.widget = w.VBox([self._style, controls, self._frame, self.value, self.legend, self.notes])
        self.widget.add_class("dl-map")
        self.widget.add_class(self._scope)
        self._paint_style(0)

    def _connect(self) -> None:
        self.layer.observe(self._guarded(self._show_layer), "value")
        self.band.observe(self._guarded(self._choose_band), "value")
        self.opacity.observe(self._guarded(self._show_opacity), "value")
        self.swipe.observe(self._guarded(self._show_swipe), "value")

    def _guarded(self, callback: Callable[..., None]) -> Callable[..., None]:
        """Show exceptions of a callback in the view: a front end would drop them silently."""

        def call(*arguments: Any, **keywords: Any) -> None:
            try:
                callback(*arguments, **keywords)
            except Exception as error:  # noqa: BLE001 -- whatever it is, the person must see it
                kind = "" if isinstance(error, LabError) else f"{type(error).__name__}: "
                self.errors.append(redact_text(f"{kind}{error}"))
                self.value.value = f'<div role="alert">&#9888; {escape(self.errors[-1])}</div>'

        return call

    def preview(self, layer: str, band: str | None = None) -> Preview:
        """
        Return the picture of one band of one layer, drawn when it is first asked for.

        Examples
        --------
        >>> MapView({"input": np.eye(3)}).preview("input").band
        'band_1'
        """
        opened = self._opened(layer)
        chosen = opened.default_band if band is None else band
        if (layer, chosen) not in self._previews:
            self._previews[layer, chosen] = draw(
                opened.grid(chosen, self._max_pixels),
                self._max_pixels,
                like=self._shared(layer, chosen),
                classes=self._legends,
                georeference=self._georeferences.get(layer),
            )
        return self._previews[layer, chosen]

    def _shared(self, layer: str, band: str) -> Legend | None:
        """Return the first layer's legend of a band: one class, one colour; one value, one colour."""
        first = next(iter(self._sources))
        if layer == first:
            return None
        try:
            return self.preview(first, band).legend if band in self._opened(first).bands else None
        except LabError:  # said when that layer is chosen
            return None

    def _opened(self, layer: str) -> Layer:
        if layer not in self._layers:
            self._layers[layer] = open_layer(self._sources[layer])
        return self._layers[layer]

    def _show_layer(self, _change: Any = None) -> None:
        opened = self._opened(self.layer.value)
        band = self.band.value if self.band.value in opened.bands else opened.default_band
        self._is_switching = True  # new options move the value: that is nobody's choice of a band
        try:
            self.band.options, self.band.value = opened.bands, band
        finally:
            self._is_switching = False
        self._show_band()

    def _choose_band(self, _change: Any = None) -> None:
        if not self._is_switching:
            self._show_band()

    def _show_band(self) -> None:
        shown = self.preview(self.layer.value, self.band.value)
        self._ensure_map(shown)
        self._lay(self._above, shown)
        self.legend.value = legend_html(shown.legend) + _place_html(shown)
        self.value.value = _status("Click the map to read a value.")
        self._show_swipe()

    def _show_opacity(self, _change: Any = None) -> None:
        if self.map is not None:
            self._above.opacity = self._below.opacity = self.opacity.value

    def _show_swipe(self, _change: Any = None) -> None:
        """Show the partner left of the edge, the chosen layer right of it."""
        if self.map is None:
            return
        notes: tuple[str, ...] = ()
        partner = self._partner() if self.swipe.value else None
        shown = self.preview(self.layer.value, self.band.value)
        if partner is not None:
            other = self.preview(partner, self._partner_band(partner))
            if share_bounds(shown, other):
                self._lay(self._below, other)
                notes = (f"Left of the edge: {partner}. Right of it: {self.layer.value}.",)
                notes += _different_scales(other, shown)
            else:
                notes, partner = (_no_swipe(partner, self.layer.value),), None
        self._swipe_partner = partner
        if partner is None:
            self._below.visible = False
        self._paint_style(self.swipe.value if partner is not None else 0)
        self.notes.value = notes_html((*notes, *shown.notes))

    def _partner(self) -> str | None:
        """Return the other layer of a swipe: the first one that isn't chosen."""
        return next((name for name in self._sources if name != self.layer.value), None)

    def _partner_band(self, partner: str) -> str | None:
        return self.band.value if self.band.value in self._opened(partner).bands else None

    def _paint_style(self, percent: int) -> None:
        """Crisp cells, and the two halves of the swipe; scoped, because a notebook may show several maps."""
        pane = f".{self._scope} .leaflet-dl{{0}}-pane img"
        above, below = pane.format("above"), pane.format("below")
        self._style.value = (
            f"<style>.{self._scope} .leaflet-image-layer{{image-rendering:pixelated}}"
            f"{above}{{clip-path:inset(0 0 0 {percent}%)}}"
            f"{below}{{clip-path:inset(0 {100 - percent}% 0 0)}}</style>"
        )

    def _lay(self, overlay: Any, shown: Preview) -> None:
        overlay.url = data_url(shown.png)
        overlay.bounds = [list(corner) for corner in shown.bounds]
        overlay.opacity = self.opacity.value
        overlay.visible = True

    def _ensure_map(self, shown: Preview) -> None:
        """Make a new map when the kind of place changes: a map's CRS is fixed."""
        if self._is_georeferenced == shown.is_georeferenced:
            self._fit(shown.bounds)
            return
        import ipyleaflet as leaflet  # noqa: PLC0415 -- 0.2 s, not needed for static maps

        self._is_georeferenced = shown.is_georeferenced
        bounds = [list(corner) for corner in shown.bounds]
        self._below = leaflet.ImageOverlay(url="", bounds=bounds, pane="dlbelow", visible=False)
        self._above = leaflet.ImageOverlay(url="", bounds=bounds, pane="dlabove")
        centre, zoom = view_of(shown.bounds, is_georeferenced=shown.is_georeferenced)
        tiles = [leaflet.TileLayer(url=TILES, attribution=ATTRIBUTION, max_zoom=19, name="OpenStreetMap")]
        self.map = leaflet.Map(
            layers=[*(tiles if self._basemap and shown.is_georeferenced else []), self._below, self._above],
            crs=leaflet.projections.EPSG3857 if shown.is_georeferenced else leaflet.projections.Simple,
            center=centre, zoom=zoom, zoom_snap=0.25, min_zoom=-16, max_zoom=24, panes=PANES,
            scroll_wheel_zoom=True, attribution_control=self._basemap,
            layout={"width": "100%", "max_width": f"{MAP_WIDTH * 1.5:.0f}px", "height": f"{MAP_HEIGHT}px"},
        )  # fmt: skip
        if shown.is_georeferenced:
            self.map.add(leaflet.ScaleControl(position="bottomleft"))
        self.map.on_interaction(self._guarded(self._answer))
        self._fitted = shown.bounds
        self._frame.children = [self.map]

    def _fit(self, bounds: Bounds) -> None:
        if self._fitted != bounds:
            centre, self.map.zoom = view_of(bounds, is_georeferenced=bool(self._is_georeferenced))
            self.map.center, self._fitted = list(centre), bounds

    def _answer(self, **event: Any) -> None:
        """Say the value under a click."""
        if event.get("type") != "click":
            return
        latitude, longitude = event["coordinates"]
        place = f"{latitude:.5g}, {longitude:.5g}"
        names = [self.layer.value, *([self._swipe_partner] if self._swipe_partner else [])]
        bands = [self.band.value, *(self._partner_band(name) for name in names[1:])]
        values = [self.preview(n, b).value_at(latitude, longitude) for n, b in zip(names, bands, strict=True)]
        if len(names) > 1:
            values = [f"{name}: {value}" for name, value in zip(names, values, strict=True)]
        self.value.value = _status(f"{place}: {'; '.join(values)}")

    def _static_html(self) -> str:
        previews: dict[str, Preview] = {}
        problems: list[str] = []
        for name in self._sources:
            try:
                previews[name] = self.preview(name)
            except LabError as error:
                problems.append(redact_text(f"{name}: {error}"))
        said, names = notes_html(tuple(problems)), list(previews)
        if len(names) == 2:  # noqa: PLR2004 -- a swipe has two sides
            before, after = previews.values()
            if share_bounds(before, after):
                return said + swipe(before, after, (names[0], names[1]))
        return said + "".join(map_figure(previews[name], name) for name in names)

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, Any]:
        """Give the widget, and its static twin for those who can't run it."""
        bundle = dict(self.widget._repr_mimebundle_() or {})
        bundle["text/plain"] = f"Map of {', '.join(self._sources)}"
        bundle["text/html"] = self._static_html()
        return bundle


def view_of(bounds: Bounds, *, is_georeferenced: bool) -> tuple[tuple[float, float], float]:
    """
    Return centre and zoom of a map that shows bounds whole.

    Worked out here, because ipyleaflet's ``fit_bounds`` needs answers from a front end.

    Parameters
    ----------
    bounds : tuple
        ((south, west), (north, east)).
    is_georeferenced : bool
        Degrees on a web map; else units of a plane.

    Examples
    --------
    >>> view_of(((0, 0), (100, 200)), is_georeferenced=False)
    ((50.0, 100.0), 1.5)
    """
    (south, west), (north, east) = bounds
    if is_georeferenced:
        low, high = (math.asinh(math.tan(math.radians(v))) for v in (south, north))
        middle = math.degrees(math.atan(math.sinh((low + high) / 2)))
        high_pixels, wide_pixels = TILE * (high - low) / math.tau, TILE * (east - west) / 360
    else:
        middle, high_pixels, wide_pixels = (south + north) / 2, north - south, east - west
    fits = min(MAP_WIDTH / wide_pixels, MAP_HEIGHT / high_pixels)
    return (middle, (west + east) / 2), math.floor(4 * math.log2(fits)) / 4


def _status(text: str) -> str:
    return f'<div role="status" aria-live="polite">{escape(text)}</div>'
