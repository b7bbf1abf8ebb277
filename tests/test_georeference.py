"""A raster that was saved without its georeference lies where the model's memory had it, and the map says so."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from dissmodel_lab.maps import preview
from dissmodel_lab.rasters import Raster, lost_georeference, write_raster

PLACE = Affine(30, 0, 300_000, 0, -30, 7_400_000)
IN_MEMORY = ("EPSG:31983", PLACE, (20, 30))
SAID = "Georeference taken from the model's memory: the file has none."


def saved(path="saved.tif", *, crs=None, transform=None):
    array = np.arange(600, dtype="uint16").reshape(1, 20, 30)
    write_raster(Raster(array=array, crs=CRS.from_epsg(crs) if crs else None, transform=transform), path)
    return path


@pytest.mark.parametrize(
    ("file", "in_memory", "is_lost"),
    [
        ({}, IN_MEMORY, True),
        ({"transform": Affine(1, 0, 0, 0, -1, 20)}, IN_MEMORY, True),  # as dissmodel writes it
        ({"crs": 31983}, IN_MEMORY, True),
        ({"transform": PLACE}, IN_MEMORY, True),  # only the CRS
        ({"crs": 31983, "transform": PLACE}, IN_MEMORY, False),
        ({"crs": 4326, "transform": Affine(0.1, 0, -50, 0, -0.1, -10)}, IN_MEMORY, False),
        ({"transform": Affine(10, 0, 5, 0, -10, 5)}, IN_MEMORY, False),  # a place of its own
        ({}, ("EPSG:31983", PLACE, (20, 31)), False),
        ({}, (None, PLACE, (20, 30)), False),
        ({}, ("EPSG:31983", None, (20, 30)), False),
        ({}, ("EPSG:31983", Affine.identity(), (20, 30)), False),
        ({}, None, False),
    ],
)
def test_what_is_lost(file, in_memory, is_lost):
    assert lost_georeference(in_memory, saved(**file)) is is_lost


def test_what_is_no_raster_has_lost_nothing(workspace):
    (workspace / "report.md").write_text("# Report")
    assert lost_georeference(IN_MEMORY, "report.md") is False
    assert lost_georeference(IN_MEMORY, "nowhere.tif") is False


@pytest.mark.parametrize("max_pixels", [1024, 7])
@pytest.mark.parametrize("file", [{}, {"transform": Affine(1, 0, 0, 0, -1, 20)}, {"crs": 31983}])
def test_the_map_takes_the_place_in_memory_and_says_so(file, max_pixels):
    whole = preview(saved("whole.tif", crs=31983, transform=PLACE), max_pixels=max_pixels)
    lost = preview(saved(**file), georeference=("EPSG:31983", PLACE), max_pixels=max_pixels)
    assert lost.bounds == whole.bounds
    assert lost.is_georeferenced
    assert lost.crs == "EPSG:31983"
    assert (lost.pixels == whole.pixels).all()
    assert lost.notes.count(SAID) == 1
    assert not any("No CRS" in note for note in lost.notes)


def test_only_the_crs_is_taken_where_only_the_crs_is_lost():
    picture = preview(saved(transform=PLACE), georeference=("EPSG:31983", PLACE))
    assert "CRS taken from the model's memory: the file has none." in picture.notes
    assert picture.bounds == preview(saved("whole.tif", crs=31983, transform=PLACE)).bounds


def test_a_file_with_a_place_keeps_it():
    path = saved(crs=4326, transform=Affine(0.1, 0, -50, 0, -0.1, -10))
    assert preview(path, georeference=("EPSG:31983", PLACE)).bounds == preview(path).bounds
    assert SAID not in preview(path, georeference=("EPSG:31983", PLACE)).notes


def test_a_place_that_cannot_be_understood_is_said():
    picture = preview(saved(), georeference=("EPSG:nowhere", PLACE))
    assert picture.notes[:2] == (
        "No CRS: shown in a plane, not on Earth.", "The CRS 'EPSG:nowhere' can't be understood.",
    )  # fmt: skip
