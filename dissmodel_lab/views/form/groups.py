"""Groups of a form: a schema's fields under each other, nested models, and lists of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from dissmodel_lab.views.form.controls import ENTRIES, Changed, Control, Message, Problems, class_name
from dissmodel_lab.views.form.fields import FieldFacts, Kind, describe, hint, plain
from dissmodel_lab.views.markup import escape

if TYPE_CHECKING:
    from pydantic import BaseModel

    from dissmodel_lab.parameters import Location


def control_for(facts: FieldFacts, where: Location, changed: Changed) -> Control:
    """
    Make the control for a parameter.

    Parameters
    ----------
    facts : FieldFacts
        What is declared about it.
    where : tuple
        Its place in the parameters; the CSS classes are named after it.
    changed : callable
        Called after each edit by the person.

    Examples
    --------
    >>> from pydantic import create_model
    >>> control = control_for(describe(create_model("P", years=(int, 20)))[0], ("years",), lambda: None)
    >>> control.get()
    20
    """
    if facts.kind is Kind.TABLE:
        control: Control = (
            OptionalTable(facts, where, changed) if facts.is_optional else Table(_model(facts), where, changed, facts)
        )
    elif facts.kind is Kind.TABLES:
        control = Tables(facts, where, changed)
    else:
        control = ENTRIES[facts.kind](facts, where, changed)
    control.set(MISSING)
    return control


class Table(Control):
    """
    The fields of a schema under each other; the whole form is one, and so is each nested model.

    Parameters
    ----------
    schema : type
        Its fields are shown.
    where : tuple
        Its place in the parameters.
    changed : callable
        Called after each edit by the person.
    facts : FieldFacts, optional
        The field that is this table; it gives the title and the default.
    """

    def __init__(
        self, schema: type[BaseModel], where: Location, changed: Changed, facts: FieldFacts | None = None
    ) -> None:
        self._schema = schema
        self._changed = changed
        self._default = facts.default if facts else MISSING
        self._held: Any = MISSING  # what was given instead of a table
        self._extra: dict[str, Any] = {}  # values that the schema takes without declaring them
        self._message = Message(where)
        described = describe(schema)
        self.controls = {fact.name: control_for(fact, (*where, fact.name), self._edited) for fact in described}
        # By alias too: a TOML file may use either.
        self._named = {called: self.controls[fact.name] for fact in described for called in (fact.name, *fact.names)}
        rows = [control.widget for control in self.controls.values()]
        self.widget = widgets.VBox([*([_title(facts, where)] if facts else []), self._message.widget, *rows])
        if facts:
            self.widget.add_class("dl-group")

    def get(self) -> Any:  # noqa: D102 -- as Control says
        if self._held is not MISSING:
            return self._held
        entered = {name: control.get() for name, control in self.controls.items()}
        return {name: value for name, value in entered.items() if value is not MISSING} | self._extra

    def set(self, value: Any) -> None:  # noqa: D102 -- as Control says
        given = plain(self._default if value is MISSING else value)
        is_table = isinstance(given, Mapping)
        self._held = given if not is_table and given is not MISSING else MISSING
        self._extra = {}
        for control in self.controls.values():
            control.set(MISSING)
        if is_table:
            self.update(given)

    def update(self, values: Mapping[str, Any]) -> None:
        """Set some of the values, and leave the others as they are."""
        for name, value in values.items():
            if name in self._named:
                self._named[name].set(value)
            elif self._schema.model_config.get("extra") == "allow":
                self._extra[name] = plain(value)

    def show(self, problems: Problems) -> None:  # noqa: D102 -- as Control says
        self._message.show({loc: said for loc, said in problems.items() if not loc or loc[0] not in self.controls})
        for name, control in self.controls.items():
            control.show(_inside(name, problems))

    def _edited(self) -> None:
        self._held = MISSING
        self._changed()


def _model(facts: FieldFacts) -> type[BaseModel]:
    assert facts.model is not None, "a table's facts name its schema"
    return facts.model


def _inside(step: str | int, problems: Problems) -> Problems:
    return {location[1:]: said for location, said in problems.items() if location and location[0] == step}


def _title(facts: FieldFacts, where: Location) -> Any:
    text = hint(facts)
    note = f'<div class="dl-hint">{escape(text)}</div>' if text else ""
    title = widgets.HTML(f"<b>{escape(facts.label)}</b>{note}")
    title.add_class(class_name("title", where))
    return title


class OptionalTable(Control):
    """A nested model that may be none; its fields are made when it is first switched on."""

    def __init__(self, facts: FieldFacts, where: Location, changed: Changed) -> None:
        self._facts, self._where, self._changed = facts, where, changed
        self._table: Table | None = None
        self._is_setting = False
        self.switch = widgets.Checkbox(
            description=f"use {facts.label}", indent=False, layout=widgets.Layout(width="auto")
        )
        self.switch.add_class(class_name("field", where))
        self.switch.observe(self._switched, "value")
        self._body = widgets.VBox()
        self._message = Message(where)
        self.widget = widgets.VBox([_title(facts, where), self.switch, self._body])
        self.widget.add_class("dl-group")

    def get(self) -> Any:  # noqa: D102 -- as Control says
        return self._table.get() if self.switch.value and self._table else None

    def set(self, value: Any) -> None:  # noqa: D102 -- as Control says
        given = self._facts.default if value is MISSING else value
        is_on = given is not None and given is not MISSING
        self._is_setting = True
        try:
            self.switch.value = is_on
        finally:
            self._is_setting = False
        self._arrange()
        if is_on and self._table:
            self._table.set(given)

    def show(self, problems: Problems) -> None:  # noqa: D102 -- as Control says
        is_on = bool(self.switch.value and self._table)
        self._message.show({} if is_on else problems)
        if self._table:
            self._table.show(problems if is_on else {})

    def _switched(self, _change: Any) -> None:
        if not self._is_setting:
            self._arrange()
            self._changed()

    def _arrange(self) -> None:
        if self.switch.value and self._table is None:  # not before: a model may contain itself
            self._table = Table(_model(self._facts), self._where, self._changed)
        table = self._table if self.switch.value else None
        self._body.children = ((table or self._message).widget,)


class Tables(Control):
    """A list of nested models: a group for each, with buttons to add and to remove."""

    def __init__(self, facts: FieldFacts, where: Location, changed: Changed) -> None:
        self._facts, self._where, self._changed = facts, where, changed
        self._held: Any = MISSING  # what was given instead of a list of tables
        self.items: list[Table] = []
        self._rows = widgets.VBox()
        self._message = Message(where)
        self.add_button = _button(f"Add to {facts.title}", "plus", class_name("add", where))
        self.add_button.on_click(self._add)
        self.widget = widgets.VBox([_title(facts, where), self._rows, self.add_button, self._message.widget])
        self.widget.add_class("dl-group")

    def get(self) -> Any:  # noqa: D102 -- as Control says
        if self._held is not MISSING:
            return self._held
        return None if self._facts.is_optional and not self.items else [item.get() for item in self.items]

    def set(self, value: Any) -> None:  # noqa: D102 -- as Control says
        given = plain(self._facts.default if value is MISSING else value)
        is_list = isinstance(given, list) and all(isinstance(item, Mapping) for item in given)
        self._held = MISSING if is_list or given is None or given is MISSING else given
        self._fill(given if is_list else [])

    def show(self, problems: Problems) -> None:  # noqa: D102 -- as Control says
        known = range(len(self.items))
        self._message.show({loc: said for loc, said in problems.items() if not loc or loc[0] not in known})
        for at, item in enumerate(self.items):
            item.show(_inside(at, problems))

    def _fill(self, values: list[Any]) -> None:
        """Make all groups anew, because their classes and titles carry their position."""
        for row in self._rows.children:
            _close(row)
        self.items = [Table(_model(self._facts), (*self._where, at), self._edited) for at in range(len(values))]
        for item, value in zip(self.items, values, strict=True):
            item.set(value)
        self._rows.children = tuple(self._row(at, item) for at, item in enumerate(self.items))

    def _row(self, at: int, item: Table) -> Any:
        name = f"{self._facts.title} {at + 1}"
        remove = _button(f"Remove {name}", "trash", class_name("remove", (*self._where, at)))
        remove.on_click(lambda _button: self._remove(at))
        row = widgets.VBox([widgets.HTML(f"<b>{escape(name)}</b>"), item.widget, remove])
        row.add_class("dl-group")
        return row

    def _add(self, _button: Any) -> None:
        self._fill([*(item.get() for item in self.items), {}])
        self._edited()

    def _remove(self, at: int) -> None:
        self._fill([item.get() for position, item in enumerate(self.items) if position != at])
        self._edited()

    def _edited(self) -> None:
        self._held = MISSING
        self._changed()


def _button(label: str, icon: str, css_class: str) -> Any:
    layout = widgets.Layout(width="auto", align_self="flex-start")
    button = widgets.Button(description=label, icon=icon, layout=layout)
    button.add_class(css_class)
    return button


def _close(widget: Any) -> None:
    for child in getattr(widget, "children", ()):
        _close(child)
    widget.close()
