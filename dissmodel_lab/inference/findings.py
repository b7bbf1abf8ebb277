"""All that an executor's source says about its parameters, name by name."""

from __future__ import annotations

import ast
import copy
import functools
import inspect
import sys
import types
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from dissmodel_lab.errors import did_you_mean, shown
from dissmodel_lab.inference.constants import is_hashable, is_plain, kind_of
from dissmodel_lab.inference.files import Files, Unreadable, function_of, label_of
from dissmodel_lab.inference.parameter import NO_DEFAULT, InferredParameter
from dissmodel_lab.inference.statements import Reader
from dissmodel_lab.inference.symbols import Use
from dissmodel_lab.language import message


@dataclass(frozen=True)
class _Findings:
    parameters: dict[str, InferredParameter]
    reads_anything: bool
    problem: str


def inferred_parameters(executor_class: type[Any]) -> dict[str, InferredParameter]:
    """
    Find the parameters that an executor reads, in the order in which its phases read them.

    Parameters
    ----------
    executor_class : type
        Its source is read, and never run. The result is kept for as long as the class is in use.

    Returns
    -------
    dict
        Name -> what is known of it; what cannot be read is told by :func:`inference_problem`.

    Examples
    --------
    >>> from dissmodel_lab.executor.testing import SteppingExecutor
    >>> inferred_parameters(SteppingExecutor)["n_steps"].found_in
    'dissmodel_lab/executor/testing.py:...'
    """
    return dict(_findings(executor_class).parameters)


def reads_anything(executor_class: type[Any]) -> bool:
    """
    Tell whether an executor may read names that its source does not spell out.

    True for ``record.parameters[name]`` with a variable, ``**record.parameters``, ``.items()``, a helper
    outside of its package that gets them all, and a source that cannot be read. Then no given name may
    be called unknown.

    Examples
    --------
    >>> from dissmodel_lab.executor.testing import SteppingExecutor
    >>> reads_anything(SteppingExecutor), reads_anything(dict)
    (False, True)
    """
    return _findings(executor_class).reads_anything


def inference_problem(executor_class: type[Any]) -> str:
    """
    Say in a sentence why an executor's source cannot be read, or not all of it.

    Returns
    -------
    str
        Empty when all four phases can be read.

    Examples
    --------
    >>> inference_problem(dict)
    'dict has no phases to read parameters from: validate, load, run and save are missing.'
    """
    return _findings(executor_class).problem


def unknown_parameters(executor_class: type[Any], given: Iterable[str]) -> dict[str, str]:
    """
    Find given names that an executor never reads.

    Parameters
    ----------
    executor_class : type
        One that declares its parameters is left to them.
    given : iterable of str
        Names, or a mapping by names.

    Returns
    -------
    dict
        Name -> what may have been meant; empty where the executor may read any name (:func:`reads_anything`).

    Examples
    --------
    >>> from dissmodel_lab.executor.testing import SteppingExecutor
    >>> unknown_parameters(SteppingExecutor, {"n_step": 3})
    {'n_step': "Did you mean 'n_steps'? Known: ..."}
    """
    is_declared = hasattr(getattr(executor_class, "Parameters", None), "model_fields")
    findings = _findings(executor_class)
    if is_declared or findings.reads_anything:
        return {}
    known = findings.parameters
    return {name: did_you_mean(str(name), known) for name in given if name not in known}


def misplaced_parameters(executor_class: type[Any], given: Mapping[str, Any]) -> dict[str, str]:
    """
    Find given values of another make than what an executor takes: a table for a list, a list for a number.

    Parameters
    ----------
    executor_class : type
        One that declares its parameters is left to them.
    given : mapping
        Name -> value.

    Returns
    -------
    dict
        Name -> what it is and what the executor takes, as its casts and defaults tell.

    Examples
    --------
    >>> from dissmodel_lab.executor.testing import SteppingExecutor
    >>> misplaced_parameters(SteppingExecutor, {"n_steps": {"a": 3}})
    {'n_steps': 'is a table, where SteppingExecutor takes a number.'}
    """
    if hasattr(getattr(executor_class, "Parameters", None), "model_fields"):
        return {}
    known = _findings(executor_class).parameters
    found = {}
    for name in known.keys() & given.keys():
        is_made, taken = _make_of(type(given[name])), _make_of(known[name].kind)
        if (is_made, taken) in _MISPLACED or (known[name].is_cast and (is_made, taken) == (_LIST, _NUMBER)):
            found[name] = message(
                "is {is_made}, where {executor_class} takes {taken}.",
                is_made=is_made,
                executor_class=executor_class.__name__,
                taken=taken,
            )
    return {name: found[name] for name in given if name in found}


