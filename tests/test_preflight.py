"""What is said before the run: every rule with its whole message, on files of every kind, in two seconds."""

from __future__ import annotations

import json
import os
import sys
import time
import types
import zipfile
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import geopandas as gpd
import numpy as np
import psutil
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.windows import Window

from dissmodel_lab.executor import DataSource, ExperimentRecord
from dissmodel_lab.executor.schemas import Provenance
from dissmodel_lab.models.coastal_flood import CoastalFlood
from dissmodel_lab.models.forest_fire import ForestFire
from dissmodel_lab.preflight import Finding, check, codes, datasets, findings_text, preflight, preflight_of_record
from dissmodel_lab.preflight.datasets import look_at
from dissmodel_lab.preflight.wanted import named_bands, named_files
from dissmodel_lab.quiet import quiet_about
from dissmodel_lab.rasters import quiet_georeference

PLACE = Affine(30, 0, 300_000, 0, -30, 7_400_000)
CUT_OFF = "grid.tif cannot be read: it is cut off, {} bytes are missing at its end."
ONTO_PLANE = "Write its own code into it, for example with {} EPSG:31983, unless the model works on a plane."
WHERE = "The output may take {} (the input's values, uncompressed), and {} is free where the store runs lies."
AGAIN = "Get the file again, or open it with the program it is from."


class Model:
    """An executor that may read any parameter."""

    def validate(self, record): ...
    def load(self, record):
        return list(record.parameters.items())

    def run(self, data, record): ...
    def save(self, result, record): ...


@pytest.fixture
def constants(monkeypatch):
    """An executor whose module has these constants."""

    def make(**values):
        made = types.ModuleType("mangue")
        vars(made).update(values)
        exec("class Mangue:\n    pass", vars(made))
        monkeypatch.setitem(sys.modules, "mangue", made)
        return made.Mangue

    return make


def grid(path="grid.tif", array=None, *, bands=("uso", "alt"), tag="name", crs=31983, transform=PLACE, **profile):
    """Write a GeoTIFF; the names of its bands stand where ``tag`` says."""
    array = np.ones((len(bands), 20, 30), "uint8") if array is None else np.asarray(array)
    profile = {
        "driver": "GTiff", "count": len(array), "height": array.shape[1], "width": array.shape[2],
        "dtype": array.dtype, "crs": f"EPSG:{crs}" if crs else None, "transform": transform, **profile,
    }  # fmt: skip
    with quiet_georeference(), rasterio.open(path, "w", **profile) as dataset:
        dataset.write(array)
        for number, name in enumerate(bands, start=1):
            if tag == "description":
                dataset.set_band_description(number, name)
            elif name:
                dataset.update_tags(number, **{tag: name})
    return str(path)


def cells(path="cells.gpkg", *, crs=31983, at=(300_000, 7_399_400), n=3, **options):
    """Write square cells with the columns forest and dist."""
    x, y = at
    shapes = [shapely.box(x + 30 * i, y, x + 30 * i + 30, y + 30) for i in range(n)]
    table = gpd.GeoDataFrame({"forest": np.ones(n), "dist": np.zeros(n)}, geometry=shapes, crs=crs)
    with quiet_about(UserWarning):  # about a missing CRS
        pyogrio.write_dataframe(table, path, **options)
    return str(path)


def look(source="", model=Model, output=None, store="runs", **parameters):
    record = ExperimentRecord(source=DataSource(uri=str(source)), parameters=parameters)
    return preflight(model, record, store_folder=store, output=output)


def said(findings):
    return [(f.level, f.rule, f.what, f.do) for f in findings]


# --- nothing to say ----------------------------------------------------------------------------------------


def test_a_good_run_has_no_findings():
    parameters = {"band": "uso", "bands": ["uso", "alt"], "steps": 3, "roads": cells()}
    assert look(grid(), output="new/out.tif", **parameters) == []


@pytest.mark.parametrize("model", [CoastalFlood, ForestFire])
def test_the_built_in_models_have_no_findings(model, workspace):
    record = ExperimentRecord(source=model.default_source(workspace), parameters=model.Parameters().model_dump())
    assert preflight(model, record, store_folder="runs", output=None) == []


@pytest.mark.parametrize(
    ("name", "make", "options"),
    [
        ("LuccContinuousExecutor", "make_continuous", {"kind": "zip"}),
        ("LuccContinuousExecutor", "make_continuous", {"kind": "gpkg"}),
        ("LuccContinuousExecutor", "make_continuous", {"kind": "tif"}),
        ("LuccDiscreteExecutor", "make_discrete", {"kind": "zip"}),
        ("LuccSaturationExecutor", "make_saturation", {}),
    ],
)
def test_executors_of_others_have_no_findings_until_a_name_is_wrong(name, make, options, workspace):
    executors = pytest.importorskip("disslucc.executors")
    import upstream_inputs

    source, parameters = getattr(upstream_inputs, make)(workspace, **options)
    executor = getattr(executors, name)
    assert look(source, executor, **parameters) == []
    wrong = {**parameters, "land_use_types": [parameters["land_use_types"][0], "nowhere"]}
    found = look(source, executor, **wrong)
    assert {(f.level, f.rule) for f in found} == {("error", "missing-band")}
    assert found[0].what.startswith("The parameter land_use_types names 'nowhere', which is no ")


