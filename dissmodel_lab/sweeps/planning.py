"""A model and what a person wrote for its parameters -> a design in which every value was checked; nothing runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from dissmodel_lab.errors import ParameterError, SweepError, did_you_mean, shown
from dissmodel_lab.executor.base import validated
from dissmodel_lab.language import joined, message
from dissmodel_lab.parameters import (
    ModelSpec,
    declared_parameters,
    names_of,
    parameter_problems,
    parameter_schema,
    problem_text,
    refuse_deep,
    resolve_parameters,
)
from dissmodel_lab.redaction import is_secret_name
from dissmodel_lab.resolve import ResolvedModel, resolve_model
from dissmodel_lab.sweeps.design import SEED, Axis, SweepDesign
from dissmodel_lab.sweeps.fields import Wanted, wanted
from dissmodel_lab.sweeps.ranges import make_axis, value_text
from dissmodel_lab.sweeps.samples import check_sampling, count_settings, make_settings

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel

    from dissmodel_lab.sweeps.design import Sampling

MANY = 10_000
"""A sweep of more runs than these must be confirmed."""
MOST = 1_000_000
"""More runs are never kept in one folder."""
_MOST_SEEDS = 10_000
_LARGEST_SEED = 2**63


class _Model(NamedTuple):
    """What is to be swept: an executor's class, and what it can be told."""

    executor_class: type[Any]
    name: str
    schema: type[BaseModel]
    is_declared: bool
    given: dict[str, Any]
    """From the TOML and the fixed parameters."""

    def field_of(self, called: str) -> str | None:
        """Return a parameter's own name, whatever it is called; None when there is none."""
        for name, info in self.schema.model_fields.items():
            if called in names_of(name, info):
                return name
        return None


def plan_sweep(
    model: Any,
    axes: Mapping[str, Any],
    *,
    sample: str = "grid",
    samples: int | None = None,
    seeds: int | Iterable[int] = 1,
    parameters: Mapping[str, Any] | None = None,
    toml: str | Path | ModelSpec | None = None,
    design_seed: int = 0,
    confirmed: bool = False,
    namespace: Mapping[str, Any] | None = None,
) -> SweepDesign:
    """
    Make the design of a sweep and check all of its values against the model; nothing is run.

    Parameters
    ----------
    model, toml, namespace
        As :func:`dissmodel_lab.run` takes them.
    axes : mapping
        Parameter -> its values: a range ``low:high:count`` (``:log`` behind it for equal steps of the logarithm),
        a list ``4,5,6``, or a Python list or array. A design that samples needs no count.
    sample : str
        ``grid``, ``lhs``, ``sobol``, ``morris`` or ``saltelli``.
    samples : int, optional
        How many combinations a design draws, in all; a usual number when not given.
    seeds : int or iterable of int
        How often each combination is run, with the seeds 1, 2, ...; or the seeds themselves. The model needs a
        parameter ``seed`` then; 1 leaves it alone.
    parameters : mapping, optional
        Values that are the same in all runs.
    design_seed : int
        Of the random numbers that choose the combinations.
    confirmed : bool
        That more than 10,000 runs are meant.

    Returns
    -------
    SweepDesign
        Complete: the same arguments give the same design anywhere.

    Raises
    ------
    SweepError
        When a range, a value, a parameter or a number of runs is wrong; the message says what is allowed.
    LabError
        When the model cannot be found.

    Examples
    --------
    >>> design = plan_sweep("forest_fire", {"n_steps": "20:80:4", "density": [0.5, 0.6]}, seeds=3)
    >>> design.n_runs, design.point(24).parameters, design.point(24).seed
    (24, {'n_steps': 80, 'density': 0.6}, 3)
    >>> plan_sweep("game_of_life", {"generation": "2:8:4"})
    Traceback (most recent call last):
    dissmodel_lab.errors.SweepError: game_of_life has no parameter 'generation'. Did you mean 'generations'? ...
    """
    sampling = check_sampling(sample)
    resolved = resolve_with(model, toml, namespace)
    found = _model(resolved, axes, parameters or {})
    made = tuple(_axis(found, name, said, parameters or {}, sampling) for name, said in axes.items())
    _refuse_same(found, made)
    numbers = _seeds(found, seeds, made, parameters or {})
    count = count_settings(made, sampling, samples)
    _check_size(made, sampling, count, max(1, len(numbers)), confirmed=confirmed)
    _check_values(found, made, numbers)
    _check_design_seed(design_seed)
    settings = make_settings(made, sampling, count, design_seed)
    notes = [
        *_range_notes(axes, made),
        *_doubles(made, sampling, settings.values),
        *_rules(found, made, settings.values, numbers),
        *_unknown_notes(found, made),
    ]
    return SweepDesign(
        model_name=found.name,
        axes=made,
        sample=sampling,
        settings=tuple(settings.values),
        seeds=numbers,
        parameters=dict(parameters or {}),
        design_seed=design_seed,
        units=tuple(settings.units),
        notes=tuple(notes),
    )


