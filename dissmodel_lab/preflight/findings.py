"""What a look before the run found, in words: one sentence what, one sentence what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from dissmodel_lab.errors import shown
from dissmodel_lab.language import changed, message
from dissmodel_lab.redaction import redact_text

if TYPE_CHECKING:
    from collections.abc import Iterable

Level = Literal["error", "warning"]

#: More names than this are counted, not listed.
MAX_LISTED = 20


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that a person should know before the run."""

    level: Level
    """``error``: the run would fail or destroy something. ``warning``: its result may not be what is meant."""
    rule: str
    """The rule's name, such as ``missing-band``: the same for every finding of its kind."""
    what: str
    """One sentence: what was found, with the value."""
    do: str
    """One sentence: what is allowed, what to do."""


def error(rule: str, what: str, do: str) -> Finding:
    """
    Make a finding that would stop the run.

    Examples
    --------
    >>> error("missing-input", "The input 'a.tif' does not exist.", "Check the path.").level
    'error'
    """
    return Finding(level="error", rule=rule, what=_clean(what), do=_clean(do))


def warning(rule: str, what: str, do: str) -> Finding:
    """
    Make a finding that lets the run go on.

    Examples
    --------
    >>> warning("no-crs", "a.tif has no CRS.", "Write it in.").level
    'warning'
    """
    return Finding(level="warning", rule=rule, what=_clean(what), do=_clean(do))


def findings_text(findings: Iterable[Finding]) -> str:
    """
    Say findings in a terminal: one line each, errors first; empty when there are none.

    Examples
    --------
    >>> print(findings_text([warning("no-crs", "a.tif has no CRS.", "Write it in.")]))
    warning: a.tif has no CRS. Write it in. (no-crs)
    """
    ordered = sorted(findings, key=lambda finding: finding.level != "error")
    return "\n".join(f"{f.level}: {f.what} {f.do} ({f.rule})" for f in ordered)


def listed(names: Iterable[Any]) -> str:
    """
    List names, at most twenty.

    Examples
    --------
    >>> listed(["a", "b"]), listed(range(23))[-15:]
    ('a, b', '19 and 3 others')
    """
    every = [shown(name) for name in names]
    rest = len(every) - MAX_LISTED
    others = message(" and {rest:,} other{words}", rest=rest, words="s" if rest > 1 else "") if rest > 0 else ""
    return ", ".join(every[:MAX_LISTED]) + others if every else "none"


def _clean(sentence: str) -> str:
    """Hide secrets, and keep a library's message, which may hold line breaks, on one line."""
    return changed(redact_text(sentence), _one_line)


def _one_line(text: str) -> str:
    inner = " ".join(text.split())
    line = f"{' ' * text[:1].isspace()}{inner}{' ' * text[-1:].isspace()}" if inner else inner
    return "".join(char for char in line if char.isprintable())
