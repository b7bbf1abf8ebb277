"""What people who test their executors get: a harness, and fakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from dissmodel_lab.executor import ExecutorTestHarness, ExperimentRecord, ModelExecutor, execute_lifecycle
from dissmodel_lab.executor.testing import FailingExecutor, SteppingExecutor

MISSING = "required positional argument"


class Honest(SteppingExecutor, register=False):
    """Keeps the contract."""

    name = "honest"

    def save(self, result, record):
        record.output_sha256 = "0123456789abcdef"
        return record


class OldRun(Honest, register=False):
    """run() as it was before data came with it."""

    def run(self, record):
        return None


class Spaced(Honest, register=False):
    """A name that no command line can hold."""

    name = "two words"


class Unfinished(ModelExecutor, register=False):
    """save() is missing."""

    name = "unfinished"

    def load(self, record):
        return None

    def run(self, data, record):
        return None


class Demanding(Honest, register=False):
    """Cannot be made without arguments."""

    def __init__(self, years):
        self.years = years


def test_a_good_executor_passes(capsys):
    harness = ExecutorTestHarness(Honest)
    assert harness.run_contract_tests() is True
    assert len(harness.passed) == 6
    assert harness.failed == []
    assert capsys.readouterr().out.endswith("  6 passed, 0 failed\n")


@pytest.mark.parametrize(
    ("executor", "failed"),
    [
        (OldRun, ["run(data, record) can be called: too many positional arguments; its signature is (self, record)"]),
        (Spaced, ["name is a non-empty string without spaces: got 'two words'"]),
        (
            Demanding,
            [f"an instance can be made: TypeError: Demanding.__init__() missing 1 {MISSING}: 'years'"],
        ),
        (dict, None),
    ],
)
def test_a_broken_executor_is_told_what_is_wrong(executor, failed, capsys):
    harness = ExecutorTestHarness(executor)
    assert harness.run_contract_tests() is False
    if failed is not None:
        assert harness.failed == failed
        assert f"  FAIL  {failed[0]}\n" in capsys.readouterr().out
    else:
        assert "load(record) can be called: it is not written yet" in harness.failed
        assert "name is a non-empty string without spaces: got None" in harness.failed


def test_an_abstract_method_is_not_written_yet():
    harness = ExecutorTestHarness(Unfinished)
    assert not harness.run_contract_tests()
    assert harness.failed[0] == "save(result, record) can be called: it is not written yet"
    assert harness.failed[1].startswith("an instance can be made: TypeError: Can't instantiate abstract class")


def test_a_second_check_starts_anew():
    harness = ExecutorTestHarness(Spaced)
    harness.run_contract_tests()
    harness.run_contract_tests()
    assert len(harness.failed) == 1


def test_sample_run_completes(capsys):
    record = ExperimentRecord(parameters={"n_steps": 4})
    assert ExecutorTestHarness(Honest).run_with_sample_data(record) is True
    assert record.status == "completed"
    out = capsys.readouterr().out
    assert out.startswith("completed in ")
    assert out.endswith(" s\n")


def test_sample_run_without_a_record(capsys):
    assert ExecutorTestHarness(Honest).run_with_sample_data() is True
    assert "completed" in capsys.readouterr().out


def test_sample_run_without_output(capsys):
    assert ExecutorTestHarness(SteppingExecutor).run_with_sample_data(ExperimentRecord()) is False
    assert capsys.readouterr().out == "save() left no file at record.output_path and no record.output_sha256\n"


def test_sample_run_takes_the_models_own_sample(capsys):
    from dissmodel_lab.models import CoastalFlood

    assert ExecutorTestHarness(CoastalFlood).run_with_sample_data() is True
    assert capsys.readouterr().out.startswith("completed in ")


def test_sample_run_that_fails_shows_where(capsys):
    assert ExecutorTestHarness(FailingExecutor).run_with_sample_data() is False
    out = capsys.readouterr().out
    assert out.startswith("failed in phase run\nTraceback (most recent call last):\n")
    assert out.rstrip().endswith("RuntimeError: broken on purpose in run")


def test_the_fake_writes_where_it_is_told():
    record = ExperimentRecord(parameters={"n_steps": 4}, output_path="steps.txt")
    execute_lifecycle(SteppingExecutor(), record)
    assert Path("steps.txt").read_text(encoding="utf-8") == "4\n"


@pytest.mark.parametrize("phase", ["validate", "load", "run", "save"])
def test_the_failing_fake_fails_where_it_is_told(phase):
    with pytest.raises(RuntimeError, match=f"^broken on purpose in {phase}$"):
        execute_lifecycle(FailingExecutor(phase), ExperimentRecord())


def test_the_failing_fake_knows_four_phases():
    with pytest.raises(ValueError, match="'think' is not a valid Phase"):
        FailingExecutor("think")
