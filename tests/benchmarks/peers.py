"""The peers that are not dependencies: installed once, in a virtual environment of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

from machine import ROOT, last_line

FOLDER = ROOT / ".venv-peers"
PACKAGES = (
    "mlflow",
    "sacred",
    "papermill",
    "leafmap",
    "localtileserver",
    "folium",
    "rio_tiler",
    "rioxarray",
    "lonboard",
    "datashader",
)
_ANSWER = FOLDER / "peers.json"


def python() -> str:
    """Return the peers' interpreter."""
    return str(FOLDER / ("Scripts" if os.name == "nt" else "bin") / "python")


def prepare() -> dict[str, str]:
    """Install the peers at first use; return for each why it is not available, or its version behind ``==``."""
    found: dict[str, str] = json.loads(_ANSWER.read_text(encoding="utf-8")) if _ANSWER.exists() else {}
    missing = [name for name in PACKAGES if name not in found]
    if missing:
        print(f"Installing {', '.join(missing)} in {FOLDER.name} (once; some minutes) ...", file=sys.stderr)
        if not found:
            venv.create(FOLDER, with_pip=True)
            (FOLDER / ".gitignore").write_text("*\n", encoding="utf-8")
        problem = _pip(*missing)
        problems = {name: _pip(name) if problem else "" for name in missing}
        found |= {name: problems[name] or _importable(name) for name in missing}
        _ANSWER.write_text(json.dumps(found), encoding="utf-8")
    return found


def _pip(*packages: str) -> str:
    command = [python(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages, "ipykernel"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else last_line(done.stderr)


def _importable(package: str) -> str:
    code = f"import importlib.metadata as m, {package}; print('==' + m.version({package!r}))"
    done = subprocess.run([python(), "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    return last_line(done.stdout) if done.returncode == 0 else last_line(done.stderr)


def reason(answers: dict[str, str], package: str) -> str:
    """Return why a package is not available; empty when it is."""
    answer = answers[package]
    return "" if answer.startswith("==") else answer


def folder_of_work(base: Path, name: str) -> Path:
    """Make a folder for one of them."""
    folder = base / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
