"""What a person wrote for a parameter -> an axis: ``0.1:2.0:20``, ``1e-7:1e-3:5:log``, ``4,5,6``, a list."""

from __future__ import annotations

import datetime as dt
import enum
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

from dissmodel_lab.errors import SweepError
from dissmodel_lab.errors import shown as shown_name
from dissmodel_lab.language import message
from dissmodel_lab.parameters import parse_value, shown
from dissmodel_lab.sweeps.design import Axis

if TYPE_CHECKING:
    from dissmodel_lab.sweeps.design import AxisKind
    from dissmodel_lab.sweeps.fields import Wanted

MOST_VALUES = 1_000_000
"""More values than these on one axis are a slip of the finger."""
_DIGITS = 12
"""Significant digits of a value between the ends: 0.3, not 0.30000000000000004."""
_NUMBER = re.compile(r"[+-]?(\d[\d_]*\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_HOW = message("Write low:high:count, such as 0.1:2.0:20, with :log behind it for equal steps of the logarithm.")
_ENDS = 2
"""Parts of a range that is sampled: its ends."""


class _Range(NamedTuple):
    low: Any
    high: Any
    n: int | None
    is_log: bool
    is_typed_whole: bool


def make_axis(name: str, said: Any, wants: Wanted, *, is_sampled: bool = False) -> Axis:
    """
    Make an axis of what a person wrote.

    Parameters
    ----------
    name : str
        Of the parameter.
    said : object
        A text, or a list or array of values, or one value.
    wants : Wanted
        What the parameter takes.
    is_sampled : bool
        Whether the design draws its values from the range; a grid needs to know how many.

    Returns
    -------
    Axis
        Its values are distinct; of a range that is sampled there are none.

    Raises
    ------
    SweepError
        When it cannot be understood, or is no range: reversed, empty, not finite, with fractions of whole numbers.

    Examples
    --------
    >>> from dissmodel_lab.sweeps.fields import Wanted
    >>> make_axis("rise", "0.1:0.5:5", Wanted("number")).values
    (0.1, 0.2, 0.3, 0.4, 0.5)
    >>> make_axis("rise", "2:1:5", Wanted("number"))
    Traceback (most recent call last):
    dissmodel_lab.errors.SweepError: rise=2:1:5 runs backwards: 2 is above 1. Write 1:2:5.
    """
    if isinstance(said, Iterator):
        said = list(itertools.islice(said, MOST_VALUES + 1))
    text = said.strip() if isinstance(said, str) else _text_of(said)
    found = _range_in(name, text, wants) if isinstance(said, str) else None
    if found is None:
        return _listed(name, text, _values_of(name, said, wants), wants)
    _check_ends(name, text, found)
    if is_sampled:
        return _sampled(name, text, found, wants)
    values = _spaced(name, text, found, wants)
    return _listed(name, text, values, wants, is_log=found.is_log)


def _text_of(said: Any) -> str:
    if isinstance(said, Iterable) and not isinstance(said, Mapping):
        try:
            return ",".join(f"{_plain(value)}" for value, _ in zip(said, range(MOST_VALUES), strict=False))[:200]
        except Exception:  # noqa: BLE001 -- str() of a value is its author's code
            return type(said).__name__
    return shown(said)


# -------------------------------------------------------------------------------------------------- ranges


def _range_in(name: str, text: str, wants: Wanted) -> _Range | None:
    """Read a range; None when the text is none: a list, or a word with a colon in it."""
    parts = [part.strip() for part in text.split(":")]
    if len(parts) < _ENDS or "," in text or text[:1] in "[\"'":
        return None
    ends = parts[:_ENDS]
    are_numbers = all(_NUMBER.fullmatch(end) for end in ends)
    are_dates = all(_DATE.fullmatch(end) for end in ends)
    if wants.kind == "choice":
        if are_numbers or are_dates:
            raise SweepError(
                message(
                    "{place}={text} is a range, and {place} takes no numbers. Write a list: a,b,c.",
                    place=_place(name),
                    text=text,
                )
            )
        return None
    if not are_numbers and not are_dates:
        if wants.kind is None:
            return None
        raise SweepError(
            message(
                "{place}={shown_name} is no range: its ends must be {needed}. {how}",
                place=_place(name),
                shown_name=shown_name(text),
                needed=_needed(wants.kind),
                how=_HOW,
            )
        )
    is_log = parts[-1].lower() == "log"
    counts = parts[_ENDS : len(parts) - is_log]
    if len(counts) > 1:
        raise SweepError(
            message(
                "{place}={shown_name} has too many parts. {how}",
                place=_place(name),
                shown_name=shown_name(text),
                how=_HOW,
            )
        )
    count = _count(name, text, counts[0]) if counts else None
    if are_dates:
        return _Range(_date(name, text, ends[0]), _date(name, text, ends[1]), count, is_log, is_typed_whole=False)
    is_whole = all(re.fullmatch(r"[+-]?[\d_]+", end) for end in ends)
    low, high = (int(end) if is_whole else float(end) for end in ends)
    return _Range(low, high, count, is_log, is_whole)


def _needed(kind: AxisKind) -> str:
    return message("dates such as 2020-01-31") if kind == "date" else "numbers"


def _count(name: str, text: str, said: str) -> int:
    try:
        count = int(said.replace("_", ""))
    except ValueError:
        raise SweepError(
            message(
                "{place}={shown_name}: the number of values must be a whole number, got {said_shown_name!r}. {how}",
                place=_place(name),
                shown_name=shown_name(text),
                said_shown_name=shown_name(said),
                how=_HOW,
            )
        ) from None
    if count < 1:
        raise SweepError(
            message(
                "{place}={text} has {count} values: at least 2 are needed. {how}",
                place=_place(name),
                text=text,
                count=count,
                how=_HOW,
            )
        )
    if count > MOST_VALUES:
        raise SweepError(
            message(
                "{place}={text} has {count:,} values: at most {most_values:,} are allowed. Write fewer.",
                place=_place(name),
                text=text,
                count=count,
                most_values=MOST_VALUES,
            )
        )
    return count


def _date(name: str, text: str, said: str) -> dt.date:
    try:
        return dt.date.fromisoformat(said)
    except ValueError as error:
        raise SweepError(
            message(
                "{place}={text}: {said} is no date: {error}.", place=_place(name), text=text, said=said, error=error
            )
        ) from None


def _check_ends(name: str, text: str, found: _Range) -> None:
    low, high = found.low, found.high
    if isinstance(low, float) and not (math.isfinite(low) and math.isfinite(high) and math.isfinite(high - low)):
        raise SweepError(
            message(
                "{place}={text}: both ends must be finite numbers. {how}", place=_place(name), text=text, how=_HOW
            )
        )
    if low > high:
        turned = ":".join([f"{high}", f"{low}", *text.split(":")[_ENDS:]])
        raise SweepError(
            message(
                "{place}={text} runs backwards: {low} is above {high}. Write {turned}.",
                place=_place(name),
                text=text,
                low=low,
                high=high,
                turned=turned,
            )
        )
    if low == high:
        raise SweepError(
            message(
                "{place}={text} is one value, not a range. Write {place}={low}.",
                place=_place(name),
                text=text,
                low=low,
            )
        )
    if found.n == 1:
        raise SweepError(
            message(
                "{place}={text} asks for 1 value between {low} and {high}: at least 2 are needed. {how}",
                place=_place(name),
                text=text,
                low=low,
                high=high,
                how=_HOW,
            )
        )
    if found.is_log and isinstance(low, dt.date):
        raise SweepError(
            message("{place}={text}: dates have no logarithm. Leave :log away.", place=_place(name), text=text)
        )
    if found.is_log and low <= 0:
        raise SweepError(
            message(
                "{place}={text}: equal steps of the logarithm need ends above 0, got {low}. Raise the lower end, "
                "or leave :log away.",
                place=_place(name),
                text=text,
                low=low,
            )
        )


def _is_whole(found: _Range, wants: Wanted) -> bool:
    return wants.kind == "whole" or (found.is_typed_whole and (wants.is_as_typed or wants.kind is None))


def _spaced(name: str, text: str, found: _Range, wants: Wanted) -> list[Any]:
    """Return the values of a range with a count."""
    if isinstance(found.low, dt.date):
        return _spaced_dates(name, text, found)
    count = found.n
    if count is None:
        if wants.kind != "whole" or found.is_log:
            raise SweepError(
                message(
                    "{place}={text} does not say how many values a grid has. {how} Or draw them from the range, by "
                    "the sample lhs.",
                    place=_place(name),
                    text=text,
                    how=_HOW,
                )
            )
        span = int(found.high) - int(found.low) + 1
        if span > MOST_VALUES:
            raise SweepError(
                message(
                    "{place}={text} has {span:,} values: at most {most_values:,} are allowed. Write fewer.",
                    place=_place(name),
                    text=text,
                    span=span,
                    most_values=MOST_VALUES,
                )
            )
        return list(range(int(found.low), int(found.high) + 1))
    values: list[Any] = [_between(found.low, found.high, step / (count - 1), found.is_log) for step in range(count)]
    values[0], values[-1] = (float(end) for end in (found.low, found.high))
    are_whole = all(value.is_integer() for value in values)
    if wants.kind == "whole" and not are_whole:
        raise SweepError(_fractions(name, text, found, values))
    return [int(value) for value in values] if are_whole and _is_whole(found, wants) else values


def _spaced_dates(name: str, text: str, found: _Range) -> list[dt.date]:
    days = (found.high - found.low).days
    count = days + 1 if found.n is None else found.n
    if days % (count - 1) != 0:
        raise SweepError(
            message(
                "{place}={text}: {days} days do not divide into {count} equal steps. Allowed are, for example, "
                "{some_counts} values.",
                place=_place(name),
                text=text,
                days=days,
                count=count - 1,
                some_counts=_some_counts(days),
            )
        )
    return [found.low + dt.timedelta(days=days // (count - 1) * step) for step in range(count)]


def _fractions(name: str, text: str, found: _Range, values: list[float]) -> str:
    first = next(value for value in values if not value.is_integer())
    said = message(
        "{place} takes whole numbers, and {text} gives {first:g}.", place=_place(name), text=text, first=first
    )
    whole_ends = float(found.low).is_integer() and float(found.high).is_integer()
    if found.is_log or not whole_ends:
        return message("{said} Write the values as a list.", said=said)
    counts = _some_counts(int(found.high) - int(found.low))
    return message("{said} Between these ends, {counts} values are whole; or write a list.", said=said, counts=counts)


def _some_counts(span: int) -> str:
    """Say into how many values a whole span divides evenly: the smallest few, and all of them."""
    few = [count for count in range(2, min(span, 1000) + 1) if span % (count - 1) == 0][:4]
    return ", ".join(map(str, [*few, span + 1])).replace(f", {span + 1}", message(" or {span}", span=span + 1))


def _between(low: float, high: float, share: float, is_log: bool) -> float:  # noqa: FBT001 -- private
    value = low * (high / low) ** share if is_log else low + (high - low) * share
    return float(f"{value:.{_DIGITS}g}")


def _sampled(name: str, text: str, found: _Range, wants: Wanted) -> Axis:
    kind: AxisKind = "number"
    low, high = found.low, found.high
    if isinstance(low, dt.date):
        kind = "date"
    elif _is_whole(found, wants):
        if not (float(low).is_integer() and float(high).is_integer()):
            raise SweepError(
                message(
                    "{place} takes whole numbers, and the ends of {text} are none. Write whole ends.",
                    place=_place(name),
                    text=text,
                )
            )
        kind, low, high = "whole", int(low), int(high)
    else:
        low, high = float(low), float(high)
    return Axis(
        name=name,
        kind=kind,
        text=text,
        low=low,
        high=high,
        is_log=found.is_log,
        unit=wants.unit,
        description=wants.description,
    )


def value_at(axis: Axis, share: float, *, is_rounded: bool = False) -> Any:
    """
    Return the value of an axis at a place between its ends.

    Parameters
    ----------
    axis : Axis
        With values, or a range.
    share : float
        From 0 to 1 [-].
    is_rounded : bool
        Take the nearest whole number, as trajectories need it; else each whole number has an equal part of the range.

    Examples
    --------
    >>> axis = Axis(name="rise", kind="number", text="", low=1e-4, high=1.0, is_log=True)
    >>> value_at(axis, 0.5)
    0.01
    >>> value_at(Axis(name="rule", kind="choice", text="", values=("a", "b")), 0.75)
    'b'
    """
    if axis.values:
        return axis.values[min(int(share * len(axis.values)), len(axis.values) - 1)]
    if axis.kind == "number":
        return min(max(_between(axis.low, axis.high, share, axis.is_log), axis.low), axis.high)
    low, span = (0, (axis.high - axis.low).days) if axis.kind == "date" else (axis.low, axis.high - axis.low)
    if axis.is_log:
        whole = round(axis.low * (axis.high / axis.low) ** share) - low
    else:
        whole = round(share * span) if is_rounded else min(int(share * (span + 1)), span)
    return axis.low + dt.timedelta(days=whole) if axis.kind == "date" else low + whole


# --------------------------------------------------------------------------------------------------- lists


def _values_of(name: str, said: Any, wants: Wanted) -> list[Any]:
    if isinstance(said, str):
        return _values_in(name, said.strip(), wants)
    if isinstance(said, Mapping):
        raise SweepError(
            message(
                "{place}: a table is no list of values. Write [{{...}}, {{...}}] to vary a table.", place=_place(name)
            )
        )
    if not isinstance(said, Iterable):
        return [_plain(said)]
    values: list[Any] = []
    for value in said:
        if len(values) == MOST_VALUES:
            raise SweepError(
                message(
                    "{place} has more than {most_values:,} values. Write fewer.",
                    place=_place(name),
                    most_values=MOST_VALUES,
                )
            )
        values.append(_plain(value))
    return values


def _plain(value: Any) -> Any:
    """Return a value of numpy as Python's own."""
    return value.item() if hasattr(value, "item") and not getattr(value, "shape", ()) else value


def _values_in(name: str, text: str, wants: Wanted) -> list[Any]:
    if not text:
        raise SweepError(message("{place} has no value. {how} Or a list: 4,5,6.", place=_place(name), how=_HOW))
    whole = parse_value(text) if text.startswith("[") else None
    if isinstance(whole, list):
        return [whole] if wants.is_list and not any(isinstance(item, list) for item in whole) else whole
    listed = parse_value(f"[{text}]")  # so that "a,b" in quotes is one text
    if isinstance(listed, list):
        return listed
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise SweepError(
            message(
                "{place}={shown_name}: a value is missing between two commas, or at an end.",
                place=_place(name),
                shown_name=shown_name(text),
            )
        )
    if any(_NUMBER.fullmatch(end) for part in parts if ":" in part for end in part.split(":")[:1]):
        raise SweepError(
            message(
                "{place}={shown_name} mixes a list with a range. Write all values, or one range.",
                place=_place(name),
                shown_name=shown_name(text),
            )
        )
    return [parse_value(part) for part in parts]


def _listed(name: str, text: str, values: list[Any], wants: Wanted, *, is_log: bool = False) -> Axis:
    if not values:
        raise SweepError(message("{place} has no value. {how} Or a list: 4,5,6.", place=_place(name), how=_HOW))
    _refuse_odd(name, values)
    kind = wants.kind or _kind_of(values)
    if kind != "choice" and len({type(value) for value in values} - {int, float, dt.date}) > 0:
        kind = "choice"  # a text where a number belongs: the check against the model says so
    is_ordered = kind != "choice"
    return Axis(
        name=name,
        kind=kind,
        text=text[:200],
        values=tuple(values),
        low=min(values) if is_ordered else None,
        high=max(values) if is_ordered else None,
        is_log=is_log,
        unit=wants.unit,
        description=wants.description,
    )


def _refuse_odd(name: str, values: list[Any]) -> None:
    """Refuse values that are no numbers, and the same value twice: it would be run twice and count double."""
    seen: dict[Any, Any] = {}
    for value in values:
        if isinstance(value, float) and not math.isfinite(value):
            raise SweepError(
                message(
                    "{place}: {value} is no value to run a model with. Write finite numbers.",
                    place=_place(name),
                    value=value,
                )
            )
        key = _identity(value)
        if key in seen:
            raise SweepError(
                message(
                    "{place} has the value {value} twice. Write each value once; seeds=2 runs each point twice.",
                    place=_place(name),
                    value=shown(value),
                )
            )
        seen[key] = value


def _identity(value: Any) -> Any:
    if isinstance(value, bool):
        return "truth", value
    if isinstance(value, int | float):
        return "number", value
    return type(value).__name__, repr(value)


def _kind_of(values: list[Any]) -> AxisKind:
    kinds = {type(value) for value in values}
    if kinds == {int}:
        return "whole"
    if kinds <= {int, float}:
        return "number"
    return "date" if kinds == {dt.date} else "choice"


def value_text(value: Any) -> str:
    """
    Return a value as a title shows it: short.

    Examples
    --------
    >>> value_text(0.30000000000000004), value_text(True), value_text("weng")
    ('0.3', 'true', 'weng')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, enum.Enum):
        return value_text(value.value)
    if isinstance(value, str | PurePath):
        return shown_name(value)
    return str(value) if isinstance(value, int | dt.date) else shown(value)


def _place(name: str) -> str:
    return shown_name(name)
