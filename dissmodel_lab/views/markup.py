"""Untrusted text on its way into HTML: escaped, without signs that turn the page around, and not too long."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

from dissmodel_lab.language import say
from dissmodel_lab.plain import printable

if TYPE_CHECKING:
    from collections.abc import Callable

# What Jupyter's MathJax takes for the begin of mathematics, in every output and in most widgets.
_MATHS = re.compile(r"\$|\\(?=[(\[]|(?:begin|ref|eqref)\b)")


def escape(text: str) -> str:
    r"""
    Escape a text for HTML; signs that would turn the order of letters around are shown by their code.

    Signs that begin mathematics stand in elements of their own, so that Jupyter doesn't typeset a name or a log:
    what costs "US$ 5" today and "US$ 6" tomorrow is no formula, and a formula may hold a link.

    Examples
    --------
    >>> escape("<b>" + chr(0x202E) + "fit.exe")
    '&lt;b&gt;\\u202efit.exe'
    >>> escape("US$ 5")
    'US<span>&#36;</span> 5'
    """
    return _MATHS.sub(_in_an_element, escape_attribute(text))


def escape_attribute(text: str) -> str:
    """
    Escape a text for the value of an attribute, between quotes: no mathematics is looked for there.

    Examples
    --------
    >>> escape_attribute('US$ "5"')
    'US$ &quot;5&quot;'
    """
    return html.escape(printable(text))


def _in_an_element(sign: re.Match[str]) -> str:
    # As a character reference: where a label is HTML, mathematics is looked for in its source, too.
    return f"<span>&#{ord(sign[0])};</span>"


def label_traits(text: str) -> dict[str, Any]:
    """
    Return the traits of a widget that make an untrusted text its label, as a text.

    Labels are texts to ipywidgets, but mathematics is typeset in them: only where it would be, they are HTML.

    Examples
    --------
    >>> label_traits("depth [m]"), label_traits("a $x$ <b>")["description"]
    ({'description': 'depth [m]'}, 'a <span>&#36;</span>x<span>&#36;</span> &lt;b&gt;')
    """
    escaped = escape(text)
    is_maths = "<span>" in escaped
    return {"description": escaped, "description_allow_html": True} if is_maths else {"description": text}


def escape_short(text: str, limit: int, escape: Callable[[str], str] = escape) -> str:
    """
    Escape a text, cut where its HTML would be longer than a limit; how much is left out is said.

    Parameters
    ----------
    text : str
        Untrusted.
    limit : int
        Longest HTML, without the words on what is left out [bytes].
    escape : callable
        :func:`escape_attribute` for the value of an attribute.

    Examples
    --------
    >>> escape_short("<" * 10, 12)
    '&lt;&lt;&lt; ... (7 more characters)'
    """
    kept = text[:limit]
    while (size := len(escape(kept).encode())) > limit:
        kept = kept[: min(len(kept) - 1, len(kept) * limit // size)]
    left_out = len(text) - len(kept)
    return f"{escape(kept)} {say('... ({n:,} more characters)', n=left_out)}" if left_out else escape(kept)


def scrolling(table: str, name: str) -> str:
    """
    Put a wide table into a box that scrolls sideways, by keyboard too.

    Parameters
    ----------
    table : str
        HTML.
    name : str
        What screen readers call it; escaped. Notebooks that are not trusted lose it, and the tab stop.

    Examples
    --------
    >>> scrolling("<table></table>", "Runs")
    '<div role="region" aria-label="Runs" tabindex="0" style="overflow:auto;max-width:100%"><table></table></div>'
    """
    return (
        f'<div role="region" aria-label="{escape_short(name, 400, escape_attribute)}" tabindex="0" '
        f'style="overflow:auto;max-width:100%">{table}</div>'
    )
