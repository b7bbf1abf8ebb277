"""Telling a process from a later one with its number: by its start, whatever the clock does."""

import os
import platform
import subprocess
import sys

import pytest

from dissmodel_lab import processes
from dissmodel_lab.executor import ExperimentRecord
from dissmodel_lab.executor.schemas import Provenance
from dissmodel_lab.processes import is_same_process, process_mark, process_started
from dissmodel_lab.store import RunStore
from dissmodel_lab.sweeps.attempts import is_at_work

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system keeps the start time itself")


@pytest.fixture
def ended():
    child = subprocess.Popen([sys.executable, "-c", ""])
    mark = child.pid, process_mark(child.pid), process_started(child.pid)
    child.wait()
    return mark


@pytest.fixture
def clock_set(monkeypatch):
    """The clock is set an hour ahead: since 1970, every process has started an hour later."""
    boot = processes._boot_time()
    return lambda: monkeypatch.setattr(processes, "_boot_time", lambda: boot + 3600)


def test_a_process_that_has_ended(ended):
    number, mark, started = ended
    assert mark
    assert (process_mark(number), process_started(number)) == ("", None)
    assert [is_same_process(number, one) for one in (mark, started, None, "")] == [False] * 4


def test_another_process_with_its_number(ended):
    _, mark, started = ended
    assert not is_same_process(os.getppid(), mark)
    assert not is_same_process(os.getppid(), started)
    assert is_same_process(os.getppid(), None)


@ON_LINUX
def test_a_later_boot_is_another_process(monkeypatch):
    mark = process_mark(os.getpid())
    monkeypatch.setattr(processes, "_boot_id", lambda: "another")
    assert not is_same_process(os.getpid(), mark)


@ON_LINUX
def test_a_run_that_goes_on_is_not_lost_when_the_clock_is_set(clock_set, workspace):
    store = RunStore()
    facts = Provenance(
        hostname=platform.node(),
        process_id=os.getpid(),
        process_started=process_started(os.getpid()),
        process_mark=process_mark(os.getpid()),
    )
    folder = store.begin(ExperimentRecord(status="running", model_name="slow", provenance=facts))
    assert [row.status for row in store.entries()] == ["running"]
    clock_set()
    assert not is_same_process(os.getpid(), facts.process_started)  # what it was told by until now
    assert [row.status for row in store.entries()] == ["running"]
    assert is_at_work(folder.folder)
