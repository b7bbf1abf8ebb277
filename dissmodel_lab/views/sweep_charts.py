"""A sweep as pictures: a metric along one parameter or over two, and what it depends on; each with its numbers.

Drawn with matplotlib's objects, without pyplot, so that no figure of the notebook's own is touched. Names come
from models and are neither markup nor formulas.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from dissmodel_lab.language import in_language, say, say_n
from dissmodel_lab.progress import status_text
from dissmodel_lab.quiet import quiet_about
from dissmodel_lab.views.charts import encode_figure
from dissmodel_lab.views.map_view import data_url
from dissmodel_lab.views.markup import escape_attribute, escape_short
from dissmodel_lab.views.sweep_numbers import (
    Cloud,
    Field,
    Gathered,
    Line,
    Scale,
    along,
    cloud,
    number_text,
    over,
    plain_text,
    value_text,
)
from dissmodel_lab.views.tables import numbers_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dissmodel_lab.sweeps.design import SweepDesign
    from dissmodel_lab.sweeps.report import Sensitivity, SensitivityIndex, SweepRow

#: Size of a chart on the page [CSS pixels].
WIDTH, HEIGHT = 640, 340
#: Heaviest picture of one chart [bytes].
PNG_BUDGET = 60_000
#: Rows, and columns, of the table of numbers under a chart.
MOST_ROWS, MOST_COLUMNS = 24, 12
#: Pixels for each CSS pixel: text stays sharp.
_DENSITY = 1.5
_DPI = 100
_BLUE, _BAND, _RED, _INK, _GREY, _FAINT = "#1f77b4", "#c3dcec", "#c62828", "#1a1a1a", "#8a8a8a", "#e4e4e4"
_COLOURS = 160
"""Colours of the picture: enough for a smooth scale."""
_LARGEST = 1e300
"""Numbers beyond are listed and not drawn: their span is no float."""
_TICKS, _DATES = 12, 6
_MARGIN = 0.05
"""Beyond each end of an axis, as a part of it."""
_TICK = 14
"""Longest text of a value on an axis [characters]."""
_BARS = 16
"""Parameters with the largest index that have bars."""
_BAR_COLOURS = ("#1f77b4", "#e69f00", "#009e73", "#cc79a7")
"""Okabe and Ito (2008), Color Universal Design, but for the first."""


_Numbers: TypeAlias = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""Headings and rows."""


@dataclass(frozen=True)
class Chart:
    """One picture and what it says, in words and numbers; all texts are untrusted."""

    title: str
    png: bytes = field(repr=False)
    """Empty when there is nothing to draw."""
    alt: str
    """What the picture shows, for those who cannot see it."""
    notes: tuple[str, ...]
    """What must be said with it."""
    columns: tuple[str, ...]
    """Headings of its numbers."""
    rows: tuple[tuple[str, ...], ...]
    """Its numbers, at most :data:`MOST_ROWS`."""


def metric_chart(rows: Sequence[SweepRow], design: SweepDesign, metric: str, x: str, y: str = "") -> Chart:
    """
    Draw a metric of a sweep against one parameter, or over two.

    Along one parameter of a grid: the mean of all runs at each value as a line, and the range from the smallest
    to the largest as a band. Over two: a heat map of the means. Samples that lie on no grid are drawn as points.
    Runs without a value are drawn as missing.

    Parameters
    ----------
    rows : sequence of SweepRow
        The runs.
    design : SweepDesign
        Where the axes and their units come from.
    metric : str
        Its name.
    x, y : str
        Swept parameters; ``y`` is empty for a line.

    Returns
    -------
    Chart
        With an empty picture when no run has a value.

    Raises
    ------
    KeyError
        When a parameter is not swept.

    Examples
    --------
    >>> from dissmodel_lab.sweeps.design import Axis, SweepDesign
    >>> from dissmodel_lab.sweeps.report import SweepRow
    >>> rise = Axis(name="rise", kind="number", text="1,2", values=(1, 2), unit="m")
    >>> design = SweepDesign(model_name="flood", axes=(rise,), sample="grid", settings=((1,), (2,)))
    >>> rows = [
    ...     SweepRow(point=n, setting=n, parameters={"rise": n}, status="completed", metrics={"area": 2.0 * n})
    ...     for n in (1, 2)
    ... ]
    >>> chart = metric_chart(rows, design, "area", "rise")
    >>> chart.title, chart.png[1:4], chart.rows
    ('area against rise [m]', b'PNG', (('1', '2', '2', '2', '1', '0'), ('2', '4', '4', '4', '1', '0')))
    """
    across, up = design.axis(x), design.axis(y) if y else None
    if design.sample != "grid":
        return _cloud_chart(cloud(rows, metric, across, up, design.names))
    if up is None:
        return _line_chart(along(rows, metric, across, design.names))
    return _field_chart(over(rows, metric, across, up, design.names))


