"""The form of a model: its parameters to fill in, checked as they are typed, and a button to run it.

The form runs nothing itself: it hands a :class:`RunRequest` to whoever made it. What is entered can be
loaded from and saved to TOML, and copied as the cell that does the same.
"""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from dissmodel_lab.errors import LabError, ParameterError
from dissmodel_lab.language import in_language, mark, message, say, say_in
from dissmodel_lab.models.words import own_words
from dissmodel_lab.parameters import Location, ModelSpec, OpenTable, parameter_problems, write_spec
from dissmodel_lab.plain import printable
from dissmodel_lab.redaction import SecretValues, is_secret_name, redact_text
from dissmodel_lab.views.access import accessible
from dissmodel_lab.views.form.controls import LABEL_WIDTH, TOLD_WHEN_LEFT, Message
from dissmodel_lab.views.form.fields import one_line, value_text
from dissmodel_lab.views.form.file import path_of, text_to_keep, uploaded_spec, write_whole
from dissmodel_lab.views.form.groups import Table
from dissmodel_lab.views.form.text import (
    cell_text,
    form_table,
    location_text,
    unknown_places,
    unwritable_nones,
    without_secrets,
)
from dissmodel_lab.views.markup import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pydantic import BaseModel

_SOURCE: Location = ("--input",)  # no parameter can have this name

# Said, because outside of a text field the notebook takes letters and arrows for its own commands.
_KEYS = mark("By keyboard: Tab goes on, Space ticks a box or opens a list, Enter presses a button.")

# Colours come from the front end's theme; the fallbacks read on white and on black.
_STYLE = """<style>
.dl-form { max-width: 860px; padding: 4px 12px 12px 4px; container-type: inline-size; }
.dl-form .widget-inline-hbox { height: auto; min-height: var(--jp-widgets-inline-height, 28px); }
.dl-form .widget-inline-hbox > .widget-label { white-space: normal; overflow-wrap: anywhere; text-align: left;
  line-height: 1.3; padding-top: 5px; height: auto; }
.dl-form .widget-checkbox { min-height: 22px; align-items: center; }
.dl-form .widget-checkbox > .widget-label-basic { display: flex; flex-direction: row-reverse;
  justify-content: flex-end; align-items: center; }
.dl-form .widget-checkbox > .widget-label-basic > span { width: LABEL; margin-right: 8px; line-height: 1.3;
  white-space: normal; }
.dl-form select { height: var(--jp-widgets-inline-height, 28px); }
.dl-form .dl-row { margin-bottom: 6px; overflow: visible; }
.dl-form .dl-hint, .dl-form .dl-hint .widget-html-content { font-size: 12px; line-height: 1.35; opacity: .8;
  min-height: 0; white-space: normal; }
.dl-form .dl-error, .dl-form .dl-error .widget-html-content { color: var(--jp-error-color1, #c62828); font-size: 13px;
  line-height: 1.4; font-weight: 600; white-space: normal; }
.dl-form .dl-invalid input, .dl-form .dl-invalid select, .dl-form .dl-invalid textarea {
  border-color: var(--jp-error-color1, #c62828); border-width: 2px; }
.dl-form .dl-group { border-left: 3px solid #8888; padding-left: 12px; margin: 6px 0 10px 0; }
.dl-form .dl-buttons { flex-wrap: wrap; overflow: visible; }
.dl-form .dl-buttons button { flex-shrink: 0; }
.dl-form .dl-status .widget-html-content { line-height: 1.45; white-space: pre-wrap; overflow-wrap: anywhere; }
.dl-form .dl-cell textarea { font-family: var(--jp-code-font-family, monospace); font-size: 13px;
  white-space: pre; }
.dl-form button:focus-visible, .dl-form input:focus-visible, .dl-form select:focus-visible,
.dl-form textarea:focus-visible { outline: 2px solid var(--jp-brand-color1, #1976d2); outline-offset: 1px; }
@container (max-width: 560px) {
  .dl-form .widget-inline-hbox, .dl-form .dl-numbers { flex-direction: column; align-items: stretch; }
  .dl-form .widget-inline-hbox > .widget-label { width: auto !important; }
  .dl-form .dl-field, .dl-form .widget-slider, .dl-form .widget-inline-hbox > * { flex: 0 0 auto !important; }
  .dl-form .dl-hint, .dl-form .dl-error, .dl-form .dl-buttons { margin-left: 2px !important; }
}
</style>""".replace("LABEL", LABEL_WIDTH)


