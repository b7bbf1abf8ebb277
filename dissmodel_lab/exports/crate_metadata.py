"""``ro-crate-metadata.json``, which anybody may have written, as entities whose every property may be missing or odd.

Identifiers are names here and nothing else: none is ever fetched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from dissmodel_lab.errors import ExportError
from dissmodel_lab.exports.crate_archive import METADATA_NAME, OLD_METADATA_NAME
from dissmodel_lab.language import message
from dissmodel_lab.plain import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dissmodel_lab.exports.crate_archive import Crate

ACTIONS = ("CreateAction", "ActivateAction", "UpdateAction")
#: Hashes that crates state, by the local name of their term, with the number of their hexadecimal digits.
HASHES = {"sha256": 64, "sha512": 128, "sha1": 40, "md5": 32}
_HEXADECIMAL = re.compile(r"[0-9a-f]+")
_MOST_ENTITIES = 200_000


class Metadata:
    """
    The entities of a crate.

    Parameters
    ----------
    graph : mapping
        Identifier -> entity.
    root : str
        Identifier of the root dataset.

    Examples
    --------
    >>> about = Metadata({"./": {"@id": "./", "name": ["A", 3]}}, "./")
    >>> about.text("./", "name"), about.text("./", "author"), about.parts("./", "mentions")
    ('A', '', [])
    """

    def __init__(self, graph: Mapping[str, Mapping[str, Any]], root: str) -> None:
        self.graph = graph
        self.root = root

    def types(self, identifier: str) -> set[str]:
        """Return the types of an entity, without prefixes."""
        said = _values(self.graph.get(identifier, {}).get("@type"))
        return {kind.rpartition("/")[2].rpartition(":")[2] for kind in said if isinstance(kind, str)}

    def value(self, identifier: str, name: str) -> Any:
        """Return the first plain value of a property; None when it has none."""
        for said in _values(self.graph.get(identifier, {}).get(name)):
            plain = said.get("@value") if isinstance(said, dict) else said
            if isinstance(plain, str | int | float | bool):
                return plain
        return None

    def text(self, identifier: str, name: str) -> str:
        """Return the first value of a property as a text; empty when it has none."""
        value = self.value(identifier, name)
        return "" if value is None else printable(str(value))

    def parts(self, identifier: str, name: str) -> list[str]:
        """Return the identifiers that a property refers to, in their order, each once."""
        said = _values(self.graph.get(identifier, {}).get(name))
        return list(dict.fromkeys(_identifier(item) for item in said if _identifier(item)))

    def actions(self) -> list[str]:
        """Return the runs that the crate describes, those first that the root mentions."""
        found = [name for name in self.graph if self.types(name) & set(ACTIONS)]
        mentioned = {name: place for place, name in enumerate(self.parts(self.root, "mentions"))}
        return sorted(found, key=lambda name: mentioned.get(name, len(mentioned)))

    def hashes(self, identifier: str) -> dict[str, str]:
        """Return the hashes that the crate states of a file, in lower case."""
        entity = self.graph.get(identifier, {})
        found = {name: self.text(identifier, name).lower() for name in HASHES if name in entity}
        # Others write base64 or a prefix here: such a text cannot be compared, and counts as none.
        return {
            name: text for name, text in found.items() if len(text) == HASHES[name] and _HEXADECIMAL.fullmatch(text)
        }

    def stated(self) -> dict[str, list[tuple[str, str]]]:
        """Return the place of each file in the crate -> algorithm and hash, of all entities that speak of it."""
        found: dict[str, list[tuple[str, str]]] = {}
        for identifier in self.graph:
            hashes = self.hashes(identifier)
            if hashes and place_of(identifier):
                found.setdefault(place_of(identifier), []).extend(hashes.items())
        return found


def read_metadata(crate: Crate) -> tuple[Metadata, bytes]:
    """
    Read a crate's metadata.

    Returns
    -------
    metadata : Metadata
        Its entities.
    content : bytes
        The file as it is.

    Raises
    ------
    ExportError
        When there is none, or it is no flat JSON-LD with a root.
    """
    name = next((name for name in (METADATA_NAME, OLD_METADATA_NAME) if name in crate.files), "")
    if not name:
        raise ExportError(
            message(
                "The crate {name} has no {metadata_name}: it is no RO-Crate. Give a folder or .zip that has.",
                name=crate.name,
                metadata_name=METADATA_NAME,
            )
        )
    content = crate.read(name)
    document = parse_json(content, f"{name} of the crate {crate.name}")
    graph = document.get("@graph") if isinstance(document, dict) else None
    if not isinstance(graph, list) or len(graph) > _MOST_ENTITIES:
        raise ExportError(
            message(
                "{name} of the crate {crate_name} has no @graph, a list of at most {most_entities:,} entities. It "
                "is no RO-Crate, or not in the flat form that RO-Crate asks for.",
                name=name,
                crate_name=crate.name,
                most_entities=_MOST_ENTITIES,
            )
        )
    entities: dict[str, Mapping[str, Any]] = {}
    for entity in graph:
        if isinstance(entity, dict) and isinstance(entity.get("@id"), str):
            entities.setdefault(entity["@id"], entity)
    return Metadata(entities, _root(entities, crate)), content


def parse_json(content: bytes, what: str) -> Any:
    """
    Parse JSON that anybody may have written.

    Raises
    ------
    ExportError
        When it is none, or nested deeper than a thousand levels.

    Examples
    --------
    >>> parse_json(b"[1, 2", "a.json")
    Traceback (most recent call last):
    dissmodel_lab.errors.ExportError: a.json is no JSON: ...
    """
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ExportError(
            message("{what} is nested too deeply to be read. Do not trust this crate.", what=what)
        ) from error
    except ValueError as error:  # not JSON, not UTF-8, or a number of thousands of digits
        raise ExportError(
            message("{what} is no JSON: {error!s:.200}. Get the crate again.", what=what, error=error)
        ) from error


def place_of(identifier: str) -> str:
    """
    Return where in the crate an entity's file lies; empty when it lies elsewhere, such as on the web.

    Examples
    --------
    >>> place_of("./output/a%20b.tif"), place_of("https://host/a.tif"), place_of("#a")
    ('output/a b.tif', '', '')
    """
    if identifier.startswith("#") or ":" in identifier.partition("/")[0]:
        return ""
    return unquote(identifier).removeprefix("./").removesuffix("/")


def _root(entities: Mapping[str, Mapping[str, Any]], crate: Crate) -> str:
    for name, entity in entities.items():
        is_descriptor = place_of(name).rpartition("/")[2] in (METADATA_NAME, OLD_METADATA_NAME)
        about = _identifier(entity.get("about")) if is_descriptor else ""
        if about in entities:
            return about
    if "./" in entities:
        return "./"
    raise ExportError(
        message("The metadata of the crate {name} names no root dataset. It is no RO-Crate.", name=crate.name)
    )


def _values(said: Any) -> Iterator[Any]:
    yield from said if isinstance(said, list) else () if said is None else (said,)


def _identifier(said: Any) -> str:
    found = said.get("@id") if isinstance(said, Mapping) else None
    return found if isinstance(found, str) else ""
