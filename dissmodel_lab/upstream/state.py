"""What the models of an ``Environment`` hold right now: rasters, GeoDataFrames, numbers, series.

All of it belongs to others: nothing is changed, nothing is copied, and what cannot be read is left out.
"""

from __future__ import annotations

import math
import sys
from numbers import Real
from operator import itemgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: Rasters tell in a band of this name which cells exist (1) and which do not (0).
MASK_BAND = "mask"

#: Attributes that every model has, which say nothing of the simulation.
_OWN = frozenset({"env", "name", "start_time", "end_time", "status", "mode"})

#: Comes before every array in the order of layers.
_MAP = -sys.maxsize

Georeference = tuple[Any, Any, tuple[int, int]]


def is_raster_backend(value: Any) -> bool:
    """
    Tell whether a value is ``dissmodel``'s raster in memory.

    Examples
    --------
    >>> is_raster_backend([1, 2])
    False
    """
    kinds = type(value).__mro__
    if not any(kind.__name__ == "RasterBackend" and kind.__module__.startswith("dissmodel.") for kind in kinds):
        return False
    return isinstance(getattr(value, "arrays", None), dict)


def georeference_of(value: Any) -> Georeference | None:
    """
    Return where ``dissmodel``'s raster in memory lies, which not every executor writes to its file.

    Parameters
    ----------
    value : object
        A raster backend; the pair (backend, meta) that ``load_geotiff`` returns, whose ``meta`` goes first; or
        a mapping, list or tuple that holds one, as the result of an executor's ``run`` does.

    Returns
    -------
    tuple or None
        (crs, transform, (height, width)), of which crs or transform may be None; None when both are, or
        there is no raster backend. Before ``dissmodel`` 0.6 only ``meta`` knows them.

    Examples
    --------
    >>> georeference_of({"cells": 4}) is None
    True
    """
    found = next(_backends(value), None)
    if found is None:
        return None
    backend, meta = found
    crs = _first(meta.get("crs"), getattr(backend, "crs", None))
    transform = _first(meta.get("transform"), getattr(backend, "transform", None))
    shape = getattr(backend, "shape", None)
    if (crs is None and transform is None) or shape is None:
        return None
    height, width = shape
    return crs, transform, (int(height), int(width))


def layers_of(models: Iterable[Any]) -> dict[str, Any]:
    """
    Return the models' spatial data by name: live objects, each once, however many models share it.

    Raster backends and GeoDataFrames come first, then arrays from large to small, else as the models are
    registered. A layer is named by its attribute (``backend``, ``gdf``, ``grid``); where another object has that name
    already, by class and attribute (``Fire.gdf``), and by a number where that is taken too.

    Parameters
    ----------
    models : iterable
        In the order of their registration.

    Returns
    -------
    dict of str to object
        Raster backends, GeoDataFrames and arrays of shape (height, width).

    Examples
    --------
    >>> import numpy as np
    >>> class Fire: pass
    >>> fire = Fire()
    >>> fire.grid, fire.age = np.zeros((3, 4)), 5
    >>> list(layers_of([fire, fire]))
    ['grid']
    """
    found: dict[str, Any] = {}
    seen: set[int] = set()
    layers: list[tuple[int, str, str, Any]] = []
    for model in models:
        for name, value in _attributes(model):
            rank = None if id(value) in seen else _rank(value)
            if rank is not None:
                seen.add(id(value))
                layers.append((rank, name, f"{type(model).__name__}.{name}", value))
    for _, name, longer, value in sorted(layers, key=itemgetter(0)):
        found[_free(name, longer, found)] = value
    return found


def values_of(models: Iterable[Any], environment: Any = None) -> dict[str, float]:
    """
    Return the models' numbers as ``Class.attribute`` and the last value of each ``track_plot`` series.

    Parameters
    ----------
    models : iterable
        In the order of their registration.
    environment : object, optional
        The ``Environment`` that collects the series.

    Returns
    -------
    dict of str to float
        Finite numbers only; of several models of one class, the second is ``Class 2``.

    Examples
    --------
    >>> class Fire: pass
    >>> fire = Fire()
    >>> fire.burnt, fire._seed, fire.on = 12, 3, True
    >>> values_of([fire])
    {'Fire.burnt': 12.0}
    """
    found: dict[str, float] = {}
    counts: dict[str, int] = {}
    for model in models:
        kind = type(model).__name__
        counts[kind] = counts.get(kind, 0) + 1
        owner = kind if counts[kind] == 1 else f"{kind} {counts[kind]}"
        for name, value in _attributes(model):
            number = _number(value)
            if number is not None:
                found[f"{owner}.{name}"] = number
    for label, data in _tracked(environment):
        number = _number(data[-1]) if data else None
        if number is not None:
            found[label] = number
    return found


def series(environment: Any) -> dict[str, list[Any]]:
    """
    Return a copy of the whole ``track_plot`` series that an ``Environment`` has collected, by label.

    ``track_plot`` keeps every value that was assigned to the attribute since the run began, so that there
    may be several a step, or none. The next run of the same Environment clears them.

    Examples
    --------
    >>> series(None)
    {}
    """
    return {label: list(data) for label, data in _tracked(environment)}


def _attributes(model: Any) -> Iterator[tuple[str, Any]]:
    # Only what stands in the instance: a property is the modeller's code, which has its own time to run.
    try:
        own = dict(vars(model))
    except (TypeError, RuntimeError):  # no __dict__, or another thread adds to it
        return
    for name, value in own.items():
        if not name.startswith("_") and name not in _OWN:
            yield name, value


def _rank(value: Any) -> int | None:
    """Return the place in the order of layers: maps, then arrays from large to small; None for all else."""
    try:
        if is_raster_backend(value):
            return _MAP
        geopandas, numpy = sys.modules.get("geopandas"), sys.modules.get("numpy")
        if geopandas is not None and isinstance(value, geopandas.GeoDataFrame):
            return _MAP
        if numpy is not None and isinstance(value, numpy.ndarray) and value.ndim == 2 and value.dtype.kind in "biuf":  # noqa: PLR2004 -- (height, width)
            return -int(value.size)
    except Exception:  # noqa: BLE001 -- an object of the modeller's own making: it is no map then
        return None
    return None


def _free(name: str, longer: str, taken: Mapping[str, Any]) -> str:
    candidates = [name, longer, *(f"{longer} {count}" for count in range(2, len(taken) + 2))]
    return next(candidate for candidate in candidates if candidate not in taken)


def _number(value: Any) -> float | None:
    try:
        if isinstance(value, bool) or not isinstance(value, Real):
            return None
        number = float(value)
    except Exception:  # noqa: BLE001 -- a number of the modeller's own making
        return None
    return number if math.isfinite(number) else None


def _tracked(environment: Any) -> Iterator[tuple[str, list[Any]]]:
    series_by_label = getattr(environment, "_plot_metadata", None)
    if not isinstance(series_by_label, dict):
        return
    for label, entry in list(series_by_label.items()):
        data = entry.get("data") if isinstance(entry, dict) else None
        if isinstance(data, list):
            yield str(label), data


def _backends(value: Any, depth: int = 2) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    if is_raster_backend(value):
        yield value, {}
    elif isinstance(value, tuple) and len(value) == 2 and is_raster_backend(value[0]):  # noqa: PLR2004 -- a pair
        yield value[0], value[1] if isinstance(value[1], dict) else {}
    elif depth and isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _backends(part, depth - 1)


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None and value != ""), None)
