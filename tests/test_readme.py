"""What the README says is true: its model runs, its commands exist, its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from dissmodel_lab import Raster, read_raster, run, write_raster
from dissmodel_lab.commands import Grammar

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def code_blocks():
    return re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_model_runs():
    [source] = [block for block in code_blocks() if "class Erosion" in block]
    namespace = {"__name__": "readme"}
    exec(compile(source, "README.md", "exec"), namespace)
    write_raster(Raster(array=np.full((1, 2, 2), 100, "float32"), bands=("elevation",)), "dem.tif")
    record = run(namespace["Erosion"], source="dem.tif", parameters={"years": 20})
    assert read_raster(record.output_path).band("elevation").max() == pytest.approx(100 * 0.99**20, rel=1e-5)


def test_the_commands_exist():
    [source] = [block for block in code_blocks() if "%load_ext" in block]
    lines = [line.partition("#")[0].partition("%dissmodel ")[2].strip() for line in source.splitlines()]
    commands = [Grammar("%dissmodel").parse_line(line).name for line in lines if line]
    assert commands == ["models", "run", "form", "runs", "show", "rerun"]
    table = re.findall(r"^\| `(.*?)` \|", README, re.MULTILINE)
    commands_of_records = [line for line in table if " " in line]
    assert len(commands_of_records) == 9
    for line in commands_of_records:
        assert Grammar("%dissmodel").parse_line(line).name == line.split()[0]


def test_the_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`?make ([a-z-]+)", README)):
        assert f"\n{target}:" in makefile


def test_the_links_lead_somewhere():
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert link.startswith("https://") or (ROOT / link).exists(), link


def test_the_rooms_it_names_exist():
    for name in re.findall(r"[\w/]+\.py\b", README):
        assert list((ROOT / "dissmodel_lab").rglob(name.rpartition("/")[2])), name
