"""Frames of a run: which are taken, what they cost, how they look, and what stays on disk."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine

from dissmodel_lab import ModelExecutor, frames, report_step, run, steps
from dissmodel_lab.errors import SourceError
from dissmodel_lab.executor import ExperimentRecord, execute_lifecycle
from dissmodel_lab.executor.events import Step, StepFinished
from dissmodel_lab.frames import FrameKeeper, Moment, RawFrame, Series, Shown, read_frames, write_frames
from dissmodel_lab.maps.frames import Scene
from dissmodel_lab.rasters import Raster


class Told(ModelExecutor, register=False):
    """Runs a function that reports steps."""

    name = "told"

    def __init__(self, body, data=None):
        self._body, self._data = body, data

    def load(self, record):
        return self._data

    def run(self, data, record):
        self._body(data)
        return "done"

    def save(self, result, record):
        Path(record.output_path).write_text(result)
        return record


def kept(body, data=None, keeper=None, **options):
    keeper = keeper or FrameKeeper(**options)
    record = run(Told(body, data), observers=[keeper], watchers=[keeper.watch])
    return keeper, Path(record.record_path).parent


@pytest.fixture
def generous(monkeypatch):
    """Let copies cost what they like: what is tested is which are taken."""
    monkeypatch.setattr(frames, "ALLOWANCE", 3600.0)


def growing(n_steps, size=(4, 6), **options):
    """Set one more cell at each step."""

    def body(data):
        grid = np.zeros(size, "int32")
        for step in steps(range(1, n_steps + 1), layers=lambda: {"city": grid}, **options):
            grid.flat[(step - 1) % grid.size] = step

    return body


def cells(n=9, **columns):
    side = int(n**0.5)
    column, row = np.arange(n) % side, np.arange(n) // side
    columns = {name: np.asarray(values) for name, values in columns.items()}
    return geopandas.GeoDataFrame(columns, geometry=shapely.box(column, -row - 1, column + 1, -row))


def test_every_step_of_a_short_run_is_kept(generous):
    keeper, _ = kept(growing(20))
    assert [moment.step for moment in keeper.frames.moments] == list(range(1, 21))
    last = keeper.frames.pixels[-1]
    assert np.count_nonzero(last != last[-1, -1]) == 20  # as many cells as steps have a colour of their own
    assert (keeper.frames.pixels[0] != keeper.frames.pixels[-1]).any()


@pytest.mark.parametrize("n_steps", [47, 48, 49, 100, 1000, 4801])
@pytest.mark.parametrize("is_known", [True, False])
def test_a_long_run_keeps_few_even_ones_with_the_first_and_the_last(generous, n_steps, is_known):
    def body(data):
        grid = np.zeros((3, 3), "int64")
        for step in range(1, n_steps + 1):
            grid[0, 0] = step
            report_step(step, n_steps if is_known else None, layers=lambda: {"": grid})

    keeper, _ = kept(body)
    told = [moment.step for moment in keeper.frames.moments]
    assert (told[0], told[-1]) == (1, n_steps)
    assert len(told) <= frames.MOST
    assert len(told) >= min(n_steps, 20)
    gaps = np.diff(told)
    assert gaps.max() <= 3 * gaps.min() + 1


def test_the_state_before_the_first_step_comes_from_the_loaded_data(generous):
    grid = np.full((4, 5), 7, "uint8")

    def body(data):
        for _ in steps(range(3), layers=lambda: {"world": data}):
            data[0, 0] += 1

    keeper, _ = kept(body, grid)
    assert [moment.text for moment in keeper.frames.moments][:2] == ["start", "step 1 of 3: 0"]
    labels = {entry.value for entry in keeper.frames.legend.entries}
    assert labels == {7, 8, 9, 10}
    assert len(np.unique(keeper.frames.pixels[0])) == 1


def test_loaded_data_of_another_shape_are_no_first_frame(generous):
    keeper, _ = kept(growing(2, size=(3, 3)), np.zeros((9, 9), "int32"))
    assert [moment.step for moment in keeper.frames.moments] == [1, 2]


def test_the_last_state_is_kept_however_soon_it_comes(monkeypatch):
    monkeypatch.setattr(frames, "ALLOWANCE", 0.0)
    monkeypatch.setattr(frames, "SHARE", 1e-9)
    keeper, _ = kept(growing(30))
    assert [moment.step for moment in keeper.frames.moments] == [1, 30]


def test_the_state_in_which_a_run_failed_is_kept(generous):
    def body(data):
        grid = np.zeros((2, 2), "uint8")
        for step in steps(range(1, 9), layers=lambda: {"": grid}):
            grid[0, 0] = step
            if step == 5:
                raise RuntimeError("broken")

    keeper = FrameKeeper()
    with pytest.raises(RuntimeError, match="broken"):
        run(Told(body), observers=[keeper], watchers=[keeper.watch])
    assert keeper.frames.moments[-1].label == "4 (stopped after it)"
    assert {entry.value for entry in keeper.frames.legend.entries} == {0, 1, 2, 3, 5}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("broken")])
@pytest.mark.parametrize("allowance", [0.0, 3600.0])
@pytest.mark.parametrize("is_called", [True, False])
def test_values_of_a_step_that_was_not_completed_are_not_told(monkeypatch, error, allowance, is_called):
    monkeypatch.setattr(frames, "ALLOWANCE", allowance)
    monkeypatch.setattr(frames, "SHARE", 1e-9)
    area, events = {"area": 0}, []

    def body(data):
        values = (lambda: dict(area)) if is_called else area
        for step in steps(range(1, 9), values=values, layers=lambda: {"": np.zeros((2, 2))}):
            area["area"] = step
            if step == 5:
                raise error

    keeper = FrameKeeper()
    with pytest.raises(type(error)):
        run(Told(body), observers=[keeper, events.append], watchers=[keeper.watch])
    series = keeper.series()
    assert series.values["area"] == series.counts
    assert series.counts[-1] == (4 if allowance else 1)
    told = [event for event in events if isinstance(event, StepFinished)]
    assert [event.step for event in told] == [1, 4]
    assert dict(told[1].values) == {}
    assert [event.label for event in told] == ["1", "4"]


def test_values_that_were_told_before_a_run_was_stopped_are_its_last_ones(monkeypatch):
    monkeypatch.setattr(frames, "ALLOWANCE", 0.0)
    monkeypatch.setattr(frames, "SHARE", 1e-9)

    def body(data):
        for step in range(1, 9):
            if step == 5:
                raise KeyboardInterrupt
            report_step(step, 8, values={"area": step})

    keeper = FrameKeeper()
    with pytest.raises(KeyboardInterrupt):
        run(Told(body), observers=[keeper], watchers=[keeper.watch])
    assert (keeper.series().counts, keeper.series().values) == ([1, 4], {"area": [1.0, 4.0]})


def test_the_first_column_that_changes_is_shown_with_its_past(generous):
    table = cells(9, id=np.arange(9), road=np.ones(9), use=np.zeros(9, int), late=np.zeros(9, int))

    def body(data):
        for step in steps(range(1, 7), layers=lambda: {"land": data}):
            if step >= 3:
                data["use"] = np.where(np.arange(9) < step, 1, 0)
            if step >= 5:
                data["late"] = step

    keeper, _ = kept(body, table)
    assert keeper.frames.band == "use"
    assert [moment.step for moment in keeper.frames.moments] == list(range(7))
    counts = [int((picture == 2).sum()) for picture in keeper.frames.pixels]
    assert counts == [0, 0, 0, 3, 4, 5, 6]


def test_when_nothing_changes_the_first_band_is_shown(generous):
    arrays = {"_hidden": np.ones((2, 2)), "soil": np.zeros((2, 2))}
    backend = SimpleNamespace(arrays=arrays)
    keeper, _ = kept(lambda data: [report_step(step, 2, layers=lambda: {"b": backend}) for step in (1, 2)])
    assert keeper.frames.band == "soil"
    assert keeper.options == (Shown("b", "soil"), Shown("b", "_hidden"))


def test_a_second_part_continues_and_one_of_another_size_is_left_out(generous):
    def body(data):
        grid, other = np.zeros((3, 3), int), np.zeros((5, 5), int)
        for part, layers in ((1, {"one": grid}), (2, {"two": grid}), (3, {"three": other})):
            for step in (1, 2):
                next(iter(layers.values()))[:] += 1
                report_step(step, 2, part=part, layers=layers.copy)

    keeper, _ = kept(body)
    assert [moment.text for moment in keeper.frames.moments] == [
        "step 1 of 2",
        "step 2 of 2",
        "part 2, step 1 of 2",
        "part 2, step 2 of 2",
    ]
    assert "Frames of a map of another size are left out." in keeper.frames.notes


def test_one_scale_holds_for_all_frames(generous):
    grid = np.zeros((2, 2))

    def body(data):
        for step in steps(range(1, 4), layers=lambda: {"": grid}):
            grid[:] = [[step, 10 * step], [np.nan, np.inf]]

    keeper, _ = kept(body)
    legend = keeper.frames.legend
    assert (legend.kind, legend.low, legend.high) == ("continuous", 1.0, 30.0)
    assert keeper.frames.pixels[0, 0, 0] == 1
    assert keeper.frames.pixels[-1, 0, 1] == 255
    assert (keeper.frames.pixels[:, 1] == 0).all()  # NaN and infinite cells are transparent


def test_nodata_classes_unit_and_masks_are_those_of_the_data(generous):
    classes = {"use": {1: ("forest", "#009e73"), 2: ("farm", "#e69f00")}}
    raster = Raster(
        array=np.array([[[1, 2, 99]]], "uint8"), bands=("use",), nodata=99, classes=classes, units={"use": "class"}
    )
    keeper, _ = kept(lambda data: report_step(1, 1, layers=lambda: {"": raster}))
    assert [(entry.label, entry.colour) for entry in keeper.frames.legend.entries] == [
        ("forest", "#009e73"),
        ("farm", "#e69f00"),
    ]
    assert keeper.frames.pixels.tolist() == [[[1, 2, 0]]]
    assert keeper.frames.legend.unit == "class"
    masked = np.ma.MaskedArray([[1, 2]], mask=[[False, True]])
    keeper, _ = kept(lambda data: report_step(1, 1, layers=lambda: {"": masked}))
    assert keeper.frames.pixels.tolist() == [[[1, 0]]]


def test_texts_have_one_colour_in_all_frames(generous):
    table = cells(4, state=["tree"] * 4)

    def body(data):
        for texts in steps(
            (["ash", "tree", "tree", "tree"], ["ash", "ash", "fire", "tree"]), layers=lambda: {"": data}
        ):
            data["state"] = texts

    keeper, _ = kept(body, table)
    assert [entry.label for entry in keeper.frames.legend.entries] == ["ash", "fire", "tree"]
    assert keeper.frames.pixels.reshape(3, 4).tolist() == [[3, 3, 3, 3], [1, 3, 3, 3], [1, 1, 2, 3]]


def test_a_table_is_asked_for_its_shapes_once_a_column(generous, monkeypatch):
    asked, usual = [], frames._backdrop

    def backdrop(data, band):
        asked.append(band)
        return usual(data, band)

    monkeypatch.setattr(frames, "_backdrop", backdrop)

    def body(table):
        for step in steps(range(1, 7), layers=lambda: {"": table}):
            table["age"] = float(step)

    keeper, _ = kept(body, cells(4, age=[0.0] * 4))
    assert asked == ["age"]
    assert len(keeper.frames.moments) == 7
    colours = keeper.frames.pixels[:, 0, 0].tolist()
    assert colours == sorted(set(colours))


def test_a_large_raster_lies_where_it_lies(generous):
    array = np.arange(1001 * 700, dtype="float64").reshape(1001, 700)
    raster = Raster(array=array[np.newaxis], bands=("dem",), transform=Affine(30, 0, 5e5, 0, -30, 9e6), crs=None)
    frame = FrameKeeper()._copied({"": raster}, Shown("", "dem"), Moment(1))
    assert max(frame.values.shape) <= frames.SIDE
    grid = Scene(frame).grid(frame.values)
    for row, column in ((0, 0), (-1, -1), (10, 20)):
        value = grid.values[row, column]
        y, x = divmod(int(value), 700)
        at = grid.transform * (column % grid.values.shape[1] + 0.5, row % grid.values.shape[0] + 0.5)
        where = raster.transform * (x + 0.5, y + 0.5)
        assert np.abs(np.subtract(at, where)).max() <= 2.5 * 30


class Clock:
    """Time that only passes when it is told to."""

    def __init__(self, monkeypatch):
        self.now = self.busy = 100.0
        monkeypatch.setattr(
            frames, "time", SimpleNamespace(perf_counter=lambda: self.now, thread_time=lambda: self.busy)
        )

    def work(self, seconds):
        self.now += seconds
        self.busy += seconds

    def wait(self, seconds):
        self.now += seconds


def test_copies_stay_within_their_share(monkeypatch):
    clock = Clock(monkeypatch)
    keeper, grid = FrameKeeper(live=True), np.zeros((10, 10))

    def layers():
        clock.work(0.0002)
        grid.flat[0] += 1
        return {"": grid}

    for step in range(1, 2001):
        clock.work(0.001)
        keeper.watch(Step(step, layers=layers, values={"a": step}))
    assert 0.005 < keeper.seconds <= 0.005 * 2.0 + frames.ALLOWANCE + 0.0002
    assert keeper.copies > 40


def test_live_frames_follow_the_choice_and_kept_ones_do_not(generous, monkeypatch):
    monkeypatch.setattr(frames, "LIVE_INTERVAL", 0.0)
    arrays = {"use": np.zeros((2, 2), int), "age": np.zeros((2, 2), int)}
    keeper = FrameKeeper(live=True)
    seen = []

    def body(data):
        for step in steps(range(1, 5), layers=lambda: {"b": SimpleNamespace(arrays=arrays)}):
            arrays["use"] += 1
            arrays["age"] += step
            if step == 2:
                keeper.wanted = Shown("b", "age")
            if keeper.newest:
                seen.append((keeper.newest.shown.band, int(keeper.newest.values[0, 0])))

    kept(body, keeper=keeper)
    assert seen == [("use", 1), ("age", 3), ("age", 6)]
    assert keeper.frames.band == "use"
    assert len(keeper.frames.moments) == 4


def test_without_somebody_to_look_there_is_no_live_frame(generous):
    keeper, _ = kept(growing(3))
    assert keeper.options == (Shown("city", "band_1"),)
    assert FrameKeeper().newest is None


def test_memory_bounds_the_number_of_frames(generous, monkeypatch):
    monkeypatch.setattr(frames, "ROOM", 10 * 9 * 8)
    table = cells(9, use=np.zeros(9))

    def body(data):
        for step in steps(range(1, 101), layers=lambda: {"": data}):
            data["use"] = float(step)

    keeper, _ = kept(body, table)
    assert len(keeper.frames.moments) <= 12


def test_values_are_kept_thinned_with_the_last(generous):
    def body(data):
        for step in range(1, 1001):
            report_step(step, 1000, values={"area": step / 2, "text": "odd", **({"late": 1.0} if step > 500 else {})})

    keeper, folder = kept(body)
    series = keeper.frames.series
    assert set(series.values) == {"area", "late"}
    assert len(series.counts) <= frames.POINTS
    assert series.counts[0] == 1
    assert series.counts[-1] == 1000
    assert series.values["area"] == [count / 2 for count in series.counts]
    assert np.isnan(series.values["late"][0])
    assert keeper.frames.moments == ()
    assert read_frames(folder).series.values["area"] == series.values["area"]


def test_what_is_read_is_what_was_written(generous):
    keeper, folder = kept(growing(12, values={"a": 1.5}), np.zeros((4, 6), "int32"))
    found = read_frames(folder)
    assert (found.pixels == keeper.frames.pixels).all()
    for name in ("moments", "legend", "band", "layer", "bounds", "is_georeferenced", "crs", "notes", "series"):
        assert getattr(found, name) == getattr(keeper.frames, name), name
    assert found.png(3) == keeper.frames.png(3)


def test_the_file_is_small_whatever_the_frames_hold(generous):
    random = np.random.default_rng(1)

    def body(data):
        grid = random.random((256, 256))
        for _ in steps(range(60), layers=lambda: {"": grid}):
            grid[:] = random.random((256, 256))

    keeper, folder = kept(body)
    assert len(keeper.frames.moments) > 30
    assert (folder / frames.FILE_NAME).stat().st_size <= frames.FILE_ROOM
    found = read_frames(folder)
    assert found.moments[0] == keeper.frames.moments[0]
    assert found.moments[-1] == keeper.frames.moments[-1]


def test_a_run_that_tells_nothing_leaves_no_file():
    keeper, folder = kept(lambda data: None, np.zeros((2, 2)))
    assert keeper.frames is None
    assert not (folder / frames.FILE_NAME).exists()
    assert read_frames(folder) is None


def test_a_lifecycle_without_a_store_keeps_frames_in_memory(generous):
    keeper = FrameKeeper()
    record = ExperimentRecord(output_path="out.txt")
    execute_lifecycle(Told(growing(2)), record, observers=[keeper], watchers=[keeper.watch])
    assert len(keeper.frames.moments) == 2


def test_secrets_in_labels_are_not_written(generous):
    _, folder = kept(growing(2, label=lambda step: "token=hunter2", values={"password=hunter2": 1.0}))
    with np.load(folder / frames.FILE_NAME) as arrays:
        assert b"hunter2" not in arrays["facts"].tobytes()


@pytest.mark.parametrize(
    "data", [np.array([["a", "b"]]), np.zeros((2, 2), complex), object(), geopandas.GeoDataFrame({"a": [1, 2]})]
)
def test_data_that_are_no_map_stop_nothing(generous, data):
    keeper, _ = kept(lambda _: [report_step(step, 2, layers=lambda: {"x": data}) for step in (1, 2)])
    assert keeper.frames is None


def test_what_cannot_be_drawn_is_said(generous, monkeypatch):
    class Odd(Scene):
        def paint_all(self, copies):
            raise SourceError("These values have no colour.")

    monkeypatch.setattr("dissmodel_lab.maps.frames.Scene", Odd)
    keeper, _ = kept(growing(2))
    assert keeper.frames is None
    assert keeper.notes == ["The steps could not be drawn: These values have no colour."]
    frame = RawFrame(Moment(1), Shown("", "b"), np.zeros((2, 2), complex), frames.Backdrop(size=(2, 2)))
    with pytest.raises(SourceError, match="complex128"):
        Scene(frame).grid(frame.values)


def rewritten(folder, **changes):
    """Write the run's file again with other parts."""
    path = folder / frames.FILE_NAME
    with np.load(path) as arrays:
        parts = {name: arrays[name] for name in arrays.files}
    facts = json.loads(parts["facts"].tobytes())
    for name, value in changes.items():
        if name in parts:
            parts[name] = value
        else:
            facts[name] = value
    parts["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    np.savez_compressed(path, **parts)


SPOILED = {
    "pixels": ({"pixels": np.zeros((3, 2), "uint8")}, "its pictures and its steps do not fit together"),
    "colours": ({"pixels": np.full((2, 4, 6), 200, "uint8")}, "a pixel has a colour that is not in its legend"),
    "times": ({"times": np.zeros(1)}, "its series are not of one length"),
    "legend": ({"legend": {"entries": [], "scale": ["red"], "title": "", "kind": "classes"}}, "a pixel has a colour"),
    "kind": ({"legend": {"entries": [], "scale": ["#ffffff"] * 9, "title": "", "kind": "odd"}}, "of no known kind"),
    "moments": ({"moments": [{"no": 1}]}, "TypeError"),
}


@pytest.mark.parametrize(("changes", "reason"), SPOILED.values(), ids=SPOILED)
def test_a_spoiled_file_is_none_with_a_reason(generous, changes, reason):
    _, folder = kept(growing(2))
    rewritten(folder, **changes)
    notes = []
    assert read_frames(folder, notes) is None
    assert len(notes) == 1
    assert reason in notes[0]


def test_a_damaged_file_is_none_with_a_reason(generous):
    _, folder = kept(growing(2))
    path = folder / frames.FILE_NAME
    whole = path.read_bytes()
    for content in (b"", b"odd", whole[: len(whole) // 2], whole[:60] + b"\0" * 20 + whole[80:]):
        path.write_bytes(content)
        notes = []
        assert read_frames(folder, notes) is None
        assert notes[0].startswith("The steps of this run cannot be shown: frames.npz is damaged (")


def test_a_file_with_pickled_objects_or_a_bomb_is_not_opened(generous, monkeypatch):
    _, folder = kept(growing(2))
    path = folder / frames.FILE_NAME
    np.savez(path, facts=np.array([object()], dtype=object))
    notes = []
    assert read_frames(folder, notes) is None
    assert "allow_pickle=False" in notes[0]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pixels.npy", bytes(70 << 20))
    path.write_bytes(buffer.getvalue())
    assert read_frames(folder, notes) is None
    assert "it unpacks to more than 64 MiB" in notes[1]


def test_a_file_that_cannot_be_written_is_said(generous, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(frames, "write_atomic", refuse)
    keeper, _ = kept(growing(2))
    assert keeper.notes == ["The frames could not be kept: No space left on device."]
    assert len(keeper.frames.moments) == 2


def test_moments_are_chosen_evenly_in_time(generous):
    keeper, _ = kept(growing(40))
    film = keeper.frames
    assert film.spread(5) == [0, 10, 20, 29, 39] or film.spread(5) == [0, 10, 19, 29, 39]
    assert film.spread(100) == list(range(len(film.moments)))


def test_built_in_models_tell_maps_and_values():
    for model, band, name in (
        ("coastal_flood", "cover_after", "flooded area [km2]"),
        ("forest_fire", "state_after", "burnt area [ha]"),
        ("game_of_life", "last", "alive"),
    ):
        keeper = FrameKeeper()
        record = run(model, observers=[keeper], watchers=[keeper.watch])
        assert keeper.frames.band == band
        first, *_, last = keeper.frames.pixels
        assert (first != last).any()
        assert name in keeper.frames.series.values
        outputs = {"coastal_flood": "flooded_area_km2", "forest_fire": "burnt_area_ha", "game_of_life": "alive_last"}
        assert keeper.frames.series.values[name][-1] == pytest.approx(record.metrics[outputs[model]])


def test_a_series_without_times_is_by_step():
    assert Series([1, 2], [1.0, float("nan")], {"a": [1.0, 2.0]}).x == [1.0, 2.0]
    assert Series([1, 2], [2030.0, 2020.0], {"a": [1.0, 2.0]}).x_name == "step"


def test_writing_thins_down_to_two_and_then_one(generous, monkeypatch, tmp_path):
    keeper, _ = kept(growing(20))
    monkeypatch.setattr(frames, "FILE_ROOM", 10)
    write_frames(tmp_path, keeper.frames)
    assert [moment.step for moment in read_frames(tmp_path).moments] == [20]


def test_a_copy_that_waited_for_another_thread_does_not_silence_the_rest(monkeypatch):
    clock = Clock(monkeypatch)
    monkeypatch.setattr(frames, "ALLOWANCE", 0.0)
    waits = iter([0.0, 0.1, 0.1])

    def layers():
        clock.work(0.001)
        clock.wait(next(waits, 0.0))
        return {"": np.zeros((2, 2))}

    keeper = FrameKeeper()
    gates = []
    for step in (1, 2, 3):
        keeper._not_before = 0.0
        keeper.watch(Step(step, layers=layers))
        gates.append(keeper._not_before - clock.now)
    assert gates[1] == pytest.approx(0.001 / frames.SHARE)  # once it is taken for a wait
    assert gates[2] == pytest.approx(0.101 / frames.SHARE)  # twice it is what such a copy costs
    assert keeper.seconds == pytest.approx(0.203)


def test_cells_outside_of_the_mask_band_are_clear_in_every_frame():
    class Masked(ModelExecutor, register=False):
        def load(self, record):
            use = np.array([[1.0, 2.0, -1.0], [3.0, -1.0, -1.0]])
            return SimpleNamespace(arrays={"use": use, "mask": (use > 0).astype("float32")}, shape=(2, 3))

        def run(self, data, record):
            for _ in steps(range(4), layers=lambda: {"land": data}):
                data.arrays["use"][0, 0] += 1

        def save(self, result, record):
            return record

    keeper = FrameKeeper()
    execute_lifecycle(Masked(), ExperimentRecord(), observers=[keeper], watchers=[keeper.watch])
    clear = [(picture == 0).tolist() for picture in keeper.frames.pixels]
    assert clear == [[[False, False, True], [False, True, True]]] * len(clear)
    assert "Cells outside of the band 'mask' are not shown." in keeper.frames.notes
