"""Where a source lies on this machine, whether it can be read, and which files parameters name."""

from __future__ import annotations

import functools
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from dissmodel_lab.errors import SourceError, shown
from dissmodel_lab.language import message
from dissmodel_lab.redaction import redact_uri
from dissmodel_lab.sources.addresses import Kind, is_remote, parse

if TYPE_CHECKING:
    from dissmodel_lab.executor.schemas import DataSource, ExperimentRecord

_LIKE_A_SCHEME = re.compile(r"(?i)(https?|s3|bdc_stac|stac\+https?):")
"""How an address begins that has lost a slash, as in a ``Path``."""
_LIKE_A_FILE = re.compile(r"[/\\]|\.[A-Za-z][A-Za-z0-9]{0,9}$")
_LONGEST_PATH = 4096


def local_path(source: DataSource) -> Path | None:
    """
    Return where a source lies on this machine; None when it does not (remote, in memory, ``synthetic``).

    Examples
    --------
    >>> from dissmodel_lab.executor import DataSource
    >>> local_path(DataSource(uri="data/grid.tif")).as_posix()
    'data/grid.tif'
    >>> local_path(DataSource(uri="synthetic")) is None
    True
    """
    if source.type != "local" or not source.uri or source.uri == "synthetic":
        return None
    if source.uri.startswith("file://"):
        return Path(unquote(source.uri.removeprefix("file://").removeprefix("localhost")))
    return _own_path(source.uri)


def _own_path(text: str) -> Path:
    path = _as_path(text)
    if not text.startswith("~"):
        return path
    try:
        return path.expanduser()
    except RuntimeError:  # "~somebody" who has no home here: a file may be called so
        return path


@functools.lru_cache(maxsize=64)
def _as_path(text: str) -> Path:
    return Path(text)  # a run asks for its input's several times


def source_path(record: ExperimentRecord) -> Path | None:
    """
    Return where a run's input lies on this machine, as seen from the folder that the run worked in.

    Of a remote one, the copy in the cache while it has the content that the run read; :func:`why_no_source` says
    why there is none.

    Examples
    --------
    >>> from dissmodel_lab.executor import DataSource, ExperimentRecord
    >>> source_path(ExperimentRecord(source=DataSource(uri="s3://b/x.tif", type="s3"))) is None
    True
    """
    path = local_path(record.source)
    if path is not None:
        return record.resolve_path(path)
    return _kept_copy(record) if record.source.checksum else None


def _kept_copy(record: ExperimentRecord) -> Path | None:
    from dissmodel_lab.sources.cache import DataCache  # noqa: PLC0415 -- only for remote sources

    if not is_remote(record.source) or (record.platform and not record.fetched):
        return None
    name = str(record.fetched[0].get("name", "")) if record.fetched else ""
    try:
        return DataCache().kept(record.source.checksum.lower(), name)
    except (SourceError, OSError):  # no cache that could be read
        return None


def why_no_source(record: ExperimentRecord) -> str:
    """
    Say why there is no input of a run to show; empty when :func:`source_path` finds one.

    Examples
    --------
    >>> from dissmodel_lab.executor import DataSource, ExperimentRecord
    >>> why_no_source(ExperimentRecord(source=DataSource(uri="s3://b/x.tif", type="s3", checksum="ab")))
    "The input 's3://b/x.tif' is not in the cache (any more). Fetch it to see it."
    """
    if source_path(record) is not None:
        return ""
    uri = redact_uri(record.source.uri)
    if not uri:
        return message("The record names no input: it was given in memory, or there was none.")
    if uri == "synthetic":
        return message("The model makes its input by itself.")
    return message("The input '{uri}' is not in the cache (any more). Fetch it to see it.", uri=shown(uri))


def check_source(source: DataSource) -> None:
    """
    Refuse a source that is missing, empty or unreadable; of a remote one, its server is asked once.

    Raises
    ------
    SourceError
        With what is wrong and what to do.

    Examples
    --------
    >>> from dissmodel_lab.executor import DataSource
    >>> check_source(DataSource(uri="no/such.tif"))
    Traceback (most recent call last):
    dissmodel_lab.errors.SourceError: The input 'no/such.tif' does not exist ...
    """
    kind = parse(source).kind
    if kind is Kind.NONE:
        return
    if kind is not Kind.LOCAL:
        from dissmodel_lab.sources.fetching import check_address  # noqa: PLC0415 -- loads what talks to servers

        check_address(source)
        return
    path = local_path(source)
    if path is not None:
        _check_path(source, path)


