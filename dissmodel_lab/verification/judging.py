"""The first run's output and a rerun's -> a verdict. Reads both, writes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dissmodel_lab.artifacts import is_map_file
from dissmodel_lab.contents import has_content, is_companion
from dissmodel_lab.differences import Differences, find_differences
from dissmodel_lab.verification.places import hashed, locate_artifact
from dissmodel_lab.verification.verdict import VerdictKind

if TYPE_CHECKING:
    from pathlib import Path

    from dissmodel_lab.differences import PartDifference
    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.verification.plan import Plan

_UPSTREAMS_OWN = "profiling"
"""An artifact that the command line of PyPI ``dissmodel`` writes by itself, with timings; no executor does."""
_MOST = 40
"""Sentences on differences that a record keeps."""


@dataclass
class Judgement:
    """A verdict in the making."""

    kind: VerdictKind
    why: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a reader should know besides."""
    figures: tuple[PartDifference, ...] = ()
    differences: Differences | None = None
    gives_what_was_recorded: bool = False
    """The rerun's bytes are those in the first record, although the first output's file differs."""


def judge(plan: Plan, second: ExperimentRecord, tolerance: float | None) -> Judgement:
    """
    Compare what a rerun gave with what the first run left.

    The first output's file counts as it stands today; where it is gone, the hashes in the record do.

    Parameters
    ----------
    plan : Plan
        How the run was repeated.
    second : ExperimentRecord
        Of the completed rerun.
    tolerance : float, optional
        What was asked for.

    Returns
    -------
    Judgement
        Without a word on whether the model is deterministic: :func:`weigh` adds that.
    """
    first = plan.first
    read, was = second.source.checksum, first.source.checksum
    if was and read and read != was.lower():
        return Judgement(VerdictKind.CANNOT_VERIFY, [f"The input changed meanwhile: the rerun read SHA-256 {read}."])
    made = second.artifact_path()
    if "output" not in second.artifacts or made is None:
        return Judgement(VerdictKind.DIFFERENT, ["The rerun left no output; the first run did."])
    kept = hashed(plan.output) if plan.output is not None else None
    if plan.output is None or kept is None or not kept.sha256:
        found = _by_hashes(plan, second, made, problem=kept.problem if kept is not None else "")
    else:
        found = _by_files(plan, second, (plan.output, kept.sha256), made, tolerance)
    _other_artifacts(plan, second, found, tolerance)
    return found


def _by_hashes(plan: Plan, second: ExperimentRecord, made: Path, problem: str) -> Judgement:
    first = plan.first
    recorded, content = first.artifacts.get("output", "").lower(), first.content_sha256.get("output", "")
    where = f"at {plan.output}" if plan.output is not None else "on this machine"
    gone = f"cannot be read ({problem})" if problem else f"is not {where}"
    note = f"The first output {gone}, so what its record tells was compared."
    if second.artifacts["output"] == recorded:
        return Judgement(VerdictKind.IDENTICAL, ["The rerun gave the SHA-256 that was recorded."], [note])
    if content and has_content(made, content):
        return Judgement(VerdictKind.SAME_CONTENT, ["The rerun gave the content hash that was recorded."], [note])
    if content:
        why = "The rerun gave another content hash than was recorded; which cells differ cannot be told."
        return Judgement(VerdictKind.DIFFERENT, [why], [note])
    why = "The bytes differ, and there is neither the first output nor a hash of its content to compare with."
    return Judgement(VerdictKind.CANNOT_VERIFY, [why], [note])


def _by_files(
    plan: Plan, second: ExperimentRecord, kept: tuple[Path, str], made: Path, tolerance: float | None
) -> Judgement:
    (path, now), new = kept, second.artifacts["output"]
    recorded = plan.first.artifacts.get("output", "").lower()
    is_as_recorded = recorded in ("", now)
    if new == now and is_as_recorded:
        found = Judgement(VerdictKind.IDENTICAL, ["The rerun gave the same bytes."])
    else:
        found = _compared(path, made, tolerance)
    if not is_as_recorded:
        _note_changed_output(plan, found, kept, new)
    return found


def _compared(first: Path, second: Path, tolerance: float | None) -> Judgement:
    differences = find_differences(first, second, tolerance=tolerance)
    facts: dict[str, Any] = {"differences": differences, "figures": differences.all_parts}
    notes = list(differences.notes)
    if differences.is_same:
        return Judgement(VerdictKind.SAME_CONTENT, ["All values are the same."], notes, **facts)
    why = list(differences.sentences[:_MOST])
    if tolerance is not None and differences.is_within:
        return Judgement(VerdictKind.WITHIN_TOLERANCE, why, notes, **facts)
    return Judgement(VerdictKind.DIFFERENT, why, notes, **facts)


