"""What a record says of a run on a DisSModel Platform: what was asked for, and what the server made of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import TypeAdapter

from dissmodel_lab.discovery import is_executor, own_name
from dissmodel_lab.errors import EngineError, ExecutorNotFoundError, PlatformError, shown
from dissmodel_lab.executor.schemas import DataSource, ExperimentRecord, PhaseUsage, Provenance, RunStatus, Values
from dissmodel_lab.language import message
from dissmodel_lab.parameters import ModelSpec
from dissmodel_lab.platform_client.submissions import sendable
from dissmodel_lab.provenance import collect_provenance
from dissmodel_lab.resolve import resolve_class

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dissmodel_lab.jobs import Job
    from dissmodel_lab.platform_client import PlatformJob

ENGINE = "platform"
SERVED_NAME = "platform.json"
"""What the server said last of the job, and its own record: a file in the run's folder."""
_HERE_ONLY = ("__main__", "builtins", "")


class Order(NamedTuple):
    """What is to be submitted."""

    name: str
    """Of the model."""
    spec: ModelSpec = ModelSpec()
    """The TOML, when there is one."""
    executor_module: str = ""
    is_inline: bool = False
    """Whether it is submitted by TOML; by its registered name otherwise."""


def order_of(job: Job) -> Order:
    """
    Say how a job's model can be named to a server, which has no class of this process.

    Parameters
    ----------
    job : Job
        The run.

    Raises
    ------
    EngineError
        When it cannot: a class of a notebook's cell.
    LabError
        When its TOML cannot be read.

    Examples
    --------
    >>> from dissmodel_lab.jobs import Job
    >>> place = {"store": "experiments", "working_folder": ".", "experiment_id": "a1", "folder_name": "a1"}
    >>> order_of(Job(model="flood", **place))
    Order(name='flood', spec=..., executor_module='', is_inline=False)
    """
    model: Any = job.model
    toml: Any = job.toml
    if isinstance(model, Path) or (isinstance(model, str) and model.lower().endswith(".toml")):
        toml, model = model, ""
    spec = toml if isinstance(toml, ModelSpec) else ModelSpec.from_path(_at(job, toml)) if toml else ModelSpec()
    if isinstance(model, str) and ":" not in model:
        if not model and not spec.model:
            raise PlatformError(message('The TOML names no model. Add for example: [model] class = "coastal_flood".'))
        is_inline = bool(spec.model)
        return Order(model or spec.model, spec, spec.executor_module or _module_here(spec, model), is_inline)
    cls = resolve_class(model) if isinstance(model, str) else model if isinstance(model, type) else type(model)
    if not is_executor(cls) or cls.__module__ in _HERE_ONLY or "<locals>" in cls.__qualname__:
        raise EngineError(
            message(
                "The model {getattr!r} is defined in this notebook or script; a platform imports models by their "
                "module's name. Put it into a package that is installed there, or use engine process.",
                getattr=shown(getattr(cls, "__name__", cls)),
            )
        )
    return Order(own_name(cls) or cls.__name__, spec, spec.executor_module or cls.__module__, bool(spec.model))


def _at(job: Job, path: Any) -> Path:
    return Path(job.working_folder, Path(path).expanduser())


def _module_here(spec: ModelSpec, name: str) -> str:
    """Return the module of a TOML's executor when this machine has it too: the worker must import it by name."""
    wanted = spec.model or name
    if not spec.model:
        return ""
    try:
        cls = resolve_class(wanted)
    except Exception:  # noqa: BLE001 -- it is the server's to know; what importing raises here does not matter
        return ""
    return "" if cls.__module__ in _HERE_ONLY else cls.__module__


def inline_instead(order: Order, problem: PlatformError) -> Order:
    """
    Return how a model can be submitted that the server has not registered.

    Raises
    ------
    PlatformError
        The problem, when this machine does not know the model either.

    Examples
    --------
    >>> inline_instead(Order("game_of_life", ModelSpec()), PlatformError("No model 'game_of_life'.")).executor_module
    'dissmodel_lab.models.game_of_life'
    """
    if order.executor_module:
        return order._replace(is_inline=True)
    try:
        cls = resolve_class(order.name)
    except ExecutorNotFoundError:
        raise problem from None
    if cls.__module__ in _HERE_ONLY:
        raise problem
    return order._replace(executor_module=cls.__module__, is_inline=True)


