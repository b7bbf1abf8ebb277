"""One run's input to its output, and two runs side by side."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from dissmodel_lab.changes.between import change_of_sides
from dissmodel_lab.changes.report import RunComparison, RunSide, ValuePair
from dissmodel_lab.changes.sides import Side, choose_bands, twins_of
from dissmodel_lab.errors import ComparisonError, LabError
from dissmodel_lab.executor.schemas import ExperimentRecord
from dissmodel_lab.language import joined, message
from dissmodel_lab.maps.kept import kept_georeference
from dissmodel_lab.maps.sources import open_layer
from dissmodel_lab.provenance import loaded_executor
from dissmodel_lab.sources import source_path
from dissmodel_lab.titles import leaves, title_of
from dissmodel_lab.upstream import MASK_BAND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dissmodel_lab.changes.report import Change

#: How many bands of two outputs are compared, and up to how many cells in all, when none is named.
MAX_BANDS = 12
MAX_CELLS = 25_000_000
#: More values of one record are not looked at (see :func:`~dissmodel_lab.titles.leaves`).
MAX_LEAVES = 1_000
#: PyPI dissmodel's metrics that tell the seconds of a phase.
_SECONDS = re.compile(r"time_(\w+)_sec")
#: Long lists of bands are cut in sentences.
_LISTED = 8


def change_of_run(
    record: ExperimentRecord,
    *,
    band: str | None = None,
    before_band: str | None = None,
    common_grid: bool = False,
    key: str | None = None,
) -> Change:
    """
    Say what a run changed: from its input to its output.

    Many models write the state at the beginning into their output too (``cover_before`` beside ``cover_after``,
    ``first`` beside ``last``). When the input has no band that belongs to the output's, it is compared with that
    one, and the notes say so.

    Parameters
    ----------
    record : ExperimentRecord
        Of a run with an output, whose files are still there.
    band : str, optional
        Band or column of the output; when not given, the one that the map shows.
    before_band : str, optional
        The band or column to compare it with: of the input, else of the output.
    common_grid : bool, optional
        Bring the output onto the input's grid when they differ; see :func:`change_between`.
    key : str, optional
        Column that names each feature, for tables whose geometries differ.

    Returns
    -------
    Change
        Figures, a sentence, and what to draw.

    Raises
    ------
    ComparisonError
        When the run has no output, or nothing to compare it with.
    SourceError
        When a file is gone or cannot be read.

    Examples
    --------
    >>> from dissmodel_lab import run
    >>> change = change_of_run(run("game_of_life", parameters={"generations": 4}))
    >>> change.band_text, change.kind, change.classes.area_unit
    ('alive to last', 'classes', 'cells')
    """
    output = _output(record, message("output"))
    try:
        source: Side | None = _input(record)
        missing = ""
    except LabError as error:
        source, missing = None, str(error)
    chosen = output.layer.default_band if band is None else output.check_band(band)
    found = _partner(source, output, chosen, before_band, is_chosen=band is not None)
    if found is not None:
        before, first, second = found
        change = change_of_sides(before, output, first, second, common_grid=common_grid, key=key)
        if before is not source:
            _say(change, message("Compared within the output: its band {first!r} is the state before.", first=first))
        return change
    if source is None:
        raise ComparisonError(
            message(
                "The output's band {chosen!r} has nothing to be compared with: {missing} Name a band of the output "
                "that holds the state before (before_band=...).",
                chosen=chosen,
                missing=missing,
            )
        )
    before_name, name = choose_bands(source, output, band=band, before_band=before_band)
    return change_of_sides(source, output, before_name, name, common_grid=common_grid, key=key)


def _say(change: Change, note: str) -> None:
    object.__setattr__(change, "notes", (note, *change.notes))  # it is new, and nobody else has seen it


def _partner(
    source: Side | None, output: Side, band: str, before_band: str | None, *, is_chosen: bool
) -> tuple[Side, str, str] | None:
    """Return what the output's band is compared with: map, its band, and the output's; None when nothing fits."""
    sides = [side for side in (source, output) if side is not None]
    if before_band is not None:
        side = next((side for side in sides if before_band in side.layer.bands), sides[0])
        return side, side.check_band(before_band), band
    if source is not None:
        known = source.layer.bands
        for name in (band, *twins_of(band)):
            if name in known:
                return source, name, band
        if not is_chosen and (only := _only_band(source)) is not None and _is_alike(source, only, output, band):
            return source, only, band
    return next(((output, name, band) for name in twins_of(band) if name in output.layer.bands), None)


def _only_band(side: Side) -> str | None:
    bands = [name for name in side.layer.bands if not name.startswith("_") and name != MASK_BAND]
    return bands[0] if len(bands) == 1 and not side.is_table else None


def _is_alike(before: Side, before_band: str, after: Side, band: str) -> bool:
    """Whether two bands of different names may mean the same: classes with the same codes."""
    one, other = before.drawn(before_band).legend, after.drawn(band).legend
    if one.kind != "classes" or other.kind != "classes" or after.is_table:
        return False
    return {(entry.value, entry.label) for entry in one.entries} == {
        (entry.value, entry.label) for entry in other.entries
    }


def _input(record: ExperimentRecord) -> Side:
    path = source_path(record)
    if path is None:
        said = f"{record.source.uri!r} ({record.source.type})" if record.source.uri else message("none is named")
        raise ComparisonError(
            message("the input of run {short} is not a local file: {said}.", short=_short(record), said=said)
        )
    return Side(name=message("input"), layer=open_layer(path), classes=loaded_executor(record))


def _output(record: ExperimentRecord, name: str) -> Side:
    path = record.artifact_path() if "output" in record.artifacts else None
    if path is None:
        where = message(" in phase {failed_phase}", failed_phase=record.failed_phase) if record.failed_phase else ""
        raise ComparisonError(
            message(
                "Run {short} has no output to compare (it is {status}{where}). Choose a completed run.",
                short=_short(record),
                status=record.status,
                where=where,
            )
        )
    return Side(name=name, layer=open_layer(path), classes=loaded_executor(record), kept=kept_georeference(record))


def _short(record: ExperimentRecord) -> str:
    return record.experiment_id[:8]


# --- two runs ----------------------------------------------------------------------------------------------


def compare_runs(
    first: ExperimentRecord,
    second: ExperimentRecord,
    *,
    band: str | None = None,
    common_grid: bool = False,
    key: str | None = None,
) -> RunComparison:
    """
    Put two runs side by side: parameters, metrics, seconds, versions, inputs, and output against output.

    Outputs that cannot be compared (other grids, a missing file) stop nothing: ``problem`` says why.

    Parameters
    ----------
    first, second : ExperimentRecord
        Of any models and any origin.
    band : str, optional
        Band or column of both outputs; when not given, all that are in both, as long as they are not too large.
    common_grid : bool, optional
        Bring the second output onto the first one's grid when they differ; see :func:`change_between`.
    key : str, optional
        Column that names each feature, for tables whose geometries differ.

    Returns
    -------
    RunComparison
        Without secrets.

    Raises
    ------
    ComparisonError
        When ``band`` is named and is not in both outputs, or a record cannot be read.

    Examples
    --------
    >>> from dissmodel_lab import run
    >>> both = [run("coastal_flood", parameters={"sea_level_rise": rise}) for rise in (2.0, 2.0)]
    >>> compared = compare_runs(*both)
    >>> compared.sentence
    'The parameters are the same; cover_after: 0 of 10,920 cells changed.'
    """
    one, other = _shared(first), _shared(second)
    parameters = _pairs(one.parameters, other.parameters)
    versions = _pairs(_versions(one), _versions(other))
    notes = []
    if one.model_name != other.model_name:
        notes.append(
            message(
                "Two models: {model_name} and {model_name_2}.",
                model_name=one.model_name or message("unnamed"),
                model_name_2=other.model_name or message("unnamed"),
            )
        )
    changes, problem, more = _output_changes(first, second, band=band, common_grid=common_grid, key=key)
    same_input, input_sentence = _compare_inputs(one, other)
    return RunComparison(
        first=_side(one),
        second=_side(other),
        parameters=tuple(pair for pair in parameters if pair.differs),
        same_parameters=sum(not pair.differs for pair in parameters),
        metrics=_pairs(_metrics(one), _metrics(other)),
        timings=_pairs(_seconds(one), _seconds(other)),
        versions=tuple(pair for pair in versions if pair.differs),
        same_versions=sum(not pair.differs for pair in versions),
        same_input=same_input,
        input_sentence=input_sentence,
        same_output=_is_same_checksum(one.output_sha256, other.output_sha256),
        changes=changes,
        problem=problem,
        notes=(*notes, *more),
    )


def _shared(record: ExperimentRecord) -> ExperimentRecord:
    """Return a copy as it is on disk: without secrets, and with values that can be compared."""
    try:
        copy = ExperimentRecord.model_validate_json(record.model_dump_json(warnings=False))
    except Exception as error:
        raise ComparisonError(
            message(
                "Run {short} can't be compared: its record holds what is no data ({kind}). Read it from the store.",
                short=_short(record),
                kind=type(error).__name__,
            )
        ) from error
    copy._record_path = record.record_path  # noqa: SLF001 -- private to keep it out of the JSON
    return copy


def _side(record: ExperimentRecord) -> RunSide:
    return RunSide(
        experiment_id=record.experiment_id,
        model_name=record.model_name,
        title=title_of(record),
        status=record.status,
        created=record.created_at.isoformat(timespec="seconds"),
        source_uri=record.source.uri,
        source_sha256=record.source.checksum,
        output_sha256=record.output_sha256 or "",
    )


def _pairs(first: Mapping[Any, Any], second: Mapping[Any, Any]) -> tuple[ValuePair, ...]:
    one, other = dict(leaves(first)), dict(leaves(second))
    return tuple(
        ValuePair(
            name=name, first=one.get(name), second=other.get(name), in_first=name in one, in_second=name in other
        )
        for name in dict.fromkeys((*one, *other))
    )


def _metrics(record: ExperimentRecord) -> dict[Any, Any]:
    return {name: value for name, value in record.metrics.items() if not _SECONDS.fullmatch(str(name))}


def _seconds(record: ExperimentRecord) -> dict[str, float]:
    """Return the seconds of each phase; PyPI dissmodel writes them among the metrics."""
    phases = {name: usage.seconds for name, usage in record.phases.items()}
    if not phases:
        for name, value in record.metrics.items():
            match = _SECONDS.fullmatch(str(name))
            seconds = _seconds_of(value)
            if match and match[1] != "total" and seconds is not None:
                phases[match[1]] = seconds
    return {**phases, "all phases": sum(phases.values())} if phases else {}


def _seconds_of(value: Any) -> float | None:
    """Return a number as seconds; None for what is none, as a record from elsewhere may hold it."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) else None


