"""What a rerun will do, worked out from the record alone, and what makes it impossible before anything runs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissmodel_lab.errors import LabError
from dissmodel_lab.executor.schemas import ExperimentRecord, RunStatus
from dissmodel_lab.jobs import Job
from dissmodel_lab.language import message
from dissmodel_lab.parameters import ModelSpec
from dissmodel_lab.preflight.versions import preflight_of_record
from dissmodel_lab.provenance import loaded_executor
from dissmodel_lab.redaction import HIDDEN, redact_text, redact_uri
from dissmodel_lab.store.run_store import folder_name_of
from dissmodel_lab.verification.integrity import State, check_inputs
from dissmodel_lab.verification.places import (
    as_path,
    locate_artifact,
    locate_input,
    locate_named,
    named_files,
    working_folder,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dissmodel_lab.provenance import Caller
    from dissmodel_lab.store import RunStore

#: What is set while a run is repeated, so that two reruns have nothing to differ by but the model itself: the order
#: of Python's sets of texts, and the timestamp in a GeoPackage. The number of threads that libraries of linear
#: algebra use is left as it is: sums depend on it, and the first run had that of its machine.
DETERMINISM = {"PYTHONHASHSEED": "0", "OGR_CURRENT_DATE": "1970-01-01T00:00:00.000Z"}

_REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==(\S+)")
#: What is left of a secret: all of a text, a user in a URI, or what stands behind a name.
_HIDES = re.compile(r"^H$|H@|[=:]\s?H|(?i:bearer) H".replace("H", re.escape(HIDDEN)))
_IMPORT_PATH = re.compile(r"\w+(?:\.\w+)*:[\w.<>]+")
_IN_MEMORY = message("The input was given in memory")
_CELLS = "dissmodel_lab.cells:"


@dataclass
class Plan:
    """How a run is to be repeated."""

    first: ExperimentRecord
    executor: str = ""
    """A name, an import path, a ``.toml`` or a ``.py`` file; empty when nobody knows."""
    base_folder: Path | None = None
    any_version: bool = False
    folder: Path = field(default_factory=Path.cwd)
    """Where relative paths are looked up."""
    output: Path | None = None
    """Where the first output lies, or should lie; None when the record names no place on this machine."""
    obstacles: list[str] = field(default_factory=list)
    """Sentences: why nothing can be said; empty when it can be run."""
    notes: list[str] = field(default_factory=list)
    """Sentences that a reader of the verdict should know."""

    def settings(self) -> dict[str, Any]:
        """Return what the rerun's record keeps of how it was run."""
        return {"executor": self.executor, "environment": dict(DETERMINISM), "working_folder": str(self.folder)}


def plan_rerun(
    record: ExperimentRecord,
    *,
    executor: str = "",
    base_folder: Path | None = None,
    any_version: bool = False,
) -> Plan:
    """
    Work out how a run can be repeated, and what stands in the way.

    Parameters
    ----------
    record : ExperimentRecord
        Of the run; it is not changed.
    executor : str
        What a person names: a model's name, an import path, a ``.toml``, a ``.py`` file or ``file.py:Class``.
    base_folder : Path, optional
        Where a person says that relative paths are to be looked up.
    any_version : bool
        Whether another version of the executor's package, or of ``dissmodel``, will do.

    Raises
    ------
    LabError
        When the base folder is none.

    Examples
    --------
    >>> plan_rerun(ExperimentRecord(status="failed", model_name="local")).obstacles[0]
    'The first run ended as failed, so there is nothing that a rerun could confirm.'
    """
    if base_folder is not None and not base_folder.is_dir():
        raise LabError(
            message(
                "The base folder {base_folder!r} is no folder. Give the one that the run was made in.",
                base_folder=str(base_folder),
            )
        )
    plan = Plan(
        first=record,
        executor=_absolute(executor) or _recorded_executor(record),
        base_folder=base_folder,
        any_version=any_version,
        folder=working_folder(record, base_folder),
        output=locate_artifact(record, "output", base_folder),
    )
    source = locate_input(record, base_folder)
    if record.is_imported and source is not None and source != plan.folder / record.source.uri and source.exists():
        plan.notes.append(message("The record was imported: its input was read from {source}.", source=source))
    for look in (_first_run, _files, _secrets, _where, _packages):
        plan.obstacles += look(plan, is_named=bool(executor))
    return plan


