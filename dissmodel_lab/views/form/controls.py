"""The controls of a form: one for each kind of single value, with its label, hint and message.

A control only holds what a person entered and shows what is wrong with it; it judges nothing itself.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass
from decimal import Decimal
from typing import Any

import ipywidgets as widgets
from pydantic import TypeAdapter, ValidationError

from dissmodel_lab.errors import ParameterError
from dissmodel_lab.language import in_language, say
from dissmodel_lab.parameters import Location, count_values, parse_value, shown
from dissmodel_lab.views.form.fields import FieldFacts, Kind, hint, number_text, plain, toml_value
from dissmodel_lab.views.markup import escape, label_traits

Problems = Mapping[Location, str]
Changed = Callable[[], None]

LABEL_WIDTH = "220px"
TOLD_WHEN_LEFT = {"continuous_update": False}
"""A box tells its text when it is left. Told at each key, the last may come after the click on Run: the page sends no
second change of a box before the kernel has answered the first, but a click at once."""
_HINT_MARGIN = "0 0 0 228px"  # under the entry: the label's width and its gap
_ENDLESS = 1e300  # a bound beyond stands for "as large as a float can be"
_LONG = 60  # [characters]; a longer default gets a box of several lines
_LONGEST = 20_000  # [characters]; a longer text makes every key typed slow
_MOST_VALUES = 2_000


class Control(ABC):
    """One parameter on the screen: what was entered, and what is wrong with it."""

    widget: Any
    """What to put into the form."""

    @abstractmethod
    def get(self) -> Any:
        """Return what was entered, as a plain value; ``MISSING`` when there is nothing."""

    @abstractmethod
    def set(self, value: Any) -> None:
        """
        Show a plain value; ``MISSING`` stands for the default. Nobody is told of a change.

        Parameters
        ----------
        value : object
            Right or wrong: what the widget cannot show is held until the person edits it.
        """

    @abstractmethod
    def show(self, problems: Problems) -> None:
        """
        Show what is wrong, or that nothing is.

        Parameters
        ----------
        problems : mapping
            Location inside of this parameter -> sentence.
        """


def class_name(part: str, where: Location) -> str:
    """
    Name the CSS class of a part of a control.

    Examples
    --------
    >>> class_name("field", ("zones", 0, "rate"))
    'dl-field-zones-0-rate'
    """
    return "-".join(["dl", part, *(re.sub(r"[^\w-]", "_", str(step)) for step in where)])


class Message:
    """A line that is there only while something is wrong; screen readers announce it."""

    def __init__(self, where: Location) -> None:
        self.widget = widgets.HTML(layout=widgets.Layout(margin=_HINT_MARGIN, display="none"))
        self.widget.add_class("dl-error")
        self.widget.add_class(class_name("error", where))

    def show(self, problems: Problems) -> None:
        """Show these problems, each named by its place when it is deeper inside."""
        text = " ".join(_named(location, problem) for location, problem in problems.items())
        self.widget.value = f'<span role="alert">{escape(text)}</span>' if text else ""
        self.widget.layout.display = None if text else "none"


def _named(location: Location, problem: str) -> str:
    words = [say("item {n}", n=part + 1) if isinstance(part, int) else part for part in location]
    said = in_language(problem)
    return f"{' '.join(words)}: {said}" if words else said[:1].upper() + said[1:]


class Entry(Control):
    """A control with one input; what it is and how it reads and writes is its children's business."""

    def __init__(self, facts: FieldFacts, where: Location, changed: Changed) -> None:
        self.facts = facts
        self._changed = changed
        self._held: Any = MISSING  # a given value that the input cannot show
        self._is_setting = False
        self.is_light = facts.is_inferred and not hint(facts)  # one of many: its table says what is wrong with it
        self._message: Message | None = None
        self.input = self.build()
        self.input.add_class("dl-field")
        self.input.add_class(class_name("field", where))
        self.input.observe(self._edited, "value")
        self.widget = self.row(where)
        if not self.is_light:
            note = widgets.HTML(escape(hint(facts)), layout=widgets.Layout(margin=_HINT_MARGIN))
            note.add_class("dl-hint")
            self._message = Message(where)
            self.widget = widgets.VBox([self.widget, note, self._message.widget])
            self.widget.add_class("dl-row")

    @abstractmethod
    def build(self) -> Any:
        """Make the input widget, with its label."""

    @abstractmethod
    def read(self) -> Any:
        """Return what the input shows, as a plain value or ``MISSING``."""

    @abstractmethod
    def write(self, value: Any) -> None:
        """Let the input show a plain value, as well as it can."""

    def row(self, where: Location) -> Any:  # noqa: ARG002 -- for children that name a second widget
        """Return what stands in the line of the label."""
        return self.input

    def get(self) -> Any:  # noqa: D102 -- as Control says
        return self.read() if self._held is MISSING else self._held

    def set(self, value: Any) -> None:  # noqa: D102 -- as Control says
        given = self.facts.default if value is MISSING else plain(value)
        self._is_setting = True
        try:
            self.write(given)
        finally:
            self._is_setting = False
        shown = self.read()
        self._held = MISSING if type(shown) is type(given) and shown == given else given

    def show(self, problems: Problems) -> None:  # noqa: D102 -- as Control says
        if self._message:
            self._message.show(problems)
        (self.input.add_class if problems else self.input.remove_class)("dl-invalid")

    def labelled(self, widget_class: Any, *, width: str = "600px", **traits: Any) -> Any:
        """Make a widget with the parameter's label, which is a real one to screen readers."""
        if issubclass(widget_class, widgets.Text | widgets.Textarea):
            traits |= TOLD_WHEN_LEFT
            if not self.facts.is_secret:
                traits = {"placeholder": in_language(self.facts.own_default), **traits}
        return widget_class(
            **label_traits(self.facts.label),
            style={"description_width": LABEL_WIDTH},
            layout=widgets.Layout(width="auto", max_width=width),
            **traits,
        )

    def _edited(self, _change: Any) -> None:
        if not self._is_setting:
            self._held = MISSING
            self._changed()


