"""Tags and notes of a run: they come and go, the record stays, and nothing in the file stops a listing."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dissmodel_lab import RunStore, run
from dissmodel_lab.annotations import Annotations, annotate, annotations_path, read_annotations
from dissmodel_lab.errors import LabError, OutputError
from dissmodel_lab.executor.testing import SteppingExecutor


@pytest.fixture
def record(workspace):
    path = workspace / "record.json"
    path.write_text("{}")
    return path


def lines_of(record):
    return [json.loads(line) for line in annotations_path(record).read_text(encoding="utf-8").splitlines()]


def test_tags_come_and_go_and_notes_stay(record, monkeypatch):
    monkeypatch.setattr(getpass, "getuser", lambda: "ana")
    assert annotate(record, tags=["paper", " draft ", "paper"]).tags == ("paper", "draft")
    assert annotate(record, untag=["draft"], tags=["thesis"], note=" Figure 3.\nSee folder. ").tags == (
        "paper",
        "thesis",
    )
    assert annotate(record, tags=["draft"]).tags == ("paper", "thesis", "draft")
    found = read_annotations(record)
    (note,) = found.notes
    assert (note.text, note.author) == ("Figure 3.\nSee folder.", "ana")
    assert datetime.now(UTC) - note.at < timedelta(minutes=1)
    assert found.n_skipped == 0
    assert [(line["tags"], line["untag"], line["by"]) for line in lines_of(record)] == [
        (["paper", "draft"], [], "ana"),
        (["thesis"], ["draft"], "ana"),
        (["draft"], [], "ana"),
    ]


def test_the_record_never_changes():
    record = run(SteppingExecutor)
    path = record.record_path
    before = (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
    annotate(path, tags=["paper"], note="checked by hand")
    assert RunStore().annotate(record.experiment_id, untag=["paper"]).tags == ()
    assert (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) == before
    assert RunStore().entries()[0].status == "completed"


def test_a_record_beside_an_output_has_annotations_of_its_own(workspace):
    one, other = workspace / "a.tif.record.json", workspace / "b.tif.record.json"
    for path in (one, other):
        path.write_text("{}")
    annotate(one, tags=["paper"])
    assert annotations_path(one) == workspace / "a.tif.record.annotations.jsonl"
    assert read_annotations(one).tags == ("paper",)
    assert read_annotations(other) == Annotations()


def test_unicode_is_written_as_it_is_read(record):
    composed, decomposed = "S\u00e3o Lu\u00eds", "Sa\u0303o Lui\u0301s"
    assert annotate(record, tags=[decomposed]).tags == (composed,)
    assert annotate(record, untag=[composed]).tags == ()
    assert composed in annotations_path(record).read_text(encoding="utf-8")


def test_secrets_are_hidden(record):
    annotate(record, tags=["token=s3cr3t"], note="read from s3://key:s3cr3t@bucket/x.tif with password=s3cr3t")
    assert "s3cr3t" not in annotations_path(record).read_text()
    found = read_annotations(record)
    assert found.tags == ("token=***",)
    assert found.notes[0].text == "read from s3://***@bucket/x.tif with password=***"


GOOD = {"at": "2026-11-23T12:00:00+00:00", "by": "ana", "tags": ["good"], "untag": [], "note": ""}


@pytest.mark.parametrize(
    "line",
    [
        b"\x00\xff\xfe",
        b"{",
        b'{"at": "2026-11-23T12:00:00+00:00", "tags": ["bad"',
        b"[]",
        b"null",
        b"3",
        b"[" * 100_000,
        json.dumps(GOOD | {"at": 5}).encode(),
        json.dumps(GOOD | {"at": "yesterday"}).encode(),
        json.dumps(GOOD | {"at": "0001-01-01T00:00:00+12:00"}).encode(),
        json.dumps({"tags": ["bad"]}).encode(),
        json.dumps(GOOD | {"tags": "bad"}).encode(),
        json.dumps(GOOD | {"tags": [5]}).encode(),
        json.dumps(GOOD | {"tags": None}).encode(),
        json.dumps(GOOD | {"tags": ["a,b"]}).encode(),
        json.dumps(GOOD | {"tags": ["bad\n"] * 51 + ["\x1b[31m"]}).encode(),
        json.dumps(GOOD | {"tags": ["\ud800"]}).encode(),
        json.dumps(GOOD | {"note": ["bad"]}).encode(),
        json.dumps(GOOD | {"note": "\x1b]0;bad\x07"}).encode(),
        json.dumps(GOOD | {"note": "bad" * 2_000}).encode(),
        json.dumps(GOOD | {"by": {"name": "bad"}}).encode(),
        json.dumps(GOOD | {"by": "\u202ebad"}).encode(),
    ],
)
def test_torn_and_foreign_lines_are_skipped_and_counted(record, line):
    good = json.dumps(GOOD).encode()
    annotations_path(record).write_bytes(b"\n".join([good, line, b"", good, b""]))
    assert read_annotations(record) == Annotations(("good",), (), 1)


def test_a_line_of_a_newer_version_counts(record):
    annotations_path(record).write_text(json.dumps(GOOD | {"colour": "red", "note": "new"}) + "\n")
    found = read_annotations(record)
    assert (found.tags, found.notes[0].text, found.n_skipped) == (("good",), "new", 0)


def test_a_torn_last_line_takes_nothing_with_it(record):
    annotations_path(record).write_bytes(json.dumps(GOOD).encode() + b'\n{"at": "2026')
    assert annotate(record, tags=["next"]) == Annotations(("good", "next"), (), 1)
    assert annotate(record, tags=["last"]) == Annotations(("good", "next", "last"), (), 1)


def test_a_file_without_an_end_is_read_in_part(record):
    good = json.dumps(GOOD).encode() + b"\n"
    annotations_path(record).write_bytes(good + b" " * (5 * 1024 * 1024) + good)
    assert read_annotations(record) == Annotations(("good",), (), 0)


WRITER = """
import sys
from dissmodel_lab.annotations import annotate
for number in range(25):
    annotate("record.json", tags=[f"{sys.argv[1]}-{number}"], note="x" * 3_000)
