"""Start JupyterLab, Notebook 7 or Voila on this machine and drive it in Chromium, as a person would."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import axe_playwright_python

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# What Jupyter itself complains of, with no notebook of ours open.
NOT_OURS = (
    "shared singleton module",
    "ERR_NAME_NOT_RESOLVED",
    "ERR_INTERNET_DISCONNECTED",
    "wrong listener type",
    "is duplicated",
    "yjs#509",
    "(reading 'schema')",
    "No satisfying version",
    "Unsatisfied version",
    "strict mode: use allowUnionTypes",
)
READY = """() => {
  const app = window.jupyterapp; if (!app || !app.shell) return false;
  const panel = app.shell.currentWidget, context = panel && panel.sessionContext;
  const kernel = context && context.session && context.session.kernel;
  return !!(panel && panel.context && panel.context.isReady && context.isReady && kernel &&
            kernel.connectionStatus === 'connected' && kernel.status === 'idle');
}"""
OUTPUTS = """() => jupyterapp.shell.currentWidget.content.widgets.map(cell => {
  const model = cell.model.toJSON();
  return {type: model.cell_type, count: model.execution_count ?? null, outputs: model.outputs || []};
})"""
STARTED = """() => [...document.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt')]
  .some(prompt => /\\[(\\*|\\d+)\\]/.test(prompt.textContent))"""


class Server:
    """A Jupyter server with settings, data and workspace of its own."""

    def __init__(self, root: Path, kind: str = "lab", language: str = "en") -> None:
        self.root, self.kind, self.language = root, kind, language
        self._home = Path(tempfile.mkdtemp(prefix="dissmodel-lab-browser-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self._write_settings()
        self._log = (self._home / "server.log").open("wb")
        self._process = subprocess.Popen(
            self._command(),
            env=self._environment(),
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._wait()

    def _write_settings(self) -> None:
        folder = self._home / "settings/@jupyterlab/apputils-extension"
        folder.mkdir(parents=True)
        quiet = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
        (folder / "notification.jupyterlab-settings").write_text(json.dumps(quiet))

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "DISSMODEL_LAB_LANG": self.language,
            "JUPYTER_CONFIG_DIR": str(self._home / "config"),
            "JUPYTER_DATA_DIR": str(self._home / "data"),
            "JUPYTER_RUNTIME_DIR": str(self._home / "runtime"),
            "IPYTHONDIR": str(self._home / "ipython"),
            "JUPYTERLAB_SETTINGS_DIR": str(self._home / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(self._home / "workspaces"),
        }

    def _command(self) -> list[str]:
        programs = Path(sys.executable).parent
        if self.kind == "voila":
            return [
                str(programs / "voila"),
                f"--port={self.port}",
                "--Voila.ip=127.0.0.1",
                "--no-browser",
                "--show_tracebacks=True",
                str(self.root),
            ]
        return [
            str(programs / f"jupyter-{self.kind}"),
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={self.port}",
            "--ServerApp.port_retries=0",
            "--ServerApp.open_browser=False",
            "--allow-root",
            "--IdentityProvider.token=",
            "--ServerApp.password=",
            "--ServerApp.disable_check_xsrf=True",
            f"--ServerApp.root_dir={self.root}",
            "--LabApp.news_url=None",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            "--LabApp.extension_manager=readonly",
            "--expose-app-in-browser",
        ]

    def _wait(self) -> None:
        deadline = time.monotonic() + 90
        probe = self.address + ("/" if self.kind == "voila" else "/api/status")
        while True:
            try:
                urllib.request.urlopen(probe, timeout=2)
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(Path(self._log.name).read_text()[-3000:]) from None
                time.sleep(0.1)

    def end_sessions(self, path: str = "") -> None:
        """Shut down every kernel, or that of one notebook."""
        for session in json.load(urllib.request.urlopen(self.address + "/api/sessions")):
            if path not in ("", session["path"]):
                continue
            request = urllib.request.Request(f"{self.address}/api/sessions/{session['id']}", method="DELETE")
            try:
                urllib.request.urlopen(request)
            except urllib.error.HTTPError as error:
                if error.code != 404:  # it ended by itself
                    raise

    def stop(self) -> None:
        """End the server."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(60)
        self._log.close()
        shutil.rmtree(self._home, ignore_errors=True)


class Notebook:
    """A notebook open in the browser."""

    def __init__(self, page: Any, server: Server, path: str, *, wait: bool = True) -> None:
        self.page, self.server, self.path = page, server, path
        self.complaints: list[str] = []
        page.on("console", lambda message: self._note(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self._note(str(error)))
        where = f"/lab/tree/{path}?reset" if server.kind == "lab" else f"/notebooks/{path}"
        page.goto(server.address + where)
        if wait:
            page.wait_for_function(READY, timeout=90_000, polling=100)

    def _note(self, text: str) -> None:
        if not any(known in text for known in NOT_OURS):
            self.complaints.append(text)

    def command(self, name: str) -> None:
        """Start a command of Jupyter's; never wait for its promise inside of the page, which has no limit."""
        self.page.evaluate(
            "name => { window.__done = false; const done = () => { window.__done = true }; "
            "jupyterapp.commands.execute(name).then(done, done) }",
            name,
        )

    def wait_done(self, seconds: float = 120) -> None:
        """Wait until the command is over."""
        self.page.wait_for_function("() => window.__done === true", timeout=seconds * 1000, polling=50)

    def run_all(self, seconds: float = 180, *, wait: bool = True) -> None:
        """Run all cells; a run that is asked for too early is dropped without a word, so it is asked for again."""
        for attempt in range(3):
            self.command("notebook:run-all-cells")
            try:
                self.page.wait_for_function(STARTED, timeout=5000, polling=50)
                break
            except Exception:
                if attempt == 2:
                    raise
        if wait:
            self.wait_done(seconds)

    def save(self) -> None:
        """Save the notebook."""
        self.command("docmanager:save")
        self.wait_done(30)

    def cells(self) -> list[dict[str, Any]]:
        """Return type, prompt and outputs of each cell."""
        return self.page.evaluate(OUTPUTS)

    def errors(self) -> list[str]:
        """Return the names and messages of the cells' errors."""
        return [
            f"{output['ename']}: {output['evalue']}"
            for cell in self.cells()
            for output in cell["outputs"]
            if output["output_type"] == "error"
        ]

    def broken_widgets(self) -> int:
        """Count the widgets that could not be drawn."""
        return self.page.locator("text=/Click to show javascript error|Error displaying widget/").count()


def set_up(server: Server, plugin: str, **values: Any) -> None:
    """Change settings of JupyterLab's, as its settings editor does."""
    request = urllib.request.Request(
        f"{server.address}/lab/api/settings/@jupyterlab/{plugin}",
        data=json.dumps({"raw": json.dumps(values)}).encode(),
        headers={"Content-Type": "application/json"},
        method="PUT",
    )
    urllib.request.urlopen(request).close()


# What axe-core finds in the elements of a selector, as lines to read; moderate findings are kept out of it.
AXE = """async selector => {
  const include = [...document.querySelectorAll(selector)];
  if (!include.length) return [`nothing on the page is ${selector}`];
  const found = await axe.run({include}, {resultTypes: ['violations']});
  return found.violations.filter(one => ['serious', 'critical'].includes(one.impact)).flatMap(
    one => one.nodes.map(node => `${one.impact} ${one.id}: ${node.html.slice(0, 240)} -- ${node.failureSummary}`));
}"""


def axe_findings(page: Any, selector: str) -> list[str]:
    """Return what axe-core finds serious or critical in the elements of a selector."""
    if not page.evaluate("() => 'axe' in window"):
        script = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
        # Not page.evaluate(): axe looks for a module loader, and JupyterLab has one.
        page.evaluate(
            "source => document.head.append(Object.assign(document.createElement('script'), {text: source}))", script
        )
        page.wait_for_function("() => 'axe' in window")
    return page.evaluate(AXE, selector)
