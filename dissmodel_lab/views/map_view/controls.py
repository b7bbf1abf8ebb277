"""What a person moves: choosers, sliders and players, each shown only where there is something to choose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dissmodel_lab.language import mark, say
from dissmodel_lab.maps.styles import CLASSIFICATIONS, Style
from dissmodel_lab.maps.styles.colours import OFFERED
from dissmodel_lab.views.map_view.basemaps import BASEMAPS
from dissmodel_lab.views.markup import label_traits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dissmodel_lab.maps.grid import Axis

ONE, SWIPE, BESIDE = mark("one map"), mark("swipe"), mark("side by side")
#: How two layers can be looked at.
MODES = (ONE, SWIPE, BESIDE)
#: A player shows so many steps a second at most [ms for each].
STEP_MS = 500
#: The colours that the data and their kind ask for.
OWN = mark("own")
CONTINUOUS = mark("continuous")
_WIDE = "300px"


class Controls:
    """
    The widgets of a view.

    Parameters
    ----------
    names : sequence of str
        The layers.
    basemap : str
        Chosen at first.
    style : Style
        Chosen at first.

    Examples
    --------
    >>> controls = Controls(["input", "output"], "none", Style())
    >>> controls.layer.options, controls.mode.value
    (('input', 'output'), 'one map')
    """

    def __init__(self, names: Sequence[str], basemap: str, style: Style) -> None:
        import ipywidgets as w  # noqa: PLC0415 -- 0.2 s, not needed for static maps

        self._given = style
        self.layer = w.Dropdown(options=names, value=names[0], description=say("Layer"))
        self.part = w.Dropdown(options=[], description=say("Part"))
        self.band = w.Dropdown(options=[], description=say("Band"))
        self.mode = w.Dropdown(options=_named(MODES), value=ONE, description=say("View"))
        self.other = w.Dropdown(options=names, value=names[-1], description=say("Against"))
        self.opacity = w.FloatSlider(
            value=1.0, min=0, max=1, step=0.05, description=say("Opacity"), readout_format=".0%"
        )
        self.swipe = w.IntSlider(value=0, min=0, max=100, description=say("Swipe [%]"))
        self.basemap = w.Dropdown(options=_named(BASEMAPS), value=basemap, description=say("Basemap"))
        offered = dict.fromkeys((OWN, *OFFERED, *([style.colour_map] if style.colour_map else [])))
        self.colour_map = w.Dropdown(
            options=[(say(OWN) if name == OWN else name, name) for name in offered],
            value=style.colour_map or OWN,
            description=say("Colours"),
        )
        self.reverse = w.Checkbox(value=style.reverse, description=say("Reversed"), indent=False)
        methods = [CONTINUOUS, *(name for name in CLASSIFICATIONS if name != "user-defined" or style.breaks)]
        self.classes = w.Dropdown(
            options=_named(methods), value=style.method or CONTINUOUS, description=say("Classes")
        )
        self.n_classes = w.BoundedIntText(value=style.n_classes, min=2, max=24, description=say("How many"))
        self.steps: dict[str, Any] = {}
        self._players: dict[str, Any] = {}
        self.moving = w.VBox()
        styling = (self.colour_map, self.reverse, self.classes, self.n_classes)
        self.colours = w.Accordion(
            children=[w.HBox(styling, layout=_wrapping())],
            titles=[say("Colours and classes")],
            selected_index=None,
        )
        rows = (
            (self.layer, self.part, self.band, self.mode, self.other),
            (self.opacity, self.swipe, self.basemap),
        )
        for row in rows:
            for widget in row:
                widget.layout.width = _WIDE
        for widget, width in (
            (self.colour_map, "220px"),
            (self.reverse, "110px"),
            (self.classes, "260px"),
            (self.n_classes, "160px"),
        ):
            widget.layout.width = width
        self.widget = w.VBox([*(w.HBox(row, layout=_wrapping()) for row in rows), self.moving, self.colours])
        self.by_class = {
            "dl-layer": self.layer, "dl-part": self.part, "dl-band": self.band, "dl-mode": self.mode,
            "dl-other": self.other, "dl-opacity": self.opacity, "dl-swipe": self.swipe, "dl-basemap": self.basemap,
            "dl-colour-map": self.colour_map, "dl-reverse": self.reverse, "dl-classes": self.classes,
            "dl-n-classes": self.n_classes, "dl-colours": self.colours, "dl-axes": self.moving,
        }  # fmt: skip
        for name, widget in self.by_class.items():
            widget.add_class(name)

    @property
    def style(self) -> Style:
        """What is chosen about colours, on top of the style that was given."""
        from dataclasses import replace  # noqa: PLC0415 -- only when a style is chosen

        method = "" if self.classes.value == CONTINUOUS else self.classes.value
        changes: dict[str, Any] = {"reverse": self.reverse.value, "n_classes": self.n_classes.value}
        colour_map = "" if self.colour_map.value == OWN else self.colour_map.value
        if colour_map != self._given.colour_map:
            changes |= {"colour_map": colour_map, "stops": (), "ranges": ()}
        if method != self._given.method:
            changes |= {"classification": method, "breaks": (), "ranges": ()}
        return replace(self._given, **changes)

    @staticmethod
    def show(widget: Any, *, when: bool) -> None:
        """Take a widget out of the page and of the order of the tab key, or put it back."""
        widget.layout.display = None if when else "none"

    def offer_axes(self, axes: Sequence[Axis], moved: Callable[[str, int], None]) -> None:
        """
        Make a slider and a player for each axis; those that are there already stay as they are.

        Parameters
        ----------
        axes : sequence of Axis
            Those of the shown layers.
        moved : callable
            Told the axis and its new position.
        """
        import ipywidgets as w  # noqa: PLC0415 -- see above

        wanted = {axis.name: axis.labels for axis in axes}
        if {name: slider.dl_labels for name, slider in self.steps.items()} == wanted:
            return
        for widget in (*self.steps.values(), *self._players.values()):
            widget.close()
        self.steps, self._players, rows = {}, {}, []
        for axis in axes:
            last = len(axis.labels) - 1
            slider = w.SelectionSlider(
                options=[(label, i) for i, label in enumerate(axis.labels)], value=0, **label_traits(axis.name[:40]),
                layout=w.Layout(width="440px"), continuous_update=True,
            )  # fmt: skip
            slider.dl_labels = axis.labels
            play = w.Play(
                min=0,
                max=last,
                step=1,
                interval=STEP_MS,
                show_repeat=False,
                description=say("Play {axis}", axis=axis.name[:40]),
            )
            w.jslink((play, "value"), (slider, "index"))
            slider.observe(lambda change, name=axis.name: moved(name, change["new"]), "value")
            slider.add_class("dl-step")
            play.add_class("dl-play")
            self.steps[axis.name], self._players[axis.name] = slider, play
            rows.append(w.HBox([play, slider]))
        self.moving.children = rows


def _named(values: Iterable[str]) -> list[tuple[str, str]]:
    """Return what a list shows for each of its values, and the value itself."""
    return [(say(value), value) for value in values]


def _wrapping() -> Any:
    import ipywidgets as w  # noqa: PLC0415 -- see above

    return w.Layout(flex_flow="row wrap")
