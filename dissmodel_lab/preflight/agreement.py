"""Rules on what the inputs say: the bands that are named, one CRS, one area."""

from __future__ import annotations

import difflib
import math
from typing import TYPE_CHECKING, Any

from dissmodel_lab.errors import shown
from dissmodel_lab.language import message
from dissmodel_lab.preflight.findings import Finding, error, listed, warning

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dissmodel_lab.preflight.datasets import Dataset, Extent
    from dissmodel_lab.preflight.wanted import NamedBands

#: Names that readers add to a table's columns.
ALWAYS_THERE = frozenset({"geometry", "geom", "fid"})


def missing_bands(named: Sequence[NamedBands], inputs: Sequence[Dataset]) -> list[Finding]:
    """
    Find bands and columns that parameters name and no input has.

    It is an error when nothing else can be meant, and a warning where the parameter may speak of something
    else, the bands have no names, or only the beginning of the file was looked at.

    Parameters
    ----------
    named : sequence of NamedBands
        What the parameters name.
    inputs : sequence of Dataset
        The source first.

    Examples
    --------
    >>> from dissmodel_lab.preflight.datasets import Dataset
    >>> from dissmodel_lab.preflight.wanted import NamedBands
    >>> grid = Dataset(name="grid.tif", path="grid.tif", kind="raster", names=("uso", "alt"))
    >>> (found,) = missing_bands([NamedBands("band", ("usso",), is_sure=True)], [grid])
    >>> print(found.what, found.do)
    The parameter band names 'usso', which is no band of grid.tif. Write 'uso' if that is meant; it has: uso, alt.
    """
    maps = [dataset for dataset in inputs if dataset.kind != "table" and dataset.names]
    tables = [dataset for dataset in inputs if dataset.kind == "table" and dataset.names]
    found = []
    if maps:
        known = {name for dataset in maps for name in dataset.names} | ALWAYS_THERE
        in_tables = {name for dataset in tables for name in dataset.names}
        for one in named:
            missing = [name for name in one.names if name not in known]
            is_betas = one.parameter.endswith("betas")
            if not one.is_list and not is_betas:
                missing = [name for name in missing if name not in in_tables]  # it may name a table's column
            if missing:
                is_certain = one.is_sure and (not one.is_list or len(missing) < len(one.names))
                is_certain &= all(dataset.is_complete and dataset.has_own_names for dataset in maps)
                found.append(_missing(one.parameter, missing, maps, is_error=is_certain))
    found += [finding for table in tables for finding in _missing_in_table(named, table)]
    return found


def _missing_in_table(named: Sequence[NamedBands], table: Dataset) -> list[Finding]:
    """Find columns that a table lacks: one with some names of a list was meant to have them all."""
    found = []
    for one in named:
        missing = [name for name in one.names if name not in table.names]
        if one.is_list and 0 < len(missing) < len(one.names):
            found.append(_missing(one.parameter, missing, [table], is_error=True))
    return found


def _missing(parameter: str, missing: list[str], inputs: Sequence[Dataset], *, is_error: bool) -> Finding:
    names = list(dict.fromkeys(name for dataset in inputs for name in dataset.names))
    near = [match for name in missing for match in difflib.get_close_matches(name, names, n=1, cutoff=0.6)]
    what = _what_is_missing(
        parameter=shown(parameter),
        quoted=listed([f"'{shown(name)}'" for name in missing]),
        where=" or ".join(shown(dataset.name) for dataset in inputs[:3]),
        is_one=len(missing) == 1,
        is_band=inputs[0].word == "band",
    )
    advice = _what_to_write(
        meant=listed([f"'{shown(name)}'" for name in dict.fromkeys(near)]) if near else "",
        names=listed(names),
        is_one=len(inputs) == 1,
        is_complete=all(dataset.is_complete for dataset in inputs),
    )
    return (error if is_error else warning)("missing-band", what, advice)


def _what_is_missing(*, is_one: bool, is_band: bool, **words: str) -> str:
    if is_band and is_one:
        return message("The parameter {parameter} names {quoted}, which is no band of {where}.", **words)
    if is_band:
        return message("The parameter {parameter} names {quoted}, which are no bands of {where}.", **words)
    if is_one:
        return message("The parameter {parameter} names {quoted}, which is no column of {where}.", **words)
    return message("The parameter {parameter} names {quoted}, which are no columns of {where}.", **words)


def _what_to_write(*, meant: str, is_one: bool, is_complete: bool, names: str) -> str:
    if meant:
        if not is_complete and is_one:
            return message(
                "Write {meant} if that is meant; its first feature has: {names}.", meant=meant, names=names
            )
        if not is_complete:
            return message(
                "Write {meant} if that is meant; as far as was looked at, they have: {names}.",
                meant=meant,
                names=names,
            )
        if is_one:
            return message("Write {meant} if that is meant; it has: {names}.", meant=meant, names=names)
        return message("Write {meant} if that is meant; they have: {names}.", meant=meant, names=names)
    if not is_complete and is_one:
        return message("Name what it has; its first feature has: {names}.", names=names)
    if not is_complete:
        return message("Name what they have; as far as was looked at, they have: {names}.", names=names)
    if is_one:
        return message("Name what it has; it has: {names}.", names=names)
    return message("Name what they have; they have: {names}.", names=names)


