"""Sea-level rise that floods the land it can reach: a raster model in one file.

Sources
-------
Poulter, B. and Halpin, P. N. (2008). Raster modelling of coastal flooding from sea-level rise.
*International Journal of Geographical Information Science* 22(2), 167-182.
https://doi.org/10.1080/13658810701371858 -- a cell floods when it is low enough *and* connected to the
sea; four or eight neighbours make a difference.

McGranahan, G., Balk, D. and Anderson, B. (2007). The rising tide. *Environment & Urbanization* 19(1),
17-37. https://doi.org/10.1177/0956247807076960 -- low land ends at 10 m.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from dissmodel_lab.errors import ParameterError, SourceError
from dissmodel_lab.executor import DataSource, ExperimentRecord, ModelExecutor, steps
from dissmodel_lab.executor import Parameters as BaseParameters
from dissmodel_lab.language import message
from dissmodel_lab.models.files import output_path, write_once
from dissmodel_lab.rasters import Raster, cell_areas, read_raster, write_raster

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SEA, FLOODED, LOW_LAND, HILLS, MOUNTAINS = 1, 2, 3, 4, 5
COVER = {
    SEA: ("sea", "#005f9e"),
    FLOODED: ("flooded", "#d55e00"),
    LOW_LAND: ("land up to 10 m", "#f7ecb5"),
    HILLS: ("land, 10 to 200 m", "#6fae72"),
    MOUNTAINS: ("land above 200 m", "#6b6259"),
}


class CoastalFlood(ModelExecutor):
    """
    Let the sea rise year by year and flood the land that is low enough and connected to it.

    The sample input is the Strait of Georgia in cells of about 2.4 km: good enough to see the method work,
    too coarse to plan a dyke. Waves, tides, dykes and time to flow are not in the model.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from dissmodel_lab.executor import execute_lifecycle
    >>> folder = Path(tempfile.mkdtemp())
    >>> record = ExperimentRecord(
    ...     source=CoastalFlood.default_source(folder),
    ...     parameters={"sea_level_rise": 2.0},
    ...     output_path=str(folder / "flood.tif"),
    ... )
    >>> record, timings = execute_lifecycle(CoastalFlood(), record)
    >>> print(record.metrics["flooded_cells"], f"{record.metrics['flooded_area_km2']:.0f} km2")
    36 214 km2
    """

    name = "coastal_flood"

    class Parameters(BaseParameters):
        """What a modeller can choose."""

        sea_level_rise: float = Field(5.0, ge=0, le=70, json_schema_extra={"unit": "m"})
        """Rise of the sea by the end year, at an even pace. All the ice on Earth holds less than 70 m."""
        start_year: int = Field(2020, ge=1900, le=3000, json_schema_extra={"unit": "year"})
        """The year before the sea begins to rise."""
        end_year: int = Field(2300, ge=1900, le=3000, json_schema_extra={"unit": "year"})
        """The last year; later than the start year."""
        connectivity: Literal[4, 8] = 8
        """Neighbours through which water reaches a cell: 4 (sides only) or 8 (corners too)."""
        elevation_band: str = Field("elevation", min_length=1)
        """Name of the input's band that holds the elevation above today's sea level [m]."""

    @classmethod
    def default_source(cls, folder: Path) -> DataSource:
        """Write the Strait of Georgia to ``folder``, once."""
        return write_once(folder / "strait_of_georgia.tif", write_strait_of_georgia)

    def validate(self, record: ExperimentRecord) -> None:
        """Refuse a period without a year in it."""
        p: CoastalFlood.Parameters = self.parameters(record)
        if p.end_year <= p.start_year:
            raise ParameterError(
                message(
                    "end_year must be later than start_year ({start_year}), got {end_year}.",
                    start_year=p.start_year,
                    end_year=p.end_year,
                )
            )

    def load(self, record: ExperimentRecord) -> Raster:
        """Read the elevation; its CRS tells how large the cells are."""
        return read_raster(record.source.uri)

    def run(self, data: Raster, record: ExperimentRecord) -> Raster:
        """Raise the sea and flood what it reaches, one step a year."""
        from scipy import ndimage  # noqa: PLC0415 -- importing this module stays cheap

        p: CoastalFlood.Parameters = self.parameters(record)
        neighbours = ndimage.generate_binary_structure(2, 1 if p.connectivity == 4 else 2)  # noqa: PLR2004
        elevation, area = elevation_of(data, p.elevation_band), cell_areas(data)
        sea = water = initial_sea(elevation, neighbours)
        flood_year = np.full(elevation.shape, np.nan)
        area_by_year = {}

        def cover() -> dict[str, Raster]:
            now = {"cover_after": land_cover(elevation, sea, water & ~sea)}
            return {"land cover": data.with_bands(now, nodata=np.nan, classes={"cover_after": COVER})}

        def flooded_area() -> dict[str, float]:
            return {"flooded area [km2]": float(area[water & ~sea].sum())}

        years = range(p.start_year + 1, p.end_year + 1)
        for year in steps(years, label=lambda year: f"year {year}", values=flooded_area, layers=cover):
            level = p.sea_level_rise * (year - p.start_year) / (p.end_year - p.start_year)
            reached = ndimage.binary_propagation(water, neighbours, mask=elevation <= level)
            flood_year[reached & ~water] = year
            water = reached
            area_by_year[str(year)] = float(area[water & ~sea].sum())

        flooded = water & ~sea
        depth = p.sea_level_rise - elevation[flooded]
        record.metrics |= {
            "flooded_cells": int(flooded.sum()),
            "flooded_area_km2": float(area[flooded].sum()),
            "flooded_volume_km3": float((depth / 1000 * area[flooded]).sum()),
            "flooded_area_km2_by_year": area_by_year,
        }
        return data.with_bands(
            {
                "cover_after": land_cover(elevation, sea, flooded),
                "cover_before": land_cover(elevation, sea, flooded=np.zeros_like(sea)),
                "flood_year": flood_year.astype("float32"),
                "elevation": elevation,
            },
            nodata=np.nan,
            classes={"cover_before": COVER, "cover_after": COVER},
            units={"flood_year": "year", "elevation": "m"},
        )

    def save(self, result: Raster, record: ExperimentRecord) -> ExperimentRecord:
        """Write the land cover after the flood (first: maps show it) and before, the flood's year, the elevation."""
        write_raster(result, output_path(record))
        return record


