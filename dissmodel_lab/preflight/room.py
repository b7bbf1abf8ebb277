"""Rules on the machine: enough memory and disk, and an output that can be written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from dissmodel_lab.artifacts import KNOWN_SUFFIXES, has_suffix
from dissmodel_lab.errors import shown
from dissmodel_lab.language import message
from dissmodel_lab.preflight.findings import Finding, error, warning
from dissmodel_lab.quantities import bytes_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissmodel_lab.preflight.datasets import Dataset

#: A run holds its input, a working copy and its result: so many times the input's values.
MEMORY_FACTOR = 3
#: An output is at most as large as the input's values, uncompressed; it stands in the store before it is moved.
DISK_FACTOR = 1
#: Of a file, where the system doesn't say [bytes].
LONGEST_NAME = 255
#: Where a container's limit of memory and its use stand: cgroup version 2, then 1.
_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def memory_findings(inputs: Sequence[Dataset]) -> list[Finding]:
    """
    Compare what a run is likely to need with the free memory, also that of a container.

    The estimate is three times the input's uncompressed values, with every input counted.

    Examples
    --------
    >>> memory_findings([])
    []
    """
    values = sum(dataset.value_bytes for dataset in inputs)
    needed, free = MEMORY_FACTOR * values, free_memory()
    if needed <= free:
        return []
    return [
        warning(
            "little-memory",
            message(
                "The input holds {values} of values, so a run may take {needed} of memory ({memory_factor} times "
                "that), and {free} is free.",
                values=bytes_text(values),
                needed=bytes_text(needed),
                memory_factor=MEMORY_FACTOR,
                free=bytes_text(free),
            ),
            message(
                "Take a smaller extent, larger cells or fewer bands, or free at least {needed} of memory.",
                needed=bytes_text(needed - free),
            ),
        )
    ]


def free_memory() -> int:
    """
    Return the memory that this process can still take [bytes], the limit of its container included.

    Examples
    --------
    >>> free_memory() > 0
    True
    """
    import psutil  # noqa: PLC0415 -- only before a run

    free = int(psutil.virtual_memory().available)
    for limit, used in _LIMITS:
        try:
            left = int(Path(limit).read_text()) - int(Path(used).read_text())
        except (OSError, ValueError):  # no container, or "max": no limit
            continue
        # what the container counts as used holds the cache of files, which gives way: never say less than half
        return min(free, max(left, int(Path(limit).read_text()) // 2))
    return free


def disk_findings(inputs: Sequence[Dataset], folders: dict[str, Path]) -> list[Finding]:
    """
    Compare the likely size of an output with the free disk where it goes.

    Parameters
    ----------
    inputs : sequence of Dataset
        Their values, uncompressed, are what an output may take.
    folders : dict of str to Path
        What is written there -> where; folders on one disk are told once.

    Examples
    --------
    >>> disk_findings([], {"The store": Path("experiments")})
    []
    """
    needed = DISK_FACTOR * sum(dataset.value_bytes for dataset in inputs)
    found, seen = [], set()
    for role, folder in folders.items():
        there = _nearest(folder)
        try:
            free, device = shutil.disk_usage(there).free, there.stat().st_dev
        except OSError:
            continue
        if needed > free and device not in seen:
            seen.add(device)
            found.append(
                warning(
                    "little-disk",
                    message(
                        "The output may take {needed} (the input's values, uncompressed), and {free} is free where "
                        "{role} {folder} lies.",
                        needed=bytes_text(needed),
                        free=bytes_text(free),
                        role=role,
                        folder=shown(folder),
                    ),
                    message(
                        "Free at least {needed} there, or choose another place.", needed=bytes_text(needed - free)
                    ),
                )
            )
    return found


def output_findings(output: str, store_folder: Path, inputs: dict[str, Path]) -> list[Finding]:
    """
    Find an output that would overwrite an input, exists, or cannot be written; and a store that cannot.

    Parameters
    ----------
    output : str
        As it was asked for; empty when the store keeps it.
    store_folder : Path
        Where runs are kept.
    inputs : dict of str to Path
        How each input is called -> where it lies.

    Examples
    --------
    >>> print(output_findings("dem.tif", Path("runs"), {"The input 'dem.tif'": Path("dem.tif")})[0].what)
    The output 'dem.tif' is the input 'dem.tif' itself, which the run would overwrite.
    """
    found = []
    blocked = _blocked(store_folder / "run")
    if blocked:
        what = message(
            "The store '{store_folder}' cannot be written: {blocked}.",
            store_folder=shown(store_folder),
            blocked=blocked,
        )
        found.append(
            error(
                "unwritable-output",
                what,
                message("Choose another --store, or change the folder's permissions."),
            )
        )
    if not output:
        return found
    said = f"The output '{shown(output)}'"
    if "://" in output:
        what = message("{said} is not a local path.", said=said)
        return [
            *found,
            error("unwritable-output", what, message("Give a path on this machine with --output.")),
        ]
    path = expanded(output)
    for called, given in inputs.items():
        if _is_same(path, given):
            what = message(
                "{said} is {called}{called_2} itself, which the run would overwrite.",
                said=said,
                called=called[:1].lower(),
                called_2=called[1:],
            )
            return [*found, error("output-is-input", what, message("Choose another --output."))]
    endings = ("",) if has_suffix(path) else ("", *KNOWN_SUFFIXES)
    taken = next((ending for ending in endings if os.path.lexists(f"{path}{ending}")), None)
    if taken is not None and not path.is_dir():
        what = message("The output '{output}' exists and is never replaced.", output=shown(output + taken))
        found.append(error("output-exists", what, message("Choose another --output, or remove the file.")))
    elif blocked := _blocked(path):
        found.append(
            error(
                "unwritable-output",
                message("{said} cannot be written: {blocked}.", said=said, blocked=blocked),
                message("Choose another --output."),
            )
        )
    return found


def expanded(path: str | Path) -> Path:
    """
    Return a path with the home folder in place of ``~``.

    Examples
    --------
    >>> expanded("~nobody-at-all/dem.tif").as_posix()
    '~nobody-at-all/dem.tif'
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:  # "~somebody" who has no home here: a file may be called so
        return Path(path)


def _blocked(path: Path) -> str:
    """Say why a path cannot be made; empty when it can."""
    if not str(path).isprintable():
        return message("its name holds a character that cannot be printed")
    try:
        there = _nearest(path.parent)
        if not there.is_dir():
            return message("{there} is a file, not a folder", there=shown(there))
        if not os.access(there, os.W_OK | os.X_OK):
            return message("the folder {there} is not writable", there=shown(there))
        longest = os.pathconf(there, "PC_NAME_MAX") if hasattr(os, "pathconf") else LONGEST_NAME
        if len(os.fsencode(path.name)) > longest:
            return message("its name is too long")
    except (OSError, ValueError) as problem:
        return str(getattr(problem, "strerror", None) or problem)
    return ""


def _nearest(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    folder = expanded(folder).absolute()
    return next((place for place in (folder, *folder.parents) if os.path.lexists(place)), Path(folder.anchor))


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.resolve() == other.resolve() or one.samefile(other)
    except (OSError, RuntimeError, ValueError):  # one of them is not there, or a circle of links
        return False