#: Where a run can take place: what a person chooses from -> its words in a command.
HERE, WORKER, BACKGROUND = "here", "worker", "background"
ENGINES = {
    mark("in this notebook's own process"): (HERE, ()),
    mark("in a worker process; the notebook waits"): (WORKER, ("--engine", "process")),
    mark("in the background; the notebook stays free"): (BACKGROUND, ("--engine", "process", "--background")),
}


@dataclass(frozen=True)
class RunRequest:
    """What a person asks for by clicking Run."""

    model_name: str
    parameters: dict[str, Any]
    """Plain values by name; they have passed the schema."""
    source: str = ""
    """Path or URI of the input; empty for the model's sample."""
    output: str = ""
    """Where to write; empty for a folder of the run's own."""
    engine: str = HERE
    """Where it shall run: :data:`HERE`, :data:`WORKER` or :data:`BACKGROUND`."""


class ParameterForm:
    """
    A model's parameters to fill in.

    Parameters
    ----------
    model_name : str
        As ``%dissmodel run`` takes it.
    schema : type
        The declared parameters, a pydantic model.
    values : mapping, optional
        Values other than the defaults.
    source, output : str
        What stands in the fields of the input and the output.
    on_run : callable, optional
        Takes a :class:`RunRequest`; without it there is no Run button. It returns when the run is over, or at once:
        with a future of the run's end, or with a sentence on a run that goes on by itself.
    description : str
        Its first line stands under the model's name.
    needs_source : bool
        Whether an input must be named, because the model has no sample.
    adapt : callable, optional
        Takes the values of a TOML file and returns the schema anew: for a model that declares nothing,
        and shows the tables that the file holds.
    advise : callable, optional
        Takes what is entered and returns name -> sentence: what a person should know, and may leave so.
    offers_engines : bool
        Whether a person can choose where the model runs.

    Raises
    ------
    ParameterError
        When ``values`` has a name that the schema does not know.

    Attributes
    ----------
    widget : ipywidgets.VBox
        The form.
    errors : list of BaseException
        What ``on_run`` and the schema's own checks raised.

    Examples
    --------
    >>> from pydantic import create_model, Field
    >>> form = ParameterForm("flood", create_model("P", years=(int, Field(20, ge=1, le=500))))
    >>> form.set_values({"years": 501})
    >>> form.problems
    {('years',): '1 to 500 is allowed, got 501.'}
    """

    def __init__(
        self,
        model_name: str,
        schema: type[BaseModel],
        *,
        values: Mapping[str, Any] | None = None,
        source: str = "",
        output: str = "",
        on_run: Callable[[RunRequest], Future[None] | str | None] | None = None,
        description: str = "",
        needs_source: bool = False,
        adapt: Callable[[Mapping[str, Any]], type[BaseModel]] | None = None,
        advise: Callable[[Mapping[str, Any]], Mapping[str, str]] | None = None,
        offers_engines: bool = False,
    ) -> None:
        self.model_name = model_name
        self.schema = schema
        self.errors: list[BaseException] = []
        self._on_run = on_run
        self._needs_source = needs_source
        self._adapt, self._advise = adapt, advise
        self._began: dict[str, Any] = dict(values or {})
        self._is_running = False
        self._listeners: list[Callable[[], None]] = []
        self._failure = ""  # of the last run; stays until the next one
        self._note = ""  # what the last button did; goes with the next edit
        self._base = ""  # the loaded TOML, for its comments
        self._refuse_unknown(values or {})
        self._parameters = Table(schema, (), self._edited)
        self._parameters.set(values or {})
        self._source = _path_entry(say("input"), "dl-input", source, _source_placeholder(needs_source=needs_source))
        own_folder = say("a folder of its own under experiments/")
        self._output = _path_entry(say("output"), "dl-output", output, own_folder)
        self._source_message = Message(_SOURCE)
        self._engine = _engine_choice(is_shown=offers_engines)
        self._make_buttons()
        self.widget = self._layout(description)
        self._refresh()

    @property
    def values(self) -> dict[str, Any]:
        """What is entered, by name; a field without a value is absent."""
        return dict(self._parameters.get())

    @property
    def source(self) -> str:
        """Path or URI of the input; empty for the model's sample."""
        return str(self._source.value).strip()

    @property
    def output(self) -> str:
        """Where to write; empty for a folder of the run's own."""
        return str(self._output.value).strip()

    @property
    def engine(self) -> str:
        """Where the model shall run."""
        return _engine_at(self._engine.index)[0]

    @property
    def problems(self) -> dict[Location, str]:
        """What is wrong: place -> sentence; empty when the model can run."""
        problems: dict[Location, str] = {}
        if self._needs_source and not self.source:
            problems[_SOURCE] = message("this model has no sample input; name a file or a URI.")
        try:
            problems |= parameter_problems(self.schema, self.values)
        except Exception as error:  # noqa: BLE001 -- the schema's own validators may raise anything
            self._keep(error)
            problems[()] = message("the model's own check of the values broke. {error}", error=_error_text(error))
        return problems

    def set_values(self, values: Mapping[str, Any]) -> None:
        """
        Enter some values, right or wrong, and leave the others as they are.

        Parameters
        ----------
        values : mapping
            Name -> value.

        Raises
        ------
        ParameterError
            When the schema does not know a name; nothing is entered then.
        """
        self._refuse_unknown(values)
        self._parameters.update(values)
        self._note = ""
        self._refresh()

    def reset(self) -> None:
        """Enter the schema's defaults, or what the form began with where nothing is declared."""
        is_open = issubclass(self.schema, OpenTable)
        self._parameters.set(self._began if is_open else {})
        self._note = say("All parameters are as they were." if is_open else "All parameters are at their defaults.")
        self._refresh()

    def as_cell(self) -> str:
        """
        Return the ``%%dissmodel run`` cell that does what the form does.

        Raises
        ------
        ParameterError
            When a value cannot be written as TOML.
        """
        options = _engine_at(self._engine.index)[1]
        return cell_text(
            self.model_name, self.schema, self.values, source=self.source, output=self.output, options=options
        )

    def load(self, path: str | Path) -> None:
        """
        Enter the parameters of a TOML file, and the defaults for those that it does not name.

        Parameters
        ----------
        path : str or Path
            What is wrong with the file is raised, and the form stays as it was.

        Raises
        ------
        ParameterError
            When the file cannot be read, or is not TOML (with line and column).
        """
        self._enter(ModelSpec.from_path(path_of(path)), str(path))

    def save(self, path: str | Path) -> None:
        """
        Write the parameters to a TOML file; what an existing one holds besides is kept, comments included.

        Parameters
        ----------
        path : str or Path
            A new file, or one whose ``[model]`` is this model.

        Raises
        ------
        ParameterError
            When a value needs attention, or the file is not this model's, not TOML or cannot be written.
        """
        if problems := self.problems:
            raise ParameterError(message("Not saved: {problems}", problems=_attention(problems)))
        target = path_of(path)
        values, secrets = without_secrets(self.schema, self.values)
        left_empty = {name: None for name in self._parameters.controls if name not in self.values}
        base = text_to_keep(target, self.model_name) or self._base
        write_whole(target, write_spec(self.model_name, {**left_empty, **values}, onto=base))
        self._note = " ".join(
            [say("Saved to {path!r}.", path=str(path)), *_left_out(secrets, unwritable_nones(self.schema, values))]
        )
        self._refresh()

    def run(self) -> None:
        """
        Do what the Run button does: hand what is entered to ``on_run``, unless something is wrong.

        What ``on_run`` raises is shown in the status line and kept in :attr:`errors`.
        """
        request = RunRequest(self.model_name, self.values, self.source, self.output, self.engine)
        if self.problems or self._is_running or self._on_run is None:
            self._refresh()
            return
        self._is_running, self._failure, self._note = True, "", say("Running ...")
        self._refresh()
        try:
            ending = self._on_run(request)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 -- a widget would swallow it; here it is shown and kept
            self._ended(error)
            return
        if isinstance(ending, Future):
            ending.add_done_callback(lambda future: self._ended(future.exception()))
        else:
            self._ended(None, ending if isinstance(ending, str) else "")

    def _ended(self, error: BaseException | None, said: str = "") -> None:
        """Say how the run ended, or what else became of it."""
        self._is_running = False
        if error is None:
            self._note = said or say("The run has ended.")
        else:
            self._keep(error)
            self._note = ""
            is_cancelled = isinstance(error, KeyboardInterrupt)
            self._failure = (
                say("The run was cancelled.") if is_cancelled else self._without_secrets(_error_text(error))
            )
        self._refresh()

    def on_change(self, call: Callable[[], None]) -> None:
        """
        Have a function called whenever what is entered has changed.

        Parameters
        ----------
        call : callable
            Of a part of the form that depends on the rest of it.
        """
        self._listeners.append(call)

    def add_section(self, widget: Any) -> None:
        """
        Put something between the parameters and the Run button, such as the ranges of a sweep.

        Parameters
        ----------
        widget : ipywidgets.Widget
            It stays when the parameters are laid out anew.
        """
        self._sections.children = (*self._sections.children, widget)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:  # noqa: ARG002
        bundle: dict[str, Any] = dict(self.widget._repr_mimebundle_())
        values, _ = without_secrets(self.schema, self.values)
        listing = ", ".join(f"{name} = {in_language(value_text(value))}" for name, value in values.items())
        text = say("Form of {model}: {values}", model=self.model_name, values=listing or message("no parameters"))
        return bundle | {
            "text/plain": printable(redact_text(text)),
            "text/html": form_table(self.model_name, self.schema, self.values),
        }

    def _make_buttons(self) -> None:
        self._run_button = _button(
            say_in("verb, a button", "Run"), "dl-run", lambda _button: self.run(), icon="play", button_style="primary"
        )
        self._run_button.layout.display = None if self._on_run else "none"
        self._toml_path = _path_entry(say("TOML file"), "dl-toml-path", "", "parameters.toml")
        self._upload = widgets.FileUpload(
            accept=".toml", description=say("Upload TOML"), layout=widgets.Layout(width="auto")
        )
        self._upload.add_class("dl-upload")
        self._upload.observe(self._uploaded, "value")
        self._status = widgets.HTML()
        self._status.add_class("dl-status")
        self._cell = widgets.Textarea(
            description=say("cell to copy"),
            style={"description_width": LABEL_WIDTH},
            layout=widgets.Layout(width="auto", display="none"),
        )
        self._cell.add_class("dl-cell")
        # Not disabled: a disabled box cannot be reached by keyboard. Typing into it is undone instead.
        self._cell.observe(lambda _change: self._show_cell(), "value")

    def _layout(self, description: str) -> Any:
        first_line = escape(in_language(own_words(next(iter(description.strip().splitlines()), ""))))
        heading = widgets.HTML(
            f'<div role="heading" aria-level="3" style="font-size:18px;font-weight:600">'
            f"{escape(self.model_name)}</div><div>{first_line}</div>"
        )
        keys = widgets.HTML(say(_KEYS))
        keys.add_class("dl-hint")
        none = [] if self.schema.model_fields else [widgets.HTML(say("This model declares no parameters."))]
        self._body = widgets.VBox([self._parameters.widget])
        buttons = [
            self._run_button,
            _button(say("Reset"), "dl-reset", lambda _button: self.reset(), icon="undo"),
            _button(say("Copy as cell"), "dl-copy", self._copy, icon="copy"),
        ]
        files = [
            _button(say("Load TOML"), "dl-load", lambda _button: self._with_path(self.load)),
            _button(say("Save TOML"), "dl-save", lambda _button: self._with_path(self.save)),
            self._upload,
        ]
        self._sections = widgets.VBox()
        for widget in (self._source, self._output, self._engine):
            widget.observe(lambda _change: self._edited(), "value")
        form = widgets.VBox(
            [
                widgets.HTML(_STYLE, layout=widgets.Layout(display="none")),
                heading,
                keys,
                self._source,
                self._source_message.widget,
                self._output,
                _rule(),
                *none,
                self._body,
                self._sections,
                _rule(),
                self._engine,
                self._status,
                _row(buttons),
                self._cell,
                self._toml_path,
                _row(files, margin=f"0 0 0 {LABEL_WIDTH}"),
            ]
        )
        form.add_class("dl-form")
        return accessible(form)

    def _edited(self) -> None:
        self._note = ""
        self._refresh()

    def _refresh(self) -> None:
        problems = self.problems
        self._source_message.show({(): problems[_SOURCE]} if _SOURCE in problems else {})
        self._parameters.show({place: said for place, said in problems.items() if place != _SOURCE})
        self._run_button.disabled = bool(problems) or self._is_running
        if self._cell.layout.display != "none":
            self._show_cell()
        fine = say("Ready to run." if self._on_run else "All values are fine.")
        state = in_language(_attention(problems)) if problems else fine
        self._say([self._failure, self._note, *self._advice(), "" if self._is_running else state])
        for listener in self._listeners:
            listener()

    def _advice(self) -> list[str]:
        said = self._advise(self.values) if self._advise and not self._is_running else {}
        # "password: it is never read" would read as a password wherever secrets are hidden.
        return [
            f"{say('{name} (a secret)', name=one_line(name)) if is_secret_name(name) else one_line(name)}: "
            f"{redact_text(in_language(sentence))}"
            for name, sentence in said.items()
        ]

    def _say(self, sentences: list[str]) -> None:
        text = "\n".join(escape(sentence) for sentence in sentences if sentence)
        shown = f'<div role="status" aria-live="polite">{text}</div>'
        if self._status.value != shown:  # the same text again would be read aloud again
            self._status.value = shown

    def _without_secrets(self, text: str) -> str:
        """Hide what a model wrote bare of the secrets that were entered here."""
        known = SecretValues()
        known.add(self.values, self.source)
        with suppress(Exception):  # as the model gets them, fields that are declared secret tell it themselves
            known.add(vars(self.schema.model_validate(self.values)))
        return known.hide(text)

    def _keep(self, error: BaseException) -> None:
        if not self.errors or repr(self.errors[-1]) != repr(error):  # a check fails again with every key typed
            self.errors.append(error)

    def _copy(self, _button: Any) -> None:
        said = say("Select the text of the cell below and copy it.")
        self._note = " ".join([said, *_left_out([], unwritable_nones(self.schema, self.values))])
        self._cell.layout.display = None
        self._refresh()

    def _show_cell(self) -> None:
        try:
            text = self.as_cell()
        except ParameterError as error:
            text, self._note = "", redact_text(say("No cell can say this. {error}", error=error.said))
        self._cell.rows = min(max(text.count("\n") + 2, 4), 24)
        if self._cell.value != text:
            self._cell.value = text

    def _with_path(self, action: Callable[[str], None]) -> None:
        path = str(self._toml_path.value).strip()
        self._telling(lambda: action(path), "" if path else message("Name a TOML file first."))

    def _uploaded(self, change: Any) -> None:
        for file in change["new"]:
            self._telling(partial(self._enter_upload, file))
        if change["new"]:
            self._upload.value = ()  # the same file can be chosen again

    def _enter_upload(self, file: Mapping[str, Any]) -> None:
        self._enter(uploaded_spec(file), one_line(file["name"]))

    def _telling(self, action: Callable[[], None], refusal: str = "") -> None:
        """Do what a button asks for; what is wrong with a file is said in the status line."""
        try:
            if refusal:
                raise ParameterError(refusal)
            action()
        except LabError as error:
            self._note = redact_text(error.said)
            self._refresh()
        except (OSError, ValueError, RuntimeError) as error:  # of the file system: a widget would swallow it
            self._keep(error)
            self._note = redact_text(f"{type(error).__name__}: {error}")
            self._refresh()

    def _enter(self, spec: ModelSpec, origin: str) -> None:
        if self._adapt is not None:
            self._began = dict(spec.parameters)
            self.schema = self._adapt(spec.parameters)
            self._parameters = Table(self.schema, (), self._edited)
            self._body.children = (self._parameters.widget,)
        unknown = unknown_places(self.schema, spec.parameters)
        self._parameters.set(spec.parameters)
        is_own = spec.model in ("", self.model_name)
        self._base = spec.text if is_own and "model" in spec.document else ""
        sentences = [say("Loaded {path!r}.", path=origin)]
        if not is_own:
            sentences.append(
                say(
                    "It is written for the model {owner!r}, not for {model!r}.",
                    owner=spec.model,
                    model=self.model_name,
                )
            )
        sentences += [
            say("ignored: {place!r}. {advice}", place=location_text(place), advice=text)
            for place, text in unknown.items()
        ]
        self._note = " ".join(sentences)
        self._refresh()

    def _refuse_unknown(self, values: Mapping[str, Any]) -> None:
        for place, text in unknown_places(self.schema, values).items():
            raise ParameterError(
                message(
                    "Unknown parameter {place!r} of {model}. {advice}",
                    place=location_text(place),
                    model=self.model_name,
                    advice=text,
                )
            )


