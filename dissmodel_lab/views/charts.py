"""Numbers over time as small line charts: an SVG string while a run lasts, a PNG in what stays.

One small chart a series, because series have units and sizes of their own. Names come from models and are
escaped; lines are broken where a value is missing.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

from dissmodel_lab.language import say, say_n
from dissmodel_lab.plain import printable
from dissmodel_lab.quiet import quiet_about
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.views.markup import escape, escape_attribute, escape_short

if TYPE_CHECKING:
    from collections.abc import Callable

    from dissmodel_lab.frames import Series

#: More series than this are named, not drawn.
MAX_CHARTS = 12
#: Points of a live line; more cannot be told apart on so few pixels.
LIVE_POINTS = 100
#: Size of one chart in the SVG [CSS pixels].
WIDTH, HEIGHT = 180, 44
#: Longest name, as HTML [bytes].
_NAME = 80
#: Longest title of a chart in the PNG [characters].
_TITLE = 26
#: Charts side by side in the PNG, and the size of one [pixels].
_COLUMNS, _WIDE, _HIGH = 3, 230, 130
#: Pixels for each CSS pixel in the PNG: text stays sharp.
_DENSITY = 1.5
_DPI = 100
_BLUE = "#1f77b4"


def charts_svg(series: Series) -> str:
    """
    Draw series as small charts in HTML with inline SVG; for a live widget only, other places strip SVG.

    Parameters
    ----------
    series : Series
        What the model reported so far.

    Examples
    --------
    >>> from dissmodel_lab.frames import Series
    >>> "area <b>2.5</b>" in charts_svg(Series([1, 2], [2020.0, 2021.0], {"area": [1.5, 2.5]}))
    True
    """
    if len(series.counts) < 2:  # noqa: PLR2004 -- a line needs two points
        return ""
    every = math.ceil(len(series.counts) / LIVE_POINTS)
    chosen = [*range(0, len(series.counts) - 1, every), len(series.counts) - 1]
    all_x = series.x
    x = [all_x[at] for at in chosen]
    charts = "".join(_svg_chart(name, x, [values[at] for at in chosen]) for name, values in _drawn(series))
    # Widgets set lines as far apart as their buttons are high.
    return f'<div style="line-height:1.5"><div>{charts}</div>{_left_out(series)}</div>'


def charts_png(series: Series) -> bytes:
    """
    Draw series as small charts in one PNG with few colours.

    Parameters
    ----------
    series : Series
        At least one that changes.

    Examples
    --------
    >>> from dissmodel_lab.frames import Series
    >>> charts_png(Series([1, 2], [2020.0, 2021.0], {"area": [1.5, 2.5]}))[1:4]
    b'PNG'
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 -- 0.2 s, only for charts
    from matplotlib.figure import Figure  # noqa: PLC0415

    drawn = _drawn(series)
    columns = min(_COLUMNS, len(drawn))
    rows = math.ceil(len(drawn) / columns)
    figure = Figure(figsize=(columns * _WIDE / _DPI, rows * _HIGH / _DPI), dpi=_DPI * _DENSITY, facecolor="#ffffff")
    canvas: Any = FigureCanvasAgg(figure)
    for number, (name, values) in enumerate(drawn, start=1):
        _draw_chart(figure.add_subplot(rows, columns, number), name, series.x, values, _x_text(series))
    figure.subplots_adjust(
        left=0.24 / columns,
        right=1 - 0.05 / columns,
        top=1 - 0.2 / rows,
        bottom=0.22 / rows,
        wspace=0.42,
        hspace=0.75,
    )
    with quiet_about(UserWarning, "Glyph .* missing"):  # a name may be in any script
        return encode_figure(canvas)


def charts_figure(series: Series, *, budget: int) -> str:
    """
    Draw series as static HTML; empty when there is nothing to draw, or it is too heavy.

    Parameters
    ----------
    series : Series
        Of a run that is over.
    budget : int
        Heaviest picture [bytes].

    Examples
    --------
    >>> from dissmodel_lab.frames import Series
    >>> charts_figure(Series(), budget=20_000)
    ''
    """
    from dissmodel_lab.views.map_view import data_url  # noqa: PLC0415 -- loads numpy: only when a run is over

    drawn = _drawn(series)
    if not drawn:
        return _left_out(series)
    encoded = charts_png(series)
    if len(encoded) > budget:
        return ""
    width = min(_COLUMNS, len(drawn)) * _WIDE
    ends = (
        say("{name} ends at {value}", name=_shown(name, escape_attribute), value=_number(_last(values)))
        for name, values in drawn
    )
    title = say("Values by step") if series.x_name == "step" else say("Values by time")
    what = say("Line charts by step") if series.x_name == "step" else say("Line charts by time")
    return (
        f'<div style="margin:0 0 12px 0"><div style="font-weight:bold;margin:2px 0">{title}</div>'
        f'<img alt="{what}: {"; ".join(ends)}." width="{width}" src="{data_url(encoded)}" '
        f'style="width:{width}px;max-width:100%;margin:0;display:block;background-color:#ffffff">'
        f"{_left_out(series)}</div>"
    )


def _x_text(series: Series) -> str:
    return say("step") if series.x_name == "step" else say("time")


def _drawn(series: Series) -> list[tuple[str, list[float]]]:
    """Return what is worth a line: a model's settings are numbers too, but never change."""
    titles = _titles(series)
    return [(titles[name], values) for name, values in series.values.items() if _changes(values)][:MAX_CHARTS]


