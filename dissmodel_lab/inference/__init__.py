"""What an executor that declares nothing can be told: its parameters, read from its source.

Nothing of the executor is run. The four phases are followed in their order, statement by statement, from
``record.parameters`` (and ``record.resolved_spec["model"]``, its older form) through aliases, helper
methods and helper functions of the executor's own package, to every place where a name is read.

Only what a run of a declared model needs is loaded at once: the rest reads source code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dissmodel_lab.inference.parameter import NO_DEFAULT, InferredParameter, NoDefault

if TYPE_CHECKING:
    from dissmodel_lab.inference.findings import (
        doubtful_parameters,
        inference_problem,
        inferred_parameters,
        misplaced_parameters,
        reads_anything,
        required_names,
        setup_parameters,
        unknown_parameters,
        unread_text,
    )

__all__ = [  # noqa: RUF022 -- in the order of sorted(), as in the other packages
    "InferredParameter",
    "NO_DEFAULT",
    "NoDefault",
    "doubtful_parameters",
    "inference_problem",
    "inferred_parameters",
    "misplaced_parameters",
    "reads_anything",
    "required_names",
    "setup_parameters",
    "unknown_parameters",
    "unread_text",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dissmodel_lab.inference import findings  # noqa: PLC0415 -- see above

    return getattr(findings, name)
