"""What one load read of its record, which files it opened, and what it changed: found out by watching it.

The record itself is watched, not a stand-in: a model may keep it, and must find it again. While ``load`` runs it
has a class of its own that notes which of its attributes are asked for.
"""

from __future__ import annotations

import functools
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from dissmodel_lab.executor.reads import Reads, WatchedParameters
from dissmodel_lab.executor.schemas import ExperimentRecord
from dissmodel_lab.load_cache.copies import NotKeptError
from dissmodel_lab.load_cache.facts import Noticing, World, exactly

if TYPE_CHECKING:
    from collections.abc import Mapping

_METRICS_OF_THE_LAB = "time_"
_STARTS = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "urllib.")
_CHANGES = ("os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.link", "os.symlink", "os.truncate", "shutil.")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_OF_THE_SYSTEM = ("/proc/", "/sys/", "/dev/", "/etc/")
_CODE_ENDINGS = (".py", ".pyc", ".so", ".pyd")


class Watched(NamedTuple):
    """What a load read and changed."""

    names: frozenset[str]
    """Attributes of the record that it asked for."""
    reads: Reads
    """What it read of the parameters."""
    values: Mapping[str, Any]
    """What :func:`values_read` said of them before the load."""
    logs: tuple[str, ...]
    """Lines that it added to the log."""
    metrics: Mapping[str, Any]
    """Metrics that it set."""
    source: Mapping[str, Any]
    """Fields of the record's source that it set."""
    files: frozenset[str]
    """Files and folders that Python opened."""


