"""The folder of a scenario, and the processes that work in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import psutil

from soak.faults import library
from soak.ledger import Ledger
from soak.models import LEDGER_NAME

TESTS = Path(__file__).parents[1]
MARK_NAME = "DISSMODEL_LAB_SOAK_MARK"
_PATIENCE = 20.0
"""How long a process may take to end by itself after what it worked for is gone [s]."""


class Place:
    """
    One scenario's own; all that the lab writes is under ``world``.

    Parameters
    ----------
    folder : Path
        Where; made when it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.world = self.folder / "world"
        self.store = self.world / "store"
        self.outputs = self.world / "outputs"
        self.cache = self.world / "cache"
        self.tmp = self.world / "tmp"
        self.inputs = self.folder / "inputs"
        self.source = self.inputs / "input.bin"
        self.ledger = Ledger(self.folder / "ledger.jsonl")
        self.mark = uuid4().hex
        self.began = time.time() - 1
        for made in (self.store, self.outputs, self.cache, self.tmp, self.inputs):
            made.mkdir(parents=True, exist_ok=True)
        self.given = b"an input that no run may change\n" * 8
        if not self.source.exists():
            self.source.write_bytes(self.given)

    def environment(self, *, with_faults: bool = False) -> dict[str, str]:
        """Return the surroundings of a process that works here."""
        own = {
            LEDGER_NAME: str(self.ledger.path),
            MARK_NAME: self.mark,
            "TMPDIR": str(self.tmp),
            "DISSMODEL_LAB_CACHE": str(self.cache),
            "DISSMODEL_LAB_LANG": "en",
            "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
        }
        found = library() if with_faults else None
        return {**os.environ, **own, **({"LD_PRELOAD": str(found)} if found else {})}

    def start(self, work: str, *, with_faults: bool = False, **options: object) -> subprocess.Popen[str]:
        """Start a warm process that does some work, see :mod:`soak.warm`."""
        command = [sys.executable, str(TESTS / "soak" / "warm.py"), work, str(self.folder), json.dumps(options)]
        return subprocess.Popen(
            command,
            cwd=self.world,
            env=self.environment(with_faults=with_faults),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def work(self, work: str, *, with_faults: bool = False, seconds: float = 1200, **options: object) -> list[str]:
        """Do some work in a warm process; return the problems that it told."""
        return answer(self.start(work, with_faults=with_faults, **options), work, seconds)

    def processes(self) -> list[psutil.Process]:
        """Return the processes that work here now, this one left out."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK_NAME) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, OSError):  # another user's, or it has just ended
                continue
        return [process for process in found if process.pid != os.getpid()]

    def processes_left(self) -> list[str]:
        """Wait until all have ended; return those that do not, and end them."""
        deadline = time.monotonic() + _PATIENCE
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        named = []
        for process in left:
            try:
                named.append(f"{process.pid}: {' '.join(process.cmdline())[:200]}")
                process.kill()
            except psutil.Error:
                continue
        return named


def answer(process: subprocess.Popen[str], work: str, seconds: float) -> list[str]:
    """Wait for a warm process; return the problems that it told."""
    try:
        told, complaint = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        told, complaint = process.communicate()
        return [f"{work} did not end within {seconds:g} s", complaint[-2000:]]
    if process.returncode:
        return [f"{work} ended with {process.returncode}: {complaint[-2000:]}"]
    problems: list[str] = json.loads(told.splitlines()[-1])
    return problems + ([f"what {work} wrote to stderr: {complaint[-3000:]}"] if problems and complaint else [])
