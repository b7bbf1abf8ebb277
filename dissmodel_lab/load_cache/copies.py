"""Exact copies of what a model loaded: to the bit, to the memory layout, to who shares what with whom.

``copy.deepcopy`` is not enough: of a table's column of objects it copies the references alone, and of a view it
makes an array of its own. Here a value is taken apart by pickle, arrays apart from the rest; what cannot be put
together again exactly as it was is refused.
"""

from __future__ import annotations

import enum
import io
import itertools
import pickle
import sys
import types
from typing import Any

import numpy as np


class NotKeptError(Exception):
    """A value cannot be copied exactly, or something about a load is not understood; nobody is told."""


#: Packages whose own way to be pickled gives an equal, independent object.
_TRUSTED = frozenset(
    {
        *(
            "affine",
            "collections",
            "datetime",
            "decimal",
            "enum",
            "fractions",
            "geopandas",
            "numpy",
            "pandas",
            "pathlib",
        ),
        *("pyarrow", "pydantic", "pyproj", "rasterio", "scipy", "shapely", "uuid", "xarray", "zoneinfo"),
    }
)
_OWN_WAYS = ("__reduce_ex__", "__reduce__", "__getstate__", "__setstate__", "__getnewargs_ex__", "__getnewargs__")
_PLAIN_BUILTINS = (range, slice, complex, bytearray, types.MethodType)
#: Never copied: code, and the members of an enumeration, are compared by identity.
_CODE = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType, enum.Enum)
_GEOMETRY_BYTES = 256
"""What a geometry takes beside its coordinates [bytes]; roughly."""


class KeptValue:
    """
    A value as it was when this was made, and any number of exact copies of it.

    Parameters
    ----------
    value : object
        What to keep; it may be changed afterwards.
    room_bytes : int
        How much it may take [bytes].
    outside : set of int
        Ids of objects that are shared with the rest of the run, such as its record: a copy of one would be
        another one.

    Raises
    ------
    NotKeptError
        When it is larger, or cannot be copied exactly.

    Examples
    --------
    >>> kept = KeptValue({"grid": np.zeros(3), "name": "a"}, room_bytes=10_000)
    >>> first = kept.copy()
    >>> first["grid"][:] = 5
    >>> kept.copy()["grid"].tolist()
    [0.0, 0.0, 0.0]
    """

    def __init__(self, value: Any, *, room_bytes: int, outside: frozenset[int] = frozenset()) -> None:
        buffer = io.BytesIO()
        taking = _TakingApart(buffer, room_bytes, outside)
        try:
            taking.dump(value)
        except NotKeptError:
            raise
        except Exception as error:
            raise NotKeptError(f"it cannot be pickled: {error!r:.200}") from error
        taking.refuse_shared_memory()
        self._pickled = buffer.getvalue()
        self._parts = [part.copy(order="K") if is_array else part for part, is_array in taking.parts]
        self._is_array = [is_array for _, is_array in taking.parts]
        self.n_bytes = len(self._pickled) + taking.n_bytes
        """How much it takes [bytes]."""
        if self.n_bytes > room_bytes:
            raise NotKeptError("it is too large")

    def copy(self) -> Any:
        """Return a copy, which shares nothing that can be changed with any other."""
        return _PuttingTogether(io.BytesIO(self._pickled), self._parts, self._is_array).load()


