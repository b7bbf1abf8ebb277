"""What can be said of a run that was repeated: one of five verdicts, with its reasons and figures."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from dissmodel_lab.differences import PartDifference, Place
from dissmodel_lab.language import joined, message

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dissmodel_lab.differences import Differences
    from dissmodel_lab.executor.schemas import ExperimentRecord


class VerdictKind(StrEnum):
    """The five verdicts, from the best to the one that says nothing."""

    IDENTICAL = "identical"
    """The same bytes."""
    SAME_CONTENT = "same content"
    """Other bytes (a timestamp, another compression), the same values in the same places."""
    WITHIN_TOLERANCE = "within tolerance"
    """Numbers differ, by no more than was asked for."""
    DIFFERENT = "different"
    CANNOT_VERIFY = "cannot verify"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """
    What a rerun says of the run that it repeats.

    Examples
    --------
    >>> verdict = Verdict(kind=VerdictKind.DIFFERENT, of="ab12cd34ef", why=("depth: 1 of 6 cells differs.",))
    >>> verdict.sentence
    'Run ab12cd34: different. depth: 1 of 6 cells differs.'
    >>> Verdict.from_values(verdict.as_values()) == verdict
    True
    """

    kind: VerdictKind
    of: str
    """Id of the first run."""
    record_sha256: str = ""
    """SHA-256 of the first run's record file as it was read; empty when it was in memory only."""
    why: tuple[str, ...] = ()
    """Sentences: the reasons, and what else a reader should know, the most important first."""
    tolerance: float | None = None
    """What was asked for."""
    figures: tuple[PartDifference, ...] = ()
    """Each band or column that was compared."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """How it was run: executor, environment variables, folder, versions that differ."""
    reruns: tuple[str, ...] = ()
    """Ids of the runs that were made for it: none, one, or two when the first differed."""
    differences: Differences | None = field(default=None, repr=False, compare=False)
    """Of the first run's output and the rerun's, with every place; not part of the record."""
    record: ExperimentRecord | None = field(default=None, repr=False, compare=False)
    """The rerun's own record, or that of the attempt."""

    @property
    def is_confirmed(self) -> bool:
        """True when the rerun gave what it should."""
        return self.kind in (VerdictKind.IDENTICAL, VerdictKind.SAME_CONTENT, VerdictKind.WITHIN_TOLERANCE)

    @property
    def sentence(self) -> str:
        """The whole as a text."""
        return joined([message("Run {of}: {kind}.", of=self.of[:8], kind=self.kind), *self.why])

    def as_values(self) -> dict[str, Any]:
        """Return what the rerun's record keeps of it, as its field ``verdict``."""
        return {
            "kind": self.kind.value,
            "of": self.of,
            "record_sha256": self.record_sha256,
            "why": list(self.why),
            "tolerance": self.tolerance,
            "figures": [_part_values(part) for part in self.figures],
            "settings": dict(self.settings),
            "reruns": list(self.reruns),
        }

    @classmethod
    def from_values(cls, values: Mapping[str, Any], record: ExperimentRecord | None = None) -> Verdict:
        """
        Return the verdict that a record holds.

        Parameters
        ----------
        values : mapping
            The record's field ``verdict``; untrusted, and perhaps of a rerun that never ended.
        record : ExperimentRecord, optional
            The rerun's own.

        Raises
        ------
        ValueError
            When it holds none.

        Examples
        --------
        >>> Verdict.from_values({"of": "ab12"}).why
        ('The rerun did not end, so nothing was compared.',)
        """
        if not values.get("of"):
            raise ValueError(message("This record holds no verdict: it does not repeat another run."))
        if str(values.get("kind")) not in set(VerdictKind):
            unfinished = message("The rerun did not end, so nothing was compared.")
            return cls(kind=VerdictKind.CANNOT_VERIFY, of=str(values["of"]), why=(unfinished,), record=record)
        settings = values.get("settings")
        tolerance = values.get("tolerance")
        return cls(
            kind=VerdictKind(str(values["kind"])),
            of=str(values["of"]),
            record_sha256=str(values.get("record_sha256") or ""),
            why=_texts(values.get("why")),
            tolerance=tolerance if isinstance(tolerance, int | float) else None,
            figures=tuple(_parts(values.get("figures"))),
            settings=dict(settings) if isinstance(settings, dict) else {},
            reruns=_texts(values.get("reruns")),
            record=record,
        )


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()


def _part_values(part: PartDifference) -> dict[str, Any]:
    place = part.place._asdict() if part.place is not None else None
    return {**vars(part), "place": place}


def _parts(values: Any) -> Iterator[PartDifference]:
    for one in values if isinstance(values, list) else []:
        with suppress(
            AttributeError, KeyError, OverflowError, TypeError, ValueError
        ):  # another program's figures: the verdict is told without them
            yield _part(one)


def _part(values: dict[str, Any]) -> PartDifference:
    place, largest = values.get("place"), values.get("largest")
    counts = {name: int(values.get(name) or 0) for name in ("compared", "differing", "one_sided", "beyond")}
    return PartDifference(
        name=str(values["name"]),
        **counts,
        largest=None if largest is None else float(largest),
        place=None if place is None else _place(place),
        unit=str(values.get("unit") or "cells"),
    )


def _place(values: dict[str, Any]) -> Place:
    column, x, y = (values.get(name) for name in ("col", "x", "y"))
    return Place(
        int(values["row"]),
        None if column is None else int(column),
        None if x is None or y is None else float(x),
        None if x is None or y is None else float(y),
        values.get("first"),
        values.get("second"),
    )
