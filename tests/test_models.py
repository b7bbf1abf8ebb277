"""The built-in models against results that are known beforehand."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely
from affine import Affine
from pydantic import ValidationError
from pyproj import CRS, Geod
from scipy import ndimage

from dissmodel_lab.errors import ParameterError, SourceError
from dissmodel_lab.executor import (
    DataSource,
    ExecutorRegistry,
    ExecutorTestHarness,
    ExperimentRecord,
    execute_lifecycle,
)
from dissmodel_lab.executor.events import StepFinished
from dissmodel_lab.models import CoastalFlood, ForestFire, GameOfLife, coastal_flood, forest_fire, game_of_life
from dissmodel_lab.models.files import output_path, write_once
from dissmodel_lab.rasters import Raster, cell_areas, read_raster, write_raster

MODELS = [CoastalFlood, ForestFire, GameOfLife]
UTM = CRS.from_epsg(31983)
#: Cells of 1 km2 in the middle of a UTM zone.
KILOMETRES = Affine(1000, 0, 500_000, 0, -1000, 9_700_000)


def raster(values, *, crs=UTM, transform=KILOMETRES, band="elevation", **kwargs) -> Raster:
    return Raster(array=np.array([values]), bands=(band,), crs=crs, transform=transform, **kwargs)


def run(model, data, **parameters):
    """Run a model on data in memory; return the result and the metrics."""
    record = ExperimentRecord(parameters=parameters)
    executor = model()
    executor.validate(record)
    return executor.run(data, record), record.metrics


def flood(elevation, **parameters):
    data = elevation if isinstance(elevation, Raster) else raster(elevation)
    return run(CoastalFlood, data, **{"start_year": 2000, "end_year": 2010, **parameters})


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


# All three


@pytest.mark.parametrize("model", MODELS)
def test_it_is_registered_and_keeps_the_contract(model, capsys):
    assert ExecutorRegistry.get(model.name) is model
    assert ExecutorTestHarness(model).run_contract_tests()
    assert "0 failed" in capsys.readouterr().out


@pytest.mark.parametrize("model", MODELS)
def test_every_parameter_is_described_and_every_number_bounded_with_a_unit(model):
    for name, field in model.Parameters.model_json_schema()["properties"].items():
        assert field["description"].endswith("."), name
        assert "default" in field, name
        if field["type"] in {"number", "integer"} and "enum" not in field and name != "seed":
            assert field["unit"], name
            assert {"minimum", "maximum"} <= set(field), name


def test_importing_them_is_light():
    heavy = ["rasterio", "geopandas", "pandas", "scipy", "matplotlib", "shapely", "pyproj", "pyogrio"]
    code = f"import sys, dissmodel_lab.models; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("model", MODELS)
def test_it_runs_on_its_sample_and_reports_each_step(model, tmp_path, monkeypatch):
    monkeypatch.setattr("dissmodel_lab.executor.lifecycle.STEP_INTERVAL", 0)
    target = tmp_path / ("result.gpkg" if model is ForestFire else "result.tif")
    told = []
    record, _ = execute_lifecycle(
        model(),
        ExperimentRecord(source=model.default_source(tmp_path / "samples"), output_path=str(target)),
        observers=[told.append],
    )
    assert record.status == "completed"
    assert target.stat().st_size > 1000
    steps = [event.step for event in told if isinstance(event, StepFinished)]
    assert steps == list(range(1, {"coastal_flood": 280, "forest_fire": 150, "game_of_life": 120}[model.name] + 1))
    again = ExperimentRecord.model_validate_json(record.model_dump_json())
    assert again.metrics == record.metrics
    assert "$" not in record.model_dump_json(include={"metrics"})  # plain JSON for every reader


@pytest.mark.parametrize("model", MODELS)
def test_its_sample_is_written_once(model, tmp_path, umask):
    source = model.default_source(tmp_path / "new" / "folder")
    path = Path(source.uri)
    assert (source.type, source.checksum) == ("local", "")
    assert path.stat().st_mode & stat.S_IROTH  # others can read it, as the umask lets them
    first = path.read_bytes(), path.stat().st_mtime_ns
    assert model.default_source(tmp_path / "new" / "folder") == source
    assert (path.read_bytes(), path.stat().st_mtime_ns) == first
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("model", [CoastalFlood, GameOfLife])
def test_a_sample_raster_is_the_same_everywhere(model, tmp_path):
    first, second = (Path(model.default_source(tmp_path / name).uri) for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_a_sample_that_could_not_be_written_leaves_nothing(tmp_path):
    def fail(path):
        path.write_text("half a fi")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_once(tmp_path / "samples" / "sample.tif", fail)
    assert list((tmp_path / "samples").iterdir()) == []


@pytest.mark.parametrize("model", MODELS)
def test_without_an_output_path_it_says_what_to_do(model, tmp_path):
    record = ExperimentRecord(source=model.default_source(tmp_path))
    with pytest.raises(ValueError, match=r"The record has no output_path, so there is nowhere to save\. Set "):
        execute_lifecycle(model(), record)
    assert record.failed_phase == "save"
    with pytest.raises(ValueError, match="no output_path"):
        output_path(ExperimentRecord(output_path=""))


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        (CoastalFlood, {"sea_level_rise": -0.1}),
        (CoastalFlood, {"sea_level_rise": 70.1}),
        (CoastalFlood, {"sea_level_rise": float("nan")}),
        (CoastalFlood, {"connectivity": 6}),
        (CoastalFlood, {"elevation_band": ""}),
        (CoastalFlood, {"sea_level": 1}),
        (ForestFire, {"density": 1.01}),
        (ForestFire, {"spread_probability": -0.01}),
        (ForestFire, {"ignition": "match"}),
        (ForestFire, {"n_steps": 0}),
        (ForestFire, {"seed": -1}),
        (GameOfLife, {"generations": -1}),
        (GameOfLife, {"generations": 10_001}),
        (GameOfLife, {"wrap": "perhaps"}),
    ],
)
def test_parameters_out_of_bounds_are_refused_before_anything_is_read(model, parameters):
    record = ExperimentRecord(source=DataSource(uri="never/read.tif"), parameters=parameters)
    with pytest.raises(ValidationError, match=next(iter(parameters))):
        execute_lifecycle(model(), record)
    assert record.failed_phase == "validate"


@pytest.mark.parametrize("model", MODELS)
def test_an_input_of_another_kind_is_refused(model, tmp_path):
    text = tmp_path / "notes.tif"
    text.write_text("not a map")
    for uri in (str(text), str(tmp_path / "missing.tif")):
        with pytest.raises(SourceError, match="cannot be read as"):
            model().load(ExperimentRecord(source=DataSource(uri=uri)))


# Areas of cells


def test_the_cells_of_the_whole_earth_sum_to_its_surface():
    for west in (-180, 0, 37.5):
        earth = raster(np.zeros((90, 180)), crs=CRS.from_epsg(4326), transform=Affine(2, 0, west, 0, -2, 90))
        surface, _ = Geod(ellps="WGS84").polygon_area_perimeter([0, 90, 180, 270], [0, 0, 0, 0])
        assert cell_areas(earth).sum() == pytest.approx(2 * abs(surface) / 1e6, rel=1e-12)


@pytest.mark.parametrize("latitude", [-89.9, -33, 0, 49, 89])
def test_a_small_cell_has_its_geodesic_area(latitude):
    size = 1 / 120
    transform = Affine(size, 0, 179.999, 0, -size, latitude + size)  # across the antimeridian
    cell = raster([[0.0]], crs=CRS.from_epsg(4326), transform=transform)
    east, north = 179.999 + size, latitude + size
    karney, _ = Geod(ellps="WGS84").polygon_area_perimeter(
        [179.999, east, east, 179.999], [north, north, latitude, latitude]
    )
    assert cell_areas(cell).item() == pytest.approx(abs(karney) / 1e6, rel=1e-6)


def test_a_projected_cell_is_width_times_height():
    assert (cell_areas(raster(np.zeros((3, 4)))) == 1.0).all()
    feet = raster([[0.0]], crs=CRS.from_epsg(2263), transform=Affine(5280, 0, 980_000, 0, -5280, 200_000))
    foot = 1200 / 3937  # the US survey foot [m]
    assert cell_areas(feet).item() == pytest.approx((5280 * foot) ** 2 / 1e6, rel=1e-12)


def test_a_projected_grid_may_lie_across_the_antimeridian():
    fiji = Affine(1000, 0, 833_000, 0, -1000, 50_000)  # 180 degrees is at x = 833 979 m
    assert (cell_areas(raster(np.zeros((5, 30)), crs=CRS.from_epsg(32660), transform=fiji)) == 1.0).all()


def test_web_mercator_is_not_taken_at_its_word():
    latitude = 49
    x, y = -13_000_000, 6_274_861  # 49 degrees north
    areas = cell_areas(raster(np.zeros((2, 2)), crs=CRS.from_epsg(3857), transform=Affine(1000, 0, x, 0, -1000, y)))
    assert areas[0, 0] == pytest.approx(np.cos(np.radians(latitude)) ** 2, rel=0.01)  # 0.43, not 1 km2
    assert (areas[1] > areas[0]).all()


@pytest.mark.parametrize("where", [{"crs": None}, {"transform": None}])
def test_cells_without_a_place_have_no_area(where):
    with pytest.raises(SourceError, match="the areas of its cells are unknown"):
        cell_areas(raster([[0.0]], **where))


# Coastal flood

#: Sea, a ridge of 3 m, a basin at -2 m, and high ground around.
BASIN = [
    [9.0, 9, 9, 9, 9],
    [-5, 1, 3, -2, 9],
    [9, 9, 9, 9, 9],
]


def test_a_basin_stays_dry_until_the_ridge_overflows():
    result, metrics = flood(BASIN, sea_level_rise=2.9)
    assert metrics["flooded_cells"] == 1
    assert result.band("cover_after")[1].tolist() == [1, 2, 3, 3, 3]

    result, metrics = flood(BASIN, sea_level_rise=3.0)
    assert result.band("cover_after")[1].tolist() == [1, 2, 2, 2, 3]
    assert result.band("flood_year")[1, 1:4].tolist() == [2004, 2010, 2010]  # at 1.2 m, and twice at 3.0 m
    assert metrics["flooded_area_km2"] == 3.0
    assert metrics["flooded_area_km2_by_year"] == {
        **{str(year): 0.0 for year in range(2001, 2004)},
        **{str(year): 1.0 for year in range(2004, 2010)},
        "2010": 3.0,
    }
    # 2 m over 1 m of land, nothing over the ridge, 5 m over the basin; a metre on a km2 is 0.001 km3.
    assert metrics["flooded_volume_km3"] == pytest.approx(0.007, rel=1e-6)


def test_a_low_basin_is_land_at_the_start():
    result, _ = flood(BASIN, sea_level_rise=0)
    for band in ("cover_before", "cover_after"):
        assert result.band(band)[1].tolist() == [1, 3, 3, 3, 3]
    assert np.isnan(result.band("flood_year")).all()


def test_water_passes_a_diagonal_gap_only_with_eight_neighbours():
    gap = [
        [-1.0, 1, 9, 9],
        [9, 9, 1, 9],
        [9, 9, 9, 9],
    ]
    assert flood(gap, sea_level_rise=2, connectivity=4)[1]["flooded_cells"] == 1
    assert flood(gap, sea_level_rise=2, connectivity=8)[1]["flooded_cells"] == 2


def test_seas_at_several_edges_are_all_sea_and_a_lake_is_not():
    seas = np.full((5, 7), 9.0)
    seas[2, 0] = seas[2, 6] = -1
    seas[1:4, 2:5] = -1  # larger than either sea
    sea = flood(seas, sea_level_rise=0)[0].band("cover_before") == coastal_flood.SEA
    assert np.argwhere(sea).tolist() == [[2, 0], [2, 6]]


def test_where_no_water_touches_the_edge_the_largest_body_is_the_sea():
    island = np.full((5, 7), np.nan)  # the collar that a reprojection leaves
    island[1:4, 1:6] = [[-1, -1, 9, 9, 9], [-1, -1, 9, -1, 9], [9, 9, 9, 9, 9]]
    sea = flood(island, sea_level_rise=0)[0].band("cover_before") == coastal_flood.SEA
    assert np.argwhere(sea).tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]


def test_a_higher_sea_floods_no_less(tmp_path):
    elevation = read_raster(CoastalFlood.default_source(tmp_path).uri)
    last = np.zeros(elevation.shape, bool)
    for rise in (0, 0.5, 1, 2, 5, 10, 70):
        result, metrics = flood(elevation, sea_level_rise=rise)
        wet = np.isin(result.band("cover_after"), [coastal_flood.SEA, coastal_flood.FLOODED])
        assert (wet >= last).all()
        areas = list(metrics["flooded_area_km2_by_year"].values())
        assert areas == sorted(areas)
        assert areas[-1] == metrics["flooded_area_km2"]
        flooded = result.band("cover_after") == coastal_flood.FLOODED
        assert metrics["flooded_area_km2"] == pytest.approx(cell_areas(elevation)[flooded].sum())
        assert np.array_equal(flooded, ~np.isnan(result.band("flood_year")))
        last = wet
    assert last.sum() > 5000


def test_the_year_of_the_flood_is_when_the_sea_first_stands_that_high():
    slope = raster([np.arange(-1, 10.0)])
    result, _ = flood(slope, sea_level_rise=5, start_year=2000, end_year=2100)
    assert result.band("flood_year")[0].tolist()[2:7] == [2020, 2040, 2060, 2080, 2100]
    assert result.band("elevation").tolist() == slope.band("elevation").tolist()


def test_cells_without_a_value_hold_water_back_and_have_no_cover():
    for nodata, empty in ((None, np.nan), (-9999.0, -9999.0)):
        strip = raster([[-1.0, 1, empty, 1, 1]], nodata=nodata)
        result, metrics = flood(strip, sea_level_rise=2)
        assert metrics["flooded_cells"] == 1
        for band in ("cover_after", "cover_before", "elevation"):
            assert np.isnan(result.band(band)).tolist() == [[False, False, True, False, False]]


def test_integer_elevations_work():
    strip = raster(np.array([[-1, 1, -32768, 1]], "int16"), nodata=-32768)
    assert flood(strip, sea_level_rise=2)[1]["flooded_cells"] == 1


def test_one_cell_of_sea_is_a_map():
    _, metrics = flood([[-3.0]])
    assert (metrics["flooded_cells"], metrics["flooded_area_km2"], metrics["flooded_volume_km3"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (raster([[1.0]], band="dem"), "No band is called 'elevation'; this raster has dem."),
        (raster([[np.nan, np.nan]]), "The band 'elevation' has no values: every cell is nodata."),
        (raster([[-9999.0]], nodata=-9999), "The band 'elevation' has no values: every cell is nodata."),
        (raster([[7.5, 9]]), "There is no sea to rise: the lowest cell is at 7.5 m, none at or below 0 m."),
        (raster([[-1.0]], units={"elevation": "ft"}), "The band 'elevation' is in 'ft' and must be in m."),
        (raster([[-1.0]], crs=None), "This raster has no CRS or no transform, so the areas of its cells are"),
    ],
)
def test_an_unusable_elevation_is_refused(data, message):
    with pytest.raises(SourceError) as caught:
        flood(data)
    assert str(caught.value).startswith(message)


def test_the_elevation_band_can_have_another_name():
    two = Raster(array=np.array([[[9.0, 9]], [[-1, 1]]]), bands=("slope", "dem"), crs=UTM, transform=KILOMETRES)
    assert flood(two, elevation_band="dem")[1]["flooded_cells"] == 1


def test_a_period_without_a_year_is_refused():
    record = ExperimentRecord(parameters={"start_year": 2030, "end_year": 2030})
    with pytest.raises(ParameterError) as caught:
        CoastalFlood().validate(record)
    assert str(caught.value) == "end_year must be later than start_year (2030), got 2030."


def test_the_flood_map_carries_its_legend_and_units(tmp_path):
    record = ExperimentRecord(output_path=str(tmp_path / "flood.tif"))
    CoastalFlood().save(flood(BASIN, sea_level_rise=3)[0], record)
    saved = read_raster(record.output_path)
    assert saved.bands == ("cover_after", "cover_before", "flood_year", "elevation")
    assert saved.classes == {"cover_before": coastal_flood.COVER, "cover_after": coastal_flood.COVER}
    assert saved.units == {"flood_year": "year", "elevation": "m"}
    assert np.isnan(saved.nodata)
    assert (saved.crs, saved.transform) == (UTM, KILOMETRES)


def test_the_strait_of_georgia_lies_where_it_is(tmp_path):
    sample = read_raster(CoastalFlood.default_source(tmp_path).uri)
    assert (sample.bands, sample.shape, sample.units) == (("elevation",), (91, 120), {"elevation": "m"})
    assert sample.crs.to_epsg() == 4326

    def at(longitude, latitude):
        col, row = ~sample.transform @ (longitude, latitude)
        return sample.band("elevation")[int(row), int(col)]

    assert at(-123.6, 49.3) < -200  # the strait
    assert 0 < at(-123.1, 49.15) < 10  # Richmond, in the delta of the Fraser
    assert at(-125.3, 49.75) > 800  # mountains of Vancouver Island
    assert sample.transform.c == pytest.approx(-126, abs=1e-3)


def test_the_strait_of_georgia_is_brought_to_even_latitudes(tmp_path):
    from matplotlib.cbook import get_sample_data

    with np.load(get_sample_data("topobathy.npz", asfileobj=False)) as original:
        latitude, topography = original["latitude"].astype(float), original["topo"]
    sample = read_raster(CoastalFlood.default_source(tmp_path).uri)
    values = sample.band("elevation")
    assert np.array_equal(values[[0, -1]], topography[[-1, 0]])  # north up
    row = 45
    north = sample.transform.f + (row + 0.5) * sample.transform.e
    below = np.searchsorted(latitude, north) - 1
    weight = (north - latitude[below]) / (latitude[below + 1] - latitude[below])
    assert 0.05 < weight < 0.95
    expected = (1 - weight) * topography[below] + weight * topography[below + 1]
    assert values[row] == pytest.approx(expected, abs=0.02)


# Forest fire


def forest(height=20, width=20, land="forest", crs="EPSG:31983"):
    row, col = (axis.ravel() for axis in np.indices((height, width)))
    boxes = shapely.box(100 * col, -100 * row - 100, 100 * col + 100, -100 * row)
    return geopandas.GeoDataFrame({"row": row, "col": col, "land": land}, geometry=boxes, crs=crs)


def grid(result, column):
    values = np.full((result.row.max() + 1, result.col.max() + 1), None, dtype=object)
    values[result.row, result.col] = result[column]
    return values


def test_without_trees_nothing_burns():
    for ignition in ("edge", "centre", "lightning"):
        result, metrics = run(ForestFire, forest(), density=0, ignition=ignition)
        assert set(result.state_before) | set(result.state_after) == {"bare"}
        assert result.burnt_step.isna().all()
        assert (metrics["trees_before"], metrics["trees_after"], metrics["burnt_area_ha"]) == (0, 0, 0)


def test_a_full_forest_burns_one_column_a_step():
    result, metrics = run(ForestFire, forest(4, 6), density=1, spread_probability=1, n_steps=7)
    assert (grid(result, "burnt_step") == np.arange(6)).all()
    assert (metrics["trees_before"], metrics["trees_after"], metrics["burnt_area_ha"]) == (24, 0, 24)
    assert metrics["burnt_area_ha_by_step"] == {
        "0": 4, "1": 8, "2": 12, "3": 16, "4": 20, "5": 24, "6": 24, "7": 24,
    }  # fmt: skip


def test_a_fire_that_is_still_burning_is_shown():
    result, _ = run(ForestFire, forest(1, 5), density=1, spread_probability=1, n_steps=2)
    assert grid(result, "state_after").tolist() == [["burnt", "burnt", "burning", "tree", "tree"]]


def test_a_central_fire_spreads_as_a_diamond_or_a_square():
    distance = abs(np.indices((7, 7)) - 3)
    for neighbours, expected in ((4, distance.sum(axis=0)), (8, distance.max(axis=0))):
        result, _ = run(
            ForestFire, forest(7, 7), density=1, spread_probability=1, ignition="centre", neighbours=neighbours
        )
        assert (grid(result, "burnt_step") == expected).all()


def test_each_burning_neighbour_is_one_more_chance_to_catch_fire():
    state = np.full((3, 20_000), forest_fire.BURNING)
    state[1] = forest_fire.TREE
    for burning_rows, chance in (([0], 0.5), ([0, 2], 0.75)):
        between = np.where(np.isin(np.arange(3), [*burning_rows, 1])[:, None], state, forest_fire.BARE)
        later = forest_fire.burn(between, 0.5, 4, np.random.default_rng(7))
        assert (later[1] == forest_fire.BURNING).mean() == pytest.approx(chance, abs=0.015)


def test_without_spread_only_the_lit_trees_burn():
    result, metrics = run(ForestFire, forest(), density=1, spread_probability=0)
    assert metrics["burnt_area_ha"] == 20
    assert set(result.col[result.state_after == "burnt"]) == {0}


@pytest.mark.parametrize("neighbours", [4, 8])
@pytest.mark.parametrize("seed", range(5))
def test_a_sure_fire_burns_exactly_what_is_connected_to_it(neighbours, seed):
    parameters = {"density": 0.6, "spread_probability": 1, "neighbours": neighbours, "seed": seed}
    result, metrics = run(ForestFire, forest(40, 40), n_steps=1600, **parameters)
    trees = grid(result, "state_before") == "tree"
    patches, _ = ndimage.label(trees, ndimage.generate_binary_structure(2, 1 if neighbours == 4 else 2))
    lit = np.unique(patches[:, 0][trees[:, 0]])
    burnt = grid(result, "state_after") == "burnt"
    assert np.array_equal(burnt, np.isin(patches, lit))
    assert metrics["trees_before"] - metrics["trees_after"] == burnt.sum() == metrics["burnt_area_ha"]
    assert np.array_equal(burnt, ~np.isnan(grid(result, "burnt_step").astype(float)))


@pytest.mark.parametrize("ignition", ["centre", "lightning"])
def test_an_unsure_fire_stays_connected_to_where_it_began(ignition):
    parameters = {"density": 0.8, "spread_probability": 0.6, "ignition": ignition, "seed": 3}
    result, _ = run(ForestFire, forest(40, 40), **parameters)
    step = grid(result, "burnt_step").astype(float)
    assert (step == 0).sum() == 1
    assert ndimage.label(~np.isnan(step))[1] == 1
    for row, col in np.argwhere(step > 0):  # each was lit by a neighbour, one step before
        near = [step[r, c] for r, c in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1))
                if 0 <= r < 40 and 0 <= c < 40]  # fmt: skip
        assert step[row, col] - 1 in near


def test_fires_cross_above_the_bond_percolation_threshold_and_die_below():
    # With trees everywhere this is bond percolation, whose threshold on the square lattice is 1/2.
    reached = {
        spread: run(ForestFire, forest(60, 60), density=1, spread_probability=spread, n_steps=500)[0]
        .query("state_after == 'burnt'")
        .col.max()
        for spread in (0.3, 0.7)
    }
    assert reached[0.3] < 20
    assert reached[0.7] == 59


def test_trees_stand_on_forest_alone_and_water_stops_the_fire():
    land = np.where(np.indices((10, 11))[1] == 5, "water", "forest").ravel()
    result, metrics = run(ForestFire, forest(10, 11, land), density=1, spread_probability=1, neighbours=8)
    assert set(result.state_before[result.land == "water"]) == {"bare"}
    assert set(result.col[result.state_after == "burnt"]) == set(range(5))
    assert (metrics["trees_before"], metrics["burnt_area_ha"]) == (100, 50)


def test_the_order_and_the_numbering_of_the_cells_do_not_matter():
    cells = forest(12, 15)
    shifted = cells.assign(row=cells.row + 100, col=cells.col - 7).sample(frac=1, random_state=1)
    first, _ = run(ForestFire, cells, seed=5)
    second, _ = run(ForestFire, shifted, seed=5)
    assert second.sort_index().state_after.tolist() == first.state_after.tolist()


def test_the_seed_decides(tmp_path):
    def output(name, seed):
        source = ForestFire.default_source(tmp_path)
        path = tmp_path / name
        record = ExperimentRecord(source=source, parameters={"seed": seed}, output_path=str(path))
        execute_lifecycle(ForestFire(), record)
        return geopandas.read_file(path)

    first, again, other = output("a.gpkg", 1), output("b.gpkg", 1), output("c.gpkg", 2)
    assert first.equals(again)
    assert not first.state_before.equals(other.state_before)


def test_the_fire_is_saved_as_text_with_its_legend(tmp_path):
    result, _ = run(ForestFire, forest(5, 5), density=0.5)
    record = ExperimentRecord(output_path=str(tmp_path / "fire.gpkg"))
    ForestFire().save(result, record)
    saved = geopandas.read_file(record.output_path)
    assert set(saved.state_after) <= set(forest_fire.STATES)
    assert list(saved.columns) == ["state_after", "state_before", "burnt_step", "row", "col", "land", "geometry"]
    assert saved.crs.to_epsg() == 31983
    legends = json.loads(pyogrio.read_info(record.output_path)["layer_metadata"]["classes"])
    assert {column: list(legend) for column, legend in legends.items()} == {
        "land": list(forest_fire.LANDS),
        "state_before": list(forest_fire.STATES),
        "state_after": list(forest_fire.STATES),
    }


def test_the_sample_forest_has_its_legend_when_loaded(tmp_path):
    cells = ForestFire().load(ExperimentRecord(source=ForestFire.default_source(tmp_path)))
    assert (len(cells), cells.crs.to_epsg(), set(cells.area)) == (3600, 31983, {10_000.0})
    assert set(cells.land) == set(forest_fire.LANDS) == set(cells.attrs["classes"]["land"])


def test_the_output_of_a_fire_is_an_input_too(tmp_path):
    folder = tmp_path / "fires"
    folder.mkdir()
    first = ExperimentRecord(source=ForestFire.default_source(folder), output_path=str(folder / "first.gpkg"))
    execute_lifecycle(ForestFire(), first)
    second = ExperimentRecord(source=DataSource(uri=first.output_path), output_path=str(folder / "second.gpkg"))
    execute_lifecycle(ForestFire(), second)
    assert second.metrics["burnt_area_ha"] == first.metrics["burnt_area_ha"]
    one, other = (geopandas.read_file(record.output_path) for record in (first, second))
    assert list(other.columns) == list(one.columns)
    assert other.equals(one)


def test_a_refused_input_is_said_in_whole_sentences(tmp_path):
    (tmp_path / "t.gpkg").write_text("hello")
    with pytest.raises(SourceError) as raised:
        ForestFire().load(ExperimentRecord(source=DataSource(uri=str(tmp_path / "t.gpkg"))))
    assert ".." not in str(raised.value)
    assert str(raised.value).endswith(". Expected a GeoPackage.")


def test_one_cell_is_a_forest():
    for ignition in ("edge", "centre", "lightning"):
        result, metrics = run(ForestFire, forest(1, 1), density=1, ignition=ignition)
        assert (result.state_after.item(), metrics["burnt_area_ha"]) == ("burnt", 1)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (forest().drop(columns=["row", "land"]), "The cells have no column row and no column land; there are: "),
        (forest().iloc[:0], "The input has no cells."),
        (forest().assign(row=0), "row and col must be whole numbers, and each pair must occur once."),
        (forest().assign(row=lambda f: f.row + 0.5), "row and col must be whole numbers"),
        (forest().assign(row="north"), "row and col must be whole numbers"),
        (forest(1, 2).assign(row=[0, None]), "row and col must be whole numbers"),
        (forest(1, 2).assign(row=[0, 2**40]), f"row and col span {2**40 + 1} x 2 cells; at most 25000000 are"),
        (forest(crs="EPSG:4326"), "Areas need a projected CRS, and the cells have EPSG:4326."),
        (forest(crs=None), "Areas need a projected CRS, and the cells have none."),
    ],
)
def test_unusable_cells_are_refused(cells, message):
    with pytest.raises(SourceError) as caught:
        run(ForestFire, cells)
    assert str(caught.value).startswith(message)


# Game of Life


def life(text) -> Raster:
    lines = text.split()
    return raster([[cell == "#" for cell in line] for line in lines], band="alive", crs=None, transform=None)


def evolve(first: Raster, generations, *, wrap=False):
    return run(GameOfLife, first, generations=generations, wrap=wrap)[0].band("last").astype(bool)


@pytest.mark.parametrize(
    "still",
    [
        "...... .##... .##... ......",  # block
        "...... ..##.. .#..#. ..##.. ......",  # beehive
        "..... .##.. .#.#. ..#.. .....",  # boat
        "..... ..#.. .#.#. ..#.. .....",  # tub
    ],
)
def test_still_lifes_stay(still):
    first = life(still)
    for wrap in (False, True):
        assert np.array_equal(evolve(first, 7, wrap=wrap), first.array[0])


@pytest.mark.parametrize(
    ("oscillator", "period"),
    [
        ("..... ..#.. ..#.. ..#.. .....", 2),  # blinker
        ("...... ...... ..###. .###.. ...... ......", 2),  # toad
        ("...... .##... .##... ...##. ...##. ......", 2),  # beacon
        ("...#....#... .##.####.##. ...#....#...", 15),  # pentadecathlon
    ],
)
def test_oscillators_return_after_their_period_and_not_before(oscillator, period):
    first = np.pad(life(oscillator).array[0], 6)
    generations = [evolve(raster(first, crs=None), n) for n in range(1, period + 1)]
    assert [np.array_equal(alive, first) for alive in generations] == [False] * (period - 1) + [True]


def test_a_glider_moves_one_cell_down_and_right_in_four_generations():
    glider = life("........ ..#..... ...#.... .###.... ........ ........ ........ ........")
    moved = np.roll(glider.array[0], (1, 1), axis=(0, 1))
    assert np.array_equal(evolve(glider, 4), moved)
    assert np.array_equal(evolve(glider, 32, wrap=True), glider.array[0])  # once around a torus of 8 x 8
    assert evolve(glider, 100).sum() == 4  # in the corner it becomes a block


def test_the_r_pentomino_has_116_cells_after_1103_generations():
    first = np.zeros((700, 700), bool)
    first[349:352, 349:352] = [[False, True, True], [True, True, False], [False, True, False]]
    assert evolve(raster(first, crs=None, transform=None), 1103).sum() == 116


def test_gospers_gun_emits_a_glider_every_30_generations():
    gun = life(game_of_life.GOSPER_GLIDER_GUN).array[0]
    first = np.zeros((120, 140), bool)
    first[3:12, 3:39] = gun
    _, metrics = run(GameOfLife, raster(first, crs=None, transform=None), generations=150)
    alive = metrics["alive_by_generation"]
    assert [alive[str(30 * n)] for n in range(6)] == [36 + 5 * n for n in range(6)]
    assert (metrics["alive_first"], metrics["alive_last"]) == (36, 61)


def test_edges_are_dead_or_joined():
    edge = life("#..... #..... #..... ......")
    assert evolve(edge, 1).astype(int).tolist()[1] == [1, 1, 0, 0, 0, 0]
    assert evolve(edge, 1, wrap=True).astype(int).tolist()[1] == [1, 1, 0, 0, 0, 1]


@pytest.mark.parametrize("wrap", [False, True])
def test_a_single_cell_dies(wrap):
    # Joined with itself it has 8 living neighbours, alone it has none.
    result, metrics = run(GameOfLife, life("#"), generations=3, wrap=wrap)
    assert metrics["alive_by_generation"] == {"0": 1, "1": 0, "2": 0, "3": 0}
    assert result.band("alive_count").tolist() == [[1]]


def test_no_generations_change_nothing():
    result, _ = run(GameOfLife, life(".#. .#. .#."), generations=0)
    assert np.array_equal(result.band("first"), result.band("last"))


def test_life_without_a_place_is_saved_and_read_without_warnings(tmp_path):
    first = Raster(array=np.array([[[0.0, 1.0, np.nan], [0, 1, -1], [0, 1, 7]]]), nodata=7)
    path = tmp_path / "first.tif"
    write_raster(first, path)
    record = ExperimentRecord(
        source=DataSource(uri=str(path)), parameters={"generations": 1}, output_path=str(tmp_path / "life.tif")
    )
    execute_lifecycle(GameOfLife(), record)
    saved = read_raster(record.output_path)
    assert (saved.crs, saved.transform, saved.nodata) == (None, None, None)
    assert saved.bands == ("last", "first", "alive_count")
    assert saved.classes == {"first": game_of_life.LIFE, "last": game_of_life.LIFE}
    assert saved.units == {"alive_count": "generations"}
    assert saved.band("first").tolist() == [[0, 1, 0]] * 3  # NaN, negative and nodata cells are dead
    assert saved.band("last").tolist() == [[0, 0, 0], [1, 1, 1], [0, 0, 0]]
    assert saved.band("alive_count").tolist() == [[0, 1, 0], [1, 2, 1], [0, 1, 0]]
