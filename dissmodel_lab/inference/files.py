"""Where a function's source stands: in a file, a notebook's cell, or nowhere."""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import sys
import types
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True)
class File:
    """A parsed source file."""

    label: str
    """Its name in messages; never an absolute path."""
    functions: Mapping[tuple[int, str], list[FunctionNode]]
    """(first line, name) -> definitions."""
    classes: Mapping[str, list[ast.ClassDef]]
    """Qualified name -> definitions."""


@dataclass(frozen=True)
class Definition:
    """A function's source, and what its names mean."""

    node: FunctionNode
    file: File
    names: Mapping[str, Any]
    """The globals of its module."""
    owner: type[Any] | None = None
    """The class that it is a method of."""
    is_static: bool = False


def function_of(attribute: Any) -> Callable[..., Any] | None:
    """Return the function behind what stands in a class."""
    if isinstance(attribute, staticmethod | classmethod):
        attribute = attribute.__func__
    if isinstance(attribute, functools.partialmethod | functools.partial | functools.cached_property):
        attribute = attribute.func
    if isinstance(attribute, property):
        attribute = attribute.fget
    return attribute if callable(attribute) else None


def label_of(filename: str, module: str) -> str:
    """Name a file by its module, as it would stand in a package; a notebook's cell has no file."""
    if "ipykernel_" in filename or filename.startswith("<ipython-input"):
        return "notebook cell"
    path = PurePath(filename)
    parts = module.split(".")
    inside = [*parts, path.name] if path.name == "__init__.py" else [*parts[:-1], path.name]
    return "/".join(inside) if list(path.parts[-len(inside) :]) == inside else path.name


class Unreadable(Exception):  # noqa: N818 -- no error: it says why, and the reader goes on
    """Why a source cannot be read."""


class Files:
    """The source files of one executor, each parsed once."""

    def __init__(self) -> None:
        self._parsed: dict[str, File] = {}

    def of(self, filename: str, module: str) -> File:
        """
        Return a parsed file.

        Raises
        ------
        Unreadable
            When there is no text of it, or it is not Python.
        """
        if filename not in self._parsed:
            linecache.checkcache(filename)
            names = getattr(sys.modules.get(module), "__dict__", None)
            lines = linecache.getlines(filename, names)
            if not lines:
                raise Unreadable(
                    "it was made by exec(), or in an interpreter that keeps no source, or its .py file is missing"
                )
            try:
                tree = ast.parse("".join(lines))
            except (SyntaxError, ValueError) as error:
                raise Unreadable(f"its file is not the Python that was imported ({error})") from error
            self._parsed[filename] = _indexed(tree, label_of(filename, module))
        return self._parsed[filename]


def _indexed(tree: ast.Module, label: str) -> File:
    functions: dict[tuple[int, str], list[FunctionNode]] = {}
    classes: dict[str, list[ast.ClassDef]] = {}
    left: list[tuple[ast.AST, str]] = [(tree, "")]
    while left:
        node, prefix = left.pop()
        inner = prefix
        if isinstance(node, ast.ClassDef):
            classes.setdefault(prefix + node.name, []).append(node)
            inner = f"{prefix}{node.name}."
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            functions.setdefault((first, node.name), []).append(node)
            inner = f"{prefix}{node.name}.<locals>."
        elif isinstance(node, ast.Lambda):
            functions.setdefault((node.lineno, "<lambda>"), []).append(node)
        for name in node._fields:  # as ast.iter_child_nodes does, in half of its time
            value = getattr(node, name, None)
            if isinstance(value, ast.AST):
                if value._fields:  # else nothing lies in it: a sign, the way in which a name is used
                    left.append((value, inner))
            elif isinstance(value, list):
                left += [(child, inner) for child in value if isinstance(child, ast.AST)]
    return File(label, functions, classes)


def defined(function: Any, files: Files, owner: type[Any] | None, name: str) -> Definition:
    """
    Find the source of a function.

    Raises
    ------
    Unreadable
        When there is none, or it is not the one that was imported.
    """
    plain = inspect.unwrap(function) if callable(function) else function
    if isinstance(plain, types.MethodType):
        plain = plain.__func__
    if not isinstance(plain, types.FunctionType):
        found = _in_class(files, owner, name)
        if found is None:
            raise Unreadable("it is compiled, or no function")
        return found
    code = plain.__code__
    if owner is not None and code.co_name not in (name, "<lambda>"):  # a decorator's own function
        found = _in_class(files, owner, name)
        if found is not None:
            return found
    file = files.of(code.co_filename, plain.__module__)
    nodes = file.functions.get((code.co_firstlineno, code.co_name), [])
    if not nodes:
        raise Unreadable("its file has changed since it was imported; restart the kernel")
    if len(nodes) > 1:
        raise Unreadable("it is one of several lambdas in one line; write it as a method")
    return Definition(nodes[0], file, plain.__globals__, owner)


def _in_class(files: Files, owner: type[Any] | None, name: str) -> Definition | None:
    """Find a method by its name in the class statement, whatever a decorator has made of it."""
    module = sys.modules.get(getattr(owner, "__module__", ""))
    filename = getattr(module, "__file__", None) or next(
        (
            attribute.__code__.co_filename
            for attribute in vars(owner).values()
            if isinstance(attribute, types.FunctionType)
        ),
        None,
    )
    if owner is None or module is None or filename is None or not filename.endswith(".py"):
        return None
    file = files.of(filename, owner.__module__)
    for statement in reversed(file.classes.get(owner.__qualname__, [])):
        for node in reversed(statement.body):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
                return Definition(node, file, vars(module), owner)
    return None
