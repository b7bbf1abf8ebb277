"""A fire in a forest of square cells: a vector model, random but repeatable.

Sources
-------
Drossel, B. and Schwabl, F. (1992). Self-organized critical forest-fire model. *Physical Review Letters*
69(11), 1629-1632. https://doi.org/10.1103/PhysRevLett.69.1629 -- a burning tree sets fire to the trees
next to it and is gone in the next step. Here nothing grows back and lightning strikes once, so one fire
can be followed.

Stauffer, D. and Aharony, A. (1994). *Introduction to Percolation Theory*, 2nd ed., Taylor & Francis --
with 4 neighbours and a sure spread, a fire crosses a large forest when more than 59 % of its cells have
trees.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from dissmodel_lab.errors import SourceError
from dissmodel_lab.executor import DataSource, ExperimentRecord, ModelExecutor, steps
from dissmodel_lab.executor import Parameters as BaseParameters
from dissmodel_lab.language import message
from dissmodel_lab.models.files import output_path, write_once

if TYPE_CHECKING:
    from pathlib import Path

    from geopandas import GeoDataFrame
    from numpy.typing import NDArray

BARE, TREE, BURNING, BURNT = range(4)
#: Legends of the columns of text: text -> (label, colour). The states stand in the order of their codes.
STATES = {
    "bare": ("bare", "#efe6cf"),
    "tree": ("tree", "#009e73"),
    "burning": ("burning", "#f0a000"),
    "burnt": ("burnt", "#3d2b26"),
}
LANDS = {
    "forest": ("forest", "#009e73"),
    "clearing": ("clearing", "#efe6cf"),
    "water": ("water", "#1f4e8c"),
}
#: Columns that the run adds to the cells, in this order: the first column is what maps show.
RESULTS = ("state_after", "state_before", "burnt_step")
MAX_GRID_CELLS = 25_000_000


class ForestFire(ModelExecutor):
    """
    Grow a random forest on square cells, set fire to it, and see how far the fire gets.

    The input is a table of cells with the whole numbers ``row`` and ``col`` and the text ``land``; trees
    stand only where the land is ``forest``. The sample input is made up.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from dissmodel_lab.executor import execute_lifecycle
    >>> folder = Path(tempfile.mkdtemp())
    >>> record = ExperimentRecord(
    ...     source=ForestFire.default_source(folder), output_path=str(folder / "fire.gpkg")
    ... )
    >>> record, timings = execute_lifecycle(ForestFire(), record)
    >>> record.metrics["trees_before"], record.metrics["trees_after"], record.metrics["burnt_area_ha"]
    (2265, 1150, 1115.0)
    """

    name = "forest_fire"

    class Parameters(BaseParameters):
        """What a modeller can choose."""

        density: float = Field(0.7, ge=0, le=1, json_schema_extra={"unit": "-"})
        """Share of the forest's cells that have trees."""
        spread_probability: float = Field(0.85, ge=0, le=1, json_schema_extra={"unit": "-"})
        """Probability that a burning cell sets fire to a neighbour with trees."""
        neighbours: Literal[4, 8] = 4
        """Cells that the fire can reach from one: 4 (sides only) or 8 (corners too)."""
        ignition: Literal["edge", "centre", "lightning"] = "edge"
        """Where it starts: all trees of the first column, the most central tree, or any one tree."""
        n_steps: int = Field(150, ge=1, le=10_000, json_schema_extra={"unit": "steps"})
        """How long the fire is followed; a cell burns for one step."""
        seed: int = Field(42, ge=0, le=2**32 - 1)
        """Start of the random numbers: the same seed gives the same forest and the same fire."""

    @classmethod
    def default_source(cls, folder: Path) -> DataSource:
        """Write a made-up landscape to ``folder``, once."""
        return write_once(folder / "forest_cells.gpkg", write_forest_cells)

    def validate(self, record: ExperimentRecord) -> None:
        """Refuse parameters that are out of bounds."""
        self.parameters(record)

    def load(self, record: ExperimentRecord) -> GeoDataFrame:
        """Read the cells."""
        import geopandas  # noqa: PLC0415 -- importing this module stays cheap

        try:
            cells = geopandas.read_file(record.source.uri)
        except RuntimeError as error:  # GDAL's own message, as pyogrio raises it
            reason = str(error).rstrip(". ")
            raise SourceError(
                message(
                    "{uri!r} cannot be read as vector data: {reason}. Expected a GeoPackage.",
                    uri=record.source.uri,
                    reason=reason,
                )
            ) from error
        # The output of an earlier run may be the input of this one.
        cells = cells.drop(columns=[name for name in RESULTS if name in cells])
        cells.attrs["classes"] = {"land": LANDS}
        return cells

    def run(self, data: GeoDataFrame, record: ExperimentRecord) -> GeoDataFrame:
        """Plant the trees, light the fire and follow it step by step."""
        import pandas as pd  # noqa: PLC0415 -- importing this module stays cheap

        p: ForestFire.Parameters = self.parameters(record)
        random = np.random.default_rng(p.seed)
        cells, hectares = grid_index(data), area_in_hectares(data)
        before = plant(cells, data["land"] == "forest", p.density, random)
        state = ignite(before, p.ignition, random)
        fire_step = np.where(state == BURNING, 0.0, np.nan)
        burnt_area = {"0": float(hectares[state[cells] == BURNING].sum())}
        shown, texts = data[["geometry"]].copy(), pd.Index(list(STATES))

        def forest() -> dict[str, GeoDataFrame]:
            shown["state_after"] = pd.Categorical.from_codes(state[cells], categories=texts)
            return {"forest": shown}

        def fire() -> dict[str, float]:
            burnt = hectares[state[cells] >= BURNING].sum()
            return {"burning cells": int((state == BURNING).sum()), "burnt area [ha]": float(burnt)}

        counted = range(1, p.n_steps + 1)
        for step in steps(counted, label=lambda step: f"step {step}", values=fire, layers=forest):
            state = burn(state, p.spread_probability, p.neighbours, random)
            fire_step[state == BURNING] = step
            burnt_area[str(step)] = float(hectares[state[cells] >= BURNING].sum())

        record.metrics |= {
            "trees_before": int((before == TREE).sum()),
            "trees_after": int((state == TREE).sum()),
            "burnt_area_ha": burnt_area[str(p.n_steps)],
            "burnt_area_ha_by_step": burnt_area,
        }
        names = np.array(list(STATES))
        results = dict(zip(RESULTS, (names[state[cells]], names[before[cells]], fire_step[cells]), strict=True))
        result = data.assign(**results)[[*results, *data.columns]]
        result.attrs["classes"] = {"land": LANDS, "state_before": STATES, "state_after": STATES}
        return result

    def save(self, result: GeoDataFrame, record: ExperimentRecord) -> ExperimentRecord:
        """Write the cells with their state before and after, and the step in which each caught fire."""
        write_cells(result, output_path(record))
        return record


