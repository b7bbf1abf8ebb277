"""Sources -> pictures: any raster, vector or array becomes a PNG with bounds, legend and notes.

No widget in here: :mod:`dissmodel_lab.views` shows what these modules draw. The flow, one module a step::

    sources ─► raster | vector | arrays ─► grid ─► legend (colours) ─► place (Web Mercator) ─► png
                                              └──────────── picture.preview ────────────┘
"""

from dissmodel_lab.maps.legend import Legend, LegendEntry
from dissmodel_lab.maps.picture import Preview, preview
from dissmodel_lab.maps.sources import open_layer

__all__ = ["Legend", "LegendEntry", "Preview", "open_layer", "preview"]
