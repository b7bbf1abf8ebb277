"""What all tests share: an empty working folder, a clean registry, a real IPython, and the doors."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest
from doors import DESKS, DOORS, Desk, Door
from hypothesis import settings
from IPython.core.interactiveshell import InteractiveShell

from dissmodel_lab.executor import ExecutorRegistry

# The same examples at each `make test`: no rare one decides over somebody's change. `make fuzz` looks for those.
settings.register_profile("same", derandomize="DISSMODEL_LAB_EXAMPLES" not in os.environ)
settings.load_profile("same")
# A shell ignores Ctrl-C for what it starts in the background, and so would every process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Two files of one name cannot both be collected for doctests; they hold none.
collect_ignore = ["conftest.py"]


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    """Each test, doctests included, works in an empty folder of its own."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DISSMODEL_LAB_STORE", raising=False)
    monkeypatch.setenv("DISSMODEL_LAB_LANG", "en")
    monkeypatch.setenv("DISSMODEL_LAB_CACHE", str(tmp_path / "cache of inputs"))
    return folder


@pytest.fixture(autouse=True)
def registry():
    """Executors that a test registers are gone after it."""
    import dissmodel_lab.models  # noqa: F401 -- the built-in ones stay

    before = dict(ExecutorRegistry._executors)
    yield ExecutorRegistry
    ExecutorRegistry._executors.clear()
    ExecutorRegistry._executors.update(before)


@pytest.fixture(autouse=True)
def no_loop_of_the_browser(request):
    """Playwright leaves its loop marked as running in the thread; a test without a browser begins without one."""
    if request.node.get_closest_marker("browser"):
        yield
        return
    loop = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(loop)


@pytest.fixture
def shell(monkeypatch):
    """A real IPython with the extension loaded; what it displays is kept in ``shell.bundles``."""
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    bundles: list[dict[str, Any]] = []

    def publish(data, metadata=None, **kwargs):
        bundles.append(dict(data))

    monkeypatch.setattr(shell.display_pub, "publish", publish)
    shell.bundles = bundles
    shell.run_line_magic("load_ext", "dissmodel_lab")
    yield shell
    shell.run_line_magic("unload_ext", "dissmodel_lab")
    InteractiveShell.clear_instance()


@pytest.fixture(params=DESKS)
def desk(request):
    """Give a command on records through one door; the same test runs through function, magic and terminal."""
    return Desk(request)


@pytest.fixture(params=DOORS)
def door(request):
    """Run a model through one door; the same test runs through all four."""
    return Door(request)
