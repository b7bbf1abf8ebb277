"""
``make test-versions``: the fast tests with the oldest libraries that ``pyproject.toml`` allows, and with the newest.

Each set gets a virtual environment of its own in the project's folder, which is kept for the next time. The oldest
are pins made of the lower bounds, of what we depend on ourselves; what that depends on is left to the resolver, and
so are the tests' own tools. Versions of ``dissmodel`` are tested by ``make test-upstream``.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OLDEST, NEWEST = "oldest", "newest"
SETS = (OLDEST, NEWEST)
EXTRAS = "arrays,dask,export,notebook,platform"
#: Tools whose lower bounds are only there to help pip with the newest of the others.
ONLY_NEWEST = frozenset({"aiobotocore", "boto3"})
#: Not needed by the tests that run here.
UNUSED = frozenset({"jupyter-repo2docker", "mypy", "pandas-stubs", "playwright", "pre-commit", "ruff", "voila"})
#: What draws a browser or reads tools' output is tested by ``make test``, with the newest of everything.
MARKED = "not browser and not kernel"


def main() -> int:
    """Make what is missing, run the tests with each set, print a table; 1 when one failed."""
    options = _options()
    results = {name: _tested(name, options) for name in options.sets}
    print("\nversions  tests")
    for name, result in results.items():
        print(f"{name:8}  {result}")
    return 0 if all(result.startswith("passed") for result in results.values()) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Test with the oldest and the newest libraries.")
    parser.add_argument("--sets", type=_sets, default=list(SETS), help=f"of {','.join(SETS)}")
    parser.add_argument("--only-install", action="store_true", help="make the environments, run no tests")
    parser.add_argument("pytest", nargs="*", help="instead of all fast tests: files, and words for pytest")
    return parser.parse_args()


def _sets(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in SETS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(SETS)}")
    return names


def _tested(name: str, options: argparse.Namespace) -> str:
    print(f"\n== {name}", flush=True)
    try:
        python = _environment(name)
    except subprocess.CalledProcessError as error:
        return f"NOT INSTALLED: uv ended with {error.returncode}"
    if options.only_install:
        return "passed: installed"
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--numprocesses", "2", "--dist", "loadfile"]
    done = subprocess.run(
        [*command, *(options.pytest or ["-m", MARKED])],
        cwd=ROOT,
        env={**os.environ, "MPLBACKEND": "agg"},
        stdout=subprocess.PIPE,
        text=True,
    )
    print(done.stdout, flush=True)
    summary = (done.stdout.strip().splitlines() or ["no output"])[-1].strip("= ")
    return f"{'passed' if done.returncode == 0 else 'FAILED'}: {summary}"


def _environment(name: str) -> Path:
    """Return the interpreter of a set's environment; installed anew when ``pyproject.toml`` has changed."""
    folder = ROOT / f".venv-{name}"
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    done, text = folder / ".installed", (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    if done.is_file() and done.read_text(encoding="utf-8") == text:
        return python
    venv.create(folder, clear=True, with_pip=True)
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv>=0.5"], check=True)
    project = tomllib.loads(text)
    wanted = [f"{ROOT}[{EXTRAS}]", *tools(project, name)]
    pins = folder / "pins.txt"
    lowest = _pins(python, folder, lower_bounds(project)) if name == OLDEST else []
    pins.write_text("\n".join(lowest) + "\n", encoding="utf-8")
    uv = [python, "-m", "uv", "pip", "install", "--quiet", "--python", python]
    subprocess.run([*uv, "--constraint", pins, "--upgrade", "--editable", *wanted], check=True)
    done.write_text(text, encoding="utf-8")
    return python


def lower_bounds(project: dict) -> list[str]:
    """Return what we depend on, extras included, as ``pyproject.toml`` says it."""
    extras = project["project"]["optional-dependencies"]
    return [*project["project"]["dependencies"], *(one for extra in EXTRAS.split(",") for one in extras[extra])]


def tools(project: dict, name: str) -> list[str]:
    """Return the tests' own tools; beside the oldest libraries without bounds that ask for newer ones."""
    wanted = [one for one in project["dependency-groups"]["dev"] if name_of(one) not in UNUSED]
    if name == NEWEST:
        return wanted
    pinned = {name_of(one) for one in lower_bounds(project)}
    wanted = [one for one in wanted if name_of(one) not in ONLY_NEWEST]
    return [re.split(r"[<>=]", one)[0] if name_of(one) in pinned else one for one in wanted]


def name_of(requirement: str) -> str:
    """Return the name in a requirement, as pip writes it."""
    found = re.match(r"[\w.-]+", requirement)
    if found is None:
        raise ValueError(f"{requirement!r} names no package.")
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def _pins(python: Path, folder: Path, bounds: list[str]) -> list[str]:
    """Return the oldest version that there is of each of our own dependencies, as pins."""
    wanted = folder / "bounds.txt"
    wanted.write_text("\n".join(bounds) + "\n", encoding="utf-8")
    uv = [python, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--python", python]
    done = subprocess.run(
        [*uv, "--resolution", "lowest-direct", wanted], check=True, stdout=subprocess.PIPE, text=True
    )
    ours = {name_of(one) for one in bounds}
    return [line for line in done.stdout.splitlines() if line[:1].isalnum() and name_of(line) in ours]


if __name__ == "__main__":
    sys.exit(main())
