"""Where jobs run: here, in worker processes, on a Dask cluster, on a DisSModel Platform.

One job, one way, whatever the engine::

    engine       what every engine can do                       handle   a run at work: follow, cancel, wait
    choice       a name after --engine -> one warm engine, closed when this process ends
    inline       here, in the calling thread
    tickets      the line in which jobs wait, and the threads that serve it
    process      that line in front of slots
    slot         one worker process of loky: a crash or a kill in it touches no other run
    watching     what a slot sees of its worker: requests to cancel, memory, time, death
    travel       a job -> bytes, or which part of it cannot travel
    worker_side  what a worker process does with them
    foreign      the same worker side in the Python of another environment
    dask         slots inside the workers of a Dask cluster; dask_worker is what stands there
    platform     the queue of a DisSModel Platform server
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissmodel_lab.lazily import loaded_when_used

if TYPE_CHECKING:
    from dissmodel_lab.engines.choice import engine_for
    from dissmodel_lab.engines.engine import Engine
    from dissmodel_lab.engines.handle import RunHandle
    from dissmodel_lab.engines.inline import InlineEngine
    from dissmodel_lab.engines.process import ProcessEngine
    from dissmodel_lab.engines.slot import Slot

__all__ = ["Engine", "InlineEngine", "ProcessEngine", "RunHandle", "Slot", "engine_for"]

# A worker process loads its own side alone, and who runs inline needs no loky.
_HOMES = {
    "Engine": "engine",
    "InlineEngine": "inline",
    "ProcessEngine": "process",
    "RunHandle": "handle",
    "Slot": "slot",
    "engine_for": "choice",
}

__getattr__ = loaded_when_used(__name__, _HOMES)
