"""Verdicts and checks on the page: the word, the reasons, the figures, and a map on which one cell is seen."""

from __future__ import annotations

import re
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS
from test_change_view import EVIL, Page, colour

from dissmodel_lab.differences import PartDifference, Place, find_differences
from dissmodel_lab.executor import ExperimentRecord
from dissmodel_lab.maps.differences import DIFFERS
from dissmodel_lab.rasters import Raster, write_raster
from dissmodel_lab.verification.integrity import Check, Integrity, State
from dissmodel_lab.verification.verdict import Verdict, VerdictKind
from dissmodel_lab.views import verdict as views
from dissmodel_lab.views.comparison_text import integrity_text, verdict_text
from dissmodel_lab.views.verdict import (
    differing_layer,
    integrity_bundle,
    integrity_html,
    show_integrity,
    show_verdict,
    verdict_bundle,
    verdict_html,
)

PLACE = Affine(30, 0, 600_000, 0, -30, 7_400_000)
FIRST, RERUN = "1a2b3c4d5e6f", "99887766aabb"


def written(name, array, bands=("depth", "age"), *, with_place=False):
    place = {"transform": PLACE, "crs": CRS(31983)} if with_place else {}
    write_raster(Raster(array=array, bands=bands, nodata=-1, **place), name)
    return Path(name)


def pair(shape=(20, 30), cells=((4, 7, 0.5),), **more):
    """Two files of two bands; the second one differs in some cells of the first band."""
    first = np.ones((2, *shape), "float32")
    first[:, :, 0] = -1
    second = first.copy()
    for row, column, by in cells:
        second[0, row, column] += by
    return written("first.tif", first, **more), written("second.tif", second, **more)


def verdict_of(first, second, kind=VerdictKind.DIFFERENT, **more):
    found = find_differences(first, second, tolerance=more.get("tolerance"))
    record = ExperimentRecord(experiment_id=RERUN, output_path=str(second), artifacts={"output": "00"})
    facts = {"why": found.sentences, "figures": found.all_parts, "reruns": (RERUN,), "differences": found}
    return Verdict(kind=kind, of=FIRST, record=record, **facts | more)


@pytest.mark.parametrize(
    ("kind", "sign", "meaning"),
    [
        (VerdictKind.IDENTICAL, "&#10004; IDENTICAL", "Nothing differs."),
        (VerdictKind.SAME_CONTENT, "&#10004; SAME CONTENT", "the same values in the same places."),
        (VerdictKind.WITHIN_TOLERANCE, "&#8776; WITHIN TOLERANCE", "by no more than the tolerance"),
        (VerdictKind.DIFFERENT, "&#10008; DIFFERENT", "The rerun gave something else."),
        (VerdictKind.CANNOT_VERIFY, "? CANNOT VERIFY", "The run can neither be confirmed nor refuted."),
    ],
)
def test_each_verdict_is_a_word_with_a_sign(kind, sign, meaning):
    html = verdict_html(Verdict(kind=kind, of=FIRST, why=("Because <b>.",), reruns=(RERUN,)))
    assert sign in html
    assert meaning in html
    assert "Rerun of run <b>1a2b3c4d</b> &middot; made for it: 99887766." in html
    assert "Because &lt;b&gt;." in html
    assert verdict_text(Verdict(kind=kind, of=FIRST)) == f"{kind.upper()}: rerun of run 1a2b3c4d"