def sensitivity_chart(found: Sensitivity) -> Chart:
    """
    Draw what a metric depends on: bars with confidence intervals, the parameters with the largest first.

    Parameters
    ----------
    found : Sensitivity
        As the sweep worked it out.

    Examples
    --------
    >>> from dissmodel_lab.sweeps.report import Sensitivity, SensitivityIndex
    >>> index = SensitivityIndex(symbol="S1", title="alone", values=(0.8,), lower=(0.7,), upper=(0.9,))
    >>> said = Sensitivity(
    ...     metric="area", sample="saltelli", method="Saltelli (2010).", names=("rise",), indices=(index,),
    ...     n_points=64, n_used=64,
    ... )
    >>> sensitivity_chart(said).rows
    (('rise', '0.8 (0.7 to 0.9)'),)
    """
    title = say("What {metric} depends on", metric=plain_text(found.metric))
    order = _strongest_first(found)
    drawable = [index for index in found.indices if any(_fits(value) for value in index.values)]
    shares = [index for index in drawable if index.is_share]
    drawable = shares or drawable  # a share and a span have no axis in common; the numbers have both
    shown = order[:_BARS]
    png = _bars(found, drawable, shown) if drawable and shown else b""
    notes = [in_language(found.method)] if found.method else []
    if found.n_used < found.n_points:
        notes.append(say("{n:,} of {total:,} runs have a value.", n=found.n_used, total=found.n_points))
    if drawable and any(value is not None for index in drawable for value in index.lower):
        notes.append(say("Lines: {share:.3g} % confidence intervals.", share=found.confidence * 100))
    if len(order) > len(shown):
        notes.append(say("The {n} strongest of {total:,} parameters are drawn.", n=len(shown), total=len(order)))
    columns = (say("parameter"), *map(_index_text, found.indices))
    every = [(plain_text(found.names[at]), *(_interval_text(index, at) for index in found.indices)) for at in order]
    bars = "; ".join(": ".join(row[:2]) for row in every[:8])
    alt = say("Bars: {bars}.", bars=bars) if drawable else say("{title}: no indices.", title=title)
    return _chart(
        title, png, alt, [*notes, *map(in_language, found.notes)], (columns, every if found.indices else [])
    )


