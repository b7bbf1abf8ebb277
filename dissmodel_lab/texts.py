"""Runs and models in plain text: for the terminal, and for the plain-text twin of what a notebook shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dissmodel_lab.parameters import declared_parameters
from dissmodel_lab.resolve import import_path, known_models

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.index import RunEntry

MODEL_COLUMNS = ["model", "executor", "parameters", "what it does"]
RUN_COLUMNS = ["run", "model", "status", "when (UTC)", "seconds", "what happened"]


def model_rows(namespace: Mapping[str, Any] | None = None) -> list[list[str]]:
    """
    Return name, import path, parameters and summary of each known model.

    Examples
    --------
    >>> any(row[0] == "coastal_flood" for row in model_rows())
    True
    """
    rows = []
    for name, executor_class in known_models(namespace).items():
        schema = declared_parameters(executor_class)
        parameters = ", ".join(schema.model_fields) if schema is not None else "not declared"
        rows.append([name, import_path(executor_class), parameters, summary_of(executor_class)])
    return rows


def summary_of(executor_class: type[Any]) -> str:
    """
    Return the first line of a class's own docstring; empty when it has none.

    Examples
    --------
    >>> summary_of(int)[:7]
    'int([x]'
    """
    lines = (vars(executor_class).get("__doc__") or "").strip().splitlines()
    return lines[0].strip() if lines else ""


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
    problem = entry.problem or (f"in phase {entry.phase}" if entry.phase else "")
    return [
        entry.experiment_id[:8],
        entry.model_name,
        entry.status,
        entry.created_at.strftime("%Y-%m-%d %H:%M:%S"),
        "" if entry.seconds is None else f"{entry.seconds:.3f}",
        problem.splitlines()[0][:160] if problem else "",
    ]


def record_text(record: ExperimentRecord) -> str:
    """
    Say in a few lines what a run was and how it ended.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> print(record_text(ExperimentRecord(experiment_id="ab12", model_name="flood", status="completed")))
    flood: completed (run ab12)
    """
    lines = [f"{record.model_name}: {record.status} (run {record.experiment_id[:8]})"]
    if record.error:
        lines.append(f"  {record.failed_phase}: {record.error}")
    if record.source.checksum:
        lines.append(f"  input   {record.source.uri}  sha256 {record.source.checksum}")
    if record.output_sha256:
        lines.append(f"  output  {record.output_path}  sha256 {record.output_sha256}")
    if record.record_path is not None:
        lines.append(f"  record  {record.record_path}")
    return "\n".join(lines)


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
    lines = [columns, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
