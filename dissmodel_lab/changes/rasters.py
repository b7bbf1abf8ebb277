"""Two bands of rasters -> the change between them, read strip by strip."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from dissmodel_lab.changes.areas import CellAreas, areas_of_cells
from dissmodel_lab.changes.bands import UNSCALED, Readable, opened_band
from dissmodel_lab.changes.classes import MAX_CLASSES, PairCounts, TooManyClassesError
from dissmodel_lab.changes.grids import OnGrid, Place, why_not_one_grid
from dissmodel_lab.changes.picture import Canvas
from dissmodel_lab.changes.values import ValueSums
from dissmodel_lab.errors import ComparisonError
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from dissmodel_lab.changes.bands import Band
    from dissmodel_lab.changes.comparison import Comparison
    from dissmodel_lab.changes.report import Change


def between_rasters(comparison: Comparison, *, common_grid: bool) -> Change:
    """
    Compare two bands cell by cell.

    Parameters
    ----------
    comparison : Comparison
        Of two rasters.
    common_grid : bool
        Whether the second may be brought onto the first one's grid.

    Raises
    ------
    ComparisonError
        When they do not lie on one grid, and may not or cannot be brought onto one.

    Examples
    --------
    >>> import numpy as np
    >>> from dissmodel_lab.changes.comparison import Comparison
    >>> from dissmodel_lab.changes.sides import Side
    >>> from dissmodel_lab.maps import open_layer
    >>> maps = [Side(name=f"map {i}", layer=open_layer(np.eye(2, dtype="uint8") + i)) for i in (1, 2)]
    >>> both = Comparison(before=maps[0], after=maps[1], before_band="band_1", band="band_1")
    >>> between_rasters(both, common_grid=False).changed
    4
    """
    before, after = comparison.before, comparison.after
    with ExitStack() as stack:
        first = stack.enter_context(opened_band(before.layer, comparison.before_band, before.kept))
        other = stack.enter_context(opened_band(after.layer, comparison.band, after.kept))
        second: Readable = other
        reason = why_not_one_grid(first.place, other.place)
        if reason:
            second = _on_common_grid(comparison, first.place, other, reason, is_allowed=common_grid)
            place = first.place
        else:
            place = _one_place(comparison, first.place, other.place)
        _check_scaling(comparison, first, other)
        if comparison.kind == "classes":
            try:
                return _count_classes(comparison, first, second, place)
            except TooManyClassesError:
                comparison.notes.append(
                    message(
                        "Compared as numbers: more than {max_classes} different ones occur.", max_classes=MAX_CLASSES
                    )
                )
        return _sum_values(comparison, first, second, place)


def _on_common_grid(comparison: Comparison, place: Place, band: Band, reason: str, *, is_allowed: bool) -> OnGrid:
    names = f"{comparison.before.the} and {comparison.after.the}"
    if not is_allowed:
        raise ComparisonError(
            message(
                "Not one grid, {names}: {reason}. Bring them onto one grid first, or ask for it: common_grid=True "
                "(--common-grid) takes for each cell of {the} the nearest one of {comparison_the}.",
                names=names,
                reason=reason,
                the=comparison.before.the,
                comparison_the=comparison.after.the,
            )
        )
    for side, where in ((comparison.before, place), (comparison.after, band.place)):
        if where.transform is None:
            raise ComparisonError(
                message(
                    "Not one grid, {names}: {reason}. {the} has no transform, so it can't be brought onto another "
                    "grid. Write its transform into the file first.",
                    names=names,
                    reason=reason,
                    the=side.The,
                )
            )
    comparison.notes.append(
        message(
            "Compared on the grid of {the} ({text}): {reason}. Each cell has the value of {comparison_the}'s "
            "nearest cell.",
            the=comparison.before.the,
            text=place.text,
            reason=reason,
            comparison_the=comparison.after.the,
        )
    )
    if (place.crs is None) != (band.place.crs is None):
        lacking = comparison.before if place.crs is None else comparison.after
        comparison.notes.append(message("{the} has no CRS: taken to be in the other one's.", the=lacking.The))
    return OnGrid(band=band, place=place)


def _one_place(comparison: Comparison, first: Place, second: Place) -> Place:
    """Return where both lie; what one of them does not say is taken from the other, and said."""
    place = replace(first, transform=first.transform or second.transform, crs=first.crs or second.crs)
    for side, mine, other in ((comparison.before, first, second), (comparison.after, second, first)):
        facts = {"transform": (mine.transform, other.transform), "CRS": (mine.crs, other.crs)}
        missing = [word for word, (here, there) in facts.items() if here is None and there is not None]
        if missing:
            said = message(" and no ").join(missing)
            comparison.notes.append(
                message("{the} has no {said}: taken to lie on the other one's grid.", the=side.The, said=said)
            )
    return place


def _count_classes(comparison: Comparison, first: Readable, second: Readable, place: Place) -> Change:
    areas = areas_of_cells(place)
    canvas, counts = Canvas(place, first.dtype, second.dtype), PairCounts()
    width = place.shape[1]
    for top, bottom, pixels in canvas.strips():
        before, has_before = first.read(top, bottom)
        after, has_after = second.read(top, bottom)
        weights = areas.of_rows(top, bottom, width) if _is_weighted(areas) else None
        counts.add(before, after, has_before, has_after, weights)
        differs = (before != after) & has_before & has_after
        canvas.paint(pixels, before, after, (has_before, has_after), differs)
    return comparison.class_change(counts, canvas.picture(), (areas.constant, areas.method), "cell")


def _check_scaling(comparison: Comparison, first: Band, second: Band) -> None:
    """Refuse values that are stored in two ways: their difference has no meaning."""
    one, other = first.scaling, second.scaling
    if one != other:
        how = [
            message("times {pair:g} plus {pair_2:g}", pair=pair[0], pair_2=pair[1])
            if pair != UNSCALED
            else message("as it is")
            for pair in (one, other)
        ]
        said = [f"{band!r} of {side.the} {how[at]}" for at, (side, band) in enumerate(comparison.sides)]
        raise ComparisonError(
            message(
                "The values are stored in two ways: {said}, {said_2} (scale and offset in the file). Write both "
                "with one scale and offset first.",
                said=said[0],
                said_2=said[1],
            )
        )
    if one != UNSCALED:
        comparison.is_stored = True
        comparison.notes.append(
            message(
                "Values as they are stored: the files say that each stands for {one:g} times itself plus {one_2:g}.",
                one=one[0],
                one_2=one[1],
            )
        )


def _is_weighted(areas: CellAreas) -> bool:
    return areas.grid is not None and areas.constant is None


def _sum_values(comparison: Comparison, first: Readable, second: Readable, place: Place) -> Change:
    _ = comparison.unit  # two units are refused before anything is read
    canvas, sums = Canvas(place, first.dtype, second.dtype, with_difference=True), ValueSums()
    for top, bottom, pixels in canvas.strips():
        before, has_before = first.read(top, bottom)
        after, has_after = second.read(top, bottom)
        differs, difference = sums.add(before, after, has_before, has_after, top)
        canvas.paint(pixels, before, after, (has_before, has_after), differs)
        canvas.paint_difference(pixels, difference)
    return comparison.value_change(sums, canvas.picture(), place, "cell")
