"""The terminal's door: ``dissmodel-lab``, and :func:`run_cli` for a modeller's own file."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from dissmodel_lab import __version__, commands, records
from dissmodel_lab.commands import words as w
from dissmodel_lab.errors import LabError
from dissmodel_lab.executor.events import (
    Fetching,
    Phase,
    PhaseFailed,
    PhaseFinished,
    PhaseStarted,
    RunStarted,
    StepFinished,
)
from dissmodel_lab.executor.schemas import RunStatus
from dissmodel_lab.frames import FrameKeeper
from dissmodel_lab.history import list_runs, query_words
from dissmodel_lab.language import in_language, say
from dissmodel_lab.launch import run
from dissmodel_lab.plain import printable
from dissmodel_lab.progress import Progress, status_text
from dissmodel_lab.provenance import Caller
from dissmodel_lab.quantities import bytes_text, duration_text
from dissmodel_lab.redaction import SecretValues, redact_text
from dissmodel_lab.runner import validate
from dissmodel_lab.store import RunStore
from dissmodel_lab.texts import (
    MODEL_COLUMNS,
    model_rows,
    model_table,
    record_text,
    shareable,
    table_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dissmodel_lab.executor.events import Event
    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.sweeps import Sweep

_PROG = "dissmodel-lab"
_SWEEP_INTERVAL = 0.5
"""How often a terminal is told how far a sweep is [s]."""
EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_CANCELLED = 0, 1, 2, 130

_TERMINAL_COMMANDS = tuple(name for name in w.SUMMARIES if name not in (w.FORM, w.RECORD))
_MODEL_COMMANDS = (w.RUN, w.VALIDATE, w.SHOW, w.HELP)


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run a command of ``dissmodel-lab``.

    Parameters
    ----------
    argv : sequence of str, optional
        The words behind the program's name; ``sys.argv`` when not given.

    Returns
    -------
    int
        0 when all went well, 1 when a model failed, 2 when the command cannot be carried out, 130 when
        the run was cancelled.

    Examples
    --------
    >>> main(["help"])
    dissmodel-lab COMMAND [options]
    ...
    0
    """
    return _Terminal(commands.Grammar(_PROG, _TERMINAL_COMMANDS)).main(argv)


def run_cli(executor_class: type[Any], argv: Sequence[str] | None = None) -> NoReturn:
    """
    Give a modeller's own file the commands run, validate and show; ends the program with their exit code.

    Parameters
    ----------
    executor_class : type
        The executor that the file defines.
    argv : sequence of str, optional
        The words behind the file's name; ``sys.argv`` when not given.

    Raises
    ------
    SystemExit
        Always.

    Examples
    --------
    Write at the end of a file::

        if __name__ == "__main__":
            run_cli(MyExecutor)

    and call ``python my_model.py run --param years=5``.
    """
    name = str(getattr(executor_class, "name", "") or executor_class.__name__)
    grammar = commands.Grammar(f"python {sys.argv[0]}", _MODEL_COMMANDS, model=name)
    sys.exit(_Terminal(grammar, executor_class).main(argv))


