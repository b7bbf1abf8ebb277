"""What Tab offers for an unfinished command."""

from __future__ import annotations

import itertools
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dissmodel_lab.commands import words as w
from dissmodel_lab.index import RunQuery
from dissmodel_lab.parameters import parameter_schema
from dissmodel_lab.resolve import model_names, resolve_class

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dissmodel_lab.commands.grammar import Grammar
    from dissmodel_lab.store import RunStore

_PARAM = ("--param", "-p")
_VALUES = {
    "--format": w.FORMATS,
    "--language": w.LANGUAGES,
    "--status": w.STATUSES,
    "--engine": w.ENGINES,
    "--priority": w.PRIORITIES,
    "--sample": w.SAMPLES,
}
"""Options with a few values to choose from."""
_RUNS_TAKEN = {
    w.SHOW: 1,
    w.ANNOTATE: 1,
    w.CHANGES: 1,
    w.COMPARE: 2,
    w.VERIFY: 1,
    w.RERUN: 1,
    w.CITE: 1,
    w.EXPORT: 99,
    w.CANCEL: 1,
}
"""How many runs a command takes."""
_OFFERED_RUNS = 100


@dataclass(frozen=True)
class Completions:
    """What Tab offers."""

    fragment: str
    """The unfinished word they replace."""
    words: list[str]


def complete(
    grammar: Grammar, before: str, *, namespace: Mapping[str, Any] | None = None, store: RunStore | None = None
) -> Completions:
    """
    Complete the last word of an unfinished command.

    Parameters
    ----------
    grammar : Grammar
        The door's commands.
    before : str
        What stands between the program's name and the cursor.
    namespace : mapping, optional
        The notebook's variables.
    store : RunStore, optional
        Where run ids are looked up.

    Examples
    --------
    >>> from dissmodel_lab.commands import Grammar
    >>> complete(Grammar("%dissmodel"), "run coastal_flood --par").words
    ['--param']
    """
    typed = before.split(" ")
    fragment, done = typed[-1], [word for word in typed[:-1] if word]
    if not done:
        return _fitting(fragment, grammar.commands)
    command, last = done[0], done[-1]
    if last in _PARAM:
        return _fitting(fragment, [f"{name}=" for name in _parameter_names(grammar, done, namespace)])
    if fragment.startswith("--param="):
        return _fitting(fragment, [f"--param={name}=" for name in _parameter_names(grammar, done, namespace)])
    if last in _VALUES:
        return _fitting(fragment, _VALUES[last])
    if last in grammar.valued_options(command):
        return Completions(fragment, [])  # the front end's own completion of paths
    if fragment.startswith("-"):
        return _fitting(fragment, grammar.options(command))
    if command == w.HELP:
        return _fitting(fragment, grammar.commands)
    if len(done) == 1 and command in _FIRST_WORDS:
        return _fitting(fragment, _FIRST_WORDS[command](namespace))
    if store is not None and len(_plain_words(grammar, done)) < _RUNS_TAKEN.get(command, 0):
        entries = store.select(RunQuery(limit=_OFFERED_RUNS))
        return _fitting(fragment, ["last", *(entry.experiment_id[:8] for entry in entries)])
    return _fitting(fragment, grammar.options(command))


def _models(namespace: Mapping[str, Any] | None) -> list[str]:
    return [name for name in model_names(namespace) if shlex.quote(name) == name]


_FIRST_WORDS: dict[str, Callable[[Mapping[str, Any] | None], Sequence[str]]] = {
    **dict.fromkeys((w.RUN, w.FORM, w.VALIDATE, w.SWEEP), _models),
    w.PLATFORM: lambda _: w.PLATFORM_ACTIONS,
    w.CACHE: lambda _: w.CACHE_ACTIONS,
}
"""What a command begins with."""


def _fitting(fragment: str, words: Sequence[str]) -> Completions:
    return Completions(fragment, [word for word in words if word.startswith(fragment)])


def _plain_words(grammar: Grammar, done: Sequence[str]) -> list[str]:
    """Return what stands behind the command and is neither an option nor its value."""
    valued = grammar.valued_options(done[0])
    return [word for before, word in itertools.pairwise(done) if before not in valued and not word.startswith("-")]


def _parameter_names(grammar: Grammar, done: Sequence[str], namespace: Mapping[str, Any] | None) -> list[str]:
    model = next(iter(_plain_words(grammar, done)), "")
    try:
        schema = parameter_schema(resolve_class(model, namespace=namespace, search=False))
    except Exception:  # noqa: BLE001 -- an unfinished name has nothing to offer, nor has a module that cannot be imported
        return []
    return list(schema.model_fields)
