"""One run, whole: phases, maps, swipe, what went in and came out. Static; it reads without a kernel."""

from __future__ import annotations

import base64
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissmodel_lab.artifacts import is_map_file
from dissmodel_lab.errors import LabError
from dissmodel_lab.executor.jsonvalue import encode
from dissmodel_lab.executor.schemas import RunStatus
from dissmodel_lab.frames import read_frames
from dissmodel_lab.language import in_language, message, say, say_n
from dissmodel_lab.maps import Preview, preview
from dissmodel_lab.maps.kept import kept_georeference
from dissmodel_lab.plain import cut
from dissmodel_lab.progress import Progress, status_text
from dissmodel_lab.provenance import loaded_executor
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.sources import file_sha256, source_path
from dissmodel_lab.texts import path_text, shareable, shared_record_text, source_text
from dissmodel_lab.views.charts import charts_figure
from dissmodel_lab.views.map_view import PNG_BUDGET, map_figure, png_of, share_bounds, swipe
from dissmodel_lab.views.markup import escape, escape_short
from dissmodel_lab.views.phases import phases_html
from dissmodel_lab.views.player import film_html

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.maps.frames import Frames

_KEY = "padding:1px 14px 1px 0;text-align:left;vertical-align:top;border:none;opacity:0.75;overflow-wrap:break-word"
_VALUE = "padding:1px 0;text-align:left;vertical-align:top;border:none;overflow-wrap:anywhere;min-width:9em"
_MANY = 40
"""Longest series, or text in a series, that is shown in full [characters and entries]."""
LIMIT = 300_000
"""Longest HTML of one run, pictures included [bytes]."""
_LEGENDS = 45_000
"""What legends, places and notes of the maps may take of it [bytes]."""
_WARNINGS = 12
"""How many warnings are shown."""
_LOG = 20_000
"""How much of the log's end is shown [bytes]."""
_MAX_COMPARED = 64 * 1024 * 1024
"""Largest file whose SHA-256 is worked out to see whether it has changed [bytes]."""


@dataclass
class RunMaps:
    """The pictures of one run's input and output, and why one is missing."""

    before: Preview | None = None
    after: Preview | None = None
    frames: Frames | None = None
    """Pictures of its steps, and its series."""
    notes: list[str] = field(default_factory=list)


def maps_of(record: ExperimentRecord, *, before: Preview | None = None, frames: Frames | None = None) -> RunMaps:
    """
    Draw a run's input and output from the files that its record names, and read the frames of its steps.

    What cannot be drawn is said in ``notes`` and stops nothing.

    Parameters
    ----------
    record : ExperimentRecord
        Of a run that is over.
    before : Preview, optional
        The input's picture, when it is drawn already.
    frames : Frames, optional
        Its frames, when they are in memory already.
    """
    maps = RunMaps(before=before, frames=frames)
    classes = loaded_executor(record)  # its constants may say what classes are called
    if before is None:
        maps.before = _try_preview(source_path(record), "input", maps.notes, classes=classes)
    if "output" in record.artifacts:  # else the path only says where the output should have come to lie
        place = kept_georeference(record)
        maps.after = _try_preview(
            record.artifact_path(), "output", maps.notes, like=maps.before, classes=classes, georeference=place
        )
    if frames is None and record.record_path is not None:
        maps.frames = read_frames(Path(record.record_path).parent, maps.notes)
    if maps.frames is not None and maps.after is not None:
        maps.frames = maps.frames.with_colours_of(maps.after.legend)
    return maps


def changes_since(record: ExperimentRecord) -> list[str]:
    """
    Say which of a run's files are no longer those that its record tells of.

    Parameters
    ----------
    record : ExperimentRecord
        As it was read from the store. Files larger than 64 MiB and folders are not compared.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> changes_since(ExperimentRecord())
    []
    """
    output = record.artifact_path() if "output" in record.artifacts else None
    files = [
        (message("The input has changed since the run."), source_path(record), record.source.checksum),
        (message("The output has changed since the run."), output, record.output_sha256 or ""),
    ]
    return [sentence for sentence, path, said in files if _differs(path, said)]


