"""From a word after ``--engine`` to an engine that is kept warm, and closed when this process ends."""

from __future__ import annotations

import atexit
import os
import threading
from typing import TYPE_CHECKING

from dissmodel_lab.engines.engine import Engine
from dissmodel_lab.errors import EngineError, did_you_mean
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Callable

ENGINES = ("inline", "process", "dask", "platform")
"""Their names."""
#: Warm workers are worth as much as imported modules: they belong to the process, whose number comes first.
_kept: dict[tuple[int, str, int | None, str | None, str | None], Engine] = {}
_lock = threading.Lock()


def engine_for(
    engine: str | Engine, *, workers: int | None = None, address: str | None = None, url: str | None = None
) -> Engine:
    """
    Return the engine of a name; the same one each time, so that its workers stay warm.

    Parameters
    ----------
    engine : str or Engine
        ``inline``, ``process``, ``dask`` or ``platform``; an engine is returned as it is.
    workers : int, optional
        How many jobs run at once, for ``process`` and a local ``dask``.
    address : str, optional
        Of a Dask scheduler.
    url : str, optional
        Of a DisSModel Platform server.

    Raises
    ------
    EngineError
        When there is no such engine, or it cannot be had with these options.

    Examples
    --------
    >>> engine_for("process", workers=2) is engine_for("process", workers=2)
    True
    >>> engine_for("proces")
    Traceback (most recent call last):
    dissmodel_lab.errors.EngineError: There is no engine 'proces'. Did you mean 'process'? Known: inline, ...
    """
    if isinstance(engine, Engine):
        return engine
    if engine not in ENGINES:
        raise EngineError(
            message(
                "There is no engine {engine!r:.100}. {did_you_mean}",
                engine=engine,
                did_you_mean=did_you_mean(str(engine)[:100], ENGINES),
            )
        )
    _refuse_foreign_options(engine, workers, address, url)
    key = (os.getpid(), engine, workers, address, url)  # a forked child has none of the threads and workers
    with _lock:
        found = _kept.get(key)
        if found is None:
            if not _kept:
                _close_at_exit()
            found = _kept[key] = _made(engine, workers, address, url)
    return found


def kept_engines() -> list[Engine]:
    """
    Return the engines that this process keeps.

    Examples
    --------
    >>> inline = engine_for("inline")
    >>> inline in kept_engines()
    True
    """
    with _lock:
        return [engine for key, engine in _kept.items() if key[0] == os.getpid()]


def close_all() -> None:
    """
    Close the engines that are kept, without waiting for runs that are to go on: at the end of this process.

    Examples
    --------
    >>> close_all()
    >>> kept_engines()
    []
    """
    with _lock:
        engines = [engine for key, engine in _kept.items() if key[0] == os.getpid()]
        _kept.clear()
    for engine in engines:
        engine.close_at_exit()


def _close_at_exit() -> None:
    # What is registered last is called first, and multiprocessing waits for its children.
    import multiprocessing.util  # noqa: F401, PLC0415 -- as above

    atexit.unregister(close_all)
    atexit.register(close_all)


def _refuse_foreign_options(engine: str, workers: int | None, address: str | None, url: str | None) -> None:
    foreign = {
        "workers": (workers, ("process", "dask")),
        "address": (address, ("dask",)),
        "url": (url, ("platform",)),
    }
    for name, (value, takers) in foreign.items():
        if value is not None and engine not in takers:
            raise EngineError(
                message(
                    "The engine {engine} has no {name}. That is an option of: {takers}.",
                    engine=engine,
                    name=name,
                    takers=", ".join(takers),
                )
            )


def _made(engine: str, workers: int | None, address: str | None, url: str | None) -> Engine:
    makers: dict[str, Callable[[], Engine]] = {
        "inline": _inline,
        "process": lambda: _process(workers),
        "dask": lambda: _dask(workers, address),
        "platform": lambda: _platform(url),
    }
    return makers[engine]()


def _inline() -> Engine:
    from dissmodel_lab.engines.inline import InlineEngine  # noqa: PLC0415 -- each engine loads its own libraries

    return InlineEngine()


def _process(workers: int | None) -> Engine:
    from dissmodel_lab.engines.process import ProcessEngine  # noqa: PLC0415 -- as above

    return ProcessEngine(workers)


def _dask(workers: int | None, address: str | None) -> Engine:
    from dissmodel_lab.engines.dask import DaskEngine  # noqa: PLC0415 -- as above

    return DaskEngine(address, workers=workers)


def _platform(url: str | None) -> Engine:
    from dissmodel_lab.engines.platform import PlatformEngine  # noqa: PLC0415 -- as above

    return PlatformEngine(url)
