"""The classes that an executor's author wrote down: module constants -> tables code -> label, code -> colour.

Models keep them as ``LAND_USE_COLORS = {1: "#117733", ...}``, ``LABELS = {1: "forest", ...}``, a list of
tuples, an ``IntEnum``, a ``ListedColormap``. Everything in them is untrusted text: only real colours pass,
labels are cut and lose their control characters. Nothing is imported or run: only loaded modules are read.
"""

from __future__ import annotations

import ast
import enum
import functools
import inspect
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator
    from types import ModuleType

#: A class's value in the data: its code, or its text in a table.
Code = int | str

#: Longer tables are no legends: a paletted picture has 255 colours.
MAX_ENTRIES = 255
#: Longer labels are cut [characters].
MAX_LABEL = 80

_WORD = re.compile(r"\w+")
_COLOUR_WORDS = frozenset(_WORD.findall("color colors colour colours cmap colormap palette cores cor hex rgb"))
_LABEL_WORDS = frozenset(
    _WORD.findall(
        "label labels name names class classes classe legend legends legenda category categories code codes "
        "state states type types cover covers use uses status kind kinds rotulo rotulos nomes"
    )
)
#: Words of a constant's name that say what it is, not what it is about.
_FORM_WORDS = _COLOUR_WORDS | frozenset(
    _WORD.findall("label labels name names class classes legend legends map table dict by of")
)
_LABEL_KEYS = ("label", "name", "title", "class", "description")
_COLOUR_KEYS = ("color", "colour", "hex", "rgb", "fill", "cor")


@dataclass(frozen=True, kw_only=True)
class ClassTable:
    """What one constant, or several that belong together, say of codes."""

    origin: str
    """Where it stands: ``USO_COLORS and USO_LABELS in mangue.constants``."""
    topics: frozenset[str] = frozenset()
    """Words of the constants' names that say what they are about: ``{"uso"}``."""
    labels: Mapping[Code, str] = field(default_factory=dict)
    colours: Mapping[Code, str] = field(default_factory=dict)
    """``#rrggbb``; empty where a colour is transparent."""
    by_position: bool = False
    """True when the codes are not written down: a list, whose first entry is code 0 or code 1."""

    @property
    def codes(self) -> frozenset[Code]:
        """All codes that have a label or a colour."""
        return frozenset(self.labels) | frozenset(self.colours)

    def concerns(self, band: str, bands: Iterable[str]) -> bool | None:
        """
        Tell whether the constants' names speak of a band (True), of another one (False), or of none (None).

        Examples
        --------
        >>> table = ClassTable(origin="", topics=frozenset({"uso"}))
        >>> table.concerns("uso", ["uso", "solo"]), table.concerns("solo", ["uso", "solo"])
        (True, False)
        """
        if not self.topics.isdisjoint(_words(band)):
            return True
        others = {word for name in bands if name != band for word in _words(name)}
        return None if self.topics.isdisjoint(others) else False


def class_tables(executor_class: type[Any]) -> tuple[ClassTable, ...]:
    """
    Read the tables of classes among the constants that an executor can see.

    They are looked for in the class, in its module and those of its base classes, and in modules of the same
    package that these import, also inside of functions, as far as they are loaded.

    Parameters
    ----------
    executor_class : type
        Any class.

    Returns
    -------
    tuple of ClassTable
        Nearest first; constants that share a topic in one module (``USO_COLORS``, ``USO_LABELS``) are one.

    Examples
    --------
    >>> class Model:
    ...     LAND_COLORS = {1: "green", 2: (0, 0, 255)}
    ...     LAND_LABELS = {1: "forest", 2: "sea"}
    >>> (table,) = [t for t in class_tables(Model) if "land" in t.topics]
    >>> table.labels, table.colours
    ({1: 'forest', 2: 'sea'}, {1: '#008000', 2: '#0000ff'})
    """
    try:
        return _tables_of(cast("Hashable", executor_class))
    except TypeError:  # its metaclass makes it unhashable
        return _tables_of.__wrapped__(cast("Hashable", executor_class))


