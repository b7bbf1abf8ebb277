"""Zarr folders: a chunk is held in memory whole, however large its description says it is.

Zarr 2: https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html; Zarr 3:
https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html. Which decoders are allowed, and links, are looked
at where the store is opened.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissmodel_lab.errors import SourceError, shown
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Files that make a folder a Zarr store, in the versions 3 and 2.
DESCRIPTIONS = ("zarr.json", ".zmetadata", ".zgroup", ".zarray")
#: A chunk is held in memory whole [bytes].
MAX_CHUNK = 1 << 30
#: A description is some kilobytes; consolidated ones some megabytes [bytes].
MAX_DESCRIPTION = 50_000_000
#: Arrays beyond this aren't looked through, and the store isn't opened.
MAX_ARRAYS = 2_000


def is_zarr(folder: Path) -> bool:
    """
    Tell whether a folder is a Zarr store.

    Parameters
    ----------
    folder : Path
        Any path.

    Examples
    --------
    >>> is_zarr(Path("nowhere"))
    False
    """
    return any((folder / name).is_file() for name in DESCRIPTIONS)


def check_zarr(folder: Path, name: str) -> None:
    """
    Refuse a Zarr store with damaged descriptions, or chunks beyond the memory.

    Parameters
    ----------
    folder : Path
        A Zarr store.
    name : str
        How messages call it.

    Raises
    ------
    SourceError
        With what to do.
    """
    for count, path in enumerate(_descriptions(folder)):
        if count >= MAX_ARRAYS:
            raise SourceError(
                message(
                    "{name} holds more than {max_arrays:,} arrays. Name one of the folders in it.",
                    name=name,
                    max_arrays=MAX_ARRAYS,
                )
            )
        inside = f"{name}/{path.relative_to(folder).as_posix()}"
        for item in _objects(_read(path, inside)):
            _check_chunks(item, inside)


def _descriptions(folder: Path) -> Iterator[Path]:
    """Find the files that describe, without walking through folders of chunks."""
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent, file) for file in files if file in DESCRIPTIONS)
        folders[:] = [] if ".zarray" in files else [name for name in folders if not name.isdecimal() and name != "c"]


def _read(path: Path, inside: str) -> Any:
    try:
        size = path.stat().st_size
        if size <= MAX_DESCRIPTION:
            return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise SourceError(
            message("{inside} is damaged: it is no JSON. Get the folder again.", inside=inside)
        ) from error
    except OSError as error:
        raise SourceError(
            message(
                "{inside} can't be read ({strerror}). Check its permissions.", inside=inside, strerror=error.strerror
            )
        ) from error
    raise SourceError(
        message(
            "{inside} describes an array in {size:,} bytes; at most {max_description:,} are read.",
            inside=inside,
            size=size,
            max_description=MAX_DESCRIPTION,
        )
    )


def _objects(document: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a description, however deep."""
    pending = [document]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            yield item
            pending += item.values()
        elif isinstance(item, list):
            pending += item


def _check_chunks(item: dict[str, Any], inside: str) -> None:
    chunks = item.get("chunks") or _configured(item)
    if not isinstance(chunks, list) or not all(isinstance(size, int | float) for size in chunks):
        return
    is_possible = all(0 < size < 2**53 for size in chunks)
    if not is_possible or math.prod(chunks) * _item_bytes(item) > MAX_CHUNK:
        raise SourceError(
            message(
                "{inside} says that a chunk has {map} cells. A chunk is held in memory, and may have {max_chunk:,} "
                "bytes. Is the folder whole? If so, write it anew in smaller chunks.",
                inside=inside,
                map=shown(" x ".join(map(str, chunks))),
                max_chunk=MAX_CHUNK,
            )
        )


def _configured(item: dict[str, Any]) -> Any:
    """Return the chunks of an array of version 3."""
    grid = item.get("chunk_grid")
    configuration = grid.get("configuration") if isinstance(grid, dict) else None
    return configuration.get("chunk_shape") if isinstance(configuration, dict) else None


def _item_bytes(item: dict[str, Any]) -> int:
    """Bytes of a value: ``<f4`` says them, ``float32`` says bits."""
    written = str(item.get("dtype") or item.get("data_type") or "")
    digits = "".join(letter for letter in written if letter.isdecimal())
    number = int(digits[:6] or 1)
    return max(1, number if "dtype" in item else number // 8)
