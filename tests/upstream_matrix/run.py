"""
``make test-upstream``: ``tests/test_upstream.py`` against the oldest, some older and the newest ``dissmodel``.

Each version gets a virtual environment of its own in the project's folder, which is kept for the next time.
No pins are needed: pip takes numpy 1 before 0.6 from the package's own bounds, which excludes Python 3.13 there.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: The first one that takes numpy 2, without which Python 3.13 has no numpy.
NUMPY_2 = (0, 6)

#: Schedulers differ: salabim (0.4), exclusive end (0.5), inclusive end (0.6). 0.5.0 and 0.5.1 end differently.
VERSIONS = {
    "0.4.0": [],
    "0.4.1": [],
    "0.5.0": [],
    "0.5.1": [],
    "0.6.0": [],
    "0.6.6": ["disslucc==0.5.0"],
}
TOOLS = ["pytest>=8.3", "pytest-randomly>=3.16", "pytest-timeout>=2.3"]


def main() -> int:
    """Make what is missing, run the tests in each environment, print a table; 1 when one failed."""
    options = _options()
    results = {version: _tested(version, options.pytest) for version in options.versions}
    print("\ndissmodel  tests")
    for version, result in results.items():
        print(f"{version:9}  {result}")
    return 0 if all(result.startswith(("passed", "not tested")) for result in results.values()) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Test against several versions of dissmodel.")
    parser.add_argument("--versions", type=_versions, default=list(VERSIONS), help=f"of {','.join(VERSIONS)}")
    parser.add_argument("pytest", nargs="*", help="further words for pytest")
    return parser.parse_args()


def _versions(text: str) -> list[str]:
    versions = text.split(",")
    unknown = [version for version in versions if version not in VERSIONS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(VERSIONS)}")
    return versions


def _tested(version: str, words: list[str]) -> str:
    print(f"\n== dissmodel {version}", flush=True)
    if sys.version_info >= (3, 13) and tuple(int(number) for number in version.split(".")[:2]) < NUMPY_2:
        return "not tested: it needs numpy 1, so Python 3.11 or 3.12"
    try:
        python = _environment(version)
    except subprocess.CalledProcessError as error:
        return f"NOT INSTALLED: pip ended with {error.returncode}"
    command = [python, "-m", "pytest", "-q", "tests/test_upstream.py", "-p", "no:cacheprovider", *words]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "MPLBACKEND": "agg"}, stdout=subprocess.PIPE, text=True
    )
    print(done.stdout, flush=True)
    summary = (done.stdout.strip().splitlines() or ["no output"])[-1].strip("= ")
    return f"{'passed' if done.returncode == 0 else 'FAILED'}: {summary}"


def _environment(version: str) -> Path:
    folder = ROOT / f".venv-upstream-{version}"
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    wanted = [f"dissmodel=={version}", *VERSIONS[version], *TOOLS]
    done = folder / ".installed"
    pins = "\n".join([*wanted, (ROOT / "pyproject.toml").read_text()])
    if done.is_file() and done.read_text() == pins:
        return python
    if not python.is_file():
        venv.create(folder, with_pip=True)
    (folder / ".gitignore").write_text("*\n")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--editable", str(ROOT), *wanted], check=True)
    done.write_text(pins)
    return python


if __name__ == "__main__":
    sys.exit(main())
