"""Reading statements: what is reached in every run, and what may not be."""

from __future__ import annotations

import ast
import inspect
import sys
import types
from typing import TYPE_CHECKING, Any

from dissmodel_lab.executor.events import Phase
from dissmodel_lab.inference.constants import constant, items_of, listing
from dissmodel_lab.inference.expressions import Expressions
from dissmodel_lab.inference.files import function_of
from dissmodel_lab.inference.parameter import NO_DEFAULT
from dissmodel_lab.inference.symbols import Missing, Read, Record, Table, Use, arguments_of, called_name, record_name
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Reader(Expressions):
    """
    Follows the phases of an executor in their order, statement by statement.

    It errs on the side of the run: a parameter is required only where every run reads it, and where a
    value gets out of sight, any name may be read.
    """

    def read_phases(self) -> None:
        """Read all four phases, and then the methods that none of them calls by name."""
        missing = [phase.value for phase in Phase if self._owner_of(phase.value) is None]
        if len(missing) == len(Phase):
            self.give_up(
                message(
                    "{kind} has no phases to read parameters from: {listing} are missing.",
                    kind=self._class.__name__,
                    listing=listing(missing),
                )
            )
            return
        for phase in Phase:
            self._phase = phase.value
            definition = self._method(phase.value)
            if definition is not None:
                self._run(definition, {record_name(definition.node): Record()})
        self._read_rest()

    def _read_rest(self) -> None:
        """Read the methods that no phase calls by name, for example through ``getattr``; none is sure to run."""
        self._phase = ""
        for name in {name: None for owner in self._class.__mro__ for name in vars(owner)}:
            owner = self._owner_of(name)
            if owner is None or owner is object or owner.__name__ == "ModelExecutor" or name.startswith("__"):
                continue
            if not isinstance(function_of(vars(owner)[name]), types.FunctionType):
                continue
            definition = self._method(name, is_needed=False)
            if definition is not None and definition.node not in self._reached:
                given = {"record": Record(), "params": Table(), "parameters": Table()}
                taken = {argument.arg for argument in arguments_of(definition.node)}
                self._run(definition, {key: value for key, value in given.items() if key in taken}, sure=False)

    def _block(self, statements: Iterable[ast.stmt]) -> None:
        for statement in statements:
            self.visit(statement)
            is_compound = isinstance(statement, ast.If | ast.For | ast.While | ast.Try | ast.With | ast.Match)
            if is_compound and _contains(statement, ast.Return):
                self._frame.sure = False

    def _visit_assign(self, node: ast.Assign) -> None:
        value = self.visit(node.value)
        for target in node.targets:
            self._assign(target, value, node.value)

    def _assign(self, target: ast.expr, value: Any, source: ast.expr) -> None:
        if isinstance(target, ast.Tuple) and isinstance(source, ast.Tuple) and len(target.elts) == len(source.elts):
            for part, part_source in zip(target.elts, source.elts, strict=True):
                self._bind(part, self.visit(part_source))
        else:
            self._bind(target, value)

    def _visit_annassign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._bind(node.target, self.visit(node.value))

    def _visit_augassign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        if isinstance(node.target, ast.Subscript):
            self.visit(
                ast.copy_location(ast.Subscript(node.target.value, node.target.slice, ast.Load()), node.target)
            )

    def _visit_return(self, node: ast.Return) -> None:
        if node.value is not None:
            self._frame.returned.append(self.visit(node.value))

    def _visit_if(self, node: ast.If) -> None:
        self.visit(node.test)
        if_true, if_false = self._present(node.test)
        raises = any(isinstance(statement, ast.Raise) for statement in node.body)
        if raises and self._frame.sure:
            self._require(node.test)
        before = dict(self._frame.names)
        with self._maybe(if_true):
            self._block(node.body)
        after_body, self._frame.names = self._frame.names, before
        with self._maybe(if_false):
            self._block(node.orelse)
        if _leaves(node.body):
            self._frame.present |= if_false
        else:
            for name, value in after_body.items():
                if value is not None or name not in self._frame.names:
                    self._frame.names[name] = value

    def _require(self, test: ast.expr) -> None:
        """Mark what a run must be given, because ``if`` it is missing the executor raises."""
        tested = self._values.get(test)
        if isinstance(tested, Missing):
            self._need(tested.names, tested.where)
        self._need(sorted(self._absent(test)), self._where(test))
        for use in self._refused(test):
            use.required = use.default in (None, NO_DEFAULT) or use.default in ("", [], {}, ())

    def _need(self, names: Iterable[str], where: str) -> None:
        self.uses += [Use(name, where, self._phase, required=True, is_check=True) for name in names]

    def _absent(self, test: ast.expr, *, is_negated: bool = False) -> frozenset[str]:
        """Return the parameters that make a test true by not being given."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return self._absent(test.operand, is_negated=not is_negated)
        if isinstance(test, ast.BoolOp):
            is_any = isinstance(test.op, ast.And if is_negated else ast.Or)
            parts = [self._absent(part, is_negated=is_negated) for part in test.values] if is_any else []
            return frozenset().union(*parts)
        is_membership = isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.In | ast.NotIn)
        if_true, if_false = self._present(test) if is_membership else (frozenset[str](), frozenset[str]())
        return if_true if is_negated else if_false

    def _refused(self, test: ast.expr) -> list[Use]:
        """Return the reads whose None or emptiness makes a test true."""
        if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or):
            return [use for part in test.values for use in self._refused(part)]
        subject: ast.expr | None = None
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            subject = test.operand
        elif isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Is):
            subject = test.left
        read = None if subject is None else self._values.get(subject)
        return [read.use] if isinstance(read, Read) else []

    def _visit_assert(self, node: ast.Assert) -> None:
        self.visit(node.test)
        if self._frame.sure:
            self._need(sorted(self._absent(node.test, is_negated=True)), self._where(node))

    def _visit_for(self, node: ast.For | ast.AsyncFor) -> None:
        items = items_of(self.visit(node.iter))
        if items and not _contains(node, (ast.Break, ast.Continue, ast.Return)):
            for item in items:
                self._bind(node.target, item)
                self._block(node.body)
        else:
            with self._maybe(frozenset()):
                for item in items if items is not None else [None]:
                    self._bind(node.target, item)
                    self._block(node.body)
        with self._maybe(frozenset()):
            self._block(node.orelse)

    _visit_asyncfor = _visit_for

    def _visit_while(self, node: ast.While) -> None:
        self.visit(node.test)
        with self._maybe(self._present(node.test)[0]):
            self._block([*node.body, *node.orelse])

    def _visit_try(self, node: ast.Try | ast.TryStar) -> None:
        if any(_catches_a_missing_key(handler) for handler in node.handlers):
            with self._maybe(frozenset()):
                self._block(node.body)
        else:
            self._block(node.body)
        with self._maybe(frozenset()):
            for handler in node.handlers:
                self._block(handler.body)
            self._block(node.orelse)
        self._block(node.finalbody)

    _visit_trystar = _visit_try

    def _visit_with(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            value = self.visit(item.context_expr)
            if item.optional_vars is not None:
                self._bind(item.optional_vars, value)
        self._block(node.body)

    _visit_asyncwith = _visit_with

    def _visit_match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        for case in node.cases:
            with self._maybe(frozenset()):
                self._block(case.body)

    def _visit_functiondef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for default in [*node.args.defaults, *node.args.kw_defaults]:
            if default is not None:
                self.visit(default)
        self._frame.names[node.name] = self._closure(node)

    _visit_asyncfunctiondef = _visit_functiondef

    def _visit_classdef(self, node: ast.ClassDef) -> None:
        self._frame.names[node.name] = None
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                self._closure(statement)
            else:
                self.visit(statement)

    def _visit_importfrom(self, node: ast.ImportFrom) -> None:
        module = sys.modules.get(node.module or "") if node.level == 0 else None  # never imported for this
        for alias in node.names:
            found = inspect.getattr_static(module, alias.name, None) if module else None
            self._frame.names[alias.asname or alias.name] = constant(found)

    def _visit_import(self, node: ast.Import) -> None:
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            self._frame.names[name] = constant(sys.modules.get(alias.name if alias.asname else name))


def _contains(node: ast.AST, wanted: type[ast.AST] | tuple[type[ast.AST], ...]) -> bool:
    """Tell whether a statement holds another, functions inside of it left out."""
    left = list(ast.iter_child_nodes(node))
    while left:
        child = left.pop()
        if isinstance(child, wanted):
            return True
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            left += ast.iter_child_nodes(child)
    return False


def _leaves(body: Sequence[ast.stmt]) -> bool:
    return isinstance(body[-1], ast.Raise | ast.Return | ast.Continue | ast.Break)


def _catches_a_missing_key(handler: ast.ExceptHandler) -> bool:
    caught = {called_name(node) for node in ast.walk(handler.type)} if handler.type else {"Exception"}  # type: ignore[arg-type]  # names are enough
    return bool(caught & {"KeyError", "LookupError", "Exception", "BaseException"})
