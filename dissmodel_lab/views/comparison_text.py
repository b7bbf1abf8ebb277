"""Changes, comparisons, verdicts and checks in plain text: for the terminal, and for the plain-text twin.

Loads no widget and no map: a terminal may import it.
"""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissmodel_lab.executor.jsonvalue import encode
from dissmodel_lab.language import in_language, mark, say, say_in, say_n
from dissmodel_lab.plain import cut, printable
from dissmodel_lab.progress import status_text
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.texts import table_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissmodel_lab.changes.report import Change, ClassChange, Disagreement, RunComparison, ValueChange, ValuePair
    from dissmodel_lab.differences import PartDifference
    from dissmodel_lab.verification.integrity import Integrity
    from dissmodel_lab.verification.verdict import Verdict

#: Classes that a matrix shows one by one; the others stand together [classes].
MOST_CLASSES = 12
#: Largest transitions that are told, and rows of other lists.
MOST_TRANSITIONS, MOST_ROWS = 5, 200
#: More metrics of one name than these are told in one row.
MOST_MEMBERS = 8
#: Longest value, and longest sentence, in a table [characters].
_VALUE, _SENTENCE = 300, 2_000
CITATION = (
    "Pontius and Millones (2011), Death to Kappa: birth of quantity disagreement and allocation disagreement for "
    "accuracy assessment, Int. J. Remote Sensing 32(15), 4407-4429, doi:10.1080/01431161.2011.552923"
)


def change_text(*changes: Change) -> str:
    """
    Say what changed from one map to another: the first band with its figures, the others in a sentence.

    Parameters
    ----------
    *changes : Change
        A band each.
    """
    if not changes:
        return say("There is nothing to compare.")
    first, *others = changes
    more = [f"{cut(_flat(one.band_text), _VALUE)}: {in_language(one.sentence)}" for one in others]
    head = say("other bands:") if first.noun == "cell" else say("other columns:")
    listed = [f"\n{head}", _indented("\n".join(more))] if more else []
    return printable("\n".join([_one_change(first), *listed]))


def _one_change(change: Change) -> str:
    before, after = (redact_text(in_language(name)) for name in (change.before_name, change.after_name))
    where = say("{before} to {after}, {band}", before=before, after=after, band=change.band_text)
    lines = [f"{in_language(change.sentence)}  [{cut(_flat(where), _VALUE)}]"]
    if change.classes is not None:
        lines += _class_lines(change.classes, change.noun)
    if change.values is not None:
        lines += _value_lines(change.values)
    lines += [f"  {note_text(note)}" for note in notes_of(change)]
    return "\n".join(lines)


def _class_lines(classes: ClassChange, noun: str) -> list[str]:
    if not classes.cells.any():
        return []  # nothing was compared: a matrix of zeros would read as "nothing changed"
    names, cells = grouped(classes)
    rows = [[name, *(f"{count:,}" for count in row), f"{sum(row):,}"] for name, row in zip(names, cells, strict=True)]
    sums = [sum(column) for column in zip(*cells, strict=True)]
    rows.append([say("total"), *(f"{count:,}" for count in sums), f"{sum(sums):,}"])
    corner = say("from \\ to [cells]") if noun == "cell" else say("from \\ to [features]")
    matrix = table_text([corner, *map(_flat, names), say("total")], rows, "")
    heads = [say("class [{unit}]", unit=area_unit_text(classes.area_unit)), *area_columns()]
    areas = table_text(heads, area_rows(classes)[:MOST_ROWS], "")
    return [
        _indented(matrix),
        _indented(areas),
        f"  {in_language(classes.area_method)}",
        *(f"  {sentence}" for sentence in disagreement_sentences(classes)),
        f"  {CITATION}",
    ]


def _value_lines(values: ValueChange) -> list[str]:
    rows = [[name, text] for name, text in value_rows(values)]
    quantiles = [[part, text] for part, text in quantile_rows(values)]
    return [
        _indented(table_text([say("after minus before"), ""], rows, "")),
        _indented(table_text([say("of the cells"), say("difference")], quantiles, "")),
    ]


def note_text(note: str) -> str:
    """
    Write a note on one line of its own.

    Examples
    --------
    >>> note_text("The maps differ in size.")
    'note: The maps differ in size.'
    """
    return say("note: {note}", note=cut(_flat(redact_text(in_language(note))), _SENTENCE))


