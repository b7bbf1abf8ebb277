"""What a run leaves: where its output goes, and how it gets there whole.

An executor writes into a folder of the run's own; only what is complete is moved to where it was asked
for, in one step that cannot replace an existing file.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path  # noqa: TC003 -- the examples need it
from typing import Any

from dissmodel_lab.errors import OutputError
from dissmodel_lab.language import message
from dissmodel_lab.upstream import is_raster_backend

RASTER_SUFFIXES = frozenset({".tif", ".tiff"})
VECTOR_SUFFIXES = frozenset({".gpkg", ".shp", ".geojson", ".fgb"})

#: Endings that an output gets when none was asked for.
KNOWN_SUFFIXES = (".tif", ".gpkg", ".txt", ".bin")


def has_suffix(path: Path) -> bool:
    """
    Tell whether a name ends like a file's kind; ``rise_0.5`` does not.

    Examples
    --------
    >>> has_suffix(Path("flood.tif")), has_suffix(Path("rise_0.5"))
    (True, False)
    """
    return re.fullmatch(r"\.[A-Za-z][A-Za-z0-9]{0,9}", path.suffix) is not None


def with_suffix(path: Path, suffix: str) -> Path:
    """
    Return a path with another ending, or with its first.

    Examples
    --------
    >>> with_suffix(Path("rise_0.5"), ".tif").name, with_suffix(Path("flood.tiff"), ".tif").name
    ('rise_0.5.tif', 'flood.tif')
    """
    return path.with_suffix(suffix) if has_suffix(path) else path.with_name(path.name + suffix)


def is_map_file(path: Path) -> bool:
    """
    Tell whether a file's name promises something that can be drawn.

    Examples
    --------
    >>> is_map_file(Path("a.TIF")), is_map_file(Path("report.md"))
    (True, False)
    """
    return path.suffix.lower() in RASTER_SUFFIXES | VECTOR_SUFFIXES | {".zip"}


def output_suffix(result: Any, executor_class: type[Any]) -> str:
    """
    Choose a file's ending by what ``run()`` returned; empty for a folder.

    Parameters
    ----------
    result : object
        A GeoDataFrame becomes ``.gpkg``; a raster, an array or a tuple of them ``.tif``; text ``.txt``; bytes
        ``.bin``; a dict a folder, or ``.tif`` when it holds one of ``dissmodel``'s rasters and the executor's
        ``save`` makes no folder. Anything else gets the executor's ``output_suffix``, or a folder.
    executor_class : type
        May declare ``output_suffix``.

    Examples
    --------
    >>> output_suffix({"report": "..."}, dict), output_suffix("text", dict)
    ('', '.txt')
    """
    kinds = {cls.__name__ for cls in type(result).__mro__}
    if "GeoDataFrame" in kinds:
        return ".gpkg"
    if kinds & {"Raster", "ndarray", "tuple"} or is_raster_backend(result):
        return ".tif"
    if isinstance(result, dict):
        holds_raster = any(is_raster_backend(value) for value in result.values())
        return ".tif" if holds_raster and not _makes_folders(executor_class) else ""
    if isinstance(result, str):
        return ".txt"
    if isinstance(result, bytes):
        return ".bin"
    return str(getattr(executor_class, "output_suffix", "") or "")


def _makes_folders(executor_class: type[Any]) -> bool:
    import inspect  # noqa: PLC0415 -- only for a dict

    try:
        source = inspect.getsource(executor_class.save)
    except (OSError, TypeError, AttributeError):  # no source to read, or no such method
        return False
    return "mkdir" in source or "makedirs" in source


def publish(staged: Path, target: Path) -> None:
    """
    Move a complete file or folder to its place; never onto something that exists.

    Parameters
    ----------
    staged : Path
        What was written.
    target : Path
        Where it belongs; its folder is made when it is missing.

    Raises
    ------
    OutputError
        When the target exists, or its folder cannot be written.
    """
    try:
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
        _make_readable(staged)
        if staged.is_dir():
            _move_folder(staged, target)
        else:
            _move_file(staged, target)
    except FileExistsError as error:
        raise OutputError(
            message(
                "The output {target!r} exists and is never replaced; the result of this run is kept in {staged!r}. "
                "Choose another --output.",
                target=str(target),
                staged=str(staged),
            )
        ) from error
    except OSError as error:
        raise OutputError(
            message(
                "The output {target!r} cannot be written: {strerror}. The result of this run is kept in {staged!r}.",
                target=str(target),
                strerror=error.strerror or error,
                staged=str(staged),
            )
        ) from error


def _move_file(staged: Path, target: Path) -> None:
    try:
        os.link(staged, target)  # unlike a rename, a link fails when the target exists
    except FileExistsError:
        raise
    except OSError:  # another disk, or a file system without links
        import shutil  # noqa: PLC0415 -- only for these

        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            shutil.copyfile(staged, partial)
            with target.open("xb"):  # takes the name, or fails when it is taken
                partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        _make_readable(target)
    staged.unlink()


def _move_folder(staged: Path, target: Path) -> None:
    if target.exists():
        raise FileExistsError(str(target))
    try:
        staged.rename(target)
    except OSError:  # another disk
        import shutil  # noqa: PLC0415 -- only for this

        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            shutil.copytree(staged, partial)
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(staged)


def _make_readable(path: Path) -> None:
    # Executors that write through tempfile leave files only their owner can read: give them the usual mode.
    mask = os.umask(0)
    os.umask(mask)
    for item in (path, *path.rglob("*")) if path.is_dir() else (path,):
        mode = item.lstat().st_mode
        wanted = (0o777 if stat.S_ISDIR(mode) else 0o666) & ~mask
        if not stat.S_ISLNK(mode) and mode & wanted != wanted:
            item.chmod(stat.S_IMODE(mode) | wanted)
