"""Which band of which map is compared with which, and as what the maps show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from dissmodel_lab.changes.classes import MAX_CLASSES
from dissmodel_lab.changes.picture import MAX_SIDE
from dissmodel_lab.errors import ComparisonError, did_you_mean
from dissmodel_lab.language import message
from dissmodel_lab.maps.classes import with_classes
from dissmodel_lab.maps.legend import Legend, paint

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dissmodel_lab.maps.grid import Grid, Layer
    from dissmodel_lab.maps.legend import ClassValue
    from dissmodel_lab.maps.vector import TableLayer

#: Words that tell the end from the beginning in the names of bands.
TWINS = (("after", "before"), ("last", "first"), ("final", "initial"), ("end", "start"))

#: The names of truth values, whose codes are 0 and 1.
TRUTH = ("False", "True")

Classes = type[Any] | dict[Any, Any] | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """One of the two maps, opened."""

    name: str
    """How sentences call it."""
    layer: Layer
    classes: Classes = None
    """Where its legend comes from when the data carry none, as :func:`~dissmodel_lab.maps.preview` takes it."""
    kept: tuple[Any, Any] | None = None
    """(crs, transform), where the data have lost theirs."""
    has_own_name: bool = False
    """Whether ``name`` is a file's, which takes no article."""

    @property
    def the(self) -> str:
        """The name in a sentence."""
        return self.name if self.has_own_name else f"the {self.name}"

    @property
    def The(self) -> str:  # noqa: N802 -- the same at the beginning of a sentence
        """The name at the beginning of a sentence."""
        return self.name if self.has_own_name else f"The {self.name}"

    @property
    def is_table(self) -> bool:
        """Whether it is a table with geometries."""
        return hasattr(self.layer, "table")

    def check_band(self, band: str) -> str:
        """
        Return the band's name when there is one.

        Raises
        ------
        ComparisonError
            When there is none; the message suggests the nearest.
        """
        if band not in self.layer.bands:
            known = did_you_mean(str(band), self.layer.bands)
            raise ComparisonError(
                message(
                    "No band or column of {the} is called {band!r}. {known}", the=self.the, band=band, known=known
                )
            )
        return band

    def _grid(self, band: str) -> Grid:
        if not self.is_table:
            return self.layer.grid(band, MAX_SIDE)
        from dissmodel_lab.changes.tables import column_grid  # noqa: PLC0415 -- brings geopandas, 0.5 s

        return column_grid(cast("TableLayer", self.layer), band)  # all rows, without drawing their shapes

    def drawn(self, band: str, like: Legend | None = None) -> Drawn:
        """Return a band as the map shows it, which decides whether it is one of classes."""
        plain = self._grid(band)
        grid = with_classes(plain, self.classes)
        said = grid.notes[len(plain.notes) :]
        masked = tuple(
            note.replace(message("not shown"), message("not compared"))
            for note in plain.notes
            if note.startswith("Cells outside of")
        )
        notes = (*getattr(self.layer, "notes", ()), *masked, *said)
        return Drawn(grid=grid, legend=paint(grid, like)[0], notes=notes)


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """A band as the map shows it."""

    grid: Grid
    legend: Legend
    notes: tuple[str, ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether it holds texts."""
        return self.grid.names is not None and self.grid.names != TRUTH

    @property
    def has_legend(self) -> bool:
        """Whether somebody has said that these are classes: the data or the model."""
        return bool(self.grid.classes) or self.is_text

    @property
    def summary(self) -> str:
        """What it holds, in words."""
        if self.legend.kind == "continuous":
            return f"numbers ({self.legend.range_text.removeprefix('values ')})"
        return "no value" if self.legend.kind == "empty" else self.legend.summary

    @property
    def named(self) -> dict[ClassValue, tuple[str, str]]:
        """Code -> (label, colour) of its classes; truth values by 0 and 1."""
        codes: dict[ClassValue, ClassValue] = {"False": 0, "True": 1} if self.grid.names == TRUTH else {}
        return {codes.get(entry.value, entry.value): (entry.label, entry.colour) for entry in self.legend.entries}

    def may_be_classes(self, most: int = MAX_CLASSES) -> bool:
        """Whether the values that are shown could be codes: whole numbers, not more than so many."""
        return self.is_whole and len(np.unique(self._shown)) <= most

    @property
    def is_whole(self) -> bool:
        """Whether the values that are shown are whole numbers, of whatever type."""
        return bool((self._shown == np.rint(self._shown)).all())

    @property
    def _shown(self) -> NDArray[Any]:
        return self.grid.values[self.grid.valid]


def twins_of(band: str) -> list[str]:
    """
    Return what the band of the beginning may be called that belongs to one of the end.

    Examples
    --------
    >>> twins_of("cover_after"), twins_of("uso")
    (['cover_before', 'cover'], [])
    """
    words = band.split("_")
    for late, early in TWINS:
        if late in words:
            rest = [word for word in words if word != late]
            return ["_".join(early if word == late else word for word in words), *(["_".join(rest)] if rest else [])]
    return []


def choose_bands(
    before: Side, after: Side, *, band: str | None = None, before_band: str | None = None
) -> tuple[str, str]:
    """
    Choose the band of each map.

    Parameters
    ----------
    before, after : Side
        The two maps.
    band : str, optional
        Of ``after``; when not given, the one that the map shows, or the first that is in both.
    before_band : str, optional
        Of ``before``; when not given, the one of the same name, or its twin (``cover_before`` for ``cover_after``).

    Returns
    -------
    before_band, band : str

    Raises
    ------
    ComparisonError
        When there is no such band, or none that belongs to it.

    Examples
    --------
    >>> from dissmodel_lab.maps import open_layer
    >>> maps = [Side(name="map", layer=open_layer(np.zeros((2, 2, 2)))) for _ in range(2)]
    >>> choose_bands(*maps, band="band_2")
    ('band_2', 'band_2')
    """
    chosen = after.layer.default_band if band is None else after.check_band(band)
    if before_band is not None:
        return before.check_band(before_band), chosen
    known = before.layer.bands
    both = [name for name in after.layer.bands if name in known and not name.startswith("_")]
    for name in (chosen, *twins_of(chosen)):
        if name in known:
            return name, chosen
    if band is None and both:
        return both[0], both[0]
    raise ComparisonError(
        message(
            "{the} has a band {chosen!r} and {before_the} has none to compare it with. Bands of {before_the}: "
            "{known}. In both: {both}. Choose one that is in both, or name the other one too (before_band=...).",
            the=after.The,
            chosen=chosen,
            before_the=before.the,
            known=", ".join(known),
            both=", ".join(both) or message("none"),
        )
    )
