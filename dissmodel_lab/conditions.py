"""Conditions on runs: ``sea_level_rise > 0.4 and status == 'completed'`` as a tree of plain values.

A grammar of its own, read from left to right. Nothing is evaluated, imported or looked up: a text becomes
a tree or a :class:`~dissmodel_lab.errors.QueryError`, and the index asks its questions with bound values::

    condition  = both {"or" both}
    both       = negation {"and" negation}
    negation   = "not" negation | "(" condition ")" | comparison
    comparison = name ["not"] "in" "(" value {"," value} ")"
               | name "contains" text
               | operand {("==" | "!=" | "<" | "<=" | ">" | ">=") operand}     (0.2 < x < 0.5)
    operand    = name | value
    name       = word or `any text` {"." word or `any text` | "[" digits "]" | "['any text']"}
    value      = number | 'text' | "text" | true | false | none

A bare name that is no field (:data:`FIELDS`) is a parameter, or else a metric; what a comparison says of runs that
have no such value stands in :mod:`dissmodel_lab.index.queries`.

In a text a quotation mark is written twice (``'it''s'``), and a backslash is a backslash. Signs of names that are
no words, such as ``max height``, stand in backquotes.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, cast

from dissmodel_lab.errors import QueryError
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Operator: TypeAlias = Literal["==", "!=", "<", "<=", ">", ">=", "contains"]
Scalar: TypeAlias = float | int | str | bool | None

TEXT_FIELDS = ("id", "model", "status", "phase", "source", "source_sha256", "title", "tag", "package", "version")
"""What is known of every run as a text."""
NUMBER_FIELDS = ("seconds", "steps")
"""What is known of a run as a number."""
FIELDS = (*TEXT_FIELDS, *NUMBER_FIELDS, "created")
"""Names that are no parameters; ``created`` is a moment in UTC."""

_LONGEST = 4_000
"""Longest condition [characters]."""
_DEEPEST = 40
"""Parentheses and negations inside of each other."""
_MOST_COMPARISONS, _MOST_VALUES = 100, 500
_WHOLE = 2**63
"""Whole numbers from here on are compared as fractions: no index holds them."""


class Comparison(NamedTuple):
    """``name operator value``, as ``years >= 20``."""

    name: str
    """A field, ``parameters.x``, ``metrics.x``, or a bare name: a parameter, else a metric."""
    operator: Operator
    value: Scalar


class Membership(NamedTuple):
    """``name in (a, b)``, or ``name not in (a, b)`` when negated."""

    name: str
    values: tuple[Scalar, ...]
    negated: bool = False


class Both(NamedTuple):
    """All of its parts hold."""

    parts: tuple[Condition, ...]


class Either(NamedTuple):
    """At least one of its parts holds."""

    parts: tuple[Condition, ...]


class Negation(NamedTuple):
    """Its part does not hold."""

    part: Condition


Condition: TypeAlias = Comparison | Membership | Both | Either | Negation


def parse_condition(text: str) -> Condition:
    """
    Read a condition.

    Parameters
    ----------
    text : str
        See the grammar of this module. Days such as ``created >= '2026-11-01'`` are days in UTC, and become
        the moments at which they begin and end.

    Returns
    -------
    Condition
        A tree of plain values; :func:`condition_text` writes it again.

    Raises
    ------
    QueryError
        When it cannot be understood: what is wrong, where, and what to write.

    Examples
    --------
    >>> parse_condition("sea_level_rise > 0.4")
    Comparison(name='sea_level_rise', operator='>', value=0.4)
    >>> parse_condition("0.2 < rate <= 0.5 and not tag in ('draft', 'old')").parts[1]
    Negation(part=Membership(name='tag', values=('draft', 'old'), negated=False))
    >>> parse_condition("years = 20")
    Traceback (most recent call last):
    dissmodel_lab.errors.QueryError: The condition has '=' at character 7. Write == to compare.
    """
    if len(text) > _LONGEST:
        raise QueryError(
            message(
                "The condition is {n_text:,} characters long; {longest:,} are allowed. Write less.",
                n_text=len(text),
                longest=_LONGEST,
            )
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise QueryError(
            message("The condition has a sign at character {start} that is no Unicode.", start=error.start + 1)
        ) from None
    if not text.strip():
        raise QueryError(
            message("The condition is empty. Write for example: sea_level_rise > 0.4 and status == 'completed'.")
        )
    return _Parser(list(_tokens(text))).whole()


def condition_text(condition: Condition) -> str:
    """
    Write a condition, so that :func:`parse_condition` reads the same from it.

    Examples
    --------
    >>> condition_text(Both((Comparison("max height", "<", 2.388e-7), Comparison("model", "==", "it's"))))
    "`max height` < 2.388e-07 and model == 'it''s'"
    """
    match condition:
        case Comparison(name, operator, value):
            return f"{_name_text(name)} {operator} {_value_text(value)}"
        case Membership(name, values, negated):
            listing = ", ".join(map(_value_text, values))
            return f"{_name_text(name)} {'not in' if negated else 'in'} ({listing})"
        case Negation(part):
            return f"not {_inner_text(part)}"
        case Both(parts):
            return " and ".join(map(_inner_text, parts))
        case Either(parts):
            return " or ".join(map(_inner_text, parts))


def names_in(condition: Condition) -> list[str]:
    """
    Return the names that a condition asks for, each once, in order.

    Examples
    --------
    >>> names_in(parse_condition("a > 1 or not (metrics.b < 2 and a < 3)"))
    ['a', 'metrics.b']
    """
    match condition:
        case Comparison(name) | Membership(name):
            return [name]
        case Negation(part):
            return names_in(part)
        case Both(parts) | Either(parts):
            return list(dict.fromkeys(name for part in parts for name in names_in(part)))


def moment_of(text: str) -> datetime:
    """
    Read a moment in ISO 8601; one without a time zone is in UTC, a day is when it begins.

    Raises
    ------
    ValueError
        When it is none.

    Examples
    --------
    >>> moment_of("2026-11-01T12:00-03:00").isoformat()
    '2026-11-01T15:00:00+00:00'
    """
    moment = datetime.fromisoformat(text)
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(message("{text} is outside of the calendar", text=text)) from error


def _inner_text(condition: Condition) -> str:
    text = condition_text(condition)
    return f"({text})" if isinstance(condition, Both | Either) else text


def _name_text(name: str) -> str:
    token = _name(name, 0) if _FIRST.match(name) else None
    is_plain = token is not None and token.kind == "name" and token.text == token.value == name
    return name if is_plain else f"`{name.replace('`', '``')}`"


def _value_text(value: Scalar) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


# --- signs -> tokens


class _Token(NamedTuple):
    kind: Literal["name", "value", "operator", "word", "sign", "end"]
    text: str
    """As it was written."""
    value: Scalar
    """Of a value; of a name its plain form, of an operator or a word its usual form."""
    at: int
    """Where it begins [characters, from 0]."""


_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "none": None, "null": None}
_WORDS = ("and", "or", "not", "in", "contains", *_CONSTANTS)
_QUOTED = r"`(?:[^`]|``)+`"
_KEY = r"'(?:[^']|'')+'|\"(?:[^\"]|\"\")+\""
_PART = re.compile(rf"\.(?P<word>\w+|{_QUOTED})|\[(?P<key>{_KEY})\]|\[(?P<index>[0-9]{{1,9}})\]")
_FIRST = re.compile(rf"[^\W0-9]\w*|{_QUOTED}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_TEXT = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_OPERATOR = re.compile(r"(?:==|!=|<=|>=|<(?!>)|>)(?!=)")
_SPACE = re.compile(r"\s+")
_NO_ARITHMETIC = message(
    "Names and values are compared as they are, without arithmetic. Write a name with such a sign in ``."
)
_QUOTES = message("Write straight quotation marks: 'text'.")
_NO_STEPS = message("A condition is one comparison, or several with and, or, not; it runs nothing.")
#: What to write instead, where a sign is understood but not allowed; the longer ones first.
_INSTEAD = {
    "===": message("Write == to compare."),
    "=~": message("Write contains for a part of a text."),
    "=<": "Write <=.",
    "=>": "Write >=.",
    "=": message("Write == to compare."),
    "<>": "Write !=.",
    "&&": "Write and.",
    "&": "Write and.",
    "||": "Write or.",
    "|": "Write or.",
    "!": message("Write not, or != to compare."),
    "--": _NO_STEPS,
    ";": _NO_STEPS,
    ":": _NO_STEPS,
    **dict.fromkeys("+-*/%^~@", _NO_ARITHMETIC),
    **dict.fromkeys("\u2018\u2019\u201c\u201d\u00ab\u00bb", _QUOTES),
    "'": message("A text is not closed. Write the same quotation mark at its end, and one inside of it twice."),
    '"': message("A text is not closed. Write the same quotation mark at its end, and one inside of it twice."),
    "`": message("A name in backquotes is empty or not closed."),
    "\u2264": "Write <=.",
    "\u2265": "Write >=.",
    "\u2260": "Write !=.",
}


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        if space := _SPACE.match(text, at):
            at = space.end()
            continue
        token = _token(text, at)
        yield token
        at += len(token.text)
    yield _Token("end", "", None, len(text))


def _token(text: str, at: int) -> _Token:
    if _FIRST.match(text, at):
        return _name(text, at)
    if found := _NUMBER.match(text, at):
        return _number(text, at, found.end())
    if found := _TEXT.match(text, at):
        quoted = found[0]
        return _Token("value", quoted, _unquoted(quoted), at)
    if found := _OPERATOR.match(text, at):
        return _Token("operator", found[0], found[0], at)
    if text[at] in "()[],":
        return _Token("sign", text[at], text[at], at)
    bad = next((sign for sign in _INSTEAD if text.startswith(sign, at)), text[at])
    raise _wrong(
        f"{bad!r}",
        at,
        _INSTEAD.get(bad, message("Allowed: names, numbers, 'texts', == != < <= > >=, and, or, not, in.")),
    )


def _name(text: str, at: int) -> _Token:
    first = _FIRST.match(text, at)
    assert first is not None  # for the type checker: the caller has seen it
    usual = first[0].lower()
    if usual in _WORDS:
        if usual in _CONSTANTS:
            return _Token("value", first[0], _CONSTANTS[usual], at)
        return _Token("word", first[0], usual, at)
    name, end = _unquoted(first[0]), first.end()
    while part := _PART.match(text, end):
        index, inner = part["index"], part["word"] or part["key"]
        name += f"[{index}]" if index is not None else f".{_unquoted(inner)}"
        end = part.end()
    return _Token("name", text[at:end], name, at)


def _unquoted(text: str) -> str:
    mark = text[0]
    return text[1:-1].replace(mark * 2, mark) if mark in "'\"`" else text


def _number(text: str, at: int, end: int) -> _Token:
    rest = text[end : end + 1]
    if rest and (rest in "._" or rest.isalnum()):
        word = re.compile(r"[+-]?[\w.]+").match(text, at)
        shown = word[0] if word is not None else text[at:end]
        raise _wrong(
            message("{shown:.40}, which is no number,", shown=shown),
            at,
            message("Write 20, 0.5 or 2.388e-7, and a text in '...'."),
        )
    written = text[at:end]
    digits = written.lstrip("+-")
    value = int(written) if digits.isdecimal() and len(digits) <= len(str(_WHOLE)) else float(written)
    if isinstance(value, int) and abs(value) >= _WHOLE:
        value = float(value)
    if value in (float("inf"), float("-inf")):
        raise _wrong(
            message("{written:.40}, which is too large for a number,", written=written),
            at,
            message("Write a smaller one."),
        )
    return _Token("value", written, value, at)


def _wrong(what: str, at: int, advice: str) -> QueryError:
    return QueryError(
        message("The condition has {what} at character {at}. {advice}", what=what, at=at + 1, advice=advice)
    )


# --- tokens -> a tree

_FROM_THE_OTHER_SIDE: dict[str, Operator] = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_ENGLISH = {
    "is": "Write == or !=.",
    "like": message("Write contains for a part of a text: model contains 'flood'."),
    "between": "Write 0.2 <= x <= 0.5.",
    "matches": message("Write contains for a part of a text: model contains 'flood'."),
    "isnull": "Write == none.",
}
_AN_OPERATOR = message("Write ==, !=, <, <=, >, >=, in or contains behind a name.")


class _Parser:
    """Reads tokens from left to right; each method reads one rule of the grammar."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0
        self._n_comparisons = 0

    def whole(self) -> Condition:
        condition = self._either()
        token = self._peek()
        if token.kind != "end":
            said = _ENGLISH.get(token.text.lower(), message("Write and or or between two comparisons."))
            raise _wrong(message("{text!r:.60} behind a whole comparison,", text=token.text), token.at, said)
        return condition

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next += token.kind != "end"
        return token

    def _takes(self, kind: str, value: str) -> bool:
        token = self._peek()
        if token.kind == kind and token.value == value:
            self._next += 1
            return True
        return False

    def _either(self) -> Condition:
        parts = self._parts(self._both, "or")
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _both(self) -> Condition:
        parts = self._parts(self._negation, "and")
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def _parts(self, read: Callable[[], Condition], word: str) -> list[Condition]:
        parts = [read()]
        while self._takes("word", word):
            parts.append(read())
        return parts

    def _negation(self) -> Condition:
        token = self._peek()
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _wrong(
                message("more than {deepest} parentheses and negations inside of each other", deepest=_DEEPEST),
                token.at,
                message("Write fewer."),
            )
        if self._takes("word", "not"):
            condition: Condition = Negation(self._negation())
        elif self._takes("sign", "("):
            condition = self._either()
            self._close(token, ")")
        else:
            condition = self._comparison()
        self._depth -= 1
        return condition

    def _close(self, opening: _Token, sign: str) -> None:
        token = self._peek()
        if not self._takes("sign", sign):
            what = message(
                "no {sign!r} for the {text!r} of character {at}", sign=sign, text=opening.text, at=opening.at + 1
            )
            raise _wrong(what, token.at, message("Write {sign} where it ends.", sign=sign))

    def _comparison(self) -> Condition:
        left = self._operand()
        self._n_comparisons += 1
        if self._n_comparisons > _MOST_COMPARISONS:
            raise _wrong(
                message("more than {most_comparisons} comparisons", most_comparisons=_MOST_COMPARISONS),
                left.at,
                message("Write fewer, or in (...) for many values."),
            )
        if self._peek().kind == "word":
            return self._by_word(left)
        if self._peek().kind != "operator":
            raise self._unfinished(left)
        compared: list[Condition] = []
        while self._peek().kind == "operator":
            operator, right = self._take(), self._operand()
            compared.append(_compared(left, operator, right))
            left = right
        return compared[0] if len(compared) == 1 else Both(tuple(compared))

    def _operand(self) -> _Token:
        token = self._take()
        if token.kind in ("name", "value"):
            return token
        if token.kind == "end":
            raise _wrong("nothing", token.at, message("Write a name or a value there."))
        raise _wrong(f"{token.text!r}", token.at, message("Write a name or a value there."))

    def _unfinished(self, left: _Token) -> QueryError:
        token = self._peek()
        if token.kind == "sign" and token.text == "(":
            return _wrong(message("{text:.60}, which looks like a call,", text=left.text + "("), left.at, _NO_STEPS)
        if token.kind == "sign" and token.text == "[":
            return _wrong(
                f"{'['!r}", token.at, message("Write a position such as [0], or a name such as ['max height'].")
            )
        if left.kind == "value":
            return _wrong(
                message("a value alone, {text:.60},", text=left.text),
                left.at,
                message("Compare a name with it: years == 20."),
            )
        said = _ENGLISH.get(token.text.lower())
        if said is not None:
            return _wrong(f"{token.text!r}", token.at, said)
        return _wrong(f"{left.text!r:.60} without a comparison", left.at, _AN_OPERATOR)

    def _by_word(self, left: _Token) -> Condition:
        word = self._take()
        negated = word.value == "not"
        if negated:
            word = self._take()
        if word.value == "in" and word.kind == "word":
            if left.kind != "name":
                raise _wrong(
                    message("a value before {text!r}", text=word.text),
                    left.at,
                    message("Write tag contains 'text', or name in ('a', 'b')."),
                )
            return _members(left, self._values(), negated=negated)
        if word.value == "contains" and word.kind == "word":
            found = _contained(left, self._operand())
            return Negation(found) if negated else found
        if negated:
            raise _wrong(
                message("{value!r} behind a name", value="not"),
                word.at,
                message("Write not in, or not before the whole comparison."),
            )
        self._next -= 1
        raise self._unfinished(left)

    def _values(self) -> list[_Token]:
        opening = self._take()
        closing = {"(": ")", "[": "]"}.get(opening.text if opening.kind == "sign" else "")
        if closing is None:
            raise _wrong(message("no list behind {value!r}", value="in"), opening.at, message("Write in ('a', 'b')."))
        values: list[_Token] = []
        while not self._takes("sign", closing):
            token = self._operand()
            if token.kind != "value":
                raise _wrong(
                    message("{text!r:.60} in a list of values", text=token.text),
                    token.at,
                    message("Write texts in quotation marks: 'a'."),
                )
            values.append(token)
            if len(values) > _MOST_VALUES:
                raise _wrong(
                    message("more than {most_values} values in a list", most_values=_MOST_VALUES),
                    token.at,
                    message("Write fewer."),
                )
            if not self._takes("sign", ","):
                self._close(opening, closing)
                break
        if not values:
            raise _wrong(message("an empty list"), opening.at, message("Write at least one value: in ('a', 'b')."))
        return values


