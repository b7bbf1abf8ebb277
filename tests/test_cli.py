"""The terminal: exit codes, streams, JSON, signals, and a modeller's own file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dissmodel_lab import ExperimentRecord, __version__
from dissmodel_lab.cli import main

MODEL_FILE = """
import sys, time
from pydantic import Field
from dissmodel_lab import ModelExecutor, Parameters, run_cli

class CountParameters(Parameters):
    years: int = Field(3, ge=1, le=50, json_schema_extra={"unit": "yr"})

class Count(ModelExecutor):
    "Count years."
    name = "count"
    Parameters = CountParameters
    def load(self, record): return 0
    def run(self, data, record):
        print("a model may print")
        if record.parameters["years"] == 13: raise ValueError("13 is unlucky")
        if record.parameters["years"] == 50:
            open("running", "w").close()
            time.sleep(60)
        return str(record.parameters["years"])
    def save(self, result, record):
        open(record.output_path, "w").write(result)
        return record

if __name__ == "__main__":
    run_cli(Count)
"""


@pytest.fixture
def model_file(workspace):
    """A modeller's own file."""
    (workspace / "count.py").write_text(MODEL_FILE)
    return workspace / "count.py"


def call(*words, **options):
    """Run a program to its end."""
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=60, **options)


def program(*words):
    """Run the installed command."""
    return subprocess.run(
        [Path(sys.executable).with_name("dissmodel-lab"), *words], capture_output=True, text=True, timeout=120
    )


def test_json_prints_the_record_alone_and_pypi_dissmodel_loads_it():
    from dissmodel.executor.schemas import ExperimentRecord as UpstreamRecord

    done = program("run", "coastal_flood", "--json")
    assert done.returncode == 0
    record = UpstreamRecord.model_validate_json(done.stdout)
    assert record.status == "completed"
    assert record.output_sha256 == ExperimentRecord.model_validate_json(done.stdout).artifacts["output"]
    assert record.metrics["flooded_cells"] > 0
    assert "validate  done" in done.stderr


def test_own_file_runs(model_file):
    done = call("count.py", "run", "--param", "years=7")
    assert done.returncode == 0, done.stderr
    first, second, *_ = done.stdout.splitlines()
    assert first == "a model may print"
    assert second.startswith("count: completed (run ")
    [record] = Path("experiments").glob("*/record.json")
    kept = ExperimentRecord.model_validate_json(record.read_text())
    assert kept.provenance.command == "python count.py run --param years=7"
    assert kept.parameters == {"years": 7}


def test_json_of_own_file_is_json_even_when_the_model_prints(model_file):
    done = call("count.py", "run", "--json")
    assert json.loads(done.stdout)["status"] == "completed"
    assert "a model may print" in done.stderr


def test_own_exception_keeps_its_traceback(model_file):
    done = call("count.py", "run", "--param", "years=13")
    assert done.returncode == 1
    assert 'raise ValueError("13 is unlucky")' in done.stderr
    assert "The record of this run is experiments/" in done.stderr
    assert "count: failed (run " in done.stdout


def test_mistake_is_one_line(model_file):
    done = call("count.py", "run", "--param", "years=99")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "Error: count cannot run with these parameters. years: 1 to 50 is allowed, got 99."
    )
    assert "Traceback" not in done.stderr


def test_own_file_validates_and_shows(model_file):
    done = call("count.py", "validate", "--param", "years=5")
    assert (done.returncode, done.stdout) == (0, "count can run.\n  years = 5\n")
    assert not list(Path("experiments").glob("*/record.json"))
    call("count.py", "run")
    shown = call("count.py", "show", "last", "--json")
    assert json.loads(shown.stdout)["model_name"] == "count"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_cancels(model_file, number):
    process = subprocess.Popen(
        [sys.executable, "count.py", "run", "--param", "years=50"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not Path("running").exists():
        time.sleep(0.02)
    time.sleep(0.1)
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "count: cancelled (run " in out
    assert "Traceback" not in err
    [record] = Path("experiments").glob("*/record.json")
    assert ExperimentRecord.model_validate_json(record.read_text()).status == "cancelled"


def test_listing(capsys):
    assert main(["runs"]) == 0
    assert capsys.readouterr().out == "No runs yet. Start one with: run MODEL\n"
    assert main(["run", "game_of_life", "--param", "generations=2"]) == 0
    assert main(["run", "game_of_life", "--param", "generations=-2"]) == 2
    capsys.readouterr()
    assert main(["runs", "--json", "--limit", "1"]) == 0
    [newest] = json.loads(capsys.readouterr().out)
    assert newest["status"] == "failed"
    assert newest["model"] == "game_of_life"
    assert main(["show", newest["experiment_id"][:8]]) == 0
    assert "validate: ParameterError: game_of_life cannot run" in capsys.readouterr().out


def test_models(capsys):
    assert main(["models", "--json"]) == 0
    names = [row["model"] for row in json.loads(capsys.readouterr().out)]
    assert {"coastal_flood", "forest_fire", "game_of_life"} <= set(names)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rnu"], "Error: dissmodel-lab has no command 'rnu'. Did you mean 'run'?"),
        (["run"], "Error: dissmodel-lab run needs a model: a name, package.module:Class, or a .toml file."),
        (["form", "coastal_flood"], "Error: dissmodel-lab has no command 'form'."),
        (["run", "game_of_life", "--outptu", "x"], "Error: dissmodel-lab run has no option '--outptu'."),
        (["run", "game_of_life", "--param", "years"], "Error: --param takes name=value, got 'years'."),
        (["run", "game_of_life", "--toml", "no.toml"], "Error: The TOML file 'no.toml' cannot be read: No such file"),
        (["show", "abc"], "Error: No run in 'experiments' begins with 'abc'. Newest: none yet."),
        (["run", "no.module:Model"], "Error: 'no.module:Model' names a module that is not installed: 'no'."),
    ],
)
def test_mistakes(capsys, words, message):
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_help_names_every_command(capsys):
    assert main([]) == 0
    text = capsys.readouterr().out
    assert all(command in text for command in ("models", "run", "validate", "show", "runs", "help"))
    assert main(["run", "--help"]) == 0
    assert "--param" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"dissmodel_lab {__version__}\n"


def test_version_of_the_distribution_is_that_of_the_package():
    from importlib.metadata import version

    assert version("dissmodel_lab") == __version__