def area_unit_text(unit: str) -> str:
    """
    Return a unit of area for people; where areas are unknown it is a word.

    Examples
    --------
    >>> area_unit_text("ha"), area_unit_text("cells")
    ('ha', 'cells')
    """
    return say(unit) if unit in (mark("cells"), mark("features")) else unit


def area_columns() -> list[str]:
    """Return the headings of :func:`area_rows`, behind the class."""
    return [say("before"), say("after"), say("net"), say("net [%]"), say("gained"), say_in("an area", "lost")]


def area_rows(classes: ClassChange) -> list[list[str]]:
    """
    Return a row for each class: its name, its area before and after, net change, what it gained and lost.

    Parameters
    ----------
    classes : ClassChange
        Of one band.
    """
    befores, afters, moved = classes.areas_before, classes.areas_after, classes.areas.copy()
    moved.flat[:: len(moved) + 1] = 0  # what stayed
    gains, losses = moved.sum(axis=0), moved.sum(axis=1)
    nets = (gains - losses) * (abs(gains - losses) > 1e-9 * (gains + losses))  # sums of floats: none is not exactly 0
    figures = [*zip(befores, afters, nets, gains, losses, strict=True)]
    digits = digits_of([float(value) for row in figures for value in row])
    rows = []
    for name, row in zip(class_names(classes), figures, strict=True):
        before, after, net, gained, lost = map(float, row)
        share = f"{100 * net / before:+.2f}" if before and net else "0" if before else "-"
        cells = (amount(value, digits) for value in (before, after))
        rows.append([name, *cells, signed(net, digits), share, amount(gained, digits), amount(lost, digits)])
    return rows


def class_names(classes: ClassChange) -> list[str]:
    """Return what each class is called, with its code where that is something else."""
    return [
        label if label == str(code) else f"{label} ({code})"
        for code, label in zip(classes.codes, classes.labels, strict=True)
    ]


def grouped(classes: ClassChange) -> tuple[list[str], list[list[int]]]:
    """
    Return the matrix of a change, its classes beyond :data:`MOST_CLASSES` put together.

    Parameters
    ----------
    classes : ClassChange
        Of one band.

    Returns
    -------
    names : list of str
        Of the rows and columns; the last one may be ``12 other classes``.
    cells : list of list of int
        From each (rows) to each (columns).
    """
    names, cells = class_names(classes), classes.cells
    if len(names) <= MOST_CLASSES:
        return names, [list(map(int, row)) for row in cells]
    moved = cells.sum(axis=0) + cells.sum(axis=1) - 2 * cells.diagonal()
    # those that changed most, then those that are most
    order = sorted(range(len(names)), key=lambda at: (-int(moved[at]), -int(cells[at].sum())))
    kept = sorted(order[: MOST_CLASSES - 1])
    rest = [at for at in range(len(names)) if at not in set(kept)]
    groups = [*([at] for at in kept), rest]
    sums = [[int(cells[one][:, other].sum()) for other in groups] for one in groups]
    return [*(names[at] for at in kept), say("{n:,} other classes", n=len(rest))], sums


def disagreement_sentences(classes: ClassChange) -> list[str]:
    """
    Say how much of the change is of quantity and how much of place.

    Parameters
    ----------
    classes : ClassChange
        Of one band.

    Returns
    -------
    list of str
        Nothing when no cell was compared: that is no agreement.
    """
    if not classes.cells.any():
        return []
    by_cells = _disagreement(classes.disagreement)
    if classes.area_disagreement is None:
        return [say("Disagreement, share of cells: {figures}", figures=by_cells)]
    by_area = _disagreement(classes.area_disagreement)
    if by_area == by_cells:
        return [say("Disagreement, share of cells and of area: {figures}", figures=by_cells)]
    return [
        say("Disagreement, share of cells: {figures}", figures=by_cells),
        say("Disagreement, share of area: {figures}", figures=by_area),
    ]


