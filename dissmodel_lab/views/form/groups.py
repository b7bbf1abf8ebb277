"""Groups of a form: a schema's fields under each other, nested models, and lists of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from dissmodel_lab.language import say
from dissmodel_lab.parameters import MAX_FIELDS, OpenTable, parameter_schema
from dissmodel_lab.views.form.controls import ENTRIES, Changed, Control, Entry, Message, Problems, class_name
from dissmodel_lab.views.form.fields import FieldFacts, Kind, describe, hint, one_line, plain
from dissmodel_lab.views.markup import escape, label_traits

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
    elif facts.kind is Kind.OPEN_TABLE:
        control = Names(facts, where, changed)
    elif facts.kind is Kind.OPEN_TABLES:
        control = Rows(facts, where, changed)
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
        self.others = _others(schema, where, self._edited)
        self._more = widgets.HTML(layout=widgets.Layout(display="none"))
        self._message = Message(where)
        described = describe(schema)
        self.controls = {fact.name: control_for(fact, (*where, fact.name), self._edited) for fact in described}
        # By alias too: a TOML file may use either.
        self._named = {called: self.controls[fact.name] for fact in described for called in (fact.name, *fact.names)}
        rows = [control.widget for control in self.controls.values()]
        rows += [self.others.widget, self._more] if self.others else []
        self.widget = widgets.VBox([*([_title(facts, where)] if facts else []), self._message.widget, *rows])
        if facts:
            self.widget.add_class("dl-group")

    def get(self) -> Any:  # noqa: D102 -- as Control says
        if self._held is not MISSING:
            return self._held
        entered = {name: control.get() for name, control in self.controls.items()}
        others = self.others.get() if self.others else MISSING
        extra = self._extra if others is MISSING else {**self._extra, **others}
        return {name: value for name, value in entered.items() if value is not MISSING} | extra

    def set(self, value: Any) -> None:  # noqa: D102 -- as Control says
        given = plain(self._default if value is MISSING else value)
        is_table = isinstance(given, Mapping)
        self._held = given if not is_table and given is not MISSING else MISSING
        self._extra = {}
        for control in [*self.controls.values(), *([self.others] if self.others else [])]:
            control.set(MISSING)
        if is_table:
            self.update(given)
        self._tell_of_more()

    def update(self, values: Mapping[str, Any]) -> None:
        """Set some of the values, and leave the others as they are."""
        for name, value in values.items():
            if name in self._named:
                self._named[name].set(value)
            elif self.others and name not in self._extra and len(self.controls) < MAX_FIELDS:
                self.others.put(name, plain(value))
            elif self._schema.model_config.get("extra") == "allow":
                self._extra[name] = plain(value)

    def _tell_of_more(self) -> None:
        """Say how many values have no field, because a browser would be slow with them."""
        count = len(self._extra) if self.others else 0
        self._more.value = say("and {n:,} more parameters, kept as they are", n=count) if count else ""
        self._more.layout.display = None if count else "none"

    def show(self, problems: Problems) -> None:  # noqa: D102 -- as Control says
        self._message.show({loc: said for loc, said in problems.items() if not loc or loc[0] not in self.controls})
        for name, control in self.controls.items():
            control.show(_inside(name, problems))

    def _edited(self) -> None:
        self._held = MISSING
        self._changed()


def _others(schema: type[BaseModel], where: Location, changed: Changed) -> Names | None:
    """Make room for names that nobody knows yet, where the whole schema was inferred."""
    if where or not issubclass(schema, OpenTable):
        return None
    facts = describe(parameter_schema(object, {say("another parameter"): {}}))[0]
    return Names(facts, ("others",), changed, places=())


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
            **label_traits(say("use {name}", name=facts.label)), indent=False, layout=widgets.Layout(width="auto")
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
        self.items: list[Any] = []
        self._rows = widgets.VBox()
        self._message = Message(where)
        self.add_button = _button(say("Add to {name}", name=facts.title), "plus", class_name("add", where))
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

    def _item(self, at: int) -> Any:
        return Table(_model(self._facts), (*self._where, at), self._edited)

    def _kept(self, item: Any) -> Any:
        """Return what a group is made from again."""
        return item.get()

    def _new(self) -> Any:
        """Return what an added group is made from."""
        return {}

    def _fill(self, values: list[Any], kept: int = 0) -> None:
        """Make the groups anew, but the first ones: their classes and titles carry their position."""
        for row in self._rows.children[kept:]:
            _close(row)
        self.items = [*self.items[:kept], *(self._item(at) for at in range(kept, kept + len(values)))]
        for item, value in zip(self.items[kept:], values, strict=True):
            item.set(value)
        rows = (self._row(at, item) for at, item in enumerate(self.items) if at >= kept)
        self._rows.children = (*self._rows.children[:kept], *rows)

    def _row(self, at: int, item: Any) -> Any:
        name = f"{self._facts.title} {at + 1}"
        remove = _button(say("Remove {name}", name=name), "trash", class_name("remove", (*self._where, at)))
        remove.on_click(lambda _button: self._remove(at))
        row = widgets.VBox([widgets.HTML(f"<b>{escape(name)}</b>"), item.widget, remove])
        row.add_class("dl-group")
        return row

    def _add(self, _button: Any) -> None:
        self._fill([self._new()], kept=len(self.items))
        self._edited()

    def _remove(self, at: int) -> None:
        self._fill([self._kept(item) for item in self.items[at + 1 :]], kept=at)
        self._edited()

    def _edited(self) -> None:
        self._held = MISSING
        self._changed()


class Names(Control):
    """
    A table whose names nobody declared: a line for each that is given, and a field to add another.

    A name whose value is empty is not given.
    """

    def __init__(
        self,
        facts: FieldFacts,
        where: Location,
        changed: Changed,
        *,
        places: Location | None = None,
        is_row: bool = False,
    ) -> None:
        self._facts, self._where, self._changed = facts, where, changed
        self._places = where if places is None else places  # where its names stand in the parameters
        self._is_row = is_row
        self._known = {fact.name: fact for fact in describe(_model(facts))}
        self._held: Any = MISSING  # what was given instead of a table
        self._is_given = False
        self.controls: dict[str, Control] = {}
        self._lines = widgets.VBox()
        self._message = Message(where)
        self.name = widgets.Combobox(
            placeholder=say("another name in {table}", table=facts.title) if places is None else facts.title,
            options=tuple(self._known),
            layout=widgets.Layout(width="auto", max_width="300px"),
        )
        self.name.add_class(class_name("name", where))
        self.add_button = _button(say("Add"), "plus", class_name("add", where))
        self.add_button.on_click(self._add)
        head = [] if is_row or places is not None else [_title(facts, where)]
        adder = widgets.HBox([self.name, self.add_button])
        self.widget = widgets.VBox([*head, self._lines, adder, self._message.widget])
        if head:
            self.widget.add_class("dl-group")

    def get(self) -> Any:  # noqa: D102 -- as Control says
        if self._held is not MISSING:
            return self._held
        entered = {name: control.get() for name, control in self.controls.items()}
        given = {name: value for name, value in entered.items() if value is not MISSING}
        return given if given or self._is_given or self._is_row else MISSING

    def set(self, value: Any) -> None:  # noqa: D102 -- as Control says
        given: Any = value if value is MISSING else plain(value)
        is_table = isinstance(given, Mapping)
        self._held = given if not is_table and given is not MISSING else MISSING
        self._is_given = is_table and (not given or any(item is not MISSING for item in given.values()))
        for control in self.controls.values():
            _close(control.widget)
        self.controls = {}
        for name, item in (given if is_table else {}).items():
            self._make(name, item)
        self._arrange()

    def put(self, name: str, value: Any) -> None:
        """Set one of the names, and leave the others as they are."""
        if name in self.controls:
            self.controls[name].set(value)
        else:
            self._make(name, value)
            self._arrange()

    def snapshot(self) -> Any:
        """Return what it is made from again: what is entered, and the names that are still empty."""
        if self._held is not MISSING:
            return self._held
        return {
            name: control.snapshot() if isinstance(control, Names | Rows) else control.get()
            for name, control in self.controls.items()
        }

    def blank(self) -> dict[str, Any]:
        """Return the same names without their values, for another table of this kind."""
        return {
            name: control.blank() if isinstance(control, Names) else MISSING
            for name, control in self.controls.items()
        }

    def show(self, problems: Problems) -> None:  # noqa: D102 -- as Control says
        light = {name for name, control in self.controls.items() if isinstance(control, Entry) and control.is_light}
        by_itself = self.controls.keys() - light
        self._message.show({loc: said for loc, said in problems.items() if not loc or loc[0] not in by_itself})
        for name, control in self.controls.items():
            control.show(_inside(name, problems))

    def _make(self, name: str, value: Any) -> None:
        facts = self._known.get(name) or describe(parameter_schema(object, {name: _sample(value)}))[0]
        control = control_for(facts, (*self._places, name), self._edited)
        control.set(value)
        self.controls[name] = control

    def _arrange(self) -> None:
        self._lines.children = tuple(self._line(name, control) for name, control in self.controls.items())
        self.name.options = tuple(name for name in self._known if name not in self.controls)

    def _line(self, name: str, control: Control) -> Any:
        if not isinstance(control, Names | Rows):
            return control.widget
        remove = _button(
            say("Remove {name}", name=one_line(name)), "trash", class_name("remove", (*self._places, name))
        )
        remove.on_click(lambda _button: self._remove(name))
        return widgets.VBox([control.widget, remove])

    def _add(self, _button: Any) -> None:
        name = str(self.name.value).strip()
        if name and name not in self.controls:
            self.name.value = ""
            self._make(name, MISSING)
            self._arrange()
            self._edited()

    def _remove(self, name: str) -> None:
        _close(self.controls.pop(name).widget)
        self._arrange()
        self._edited()

    def _edited(self) -> None:
        self._held = MISSING
        self._changed()


def _blank(schema: type[BaseModel]) -> dict[str, Any]:
    """Return all names of a table that was given before, without values."""
    return {fact.name: _blank(_model(fact)) if fact.kind is Kind.OPEN_TABLE else MISSING for fact in describe(schema)}


def _sample(value: Any) -> Any:
    """Return a value whose shape is that of an added name."""
    return None if value is MISSING else value


class Rows(Tables):
    """A list of tables whose names nobody declared; an added one gets the names of the last."""

    def __init__(self, facts: FieldFacts, where: Location, changed: Changed) -> None:
        super().__init__(facts, where, changed)
        self._is_given = False

    def get(self) -> Any:  # noqa: D102 -- as Control says
        return super().get() if self.items or self._held is not MISSING or self._is_given else MISSING

    def set(self, value: Any) -> None:  # noqa: D102 -- as Control says
        self._is_given = value is not MISSING
        super().set(value)

    def snapshot(self) -> Any:
        """Return what it is made from again."""
        return MISSING if not self.items and not self._is_given else [self._kept(item) for item in self.items]

    def _item(self, at: int) -> Any:
        return Names(self._facts, (*self._where, at), self._edited, is_row=True)

    def _kept(self, item: Any) -> Any:
        return item.snapshot()

    def _new(self) -> Any:
        return self.items[-1].blank() if self.items else _blank(_model(self._facts))

    def _edited(self) -> None:
        self._is_given = True
        super()._edited()


def _button(label: str, icon: str, css_class: str) -> Any:
    layout = widgets.Layout(width="auto", align_self="flex-start")
    button = widgets.Button(description=label, icon=icon, layout=layout)
    button.add_class(css_class)
    return button


def _close(widget: Any) -> None:
    for child in getattr(widget, "children", ()):
        _close(child)
    widget.close()