def _note_changed_output(plan: Plan, found: Judgement, kept: tuple[Path, str], new: str) -> None:
    path, now = kept
    recorded, content = plan.first.artifacts["output"].lower(), plan.first.content_sha256.get("output", "")
    found.gives_what_was_recorded = new == recorded
    is_same_content = bool(content) and _has_content(path, content)
    kept_content = "; its content is the recorded one" if is_same_content else ""
    found.notes.insert(
        0, f"The first output was changed after its run: SHA-256 {now}, recorded was {recorded}{kept_content}."
    )
    if found.gives_what_was_recorded:
        found.why.append("The rerun gave the very bytes that were recorded.")
    elif found.kind is not VerdictKind.DIFFERENT and not is_same_content and (content or new == now):
        found.kind = VerdictKind.DIFFERENT
        found.why = ["The rerun gave what the first output's file holds today, which is not what was recorded."]


def _has_content(path: Path, content: str) -> bool:
    try:
        return has_content(path, content)
    except Exception:  # noqa: BLE001 -- any reader's complaint: then it is not the content that it was
        return False


def _other_artifacts(plan: Plan, second: ExperimentRecord, found: Judgement, tolerance: float | None) -> None:
    """Look at what the run left besides its main output; maps count, reports hold times and are only noted."""
    first = plan.first
    names = [name for name in {**first.artifacts, **second.artifacts} if name not in ("output", _UPSTREAMS_OWN)]
    for name in names:
        if first.artifacts.get(name, "").lower() == second.artifacts.get(name):
            continue
        path, made = locate_artifact(first, name, plan.base_folder), second.artifact_path(name)
        if name not in first.artifacts or name not in second.artifacts or made is None:
            found.notes.append(
                f"The artifact {name} was left by {'the first run' if name in first.artifacts else 'the rerun'} only."
            )
        elif is_companion(made):
            continue
        elif path is None or not path.exists() or not is_map_file(made):
            found.notes.append(
                f"The artifact {name} ({made.name}) has other bytes; what that means was not looked into."
            )
        else:
            _add(found, name, _compared(path, made, tolerance))


def _add(found: Judgement, name: str, other: Judgement) -> None:
    order = list(VerdictKind)
    if order.index(other.kind) > order.index(found.kind):
        found.kind = other.kind
    if other.kind in (VerdictKind.DIFFERENT, VerdictKind.WITHIN_TOLERANCE):
        found.why += [f"Artifact {name}: {text}" for text in other.why]
        found.differences = found.differences or other.differences


def weigh(found: Judgement, second: ExperimentRecord, third: ExperimentRecord) -> None:
    """
    Take a second rerun, under the same settings, into account: does the model repeat itself at all.

    Parameters
    ----------
    found : Judgement
        Changed in place: where two reruns differ from each other, nothing can be said of the first run. Reports
        that differ between all runs (they hold times) do not count beside maps that do not.
    second, third : ExperimentRecord
        Of the two reruns.
    """
    outputs = [record.artifact_path() for record in (second, third)]
    if outputs[0] is None or outputs[1] is None:
        return
    between = find_differences(outputs[0], outputs[1])
    if between.is_same:
        found.why.append("A second rerun gave the same as the first one: here the model repeats itself.")
    elif _are_only_reports(found.differences, between):
        names = ", ".join(between.files)
        found.kind = VerdictKind.SAME_CONTENT
        found.why = [f"All is the same but {names}, which two reruns do not agree on either."]
    else:
        found.kind = VerdictKind.CANNOT_VERIFY
        seed = second.provenance.seed if second.provenance is not None else None
        has_seed = f", although it was given the seed {seed}" if seed is not None else "; it needs a seed"
        found.why = [
            f"The model is not deterministic: two reruns under the same settings differ from each other{has_seed}.",
            *(f"Between the reruns: {text}" for text in between.sentences[:3]),
            *(f"From the first run: {text}" for text in found.why[:3]),
        ]


def _are_only_reports(found: Differences | None, between: Differences) -> bool:
    if found is None or found.structure or not found.files:
        return False
    return set(found.files) <= set(between.files) and not any(
        one.kind in ("raster", "vector") for one in found.files.values()
    )


def differing_facts(first: ExperimentRecord, second: ExperimentRecord) -> dict[str, str]:
    """
    Return what differs between the surroundings of two runs: versions, processors, code; ``then -> now``.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> from dissmodel_lab.executor.schemas import Provenance
    >>> runs = [ExperimentRecord(provenance=Provenance(versions={"numpy": number})) for number in ("2.3.0", "2.4.6")]
    >>> differing_facts(*runs)
    {'numpy': '2.3.0 -> 2.4.6'}
    """
    if first.provenance is None or second.provenance is None:
        return {}
    facts = [_surroundings(record) for record in (first, second)]
    names = [name for name in facts[0] if name in facts[1] and facts[0][name] != facts[1][name]]
    return {name: f"{facts[0][name]} -> {facts[1][name]}" for name in names}


def _surroundings(record: ExperimentRecord) -> dict[str, str]:
    facts = record.provenance
    assert facts is not None  # for the type checker: the caller has looked
    found = dict(facts.versions)
    if facts.executor_package:
        found["executor"] = facts.executor_package
    if facts.executor_git is not None and facts.executor_git.commit:
        dirty = " with changes" if facts.executor_git.dirty else ""
        found["commit of the executor"] = f"{facts.executor_git.commit[:12]}{dirty}"
    if facts.cpu_count:
        found["processors"] = str(facts.cpu_count)
    if facts.platform:
        found["platform"] = facts.platform
    return found
