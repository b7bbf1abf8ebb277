"""The runs that wait or work, of all notebooks and processes that share a store: a table, and a button to end each.

The table is static and drawn anew while it is looked at; a saved notebook holds the last one, and when that was.
"""

from __future__ import annotations

import contextvars
import json
import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dissmodel_lab.cancelling import cancel_run
from dissmodel_lab.errors import LabError
from dissmodel_lab.executor.events import StepFinished
from dissmodel_lab.executor.schemas import RunStatus
from dissmodel_lab.index import RunQuery
from dissmodel_lab.journal import event_of
from dissmodel_lab.language import in_language, mark, message, say
from dissmodel_lab.progress import Progress, phase_text, status_text
from dissmodel_lab.quantities import duration_text
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.store import JOURNAL_NAME, RunStore
from dissmodel_lab.texts import table_text
from dissmodel_lab.views.listing import table_html

if TYPE_CHECKING:
    from pathlib import Path

    from dissmodel_lab.index import RunEntry
    from dissmodel_lab.store.waiting import QueueEntry
    from dissmodel_lab.views.outputs import Output

COLUMNS = (
    mark("run"),
    mark("model"),
    mark("what"),
    mark("engine"),
    mark("priority"),
    mark("state"),
    mark("phase and step"),
    mark("since"),
)
INTERVAL = 2.0
"""How often a table that is looked at is drawn anew [s]."""
_PATIENCE = 3600.0
"""After this time nobody looks at it any more [s]."""
_MOST = 50
"""Most runs of a table: as many buttons can be told apart."""
_LOOKED_AT = 1_000
"""Most runs that are put in order."""
_TAIL = 64 * 1024
"""How much of a journal's end is looked at for its last step [bytes]."""
_FALLBACK = mark("The buttons to cancel runs need a running kernel; %dissmodel cancel ID does the same.")
_NONE = mark("No run waits or works.")


@dataclass(frozen=True)
class GoingRun:
    """A run that waits or works."""

    experiment_id: str
    model_name: str
    title: str
    """The parameters that make it what it is; of a sweep, which point."""
    engine: str
    """Empty for one that a notebook or script carries out itself."""
    priority: str
    status: str
    """``waiting``, ``running``, or ``cancelling`` when it was asked to end."""
    place: str
    """Its phase and step; empty while it waits."""
    since: datetime
    """When it was asked for."""

    def row(self, now: datetime) -> list[str]:
        """Return the texts under :data:`COLUMNS`, in the language of the person who looks at them."""
        ago = duration_text(max(0.0, (now - self.since).total_seconds()))
        since = f"{self.since:%Y-%m-%d %H:%M:%S} UTC, {ago}"
        texts = (
            self.experiment_id[:8],
            self.model_name,
            self.title,
            self.engine or "-",
            self.priority or "normal",
            status_text(self.status),
            self.place,
            since,
        )
        return [redact_text(in_language(text)) for text in texts]


def _going(one: QueueEntry) -> GoingRun:
    entry = one.entry
    works = entry.status == RunStatus.RUNNING
    title = entry.title
    if one.sweep_id:
        point = message("sweep {sweep}, point {point}", sweep=one.sweep_id[:8], point=one.point)
        title = message("{point}; {title}", point=point, title=title) if title else point
    status = "running" if works else "waiting"
    return GoingRun(
        entry.experiment_id,
        entry.model_name,
        title,
        one.engine,
        one.priority,
        "cancelling" if one.is_cancelled else status,
        _place(entry) if works else "",
        entry.created_at,
    )


def _place(entry: RunEntry) -> str:
    step = last_step(entry.folder)
    text = (
        Progress(step=step.step, n_steps=step.n_steps, label=step.label, part=step.part).step_text() if step else ""
    )
    phase = phase_text(entry.phase)
    if not phase:
        return text
    return message("{phase}, {step}", phase=phase, step=text) if text and phase == "run" else phase


