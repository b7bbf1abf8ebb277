"""Ten thousand damaged inputs: ``python tests/fuzz/run.py --inputs 10000 --seed 1``.

Each must end within 10 s in a picture or in a clear message. Two processes share the inputs, and give them to
forked children with 1 GB of memory each. Prints a table; ends with 1 when any input crashed, hung, or raised
something else. The same numbers make the same inputs.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from fuzz import isolation, targets
from fuzz.seeds import Seed, all_seeds

WORKERS = 2
#: So many inputs of one kind are one job.
PIECE = 100


def shares(seeds: Sequence[Seed], inputs: int) -> list[tuple[int, range]]:
    """Spread inputs evenly over the sound files: (which, its numbers)."""
    each, more = divmod(inputs, len(seeds))
    return [(i, range(each + (i < more))) for i in range(len(seeds))]


def run(seed: Seed, numbers: Sequence[int], run_number: int) -> list[isolation.Outcome]:
    """Do some inputs of one kind."""
    root = Path(tempfile.mkdtemp(prefix="fuzz-"))
    _load()
    try:
        return isolation.run_all(
            numbers,
            lambda number: targets.outcome(
                seed.kind,
                targets.prepared(seed, number, run_number, root / f"{seed.kind.replace(' ', '-')}-{number}"),
            ),
        )
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _load() -> None:
    """Import before forking, so that a child costs milliseconds."""
    import geopandas
    import pyogrio
    import rasterio
    import xarray
    import zarr

    from dissmodel_lab.maps import dimensions, place, vector
    from dissmodel_lab.maps.styles import read_style
    from dissmodel_lab.preflight import datasets

    assert all((geopandas, pyogrio, rasterio, xarray, zarr, dimensions, place, vector, read_style, datasets))


def table(seeds: Sequence[Seed], found: dict[str, list[isolation.Outcome]]) -> str:
    """Format the outcomes, a line for each kind."""
    lines = [
        f"{'kind':<22}{'inputs':>7}{'picture':>9}{'refused':>9}{'wrong':>7}{'crash':>7}{'hang':>6}{'slowest [s]':>13}"
    ]
    total: Counter[str] = Counter()
    for kind in dict.fromkeys(seed.kind for seed in seeds):
        outcomes = found.get(kind, [])
        ended = Counter(one.ended for one in outcomes)
        total.update(ended)
        slowest = max((one.seconds for one in outcomes), default=0)
        lines.append(_line(kind, len(outcomes), ended, slowest))
    slowest = max((one.seconds for outcomes in found.values() for one in outcomes), default=0)
    return "\n".join([*lines, _line("all", total.total(), total, slowest)])


def _line(kind: str, count: int, ended: Counter[str], slowest: float) -> str:
    numbers = "".join(
        f"{ended[how]:>{width}}"
        for how, width in zip(("picture", "refused", "wrong", "crash", "hang"), (9, 9, 7, 7, 6), strict=True)
    )
    return f"{kind:<22}{count:>7}{numbers}{slowest:>13.2f}"


def faults(found: dict[str, list[isolation.Outcome]]) -> list[str]:
    """What must not be: one line for each."""
    return [
        f"{kind} {one.number}: {one.ended}: {one.text}"
        for kind, outcomes in found.items()
        for one in outcomes
        if one.ended in {"wrong", "crash", "hang"}
    ]


def run_all(
    seeds: Sequence[Seed], inputs: int, run_number: int, workers: int = WORKERS
) -> dict[str, list[isolation.Outcome]]:
    """Do all inputs in worker processes."""
    found: dict[str, list[isolation.Outcome]] = {}
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = [
            (seeds[which].kind, pool.submit(run, seeds[which], numbers[start : start + PIECE], run_number))
            for which, numbers in shares(seeds, inputs)
            for start in range(0, len(numbers), PIECE)
        ]
        for kind, job in jobs:
            found.setdefault(kind, []).extend(job.result())
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Open damaged inputs.")
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="kinds that begin so, separated by commas")
    given = parser.parse_args()
    seeds = [seed for seed in all_seeds() if seed.kind.startswith(tuple(given.only.split(",")))]
    began = time.monotonic()
    found = run_all(seeds, given.inputs, given.seed)
    print(table(seeds, found))
    wrong = faults(found)
    print(f"{time.monotonic() - began:.0f} s, {len(wrong)} faults")
    print("\n".join(wrong[:100]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
