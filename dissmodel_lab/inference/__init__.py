"""What an executor that declares nothing can be told: its parameters, read from its source.

Nothing of the executor is run. The four phases are followed in their order, statement by statement, from
``record.parameters`` (and ``record.resolved_spec["model"]``, its older form) through aliases, helper
methods and helper functions of the executor's own package, to every place where a name is read.
"""

from dissmodel_lab.inference.findings import (
    inference_problem,
    inferred_parameters,
    reads_anything,
    required_names,
    setup_parameters,
    unknown_parameters,
)
from dissmodel_lab.inference.parameter import NO_DEFAULT, InferredParameter, NoDefault

__all__ = [  # noqa: RUF022 -- in the order of sorted(), as in the other packages
    "InferredParameter",
    "NO_DEFAULT",
    "NoDefault",
    "inference_problem",
    "inferred_parameters",
    "reads_anything",
    "required_names",
    "setup_parameters",
    "unknown_parameters",
]
