"""A record and its values in the plain forms that other programs know: numbers, texts, flat names, Markdown."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, TypeAlias

from pydantic_core import PydanticSerializationError

from dissmodel_lab.errors import ExportError
from dissmodel_lab.executor.jsonvalue import encode
from dissmodel_lab.executor.schemas import ExperimentRecord, lasting_json
from dissmodel_lab.language import Message, changed, message
from dissmodel_lab.titles import leaves

Plain: TypeAlias = bool | int | float | str | None

_MOST_NAMES = 200
_LONGEST = 30_000
"""Longest text of one value [characters]; a cell of a spreadsheet takes 32,767."""
_MAX_BITS = 4096
"""Longer whole numbers are written in hexadecimal: Python refuses more than 4,300 digits."""
_LONGEST_LINE = 1_000
"""Longest text in Markdown, if nothing else is asked for [characters]."""
# What a terminal obeys instead of showing it, and what turns the order of letters around.
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|\r(?!\n)")

# What Markdown, with its tables, strikethrough and raw HTML, or a notebook's mathematics, would obey.
_MARKS = re.compile(r"[\\`*\[\]|~$]|(?<!\w)_+|_+(?!\w)")
"""An underline within a word means nothing."""
_LINK_MARKS = re.compile(r"(?i)(?<=http)s?:(?=//)|(?<=ftp):(?=//)|(?<=www)\.|(?<=mailto):|@")
_NAMED = str.maketrans({"<": "&lt;", ">": "&gt;", "&": "&amp;"})


def as_on_disk(record: ExperimentRecord) -> ExperimentRecord:
    """
    Return a copy of a record as it is, or would be, on disk: without secrets.

    Raises
    ------
    ExportError
        When the record holds what cannot be written.

    Examples
    --------
    >>> as_on_disk(ExperimentRecord(parameters={"api_key": "s3cr3t"})).parameters
    {'api_key': '***'}
    """
    try:
        copy = ExperimentRecord.model_validate_json(_written(record))
    except Exception as error:
        raise ExportError(
            message(
                "This record cannot be exported: it holds what is no data ({kind}). Export it as it is in the "
                "store: read it with read_record(path).",
                kind=type(error).__name__,
            )
        ) from error
    copy._record_path = record.record_path  # noqa: SLF001 -- private to keep it out of the JSON
    return copy


def _written(record: ExperimentRecord) -> str:
    try:
        return record.model_dump_json(warnings=False)
    except PydanticSerializationError:  # what no file can hold is mended, as when the store writes it
        spare = record.model_copy(update={"logs": list(record.logs)})
        return lasting_json(spare)


def printable(text: str) -> str:
    r"""
    Write signs that steer a terminal or turn the order of letters around, and what is no Unicode, by their code.

    Examples
    --------
    >>> print(printable("a" + chr(0x202E) + chr(0)))
    a\u202e\x00
    """
    if text.isascii() and text.isprintable():  # as most texts are
        return text
    return changed(text, _printable) if isinstance(text, Message) else _printable(text)


def _printable(text: str) -> str:
    text = _UNSEEN.sub(_code, text)
    return text.encode("utf-8", "backslashreplace").decode()


def _code(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"  # noqa: PLR2004 -- two hexadecimal digits


def cut(text: str, limit: int = _LONGEST) -> str:
    """
    Cut a text at a limit, and say how much is left out.

    Examples
    --------
    >>> cut("abcdef", 4)
    'abcd ... (2 more characters)'
    """
    return text if len(text) <= limit else f"{text[:limit]} ... ({len(text) - limit:,} more characters)"


def markdown(text: str, limit: int = _LONGEST_LINE) -> str:
    r"""
    Escape an untrusted text so that Markdown shows it as it is, on one line, also in a cell of a table.

    Parameters
    ----------
    text : str
        Untrusted.
    limit : int
        Longest text [characters].

    Examples
    --------
    >>> print(markdown("a|b <script> *x* " + chr(10) + "y_z _w_"))
    a\|b &lt;script&gt; \*x\* y_z \_w\_
    """
    line = _MARKS.sub(lambda match: "".join(f"\\{mark}" for mark in match[0]), _one_line(text, limit))
    return _LINK_MARKS.sub(lambda match: f"{match[0][:-1]}\\{match[0][-1]}", line.translate(_NAMED))


def _one_line(text: str, limit: int) -> str:
    return printable(" ".join(cut(text, limit).split()))


def code(text: str) -> str:
    """
    Return an untrusted text as inline code, between longer fences where it holds backticks; not for tables.

    Examples
    --------
    >>> code("ab12"), code("a`b")
    ('`ab12`', '`` a`b ``')
    """
    line = _one_line(text, _LONGEST_LINE)
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {line} {fence}" if longest or not line else f"`{line}`"


def plain_value(value: Any) -> Plain:
    """
    Return a value as a number, a text, a boolean or None; what has parts becomes a JSON text.

    Examples
    --------
    >>> plain_value(dt.date(2026, 1, 2)), plain_value((1, 2.5)), plain_value(float("nan"))
    ('2026-01-02', '[1, 2.5]', nan)
    """
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= _MAX_BITS else cut(hex(value))
    if isinstance(value, str):
        return cut(printable(value))
    budget = _Budget(_LONGEST)
    simple = _simple(value, budget)
    text = printable(simple if isinstance(simple, str) else json.dumps(simple, ensure_ascii=False, default=str))
    return f"{text[:_LONGEST]} ... (more in the record)" if budget.left < 0 else cut(text)


def flat_values(values: Mapping[Any, Any]) -> dict[str, Plain]:
    """
    Return nested values under flat names, as conditions on runs name them: :func:`dissmodel_lab.titles.leaves`.

    Parameters
    ----------
    values : mapping
        One that holds more than 200 values becomes one JSON text: nobody reads so many names.

    Examples
    --------
    >>> flat_values({"steps": 3, "potential": [{"betas": {"dist": 2.5}}], "years": [2000, 2014]})
    {'steps': 3, 'potential[0].betas.dist': 2.5, 'years': '[2000, 2014]'}
    """
    found: dict[str, Plain] = {}
    counts: dict[str, int] = {}
    for name, value in values.items():
        inner = list(itertools.islice(leaves(value, plain_name(name)), _MOST_NAMES + 1))
        for leaf, item in inner if len(inner) <= _MOST_NAMES else [(plain_name(name), value)]:
            found[_free_name(plain_name(leaf), found, counts)] = plain_value(item)
    return found


def plain_name(name: Any) -> str:
    """
    Return a name as one printable line.

    Examples
    --------
    >>> plain_name("two" + chr(10) + "lines")
    'two lines'
    """
    return cut(printable(" ".join(str(name).split())), 200) or "(no name)"


def _free_name(name: str, taken: Mapping[str, Plain], counts: dict[str, int]) -> str:
    # {"a.b": 1, "a": {"b": 2}} gives one flat name twice; names of spaces alone are all one.
    free = name
    while free in taken:
        counts[name] = counts.get(name, 1) + 1
        free = f"{name} ({counts[name]})"
    return free


class _Budget:
    """How many values are still looked at: a record may hold millions, of which a text shows the first."""

    def __init__(self, left: int) -> None:
        self.left = left

    def first(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self.left -= 1
            if self.left < 0:
                return
            yield item


def _simple(value: Any, budget: _Budget) -> Any:
    """Return what JSON can hold, in its plainest form: this goes one way only, unlike :func:`encode`."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= _MAX_BITS else hex(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): _simple(item, budget) for key, item in budget.first(value.items())}
    if isinstance(value, AbstractSet):
        return [_simple(item, budget) for item in budget.first(sorted(value, key=str))]
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_simple(item, budget) for item in budget.first(value)]
    if hasattr(value, "tolist"):  # numpy
        return _simple(value.tolist(), budget)
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    written = encode(value)
    return str(value) if isinstance(written, dict) and "$bytes" not in written else written