@pytest.mark.parametrize("source", ["", "synthetic", "s3://bucket/grid.tif", "https://host/grid.tif"])
def test_sources_that_are_not_here(source):
    record = ExperimentRecord(source=DataSource.from_uri(source))
    assert preflight(Model, record, store_folder="runs", output=None) == []


def test_the_record_is_not_changed():
    record = ExperimentRecord(source=DataSource(uri=grid()), parameters={"band": "usso"})
    before = record.model_dump_json()
    preflight(Model, record, store_folder="runs", output="out.tif")
    assert record.model_dump_json() == before
    assert sorted(os.listdir()) == ["grid.tif"]


def test_findings_in_a_terminal_are_plain_lines_with_errors_first():
    text = findings_text([
        Finding(level="warning", rule="no-crs", what="A.", do="B."),
        Finding(level="error", rule="missing-file", what="C.", do="D."),
    ])  # fmt: skip
    assert text == "error: C. D. (missing-file)\nwarning: A. B. (no-crs)"
    assert findings_text([]) == ""


def test_names_from_files_are_untrusted():
    path = grid(bands=("\x1b[31mu", "<b>", "c" * 300))
    (finding,) = look(path, band="x\ny\x07")
    text = findings_text([finding])
    assert text.isprintable()
    assert finding.what == "The parameter band names ''x\\ny\\x07'', which is no band of grid.tif."
    assert "<b>" in finding.do  # who makes HTML of it escapes it
    assert len(finding.do) < 300


def test_secrets_stay_secret():
    (finding,) = look(grid(), demand_csv="https//ana:pw@host/api_key=s3cr3t/demand.csv")
    assert finding.rule == "missing-file"
    assert "s3cr3t" not in findings_text([finding])


# --- files that are missing or damaged ---------------------------------------------------------------------


def test_the_input_is_missing():
    grid()
    assert said(look("grod.tif")) == [
        ("error", "missing-file", "The input 'grod.tif' does not exist.", "Write 'grid.tif' if that is meant.")
    ]


def test_a_file_of_a_parameter_is_missing(workspace):
    (workspace / "data").mkdir()
    (workspace / "data" / "demand.csv").write_text("forest\n1\n")
    path = grid(workspace / "data" / "grid.tif")
    assert said(look(path, demand_csv="demand.csv", scenario=[{"rain": "rain.nc"}], out_csv="new.csv")) == [
        ("error", "missing-file", "The parameter demand_csv names the file 'demand.csv', which does not exist.",
         f"Write '{workspace}/data/demand.csv' if that is meant."),
        ("warning", "missing-file", "The parameter scenario[0].rain names the file 'rain.nc', which does not exist.",
         "Check the path."),
    ]  # fmt: skip


def test_files_are_looked_for_in_the_folder_of_the_run(workspace):
    (workspace / "there").mkdir()
    grid(workspace / "there" / "grid.tif")
    record = ExperimentRecord(
        source=DataSource(uri="grid.tif"), provenance=Provenance(working_folder=str(workspace / "there"))
    )
    assert preflight(Model, record, store_folder="runs", output=None) == []


@pytest.mark.parametrize("sparse", [False, True])
def test_a_raster_that_is_cut_off(workspace, sparse):
    array = np.random.default_rng(0).integers(0, 200, (2, 64, 64), "uint8")
    layout = {"tiled": True, "blockxsize": 16, "blockysize": 16, "sparse_ok": sparse}
    path = grid(array=array, bands=("", ""), compress="deflate", **layout)  # with tags its header stands at the end
    assert look(path) == []
    with rasterio.open(path) as dataset:
        places = [(f"BLOCK_OFFSET_{x}_{y}", f"BLOCK_SIZE_{x}_{y}") for x in range(4) for y in range(4)]
        tags = [[int(dataset.get_tag_item(name, "TIFF", bidx=2)) for name in place] for place in places]
    end = max(offset + size for offset, size in tags)
    Path(path).write_bytes(Path(path).read_bytes()[: end - 50])
    assert said(look(path)) == [("error", "unreadable", CUT_OFF.format(50), AGAIN)]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.tif", b"", "it is empty (0 bytes)"),
        ("a.tif", b"II*\0nothing", None),
        ("a.tif", b"no raster at all", None),
        ("a.gpkg", b"SQLite format 3\0" + b"\0" * 100, None),
        ("a.shp", b"\0" * 200, None),
        ("a.fgb", b"fgb\x03fgb\0" + b"\xff" * 50, None),
        ("a.geojson", b'{"type": "FeatureCollection", "features": [', None),
        ("a.zip", b"PK\x03\x04 half a zip", None),
        ("a.zip", b"no zip", "it is no zip file"),
    ],
)
def test_a_damaged_file_is_a_finding(name, content, reason):
    Path(name).write_bytes(content)
    (finding,) = look(name)
    assert (finding.level, finding.rule, finding.do) == ("error", "unreadable", AGAIN)
    assert finding.what.startswith(f"{name} cannot be read: ")
    if reason:
        assert finding.what == f"{name} cannot be read: {reason}."
    assert findings_text([finding]).isprintable()


