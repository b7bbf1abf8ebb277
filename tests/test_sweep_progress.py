"""How far a sweep is said to be: what is at work, how long the rest takes, and what a resume adds."""

from __future__ import annotations

import json

import pytest

from dissmodel_lab.sweeps import ledger, plan_sweep, sweep
from dissmodel_lab.sweeps.folder import SweepFacts, SweepFolder, new_id
from dissmodel_lab.views.sweep_text import progress_text

START = 1_000_000.0


class Clock:
    """Stands in for the module ``time`` of the ledger."""

    def __init__(self):
        self.now = START

    def time(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(ledger, "time", made)
    return made


@pytest.fixture
def folder(tmp_path):
    design = plan_sweep("game_of_life", {"generations": "1:12:12"})
    facts = SweepFacts(id=new_id(), created_at="2026-01-01T00:00:00+00:00", design=design, executor_class="")
    return SweepFolder.create(tmp_path, facts)


def begun(folder, n_workers=2):
    written = ledger.Ledger(folder, 12)
    written.open_session(n_workers)
    return written


def end(written, point, seconds=1.0):
    written.add(ledger.Result(point, 1, "completed", "", {}, seconds))


def read(folder, *, is_driven=True):
    found = ledger.Ledger(folder, 12)
    found.refresh()
    return found.progress(is_driven=is_driven)


def test_what_waits_for_a_worker_is_not_at_work(clock, folder):
    written = begun(folder)
    for point in range(1, 7):
        written.add(ledger.Result(point, 1, "running"))
    progress = read(folder)
    assert (progress.running, progress.waiting, progress.total) == (2, 10, 12)
    rows = written.rows(folder.read().design, "id", is_driven=True)
    assert [row.point for row in rows if row.status == "running"] == [1, 2]
    assert rows[2].record_path is None
    end(written, 1)
    rows = written.rows(folder.read().design, "id", is_driven=True)
    assert [row.point for row in rows if row.status == "running"] == [2, 3]


def test_the_start_of_the_workers_is_no_part_of_the_pace(clock, folder):
    written = begun(folder)
    assert read(folder).eta is None
    clock.now += 20  # two workers start
    end(written, 1, 1.0)
    assert read(folder).eta == pytest.approx(11 * 1.0 / 2)
    end(written, 2, 1.0)
    clock.now += 1.5
    end(written, 3, 1.0)
    end(written, 4, 1.0)
    assert read(folder).eta == pytest.approx(8 * 1.5 / 2)
    assert read(folder).seconds == pytest.approx(21.5)
    assert read(folder, is_driven=False).eta is None


def test_what_a_resume_finds_on_disk_ended_before(clock, folder):
    written = begun(folder)
    for point in range(1, 6):
        end(written, point)
    written.close_session()
    clock.now += 3600
    written = begun(folder)
    written.add(ledger.Result(6, 1, "completed", "", {}, 1.0), is_found=True)
    assert read(folder).eta is None
    assert read(folder).earlier == 6
    for point in range(7, 13):
        clock.now += 0.5
        end(written, point)
    written.close_session()
    progress = read(folder, is_driven=False)
    assert (progress.ended, progress.earlier, progress.state) == (12, 6, "finished")
    assert progress_text(progress) == (
        "12 of 12 runs ended: 12 completed; finished: 6 runs in 3.0 s, the other 6 before"
    )


def test_a_resume_with_nothing_to_do_does_not_claim_the_runs(clock, folder):
    written = begun(folder)
    for point in range(1, 13):
        end(written, point)
    written.close_session()
    begun(folder).close_session()
    assert progress_text(read(folder, is_driven=False)).endswith("finished; none of them in the last 0 ms")


def test_results_of_earlier_versions_can_be_read(folder):
    lines = [
        {"session": START},
        {"point": 1, "attempt": 1, "status": "completed", "error": "", "metrics": {"a": 1.0}, "seconds": 2.0},
        {"point": 2, "attempt": 1, "status": "running"},
        {"session_end": START + 5, "problem": "gone"},
    ]
    (folder.path / ledger.RESULTS_NAME).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    progress = read(folder, is_driven=False)
    assert (progress[:6], progress.problem) == ((1, 0, 0, 0, 11, 5.0), "gone")
    assert read(folder).running == 1


def test_an_engine_tells_how_many_workers_it_has():
    done = sweep("game_of_life", {"generations": "1,2"}, engine="inline", store="runs")
    first = json.loads((done.folder / ledger.RESULTS_NAME).read_text().splitlines()[0])
    assert first["workers"] == 1
