"""A run as an MLflow run, in a tracking store on this machine: a folder or an SQLite file.

=============  ================================================================================================
experiment     the model's name
parameters     flat names; what MLflow does not allow in a name becomes ``.``; texts of at most 6,000 characters
metrics        numbers; a table by year or a list of numbers becomes a metric with steps
tags           ids, hashes, versions, the person's tags; metrics that are no finite number or NaN
artifacts      ``record.json``, and ``outputs`` as far as they still have the recorded hash
=============  ================================================================================================

MLflow is told nothing globally: no tracking URI is set, no ``mlruns`` appears in the working folder, and its
usage statistics are off while it works here. What it writes holds absolute paths, as its stores do.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import math
import os
import re
import sqlite3
import threading
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from dissmodel_lab.annotations import read_annotations
from dissmodel_lab.errors import ExportError, LabError
from dissmodel_lab.executor.schemas import ExperimentRecord, Provenance, RunStatus
from dissmodel_lab.exports.target import missing_library, unwritable
from dissmodel_lab.language import message
from dissmodel_lab.plain import Plain, as_on_disk, cut, flat_values, plain_value
from dissmodel_lab.redaction import redact_uri
from dissmodel_lab.sources import sha256
from dissmodel_lab.store import safe_name
from dissmodel_lab.titles import title_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ENVIRONMENT = {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
_STATUS = {
    RunStatus.PENDING.value: "SCHEDULED",
    RunStatus.RUNNING.value: "RUNNING",
    RunStatus.FAILED.value: "FAILED",
    RunStatus.CANCELLED.value: "KILLED",
}
"""Any other status is ``FINISHED``; the record's own word is a tag."""
_TAG = "dissmodel_lab."
_KEY, _BEGAN, _WHOLE = f"{_TAG}key", f"{_TAG}export_began", f"{_TAG}export_whole"
_ABANDONED = 600.0
"""After this time an export that did not end is given up for dead [s]."""
# MLflow's own limits: mlflow.utils.validation.
_LONGEST_PARAMETER, _LONGEST_TAG, _LONGEST_NAME = 5_900, 7_900, 120
_AT_ONCE = {"params": 100, "tags": 100, "metrics": 1_000}
_MOST_POINTS = 100_000
_MOST_BYTES = 200_000_000
"""Outputs that together are larger are left out [bytes]."""
_MOST_FILES = 10_000
_LONGEST_RUN = 1e9
"""A record that claims a longer one is not believed [s]."""
_DATABASES = (".db", ".sqlite")
_working = threading.Lock()


def export_mlflow(records: ExperimentRecord | Iterable[ExperimentRecord], path: str | Path) -> Path:
    """
    Add runs to an MLflow tracking store.

    Parameters
    ----------
    records : ExperimentRecord or iterable of ExperimentRecord
        Completed, failed or cancelled runs, read one by one; secrets are hidden. One run that is there already
        is refused; of many, those are left out.
    path : str or Path
        A folder, new or an MLflow store; or a file that ends in ``.db`` or ``.sqlite``, which needs
        ``pip install mlflow``; or the URI of either, ``file:///...`` or ``sqlite:///...``.

    Returns
    -------
    Path
        The store's folder or file.

    Raises
    ------
    ExportError
        When MLflow is not installed, the path is no MLflow store, all runs are there already, or the disk refuses.
        A run that could not be added whole is taken away again.

    Examples
    --------
    >>> import tempfile
    >>> record = ExperimentRecord(model_name="flood", status="failed", metrics={"cells": 12})
    >>> store = export_mlflow(record, Path(tempfile.mkdtemp(), "mlflow"))
    >>> export_mlflow(record, store)
    Traceback (most recent call last):
    dissmodel_lab.errors.ExportError: Run ... is in the MLflow store ... already, as run ... Nothing was added.
    """
    target = _target(path)
    given = [records] if isinstance(records, ExperimentRecord) else records
    with _mlflow_at_work():
        client = _client(target)
        known = _Known(client)
        present = {record.experiment_id: _add(client, known, target, record) for record in given}
    if not all(present.values()):
        return target.place
    raise ExportError(_nothing_new(target, present))


