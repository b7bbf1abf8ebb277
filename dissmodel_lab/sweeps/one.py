"""One sweep: how far it is, what it gave, what that depends on; and to stop it and take it up again."""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dissmodel_lab.engines import engine_for
from dissmodel_lab.errors import SweepError, shown
from dissmodel_lab.executor.schemas import DataSource
from dissmodel_lab.jobs import Job, Limits
from dissmodel_lab.language import message
from dissmodel_lab.redaction import HIDDEN
from dissmodel_lab.sweeps.attempts import cancel_at_work
from dissmodel_lab.sweeps.design import SEED
from dissmodel_lab.sweeps.driver import Driver
from dissmodel_lab.sweeps.folder import run_id, run_name
from dissmodel_lab.sweeps.ledger import Ledger
from dissmodel_lab.sweeps.models import code_sha256, model_of
from dissmodel_lab.sweeps.report import RUNNING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pandas as pd

    from dissmodel_lab.engines import Engine
    from dissmodel_lab.sweeps.design import SweepDesign
    from dissmodel_lab.sweeps.folder import SweepFacts, SweepFolder
    from dissmodel_lab.sweeps.report import Sensitivity, SweepMap, SweepProgress, SweepRow

_LOOK = 0.2
"""How often the end of a sweep is looked for that another process drives [s]."""
_driven: weakref.WeakSet[Driver] = weakref.WeakSet()  # the background sweeps of this process, to let go at its end