def _disagreement(figures: Disagreement) -> str:
    from dissmodel_lab.changes.report import percent  # noqa: PLC0415 -- brings numpy: only when there is a change

    return say(
        "{total} = quantity {quantity} (one map has more of a class than the other) + allocation {allocation} "
        "(the classes lie elsewhere: exchange {exchange}, shift {shift}).",
        total=percent(figures.total),
        quantity=percent(figures.quantity),
        allocation=percent(figures.allocation),
        exchange=percent(figures.exchange),
        shift=percent(figures.shift),
    )


def value_rows(values: ValueChange) -> list[tuple[str, str]]:
    """
    Return names and figures of a difference of values.

    Parameters
    ----------
    values : ValueChange
        Of one band.
    """
    unit = values.unit
    rows = [
        (say("mean before"), with_unit(values.mean_before, unit)),
        (say("mean after"), with_unit(values.mean_after, unit)),
        (say("mean difference"), with_unit(values.mean, unit, sign=True)),
        (say("median difference"), with_unit(values.median, unit, sign=True)),
        (say("mean absolute difference"), with_unit(values.mean_absolute, unit)),
        (say("root mean square difference"), with_unit(values.rmse, unit)),
    ]
    far = values.largest
    if far is not None and far.difference:
        place = f"; x {far.x:.10g}, y {far.y:.10g}" if far.x is not None and far.y is not None else ""
        largest = say(
            "{difference}: {before} to {after} at row {row:,}, column {column:,} (from 0)",
            difference=with_unit(far.difference, unit, sign=True),
            before=figure(far.before),
            after=figure(far.after),
            row=far.row,
            column=far.column,
        )
        rows.append((say("largest difference"), f"{largest}{place}"))
    return rows


def quantile_rows(values: ValueChange) -> list[tuple[str, str]]:
    """
    Return each quantile of the difference with its name.

    Parameters
    ----------
    values : ValueChange
        Of one band.
    """
    names = {0.0: say("smallest"), 0.5: say("50 % (median)"), 1.0: say("largest")}
    return [
        (names.get(part, f"{100 * part:g} %"), with_unit(value, values.unit, sign=True))
        for part, value in values.quantiles
    ]


def notes_of(change: Change) -> tuple[str, ...]:
    """
    Return what must be said with the figures, where cells have no value in either map too.

    Parameters
    ----------
    change : Change
        Of one band.
    """
    if not change.neither:
        return change.notes
    if change.noun == "cell":
        said = say_n(
            "{n} cell has no value in either map: nothing to compare there.",
            "{n} cells have no value in either map: nothing to compare there.",
            change.neither,
        )
    else:
        said = say_n(
            "{n} feature has no value in either map: nothing to compare there.",
            "{n} features have no value in either map: nothing to compare there.",
            change.neither,
        )
    return (*change.notes, said)


def figure(value: float) -> str:
    """
    Write a number for a table.

    Examples
    --------
    >>> figure(1234567.0), figure(0.12345678), figure(float("nan"))
    ('1,234,567', '0.123457', '-')
    """
    if not math.isfinite(value):
        return "-"
    if float(value).is_integer() and abs(value) < 1e15:  # noqa: PLR2004 -- exact
        return f"{int(value):,}"
    return f"{value:.6g}"


def digits_of(values: Sequence[float]) -> int:
    """
    Return how many digits behind the point a column of areas needs, so that its smallest is not lost.

    Examples
    --------
    >>> digits_of([12.0, 3.0]), digits_of([374.04, 1.44]), digits_of([0.0123, 5.0])
    (0, 2, 3)
    """
    sizes = [abs(value) for value in values if value and math.isfinite(value)]
    if all(size.is_integer() for size in sizes):
        return 0
    return max(2, min(6, 1 - math.floor(math.log10(min(sizes)))))


def amount(value: float, digits: int) -> str:
    """
    Write an area; nothing is 0.

    Examples
    --------
    >>> amount(1234.5678, 2), amount(0.0, 2)
    ('1,234.57', '0')
    """
    if not math.isfinite(value):
        return "-"
    return f"{value:,.{digits}f}" if value else "0"


def signed(value: float, digits: int) -> str:
    """
    Write a change with its sign; no change is 0.

    Examples
    --------
    >>> signed(12.0, 0), signed(-0.5, 2), signed(0.0, 2)
    ('+12', '-0.50', '0')
    """
    return f"+{amount(value, digits)}" if value > 0 else amount(value, digits)


