"""The Markdown profile of a run, as the command line of PyPI ``dissmodel`` (0.4 to 0.6) writes it beside its output.

Title, the two lines under it and the table *Execution Times* are as there, letter for letter, so that what reads
those reads these. What is known more stands in sections of its own behind it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissmodel_lab.executor.schemas import Provenance
from dissmodel_lab.exports.target import new_file
from dissmodel_lab.plain import Plain, as_on_disk, code, cut, flat_values, markdown, plain_value, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dissmodel_lab.executor.schemas import ExperimentRecord, PhaseUsage

_PHASES = {"validate": "Validate", "load": "Load", "run": "Run", "save": "Save"}
_MOST_ROWS = 500
"""Most rows of one table; the record holds all."""
_LONGEST = 1_000
"""Longest text of one cell [characters]."""
_LAST_LINES = 50
"""How many of the log's last lines are shown."""


def export_profile(record: ExperimentRecord, path: str | Path) -> Path:
    """
    Write a run's profile as Markdown.

    Parameters
    ----------
    record : ExperimentRecord
        A completed, failed or cancelled run; secrets are hidden.
    path : str or Path
        A new file.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ExportError
        When the path exists or the disk refuses.

    Examples
    --------
    >>> import tempfile
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> target = Path(tempfile.mkdtemp(), "profile.md")
    >>> record = ExperimentRecord(model_name="flood", metrics={"time_run_sec": 3.0, "time_total_sec": 4.0})
    >>> print(export_profile(record, target).read_text())
    # Profiling Report: flood
    ...
    | **Run**      | 3.000   | 75.0% |
    ...
    """
    path = Path(path)
    with new_file(path) as temporary:
        temporary.write_text(profile_text(record), encoding="utf-8", newline="\n")
    return path


def profile_text(record: ExperimentRecord) -> str:
    r"""
    Return the text of a run's profile.

    Parameters
    ----------
    record : ExperimentRecord
        Secrets in it are hidden, and its texts escaped.

    Raises
    ------
    ExportError
        When the record holds what is no data.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> profile_text(ExperimentRecord(model_name="<b>|flood")).splitlines()[0]
    '# Profiling Report: &lt;b&gt;\\|flood'
    """
    record = as_on_disk(record)
    sections = (
        _heading(record),
        _times(record),
        _usage(record.phases),
        _ending(record),
        _data(record),
        _table("Parameters", ("Name", "Value", "Origin"), _parameter_rows(record)),
        _table("Metrics", ("Name", "Value"), _metric_rows(record)),
        _table("Software", ("Name", "Version"), _software_rows(record)),
        _log(record.logs),
    )
    return "\n".join(section for section in sections if section)


def _heading(record: ExperimentRecord) -> str:
    return (
        f"# Profiling Report: {markdown(record.model_name or 'Model')}\n\n"
        f"**Experiment ID:** {code(record.experiment_id)}\n"
        f"**Date:** `{record.created_at.isoformat()}`\n"
    )


def _times(record: ExperimentRecord) -> str:
    total = _seconds(record, "total")
    rows = []
    for phase, title in _PHASES.items():
        seconds = _seconds(record, phase)
        label = f"**{title}**".ljust(12)
        if seconds is None:
            rows.append(f"| {label} | not run | |")
        else:
            gap = "  " if phase in ("load", "save") else "   "  # as there
            rows.append(f"| {label} | {seconds:.3f}{gap}| {_share(seconds, total)} |")
    whole = "not known" if total is None else f"**{total:.3f}**"
    rows.append(f"| {'**Total**'.ljust(12)} | {whole} | {'**100%**' if total else ''} |")
    head = "## Execution Times\n\n| Phase | Time (seconds) | % of Total |\n|---|---|---|\n"
    return head + "\n".join(rows) + "\n"


def _seconds(record: ExperimentRecord, phase: str) -> float | None:
    if phase in record.phases:
        return record.phases[phase].seconds
    value = record.metrics.get(f"time_{phase}_sec")
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    if phase == "total" and record.phases:
        return sum(usage.seconds for usage in record.phases.values())
    return None


def _share(seconds: float, total: float | None) -> str:
    return f"{seconds / total * 100:.1f}%" if total else ""


def _usage(phases: Mapping[str, PhaseUsage]) -> str:
    rows = [
        (name, _megabytes(usage.peak_memory_bytes), _megabytes(usage.read_bytes), _megabytes(usage.written_bytes))
        for name, usage in phases.items()
    ]
    return _table("Resources", ("Phase", "Peak memory [MB]", "Read [MB]", "Written [MB]"), rows)


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:.1f}"


def _ending(record: ExperimentRecord) -> str:
    facts = record.provenance or Provenance()
    rows: list[tuple[str, Plain]] = [
        ("Status", record.status),
        ("Phase", record.failed_phase),
        ("Error", record.error),
        ("Steps", record.steps),
        ("Seed", facts.seed),
        ("Executor", facts.executor_class),
        ("Package", facts.executor_package or record.model_commit),
    ]
    return _table("Run", ("What", "Value"), [row for row in rows if row[1] not in (None, "")])


def _data(record: ExperimentRecord) -> str:
    rows: list[tuple[str, Plain, Plain]] = []
    if record.source.uri or record.source.checksum:
        rows.append(("input", record.source.uri, record.source.checksum))
    rows += [(name, "", checksum) for name, checksum in record.parameter_files.items()]
    for name in dict.fromkeys([*record.artifacts, *record.artifact_paths]):
        where = record.artifact_paths.get(name) or (record.output_path if name == "output" else "")
        rows.append((name, where, record.artifacts.get(name, "")))
    return _table("Files", ("File", "Where", "SHA-256"), rows)


def _parameter_rows(record: ExperimentRecord) -> Iterable[tuple[Plain, ...]]:
    for name, value in flat_values(record.parameters).items():
        top = re.split(r"[.\[]", name, maxsplit=1)[0]
        yield name, value, record.parameter_origins.get(name) or record.parameter_origins.get(top, "")
    for name, value in flat_values(record.defaults_taken).items():
        yield name, value, "default taken"


def _metric_rows(record: ExperimentRecord) -> Iterable[tuple[Plain, ...]]:
    timed = {f"time_{phase}_sec" for phase in (*_PHASES, "total")}
    return [item for item in flat_values(record.metrics).items() if item[0] not in timed]


def _software_rows(record: ExperimentRecord) -> Iterable[tuple[Plain, ...]]:
    if record.provenance is None:
        return [("executor's package", record.code_version)] if record.code_version else []
    return sorted(record.provenance.versions.items())


def _log(lines: list[str]) -> str:
    if not lines:
        return ""
    shown = [printable(cut(str(line), _LONGEST)) for line in lines[-_LAST_LINES:]]
    left_out = len(lines) - len(shown)
    head = f"({left_out:,} earlier lines in the record)\n\n" if left_out else ""
    # Four spaces in front make a text of every line, whatever it holds.
    body = "\n".join(f"    {part}" for line in shown for part in line.splitlines() or [""])
    return f"## Log\n\n{head}{body}\n"


def _table(title: str, columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    given = list(rows)
    if not given:
        return ""
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(_cell(value) for value in row)} |" for row in given[:_MOST_ROWS]]
    left_out = len(given) - _MOST_ROWS
    more = f"\n({left_out:,} more in the record)\n" if left_out > 0 else ""
    return f"## {title}\n\n" + "\n".join(lines) + "\n" + more


def _cell(value: Plain) -> str:
    plain = plain_value(value)
    return "" if plain is None else markdown(str(plain).lower() if isinstance(plain, bool) else str(plain))