def grid_index(cells: GeoDataFrame) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """
    Return each cell's row and column, counted from 0: the index that leads from a grid back to the cells.

    Raises
    ------
    SourceError
        When there are no cells, a column is missing, or the numbers do not name one grid cell each.

    Examples
    --------
    >>> import pandas as pd
    >>> grid_index(pd.DataFrame({"row": [7, 8], "col": [2, 2], "land": "forest"}))
    (array([0, 1]), array([0, 0]))
    """
    from pandas import to_numeric  # noqa: PLC0415 -- importing this module stays cheap

    missing = [name for name in ("row", "col", "land") if name not in cells]
    if missing:
        raise SourceError(
            message(
                "The cells have no column {missing}; there are: {cells}. Give each cell whole numbers row and col, "
                "and land, which is 'forest' where trees can grow.",
                missing=" and no column ".join(missing),
                cells=", ".join(cells),
            )
        )
    if cells.empty:
        raise SourceError(message("The input has no cells. Choose another one."))
    place = np.stack([to_numeric(cells[name], errors="coerce") for name in ("row", "col")], -1).astype(float)
    if not (place == np.round(place)).all() or np.unique(place, axis=0).shape != place.shape:
        raise SourceError(message("row and col must be whole numbers, and each pair must occur once."))
    row, col = (place - place.min(axis=0)).astype(int).T
    if (row.max() + 1) * (col.max() + 1) > MAX_GRID_CELLS:
        raise SourceError(
            message(
                "row and col span {max} x {max_2} cells; at most {max_grid_cells} are allowed. Number the rows and "
                "columns one by one.",
                max=row.max() + 1,
                max_2=col.max() + 1,
                max_grid_cells=MAX_GRID_CELLS,
            )
        )
    return row, col


def area_in_hectares(cells: GeoDataFrame) -> NDArray[np.float64]:
    """
    Return each cell's area [ha], as its projection tells it.

    Raises
    ------
    SourceError
        When the CRS is missing or not projected.

    Examples
    --------
    >>> from geopandas import GeoSeries
    >>> from shapely import box
    >>> area_in_hectares(GeoSeries([box(0, 0, 100, 200)], crs="EPSG:31983"))
    array([2.])
    """
    if cells.crs is None or not cells.crs.is_projected:
        raise SourceError(
            message(
                "Areas need a projected CRS, and the cells have {crs}. Reproject them, for example with "
                "cells.to_crs('EPSG:31983').",
                crs=cells.crs or "none",
            )
        )
    areas: NDArray[np.float64] = cells.area.to_numpy() * cells.crs.axis_info[0].unit_conversion_factor ** 2
    return areas / 10_000


