"""The first run's output and a rerun's -> a verdict. Reads both, writes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dissmodel_lab.artifacts import is_map_file
from dissmodel_lab.contents import companions_of, has_content, is_companion
from dissmodel_lab.differences import Differences, find_differences, is_same_file
from dissmodel_lab.language import message
from dissmodel_lab.sources import hashed
from dissmodel_lab.verification.places import locate_artifact
from dissmodel_lab.verification.verdict import VerdictKind

if TYPE_CHECKING:
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
    are_only_reports: bool = True
    """False when something besides the main output differs."""


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
        return Judgement(
            VerdictKind.CANNOT_VERIFY,
            [message("The input changed meanwhile: the rerun read SHA-256 {read}.", read=read)],
        )
    made = second.artifact_path()
    if "output" not in second.artifacts or made is None:
        return Judgement(VerdictKind.DIFFERENT, [message("The rerun left no output; the first run did.")])
    found = _judged(_artifact(plan, second, "output", made), tolerance)
    _other_artifacts(plan, second, found, tolerance)
    return found


class _Artifact(NamedTuple):
    """A file or folder that both runs left."""

    path: Path | None
    """Where the first run's lies; None when its record names no place on this machine."""
    recorded: str
    """SHA-256 in the first run's record; empty when it has none."""
    content: str
    """Content hash in the first run's record; empty when it has none."""
    made: Path
    """The rerun's."""
    new: str
    """SHA-256 of the rerun's."""


def _artifact(plan: Plan, second: ExperimentRecord, name: str, made: Path) -> _Artifact:
    first = plan.first
    return _Artifact(
        path=plan.output if name == "output" else locate_artifact(first, name, plan.base_folder),
        recorded=first.artifacts.get(name, "").lower(),
        content=first.content_sha256.get(name, "").lower(),
        made=made,
        new=second.artifacts[name],
    )


def _judged(artifact: _Artifact, tolerance: float | None) -> Judgement:
    kept = hashed(artifact.path) if artifact.path is not None else None
    if artifact.path is None or kept is None or not kept.sha256:
        return _by_hashes(artifact, problem=kept.problem if kept is not None else "")
    return _by_files(artifact, (artifact.path, kept.sha256), tolerance)


def _by_hashes(artifact: _Artifact, problem: str) -> Judgement:
    where = message("at {path}", path=artifact.path) if artifact.path is not None else message("on this machine")
    gone = (
        message("cannot be read ({problem})", problem=problem) if problem else message("is not {where}", where=where)
    )
    note = message("The first output {gone}, so what its record tells was compared.", gone=gone)
    has_parts = bool(companions_of(artifact.made))  # of which its own hash tells nothing
    if artifact.new == artifact.recorded and not has_parts:
        return Judgement(VerdictKind.IDENTICAL, [message("The rerun gave the SHA-256 that was recorded.")], [note])
    if artifact.content and _has_content(artifact.made, artifact.content):
        return Judgement(
            VerdictKind.SAME_CONTENT, [message("The rerun gave the content hash that was recorded.")], [note]
        )
    if artifact.content:
        why = message("The rerun gave another content hash than was recorded; which cells differ cannot be told.")
        return Judgement(VerdictKind.DIFFERENT, [why], [note])
    why = message(
        "The bytes differ, and there is neither the first output nor a hash of its content to compare with."
    )
    if artifact.new == artifact.recorded:
        why = message(
            "The bytes are the same, but of the files beside it that are parts of it the record has no hash."
        )
    return Judgement(VerdictKind.CANNOT_VERIFY, [why], [note])


def _by_files(artifact: _Artifact, kept: tuple[Path, str], tolerance: float | None) -> Judgement:
    path, now = kept
    is_as_recorded = artifact.recorded in ("", now)
    if artifact.new == now and is_as_recorded and (path.is_dir() or is_same_file(path, artifact.made)):
        found = Judgement(VerdictKind.IDENTICAL, [message("The rerun gave the same bytes.")])
    else:
        found = _compared(path, artifact.made, tolerance)
    if not is_as_recorded:
        _note_changed_output(artifact, found, kept)
    return found


def _compared(first: Path, second: Path, tolerance: float | None) -> Judgement:
    differences = find_differences(first, second, tolerance=tolerance)
    facts: dict[str, Any] = {"differences": differences, "figures": differences.all_parts}
    notes = list(differences.notes)
    if differences.is_same:
        return Judgement(VerdictKind.SAME_CONTENT, [message("All values are the same.")], notes, **facts)
    why = list(differences.sentences[:_MOST])
    if tolerance is not None and differences.is_within:
        return Judgement(VerdictKind.WITHIN_TOLERANCE, why, notes, **facts)
    return Judgement(VerdictKind.DIFFERENT, why, notes, **facts)