def _compared(left: _Token, operator: _Token, right: _Token) -> Condition:
    sign = cast("Operator", operator.text)
    if left.kind == right.kind == "name":
        said = message(
            "Write a text in quotation marks: {text:.60} {sign} '{right_text:.60}'.",
            text=left.text,
            sign=sign,
            right_text=right.text,
        )
        raise _wrong(message("two names around {sign!r}", sign=sign), operator.at, said)
    if left.kind == right.kind == "value":
        raise _wrong(
            message("two values around {sign!r}", sign=sign),
            operator.at,
            message("Compare a name with a value: years == 20."),
        )
    if left.kind == "value":
        left, right, sign = right, left, _FROM_THE_OTHER_SIDE[sign]
    if sign not in ("==", "!=") and (right.value is None or isinstance(right.value, bool)):
        raise _wrong(
            message("{text!r} behind {operator_text!r}", text=right.text, operator_text=operator.text),
            operator.at,
            message("Write == or != with true, false and none."),
        )
    return _of_field(left, sign, right)


def _contained(left: _Token, right: _Token) -> Condition:
    if left.kind != "name" or not isinstance(right.value, str) or right.kind != "value":
        raise _wrong(
            message("{text:.60} with contains", text=right.text),
            right.at,
            message("Write a name and a text: model contains 'flood'."),
        )
    name = str(left.value)
    if name in NUMBER_FIELDS or name == "created":
        raise _wrong(
            message("contains for {name}, which is no text,", name=name),
            left.at,
            message("Write a comparison such as > or ==."),
        )
    return Comparison(name, "contains", right.value)


