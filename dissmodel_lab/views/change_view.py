"""What changed from one map to another: the sentence, the map of changed cells, the swipe, the tables.

Static HTML and PNG; the map to explore is a widget behind them. Everything that comes from data is escaped.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dissmodel_lab.language import in_language, message, say, say_n
from dissmodel_lab.maps.differences import (
    FIRST_MARK,
    ONE_SIDED,
    DifferenceLayer,
    Mark,
    MarkedLayer,
    SmallLayer,
)
from dissmodel_lab.maps.legend import MAX_COLOURS, PALETTE
from dissmodel_lab.maps.picture import MAX_SIDE, Preview, draw
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.views.comparison_text import (
    CITATION,
    MOST_CLASSES,
    MOST_TRANSITIONS,
    amount,
    area_columns,
    area_rows,
    area_unit_text,
    change_text,
    class_names,
    digits_of,
    disagreement_sentences,
    grouped,
    notes_of,
    quantile_rows,
    value_rows,
)
from dissmodel_lab.views.map_view import PNG_BUDGET, MapView, map_figure, notes_html, png_of, swipe
from dissmodel_lab.views.markup import escape_short
from dissmodel_lab.views.outputs import MAP_NEEDS_KERNEL, CellOutput
from dissmodel_lab.views.tables import Cell, numbers_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissmodel_lab.changes.report import Change, ClassChange, ValueChange
    from dissmodel_lab.maps.grid import Layer
    from dissmodel_lab.views.outputs import Output

#: Longest HTML of one report, pictures included [bytes].
LIMIT = 300_000
#: What legends, places and notes of the maps may take of it [bytes].
_LEGENDS = 70_000
#: The longest side of the pictures [pixels], as of the maps.
SIDE = 1024
#: Classes whose areas are shown.
_AREA_ROWS = 40
_NAME = 160
_BLUE, _AMBER = "#0072b2", "#b26a00"


class ChangePictures(NamedTuple):
    """The pictures of one band."""

    after: Preview
    """The second map."""
    before: Preview
    """The first map."""
    marked: Preview
    """The changed cells, or the difference."""


def pictures_of(change: Change) -> ChangePictures:
    """
    Draw a change: both maps in one legend, and what changed.

    Parameters
    ----------
    change : Change
        Of one band.
    """
    after, before, marked = (layer.grid(layer.default_band, SIDE) for layer in change_layers(change).values())
    second, first = (_with_whole_range(draw(side, SIDE, like=change.legend), change) for side in (after, before))
    return ChangePictures(second, first, draw(marked, SIDE))


def change_html(*changes: Change, pictures: ChangePictures | None = None, limit: int = LIMIT) -> str:
    """
    Draw what changed: the first band with its maps, the others with their figures.

    Parameters
    ----------
    *changes : Change
        A band each; the one that maps show first. Everything in it is untrusted text and escaped.
    pictures : ChangePictures, optional
        Of the first of them, when it is drawn already.
    limit : int, optional
        Longest result [bytes].

    Returns
    -------
    str
        HTML that reads without scripts and in an untrusted notebook.

    Examples
    --------
    >>> change_html()
    '<div>There is nothing to compare.</div>'
    """
    if not changes:
        return f"<div>{say('There is nothing to compare.')}</div>"
    first, *others = changes
    tables, below = _tables_html(first), "".join(map(_folded, others))
    head = headline(first) + (_bands_html(changes) if others else "")
    if len((head + tables + below).encode()) > limit // 2:  # the figures of all bands stand in the plain text
        said = say("The figures of the other {n:,} bands are too long to be shown here.", n=len(others))
        below = notes_html((said,))
    room = limit - len((head + tables + below).encode())
    # Each of the three pictures grows by a third in base64; their legends and notes take what is left of it.
    maps = change_maps_html(
        first, pictures or pictures_of(first), budget=min(PNG_BUDGET, max(2_000, (room - _LEGENDS) // 4))
    )
    return f'<div style="font-size:13px;line-height:1.5">{head}{maps}{tables}{below}</div>'


def headline(change: Change) -> str:
    """
    Draw the one sentence that nobody may miss; that nothing changed is a warning.

    Parameters
    ----------
    change : Change
        Of one band.
    """
    nothing = change.changed == 0
    colour, sign, role = (_AMBER, "&#9888; ", "alert") if nothing else (_BLUE, "", "note")
    said = ""
    if nothing and change.compared:
        said = f"<div>{say('Both maps are the same in this band. Was that meant?')}</div>"
    names, bands = (change.before_name, change.after_name), (change.before_band, change.band)
    if names[0] == names[1] and bands[0] != bands[1]:  # both states stand in one file
        maps, band = _short(names[0]), " &rarr; ".join(map(_short, bands))
    else:
        maps, band = " &rarr; ".join(map(_short, names)), _short(change.band_text)
    where = f"{maps} &middot; {say('band {name}', name=band)}"
    if change.noun != "cell":
        where = f"{maps} &middot; {say('column {name}', name=band)}"
    return (
        f'<div role="{role}" style="border-left:5px solid {colour};padding:2px 10px;margin:6px 0;'
        f'overflow-wrap:anywhere"><div style="font-size:16px;font-weight:bold">{sign}{_short(change.sentence)}</div>'
        f'<div style="opacity:0.8">{where}</div>{said}</div>'
    )


def change_layers(change: Change) -> dict[str, Layer]:
    """
    Return what can be drawn of a change, by name: both maps, the second one first, then what changed.

    Parameters
    ----------
    change : Change
        Of one band.
    """
    before, after = _two_names(change)
    marked: Layer = _difference_layer(change) if change.classes is None else _changed_layer(change)
    name = _marked_name(change)
    while name in {before, after}:
        name = say("{name} (map)", name=name)
    return {after: _side_layer(change, after=True), before: _side_layer(change, after=False), name: marked}


def change_maps_html(change: Change, pictures: ChangePictures, *, budget: int) -> str:
    """
    Draw the changed cells, or the difference, and a swipe of both maps.

    Parameters
    ----------
    change : Change
        Of one band.
    pictures : ChangePictures
        Its pictures.
    budget : int
        Heaviest picture, of three [bytes].
    """
    if change.classes is None:
        before, after = (in_language(name) for name in (change.before_name, change.after_name))
        title = say("Difference: {after} minus {before}", after=after, before=before)
    elif change.noun == "cell":
        title = say("Changed cells, in the colour of their new class")
    else:
        title = say("Changed features, in the colour of their new class")
    box = "display:inline-block;vertical-align:top;margin:6px 16px 0 0;max-width:100%"
    both = swipe(pictures.before, pictures.after, _two_names(change), budget=budget)
    figure = map_figure(pictures.marked, redact_text(title)[:_NAME], budget=budget)
    return f'<div style="{box}">{figure}</div><div style="{box}">{both}</div>'


def change_bundle(*changes: Change) -> dict[str, str]:
    """
    Return what a notebook stores of a change: plain text, HTML without scripts, and a PNG of the changed cells.

    Parameters
    ----------
    *changes : Change
        A band each; the one that maps show first.
    """
    pictures = pictures_of(changes[0]) if changes else None
    bundle = {"text/plain": change_text(*changes), "text/html": change_html(*changes, pictures=pictures)}
    if pictures is not None:
        bundle["image/png"] = base64.b64encode(png_of(pictures.marked)).decode("ascii")
    return bundle


def show_change(*changes: Change) -> None:
    """
    Show a change in a cell: the static report, then a map to explore.

    Parameters
    ----------
    *changes : Change
        A band each; the one that maps show first.
    """
    CellOutput().show_static(change_bundle(*changes))
    if changes:
        offer_change_map(changes[0], CellOutput())


def offer_change_map(change: Change, output: Output) -> None:
    """
    Show the map to explore of a change: changed cells, both maps, swipe, and values at a click.

    Parameters
    ----------
    change : Change
        Of one band.
    output : Output
        Where to show it.
    """
    layers = change_layers(change)
    view = MapView(layers, max_pixels=min(MAX_SIDE, max(SIDE, *change.picture.state.shape)))
    view.layer.value = list(layers)[-1]
    output.show_widget(on_white(view), say(MAP_NEEDS_KERNEL))


def _with_whole_range(side: Preview, change: Change) -> Preview:
    """Let the legend of one side of a difference tell the range of both: they are one legend then."""
    if side.legend.kind != "continuous":
        return side
    both = replace(side.legend, minimum=change.legend.minimum, maximum=change.legend.maximum)
    return replace(side, legend=both)


def _marked_name(change: Change) -> str:
    if change.classes is None:
        return say("difference")
    return say("changed cells") if change.noun == "cell" else say("changed features")


def on_white(view: MapView) -> Any:
    """
    Return a map's widget with a white ground: Leaflet's own is the grey of cells that are the same.

    Parameters
    ----------
    view : MapView
        Of cells that changed or differ.
    """
    import ipywidgets as w  # noqa: PLC0415 -- not needed for the static report

    style = w.HTML("<style>.dl-on-white .leaflet-container{background-color:#ffffff}</style>")
    box = w.VBox([style, view.widget])
    box.add_class("dl-on-white")
    return box


def _two_names(change: Change) -> tuple[str, str]:
    """Return what the two maps are called: two names, whatever they are."""
    names = (change.before_name, change.after_name)
    if names[0] == names[1] and change.before_band != change.band:  # both states stand in one file
        names = (change.before_band, change.band)
    one, other = (redact_text(in_language(name))[:_NAME] for name in names)
    return (one, other) if one != other else (say("{name} (before)", name=one), say("{name} (after)", name=other))


def _changed_layer(change: Change) -> MarkedLayer:
    """Mark each changed cell by the class that it has now; nodata stays clear, the others are grey."""
    picture, classes = change.picture, change.classes
    assert classes is not None  # for the type checker: the caller has looked
    states = np.minimum(picture.state, ONE_SIDED).astype(np.uint16)
    changed = picture.state >= FIRST_MARK
    positions = _positions(change, picture.after[changed])
    counts = np.bincount(positions, minlength=len(classes.codes))
    shown = [int(at) for at in np.argsort(-counts, kind="stable") if counts[at]][: MAX_COLOURS - 3]
    marks, numbers = [], np.full(len(classes.codes), len(shown), np.intp)
    names = class_names(classes)
    for number, at in enumerate(sorted(shown)):
        numbers[at] = number
        marks.append(Mark(message("to {name}", name=names[at]), classes.colours[at] or PALETTE[at % len(PALETTE)]))
    if np.count_nonzero(counts) > len(shown):
        marks.append(Mark(message("to another class"), "#000000"))
    states[changed] = FIRST_MARK + numbers[positions]
    return MarkedLayer(
        states=states,
        marks=tuple(marks),
        band=message("change of {band}", band=change.band),
        ground=message("unchanged"),
        one_sided=message("a value in one map only"),
        transform=picture.transform,
        crs=picture.crs,
        source_size=picture.source_size,
        notes=_picture_notes(change),
    )


def _positions(change: Change, values: Any) -> Any:
    """Return where each value stands among the classes."""
    classes = change.classes
    assert classes is not None  # as above
    if _has_texts(change):
        return np.asarray(values, np.intp)
    codes = np.asarray(classes.codes, np.float64)
    order = np.argsort(codes)
    return order[np.searchsorted(codes[order], np.asarray(values, np.float64))]


def _has_texts(change: Change) -> bool:
    return change.classes is not None and any(isinstance(code, str) for code in change.classes.codes)


def _difference_layer(change: Change) -> DifferenceLayer:
    picture, values = change.picture, change.values
    assert picture.difference is not None  # for the type checker: a change without classes has it
    assert values is not None  # as above
    return DifferenceLayer(
        differences=picture.difference,
        limit=values.limit,
        band=message("difference of {band}", band=change.band),
        unit=values.unit,
        transform=picture.transform,
        crs=picture.crs,
        source_size=picture.source_size,
        notes=_picture_notes(change, of_difference=True),
    )


def _side_layer(change: Change, *, after: bool) -> SmallLayer:
    picture, classes = change.picture, change.classes
    texts = names = None
    if classes is not None and len(classes.codes) <= MAX_COLOURS:
        keys = class_names(classes) if _has_texts(change) else classes.codes
        texts = {
            key: (label, colour) for key, label, colour in zip(keys, classes.labels, classes.colours, strict=True)
        }
        names = tuple(map(str, keys)) if _has_texts(change) else None
    return SmallLayer(
        values=picture.after if after else picture.before,
        valid=picture.has_after if after else picture.has_before,
        band=change.band,
        source_size=picture.source_size,
        classes=texts,
        names=names,
        unit=change.legend.unit,
        transform=picture.transform,
        crs=picture.crs,
        notes=_picture_notes(change),
    )


def _picture_notes(change: Change, *, of_difference: bool = False) -> tuple[str, ...]:
    cells = change.picture.cells_per_pixel
    if cells == 1:
        return ()
    if change.noun == "cell":
        said = message(
            "Drawn 1 of up to {n:,} cells: the one that differs most."
            if of_difference
            else "Drawn 1 of up to {n:,} cells: a changed one where there is any.",
            n=cells,
        )
    else:
        said = message(
            "Drawn 1 of up to {n:,} features: the one that differs most."
            if of_difference
            else "Drawn 1 of up to {n:,} features: a changed one where there is any.",
            n=cells,
        )
    return (said,)


def _tables_html(change: Change) -> str:
    body = ""
    if change.classes is not None and change.compared:  # a table of zeros would say that nothing changed
        body = _matrix_html(change.classes, change.noun) + _areas_html(change.classes) + _disagreement_html(change)
    if change.values is not None:
        body = _values_html(change.values)
    return body + notes_html(tuple(redact_text(in_language(note)) for note in notes_of(change)))


def _matrix_html(classes: ClassChange, noun: str) -> str:
    if not len(classes.codes):
        return ""
    names, cells = grouped(classes)
    has_rest = len(classes.codes) > MOST_CLASSES
    single = len(names) - has_rest  # the last ones may be many classes in one
    off = sorted((cells[one][to] for one in range(single) for to in range(single) if one != to), reverse=True)
    strong = {count for count in off[:MOST_TRANSITIONS] if count}
    rows: list[list[str | Cell]] = []
    for at, (name, counts) in enumerate(zip(names, cells, strict=True)):
        row: list[str | Cell] = [Cell(name, "total")]
        for column, count in enumerate(counts):
            is_single = max(at, column) < single
            look = "faint" if not count or (at == column and is_single) else ""
            if is_single and at != column and count in strong:
                look = "strong"
            row.append(Cell(f"{count:,}" if count else "0", look))
        rows.append([*row, Cell(f"{sum(counts):,}", "total")])
    sums = [sum(column) for column in zip(*cells, strict=True)]
    rows.append(
        [Cell(say("total after"), "total"), *(Cell(f"{n:,}", "total") for n in sums), Cell(f"{sum(sums):,}", "total")]
    )
    caption = (
        say("From (rows) to (columns) [cells]") if noun == "cell" else say("From (rows) to (columns) [features]")
    )
    table = numbers_table([Cell(say("from \\ to")), *names, Cell(say("total before"))], rows, caption=caption)
    said = say("No change.")
    if strong:
        said = (
            say("Faint: unchanged, or none. Strong: the largest changes.")
            if len(strong) > 1
            else say("Faint: unchanged, or none. Strong: the largest change.")
        )
    return f'{table}<div style="font-size:12px;opacity:0.8">{said}</div>{_transitions_html(classes, noun)}'


def _transitions_html(classes: ClassChange, noun: str) -> str:
    found = classes.transitions()
    if not found:
        return ""
    names = class_names(classes)
    items = []
    for one, other in found[:MOST_TRANSITIONS]:
        count = int(classes.cells[one, other])
        area = f", {_area(float(classes.areas[one, other]), classes)}" if classes.has_areas else ""
        counted = say_n("{n} cell", "{n} cells", count)
        if noun != "cell":
            counted = say_n("{n} feature", "{n} features", count)
        items.append(f"{_short(names[one])} &rarr; {_short(names[other])}: {counted}{area}")
    more = len(found) - len(items)
    if more > 0:
        items.append(say_n("and {n} smaller one", "and {n} smaller ones", more))
    said = say("Largest changes: {changes}.", changes="; ".join(items))
    return f'<div style="margin:4px 0;max-width:690px">{said}</div>'


def _area(value: float, classes: ClassChange) -> str:
    return f"{amount(value, digits_of([value]))} {_unit(classes.area_unit)}"


def _unit(unit: str) -> str:
    return {"km2": "km²", "m2": "m²"}.get(unit) or area_unit_text(unit)


def _areas_html(classes: ClassChange) -> str:
    rows = area_rows(classes)
    if not rows:
        return ""
    shown: list[list[str | Cell]] = [[name, *numbers] for name, *numbers in rows[:_AREA_ROWS]]
    unit = _unit(classes.area_unit)
    columns = [name if "%" in name else f"{name} [{unit}]" for name in area_columns()]
    more, said = len(rows) - len(shown), [in_language(classes.area_method)]
    if more > 0:
        said.append(say_n("{n} more class is not shown.", "{n} more classes are not shown.", more))
    if classes.has_areas:
        title = say("Area of each class")
    else:
        title = say("Cells of each class") if classes.area_unit == "cells" else say("Features of each class")
    return (
        numbers_table([say("class"), *columns], shown, caption=title)
        + f'<div style="font-size:12px;opacity:0.8;max-width:690px">{_sentence(" ".join(said))}</div>'
    )


def _disagreement_html(change: Change) -> str:
    assert change.classes is not None  # for the type checker: the caller has looked
    said = "<br>".join(map(_sentence, disagreement_sentences(change.classes)))
    return (
        f'<div style="margin:8px 0 2px 0;max-width:690px"><b>{say("Quantity and allocation")}</b><br>{said}'
        f'<div style="font-size:12px;opacity:0.8">{_sentence(CITATION)}</div></div>'
    )


def _values_html(values: ValueChange) -> str:
    facts: list[list[str | Cell]] = [[name, text] for name, text in value_rows(values)]
    quantiles: list[list[str | Cell]] = [[name, text] for name, text in quantile_rows(values)]
    box = "display:inline-block;vertical-align:top;margin:0 24px 0 0;max-width:100%"
    table = numbers_table([say("after minus before"), ""], facts, texts=range(2), limit=400)
    scale = f'<div style="font-size:12px;opacity:0.8">{_sentence(values.limit_text)}</div>' if values.limit else ""
    return (
        f'<div style="{box}">{table}{scale}</div>'
        f'<div style="{box}">{numbers_table([say("quantile"), say("difference")], quantiles)}</div>'
    )


def _bands_html(changes: Sequence[Change]) -> str:
    rows: list[list[str | Cell]] = [
        [one.band_text, Cell(in_language(one.sentence), "" if one.changed else "faint")] for one in changes
    ]
    if changes[0].noun == "cell":
        head, caption = say("band"), say("All {n:,} bands that were compared", n=len(changes))
    else:
        head, caption = say("column"), say("All {n:,} columns that were compared", n=len(changes))
    return numbers_table([head, say("what changed")], rows, texts=range(2), caption=caption)


def _folded(change: Change) -> str:
    return (
        '<details style="margin:6px 0"><summary style="cursor:pointer">'
        f"{_short(change.band_text)}: {_short(change.sentence)}</summary>{_tables_html(change)}</details>"
    )


def _short(text: str) -> str:
    return escape_short(redact_text(in_language(text)), _NAME)


def _sentence(text: str) -> str:
    return escape_short(redact_text(in_language(text)), 2_000)
