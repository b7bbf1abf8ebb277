"""The program that a worker with another Python runs: ``python -m dissmodel_lab.engines.foreign_side IN OUT``."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from dissmodel_lab.engines import worker_side


def main(arguments: list[str]) -> None:
    """
    Serve a slot: first how this process is to be made ready, then one job after another, until the pipe closes.

    Parameters
    ----------
    arguments : list of str
        Numbers of the two ends of pipes that were passed on: to read from, to write to.
    """
    source, target = (int(argument) for argument in arguments)
    for number in (source, target):
        os.set_inheritable(number, False)  # what a model starts must not keep the pipe open
    with Connection(source, writable=False) as incoming, Connection(target, readable=False) as outgoing:
        in_use = _use_environment()
        parent, printed, own = incoming.recv()
        worker_side.prepare(parent, printed, own)
        outgoing.send(list(sys.path))
        with suppress(EOFError, BrokenPipeError):
            while True:
                outgoing.send(worker_side.carry_out(incoming.recv()))
        if in_use is not None:
            os.close(in_use)


def _use_environment() -> int | None:
    """Hold the lock of this Python's environment, so that nobody removes it meanwhile; the process's end lets go."""
    lock = Path(sys.prefix).with_suffix(".lock")
    try:
        import fcntl  # noqa: PLC0415 -- POSIX only, as this whole program

        number = os.open(lock, os.O_RDONLY)
    except (ImportError, OSError):
        return None
    fcntl.flock(number, fcntl.LOCK_SH)
    return number


if __name__ == "__main__":
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # until the worker can tell whom it is meant for
    main(sys.argv[1:])
