"""Pin what Binder installs: resolve the project's run-time needs to wheels and write requirements.txt.

Run from the repository: ``python binder/pin.py``. Nothing is installed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEADER = """\
# Exact wheels for Binder, written by `python binder/pin.py`. The project itself is added by postBuild.
"""


def main() -> int:
    """Resolve and write."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needs = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["arrays"],
        *project["project"]["optional-dependencies"]["dask"],
        *project["project"]["optional-dependencies"]["export"],
        *project["project"]["optional-dependencies"]["notebook"],
        *project["project"]["optional-dependencies"]["dissmodel"],
        "disslucc>=0.5",  # the models of notebook 03
        *project["build-system"]["requires"],
        "ipykernel>=7.4",  # Binder's base image has 7.0.1, whose threads cannot touch widgets
    ]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        options = ["--dry-run", "--ignore-installed", "--only-binary=:all:", "--quiet", "--report", str(report)]
        subprocess.run([sys.executable, "-m", "pip", "install", *options, *needs], check=True)
        resolved = json.loads(report.read_text(encoding="utf-8"))["install"]
    pins = sorted(f"{item['metadata']['name'].lower()}=={item['metadata']['version']}" for item in resolved)
    (ROOT / "binder" / "requirements.txt").write_text(HEADER + "\n".join(pins) + "\n", encoding="utf-8")
    print(f"{len(pins)} wheels pinned")
    return 0


if __name__ == "__main__":
    sys.exit(main())