def with_unit(value: float, unit: str, *, sign: bool = False) -> str:
    """
    Write a number with its unit.

    Examples
    --------
    >>> with_unit(0.5, "m", sign=True), with_unit(2.0, "")
    ('+0.5 m', '2')
    """
    plus = "+" if sign and value > 0 else ""
    return f"{plus}{figure(value)}{f' {unit}' if unit else ''}"


def comparison_text(comparison: RunComparison) -> str:
    """
    Say how two runs differ.

    Parameters
    ----------
    comparison : RunComparison
        Of any two records.
    """
    first, second = comparison.first, comparison.second
    head = [
        _flat(in_language(comparison.sentence)),
        _indented(
            table_text(
                ["", say("model"), say("what it is"), say("status"), say("created")],
                [
                    [
                        side.short_id,
                        side.model_name,
                        cut(redact_text(side.title), _VALUE),
                        status_text(side.status),
                        side.created,
                    ]
                    for side in (first, second)
                ],
                "",
            )
        ),
        f"  {_flat(in_language(comparison.input_sentence))}",
    ]
    names = (first.short_id, second.short_id)
    parameters, versions = parameter_rows(comparison.parameters), parameter_rows(comparison.versions)
    parts = [
        _pairs_text(say("parameters that differ"), parameters, names, same_text(comparison.same_parameters)),
        _pairs_text(say("metrics"), metric_rows(comparison.metrics), names, say("neither run has any")),
        _pairs_text(say("seconds"), timing_rows(comparison.timings), names, say("not recorded")),
        _pairs_text(say("versions that differ"), versions, names, same_text(comparison.same_versions)),
    ]
    said = []
    if comparison.problem:
        problem = _flat(in_language(comparison.problem))
        said.append(f"  {say('The outputs are not compared: {problem}', problem=problem)}")
    said += [f"  {note_text(note)}" for note in comparison.notes]
    above = printable(redact_text("\n".join([*head, *parts, *said])))
    return f"{above}\n\n{change_text(*comparison.changes)}" if comparison.changes else above


def same_text(count: int) -> str:
    """
    Say how many things are the same, where none differs.

    Examples
    --------
    >>> same_text(0), same_text(3)
    ('none', 'all 3 are the same')
    """
    return say("all {n:,} are the same", n=count) if count else say("none")


def _pairs_text(title: str, rows: Sequence[Sequence[str]], names: tuple[str, str], empty: str) -> str:
    if not rows:
        return f"  {title}: {empty}"
    columns = [title, *names, say("difference")][: len(rows[0])]
    more = len(rows) - MOST_ROWS
    left = f"\n  {say('and {n:,} more', n=more)}" if more > 0 else ""
    return _indented(table_text(columns, rows[:MOST_ROWS], "")) + left


def parameter_rows(pairs: Sequence[ValuePair]) -> list[list[str]]:
    """
    Return a row for each parameter or version: its name and its two values.

    Parameters
    ----------
    pairs : sequence of ValuePair
        In the order that they are shown in.

    Examples
    --------
    >>> from dissmodel_lab.changes.report import ValuePair
    >>> parameter_rows([ValuePair(name="seed", first=1, in_second=False)])
    [['seed', '1', '(not there)']]
    """
    return [
        [
            pair.name,
            value_text(pair.first) if pair.in_first else say("(not there)"),
            value_text(pair.second) if pair.in_second else say("(not there)"),
        ]
        for pair in pairs
    ]


def metric_rows(pairs: Sequence[ValuePair]) -> list[list[str]]:
    """
    Return a row for each metric: name, two values, difference; one row for many that belong together.

    Parameters
    ----------
    pairs : sequence of ValuePair
        Nested ones are flat: ``area_by_step.0``.

    Examples
    --------
    >>> from dissmodel_lab.changes.report import ValuePair
    >>> metric_rows([ValuePair(name=f"area_by_step.{at}", first=at, second=2 * at) for at in range(10)])
    [['area_by_step (10 values)', '0 ... 9', '0 ... 18', '9 differ']]
    """
    groups: dict[str, list[ValuePair]] = {}
    for pair in pairs:
        groups.setdefault(_family(pair.name), []).append(pair)
    rows = []
    for family, members in groups.items():
        if len(members) > MOST_MEMBERS and family:
            rows.append(_family_row(family, members))
        else:
            rows += [[*parameter_rows([pair])[0], _difference(pair)] for pair in members]
    return rows


