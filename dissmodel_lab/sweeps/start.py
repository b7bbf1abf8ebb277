"""The doors to sweeps: begin one, find one again, list them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissmodel_lab.engines import engine_for
from dissmodel_lab.errors import SweepError
from dissmodel_lab.executor.schemas import DataSource, utc_now
from dissmodel_lab.language import message
from dissmodel_lab.launch import limits_of, working_folder
from dissmodel_lab.provenance import Caller
from dissmodel_lab.resolve import import_path
from dissmodel_lab.sources import check_source
from dissmodel_lab.store import RunStore
from dissmodel_lab.sweeps.folder import DESIGN_NAME, SweepFacts, SweepFolder, find_folders, new_id
from dissmodel_lab.sweeps.models import code_sha256
from dissmodel_lab.sweeps.one import Sweep, refuse_limits
from dissmodel_lab.sweeps.planning import plan_sweep, resolve_with

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from dissmodel_lab.engines import Engine
    from dissmodel_lab.parameters import ModelSpec
    from dissmodel_lab.resolve import ResolvedModel
    from dissmodel_lab.sweeps.report import SweepProgress

_NAMED = 5
"""Sweeps that a message names."""


def sweep(
    model: Any,
    axes: Mapping[str, Any],
    *,
    sample: str = "grid",
    samples: int | None = None,
    seeds: int | Iterable[int] = 1,
    parameters: Mapping[str, Any] | None = None,
    source: str | Path | DataSource | None = None,
    toml: str | Path | ModelSpec | None = None,
    engine: str | Engine = "process",
    workers: int | None = None,
    address: str | None = None,
    url: str | None = None,
    background: bool = False,
    seconds: float | None = None,
    memory: int | str | None = None,
    store: str | Path | RunStore | None = None,
    on_progress: Callable[[SweepProgress], None] | None = None,
    confirmed: bool = False,
    design_seed: int = 0,
    namespace: Mapping[str, Any] | None = None,
    caller: Caller | None = None,
) -> Sweep:
    """
    Run a model for many values of its parameters, each run with a record of its own.

    Everything is checked before the first run. A run that fails stands in the table with its reason and stops no
    other; a sweep that was stopped, or killed, goes on where it was with :meth:`Sweep.resume`.

    Parameters
    ----------
    model, source, toml, namespace, caller
        As :func:`dissmodel_lab.run` takes them.
    axes : mapping
        Parameter -> its values: ``"0.1:2.0:20"`` (20 values), ``"1e-7:1e-3:5:log"``, ``"4,5,6"``, a list or array.
    sample : str
        ``grid`` (all combinations), ``lhs``, ``sobol``, ``morris`` or ``saltelli``.
    samples : int, optional
        How many combinations a design draws, in all.
    seeds : int or iterable of int
        How often each combination is run, with another ``seed`` each time.
    parameters : mapping, optional
        Values that are the same in all runs.
    engine : str or Engine
        ``process``, ``inline``, ``dask`` or ``platform``.
    workers : int, optional
        How many runs at once, for ``process`` and a local ``dask``.
    address : str, optional
        Of a Dask scheduler.
    url : str, optional
        Of a DisSModel Platform server.
    background : bool
        Return at once; the sweep goes on in a thread of this process.
    seconds : float, optional
        Each run is ended when it takes longer [s].
    memory : int or str, optional
        Each run is ended when it takes more: bytes, or a text such as ``2 GiB``.
    store : str, Path or RunStore, optional
        Where the sweep's folder is made; ``experiments`` in the working folder when not given.
    on_progress : callable, optional
        Is told the progress, at most five times a second.
    confirmed : bool
        That more than 10,000 runs are meant.
    design_seed : int
        Of the random numbers that choose the combinations; the same seed gives the same design.

    Returns
    -------
    Sweep
        With all its runs; still running, when ``background``.

    Raises
    ------
    SweepError
        When a range, a value, a parameter or a number of runs is wrong; or when the sweep could not go on.
    LabError
        When the model, the input or the engine cannot be used.
    KeyboardInterrupt
        When this process was interrupted; the runs at work were cancelled, and :func:`open_sweep` finds the rest.

    Examples
    --------
    >>> import tempfile
    >>> done = sweep("game_of_life", {"generations": "2:8:4"}, engine="inline", store=tempfile.mkdtemp())
    >>> done
    <sweep ... of game_of_life over generations: 4 of 4 done, finished>
    """
    limits, here = limits_of(seconds, memory), working_folder()
    design = plan_sweep(
        model,
        axes,
        sample=sample,
        samples=samples,
        seeds=seeds,
        parameters=parameters,
        toml=toml,
        design_seed=design_seed,
        confirmed=confirmed,
        namespace=namespace,
    )
    resolved = resolve_with(model, toml, namespace)
    keep = store if isinstance(store, RunStore) else RunStore(store)
    where = engine_for(engine, workers=workers, address=address, url=url)
    given = _source(resolved, source, keep)
    facts = SweepFacts(
        id=new_id(),
        created_at=utc_now().isoformat(),
        design=design,
        executor_class=import_path(resolved.executor_class),
        code_sha256=code_sha256(resolved.executor_class),
        spec=resolved.spec,
        source=given,
        working_folder=here,
        engine=where.name,
        limits=limits,
        caller=caller or Caller(),
    )
    refuse_limits(where, limits)
    begun = Sweep(SweepFolder.create(keep.root.absolute(), facts), facts)
    begun.keep_model(resolved.executor_class if isinstance(model, str | type | os.PathLike) else resolved.executor)
    begun.go_on(where, background=background, on_progress=on_progress)
    return begun


def _source(resolved: ResolvedModel, source: str | Path | DataSource | None, store: RunStore) -> DataSource | None:
    """Return the input of all runs, the model's own sample included, so that each of them reads the same."""
    if isinstance(source, DataSource):
        given: DataSource | None = source.model_copy()
    elif source is not None:
        given = DataSource.from_uri(str(source))
    else:
        offered = getattr(resolved.executor_class, "default_source", None)
        given = offered(store.inputs.absolute()) if callable(offered) else None
    if given is not None:
        check_source(given)
    return given


