"""A file -> a record, or the reason why it is none; and what became of a run whose record says ``running``."""

from __future__ import annotations

import json
import os
import platform
import stat
import time
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError

from dissmodel_lab.annotations import read_annotations
from dissmodel_lab.errors import LabError
from dissmodel_lab.executor.schemas import ExperimentRecord
from dissmodel_lab.index import RECORD_NAME
from dissmodel_lab.index.rows import NO_FILE, Found, stamps_of
from dissmodel_lab.index.summaries import Summary, microseconds, summary_of, unreadable
from dissmodel_lab.language import message
from dissmodel_lab.processes import is_same_process
from dissmodel_lab.store.files import JOURNAL_NAME

_LARGEST = 256 * 1024**2
"""A larger file is listed, but not read [bytes]."""
_HEAD = 64 * 1024
"""How much of a file with another name is looked at [bytes]: an id stands first in every record."""
_ID = "experiment_id"
_NAMES = ("record.json", "experiment_record.json")
_ENDING = ".record.json"
# Only records have two of them: a GeoJSON or a package.json has none.
_FIELDS = frozenset(
    (
        _ID,
        "model_name",
        "model_commit",
        "code_version",
        "resolved_spec",
        "created_at",
        "input_format",
        "column_map",
        "band_map",
        "parameters",
        "output_path",
        "artifacts",
        "metrics",
        "status",
        "provenance",
    )
)
_ENOUGH = 2
_BLOCK, _LONGEST_LINE = 256 * 1024, 1024**2
# A link is not followed, and a pipe that nobody writes is not waited for.
_CAREFUL = sum(getattr(os, name, 0) for name in ("O_RDONLY", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))


def read_record(path: str | Path) -> ExperimentRecord:
    """
    Read a record file, of this or an older version, or of PyPI ``dissmodel``.

    Raises
    ------
    LabError
        When the file is missing or holds no record.

    Examples
    --------
    >>> read_record("no/such.record.json")
    Traceback (most recent call last):
    dissmodel_lab.errors.LabError: The record 'no/such.record.json' cannot be read: No such file or directory.
    """
    try:
        record = ExperimentRecord.model_validate_json(Path(path).read_bytes())
    except OSError as error:
        raise LabError(
            message(
                "The record {path!r} cannot be read: {strerror}.", path=str(path), strerror=error.strerror or error
            )
        ) from error
    except ValidationError as error:
        raise LabError(message("{path!r} holds no record: {first}.", path=str(path), first=_first(error))) from error
    except (OverflowError, RecursionError) as error:  # a date outside of the calendar, lists in lists in lists
        raise LabError(message("{path!r} holds no record: {error}.", path=str(path), error=error)) from error
    record._record_path = Path(path)  # noqa: SLF001 -- the store alone knows where a record lies
    return record


def try_read(path: Path) -> ExperimentRecord | None:
    """
    Read a record; None where there is none, or none that can be read.

    Examples
    --------
    >>> try_read(Path("no/such.record.json")) is None
    True
    """
    try:
        return read_record(path)
    except LabError:  # replaced or removed since it was listed
        return None


def read_back(text: str) -> ExperimentRecord | None:
    """
    Read the text of a record that is about to be written; None when nobody could read it.

    Examples
    --------
    >>> read_back('{"created_at": "yesterday"}') is None
    True
    """
    try:
        return ExperimentRecord.model_validate_json(text)
    except ValidationError:
        return None


