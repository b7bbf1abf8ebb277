"""Goal 3a: SHA-256 of a large file that lies in the page cache: speed, and memory beside the file."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING

from machine import HERE, Rounds, in_rounds, last_line, whole_process
from table import Growth, Line, Part, compared

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = str(HERE / "hash_file.py")
GIBIBYTE = 1 << 30
LEAST = 1 << 20
"""The smallest file of which it is told how the time grows [bytes]."""
NAMES = {
    "in_ram": "hash in RAM (floor)",
    "file_digest": "hashlib.file_digest",
    "upstream": "dissmodel _sha256",
    "openssl": "openssl CLI",
    "sha256sum": "sha256sum",
}
OURS = {"file_sha256": "any file", "own_file_sha256": "a file just closed"}
COMMANDS = {"openssl": ["openssl", "dgst", "-sha256"], "sha256sum": ["sha256sum"]}
#: throughput, ours / theirs, at least
GOALS = {
    "file_sha256": {"in_ram": 0.8, "file_digest": 1.35, "upstream": 1.7, "openssl": 1.0},
    "own_file_sha256": {"in_ram": 0.93, "file_digest": 1.55, "upstream": 2.0, "openssl": 1.15},
}
MEMORY = {"file_sha256": 1.0, "own_file_sha256": 20.0}
"""Extra memory allowed [MiB]."""


def measure(folder: Path, answers: dict[str, str], *, quick: bool) -> Part:
    """Hash one file in every way."""
    folder.mkdir(parents=True)
    file = folder / "large.bin"
    _write(file, GIBIBYTE // 4 if quick else 2 * GIBIBYTE)
    size = file.stat().st_size
    missing = {name: "not on PATH" for name, command in COMMANDS.items() if not shutil.which(command[0])}
    ways = [way for way in (*OURS, *NAMES) if way not in missing]

    def one_round() -> dict[str, tuple[float, float]]:
        found = {way: _hash(way, file) for way in ways}
        return {way: (size / seconds / 1e9, extra) for way, (seconds, extra) in found.items()}

    one_round()  # the page cache, and what is being written back
    rounds = in_rounds(3 if quick else 5, one_round)
    growth = _growth(file)
    file.unlink()
    return Part([*_speed_lines(rounds, missing), *_memory_lines(rounds)], {"3a": rounds}, growth)


def _growth(file: Path) -> list[Growth]:
    """Hash ever smaller parts of the file."""
    found: dict[str, list[tuple[float, float, float]]] = {way: [] for way in (*OURS, "file_digest")}
    while (size := file.stat().st_size) >= LEAST:
        for way, rows in found.items():
            several = [_hash(way, file) for _ in range(3)]
            rows.append((size / 1e6, *(statistics.median(column) for column in zip(*several, strict=True))))
        os.truncate(file, size // 8)
    names = {**{way: f"SHA-256, {what}" for way, what in OURS.items()}, "file_digest": "hashlib.file_digest"}
    times = [
        Growth("3a", names[way], "MB", [(size, 1e3 * seconds) for size, seconds, _ in reversed(rows)])
        for way, rows in found.items()
    ]
    extra = {way: [(size, most) for size, _, most in reversed(found[way])] for way in OURS}
    return [*times, *(Growth("3a", f"extra memory of {way}", "MB", extra[way], "MiB") for way in OURS)]


def _write(file: Path, size: int) -> None:
    with file.open("wb") as target:
        for _ in range(size >> 20):
            target.write(os.urandom(1 << 20))
    os.sync()  # what is being written back would disturb the first rounds


def _hash(way: str, file: Path) -> tuple[float, float]:
    if way in COMMANDS:
        return whole_process([*COMMANDS[way], str(file)]), 0.0
    done = subprocess.run([sys.executable, SCRIPT, way, str(file)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(last_line(done.stderr))
    seconds, extra = json.loads(done.stdout)
    return seconds, extra


def _speed_lines(rounds: Rounds, missing: dict[str, str]) -> list[Line]:
    lines = []
    for way, what in OURS.items():
        figure, ours = f"SHA-256, {what} ({way})", [speed for speed, _ in rounds.column(way)]
        middle = statistics.median(ours)
        for peer, name in NAMES.items():
            goal = GOALS[way].get(peer)
            if peer in missing:
                lines.append(Line("3a", figure, middle, name, None, "GB/s", goal=goal, reason=missing[peer]))
                continue
            theirs = [speed for speed, _ in rounds.column(peer)]
            line = Line(
                "3a",
                figure,
                middle,
                name,
                statistics.median(theirs),
                "GB/s",
                **compared(ours, theirs),
                best=max(ours) / max(theirs),
                goal=goal,
                kind="at least",
            )
            lines.append(line)
    return lines


def _memory_lines(rounds: Rounds) -> list[Line]:
    upstream = max(extra for _, extra in rounds.column("upstream"))
    lines = []
    for way, most in MEMORY.items():
        ours = max(extra for _, extra in rounds.column(way))
        lines.append(Line("3a", f"extra memory of {way}", ours, "", None, "MiB", goal=most))
        lines.append(Line("3a", f"extra memory of {way}", ours, NAMES["upstream"], upstream, "MiB"))
    return lines
