"""Installed distributions that may hold executors, known by their metadata and the text of their files.

Nothing is imported here.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissmodel_lab.language import message
from dissmodel_lab.redaction import redact_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.metadata import Distribution, EntryPoint

UPSTREAM, _OURS = "dissmodel", "dissmodel-lab"
GROUP = f"{UPSTREAM}.executors"
"""The group of entry points in which a package declares its executors."""
_ASIDE = frozenset({"__main__", "tests", "test", "testing", "conftest", "setup", "docs", "examples", "benchmarks"})
"""Modules that are never imported to look for executors: programs, and doubles for tests."""
_MAY_DEFINE = re.compile(rb"\bModelExecutor\b|\bclass\s+\w+\s*\([^)]*Executor|^def __getattr__\(", re.MULTILINE)
"""Source text of a module that may define an executor, or hand one out when its name is used (PEP 562)."""
_REQUIRED = re.compile(
    r"^Requires-Dist:[ \t]*([A-Za-z0-9][\w.-]*)[^\n;]*(?:;([^\n]*))?$", re.MULTILINE | re.IGNORECASE
)


@dataclass(frozen=True)
class Package:
    """An installed distribution that may hold executors."""

    name: str
    version: str
    modules: tuple[str, ...] = ()
    """Its packages and modules at the top; none when it only declares entry points."""
    entry_points: tuple[EntryPoint, ...] = ()
    problem: str = ""
    """Why its entry points cannot be read."""


def packages() -> tuple[Package, ...]:
    """
    Return the distributions that declare executors, or that require ``dissmodel``, directly or not.

    Examples
    --------
    >>> UPSTREAM in [package.name for package in packages()]
    False
    """
    return _packages_on(tuple((entry, _changed_at(entry)) for entry in sys.path))


def modules_with_executors(top: str) -> list[str]:
    """
    Return a package and those of its modules whose source may define executors, the outer ones first.

    Examples
    --------
    >>> modules_with_executors("json")
    ['json']
    """
    names = {top}
    for folder in getattr(_spec(top), "submodule_search_locations", None) or ():
        for path in sorted(Path(folder).rglob("*")):
            relative = path.relative_to(folder)
            parts = [top, *relative.parts[:-1], relative.name.partition(".")[0]]
            if parts[-1] == "__init__":
                parts.pop()
            usable = all(part.isidentifier() and part not in _ASIDE for part in parts)
            if usable and _may_define_executors(path):
                names |= {".".join(parts[: count + 1]) for count in range(len(parts))}
    return sorted(names, key=lambda name: (name.count("."), name))


def declared_names() -> list[str]:
    """
    Return the names that installed packages declare as entry points; none of them is imported.

    Examples
    --------
    >>> isinstance(declared_names(), list)
    True
    """
    return sorted({entry.name for package in packages() for entry in package.entry_points})


def said(error: BaseException) -> str:
    """
    Say in one line what an import ended with, without secrets.

    Examples
    --------
    >>> said(ValueError("api_key=s3cr3t")), said(SystemExit(3))
    ('ValueError: api_key=***', 'it calls sys.exit(3) when it is imported.')
    """
    if isinstance(error, SystemExit):
        return message("it calls sys.exit({code!r:.80}) when it is imported.", code=error.code)
    lines = str(error).strip().splitlines()
    return redact_text(f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__)


def _changed_at(entry: str) -> int:
    try:
        return os.stat(entry or ".").st_mtime_ns  # noqa: PTH116 -- on the way of each Tab
    except OSError:
        return 0


@functools.lru_cache(maxsize=1)
def _packages_on(_path: tuple[tuple[str, int], ...]) -> tuple[Package, ...]:
    from importlib import metadata  # noqa: PLC0415 -- never on the way of a plain run

    # Where dissmodel is not installed, nothing that requires it can be imported: hundreds of files need no reading.
    with_requirements = sys.modules.get(UPSTREAM) is not None or _spec(UPSTREAM) is not None
    seen: dict[str, tuple[Distribution, set[str]]] = {}
    packages = []
    for distribution in metadata.distributions():
        try:
            declares = GROUP in (distribution.read_text("entry_points.txt") or "")
            if not declares and not with_requirements:
                continue
            name, required = _name_and_requirements(distribution)
            if not name or name in seen:  # the first on the path hides the others
                continue
            seen[name] = (distribution, required)
            if declares:
                packages.append(name)
        except Exception:  # noqa: BLE001, S112 -- a broken distribution of others is not our business
            continue
    dependents = _dependents({name: required for name, (_, required) in seen.items()}) if with_requirements else set()
    chosen = [name for name in seen if name in dependents or name in packages]
    return tuple(_package(seen[name][0], is_dependent=name in dependents) for name in sorted(chosen))


def _name_and_requirements(distribution: Distribution) -> tuple[str, set[str]]:
    text = distribution.read_text("METADATA")
    if text is None:
        name = str(distribution.metadata["Name"] or "")
        lines = "\n".join(f"Requires-Dist: {line}" for line in distribution.requires or ())
    else:
        # Parsing all of each file as an e-mail takes ten times as long.
        lines = text.replace("\r\n", "\n").partition("\n\n")[0]
        match = re.search(r"^Name:[ \t]*(\S+)", lines, re.MULTILINE | re.IGNORECASE)
        name = match[1] if match else ""
    needed = {
        _normalised(required)
        for required, marker in _REQUIRED.findall(lines)
        if not re.search(r"\bextra\b", marker)  # what only an extra needs is not required
    }
    return _normalised(name), needed


def _dependents(requirements: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = {UPSTREAM}
    while waiting:
        waiting = {name for name, required in requirements.items() if required & waiting} - found
        found |= waiting
    return found - {UPSTREAM, _OURS}


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _package(distribution: Distribution, *, is_dependent: bool) -> Package:
    name = str(distribution.metadata["Name"])
    problem = ""
    entries: tuple[EntryPoint, ...] = ()
    try:
        if GROUP in (distribution.read_text("entry_points.txt") or ""):
            entries = tuple(entry for entry in distribution.entry_points if entry.group == GROUP)
    except Exception as error:  # noqa: BLE001 -- a file that was written by hand may hold anything
        problem = message("Its entry_points.txt cannot be read: {said}", said=said(error))
    modules = _top_modules(distribution, name) if is_dependent else ()
    version = str(distribution.metadata["Version"] or "")
    return Package(name, version, modules, entries, problem)


def _top_modules(distribution: Distribution, name: str) -> tuple[str, ...]:
    declared = (distribution.read_text("top_level.txt") or "").split()
    if not declared:
        files = [file for file in distribution.files or () if file.suffix == ".py"]
        declared = [file.parts[0] if len(file.parts) > 1 else file.stem for file in files]
    # An editable installation may list no file of its own.
    names = dict.fromkeys([*declared, name.replace("-", "_"), _normalised(name).replace("-", "_")])
    usable = [one for one in names if one.isidentifier() and one not in _ASIDE and not one.startswith("__")]
    return tuple(one for one in usable if _spec(one) is not None)


def _spec(module: str) -> Any:
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None


def _may_define_executors(path: Path) -> bool:
    if path.suffix in (".so", ".pyd"):
        return "executor" in path.name.lower()  # compiled: its name is all there is to read
    if path.suffix != ".py":
        return False
    try:
        return _MAY_DEFINE.search(path.read_bytes()) is not None
    except OSError:
        return False
