"""Goal 8: what the live panel takes from the loop it shows, in a real kernel with a client that drains it."""

from __future__ import annotations

import json
import statistics
from typing import TYPE_CHECKING, Any

from kernel import DISPLAYS, Kernel
from machine import HERE, Rounds, in_rounds, median_ratio
from table import Growth, Line, Part

if TYPE_CHECKING:
    from pathlib import Path

    from kernel import Cell

SETUP = f"""
import json, sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, {str(HERE)!r})
import live_loop
"""
LOOPS = ("bare", "ours", "every_step")


def measure(folder: Path, answers: dict[str, str], *, quick: bool) -> Part:
    """Time the loop in each way."""
    folder.mkdir(parents=True)
    n_steps = 1500 if quick else 5000
    with Kernel(folder) as kernel:

        def one_round() -> dict[str, Any]:
            kernel.run("live_loop.calibrate()")
            return {**{loop: _loop(kernel, loop, n_steps) for loop in LOOPS}, **_call(kernel, "check_cost()")[0]}

        kernel.run(SETUP)
        _call(kernel, "ours(50)")  # the first panel imports what it needs
        rounds = in_rounds(3 if quick else 7, one_round)
        sizes = [n_steps // 9, n_steps // 3, n_steps]
        shares = [statistics.median(_loop(kernel, "ours", size)["share"] for _ in range(3)) for size in sizes]
    growth = Growth("8", "share of a loop of 1 ms steps spent in updates", "steps", _pairs(sizes, shares), "%")
    return Part(_lines(rounds), {"8": rounds}, [growth])


def _pairs(sizes: list[int], values: list[float]) -> list[tuple[float, float]]:
    return [(float(size), value) for size, value in zip(sizes, values, strict=True)]


def _loop(kernel: Kernel, loop: str, n_steps: int) -> dict[str, float]:
    figures, cell = _call(kernel, f"{loop}({n_steps})")
    return {
        **figures,
        "messages_a_second": cell.count_until(figures["ended"], figures["loop"]) / figures["loop"],
        "share": 100 * figures.get("spent", 0.0) / figures["loop"],
        "shows_the_end": _shows_the_end(cell),
    }


def _call(kernel: Kernel, call: str) -> tuple[dict[str, float], Cell]:
    cell = kernel.run(f"print('\\n' + json.dumps(live_loop.{call}))")
    figures: dict[str, float] = json.loads(cell.text.strip().splitlines()[-1])
    return figures, cell


def _shows_the_end(cell: Cell) -> bool:
    shown = [message["content"]["data"] for message in cell.messages if message["msg_type"] in DISPLAYS]
    return any("completed" in data.get("text/html", "") for data in shown)


def _lines(rounds: Rounds) -> list[Line]:
    ours, theirs, bare = (rounds.column(loop) for loop in ("ours", "every_step", "bare"))
    peer, share = "3 widgets, every step", "share of a loop of 1 ms steps spent in updates"
    slower = {
        loop: 100 * (median_ratio([one["loop"] for one in found], [one["loop"] for one in bare]) - 1)
        for loop, found in (("ours", ours), ("theirs", theirs))
    }
    unended = float(sum(not one["shows_the_end"] for one in ours))
    return [
        Line("8", share, _middle(ours, "share"), "", None, "%", goal=1),
        Line("8", share, _middle(ours, "share"), peer, _middle(theirs, "share"), "%"),
        Line("8", "the same by the clock: loop longer than bare", slower["ours"], peer, slower["theirs"], "%"),
        Line("8", "messages a second", _middle(ours, "messages_a_second"), "", None, "/s", goal=5),
        Line(
            "8",
            "messages a second",
            _middle(ours, "messages_a_second"),
            peer,
            _middle(theirs, "messages_a_second"),
            "/s",
        ),
        Line(
            "8",
            "one report_step that is not due",
            statistics.median(rounds.column("check")) * 1e6,
            "",
            None,
            "us",
            goal=2,
        ),
        Line("8", "runs whose final state was not shown", unended, "", None, "runs", goal=0),
    ]


def _middle(found: list[dict[str, float]], name: str) -> float:
    return statistics.median(one[name] for one in found)