def resolve_with(
    model: Any, toml: str | Path | ModelSpec | None, namespace: Mapping[str, Any] | None
) -> ResolvedModel:
    """
    Find a model, with the parameters of its TOML and of another one on top.

    Examples
    --------
    >>> resolve_with("game_of_life", ModelSpec(parameters={"generations": 3}), None).spec.parameters
    {'generations': 3}
    """
    resolved = resolve_model(model, namespace=namespace)
    if toml is None:
        return resolved
    spec = toml if isinstance(toml, ModelSpec) else ModelSpec.from_path(toml)
    merged = {**resolved.spec.parameters, **spec.parameters}
    return ResolvedModel(resolved.executor, ModelSpec(spec.model, "", merged, spec.document, spec.text))


def _model(resolved: ResolvedModel, axes: Mapping[str, Any], parameters: Mapping[str, Any]) -> _Model:
    if not isinstance(axes, Mapping):
        raise SweepError(
            message(
                "A sweep takes parameters with their values, such as {{'rise': '0.1:2.0:20'}}, got {axes!r:.80}.",
                axes=axes,
            )
        )
    for name in [*axes, *parameters]:
        if not isinstance(name, str) or not name:
            raise SweepError(message("A parameter's name must be a text, got {name!r:.80}.", name=name))
    try:
        refuse_deep(parameters, "The parameters")
    except ParameterError as error:
        raise SweepError(*error.args) from error
    given = {**resolved.spec.parameters, **parameters}
    cls = resolved.executor_class
    return _Model(cls, resolved.name, parameter_schema(cls, given), declared_parameters(cls) is not None, given)


# -------------------------------------------------------------------------------------------------- axes


def _axis(found: _Model, name: str, said: Any, parameters: Mapping[str, Any], sampling: Sampling) -> Axis:
    field = found.field_of(name)
    if field is None and found.schema.model_config.get("extra") != "allow":
        raise SweepError(
            message(
                "{name} has no parameter {name_2!r}. {did_you_mean}",
                name=found.name,
                name_2=shown(name),
                did_you_mean=did_you_mean(name, list(found.schema.model_fields)),
            )
        )
    for fixed in parameters:
        if fixed == name or (field is not None and found.field_of(fixed) == field):
            raise SweepError(
                message(
                    "{name} is both varied and fixed ({fixed}={value}). Leave one of the two away.",
                    name=shown(name),
                    fixed=shown(fixed),
                    value=value_text(parameters[fixed]),
                )
            )
    wants = wanted(found.schema.model_fields[field]) if field is not None else Wanted()
    axis = make_axis(name, said, wants, is_sampled=sampling != "grid")
    if is_secret_name(name) and any(isinstance(value, str) for value in axis.values):
        raise SweepError(
            message("{name} is a secret and cannot be varied: its values would stand in the table.", name=shown(name))
        )
    return axis


def _refuse_same(found: _Model, axes: tuple[Axis, ...]) -> None:
    seen: dict[str, str] = {}
    for axis in axes:
        field = found.field_of(axis.name) or axis.name
        if field in seen:
            raise SweepError(
                message("{seen} and {name} are the same parameter. Vary it once.", seen=seen[field], name=axis.name)
            )
        seen[field] = axis.name