def forget_class_tables() -> None:
    """Read constants anew at the next call: a notebook's may have been set since."""
    _tables_of.cache_clear()


@functools.lru_cache(maxsize=8)
def _tables_of(executor_class: Hashable) -> tuple[ClassTable, ...]:
    found: dict[tuple[str, frozenset[str], bool], ClassTable] = {}
    for place, name, value in _constants(cast("type[Any]", executor_class)):
        table = None
        with suppress(Exception):  # a constant may hold objects that raise whatever they like
            table = class_table(name, value, place)
        if table is None:
            continue
        key = (place, table.topics, table.by_position)
        found[key] = _joined(found[key], table) if key in found else table
    return tuple(found.values())


def class_table(name: str, value: Any, place: str = "") -> ClassTable | None:
    """
    Read one constant as a table of classes; None when it is something else.

    Parameters
    ----------
    name : str
        Of the constant; its words tell labels from colours where both are possible.
    value : object
        A dict by code (of colours, labels, pairs or dicts of both) or from label to code, a list of tuples
        that begin with a code, a list of colours or labels, a ``ListedColormap`` or an ``IntEnum``.
    place : str, optional
        The module.

    Examples
    --------
    >>> class_table("CLASSES", [(1, "forest", "#117733"), (2, "sea", "#0072b2")]).colours
    {1: '#117733', 2: '#0072b2'}
    >>> class_table("MONTHS", {1: "January"}) is None
    True
    """
    words = _words(name)
    read = _read(words, value, is_constant=name.isupper())
    if read is None:
        return None
    labels, colours, by_position = read
    return ClassTable(
        origin=f"{name} in {place}" if place else name,
        topics=frozenset(words) - _FORM_WORDS,
        labels=labels,
        colours=colours,
        by_position=by_position,
    )


def _joined(one: ClassTable, other: ClassTable) -> ClassTable:
    """Two constants about one topic; what both say, the first one says."""
    names, _, place = one.origin.rpartition(" in ")
    return ClassTable(
        origin=f"{names} and {other.origin.rpartition(' in ')[0]} in {place}",
        topics=one.topics,
        labels={**other.labels, **one.labels},
        colours={**other.colours, **one.colours},
        by_position=one.by_position,
    )


# --- where constants stand ---------------------------------------------------------------------------------


