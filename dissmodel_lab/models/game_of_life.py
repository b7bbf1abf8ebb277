"""Conway's Game of Life: a raster model on a grid that has no place on Earth.

Sources
-------
Gardner, M. (1970). Mathematical Games: The fantastic combinations of John Conway's new solitaire game
"life". *Scientific American* 223(4), 120-123. https://doi.org/10.1038/scientificamerican1070-120

The sample input is the glider gun that Bill Gosper found in November 1970, the first pattern known to
grow without end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from dissmodel_lab.executor import DataSource, ExperimentRecord, ModelExecutor, steps
from dissmodel_lab.executor import Parameters as BaseParameters
from dissmodel_lab.models.files import output_path, write_once
from dissmodel_lab.rasters import Raster, read_raster, write_raster

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LIFE = {0: ("dead", "#f0f0f0"), 1: ("alive", "#0072b2")}

GOSPER_GLIDER_GUN = """
........................#...........
......................#.#...........
............##......##............##
...........#...#....##............##
##........#.....#...##..............
##........#...#.##....#.#...........
..........#.....#.......#...........
...........#...#....................
............##......................
"""


class GameOfLife(ModelExecutor):
    """
    Let cells be born and die by Conway's rule: born with 3 living neighbours of 8, alive with 2 or 3.

    The input is any raster; the cells of its first band above 0 are alive.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> blinker = Raster(array=np.array([[[0, 0, 0], [1, 1, 1], [0, 0, 0]]]))
    >>> GameOfLife().run(blinker, ExperimentRecord(parameters={"generations": 1})).band("last")
    array([[0, 1, 0],
           [0, 1, 0],
           [0, 1, 0]], dtype=uint16)
    """

    name = "game_of_life"
    needs_crs = False

    class Parameters(BaseParameters):
        """What a modeller can choose."""

        generations: int = Field(120, ge=0, le=10_000, json_schema_extra={"unit": "generations"})
        """How many times the rule is applied."""
        wrap: bool = False
        """Join opposite edges, so that the grid is a torus; otherwise all beyond the edges is dead."""

    @classmethod
    def default_source(cls, folder: Path) -> DataSource:
        """Write Gosper's glider gun to ``folder``, once."""
        return write_once(folder / "life_gosper_gun.tif", write_gosper_gun)

    def validate(self, record: ExperimentRecord) -> None:
        """Refuse parameters that are out of bounds."""
        self.parameters(record)

    def load(self, record: ExperimentRecord) -> Raster:
        """Read the first generation."""
        return read_raster(record.source.uri)

    def run(self, data: Raster, record: ExperimentRecord) -> Raster:
        """Apply the rule, one step a generation."""
        p: GameOfLife.Parameters = self.parameters(record)
        alive = first = living_cells(data)
        alive_count = first.astype("uint16")
        alive_by_generation = {"0": int(first.sum())}

        def life() -> dict[str, Raster]:
            now = {"last": alive.astype("uint8")}
            return {"life": data.with_bands(now, nodata=None, classes={"last": LIFE})}

        def living() -> dict[str, float]:
            return {"alive": int(alive.sum())}

        generations = range(1, p.generations + 1)
        for generation in steps(generations, label=lambda count: f"generation {count}", values=living, layers=life):
            alive = next_generation(alive, wrap=p.wrap)
            alive_count += alive
            alive_by_generation[str(generation)] = int(alive.sum())

        record.metrics |= {
            "alive_first": int(first.sum()),
            "alive_last": int(alive.sum()),
            "alive_by_generation": alive_by_generation,
        }
        return data.with_bands(
            {"last": alive, "first": first, "alive_count": alive_count},  # the first band is what maps show
            nodata=None,
            classes={"first": LIFE, "last": LIFE},
            units={"alive_count": "generations"},
        )

    def save(self, result: Raster, record: ExperimentRecord) -> ExperimentRecord:
        """Write the last and the first generation, and in how many generations each cell was alive."""
        write_raster(result, output_path(record))
        return record


def living_cells(raster: Raster) -> NDArray[np.bool_]:
    """
    Return which cells of the first band are alive, (height, width): above 0 and not nodata.

    Examples
    --------
    >>> living_cells(Raster(array=np.array([[[0.0, 1.0, np.nan, 255.0]]]), nodata=255))
    array([[False,  True, False, False]])
    """
    values = raster.array[0]
    is_alive: NDArray[np.bool_] = (values > 0) & (values != raster.nodata)
    return is_alive


def next_generation(alive: NDArray[np.bool_], *, wrap: bool) -> NDArray[np.bool_]:
    """
    Apply Conway's rule once.

    Parameters
    ----------
    alive : ndarray of bool
        (height, width).
    wrap : bool
        Whether opposite edges are joined.

    Examples
    --------
    >>> next_generation(np.array([[True, True], [True, False]]), wrap=False)
    array([[ True,  True],
           [ True,  True]])
    """
    height, width = alive.shape
    padded = np.pad(alive.astype("uint8"), 1, mode="wrap" if wrap else "constant")
    block = sum(padded[row : row + height, col : col + width] for row in range(3) for col in range(3))
    # A block of 3 x 3 cells with 3 alive: a birth, or a survival with 2 neighbours. With 4: only the latter.
    return (block == 3) | (alive & (block == 4))  # noqa: PLR2004 -- the rule's own numbers


def write_gosper_gun(path: Path) -> None:
    """Write Gosper's glider gun on 48 x 64 cells as a GeoTIFF without a CRS, (1, 48, 64), uint8."""
    gun = np.array([[cell == "#" for cell in line] for line in GOSPER_GLIDER_GUN.split()])
    alive = np.zeros((1, 48, 64), "uint8")
    alive[0, 3 : 3 + gun.shape[0], 3 : 3 + gun.shape[1]] = gun
    grid = Raster(array=alive, bands=("alive",), classes={"alive": LIFE})
    write_raster(grid, path, title="Gosper's glider gun (Bill Gosper, 1970)")