@dataclass(frozen=True)
class _Target:
    """Where a tracking store is."""

    place: Path
    is_database: bool

    @property
    def uri(self) -> str:
        if self.is_database:
            return f"sqlite:///{self.place.absolute().as_posix()}"
        return self.place.absolute().as_uri()

    @property
    def artifacts(self) -> Path | None:
        """Where artifacts go; None for the store's own place. MLflow would take the working folder."""
        return self.place.with_name(f"{self.place.stem}_artifacts").absolute() if self.is_database else None


def _target(path: str | Path) -> _Target:
    said = str(path)
    scheme = said.partition(":")[0].lower() if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", said) else ""
    if scheme == "sqlite":
        place, is_database = Path(re.sub(r"(?i)^sqlite:/{0,3}", "", said)), True
    elif scheme == "file":
        place, is_database = Path(url2pathname(urlsplit(said).path)), False
    elif "://" in said:
        raise ExportError(
            message(
                "{said!r} is no MLflow store on this machine. Allowed: a folder, a file that ends in .db or "
                ".sqlite, or their URI (file:///... or sqlite:///...).",
                said=redact_uri(said),
            )
        )
    else:
        place = Path(said)
        is_database = place.suffix.lower() in _DATABASES
    if "\0" in said or not place.name or (is_database and re.search(r"[?#%]", said)):
        raise ExportError(
            message(
                "{said!r} is no path for an MLflow store. Give a folder, or a file that ends in .db, without ?, # "
                "and %.",
                said=said,
            )
        )
    target = _Target(place, is_database)
    _check_place(target)
    return target


def _check_place(target: _Target) -> None:
    """Make sure that MLflow will find a store of its own there, or nothing; and that the place can be written."""
    place = target.place
    try:
        if target.is_database:
            place.parent.mkdir(parents=True, exist_ok=True)
            is_theirs = not place.exists() or _is_database(place)
        else:
            place.mkdir(parents=True, exist_ok=True)
            is_theirs = _is_empty(place) or any(place.glob("*/meta.yaml"))
        writable = os.access(place if place.exists() else place.parent, os.W_OK)
    except OSError as error:
        raise ExportError(unwritable(place, error)) from error
    if not is_theirs:
        raise ExportError(
            message("{place!r} holds something else than an MLflow store. Choose another --output.", place=str(place))
        )
    if not writable:
        raise ExportError(
            message("{place!r} cannot be written: Permission denied. Choose another --output.", place=str(place))
        )


def _is_empty(folder: Path) -> bool:
    return next(folder.iterdir(), None) is None


def _is_database(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    except sqlite3.Error:
        return False
    return not tables or {"experiments", "runs", "params"} <= tables


@contextmanager
def _mlflow_at_work() -> Iterator[None]:
    """Have MLflow keep to what it is asked: its switches are variables of the whole process, and are put back."""
    with _working:
        before = {name: os.environ.get(name) for name in _ENVIRONMENT}
        os.environ.update(_ENVIRONMENT)
        loud = [logging.getLogger(name) for name in ("mlflow", "alembic")]
        levels = [logger.level for logger in loud]
        try:
            for logger in loud:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loud, levels, strict=True):
                logger.setLevel(level)
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _client(target: _Target) -> Any:
    try:
        from mlflow import MlflowClient  # noqa: PLC0415 -- takes 2 s, and only for those who want MLflow

        logging.getLogger("mlflow").setLevel(logging.ERROR)  # its import has set another
        if target.is_database:
            for needed in ("sqlalchemy", "alembic"):  # mlflow-skinny comes without
                import_module(needed)
    except ImportError as error:
        if target.is_database:
            raise ExportError(
                message(
                    "An MLflow store in an SQLite file needs all of MLflow: {error}. Install it: pip install "
                    "mlflow, or give a folder as --output.",
                    error=error,
                )
            ) from error
        raise ExportError(missing_library("mlflow", "mlflow-skinny", error)) from error
    with _told(target):
        return MlflowClient(tracking_uri=target.uri, registry_uri=target.uri)