def _family(name: str) -> str:
    """Return what a flat name is a member of; nothing when it stands alone."""
    found = re.fullmatch(r"(.+)(?:\.[^.\[\]]+|\[\d+\])", name)
    return found[1] if found else ""


def _family_row(family: str, members: list[ValuePair]) -> list[str]:
    differ = sum(pair.differs for pair in members)
    ends = (members[0], members[-1])
    first, second = (
        " ... ".join(value_text(getattr(pair, side)) if getattr(pair, f"in_{side}") else "-" for pair in ends)
        for side in ("first", "second")
    )
    name = say("{name} ({n:,} values)", name=family, n=len(members))
    return [name, first, second, say_n("{n} differs", "{n} differ", differ) if differ else ""]


def timing_rows(pairs: Sequence[ValuePair]) -> list[list[str]]:
    """
    Return a row for each phase: its name, its seconds in both runs, and the difference [s].

    Parameters
    ----------
    pairs : sequence of ValuePair
        Seconds.

    Examples
    --------
    >>> from dissmodel_lab.changes.report import ValuePair
    >>> timing_rows([ValuePair(name="run", first=0.25, second=1.5)])
    [['run', '0.250', '1.500', '+1.250']]
    """
    rows = []
    for pair in pairs:
        values = [
            f"{value:.3f}" if isinstance(value, int | float) else "" if value is None else value_text(value)
            for value in (pair.first, pair.second)
        ]
        difference = pair.difference
        name = say("all phases") if pair.name == "all phases" else pair.name
        rows.append([name, *values, "" if difference is None else f"{difference:+.3f}"])
    return rows


def _difference(pair: ValuePair) -> str:
    difference = pair.difference
    return "" if difference is None else with_unit(difference, "", sign=True)


def value_text(value: Any) -> str:
    """
    Write a JSON value shortly.

    Examples
    --------
    >>> value_text(0.5), value_text([1, 2]), value_text("high")
    ('0.5', '[1, 2]', 'high')
    """
    if isinstance(value, float):
        return f"{value:.9g}"
    text = value if isinstance(value, str) else json.dumps(encode(value), ensure_ascii=False)
    return cut(redact_text(text), _VALUE)


def verdict_text(verdict: Verdict) -> str:
    """
    Say what a rerun says of the run that it repeats.

    Parameters
    ----------
    verdict : Verdict
        As it was made, or read from a record.
    """
    lines = [say("{verdict}: rerun of run {run}", verdict=kind_text(verdict.kind).upper(), run=verdict.of[:8])]
    lines += [f"  {cut(_flat(nearby(redact_text(in_language(reason)))), _SENTENCE)}" for reason in verdict.why]
    if verdict.tolerance is not None:
        lines.append(f"  {say('tolerance asked for: {tolerance:g}', tolerance=verdict.tolerance)}")
    rows = [figure_row(part, verdict.tolerance) for part in verdict.figures[:MOST_ROWS]]
    if rows:
        columns = figure_columns(verdict.tolerance)
        lines.append(_indented(table_text(columns, rows, "")))
    if verdict.reruns:
        lines.append(f"  {say('made for it: {runs}', runs=', '.join(run[:8] for run in verdict.reruns))}")
    settings = setting_rows(verdict)
    if settings:
        lines.append(_indented(table_text([say("settings"), ""], settings, "")))
    return printable("\n".join(lines))


_KINDS = frozenset(
    (
        mark("identical"),
        mark("same content"),
        mark("within tolerance"),
        mark("different"),
        mark("cannot verify"),
    )
)


def kind_text(kind: str) -> str:
    """
    Return the word of a verdict for people.

    Examples
    --------
    >>> kind_text("same content")
    'same content'
    """
    return say(kind) if kind in _KINDS else kind


def setting_rows(verdict: Verdict) -> list[list[str]]:
    """
    Return a row for each setting of a rerun, name and value; the working folder says nothing on another machine.

    Parameters
    ----------
    verdict : Verdict
        As it was made, or read from a record.
    """
    return [
        [str(name), nearby(value_text(value))] for name, value in verdict.settings.items() if name != "working_folder"
    ][:MOST_ROWS]


