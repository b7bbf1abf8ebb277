"""The part of a form that starts a sweep: tick a parameter, give its range, see at once how many runs that makes."""

from __future__ import annotations

import re
import shlex
import time
from dataclasses import MISSING, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import ipywidgets as widgets

from dissmodel_lab.errors import LabError, SweepError
from dissmodel_lab.language import in_language, mark, message, say, say_in
from dissmodel_lab.parameters import OpenTable
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.sweeps.design import SEED
from dissmodel_lab.sweeps.fields import wanted
from dissmodel_lab.sweeps.planning import MANY, MOST, plan_sweep
from dissmodel_lab.sweeps.ranges import make_axis
from dissmodel_lab.sweeps.samples import check_sampling, count_settings
from dissmodel_lab.views.form.controls import LABEL_WIDTH, TOLD_WHEN_LEFT, class_name
from dissmodel_lab.views.form.fields import FieldFacts, Kind, allowed, describe, number_text, plain, toml_value
from dissmodel_lab.views.form.text import cell_text, without_secrets
from dissmodel_lab.views.markup import escape, label_traits
from dissmodel_lab.views.sweep import SweepOutputs, show_sweep
from dissmodel_lab.views.sweep_text import design_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

    from dissmodel_lab.parameters import Location
    from dissmodel_lab.sweeps import Sweep
    from dissmodel_lab.sweeps.design import Axis

#: Parameters that have a line of their own; the others are added by name.
MOST_LINES = 40
_SAMPLES = [
    (mark("all combinations (grid)"), "grid"),
    (mark("Latin hypercube (lhs)"), "lhs"),
    (mark("Sobol' sequence (sobol)"), "sobol"),
    (mark("Morris, for screening (morris)"), "morris"),
    (mark("Saltelli, for Sobol' indices (saltelli)"), "saltelli"),
]
_SLOW = 0.2
"""Where a check takes longer [s], it waits until a field is left."""
_VARIED = (Kind.NUMBER, Kind.CHOICE, Kind.FLAG, Kind.DATE, Kind.TEXT, Kind.VALUE)
_HOW = mark(
    "A range is low:high:count, such as 0.1:2.0:20, with :log behind it for equal steps of the logarithm; "
    "a list is 4,5,6. A design that samples needs no count."
)
_LONGEST = 20
"""Longest list of choices that is filled in."""
_STEPS, _WIDE = 5, 1e9
"""Values of a range that is proposed, and the widest range."""
_SMALL = "font-size:12px;line-height:1.35"


class Entered(Protocol):
    """What is read of the parameter form; :class:`~dissmodel_lab.views.form.ParameterForm` is one."""

    model_name: str
    schema: type[BaseModel]

    @property
    def values(self) -> dict[str, Any]:
        """What is entered."""

    @property
    def source(self) -> str:
        """The input."""

    @property
    def problems(self) -> dict[Location, str]:
        """What is wrong."""

    def add_section(self, widget: Any) -> None:
        """Put a part between the parameters and the Run button."""


@dataclass(frozen=True, kw_only=True)
class SweepRequest:
    """What a person asks for by clicking Sweep: arguments of :func:`dissmodel_lab.sweep`."""

    axes: dict[str, str]
    """Parameter -> its range or list, as it was written."""
    sample: str = "grid"
    samples: int | None = None
    seeds: int = 1
    parameters: dict[str, Any] = field(default_factory=dict)
    """Values that differ from the defaults and are the same in all runs."""
    source: str = ""
    confirmed: bool = False
    """That more than 10,000 runs are meant."""


