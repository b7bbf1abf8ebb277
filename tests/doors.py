"""One way to call a model through each door; the same tests run through all of them."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dissmodel_lab.store import RunStore, read_record

DOORS = ("function", "magic", "form", "cli")


@dataclass
class Outcome:
    """What came out of a door."""

    record: Any = None
    """The record as it stands on disk; None when none was kept."""
    message: str = ""
    """What a person reads of a problem."""
    shown: list[dict[str, Any]] = field(default_factory=list)
    """Mime bundles, for the doors of a notebook."""


def newest_record():
    """Read the newest record of the store in the working folder."""
    entries = RunStore().entries()
    return read_record(entries[0].folder / "record.json") if entries else None


def toml_words(parameters):
    """Write parameters as --param words."""
    return [word for name, value in parameters.items() for word in ("--param", f"{name}={json.dumps(value)}")]


class Door:
    """Call it with a model, parameters, an input and an output."""

    def __init__(self, request) -> None:
        self.name = request.param
        self._request = request

    def __call__(self, model, parameters=None, source=None, output=None, **engine):
        """Run it; ``engine`` are the options that say where: ``engine="process"``, ``seconds=``, ``memory=``."""
        count = len(RunStore().entries())
        outcome = getattr(self, f"_{self.name}")(model, parameters or {}, source, output, **engine)
        if len(RunStore().entries()) > count:
            outcome.record = newest_record()
        return outcome

    def _function(self, model, parameters, source, output, **engine):
        from dissmodel_lab import run

        try:
            run(model, parameters=parameters, source=source, output=output, **engine)
        except BaseException as error:
            return Outcome(message=str(error) or type(error).__name__)
        return Outcome()

    def _magic(self, model, parameters, source, output, **engine):
        from IPython.core.error import UsageError

        shell = self._request.getfixturevalue("shell")
        name = self._name(shell, model)
        words = [f"run {name}", *_options(source, output, **engine)]
        words += [f"'{word}'" if not word.startswith("--") else word for word in toml_words(parameters)]
        try:
            shell.run_line_magic("dissmodel", " ".join(words))
        except UsageError as error:
            return Outcome(message=str(error), shown=shell.bundles)
        except Exception as error:
            return Outcome(message=str(error) or type(error).__name__, shown=shell.bundles)
        return Outcome(shown=shell.bundles)

    def _form(self, model, parameters, source, output, engine="inline"):
        from dissmodel_lab.errors import LabError
        from dissmodel_lab.provenance import Caller
        from dissmodel_lab.views.form.form import ENGINES, WORKER
        from dissmodel_lab.views.form_panel import show_form

        shell = self._request.getfixturevalue("shell")
        try:
            form = show_form(
                self._name(shell, model),
                source=source or "",
                output=output or "",
                parameters=parameters,
                toml=None,
                namespace=shell.user_ns,
                caller=Caller(),
            )
        except LabError as error:
            return Outcome(message=str(error), shown=shell.bundles)
        if engine == "process":
            form._engine.value = next(label for label, (name, _) in ENGINES.items() if name == WORKER)
        form.run()
        message = str(form.errors[-1]) if form.errors else " ".join(form.problems.values())
        return Outcome(message=message, shown=shell.bundles)

    def _cli(self, model, parameters, source, output, **engine):
        from dissmodel_lab.cli import main, run_cli

        out, err = io.StringIO(), io.StringIO()
        words = [*toml_words(parameters), *_options(source, output, **engine)]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            if isinstance(model, str):
                code = main(["run", model, *words])
            else:
                with pytest.raises(SystemExit) as ended:
                    run_cli(model, ["run", *words])
                code = ended.value.code
        return Outcome(message=err.getvalue() if code else "")

    @staticmethod
    def _name(shell, model):
        if isinstance(model, str):
            return model
        shell.user_ns["ModelOfTheTest"] = model
        return "ModelOfTheTest"


DESKS = ("function", "magic", "cli")


@dataclass
class Answer:
    """What a command on records said."""

    text: str = ""
    """As plain text: printed, or the plain-text twin of what is shown."""
    message: str = ""
    """What a person reads of a problem; empty when there was none."""
    code: int | None = None
    """The terminal's exit code."""
    shown: list[dict[str, Any]] = field(default_factory=list)
    """Mime bundles, for the notebook's door."""


