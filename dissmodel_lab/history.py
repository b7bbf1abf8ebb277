"""Runs -> rows of a table: what tells them apart, and a small picture of what came out.

Knows no widget. The store answers which runs; their records are read for the rows of one page only::

    RunQuery ─► store.select ─► entries ─► records ─► columns (what differs) ─► rows (+ thumbnails)
"""

from __future__ import annotations

import functools
import re
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from dissmodel_lab.artifacts import RASTER_SUFFIXES, is_map_file
from dissmodel_lab.conditions import FIELDS, condition_text, names_in
from dissmodel_lab.errors import LabError, QueryError
from dissmodel_lab.executor.jsonvalue import encode
from dissmodel_lab.index import RunQuery
from dissmodel_lab.language import in_language, language, mark, message, say, say_n
from dissmodel_lab.progress import status_text
from dissmodel_lab.provenance import loaded_executor
from dissmodel_lab.redaction import HIDDEN, is_secret_key, redact_text, redact_uri
from dissmodel_lab.store import RECORD_NAME, UNREADABLE, read_record
from dissmodel_lab.titles import leaves, one_line, shown_leaf, title_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
    from pathlib import Path

    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.index import RunEntry
    from dissmodel_lab.store import RunStore

HEADS = (
    mark("run"),
    mark("what differs"),
    mark("model"),
    mark("status"),
    mark("when (UTC)"),
    mark("seconds"),
    mark("tags"),
    mark("what happened"),
)
"""The columns that every row has; of the last two those that hold something are shown."""
THUMBNAIL = 64
"""Longest side of a thumbnail [pixels]."""
_BUDGET = 3.0
"""How long the records of one page may take, and how long its thumbnails [s]."""
_MOST_COLUMNS = 8
"""Columns of parameters that differ; others are named in a note."""
_LARGEST_RECORD = 16 * 1024 * 1024
"""A record larger than this [bytes] is listed, but not read for its columns."""
_LARGEST_VECTOR, _LARGEST_RASTER = 16 * 1024 * 1024, 512 * 1024 * 1024
"""Of a larger file [bytes] there is no thumbnail: vectors are read whole, of rasters only what is shown."""
_LONG_TEXT, _LONG_PROBLEM = 60, 160
_ORDERS = {"-created": mark("newest first"), "created": mark("oldest first")}
_GROUPS = ("parameters", "metrics")


@dataclass(frozen=True)
class Thumbnail:
    """A small picture of a run's output."""

    png: bytes = field(repr=False)
    """At most 64 pixels wide and high."""
    size: tuple[int, int]
    """(width, height) [pixels]."""
    text: str
    """What it shows, for those who cannot see it."""


@dataclass(frozen=True)
class RunRow:
    """One run in a table."""

    entry: RunEntry
    title: str
    """The parameters that make it what it is."""
    by_column: dict[str, Any] = field(default_factory=dict)
    """Its values of the table's columns, by heading; those that it has. Secrets are hidden."""
    thumbnail: Thumbnail | None = None

    @property
    def cells(self) -> dict[str, str]:
        """Texts by :data:`HEADS`, each on one line and without secrets."""
        entry = self.entry
        texts = (
            one_line(entry.experiment_id[:8], 8),
            self.title,
            one_line(entry.model_name, _LONG_TEXT),
            one_line(status_text(entry.status), _LONG_TEXT),
            entry.created_at.strftime("%Y-%m-%d %H:%M:%S"),
            "" if entry.seconds is None else f"{entry.seconds:.3f}",
            ", ".join(one_line(tag, _LONG_TEXT) for tag in entry.tags),
            _short_problem(entry.problem or (say("in phase {phase}", phase=entry.phase) if entry.phase else "")),
        )
        return dict(zip(HEADS, texts, strict=True))

    @property
    def problem(self) -> str:
        """What ended it, or in which phase it is, in English; empty when it completed."""
        return _short_problem(self.entry.problem or (f"in phase {self.entry.phase}" if self.entry.phase else ""))


