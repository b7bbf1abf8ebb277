"""
``make test-wheel``: build wheel and sdist, look into them, install the wheel where no source is in sight, run tests.

What a wheel must hold and must not is said in :func:`problems_of`, which a test asks at every ``make test``, too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "dissmodel_lab"
EXTRAS = "arrays,export"
#: A sample of the tests: one of each door, of maps, of the store, of words in another language.
TESTS = (
    "test_cli.py", "test_language.py", "test_launch.py", "test_lifecycle.py", "test_maps.py",
    "test_models.py", "test_parameters.py", "test_registry.py", "test_runner.py", "test_store.py",
)  # fmt: skip
#: Parts of names that no wheel may hold.
FORBIDDEN = ("tests/", "__pycache__", ".venv", "notebooks/", "experiments/", ".ipynb")


def main() -> int:
    """Build, look, install, test; 1 when something is wrong."""
    with tempfile.TemporaryDirectory(prefix="wheel-") as folder:
        wheel, sdist = (built(kind, Path(folder, "dist")) for kind in ("wheel", "sdist"))
        problems = [*problems_of(names_in(wheel), sources()), *_problems_of_sdist(sdist)]
        print("\n".join([*problems, f"{wheel.name}: {wheel.stat().st_size:,} bytes, {len(names_in(wheel))} files"]))
        return 1 if problems else _tested(wheel, Path(folder))


def built(kind: str, folder: Path) -> Path:
    """Return a ``wheel`` or ``sdist``, built by hatchling in this interpreter: no network is asked."""
    code = f"import sys; from hatchling.build import build_{kind} as build; print(build(sys.argv[1]))"
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return folder / done.stdout.split()[-1]


def names_in(wheel: Path) -> list[str]:
    """Return the names of the files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def sources() -> list[str]:
    """Return the files of the package as they lie here, without what tools left there."""
    found = (path.relative_to(ROOT) for path in (ROOT / PACKAGE).rglob("*") if path.is_file())
    made = ("__pycache__", ".")
    return sorted(path.as_posix() for path in found if not any(part.startswith(made) for part in path.parts))


def problems_of(names: list[str], expected: list[str]) -> list[str]:
    """Say what is wrong with the files of a wheel, beside those of the source."""
    held = set(names)
    missing = [f"missing: {name}" for name in expected if name not in held]
    wanted = [f"{PACKAGE}/py.typed"]
    missing += [f"missing: {name}" for name in wanted if name not in held]
    if not any(name.startswith(f"{PACKAGE}/locale/") and name.endswith(".mo") for name in names):
        missing.append(f"missing: {PACKAGE}/locale/*.mo")
    for ending in ("METADATA", "entry_points.txt", "licenses/LICENSE"):
        if not any(name.endswith(f".dist-info/{ending}") for name in names):
            missing.append(f"missing: {ending}")
    strange = [
        f"not for a wheel: {name}"
        for name in names
        if any(part in name for part in FORBIDDEN) or not name.startswith((f"{PACKAGE}/", f"{PACKAGE}-"))
    ]
    return [*missing, *strange]


def _problems_of_sdist(sdist: Path) -> list[str]:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = ("pyproject.toml", "README.md", "LICENSE", "tests/conftest.py", *sources())
    return [f"missing in the sdist: {name}" for name in wanted if name not in names]


def _tested(wheel: Path, folder: Path) -> int:
    """Install the wheel in an empty environment and run tests that lie where no source is."""
    environment = folder / "environment"
    venv.create(environment, with_pip=True)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    # what the tests' conftest and doors import, and no more: what the wheel forgot to ask for is missed
    tools = ("pytest", "pytest-randomly", "pytest-timeout", "hypothesis", "nbformat")
    wanted = [one for one in project["dependency-groups"]["dev"] if one.startswith(tools)]
    subprocess.run([*pip, f"{wheel}[{EXTRAS}]", *wanted], check=True)
    work = folder / "work"
    shutil.copytree(ROOT / "tests", work / "tests", ignore=shutil.ignore_patterns("__pycache__", "benchmarks"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, work / name)
    code = f"import {PACKAGE}; print({PACKAGE}.__version__, {PACKAGE}.__file__)"
    where = subprocess.run([python, "-c", code], cwd=work, check=True, stdout=subprocess.PIPE, text=True).stdout
    print(where.strip())
    if str(environment) not in where:
        print(f"{PACKAGE} was not imported from the environment")
        return 1
    tests = [f"tests/{name}" for name in TESTS if (work / "tests" / name).is_file()]
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not browser and not kernel", *tests]
    return subprocess.run(command, cwd=work, env={**os.environ, "MPLBACKEND": "agg"}).returncode


if __name__ == "__main__":
    sys.exit(main())
