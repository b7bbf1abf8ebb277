"""What a local file may be before a library opens it; everything else is refused in words.

A file is known by its content (:mod:`.kinds`), and opened by the one driver that belongs to it. Refused are formats
that name other files or hosts, and files in which such names hide: :mod:`.pixels`, :mod:`.shapes`,
:mod:`.databases`, :mod:`.cubes`, :mod:`.archives`. :mod:`.quarantine` opens in a child what crashes its library.
"""

from __future__ import annotations

from dissmodel_lab.sources.guards.archives import maps_in
from dissmodel_lab.sources.guards.checks import Checked, check_file, check_held, clear_failures
from dissmodel_lab.sources.guards.cubes import check_zarr, is_zarr
from dissmodel_lab.sources.guards.pixels import check_dataset

__all__ = [
    "Checked", "check_dataset", "check_file", "check_held", "check_zarr", "clear_failures", "is_zarr", "maps_in",
]  # fmt: skip