class SweepForm:
    """
    The ranges of a sweep to fill in; the values of the other parameters come from the parameter form.

    Parameters
    ----------
    form : ParameterForm
        Of the model. This part is added to it, folded up, and makes its lines when it is unfolded.
    model : str or type
        What is swept, as :func:`dissmodel_lab.run` takes it.
    start : callable
        Takes a :class:`SweepRequest` and returns a sweep that is at work.
    namespace : mapping, optional
        The notebook's variables.
    toml : ModelSpec or str, optional
        Where values come from that the form does not show.

    Attributes
    ----------
    lines : dict
        Parameter -> its line: tick box, range and message.
    errors : list of BaseException
        What a click ran into; a widget would swallow it.
    sweep : Sweep or None
        The last one that was started here.
    """

    def __init__(
        self,
        form: Entered,
        model: Any,
        start: Callable[[SweepRequest], Sweep],
        *,
        namespace: Mapping[str, Any] | None = None,
        toml: Any = None,
    ) -> None:
        self._form, self._model, self._start = form, model, start
        self._namespace, self._toml = namespace, toml
        self.lines: dict[str, _Line] = {}
        self.errors: list[BaseException] = []
        self.sweep: Sweep | None = None
        self._outputs: SweepOutputs | None = None
        self._note = ""
        self._is_ready = False
        self._make_controls()
        # Not an Accordion: its header is a box without a place in the order of Tab, and no key unfolds it.
        self.fold = widgets.ToggleButton(
            description=say("Sweep: vary parameters"), icon="caret-right", layout=widgets.Layout(width="auto")
        )
        self._body = widgets.VBox(layout=widgets.Layout(display="none", margin="4px 0 4px 12px"))
        self.widget = widgets.VBox([self.fold, self._body])
        self.widget.add_class("dl-sweep-form")
        self.fold.observe(self._folded, "value")
        form.add_section(self.widget)

    def open(self) -> None:
        """Make room in the cell for the sweep that a click starts."""
        self._outputs = SweepOutputs()
        self._outputs.reserve()

    def unfold(self) -> None:
        """Make the lines, when they are not there yet, and judge what is entered."""
        self.fold.value = True
        if not self._is_ready:
            self._is_ready = True
            self._make_lines()
        self.refresh()

    def tick(self, name: str, said: str) -> None:
        """
        Vary a parameter.

        Parameters
        ----------
        name : str
            Of the parameter.
        said : str
            Its range or list.

        Raises
        ------
        KeyError
            When the model has no such parameter that can be varied.
        """
        self.unfold()
        if name not in self.lines:
            self._add_line(self._others[name])
        line = self.lines[name]
        line.box.value = True
        line.text.value = said

    @property
    def request(self) -> SweepRequest:
        """
        What is entered.

        Raises
        ------
        SweepError
            When a number cannot be read.
        """
        axes = {name: line.text.value.strip() for name, line in self.lines.items() if line.box.value}
        sample = str(self.sample.value)
        return SweepRequest(
            axes=axes,
            sample=sample,
            samples=None if sample == "grid" else _whole(self.samples.value),
            seeds=int(self.seeds.value),
            parameters=self._fixed(axes),
            source=self._form.source,
            confirmed=bool(self.confirmed.value),
        )

    def as_cell(self) -> str:
        """
        Return the cell that does what a click on Sweep does: one line, unless other values differ from the defaults.

        Raises
        ------
        LabError
            When something is entered that a cell cannot say.
        """
        request = self.request
        options = [part for name, said in request.axes.items() for part in ("--param", shlex.quote(f"{name}={said}"))]
        options += ["--sample", request.sample] if request.sample != "grid" else []
        options += ["--samples", str(request.samples)] if request.samples is not None else []
        options += ["--seeds", str(request.seeds)] if request.seeds > 1 else []
        if any(re.search(r"[\r\n]", option) for option in options):
            raise SweepError(message("A range cannot hold a line break."))
        values = request.parameters
        text = cell_text(self._form.model_name, self._form.schema, values, source=request.source, options=options)
        first, _, rest = text.partition("\n")
        first = first.replace("%%dissmodel run ", "%%dissmodel sweep ", 1)
        return f"{first}\n{rest}" if values else first.removeprefix("%")

    def refresh(self) -> None:
        """Say how many runs this makes, or what is wrong; to be called when the parameter form has changed, too."""
        if not self._is_ready:
            return
        began = time.perf_counter()
        is_fine, said = self._judged()
        is_slow = time.perf_counter() - began > _SLOW
        for line in self.lines.values():
            line.text.continuous_update = not is_slow
        self.button.disabled = not is_fine
        self.samples.layout.display = "none" if self.sample.value == "grid" else None
        self._say([self._note, said])
        if self.cell.layout.display != "none":
            self._show_cell()

    def start(self) -> None:
        """Do what the Sweep button does; what goes wrong is said in the status line and kept in :attr:`errors`."""
        try:
            self.sweep = self._start(self.request)
            self._note = say(
                "Sweep {sweep} goes on in the background, below; the notebook stays free.", sweep=self.sweep.id[:8]
            )
            if self._outputs is None:
                self._outputs = SweepOutputs()
            self._outputs.clear()
            show_sweep(self.sweep, self._outputs, background=True)
        except LabError as error:
            self.errors.append(error)
            self._note = redact_text(error.said)
        except Exception as error:  # noqa: BLE001 -- a widget would swallow it; here it is shown and kept
            self.errors.append(error)
            self._note = redact_text(say("It failed with {problem}", problem=f"{type(error).__name__}: {error}"))
        self.refresh()

    def _folded(self, change: Any) -> None:
        is_open = bool(change["new"])
        self.fold.icon = "caret-down" if is_open else "caret-right"
        self._body.layout.display = None if is_open else "none"
        if is_open:
            self.unfold()

    def _make_controls(self) -> None:
        self.sample = _labelled(
            widgets.Dropdown, say("combinations"), options=[(say(label), value) for label, value in _SAMPLES]
        )
        self.samples = _labelled(
            widgets.Text, say("how many"), **TOLD_WHEN_LEFT, placeholder=say("as many as are usual")
        )
        self.seeds = _labelled(widgets.BoundedIntText, say("seeds"), value=1, min=1, max=10_000)
        self.confirmed = widgets.Checkbox(indent=False, layout=widgets.Layout(display="none", width="auto"))
        self.button = widgets.Button(
            description=say_in("verb, a button", "Sweep"), icon="th", button_style="primary", disabled=True
        )
        self.button.add_class("dl-sweep-start")
        self.button.on_click(lambda _button: self.start())
        self.copy = widgets.Button(description=say("Copy as cell"), icon="copy")
        self.copy.add_class("dl-sweep-copy")
        self.copy.on_click(lambda _button: self._copy())
        self.cell = _labelled(widgets.Textarea, say("cell to copy"), rows=3)
        self.cell.layout.display, self.cell.layout.max_width = "none", None
        self.cell.add_class("dl-cell")
        self._status = widgets.HTML()
        self._status.add_class("dl-status")
        for control in (self.sample, self.samples, self.seeds, self.confirmed):
            control.observe(lambda _change: self._edited(), "value")

    def _make_lines(self) -> None:
        facts = [fact for fact in describe(self._form.schema) if fact.kind in _VARIED and not fact.is_secret]
        for fact in facts[:MOST_LINES]:
            self.lines[fact.name] = _Line(fact, self._edited)
        self._others = {fact.name: fact for fact in facts[MOST_LINES:]}
        self._lines_box = widgets.VBox([line.widget for line in self.lines.values()])
        self._more = _labelled(
            widgets.Combobox, say("another parameter"), options=tuple(self._others), ensure_option=True
        )
        self._more.layout.display = None if self._others else "none"
        self._more.observe(self._added, "value")
        has_seed = SEED in self._form.schema.model_fields or issubclass(self._form.schema, OpenTable)
        self.seeds.layout.display = None if has_seed else "none"
        none = [] if facts else [widgets.HTML(escape(say("This model has no parameters that can be varied.")))]
        how = widgets.HTML(f'<div style="{_SMALL};opacity:0.8">{escape(say(_HOW))}</div>')
        buttons = widgets.HBox([self.button, self.copy])
        self._body.children = (
            how,
            *none,
            self._lines_box,
            self._more,
            self.sample,
            self.samples,
            self.seeds,
            self._status,
            self.confirmed,
            buttons,
            self.cell,
        )

    def _add_line(self, fact: FieldFacts) -> None:
        self.lines[fact.name] = _Line(fact, self._edited)
        self._lines_box.children = (*self._lines_box.children, self.lines[fact.name].widget)

    def _added(self, change: Any) -> None:
        fact = self._others.get(change["new"])
        if fact is not None and fact.name not in self.lines:
            self._add_line(fact)
            self.lines[fact.name].box.value = True
        if change["new"]:
            self._more.value = ""

    def _edited(self) -> None:
        self._note = ""
        self.refresh()

    def _judged(self) -> tuple[bool, str]:
        """Return whether a sweep can start, and how many runs it is or what is wrong."""
        try:
            request = self.request
            axes = self._axes(request)
            if axes is None:
                return False, say("A range needs attention.")
            if not axes:
                return False, say("Tick a parameter to vary it.")
            count = count_settings(axes, check_sampling(request.sample), request.samples) * request.seeds
            is_many = MANY < count <= MOST
            self.confirmed.layout.display = None if is_many else "none"
            self.confirmed.description = say("Yes, {n:,} runs are meant", n=count)
            if is_many:  # it is planned when it is meant: that takes seconds
                return request.confirmed and not self._form.problems, say("This makes {n:,} runs.", n=count)
            design = plan_sweep(
                self._model,
                request.axes,
                sample=request.sample,
                samples=request.samples,
                seeds=request.seeds,
                parameters=request.parameters,
                toml=self._toml,
                namespace=self._namespace,
            )
        except LabError as error:
            return False, redact_text(error.said)
        except Exception as error:  # noqa: BLE001 -- a model's own checks may raise anything
            return False, redact_text(
                say("The model's own check broke: {problem}", problem=f"{type(error).__name__}: {error}")
            )
        problems = {place: said for place, said in self._form.problems.items() if place[:1] not in _firsts(axes)}
        said = [say("This makes {design}.", design=design_text(design)), *map(in_language, design.notes)]
        if problems:
            said.append(say("But values above need attention."))
        return not problems, " ".join(said)

    def _axes(self, request: SweepRequest) -> list[Axis] | None:
        """Make the axes, each on its own, so that a message stands at its range; None when one is wrong."""
        made: list[Axis] = []
        is_wrong = False
        for name, line in self.lines.items():
            problem = ""
            if name in request.axes:
                wants = wanted(self._form.schema.model_fields.get(line.field_name))
                try:
                    made.append(make_axis(name, request.axes[name], wants, is_sampled=request.sample != "grid"))
                except SweepError as error:
                    problem, is_wrong = error.said, True
            line.show(problem)
        return None if is_wrong else made

    def _fixed(self, axes: Mapping[str, str]) -> dict[str, Any]:
        """Return the values that differ from the defaults, without those that vary."""
        defaults = {fact.name: fact.default for fact in describe(self._form.schema)}
        gone = {*axes, SEED} if int(self.seeds.value) > 1 else set(axes)
        return {
            name: value
            for name, value in self._form.values.items()
            if name not in gone and (defaults.get(name, MISSING) is MISSING or not _same(defaults[name], value))
        }

    def _copy(self) -> None:
        self.cell.layout.display = None
        note = [say("Select the text of the cell below and copy it.")]
        _, secrets = without_secrets(self._form.schema, self._form.values)
        if secrets:
            note.append(say("Left out, because they are secrets: {names}.", names=", ".join(secrets)))
        self._note = " ".join(note)
        self.refresh()

    def _show_cell(self) -> None:
        try:
            text = self.as_cell()
        except LabError as error:
            text = f"# {say('No cell can say this. {problem}', problem=redact_text(error.said))}"
        self.cell.rows = min(max(text.count("\n") + 2, 2), 20)
        if self.cell.value != text:
            self.cell.value = text

    def _say(self, sentences: list[str]) -> None:
        text = "<br>".join(escape(sentence) for sentence in sentences if sentence)
        shown = f'<div role="status" aria-live="polite" style="line-height:1.45">{text}</div>'
        if self._status.value != shown:  # the same text again would be read aloud again
            self._status.value = shown


