"""A run made again from its record alone, in a process of its own, and what that says of the first."""

from __future__ import annotations

import itertools
import os
import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from dissmodel_lab.engines import engine_for
from dissmodel_lab.engines.worker_side import REFUSED
from dissmodel_lab.errors import ComparisonError
from dissmodel_lab.executor.events import Phase
from dissmodel_lab.executor.schemas import ExperimentRecord, RunStatus, utc_now
from dissmodel_lab.language import message
from dissmodel_lab.provenance import Caller, collect_provenance
from dissmodel_lab.sources import fingerprint, hashed
from dissmodel_lab.sources.hashing import MOST_FILES
from dissmodel_lab.store import RunFolder, RunStore, read_record
from dissmodel_lab.verification.judging import Judgement, differing_facts, judge, weigh
from dissmodel_lab.verification.places import (
    as_path,
    locate_artifact,
    locate_input,
    locate_named,
    named_files,
)
from dissmodel_lab.verification.plan import Plan, job_of, plan_rerun
from dissmodel_lab.verification.verdict import Verdict, VerdictKind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dissmodel_lab.engines import RunHandle
    from dissmodel_lab.executor.events import Observer

_PRINTED = 600
"""How much of what a refused rerun printed is told [characters]."""


def rerun(
    record: ExperimentRecord,
    *,
    executor: str = "",
    base_folder: str | Path | None = None,
    tolerance: float | None = None,
    store: str | Path | RunStore | None = None,
    timeout: float | None = None,
    any_version: bool = False,
    twice: bool = True,
    observers: Sequence[Observer] = (),
    caller: Caller | None = None,
) -> Verdict:
    """
    Run again from a record alone, and say whether the first run is confirmed.

    The executor that the record names is imported and run, with the recorded parameters and input, in a clean
    process, in the recorded working folder, with the settings :data:`~dissmodel_lab.verification.plan.DETERMINISM`.
    It leaves a record of its own, whose ``verdict`` names the first. The first run's files are only read. Code
    from a record is code: rerun only records from those whose code you would run.

    Parameters
    ----------
    record : ExperimentRecord
        Of this package, or of PyPI ``dissmodel``.
    executor : str
        Which executor to run, where the record does not say or it lies elsewhere: a model's name, an import path
        ``package.module:Class``, a ``.toml`` file, a ``.py`` file or ``file.py:Class``.
    base_folder : str or Path, optional
        Where relative paths are looked up; the recorded working folder when not given.
    tolerance : float, optional
        Numbers that differ by no more than this are within tolerance.
    store : str, Path or RunStore, optional
        Where the rerun is kept; ``experiments`` in the working folder when not given.
    timeout : float, optional
        Each rerun is cancelled after this time [s], from its beginning.
    any_version : bool
        Run with another version of the executor's package too, or one with another meaning of ``end_time``.
    twice : bool
        Run once more when the rerun differs, to tell a model that never repeats itself from a run that cannot be
        confirmed.
    observers : sequence of callable
        Each is called with every event of the reruns.
    caller : Caller, optional
        What the door knows of who asked.

    Returns
    -------
    Verdict
        One of five; its ``record`` is the rerun's own. When nothing could be run, the record says why.

    Raises
    ------
    LabError
        When the tolerance or the base folder is none, or the store cannot be written.
    KeyboardInterrupt
        When it was interrupted; the rerun's record is closed as cancelled.

    Examples
    --------
    >>> import tempfile
    >>> from dissmodel_lab import run
    >>> folder = tempfile.mkdtemp()
    >>> first = run("game_of_life", parameters={"generations": 3}, store=folder)
    >>> verdict = rerun(first, store=folder)
    >>> str(verdict.kind), verdict.record.verdict["of"] == first.experiment_id
    ('identical', True)
    """
    if tolerance is not None and not 0 <= tolerance < float("inf"):
        raise ComparisonError(
            message(
                "The tolerance {tolerance!r} is no number of 0 or more. Give for example 1e-6.", tolerance=tolerance
            )
        )
    keep = store if isinstance(store, RunStore) else RunStore(store)
    plan = plan_rerun(
        record,
        executor=executor,
        base_folder=as_path(str(base_folder)) if base_folder is not None else None,
        any_version=any_version,
    )
    made = _Reruns(plan, keep, observers, caller or Caller(), timeout)
    blank = Verdict(
        kind=VerdictKind.CANNOT_VERIFY,
        of=record.experiment_id,
        record_sha256=hashed(record.record_path).sha256 if record.record_path is not None else "",
        tolerance=tolerance,
        settings=plan.settings(),
    )
    if plan.obstacles:
        return made.refuse(replace(blank, why=(*plan.obstacles, *plan.notes)))
    return made.verdict(blank, tolerance, twice=twice)


