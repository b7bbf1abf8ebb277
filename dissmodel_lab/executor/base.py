"""The executor: a model wrapped in four phases, and the registry that knows each by its name."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from dissmodel_lab.errors import ExecutorNotFoundError, did_you_mean
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dissmodel_lab.executor.schemas import DataSource, ExperimentRecord


class ExecutorNameWarning(UserWarning):
    """A model name has got a new owner."""


class Parameters(BaseModel):
    """
    Base of an executor's declared parameters.

    The text under a field is its description; ``json_schema_extra={"unit": "m"}`` is its unit. Unknown
    names, NaN and infinity are refused.

    Examples
    --------
    >>> from pydantic import Field
    >>> class Fire(Parameters):
    ...     density: float = Field(0.6, ge=0, le=1, json_schema_extra={"unit": "-"})
    ...     '''Share of cells with trees.'''
    >>> Fire().density
    0.6
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        validate_default=True,
        populate_by_name=True,
        defer_build=True,  # built when first used, so that listing models does not build them all
    )


# For the subclasses only: this class has no field, and pydantic would read and parse this whole file (15 ms).
Parameters.model_config["use_attribute_docstrings"] = True


class ModelExecutor(ABC):
    """
    A model, wrapped in the lifecycle ``validate -> load -> run -> save``.

    A subclass with a ``name`` of its own is registered under it, unless it is declared with
    ``register=False``. Only ``load``, ``run`` and ``save`` must be written.

    Examples
    --------
    >>> class Doubling(ModelExecutor, register=False):
    ...     name = "doubling"
    ...     def load(self, record): return 21
    ...     def run(self, data, record): return 2 * data
    ...     def save(self, result, record):
    ...         record.metrics["answer"] = result
    ...         return record
    >>> from dissmodel_lab.executor import ExperimentRecord, execute_lifecycle
    >>> record, timings = execute_lifecycle(Doubling(), ExperimentRecord())
    >>> record.status, record.metrics["answer"], sorted(timings)[0]
    ('completed', 42, 'time_load_sec')
    """

    name: ClassVar[str]
    """The registry key; a plain string."""
    Parameters: ClassVar[type[BaseModel] | None] = None
    """The declared parameters; None when the executor reads ``record.parameters`` without declaring them."""
    needs_crs: ClassVar[bool] = True
    """False for a model on a plane, whose input needs no place on Earth: then its absence is no warning."""

    def __init_subclass__(cls, *, register: bool = True, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if register and "name" in cls.__dict__:  # an inherited name stays its parent's
            ExecutorRegistry.register(cls)

    def validate(self, record: ExperimentRecord) -> None:  # noqa: B027 -- optional by contract
        """
        Check the record before anything is read; raise ValueError with what to do.

        Parameters
        ----------
        record : ExperimentRecord
            With its parameters resolved.
        """

    @abstractmethod
    def load(self, record: ExperimentRecord) -> Any:
        """
        Read the input; what is returned goes to :meth:`run`.

        Parameters
        ----------
        record : ExperimentRecord
            ``record.source`` says what to read.
        """

    @abstractmethod
    def run(self, data: Any, record: ExperimentRecord) -> Any:
        """
        Simulate; no I/O here.

        Parameters
        ----------
        data : object
            What :meth:`load` returned.
        record : ExperimentRecord
            ``record.parameters`` holds the resolved parameters.
        """

    @abstractmethod
    def save(self, result: Any, record: ExperimentRecord) -> ExperimentRecord:
        """
        Write the result to ``record.output_path`` and return the record.

        Parameters
        ----------
        result : object
            What :meth:`run` returned.
        record : ExperimentRecord
            ``record.output_path`` is chosen before this phase; its folder exists.
        """

    @classmethod
    def default_source(cls, folder: Path) -> DataSource | None:  # noqa: ARG003
        """
        Provide a sample input for a run that names none.

        Parameters
        ----------
        folder : Path
            Where a sample file may be written, once.

        Returns
        -------
        DataSource or None
            None when the model has no sample input.
        """
        return None

    def parameters(self, record: ExperimentRecord) -> Any:
        """
        Return the record's parameters as an instance of the declared ``Parameters``.

        Parameters
        ----------
        record : ExperimentRecord
            Its ``parameters`` are validated again, so a hand-made record works too.

        Raises
        ------
        TypeError
            When the executor declares no ``Parameters``.
        pydantic.ValidationError
            When a value does not fit.
        """
        if self.Parameters is None:
            raise TypeError(f"{type(self).__name__} declares no Parameters; read record.parameters instead.")
        return validated(self.Parameters, record.parameters)


def validated(schema: type[BaseModel], values: Mapping[str, Any]) -> BaseModel:
    """
    Return values as an instance of a schema; a field is known by its name and by its alias.

    Parameters
    ----------
    schema : type
        Declared parameters.
    values : mapping
        Name or alias -> value.

    Raises
    ------
    pydantic.ValidationError
        When a value does not fit.

    Examples
    --------
    >>> from pydantic import create_model, Field
    >>> P = create_model("P", a=(int, Field(1, alias="rate")))
    >>> validated(P, {"rate": 5}).a, validated(P, {"a": 5}).a
    (5, 5)
    """
    return schema.model_validate(dict(values), by_alias=True, by_name=True)


class ExecutorRegistry:
    """
    Model names and the executors that own them.

    Examples
    --------
    >>> ExecutorRegistry.get("no_such_model_at_all")
    Traceback (most recent call last):
    dissmodel_lab.errors.ExecutorNotFoundError: No executor is registered as 'no_such_model_at_all'. Known: ...
    """

    _executors: ClassVar[dict[str, type[ModelExecutor]]] = {}

    @classmethod
    def register(cls, executor_class: type[ModelExecutor]) -> None:
        """
        Make an executor known by its name; warn when the name had another owner.

        Raises
        ------
        TypeError
            When the name is not a non-empty string.
        """
        name = executor_class.name
        if not isinstance(name, str) or not name.strip():
            raise TypeError(
                f"{executor_class.__name__}.name must be a non-empty string, got {name!r}. "
                "Write for example: name = 'coastal_flood'."
            )
        owner = cls._executors.get(name)
        if owner is not None and _identity(owner) != _identity(executor_class):
            warnings.warn(
                f"The model name {name!r} belonged to {_identity(owner)} and now belongs to "
                f"{_identity(executor_class)}. Give one of them another name, or name the one you mean by "
                "its import path 'package.module:Class'.",
                ExecutorNameWarning,
                stacklevel=4,  # register, __init_subclass__, abc: the class statement
            )
        cls._executors[name] = executor_class

    @classmethod
    def get(cls, name: str) -> type[ModelExecutor]:
        """
        Return the executor class that owns a name.

        Raises
        ------
        ExecutorNotFoundError
            When no executor has that name.
        """
        if name not in cls._executors:
            raise ExecutorNotFoundError(
                message(
                    "No executor is registered as {name!r}. {did_you_mean}",
                    name=name,
                    did_you_mean=did_you_mean(name, cls.list()),
                )
            )
        return cls._executors[name]

    @classmethod
    def list(cls) -> list[str]:
        """Return all registered names, sorted."""
        return sorted(cls._executors)


def _identity(executor_class: type[ModelExecutor]) -> str:
    # Running a cell again makes a new class of the same identity: no change of owner.
    return f"{executor_class.__module__}:{executor_class.__qualname__}"
