"""Maps as static HTML: a picture with its legend and notes, two under a swipe, two side by side.

HTML without scripts, style sheets, ids or svg, because JupyterLab strips those from a notebook that isn't
trusted. Everything that comes from data is escaped.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dissmodel_lab.language import in_language, message, say
from dissmodel_lab.maps.histogram import histogram
from dissmodel_lab.views.legends import SMALL, data_url, legend_html
from dissmodel_lab.views.markup import escape, escape_attribute, escape_short, scrolling

if TYPE_CHECKING:
    from dissmodel_lab.maps.legend import Legend
    from dissmodel_lab.maps.picture import Preview

#: Width of a static picture on the page [CSS pixels].
WIDTH = 440
#: Tallest static picture [CSS pixels]; a narrow one is shown narrower than WIDTH.
MAX_HEIGHT = 620
#: What a static picture may weigh as PNG: base64 adds a third, legend and notes a little [bytes].
PNG_BUDGET = 40_000
#: How often a picture is made smaller to meet the budget; each time by what it weighs too much.
MAX_TRIES = 8
#: Longest note, as HTML [bytes].
MAX_NOTE = 1_000


def png_of(preview: Preview, *, max_width: int = 2 * WIDTH, budget: int = PNG_BUDGET) -> bytes:
    """
    Return a picture small enough for a notebook, at its right shape.

    A tiny picture is enlarged by a whole number, so that viewers that smooth show crisp cells; a large one is
    reduced by nearest pixel, so that no colour appears that isn't in the legend.

    Parameters
    ----------
    preview : Preview
        What to show.
    max_width : int, optional
        Widest result [pixels].
    budget : int, optional
        Heaviest result [bytes]; the smallest picture is returned when none is light enough.

    Examples
    --------
    >>> from dissmodel_lab.maps import preview
    >>> len(png_of(preview(np.eye(3)))) < 4000
    True
    """
    return _sized_png(preview, max_width, budget)[0]


def _sized_png(preview: Preview, max_width: int, budget: int) -> tuple[bytes, tuple[int, int]]:
    """Return a picture and its size; the one that was made before for the same page."""
    key = max_width, budget
    if key not in preview.sized:
        preview.sized[key] = _made_png(preview, max_width, budget)
    return preview.sized[key]


def _made_png(preview: Preview, max_width: int, budget: int) -> tuple[bytes, tuple[int, int]]:
    width, height = preview.size
    wide = max(1, min(max_width, round(max_width * width / height)))
    if len(preview.png) > 2 * budget:  # it is known to be too heavy at its own size: not worth an attempt
        wide = max(1, min(wide, int(width * 0.97 * math.sqrt(budget / len(preview.png)))))
    for _ in range(MAX_TRIES):
        wide = wide // width * width or wide  # enlarged by a whole number, or reduced
        size = wide, max(1, round(wide * height / width))
        encoded = preview.png_at(*size)
        if len(encoded) <= budget:
            break
        wide = max(1, int(wide * min(0.95, 0.98 * math.sqrt(budget / len(encoded)))))
    return encoded, size


def map_figure(preview: Preview, title: str, *, budget: int = PNG_BUDGET) -> str:
    """
    Draw a map as static HTML: picture, legend with histogram, place, scale and notes.

    Parameters
    ----------
    preview : Preview
        What to show.
    title : str
        Heading; escaped.
    budget : int, optional
        Heaviest picture [bytes].

    Returns
    -------
    str
        HTML that reads without scripts and in an untrusted notebook.

    Examples
    --------
    >>> from dissmodel_lab.maps import preview
    >>> "plane, no georeference" in map_figure(preview(np.eye(3)), "a map")
    True
    """
    encoded, (made, _) = _sized_png(preview, 2 * WIDTH, budget)
    width, height = _shown_size(preview)
    return (
        f'<div style="max-width:{WIDTH + 2}px;margin:0 0 12px 0">'
        f'<div style="font-weight:bold;margin:2px 0">{escape(title)}</div>'
        f"{_picture(encoded, preview, width, height)}"
        f"{legend_html(preview.legend, histogram(preview.grid, preview.legend))}{place_html(preview)}"
        f"{notes_html((*preview.notes, *_reduced(preview, made)))}"
        "</div>"
    )


def swipe(
    before: Preview, after: Preview, titles: tuple[str, str], *, budget: int = PNG_BUDGET, with_legends: bool = True
) -> str:
    """
    Draw two maps of the same place, one over the other, the upper one in a box that can be made narrower.

    It needs no script: browsers let a box with ``resize`` be dragged.

    Parameters
    ----------
    before, after : Preview
        The lower and the upper picture; they must have the same bounds.
    titles : tuple of str
        What they are called, in the same order; escaped.
    budget : int, optional
        Heaviest picture [bytes], for each of the two.
    with_legends : bool, optional
        False where both maps stand beside the swipe, with their legends, places and notes.

    Returns
    -------
    str
        HTML. When the two don't lie in the same place: both maps side by side, and a sentence that says so.

    Examples
    --------
    >>> from dissmodel_lab.maps import preview
    >>> html = swipe(preview(np.eye(3)), preview(np.eye(3) * 2), ("input", "output"))
    >>> "Drag the lower right corner of the upper picture" in html
    True
    """
    if not share_bounds(before, after):
        return notes_html((no_swipe(*titles),)) + "".join(
            map_figure(preview, title, budget=budget) for preview, title in zip((before, after), titles, strict=True)
        )
    below, above = (escape(title) for title in titles)
    width, height = _shown_size(before)
    lower, upper = (_sized_png(preview, 2 * WIDTH, budget) for preview in (before, after))
    box = "position:absolute;top:0;left:0;overflow:hidden;background-color:#ffffff"
    reduced = (*_reduced(before, lower[1][0]), *_reduced(after, upper[1][0]))
    notes = dict.fromkeys((*before.notes, *after.notes, *reduced, *different_scales(before, after)))
    captions = ""
    if with_legends:
        captions = _swipe_legends(before.legend, after.legend, (below, above)) + place_html(before)
        captions += notes_html(tuple(notes))
    name = say("Swipe: {above} (left of the line) over {below} (right of it)", above=titles[1], below=titles[0])
    pictures = (
        f'<div style="position:relative;width:{width}px;height:{height}px;border:1px solid #888888">'
        f'<div style="{box};width:{width}px;height:{height}px">{_img(lower[0], before, width, height)}</div>'
        f'<div style="{box};width:50%;min-width:20px;max-width:100%;height:{height}px;resize:horizontal;'
        'border-right:3px solid #d55e00;box-sizing:border-box">'
        # as wide as the picture, so that no style sheet can squeeze the picture into the box
        f'<div style="width:{width}px;height:{height}px">{_img(upper[0], after, width, height)}</div></div></div>'
    )
    return (
        f'<div style="max-width:{WIDTH + 2}px;margin:0 0 12px 0">'
        f'<div style="font-weight:bold;margin:2px 0">{escape(name)}</div><div style="{SMALL}">'
        f"{say('Drag the lower right corner of the upper picture ({above}) to the side.', above=above)}</div>"
        # at one size, as they lie over each other: a narrow page scrolls them
        f"{scrolling(pictures, name)}{captions}</div>"
    )


def beside(before: Preview, after: Preview, titles: tuple[str, str], *, budget: int = PNG_BUDGET) -> str:
    """
    Draw two maps side by side, each with its legend and notes; below each other where the page is narrow.

    Parameters
    ----------
    before, after : Preview
        The left and the right picture; they may lie in different places.
    titles : tuple of str
        What they are called, in the same order; escaped.
    budget : int, optional
        Heaviest picture [bytes], for each of the two.

    Examples
    --------
    >>> from dissmodel_lab.maps import preview
    >>> beside(preview(np.eye(3)), preview(np.eye(3)), ("input", "output")).count("inline-block;vertical-align:top")
    2
    """
    figures = "".join(
        '<div style="display:inline-block;vertical-align:top;margin:0 12px 0 0;max-width:100%">'
        f"{map_figure(preview, title, budget=budget)}</div>"
        for preview, title in zip((before, after), titles, strict=True)
    )
    return notes_html(different_scales(before, after)) + figures


def share_bounds(one: Preview, other: Preview) -> bool:
    """
    Return whether two pictures lie in the same place, to half a pixel of the coarser one.

    Examples
    --------
    >>> from dissmodel_lab.maps import preview
    >>> share_bounds(preview(np.eye(3)), preview(np.eye(4)))
    False
    """
    if one.is_georeferenced != other.is_georeferenced:
        return False
    (south, west), (north, east) = one.bounds
    columns, rows = (min(a, b) for a, b in zip(one.size, other.size, strict=True))
    allowed = [0.5 * (north - south) / rows, 0.5 * (east - west) / columns] * 2
    apart = np.abs(np.subtract(one.bounds, other.bounds)).ravel()
    return bool((apart <= allowed).all())


def notes_html(notes: tuple[str, ...]) -> str:
    """
    Write notes as a list; nothing when there are none.

    Examples
    --------
    >>> notes_html(("1 < 2",))
    '<ul style="font-size:12px;margin:2px 0;padding-left:18px"><li>1 &lt; 2</li></ul>'
    """
    items = "".join(f"<li>{escape_short(in_language(note), MAX_NOTE)}</li>" for note in notes)
    return f'<ul style="{SMALL};padding-left:18px">{items}</ul>' if notes else ""


def _shown_size(preview: Preview) -> tuple[int, int]:
    """Width and height on the page [CSS pixels]."""
    width, height = preview.size
    scale = min(WIDTH / width, MAX_HEIGHT / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _img(encoded: bytes, preview: Preview, width: int, height: int, *, is_alone: bool = False) -> str:
    # Alone it shrinks with the page; pictures that lie over each other stay of one size.
    room = "height:auto;max-width:100%" if is_alone else f"height:{height}px;max-width:{width}px"
    return (
        f'<img alt="{escape_attribute(in_language(preview.alt_text))}" width="{width}" height="{height}" '
        f'src="{data_url(encoded)}" '
        f'style="width:{width}px;{room};margin:0;display:block">'
    )


def _picture(encoded: bytes, preview: Preview, width: int, height: int) -> str:
    frame = f"max-width:{width}px;border:1px solid #888888;background-color:#ffffff"
    return f'<div style="{frame}">{_img(encoded, preview, width, height, is_alone=True)}</div>'


def _reduced(preview: Preview, width: int) -> tuple[str, ...]:
    if width >= min(preview.size[0], preview.grid.values.shape[1]):
        return ()  # no cell is lost
    wide = preview.size[0]
    return (message("Picture reduced from {wide:,} to {now:,} pixels across, nearest pixel.", wide=wide, now=width),)


def place_html(preview: Preview) -> str:
    """
    Say where a picture lies, how long its middle row is, and how many cells the data have.

    Examples
    --------
    >>> from dissmodel_lab.maps import preview
    >>> "3 x 3 cells" in place_html(preview(np.eye(3)))
    True
    """
    kilometres = preview.width_km
    width, height = preview.source_size
    said = [in_language(preview.bounds_text)]
    said += [say("{length} across at the centre", length=_length(kilometres))] if kilometres is not None else []
    said.append(say("{width:,} x {height:,} cells", width=width, height=height))
    return f'<div style="{SMALL}">{escape("; ".join(said))}</div>'


def _length(kilometres: float) -> str:
    if kilometres < 1:
        return f"{kilometres * 1000:.3g} m"
    return f"{kilometres:,.0f} km" if kilometres >= 100 else f"{kilometres:.3g} km"  # noqa: PLR2004 -- 3 digits


def no_swipe(below: str, above: str) -> str:
    """
    Say why two maps can't be swiped.

    Examples
    --------
    >>> no_swipe("input", "output")
    "output doesn't cover the same ground as input: no swipe, it would compare different places."
    """
    return message(
        "{above} doesn't cover the same ground as {below}: no swipe, it would compare different places.",
        above=above,
        below=below,
    )


def different_scales(before: Preview, after: Preview) -> tuple[str, ...]:
    """
    Say that two pictures can't be compared by their colours; nothing when they can.

    Examples
    --------
    >>> from dissmodel_lab.maps import preview
    >>> different_scales(preview(np.eye(3) / 3), preview(np.eye(3) / 7))
    ('The two pictures have different colour scales: compare shapes, not colours.',)
    """
    one, other = before.legend, after.legend
    if one.kind == other.kind == "continuous" and (one.low, one.high) != (other.low, other.high):
        return (message("The two pictures have different colour scales: compare shapes, not colours."),)
    return ()


def _swipe_legends(below: Legend, above: Legend, titles: tuple[str, str]) -> str:
    if below == above:
        return legend_html(below)
    return "".join(
        f'<div style="{SMALL}">{title}:</div>{legend_html(legend)}'
        for title, legend in zip(titles, (below, above), strict=True)
    )
