"""What a model can be told: declared or inferred parameters, values typed by a person, and TOML files.

First room of the flow: text and dicts come in, a checked dict of parameters goes out. Nothing is run.
"""

from __future__ import annotations

import datetime as dt
import enum
import math
import sys
import types
import typing
import warnings
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    SecretBytes,
    SecretStr,
    ValidationError,
    create_model,
)
from pydantic_core import PydanticCustomError

from dissmodel_lab.errors import ParameterError, did_you_mean
from dissmodel_lab.executor.base import validated
from dissmodel_lab.executor.events import Phase
from dissmodel_lab.executor.schemas import METADATA_KEYS
from dissmodel_lab.inference import NO_DEFAULT
from dissmodel_lab.language import joined, message
from dissmodel_lab.redaction import HIDDEN, is_secret_name

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

    from dissmodel_lab.inference import InferredParameter

_MAX_FILE = 16 * 1024 * 1024
"""Largest TOML file that is read [bytes]."""
_MAX_BITS = 4096
"""Longer whole numbers are not written: Python itself would refuse to read them."""

_MAX_DEPTH = 100
"""Tables and lists inside of each other; more cannot be written as JSON, and no person reads them."""
_LIKE_PARAMETERS = frozenset({"parameters", "parameter", "params", "parametros"})

_MAX_LEAVES = 250
"""Tables with more values than these are one value to a form."""
_MAX_SHOWN_DEPTH = 8
"""Tables with more tables inside of each other are one value to a form."""
MAX_FIELDS = 300
"""A form with more fields than these is slow in a browser."""

Location = tuple[str | int, ...]


