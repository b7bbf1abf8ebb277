"""A run in a cell: live while it lasts, a static picture of itself when it is over, then player and map to explore.

The live panel is replaced by static HTML and PNG in the same output, because a widget does not survive
in a saved notebook. The map to explore is an output of its own behind it.
"""

from __future__ import annotations

import contextvars
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from dissmodel_lab.artifacts import is_map_file
from dissmodel_lab.class_tables import class_tables, forget_class_tables
from dissmodel_lab.executor.events import Phase, PhaseFinished, PhaseStarted, RunStarted
from dissmodel_lab.executor.schemas import RunStatus
from dissmodel_lab.frames import FrameKeeper
from dissmodel_lab.progress import Progress
from dissmodel_lab.provenance import loaded_executor
from dissmodel_lab.sources import source_path
from dissmodel_lab.views.outputs import CellOutput
from dissmodel_lab.views.phases import PhasePanel
from dissmodel_lab.views.player import LiveMap, StepPlayer

# Maps and the record's page load numpy: they are imported where they are first needed, after the panel is seen.
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dissmodel_lab.executor.events import Event, Observer, Watcher
    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.maps import Preview
    from dissmodel_lab.views.outputs import Output
    from dissmodel_lab.views.record import RunMaps

_Result = TypeVar("_Result")


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
    live = _LiveRun()
    output = output or CellOutput()
    if map_output is not None:  # it may still show the map of the run before
        map_output.show_static({"text/plain": "", "text/html": ""})
    output.show_widget(live.panel.widget)
    live.panel.start()
    try:
        with interruptible():
            record = call(Listeners((live, live.keeper), (live.keeper.watch,)))
    finally:
        live.panel.stop()
        maps = live.show_static(output)
    offer_map(record, maps, map_output or CellOutput())
    return record


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
    progress = Progress()
    panel = PhasePanel(progress)
    output = output or CellOutput()
    output.show_widget(panel.widget, "This run is not over.")
    panel.start()
    try:
        with interruptible():
            return call((progress,))
    finally:
        panel.stop()
        output.show_static({"text/plain": "", "text/html": ""})
        panel.close()


def show_record(record: ExperimentRecord) -> None:
    """
    Show a run that is over: its static picture, then a map to explore.

    Parameters
    ----------
    record : ExperimentRecord
        As it was read from the store.
    """
    from dissmodel_lab.views.record import changes_since, maps_of, record_bundle  # noqa: PLC0415 -- see above

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
    if maps.after is not None:
        layers["output"] = record.artifact_path()
    if maps.before is not None and (path := source_path(record)) is not None:
        layers["input"] = path
    if record.status == RunStatus.COMPLETED and layers:
        classes, place = loaded_executor(record), kept_georeference(record)
        places = {"output": place} if place is not None else {}
        parts.append(MapView(layers, classes=classes, georeferences=places).widget)
    if parts:
        widget = parts[0] if len(parts) == 1 else widgets.VBox(parts)
        output.show_widget(widget, "The map to explore needs a running kernel; the pictures above do not.")


class _LiveRun:
    """An observer that keeps a panel: the phases at once, the input's map as soon as it is loaded."""

    def __init__(self) -> None:
        self.progress = Progress()
        self.keeper = FrameKeeper(live=True)
        self.panel = PhasePanel(self.progress, LiveMap(self.keeper))
        self._input: Preview | None = None
        self._drawing: threading.Thread | None = None

    def __call__(self, event: Event) -> None:
        self.progress(event)
        if isinstance(event, RunStarted):
            forget_class_tables()
            self.keeper.classes = loaded_executor(event.record)
        elif isinstance(event, PhaseStarted):
            self.panel.hurry()
        if not isinstance(event, PhaseFinished) or event.phase is not Phase.LOAD:
            return
        record = self.progress.record
        path = source_path(record) if record is not None else None
        if path is not None and is_map_file(path):
            # A thread of its own, so that neither the model nor the phases wait for the map.
            context = contextvars.copy_context()
            self._drawing = threading.Thread(target=context.run, args=(self._draw, path), daemon=True)
            self._drawing.start()
        else:
            self._draw(event.value)  # data in memory: here, on the model's own thread, before the model changes them

    def _draw(self, source: Any) -> None:
        from dissmodel_lab.maps import preview  # noqa: PLC0415 -- see above
        from dissmodel_lab.views.map_view import map_figure  # noqa: PLC0415 -- see above

        try:
            self._input = preview(source, classes=self.keeper.classes)
        except Exception:  # noqa: BLE001 -- said once, with its reason, in the static picture at the end
            return
        if isinstance(self.keeper.classes, type):
            class_tables(self.keeper.classes)  # reading modules takes 15 ms: the live picture finds it done
        self.panel.below.value = f'<div style="line-height:1.5">{map_figure(self._input, "Input")}</div>'

    def show_static(self, output: Output) -> RunMaps:
        """Replace the panel by a picture of the run that needs no kernel; return its maps."""
        from dissmodel_lab.views.record import RunMaps, maps_of, record_bundle  # noqa: PLC0415 -- see above

        if self._drawing is not None:
            self._drawing.join(timeout=60)  # the picture is needed below
        record, maps = self.progress.record, RunMaps()
        if record is None:  # refused before there was a record: the message says it all
            output.show_static({"text/plain": "", "text/html": ""})
        else:
            try:
                maps = maps_of(record, before=self._input, frames=self.keeper.frames)
                maps.notes += self.keeper.notes
            except Exception as error:  # noqa: BLE001 -- a record that the model spoiled must not hide the model's error
                maps = RunMaps(self._input, notes=[f"No map of the output: {type(error).__name__}: {error}"])
            output.show_static(record_bundle(record, maps))
        self.panel.close()
        return maps


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