_POLL = 0.05
"""How often is looked whether a run that never began is over [s]."""


class _Rerun(NamedTuple):
    """How one rerun ended."""

    status: str
    record: ExperimentRecord | None
    """None when it did not begin."""
    error: str
    printed: str


class _Reruns:
    """Runs a plan, once or twice, and keeps the verdict in each run's record."""

    def __init__(
        self, plan: Plan, store: RunStore, observers: Sequence[Observer], caller: Caller, timeout: float | None
    ) -> None:
        self._plan = plan
        self._store = store
        self._observers = observers
        self._caller = caller
        self._timeout = timeout
        self._records: list[ExperimentRecord] = []

    def verdict(self, blank: Verdict, tolerance: float | None, *, twice: bool) -> Verdict:
        before = _state_of_first(self._plan)
        result = self._run(blank)
        second = result.record
        if second is None:
            return self.refuse(replace(blank, why=(_unrun(result), *self._plan.notes)))
        if result.status != RunStatus.COMPLETED:
            found = Judgement(VerdictKind.CANNOT_VERIFY, [_unrun(result)])
        else:
            found = judge(self._plan, second, tolerance)
            if found.kind is VerdictKind.DIFFERENT and twice and not found.gives_what_was_recorded:
                self._run_again(found, second, blank)
        overwritten = [str(path) for path, state in _state_of_first(self._plan).items() if before.get(path) != state]
        if overwritten:
            found.kind = VerdictKind.CANNOT_VERIFY
            found.why.insert(
                0,
                message(
                    "The model wrote over the first run's own files: {overwritten}.",
                    overwritten=", ".join(overwritten),
                ),
            )
        return self._close(blank, found, second)

    def refuse(self, verdict: Verdict) -> Verdict:
        """Keep a record of the attempt: failed in phase validate, with the verdict."""
        first = self._plan.first
        facts = collect_provenance(object, self._caller)
        facts.executor_class, facts.executor_package = self._plan.executor, ""
        attempt = ExperimentRecord(
            model_name=first.model_name,
            source=first.source.model_copy(update={"checksum": ""}),
            parameters=dict(first.parameters),
            parameter_origins=dict(first.parameter_origins),
            parameter_defaults=dict(first.parameter_defaults),
            status=RunStatus.RUNNING.value,
            started_at=utc_now(),
            provenance=facts,
        )
        folder = self._store.begin(attempt)
        attempt.status, attempt.failed_phase = RunStatus.FAILED.value, Phase.VALIDATE.value
        attempt.ended_at = utc_now()
        attempt.error = message(
            "Cannot verify run {experiment_id}: {why}", experiment_id=first.experiment_id[:8], why=verdict.why[0]
        )
        for reason in verdict.why:
            attempt.add_log(reason)
        attempt.verdict = verdict.as_values()
        self._store.end(folder, attempt)
        return replace(verdict, record=attempt)

    def _run(self, blank: Verdict) -> _Rerun:
        link = {"of": blank.of, "record_sha256": blank.record_sha256}
        job = job_of(self._plan, self._store, caller=self._caller, verdict=link)
        handle = engine_for("process").start(job, observers=self._observers)
        why = ""
        try:
            if self._timeout is not None:
                _wait_for_begin(handle)
            outcome = handle.wait(self._timeout)
        except TimeoutError:
            why = message("timed out after {timeout:g} s", timeout=self._timeout)
            handle.cancel(why)
            outcome = handle.wait()
        except KeyboardInterrupt:
            handle.cancel("interrupted")
            handle.wait()
            raise
        record = read_record(outcome.record_path) if outcome.record_path is not None else None
        if record is not None:
            self._records.append(record)
        error = why if why and outcome.status == RunStatus.CANCELLED else outcome.error
        return _Rerun(outcome.status, record, error, outcome.printed)

    def _run_again(self, found: Judgement, second: ExperimentRecord, blank: Verdict) -> None:
        result = self._run(blank)
        if result.record is not None and result.status == RunStatus.COMPLETED:
            weigh(found, second, result.record)
        else:
            found.notes.append(
                message(
                    "A second rerun, to see whether the model repeats itself, did not: {unrun}", unrun=_unrun(result)
                )
            )

    def _close(self, blank: Verdict, found: Judgement, second: ExperimentRecord) -> Verdict:
        changes = differing_facts(self._plan.first, second)
        notes = [*found.notes, *self._plan.notes]
        if changes and found.kind is not VerdictKind.IDENTICAL:
            notes.append(
                message(
                    "Since the first run changed: {changes}.",
                    changes=", ".join((f"{name} {it}" for name, it in changes.items())),
                )
            )
        verdict = replace(
            blank,
            kind=found.kind,
            why=(*found.why, *notes),
            figures=found.figures,
            settings={**blank.settings, **({"changed since": changes} if changes else {})},
            reruns=tuple(record.experiment_id for record in self._records),
            differences=found.differences,
            record=second,
        )
        for record in self._records:
            record.verdict = verdict.as_values()
            if record.record_path is not None:
                self._store.end(RunFolder(record.record_path.parent), record)
        return verdict


