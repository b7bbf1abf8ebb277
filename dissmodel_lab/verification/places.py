"""Where the files that a record names lie today. They are read, never written, and only where that can end."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dissmodel_lab.artifacts import with_suffix
from dissmodel_lab.sources import file_sha256, folder_sha256, local_path, names_file
from dissmodel_lab.store import RECORD_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dissmodel_lab.executor.schemas import ExperimentRecord

MOST_FILES = 20_000
"""A folder of more files is not hashed: a record may name any folder, ``/`` included."""


class Hashed(NamedTuple):
    """The hash of what lies at a path, or why there is none."""

    sha256: str = ""
    problem: str = ""


def working_folder(record: ExperimentRecord, base_folder: Path | None = None) -> Path:
    """
    Return the folder in which a run's relative paths are looked up: as asked, as recorded, or today's.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> working_folder(ExperimentRecord()) == Path.cwd()
    True
    """
    if base_folder is not None:
        return base_folder.absolute()
    said = record.provenance.working_folder if record.provenance is not None else ""
    return Path(said) if said and Path(said).is_dir() else Path.cwd()


def locate_input(record: ExperimentRecord, base_folder: Path | None = None) -> Path | None:
    """
    Return where a run's input lies: None when it is not on this machine (remote, in memory, ``synthetic``).

    A relative path is looked up in the working folder, then beside the record; last, a file of that name beside
    the record, when its SHA-256 is the recorded one. Where there is none, the first of these is returned.

    Examples
    --------
    >>> from dissmodel_lab.executor import DataSource, ExperimentRecord
    >>> locate_input(ExperimentRecord(source=DataSource(uri="synthetic"))) is None
    True
    """
    path = local_path(record.source)
    if path is None:
        return None
    beside = record.record_path.parent if record.record_path is not None else None
    places = [working_folder(record, base_folder), *([beside] if beside is not None else [])]
    return _first(path, places, beside, record.source.checksum)


def locate_artifact(record: ExperimentRecord, name: str, base_folder: Path | None = None) -> Path | None:
    """
    Return where a file lies that a run produced; None when the record names no path for it.

    Parameters
    ----------
    record : ExperimentRecord
        Of this package, or of PyPI ``dissmodel``, which names a path for its main output only, and writes
        ``profiling_<id>.md`` beside it.
    name : str
        As in ``record.artifacts``.
    base_folder : Path, optional
        Where relative paths of a record from elsewhere are looked up.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> locate_artifact(ExperimentRecord(), "report") is None
    True
    """
    said = record.artifact_paths.get(name) or (record.output_path if name == "output" else None)
    if not said and name == "profiling" and Path(record.output_path or "").name:
        said = str(Path(str(record.output_path)).with_name(f"profiling_{record.experiment_id[:8]}.md"))
    if not said or "://" in said:
        return None
    beside = record.record_path.parent if record.record_path is not None else None
    places = [*([beside] if beside is not None else []), working_folder(record, base_folder)]
    if base_folder is not None or (name == "output" and said == record.output_path):
        places.reverse()  # a path as a person asked for it, not one inside of the run's own folder
    return _first(Path(said), places, beside, record.artifacts.get(name, ""))


def _first(path: Path, places: list[Path], beside: Path | None, sha256: str) -> Path:
    found = next((place / path for place in places if os.path.lexists(place / path)), None)
    if found is not None:
        return found
    if beside is not None and sha256 and hashed(beside / path.name).sha256 == sha256:
        return beside / path.name  # a record that was sent together with its files
    return places[0] / path


def as_path(text: str) -> Path:
    """
    Return a text as a path; ``~`` is the home folder where there is one.

    Examples
    --------
    >>> as_path("~nobody-of-that-name/a.csv").as_posix()
    '~nobody-of-that-name/a.csv'
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:  # somebody who has no home here: a folder may be called so
        return Path(text)


def named_files(record: ExperimentRecord) -> Iterator[tuple[str, str]]:
    """
    Find the texts in a run's parameters that look like files, each with its place, such as ``maps[0].path``.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> list(named_files(ExperimentRecord(parameters={"maps": [{"path": "a.csv"}], "years": 3})))
    [('maps[0].path', 'a.csv')]
    """
    yield from _named({**record.defaults_taken, **record.parameters}, "")


def _named(values: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(values, dict):
        for name, item in values.items():
            yield from _named(item, f"{place}.{name}" if place else str(name))
    elif isinstance(values, list | tuple):
        for index, item in enumerate(values):
            yield from _named(item, f"{place}[{index}]")
    elif names_file(values):
        yield place, str(values)


def hashed(path: Path) -> Hashed:
    """
    Return the SHA-256 of a file or folder, or why it has none; both empty when nothing is there.

    Devices, pipes and huge folders are not read: a record from elsewhere may name ``/dev/zero`` or ``/``.

    Examples
    --------
    >>> hashed(Path("/dev/zero")).problem
    'it is neither a file nor a folder'
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            return Hashed(file_sha256(path))
        if not stat.S_ISDIR(mode):
            return Hashed(problem="it is neither a file nor a folder")
        if _is_huge(path):
            return Hashed(problem=f"it is a folder of more than {MOST_FILES:,} files")
        return Hashed(folder_sha256(path))
    except (FileNotFoundError, NotADirectoryError):
        return Hashed()
    except (OSError, ValueError) as error:
        return Hashed(problem=str(getattr(error, "strerror", None) or error))


def _is_huge(folder: Path) -> bool:
    count = 0
    for _, folders, files in os.walk(folder):
        count += len(files) + len(folders)
        if count > MOST_FILES:
            return True
    return False


def is_outside(path: Path, record: ExperimentRecord, store_folder: Path | None) -> bool:
    """
    Tell whether a path lies neither in the record's own folder nor in the store's.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> is_outside(Path("/etc/hosts"), ExperimentRecord(), Path("experiments"))
    True
    """
    own = [record.record_path.parent] if record.record_path is not None else []
    inside = [*own, *([store_folder] if store_folder is not None else [])]
    try:
        real = path.resolve()
        return not any(real.is_relative_to(folder.resolve()) for folder in inside)
    except (OSError, RuntimeError, ValueError):  # a circle of links, or no path at all
        return True


def second_copy(record: ExperimentRecord, store_folder: Path | None) -> Path | None:
    """
    Return the other copy of a record, beside its output or in the store; None when there is none.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> second_copy(ExperimentRecord(), None) is None
    True
    """
    path, output = record.record_path, locate_artifact(record, "output")
    if path is None:
        return None
    found = [with_suffix(output, ".record.json")] if output is not None and output.name else []
    if store_folder is not None:
        found += sorted(store_folder.glob(f"*-{_plain(record.experiment_id[:8])}/{RECORD_NAME}"))
    return next((other for other in found if other.is_file() and not _is_same(other, path)), None)


def _plain(text: str) -> str:
    return "".join(letter for letter in text if letter.isalnum())  # a pattern in an id must not match other runs


def _is_same(first: Path, second: Path) -> bool:
    try:
        return first.samefile(second)
    except OSError:
        return False


def mapping_differs(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """
    Return the keys whose values differ.

    Examples
    --------
    >>> mapping_differs({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4})
    ['b', 'c']
    """
    return [name for name in {**first, **second} if first.get(name) != second.get(name)]