@contextmanager
def _told(target: _Target) -> Iterator[None]:
    """Tell of MLflow's own complaints in one message."""
    try:
        yield
    except OSError as error:
        raise ExportError(unwritable(target.place, error)) from error
    except LabError:
        raise
    except Exception as error:
        first = " ".join(str(error).split())
        raise ExportError(
            message(
                "MLflow refuses to write to {place!r}: {kind}: {first}. Nothing is left of this run there. Choose "
                "another --output.",
                place=str(target.place),
                kind=type(error).__name__,
                first=cut(first, 500),
            )
        ) from error


class _Known:
    """The runs that a store has from here, by key; each experiment is asked once."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._experiments: dict[str, dict[str, Any]] = {}

    def of(self, experiment_id: str) -> dict[str, Any]:
        """Return key -> run of one experiment."""
        if experiment_id not in self._experiments:
            found: dict[str, Any] = {}
            token: str | None = None
            while token != "":
                page = self._client.search_runs([experiment_id], max_results=50_000, page_token=token)
                found |= {run.data.tags[_KEY]: run for run in page if _KEY in run.data.tags}
                token = page.token or ""
            self._experiments[experiment_id] = found
        return self._experiments[experiment_id]


def _add(client: Any, known: _Known, target: _Target, given: ExperimentRecord) -> str:
    """Add a run; return the id of the MLflow run that it is already, else an empty text."""
    title, record = title_of(given), as_on_disk(given)
    key = hashlib.sha256(record.experiment_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    with _told(target):
        experiment_id = _experiment(client, target, record)
        runs = known.of(experiment_id)
        if key in runs and not _is_abandoned(runs[key], target, record):
            return str(runs[key].info.run_id)
        if key in runs:
            _take_away(client, runs.pop(key).info.run_id)
        began = _milliseconds(record.started_at or record.created_at)
        tags = {_KEY: key, _BEGAN: f"{time.time():.0f}"}
        run = client.create_run(experiment_id, start_time=began, tags=tags, run_name=title)
        try:
            _fill(client, run.info.run_id, record)
            client.set_tag(run.info.run_id, _WHOLE, "true")
            runs[key] = client.get_run(run.info.run_id)
        except BaseException:
            _take_away(client, run.info.run_id)
            raise
    return ""


def _is_abandoned(run: Any, target: _Target, record: ExperimentRecord) -> bool:
    """Tell whether a run was never added whole, because its export was killed."""
    tags = run.data.tags
    if _WHOLE in tags:
        return False
    began = tags.get(_BEGAN, "")
    if began.isdecimal() and time.time() - float(began) < _ABANDONED:
        raise ExportError(
            message(
                "Run {experiment_id} is being added to {place!r} by another process, or an export of it was "
                "stopped in the last {abandoned:.0f} minutes. Try again later.",
                experiment_id=record.experiment_id[:8],
                place=str(target.place),
                abandoned=_ABANDONED / 60,
            )
        )
    return True


def _take_away(client: Any, run_id: str) -> None:
    with suppress(Exception):  # what it was taken away for is told instead
        client.delete_run(run_id)
        client._tracking_client.store._hard_delete_run(run_id)  # noqa: SLF001 -- MLflow's own way out is `mlflow gc`


def _experiment(client: Any, target: _Target, record: ExperimentRecord) -> str:
    name = re.sub(r"[^\w .-]+", "-", record.model_name).strip(" -.")[:_LONGEST_NAME] or "model"
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    place = target.artifacts
    location = None if place is None else (place / safe_name(name)).as_uri()
    return str(client.create_experiment(name, artifact_location=location))


def _fill(client: Any, run_id: str, record: ExperimentRecord) -> None:
    from mlflow.entities import Metric, Param, RunTag  # noqa: PLC0415 -- loaded already

    moment = _milliseconds(record.ended_at or record.started_at or record.created_at)
    points, other = _metrics(record)
    left_out = _copy_outputs(client, run_id, record)
    tags = {**_tags(record), **other, **left_out}
    batches: dict[str, list[Any]] = {
        "params": [Param(name, _text(value, _LONGEST_PARAMETER)) for name, value in _parameters(record).items()],
        "metrics": [Metric(name, value, moment, step) for name, step, value in points],
        "tags": [RunTag(name, value) for name, value in tags.items()],
    }
    for kind, items in batches.items():
        for start in range(0, len(items), _AT_ONCE[kind]):
            client.log_batch(run_id, **{kind: items[start : start + _AT_ONCE[kind]]})
    client.log_text(run_id, record.model_dump_json(indent=2), "record.json")
    status = _STATUS.get(record.status, "FINISHED")
    if status in ("RUNNING", "SCHEDULED"):
        client.update_run(run_id, status=status)
    else:
        client.set_terminated(run_id, status, end_time=_milliseconds(_ended(record)))


def _ended(record: ExperimentRecord) -> dt.datetime:
    if record.ended_at is not None:
        return record.ended_at
    seconds = _number(record.metrics.get("time_total_sec"))
    known = seconds if seconds is not None and 0 <= seconds < _LONGEST_RUN else 0.0
    return (record.started_at or record.created_at) + dt.timedelta(seconds=known)


def _milliseconds(moment: dt.datetime) -> int:
    return max(0, int(moment.timestamp() * 1000))


def _parameters(record: ExperimentRecord) -> dict[str, Plain]:
    free = _FreeNames()
    flat = flat_values({**record.defaults_taken, **record.parameters})
    return {free.take(_name(name)): value for name, value in flat.items()}


def _metrics(record: ExperimentRecord) -> tuple[list[tuple[str, int, float]], dict[str, str]]:
    """Return metrics as (name, step, value), and what is none to MLflow as tags."""
    points: list[tuple[str, int, float]] = []
    other: dict[str, str] = {}
    names = _FreeNames()
    for name, value in record.metrics.items():
        series = _series(value)
        flat = {str(name): value} if series else flat_values({name: value})
        for inner, item in flat.items():
            free = names.take(_name(inner))
            numbers = series or [(0, item)]
            found = [(free, step, number) for step, one in numbers if (number := _number(one)) is not None]
            points += found[: _MOST_POINTS - len(points)]
            if not found:
                other[f"{_TAG}metric.{free}"] = _text(plain_value(item), _LONGEST_TAG)
    return points, other


def _series(value: Any) -> list[tuple[int, Any]]:
    """Return a table by year, or a list of numbers, as (step, value); empty for anything else."""
    if isinstance(value, dict):
        pairs = [(str(key), item) for key, item in value.items()]
        if not all(re.fullmatch(r"-?\d{1,9}", key) for key, _ in pairs):
            return []
        steps = [(int(key), item) for key, item in pairs]
    elif isinstance(value, list | tuple):
        steps = list(enumerate(value))
    else:
        return []
    return steps if all(_number(item) is not None for _, item in steps) else []


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return None if math.isinf(number) else number  # MLflow would turn it into the largest float


def _tags(record: ExperimentRecord) -> dict[str, str]:
    facts = record.provenance or Provenance()
    git = facts.executor_git
    ours = {
        "experiment_id": record.experiment_id,
        "model": record.model_name,
        "status": record.status,
        "failed_phase": record.failed_phase,
        "error": record.error,
        "steps": record.steps,
        "seed": facts.seed,
        "executor": facts.executor_class,
        "package": facts.executor_package or record.model_commit,
        "version": record.code_version,
        "source": record.source.uri,
        "source_sha256": record.source.checksum,
        "tags": ", ".join(read_annotations(record.record_path).tags) if record.record_path is not None else "",
        **{f"sha256.{_name(name)}": checksum for name, checksum in record.artifacts.items()},
        **{f"content_sha256.{_name(name)}": checksum for name, checksum in record.content_sha256.items()},
        **{f"software.{_name(name)}": version for name, version in facts.versions.items()},
        **{f"verdict.{name}": record.verdict.get(name) for name in ("kind", "of")},
    }
    theirs = {
        "mlflow.user": facts.user,
        "mlflow.source.name": facts.notebook_path or facts.executor_class,
        "mlflow.source.type": "NOTEBOOK" if facts.notebook_path else "LOCAL",
        "mlflow.source.git.commit": git.commit if git is not None else "",
        "mlflow.note.content": record.error,
    }
    named = {**{f"{_TAG}{name}": value for name, value in ours.items()}, **theirs}
    return {name: _text(plain_value(value), _LONGEST_TAG) for name, value in named.items() if value not in (None, "")}


def _copy_outputs(client: Any, run_id: str, record: ExperimentRecord) -> dict[str, str]:
    """Copy what the run left, as far as it is still the same; return tags that say why the rest is not there."""
    left_out: dict[str, str] = {}
    room = _MOST_BYTES
    for name, checksum in record.artifacts.items():
        path = record.artifact_path(name)
        size = _size(path, room) if path is not None else None
        # A record from elsewhere may name any file: without its hash nobody gets it to hand one out.
        if path is None or size is None:
            why = "not here"
        elif size > room:
            why = f"with it, outputs are larger than {_MOST_BYTES // 1_000_000} MB"
        elif _sha256(path) != checksum:
            why = "changed since the run"
        else:
            room -= size
            place = f"outputs/{safe_name(name)}"
            (client.log_artifacts if path.is_dir() else client.log_artifact)(run_id, str(path), place)
            continue
        left_out[f"{_TAG}left_out.{_name(name)}"] = why
    return left_out


def _size(path: Path, limit: int) -> int | None:
    """Return the size of a file or folder; of a larger one something above the limit; None when there is none."""
    try:
        if path.is_file():
            return path.stat().st_size
        if not path.is_dir():
            return None
        size = 0
        for number, item in enumerate(path.rglob("*")):
            size += item.stat().st_size if item.is_file() else 0
            if size > limit or number > _MOST_FILES:
                return limit + 1
    except (OSError, ValueError):
        return None
    return size


def _sha256(path: Path) -> str:
    try:
        return sha256(path)
    except OSError:
        return ""


def _name(text: str) -> str:
    """Return a name as MLflow allows it, which is also a file's name in its folders."""
    dotted = re.sub(r"\[(\d+)\]", r".\1", text)
    allowed = re.sub(r"[^\w. -]+", ".", dotted).strip(". ")
    if len(allowed) > _LONGEST_NAME or len(allowed.encode("utf-8", "replace")) > 2 * _LONGEST_NAME:
        allowed = (
            f"{allowed[: _LONGEST_NAME // 2]}-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
        )
    return allowed or "name"


class _FreeNames:
    """Names, each once; without regard to case: they are files, and some file systems know no case."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._counts: dict[str, int] = {}

    def take(self, name: str) -> str:
        """Return the name, or with a number behind it when it is taken."""
        key, free = name.casefold(), name
        while free.casefold() in self._taken:
            self._counts[key] = self._counts.get(key, 1) + 1  # not from the start: there may be thousands of one name
            free = f"{name}-{self._counts[key]}"
        self._taken.add(free.casefold())
        return free


def _text(value: Plain, limit: int) -> str:
    if value is None:
        return "none"
    return cut(str(value).lower() if isinstance(value, bool) else str(value), limit)


def _nothing_new(target: _Target, present: dict[str, str]) -> str:
    where = f"in the MLflow store {str(target.place)!r} already"
    if not present:
        return message("There is no run to export to {place!r}. Nothing was added.", place=str(target.place))
    if len(present) > 1:
        return message("All {n_present:,} runs are {where}. Nothing was added.", n_present=len(present), where=where)
    run_id, there = next(iter(present.items()))
    return message(
        "Run {run_id} is {where}, as run {there}. Nothing was added.", run_id=run_id[:8], where=where, there=there
    )