class _Terminal:
    def __init__(self, grammar: commands.Grammar, executor_class: type[Any] | None = None) -> None:
        self._grammar = grammar
        self._executor_class = executor_class

    def main(self, argv: Sequence[str] | None) -> int:
        words = list(sys.argv[1:] if argv is None else argv)
        if str(Path.cwd()) not in sys.path and "" not in sys.path:
            sys.path.insert(0, str(Path.cwd()))  # so that package.module:Class finds a file beside the person
        if words == ["--version"]:
            print(f"dissmodel_lab {__version__}")
            return EXIT_OK
        try:
            command = self._grammar.parse(words)
            return self._doors[command.name](self, command, words)
        except LabError as error:
            _complain(say("Error: {problem}", problem=error.said))
            return EXIT_USAGE
        except KeyboardInterrupt:
            return EXIT_CANCELLED
        except BrokenPipeError:  # the reader, for example head, has seen enough
            sys.stderr.close()
            return EXIT_OK
        except Exception:  # noqa: BLE001 -- the model's own: its traceback is what its author needs
            _complain(traceback.format_exc())
            return EXIT_FAILED

    def _help(self, command: commands.Command, _words: list[str]) -> int:
        print(command.text)
        return EXIT_OK

    def _models(self, command: commands.Command, _words: list[str]) -> int:
        if command.as_json:
            print(json.dumps([dict(zip(MODEL_COLUMNS, row, strict=True)) for row in model_rows()], indent=2))
        else:
            print(table_text(*model_table()))
        return EXIT_OK

    def _runs(self, command: commands.Command, _words: list[str]) -> int:
        history = list_runs(RunStore(), command.query, columns=command.columns, thumbnails=False)
        is_new = not history.total and len(query_words(command.query)) == 1  # the order alone: nothing was asked
        text = say("No runs yet. Start one with: run MODEL") if is_new else history.to_text()
        self._print(command, text, history.to_json)
        return EXIT_OK

    def _changes(self, command: commands.Command, _words: list[str]) -> int:
        from dissmodel_lab.changes import change_facts  # noqa: PLC0415 -- loads numpy
        from dissmodel_lab.views.comparison_text import change_text  # noqa: PLC0415 -- as above

        change = records.changes(command.run_id, **commands.options_of(command))
        self._print(command, change_text(change), lambda: change_facts(change))
        return EXIT_OK

    def _compare(self, command: commands.Command, _words: list[str]) -> int:
        from dissmodel_lab.changes import comparison_facts  # noqa: PLC0415 -- loads numpy
        from dissmodel_lab.views.comparison_text import comparison_text  # noqa: PLC0415 -- as above

        comparison = records.compare(command.run_id, command.other_id, **commands.options_of(command))
        self._print(command, comparison_text(comparison), lambda: comparison_facts(comparison))
        return EXIT_OK

    def _verify(self, command: commands.Command, _words: list[str]) -> int:
        from dissmodel_lab.views.comparison_text import integrity_text  # noqa: PLC0415 -- loads numpy

        integrity = records.verify(command.run_id, **commands.options_of(command))
        self._print(command, integrity_text(integrity), integrity.as_values)
        return EXIT_OK if integrity.is_intact else EXIT_FAILED

    def _rerun(self, command: commands.Command, words: list[str]) -> int:
        from dissmodel_lab.views.comparison_text import verdict_text  # noqa: PLC0415 -- loads numpy

        bar, caller = TerminalBar(sys.stderr), self._caller(words)
        with _terminable():
            verdict = records.rerun(command.run_id, observers=[bar], caller=caller, **commands.options_of(command))
        self._print(command, verdict_text(verdict), verdict.as_values)
        return EXIT_OK if verdict.is_confirmed else EXIT_FAILED

    def _cite(self, command: commands.Command, _words: list[str]) -> int:
        print(records.cite(command.run_id, **commands.options_of(command)))
        return EXIT_OK

    def _done(self, command: commands.Command, _words: list[str]) -> int:
        print(printable(redact_text(commands.done(command))))
        return EXIT_OK

    @staticmethod
    def _print(command: commands.Command, text: str, values: Callable[[], Any]) -> None:
        """Print a text, or with ``--json`` the values behind it alone."""
        print(json.dumps(values(), indent=2, allow_nan=False) if command.as_json else text)

    def _show(self, command: commands.Command, _words: list[str]) -> int:
        record = records.find(command.run_id)
        print(record.model_dump_json(indent=2) if command.as_json else record_text(record))
        return EXIT_OK

    def _validate(self, command: commands.Command, _words: list[str]) -> int:
        record = validate(self._model(command), output=command.output, **_arguments(command))
        if command.as_json:
            print(record.model_dump_json(indent=2))
        else:
            warnings = (redact_text(in_language(warning)) for warning in record.warnings)
            lines = [say("Warning: {text}", text=warning) for warning in warnings]
            lines.append(say("{model} can run.", model=record.model_name))
            # As records have them: without secrets.
            lines += [f"  {name} = {value!r}" for name, value in shareable(record).parameters.items()]
            print("\n".join(map(printable, lines)))
        return EXIT_OK

    def _run(self, command: commands.Command, words: list[str]) -> int:
        bar, keeper = TerminalBar(sys.stderr), FrameKeeper()
        # In a worker its own keeper keeps the frames.
        listeners = (
            {"observers": [bar, keeper], "watchers": [keeper.watch]} if command.is_inline else {"observers": [bar]}
        )
        # With --json the record stands alone on stdout: what the model prints goes to stderr.
        aside = _stdout_to_stderr() if command.as_json else contextlib.nullcontext()
        try:
            with _terminable(), aside:
                commands.agree_to_package(command, command.toml)
                record = run(
                    self._model(command),
                    caller=self._caller(words),
                    preflight=command.preflight,
                    priority=command.priority,
                    keep=False,
                    **listeners,
                    **commands.engine_options(command),
                    **_arguments(command),
                    output=command.output,
                )
            code = EXIT_OK if record.status == RunStatus.COMPLETED else EXIT_FAILED
        except LabError as error:
            _complain(say("Error: {problem}", problem=error.said))
            begun = bar.progress.record
            has_run = begun is not None and begun.failed_phase not in (None, Phase.VALIDATE)
            code = EXIT_FAILED if has_run else EXIT_USAGE
        except KeyboardInterrupt:
            code = EXIT_CANCELLED
        except Exception:  # noqa: BLE001 -- the model's own: its traceback is what its author needs
            _complain(_without_secrets(traceback.format_exc(), command, bar.progress.record))
            code = EXIT_FAILED
        self._tell(bar.progress.record, as_json=command.as_json)
        return code

    def _sweep(self, command: commands.Command, words: list[str]) -> int:
        from dissmodel_lab.views.sweep_text import sweep_text  # noqa: PLC0415 -- only for those who sweep

        options = {"caller": self._caller(words), **commands.engine_options(command), **_arguments(command)}
        with _terminable(), _stdout_to_stderr() if command.as_json else contextlib.nullcontext():
            sweep = commands.started_sweep(command, options, model=self._executor_class)
            _watch_sweep(sweep, sys.stderr)
        self._print(command, sweep_text(sweep, command=_PROG), lambda: commands.sweep_values(sweep))
        commands.refuse_unknown_metric(sweep, command.metric)
        progress = sweep.progress()
        return EXIT_OK if progress.done == progress.total else EXIT_FAILED

    def _sweeps(self, command: commands.Command, _words: list[str]) -> int:
        from dissmodel_lab.sweeps import list_sweeps, open_sweep  # noqa: PLC0415 -- only for those who sweep
        from dissmodel_lab.views.sweep_text import sweep_text  # noqa: PLC0415 -- as above

        if command.sweep_id:
            sweep = open_sweep(RunStore(), command.sweep_id)
            commands.refuse_unknown_metric(sweep, command.metric)
            self._print(command, sweep_text(sweep, command=_PROG), lambda: commands.sweep_values(sweep))
        else:
            found = list_sweeps(RunStore())
            text = table_text(*commands.sweep_table(found))
            self._print(command, text, lambda: [commands.sweep_line(entry) for entry in found])
        return EXIT_OK

    def _queue(self, command: commands.Command, _words: list[str]) -> int:
        from dissmodel_lab.views.queue import run_queue  # noqa: PLC0415 -- only for those who ask

        queue = run_queue()
        self._print(command, str(queue), queue.to_json)
        return EXIT_OK

    def _platform(self, command: commands.Command, _words: list[str]) -> int:
        return self._answered(command, commands.asked_platform(command))

    def _map(self, command: commands.Command, _words: list[str]) -> int:
        from dissmodel_lab.maps import preview  # noqa: PLC0415 -- loads numpy
        from dissmodel_lab.views.map_page import write_map  # noqa: PLC0415 -- as above

        options = commands.map_options(command)
        pictures = {redact_text(source): preview(source, **options) for source in command.sources}
        answers = [commands.map_answer(name, picture) for name, picture in pictures.items()]
        text = "\n".join(printable(redact_text(line)) for a in answers for line in a.text.split("\n"))
        if command.output:
            write_map(pictures, command.output)
            text += "\n" + say("Written: {path}", path=printable(command.output))
        self._print(command, text, lambda: [answer.values for answer in answers])
        return EXIT_OK

    def _fetch(self, command: commands.Command, _words: list[str]) -> int:
        bar = TerminalBar(sys.stderr)
        with _terminable():
            answer = commands.fetched(command, bar.fetching)
        return self._answered(command, answer)

    def _cache(self, command: commands.Command, _words: list[str]) -> int:
        return self._answered(command, commands.cache_answer(command))

    def _doctor(self, command: commands.Command, _words: list[str]) -> int:
        return self._answered(command, commands.doctor_answer())

    def _answered(self, command: commands.Command, answer: commands.Answer) -> int:
        self._print(command, "\n".join(map(printable, redact_text(answer.text).split("\n"))), lambda: answer.values)
        return EXIT_OK

    def _caller(self, words: list[str]) -> Caller:
        # Word by word: in a whole line the end of one secret may hide the beginning of the next.
        return Caller(command=f"{self._grammar.prog} {shlex.join(map(redact_text, words))}")

    def _model(self, command: commands.Command) -> Any:
        return self._executor_class if self._executor_class is not None else command.model

    @staticmethod
    def _tell(record: ExperimentRecord | None, *, as_json: bool) -> None:
        if record is not None:
            print(record.model_dump_json(indent=2) if as_json else record_text(record))

    _doors: dict[str, Callable[[_Terminal, commands.Command, list[str]], int]] = {  # noqa: RUF012 -- a constant
        w.HELP: _help,
        w.MODELS: _models,
        w.RUNS: _runs,
        w.SHOW: _show,
        w.VALIDATE: _validate,
        w.RUN: _run,
        w.SWEEP: _sweep,
        w.SWEEPS: _sweeps,
        w.QUEUE: _queue,
        w.PLATFORM: _platform,
        w.MAP: _map,
        w.FETCH: _fetch,
        w.CACHE: _cache,
        w.DOCTOR: _doctor,
        w.CANCEL: _done,
        w.CHANGES: _changes,
        w.COMPARE: _compare,
        w.VERIFY: _verify,
        w.RERUN: _rerun,
        w.CITE: _cite,
        w.ANNOTATE: _done,
        w.EXPORT: _done,
        w.IMPORT: _done,
        w.REINDEX: _done,
    }


