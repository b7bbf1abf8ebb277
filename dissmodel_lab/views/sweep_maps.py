"""The outputs of a sweep side by side: small maps in one common legend, each under the values that made it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dissmodel_lab.errors import LabError, shown
from dissmodel_lab.language import in_language, say
from dissmodel_lab.maps import Preview, preview
from dissmodel_lab.maps.kept import kept_georeference
from dissmodel_lab.maps.picture import draw
from dissmodel_lab.plain import cut, printable
from dissmodel_lab.provenance import loaded_executor
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.store import read_record
from dissmodel_lab.views.map_view import data_url, legend_html, notes_html, png_of
from dissmodel_lab.views.markup import escape_attribute, escape_short
from dissmodel_lab.views.sweep_numbers import plain_text, value_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dissmodel_lab.maps import Legend
    from dissmodel_lab.sweeps.design import SweepDesign
    from dissmodel_lab.sweeps.report import SweepMap, SweepRow

#: Most maps beside each other.
MOST = 12
#: Longest side of one on the page [CSS pixels].
SIDE = 150
#: What all their pictures may weigh [bytes].
PNG_BUDGET = 72_000
_PIXELS = 300
"""Longest side of one as it is drawn [pixels]."""
_NOTES = 6
_NO_MAP = "is not a map that can be read"
_LONGEST = 160
"""Longest reason why there is no map [characters]."""
_NO_UNIT = ("", "-", "1")
"""What stands for a quantity without a unit."""


@dataclass(frozen=True)
class SmallMaps:
    """Pictures in one legend."""

    pictures: tuple[Preview, ...]
    captions: tuple[str, ...]
    """What tells each from the others; untrusted text."""
    notes: tuple[str, ...]
    """What must be said with them, and which could not be drawn."""

    @property
    def bands(self) -> tuple[str, ...]:
        """All bands to choose from."""
        return tuple(dict.fromkeys(band for picture in self.pictures for band in picture.bands))


def small_maps(maps: Sequence[SweepMap], design: SweepDesign, *, band: str | None = None) -> SmallMaps:
    """
    Draw the outputs of some runs of a sweep in one legend and on one scale.

    Parameters
    ----------
    maps : sequence of SweepMap
        Runs with an output; the first :data:`MOST` are drawn.
    design : SweepDesign
        Whose axes tell the maps apart.
    band : str, optional
        Band or column; the first one of each when not given.

    Returns
    -------
    SmallMaps
        What could not be drawn is said in its notes and stops nothing.

    Examples
    --------
    >>> from dissmodel_lab.sweeps.design import SweepDesign
    >>> small_maps([], SweepDesign(model_name="flood", axes=(), sample="grid", settings=())).pictures
    ()
    """
    pictures: list[Preview] = []
    captions: list[str] = []
    problems: dict[str, list[str]] = {}
    for found in maps[:MOST]:
        title = caption(found.row, design)
        try:
            pictures.append(_picture(found, band))
            captions.append(title)
        except (LabError, OSError) as error:
            problems.setdefault(_reason(error, found.output_path), []).append(title)
    drawn = _in_one_legend(pictures)
    notes = [_problem(reason, titles) for reason, titles in problems.items()]
    notes += dict.fromkeys(note for picture in drawn for note in picture.notes)
    if len({picture.band for picture in drawn}) > 1:
        notes.append(say("The maps show different bands, because not every output has the first one."))
    return SmallMaps(drawn, tuple(captions), tuple(notes))


def _reason(error: Exception, path: Path) -> str:
    """Say shortly why an output cannot be drawn: its place, which differs from run to run, is no part of that."""
    said = error.said if isinstance(error, LabError) else str(error)
    whole = (str(path.absolute()), str(path))
    for name in (*whole, *map(shown, whole), path.name):
        said = said.replace(
            name, say("the {suffix} output", suffix=path.suffix) if path.suffix else say("the output")
        )
    sentence = printable(redact_text(" ".join(said.split()))).partition(". ")[0].rstrip(".")
    head, _, detail = sentence.partition(": ")
    return cut(head if detail and head.endswith(_NO_MAP) else sentence, _LONGEST)


def _problem(reason: str, titles: Sequence[str]) -> str:
    if len(titles) == 1:
        return say("No map of {what}: {reason}.", what=titles[0], reason=reason)
    return say("No maps of {n} runs: {reason}.", n=len(titles), reason=reason)


def caption(row: SweepRow, design: SweepDesign) -> str:
    """
    Say what tells a run from the others: the values of the axes, and its seed where there are several.

    Parameters
    ----------
    row : SweepRow
        The run.
    design : SweepDesign
        Its sweep.

    Examples
    --------
    >>> from dissmodel_lab.sweeps.design import Axis, SweepDesign
    >>> from dissmodel_lab.sweeps.report import SweepRow
    >>> rise = Axis(name="rise", kind="number", text="0.5", values=(0.5,), unit="m")
    >>> design = SweepDesign(model_name="flood", axes=(rise,), sample="grid", settings=((0.5,),), seeds=(1, 2))
    >>> caption(SweepRow(point=1, setting=1, parameters={"rise": 0.5}, seed=2), design)
    'rise = 0.5 m, seed 2'
    """
    parts = []
    for axis in design.axes:
        if axis.name in row.parameters:
            is_said = axis.unit in _NO_UNIT or axis.unit.casefold() == axis.name.casefold()
            unit = "" if is_said else f" {plain_text(axis.unit)}"
            parts.append(f"{plain_text(axis.name)} = {value_text(row.parameters[axis.name])}{unit}")
    if design.n_seeds > 1 and row.seed is not None:
        parts.append(say("seed {seed}", seed=row.seed))
    return ", ".join(parts) or say("point {number}", number=row.point)


def small_maps_html(maps: SmallMaps, n_runs: int = 0, *, budget: int = PNG_BUDGET) -> str:
    """
    Show small maps as static HTML; empty when there is none and nothing to say.

    Parameters
    ----------
    maps : SmallMaps
        As :func:`small_maps` drew them.
    n_runs : int, optional
        Of how many runs they were chosen.
    budget : int, optional
        Heaviest pictures together [bytes]; those that do not fit are left out, which is said.

    Examples
    --------
    >>> small_maps_html(SmallMaps((), (), ()))
    ''
    """
    if not maps.pictures:
        return notes_html(_said(maps.notes))
    tiles, room = [], budget
    for picture, said in zip(maps.pictures, maps.captions, strict=True):
        encoded = png_of(picture, max_width=2 * SIDE, budget=budget // len(maps.pictures))
        room -= len(encoded)
        if room < 0:
            break
        tiles.append(_tile(picture, encoded, said))
    some = (say("{n} of {total:,} completed runs are shown.", n=len(tiles), total=n_runs),)
    legends = _legends(maps.pictures)
    band = escape_short(in_language(maps.pictures[0].band), 200)
    notes = notes_html((*_said(maps.notes), *(some if len(tiles) < n_runs else ())))
    return (
        f'<div style="margin:6px 0 12px 0"><div style="font-weight:bold;margin:2px 0">'
        f"{say('Maps of the outputs: {band}', band=band)}</div>"
        f'<div style="max-width:{4 * (SIDE + 18)}px">{"".join(tiles)}</div>'
        f"{''.join(map(legend_html, legends))}{notes}</div>"
    )


def _said(notes: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(in_language, notes[:_NOTES]))


def _tile(picture: Preview, encoded: bytes, said: str) -> str:
    width, height = picture.size
    scale = SIDE / max(width, height)
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    return (
        f'<div style="display:inline-block;vertical-align:top;width:{SIDE + 2}px;margin:0 14px 8px 0">'
        f'<div style="width:{wide}px;height:{high}px;border:1px solid #888888;background-color:#ffffff">'
        f'<img alt="{escape_attribute(said)}: {escape_short(in_language(picture.alt_text), 300, escape_attribute)}" '
        f'width="{wide}" height="{high}" '
        f'src="{data_url(encoded)}" style="width:{wide}px;height:{high}px;max-width:{wide}px;margin:0;display:block">'
        '</div><div style="font-size:12px;line-height:1.3;overflow-wrap:anywhere">'
        f"{escape_short(said, 240)}</div></div>"
    )


def _picture(found: SweepMap, band: str | None) -> Preview:
    record: Any = read_record(found.row.record_path) if found.row.record_path is not None else None
    classes = loaded_executor(record) if record is not None else None
    place = kept_georeference(record) if record is not None else None
    return preview(found.output_path, band, max_pixels=_PIXELS, classes=classes, georeference=place)


def _in_one_legend(pictures: Sequence[Preview]) -> tuple[Preview, ...]:
    """Draw pictures again so that one colour means the same in all: only their colours change."""
    legend: Legend | None = None
    for picture in pictures:
        legend = picture.legend if legend is None else _joined(legend, picture)
    return tuple(_redrawn(picture, legend) for picture in pictures)


def _joined(legend: Legend, picture: Preview) -> Legend:
    """Return a legend that covers another picture too."""
    other = picture.legend
    if legend.kind == "empty":
        return other
    if legend.kind == other.kind == "classes":
        return draw(picture.grid, _PIXELS, like=legend).legend
    if legend.kind == other.kind == "continuous":
        return replace(
            legend,
            minimum=_least(legend.minimum, other.minimum),
            maximum=_most(legend.maximum, other.maximum),
            low=_least(legend.low, other.low),
            high=_most(legend.high, other.high),
        )
    return legend


def _least(one: float | None, other: float | None) -> float | None:
    return min((value for value in (one, other) if value is not None), default=None)


def _most(one: float | None, other: float | None) -> float | None:
    return max((value for value in (one, other) if value is not None), default=None)


def _redrawn(picture: Preview, legend: Legend | None) -> Preview:
    if legend is None or picture.legend == legend or picture.legend.kind != legend.kind:
        return picture
    pixels = draw(picture.grid, _PIXELS, like=legend)
    # Their own smallest and largest value would stand under a scale that is common to all.
    return replace(pixels, legend=legend) if legend.kind == "continuous" else pixels


def _legends(pictures: Sequence[Preview]) -> list[Legend]:
    """Return the legends that differ, whatever the order of their classes: usually one."""
    found: dict[Any, Legend] = {}
    for legend in (picture.legend for picture in pictures):
        if legend.kind != "empty":
            found.setdefault((legend.title, frozenset(legend.entries), legend.low, legend.high), legend)
    return list(found.values())