@dataclass(frozen=True)
class History:
    """A page of runs."""

    rows: tuple[RunRow, ...]
    columns: tuple[str, ...] = ()
    """Headings of the columns that were asked for, then of the parameters that differ among these rows."""
    total: int = 0
    """How many runs fit the query, on all pages."""
    query: RunQuery = field(default_factory=RunQuery)
    notes: tuple[str, ...] = ()
    """Sentences that must be shown with the table."""

    @property
    def caption(self) -> str:
        """
        Which runs these are, in words.

        Examples
        --------
        >>> History((), total=0, query=RunQuery(model="flood", sort="created")).caption
        'no runs; model flood; oldest first'
        """
        return "; ".join([self.range_text, *query_words(self.query)])

    @property
    def range_text(self) -> str:
        """How many of how many: ``50 of 1,234 runs``, or ``runs 51 to 100 of 1,234``."""
        n_rows, first = len(self.rows), self.query.offset + 1
        if self.total == 0:
            return say("no runs")
        if n_rows == 0:
            return say_n("none left of {n} run", "none left of {n} runs", self.total)
        if first > 1:
            last = first + n_rows - 1
            return say("runs {first:,} to {last:,} of {total:,}", first=first, last=last, total=self.total)
        return say_n("{shown:,} of {n} run", "{shown:,} of {n} runs", self.total, shown=n_rows)

    @functools.cached_property
    def heads(self) -> list[str]:
        """The names of all columns, in order."""
        always = len(HEADS) - 2
        extra = [head for head in HEADS[always:] if any(row.cells[head] for row in self.rows)]
        return [*HEADS[:always], *extra, *self.columns]

    @property
    def shown_heads(self) -> list[str]:
        """The headings of all columns, for people."""
        n_always = len(self.heads) - len(self.columns)
        return [*map(say, self.heads[:n_always]), *self.columns]

    def cells(self, row: RunRow) -> list[str]:
        """Return the texts of a row under :attr:`heads`."""
        values = [shown_leaf(name, row.by_column[name]) if name in row.by_column else "" for name in self.columns]
        cells = row.cells
        return [*(cells[head] for head in self.heads[: len(self.heads) - len(values)]), *values]

    def to_text(self) -> str:
        """
        Write the table in columns, under a line that says which runs these are.

        Examples
        --------
        >>> print(History((), query=RunQuery(status="failed")).to_text())
        no runs; status failed; newest first
        """
        heads = [one_line(head, _LONG_TEXT) for head in self.shown_heads]
        lines = [heads, *map(self.cells, self.rows)] if self.rows else []
        widths = [max(map(len, texts)) for texts in zip(*lines, strict=True)]
        table = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
        return "\n".join([self.caption, *table, *map(in_language, self.notes)])

    def to_json(self) -> list[dict[str, Any]]:
        """
        Return the rows as what JSON can hold, whole values and whole ids.

        Examples
        --------
        >>> History(()).to_json()
        []
        """
        return [
            {
                "experiment_id": row.entry.experiment_id,
                "title": row.title,
                "model": row.entry.model_name,
                "status": row.entry.status,
                "created_at": row.entry.created_at.isoformat(),
                "seconds": row.entry.seconds,
                "phase": row.entry.phase,
                "problem": row.problem,
                "tags": list(row.entry.tags),
                "values": {name: encode(value) for name, value in row.by_column.items()},
                "folder": str(row.entry.folder),
                "record": str(path_of(row.entry)),
            }
            for row in self.rows
        ]


def list_runs(
    store: RunStore, query: RunQuery | None = None, *, columns: Iterable[str] = (), thumbnails: bool = True
) -> History:
    """
    Make a page of a store's runs.

    Parameters
    ----------
    store : RunStore
        Where they are kept.
    query : RunQuery, optional
        Which of them, in which order, and which page.
    columns : iterable of str
        Names to show in any case, as conditions call them: a field, ``parameters.x``, ``metrics.x``, or a bare
        name for a parameter, else a metric.
    thumbnails : bool
        Whether to draw the outputs.

    Returns
    -------
    History
        What could not be read or drawn is missing there, and is no error; ``notes`` say so where it matters.

    Raises
    ------
    QueryError
        When the query or a column's name cannot be understood.

    Examples
    --------
    >>> import tempfile
    >>> from dissmodel_lab import RunStore, run
    >>> store = RunStore(tempfile.mkdtemp())
    >>> for n in (2, 3):
    ...     _ = run("game_of_life", parameters={"generations": n}, store=store)
    >>> history = list_runs(store)
    >>> history.columns, [row.title for row in history.rows]
    (('generations',), ['generations=3', 'generations=2'])
    >>> history.caption
    '2 of 2 runs; newest first'
    """
    query = query or RunQuery()
    asked = _checked_columns(columns)
    entries = store.select(query)
    records, unread_notes = _records(entries)
    found = [_parameters_of(record) for record in records]
    known = [_by_name(record, flat) for record, flat in zip(records, found, strict=True)]
    read = [(record, values) for record, values in zip(records, found, strict=True) if record is not None]
    differing = differing_names([record.model_name for record, _ in read], _completed(read))
    # A parameter may be called as a field, and a field's name means the field.
    differing = [f"parameters.{name}" if name in (*FIELDS, *HEADS) else name for name in differing]
    differing = [name for name in differing if name not in asked and f"parameters.{name}" not in asked]
    names = (*asked, *differing[:_MOST_COLUMNS])
    pictures, picture_notes = _thumbnails(records) if thumbnails else ([None] * len(entries), [])
    rows = tuple(
        RunRow(entry, _title(entry, record), _chosen(values, names), picture)
        for entry, record, values, picture in zip(entries, records, known, pictures, strict=True)
    )
    total = len(rows) if _is_whole(query, len(rows)) else store.count(query)
    notes = [
        *store.notices,
        *_unknown_notes(query, store),
        *_column_notes(asked, differing, rows, known, store),
        *unread_notes,
        *picture_notes,
    ]
    return History(rows, names, max(total, len(rows)), query, tuple(notes))


