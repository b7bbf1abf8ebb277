"""Where a run comes from: cell, notebook, git, versions, host. Facts only; what cannot be known stays empty."""

from __future__ import annotations

import functools
import getpass
import hashlib
import os
import platform
import re
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissmodel_lab.executor.schemas import ExperimentRecord, GitState, Provenance
from dissmodel_lab.processes import process_mark, process_started
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.resolve import import_path

if TYPE_CHECKING:
    import subprocess

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
_VERSION_LINE = re.compile(rb"(?m)^Version: *(\S+)")
#: How the folder of a distribution's metadata ends -> the file that tells its version.
_METADATA = {".dist-info": "METADATA", ".egg-info": "PKG-INFO"}
_ENDINGS = tuple(_METADATA)
_HAS_SYSCONF = hasattr(os, "sysconf")
_IS_LINUX = sys.platform == "linux"
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
    ('dissmodel_lab.executor.testing:SteppingExecutor', '72fce594')
    """
    asked = (
        _ask_git(_source_file(executor_class)),
        _ask_git(caller.notebook_path),
    )
    cell = redact_text(caller.cell_source)
    facts = Provenance(
        executor_class=import_path(executor_class),
        executor_package=package_version(executor_class.__module__),
        notebook_path=caller.notebook_path,
        cell_source=cell,
        cell_sha256=hashlib.sha256(cell.encode()).hexdigest() if cell else "",
        execution_count=caller.execution_count,
        command=redact_text(caller.command),
        versions=versions(),
        working_folder=os.getcwd(),  # noqa: PTH109 -- once a run, and only its text
        process_id=os.getpid(),
        **_host(os.getpid()),
    )
    facts.executor_git, facts.notebook_git = (question.answer() if question else None for question in asked)
    return facts


def loaded_executor(record: ExperimentRecord) -> type[Any] | None:
    """
    Return the class that a record names as its executor, when its module is loaded; nothing is imported for it.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> from dissmodel_lab.executor.schemas import Provenance
    >>> facts = Provenance(executor_class="dissmodel_lab.executor.base:ModelExecutor")
    >>> loaded_executor(ExperimentRecord(provenance=facts)).__name__
    'ModelExecutor'
    """
    module, _, name = (record.provenance.executor_class if record.provenance is not None else "").partition(":")
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) else None


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
    version = _version(top)
    if version:
        return f"{top}=={version}"
    module = sys.modules.get(top)
    if not _is_installed(Path(getattr(module, "__file__", None) or "")):
        return ""
    import importlib.metadata  # noqa: PLC0415 -- only for a distribution of another name

    names = importlib.metadata.packages_distributions().get(top, [])  # slow: it reads every distribution
    return f"{names[0]}=={_version(names[0])}" if names else ""


def git_state(path: Path | None) -> GitState | None:
    """
    Return commit and dirtiness of the repository that holds a file; None when there is none.

    Installed packages do not count, even inside a virtual environment that lies in a repository.

    Examples
    --------
    >>> git_state(None) is None
    True
    """
    question = _ask_git(str(path or ""))
    return question.answer() if question is not None else None


def _ask_git(path: str) -> _GitQuestion | None:
    return _git_question(path, os.getcwd(), int(time.monotonic() / _GIT_FRESH)) if path else None  # noqa: PTH109 -- a text


@functools.lru_cache(maxsize=32)
def _git_question(text: str, working_folder: str, _moment: int) -> _GitQuestion | None:
    path = Path(working_folder, text)
    if _is_installed(path):
        return None
    root = next((folder for folder in path.parents if (folder / ".git").exists()), None)
    return _GitQuestion(root) if root is not None else None


class _GitQuestion:
    """``git status``, at work from construction on: the other facts are gathered meanwhile."""

    def __init__(self, root: Path) -> None:
        self._lock = threading.Lock()
        self._state: GitState | None = None
        self._process: subprocess.Popen[str] | None = None
        import subprocess  # noqa: PLC0415 -- only inside of a repository

        try:
            self._process = subprocess.Popen(  # noqa: S603 -- a fixed command; the folder is an argument, not a shell text
                ["git", "-C", str(root), "status", "--porcelain=v2", "--branch", "--untracked-files=no"],  # noqa: S607
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=_git_environment(),
            )
        except OSError:  # no git: nothing is known
            return

    def answer(self) -> GitState | None:
        """Return what git says; None when it refuses the repository or takes too long."""
        with self._lock:
            if self._process is not None:
                process, self._process = self._process, None
                self._state = self._wait_for(process)
            return self._state

    @staticmethod
    def _wait_for(process: subprocess.Popen[str]) -> GitState | None:
        import subprocess  # noqa: PLC0415 -- loaded already

        with process:
            try:
                lines = process.communicate(timeout=_GIT_TIMEOUT)[0].splitlines()
            except subprocess.TimeoutExpired:
                process.kill()
                return None
            except UnicodeDecodeError:  # a branch or a file with an odd name
                return None
        if process.returncode != 0:
            return None
        commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid")), "")
        return GitState(
            commit="" if commit == "(initial)" else commit,
            dirty=any(not line.startswith("#") for line in lines),
        )


def _git_environment() -> dict[str, str]:
    # Inside of a git hook these name the repository that is being committed to, not the one asked about.
    theirs = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX")
    usual = {name: value for name, value in os.environ.items() if name not in theirs}
    return {**usual, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}


@functools.cache
def _package_versions() -> tuple[tuple[str, str], ...]:
    found = ((name, _version(name)) for name in _PACKAGES)
    return (("python", platform.python_version()), *((name, version) for name, version in found if version))


def _version(name: str) -> str:
    """
    Return the version of an installed distribution; empty when there is none.

    As ``importlib.metadata.version`` does, which looks at every distribution and parses the whole of a METADATA,
    the README in it included: a tenth of the first run's time.
    """
    path = _metadata_files(tuple(sys.path), int(time.monotonic() / _GIT_FRESH)).get(_normal_name(name))
    if path is None and not any(map(os.path.isfile, sys.path)):
        return ""
    try:
        with open(path or "", "rb") as file:  # noqa: PTH123 -- a text, ten times in the first run
            found = _VERSION_LINE.search(file.read(4096))
        if found is not None:
            return found[1].decode()
    except (OSError, UnicodeDecodeError):  # in a zip archive, or of an old kind
        pass
    import importlib.metadata  # noqa: PLC0415 -- only for these

    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


@functools.lru_cache(maxsize=1)
def _metadata_files(folders: tuple[str, ...], _moment: int) -> dict[str, str]:
    found: dict[str, str] = {}
    for folder in folders:
        try:
            names = os.listdir(folder or os.curdir)  # noqa: PTH208 -- texts: there may be thousands
        except OSError:  # not there, or a zip archive
            continue
        for name in names:
            if name.endswith(_ENDINGS):
                stem, dot, kind = name.rpartition(".")
                path = f"{folder or os.curdir}{os.sep}{name}{os.sep}{_METADATA[dot + kind]}"
                found.setdefault(_normal_name(stem.partition("-")[0]), path)
    return found


def _normal_name(name: str) -> str:
    if "-" not in name and "." not in name and "__" not in name:  # most of hundreds
        return name.lower()
    return re.sub(r"[-_.]+", "_", name).lower()


@functools.cache
def _host(process_id: int) -> dict[str, Any]:
    return {
        "user": _user(),
        "hostname": platform.node(),
        "platform": _platform(),
        "cpu_count": os.cpu_count(),
        "memory_bytes": _memory_bytes(),
        "process_started": process_started(process_id),
        "process_mark": process_mark(process_id),
    }


def _memory_bytes() -> int:
    if _HAS_SYSCONF:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    import psutil  # noqa: PLC0415 -- not needed elsewhere

    total: int = psutil.virtual_memory().total
    return total


def _platform() -> str:
    if not _IS_LINUX:
        return platform.platform()
    # platform.platform() starts a process (uname -p) for a part that it then leaves out: 6 ms.
    system, libc = os.uname(), "".join(platform.libc_ver())
    return f"{system.sysname}-{system.release}-{system.machine}{f'-with-{libc}' if libc else ''}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return ""


def _source_file(executor_class: type[Any]) -> str:
    return getattr(sys.modules.get(executor_class.__module__), "__file__", None) or ""


def _is_installed(path: Path) -> bool:
    return bool({"site-packages", "dist-packages"} & set(path.parts))
