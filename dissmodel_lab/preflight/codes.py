"""Rules on classes: nodata that is a class, and codes that no legend knows, in a small sample of the pixels."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dissmodel_lab.errors import shown
from dissmodel_lab.language import message
from dissmodel_lab.preflight.findings import Finding, listed, warning
from dissmodel_lab.rasters import quiet_georeference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dissmodel_lab.class_tables import ClassTable
    from dissmodel_lab.preflight.datasets import Dataset

#: Labels of classes that mean the same as nodata.
NOTHING = re.compile(
    r"(?i)\b(no.?data|no.?value|sem.?dados?|outside|fora|background|none|null|n/?a|unclassified|undefined|mask(ed)?)\b"
)
#: Blocks of a raster that are read, at most, along each side.
BLOCKS = 5
#: Bytes that are unpacked for one sample, at most.
MAX_BYTES = 24_000_000
#: A raster of at most this size is read whole [bytes].
SMALL = 4_000_000
#: Time for all samples of one run [s].
SECONDS = 0.5
#: More distinct values than this are no classes.
MAX_CLASSES = 255


@dataclass(frozen=True, kw_only=True)
class Legend:
    """The classes of one band, and who says so."""

    origin: str
    labels: dict[int, str]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The distinct values of a part of a band."""

    codes: frozenset[int]
    cells: int
    """Cells that were read."""
    total: int
    """Cells that there are."""

    @property
    def text(self) -> str:
        """How much was looked at."""
        if self.cells >= self.total:
            return message("in all of its cells")
        return message("in a sample of {cells:,} of its {total:,} cells", cells=self.cells, total=self.total)


def class_findings(raster: Dataset, tables: Sequence[ClassTable], deadline: float) -> list[Finding]:
    """
    Compare the classes of a raster's bands with nodata and with the codes that occur in a sample.

    Parameters
    ----------
    raster : Dataset
        With bands of whole numbers; others are left out.
    tables : sequence of ClassTable
        What the executor's constants say.
    deadline : float
        When reading must end (``time.perf_counter()``) [s].

    Returns
    -------
    list of Finding
        All are warnings: an executor may know what it does.
    """
    end = min(deadline, time.perf_counter() + SECONDS)
    found = []
    for number, band in enumerate(raster.names, start=1):
        dtype, nodata = np.dtype(raster.dtypes[number - 1]), raster.nodata[number - 1]
        own = raster.classes.get(band)
        candidates = [] if own else [table for table in tables if table.concerns(band, raster.names) is not False]
        if dtype.kind not in "iu" or not (own or candidates):
            continue
        sample = _sampled(raster, number, nodata, end)
        legend = _legend_of(band, own, candidates, sample)
        if legend is None:
            continue
        found += _nodata_is_class(raster, band, nodata, legend)
        if sample is not None:
            found += _strangers(raster, band, sample, legend)
    return found


def _legend_of(
    band: str, own: dict[int, tuple[str, str]] | None, tables: Sequence[ClassTable], sample: Sample | None
) -> Legend | None:
    """Return the legend in the file; else the constants that name the band, or know most of its codes."""
    if own:
        return Legend(origin="its legend", labels={code: label for code, (label, _) in own.items()})
    best: tuple[int, ClassTable] | None = None
    for table in tables:
        if table.by_position:
            continue
        hits = len(sample.codes & table.codes) if sample is not None else 0
        is_likely = sample is not None and hits > 1 and 2 * hits >= len(sample.codes)
        if table.concerns(band, [band]) and (sample is None or hits):
            hits += MAX_CLASSES
        elif not is_likely:
            continue
        if best is None or hits > best[0]:
            best = hits, table
    if best is None:
        return None
    codes = {code: best[1].labels.get(code, "") for code in best[1].codes if isinstance(code, int)}
    return Legend(origin=message("the classes of the model ({origin})", origin=shown(best[1].origin)), labels=codes)


