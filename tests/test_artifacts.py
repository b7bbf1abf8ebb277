"""Outputs arrive whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from types import SimpleNamespace

import geopandas
import numpy as np
import pytest
import shapely

from dissmodel_lab.artifacts import output_suffix, publish
from dissmodel_lab.errors import OutputError
from dissmodel_lab.rasters import Raster

ARRAY = np.zeros((2, 3, 4), dtype="float32")


@pytest.mark.parametrize(
    ("result", "suffix"),
    [
        (Raster(array=ARRAY), ".tif"),
        (ARRAY, ".tif"),
        ((ARRAY, {}), ".tif"),
        (geopandas.GeoDataFrame({"a": [1]}, geometry=[shapely.Point(0, 0)]), ".gpkg"),
        ({"report": "x"}, ""),
        ("text", ".txt"),
        (b"bytes", ".bin"),
        (5, ""),
        (None, ""),
    ],
    ids=lambda value: type(value).__name__,
)
def test_output_suffix(result, suffix):
    assert output_suffix(result, object) == suffix


def test_output_suffix_of_dissmodels_own_raster():
    backend = type("RasterBackend", (), {"__module__": "dissmodel.geo.raster.backend", "arrays": {}})
    assert output_suffix(backend(), object) == ".tif"


def test_an_executor_may_name_its_suffix():
    assert output_suffix(5, type("E", (), {"output_suffix": ".csv"})) == ".csv"


@pytest.fixture(params=["same disk", "another disk"])
def disk(request, monkeypatch):
    """Publish on one disk and across two."""
    if request.param == "another disk":

        def refuse(*args, **kwargs):
            raise OSError(errno.EXDEV, "Invalid cross-device link")

        rename = Path.rename

        def rename_inside(self, target):
            if self.parent != Path(target).parent:
                refuse()
            return rename(self, target)

        monkeypatch.setattr(os, "link", refuse)
        monkeypatch.setattr(Path, "rename", rename_inside)
    Path("partial").mkdir()
    Path("out").mkdir()
    return SimpleNamespace(staged=Path("partial/x.tif"), target=Path("out/deep/y.tif"))


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def left_over(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_moved_and_readable(workspace, disk, umask):
    disk.staged.write_bytes(b"whole")
    disk.staged.chmod(0o600)
    publish(disk.staged, disk.target)
    assert disk.target.read_bytes() == b"whole"
    assert stat.S_IMODE(disk.target.stat().st_mode) == 0o644
    assert left_over(disk.target.parent) == ["y.tif"]
    assert left_over(disk.staged.parent) == []


def test_a_folder_is_moved_and_readable(workspace, disk, umask):
    (disk.staged / "plots").mkdir(parents=True)
    (disk.staged / "plots" / "a.png").write_bytes(b"png")
    (disk.staged / "plots" / "a.png").chmod(0o600)
    disk.staged.chmod(0o700)
    publish(disk.staged, disk.target)
    assert (disk.target / "plots" / "a.png").read_bytes() == b"png"
    assert stat.S_IMODE((disk.target / "plots" / "a.png").stat().st_mode) == 0o644
    assert stat.S_IMODE(disk.target.stat().st_mode) == 0o755
    assert left_over(disk.target.parent) == ["y.tif"]
    assert left_over(disk.staged.parent) == []


def test_the_umask_is_left_as_it_was(workspace, disk):
    before = os.umask(0o027)
    try:
        disk.staged.write_bytes(b"x")
        publish(disk.staged, disk.target)
        assert stat.S_IMODE(disk.target.stat().st_mode) & 0o007 == 0
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


@pytest.mark.parametrize("is_folder", [False, True])
@pytest.mark.parametrize("existing", ["file", "folder"])
def test_nothing_is_ever_replaced(workspace, disk, is_folder, existing):
    if is_folder:
        disk.staged.mkdir()
        (disk.staged / "new").write_bytes(b"new")
    else:
        disk.staged.write_bytes(b"new")
    disk.target.parent.mkdir(parents=True)
    if existing == "folder":
        disk.target.mkdir()
        (disk.target / "old").write_bytes(b"old")
    else:
        disk.target.write_bytes(b"old")
    with pytest.raises(OutputError) as raised:
        publish(disk.staged, disk.target)
    assert str(raised.value) == (
        "The output 'out/deep/y.tif' exists and is never replaced; the result of this run is kept in "
        "'partial/x.tif'. Choose another --output."
    )
    kept = disk.target / "old" if existing == "folder" else disk.target
    assert kept.read_bytes() == b"old"
    assert (disk.staged / "new" if is_folder else disk.staged).read_bytes() == b"new"
    assert left_over(disk.target.parent) == ["y.tif"]


def test_a_full_disk_keeps_the_result_and_leaves_no_part(workspace, disk, monkeypatch):
    import shutil

    def full(source, target, **kwargs):
        Path(target).write_bytes(b"par")
        raise OSError(errno.ENOSPC, "No space left on device")

    def refuse(*args, **kwargs):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(shutil, "copyfile", full)
    disk.staged.write_bytes(b"whole")
    with pytest.raises(OutputError) as raised:
        publish(disk.staged, disk.target)
    assert str(raised.value) == (
        "The output 'out/deep/y.tif' cannot be written: No space left on device. "
        "The result of this run is kept in 'partial/x.tif'."
    )
    assert disk.staged.read_bytes() == b"whole"
    assert left_over(disk.target.parent) == []


def test_a_folder_that_cannot_be_copied_leaves_no_part(workspace, disk, monkeypatch):
    import shutil

    def full(source, target, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    def refuse(*args, **kwargs):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(shutil, "copy2", full)
    disk.staged.mkdir()
    (disk.staged / "a").write_bytes(b"whole")
    monkeypatch.setattr(shutil, "copytree", lambda source, target: (Path(target).mkdir(), full(source, target)))
    with pytest.raises(OutputError, match="No space left on device"):
        publish(disk.staged, disk.target)
    assert (disk.staged / "a").read_bytes() == b"whole"
    assert left_over(disk.target.parent) == []


def test_an_output_folder_that_is_a_file(workspace):
    Path("out").write_text("a file")
    Path("x.tif").write_text("x")
    with pytest.raises(OutputError) as raised:
        publish(Path("x.tif"), Path("out/x.tif"))
    assert "The output 'out/x.tif' " in str(raised.value)
    assert Path("x.tif").read_text() == "x"
