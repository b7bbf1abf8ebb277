"""The store: what is on disk survives anything, and a listing shows it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from index_state import state

from dissmodel_lab import ExperimentRecord, RunStore, read_record, run
from dissmodel_lab.annotations import annotate, annotations_path
from dissmodel_lab.conditions import parse_condition
from dissmodel_lab.errors import LabError, OutputError, RunNotFoundError
from dissmodel_lab.executor.testing import FailingExecutor, SteppingExecutor
from dissmodel_lab.index import INDEX_NAME, RunQuery, tables
from dissmodel_lab.index.rows import notes_path
from dissmodel_lab.index.tables import close
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
    assert torn.problem.startswith("record.json holds no record: Invalid JSON: EOF while parsing a string")
    assert {entry.folder.name: entry.problem for entry in entries}["empty"] == (
        "record.json is empty: whoever wrote it was stopped."
    )
    with pytest.raises(RunNotFoundError) as caught:
        RunStore().read("torn")
    assert str(caught.value) == f"The record in 'experiments/torn' cannot be read: {torn.problem}"


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


def test_naive_and_aware_times_sort_together():
    run(SteppingExecutor)
    folder = Path("experiments", "old")
    folder.mkdir()
    (folder / "record.json").write_text('{"experiment_id": "old", "created_at": "2024-05-01T10:00:00"}')
    newest, oldest = RunStore().entries()
    assert oldest.created_at == datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert newest.model_name == "testing_stepping"


# --- records from elsewhere


def foreign(path, experiment_id="f00d" * 8, **fields):
    """Write a record as PyPI dissmodel does: without provenance, with a naive time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "experiment_id": experiment_id,
        "created_at": "2026-01-02T03:04:05.678",
        "model_name": "flood",
        "status": "completed",
        **fields,
    }
    path.write_text(json.dumps(document))
    return path


def listed():
    return {(entry.record_path.relative_to("experiments").as_posix(), entry.status) for entry in RunStore().entries()}


def test_records_are_found_wherever_they_lie():
    ids = (f"{number:032x}" for number in range(100))
    root = Path("experiments")
    places = (
        "experiment_record.json",
        "mailed.json",
        "out/flood.tif.record.json",
        "bucket/0123/01234567.record.json",
        "from_ana/2026/deep/record.json",
        "from_ana/record.json",
        "from_ana/20260101T000000-flood-aaaaaaaa/record.json",
        "20260101T000000-flood-bbbbbbbb/record.json",
    )
    for place in places:
        foreign(root / place, next(ids))
    not_records = {
        "package.json": '{"name": "x", "version": "1"}',
        "inputs/map.json": '{"type": "FeatureCollection", "features": []}',
        "inputs/map.record.json": '{"type": "FeatureCollection", "features": []}',
        "notes.json": "[]",
        ".hidden/record.json": (root / "mailed.json").read_text(),
        "20260101T000000-flood-bbbbbbbb/partial/record.json": (root / "mailed.json").read_text(),
        "mailed.json.bak": (root / "mailed.json").read_text(),
    }
    for place, text in not_records.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text(text)
    assert listed() == {(place, "completed") for place in places}
    assert RunStore().notices == []
    for entry in RunStore().entries():
        assert RunStore().read(entry.experiment_id).experiment_id == entry.experiment_id


def test_record_without_a_date_is_as_old_as_its_file():
    path = Path("experiments/old/record.json")
    path.parent.mkdir(parents=True)
    path.write_text('{"experiment_id": "a1", "model_name": "flood"}')
    os.utime(path, (1_000_000, 1_000_000))
    [entry] = RunStore().entries()
    assert entry.created_at == datetime.fromtimestamp(1_000_000, UTC)
    RunStore().reindex()
    assert RunStore().entries() == [entry]


def test_links_are_not_followed(workspace):
    root = Path("experiments")
    outside = foreign(workspace / "outside" / "record.json")
    foreign(root / "here" / "record.json", "a" * 32)
    (root / "circle").symlink_to(root.absolute(), target_is_directory=True)
    (root / "here" / "up").symlink_to("..", target_is_directory=True)
    (root / "away").symlink_to(outside.parent, target_is_directory=True)
    (root / "linked.record.json").symlink_to(outside)
    (root / "20260101T000000-flood-cccccccc").mkdir()
    (root / "20260101T000000-flood-cccccccc" / "record.json").symlink_to(outside)
    os.mkfifo(root / "pipe.record.json")
    assert listed() == {("here/record.json", "completed")}


