"""
``make bench``: the figures that stand as goals, beside the floor and the peers, all in one run.

Ratios are what counts: a machine's milliseconds are its own. Peers take turns in rounds, a figure is a
median, and a ratio is the median of the rounds' ratios. What other processes took meanwhile is said.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import frames
import hashing
import imports
import live
import observe
import peers
import rasters
import recorded
import store
import sweeps
import vectors
from table import HOLDS, MISSES, Part, table

PARTS = {
    "recorded": recorded,
    "import": imports,
    "hash": hashing,
    "live": live,
    "frames": frames,
    "observe": observe,
    "store": store,
    "sweeps": sweeps,
    "rasters": rasters,
    "vectors": vectors,
}


def main() -> int:
    """Measure what was asked for and print the table; 1 when a part could not be measured."""
    options = _options()
    # Without bytecode every start would compile us anew, but not the peers, which pip has compiled.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    answers = peers.prepare()
    parts: dict[str, Part] = {}
    broken: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder, ignore_cleanup_errors=True) as folder:
        for name in options.only:
            print(f"measuring: {name} ...", file=sys.stderr)
            try:
                parts[name] = PARTS[name].measure(Path(folder, name), answers, quick=options.quick)
            except Exception:  # the other parts are still worth their minutes
                broken[name] = traceback.format_exc()
    lines = [line for part in parts.values() for line in part.lines]
    facts = _facts(answers, parts, quick=options.quick)
    print("\n".join(facts), table(lines), sep="\n\n", end="\n\n")
    missed = [line for line in lines if line.verdict == MISSES]
    print(f"{sum(line.verdict == HOLDS for line in lines)} goals hold, {len(missed)} missed.")
    if options.json:
        options.json.write_text(json.dumps(_raw(facts, parts), indent=1), encoding="utf-8")
    for name, problem in broken.items():
        print(f"\nNOT MEASURED: {name}\n{problem}")
    return 1 if broken else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Print the benchmark figures beside the peers'.")
    parser.add_argument("--only", type=_parts, default=list(PARTS), help=f"of {','.join(PARTS)}; all when not given")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, a smaller file: to see whether it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the raw figures go")
    parser.add_argument(
        "--folder", type=Path, default=peers.FOLDER, help="where files go meanwhile (6 GB); on a disk"
    )
    return parser.parse_args()


def _parts(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(PARTS)}")
    return names


def _facts(answers: dict[str, str], parts: dict[str, Part], *, quick: bool) -> list[str]:
    packages = ", ".join(f"{name} {answer[2:]}" for name, answer in answers.items() if answer.startswith("=="))
    ours = ", ".join(f"{name} {version(name)}" for name in ("dissmodel_lab", "dissmodel", "ipykernel", "ipywidgets"))
    notes = [f"{what}: {rounds.note}" for part in parts.values() for what, rounds in part.rounds.items()]
    return [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC{', --quick: too few rounds to quote' if quick else ''}",
        f"{platform.platform()}, {os.cpu_count()} processors, Python {platform.python_version()}",
        f"{ours}; peers: {packages or 'none available'}",
        *notes,
    ]


def _raw(facts: list[str], parts: dict[str, Part]) -> dict[str, Any]:
    return {
        "facts": facts,
        "lines": [
            {**vars(line), "measured": line.measured, "verdict": line.verdict}
            for part in parts.values()
            for line in part.lines
        ],
        "rounds": {what: vars(rounds) for part in parts.values() for what, rounds in part.rounds.items()},
    }


if __name__ == "__main__":
    sys.exit(main())
