"""THE FRONT DOOR of styles in files: a path -> a style, known by its content."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissmodel_lab.errors import SourceError
from dissmodel_lab.executor.schemas import DataSource
from dissmodel_lab.language import message
from dissmodel_lab.maps.styles.xml import parsed, plain_tag

if TYPE_CHECKING:
    from dissmodel_lab.maps.styles.style import Style

#: Larger files are no styles [bytes].
MAX_BYTES = 8 << 20
#: What is looked for beside a file of data, in this order.
BESIDE = (".qml", ".clr")
_KNOWN = message("QGIS styles (.qml), SLD (.sld), QGIS colour maps (.txt), ESRI .clr, GDAL and GRASS colour tables")


def read_style(path: str | Path) -> Style:
    r"""
    Read what colours mean from a file of QGIS, GDAL, GRASS or ESRI.

    Parameters
    ----------
    path : str or Path
        A QGIS style of a raster (paletted, pseudocolour, grey) or of a vector (categorized, graduated, single
        symbol), an SLD, or a colour table as text.

    Returns
    -------
    Style
        Its ``origin`` is the file's name, its ``notes`` say what could not be used.

    Raises
    ------
    SourceError
        When it is missing, larger than 8 MiB, not a style, or of a kind that has no legend. XML entities are
        refused, and nothing that the file points to is opened.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "land.clr"
    >>> _ = path.write_text("1 31 141 73\n2 0 0 255\n")
    >>> read_style(path).classes
    {1: ('1', '#1f8d49'), 2: ('2', '#0000ff')}
    >>> read_style("nowhere.qml")
    Traceback (most recent call last):
        ...
    dissmodel_lab.errors.SourceError: nowhere.qml doesn't exist. Check the path.
    """
    path = Path(path)
    content = _content(path)
    if content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<" or content[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        style = _of_xml(content, str(path))
    else:
        from dissmodel_lab.maps.styles.tables import read_table  # noqa: PLC0415 -- only for this format

        style = read_table(_text(content, str(path)), str(path), is_clr=path.suffix.lower() == ".clr")
    return replace(style, origin=path.name)


def style_beside(path: str | Path) -> Style | None:
    """
    Return the style that lies beside a file of data and has its name, as QGIS looks for it.

    ``land.tif`` has ``land.qml`` or ``land.clr`` in the same folder. A style of a single symbol or of greys
    says nothing that a legend needs: it is passed over. So is one that can't be read; :func:`read_style`
    says why.

    Parameters
    ----------
    path : str or Path
        The data.

    Returns
    -------
    Style or None
        With ``is_beside``: the data's own legend comes first. None when there is none.

    Examples
    --------
    >>> style_beside("nowhere.tif") is None
    True
    """
    data = Path(str(path).removeprefix("file://"))
    for suffix in BESIDE:
        try:
            beside = data.with_suffix(suffix)
            if beside == data or not beside.is_file() or not _is_of_this_folder(beside, data):
                continue
            facts = beside.stat()
        except (OSError, ValueError):  # ValueError: a name that no file can have
            continue
        style = _read_once(beside.absolute(), facts.st_mtime_ns, facts.st_size)
        if style is not None:
            return style
    return None


@functools.lru_cache(maxsize=64)  # a map asks anew for each picture
def _read_once(beside: Path, _changed: int, _size: int) -> Style | None:
    """Return a style that says what colours mean, read again when the file has changed."""
    try:
        style = replace(read_style(beside), is_beside=True)
    except (SourceError, OSError):
        return None
    return style if style.classes or style.stops or len(style.ranges) > 1 else None


def style_for(source: Any, style: Style | None) -> Style | None:
    """
    Return the style that a source is drawn in: the chosen one, else the one that lies beside the file.

    Parameters
    ----------
    source : object
        What is drawn; only local paths and sources of type ``local`` have something beside them.
    style : Style or None
        What somebody chose; one that leaves every choice to the data counts as none.

    Examples
    --------
    >>> style_for("nowhere.tif", None) is None
    True
    """
    if style is not None and not style.is_empty:
        return style
    path = source if isinstance(source, str | Path) else None
    if isinstance(source, DataSource) and source.type == "local":
        path = source.uri
    if not path or "://" in str(path).removeprefix("file://"):
        return style
    return style_beside(path) or style


def _is_of_this_folder(beside: Path, data: Path) -> bool:
    """Return False for a link that leads elsewhere: nobody named what it points to."""
    return beside.resolve().parent == data.resolve().parent or beside.resolve().parent == beside.absolute().parent


def _content(path: Path) -> bytes:
    if not path.exists():
        raise SourceError(message("{path} doesn't exist. Check the path.", path=path))
    if not path.is_file():
        raise SourceError(message("{path} is not a file. Name a file: {known}.", path=path, known=_KNOWN))
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SourceError(
            message("{path} can't be read ({strerror}). Check its permissions.", path=path, strerror=error.strerror)
        ) from error
    if len(content) > MAX_BYTES:
        raise SourceError(
            message(
                "{path} is larger than {max_bytes} MiB: too large for a style. Known: {known}.",
                path=path,
                max_bytes=MAX_BYTES >> 20,
                known=_KNOWN,
            )
        )
    if not content.strip():
        raise SourceError(message("{path} is empty. Export the style again.", path=path))
    return content


def _of_xml(content: bytes, name: str) -> Style:
    root = parsed(content, name)
    if plain_tag(root) == "qgis":
        from dissmodel_lab.maps.styles.qml import read_qml  # noqa: PLC0415 -- only for this format

        return read_qml(root, name)
    if plain_tag(root) == "StyledLayerDescriptor":
        from dissmodel_lab.maps.styles.sld import read_sld  # noqa: PLC0415 -- only for this format

        return read_sld(root, name)
    raise SourceError(
        message(
            "{name} is XML, but not a style (it holds {plain_tag!r}). Known: {known}.",
            name=name,
            plain_tag=plain_tag(root)[:40],
            known=_KNOWN,
        )
    )


def _text(content: bytes, name: str) -> str:
    if b"\0" in content:
        raise SourceError(message("{name} is not a style: it is no text. Known: {known}.", name=name, known=_KNOWN))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")  # older programs wrote labels so; every byte is a letter in it
