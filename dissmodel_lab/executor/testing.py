"""For people who test: a harness that checks the contract, and fakes that break it on purpose."""

from __future__ import annotations

import inspect
import tempfile
import traceback
from pathlib import Path
from typing import Any

from dissmodel_lab.executor.base import ModelExecutor
from dissmodel_lab.executor.events import Phase
from dissmodel_lab.executor.lifecycle import execute_lifecycle, report_step
from dissmodel_lab.executor.schemas import DataSource, ExperimentRecord, RunStatus


class ExecutorTestHarness:
    """
    Check that an executor keeps the contract; in a notebook before a pull request, or in CI.

    Parameters
    ----------
    executor_cls : type
        The executor's class.

    Examples
    --------
    >>> harness = ExecutorTestHarness(SteppingExecutor)
    >>> harness.run_contract_tests()
    ExecutorTestHarness: SteppingExecutor
      ok    name is a non-empty string without spaces
      ok    validate(record) can be called
      ok    load(record) can be called
      ok    run(data, record) can be called
      ok    save(result, record) can be called
      ok    an instance can be made
      6 passed, 0 failed
    True
    """

    def __init__(self, executor_cls: type[Any]) -> None:
        self.executor_cls = executor_cls
        self.passed: list[str] = []
        self.failed: list[str] = []

    def run_contract_tests(self) -> bool:
        """
        Check the class's shape; no data is needed.

        Returns
        -------
        bool
            True when every check passed; the checks are printed.
        """
        self.passed, self.failed = [], []
        name = getattr(self.executor_cls, "name", None)
        is_name = isinstance(name, str) and bool(name) and not any(c.isspace() for c in name)
        self._note("name is a non-empty string without spaces", "" if is_name else f"got {name!r}")
        for method, arguments in _SIGNATURES.items():
            call = f"{method}({', '.join(arguments)})"
            self._note(f"{call} can be called", _signature_problem(self.executor_cls, method, len(arguments)))
        self._note("an instance can be made", self._construction_problem())
        self._print()
        return not self.failed

    def run_with_sample_data(self, record: ExperimentRecord | None = None) -> bool:
        """
        Run the whole lifecycle.

        Parameters
        ----------
        record : ExperimentRecord, optional
            Names the input and parameters; when not given, the executor's own sample input is used and the
            output goes to a folder that is removed afterwards.

        Returns
        -------
        bool
            True when the run completed and left an output: a file at ``record.output_path``, or a hash in
            ``record.output_sha256``. Otherwise the reason is printed.

        Examples
        --------
        >>> ExecutorTestHarness(SteppingExecutor).run_with_sample_data()
        completed in ... s
        True
        """
        with tempfile.TemporaryDirectory() as folder:
            sample = record if record is not None else self._sample_record(Path(folder))
            try:
                done, timings = execute_lifecycle(self.executor_cls(), sample)
            except Exception:  # noqa: BLE001 -- the harness reports a model's failure, whatever it is
                print(f"failed in phase {sample.failed_phase}\n{traceback.format_exc()}")  # noqa: T201
                return False
            if not done.output_sha256 and not (done.output_path and Path(done.output_path).exists()):
                print("save() left no file at record.output_path and no record.output_sha256")  # noqa: T201
                return False
        print(f"completed in {timings['time_total_sec']:.3f} s")  # noqa: T201
        return True

    def _sample_record(self, folder: Path) -> ExperimentRecord:
        offered = getattr(self.executor_cls, "default_source", None)
        source = offered(folder) if callable(offered) else None
        suffix = getattr(self.executor_cls, "output_suffix", None) or ".tif"
        return ExperimentRecord(
            model_name=getattr(self.executor_cls, "name", ""),
            source=source or DataSource(),
            output_path=str(folder / f"output{suffix}"),
        )

    def _construction_problem(self) -> str:
        try:
            self.executor_cls()
        except Exception as error:  # noqa: BLE001 -- whatever the constructor raises is the finding
            return f"{type(error).__name__}: {error}"
        return ""

    def _note(self, check: str, problem: str) -> None:
        if problem:
            self.failed.append(f"{check}: {problem}")
        else:
            self.passed.append(check)

    def _print(self) -> None:
        lines = [f"ExecutorTestHarness: {self.executor_cls.__name__}"]
        lines += [f"  ok    {check}" for check in self.passed]
        lines += [f"  FAIL  {check}" for check in self.failed]
        lines.append(f"  {len(self.passed)} passed, {len(self.failed)} failed")
        print("\n".join(lines))  # noqa: T201