@dataclass(frozen=True)
class ModelSpec:
    """A model's TOML: which model, with which parameters."""

    model: str = ""
    """``class`` of ``[model]``; empty when the text holds parameters alone."""
    executor_module: str = ""
    """Module to import before the name is looked up."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """Keys of ``[model]`` less its metadata, with ``[model.parameters]`` on top."""
    document: dict[str, Any] = field(default_factory=dict)
    """The whole text, parsed."""
    text: str = ""
    """The text as it was read."""

    @classmethod
    def from_text(cls, text: str, *, origin: str = message("The TOML text")) -> ModelSpec:
        r"""
        Parse a TOML text; a text without a table ``[model]`` is parameters alone.

        Parameters
        ----------
        text : str
            TOML 1.0.
        origin : str
            How messages name the text.

        Raises
        ------
        ParameterError
            When the text is not TOML (with line and column), or ``[model]`` is not a table.

        Examples
        --------
        >>> spec = ModelSpec.from_text('[model]\nclass = "flood"\nyears = 5\n[model.parameters]\nrise = 0.1')
        >>> spec.model, spec.parameters
        ('flood', {'years': 5, 'rise': 0.1})
        >>> ModelSpec.from_text("years = ")
        Traceback (most recent call last):
        dissmodel_lab.errors.ParameterError: The TOML text is not valid TOML: Invalid value (at end of document).
        """
        import tomllib  # noqa: PLC0415 -- only for those who use TOML

        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ParameterError(
                message("{origin} is not valid TOML: {error}.", origin=origin, error=error)
            ) from error
        except (ValueError, RecursionError) as error:
            raise ParameterError(joined([origin, _too_much(error)])) from error
        refuse_deep(document, origin)
        if "model" not in document:
            return cls(parameters=document, document=document, text=text)
        model = document["model"]
        nested = model.get("parameters", {}) if isinstance(model, dict) else None
        if not isinstance(model, dict) or not isinstance(nested, dict):
            raise _no_tables(origin)
        return cls(
            model=_text_of(model, "class" if "class" in model else "name", origin),
            executor_module=_text_of(model, "executor_module", origin),
            parameters={**_spec_parameters(model), **nested},
            document=document,
            text=text,
        )

    @property
    def overlooked(self) -> list[str]:
        r"""
        Name the tables that look like parameters but stand beside ``[model]``, where nothing reads them.

        Examples
        --------
        >>> ModelSpec.from_text('[model]\nclass = "flood"\n[parameters]\nrise = 0.1').overlooked
        ['parameters']
        """
        beside = self.document if "model" in self.document else {}
        return [name for name in beside if name.lower() in _LIKE_PARAMETERS]

    @classmethod
    def from_path(cls, path: str | Path) -> ModelSpec:
        """
        Read a TOML file.

        Raises
        ------
        ParameterError
            When there is no such file, or it is not UTF-8 text or not TOML.
        """
        try:
            with Path(path).open("rb") as file:  # a device such as /dev/zero has no end
                content = file.read(_MAX_FILE + 1)
            text = content.decode("utf-8-sig").replace("\r\n", "\n")
        except OSError as error:
            raise ParameterError(
                message(
                    "The TOML file {path!r} cannot be read: {strerror}.",
                    path=str(path),
                    strerror=error.strerror or error,
                )
            ) from error
        except UnicodeDecodeError as error:
            raise ParameterError(
                message(
                    "The TOML file {path!r} is not UTF-8 text (byte {start}). TOML is always UTF-8.",
                    path=str(path),
                    start=error.start,
                )
            ) from error
        except ValueError as error:
            raise ParameterError(
                message("The TOML file {path!r} is no path: {error}.", path=str(path), error=error)
            ) from error
        if len(content) > _MAX_FILE:
            raise ParameterError(
                message(
                    "The TOML file {path!r} is larger than {max_file} MiB. Name another.",
                    path=str(path),
                    max_file=_MAX_FILE // 2**20,
                )
            )
        return cls.from_text(text, origin=message("The TOML file {path!r}", path=str(path)))


def _text_of(model: Mapping[str, Any], key: str, origin: str) -> str:
    value = model.get(key, "")
    if not isinstance(value, str):
        raise ParameterError(
            message(
                "{origin} needs {key} of [model] to be a text, got {value}. Write for example: [model] class = "
                '"coastal_flood".',
                origin=origin,
                key=key,
                value=shown(value),
            )
        )
    return value


def refuse_deep(value: Any, origin: str) -> None:
    """
    Refuse tables and lists that hold more than 100 others, one inside of the other, or themselves.

    Parameters
    ----------
    value : object
        Parameters, or a whole TOML text.
    origin : str
        How messages name it.

    Raises
    ------
    ParameterError
        When it cannot be written or shown.

    Examples
    --------
    >>> endless = {}
    >>> endless["rates"] = endless
    >>> refuse_deep(endless, "The table")
    Traceback (most recent call last):
    dissmodel_lab.errors.ParameterError: The table is nested too deeply to be read. Write shorter tables and lists.
    """
    inside = [value]
    for _ in range(_MAX_DEPTH):
        inside = [
            item
            for outer in inside
            for item in (outer.values() if isinstance(outer, Mapping) else outer)
            if isinstance(item, Mapping | list | tuple)
        ]
        # One by one they may be the same table many times over.
        inside = list({id(item): item for item in inside}.values())
        if not inside:
            return
    raise ParameterError(joined([origin, _too_much(RecursionError())]))


def _no_tables(origin: str) -> ParameterError:
    return ParameterError(
        message(
            "{origin} needs [model] and [model.parameters] to be tables. Write for example: [model] class = "
            '"coastal_flood".',
            origin=origin,
        )
    )


def _spec_parameters(model: dict[str, Any]) -> dict[str, Any]:
    merged = {key: value for key, value in model.items() if key not in METADATA_KEYS and key != "parameters"}
    land_use_types = merged.get("land_use_types")
    if isinstance(land_use_types, dict) and "types" in land_use_types:
        # dissmodel's own configurations write the list as a table
        merged["land_use_types"] = land_use_types["types"]
    return merged


def parse_value(text: str) -> Any:
    """
    Read a value as TOML; a bare word is a string.

    Parameters
    ----------
    text : str
        What stands behind ``=``.

    Raises
    ------
    ParameterError
        When a number is too long or a list too deep to be read.

    Examples
    --------
    >>> parse_value("2.388e-7"), parse_value("true"), parse_value("[1, 2]"), parse_value('"007"'), parse_value("weng")
    (2.388e-07, True, [1, 2], '007', 'weng')
    """
    import tomllib  # noqa: PLC0415 -- only for those who type values

    try:
        document = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    except (ValueError, RecursionError) as error:
        raise ParameterError(
            message("The value {text:.40}... {too_much}", text=text, too_much=_too_much(error))
        ) from error
    return document["value"] if set(document) == {"value"} else text


def _too_much(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return message("is nested too deeply to be read. Write shorter tables and lists.")
    return message(
        "holds a whole number of more than {get_int_max_str_digits:,} digits. Write it with an exponent.",
        get_int_max_str_digits=sys.get_int_max_str_digits(),
    )


def parse_assignment(text: str) -> tuple[str, Any]:
    """
    Read ``name=value``, as ``--param`` takes it.

    Raises
    ------
    ParameterError
        When there is no name or no ``=``.

    Examples
    --------
    >>> parse_assignment("sea_level_rise=0.5")
    ('sea_level_rise', 0.5)
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ParameterError(
            message("--param takes name=value, got {text!r}. Write for example: --param years=20.", text=text)
        )
    return name.strip(), parse_value(value.strip())


def declared_parameters(executor_class: type[Any]) -> type[BaseModel] | None:
    """
    Return the pydantic model that an executor declares as ``Parameters``, or None.

    Examples
    --------
    >>> declared_parameters(object) is None
    True
    """
    declared = getattr(executor_class, "Parameters", None)
    return declared if isinstance(declared, type) and issubclass(declared, BaseModel) else None