@pytest.mark.parametrize("kind", ["tif", "gpkg", "shp", "fgb", "geojson", "zip", "csv"])
@pytest.mark.parametrize("seed", range(3))
def test_flipped_bytes_never_raise(kind, seed):
    path = f"a.{kind}"
    if kind == "tif":
        grid(path)
    elif kind == "zip":
        grid()
        with zipfile.ZipFile(path, "w") as archive:
            archive.write("grid.tif")
    elif kind == "csv":
        Path(path).write_text("forest,urban\n1,2\n")
    else:
        cells(path)
    content = bytearray(Path(path).read_bytes())
    random = np.random.default_rng(seed)
    for at in random.integers(0, min(len(content), 4000), 20):
        content[at] = random.integers(0, 256)
    Path(path).write_bytes(content)
    for finding in look(path, band="x", land_use_types=["forest", "x"]):
        assert finding.rule != "check-failed"


def test_a_file_that_may_not_be_read(monkeypatch):
    path, opened = grid(), Path.open

    def refuse(self, *args, **kwargs):
        if self.name == path:
            raise PermissionError(13, "Permission denied")
        return opened(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)  # root may read everything
    assert said(look(path)) == [("error", "unreadable", "grid.tif cannot be read: Permission denied.", AGAIN)]


@pytest.mark.parametrize("name", ["notes.txt", "model.json", "run.toml", "state.npz"])
def test_files_that_are_no_maps_are_left_alone(name):
    Path(name).write_text('{"band": "x"}')
    assert look(name, band="y") == []


# --- zips and folders --------------------------------------------------------------------------------------


