"""
``make bench``: the figures that stand as goals, beside the floor and the peers, all in one run.

Ratios are what counts: a machine's milliseconds are its own. Peers take turns in rounds, a figure is a
median, and a ratio is the median of the rounds' ratios, beside the least and the largest of them. What other
processes took meanwhile is said.

``--quick`` is for seeing whether everything works: a few minutes, too few rounds and too small files to quote.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

import frames
import hashing
import imports
import live
import observe
import page
import peers
import rasters
import recorded
import store
import sweeps
import vectors
from table import Part

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
    """Measure what was asked for and print the page; 1 when a part could not be measured."""
    options = _options()
    # Without bytecode every start would compile us anew, but not the peers, which pip has compiled.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    report = page.new_report(peers.prepare(), quick=options.quick)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder, ignore_cleanup_errors=True) as folder:
        for name in options.only:
            print(f"measuring: {name} ...", file=sys.stderr)
            report.parts[name] = _measured(name, Path(folder, name), report)
            print(f"  {report.parts[name].minutes:.1f} minutes", file=sys.stderr)
            if options.json:  # after each: an hour's figures outlive a power cut
                options.json.write_text(json.dumps(page.raw(report), indent=1), encoding="utf-8")
    print(page.as_text(report))
    if options.page:
        written = page.as_html(report) if options.page.suffix == ".html" else page.as_markdown(report)
        options.page.write_text(written, encoding="utf-8")
    return 1 if any(part.problem for part in report.parts.values()) else 0


def _measured(name: str, folder: Path, report: page.Report) -> page.Measured:
    began, found, problem = time.monotonic(), Part([], {}), ""
    try:
        found = PARTS[name].measure(folder, report.peers, quick=report.is_quick)
    except Exception:  # the other parts are still worth their minutes
        problem = traceback.format_exc()
        print(problem, file=sys.stderr)
    return page.Measured(found, (time.monotonic() - began) / 60, problem)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Print the benchmark figures beside the peers'.")
    parser.add_argument("--only", type=_parts, default=list(PARTS), help=f"of {','.join(PARTS)}; all when not given")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller files: to see whether it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the raw figures go")
    parser.add_argument("--page", type=Path, metavar="FILE", help="where the page goes: .md or .html")
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


if __name__ == "__main__":
    sys.exit(main())
