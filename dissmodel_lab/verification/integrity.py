"""Whether everything that a record names is still as it was recorded: files are read, remote inputs asked for."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissmodel_lab.contents import has_content
from dissmodel_lab.errors import SourceError
from dissmodel_lab.language import Message, joined, message
from dissmodel_lab.sources import hashed
from dissmodel_lab.sources.addresses import is_remote
from dissmodel_lab.store import RECORD_NAME, RunStore
from dissmodel_lab.store.reading import journal_sha256
from dissmodel_lab.verification.places import (
    is_outside,
    locate_artifact,
    locate_input,
    locate_named,
    mapping_differs,
    named_files,
    second_copy,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dissmodel_lab.executor.schemas import ExperimentRecord

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_LISTED = 8


class State(StrEnum):
    """What became of a recorded thing."""

    OK = "ok"
    REWRITTEN = "rewritten"
    """Other bytes than recorded, the same content (another compression, a timestamp)."""
    CHANGED = "changed"
    MISSING = "missing"
    UNKNOWN = "cannot be checked"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that a record names, and what became of it."""

    item: str
    """``record``, ``input``, ``parameter demand_csv`` or ``artifact output``."""
    state: State
    path: Path | None = None
    """Where it was looked for; None when the record names no place on this machine."""
    recorded: str = ""
    """SHA-256 as recorded."""
    found: str = ""
    """SHA-256 now."""
    why: str = ""
    """One sentence, where the state alone does not tell."""
    is_outside: bool = False
    """It lies outside of the record's own folder and of the store: it was read, and nothing else."""


@dataclass(frozen=True, kw_only=True)
class Integrity:
    """What :func:`verify` found."""

    record: ExperimentRecord
    checks: tuple[Check, ...]

    @property
    def is_intact(self) -> bool:
        """True when nothing is changed or missing, and something could be checked."""
        states = {check.state for check in self.checks}
        return not states & {State.CHANGED, State.MISSING} and bool(states & {State.OK, State.REWRITTEN})

    @property
    def sentence(self) -> str:
        """The whole in one sentence."""
        wrong = [check for check in self.checks if check.state in (State.CHANGED, State.MISSING)]
        counts = Counter(check.state for check in self.checks)
        unknown = [_said(check.item) for check in self.checks if check.state is State.UNKNOWN]
        rest = message("; cannot be checked: {unknown}", unknown=joined(unknown, ", ")) if unknown else ""
        if wrong:
            named = joined(
                (
                    message("{item} is {state}", item=_said(check.item), state=Message(check.state.value))
                    for check in wrong[:_LISTED]
                ),
                ", ",
            )
            more = message(" and {n_wrong} more", n_wrong=len(wrong) - _LISTED) if len(wrong) > _LISTED else ""
            return message("Not as recorded: {named}{more}{rest}.", named=named, more=more, rest=rest)
        if not self.is_intact:
            if not unknown:
                return message("Nothing could be checked: the record names nothing.")
            return message("Nothing could be checked: {unknown}.", unknown=joined(unknown, ", "))
        rewritten = counts[State.REWRITTEN]
        same = (
            message(" ({rewritten} of them in other bytes with the same content)", rewritten=rewritten)
            if rewritten
            else ""
        )
        return message(
            "{counts} of {n_checks} are as recorded{same}{rest}.",
            counts=counts[State.OK] + rewritten,
            n_checks=len(self.checks),
            same=same,
            rest=rest,
        )

    def as_values(self) -> dict[str, Any]:
        """
        Return it as what JSON can hold.

        Examples
        --------
        >>> from dissmodel_lab.executor import ExperimentRecord
        >>> Integrity(record=ExperimentRecord(experiment_id="ab12"), checks=()).as_values()["is_intact"]
        False
        """
        return {
            "experiment_id": self.record.experiment_id,
            "is_intact": self.is_intact,
            "sentence": self.sentence,
            "checks": [
                {**vars(check), "state": check.state.value, "path": None if check.path is None else str(check.path)}
                for check in self.checks
            ],
        }


def _said(item: str) -> str:
    """Return what was checked as a message: the record, the input, a parameter's file or an artifact."""
    kind, _, name = item.partition(" ")
    if kind == "parameter":
        return message("parameter {name}", name=name)
    return message("artifact {name}", name=name) if kind == "artifact" else Message(item)