_SIGNATURES = {
    "validate": ("record",),
    "load": ("record",),
    "run": ("data", "record"),
    "save": ("result", "record"),
}


def _signature_problem(executor_cls: type[Any], method: str, n_arguments: int) -> str:
    function = getattr(executor_cls, method, None)
    if function is None or getattr(function, "__isabstractmethod__", False):
        return "it is not written yet"
    try:
        inspect.signature(function).bind(*range(n_arguments + 1))  # and self
    except TypeError as error:
        return f"{error}; its signature is {inspect.signature(function)}"
    return ""


class SteppingExecutor(ModelExecutor, register=False):
    """
    A fake that completes: it counts ``parameters["n_steps"]`` steps and writes the count as text.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord, execute_lifecycle
    >>> record, _ = execute_lifecycle(SteppingExecutor(), ExperimentRecord(parameters={"n_steps": 5}))
    >>> record.metrics["n_steps"]
    5
    """

    name = "testing_stepping"

    def load(self, record: ExperimentRecord) -> int:
        """Return the number of steps."""
        return int(record.parameters.get("n_steps", 3))

    def run(self, data: int, record: ExperimentRecord) -> int:  # noqa: ARG002
        """Report each step."""
        for step in range(1, data + 1):
            report_step(step, data)
        return data

    def save(self, result: int, record: ExperimentRecord) -> ExperimentRecord:
        """Write the count, where an output path is set."""
        record.metrics["n_steps"] = result
        if record.output_path:
            with open(record.output_path, "w", encoding="utf-8") as file:  # noqa: PTH123
                file.write(f"{result}\n")
        record.status = RunStatus.COMPLETED.value
        return record


class FailingExecutor(SteppingExecutor, register=False):
    """
    A fake that raises in one phase.

    Parameters
    ----------
    phase : str
        ``validate``, ``load``, ``run`` or ``save``.
    error : BaseException, optional
        What to raise; a RuntimeError when not given.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord, execute_lifecycle
    >>> record = ExperimentRecord()
    >>> execute_lifecycle(FailingExecutor("load"), record)
    Traceback (most recent call last):
    RuntimeError: broken on purpose in load
    >>> record.status, record.failed_phase, sorted(record.phases)
    ('failed', 'load', ['load', 'validate'])
    """

    name = "testing_failing"

    def __init__(self, phase: str = "run", error: BaseException | None = None) -> None:
        self._phase = Phase(phase)
        self._error = error if error is not None else RuntimeError(f"broken on purpose in {phase}")

    def _maybe(self, phase: Phase) -> None:
        if phase is self._phase:
            raise self._error

    def validate(self, record: ExperimentRecord) -> None:  # noqa: ARG002
        """Raise, if this is the phase."""
        self._maybe(Phase.VALIDATE)

    def load(self, record: ExperimentRecord) -> int:
        """Raise, if this is the phase."""
        self._maybe(Phase.LOAD)
        return super().load(record)

    def run(self, data: int, record: ExperimentRecord) -> int:
        """Raise, if this is the phase."""
        self._maybe(Phase.RUN)
        return super().run(data, record)

    def save(self, result: int, record: ExperimentRecord) -> ExperimentRecord:
        """Raise, if this is the phase."""
        self._maybe(Phase.SAVE)
        return super().save(result, record)