def chart_html(chart: Chart, *, width: int = WIDTH) -> str:
    """
    Show a chart as static HTML: title, picture with its text, notes, and its numbers to unfold.

    Parameters
    ----------
    chart : Chart
        Everything in it is escaped.
    width : int, optional
        Of the picture [CSS pixels].

    Examples
    --------
    >>> html = chart_html(Chart("<b>", b"", "", (), ("rise",), (("1",),)))
    >>> "&lt;b&gt;" in html, "<img" in html
    (True, False)
    """
    picture = (
        f'<img alt="{escape_short(chart.alt, 1_500, escape_attribute)}" width="{width}" src="{data_url(chart.png)}" '
        f'style="width:{width}px;max-width:100%;margin:0;display:block;background-color:#ffffff">'
        if chart.png
        else ""
    )
    notes = "".join(
        f'<div style="font-size:12px;opacity:0.85">{escape_short(note, 600)}</div>' for note in chart.notes
    )
    numbers = numbers_table(chart.columns, chart.rows) if chart.rows else ""
    folded = (
        f'<details><summary style="font-size:12px">{say("Numbers")}</summary>{numbers}</details>' if numbers else ""
    )
    return (
        f'<div style="max-width:{max(width, WIDTH)}px;margin:6px 0 12px 0">'
        f'<div style="font-weight:bold;margin:2px 0">{escape_short(chart.title, 400)}</div>'
        f"{picture}{notes}{folded}</div>"
    )


def _line_chart(line: Line) -> Chart:
    title = say("{metric} against {parameter}", metric=plain_text(line.metric), parameter=line.x.label)
    drawable = [(value, said) for value, said in line.at if _is_drawable(said)]
    notes = _notes(line.others, line.n_seeds, [said for _, said in line.at])
    png = b""
    if drawable:
        figure, ax = _figure()
        _dress(ax, line.x, "x")
        at = [line.x.place(value) for value, _ in line.at]
        means = [said.mean if _is_drawable(said) else math.nan for _, said in line.at]
        lows = [said.low if _is_drawable(said) else math.nan for _, said in line.at]
        highs = [said.high if _is_drawable(said) else math.nan for _, said in line.at]
        if lows != highs:
            ax.fill_between(at, lows, highs, color=_BAND, linewidth=0)
            ax.vlines(at, lows, highs, color=_BAND, linewidth=1.5)  # a value between two gaps has a range too
        ax.plot(at, means, color=_BLUE, linewidth=1.6, marker="o", markersize=4 if len(at) <= MOST_ROWS else 2)
        _mark_failed(ax, [where for where, (_, said) in zip(at, line.at, strict=True) if said.n_failed])
        _span(ax, line.x, "x")
        ax.set_ylabel(_short(plain_text(line.metric)))
        png = _encoded(figure)
    columns = (line.x.label, *_number_heads())
    every = [(value_text(value), *_numbers(said)) for value, said in line.at]
    return _chart(title, png, _line_alt(title, line), notes, (columns, every))


def _field_chart(found: Field) -> Chart:
    title = _over_text(found.metric, found.x, found.y)
    everything = [said for row in found.cells for said in row if said is not None]
    notes = _notes(found.others, found.n_seeds, everything, has_range=False)
    if any(said is not None and not said.values for said in everything):
        notes.append(say("Grey: no run has a value there."))
    png = b""
    if any(map(_is_drawable, everything)):
        figure, ax = _figure()
        values = [[_drawn_mean(said) for said in row] for row in found.cells]
        image = ax.imshow(
            _masked(values), origin="lower", aspect="auto", interpolation="nearest", cmap=_scale_with_gaps()
        )
        for scale, side in ((found.x, "x"), (found.y, "y")):
            getattr(ax, f"set_{side}label")(_short(scale.label))
            _ticks(ax, scale, side, range(len(scale.values)))
        crosses = [
            (i, j) for j, row in enumerate(found.cells) for i, said in enumerate(row) if said and said.n_failed
        ]
        if crosses:
            _draw_crosses(ax, [i for i, _ in crosses], [j for _, j in crosses], size=_cross_size(found))
        bar = figure.colorbar(image, ax=ax)
        bar.set_label(_short(plain_text(found.metric)))
        png = _encoded(figure)
    columns = (f"{found.y.label} \\ {found.x.label}", *map(value_text, found.x.values[:MOST_COLUMNS]))
    every = [
        (value_text(value), *(_cell_text(said) for said in row[:MOST_COLUMNS]))
        for value, row in zip(found.y.values, found.cells, strict=True)
    ]
    if len(found.x.values) > MOST_COLUMNS:
        total = len(found.x.values)
        notes.append(say("The numbers show {n} of {total:,} columns.", n=MOST_COLUMNS, total=total))
    return _chart(title, png, _extremes_alt(title, everything), notes, (columns, every))


