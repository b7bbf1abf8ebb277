"""Legends and histograms as static HTML: what the colours of a map mean, and how often they occur.

Without scripts, style sheets, ids or svg, because JupyterLab strips those from a notebook that isn't
trusted; colours are pictures of one pixel, so that they survive where inline styles don't. Everything that
comes from data is escaped.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import numpy as np

from dissmodel_lab.language import in_language, say
from dissmodel_lab.maps import png
from dissmodel_lab.maps.histogram import share_text
from dissmodel_lab.maps.legend import number
from dissmodel_lab.maps.styles import CLASSIFICATIONS
from dissmodel_lab.views.markup import escape, escape_attribute, escape_short

if TYPE_CHECKING:
    from dissmodel_lab.maps.histogram import Histogram
    from dissmodel_lab.maps.legend import Legend, LegendEntry

#: Legends with more classes than this are cut, and say so [entries].
MAX_ENTRIES = 24
#: Longest label, as HTML [bytes].
MAX_LABEL = 240
SMALL = "font-size:12px;margin:2px 0"
#: Longest bar of a class, and size of the bars of quantities [CSS pixels].
BAR, BARS = 120, (200, 36)
#: Bars, what lies behind them, and the colours of the map below them [``#rrggbb``]: a picture of its own, so
#: that it reads on a dark page too.
INK, PAPER, STRIP = "#505050", "#ffffff", 5
#: A scale whose stops are not evenly spread says up to so many of them.
MAX_MARKS = 7
INLINE = "border:1px solid #888888;display:inline-block;vertical-align:middle;margin:0"


def legend_html(legend: Legend, histogram: Histogram | None = None) -> str:
    """
    Draw a legend: a box of colour and a label for each class or range, or a bar with its ends.

    Parameters
    ----------
    legend : Legend
        What the colours mean.
    histogram : Histogram, optional
        How often the values occur: bars and shares beside the classes, or bars above the scale.

    Examples
    --------
    >>> from dissmodel_lab.maps import preview
    >>> from dissmodel_lab.maps.histogram import histogram
    >>> picture = preview(np.array([[1, 1, 2]], "uint8"))
    >>> "66.7 %" in legend_html(picture.legend, histogram(picture.grid, picture.legend))
    True
    >>> "No data" in legend_html(preview(np.array([[np.nan]])).legend)
    True
    """
    unit = f" [{escape_short(legend.unit, MAX_LABEL)}]" if legend.unit else ""
    method = (
        f" ({escape(say(legend.method) if legend.method in CLASSIFICATIONS else legend.method)})"
        if legend.method
        else ""
    )
    name = escape_short(in_language(legend.title), MAX_LABEL)
    title = f'<div style="{SMALL};font-weight:bold">{name}{unit}{method}</div>'
    if legend.kind == "empty":
        return f'{title}<div style="{SMALL}">{say("No data")}</div>'
    if legend.kind == "continuous":
        return title + (bars_html(histogram) if histogram is not None else "") + _scale_html(legend)
    said = f'<div style="{SMALL}">{escape(in_language(legend.range_text))}</div>' if legend.kind == "ranges" else ""
    if histogram is not None and histogram.total:
        return title + _counted_html(legend, histogram) + said
    items = "".join(
        f'<span style="display:inline-block;margin:0 12px 2px 0">{_swatch(entry.colour)} '
        f"{escape_short(in_language(entry.text), MAX_LABEL)}</span> "
        for entry in legend.entries[:MAX_ENTRIES]
    )
    more = len(legend.entries) - MAX_ENTRIES
    rest = f"<span>{say('and {n:,} more classes', n=more)}</span>" if more > 0 else ""
    return f'{title}<div style="font-size:12px;line-height:18px">{items}{rest}</div>{said}'


def bars_html(histogram: Histogram) -> str:
    """
    Draw how often quantities occur: bars over the colours that they have on the map, and the axis's ends.

    Examples
    --------
    >>> from dissmodel_lab.maps import preview
    >>> from dissmodel_lab.maps.histogram import histogram
    >>> picture = preview(np.linspace(0, 1, 100).reshape(10, 10))
    >>> 'alt="histogram: 100 cells; most often 0 to 0.031: 4.0 %"' in bars_html(
    ...     histogram(picture.grid, picture.legend)
    ... )
    True
    """
    if not histogram.total or not histogram.edges:
        return ""
    width, height = BARS
    said = say("histogram: {summary}", summary=histogram.summary)
    image = (
        f'<img alt="{escape_attribute(said)}" width="{width}" height="{height}" '
        f'src="{data_url(_bars_png(histogram))}" style="width:{width}px;height:{height}px;{INLINE}">'
    )
    first, last = (escape(number(end)) for end in (histogram.edges[0], histogram.edges[-1]))
    if len(histogram.counts) > 1 and all(edge % 1 == 0.5 for edge in histogram.edges):  # noqa: PLR2004 -- whole numbers
        first, last = escape(histogram.labels[0]), escape(histogram.labels[-1])
    most = say("Highest bar: {n:,} of {total:,} cells.", n=max(histogram.counts), total=histogram.total)
    counted = escape_short(in_language(histogram.counted), MAX_LABEL)
    said = f"{most} {say('Counted: {part}.', part=counted)}" if counted else most
    return f'<div style="{SMALL}">{first} {image} {last}</div><div style="{SMALL}">{said}</div>'


def _bars_png(histogram: Histogram) -> bytes:
    width, height = BARS
    tallest = height - STRIP - 1
    columns = np.arange(width) * len(histogram.counts) // width
    counts = np.array(histogram.counts, np.float64)
    tall = np.ceil(tallest * counts / counts.max()).astype(int)  # a bar that holds one cell is still seen
    rows = np.arange(height)[:, np.newaxis]
    index = np.where(rows >= tallest - tall[columns], 2, 1).astype(np.uint8)
    palette = list(dict.fromkeys(histogram.colours))
    index[tallest] = 1
    index[tallest + 1 :] = np.array([3 + palette.index(colour) for colour in histogram.colours], np.uint8)[columns]
    return png.encode(index, (PAPER, INK, *palette), level=9)


def _counted_html(legend: Legend, histogram: Histogram) -> str:
    most = max(histogram.counts)
    pairs = list(zip(legend.entries, histogram.counts, strict=True))
    rows = "".join(_counted_row(entry, count, most, histogram.total) for entry, count in pairs[:MAX_ENTRIES])
    rest = pairs[MAX_ENTRIES:]
    more = ""
    if rest:
        share = share_text(sum(count for _, count in rest), histogram.total)
        more = f"<div>{say('and {n:,} more classes: {share}', n=len(rest), share=share)}</div>"
    if histogram.counted:
        part = escape_short(in_language(histogram.counted), MAX_LABEL)
        shares = say("Shares of {n:,} cells ({part}).", n=histogram.total, part=part)
    else:
        shares = say("Shares of {n:,} cells.", n=histogram.total)
    said = f'<div style="{SMALL}">{shares}</div>'
    return f'<div style="font-size:12px;line-height:18px">{rows}{more}</div>{said}'


def _counted_row(entry: LegendEntry, count: int, most: int, total: int) -> str:
    wide = round(BAR * count / most)
    bar = _swatch(entry.colour, wide, 10) + " " if wide else ""
    box = "display:inline-block;vertical-align:middle;width:200px;overflow:hidden"
    return (
        f'<div><span style="{box}">{_swatch(entry.colour)} '
        f"{escape_short(in_language(entry.text), MAX_LABEL)}</span> {bar}{share_text(count, total)}</div>"
    )


def _swatch(colour: str, width: int = 14, height: int = 14) -> str:
    dot = png.encode(np.ones((1, 1), np.uint8), [colour])
    return (
        f'<img alt="" width="{width}" height="{height}" src="{data_url(dot)}" '
        f'style="width:{width}px;height:{height}px;{INLINE}">'
    )


def _scale_html(legend: Legend) -> str:
    if legend.low is None or legend.high is None:
        return ""
    bar = png.encode(np.arange(1, len(legend.scale) + 1, dtype=np.uint8)[np.newaxis], legend.scale, level=9)
    first, last = (legend.text_of(value) for value in (legend.low, legend.high))
    if legend.minimum is not None and legend.minimum < legend.low:
        first = f"\N{LESS-THAN OR EQUAL TO} {first}"  # smaller values have its colour too
    if legend.maximum is not None and legend.maximum > legend.high:
        last = f"\N{GREATER-THAN OR EQUAL TO} {last}"
    ends = [escape(text) for text in (first, last)]
    alt = escape_attribute(say("colour scale from {low} to {high}", low=first, high=last))
    size = f"width:200px;height:12px;{INLINE};max-width:50%"
    image = f'<img alt="{alt}" width="200" height="12" src="{data_url(bar)}" style="{size}">'
    said = f'<div style="{SMALL}">{escape(in_language(legend.range_text))}{escape(_marks_text(legend))}</div>'
    return f'<div style="{SMALL}">{ends[0]} {image} {ends[1]}</div>{said}'


def _marks_text(legend: Legend) -> str:
    if len(legend.marks) < 3:  # noqa: PLR2004 -- the ends are said anyway
        return ""
    places = np.rint(np.linspace(0, len(legend.marks) - 1, min(MAX_MARKS, len(legend.marks)))).astype(int)
    values = ", ".join(number(legend.marks[place]) for place in places)
    return f"; {say('from left to right: {values}', values=values)}"


def data_url(encoded: bytes) -> str:
    """
    Return a PNG as a data: URL.

    Examples
    --------
    >>> data_url(b"x")
    'data:image/png;base64,eA=='
    """
    return "data:image/png;base64," + b64encode(encoded).decode()