def _nodata_is_class(raster: Dataset, band: str, nodata: float | None, legend: Legend) -> list[Finding]:
    if nodata is None or not float(nodata).is_integer() or int(nodata) not in legend.labels:
        return []
    code, label = int(nodata), legend.labels[int(nodata)]
    if NOTHING.search(label):
        return []
    named = f" ({shown(label)})" if label and label != str(code) else ""
    return [
        warning(
            "nodata-is-class",
            message(
                "Band {band} of {name} has the nodata value {code}, which is also a class of {origin}: "
                "{code}{named}.",
                band=shown(band),
                name=raster.name,
                code=code,
                origin=legend.origin,
                named=named,
            ),
            message(
                "Set nodata to a value that is no class, for example with rio edit-info --nodata {free}, or the "
                "cells of that class count as empty.",
                free=_free(legend, raster.dtypes[0]),
            ),
        )
    ]


def _free(legend: Legend, dtype: str) -> int:
    limits = np.iinfo(dtype)
    wishes = (255, -9999, limits.max, limits.min, *range(limits.max, limits.min, -1))
    return next(int(code) for code in wishes if code not in legend.labels and limits.min <= code <= limits.max)


def _strangers(raster: Dataset, band: str, sample: Sample, legend: Legend) -> list[Finding]:
    strangers = sorted(sample.codes - set(legend.labels))
    if not strangers:
        return []
    known = [f"{code} {label}" if label and label != str(code) else code for code, label in legend.labels.items()]
    are = message("is no class") if len(strangers) == 1 else message("are no classes")
    return [
        warning(
            "code-outside-legend",
            message(
                "Band {band} of {name} holds {listed}, which {are} of {origin} (seen {text}).",
                band=shown(band),
                name=raster.name,
                listed=listed(strangers),
                are=are,
                origin=legend.origin,
                text=sample.text,
            ),
            message("Recode the cells or make it nodata; the classes are {listed}.", listed=listed(known)),
        )
    ]


# --- the sample --------------------------------------------------------------------------------------------


def _sampled(raster: Dataset, number: int, nodata: float | None, end: float) -> Sample | None:
    """Return the codes in a few blocks of a band; None when there is no time, or these are no classes."""
    import rasterio  # noqa: PLC0415 -- loaded by the look at the file already

    is_slow = (
        raster.path.startswith("/vsizip/") and raster.value_bytes > SMALL
    )  # each block is unpacked from the start
    if is_slow or time.perf_counter() > end:
        return None
    codes: set[int] = set()
    cells = 0
    with quiet_georeference(), rasterio.open(raster.path) as dataset:
        for window in _windows(dataset, number):
            values = dataset.read(number, window=window)
            cells += values.size
            codes |= set(np.unique(values).tolist())
            if time.perf_counter() > end or len(codes) > MAX_CLASSES + 1:
                break
        total = dataset.width * dataset.height
    if nodata is not None and float(nodata).is_integer():
        codes.discard(int(nodata))
    return Sample(codes=frozenset(codes), cells=cells, total=total) if cells and len(codes) <= MAX_CLASSES else None


def _windows(dataset: Any, number: int) -> list[Any]:
    """Choose whole blocks, spread evenly, that can be unpacked within the budget; all of a small raster."""
    from rasterio.windows import Window  # noqa: PLC0415

    size = np.dtype(dataset.dtypes[number - 1]).itemsize
    rows, columns = dataset.block_shapes[number - 1]
    is_by_pixel = dataset.interleaving is not None and dataset.interleaving.name == "pixel"
    together = dataset.count if is_by_pixel else 1
    if dataset.width * dataset.height * size * together <= SMALL:
        return [Window(0, 0, dataset.width, dataset.height)]
    affordable = MAX_BYTES // (rows * columns * size * together)
    down, across = -(-dataset.height // rows), -(-dataset.width // columns)
    if across == 1:  # strips
        chosen = [(row, 0) for row in _spread(down, min(affordable, BLOCKS * BLOCKS))]
    else:
        side = min(BLOCKS, int(affordable**0.5))
        chosen = [(row, column) for row in _spread(down, side) for column in _spread(across, side)]
    return [
        Window(
            column * columns,
            row * rows,
            min(columns, dataset.width - column * columns),
            min(rows, dataset.height - row * rows),
        )
        for row, column in chosen
    ]


def _spread(count: int, wanted: int) -> list[int]:
    found: NDArray[np.intp] = ((np.arange(wanted) + 0.5) * count / max(1, wanted)).astype(np.intp)
    return sorted(set(found.tolist()))
