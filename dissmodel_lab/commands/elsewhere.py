"""Sweeps and the platform: the same words of a command, the same deed, in a cell and in a terminal."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

from dissmodel_lab.commands.grammar import Command
from dissmodel_lab.errors import CommandError, did_you_mean
from dissmodel_lab.parameters import ModelSpec
from dissmodel_lab.store import RunStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dissmodel_lab.platform_client import PlatformClient
    from dissmodel_lab.sweeps import Sweep, SweepEntry

SWEEP_COLUMNS = ("sweep", "created (UTC)", "model", "over", "design", "runs", "done", "failed", "state")
_JOB_COLUMNS = ("job", "model", "status", "created (UTC)", "output")
_ID = 8
"""Characters of an id that are shown."""


class Answer(NamedTuple):
    """What a server said."""

    text: str
    """For people."""
    values: Any
    """For programs: JSON values."""


def started_sweep(command: Command, options: dict[str, Any], *, model: Any = None) -> Sweep:
    """
    Begin the sweep that a command describes, or go on with one; return at once.

    Parameters
    ----------
    command : Command
        ``sweep``, as it was understood.
    options : dict
        Arguments of :func:`dissmodel_lab.sweep` that the door knows.
    model : object, optional
        The model, where the door has one of its own.

    Raises
    ------
    LabError
        When the design cannot be used; nothing has run.
    """
    from dissmodel_lab.sweeps import open_sweep, sweep  # noqa: PLC0415 -- only for those who sweep

    if command.resume:
        _refuse_design(command)
        found = open_sweep(RunStore(), command.resume)
        refuse_unknown_metric(found, command.metric)
        taken = ("engine", "workers", "address", "url", "namespace")
        return found.resume(
            background=True,
            model=model,
            changed_code=command.changed_code,
            **{name: options[name] for name in taken if name in options},
        )
    return sweep(
        model or command.model,
        command.axes,
        sample=command.sample,
        samples=command.samples,
        seeds=command.seeds,
        confirmed=command.yes,
        background=True,
        **{**options, "engine": options.get("engine") or "process"},
    )


def refuse_unknown_metric(sweep: Sweep, metric: str) -> None:
    """
    Refuse a metric that somebody asked for and no run of a sweep has reported, once there is any.

    Parameters
    ----------
    sweep : Sweep
        At work or over.
    metric : str
        Its name; empty when nobody asked for one.

    Raises
    ------
    CommandError
        When the sweep has others.

    Examples
    --------
    >>> import tempfile
    >>> from dissmodel_lab import sweep
    >>> done = sweep("game_of_life", {"generations": "1,2"}, engine="inline", store=tempfile.mkdtemp())
    >>> refuse_unknown_metric(done, "alive")
    Traceback (most recent call last):
    dissmodel_lab.errors.CommandError: No metric of this sweep is called 'alive'. Known: ...
    """
    known = sweep.metric_names() if metric else []
    if known and metric not in known:
        raise CommandError(f"No metric of this sweep is called {metric!r:.100}. {did_you_mean(metric, known)}")


def _refuse_design(command: Command) -> None:
    """Refuse what would change a sweep that is gone on with."""
    plain = Command(command.name)
    given = [option for name, option in _DESIGN.items() if getattr(command, name) != getattr(plain, name)]
    if given:
        raise CommandError(
            f"sweep --resume goes on with a sweep as it was designed. Leave {', '.join(given)} out, or begin another."
        )


_DESIGN = {
    "model": "the model",
    "axes": "--param",
    "parameters": "--param",
    "toml": "--toml",
    "input": "--input",
    "sample": "--sample",
    "samples": "--samples",
    "seeds": "--seeds",
    "seconds": "--seconds",
    "memory": "--memory",
}
"""Options that a sweep's design holds."""


def agree_to_package(command: Command, spec: ModelSpec | str | None) -> None:
    """
    Let the platform install the package that a run's TOML names, where the person said ``--yes``.

    Parameters
    ----------
    command : Command
        ``run``, as it was understood.
    spec : ModelSpec, str or None
        The cell's body, or the path after ``--toml``.

    Raises
    ------
    LabError
        When the TOML cannot be read, or there is no such server.
    """
    if not command.yes or command.engine != "platform":
        return
    from dissmodel_lab.engines import engine_for  # noqa: PLC0415 -- only here
    from dissmodel_lab.platform_client.submissions import package_in  # noqa: PLC0415 -- loads the HTTP client

    said = spec if spec is not None else command.model
    if isinstance(said, str):
        if not said.endswith(".toml"):
            return
        said = ModelSpec.from_path(said)
    package = package_in(said)
    if package:
        engine_for("platform", url=command.url).allow_package(package)  # type: ignore[attr-defined]  # the platform's


def sweep_table(found: Sequence[SweepEntry]) -> tuple[Sequence[str], list[list[str]], str]:
    """Return columns, rows and what is said instead of no rows."""
    return SWEEP_COLUMNS, [_sweep_row(entry) for entry in found], "No sweeps yet. Start one with: sweep MODEL"


def _sweep_row(entry: SweepEntry) -> list[str]:
    progress = entry.progress
    if progress is None:
        return [entry.id[:_ID], "", "", "", "", "", "", "", entry.problem]
    counts = [f"{number:,}" for number in (progress.total, progress.done, progress.failed)]
    moment = entry.created_at[:16].replace("T", " ")
    return [entry.id[:_ID], moment, entry.model_name, ", ".join(entry.names), entry.sample, *counts, progress.state]


