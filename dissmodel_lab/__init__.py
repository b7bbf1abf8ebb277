"""
Run, see, trust and share spatial simulations from a notebook cell.

The flow: parameters -> record -> phases (validate, load, run, save) -> artifacts -> store -> views.

=====================  ==========================================================================
``lazily``             names of a package that are loaded when they are first used
``language``           what a person reads, in English or Portuguese
``errors``             what can go wrong before a model's own code is to blame
``redaction``          keeps secrets out of everything that is written or shown
``quantities``         durations and numbers of bytes, written for people
``quiet``              silences a library's warning, in any number of threads
``processes``          tells a process from a later one that got its number
``executor``           the contract: record, executor, phases, events
``inference``          an executor's source -> the parameters it reads, where none are declared
``parameters``         declared, inferred, typed or read from TOML -> a checked dict
``upstream``           the only package that knows PyPI ``dissmodel``: its registry, its clock, its rasters
``discovery``          which executors there are: imported, in the notebook, in installed packages
``resolve``            a model's name -> an executor
``sources``            the input, from a disk, a bucket, a web server or a STAC catalogue; and its SHA-256
``rasters``            rasters in memory and their way from and to a file
``artifacts``          where an output goes, how it gets there whole, the hash of its content
``class_tables``       an executor's own constants -> labels and colours of classes
``provenance``         cell, notebook, git, versions, host
``contents``           what a file means, as a hash, whatever its container and compression
``titles``             the parameters that make a run what it is
``annotations``        tags and notes, added to a run afterwards
``conditions``         ``sea_level_rise > 0.4 and status == 'completed'`` as a tree
``index``, ``store``   a folder a run, and a cache over the folders that answers questions
``journal``            what a run told, as lines in its folder -> the events again, for whoever follows it
``cancelling``         the request to end a run, from any process; and the closing of a run whose process died
``preflight``          a look at the files before the run: what would go wrong, in words
``load_cache``         what ``load`` returned, kept in a worker for the next run with the same input
``runner``             the one runner: executor and record -> phases, here in this process
``models``             the built-in models: the examples to copy
``cells``              a notebook cell as a model
``progress``           events -> what can be said of a run right now
``maps``               data -> pixels, bounds, legend
``frames``             steps -> a few pictures and numbers that tell how the run went
``jobs``               a run in words that can travel to another process
``platform_client``    the REST API of a DisSModel Platform server
``engines``            where a job runs: here, in a worker process, on a Dask cluster, on the platform
``launch``             THE FRONT DOOR: :func:`run`, in any engine, waited for or in the background
``environments``       a package that a request names -> an environment of its own, after consent
``submission``         a :class:`JobRequest` -> a queued run
``sweeps``             ranges of parameters -> many runs, a table of them, what their metrics depend on
``differences``        two outputs -> which cells or values differ, how much, where
``changes``            two maps or two runs -> what changed, in classes, areas and values
``verification``       a record -> is it as recorded, and does running it again give the same
``history``            runs -> rows of a table, with the parameters that differ
``plain``              a record's values as other programs know them: numbers, texts, flat names, Markdown
``settings``           who runs this: author, licence, from a small file
``citation``           a record -> the methods text for a paper
``exports``            records -> RO-Crate, PROV, MLflow, tables, upstream's profile; and back
``texts``, ``views``   what a person sees, in a terminal and in a notebook
``records``            THE SECOND FRONT DOOR: what is done with runs afterwards, by their ids
``doctor``             what this machine is like: versions, folders, engines, known problems
``commands``           one command grammar for both
``magics``, ``cli``    its two doors
=====================  ==========================================================================

Importing this package loads none of them: each name is loaded when it is first used.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from dissmodel_lab.lazily import loaded_when_used

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from dissmodel_lab.cli import run_cli
    from dissmodel_lab.errors import LabError
    from dissmodel_lab.executor import (
        DataSource,
        ExecutorRegistry,
        ExperimentRecord,
        JobRequest,
        ModelExecutor,
        Parameters,
        execute_lifecycle,
        report_step,
        steps,
    )
    from dissmodel_lab.launch import run
    from dissmodel_lab.maps import preview
    from dissmodel_lab.rasters import Raster, read_raster, write_raster
    from dissmodel_lab.records import annotate, cancel, cite, compare, export, import_crate, rerun, verify
    from dissmodel_lab.runner import validate
    from dissmodel_lab.sources import fetch
    from dissmodel_lab.store import RunStore, read_record
    from dissmodel_lab.submission import submit
    from dissmodel_lab.sweeps import Sweep, open_sweep, sweep
    from dissmodel_lab.views.explore import explore
    from dissmodel_lab.views.history import runs

__version__ = "0.1.0"

__all__ = [
    "DataSource",
    "ExecutorRegistry",
    "ExperimentRecord",
    "JobRequest",
    "LabError",
    "ModelExecutor",
    "Parameters",
    "Raster",
    "RunStore",
    "Sweep",
    "annotate",
    "cancel",
    "cite",
    "compare",
    "execute_lifecycle",
    "explore",
    "export",
    "fetch",
    "import_crate",
    "open_sweep",
    "preview",
    "read_raster",
    "read_record",
    "report_step",
    "rerun",
    "run",
    "run_cli",
    "runs",
    "steps",
    "submit",
    "sweep",
    "validate",
    "verify",
    "write_raster",
]

_HOMES = {
    "LabError": "errors",
    "DataSource": "executor",
    "ExecutorRegistry": "executor",
    "ExperimentRecord": "executor",
    "JobRequest": "executor",
    "ModelExecutor": "executor",
    "Parameters": "executor",
    "execute_lifecycle": "executor",
    "report_step": "executor",
    "steps": "executor",
    "Raster": "rasters",
    "read_raster": "rasters",
    "write_raster": "rasters",
    "RunStore": "store",
    "read_record": "store",
    **dict.fromkeys(("Sweep", "open_sweep", "sweep"), "sweeps"),
    "submit": "submission",
    "fetch": "sources",
    "explore": "views.explore",
    **dict.fromkeys(
        ("annotate", "cancel", "cite", "compare", "export", "import_crate", "rerun", "verify"), "records"
    ),
    "run": "launch",
    "runs": "views.history",
    "validate": "runner",
    "preview": "maps",
    "run_cli": "cli",
}

__getattr__ = loaded_when_used(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: InteractiveShell) -> None:
    """
    Add ``%dissmodel`` to a notebook: ``%load_ext dissmodel_lab``.

    Parameters
    ----------
    shell : InteractiveShell
        The running IPython.
    """
    from dissmodel_lab.magics import load  # noqa: PLC0415

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """
    Take ``%dissmodel`` away: ``%unload_ext dissmodel_lab``.

    Parameters
    ----------
    shell : InteractiveShell
        The running IPython.
    """
    from dissmodel_lab.magics import unload  # noqa: PLC0415

    unload(shell)


def _record_bundle(record: Any, **_: Any) -> dict[str, str]:
    from dissmodel_lab.views.record import record_bundle  # noqa: PLC0415

    return record_bundle(record)


def _sweep_bundle(sweep: Any, **_: Any) -> dict[str, str]:
    from dissmodel_lab.views.sweep import sweep_bundle  # noqa: PLC0415

    return sweep_bundle(sweep)


def _teach_ipython() -> None:
    # Records and sweeps show themselves in a notebook; they are data and must not know of their pictures.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None:
        bundles = shell.display_formatter.mimebundle_formatter
        bundles.for_type_by_name("dissmodel_lab.executor.schemas", "ExperimentRecord", _record_bundle)
        bundles.for_type_by_name("dissmodel_lab.sweeps.one", "Sweep", _sweep_bundle)


_teach_ipython()
