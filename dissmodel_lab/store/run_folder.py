"""The folder of one run, while it runs: its record, its journal, its unfinished output."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from dissmodel_lab.errors import OutputError, RunTakenError, shown
from dissmodel_lab.executor.events import (
    Event,
    Fetching,
    LogLine,
    Phase,
    PhaseFailed,
    PhaseFinished,
    PhaseStarted,
    StepFinished,
)
from dissmodel_lab.executor.jsonvalue import encode
from dissmodel_lab.executor.lifecycle import error_text
from dissmodel_lab.executor.schemas import RunStatus, lasting_json, mend
from dissmodel_lab.index import RECORD_NAME
from dissmodel_lab.language import message
from dissmodel_lab.redaction import is_secret_key, redact_text
from dissmodel_lab.store.files import (
    JOURNAL_NAME,
    PARTIAL_NAME,
    ROOM_NAME,
    claim,
    give_up_claim,
    record_line,
    write_all,
    write_atomic,
)
from dissmodel_lab.store.reading import is_alive, read_back, try_read

if TYPE_CHECKING:
    from pathlib import Path

    from dissmodel_lab.executor.schemas import ExperimentRecord

_ROOM = 16 * 1024
_PLENTY = 1024**3
"""With less than this on the disk when a run begins [bytes], room for its last record is kept."""


class RunFolder:
    """
    The folder of one run, while it runs.

    It listens to the run and writes its journal: one JSON line an event, so that a killed run can still
    tell how far it came.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.partial = folder / PARTIAL_NAME
        """Where the executor writes; only what is complete leaves it."""
        self.beside: Path | None = None
        """The second record, ``<output>.record.json``, once an output was asked for."""
        self.is_saved = False
        """True once the executor's own save() has ended: what it wrote is whole, and never removed."""
        self.process_id = os.getpid()
        """The process that runs it; a child that the model forks writes nothing here."""
        self.record_path = folder / RECORD_NAME
        """Path of the record."""
        self._has_room = False
        self._is_claimed = False
        self._journal: int | None = None
        self._untold = ""

    def take_over(self, record: ExperimentRecord) -> None:
        """
        Make the folder of a queued run this process's own; its record begins where the queued one was.

        Raises
        ------
        RunTakenError
            When there is no such run, another process has taken it, or it was cancelled.
        OSError
            When the folder cannot be written.
        """
        place, short = str(self.folder), record.experiment_id[:8]
        if not self.folder.is_dir():
            raise RunTakenError(
                message(
                    "The queued run {short} has no folder {place!r} any more. Start it again.",
                    short=short,
                    place=place,
                )
            )
        if not claim(self.folder):
            raise RunTakenError(
                message(
                    "The queued run {short} in {place!r} was taken by another process already.",
                    short=short,
                    place=place,
                )
            )
        queued = try_read(self.record_path)
        if queued is None or queued.experiment_id != record.experiment_id or queued.status != RunStatus.PENDING:
            give_up_claim(self.folder)
            found = message("no record that can be read")
            if queued is not None:
                found = message(
                    "the record of run {experiment_id}, which is {status}",
                    experiment_id=queued.experiment_id[:8],
                    status=shown(queued.status),
                )
            raise RunTakenError(
                message(
                    "The run {short} does not wait in {place!r}: there is {found}. Nothing was run.",
                    short=short,
                    place=place,
                    found=found,
                )
            )
        self._is_claimed = True
        record.created_at = queued.created_at

    def write(self, record: ExperimentRecord) -> None:
        """Write the record, and the one beside the output, each in one step; a kill they survive, not a power cut."""
        self._write_both(record, record.model_dump_json(indent=2), durable=False)

    def write_last(self, record: ExperimentRecord) -> tuple[os.stat_result, ExperimentRecord | None]:
        """
        Write the closed record, mended where an executor spoiled it; it survives a power cut.

        Returns
        -------
        os.stat_result
            Size and times of the record's file.
        ExperimentRecord or None
            What a reader of that file gets: without secrets, with plain values.
        """
        text = lasting_json(record)
        written = read_back(text)
        if written is None:
            mend(record)
            text = record.model_dump_json(indent=2)
            written = read_back(text)
        return self._write_both(record, text, durable=True), written

    def _write_both(self, record: ExperimentRecord, text: str, *, durable: bool) -> os.stat_result:
        content = text.encode()
        stat = write_atomic(self.record_path, content, durable=durable)
        if self.beside is not None:
            try:
                write_atomic(self.beside, content, durable=durable)
            except OSError as error:  # the store's own record tells it all; the second one is a convenience
                record.add_log(f"The record beside the output could not be written: {error.strerror or error}.")
                content = record.model_dump_json(indent=2).encode()
                stat = write_atomic(self.record_path, content, durable=durable)
        if durable:
            with suppress(OSError):  # a full disk: the journal is a convenience, the record is not
                self._tell(record_line(content))
        return stat

    def reserve(self, beside: Path, record: ExperimentRecord) -> None:
        """
        Take the name of the record beside an output; this also proves that its folder can be written.

        The record of a run of this store that left no output gives its name up.

        Raises
        ------
        OutputError
            When the name is taken or the folder cannot be written.
        """
        if beside.exists() and self._is_given_up(beside):
            beside.unlink()
        try:
            beside.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("xb") as file:
                self.beside = beside
                file.write(record.model_dump_json(indent=2).encode())
        except FileExistsError as error:
            if not beside.exists():  # something else stands where its folder should be
                raise OutputError(_unwritable(beside.parent, error)) from error
            raise OutputError(
                message(
                    "{beside!r} is the record of another run and is never replaced. Choose another --output.",
                    beside=str(beside),
                )
            ) from error
        except OSError as error:
            if self.beside is not None:
                beside.unlink(missing_ok=True)
                self.beside = None
            raise OutputError(_unwritable(beside.parent, error)) from error

    def _is_given_up(self, beside: Path) -> bool:
        record = try_read(beside)
        if record is None:
            return beside.stat().st_size == 0
        kept = list(self.folder.parent.glob(f"*-{record.experiment_id[:8]}/{RECORD_NAME}"))
        over = record.status in (RunStatus.FAILED, RunStatus.CANCELLED) or (
            record.status == RunStatus.RUNNING and not is_alive(record)
        )
        return over and bool(kept) and "output" not in record.artifacts

    def take_from_dead(self, beside: Path | None) -> None:
        """
        Go on with the folder of a run whose process is gone, to close its record.

        Parameters
        ----------
        beside : Path or None
            The second record, where that process wrote one.
        """
        self.beside, self._is_claimed = beside, True
        self._has_room = (self.folder / ROOM_NAME).exists()
        journal = self.folder / JOURNAL_NAME
        with suppress(OSError), journal.open("rb+") as file:  # without a journal, no line of it was cut off
            if file.seek(0, os.SEEK_END) > 0:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")

    def keep_room(self) -> None:
        """Where the disk is nearly full, take a little of it, so that there is room for the last record."""
        if _free_bytes(self.folder) < _PLENTY:
            self._has_room = True
            (self.folder / ROOM_NAME).write_bytes(bytes(_ROOM))

    def give_room(self) -> None:
        """Give back what :meth:`keep_room` took."""
        if self._has_room:
            (self.folder / ROOM_NAME).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the journal and drop the empty folder of partial files."""
        try:
            if self._journal is not None:
                os.close(self._journal)
        except OSError:  # a full disk: the journal is a convenience, the record is not
            pass
        self._journal = None
        if self._is_claimed:
            give_up_claim(self.folder)
        try:
            self.partial.rmdir()
        except OSError:  # not there, or it holds what a failed save left: that is kept
            return

    def __call__(self, event: Event) -> None:
        """
        Write an event into the journal.

        Parameters
        ----------
        event : Event
            One of :mod:`dissmodel_lab.executor.events`.
        """
        line = _journal_line(event)
        if line is None or os.getpid() != self.process_id:
            return
        line["at"] = datetime.now(UTC).isoformat()
        self._untold += f"{json.dumps(line)}\n"
        if isinstance(event, PhaseFinished) and event.phase is not Phase.SAVE:
            return  # the next phase begins at once: both are told in one write
        told, self._untold = self._untold, ""
        self._tell(told.encode())

    def _tell(self, lines: bytes) -> None:
        if self._journal is None:
            journal = f"{self.folder}{os.sep}{JOURNAL_NAME}"
            self._journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        write_all(self._journal, lines)


def _free_bytes(folder: Path) -> int:
    if hasattr(os, "statvfs"):
        disk = os.statvfs(folder)
        return disk.f_bavail * disk.f_frsize
    import shutil  # noqa: PLC0415 -- only where the system has no statvfs

    return shutil.disk_usage(folder).free


def _unwritable(folder: Path, error: OSError) -> str:
    return message(
        "The folder {folder!r} cannot be written: {strerror}. Choose another --output, or leave it out for a "
        "folder of the run's own.",
        folder=str(folder),
        strerror=error.strerror or error,
    )


def _step_line(event: StepFinished) -> dict[str, object]:
    """Say all that a step tells, as a model may tell it: with numbers of numpy, and texts where numbers belong."""
    line = {"event": "step", "step": encode(event.step), "n_steps": encode(event.n_steps)}
    line["label"] = redact_text(str(event.label))
    if event.values:
        line["values"] = {
            redact_text(str(name)): encode(_number(value))
            for name, value in event.values.items()
            if not is_secret_key(name) and _number(value) is not None
        }
    if event.time is not None:
        line["time"] = encode(_number(event.time))
    if event.part != 1:
        line["part"] = encode(event.part)
    return line


def _number(value: Any) -> float | None:
    if type(value) in (int, float):
        return cast("float", value)
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):  # no number: views leave it out too
        return None


def _journal_line(event: Event) -> dict[str, object] | None:
    match event:
        case PhaseStarted():
            return {"event": "phase_started", "phase": event.phase.value}
        case PhaseFinished() | PhaseFailed():
            usage = {**vars(event.usage), "started_at": event.usage.started_at.isoformat()}
            line = {"event": f"phase_{event.usage.status}", "phase": event.phase.value, **usage}
            if isinstance(event, PhaseFailed):
                line["error"] = redact_text(event.text or error_text(event.error))
            return line
        case StepFinished():
            return _step_line(event)
        case Fetching():
            return {"event": "fetching", "name": redact_text(event.name), "done": event.done, "total": event.total}
        case LogLine():
            return {"event": "log", "text": redact_text(event.text)}
        case _:
            return None
