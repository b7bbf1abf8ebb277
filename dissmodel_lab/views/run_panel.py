"""A run in a cell: live while it lasts, a static picture of itself when it is over, then player and map to explore.

The live panel is replaced by static HTML and PNG in the same output, because a widget does not survive
in a saved notebook. The map to explore is an output of its own behind it.
"""

from __future__ import annotations

import contextvars
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from dissmodel_lab.artifacts import is_map_file
from dissmodel_lab.class_tables import class_tables, forget_class_tables
from dissmodel_lab.executor.events import Phase, PhaseFinished, PhaseStarted, RunStarted
from dissmodel_lab.executor.schemas import RunStatus
from dissmodel_lab.frames import FrameKeeper
from dissmodel_lab.language import mark, message, say
from dissmodel_lab.progress import Progress
from dissmodel_lab.provenance import loaded_executor
from dissmodel_lab.sources import source_path
from dissmodel_lab.views.cancel_button import INLINE, WHY, WORKER, CancelButton, Interruption
from dissmodel_lab.views.followed import FollowedProgress, ToldSteps
from dissmodel_lab.views.outputs import MAP_NEEDS_KERNEL, CellOutput
from dissmodel_lab.views.phases import PhasePanel
from dissmodel_lab.views.player import LiveMap, StepPlayer

# Maps and the record's page load numpy: they are imported where they are first needed, after the panel is seen.
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dissmodel_lab.engines import RunHandle
    from dissmodel_lab.executor.events import Event, Observer, Watcher
    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.maps import Preview
    from dissmodel_lab.views.outputs import Output
    from dissmodel_lab.views.record import RunMaps

_Result = TypeVar("_Result")

_NOT_OVER = mark("This run was not over when the notebook was saved: %dissmodel runs tells how it ended.")


class Listeners(NamedTuple):
    """Who hears the events of a run in a cell, and who watches its steps: arguments of ``run``."""

    observers: tuple[Observer, ...]
    watchers: tuple[Watcher, ...]
    """Without them the run has no live map and keeps no frames."""


def run_in_cell(
    call: Callable[[Listeners], ExperimentRecord],
    output: Output | None = None,
    map_output: Output | None = None,
) -> ExperimentRecord:
    """
    Run with a live panel in a cell's output.

    Parameters
    ----------
    call : callable
        Takes the listeners, runs with them, and returns the record or raises.
    output, map_output : Output, optional
        Where the run and the map to explore are shown; new outputs of the cell when not given.

    Returns
    -------
    ExperimentRecord
        What ``call`` returned.

    Raises
    ------
    BaseException
        What ``call`` raised; the static picture of the run is shown before.
    """
    interruption, keeper = Interruption(), FrameKeeper(live=True)
    # Only the main thread can be interrupted.
    on_main = threading.current_thread() is threading.main_thread()
    cancel = CancelButton(interruption.interrupt, INLINE, blocks=True) if on_main else None
    live = LiveRun(Progress(), keeper, cancel)
    output = output or CellOutput()
    _begin(live, output, map_output)
    try:
        with interruptible(), interruption.possible():
            record = call(Listeners((live, keeper, interruption), (keeper.watch,)))
    finally:
        live.panel.stop()
        maps = live.show_static(output)
    offer_map(record, maps, map_output or CellOutput())
    return record


def run_handle_in_cell(
    handle: RunHandle, output: Output | None = None, map_output: Output | None = None
) -> ExperimentRecord:
    """
    Show a run of another process with a live panel, and wait for it; an interrupt of the kernel cancels it.

    Parameters
    ----------
    handle : RunHandle
        As an engine returned it.
    output, map_output : Output, optional
        Where the run and the map to explore are shown; new outputs of the cell when not given.

    Returns
    -------
    ExperimentRecord
        Of the completed run.

    Raises
    ------
    BaseException
        What ended the run; the static picture of it is shown before.
    """
    cancel = CancelButton(lambda: handle.cancel(WHY), WORKER, blocks=True)
    live = LiveRun(FollowedProgress(), ToldSteps(handle.folder), cancel)
    output = output or CellOutput()

    def watch() -> None:
        _begin(live, output, map_output)
        handle.subscribe(live)
        handle.wait()

    try:
        with interruptible():
            _or_cancel(watch, handle, live)
    finally:
        live.panel.stop()
        live.progress.record = handle.record
        maps = live.show_static(output)
    record = _result(handle)
    offer_map(record, maps, map_output or CellOutput())
    return record


