"""Colours: a continuous scale by its name, and colours that tell classes apart.

The scales that are used without being asked for are kept here as a few anchors, so that the first picture
does not wait for matplotlib (0.2 s); all others are matplotlib's.
"""

from __future__ import annotations

import colorsys
import functools
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from dissmodel_lab.errors import SourceError, did_you_mean, shown
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

#: A paletted picture has 256 colours; index 0 is "no data".
MAX_COLOURS = 255
#: Even in steps of lightness, and readable with every kind of colour vision.
SEQUENTIAL = "viridis"
#: Parts at its middle, and is told apart with every kind of colour vision; its middle is a grey, not white.
DIVERGING = "coolwarm"
#: What is offered first; all of these read with every kind of colour vision.
OFFERED = ("viridis", "cividis", "magma", "YlGnBu", "Greys", "coolwarm", "PuOr", "RdBu", "BrBG")
#: What a value is drawn in that has no class [colour].
GREY = "#c8c8c8"

#: Qualitative colours for every kind of colour vision: Okabe and Ito (2008), Color Universal Design, without
#: black; then, one after the other, the colour (of 16 x 16 x 16) that lies farthest in CIE Lab from all before
#: and from white, as seen with normal, protanope, deuteranope and tritanope vision by the matrices of Machado,
#: Oliveira and Fernandes (2009). The nearest two of the first 12 are 16 units apart, of all 26 14.
PALETTE = (
    "#56b4e9", "#e69f00", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7",
    "#8800ff", "#662200", "#443344", "#00ff88", "#4422aa", "#bb55ff", "#dd0044", "#772277", "#bbccbb",
    "#aaddff", "#446633", "#bbaa55", "#aa3377", "#ff4477", "#cc00aa", "#aa2200", "#ffbb55", "#77dd99", "#9999ff",
)  # fmt: skip

#: Evenly spaced colours of scales; between them is interpolated, 5 of 255 from matplotlib's at most.
#: viridis: Smith and van der Walt (2015), "A Better Default Colormap for Matplotlib", SciPy 2015. cividis:
#: Nunez, Anderton and Renslow (2018), PLoS ONE 13(7) e0199239. coolwarm: Moreland (2009), Diverging Color Maps
#: for Scientific Visualization, ISVC 2009, LNCS 5876, 92-103. PuOr: Brewer, colorbrewer2.org.
_ANCHORS = {
    "viridis": (
        "440154 470d60 48186a 482374 472d7b 453781 424086 3e4989 3b528b 375b8d 33638d "
        "2f6b8e 2c728e 297a8e 26828e 23898e 21918c 1f988b 1fa088 22a785 28ae80 32b67a "
        "3fbc73 4ec36b 5ec962 70cf57 84d44b 98d83e addc30 c2df23 d8e219 ece51b fde725"
    ),
    "cividis": (
        "00224e 00285b 002e6a 053371 1a386f 273e6e 32436d 3b496c 434e6c 4b546c 535a6d "
        "5a5f6e 61656f 686a71 6f7073 767676 7d7c78 848279 8c8878 938e78 9b9476 a39a74 "
        "aba072 b4a76f bcae6c c4b468 cdbb63 d5c25e dec958 e7d150 f0d846 f9e03a fee838"
    ),
    "coolwarm": (
        "3b4cc0 445acc 4e68d8 5875e1 6282ea 6c8ff1 779af7 82a6fb 8db0fe 98b9ff a3c2fe "
        "aec9fc b9d0f9 c3d5f4 ccd9ed d5dbe5 dddcdc e5d8d1 ecd3c5 f1ccb8 f5c4ac f7ba9f "
        "f7b093 f6a586 f4987a f08b6e eb7d62 e46e56 dd5f4b d44e41 ca3b37 be242e b40426"
    ),
    "PuOr": "7f3b08 b25706 e08214 fcb761 fee0b6 f6f6f7 d8daeb b1aad1 8073ac 532687 2d004b",
}


def scale(name: str, count: int = MAX_COLOURS, *, reverse: bool = False) -> tuple[str, ...]:
    """
    Return evenly spaced colours of a colour map.

    Parameters
    ----------
    name : str
        Any of matplotlib's names; also with ``_r``, which reverses it.
    count : int, optional
        How many colours.
    reverse : bool, optional
        From the last to the first.

    Raises
    ------
    SourceError
        When matplotlib knows no such colour map.

    Examples
    --------
    >>> scale("viridis", 2), scale("viridis", 2, reverse=True)
    (('#440154', '#fde725'), ('#fde725', '#440154'))
    >>> scale("viridid", 2)
    Traceback (most recent call last):
        ...
    dissmodel_lab.errors.SourceError: No colour map is called 'viridid'. Did you mean 'viridis'? ...
    """
    colours = _scale(name, count)
    return colours[::-1] if reverse else colours


