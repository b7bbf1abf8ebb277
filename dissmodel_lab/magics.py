"""The notebook's door: ``%dissmodel`` and ``%%dissmodel``, with Tab completion."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from IPython.core.completer import SimpleCompletion, context_matcher
from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class
from IPython.display import display

from dissmodel_lab import commands, records
from dissmodel_lab.commands import words as w
from dissmodel_lab.errors import CommandError, LabError, did_you_mean
from dissmodel_lab.language import in_language, message, say
from dissmodel_lab.launch import run
from dissmodel_lab.plain import printable
from dissmodel_lab.provenance import Caller
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.runner import validate
from dissmodel_lab.store import RunStore
from dissmodel_lab.texts import cancelled_text, model_table, table_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from IPython.core.interactiveshell import InteractiveShell

    from dissmodel_lab.changes import Change, RunComparison
    from dissmodel_lab.engines import RunHandle
    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.parameters import ModelSpec
    from dissmodel_lab.sweeps import Sweep
    from dissmodel_lab.verification import Integrity, Verdict
    from dissmodel_lab.views.history import RunTable
    from dissmodel_lab.views.map_view import MapView
    from dissmodel_lab.views.queue import RunQueue
    from dissmodel_lab.views.run_panel import Listeners

_Shown = TypeVar("_Shown")
_GRAMMAR = commands.Grammar("%dissmodel")
_LINE = re.compile(r"%%?dissmodel\s+(.*)$", re.DOTALL)


@magics_class
class DissmodelMagics(Magics):
    """``%dissmodel COMMAND ...``; ``%dissmodel help`` lists the commands."""

    @line_cell_magic
    def dissmodel(self, line: str, cell: str | None = None) -> Any:
        """
        Run, see and keep models. ``%dissmodel help`` lists the commands, ``%dissmodel help run`` explains one.

        Returns
        -------
        ExperimentRecord, RunTable, Change, RunComparison, Integrity, Verdict, str or None
            What the command makes, for ``x = %dissmodel ...``; None where the cell shows it already.

        Raises
        ------
        UsageError
            For a mistake: one readable message, no traceback. A model's own exception keeps its traceback.
        """
        try:
            command = _GRAMMAR.parse_line(line)
            if command.name == w.RECORD:
                return self._record(command, line, cell)
            spec = self._spec(command, cell)
            return self._doors[command.name](self, command, spec)
        except LabError as error:
            raise UsageError(printable(redact_text(error.said))) from None

    @property
    def _namespace(self) -> dict[str, Any]:
        namespace: dict[str, Any] = self._shell.user_ns
        return namespace

    @property
    def _shell(self) -> InteractiveShell:
        if self.shell is None:
            raise CommandError(
                message("%dissmodel needs a running IPython. Use the terminal's dissmodel-lab instead.")
            )
        return self.shell

    def _caller(self) -> Caller:
        return caller_of(self._shell)

    def _spec(self, command: commands.Command, cell: str | None) -> ModelSpec | str | None:
        if cell is None:
            return command.toml
        if command.name not in (w.RUN, w.FORM, w.VALIDATE, w.SWEEP):
            raise CommandError(
                message(
                    "%%dissmodel {command} takes no body. Write %dissmodel {command} on a line of its own.",
                    command=command.name,
                )
            )
        if command.toml is not None:
            raise CommandError(
                message("Parameters come from the cell's body or from --toml, not from both. Leave one out.")
            )
        return commands.cell_spec(cell)

    def _run(self, command: commands.Command, spec: ModelSpec | str | None) -> ExperimentRecord | RunHandle | None:
        options = {
            **self._model_options(command, spec),
            **commands.engine_options(command),
            "output": command.output,
            "preflight": command.preflight,
        }
        if command.is_inline:

            def call(listeners: Listeners) -> ExperimentRecord:
                record: ExperimentRecord = run(
                    command.model, observers=listeners.observers, watchers=listeners.watchers, **options
                )
                return record

            return self._shown_run(call, command)
        commands.agree_to_package(command, spec)
        handle = run(
            command.model,
            background=True,
            priority=command.priority,
            keep=command.background and not command.end_with_kernel,
            **options,
        )
        return self._in_background(handle, command) if command.background else self._awaited(handle, command)

    def _model_options(self, command: commands.Command, spec: ModelSpec | str | None) -> dict[str, Any]:
        return {
            "source": command.input,
            "parameters": command.parameters,
            "toml": spec,
            "namespace": self._namespace,
            "caller": self._caller(),
        }

    def _in_background(self, handle: RunHandle, command: commands.Command) -> RunHandle | None:
        from dissmodel_lab.views.background import show_background  # noqa: PLC0415 -- widgets

        show_background(handle, command.variable, self._namespace, ends_with_kernel=command.end_with_kernel)
        return None if command.variable else self._unless_alone(w.RUN, handle)

    def _awaited(self, handle: RunHandle, command: commands.Command) -> ExperimentRecord | None:
        from dissmodel_lab.views.run_panel import run_handle_in_cell  # noqa: PLC0415 -- widgets

        return self._kept(lambda: run_handle_in_cell(handle), command)

    def _record(self, command: commands.Command, line: str, cell: str | None) -> ExperimentRecord | None:
        from dissmodel_lab.cells import cell_model, own_names  # noqa: PLC0415 -- only for those who record cells

        if cell is None or not cell.strip():
            raise CommandError(
                message(
                    "%dissmodel record needs code to record. Begin the cell with %%dissmodel record, and write it "
                    "below."
                )
            )
        shell, caller, given = self._shell, self._caller(), command.input or ""
        if not caller.cell_source:  # IPython's terminal tells nothing of its cells
            caller = replace(caller, cell_source=f"%%dissmodel {line}\n{cell}")
        is_variable = given in self._namespace
        if given.isidentifier() and not is_variable and not Path(given).exists():
            raise CommandError(
                message(
                    "No variable and no file is called {name!r}. {hint}",
                    name=given,
                    hint=did_you_mean(given, own_names(self._namespace)[-20:]),
                )
            )
        code = shell.transform_cell(cell)
        model = cell_model(command.cell_name)(
            code,
            self._namespace,
            command.output or "",
            variable=given if is_variable else "",
            filename=shell.compile.cache(code, shell.execution_count, raw_code=cell),
            show=display,
        )
        source: dict[str, Any] = {"data": self._namespace[given]} if is_variable else {"source": given or None}

        def call(listeners: Listeners) -> ExperimentRecord:
            record: ExperimentRecord = run(
                model, caller=caller, observers=listeners.observers, watchers=listeners.watchers, **source
            )
            return record

        return self._shown_run(call, command)

    def _shown_run(
        self, call: Callable[[Listeners], ExperimentRecord], command: commands.Command
    ) -> ExperimentRecord | None:
        from dissmodel_lab.views.run_panel import run_in_cell  # noqa: PLC0415 -- widgets, only when something is shown

        return self._kept(lambda: run_in_cell(call), command)

    def _kept(self, shown: Callable[[], ExperimentRecord], command: commands.Command) -> ExperimentRecord | None:
        """Show a run, and put its record where it is wanted."""
        try:
            record = shown()
        except KeyboardInterrupt as interrupt:
            raise UsageError(cancelled_text(interrupt)) from None
        if command.variable:
            self._namespace[command.variable] = record
            return None
        return self._unless_alone(command.name, record)

    def _sweep(self, command: commands.Command, spec: ModelSpec | str | None) -> Sweep | None:
        from dissmodel_lab.views.sweep import show_sweep  # noqa: PLC0415 -- widgets, only when something is shown

        options = {**self._model_options(command, spec), **commands.engine_options(command)}
        sweep = commands.started_sweep(command, options)
        try:
            show_sweep(sweep, background=command.background, metric=command.metric)
        except KeyboardInterrupt:
            raise UsageError(
                say(
                    "The sweep was cancelled; what has ended is kept. Go on with: {command}",
                    command=f"%dissmodel sweep --resume {sweep.id[:8]}",
                )
            ) from None
        return self._unless_alone(w.SWEEP, sweep)

    def _sweeps(self, command: commands.Command, _spec: ModelSpec | str | None) -> Sweep | None:
        from dissmodel_lab.sweeps import list_sweeps, open_sweep  # noqa: PLC0415 -- only for those who sweep
        from dissmodel_lab.views.sweep import show_sweep  # noqa: PLC0415 -- as above

        if not command.sweep_id:
            _show_table(*commands.sweep_table(list_sweeps(RunStore())))
            return None
        sweep = open_sweep(RunStore(), command.sweep_id)
        commands.refuse_unknown_metric(sweep, command.metric)
        show_sweep(sweep, metric=command.metric)
        return self._unless_alone(w.SWEEPS, sweep)

    def _queue(self, _command: commands.Command, _spec: ModelSpec | str | None) -> RunQueue | None:
        from dissmodel_lab.views.queue import run_queue  # noqa: PLC0415 -- only for those who ask

        queue = run_queue()
        queue.show()
        return self._unless_alone(w.QUEUE, queue)

    def _platform(self, command: commands.Command, _spec: ModelSpec | str | None) -> Any:
        return self._answered(commands.asked_platform(command), w.PLATFORM)

    def _map(self, command: commands.Command, _spec: ModelSpec | str | None) -> MapView | None:
        from dissmodel_lab.views.explore import explore  # noqa: PLC0415 -- widgets, only when something is shown

        view = explore(*map(self._source, command.sources), basemap=command.basemap, **commands.map_options(command))
        display(view)
        return self._unless_alone(w.MAP, view)

    def _source(self, word: str) -> Any:
        """Return a variable of the notebook, where one has that name and no file has; else the word."""
        return self._namespace[word] if word in self._namespace and not Path(word).exists() else word

    def _fetch(self, command: commands.Command, _spec: ModelSpec | str | None) -> Any:
        from dissmodel_lab.views.fetch_bar import fetch_bar  # noqa: PLC0415 -- widgets, only when something is shown

        try:
            with fetch_bar() as progress:
                answer = commands.fetched(command, progress)
        except KeyboardInterrupt:
            raise UsageError(
                say("The fetch was cancelled; what came is kept, and the next fetch goes on with it.")
            ) from None
        return self._answered(answer, w.FETCH)

    def _cache(self, command: commands.Command, _spec: ModelSpec | str | None) -> Any:
        return self._answered(commands.cache_answer(command), w.CACHE)

    def _doctor(self, _command: commands.Command, _spec: ModelSpec | str | None) -> Any:
        return self._answered(commands.doctor_answer(), w.DOCTOR)

    def _answered(self, answer: commands.Answer, command: str) -> Any:
        print(printable(redact_text(answer.text)))  # noqa: T201 -- the cell's output
        return self._unless_alone(command, answer.values)

    def _form(self, command: commands.Command, spec: ModelSpec | str | None) -> None:
        from dissmodel_lab.views.form_panel import show_form  # noqa: PLC0415

        show_form(
            command.model,
            source=command.input or "",
            output=command.output or "",
            parameters=command.parameters,
            toml=spec,
            namespace=self._namespace,
            caller=self._caller(),
        )

    def _validate(self, command: commands.Command, spec: ModelSpec | str | None) -> ExperimentRecord | None:
        record = validate(
            command.model,
            source=command.input,
            parameters=command.parameters,
            output=command.output,
            toml=spec,
            namespace=self._namespace,
        )
        for warning in record.warnings:
            text = redact_text(in_language(warning))
            print(printable(say("Warning: {text}", text=text)))  # noqa: T201 -- the cell's output
        said = say("{model} can run with these parameters and this input.", model=record.model_name)
        print(printable(said))  # noqa: T201 -- as above
        return self._unless_alone(w.VALIDATE, record)

    def _show(self, command: commands.Command, _spec: ModelSpec | str | None) -> ExperimentRecord | None:
        from dissmodel_lab.views.run_panel import show_record  # noqa: PLC0415

        record = records.find(command.run_id)
        show_record(record)
        return self._unless_alone(w.SHOW, record)

    def _runs(self, command: commands.Command, _spec: ModelSpec | str | None) -> RunTable | None:
        from dissmodel_lab.views.history import RunTable  # noqa: PLC0415

        table = RunTable(RunStore(), command.query, columns=command.columns)
        table.show()
        return self._unless_alone(w.RUNS, table)

    def _changes(self, command: commands.Command, _spec: ModelSpec | str | None) -> Change | None:
        from dissmodel_lab.views.change_view import show_change  # noqa: PLC0415

        change = records.changes(command.run_id, **commands.options_of(command))
        show_change(change)
        return self._unless_alone(w.CHANGES, change)

    def _compare(self, command: commands.Command, _spec: ModelSpec | str | None) -> RunComparison | None:
        from dissmodel_lab.views.comparison import show_comparison  # noqa: PLC0415

        pair = records.find(command.run_id), records.find(command.other_id)
        comparison = records.compare(*pair, **commands.options_of(command))
        show_comparison(comparison, *pair)
        return self._unless_alone(w.COMPARE, comparison)

    def _verify(self, command: commands.Command, _spec: ModelSpec | str | None) -> Integrity | None:
        from dissmodel_lab.views.verdict import show_integrity  # noqa: PLC0415

        integrity = records.verify(command.run_id, **commands.options_of(command))
        show_integrity(integrity)
        return self._unless_alone(w.VERIFY, integrity)

    def _rerun(self, command: commands.Command, _spec: ModelSpec | str | None) -> Verdict | None:
        from dissmodel_lab.views.run_panel import watch_rerun  # noqa: PLC0415
        from dissmodel_lab.views.verdict import show_verdict  # noqa: PLC0415

        record, caller = records.find(command.run_id), self._caller()
        try:
            verdict = watch_rerun(
                lambda observers: records.rerun(
                    record, observers=observers, caller=caller, **commands.options_of(command)
                )
            )
        except KeyboardInterrupt as interrupt:
            raise UsageError(cancelled_text(interrupt)) from None
        show_verdict(verdict)
        return self._unless_alone(w.RERUN, verdict)

    def _cite(self, command: commands.Command, _spec: ModelSpec | str | None) -> str | None:
        text = records.cite(command.run_id, **commands.options_of(command))
        display({"text/plain": text, "text/markdown": text}, raw=True)
        return self._unless_alone(w.CITE, text)

    def _done(self, command: commands.Command, _spec: ModelSpec | str | None) -> None:
        print(printable(redact_text(commands.done(command))))  # noqa: T201 -- the cell's output

    def _unless_alone(self, command: str, value: _Shown) -> _Shown | None:
        """Return a value to the person who wants it; shown as a cell's own it would only be shown twice."""
        return None if _stands_alone(self._caller().cell_source, command) else value

    def _models(self, _command: commands.Command, _spec: ModelSpec | str | None) -> None:
        _show_table(*model_table(self._namespace))

    def _help(self, command: commands.Command, _spec: ModelSpec | str | None) -> None:
        print(command.text)  # noqa: T201 -- the cell's output

    _doors: dict[str, Callable[..., Any]] = {  # noqa: RUF012 -- a constant
        w.RUN: _run,
        w.FORM: _form,
        w.VALIDATE: _validate,
        w.SWEEP: _sweep,
        w.SWEEPS: _sweeps,
        w.QUEUE: _queue,
        w.PLATFORM: _platform,
        w.MAP: _map,
        w.FETCH: _fetch,
        w.CACHE: _cache,
        w.DOCTOR: _doctor,
        w.CANCEL: _done,
        w.SHOW: _show,
        w.RUNS: _runs,
        w.CHANGES: _changes,
        w.COMPARE: _compare,
        w.VERIFY: _verify,
        w.RERUN: _rerun,
        w.CITE: _cite,
        w.ANNOTATE: _done,
        w.EXPORT: _done,
        w.IMPORT: _done,
        w.REINDEX: _done,
        w.MODELS: _models,
        w.HELP: _help,
    }