def _check_path(source: DataSource, path: Path) -> None:
    try:
        mode = _mode(path)
        if mode is None:
            scheme = _LIKE_A_SCHEME.match(source.uri)
            do = (
                message("If it is an address, write {scheme}:// in a text.", scheme=scheme[1])
                if scheme
                else message("Check the path.")
            )
            raise SourceError(
                message(
                    "The input {uri!r} does not exist (looked in {looked_in}). {do}",
                    uri=source.uri,
                    looked_in=_looked_in(path),
                    do=do,
                )
            )
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise SourceError(
                message("The input {uri!r} is neither a file nor a folder. Give a file's path.", uri=source.uri)
            )
        if stat.S_ISREG(mode):
            with path.open("rb", buffering=0) as file:
                if not file.read(1):
                    raise SourceError(
                        message("The input {uri!r} is empty (0 bytes). Get the file again.", uri=source.uri)
                    )
    except OSError as error:
        raise SourceError(
            message(
                "The input {uri!r} cannot be read: {strerror}. Check its permissions.",
                uri=source.uri,
                strerror=error.strerror or error,
            )
        ) from error
    except ValueError as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(message("The input {uri!r} is no path: {error}.", uri=source.uri, error=error)) from error


def _mode(path: Path) -> int | None:
    try:
        return os.stat(path).st_mode  # noqa: PTH116 -- as in fingerprint
    except (FileNotFoundError, NotADirectoryError):
        return None


def existing_files(values: Any, place: str = "") -> Iterator[tuple[str, Path]]:
    """
    Find the files that parameters name, in tables and lists of any depth.

    Parameters
    ----------
    values : object
        Parameters; a text counts when it looks like a path and such a file is there.
    place : str
        Where ``values`` itself stands.

    Yields
    ------
    place : str
        Such as ``demand_csv`` or ``maps[0].path``.
    path : Path
        The file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile(suffix=".csv") as file:
    ...     [place for place, _ in existing_files({"maps": [{"path": file.name}], "name": "a"})]
    ['maps[0].path']
    """
    for at, value in leaf_paths(values, place):
        if (path := _as_file(value)) is not None:
            yield at, path


def leaf_paths(values: Any, place: str = "") -> Iterator[tuple[str, str | Path]]:
    """
    Walk through tables and lists of any depth: each text or path in them, with its place.

    Parameters
    ----------
    values : object
        Parameters.
    place : str
        Where ``values`` itself stands.

    Examples
    --------
    >>> list(leaf_paths({"maps": [{"path": "a.csv"}], "name": "a", "years": 3}))
    [('maps[0].path', 'a.csv'), ('name', 'a')]
    """
    if isinstance(values, Mapping):
        for name, item in values.items():
            yield from leaf_paths(item, f"{place}.{name}" if place else str(name))
    elif isinstance(values, list | tuple):
        for index, item in enumerate(values):
            yield from leaf_paths(item, f"{place}[{index}]")
    elif isinstance(values, str | Path):
        yield place, values


def names_file(value: Any) -> bool:
    """
    Tell whether a parameter's value, or one in its tables and lists, looks like a file's path.

    Examples
    --------
    >>> names_file({"betas": {"slope": 0.1}, "table": "demand.csv"}), names_file(["weng", 3])
    (True, False)
    """
    if isinstance(value, Mapping):
        return any(map(names_file, value.values()))
    if isinstance(value, list | tuple):
        return any(map(names_file, value))
    is_short = isinstance(value, str) and len(value) < _LONGEST_PATH
    return isinstance(value, Path) or (is_short and _LIKE_A_FILE.search(value) is not None)


def _as_file(value: Any) -> Path | None:
    if not names_file(value):
        return None
    path = Path(value).expanduser()
    try:
        return path if path.is_file() else None
    except (OSError, ValueError):  # no path after all
        return None


def _looked_in(path: Path) -> str:
    return str(path.parent) if path.is_absolute() else str(Path.cwd() / path.parent)