"""


def test_processes_that_write_at_once_lose_nothing(record):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(name)], cwd=record.parent, stderr=subprocess.PIPE)
        for name in range(4)
    ]
    for writer in writers:
        assert writer.communicate(timeout=120)[1] == b""
    found = read_annotations(record)
    assert sorted(found.tags) == sorted(f"{name}-{number}" for name in range(4) for number in range(25))
    assert (len(found.notes), found.n_skipped) == (100, 0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "There is nothing to add to the run. Give a tag or a note."),
        ({"note": " \n"}, "There is nothing to add to the run. Give a tag or a note."),
        ({"tags": "paper"}, "tags is a list of tags, got the text 'paper'. Write ['paper']."),
        ({"tags": [3]}, "A tag is a text, got 3 of type int."),
        ({"tags": ["a,b"]}, "A tag cannot hold a comma, got 'a,b'. Give two tags."),
        (
            {"tags": [" "]},
            "A tag has 1 to 50 letters, digits and other visible signs on one line, got ' '.",
        ),
        (
            {"tags": ["a\nb"]},
            "A tag has 1 to 50 letters, digits and other visible signs on one line, got 'a\\nb'.",
        ),
        (
            {"tags": ["a" * 51]},
            f"A tag has 1 to 50 letters, digits and other visible signs on one line, got '{'a' * 51}'.",
        ),
        ({"tags": [f"t{n}" for n in range(51)]}, "51 tags at once are too many; 50 are allowed."),
        (
            {"tags": ["a"], "untag": ["a"]},
            "The tag 'a' is to be added and taken away at once. Leave one out.",
        ),
        ({"untag": ["papper"]}, "The run has no tag 'papper'. Did you mean 'paper'? Known: paper."),
        ({"note": 3}, "A note is a text, got 3 of type int."),
        (
            {"note": "x" * 4_001},
            (
                "The note is 4,001 characters long; 4,000 are allowed. "
                "Keep a longer text in a file of its own and name it in the note."
            ),
        ),
        (
            {"note": "a\x1b[31mb"},
            "The note holds signs that cannot be shown. Write letters, digits and other visible signs.",
        ),
    ],
)
def test_what_is_refused_changes_nothing(record, given, message):
    annotate(record, tags=["paper"])
    before = annotations_path(record).read_bytes()
    with pytest.raises(LabError, match=f"^{re.escape(message)}$"):
        annotate(record, **given)
    assert annotations_path(record).read_bytes() == before


def test_a_record_that_is_not_there(workspace):
    with pytest.raises(OutputError, match=r"^There is no record 'no.json' to annotate\. See the runs with: runs\.$"):
        annotate("no.json", tags=["a"])
    assert list(workspace.iterdir()) == []


def refused(record, reason):
    path = str(annotations_path(record))
    return (
        f"^{re.escape(f'The annotation cannot be kept in {path!r}: {reason}. Nothing was changed. ')}"
        "Make the run's folder writable, or copy the run into a store of your own.$"
    )


def test_a_link_is_not_followed(record, workspace):
    other = workspace / "important.txt"
    other.write_text("important\n")
    annotations_path(record).symlink_to(other)
    with pytest.raises(OutputError, match=refused(record, "it is a link, and is not followed")):
        annotate(record, tags=["a"])
    assert other.read_text() == "important\n"
    assert read_annotations(record) == Annotations()


def test_a_folder_or_a_pipe_in_its_place(record):
    path = annotations_path(record)
    path.mkdir()
    with pytest.raises(OutputError, match=refused(record, "Is a directory")):
        annotate(record, tags=["a"])
    assert read_annotations(record) == Annotations()
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(OutputError, match=refused(record, "it is no ordinary file")):
        annotate(record, tags=["a"])
    assert read_annotations(record) == Annotations()  # and neither waits for anybody


def test_a_full_disk_is_said_and_leaves_a_line_that_is_skipped(record, monkeypatch):
    annotate(record, tags=["before"])
    whole_write = os.write

    def half_write(file, content):
        return whole_write(file, content[: len(content) // 2])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", half_write)
        with pytest.raises(OutputError, match=refused(record, "No space left on device")):
            annotate(record, tags=["lost"])
    assert read_annotations(record) == Annotations(("before",), (), 1)
    assert annotate(record, tags=["after"]) == Annotations(("before", "after"), (), 1)


def test_who_has_no_name_is_nobody(record, monkeypatch):
    def nameless():
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert annotate(record, note="x").notes[0].author == ""


def test_paths_that_are_none():
    assert read_annotations("a\x00b/record.json") == Annotations()
    assert read_annotations(Path("nowhere", "record.json")) == Annotations()