def test_the_banner_has_enough_contrast():
    def luminance(text):
        parts = (int(text[at : at + 2], 16) / 255 for at in (1, 3, 5))
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for _, ground, ink, _ in views.VERDICTS.values():  # WCAG 2.2, 1.4.3: 4.5 to 1
        light, dark = sorted((luminance(ground), luminance(ink)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_a_single_differing_cell_is_seen_at_its_place():
    html = verdict_html(verdict_of(*pair()))
    page = Page(html)
    pixels = page.picture("Map of differing cells of depth")
    assert colour(pixels, 4, 7, (20, 30)) == DIFFERS
    assert colour(pixels, 12, 20, (20, 30)) == "#d9d9d9"
    assert colour(pixels, 3, 0, (20, 30)) == ""  # no data in the output
    assert "1 cell differs in band depth." in html


def test_in_a_large_raster_one_cell_is_drawn_larger_and_said_so():
    html = verdict_html(verdict_of(*pair((3000, 2000), ((2500, 1500, 1.0),))))
    pixels = Page(html).picture("Map of differing cells of depth")
    rows, columns = np.nonzero((pixels == (0xD5, 0x5E, 0x00, 255)).all(axis=-1))
    assert (np.ptp(columns) + 1) * 413 / pixels.shape[1] >= 4  # 413 pixels wide on the page
    assert rows.mean() / pixels.shape[0] == pytest.approx(2500 / 3000, abs=0.005)
    assert columns.mean() / pixels.shape[1] == pytest.approx(1500 / 2000, abs=0.005)
    assert "Drawn 1 of 9 cells: one that differs where there is any." in html
    assert re.search(r"Marked cells are drawn \d+ x \d+ pixels large", html)


def test_the_figures_of_each_band():
    table = Page(verdict_html(verdict_of(*pair(cells=((4, 7, 0.5), (9, 9, -4.0)), with_place=True)))).tables[0]
    assert table == [
        ["band or column", "differ", "largest difference", "where", "first", "rerun"],
        ["depth", "2 of 600 cells", "4", "row 9, column 9 (x 600285, y 7399715)", "1", "-3"],
        ["age", "0 of 600 cells", "", "", "", ""],
    ]


def test_a_tolerance_has_a_column_of_its_own():
    verdict = verdict_of(*pair(), kind=VerdictKind.WITHIN_TOLERANCE, tolerance=1.0)
    table = Page(verdict_html(verdict)).tables[0]
    assert table[0][2] == "beyond tolerance"
    assert table[1][:4] == ["depth", "1 of 600 cells", "0", "0.5"]
    assert "Each band or column: how many differ, tolerance 1" in verdict_html(verdict)


def test_the_band_that_differs_most_is_drawn_and_the_others_are_named():
    first, second = pair()
    raster = np.ones((2, 20, 30), "float32")
    raster[:, :, 0] = -1
    raster[1, 5:9, 5:9] = 7
    raster[0, 0, 1] = 3
    written("second.tif", raster)
    html = verdict_html(verdict_of(first, second))
    assert "Map of differing cells of age" in html
    assert "16 cells differ in band age." in html
    assert "Other bands differ too, not shown: depth." in html


def test_rows_of_a_table_that_differ():
    squares = [shapely.box(x, y, x + 1, y + 1) for y in range(3) for x in range(4)]
    one = geopandas.GeoDataFrame({"state": list(range(12))}, geometry=squares, crs="EPSG:31983")
    one.to_file("first.gpkg")
    other = one.copy()
    other.loc[6, "state"] = 99
    other.to_file("second.gpkg")
    layer = differing_layer(verdict_of(Path("first.gpkg"), Path("second.gpkg")))
    assert layer.states.tolist() == [[1, 1, 1, 1], [1, 1, 3, 1], [1, 1, 1, 1]]
    html = verdict_html(verdict_of(Path("first.gpkg"), Path("second.gpkg")))
    assert "1 row differs in column state." in html
    assert Page(html).tables[0][1] == ["state", "1 of 12 rows", "93", "row 6 (x 2.5, y 1.5)", "6", "99"]


def test_a_folder_lists_the_files_that_differ():
    first, second = pair()
    for name, path in (("a", first), ("b", second)):
        Path(name).mkdir()
        path.rename(Path(name) / "map.tif")
    html = verdict_html(verdict_of(Path("a"), Path("b")))
    assert "Files that differ (1)" in html
    assert "map.tif" in html


def test_an_output_that_has_gone_does_not_hide_the_verdict():
    verdict = verdict_of(*pair())
    Path("second.tif").unlink()
    html = verdict_html(verdict)
    assert "&#10008; DIFFERENT" in html
    pixels = Page(html).picture("Map of differing cells of depth")
    assert colour(pixels, 4, 7, (20, 30)) == DIFFERS


def test_a_table_that_has_gone_is_no_reason_to_fail():
    for name, value in (("first.gpkg", 1), ("second.gpkg", 2)):
        table = geopandas.GeoDataFrame({"a": [value]}, geometry=[shapely.box(0, 0, 1, 1)], crs="EPSG:31983")
        table.to_file(name)
    verdict = verdict_of(Path("first.gpkg"), Path("second.gpkg"))
    Path("second.gpkg").write_bytes(b"nothing")
    html = verdict_html(verdict)
    assert "DIFFERENT" in html
    assert "No map of what differs: " in html


def test_a_verdict_read_from_a_record_has_its_figures_and_no_map():
    made = verdict_of(*pair(), settings={"PYTHONHASHSEED": "0"})
    read = Verdict.from_values(made.as_values())
    html = verdict_html(read)
    assert Page(html).tables == Page(verdict_html(made)).tables
    assert '<img alt="Map' not in html
    assert verdict_text(read) == verdict_text(made)
    assert "PYTHONHASHSEED" in html


def test_what_a_foreign_record_holds_is_shown_as_it_is():
    place = Place(EVIL, "1", "x", "y", [EVIL], {EVIL: 1})
    figures = (
        PartDifference(name=EVIL, compared="many", differing=None, beyond="b", largest="huge", place=place),
        PartDifference(name="age", compared=3, differing=2),
    )
    verdict = Verdict(kind=VerdictKind.DIFFERENT, of=EVIL, why=(EVIL,), figures=figures, tolerance=0.5)
    html = verdict_html(verdict)
    assert "<script" not in html
    assert [row[:3] for row in Page(html).tables[0][1:]] == [
        ["age", "2 of 3 cells", "0"],
        [EVIL, "null of many cells", "b"],
    ]
    assert "many cells" in verdict_text(verdict)


def test_hostile_texts_are_escaped_and_secrets_hidden():
    verdict = Verdict(
        kind=VerdictKind.CANNOT_VERIFY,
        of=EVIL,
        why=(EVIL, "https://ana:pw@host/in.tif has changed."),
        settings={EVIL: EVIL, "password": "token=hunter2"},
        reruns=(EVIL,),
    )
    html = verdict_html(verdict)
    assert "<script" not in html
    assert "pw@" not in html
    assert "hunter2" not in html
    assert "hunter2" not in verdict_text(verdict)


def test_static_html_holds_only_what_an_untrusted_notebook_keeps_and_little_of_it():
    random = np.random.default_rng(0)
    many = [(int(row), int(column), 1.0) for row, column in random.integers(1, 700, (60_000, 2))]
    verdict = verdict_of(*pair((700, 700), many), why=tuple("x" * 3000 for _ in range(50)))
    html = verdict_html(verdict)
    page = Page(html)
    assert not {"script", "style", "svg", "iframe"} & set(page.tags)
    assert "id" not in page.attributes
    assert len(html.encode()) < 120_000
    assert "and 38 more reasons" in html


def test_the_bundle_holds_a_picture_where_there_is_a_place():
    assert set(verdict_bundle(verdict_of(*pair()))) == {"text/plain", "text/html", "image/png"}
    assert set(verdict_bundle(Verdict(kind=VerdictKind.IDENTICAL, of=FIRST))) == {"text/plain", "text/html"}


def test_the_same_in_plain_text():
    text = verdict_text(verdict_of(*pair(), settings={"threads": 1}))
    assert text.splitlines() == [
        "DIFFERENT: rerun of run 1a2b3c4d",
        "  depth: 1 of 600 cells differs, largest difference 0.5, at row 4, column 7: 1 and 1.5.",
        "  band or column  differ          largest difference  where            first  rerun",
        "  depth           1 of 600 cells  0.5                 row 4, column 7  1      1.5",
        "  age             0 of 600 cells",
        "  made for it: 99887766",
        "  settings",
        "  threads   1",
    ]


def test_a_shared_notebook_does_not_tell_the_folders_of_this_machine(workspace):
    here, beside = str(workspace), str(workspace.parent / "other")
    verdict = Verdict(
        kind=VerdictKind.CANNOT_VERIFY,
        of=FIRST,
        why=(f"The input {here}/in/a.tif is not what was recorded; nor is {beside}/b.tif.",),
        settings={"executor": f"{here}/models.py:Flood", "working_folder": here, "data": f"{beside}/b.tif"},
    )
    checks = integrity(
        Check(
            item="record", state=State.OK, path=workspace / "runs/x/record.json", why=f"Its copy {here}/o.json fits."
        ),
        Check(item="input", state=State.OK, path=Path(beside) / "b.tif"),
        Check(item="artifact output", state=State.OK, path=Path(f"{here}-2/c.tif")),
    )
    for text in (verdict_text(verdict), verdict_html(verdict)):
        assert "The input in/a.tif is not what was recorded" in text
        assert f"nor is {beside}/b.tif." in text
        assert "models.py:Flood" in text
        assert f"{here}/" not in text
        assert "working_folder" not in text
    for text in (integrity_text(checks), integrity_html(checks)):
        assert "Its copy o.json fits." in text
        assert f"{here}/" not in text
        assert f"{here}-2/c.tif" in text
    assert [row[2] for row in Page(integrity_html(checks)).tables[0][1:]] == [
        "runs/x/record.json",
        f"{beside}/b.tif",
        f"{here}-2/c.tif",
    ]


# --- checks ----------------------------------------------------------------------------------------------------


def integrity(*checks):
    return Integrity(record=ExperimentRecord(), checks=checks)


def test_each_item_has_its_state_as_a_word():
    found = integrity(
        Check(item="record", state=State.OK, recorded="a" * 64, found="a" * 64, path=Path("runs/x/record.json")),
        Check(
            item="input", state=State.CHANGED, recorded="b" * 64, found="c" * 64, path=Path(f"{EVIL}.tif"), why=EVIL
        ),
        Check(item="artifact output", state=State.MISSING, path=Path("out.tif")),
        Check(item="artifact table", state=State.REWRITTEN, is_outside=True),
        Check(item="parameter demand", state=State.UNKNOWN, why="No checksum was recorded."),
    )
    html = integrity_html(found)
    assert "&#10008; NOT AS RECORDED" in html
    assert "<script" not in html
    rows = Page(html).tables[0]
    assert rows[0] == ["item", "state", "where", "why", "SHA-256"]
    assert [row[1] for row in rows[1:]] == ["✔ ok", "✘ changed", "✘ missing", "≈ rewritten", "? cannot be checked"]
    assert rows[2][4] == f"{'b' * 12}, now {'c' * 12}"
    assert rows[4][3] == " (outside of the store)"
    text = integrity_text(found)
    assert text.startswith(found.sentence)
    assert re.search(r"changed +input", text)


@pytest.mark.parametrize(
    ("state", "banner"),
    [
        (State.OK, "&#10004; AS RECORDED"),
        (State.REWRITTEN, "&#10004; AS RECORDED"),
        (State.CHANGED, "&#10008; NOT AS RECORDED"),
        (State.MISSING, "&#10008; NOT AS RECORDED"),
        (State.UNKNOWN, "? CANNOT BE CHECKED"),
    ],
)
def test_the_whole_in_one_word(state, banner):
    assert banner in integrity_html(integrity(Check(item="input", state=state)))


def test_many_items_are_cut_and_said():
    html = integrity_html(integrity(*[Check(item=f"artifact {at}", state=State.OK) for at in range(100)]))
    assert "and 40 more" in html


def test_a_record_that_names_nothing():
    assert "The record names nothing that could be checked." in integrity_bundle(integrity())["text/plain"]


# --- in a cell -------------------------------------------------------------------------------------------------


class Kept:
    """An output that remembers what it showed."""

    shown: list[object]

    def show_widget(self, widget, fallback=""):
        self.shown.append(widget)

    def show_static(self, bundle):
        self.shown.append(bundle)


@pytest.fixture
def shown(monkeypatch):
    Kept.shown = []
    monkeypatch.setattr(views, "CellOutput", Kept)
    return Kept.shown


def test_the_static_form_comes_first_then_a_map_to_explore(shown):
    show_verdict(verdict_of(*pair()))
    static, widget = shown
    assert "DIFFERENT" in static["text/html"]
    assert "dl-map" in widget.children[1]._dom_classes


def test_without_a_place_there_is_no_map(shown):
    show_verdict(Verdict(kind=VerdictKind.IDENTICAL, of=FIRST))
    show_integrity(integrity(Check(item="input", state=State.OK)))
    assert [sorted(bundle) for bundle in shown] == [["text/html", "text/plain"]] * 2
