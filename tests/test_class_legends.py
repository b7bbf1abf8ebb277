"""Legends from the constants of an executor: only where they fit, only real colours, and always said."""

from __future__ import annotations

import enum
import json
import sys
import types

import geopandas as gpd
import numpy as np
import pytest
import shapely
from matplotlib import pyplot as plt
from matplotlib.colors import ListedColormap

from dissmodel_lab.class_tables import MAX_LABEL, class_table, class_tables
from dissmodel_lab.executor import ExperimentRecord
from dissmodel_lab.executor.schemas import Provenance
from dissmodel_lab.maps import preview
from dissmodel_lab.maps.classes import class_legend_of
from dissmodel_lab.maps.legend import PALETTE, paint
from dissmodel_lab.provenance import loaded_executor
from dissmodel_lab.rasters import Raster


@pytest.fixture
def module(monkeypatch):
    """Make a module, as a package on disk would have been loaded."""

    def make(name, source="", **constants):
        made = types.ModuleType(name)
        made.__package__ = name.rpartition(".")[0] or name
        vars(made).update(constants)
        exec(source, vars(made))
        monkeypatch.setitem(sys.modules, name, made)
        return made

    return make


@pytest.fixture
def executor(module):
    """An executor whose module has these constants."""

    def make(**constants):
        return module("mangue", "class Mangue:\n    pass", **constants).Mangue

    return make


USO = {1: "#117733", 2: (0, 114, 178), 3: "red"}
NAMES = {1: "mangue", 2: "mar", 3: "cidade"}


# --- which constants are tables ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "labels", "colours"),
    [
        ("USO_COLORS", {1: "green", 2: "#00F"}, {}, {1: "#008000", 2: "#0000ff"}),
        ("uso_cores", {1: (1.0, 0.0, 0.0), 2: (0, 0, 1.0)}, {}, {1: "#ff0000", 2: "#0000ff"}),
        ("COLORS", {np.int64(1): [255, 0, 0], 2.0: [0, 0, 1]}, {}, {1: "#ff0000", 2: "#000001"}),
        ("COLORS", {0: (0, 0, 0, 0), 1: "green"}, {}, {0: "", 1: "#008000"}),
        ("PALETTE", {"1": "green", "-1": "blue"}, {}, {1: "#008000", -1: "#0000ff"}),
        ("LABELS", {1: "tan", 2: "gold"}, {1: "tan", 2: "gold"}, {}),
        ("LAND_USE_CLASSES", {1: "forest", 2: "sea"}, {1: "forest", 2: "sea"}, {}),
        ("LAND_USE", {"forest": 1, "sea": 2}, {1: "forest", 2: "sea"}, {}),
        ("CLASSES", {1: ("wood", "red"), 2: ("blue", "sea")}, {1: "wood", 2: "sea"}, {1: "#ff0000", 2: "#0000ff"}),
        ("CLASSES", {1: {"name": "forest", "color": "green"}}, {1: "forest"}, {1: "#008000"}),
        ("LEGEND", [(1, "wood", "green"), (2, "sea", "blue")], {1: "wood", 2: "sea"}, {1: "#008000", 2: "#0000ff"}),
        ("LABELS", [(1, "forest"), (2, "sea")], {1: "forest", 2: "sea"}, {}),
        ("STATES", {"tree": ("tree", "green")}, {"tree": "tree"}, {"tree": "#008000"}),
        ("COLORS", ["green", "blue"], {}, {0: "#008000", 1: "#0000ff"}),
        ("CMAP", ListedColormap(["green", "blue"]), {}, {0: "#008000", 1: "#0000ff"}),
        ("LABELS", ["forest", "sea"], {0: "forest", 1: "sea"}, {}),
        ("COLORS", {1: "green", 2: "javascript:alert(1)"}, {}, {1: "#008000"}),
        ("LandUse", enum.IntEnum("LandUse", {"OLD_FOREST": 1, "SEA": 2}), {1: "old forest", 2: "sea"}, {}),
    ],
)  # fmt: skip
def test_a_constant_that_is_a_table(name, value, labels, colours):
    table = class_table(name, value, "mangue")
    assert (dict(table.labels), dict(table.colours)) == (labels, colours)
    assert table.origin == f"{name} in mangue"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MONTHS", {1: "January", 2: "February"}),
        ("WEIGHTS", {1: 0.5, 2: 0.25}),
        ("GREYS", {0: "0", 1: "1"}),
        ("COLORS", {1: "C0", 2: "C1"}),
        ("COLORS", {1: "nothing", 2: "no colour"}),
        ("colours_are_not_said_here", None),
        ("shades", {1: "red", 2: "blue"}),
        ("CLASSES", {1: object(), 2: object()}),
        ("CLASSES", {1.5: "forest"}),
        ("CLASSES", {(1, 2): "forest"}),
        ("COLORS", []),
        ("NUMBERS", [1, 2, 3]),
    ],
)
def test_a_constant_that_is_none(name, value):
    assert class_table(name, value) is None


