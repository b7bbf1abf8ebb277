"""Verdicts and checks: what a rerun says of a run, where it differs, and whether the files are as recorded.

Static HTML and PNG. A verdict is a word with a sign, never a colour alone.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dissmodel_lab.errors import LabError
from dissmodel_lab.language import in_language, mark, message, say
from dissmodel_lab.maps import Preview, open_layer, preview
from dissmodel_lab.maps.arrays import scaled
from dissmodel_lab.maps.differences import (
    DIFFERS,
    FIRST_MARK,
    NOTHING,
    SAME,
    Mark,
    MarkedLayer,
    table_states,
)
from dissmodel_lab.maps.grid import decimation
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.views.change_view import on_white
from dissmodel_lab.views.comparison_text import (
    figure_columns,
    figure_row,
    integrity_text,
    item_text,
    kind_text,
    nearby,
    setting_rows,
    state_text,
    verdict_text,
)
from dissmodel_lab.views.map_view import PNG_BUDGET, MapView, map_figure, notes_html, png_of
from dissmodel_lab.views.markup import escape_short
from dissmodel_lab.views.outputs import MAP_NEEDS_KERNEL, CellOutput
from dissmodel_lab.views.tables import Cell, numbers_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dissmodel_lab.differences import Differences, PartDifference
    from dissmodel_lab.verification.integrity import Integrity
    from dissmodel_lab.verification.verdict import Verdict

#: The longest side of the pictures [pixels], as of the maps.
SIDE = 1024
#: Sentences and rows that are shown.
_REASONS, _ROWS, _NAMED = 12, 60, 8
#: Word -> sign, colour of the banner, colour of its text, and what the word means.
VERDICTS = {
    "identical": ("&#10004;", "#00663d", "#ffffff", mark("Nothing differs.")),
    "same content": (
        "&#10004;", "#00663d", "#ffffff",
        mark("Other bytes, the same content: the same values in the same places."),
    ),
    "within tolerance": (
        "&#8776;", "#005a8c", "#ffffff",
        mark("Values differ, by no more than the tolerance that was asked for."),
    ),
    "different": ("&#10008;", "#b3261e", "#ffffff", mark("The rerun gave something else.")),
    "cannot verify": (
        "?", "#8a5200", "#ffffff", mark("The run can neither be confirmed nor refuted."),
    ),
}  # fmt: skip
STATES = {
    "ok": ("&#10004;", ""),
    "rewritten": ("&#8776;", ""),
    "changed": ("&#10008;", "strong"),
    "missing": ("&#10008;", "strong"),
    "cannot be checked": ("?", "faint"),
}


def verdict_html(verdict: Verdict) -> str:
    """
    Draw a verdict: the word, of which run, why, figures of each band or column, and the cells that differ.

    Parameters
    ----------
    verdict : Verdict
        Just made, with its differences, or read from a record, without. All of it is untrusted text.

    Returns
    -------
    str
        HTML that reads without scripts and in an untrusted notebook.
    """
    notes: list[str] = []
    shown = _differing_preview(verdict, notes)
    return _html(verdict, shown, notes)


def _html(verdict: Verdict, shown: Preview | None, notes: list[str]) -> str:
    picture = ""
    if shown is not None:
        picture = map_figure(shown, say("Where the rerun differs"), budget=PNG_BUDGET)
    structure = verdict.differences.structure if verdict.differences is not None else ()
    said = (*structure[:_REASONS], *notes)
    return (
        f'<div style="font-size:13px;line-height:1.5">{_banner(verdict)}{_figures_html(verdict)}{picture}'
        f"{notes_html(_words(dict.fromkeys(said)))}"
        f"{_files_html(verdict)}{_settings_html(verdict)}</div>"
    )


def _banner(verdict: Verdict) -> str:
    sign, colour, ink, meaning = VERDICTS[verdict.kind]
    reasons = [nearby(redact_text(in_language(why))) for why in verdict.why]
    more = len(reasons) - _REASONS
    lines = "".join(f"<div>{escape_short(why, 1_000)}</div>" for why in reasons[:_REASONS])
    lines += f"<div>{say('and {n:,} more reasons', n=more)}</div>" if more > 0 else ""
    made = f" &middot; {say('made for it: {runs}', runs=_runs(verdict.reruns))}" if verdict.reruns else ""
    run = f"<b>{escape_short(verdict.of[:8], 80)}</b>"
    return (
        '<div role="status" style="margin:6px 0">'
        f'<div style="background-color:{colour};color:{ink};padding:6px 12px;font-size:17px;font-weight:bold">'
        f"{sign} {escape_short(kind_text(verdict.kind).upper(), 80)}</div>"
        f'<div style="border-left:5px solid {colour};padding:4px 10px;overflow-wrap:anywhere">'
        f"<div>{say('Rerun of run {run}', run=run)}{made}. {say(meaning)}</div>{lines}</div></div>"
    )


def _words(sentences: Iterable[str]) -> tuple[str, ...]:
    return tuple(redact_text(in_language(said)) for said in sentences)


def _runs(ids: tuple[str, ...]) -> str:
    return ", ".join(escape_short(run[:8], 80) for run in ids[:4])


def _figures_html(verdict: Verdict) -> str:
    if not verdict.figures:
        return ""
    caption = say("Each band or column: how many differ")
    if verdict.tolerance is not None:
        caption = say("Each band or column: how many differ, tolerance {tolerance:g}", tolerance=verdict.tolerance)
    return _parts_html(verdict.figures, verdict.tolerance, caption)


def _parts_html(parts: tuple[PartDifference, ...], tolerance: float | None, caption: str) -> str:
    # Those that differ most first: a table of many columns is cut.
    ordered = sorted(parts, key=_how_many, reverse=True)
    rows: list[list[str | Cell]] = []
    for part in ordered[:_ROWS]:
        name, differ, *others = figure_row(part, tolerance)
        rows.append([name, Cell(differ, "strong" if part.differing else "faint"), *others])
    more = len(ordered) - len(rows)
    rest = ""
    if more > 0:
        said = say("and {n:,} more that differ in {most:,} or fewer", n=more, most=_how_many(ordered[_ROWS]))
        rest = f"<div>{said}</div>"
    columns = figure_columns(tolerance)
    values = [part.place[-2:] for part in ordered[:_ROWS] if part.place is not None]
    are_texts = any(isinstance(value, str) for pair in values for value in pair)
    # The last three columns are the place and the two values there.
    first_text = len(columns) - 3
    texts = [0, *(range(first_text, len(columns)) if are_texts else (first_text,))]
    return numbers_table(columns, rows, texts=texts, caption=caption, limit=300) + rest


def _how_many(part: PartDifference) -> int:
    return part.differing if isinstance(part.differing, int) else 0  # a record from elsewhere may hold anything


def _files_html(verdict: Verdict) -> str:
    """Draw the files of a folder that differ, each folded."""
    if verdict.differences is None or not verdict.differences.files:
        return ""
    files = list(verdict.differences.files.items())
    folded = "".join(_folded(name, one, verdict.tolerance) for name, one in files[:_ROWS])
    more = f"<div>{say('and {n:,} more files', n=len(files) - _ROWS)}</div>" if len(files) > _ROWS else ""
    title = say("Files that differ ({n:,})", n=len(files))
    return f'<div style="margin:8px 0"><b>{title}</b>{folded}{more}</div>'


def _folded(name: str, found: Differences, tolerance: float | None) -> str:
    said = notes_html(_words((*found.structure[:_REASONS], *found.notes[:_REASONS])))
    parts = _parts_html(found.parts, tolerance, "") if found.parts else ""
    return (
        '<details style="margin:4px 0"><summary style="cursor:pointer">'
        f"{escape_short(redact_text(name), 300)}</summary>{said}{parts}</details>"
    )


def _settings_html(verdict: Verdict) -> str:
    rows: list[list[str | Cell]] = [[name, value] for name, value in setting_rows(verdict)]
    if not rows:
        return ""
    table = numbers_table([say("setting"), say("value")], rows, texts=range(2), limit=600)
    title = say("How it was run again")
    return f'<details style="margin:6px 0"><summary style="cursor:pointer">{title}</summary>{table}</details>'


def verdict_bundle(verdict: Verdict) -> dict[str, str]:
    """
    Return what a notebook stores of a verdict: plain text, HTML without scripts and, of a raster or table, a PNG.

    Parameters
    ----------
    verdict : Verdict
        Just made, or read from a record.
    """
    notes: list[str] = []
    shown = _differing_preview(verdict, notes)
    bundle = {"text/plain": verdict_text(verdict), "text/html": _html(verdict, shown, notes)}
    if shown is not None:
        bundle["image/png"] = base64.b64encode(png_of(shown)).decode("ascii")
    return bundle


def differing_layer(verdict: Verdict, notes: list[str] | None = None) -> MarkedLayer | None:
    """
    Return the cells or shapes that differ, of the band or column that differs most; None when there is no place.

    Parameters
    ----------
    verdict : Verdict
        With its differences.
    notes : list of str, optional
        A sentence is added when they should be there and cannot be drawn.
    """
    found = verdict.differences
    if found is None:
        return None
    if found.files and not (found.bits or found.rows):  # a folder: the first of its maps
        found = next((one for one in found.files.values() if one.bits or one.rows), found)
    try:
        if found.bits and found.grid is not None:
            return _raster_layer(found, verdict)
        if found.rows and verdict.differences is found:
            return _table_layer(found, verdict)
    except LabError as error:
        if notes is not None:
            notes.append(say("No map of what differs: {problem}", problem=error.said))
    except Exception as error:  # noqa: BLE001 -- a file that no reader understands must not hide the verdict
        if notes is not None:
            problem = f"{type(error).__name__}: {error}"
            notes.append(say("No map of what differs: {problem}", problem=problem))
    return None


def _raster_layer(found: Differences, verdict: Verdict) -> MarkedLayer:
    assert found.grid is not None  # for the type checker: the caller has looked
    from affine import Affine  # noqa: PLC0415 -- only for those with a place

    band = max(found.bits, key=lambda name: int(_differing(found, name)))
    height, width = found.grid.shape
    step = decimation(height, width, SIDE)
    states = np.where(found.mask(band, step=step), FIRST_MARK, SAME).astype(np.uint8)
    exists = _exists(verdict, band, states.shape) if verdict.differences is found else None
    if exists is not None:
        states[(states == SAME) & ~exists] = NOTHING
    transform = None
    if found.grid.transform is not None:
        transform = scaled(Affine(*found.grid.transform), step, step)
    count, others = _differing(found, band), _other_names(found.bits, band)
    return MarkedLayer(
        states=states,
        marks=(Mark(message("differs"), DIFFERS),),
        band=message("differing cells of {band}", band=band),
        transform=transform,
        crs=found.grid.crs_wkt,
        source_size=(width, height),
        notes=(
            message("{n:,} cell differs in band {band}.", n=count, band=band)
            if count == 1
            else message("{n:,} cells differ in band {band}.", n=count, band=band),
            *((message("Other bands differ too, not shown: {names}.", names=others),) if others else ()),
            *_drawn_of(step * step),
        ),
    )


def _differing(found: Differences, name: str) -> int:
    return next((part.differing for part in found.parts if part.name == name), 0)


def _drawn_of(n_cells: int) -> tuple[str, ...]:
    if n_cells == 1:
        return ()
    return (message("Drawn 1 of {n:,} cells: one that differs where there is any.", n=n_cells),)


def _other_names(differing: Mapping[str, Any], shown: str) -> str:
    """List what else differs, as far as it is shown; empty when nothing does."""
    others = [name for name in differing if name != shown]
    named = ", ".join(others[:_NAMED])
    if len(others) > _NAMED:
        return message("{names} and {n:,} more", names=named, n=len(others) - _NAMED)
    return named


def _exists(verdict: Verdict, band: str, shape: tuple[int, ...]) -> Any:
    """Return where the rerun's output has a value, (height, width); None when it cannot be read."""
    path = _output_of(verdict)
    if path is None:
        return None
    try:
        layer = open_layer(path)
        grid = layer.grid(band if band in layer.bands else layer.default_band, SIDE)
    except LabError:
        return None
    return grid.valid if grid.valid.shape == shape else None


