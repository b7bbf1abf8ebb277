"""Maps as a file: a page that reads without a server, or a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dissmodel_lab.errors import OutputError
from dissmodel_lab.language import language, message
from dissmodel_lab.views.map_view import map_figure, png_of
from dissmodel_lab.views.markup import escape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dissmodel_lab.maps import Preview

_ENDINGS = (".html", ".png")
_STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;margin:1.5em;color:#1b1b1b;background:#fff}"
    "h1{font-size:1.3em;margin:0 0 .6em}img{image-rendering:pixelated;max-width:100%}"
)


def write_map(pictures: Mapping[str, Preview], output: str) -> Path:
    """
    Write maps as ``.html``, with legends and notes, or one of them as ``.png``.

    Parameters
    ----------
    pictures : mapping of str to Preview
        Name -> picture.
    output : str
        A path that does not exist yet.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    OutputError
        When the ending is another one, there is something already, or it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from dissmodel_lab.maps import preview
    >>> write_map({"grid": preview(np.eye(3))}, f"{tempfile.mkdtemp()}/grid.png").read_bytes()[1:4]
    b'PNG'
    """
    path = Path(output).expanduser()
    ending = path.suffix.lower()
    if ending not in _ENDINGS:
        raise OutputError(
            message("A map is written as .html or .png, got {output!r:.300}. Choose such an ending.", output=output)
        )
    if ending == ".png" and len(pictures) > 1:
        raise OutputError(message("One .png holds one map. Name one source, or write .html."))
    content = _page(pictures) if ending == ".html" else png_of(next(iter(pictures.values())))
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError as error:
        raise OutputError(
            message(
                "The output {output!r:.300} exists and is never replaced. Choose another --output.", output=output
            )
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            message(
                "The output {output!r:.300} cannot be written: {reason}. Choose another --output.",
                output=output,
                reason=reason,
            )
        ) from error
    return path


def _page(pictures: Mapping[str, Preview]) -> bytes:
    title = escape(", ".join(pictures))
    figures = "".join(map_figure(picture, name) for name, picture in pictures.items())
    return (
        f'<!DOCTYPE html>\n<html lang="{language()}"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main><h1>{title}</h1>{figures}</main></body></html>\n"
    ).encode()
