"""What a load can depend on beside its record: files, the code's own state, the random numbers of the process."""

from __future__ import annotations

import functools
import hashlib
import os
import pickle
import random
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dissmodel_lab.load_cache.copies import NotKeptError
from dissmodel_lab.sources import names_file

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping

_MOST_NEIGHBOURS = 2000
"""A folder of more files is not looked through before each load: 1 ms."""
_NO_DATA = (".ipynb", ".py", ".pyc", ".log", ".lock")
_MOST_FUNCTIONS = 300
#: A load whose code mentions one of these may return something else each time.
_FICKLE = frozenset(
    {
        *(
            "random",
            "default_rng",
            "RandomState",
            "urandom",
            "token_hex",
            "token_bytes",
            "randbelow",
            "uuid1",
            "uuid4",
        ),
        *("now", "today", "utcnow", "time", "time_ns", "perf_counter", "monotonic", "gmtime", "localtime", "input"),
        *("urlopen", "urlretrieve", "requests", "httpx", "socket", "boto3", "fsspec", "s3fs"),
    }
)


class FileMark(NamedTuple):
    """What tells cheaply that a file is the very same, unchanged."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    def is_settled(self, now_ns: int, after: float) -> bool:
        """
        Tell whether another change would show: a file system's clock ticks coarsely.

        Parameters
        ----------
        now_ns : int
            The time now [ns since 1970].
        after : float
            How old the last change must be [s].
        """
        return now_ns - max(self.modified_ns, self.changed_ns) > after * 1e9


def mark_of(path: str | Path) -> FileMark | None:
    """
    Return the mark of a file or folder; None when there is none.

    Examples
    --------
    >>> mark_of("no/such/file") is None
    True
    """
    try:
        facts = os.stat(path)  # noqa: PTH116 -- half the time of Path.stat, many times a run
    except (OSError, ValueError):
        return None
    return FileMark(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


def neighbours(path: Path) -> dict[str, FileMark]:
    """
    Return the marks of the files in the folder of an input: parts of a shapefile, what a load may read beside it.

    A library in C opens them unseen, so that all of them count; notebooks, code and hidden files do not.

    Raises
    ------
    NotKeptError
        When there are too many.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("a.shp", "a.dbf", "note.ipynb"):
    ...     folder.joinpath(name).touch()
    >>> sorted(Path(name).name for name in neighbours(folder / "a.shp"))
    ['a.dbf', 'a.shp']
    """
    found = {}
    with os.scandir(path.parent) as entries:
        for count, entry in enumerate(entries):
            if count >= _MOST_NEIGHBOURS:
                raise NotKeptError("its folder holds too many files")
            if entry.name.startswith(".") or entry.name.endswith(_NO_DATA) or not entry.is_file():
                continue
            mark = mark_of(entry.path)  # entry.stat() knows no inode on some systems
            if mark is not None:
                found[entry.path] = mark
    return found


def exactly(value: Any) -> Any:
    """
    Return a value in a form whose equality means the same value of the same type.

    Raises
    ------
    NotKeptError
        When the value cannot be compared.

    Examples
    --------
    >>> exactly(1) == exactly(True), exactly([1, {"a": 0.0}]) == exactly([1, {"a": 0.0}])
    (False, True)
    >>> exactly(float("nan")) == exactly(float("nan")), exactly(0.0) == exactly(-0.0)
    (True, False)
    """
    kind = type(value)
    if kind in (str, int, bool, bytes, type(None)):
        return kind, value
    if kind in (float, complex):
        return kind, repr(value)
    if kind in (list, tuple):
        return kind, tuple(map(exactly, value))
    if kind is dict:
        return kind, tuple((exactly(key), exactly(item)) for key, item in value.items())
    try:
        return kind, pickle.dumps(value, 5)
    except Exception as error:
        raise NotKeptError(f"a {kind.__name__} cannot be compared") from error


class World(NamedTuple):
    """What a load may change without anybody noticing."""

    random_numbers: tuple[Any, ...]
    names: Mapping[str, int]

    @classmethod
    def now(cls, executor_class: type[Any]) -> World:
        """Return the state of this process's random numbers, and what the executor's module and classes hold."""
        numpy = sys.modules.get("numpy.random")
        legacy = numpy.get_state() if numpy is not None else ()
        numbers = (random.getstate(), *(part.tobytes() if hasattr(part, "tobytes") else part for part in legacy))
        return cls(numbers, dict(_held_names(executor_class)))


def _held_names(executor_class: type[Any]) -> Iterator[tuple[str, int]]:
    for owner in executor_class.__mro__:
        if owner.__module__.partition(".")[0] in ("builtins", "abc"):
            continue
        yield from _names_in(f"{owner.__qualname__}.", owner)
    for name, value in list(_globals_of(executor_class).items()):
        yield f"global {name}", id(value)
        if isinstance(value, dict | list | set):  # a cache of the modeller's own making
            yield f"length of {name}", len(value)
        if isinstance(value, type) and value.__module__.partition(".")[0] != "builtins":
            yield from _names_in(f"global {name}.", value)


def _names_in(prefix: str, owner: type[Any]) -> Iterator[tuple[str, int]]:
    for name, value in list(vars(owner).items()):
        if not name.startswith("__") and not name.startswith("_abc_"):
            yield f"{prefix}{name}", id(value)
            if isinstance(value, dict | list | set):
                yield f"length of {prefix}{name}", len(value)


def _globals_of(executor_class: type[Any]) -> dict[str, Any]:
    function = _function(getattr(executor_class, "load", None))
    return function.__globals__ if function is not None else {}


def _function(value: Any) -> types.FunctionType | None:
    value = getattr(value, "__func__", value)
    while hasattr(value, "__wrapped__"):
        value = value.__wrapped__
    return value if isinstance(value, types.FunctionType) else None


# The package's own files, such as its catalogs of sentences, are no input.
_OWN = Path(__file__).parents[1]


class Code(NamedTuple):
    """What can be said of a load from its code alone."""

    is_fickle: bool
    """Whether it mentions a clock, random numbers, a network."""
    files: tuple[str, ...]
    """Texts in it that look like the path of a file."""


@functools.lru_cache(maxsize=64)
def code_of(executor_class: Hashable, content: str = "") -> Code:  # noqa: ARG001 -- a part of the cache's key
    """
    Look through the code of a class's ``load``, and of what it calls in its own package.

    Parameters
    ----------
    executor_class : type
        The executor's class.
    content : str
        What :func:`content_of` says of it: a notebook's class may get other code.

    Examples
    --------
    >>> from dissmodel_lab.models.coastal_flood import CoastalFlood
    >>> code_of(CoastalFlood)
    Code(is_fickle=False, files=())
    """
    names: set[str] = set()
    texts: set[str] = set()
    for function in _reached(executor_class):
        for code in _nested(function.__code__):
            names.update(code.co_names)
            texts.update(_texts(code.co_consts))
        texts.update(str(value) for value in _read_globals(function) if names_file(value))
    files = sorted(text for text in texts if names_file(text) and not Path(text).is_relative_to(_OWN))
    return Code(bool(names & _FICKLE), tuple(files))


def _reached(executor_class: Hashable) -> list[types.FunctionType]:
    start = _function(getattr(executor_class, "load", None))
    if start is None:
        raise NotKeptError("its load() is no plain function")
    home = start.__module__.partition(".")[0] if start.__module__ else ""
    waiting, seen = [start], {start}
    while waiting and len(seen) < _MOST_FUNCTIONS:
        function = waiting.pop()
        for name in {name for code in _nested(function.__code__) for name in code.co_names}:
            for found in (function.__globals__.get(name), getattr(executor_class, name, None)):
                for other in _functions_in(found):
                    if other not in seen and (other.__module__ or "").partition(".")[0] == home:
                        seen.add(other)
                        waiting.append(other)
    return list(seen)


def _functions_in(found: Any) -> Iterable[types.FunctionType]:
    if isinstance(found, type):
        values = list(vars(found).values())  # pydantic completes its class when one of them is looked at
        return [function for value in values if (function := _function(value)) is not None]
    if isinstance(found, property):
        found = found.fget
    function = _function(found)
    return [function] if function is not None else []


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _nested(constant)


def _texts(constants: Iterable[Any]) -> Iterator[str]:
    for constant in constants:
        if isinstance(constant, str) and "\n" not in constant:
            yield constant
        elif isinstance(constant, tuple):
            yield from _texts(constant)


def _read_globals(function: types.FunctionType) -> Iterator[str | Path]:
    for code in _nested(function.__code__):
        for name in code.co_names:
            value = function.__globals__.get(name)
            if isinstance(value, str | Path):
                yield value


def content_of(executor_class: type[Any]) -> str:
    """
    Return what tells one state of a notebook's class from another; empty for a class of an installed module.

    A class that travels from a notebook brings the notebook's variables that it names: they are part of it.

    Raises
    ------
    NotKeptError
        When that cannot be told.

    Examples
    --------
    >>> from dissmodel_lab.models.coastal_flood import CoastalFlood
    >>> content_of(CoastalFlood)
    ''
    """
    module = sys.modules.get(executor_class.__module__)
    found: Any = module if getattr(module, "__file__", None) and executor_class.__module__ != "__main__" else None
    for part in executor_class.__qualname__.split("."):
        found = getattr(found, part, None)
    if found is executor_class:
        return ""
    try:
        import cloudpickle  # noqa: PLC0415 -- only for classes of a notebook

        return hashlib.sha256(cloudpickle.dumps(executor_class)).hexdigest()
    except Exception as error:
        raise NotKeptError("its class cannot be pickled") from error


_LISTENING: list[Callable[[str, tuple[Any, ...]], None]] = []
"""Who gets audit events now; of the process, as a hook cannot be removed."""


class Noticing:
    """A context in which a function gets every audit event of this process: what Python opens, starts, calls up."""

    _is_installed = False

    def __init__(self, note: Callable[[str, tuple[Any, ...]], None]) -> None:
        self._note = note

    def __enter__(self) -> None:
        if not Noticing._is_installed:
            Noticing._is_installed = True
            sys.addaudithook(_hook)
        _LISTENING.append(self._note)

    def __exit__(self, *_: object) -> None:
        _LISTENING.remove(self._note)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    for note in _LISTENING:  # nearly always empty: this is called for each event of the process
        note(event, arguments)