def look_at(path: bytes) -> Found:
    """
    Read a file as the index needs it: whatever it holds, nothing is an error but that it is gone.

    Parameters
    ----------
    path : bytes
        A file whose name is a record's, or ends in ``.json``.

    Raises
    ------
    FileNotFoundError
        When it is gone, or no file.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "record.json")
    >>> path.write_text('{"experiment_id": "a1", "metrics": 5}')
    37
    >>> look_at(os.fsencode(path)).summary.problem
    'record.json holds no record: Input should be an object (field metrics).'
    """
    now = time.time_ns()
    try:
        content, facts = _content(path)
    except OSError as error:
        stamps = stamps_of(path)
        if stamps is None:
            raise FileNotFoundError from error
        why = message("{name} cannot be read: {strerror}.", name=_name(path), strerror=error.strerror or error)
        return Found(stamps, now, unreadable(why, _folder_name(path), "", stamps[0] // 1000))
    stamps = stamps_of(path, facts)
    if stamps is None:
        raise FileNotFoundError
    summary = None if content is None else _summary(path, content, facts)
    return Found(stamps, now, summary, _tags(path, stamps) if summary is not None else ())


def found_in(path: Path, facts: os.stat_result, written: ExperimentRecord) -> Found:
    """
    Say of a record that was just written what :func:`look_at` would find in its file.

    Parameters
    ----------
    path : Path
        Its file.
    facts : os.stat_result
        Size and times of it.
    written : ExperimentRecord
        What a reader of the file gets.
    """
    name = os.fsencode(path)
    stamps = stamps_of(name, facts) or (facts.st_mtime_ns, facts.st_size, NO_FILE, NO_FILE)
    return Found(stamps, time.time_ns(), summary_of(written), _tags(name, stamps))


def is_alive(record: ExperimentRecord) -> bool:
    """
    Tell whether the process of a running record is still there; of another machine's it is believed.

    Examples
    --------
    >>> is_alive(ExperimentRecord(status="running"))
    False
    """
    facts = record.provenance
    if facts is None:
        return False
    return process_is_alive(facts.hostname, facts.process_id, facts.process_mark or facts.process_started)


def process_is_alive(host: str, process: int | None, started: float | str | None) -> bool:
    """
    Tell whether a process is still there, and not another one with its number.

    Parameters
    ----------
    host : str
        Its machine; another machine's process cannot be seen from here: it is believed to be there.
    process : int or None
        Its number; without one, nothing says who runs it.
    started : float, str or None
        Its mark; of older records, when it started [s since 1970].

    Examples
    --------
    >>> process_is_alive("", None, None), process_is_alive("another machine", 1, None)
    (False, True)
    """
    if process is None or not host:
        return False
    if host != platform.node():
        return True
    return is_same_process(process, started)


def journal_phase(folder: bytes) -> str:
    """
    Return the phase that began last in the folder of a run, as its journal tells; empty when it tells none.

    Examples
    --------
    >>> journal_phase(b"no/such/folder")
    ''
    """
    return _journal_says(folder, b'"phase_started"', "phase")


def journal_sha256(folder: Path) -> str:
    """
    Return the SHA-256 of a run's record as it was written for good; empty when the journal tells none.

    Examples
    --------
    >>> journal_sha256(Path("no/such/folder"))
    ''
    """
    return _journal_says(os.fsencode(folder), b'"event": "record"', "sha256")


def _journal_says(folder: bytes, mark: bytes, name: str) -> str:
    try:
        with open(folder + b"/" + JOURNAL_NAME.encode(), "rb") as journal:  # noqa: PTH123 -- bytes
            return str(json.loads(_last_with(journal, mark))[name])
    except (OSError, ValueError, KeyError, TypeError):  # no journal yet, or a line cut off by a kill
        return ""


def _last_with(file: BinaryIO, mark: bytes) -> bytes:
    """Return the last whole line that holds a mark; the journal of a long run has millions of others behind it."""
    end = file.seek(0, os.SEEK_END)
    rest = b""
    while end > 0:
        begin = max(0, end - _BLOCK)
        file.seek(begin)
        block = file.read(end - begin) + rest
        lines = block.split(b"\n")
        rest, end = lines[0], begin
        for line in reversed(lines if begin == 0 else lines[1:]):
            if mark in line and line.endswith(b"}"):
                return line
        if len(rest) > _LONGEST_LINE:  # no journal of ours
            return b""
    return b""


def _content(path: bytes) -> tuple[bytes | None, os.stat_result]:
    """Return what a file holds; None when it cannot be a record."""
    file = os.open(path, _CAREFUL)
    try:
        facts = os.fstat(file)
        if not stat.S_ISREG(facts.st_mode):
            raise FileNotFoundError
        if facts.st_size > _LARGEST:
            return (b"" if _has_a_records_name(path) else None), facts
        content = os.read(file, _HEAD)
        if f'"{_ID}"'.encode() not in content and not _has_a_records_name(path):
            return None, facts
        if len(content) < facts.st_size or len(content) == _HEAD:
            content += _rest(file)
        return content, facts
    finally:
        os.close(file)


def _rest(file: int) -> bytes:
    parts = []
    while part := os.read(file, _BLOCK):
        parts.append(part)
    return b"".join(parts)


def _has_a_records_name(path: bytes) -> bool:
    name = _name(path)
    return name in _NAMES or name.endswith(_ENDING)


def _summary(path: bytes, content: bytes, facts: os.stat_result) -> Summary | None:
    name = _name(path)
    if facts.st_size > _LARGEST:
        problem = message(
            "{name} is too large to be read: {st_size:,} bytes; {largest:,} are allowed.",
            name=name,
            st_size=facts.st_size,
            largest=_LARGEST,
        )
        return _unreadable(path, problem, facts, {})
    if not content:
        return _unreadable(path, message("{name} is empty: whoever wrote it was stopped.", name=name), facts, {})
    try:
        record = ExperimentRecord.model_validate_json(content)
        if _ID in record.model_fields_set and record.experiment_id:
            summary = summary_of(record)
            # A record that does not say when it was created would be a new one each time.
            return summary if "created_at" in record.model_fields_set else summary._replace(created=_changed(facts))
        problem = message("{name} holds no record: it has no {id}.", name=name, id=_ID)
    except ValidationError as error:
        problem = message("{name} holds no record: {first}.", name=name, first=_first(error))
    except Exception as error:  # noqa: BLE001 -- others wrote it: it must not stop a listing
        problem = message(
            "{name} holds no record: {kind}: {error!s:.200}.", name=name, kind=type(error).__name__, error=error
        )
    document = _document(content)
    if isinstance(document, dict) and _ID not in document and len(_FIELDS & document.keys()) < _ENOUGH:
        return None
    return _unreadable(path, problem, facts, document if isinstance(document, dict) else {})


def _unreadable(path: bytes, problem: str, facts: os.stat_result, document: dict[str, Any]) -> Summary:
    """Describe a broken file by as much of it as can be understood."""
    said = document.get(_ID)
    model = document.get("model_name")
    try:
        created = microseconds(datetime.fromisoformat(document["created_at"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        created = _changed(facts)
    experiment_id = said if isinstance(said, str) and said else _folder_name(path)
    return unreadable(problem, experiment_id, model if isinstance(model, str) else "", created)


def _changed(facts: os.stat_result) -> int:
    """Return when a file was changed [microseconds since 1970]."""
    return facts.st_mtime_ns // 1000


def _document(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError, MemoryError):  # no JSON, or too much of it
        return None


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{first['msg']}{f' (field {where})' if where else ''}"


def _tags(path: bytes, stamps: tuple[int, int, int, int]) -> tuple[str, ...]:
    return read_annotations(os.fsdecode(path)).tags if stamps[3] > 0 else ()


def _name(path: bytes) -> str:
    return os.fsdecode(path.rpartition(b"/")[2])


def _folder_name(path: bytes) -> str:
    """Name a broken record: by its folder, or by its own name where the folder may hold many."""
    folder, _, name = path.rpartition(b"/")
    return (
        _name(folder)
        if name == RECORD_NAME.encode()
        else os.fsdecode(name).removesuffix(".json").removesuffix(".record")
    )
