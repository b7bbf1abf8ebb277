"""Untrusted text on its way into HTML: escaped, without signs that turn the page around, and not too long."""

from __future__ import annotations

import html

from dissmodel_lab.plain import printable


def escape(text: str) -> str:
    r"""
    Escape a text for HTML; signs that would turn the order of letters around are shown by their code.

    Examples
    --------
    >>> escape("<b>" + chr(0x202E) + "fit.exe")
    '&lt;b&gt;\\u202efit.exe'
    """
    return html.escape(printable(text))


def escape_short(text: str, limit: int) -> str:
    """
    Escape a text, cut where its HTML would be longer than a limit; how much is left out is said.

    Parameters
    ----------
    text : str
        Untrusted.
    limit : int
        Longest HTML, without the words on what is left out [bytes].

    Examples
    --------
    >>> escape_short("<" * 10, 12)
    '&lt;&lt;&lt; ... (7 more characters)'
    """
    kept = text[:limit]
    while (size := len(escape(kept).encode())) > limit:
        kept = kept[: min(len(kept) - 1, len(kept) * limit // size)]
    left_out = len(text) - len(kept)
    return escape(kept) + (f" ... ({left_out:,} more characters)" if left_out else "")