def doubtful_parameters(executor_class: type[Any], given: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """
    Say of given values which are never read, and which are of another make than the executor takes.

    Parameters
    ----------
    executor_class : type
        One that declares its parameters is left to them.
    given : mapping
        Name -> value.

    Returns
    -------
    list of tuple of str
        The rule, one sentence what, one sentence what to do. Of many names that are never read the first are named.

    Examples
    --------
    >>> from dissmodel_lab.executor.testing import SteppingExecutor
    >>> for _, what, do in doubtful_parameters(SteppingExecutor, {"n_steps": [3]}):
    ...     print(what, do)
    The parameter n_steps is a list, where SteppingExecutor takes a number. Write it so, unless the model takes both.
    """
    unknown = unknown_parameters(executor_class, given)
    rule, name_of = "unknown-parameter", executor_class.__name__
    said = [(rule, unread_text(executor_class, shown(name)), do) for name, do in list(unknown.items())[:_MOST]]
    if len(unknown) > _MOST:
        more = message(
            "{n_unknown:,} more parameters are never read by {name_of}.",
            n_unknown=len(unknown) - _MOST,
            name_of=name_of,
        )
        said.append((rule, more, message("Leave them out.")))
    do = message("Write it so, unless the model takes both.")
    for name, what in misplaced_parameters(executor_class, given).items():
        said.append(("wrong-kind", f"The parameter {shown(name)} {what}", do))
    return said


_MOST = 20
"""How many unknown parameters are named one by one."""
_TABLE, _LIST, _NUMBER, _TEXT = "a table", "a list", "a number", "a text"
#: (what was given, what is taken); a list of numbers for a number, or of texts for a text, may be meant.
_MISPLACED = frozenset(
    {
        *((_TABLE, taken) for taken in (_LIST, _NUMBER, _TEXT)),
        *((given, _TABLE) for given in (_LIST, _NUMBER, _TEXT)),
        *((given, _LIST) for given in (_NUMBER, _TEXT)),
    }
)


def _make_of(kind: type[Any] | None) -> str:
    if kind is None:
        return ""
    if kind is float or kind is int:  # most are, and Mapping is slow to ask
        return _NUMBER
    if kind is str:
        return _TEXT
    makes = ((Mapping, _TABLE), (list | tuple | set | frozenset, _LIST), (str, _TEXT), (int | float, _NUMBER))
    return next((make for kinds, make in makes if issubclass(kind, kinds)), "")


def unread_text(executor_class: type[Any], name: str) -> str:
    """
    Say of a name that an executor never reads it.

    Examples
    --------
    >>> unread_text(dict, "yeers")
    'The parameter yeers is never read by dict.'
    """
    return message(
        "The parameter {name} is never read by {executor_class}.", name=name, executor_class=executor_class.__name__
    )


def required_names(executor_class: type[Any]) -> list[str]:
    """
    Return what an executor's ``required_parameters`` names, however oddly it is written.

    Examples
    --------
    >>> required_names(type("Odd", (), {"required_parameters": ("years", 5)}))
    ['years']
    """
    said = inspect.getattr_static(executor_class, "required_parameters", None)
    if isinstance(said, str):
        return [said]
    is_listing = isinstance(said, list | tuple | set | frozenset | Mapping)
    return [name for name in said if isinstance(name, str)] if is_listing and said is not None else []


def setup_parameters(model_class: type[Any]) -> dict[str, InferredParameter]:
    """
    Read the parameters of a plain model, one without an executor, from the signature of its ``setup``.

    Parameters
    ----------
    model_class : type
        Where its ``setup`` passes ``**kwargs`` on, its parents' signatures count too.

    Examples
    --------
    >>> class Fire:
    ...     def setup(self, density: float = 0.6, *, seed: int): ...
    >>> [(p.name, p.default, p.required, p.kind) for p in setup_parameters(Fire).values()]
    [('density', 0.6, False, <class 'float'>), ('seed', <NoDefault.NO_DEFAULT: 'no default'>, True, <class 'int'>)]
    """
    found: dict[str, InferredParameter] = {}
    for owner in model_class.__mro__:
        setup = inspect.unwrap(function_of(vars(owner).get("setup")) or (lambda: None))
        if not isinstance(setup, types.FunctionType) or setup.__name__ == "<lambda>":
            continue
        where = f"{label_of(setup.__code__.co_filename, setup.__module__)}:{setup.__code__.co_firstlineno}"
        signature = list(inspect.signature(setup).parameters.values())[1:]
        for parameter in signature:
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                found.setdefault(parameter.name, _of_signature(parameter, where))
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature):
            break
    return found


