"""``python tests/soak/run.py --runs 10000 --kills 1000 --seed 1 --report FOLDER``; ``--quick`` takes about a minute.

Ends with 0 when nothing was lost, torn or left behind, and there were as many runs and kills as were asked for.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from soak import report
from soak.scenarios import ALL, Scenario, Told

_FULL_KILLS = 1000
"""The sizes of the scenarios are those of a soak with so many kills."""
_QUICK = 0.02


def soak(
    scenarios: Sequence[Scenario], folder: Path, *, seed: int, scale: float, runs: int = 0, kills: int = 0
) -> Iterator[Told]:
    """Let each scenario happen; the first one again until there were as many runs and kills as asked for."""
    luck = random.Random(seed)
    n_runs = n_kills = 0
    for scenario in scenarios:
        told = scenario.run(folder, luck.randrange(2**30), max(scenario.floor, round(scenario.size * scale)))
        n_runs, n_kills = n_runs + told.counts.announced, n_kills + told.counts.kills.total()
        yield told
    for number in range(2, 100):
        if n_runs >= runs and n_kills >= kills:
            return
        size = max(scenarios[0].floor, kills - n_kills, (runs - n_runs) // 10)
        again = Scenario(f"{scenarios[0].name} {number}", scenarios[0].what, scenarios[0].do, size)
        told = again.run(folder, luck.randrange(2**30), size)
        n_runs, n_kills = n_runs + told.counts.announced, n_kills + told.counts.kills.total()
        yield told


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=_FULL_KILLS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path, default=Path("test-artifacts/soak"), help="folder of the report")
    parser.add_argument("--quick", action="store_true", help="a little of everything, in about a minute")
    parser.add_argument("--only", default="", help="scenarios whose name begins so")
    asked = parser.parse_args(arguments)
    scale = _QUICK if asked.quick else asked.kills / _FULL_KILLS
    runs, kills = (0, 0) if asked.quick or asked.only else (asked.runs, asked.kills)
    chosen = [scenario for scenario in ALL if scenario.name.startswith(asked.only)]
    began, began_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    folder, told = Path(tempfile.mkdtemp(prefix="soak-")), []
    for one in soak(chosen, folder, seed=asked.seed, scale=scale, runs=runs, kills=kills):
        told.append(one)
        _print(one)
    whole = report.Soak(told, asked.seed, runs, kills, began_at, time.monotonic() - began)
    data, page = report.write(whole, asked.report)
    print(f"{whole.verdict} {whole.seconds / 60:.1f} min. {page} {data}")
    if whole.is_passed:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"What is not as it should be lies in {folder}.")
    return 0 if whole.is_passed else 1


def _print(one: Told) -> None:
    counts = one.counts
    said = one.not_done and f"not done: {one.not_done}"
    numbers = f"{counts.announced:6,} runs {counts.kills.total():5,} kills {counts.n_faults():4} faults"
    said = said or f"{numbers} {one.seconds:6.0f} s"
    print(f"{one.name:20} {said}", flush=True)
    for name, items in counts.faults().items():
        for item in items[:3]:
            print(f"    {name}: {item[:400]}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
