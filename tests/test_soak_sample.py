"""A sample of what tests/soak does ten thousand times; and that its counting notices what it is there for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from soak import report, scenarios
from soak.counting import count, output_path_of
from soak.faults import library
from soak.place import Place
from soak.run import soak

from dissmodel_lab import RunStore
from dissmodel_lab.engines.slot import forget_abandoned
from dissmodel_lab.exports.target import temporary_for
from dissmodel_lab.sources.cache import DataCache
from dissmodel_lab.store import read_record
from dissmodel_lab.store.tidying import tidy

SAMPLE = ("inline", "writer records", "disk faults", "clock")


def test_a_sample_loses_nothing_tears_nothing_and_leaves_nothing(workspace):
    chosen = [scenario for scenario in scenarios.ALL if scenario.name in SAMPLE]
    told = list(soak(chosen, workspace / "soak", seed=20_261_123, scale=0.01))
    total = report.Soak(told, 1, 50, 10, "now", 1.0)
    faults = {one.name: one.counts.faults() for one in told if one.counts.n_faults()}
    assert faults == {}
    assert total.verdict.startswith("Passed: "), total.verdict
    by_name = {one.name: one.counts for one in told}
    inline = by_name["inline"]
    assert inline.kills == {"SIGKILL": 2, "SIGTERM": 2, "SIGINT": 2}
    assert inline.statuses["lost"] > 0
    assert inline.announced == inline.records + inline.never_began
    assert inline.outputs == inline.outputs_intact == inline.statuses["completed"] > 12
    for name in ("disk faults", "clock"):
        done = next(one for one in told if one.name == name)
        assert bool(done.not_done) is (library() is None)
    assert not list((workspace / "soak").iterdir())  # all was well


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A place with runs of which some were killed, in which nothing is wrong."""
    place = Place(tmp_path_factory.mktemp("soaked"))
    assert place.work("inline_kills", seed=5, kills=3, runs_each=4) == []
    assert count(place).n_faults() == 0
    return place


@pytest.fixture
def place(sound, workspace):
    """A copy of it, to be damaged."""
    subprocess.run(["cp", "-a", sound.folder, workspace / "copy"], check=True)
    copy = Place(workspace / "copy")
    text = copy.ledger.path.read_text().replace(str(sound.folder), str(copy.folder))
    copy.ledger.path.write_text(text)
    for path in copy.store.glob("*/record.json"):  # outputs that were asked for elsewhere
        path.write_text(path.read_text().replace(str(sound.folder), str(copy.folder)))
    return copy


def completed(place):
    found = [read_record(path) for path in sorted(place.store.glob("*/record.json"))]
    # with its output in its own folder: no second record stands beside it
    own = [record for record in found if "/" not in record.artifact_paths.get("output", "/")]
    return next(record for record in own if record.status == "completed")


def damage_torn(place):
    path = completed(place).record_path
    path.write_bytes(path.read_bytes()[:200])


def damage_lost(place):
    completed(place).record_path.unlink()


def damage_missing(place):
    output_path_of(completed(place)).unlink()


def damage_wrong(place):
    output = output_path_of(completed(place))
    output.write_bytes(output.read_bytes()[:-1] + b"?")


def damage_changed(place):
    place.source.write_bytes(place.source.read_bytes() + b"?")


def damage_left_files(place):
    (place.store / "inputs").mkdir()
    (place.store / "inputs" / ".4194304-7f00.tmp").touch()


def damage_contradictions(place):
    record = completed(place)
    path = record.record_path
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": "failed"}))


@pytest.mark.parametrize(
    "damage",
    [
        damage_torn,
        damage_lost,
        damage_missing,
        damage_wrong,
        damage_changed,
        damage_left_files,
        damage_contradictions,
    ],
)
def test_the_counting_notices_planted_damage(place, damage):
    assert count(place).n_faults() == 0
    damage(place)
    counts = count(place)
    name = damage.__name__.removeprefix("damage_")
    found = {kind: len(items) for kind, items in counts.faults().items() if items}
    # a record that cannot be read is of a run that began: it is lost, too
    assert found == ({"torn": 1, "lost": 1} if name == "torn" else {name: 1})
    soaked = report.Soak([scenarios.Told("planted", "damage", counts=counts)], 1, 1, 1, "now", 1.0)
    assert soaked.verdict.startswith("Not passed: ")
    assert f"1 {name.replace('_', ' ')}" in soaked.verdict


