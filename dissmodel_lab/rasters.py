"""Rasters in memory, with their georeference, and their way from and to a file.

:class:`Raster` is what the built-in raster models load, change and save. It is optional: an executor
may use any data it likes.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dissmodel_lab.errors import SourceError
from dissmodel_lab.language import message
from dissmodel_lab.quiet import quiet_about

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from affine import Affine
    from numpy.typing import NDArray
    from pyproj import CRS


#: Legend of a band of classes: code -> (label, ``#rrggbb``).
Classes = dict[int, tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Raster:
    """
    Bands on one grid.

    Examples
    --------
    >>> import numpy as np
    >>> Raster(array=np.zeros((1, 2, 3), "uint8"), bands=("state",)).shape
    (2, 3)
    """

    array: NDArray[Any]
    """Values, (bands, height, width)."""
    bands: tuple[str, ...] = ()
    """Band names in order; ``band_1``, ... when not given."""
    transform: Affine | None = None
    """Pixel to CRS coordinates; None when the grid has no place on Earth."""
    crs: CRS | None = None
    """None when unknown; never guessed."""
    nodata: float | None = None
    """The value that means "no value here"; None when every cell has one."""
    classes: dict[str, Classes] = field(default_factory=dict)
    """Legends of the bands that hold classes: band name -> code -> (label, ``#rrggbb``)."""
    units: dict[str, str] = field(default_factory=dict)
    """Unit of each band's values, by band name."""

    def __post_init__(self) -> None:
        if self.array.ndim != 3:  # noqa: PLR2004 -- (bands, height, width)
            raise ValueError(
                message("A raster's array has the shape (bands, height, width), got {shape}.", shape=self.array.shape)
            )
        if not self.bands:
            object.__setattr__(self, "bands", tuple(f"band_{i + 1}" for i in range(len(self.array))))
        if len(self.bands) != len(self.array):
            raise ValueError(
                message(
                    "{n_array} bands need as many names, got {bands!r}.", n_array=len(self.array), bands=self.bands
                )
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) [pixels]."""
        return self.array.shape[1], self.array.shape[2]

    def band(self, name: str) -> NDArray[Any]:
        """
        Return one band, (height, width).

        Raises
        ------
        SourceError
            When there is no band of that name.
        """
        if name not in self.bands:
            raise SourceError(
                message(
                    "No band is called {name!r}; this raster has {bands}.", name=name, bands=", ".join(self.bands)
                )
            )
        band: NDArray[Any] = self.array[self.bands.index(name)]
        return band

    def with_bands(self, arrays: dict[str, NDArray[Any]], **changes: Any) -> Raster:
        """
        Return a raster on the same grid with these bands instead.

        Parameters
        ----------
        arrays : dict of str to ndarray
            Band name -> (height, width); they are cast to one common dtype.
        **changes
            Other attributes to replace, such as ``nodata``.
        """
        return replace(self, array=np.stack(list(arrays.values())), bands=tuple(arrays), **changes)


@contextmanager
def quiet_georeference() -> Iterator[None]:
    """
    Silence rasterio's warning about files without georeference, in any number of threads.

    Here such a file is no mistake: a grid without a place on Earth is shown, and said to be one.

    Examples
    --------
    >>> with quiet_georeference():
    ...     pass
    """
    from rasterio.errors import NotGeoreferencedWarning  # noqa: PLC0415 -- only for those who open files

    with quiet_about(NotGeoreferencedWarning):
        yield


def read_raster(path: str | Path) -> Raster:
    """
    Read a raster file whole.

    Band names come from the bands' descriptions, or the tags ``name`` or ``band_name``.

    Parameters
    ----------
    path : str or Path
        Anything GDAL reads.

    Raises
    ------
    SourceError
        When the file is missing, empty or not a raster.
    """
    import rasterio  # noqa: PLC0415 -- 0.2 s, needed only by those who read rasters
    from pyproj import CRS  # noqa: PLC0415
    from rasterio.errors import RasterioError  # noqa: PLC0415

    try:
        with quiet_georeference(), rasterio.open(path) as dataset:
            return Raster(
                array=dataset.read(),
                bands=band_names(dataset),
                transform=None if dataset.transform.is_identity else dataset.transform,
                crs=CRS.from_wkt(dataset.crs.to_wkt()) if dataset.crs else None,
                nodata=dataset.nodata,
                classes=band_classes(dataset),
                units={n: u for n, u in zip(band_names(dataset), dataset.units, strict=True) if u},
            )
    except RasterioError as error:
        raise SourceError(
            message(
                "{path} cannot be read as a raster: {error}. Expected a GeoTIFF.",
                path=path,
                error=str(error).rstrip(". "),
            )
        ) from error


def band_names(dataset: Any) -> tuple[str, ...]:
    """
    Return the names of an open dataset's bands, made unique.

    Parameters
    ----------
    dataset : rasterio.DatasetReader
        An open dataset.
    """
    names: list[str] = []
    for index in dataset.indexes:
        tags = dataset.tags(index)
        name = dataset.descriptions[index - 1] or tags.get("name") or tags.get("band_name") or f"band_{index}"
        names.append(name if name not in names else f"{name} ({index})")
    return tuple(names)


def band_classes(dataset: Any) -> dict[str, Classes]:
    """
    Return the legends that an open dataset carries for its bands of classes.

    They are read from the bands' tag ``classes``, a JSON object ``{"code": ["label", "#rrggbb"]}``, as
    :func:`write_raster` writes it; anything else in that tag is ignored.

    Parameters
    ----------
    dataset : rasterio.DatasetReader
        An open dataset.
    """
    found: dict[str, Classes] = {}
    for index, name in zip(dataset.indexes, band_names(dataset), strict=True):
        try:
            legend = json.loads(dataset.tags(index).get("classes", ""))
            found[name] = {int(code): (str(label), _colour(colour)) for code, (label, colour) in legend.items()}
        except (ValueError, TypeError, AttributeError):  # another program's tag: no legend to be had
            continue
    return found


def write_raster(raster: Raster, path: str | Path, **tags: str) -> None:
    """
    Write a raster as a deflated GeoTIFF with band names, units and legends.

    Band names stand in the description and in the tag ``name``, so that executors of PyPI ``dissmodel`` find them.

    Parameters
    ----------
    raster : Raster
        What to write.
    path : str or Path
        Where to; an existing file is replaced.
    **tags
        Further metadata of the dataset.
    """
    import rasterio  # noqa: PLC0415
    from affine import Affine  # noqa: PLC0415

    array = raster.array.astype("uint8") if raster.array.dtype == bool else raster.array
    height, width = raster.shape
    profile: dict[str, Any] = {
        "driver": "GTiff", "count": len(array), "height": height, "width": width, "dtype": array.dtype,
        "compress": "deflate", "nodata": raster.nodata, "transform": raster.transform or Affine.identity(),
        "crs": raster.crs.to_wkt() if raster.crs is not None else None,
    }  # fmt: skip
    with quiet_georeference(), rasterio.open(path, "w", **profile) as dataset:
        dataset.write(array)
        for index, name in enumerate(raster.bands, start=1):
            dataset.set_band_description(index, name)
            dataset.update_tags(index, name=name)  # where PyPI dissmodel looks for it
            dataset.set_band_unit(index, raster.units.get(name, ""))
            if name in raster.classes:
                dataset.update_tags(index, classes=json.dumps(raster.classes[name]))
        dataset.update_tags(**tags)


def lost_georeference(georeference: tuple[Any, Any, tuple[int, int]] | None, path: str | Path) -> bool:
    """
    Tell whether a saved raster has lost the georeference that the model's raster in memory has.

    Parameters
    ----------
    georeference : (crs, transform, (height, width)) or None
        Of the raster in memory.
    path : str or Path
        The raster file that was saved.

    Returns
    -------
    bool
        True when the file lies at 0, 0 of its pixels or has no CRS, and what is in memory fits its size (and
        its transform, when it has one). False for anything that is no raster file.

    Examples
    --------
    >>> import tempfile
    >>> from affine import Affine
    >>> path = f"{tempfile.mkdtemp()}/saved.tif"
    >>> write_raster(Raster(array=np.zeros((1, 2, 3))), path)
    >>> lost_georeference(("EPSG:31983", Affine(30, 0, 300_000, 0, -30, 7_400_000), (2, 3)), path)
    True
    """
    import rasterio  # noqa: PLC0415 -- 0.2 s, needed only by those who read rasters
    from rasterio.errors import RasterioError  # noqa: PLC0415

    if georeference is None:
        return False
    crs, transform, shape = georeference
    if not crs or transform is None or is_pixel_transform(transform, shape):
        return False
    try:
        with quiet_georeference(), rasterio.open(path) as dataset:
            if (dataset.height, dataset.width) != tuple(shape):
                return False
            if is_pixel_transform(dataset.transform, dataset.shape):
                return True
            is_same = dataset.transform.almost_equals(transform, precision=1e-6 * abs(dataset.transform.a))
            return is_same and not dataset.crs
    except RasterioError:
        return False


def is_pixel_transform(transform: Affine, shape: tuple[int, int]) -> bool:
    """
    Tell whether a transform only counts pixels, from either corner: such a raster has no place on Earth.

    Examples
    --------
    >>> from affine import Affine
    >>> is_pixel_transform(Affine(1, 0, 0, 0, -1, 20), (20, 30)), is_pixel_transform(Affine.identity(), (20, 30))
    (True, True)
    """
    a, b, c, d, e, f = (float(x) for x in transform[:6])
    return (a, b, c, d) == (1.0, 0.0, 0.0, 0.0) and (e, f) in {(1.0, 0.0), (-1.0, 0.0), (-1.0, float(shape[0]))}


#: Width times height is taken as a cell's area where the projection keeps areas this well.
PLANAR_TOLERANCE = 0.01


def cell_areas(raster: Raster) -> NDArray[np.float64]:
    """
    Return the area of each cell on Earth [km2], (height, width).

    On a longitude/latitude grid it is the area on the CRS's ellipsoid. On a projected grid it is width
    times height where the projection keeps areas within 1 % (a UTM zone, an equal-area projection);
    where it does not (Web Mercator), the cells are brought back to the ellipsoid too. Cells with a corner
    at a pole of a polar projection are told too small.

    Parameters
    ----------
    raster : Raster
        With a CRS and a transform.

    Raises
    ------
    SourceError
        When the raster has no place on Earth.

    Examples
    --------
    One degree by one degree at the equator, about 111.3 km by 110.6 km:

    >>> from affine import Affine
    >>> from pyproj import CRS
    >>> grid = Raster(array=np.zeros((1, 1, 1)), transform=Affine(1, 0, 0, 0, -1, 1), crs=CRS(4326))
    >>> print(f"{cell_areas(grid).item():.0f} km2")
    12308 km2
    """
    crs, transform = raster.crs, raster.transform
    if crs is None or transform is None or crs.geodetic_crs is None:
        raise SourceError(
            message(
                "This raster has no CRS or no transform, so the areas of its cells are unknown. Write them into "
                "the file, for example with: rio edit-info --crs EPSG:4326 FILE."
            )
        )
    rows, cols = (np.arange(n) for n in raster.shape)
    if crs.is_projected:
        metres = crs.axis_info[0].unit_conversion_factor
        planar = abs(transform.determinant) * metres**2 / 1e6
        sample = _ellipsoid_areas(crs, transform, rows[:: len(rows) // 9 + 1], cols[:: len(cols) // 9 + 1])
        # Outside of the CRS's domain the sample is NaN: there is no better area than the planar one.
        if not (abs(sample / planar - 1) > PLANAR_TOLERANCE).any():
            return np.full(raster.shape, planar)
    elif transform.b == transform.d == 0:
        cols = cols[:1]  # the cells of a row are alike
    return np.broadcast_to(_ellipsoid_areas(crs, transform, rows, cols), raster.shape)


def _ellipsoid_areas(
    crs: CRS, transform: Affine, rows: NDArray[np.int_], cols: NDArray[np.int_]
) -> NDArray[np.float64]:
    """
    Return the area of the cells in these rows and columns [km2], (rows, cols).

    The corners are mapped with Lambert's cylindrical equal-area projection of the ellipsoid, whose height
    is q (Snyder 1987, Map Projections: A Working Manual, USGS Professional Paper 1395, eq. 3-12); there
    the shoelace formula gives areas.
    """
    from pyproj import Geod, Transformer  # noqa: PLC0415 -- only areas need it

    row, col = np.broadcast_arrays(rows[:, None, None] + [0, 0, 1, 1], cols[:, None] + [0, 1, 1, 0])
    x = transform.a * col + transform.b * row + transform.c
    y = transform.d * col + transform.e * row + transform.f
    longitude, latitude = Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True).transform(x, y)
    ellipsoid = crs.get_geod() or Geod(ellps="WGS84")
    e = np.sqrt(ellipsoid.es) or 1e-9  # on a sphere atanh(e s) / e has the limit s
    with np.errstate(invalid="ignore"):  # corners outside of the CRS's domain are infinite
        sine = np.sin(np.radians(np.clip(latitude, -90, 90)))
        q = (1 - e**2) * (sine / (1 - (e * sine) ** 2) + np.arctanh(e * sine) / e)
        east = longitude - longitude[..., :1]
        if crs.is_projected:  # its longitudes jump at the antimeridian; those of a grid in degrees run on
            east = (east + 180) % 360 - 180
        east_next, q_next = np.roll(east, -1, axis=-1), np.roll(q, -1, axis=-1)
        twice = np.radians(east * q_next - east_next * q).sum(axis=-1)
    areas: NDArray[np.float64] = abs(twice) / 2 * ellipsoid.a**2 / 2 / 1e6
    return areas


def _colour(text: str) -> str:
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise ValueError(message("a colour is written #rrggbb, got {text!r}", text=text))
    return text
