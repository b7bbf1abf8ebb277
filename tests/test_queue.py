"""Who owns a run's folder, and what is queued."""

from __future__ import annotations

import os
import platform
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dissmodel_lab import ExperimentRecord, RunStore, read_record
from dissmodel_lab.cancelling import cancel, request
from dissmodel_lab.errors import OutputError, RunTakenError
from dissmodel_lab.executor.schemas import Provenance
from dissmodel_lab.processes import process_started
from dissmodel_lab.provenance import Caller
from dissmodel_lab.runner import queue_run, run
from dissmodel_lab.store import run_folder

WORK = {"model": "game_of_life", "parameters": {"generations": 2}}


def alive(**facts):
    number = os.getpid()
    return Provenance(hostname=platform.node(), process_id=number, process_started=process_started(number), **facts)


def test_a_run_gets_the_folder_that_it_is_given():
    record = run(**WORK, folder_name="000001", fields={"sweep": {"id": "abc", "point": 1}})
    assert record.record_path == Path("experiments/000001/record.json")
    assert sorted(path.name for path in record.record_path.parent.iterdir()) == [
        "journal.jsonl",
        "output.tif",
        "record.json",
    ]
    assert read_record(record.record_path).sweep == {"id": "abc", "point": 1}


def test_who_makes_the_folder_owns_the_run():
    record = run(**WORK, folder_name="000001")
    before = record.record_path.read_bytes()
    with pytest.raises(RunTakenError) as caught:
        run(**WORK, folder_name="000001")
    assert str(caught.value) == (
        "The folder 'experiments/000001' is there already: another process runs that job, or has run it."
    )
    with pytest.raises(RunTakenError):
        queue_run(**WORK, folder_name="000001")
    assert record.record_path.read_bytes() == before


def test_of_many_at_once_one_gets_the_folder():
    store, start, found = RunStore(), threading.Barrier(8), []

    def begin():
        start.wait()
        try:
            found.append(store.begin(ExperimentRecord(model_name="flood"), "000001"))
        except RunTakenError:
            found.append(None)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one is not None for one in found) == 1


@pytest.mark.parametrize("name", ["..", ".", ".hidden", "a/b", "/tmp/x", "a\\b", "", "x" * 300, "a\n", "é", "a b"])
def test_a_name_chooses_no_other_place(name, tmp_path):
    store = RunStore(tmp_path / "store")
    if not name:  # none is given: the store's own
        assert store.begin(ExperimentRecord(model_name="flood"), name).folder.parent == store.root
        return
    with pytest.raises(OutputError) as caught:
        store.begin(ExperimentRecord(model_name="flood"), name)
    assert str(caught.value) == (
        f"{name!r:.100} cannot be the name of a run's folder. "
        "Use letters, digits, '-', '_' and '.', and no '.' first."
    )
    assert not (tmp_path / "store").exists()


def test_a_queued_run_is_taken_over():
    queued = queue_run(**WORK, caller=Caller(cell_source="run()"), fields={"engine": "process"})
    assert (queued.status, queued.started_at) == ("pending", None)
    on_disk = read_record(queued.record_path)
    assert (on_disk.status, on_disk.engine, on_disk.parameters) == ("pending", "process", queued.parameters)
    assert on_disk.provenance.cell_source == "run()"
    folder = queued.record_path.parent
    assert [(entry.status, entry.folder) for entry in RunStore().entries()] == [("pending", folder)]
    fields = {"experiment_id": queued.experiment_id, "engine": "process"}
    record = run(**WORK, folder_name=folder.name, is_queued=True, fields=fields)
    assert record.record_path == queued.record_path
    assert record.created_at == read_record(record.record_path).created_at == queued.created_at
    assert [(entry.status, entry.experiment_id) for entry in RunStore().entries()] == [
        ("completed", queued.experiment_id)
    ]
    assert ".claim" not in {path.name for path in folder.iterdir()}


def test_a_queued_run_is_run_once():
    queued = queue_run(**WORK)
    name, fields = queued.record_path.parent.name, {"experiment_id": queued.experiment_id}
    run(**WORK, folder_name=name, is_queued=True, fields=fields)
    before = queued.record_path.read_bytes()
    with pytest.raises(RunTakenError, match=r"which is completed\. Nothing was run\."):
        run(**WORK, folder_name=name, is_queued=True, fields=fields)
    assert queued.record_path.read_bytes() == before


