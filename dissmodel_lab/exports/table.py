"""Many runs as one table, for spreadsheets and data frames: CSV (RFC 4180) and Parquet.

A row a run. First what every run has (:data:`RUN_COLUMNS`), then ``parameters.NAME`` and ``metrics.NAME``, each
sorted by name; nested values have flat names (``parameters.potential[0].betas.dist``). A value that a run does
not have is empty (CSV) or null (Parquet). Columns are known only after the last run: rows wait in a temporary
file, so that memory does not grow with the number of runs.
"""

from __future__ import annotations

import csv
import datetime as dt
import itertools
import json
import re
import tempfile
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from dissmodel_lab.annotations import read_annotations
from dissmodel_lab.errors import ExportError
from dissmodel_lab.executor.schemas import ExperimentRecord
from dissmodel_lab.exports.target import missing_library, new_file, unwritable
from dissmodel_lab.language import message
from dissmodel_lab.plain import Plain, as_on_disk, flat_values, plain_value
from dissmodel_lab.titles import title_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

RUN_COLUMNS = (
    "id",
    "model",
    "title",
    "tags",
    "status",
    "created",
    "started",
    "ended",
    "seconds",
    "steps",
    "phase",
    "error",
    "source",
    "source_sha256",
    "output",
    "output_sha256",
    "output_content_sha256",
    "package",
    "version",
    "commit",
    "seed",
)
"""What every row begins with; names are those of conditions on runs where there is such a condition."""

