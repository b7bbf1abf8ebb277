"""Any two outputs: each kind by its own means, folders file by file, the rest by bytes."""

from __future__ import annotations

import re
from itertools import zip_longest
from pathlib import Path

from dissmodel_lab.artifacts import RASTER_SUFFIXES, VECTOR_SUFFIXES
from dissmodel_lab.contents import companions_of, is_companion
from dissmodel_lab.differences.rasters import raster_differences
from dissmodel_lab.differences.report import Differences
from dissmodel_lab.differences.tables import vector_differences
from dissmodel_lab.errors import ComparisonError
from dissmodel_lab.language import message
from dissmodel_lab.sources import file_sha256

_LONGEST_TEXT = 16 * 1024 * 1024
"""Larger files are not looked into line by line [bytes]."""
_NUMBER = re.compile(rb"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def find_differences(first: str | Path, second: str | Path, *, tolerance: float | None = None) -> Differences:
    """
    Compare two outputs by their content.

    Parameters
    ----------
    first, second : str or Path
        Two GeoTIFFs, vector files, folders, or other files, which are compared by their bytes.
    tolerance : float, optional
        Numbers that differ by no more than this are within it; geometry, texts and structure have none.

    Returns
    -------
    Differences
        Columns whose name begins with ``_`` are left out (vector automata keep their neighbours there, in an order
        that depends on Python's hash seed); the notes say so.

    Raises
    ------
    ComparisonError
        When one of them is missing, or the tolerance is no number of 0 or more.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from dissmodel_lab.rasters import Raster, write_raster
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name, corner in (("a.tif", 1.0), ("b.tif", 1.5)):
    ...     array = np.zeros((1, 2, 3), "float32")
    ...     array[0, 1, 2] = corner
    ...     write_raster(Raster(array=array, bands=("depth",)), folder / name)
    >>> find_differences(folder / "a.tif", folder / "b.tif").sentence
    'depth: 1 of 6 cells differs, largest difference 0.5, at row 1, column 2: 1 and 1.5.'
    """
    first, second = Path(first), Path(second)
    if tolerance is not None and not 0 <= tolerance < float("inf"):
        raise ComparisonError(
            message(
                "The tolerance {tolerance!r} is no number of 0 or more. Give for example 1e-6.", tolerance=tolerance
            )
        )
    for path in (first, second):
        if not path.exists():
            raise ComparisonError(
                message("{path!r} does not exist, so it cannot be compared. Check the path.", path=str(path))
            )
    if first.is_dir() and second.is_dir():
        return _folders(first, second, tolerance)
    if first.is_dir() or second.is_dir():
        return Differences(
            kind="file",
            structure=(message("One of them is a folder, the other a file."),),
            tolerance=tolerance,
        )
    try:
        if _both(first, second, RASTER_SUFFIXES):
            return raster_differences(first, second, tolerance)
        if _both(first, second, VECTOR_SUFFIXES):
            return vector_differences(first, second, tolerance)
    except Exception as error:  # noqa: BLE001 -- any reader's complaint: such files are compared by their bytes
        return _files(
            first,
            second,
            tolerance,
            note=message("Compared by bytes: {kind}: {error}", kind=type(error).__name__, error=error),
        )
    return _files(first, second, tolerance)


def is_same_file(first: Path, second: Path) -> bool:
    """
    Tell whether two files have the same bytes, and so have those beside them that are parts of them.

    Examples
    --------
    >>> is_same_file(Path(__file__), Path(__file__))
    True
    """
    parts = [{"": path, **companions_of(path)} for path in (first, second)]
    return parts[0].keys() == parts[1].keys() and all(
        file_sha256(part) == file_sha256(parts[1][ending]) for ending, part in parts[0].items()
    )


def _both(first: Path, second: Path, suffixes: frozenset[str]) -> bool:
    return first.suffix.lower() in suffixes and second.suffix.lower() in suffixes


def _folders(first: Path, second: Path, tolerance: float | None) -> Differences:
    inside = [_files_in(folder) for folder in (first, second)]
    structure, notes, files = [], [], {}
    for name in sorted({*inside[0], *inside[1]}):
        if name not in inside[0] or name not in inside[1]:
            structure.append(
                message(
                    "{name}: only in the {words}.",
                    name=name,
                    words=message("first") if name in inside[0] else message("second"),
                )
            )
            continue
        pair = inside[0][name], inside[1][name]
        if is_same_file(*pair):
            continue
        found = find_differences(*pair, tolerance=tolerance)
        if found.is_same:
            notes.append(message("{name}: other bytes, the same content.", name=name))
        else:
            files[name] = found
        notes += [f"{name}: {note}" for note in found.notes]
    return Differences(
        kind="folder", structure=tuple(structure), notes=tuple(notes), files=files, tolerance=tolerance
    )


def _files_in(folder: Path) -> dict[str, Path]:
    files = (path for path in folder.rglob("*") if path.is_file() and not is_companion(path))
    return {path.relative_to(folder).as_posix(): path for path in files}


def _files(first: Path, second: Path, tolerance: float | None, note: str = "") -> Differences:
    notes = (note,) if note else ()
    if file_sha256(first) == file_sha256(second):
        return Differences(kind="file", notes=notes, tolerance=tolerance)
    sizes = [path.stat().st_size for path in (first, second)]
    found = message("The bytes differ ({sizes:,} and {sizes_2:,} bytes).", sizes=sizes[0], sizes_2=sizes[1])
    if max(sizes) <= _LONGEST_TEXT:
        found = _lines_text(first.read_bytes(), second.read_bytes()) or found
    return Differences(kind="file", structure=(found,), notes=notes, tolerance=tolerance)


def _lines_text(first: bytes, second: bytes) -> str:
    """Say how many lines of two texts differ; empty when they are no texts."""
    if b"\0" in first or b"\0" in second:
        return ""
    pairs = list(zip_longest(first.splitlines(), second.splitlines()))
    differing = [pair for pair in pairs if pair[0] != pair[1]]
    plain = [[_NUMBER.sub(b"#", line or b"") for line in pair] for pair in differing]
    numbers = message(", only in numbers") if all(a == b for a, b in plain) else ""
    verb = "differs" if len(differing) == 1 else "differ"
    return (
        message(
            "{n_differing:,} of {n_pairs:,} lines {verb}{numbers}.",
            n_differing=len(differing),
            n_pairs=len(pairs),
            verb=verb,
            numbers=numbers,
        )
        if differing
        else ""
    )