def sweep_values(sweep: Sweep) -> dict[str, Any]:
    """Return a sweep as JSON values: its design, and a row for each run."""
    from dissmodel_lab.executor.jsonvalue import encode  # noqa: PLC0415 -- as above

    rows = [{**asdict(row), "record_path": str(row.record_path or "")} for row in sweep.rows()]
    values: dict[str, Any] = encode(
        {
            "id": sweep.id,
            "folder": str(sweep.folder),
            "model_name": sweep.model_name,
            "engine": sweep.engine,
            "sample": sweep.design.sample,
            "progress": sweep.progress()._asdict(),
            "runs": rows,
        }
    )
    return values


def sweep_line(entry: SweepEntry) -> dict[str, Any]:
    """Return a sweep of a list as JSON values."""
    progress = entry.progress._asdict() if entry.progress is not None else None
    return {**asdict(entry), "folder": str(entry.folder), "names": list(entry.names), "progress": progress}


def asked_platform(command: Command) -> Answer:
    """
    Ask a DisSModel Platform server.

    Parameters
    ----------
    command : Command
        ``platform``, as it was understood.

    Raises
    ------
    LabError
        When a word is missing, or the server refuses, fails or cannot be reached.
    """
    from dissmodel_lab.platform_client import PlatformClient  # noqa: PLC0415 -- loads the HTTP client

    if command.action in _NEEDS and not command.path:
        raise CommandError(f"platform {command.action} needs {_NEEDS[command.action]}.")
    if command.action not in _NEEDS and command.path:
        raise CommandError(f"platform {command.action} takes nothing behind it, got {command.path!r:.100}.")
    if command.action in ("fetch", "reproduce"):
        return _brought(command)
    with PlatformClient(command.url) as client:
        answer = _ACTIONS[command.action](client, command)
        warnings = [f"Warning: {warning}" for warning in client.warnings]
    return Answer("\n".join([*warnings, answer.text]), answer.values)


def _brought(command: Command) -> Answer:
    """Bring a job's record and output into the store, or run it again there; either is waited for."""
    from dissmodel_lab.engines import engine_for  # noqa: PLC0415 -- only here

    engine = engine_for("platform", url=command.url)
    act = engine.fetch if command.action == "fetch" else engine.reproduce  # type: ignore[attr-defined]  # the platform's
    outcome = act(command.path).wait()
    said = f" {outcome.error}" if outcome.error else ""
    where = f" Its record is {outcome.record_path}." if outcome.record_path is not None else ""
    values = {"experiment_id": outcome.experiment_id, "status": outcome.status, "error": outcome.error}
    return Answer(f"Run {outcome.experiment_id[:_ID]}: {outcome.status}.{said}{where}", values)


def _health(client: PlatformClient, _: Command) -> Answer:
    said = client.health()
    return Answer("\n".join(f"{name}: {value}" for name, value in said.items()), said)


def _models(client: PlatformClient, _: Command) -> Answer:
    from dissmodel_lab.texts import table_text  # noqa: PLC0415 -- only here

    found = client.models()
    rows = [[model.name, model.class_name, model.description] for model in found]
    text = table_text(("model", "class", "description"), rows, "The server knows no models.")
    return Answer(text, [asdict(model) for model in found])


def _jobs(client: PlatformClient, _: Command) -> Answer:
    from dissmodel_lab.texts import table_text  # noqa: PLC0415 -- as above

    found = client.jobs()
    text = table_text(_JOB_COLUMNS, [_job_row(job) for job in found], "The server has no jobs.")
    return Answer("\n".join([text, *found.notices]), [_job_values(job) for job in found])


def _job(client: PlatformClient, command: Command) -> Answer:
    job = client.cancel(command.path)
    return Answer(f"Job {job.id}: {job.status}.", _job_values(job))


def _upload(client: PlatformClient, command: Command) -> Answer:
    done = client.upload(command.path, command.label)
    return Answer(f"Uploaded: {done.uri} (SHA-256 {done.sha256}).", asdict(done))


def _download(client: PlatformClient, command: Command) -> Answer:
    if not command.output:
        raise CommandError("platform download needs --output PATH: where the file goes.")
    done = client.download(command.path, command.output)
    return Answer(f"Written: {done.path} (SHA-256 {done.sha256}).", {"path": str(done.path), "sha256": done.sha256})


def _job_row(job: Any) -> list[str]:
    values = _job_values(job)
    return [str(values.get(name) or "") for name in ("id", "model_name", "status", "created_at", "output_path")]


def _job_values(job: Any) -> dict[str, Any]:
    return {name: value if isinstance(value, str) else str(value or "") for name, value in asdict(job).items()}


_NEEDS = {
    "cancel": "a job's id",
    "reproduce": "a job's id",
    "fetch": "a job's id",
    "upload": "a file",
    "download": "a URI",
}
_ACTIONS: dict[str, Callable[[PlatformClient, Command], Answer]] = {
    "health": _health,
    "models": _models,
    "jobs": _jobs,
    "cancel": _job,
    "upload": _upload,
    "download": _download,
}
