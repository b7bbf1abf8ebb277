"""The pictures of a map view: of whole layers, and of the parts in view; drawn when needed, the last ones kept.

Knows no widget, so that pictures can be drawn on any thread.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from dissmodel_lab.errors import LabError
from dissmodel_lab.maps import open_layer
from dissmodel_lab.maps.picture import area_under, draw
from dissmodel_lab.maps.styles import Style, style_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dissmodel_lab.maps.area import Area
    from dissmodel_lab.maps.grid import Axis, Grid, Layer
    from dissmodel_lab.maps.legend import Legend
    from dissmodel_lab.maps.picture import Preview
    from dissmodel_lab.maps.place import Bounds

#: A picture of 1024 pixels a side takes about 8 MB with the cells it shows: so many are kept [pictures].
KEPT = 24
#: A part that is not this much smaller than the layer is no sharper.
WORTH = 0.8
#: What is drawn around the view, so that a short drag needs no new picture, as a part of the view's size.
MARGIN = 0.1


class Choice(NamedTuple):
    """All that decides what one picture of a whole layer shows."""

    name: str
    part: str
    band: str
    positions: tuple[tuple[str, int], ...]
    """Axis -> position, for the axes of the layer."""
    style: Style


class Stock:
    """
    Opens layers and draws them.

    Parameters
    ----------
    sources : mapping of str to source
        Layer name -> anything that :func:`~dissmodel_lab.maps.preview` takes.
    max_pixels : int
        The longest side of the pictures [pixels].
    classes : type or mapping, optional
        Where legends come from when the data carry none.
    georeferences : mapping of str to (crs, transform), optional
        Where layers lie that don't say it themselves.
    part : str, optional
        The part of each layer that is shown at first.

    Examples
    --------
    >>> import numpy as np
    >>> stock = Stock({"input": np.eye(3, dtype="uint8")}, 64)
    >>> stock.picture(stock.choice("input")).size
    (3, 3)
    """

    def __init__(
        self,
        sources: Mapping[str, Any],
        max_pixels: int,
        classes: type[Any] | Mapping[Any, Any] | None = None,
        georeferences: Mapping[str, tuple[Any, Any]] | None = None,
        part: str | None = None,
    ) -> None:
        self.sources = dict(sources)
        self.max_pixels = max_pixels
        self._classes = classes
        self._georeferences = dict(georeferences or {})
        self._layers: dict[tuple[str, str], Layer] = {}
        self._parts: dict[str, str] = {} if part is None else dict.fromkeys(sources, part)
        self._positions: dict[str, int] = {}
        self._pictures: OrderedDict[Choice, Preview] = OrderedDict()
        self._legends: dict[Choice, Legend] = {}
        self._drawing = threading.RLock()

    def layer(self, name: str) -> Layer:
        """
        Return a layer, opened when it is first asked for: the part that is chosen, at no position of its axes.

        Raises
        ------
        SourceError
            When it can't be opened.
        """
        part = self._parts.get(name, "")
        if (name, part) not in self._layers:
            with self._drawing:
                source = self.sources[name]
                self._layers[name, part] = open_layer(source, part) if part else open_layer(source)
        return self._layers[name, part]

    def choose_part(self, name: str, part: str) -> None:
        """Show another part of a source from now on: a layer of a GeoPackage, a variable."""
        if part != self.layer(name).part:
            self._parts[name] = part

    def move(self, axis: str, position: int) -> None:
        """Show all layers that have an axis at another position of it from now on."""
        self._positions[axis] = position

    def axes(self, name: str) -> tuple[Axis, ...]:
        """Return the axes of a layer along which there is something to choose."""
        return tuple(axis for axis in self.layer(name).axes if len(axis.labels) > 1)

    def choice(self, name: str, band: str | None = None, style: Style | None = None) -> Choice:
        """
        Return what a picture of a layer shows, with what is chosen now.

        Raises
        ------
        SourceError
            When the layer can't be opened.
        """
        layer = self.layer(name)
        positions = tuple(
            (axis.name, min(self._positions.get(axis.name, 0), len(axis.labels) - 1)) for axis in layer.axes
        )
        chosen = band if band is not None and band in layer.bands else layer.default_band
        return Choice(name, self._parts.get(name, ""), chosen, positions, style or Style())

    def at(self, choice: Choice) -> Layer:
        """Return the layer of a choice at its positions."""
        layer = self._layers[choice.name, choice.part]
        return layer.at(**dict(choice.positions)) if choice.positions else layer

    def is_drawn(self, choice: Choice) -> bool:
        """Whether a picture is there already."""
        return choice in self._pictures

    def picture(self, choice: Choice) -> Preview:
        """
        Return the picture of a whole layer, drawn when it is first asked for.

        Raises
        ------
        SourceError
            When it can't be drawn.
        """
        with self._drawing:
            if choice not in self._pictures:
                grid = self.at(choice).grid(choice.band, self.max_pixels)
                self._keep(choice, self._drawn(grid, choice, self._shared(choice)))
            self._pictures.move_to_end(choice)
            return self._pictures[choice]

    def refined(self, choice: Choice) -> Preview | None:
        """Return the picture of averages where that is cheap and tells more, and keep it instead; else None."""
        with self._drawing:
            grid = self.at(choice).refined(choice.band, self.max_pixels)
            if grid is None:
                return None
            self._keep(choice, self._drawn(grid, choice, self.legend(choice)))
            return self._pictures[choice]

    def legend(self, choice: Choice) -> Legend:
        """Return what the colours of a choice mean: the classes of all its pictures so far; else its own values."""
        known, own = self._legends.get(_anywhere(choice)), self.picture(choice).legend
        return known if known is not None and known.kind == own.kind == "classes" else own

    def sharp(self, choice: Choice, view: Bounds, *, is_refined: bool = False) -> Preview | None:
        """
        Draw the part of a layer that a view of the map shows, with the colours of the whole.

        Parameters
        ----------
        choice : Choice
            Of the whole picture.
        view : tuple
            ((south, west), (north, east)) of the map.
        is_refined : bool, optional
            Averages instead of single cells, where they are cheap.

        Returns
        -------
        Preview or None
            None when the whole picture shows all, or the view misses the layer or shows nearly all of it.
        """
        with self._drawing:
            whole = self.picture(choice)
            layer = self.at(choice)
            area = self._area(whole, layer, view) if whole.shown else None
            if area is None:
                return None
            draws = layer.refined if is_refined else layer.grid
            grid = draws(choice.band, self.max_pixels, area)
            if grid is None:
                return None
            part = self._drawn(grid, choice, self.legend(choice))
            if part.is_georeferenced != whole.is_georeferenced:
                return None  # a georeference that holds for the whole only
            if part.legend.kind == "classes":
                self._legends[_anywhere(choice)] = part.legend
            return _beside(part, whole.bounds)

    @staticmethod
    def _area(whole: Preview, layer: Layer, view: Bounds) -> Area | None:
        """Return the part of the layer under the view, a bit more than it; None when that is not worth it."""
        area = area_under(layer, _widened(view), whole)
        if area is None:
            return None
        width, height = whole.source_size if area.is_cells else (layer.extent.width, layer.extent.height)
        return area if area.width < WORTH * width or area.height < WORTH * height else None

    def _drawn(self, grid: Grid, choice: Choice, like: Legend | None) -> Preview:
        return draw(
            grid,
            self.max_pixels,
            like=like,
            classes=self._classes,
            georeference=self._georeferences.get(choice.name),
            style=style_for(self.sources[choice.name], choice.style),
        )

    def _keep(self, choice: Choice, picture: Preview) -> None:
        self._pictures[choice] = picture
        self._legends.setdefault(_anywhere(choice), picture.legend)
        while len(self._pictures) > KEPT:
            self._pictures.popitem(last=False)

    def _shared(self, choice: Choice) -> Legend | None:
        """Return the legend of the same band before: of another position, else of the first layer."""
        if (known := self._legends.get(_anywhere(choice))) is not None:
            return known
        first = next(iter(self.sources))
        if choice.name == first:
            return None
        try:
            other = self.choice(first, choice.band, choice.style)
            return self.picture(other).legend if other.band == choice.band else None
        except LabError:  # said when that layer is chosen
            return None


def _anywhere(choice: Choice) -> Choice:
    """One legend for all positions: colours must not jump while time goes by."""
    return choice._replace(positions=())


def _widened(view: Bounds) -> Bounds:
    (south, west), (north, east) = view
    high, wide = MARGIN * (north - south), MARGIN * (east - west)
    return (south - high, west - wide), (north + high, east + wide)


def _beside(part: Preview, bounds: Bounds) -> Preview:
    """Lay a part on the turn of the world on which the whole lies."""
    if not part.is_georeferenced:
        return part
    (south, west), (north, east) = part.bounds
    turns = 360.0 * round((bounds[0][1] + bounds[1][1] - west - east) / 720)
    return replace(part, bounds=((south, west + turns), (north, east + turns))) if turns else part
