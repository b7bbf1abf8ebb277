"""What ipywidgets and Leaflet leave out: names of sliders, buttons, pictures and maps, and keys of their own.

Their Python side can set no ``aria-label`` and no ``alt``. A small script in the page does, wherever this hidden
widget is among the children of a view; without it (a saved notebook) there are no such widgets either.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from dissmodel_lab.language import say

_SCRIPT = Path(__file__).with_name("access.js")


def accessible(view: Any, *, picture: str = "", map_name: str = "") -> Any:
    """
    Make a view whole for screen readers and keyboards; what is added takes no room.

    Sliders get the name of their label and the words of their readout, the buttons of players names, pictures an
    alternative text. While the focus is in the view, single keys belong to it: the notebook takes none of them for
    its commands, such as the arrows, or D, D, which deletes the cell.

    Parameters
    ----------
    view : ipywidgets.Box
        Its children stay, and come first.
    picture : str, optional
        What the pictures in it show; the words of a step's slider are added by the page.
    map_name : str, optional
        What the map in it shows.

    Returns
    -------
    ipywidgets.Box
        The view itself.

    Examples
    --------
    >>> import ipywidgets as w
    >>> view = accessible(w.VBox([w.IntSlider(description="Opacity")]), map_name="input")
    >>> len(view.children), view.children[1].words["map"]
    (2, 'Map: input. Arrow keys move it, plus and minus zoom.')
    """
    words = {
        "play": say("Play"),
        "pause": say("Pause"),
        "stop": say("Back to the start"),
        "retweet": say("Repeat"),
        "picture": picture,
        "map": say("Map: {name}. Arrow keys move it, plus and minus zoom.", name=map_name),
    }
    view.add_class("dl-accessible")
    view.children = (*view.children, _mender()(words=words))
    return view


@cache
def _mender() -> Any:
    """Return the class of the hidden widget: anywidget takes 0.05 s to import, which a static page does not need."""
    import anywidget  # noqa: PLC0415 -- see above
    import traitlets  # noqa: PLC0415 -- comes with it

    class Mender(anywidget.AnyWidget):
        """Takes no room on the page; its script mends what stands around it."""

        _esm = _SCRIPT
        words = traitlets.Dict().tag(sync=True)

        def __init__(self, **traits: Any) -> None:
            super().__init__(layout={"display": "none"}, **traits)

    return Mender