def open_sweep(store: str | Path | RunStore | None = None, which: str | Path = "last") -> Sweep:
    """
    Find a sweep again, whoever began it.

    Parameters
    ----------
    store : str, Path or RunStore, optional
        Where to look; ``experiments`` in the working folder when not given.
    which : str or Path
        The beginning of its id, its folder or that folder's name; ``last`` is the newest.

    Returns
    -------
    Sweep
        As it is on disk; nothing is run.

    Raises
    ------
    SweepError
        When none or several fit; when it was written by another version, or changed since it began.

    Examples
    --------
    >>> import tempfile
    >>> store = tempfile.mkdtemp()
    >>> done = sweep("game_of_life", {"generations": "1,2"}, engine="inline", store=store)
    >>> open_sweep(store, "last").id == open_sweep(store, done.id[:8]).id == done.id
    True
    """
    keep = store if isinstance(store, RunStore) else RunStore(store)
    said = str(which)
    for place in (Path(said).expanduser(), keep.root / said):
        if said and said != "last" and (place / DESIGN_NAME).is_file():
            return Sweep(SweepFolder(place.absolute()))
    found = list(find_folders(keep.root.absolute()))
    if said == "last":
        fitting = found[:1]
    else:
        fitting = [folder for folder in found if said and _id_of(folder).startswith(said[:8])]
        fitting = [folder for folder in fitting if len(said) <= _SHORT or folder.read().id.startswith(said)]
    if len(fitting) == 1:
        return Sweep(fitting[0])
    named = ", ".join(_id_of(folder) for folder in (fitting or found)[:_NAMED]) or "none yet"
    if fitting:
        raise SweepError(
            message(
                "{n_fitting} sweeps begin with {said!r}: {named}. Give the name of a folder.",
                n_fitting=len(fitting),
                said=said,
                named=named,
            )
        )
    raise SweepError(
        message(
            "No sweep in {root!r} begins with {said!r:.80}. Newest: {named}.",
            root=str(keep.root),
            said=said,
            named=named,
        )
    )


_SHORT = 8
"""How much of its id the name of a sweep's folder holds [characters]."""


def _id_of(folder: SweepFolder) -> str:
    return folder.path.name.rpartition("-")[2]


@dataclass(frozen=True, kw_only=True)
class SweepEntry:
    """A sweep in a list."""

    id: str
    """The beginning of it, when the sweep cannot be read."""
    folder: Path
    model_name: str = ""
    created_at: str = ""
    """ISO 8601, in UTC."""
    sample: str = ""
    names: tuple[str, ...] = ()
    """What varies."""
    progress: SweepProgress | None = None
    """None when the sweep cannot be read."""
    problem: str = ""
    """Why it cannot be read."""


def list_sweeps(store: str | Path | RunStore | None = None) -> list[SweepEntry]:
    """
    List the sweeps in a store, newest first; one that cannot be read is listed too.

    Parameters
    ----------
    store : str, Path or RunStore, optional
        ``experiments`` in the working folder when not given.

    Examples
    --------
    >>> import tempfile
    >>> list_sweeps(tempfile.mkdtemp())
    []
    """
    keep = store if isinstance(store, RunStore) else RunStore(store)
    return [_entry(folder) for folder in find_folders(keep.root.absolute())]


def _entry(folder: SweepFolder) -> SweepEntry:
    try:
        found = Sweep(folder)
        return SweepEntry(
            id=found.id,
            folder=folder.path,
            model_name=found.model_name,
            created_at=found.created_at,
            sample=found.design.sample,
            names=found.design.names,
            progress=found.progress(),
        )
    except SweepError as error:
        return SweepEntry(id=_id_of(folder), folder=folder.path, problem=error.args[0])
