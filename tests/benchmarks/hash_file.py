"""Hash one file in one way: ``python hash_file.py WAY FILE`` prints [seconds, extra peak memory in MiB]."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
import time
from pathlib import Path


def in_ram(path: str) -> str:
    """The floor: as many bytes as the file has, out of one buffer that stays in the processor's cache."""
    buffer = os.urandom(1 << 16)
    digest = hashlib.sha256()
    for _ in range(os.path.getsize(path) >> 16):
        digest.update(buffer)
    return digest.hexdigest()


def file_digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def way_of(name: str):
    """Return the function; what it needs is imported before the time is taken."""
    if name == "upstream":
        from dissmodel.executor import ModelExecutor

        return ModelExecutor._sha256
    if name in ("file_sha256", "own_file_sha256"):
        from dissmodel_lab import sources

        return getattr(sources, name)
    return {"in_ram": in_ram, "file_digest": file_digest}[name]


def peak_memory() -> float:
    """Return this program's own high-water mark [MiB]; ``ru_maxrss`` may be that of the one that started it."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def main(name: str, path: str) -> None:
    way = way_of(name)
    way(os.devnull) if name != "in_ram" else None
    before, began = peak_memory(), time.perf_counter()
    way(path)
    seconds = time.perf_counter() - began
    print(json.dumps([seconds, peak_memory() - before]))


if __name__ == "__main__":
    main(*sys.argv[1:])
