"""What a name or an expression in an executor's source can stand for."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dissmodel_lab.inference.parameter import NO_DEFAULT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dissmodel_lab.inference.files import Definition, FunctionNode


@dataclass
class Use:
    """One place where a parameter is read."""

    name: str
    where: str
    phase: str
    default: Any = NO_DEFAULT
    expression: str = ""
    required: bool = False
    kind: type[Any] | None = None
    is_check: bool = False
    """Whether it is only asked for, and its value is not read."""
    has_default: bool = False
    """Whether this place says what holds when nothing is given."""


class Record:
    """The record."""


class Spec:
    """``record.resolved_spec``."""


@dataclass(frozen=True, eq=False)
class Table:
    """``record.parameters``, a copy of it, or ``record.resolved_spec["model"]``."""

    defaults: Mapping[str, Any] = field(default_factory=dict)
    """What it was merged with: ``{**DEFAULTS, **record.parameters}``."""
    is_model: bool = False
    is_alone: bool = True
    """Whether nothing unknown was merged into it."""


@dataclass(frozen=True, eq=False)
class Names:
    """The names in a table: ``set(record.parameters)``."""


@dataclass(frozen=True, eq=False)
class Missing:
    """The names among some that were not given."""

    names: tuple[str, ...]
    where: str


@dataclass(frozen=True, eq=False)
class Read:
    """The value of a parameter."""

    use: Use


@dataclass(frozen=True, eq=False)
class Known:
    """A literal, or a constant of the module or class."""

    value: Any


@dataclass(frozen=True, eq=False)
class Object:
    """A function, class or module."""

    value: Any


class Self:
    """The executor."""


@dataclass(frozen=True, eq=False)
class Super:
    """``super()`` in a method of ``owner``."""

    owner: type[Any] | None


@dataclass(frozen=True, eq=False)
class Method:
    """A method of the executor; of a parent when ``after`` is given."""

    name: str
    after: type[Any] | None = None


@dataclass(frozen=True, eq=False)
class Bound:
    """A method of a table, a specification or a constant."""

    base: Any
    name: str


@dataclass(eq=False)
class Closure:
    """A function inside of a function."""

    node: FunctionNode
    frame: Frame
    is_called: bool = False


@dataclass(eq=False)
class Frame:
    """A function that is being followed."""

    definition: Definition
    names: dict[str, Any]
    """Local names; None for what is of no interest."""
    outer: Frame | None = None
    sure: bool = True
    """Whether this place is reached in every run."""
    present: frozenset[str] = frozenset()
    """Parameters that are known to be given here."""
    returned: list[Any] = field(default_factory=list)
    closures: list[Closure] = field(default_factory=list)


@dataclass(eq=False)
class Arguments:
    """What a call is given."""

    positional: list[Any]
    keyword: dict[str, Any]
    spread: list[Any]
    """What stands behind ``**``."""

    def tables_spread(self) -> bool:
        """Tell whether the parameters stand behind ``**``."""
        return any(isinstance(value, Table | Spec) for value in self.spread)

    def has_any(self) -> bool:
        """Tell whether the record or its parameters are among them."""
        values = [*self.positional, *self.keyword.values(), *self.spread]
        return any(isinstance(value, Record | Table | Spec) for value in values)

    def by_name(self, node: FunctionNode, skip: int) -> dict[str, Any]:
        """Return what each parameter of a function is given; the first ``skip`` are given otherwise."""
        names = [argument.arg for argument in [*node.args.posonlyargs, *node.args.args]][skip:]
        taken = {argument.arg for argument in arguments_of(node)}
        given = dict(zip(names, self.positional, strict=False))
        return given | {name: value for name, value in self.keyword.items() if name in taken}


def arguments_of(node: FunctionNode) -> list[ast.arg]:
    """Return all parameters of a function."""
    extra = [argument for argument in (node.args.vararg, node.args.kwarg) if argument is not None]
    return [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, *extra]


def record_name(node: FunctionNode) -> str:
    """Return what a phase calls the record: its last parameter, whatever its name."""
    names = [argument.arg for argument in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]]
    return "record" if "record" in names or len(names) < 2 else names[-1]  # noqa: PLR2004 -- self and the record


def called_name(node: ast.expr) -> str:
    """Return the last part of a name: ``dumps`` of ``json.dumps``."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