def test_labels_are_untrusted():
    label = class_table("LABELS", {1: "\x1b[31mfor\u202eest\n\t<b>" + "x" * 200}).labels[1]
    assert label.startswith("[31mforest <b>x")
    assert len(label) == MAX_LABEL


def test_constants_of_one_topic_belong_together(executor):
    tables = class_tables(executor(USO_COLORS=USO, USO_LABELS=NAMES, SOLO_LABELS={1: "argila"}))
    assert [table.origin for table in tables] == ["USO_COLORS and USO_LABELS in mangue", "SOLO_LABELS in mangue"]


def test_constants_of_bases_and_imported_modules_are_seen(module, tmp_path, monkeypatch):
    package = tmp_path / "manguezal"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "base.py").write_text("BASE_LABELS = {1: 'base'}\nclass Base:\n    pass\n")
    (package / "constants.py").write_text("USO_LABELS = {1: 'mangue'}\n")
    (package / "late.py").write_text("LATE_LABELS = {1: 'late'}\n")
    (package / "never.py").write_text("NEVER_LABELS = {1: 'never'}\n")
    (package / "model.py").write_text(
        "import json\nfrom . import constants\nfrom .base import Base\n"
        "class Model(Base):\n    OWN_LABELS = {1: 'own'}\n"
        "    def run(self):\n        from .late import LATE_LABELS\n        from .never import NEVER_LABELS\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import manguezal.late
    import manguezal.model

    origins = {table.origin for table in class_tables(manguezal.model.Model)}
    assert origins == {
        "OWN_LABELS in manguezal.model", "BASE_LABELS in manguezal.base", "USO_LABELS in manguezal.constants",
        "LATE_LABELS in manguezal.late",
    }  # fmt: skip
    assert "manguezal.never" not in sys.modules  # nothing is imported
    for name in [name for name in sys.modules if name.partition(".")[0] == "manguezal"]:
        monkeypatch.delitem(sys.modules, name)


class Odd:
    def __eq__(self, other):
        raise RuntimeError

    def __str__(self):
        raise RuntimeError

    __hash__ = None


@pytest.mark.parametrize(
    "value", [Odd(), np.array(5), float("nan"), 1 << 80, b"red", [], {}, (1, 2, 3, 4, 5), ("a", 1j)]
)
def test_odd_constants_are_no_tables(executor, value):
    model = executor(COLORS={1: value}, LABELS=[(1, value)], CLASSES=(value, value), USO_COLORS={1: "red"})
    assert [table.origin for table in class_tables(model) if table.colours] == ["USO_COLORS in mangue"]


def test_a_notebook_s_own_outputs_are_no_tables(executor):
    assert class_tables(executor(Out={1: "red", 2: "blue"}, _COLORS={1: "red"})) == ()


# --- which table fits --------------------------------------------------------------------------------------


def test_labels_and_colours_of_the_model(executor):
    found = class_legend_of(executor(USO_COLORS=USO, USO_LABELS=NAMES), [1, 2, 3])
    assert found.classes == {1: ("mangue", "#117733"), 2: ("mar", "#0072b2"), 3: ("cidade", "#ff0000")}


@pytest.mark.parametrize("values", [[1, 9], [0.5, 1], [True, False], [], ["mar"]])
def test_all_values_must_be_known(executor, values):
    assert class_legend_of(executor(USO_COLORS=USO), values) is None


def test_whole_numbers_of_any_type_are_codes(executor):
    model = executor(USO_COLORS=USO)
    for values in (np.array([1, 3], "uint8"), np.array([1.0, 2.0]), [1, 2.0]):
        assert class_legend_of(model, values).classes[1] == ("1", "#117733")


def test_a_constant_about_another_band_is_left_out(executor):
    model = executor(USO_LABELS=NAMES, SOLO_LABELS={1: "argila", 2: "areia", 3: "silte"})
    bands = ["uso", "solo", "alt"]
    assert class_legend_of(model, [1, 2], band="uso", bands=bands).classes[1] == ("mangue", "")
    assert class_legend_of(model, [1, 2], band="solo", bands=bands).classes[1] == ("argila", "")
    assert class_legend_of(model, [1, 2], band="alt", bands=bands) is None


def test_two_tables_that_fit_alike_are_no_answer(executor):
    model = executor(USO_LABELS=NAMES, SOLO_LABELS={1: "argila", 2: "areia", 3: "silte"})
    assert class_legend_of(model, [1, 2], band="classes", bands=["classes"]) is None


def test_the_table_with_fewer_strangers_is_taken(executor):
    model = executor(USO_LABELS=NAMES, FIRE_LABELS={0: "bare", 1: "tree", 2: "fire", 3: "ash"})
    assert class_legend_of(model, [1, 2]).origin == "USO_LABELS in mangue"
    assert class_legend_of(model, [0, 1, 2]).origin == "FIRE_LABELS in mangue"


def test_a_list_without_codes_needs_all_of_them(executor):
    model = executor(CMAP=ListedColormap(["green", "blue", "red"]))
    assert class_legend_of(model, [0, 1, 2]).classes[0] == ("0", "#008000")
    assert class_legend_of(model, [1, 2, 3]).classes[1] == ("1", "#008000")
    assert class_legend_of(model, [1, 2]) is None


def test_a_mask_has_no_classes(executor):
    model = executor(LAND_COLORS={0: "green", 1: "blue"})
    assert class_legend_of(model, [0, 1], band="land_mask", bands=["land_mask", "use"]) is not None  # it says so
    assert class_legend_of(model, [0, 1], band="mask", bands=["mask", "use"]) is None


# --- on the map --------------------------------------------------------------------------------------------


def test_the_map_shows_the_model_s_classes_and_says_whose_they_are(executor):
    model = executor(USO_COLORS=USO, USO_LABELS=NAMES)
    picture = preview(np.array([[1, 2]], "uint8"), classes=model)
    assert [(e.text, e.colour) for e in picture.legend.entries] == [
        ("mangue (1)", "#117733"), ("mar (2)", "#0072b2"), ("cidade (3)", "#ff0000"),
    ]  # fmt: skip
    assert "Classes of the model: USO_COLORS and USO_LABELS in mangue, matched by their codes." in picture.notes


def test_labels_without_colours_get_the_palette_for_every_kind_of_colour_vision(executor):
    picture = preview(np.array([[1, 2]], "uint8"), classes=executor(LABELS=NAMES))
    assert [e.colour for e in picture.legend.entries] == [PALETTE[1], PALETTE[2], PALETTE[3]]
    assert PALETTE[:2] == ("#56b4e9", "#e69f00")  # Okabe and Ito (2008)


def test_a_legend_in_the_data_comes_first(executor):
    raster = Raster(array=np.array([[[1, 2]]], "uint8"), bands=("c",), classes={"c": {1: ("own", "#123456")}})
    picture = preview(raster, classes=executor(COLORS=USO))
    assert picture.legend.entries[0].text == "own (1)"


def test_values_that_no_constant_knows_look_as_ever(executor):
    array = np.array([[1, 9]], "uint8")
    assert preview(array, classes=executor(COLORS=USO)).legend == preview(array).legend


def test_shares_of_0_and_1_are_no_classes(executor):
    model = executor(LAND_COLORS={0: "green", 1: "blue"})
    assert preview(np.array([[0.0, 1.0]]), classes=model).legend.kind == "continuous"
    assert preview(np.array([[0, 1]], "uint8"), classes=model).legend.kind == "classes"


def test_texts_of_a_table(executor):
    cells = gpd.GeoDataFrame(
        {"land": ["tree", "fire"]}, geometry=[shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)], crs=31983
    )
    model = executor(LAND_COLORS={"tree": "green", "fire": "orange", "ash": "black"})
    picture = preview(cells, "land", classes=model)
    assert {e.label: e.colour for e in picture.legend.entries} == {
        "fire": "#ffa500", "tree": "#008000", "ash": "#000000",
    }  # fmt: skip