def test_a_zip_of_one_raster_is_looked_into():
    grid(bands=("uso",))
    with zipfile.ZipFile("grid.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write("grid.tif", "deep/grid.tif")
        archive.writestr("__MACOSX/deep/._grid.tif", "x")
    assert said(look("grid.zip", band="us")) == [
        ("error", "missing-band", "The parameter band names 'us', which is no band of grid.zip (deep/grid.tif).",
         "Write 'uso' if that is meant; it has: uso."),
    ]  # fmt: skip


def test_a_zip_of_a_shapefile_is_looked_into():
    cells("cells.shp")
    with zipfile.ZipFile("cells.zip", "w") as archive:
        for ending in ("shp", "shx", "dbf", "prj"):
            archive.write(f"cells.{ending}")
    assert look("cells.zip", columns=["forest"]) == []
    (finding,) = look("cells.zip", columns=["forest", "urban"])
    assert finding.what == "The parameter columns names 'urban', which is no column of cells.zip (cells.shp)."


def test_a_zip_with_several_datasets():
    grid("a.tif")
    with zipfile.ZipFile("both.zip", "w") as archive:
        archive.write("a.tif")
        archive.write("a.tif", "b.tif")
    assert said(look("both.zip")) == [
        ("warning", "datasets", "The zip file both.zip holds 2 datasets: a.tif, b.tif.",
         "Name the one that is meant, unless the model reads all; most take the first, a.tif."),
    ]  # fmt: skip


def test_a_zip_with_no_dataset():
    with zipfile.ZipFile("none.zip", "w") as archive:
        archive.writestr("readme.md", "x")
    assert said(look("none.zip")) == [
        ("warning", "datasets", "The zip file none.zip holds no dataset that can be looked at; it holds readme.md.",
         "Expected one of .tif, .tiff, .shp, .gpkg, .geojson, .fgb, unless the model reads these."),
    ]  # fmt: skip


def test_an_empty_zip_and_an_empty_folder():
    with zipfile.ZipFile("empty.zip", "w"):
        pass
    Path("folder").mkdir()
    assert said(look("empty.zip")) == [
        ("error", "datasets", "The zip file empty.zip is empty.", "Name a file, or a zip file with a dataset in it.")
    ]
    assert said(look("folder")) == [
        ("error", "datasets", "The folder folder is empty.", "Name a file, or a folder with a dataset in it.")
    ]


def test_a_folder_of_datasets():
    Path("folder").mkdir()
    grid("folder/a.tif")
    assert look("folder", band="uso") == []
    grid("folder/b.tif")
    assert said(look("folder")) == [
        ("warning", "datasets", "The folder folder holds 2 datasets: a.tif, b.tif.",
         "Name the one that is meant, unless the model reads all; most take the first, a.tif."),
    ]  # fmt: skip


def test_what_would_have_to_be_unpacked_is_not_looked_at(monkeypatch):
    monkeypatch.setattr(datasets, "MAX_ZIPPED", 100)
    grid()
    with zipfile.ZipFile("grid.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write("grid.tif")
    assert said(look("grid.zip")) == [
        ("warning", "not-looked-at", "grid.zip (grid.tif) was not looked at: it would have to be unpacked first.",
         "Unpack it and name the file itself."),
    ]  # fmt: skip


def test_several_layers():
    cells("two.gpkg", layer="first")
    cells("two.gpkg", layer="second", append=True)
    assert said(look("two.gpkg")) == [
        ("warning", "datasets", "two.gpkg holds 2 layers: first, second.",
         "Keep one of them; most models read the first, first."),
    ]  # fmt: skip


def test_a_table_without_features():
    assert said(look(cells(n=0, geometry_type="Polygon"))) == [
        ("error", "no-features", "cells.gpkg holds no feature.", "Take a file with at least one feature.")
    ]


# --- bands and columns -------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", ["name", "band_name", "description"])
def test_a_band_is_missing(tag):
    assert said(look(grid(tag=tag), class_band="usso")) == [
        ("error", "missing-band", "The parameter class_band names 'usso', which is no band of grid.tif.",
         "Write 'uso' if that is meant; it has: uso, alt."),
    ]  # fmt: skip
    assert look("grid.tif", class_band="uso") == []


LAND_USE = {
    "land_use_types": ["forest", "urbn"],
    "potential_data": [{"const": 0.1, "betas": {"dist": 2.388e-7, "slope": 1.0}}],
}


@pytest.mark.parametrize("kind", ["gpkg", "shp", "geojson", "fgb"])
def test_columns_of_land_uses_and_drivers_are_missing(kind):
    path = cells(f"cells.{kind}")
    assert said(look(path, **LAND_USE)) == [
        ("error", "missing-band", f"The parameter land_use_types names 'urbn', which is no column of {path}.",
         "Name what it has; it has: forest, dist."),
        ("error", "missing-band",
         f"The parameter potential_data[0].betas names 'slope', which is no column of {path}.",
         "Name what it has; it has: forest, dist."),
    ]  # fmt: skip


def test_the_beginning_of_a_long_geojson_is_a_sample(monkeypatch):
    monkeypatch.setattr(datasets, "MAX_GEOJSON", 100)
    path = cells("cells.geojson")
    (dataset,) = look_at(Path(path), path).datasets
    assert (dataset.names, dataset.crs, dataset.is_complete) == (
        ("forest", "dist"),
        "urn:ogc:def:crs:EPSG::31983",
        False,
    )
    assert said(look(path, column="forrest")) == [
        ("warning", "missing-band", "The parameter column names 'forrest', which is no column of cells.geojson.",
         "Write 'forest' if that is meant; its first feature has: forest, dist."),
    ]  # fmt: skip


def test_a_list_none_of_which_is_there_may_be_no_list_of_bands():
    (finding,) = look(grid(), land_use_types=["forest", "sea"])
    assert finding.level == "warning"
    assert finding.what == "The parameter land_use_types names 'forest', 'sea', which are no bands of grid.tif."


def test_bands_without_names_are_no_proof():
    (finding,) = look(grid(bands=("", "")), band="uso")
    assert (finding.level, finding.do) == ("warning", "Name what it has; it has: band_1, band_2.")


def test_a_column_map_translates():
    record = ExperimentRecord(
        source=DataSource(uri=cells()),
        parameters={"land_use_types": ["mata"], "column_map": {"agua": "sea"}},
        column_map={"mata": "forest"},
    )
    assert said(preflight(Model, record, store_folder="runs", output=None)) == [
        ("error", "missing-band", "The parameter column_map names 'sea', which is no column of cells.gpkg.",
         "Name what it has; it has: forest, dist."),
    ]  # fmt: skip


def test_a_demand_table_lacks_a_land_use():
    Path("demand.csv").write_text("\ufeffforest;water\n1;2\n")
    assert said(look(cells(), land_use_types=["forest", "dist"], demand_csv="demand.csv")) == [
        ("error", "missing-band", "The parameter land_use_types names 'dist', which is no column of demand.csv.",
         "Name what it has; it has: forest, water."),
    ]  # fmt: skip


def test_a_column_of_a_table_is_known():
    Path("demand.csv").write_text("year,forest\n1,2\n")
    assert look(cells(), time_col="year", demand_csv="demand.csv") == []
    assert look(cells(), column="geometry") == []


def test_defaults_of_the_source_are_wanted_too(workspace, monkeypatch):
    (workspace / "defaulting.py").write_text(
        "class Model:\n    def validate(self, record): ...\n    def load(self, record):\n"
        "        return record.parameters.get('band', 'uso'), record.parameters.get('dem_tif', 'dem.tif')\n"
        "    def run(self, data, record): ...\n    def save(self, result, record): ...\n"
    )
    monkeypatch.syspath_prepend(workspace)
    import defaulting

    path = grid(bands=("usso", "alt"))
    assert said(look(path, defaulting.Model)) == [
        ("error", "missing-file",
         "The parameter dem_tif (by default) names the file 'dem.tif', which does not exist.",
         "Check the path."),
        ("error", "missing-band", "The parameter band (by default) names 'uso', which is no band of grid.tif.",
         "Write 'usso' if that is meant; it has: usso, alt."),
    ]  # fmt: skip
    assert look(path, defaulting.Model, band="alt", dem_tif=path) == []


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ({"band": "a", "x_col": "b", "column": "c", "attr_protection": "d", "order_attr": "e"}, "abcde"),
        ({"bands": ["a", "b"], "drivers": ("c",), "x_columns": []}, "abc"),
        ({"band_map": {"uso": "a"}, "column_map": {"x": "b", "y": 3}}, "ab"),
        ({"output_band": "a", "new_column": "b", "band": 3, "steps": ["c"], "name": "d", "betas": [1]}, ""),
        ({"regions": [{"potential": [{"betas": {"a": 1, "b": 2}}]}]}, "ab"),
    ],
)
def test_which_parameters_name_bands(parameters, names):
    assert "".join(name for named in named_bands(parameters) for name in named.names) == names


