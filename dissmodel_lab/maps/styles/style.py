"""What a person chooses about colours: a colour map, limits, ranges or classes.

A style says nothing about one map's values: :func:`dissmodel_lab.maps.legend.paint` makes the legend of a
map from the style and from the values that are shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from dissmodel_lab.errors import SourceError, did_you_mean, shown
from dissmodel_lab.language import mark, message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: How the ranges of a classified map are found; each is one of mapclassify's, see :mod:`.ranges`.
CLASSIFICATIONS = (
    mark("quantiles"),
    mark("equal interval"),
    mark("natural breaks"),
    mark("standard deviation"),
    mark("pretty breaks"),
    mark("head/tail breaks"),
    mark("maximum breaks"),
    mark("user-defined"),
)
#: Fewest and most ranges of a classified map; more can't be told apart.
MIN_RANGES, MAX_RANGES = 2, 24


@dataclass(frozen=True, kw_only=True)
class StyleRange:
    """One range of a style that was read from a file: everything above ``low`` up to ``high``."""

    low: float
    high: float
    label: str
    colour: str
    """``#rrggbb``; empty where the range is not drawn."""


@dataclass(frozen=True, kw_only=True)
class Style:
    """
    How a band is coloured.

    Parameters
    ----------
    colour_map : str, optional
        Any of matplotlib's names; viridis when not given, of classes the colours of Okabe and Ito.
    reverse : bool, optional
        The other way round.
    limits : tuple of float, optional
        The values of the first and the last colour; values beyond have these colours, and that is said.
    classification : str, optional
        Ranges instead of a continuous scale, found by one of :data:`CLASSIFICATIONS`.
    n_classes : int, optional
        How many ranges, 2 to 24.
    breaks : tuple of float, optional
        Upper ends of user-defined ranges, rising; the classification is then "user-defined".
    classes : mapping, optional
        Value -> (label, ``#rrggbb``); either may be an empty text.

    Raises
    ------
    SourceError
        When the classification is unknown, or numbers are not in order.

    Examples
    --------
    >>> Style(classification="quantiles", n_classes=4).n_classes
    4
    >>> Style(classification="quantile")
    Traceback (most recent call last):
        ...
    dissmodel_lab.errors.SourceError: The classification 'quantile' is not known. Did you mean 'quantiles'? ...
    """

    colour_map: str = ""
    reverse: bool = False
    limits: tuple[float, float] | None = None
    classification: str = ""
    n_classes: int = 5
    breaks: tuple[float, ...] = ()
    classes: Mapping[Any, tuple[str, str]] | None = field(default=None, hash=False)
    ranges: tuple[StyleRange, ...] = ()
    """Ranges with labels and colours of their own, as a file says them; rising."""
    stops: tuple[tuple[float, str], ...] = ()
    """(value, ``#rrggbb``), rising: a continuous scale with colours of its own."""
    others: tuple[str, str] | None = None
    """(label, ``#rrggbb``) of all values that ``classes`` does not name."""
    hidden: frozenset[Any] = frozenset()
    """Values of ``classes`` that are not drawn, because their colour is transparent."""
    are_shares: bool = False
    """True when the values of ``stops`` are shares, 0 to 1, of the way from the smallest to the largest value."""
    band: str = ""
    """The band or column that a file says it is for; empty: any."""
    band_number: int = 0
    """The number of that band, from 1; 0: any."""
    origin: str = ""
    """Where it was read: ``land.qml``; empty when somebody wrote it."""
    is_beside: bool = False
    """True when nobody asked for it: it lay beside the data. A legend of the data then comes first."""
    notes: tuple[str, ...] = ()
    """What could not be read, in sentences."""

    def __post_init__(self) -> None:
        if self.classification and self.classification not in CLASSIFICATIONS:
            raise SourceError(
                message(
                    "The classification {classification!r} is not known. {did_you_mean}",
                    classification=shown(self.classification),
                    did_you_mean=did_you_mean(self.classification, CLASSIFICATIONS),
                )
            )
        if not MIN_RANGES <= self.n_classes <= MAX_RANGES:
            raise SourceError(
                message(
                    "n_classes is {n_classes}; {min_ranges} to {max_ranges} ranges can be told apart.",
                    n_classes=self.n_classes,
                    min_ranges=MIN_RANGES,
                    max_ranges=MAX_RANGES,
                )
            )
        if self.limits is not None and (len(self.limits) != 2 or not self._are_rising(self.limits)):  # noqa: PLR2004 -- two ends
            raise SourceError(
                message("limits is {limits}; give two numbers, the lower one first.", limits=self.limits)
            )
        if self.breaks and not self._are_rising(self.breaks):
            raise SourceError(
                message("breaks is {breaks}; give rising numbers: the upper ends of the ranges.", breaks=self.breaks)
            )
        if self.classification == "user-defined" and not self.breaks:
            raise SourceError(
                message("A user-defined classification needs breaks: the upper ends of the ranges, rising.")
            )

    @staticmethod
    def _are_rising(numbers: tuple[float, ...]) -> bool:
        return all(map(math.isfinite, numbers)) and all(low < high for low, high in pairwise(numbers))

    @property
    def method(self) -> str:
        """How ranges are found; empty when the scale is continuous or the ranges are given."""
        return "user-defined" if self.breaks else self.classification

    @property
    def is_numeric(self) -> bool:
        """True when it speaks of quantities, so that whole numbers are not taken for classes."""
        return bool(self.limits or self.method or self.ranges or self.stops)

    @property
    def is_empty(self) -> bool:
        """True when it leaves every choice to the data."""
        has_classes = self.classes is not None or self.others is not None
        return not (self.is_numeric or has_classes or self.hidden or self.colour_map or self.reverse)

    def refusal(self, band: str, bands: Sequence[str]) -> str:
        """
        Say why it is not for a band; empty when it is.

        One that names another band of the same data is not for this one. One that only tells a band's number
        is refused for another number when nobody asked for it.

        Examples
        --------
        >>> Style(band="uso", origin="land.qml").refusal("solo", ["uso", "solo"])
        "The style land.qml is for 'uso', not used for 'solo'."
        """
        if self.band and self.band != band and (self.band in bands or self.is_beside):
            return message(
                "The style {origin} is for {band!r}, not used for {band_2!r}.",
                origin=self.origin,
                band=shown(self.band),
                band_2=shown(band),
            )
        number = list(bands).index(band) + 1 if band in bands else 0
        if self.is_beside and self.band_number and number and self.band_number != number:
            return message(
                "The style {origin} is for band {band_number}, not used for {band!r}.",
                origin=self.origin,
                band_number=self.band_number,
                band=shown(band),
            )
        return ""
