"""From a :class:`~dissmodel_lab.executor.JobRequest`, as the DisSModel Platform takes it, to a queued run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from dissmodel_lab.errors import EngineError, ExecutorNotFoundError, ParameterError
from dissmodel_lab.executor.schemas import ExperimentRecord, JobRequest, RunStatus
from dissmodel_lab.jobs import Job
from dissmodel_lab.language import message
from dissmodel_lab.launch import PRIORITIES, limits_of, queue_job, start_queued
from dissmodel_lab.provenance import Caller, collect_provenance, package_version
from dissmodel_lab.resolve import resolve_class
from dissmodel_lab.store import RunStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dissmodel_lab.engines import Engine, RunHandle
    from dissmodel_lab.environments import Environment, InstallPlan, PackageSpec
    from dissmodel_lab.environments.consent import Consent
    from dissmodel_lab.executor.events import Observer


def submit(
    request: JobRequest | Mapping[str, Any],
    *,
    engine: str | Engine = "process",
    store: str | Path | RunStore | None = None,
    consent: Consent | Callable[[InstallPlan], Consent] = None,
    namespace: Mapping[str, Any] | None = None,
    caller: Caller | None = None,
    observers: Sequence[Observer] = (),
    workers: int | None = None,
    address: str | None = None,
    url: str | None = None,
    seconds: float | None = None,
    memory: int | str | None = None,
    output: str | Path | None = None,
    environments: str | Path | None = None,
    keep: bool = True,
    tell: Callable[[str], None] = lambda _: None,
) -> RunHandle:
    """
    Queue the run that a request asks for; its record is on disk when this returns.

    A request that names a package which is not installed here runs in an environment of its own, which is made
    after consent. This process's packages are never changed.

    Parameters
    ----------
    request : JobRequest or mapping
        In the nested form of the platform's documents, or the flat one of its API.
    engine : str or Engine
        ``process``, ``dask``, ``platform``, or ``inline``, which runs it before this returns.
    store : str, Path or RunStore, optional
        Where runs are kept; ``experiments`` in the working folder when not given.
    consent : bool, InstallConsent, callable or None
        Who agrees to the installation of the request's package: see
        :func:`~dissmodel_lab.environments.consent.refuse_without_consent`.
    namespace : mapping, optional
        A notebook's variables, in which the request may name a class.
    caller : Caller, optional
        What the door knows of the cell or command behind this run.
    observers : sequence of callable
        Each is called with every event of the run.
    workers, address, url, seconds, memory, output, keep
        As :func:`dissmodel_lab.run` takes them.
    environments : str or Path, optional
        The folder of environments; in the user's cache when not given.
    tell : callable
        Gets a line for a person when something takes long: an installation.

    Returns
    -------
    RunHandle
        To follow, cancel and wait for the run.

    Raises
    ------
    ParameterError
        When the request is malformed.
    InstallError
        When its package is none, nobody agreed to it, or it cannot be installed; nothing runs then.
    LabError
        When the model cannot be found, the store not be written, or the engine not carry it out.

    Examples
    --------
    >>> import tempfile
    >>> handle = submit(
    ...     {"model": {"class": "game_of_life", "parameters": {"generations": 3}}, "priority": "high"},
    ...     store=tempfile.mkdtemp(),
    ... )
    >>> handle.record.status in ("pending", "running"), handle.result(timeout=120).status
    (True, 'completed')
    >>> submit({"model": {"class": "dinamica", "package": "--index-url=https://example.org x"}})
    Traceback (most recent call last):
    dissmodel_lab.errors.InstallError: '--index-url=https://example.org x' is an option of pip, ...
    """
    from dissmodel_lab.engines import engine_for  # noqa: PLC0415 -- only who submits loads them

    asked = read_request(request)
    limits = limits_of(seconds, memory)
    place = engine_for(engine, workers=workers, address=address, url=url)
    options: dict[str, Any] = {"limits": limits, "ends_with_kernel": not keep}
    environment = None
    if place.name != "platform":  # whose server installs what it is asked for, and whose client warns of it
        environment = _environment_of(asked, consent, namespace, environments, tell)
    fields = {"engine": place.name, **fields_of(asked)}
    told: dict[str, Any] = {"store": store, "output": output, "caller": caller or Caller(), "options": options}
    if environment is not None:
        from dissmodel_lab.environments.asking import model_in  # noqa: PLC0415 -- only for such requests

        _refuse_inline(place.name)
        fields["environment"] = {"package": environment.package, "key": environment.key}
        model = model_in(environment, asked.model_name)
        job = _queue_elsewhere(asked, model, fields, **told)
        job = replace(job, python=environment.python)
    elif place.name == "platform" and not _is_known(asked.model_name, namespace):
        job = _queue_elsewhere(asked, asked.model_name, fields, **told)
    else:
        job = queue_job(
            asked.model_name,
            source=asked.source if asked.source.uri else None,
            parameters=asked.parameters,
            output=output,
            store=store,
            namespace=namespace,
            caller=caller,
            fields=fields,
            **options,
        )
    return start_queued(place, job, PRIORITIES[asked.priority], observers)


def read_request(request: JobRequest | Mapping[str, Any]) -> JobRequest:
    """
    Return a request in its one form, whichever was given.

    Parameters
    ----------
    request : JobRequest or mapping
        What somebody asked for.

    Raises
    ------
    ParameterError
        With every part of it that does not fit.

    Examples
    --------
    >>> read_request({"model_name": "flood", "input_dataset": "dem.tif"}).source.uri
    'dem.tif'
    >>> read_request({"model_name": "flood", "priority": "urgent"})
    Traceback (most recent call last):
    dissmodel_lab.errors.ParameterError: This is no request for a run. priority: Input should be 'low', ...
    """
    from pydantic import ValidationError  # noqa: PLC0415 -- only for its complaint

    if isinstance(request, JobRequest):
        return request
    try:
        return JobRequest.model_validate(request)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg']}" for one in error.errors()]
        raise ParameterError(
            message(
                'This is no request for a run. {problems}. Write for example: {{"model": {{"class": '
                '"coastal_flood"}}, "source": {{"uri": "dem.tif"}}}}.',
                problems="; ".join(problems),
            )
        ) from error


def fields_of(request: JobRequest) -> dict[str, Any]:
    """
    Return what a request says of the run that no argument of a run does: fields of its record.

    Examples
    --------
    >>> fields_of(JobRequest(model_name="flood", column_map={"uso": "landuse"}))
    {'column_map': {'uso': 'landuse'}}
    """
    found: dict[str, Any] = {}
    if request.input_format != "auto":
        found["input_format"] = request.input_format
    for name, table in (("column_map", request.column_map), ("band_map", request.band_map)):
        if table:
            found[name] = dict(table)
    return found


def _environment_of(
    request: JobRequest,
    consent: Consent | Callable[[InstallPlan], Consent],
    namespace: Mapping[str, Any] | None,
    folder: str | Path | None,
    tell: Callable[[str], None],
) -> Environment | None:
    """Return the environment of a request's package; None when it names none, or what it names is here."""
    if not request.package.strip():
        return None
    from dissmodel_lab.environments import make_environment, package_spec  # noqa: PLC0415 -- only for such requests

    spec = package_spec(request.package)
    if _is_here(request.model_name, spec, namespace):
        return None
    return make_environment(spec, consent=consent, folder=folder, tell=tell)


