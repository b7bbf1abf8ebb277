"""What lies below the layers: nothing, or tiles that the browser fetches from a server of others.

Without a network the tiles stay away and the layers are seen as before.
"""

from __future__ import annotations

from typing import Any

from dissmodel_lab.errors import SourceError, did_you_mean
from dissmodel_lab.language import mark, message, say

NONE, STREETS, SATELLITE = mark("none"), "OpenStreetMap", mark("Satellite (Esri)")
#: All names to choose from.
BASEMAPS = (NONE, STREETS, SATELLITE)
#: Deepest zoom for which the servers have tiles; beyond it Leaflet enlarges them.
MAX_NATIVE_ZOOM = 19
MAX_ZOOM = 24


def basemap_name(wish: bool | str) -> str:  # noqa: FBT001 -- a person's own word for it
    """
    Return the name of a basemap.

    Parameters
    ----------
    wish : bool or str
        True for OpenStreetMap, False for none, or one of :data:`BASEMAPS`.

    Raises
    ------
    SourceError
        When there is none of that name.

    Examples
    --------
    >>> basemap_name(False), basemap_name(True), basemap_name("Satellite (Esri)")
    ('none', 'OpenStreetMap', 'Satellite (Esri)')
    """
    if isinstance(wish, bool):
        return STREETS if wish else NONE
    if wish not in BASEMAPS:
        advice = did_you_mean(str(wish), BASEMAPS)
        raise SourceError(message("No basemap is called {wish!r}. {advice}", wish=wish, advice=advice))
    return wish


def tiles(name: str) -> Any:
    """
    Return the tile layer of a basemap, with the attribution that its owner asks for; None for none.

    Examples
    --------
    >>> tiles("none") is None
    True
    >>> "Esri" in tiles("Satellite (Esri)").attribution
    True
    """
    if name == NONE:
        return None
    import ipyleaflet as leaflet  # noqa: PLC0415 -- 0.2 s, not needed for static maps

    provider = leaflet.basemaps.OpenStreetMap.Mapnik if name == STREETS else leaflet.basemaps.Esri.WorldImagery
    return leaflet.TileLayer(
        url=provider.build_url(),
        attribution=provider.html_attribution,
        name=name,
        max_zoom=MAX_ZOOM,
        max_native_zoom=MAX_NATIVE_ZOOM,
    )


def tiles_note(name: str) -> tuple[str, ...]:
    """
    Say where tiles come from; nothing for none.

    Examples
    --------
    >>> tiles_note("none")
    ()
    """
    if name == NONE:
        return ()
    said = say(
        "The basemap's tiles are fetched by your browser from {name}'s server, which learns where you look. Without "
        "a network there are none.",
        name=say(name),
    )
    return (said,)
