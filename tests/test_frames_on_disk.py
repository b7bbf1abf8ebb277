"""Frames on disk while a run lasts: a kill leaves them, others look on, and no file breaks who reads it."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from uuid import uuid4

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
from affine import Affine

from dissmodel_lab.engines import ProcessEngine
from dissmodel_lab.executor.events import Phase, PhaseStarted, RunFinished, Step
from dissmodel_lab.executor.schemas import utc_now
from dissmodel_lab.frames import Backdrop as Place
from dissmodel_lab.frames import FrameKeeper, Moment, RawFrame, Shown, checkpoint, read_frames
from dissmodel_lab.frames.checkpoint import (
    FILM_NAME,
    LIVE_NAME,
    WATCHED_NAME,
    Checkpoint,
    LivePicture,
    read_film,
    say_watched,
)
from dissmodel_lab.jobs import Job
from dissmodel_lab.maps.frames import Scene
from dissmodel_lab.views.followed import ToldSteps
from dissmodel_lab.views.player import LiveMap

MODEL = '''
"""A town that grows, and then does what it is told to."""
import time
from pathlib import Path
import numpy as np
from dissmodel_lab.executor import ModelExecutor, steps

class Town(ModelExecutor):
    name = "town"
    def load(self, record):
        return np.zeros((20, 30), "uint8")
    def run(self, data, record):
        heat = data.astype(float)
        layers = lambda: {"town": data, "heat": heat}
        for step in steps(range(record.parameters["steps"]), layers=layers, values=lambda: {"built": data.sum()}):
            data.flat[step] = 1
            heat += 0.5
            time.sleep(0.02)
        exec(record.parameters.get("then", ""))
        return "done"
    def save(self, result, record):
        Path(record.output_path).write_text(result)
        return record
'''
C_LOOP = "Path('started').touch(); sum(range(10**13))"


@pytest.fixture
def engine(workspace):
    Path("towns.py").write_text(MODEL)
    engine = ProcessEngine(workers=1)
    yield engine
    engine.shutdown(cancel=True)


def started(engine, **parameters):
    return engine.start(
        Job(
            model="towns:Town",
            parameters=parameters,
            store=str(Path("runs").absolute()),
            working_folder=str(Path.cwd()),
            experiment_id=uuid4().hex,
            folder_name=uuid4().hex[:12],
        )
    )


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.02)
    return found


def names(folder):
    return {path.name for path in folder.iterdir()} - {
        "record.json",
        "journal.jsonl",
        "printed.log",
        "output.txt",
        "work",
    }


CITY = Shown("", "city")


def frame(step=1, values=None, shown=CITY, **place):
    values = np.full((3, 4), step, "uint8") if values is None else values
    return RawFrame(
        Moment(step, 9, f"label {step}", None, 1, step), shown, values, Place(**{"size": (4, 3), **place})
    )


@pytest.fixture
def film(tmp_path):
    film = Checkpoint(tmp_path)
    film.save([(step, frame(step)) for step in (1, 2, 3)], [(1, (2020.0, {"area": 1.5})), (2, (None, {}))])
    return tmp_path / FILM_NAME


class TestKilled:
    def test_a_worker_killed_from_outside_leaves_its_frames(self, engine):
        handle = started(engine, steps=40, then=C_LOOP)
        until(Path("started").exists)
        os.kill(handle.record.provenance.process_id, signal.SIGKILL)
        assert handle.wait(60).status == "failed"
        assert names(handle.folder) == {FILM_NAME}
        notes = []
        frames = read_frames(handle.folder, notes)
        assert notes == []
        assert frames.moments[0].text == "start"
        # how many of the 40 were due before the kill is a question of how busy the machine is
        assert len(frames.moments) >= 2
        assert frames.moments[-1].step >= 2
        assert not (frames.pixels[0] == frames.pixels[-1]).all()
        assert frames.series.values["built"][:2] == [1.0, 2.0]  # noqa: PD011 -- no data frame
        assert frames.notes[-1] == "The run's process was ended: the last steps may be missing."

    def test_a_run_cancelled_in_a_loop_of_c_ends_as_cancelled_with_its_frames(self, engine):
        handle = started(engine, steps=20, then=C_LOOP)
        until(Path("started").exists)
        handle.cancel("too slow")
        assert handle.wait(60).status == "cancelled"
        assert len(read_frames(handle.folder).moments) >= 2

    def test_a_run_that_ends_well_leaves_the_drawn_frames_only(self, engine):
        handle = started(engine, steps=20)
        assert handle.wait(60).status == "completed"
        assert names(handle.folder) == {"frames.npz"}


class TestLive:
    def test_the_picture_changes_while_a_worker_runs_and_nothing_is_left(self, engine):
        handle = started(engine, steps=3000)
        told = ToldSteps(handle.folder)
        live = LiveMap(told)
        handle.subscribe(told)
        seen, pictures = set(), set()

        def looked():
            if live.draw():
                pictures.add(live.image.value)
                seen.add(told.newest.moment.step)
            return len(pictures) >= 3

        until(looked)
        assert live.problem == ""
        assert len(seen) >= 3
        assert [option.title for option in told.options] == ["town", "heat"]
        live.chooser.value = Shown("heat", "band_1")
        until(lambda: told.newest.shown.layer == "heat")
        handle.cancel()
        assert handle.wait(60).status == "cancelled"
        until(lambda: names(handle.folder) == {"frames.npz", "cancel"})
        assert told.newest is not None

    def test_nobody_looks_nothing_is_written(self, tmp_path):
        keeper = keeper_of(tmp_path)
        tell(keeper, 3)
        assert names(tmp_path) == {FILM_NAME}
        say_watched(tmp_path, None)
        tell(keeper, 3)
        assert names(tmp_path) == {FILM_NAME, LIVE_NAME, WATCHED_NAME}

    def test_who_has_gone_is_forgotten(self, tmp_path, monkeypatch):
        keeper = keeper_of(tmp_path)
        say_watched(tmp_path, None)
        tell(keeper, 3)
        monkeypatch.setattr(checkpoint, "_PATIENCE", 0.0)
        say_watched(tmp_path, None)
        tell(keeper, 3)
        assert names(tmp_path) == {FILM_NAME}

    def test_a_viewer_whose_run_is_over_writes_nothing(self, tmp_path):
        told = ToldSteps(tmp_path)
        told(PhaseStarted(Phase.RUN, utc_now()))
        assert told.newest is None
        assert names(tmp_path) == {WATCHED_NAME}
        told(RunFinished("completed"))
        assert told.newest is None
        assert names(tmp_path) == set()

    @pytest.mark.parametrize(
        "content", [b"", b"{", b"[1, 2, 3]", b'["", "no such band"]', b"[" * 4000, b"x" * 99_999]
    )
    def test_a_strange_wish_is_no_wish(self, tmp_path, content):
        keeper = keeper_of(tmp_path)
        tell(keeper, 1)
        (tmp_path / WATCHED_NAME).write_bytes(content)
        tell(keeper, 3)
        assert keeper.wanted is None
        assert (tmp_path / LIVE_NAME).exists()

    @pytest.mark.skipif(sys.platform == "win32", reason="there are no such pipes")
    def test_a_pipe_in_place_of_a_wish_stops_no_model(self, tmp_path):
        os.mkfifo(tmp_path / WATCHED_NAME)
        tell(keeper_of(tmp_path), 3)

    def test_a_live_map_of_a_table_finds_its_shapes_in_the_film(self, tmp_path):
        shapes = shapely.box([0, 1, 0, 1], [0, 0, 1, 1], [1, 2, 1, 2], [1, 1, 2, 2])
        table = geopandas.GeoDataFrame({"age": [1.0, 2.0, 3.0, 4.0]}, geometry=shapes, crs="EPSG:32722")
        keeper = keeper_of(tmp_path)
        say_watched(tmp_path, None)
        tell(keeper, 4, lambda: {"cells": table})
        picture = LivePicture(tmp_path)
        picture.look()
        assert picture.newest.values.tolist() == [1, 2, 3, 4]  # noqa: PD011 -- no data frame
        assert shapely.equals(picture.newest.backdrop.geometry, shapes).all()
        assert picture.newest.backdrop.crs.startswith("PROJCRS")
        assert Scene(picture.newest).paint(picture.newest.values).pixels.max() > 0


JUNK = {
    "nothing": b"",
    "text": b"no picture",
    "a large claim": b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,), }",
    "below nothing": b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (-4, -4), }",
    "objects": b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    "code": b"\x93NUMPY\x01\x00v\x00{'descr': __import__('os').abort(), 'fortran_order': False, 'shape': (), }",
    "strange facts": checkpoint._packed({"is": "frame", "place": [], "shown": 3}),
    "no facts": checkpoint._packed({"is": []}),
    "an endless item": checkpoint._packed({"is": "frame", "place": 1}).replace(b'"arrays": 0', b'"arrays": 9'),
}


class TestHostile:
    @pytest.mark.parametrize("junk", list(JUNK.values()), ids=list(JUNK))
    def test_no_live_file_breaks_the_panel(self, tmp_path, film, junk):
        picture = LivePicture(tmp_path)
        live = tmp_path / LIVE_NAME
        live.write_bytes(checkpoint._packed_frame(frame(7), 1, 0))
        picture.look()
        live.write_bytes(junk)
        picture.look()
        assert picture.newest.moment.step == 7
        live.write_bytes(checkpoint._packed_frame(frame(88), 1, 0))
        picture.look()
        assert picture.newest.moment.step == 88

    def test_things_that_are_no_file_are_passed_over(self, tmp_path):
        (tmp_path / LIVE_NAME).symlink_to("/dev/zero")
        LivePicture(tmp_path).look()
        (tmp_path / LIVE_NAME).unlink()
        (tmp_path / LIVE_NAME).mkdir()
        LivePicture(tmp_path).look()

    @pytest.mark.parametrize("junk", list(JUNK.values()), ids=list(JUNK))
    def test_a_damaged_film_is_said(self, tmp_path, junk):
        (tmp_path / FILM_NAME).write_bytes(junk)
        notes = []
        assert read_frames(tmp_path, notes) is None
        assert notes[0].startswith("The steps of this run cannot be shown: frames.part is damaged (")

    def test_of_a_torn_film_the_whole_frames_are_read(self, film):
        whole, counts = film.read_bytes(), set()
        for size in range(0, len(whole), 7):
            film.write_bytes(whole[:size])
            frames = read_frames(film.parent)
            counts.add(0 if frames is None else len(frames.moments))
        assert counts == {0, 1, 2, 3}

    def test_colours_from_a_file_are_colours(self, tmp_path):
        film = Checkpoint(tmp_path)
        film.save([(1, frame(classes={1: ("a", "red;}")}))], [])
        notes = []
        assert read_frames(tmp_path, notes) is None
        assert "its legend has colours that are none" in notes[0]


@pytest.fixture
def plenty_of_time(monkeypatch):
    """What a film holds must not depend on how busy the machine is."""
    monkeypatch.setattr(checkpoint, "_EARLY", 60.0)


@pytest.mark.usefixtures("plenty_of_time")
class TestFilm:
    def test_a_raster_comes_back_as_it_was(self, tmp_path):
        place = {
            "transform": Affine(30, 0, 500, 0, -30, 900),
            "crs": "EPSG:32722",
            "nodata": float("nan"),
            "exists": np.eye(3, 4, dtype="uint8"),
            "classes": {1: ("forest", "#2e8540")},
            "unit": "m",
        }
        masked = np.ma.MaskedArray(np.arange(12.0).reshape(3, 4), np.eye(3, 4, dtype=bool))
        Checkpoint(tmp_path).save([(1, frame(values=masked, **place))], [(1, (None, {"x": float("nan")}))])
        film = read_film(tmp_path / FILM_NAME)
        back = film.frames[0][1]
        assert (back.values == masked).all()  # noqa: PD011 -- no data frame
        assert (back.values.mask == masked.mask).all()  # noqa: PD011 -- no data frame
        assert back.moment == frame().moment
        for name in ("transform", "crs", "classes", "unit"):
            assert getattr(back.backdrop, name) == place[name]
        assert np.isnan(back.backdrop.nodata)
        assert (back.backdrop.exists == place["exists"]).all()
        assert np.isnan(film.points[0][1][1]["x"])

    @pytest.mark.parametrize(
        ("column", "expected"),
        [
            (pd.array(["a", None, "b"]), ["a", None, "b"]),
            (pd.array([True, False, None], "boolean"), ["True", "False", None]),
            (pd.array([1, None, 3], "Int64"), [1.0, "nan", 3.0]),
            (pd.Categorical(["x", "y", "x"]), ["x", "y", "x"]),
            (pd.array([5, 6, 7]), [5, 6, 7]),
        ],
    )
    def test_a_column_comes_back_with_shapes_of_any_kind(self, tmp_path, column, expected):
        shapes = np.array([shapely.Point(0, 0), None, shapely.Point(1, 1).buffer(1)])
        Checkpoint(tmp_path).save([(1, frame(values=column, geometry=shapes))], [])
        back = read_film(tmp_path / FILM_NAME).frames[0][1]
        told = back.values.tolist()  # noqa: PD011 -- no data frame
        assert ["nan" if isinstance(value, float) and np.isnan(value) else value for value in told] == expected
        assert [None if shape is None else shape.wkt for shape in back.backdrop.geometry] == [
            None if shape is None else shape.wkt for shape in shapes
        ]

    def test_a_film_of_another_band_begins_anew(self, tmp_path):
        film = Checkpoint(tmp_path)
        film.save([(1, frame(1)), (2, frame(2))], [])
        other = Shown("", "heat")
        film.save([(step, frame(step, shown=other)) for step in (1, 2, 3)], [])
        assert {one.shown for _, one in read_film(tmp_path / FILM_NAME).frames} == {other}
        assert names(tmp_path) == {FILM_NAME}

    def test_a_film_stays_small_however_long_the_run(self, tmp_path, monkeypatch):
        monkeypatch.setattr(checkpoint, "_ROOM", 4000)
        film = Checkpoint(tmp_path)
        for step in range(1, 200):
            film.save([(step, frame(step))], [])
            assert (tmp_path / FILM_NAME).stat().st_size < 6000
        assert read_film(tmp_path / FILM_NAME).frames[-1][0] == 199

    def test_what_was_torn_by_an_interrupt_is_written_anew(self, tmp_path, monkeypatch):
        film = Checkpoint(tmp_path)
        film.save([(1, frame(1))], [])

        def torn(file, content):
            os.write(file, content[: len(content) // 2])
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(film, "_write", torn)
            with pytest.raises(KeyboardInterrupt):
                film.save([(1, frame(1)), (2, frame(2))], [])
        film.save([(1, frame(1)), (2, frame(2)), (3, frame(3))], [])
        assert [count for count, _ in read_film(tmp_path / FILM_NAME).frames] == [1, 2, 3]

    def test_secrets_are_hidden(self, tmp_path):
        keeper = keeper_of(tmp_path)
        keeper.watch(Step(1, 2, label="password=hunter2", layers=lambda: {"": np.zeros((2, 2))}))
        assert b"hunter2" not in (tmp_path / FILM_NAME).read_bytes()


class TestCost:
    def test_a_dear_writing_is_not_repeated_before_it_is_within_its_share(self, monkeypatch):
        now = [100.0]
        monkeypatch.setattr(checkpoint.time, "perf_counter", lambda: now[0])
        monkeypatch.setattr(checkpoint.time, "thread_time", lambda: now[0])
        clock = checkpoint._Clock(100.0, 0.002, 2.0)
        with clock.charged():
            now[0] += 0.083
        assert clock.seconds == pytest.approx(0.083)
        assert clock.due == pytest.approx(100 + (0.083 - 0.005) / 0.002)

    def test_cheap_ones_come_soon_at_first_and_later_seldom(self, monkeypatch):
        now = [100.0]
        monkeypatch.setattr(checkpoint.time, "perf_counter", lambda: now[0])
        monkeypatch.setattr(checkpoint.time, "thread_time", lambda: now[0])
        clock, gaps = checkpoint._Clock(100.0, 0.002, 2.0), []
        for _ in range(40):
            with clock.charged():
                pass
            gaps.append(clock.due - now[0])
            now[0] = clock.due
        assert gaps[0] == pytest.approx(0.1)
        assert gaps[-1] == pytest.approx(2.0)

    def test_the_shapes_of_a_large_table_wait_for_a_long_run(self, tmp_path):
        film = Checkpoint(tmp_path)
        few, many = (
            np.array([shapely.Point(0, 0).buffer(1)] * 100),
            np.array([shapely.Point(0, 0).buffer(1)] * 10_000),
        )
        assert film._is_affordable(frame(geometry=few))
        assert not film._is_affordable(frame(geometry=many))
        film._began -= 60
        assert film._is_affordable(frame(geometry=many))

    def test_a_disk_that_fails_hurts_no_model(self, tmp_path):
        keeper = keeper_of(tmp_path / "gone")
        tell(keeper, 3)
        assert keeper.copies == 3
        assert keeper._disk_due == float("inf")

    def test_a_child_that_the_model_forked_writes_nothing(self, tmp_path):
        keeper = keeper_of(tmp_path)
        keeper._process += 1
        tell(keeper, 3)
        assert names(tmp_path) == set()


def keeper_of(folder):
    """Return a keeper whose run has begun in a folder."""
    keeper = FrameKeeper(saves=True)
    keeper._disk, keeper._disk_due = Checkpoint(folder), 0.0
    return keeper


def tell(keeper, n_steps, layers=None):
    """Tell steps with time between them, as if each took long."""
    grid = np.zeros((4, 5), "uint8")
    for _ in range(n_steps):
        if keeper._disk is not None and keeper._disk_due < float("inf"):
            keeper._disk_due = keeper._disk._film_clock.due = keeper._disk._live_clock.due = 0.0
        keeper._not_before = 0.0
        if keeper._next_live < float("inf"):
            keeper._next_live = 0.0
        grid.flat[keeper._count % 20] += 1
        keeper.watch(Step(keeper._count + 1, None, layers=layers or (lambda: {"": grid})))


def test_facts_are_json_and_no_pickle(film):
    with film.open("rb") as file:
        facts = json.loads(np.load(file, allow_pickle=False).tobytes())
    assert facts == {"is": "film", "format": 1, "arrays": 0}