def new_record(job: Job, order: Order, url: str) -> ExperimentRecord:
    """
    Return the record of a run that will be submitted: nothing in it says where it is computed but the address.

    Parameters
    ----------
    job : Job
        The run.
    order : Order
        How its model is named.
    url : str
        The server's address.
    """
    source = job.source.model_copy() if isinstance(job.source, DataSource) else DataSource.from_uri(job.source or "")
    record = ExperimentRecord(
        experiment_id=job.experiment_id,
        model_name=order.name,
        source=source,
        parameters={**order.spec.parameters, **job.parameters},
        parameter_origins={
            **dict.fromkeys(map(str, order.spec.parameters), "toml"),
            **dict.fromkeys(map(str, job.parameters), "given"),
        },
        resolved_spec={"model": dict(order.spec.document.get("model", {}))} if order.is_inline else {},
        output_path=job.output,
        status=RunStatus.PENDING.value,
        provenance=_provenance(job, order),
    )
    for name, value in job.fields.items():
        setattr(record, name, value)
    record.experiment_id, record.engine, record.platform = job.experiment_id, ENGINE, {"url": url}
    return record


def _provenance(job: Job, order: Order) -> Provenance:
    """Gather who asked, and from where; of the machine that computes, nothing is known."""
    facts = collect_provenance(Order, job.caller)
    facts.executor_class = f"{order.executor_module}:{order.name}" if order.executor_module else ""
    facts.executor_package, facts.executor_git = "", None
    facts.versions, facts.platform, facts.cpu_count, facts.memory_bytes = {}, "", None, None
    facts.working_folder = job.working_folder
    seed = {**order.spec.parameters, **job.parameters}.get("seed")
    facts.seed = seed if isinstance(seed, int) and not isinstance(seed, bool) else None
    return facts


def take_over(record: ExperimentRecord, job: PlatformJob, served: Mapping[str, Any] | None) -> None:
    """
    Fill a record with what the server says of the run: its own record where there is one, else the little it tells.

    Parameters
    ----------
    record : ExperimentRecord
        Changed in place; status and output are the caller's to fill.
    job : PlatformJob
        As the server told last.
    served : mapping or None
        The server's own record.

    Examples
    --------
    >>> from dissmodel_lab.platform_client import PlatformJob
    >>> record = ExperimentRecord(parameters={"years": 3})
    >>> take_over(record, PlatformJob("a1", "completed"), {"parameters": {"years": None}, "metrics": {"area": 2.5}})
    >>> record.metrics, record.warnings[0]
    ({'area': 2.5}, 'The platform ran with other parameters than were asked for: years.')
    """
    record.source.checksum = record.source.checksum or job.input_sha256
    known = set(record.logs)
    if served is None:
        record.logs += [line for line in job.logs if line not in known]
        if job.status == RunStatus.COMPLETED:  # of one that failed, the worker keeps none
            record.add_warning(
                message(
                    "The platform kept no record of this run that can be had: parameters are those that were asked "
                    "for, and metrics are not known."
                )
            )
        return
    theirs = _readable(served)
    record.logs += [line for line in (theirs.logs or job.logs) if line not in known]
    asked = sendable(record.parameters)[0] if record.parameters else {}
    other = [name for name, value in asked.items() if theirs.parameters.get(name, None) != value]
    if other and theirs.parameters != asked:
        record.add_warning(
            message("The platform ran with other parameters than were asked for: {other}.", other=", ".join(other))
        )
    for name in ("model_commit", "code_version", "resolved_spec", "parameters", "metrics", "period", "steps"):
        value = getattr(theirs, name)
        if value not in (None, "", {}):
            setattr(record, name, value)
    for name in record.parameters:
        record.parameter_origins.setdefault(str(name), "platform")
    record.source.checksum = record.source.checksum or theirs.source.checksum
    record.artifacts = dict(theirs.artifacts)
    record.phases = {name: usage for name, usage in theirs.phases.items() if isinstance(usage, PhaseUsage)}
    if theirs.provenance is not None and record.provenance is not None:
        record.provenance.versions = dict(theirs.provenance.versions)


def _readable(served: Mapping[str, Any]) -> ExperimentRecord:
    """Read the server's record field by field: one that cannot be read must not lose the others."""
    known = {name: value for name, value in served.items() if name in ExperimentRecord.model_fields}
    record = ExperimentRecord()
    for name, value in known.items():
        try:
            setattr(record, name, getattr(ExperimentRecord.model_validate({name: value}), name))
        except ValueError:
            record.logs.append(
                message("The field {name} of the platform's record cannot be read, and was left out.", name=name)
            )
    return record


def write_served(folder: Path, job: PlatformJob, served: Mapping[str, Any] | None) -> None:
    """
    Keep what the server said, for those who want to see it as it was.

    Parameters
    ----------
    folder : Path
        The run's own.
    job : PlatformJob
        As it was told last.
    served : mapping or None
        Its record.
    """
    facts = {**vars(job), "logs": list(job.logs), "created_at": job.created_at and job.created_at.isoformat()}
    content = TypeAdapter(Values).dump_json({"job": facts, "record": served}, indent=2)  # without secrets
    (folder / SERVED_NAME).write_bytes(content + b"\n")