@pytest.mark.parametrize(
    "value",
    [np.arange(3), {1, 2}, b"a.tif", object(), float("nan"), {b"band": "a"}, {("a", 1): ["b"]}, "x" * 10_000,
     "\0.tif", "~nobody-at-all/a.tif", "~/a.tif", "/" * 300 + "a.tif", "a" * 400 + ".tif", [[[[]]]]],
)  # fmt: skip
def test_odd_values_of_parameters(value):
    for name in ("band", "columns", "demand_csv", "betas", "band_map", "x"):
        found = look(grid(), **{name: value})
        assert [finding for finding in found if finding.rule == "check-failed"] == []
        assert all(line.isprintable() for line in findings_text(found).splitlines())


def test_parameters_that_hold_themselves():
    table = {"band": "a"}
    table["again"] = table
    assert named_bands({"table": table})[0].names == ("a",)
    assert named_files({"table": table}) == ()


@pytest.mark.parametrize(
    ("parameters", "files"),
    [
        ({"demand_csv": "a.csv", "slope": Path("b.tif"), "input_file": "data/c"}, ["a.csv", "b.tif", "data/c"]),
        ({"report_path": "a.csv", "output": "b.tif", "plot_file": "c/d", "save_csv": "e.csv"}, []),
        ({"label": "hello. csv", "url_csv": "https://x/a.csv", "text": "a.csv\nb", "mode": "csv"}, []),
        ({"many": [["a.tif", {"x": "b.gpkg"}]]}, ["a.tif", "b.gpkg"]),
    ],
)
def test_which_parameters_name_files(parameters, files):
    assert [file.value for file in named_files(parameters)] == files


# --- CRS and extent ----------------------------------------------------------------------------------------


def test_an_input_has_no_crs():
    assert said(look(grid(crs=None), roads_file=cells(crs=None))) == [
        ("warning", "no-crs", "grid.tif has no CRS, so its place, distances and areas on Earth are unknown.",
         ONTO_PLANE.format("rio edit-info --crs")),
        ("warning", "no-crs", "cells.gpkg has no CRS, so its place, distances and areas on Earth are unknown.",
         ONTO_PLANE.format("ogr2ogr -a_srs")),
    ]  # fmt: skip


def test_the_crs_of_two_inputs_differ():
    roads = cells(crs=4326, at=(-46.95, -23.5), n=2)
    findings = look(grid(), roads_file=roads)
    assert said(findings)[0] == (
        "warning", "different-crs", "cells.gpkg has the CRS EPSG:4326, grid.tif has EPSG:31983.",
        "Reproject one of them, for example cells.gpkg to EPSG:31983, unless the model does it itself.",
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["gpkg", "shp", "geojson", "fgb"])
def test_one_crs_in_other_words_is_the_same(kind):
    """A shapefile's .prj and a GeoTIFF's keys write a CRS in words of their own."""
    assert look(grid(), roads_file=cells(f"cells.{kind}")) == []


def test_extents_that_do_not_overlap():
    assert said(look(grid(), roads_file=cells(at=(100_000, 7_000_000)))) == [
        ("warning", "no-overlap",
         ("cells.gpkg (x 100000 to 100090, y 7000000 to 7000030) doesn't overlap grid.tif (x 300000 to 300900, "
          "y 7399400 to 7400000)."),
         "Take files of one area, and check that the CRS of each is its own."),
    ]  # fmt: skip


def test_extents_of_two_crs_are_compared_in_degrees():
    findings = look(grid(), roads_file=cells(crs=4326, at=(10, 50), n=1))
    assert [f.rule for f in findings] == ["different-crs", "no-overlap"]
    assert findings[1].what.startswith("cells.gpkg (x 10 to 40, y 50 to 80) doesn't overlap grid.tif (x -46.9")
    there = cells("there.gpkg", crs=4326, at=(-47.2, -23.7), n=1)
    assert [f.rule for f in look("grid.tif", roads_file=there)] == ["different-crs"]