def _cloud_chart(found: Cloud) -> Chart:
    if found.y is None:
        title = say("{metric} against {parameter}", metric=plain_text(found.metric), parameter=found.x.label)
    else:
        title = _over_text(found.metric, found.x, found.y)
    everything = [said for _, _, said in found.points]
    drawable = [point for point in found.points if _is_drawable(point[2])]
    missing = [point for point in found.points if not _is_drawable(point[2]) and point[2].n_failed]
    notes = _notes((), found.n_seeds, everything)
    if found.others:
        names = _listing(found.others)
        notes.append(
            say("{names} also vary from point to point.", names=names)
            if len(found.others) > 1
            else say("{name} also varies from point to point.", name=names)
        )
    png = b""
    if drawable:
        figure, ax = _figure()
        _dress(ax, found.x, "x")
        across = found.x.place
        if found.y is None:
            _draw_points(ax, drawable, across)
            _mark_failed(ax, [across(x) for x, _, _ in missing])
            ax.set_ylabel(_short(plain_text(found.metric)))
        else:
            _dress(ax, found.y, "y")
            up = found.y.place
            image = ax.scatter(
                [across(x) for x, _, _ in drawable],
                [up(y) for _, y, _ in drawable],
                c=[said.mean for _, _, said in drawable],
                cmap="viridis",
                s=_dot_size(len(drawable)),
            )
            if missing:
                places = [across(x) for x, _, _ in missing], [up(y) for _, y, _ in missing]
                _draw_crosses(ax, places[0], places[1], size=30)
            figure.colorbar(image, ax=ax).set_label(_short(plain_text(found.metric)))
            _span(ax, found.y, "y")
        _span(ax, found.x, "x")
        png = _encoded(figure)
    heads = (found.x.label, *((found.y.label,) if found.y else ()))
    every = [
        (*(value_text(value) for value in ((x, y) if found.y else (x,))), *_numbers(said))
        for x, y, said in found.points
    ]
    columns = (*heads, *_number_heads())
    return _chart(title, png, _extremes_alt(title, everything), notes, (columns, every))


def _chart(title: str, png: bytes, alt: str, notes: list[str], numbers: _Numbers) -> Chart:
    columns, every = numbers
    if len(every) > MOST_ROWS:
        said = say(
            "The numbers show {n} of {total:,} rows; sweep.to_frame() has all runs.", n=MOST_ROWS, total=len(every)
        )
        notes = [*notes, said]
    if len(png) > PNG_BUDGET:
        png, notes = b"", [*notes, say("The picture is too heavy for a notebook.")]
    return Chart(title, png, alt, tuple(notes), columns, tuple(every[:MOST_ROWS]))


def _draw_points(ax: Any, points: Sequence[tuple[Any, Any, Gathered]], across: Callable[[Any], float]) -> None:
    at = [across(x) for x, _, _ in points]
    lows, highs = [said.low for _, _, said in points], [said.high for _, _, said in points]
    if lows != highs:
        ax.vlines(at, lows, highs, color=_BAND, linewidth=2)
    ax.scatter(at, [said.mean for _, _, said in points], color=_BLUE, s=_dot_size(len(points)))