class TextEntry(Entry):
    """A line of text: for texts, numbers without both bounds, and everything that is written as TOML."""

    def build(self) -> Any:  # noqa: D102 -- as Entry says
        facts = self.facts
        if facts.is_secret:
            return self.labelled(widgets.Password)
        text = "" if facts.default is MISSING or _too_long(facts.default) else self._text(facts.default)
        is_long = len(text) > _LONG or "\n" in text
        return self.labelled(widgets.Textarea, rows=3) if is_long else self.labelled(widgets.Text)

    def read(self) -> Any:  # noqa: D102 -- as Entry says
        text: str = self.input.value
        if not text.strip() and (self.facts.is_optional or self.facts.default is MISSING):
            return None if self.facts.is_optional else MISSING
        return self._parsed(text)

    def write(self, value: Any) -> None:  # noqa: D102 -- as Entry says
        size = _too_long(value)
        self.input.value = "" if value is None or value is MISSING or size else self._text(value)
        if not self.facts.is_secret:
            too_long = say("{size}, too long to edit here: kept as it is", size=size) if size else ""
            self.input.placeholder = too_long or in_language(self.facts.own_default)

    def _parsed(self, text: str) -> Any:
        return text

    def _text(self, value: Any) -> str:
        return value if isinstance(value, str) else str(value)


def _too_long(value: Any) -> str:
    """Say how long a value is that a browser could not edit; empty when it can."""
    if isinstance(value, str) and len(value) > _LONGEST:
        return say("{n:,} characters", n=len(value))
    count = count_values(value) if isinstance(value, list | dict) else 1
    return say("{n:,} values", n=count) if count > _MOST_VALUES else ""


class ValueEntry(TextEntry):
    """Lists, dicts, unions and unknown types, written as a TOML value."""

    def build(self) -> Any:  # noqa: D102 -- as Entry says
        is_long = self.facts.is_inferred and not self.facts.is_secret  # a list of lists, for example
        return self.labelled(widgets.Textarea, rows=2) if is_long else super().build()

    def _parsed(self, text: str) -> Any:
        try:
            return parse_value(text.strip())
        except ParameterError:  # too long or too deep: it stays text, for the schema to refuse
            return text

    def _text(self, value: Any) -> str:
        try:
            text = toml_value(value)
        except ParameterError:  # None in a list, an object of the modeller's own: held, shown as it is
            return shown(value)
        return value if isinstance(value, str) and self._parsed(value) == value else text