def _constants(executor_class: type[Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield (module, name, value) of everything that may be a table, nearest first, nothing twice."""
    seen: set[int] = set()
    for place, namespace in _namespaces(executor_class):
        for name, value in list(namespace.items()):  # a copy: a model's thread may add to it
            if name.startswith("_") or name in {"In", "Out"} or id(value) in seen or not _may_be_table(value):
                continue
            seen.add(id(value))
            yield place, name, value


def _may_be_table(value: Any) -> bool:
    if isinstance(value, dict | list | tuple):
        return 0 < len(value) <= MAX_ENTRIES
    is_enum = isinstance(value, type) and issubclass(value, enum.IntEnum)
    return (is_enum and value is not enum.IntEnum and len(value) <= MAX_ENTRIES) or type(
        value
    ).__name__ == "ListedColormap"


def _namespaces(executor_class: type[Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    seen: set[str] = set()
    others: list[ModuleType] = []
    for cls in executor_class.__mro__[:-1]:
        yield cls.__module__, vars(cls)
        module = sys.modules.get(cls.__module__)
        if module is None or module.__name__ in seen:
            continue
        seen.add(module.__name__)
        yield module.__name__, vars(module)
        others += _imported_modules(module)
    for module in others:
        if module.__name__ not in seen:
            seen.add(module.__name__)
            yield module.__name__, vars(module)


def _imported_modules(module: ModuleType) -> list[ModuleType]:
    """Return the loaded modules of the same package that a module imports, as a whole or a name of theirs."""
    package = module.__name__.partition(".")[0]
    named = [value for value in list(vars(module).values()) if inspect.ismodule(value)]
    if module.__name__ != "__main__":
        named += [sys.modules[name] for name in _imports(module) if name in sys.modules]
    return [other for other in named if other.__name__.partition(".")[0] == package]


def _imports(module: ModuleType) -> Iterator[str]:
    """Yield the full names of modules that a module's source imports from, in its functions too."""
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError, SyntaxError, ValueError):  # compiled, made in a notebook, or gone
        return
    base = (module.__package__ or "").split(".")
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            parent = base[: len(base) - node.level + 1] if node.level else []
            yield ".".join([*parent, *filter(None, [node.module])])


# --- what a constant says ----------------------------------------------------------------------------------

_Read = tuple[dict[Code, str], dict[Code, str], bool]


def _read(words: tuple[str, ...], value: Any, *, is_constant: bool) -> _Read | None:
    """Return labels, colours, and whether codes are positions."""
    says_colours = not _COLOUR_WORDS.isdisjoint(words)
    says_labels = not _LABEL_WORDS.isdisjoint(words)
    if isinstance(value, enum.EnumMeta):
        members: Iterable[tuple[str, Any]] = value.__members__.items()
        return {int(member): one_line(name.replace("_", " ").lower()) for name, member in members}, {}, False
    if type(value).__name__ == "ListedColormap":
        colours = _colours(list(getattr(value, "colors", ())))
        return ({}, dict(enumerate(colours)), True) if colours else None
    if isinstance(value, dict):
        return _read_dict(value, says_colours=says_colours, says_labels=says_labels, is_constant=is_constant)
    if isinstance(value, list | tuple) and (says_colours or says_labels):
        return _read_list(list(value), says_colours=says_colours)
    return None


def _read_dict(value: dict[Any, Any], *, says_colours: bool, says_labels: bool, is_constant: bool) -> _Read | None:
    codes = [_code(key) for key in value]
    items = list(value.values())
    if says_labels and all(isinstance(key, str) for key in value) and all(_is_whole(item) for item in items):
        # from label to code
        return {int(item): one_line(key) for key, item in value.items()}, {}, False
    known = [code for code in codes if code is not None]
    if len(known) != len(codes) or not (says_colours or says_labels or is_constant):
        return None
    is_text = all(isinstance(item, str) for item in items)
    colours = None if is_text and says_labels and not says_colours else _colours(items)
    if colours is not None:
        return {}, dict(zip(known, colours, strict=True)), False
    if is_text and says_labels:
        return dict(zip(known, map(one_line, items), strict=True)), {}, False
    if is_text:  # a colour that is none is left out; other texts, such as the names of months, are no classes
        some = {code: _hex(item) for code, item in zip(known, items, strict=True) if says_colours and _hex(item)}
        return ({}, some, False) if some else None
    rows = [(code, *_pair(item)) for code, item in zip(known, items, strict=True)]
    return _from_rows(rows)


def _read_list(items: list[Any], *, says_colours: bool) -> _Read | None:
    if all(isinstance(item, list | tuple) and len(item) in {2, 3} for item in items):
        codes = [_code(item[0]) for item in items]
        if all(isinstance(code, int) for code in codes):
            rest = [item[1] if len(item) == 2 else tuple(item[1:]) for item in items]  # noqa: PLR2004 -- code, what
            rows = [(code, *_pair(one)) for code, one in zip(codes, rest, strict=True) if code is not None]
            read = _from_rows(rows)
            if read is not None:
                return read
    if says_colours:
        colours = _colours(items)
        return ({}, dict(enumerate(colours)), True) if colours else None
    if all(isinstance(item, str) for item in items):
        return dict(enumerate(map(one_line, items))), {}, True
    return None


def _from_rows(rows: list[tuple[Code, str, str]]) -> _Read | None:
    """Return labels and colours by code; None when a row has neither, so that this is no table of classes."""
    if not rows or not all(label or colour for _, label, colour in rows):
        return None
    labels = {code: label for code, label, _ in rows if label}
    return labels, {code: colour for code, _, colour in rows if colour}, False


def _pair(item: Any) -> tuple[str, str]:
    """Return the label and the colour of one class, each empty when it has none."""
    if isinstance(item, Mapping):
        label = next((item[key] for key in _LABEL_KEYS if isinstance(item.get(key), str)), "")
        colour = next((item[key] for key in _COLOUR_KEYS if key in item), None)
        return one_line(label), _hex(colour)
    if isinstance(item, str):
        return ("", _hex(item)) if _hex(item) else (one_line(item), "")
    if isinstance(item, list | tuple) and len(item) == 2:  # noqa: PLR2004 -- label and colour, in either order
        first, second = item
        if isinstance(first, str) and _hex(second):
            return one_line(first), _hex(second)
        if isinstance(second, str) and _hex(first):
            return one_line(second), _hex(first)
    return "", ""


def _code(key: Any) -> Code | None:
    """Return a class's value in the data: whole numbers, also written as text as in JSON, and texts."""
    if isinstance(key, str):
        return int(key) if re.fullmatch(r"-?\d{1,9}", key) else key
    return int(key) if _is_whole(key) else None


def _is_whole(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, Integral) or (isinstance(value, float) and value.is_integer())


def one_line(text: Any) -> str:
    """
    Return an untrusted label as one short line.

    Examples
    --------
    >>> one_line("for" + chr(27) + "est " + chr(10) + "dense")
    'forest dense'
    """
    line = "".join(char for char in " ".join(str(text).split()) if char.isprintable())
    return line if len(line) <= MAX_LABEL else f"{line[: MAX_LABEL - 1]}…"


def _colours(items: list[Any]) -> list[str] | None:
    """Return ``#rrggbb`` for each item, empty where it is transparent; None unless all are colours."""
    triples = [item for item in items if _is_triple(item)]
    is_bytes = any(isinstance(part, Integral) and int(part) > 1 for item in triples for part in item)
    found = [_hex(item, is_bytes=is_bytes) for item in items]
    is_colour = [bool(colour) or _is_transparent(item) for colour, item in zip(found, items, strict=True)]
    return found if any(found) and all(is_colour) else None


def _is_triple(item: Any) -> bool:
    is_row = isinstance(item, list | tuple) or getattr(item, "ndim", 0) == 1
    return is_row and len(item) in {3, 4} and all(isinstance(part, Real) for part in item)


def _is_transparent(item: Any) -> bool:
    if isinstance(item, str):
        return item.lower() in {"none", "transparent"} or re.fullmatch(r"#[0-9a-fA-F]{6}00", item) is not None
    return _is_triple(item) and len(item) == 4 and item[3] == 0  # noqa: PLR2004 -- red, green, blue, alpha


def _hex(item: Any, *, is_bytes: bool | None = None) -> str:
    """Return ``#rrggbb`` of a real colour that can be seen; else an empty text."""
    if _is_transparent(item):
        return ""
    if isinstance(item, str):
        if re.fullmatch(r"#[0-9a-fA-F]{6}", item):
            return item.lower()
        # "0.5" is a grey and "C1" the second colour of a style: in a table they are labels
        if re.fullmatch(r"[\d.]*|C\d+", item.strip()):
            return ""
    elif _is_triple(item):
        if is_bytes or (is_bytes is None and any(isinstance(part, Integral) and int(part) > 1 for part in item)):
            item = tuple(part / 255 for part in item[:3])
    else:
        return ""
    from matplotlib.colors import is_color_like, to_hex  # noqa: PLC0415 -- 0.2 s, only for those with constants

    return str(to_hex(item)) if is_color_like(item) else ""


def _words(name: str) -> tuple[str, ...]:
    """Split ``landUse_COLORS`` into its words, in lower case."""
    return tuple(word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name))