def plant(
    cells: tuple[NDArray[np.int_], NDArray[np.int_]],
    is_forest: Any,
    density: float,
    random: np.random.Generator,
) -> NDArray[np.int_]:
    """
    Return the state of a grid that holds all cells, (rows, cols): trees on a share of the forest's cells.

    Examples
    --------
    >>> cells = (np.array([0, 0, 1]), np.array([0, 1, 1]))
    >>> plant(cells, [True, False, True], 1.0, np.random.default_rng(1))
    array([[1, 0],
           [0, 1]])
    """
    forest = np.zeros([axis.max() + 1 for axis in cells], bool)
    forest[cells] = is_forest
    return np.where(forest & (random.random(forest.shape) < density), TREE, BARE)


def ignite(state: NDArray[np.int_], where: str, random: np.random.Generator) -> NDArray[np.int_]:
    """
    Set fire to the trees of the first column (``edge``), the most central tree, or any one (``lightning``).

    Examples
    --------
    >>> ignite(np.array([[1, 1], [0, 1]]), "edge", np.random.default_rng(1))
    array([[2, 1],
           [0, 1]])
    """
    trees = np.argwhere(state == TREE)
    if where == "edge":
        chosen = trees[trees[:, 1] == 0]
    elif where == "centre":
        from_centre = ((trees - (np.array(state.shape) - 1) / 2) ** 2).sum(axis=1)
        chosen = trees[np.argsort(from_centre, kind="stable")[:1]]
    else:
        chosen = random.permutation(trees)[:1]
    lit = state.copy()
    lit[tuple(chosen.T)] = BURNING
    return lit


def burn(
    state: NDArray[np.int_], spread_probability: float, neighbours: int, random: np.random.Generator
) -> NDArray[np.int_]:
    """
    Return the state one step later: each burning cell tries to light its neighbours and burns out.

    A tree with n burning neighbours catches fire with the probability 1 - (1 - p)^n, p being the spread
    probability: it stays out of the fire only when each of them fails.

    Examples
    --------
    >>> burn(np.array([[1, 2, 0, 1]]), 1.0, 4, np.random.default_rng(1))
    array([[2, 3, 0, 1]])
    """
    from scipy import ndimage  # noqa: PLC0415 -- importing this module stays cheap

    shape = ndimage.generate_binary_structure(2, 1 if neighbours == 4 else 2)  # noqa: PLR2004
    n_burning = ndimage.convolve((state == BURNING).astype(int), shape.astype(int), mode="constant")
    catches = random.random(state.shape) < 1 - (1 - spread_probability) ** n_burning
    later = np.where(state == BURNING, BURNT, state)
    return np.where((state == TREE) & catches, BURNING, later)


def write_cells(cells: GeoDataFrame, path: Path) -> None:
    """
    Write cells as a GeoPackage; the legends go to the layer's metadata as JSON, key ``classes``.

    Parameters
    ----------
    cells : GeoDataFrame
        ``attrs["classes"]`` holds the legends: column -> text -> (label, ``#rrggbb``).
    path : Path
        Where to.
    """
    legends = {"classes": json.dumps(cells.attrs["classes"])}
    cells.to_file(path, driver="GPKG", layer="cells", engine="pyogrio", layer_metadata=legends)


def write_forest_cells(path: Path) -> None:
    """Write 60 x 60 cells of 1 ha in EPSG:31983: a made-up forest with a clearing and a river."""
    import geopandas  # noqa: PLC0415 -- importing this module stays cheap
    import shapely  # noqa: PLC0415

    row, col = (axis.ravel() for axis in np.indices((60, 60)))
    river = (col > 10) & (abs(row - 42 - 6 * np.sin(col / 8)) < 1.5)  # noqa: PLR2004 -- a drawing
    clearing = (row - 17) ** 2 + (col - 36) ** 2 < 8**2
    x, y = 500_000 + 100 * col, 9_700_000 - 100 * row  # row 0 is in the north
    cells = geopandas.GeoDataFrame(
        {"row": row, "col": col, "land": np.select([river, clearing], ["water", "clearing"], "forest")},
        geometry=shapely.box(x, y - 100, x + 100, y),
        crs="EPSG:31983",
    )
    cells.attrs["classes"] = {"land": LANDS}
    write_cells(cells, path)