class _Line:
    """One parameter: a box to tick, its range, and what is wrong with that."""

    def __init__(self, fact: FieldFacts, changed: Callable[[], None]) -> None:
        self.field_name = fact.name
        self._fact, self._changed = fact, changed
        self.box = widgets.Checkbox(
            **label_traits(fact.label), indent=False, layout=widgets.Layout(width=LABEL_WIDTH, margin="0 8px 0 0")
        )
        self.text = widgets.Text(
            **TOLD_WHEN_LEFT,
            description=say_in("a parameter over a range", "over"),
            placeholder=proposal(fact) or allowed(fact),
            disabled=True,
            style={"description_width": "initial"},
            layout=widgets.Layout(width="auto", flex="1 1 220px", max_width="380px"),
        )
        self.text.add_class(class_name("range", (fact.name,)))
        self.box.add_class(class_name("vary", (fact.name,)))
        # Not the form's own Message: that begins a sentence with a capital letter, and here a name comes first.
        self.message = widgets.HTML(layout=widgets.Layout(display="none"))
        self.message.add_class("dl-error")
        row = widgets.Box([self.box, self.text], layout=widgets.Layout(flex_flow="row wrap", align_items="center"))
        self.widget = widgets.VBox([row, self.message])
        self.box.observe(self._ticked, "value")
        self.text.observe(lambda _change: changed(), "value")

    def show(self, problem: str) -> None:
        """Show what is wrong with the range, or that nothing is."""
        text = f'<span role="alert">{escape(redact_text(problem))}</span>' if problem else ""
        if self.message.value != text:
            self.message.value = text
            self.message.layout.display = None if text else "none"

    def _ticked(self, change: Any) -> None:
        self.text.disabled = not change["new"]
        if change["new"] and not self.text.value:
            before = self.text.value
            self.text.value = proposal(self._fact)
            if self.text.value != before:
                return  # that has told of the change
        self._changed()