def verify(
    record: ExperimentRecord, store: str | Path | RunStore | None = None, *, base_folder: str | Path | None = None
) -> Integrity:
    """
    Check that a record, its input, the files that its parameters name, and its outputs are as recorded.

    An edit of the record itself is noticed by the SHA-256 in its journal, by a second copy (beside the output, or
    in the store), and where what it names no longer fits; who edits them all is not noticed.

    Parameters
    ----------
    record : ExperimentRecord
        As :func:`dissmodel_lab.read_record` returns it.
    store : str, Path or RunStore, optional
        Where the record's second copy is looked for; ``experiments`` in the working folder when not given.
    base_folder : str or Path, optional
        Where relative paths are looked up, when the record does not say or the files have moved.

    Returns
    -------
    Integrity
        A :class:`Check` for each. Nothing is written anywhere.

    Examples
    --------
    >>> import tempfile
    >>> from dissmodel_lab import run
    >>> folder = tempfile.mkdtemp()
    >>> record = run("game_of_life", parameters={"generations": 2}, store=folder)
    >>> verify(record, folder).sentence
    '3 of 3 are as recorded.'
    >>> _ = record.artifact_path().write_bytes(b"oops")
    >>> verify(record, folder).sentence
    'Not as recorded: artifact output is changed.'
    """
    folder = (store if isinstance(store, RunStore) else RunStore(store)).root
    looker = _Looker(record, folder, Path(base_folder) if base_folder is not None else None)
    return Integrity(record=record, checks=tuple(looker.checks()))


def check_inputs(record: ExperimentRecord, base_folder: Path | None = None) -> tuple[Check, ...]:
    """
    Check what a run read: its input and the files that its parameters name.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> [check.item for check in check_inputs(ExperimentRecord())]
    ['input']
    """
    return tuple(_Looker(record, None, base_folder).inputs())


