"""The store: what is on disk survives anything, and a listing shows it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dissmodel_lab import ExperimentRecord, RunStore, read_record, run
from dissmodel_lab.errors import LabError, OutputError, RunNotFoundError
from dissmodel_lab.executor.testing import FailingExecutor, SteppingExecutor
from dissmodel_lab.index import INDEX_NAME
from dissmodel_lab.index.tables import DATABASE_NAME, close
from dissmodel_lab.store import write_atomic


def test_killed_runs_are_lost_and_none_is_torn(workspace):
    script = Path(__file__).with_name("killed_runs.py")
    subprocess.run([sys.executable, script, "100"], cwd=workspace, check=True, timeout=120, capture_output=True)
    entries = RunStore().entries()
    records = [read_record(path) for path in workspace.glob("experiments/*/record.json")]
    assert len(records) == len(entries)
    assert {entry.status for entry in entries} <= {"lost", "completed"}
    by_id = {entry.experiment_id: entry for entry in entries}
    paused = [record for record in records if record.parameters["killed_in"]]
    assert len(paused) == 52  # of every eight, four were killed inside a known phase: 50, and 2 of the last four
    for record in paused:
        entry = by_id[record.experiment_id]
        assert record.status == "running"
        assert entry.status == "lost"
        assert entry.phase == record.parameters["killed_in"]
        assert entry.problem == f"the process ended in phase {entry.phase}"
    # A run killed between the publishing of its output and the last word of its record is lost; its output is whole.
    outputs = {path.read_text() for path in workspace.glob("experiments/*/output")}
    assert outputs <= {"50\n"}


def test_running_here_is_running():
    seen = []

    class Looking(SteppingExecutor, register=False):
        name = "looking"

        def run(self, data, record):
            seen.extend(RunStore().entries())
            return data

    run(Looking)
    assert [(entry.status, entry.phase) for entry in seen] == [("running", "run")]


def test_listing_is_newest_first_and_tells_what_happened():
    run(SteppingExecutor)
    with pytest.raises(RuntimeError, match="broken on purpose in load"):
        run(FailingExecutor("load"))
    newest, oldest = RunStore().entries()
    assert (newest.status, newest.phase, newest.problem) == (
        "failed",
        "load",
        "RuntimeError: broken on purpose in load",
    )
    assert (oldest.status, oldest.phase, oldest.problem) == ("completed", "", "")
    assert oldest.seconds > 0


def test_listing_survives_a_lost_or_damaged_index():
    run(SteppingExecutor)
    expected = RunStore().entries()
    index = Path("experiments", INDEX_NAME)
    assert index.exists()
    for damage in (index.unlink, lambda: index.write_bytes(b"no database at all" * 100)):
        damage()
        for leftover in Path("experiments").glob(f"{INDEX_NAME}-*"):
            leftover.unlink()
        assert RunStore().entries() == expected
        assert RunStore().entries() == expected


def test_index_follows_the_folders():
    records = [run(SteppingExecutor) for _ in range(3)]
    assert len(RunStore().entries()) == 3
    gone = records[0].record_path
    gone.unlink()
    changed = json.loads(records[1].record_path.read_text()) | {"status": "failed"}
    records[1].record_path.write_text(json.dumps(changed))
    assert sorted(entry.status for entry in RunStore().entries()) == ["completed", "failed"]


def test_unreadable_records_are_listed():
    run(SteppingExecutor)
    for name, content in (
        ("empty", b""),
        ("torn", b'{"experiment_id": "a'),
        ("other", b"[1, 2]"),
        ("bytes", b"\xff\xfe"),
    ):
        folder = Path("experiments", name)
        folder.mkdir()
        (folder / "record.json").write_bytes(content)
    entries = RunStore().entries()
    assert sorted(entry.status for entry in entries) == ["completed", *["unreadable"] * 4]
    torn = next(entry for entry in entries if entry.folder.name == "torn")
    assert "holds no record: Invalid JSON" in torn.problem
    with pytest.raises(
        RunNotFoundError, match=r"The record in 'experiments/torn' cannot be read: .* holds no record"
    ):
        RunStore().read("torn")


def test_find():
    record = run(SteppingExecutor)
    store = RunStore()
    assert store.find(record.experiment_id[:6]).experiment_id == record.experiment_id
    assert store.find("last").experiment_id == record.experiment_id
    assert store.read("last").model_dump() == record.model_dump()
    with pytest.raises(RunNotFoundError) as caught:
        store.find("zzz")
    assert str(caught.value) == (
        f"No run in 'experiments' begins with 'zzz'. Newest: {record.experiment_id[:8]}. See them all with: runs."
    )
    run(SteppingExecutor)
    with pytest.raises(RunNotFoundError, match=r"No run in 'experiments' begins with ''"):
        store.find("")


def test_ambiguous_id():
    for letter in "ab":
        folder = Path("experiments", letter)
        folder.mkdir(parents=True)
        text = ExperimentRecord(experiment_id=f"ff{letter}" + "0" * 29).model_dump_json()
        (folder / "record.json").write_text(text)
    with pytest.raises(
        RunNotFoundError,
        match=r"2 runs begin with 'ff': ff.0{9}, ff.0{9}\. Give more characters, or a folder's name\.",
    ):
        RunStore().find("ff")


def test_write_atomic_keeps_the_old_content_on_failure(workspace, monkeypatch):
    target = workspace / "a.txt"
    write_atomic(target, b"old")

    def fail(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(target, b"new")
    assert target.read_bytes() == b"old"
    assert [path.name for path in workspace.iterdir()] == ["a.txt"]


def test_full_disk_at_the_end_says_so_and_keeps_the_first_record(monkeypatch):
    class LastGasp(SteppingExecutor, register=False):
        name = "last_gasp"

        def save(self, result, record):
            def fail(_descriptor):
                raise OSError(28, "No space left on device")

            monkeypatch.setattr(os, "fsync", fail)
            return super().save(result, record)

    with pytest.raises(
        OutputError, match=r"could not be brought up to date in .*: No space left on device"
    ) as caught:
        run(LastGasp)
    assert "It ended as completed. Make room on the disk." in str(caught.value)
    [path] = Path("experiments").glob("*/record.json")
    assert read_record(path).status == "running"


@pytest.fixture
def small_disk(workspace):
    """A file system of 1 MiB, where this machine lets us have one."""
    folder = workspace / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("no tmpfs can be mounted here")
    yield folder
    close(folder / "runs")
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_disk_that_is_really_full(small_disk):
    class Huge(SteppingExecutor, register=False):
        name = "huge"

        def save(self, result, record):
            with open(record.output_path, "wb") as file:
                file.writelines(b"x" * 4096 for _ in range(4096))
            return record

    with pytest.raises(OSError, match="No space left on device"):
        run(Huge, store=small_disk / "runs")
    [entry] = RunStore(small_disk / "runs").entries()
    assert (entry.status, entry.phase) == ("failed", "save")
    record = read_record(entry.folder / "record.json")
    assert record.logs[-1] == f"What save() left is kept in {entry.folder / 'partial'}."


def test_hostile_model_name_stays_inside_the_store():
    class Hostile(SteppingExecutor, register=False):
        name = "../../<script>alert(1)</script>"

    record = run(Hostile)
    assert record.record_path.parent.parent == Path("experiments")
    assert "-script-alert-1-script-" in record.record_path.parent.name


def test_journal_tells_the_phases():
    record = run(SteppingExecutor)
    lines = [json.loads(line) for line in (record.record_path.parent / "journal.jsonl").read_text().splitlines()]
    told = [(line["event"], line.get("phase")) for line in lines if line["event"].startswith("phase")]
    assert told == [(f"phase_{what}", phase) for phase in record.phases for what in ("started", "completed")]


def test_read_record_says_what_is_wrong(workspace):
    (workspace / "x.json").write_text('{"metrics": 5}')
    with pytest.raises(LabError) as caught:
        read_record("x.json")
    assert str(caught.value) == "'x.json' holds no record: Input should be an object (field metrics)."


def test_store_variable(monkeypatch, workspace):
    monkeypatch.setenv("DISSMODEL_LAB_STORE", str(workspace / "elsewhere"))
    record = run(SteppingExecutor)
    assert record.record_path.is_relative_to(workspace / "elsewhere")


def test_index_keeps_few_connections(workspace):
    from dissmodel_lab import index

    for number in range(10):
        root = workspace / f"s{number}"
        root.mkdir()
        RunStore(root).entries()
        run(SteppingExecutor, store=root)
    assert len(index._connections) <= 4
    assert RunIndex(workspace / "s0").refresh([], lambda path: None) == []


def test_naive_and_aware_times_sort_together():
    run(SteppingExecutor)
    folder = Path("experiments", "old")
    folder.mkdir()
    (folder / "record.json").write_text('{"experiment_id": "old", "created_at": "2024-05-01T10:00:00"}')
    newest, oldest = RunStore().entries()
    assert oldest.created_at == datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert newest.model_name == "testing_stepping"