_MOMENTS = ("created", "started", "ended")
_EXACT = 2**53
"""Whole numbers up to here are exact as 64-bit floats."""
_LONG = 2**63
_ROWS_AT_ONCE = 500
# What a spreadsheet takes for a formula, also behind a tab or in full width, and the mark that makes it a text.
_FORMULA = re.compile(r"['=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def export_csv(records: ExperimentRecord | Iterable[ExperimentRecord], path: str | Path) -> Path:
    """
    Write runs as CSV after RFC 4180: UTF-8, commas, lines that end in CRLF, texts in quotation marks.

    Numbers are written so that they read back as the same; ``nan``, ``inf``, ``true`` and ``false`` as these
    words; times in ISO 8601, UTC. A text that a spreadsheet would take for a formula (it begins with ``=``,
    ``+``, ``-``, ``@``, a tab or the end of a line), or that begins with an apostrophe, gets an apostrophe in
    front (OWASP, *CSV Injection*): whoever reads the texts back takes one leading apostrophe away.

    Parameters
    ----------
    records : ExperimentRecord or iterable of ExperimentRecord
        Read one by one; secrets are hidden.
    path : str or Path
        A new file.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ExportError
        When there is no run, the path exists or the disk refuses.

    Examples
    --------
    >>> target = Path(tempfile.mkdtemp(), "runs.csv")
    >>> runs = [ExperimentRecord(model_name="=1+1", parameters={"rise": 0.5 * n}) for n in range(3)]
    >>> with export_csv(runs, target).open(newline="") as file:
    ...     [(row["model"], row["parameters.rise"]) for row in csv.DictReader(file)]
    [("'=1+1", '0.0'), ("'=1+1", '0.5'), ("'=1+1", '1.0')]
    """
    path = Path(path)
    with (
        _spooled(records, path) as spool,
        new_file(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(map(_harmless, spool.columns))
        for row in spool.rows():
            writer.writerow([_cell(row.get(name)) for name in spool.columns])
    return path


def export_parquet(records: ExperimentRecord | Iterable[ExperimentRecord], path: str | Path) -> Path:
    """
    Write runs as Parquet, each column with the one type that holds all of its values.

    Booleans, 64-bit integers, 64-bit floats (integers with them where all are exact), UTC times for ``created``,
    ``started`` and ``ended``, else texts. A column that mixes texts and numbers holds texts, as CSV writes them.

    Parameters
    ----------
    records : ExperimentRecord or iterable of ExperimentRecord
        Read one by one; secrets are hidden.
    path : str or Path
        A new file.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ExportError
        When there is no run, ``pyarrow`` is not installed, the path exists or the disk refuses.

    Examples
    --------
    >>> import pyarrow.parquet
    >>> target = Path(tempfile.mkdtemp(), "runs.parquet")
    >>> runs = [ExperimentRecord(parameters={"rise": rise}) for rise in (1, 0.5)]
    >>> pyarrow.parquet.read_table(export_parquet(runs, target))["parameters.rise"].to_pylist()
    [1.0, 0.5]
    """
    pa, parquet = _pyarrow()
    path = Path(path)
    with _spooled(records, path) as spool, new_file(path) as temporary:
        types = {name: _column_type(pa, name, spool.kinds[name]) for name in spool.columns}
        schema = pa.schema(list(types.items()))
        with parquet.ParquetWriter(temporary, schema) as writer:
            for rows in _batches(spool.rows()):
                columns = [
                    pa.array([_typed(row.get(name), types[name], pa) for row in rows], types[name])
                    for name in spool.columns
                ]
                writer.write_table(pa.Table.from_arrays(columns, schema=schema))
    return path


class _Spool:
    """Rows in a temporary file, one JSON line each, and what is known of their columns."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self.kinds: dict[str, set[str]] = defaultdict(set)
        """What kinds of values a column holds: ``bool``, ``int``, ``float``, ``long`` (beyond 2**53), ``text``."""
        self.columns: list[str] = []
        self.n_rows = 0

    def add(self, row: dict[str, Plain]) -> None:
        for name, value in row.items():
            kinds = self.kinds[name]
            if value is not None:
                kinds.add(_kind(value))
        self._file.write(f"{json.dumps(row)}\n")
        self.n_rows += 1

    def close_rows(self) -> None:
        """Settle the order of the columns: stable for the same runs, whatever their order."""
        more = sorted(set(self.kinds) - set(RUN_COLUMNS), key=lambda name: (name.startswith("metrics."), name))
        self.columns = [*RUN_COLUMNS, *more]

    def rows(self) -> Iterator[dict[str, Plain]]:
        self._file.seek(0)
        return map(json.loads, self._file)


@contextmanager
def _spooled(records: ExperimentRecord | Iterable[ExperimentRecord], path: Path) -> Iterator[_Spool]:
    given = [records] if isinstance(records, ExperimentRecord) else records
    try:
        with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
            spool = _Spool(file)
            for record in given:
                spool.add(row_of(record))
            spool.close_rows()
            if not spool.n_rows:
                raise ExportError(
                    message("There is no run to export to {path!r}. Nothing was written.", path=str(path))
                )
            yield spool
    except OSError as error:  # the temporary file's own disk
        raise ExportError(unwritable(path, error)) from error


def row_of(record: ExperimentRecord) -> dict[str, Plain]:
    """
    Return a run as a row: :data:`RUN_COLUMNS`, then ``parameters.NAME`` and ``metrics.NAME``.

    Parameters
    ----------
    record : ExperimentRecord
        Secrets in it are hidden.

    Raises
    ------
    ExportError
        When the record holds what is no data.

    Examples
    --------
    >>> row = row_of(ExperimentRecord(model_name="flood", parameters={"rise": 0.5}, metrics={"cells": 12}))
    >>> row["model"], row["parameters.rise"], row["metrics.cells"], row["seconds"]
    ('flood', 0.5, 12, None)
    """
    title = title_of(record)
    record = as_on_disk(record)
    tags = read_annotations(record.record_path).tags if record.record_path is not None else ()
    facts = record.provenance
    row = {
        "id": record.experiment_id,
        "model": record.model_name,
        "title": title,
        "tags": ", ".join(tags),
        "status": record.status,
        "created": _moment(record.created_at),
        "started": _moment(record.started_at),
        "ended": _moment(record.ended_at),
        "seconds": _number(record.metrics.get("time_total_sec")),
        "steps": record.steps,
        "phase": record.failed_phase,
        "error": record.error,
        "source": record.source.uri,
        "source_sha256": record.source.checksum,
        "output": record.output_path,
        "output_sha256": record.output_sha256,
        "output_content_sha256": record.content_sha256.get("output"),
        "package": (facts.executor_package if facts is not None else "") or record.model_commit,
        "version": record.code_version,
        "commit": facts.executor_git.commit if facts is not None and facts.executor_git is not None else None,
        "seed": facts.seed if facts is not None else None,
    }
    plain = {name: plain_value(value) or None if isinstance(value, str) else value for name, value in row.items()}
    for kind, values in (("parameters", record.parameters), ("metrics", record.metrics)):
        plain |= {f"{kind}.{name}": value for name, value in flat_values(values).items()}
    return plain


def _moment(moment: dt.datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _kind(value: Plain) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if abs(value) <= _EXACT else "long" if -_LONG <= value < _LONG else "text"
    return "float" if isinstance(value, float) else "text"


def _cell(value: Plain) -> str | int | float:
    if value is None:
        return ""
    if isinstance(value, str):
        return _harmless(value)
    return _word(value) if isinstance(value, bool) else value


def _harmless(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text


def _word(value: Plain) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _batches(rows: Iterator[dict[str, Plain]]) -> Iterator[list[dict[str, Plain]]]:
    while batch := list(itertools.islice(rows, _ROWS_AT_ONCE)):
        yield batch


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa  # noqa: PLC0415 -- heavy, and only for those who want Parquet
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise ExportError(missing_library("parquet", "pyarrow", error)) from error
    return pa, parquet


def _column_type(pa: Any, name: str, kinds: set[str]) -> Any:
    if name in _MOMENTS:
        return pa.timestamp("us", tz="UTC")
    if kinds == {"bool"}:
        return pa.bool_()
    if (kinds and kinds <= {"int", "long"}) or (name in ("steps", "seed") and not kinds):
        return pa.int64()
    if (kinds and kinds <= {"int", "float"}) or (name == "seconds" and not kinds):
        return pa.float64()
    return pa.string()


def _typed(value: Plain, wanted: Any, pa: Any) -> Any:
    if value is None:
        return None
    if pa.types.is_timestamp(wanted):
        return dt.datetime.fromisoformat(str(value))
    if pa.types.is_floating(wanted):
        return float(value)
    return _word(value) if pa.types.is_string(wanted) else value