class OpenTable(BaseModel):
    """
    Parameters, or a table among them, whose names nobody declared: other names are taken too.

    Examples
    --------
    >>> OpenTable(rate=0.5).rate
    0.5
    """

    model_config = ConfigDict(extra="allow", protected_namespaces=(), defer_build=True)  # built when first used


class AsTyped:
    """Marks a number that is whole when it was written whole, and has a fraction when it was written with one."""


def _number(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise PydanticCustomError("float_type", "Input should be a valid number")


Number = Annotated[float, PlainValidator(_number), AsTyped()]


_NOTHING: Mapping[str, Any] = types.MappingProxyType({})


def parameter_schema(executor_class: type[Any], given: Mapping[str, Any] = _NOTHING) -> type[BaseModel]:
    """
    Return what an executor can be told, whether it declares that or not.

    Parameters
    ----------
    executor_class : type
        Its declared ``Parameters`` are returned as they are. Otherwise its source is read, not run.
    given : mapping
        Values from a TOML file or a person: names that the source does not spell out are taken from here, at
        most :data:`MAX_FIELDS`, and so are the shapes of tables, the smaller ones first.

    Returns
    -------
    type
        A pydantic model. One that was inferred takes other names too; each of its fields carries in
        ``json_schema_extra`` where it was ``found``, and the ``expression`` of a default that is not
        known before the run. Such a field has the default ``NO_DEFAULT``.

    Examples
    --------
    >>> from dissmodel_lab.executor.testing import SteppingExecutor
    >>> schema = parameter_schema(SteppingExecutor, {"rates": {"forest": 0.5}})
    >>> list(schema.model_fields), inferred_facts(schema.model_fields["n_steps"])["found"]
    (['n_steps', 'rates'], 'dissmodel_lab/executor/testing.py:...')
    """
    declared = declared_parameters(executor_class)
    if declared is not None:
        return declared
    from dissmodel_lab.inference import inferred_parameters  # noqa: PLC0415 -- reads the executor's source

    inferred = inferred_parameters(executor_class)
    needed_first = sorted(inferred, key=lambda name: not inferred[name].required)
    others = [str(name) for name in given if name not in inferred]
    names = [*needed_first, *others[:MAX_FIELDS]]
    whole = _kept_whole(given)
    return _open_table(
        {
            name: _inferred_field(inferred.get(name), given.get(name, NO_DEFAULT), is_whole=name in whole)
            for name in names
        }
    )


def _kept_whole(given: Mapping[str, Any]) -> set[str]:
    """Return the names of tables that are one value to a form, so that all together it has not too many fields."""
    sizes = {
        str(name): count_values(value)
        for name, value in given.items()
        if isinstance(value, Mapping) or _is_tables(value)
    }
    whole: set[str] = set()
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        if sum(sizes.values()) <= MAX_FIELDS:
            break
        whole.add(name)
        sizes[name] = 1
    return whole


def inferred_facts(info: FieldInfo) -> dict[str, Any] | None:
    """
    Return what is known of a parameter that was inferred; None when it is declared.

    Examples
    --------
    >>> inferred_facts(parameter_schema(object, {"a": 1}).model_fields["a"])
    {'found': '', 'expression': '', 'conflicts': []}
    >>> inferred_facts(create_model("P", a=(int, 1)).model_fields["a"]) is None
    True
    """
    extra = info.json_schema_extra
    return extra if isinstance(extra, dict) and "found" in extra else None


def _open_table(fields: Mapping[str, tuple[Any, Any, dict[str, Any]]]) -> type[OpenTable]:
    """Make a table of fields: name -> (type, default, what is known of it)."""
    made: dict[str, Any] = {}
    for at, (name, (annotation, default, extra)) in enumerate(fields.items()):
        # pydantic keeps these names for itself
        is_kept = name.startswith("_") or (name.startswith("model_") and hasattr(BaseModel, name))
        info = Field(default, json_schema_extra=extra, alias=name if is_kept else None)
        made[f"field_{at}" if is_kept else name] = (annotation, info)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a parameter may be called copy or json
        return create_model("Parameters", __base__=OpenTable, **made)


def _inferred_field(
    parameter: InferredParameter | None, value: Any, *, is_whole: bool = False
) -> tuple[Any, Any, dict[str, Any]]:
    extra: dict[str, Any] = {
        "found": parameter.found_in if parameter else "",
        "expression": parameter.expression if parameter else "",
        "conflicts": list(parameter.conflicts) if parameter else [],
    }
    default = parameter.default if parameter else NO_DEFAULT
    is_required = parameter is not None and parameter.required
    annotation = _shape(value) if parameter is None else _inferred_type(parameter, value)
    if is_whole:
        annotation = type(value)
    return annotation, ... if is_required else default, extra


def _inferred_type(parameter: InferredParameter, value: Any) -> Any:
    """Return what a parameter takes: what its executor makes of it, unless what was given is something else."""
    kind: Any = parameter.kind
    is_whole = isinstance(value, int) or not parameter.is_cast
    # Without a cast, a model whose default is whole takes a fraction too.
    taken = {int: int if parameter.is_cast else Number, float: float, bool: bool, str: str, dict: OpenTable}
    if value is NO_DEFAULT:
        return taken.get(kind, list if kind in (list, tuple, set, frozenset) else Any)
    fits = {int: _is_number(value) and is_whole, float: _is_number(value)}
    return taken[kind] if fits.get(kind, kind in (bool, str) and isinstance(value, kind)) else _shape(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shape(value: Any) -> Any:
    """Return the type of values like this one; tables may hold other names too."""
    if isinstance(value, bool | str):
        return type(value)
    if _is_number(value):
        return Number
    is_small = count_values(value) <= _MAX_LEAVES and _depth(value) <= _MAX_SHOWN_DEPTH
    if isinstance(value, Mapping) and is_small:
        return _shape_of_tables([value])
    if isinstance(value, list) and value and is_small and all(isinstance(item, Mapping) for item in value):
        return list[_shape_of_tables(value)]  # type: ignore[misc]  # made at run time
    return type(value) if isinstance(value, list | dict) else Any


def _depth(value: Any) -> int:
    depth, inside = 0, [value]
    while inside:
        inside = [
            item
            for outer in inside
            if isinstance(outer, Mapping | list)
            for item in (outer.values() if isinstance(outer, Mapping) else outer)
        ]
        depth += 1
    return depth


def count_values(value: Any) -> int:
    """
    Count the single values in tables and lists of any depth.

    Examples
    --------
    >>> count_values({"a": [1, 2], "b": {"c": "d"}}), count_values(5)
    (3, 1)
    """
    n_leaves, left = 0, [value]
    while left:
        item = left.pop()
        left += item.values() if isinstance(item, Mapping) else item if isinstance(item, list) else []
        n_leaves += not isinstance(item, Mapping | list)
    return n_leaves


def _shape_of_tables(tables: Sequence[Mapping[str, Any]]) -> type[OpenTable]:
    """Return a table with all names of several."""
    fields: dict[str, tuple[Any, Any, dict[str, Any]]] = {}
    for name in dict.fromkeys(str(key) for table in tables for key in table):
        values = [table[name] for table in tables if name in table]
        shape: Any
        if all(isinstance(value, Mapping) for value in values):
            shape = _shape_of_tables(values)
        elif all(_is_tables(value) for value in values):
            shape = list[_shape_of_tables([row for value in values for row in value])]  # type: ignore[misc]
        else:
            shapes = [_shape(value) for value in values]
            shape = shapes[0] if all(other == shapes[0] for other in shapes) else Any
        extra: dict[str, Any] = {"found": "", "expression": "", "conflicts": []}
        fields[name] = shape, NO_DEFAULT, extra
    return _open_table(fields)


def default_values(schema: type[BaseModel]) -> dict[str, Any]:
    """
    Return the defaults of a schema; fields that must be given, or whose default cannot be made, are absent.

    Examples
    --------
    >>> from pydantic import create_model
    >>> default_values(create_model("P", years=(int, 20), region=(str, ...)))
    {'years': 20}
    """
    return {name: value for name, (value, error) in _defaults(schema).items() if error is None}


def _defaults(schema: type[BaseModel]) -> dict[str, tuple[Any, Exception | None]]:
    """Make each default; what a factory raises is kept beside it."""
    made: dict[str, tuple[Any, Exception | None]] = {}
    for name, info in schema.model_fields.items():
        if info.is_required() or info.default is NO_DEFAULT:
            continue
        try:
            made[name] = info.get_default(call_default_factory=True, validated_data={}), None
        except Exception as error:  # noqa: BLE001 -- a factory is the model's own code
            made[name] = None, error
    return made


def parameter_problems(schema: type[BaseModel], values: Mapping[str, Any]) -> dict[Location, str]:
    """
    Say in one sentence each what is wrong with values.

    Parameters
    ----------
    schema : type
        The declared parameters.
    values : mapping
        What was given; defaults need not be.

    Returns
    -------
    dict
        Location -> sentence; ``("years",)`` for a field, ``("zones", 0, "rate")`` inside of one, ``()``
        for a rule over several. Empty when all is well.

    Examples
    --------
    >>> from pydantic import create_model, Field
    >>> P = create_model("P", years=(int, Field(20, ge=1, le=500)))
    >>> parameter_problems(P, {"years": 0, "yeers": 3})
    {('yeers',): "no such parameter. Did you mean 'years'? Known: years.", ('years',): '1 to 500 is allowed, got 0.'}
    """
    problems = _unknown(schema, values) | dict(_booleans_for_numbers(schema, values, ()))
    known = {name: value for name, value in values.items() if (name,) not in problems}
    defaults = _defaults(schema)
    absent = {
        name: default
        for name, default in defaults.items()
        if inferred_facts(schema.model_fields[name]) is None  # those are the executor's own affair
        and not set(names_of(name, schema.model_fields[name])) & set(values)
        and not schema.model_fields[name].default_factory_takes_validated_data
    }
    broken = {name: error for name, (_, error) in absent.items() if error is not None}
    if broken:  # the schema itself would raise the factory's exception
        return problems | {(name,): _broken_default(error) for name, error in broken.items()}
    try:
        # Plain pydantic models do not check their defaults: the model would run with a wrong one.
        validated(schema, {**{name: value for name, (value, _) in absent.items()}, **known})
    except ValidationError as error:
        for detail in error.errors():
            location, field = _by_name(_without_branches(detail["loc"], schema), schema, known)
            if location not in problems:
                said = _sentence(detail, schema)
                is_default = len(location) == 1 and field in defaults and detail["type"] != "missing"
                is_default &= shown(detail["input"]) == shown(defaults.get(field, (None, None))[0])
                problems[location] = f"{said} {_OWN_DEFAULT}" if is_default else said
    return problems


_OWN_DEFAULT = message("It is the model's own default: give a value, or correct the model.")


def _broken_default(error: Exception) -> str:
    return message(
        "its default cannot be made ({kind}: {error}). Give a value, or correct the model.",
        kind=type(error).__name__,
        error=error,
    )


def names_of(name: str, info: FieldInfo) -> list[str]:
    """
    Return what a field may be called: its name, and its aliases.

    Examples
    --------
    >>> from pydantic import create_model, Field
    >>> names_of("a", create_model("P", a=(int, Field(1, alias="rate"))).model_fields["a"])
    ['a', 'rate']
    """
    alias = info.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    paths = [choice.path[0] if isinstance(choice, AliasPath) else choice for choice in choices]
    return list(dict.fromkeys([name, *(path for path in paths if isinstance(path, str))]))


def _by_name(location: Location, schema: type[BaseModel], given: Mapping[str, Any]) -> tuple[Location, str]:
    """Call a field as the person did, where pydantic calls it by its alias; return its own name too."""
    found = _field_called(location[0], schema) if location else None
    if found is None:
        return location, ""
    called = next((called for called in names_of(*found) if called in given), found[0])
    return (called, *location[1:]), found[0]


def _field_called(called: str | int, schema: type[BaseModel]) -> tuple[str, FieldInfo] | None:
    return next(((name, info) for name, info in schema.model_fields.items() if called in names_of(name, info)), None)


def resolve_parameters(
    executor_class: type[Any], given: Mapping[str, Any], *, is_in_memory: bool = False
) -> dict[str, Any]:
    """
    Check what was given against what the executor declares, and fill in the defaults.

    An executor that declares nothing takes everything, and takes its own defaults itself; but what it
    cannot run without must be there.

    Parameters
    ----------
    executor_class : type
        Whose parameters they are.
    given : mapping
        Name -> value.
    is_in_memory : bool
        Whether the phase ``load`` is left out, because the input is in memory; what it alone needs is
        not needed then.

    Raises
    ------
    ParameterError
        With every problem in one message.

    Examples
    --------
    >>> from dissmodel_lab.executor.testing import SteppingExecutor
    >>> resolve_parameters(SteppingExecutor, {"n_steps": 2})
    {'n_steps': 2}
    """
    schema = declared_parameters(executor_class)
    if schema is None:
        from dissmodel_lab.inference import inferred_parameters  # noqa: PLC0415 -- reads the executor's source

        needed = [p.name for p in inferred_parameters(executor_class).values() if _is_needed(p, is_in_memory)]
        problems: dict[Location, str] = {
            (name,): message("a value is needed.") for name in needed if name not in given
        }
        odd = [name for name in given if not isinstance(name, str)]
        problems |= {(shown(name),): message("a parameter's name must be a text.") for name in odd}
    else:
        problems = parameter_problems(schema, given)
    if problems:
        raise ParameterError(problem_text(executor_class, problems))
    return dict(given) if schema is None else validated(schema, given).model_dump()


def _is_needed(parameter: InferredParameter, is_in_memory: bool) -> bool:  # noqa: FBT001 -- a fact of the run
    return parameter.required and not (is_in_memory and set(parameter.needed_in) == {Phase.LOAD.value})


def problem_text(executor_class: type[Any], problems: Mapping[Location, str]) -> str:
    """
    Put problems into one message.

    Examples
    --------
    >>> from dissmodel_lab.executor.testing import SteppingExecutor
    >>> problem_text(SteppingExecutor, {("years",): "1 to 500 is allowed, got 0."})
    'testing_stepping cannot run with these parameters. years: 1 to 500 is allowed, got 0.'
    """
    name = getattr(executor_class, "name", executor_class.__name__)
    listing = joined(joined([_place_text(location), sentence], ": ") for location, sentence in problems.items())
    return message("{name} cannot run with these parameters. {listing}", name=name, listing=listing)


def _place_text(location: Location) -> str:
    text = ".".join(map(str, location)) or "together"
    # "password: no such parameter" would read as a password wherever secrets are hidden.
    return f"{text} (a secret)" if any(is_secret_name(str(part)) for part in location) else text


def allowed_text(info: FieldInfo) -> str:
    """
    Say what a field allows, as far as it is declared.

    Examples
    --------
    >>> from pydantic import create_model, Field
    >>> allowed_text(create_model("P", years=(int, Field(20, ge=1, le=500))).model_fields["years"])
    '1 to 500'
    """
    choices = _choices(info.annotation)
    if choices:
        return "one of " + ", ".join(map(str, choices))
    low, high = bounds(info)
    if low is not None and high is not None:
        return f"{low[0]} to {high[0]}" + _exclusive(low, high)
    if low is not None:
        return f"{'at least' if low[1] else 'more than'} {low[0]}"
    if high is not None:
        return f"{'at most' if high[1] else 'less than'} {high[0]}"
    return ""


Bound = tuple[float, bool]
"""A limit and whether it is itself allowed."""


def bounds(info: FieldInfo) -> tuple[Bound | None, Bound | None]:
    """
    Return the lower and upper limit that a field declares.

    Examples
    --------
    >>> from pydantic import create_model, Field
    >>> bounds(create_model("P", rate=(float, Field(1, gt=0))).model_fields["rate"])
    ((0, False), None)
    """
    low: Bound | None = None
    high: Bound | None = None
    for rule in info.metadata:
        for name, inclusive in (("ge", True), ("gt", False)):
            if getattr(rule, name, None) is not None:
                low = (getattr(rule, name), inclusive)
        for name, inclusive in (("le", True), ("lt", False)):
            if getattr(rule, name, None) is not None:
                high = (getattr(rule, name), inclusive)
    return low, high


def unit(info: FieldInfo) -> str:
    """
    Return the unit that a field declares with ``json_schema_extra={"unit": ...}``, or an empty text.

    Examples
    --------
    >>> from pydantic import create_model, Field
    >>> unit(create_model("P", rate=(float, Field(1, json_schema_extra={"unit": "m/yr"}))).model_fields["rate"])
    'm/yr'
    """
    extra = info.json_schema_extra
    return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def write_spec(model_name: str, parameters: Mapping[str, Any], *, onto: str = "") -> str:
    r"""
    Write parameters as TOML; what an existing text holds besides is kept, comments and order included.

    Parameters
    ----------
    model_name : str
        Becomes ``class`` of ``[model]`` where there is none.
    parameters : mapping
        A value that is None is left out, because TOML has no word for it.
    onto : str
        An existing TOML text; only values that differ are changed in it.

    Raises
    ------
    ParameterError
        When ``onto`` is not TOML.

    Examples
    --------
    >>> print(write_spec("flood", {"years": 5}, onto="[model.parameters]\nyears = 3 # [yr]"))
    [model]
    class = "flood"
    <BLANKLINE>
    [model.parameters]
    years = 5 # [yr]
    """
    import tomlkit  # noqa: PLC0415 -- only for those who save
    from tomlkit.exceptions import TOMLKitError  # noqa: PLC0415

    try:
        document = tomlkit.parse(onto)
    except TOMLKitError as error:
        raise ParameterError(message("The TOML text is not valid TOML: {error}.", error=error)) from error
    except (ValueError, RecursionError) as error:
        raise ParameterError(message("The TOML text {too_much}", too_much=_too_much(error))) from error
    model: Any = document.setdefault("model", tomlkit.table())
    if not isinstance(model, MutableMapping) or not isinstance(model.get("parameters", {}), MutableMapping):
        raise _no_tables(message("The TOML text"))
    if not ({"class", "name"} & set(model)):
        model["class"] = model_name
    nested = model.get("parameters")
    if nested is None:
        model["parameters"] = tomlkit.table()
        nested = model["parameters"]
    for name, value in parameters.items():
        in_model = name in model and name not in METADATA_KEYS and (name not in nested or value is None)
        if in_model and name == "land_use_types" and isinstance(model[name], MutableMapping):
            _put(model[name], "types", _toml_value(value))  # see _spec_parameters
        elif in_model:
            _put(model, name, _toml_value(value))
        if name in nested or not in_model:
            _put(nested, name, _toml_value(value))
    return tomlkit.dumps(document)


def _put(table: Any, name: str, value: Any) -> None:
    if value is None:
        table.pop(name, None)
        return
    old = table.get(name)
    if isinstance(old, MutableMapping) and isinstance(value, dict):
        _put_all(old, value)
    elif _is_tables(old) and _is_tables(value):
        _put_rows(old, value)
    elif old is None or not _same(old, value):
        table[name] = value


def _put_rows(rows: Any, values: list[Any]) -> None:
    """Change a list of tables; those that stay keep their comments, wherever others come and go."""
    import difflib  # noqa: PLC0415 -- only for those who save

    before = [repr(row.unwrap() if hasattr(row, "unwrap") else row) for row in rows]
    changes = difflib.SequenceMatcher(None, before, [repr(value) for value in values], autojunk=False).get_opcodes()
    for kind, start, end, new_start, new_end in reversed(changes):
        if kind == "equal":
            continue
        n_both = min(end - start, new_end - new_start)
        for at in range(n_both):
            _put_all(rows[start + at], values[new_start + at])
        for _ in range(start + n_both, end):
            del rows[start + n_both]
        for at in range(n_both, new_end - new_start):
            rows.insert(start + at, values[new_start + at])


def _put_all(table: Any, values: Mapping[str, Any]) -> None:
    for gone in [key for key in table if key not in values]:
        table.pop(gone)
    for key, item in values.items():
        _put(table, key, item)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _same(old: Any, new: Any) -> bool:
    plain = old.unwrap() if hasattr(old, "unwrap") else old
    # By their text: 1 == 1.0 == True in Python, but not to a model that asks for one of them; and NaN is not NaN.
    return repr(plain) == repr(new)


def _toml_value(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return _toml_value(value.value)
    if isinstance(value, BaseModel):
        return _toml_value(value.model_dump())
    if isinstance(value, Mapping):
        return {str(key): _toml_value(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple | set | frozenset):
        return [_toml_value(item) for item in value if item is not None]
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise ParameterError(
            message(
                "A whole number of {bit_length:,} bits cannot be written as TOML. Use a float.",
                bit_length=value.bit_length(),
            )
        )
    if value is None or isinstance(value, bool | int | float | str | dt.datetime | dt.date | dt.time):
        return value
    if hasattr(value, "tolist"):  # numpy
        return _toml_value(value.tolist())
    raise ParameterError(
        message(
            "A value of type {kind} cannot be written as TOML: {value}. TOML takes numbers, texts, true or false, "
            "dates, lists and tables.",
            kind=type(value).__name__,
            value=shown(value),
        )
    )


def _unknown(schema: type[BaseModel], values: Mapping[str, Any]) -> dict[Location, str]:
    if schema.model_config.get("extra") == "allow":
        return {}
    names = {name: names_of(name, info) for name, info in schema.model_fields.items()}
    known = [called for called_so in names.values() for called in called_so]
    problems: dict[Location, str] = {
        (name,): message("no such parameter. {did_you_mean}", did_you_mean=did_you_mean(name, names))
        for name in values
        if name not in known
    }
    for called_so in names.values():
        first, *others = [called for called in called_so if called in values] or [""]
        problems |= {
            (other,): message("it is the same parameter as {first!r}. Give one of the two.", first=first)
            for other in others
        }
    return problems


def _booleans_for_numbers(annotation: Any, value: Any, at: Location) -> Iterator[tuple[Location, str]]:
    # pydantic reads true as 1; a person who wrote true for a number has made a mistake.
    plain = _plain_type(annotation)
    inner = typing.get_args(plain)
    if isinstance(value, bool) and plain in (int, float):
        yield at, message("a number is needed, got {value}.", value=shown(value))
    elif isinstance(value, Mapping) and isinstance(plain, type) and issubclass(plain, BaseModel):
        for name, info in plain.model_fields.items():
            for called in names_of(name, info):
                if called in value:
                    yield from _booleans_for_numbers(info.annotation, value[called], (*at, called))
    elif isinstance(value, Mapping) and typing.get_origin(plain) is dict:
        for name, item in value.items():
            yield from _booleans_for_numbers(inner[1], item, (*at, name))
    elif isinstance(value, list | tuple) and typing.get_origin(plain) in (list, tuple, set, frozenset):
        for index, item in enumerate(value):
            wanted = inner[0] if len(inner) == 1 or ... in inner else (*inner, *[Any] * len(value))[index]
            yield from _booleans_for_numbers(wanted, item, (*at, index))


def _plain_type(annotation: Any) -> Any:
    if typing.get_origin(annotation) is typing.Annotated:
        return _plain_type(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        rest = [part for part in typing.get_args(annotation) if part is not type(None)]
        return _plain_type(rest[0]) if len(rest) == 1 else annotation
    return annotation


def _choices(annotation: Any) -> list[Any]:
    plain = _plain_type(annotation)
    if typing.get_origin(plain) is typing.Literal:
        return list(typing.get_args(plain))
    if isinstance(plain, type) and issubclass(plain, enum.Enum):
        return [member.value for member in plain]
    return []


def _exclusive(low: Bound, high: Bound) -> str:
    left_out = [f"{limit}" for limit, inclusive in (low, high) if not inclusive]
    return message(", without {left_out}", left_out=" and ".join(left_out)) if left_out else ""


def _without_branches(location: Location, schema: type[BaseModel]) -> Location:
    # pydantic names the branch of a union inside the location; a person knows only fields and positions.
    found = _field_called(location[0], schema) if len(location) > 1 else None
    if found is not None:
        plain = _plain_type(found[1].annotation)
        if isinstance(plain, type) and issubclass(plain, BaseModel):
            return (location[0], *_without_branches(location[1:], plain))
        row = next(iter(typing.get_args(plain)), None) if typing.get_origin(plain) is list else None
        if isinstance(row, type) and issubclass(row, BaseModel):
            return (*location[:2], *_without_branches(location[2:], row))
        if typing.get_origin(plain) in (typing.Union, types.UnionType):
            return location[:1]
    return location


_NEEDED = {
    "int": "a whole number",
    "float": "a number",
    "bool": message("true or false"),
    "string": "a text",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen": "a list",
    "dict": "a table",
    "model": "a table",
    "date": "a date",
    "datetime": message("a date with a time"),
    "time": "a time",
    "decimal": "a number",
    "finite": "a finite number",
    "path": "a path",
}
_WRONG_KIND = ("_type", "_parsing", "_parsing_size", "_from_float", "_inexact", "_number", "_unicode")
_LIMITS = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")


def _sentence(detail: ErrorDetails, schema: type[BaseModel]) -> str:
    kind, where = detail["type"], detail["loc"]
    info = _field_at(schema, where)
    is_secret = any(is_secret_name(str(part)) for part in where) or (info is not None and _is_secret(info))
    got = HIDDEN if is_secret else shown(detail["input"])
    if kind == "missing":
        return message("a value is needed.")
    if kind == "extra_forbidden":
        return message("no such parameter.")
    if kind == "value_error":
        said = f"{str(detail['ctx']['error']).rstrip('.')}."
        return said.replace(str(detail["input"]), HIDDEN) if is_secret and detail["input"] else said
    allowed = allowed_text(info) if info is not None else ""
    if kind in ("literal_error", "enum"):
        return message(
            "{allowed} is allowed, got {got}.", allowed=allowed or "one of " + str(detail["ctx"]["expected"]), got=got
        )
    if kind in _LIMITS and allowed:
        return message("{allowed} is allowed, got {got}.", allowed=allowed, got=got)
    needed = _NEEDED.get(kind.partition("_")[0])
    if needed and kind.endswith(_WRONG_KIND) and not kind.startswith("time_delta"):
        return message("{needed} is needed, got {got}.", needed=needed, got=got)
    told = detail["msg"].replace("Input should", "it should").replace("Value should", "it should")
    return message("{told}, got {got}.", told=told[:1].lower() + told[1:], got=got)


def _field_at(schema: type[BaseModel], where: Location) -> FieldInfo | None:
    """Find the field that a location names, through nested tables and lists of them."""
    info: FieldInfo | None = None
    for part in where:
        if isinstance(part, int):  # a position in a list: its items are of the field's own kind
            continue
        found = _field_called(part, schema)
        if found is None:
            return None
        info = found[1]
        schema = next((kind for kind in _kinds(info.annotation)), BaseModel)
    return info


def _kinds(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [kind for part in typing.get_args(annotation) for kind in _kinds(part)]


def _is_secret(info: FieldInfo) -> bool:
    return any(part in (SecretStr, SecretBytes) for part in (info.annotation, *typing.get_args(info.annotation)))


def shown(value: Any) -> str:
    """
    Return a value as messages show it: short, and never raising.

    Examples
    --------
    >>> shown(True), shown("a"), shown(10**5000)
    ('true', "'a'", 'a value of type int that cannot be shown')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    try:
        return f"{value!r:.80}"
    except Exception:  # noqa: BLE001 -- numbers of thousands of digits, endless lists, a class's own __repr__
        return message("a value of type {kind} that cannot be shown", kind=type(value).__name__)