def caller_of(shell: InteractiveShell) -> Caller:
    """
    Say which cell of which notebook is running, as far as the front end tells it.

    Parameters
    ----------
    shell : InteractiveShell
        The running IPython.
    """
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    source = parent.get("content", {}).get("code", "") if isinstance(parent, dict) else ""
    prompts = shell.user_ns.get("In")
    count = len(prompts) - 1 if isinstance(prompts, list) and len(prompts) > 1 else None
    return Caller(cell_source=source, notebook_path=_notebook_path(shell), execution_count=count)


def _notebook_path(shell: InteractiveShell) -> str:
    # VS Code tells it in a variable; Jupyter's servers in the environment, which is stale after a rename.
    for candidate in (shell.user_ns.get("__vsc_ipynb_file__"), os.environ.get("JPY_SESSION_NAME")):
        if isinstance(candidate, str) and candidate.endswith(".ipynb") and Path(candidate).is_file():
            return candidate
    return ""


def _stands_alone(cell_source: str, command: str) -> bool:
    """Tell whether the magic is a statement: its value would only be shown a second time."""
    return bool(re.search(rf"(?m)^\s*%%?dissmodel\s+{command}\b", cell_source))


def _show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> None:
    from dissmodel_lab.views.listing import table_html  # noqa: PLC0415

    text = table_text(columns, rows, empty)
    display({"text/plain": text, "text/html": table_html(columns, rows, empty)}, raw=True)