def _is_here(model: str, spec: PackageSpec, namespace: Mapping[str, Any] | None) -> bool:
    """Tell whether a model comes from the package that a request names, in a version that it allows."""
    from packaging.requirements import Requirement  # noqa: PLC0415 -- only for requests with a package
    from packaging.utils import canonicalize_name  # noqa: PLC0415

    if spec.address or not spec.name:
        return False
    try:
        found = resolve_class(model, namespace=namespace)
    except ExecutorNotFoundError:
        return False
    name, _, version = package_version(found.__module__).partition("==")
    is_same = canonicalize_name(name) == canonicalize_name(spec.name)
    return is_same and Requirement(spec.text).specifier.contains(version, prereleases=True)


def _refuse_inline(engine: str) -> None:
    if engine == "inline":
        raise EngineError(
            message(
                "A model of another environment cannot run in this process, which has packages of its own. Leave "
                "the engine out, or choose process."
            )
        )


def _is_known(model: str, namespace: Mapping[str, Any] | None) -> bool:
    try:
        resolve_class(model, namespace=namespace)
    except ExecutorNotFoundError:
        return False
    return True


def _queue_elsewhere(
    request: JobRequest,
    model: str,
    fields: Mapping[str, Any],
    *,
    store: str | Path | RunStore | None,
    output: str | Path | None,
    caller: Caller,
    options: Mapping[str, Any],
) -> Job:
    """Write the record of a run whose model this process does not know, and return the job."""
    keep = store if isinstance(store, RunStore) else RunStore(store)
    limits = {name: value for name, value in options["limits"]._asdict().items() if value}
    facts = collect_provenance(RunStore, caller)
    facts.executor_class, facts.executor_package, facts.executor_git = (model if ":" in model else ""), "", None
    record = ExperimentRecord(
        experiment_id=uuid4().hex,
        model_name=request.model_name,
        source=request.source.model_copy(),
        parameters=dict(request.parameters),
        parameter_origins=dict.fromkeys(map(str, request.parameters), "given"),
        resolved_spec={"model": {"class": request.model_name, "parameters": dict(request.parameters)}},
        output_path=str(output) if output is not None else None,
        status=RunStatus.PENDING.value,
        limits=limits,
        provenance=facts,
    )
    for name, value in fields.items():
        setattr(record, name, value)
    folder = keep.queue(record)
    return Job(
        model=model,
        store=str(folder.folder.absolute().parent),
        working_folder=str(Path.cwd()),
        experiment_id=record.experiment_id,
        folder_name=folder.folder.name,
        source=request.source if request.source.uri else None,
        parameters=dict(request.parameters),
        output=str(output) if output is not None else None,
        fields=dict(fields),
        caller=caller,
        is_queued=True,
        **options,
    )