def _bars(found: Sensitivity, indices: Sequence[SensitivityIndex], shown: Sequence[int]) -> bytes:
    height = 75 + 22 * len(shown) * len(indices) ** 0.6 + 16 * len(indices)
    figure, ax = _figure(height)
    thick = 0.8 / len(indices)
    for number, index in enumerate(indices):
        colour = _BAR_COLOURS[number % len(_BAR_COLOURS)]
        at = [-row + (len(indices) - 1) / 2 * thick - number * thick for row in range(len(shown))]
        values = [_drawn(index.values[place]) for place in shown]
        label = _short(_index_text(index), 60)
        ax.barh(at, values, height=thick * 0.92, color=colour, label=label)
        for height_of, place in zip(at, shown, strict=True):
            lower, upper = _drawn(index.lower[place]), _drawn(index.upper[place])
            ax.hlines(height_of, lower, upper, color=_INK, linewidth=1.4)
    ax.set_yticks(
        [-row for row in range(len(shown))], labels=[_short(plain_text(found.names[at]), 28) for at in shown]
    )
    ax.axvline(0, color=_GREY, linewidth=0.8)
    if all(index.is_share for index in indices):
        ax.set_xlabel(say("share of the variance [-]"))
    ax.legend(fontsize=8, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)
    return _encoded(figure)


def _index_text(index: SensitivityIndex) -> str:
    return f"{plain_text(index.symbol)}: {plain_text(in_language(index.title))}"


def _number_heads() -> tuple[str, ...]:
    return say("mean"), say("smallest"), say("largest"), say("runs"), say("without a value")


def _over_text(metric: str, x: Scale, y: Scale) -> str:
    return say("{metric} over {x} and {y}", metric=plain_text(metric), x=x.label, y=y.label)


def _strongest_first(found: Sensitivity) -> list[int]:
    """Return the places of the parameters; the index that tells the whole effect decides, where there is one."""
    places = range(len(found.names))
    index = found.index("ST") or found.index("mu*") or (found.indices[0] if found.indices else None)
    if index is None:
        return list(places)
    return sorted(places, key=lambda at: -abs(value) if (value := index.values[at]) is not None else 1.0)


def _fits(value: float | None) -> bool:
    return value is not None and math.isfinite(value) and abs(value) < _LARGEST


def _drawn(value: float | None) -> float:
    return value if value is not None and _fits(value) else math.nan


def _interval_text(index: SensitivityIndex, at: int) -> str:
    value, lower, upper = index.values[at], index.lower[at], index.upper[at]
    if value is None:
        return "-"
    if lower is None or upper is None:
        return f"{value:.3g}"
    return say("{value:.3g} ({low:.3g} to {high:.3g})", value=value, low=lower, high=upper)


def _figure(height: float = HEIGHT) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 -- 0.2 s, only for charts
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(WIDTH / _DPI, height / _DPI), dpi=_DPI * _DENSITY, facecolor="#ffffff")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _encoded(figure: Any) -> bytes:
    """Draw a figure as it was built, whatever style the notebook has set."""
    from matplotlib.text import Text  # noqa: PLC0415 -- as above
    from matplotlib.ticker import ScalarFormatter  # noqa: PLC0415

    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            if isinstance(axis.get_major_formatter(), ScalarFormatter):
                axis.set_major_formatter(ScalarFormatter(useMathText=False, usetex=False))
        ax.set_facecolor("#ffffff")
        ax.grid(visible=False)
        ax.tick_params(colors=_GREY, labelcolor=_INK, labelsize=8)
        for spine in ax.spines.values():
            spine.set_edgecolor(_GREY)
        ax.xaxis.label.set_size(9)
        ax.yaxis.label.set_size(9)
        ax.get_xticklabels()  # they are made when they are asked for
        ax.get_yticklabels()
    for text in figure.findobj(Text):  # a dollar sign in a name is no formula
        text.set_parse_math(False)
        text.set_usetex(False)
        text.set_color(_INK)
        text.set_fontfamily("DejaVu Sans")
    with quiet_about(UserWarning, "Glyph .* missing"):  # a name may be in any script
        figure.set_layout_engine("tight", pad=0.6)
        return encode_figure(figure.canvas, _COLOURS)


