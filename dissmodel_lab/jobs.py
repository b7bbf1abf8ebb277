"""A run in words that can travel to another process, and how it ended there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from dissmodel_lab.provenance import Caller

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dissmodel_lab.executor.schemas import DataSource
    from dissmodel_lab.parameters import ModelSpec


class Limits(NamedTuple):
    """What a run may take; a run that takes more is ended, and its record says so as failed."""

    seconds: float | None = None
    """Wall time [s]."""
    memory_bytes: int | None = None
    """Resident memory of its process and of those that it started [bytes]."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """
    A run that can be carried out elsewhere: the arguments of :func:`dissmodel_lab.run`, and its name on disk.

    It travels by cloudpickle, so that a class defined in a notebook can be its model.
    """

    model: Any
    """A name, an import string, a ``.toml`` file, or an executor's class."""
    store: str
    """Folder of the store; absolute."""
    working_folder: str
    """Where relative paths are looked up, and the first place to import from; absolute."""
    experiment_id: str
    """Known before the run begins, so that it can be followed and cancelled."""
    folder_name: str
    """Of the run's folder in the store: who makes it owns the run, so that no two processes run the same job."""
    source: str | DataSource | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    output: str | None = None
    toml: str | ModelSpec | None = None
    data: tuple[Any, ...] = ()
    """The input in memory, as a tuple of one; empty when there is none."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the record that no other argument fills, such as ``sweep``."""
    output_name: str = ""
    caller: Caller = field(default_factory=Caller)
    preflight: bool = True
    limits: Limits = field(default_factory=Limits)
    keeps_frames: bool = True
    """Whether the run's steps are kept as pictures; sweeps go without."""
    shares_inputs: bool = False
    """Whether what ``load`` returned may be kept in the worker for its next run with the same input."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that differ from the worker's usual ones; such a job gets a fresh worker of its own."""
    python: str = ""
    """Interpreter of the worker, as a request for a package needs it; this process's when empty. Such a job gets a
    fresh worker of its own."""
    is_queued: bool = False
    """Whether a record with the status ``pending`` waits in the run's folder."""
    ends_with_kernel: bool = False
    """Whether the run is cancelled when the process that asked for it ends; it goes on in its worker otherwise."""


class Outcome(NamedTuple):
    """How a job ended."""

    status: str
    """``completed``, ``failed``, ``cancelled``, or ``refused`` when no record was begun."""
    experiment_id: str
    record_path: Path | None = None
    """None when it was refused."""
    error: str = ""
    """``Type: message`` of what ended it."""
    exception: BaseException | None = None
    """The model's own exception where it can travel."""
    printed: str = ""
    """The last lines that the model printed, of a worker."""
    peak_memory_bytes: int | None = None
    """The most that was seen of a worker's memory [bytes]."""
