"""A record as the index keeps it: one line, and the parameters and metrics that can be asked for.

A summary is made of the record as it was read from its file, never of one in memory: what is hidden on disk is
hidden here too, and a rebuilt index is the same as one that was filled run by run.
"""

from __future__ import annotations

import datetime as dt
import functools
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from dissmodel_lab.index.entries import UNREADABLE
from dissmodel_lab.redaction import HIDDEN, is_secret_key, redact_text, redact_uri

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dissmodel_lab.executor.schemas import ExperimentRecord

MOST_FACTS = 1_000
"""Parameters and metrics of one record that can be asked for."""
_LONGEST = 1_000
"""How much of a text can be asked for [characters]."""
_MOST_OF_A_LIST = 100
"""Members of one list of numbers or texts that can be asked for."""
_LONGEST_NAME = 300
_WHOLE = 2**63
_PLAIN = frozenset((str, int, float, bool, type(None)))
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)

PARAMETER, METRIC = 0, 1

Value: TypeAlias = int | float | str | None
Facts: TypeAlias = dict[tuple[int, str], Value]
"""(PARAMETER or METRIC, flat name) -> value; True and False are 1 and 0."""


class Summary(NamedTuple):
    """One line of the index, without where it lies."""

    id: str
    model: str
    status: str
    created: int
    """Microseconds since 1970, in UTC."""
    seconds: float | None
    steps: int | None
    phase: str
    problem: str
    title: str
    source: str
    source_sha256: str
    package: str
    version: str
    host: str
    process: int | None
    started: float | str | None
    capped: bool
    """True when it has more parameters and metrics than can be asked for."""
    facts: Facts


def summary_of(record: ExperimentRecord) -> Summary:
    """
    Summarise a record that was read from its file.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> parameters = {"rates": [{"urban": 0.5}], "api_key": "s3cr3t"}
    >>> summary_of(ExperimentRecord(parameters=parameters, metrics={"n": 3})).facts
    {(1, 'n'): 3, (0, 'rates[0].urban'): 0.5, (0, 'api_key'): '***'}
    """
    from dissmodel_lab.titles import title_of  # noqa: PLC0415 -- a listing that reads no record does without

    facts: Facts = {}
    capped = _note(facts, METRIC, record.metrics)
    capped = _note(facts, PARAMETER, record.parameters) or capped
    machine = record.provenance
    seconds = record.metrics.get("time_total_sec")
    return Summary(
        id=_text(record.experiment_id, 200),
        model=_word(record.model_name),
        status=_word(record.status),
        created=microseconds(record.created_at),
        seconds=float(seconds) if isinstance(seconds, int | float) and abs(seconds) < _WHOLE else None,
        steps=record.steps if record.steps is not None and abs(record.steps) < _WHOLE else None,
        phase=_word(record.failed_phase or ""),
        problem=_text(redact_text(record.error), 2 * _LONGEST) if record.error else "",
        title=_text(title_of(record), _LONGEST),
        source=_text(redact_uri(record.source.uri), 2 * _LONGEST),
        source_sha256=_text(record.source.checksum, 200),
        package=_word(machine.executor_package) if machine else "",
        version=_word(record.code_version),
        host=_word(machine.hostname) if machine else "",
        process=machine.process_id if machine and abs(machine.process_id or 0) < _WHOLE else None,
        started=(_word(machine.process_mark) or machine.process_started) if machine else None,
        capped=capped,
        facts=facts,
    )


def unreadable(problem: str, experiment_id: str, model_name: str, created: int) -> Summary:
    """
    Describe a file that should be a record and is none.

    Examples
    --------
    >>> unreadable("record.json is empty.", "torn", "", 0).status
    'unreadable'
    """
    line = _text(problem, 2 * _LONGEST)
    nothing = Summary(
        "", "", UNREADABLE, created, None, None, "", line, "", "", "", "", "", "", None, None, False, {}
    )
    return nothing._replace(id=_text(experiment_id, 200), model=_text(model_name, 200))


def microseconds(moment: dt.datetime) -> int:
    """
    Return a moment as microseconds since 1970; one without a time zone is in UTC.

    Raises
    ------
    OverflowError
        When it is outside of the calendar in UTC.

    Examples
    --------
    >>> microseconds(dt.datetime(1970, 1, 1, 0, 0, 2))
    2000000
    """
    aware = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
    return (aware - _EPOCH) // _MICROSECOND


def moment(microseconds: int) -> dt.datetime:
    """
    Return the moment that :func:`microseconds` counted.

    Examples
    --------
    >>> moment(2_000_000).isoformat()
    '1970-01-01T00:00:02+00:00'
    """
    return _EPOCH + microseconds * _MICROSECOND


def _note(facts: Facts, kind: int, values: dict[Any, Any]) -> bool:
    """Note the flat names and values; True when there are more than fit."""
    from dissmodel_lab.titles import leaves  # noqa: PLC0415 -- as above

    for key, whole in values.items():
        if type(whole) in _PLAIN:  # most are
            if len(facts) == MOST_FACTS:
                return True
            facts[kind, _name(str(key))] = _hidden(str(key), _value(whole))
            continue
        room = MOST_FACTS - len(facts)
        for place, (name, value) in enumerate(islice(_members(leaves(whole, str(key))), room + 1)):
            if place == room:
                return True
            facts[kind, _name(name)] = _hidden(name, value)
    return False


def _members(leaves: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Value]]:
    """Name the members of lists of numbers or texts, too."""
    for name, value in leaves:
        if isinstance(value, list | tuple):
            for place, item in enumerate(value[:_MOST_OF_A_LIST]):
                yield f"{name}[{place}]", _value(item)
        else:
            yield name, _value(value)


def _hidden(name: str, value: Value) -> Value:
    if type(value) is not str:
        return value
    return HIDDEN if _is_secret(name) else _shareable(value)


@functools.lru_cache(maxsize=1024)
def _word(text: str) -> str:
    return _text(text, 200)


@functools.lru_cache(maxsize=1024)
def _name(name: str) -> str:
    return _text(name, _LONGEST_NAME)


@functools.lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return any(is_secret_key(part) for part in name.split("."))


@functools.lru_cache(maxsize=1024)
def _shareable(text: str) -> str:
    return _text(redact_text(text[: 2 * _LONGEST]))


def _value(value: Any) -> Value:
    if value is None or type(value) is str:
        return value
    if isinstance(value, float):
        return float(value) if value == value else "nan"  # noqa: PLR0124 -- only NaN differs from itself
    if isinstance(value, int):  # True and False too
        return int(value) if -_WHOLE <= value < _WHOLE else _as_float(value)
    if type(value).__name__ == "Decimal":  # not to import it
        return _value(_as_float(value))
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return _value(value.item()) if shape == () else f"array of {' x '.join(map(str, shape))}"
    if isinstance(value, dict | set | frozenset | bytes):
        if not value:
            return None
        return _text(f"{type(value).__name__} of {len(value)}")
    return str(value)[: 2 * _LONGEST]


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _text(text: str, longest: int = _LONGEST) -> str:
    # What is no Unicode (half of a pair of surrogates) cannot be kept in SQLite.
    if len(text) > longest:
        text = text[:longest]
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
