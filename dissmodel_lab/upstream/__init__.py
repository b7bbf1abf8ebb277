"""The only package that knows PyPI ``dissmodel``; everything works without it.

It never imports ``dissmodel`` by itself: what nobody else imports cannot run, nor register an executor.
"""

from __future__ import annotations

from dissmodel_lab.upstream.clock import Watch, watched
from dissmodel_lab.upstream.registry import dissmodel_version, end_time_semantics, registered_executors
from dissmodel_lab.upstream.state import MASK_BAND, georeference_of, is_raster_backend, layers_of, series, values_of

__all__ = [
    "MASK_BAND",
    "Watch",
    "dissmodel_version",
    "end_time_semantics",
    "georeference_of",
    "is_raster_backend",
    "layers_of",
    "registered_executors",
    "series",
    "values_of",
    "watched",
]
