"""The steps of two runs in one player: one slider leads both pictures, linked in the page itself.

The static twin is a strip: the same moments, one row for each run.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dissmodel_lab.language import in_language, say
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.views.access import accessible
from dissmodel_lab.views.map_view import data_url, legend_html, notes_html
from dissmodel_lab.views.markup import escape, escape_attribute, escape_short, scrolling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissmodel_lab.maps.frames import Frames
    from dissmodel_lab.maps.pairs import Pair, PairMoment

#: Moments of the strip, and the widest and tallest picture in it [CSS pixels].
STRIP, THUMB = 6, 96
#: Largest size of one of the player's pictures on the page [CSS pixels].
WIDTH, MAX_HEIGHT = 300, 480
_LABEL = 120
_TRIES = 8
_SMALL = "font-size:12px;margin:2px 0"
_CELL = "padding:2px 6px 2px 0;text-align:left;vertical-align:top;border:none;background:none"


def pair_html(pair: Pair, titles: tuple[str, str], *, budget: int) -> str:
    """
    Draw the steps of two runs as a static strip.

    Parameters
    ----------
    pair : Pair
        Their frames.
    titles : tuple of str
        What the runs are called; escaped.
    budget : int
        What all pictures together may weigh as PNG [bytes].

    Returns
    -------
    str
        HTML that reads without scripts and in an untrusted notebook.
    """
    numbers = pair.spread(STRIP)
    moments = [pair.moments[number] for number in numbers]
    head = "".join(
        f'<th scope="col" style="{_CELL};font-size:12px;font-weight:normal">{_words(one.text)}</th>'
        for one in moments
    )
    rows = "".join(
        _strip_row(frames, moments, side, titles[side], budget // 2)
        for side, frames in enumerate((pair.first, pair.second))
    )
    corner = f'<td style="{_CELL}"></td>'
    table = f'<table style="border-collapse:collapse;margin:2px 0"><tr>{corner}{head}</tr>{rows}</table>'
    return (
        '<div style="margin:6px 0 12px 0">'
        f'<div style="font-weight:bold;margin:2px 0">{_heading(pair)}</div>'
        f"{scrolling(table, pair.first.band)}"
        f"{_legends(pair, titles)}{notes_html((*pair.notes, *_own_notes(pair)))}</div>"
    )


def _strip_row(frames: Frames, moments: Sequence[PairMoment], side: int, title: str, budget: int) -> str:
    numbers = sorted({moment.numbers[side] for moment in moments})
    encoded, (wide, high) = _thumbs(frames, numbers, budget)
    cells = []
    shown: set[int] = set()
    for moment in moments:
        number, said = moment.numbers[side], _words(moment.sides[side])
        if number in shown:  # the same picture again would weigh as much again
            same = say("as before: {moment}", moment=said)
            cells.append(f'<td style="{_CELL}"><div style="{_SMALL};width:{wide}px">{same}</div></td>')
            continue
        shown.add(number)
        words = (redact_text(text)[:_LABEL] for text in (title, frames.band, moment.sides[side]))
        alt = escape_attribute(", ".join(words))
        cells.append(
            f'<td style="{_CELL}"><img alt="{alt}" width="{wide}" height="{high}" '
            f'src="{data_url(encoded[numbers.index(number)])}" style="width:{wide}px;height:{high}px;'
            f'max-width:{wide}px;margin:0;display:block;border:1px solid #888888;background-color:#ffffff">'
            f'<div style="{_SMALL};width:{wide}px;overflow-wrap:anywhere">{said}</div></td>'
        )
    name = f'<div style="width:76px;overflow-wrap:anywhere;font-size:12px;font-weight:bold">{_words(title)}</div>'
    return f'<tr><td style="{_CELL}">{name}</td>{"".join(cells)}</tr>'


def _thumbs(frames: Frames, numbers: list[int], budget: int) -> tuple[list[bytes], tuple[int, int]]:
    """Return the pictures, as large as they may be, and their size on the page."""
    longest = 2.0 * THUMB
    for _ in range(_TRIES):
        times = longest / max(frames.size)
        scale = math.floor(times) if times >= 1 else times
        size = tuple(max(1, round(side * scale)) for side in frames.size)
        encoded = [frames.png(number, (size[0], size[1])) for number in numbers]
        weight = sum(map(len, encoded))
        if weight <= budget:
            break
        longest = max(size) * min(0.9, math.sqrt(budget / weight))
    return encoded, _fitted(frames.size, THUMB, THUMB)


def _fitted(size: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    scale = min(width / size[0], height / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _heading(pair: Pair) -> str:
    return say("Step by step, both runs: {band}", band=_words(pair.first.band))


def _words(text: str) -> str:
    return escape_short(redact_text(in_language(text)), _LABEL)


def _legends(pair: Pair, titles: tuple[str, str]) -> str:
    if pair.has_one_legend:
        return legend_html(pair.first.legend)
    return "".join(
        f'<div style="{_SMALL}">{_words(title)}:</div>{legend_html(frames.legend)}'
        for title, frames in zip(titles, (pair.first, pair.second), strict=True)
    )


def _own_notes(pair: Pair) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*pair.first.notes, *pair.second.notes)))


class PairPlayer:
    """
    Two pictures that one slider, or a play button, leads through time; it needs no kernel once it is shown.

    Parameters
    ----------
    pair : Pair
        The frames of both runs.
    titles : tuple of str
        What the runs are called.
    """

    def __init__(self, pair: Pair, titles: tuple[str, str]) -> None:
        import ipywidgets as w  # noqa: PLC0415 -- not needed for the static strip

        last = len(pair.moments) - 1
        sides = [self._side(pair, side, titles[side]) for side in (0, 1)]
        # A selection's labels are shown by the page itself: the moment's name follows without a kernel.
        self.slider = w.SelectionSlider(
            options=[
                (f"{at + 1}: {redact_text(in_language(one.text))[:_LABEL]}", at)
                for at, one in enumerate(pair.moments)
            ],
            index=0,
            description=say("Moment"),
            continuous_update=True,
            style={"description_width": "initial"},
            layout=w.Layout(width="600px", max_width="100%"),
        )
        self.slider.add_class("dl-step-slider")
        self.stacks = [stack for stack, _ in sides]
        interval = max(80, min(500, 8000 // (last + 1)))
        self.play = w.Play(min=0, max=last, step=1, value=0, interval=interval, description=say("Play"))
        self._links = (
            w.jslink((self.play, "value"), (self.slider, "index")),
            *(w.jslink((self.slider, "index"), (stack, "selected_index")) for stack in self.stacks),
        )
        style = (
            "<style>.dl-step-picture{image-rendering:pixelated;background-color:#ffffff;max-width:100%;height:auto!important}"
            ".dl-step-slider .widget-readout{min-width:min(160px,40%);text-align:left;margin-left:8px}</style>"
        )
        title = f'<div style="font-weight:bold">{_heading(pair)}</div>'
        said = _legends(pair, titles) + notes_html((*pair.notes, *_own_notes(pair)))
        below = f'<div style="line-height:1.5">{said}</div>'
        both = w.Box([box for _, box in sides], layout=w.Layout(flex_flow="row wrap", grid_gap="0 12px"))
        controls = w.Box([self.play, self.slider], layout=w.Layout(flex_flow="row wrap", grid_gap="0 12px"))
        parts = [w.HTML(style + title), both, controls, w.HTML(below)]
        self.widget = accessible(w.VBox(parts), picture=pair.first.band[:_LABEL])
        self.widget.add_class("dl-pair-player")

    @staticmethod
    def _side(pair: Pair, side: int, title: str) -> tuple[Any, Any]:
        """Return the stack of one run's pictures, and the box with its title."""
        import ipywidgets as w  # noqa: PLC0415 -- as above

        frames = pair.second if side else pair.first
        wide, high = _fitted(frames.size, WIDTH, MAX_HEIGHT)
        room = w.Layout(width=f"{wide}px", height=f"{high}px", border="1px solid #888888", margin="2px")
        images: dict[int, Any] = {}
        cells = []
        for moment in pair.moments:
            number = moment.numbers[side]
            if number not in images:
                images[number] = w.Image(value=frames.png(number), format="png", layout=room)
                images[number].add_class("dl-step-picture")
            said = w.HTML(f'<div style="font-size:12px;line-height:1.4">{_words(moment.sides[side])}</div>')
            cells.append(w.VBox([images[number], said]))
        stack = w.Stack(cells, selected_index=0)
        heading = w.HTML(
            f'<div style="font-weight:bold;line-height:1.4">{escape(redact_text(in_language(title))[:_LABEL])}</div>'
        )
        return stack, w.VBox([heading, stack], layout=w.Layout(max_width=f"{WIDTH + 8}px"))
