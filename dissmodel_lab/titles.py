"""Titles of runs: the parameters that differ from their defaults, ``sea_level_rise=0.5, years=20``.

The idea is TerraME's, whose runs are named so. A title is made from the record alone, so that the same record
has the same title on any machine.
"""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, Any

from dissmodel_lab.executor.jsonvalue import encode
from dissmodel_lab.inference import NO_DEFAULT, inferred_parameters
from dissmodel_lab.parameters import declared_parameters, names_of
from dissmodel_lab.redaction import HIDDEN, is_secret_key, redact_text, redact_uri

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import BaseModel

    from dissmodel_lab.executor.schemas import ExperimentRecord

NOTHING_DIFFERS = "defaults"
_LONGEST = 80
"""Longest title [characters]."""
_MOST_SHOWN = _LONGEST // 2
"""A name, a sign and a comma: more parameters than these never fit into a title."""
_LONGEST_NAME, _LONGEST_VALUE = 40, 24
_SCALARS = frozenset((str, int, float, bool, type(None)))
_MOST_LEAVES = 1_000
"""Values that are looked at in one record: others have no place in a title or a table."""
_DEEPEST = 20
_PERSONS = frozenset({"given", "toml", "cell"})
"""Origins of values that a person chose."""
_LONG_TEXT = 500
"""How much of a text is looked at [characters]."""
_DIGITS = 16
_EXACT = 8
"""A number with a longer text is rounded to six digits [characters]."""


def title_of(record: ExperimentRecord) -> str:
    """
    Name a run by the parameters that make it what it is.

    These are the ones that differ from their defaults; of records that tell no defaults (foreign or older
    ones), those that were given, else all. Secrets are hidden.

    Parameters
    ----------
    record : ExperimentRecord
        It alone decides; nothing is imported or looked up.

    Returns
    -------
    str
        One line of at most 80 characters; ``defaults`` when nothing differs.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> title_of(ExperimentRecord(
    ...     parameters={"years": 20, "rates": {"forest": 0.25, "urban": 0.1}},
    ...     parameter_defaults={"rates": {"forest": 0.2, "urban": 0.1}},
    ... ))
    'rates.forest=0.25'
    >>> title_of(ExperimentRecord())
    'defaults'
    """
    differing = _differing(record)
    first = list(itertools.islice(differing, _MOST_SHOWN))  # of thousands, few have a place in a title
    parts = [f"{one_line(name, _LONGEST_NAME)}={shown_leaf(name, value)}" for name, value in first]
    return _joined(parts, len(parts) + sum(1 for _ in differing)) if parts else NOTHING_DIFFERS