def nearby(text: str) -> str:
    """
    Write paths inside of the working folder relative to it: notebooks are shared, and machines are not.

    Parameters
    ----------
    text : str
        A path, or a sentence with paths in it.

    Examples
    --------
    >>> from pathlib import Path
    >>> nearby(f"Its copy {Path.cwd() / 'flood.json'} says the same.")
    'Its copy flood.json says the same.'
    """
    try:
        here = Path.cwd()
    except OSError:  # it was deleted
        return text
    if here == here.parent:  # the root: every path is inside of it
        return text
    return re.sub(rf"(?<![\w.~/\\-]){re.escape(str(here))}[/\\]", "", text)


def figure_columns(tolerance: float | None) -> list[str]:
    """
    Return the headings of the table of bands and columns.

    Examples
    --------
    >>> figure_columns(None)
    ['band or column', 'differ', 'largest difference', 'where', 'first', 'rerun']
    """
    beyond = [say("beyond tolerance")] if tolerance is not None else []
    return [
        say("band or column"),
        say("differ"),
        *beyond,
        say("largest difference"),
        say("where"),
        say("first"),
        say("rerun"),
    ]


def figure_row(part: PartDifference, tolerance: float | None) -> list[str]:
    """
    Return one band's or column's figures as texts, under :func:`figure_columns`.

    Parameters
    ----------
    part : PartDifference
        One band or column.
    tolerance : float, optional
        What was asked for.
    """
    beyond = [_count(part.beyond)] if tolerance is not None else []
    where, values = "", ["", ""]
    if part.place is not None:
        with suppress(TypeError, ValueError):  # a record from elsewhere may hold anything
            where = in_language(part.place.text)
        values = [
            say("no value") if value is None else value_text(value) for value in (part.place.first, part.place.second)
        ]
    largest = f"{part.largest:.6g}" if isinstance(part.largest, int | float) else ""
    differ = _how_many_text(_count(part.differing), _count(part.compared), part.unit)
    return [str(part.name), differ, *beyond, largest, where, *values]


def _how_many_text(differing: str, compared: str, unit: str) -> str:
    if unit == "cells":
        return say("{n} of {total} cells", n=differing, total=compared)
    if unit == "rows":
        return say("{n} of {total} rows", n=differing, total=compared)
    return say("{n} of {total} {unit}", n=differing, total=compared, unit=unit)


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else value_text(value)


def integrity_text(integrity: Integrity) -> str:
    """
    Say which of the things that a record names are still as they were recorded.

    Parameters
    ----------
    integrity : Integrity
        What was checked.
    """
    rows = [
        [
            state_text(check.state),
            item_text(check.item),
            nearby(str(check.path or "")),
            nearby(redact_text(in_language(check.why))),
        ]
        for check in integrity.checks
    ]
    heads = [say("state"), say("item"), say("where"), say("why")]
    table = table_text(heads, rows, say("The record names nothing that could be checked."))
    return printable(f"{nearby(in_language(integrity.sentence))}\n{_indented(table)}")


_STATES = frozenset(
    (
        mark("ok"),
        mark("rewritten"),
        mark("changed"),
        mark("missing"),
        mark("cannot be checked"),
    )
)


def state_text(state: str) -> str:
    """
    Return what became of a recorded thing, in a word for people.

    Examples
    --------
    >>> state_text("missing")
    'missing'
    """
    return say(str(state)) if state in _STATES else str(state)


def item_text(item: str) -> str:
    """
    Return what was checked, for people: the record, the input, a parameter's file or an artifact.

    Examples
    --------
    >>> item_text("record"), item_text("parameter demand_csv"), item_text("artifact output")
    ('record', 'parameter demand_csv', 'artifact output')
    """
    kind, _, name = item.partition(" ")
    if kind == "parameter":
        return say("parameter {name}", name=name)
    if kind == "artifact":
        return say("artifact {name}", name=name)
    return say(item) if item in (mark("record"), mark("input")) else item


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _flat(text: str) -> str:
    """Put a text on one line: a line break in a name must not look like a sentence of ours."""
    return " ".join(text.split())
