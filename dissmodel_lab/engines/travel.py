"""A job as bytes for another process; and, where that is not possible, which part of it cannot travel."""

from __future__ import annotations

import inspect
import os
import pickle
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from dissmodel_lab.errors import EngineError, shown
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dissmodel_lab.jobs import Job

_DEEPEST = 6
"""How far a culprit is looked for, in attributes of attributes."""
_OF_EVERY_CLASS = ("__dict__", "__weakref__", "_abc_impl")
"""Attributes of a class that Python makes, and cloudpickle makes anew."""
_LARGEST_EXCEPTION = 4 * 1024**2
"""A larger exception stays where it was raised [bytes]: it holds data, which its text tells of."""
_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep  # noqa: PTH100, PTH120 -- compared as text
_MODELS = f"{_HERE}models{os.sep}"


class _Part(NamedTuple):
    """Something inside of a thing that cannot travel."""

    words: str
    value: Any


def pack(job: Job) -> bytes:
    """
    Return a job as bytes; classes that were defined in a notebook or by ``exec`` go with it, as code.

    Parameters
    ----------
    job : Job
        Of any engine.

    Raises
    ------
    EngineError
        When a part of it cannot travel; the message says which: an attribute, a variable around a function, a
        global name, a parameter.

    Examples
    --------
    >>> import threading
    >>> from dissmodel_lab.jobs import Job
    >>> place = {"store": "/tmp", "working_folder": "/tmp", "experiment_id": "1", "folder_name": "1"}
    >>> isinstance(pack(Job(model="game_of_life", **place)), bytes)
    True
    >>> pack(Job(model="game_of_life", parameters={"lock": threading.Lock()}, **place))
    Traceback (most recent call last):
    dissmodel_lab.errors.EngineError: The run cannot travel to another process: its parameter 'lock' is a lock, ...
    """
    import cloudpickle  # noqa: PLC0415 -- whoever runs inline needs none

    try:
        return bytes(cloudpickle.dumps(job))
    except Exception as error:
        raise EngineError(_complaint(job, error)) from error


def unpack(packed: bytes) -> Job:
    """
    Return the job that :func:`pack` packed.

    Raises
    ------
    Exception
        Whatever importing the model's module raises, when it is not there or not the same.

    Examples
    --------
    >>> from dissmodel_lab.jobs import Job
    >>> place = {"store": "/tmp", "working_folder": "/tmp", "experiment_id": "1", "folder_name": "1"}
    >>> unpack(pack(Job(model="game_of_life", **place))).model
    'game_of_life'
    """
    job: Job = pickle.loads(packed)  # noqa: S301 -- of this user's own process, through a pipe of its own
    return job


def pack_exception(error: BaseException) -> bytes:
    """
    Return an exception as bytes, with its traceback, its causes and its notes; empty when it cannot travel.

    Examples
    --------
    >>> unpack_exception(pack_exception(ValueError("no rain")))
    ValueError('no rain')
    """
    import cloudpickle  # noqa: PLC0415 -- as above

    with suppress(Exception):  # without tblib it travels without its traceback
        # Only for a run that failed; it has no types.
        from tblib import pickling_support  # noqa: PLC0415 -- as above

        pickling_support.install(error)
    try:
        packed = bytes(cloudpickle.dumps(error))
        back = pickle.loads(packed)  # noqa: S301 -- made just now: the other side must be able to do the same
    except BaseException:  # noqa: BLE001 -- whatever a modeller's exception does when it is copied
        return b""
    travels = type(back) is type(error) and len(packed) <= _LARGEST_EXCEPTION
    return packed if travels else b""


def without_our_frames(error: BaseException) -> None:
    """
    Let the traceback of a model's exception begin where the model's own code does.

    One that never left this package keeps all of its frames.

    Parameters
    ----------
    error : BaseException
        As it was caught in a worker; it is changed.

    Examples
    --------
    >>> try:
    ...     [][1]
    ... except IndexError as error:
    ...     without_our_frames(error)
    """
    frame = error.__traceback__
    while frame is not None and _is_ours(frame.tb_frame.f_code.co_filename):
        frame = frame.tb_next
    if frame is not None:
        error.__traceback__ = frame


def _is_ours(file: str) -> bool:
    return file.startswith(_HERE) and not file.startswith(_MODELS)