def _differs(path: Path | None, said: str) -> bool:
    # Other programs write other checksums; only a SHA-256 can be compared.
    if path is None or not re.fullmatch(r"[0-9a-fA-F]{64}", said):
        return False
    try:
        if not path.is_file() or path.stat().st_size > _MAX_COMPARED:
            return False
        return file_sha256(path) != said.lower()
    except (OSError, ValueError):  # it is gone, or cannot be read: the picture that is missing says so
        return False


def record_bundle(record: ExperimentRecord, maps: RunMaps | None = None) -> dict[str, str]:
    """
    Return what a notebook stores of a run: plain text, HTML without scripts and, with a map, a PNG.

    Parameters
    ----------
    record : ExperimentRecord
        Of a run that is over.
    maps : RunMaps, optional
        Pictures that are drawn already.
    """
    drawn = maps if maps is not None else maps_of(record)
    shared = shareable(record)
    bundle = {"text/plain": shared_record_text(shared), "text/html": _html(shared, drawn)}
    picture = drawn.after or drawn.before
    if picture is not None:
        bundle["image/png"] = base64.b64encode(png_of(picture)).decode("ascii")
    return bundle


def record_html(record: ExperimentRecord, maps: RunMaps) -> str:
    """
    Draw a run: title, phases, maps, swipe, and tables of what went in and came out.

    Parameters
    ----------
    record : ExperimentRecord
        Everything in it is untrusted text and escaped.
    maps : RunMaps
        Its pictures.
    """
    return _html(shareable(record), maps)