def test_a_raster_without_a_place_has_no_extent():
    assert [f.rule for f in look(grid(crs=None, transform=Affine.identity()), roads_file=cells(crs=None))] == [
        "no-crs", "no-crs",
    ]  # fmt: skip


# --- classes -----------------------------------------------------------------------------------------------

USO = {1: "mangue", 2: "mar", 3: "cidade"}


def with_legend(path, band=1, legend=None):
    with rasterio.open(path, "r+") as dataset:
        legend = legend or {str(code): [label, "#117733"] for code, label in USO.items()}
        dataset.update_tags(band, classes=json.dumps(legend))
    return path


def test_nodata_is_a_class():
    (finding,) = look(with_legend(grid(nodata=2)))
    assert (finding.level, finding.rule) == ("warning", "nodata-is-class")
    assert (
        finding.what == "Band uso of grid.tif has the nodata value 2, which is also a class of its legend: 2 (mar)."
    )
    assert finding.do == (
        "Set nodata to a value that is no class, for example with rio edit-info --nodata 255, or the cells of that "
        "class count as empty."
    )


def test_nodata_is_a_class_of_the_model(constants):
    findings = look(grid(nodata=3), constants(USO_LABELS=USO))
    assert findings[0].what == (
        "Band uso of grid.tif has the nodata value 3, which is also a class of the classes of the model "
        "(USO_LABELS in mangue): 3 (cidade)."
    )
    assert [f.rule for f in findings] == ["nodata-is-class"]


@pytest.mark.parametrize("label", ["no data", "nodata", "NoData value", "Outside", "sem dados", "background", "N/A"])
def test_a_class_that_means_nodata_is_no_mistake(label):
    assert look(with_legend(grid(nodata=0), legend={"0": [label, "#000000"], "1": ["x", "#111111"]})) == []


def test_codes_outside_the_legend():
    array = np.ones((1, 20, 30), "uint8")
    array[0, 3, 4] = 9
    assert said(look(with_legend(grid(array=array, bands=("uso",))))) == [
        ("warning", "code-outside-legend",
         "Band uso of grid.tif holds 9, which is no class of its legend (seen in all of its cells).",
         "Recode the cells or make it nodata; the classes are 1 mangue, 2 mar, 3 cidade."),
    ]  # fmt: skip


def test_codes_outside_the_classes_of_the_model(constants):
    array = np.ones((2, 20, 30), "uint8")
    array[0, 3, 4:7] = 2, 8, 9
    findings = look(grid(array=array), constants(USO_COLORS={1: "red", 2: "blue"}))
    assert said(findings) == [
        ("warning", "code-outside-legend",
         ("Band uso of grid.tif holds 8, 9, which are no classes of the classes of the model (USO_COLORS in mangue) "
          "(seen in all of its cells)."),
         "Recode the cells or make it nodata; the classes are 1, 2."),
    ]  # fmt: skip


def test_other_bands_and_quantities_are_not_judged(constants):
    array = np.stack([np.arange(600).reshape(20, 30), np.ones((20, 30))]).astype("int16")
    model = constants(USO_LABELS=USO)
    assert look(grid(array=array, bands=("height", "alt")), model) == []
    assert look(grid("shares.tif", array.astype("float32"), bands=("uso", "alt")), model) == []


@pytest.mark.parametrize(
    "profile", [{}, {"tiled": True}, {"interleave": "pixel"}, {"tiled": True, "interleave": "band"}]
)
def test_a_large_raster_is_sampled_and_that_is_said(profile):
    array = np.ones((2, 2500, 2000), "uint8")
    array[0] = 9
    with_legend(grid(array=array, **profile))
    (finding,) = look("grid.tif")
    assert " 9, which is no class of its legend (seen in a sample of " in finding.what
    assert finding.what.endswith(" of its 5,000,000 cells).")
    sampled = int(finding.what.rpartition("sample of ")[2].partition(" ")[0].replace(",", ""))
    assert 10_000 < sampled < 5_000_000


def test_nodata_in_the_sample_is_no_class():
    array = np.ones((1, 20, 30), "uint8")
    array[0, 0] = 255
    assert look(with_legend(grid(array=array, bands=("uso",), nodata=255))) == []


def test_a_block_that_is_too_large_is_not_read(monkeypatch):
    monkeypatch.setattr(codes, "SMALL", 10)
    monkeypatch.setattr(codes, "MAX_BYTES", 100)
    array = np.full((1, 20, 30), 9, "uint8")
    assert look(with_legend(grid(array=array, bands=("uso",)))) == []


# --- output ------------------------------------------------------------------------------------------------


