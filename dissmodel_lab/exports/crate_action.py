"""A ``CreateAction`` that another program wrote -> a record, as far as it says anything; what is missing is told."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dissmodel_lab.executor.schemas import DataSource, ExperimentRecord, Provenance, RunStatus
from dissmodel_lab.exports.crate_metadata import place_of
from dissmodel_lab.plain import plain_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dissmodel_lab.exports.crate_metadata import Metadata

_DATA_TYPES = {"File", "Dataset", "MediaObject", "Collection", "CreativeWork", "ImageObject"}
_MOST_VALUES = 100_000


@dataclass
class Described:
    """A run as a crate describes it."""

    record: ExperimentRecord
    inputs: list[str] = field(default_factory=list)
    """Identifiers of what it read; the first is the record's source."""
    outputs: dict[str, str] = field(default_factory=dict)
    """Artifact's name -> identifier."""
    notes: list[str] = field(default_factory=list)
    """What the crate does not say, in sentences."""


def described_run(metadata: Metadata, content: bytes) -> Described:
    """
    Build a record from the first run that a crate describes.

    Parameters
    ----------
    metadata : Metadata
        The crate's entities.
    content : bytes
        The metadata file; its hash makes the run's id, so that the same crate is the same run each time.

    Examples
    --------
    >>> from dissmodel_lab.exports.crate_metadata import Metadata
    >>> graph = {
    ...     "./": {"@id": "./", "mentions": {"@id": "#run"}},
    ...     "#run": {"@id": "#run", "@type": "CreateAction", "instrument": {"@id": "#tool"}, "object": {"@id": "#p"}},
    ...     "#tool": {"@id": "#tool", "@type": "SoftwareApplication", "name": "flood", "softwareVersion": "2.1"},
    ...     "#p": {"@id": "#p", "@type": "PropertyValue", "name": "rise", "value": 2},
    ... }
    >>> found = described_run(Metadata(graph, "./"), b"{}")
    >>> found.record.model_name, found.record.code_version, found.record.parameters
    ('flood', '2.1', {'rise': 2})
    >>> found.notes[:2]
    ['The crate does not say how the run ended.', 'The crate does not say when the run began.']
    """
    actions = metadata.actions()
    if not actions:
        return _without_action(metadata, content)
    action = actions[0]
    found = Described(ExperimentRecord(experiment_id=_identifier(content, action)))
    if len(actions) > 1:
        found.notes.append(f"The crate describes {len(actions):,} runs; this is the first, {plain_name(action)}.")
    _tell_ending(found, metadata, action)
    _tell_software(found, metadata, action)
    _tell_people(found, metadata, action)
    _tell_inputs(found, metadata, metadata.parts(action, "object"))
    _tell_outputs(found, metadata, metadata.parts(action, "result"))
    return found


def _without_action(metadata: Metadata, content: bytes) -> Described:
    name = metadata.text(metadata.root, "name") or "a crate"
    record = ExperimentRecord(
        experiment_id=_identifier(content, ""),
        model_name=plain_name(name),
        created_at=_moment(metadata.text(metadata.root, "datePublished")) or datetime.now(UTC),
    )
    notes = ["The crate describes no run (CreateAction): only its name and date are known, and none of its files."]
    return Described(record, notes=notes)


