"""A notebook cell as a model: plain code, without an executor, run and recorded as one.

The cell's body is the phase ``run``. Variables of the notebook are its input and its output. Simulations of
PyPI ``dissmodel`` in it, and :func:`dissmodel_lab.steps`, are followed step by step as in any other model.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import keyword
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissmodel_lab.artifacts import output_suffix, with_suffix
from dissmodel_lab.errors import ExecutorError, ParameterError, did_you_mean
from dissmodel_lab.executor.base import ModelExecutor
from dissmodel_lab.language import message
from dissmodel_lab.parameters import refuse_deep
from dissmodel_lab.store import safe_name
from dissmodel_lab.upstream import georeference_of, is_raster_backend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import CodeType

    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.rasters import Raster


class CellExecutor(ModelExecutor, register=False):
    """
    Runs Python code in a notebook's namespace.

    Parameters
    ----------
    source : str
        The code.
    namespace : dict
        The notebook's variables; the code reads and sets them as a cell of its own would.
    output : str
        Name of the variable that holds the result when the code has run; empty for none.
    variable : str
        Name of the variable that is the input; empty when that is a file, or there is none.
    filename : str
        How tracebacks name the code.
    show : callable, optional
        Is given the value of a last expression, as a notebook shows it.

    Raises
    ------
    ParameterError
        When the code is not Python, awaits something on its top level, or ``output`` is no name that it sets.

    Examples
    --------
    >>> from dissmodel_lab import run
    >>> import tempfile
    >>> variables = {"cells": 4}
    >>> record = run(CellExecutor("total = cells * 2", variables, "total"), store=tempfile.mkdtemp())
    >>> record.status, variables["total"], record.artifact_path().read_text()
    ('completed', 8, '8')
    """

    name = "cell"

    def __init__(
        self,
        source: str,
        namespace: dict[str, Any],
        output: str = "",
        *,
        variable: str = "",
        filename: str = "<cell>",
        show: Callable[[Any], None] | None = None,
    ) -> None:
        self._namespace = namespace
        self._output = output
        self._variable = variable
        self._show = show
        try:
            tree = ast.parse(source, filename)
            self._code, self._last = _compiled(tree, filename)
        except ParameterError:
            raise
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ParameterError(_no_python(error)) from error
        if output:
            _refuse_unset(output, tree, namespace)
        self.settings = literal_settings(tree)
        """Numbers and texts that the code itself sets on its top level, by name: its parameters."""

    def validate(self, record: ExperimentRecord) -> None:
        """Note what the code sets by itself, and which variables go in and out."""
        record.parameters.update(self.settings)
        record.parameter_origins.update(dict.fromkeys(self.settings, "cell"))
        if self._variable:
            record.add_log(f"The input is the notebook's variable {self._variable!r}.")
        if self._output:
            record.add_log(f"The output is the notebook's variable {self._output!r}.")

    def load(self, record: ExperimentRecord) -> Any:
        """Return the input's path; an input in memory is a variable, and never loaded."""
        return record.source.uri or None

    def run(self, data: Any, record: ExperimentRecord) -> Any:  # noqa: ARG002 -- the code takes its variables
        """Run the code; return the variable that was named as output."""
        exec(self._code, self._namespace)  # noqa: S102 -- the person's own cell
        if self._last is not None:
            value = eval(self._last, self._namespace)  # noqa: S307 -- as above
            if self._show is not None and value is not None:
                self._show(value)
        if not self._output:
            return None
        if self._output not in self._namespace:
            raise ExecutorError(_unset(self._output, list(self._namespace), "set"))
        return self._namespace[self._output]

    def save(self, result: Any, record: ExperimentRecord) -> ExperimentRecord:
        """
        Write the output variable: rasters as GeoTIFF, tables of cells as GeoPackage, others as text.

        Raises
        ------
        ParameterError
            When a table or list holds itself, or more others than can be written.
        """
        if result is not None:
            refuse_deep([result], f"The output {self._output!r}")
            write_value(result, Path(str(record.output_path)))
        return record