@context_matcher(identifier="dissmodel_lab.magic", priority=200)  # type: ignore[untyped-decorator]
def complete_magic(context: Any) -> dict[str, Any]:
    """
    Complete ``%dissmodel`` for IPython's completer.

    Parameters
    ----------
    context : IPython.core.completer.CompletionContext
        The cell's text and the cursor.
    """
    from IPython.core.getipython import get_ipython  # noqa: PLC0415

    line = context.full_text.split("\n")[context.cursor_line][: context.cursor_position]
    found = _LINE.search(line)
    if found is None:
        return {"completions": []}
    shell = get_ipython()
    namespace = shell.user_ns if shell is not None else {}
    offered = commands.complete(_GRAMMAR, found.group(1), namespace=namespace, store=RunStore())
    return {
        "completions": [SimpleCompletion(text=word, type="param") for word in offered.words],
        "matched_fragment": offered.fragment,
        "suppress": bool(offered.words),
        "ordered": True,
    }


def load(shell: InteractiveShell) -> None:
    """
    Register the magic and its completion.

    Parameters
    ----------
    shell : InteractiveShell
        The running IPython.
    """
    _allow_maps_in_colab()
    shell.register_magics(DissmodelMagics)
    if complete_magic not in shell.Completer.custom_matchers:
        shell.Completer.custom_matchers.append(complete_magic)


def _allow_maps_in_colab() -> None:
    # Colab draws widgets of other packages, such as maps, only when it is asked to.
    output = getattr(sys.modules.get("google.colab"), "output", None)
    if output is None:
        return
    try:
        output.enable_custom_widget_manager()
    except Exception as error:  # noqa: BLE001 -- Colab's own; without it all but the widgets works
        said = say(
            "Colab's widget manager could not be turned on ({error}): maps to explore and forms are not drawn; runs, "
            "pictures and tables are. Try: from google.colab import output; output.enable_custom_widget_manager()",
            error=error,
        )
    else:
        said = say(
            "Colab draws the maps and forms with a widget manager that it fetches from its own servers; it is on "
            "now. To turn it off: google.colab.output.disable_custom_widget_manager()"
        )
    print(said)  # noqa: T201 -- said under the cell that loads


def unload(shell: InteractiveShell) -> None:
    """
    Take the magic and its completion away again.

    Parameters
    ----------
    shell : InteractiveShell
        The running IPython.
    """
    if complete_magic in shell.Completer.custom_matchers:
        shell.Completer.custom_matchers.remove(complete_magic)
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("dissmodel", None)
