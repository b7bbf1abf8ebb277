"""Small inputs for the three executors of PyPI ``disslucc``: cells, demand and parameters that they converge on.

Each maker writes a source and a demand table into a folder and returns ``(source, parameters)``. The
landscape is made, not measured: forest on a plain of 5 km cells that is cleared along a road and around
a town, with steep cells in one corner. Nothing here imports ``dissmodel``.
"""

from __future__ import annotations

import csv
import zipfile
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

#: Edge of a cell [m] and its area [km2].
CELL = 5000.0
CELL_AREA = 25.0
#: Brazil Polyconic, SIRGAS 2000, in metres.
CRS = "EPSG:5880"
WEST, NORTH = 5_000_000.0, 9_000_000.0

Made = tuple["Path", dict[str, Any]]


class Landscape(NamedTuple):
    """Bands by name, each (height, width), and which cells exist."""

    bands: dict[str, NDArray[Any]]
    mask: NDArray[np.bool_]


def make_continuous(
    folder: Path, *, n_steps: int = 8, shape: tuple[int, int] = (24, 32), kind: str = "zip", seed: int = 7
) -> Made:
    """
    Make the input of ``lucc_continuous``: fractions of forest, crops and other land in each cell.

    Parameters
    ----------
    folder : Path
        Where to write; it is made when it is not there.
    n_steps : int
        Years, which are rows of the demand table and ticks of the run.
    shape : tuple of int
        Cells (height, width).
    kind : str
        ``zip`` (a shapefile of cells in a zip), ``gpkg`` (GDAL warns when upstream reads one from memory) or
        ``tif`` (a GeoTIFF with named bands).
    seed : int
        Of the landscape.

    Returns
    -------
    source : Path
        ``cells.zip``, ``cells.gpkg`` or ``cells.tif``.
    parameters : dict
        All that the executor requires; ``demand_csv`` is an absolute path.
    """
    land = _fractions(shape, seed)
    names = ["forest", "crops", "other"]
    demand = _write_demand(folder, land, names, n_steps, yearly=0.012, area=CELL_AREA)
    parameters = {
        "land_use_types": names,
        "complementar_lu": "forest",
        "land_use_no_data": "other",
        "demand_csv": str(demand),
        "n_steps": n_steps,
        "cell_area": CELL_AREA,
        "resolution": CELL,
        "max_difference": round(0.003 * CELL_AREA * int(land.mask.sum()), 3),
        "static": {"forest": -1, "crops": -1, "other": 1},
        "potential_data": [
            {"const": 0.5, "betas": {"dist_road": 0.004, "slope": 0.01}},
            {"const": 0.6, "betas": {"dist_road": -0.004, "slope": -0.01}},
            {"const": 0.0, "betas": {}},
        ],
        "allocation_data": [
            {"static": -1, "max_change": 0.2},
            {"static": -1, "max_change": 0.2},
            {"static": 1},
        ],
    }
    return _write_cells(folder, land, kind), parameters


