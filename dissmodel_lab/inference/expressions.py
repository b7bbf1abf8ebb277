"""Reading expressions: where a parameter is read, and what becomes of its value."""

from __future__ import annotations

import ast
import builtins
import copy
import functools
import inspect
import types
from typing import TYPE_CHECKING, Any

from dissmodel_lab.executor.schemas import METADATA_KEYS
from dissmodel_lab.inference.constants import (
    cast_of,
    constant,
    is_hashable,
    is_plain,
    is_sized,
    items_of,
    of_constant,
    strings,
)
from dissmodel_lab.inference.files import FunctionNode, Unreadable, defined
from dissmodel_lab.inference.frames import Frames
from dissmodel_lab.inference.parameter import NO_DEFAULT
from dissmodel_lab.inference.symbols import (
    Arguments,
    Bound,
    Closure,
    Frame,
    Known,
    Method,
    Missing,
    Names,
    Object,
    Read,
    Record,
    Self,
    Spec,
    Super,
    Table,
    Use,
    called_name,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Calls that show the parameters, count them or list their names, but read none.
_HARMLESS = frozenset(
    {"print", "len", "str", "repr", "isinstance", "bool", "type", "id", "hash", "any", "all", "hasattr", "format"}
    | {"dumps", "dump", "pprint", "pformat", "debug", "info", "warning", "error", "exception", "log", "append"}
    | {"add_log", "callable", "max", "min"}
)
_NOT_PARAMETERS = METADATA_KEYS | {"parameters"}
_NAMES_ONLY = (set, frozenset, list, tuple, sorted, iter)
_COPIES = (dict, copy.copy, copy.deepcopy)
_OWN_METHODS = frozenset({"model_copy", "copy"})


class Expressions(Frames):
    """Each ``_visit_...`` of an expression returns what it stands for; None when that is of no interest."""

    def _visit_call(self, node: ast.Call) -> Any:
        called = self.visit(node.func)
        values = Arguments(
            [self.visit(arg) for arg in node.args],
            {key.arg: self.visit(key.value) for key in node.keywords if key.arg},
            [self.visit(key.value) for key in node.keywords if key.arg is None],
        )
        if isinstance(called, Bound):
            return self._bound_call(called, node, values)
        if isinstance(called, Method):
            definition = self._method(called.name, called.after)
            return None if definition is None else self._call(definition, values)
        if isinstance(called, Closure):
            return self._run_closure(called, values.by_name(called.node, 0), sure=self._frame.sure)
        if isinstance(called, Object):
            return self._object_call(called.value, node, values)
        self._escape(called_name(node.func), values)
        return None

    def _object_call(self, called: Any, node: ast.Call, values: Arguments) -> Any:
        first = values.positional[0] if values.positional else None
        if called is builtins.super:
            return Super(self._frame_owner())
        if called is builtins.getattr and isinstance(first, Record | Self) and len(values.positional) > 1:
            name = values.positional[1]
            is_spelt = isinstance(name, Known) and isinstance(name.value, str)
            if is_spelt:
                return self._attribute(first, name.value)
            return Method("") if isinstance(first, Self) else None  # any of its own, and they are all read
        if called in _COPIES and (isinstance(first, Table) or values.tables_spread()):
            self._written |= set(values.keyword)
            return self._merged([(None, table) for table in (first, *values.spread) if table is not None], node)
        if called in _NAMES_ONLY and isinstance(first, Table):
            return Names()
        if called in (set, frozenset, list, tuple) and isinstance(first, Known) and is_sized(first.value):
            return first
        kind = cast_of(called)
        if kind is not None and isinstance(first, Read):
            first.use.kind = first.use.kind or kind
            return first
        function = inspect.unwrap(called) if isinstance(called, types.FunctionType) else None
        if isinstance(function, types.FunctionType) and self._is_own(function) and values.has_any():
            try:
                definition = defined(function, self.files, None, function.__name__)
            except Unreadable:
                self._escape("", values)
                return None
            return self._call(definition, values)
        self._escape(called_name(node.func), values)
        return None

    def _is_own(self, function: types.FunctionType) -> bool:
        homes = {owner.__module__.partition(".")[0] for owner in self._class.__mro__ if owner is not object}
        return function.__module__.partition(".")[0] in homes

    def _escape(self, called: str, values: Arguments) -> None:
        """Take note that a function out of sight may read all that it is given."""
        if values.tables_spread() or (called not in _HARMLESS and values.has_any()):
            self.reads_anything = True

    def _bound_call(self, called: Bound, node: ast.Call, values: Arguments) -> Any:
        base, method = called.base, called.name
        if isinstance(base, Known):
            return of_constant(base.value, method, values)
        if isinstance(base, Record):
            return base if method in _OWN_METHODS else None
        first = values.positional[0] if values.positional else None
        key = first.value if isinstance(first, Known) else None
        if isinstance(base, Spec):
            return Table(is_model=True) if key == "model" else None
        if method in ("get", "pop", "setdefault"):
            return self._got(base, key, node, values, method)
        if method == "copy":
            return base
        if method == "keys":
            return Names()
        if method == "update":
            if isinstance(first, Known) and isinstance(first.value, dict):
                self._written |= {name for name in first.value if isinstance(name, str)}
            self._written |= set(values.keyword)
            return None
        self.reads_anything = True  # items, values, and whatever else a mapping can do
        return None

    def _got(self, table: Table, key: Any, node: ast.Call, values: Arguments, method: str) -> Any:
        if not isinstance(key, str):
            self.reads_anything = True
            return None
        if table.is_model and key in _NOT_PARAMETERS:
            return Table() if key == "parameters" else None
        default = node.args[1] if len(node.args) > 1 else next((key.value for key in node.keywords), None)
        at = values.positional[1] if len(values.positional) > 1 else next(iter(values.keyword.values()), None)
        use = self._use(key, node)
        use.has_default = method != "pop" or default is not None
        if key in table.defaults:
            use.default = table.defaults[key]
        elif default is None:
            use.default = None if use.has_default else NO_DEFAULT
            use.required = method == "pop" and self._is_needed(key, table)
        elif isinstance(at, Known):
            use.default = at.value
        elif isinstance(at, Read) and at.use.name == key:  # the same name in another table
            use.has_default = False
        else:
            use.expression = ast.unparse(default)
        if method == "setdefault":
            self._written.add(key)
        return Read(use)

    def _is_needed(self, name: str, table: Table) -> bool:
        is_there = name in self._frame.present or name in self._written or name in table.defaults
        return self._frame.sure and table.is_alone and not is_there

    def _visit_subscript(self, node: ast.Subscript) -> Any:
        base, key = self.visit(node.value), self.visit(node.slice)
        name = key.value if isinstance(key, Known) else None
        if isinstance(base, Spec):
            return Table(is_model=True) if name == "model" else None
        if isinstance(base, Known) and isinstance(key, Known):
            try:
                return Known(base.value[name])
            except (KeyError, IndexError, TypeError):
                return None
        if not isinstance(base, Table):
            return None
        if isinstance(node.ctx, ast.Store):
            self._written |= {name} if isinstance(name, str) else set()
            return None
        if isinstance(node.ctx, ast.Del):
            return None
        if not isinstance(name, str):
            self.reads_anything = True
            return None
        if base.is_model and name in _NOT_PARAMETERS:
            return Table() if name == "parameters" else None
        use = self._use(name, node)
        use.default = base.defaults.get(name, NO_DEFAULT)
        use.has_default = name in base.defaults
        use.required = self._is_needed(name, base)
        return Read(use)

    def _visit_compare(self, node: ast.Compare) -> Any:
        left = self.visit(node.left)
        for operator, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.visit(right_node)
            if isinstance(operator, ast.In | ast.NotIn) and isinstance(right, Table | Names):
                if isinstance(left, Known) and isinstance(left.value, str):
                    self._use(left.value, node).is_check = True
                elif not isinstance(left, Known):
                    self.reads_anything = True
            left = right

    def _visit_attribute(self, node: ast.Attribute) -> Any:
        return self._attribute(self.visit(node.value), node.attr)

    def _attribute(self, base: Any, name: str) -> Any:
        if isinstance(base, Record):
            known: dict[str, Any] = {"parameters": Table(), "resolved_spec": Spec()}
            return known.get(name, Bound(base, name) if name in {*_OWN_METHODS, "add_log"} else None)
        if isinstance(base, Super):
            return Method(name, base.owner)
        if isinstance(base, Table | Spec | Known):
            return Bound(base, name)
        if isinstance(base, Object) and isinstance(base.value, types.ModuleType | type):
            return constant(inspect.getattr_static(base.value, name, None))
        return self._own_attribute(name) if isinstance(base, Self) else None

    def _own_attribute(self, name: str) -> Any:
        if name in self._attributes:
            return self._attributes[name]
        owner = self._owner_of(name)
        if owner is None:
            return None
        attribute = vars(owner)[name]
        if isinstance(attribute, property | functools.cached_property):
            definition = self._method(name)
            return None if definition is None else self._run(definition, {}, sure=self._frame.sure)
        return Known(copy.deepcopy(attribute)) if is_plain(attribute) else Method(name)

    def _visit_name(self, node: ast.Name) -> Any:
        if not isinstance(node.ctx, ast.Load):
            return None
        frame: Frame | None = self._frame
        while frame is not None:
            if node.id in frame.names:
                return frame.names[node.id]
            frame = frame.outer
        names = self._frame.definition.names
        if node.id in names:
            return constant(names[node.id])
        return constant(getattr(builtins, node.id, None))

    def _visit_constant(self, node: ast.Constant) -> Any:
        return Known(node.value)

    def _visit_unaryop(self, node: ast.UnaryOp) -> Any:
        value = self.visit(node.operand)
        is_number = isinstance(value, Known) and type(value.value) in (int, float)
        if is_number and isinstance(node.op, ast.USub | ast.UAdd):
            return Known(-value.value if isinstance(node.op, ast.USub) else value.value)
        return None

    def _sequence(self, node: ast.List | ast.Tuple | ast.Set) -> Any:
        values = [self.visit(item) for item in node.elts]
        kind = {ast.List: list, ast.Tuple: tuple, ast.Set: frozenset}[type(node)]
        if any(isinstance(item, ast.Starred) for item in node.elts):
            return None
        if all(isinstance(value, Known) for value in values):
            try:
                return Known(kind(value.value for value in values))
            except TypeError:  # a list in a set
                return None
        return None

    _visit_list = _visit_tuple = _visit_set = _sequence

    def _visit_dict(self, node: ast.Dict) -> Any:
        both = zip(node.keys, node.values, strict=True)
        pairs = [(None if key is None else self.visit(key), self.visit(value)) for key, value in both]
        if any(key is None and isinstance(value, Table) for key, value in pairs):
            return self._merged(pairs, node)
        made: dict[Any, Any] = {}
        for key, value in pairs:
            if key is None and isinstance(value, Known) and isinstance(value.value, dict):
                made |= value.value
            elif isinstance(key, Known) and isinstance(value, Known) and is_hashable(key.value):
                made[key.value] = value.value
            else:
                return None
        return Known(made)

    def _merged(self, pairs: Sequence[tuple[Any, Any]], node: ast.AST) -> Table:
        """Merge ``{"a": 1, **DEFAULTS, **record.parameters}``: what stands before are defaults."""
        defaults: dict[str, Any] = {}
        is_alone = True
        for key, value in pairs:
            if isinstance(key, Known) and isinstance(value, Known):
                defaults[key.value] = value.value
            elif isinstance(value, Known) and isinstance(value.value, dict):
                defaults |= value.value
            elif isinstance(value, Table):
                defaults |= dict(value.defaults)
                is_alone &= value.is_alone
            else:
                is_alone = False
        for name, default in defaults.items():
            if isinstance(name, str):
                use = self._use(name, node)
                use.default, use.has_default = default, True
        return Table(defaults, is_alone=is_alone)

    def _visit_binop(self, node: ast.BinOp) -> Any:
        left, right = self.visit(node.left), self.visit(node.right)
        if isinstance(node.op, ast.BitOr) and (isinstance(left, Table) or isinstance(right, Table)):
            return self._merged([(None, left), (None, right)], node)
        if isinstance(node.op, ast.Sub) and isinstance(left, Known) and isinstance(right, Names | Table):
            names = tuple(name for name in strings(left.value))
            for name in names:
                self._use(name, node).is_check = True
            return Missing(names, self._where(node))
        return None

    def _visit_boolop(self, node: ast.BoolOp) -> Any:
        first = self.visit(node.values[0])
        if_true, if_false = self._present(node.values[0])
        known = if_true if isinstance(node.op, ast.And) else if_false
        others: list[Any] = []
        with self._maybe(known):
            others += [self.visit(value) for value in node.values[1:]]
        if isinstance(node.op, ast.And):
            return None
        if isinstance(first, Read) and first.use.default in (None, NO_DEFAULT) and not first.use.expression:
            self._or_else(first.use, others[-1], node.values[-1])
        return first if first is not None else next((other for other in others if other is not None), None)

    def _or_else(self, use: Use, other: Any, node: ast.expr) -> None:
        """``parameters.get("years") or 5``: the second is the default."""
        if isinstance(other, Known):
            use.default, use.has_default = other.value, True
        elif isinstance(other, Read):
            use.default, use.has_default = NO_DEFAULT, False
            use.expression = "" if other.use.name == use.name else ast.unparse(node)
            use.has_default = bool(use.expression)
        else:
            use.default, use.expression, use.has_default = NO_DEFAULT, ast.unparse(node), True

    def _visit_ifexp(self, node: ast.IfExp) -> Any:
        self.visit(node.test)
        if_true, if_false = self._present(node.test)
        with self._maybe(if_true):
            value = self.visit(node.body)
        with self._maybe(if_false):
            other = self.visit(node.orelse)
        for read, instead, text, names in (
            (value, other, node.orelse, if_true),
            (other, value, node.body, if_false),
        ):
            if isinstance(read, Read) and read.use.name in names and not read.use.has_default:
                self._or_else(read.use, instead, text)
        return value if value is not None else other

    def _visit_namedexpr(self, node: ast.NamedExpr) -> Any:
        value = self.visit(node.value)
        self._bind(node.target, value)
        return value

    def _visit_starred(self, node: ast.Starred) -> Any:
        value = self.visit(node.value)
        return Names() if isinstance(value, Table) else value

    def _visit_lambda(self, node: ast.Lambda) -> Any:
        return self._closure(node)

    def _closure(self, node: FunctionNode) -> Closure:
        closure = Closure(node, self._frame)
        self._frame.closures.append(closure)
        return closure

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> Any:
        before = dict(self._frame.names)
        outcome: list[Any] = []
        self._generate(node, 0, outcome)
        self._frame.names = before
        missing = [value.names for value in outcome if isinstance(value, Missing)]
        if missing and len(missing) == len(outcome):
            first = outcome[0]
            return Missing(tuple(name for names in missing for name in names), first.where)
        return None

    _visit_listcomp = _visit_setcomp = _visit_generatorexp = _visit_dictcomp = _comprehension

    def _generate(self, node: Any, at: int, outcome: list[Any]) -> None:
        if at == len(node.generators):
            parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
            for part in parts:
                self.visit(part)
            return
        generator = node.generators[at]
        source = self.visit(generator.iter)
        items = items_of(source)
        is_known = items is not None
        for item in items if items is not None else [None]:
            self._bind(generator.target, item)
            if not is_known or generator.ifs:
                with self._maybe(frozenset()):
                    self._filtered(node, at, generator, item, outcome)
            else:
                self._generate(node, at + 1, outcome)

    def _filtered(self, node: Any, at: int, generator: ast.comprehension, item: Any, outcome: list[Any]) -> None:
        present: frozenset[str] = frozenset()
        for test in generator.ifs:
            self.visit(test)
            if_true, if_false = self._present(test)
            present |= if_true
            is_name = isinstance(item, Known) and isinstance(item.value, str)
            if is_name and item.value in if_false and len(generator.ifs) == len(node.generators) == 1:
                outcome.append(Missing((item.value,), self._where(test)))
        with self._maybe(present):
            self._generate(node, at + 1, outcome)

    def _bind(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Name):
            self._frame.names[target.id] = value
        elif isinstance(target, ast.Attribute) and isinstance(self.visit(target.value), Self):
            if value is not None:
                self._attributes[target.attr] = value
        elif isinstance(target, ast.Tuple | ast.List):
            items = items_of(value)
            fits = items is not None and len(items) == len(target.elts)
            for at, part in enumerate(target.elts):
                self._bind(part, items[at] if fits and items is not None else None)
        elif isinstance(target, ast.Starred):
            self._bind(target.value, None)
        else:
            self.visit(target)

    def _present(self, test: ast.expr) -> tuple[frozenset[str], frozenset[str]]:
        """Return the parameters that are given if a test is true, and if it is false."""
        nothing: frozenset[str] = frozenset()
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            if_true, if_false = self._present(test.operand)
            return if_false, if_true
        if isinstance(test, ast.BoolOp):
            parts = [self._present(part) for part in test.values]
            both = nothing.union(*(true for true, _ in parts)), nothing.union(*(false for _, false in parts))
            return (both[0], nothing) if isinstance(test.op, ast.And) else (nothing, both[1])
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            return self._present_in(test)
        read = self._values.get(test)
        return (frozenset({read.use.name}), nothing) if isinstance(read, Read) else (nothing, nothing)

    def _present_in(self, test: ast.Compare) -> tuple[frozenset[str], frozenset[str]]:
        nothing: frozenset[str] = frozenset()
        operator, left, right = test.ops[0], test.left, test.comparators[0]
        if isinstance(operator, ast.In | ast.NotIn):
            name, table = self._values.get(left), self._values.get(right)
            if isinstance(name, Known) and isinstance(name.value, str) and isinstance(table, Table | Names):
                found = frozenset({name.value})
                return (found, nothing) if isinstance(operator, ast.In) else (nothing, found)
        elif isinstance(operator, ast.Is | ast.IsNot):
            read = self._values.get(left)
            if isinstance(read, Read):
                found = frozenset({read.use.name})
                return (nothing, found) if isinstance(operator, ast.Is) else (found, nothing)
        return nothing, nothing
