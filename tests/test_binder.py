"""Binder: the build pack is found, its Python is right, and every pin is a wheel that goes with the others."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ROOT / "binder" / "requirements.txt"


def pins():
    lines = REQUIREMENTS.read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


@pytest.mark.filterwarnings("default")
def test_build_pack_is_detected(monkeypatch):
    from repo2docker.app import Repo2Docker

    monkeypatch.chdir(ROOT)
    app = Repo2Docker()
    found = []
    for pack_class in app.buildpacks:
        pack = pack_class(app.base_image)
        pack.platform = "linux/amd64"
        if pack.detect():
            found.append(pack)
    pack = found[0]
    assert type(pack).__name__ == "PythonBuildPack"
    assert pack.python_version == "3.11"
    dockerfile = pack.render({"NB_UID": "1000", "NB_USER": "jovyan"})
    assert "binder/requirements.txt" in dockerfile
    assert "postBuild" in dockerfile


def test_every_requirement_is_an_exact_pin():
    lines = [line for line in REQUIREMENTS.read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9._-]+==[\w.!+]+", line) for line in lines)
    assert {"ipyleaflet", "ipywidgets", "jupyterlab", "rasterio", "geopandas", "pydantic", "hatchling"} <= set(pins())


def test_every_dependency_is_pinned_at_its_lower_bound_or_above():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for requirement in map(Requirement, declared):
        pinned = pins()[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(pinned, prereleases=True), f"{requirement} but {pinned} is pinned"


def test_the_kernel_lets_threads_touch_widgets():
    assert tuple(int(part) for part in pins()["ipykernel"].split(".")[:2]) >= (7, 4)


@pytest.mark.soak
def test_pinned_wheels_install_together():
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--only-binary=:all:"]
    done = subprocess.run([*command, "--quiet", "-r", REQUIREMENTS], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr


def test_post_build_can_be_run():
    script = ROOT / "binder" / "postBuild"
    assert script.stat().st_mode & 0o111
    assert subprocess.run(["bash", "-n", script]).returncode == 0