def elevation_of(raster: Raster, band: str) -> NDArray[np.float32]:
    """
    Return a band as elevation [m], (height, width), NaN where there is none.

    Raises
    ------
    SourceError
        When the band is missing, has no values, or is not in metres.

    Examples
    --------
    >>> elevation_of(Raster(array=np.array([[[-9999, 3]]]), bands=("dem",), nodata=-9999), "dem")
    array([[nan,  3.]], dtype=float32)
    """
    values = raster.band(band)
    elevation = np.where(np.isfinite(values) & (values != raster.nodata), values, np.nan).astype("float32")
    if np.isnan(elevation).all():
        raise SourceError(
            message("The band {band!r} has no values: every cell is nodata. Choose another input.", band=band)
        )
    unit = raster.units.get(band, "m")
    if unit.lower() not in {"m", "metre", "meter", "metres", "meters"}:
        raise SourceError(
            message("The band {band!r} is in {unit!r} and must be in m. Convert it first.", band=band, unit=unit)
        )
    return elevation


def initial_sea(elevation: NDArray[np.float32], neighbours: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """
    Return which cells are sea today, (height, width).

    Sea is every body of cells at or below 0 m that touches the edge of the map; where none does, the
    largest body. Other low cells are dry basins behind higher ground, such as polders.

    Raises
    ------
    SourceError
        When no cell is at or below 0 m.

    Examples
    --------
    >>> initial_sea(np.array([[2.0, 2, 2, 2], [-1, 2, -3, 2], [2, 2, 2, 2]], "float32"), np.ones((3, 3), bool))
    array([[False, False, False, False],
           [ True, False, False, False],
           [False, False, False, False]])
    """
    from scipy import ndimage  # noqa: PLC0415 -- importing this module stays cheap

    bodies, n_bodies = ndimage.label(elevation <= 0, neighbours)
    if n_bodies == 0:
        raise SourceError(
            message(
                "There is no sea to rise: the lowest cell is at {nanmin:g} m, none at or below 0 m. The elevation "
                "must be in m above today's sea level, and the map must reach the coast.",
                nanmin=np.nanmin(elevation),
            )
        )
    edge = np.unique(np.r_[bodies[0], bodies[-1], bodies[:, 0], bodies[:, -1]])
    largest = np.bincount(bodies[bodies > 0]).argmax()
    is_sea: NDArray[np.bool_] = np.isin(bodies, edge[edge > 0] if edge.any() else largest)
    return is_sea


def land_cover(
    elevation: NDArray[np.float32], sea: NDArray[np.bool_], flooded: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """
    Return the codes of :data:`COVER`, (height, width), NaN where there is no elevation.

    Examples
    --------
    >>> land_cover(np.array([[-3.0, 1, 50]], "float32"), np.array([[True, False, False]]), np.array([[False] * 3]))
    array([[1., 3., 4.]], dtype=float32)
    """
    cases = [sea, flooded, elevation <= 10, elevation <= 200, elevation > 200]  # noqa: PLR2004 -- see COVER
    return np.select(cases, list(COVER), default=np.nan).astype("float32")


def write_strait_of_georgia(path: Path) -> None:
    """
    Write matplotlib's sample ``topobathy.npz`` as a GeoTIFF in EPSG:4326, (1, 91, 120), float32.

    Its rows are evenly spaced in the Mercator projection, 0.0223 degrees apart in the south and 0.0214 in
    the north. A GeoTIFF's rows are evenly spaced, so each column is interpolated linearly, by less than
    half a row, to evenly spaced latitudes.
    """
    from affine import Affine  # noqa: PLC0415 -- importing this module stays cheap
    from matplotlib.cbook import get_sample_data  # noqa: PLC0415
    from pyproj import CRS  # noqa: PLC0415

    with np.load(get_sample_data("topobathy.npz", asfileobj=False)) as sample:
        longitude, latitude, topography = sample["longitude"], sample["latitude"], sample["topo"]
    (west, east), (south, north) = longitude[[0, -1]].astype(float) - 360, latitude[[0, -1]].astype(float)
    height, width = topography.shape
    dx, dy = (east - west) / (width - 1), (north - south) / (height - 1)
    northing = np.linspace(north, south, height)
    columns = [np.interp(northing, latitude, column) for column in topography.T]
    elevation = Raster(
        array=np.stack(columns, axis=-1)[np.newaxis].astype("float32"),
        bands=("elevation",),
        transform=Affine(dx, 0, west - dx / 2, 0, -dy, north + dy / 2),  # its values are at cell centres
        crs=CRS.from_epsg(4326),
        units={"elevation": "m"},
    )
    write_raster(
        elevation,
        path,
        title="Strait of Georgia, elevation and bathymetry",
        source="matplotlib sample data topobathy.npz",
        processing="Columns interpolated linearly from Mercator-spaced rows to evenly spaced latitudes.",
    )
