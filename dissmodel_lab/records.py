"""What can be done with runs afterwards, by their ids: the second front door, behind every command on records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissmodel_lab.errors import RunNotFoundError, SweepError
from dissmodel_lab.executor.schemas import ExperimentRecord
from dissmodel_lab.index import RunQuery
from dissmodel_lab.language import message
from dissmodel_lab.store import RECORD_NAME, UNREADABLE, RunStore, read_record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from dissmodel_lab.annotations import Annotations
    from dissmodel_lab.cancelling import Answer
    from dissmodel_lab.changes import Change, RunComparison
    from dissmodel_lab.executor.events import Observer
    from dissmodel_lab.exports.crate_reader import Imported
    from dissmodel_lab.provenance import Caller
    from dissmodel_lab.verification import Integrity, Verdict


def find(run: str | ExperimentRecord, *, store: str | Path | RunStore | None = None) -> ExperimentRecord:
    """
    Return a run's record.

    Parameters
    ----------
    run : str or ExperimentRecord
        First characters of its id, or ``last``; a record is returned as it is.
    store : str, Path or RunStore, optional
        Where runs are kept; ``experiments`` in the working folder when not given.

    Raises
    ------
    RunNotFoundError
        When none or several fit, or the record cannot be read.

    Examples
    --------
    >>> find(ExperimentRecord(model_name="flood")).model_name
    'flood'
    """
    return run if isinstance(run, ExperimentRecord) else _store(store).read(run)


def annotate(
    run: str,
    *,
    tags: Sequence[str] = (),
    untag: Sequence[str] = (),
    note: str = "",
    store: str | Path | RunStore | None = None,
) -> Annotations:
    """
    Add tags and a note to a run; its record stays as it is.

    Parameters
    ----------
    run : str
        First characters of its id, or ``last``.
    tags, untag : sequence of str
        Tags to add, and to take away.
    note : str
        A text to add.
    store : str, Path or RunStore, optional
        Where runs are kept.

    Returns
    -------
    Annotations
        All that stands there now.

    Raises
    ------
    LabError
        When there is no such run, or a tag or the note cannot be taken.

    Examples
    --------
    >>> import tempfile
    >>> from dissmodel_lab import run
    >>> folder = tempfile.mkdtemp()
    >>> _ = run("game_of_life", parameters={"generations": 2}, store=folder)
    >>> annotate("last", tags=["thesis"], store=folder).tags
    ('thesis',)
    """
    return _store(store).annotate(run, tags=tags, untag=untag, note=note)


def cancel(run: str, why: str = "cancelled", *, store: str | Path | RunStore | None = None) -> Answer:
    """
    End a run that waits or works, wherever it does, or a whole sweep; records are closed as cancelled.

    Parameters
    ----------
    run : str
        First characters of the id of a run or a sweep, or ``last`` for the newest run.
    why : str
        What its record will say.
    store : str, Path or RunStore, optional
        Where runs are kept.

    Returns
    -------
    Answer
        What was done, in a sentence. The end of a run that works is not waited for.

    Raises
    ------
    LabError
        When there is no such run, or its folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from dissmodel_lab import run
    >>> folder = tempfile.mkdtemp()
    >>> _ = run("game_of_life", parameters={"generations": 2}, store=folder)
    >>> cancel("last", store=folder).outcome
    'over'
    """
    from dissmodel_lab.cancelling import cancel_run  # noqa: PLC0415 -- few runs are cancelled

    keep = _store(store)
    try:
        return cancel_run(keep, run, why)
    except RunNotFoundError:
        found = _cancelled_sweep(keep, run, why)
        if found is None:
            raise
        return found


def _cancelled_sweep(store: RunStore, sweep: str, why: str) -> Answer | None:
    """Ask the sweep of that id to end; None when there is none."""
    from dissmodel_lab.cancelling import Answer  # noqa: PLC0415 -- as above
    from dissmodel_lab.sweeps import open_sweep  # noqa: PLC0415 -- as above

    try:
        found = open_sweep(store, sweep)
    except SweepError:
        return None
    name = f"Sweep {found.id[:8]}"
    if found.progress().state != "running":
        return Answer(
            found.id,
            "over",
            message("{name} is not at work: nobody drives it. There is nothing to cancel.", name=name),
        )
    found.cancel(why)
    return Answer(
        found.id,
        "asked",
        message("{name} is asked to end: the runs at work are cancelled, what has ended stays.", name=name),
    )


def changes(
    run: str | ExperimentRecord,
    *,
    band: str | None = None,
    before_band: str | None = None,
    key: str | None = None,
    common_grid: bool = False,
    store: str | Path | RunStore | None = None,
) -> Change:
    """
    Say what a run changed, from its input to its output.

    Parameters
    ----------
    run : str or ExperimentRecord
        First characters of its id, or ``last``; or its record.
    band, before_band : str, optional
        The band or column of the output, and of the input; the first one, and that of its name, when not given.
    key : str, optional
        The column that tells which features are the same.
    common_grid : bool
        Bring the output onto the grid of the input when they differ.
    store : str, Path or RunStore, optional
        Where runs are kept.

    Raises
    ------
    ComparisonError
        When input and output cannot be compared.

    Examples
    --------
    >>> import tempfile
    >>> from dissmodel_lab import run
    >>> changes(run("game_of_life", parameters={"generations": 2}, store=tempfile.mkdtemp())).noun
    'cell'
    """
    from dissmodel_lab.changes import change_of_run  # noqa: PLC0415 -- loads what reads files

    return change_of_run(find(run, store=store), band=band, before_band=before_band, key=key, common_grid=common_grid)


def compare(
    first: str | ExperimentRecord,
    second: str | ExperimentRecord,
    *,
    band: str | None = None,
    key: str | None = None,
    common_grid: bool = False,
    store: str | Path | RunStore | None = None,
) -> RunComparison:
    """
    Compare two runs: parameters, metrics, timings, versions, and their outputs.

    Parameters
    ----------
    first, second : str or ExperimentRecord
        First characters of their ids, or ``last``; or their records.
    band : str, optional
        The band or column of the outputs; the first one when not given.
    key : str, optional
        The column that tells which features are the same.
    common_grid : bool
        Bring the second output onto the grid of the first when they differ.
    store : str, Path or RunStore, optional
        Where runs are kept.

    Raises
    ------
    LabError
        When a run is not there, or has no such band.

    Examples
    --------
    >>> import tempfile
    >>> from dissmodel_lab import run
    >>> folder = tempfile.mkdtemp()
    >>> two, three = (run("game_of_life", parameters={"generations": n}, store=folder) for n in (2, 3))
    >>> [pair.name for pair in compare(two, three).parameters]
    ['generations']
    """
    from dissmodel_lab.changes import compare_runs  # noqa: PLC0415 -- loads what reads files

    pair = find(first, store=store), find(second, store=store)
    return compare_runs(*pair, band=band, key=key, common_grid=common_grid)


def verify(
    run: str | ExperimentRecord,
    *,
    base_folder: str | Path | None = None,
    store: str | Path | RunStore | None = None,
) -> Integrity:
    """
    Check that a run's record, input and outputs are as recorded; nothing is run.

    Parameters
    ----------
    run : str or ExperimentRecord
        First characters of its id, or ``last``; or its record.
    base_folder : str or Path, optional
        Where the record's relative paths begin, when it does not say or the files have moved.
    store : str, Path or RunStore, optional
        Where runs are kept.

    Examples
    --------
    >>> import tempfile
    >>> from dissmodel_lab import run
    >>> verify(run("game_of_life", parameters={"generations": 2}, store=tempfile.mkdtemp())).is_intact
    True
    """
    from dissmodel_lab import verification  # noqa: PLC0415 -- only for those who ask

    keep = _store(store)
    return verification.verify(find(run, store=keep), keep, base_folder=base_folder)


def rerun(
    run: str | ExperimentRecord,
    *,
    executor: str = "",
    base_folder: str | Path | None = None,
    tolerance: float | None = None,
    any_version: bool = False,
    timeout: float | None = None,
    store: str | Path | RunStore | None = None,
    observers: Sequence[Observer] = (),
    caller: Caller | None = None,
) -> Verdict:
    """
    Run a recorded run again in a clean process, from its record alone, and say whether it gives the same.

    Parameters
    ----------
    run : str or ExperimentRecord
        First characters of its id, or ``last``; or its record.
    executor : str, optional
        What to run, when the record alone cannot say it: a name, ``package.module:Class``, or a TOML file.
    base_folder : str or Path, optional
        Where the record's relative paths begin.
    tolerance : float, optional
        Differences of values up to this count as none.
    any_version : bool
        Run also when the model's package has another version than in the record.
    timeout : float, optional
        Give up after this time [s].
    store : str, Path or RunStore, optional
        Where runs are kept; the rerun leaves a record of its own there.
    observers : sequence of callable
        Each is called with every event of the rerun.
    caller : Caller, optional
        What the door knows of the cell or command behind it.

    Returns
    -------
    Verdict
        Identical, same content, within tolerance, different, or that it cannot be verified and why.

    Raises
    ------
    LabError
        When there is no such run, or the store cannot be written.
    KeyboardInterrupt
        When it was cancelled; the rerun's record says so.

    Examples
    --------
    ::

        verdict = lab.rerun("last")
        print(verdict.sentence)
    """
    from dissmodel_lab import verification  # noqa: PLC0415 -- only for those who ask

    keep = _store(store)
    return verification.rerun(
        find(run, store=keep),
        executor=executor,
        base_folder=base_folder,
        tolerance=tolerance,
        any_version=any_version,
        timeout=timeout,
        store=keep,
        observers=observers,
        caller=caller,
    )


def export(
    runs: str | ExperimentRecord | RunQuery | Sequence[str | ExperimentRecord],
    format: str,  # noqa: A002 -- the word of the command line
    path: str | Path,
    *,
    store: str | Path | RunStore | None = None,
) -> Path:
    """
    Write one run or many in a form that others can open.

    Parameters
    ----------
    runs : str, ExperimentRecord, RunQuery or sequence
        Ids or records; a query takes all that fit.
    format : str
        ``ro-crate``, ``prov``, ``mlflow``, ``csv``, ``parquet`` or ``profile``.
    path : str or Path
        What to write; it must not exist.
    store : str, Path or RunStore, optional
        Where runs are kept.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    ExportError
        When the format is unknown, the path exists, a library is missing, or the disk refuses.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from dissmodel_lab import run
    >>> folder = Path(tempfile.mkdtemp())
    >>> record = run("game_of_life", parameters={"generations": 2}, store=folder / "experiments")
    >>> export(record, "profile", folder / "life.md").name
    'life.md'
    """
    from dissmodel_lab import exports  # noqa: PLC0415 -- only for those who export

    keep = _store(store)
    records: ExperimentRecord | Iterator[ExperimentRecord] | list[ExperimentRecord]
    if isinstance(runs, RunQuery):
        records = _records(keep, runs)
    elif isinstance(runs, str | ExperimentRecord):
        records = find(runs, store=keep)
    else:
        records = [find(run, store=keep) for run in runs]
    page = ""
    if format == "ro-crate" and not isinstance(runs, RunQuery):
        records = records if isinstance(records, ExperimentRecord) else list(records)
        one = records if isinstance(records, ExperimentRecord) else records[0] if len(records) == 1 else None
        page = _report(one) if one is not None else ""
    return exports.export(records, format, path, preview_html=page)


def import_crate(path: str | Path, *, store: str | Path | RunStore | None = None) -> Imported:
    """
    Read an RO-Crate into the store.

    Parameters
    ----------
    path : str or Path
        A folder or a ``.zip``.
    store : str, Path or RunStore, optional
        Where runs are kept.

    Raises
    ------
    ExportError
        When it is no crate, or cannot be trusted; nothing of it is kept then.

    Examples
    --------
    >>> import_crate("no-such-crate.zip")
    Traceback (most recent call last):
    dissmodel_lab.errors.ExportError: ...
    """
    from dissmodel_lab.exports import crate_reader  # noqa: PLC0415 -- only for those who import

    return crate_reader.import_crate(path, _store(store))


def cite(run: str | ExperimentRecord, *, language: str = "en", store: str | Path | RunStore | None = None) -> str:
    """
    Return the methods text for a paper, in Markdown: a paragraph and a table.

    Parameters
    ----------
    run : str or ExperimentRecord
        First characters of its id, or ``last``; or its record.
    language : str
        ``en`` or ``pt``.
    store : str, Path or RunStore, optional
        Where runs are kept.

    Examples
    --------
    >>> "game_of_life" in cite(ExperimentRecord(model_name="game_of_life", status="completed"))
    True
    """
    from dissmodel_lab import citation  # noqa: PLC0415 -- only for those who cite

    return citation.cite(find(run, store=store), language=language, form="markdown")


def _store(store: str | Path | RunStore | None) -> RunStore:
    return store if isinstance(store, RunStore) else RunStore(store)


def _records(store: RunStore, query: RunQuery) -> Iterator[ExperimentRecord]:
    """Read what fits a query one by one; what cannot be read has no place in a table."""
    for entry in store.select(query):
        if entry.status != UNREADABLE:
            yield read_record(entry.record_path or entry.folder / RECORD_NAME)


def _report(record: ExperimentRecord) -> str:
    """Return the run as its page in a notebook shows it, without the notebook."""
    from dissmodel_lab.views.record import maps_of, record_html  # noqa: PLC0415 -- draws maps

    return record_html(record, maps_of(record))