def _seeds(
    found: _Model, seeds: int | Iterable[int], axes: tuple[Axis, ...], parameters: Mapping[str, Any]
) -> tuple[int, ...]:
    numbers = _numbers(seeds)
    if not numbers:
        return ()
    if found.field_of(SEED) is None:
        raise SweepError(
            message(
                "{name} has no parameter 'seed', so that each of {n_numbers} seeds would give the same. Leave "
                "seeds away, or give the model a parameter seed.",
                name=found.name,
                n_numbers=len(numbers),
            )
        )
    if any(found.field_of(axis.name) == found.field_of(SEED) for axis in axes):
        raise SweepError(message("seed is varied, and seeds= sets it too. Leave one of the two away."))
    if any(found.field_of(name) == found.field_of(SEED) for name in parameters):
        raise SweepError(
            message(
                "seed is fixed ({seed}={value}), and seeds= sets it too. Leave one away.",
                seed=SEED,
                value=value_text(parameters.get(SEED)),
            )
        )
    return numbers


def _numbers(seeds: int | Iterable[int]) -> tuple[int, ...]:
    """Return the seeds to set; none for a single unnamed one."""
    if isinstance(seeds, bool | str | bytes) or not isinstance(seeds, int | Iterable):
        raise SweepError(message("seeds must be a whole number, or a list of them, got {seeds!r:.80}.", seeds=seeds))
    if isinstance(seeds, int):
        if seeds < 1:
            raise SweepError(
                message("seeds={seeds}: each combination must be run at least once. Write 1 or more.", seeds=seeds)
            )
        if seeds > _MOST_SEEDS:
            raise SweepError(
                message("seeds={seeds:,}: at most {most_seeds:,} are allowed.", seeds=seeds, most_seeds=_MOST_SEEDS)
            )
        return tuple(range(1, seeds + 1)) if seeds > 1 else ()
    numbers = tuple(
        int(seed) if hasattr(seed, "__index__") and not isinstance(seed, bool) else seed for seed in seeds
    )
    for seed in numbers:
        if isinstance(seed, bool) or not isinstance(seed, int) or not -_LARGEST_SEED < seed < _LARGEST_SEED:
            raise SweepError(message("A seed must be a whole number, got {seed!r:.80}.", seed=seed))
    if not numbers:
        raise SweepError(message("seeds is an empty list. Write a number such as 5, or leave it away."))
    if len(set(numbers)) < len(numbers):
        twice = next(seed for seed in numbers if numbers.count(seed) > 1)
        raise SweepError(
            message("seeds has {twice} twice: it would give the same run twice. Write each seed once.", twice=twice)
        )
    return numbers


def _check_design_seed(seed: Any) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise SweepError(
            message(
                "design_seed must be a whole number from 0 to {value:,}, got {seed!r:.80}.",
                value=2**32 - 1,
                seed=seed,
            )
        )


def _check_size(axes: tuple[Axis, ...], sampling: Sampling, count: int, n_seeds: int, *, confirmed: bool) -> None:
    total = count * n_seeds
    if total <= MANY:
        return
    if sampling == "grid":
        factors = [f"{len(axis.values):,} of {axis.name}" for axis in axes]
    else:
        factors = [f"{count:,} combinations"]
    factors += [f"{n_seeds:,} seeds"] if n_seeds > 1 else []
    said = message("This sweep is {total:,} runs: {factors}.", total=total, factors=" x ".join(factors))
    if total > MOST:
        raise SweepError(
            message(
                "{said} At most {most:,} are kept in one folder. Take fewer values, or a design that samples.",
                said=said,
                most=MOST,
            )
        )
    if not confirmed:
        raise SweepError(
            message(
                "{said} More than {many:,} must be confirmed: confirmed=True. Or take fewer values.",
                said=said,
                many=MANY,
            )
        )


# ------------------------------------------------------------------------------------------------ checks


