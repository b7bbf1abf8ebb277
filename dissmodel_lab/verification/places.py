"""Where the files that a record names lie today. They are read, never written, and only where that can end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissmodel_lab.artifacts import with_suffix
from dissmodel_lab.sources import hashed, leaf_paths, local_path, names_file
from dissmodel_lab.store import RECORD_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dissmodel_lab.executor.schemas import ExperimentRecord


def working_folder(record: ExperimentRecord, base_folder: Path | None = None) -> Path:
    """
    Return the folder in which a run's relative paths are looked up: as asked, as recorded, or today's.

    A rerun imports from there too. So the folder that an imported record names is none: who made the crate could
    have named one that the crate has filled.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> working_folder(ExperimentRecord()) == Path.cwd()
    True
    """
    if base_folder is not None:
        return base_folder.absolute()
    said = _recorded_folder(record)
    return said if said is not None and not record.is_imported else Path.cwd()


def _recorded_folder(record: ExperimentRecord) -> Path | None:
    said = record.provenance.working_folder if record.provenance is not None else ""
    # Not Path.is_dir: it raises when the text is too long for a path.
    return Path(said) if os.path.isabs(said) and os.path.isdir(said) else None  # noqa: PTH112, PTH117


def _lookups(record: ExperimentRecord, base_folder: Path | None) -> list[Path]:
    """Return the folders in which a run's relative paths may lie, the likeliest first."""
    recorded = _recorded_folder(record)
    usual = working_folder(record, base_folder)
    return [usual, recorded] if recorded is not None and record.is_imported and base_folder is None else [usual]


def locate_input(record: ExperimentRecord, base_folder: Path | None = None) -> Path | None:
    """
    Return where a run's input lies: None when it is not on this machine (remote, in memory, ``synthetic``).

    A file that came with an imported record is taken, unless a folder is asked for. Else a relative path is looked
    up in the working folder, then beside the record; last, a file of that name beside the record, when its SHA-256
    is the recorded one. Where there is none, the first of these is returned.

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
    places = [*_lookups(record, base_folder), *([beside] if beside is not None else [])]
    return _carried(record, path, places, base_folder) or _first(path, places, beside, record.source.checksum)


def locate_named(record: ExperimentRecord, place: str, text: str, base_folder: Path | None = None) -> Path:
    """
    Return where a file lies that a parameter names, as :func:`locate_input` looks it up.

    Parameters
    ----------
    record : ExperimentRecord
        Of the run.
    place : str
        Where it stands in the parameters, such as ``maps[0].path``.
    text : str
        The path as it stands there.
    base_folder : Path, optional
        Where a person says that relative paths are to be looked up.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> locate_named(ExperimentRecord(), "demand", "demand.csv") == Path.cwd() / "demand.csv"
    True
    """
    path, places = as_path(text), _lookups(record, base_folder)
    carried = _carried(record, path, places, base_folder) if place in record.parameter_files else None
    return carried or _first(path, places, None, "")


def _carried(record: ExperimentRecord, path: Path, places: list[Path], base_folder: Path | None) -> Path | None:
    """Return the file that came with an imported record; a folder that a person names goes first."""
    carried = record.carried_path(str(path))
    if carried is None or not carried.exists():
        return None
    return None if base_folder is not None and os.path.lexists(places[0] / path) else carried


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
        said = str(Path(str(record.output_path)).parent / f"profiling_{_plain(record.experiment_id[:8])}.md")
    if not said or "://" in said:
        return None
    beside = record.record_path.parent if record.record_path is not None else None
    places = [*([beside] if beside is not None else []), *_lookups(record, base_folder)]
    if base_folder is not None or (name == "output" and said == record.output_path):
        places.reverse()  # a path as a person asked for it, not one inside of the run's own folder
    carried = _carried(record, Path(said), places, base_folder)
    return carried or _first(Path(said), places, beside, record.artifacts.get(name, ""))


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
    for place, value in leaf_paths({**record.defaults_taken, **record.parameters}):
        if names_file(value):
            yield place, str(value)


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
    return next((other for other in found if os.path.isfile(other) and not _is_same(other, path)), None)  # noqa: PTH113 -- raises nothing


def _plain(text: str) -> str:
    return "".join(letter for letter in text if letter.isalnum())  # a pattern in an id must not match other runs


def _is_same(first: Path, second: Path) -> bool:
    try:
        return first.samefile(second)
    except (OSError, ValueError):
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