class NumberEntry(TextEntry):
    """A number as text, kept as it was typed; with both bounds a slider moves along."""

    def build(self) -> Any:  # noqa: D102 -- as Entry says
        self._scale = slider_scale(self.facts)
        self.slider = _slider(self._scale)
        return self.labelled(widgets.Text, width="360px" if self.slider else "600px")

    def row(self, where: Location) -> Any:  # noqa: D102 -- as Entry says
        if self.slider is None:
            return self.input
        self.input.layout.flex = "0 0 360px"
        self.slider.add_class(class_name("slider", where))
        self.slider.observe(self._slid, "value")
        row = widgets.HBox([self.input, self.slider])
        row.add_class("dl-numbers")
        return row

    def write(self, value: Any) -> None:  # noqa: D102 -- as Entry says
        super().write(value)
        self._follow()

    def show(self, problems: Problems) -> None:  # noqa: D102 -- as Control says
        text = self.input.value.strip()
        if problems and re.fullmatch(r"[+-]?\d+,\d+", text):  # how most of the world writes decimals
            advice = say("Write {number}.", number=text.replace(",", "."))
            problems = {loc: f"{in_language(said)} {advice}" for loc, said in problems.items()}
        super().show(problems)

    def _text(self, value: Any) -> str:
        return toml_value(value) if self.facts.is_as_typed and isinstance(value, float) else number_text(value)

    def _parsed(self, text: str) -> Any:
        is_whole = self.facts.is_whole
        if self.facts.is_as_typed:
            is_whole = bool(re.fullmatch(r"[+-]?[\d_]+", text.strip()))
        return parse_number(text.strip(), whole=is_whole)

    def _edited(self, change: Any) -> None:
        if not self._is_setting:
            self._follow()
        super()._edited(change)

    def _place(self) -> float | None:
        """Return where the slider stands for what was typed; None when it is no number on its scale."""
        number = self.read()
        if self._scale is None or not isinstance(number, int | float):
            return None
        return self._scale.place(number)

    def _follow(self) -> None:
        place = self._place()
        if self._scale and place is not None and not self._scale.is_same(place, self.slider.value):
            self.slider.value = place

    def _slid(self, change: Any) -> None:
        place, shown = change["new"], self._place()
        # The slider also tells of moves that follow the text; those must not round what was typed.
        if self._scale and (shown is None or not self._scale.is_same(place, shown)):
            self.input.value = number_text(self._scale.number(place))


@dataclass(frozen=True)
class Scale:
    """The places where a slider can stand."""

    low: float
    high: float
    step: float
    """From one place to the next; in decades when the scale is logarithmic."""
    is_log: bool = False

    def place(self, number: float) -> float | None:
        """Return the place nearest to a number, or None when the number is beyond the ends."""
        if not self.low <= number <= self.high:
            return None
        start = self._mark(self.low)
        nearest = start + round((self._mark(number) - start) / self.step) * self.step
        return self._clamped(10**nearest if self.is_log else nearest)

    def number(self, place: float) -> float:
        """Return the number at a place, without arithmetic noise."""
        if isinstance(self.step, int):
            return place
        return self._clamped(float(f"{place:.{3 if self.is_log else 12}g}"))

    def is_same(self, one: float, other: float) -> bool:
        """Tell whether two places differ by less than a step."""
        return abs(self._mark(one) - self._mark(other)) < self.step / 2

    def _mark(self, number: float) -> float:
        return math.log10(number) if self.is_log else number

    def _clamped(self, number: float) -> float:
        return min(max(number, self.low), self.high)


def slider_scale(facts: FieldFacts) -> Scale | None:
    """
    Lay a scale from bound to bound; a bound that is not allowed itself is left out.

    Parameters
    ----------
    facts : FieldFacts
        What is declared about a number.

    Returns
    -------
    Scale or None
        None when a bound is not declared: a range is never guessed.

    Examples
    --------
    >>> from pydantic import create_model, Field
    >>> from dissmodel_lab.views.form.fields import describe
    >>> slider_scale(describe(create_model("P", share=(float, Field(0.5, gt=0, le=1))))[0])
    Scale(low=0.01, high=1, step=0.01, is_log=False)
    """
    if facts.low is None or facts.high is None:
        return None
    (low, with_low), (high, with_high) = facts.low, facts.high
    largest = max(abs(low), abs(high))
    is_wide = (high - low) / 1000 > math.ulp(largest)  # else its places would coincide
    if not (largest <= _ENDLESS and low < high and is_wide):
        return None
    if not facts.is_whole and low > 1 / _ENDLESS and high >= 1e4 * low:
        step = (math.log10(high) - math.log10(low)) / 200
        return Scale(low if with_low else low * 10**step, high if with_high else high / 10**step, step, is_log=True)
    step = _nice_step(low, high)
    if facts.is_whole:
        step = 1 if high - low <= 1000 else int(step)  # noqa: PLR2004
        low, high = math.ceil(low), math.floor(high)
    low, high = low if with_low else low + step, high if with_high else high - step
    return Scale(low, high, step) if low < high else None