def _identifier(content: bytes, action: str) -> str:
    return hashlib.sha256(content + b"\0" + action.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def _tell_ending(found: Described, metadata: Metadata, action: str) -> None:
    record = found.record
    record.started_at = _moment(metadata.text(action, "startTime"))
    record.ended_at = _moment(metadata.text(action, "endTime"))
    published = _moment(metadata.text(metadata.root, "datePublished"))
    record.created_at = record.started_at or record.ended_at or published or record.created_at
    said = metadata.text(action, "actionStatus") or next(iter(metadata.parts(action, "actionStatus")), "")
    record.error = metadata.text(action, "error") or None
    has_failed = said.endswith("FailedActionStatus") or (not said and record.error is not None)
    record.status = (RunStatus.FAILED if has_failed else RunStatus.COMPLETED).value
    if not said.endswith(("FailedActionStatus", "CompletedActionStatus")):
        # Process Run Crate: without a status, consumers take the process as completed.
        found.notes.append("The crate does not say how the run ended.")
    if record.started_at is None:
        found.notes.append("The crate does not say when the run began.")


def _tell_software(found: Described, metadata: Metadata, action: str) -> None:
    record = found.record
    tool = next(iter(metadata.parts(action, "instrument")), "")
    name = metadata.text(tool, "name") or place_of(tool).rpartition("/")[2] or tool
    record.model_name = plain_name(name) if name else "unknown"
    record.code_version = metadata.text(tool, "softwareVersion") or metadata.text(tool, "version")
    required = {
        plain_name(metadata.text(part, "name")): metadata.text(part, "softwareVersion")
        or metadata.text(part, "version")
        for part in metadata.parts(tool, "softwareRequirements")
        if metadata.text(part, "name")
    }
    record.provenance = Provenance(versions=required)
    if not name:
        found.notes.append("The crate names no software (instrument).")
    elif not record.code_version:
        found.notes.append("The crate names no version of the software.")
    url = metadata.text(tool, "url") or next(iter(metadata.parts(tool, "url")), "")
    found.notes.append(
        "The crate names no executor of dissmodel_lab, so the run cannot be repeated without --executor."
        + (f" The software is at {url}." if url else "")
    )


def _tell_people(found: Described, metadata: Metadata, action: str) -> None:
    agent = next(iter(metadata.parts(action, "agent")), "")
    if found.record.provenance is not None:
        found.record.provenance.user = metadata.text(agent, "name")


def _tell_inputs(found: Described, metadata: Metadata, objects: Iterable[str]) -> None:
    record = found.record
    for item in objects:
        kinds = metadata.types(item)
        if "PropertyValue" in kinds:
            if len(record.parameters) < _MOST_VALUES:
                record.parameters[_free(metadata.text(item, "name") or item, record.parameters)] = _value(
                    metadata, item
                )
        elif kinds & _DATA_TYPES or place_of(item):
            found.inputs.append(item)
    record.parameter_origins = dict.fromkeys(record.parameters, "given")
    if not found.inputs:
        found.notes.append("The crate names no input.")
        return
    first = found.inputs[0]
    uri = place_of(first) or first
    record.source = DataSource.from_uri(uri)
    record.source.checksum = metadata.hashes(first).get("sha256", "")
    if len(found.inputs) > 1:
        more = ", ".join(plain_name(place_of(item) or item) for item in found.inputs[1:6])
        found.notes.append(f"The run read {len(found.inputs) - 1:,} more files than the record's one source: {more}.")


def _tell_outputs(found: Described, metadata: Metadata, results: Iterable[str]) -> None:
    record = found.record
    for item in results:
        kinds = metadata.types(item)
        if "PropertyValue" in kinds:
            if len(record.metrics) < _MOST_VALUES:
                record.metrics[_free(metadata.text(item, "name") or item, record.metrics)] = _value(metadata, item)
        elif kinds & _DATA_TYPES or place_of(item):
            stem = (place_of(item) or item).rpartition("/")[2] or "artifact"
            found.outputs[_free("output" if not found.outputs else stem, found.outputs)] = item
    if not found.outputs:
        found.notes.append("The crate names no output.")


def _value(metadata: Metadata, item: str) -> Any:
    said = metadata.graph[item].get("value")
    if isinstance(said, list) and all(isinstance(part, str | int | float | bool) for part in said):
        return said
    return metadata.value(item, "value")


def _free(name: str, taken: Any) -> str:
    free, count = plain_name(name), len(taken)
    while free in taken:
        count += 1
        free = f"{plain_name(name)}-{count}"
    return free


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