def test_of_many_at_once_one_takes_the_queued_run():
    store = RunStore()
    queued = queue_run(**WORK, store=store)
    start, found = threading.Barrier(8), []

    def take():
        record = ExperimentRecord(experiment_id=queued.experiment_id, status="running")
        start.wait()
        try:
            found.append(store.begin(record, queued.record_path.parent.name, is_queued=True))
        except RunTakenError as error:
            found.append(str(error))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [one for one in found if isinstance(one, str)]
    assert len(refused) == 7
    place = str(queued.record_path.parent)
    assert set(refused) == {
        f"The queued run {queued.experiment_id[:8]} in {place!r} was taken by another process already."
    }


def test_a_queued_run_that_could_not_begin_may_begin_later(monkeypatch):
    store = RunStore()
    queued = queue_run(**WORK, store=store)
    record = ExperimentRecord(experiment_id=queued.experiment_id, status="running")

    def refuse(*_, **__):
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "write_atomic", refuse)
        with pytest.raises(OutputError, match=r"No space left on device\. Nothing was run\."):
            store.begin(record, queued.record_path.parent.name, is_queued=True)
    store.begin(record, queued.record_path.parent.name, is_queued=True)
    assert read_record(queued.record_path).status == "running"


def test_another_run_is_not_taken():
    queued = queue_run(**WORK)
    folder = queued.record_path.parent
    with pytest.raises(RunTakenError) as caught:
        run(**WORK, folder_name=folder.name, is_queued=True, fields={"experiment_id": "f" * 32})
    assert str(caught.value) == (
        f"The run ffffffff does not wait in {str(folder)!r}: there is the record of run {queued.experiment_id[:8]}, "
        "which is pending. Nothing was run."
    )
    run(**WORK, folder_name=folder.name, is_queued=True, fields={"experiment_id": queued.experiment_id})


@pytest.mark.parametrize("content", [None, "", "{"])
def test_a_queued_run_without_a_record_is_not_taken(content):
    folder = Path("experiments/000001")
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "record.json").write_text(content)
    with pytest.raises(RunTakenError, match=r"there is no record that can be read\. Nothing was run\."):
        run(**WORK, folder_name="000001", is_queued=True)


def test_a_queued_run_that_was_removed_is_not_run():
    with pytest.raises(RunTakenError, match=r"The queued run \w{8} has no folder 'experiments/000001' any more"):
        run(**WORK, folder_name="000001", is_queued=True)
    assert not Path("experiments/000001").exists()


def test_wrong_parameters_are_told_by_the_run():
    queued = queue_run("game_of_life", parameters={"generations": -1})
    fields = {"experiment_id": queued.experiment_id}
    with pytest.raises(ValueError, match="generations"):
        run(
            "game_of_life",
            parameters={"generations": -1},
            folder_name=queued.record_path.parent.name,
            is_queued=True,
            fields=fields,
        )
    assert read_record(queued.record_path).status == "failed"


def test_a_store_that_cannot_be_written():
    Path("file").touch()
    with pytest.raises(OutputError) as caught:
        queue_run(**WORK, store="file/store")
    assert str(caught.value) == (
        "The run cannot be kept in 'file/store': Not a directory. Nothing was queued. "
        "Make the folder writable, or set DISSMODEL_LAB_STORE to another."
    )


# ------------------------------------------------------------------------------------------------- listings


def waiting(store, age, **fields):
    record = ExperimentRecord(model_name="flood", created_at=datetime.now(UTC) - timedelta(seconds=age), **fields)
    record.provenance = alive()
    return store.queue(record)


