"""Runs and models in plain text: for the terminal, and for the plain-text twin of what a notebook shows."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissmodel_lab.executor.schemas import ExperimentRecord
from dissmodel_lab.language import in_language, mark, say
from dissmodel_lab.plain import cut, printable
from dissmodel_lab.progress import status_text
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.resolve import listed_models

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MODEL_COLUMNS = [
    mark("model"),
    mark("package"),
    mark("input"),
    mark("output"),
    mark("what it does"),
    mark("executor"),
    mark("problem"),
]
_KINDS = frozenset((mark("raster"), mark("vector"), mark("data cube"), mark("unknown")))
"""What a model takes and makes."""
_LONGEST = 2_000
"""Longest text of a record that is shown in plain text [characters]; all of it stands in the record."""
# What a terminal obeys instead of showing it: C0, C1 and DEL.
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f]")
_LONGEST_CELL = 400
"""Longest text in the list of models [characters]."""


def model_rows(namespace: Mapping[str, Any] | None = None) -> list[list[str]]:
    """
    Return each model that can be found as a row of texts under :data:`MODEL_COLUMNS`, in English.

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
    return [[_in_a_cell(cell) for cell in cells] for cells in _models(namespace)]


def model_table(namespace: Mapping[str, Any] | None = None) -> tuple[list[str], list[list[str]], str]:
    """
    Return the models as a table for people: its headings, its rows, and what is said instead of no rows.

    Parameters
    ----------
    namespace : mapping, optional
        The notebook's variables; models that are defined there are listed too.

    Examples
    --------
    >>> columns, rows, _ = model_table()
    >>> columns[:3], [row[2:4] for row in rows if row[0] == "coastal_flood"]
    (['model', 'package', 'input'], [['raster', 'raster']])
    """
    rows = [[_in_a_cell(cell) for cell in _said(cells)] for cells in _models(namespace)]
    return [say(column) for column in MODEL_COLUMNS], rows, say("No models are known.")


def _said(cells: list[str]) -> list[str]:
    name, origin, taken, made, *others = cells
    return [name, origin, _kinds_text(taken), _kinds_text(made), *map(in_language, others)]


def _kinds_text(kinds: str) -> str:
    """Say one kind, or one or another."""
    texts = [say(kind) if kind in _KINDS else kind for kind in kinds.split(" or ")]
    return functools.reduce(lambda one, other: say("{one} or {other}", one=one, other=other), texts)


def _models(namespace: Mapping[str, Any] | None) -> list[list[str]]:
    from dissmodel_lab.discovery.kinds import UNKNOWN, kinds_of  # noqa: PLC0415 -- only for this list

    rows = []
    for found in listed_models(namespace):
        taken, made = (UNKNOWN, UNKNOWN) if found.executor_class is None else kinds_of(found.executor_class)
        summary = "" if found.executor_class is None else summary_of(found.executor_class)
        rows.append([found.name or "-", found.origin, taken, made, summary, found.path, found.problem])
    return rows


def _in_a_cell(text: str) -> str:
    """Put a text that others wrote on one line, without the signs that steer a terminal."""
    return cut(_STEERING.sub("", " ".join(text.split())), _LONGEST_CELL)


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
    left.logs = [say("The rest of this record cannot be shown: the executor put something into it that is no data.")]
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
    model, status = cut(record.model_name, 200), cut(status_text(record.status), 200)
    head = [say("{model}: {status} (run {run})", model=model, status=status, run=record.experiment_id[:8])]
    if record.error:
        head.append(f"  {cut(record.failed_phase or say('error'), 200)}: {cut(record.error, _LONGEST)}")
    facts = [(say("warning"), cut(warning, _LONGEST)) for warning in map(in_language, record.warnings)]
    if record.source.checksum:
        checksum = cut(record.source.checksum, 200)
        facts.append((say("input"), f"{cut(source_text(record), _LONGEST)}  sha256 {checksum}"))
    if record.output_sha256:
        path = cut(record.output_path or "", _LONGEST)
        facts.append((say("output"), f"{path}  sha256 {cut(record.output_sha256, 200)}"))
    if record.record_path is not None:
        facts.append((say("record"), path_text(record.record_path)))
    width = max(len(say(word)) for word in _FACTS)
    return printable("\n".join([*head, *(f"  {name:<{width}} {text}" for name, text in facts)]))


_FACTS = (mark("warning"), mark("input"), mark("output"), mark("record"))


def path_text(path: Path) -> str:
    """
    Write a path as people name it: from the working folder where it lies in it.

    Examples
    --------
    >>> path_text(Path.cwd() / "experiments" / "record.json")
    'experiments/record.json'
    """
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):  # it lies elsewhere, or the working folder is gone
        return str(path)


def source_text(record: ExperimentRecord) -> str:
    """
    Write a run's input as people name it: a file by its path from the working folder, anything else by its URI.

    Examples
    --------
    >>> from dissmodel_lab.executor import DataSource
    >>> source_text(ExperimentRecord(source=DataSource(uri=str(Path.cwd() / "dem.tif"))))
    'dem.tif'
    """
    uri = record.source.uri
    return path_text(Path(uri)) if "://" not in uri and Path(uri).is_absolute() else uri


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
    lines = [columns, *([printable(" ".join(cell.splitlines())) for cell in row] for row in rows)]
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
        return say("The run was cancelled; its record is kept: %dissmodel show last")
    return say("Interrupted; no run was cancelled by it.")
