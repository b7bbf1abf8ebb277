"""What is said of a change, as JSON values: for ``--json`` in a terminal, and for other programs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dissmodel_lab.executor.jsonvalue import encode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dissmodel_lab.changes.report import Change, ClassChange, Disagreement, RunComparison, ValueChange, ValuePair


def change_facts(change: Change) -> dict[str, Any]:
    """
    Return a change without its picture, as JSON values; what is not a number is None.

    Where no cell was compared, the disagreement is None: that is no agreement.

    Examples
    --------
    >>> import numpy as np
    >>> from dissmodel_lab.changes import change_between
    >>> facts = change_facts(change_between(np.array([[1, 1]]), np.array([[1, 2]])))
    >>> facts["sentence"], facts["classes"]["cells"]
    ('1 of 2 cells changed (50 %)', [[1, 1], [0, 0]])
    """
    return {
        "before": change.before_name,
        "after": change.after_name,
        "band": change.band,
        "before_band": change.before_band,
        "kind": change.kind,
        "sentence": change.sentence,
        "compared": change.compared,
        "changed": change.changed,
        "only_before": change.only_before,
        "only_after": change.only_after,
        "neither": change.neither,
        "classes": _class_facts(change.classes) if change.classes is not None else None,
        "values": _value_facts(change.values) if change.values is not None else None,
        "notes": list(change.notes),
    }


def comparison_facts(comparison: RunComparison) -> dict[str, Any]:
    """
    Return a comparison of two runs without its pictures, as JSON values.

    Examples
    --------
    >>> from dissmodel_lab.changes import compare_runs
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> one, other = (ExperimentRecord(parameters={"n": n}) for n in (1, 2))
    >>> comparison_facts(compare_runs(one, other))["parameters"]
    {'n': [1, 2]}
    """
    return {
        "first": comparison.first.experiment_id,
        "second": comparison.second.experiment_id,
        "sentence": comparison.sentence,
        "parameters": _pairs(comparison.parameters),
        "metrics": _pairs(comparison.metrics),
        "seconds": _pairs(comparison.timings),
        "versions": _pairs(comparison.versions),
        "same_input": comparison.same_input,
        "same_output": comparison.same_output,
        "input": comparison.input_sentence,
        "changes": [change_facts(change) for change in comparison.changes],
        "problem": comparison.problem,
        "notes": list(comparison.notes),
    }


def _pairs(pairs: Iterable[ValuePair]) -> dict[str, list[Any]]:
    """Return both values by name; None where a run has none."""
    return {pair.name: [encode(pair.first), encode(pair.second)] for pair in pairs}


def _class_facts(change: ClassChange) -> dict[str, Any]:
    return {
        "codes": list(change.codes),
        "labels": list(change.labels),
        "cells": change.cells.tolist(),
        "areas": change.areas.tolist(),
        "area_unit": change.area_unit,
        "area_method": change.area_method,
        "only_before": change.only_before.tolist(),
        "only_after": change.only_after.tolist(),
        "disagreement": _shares(change.disagreement) if change.cells.any() else None,
        "area_disagreement": (
            _shares(change.area_disagreement) if change.area_disagreement is not None and change.cells.any() else None
        ),
    }


def _shares(found: Disagreement) -> dict[str, Any]:
    names = ("total", "quantity", "allocation", "exchange", "shift")
    return {
        **{name: getattr(found, name) for name in names},
        "class_quantity": found.class_quantity.tolist(),
        "class_allocation": found.class_allocation.tolist(),
    }


def _value_facts(change: ValueChange) -> dict[str, Any]:
    names = ("mean", "median", "rmse", "mean_absolute", "limit", "mean_before", "mean_after")
    largest = change.largest
    return {
        "unit": change.unit,
        **{name: _finite(getattr(change, name)) for name in names},
        "quantiles": [[part, _finite(value)] for part, value in change.quantiles],
        "largest": {name: _finite(value) for name, value in vars(largest).items()} if largest is not None else None,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
