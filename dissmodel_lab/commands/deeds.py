"""Commands that are carried out alike in a cell and in a terminal, and end in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dissmodel_lab import records
from dissmodel_lab.commands import words as w
from dissmodel_lab.errors import CommandError
from dissmodel_lab.language import in_language, message, say, say_n
from dissmodel_lab.store import RunStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from dissmodel_lab.commands.grammar import Command

_TABLES = ("csv", "parquet", "mlflow")
"""Formats that take many runs."""


def done(command: Command) -> str:
    """
    Carry out a command that changes or writes something, and say what was done.

    Parameters
    ----------
    command : Command
        One of annotate, cancel, export, import and reindex.

    Raises
    ------
    LabError
        When it cannot be done.

    Examples
    --------
    >>> from dissmodel_lab.commands import Grammar
    >>> done(Grammar("dissmodel-lab").parse(["annotate", "last"]))
    Traceback (most recent call last):
    dissmodel_lab.errors.CommandError: annotate needs something to write: --tag NAME, --untag NAME or --note TEXT.
    """
    return _DEEDS[command.name](command)


def options_of(command: Command) -> dict[str, Any]:
    """Return the options of a command under the names that the function of :mod:`dissmodel_lab.records` has."""
    return {name: getattr(command, name) for name in _OPTIONS[command.name]}


def engine_options(command: Command) -> dict[str, Any]:
    """Return where a run or a sweep is to be carried out, as :func:`dissmodel_lab.run` takes it."""
    return {name: getattr(command, name) for name in _ENGINE_OPTIONS}


def _cancel(command: Command) -> str:
    return in_language(records.cancel(command.run_id).text)


def _annotate(command: Command) -> str:
    if not (command.tags or command.untag or command.note):
        raise CommandError(message("annotate needs something to write: --tag NAME, --untag NAME or --note TEXT."))
    found = records.annotate(command.run_id, tags=command.tags, untag=command.untag, note=command.note)
    tags = say("Tags: {tags}.", tags=", ".join(found.tags)) if found.tags else say("Tags: none.")
    return f"{tags} {say_n('{n} note.', '{n} notes.', len(found.notes))}"


def _export(command: Command) -> str:
    if command.run_ids:
        chosen: Any = command.run_ids
    elif command.format in _TABLES:
        chosen = command.query
    else:
        raise CommandError(
            message("export --format {format} needs a run: its first characters, or last.", format=command.format)
        )
    written = records.export(chosen, command.format, command.output or "")
    return say("Written: {path}", path=str(written))


def _import(command: Command) -> str:
    imported = records.import_crate(command.path)
    path = str(imported.record_path)
    if imported.is_new:
        said = say("Imported: {path}.", path=path)
    else:
        said = say("This run is in the store already, and nothing was changed: {path}.", path=path)
    return " ".join([said, *map(in_language, imported.notes)])


def _reindex(_command: Command) -> str:
    store = RunStore()
    found = store.reindex()
    notices = map(in_language, store.notices)
    if not found.n_records:
        return " ".join([say("No record was found in {folder!r}.", folder=str(store.root)), *notices])
    if found.n_unreadable:
        said = [
            say("{n:,} records, {unreadable:,} of them unreadable.", n=found.n_records, unreadable=found.n_unreadable)
        ]
    else:
        said = [say_n("{n} record.", "{n} records.", found.n_records)]
    if found.n_removed:
        said.append(
            say_n(
                "{n} entry was of a file that is gone.", "{n} entries were of files that are gone.", found.n_removed
            )
        )
    return " ".join([*said, *notices])


_ENGINE_OPTIONS = ("engine", "workers", "address", "url", "seconds", "memory")
_OPTIONS = {
    w.CHANGES: ("band", "before_band", "key", "common_grid"),
    w.COMPARE: ("band", "key", "common_grid"),
    w.VERIFY: ("base_folder",),
    w.RERUN: ("executor", "base_folder", "tolerance", "any_version", "timeout"),
    w.CITE: ("language",),
}
_DEEDS: dict[str, Callable[[Command], str]] = {
    w.ANNOTATE: _annotate,
    w.CANCEL: _cancel,
    w.EXPORT: _export,
    w.IMPORT: _import,
    w.REINDEX: _reindex,
}
