"""The widget: layers, their pictures and the controls, kept together.

What is drawn for the whole layer is drawn on the kernel's thread, because somebody waits for it; what follows a
drag, a zoom or a player is drawn beside it by :class:`~.worker.NewestWins`.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from dissmodel_lab.errors import LabError, SourceError
from dissmodel_lab.language import in_language, mark, message, say, say_n
from dissmodel_lab.maps.features import colours_of, feature_at, features_of
from dissmodel_lab.maps.histogram import histogram
from dissmodel_lab.maps.styles import Style
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.views.access import accessible
from dissmodel_lab.views.legends import SMALL, legend_html
from dissmodel_lab.views.map_view.basemaps import basemap_name, tiles_note
from dissmodel_lab.views.map_view.controls import BESIDE, MODES, ONE, SWIPE, Controls
from dissmodel_lab.views.map_view.features import feature_layer
from dissmodel_lab.views.map_view.figures import (
    beside,
    different_scales,
    map_figure,
    no_swipe,
    notes_html,
    place_html,
    share_bounds,
    swipe,
)
from dissmodel_lab.views.map_view.ground import MAP_WIDTH, Ground
from dissmodel_lab.views.map_view.linked import LinkedMaps
from dissmodel_lab.views.map_view.stock import Choice, Stock
from dissmodel_lab.views.map_view.worker import NewestWins
from dissmodel_lab.views.markup import escape
from dissmodel_lab.views.outputs import MAP_NEEDS_KERNEL, CellOutput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dissmodel_lab.maps.picture import Preview
    from dissmodel_lab.maps.place import Bounds
    from dissmodel_lab.views.map_view.sides import Side

#: How long the browser has to draw a sharp part before the one below it goes [s].
DRAWN_WITHIN = 0.12
#: The part before is good enough while the view is at least so large, compared with it.
STILL_SHARP = 0.5
#: What the player will need next is drawn in advance when a picture takes at most so long [s].
CHEAP = 0.5
ALL_SHOWN = mark("every cell of this view shown")


class MapView:
    """
    An interactive map of one or several layers, such as a run's input and output.

    Pictures are drawn when they are first looked at, and kept. As the person zooms and moves, the part in view
    is drawn again, sharper. Layers of one name share colours and scale. The static twin of the whole view is
    in :meth:`twin`.

    Parameters
    ----------
    sources : mapping of str to source
        Layer name -> anything that :func:`~dissmodel_lab.maps.preview` takes.
    basemap : bool or str, optional
        What lies below the layers: ``none``, ``OpenStreetMap`` (or True) or ``Satellite (Esri)``; tiles need
        the network, and nothing breaks without.
    max_pixels : int, optional
        The longest side of the pictures [pixels].
    classes : type or mapping, optional
        Where legends come from when the data carry none, as :func:`~dissmodel_lab.maps.preview` takes it.
    georeferences : mapping of str to (crs, transform), optional
        Where layers lie that don't say it themselves, by layer name.
    style : Style, optional
        Colour map and classification at first.
    mode : str, optional
        ``one map``, ``swipe`` or ``side by side``.
    part : str, optional
        The part of each layer at first: the layer of a GeoPackage, the variable of a netCDF.

    Raises
    ------
    SourceError
        When there is no layer at all. A layer that can't be drawn is said in the view instead.

    Examples
    --------
    >>> import numpy as np
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
        basemap: bool | str = False,
        max_pixels: int = 1024,
        classes: type[Any] | Mapping[Any, Any] | None = None,
        georeferences: Mapping[str, tuple[Any, Any]] | None = None,
        style: Style | None = None,
        mode: str = ONE,
        part: str | None = None,
    ) -> None:
        if not sources:
            raise SourceError(message("There is no layer to show. Give at least one, such as {{'input': path}}."))
        if mode not in MODES:
            raise SourceError(
                message("A map can't be shown as {mode!r}. Known: {modes}.", mode=mode, modes=", ".join(MODES))
            )
        self.errors: list[str] = []
        self.stock = Stock(sources, max_pixels, classes, georeferences, part)
        self._scope = f"dl-map-{uuid4().hex[:8]}"
        self._ground: Ground | None = None
        self._twin: Ground | None = None
        self._links: LinkedMaps | None = None
        self._is_switching = False
        self._shown: dict[str, Choice] = {}
        self._written: tuple[Preview, int] | None = None
        self._comparison: tuple[str, ...] = ()
        self._refined: set[Choice] = set()
        self._touching = threading.RLock()
        self._worker = NewestWins(self._guarded(self._catch_up))
        self._build(Controls(list(sources), basemap_name(basemap), style or Style()), mode)
        self._guarded(self._show_layer)()
        self._connect()

    # --- the page --------------------------------------------------------------------------------------------

    def _build(self, controls: Controls, mode: str) -> None:
        import ipywidgets as w  # noqa: PLC0415 -- 0.2 s, not needed for static maps

        self.controls = controls
        self.layer, self.part, self.band = controls.layer, controls.part, controls.band
        self.mode, self.swipe, self.opacity = controls.mode, controls.swipe, controls.opacity
        self.basemap = controls.basemap
        names = list(self.stock.sources)
        is_several = len(names) > 1
        controls.mode.value = mode if is_several else ONE
        controls.swipe.disabled = not is_several
        self.value, self.legend, self.notes = w.HTML(), w.HTML(), w.HTML()
        self._style = w.HTML()
        self._frame = w.VBox()
        for name, widget in (("dl-value", self.value), ("dl-legend", self.legend), ("dl-notes", self.notes)):
            widget.add_class(name)
        parts = [self._style, controls.widget, self._frame, self.value, self.legend, self.notes]
        self.widget = accessible(w.VBox(parts), map_name=", ".join(names))
        self.widget.add_class("dl-map")
        self.widget.add_class(self._scope)

    def _connect(self) -> None:
        c = self.controls
        for widget, callback in (
            (c.layer, self._show_layer), (c.part, self._choose_part), (c.band, self._choose),
            (c.other, self._choose), (c.mode, self._choose_mode), (c.swipe, self._move_edge),
            (c.opacity, self._fade), (c.basemap, self._choose_basemap), (c.colour_map, self._choose),
            (c.reverse, self._choose), (c.classes, self._choose), (c.n_classes, self._choose),
        ):  # fmt: skip
            widget.observe(self._guarded(callback), "value")

    def _guarded(self, callback: Callable[..., None]) -> Callable[..., None]:
        """Show exceptions of a callback in the view: a front end would drop them silently."""

        def call(*arguments: Any, **keywords: Any) -> None:
            try:
                callback(*arguments, **keywords)
            except Exception as error:  # noqa: BLE001 -- whatever it is, the person must see it
                said = error.said if isinstance(error, LabError) else f"{type(error).__name__}: {error}"
                self.errors.append(redact_text(said))
                self.value.value = f'<div role="alert">&#9888; {escape(self.errors[-1])}</div>'

        return call

    @property
    def map(self) -> Any:
        """The ipyleaflet map; None until a layer could be drawn."""
        return self._ground.map if self._ground is not None else None

    def preview(self, layer: str, band: str | None = None) -> Preview:
        """
        Return the picture of one band of one layer, drawn when it is first asked for.

        Examples
        --------
        >>> import numpy as np
        >>> MapView({"input": np.eye(3)}).preview("input").band
        'band_1'
        """
        return self.stock.picture(self.stock.choice(layer, band, self.controls.style))

    def settled(self, timeout: float = 10.0) -> bool:
        """
        Wait until the pictures have caught up with what the person did.

        Parameters
        ----------
        timeout : float, optional
            At most so long [s].

        Returns
        -------
        bool
            False when they haven't.
        """
        return self._worker.wait(timeout)

    # --- what a person chooses -------------------------------------------------------------------------------

    def _show_layer(self, _change: Any = None) -> None:
        c = self.controls
        opened = self.stock.layer(c.layer.value)
        with self._switching():
            c.part.options = opened.parts or (opened.part,)
            c.part.value = opened.part if opened.part in c.part.options else c.part.options[0]
        self._offer_bands()
        self._show()

    def _choose_part(self, _change: Any = None) -> None:
        if not self._is_switching:
            self.stock.choose_part(self.layer.value, self.part.value)
            self._offer_bands()
            self._show()

    def _offer_bands(self) -> None:
        """Offer the bands and axes of the part; new options move the value: that is nobody's choice of a band."""
        c = self.controls
        opened = self.stock.layer(c.layer.value)
        band = c.band.value if c.band.value in opened.bands else opened.default_band
        with self._switching():
            c.band.options, c.band.value = opened.bands, band
            others = tuple(name for name in self.stock.sources if name != c.layer.value) or (c.layer.value,)
            other = c.other.value if c.other.value in others else others[0]
            c.other.options, c.other.value = others, other
        c.offer_axes(self.stock.axes(c.layer.value), self._guarded(self._step))

    def _switching(self) -> Any:
        from contextlib import contextmanager  # noqa: PLC0415 -- small

        @contextmanager
        def switching() -> Any:
            self._is_switching = True
            try:
                yield
            finally:
                self._is_switching = False

        return switching()

    def _choose(self, _change: Any = None) -> None:
        if not self._is_switching:
            self._show()

    def _choose_mode(self, _change: Any = None) -> None:
        if self._is_switching:
            return
        if self.mode.value == SWIPE and not self.swipe.value:
            with self._switching():
                self.swipe.value = 50
        self._show()

    def _move_edge(self, _change: Any = None) -> None:
        if self._is_switching:
            return
        with self._switching():  # who moves the edge wants to swipe
            self.mode.value = SWIPE if self.swipe.value else self.mode.value
        if "below" in self._shown and self.swipe.value:
            self._paint_style()
        else:
            self._show()

    def _fade(self, _change: Any = None) -> None:
        with self._touching:
            for side in self._sides():
                side.fade(self.opacity.value)
            self._paint_style()

    def _choose_basemap(self, _change: Any = None) -> None:
        with self._touching:
            for ground in self._grounds():
                ground.choose_basemap(self.basemap.value)
            self._write_notes()

    def _step(self, axis: str, position: int) -> None:
        self.stock.move(axis, position)
        self._worker.ask(0.0)

    # --- what is shown ---------------------------------------------------------------------------------------

    def _show(self) -> None:
        """Show what is chosen, whole; what can be sharper follows."""
        choice = self.stock.choice(self.layer.value, self.band.value, self.controls.style)
        picture = self.stock.picture(choice)
        with self._touching:
            ground = self._ensure_ground(picture)
            self._shown = {"above": choice}
            ground.above.show(picture, self.opacity.value)
            self._show_other(choice, picture)
            self._show_features(ground, choice, picture)
            self._say_all()
            self.value.value = _status(say("Click the map to read a value."))
        if self._may_be_sharper():
            self._worker.ask()

    def _ensure_ground(self, shown: Preview) -> Ground:
        """Make a new map when the kind of place changes: a map's CRS is fixed."""
        if self._ground is None or self._ground.is_georeferenced != shown.is_georeferenced:
            old = self._ground
            self._ground = self._new_ground(shown)
            self._fill_frame()
            self._drop_twin()
            if old is not None:
                old.close()
        width = MAP_WIDTH / 2 if self.mode.value == BESIDE else MAP_WIDTH
        self._ground.fit(shown.bounds, width=width)
        return self._ground

    def _new_ground(self, shown: Preview) -> Ground:
        ground = Ground(shown.bounds, is_georeferenced=shown.is_georeferenced, basemap=self.basemap.value)
        ground.map.on_interaction(self._guarded(lambda **event: self._answer(ground, **event)))
        ground.map.observe(lambda _change: self._worker.ask(), "bounds")
        return ground

    def _show_other(self, choice: Choice, picture: Preview) -> None:
        """Show the layer to compare with: left of the edge, or on a map of its own."""
        self._comparison = ()
        ground, mode = self._ground, self.mode.value
        wanted = mode == BESIDE or (mode == SWIPE and self.swipe.value)
        if ground is None:
            return
        if not wanted or len(self.stock.sources) < 2:  # noqa: PLR2004 -- a comparison has two sides
            ground.below.hide()
            self._frame_one()
            return
        name = self.controls.other.value
        other_choice = self.stock.choice(name, choice.band, choice.style)
        other = self.stock.picture(other_choice)
        if mode == BESIDE:
            ground.below.hide()
            self._frame_two(other)
            self._comparison = (
                message("Left: {left}. Right: {right}.", left=choice.name, right=name),
                *different_scales(other, picture),
            )
            if self._links is None:
                self._comparison += (message("The two lie in different places: each map is moved by itself."),)
        elif share_bounds(picture, other):
            self._frame_one()
            ground.below.show(other, self.opacity.value)
            self._comparison = (
                message("Left of the edge: {left}. Right of it: {right}.", left=name, right=choice.name),
                *different_scales(other, picture),
            )
        else:
            self._frame_one()
            ground.below.hide()
            self._comparison = (no_swipe(name, choice.name),)
            return
        self._shown["below"] = other_choice

    def _frame_one(self) -> None:
        if self._ground is not None and self._frame.children != (self._ground.map,):
            self._ground.map.layout.width = "100%"
            self._fill_frame(self._ground.map)
        self._drop_twin()

    def _fill_frame(self, shown: Any = None) -> None:
        """Put a map, or a row of two, onto the page; a row that was there goes, before what it holds is closed."""
        gone = [box for box in self._frame.children if box is not shown and hasattr(box, "children")]
        self._frame.children = [] if shown is None else [shown]
        for row in gone:
            row.close()

    def _frame_two(self, other: Preview) -> None:
        """Put two maps side by side: in a new box, so that the browser measures both anew."""
        import ipywidgets as w  # noqa: PLC0415 -- see above

        ground = self._ground
        if ground is None:
            return
        if self._twin is not None and self._twin.is_georeferenced != other.is_georeferenced:
            self._drop_twin()
        if self._twin is None:
            self._twin = self._new_ground(other)
            for one in (ground, self._twin):
                one.map.layout.width = "50%"
            row = w.HBox([ground.map, self._twin.map])
            row.add_class("dl-side-by-side")
            self._fill_frame(row)
        self._twin.above.show(other, self.opacity.value)
        self._twin.fit(other.bounds, width=MAP_WIDTH / 2)
        picture = ground.above.picture
        is_linked = picture is not None and _lie_together(picture, other)
        if self._links is not None:
            self._links.close()
        self._links = LinkedMaps(ground.map, self._twin.map) if is_linked else None

    def _drop_twin(self) -> None:
        if self._links is not None:
            self._links.close()
            self._links = None
        if self._twin is not None:
            self._twin.close()
            self._twin = None

    def _show_features(self, ground: Ground, choice: Choice, picture: Preview) -> None:
        """Draw few features as such, so that they are named under the pointer; a swipe cuts pictures only."""
        pairs = [(ground, choice, picture)]
        if self._twin is not None and "below" in self._shown:
            other = self._shown["below"]
            pairs.append((self._twin, other, self.stock.picture(other)))
        for one, chosen, shown in pairs:
            layer = self.stock.at(chosen)
            few = None
            if not (self.mode.value == SWIPE and "below" in self._shown):
                few = features_of(layer, band=chosen.band)
            if few is None:
                one.lay_features(None)
                continue
            colours = colours_of(layer, few, chosen.band, shown.legend)
            features = say_n("{n} feature", "{n} features", len(few))
            said = say("{features}, {shown}", features=features, shown=few.shown) if few.shown else features
            one.lay_features(feature_layer(few, colours, one.point_at), said, few.notes)
            one.above.whole.visible = False

    def _say_all(self) -> None:
        """Bring legend, notes, words on the map, and the controls to what is shown."""
        picture, choice = self._seen()
        if picture is None or choice is None:
            return
        self._write_legend(picture, choice)
        self._write_notes()
        self._write_words()
        self._show_controls(picture)
        self._paint_style()

    def _seen(self) -> tuple[Preview | None, Choice | None]:
        return (self._ground.above.picture if self._ground else None), self._shown.get("above")

    def _write_legend(self, picture: Preview, choice: Choice) -> None:
        """Say what the colours mean, those that only sharp parts have shown too, and how often values occur."""
        legend = self.stock.legend(choice)
        if self._ground is not None and self._ground.features is not None:  # pixels say nothing of features
            self.legend.value = (
                legend_html(legend) + f'<div style="{SMALL}">{escape(in_language(picture.bounds_text))}</div>'
            )
            self._written = None
            return
        key = (picture, len(legend.entries))
        if key != self._written:
            self.legend.value = legend_html(legend, histogram(picture.grid, legend)) + place_html(picture)
            self._written = key

    def _write_notes(self) -> None:
        picture, _ = self._seen()
        if picture is not None and self._ground is not None:
            basemap = tiles_note(self.basemap.value) if self._ground.is_georeferenced else ()
            notes = picture.notes if self._ground.features is None else self._ground.feature_notes
            self.notes.value = notes_html((*self._comparison, *notes, *basemap))

    def _write_words(self) -> None:
        """Write into the corner of each map what is shown of the data, and where it lies."""
        for ground in self._grounds():
            sides = [side for side in (ground.above, ground.below) if side.seen is not None and side.whole.visible]
            lines: list[str] = []
            if ground.features is not None:
                lines.append(ground.feature_words)
            for side in sides:
                shown = side.part.shown or say(ALL_SHOWN) if side.part is not None else side.picture.shown  # type: ignore[union-attr]  # `seen` is one of the two
                lines.append(in_language(shown))
            picture = ground.above.picture
            if picture is not None:
                lines.append(picture.crs if picture.is_georeferenced else say("plane, no georeference"))
            ground.say(dict.fromkeys(lines))

    def _show_controls(self, picture: Preview) -> None:
        c, is_several = self.controls, len(self.stock.sources) > 1
        opened = self.stock.layer(c.layer.value)
        c.show(c.layer, when=is_several)
        c.show(c.part, when=len(opened.parts) > 1)
        c.show(c.band, when=len(opened.bands) > 1)
        c.show(c.mode, when=is_several)
        c.show(c.other, when=len(self.stock.sources) > 2 and c.mode.value != ONE)  # noqa: PLR2004 -- else it is plain
        c.show(c.swipe, when=is_several and c.mode.value == SWIPE)
        c.show(c.basemap, when=picture.is_georeferenced)
        c.show(c.moving, when=bool(c.steps))
        is_styled = picture.legend.kind in {"continuous", "ranges"} or bool(c.style.method)
        c.show(c.colours, when=is_styled)
        c.show(c.n_classes, when=bool(c.style.method))

    def _paint_style(self) -> None:
        """Crisp cells, and the two halves of the swipe; scoped, because a notebook may show several maps."""
        edge = self.swipe.value / 100 if self._is_swiped else 0.0
        # While the map is alive its twin above says the same twice.
        rules = [
            f".{self._scope}-twin{{display:none}}",
            f".{self._scope} .leaflet-image-layer{{image-rendering:pixelated}}",
        ]
        rules.append(f".{self._scope} .leaflet-overlay-pane{{opacity:{self.opacity.value:g}}}")
        if self._ground is not None:
            rules += [self._ground.above.css(self._scope, edge, 1.0), self._ground.below.css(self._scope, 0.0, edge)]
        self._style.value = f"<style>{''.join(rules)}</style>"

    @property
    def _is_swiped(self) -> bool:
        return self._twin is None and "below" in self._shown

    def _grounds(self) -> list[Ground]:
        return [ground for ground in (self._ground, self._twin) if ground is not None]

    def _sides(self) -> list[Side]:
        return [side for ground in self._grounds() for side in (ground.below, ground.above)]

    # --- what follows the person -----------------------------------------------------------------------------

    def _active(self) -> list[tuple[Ground, Side, Choice]]:
        """Return the sides that are seen as pictures, and what they show."""
        found = []
        ground, above, below = self._ground, self._shown.get("above"), self._shown.get("below")
        if ground is not None and above is not None and ground.features is None:
            found.append((ground, ground.above, above))
        if below is not None and self._twin is not None:
            if self._twin.features is None:
                found.append((self._twin, self._twin.above, below))
        elif below is not None and ground is not None:
            found.append((ground, ground.below, below))
        return found

    def _may_be_sharper(self) -> bool:
        return any(side.picture is not None and side.picture.shown for _, side, _ in self._active())

    def _catch_up(self) -> None:
        """Draw what the person looks at now; whenever something newer is wished, leave the rest."""
        begun = time.monotonic()
        has_moved = self._follow_steps()
        took = time.monotonic() - begun
        for work in (self._refine, self._sharpen):
            if self._worker.is_asked_again:
                return
            work()
        if has_moved and took < CHEAP and not self._worker.is_asked_again:
            self._draw_next()

    def _follow_steps(self) -> bool:
        """Show the position that the axes stand at."""
        wanted = {place: self.stock.choice(c.name, c.band, c.style) for place, c in dict(self._shown).items()}
        if wanted == self._shown:
            return False
        pictures = {place: self.stock.picture(choice) for place, choice in wanted.items()}
        with self._touching:
            if {(c.name, c.band) for c in wanted.values()} != {(c.name, c.band) for c in self._shown.values()}:
                return False  # something else was chosen meanwhile
            self._shown = wanted
            for _, side, choice in self._active():
                picture = next(pictures[place] for place, c in wanted.items() if c == choice)
                side.show(picture, self.opacity.value)
            self._say_all()
        return True

    def _refine(self) -> None:
        """Show averages instead of single cells, where that is cheap."""
        for _, side, choice in self._active():
            if choice in self._refined or side.picture is None or not side.picture.shown:
                continue
            self._refined.add(choice)
            picture = self.stock.refined(choice)
            if picture is None:
                continue
            with self._touching:
                if choice in self._shown.values():
                    side.show(picture, self.opacity.value)
                    self._say_all()

    def _sharpen(self) -> None:
        """Draw the part in view; what is shown already stays until then."""
        changed = [side for ground, side, choice in self._active() if self._sharpen_side(ground, side, choice)]
        if not changed:
            return
        time.sleep(DRAWN_WITHIN)
        with self._touching:
            for side in changed:
                side.settle()
            self._paint_style()

    def _sharpen_side(self, ground: Ground, side: Side, choice: Choice) -> bool:
        view = ground.view
        if view is None or side.picture is None or _is_sharp_enough(side.part, view):
            return False
        part = self.stock.sharp(choice, view)
        if part is not None and not self._worker.is_asked_again:
            part = self.stock.sharp(choice, view, is_refined=True) or part
        with self._touching:
            if choice not in self._shown.values():
                return False  # something else was chosen meanwhile
            if part is not None:
                side.sharpen(part)
            elif side.is_sharp:
                side.blur()
                self._paint_style()
            if choice == self._shown.get("above"):
                self._write_legend(side.picture, choice)
            self._write_words()
        return part is not None

    def _draw_next(self) -> None:
        """Draw what a player shows next."""
        for slider in self.controls.steps.values():
            after = slider.value + 1
            if after >= len(slider.options):
                continue
            axis = next(name for name, one in self.controls.steps.items() if one is slider)
            for choice in list(self._shown.values()):
                moved = tuple((name, after if name == axis else at) for name, at in choice.positions)
                if moved != choice.positions:
                    self.stock.picture(choice._replace(positions=moved))

    # --- answers ---------------------------------------------------------------------------------------------

    def _answer(self, ground: Ground | None = None, **event: Any) -> None:
        """Say the value under a click, and the attributes of the feature there."""
        ground = ground or self._ground
        if event.get("type") != "click" or ground is None:
            return
        latitude, longitude = (float(number) for number in event["coordinates"])
        place = f"{latitude:.5g}, {longitude:.5g}"
        values: list[str] = []
        attributes: list[tuple[str, str]] = []
        with self._touching:
            active = [("above", self._ground.above if self._ground else None)]
            if "below" in self._shown:
                active.append(("below", self._twin.above if self._twin else self._ground.below))  # type: ignore[union-attr]  # a twin or a swipe has a ground
            for where, side in active:
                choice = self._shown.get(where)
                if side is None or choice is None or side.picture is None:
                    continue
                name = f"{choice.name}: " if len(active) > 1 else ""
                values.append(name + in_language(side.value_at(latitude, longitude)))
                attributes += self._attributes(ground, side, choice, latitude, longitude)
        self.value.value = _status(f"{place}: {'; '.join(values)}")
        ground.point_at(attributes)

    def _attributes(
        self, ground: Ground, side: Side, choice: Choice, latitude: float, longitude: float
    ) -> list[tuple[str, str]]:
        picture = side.picture
        if picture is None:
            return []
        if picture.is_georeferenced:
            west = picture.bounds[0][1]
            longitude = west + (longitude - west) % 360  # the world repeats sideways on a web map
        found = feature_at(
            self.stock.at(choice), longitude, latitude,
            tolerance=ground.reach, is_georeferenced=picture.is_georeferenced,
        )  # fmt: skip
        return [(escape(name), escape(text)) for name, text in (found or {}).items()]

    # --- the static twin -------------------------------------------------------------------------------------

    def _static_html(self) -> str:
        previews: dict[str, Preview] = {}
        problems: list[str] = []
        for name in self.stock.sources:
            try:
                previews[name] = self.preview(name)
            except LabError as error:
                problems.append(redact_text(f"{name}: {error.said}"))
        said, names = notes_html(tuple(problems)), list(previews)
        if len(names) == 2:  # noqa: PLR2004 -- a comparison has two sides
            before, after = previews.values()
            if self.mode.value == BESIDE:
                return said + beside(before, after, (names[0], names[1]))
            if share_bounds(before, after):
                return said + swipe(before, after, (names[0], names[1]))
        return said + "".join(map_figure(previews[name], name) for name in names)

    def twin(self) -> dict[str, str]:
        """Return what stands for the map without a kernel: text, and HTML with pictures, legends and notes."""
        return {
            "text/plain": say("Map of {layers}", layers=", ".join(self.stock.sources)),
            "text/html": f'<div class="{self._scope}-twin">{self._static_html()}</div>',
        }

    def _ipython_display_(self) -> None:
        """Show the twin in an output of its own: where a saved widget cannot be drawn, an error is in its place."""
        CellOutput().show_static(self.twin())
        CellOutput().show_widget(self.widget, say(MAP_NEEDS_KERNEL))


def _lie_together(one: Preview, other: Preview) -> bool:
    """Whether a move of one map says something about the other: both on Earth, or planes of one size."""
    return one.is_georeferenced == other.is_georeferenced and (one.is_georeferenced or share_bounds(one, other))


def _is_sharp_enough(part: Preview | None, view: Bounds) -> bool:
    """Whether a part still holds the view, and a new one would tell hardly more."""
    if part is None:
        return False
    (south, west), (north, east) = part.bounds
    (low, left), (high, right) = view
    if not (south <= low and high <= north and west <= left and right <= east):
        return False
    return not part.shown or (right - left) >= STILL_SHARP * (east - west)


def _status(text: str) -> str:
    return f'<div role="status" aria-live="polite">{escape(text)}</div>'
