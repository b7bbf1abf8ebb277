"""A store, used through two objects and by hand, beside a dict that says what should be in it."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test

from dissmodel_lab import ExperimentRecord, RunStore
from dissmodel_lab.cancelling import cancel_run
from dissmodel_lab.conditions import parse_condition
from dissmodel_lab.errors import LabError, RunNotFoundError
from dissmodel_lab.executor.events import Phase, PhaseStarted
from dissmodel_lab.executor.schemas import Provenance
from dissmodel_lab.index import UNREADABLE, RunQuery
from dissmodel_lab.processes import process_started
from properties import examples

DAY = datetime(2026, 1, 1, tzinfo=UTC)
TAGS = ("paper", "draft", "ação")


class Kept(NamedTuple):
    """What is known of one record in the store."""

    id: str
    status: str
    years: int
    created: datetime
    tags: tuple[str, ...] = ()
    phase: str = ""
    notes: tuple[str, ...] = ()


class StoreMachine(RuleBasedStateMachine):
    """Each rule does one thing to the store and to ``known``: folder, seen from the store -> what lies there."""

    folders = Bundle("folders")

    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="store-", dir="."))
        self.stores = [RunStore(self.root), RunStore(self.root.resolve())]
        self.known: dict[str, Kept] = {}
        self.open = {}  # folder -> (RunFolder, record)
        self.n_made = 0

    def teardown(self):
        for run, _ in self.open.values():
            run.close()
        shutil.rmtree(self.root)

    def _new(self, years):
        self.n_made += 1
        return ExperimentRecord(
            experiment_id=f"{self.n_made:04x}{os.urandom(4).hex()}",
            model_name="flood",
            parameters={"years": years},
            created_at=DAY + timedelta(seconds=self.n_made),
            status="running",
            provenance=Provenance(
                hostname=platform.node(), process_id=os.getpid(), process_started=process_started(os.getpid())
            ),
        )

    # --- what runs do

    @rule(target=folders, which=st.sampled_from([0, 1]), years=st.integers(0, 3))
    def begin(self, which, years):
        record = self._new(years)
        run = self.stores[which].begin(record)
        self.known[run.folder.name] = Kept(record.experiment_id, "running", years, record.created_at)
        self.open[run.folder.name] = (run, record)
        return run.folder.name

    @rule(target=folders, which=st.sampled_from([0, 1]), years=st.integers(0, 3), name=st.sampled_from(["", "q"]))
    def queue(self, which, years, name):
        record = self._new(years)
        run = self.stores[which].queue(record, f"{name}{self.n_made}" if name else "")
        self.known[run.folder.name] = Kept(record.experiment_id, "pending", years, record.created_at)
        return run.folder.name

    @rule(folder=folders, which=st.sampled_from([0, 1]))
    def begin_what_is_queued(self, folder, which):
        kept = self.known.get(folder)
        if kept is None or kept.status != "pending" or "/" in folder:
            return
        record = self._new(kept.years)
        record.experiment_id = kept.id
        run = self.stores[which].begin(record, folder, is_queued=True)
        self.known[folder] = kept._replace(status="running")
        self.open[folder] = (run, record)

    @rule(folder=folders, phase=st.sampled_from(list(Phase)))
    def enter_phase(self, folder, phase):
        if folder in self.open:
            self.open[folder][0](PhaseStarted(phase, DAY))
            self.known[folder] = self.known[folder]._replace(phase=phase.value)

    @rule(folder=folders, which=st.sampled_from([0, 1]), status=st.sampled_from(["completed", "failed", "cancelled"]))
    def end(self, folder, which, status):
        if folder not in self.open:
            return
        run, record = self.open.pop(folder)
        record.status = status
        record.failed_phase = self.known[folder].phase or None if status != "completed" else None
        record.steps = record.parameters["years"]
        self.stores[which].end(run, record)
        self.known[folder] = self.known[folder]._replace(status=status, phase=record.failed_phase or "")

    @rule(folder=folders, which=st.sampled_from([0, 1]))
    def cancel(self, folder, which):
        kept = self.known.get(folder)
        if (
            kept is None or kept.status == "running"
        ):  # that would end this very process's run: tests/test_cancelling.py
            return
        if kept.status == UNREADABLE:
            with pytest.raises(RunNotFoundError):
                cancel_run(self.stores[which], folder)
            return
        cancel_run(self.stores[which], folder)
        if kept.status == "pending":
            self.known[folder] = kept._replace(status="cancelled")

    # --- what people do

    @rule(folder=folders, which=st.sampled_from([0, 1]), tag=st.sampled_from(TAGS))
    def tag(self, folder, which, tag):
        kept = self.known.get(folder)
        if kept is None:
            return
        found = self.stores[which].annotate(folder, tags=[tag])
        self.known[folder] = kept._replace(tags=tuple(dict.fromkeys((*kept.tags, tag))))
        assert found.tags == self.known[folder].tags

    @rule(folder=folders, which=st.sampled_from([0, 1]), tag=st.sampled_from(TAGS))
    def untag(self, folder, which, tag):
        kept = self.known.get(folder)
        if kept is None:
            return
        if tag not in kept.tags:
            with pytest.raises(LabError, match=f"The run has no tag '{tag}'"):
                self.stores[which].annotate(folder, untag=[tag])
            return
        self.stores[which].annotate(folder, untag=[tag])
        self.known[folder] = kept._replace(tags=tuple(one for one in kept.tags if one != tag))

    @rule(folder=folders, which=st.sampled_from([0, 1]), note=st.sampled_from(["Figure 3.", "wrong input\nsee mail"]))
    def note(self, folder, which, note):
        kept = self.known.get(folder)
        if kept is not None:
            found = self.stores[which].annotate(folder, note=note)
            self.known[folder] = kept._replace(notes=(*kept.notes, note))
            assert tuple(one.text for one in found.notes) == self.known[folder].notes

    # --- what is done by hand

    @rule(folder=folders)
    def remove(self, folder):
        if self.known.pop(folder, None) is not None:
            if folder in self.open:
                self.open.pop(folder)[0].close()
            shutil.rmtree(self.root / folder)

    @rule(target=folders, folder=folders, into=st.sampled_from(["", "from ana/"]))
    def copy_beside(self, folder, into):
        if folder not in self.known:
            return multiple()
        self.n_made += 1
        copy = f"{into}{folder.rpartition('/')[2]}-{self.n_made}"
        shutil.copytree(self.root / folder, self.root / copy)
        self.known[copy] = self.known[folder]
        return copy

    @rule(folder=folders)
    def break_the_record(self, folder):
        kept = self.known.get(folder)
        if kept is None or folder in self.open or kept.status == UNREADABLE:
            return
        path = self.root / folder / "record.json"
        path.write_bytes(path.read_bytes()[:-20])
        self.known[folder] = kept._replace(status=UNREADABLE)

    @rule(which=st.sampled_from([0, 1]))
    def reindex(self, which):
        found = self.stores[which].reindex()
        broken = [kept for kept in self.known.values() if kept.status == UNREADABLE]
        assert (found.n_records, found.n_unreadable) == (len(self.known), len(broken))

    @rule(which=st.sampled_from([0, 1]))
    def reopen(self, which):
        self.stores[which] = RunStore(self.root)

    @rule()
    def lose_the_index(self):
        for path in self.root.glob(".index*"):
            shutil.rmtree(path)

    # --- what must always hold

    @invariant()
    def both_list_what_is_there(self):
        for store in self.stores:
            entries = store.entries()
            listed = {self._place(store, entry): entry for entry in entries}
            assert len(listed) == len(entries)
            assert set(listed) == set(self.known)
            for folder, kept in self.known.items():
                entry = listed[folder]
                assert entry.status == kept.status, folder
                assert set(entry.tags) == set(kept.tags), folder
                if kept.status != UNREADABLE:
                    assert (entry.experiment_id, entry.created_at) == (kept.id, kept.created)
                    assert entry.phase == (kept.phase if kept.status != "completed" else "")
            created = [entry.created_at for entry in entries if entry.status != UNREADABLE]
            assert created == sorted(created, reverse=True)

    @rule(which=st.sampled_from([0, 1]), years=st.integers(0, 3), tag=st.sampled_from(TAGS))
    def ask(self, which, years, tag):
        store, known = self.stores[which], self.known.items()
        readable = [(folder, kept) for folder, kept in known if kept.status != UNREADABLE]
        for query, wanted in (
            (RunQuery(status="completed"), {f for f, kept in known if kept.status == "completed"}),
            (RunQuery(tag=tag), {f for f, kept in known if tag in kept.tags}),
            (RunQuery(where=parse_condition(f"years > {years}")), {f for f, kept in readable if kept.years > years}),
            (
                RunQuery(where=parse_condition(f"status == 'failed' or tag == '{tag}'")),
                {f for f, kept in known if kept.status == "failed" or tag in kept.tags},
            ),
        ):
            assert {self._place(store, entry) for entry in store.select(query)} == wanted
            assert store.count(query) == len(wanted)

    @rule(which=st.sampled_from([0, 1]), folder=folders)
    def find(self, which, folder):
        kept, store = self.known.get(folder), self.stores[which]
        if kept is None:
            with pytest.raises(RunNotFoundError):
                store.find(folder)
            return
        assert self._place(store, store.find(folder)) == folder
        same = [f for f, other in self.known.items() if other.id == kept.id and other.status != UNREADABLE]
        if kept.status != UNREADABLE and len(same) == 1:
            record = store.read(kept.id)
            assert (record.status, record.parameters) == (kept.status, {"years": kept.years})
        elif kept.status != UNREADABLE:
            with pytest.raises(RunNotFoundError):
                store.read(kept.id)

    @staticmethod
    def _place(store, entry):
        return entry.folder.relative_to(store.root).as_posix()


def test_a_store_is_what_was_put_into_it():
    run_state_machine_as_test(StoreMachine, settings=examples(12, stateful_step_count=25))