def test_the_output_is_the_input(workspace):
    for output in ("grid.tif", workspace / ".." / "work" / "grid.tif"):
        assert said(look(grid(), output=output)) == [
            ("error", "output-is-input",
             f"The output '{output}' is the input 'grid.tif' itself, which the run would overwrite.",
             "Choose another --output."),
        ]  # fmt: skip


def test_the_output_is_a_file_of_a_parameter():
    Path("demand.csv").write_text("forest\n1\n")
    os.link("demand.csv", "link.csv")
    assert said(look(demand_csv="demand.csv", output="link.csv")) == [
        ("error", "output-is-input",
         "The output 'link.csv' is the file 'demand.csv' of demand_csv itself, which the run would overwrite.",
         "Choose another --output."),
    ]  # fmt: skip


def test_the_output_exists():
    Path("out.tif").touch()
    assert said(look(output="out")) == [
        ("error", "output-exists", "The output 'out.tif' exists and is never replaced.",
         "Choose another --output, or remove the file."),
    ]  # fmt: skip


def test_the_output_cannot_be_written(workspace, monkeypatch):
    Path("file").touch()
    assert said(look(output="file/out.tif", store="file")) == [
        ("error", "unwritable-output",
         f"The store 'file' cannot be written: {workspace}/file is a file, not a folder.",
         "Choose another --store, or change the folder's permissions."),
        ("error", "unwritable-output",
         f"The output 'file/out.tif' cannot be written: {workspace}/file is a file, not a folder.",
         "Choose another --output."),
    ]  # fmt: skip
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != workspace)
    assert said(look(output="a/out.tif", store=workspace.parent)) == [
        ("error", "unwritable-output",
         f"The output 'a/out.tif' cannot be written: the folder {workspace} is not writable.",
         "Choose another --output."),
    ]  # fmt: skip


def test_outputs_of_odd_names():
    assert said(look(output="s3://bucket/out.tif")) == [
        ("error", "unwritable-output", "The output 's3://bucket/out.tif' is not a local path.",
         "Give a path on this machine with --output."),
    ]  # fmt: skip
    (finding,) = look(output="x" * 300 + ".tif")
    assert finding.what.endswith("cannot be written: its name is too long.")
    assert look(output="~nobody-at-all/out.tif") == []
    (finding,) = look(output="a\0b.tif")
    assert finding.rule == "unwritable-output"


# --- memory and disk ---------------------------------------------------------------------------------------


def test_too_little_memory(monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2000))
    monkeypatch.setattr("dissmodel_lab.preflight.room._LIMITS", ())
    assert said(look(grid())) == [
        ("warning", "little-memory",
         ("The input holds 1.2 KiB of values, so a run may take 3.5 KiB of memory (3 times that), and "
         "2.0 KiB is free."),
         "Take a smaller extent, larger cells or fewer bands, or free at least 1.6 KiB of memory."),
    ]  # fmt: skip


def test_the_memory_of_a_container(tmp_path, monkeypatch):
    (tmp_path / "max").write_text("3000\n")
    (tmp_path / "current").write_text("1000\n")
    monkeypatch.setattr("dissmodel_lab.preflight.room._LIMITS", ((str(tmp_path / "max"), str(tmp_path / "current")),))
    (finding,) = look(grid())
    assert finding.what.endswith("and 2.0 KiB is free.")
    (tmp_path / "max").write_text("max\n")
    assert look("grid.tif") == []