def job_of(plan: Plan, store: RunStore, *, caller: Caller, verdict: dict[str, Any]) -> Job:
    """
    Return the job that repeats the run: the same parameters, from the same source, in a worker of its own.

    Parameters
    ----------
    plan : Plan
        Without obstacles.
    store : RunStore
        Where the rerun's record is kept.
    caller : Caller
        Who asked.
    verdict : dict
        What links the rerun's record with the first, should it be killed before there is a verdict.
    """
    first = plan.first
    origins = first.parameter_origins
    given = {name: value for name, value in _with_carried(plan).items() if origins.get(str(name)) != "model"}
    from_toml = {name: value for name, value in given.items() if origins.get(str(name)) == "toml"}
    spec = first.resolved_spec.get("model")
    kept = ("column_map", "band_map", "input_format", "period", "parameter_origins")
    fields = {name: getattr(first, name) for name in kept}
    blank = ExperimentRecord(model_name=first.model_name)
    return Job(
        model=plan.executor,
        source=first.source.model_copy(update={"uri": _source_uri(plan)}),
        parameters={name: value for name, value in given.items() if name not in from_toml},
        toml=ModelSpec(parameters=from_toml, document={"model": dict(spec) if isinstance(spec, dict) else {}}),
        fields={**fields, "verdict": verdict},
        output_name=plan.output.name if plan.output is not None and plan.output.suffix else "",
        store=str(store.root.absolute()),
        folder_name=folder_name_of(blank),
        experiment_id=blank.experiment_id,
        working_folder=str(plan.folder.absolute()),
        caller=caller,
        preflight=False,  # the first run was made whatever it said
        keeps_frames=False,
        environment=DETERMINISM,
    )


def _with_carried(plan: Plan) -> dict[Any, Any]:
    """Return the parameters, with the paths of today where files of an imported record do not lie as recorded."""
    first = plan.first
    if not first.is_imported:
        return first.parameters
    moved = {}
    for place, text in named_files(first):
        path = locate_named(first, place, text, plan.base_folder)
        if place in first.parameter_files and path != plan.folder / as_path(text) and path.exists():
            moved[place] = str(path.absolute())
    chosen = {name: value for name, value in first.defaults_taken.items() if _is_moved(str(name), moved)}
    return {name: _moved(value, str(name), moved) for name, value in {**chosen, **first.parameters}.items()}


def _is_moved(name: str, moved: Mapping[str, str]) -> bool:
    return any(re.match(rf"{re.escape(name)}(?:[.\[]|$)", place) for place in moved)


def _moved(value: Any, place: str, moved: Mapping[str, str]) -> Any:
    """Walk as :func:`~dissmodel_lab.verification.places.named_files` does."""
    if isinstance(value, dict):
        return {name: _moved(item, f"{place}.{name}", moved) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_moved(item, f"{place}[{index}]", moved) for index, item in enumerate(value))
    if place in moved:
        return Path(moved[place]) if isinstance(value, Path) else moved[place]
    return value


def _source_uri(plan: Plan) -> str:
    path = locate_input(plan.first, plan.base_folder)
    uri = plan.first.source.uri
    if path is None or path == plan.folder / uri:
        return uri
    return str(path.absolute())


def _absolute(executor: str) -> str:
    """Make a file's path that a person typed independent of the folder that the rerun works in."""
    file, name = _file_and_class(executor)
    if file is None:
        return executor
    return f"{file.absolute()}:{name}" if name else str(file.absolute())


def _file_and_class(executor: str) -> tuple[Path | None, str]:
    """Return the ``.py`` or ``.toml`` file that an executor is named by, and the class in it; None if it is not."""
    found = re.fullmatch(r"(.*\.(?:py|toml))(?::(\w+))?", executor, re.IGNORECASE)
    return (as_path(found[1]), found[2] or "") if found else (None, "")


def _recorded_executor(record: ExperimentRecord) -> str:
    if record.provenance is not None and record.provenance.executor_class:
        return record.provenance.executor_class
    return "" if record.model_name in ("", "local") else record.model_name


def _first_run(plan: Plan, *, is_named: bool) -> Iterator[str]:  # noqa: ARG001 -- all looks are called alike
    first = plan.first
    if first.status != RunStatus.COMPLETED:
        error = f" ({redact_text(first.error)})" if first.error else ""
        yield message(
            "The first run ended as {status}{error}, so there is nothing that a rerun could confirm.",
            status=first.status,
            error=error,
        )
    elif "output" not in first.artifacts and (plan.output is None or not plan.output.exists()):
        yield message(
            "The first run left no output and no hash of one, so there is nothing that a rerun could confirm."
        )


def _files(plan: Plan, *, is_named: bool) -> Iterator[str]:  # noqa: ARG001
    first = plan.first
    if any(line.startswith(_IN_MEMORY) for line in first.logs):
        yield message("The input was given in memory, so it is not there to be read again.")
        return
    for check in check_inputs(first, plan.base_folder):
        what = message("The input") if check.item == "input" else message("The file of {item}", item=check.item)
        if check.state is State.CHANGED:
            yield (
                message(
                    "{what} is not the one of the first run: {path} has SHA-256 {found}, recorded was {recorded}.",
                    what=what,
                    path=check.path,
                    found=check.found,
                    recorded=check.recorded,
                )
            )
        elif check.state is State.MISSING:
            name_it = message("Name the folder that its path starts from: --base-folder.")
            yield message(
                "{what} is missing: looked for {path}. {name_it}", what=what, path=check.path, name_it=name_it
            )
        elif check.state is State.UNKNOWN and check.path is not None and not check.found:
            yield message("{what}, {path}, cannot be used. {why}", what=what, path=check.path, why=check.why)
        elif check.state is State.UNKNOWN and check.path is not None:
            plan.notes.append(message("{what} may be another one: {why}", what=what, why=check.why))