def _note_changed_output(artifact: _Artifact, found: Judgement, kept: tuple[Path, str]) -> None:
    (path, now), content = kept, artifact.content
    found.gives_what_was_recorded = artifact.new == artifact.recorded
    is_same_content = bool(content) and _has_content(path, content)
    kept_content = message("; its content is the recorded one") if is_same_content else ""
    found.notes.insert(
        0,
        message(
            "The first output was changed after its run: SHA-256 {now}, recorded was {recorded}{kept_content}.",
            now=now,
            recorded=artifact.recorded,
            kept_content=kept_content,
        ),
    )
    if found.gives_what_was_recorded:
        found.why.append(message("The rerun gave the very bytes that were recorded."))
    elif found.kind is not VerdictKind.DIFFERENT and not is_same_content and (content or artifact.new == now):
        found.kind = VerdictKind.DIFFERENT
        found.why = [
            message("The rerun gave what the first output's file holds today, which is not what was recorded.")
        ]


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
        made = second.artifact_path(name)
        if name not in first.artifacts or name not in second.artifacts or made is None:
            _note_one_sided(plan, second, found, name)
        elif first.artifacts[name].lower() == second.artifacts[name] and not companions_of(made):
            continue
        elif is_companion(made):
            continue  # it is looked at with the file that it is a part of
        elif is_map_file(made):
            _add(found, name, _judged(_artifact(plan, second, name, made), tolerance))
        elif first.artifacts[name].lower() != second.artifacts[name]:
            found.notes.append(
                message(
                    "The artifact {name} ({made_name}) has other bytes; what that means was not looked into.",
                    name=name,
                    made_name=made.name,
                )
            )


def _note_one_sided(plan: Plan, second: ExperimentRecord, found: Judgement, name: str) -> None:
    is_first = name in plan.first.artifacts
    path = locate_artifact(plan.first, name, plan.base_folder) if is_first else second.artifact_path(name)
    text = message(
        "The artifact {name} was left by {words} only.",
        name=name,
        words=message("the first run") if is_first else message("the rerun"),
    )
    if path is not None and is_map_file(path):
        _add(found, "", Judgement(VerdictKind.DIFFERENT, [text]))
    else:
        found.notes.append(text)


#: What a run is called whose artifacts are judged each for itself: the last of these that one of them is.
_WORSE = (
    VerdictKind.IDENTICAL,
    VerdictKind.SAME_CONTENT,
    VerdictKind.WITHIN_TOLERANCE,
    VerdictKind.CANNOT_VERIFY,
    VerdictKind.DIFFERENT,
)


def _add(found: Judgement, name: str, other: Judgement) -> None:
    before, prefix = found.kind, f"Artifact {name}: " if name else ""
    found.kind = max(found.kind, other.kind, key=_WORSE.index)
    if other.kind is VerdictKind.IDENTICAL:
        return
    found.notes += [f"{prefix}{text}" for text in other.notes]
    if other.kind is VerdictKind.SAME_CONTENT:
        found.notes.append(message("{prefix}other bytes, the same content.", prefix=prefix))
        return
    why = [f"{prefix}{text}" for text in other.why]
    # What decides stands first: "the same bytes" is no reason for "different".
    found.why = [*found.why, *why] if before is found.kind else [*why, *found.why]
    found.are_only_reports = False
    found.figures += tuple(replace(part, name=f"{name}: {part.name}") for part in other.figures)
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
    between = _between(second, third)
    if not between:
        found.why.append(message("A second rerun gave the same as the first one: here the model repeats itself."))
    elif _are_only_reports(found, second, between):
        names = ", ".join(between["output"].files)
        found.kind = VerdictKind.SAME_CONTENT
        found.why = [message("All is the same but {names}, which two reruns do not agree on either.", names=names)]
    else:
        found.kind = VerdictKind.CANNOT_VERIFY
        seed = second.provenance.seed if second.provenance is not None else None
        has_seed = (
            message(", although it was given the seed {seed}", seed=seed)
            if seed is not None
            else message("; it needs a seed")
        )
        sentences = [text for one in between.values() for text in one.sentences]
        found.why = [
            message(
                "The model is not deterministic: two reruns under the same settings differ from each "
                "other{has_seed}.",
                has_seed=has_seed,
            ),
            *(message("Between the reruns: {text}", text=text) for text in sentences[:3]),
            *(message("From the first run: {text}", text=text) for text in found.why[:3]),
        ]


def _between(second: ExperimentRecord, third: ExperimentRecord) -> dict[str, Differences]:
    """Compare the outputs of two reruns, and the maps beside them; what is the same is left out."""
    found = {}
    for name in second.artifacts:
        one, two = (record.artifact_path(name) for record in (second, third))
        if one is None or two is None or not one.exists() or not two.exists():
            continue
        if name == "output" or (is_map_file(one) and not is_companion(one)):
            differences = find_differences(one, two)
            if not differences.is_same:
                found[name] = differences
    return found


def _are_only_reports(found: Judgement, second: ExperimentRecord, between: dict[str, Differences]) -> bool:
    """Tell whether the maps in a folder repeat themselves, and only reports beside them do not."""
    output, differences = second.artifact_path(), found.differences
    if not found.are_only_reports or differences is None or list(between) != ["output"] or output is None:
        return False
    never_same = between["output"]
    if differences.structure or never_same.structure or not differences.files:
        return False
    has_maps = any(is_map_file(path) for path in output.rglob("*"))
    return (
        has_maps
        and set(differences.files) <= set(never_same.files)
        and not any(is_map_file(Path(name)) for name in never_same.files)
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
        dirty = message(" with changes") if facts.executor_git.dirty else ""
        found["commit of the executor"] = f"{facts.executor_git.commit[:12]}{dirty}"
    if facts.cpu_count:
        found["processors"] = str(facts.cpu_count)
    if facts.platform:
        found["platform"] = facts.platform
    return found
