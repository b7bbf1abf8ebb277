"""A worker with another Python than this one's: loky starts its workers with this one's alone.

The other Python is that of an environment which was made for a package (:mod:`dissmodel_lab.environments`). Its side
is the same as any worker's, :mod:`dissmodel_lab.engines.worker_side`; only how it is started and spoken to differs.
"""

from __future__ import annotations

import os
import subprocess
import threading
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from dissmodel_lab.engines.slot import _Worker
from dissmodel_lab.errors import EngineError
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dissmodel_lab.engines.worker_side import Errand, Returned

#: Variables that would lead the other Python to this one's packages.
_LEADS_ASTRAY = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


class _Process:
    """A started program, as :class:`multiprocessing.Process` would tell of it."""

    def __init__(self, program: subprocess.Popen[bytes]) -> None:
        self._program = program
        self.pid = program.pid

    @property
    def exitcode(self) -> int | None:
        return self._program.poll()


class ForeignWorker(_Worker):
    """
    A worker process with a Python of its own.

    Parameters
    ----------
    python : str
        The interpreter.
    own : mapping
        Variables of the environment that stay, whatever this process's are.

    Raises
    ------
    EngineError
        When it cannot be started.
    """

    def __init__(self, python: str, own: Mapping[str, str]) -> None:
        self._python = python
        self._lock = threading.Lock()
        self._waiting: list[Future[Any]] = []
        self._path: list[str] = []
        super().__init__(own)

    def send(self, errand: Errand) -> Future[Returned | None]:
        """Send a job; it finds the import path of the worker's own Python, not of this one."""
        future: Future[Returned | None] = Future()
        environ = {name: value for name, value in errand.environ.items() if name not in _LEADS_ASTRAY}
        self._ask(future, errand._replace(sys_path=self._path, environ=environ))
        return future

    def close(self) -> None:
        """End the process and what it has started."""
        super().close()
        with suppress(OSError):
            self._to_worker.close()

    def let_go(self) -> None:
        """Forget the process; it ends after its job."""

    def _start(self, problems: list[BaseException]) -> None:
        try:
            self._start_program()
        except BaseException as error:  # noqa: BLE001 -- raised by who asked for the worker
            problems.append(error)

    def _start_program(self) -> None:
        if os.name != "posix":
            raise EngineError(message("A worker with another Python than this one's needs Linux or macOS."))
        from_us, to_worker = os.pipe()
        from_worker, to_us = os.pipe()
        environ = {name: value for name, value in os.environ.items() if name not in _LEADS_ASTRAY}
        said = os.open(self.printed, os.O_WRONLY | os.O_APPEND)
        try:
            program = subprocess.Popen(  # noqa: S603 -- the interpreter of an environment that was made here
                [self._python, "-P", "-m", "dissmodel_lab.engines.foreign_side", str(from_us), str(to_us)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                env={**environ, **self._own},
                pass_fds=(from_us, to_us),
                start_new_session=True,
            )
        except BaseException:
            for number in (to_worker, from_worker):
                os.close(number)
            raise
        finally:
            for number in (said, from_us, to_us):
                os.close(number)
        self._process = _Process(program)
        self.pid = program.pid
        self._to_worker = Connection(to_worker, readable=False)
        self._hello: Future[bool] = Future()
        greeting: Future[Any] = Future()
        greeting.add_done_callback(self._greeted)
        threading.Thread(target=self._listen, args=(Connection(from_worker, writable=False),), daemon=True).start()
        self._ask(greeting, (os.getpid(), str(self.printed), self._own))

    def _greeted(self, greeting: Future[Any]) -> None:
        error = greeting.exception()
        if error is not None:
            self._hello.set_exception(error)
        else:
            self._path = [path for path in greeting.result() if path]
            self._hello.set_result(True)

    def _ask(self, future: Future[Any], message: Any) -> None:
        with self._lock:
            self._waiting.append(future)
            try:
                self._to_worker.send(message)
            except OSError as error:  # it has ended
                self._waiting.remove(future)
                future.set_exception(error)

    def _listen(self, from_worker: Connection) -> None:
        with from_worker:
            while True:
                try:
                    answer = from_worker.recv()
                except Exception as error:  # noqa: BLE001 -- it has ended, or what it sent is no answer
                    with self._lock:
                        waiting, self._waiting = self._waiting, []
                    for future in waiting:
                        future.set_exception(error)
                    return
                with self._lock:
                    future = self._waiting.pop(0)
                future.set_result(answer)
