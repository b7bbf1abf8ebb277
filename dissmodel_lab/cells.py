"""A notebook cell as a model: plain code, without an executor, run and recorded as one.

The cell's body is the phase ``run``. Variables of the notebook are its input and its output. Simulations of
PyPI ``dissmodel`` in it, and :func:`dissmodel_lab.steps`, are followed step by step as in any other model.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissmodel_lab.artifacts import output_suffix, with_suffix
from dissmodel_lab.errors import ExecutorError, ParameterError, did_you_mean
from dissmodel_lab.executor.base import ModelExecutor
from dissmodel_lab.store import safe_name
from dissmodel_lab.upstream import georeference_of, is_raster_backend

if TYPE_CHECKING:
    from collections.abc import Callable
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
    SyntaxError
        When the code is not Python.
    ParameterError
        When ``output`` is no name that the code could set.

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
        tree = ast.parse(source, filename)
        if output and not output.isidentifier():
            raise ParameterError(f"The output {output!r} is no name of a variable. Name one that the cell sets.")
        self._namespace = namespace
        self._output = output
        self._variable = variable
        self._show = show
        self._code, self._last = _compiled(tree, filename)
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
            known = [name for name in self._namespace if not name.startswith("_")]
            raise ExecutorError(
                f"The cell set no variable {self._output!r}, which was named as its output. "
                f"{did_you_mean(self._output, known[-20:])}"
            )
        return self._namespace[self._output]

    def save(self, result: Any, record: ExperimentRecord) -> ExperimentRecord:
        """Write the output variable: rasters as GeoTIFF, tables of cells as GeoPackage, others as text."""
        if result is not None:
            write_value(result, Path(str(record.output_path)))
        return record


def _compiled(tree: ast.Module, filename: str) -> tuple[CodeType, CodeType | None]:
    """Return the code, and its last expression apart, whose value a notebook shows."""
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr):
        return compile(tree, filename, "exec"), None
    first = ast.Module(tree.body[:-1], tree.type_ignores)
    return compile(first, filename, "exec"), compile(ast.Expression(last.value), filename, "eval")


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
        Name -> number, text, list or table; the last one where a name is set twice.

    Examples
    --------
    >>> literal_settings(ast.parse("end_time = 20; rate: float = 0.5; grid = make(end_time)"))
    {'end_time': 20, 'rate': 0.5}
    """
    found = {}
    for statement in tree.body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                try:
                    found[name] = ast.literal_eval(value)
                except (ValueError, TypeError, MemoryError, RecursionError):  # an expression: not a setting
                    found.pop(name, None)
    return found


def write_value(value: Any, path: Path) -> None:
    """
    Write a notebook's variable into a file of the kind that fits it.

    Parameters
    ----------
    value : object
        A GeoDataFrame, a raster, an array of two or three dimensions, a ``dissmodel`` raster backend, a
        DataFrame (CSV), bytes, anything with a text, or a dict of these, which becomes a folder.
    path : Path
        Its ending has been chosen by :func:`dissmodel_lab.artifacts.output_suffix`.

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
        write_raster(_backend_raster(value), path)
    elif isinstance(value, Raster):
        write_raster(value, path)
    elif "ndarray" in kinds and value.ndim in (2, 3) and value.dtype.kind in "biuf":
        write_raster(Raster(array=value if value.ndim == 3 else value[None]), path)  # noqa: PLR2004
    elif "DataFrame" in kinds:
        value.to_csv(with_suffix(path, ".csv"), index=False)
    elif isinstance(value, bytes):
        path.write_bytes(value)
    elif isinstance(value, dict):
        path.mkdir(exist_ok=True)
        for name, item in value.items():
            write_value(item, path / f"{safe_name(str(name))}{output_suffix(item, object)}")
    else:
        with_suffix(path, ".txt").write_text(str(value), encoding="utf-8")


def _backend_raster(backend: Any) -> Raster:
    import numpy as np  # noqa: PLC0415

    from dissmodel_lab.rasters import Raster  # noqa: PLC0415

    flat = {str(name): np.asarray(array) for name, array in backend.arrays.items()}
    flat = {name: array for name, array in flat.items() if array.ndim == 2}  # noqa: PLR2004 -- (height, width)
    crs, transform, _ = georeference_of(backend) or (None, None, None)
    return Raster(
        array=np.stack(list(flat.values())),
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