def _of_signature(parameter: inspect.Parameter, where: str) -> InferredParameter:
    has_default = parameter.default is not parameter.empty
    is_known = has_default and is_plain(parameter.default)
    default = copy.deepcopy(parameter.default) if is_known else NO_DEFAULT
    declared = parameter.annotation
    word = declared if isinstance(declared, str) else getattr(declared, "__name__", str(declared))
    kind = _KINDS_BY_NAME.get(word.split("|")[0].split("[")[0].strip())
    return InferredParameter(
        name=parameter.name,
        default=default,
        expression=f"{parameter.default!r:.80}" if has_default and not is_known else "",
        required=not has_default,
        kind=kind or kind_of(default),
        found_in=where,
        is_cast=kind is not None,
        needed_in=() if has_default else ("setup",),
    )


_KINDS_BY_NAME: Mapping[str, type[Any]] = {
    kind.__name__: kind for kind in (int, float, bool, str, list, tuple, set, dict)
}


def _findings(executor_class: type[Any]) -> _Findings:
    if not is_hashable(executor_class):  # its metaclass says so
        return _findings_of.__wrapped__(executor_class)
    return _findings_of(cast("Hashable", executor_class))


@functools.lru_cache(maxsize=128)
def _findings_of(executor_class: type[Any]) -> _Findings:
    reader = Reader(executor_class)
    try:
        reader.read_phases()
    except RecursionError:
        reader.give_up(
            message(
                "The source of {executor_class} is nested too deeply to be read.",
                executor_class=executor_class.__name__,
            )
        )
    return _Findings(_merged(executor_class, reader), reader.reads_anything, reader.problem)


def _merged(executor_class: type[Any], reader: Reader) -> dict[str, InferredParameter]:
    by_name: dict[str, list[Use]] = {}
    for use in reader.uses:
        by_name.setdefault(use.name, []).append(use)
    required = required_names(executor_class)
    place = _place_of_required(executor_class, reader.files) if required else ""
    for name in required:
        by_name.setdefault(name, []).append(Use(name, place, "", is_check=True))
    return {name: _parameter(name, uses, is_listed=name in required) for name, uses in by_name.items()}


def _parameter(name: str, uses: list[Use], *, is_listed: bool) -> InferredParameter:
    needed = dict.fromkeys(use.phase for use in uses if use.required)
    needed_in = (*(["required_parameters"] if is_listed else []), *(phase for phase in needed if phase))
    speaking = [use for use in uses if use.has_default]
    first = speaking[0] if speaking else Use(name, "", "")
    said = dict.fromkeys((_default_text(use), use.where) for use in speaking)
    others = [f"{text} at {where}" for text, where in said if text != _default_text(first)]
    cast = next((use.kind for use in uses if use.kind is not None), None)
    is_required = bool(needed_in)
    by_value = sorted(uses, key=lambda use: use.is_check)  # where its value is read says more
    return InferredParameter(
        name=name,
        default=NO_DEFAULT if is_required else first.default,
        expression="" if is_required else first.expression,
        required=is_required,
        kind=cast or next((kind for use in speaking if (kind := kind_of(use.default))), None),
        found_in=", ".join(dict.fromkeys(use.where for use in by_value if use.where)),
        is_cast=cast is not None,
        needed_in=needed_in,
        conflicts=tuple(others),
    )


def _default_text(use: Use) -> str:
    return use.expression or f"{use.default!r:.80}"


def _place_of_required(executor_class: type[Any], files: Files) -> str:
    owner = next(owner for owner in executor_class.__mro__ if "required_parameters" in vars(owner))
    filename = getattr(sys.modules.get(owner.__module__), "__file__", None) or ""
    try:
        file = files.of(filename, owner.__module__)
    except Unreadable:
        return ""
    for statement in file.classes.get(owner.__qualname__, []):
        for node in statement.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if any(isinstance(target, ast.Name) and target.id == "required_parameters" for target in targets):
                return f"{file.label}:{node.lineno}"
    return ""