def _versions(record: ExperimentRecord) -> dict[str, str]:
    facts = record.provenance
    found = {"code version": record.code_version, "model commit": record.model_commit}
    if facts is not None:
        git = facts.executor_git
        found |= {
            "executor": facts.executor_class,
            "package": facts.executor_package,
            "git commit": f"{git.commit}{' with changes' if git.dirty else ''}" if git is not None else "",
            "platform": facts.platform,
            **facts.versions,
        }
    return {name: version for name, version in found.items() if version}


def _is_same_checksum(one: str | None, other: str | None) -> bool | None:
    return one.lower() == other.lower() if one and other else None


def _compare_inputs(first: ExperimentRecord, second: ExperimentRecord) -> tuple[bool | None, str]:
    one, other = first.source, second.source
    is_same = _is_same_checksum(one.checksum, other.checksum)
    names = one.uri if one.uri == other.uri else f"{one.uri or 'none named'} and {other.uri or 'none named'}"
    if is_same:
        return True, message(
            "The same input, byte for byte: {names} (SHA-256 {checksum}).", names=names, checksum=one.checksum[:12]
        )
    if is_same is False:
        return False, message(
            "The inputs differ: {names} (SHA-256 {checksum} and {other_checksum}).",
            names=names,
            checksum=one.checksum[:12],
            other_checksum=other.checksum[:12],
        )
    if not one.uri and not other.uri:
        return None, message("No input is named in either record.")
    return None, message("Nobody knows whether the inputs are the same, a checksum is missing: {names}.", names=names)


