"""Looking into installed packages for executors: each is imported once in a process, when somebody asks."""

from __future__ import annotations

import importlib
import re
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dissmodel_lab.discovery.at_hand import SEARCHED, Searched
from dissmodel_lab.discovery.classes import is_executor, own_name, public_names
from dissmodel_lab.discovery.distributions import GROUP, Package, modules_with_executors, packages, said
from dissmodel_lab.discovery.undisturbed import Aside, undisturbed
from dissmodel_lab.executor.base import ModelExecutor
from dissmodel_lab.language import joined, message
from dissmodel_lab.redaction import redact_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.metadata import EntryPoint
    from types import ModuleType


@dataclass(frozen=True)
class Entry:
    """An entry point after it was loaded."""

    name: str
    value: str
    executor_class: type[Any] | None = None
    problem: str = ""


@dataclass
class Outcome:
    """What came out of looking into a package."""

    package: Package
    entries: list[Entry] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    """Modules that could not be imported, or names that could not be used, and why."""
    remark: str = ""
    """What the import printed or tried to change."""


class Search:
    """
    Looks into installed packages, each once in a process; a package that is installed later is found too.

    Parameters
    ----------
    searched : Searched
        Where it notes what it brings into the process.
    """

    def __init__(self, searched: Searched) -> None:
        self._searched = searched
        self._outcomes: dict[tuple[str, str], Outcome] = {}
        self._failed: dict[str, str] = {}
        self._lock = threading.RLock()

    def outcomes(self) -> list[Outcome]:
        """Return what was found so far; nothing is imported."""
        return list(self._outcomes.values())

    def __call__(self) -> list[Outcome]:
        """Look into the packages that were not looked into yet."""
        with self._lock:
            for package in packages():
                if (key := (package.name, package.version)) not in self._outcomes:
                    # Noted before: what it imports may ask for the models in its turn.
                    self._outcomes[key] = outcome = Outcome(package)
                    try:
                        self._look_into(package, outcome)
                    except BaseException:  # the person did not wait for the end of it
                        del self._outcomes[key]
                        raise
            return self.outcomes()

    def _look_into(self, package: Package, outcome: Outcome) -> None:
        before = set(sys.modules)
        aside = Aside()
        if package.problem:
            outcome.problems.append((GROUP, package.problem))
        with undisturbed(aside) as changed:
            for top in package.modules:
                self._import_all(top, outcome)
            outcome.entries += [self._load(entry) for entry in package.entry_points]
        self._searched.modules |= set(sys.modules) - before
        outcome.remark = _remark(aside.close_and_read(), changed)

    def _import_all(self, top: str, outcome: Outcome) -> None:
        for name in modules_with_executors(top):
            ancestors = [name.rsplit(".", count)[0] for count in range(1, name.count(".") + 1)]
            if any(ancestor in self._failed for ancestor in ancestors):
                continue  # it would be run, and fail, again
            module = self._import(name)
            if module is None:
                outcome.problems.append((name, self._failed[name]))
                continue
            for value in list(vars(module).values()):
                if isinstance(value, type) and value.__module__ == name:
                    self._note(value)
            self._touch(module, outcome)

    def _import(self, name: str) -> ModuleType | None:
        try:
            return importlib.import_module(name)
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- whatever a package does, the others are listed
            self._failed[name] = message("It cannot be imported: {said}", said=said(error))
            return None

    def _touch(self, module: ModuleType, outcome: Outcome) -> None:
        """Use every public name: some packages import an executor when its name is first used."""
        for name in public_names(module):
            try:
                value = getattr(module, name, None)
            except (Exception, SystemExit) as error:  # noqa: BLE001 -- as above
                outcome.problems.append(
                    (f"{module.__name__}:{name}", message("It cannot be imported: {said}", said=said(error)))
                )
                continue
            self._note(value)

    def _note(self, value: Any) -> None:
        # One of ours is in our registry, or was kept out of it on purpose.
        if (
            isinstance(value, type)
            and is_executor(value)
            and own_name(value)
            and not issubclass(value, ModelExecutor)
        ):
            self._searched.names[value] = own_name(value)

    def _load(self, entry: EntryPoint) -> Entry:
        module = entry.value.partition(":")[0].strip()
        ancestors = [module.rsplit(".", count)[0] for count in range(module.count(".") + 1)]
        for name in ancestors:
            if name in self._failed:
                return Entry(entry.name, entry.value, problem=self._failed[name])
        if not re.fullmatch(r"[\w.]+\s*:\s*[\w.]+\s*(\[.*\])?", entry.value):
            problem = message(
                "Its entry point {entry!r} names no class. It must be package.module:Class.", entry=entry.value
            )
            return Entry(entry.name, entry.value, problem=problem)
        try:
            value = entry.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- as above
            return Entry(entry.name, entry.value, problem=message("It cannot be imported: {said}", said=said(error)))
        if isinstance(value, type) and is_executor(value):
            name = self._searched.names[value] = own_name(value) or entry.name
            if name != entry.name:
                self._searched.aliases[value] = entry.name
            return Entry(entry.name, entry.value, value)
        problem = message("It is no executor: a class with the methods validate, load, run and save is needed.")
        return Entry(entry.name, entry.value, problem=problem)


SEARCH = Search(SEARCHED)


def _remark(printed: str, changed: Sequence[str]) -> str:
    lines = printed.strip().splitlines()
    remarks = []
    if lines:
        remarks.append(
            message(
                "Its import printed {n_lines} lines, the first: {lines!r}.",
                n_lines=len(lines),
                lines=redact_text(lines[0][:120]),
            )
        )
    if changed:
        remarks.append(
            message("Its import changed {changed}; that was put back.", changed=", ".join(sorted(changed)))
        )
    return joined(remarks)
