"""Where a run comes from: cell, notebook, git, versions, host. Facts only; what cannot be known stays empty."""

from __future__ import annotations

import functools
import getpass
import hashlib
import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from dissmodel_lab.executor.schemas import GitState, Provenance
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.resolve import import_path

_PACKAGES = (
    "dissmodel_lab",
    "dissmodel",
    "geopandas",
    "numpy",
    "pandas",
    "pydantic",
    "pyproj",
    "rasterio",
    "scipy",
    "shapely",
)
_GIT_TIMEOUT = 5.0
_GIT_FRESH = 2.0
"""How long an answer of git counts as current [s], so that a sweep does not ask ten thousand times."""


@dataclass(frozen=True)
class Caller:
    """What the door knows of who knocked: the cell or the command that asked for the run."""

    cell_source: str = ""
    notebook_path: str = ""
    execution_count: int | None = None
    command: str = ""


def collect_provenance(executor_class: type[Any], caller: Caller) -> Provenance:
    """
    Gather what can be known before a run begins.

    Parameters
    ----------
    executor_class : type
        The executor's class.
    caller : Caller
        The door's own facts.

    Examples
    --------
    >>> from dissmodel_lab.executor.testing import SteppingExecutor
    >>> found = collect_provenance(SteppingExecutor, Caller(cell_source="1 + 1"))
    >>> found.executor_class, found.cell_sha256[:8]
    ('dissmodel_lab.executor.testing:SteppingExecutor', 'eb22d22f')
    """
    cell = redact_text(caller.cell_source)
    return Provenance(
        executor_class=import_path(executor_class),
        executor_package=package_version(executor_class.__module__),
        executor_git=git_state(_source_file(executor_class)),
        notebook_path=caller.notebook_path,
        notebook_git=git_state(Path(caller.notebook_path)) if caller.notebook_path else None,
        cell_source=cell,
        cell_sha256=hashlib.sha256(cell.encode()).hexdigest() if cell else "",
        execution_count=caller.execution_count,
        command=redact_text(caller.command),
        versions=versions(),
        working_folder=str(Path.cwd()),
        process_id=os.getpid(),
        **_host(os.getpid()),
    )


def versions() -> dict[str, str]:
    """
    Return the versions of Python and of the packages that decide over results.

    GDAL stands among them once rasterio is loaded: only then is there a GDAL.

    Examples
    --------
    >>> "python" in versions()
    True
    """
    found = dict(_package_versions())
    rasterio = sys.modules.get("rasterio")
    if rasterio is not None:
        found["gdal"] = str(getattr(rasterio, "__gdal_version__", ""))
    return found


@functools.cache
def package_version(module_name: str) -> str:
    """
    Return ``name==version`` of the distribution that holds a module; empty for a loose file or a cell.

    Examples
    --------
    >>> package_version("pydantic.main").partition("==")[0]
    'pydantic'
    >>> package_version("__main__")
    ''
    """
    top = module_name.partition(".")[0]
    if top == "__main__" or top in sys.stdlib_module_names:
        return ""
    try:
        return f"{top}=={importlib.metadata.version(top)}"
    except importlib.metadata.PackageNotFoundError:
        pass
    module = sys.modules.get(top)
    if not _is_installed(Path(getattr(module, "__file__", None) or "")):
        return ""
    names = importlib.metadata.packages_distributions().get(top, [])  # slow: it reads every distribution
    return f"{names[0]}=={importlib.metadata.version(names[0])}" if names else ""


def git_state(path: Path | None) -> GitState | None:
    """
    Return commit and dirtiness of the repository that holds a file; None when there is none.

    Installed packages do not count, even inside a virtual environment that lies in a repository.

    Examples
    --------
    >>> git_state(None) is None
    True
    """
    if path is None or _is_installed(path):
        return None
    root = next((folder for folder in path.absolute().parents if (folder / ".git").exists()), None)
    if root is None:
        return None
    return _git_state_at(str(root), int(time.monotonic() / _GIT_FRESH))


@functools.lru_cache(maxsize=32)
def _git_state_at(root: str, _moment: int) -> GitState | None:
    try:
        answer = subprocess.run(  # noqa: S603 -- a fixed command; the folder is an argument, not a shell text
            ["git", "-C", root, "status", "--porcelain=v2", "--branch", "--untracked-files=no"],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT,
            check=True,
            env=_git_environment(),
        ).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):  # no git, or a repository it refuses: nothing is known
        return None
    commit = next((line.split()[-1] for line in answer if line.startswith("# branch.oid")), "")
    return GitState(
        commit="" if commit == "(initial)" else commit,
        dirty=any(not line.startswith("#") for line in answer),
    )


def _git_environment() -> dict[str, str]:
    # Inside of a git hook these name the repository that is being committed to, not the one asked about.
    theirs = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX")
    usual = {name: value for name, value in os.environ.items() if name not in theirs}
    return {**usual, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}


@functools.cache
def _package_versions() -> tuple[tuple[str, str], ...]:
    found = [("python", platform.python_version())]
    for name in _PACKAGES:
        try:
            found.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return tuple(found)


@functools.cache
def _host(process_id: int) -> dict[str, Any]:
    return {
        "user": _user(),
        "hostname": socket.gethostname(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "process_started": psutil.Process(process_id).create_time(),
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return ""


def _source_file(executor_class: type[Any]) -> Path | None:
    file = getattr(sys.modules.get(executor_class.__module__), "__file__", None)
    return Path(file) if file else None


def _is_installed(path: Path) -> bool:
    return bool({"site-packages", "dist-packages"} & set(path.parts))
