"""Two tables with geometries: rows that belong together, classes and values of columns, areas."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

geopandas = pytest.importorskip("geopandas")
import pandas as pd  # noqa: E402 -- after geopandas
from pyproj import CRS, Geod  # noqa: E402

from dissmodel_lab.changes import change_between  # noqa: E402
from dissmodel_lab.changes.areas import areas_of_shapes  # noqa: E402
from dissmodel_lab.changes.report import CHANGED, NOTHING, ONE_SIDED, SAME  # noqa: E402
from dissmodel_lab.errors import ComparisonError  # noqa: E402
from dissmodel_lab.maps import preview  # noqa: E402


def squares(count=4, size=100.0, west=300_000.0, south=7_000_000.0):
    """Squares in a row."""
    return [shapely.box(west + i * size, south, west + (i + 1) * size, south + size) for i in range(count)]


def table(columns, shapes=None, crs="EPSG:31983"):
    shapes = squares(len(next(iter(columns.values())))) if shapes is None else shapes
    return geopandas.GeoDataFrame(columns, geometry=shapes, crs=crs)


def refusal(*args, **options):
    with pytest.raises(ComparisonError) as caught:
        change_between(*args, **options)
    return str(caught.value)


def test_a_column_of_texts_is_one_of_classes():
    before = table({"use": ["forest", "forest", "field", None]})
    after = table({"use": ["forest", "city", "field", "city"]})
    change = change_between(before, after)
    assert change.sentence == "1 of 3 features changed (33.33 %)"
    assert change.classes.codes == ("city", "field", "forest")
    assert change.classes.cells.tolist() == [[0, 0, 0], [0, 1, 0], [1, 0, 1]]
    assert change.classes.only_after.tolist() == [1, 0, 0]
    assert (change.classes.area_unit, change.classes.areas[2, 0]) == ("ha", pytest.approx(1.0))
    assert change.classes.area_disagreement is None
    assert change.notes == (
        "1 feature with a value in one map only (0 before, 1 after): counted apart, not as change.",
    )
    assert change.picture.state.tolist() == [[SAME, CHANGED, SAME, ONE_SIDED]]
    assert [change.classes.codes[i] for i in change.picture.after[0]] == ["forest", "city", "field", "city"]


def test_a_column_of_numbers_is_compared_by_its_difference():
    change = change_between(table({"share": [0.25, 0.5, 0.75]}), table({"share": [0.25, 0.75, np.nan]}))
    assert change.kind == "values"
    assert change.sentence == "1 of 2 features changed (50 %)"
    largest = change.values.largest  # noqa: PD011 -- no pandas
    assert (largest.difference, largest.row, largest.x) == (0.25, 1, None)
    assert change.picture.difference == pytest.approx(np.array([[0, 0.25, np.nan]]), nan_ok=True)


@pytest.mark.parametrize(
    ("column", "codes"),
    [
        ([1, 2, 3], (1, 2, 3)),
        ([True, False, True], (0, 1)),
        (pd.array([1, None, 3], "Int64"), (1, 3)),
        (pd.Categorical(["a", "b", "a"]), ("a", "b")),
    ],
)
def test_columns_of_any_kind_are_classes_as_on_the_map(column, codes):
    change = change_between(table({"use": column}), table({"use": column}))
    assert change.classes.codes == codes
    assert change.changed == 0


@pytest.mark.parametrize(
    "column",
    [
        [1, 2, 3, 3],
        [1.0, 2.0, 3.0, 3.0],
        [1.0, np.nan, 3.0, 3.0],
        [1.5, np.nan, 3.0, 3.0],
        [np.nan] * 4,
        [True, False, True, True],
        ["b", None, "a", "b"],
        pd.array([1, None, 3, 3], "Int64"),
        pd.array([1.5, None, 3, 3], "Float64"),
        pd.Categorical(["b", "a", None, "b"], ["b", "a"]),
        pd.to_datetime(["2020-01-01"] * 4),
    ],
    ids=str,
)
def test_the_report_calls_classes_what_the_map_calls_classes(column):
    cells = table({"use": column})
    legend, kinds = preview(cells).legend, {"classes": "classes", "continuous": "values", "empty": "values"}
    change = change_between(cells, cells, "use")
    assert change.kind == kinds[legend.kind]
    shown = {str(entry.value): entry.colour for entry in legend.entries}
    if change.kind == "classes" and legend.entries[0].value not in {"False", "True"}:
        assert dict(zip(map(str, change.classes.codes), change.classes.colours, strict=True)) == shown


@pytest.mark.parametrize(
    ("before", "after", "only_after"), [([None] * 2, ["a", "b"], 2), ([None] * 2, [None] * 2, 0)]
)
def test_a_column_without_a_value_has_nothing_in_common(before, after, only_after):
    change = change_between(table({"use": before}), table({"use": after}))
    assert (change.compared, change.only_after, change.total) == (0, only_after, 2)


def test_a_column_of_many_numbers_is_one_of_values():
    cells = table({"age": range(40)})
    assert change_between(cells, cells).kind == "values"
    assert preview(cells).legend.kind == "continuous"


def test_rows_in_another_order_are_matched_by_geometry():
    before = table({"use": ["a", "b", "c", "d"]})
    after = before.iloc[[2, 0, 3]].assign(use=["c", "x", "d"])
    change = change_between(before, after)
    assert change.sentence == "1 of 3 features changed (33.33 %)"
    assert change.notes[0] == "Features matched by their geometry."
    assert (change.only_before, change.only_after) == (1, 0)
    assert change.picture.state.tolist() == [[CHANGED, ONE_SIDED, SAME, SAME]]


def test_moved_geometries_are_matched_by_an_id():
    before = table({"id": [7, 8, 9], "use": ["a", "b", "c"]})
    after = table({"id": [9, 7, 5], "use": ["c", "x", "a"]}, squares(3, west=900_000.0))
    change = change_between(before, after, "use")
    assert change.notes[0] == "Features matched by the column 'id'."
    assert change.sentence == "1 of 2 features changed (50 %)"
    assert (change.only_before, change.only_after) == (1, 1)


def test_a_key_that_was_named_is_used():
    before = table({"code": ["p", "q"], "use": ["a", "b"]})
    after = table({"code": ["q", "p"], "use": ["b", "x"]})
    assert change_between(before, after, "use", key="code").sentence == "1 of 2 features changed (50 %)"
    assert refusal(before, after, "use", key="cod") == (
        "The first table has no column 'cod'. Did you mean 'code'? Known: code, use."
    )
    assert refusal(before.assign(code="p"), after, "use", key="code") == (
        "The column 'code' does not name each feature: a value of it occurs twice or is missing."
    )


def test_features_that_nothing_matches_are_refused():
    before, after = table({"use": ["a", "b"]}), table({"use": ["a"]}, squares(1, west=900_000.0))
    assert refusal(before, after) == (
        "The features of the two tables (2 and 1) can't be matched: their geometries differ, and no column with an "
        "id is in both. Name the column that identifies them (key=...)."
    )


def test_some_geometries_in_both_are_enough():
    before = table({"use": ["a", "b"]}, squares(2))
    after = table({"use": ["b", "c"]}, squares(3)[1:])
    change = change_between(before, after)
    assert (change.compared, change.only_before, change.only_after) == (1, 1, 1)


def test_geometries_that_lie_on_each_other_name_no_feature():
    square = squares(1) * 2
    before, after = table({"use": ["a", "b"]}, square), table({"use": ["b"]}, square[:1])
    assert "can't be matched" in refusal(before, after)
    assert change_between(before, table({"use": ["a", "x"]}, square)).changed == 1  # row by row


def test_tables_in_two_crs_are_not_matched_by_their_corners():
    before = table({"use": ["a"]}, [shapely.box(0, 0, 1, 1)], "EPSG:4326")
    after = table({"use": ["b"]}, [shapely.box(0, 0, 1, 1)], "EPSG:31983")
    assert "can't be matched" in refusal(before, after)


def test_texts_that_name_features_are_no_classes():
    names = [f"farm {i}" for i in range(300)]
    before = table({"owner": names, "use": ["a"] * 300})
    assert refusal(before, before, "owner") == (
        "The column 'owner' holds 300 different texts: they name features, they are no classes. "
        "Choose another column: owner, use."
    )


def test_texts_and_numbers_are_not_compared():
    assert refusal(table({"use": ["a", "b"]}), table({"use": [1, 2]})) == (
        "Classes and values can't be compared: 'use' of the first map holds classes a, b; 'use' of the second map "
        "holds classes 1, 2. Choose another band. In both: use."
    )


def test_a_table_without_a_column_has_nothing_to_compare():
    bare = geopandas.GeoDataFrame(geometry=squares(2))
    assert refusal(bare, bare) == "The first map has no column to compare, only geometries. Add one."


def test_an_empty_table_says_that_there_is_nothing_to_compare():
    empty = table({"use": ["a"]}).iloc[:0]
    change = change_between(empty, empty)
    assert change.sentence == "No feature has a value in both maps: nothing to compare."
    assert (change.picture.state == NOTHING).all()


def test_points_are_counted():
    points = table({"use": ["a", "b"]}, [shapely.Point(0, 0), shapely.Point(9, 9)])
    found = change_between(points, points.assign(use=["a", "c"])).classes
    assert (found.area_unit, found.area_method) == (
        "features",
        "Points and lines have no area: features are counted.",
    )
    assert found.cells.sum() == 2


def test_missing_geometries_count_without_area():
    before = table({"use": ["a", "b"]}, [*squares(1), None])
    change = change_between(before, before.assign(use=["b", "c"]))
    assert change.sentence == "2 of 2 features changed (100 %)"
    assert change.classes.areas.sum() == pytest.approx(1.0)


def test_areas_in_degrees_are_geodesic():
    shapes = [shapely.box(10 + i, 45, 11 + i, 45.5) for i in range(2)]
    triangle = shapely.Polygon([(20, -60), (20.01, -60), (20.005, -59.99)])
    hole = shapely.box(30.1, 10.1, 30.2, 10.2)
    with_hole = shapely.segmentize(shapely.difference(shapely.box(30, 10, 30.3, 10.3), hole), 0.001)
    both = shapely.MultiPolygon([shapes[1], with_hole])
    before = table({"use": ["a", "b", "c", "d"]}, [shapes[0], both, triangle, with_hole], "EPSG:4326")
    found = change_between(before, before.assign(use="x")).classes
    assert found.area_unit == "km2"
    assert found.area_method == (
        "Geodesic: on the ellipsoid WGS 84 of EPSG:4326 (Snyder 1987, Map Projections, USGS PP 1395, eq. 3-12)."
    )
    geod = Geod(ellps="WGS84")
    column = found.codes.index("x")
    for code, shape in (
        ("a", shapely.segmentize(shapes[0], 0.001)),
        ("c", shapely.segmentize(triangle, 0.0001)),
        ("d", with_hole),
    ):
        area = abs(geod.geometry_area_perimeter(shape)[0]) / 1e6
        assert found.areas[found.codes.index(code), column] == pytest.approx(area, rel=1e-6)
    a, b, _, d, _ = found.areas[:, column]
    assert b == pytest.approx(a + d)
    assert found.area_disagreement is not None


def test_web_mercator_is_brought_back_to_the_ellipsoid():
    degrees = table({"use": ["a", "b"]}, [shapely.box(10 + i, 60, 11 + i, 60.5) for i in range(2)], "EPSG:4326")
    mercator = degrees.to_crs("EPSG:3857")
    found = [change_between(cells, cells.assign(use=["b", "b"])).classes for cells in (degrees, mercator)]
    assert found[1].areas == pytest.approx(found[0].areas, rel=1e-6)
    assert "because EPSG:3857 does not keep areas" in found[1].area_method


def test_files_of_cells_are_compared():
    before = table({"use": ["a", "b"], "age": [1.5, 2.5]})
    before.to_file("before.gpkg")
    before.assign(use=["a", "a"]).to_file("after.geojson")
    change = change_between("before.gpkg", "after.geojson", "use")
    assert change.sentence == "1 of 2 features changed (50 %)"
    assert change.bands == ("use", "age")


def test_shapes_beside_the_antimeridian_have_their_areas():
    shapes = squares(3, 30_000, 200_000, 5_000_000)  # 180 degrees run through the third
    before, after = (table({"use": list(uses)}, shapes, "EPSG:32601") for uses in ("aab", "abb"))
    change = change_between(before, after)
    assert change.classes.area_unit == "km2"
    assert change.classes.areas.tolist() == [[pytest.approx(900), pytest.approx(900)], [0, pytest.approx(900)]]
    far, method = areas_of_shapes(np.array([shapely.box(3.2e6, 5e6, 3.5e6, 5.3e6)]), CRS("EPSG:3832"))
    near, _ = areas_of_shapes(np.array([shapely.box(0, 5e6, 3e5, 5.3e6)]), CRS("EPSG:3832"))
    assert far == pytest.approx(near)
    assert method.endswith("because EPSG:3832 does not keep areas.")


def test_shapes_beyond_a_projection_count_as_in_the_plane():
    shapes = np.array([shapely.box(0, 8e6, 1e5, 8.1e6), shapely.box(9e8, 9e8, 9.1e8, 9.1e8)])
    areas, _ = areas_of_shapes(shapes, CRS("EPSG:5880"))
    assert areas == pytest.approx([7.659e9, 1e14], rel=1e-4)


def test_a_key_may_be_a_number():
    before = table({5: [1, 2], "use": ["a", "b"]})
    after = table({5: [2, 1], "use": ["b", "c"]}, squares(2, west=500_000))
    assert change_between(before, after, "use", key="5").sentence == "1 of 2 features changed (50 %)"


def test_large_whole_numbers_with_gaps_keep_their_last_digits():
    before = table({"n": pd.array([2**60, 2**60 + 5, None], "Int64")})
    after = table({"n": pd.array([2**60 + 1, 2**60 + 5, 7], "Int64")})
    change = change_between(before, after, "n")
    assert change.sentence == "1 of 2 features changed (50 %)"
    assert (change.only_before, change.only_after) == (0, 1)


def test_truth_values_with_gaps_are_compared_where_both_are_known():
    before = table({"n": pd.array([True, None, False], "boolean")})
    change = change_between(before, table({"n": [True, True, True]}), "n")
    assert (change.sentence, change.only_after) == ("1 of 2 features changed (50 %)", 1)
