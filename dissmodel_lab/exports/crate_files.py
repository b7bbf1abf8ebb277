"""Which files of a run go into a crate, and under which names.

One rule holds: a file goes in only when its bytes are those that the record names by their SHA-256. So a crate
never shows a changed file as the one that was used, and a record that was made by somebody else cannot talk an
export into copying a file that this somebody does not know already. Only the sidecars of an input
(``.prj``, ``.dbf``) go with it unasked: records have no hash of them.
"""

from __future__ import annotations

import mimetypes
import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from dissmodel_lab.executor.schemas import DataSource
from dissmodel_lab.sources import fingerprint, leaf_paths, local_path, sha256, source_path, why_unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.sources import Fingerprint

#: An input larger than this [bytes] is named by its URI and hash, not copied.
LARGEST_INPUT = 1024**3

#: Files that belong to a map of the same name: without them it cannot be opened, or lies elsewhere.
SIDECARS = (".shx", ".dbf", ".prj", ".cpg", ".tfw", ".tifw", ".wld", ".tif.aux.xml")
_WITH_SIDECARS = (".shp", ".tif", ".tiff")

_FORMATS = {
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".gpkg": "application/geopackage+sqlite3",
    ".geojson": "application/geo+json",
    ".shp": "application/vnd.shp",
    ".shx": "application/vnd.shx",
    ".dbf": "application/vnd.dbf",
    ".fgb": "application/vnd.flatgeobuf",
    ".parquet": "application/vnd.apache.parquet",
    ".nc": "application/netcdf",
    ".csv": "text/csv",
    ".md": "text/markdown",
    ".toml": "application/toml",
    ".jsonl": "application/jsonl",
    ".py": "text/x-python",
    ".txt": "text/plain",
    ".json": "application/json",
    ".png": "image/png",
    ".zip": "application/zip",
}
_BAD_SIGNS = re.compile(r"[\x00-\x1f\x7f-\x9f<>:\"/\\|?*\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
_LONGEST_NAME = 120
"""[bytes], of the 255 that file systems take."""

Role = Literal["input", "parameter", "artifact"]


@dataclass(frozen=True, kw_only=True)
class CrateFile:
    """A file or folder that a record names, and what becomes of it in a crate."""

    role: Role
    name: str
    """``input``, a parameter's place (``maps[0].path``) or an artifact's name."""
    said: str
    """The path or URI as the record has it."""
    sha256: str
    """As the record has it; empty when it has none."""
    place: str = ""
    """Where it stands in the crate, without a trailing slash; empty when it is left out."""
    path: Path | None = None
    """The file itself; None when it is left out."""
    absent: str = ""
    """Why it is left out, as the end of a sentence that begins with "It"."""
    beside: tuple[tuple[str, Path], ...] = ()
    """Place and path of each of its sidecars."""
    seen: Fingerprint | None = None
    """Size and times of the file before it was hashed."""

    @property
    def is_folder(self) -> bool:
        """True when it is a folder of files."""
        return self.path is not None and self.path.is_dir()

    def members(self) -> list[tuple[str, Path]]:
        """Place and path of each file in it: itself and its sidecars, or the files of the folder."""
        if self.path is None:
            return []
        if not self.is_folder:
            return [(self.place, self.path), *self.beside]
        files = sorted(path for path in self.path.rglob("*") if path.is_file())
        taken: set[str] = set()
        return [(_free(f"{self.place}/{_safe_path(path.relative_to(self.path))}", taken), path) for path in files]


def files_of(
    record: ExperimentRecord, *, with_input: bool = True, largest_input: int = LARGEST_INPUT
) -> list[CrateFile]:
    """
    Find the files of a run: its input, the files that parameters name, its artifacts.

    Parameters
    ----------
    record : ExperimentRecord
        As on disk, without secrets.
    with_input : bool
        False leaves out the input and the files that parameters name.
    largest_input : int
        A larger one is left out [bytes].

    Returns
    -------
    list of CrateFile
        In this order; each says why when it is left out.

    Examples
    --------
    >>> from dissmodel_lab.executor import DataSource, ExperimentRecord
    >>> record = ExperimentRecord(source=DataSource(uri="s3://bucket/dem.tif", type="s3", checksum="ab12"))
    >>> [(file.role, file.path, file.absent) for file in files_of(record)]
    [('input', None, 'lies elsewhere: only its URI and SHA-256 are given.')]
    """
    taken: set[str] = set()
    limit = largest_input if with_input else -1
    found = [_placed(_input(record, limit), "input", taken)] if record.source.uri else []
    for place, said, checksum in parameter_files(record):
        file = CrateFile(role="parameter", name=place, said=said, sha256=checksum)
        usual = local_path(DataSource(uri=said))
        path = _found(record, said, None if usual is None else record.resolve_path(usual))
        found.append(_placed(_checked(file, path, limit), "parameters", taken))
    for name, checksum in record.artifacts.items():
        said = record.artifact_paths.get(name) or (record.output_path if name == "output" else None) or ""
        file = CrateFile(role="artifact", name=name, said=said, sha256=checksum)
        path = _found(record, said, record.artifact_path(name))
        found.append(_placed(_checked(file, path, None), "output", taken))
    return found


def format_of(name: str) -> str:
    """
    Return the media type of a file, by the ending of its name.

    Examples
    --------
    >>> format_of("a.TIF"), format_of("b.unknown")
    ('image/tiff', 'application/octet-stream')
    """
    suffix = PurePosixPath(name).suffix.lower()
    return _FORMATS.get(suffix) or mimetypes.types_map.get(suffix, "application/octet-stream")


def safe_file_name(name: str) -> str:
    r"""
    Return a name that every file system and archive takes, as close to the given one as can be.

    Examples
    --------
    >>> safe_file_name("mapa de açaí.tif"), safe_file_name("a:b\\c|.tif"), safe_file_name("..")
    ('mapa de açaí.tif', 'a-b-c-.tif', 'file')
    """
    cleaned = _BAD_SIGNS.sub("-", name).strip().strip(".").strip() or "file"
    if _DEVICES.fullmatch(cleaned):
        cleaned = f"_{cleaned}"
    stem, dot, suffix = cleaned.rpartition(".")
    if not dot or len(suffix.encode()) > 20:  # noqa: PLR2004 -- no ending, but a sentence with a dot in it
        stem, suffix = cleaned, ""
    room = _LONGEST_NAME - len(f"{dot}{suffix}".encode())
    short = stem.encode()[:room].decode("utf-8", "ignore").rstrip()
    return f"{short}.{suffix}" if suffix else short


def _found(record: ExperimentRecord, said: str, usual: Path | None) -> Path | None:
    return record.carried_path(said) or usual


def _input(record: ExperimentRecord, limit: int) -> CrateFile:
    source = record.source
    file = CrateFile(role="input", name="input", said=source.uri, sha256=source.checksum)
    if local_path(source) is None:
        what = "was made by the model itself" if source.uri == "synthetic" else "lies elsewhere"
        return replace(file, absent=f"{what}: only its URI and SHA-256 are given.")
    return _checked(file, _found(record, str(local_path(source)), source_path(record)), limit)


def _checked(file: CrateFile, path: Path | None, limit: int | None) -> CrateFile:
    """Look whether a file is there, small enough and as recorded."""
    seen = fingerprint(path) if path is not None else None
    absent = _why_absent(path, file.sha256, limit)
    return replace(file, path=None if absent else path, absent=absent, seen=seen)


def _why_absent(path: Path | None, checksum: str, limit: int | None) -> str:
    if limit is not None and limit < 0:
        return "was left out, as was asked."
    if path is None:
        return "has no path in the record."
    try:
        problem = why_unreadable(path)
        if problem:
            return f"could not be read: {problem}."
        if not checksum:
            return "has no SHA-256 in the record, so nobody can tell whether it is what was used."
        size = size_of(path)
        if limit is not None and size > limit:
            return f"is too large to be copied: {size:,} bytes, {limit:,} are allowed."
        if path.is_dir() and not any(item.is_file() for item in path.rglob("*")):
            return "is an empty folder, which a zip cannot hold."
        if sha256(path) != checksum:
            return "has changed since the run: what is there now is not what the record names."
    except (FileNotFoundError, NotADirectoryError):
        return "was not found when the crate was written."
    except (OSError, ValueError) as error:
        return f"could not be read: {getattr(error, 'strerror', None) or error}."
    return ""


def size_of(path: Path) -> int:
    """
    Return the size of a file, or of all files in a folder [bytes].

    Examples
    --------
    >>> import tempfile
    >>> size_of(Path(tempfile.mkdtemp()))
    0
    """
    if path.is_dir():
        return sum(item.stat().st_size for item in path.rglob("*") if item.is_file())
    return path.stat().st_size


def _placed(file: CrateFile, folder: str, taken: set[str]) -> CrateFile:
    if file.path is None:
        return file
    name = safe_file_name(re.split(r"[/\\]", file.said.rstrip("/\\"))[-1] or file.path.name)
    place = _free(f"{folder}/{name}", taken)
    stem = place.removesuffix(PurePosixPath(place).suffix)
    beside = tuple((f"{stem}{ending}", path) for ending, path in _sidecars(file))
    taken.update(name.casefold() for name, _ in beside)
    return replace(file, place=place, beside=beside)


def _sidecars(file: CrateFile) -> Iterator[tuple[str, Path]]:
    path = file.path
    # Those of an output are artifacts of their own.
    if path is None or file.role == "artifact" or file.is_folder or path.suffix.lower() not in _WITH_SIDECARS:
        return
    for ending in SIDECARS:
        beside = path.with_name(path.stem + ending)
        if beside.is_file() and not beside.is_symlink():
            yield ending, beside


def _free(place: str, taken: set[str]) -> str:
    """Return a place that no other file has, also where upper and lower case are the same."""
    path, count, free = PurePosixPath(place), 1, place
    while free.casefold() in taken:
        count += 1
        free = str(path.with_name(f"{path.stem}-{count}{path.suffix}"))
    taken.add(free.casefold())
    return free


def _safe_path(path: Path) -> str:
    return "/".join(map(safe_file_name, path.parts))


def parameter_files(record: ExperimentRecord) -> Iterator[tuple[str, str, str]]:
    """
    Find the files that parameters name and the record has a hash of, whether they are there or not.

    Yields
    ------
    place : str
        Such as ``maps[0].path``.
    said : str
        The path as the parameter has it.
    checksum : str
        SHA-256.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> record = ExperimentRecord(parameters={"maps": [{"path": "a.csv"}]}, parameter_files={"maps[0].path": "ab12"})
    >>> list(parameter_files(record))
    [('maps[0].path', 'a.csv', 'ab12')]
    """
    values = {**record.defaults_taken, **record.parameters}
    said = {place: str(value) for place, value in leaf_paths(values)}
    for place, checksum in record.parameter_files.items():
        if place in said:
            yield place, said[place], checksum
