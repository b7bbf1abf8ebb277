"""Importing what others wrote, without a trace in this session."""

from __future__ import annotations

import io
import os
import pickle
import sys
import threading
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Aside(io.TextIOBase):
    """Keeps what an import prints; who holds on to it afterwards, as a log handler does, writes to stderr."""

    def __init__(self) -> None:
        self._kept: list[str] | None = []

    def writable(self) -> bool:
        """Tell that it takes text."""
        return True

    def write(self, text: str) -> int:
        """
        Keep a text, or pass it on.

        Parameters
        ----------
        text : str
            What was printed.
        """
        if self._kept is not None:
            self._kept.append(text)
            return len(text)
        return sys.stderr.write(text)

    def close_and_read(self) -> str:
        """Return what was kept; from now on nothing is."""
        kept, self._kept = self._kept or [], None
        return "".join(kept)


@contextmanager
def undisturbed(aside: TextIO | Aside) -> Iterator[list[str]]:
    """
    Let others' code be imported without a trace in this session.

    Afterwards matplotlib's backend, the working folder, ``sys.argv``, the filters of warnings, the root
    logger, the state of the random numbers (Python's and NumPy's), how NumPy treats errors of arithmetic, and
    what an interrupt does, without which no run could be cancelled, are what they were. So is the limit of
    recursion, unless it was raised.

    Parameters
    ----------
    aside : TextIO
        Gets what is printed meanwhile.

    Yields
    ------
    list of str
        Filled at the end: what had to be put back.

    Examples
    --------
    >>> import os, sys
    >>> with undisturbed(sys.stderr) as changed:
    ...     os.chdir("/")
    >>> changed
    ['the working folder']
    """
    changed: list[str] = []
    with ExitStack() as stack:
        for what, keep in _KEPT.items():
            stack.callback(_put_back, keep(), what, changed)
        stack.enter_context(redirect_stdout(aside))
        stack.enter_context(redirect_stderr(aside))
        yield changed


def _put_back(restore: Callable[[], bool], what: str, changed: list[str]) -> None:
    if restore() and what:
        changed.append(what)


def _keep_folder() -> Callable[[], bool]:
    def here() -> str:
        with suppress(OSError):  # it was removed
            return os.getcwd()  # noqa: PTH109 -- compared and restored as the system has it
        return ""

    folder = here()

    def restore() -> bool:
        if not folder or here() == folder:
            return False
        os.chdir(folder)
        return True

    return restore


def _keep_arguments() -> Callable[[], bool]:
    kept = sys.argv
    words = list(kept)

    def restore() -> bool:
        changed = sys.argv != words
        sys.argv = kept
        sys.argv[:] = words
        return changed

    return restore


def _keep_warnings() -> Callable[[], bool]:
    import warnings  # noqa: PLC0415 -- kept with what it serves

    filters, show = list(warnings.filters), warnings.showwarning

    def restore() -> bool:
        warnings.showwarning = show
        if warnings.filters == filters:
            return False
        warnings.resetwarnings()  # also makes modules forget which warnings they have shown under other filters
        warnings.filters[:] = filters  # type: ignore[index]  # typeshed has a Sequence
        return True

    return restore


def _keep_root_logger() -> Callable[[], bool]:
    import logging  # noqa: PLC0415 -- as above

    root = logging.getLogger()
    level, handlers, filters, silenced = root.level, list(root.handlers), list(root.filters), root.manager.disable

    def restore() -> bool:
        now = (root.level, root.handlers, root.filters, root.manager.disable)
        if now == (level, handlers, filters, silenced):
            return False
        root.setLevel(level)
        root.handlers[:], root.filters[:] = handlers, filters
        logging.disable(silenced)
        return True

    return restore


def _keep_interrupts() -> Callable[[], bool]:
    import signal  # noqa: PLC0415 -- as above

    is_ours = threading.current_thread() is threading.main_thread()  # no other may set them
    numbers = (signal.SIGINT, signal.SIGTERM) if is_ours else ()
    kept = {number: handler for number in numbers if (handler := signal.getsignal(number)) is not None}

    def restore() -> bool:
        changed = {number: handler for number, handler in kept.items() if signal.getsignal(number) != handler}
        for number, handler in changed.items():
            signal.signal(number, handler)
        return bool(changed)

    return restore


def _keep_recursion() -> Callable[[], bool]:
    limit = sys.getrecursionlimit()

    def restore() -> bool:
        if sys.getrecursionlimit() >= limit:  # a higher one harms nobody, and a model may need it
            return False
        sys.setrecursionlimit(limit)
        return True

    return restore


def _keep_arithmetic() -> Callable[[], bool]:
    numpy = sys.modules.get("numpy")
    before = numpy.geterr() if numpy is not None else None

    def restore() -> bool:
        now = sys.modules.get("numpy")
        if now is None or not hasattr(now, "geterr"):
            return False
        usual = before or {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
        if now.geterr() == usual:
            return False
        now.seterr(**usual)
        return True

    return restore


def _keep_random() -> Callable[[], bool]:
    import random  # noqa: PLC0415 -- as above

    state = random.getstate()
    numbers = sys.modules.get("numpy.random")
    their_state = numbers.get_state() if numbers is not None else None

    def restore() -> bool:
        changed = random.getstate() != state
        random.setstate(state)
        now = sys.modules.get("numpy.random")
        if now is None or not hasattr(now, "get_state"):
            return changed
        if their_state is None:
            now.seed()  # nobody had drawn from it yet: any state is as good, but a fixed one
            return changed
        changed = changed or pickle.dumps(now.get_state()) != pickle.dumps(their_state)
        now.set_state(their_state)
        return changed

    return restore


def _keep_backend() -> Callable[[], bool]:
    variable = os.environ.get("MPLBACKEND")
    before = _backend()

    def restore() -> bool:
        if variable is None:
            os.environ.pop("MPLBACKEND", None)
        else:
            os.environ["MPLBACKEND"] = variable
        now = _backend()
        if now is None:
            return False
        matplotlib = sys.modules["matplotlib"]
        usual = before if before is not None else variable or dict.get(matplotlib.rcParamsOrig, "backend")
        if str(now).lower() == str(usual).lower():
            return False
        with suppress(ImportError):  # a window's backend, where there is no screen
            _use_backend(matplotlib, usual)
        return True

    return restore


def _backend() -> Any:
    """Return matplotlib's backend as it stands: None when it is not loaded, no text when it is undecided."""
    parameters = getattr(sys.modules.get("matplotlib"), "rcParams", None)
    return dict.get(parameters, "backend") if parameters is not None else None  # plain access would choose one


def _use_backend(matplotlib: Any, usual: Any) -> None:
    if isinstance(usual, str):
        matplotlib.use(usual)
        return
    dict.__setitem__(matplotlib.rcParams, "backend", usual)  # plain access refuses to undo a choice
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None and hasattr(pyplot, "_backend_mod"):
        pyplot._backend_mod = None  # noqa: SLF001 -- the only way back to undecided


_KEPT = {
    "the working folder": _keep_folder,
    "sys.argv": _keep_arguments,
    "": _keep_warnings,  # almost every library adds filters of its own: not worth a word
    "the root logger": _keep_root_logger,
    "the state of the random numbers": _keep_random,
    "NumPy's treatment of errors": _keep_arithmetic,
    "what an interrupt does": _keep_interrupts,
    "the limit of recursion": _keep_recursion,
    "matplotlib's backend": _keep_backend,
}