def _output_changes(
    first: ExperimentRecord, second: ExperimentRecord, *, band: str | None, common_grid: bool, key: str | None
) -> tuple[tuple[Change, ...], str, tuple[str, ...]]:
    """Return the change of each band, why there is none, and what must be said."""
    names = (
        message("output of run {short}", short=_short(first)),
        message("output of run {short}", short=_short(second)),
    )
    if names[0] == names[1]:
        names = (message("output of the first run"), message("output of the second run"))
    try:
        sides = _output(first, names[0]), _output(second, names[1])
    except LabError as error:
        return (), error.args[0], ()
    bands = _common_bands(*sides, band)
    if not bands:
        said = (f"{side.name}: {_listing(side.layer.bands)}" for side in sides)
        return (), message("The outputs have no band or column in common ({said}).", said=joined(said, "; ")), ()
    changes: list[Change] = []
    notes: list[str] = []
    problem = ""
    for position, name in enumerate(bands):
        room = MAX_CELLS - sum(change.total for change in changes)
        if changes and (position >= MAX_BANDS or changes[-1].total > room):
            notes.append(
                message(
                    "Not compared yet, to save time: {listing}. Name one of them (band=...).",
                    listing=_listing(bands[position:]),
                )
            )
            break
        try:
            changes.append(change_of_sides(*sides, name, name, common_grid=common_grid, key=key))
        except LabError as error:
            if not changes:
                problem = problem or error.args[0]
            notes.append(f"{name}: {error}")
    if changes:
        return tuple(changes), "", tuple(notes)
    return (), problem, ()


def _common_bands(first: Side, second: Side, band: str | None) -> tuple[str, ...]:
    """Return the bands to compare, the one that maps show first."""
    if band is not None:
        return (second.check_band(first.check_band(band)),)
    known = set(first.layer.bands)
    both = [name for name in second.layer.bands if name in known]
    if second.is_table:
        from dissmodel_lab.maps.vector import SHAPES  # noqa: PLC0415 -- brings geopandas, 0.5 s
        from dissmodel_lab.maps.vectors.columns import ID_NAMES  # noqa: PLC0415 -- as above

        both = [name for name in both if name != SHAPES and not ID_NAMES.match(name)]
    shown = [name for name in (second.layer.default_band, first.layer.default_band) if name in both]
    return tuple(dict.fromkeys((*shown, *both)))


def _listing(names: tuple[str, ...]) -> str:
    more = message(" and {n_names} more", n_names=len(names) - _LISTED) if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