def test_the_counting_notices_processes_that_are_left(place, monkeypatch):
    monkeypatch.setattr("soak.place._PATIENCE", 0.1)
    left = subprocess.Popen([sys.executable, "-c", "input()"], env=place.environment(), stdin=subprocess.PIPE)
    counts = count(place)
    assert [int(one.partition(":")[0]) for one in counts.left_processes] == [left.pid]
    left.communicate()
    assert left.returncode < 0


def test_too_few_runs_do_not_pass(place):
    told = scenarios.Told("few", "runs", counts=count(place))
    assert report.Soak([told], 1, 10_000, 1000, "now", 1.0).verdict == (
        f"Not passed: only {told.counts.announced} runs and 3 kills, with nothing lost, torn or left over."
    )


class Parsed(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


def test_the_report_says_what_was_not_done_and_escapes_what_it_quotes(place, workspace):
    damage_left_files(place)
    told = [
        scenarios.Told("some", "runs", counts=count(place)),
        scenarios.Told("absent", "nothing", not_done="no C compiler"),
    ]
    told[0].counts.problems.append("<script>alert(1)</script>")
    whole = report.Soak(told, 7, 10, 3, "2026-05-04T03:02:01+00:00", 61.0)
    data, page = report.write(whole, workspace / "report")
    said = json.loads(data.read_text())
    assert (said["passed"], said["seed"], said["scenarios"][1]["not_done"]) == (False, 7, "no C compiler")
    assert said["total"]["kills"] == {"SIGKILL": 1, "SIGTERM": 1, "SIGINT": 1}
    parsed = Parsed(page.read_text())
    assert not {"script", "link", "img", "iframe"} & set(parsed.tags)
    assert "absent: no C compiler" in parsed.text
    assert said["verdict"] in parsed.text
    assert "store/inputs/.4194304-7f00.tmp" in parsed.text


# --- what the soak has found


def test_reindex_removes_what_a_killed_run_was_about_to_write_and_keeps_its_evidence(place):
    folder = next(entry.folder for entry in RunStore(place.store).entries() if entry.status == "lost")
    record = read_record(folder / "record.json")
    number = record.provenance.process_id
    for name in (f".{number}-7f00.tmp", ".room", ".live", ".watched", ".claim", "frames.part"):
        (folder / name).touch()
    (folder / "partial").mkdir(exist_ok=True)
    (folder / "partial" / "output.bin").write_bytes(b"half")
    RunStore(place.store).reindex()
    names = {path.name for path in folder.iterdir()}
    assert names <= {"record.json", "journal.jsonl", "frames.part", "partial"}
    assert {"frames.part", "partial"} <= names
    assert (folder / "partial" / "output.bin").read_bytes() == b"half"


def test_reindex_leaves_alone_what_is_at_work_or_young(place):
    record = completed(place)
    folder = record.record_path.parent
    record.status, record.provenance.process_id = "running", os.getpid()
    record.provenance.process_mark, record.provenance.process_started = "", None
    (folder / "record.json").write_text(record.model_dump_json())
    (folder / f".{os.getpid()}-7f00.tmp").touch()
    (folder / ".room").touch()
    young = place.store / "20261123T120000-soaked-00000000"
    young.mkdir()
    tidy(place.store)
    assert {f".{os.getpid()}-7f00.tmp", ".room"} <= {path.name for path in folder.iterdir()}
    assert young.is_dir()
    os.utime(young, (0, 0))
    tidy(place.store)
    assert not young.exists()


def test_what_killed_exports_workers_and_downloads_left_goes_when_it_is_old(workspace):
    for name in ("0" * 32, "1" * 32):
        crate = workspace / f".{name}.partial"
        (crate / "inner").mkdir(parents=True)
        (workspace / f"dissmodel-lab-4194304-{name}.printed").touch()
    cache = DataCache(workspace / "cache").writable()
    left = [cache.root / "objects" / f".{'2' * 32}", cache.root / "entries" / ".4194304-7f00-a.json.tmp"]
    left[0].mkdir()
    left[1].touch()
    for old in (workspace / f".{'0' * 32}.partial", *left):
        for path in (*old.rglob("*"), old):
            os.utime(path, (0, 0))
    os.utime(workspace / f"dissmodel-lab-4194304-{'0' * 32}.printed", (0, 0))
    temporary_for(workspace / "crate")
    forget_abandoned(workspace)
    cache.shrink()
    assert not any(path.exists() for path in left)
    assert sorted(path.name for path in Path(workspace).iterdir() if path.name != "cache") == [
        f".{'1' * 32}.partial",
        f"dissmodel-lab-4194304-{'1' * 32}.printed",
    ]