@pytest.mark.parametrize("name", ["20260101T000000-flood-cccccccc", "from_ana"])
def test_folder_that_becomes_a_link_is_not_followed(workspace, name, monkeypatch):
    root = Path("experiments")
    foreign(root / name / "record.json", "a" * 32)
    foreign(root / "stays" / "record.json", "b" * 32)
    for few in (1000, 0):  # looked at as a small store, and as a large one
        monkeypatch.setattr("dissmodel_lab.index.scan._FEW", few)
        assert len(RunStore().entries()) == 2
        (root / name).rename(workspace / "moved")
        (root / name).symlink_to(workspace / "moved", target_is_directory=True)
        assert listed() == {("stays/record.json", "completed")}
        (root / name).unlink()
        (workspace / "moved").rename(root / name)


def test_store_that_is_a_link_is_followed(workspace):
    run(SteppingExecutor, store=workspace / "real")
    Path("experiments").symlink_to(workspace / "real", target_is_directory=True)
    assert len(RunStore().entries()) == 1


def test_second_copy_beside_the_output_is_not_listed():
    record = run(SteppingExecutor, output="experiments/out/result.txt")
    beside = Path("experiments/out/result.record.json")
    assert beside.exists()
    assert [entry.record_path for entry in RunStore().entries()] == [record.record_path]
    record.record_path.unlink()
    assert [entry.record_path for entry in RunStore().entries()] == [beside]
    assert RunStore().read("last").experiment_id == record.experiment_id


def test_copies_in_one_folder_are_told_apart_by_their_files():
    for name in ("a", "b"):
        foreign(Path(f"experiments/bucket/{name}.record.json"))
    with pytest.raises(RunNotFoundError) as caught:
        RunStore().read("f00d")
    assert str(caught.value) == (
        "2 copies of one record fit 'f00d': 'bucket/b.record.json', 'bucket/a.record.json'. "
        "Give the name of one of them."
    )
    path = "bucket/a.record.json"
    assert RunStore().find(path).record_path == Path("experiments", path)


def test_copies_of_one_run_are_told_apart_by_their_folders():
    record = run(SteppingExecutor)
    folder = record.record_path.parent
    shutil.copytree(folder, "experiments/mine")
    shutil.copytree(folder, f"experiments/from_bia/{folder.name}")
    store = RunStore()
    assert len(store.entries()) == 3
    assert store.find("mine").folder == Path("experiments/mine")
    assert store.find(f"from_bia/{folder.name}").folder == Path("experiments/from_bia", folder.name)
    assert store.find(folder.name).folder == folder
    with pytest.raises(RunNotFoundError) as caught:
        store.find(record.experiment_id)
    names = ", ".join(repr(entry.folder.relative_to("experiments").as_posix()) for entry in store.entries())
    assert str(caught.value) == (
        f"3 copies of one record fit {record.experiment_id!r}: {names}. Give the name of one of them."
    )