def _wait_for_begin(handle: RunHandle) -> None:
    """Wait until the run has begun: the start of its worker is not the model's time."""
    has_begun = threading.Event()
    handle.subscribe(lambda _: has_begun.set())
    while not (handle.done() or has_begun.wait(_POLL)):
        pass


def _unrun(result: _Rerun) -> str:
    """Say how a rerun ended that did not complete."""
    record = result.record
    where = (
        message(" in phase {failed_phase}", failed_phase=record.failed_phase)
        if record is not None and record.failed_phase
        else ""
    )
    error = result.error or (str(record.error) if record is not None else "")
    how = message("could not begin") if result.status == REFUSED else result.status
    verb = "was" if result.status == RunStatus.CANCELLED else ""
    told = " ".join(filter(None, ["The rerun", verb, f"{how}{where}: {error.rstrip('.')}."]))
    printed = result.printed.strip()[-_PRINTED:] if record is None else ""
    return f"{told} It printed: {printed}" if printed else told


def _state_of_first(plan: Plan) -> dict[Path, Any]:
    """Note size and times of the first run's own files, to see that they are left alone."""
    first = plan.first
    paths = [locate_artifact(first, name, plan.base_folder) for name in first.artifacts]
    paths += [plan.output, locate_input(first, plan.base_folder), first.record_path]
    paths += [locate_named(first, place, text, plan.base_folder) for place, text in named_files(first)]
    found = {}
    for path in filter(None, paths):
        with suppress(ValueError):  # a text that is no path: nobody can write over it
            found[path] = fingerprint(path)
            inside = itertools.islice(path.rglob("*"), MOST_FILES) if os.path.isdir(path) else ()  # noqa: PTH112 -- raises nothing
            found |= {item: fingerprint(item) for item in inside}
    return found