def add_sweep(
    form: Entered,
    model: Any,
    *,
    namespace: Mapping[str, Any] | None = None,
    toml: Any = None,
    **options: Any,
) -> SweepForm:
    """
    Add the part that starts sweeps to a parameter form; a sweep goes on in the background, shown under the form.

    Parameters
    ----------
    form : ParameterForm
        Of the model.
    model : str or type
        As :func:`dissmodel_lab.sweep` takes it.
    namespace : mapping, optional
        The notebook's variables.
    toml : ModelSpec or str, optional
        Where values come from that the form does not show.
    **options : object
        Further arguments of :func:`dissmodel_lab.sweep`, such as ``store``, ``engine`` and ``workers``.

    Returns
    -------
    SweepForm
        Call its ``open()`` after the form is displayed: the place of its results.
    """

    def start(request: SweepRequest) -> Sweep:
        from dissmodel_lab.sweeps import sweep  # noqa: PLC0415 -- starts worker processes, only for those who sweep

        return sweep(
            model,
            request.axes,
            sample=request.sample,
            samples=request.samples,
            seeds=request.seeds,
            parameters=request.parameters,
            source=request.source or None,
            confirmed=request.confirmed,
            background=True,
            namespace=namespace,
            toml=toml,
            **options,
        )

    return SweepForm(form, model, start, namespace=namespace, toml=toml)