def _members(left: _Token, values: list[_Token], *, negated: bool) -> Condition:
    equal = [_of_field(left, "==", value) for value in values]
    if any(isinstance(part, Both) for part in equal):  # days
        either = equal[0] if len(equal) == 1 else Either(tuple(equal))
        return Negation(either) if negated else either
    plain = tuple(part.value for part in equal if isinstance(part, Comparison))
    return Membership(str(left.value), plain, negated)


def _of_field(left: _Token, operator: Operator, right: _Token) -> Condition:
    """Compare, once it is known that the field can have such a value."""
    name, value = str(left.value), right.value
    if name == "created":
        return _of_moment(operator, right)
    if value is not None and name in TEXT_FIELDS and not isinstance(value, str):
        raise _wrong(
            message("{text:.60} for {name}, which is a text,", text=right.text, name=name),
            right.at,
            message("Write {name} {operator} '...'.", name=name, operator=operator),
        )
    if name in NUMBER_FIELDS and (isinstance(value, str | bool)):
        raise _wrong(
            message("{text:.60} for {name}, which is a number,", text=right.text, name=name),
            right.at,
            message("Write {name} {operator} 20.", name=name, operator=operator),
        )
    return Comparison(name, operator, value)


_A_MOMENT = message("Write created >= '2026-11-01', or '2026-11-01T12:00' (in UTC).")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}|\d{8}")


def _of_moment(operator: Operator, right: _Token) -> Condition:
    value = right.value
    try:
        begin = moment_of(value) if isinstance(value, str) else None
        end = begin + timedelta(days=1) if begin is not None and _DAY.fullmatch(str(value)) else None
    except (ValueError, OverflowError):
        begin = None
    if begin is None:
        raise _wrong(message("{text:.60} for created, which is a moment,", text=right.text), right.at, _A_MOMENT)
    from_begin = begin.isoformat()
    if end is None:
        return Comparison("created", operator, from_begin)
    after = end.isoformat()
    inside = Both((Comparison("created", ">=", from_begin), Comparison("created", "<", after)))
    of_a_day: dict[Operator, Condition] = {
        "==": inside,
        "!=": Negation(inside),
        "<": Comparison("created", "<", from_begin),
        "<=": Comparison("created", "<", after),
        ">": Comparison("created", ">=", after),
        ">=": Comparison("created", ">=", from_begin),
    }
    return of_a_day[operator]