def _compiled(tree: ast.Module, filename: str) -> tuple[CodeType, CodeType | None]:
    """Return the code, and its last expression apart, whose value a notebook shows."""
    awaits = compile(tree, filename, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT).co_flags & inspect.CO_COROUTINE
    if awaits:
        raise ParameterError(
            message(
                "The cell awaits something on its top level, which cannot be recorded: its phases run one after "
                "the other. Await it in a cell before, and record the rest."
            )
        )
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr):
        return compile(tree, filename, "exec"), None
    first = ast.Module(tree.body[:-1], tree.type_ignores)
    return compile(first, filename, "exec"), compile(ast.Expression(last.value), filename, "eval")


def _no_python(error: Exception) -> str:
    """Say what is wrong with code, with the place where Python stumbled over it."""
    if not isinstance(error, SyntaxError):
        return message(
            "The cell is no Python: {error}. Correct it, and run it again.", error=error or type(error).__name__
        )
    where = message(" (line {lineno})", lineno=error.lineno) if error.lineno else ""
    said = message("The cell is no Python: {msg}{where}.", msg=error.msg, where=where)
    if not error.text:
        return said
    line = error.text.rstrip("\n")
    return f"{said}\n    {line}\n    {' ' * (max(1, error.offset or 1) - 1)}^" if len(line) <= _LONGEST_LINE else said


def _refuse_unset(output: str, tree: ast.Module, namespace: Mapping[str, Any]) -> None:
    """Refuse the name of an output that nothing in the code can set, before it runs for nothing."""
    if not output.isidentifier() or keyword.iskeyword(output):
        raise ParameterError(
            message("The output {output!r} is no name of a variable. Name one that the cell sets.", output=output)
        )
    names = assigned_names(tree)
    if names is not None and output not in names and output not in namespace:
        raise ParameterError(_unset(output, names, "sets"))


def _unset(output: str, names: Iterable[str], word: str) -> str:
    advice = did_you_mean(output, own_names(names)[-20:])
    return message(
        "The cell {word} no variable {output!r}, which is named as its output. {advice}",
        word=word,
        output=output,
        advice=advice,
    )


def own_names(names: Iterable[str]) -> list[str]:
    """
    Leave out the names that every notebook has.

    Examples
    --------
    >>> own_names(["In", "_i", "grid"])
    ['grid']
    """
    return [name for name in names if not name.startswith("_") and name not in _OF_NOTEBOOK]


_OF_NOTEBOOK = frozenset({"In", "Out", "get_ipython", "exit", "quit", "open"})
_LONGEST_LINE = 200
#: Code that may set a variable of any name.
_SETS_ANY = frozenset({"exec", "eval", "globals", "locals", "vars", "setattr", "get_ipython", "import_module"})


