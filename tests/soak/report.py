"""The soak on one page, and as JSON."""

from __future__ import annotations

import html
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dissmodel_lab
from soak.counting import Counts
from soak.scenarios import NOT_PROVOKED, Told

_MOST = 20
"""Of each kind of fault that the page names."""
_WORDS = {
    "lost": "runs, notes or exports that began or were acknowledged, and are gone",
    "torn": "records, notes and exports that cannot be read",
    "missing": "outputs of completed runs that are not there",
    "wrong": "outputs with other bytes than record and ledger say",
    "changed": "inputs that changed",
    "left_files": "temporary files left",
    "left_processes": "processes left",
    "contradictions": "records that say something else than was told",
    "problems": "hangs, and errors that nobody expects",
}

_KEPT = (
    "A run that was killed before its first record was written has begun nothing. Half outputs and pictures of steps "
    "of runs that did not complete are kept on purpose. Temporary files are counted after the store has tidied up "
    "(reindex), and so much later as it waits for."
)


@dataclass
class Soak:
    """All of it."""

    told: Sequence[Told]
    seed: int
    asked_runs: int
    asked_kills: int
    began_at: str
    seconds: float

    @property
    def total(self) -> Counts:
        """All scenarios together."""
        total = Counts()
        for one in self.told:
            total.add(one.counts)
        return total

    @property
    def verdict(self) -> str:
        """One sentence."""
        total = self.total
        kills = total.kills.total()
        if total.n_faults():
            found = ", ".join(
                f"{len(items)} {name.replace('_', ' ')}" for name, items in total.faults().items() if items
            )
            return f"Not passed: {found}, in {total.announced:,} runs and {kills:,} kills."
        if total.announced < self.asked_runs or kills < self.asked_kills:
            only = f"only {total.announced:,} runs and {kills:,} kills"
            return f"Not passed: {only}, with nothing lost, torn or left over."
        return f"Passed: {total.announced:,} runs, {kills:,} kills, nothing lost, torn or left over."

    @property
    def is_passed(self) -> bool:
        """Tell whether it is as it should be."""
        return self.verdict.startswith("Passed")


def write(soak: Soak, folder: Path) -> tuple[Path, Path]:
    """Write ``soak.json`` and ``soak.html`` into a folder; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    data, page = folder / "soak.json", folder / "soak.html"
    data.write_text(json.dumps(as_json(soak), indent=2) + "\n")
    page.write_text(as_html(soak))
    return data, page


def as_json(soak: Soak) -> dict[str, object]:
    """Return all numbers and faults."""
    return {
        "verdict": soak.verdict,
        "passed": soak.is_passed,
        "seed": soak.seed,
        "asked": {"runs": soak.asked_runs, "kills": soak.asked_kills},
        "began_at": soak.began_at,
        "seconds": round(soak.seconds, 1),
        "versions": _versions(),
        "total": _numbers(soak.total),
        "scenarios": [
            {
                "name": one.name,
                "what": one.what,
                "seconds": round(one.seconds, 1),
                "not_done": one.not_done,
                **_numbers(one.counts),
            }
            for one in soak.told
        ],
        "not_provoked": list(NOT_PROVOKED),
    }


def _versions() -> dict[str, str]:
    return {
        "dissmodel_lab": dissmodel_lab.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def _numbers(counts: Counts) -> dict[str, object]:
    return {name: dict(value) if isinstance(value, dict) else value for name, value in vars(counts).items()}


def as_html(soak: Soak) -> str:
    """Return one page that needs nothing else."""
    total = soak.total
    done = [one for one in soak.told if not one.not_done]
    colour = "#1a7f37" if soak.is_passed else "#b3261e"
    versions = html.escape("; ".join(f"{name} {version}" for name, version in _versions().items()))
    parts = [
        f"<h1>Soak</h1><p class='verdict' style='border-color:{colour}'>{html.escape(soak.verdict)}</p>",
        f"<p>Seed {soak.seed}; began {html.escape(soak.began_at)}; took {soak.seconds / 60:.1f} min; {versions}.</p>",
        "<h2>What is counted</h2>",
        _table(("", "all scenarios"), [(words, f"{len(total.faults()[name])}") for name, words in _WORDS.items()]),
        "<h2>What happened</h2>",
        _table(
            ("Scenario", "Runs", "Kills", "Records", "Outputs intact", "Acknowledged, intact", "Faults", "Time [s]"),
            [*map(_row, done), _row(Told("All", "", soak.seconds, total))],
        ),
        "<dl>"
        + "".join(f"<dt>{html.escape(one.name)}</dt><dd>{html.escape(one.what)}</dd>" for one in done)
        + "</dl>",
        "<h2>What became of the runs</h2>",
        _table(
            ("Scenario", "Listed as", "Who asked was told", "Ended before their first record", "Evidence kept"),
            [
                (
                    one.name,
                    _tally(one.counts.statuses),
                    _tally(one.counts.told),
                    one.counts.never_began,
                    one.counts.kept,
                )
                for one in (*done, Told("All", "", 0.0, total))
            ],
        ),
        f"<p>{_KEPT}</p>",
        "<h2>How processes ended</h2>",
        _table(("By", "Times"), sorted(total.kills.items())),
        "<h2>Not done</h2><ul>",
        *(f"<li>{html.escape(one.name)}: {html.escape(one.not_done)}</li>" for one in soak.told if one.not_done),
        *(f"<li>{html.escape(text)}</li>" for text in NOT_PROVOKED),
        "</ul>",
        *_faults(soak),
    ]
    return _PAGE.format(body="\n".join(parts))


def _row(one: Told) -> tuple[object, ...]:
    counts = one.counts
    return (
        one.name,
        f"{counts.announced:,}",
        f"{counts.kills.total():,}",
        f"{counts.records:,}",
        f"{counts.outputs_intact:,} of {counts.outputs:,}",
        f"{counts.words_intact:,} of {counts.words:,}",
        counts.n_faults(),
        f"{one.seconds:.0f}",
    )


def _tally(counter: dict[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in sorted(counter.items()))


def _faults(soak: Soak) -> list[str]:
    parts = []
    for one in soak.told:
        for name, items in one.counts.faults().items():
            if items:
                shown = "".join(f"<li><code>{html.escape(item)}</code></li>" for item in items[:_MOST])
                parts.append(f"<h3>{html.escape(one.name)}: {len(items)} {_WORDS[name]}</h3><ul>{shown}</ul>")
    return ["<h2>Faults</h2>", *parts] if parts else []


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    def line(cells: Sequence[object], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<div class='wide'><table><thead>{line(head, 'th')}</thead><tbody>{body}</tbody></table></div>"


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Soak of dissmodel_lab</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 76em; padding: 0 1em; }}
.verdict {{ font-size: 1.3em; border-left: 6px solid; padding: .4em .8em; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; }}
th, td {{ padding: .25em .8em; border-bottom: 1px solid #8886; text-align: right; vertical-align: top; }}
th:first-child, td:first-child {{ text-align: left; }}
tbody tr:last-child {{ font-weight: 600; }}
dt {{ font-weight: 600; }}
code {{ overflow-wrap: anywhere; }}
</style></head><body>
{body}
</body></html>
"""