def _output_of(verdict: Verdict) -> Path | None:
    record = verdict.record
    if record is None or "output" not in record.artifacts:
        return None
    path = record.artifact_path()
    return path if path is not None and Path(path).is_file() else None


def _table_layer(found: Differences, verdict: Verdict) -> MarkedLayer | None:
    from dissmodel_lab.maps.vector import TableLayer  # noqa: PLC0415 -- brings geopandas, 0.5 s

    path = _output_of(verdict)
    layer = open_layer(path) if path is not None else None
    if not isinstance(layer, TableLayer):
        return None
    column = max(found.rows, key=lambda name: len(found.rows[name]))
    each = np.full(len(layer.table), SAME, np.uint8)
    rows = found.rows[column]
    each[rows[rows < len(each)]] = FIRST_MARK
    states, transform = table_states(np.asarray(layer.table.geometry.values), each)
    count, others = len(rows), _other_names(found.rows, column)
    return MarkedLayer(
        states=states,
        marks=(Mark(message("differs"), DIFFERS),),
        band=message("differing rows of {column}", column=column),
        transform=transform,
        crs=layer.table.crs,
        notes=(
            message("{n:,} row differs in column {column}.", n=count, column=column)
            if count == 1
            else message("{n:,} rows differ in column {column}.", n=count, column=column),
            *((message("Other columns differ too, not shown: {names}.", names=others),) if others else ()),
        ),
    )