class TerminalBar:
    """
    An observer that writes a line for each phase, and the current step where the terminal can rewrite it.

    Parameters
    ----------
    stream : TextIO
        Where to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._rewrites = stream.isatty()
        self.progress = Progress()

    def __call__(self, event: Event) -> None:
        """
        Write what an event tells.

        Parameters
        ----------
        event : Event
            One of :mod:`dissmodel_lab.executor.events`.
        """
        self.progress(event)
        match event:
            case RunStarted():
                self._line(f"{event.record.model_name}  {say('run {run}', run=event.record.experiment_id[:8])}")
            case PhaseStarted() if self._rewrites:
                self._rewrite(f"  {event.phase.value:<9} {status_text('running')}")
            case PhaseFinished() | PhaseFailed():
                memory = event.usage.peak_memory_bytes
                peak = f"  {say('peak {size}', size=bytes_text(memory))}" if memory else ""
                state = status_text("done" if event.usage.status == "completed" else event.usage.status)
                self._line(f"  {event.phase.value:<9} {state:<10}{duration_text(event.usage.seconds):>10}{peak}")
            case Fetching() if self._rewrites:
                self._rewrite(f"  load      {self.progress.fetch_text()}")
            case StepFinished() if self._rewrites:
                self._rewrite(f"  run       {self.progress.step_text()}, {self.progress.left_text()}")
            case _:
                pass

    def fetching(self, name: str, done: int, total: int | None) -> None:
        """Tell how far a file has come that is fetched without a run."""
        self(Fetching(name, done, total))

    def _line(self, text: str) -> None:
        self._stream.write(f"\r\033[K{printable(text)}\n" if self._rewrites else f"{printable(text)}\n")
        self._stream.flush()

    def _rewrite(self, text: str) -> None:
        self._stream.write(f"\r\033[K{printable(text)}")
        self._stream.flush()


def _watch_sweep(sweep: Sweep, stream: TextIO) -> None:
    """Wait for a sweep, with a line that tells how far it is; Ctrl-C cancels it, and what has ended stays."""
    from dissmodel_lab.views.sweep_text import progress_text, text_bar  # noqa: PLC0415 -- only for those who sweep

    try:
        while sweep.is_running:
            with contextlib.suppress(TimeoutError):
                sweep.wait(_SWEEP_INTERVAL)
            progress = sweep.progress()
            if stream.isatty():
                stream.write(f"\r\033[K{text_bar(progress)}  {progress_text(progress)}")
                stream.flush()
        sweep.wait()
    except KeyboardInterrupt:
        sweep.cancel()
        sweep.wait()
        command = f"{_PROG} sweep --resume {sweep.id[:8]}"
        _complain(say("The sweep was cancelled. Go on with: {command}", command=command))
        raise
    finally:
        if stream.isatty():
            stream.write("\n")


def _without_secrets(text: str, command: commands.Command, record: ExperimentRecord | None) -> str:
    """Hide the secrets of a run that its model wrote bare."""
    known = SecretValues()
    known.add(command.parameters, str(command.input or ""))
    if record is not None:
        known.add(record.parameters, record.source.named)
    return known.hide(text)


def _complain(text: str) -> None:
    """Write to stderr what is wrong, without secrets and without what steers a terminal."""
    print(printable(redact_text(text)), file=sys.stderr)


def _arguments(command: commands.Command) -> dict[str, Any]:
    return {
        "source": command.input,
        "parameters": command.parameters,
        "toml": command.toml,
    }


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Send what the model prints to stderr, what its libraries and child processes write included."""
    sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:  # there is no stdout at all
        kept = -1
    try:
        if kept >= 0:
            os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        if kept >= 0:
            os.dup2(kept, 1)
            os.close(kept)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    # A run that a scheduler ends with SIGTERM is cancelled, with its record closed, like one ended by Ctrl-C.
    def as_interrupt(_number: int, _frame: Any) -> NoReturn:
        raise KeyboardInterrupt

    usual = signal.signal(signal.SIGTERM, as_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, usual)
