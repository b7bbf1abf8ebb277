"""XML from anywhere -> a tree: nothing outside of the file is read, and no entity is resolved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissmodel_lab.errors import SourceError
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

#: Deeper trees are no styles.
MAX_DEPTH = 200


def parsed(content: bytes, name: str) -> Element:
    """
    Parse XML.

    A document type, which QGIS writes on top of its styles, is passed over; entities of one's own are refused,
    wherever they point (XML Entity Expansion, CWE-776; External Entity Reference, CWE-611).

    Parameters
    ----------
    content : bytes
        The file.
    name : str
        How messages call it.

    Raises
    ------
    SourceError
        When it is no XML, holds entities, or is nested too deeply.

    Examples
    --------
    >>> parsed(b"<qgis version='3.34'/>", "land.qml").tag
    'qgis'
    >>> parsed(b"<!DOCTYPE q [<!ENTITY a 'b'>]><q>&a;</q>", "land.qml")
    Traceback (most recent call last):
        ...
    dissmodel_lab.errors.SourceError: land.qml declares the XML entity 'a'; a style has none. ...
    """
    from xml.etree.ElementTree import ParseError  # noqa: PLC0415 -- with defusedxml; only for files

    from defusedxml import common  # type: ignore[import-untyped]  # noqa: PLC0415 -- no stubs; only for files
    from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped]  # noqa: PLC0415

    try:
        root: Element = fromstring(content, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    except common.EntitiesForbidden as error:
        raise SourceError(
            message(
                "{name} declares the XML entity {error_name!r}; a style has none. Export it anew from QGIS.",
                name=name,
                error_name=str(error.name)[:40],
            )
        ) from error
    except common.ExternalReferenceForbidden as error:
        raise SourceError(
            message("{name} points to another file; a style must be complete in itself.", name=name)
        ) from error
    except (ParseError, LookupError, ValueError) as error:
        raise SourceError(
            message("{name} is not a style: its XML is broken ({error}). Export it again.", name=name, error=error)
        ) from error
    if _is_too_deep(root):
        raise SourceError(
            message(
                "{name} is not a style: its XML is nested more than {max_depth} levels deep.",
                name=name,
                max_depth=MAX_DEPTH,
            )
        )
    return root


def _is_too_deep(root: Element) -> bool:
    level = [root]
    for _ in range(MAX_DEPTH):
        level = [child for element in level for child in element]
        if not level:
            return False
    return True


def plain_tag(element: Element) -> str:
    """
    Return an element's name without its namespace.

    Examples
    --------
    >>> plain_tag(parsed(b"<a:Rule xmlns:a='http://www.opengis.net/se'/>", "x"))
    'Rule'
    """
    return str(element.tag).rpartition("}")[2]


def found(element: Element, name: str) -> Iterator[Element]:
    """
    Yield all elements of a name below an element, whatever their namespace.

    Examples
    --------
    >>> [one.text for one in found(parsed(b"<a><b>1</b><b>2</b></a>", "x"), "b")]
    ['1', '2']
    """
    return (one for one in element.iter() if plain_tag(one) == name)