@functools.lru_cache(maxsize=32)
def _scale(name: str, count: int) -> tuple[str, ...]:
    plain, is_reversed = name.removesuffix("_r"), name.endswith("_r")
    if plain in _ANCHORS:
        anchors = _ANCHORS[plain].split()
        found = interpolated(
            np.linspace(0, 1, len(anchors)), [f"#{one}" for one in anchors], np.linspace(0, 1, count)
        )
        return found[::-1] if is_reversed else found
    from matplotlib import colormaps  # noqa: PLC0415 -- 0.2 s, only for those who ask for another colour map
    from matplotlib.colors import to_hex  # noqa: PLC0415

    if name not in colormaps:
        names = [known for known in colormaps if not known.endswith("_r")]
        said = did_you_mean(name, names).partition("Known: ")[0]
        raise SourceError(
            message(
                "No colour map is called {name!r}. {said}Known: {offered} and all others of matplotlib.",
                name=shown(name),
                said=said,
                offered=", ".join(OFFERED),
            )
        )
    chosen = colormaps[name]
    return tuple(to_hex(chosen(float(at))) for at in np.linspace(0, 1, count))


def interpolated(positions: Iterable[float], colours: Sequence[str], wanted: NDArray[np.float64]) -> tuple[str, ...]:
    """
    Return colours between given ones, linear in red, green and blue as in QGIS and GDAL.

    Parameters
    ----------
    positions : iterable of float
        Where the given colours stand, rising.
    colours : sequence of str
        ``#rrggbb``, one for each position.
    wanted : ndarray
        Positions of the result; beyond the ends the first or last colour is given.

    Examples
    --------
    >>> interpolated([0, 1], ["#000000", "#ff0000"], np.array([0, 0.5, 2]))
    ('#000000', '#800000', '#ff0000')
    """
    given = np.array([list(bytes.fromhex(colour[1:])) for colour in colours], np.float64)
    at = np.fromiter(positions, np.float64)
    parts = [np.rint(np.interp(wanted, at, given[:, channel])).astype(np.uint8) for channel in range(3)]
    return tuple(f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in zip(*parts, strict=True))


def class_colours(name: str, count: int, *, reverse: bool = False) -> tuple[str, ...]:
    """
    Return colours for ``count`` classes from a colour map: its own where it is a list of colours, else spread.

    Examples
    --------
    >>> class_colours("viridis", 2)
    ('#440154', '#fde725')
    >>> class_colours("tab10", 2)
    ('#1f77b4', '#ff7f0e')
    """
    if name.removesuffix("_r") in _ANCHORS:
        return scale(name, count, reverse=reverse)
    whole = scale(name, MAX_COLOURS)  # refuses an unknown name
    from matplotlib import colormaps  # noqa: PLC0415 -- as above
    from matplotlib.colors import ListedColormap, to_hex  # noqa: PLC0415

    chosen = colormaps[name]
    if isinstance(chosen, ListedColormap) and count <= chosen.N < MAX_COLOURS:
        whole = tuple(to_hex(chosen(place)) for place in range(count))  # whole numbers count its colours
        return whole[::-1] if reverse else whole
    return scale(name, count, reverse=reverse)


def free_colour(wish: int, taken: Iterable[str]) -> str:
    """
    Return a qualitative colour that is not taken: the one at place ``wish`` if possible.

    Examples
    --------
    >>> free_colour(0, ()), free_colour(0, {"#56b4e9"})
    ('#56b4e9', '#e69f00')
    """
    start, gone = wish % len(PALETTE), frozenset(taken)
    for colour in chain(PALETTE[start:], PALETTE[:start], _more_colours()):
        if colour not in gone:
            return colour
    raise AssertionError("a legend has at most 255 entries")  # pragma: no cover -- 26 + 512 colours


def _more_colours() -> Iterable[str]:
    """Further colours, each far in hue from the one before (golden ratio)."""
    for i in range(512):
        red, green, blue = colorsys.hsv_to_rgb(i * 0.61803 % 1, 0.45 + 0.15 * (i % 3), 0.95 - 0.15 * (i % 4))
        yield f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"