class LoadWatch:
    """
    Watch one load, as a context around it.

    Parameters
    ----------
    executor : object
        Whose load it is.
    record : ExperimentRecord
        The run's record, with watched parameters.
    """

    def __init__(self, executor: Any, record: ExperimentRecord) -> None:
        self._class = type(executor)
        self._record = record
        self._reads = reads_of(record)
        self._earlier = Reads(set(self._reads.names), dict(self._reads.defaults), self._reads.is_whole)
        self._before = _snapshot(record)
        self._logs = list(record.logs)
        self._world = World.now(self._class)
        self._folder = str(record.record_path.parent) + os.sep if record.record_path is not None else None
        self._files: set[str] = set()
        self._made: set[str] = set()
        self._noticing = Noticing(self._notice)
        self.problem = ""
        """Why nothing can be kept; empty while all is understood."""
        self.names: set[str] = set()
        """Attributes of the record that were asked for so far."""

    def __enter__(self) -> Self:
        self._reads.names.clear()
        self._reads.defaults.clear()
        self._reads.is_whole = False
        self._noticing.__enter__()
        _WATCHES[id(self._record)] = self
        object.__setattr__(self._record, "__class__", _watched_class())
        return self

    def __exit__(self, *_: object) -> None:
        object.__setattr__(self._record, "__class__", ExperimentRecord)
        _WATCHES.pop(id(self._record), None)
        self._noticing.__exit__()
        self._now = Reads(set(self._reads.names), dict(self._reads.defaults), self._reads.is_whole)
        merge_reads(self._reads, self._earlier)

    def watched(self) -> Watched:
        """
        Return what has been seen, after the load.

        Raises
        ------
        NotKeptError
            When it read or changed what is not understood.
        """
        if self.problem:
            raise NotKeptError(self.problem)
        record, before, after = self._record, self._before, _snapshot(self._record)
        if reads_of(record) is not self._reads or World.now(self._class) != self._world:
            raise NotKeptError("it changed the parameters, random numbers, its class or its module")
        changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        if changed - {"metrics", "source"} or record.logs[: len(self._logs)] != self._logs:
            raise NotKeptError(f"it changed the record: {', '.join(sorted(changed))}")
        left = [path for path in self._made if os.path.lexists(path)]
        if left:
            raise NotKeptError("it left a file")
        return Watched(
            frozenset(self.names),
            self._now,
            values_read(self.names, self._now, record, before),
            tuple(record.logs[len(self._logs) :]),
            _set_metrics(before["metrics"], record.metrics),
            _set_fields(before["source"], record),
            frozenset(self._files - self._made),
        )

    def _notice(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take an audit event; nothing may be raised here."""
        if event == "open":
            with suppress(Exception):
                self._notice_open(*arguments[:3])
        elif event in ("os.listdir", "os.scandir", "sqlite3.connect"):
            with suppress(Exception):
                if not _is_of_the_system(path := os.path.abspath(os.fsdecode(arguments[0]))):  # noqa: PTH100 -- kept as text
                    self._files.add(path)
        elif event.startswith(_STARTS):
            self.problem = f"it did {event}"
        elif event.startswith(_CHANGES):
            with suppress(Exception):
                self._made.add(os.path.abspath(os.fsdecode(arguments[0])))  # noqa: PTH100

    def _notice_open(self, path: Any, mode: Any, flags: Any) -> None:
        if isinstance(path, int):  # a file that is open already
            return
        name = os.path.abspath(os.fsdecode(path))  # noqa: PTH100
        if _is_of_the_system(name) or (self._folder is not None and name.startswith(self._folder)):
            return
        is_written = set(mode or "") & set("wax+") or (isinstance(flags, int) and flags & _WRITES)
        (self._made if is_written else self._files).add(name)


def reads_of(record: ExperimentRecord) -> Reads:
    """
    Return what notes the reads of a record's parameters.

    Raises
    ------
    NotKeptError
        When nobody watches them.
    """
    reads = getattr(record.parameters, "_reads", None)
    if not isinstance(record.parameters, WatchedParameters) or not isinstance(reads, Reads):
        raise NotKeptError("its parameters are not watched")
    return reads


def plain_parameters(record: ExperimentRecord) -> dict[Any, Any]:
    """Return a record's parameters, without a note that they were read."""
    parameters = record.parameters
    return parameters.plain() if isinstance(parameters, WatchedParameters) else dict(parameters)


def merge_reads(into: Reads, other: Reads) -> None:
    """
    Add what was read at another time.

    Examples
    --------
    >>> reads = Reads({"a"})
    >>> merge_reads(reads, Reads({"b"}, {"b": 1}))
    >>> sorted(reads.names), reads.defaults
    (['a', 'b'], {'b': 1})
    """
    into.names |= other.names
    into.defaults |= {name: value for name, value in other.defaults.items() if name not in into.defaults}
    into.is_whole |= other.is_whole


def values_read(
    names: set[str] | frozenset[str],
    reads: Reads,
    record: ExperimentRecord,
    snapshot: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """
    Return the values, comparable, of what a load asked for.

    Parameters
    ----------
    names : set of str
        Attributes of the record.
    reads : Reads
        Names of parameters.
    record : ExperimentRecord
        Whose values.
    snapshot : mapping, optional
        The record's values at the time in question; those it has now when not given.

    Raises
    ------
    NotKeptError
        When one of them cannot be compared.
    """
    found: dict[str, Any] = {}
    for name in names - {"parameters", "resolved_spec", "logs"}:
        found[name] = snapshot.get(name) if snapshot is not None else _comparable(record, name)
    for place, table in _tables(record):
        plain = table.plain()
        wanted = plain.keys() if reads.is_whole else reads.names
        found[place] = {
            name: exactly(plain[name]) if name in plain else None
            for name in wanted
            if not isinstance(plain.get(name), WatchedParameters)
        }
    if "resolved_spec" in names:
        found["spec"] = _rest_of_spec(record)
    return found


def shared_objects(record: ExperimentRecord) -> frozenset[int]:
    """Return the ids of a record and of the tables and lists in it."""
    waiting: list[Any] = [record, record.source, *vars(record).values()]
    found = set()
    while waiting:
        value = waiting.pop()
        is_table = isinstance(value, dict)
        if (is_table or isinstance(value, list | ExperimentRecord) or value is record.source) and id(
            value
        ) not in found:
            found.add(id(value))
            waiting.extend(dict.values(value) if is_table else value if isinstance(value, list) else ())
    return frozenset(found)


def _tables(record: ExperimentRecord) -> list[tuple[str, WatchedParameters]]:
    """Return the watched tables of a record: its parameters, and those of its resolved_spec."""
    model = record.resolved_spec.get("model")
    inner = model.plain().get("parameters") if isinstance(model, WatchedParameters) else None
    tables = [("parameters", record.parameters), ("model", model), ("model.parameters", inner)]
    return [(place, table) for place, table in tables if isinstance(table, WatchedParameters)]


def _snapshot(record: ExperimentRecord) -> dict[str, Any]:
    found = {
        name: _comparable(record, name) for name in (*vars(record), *(record.model_extra or {})) if name != "logs"
    }
    found["parameters"] = [exactly(_unwatched(table)) for _, table in _tables(record)]
    found["resolved_spec"] = _rest_of_spec(record)
    return found


def _comparable(record: ExperimentRecord, name: str) -> Any:
    extra = record.model_extra or {}
    value: Any = extra.get(name) if name in extra else vars(record).get(name)
    if name == "source":
        return exactly({**vars(record.source), **(record.source.model_extra or {})})
    if name == "metrics":
        return exactly({key: item for key, item in value.items() if not str(key).startswith(_METRICS_OF_THE_LAB)})
    if name in ("parameters", "resolved_spec"):
        return None  # compared by their watched tables
    return exactly(value)


def _rest_of_spec(record: ExperimentRecord) -> dict[str, Any]:
    return {str(name): exactly(value) for name, value in record.resolved_spec.items() if name != "model"}


def _unwatched(table: WatchedParameters) -> dict[Any, Any]:
    return {name: value for name, value in table.plain().items() if not isinstance(value, WatchedParameters)}


def _set_metrics(before: Any, metrics: Mapping[Any, Any]) -> dict[Any, Any]:
    _, items = before
    old = dict(items)
    now = {key: item for key, item in metrics.items() if not str(key).startswith(_METRICS_OF_THE_LAB)}
    if old.keys() - {exactly(key) for key in now}:
        raise NotKeptError("it removed a metric")
    return {key: item for key, item in now.items() if old.get(exactly(key)) != exactly(item)}


def _set_fields(before: Any, record: ExperimentRecord) -> dict[str, Any]:
    _, items = before
    old = dict(items)
    now = {**vars(record.source), **(record.source.model_extra or {})}
    return {name: value for name, value in now.items() if old.get(exactly(name)) != exactly(value)}


@functools.lru_cache(maxsize=1)
def _installation() -> tuple[str, ...]:
    places = {sys.prefix, sys.base_prefix, *(path for path in sys.path if path.endswith("site-packages"))}
    return tuple(os.path.abspath(place) + os.sep for place in places if place != os.sep)  # noqa: PTH100


def _is_of_the_system(path: str) -> bool:
    return path.startswith((*_OF_THE_SYSTEM, *_installation())) or path.endswith(_CODE_ENDINGS)


_WATCHES: dict[int, LoadWatch] = {}
"""Id of a record -> who watches it. A record has no room for it that would not be written."""

#: What a record is asked for by Python and pydantic themselves.
_OWN = frozenset({"__class__", "__pydantic_fields_set__", "__setattr__", "__getattribute__"})


@functools.lru_cache(maxsize=1)
def _watched_class() -> type[ExperimentRecord]:
    """Return the class that a record has while a load is watched; made at first use."""

    class WatchedRecord(ExperimentRecord):
        def __getattribute__(self, name: str) -> Any:
            watch = _WATCHES.get(id(self))
            if watch is not None and name not in _OWN:
                if name.startswith("_"):  # all of it at once, or what is none of a load's business
                    watch.problem = f"it asked for record.{name}"
                elif not callable(getattr(ExperimentRecord, name, None)):
                    watch.names.add(name)
            return super().__getattribute__(name)

        def __setattr__(self, name: str, value: Any) -> None:
            watch = _WATCHES.pop(id(self), None)
            try:
                if watch is not None and vars(self).get(name) is not value:
                    watch.problem = f"it set record.{name}"
                super().__setattr__(name, value)
            finally:
                if watch is not None:
                    _WATCHES[id(self)] = watch

    WatchedRecord.__name__ = WatchedRecord.__qualname__ = ExperimentRecord.__name__
    return WatchedRecord
