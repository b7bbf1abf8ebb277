"""What an executor takes and what it makes, as far as its source says so."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from dissmodel_lab.executor.base import ModelExecutor
from dissmodel_lab.executor.events import Phase

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

UNKNOWN = "unknown"
_READS = {
    "read_raster": "raster",
    "read_geotiff": "raster",
    "load_geotiff": "raster",
    "open_rasterio": "raster",
    "read_file": "vector",
    "load_shapefile": "vector",
    "load_geopackage": "vector",
    "load_xarray": "data cube",
    "open_dataset": "data cube",
    "open_zarr": "data cube",
}
_WRITES = {
    "write_raster": "raster",
    "write_geotiff": "raster",
    "save_geotiff": "raster",
    "to_raster": "raster",
    "to_file": "vector",
    "save_geopackage": "vector",
    "save_xarray": "data cube",
    "to_netcdf": "data cube",
    "to_zarr": "data cube",
}
_BY_FORMAT = frozenset({"load_dataset", "save_dataset"})
"""They read or write what their argument ``fmt`` says: ``raster`` or ``vector``."""
_TAKEN_TYPES = {"Raster": "raster", "GeoDataFrame": "vector"}
"""What ``load`` is annotated to return. A raster in memory may have been made of a vector file: it says nothing."""
_MADE_TYPES = {"Raster": "raster", "RasterBackend": "raster", "GeoDataFrame": "vector"}


def kinds_of(executor_class: type[Any]) -> tuple[str, str]:
    """
    Return what an executor takes and what it makes: ``raster``, ``vector``, ``data cube`` or ``unknown``.

    Annotations of ``load`` and ``save`` count for executors of this package's own kind; for others, the calls
    in these two methods that read and write files come first. Nothing is run, and nothing is guessed: a method
    whose source cannot be read, or that leaves the choice to a variable, is unknown.

    Parameters
    ----------
    executor_class : type
        With the four phases.

    Examples
    --------
    >>> from dissmodel_lab.models import CoastalFlood, ForestFire
    >>> kinds_of(CoastalFlood), kinds_of(ForestFire)
    (('raster', 'raster'), ('vector', 'vector'))
    """
    load, save = getattr(executor_class, Phase.LOAD, None), getattr(executor_class, Phase.SAVE, None)
    taken = _annotated(load, "return", _TAKEN_TYPES)
    made = _annotated(save, "result", _MADE_TYPES)
    made = made or _annotated(getattr(executor_class, Phase.RUN, None), "return", _MADE_TYPES)
    if issubclass(executor_class, ModelExecutor) and taken and made:
        return taken, made
    return (
        _called(executor_class, Phase.LOAD, _READS) or taken or UNKNOWN,
        _called(executor_class, Phase.SAVE, _WRITES) or made or UNKNOWN,
    )


def _annotated(method: Any, where: str, kinds: Mapping[str, str]) -> str:
    annotation = getattr(method, "__annotations__", {}).get(where, "")
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    return _joined(kinds[word] for word in re.findall(r"\w+", text) if word in kinds)


def _called(executor_class: type[Any], phase: str, kinds: Mapping[str, str]) -> str:
    found: set[str] = set()
    for base in executor_class.__mro__:
        method = vars(base).get(phase)
        if method is None:
            continue
        tree = _tree(method)
        if tree is None:
            return ""
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            kind = _kind_of_call(call, kinds)
            if kind is None:
                return ""
            found.add(kind)
        if "super" not in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}:
            break
    return _joined(found - {""})


def _kind_of_call(call: ast.Call, kinds: Mapping[str, str]) -> str | None:
    """Return the kind of data that a call reads or writes; empty for other calls, None when it cannot be told."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name in _BY_FORMAT and (name.startswith("load") == (kinds is _READS)):
        chosen = next((word.value for word in call.keywords if word.arg == "fmt"), None)
        value = chosen.value if isinstance(chosen, ast.Constant) else None
        return str(value) if value in ("raster", "vector") else None
    if name == "open" and isinstance(function, ast.Attribute) and ast.unparse(function.value) == "rasterio":
        return "raster"
    return kinds.get(name, "")


def _tree(method: Any) -> ast.AST | None:
    import inspect  # noqa: PLC0415 -- only for a listing
    import textwrap  # noqa: PLC0415 -- as above

    try:
        return ast.parse(textwrap.dedent(inspect.getsource(method)))
    except (OSError, TypeError, SyntaxError, ValueError):  # compiled, or typed in where no source is kept
        return None


def _joined(kinds: Iterable[str]) -> str:
    return " or ".join(sorted(set(kinds)))
