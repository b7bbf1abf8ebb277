"""What runs say of themselves outside of their store: a line each, written in one piece, never changed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Said:
    """All that was said of one run."""

    sha256: str = ""
    """Of its output, as it is to be."""
    store: str = ""
    has_begun: bool = False
    """Its model was reached: its record is on disk."""
    told: str = ""
    """The status that who asked for it was told."""
    words: list[str] = field(default_factory=list)
    """Acknowledged afterwards: notes, exports."""


class Ledger:
    """A file outside of the store."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def announce(self, run_id: str, sha256: str, store: str = "") -> None:
        """Before a run begins."""
        self._tell({"run": run_id, "sha256": sha256, "store": store})

    def begun(self, run_id: str, sha256: str) -> None:
        """By the model itself, in its first phase."""
        self._tell({"run": run_id, "begun": True, "sha256": sha256})

    def told(self, run_id: str, status: str) -> None:
        """When the run is over and somebody was told so."""
        self._tell({"run": run_id, "told": status})

    def word(self, run_id: str, word: str) -> None:
        """When something that was done with a run afterwards is acknowledged."""
        self._tell({"run": run_id, "word": word})

    def kill(self, how: str) -> None:
        """When a process was killed."""
        self._tell({"kill": how})

    def _tell(self, line: dict[str, object]) -> None:
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(file, json.dumps(line).encode() + b"\n")
        finally:
            os.close(file)

    def lines(self) -> Iterator[dict[str, str]]:
        """Return everything that was said."""
        if self.path.exists():
            yield from map(json.loads, self.path.read_text().splitlines())

    def runs(self) -> dict[str, Said]:
        """Return what was said of each run."""
        found: dict[str, Said] = {}
        for line in self.lines():
            if "run" not in line:
                continue
            said = found.setdefault(line["run"], Said())
            said.sha256 = line.get("sha256", said.sha256)
            said.store = line.get("store", said.store)
            said.has_begun = bool(line.get("begun", said.has_begun))
            said.told = line.get("told", said.told)
            if "word" in line:
                said.words.append(line["word"])
        return found

    def process(self, number: int) -> None:
        """When a process was forked."""
        self._tell({"process": number})

    def processes(self) -> set[int]:
        """Return the processes that were forked."""
        return {int(line["process"]) for line in self.lines() if "process" in line}

    def kills(self) -> list[str]:
        """Return how processes were killed."""
        return [line["kill"] for line in self.lines() if "kill" in line]
