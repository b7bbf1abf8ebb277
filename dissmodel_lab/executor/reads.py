"""What an executor really reads of its parameters, and which defaults of its own it takes.

An executor that declares nothing reads a plain dict, where a misspelt name goes unnoticed. While one of its
methods runs it gets a dict that remembers what was asked of it and answers as any dict does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _collections_abc import dict_items, dict_keys, dict_values
    from collections.abc import Iterator, Mapping

_MISSING: Any = object()


@dataclass
class Reads:
    """What has been read of one run's parameters."""

    names: set[str] = field(default_factory=set)
    """Every name that was asked for, there or not."""
    defaults: dict[str, Any] = field(default_factory=dict)
    """Name -> the default that the executor took, because nothing was given."""
    is_whole: bool = False
    """True once the parameters were taken as a whole: then nothing can be called unread."""
    is_watching: bool = False
    """True inside of ``with reads``, while a method of the executor runs: what the lab reads does not count."""

    def __enter__(self) -> None:
        self.is_watching = True

    def __exit__(self, *_: object) -> None:
        self.is_watching = False

    def unread(self, given: Mapping[str, Any]) -> list[str]:
        """
        Return the given names that nobody asked for.

        Examples
        --------
        >>> Reads({"end_time"}).unread({"end_time": 5, "edn_time": 6})
        ['edn_time']
        """
        return [] if self.is_whole else [name for name in given if name not in self.names]

    def note(self, name: Any, default: Any = _MISSING) -> None:
        """Note that a name was asked for, and what is taken in its place when it is not there."""
        if self.is_watching and isinstance(name, str):
            self.names.add(name)
            if default is not _MISSING:
                self.defaults.setdefault(name, default)

    def note_whole(self) -> None:
        """Note that the parameters were taken as a whole."""
        self.is_whole |= self.is_watching


class WatchedParameters(dict[Any, Any]):
    """
    A dict of parameters that tells what is read of it; copies of it are plain dicts.

    Examples
    --------
    >>> reads = Reads(is_watching=True)
    >>> watched = WatchedParameters({"gain": 2, "rate": 1}, reads)
    >>> watched["gain"], watched.get("end_time", 88), sorted(reads.names), reads.defaults
    (2, 88, ['end_time', 'gain'], {'end_time': 88})
    """

    def __init__(self, values: Mapping[Any, Any], reads: Reads) -> None:
        super().__init__(values)
        self._reads = reads

    def __getitem__(self, name: Any) -> Any:
        self._reads.note(name)
        return super().__getitem__(name)

    def get(self, name: Any, default: Any = None, /) -> Any:
        """Return a value or the default; either is noted."""
        if name in self.keys_unwatched():
            return self[name]
        self._reads.note(name, default)
        return default

    def setdefault(self, name: Any, default: Any = None, /) -> Any:
        """Return a value, or put the default there; either is noted."""
        if name not in self.keys_unwatched():
            self._reads.note(name, default)
            self[name] = default
        return self[name]

    def pop(self, name: Any, *default: Any) -> Any:
        """Take a value out; it is noted."""
        if name in self.keys_unwatched() or not default:
            self._reads.note(name)
        else:
            self._reads.note(name, default[0])
        return super().pop(name, *default)

    def __contains__(self, name: object) -> bool:
        self._reads.note(name)
        return super().__contains__(name)

    def __iter__(self) -> Iterator[Any]:
        self._reads.note_whole()
        return super().__iter__()

    def keys(self) -> dict_keys[Any, Any]:
        """Return all names: taken as a whole."""
        self._reads.note_whole()
        return super().keys()

    def items(self) -> dict_items[Any, Any]:
        """Return all pairs: taken as a whole."""
        self._reads.note_whole()
        return super().items()

    def values(self) -> dict_values[Any, Any]:
        """Return all values: taken as a whole."""
        self._reads.note_whole()
        return super().values()

    def copy(self) -> dict[Any, Any]:
        """Return a plain dict: taken as a whole."""
        return dict(self.items())

    def __or__(self, other: Any) -> Any:
        return self.copy() | other

    def __ror__(self, other: Any) -> Any:
        return other | self.copy()

    def __reduce__(self) -> tuple[Any, ...]:  # for copy.deepcopy and pickle
        return dict, (self.copy(),)

    def keys_unwatched(self) -> dict_keys[Any, Any]:
        """Return all names, without a note of it."""
        return super().keys()

    def plain(self) -> dict[Any, Any]:
        """Return a plain dict, without a note of it."""
        return dict(super().items())


def watched_spec(spec: Mapping[str, Any], reads: Reads) -> dict[str, Any]:
    """
    Return a ``resolved_spec`` whose table ``model``, from which older executors read, is watched.

    Examples
    --------
    >>> reads = Reads(is_watching=True)
    >>> spec = watched_spec({"model": {"class": "a", "parameters": {"end_time": 5}}}, reads)
    >>> spec["model"]["parameters"]["end_time"], "end_time" in reads.names
    (5, True)
    """
    model = spec.get("model")
    if not isinstance(model, dict):
        return dict(spec)
    inner = model.get("parameters")
    nested = {"parameters": WatchedParameters(inner, reads)} if isinstance(inner, dict) else {}
    return {**spec, "model": WatchedParameters({**model, **nested}, reads)}


def plain_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """
    Undo :func:`watched_spec`.

    Examples
    --------
    >>> type(plain_spec(watched_spec({"model": {"a": 1}}, Reads()))["model"])
    <class 'dict'>
    """
    return {key: _plain(value) for key, value in spec.items()}


def _plain(value: Any) -> Any:
    if not isinstance(value, WatchedParameters):
        return value
    return {key: _plain(item) for key, item in value.plain().items()}