def query_words(query: RunQuery) -> list[str]:
    """
    Say a query in words, one part each, the order last.

    Examples
    --------
    >>> query_words(RunQuery(model="flood", tag="paper"))
    ['model flood', 'tag paper', 'newest first']
    """
    words = []
    if query.model:
        words.append(say("model {name}", name=one_line(query.model, _LONG_TEXT)))
    if query.status:
        words.append(say("status {status}", status=one_line(status_text(query.status), _LONG_TEXT)))
    if query.tag:
        words.append(say("tag {tag}", tag=one_line(query.tag, _LONG_TEXT)))
    if query.source_sha256:
        words.append(say("input sha256 {checksum}", checksum=one_line(query.source_sha256, _LONG_TEXT)))
    if query.since is not None:
        words.append(say("from {moment}", moment=query.since.isoformat(sep=" ")))
    if query.until is not None:
        words.append(say("before {moment}", moment=query.until.isoformat(sep=" ")))
    if query.where is not None:
        words.append(one_line(condition_text(query.where), 10 * _LONG_TEXT))
    if query.sort in _ORDERS:
        return [*words, say(_ORDERS[query.sort])]
    name = one_line(query.sort.removeprefix("-"), _LONG_TEXT)
    if query.sort.startswith("-"):
        return [*words, say("sorted by {name}, largest first", name=name)]
    return [*words, say("sorted by {name}", name=name)]


def differing_names(models: Sequence[str], parameters: Sequence[Mapping[str, Any]]) -> list[str]:
    """
    Return the flat names of parameters that tell runs of the same model apart, those of most runs first.

    Parameters
    ----------
    models : sequence of str
        The model's name, for each run.
    parameters : sequence of mapping
        Flat name -> value, for each run; a name that only some have tells runs apart too.

    Examples
    --------
    >>> differing_names(["flood", "flood", "fire"], [{"a": 1, "b": 2}, {"a": 1, "b": 3}, {"a": 9}])
    ['b']
    """
    seen: dict[tuple[str, str], list[str]] = {}
    for model, values in zip(models, parameters, strict=True):
        for name, value in values.items():
            seen.setdefault((name, model), []).append(_key(value))
    n_runs = Counter(models)
    counts: Counter[str] = Counter()
    for (name, model), texts in seen.items():
        if len(set(texts)) > 1 or len(texts) < n_runs[model]:
            counts[name] += len(texts)
    return [name for name, _ in counts.most_common()]


def path_of(entry: RunEntry) -> Path:
    """
    Return where an entry's record lies.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from pathlib import Path
    >>> from dissmodel_lab.index import RunEntry
    >>> path_of(RunEntry("ab12", "flood", "failed", datetime(2026, 1, 2, tzinfo=UTC), Path("runs/ab12"))).as_posix()
    'runs/ab12/record.json'
    """
    return entry.record_path or entry.folder / RECORD_NAME


def thumbnail_of(record: ExperimentRecord) -> Thumbnail | None:
    """
    Draw a run's output, as small as a row is high; None when there is nothing that can be drawn.

    Parameters
    ----------
    record : ExperimentRecord
        As it was read from the store. Drawn pictures are kept in memory, by the file's time and size.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> thumbnail_of(ExperimentRecord()) is None
    True
    """
    path = record.artifact_path() if "output" in record.artifacts else None
    if path is None or not is_map_file(path):
        return None
    try:
        stat = path.stat()
        is_small = stat.st_size <= (_LARGEST_RASTER if path.suffix.lower() in RASTER_SUFFIXES else _LARGEST_VECTOR)
        if not path.is_file() or not is_small:
            return None
    except (OSError, ValueError):
        return None
    classes = cast("Hashable", loaded_executor(record))
    drawn = _drawn(str(path), stat.st_mtime_ns, stat.st_size, classes, language())
    if drawn is None:
        return None
    run = one_line(record.experiment_id, 9)
    return replace(drawn, text=say("Output of run {run}: {what}", run=run, what=drawn.text))