def _html(record: ExperimentRecord, maps: RunMaps) -> str:
    """Draw a record without secrets; whatever it holds, the HTML stays below :data:`LIMIT`."""
    metrics = {name: value for name, value in record.metrics.items() if not _name_text(name).startswith("time_")}
    above = _title(record) + phases_html(Progress.from_record(record)) + _error(record) + _warnings(record)
    below = (
        _facts(record)
        + _table(say("Parameters"), record.parameters, 24_000)
        + _table(say("Defaults that the model took"), record.defaults_taken, 12_000)
        + _table(say("Metrics"), metrics, 24_000)
        + _details(record)
    )
    # What the texts leave is for the pictures: each stands there twice, in base64; the rest is their legends.
    room = LIMIT - len(above.encode()) - len(below.encode()) - _LEGENDS
    steps = _steps_html(maps.frames, room // 3)
    pictures = _maps_html(maps, min(PNG_BUDGET, (room - len(steps.encode())) * 3 // 16)) + steps
    return f'<div style="font-size:13px;line-height:1.5">{above}{pictures}{below}</div>'


def _title(record: ExperimentRecord) -> str:
    name, run_id = escape_short(record.model_name, 400), escape(record.experiment_id[:8])
    moment = record.created_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    run, status = say("run {run}", run=run_id), escape_short(status_text(record.status), 200)
    return (
        f'<div style="font-size:15px"><b>{name}</b> &middot; {status} '
        f'<span style="opacity:0.75">&middot; {run} &middot; {moment}</span></div>'
    )


def _error(record: ExperimentRecord) -> str:
    if not record.error:
        return ""
    status, phase = escape_short(status_text(record.status), 200), escape_short(record.failed_phase or "", 200)
    head = say("{status} in phase {phase}", status=status, phase=phase) if phase else status
    # Who pressed the stop button need not read Python's word for it.
    words = record.error.removeprefix("KeyboardInterrupt").removeprefix(": ")
    said = f"<br>{escape_short(words, 8_000)}" if words else ""
    colour = "#b26a00" if record.status == RunStatus.CANCELLED else "#c62828"
    return (
        f'<div role="alert" style="border-left:4px solid {colour};padding:2px 10px;margin:6px 0;'
        f'overflow-wrap:anywhere"><b>{head}</b>{said}</div>'
    )


def _warnings(record: ExperimentRecord) -> str:
    """Draw what a person should not miss, as many lines as fit; the log holds them all."""
    warnings = list(dict.fromkeys(map(in_language, record.warnings)))
    if not warnings:
        return ""
    lines = "".join(f"<div>&#9888; {escape_short(text, 1_000)}</div>" for text in warnings[:_WARNINGS])
    n_more = len(warnings) - _WARNINGS
    more = f"<div>{say('and {n:,} more in the log', n=n_more)}</div>" if n_more > 0 else ""
    return (
        '<div role="note" style="border-left:4px solid #b26a00;padding:2px 10px;margin:6px 0;'
        f'overflow-wrap:anywhere">{lines}{more}</div>'
    )


def _maps_html(maps: RunMaps, budget: int) -> str:
    drawn = [
        (picture, title) for picture, title in ((maps.before, say("Input")), (maps.after, say("Output"))) if picture
    ]
    # Beside each other where the page is wide enough, else one below the other.
    box = "display:inline-block;vertical-align:top;margin:6px 16px 0 0;max-width:100%"
    figures = "".join(
        f'<div style="{box}">{map_figure(picture, title, budget=budget)}</div>' for picture, title in drawn
    )
    both = ""
    if maps.before and maps.after and share_bounds(maps.before, maps.after):
        both = swipe(maps.before, maps.after, (say("input"), say("output")), budget=budget, with_legends=False)
    notes = "".join(
        f'<div style="opacity:0.8">{escape_short(redact_text(in_language(note)), 1_000)}</div>' for note in maps.notes
    )
    return figures + both + notes


def _steps_html(frames: Frames | None, room: int) -> str:
    """Draw the steps and the values within so many bytes of HTML, of which base64 takes a third."""
    if frames is None:
        return ""
    charts = charts_figure(frames.series, budget=room // 3)
    left = room - len(charts.encode())
    film = film_html(frames, budget=left * 3 // 5)
    return charts + (film if len(film.encode()) <= left else "")


def _facts(record: ExperimentRecord) -> str:
    facts = {
        say("input"): _with_hash(source_text(record), record.source.checksum),
        say("output"): _with_hash(record.output_path or "", record.output_sha256 or ""),
        say("record"): path_text(record.record_path) if record.record_path is not None else "",
    }
    others = {
        say("artifact {name}", name=name): _with_hash(record.artifact_paths.get(name, ""), checksum)
        for name, checksum in record.artifacts.items()
        if name != "output"
    } | {
        say("file of {place}", place=place): f"sha256 {checksum}"
        for place, checksum in record.parameter_files.items()
    }
    return _table("", {name: text for name, text in {**facts, **others}.items() if text}, 12_000, limit=2_000)


def _with_hash(name: str, checksum: str) -> str:
    return f"{name}  (sha256 {checksum})" if checksum else name


def _details(record: ExperimentRecord) -> str:
    parts = []
    if record.logs:
        parts.append(_fold(say("Log"), _pre(_last_lines(record.logs), "white-space:pre-wrap;overflow-wrap:anywhere")))
    if record.provenance is not None:
        facts = record.provenance.model_dump(mode="json", exclude_defaults=True)
        cell = facts.pop("cell_source", "")
        source = _pre(escape_short(cell, 10_000), "white-space:pre-wrap") if cell else ""
        # The machine's own names belong to the record on disk, not into a notebook that is shared.
        shared = {k: v for k, v in facts.items() if k not in _OF_THE_MACHINE}
        parts.append(_fold(say("Provenance"), source + _table("", shared, 8_000)))
    return "".join(parts)


def _pre(text: str, style: str) -> str:
    return f'<pre style="{style}">{text}</pre>'


def _last_lines(logs: Sequence[str]) -> str:
    """Return the end of a log as HTML, whole lines as far as they fit."""
    kept: list[str] = []
    room = _LOG
    for line in reversed(logs):
        shown = escape_short(without_machine_paths(line), _LOG // 2)
        room -= len(shown.encode()) + 1
        if room < 0:
            break
        kept.append(shown)
    left_out = len(logs) - len(kept)
    more = (
        say_n("({n} earlier entry stands in the record)", "({n} earlier entries stand in the record)", left_out)
        + "\n"
        if left_out
        else ""
    )
    return more + "\n".join(reversed(kept))


def without_machine_paths(text: str) -> str:
    """
    Shorten the paths in a traceback: a notebook is shared, and where a machine keeps its packages is its own matter.

    Parameters
    ----------
    text : str
        A log; the record on disk keeps it whole.

    Examples
    --------
    >>> without_machine_paths('File "/home/ana/.venv/lib/python3.11/site-packages/numpy/core.py", line 3')
    'File "numpy/core.py", line 3'
    >>> without_machine_paths('File "/tmp/ipykernel_42/123.py", line 7')
    'File "<cell>", line 7'
    >>> without_machine_paths('File "/usr/lib/python3.12/threading.py", line 9')
    'File "threading.py", line 9'
    """
    text = re.sub(r'(?<=File ")[^"\n]*[/\\]ipykernel_\d+[/\\]\d+\.py', "<cell>", text)
    text = re.sub(r'(?<=File ")[^"\n]*[/\\](?:site|dist)-packages[/\\]', "", text)
    text = re.sub(r'(?<=File ")[^"\n]*[/\\]lib[/\\]python3\.\d+[/\\]', "", text)
    return text.replace(f'File "{_OUR_FOLDER}{os.sep}', 'File "')


_OUR_FOLDER = str(Path(__file__).parents[2])
_OF_THE_MACHINE = frozenset(
    {
        "user",
        "hostname",
        "working_folder",
        "notebook_path",
        "process_id",
        "process_started",
        "process_mark",
        "command",
    }
)


def _fold(title: str, body: str) -> str:
    return f'<details style="margin:4px 0"><summary style="cursor:pointer">{title}</summary>{body}</details>'


def _table(title: str, values: Mapping[Any, Any], budget: int, *, limit: int = 400) -> str:
    """Draw names and values, as many as fit into so many bytes; one value has at most ``limit`` of them."""
    if not values:
        return ""
    rows: list[str] = []
    for name, value in values.items():
        row = (
            f'<tr><td style="{_KEY}">{escape_short(_name_text(name), 160)}</td>'
            f'<td style="{_VALUE}">{escape_short(_value_text(value), limit)}</td></tr>'
        )
        budget -= len(row.encode())
        if budget < 0:
            break
        rows.append(row)
    left_out = len(values) - len(rows)
    more = f"<div>{say('and {n:,} more, which stand in the record', n=left_out)}</div>" if left_out else ""
    head = f"<b>{title}</b>" if title else ""
    return (
        f'<div style="margin:6px 0">{head}<table style="border-collapse:collapse">{"".join(rows)}</table>{more}</div>'
    )


def _name_text(name: Any) -> str:
    return name if isinstance(name, str) else _value_text(name)


def _value_text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and len(value) > _MANY // 4:
        pairs = list(value.items())
        first, last = ", ".join(_pair_text(*pair) for pair in pairs[:3]), _pair_text(*pairs[-1])
        return say("{first}, ... {last} ({n:,} entries)", first=first, last=last, n=len(pairs))
    if isinstance(value, list | tuple) and len(value) > _MANY:
        return say("{first}, ... ({n:,} entries)", first=", ".join(map(_brief, value[:5])), n=len(value))
    return json.dumps(encode(value), ensure_ascii=False, allow_nan=False)


def _pair_text(name: Any, value: Any) -> str:
    return f"{_brief(name)}: {_brief(value)}"


def _brief(value: Any) -> str:
    return cut(_value_text(value), _MANY)


def _try_preview(path: Path | None, role: str, notes: list[str], **style: Any) -> Preview | None:
    if path is None or not is_map_file(path):
        return None
    try:
        return preview(path, **style) if path.exists() else None
    except LabError as error:
        notes.append(_no_map(role, error.said))
    except Exception as error:  # noqa: BLE001 -- a file that no reader understands must not hide the run itself
        notes.append(_no_map(role, f"{type(error).__name__}: {error}"))
    return None


def _no_map(role: str, problem: str) -> str:
    if role == "input":
        return say("No map of the input: {problem}", problem=problem)
    return say("No map of the output: {problem}", problem=problem)