def make_discrete(
    folder: Path, *, n_steps: int = 6, shape: tuple[int, int] = (24, 32), kind: str = "zip", seed: int = 7
) -> Made:
    """
    Make the input of ``lucc_discrete``: each cell is forest, crops or urban, as bands of 0 and 1.

    Parameters and returns are those of :func:`make_continuous`.
    """
    land = _classes(shape, seed)
    names = ["forest", "crops", "urban"]
    demand = _write_demand(folder, land, names, n_steps, yearly=0.015, area=1.0)
    parameters = {
        "land_use_types": names,
        "demand_csv": str(demand),
        "n_steps": n_steps,
        "cell_area": 1.0,
        "resolution": CELL,
        "max_difference": float(max(2, int(land.mask.sum()) // 100)),
        "factor_iteration": 0.0005,
        "potential_data": [
            {"const": -0.3, "elasticity": 0.6, "betas": {"dist_road": 0.03, "slope": 0.05}},
            {"const": 0.4, "elasticity": 0.5, "betas": {"dist_road": -0.03, "slope": -0.05}},
            {"const": -3.0, "elasticity": 1.0, "betas": {"dist_town": -0.02}},
        ],
        "transition_matrix": [[[1, 1, 0], [0, 1, 1], [0, 0, 1]]],
    }
    return _write_cells(folder, land, kind), parameters


def make_saturation(
    folder: Path,
    *,
    n_steps: int = 6,
    shape: tuple[int, int] = (24, 32),
    save_steps: tuple[int, ...] = (),
    seed: int = 7,
) -> Made:
    """
    Make the input of ``lucc_continuous_saturation``: a GeoTIFF with named bands, a mask and two regions.

    Parameters and returns are those of :func:`make_continuous`; ``save_steps`` are steps to write besides
    the last.
    """
    land = _fractions(shape, seed)
    height, width = shape
    land.bands["region"] = np.broadcast_to(1 + (np.arange(width) >= width // 2), (height, width)).astype(np.float32)
    land.bands["protected"] = np.where(land.bands["slope"] > 12, 0.3, 0.0).astype(np.float32)
    names = ["forest", "crops", "other"]
    demand = _write_demand(folder, land, names, n_steps, yearly=0.01, area=CELL_AREA)
    potential = {
        "forest": {"const": 0.25, "ro": 0.6, "betas": {"dist_road": 0.002, "protected": 0.1}},
        "crops": {"const": 0.15, "ro": 0.6, "betas": {"dist_road": -0.002, "slope": -0.003}},
        "other": {"const": 0.0, "ro": 1.0, "betas": {}},
    }
    allocation = {
        "forest": {"static": -1, "max_change": 0.2, "change_limiar_value": 0.6, "max_change_above_limiar": 0.02},
        "crops": {"static": -1, "max_change": 0.2, "change_limiar_value": 0.6, "max_change_above_limiar": 0.02},
        "other": {"static": 1},
    }
    parameters: dict[str, Any] = {
        "land_use_types": names,
        "complementar_lu": "forest",
        "land_use_no_data": "other",
        "attr_protection": "protected",
        "demand_csv": str(demand),
        "n_steps": n_steps,
        "cell_area": CELL_AREA,
        "max_difference": round(0.003 * CELL_AREA * int(land.mask.sum()), 3),
        "potential_data": [{"lu": lu, "region": region, **potential[lu]} for region in (1, 2) for lu in names],
        "allocation_data": [{"lu": lu, "region": 1, **allocation[lu]} for lu in names],
    }
    if save_steps:
        parameters["save_steps"] = list(save_steps)
    return _write_cells(folder, land, "tif"), parameters


#: The executors of ``disslucc`` by class name, and what makes their inputs.
MAKERS: dict[str, Callable[..., Made]] = {
    "LuccContinuousExecutor": make_continuous,
    "LuccDiscreteExecutor": make_discrete,
    "LuccSaturationExecutor": make_saturation,
}


def write_toml(path: Path, class_name: str, parameters: dict[str, Any]) -> Path:
    """
    Write a model file as ``disslucc`` ships them: all keys in ``[model]``, lists of tables as arrays of tables.

    Parameters
    ----------
    path : Path
        The file to write.
    class_name : str
        Such as ``lucc_continuous``: the executor's ``name``.
    parameters : dict
        As a maker returned them.

    Returns
    -------
    Path
        The same path.
    """
    import tomlkit

    model: dict[str, Any] = {"class": class_name, "description": "Made for a test."}
    model |= {"package": "disslucc", **parameters}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(tomlkit.dumps({"model": model}))
    return path


def _driver_bands(
    shape: tuple[int, int], rng: np.random.Generator
) -> tuple[dict[str, NDArray[Any]], NDArray[np.bool_]]:
    height, width = shape
    y, x = np.mgrid[0:height, 0:width].astype(float)
    road = np.abs(y - height * (0.5 + 0.2 * np.sin(2 * np.pi * x / width))) * CELL / 1000
    town = np.hypot(y - height * 0.5, x - width * 0.3) * CELL / 1000
    slope = 15 * np.clip(1 - np.hypot(y, x - width) / (0.6 * width), 0, 1) + rng.uniform(0, 1, shape)
    mask = np.hypot((y - height / 2) / height, (x - width / 2) / width) < 0.58  # the corners do not exist
    bands = {"dist_road": road, "dist_town": town, "slope": slope}
    return {name: band.astype(np.float32) for name, band in bands.items()}, mask


def _fractions(shape: tuple[int, int], seed: int) -> Landscape:
    rng = np.random.default_rng(seed)
    drivers, mask = _driver_bands(shape, rng)
    other = np.round(rng.uniform(0, 0.15, shape), 3)
    crops = 0.6 * np.exp(-drivers["dist_road"] / 25) * rng.uniform(0.5, 1.0, shape)
    crops = np.round(np.minimum(crops, 1 - other), 3)
    uses = {"forest": 1 - crops - other, "crops": crops, "other": other}
    return Landscape({name: band.astype(np.float32) for name, band in uses.items()} | drivers, mask)


def _classes(shape: tuple[int, int], seed: int) -> Landscape:
    rng = np.random.default_rng(seed)
    drivers, mask = _driver_bands(shape, rng)
    code = np.where(drivers["dist_road"] < 12 + rng.uniform(-6, 6, shape), 1, 0)
    code[drivers["dist_town"] < 2.2 * CELL / 1000] = 2
    names = ("forest", "crops", "urban")
    return Landscape({name: (code == i).astype(np.int32) for i, name in enumerate(names)} | drivers, mask)


def _write_demand(
    folder: Path, land: Landscape, names: list[str], n_steps: int, *, yearly: float, area: float
) -> Path:
    """Write one row a year: a share of the first class becomes the second, the others stay as they are."""
    start = [float(land.bands[name][land.mask].sum()) * area for name in names]
    moved = [start[0] * yearly * year for year in range(n_steps)]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "demand.csv"
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(names)
        table.writerows(
            [round(start[0] - m, 4), round(start[1] + m, 4), *(round(s, 4) for s in start[2:])] for m in moved
        )
    return path


def _write_cells(folder: Path, land: Landscape, kind: str) -> Path:
    path = folder / f"cells.{kind}"
    return _write_raster(path, land) if kind == "tif" else _write_vector(path, land)


def _write_raster(path: Path, land: Landscape) -> Path:
    import rasterio
    from rasterio.transform import from_origin

    height, width = land.mask.shape
    # -1 stands for "no such cell" in all bands but the mask, as upstream's own rasteriser writes it.
    bands = {name: np.where(land.mask, band, -1) for name, band in land.bands.items()} | {"mask": land.mask}
    form = {
        "height": height,
        "width": width,
        "count": len(bands),
        "dtype": "float32",
        "crs": CRS,
        "compress": "deflate",
    }
    with rasterio.open(path, "w", driver="GTiff", transform=from_origin(WEST, NORTH, CELL, CELL), **form) as file:
        for index, (name, band) in enumerate(bands.items(), start=1):
            file.write(band.astype(np.float32), index)
            file.update_tags(index, name=name)
    return path


def _write_vector(path: Path, land: Landscape) -> Path:
    import geopandas
    import shapely

    rows, columns = np.nonzero(land.mask)
    west, north = WEST + columns * CELL, NORTH - rows * CELL
    squares = shapely.box(west, north - CELL, west + CELL, north)
    columns_by_name = {name: band[rows, columns] for name, band in land.bands.items()}
    cells = geopandas.GeoDataFrame(columns_by_name, geometry=squares, crs=CRS)
    if path.suffix == ".gpkg":
        cells.to_file(path, layer="cells", driver="GPKG")
        return path
    cells.to_file(path.with_suffix(".shp"))
    with zipfile.ZipFile(path, "w") as archive:
        for part in sorted(path.parent.glob(f"{path.stem}.*")):
            if part != path:
                archive.write(part, part.name)
                part.unlink()
    return path
