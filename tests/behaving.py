"""A model that does to its process what it is told to, and jobs for it; for the tests of engines."""

from __future__ import annotations

import time
from pathlib import Path
from uuid import uuid4

import psutil

from dissmodel_lab.jobs import Job

#: Source, to be written to ``models.py`` behind the imports that what it is told to do needs.
BEHAVING = '''
class Behaving(ModelExecutor):
    """Does to its process what it is told to."""
    name = "behaving"
    def load(self, record):
        return 1
    def run(self, data, record):
        exec(record.parameters["do"])
        return "done"
    def save(self, result, record):
        Path(record.output_path).write_text(result)
        return record
'''
#: A loop of C looks neither for signals nor lets another thread of Python work.
C_LOOP = "Path('started').touch(); sum(range(10**13))"


def job(do="pass", **changes):
    facts = {
        "model": "models:Behaving",
        "parameters": {"do": do},
        "store": str(Path("runs").absolute()),
        "working_folder": str(Path.cwd()),
        "experiment_id": uuid4().hex,
        "folder_name": uuid4().hex[:12],
        **changes,
    }
    return Job(**facts)


def started(name="started", seconds=20):
    """Wait for the file that a run makes when it is at work, and take it away."""
    deadline = time.monotonic() + seconds
    while not Path(name).exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    Path(name).unlink()


def command_of(process):
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