def test_a_legend_that_somebody_writes_may_be_incomplete():
    picture = preview(np.array([[1, 2]], "uint8"), classes={1: ("forest", "green")})
    assert [e.label for e in picture.legend.entries] == ["forest", "not in the legend"]
    assert picture.notes[-1] == "Not in the legend of the data: 2."


@pytest.mark.parametrize("classes", [{1: "forest", 2: "sea"}, {1: "#00ff00", 2: "blue"}])
def test_a_legend_of_labels_or_colours(classes):
    entries = preview(np.array([[1, 2]], "uint8"), classes=classes).legend.entries
    said = [e.label for e in entries] if classes[1] == "forest" else [e.colour for e in entries]
    assert said == (["forest", "sea"] if classes[1] == "forest" else ["#00ff00", "#0000ff"])


def test_a_legend_that_was_kept_with_a_run_is_read_back(executor):
    """A record keeps it as JSON: codes are texts then, and pairs lists."""
    model = executor(USO_COLORS=USO, USO_LABELS=NAMES)
    array = np.array([[1, 2]], "uint8")
    first = preview(array, classes=model)
    kept = json.loads(json.dumps(first.grid.classes))
    assert preview(array, classes=kept).legend == first.legend


def test_an_executor_is_found_only_when_it_is_loaded(executor):
    model = executor()

    def found(path):
        return loaded_executor(ExperimentRecord(provenance=Provenance(executor_class=path)))

    assert found("mangue:Mangue") is model
    assert found("mangue:Mangue.run") is None
    assert found("antigravity:fly") is None
    assert "antigravity" not in sys.modules
    assert found("") is None
    assert loaded_executor(ExperimentRecord()) is None


def test_more_labels_than_colours_is_said():
    labels = {i: f"class {i}" for i in range(30)}
    array = np.arange(30, dtype="uint8").reshape(5, 6)
    said = "30 classes: more than colours that can be told apart; click to be sure."
    assert said in preview(array, classes=labels).notes
    assert said not in preview(array, classes={i: (f"class {i}", f"#0000{i:02x}") for i in range(30)}).notes


def test_the_backend_of_matplotlib_stays(executor):
    before = plt.get_backend()
    class_legend_of(executor(COLORS=USO), [1])
    assert plt.get_backend() == before


def test_a_continuous_scale_is_viridis():
    from dissmodel_lab.maps.arrays import from_array

    legend = paint(from_array(np.linspace(0, 1, 100).reshape(10, 10)).grid("band_1", 16))[0]
    assert (legend.colours[0], legend.colours[-1]) == ("#440154", "#fde725")