def _check_values(found: _Model, axes: tuple[Axis, ...], seeds: tuple[int, ...]) -> None:
    """Check each value on its own, and that the model could run at all."""
    first = {**found.given, **{axis.name: _some(axis)[0] for axis in axes}, **({SEED: seeds[0]} if seeds else {})}
    if not found.is_declared:
        try:
            resolve_parameters(found.executor_class, first)
        except ParameterError as error:
            raise SweepError(*error.args) from error
        return
    problems: dict[tuple[str | int, ...], str] = {}
    for axis in axes:
        for value in _some(axis):
            said = parameter_problems(found.schema, {**first, axis.name: value})
            problems |= {place: text for place, text in said.items() if place and place not in problems}
            if any(place[:1] == (axis.name,) for place in problems):
                break  # one wrong value of an axis tells enough
    for seed in seeds:
        said = parameter_problems(found.schema, {**first, SEED: seed})
        problems |= {place: text for place, text in said.items() if place and place not in problems}
        if problems:
            break
    if problems:
        raise SweepError(problem_text(found.executor_class, problems))


def _some(axis: Axis) -> tuple[Any, ...]:
    return axis.values or (axis.low, axis.high)


def _rules(
    found: _Model, axes: tuple[Axis, ...], settings: list[tuple[Any, ...]], seeds: tuple[int, ...]
) -> list[str]:
    """Check each combination as a whole; those that break a rule over several parameters will fail, and are told."""
    if not found.is_declared:
        return []
    names = [axis.name for axis in axes]
    seed = {SEED: seeds[0]} if seeds else {}
    n_broken, first = 0, ""
    for values in settings:
        given = {**found.given, **dict(zip(names, values, strict=True)), **seed}
        try:
            validated(found.schema, given)
        except ValidationError:
            problems = parameter_problems(found.schema, given)
            if any(place[:1] and place[0] in names for place in problems):
                raise SweepError(problem_text(found.executor_class, problems)) from None
            first = first or joined(problems.values())
            n_broken += 1
    if n_broken == len(settings):
        raise SweepError(
            message(
                "None of the {n_settings:,} combinations can be run: {first}", n_settings=len(settings), first=first
            )
        )
    if not n_broken:
        return []
    return [
        message(
            "{n_broken:,} of {n_settings:,} combinations break a rule of the model and will fail: {first}",
            n_broken=n_broken,
            n_settings=len(settings),
            first=first,
        )
    ]


def _doubles(axes: tuple[Axis, ...], sampling: Sampling, settings: list[tuple[Any, ...]]) -> list[str]:
    """Say when a design runs the same combination again, as it does where whole numbers or lists are few."""
    different = len({tuple(map(repr, values)) for values in settings})
    n_doubles = len(settings) - different
    if n_doubles == 0:
        return []
    if sampling in ("lhs", "sobol") and different <= n_doubles:
        raise SweepError(
            message(
                "{sampling} gives only {different:,} different combinations in {n_settings:,}: {few} few values. "
                "Take a grid, or fewer samples.",
                sampling=sampling,
                different=different,
                n_settings=len(settings),
                few=_few(axes),
            )
        )
    return [
        message(
            "{n_doubles:,} of {n_settings:,} combinations are repetitions of others: {few} few values.",
            n_doubles=n_doubles,
            n_settings=len(settings),
            few=_few(axes),
        )
    ]


def _few(axes: tuple[Axis, ...]) -> str:
    names = [axis.name for axis in axes if axis.values or axis.kind != "number"]
    return f"{' and '.join(names)} {'has' if len(names) == 1 else 'have'}"


def _range_notes(said: Mapping[str, Any], axes: tuple[Axis, ...]) -> list[str]:
    notes = []
    for axis in axes:
        parts = axis.text.removesuffix(":log").split(":")
        if not axis.values and len(parts) > 2 and isinstance(said[axis.name], str):  # noqa: PLR2004 -- low, high
            notes.append(
                message(
                    "{name} is drawn from its whole range; the count {parts} has no use here.",
                    name=axis.name,
                    parts=parts[2],
                )
            )
    return notes


def _unknown_notes(found: _Model, axes: tuple[Axis, ...]) -> list[str]:
    """Say which varied parameters the source of a model does not name that declares none: runs may be the same."""
    if found.is_declared:
        return []
    unknown = [axis.name for axis in axes if found.field_of(axis.name) is None]
    known = list(found.schema.model_fields)
    return [
        message(
            "The source of {name} does not name {name_2!r}. {did_you_mean}",
            name=found.name,
            name_2=name,
            did_you_mean=did_you_mean(name, known),
        )
        for name in unknown
    ]
