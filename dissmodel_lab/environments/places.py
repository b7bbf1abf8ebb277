"""The folder of environments: each beside its lock, ready when it has its card."""

from __future__ import annotations

import json
import os
import shutil
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissmodel_lab.errors import InstallError
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER_VARIABLE = "DISSMODEL_LAB_ENVIRONMENTS"
"""Variable of the environment that names the folder of environments."""
CARD_NAME = "environment.json"
"""Written last: an environment without it was not finished."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """An environment that is ready."""

    folder: Path
    package: str
    """As it was asked for, without passwords."""
    installed: dict[str, str]
    """What stands in it, beyond this Python's own packages: name -> version."""
    made_at: str
    """ISO 8601, in UTC."""

    @property
    def key(self) -> str:
        """Its name: a hash of what it was made of."""
        return self.folder.name

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(python_in(self.folder))


def environments_folder(folder: str | Path | None = None) -> Path:
    """
    Return the folder of environments: as given, as ``DISSMODEL_LAB_ENVIRONMENTS`` says, or in the user's cache.

    Examples
    --------
    >>> environments_folder("cache").is_absolute()
    True
    """
    said = folder or os.environ.get(FOLDER_VARIABLE)
    if said:
        return Path(said).expanduser().absolute()
    if sys.platform == "win32":
        caches = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        caches = Path.home() / "Library" / "Caches"
    else:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (caches / "dissmodel_lab" / "environments").absolute()


def environments(folder: str | Path | None = None) -> list[Environment]:
    """
    List the environments that are ready, the newest first.

    Examples
    --------
    >>> import tempfile
    >>> environments(tempfile.mkdtemp())
    []
    """
    place = environments_folder(folder)
    found = [read_environment(path.parent) for path in place.glob(f"*/{CARD_NAME}")] if place.is_dir() else []
    return sorted((one for one in found if one is not None), key=lambda one: one.made_at, reverse=True)


def remove_environment(key: str, folder: str | Path | None = None) -> Environment:
    """
    Remove an environment.

    Parameters
    ----------
    key : str
        Its key, or the beginning of it.
    folder : str or Path, optional
        As :func:`environments_folder` takes it.

    Raises
    ------
    InstallError
        When there is none, several begin so, or a run uses it.

    Examples
    --------
    >>> import tempfile
    >>> remove_environment("ab12", tempfile.mkdtemp())
    Traceback (most recent call last):
    dissmodel_lab.errors.InstallError: There is no environment 'ab12'. Known: none.
    """
    known = environments(folder)
    found = [one for one in known if key and one.key.startswith(key)]
    if len(found) != 1:
        names = ", ".join(f"{one.key[:12]} ({one.package})" for one in found or known) or "none"
        what = f"{len(found)} environments begin with" if found else "There is no environment"
        raise InstallError(message("{what} {key!r:.100}. Known: {names}.", what=what, key=key, names=names))
    with locked(found[0].folder, is_patient=False):
        discard(found[0].folder)
    return found[0]


def read_environment(folder: Path) -> Environment | None:
    """Return the environment in a folder; None when it is not ready."""
    try:
        card: Any = json.loads((folder / CARD_NAME).read_text(encoding="utf-8"))
        installed = {str(name): str(version) for name, version in card["installed"].items()}
        found = Environment(
            folder=folder, package=str(card["package"]), installed=installed, made_at=str(card["made_at"])
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return found if python_in(folder).exists() else None


def write_card(folder: Path, package: str, installed: dict[str, str], made_at: str) -> None:
    """Say that an environment is ready."""
    text = json.dumps({"package": package, "installed": installed, "made_at": made_at}, indent=2)
    unfinished = folder / f".{CARD_NAME}"
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, folder / CARD_NAME)  # noqa: PTH105 -- the call that is documented as atomic


def discard(folder: Path) -> None:
    """Remove a folder of an environment; first its card, so that nobody takes the rest for one."""
    with suppress(FileNotFoundError):
        (folder / CARD_NAME).unlink()
    shutil.rmtree(folder, ignore_errors=True)


def python_in(folder: Path) -> Path:
    """
    Return the interpreter of an environment.

    Examples
    --------
    >>> python_in(Path("env")).name.startswith("python")
    True
    """
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


@contextmanager
def locked(folder: Path, *, is_patient: bool = True) -> Iterator[int]:
    """
    Hold an environment's lock, alone; a process that ends, however it ends, lets go of it.

    Parameters
    ----------
    folder : Path
        Of the environment; its lock lies beside it.
    is_patient : bool
        Wait for whoever holds it.

    Yields
    ------
    int
        Number of the open lock: a program that inherits it holds the lock, too.

    Raises
    ------
    InstallError
        When it is held and nobody waits; when its folder cannot be written; on Windows.
    """
    try:
        import fcntl  # noqa: PLC0415 -- POSIX only
    except ImportError:
        raise InstallError(
            message(
                "Environments of their own for packages need Linux or macOS. Install the package by hand, and "
                "leave it out of the request."
            )
        ) from None
    lock = folder.with_suffix(".lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        number = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise InstallError(
            message(
                "The folder {parent!r} cannot be written: {strerror}. Name another one in {folder_variable}.",
                parent=str(lock.parent),
                strerror=error.strerror or error,
                folder_variable=FOLDER_VARIABLE,
            )
        ) from error
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX if is_patient else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InstallError(
                message(
                    "The environment {name} is in use. Wait for the runs in it, or cancel them.",
                    name=folder.name[:12],
                )
            ) from error
        yield number
    finally:
        os.close(number)
