"""The program that finds a model in an environment, run by that environment's own Python; one JSON line answers."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from contextlib import suppress
from importlib import metadata
from typing import TYPE_CHECKING

from dissmodel_lab.discovery import import_path, is_executor, own_name
from dissmodel_lab.discovery.distributions import modules_with_executors
from dissmodel_lab.errors import ExecutorNotFoundError, InstallError, LabError
from dissmodel_lab.executor.lifecycle import error_text
from dissmodel_lab.language import message
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.resolve import resolve_class

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dissmodel_lab.environments.places import Environment

_ANSWERS = "models.json"
_ASKING = 300.0
"""How long the models of an environment may take to import [s]."""


def model_in(environment: Environment, model: str) -> str:
    """
    Return the import path of a model, as an environment's own Python finds it.

    Parameters
    ----------
    environment : Environment
        Where to look; it is not looked for in this process.
    model : str
        Its name, its class's name, or its import path.

    Raises
    ------
    ExecutorNotFoundError
        When there is none; the message says what there is.
    InstallError
        When the environment does not answer.
    """
    known = _answers(environment)
    if model in known:
        return known[model]
    command = [environment.python, "-I", "-m", __name__, model, *environment.installed]
    try:
        done = subprocess.run(  # noqa: S603 -- the environment's interpreter; the names are arguments, no commands
            command, capture_output=True, text=True, timeout=_ASKING, check=False, stdin=subprocess.DEVNULL
        )
        answer = json.loads(done.stdout.strip().splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        raise InstallError(
            message(
                "The environment of {package!r} does not answer: {error}. Remove it, and submit again: "
                "remove_environment({key!r}).",
                package=environment.package,
                error=redact_text(error_text(error)),
                key=environment.key[:12],
            )
        ) from error
    if "problem" in answer:
        raise ExecutorNotFoundError(
            message(
                "In the environment of {package!r}: {answer}", package=environment.package, answer=answer["problem"]
            )
        )
    found = str(answer["found"])
    with suppress(OSError):  # only an answer that is kept: the next request asks again
        unfinished = environment.folder / f".{_ANSWERS}-{os.getpid()}"
        unfinished.write_text(json.dumps({**known, model: found}), encoding="utf-8")
        unfinished.replace(environment.folder / _ANSWERS)
    return found


def _answers(environment: Environment) -> dict[str, str]:
    """Return what the environment has said before; what is in it never changes."""
    try:
        said = json.loads((environment.folder / _ANSWERS).read_text(encoding="utf-8"))
        return {str(name): str(path) for name, path in said.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def find(model: str, distributions: Sequence[str]) -> type[object]:
    """
    Return the executor of a name, also when only importing its package tells of it.

    Parameters
    ----------
    model : str
        Its name, its class's name, or its import path.
    distributions : sequence of str
        Installed packages to look into.

    Raises
    ------
    ExecutorNotFoundError
        When there is none.

    Examples
    --------
    >>> find("coastal_flood", []).__name__
    'CoastalFlood'
    """
    try:
        return resolve_class(model)
    except ExecutorNotFoundError:
        classes = list(dict.fromkeys(_classes_in(distributions)))
        found = [one for one in classes if model in (own_name(one), one.__name__)]
        if len(found) != 1:
            names = ", ".join(sorted(own_name(one) or import_path(one) for one in found or classes)) or "none"
            if not found and not classes:
                raise
            raise ExecutorNotFoundError(
                message(
                    "{n_found} models of {distributions} are called {model!r:.100}. There are: {names}.",
                    n_found=len(found),
                    distributions=", ".join(distributions),
                    model=model,
                    names=names,
                )
            ) from None
        return found[0]


def _classes_in(distributions: Sequence[str]) -> Iterator[type[object]]:
    for name in distributions:
        files = metadata.distribution(name).files or ()
        tops = {file.parts[0].removesuffix(".py") for file in files if file.suffix == ".py"}
        for top in sorted(top for top in tops if top.isidentifier()):
            for module in modules_with_executors(top):
                try:
                    values = list(vars(importlib.import_module(module)).values())
                except Exception:  # noqa: BLE001, S112 -- a part of a package that needs something else
                    continue
                yield from (one for one in values if isinstance(one, type) and is_executor(one) and own_name(one))


def main(arguments: Sequence[str]) -> None:
    """
    Print the import path of a model, or why there is none.

    Parameters
    ----------
    arguments : sequence of str
        The model's name, then the distributions to look into.

    Examples
    --------
    >>> main(["game_of_life"])
    <BLANKLINE>
    {"found": "dissmodel_lab.models.game_of_life:GameOfLife"}
    """
    model, *distributions = arguments
    try:
        answer = {"found": import_path(find(model, distributions))}
    except LabError as error:
        answer = {"problem": str(error)}
    except Exception as error:  # noqa: BLE001 -- whatever importing somebody's package raises
        answer = {"problem": error_text(error)}
    print("\n" + json.dumps(answer))  # noqa: T201 -- the answer


if __name__ == "__main__":
    main(sys.argv[1:])
