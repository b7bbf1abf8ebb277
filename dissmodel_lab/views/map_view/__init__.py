"""Maps: a picture with legend and notes, two of them under a swipe, and the widget to look closer.

==============  =================================================================================
``figures``     static HTML: what a saved notebook shows without a kernel
``stock``       layers and their pictures: whole, and the parts in view
``sides``       one layer on a map: its overlays
``features``    few features, named under the pointer
``basemaps``    what lies below
``ground``      one Leaflet map with all that stands on it
``linked``      two maps that are moved together
``controls``    what a person chooses
``worker``      what a person's moves ask for, beside the kernel's own thread
``view``        :class:`MapView`, which holds all of them together
==============  =================================================================================
"""

from dissmodel_lab.views.legends import data_url, legend_html
from dissmodel_lab.views.map_view.figures import (
    PNG_BUDGET,
    beside,
    map_figure,
    notes_html,
    png_of,
    share_bounds,
    swipe,
)
from dissmodel_lab.views.map_view.ground import MAP_HEIGHT, MAP_WIDTH, view_of
from dissmodel_lab.views.map_view.view import MapView

__all__ = [  # noqa: RUF022 -- plainly sorted, as in all packages here
    "MAP_HEIGHT",
    "MAP_WIDTH",
    "MapView",
    "PNG_BUDGET",
    "beside",
    "data_url",
    "legend_html",
    "map_figure",
    "notes_html",
    "png_of",
    "share_bounds",
    "swipe",
    "view_of",
]