@functools.lru_cache(maxsize=1024)
def _drawn(path: str, _modified_ns: int, _size: int, classes: Any, _language: str) -> Thumbnail | None:
    from dissmodel_lab.maps import preview  # noqa: PLC0415 -- loads numpy, and what reads maps

    try:
        picture = preview(path, max_pixels=THUMBNAIL, classes=classes)
        times = max(1, THUMBNAIL // max(picture.size))  # a grid of 10 x 10 cells is drawn larger
        width, height = picture.size[0] * times, picture.size[1] * times
        drawn = picture.png if times == 1 else picture.png_at(width, height)
    except Exception:  # noqa: BLE001 -- a file that no reader understands has no picture
        return None
    return Thumbnail(drawn, (width, height), one_line(f"{picture.band}, {picture.legend.summary}", 2 * _LONG_TEXT))


def _thumbnails(records: Sequence[ExperimentRecord | None]) -> tuple[list[Thumbnail | None], Sequence[str]]:
    if any(record is not None and "output" in record.artifacts for record in records):
        import dissmodel_lab.maps.place  # noqa: F401, PLC0415 -- its time is not a picture's

    pictures: list[Thumbnail | None] = []
    began = time.perf_counter()
    for record in records:
        if time.perf_counter() - began > _BUDGET:
            break
        pictures.append(thumbnail_of(record) if record is not None else None)
    n_left = sum(record is not None and "output" in record.artifacts for record in records[len(pictures) :])
    left_out = (
        [message("{n:,} outputs were not drawn, because the others took {seconds:g} s.", n=n_left, seconds=_BUDGET)]
        if n_left
        else []
    )
    return pictures + [None] * (len(records) - len(pictures)), left_out


def _records(entries: Sequence[RunEntry]) -> tuple[list[ExperimentRecord | None], Sequence[str]]:
    records: list[ExperimentRecord | None] = []
    began = time.perf_counter()
    for entry in entries:
        if time.perf_counter() - began > _BUDGET:
            break
        records.append(_try_record(entry))
    n_left = len(entries) - len(records)
    left_out = (
        [message("{n:,} records were not read, because the others took {seconds:g} s.", n=n_left, seconds=_BUDGET)]
        if n_left
        else []
    )
    return records + [None] * n_left, left_out


def _try_record(entry: RunEntry) -> ExperimentRecord | None:
    if entry.status == UNREADABLE:
        return None
    path = path_of(entry)
    try:
        return read_record(path) if path.stat().st_size <= _LARGEST_RECORD else None
    except (LabError, OSError, OverflowError):  # gone, or changed, since it was listed
        return None


def _short_problem(said: str) -> str:
    return one_line(next(iter(said.strip().splitlines()), ""), _LONG_PROBLEM)


def _title(entry: RunEntry, record: ExperimentRecord | None) -> str:
    title = entry.title or (title_of(record) if record is not None else "")
    return one_line(title, 2 * _LONG_TEXT)


def _parameters_of(record: ExperimentRecord | None) -> dict[str, Any]:
    """Return the parameters that a run went with: those given, and those that the model took by itself."""
    return {} if record is None else {**dict(leaves(record.defaults_taken)), **dict(leaves(record.parameters))}


def _completed(runs: Sequence[tuple[ExperimentRecord, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """
    Give runs that were refused the defaults that other runs of their model have.

    They lack parameters that make no difference.
    """
    defaults: dict[str, dict[str, Any]] = {}
    for record, values in runs:
        known = defaults.setdefault(record.model_name, {})
        for name, value in values.items():
            if _is_default(record, name):
                known.setdefault(name, value)
    return [{**defaults[record.model_name], **values} for record, values in runs]


def _is_default(record: ExperimentRecord, name: str) -> bool:
    top = re.split(r"[.\[]", name, maxsplit=1)[0]
    return record.parameter_origins.get(top) in ("default", "default taken") or top in record.defaults_taken


def _by_name(record: ExperimentRecord | None, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return all values of a run by each name that a column may have: bare names are parameters, then metrics."""
    if record is None:
        return {}
    metrics = dict(leaves(record.metrics))
    groups = zip(_GROUPS, (parameters, metrics), strict=True)
    full = {f"{group}.{name}": value for group, values in groups for name, value in values.items()}
    own = {name: value for name, read in _OWN.items() if (value := read(record)) not in (None, "")}
    return {**metrics, **parameters, **own, **full}


_OWN: dict[str, Callable[[ExperimentRecord], Any]] = {
    "steps": lambda record: record.steps,
    "phase": lambda record: record.failed_phase,
    "source": lambda record: record.source.uri,
    "source_sha256": lambda record: record.source.checksum,
    "package": lambda record: record.provenance.executor_package if record.provenance is not None else "",
    "version": lambda record: record.code_version,
}
"""Fields that are no column of every row, but can be asked for."""


def _checked_columns(columns: Iterable[str]) -> tuple[str, ...]:
    if isinstance(columns, str):
        raise QueryError(
            message(
                "columns is a list of names, got the text {columns!r:.80}. Write [{columns!r:.80}].", columns=columns
            )
        )
    asked = list(dict.fromkeys(columns))
    for name in asked:
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise QueryError(
                message("A column is called by the name of a parameter or metric, got {name!r:.80}.", name=name)
            )
    return tuple(name for name in asked if name not in FIELDS or name in _OWN)


def _unknown_notes(query: RunQuery, store: RunStore) -> list[str]:
    """Say which names of a query no run has: a misspelt one finds nothing, and is no error."""
    asked = [] if query.where is None else names_in(query.where)
    asked = [name for name in dict.fromkeys([*asked, query.sort.removeprefix("-")]) if name not in FIELDS]
    if not asked:
        return []
    known = store.known_names()
    every = {f"{group}{name}" for name in known for group in ("", *(f"{group}." for group in _GROUPS))}
    return [_no_run_has(name, _near(name, known)) for name in asked if name not in every]


def _no_run_has(name: str, near: str) -> str:
    shown = one_line(name, _LONG_TEXT)
    if near:
        return message("No run has a parameter or metric {name!r}. Did you mean {near!r}?", name=shown, near=near)
    return message("No run has a parameter or metric {name!r}.", name=shown)


def _none_of_these_has(name: str, near: str) -> str:
    shown = one_line(name, _LONG_TEXT)
    if near:
        return message("None of these runs has {name!r}. Did you mean {near!r}?", name=shown, near=near)
    return message("None of these runs has {name!r}.", name=shown)


def _near(name: str, known: Iterable[str]) -> str:
    """Return the nearest name; empty when none is near."""
    import difflib  # noqa: PLC0415 -- only for those who mistype

    return next(iter(difflib.get_close_matches(name, list(known), n=1)), "")


def _column_notes(
    asked: Sequence[str],
    differing: Sequence[str],
    rows: Sequence[RunRow],
    known: Sequence[Mapping[str, Any]],
    store: RunStore,
) -> list[str]:
    notes: list[str] = []
    more = [one_line(name, _LONG_TEXT) for name in differing[_MOST_COLUMNS:]]
    if more:
        listing = ", ".join(more[:_MOST_COLUMNS]) + (", ..." if len(more) > _MOST_COLUMNS else "")
        notes.append(
            message(
                "{n:,} more parameter differs: {names}. Ask for it as a column to see it."
                if len(more) == 1
                else "{n:,} more parameters differ: {names}. Ask for one as a column to see it.",
                n=len(more),
                names=listing,
            )
        )
    for name in asked if rows else ():
        if name not in _OWN and not any(name in row.by_column for row in rows):
            names = dict.fromkeys([*(name for values in known for name in values), *store.known_names()])
            notes.append(_none_of_these_has(name, _near(name, names)))
    return notes


def _is_whole(query: RunQuery, n_rows: int) -> bool:
    """Tell whether a page is known to hold all there is, so that nobody need count."""
    return query.offset == 0 and (query.limit is None or n_rows < query.limit)


def _key(value: Any) -> str:
    """Return a text by which equal values are known: 1 and 1.0 are."""
    plain = encode(value)
    return repr(int(plain) if isinstance(plain, float) and plain.is_integer() else plain)


def _chosen(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Take some values, without secrets: a record from elsewhere may hold them in plain text."""
    return {name: _without_secrets(name, values[name]) for name in names if name in values}


def _without_secrets(name: str, value: Any) -> Any:
    if isinstance(value, list | tuple):
        items = [_without_secrets(name, item) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    is_secret = any(map(is_secret_key, name.split(".")))
    if isinstance(value, int | float) and not isinstance(value, bool) and is_secret and "pass" in name.lower():
        return HIDDEN  # as records do: a password may be a number, while token_count = 512 is no secret
    if not isinstance(value, str) or not value:
        return value
    return HIDDEN if is_secret else redact_text(redact_uri(value))