def test_the_queue_is_listed_in_its_order():
    store = RunStore()
    waiting(store, 50, experiment_id="low-old", priority="low")
    waiting(store, 40, experiment_id="normal")
    waiting(store, 30, experiment_id="odd", priority={"a": 1})
    waiting(store, 20, experiment_id="high-old", priority="high", engine="dask", sweep={"id": "s1", "point": 7})
    folder = waiting(store, 10, experiment_id="high-new", priority="high").folder
    request(folder)
    running = ExperimentRecord(experiment_id="running", status="running", provenance=alive(), priority="low")
    store.begin(running)
    run(**WORK)
    gone = ExperimentRecord(experiment_id="gone", provenance=Provenance(hostname=alive().hostname, process_id=2**30))
    store.queue(gone)
    found = store.queue_entries()
    assert [(one.entry.experiment_id, one.entry.status, one.priority) for one in found] == [
        ("running", "running", "low"),
        ("high-old", "pending", "high"),
        ("high-new", "pending", "high"),
        ("normal", "pending", "normal"),
        ("odd", "pending", "normal"),
        ("low-old", "pending", "low"),
    ]
    assert [one.is_cancelled for one in found] == [False, False, True, False, False, False]
    assert (found[1].engine, found[1].sweep_id, found[1].point) == ("dask", "s1", "7")
    assert found[1].process_id == alive().process_id
    assert len(store.queue_entries(limit=3)) == 3


def test_a_listing_tells_queued_lost_and_taken_runs_apart():
    store = RunStore()
    here, other = waiting(store, 9, experiment_id="here"), alive()
    store.queue(
        ExperimentRecord(
            experiment_id="dead", provenance=other.model_copy(update={"process_started": 1.0, "process_mark": ""})
        )
    )
    store.queue(ExperimentRecord(experiment_id="far", provenance=other.model_copy(update={"hostname": "node7"})))

    def states():
        return {entry.experiment_id: (entry.status, entry.phase) for entry in store.entries()}

    assert states() == {"here": ("pending", ""), "dead": ("lost", "queued"), "far": ("pending", "")}
    taken = ExperimentRecord(experiment_id="here", status="running", provenance=alive())
    folder = store.begin(taken, here.folder.name, is_queued=True)
    assert states()["here"] == ("running", "")
    taken.status = "completed"
    store.end(folder, taken)
    assert states()["here"] == ("completed", "")


def test_the_runs_of_a_sweep_are_listed_with_the_rest():
    sweep = RunStore("experiments/20260504T030201-sweep-game_of_life-1234abcd")
    for name in ("000001", "000002", "000002-2"):
        run(**WORK, store=sweep, folder_name=name)
    (sweep.root / "sweep.json").write_text('{"points": []}')
    run(**WORK)
    assert len(sweep.entries()) == 3
    folders = {entry.folder.relative_to("experiments").as_posix() for entry in RunStore().entries()}
    assert {name for name in folders if "/" in name} == {
        f"{sweep.root.name}/{name}" for name in ("000001", "000002", "000002-2")
    }
    assert len(folders) == 4
    (entry,) = [one for one in RunStore().entries() if one.folder.name == "000002-2"]
    assert RunStore().find("000002-2").experiment_id == entry.experiment_id


def test_a_queued_run_is_either_run_or_cancelled_never_both():
    seen = set()
    for number in range(30):
        queued = queue_run(**WORK, folder_name=f"{number:06}")
        path, start, said = queued.record_path, threading.Barrier(2), []

        def take(path=path, start=start, said=said):
            start.wait()
            fields = {"experiment_id": read_record(path).experiment_id}
            try:
                run(**WORK, folder_name=path.parent.name, is_queued=True, fields=fields)
                said.append("completed")
            except RunTakenError:
                said.append("taken")
            except KeyboardInterrupt:
                said.append("interrupted")

        taker = threading.Thread(target=take)
        taker.start()
        start.wait()
        time.sleep((number % 10) * 0.0003)
        answer = cancel(read_record(path))
        taker.join()
        record = read_record(path)
        assert (said[0], answer.outcome, record.status) in {
            ("taken", "cancelled", "cancelled"),  # it was closed before it began
            ("interrupted", "asked", "cancelled"),  # it had begun, and heard it
            ("completed", "asked", "completed"),  # it heard it too late
            ("completed", "over", "completed"),
        }
        assert not (path.parent / ".claim").exists()
        assert path.with_name("journal.jsonl").read_text().count('"event": "record"') == 1
        seen.add(said[0])
    assert len(seen) > 1
