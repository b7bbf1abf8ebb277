"""Every executor that can be found: at hand, and in installed packages."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import metadata
from typing import TYPE_CHECKING, Any

from dissmodel_lab.discovery.at_hand import FoundExecutor, executors_at_hand, executors_called
from dissmodel_lab.discovery.search import SEARCH
from dissmodel_lab.executor.base import ModelExecutor
from dissmodel_lab.language import joined, message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dissmodel_lab.discovery.search import Outcome

_OURS = ModelExecutor.__module__.partition(".")[0]


def list_executors(namespace: Mapping[str, Any] | None = None, *, search: bool = True) -> list[FoundExecutor]:
    """
    Return every executor that can be found, with its package and what is the matter with it.

    Installed packages that may hold executors are imported, each once in a process.

    Parameters
    ----------
    namespace : mapping, optional
        The notebook's variables.
    search : bool, optional
        Whether packages are imported; without it, only what is at hand is described.

    Examples
    --------
    >>> all(found.path for found in list_executors())
    True
    """
    outcomes = SEARCH() if search else SEARCH.outcomes()
    at_hand = executors_at_hand(namespace)
    listed = [_described(one, at_hand, outcomes) for one in at_hand]
    for outcome in outcomes:
        listed += _unusable(outcome)
    return sorted(listed, key=lambda one: (not one.name, one.name, one.path))


def _described(one: FoundExecutor, at_hand: Sequence[FoundExecutor], outcomes: Sequence[Outcome]) -> FoundExecutor:
    outcome = _outcome_of(one, outcomes)
    if outcome is None:
        package, version, remark = *_distribution_of(one), ""
    else:
        package, version, remark = outcome.package.name, outcome.package.version, outcome.remark
    problem = joined(filter(None, [_ambiguity(one, at_hand), remark]))
    return one._replace(package=package, version=version, problem=problem)


def _unusable(outcome: Outcome) -> list[FoundExecutor]:
    broken = [(entry.name, entry.value, entry.problem) for entry in outcome.entries if entry.executor_class is None]
    broken += [("", module, problem) for module, problem in outcome.problems]
    package = outcome.package
    return [
        FoundExecutor(name, path, package=package.name, version=package.version, problem=problem)
        for name, path, problem in broken
    ]


def _ambiguity(one: FoundExecutor, at_hand: Sequence[FoundExecutor]) -> str:
    called = executors_called(one.name, at_hand)
    if one not in called:
        return message(
            "The name alone means {way}; write {one_way} for this one.", way=called[0].way, one_way=one.way
        )
    if len(called) > 1:
        return message(
            "{n_called} models are called so; write {way} for this one.", n_called=len(called), way=one.way
        )
    return ""


def _outcome_of(one: FoundExecutor, outcomes: Sequence[Outcome]) -> Outcome | None:
    top = _top_of(one)
    for outcome in outcomes:
        if top in outcome.package.modules or any(
            entry.executor_class is one.executor_class for entry in outcome.entries
        ):
            return outcome
    return None


def _distribution_of(one: FoundExecutor) -> tuple[str, str]:
    top = _top_of(one)
    if top == _OURS:
        return top, sys.modules[top].__version__
    if top == "__main__":
        return "this notebook" if one.variable else "", ""
    with suppress(metadata.PackageNotFoundError, ValueError):
        return top, metadata.version(top)
    return top, ""


def _top_of(one: FoundExecutor) -> str:
    assert one.executor_class is not None  # for the type checker: only those that were imported are asked about
    return one.executor_class.__module__.partition(".")[0]