def _secrets(plan: Plan, *, is_named: bool) -> Iterator[str]:  # noqa: ARG001
    hidden, unwritten = [], []
    for name, value in plan.first.parameters.items():
        texts = list(_texts_in(value))
        hidden += [str(name)] if any(map(_HIDES.search, texts)) else []
        unwritten += [str(name)] if _is_only_text(value) else []
    if f"{HIDDEN}" in plan.first.source.uri:
        hidden.append(message("the input's URI"))
    if hidden:
        yield message(
            "The record hides what is secret, so the run cannot be repeated from it: {hidden}.",
            hidden=", ".join(hidden),
        )
    if unwritten:
        yield message(
            "The record holds only the text of what these parameters were: {unwritten}.",
            unwritten=", ".join(unwritten),
        )


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts_in(item)


def _is_only_text(value: Any) -> bool:
    if isinstance(value, dict):
        return "$repr" in value or any(map(_is_only_text, value.values()))
    return isinstance(value, list | tuple) and any(map(_is_only_text, value))


def _where(plan: Plan, *, is_named: bool) -> Iterator[str]:
    """Look where the executor is to come from, without importing it."""
    path = plan.executor
    name_it = message("Name its file or import path: --executor.")
    if not path:
        yield message("The record does not say which executor it was. {name_it}", name_it=name_it)
        return
    if not is_named and (_file_and_class(path)[0] is not None or (":" in path and not _IMPORT_PATH.fullmatch(path))):
        # A record of this package never does: whoever wrote it chose which file would be run.
        yield message(
            "The record names {path!r:.200} as its executor, which is no import path. {name_it}",
            path=path,
            name_it=name_it,
        )
        return
    module, colon, qualified = path.partition(":")
    file, _ = _file_and_class(path)
    if file is not None:
        if not file.is_file():
            yield message("The executor's file {file!r} does not exist. Check the path.", file=str(file))
    elif module == "__main__":
        yield message(
            "The executor {qualified!r} was defined in a notebook or script, which cannot be imported. {name_it}",
            qualified=qualified,
            name_it=name_it,
        )
    elif path.startswith(_CELLS):
        yield message(
            "The run was a cell of plain code in a notebook: the record keeps it, but there is no executor to run."
        )
    elif "<locals>" in qualified:
        yield message(
            "The executor {path!r} was defined inside of a function, so it cannot be imported. {name_it}",
            path=path,
            name_it=name_it,
        )
    elif colon and not _is_there(module, plan.folder):
        where = message(
            "{module!r} is neither installed nor in {folder}", module=module.partition(".")[0], folder=plan.folder
        )
        yield message(
            "The executor {path!r} cannot be imported: {where}. {name_it}", path=path, where=where, name_it=name_it
        )
    elif not colon and not is_named and plan.first.provenance is None:
        plan.notes.append(message("The record names its executor by name only: {path}.", path=path))


def _is_there(module: str, folder: Path) -> bool:
    top = module.partition(".")[0]
    if not top.isidentifier():
        return False
    try:
        return PathFinder.find_spec(top, [str(folder)]) is not None or importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):  # a module without a specification, such as one made by hand
        return False


def _packages(plan: Plan, *, is_named: bool) -> Iterator[str]:
    """Compare the version of the executor's package, and what ``end_time`` means, with what is installed."""
    is_file = is_named and _file_and_class(plan.executor)[0] is not None
    problems = [] if is_file else list(_package_problems(plan.first))
    findings = preflight_of_record(plan.first, loaded_executor(plan.first))
    problems += [(f"{finding.what} {finding.do}", True) for finding in findings]
    for problem, can_be_run in problems:
        if can_be_run and plan.any_version:
            plan.notes.append(problem)
        else:
            yield (
                message("{problem} To run it all the same: --any-version.", problem=problem)
                if can_be_run
                else problem
            )


def _package_problems(first: ExperimentRecord) -> Iterator[tuple[str, bool]]:
    said = first.provenance.executor_package if first.provenance is not None else first.model_commit
    found = _REQUIREMENT.fullmatch(said)
    if found is None:
        return
    name, then = found[1], redact_uri(found[2])
    try:
        now = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        yield message("The executor's package {name} {then} is not installed.", name=name, then=then), False
        return
    if now != then:
        yield (
            message(
                "The first run was made with {name} {then}; {name} {now} is installed.", name=name, then=then, now=now
            ),
            True,
        )
