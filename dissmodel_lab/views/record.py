"""One run, whole: phases, maps, swipe, what went in and came out. Static; it reads without a kernel."""

from __future__ import annotations

import base64
import html
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissmodel_lab.errors import LabError
from dissmodel_lab.executor.jsonvalue import encode
from dissmodel_lab.maps import Preview, preview
from dissmodel_lab.progress import Progress
from dissmodel_lab.sources import local_path
from dissmodel_lab.texts import record_text
from dissmodel_lab.views.map_view import map_figure, png_of, share_bounds, swipe
from dissmodel_lab.views.phases import phases_html

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dissmodel_lab.executor.schemas import ExperimentRecord

_MAP_SUFFIXES = (".tif", ".tiff", ".gpkg", ".shp", ".geojson", ".fgb", ".zip")
_KEY = "padding:1px 14px 1px 0;text-align:left;vertical-align:top;border:none;white-space:nowrap;opacity:0.75"
_VALUE = "padding:1px 0;text-align:left;vertical-align:top;border:none;overflow-wrap:anywhere;max-width:640px"
_MANY = 40
"""Longest series or text of a metric that is shown in full [characters and entries]."""


@dataclass
class RunMaps:
    """The pictures of one run's input and output, and why one is missing."""

    before: Preview | None = None
    after: Preview | None = None
    notes: list[str] = field(default_factory=list)


def is_map_file(path: Path) -> bool:
    """
    Tell whether a file's name promises something that can be drawn.

    Examples
    --------
    >>> from pathlib import Path
    >>> is_map_file(Path("a.TIF")), is_map_file(Path("report.md"))
    (True, False)
    """
    return path.suffix.lower() in _MAP_SUFFIXES


def maps_of(record: ExperimentRecord, *, before: Preview | None = None) -> RunMaps:
    """
    Draw a run's input and output from the files that its record names.

    What cannot be drawn is said in ``notes`` and stops nothing.

    Parameters
    ----------
    record : ExperimentRecord
        Of a run that is over.
    before : Preview, optional
        The input's picture, when it is drawn already.
    """
    maps = RunMaps(before=before)
    if before is None:
        maps.before = _try_preview(local_path(record.source), "input", maps.notes)
    maps.after = _try_preview(record.artifact_path(), "output", maps.notes, like=maps.before)
    return maps


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
    bundle = {"text/plain": record_text(record), "text/html": record_html(record, drawn)}
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
    parts = [
        _title(record),
        phases_html(Progress.from_record(record)),
        _error(record),
        _maps_html(maps),
        _facts(record),
        _table("Parameters", record.parameters),
        _table("Metrics", {k: v for k, v in record.metrics.items() if not k.startswith("time_")}),
        _details(record),
    ]
    return f'<div style="font-size:13px;line-height:1.5">{"".join(parts)}</div>'


def _title(record: ExperimentRecord) -> str:
    name, run_id = html.escape(record.model_name), html.escape(record.experiment_id[:8])
    moment = record.created_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    return (
        f'<div style="font-size:15px"><b>{name}</b> &middot; {html.escape(record.status)} '
        f'<span style="opacity:0.75">&middot; run {run_id} &middot; {moment}</span></div>'
    )


def _error(record: ExperimentRecord) -> str:
    if not record.error:
        return ""
    where = f" in phase {html.escape(record.failed_phase)}" if record.failed_phase else ""
    return (
        '<div role="alert" style="border-left:4px solid #c62828;padding:2px 10px;margin:6px 0;'
        f'overflow-wrap:anywhere"><b>{html.escape(record.status)}{where}</b><br>{html.escape(record.error)}</div>'
    )


def _maps_html(maps: RunMaps) -> str:
    drawn = [(picture, title) for picture, title in ((maps.before, "Input"), (maps.after, "Output")) if picture]
    # Beside each other where the page is wide enough, else one below the other.
    box = "display:inline-block;vertical-align:top;margin:6px 16px 0 0"
    figures = "".join(f'<div style="{box}">{map_figure(picture, title)}</div>' for picture, title in drawn)
    both = ""
    if maps.before and maps.after and share_bounds(maps.before, maps.after):
        both = swipe(maps.before, maps.after, ("input", "output"), with_legends=False)
    notes = "".join(f'<div style="opacity:0.8">{html.escape(note)}</div>' for note in maps.notes)
    return figures + both + notes