class _Looker:
    def __init__(self, record: ExperimentRecord, store_folder: Path | None, base_folder: Path | None) -> None:
        self._record = record
        self._store_folder = store_folder
        self._base_folder = base_folder

    def checks(self) -> Iterator[Check]:
        yield self._record_itself()
        yield from self.inputs()
        yield from self._artifacts()

    def inputs(self) -> Iterator[Check]:
        yield self._input()
        yield from self._parameter_files()

    def _record_itself(self) -> Check:
        path = self._record.record_path
        if path is None:
            return Check(item="record", state=State.UNKNOWN, why=message("It is in memory only."))
        now = hashed(path)
        if not now.sha256:
            state = State.UNKNOWN if now.problem else State.MISSING
            return Check(item="record", state=state, path=path, why=_because(now.problem))
        written = journal_sha256(path.parent) if path.name == RECORD_NAME else ""
        if written == now.sha256:
            return self._check("record", State.OK, path, written, now.sha256)
        other = second_copy(self._record, self._store_folder)
        if written:
            fields = _differing_fields(path, other) if other is not None and hashed(other).sha256 == written else ""
            why = message(
                "It was edited after the run{fields}: its journal has another SHA-256 of it.", fields=fields
            )
            return self._check("record", State.CHANGED, path, written, now.sha256, why=why)
        if other is None:
            why = message("There is no second copy of it: an edit of it alone could not be noticed.")
            return Check(item="record", state=State.UNKNOWN, path=path, found=now.sha256, why=why)
        twin = hashed(other)
        if twin.sha256 == now.sha256:
            why = message("Its copy {other} says the same.", other=other)
            return self._check("record", State.OK, path, twin.sha256, now.sha256, why=why)
        why = message(
            "Its copy {other} says otherwise{differing_fields}; which of them was edited is not known.",
            other=other,
            differing_fields=_differing_fields(path, other),
        )
        return self._check("record", State.CHANGED, path, twin.sha256, now.sha256, why=why)

    def _input(self) -> Check:
        record = self._record
        path = locate_input(record, self._base_folder)
        if path is not None:
            return self._file("input", path, record.source.checksum)
        # What a stranger's record names is not fetched: nobody here has asked for that.
        if _SHA256.fullmatch(record.source.checksum) and is_remote(record.source) and not record.is_imported:
            return self._remote_input()
        if record.source.uri == "synthetic":
            why = message("The model makes its input by itself.")
        elif record.source.uri:
            why = message("It is not on this machine: {uri}", uri=record.source.uri)
        else:
            why = message("The record names none: it was given in memory, or there was none.")
        return Check(item="input", state=State.UNKNOWN, recorded=record.source.checksum, why=why)

    def _remote_input(self) -> Check:
        """Fetch a remote input again, as far as its server has another one than the cache."""
        from dissmodel_lab.sources.fetching import fetch  # noqa: PLC0415 -- loads what talks to servers

        recorded, uri = self._record.source.checksum.lower(), self._record.source.uri
        try:
            fetched = fetch(self._record.source)
        except SourceError as error:
            return Check(item="input", state=State.UNKNOWN, recorded=recorded, why=error.args[0])
        fetched.lease.close()
        why = joined(fetched.notes)
        if fetched.sha256 == recorded:
            return self._check("input", State.OK, fetched.path, recorded, fetched.sha256, why=why)
        why = message("{uri} holds something else now. {why}", uri=uri, why=why).strip()
        return self._check("input", State.CHANGED, fetched.path, recorded, fetched.sha256, why=why)

    def _parameter_files(self) -> Iterator[Check]:
        record, recorded = self._record, self._record.parameter_files
        texts = dict(named_files(record))
        for place, text in texts.items():
            path = locate_named(record, place, text, self._base_folder)
            if place in recorded or hashed(path).sha256:  # else it only looks like a file
                yield self._file(f"parameter {place}", path, recorded.get(place, ""))
        for place, sha256 in recorded.items():
            if place not in texts:
                why = message("The parameters name no file there.")
                yield Check(item=f"parameter {place}", state=State.CHANGED, recorded=sha256, why=why)

    def _artifacts(self) -> Iterator[Check]:
        record = self._record
        names = list(record.artifacts) or (["output"] if record.output_path else [])
        for name in names:
            path = locate_artifact(record, name, self._base_folder)
            recorded = record.artifacts.get(name, "")
            if path is None:
                why = message("The record names no path for it on this machine.")
                yield Check(item=f"artifact {name}", state=State.UNKNOWN, recorded=recorded, why=why)
            else:
                yield self._file(f"artifact {name}", path, recorded, record.content_sha256.get(name, ""))

    def _file(self, item: str, path: Path, recorded: str, content: str = "") -> Check:
        now = hashed(path)
        if not now.sha256 and not now.problem:
            return self._check(item, State.MISSING, path, recorded)
        if now.problem:
            return self._check(item, State.UNKNOWN, path, recorded, why=_because(now.problem))
        if not _SHA256.fullmatch(recorded):
            why = message("It is there, but the record has no SHA-256 of it.")
            return self._check(item, State.UNKNOWN, path, recorded, now.sha256, why=why)
        if now.sha256 == recorded.lower():
            return self._check(item, State.OK, path, recorded, now.sha256)
        state, why = _changed(path, content)
        return self._check(item, state, path, recorded, now.sha256, why=why)

    def _check(
        self, item: str, state: State, path: Path, recorded: str = "", found: str = "", *, why: str = ""
    ) -> Check:
        outside = is_outside(path, self._record, self._store_folder)
        return Check(
            item=item, state=state, path=path, recorded=recorded, found=found, why=why, is_outside=outside
        )  # fmt: skip


def _because(problem: str) -> str:
    return message("It cannot be read: {problem}.", problem=problem) if problem else ""


def _changed(path: Path, content: str) -> tuple[State, str]:
    if not content:
        return State.CHANGED, message("Its bytes are not those that were recorded.")
    try:
        if has_content(path, content):
            return State.REWRITTEN, message("Its bytes are not those that were recorded, but its content is.")
    except Exception as error:  # noqa: BLE001 -- any reader's complaint: the file is no longer what it was
        return State.CHANGED, message(
            "It can no longer be read as what it was: {kind}: {error}", kind=type(error).__name__, error=error
        )
    return State.CHANGED, message("Neither its bytes nor its content are those that were recorded.")


def _differing_fields(first: Path, second: Path) -> str:
    try:
        texts = [json.loads(path.read_bytes()) for path in (first, second)]
        fields = mapping_differs(*texts)
    except (OSError, ValueError, AttributeError):  # no JSON object any more
        return ""
    return message(" in {fields}", fields=", ".join(fields[:_LISTED])) if fields else ""
