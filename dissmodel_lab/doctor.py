"""What this machine is like for whom something doesn't work: versions, folders, front end, engines, known problems.

The report is made to be pasted where others read it: no names of people, no secrets, the home folder is ``~``.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from dissmodel_lab.environments.places import environments_folder
from dissmodel_lab.language import VARIABLE, language, say
from dissmodel_lab.quantities import bytes_text
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.sources.cache import DataCache
from dissmodel_lab.store import RunStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: What is always needed, then what only some need.
NEEDED = ("pydantic", "numpy", "rasterio", "geopandas", "ipywidgets", "ipyleaflet", "ipykernel", "ipython")
OPTIONAL = ("dissmodel", "jupyterlab", "notebook", "voila", "distributed", "xarray", "zarr", "pyarrow", "keyring")
#: Less than so much free room is told [bytes].
LITTLE_ROOM = 1 << 30
#: Less memory than so much is told [bytes].
LITTLE_MEMORY = 1 << 30


@dataclass(frozen=True)
class Report:
    """
    What was found.

    Examples
    --------
    >>> Report({"versions": {"python": "3.12.1"}}, ("No room.",)).text().splitlines()
    ['versions', '  python  3.12.1', '', 'problems', '  - No room.']
    """

    facts: dict[str, dict[str, str]]
    """Name of a section -> name -> value."""
    problems: tuple[str, ...] = field(default=())
    """What is known to go wrong here, and what to do."""

    def text(self) -> str:
        """Return it as plain text."""
        parts: list[str] = []
        for title, facts in self.facts.items():
            width = max((len(name) for name in facts), default=0)
            parts += [title, *(f"  {name:{width}}  {value}" for name, value in facts.items()), ""]
        said = [f"  - {problem}" for problem in self.problems] or [f"  {say('none known')}"]
        return "\n".join((*parts, say("problems"), *said))

    def values(self) -> dict[str, Any]:
        """Return it as JSON knows it."""
        return {**self.facts, "problems": list(self.problems)}


def examine(store: str | Path | None = None) -> Report:
    """
    Look at this machine; nothing is changed, no network is asked.

    Parameters
    ----------
    store : str or Path, optional
        The folder of runs; as for :func:`dissmodel_lab.run` when not given.

    Returns
    -------
    Report
        Facts in sections, and known problems.

    Examples
    --------
    >>> report = examine()
    >>> list(report.facts)
    ['versions', 'machine', 'folders', 'front end', 'engines']
    >>> report.facts["versions"]["python"] == platform.python_version()
    True
    """
    problems: list[str] = []
    sections: dict[str, Callable[[list[str]], Iterator[tuple[str, str]]]] = {
        "versions": _versions,
        "machine": _machine,
        "folders": lambda problems: _folders(store, problems),
        "front end": _front_end,
        "engines": _engines,
    }
    facts = {title: {name: _shareable(value) for name, value in look(problems)} for title, look in sections.items()}
    return Report(facts, tuple(map(_shareable, problems)))


def _versions(problems: list[str]) -> Iterator[tuple[str, str]]:
    import rasterio  # noqa: PLC0415 -- heavy

    from dissmodel_lab import __version__  # noqa: PLC0415 -- the package itself, when it is whole

    yield "dissmodel_lab", __version__
    yield "python", platform.python_version()
    for name in NEEDED:
        version = _version(name)
        if not version:
            problems.append(say("{name} is missing. Write: pip install dissmodel_lab", name=name))
        yield name, version or "missing"
    yield "GDAL (of rasterio)", rasterio.__gdal_version__
    for name in OPTIONAL:
        if version := _version(name):
            yield name, version


def _machine(problems: list[str]) -> Iterator[tuple[str, str]]:
    memory = psutil.virtual_memory()
    if memory.available < LITTLE_MEMORY:
        free = bytes_text(memory.available)
        problems.append(
            say("Only {free} of memory are free. Close other kernels, or take a smaller input.", free=free)
        )
    yield "system", f"{platform.system()} {platform.release()} {platform.machine()}"
    yield "processors", str(os.cpu_count() or 1)
    yield "memory", f"{bytes_text(memory.total)}, {bytes_text(memory.available)} free"
    yield "language", f"{language()} ({VARIABLE}={os.environ.get(VARIABLE, '')})"


def _folders(store: str | Path | None, problems: list[str]) -> Iterator[tuple[str, str]]:
    runs = RunStore(store)
    named = {
        "runs": runs.root,
        "inputs": DataCache().root,
        "environments": environments_folder(),
        "temporary": Path(tempfile.gettempdir()),
    }
    for name, folder in named.items():
        yield name, _folder(folder, problems)
    yield "runs kept", str(_count(runs, problems))


def _folder(folder: Path, problems: list[str]) -> str:
    """Say where a folder is, what room it has, and whether it can be written; one that isn't there is not made."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < LITTLE_ROOM:
        problems.append(
            say("Only {free} are free where {folder} lies. Make room there.", free=bytes_text(free), folder=folder)
        )
    if not os.access(there, os.W_OK | os.X_OK):
        problems.append(
            say("{folder} cannot be written. Change its permissions, or choose another folder.", folder=folder)
        )
        return f"{folder} (read-only)"
    return f"{folder} ({bytes_text(free)} free{'' if there == folder else ', not made yet'})"


