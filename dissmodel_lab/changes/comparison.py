"""Two chosen bands -> are they classes or values, their common legend, and the report once they are counted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dissmodel_lab.changes.report import Change
from dissmodel_lab.errors import ComparisonError
from dissmodel_lab.language import Message, joined, message
from dissmodel_lab.maps.grid import Grid
from dissmodel_lab.maps.legend import MAX_CLASSES, STRANGER, Legend, paint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dissmodel_lab.changes.classes import PairCounts
    from dissmodel_lab.changes.grids import Place
    from dissmodel_lab.changes.report import ChangePicture
    from dissmodel_lab.changes.sides import Side
    from dissmodel_lab.changes.values import ValueSums
    from dissmodel_lab.maps.legend import ClassValue

Kind = Literal["classes", "values"]
Noun = Literal["cell", "feature"]

#: How many classes with two labels are told one by one.
_TOLD = 5


@dataclass(kw_only=True, eq=False)
class Comparison:
    """What is known of the two bands before their cells are counted."""

    before: Side
    after: Side
    before_band: str
    band: str
    notes: list[str] = field(default_factory=list)
    is_stored: bool = False
    """Whether the values are told as the files store them, without the scale and offset that both have."""

    def __post_init__(self) -> None:
        self.first = self.before.drawn(self.before_band)
        self.second = self.after.drawn(self.band, self.first.legend)
        self.kind: Kind = self._kind()
        self.notes += dict.fromkeys((*self.first.notes, *self.second.notes))

    @property
    def sides(self) -> tuple[tuple[Side, str], tuple[Side, str]]:
        """Each map with its band."""
        return (self.before, self.before_band), (self.after, self.band)

    @property
    def both_bands(self) -> tuple[str, ...]:
        """The names that both maps have."""
        known = set(self.before.layer.bands)
        return tuple(name for name in self.after.layer.bands if name in known)

    def _kind(self) -> Kind:
        kinds = {self.first.legend.kind, self.second.legend.kind} - {"empty"}
        is_empty = "empty" in {self.first.legend.kind, self.second.legend.kind}
        if not is_empty and self.first.is_text != self.second.is_text:
            raise self._unlike()
        if self.first.is_text and self.second.is_text:
            return "classes"  # however many: texts have no difference
        if not kinds:
            return "classes" if self.first.has_legend or self.second.has_legend else "values"
        if len(kinds) == 1:
            return "classes" if kinds == {"classes"} else "values"
        if not (self.first.has_legend or self.second.has_legend):
            both = self.first, self.second
            if all(drawn.may_be_classes(MAX_CLASSES) for drawn in both):
                return "classes"  # a model keeps the codes of one of them as floats
            is_whole = all(drawn.is_whole for drawn in both)
            why = message("has more different ones than classes have") if is_whole else message("holds fractions")
            self.notes.append(message("Compared as numbers: one of the maps {why}.", why=why))
            return "values"
        if not (self.first.may_be_classes() and self.second.may_be_classes()):
            raise self._unlike()
        return "classes"

    def _unlike(self) -> ComparisonError:
        alone = self.after.drawn(self.band)
        return ComparisonError(
            message(
                "Classes and values can't be compared: {before_band!r} of {the} holds {summary}; {band!r} of "
                "{the_2} holds {alone_summary}. Choose another band. In both: {both_bands}.",
                before_band=self.before_band,
                the=self.before.the,
                summary=self.first.summary,
                band=self.band,
                the_2=self.after.the,
                alone_summary=alone.summary,
                both_bands=", ".join(self.both_bands) or message("none"),
            )
        )

    @property
    def unit(self) -> str:
        """The unit of both; two different ones are refused."""
        if self.is_stored:
            return ""  # the unit is that of the scaled values
        one, other = self.first.grid.unit, self.second.grid.unit
        if one and other and one != other:
            raise ComparisonError(
                message(
                    "Units differ: {before_band!r} of {the} is in {one!r}, {band!r} of {the_2} in {other!r}. "
                    "Convert one of them first.",
                    before_band=self.before_band,
                    the=self.before.the,
                    one=one,
                    band=self.band,
                    the_2=self.after.the,
                    other=other,
                )
            )
        return other or one

    def legend(self, codes: list[ClassValue]) -> Legend:
        """Return one legend for the classes of both maps, in the colours of the maps."""
        if not codes:
            return Legend(title=self.band, kind="empty")
        named: Mapping[ClassValue, tuple[str, str]] = {**self.second.named, **self.first.named}
        classes: dict[Any, tuple[str, str]] = {code: named.get(code, (str(code), "")) for code in codes}
        is_text = isinstance(codes[-1], str)
        texts = tuple(map(str, codes)) if is_text else None
        values = np.arange(len(codes))[np.newaxis] if is_text else np.array([codes])
        grid = Grid(
            values=values,
            valid=np.ones(values.shape, bool),
            band=self.band,
            bands=(self.band,),
            source_size=(len(codes), 1),
            classes=classes,
            names=texts,
            is_discrete=True,
        )
        legend = paint(grid)[0]
        entries = tuple(
            replace(entry, label=f"{entry.value}, {STRANGER}") if entry.label == STRANGER else entry
            for entry in legend.entries
        )
        return replace(legend, entries=entries)

    def _label_notes(self, codes: list[ClassValue]) -> list[str]:
        """Say where the two maps do not mean the same by a code, or by a label."""
        one, other = ({code: label for code, (label, _) in side.named.items()} for side in (self.first, self.second))
        told = [
            message(
                "{code} is {one!r} in {the} and {other!r} in {the_2}",
                code=code,
                one=one[code],
                the=self.before.the,
                other=other[code],
                the_2=self.after.the,
            )
            for code in codes
            if code in one
            and code in other
            and one[code] != other[code]
            and not {one[code], other[code]} & {str(code), STRANGER}
        ]
        if not told:
            return []
        more = message("; and {n_told:,} more", n_told=len(told) - _TOLD) if len(told) > _TOLD else ""
        return [
            message(
                "The two legends differ, codes are compared, not labels: {told}{more}.",
                told=joined(told[:_TOLD], "; "),
                more=more,
            )
        ]

    def class_change(
        self,
        counts: PairCounts,
        picture: ChangePicture,
        areas: tuple[float | None, str],
        noun: Noun,
    ) -> Change:
        """
        Return the report on classes.

        Parameters
        ----------
        counts : PairCounts
            Of all cells.
        picture : ChangePicture
            What to draw.
        areas : (float or None, str)
            Area of each cell [m2] when all are alike and known; and how areas were worked out.
        noun : {"cell", "feature"}
            What was counted.
        """
        legend = self.legend(counts.codes)
        self.notes += self._label_notes(counts.codes)
        labels = {entry.value: (entry.label, entry.colour) for entry in legend.entries}
        change = counts.change(legend=labels, cell_area=areas[0], area_method=areas[1], unknown_unit=f"{noun}s")
        return self._change(
            picture,
            noun,
            legend=legend,
            compared=counts.compared,
            changed=counts.changed,
            only_before=counts.only_before.total(),
            only_after=counts.only_after.total(),
            neither=counts.neither,
            classes=change,
            values=None,
        )

    def value_change(self, sums: ValueSums, picture: ChangePicture, place: Place | None, noun: Noun) -> Change:
        """
        Return the report on values.

        Parameters
        ----------
        sums : ValueSums
            Of all cells.
        picture : ChangePicture
            What to draw.
        place : Place or None
            The compared grid; None for a table.
        noun : {"cell", "feature"}
            What was counted.
        """
        self.notes += sums.notes
        legends = [drawn.legend for drawn in (self.second, self.first) if drawn.legend.kind == "continuous"]
        return self._change(
            picture,
            noun,
            legend=legends[0] if legends else self.second.legend,
            compared=sums.compared,
            changed=sums.changed,
            only_before=sums.only_before,
            only_after=sums.only_after,
            neither=sums.neither,
            classes=None,
            values=sums.change(self.unit, place),
        )

    def _change(self, picture: ChangePicture, noun: Noun, **figures: Any) -> Change:
        apart = figures["only_before"] + figures["only_after"]
        if apart:
            self.notes.append(
                message(
                    "{apart:,} {noun} with a value in one map only ({figures:,} before, {figures_2:,} after): "
                    "counted apart, not as change.",
                    apart=apart,
                    noun=Message(noun if apart == 1 else f"{noun}s"),
                    figures=figures["only_before"],
                    figures_2=figures["only_after"],
                )
            )
        if picture.cells_per_pixel > 1:
            self.notes.append(
                message(
                    "A pixel of the picture stands for up to {cells_per_pixel:,} cells, and shows a change when "
                    "one of them changed; the figures count every cell.",
                    cells_per_pixel=picture.cells_per_pixel,
                )
            )
        return Change(
            kind="classes" if figures["values"] is None else "values",
            before_name=self.before.name,
            after_name=self.after.name,
            band=self.band,
            before_band=self.before_band,
            picture=picture,
            notes=tuple(dict.fromkeys(self.notes)),
            noun=noun,
            bands=self.both_bands,
            **figures,
        )