def _begin(live: LiveRun, output: Output, map_output: Output | None) -> None:
    if map_output is not None:  # it may still show the map of the run before
        map_output.show_static({"text/plain": "", "text/html": ""})
    output.show_widget(live.panel.widget, say(_NOT_OVER))
    live.panel.start()


def _or_cancel(watch: Callable[[], None], handle: RunHandle, live: LiveRun) -> None:
    """Watch a run to its end; an interrupt at any moment cancels it, and a second one stops waiting for that."""
    try:
        watch()
    except KeyboardInterrupt:
        if live.panel.cancel is not None:
            live.panel.cancel.note_asked()
        handle.cancel(WHY)
        handle.wait()


def _result(handle: RunHandle) -> ExperimentRecord:
    try:
        return handle.result()
    except KeyboardInterrupt as interrupt:
        record = handle.record
        if record is not None and not getattr(interrupt, "__notes__", None):
            interrupt.add_note(f"The record of this run is {record.record_path}")
        raise


def watch_rerun(call: Callable[[tuple[Observer, ...]], _Result], output: Output | None = None) -> _Result:
    """
    Show the phases of a run in another process for as long as it lasts; its verdict is shown after it.

    Parameters
    ----------
    call : callable
        Takes observers, runs with them, and returns what came of it or raises.
    output : Output, optional
        Where to show it; a new output of the cell when not given.

    Returns
    -------
    object
        What ``call`` returned.

    Raises
    ------
    BaseException
        What ``call`` raised.
    """
    progress, interruption = Progress(), Interruption()
    panel = PhasePanel(progress, cancel=CancelButton(interruption.interrupt, WORKER, blocks=True))
    output = output or CellOutput()
    output.show_widget(panel.widget, say("This run is not over."))
    panel.start()
    try:
        with interruptible(), interruption.possible():
            return call((progress,))
    finally:
        panel.stop()
        output.show_static({"text/plain": "", "text/html": ""})
        panel.close()


def show_record(record: ExperimentRecord) -> None:
    """
    Show a run: its static picture, then a map to explore; a live panel while it still waits or works.

    Parameters
    ----------
    record : ExperimentRecord
        As it was read from the store.
    """
    from dissmodel_lab.views.record import changes_since, maps_of, record_bundle  # noqa: PLC0415 -- see above

    if record.status in (RunStatus.PENDING, RunStatus.RUNNING):
        from dissmodel_lab.views.background import show_going  # noqa: PLC0415 -- few runs are still going
        from dissmodel_lab.views.on_disk import is_going  # noqa: PLC0415

        if is_going(record):
            show_going(record)
            return
    maps = maps_of(record)
    maps.notes += changes_since(record)
    CellOutput().show_static(record_bundle(record, maps))
    offer_map(record, maps, CellOutput())


def offer_map(record: ExperimentRecord, maps: RunMaps, output: Output) -> None:
    """
    Show the player of the run's steps, and the map to explore of what could be drawn of a completed run.

    Parameters
    ----------
    record : ExperimentRecord
        Of a run that is over.
    maps : RunMaps
        Its static pictures and frames.
    output : Output
        Where to show them.
    """
    import ipywidgets as widgets  # noqa: PLC0415 -- see above

    from dissmodel_lab.maps.kept import kept_georeference  # noqa: PLC0415
    from dissmodel_lab.views.map_view import MapView  # noqa: PLC0415

    parts: list[Any] = []
    if maps.frames is not None and len(maps.frames.moments) > 1:
        parts.append(StepPlayer(maps.frames).widget)
    layers: dict[str, Any] = {}
    output_name = say("output")
    if maps.after is not None:
        layers[output_name] = record.artifact_path()
    if maps.before is not None and (path := source_path(record)) is not None:
        layers[say("input")] = path
    if record.status == RunStatus.COMPLETED and layers:
        classes, place = loaded_executor(record), kept_georeference(record)
        places = {output_name: place} if place is not None else {}
        parts.append(MapView(layers, classes=classes, georeferences=places).widget)
    if parts:
        widget = parts[0] if len(parts) == 1 else widgets.VBox(parts)
        output.show_widget(widget, say(MAP_NEEDS_KERNEL))