def _titles(series: Series) -> dict[str, str]:
    """Call ``Fire.burnt`` just ``burnt``, where no other model has such a value."""
    ends = [name.rpartition(".")[2] for name in series.values]
    return {name: end if ends.count(end) == 1 else name for name, end in zip(series.values, ends, strict=True)}


def _changes(values: list[float]) -> bool:
    known = [value for value in values if math.isfinite(value)]
    return bool(known) and (len(known) < len(values) or min(known) < max(known))


def _left_out(series: Series) -> str:
    """Name the values that never changed, and count those that are too many."""
    titles = _titles(series)
    constant = [(titles[name], values) for name, values in series.values.items() if not _changes(values)]
    more = len(series.values) - len(constant) - MAX_CHARTS
    said = [say_n("{n} more value", "{n} more values", more)] if more > 0 else []
    if constant and len(series.counts) > 1:
        named = ", ".join(f"{_shown(name)} {_number(_last(values))}" for name, values in constant[:MAX_CHARTS])
        others = len(constant) - MAX_CHARTS
        said.append(
            say("values that did not change: {named} and {n} more", named=named, n=others)
            if others > 0
            else say("values that did not change: {named}", named=named)
        )
    return f'<div style="font-size:12px;opacity:0.8;max-width:690px">{"; ".join(said)}</div>' if said else ""


def _svg_chart(name: str, x: list[float], y: list[float]) -> str:
    lines = "".join(
        f'<polyline points="{points}" fill="none" stroke="{_BLUE}" stroke-width="1.5"/>' for points in _lines(x, y)
    )
    known = [value for value in y if math.isfinite(value)]
    ends = say("{low} to {high}", low=_number(min(known)), high=_number(max(known))) if known else say("no value")
    return (
        '<div style="display:inline-block;vertical-align:top;margin:4px 14px 4px 0;font-size:12px">'
        f"<div>{_shown(name)} <b>{_number(_last(y))}</b></div>"
        f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{_shown(name, escape_attribute)}: {ends}" '
        f'style="display:block;border-bottom:1px solid #8a8a8a">{lines}</svg>'
        f'<div style="opacity:0.8">{ends}</div></div>'
    )


def _lines(x: list[float], y: list[float]) -> list[str]:
    """Return the points of each unbroken stretch, in pixels."""
    known = [value for value in y if math.isfinite(value)]
    if not known:
        return []
    low, high = min(known), max(known)
    left, right = x[0], x[-1]
    across = (WIDTH - 2) / ((right - left) or 1.0)
    span = (high / 2 - low / 2) or 1.0  # halves: the span of all floats is no float
    lines: list[list[str]] = [[]]
    for at, value in zip(x, y, strict=True):
        if math.isfinite(value):
            height = (value / 2 - low / 2) / span * (HEIGHT - 4)
            lines[-1].append(f"{1 + (at - left) * across:.1f},{HEIGHT - 2 - height:.1f}")
        elif lines[-1]:
            lines.append([])
    return [" ".join(line) for line in lines if line]


def _draw_chart(ax: Any, name: str, x: list[float], y: list[float], x_name: str) -> None:
    finite = [(at, value) for at, value in zip(x, y, strict=True) if math.isfinite(value)]
    ax.plot(x, [value if math.isfinite(value) else math.nan for value in y], color=_BLUE, linewidth=1.4)
    words = printable(redact_text(name))
    words = words if len(words) <= _TITLE else f"{words[: _TITLE - 1]}…"
    title = ax.set_title(f"{words}  {_number(_last(y))}", fontsize=7.5, loc="left")
    values = sorted({min(v for _, v in finite), max(v for _, v in finite)}) if finite else []
    ax.set_yticks(values, labels=[_number(value) for value in values], fontsize=6.5)
    ends = sorted({x[0], x[-1]})
    ax.set_xticks(ends, labels=[_number(end) for end in ends], fontsize=6.5)
    label = ax.set_xlabel(x_name, fontsize=6.5, labelpad=-7)
    for text in (title, label):  # a dollar sign in a name is no formula
        text.set_parse_math(False)
        text.set_usetex(False)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def encode_figure(canvas: Any, colours: int = 32) -> bytes:
    """
    Draw a figure and encode it as PNG with a palette: a third of the bytes.

    Parameters
    ----------
    canvas : FigureCanvasAgg
        Of the figure.
    colours : int, optional
        At most so many, 2 to 256.

    Examples
    --------
    >>> from matplotlib.backends.backend_agg import FigureCanvasAgg
    >>> from matplotlib.figure import Figure
    >>> encode_figure(FigureCanvasAgg(Figure(figsize=(1, 1))))[1:4]
    b'PNG'
    """
    from PIL import Image  # noqa: PLC0415 -- comes with matplotlib

    canvas.draw()
    size = canvas.get_width_height(physical=True)
    picture = Image.frombuffer("RGBA", size, canvas.buffer_rgba(), "raw", "RGBA", 0, 1).convert("RGB")
    buffer = io.BytesIO()
    picture.quantize(colours, dither=Image.Dither.NONE).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _last(values: list[float]) -> float:
    return next((value for value in reversed(values) if math.isfinite(value)), math.nan)


def _shown(name: str, escape: Callable[[str], str] = escape) -> str:
    return escape_short(redact_text(name), _NAME, escape)


def _number(value: float) -> str:
    return escape(f"{value:.6g}") if math.isfinite(value) else "-"