def _dress(ax: Any, scale: Scale, side: str) -> None:
    """Label an axis, and its ticks where plain numbers would not do."""
    getattr(ax, f"set_{side}label")(_short(scale.label))
    if scale.axis.kind == "choice":
        _ticks(ax, scale, side, [scale.place(value) for value in scale.values])
    elif scale.axis.kind == "date":
        step = math.ceil(len(scale.values) / _DATES)
        values = scale.values[::step]
        getattr(ax, f"set_{side}ticks")(
            [scale.place(value) for value in values], labels=list(map(value_text, values))
        )
    elif scale.axis.is_log and all(value > 0 for value in scale.values):
        getattr(ax, f"set_{side}scale")("log")
        _plain_powers(getattr(ax, f"{side}axis"), is_short=max(scale.values) < 10 * min(scale.values))


def _span(ax: Any, scale: Scale, side: str) -> None:
    """Show all of the design, also where no run has ended yet; a little more, so that no mark is cut."""
    places = [scale.place(value) for value in scale.values]
    places += [scale.place(end) for end in (scale.axis.low, scale.axis.high) if end is not None]
    known = [place for place in places if math.isfinite(place) and abs(place) < _LARGEST]
    low, high = min(known, default=0.0), max(known, default=0.0)
    if low == high:
        return
    if getattr(ax, f"get_{side}scale")() == "log" and low > 0:
        margin = (high / low) ** _MARGIN
        getattr(ax, f"set_{side}lim")(low / margin, high * margin)
    else:
        margin = (high - low) * _MARGIN
        getattr(ax, f"set_{side}lim")(low - margin, high + margin)


def _plain_powers(axis: Any, *, is_short: bool) -> None:
    """Write the numbers of a logarithmic axis without formulas; those between powers of ten where these are few."""
    from matplotlib.ticker import FuncFormatter, NullFormatter  # noqa: PLC0415 -- as in _figure

    plain = FuncFormatter(lambda value, _place: f"{value:g}")
    axis.set_major_formatter(plain)
    axis.set_minor_formatter(plain if is_short else NullFormatter())


def _ticks(ax: Any, scale: Scale, side: str, places: Sequence[float]) -> None:
    """Name places of an axis by the scale's values, as many as fit."""
    every = math.ceil(len(places) / _TICKS)
    texts = [_short(value_text(value), _TICK) for value in scale.values[::every]]
    getattr(ax, f"set_{side}ticks")(list(places)[::every], labels=texts)


def _mark_failed(ax: Any, at: Sequence[float]) -> None:
    if at:
        ax.plot(
            at,
            [0.025] * len(at),
            transform=ax.get_xaxis_transform(),
            color=_RED,
            marker="x",
            linestyle="",
            markersize=6,
        )


def _draw_crosses(ax: Any, at: Sequence[float], up: Sequence[float], size: float) -> None:
    for colour, width in (("#ffffff", 3.5), (_RED, 1.5)):  # seen on dark and on light cells
        ax.scatter(at, up, marker="x", color=colour, s=size, linewidths=width, zorder=3)


def _masked(values: list[list[float]]) -> Any:
    import numpy as np  # noqa: PLC0415 -- comes with matplotlib

    return np.ma.masked_invalid(np.array(values, dtype=float))


def _scale_with_gaps() -> Any:
    from matplotlib import colormaps  # noqa: PLC0415 -- as in _figure

    return colormaps["viridis"].with_extremes(bad=_FAINT)


def _cross_size(found: Field) -> float:
    across = 0.72 * WIDTH / max(1, len(found.x.values))
    up = 0.8 * HEIGHT / max(1, len(found.y.values))
    return min(60.0, max(4.0, (min(across, up) / 2.5) ** 2))


def _dot_size(count: int) -> float:
    return 26.0 if count <= 200 else 10.0 if count <= 2000 else 3.0  # noqa: PLR2004 -- how many dots fit beside each other


def _is_drawable(said: Gathered | None) -> bool:
    return said is not None and bool(said.values) and max(abs(said.low), abs(said.high)) < _LARGEST


