"""Runs and models in plain text: for the terminal, and for the plain-text twin of what a notebook shows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from dissmodel_lab.executor.schemas import ExperimentRecord
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.resolve import listed_models

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dissmodel_lab.index import RunEntry

MODEL_COLUMNS = ["model", "package", "input", "output", "what it does", "executor", "problem"]
_LONGEST = 2_000
"""Longest text of a record that is shown in plain text [characters]; all of it stands in the record."""
# Overrides and isolates of the writing direction: a file name could pretend to be another one with them.
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")
# What a terminal obeys instead of showing it: C0, C1 and DEL.
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f]")
_NO_LAYOUT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\r(?!\n)")
"""The same without tabs and the ends of lines."""
_LONGEST_CELL = 400
"""Longest text in the list of models [characters]."""
RUN_COLUMNS = ["run", "model", "status", "when (UTC)", "seconds", "what happened"]


def model_rows(namespace: Mapping[str, Any] | None = None) -> list[list[str]]:
    """
    Return each model that can be found as a row of texts under :data:`MODEL_COLUMNS`.

    Installed packages that may hold models are imported, once in a process. A package that cannot be searched
    has a row too: without a name, with its problem.

    Parameters
    ----------
    namespace : mapping, optional
        The notebook's variables; models that are defined there are listed too.

    Examples
    --------
    >>> [row[2:4] for row in model_rows() if row[0] == "coastal_flood"]
    [['raster', 'raster']]
    """
    from dissmodel_lab.discovery.kinds import UNKNOWN, kinds_of  # noqa: PLC0415 -- only for this list

    rows = []
    for found in listed_models(namespace):
        taken, made = (UNKNOWN, UNKNOWN) if found.executor_class is None else kinds_of(found.executor_class)
        summary = "" if found.executor_class is None else summary_of(found.executor_class)
        cells = [found.name or "-", found.origin, taken, made, summary, found.path, found.problem]
        rows.append([_in_a_cell(cell) for cell in cells])
    return rows


def _in_a_cell(text: str) -> str:
    """Put a text that others wrote on one line, without the signs that steer a terminal."""
    return short(_STEERING.sub("", " ".join(text.split())), _LONGEST_CELL)


def summary_of(executor_class: type[Any]) -> str:
    """
    Return the first line of a class's own docstring; empty when it has none, or begins with an underlined heading.

    Examples
    --------
    >>> summary_of(int)[:7]
    'int([x]'
    """
    text = vars(executor_class).get("__doc__")
    lines = text.strip().splitlines() if isinstance(text, str) else []
    is_heading = len(lines) > 1 and re.fullmatch(r"\s*([-=~])\1{3,}\s*", lines[1]) is not None
    return lines[0].strip() if lines and not is_heading else ""


def run_row(entry: RunEntry) -> list[str]:
    """
    Return a run as a row of texts under :data:`RUN_COLUMNS`.

    Examples
    --------
    >>> from datetime import datetime, UTC
    >>> from pathlib import Path
    >>> from dissmodel_lab.index import RunEntry
    >>> run_row(RunEntry("ab12cd34ef", "flood", "failed", datetime(2026, 1, 2, tzinfo=UTC), Path("."), phase="load"))
    ['ab12cd34', 'flood', 'failed', '2026-01-02 00:00:00', '', 'in phase load']
    """
    problem = redact_text(entry.problem) or (f"in phase {entry.phase}" if entry.phase else "")
    return [
        entry.experiment_id[:8],
        entry.model_name,
        entry.status,
        entry.created_at.strftime("%Y-%m-%d %H:%M:%S"),
        "" if entry.seconds is None else f"{entry.seconds:.3f}",
        problem.splitlines()[0][:160] if problem else "",
    ]


def visible(text: str) -> str:
    r"""
    Show signs that turn the order of letters around or steer a terminal, and what is no Unicode, by their code.

    Tabs and the ends of lines stay.

    Examples
    --------
    >>> print(visible("a" + chr(0x202E) + "b" + chr(27) + "[31m"))
    a\u202eb\x1b[31m
    """
    text = _TURNING.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    text = _NO_LAYOUT.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
    return text.encode("utf-8", "backslashreplace").decode()


def short(text: str, limit: int) -> str:
    """
    Cut a text at a limit, and say how much is left out.

    Examples
    --------
    >>> short("abcdef", 4)
    'abcd ... (2 more characters)'
    """
    return text if len(text) <= limit else f"{text[:limit]} ... ({len(text) - limit:,} more characters)"


def shareable(record: ExperimentRecord) -> ExperimentRecord:
    """
    Return a copy of a record as it is on disk: without secrets, fit to be shown in a notebook that is shared.

    Parameters
    ----------
    record : ExperimentRecord
        It stays as it is. Where an executor put something into it that cannot be written, the copy says what
        the run was and how it ended, and no more.

    Examples
    --------
    >>> shareable(ExperimentRecord(parameters={"api_key": "s3cr3t"})).parameters
    {'api_key': '***'}
    """
    try:
        copy = ExperimentRecord.model_validate_json(record.model_dump_json(warnings=False))
    except Exception:  # noqa: BLE001 -- whatever an executor spoiled, what is left of the record is shown
        copy = _what_is_left(record)
    copy._record_path = record.record_path  # noqa: SLF001 -- private to keep it out of the JSON
    return copy


def _what_is_left(record: ExperimentRecord) -> ExperimentRecord:
    left = ExperimentRecord()
    for name in ("experiment_id", "model_name", "status", "failed_phase", "error"):
        value = getattr(record, name, None)
        if isinstance(value, str):
            setattr(left, name, redact_text(value))
    left.logs = ["The rest of this record cannot be shown: the executor put something into it that is no data."]
    return left


def record_text(record: ExperimentRecord) -> str:
    """
    Say in a few lines what a run was and how it ended, without secrets.

    Examples
    --------
    >>> print(record_text(ExperimentRecord(experiment_id="ab12", model_name="flood", status="completed")))
    flood: completed (run ab12)
    """
    return shared_record_text(shareable(record))


def shared_record_text(record: ExperimentRecord) -> str:
    """
    Say the same of what :func:`shareable` returned.

    Examples
    --------
    >>> print(shared_record_text(ExperimentRecord(experiment_id="ab12", model_name="flood", status="failed")))
    flood: failed (run ab12)
    """
    lines = [f"{short(record.model_name, 200)}: {short(record.status, 200)} (run {record.experiment_id[:8]})"]
    if record.error:
        lines.append(f"  {short(record.failed_phase or 'error', 200)}: {short(record.error, _LONGEST)}")
    lines += [f"  warning {short(warning, _LONGEST)}" for warning in record.warnings]
    if record.source.checksum:
        lines.append(f"  input   {short(record.source.uri, _LONGEST)}  sha256 {short(record.source.checksum, 200)}")
    if record.output_sha256:
        path = short(record.output_path or "", _LONGEST)
        lines.append(f"  output  {path}  sha256 {short(record.output_sha256, 200)}")
    if record.record_path is not None:
        lines.append(f"  record  {record.record_path}")
    return visible("\n".join(lines))


def table_text(columns: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> str:
    """
    Write a table of texts in columns, for the terminal and the plain-text twin.

    Examples
    --------
    >>> print(table_text(["name", "n"], [["flood", "3"]], "nothing"))
    name   n
    flood  3
    """
    if not rows:
        return empty
    lines = [columns, *([visible(" ".join(cell.splitlines())) for cell in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def cancelled_text(interrupt: KeyboardInterrupt) -> str:
    """
    Say what an interrupt has stopped: a run that left a record, or nothing yet.

    Parameters
    ----------
    interrupt : KeyboardInterrupt
        As :func:`dissmodel_lab.run` raised it; its note names the record.

    Examples
    --------
    >>> cancelled_text(KeyboardInterrupt())
    'Interrupted; no run was cancelled by it.'
    """
    if getattr(interrupt, "__notes__", None):
        return "The run was cancelled; its record is kept: %dissmodel show last"
    return "Interrupted; no run was cancelled by it."
