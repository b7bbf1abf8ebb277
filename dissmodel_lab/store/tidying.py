"""What processes that are gone were about to write, removed; what a killed run has made stays, as evidence.

A process that is killed leaves the file that it was writing under a temporary name, and the files that say that
it is at work. Nobody reads them, and nobody else would ever remove them. Half of an output (``partial``) and the
pictures of the steps that it came to (``frames.part``) are kept: they tell how far the run had come.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dissmodel_lab.executor.schemas import RunStatus
from dissmodel_lab.index import RECORD_NAME
from dissmodel_lab.processes import process_started
from dissmodel_lab.store.files import AT_WORK_NAMES, PARTIAL_NAME
from dissmodel_lab.store.reading import is_alive, try_read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dissmodel_lab.executor.schemas import ExperimentRecord

_TEMPORARY = re.compile(r"\.(\d+)-.+\.tmp")
"""A file that is written in one step, while it is written; with the number of the process."""
_OWN_NAME = re.compile(r"\d{8}T\d{6}-.+|\d{6,}(-\d+)?")
"""As the store names the folders of runs and sweeps."""
_SAMPLE = ".sample-"
_ABANDONED = 3600.0
"""What nobody has changed for so long, and no record tells whose it is, is nobody's [s]."""
_SWEEP_NAME = "sweep.json"


def tidy(root: Path) -> None:
    """
    Remove from a store what dead processes were about to write.

    Of runs that this machine's processes carried out, and of runs that never came to their first record. What
    cannot be removed stays, and does no harm.

    Parameters
    ----------
    root : Path
        The store's folder.

    Examples
    --------
    >>> import tempfile
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> folder = Path(tempfile.mkdtemp(), "20260504T030201-flood-2f6c1a09")
    >>> folder.mkdir()
    >>> _ = (folder / "record.json").write_text(ExperimentRecord(status="running").model_dump_json())
    >>> (folder / ".room").touch()
    >>> tidy(folder.parent)
    >>> [path.name for path in folder.iterdir()]
    ['record.json']
    """
    for folder in _folders(root):
        if (folder / _SWEEP_NAME).exists():
            _remove_abandoned(folder)
            for run in _folders(folder):
                _tidy_folder(run)
        else:
            _tidy_folder(folder)
    with suppress(OSError):
        for sample in (root / "inputs").glob(f"{_SAMPLE}*"):
            if _is_abandoned(sample):
                shutil.rmtree(sample, ignore_errors=True)


def tidy_run(folder: Path, process: int | None) -> None:
    """
    Remove what the process of a run was about to write, and what says that it is at work.

    Parameters
    ----------
    folder : Path
        The run's own.
    process : int or None
        The number of the process that carried it out, on this machine; it is gone.

    Examples
    --------
    >>> tidy_run(Path("no/such/folder"), 1)
    """
    with suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208 -- names are all that is needed
            match = _TEMPORARY.fullmatch(name)
            is_dead = match is not None and (int(match[1]) == process or process_started(int(match[1])) is None)
            if is_dead or name in AT_WORK_NAMES:
                with suppress(OSError):
                    (folder / name).unlink()
            elif name == PARTIAL_NAME:
                with suppress(OSError):  # it holds what save() left: that is kept
                    (folder / name).rmdir()


def _folders(root: Path) -> Iterator[Path]:
    """Return the folders in a folder that have names as the store gives them."""
    try:
        with os.scandir(root) as found:
            names = [item.name for item in found if item.is_dir(follow_symlinks=False)]
    except OSError:  # it is gone, or cannot be read
        return
    yield from (root / name for name in names if _OWN_NAME.fullmatch(name))


def _tidy_folder(folder: Path) -> None:
    try:
        names = os.listdir(folder)  # noqa: PTH208 -- as above
    except OSError:
        return
    suspects = [name for name in names if name in (*AT_WORK_NAMES, PARTIAL_NAME) or _TEMPORARY.fullmatch(name)]
    if RECORD_NAME in names:
        record = try_read(folder / RECORD_NAME) if suspects else None
        if record is not None and not is_alive(record) and _may_be_tidied(folder, record):
            tidy_run(folder, record.provenance.process_id if record.provenance is not None else None)
            _remove_half_published(record)
    elif len(suspects) == len(names) and all(map(_is_abandoned, (folder, *(folder / name for name in names)))):
        with suppress(OSError):  # it was killed before it had written its first record
            for name in suspects:
                (folder / name).unlink()
            folder.rmdir()


def _may_be_tidied(folder: Path, record: ExperimentRecord) -> bool:
    """Tell whether nobody is at a run: one that is queued may be taken over by a process that it does not name."""
    return record.status != RunStatus.PENDING or _is_abandoned(folder)


def _remove_half_published(record: ExperimentRecord) -> None:
    """Remove what was on its way to where the output was to be: a copy from another disk, the second record."""
    facts, said = record.provenance, record.output_path
    if facts is None or not said or "://" in said:
        return
    target = record.resolve_path(Path(said).expanduser())
    copy, second = f".{target.stem}", re.compile(rf"\.{facts.process_id}-.+\.tmp")
    with suppress(OSError):
        for name in os.listdir(target.parent):  # noqa: PTH208 -- as above
            is_copy = name.startswith(copy) and name.endswith(f".{facts.process_id}.partial")
            if is_copy or second.fullmatch(name):
                _remove(target.with_name(name))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _remove_abandoned(folder: Path) -> None:
    with suppress(OSError):
        for path in folder.iterdir():
            if _TEMPORARY.fullmatch(path.name) and _is_abandoned(path):
                path.unlink()


def _is_abandoned(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _ABANDONED
    except OSError:
        return False