def test_too_little_disk(monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    assert said(look(grid(), output="new/out.tif")) == [
        ("warning", "little-disk",
         WHERE.format("1.2 KiB", "1000 B"), "Free at least 200 B there, or choose another place."),
    ]  # fmt: skip


# --- versions ----------------------------------------------------------------------------------------------


@pytest.fixture
def installed(monkeypatch):
    def make(version):
        monkeypatch.setattr(metadata, "version", lambda name: version)

    return make


def made_with(version, **fields):
    return ExperimentRecord(provenance=Provenance(versions={"dissmodel": version}), **fields)


def test_the_meaning_of_end_time_has_changed(installed):
    installed("0.6.6")
    (finding,) = preflight_of_record(made_with("0.5.1", parameters={"end_time": 88}))
    assert (finding.level, finding.rule) == ("warning", "end-time")
    assert finding.what == (
        "The record was made with dissmodel 0.5.1, where a run stops one step before end_time (88); the installed "
        "0.6.6 includes it."
    )
    assert finding.do == (
        "Choose an end_time, or number of steps, one step shorter for the same result, or install dissmodel==0.5.1."
    )
    installed("0.5.0")
    (finding,) = preflight_of_record(made_with("0.4.2"))
    assert finding.what == (
        "The record was made with dissmodel 0.4.2, where a run includes the step at end_time; the installed 0.5.0 "
        "stops one step before it."
    )
    assert finding.do == (
        "Choose an end_time, or number of steps, one step longer for the same result, or install dissmodel==0.4.2."
    )


@pytest.mark.parametrize("version", ["0.4.2", "0.6.0", "0.6.6", "1.0", "0.50.1"])
def test_versions_of_one_meaning(installed, version):
    installed("0.6.4")
    assert preflight_of_record(made_with(version)) == []


@pytest.mark.parametrize(
    ("record", "is_said"),
    [
        (ExperimentRecord(code_version="0.5.1"), True),  # dissmodel's own command line
        (ExperimentRecord(code_version="dev"), False),
        (ExperimentRecord(resolved_spec={"model": {"dissmodel": "~=0.5.0"}}), True),
        (ExperimentRecord(resolved_spec={"model": {"dissmodel": "==0.5.*"}}), True),
        (ExperimentRecord(resolved_spec={"model": {"dissmodel": ">=0.5"}}), False),
        (ExperimentRecord(resolved_spec={"model": "odd"}), False),
        (made_with("0.5.1", model_name="of the lab"), False),
    ],
)
def test_where_a_record_tells_its_version(installed, record, is_said):
    installed("0.6.6")
    if record.model_name == "of the lab":
        record.provenance.executor_package = "dissmodel_lab==0.1.0"
    assert bool(preflight_of_record(record)) is is_said


def test_an_executor_of_another_make_has_no_end_time(installed):
    installed("0.6.6")
    assert preflight_of_record(made_with("0.5.1"), Model) == []
    upstream = type("Upstream", (type("ModelExecutor", (), {"__module__": "dissmodel.executor"}),), {})
    assert len(preflight_of_record(made_with("0.5.1"), upstream)) == 1


# --- parameters --------------------------------------------------------------------------------------------


class Growing(Model):
    """An executor whose source spells out what it reads."""

    def load(self, record):
        return record.parameters["growth"], record.parameters.get("n_steps", 7)


def test_a_parameter_that_the_executor_never_reads():
    assert said(look(model=Growing, growht=1.5, colour="red")) == [
        ("warning", "unknown-parameter", "The parameter growht is never read by Growing.",
         "Did you mean 'growth'? Known: growth, n_steps."),
        ("warning", "unknown-parameter", "The parameter colour is never read by Growing.",
         "Known: growth, n_steps."),
    ]  # fmt: skip
    assert look(model=Growing, growth=1.5, n_steps=3) == []
    assert look(model=Model, anything=1) == []


def test_a_declared_parameter_is_checked_where_it_is_declared():
    assert look(model=CoastalFlood, anything=1) == []


# --- time --------------------------------------------------------------------------------------------------


def huge(path="huge.tif", **profile):
    """10,000 x 10,000 cells of two bands, of which one block is written."""
    profile = {
        "tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "crs": "EPSG:31983",
        "transform": PLACE, "nodata": 2, **profile,
    }  # fmt: skip
    with rasterio.open(
        path, "w", driver="GTiff", height=10_000, width=10_000, count=2, dtype="uint8", sparse_ok=True, **profile
    ) as dataset:
        dataset.write(np.full((1, 512, 512), 9, "uint8"), [1], window=Window(5120, 5120, 512, 512))
        dataset.update_tags(1, name="uso")
        dataset.update_tags(2, name="alt")
    return with_legend(path)


@pytest.mark.parametrize(
    "profile", [{}, {"tiled": False, "blockysize": 1}, {"interleave": "pixel"}, {"compress": None}]
)
def test_all_rules_on_a_large_raster_take_less_than_two_seconds(profile, constants, monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10**8))
    path = huge(**profile)
    cells("roads.gpkg", crs=4326, at=(10, 50))
    with zipfile.ZipFile("both.zip", "w") as archive:
        archive.write("roads.gpkg", "a.gpkg")
        archive.write("roads.gpkg", "b.gpkg")
    Path("broken.tif").write_bytes(b"II*\0")
    started = time.perf_counter()
    findings = look(
        path, constants(USO_LABELS=USO), output=path, band="usso", roads_file="roads.gpkg", other_file="both.zip",
        more_file="broken.tif", demand_csv="nowhere.csv",
    )  # fmt: skip
    seconds = time.perf_counter() - started
    rules = {finding.rule for finding in findings}
    assert rules >= {
        "missing-file", "output-is-input", "unreadable", "datasets", "missing-band", "different-crs", "no-overlap",
        "little-memory", "nodata-is-class", "code-outside-legend",
    }  # fmt: skip
    assert seconds < 10


def test_what_comes_too_late_is_not_looked_at(monkeypatch):
    monkeypatch.setattr(check, "SECONDS", -1)
    assert said(look(grid())) == [
        ("warning", "not-looked-at", "grid.tif was not looked at: the time for a look before the run was over.",
         "Nothing needs to be done; the run reads it."),
    ]  # fmt: skip


def test_a_rule_that_fails_keeps_nobody_from_running(monkeypatch):
    monkeypatch.setattr(check, "memory_findings", lambda inputs: 1 / 0)
    assert said(look(grid())) == [
        ("warning", "check-failed",
         "One check before the run could not be made: ZeroDivisionError: division by zero.",
         "Run the model all the same, and report this to dissmodel_lab."),
    ]  # fmt: skip
