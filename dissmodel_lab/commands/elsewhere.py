"""Sweeps and the platform: the same words of a command, the same deed, in a cell and in a terminal."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

from dissmodel_lab.commands.grammar import Command
from dissmodel_lab.errors import CommandError, did_you_mean
from dissmodel_lab.language import in_language, mark, message, say, say_in
from dissmodel_lab.parameters import ModelSpec
from dissmodel_lab.progress import status_text
from dissmodel_lab.store import RunStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dissmodel_lab.platform_client import PlatformClient
    from dissmodel_lab.sweeps import Sweep, SweepEntry

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
        hint = did_you_mean(metric, known)
        raise CommandError(
            message("No metric of this sweep is called {metric!r:.100}. {hint}", metric=metric, hint=hint)
        )


def _refuse_design(command: Command) -> None:
    """Refuse what would change a sweep that is gone on with."""
    plain = Command(command.name)
    given = [option for name, option in _DESIGN.items() if getattr(command, name) != getattr(plain, name)]
    if given:
        raise CommandError(
            message(
                "sweep --resume goes on with a sweep as it was designed. Leave {options} out, or begin another.",
                options=", ".join(given),
            )
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
    columns = (
        say("sweep"),
        say("created (UTC)"),
        say("model"),
        say("over"),
        say("design"),
        say("runs"),
        say_in("a number of runs", "done"),
        say_in("a number of runs", "failed"),
        say("state"),
    )
    return columns, [_sweep_row(entry) for entry in found], say("No sweeps yet. Start one with: sweep MODEL")


def _sweep_row(entry: SweepEntry) -> list[str]:
    progress = entry.progress
    if progress is None:
        return [entry.id[:_ID], "", "", "", "", "", "", "", in_language(entry.problem)]
    counts = [f"{number:,}" for number in (progress.total, progress.done, progress.failed)]
    moment = entry.created_at[:16].replace("T", " ")
    state = status_text(progress.state)
    return [entry.id[:_ID], moment, entry.model_name, ", ".join(entry.names), entry.sample, *counts, state]


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


def doctor_answer() -> Answer:
    """
    Say what this machine is like, ready to be pasted into a report of a problem.

    Examples
    --------
    >>> "versions" in doctor_answer().text
    True
    """
    from dissmodel_lab.doctor import examine  # noqa: PLC0415 -- imports what it asks for its version

    report = examine()
    return Answer(report.text(), report.values())


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
        raise CommandError(message(_NEEDS[command.action], action=command.action))
    if command.action not in _NEEDS and command.path:
        raise CommandError(
            message(
                "platform {action} takes nothing behind it, got {path!r:.100}.",
                action=command.action,
                path=command.path,
            )
        )
    if command.action in ("fetch", "reproduce"):
        return _brought(command)
    with PlatformClient(command.url) as client:
        answer = _ACTIONS[command.action](client, command)
        warnings = [say("Warning: {text}", text=warning) for warning in client.warnings]
    return Answer("\n".join([*warnings, answer.text]), answer.values)


def _brought(command: Command) -> Answer:
    """Bring a job's record and output into the store, or run it again there; either is waited for."""
    from dissmodel_lab.engines import engine_for  # noqa: PLC0415 -- only here

    engine = engine_for("platform", url=command.url)
    act = engine.fetch if command.action == "fetch" else engine.reproduce  # type: ignore[attr-defined]  # the platform's
    outcome = act(command.path).wait()
    said = [say("Run {run}: {status}.", run=outcome.experiment_id[:_ID], status=status_text(outcome.status))]
    if outcome.error:
        said.append(in_language(outcome.error))
    if outcome.record_path is not None:
        said.append(say("Its record is {path}.", path=str(outcome.record_path)))
    values = {"experiment_id": outcome.experiment_id, "status": outcome.status, "error": outcome.error}
    return Answer(" ".join(said), values)


def _health(client: PlatformClient, _: Command) -> Answer:
    said = client.health()
    return Answer("\n".join(f"{name}: {value}" for name, value in said.items()), said)


def _models(client: PlatformClient, _: Command) -> Answer:
    from dissmodel_lab.texts import table_text  # noqa: PLC0415 -- only here

    found = client.models()
    rows = [[model.name, model.class_name, model.description] for model in found]
    text = table_text(
        (say("model"), say_in("of a program", "class"), say("description")), rows, say("The server knows no models.")
    )
    return Answer(text, [asdict(model) for model in found])


def _jobs(client: PlatformClient, _: Command) -> Answer:
    from dissmodel_lab.texts import table_text  # noqa: PLC0415 -- as above

    found = client.jobs()
    columns = (say("job"), say("model"), say("status"), say("created (UTC)"), say("output"))
    text = table_text(columns, [_job_row(job) for job in found], say("The server has no jobs."))
    return Answer("\n".join([text, *map(in_language, found.notices)]), [_job_values(job) for job in found])


def _job(client: PlatformClient, command: Command) -> Answer:
    job = client.cancel(command.path)
    return Answer(say("Job {job}: {status}.", job=job.id, status=status_text(job.status)), _job_values(job))


def _upload(client: PlatformClient, command: Command) -> Answer:
    done = client.upload(command.path, command.label)
    text = say("Uploaded: {uri} (SHA-256 {checksum}).", uri=done.uri, checksum=done.sha256)
    return Answer(text, asdict(done))


def _download(client: PlatformClient, command: Command) -> Answer:
    if not command.output:
        raise CommandError(message("platform download needs --output PATH: where the file goes."))
    done = client.download(command.path, command.output)
    text = say("Written: {path} (SHA-256 {checksum}).", path=str(done.path), checksum=done.sha256)
    return Answer(text, {"path": str(done.path), "sha256": done.sha256})


def _job_row(job: Any) -> list[str]:
    values = _job_values(job)
    values["status"] = status_text(values.get("status", ""))
    return [str(values.get(name) or "") for name in ("id", "model_name", "status", "created_at", "output_path")]


def _job_values(job: Any) -> dict[str, Any]:
    return {name: value if isinstance(value, str) else str(value or "") for name, value in asdict(job).items()}


_NEEDS = {
    **dict.fromkeys(("cancel", "reproduce", "fetch"), mark("platform {action} needs a job's id.")),
    "upload": mark("platform {action} needs a file."),
    "download": mark("platform {action} needs a URI."),
}
_ACTIONS: dict[str, Callable[[PlatformClient, Command], Answer]] = {
    "health": _health,
    "models": _models,
    "jobs": _jobs,
    "cancel": _job,
    "upload": _upload,
    "download": _download,
}