class Desk:
    """Call it with the words of a command on records: ``desk("verify", "last")``."""

    def __init__(self, request) -> None:
        self.name = request.param
        self._request = request

    def __call__(self, *words):
        return getattr(self, f"_{self.name}")([str(word) for word in words])

    def _function(self, words):
        from dissmodel_lab.commands import Grammar
        from dissmodel_lab.errors import LabError

        try:
            return Answer(text=_called(Grammar("lab").parse(words)))
        except LabError as error:
            return Answer(message=str(error))

    def _magic(self, words):
        from IPython.core.error import UsageError

        shell = self._request.getfixturevalue("shell")
        shell.bundles.clear()
        out = io.StringIO()
        try:
            with contextlib.redirect_stdout(out):
                shell.run_line_magic("dissmodel", shlex.join(words))
        except UsageError as error:
            return Answer(message=str(error), shown=list(shell.bundles))
        texts = [out.getvalue(), *(bundle.get("text/plain", "") for bundle in shell.bundles)]
        return Answer(text="\n".join(texts), shown=list(shell.bundles))

    def _cli(self, words):
        from dissmodel_lab.cli import main

        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(words)
        said = err.getvalue().removeprefix("Error: ").rstrip() if code == EXIT_USAGE else ""
        return Answer(text=out.getvalue(), message=said, code=code)


EXIT_USAGE = 2


def _called(command) -> str:
    """Call the function that a command names, and say what it returned."""
    from dissmodel_lab import records
    from dissmodel_lab.commands import done, options_of
    from dissmodel_lab.store import RunStore
    from dissmodel_lab.views import comparison_text as texts
    from dissmodel_lab.views.history import RunTable
    from dissmodel_lab.views.sweep_text import sweep_text

    match command.name:
        case "queue":
            from dissmodel_lab.views.queue import run_queue

            return str(run_queue())
        case "sweep":
            return sweep_text(_swept(command))
        case "sweeps":
            from dissmodel_lab import open_sweep

            return sweep_text(open_sweep(None, command.sweep_id))
        case "runs":
            return repr(RunTable(RunStore(), command.query, columns=command.columns))
        case "changes":
            return texts.change_text(records.changes(command.run_id, **options_of(command)))
        case "compare":
            return texts.comparison_text(records.compare(command.run_id, command.other_id, **options_of(command)))
        case "verify":
            return texts.integrity_text(records.verify(command.run_id, **options_of(command)))
        case "rerun":
            return texts.verdict_text(records.rerun(command.run_id, **options_of(command)))
        case "cite":
            return records.cite(command.run_id, **options_of(command))
        case _:
            return done(command)


def _swept(command):
    from dissmodel_lab import open_sweep, sweep

    if command.resume:
        return open_sweep(None, command.resume).resume()
    how = {"sample": command.sample, "samples": command.samples, "seeds": command.seeds, "confirmed": command.yes}
    engine = command.engine or "process"
    return sweep(
        command.model, command.axes, parameters=command.parameters, engine=engine, workers=command.workers, **how
    )


def _options(source, output, **engine):
    return [
        *(word for name, value in engine.items() for word in (f"--{name}", str(value))),
        *(["--input", str(source)] if source else []),
        *(["--output", str(output)] if output else []),
    ]


def bundle_html(shown) -> str:
    """Join the HTML of all bundles."""
    return "\n".join(bundle.get("text/html", "") for bundle in shown)


def read_json(path: Path) -> Any:
    """Parse strict JSON: NaN and Infinity are no JSON."""

    def refuse(text):
        raise AssertionError(f"{text} is no JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