def _drawn_mean(said: Gathered | None) -> float:
    return said.mean if said is not None and _is_drawable(said) else math.nan


def _numbers(said: Gathered) -> tuple[str, ...]:
    return (
        number_text(said.mean),
        number_text(said.low),
        number_text(said.high),
        f"{len(said.values):,}",
        f"{said.n_failed + said.n_waiting:,}",
    )


def _cell_text(said: Gathered | None) -> str:
    if said is None:
        return ""
    if said.values:
        return number_text(said.mean)
    return status_text("failed" if said.n_failed else "waiting")


def _spread_note(others: tuple[str, ...], n_seeds: int, found: list[Gathered], *, has_range: bool) -> list[str]:
    """Say what a mean is taken over, where it is one."""
    if max((len(said.values) for said in found), default=0) < 2:  # noqa: PLR2004 -- one value is no mean
        return []
    if n_seeds > 1 and others:
        what = say("{n} seeds and all values of {names}", n=n_seeds, names=_listing(others))
    elif n_seeds > 1:
        what = say("{n} seeds", n=n_seeds)
    else:
        what = say("all values of {names}", names=_listing(others)) if others else say("the runs at one place")
    if has_range:
        return [say("Mean, with the range from smallest to largest, over {what}.", what=what)]
    return [say("Mean over {what}.", what=what)]


def _notes(
    others: tuple[str, ...],
    n_seeds: int,
    found: list[Gathered],
    *,
    has_range: bool = True,
) -> list[str]:
    nothing = [] if any(said.values for said in found) else [say("No run has a value to draw.")]
    spread = _spread_note(others, n_seeds, found, has_range=has_range)
    return nothing + spread + _missing_note(found) + _huge_note(found)


def _missing_note(found: Iterable[Gathered]) -> list[str]:
    found = list(found)
    n_failed, n_waiting = (sum(getattr(said, name) for said in found) for name in ("n_failed", "n_waiting"))
    said = []
    if n_failed:
        said.append(say_n("✗ {n} run without a value", "✗ {n} runs without a value", n_failed))
    if n_waiting:
        said.append(say_n("{n} run is not over", "{n} runs are not over", n_waiting))
    return [f"{'; '.join(said)}."] if said else []


def _huge_note(found: Iterable[Gathered]) -> list[str]:
    count = sum(bool(said.values) and not _is_drawable(said) for said in found)
    return [say("{n:,} too large to be drawn; the numbers have them.", n=count)] if count else []


def _listing(names: Sequence[str]) -> str:
    shown = [plain_text(name) for name in names[:6]]
    more = len(names) - len(shown)
    if more > 0:
        return say("{names} and {n} more", names=", ".join(shown), n=more)
    if len(shown) == 1:
        return shown[0]
    return say("{names} and {last}", names=", ".join(shown[:-1]), last=shown[-1])


def _line_alt(title: str, line: Line) -> str:
    known = [(value, said) for value, said in line.at if said.values]
    if not known:
        return say("{title}: no value.", title=title)
    (first_at, first), (last_at, last) = known[0], known[-1]
    course = say(
        "Line chart of {title}: from {first} at {first_at} to {last} at {last_at}.",
        title=title,
        first=number_text(first.mean),
        first_at=value_text(first_at),
        last=number_text(last.mean),
        last_at=value_text(last_at),
    )
    return f"{course} {_extremes([said for _, said in known])}"


def _extremes_alt(title: str, found: Sequence[Gathered]) -> str:
    known = [said for said in found if said.values]
    if not known:
        return say("{title}: no value.", title=title)
    return f"{say('Chart of {title}.', title=title)} {_extremes(known)}"


def _extremes(found: Sequence[Gathered]) -> str:
    means = [said.mean for said in found]
    low, high = number_text(min(means)), number_text(max(means))
    return say("Smallest mean {low}, largest {high}.", low=low, high=high)


def _short(text: str, limit: int = 48) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
