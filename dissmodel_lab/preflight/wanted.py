"""Parameters -> the files, bands and columns that they name, and how sure that is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

#: Values beyond this many are not looked at.
MAX_VALUES = 10_000
#: Longer texts name nothing [characters].
MAX_TEXT = 500

DATA_SUFFIXES = frozenset(
    re.findall(
        r"\S+",
        ".tif .tiff .gpkg .shp .geojson .fgb .zip .csv .tsv .nc .json .parquet .xlsx .xls .txt .vrt .asc .img .npy",
    )
)
_FILE_WORDS = frozenset(
    re.findall(r"\w+", "csv file filename filepath path uri tif tiff geotiff raster vector shp shapefile gpkg input")
)
#: Names of what a model writes: nothing has to be there yet.
_OUTPUT_WORDS = frozenset(
    re.findall(r"\w+", "out output outputs save saved saves log logs report reports export result results write new "
                       "plot plots figure dest destination prefix suffix")
)  # fmt: skip
_ONE_NAME = frozenset(re.findall(r"\w+", "band column col field attr attribute"))
_MANY_NAMES = frozenset(re.findall(r"\w+", "bands columns cols attrs drivers"))
_MAPS = ("band_map", "column_map")


@dataclass(frozen=True)
class NamedFile:
    """A parameter's value that names a file of the input."""

    parameter: str
    value: str
    is_sure: bool
    """True when the parameter's name says so too."""


@dataclass(frozen=True)
class NamedBands:
    """A parameter's value that names bands or columns."""

    parameter: str
    names: tuple[str, ...]
    is_sure: bool
    """True when nothing else can be meant."""
    is_list: bool = False
    """True for a list, which may as well name classes that are no bands."""


def named_files(parameters: Mapping[Any, Any]) -> tuple[NamedFile, ...]:
    """
    Find the input files that parameters name, at any depth; what is written is left out.

    Examples
    --------
    >>> named_files({"demand_csv": "demand.csv", "report_path": "report.md", "steps": 3})
    (NamedFile(parameter='demand_csv', value='demand.csv', is_sure=True),)
    """
    found = []
    for parameter, key, value in _leaves(parameters):
        if not isinstance(value, str | os.PathLike):
            continue
        text = os.fspath(value) if isinstance(value, os.PathLike) else value
        words = _words(key)
        if not isinstance(text, str) or words & _OUTPUT_WORDS or not _may_be_path(text):
            continue
        is_sure = bool(words & _FILE_WORDS)
        suffix = PurePath(text).suffix.lower()
        if suffix in DATA_SUFFIXES or (is_sure and ("/" in text or re.fullmatch(r"\.[a-z]\w{1,9}", suffix))):
            found.append(NamedFile(parameter, text, is_sure))
    return tuple(found)


def named_bands(
    parameters: Mapping[Any, Any], maps: Mapping[str, Mapping[Any, Any]] | None = None
) -> tuple[NamedBands, ...]:
    """
    Find the bands and columns that parameters name.

    These are ``land_use_types``, the keys of every table ``betas``, parameters called ``band``, ``columns``
    and the like or ending so (``class_col``), and the values of ``band_map`` and ``column_map``, whose keys
    are the model's own names for them.

    Parameters
    ----------
    parameters : mapping
        Of a run.
    maps : mapping, optional
        The record's own ``band_map`` and ``column_map``.

    Examples
    --------
    >>> for named in named_bands({"class_col": "uso", "potential_data": [{"const": 1, "betas": {"dist": 2.4e-7}}]}):
    ...     print(named.parameter, named.names)
    class_col ('uso',)
    potential_data[0].betas ('dist',)
    """
    tables = [(name, table) for name in _MAPS if isinstance(table := parameters.get(name), Mapping)]
    tables += [(name, table) for name, table in (maps or {}).items() if table is not parameters.get(name)]
    translated = {str(key) for _, table in tables for key in table}
    found = [NamedBands(name, _texts(table.values()), is_sure=True) for name, table in tables]
    for parameter, key, value in _nodes(parameters):
        named = _named_by(parameter, key, value)
        if named is not None and not parameter.startswith(_MAPS):
            names = tuple(name for name in named.names if name not in translated)
            found.append(NamedBands(parameter, names, named.is_sure, named.is_list))
    return tuple(named for named in found if named.names)


def _named_by(parameter: str, key: str, value: Any) -> NamedBands | None:
    words = _words(key)
    last = re.split(r"[_\W]+", key.lower())[-1]
    if words & _OUTPUT_WORDS:
        return None
    if isinstance(value, Mapping):
        return NamedBands(parameter, _texts(value), is_sure=True) if key == "betas" else None
    if isinstance(value, list | tuple):
        is_many = key == "land_use_types" or last in _MANY_NAMES
        is_text = all(isinstance(item, str) for item in value)
        return NamedBands(parameter, _texts(value), is_sure=True, is_list=True) if is_many and is_text else None
    if isinstance(value, str) and (last in _ONE_NAME or key.lower().startswith("attr_")):
        return NamedBands(parameter, _texts([value]), is_sure=last in {"band", "column", "col"})
    return None


def _texts(values: Iterable[Any]) -> tuple[str, ...]:
    texts = (value for value in values if isinstance(value, str) and 0 < len(value) <= MAX_TEXT)
    return tuple(dict.fromkeys(texts))


def _may_be_path(text: str) -> bool:
    return bool(text) and len(text) <= MAX_TEXT and text.isprintable() and "://" not in text


def _leaves(parameters: Mapping[Any, Any]) -> Iterator[tuple[str, str, Any]]:
    return (node for node in _nodes(parameters) if not isinstance(node[2], Mapping | list | tuple))


def _nodes(parameters: Mapping[Any, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield (``potential_data[0].betas``, ``betas``, value) of every value at any depth, without recursion."""
    waiting: list[tuple[str, str, Any]] = [(str(key), str(key), value) for key, value in parameters.items()]
    waiting.reverse()
    seen = 0
    while waiting and seen < MAX_VALUES:
        seen += 1
        parameter, key, value = waiting.pop()
        yield parameter, key, value
        inside: list[tuple[str, str, Any]] = []
        if isinstance(value, Mapping):
            inside = [(f"{parameter}.{name}", str(name), item) for name, item in value.items()]
        elif isinstance(value, list | tuple):
            inside = [(f"{parameter}[{i}]", key, item) for i, item in enumerate(value[:MAX_VALUES])]
        waiting += reversed(inside)


def _words(key: str) -> set[str]:
    return set(re.split(r"[_\W]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", key).lower()))
