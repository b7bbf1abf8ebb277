"""The page: what was measured, in sections, as text, Markdown, HTML, and as raw figures."""

from __future__ import annotations

import html
import os
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil
from table import GROWTH_HEADINGS, HEADINGS, HOLDS, MISSES, Line, Part, set_in_columns

if TYPE_CHECKING:
    from collections.abc import Iterable

TITLES = {
    "recorded": "A recorded run",
    "import": "Import, first run, first panel",
    "hash": "Hashing",
    "live": "The live panel",
    "frames": "Live maps and kept frames",
    "observe": "Watching a model of dissmodel",
    "store": "A store of many records",
    "sweeps": "Sweeps",
    "rasters": "Raster previews",
    "vectors": "Vector previews",
}
MEMORY_UNIT = "MiB"
"""Figures in this unit stand together, in a section of their own."""
OURS = ("dissmodel_lab", "dissmodel", "ipykernel", "ipywidgets")
EXPLANATION = (
    "Ratio: ours to theirs, the median of the rounds' ratios; spread: the least and the largest of them; (best): of "
    "the best of each. Exponent: 0 does not grow with the size, 1 grows in proportion."
)
WIDEST = 14
"""Reasons why a peer is missing may be longer; they stand alone [characters]."""


class Measured(NamedTuple):
    """What one part found."""

    part: Part
    minutes: float
    problem: str = ""
    """Why it could not be measured; empty when it could."""


@dataclass(frozen=True)
class Report:
    """All that was measured at once."""

    date: datetime
    is_quick: bool
    machine: dict[str, Any]
    """Processors, memory [GiB], system and Python, in words that name no host."""
    versions: dict[str, str]
    peers: dict[str, str]
    """A version behind ``==``, or why it is not available."""
    parts: dict[str, Measured] = field(default_factory=dict)

    @property
    def lines(self) -> list[Line]:
        """Those of all parts."""
        return [line for measured in self.parts.values() for line in measured.part.lines]


class Section(NamedTuple):
    """A heading, what is said under it, and a table."""

    title: str
    notes: list[str]
    rows: list[tuple[str, ...]]
    """The first one is the headings; empty when there is no table."""


def new_report(peers: dict[str, str], *, quick: bool) -> Report:
    """Return the report of this moment on this machine."""
    machine = {
        "processors": os.cpu_count(),
        "memory": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
    return Report(datetime.now(UTC), quick, machine, {name: version(name) for name in OURS}, peers)


def machine_in_words(machine: dict[str, Any]) -> str:
    """Say what a machine is."""
    facts = (f"{machine['processors']} processors", f"{machine['memory']} GiB of memory", machine["system"])
    return f"{', '.join(facts)}, Python {machine['python']}"


def as_text(report: Report) -> str:
    """Return the page for a terminal."""
    parts = ["\n".join(_head(report))]
    for section in _sections(report):
        table = set_in_columns(section.rows, widest=WIDEST) if section.rows else ""
        parts.append("\n".join([section.title.upper(), *section.notes, *([table] if table else [])]))
    return "\n\n".join(parts)


def as_markdown(report: Report) -> str:
    """Return the page in Markdown."""
    parts = ["# Benchmarks", *_head(report)]
    for section in _sections(report):
        parts += [f"## {section.title}", *section.notes]
        parts += [markdown_table(section.rows)] if section.rows else []
    return "\n\n".join(parts) + "\n"


def as_html(report: Report) -> str:
    """Return the page in HTML."""
    parts = ["<h1>Benchmarks</h1>", *_paragraphs(_head(report))]
    for section in _sections(report):
        parts += [f"<h2>{html.escape(section.title)}</h2>", *_paragraphs(section.notes)]
        parts += [_html_table(section.rows)] if section.rows else []
    style = "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse}td,th{padding:.2em .6em;"
    style += "border-bottom:1px solid #ccc;text-align:left;font-variant-numeric:tabular-nums}"
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Benchmarks</title>'
        f"<style>{style}</style></head><body>\n{body}\n</body></html>\n"
    )


def raw(report: Report) -> dict[str, Any]:
    """Return everything, for JSON."""
    return {
        "date": report.date.strftime("%Y-%m-%d %H:%M UTC"),
        "quick": report.is_quick,
        "machine": report.machine,
        "versions": report.versions,
        "peers": report.peers,
        "parts": {name: _raw_part(measured) for name, measured in report.parts.items()},
    }


def _raw_part(measured: Measured) -> dict[str, Any]:
    part = measured.part
    return {
        "minutes": round(measured.minutes, 2),
        "problem": measured.problem,
        "lines": [{**vars(line), "measured": line.measured, "verdict": line.verdict} for line in part.lines],
        "growth": [{**vars(one), "exponent": one.exponent} for one in part.growth],
        "rounds": {what: {**vars(rounds), "note": rounds.note} for what, rounds in part.rounds.items()},
    }


def markdown_table(rows: list[tuple[str, ...]]) -> str:
    """Return a table in Markdown, the first row its headings."""
    texts = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    lines = ["| " + " | ".join(row) + " |" for row in texts]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def _html_table(rows: list[tuple[str, ...]]) -> str:
    def row_of(cells: Iterable[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return "\n".join(["<table>", row_of(rows[0], "th"), *(row_of(row, "td") for row in rows[1:]), "</table>"])


def _paragraphs(texts: Iterable[str]) -> list[str]:
    return [f"<p>{html.escape(text)}</p>" for text in texts]


def _head(report: Report) -> list[str]:
    lines = report.lines
    held, missed = (sum(line.verdict == verdict for line in lines) for verdict in (HOLDS, MISSES))
    versions = ", ".join(f"{name} {number}" for name, number in report.versions.items())
    there = ", ".join(f"{name} {said[2:]}" for name, said in report.peers.items() if said.startswith("=="))
    gone = "".join(f"; {name}: {said}" for name, said in report.peers.items() if not said.startswith("=="))
    minutes = ", ".join(f"{name} {measured.minutes:.1f}" for name, measured in report.parts.items())
    total = sum(measured.minutes for measured in report.parts.values())
    return [
        f"{report.date:%Y-%m-%d %H:%M} UTC{', --quick: too few rounds to quote' if report.is_quick else ''}.",
        f"{machine_in_words(report.machine)}; {versions}.",
        f"Peers: {there or 'none available'}{gone}.",
        f"{held} goals hold, {missed} missed.",
        f"Minutes: {minutes}; {total:.1f} in all.",
        EXPLANATION,
    ]


def _sections(report: Report) -> list[Section]:
    sections = []
    for name, measured in report.parts.items():
        notes = [f"{what}: {rounds.note}" for what, rounds in measured.part.rounds.items()]
        problem = [f"NOT MEASURED: {measured.problem.strip().splitlines()[-1]}"] if measured.problem else []
        lines = [line for line in measured.part.lines if line.unit != MEMORY_UNIT]
        rows = [HEADINGS, *(line.cells() for line in lines)] if lines else []
        sections.append(Section(TITLES[name], [*problem, *(["; ".join(notes) + "."] if notes else [])], rows))
    memory = [line.cells() for line in report.lines if line.unit == MEMORY_UNIT]
    growth = [one.cells() for measured in report.parts.values() for one in measured.part.growth]
    if memory:
        sections.append(Section("Memory", [], [HEADINGS, *memory]))
    if growth:
        sections.append(Section("How it grows", [], [GROWTH_HEADINGS, *growth]))
    return sections
