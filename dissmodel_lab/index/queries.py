"""A :class:`RunQuery` -> SQL with bound values.

What a person wrote is never a part of an SQL text: names are looked up, values are bound.

What a comparison means:

- a run has a value under a name, or has none; ``none`` in a record is no value;
- ``==``, ``!=``, ``<`` and so on hold only for a run that has a value, ``x == none`` only for one that has none;
- numbers (``true`` is 1) are compared with numbers, texts with texts, by the numbers of their signs; a number and a
  text are different, and neither is the smaller one. A NaN is the text ``nan``;
- ``contains`` asks for a part of a text, with its capital letters;
- ``not`` turns an answer around: ``not (x > 1)`` also holds for runs without x, ``x <= 1`` does not;
- a run may have several tags: ``tag == 'a'`` holds when one of them is a, ``tag != 'a'`` when none is;
- a field of texts that is empty is no value. A bare name that is no field is a parameter of the run, or else a
  metric.
"""

from __future__ import annotations

from math import isnan, isqrt
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from dissmodel_lab.conditions import Both, Comparison, Condition, Either, Membership, Negation, moment_of
from dissmodel_lab.index.summaries import METRIC, PARAMETER, microseconds

if TYPE_CHECKING:
    from dissmodel_lab.index.entries import RunQuery
    from dissmodel_lab.index.tables import Database

Part: TypeAlias = tuple[str, list[Any]]
"""A piece of SQL, and the values for its question marks."""

COLUMNS = (
    "r.n, r.parent, r.place, r.mtime, r.size, r.notes_mtime, r.notes_size, "
    "r.id, r.model, r.status, r.created, r.seconds, r.phase, r.problem, r.title"
)