def _source_placeholder(*, needs_source: bool) -> str:
    return say("path or URI of the input" if needs_source else "sample input of the model")


def _path_entry(label: str, css_class: str, value: str, placeholder: str) -> Any:
    entry = widgets.Text(
        **TOLD_WHEN_LEFT,
        value=value,
        placeholder=placeholder,
        description=label,
        style={"description_width": LABEL_WIDTH},
        layout=widgets.Layout(width="auto", max_width="600px"),
    )
    entry.add_class(css_class)
    return entry


def _engine_at(index: int) -> tuple[str, tuple[str, ...]]:
    return list(ENGINES.values())[index]


def _engine_choice(*, is_shown: bool) -> Any:
    choice = widgets.Dropdown(
        options=[say(words) for words in ENGINES],
        description=say("run it"),
        style={"description_width": LABEL_WIDTH},
        layout=widgets.Layout(width="auto", max_width="600px", display=None if is_shown else "none"),
    )
    choice.add_class("dl-engine")
    return choice


def _button(label: str, css_class: str, on_click: Callable[[Any], None], **traits: Any) -> Any:
    button = widgets.Button(description=label, layout=widgets.Layout(width="auto", min_width="92px"), **traits)
    button.add_class(css_class)
    button.on_click(on_click)
    return button


def _row(children: list[Any], margin: str = "0") -> Any:
    row = widgets.HBox(children, layout=widgets.Layout(margin=margin))
    row.add_class("dl-buttons")
    return row


def _rule() -> Any:
    return widgets.Box(layout=widgets.Layout(border_top="1px solid #8886", margin="8px 0"))


def _attention(problems: Mapping[Location, str]) -> str:
    names = list(dict.fromkeys("input" if place == _SOURCE else location_text(place) for place in problems))
    if len(names) == 1:
        return message("1 value needs attention: {name}.", name=names[0])
    return message("{n} values need attention: {names}.", n=len(names), names=", ".join(map(in_language, names)))


def _error_text(error: BaseException) -> str:
    # A LabError is a whole sentence for the person; anything else came from the model.
    return redact_text(
        error.said
        if isinstance(error, LabError)
        else say("It failed with {kind}: {error}", kind=type(error).__name__, error=error)
    )


def _left_out(secrets: list[str], nones: list[str]) -> list[str]:
    said = [say("Left out, because they are secrets: {names}.", names=", ".join(secrets))] if secrets else []
    if nones:
        instead = say(
            "TOML has no word for none, so the default is taken instead for: {names}.", names=", ".join(nones)
        )
        said.append(instead)
    return said