def last_step(folder: Path) -> StepFinished | None:
    """
    Return the last step that a run told, from the end of its journal.

    Parameters
    ----------
    folder : Path
        The run's own.

    Examples
    --------
    >>> from pathlib import Path
    >>> last_step(Path("no/such/folder")) is None
    True
    """
    try:
        with (folder / JOURNAL_NAME).open("rb") as journal:
            size = journal.seek(0, os.SEEK_END)
            journal.seek(max(0, size - _TAIL))
            lines = journal.read(_TAIL).split(b"\n")
    except OSError:  # not yet, or not for us
        return None
    for line in reversed(lines):
        if b'"step"' not in line:
            continue
        with suppress(ValueError, TypeError, KeyError, AttributeError):  # half a line, or none of ours
            event = event_of(json.loads(line))
            if isinstance(event, StepFinished):
                return event
    return None


@dataclass
class RunQueue:
    """
    The runs that wait or work, as a table.

    Examples
    --------
    >>> import tempfile
    >>> print(RunQueue(RunStore(tempfile.mkdtemp())))
    No run waits or works.
    """

    store: RunStore
    """Shared by any number of processes; a run whose process is gone is not listed."""
    most: int = _MOST
    """How many are shown."""
    runs: list[GoingRun] = field(init=False)
    """Those that work, then those that wait, as :meth:`RunStore.queue_entries` lists them."""
    left_out: int = field(init=False)
    """How many more there are."""
    moment: datetime = field(init=False)
    """When it was looked."""

    def __post_init__(self) -> None:
        self.refresh()

    def refresh(self) -> None:
        """
        Look again.

        Raises
        ------
        LabError
            When the store's folder cannot be read.
        """
        self.moment = datetime.now(UTC)
        # In their order are the oldest ones only, so more than are shown are asked for.
        found = self.store.queue_entries(limit=_LOOKED_AT)
        n_going = len(found)
        if n_going == _LOOKED_AT:
            n_going = sum(self.store.count(RunQuery(status=status)) for status in ("running", "pending"))
        self.runs, self.left_out = [_going(one) for one in found[: self.most]], max(0, n_going - self.most)

    @property
    def rows(self) -> list[list[str]]:
        """The texts under :data:`COLUMNS`."""
        return [run.row(self.moment) for run in self.runs]

    def to_json(self) -> list[dict[str, str]]:
        """Return the runs as JSON values, by the names of the fields of :class:`GoingRun`; moments in ISO 8601."""
        return [
            {
                name: redact_text(value.isoformat() if isinstance(value, datetime) else str(value))
                for name, value in vars(run).items()
            }
            for run in self.runs
        ]

    def show(self) -> None:
        """Show the table, drawn anew while something goes on, and a button for each run; the table alone is saved."""
        from dissmodel_lab.views.outputs import new_output  # noqa: PLC0415 -- widgets, only when something is shown

        table, buttons = new_output(), new_output()
        table.reserve()
        table.show_static(self._repr_mimebundle_())
        if self.runs:
            buttons.reserve()
            QueueControls(self, table, buttons).begin()

    def __str__(self) -> str:
        text = table_text(_columns(), self.rows, say(_NONE))
        return f"{text}\n{self._more}" if self.left_out else text

    def __repr__(self) -> str:
        return str(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:  # noqa: ARG002
        more = f"<div>{self._more}</div>" if self.left_out else ""
        as_of = say("as of {moment} UTC", moment=f"{self.moment:%Y-%m-%d %H:%M:%S}")
        moment = f'<div style="opacity:0.75;font-size:12px">{as_of}</div>'
        html = f"{table_html(_columns(), self.rows, say(_NONE))}{more}{moment}"
        return {"text/plain": f"{self}\n({as_of})", "text/html": html}

    @property
    def _more(self) -> str:
        return say("and {n:,} more", n=self.left_out)


def _columns() -> list[str]:
    return [say(name) for name in COLUMNS]


def run_queue(store: str | Path | RunStore | None = None) -> RunQueue:
    """
    List the runs that wait or work.

    Parameters
    ----------
    store : str, Path or RunStore, optional
        Where runs are kept; ``experiments`` in the working folder when not given.

    Raises
    ------
    LabError
        When the store's folder cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> run_queue(tempfile.mkdtemp()).runs
    []
    """
    return RunQueue(store if isinstance(store, RunStore) else RunStore(store))


class QueueControls:
    """
    The buttons under a queue, and the thread that draws both anew while something goes on.

    Parameters
    ----------
    queue : RunQueue
        Its runs.
    table, buttons : Output
        Where both are shown.
    """

    def __init__(self, queue: RunQueue, table: Output, buttons: Output) -> None:
        import ipywidgets as widgets  # noqa: PLC0415 -- see show()

        from dissmodel_lab.views.access import accessible  # noqa: PLC0415 -- as above

        self._queue = queue
        self._table, self._place = table, buttons
        self._buttons: dict[str, Any] = {}
        self._answer = widgets.HTML()
        self._asked = ""
        """The run of which the answer tells that it will end."""
        self._row = widgets.Box(layout=widgets.Layout(flex_flow="row wrap", grid_gap="0 8px"))
        self.widget = accessible(widgets.VBox([self._row, self._answer]))
        self.widget.add_class("dl-queue")
        self._is_hurried = threading.Event()
        self._fill()

    def begin(self) -> None:
        """Show the buttons, and draw anew on a thread of its own."""
        self._place.show_widget(self.widget, say(_FALLBACK))
        # A plain thread of ipykernel 7.0 may not touch widgets; one that carries the cell's context may.
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._watch,), daemon=True, name="dissmodel_lab queue").start()

    def _watch(self) -> None:
        for _ in range(int(_PATIENCE / INTERVAL)):
            self._is_hurried.wait(INTERVAL)
            self._is_hurried.clear()
            if not self.refresh():
                break
        # What the buttons led to stays to be read; they themselves would be of no use in a saved notebook.
        self._place.show_static({"text/plain": "", "text/html": self._answer.value})

    def refresh(self) -> bool:
        """Draw table and buttons anew; return whether something still goes on."""
        with suppress(LabError):  # the folder is gone for a moment, or for good: the table says when it was drawn
            self._queue.refresh()
            self._table.show_static(self._queue._repr_mimebundle_())
            self._fill()
        return bool(self._queue.runs)

    def _fill(self) -> None:
        from dissmodel_lab.views.markup import escape  # noqa: PLC0415 -- as above

        going = {run.experiment_id: run for run in self._queue.runs}
        if self._asked and self._asked not in going:  # it has ended: what it was asked is no news any more
            self._asked = self._answer.value = ""
        if self._buttons.keys() == going.keys():
            return
        self._buttons = {
            run_id: self._buttons.get(run_id) or self._button(run_id, escape(run.model_name))
            for run_id, run in going.items()
        }
        self._row.children = tuple(self._buttons.values())

    def _button(self, run_id: str, model: str) -> Any:
        import ipywidgets as widgets  # noqa: PLC0415 -- as above

        from dissmodel_lab.views.cancel_button import answer_during_cells  # noqa: PLC0415

        button = widgets.Button(
            description=say("Cancel {name}", name=run_id[:8]),
            tooltip=say("Cancel run {run} of {model}", run=run_id[:8], model=model),
            icon="stop",
            layout=widgets.Layout(width="auto"),
        )
        button.add_class("dl-cancel")
        button.on_click(lambda _button: self.cancel(run_id, button))
        answer_during_cells(button)
        return button

    def cancel(self, run_id: str, button: Any) -> None:
        """Ask a run to end, and say what became of that."""
        from dissmodel_lab.views.cancel_button import WHY  # noqa: PLC0415 -- as above
        from dissmodel_lab.views.markup import escape  # noqa: PLC0415

        button.description = say("Cancelling {name} ...", name=run_id[:8])
        try:
            answer = cancel_run(self._queue.store, run_id, WHY)
            said, self._asked = in_language(answer.text), run_id if answer.outcome == "asked" else ""
        except LabError as error:
            said, self._asked = error.said, ""
        self._answer.value = f'<div role="status" aria-live="polite">{escape(redact_text(said))}</div>'
        self._is_hurried.set()