def assigned_names(tree: ast.Module) -> list[str] | None:
    """
    Find the names that code sets; None when it may set others too.

    Examples
    --------
    >>> assigned_names(ast.parse("import os; grid, n = grow(os.cpu_count())"))
    ['os', 'grid', 'n']
    >>> assigned_names(ast.parse("exec(text)")) is None
    True
    """
    found: list[str] = []
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) if name in _SETS_ANY:
                return None
            case ast.Name(id=name, ctx=ast.Store()):
                found.append(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.append(name)
            case ast.alias(name="*"):
                return None
            case ast.alias(name=name, asname=other):
                found.append(other or name.partition(".")[0])
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                found.append(name)
            case ast.MatchMapping(rest=str(name)):
                found.append(name)
            case _:
                pass
    return list(dict.fromkeys(found))


def cell_model(name: str) -> type[CellExecutor]:
    """
    Return the class for a cell that goes by a name in records and listings.

    Examples
    --------
    >>> cell_model("burn").name
    'burn'
    """
    return type("CellExecutor", (CellExecutor,), {"name": name, "__module__": __name__}, register=False)


def literal_settings(tree: ast.Module) -> dict[str, Any]:
    """
    Find what code sets to a plain value on its top level, such as ``end_time = 20``.

    Parameters
    ----------
    tree : ast.Module
        The code.

    Returns
    -------
    dict
        Name -> number, text, list or table; the last one where a name is set twice. Longer lists and tables
        are data, and no settings.

    Examples
    --------
    >>> literal_settings(ast.parse("end_time = 20; rate: float = 0.5; grid = make(end_time)"))
    {'end_time': 20, 'rate': 0.5}
    """
    found: dict[str, Any] = {}
    for statement in tree.body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                found.pop(name, None)
                with suppress(ValueError, TypeError, MemoryError, RecursionError):  # an expression: not a setting
                    if _is_short(value):
                        found[name] = ast.literal_eval(value)
    return found


def _is_short(value: ast.expr) -> bool:
    """Tell whether a literal has few items; longer ones are data."""
    return sum(1 for _ in itertools.islice(ast.walk(value), _MAX_NODES + 1)) <= _MAX_NODES


_MAX_NODES = 2000


def write_value(value: Any, path: Path) -> None:
    """
    Write a notebook's variable into a file of the kind that fits it.

    Parameters
    ----------
    value : object
        A GeoDataFrame, a raster, an array of two or three dimensions, a ``dissmodel`` raster backend, a
        DataFrame (CSV), bytes, anything with a text, or a dict of these, which becomes a folder. Numbers of
        half precision are written in single precision, those longer than double in double.
    path : Path
        Its ending has been chosen by :func:`dissmodel_lab.artifacts.output_suffix`.

    Raises
    ------
    ParameterError
        When a raster has no band or no cell, which no GeoTIFF can hold.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp(), "output.txt")
    >>> write_value([1, 2], target)
    >>> target.read_text()
    '[1, 2]'
    """
    from dissmodel_lab.rasters import Raster, write_raster  # noqa: PLC0415 -- needs numpy

    kinds = {kind.__name__ for kind in type(value).__mro__}
    if "GeoDataFrame" in kinds:
        value.to_file(path)
    elif is_raster_backend(value):
        write_raster(_writable(_backend_raster(value)), path)
    elif isinstance(value, Raster):
        write_raster(_writable(value), path)
    elif "ndarray" in kinds and value.ndim in (2, 3) and value.dtype.kind in "biuf":
        write_raster(_writable(Raster(array=value if value.ndim == 3 else value[None])), path)  # noqa: PLR2004
    elif "DataFrame" in kinds:
        value.to_csv(with_suffix(path, ".csv"), index=False)
    elif isinstance(value, bytes):
        path.write_bytes(value)
    elif isinstance(value, dict):
        path.mkdir(exist_ok=True)
        for name, item in value.items():
            write_value(item, path / f"{safe_name(str(name))}{output_suffix(item, object)}")
    else:
        text = str(value) if type(value) is not int else format(value, "d" if value.bit_length() < _MAX_BITS else "x")
        with_suffix(path, ".txt").write_text(text, encoding="utf-8", errors="backslashreplace")


_MAX_BITS = 8192
"""Python refuses to write longer whole numbers in decimal; they are written in hexadecimal."""


def _writable(raster: Raster) -> Raster:
    """Return a raster of a kind that a GeoTIFF can hold."""
    if not raster.array.size:
        count, height, width = raster.array.shape
        raise ParameterError(
            message(
                "The output has the shape ({count}, {height}, {width}) in bands, rows and columns: there is no "
                "cell to write. Name another output.",
                count=count,
                height=height,
                width=width,
            )
        )
    half, double = 2, 8  # [bytes]
    if raster.array.dtype.kind == "f" and raster.array.itemsize not in (4, double):
        kind = "float32" if raster.array.itemsize == half else "float64"
        return replace(raster, array=raster.array.astype(kind))
    return raster


def _backend_raster(backend: Any) -> Raster:
    import numpy as np  # noqa: PLC0415

    from dissmodel_lab.rasters import Raster  # noqa: PLC0415

    flat = {str(name): np.asarray(array) for name, array in backend.arrays.items()}
    flat = {name: array for name, array in flat.items() if array.ndim == 2}  # noqa: PLR2004 -- (height, width)
    crs, transform, _ = georeference_of(backend) or (None, None, None)
    return Raster(
        array=np.stack(list(flat.values())) if flat else np.empty((0, *backend.shape)),
        bands=tuple(flat),
        transform=transform,
        crs=_pyproj_crs(crs),
        nodata=getattr(backend, "nodata_value", None),
    )


def _pyproj_crs(crs: Any) -> Any:
    if crs is None:
        return None
    from pyproj import CRS  # noqa: PLC0415

    return CRS.from_user_input(crs)