BROKEN = {
    "a list": ("[1, 2]", "Input should be an object"),
    "no id": ('{"model_name": "flood", "status": "completed"}', "it has no experiment_id"),
    "empty id": ('{"experiment_id": "", "model_name": "x"}', "it has no experiment_id"),
    "number as a name": ('{"experiment_id": "b1", "model_name": 5}', "(field model_name)"),
    "text as parameters": ('{"experiment_id": "b2", "parameters": "years=3"}', "(field parameters)"),
    "list as a source": ('{"experiment_id": "b3", "source": []}', "(field source)"),
    "text as steps": ('{"experiment_id": "b4", "steps": "many"}', "(field steps)"),
    "no date": ('{"experiment_id": "b5", "created_at": "2026-02-31T00:00:00"}', "(field created_at)"),
    "late date": (
        '{"experiment_id": "b6", "created_at": "9999-12-31T23:59:59-14:00"}',
        "is outside of the calendar in UTC",
    ),
    "early date": (
        '{"experiment_id": "b7", "created_at": "0001-01-01T00:00:00+14:00"}',
        "is outside of the calendar in UTC",
    ),
    "far date": ('{"experiment_id": "b8", "created_at": "+123456-01-01"}', "(field created_at)"),
    "deep": (
        '{"experiment_id": "b9", "parameters": {"x": ' + "[" * 100_000 + "]" * 100_000 + "}}",
        "recursion limit",
    ),
    "half a sign": ('{"experiment_id": "\\ud800"}', "Invalid JSON"),
    "no text": ("\x00\x01", "Invalid JSON"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_records_are_listed_with_the_reason(case):
    text, reason = BROKEN[case]
    run(SteppingExecutor)
    folder = Path("experiments", "broken")
    folder.mkdir()
    (folder / "record.json").write_text(text)
    entries = {entry.status: entry for entry in RunStore().entries()}
    assert set(entries) == {"completed", "unreadable"}
    assert entries["unreadable"].problem.startswith("record.json holds no record: ")
    assert reason in entries["unreadable"].problem
    assert RunStore().find("broken") == entries["unreadable"]
    assert state(Path("experiments")) == rebuilt(Path("experiments"))


def rebuilt(root):
    """Return the state of an index that is made anew."""
    close(root)
    shutil.rmtree(root / INDEX_NAME)
    RunStore(root).entries()
    return state(root)


def test_extreme_values_of_a_sound_record():
    parameters = {
        "nan": {"$float": "nan"},
        "huge": 10**400,
        "large": 2**70,
        "nothing": None,
        "": "a name without letters",
        "half": {"$escaped": "\\ud800"},
        "list": list(range(5_000)),
        "array": {"$ndarray": {"dtype": "float64", "shape": [2, 2], "data": [1, 2, 3, 4]}},
        "evil": {"$ndarray": {"dtype": "float64", "shape": [10**12], "data": []}},
        "password": "s3cr3t",
        "many": {f"n{number}": number for number in range(3_000)},
    }
    path = foreign(Path("experiments/odd/record.json"), parameters=parameters, steps=2**80, metrics={"n": True})
    store = RunStore()
    [entry] = store.entries()
    assert entry.status == "completed"
    assert store.notices == [
        "1 records have more than 1,000 parameters and metrics: only the first of them can be asked for."
    ]
    for text in (
        "large > 1e21",
        "huge > 1e308",
        "nothing == none",
        "list[3] == 3",
        "nan == 'nan'",
        "password == '***'",
    ):
        assert store.count(RunQuery(where=parse_condition(text))) == 1, text
    assert b"s3cr3t" not in b"".join(file.read_bytes() for file in Path("experiments", INDEX_NAME).iterdir())
    assert state(Path("experiments")) == rebuilt(Path("experiments"))
    assert path.exists()


@pytest.mark.soak
def test_record_of_50_megabytes():
    parameters = {"table": [[number, "x" * 40] for number in range(1_000_000)]}
    path = foreign(Path("experiments/large/record.json"), parameters=parameters)
    assert path.stat().st_size > 50_000_000
    began = time.monotonic()
    assert [entry.status for entry in RunStore().entries()] == ["completed"]
    assert time.monotonic() - began < 30
    began = time.monotonic()
    assert [entry.status for entry in RunStore().entries()] == ["completed"]
    assert time.monotonic() - began < 30


def test_larger_files_are_not_read(monkeypatch):
    from dissmodel_lab.store import reading

    monkeypatch.setattr(reading, "_LARGEST", 1000)
    foreign(Path("experiments/large/record.json"), logs=["x" * 1000])
    [entry] = RunStore().entries()
    assert entry.problem == "record.json is too large to be read: 1,154 bytes; 1,000 are allowed."
    assert entry.folder.name == "large"


# --- annotations


def test_annotations_are_found_at_once_and_leave_the_record_alone():
    record = run(SteppingExecutor)
    before = record.record_path.read_bytes()
    store = RunStore()
    assert store.annotate("last", tags=["paper", "b"], note="Figure 3.").tags == ("paper", "b")
    assert store.find("last").tags == ("paper", "b")
    assert store.annotate("last", tags=["a"], untag=["paper"]).tags == ("b", "a")
    assert store.select(RunQuery(tag="a")) == RunStore().entries()
    assert store.count(RunQuery(tag="paper")) == 0
    assert record.record_path.read_bytes() == before
    # by another machine, which has an index of its own
    annotate(record.record_path, tags=["elsewhere"])
    assert store.count(RunQuery(tag="elsewhere")) == 1
    assert state(Path("experiments")) == rebuilt(Path("experiments"))


def test_annotations_beside_a_record_from_elsewhere():
    path = foreign(Path("experiments/out/flood.tif.record.json"))
    assert RunStore().annotate("f00d", tags=["mail"]).tags == ("mail",)
    assert annotations_path(path).exists()
    assert RunStore().find("f00d").tags == ("mail",)


@pytest.mark.parametrize("place", ["a/record.json", "a/x.record.json", "a.b/c.json", "experiment_record.json"])
def test_index_knows_where_annotations_lie(place):
    assert os.fsdecode(notes_path(place.encode())) == str(annotations_path(place))


# --- where SQLite cannot work


def test_read_only_store_is_listed_from_memory(small_disk):
    root = small_disk / "runs"
    run(SteppingExecutor, store=root)
    shutil.rmtree(root / INDEX_NAME)
    close(root)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    store = RunStore(root)
    assert [entry.status for entry in store.entries()] == ["completed"]
    [notice] = store.notices
    assert notice == (
        f"The index of {str(root)!r} is kept in memory: Read-only file system. Each new process reads all records "
        "again, which takes a while where there are many; nothing is lost."
    )
    assert store.count(RunQuery(model="testing_stepping")) == 1
    with pytest.raises(OutputError, match=r"cannot be kept in .*: Read-only file system\. Nothing was run"):
        run(SteppingExecutor, store=root)


def test_index_of_a_read_only_store_that_has_one(small_disk):
    root = small_disk / "runs"
    run(SteppingExecutor, store=root)
    close(root)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert [entry.status for entry in RunStore(root).entries()] == ["completed"]


def test_full_disk_is_listed_from_memory(small_disk):
    root = small_disk / "runs"
    for number in range(20):
        foreign(root / f"r{number}" / "record.json", f"{number:032x}")
    with suppress(OSError), open(small_disk / "rest", "wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    store = RunStore(root)
    assert len(store.entries()) == 20
    assert "is kept in memory: " in store.notices[0]
    assert store.count(RunQuery(model="flood")) == 20


def test_network_file_system_is_told(monkeypatch):
    run(SteppingExecutor)
    close(Path("experiments"))
    shutil.rmtree(Path("experiments", INDEX_NAME))
    monkeypatch.setattr(tables, "network_type", lambda folder: "nfs4")
    record = run(SteppingExecutor)
    store = RunStore()
    assert len(store.entries()) == 2
    assert store.notices[0].startswith(
        "The index of 'experiments' is kept in memory: the folder lies on a network file system (nfs4), where "
        "SQLite's locks cannot be trusted."
    )
    assert store.newest_completed("testing_stepping")[0].experiment_id == record.experiment_id
    assert not Path("experiments", INDEX_NAME).exists()
    # another machine writes into the same folder
    foreign(Path("experiments/20260101T000000-flood-bbbbbbbb/record.json"))
    assert len(store.entries()) == 3


def test_store_that_is_a_file(workspace):
    (workspace / "experiments").write_text("")
    with pytest.raises(LabError, match=r"^The store 'experiments' cannot be read: Not a directory\.$"):
        RunStore().entries()


def test_folder_that_cannot_be_looked_through(monkeypatch):
    run(SteppingExecutor)
    Path("experiments/closed").mkdir()
    scandir = os.scandir

    def refuse(path="."):
        if os.fsdecode(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    store = RunStore()
    assert len(store.entries()) == 1
    assert store.notices == ["'closed' cannot be looked through: Permission denied."]


def test_listing_an_empty_or_missing_store_leaves_nothing(workspace):
    assert RunStore("missing").entries() == []
    (workspace / "empty").mkdir()
    assert RunStore("empty").entries() == []
    assert RunStore("empty").count(RunQuery()) == 0
    assert [path.name for path in workspace.rglob("*")] == ["empty"]


# --- lost runs


def test_phase_of_a_lost_run_behind_a_long_journal():
    folder = Path("experiments/20260101T000000-flood-dddddddd")
    foreign(folder / "record.json", "d" * 32, status="running")
    step = json.dumps({"event": "step", "step": 1, "n_steps": None, "label": "x" * 100})
    lines = ['{"event": "phase_started", "phase": "load"}', '{"event": "phase_started", "phase": "run"}']
    (folder / "journal.jsonl").write_text("\n".join([*lines, *[step] * 20_000, step[:30]]))
    [entry] = RunStore().entries()
    assert (entry.status, entry.phase) == ("lost", "run")
    assert RunStore().count(RunQuery(status="lost")) == 1
    assert RunStore().count(RunQuery(status="running")) == 0


def test_run_of_another_machine_is_believed_to_run_until_its_record_says_otherwise():
    path = foreign(
        Path("experiments/20260101T000000-flood-eeeeeeee/record.json"),
        "e" * 32,
        status="running",
        provenance={"hostname": "elsewhere", "process_id": 1},
    )
    store = RunStore()
    assert store.find("eee").status == "running"
    foreign(path, "e" * 32, status="failed", failed_phase="run", metrics={"n": 4})
    assert (store.find("eee").status, store.find("eee").phase) == ("failed", "run")
    assert store.count(RunQuery(where=parse_condition("n == 4"))) == 1


# --- many at once

EACH, MOST_KILLS = 100, 8
"""A killed writer begins anew, which takes as long as many runs."""


@pytest.mark.soak
@pytest.mark.parametrize("kills", [False, True], ids=["", "killed"])
def test_eight_writers_two_reindexing_four_listing(workspace, kills):
    """With thousands of runs and more kinds of kills: ``make soak``."""
    store, stop = workspace / "store", workspace / "stop"
    script = [sys.executable, str(Path(__file__).with_name("many_writers.py"))]

    def start(number):
        command = [*script, "write", str(store), str(EACH), str(workspace / f"log{number}")]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def n_written(number):
        log = workspace / f"log{number}"
        return log.stat().st_size if log.exists() else 0

    writers = {number: start(number) for number in range(8)}
    others = [
        subprocess.Popen(
            [*script, what, str(store), str(stop)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for what in (*["reindex"] * 2, *["list"] * 4)
    ]
    luck, killed_at, n_kills, before = random.Random(20261123), time.monotonic(), 0, {}
    while writers:
        time.sleep(0.02)
        for number, writer in list(writers.items()):
            if writer.poll() is None:
                continue
            said = writer.communicate()[1]
            if writer.returncode == -signal.SIGKILL:
                before[number] = n_written(number)
                writers[number] = start(number)
            else:
                assert (writer.returncode, said) == (0, "")
                del writers[number]
        # One that has not yet come to write is let alone: on a busy machine nothing would ever end.
        able = [number for number in writers if n_written(number) > before.get(number, 0)]
        if kills and able and n_kills < MOST_KILLS and time.monotonic() - killed_at > 1:
            writers[luck.choice(able)].kill()
            killed_at = time.monotonic()
            n_kills += 1
    stop.touch()
    for other in others:
        times, said = other.communicate()
        assert (other.returncode, said) == (0, "")
        assert int(times) > 0  # and no notice
    entries = RunStore(store).entries()
    ids = [entry.experiment_id for entry in entries]
    assert len(ids) == len(set(ids))
    ended = {line for number in range(8) for line in (workspace / f"log{number}").read_text().split()}
    assert len(ended) == 8 * EACH
    completed = {entry.experiment_id for entry in entries if entry.status == "completed"}
    assert ended <= completed
    assert {entry.status for entry in entries} <= {"completed", "lost"}
    if kills:
        assert n_kills > 0
    else:
        assert len(entries) == 8 * EACH
    before_rebuilding = state(store)
    assert RunStore(store).reindex().n_records == len(entries)
    assert state(store) == before_rebuilding
    assert rebuilt(store) == before_rebuilding
