"""What can go wrong before a model's own code is to blame.

::

    LabError
    ├── ParameterError         a parameter is unknown, missing, of a wrong type or out of bounds (ValueError)
    ├── ExecutorNotFoundError  no executor has that name, class or import path (LookupError)
    ├── ExecutorError          an executor broke its contract: sys.exit(), no result, ...
    ├── PreflightError         a look before the run found what would make it fail (ValueError)
    ├── SourceError            an input cannot be read, is empty, or is not what its name says (ValueError)
    ├── OutputError            an output would destroy something, or cannot be written (OSError)
    ├── RunNotFoundError       no run in the store has that id (LookupError)
    ├── QueryError             a condition on runs cannot be understood (ValueError)
    ├── ComparisonError        two maps or runs cannot be compared (ValueError)
    ├── ExportError            a run cannot be exported, or a crate not be imported (ValueError)
    ├── EngineError            an engine cannot carry out a job: a model that cannot travel, ... (RuntimeError)
    │   ├── CrashError         a worker process ended in the middle of a run
    │   └── RunTakenError      another process has that run already
    ├── SweepError             a sweep's design cannot be used (ValueError)
    ├── InstallError           a package cannot be installed, or nobody agreed to it
    ├── PlatformError          a platform's server refused, failed, or cannot be reached (RuntimeError)
    └── CommandError           a command line that cannot be understood (ValueError)

Every message follows one recipe: what was wrong, the value, what is allowed, what to do.
A modeller's own exception is never wrapped in one of these: it keeps its traceback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dissmodel_lab.language import in_language, message

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST_NAME = 100
"""Longer names are cut in a sentence [characters]."""


class LabError(Exception):
    """A user's mistake or an unusable input; its message is all a person needs to read."""

    @property
    def said(self) -> str:
        """
        The message in the language of the person who looks at it; ``str(error)`` stays English.

        Examples
        --------
        >>> LabError("The disk is full.").said
        'The disk is full.'
        """
        return in_language(self.args[0]) if len(self.args) == 1 and isinstance(self.args[0], str) else str(self)


class ParameterError(LabError, ValueError):
    """A parameter is unknown, missing, of a wrong type or out of bounds."""


class ExecutorNotFoundError(LabError, LookupError):
    """No executor has that name, class or import path."""


class ExecutorError(LabError):
    """An executor broke its contract."""


class PreflightError(LabError, ValueError):
    """A look before the run found what would make it fail."""


class SourceError(LabError, ValueError):
    """An input cannot be read, is empty, or is not what its name says."""


class OutputError(LabError, OSError):
    """An output would destroy something that exists, or cannot be written."""


class RunNotFoundError(LabError, LookupError):
    """No run in the store has that id."""


class QueryError(LabError, ValueError):
    """A condition on runs cannot be understood."""


class ComparisonError(LabError, ValueError):
    """Two maps or runs cannot be compared."""


class ExportError(LabError, ValueError):
    """A run cannot be exported, or a crate cannot be imported."""


class EngineError(LabError, RuntimeError):
    """An engine cannot be used, or cannot carry out this job: a model that cannot travel, versions that differ."""


class RunTakenError(EngineError):
    """A run's folder belongs to another process already, or its run is over: nobody runs it a second time."""


class CrashError(EngineError):
    """A worker process ended in the middle of a run: killed, out of memory, beyond a limit."""


class SweepError(LabError, ValueError):
    """A sweep's design cannot be used: a range, a parameter, a number of runs."""


class PlatformError(LabError, RuntimeError):
    """A DisSModel Platform server refused, failed, or cannot be reached."""


class InstallError(LabError, RuntimeError):
    """A package that a request names was not installed: without consent, no package at all, or pip failed."""


class CommandError(LabError, ValueError):
    """A command line, in a cell or a terminal, that cannot be understood."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """
    Suggest the nearest known word, or list all of them.

    Parameters
    ----------
    word : str
        What was typed.
    known : iterable of str
        What would have been right.

    Returns
    -------
    str
        One sentence, without a leading or trailing space.

    Examples
    --------
    >>> did_you_mean("growht", ["growth", "steps"])
    "Did you mean 'growth'? Known: growth, steps."
    >>> did_you_mean("x", [])
    'Known: none.'
    """
    names = list(known)
    import difflib  # noqa: PLC0415 -- only for those who mistype

    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    listing = message("Known: {names}.", names=", ".join(names)) if names else message("Known: none.")
    return message("Did you mean {name!r}? {listing}", name=near[0], listing=listing) if near else listing


def shown(name: Any) -> str:
    r"""
    Return a name from a file or a parameter as it may stand in a sentence.

    Examples
    --------
    >>> shown("uso"), shown("u\x1b[31mso")
    ('uso', "'u\\x1b[31mso'")
    """
    text = str(name)
    text = text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"
    return text if text.isprintable() and text else repr(text)