def _facts(record: ExperimentRecord) -> str:
    facts = {
        "input": _with_hash(record.source.uri, record.source.checksum),
        "output": _with_hash(record.output_path or "", record.output_sha256 or ""),
        "record": str(record.record_path or ""),
    }
    others = {
        f"artifact {name}": _with_hash(record.artifact_paths.get(name, ""), checksum)
        for name, checksum in record.artifacts.items()
        if name != "output"
    }
    return _table("", {name: text for name, text in {**facts, **others}.items() if text})


def _with_hash(name: str, checksum: str) -> str:
    return f"{name}  (sha256 {checksum})" if checksum else name


def _details(record: ExperimentRecord) -> str:
    parts = []
    if record.logs:
        lines = html.escape(without_machine_paths("\n".join(record.logs)[-20_000:]))
        parts.append(_fold("Log", f'<pre style="white-space:pre-wrap;overflow-wrap:anywhere">{lines}</pre>'))
    if record.provenance is not None:
        facts = record.provenance.model_dump(mode="json", exclude_defaults=True)
        cell = facts.pop("cell_source", "")
        source = f'<pre style="white-space:pre-wrap">{html.escape(cell)}</pre>' if cell else ""
        # The machine's own names belong to the record on disk, not into a notebook that is shared.
        shared = {k: v for k, v in facts.items() if k not in _OF_THE_MACHINE}
        parts.append(_fold("Provenance", source + _table("", shared)))
    return "".join(parts)


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
    """
    text = re.sub(r'(?<=File ")[^"\n]*[/\\]ipykernel_\d+[/\\]\d+\.py', "<cell>", text)
    text = re.sub(r'(?<=File ")[^"\n]*[/\\](?:site|dist)-packages[/\\]', "", text)
    return text.replace(f'File "{_OUR_FOLDER}{os.sep}', 'File "')


_OUR_FOLDER = str(Path(__file__).parents[2])
_OF_THE_MACHINE = frozenset(
    {"user", "hostname", "working_folder", "notebook_path", "process_id", "process_started", "command"}
)


def _fold(title: str, body: str) -> str:
    return f'<details style="margin:4px 0"><summary style="cursor:pointer">{title}</summary>{body}</details>'


def _table(title: str, values: Mapping[Any, Any]) -> str:
    if not values:
        return ""
    head = f"<b>{title}</b>" if title else ""
    rows = "".join(
        f'<tr><td style="{_KEY}">{html.escape(str(name))}</td>'
        f'<td style="{_VALUE}">{html.escape(_value_text(value))}</td></tr>'
        for name, value in values.items()
    )
    return f'<div style="margin:6px 0">{head}<table style="border-collapse:collapse">{rows}</table></div>'


def _value_text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and len(value) > _MANY // 4:
        pairs = list(value.items())
        first, last = ", ".join(f"{k}: {_value_text(v)}" for k, v in pairs[:3]), pairs[-1]
        return f"{first}, ... {last[0]}: {_value_text(last[1])} ({len(pairs)} entries)"
    if isinstance(value, list | tuple) and len(value) > _MANY:
        return f"{', '.join(map(_value_text, value[:5]))}, ... ({len(value)} entries)"
    text = json.dumps(encode(value), ensure_ascii=False, allow_nan=False)
    return text if len(text) <= 400 else f"{text[:400]}... ({len(text)} characters)"  # noqa: PLR2004


def _try_preview(path: Path | None, role: str, notes: list[str], *, like: Preview | None = None) -> Preview | None:
    if path is None or not is_map_file(path) or not path.exists():
        return None
    try:
        return preview(path, like=like)
    except LabError as error:
        notes.append(f"No map of the {role}: {error}")
    except Exception as error:  # noqa: BLE001 -- a file that no reader understands must not hide the run itself
        notes.append(f"No map of the {role}: {type(error).__name__}: {error}")
    return None