def _nice_step(low: float, high: float) -> float:
    """Return the step of 1, 2 or 5 times a power of ten that makes 100 to 200 steps of a range."""
    rough = (high - low) / 100
    exponent = math.floor(math.log10(rough))
    return next(step for step in (float(f"{n}e{exponent}") for n in (5, 2, 1)) if step <= rough * (1 + 1e-9))


def _slider(scale: Scale | None) -> Any:
    if scale is None:
        return None
    traits = {"readout": False, "layout": widgets.Layout(flex="1 1 160px", max_width="240px")}
    if scale.is_log:
        ends = {"min": math.log10(scale.low), "max": math.log10(scale.high)}
        return widgets.FloatLogSlider(value=scale.low, base=10, step=scale.step, **ends, **traits)
    slider = widgets.IntSlider if isinstance(scale.step, int) else widgets.FloatSlider
    return slider(value=scale.low, min=scale.low, max=scale.high, step=scale.step, **traits)


def parse_number(text: str, *, whole: bool) -> int | float | str:
    """
    Read a number as a person types it; what is no number stays text, for the schema to refuse.

    Parameters
    ----------
    text : str
        Without spaces around it.
    whole : bool
        Whether an int is wanted; ``2.5`` stays a float, for the schema to refuse.

    Examples
    --------
    >>> parse_number("2.388e-7", whole=False), parse_number("6e12", whole=True), parse_number("ten", whole=True)
    (2.388e-07, 6000000000000, 'ten')
    """
    try:
        number = float(text)
    except ValueError:
        return text
    if not whole or not math.isfinite(number):
        return number
    exact = Decimal(text)  # a float would lose the last digits of a long integer
    return int(exact) if exact == exact.to_integral_value() else number


class FlagEntry(Entry):
    """A checkbox."""

    def build(self) -> Any:  # noqa: D102 -- as Entry says
        return widgets.Checkbox(**label_traits(self.facts.label), indent=False, layout=widgets.Layout(width="auto"))

    def read(self) -> Any:  # noqa: D102 -- as Entry says
        return self.input.value

    def write(self, value: Any) -> None:  # noqa: D102 -- as Entry says
        self.input.value = bool(_coerced(bool, value))


class DateEntry(Entry):
    """A date picker."""

    def build(self) -> Any:  # noqa: D102 -- as Entry says
        return self.labelled(widgets.DatePicker, width="400px")

    def read(self) -> Any:  # noqa: D102 -- as Entry says
        date = self.input.value
        return MISSING if date is None and not self.facts.is_optional else date

    def write(self, value: Any) -> None:  # noqa: D102 -- as Entry says
        self.input.value = _coerced(dt.date, value)


def _coerced(wanted: type[Any], value: Any) -> Any:
    """Return a value as the schema will read it, or None when it is not of that type."""
    try:
        return TypeAdapter(wanted).validate_python(value)
    except ValidationError:
        return None


class ChoiceEntry(Entry):
    """A list to choose from."""

    def build(self) -> Any:  # noqa: D102 -- as Entry says
        self._values: dict[str, Any] = {}
        if self.facts.default is MISSING:
            is_left = self.facts.is_inferred and not self.facts.is_required
            self._values[say("left to the model") if is_left else say("choose ...")] = MISSING
        if self.facts.is_optional:
            self._values[say("none")] = None
        self._values |= dict(self.facts.choices)
        self._n_allowed = len(self._values)
        return self.labelled(widgets.Dropdown, options=list(self._values), width="460px")

    def read(self) -> Any:  # noqa: D102 -- as Entry says
        return self._values[self.input.value]

    def write(self, value: Any) -> None:  # noqa: D102 -- as Entry says
        labels = [label for label, known in self._values.items() if known is value or _equal(known, value)]
        if not labels:  # a wrong value is shown, not replaced by a right one
            labels = [say("{value} (not allowed)", value=value)]
            self._values = dict(list(self._values.items())[: self._n_allowed]) | {labels[0]: value}
            self.input.options = list(self._values)
        self.input.value = labels[0]


def _equal(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


#: The control of each kind that is no table.
ENTRIES: Mapping[Kind, type[Entry]] = {
    Kind.NUMBER: NumberEntry,
    Kind.CHOICE: ChoiceEntry,
    Kind.FLAG: FlagEntry,
    Kind.DATE: DateEntry,
    Kind.TEXT: TextEntry,
    Kind.VALUE: ValueEntry,
}