def proposal(fact: FieldFacts) -> str:
    """
    Propose a range for a parameter: all of its choices, from bound to bound, or around its default.

    Parameters
    ----------
    fact : FieldFacts
        What is declared of it.

    Examples
    --------
    >>> from pydantic import create_model, Field
    >>> P = create_model("P", rise=(float, Field(0.5, ge=0, le=2)), years=(int, 20), wet=(bool, True), name=(str, ""))
    >>> [proposal(fact) for fact in describe(P)]
    ['0:2:5', '10:30:5', 'false,true', '']
    """
    if fact.kind is Kind.FLAG:
        return "false,true"
    if fact.kind is Kind.CHOICE:
        values = [value for _, value in fact.choices if value is not None][:_LONGEST]
        texts = [value if isinstance(value, str) else toml_value(value) for value in values]
        plain_words = all(re.fullmatch(r"[\w.+-]+", text) for text in texts)
        return ",".join(texts if plain_words else map(toml_value, values))
    if fact.kind is not Kind.NUMBER:
        return ""
    ends = _ends(fact)
    return f"{number_text(ends[0])}:{number_text(ends[1])}:{_STEPS}" if ends else ""


def _ends(fact: FieldFacts) -> tuple[float, float] | None:
    """Return a sensible range that divides into equal steps, of whole numbers where these are needed."""
    low, high = (bound[0] if bound and bound[1] else None for bound in (fact.low, fact.high))
    if low is not None and high is not None and low < high and abs(high - low) < _WIDE:
        ends = low, high
    elif isinstance(fact.default, int | float) and fact.default:
        around = sorted((fact.default / 2, 1.5 * fact.default))
        ends = around[0] if low is None else max(around[0], low), around[1] if high is None else min(around[1], high)
    else:
        return None
    if fact.is_whole:
        step = int(ends[1] - ends[0]) // (_STEPS - 1)
        if step < 1:
            return None
        return int(ends[0]), int(ends[0]) + (_STEPS - 1) * step
    return ends if ends[0] < ends[1] else None


def _labelled(widget_class: Any, label: str, **traits: Any) -> Any:
    return widget_class(
        description=label,
        style={"description_width": LABEL_WIDTH},
        layout=widgets.Layout(width="auto", max_width="600px"),
        **traits,
    )


def _whole(said: str) -> int | None:
    text = said.strip().replace("_", "").replace(",", "")
    if not text:
        return None
    if not re.fullmatch(r"\d{1,12}", text):
        raise SweepError(message("The number of combinations must be a whole number, got {said!r:.60}.", said=said))
    return int(text)


def _same(default: Any, value: Any) -> bool:
    return repr(plain(default)) == repr(plain(value))


def _firsts(axes: list[Axis]) -> set[tuple[str, ...]]:
    return {(axis.name,) for axis in axes}
