"""The contract: the record of a run, the executor that makes it, and the lifecycle between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dissmodel_lab.executor.base import (
    ExecutorNameWarning,
    ExecutorRegistry,
    ModelExecutor,
    Parameters,
)
from dissmodel_lab.executor.events import Phase
from dissmodel_lab.executor.lifecycle import execute_lifecycle, report_step, steps
from dissmodel_lab.executor.schemas import DataSource, ExperimentRecord, JobRequest, RunStatus

if TYPE_CHECKING:
    from dissmodel_lab.executor.testing import ExecutorTestHarness

__all__ = [
    "DataSource",
    "ExecutorNameWarning",
    "ExecutorRegistry",
    "ExecutorTestHarness",
    "ExperimentRecord",
    "JobRequest",
    "ModelExecutor",
    "Parameters",
    "Phase",
    "RunStatus",
    "execute_lifecycle",
    "report_step",
    "steps",
]


def __getattr__(name: str) -> Any:
    if name != "ExecutorTestHarness":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dissmodel_lab.executor.testing import ExecutorTestHarness  # noqa: PLC0415 -- only for those who test

    return ExecutorTestHarness
