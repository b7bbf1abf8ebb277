"""Two runs side by side: what went in, what came out, how long it took, what changed, and their steps together.

Static HTML and PNG; the player and the map to explore are widgets behind them. Everything that comes from
records and data is escaped.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dissmodel_lab.frames import read_frames
from dissmodel_lab.language import in_language, message, say
from dissmodel_lab.maps.pairs import Pair, pair_frames
from dissmodel_lab.progress import status_text
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.views.change_view import LIMIT, ChangePictures, change_html, offer_change_map, pictures_of
from dissmodel_lab.views.comparison_text import comparison_text, metric_rows, parameter_rows, same_text, timing_rows
from dissmodel_lab.views.map_view import notes_html, png_of
from dissmodel_lab.views.markup import escape_short
from dissmodel_lab.views.outputs import CellOutput
from dissmodel_lab.views.pair_player import PairPlayer, pair_html
from dissmodel_lab.views.tables import Cell, numbers_table

if TYPE_CHECKING:
    from collections.abc import Collection

    from dissmodel_lab.changes.report import RunComparison, RunSide
    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.maps.frames import Frames
    from dissmodel_lab.maps.legend import Legend

#: What the pictures of the steps may weigh as PNG [bytes].
_STEPS = 60_000
#: Rows of one table that are shown.
_ROWS = 40
_TITLE = 300


@dataclass
class PairedSteps:
    """The steps of two runs, and what is missing."""

    pair: Pair | None = None
    notes: list[str] = field(default_factory=list)


def steps_of(first: ExperimentRecord, second: ExperimentRecord, legend: Legend | None = None) -> PairedSteps:
    """
    Read the frames that two runs kept and put them beside each other.

    Parameters
    ----------
    first, second : ExperimentRecord
        Of runs that are over.
    legend : Legend, optional
        Of a map of the same band: one class, one colour.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> one, other = ExperimentRecord(experiment_id="ab12cd34"), ExperimentRecord(experiment_id="ef56ab78")
    >>> steps_of(one, other).notes
    ['Neither run kept pictures of its steps: there is no player.']
    """
    found = PairedSteps()
    frames = [_frames_of(record, found.notes) for record in (first, second)]
    missing = [record for record, kept in zip((first, second), frames, strict=True) if kept is None]
    if len(missing) == len(frames):
        found.notes.append(message("Neither run kept pictures of its steps: there is no player."))
    elif missing:
        run = missing[0].experiment_id[:8]
        found.notes.append(message("Run {run} kept no pictures of its steps: there is no player.", run=run))
    one, other = frames
    if one is not None and other is not None:
        if legend is not None:
            one, other = one.with_colours_of(legend), other.with_colours_of(legend)
        found.pair = pair_frames(one, other)
    return found


def _frames_of(record: ExperimentRecord, notes: list[str]) -> Frames | None:
    """Return the pictures that a run kept; a run without any may still have kept series of values."""
    if record.record_path is None:
        return None
    frames = read_frames(Path(record.record_path).parent, notes)
    return frames if frames is not None and frames.moments else None


def comparison_html(
    comparison: RunComparison, steps: PairedSteps | None = None, *, pictures: ChangePictures | None = None
) -> str:
    """
    Draw two runs side by side.

    Parameters
    ----------
    comparison : RunComparison
        All of it is untrusted text and escaped.
    steps : PairedSteps, optional
        Their steps; without them there is no strip.
    pictures : ChangePictures, optional
        Of the first change, when it is drawn already.

    Returns
    -------
    str
        HTML that reads without scripts and in an untrusted notebook, shorter than 300 kB.
    """
    names = _names(comparison)
    if names[0] == names[1]:
        names = (say("{run} (first)", run=names[0]), say("{run} (second)", run=names[1]))
    head = _head(comparison) + _tables(comparison, names) + _said(comparison)
    strip = _strip(steps, names)
    room = LIMIT - len(head.encode()) - len(strip.encode())
    change = change_html(*comparison.changes, pictures=pictures, limit=room) if comparison.changes else ""
    return f'<div style="font-size:13px;line-height:1.5">{head}{change}{strip}</div>'


def _head(comparison: RunComparison) -> str:
    columns: list[str | Cell] = [say("run"), say("model"), say("what it is"), say("status"), say("created (UTC)")]
    rows = [_side_row(side) for side in (comparison.first, comparison.second)]
    same = {True: "&#10004; ", False: "&#9888; ", None: "? "}[comparison.same_input]
    return (
        '<div role="status" style="border-left:5px solid #0072b2;padding:2px 10px;margin:6px 0;'
        'overflow-wrap:anywhere">'
        f'<div style="font-size:15px;font-weight:bold">{_words(comparison.sentence)}</div>'
        f"<div>{same}{_words(comparison.input_sentence)}</div>{_output_sentence(comparison)}</div>"
        f"{numbers_table(columns, rows, texts=range(5), limit=_TITLE)}"
    )


def _output_sentence(comparison: RunComparison) -> str:
    if comparison.same_output is None:
        return ""
    if comparison.same_output:
        return f"<div>&#10004; {say('The outputs are the same, byte for byte.')}</div>"
    return f"<div>&#8776; {say('The outputs are not the same byte for byte.')}</div>"


def _side_row(side: RunSide) -> list[str | Cell]:
    return [
        Cell(side.short_id, "total"), side.model_name, side.title, status_text(side.status),
        side.created[:19].replace("T", " "),
    ]  # fmt: skip


def _tables(comparison: RunComparison, names: tuple[str, str]) -> str:
    parameters, versions = say("Parameters that differ"), say("Versions that differ")
    if comparison.parameters:
        parameters = say("Parameters that differ ({n:,} are the same)", n=comparison.same_parameters)
    if comparison.versions:
        versions = say("Versions that differ ({n:,} are the same)", n=comparison.same_versions)
    texts, numbers = (range(3), (0,))
    return "".join(
        _pairs_html(title, rows, names, empty, columns)
        for title, rows, empty, columns in (
            (
                parameters,
                parameter_rows(comparison.parameters),
                same_text(comparison.same_parameters),
                texts,
            ),
            (say("Metrics"), metric_rows(comparison.metrics), say("neither run has any"), numbers),
            (say("Seconds"), timing_rows(comparison.timings), say("not recorded"), numbers),
            (
                versions,
                parameter_rows(comparison.versions),
                same_text(comparison.same_versions),
                texts,
            ),
        )
    )


def _pairs_html(title: str, rows: list[list[str]], names: tuple[str, str], empty: str, texts: Collection[int]) -> str:
    if not rows:
        return f'<div style="margin:6px 0"><b>{title}:</b> {empty}</div>'
    drawn: list[list[str | Cell]] = []
    for name, first, second, *difference in rows[:_ROWS]:
        look = "faint" if first == second else ""
        drawn.append([name, Cell(first, look), Cell(second, look), *(Cell(text, look) for text in difference)])
    columns: list[str | Cell] = list(("", *names, say("difference"))[: len(rows[0])])
    more = len(rows) - len(drawn)
    rest = f"<div>{say('and {n:,} more, which stand in the plain text', n=more)}</div>" if more > 0 else ""
    return numbers_table(columns, drawn, texts=texts, caption=title, limit=_TITLE) + rest


def _said(comparison: RunComparison) -> str:
    problem = ""
    if comparison.problem:
        head = say("The outputs are not compared.")
        problem = (
            '<div role="alert" style="border-left:5px solid #b26a00;padding:2px 10px;margin:6px 0;'
            f'overflow-wrap:anywhere"><b>&#9888; {head}</b> {_words(comparison.problem)}</div>'
        )
    return problem + notes_html(tuple(redact_text(in_language(note)) for note in comparison.notes))


def _strip(steps: PairedSteps | None, names: tuple[str, str]) -> str:
    if steps is None:
        return ""
    said = notes_html(tuple(redact_text(in_language(note)) for note in steps.notes))
    return said if steps.pair is None else pair_html(steps.pair, names, budget=_STEPS) + said


def comparison_bundle(comparison: RunComparison, steps: PairedSteps | None = None) -> dict[str, str]:
    """
    Return what a notebook stores of a comparison: plain text, HTML without scripts, a PNG of the changed cells.

    Parameters
    ----------
    comparison : RunComparison
        Of any two runs.
    steps : PairedSteps, optional
        Their steps.
    """
    pictures = pictures_of(comparison.changes[0]) if comparison.changes else None
    bundle = {
        "text/plain": comparison_text(comparison),
        "text/html": comparison_html(comparison, steps, pictures=pictures),
    }
    if pictures is not None:
        bundle["image/png"] = base64.b64encode(png_of(pictures.marked)).decode("ascii")
    return bundle


def _words(text: str) -> str:
    return escape_short(redact_text(in_language(text)), 2_000)


def _names(comparison: RunComparison) -> tuple[str, str]:
    first, second = (say("run {run}", run=side.short_id) for side in (comparison.first, comparison.second))
    return first, second


def show_comparison(comparison: RunComparison, first: ExperimentRecord, second: ExperimentRecord) -> None:
    """
    Show two runs in a cell: the static comparison, then one player for the steps of both, and a map to explore.

    Parameters
    ----------
    comparison : RunComparison
        Of the two.
    first, second : ExperimentRecord
        Their records, which say where their frames are.
    """
    steps = steps_of(first, second, comparison.changes[0].legend if comparison.changes else None)
    CellOutput().show_static(comparison_bundle(comparison, steps))
    if steps.pair is not None and len(steps.pair.moments) > 1:
        player = PairPlayer(steps.pair, _names(comparison))
        CellOutput().show_widget(
            player.widget, say("The player needs a page with widgets; the strip above does not.")
        )
    if comparison.changes:
        offer_change_map(comparison.changes[0], CellOutput())