def _count(runs: RunStore, problems: list[str]) -> int | str:
    if not runs.root.exists():
        return 0
    try:
        return len(runs.entries())
    except OSError as error:
        problems.append(
            say("The runs in {folder} cannot be listed: {reason}.", folder=runs.root, reason=error.strerror or error)
        )
        return "unknown"


def _front_end(problems: list[str]) -> Iterator[tuple[str, str]]:
    yield "runs in", _surroundings()
    yield "kernel", "ipykernel" if "ipykernel" in sys.modules else "none: a terminal or a script"
    widgets, lab = _version("ipywidgets"), _version("jupyterlab_widgets")
    yield "widgets in JupyterLab", lab or "not installed beside this kernel"
    if widgets.partition(".")[0] == "8" and lab and not lab.startswith("3"):
        problems.append(
            say(
                "ipywidgets {widgets} needs jupyterlab_widgets 3, and {lab} is installed: widgets stay blank. "
                "Write: pip install --upgrade jupyterlab_widgets",
                widgets=widgets,
                lab=lab,
            )
        )


def _surroundings() -> str:
    """Return the program that shows the notebook, as far as it tells the kernel."""
    signs = {
        "Google Colab": "google.colab" in sys.modules or "COLAB_RELEASE_TAG" in os.environ,
        "VS Code": "VSCODE_PID" in os.environ or "VSCODE_CWD" in os.environ,
        "Binder": "BINDER_SERVICE_HOST" in os.environ,
        "JupyterHub": "JUPYTERHUB_USER" in os.environ,
        "Jupyter": "JPY_SESSION_NAME" in os.environ or "JPY_PARENT_PID" in os.environ,
    }
    return ", ".join(name for name, is_here in signs.items() if is_here) or "unknown"


def _engines(problems: list[str]) -> Iterator[tuple[str, str]]:
    yield "inline", "ready"
    if os.name != "posix":
        problems.append(say("Worker processes need Linux or macOS: use the inline engine here."))
    yield "process", "ready" if os.name == "posix" else "not on this system"
    yield "dask", "ready" if _version("distributed") else 'not installed: pip install "dissmodel_lab[dask]"'
    key = "a key is set" if os.environ.get("DISSMODEL_API_KEY") else "no key in DISSMODEL_API_KEY"
    yield "platform", key


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _shareable(text: str) -> str:
    home = str(Path.home())
    return redact_text(text if len(home) <= 1 else text.replace(home, "~"))
