"""Many inputs in forked children: one that dies, hangs or grows takes only itself down."""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import select
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: An input that takes longer hangs [s].
LONGEST = 10.0
#: What a child may take beyond what it begins with [bytes].
MEMORY = 1 << 30


@dataclass(frozen=True)
class Outcome:
    """What became of one input."""

    number: int
    ended: str
    """``picture``, ``refused``, ``wrong``, ``crash`` or ``hang``."""
    text: str = ""
    seconds: float = 0.0


def run_all(numbers: Sequence[int], do: Callable[[int], tuple[str, str]], longest: float = LONGEST) -> list[Outcome]:
    """Do each number in a forked child; after a crash or hang the next child goes on behind it."""
    found: list[Outcome] = []
    while len(found) < len(numbers):
        found += _one_child(numbers[len(found) :], do, longest)
    return found


def _one_child(numbers: Sequence[int], do: Callable[[int], tuple[str, str]], longest: float) -> list[Outcome]:
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        _work(numbers, do, write)
    os.close(write)
    found, rest, began = [], b"", time.monotonic()
    while len(found) < len(numbers):
        if not select.select([read], [], [], longest)[0]:
            os.kill(child, signal.SIGKILL)
            found.append(Outcome(numbers[len(found)], "hang", f"more than {longest:g} s", longest))
            break
        data = os.read(read, 1 << 16)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            found.append(Outcome(**json.loads(line)))
            began = time.monotonic()
    os.close(read)
    status = os.waitpid(child, 0)[1]
    if len(found) < len(numbers) and not (found and found[-1].ended == "hang"):
        how = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
        found.append(Outcome(numbers[len(found)], "crash", how, time.monotonic() - began))
    return found


def _work(numbers: Sequence[int], do: Callable[[int], tuple[str, str]], write: int) -> Any:
    try:
        faulthandler.disable()
        # what a library prints when it dies is not wanted on the screen
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        with open("/proc/self/statm", encoding="ascii") as file:
            present = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (present + MEMORY, present + MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for number in numbers:
            began = time.monotonic()
            ended, text = do(number)
            line = {"number": number, "ended": ended, "text": text[:2000], "seconds": time.monotonic() - began}
            os.write(write, json.dumps(line).encode() + b"\n")
    finally:
        os._exit(0)
