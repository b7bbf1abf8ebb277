"""Data without a run: what ``map``, ``fetch`` and ``cache`` say, alike in a cell and in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dissmodel_lab.commands.elsewhere import Answer
from dissmodel_lab.errors import CommandError
from dissmodel_lab.language import in_language, message, say, say_n
from dissmodel_lab.quantities import bytes_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from dissmodel_lab.commands.grammar import Command
    from dissmodel_lab.maps import Preview
    from dissmodel_lab.maps.styles import Style

_MOST_MAPS = 2
_SHORT = 12
"""Characters of a checksum that are shown in a table."""


def map_options(command: Command) -> dict[str, Any]:
    """
    Return what a ``map`` command chose, as :func:`dissmodel_lab.explore` and the preview take it.

    Parameters
    ----------
    command : Command
        ``map``, as it was understood.

    Raises
    ------
    LabError
        When the style cannot be used, or there are too many maps.

    Examples
    --------
    >>> from dissmodel_lab.commands import Grammar
    >>> map_options(Grammar("dissmodel-lab").parse(["map", "a.tif", "--colours", "cividis"]))["style"].colour_map
    'cividis'
    """
    if len(command.sources) > _MOST_MAPS:
        raise CommandError(
            message("map shows one source, or two beside each other; {n} are named.", n=len(command.sources))
        )
    return {"band": command.band, "part": command.part, "style": _style(command)}


def _style(command: Command) -> Style | None:
    chosen = bool(command.colours or command.reverse or command.limits or command.classify)
    if command.style and chosen:
        raise CommandError(
            message(
                "Colours come from --style or from --colours, --limits and --classify, not from both. Leave one out."
            )
        )
    if command.style:
        from dissmodel_lab.maps.styles import read_style  # noqa: PLC0415 -- loads numpy

        return read_style(command.style)
    if not chosen:
        return None
    from dissmodel_lab.maps.styles import Style  # noqa: PLC0415 -- as above

    return Style(
        colour_map=command.colours,
        reverse=command.reverse,
        limits=command.limits,
        classification=command.classify,
        n_classes=command.n_classes,
    )


def map_answer(name: str, preview: Preview) -> Answer:
    """
    Say what a map shows, for those who cannot see it.

    Parameters
    ----------
    name : str
        What the source is called.
    preview : Preview
        Its picture.

    Examples
    --------
    >>> import numpy as np
    >>> from dissmodel_lab.maps import preview
    >>> print(map_answer("grid", preview(np.eye(2, dtype="uint8"))).text)
    grid: band band_1 of band_1; 2 x 2 cells
      0
      1
      No CRS: shown in a plane, not on Earth.
    """
    (south, west), (north, east) = preview.bounds
    legend = preview.legend
    values = {
        "name": name,
        "band": preview.band,
        "bands": list(preview.bands),
        "width": preview.source_size[0],
        "height": preview.source_size[1],
        "crs": preview.crs,
        "bounds": {"south": south, "west": west, "north": north, "east": east},
        "shown": preview.shown,
        "legend": [{"label": entry.label, "colour": entry.colour} for entry in legend.entries],
        "minimum": legend.minimum,
        "maximum": legend.maximum,
        "unit": legend.unit,
        "notes": list(preview.notes),
    }
    width, height = preview.source_size
    head = say(
        "{name}: band {band} of {bands}; {width:,} x {height:,} cells",
        name=name,
        band=in_language(preview.band),
        bands=", ".join(map(in_language, preview.bands)),
        width=width,
        height=height,
    )
    place = say(
        "{crs}, {south:.5g} to {north:.5g} north, {west:.5g} to {east:.5g} east [degrees]",
        crs=preview.crs,
        south=south,
        north=north,
        west=west,
        east=east,
    )
    lines = [
        head,
        *([f"  {place}"] if preview.is_georeferenced else []),
        *(f"  {in_language(entry.text)}" for entry in legend.entries),
        *([f"  {in_language(legend.range_text)}"] if legend.range_text else []),
        *(f"  {in_language(note)}" for note in preview.notes),
    ]
    return Answer("\n".join(lines), values)


def fetched(command: Command, progress: Callable[[str, int, int | None], None] | None = None) -> Answer:
    """
    Fetch what a ``fetch`` command names.

    Parameters
    ----------
    command : Command
        ``fetch``, as it was understood.
    progress : callable, optional
        Is called with name, bytes done and bytes in all.

    Raises
    ------
    SourceError
        With what is wrong and what to do.
    """
    from dissmodel_lab.sources.fetching import fetch  # noqa: PLC0415 -- only for those who fetch

    found = fetch(command.path, progress=progress)
    found.lease.close()  # the person has its path; nobody reads it now
    size = bytes_text(found.bytes)
    if found.is_from_cache:
        how = say("{size}, was in the cache", size=size)
    else:
        how = say("{size}, fetched in {seconds:.1f} s", size=size, seconds=found.seconds)
    lines = [f"{found.path}", f"  {how}", f"  sha256 {found.sha256}", *map(in_language, found.notes)]
    values = {
        "path": str(found.path),
        "sha256": found.sha256,
        "bytes": found.bytes,
        "is_from_cache": found.is_from_cache,
        "files": [file.as_dict() for file in found.files],
        "notes": list(found.notes),
    }
    return Answer("\n".join(lines), values)


def cache_answer(command: Command) -> Answer:
    """
    List, verify or clear the copies of remote inputs.

    Parameters
    ----------
    command : Command
        ``cache``, as it was understood.

    Raises
    ------
    SourceError
        When the cache cannot be read or written.
    """
    from dissmodel_lab.sources.cache import DataCache  # noqa: PLC0415 -- only for those who ask

    cache = DataCache()
    if command.action == "verify":
        problems = cache.verify()
        n_entries = len(cache.entries())
        said = list(map(in_language, problems))
        if problems:
            said.append(say("What was damaged is fetched again when it is needed."))
        said.append(say_n("{n} input is as it was fetched.", "{n} inputs are as they were fetched.", n_entries))
        return Answer("\n".join(said), {"problems": problems})
    if command.action == "clear":
        freed = cache.clear()
        left = cache.size
        sentences = [say("{size} were removed from {folder}.", size=bytes_text(freed), folder=str(cache.root))]
        if left:
            sentences.append(say("{size} are in use by runs and stay.", size=bytes_text(left)))
        return Answer(" ".join(sentences), {"removed_bytes": freed})
    entries = cache.entries()
    lines = [f"{entry.sha256[:_SHORT]}  {bytes_text(entry.bytes):>9}  {entry.day}  {entry.text}" for entry in entries]
    lines.append(
        say_n(
            "{n} input, {size} of at most {limit}",
            "{n} inputs, {size} of at most {limit}",
            len(entries),
            size=bytes_text(cache.size),
            limit=bytes_text(cache.limit_bytes),
        )
    )
    lines.append(say("in {folder}", folder=str(cache.root)))
    values = [
        {"uri": entry.text, "sha256": entry.sha256, "bytes": entry.bytes, "checked_at": entry.day}
        for entry in entries
    ]
    return Answer("\n".join(lines), values)