def _differing_preview(verdict: Verdict, notes: list[str]) -> Preview | None:
    layer = differing_layer(verdict, notes)
    return preview(layer, max_pixels=SIDE) if layer is not None else None


def integrity_html(integrity: Integrity) -> str:
    """
    Draw which of the things that a record names are still as they were recorded.

    Parameters
    ----------
    integrity : Integrity
        What was checked; all of it is untrusted text.
    """
    sign, colour, word = "&#10008;", "#b3261e", say("not as recorded")
    if not {str(check.state) for check in integrity.checks} & {"changed", "missing"}:
        sign, colour, word = "?", "#8a5200", say("cannot be checked")
    if integrity.is_intact:
        sign, colour, word = "&#10004;", "#00663d", say("as recorded")
    rows: list[list[str | Cell]] = []
    for check in integrity.checks[:_ROWS]:
        sign_of_state, look = STATES[check.state]
        where, why = nearby(str(check.path or "")), nearby(in_language(check.why))
        if check.is_outside:
            why = say("{why} (outside of the store)", why=why)
        state = Cell(state_text(check.state), look, sign_of_state)
        rows.append([item_text(check.item), state, where, why, _hashes(check.recorded, check.found)])
    more = len(integrity.checks) - len(rows)
    rest = f"<div>{say('and {n:,} more', n=more)}</div>" if more > 0 else ""
    heads: list[str | Cell] = [say("item"), say("state"), say("where"), say("why"), "SHA-256"]
    table = numbers_table(heads, rows, texts=range(4), limit=600) if rows else ""
    return (
        '<div style="font-size:13px;line-height:1.5"><div role="status" style="margin:6px 0">'
        f'<div style="background-color:{colour};color:#ffffff;padding:6px 12px;font-size:17px;font-weight:bold">'
        f"{sign} {word.upper()}</div>"
        f'<div style="border-left:5px solid {colour};padding:4px 10px;overflow-wrap:anywhere">'
        f"{escape_short(nearby(redact_text(in_language(integrity.sentence))), 1_000)}</div></div>{table}{rest}</div>"
    )