def crs_findings(inputs: Sequence[Dataset]) -> list[Finding]:
    """
    Find inputs without a CRS, and inputs whose CRS differs from the first one's.

    Examples
    --------
    >>> from dissmodel_lab.preflight.datasets import Dataset
    >>> grid = Dataset(name="grid.tif", path="grid.tif", kind="raster")
    >>> crs_findings([grid])[0].what
    'grid.tif has no CRS, so its place, distances and areas on Earth are unknown.'
    """
    found = []
    maps = [dataset for dataset in inputs if dataset.kind != "table"]
    for dataset in maps:
        if not dataset.crs:
            how = "rio edit-info --crs EPSG:31983" if dataset.kind == "raster" else "ogr2ogr -a_srs EPSG:31983"
            found.append(
                warning(
                    "no-crs",
                    message(
                        "{name} has no CRS, so its place, distances and areas on Earth are unknown.",
                        name=dataset.name,
                    ),
                    message(
                        "Write its own code into it, for example with {how}, unless the model works on a plane.",
                        how=how,
                    ),
                )
            )
    placed = [dataset for dataset in maps if dataset.crs]
    for other in placed[1:]:
        first = placed[0]
        if not _is_same_crs(first.crs, other.crs):
            found.append(
                warning(
                    "different-crs",
                    message(
                        "{name} has the CRS {crs_name}, {first_name} has {first_crs_name}.",
                        name=other.name,
                        crs_name=_crs_name(other.crs),
                        first_name=first.name,
                        first_crs_name=_crs_name(first.crs),
                    ),
                    message(
                        "Reproject one of them, for example {name} to {crs_name}, unless the model does it itself.",
                        name=other.name,
                        crs_name=_crs_name(first.crs),
                    ),
                )
            )
    return found


def extent_findings(inputs: Sequence[Dataset]) -> list[Finding]:
    """
    Find inputs whose extent has nothing in common with the first one's.

    Extents of different CRSs are compared in longitude and latitude. One that cannot be brought there, or
    that crosses the date line, is not judged.

    Examples
    --------
    >>> from dissmodel_lab.preflight.datasets import Dataset
    >>> one = Dataset(name="a.tif", path="", kind="raster", crs="EPSG:4326", extent=(0, 0, 1, 1))
    >>> two = Dataset(name="b.tif", path="", kind="raster", crs="EPSG:4326", extent=(5, 5, 6, 6))
    >>> extent_findings([one, two])[0].what
    "b.tif (x 5 to 6, y 5 to 6) doesn't overlap a.tif (x 0 to 1, y 0 to 1)."
    """
    found = []
    placed = [dataset for dataset in inputs if dataset.extent is not None]
    for other in placed[1:]:
        pair = _comparable(placed[0], other)
        if pair is None or not _is_apart(*pair):
            continue
        first, second = (_extent_text(extent) for extent in pair)
        found.append(
            warning(
                "no-overlap",
                message(
                    "{name} ({second}) doesn't overlap {placed_name} ({first}).",
                    name=other.name,
                    second=second,
                    placed_name=placed[0].name,
                    first=first,
                ),
                message("Take files of one area, and check that the CRS of each is its own."),
            )
        )
    return found


def _comparable(one: Dataset, other: Dataset) -> tuple[Extent, Extent] | None:
    """Return two extents in one CRS; None when they cannot be compared."""
    if one.extent is None or other.extent is None or bool(one.crs) != bool(other.crs):
        return None
    if not one.crs or _is_same_crs(one.crs, other.crs):
        return one.extent, other.extent
    degrees = [_in_degrees(dataset.crs, dataset.extent) for dataset in (one, other) if dataset.extent is not None]
    return (degrees[0], degrees[1]) if degrees[0] is not None and degrees[1] is not None else None


def _is_apart(one: Extent, other: Extent) -> bool:
    return one[2] < other[0] or other[2] < one[0] or one[3] < other[1] or other[3] < one[1]


def _in_degrees(crs: str, extent: Extent) -> Extent | None:
    from pyproj import Transformer  # noqa: PLC0415 -- 0.1 s, only for inputs of two CRSs
    from pyproj.exceptions import ProjError  # noqa: PLC0415

    try:
        transformer = Transformer.from_crs(_crs(crs), "OGC:CRS84", always_xy=True)
        west, south, east, north = transformer.transform_bounds(*extent)
    except ProjError:
        return None
    is_known = all(map(math.isfinite, (west, south, east, north))) and west <= east
    return (west, south, east, north) if is_known else None


def _extent_text(extent: Extent) -> str:
    left, bottom, right, top = (f"{value:.6g}" if abs(value) < 1e6 else f"{value:.0f}" for value in extent)  # noqa: PLR2004 -- metres need no exponent
    return f"x {left} to {right}, y {bottom} to {top}"


def _crs(text: str) -> Any:
    from pyproj import CRS  # noqa: PLC0415

    return CRS.from_user_input(text)


def _is_same_crs(one: str, other: str) -> bool:
    from pyproj.exceptions import CRSError  # noqa: PLC0415

    if one == other:
        return True
    try:
        first, second = _crs(one), _crs(other)
        if first.equals(second, ignore_axis_order=True):
            return True
        code = first.to_epsg(min_confidence=25)  # drivers write one CRS in different words
        return code is not None and code == second.to_epsg(min_confidence=25)
    except CRSError:
        return False


def _crs_name(text: str) -> str:
    from pyproj.exceptions import CRSError  # noqa: PLC0415

    try:
        crs = _crs(text)
    except CRSError:
        return shown(text)
    authority = crs.to_authority()
    return ":".join(authority) if authority else shown(crs.name)


def translations(column_map: Mapping[Any, Any], band_map: Mapping[Any, Any]) -> dict[str, Mapping[Any, Any]]:
    """
    Return a record's own maps of names, without the empty ones.

    Examples
    --------
    >>> translations({"land": "uso"}, {})
    {'column_map': {'land': 'uso'}}
    """
    return {name: table for name, table in (("column_map", column_map), ("band_map", band_map)) if table}
