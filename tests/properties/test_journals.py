"""Journals and annotations: whatever is cut off or spoiled, every whole line before and behind it is read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissmodel_lab import run
from dissmodel_lab.annotations import annotate, annotations_path, read_annotations
from dissmodel_lab.errors import LabError
from dissmodel_lab.executor.events import LogLine, PhaseFinished, RunFinished, RunStarted, StepFinished
from dissmodel_lab.journal import JournalReader, Story
from dissmodel_lab.store.reading import journal_phase, journal_sha256
from properties import examples

# What no writer of ours puts into a line: an end of a line. What is JSON and an object would be a line of ours.
NOISE = st.binary(max_size=40).filter(lambda part: b"\n" not in part and not part.strip().startswith(b"{"))
LINES = st.dictionaries(
    st.text(max_size=6), st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8)), max_size=3
)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The folder of a run that told some steps."""
    store = tmp_path_factory.mktemp("told")
    return run("game_of_life", parameters={"generations": 3}, store=store).record_path.parent


@examples(60)
@given(st.lists(LINES, max_size=6), NOISE, st.integers(1, 9))
def test_a_cut_tail_loses_no_whole_line(tmp_path_factory, lines, tail, pieces):
    folder = tmp_path_factory.mktemp("journal")
    content = b"".join(json.dumps(line).encode() + b"\n" for line in lines) + tail
    read = []
    with JournalReader(folder) as reader, (folder / "journal.jsonl").open("wb", buffering=0) as file:
        step = max(1, len(content) // pieces)
        for start in range(0, len(content), step):  # it is read while it is written
            file.write(content[start : start + step])
            read += reader.lines()
        read += reader.lines()
        assert read == lines
        # a process that takes over ends the broken line first, and what it tells is read
        file.write(b'\n{"event": "log"}\n')
        assert list(reader.lines()) == [{"event": "log"}]


@examples(40)
@given(st.data())
def test_any_cut_of_a_real_journal_is_told_up_to_there(told, tmp_path_factory, data):
    whole = (told / "journal.jsonl").read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    folder = tmp_path_factory.mktemp("cut") / told.name
    shutil.copytree(told, folder)
    (folder / "journal.jsonl").write_bytes(whole[:cut] + data.draw(NOISE))
    n_whole = whole[:cut].count(b"\n")
    with JournalReader(folder) as reader:
        lines = list(reader.lines())
    assert lines == [json.loads(line) for line in whole.split(b"\n")[:n_whole]]
    events = list(Story(folder).events(lambda: True))
    assert isinstance(events[0], RunStarted)
    assert events[-1] == RunFinished("completed")
    for kind, name in ((StepFinished, "step"), (PhaseFinished, "phase_completed"), (LogLine, "log")):
        n_told = sum(line["event"] == name for line in lines)
        assert sum(isinstance(event, kind) for event in events) == n_told
    phases = [line["phase"] for line in lines if line["event"] == "phase_started"]
    assert journal_phase(str(folder).encode()) == (phases[-1] if phases else "")
    assert journal_sha256(folder) in ("", journal_sha256(told))


@examples(60)
@given(st.data())
def test_a_journal_with_any_bytes_changed_is_read(told, tmp_path_factory, data):
    content = bytearray((told / "journal.jsonl").read_bytes())
    for _ in range(data.draw(st.integers(1, 12))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("bent") / told.name
    shutil.copytree(told, folder)
    (folder / "journal.jsonl").write_bytes(content)
    events = list(Story(folder).events(lambda: True))
    assert events[-1] == RunFinished("completed")


CHANGES = st.one_of(
    st.tuples(st.just("tag"), st.sampled_from(["paper", "draft", "ação"])),
    st.tuples(st.just("untag"), st.sampled_from(["paper", "draft"])),
    st.tuples(st.just("note"), st.sampled_from(["Figure 3.", "two\nlines", "é" * 50])),
    st.tuples(st.just("noise"), NOISE.filter(bytes.strip)),
)


@examples(40)
@given(st.lists(CHANGES, max_size=8), st.sampled_from([0, 2, 3, 9, 30]))
def test_annotations_are_those_that_were_made_whatever_lies_between(changes, cut):
    record = Path("record.json")
    record.write_text("{}", encoding="utf-8")
    path = annotations_path(record)
    path.unlink(missing_ok=True)
    tags, notes, noise = {}, [], 0
    for kind, said in changes:
        if kind == "tag":
            annotate(record, tags=[said])
            tags[said] = None
        elif kind == "untag" and said in tags:
            annotate(record, untag=[said])
            del tags[said]
        elif kind == "untag":
            with pytest.raises(LabError, match="has no tag"):
                annotate(record, untag=[said])
        elif kind == "note":
            annotate(record, note=said)
            notes.append(said)
        else:
            with path.open("ab") as file:
                file.write(said + b"\n")
            noise += 1
    found = read_annotations(record)
    assert (list(found.tags), [note.text for note in found.notes]) == (list(tags), notes)
    assert found.n_skipped == noise
    if path.exists() and cut:  # a kill in the middle of the next line
        annotate(record, tags=["later"])
        path.write_bytes(path.read_bytes()[:-cut])
        assert list(read_annotations(record).tags) == list(tags)
        assert annotate(record, tags=["again"]).tags == (*tags, "again")