class LiveRun:
    """
    An observer that keeps a panel: the phases at once, the input's map as soon as it is loaded.

    Parameters
    ----------
    progress : Progress
        Of the run, here or in another process.
    keeper : FrameKeeper or ToldSteps
        Its frames and values.
    cancel : CancelButton, optional
        Stands in the panel.
    """

    def __init__(self, progress: Progress, keeper: FrameKeeper | ToldSteps, cancel: CancelButton | None) -> None:
        self.progress = progress
        self.keeper = keeper
        # Told steps have all that a live map asks of a keeper.
        self.panel = PhasePanel(progress, LiveMap(cast("FrameKeeper", keeper)), cancel)
        self._input: Preview | None = None
        self._drawing: threading.Thread | None = None
        # Events may come on threads that know nothing of the cell, and so may not touch widgets in ipykernel 7.0.
        self._context = contextvars.copy_context()

    def __call__(self, event: Event) -> None:
        """
        Add an event.

        Parameters
        ----------
        event : Event
            One of :mod:`dissmodel_lab.executor.events`.
        """
        self.progress(event)
        if isinstance(self.keeper, ToldSteps):
            self.keeper(event)
        if isinstance(event, RunStarted):
            forget_class_tables()
            self.keeper.classes = loaded_executor(event.record)
        elif isinstance(event, PhaseStarted):
            self.panel.hurry()
        elif isinstance(event, PhaseFinished) and event.phase is Phase.LOAD:
            self._draw_input(event.value)

    def _draw_input(self, loaded: Any) -> None:
        record = self.progress.record
        path = source_path(record) if record is not None else None
        if path is not None and is_map_file(path):
            # A thread of its own, so that neither the model nor the phases wait for the map.
            self._drawing = threading.Thread(target=self._context.copy().run, args=(self._draw, path), daemon=True)
            self._drawing.start()
        elif loaded is not None:
            self._draw(loaded)  # data in memory: here, on the model's own thread, before the model changes them

    def _draw(self, source: Any) -> None:
        from dissmodel_lab.maps import preview  # noqa: PLC0415 -- see above
        from dissmodel_lab.views.map_view import map_figure  # noqa: PLC0415 -- see above

        try:
            self._input = preview(source, classes=self.keeper.classes)
        except Exception:  # noqa: BLE001 -- said once, with its reason, in the static picture at the end
            return
        if isinstance(self.keeper.classes, type):
            class_tables(self.keeper.classes)  # reading modules takes 15 ms: the live picture finds it done
        self.panel.below.value = f'<div style="line-height:1.5">{map_figure(self._input, say("Input"))}</div>'

    def show_static(self, output: Output) -> RunMaps:
        """Replace the panel by a picture of the run that needs no kernel; return its maps."""
        bundle, maps = self.static()
        output.show_static(bundle)
        self.panel.close()
        return maps

    def static(self) -> tuple[dict[str, str], RunMaps]:
        """Return the picture of a run that is over, which needs no kernel, and its maps."""
        from dissmodel_lab.views.record import RunMaps, maps_of, record_bundle  # noqa: PLC0415 -- see above

        if isinstance(self.keeper, ToldSteps):
            self.keeper.close()
        if self._drawing is not None:
            self._drawing.join(timeout=60)  # the picture is needed below
        record = self.progress.record
        if record is None:  # refused before there was a record: the message says it all
            return {"text/plain": "", "text/html": ""}, RunMaps()
        try:
            maps = maps_of(record, before=self._input, frames=self.keeper.frames)
            maps.notes += self.keeper.notes
        except Exception as error:  # noqa: BLE001 -- a record that the model spoiled must not hide the model's error
            maps = RunMaps(
                self._input,
                notes=[message("No map of the output: {kind}: {error}", kind=type(error).__name__, error=error)],
            )
        return record_bundle(record, maps), maps


@contextmanager
def interruptible() -> Iterator[None]:
    """Let the notebook's stop button raise KeyboardInterrupt here; outside of cells ipykernel ignores it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