_TEXTS = ("id", "model", "status", "phase", "source", "source_sha256", "title", "package", "version")
_NUMBERS = ("seconds", "steps", "created")
_PREFIXES = {"parameters.": PARAMETER, "metrics.": METRIC}
_SIGNS = {"==": "=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_TRUE: Part = ("1", [])
_FALSE: Part = ("0", [])
_LAST = "\U0010ffff"
_INFINITE = float("inf")
_WHOLE = 2**63
NEWEST = "r.created DESC, r.id DESC, r.folder DESC, r.place DESC"
_OLDEST = "r.created, r.id, r.folder, r.place"
_FEWEST = 500


class Question(NamedTuple):
    """An SQL text and its values."""

    sql: str
    values: tuple[Any, ...]


def selection(database: Database, query: RunQuery) -> Question:
    """Compile a query for the runs that fit it, in their order, as :data:`COLUMNS`."""
    condition = _condition(query)
    names = _Names(database, condition)
    limit = -1 if query.limit is None else max(0, query.limit)
    source = _source(database, names, condition, limit + query.offset if limit >= 0 else None)
    where = _all([("r.shown = 1", []), names.test(condition)])
    joins, order = _order(query.sort, names)
    sql = f"SELECT {COLUMNS} FROM {source[0]}{joins[0]} WHERE {where[0]} ORDER BY {order} LIMIT ? OFFSET ?"  # noqa: S608 -- only this module's own texts
    return Question(sql, (*source[1], *joins[1], *where[1], limit, max(0, query.offset)))


def counting(database: Database, query: RunQuery) -> Question:
    """Compile a query for the number of runs that fit it."""
    condition = _condition(query)
    names = _Names(database, condition)
    source = _source(database, names, condition, None)
    where = _all([("r.shown = 1", []), names.test(condition)])
    return Question(f"SELECT count(*) FROM {source[0]} WHERE {where[0]}", (*source[1], *where[1]))  # noqa: S608 -- as above


def sorted_index(database: Database, query: RunQuery) -> Question | None:
    """
    Compile the same selection as a walk along the index of one parameter or metric; None where there is no such way.

    It finds only runs that have a value: when it finds fewer than were asked for, :func:`selection` has to be asked.
    """
    condition = _condition(query)
    names = _Names(database, condition)
    numbers = names.of(query.sort.removeprefix("-")) if not _is_field(query.sort.removeprefix("-")) else []
    if query.limit is None or len(numbers) != 1:
        return None
    if _driver(database, names, condition, query.limit + query.offset) is not None:
        return None
    where = _all([("r.shown = 1", []), names.test(condition)])
    way = " DESC" if query.sort.startswith("-") else ""
    sql = (
        f"SELECT {COLUMNS} FROM facts AS s CROSS JOIN runs AS r ON r.n = s.run "  # noqa: S608 -- as above
        f"WHERE s.name = ? AND s.value IS NOT NULL AND {where[0]} ORDER BY s.value{way}, {NEWEST} LIMIT ? OFFSET ?"
    )
    return Question(sql, (numbers[0], *where[1], max(0, query.limit), max(0, query.offset)))


def _condition(query: RunQuery) -> Both:
    """Say all of a query as one condition."""
    parts: list[Condition] = [
        Comparison(name, "==", value)
        for name, value in (("model", query.model), ("status", query.status), ("tag", query.tag))
        if value
    ]
    if query.source_sha256:
        begin = query.source_sha256.lower()
        parts += [Comparison("source_sha256", ">=", begin), Comparison("source_sha256", "<=", begin + _LAST)]
    if query.since is not None:
        parts.append(Comparison("created", ">=", query.since.isoformat()))
    if query.until is not None:
        parts.append(Comparison("created", "<", query.until.isoformat()))
    return Both((*parts, *_conjuncts(query.where))) if query.where is not None else Both(tuple(parts))


def _conjuncts(condition: Condition) -> list[Condition]:
    """Return the conditions that all have to hold, none of them such a list again."""
    if not isinstance(condition, Both):
        return [condition]
    return [inner for part in condition.parts for inner in _conjuncts(part)]


def _source(database: Database, names: _Names, condition: Both, wanted: int | None) -> Part:
    """Begin with the runs that have a rare value where there is one, else with all of them."""
    driver = _driver(database, names, condition, wanted)
    if driver is None:
        return "runs AS r", []
    return f"(SELECT run FROM facts WHERE {driver[0]}) AS d CROSS JOIN runs AS r ON r.n = d.run", driver[1]  # noqa: S608 -- as above


def _driver(database: Database, names: _Names, condition: Both, wanted: int | None) -> Part | None:
    """
    Return the range of one parameter or metric that leaves few runs, where the condition has one.

    Two ways lead to the newest that fit: along the newest, leaving out what does not fit; or through all that
    have a value in a range, to be sorted then. With c of N runs in the range the first looks at wanted * N / c of
    them, the second at c: so they are even where c is the root of wanted * N.
    """
    ranges = names.ranges(condition)
    if not ranges:
        return None
    n_runs = database.connection.execute("SELECT max(n) FROM runs").fetchone()[0] or 0
    worth = n_runs // 3 if wanted is None else max(_FEWEST, isqrt(n_runs * wanted))
    best: Part | None = None
    for number, (test, values) in ranges.items():
        part = (f"name = ? AND {test}", [number, *values])
        sql = f"SELECT count(*) FROM (SELECT 1 FROM facts WHERE {part[0]} LIMIT ?)"  # noqa: S608 -- as above
        count = database.connection.execute(sql, (*part[1], worth)).fetchone()[0]
        if count < worth:
            best, worth = part, count
    return best


def _order(sort: str, names: _Names) -> tuple[Part, str]:
    """Return the joins that an order needs, and the order."""
    name, way = sort.removeprefix("-"), " DESC" if sort.startswith("-") else ""
    if name == "created":
        return ("", []), NEWEST if way else _OLDEST
    if name in _TEXTS or name in _NUMBERS:
        return ("", []), f"r.{name} IS NULL OR r.{name} = '', r.{name}{way}, {NEWEST}"
    if name == "tag":
        tag = "(SELECT min(tag) FROM tags WHERE tags.run = r.n)"
        return ("", []), f"{tag} IS NULL, {tag}{way}, {NEWEST}"
    numbers = names.of(name)
    if not numbers:
        return ("", []), NEWEST
    joins = "".join(
        f" LEFT JOIN facts AS s{place} ON s{place}.run = r.n AND s{place}.name = ?" for place in range(len(numbers))
    )
    value = "s0.value" if len(numbers) == 1 else "CASE WHEN s0.run IS NULL THEN s1.value ELSE s0.value END"
    return (joins, list(numbers)), f"{value} IS NULL, {value}{way}, {NEWEST}"


def _is_field(name: str) -> bool:
    return name in _TEXTS or name in _NUMBERS or name == "tag"


class _Names:
    """What the names of a condition stand for in one index."""

    def __init__(self, database: Database, condition: Both) -> None:
        self._database = database
        self._known: dict[str, list[int]] = {}
        equal = [part.name for part in condition.parts if isinstance(part, Comparison) and part.operator == "=="]
        # SQLite knows nothing of how rare a value is: it must not take another field's index than this one.
        self._first = next((name for name in ("id", "model", "status") if name in equal), "")

    def of(self, name: str) -> list[int]:
        """Return the numbers of a parameter or metric; of a bare name of both, the parameter's first."""
        if name not in self._known:
            kinds = [kind for prefix, kind in _PREFIXES.items() if name.startswith(prefix)]
            bare = name.partition(".")[2] if kinds else name
            found = (self._database.number(kind, bare) for kind in kinds or (PARAMETER, METRIC))
            self._known[name] = [number for number in found if number is not None]
        return self._known[name]

    def test(self, condition: Condition) -> Part:
        """Compile a condition on ``r``: never NULL, so that it can be turned around."""
        match condition:
            case Both(parts):
                return self._all_of(parts)
            case Either(parts):
                tests = [self.test(part) for part in parts]
                return _joined(tests, " OR ") if tests else _FALSE
            case Negation(part):
                sql, values = self.test(part)
                return f"NOT ({sql})", values
            case Comparison(name, operator, value):
                return self._compared(name, operator, (value,))
            case Membership(name, values, negated):
                return self._compared(name, "!=" if negated else "==", values)

    def _all_of(self, parts: tuple[Condition, ...]) -> Part:
        # Both ends of a range are looked up at once.
        ranges = [
            (f"EXISTS (SELECT 1 FROM facts AS f WHERE f.run = r.n AND f.name = ? AND {sql})", [number, *values])  # noqa: S608 -- as above
            for number, (sql, values) in self.ranges(Both(parts), "f.value").items()
        ]
        return _all([*(self.test(part) for part in parts if self._range_number(part) is None), *ranges])

    def _compared(self, name: str, operator: str, values: tuple[Any, ...]) -> Part:
        """Compare with one value, or with several: ``==`` is one of them, ``!=`` is none of them."""
        if name == "created":
            values = tuple(_as_moment(value) for value in values)
        if not _is_field(name):
            return self._of_facts(self.of(name), operator, values)
        # A column would turn a value of another kind into its own.
        is_text = name not in _NUMBERS
        values = tuple(value for value in values if value is None or isinstance(value, str) == is_text)
        if name == "tag":
            return _of_tags(operator, values)
        column = f"r.{name}" if name in (self._first, "created") else f"+r.{name}"
        empty = f"(+r.{name} IS NULL OR +r.{name} = '')" if is_text else f"(+r.{name} IS NULL)"
        sql, bound = _test(column, operator, values)
        return _or_none((f"(NOT {empty} AND {sql})", bound), (empty, []), operator, values)

    def _of_facts(self, numbers: list[int], operator: str, values: tuple[Any, ...]) -> Part:
        found = [_of_fact(number, operator, values) for number in numbers]
        if len(found) == 1:
            return found[0]
        if not found:
            return _or_none(_FALSE, _TRUE, operator, values)
        has = "EXISTS (SELECT 1 FROM facts AS f WHERE f.run = r.n AND f.name = ?)"
        sql = f"CASE WHEN {has} THEN {found[0][0]} ELSE {found[1][0]} END"
        return sql, [numbers[0], *found[0][1], *found[1][1]]

    def ranges(self, condition: Both, column: str = "value") -> dict[int, Part]:
        """Return, by name, the tests that every run that fits must pass, and that an index answers."""
        grouped: dict[int, list[Comparison]] = {}
        for part in condition.parts:
            number = self._range_number(part)
            if number is not None and isinstance(part, Comparison):
                grouped.setdefault(number, []).append(part)
        return {number: _range(column, parts) for number, parts in grouped.items()}

    def _range_number(self, condition: Condition) -> int | None:
        """Return the number of the one parameter or metric that a comparison finds a range of; None: it does not."""
        if not isinstance(condition, Comparison) or _is_field(condition.name):
            return None
        if condition.operator in ("!=", "contains") or condition.value is None:
            return None
        numbers = self.of(condition.name)
        return numbers[0] if len(numbers) == 1 else None


def _of_fact(number: int, operator: str, values: tuple[Any, ...]) -> Part:
    sql, bound = _test("f.value", operator, values)
    test = f"EXISTS (SELECT 1 FROM facts AS f WHERE f.run = r.n AND f.name = ? AND {sql})", [number, *bound]  # noqa: S608 -- as above
    none = "NOT EXISTS (SELECT 1 FROM facts AS f WHERE f.run = r.n AND f.name = ? AND f.value IS NOT NULL)"
    return _or_none(test, (none, [number]), operator, values)


def _of_tags(operator: str, values: tuple[Any, ...]) -> Part:
    if operator == "!=":
        sql, bound = _of_tags("==", values)
        return f"NOT ({sql})", bound
    sql, bound = _test("t.tag", operator, values)
    test = f"EXISTS (SELECT 1 FROM tags AS t WHERE t.run = r.n AND {sql})", bound  # noqa: S608 -- as above
    return _or_none(test, ("NOT EXISTS (SELECT 1 FROM tags AS t WHERE t.run = r.n)", []), operator, values)


def _or_none(test: Part, none: Part, operator: str, values: tuple[Any, ...]) -> Part:
    """Let runs without a value fit a comparison with none."""
    if operator == "==" and None in values:
        return _joined([test, none], " OR ")
    return test


def _test(column: str, operator: str, values: tuple[Any, ...]) -> Part:
    """Compare a column's value; NULL or false where there is no value, or one of another kind."""
    bound = [_bound(value) for value in values if value is not None]
    marks = ", ".join("?" * len(bound))
    if operator == "!=":
        return _all([(f"{column} IS NOT NULL", []), *([(f"{column} NOT IN ({marks})", bound)] if bound else [])])
    if operator == "==" and len(bound) > 1:
        return f"{column} IN ({marks})", bound
    tests = [_single(column, operator, value) for value in bound]
    return _joined(tests, " OR ") if tests else _FALSE


def _range(column: str, parts: list[Comparison]) -> Part:
    """Compare a column with all ends of a range; an index is searched between the first two that it finds."""
    ends = [(part.operator, _bound(part.value)) for part in parts]
    numbers = [(operator, end) for operator, end in ends if not isinstance(end, str)]
    if len(numbers) < len(ends) or any(operator == "==" for operator, _ in ends):
        return _all([_single(column, operator, end) for operator, end in ends])
    lows = [(end, operator == ">", operator) for operator, end in numbers if operator in (">", ">=")]
    highs = [(end, operator != "<", operator) for operator, end in numbers if operator in ("<", "<=")]
    low, high = max(lows, default=None), min(highs, default=(_INFINITE, True, "<="))
    tests: list[Part] = [] if low is None else [(f"{column} {low[2]} ?", [low[0]])]
    return _all([*tests, (f"{column} {high[2]} ?", [high[0]])])


def _single(column: str, operator: str, value: float | str) -> Part:
    if operator == "contains":
        is_text = isinstance(value, str)
        return (f"(typeof({column}) = 'text' AND instr({column}, ?) > 0)", [value]) if is_text else _FALSE
    sql = f"{column} {_SIGNS[operator]} ?"
    # In SQLite's order NULL comes before all numbers, and all numbers before all texts.
    if operator in (">", ">=") and not isinstance(value, str):
        return f"({sql} AND {column} <= ?)", [value, _INFINITE]
    if operator in ("<", "<=") and isinstance(value, str):
        return f"({sql} AND {column} >= ?)", [value, ""]
    return f"({sql})", [value]


def _bound(value: Any) -> float | str:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, float):
        return "nan" if isnan(value) else value
    if -_WHOLE <= value < _WHOLE:
        return int(value)  # True and False too
    try:
        return float(value)
    except OverflowError:
        return _INFINITE if value > 0 else -_INFINITE


def _as_moment(value: Any) -> Any:
    return microseconds(moment_of(value)) if isinstance(value, str) else value


def _all(tests: list[Part]) -> Part:
    return _joined(tests, " AND ") if tests else _TRUE


def _joined(tests: list[Part], word: str) -> Part:
    if len(tests) == 1:
        return tests[0]
    return f"({word.join(sql for sql, _ in tests)})", [value for _, values in tests for value in values]