def unpack_exception(packed: bytes) -> BaseException | None:
    """
    Return the exception that :func:`pack_exception` packed; None when there is none or it cannot be rebuilt here.

    Examples
    --------
    >>> unpack_exception(b"") is None
    True
    """
    if not packed:
        return None
    try:
        error = pickle.loads(packed)  # noqa: S301 -- from a worker of this process's own
    except BaseException:  # noqa: BLE001 -- as above: its text is in the record
        return None
    return error if isinstance(error, BaseException) else None


def _complaint(job: Job, error: Exception) -> str:
    for part in _parts_of_job(job):
        if not _travels(part.value):
            where, culprit = _culprit(part, 0)
            break
    else:  # the parts travel one by one, their whole does not
        return message(
            "The run cannot travel to another process: {kind}: {error}. Run it with engine inline.",
            kind=type(error).__name__,
            error=error,
        )
    what = message(
        "{where} is a {kind}, which exists in this process alone", where=where, kind=shown(type(culprit).__name__)
    )
    return message(
        "The run cannot travel to another process: {what}. Make it inside of the method that uses it, or run "
        "with engine inline.",
        what=what,
    )


def _parts_of_job(job: Job) -> Iterator[_Part]:
    for name, value in job.parameters.items():
        yield _Part(f"its parameter {shown(name)!r}", value)
    for value in job.data:
        yield _Part(message("its input data"), value)
    name = getattr(job.model, "__name__", type(job.model).__name__)
    yield _Part(f"its model {shown(name)}", job.model)
    for field, value in vars(job).items():
        yield _Part(f"its {field}", value)


def _culprit(part: _Part, depth: int) -> tuple[str, Any]:
    """Go from a thing that cannot travel into the part of it that cannot, as deep as that is possible."""
    if depth < _DEEPEST:
        for inner in _inside(part.value):
            if not _travels(inner.value):
                return _culprit(_Part(f"{part.words}, {inner.words}", inner.value), depth + 1)
    return part.words, part.value


def _inside(thing: Any) -> Iterator[_Part]:
    function = getattr(thing, "__func__", thing)
    if inspect.isfunction(function):
        yield from _inside_function(function)
    elif isinstance(thing, property):
        for accessor in filter(None, (thing.fget, thing.fset, thing.fdel)):
            yield from _inside_function(accessor)
    elif isinstance(thing, type):
        yield from _inside_class(thing)
    elif isinstance(thing, dict):
        yield from (_Part(f"its item {shown(key)!r}", value) for key, value in thing.items())
    elif isinstance(thing, list | tuple | set):
        yield from (_Part(f"its item {position}", value) for position, value in enumerate(thing))
    else:
        own = getattr(thing, "__dict__", {})
        yield from (_Part(f"its attribute {shown(name)!r}", value) for name, value in list(own.items()))


def _inside_class(thing: type[Any]) -> Iterator[_Part]:
    for base in thing.__bases__:
        yield _Part(message("its base class {base}", base=shown(base.__name__)), base)
    for name, value in list(vars(thing).items()):
        if name not in _OF_EVERY_CLASS:
            kind = "method" if callable(getattr(value, "__func__", value)) else "attribute"
            yield _Part(f"its {kind} {shown(name)!r}", value)


def _inside_function(function: Any) -> Iterator[_Part]:
    with suppress(Exception):  # of a decorated or built-in one, whose variables cannot be listed
        variables = inspect.getclosurevars(function)
        for name, value in variables.nonlocals.items():
            yield _Part(message("the variable {name!r} around it", name=shown(name)), value)
        for name, value in variables.globals.items():
            yield _Part(message("the global name {name!r} that it uses", name=shown(name)), value)
    for value in getattr(function, "__defaults__", None) or ():
        yield _Part(message("a default of its arguments"), value)
    wrapped = getattr(function, "__wrapped__", None)
    if wrapped is not None:
        yield _Part(message("what it wraps"), wrapped)


def _travels(value: Any) -> bool:
    import cloudpickle  # noqa: PLC0415 -- as above

    try:
        cloudpickle.dumps(value)
    except Exception:  # noqa: BLE001 -- whatever pickling somebody's class raises: it does not travel
        return False
    return True