def _hashes(recorded: str, found: str) -> str:
    if not recorded or recorded == found or not found:
        return recorded[:12]
    return say("{recorded}, now {found}", recorded=recorded[:12], found=found[:12])


def integrity_bundle(integrity: Integrity) -> dict[str, str]:
    """
    Return what a notebook stores of a check: plain text, and HTML without scripts.

    Parameters
    ----------
    integrity : Integrity
        What was checked.
    """
    return {"text/plain": integrity_text(integrity), "text/html": integrity_html(integrity)}


def show_integrity(integrity: Integrity) -> None:
    """
    Show a check in a cell.

    Parameters
    ----------
    integrity : Integrity
        What was checked.
    """
    CellOutput().show_static(integrity_bundle(integrity))


def show_verdict(verdict: Verdict) -> None:
    """
    Show a verdict in a cell: its static form, then a map to explore of what differs.

    Parameters
    ----------
    verdict : Verdict
        Just made, or read from a record.
    """
    CellOutput().show_static(verdict_bundle(verdict))
    layer = differing_layer(verdict)
    if layer is None:
        return
    layers: dict[str, Any] = {say("what differs"): layer}
    path = _output_of(verdict)
    if path is not None:
        layers[say("rerun's output")] = path
    view = MapView(layers)
    CellOutput().show_widget(on_white(view), say(MAP_NEEDS_KERNEL))