class Sweep:
    """
    A sweep, running or not: :func:`dissmodel_lab.sweep` begins one, :func:`open_sweep` finds one again.

    All that it tells is on disk: another notebook that opens the same sweep sees the same.

    Parameters
    ----------
    folder : SweepFolder
        Where it lies.
    facts : SweepFacts, optional
        Its design, when it is known already; read from the folder when not given.

    Raises
    ------
    SweepError
        When the folder holds no sweep that can be read.
    """

    def __init__(self, folder: SweepFolder, facts: SweepFacts | None = None) -> None:
        self._folder = folder
        self._facts = facts if facts is not None else folder.read()
        self._ledger = Ledger(folder, self.design.n_runs)
        self._driver: Driver | None = None
        self._is_over = threading.Event()
        self._is_over.set()
        self._problem: SweepError | None = None
        self._model: Any = None
        self._given: dict[str, Any] = {}
        self._source = self._facts.source

    @property
    def id(self) -> str:
        """What tells it from all other sweeps; ``record.sweep["id"]`` of its runs."""
        return self._facts.id

    @property
    def folder(self) -> Path:
        """Where it lies: a store of its own, with a folder for each run."""
        return self._folder.path

    @property
    def design(self) -> SweepDesign:
        """Its axes, and a point for each run."""
        return self._facts.design

    @property
    def model_name(self) -> str:
        """What its model is called."""
        return self.design.model_name

    @property
    def created_at(self) -> str:
        """When it was begun, ISO 8601 in UTC."""
        return self._facts.created_at

    @property
    def engine(self) -> str:
        """Name of the engine on which it was begun."""
        return self._facts.engine

    @property
    def is_running(self) -> bool:
        """Whether somebody drives it now, here or in another process."""
        return self._driver is not None or self._folder.is_driven

    def progress(self) -> SweepProgress:
        """
        Say how far it is; cheap, whatever its size.

        Examples
        --------
        >>> import tempfile
        >>> from dissmodel_lab.sweeps import sweep
        >>> done = sweep("game_of_life", {"generations": "1,2,3"}, engine="inline", store=tempfile.mkdtemp())
        >>> done.progress().done, done.progress().state
        (3, 'finished')
        """
        is_driven = self.is_running
        self._ledger.refresh()
        return self._ledger.progress(is_driven=is_driven)

    def rows(self) -> list[SweepRow]:
        """
        Return a row for each run, in the order of the points; those that failed or wait are there too.

        Examples
        --------
        >>> import tempfile
        >>> from dissmodel_lab.sweeps import sweep
        >>> done = sweep("game_of_life", {"generations": "1,2"}, engine="inline", store=tempfile.mkdtemp())
        >>> [(row.parameters["generations"], row.status) for row in done.rows()]
        [(1, 'completed'), (2, 'completed')]
        """
        return self._ledger.rows(self.design, self.id, is_driven=self.is_running)

    def to_frame(self) -> pd.DataFrame:
        """
        Return the rows as a table: point, parameters, seed, status, error, metrics, seconds, experiment_id.

        A metric with the name of another column is called ``metric.name``.
        """
        from dissmodel_lab.sweeps.tables import frame_of  # noqa: PLC0415 -- loads pandas

        return frame_of(self.design, self.rows(), self.metric_names())

    def metric_names(self) -> list[str]:
        """Return the metrics that are numbers, those of the model first and timings last."""
        self._ledger.refresh()
        return self._ledger.metric_names()

    def sensitivity(self, metric: str) -> Sensitivity:
        """
        Say what a metric depends on, as far as the design and the runs so far allow.

        Parameters
        ----------
        metric : str
            One of :meth:`metric_names`.

        Returns
        -------
        Sensitivity
            Indices with confidence intervals, and notes on what they do not tell.

        Raises
        ------
        SweepError
            When no run told such a metric.
        """
        from dissmodel_lab.sweeps.sensitivity import sensitivity_of  # noqa: PLC0415 -- loads numpy and scipy

        return sensitivity_of(self.design, self.rows(), metric, self.metric_names())

    def maps(self, metric: str | None = None, *, most: int = 16) -> list[SweepMap]:
        """
        Choose runs whose outputs show the sweep as small multiples.

        Parameters
        ----------
        metric : str, optional
            Choose from its smallest to its largest value, in that order; evenly over the design when not given.
        most : int
            How many at most.

        Raises
        ------
        SweepError
            When no run told such a metric, or ``most`` is below 1.
        """
        from dissmodel_lab.sweeps.multiples import choose_maps  # noqa: PLC0415 -- only for who looks at maps

        return choose_maps(self.design, self.rows(), metric, most, self.metric_names())

    # ------------------------------------------------------------------------------------------------- deeds

    def cancel(self, why: str = message("The sweep was cancelled.")) -> None:
        """
        Start no more runs and cancel those at work, wherever the sweep is driven; this returns at once.

        Parameters
        ----------
        why : str
            What the records of the cancelled runs say.

        Raises
        ------
        SweepError
            When another process drives it, and its folder cannot be written.
        """
        driver = self._driver
        if driver is not None:
            driver.stop(why)
        elif self._folder.is_driven:
            self._folder.ask_stop(why)
        else:  # its driver is dead; workers of it may still be there
            self._ledger.refresh()
            for point, made in self._folder.attempts().items():
                if point <= self.design.n_runs and self._ledger.status(point) == RUNNING:
                    cancel_at_work(self._folder.run_folder(point, made[-1]), why)

    def wait(self, timeout: float | None = None) -> SweepProgress:
        """
        Wait until nobody drives it any more.

        Parameters
        ----------
        timeout : float, optional
            How long [s]; for ever when not given.

        Returns
        -------
        SweepProgress
            As it is then.

        Raises
        ------
        TimeoutError
            When it is still running by then; it goes on.
        SweepError
            When it was begun in this process and could not go on.
        KeyboardInterrupt
            When this process is interrupted meanwhile; the sweep goes on.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.is_running:
            left = _LOOK if deadline is None else min(_LOOK, deadline - time.monotonic())
            if left <= 0:
                raise TimeoutError(
                    message(
                        "Sweep {id} has not ended after {timeout:g} s. It goes on.", id=self.id[:8], timeout=timeout
                    )
                )
            if not self._is_over.is_set():  # no join(): interrupted, it leaves a thread in a state that is not true
                self._is_over.wait(left)
            else:
                time.sleep(left)
        if self._problem is not None:
            raise self._problem
        return self.progress()

    def resume(
        self,
        *,
        failed: bool = True,
        background: bool = False,
        engine: str | Engine | None = None,
        workers: int | None = None,
        address: str | None = None,
        url: str | None = None,
        model: Any = None,
        namespace: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
        source: str | Path | DataSource | None = None,
        changed_code: bool = False,
        on_progress: Callable[[SweepProgress], None] | None = None,
    ) -> Sweep:
        """
        Run what is missing: points that completed stay as they are, and a run that still works is waited for.

        Parameters
        ----------
        failed : bool
            Whether points that failed are run once more.
        background : bool
            Return at once.
        engine, workers, address, url
            Where; as the sweep was begun when not given.
        model : object, optional
            The model, when it was defined in a notebook and this process does not have it.
        namespace : mapping, optional
            The notebook's variables, in which it is looked up.
        parameters : mapping, optional
            Secrets among the fixed parameters, which are never written to disk.
        source : str, Path or DataSource, optional
            The input, when its address holds a secret.
        changed_code : bool
            Go on although the model's source has changed since the sweep began.
        on_progress : callable, optional
            Is told the progress, at most five times a second.

        Returns
        -------
        Sweep
            This one.

        Raises
        ------
        SweepError
            When somebody drives it already, its model is not at hand or has changed, or it cannot go on.
        KeyboardInterrupt
            When this process was interrupted; the runs at work were cancelled.
        """
        self._take_up(model, namespace, parameters, source, changed_code=changed_code)
        where = engine_for(
            engine if engine is not None else self._facts.engine, workers=workers, address=address, url=url
        )
        refuse_limits(where, self._facts.limits)
        self.go_on(where, failed=failed, background=background, on_progress=on_progress)
        return self

    def _take_up(
        self,
        model: Any,
        namespace: Mapping[str, Any] | None,
        parameters: Mapping[str, Any] | None,
        source: str | Path | DataSource | None,
        *,
        changed_code: bool,
    ) -> None:
        """Find again what is not on disk: the model's class, and secrets."""
        facts = self._facts
        if model is not None or self._model is None:
            self._model = model_of(facts.executor_class, self.model_name, model, namespace)
        now = code_sha256(self._model)
        if facts.code_sha256 and now and now != facts.code_sha256 and not changed_code:
            raise SweepError(
                message(
                    "The source of {model_name} has changed since this sweep began: its runs would be of two "
                    "models. Begin a new sweep, or resume it all the same: --changed-code, in Python "
                    "changed_code=True.",
                    model_name=self.model_name,
                )
            )
        self._give_again(dict(parameters or {}))
        if source is not None:
            self._source = source if isinstance(source, DataSource) else DataSource.from_uri(str(source))
        if self._source is not None and HIDDEN in self._source.uri:
            raise SweepError(
                message(
                    "The address of the input holds a secret, which is not kept. Give it again, in Python: "
                    "open_sweep(...).resume(source=...)."
                )
            )

    def _give_again(self, given: dict[str, Any]) -> None:
        """Take secrets that were not written to disk."""
        fixed = {**self._facts.spec.parameters, **self.design.parameters}
        hidden = [name for name, value in fixed.items() if HIDDEN in repr(value)]
        foreign = [name for name in given if name not in hidden]
        if foreign:
            raise SweepError(
                message(
                    "{foreign} is part of the design and cannot be changed. Begin a new sweep.",
                    foreign=shown(foreign[0]),
                )
            )
        self._given |= given
        missing = [name for name in hidden if name not in self._given]
        if missing:
            raise SweepError(
                message(
                    "Secrets are not kept on disk. Give them again, in Python: "
                    "open_sweep(...).resume(parameters={{{missing!r}: ...}}).",
                    missing=missing[0],
                )
            )

    def keep_model(self, model: Any) -> None:
        """Note the model, an executor's class or an instance: for who begins a sweep."""
        self._model = model

    def go_on(
        self,
        engine: Engine,
        *,
        failed: bool = True,
        background: bool = False,
        on_progress: Callable[[SweepProgress], None] | None = None,
    ) -> None:
        """
        Drive the sweep: what :func:`sweep` and :meth:`resume` do once all is known.

        Raises
        ------
        SweepError
            When somebody drives it already, or it cannot go on.
        """
        if self._driver is not None:
            raise SweepError(
                message("The sweep is being run already, by this process. Wait for it, or cancel it first.")
            )
        self._problem = None
        driver = Driver(
            self._folder,
            self.design,
            self._ledger,
            lambda point, attempt: self._job(engine, point, attempt),
            on_progress,
        )
        driver.take()
        self._driver = driver
        self._is_over.clear()
        if not background:
            try:
                driver.run(engine, failed=failed)
            finally:
                self._note_end()
            return
        _let_go_at_exit()
        _driven.add(driver)
        thread = threading.Thread(
            target=self._run_behind, args=(driver, engine, failed), name=f"sweep {self.id[:8]}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:
            driver.let_go()
            self._note_end()
            raise SweepError(
                message("The sweep cannot go on in the background: {error}. Make room for threads.", error=error)
            ) from error

    def _note_end(self) -> None:
        self._driver = None
        self._is_over.set()

    def _run_behind(self, driver: Driver, engine: Engine, failed: bool) -> None:  # noqa: FBT001 -- private
        try:
            driver.run(engine, failed=failed)
        except SweepError as error:
            self._problem = error
        except KeyboardInterrupt:  # of a run in this process that was interrupted
            pass
        finally:
            self._note_end()

    def _job(self, engine: Engine, number: int, attempt: int) -> Job:
        facts, point = self._facts, self.design.point(number)
        seed = {} if point.seed is None else {SEED: point.seed}
        return Job(
            model=self._model,
            store=str(self.folder),
            working_folder=facts.working_folder,
            experiment_id=run_id(self.id, number, attempt),
            folder_name=run_name(number, attempt),
            source=self._source,
            parameters={**self.design.parameters, **self._given, **point.parameters, **seed},
            toml=replace(facts.spec, model="", executor_module="", text="") if facts.spec.document else None,
            fields={"sweep": {"id": self.id, "point": number}, "engine": engine.name},
            caller=facts.caller,
            limits=facts.limits,
            keeps_frames=False,
            shares_inputs=True,
        )

    def __repr__(self) -> str:
        said = self.progress()
        parts = [f"{said.done:,} of {said.total:,} done"]
        parts += [f"{said.failed:,} failed"] if said.failed else []
        parts += [f"{said.cancelled:,} cancelled"] if said.cancelled else []
        over = ", ".join(self.design.names)
        return f"<sweep {self.id[:8]} of {self.model_name} over {over}: {', '.join(parts)}, {said.state}>"


def refuse_limits(engine: Engine, limits: Limits) -> None:
    """
    Refuse limits where nobody could end a run.

    Raises
    ------
    SweepError
        When the runs are to be in this process.

    Examples
    --------
    >>> refuse_limits(engine_for("inline"), Limits())
    """
    if engine.name == "inline" and any(limit is not None for limit in limits):
        raise SweepError(
            message(
                "A sweep in this process cannot have limits of time or memory: nobody could end its runs. Take "
                "engine='process'."
            )
        )


_at_exit_lock = threading.Lock()
_at_exit_of: list[int] = []


def _let_go_at_exit() -> None:
    """See, once a process, that its background sweeps are let go before their engines are closed."""
    with _at_exit_lock:
        if os.getpid() not in _at_exit_of:
            _at_exit_of[:] = [os.getpid()]
            atexit.register(_let_go)


def _let_go() -> None:
    for driver in list(_driven):
        driver.leave()
