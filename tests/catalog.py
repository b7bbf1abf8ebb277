"""The catalogs of sentences: what the code says, what of it is translated. ``make messages`` runs this file.

A template is the first literal that ``message``, ``say``, ``mark`` and their kin are given; here Python's own parser
finds them, because Babel's extractor overlooks a call inside of another call.
"""

from __future__ import annotations

import ast
import functools
import gettext
import io
import string
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from babel.messages import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

import dissmodel_lab

PACKAGE = Path(dissmodel_lab.__file__).parent
PO = PACKAGE / "locale" / "pt" / "LC_MESSAGES" / "dissmodel_lab.po"
MO = PO.with_suffix(".mo")
_HEAD = (
    "# Portuguese sentences of dissmodel_lab. The English ones stand in the code; `make messages` updates this file."
)
#: What is called, and how many literals it takes: of them the context, or the form for many.
_CALLS = {"message": 1, "Message": 1, "say": 1, "mark": 1, "say_in": 2, "say_n": 2}


class Sentence(NamedTuple):
    """A template: its context, its form for one thing, and for many."""

    context: str
    one: str
    many: str = ""

    @property
    def id(self) -> str | tuple[str, str]:
        """What Babel knows it by."""
        return (self.one, self.many) if self.many else self.one


class Call(NamedTuple):
    """A call that names a template: where, with which names, and what is wrong with it."""

    place: str
    sentences: tuple[Sentence, ...]
    names: frozenset[str] | None
    problem: str = ""


@functools.cache
def calls() -> list[Call]:
    """Return every call in the package, in the order of the files."""
    found: list[Call] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        known = _known(tree)
        for node in ast.walk(tree) if known else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in known:
                place = f"{path.relative_to(PACKAGE.parent).as_posix()}:{node.lineno}"
                found.append(_call(known[node.func.id], node, place))
    return found


def sentences() -> dict[Sentence, list[str]]:
    """Return each template of the code, and the files that say it."""
    found: dict[Sentence, list[str]] = {}
    for call in calls():
        for sentence in call.sentences:
            files, file = found.setdefault(sentence, []), call.place.partition(":")[0]
            if file not in files:
                files.append(file)
    return found


def fields(template: str) -> set[str]:
    """Return the names in braces."""
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def read() -> Catalog:
    """Return the catalog as it is kept; an empty one where there is none."""
    if PO.exists():
        with PO.open("rb") as stream:
            return read_po(stream, locale="pt", domain="dissmodel_lab")
    return _empty()


def updated(kept: Catalog, more: dict[Sentence, str | tuple[str, ...]]) -> Catalog:
    """Return a catalog of exactly what the code says, with what is translated of it."""
    made = _empty(kept)
    for sentence, files in sentences().items():
        old = kept.get(sentence.id, sentence.context or None)
        translated = more.get(sentence) or (old.string if old is not None else "")
        made.add(sentence.id, translated, [(file, 0) for file in files], context=sentence.context or None)
    return made


def untranslated(catalog: Catalog) -> list[str]:
    """Return the templates that have no translation yet."""
    return [
        str(entry.id)
        for entry in catalog
        if entry.id and not (all(entry.string) if isinstance(entry.string, tuple | list) else entry.string)
    ]


def write(catalog: Catalog) -> None:
    """Keep the catalog, for translators and for the program."""
    PO.parent.mkdir(parents=True, exist_ok=True)
    with PO.open("wb") as stream:
        write_po(stream, catalog, width=118, sort_output=True, include_lineno=False, ignore_obsolete=True)
    MO.write_bytes(compiled(catalog))


def compiled(catalog: Catalog) -> bytes:
    """Return the catalog as the program reads it."""
    stream = io.BytesIO()
    write_mo(stream, catalog)
    return stream.getvalue()


def translations(compiled_catalog: bytes) -> gettext.GNUTranslations:
    """Return what the program reads from a compiled catalog."""
    return gettext.GNUTranslations(io.BytesIO(compiled_catalog))


def _empty(like: Catalog | None = None) -> Catalog:
    begun = like.creation_date if like is not None else datetime.now(UTC)
    made = Catalog(
        "pt",
        "dissmodel_lab",
        _HEAD,
        "dissmodel_lab",
        version="pt",
        msgid_bugs_address="see CONTRIBUTING.md",
        creation_date=begun,
        revision_date=begun,
        last_translator="dissmodel_lab",
        language_team="Portuguese",
        charset="utf-8",
        fuzzy=False,
    )
    # Brazilians count zero with one; Babel's own rule for pt is the European one.
    made.__dict__["_plural_expr"], made.__dict__["_num_plurals"] = "(n > 1)", 2
    return made


def _known(tree: ast.Module) -> dict[str, str]:
    """Return the names that a module has from ``language``: others have a ``say`` of their own."""
    return {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "dissmodel_lab.language"
        for alias in node.names
        if alias.name in _CALLS
    }


def _call(name: str, node: ast.Call, place: str) -> Call:
    texts = [_literals(argument) for argument in node.args[: _CALLS[name]]]
    if any(text is None for text in texts) or len(texts) < _CALLS[name]:
        # A constant that mark() made is given on; what is put together in the call cannot be found in a catalog.
        is_glued = any(isinstance(part, ast.JoinedStr | ast.BinOp) for part in node.args[: _CALLS[name]])
        return Call(place, (), None, "a template is put together" if is_glued else "")
    names = None if any(word.arg is None for word in node.keywords) else {str(word.arg) for word in node.keywords}
    if name in ("Message", "mark"):
        names = None
    elif names is not None and name == "say_n":
        names |= {"n"}
    return Call(place, tuple(_sentences(name, texts)), None if names is None else frozenset(names))


def _sentences(name: str, texts: list[list[str] | None]) -> list[Sentence]:
    first = texts[0] or []
    if name == "say_n":
        return [Sentence("", one, many) for one in first for many in texts[1] or []]
    if name == "say_in":
        return [Sentence(context, one) for context in first for one in texts[1] or []]
    return [Sentence("", one) for one in first]


def _literals(node: ast.expr) -> list[str] | None:
    """Return the texts that an argument can be: a literal, or a choice of literals."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else None
    if isinstance(node, ast.IfExp):
        yes, no = _literals(node.body), _literals(node.orelse)
        return None if yes is None or no is None else [*yes, *no]
    return None


if __name__ == "__main__":
    new = updated(read(), {})
    write(new)
    missing = untranslated(new)
    print("\n".join([f"{len(new)} sentences in {PO.name}, {len(missing)} of them not translated", *missing]))
    sys.exit(bool(missing))