def changed_defaults(
    executor_class: type[Any], values: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """
    Return the default of each parameter that was given another value, for ``record.parameter_defaults``.

    Parameters
    ----------
    executor_class : type
        Its declared ``Parameters`` know the defaults; without them, those that its source spells out.
    values : mapping
        The resolved parameters.
    given : mapping
        What a person gave, by name or alias; the others have their defaults.

    Returns
    -------
    dict
        Name -> default, in the order of ``values``; None where there is none: the parameter must be given,
        nobody declares it, or its default is a new one in each run.

    Examples
    --------
    >>> from pydantic import BaseModel, create_model
    >>> class Flood:
    ...     Parameters = create_model("P", region=(str, ...), years=(int, 20), rise=(float, 0.5))
    >>> given = {"region": "PA", "years": 20, "rise": 0.7}
    >>> changed_defaults(Flood, given, given)
    {'region': None, 'rise': 0.5}
    """
    schema = declared_parameters(executor_class)
    changed: dict[str, Any] = {}
    for name in values:
        if schema is None:
            default = _inferred_default(executor_class, name)
        elif name not in schema.model_fields:
            default = NO_DEFAULT if name in given else values[name]
        elif any(called in given for called in names_of(name, schema.model_fields[name])):
            default = _declared_default(schema, name)
        else:
            continue
        if default is NO_DEFAULT or not _same(default, values[name]):
            changed[name] = None if default is NO_DEFAULT else default
    return changed


def leaves(values: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """
    Walk through tables inside of each other: a flat name and a value each, as conditions on runs call them.

    A list of numbers or texts is one value. At most 1,000 values are told.

    Parameters
    ----------
    values : mapping, list or value
        Parameters or metrics.
    name : str
        What stands before each name.

    Examples
    --------
    >>> dict(leaves({"years": 5, "zones": [{"rates": {"urban": 0.5}}, {"name": "b"}], "cuts": [1, 2]}))
    {'years': 5, 'zones[0].rates.urban': 0.5, 'zones[1].name': 'b', 'cuts': [1, 2]}
    """
    left = _MOST_LEAVES
    if not name and values in ({}, None):
        return
    for found in _leaves(values, name, 0):
        if left == 0:
            return
        left -= 1
        yield found


def shown_leaf(name: str, value: Any) -> str:
    """
    Return a parameter's value as a title or a table shows it: short, on one line, without secrets.

    Parameters
    ----------
    name : str
        The parameter's flat name; a secret's value is hidden.
    value : object
        Anything.

    Examples
    --------
    >>> shown_leaf("rate", 2.388e-07), shown_leaf("rate", 1 / 3), shown_leaf("is_open", True)
    ('2.388e-07', '0.333333', 'true')
    >>> shown_leaf("demand", "/data/amazonia/2026/demand_2030.csv"), shown_leaf("api_key", "s3cr3t")
    ('…/demand_2030.csv', '***')
    """
    plain = encode(_shortened(value))
    if _is_secret(name, plain):
        return HIDDEN
    return _cut(_text(plain), _LONGEST_VALUE)


def one_line(text: str, limit: int) -> str:
    """
    Return a text that others wrote on one line, without secrets and unseen signs, cut at a limit.

    Parameters
    ----------
    text : str
        Untrusted.
    limit : int
        [characters]

    Examples
    --------
    >>> one_line("two" + chr(10) + "lines of text", 10)
    'two lines…'
    """
    return _known_line(text, limit) if len(text) < _LONG_TEXT else _one_line(text[: 4 * limit + _LONG_TEXT], limit)


def _one_line(text: str, limit: int) -> str:
    shown = redact_text(redact_uri(text))
    return _cut(" ".join("".join(sign if sign.isprintable() else " " for sign in shown).split()), limit)


#: Names of parameters, which many runs share.
_known_line = functools.lru_cache(maxsize=1024)(_one_line)


def _differing(record: ExperimentRecord) -> Iterator[tuple[str, Any]]:
    parameters, defaults, origins = record.parameters, record.parameter_defaults, record.parameter_origins
    facts = record.provenance
    tells_defaults = bool(defaults) or (
        # The runner has worked the defaults out: none is there because none was changed.
        facts is not None and bool(facts.executor_class) and "parameter_defaults" in record.model_fields_set
    )
    if tells_defaults:
        chosen = {name for name in parameters if name in defaults or origins.get(str(name)) == "cell"}
    elif origins:
        chosen = {name for name in parameters if origins.get(str(name)) in _PERSONS}
    else:
        chosen = set(parameters)
    for name, value in parameters.items():
        if name in chosen:
            yield from _differing_leaves(str(name), value, defaults.get(name))


def _differing_leaves(name: str, value: Any, default: Any) -> Iterator[tuple[str, Any]]:
    """Tell what differs inside of a table; a table that only lacks something is told as a whole."""
    if type(value) in _SCALARS:  # nothing is inside of it
        yield name, value
        return
    before = dict(leaves(default, name)) if _is_container(default) else {}
    found = [
        (leaf, inner) for leaf, inner in leaves(value, name) if leaf not in before or not _same(inner, before[leaf])
    ]
    yield from found or [(name, value)]


def _is_container(value: Any) -> bool:
    return isinstance(value, dict | list | tuple) or hasattr(type(value), "model_dump")


def _leaves(value: Any, name: str, depth: int) -> Iterator[tuple[str, Any]]:
    if hasattr(type(value), "model_dump"):
        value = value.model_dump()
    if isinstance(value, dict) and value and depth < _DEEPEST:
        for key, item in value.items():
            yield from _leaves(item, f"{name}.{key}" if name else str(key), depth + 1)
    elif isinstance(value, list | tuple) and any(map(_is_container, value)) and depth < _DEEPEST:
        for index, item in enumerate(value):
            yield from _leaves(item, f"{name}[{index}]", depth + 1)
    else:
        yield name, value


def _joined(parts: list[str], n_all: int) -> str:
    """Join as many as fit, and say how many do not."""
    for n_shown in range(len(parts), 0, -1):
        n_left = n_all - n_shown
        title = ", ".join(parts[:n_shown]) + (f", +{n_left:,} more" if n_left else "")
        if len(title) <= _LONGEST or n_shown == 1:
            return title
    return NOTHING_DIFFERS


def _text(plain: Any) -> str:
    """Write what :func:`encode` returned, as conditions and people write it."""
    if plain is None or isinstance(plain, bool):
        return {None: "none", True: "true", False: "false"}[plain]
    if isinstance(plain, float):
        exact = repr(plain).removesuffix(".0")  # 8, as people write it
        return exact if len(exact) <= _EXACT or len(exact) <= len(f"{plain:.6g}") else f"{plain:.6g}"
    if isinstance(plain, int):
        exact = str(plain)
        return exact if len(exact) <= _DIGITS else f"{exact[:2]}... ({len(exact):,} digits)"
    if isinstance(plain, str):
        return _named_file(plain)
    if isinstance(plain, list):
        return f"[{_listed([_text(item) for item in plain[:_LONGEST_VALUE]])}]"
    if len(plain) == 1 and (tag := next(iter(plain))).startswith("$"):  # see jsonvalue
        return tag[1:] if isinstance(plain[tag], dict) else _text(plain[tag])
    return f"{{{_listed([f'{key}: {_text(item)}' for key, item in list(plain.items())[:_LONGEST_VALUE]])}}}"


def _listed(texts: list[str]) -> str:
    return ", ".join(texts)


def _named_file(text: str) -> str:
    """Return a text on one line; of a long path its end, which tells files apart."""
    if len(text) > _LONGEST_VALUE and ("/" in text or "\\" in text) and not set(text) & set("?@"):
        name = text.replace("\\", "/").rstrip("/").rpartition("/")[2]
        text = f"…/{name}" if name else text
    return one_line(text, _LONG_TEXT)


def _shortened(value: Any) -> Any:
    """Return as much of a value as can be shown: it may hold a million others."""
    if isinstance(value, str):
        return value if len(value) <= _LONG_TEXT else value[:_LONG_TEXT]
    if isinstance(value, list | tuple):
        return list(value[: _LONGEST_VALUE + 1])
    shape = getattr(value, "shape", ())
    return f"array of {' x '.join(map(str, shape))}" if isinstance(shape, tuple) and shape else value


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _is_secret(name: str, plain: Any) -> bool:
    if not any(map(is_secret_key, name.split("."))) or plain is None or plain == "" or isinstance(plain, bool):
        return False
    # token_count = 512 is no secret, and records do not hide it either
    return not isinstance(plain, int | float) or "pass" in name.lower()


def _inferred_default(executor_class: type[Any], name: str) -> Any:
    found = inferred_parameters(executor_class).get(name)
    return NO_DEFAULT if found is None or found.conflicts else found.default


@functools.lru_cache(maxsize=512)
def _declared_default(schema: type[BaseModel], name: str) -> Any:
    """Return a declared default, as resolved parameters hold it: nested models as tables."""
    info = schema.model_fields[name]
    if info.is_required():
        return NO_DEFAULT
    try:
        default, again = (_plain(info.get_default(call_default_factory=True, validated_data={})) for _ in range(2))
    except Exception:  # noqa: BLE001 -- a factory is the model's own code
        return NO_DEFAULT
    return default if _same(default, again) else NO_DEFAULT  # a seed or a date that is drawn anew is no default


def _plain(value: Any) -> Any:
    if hasattr(type(value), "model_dump"):
        return value.model_dump()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _same(one: Any, other: Any) -> bool:
    # By what would be written of them: arrays, NaN and odd objects cannot be compared with ==.
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(encode(one) == encode(other))
