"""Following an executor's methods: which function is being read, and what its names stand for."""

from __future__ import annotations

import ast
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dissmodel_lab.inference.constants import listing
from dissmodel_lab.inference.files import Definition, Files, Unreadable, defined, function_of
from dissmodel_lab.inference.symbols import Arguments, Closure, Frame, Self, Use, arguments_of
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_MAX_CALLS = 400
"""Helpers followed for one executor; beyond, what it reads is called unknown."""
_MAX_DEPTH = 20


class Frames:
    """The functions that are being followed; what stands in them is read by its children."""

    def __init__(self, executor_class: type[Any]) -> None:
        self.uses: list[Use] = []
        self.reads_anything = False
        self.files = Files()
        self._class = executor_class
        self._attributes: dict[str, Any] = {}  # what self.x stands for
        self._written: set[str] = set()  # names that the executor itself puts into the parameters
        self._active: list[ast.AST] = []
        self._reached: set[ast.AST] = set()
        self._calls = 0
        self._problem = ""
        self._unread: dict[str, list[str]] = {}  # why -> methods
        self._phase = ""
        self._values: dict[ast.AST, Any] = {}  # what each expression stood for when it was last visited
        self._frame: Frame

    def give_up(self, problem: str) -> None:
        """Say why nothing more can be read."""
        self.reads_anything = True
        self._problem = problem

    @property
    def problem(self) -> str:
        """What cannot be read, and why; empty when all can."""
        unread = (
            message(
                "What {listing} {words} is not known: {why}.",
                listing=listing(names),
                words="read" if len(names) > 1 else "reads",
                why=why,
            )
            for why, names in self._unread.items()
        )
        return self._problem or " ".join(unread)

    def visit(self, node: ast.AST) -> Any:
        """Read a statement or an expression; return what an expression stands for."""
        reader = getattr(self, f"_visit_{type(node).__name__.lower()}", None)
        value = None
        if reader is not None:
            value = reader(node)
        else:
            for child in ast.iter_child_nodes(node):
                self.visit(child)
        self._values[node] = value
        return value

    def _owner_of(self, name: str, after: type[Any] | None = None) -> type[Any] | None:
        mro = self._class.__mro__
        start = mro.index(after) + 1 if after in mro else 0
        return next((owner for owner in mro[start:] if name in vars(owner)), None)

    def _method(self, name: str, after: type[Any] | None = None, *, is_needed: bool = True) -> Definition | None:
        owner = self._owner_of(name, after)
        if owner is None or owner is object:
            return None
        attribute = vars(owner)[name]
        try:
            found = defined(function_of(attribute), self.files, owner, name)
        except Unreadable as why:
            if is_needed:
                self.reads_anything = True
                self._unread.setdefault(str(why), []).append(f"{owner.__name__}.{name}")
            return None
        is_static = isinstance(attribute, staticmethod)
        return Definition(found.node, found.file, found.names, owner, is_static)

    def _run(
        self,
        definition: Definition,
        names: Mapping[str, Any],
        *,
        sure: bool = True,
        outer: Frame | None = None,
        present: frozenset[str] = frozenset(),
    ) -> Any:
        """Follow a function whose arguments stand for ``names``; return what it returns."""
        node = definition.node
        self._calls += 1
        self._reached.add(node)
        if node in self._active:
            return None
        if self._calls > _MAX_CALLS or len(self._active) > _MAX_DEPTH:
            self.reads_anything = True
            return None
        arguments = arguments_of(node)
        local: dict[str, Any] = dict.fromkeys(argument.arg for argument in arguments)
        is_method = definition.owner is not None and not definition.is_static and outer is None
        if is_method and arguments:
            local[arguments[0].arg] = Self()
        frame = Frame(definition, {**local, **names}, outer, sure, present)
        before = getattr(self, "_frame", None)
        self._frame = frame
        self._active.append(node)
        try:
            if isinstance(node, ast.Lambda):
                frame.returned.append(self.visit(node.body))
            else:
                self._block(node.body)
            for closure in frame.closures:
                if not closure.is_called:
                    self._run_closure(closure, {}, sure=False)
        finally:
            self._active.pop()
            if before is not None:
                self._frame = before
        return next((value for value in frame.returned if value is not None), None)

    def _run_closure(self, closure: Closure, names: Mapping[str, Any], *, sure: bool) -> Any:
        closure.is_called = True
        outer = closure.frame
        definition = Definition(closure.node, outer.definition.file, outer.definition.names)
        return self._run(definition, names, sure=sure, outer=outer, present=outer.present)

    def _call(self, definition: Definition, values: Arguments) -> Any:
        skip = 0 if definition.owner is None or definition.is_static else 1
        if values.tables_spread():
            self.reads_anything = True
        names = values.by_name(definition.node, skip)
        return self._run(definition, names, sure=self._frame.sure, present=self._frame.present)

    @contextmanager
    def _maybe(self, present: frozenset[str]) -> Iterator[None]:
        """Follow what may not be reached, with these parameters given."""
        frame = self._frame
        before = frame.sure, frame.present
        frame.sure, frame.present = False, frame.present | present
        try:
            yield
        finally:
            frame.sure, frame.present = before

    def _frame_owner(self) -> type[Any] | None:
        frame: Frame | None = self._frame
        while frame is not None and frame.definition.owner is None:
            frame = frame.outer
        return frame.definition.owner if frame else None

    def _use(self, name: str, node: ast.AST) -> Use:
        use = Use(name, self._where(node), self._phase)
        self.uses.append(use)
        return use

    def _where(self, node: ast.AST) -> str:
        return f"{self._frame.definition.file.label}:{getattr(node, 'lineno', 0)}"

    def _block(self, statements: Iterable[ast.stmt]) -> None:
        raise NotImplementedError