class _TakingApart(pickle.Pickler):
    def __init__(self, file: io.BytesIO, room_bytes: int, outside: frozenset[int]) -> None:
        super().__init__(file, protocol=5)
        self.parts: list[tuple[Any, bool]] = []
        """What is kept apart, and whether it is an array, to be copied; the rest never changes."""
        self.n_bytes = 0
        self._room = room_bytes
        self._outside = outside
        self._numbers: dict[int, int] = {}
        self._alive: list[Any] = []  # so that no id is given twice
        self._shapely = sys.modules.get("shapely")
        self._unchanging = _unchanging_classes()

    def persistent_id(self, obj: Any) -> int | None:
        kind = type(obj)
        if kind is str or kind is int or kind is float or obj is None:  # nearly all there are
            return None
        if id(obj) in self._outside:
            raise NotKeptError("it shares an object with the record")
        if kind is np.ndarray:
            return self._array(obj)
        if isinstance(obj, _CODE):
            return self._apart(obj, is_array=False, n_bytes=0)
        if isinstance(obj, self._unchanging):
            return self._apart(obj, is_array=False, n_bytes=int(getattr(obj, "nbytes", 0)))
        return None

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is object or (
            isinstance(obj, np.ndarray) and kind is not np.ndarray
        ):  # a mark that is compared by identity; a memory map
            raise NotKeptError(f"a {kind.__name__} cannot be copied exactly")
        if kind.__module__ == "geopandas.array" and kind.__name__ == "GeometryArray":
            return kind, (np.asarray(obj), obj.crs)
        if not _is_understood(kind):
            raise NotKeptError(f"{kind.__module__}.{kind.__name__} has its own way to be copied")
        return NotImplemented

    def _array(self, array: np.ndarray[Any, Any]) -> int | None:
        flags = array.flags
        if not (flags.c_contiguous or flags.f_contiguous) or not flags.writeable or not flags.aligned:
            raise NotKeptError("a copy of an array would lie differently in memory")
        n_bytes = array.nbytes
        if array.dtype.hasobject:
            n_geometries = self._n_geometries(array)
            if n_geometries is None:
                return None  # pickle copies its objects one by one
            n_bytes += n_geometries
        return self._apart(array, is_array=True, n_bytes=n_bytes)

    def _n_geometries(self, array: np.ndarray[Any, Any]) -> int | None:
        """Return what an array of geometries takes [bytes]; None when it holds anything else."""
        shapely = self._shapely
        if shapely is None or array.dtype != object:
            return None
        if not (shapely.is_geometry(array) | shapely.is_missing(array)).all():
            return None
        return int(array.size * _GEOMETRY_BYTES + 16 * shapely.get_num_coordinates(array).sum())

    def _apart(self, obj: Any, *, is_array: bool, n_bytes: int) -> int:
        number = self._numbers.get(id(obj))
        if number is None:
            number = self._numbers[id(obj)] = len(self.parts)
            self.parts.append((obj, is_array))
            self.n_bytes += n_bytes
            if self.n_bytes > self._room:
                raise NotKeptError("it is too large")
        return number

    def refuse_shared_memory(self) -> None:
        """Refuse two arrays over one piece of memory: a change of one is a change of the other."""
        spans = []
        for part, is_array in self.parts:
            if is_array and part.nbytes:
                start = part.__array_interface__["data"][0]
                spans.append((start, start + part.nbytes))
        spans.sort()
        for (_, end), (start, _) in itertools.pairwise(spans):
            if start < end:
                raise NotKeptError("two arrays share memory")


class _PuttingTogether(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, parts: list[Any], is_array: list[bool]) -> None:
        super().__init__(file)
        self._parts = parts
        self._is_array = is_array
        self._copies: dict[int, Any] = {}

    def persistent_load(self, pid: Any) -> Any:
        if not self._is_array[pid]:
            return self._parts[pid]
        if pid not in self._copies:
            self._copies[pid] = self._parts[pid].copy(order="K")
        return self._copies[pid]


def _unchanging_classes() -> tuple[type[Any], ...]:
    """Return those of the loaded libraries' classes whose objects nobody can change."""
    wanted = (
        ("shapely.geometry.base", "BaseGeometry"),
        ("pyproj.crs.crs", "CRS"),
        ("rasterio.crs", "CRS"),
        ("pyarrow.lib", "Array"),
        ("pyarrow.lib", "ChunkedArray"),
        ("pyarrow.lib", "DataType"),
    )
    found = (getattr(sys.modules.get(module), name, None) for module, name in wanted)
    return tuple(one for one in found if isinstance(one, type))


def _is_understood(kind: type[Any]) -> bool:
    """Tell whether pickle copies objects of a class by their attributes, or a known library does it well."""
    if kind.__name__ == "cython_function_or_method":  # a function, found again by its name
        return True
    if kind in _PLAIN_BUILTINS or (issubclass(kind, tuple) and hasattr(kind, "_fields")):
        return True
    for way in _OWN_WAYS:
        owner = next((base for base in kind.__mro__ if way in vars(base)), object)
        if owner is not object and owner.__module__.partition(".")[0] not in _TRUSTED:
            return False
    return kind.__module__ != "builtins"
