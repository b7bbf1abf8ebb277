"""Where a run comes from: what is known is right, and what is not known stays empty."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from dissmodel_lab import processes, provenance
from dissmodel_lab.executor.testing import SteppingExecutor
from dissmodel_lab.provenance import Caller, collect_provenance, git_state, package_version, versions


def git(*words):
    command = ["git", "-c", "user.name=Ana", "-c", "user.email=ana@example.org", "-c", "commit.gpgsign=false", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(autouse=True)
def _forgotten_answers():
    provenance._git_question.cache_clear()
    yield
    provenance._git_question.cache_clear()


@pytest.fixture
def repository(workspace):
    """A repository with one commit and a tracked file."""
    git("init", "-q")
    (workspace / "study.ipynb").write_text("{}")
    (workspace / "sub").mkdir()
    (workspace / "sub" / "model.py").write_text("x = 1")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    return workspace


def fresh(path):
    provenance._git_question.cache_clear()
    return git_state(path)


def test_commit_and_cleanness(repository):
    head = git("rev-parse", "HEAD")
    for name in ("study.ipynb", "sub/model.py", "sub/not-there.py"):
        state = fresh(repository / name)
        assert (state.commit, state.dirty) == (head, False)
    assert fresh(Path("sub/model.py")).commit == head  # a relative path as well


def test_a_changed_file_makes_it_dirty_and_a_new_one_does_not(repository):
    (repository / "notes.txt").write_text("untracked")
    assert fresh(repository / "study.ipynb").dirty is False
    (repository / "study.ipynb").write_text("{ }")
    assert fresh(repository / "study.ipynb").dirty is True
    git("add", ".")
    assert fresh(repository / "study.ipynb").dirty is True
    git("commit", "-q", "-m", "second")
    assert fresh(repository / "study.ipynb").dirty is False


def test_before_the_first_commit(workspace):
    git("init", "-q")
    state = fresh(workspace / "study.ipynb")
    assert (state.commit, state.dirty) == ("", False)


def test_where_there_is_no_repository(workspace):
    assert fresh(workspace / "study.ipynb") is None
    assert fresh(None) is None


def test_installed_packages_do_not_count_inside_of_a_repository(repository):
    assert fresh(repository / ".venv" / "lib" / "site-packages" / "pkg" / "mod.py") is None
    assert fresh(repository / "dist-packages" / "mod.py") is None


def test_inside_of_a_git_hook_the_right_repository_is_asked(repository, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    git("init", "-q", str(other))
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    state = fresh(repository / "study.ipynb")
    monkeypatch.undo()
    assert state.commit == git("-C", str(repository), "rev-parse", "HEAD")


def test_without_git_nothing_is_known(repository, monkeypatch):
    monkeypatch.setenv("PATH", str(repository))
    assert fresh(repository / "study.ipynb") is None


def test_a_broken_repository_tells_nothing(workspace):
    (workspace / ".git").mkdir()
    assert fresh(workspace / "study.ipynb") is None


def test_git_is_not_asked_for_every_run(repository, monkeypatch):
    asked = []
    real = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **kw: (asked.append(1), real(*args, **kw))[1])
    moment = [1000.0]
    monkeypatch.setattr(provenance.time, "monotonic", lambda: moment[0])
    for _ in range(10):
        assert git_state(repository / "study.ipynb").dirty is False
    assert len(asked) == 1
    (repository / "study.ipynb").write_text("{ }")
    moment[0] += provenance._GIT_FRESH
    assert git_state(repository / "study.ipynb").dirty is True
    assert len(asked) == 2


def test_versions_are_those_that_are_installed():
    found = versions()
    assert found["python"] == platform.python_version()
    for name in ("numpy", "pydantic", "rasterio", "geopandas", "dissmodel_lab", "dissmodel"):
        assert found[name] == importlib.metadata.version(name)


def test_gdal_is_told_once_rasterio_is_loaded(monkeypatch):
    import rasterio

    assert versions()["gdal"] == rasterio.__gdal_version__
    monkeypatch.delitem(sys.modules, "rasterio")
    assert "gdal" not in versions()


def test_what_versions_returns_can_be_changed():
    versions()["python"] = "0"
    assert versions()["python"] == platform.python_version()


def test_package_version():
    assert package_version("numpy.linalg") == f"numpy=={importlib.metadata.version('numpy')}"
    import PIL.Image

    package_version.cache_clear()
    assert PIL.Image.__name__ in sys.modules
    pillow, mark, version = package_version("PIL.Image").partition("==")
    assert (pillow.lower(), mark, version) == ("pillow", "==", importlib.metadata.version("pillow"))
    assert package_version("__main__") == ""
    assert package_version("json.decoder") == ""
    assert package_version("a_loose_module_nobody_has") == ""


CELL = 'years = 5\nrun("flood", api_key="hunter2")'


def test_everything_that_a_door_knows(workspace):
    caller = Caller(
        cell_source=CELL, notebook_path="study.ipynb", execution_count=7, command="run flood --param token=hunter2"
    )
    found = collect_provenance(SteppingExecutor, caller)
    shown = 'years = 5\nrun("flood", api_key=***)'
    assert found.cell_source == shown
    assert found.cell_sha256 == hashlib.sha256(shown.encode()).hexdigest()
    assert found.notebook_path == "study.ipynb"
    assert found.notebook_git is None
    assert found.execution_count == 7
    assert found.command == "run flood --param token=***"
    assert found.executor_class == "dissmodel_lab.executor.testing:SteppingExecutor"
    assert found.executor_package == f"dissmodel_lab=={importlib.metadata.version('dissmodel_lab')}"
    assert found.working_folder == str(workspace)
    assert found.process_id == os.getpid()
    assert found.process_started == pytest.approx(psutil.Process().create_time())
    assert found.process_mark == processes.process_mark(os.getpid())
    assert found.cpu_count == os.cpu_count()
    assert found.memory_bytes == psutil.virtual_memory().total
    assert found.platform == platform.platform()
    assert found.seed is None


def test_without_a_cell_there_is_no_hash():
    found = collect_provenance(SteppingExecutor, Caller())
    assert (found.cell_source, found.cell_sha256, found.command) == ("", "", "")
    assert found.execution_count is None


def test_the_notebooks_repository_and_the_executors(repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository / "sub"))
    (repository / "sub" / "model_of_the_repository.py").write_text("class Model: pass")
    git("add", ".")
    git("commit", "-q", "-m", "second")
    import model_of_the_repository

    found = collect_provenance(model_of_the_repository.Model, Caller(notebook_path=str(repository / "study.ipynb")))
    head = git("rev-parse", "HEAD")
    assert found.executor_git.commit == found.notebook_git.commit == head
    assert found.executor_git.dirty is False
    assert found.executor_package == ""
    del sys.modules["model_of_the_repository"]


def test_a_class_of_a_cell_has_no_file():
    cell_class = type("Mine", (), {"__module__": "__main__"})
    found = collect_provenance(cell_class, Caller())
    assert found.executor_class == "__main__:Mine"
    assert found.executor_package == ""


def test_a_user_without_a_name(monkeypatch):
    def nobody():
        raise KeyError("uid not found")

    monkeypatch.setattr(provenance.getpass, "getuser", nobody)
    assert provenance._user() == ""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_process_that_has_ended_and_that_nobody_has_asked_about_is_gone():
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    try:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
        assert processes.process_started(child.pid) is None
    finally:
        child.wait()
