"""Every view with hostile texts in every place: what the browser is shown, and what is read as HTML without it.

Each function returns what a notebook displays, and is told by :data:`VIEWS` with the places that it fills. The same
functions run in a kernel (``show``) and in a test.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from payloads import PAYLOADS

import dissmodel_lab as lab
from dissmodel_lab import RunStore
from dissmodel_lab.annotations import annotations_path
from dissmodel_lab.changes import change_between
from dissmodel_lab.changes.report import RunComparison, RunSide, ValuePair
from dissmodel_lab.differences import PartDifference, Place
from dissmodel_lab.frames import Backdrop, Moment, RawFrame, Series, Shown
from dissmodel_lab.maps import preview
from dissmodel_lab.maps.frames import compose
from dissmodel_lab.rasters import Raster
from dissmodel_lab.store import read_record
from dissmodel_lab.sweeps.design import Axis, SweepDesign
from dissmodel_lab.sweeps.report import Sensitivity, SweepProgress, SweepRow
from dissmodel_lab.verification import Verdict, VerdictKind

ALL = tuple(PAYLOADS.values())

# --- records that others wrote ---------------------------------------------------------------------

#: Texts of a record: none of them is more than words to whoever reads it.
FIELDS = ("model_name", "model_commit", "code_version", "input_format", "engine", "error", "failed_phase")
#: What holds texts by name: each gets a hostile name and a hostile value.
TABLES = ("parameters", "metrics", "column_map", "band_map", "defaults_taken", "parameter_defaults", "platform",
          "limits", "verdict", "resolved_spec")  # fmt: skip
FACTS = ("executor_class", "executor_package", "executor_path", "user", "host", "command", "cell_source", "platform")


def template(store: str | Path) -> dict[str, Any]:
    """Return the record of a real run, as it stands on disk."""
    record = lab.run("game_of_life", parameters={"generations": 2}, store=store)
    return json.loads(record.record_path.read_text(encoding="utf-8"))


def hostile_facts(facts: dict[str, Any], text: str, number: int) -> dict[str, Any]:
    """Write one text into every place of a record that can hold a text."""
    made = json.loads(json.dumps(facts))
    made["experiment_id"] = f"{number:08x}{'0' * 24}"
    made |= dict.fromkeys(FIELDS, text)
    for name in TABLES:
        made[name] = {**(made.get(name) or {}), text: text, "listed": [text, {"deep": text}], "plain": text}
    for name in ("artifacts", "parameter_files", "artifact_paths", "content_sha256", "parameter_origins"):
        made[name] = {**(made.get(name) or {}), text: text, "plain": text}
    made["verdict"] |= {"kind": text, "of": text, "why": [text]}
    made["sweep"] = {"id": text, "point": number}
    made["source"] = {"type": text, "uri": text, "collection": text, "version": text, "checksum": text, "extra": text}
    made["fetched"] = [{"uri": text, "name": text, "sha256": text, "etag": text, "title": text, "asset": text}]
    made["logs"] = [text, f"Warning: {text}"]
    made["unread_parameters"] = [text]
    made["status"] = "failed" if number % 2 else "completed"
    made["provenance"] = {**made["provenance"], **dict.fromkeys(FACTS, text), "versions": {text: text, "numpy": text}}
    made["provenance"]["executor_git"] = {"commit": text, "dirty": True, "remote": text}
    made["imported"] = {"from": text, "files": [{"said": text, "file": text}]}
    made["title"] = made["a field of somebody's own"] = text
    return made


def hostile_store(folder: Path, texts: Iterable[str]) -> RunStore:
    """Fill a store with records that somebody else wrote, one a payload, with tags, notes and journals."""
    facts = template(folder / "clean")
    for number, text in enumerate(texts, 1):
        place = folder / "hostile" / f"20260101T000000-m-{number:08x}"
        place.mkdir(parents=True)
        path = place / "record.json"
        path.write_text(json.dumps(hostile_facts(facts, text, number)), encoding="utf-8")
        change = {"at": "2026-01-01T00:00:00+00:00", "tags": [text], "untag": [], "note": text, "by": text}
        annotations_path(path).write_text(json.dumps(change) + "\n", encoding="utf-8")
        shutil.copy(next((folder / "clean").glob("*/output*.tif")), place)
    return RunStore(folder / "hostile")


def records_of(store: RunStore) -> list[Any]:
    return [read_record(path) for path in sorted(store.root.glob("*/record.json"))]


def record_views(folder: Path, texts: tuple[str, ...]) -> list[Any]:
    """The page of each record."""
    from dissmodel_lab.views.record import record_bundle

    return [record_bundle(record) for record in records_of(hostile_store(folder, texts))]


def history_views(folder: Path, texts: tuple[str, ...]) -> list[Any]:
    """The table of runs with its controls, and the queue."""
    from dissmodel_lab.history import RunQuery
    from dissmodel_lab.views.history import RunControls, RunTable
    from dissmodel_lab.views.queue import run_queue

    store = hostile_store(folder, texts)
    table = RunTable(store, RunQuery(limit=len(texts)), columns=["plain", "title", "tags", "source", "problem"])
    return [table, RunControls(table, lambda: None).widget, run_queue(store)]


def pages(folder: Path, texts: tuple[str, ...]) -> list[Any]:
    """What is exported: a crate's own page, the methods text, the profile, as pages and as Markdown."""
    from dissmodel_lab.citation import cite
    from dissmodel_lab.records import export

    shown = []
    for number, record in enumerate(records_of(hostile_store(folder, texts))):
        for name in ("html", "markdown"):
            text = cite(record, form=name)
            shown.append({f"text/{name}": text, "text/plain": text})
        crate = export(
            record.experiment_id, "ro-crate", folder / f"crate{number}", store=record.record_path.parents[1]
        )
        shown.append(Path(crate))
    return shown


# --- what a model tells while it runs --------------------------------------------------------------


def run_views(folder: Path, texts: tuple[str, ...]) -> list[Any]:
    """The live panel, for each payload as a log, a step's name, a metric and an exception; then a real run."""
    import ipywidgets as widgets

    from dissmodel_lab.executor.events import LogLine, RunFinished, RunStarted, StepFinished
    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.progress import Progress
    from dissmodel_lab.views.charts import charts_figure
    from dissmodel_lab.views.phases import announcement, phases_html

    shown: list[Any] = []
    for text in texts:
        progress = Progress()
        for event in (
            RunStarted(ExperimentRecord(model_name=text)),
            StepFinished(1, 3, text, {text: 1.5}),
            LogLine(text),
            RunFinished("failed", RuntimeError(text)),
        ):
            progress(event)
        shown.append(widgets.HTML(phases_html(progress) + announcement(progress)))
    series = Series([1, 2, 3], [1.0, 2.0, 3.0], {text: [1.0, 2.0, 4.0] for text in texts[:40]})
    shown.append({"text/html": charts_figure(series, budget=10**6), "text/plain": ""})
    return shown


def film_views(_folder: Path, texts: tuple[str, ...]) -> list[Any]:
    """The step player and its strip: names of bands, of steps, of classes."""
    from dissmodel_lab.views.player import StepPlayer, film_html

    shown: list[Any] = []
    for text in texts:
        raws = [
            RawFrame(
                Moment(at, 3, text, count=at), Shown(text, text), np.full((4, 4), at, "uint8"), Backdrop(size=(4, 4))
            )
            for at in (1, 2, 3)
        ]
        frames = compose(raws, Series(), [text])
        shown += [StepPlayer(frames).widget, {"text/html": film_html(frames, budget=50_000), "text/plain": ""}]
    return shown


# --- forms -----------------------------------------------------------------------------------------


def form_views(_folder: Path, texts: tuple[str, ...]) -> list[Any]:
    """One form whose parameters' names, titles, units, descriptions, defaults and choices are hostile."""
    from typing import Literal

    from pydantic import Field, create_model

    from dissmodel_lab.views.form import ParameterForm

    fields: dict[str, Any] = {}
    for number, text in enumerate(texts):
        kind: Any = (str, Literal[text, "b"], list[str], dict[str, str])[number % 4]  # type: ignore[valid-type]
        default: Any = (text, text, [text], {"k": text})[number % 4]
        name = f"n{number} {text}".replace("\x00", "") if number % 2 else f"n{number}"
        fields[name] = (kind, Field(default, title=text, description=text, json_schema_extra={"unit": text}))
    shown = []
    for at in range(0, len(fields), 12):
        part = dict(list(fields.items())[at : at + 12])
        text = texts[at]
        form = ParameterForm(text, create_model("P", **part), source=text, output=text, description=text,
                             advise=lambda values, text=text: dict.fromkeys(values, text))  # fmt: skip
        shown.append(form.widget)
    return shown


# --- maps ------------------------------------------------------------------------------------------


def raster(text: str) -> Raster:
    codes = np.array([[[1, 2], [2, 1]]], "uint8")
    names = {1: (text, "#445566"), 2: ("b", "#112233")}
    return Raster(array=codes, bands=(text,), units={text: text}, classes={text: names})


def geotiff(path: Path, text: str) -> Path:
    """Write a GeoTIFF whose tags, band names, units, categories and sidecar files are hostile."""
    import rasterio
    from rasterio.transform import Affine

    said = text.replace("\x00", "").encode("utf-8", "replace").decode()[:2_000]
    place = {"crs": "EPSG:31983", "transform": Affine(30, 0, 3e5, 0, -30, 75e5)}
    profile = {"driver": "GTiff", "width": 4, "height": 4, "count": 1, "dtype": "uint8", **place}
    with rasterio.open(path, "w", **profile) as file:
        file.write(np.arange(16, dtype="uint8").reshape(4, 4) % 3, 1)
        file.update_tags(TIFFTAG_IMAGEDESCRIPTION=said, AREA_OR_POINT="Area", LEGEND=said, classes=said)
        file.update_tags(
            1, STATISTICS_MEAN=said, unit=said, classes=json.dumps({"1": [said, said], said: [said, said]})
        )
        file.set_band_description(1, said)
        file.set_band_unit(1, said)
    _write_sidecars(path, text)
    return path


def _write_sidecars(path: Path, text: str) -> None:
    from xml.sax.saxutils import escape, quoteattr

    said = "".join(sign for sign in text if sign >= " " and sign.isprintable())[:2_000]
    rat = "".join(f'<Row index="{at}"><F>{at}</F><F>{escape(said)}</F></Row>' for at in range(3))
    path.with_name(path.name + ".aux.xml").write_text(
        f'<PAMDataset><SRS>{escape(said)}</SRS><PAMRasterBand band="1"><CategoryNames>'
        f"{''.join(f'<Category>{escape(said)}</Category>' for _ in range(3))}</CategoryNames>"
        '<GDALRasterAttributeTable><FieldDefn index="0"><Name>Value</Name><Type>0</Type><Usage>5</Usage></FieldDefn>'
        '<FieldDefn index="1"><Name>Class</Name><Type>2</Type><Usage>2</Usage></FieldDefn>'
        f"{rat}</GDALRasterAttributeTable></PAMRasterBand></PAMDataset>",
        encoding="utf-8",
    )
    path.with_suffix(".qml").write_text(
        '<!DOCTYPE qgis><qgis><pipe><rasterrenderer type="paletted" band="1"><colorPalette>'
        + "".join(f'<paletteEntry value="{at}" color={quoteattr(said)} label={quoteattr(said)} />' for at in range(3))
        + "</colorPalette></rasterrenderer></pipe></qgis>",
        encoding="utf-8",
    )


def vectors(text: str) -> Any:
    import geopandas
    import shapely

    said = text.replace("\x00", "")
    return geopandas.GeoDataFrame(
        {said: [said, "b", said], f"{said}2": [1.0, 2.0, 3.0]},
        geometry=shapely.box([0, 1, 2], 0, [0.9, 1.9, 2.9], 1),
        crs=4326,
    )


def map_views(folder: Path, texts: tuple[str, ...]) -> list[Any]:
    """Interactive maps of rasters in memory, GeoTIFFs and features, with the words under the pointer."""
    from dissmodel_lab.views.map_view import MapView

    shown: list[Any] = []
    for at in range(0, len(texts), 12):
        some = texts[at : at + 12]
        sources: dict[str, Any] = {text: raster(text) for text in some}
        sources |= {f"file {text}": geotiff(folder / f"g{at}-{n}.tif", text) for n, text in enumerate(some)}
        sources |= {f"features {text}": vectors(text) for text in some}
        view = MapView(sources)
        for name in list(sources)[::6]:
            view.layer.value = name
        point(view)
        shown += [view, view.twin() if isinstance(view.twin(), str) else ""]
    return [one for one in shown if one != ""]


def point(view: Any) -> None:
    """Put the pointer on the first feature of a map, as the page tells it."""
    features = getattr(view._ground, "features", None)
    if features is not None:
        features._handle_mouse_events(None, {"event": "mouseover", "id": "0", "properties": {}}, [])


def legend_views(folder: Path, texts: tuple[str, ...]) -> list[Any]:
    """Static maps with their legends: classes, units, notes, of memory, GeoTIFF, RAT and QML, and of columns."""
    from dissmodel_lab.views.map_page import write_map
    from dissmodel_lab.views.map_view import map_figure

    shown: list[Any] = []
    pictures = {}
    for number, text in enumerate(texts):
        for name, source in (("memory", raster(text)), ("file", geotiff(folder / f"l{number}.tif", text)),
                             ("features", vectors(text))):  # fmt: skip
            drawn = preview(source)
            shown.append({"text/html": map_figure(drawn, text, budget=100_000), "text/plain": ""})
            pictures[f"{text} {name}"] = drawn
    return [*shown, write_map(pictures, str(folder / "maps.html"))]


# --- comparisons, changes, verdicts, sweeps --------------------------------------------------------


def change_views(_folder: Path, texts: tuple[str, ...]) -> list[Any]:
    from dissmodel_lab.views.change_view import change_bundle

    return [change_bundle(change_between(raster(text), raster(text), names=(text, f"b {text}"))) for text in texts]


def comparison_views(_folder: Path, texts: tuple[str, ...]) -> list[Any]:
    from dissmodel_lab.views.comparison import PairedSteps, comparison_bundle

    shown = []
    for text in texts:
        side = RunSide(experiment_id=text, model_name=text, title=text, status=text, created=text, source_uri=text,
                       source_sha256=text, output_sha256=text)  # fmt: skip
        pair = ValuePair(name=text, first={text: [text]}, second=text)
        made = RunComparison(first=side, second=side, parameters=(pair,), same_parameters=0, metrics=(pair,),
                             timings=(pair,), versions=(pair,), same_versions=3, input_sentence=text,
                             same_input=None, same_output=None, problem=text, notes=(text,))  # fmt: skip
        shown.append(comparison_bundle(made, PairedSteps(notes=[text])))
    return shown


def verdict_views(_folder: Path, texts: tuple[str, ...]) -> list[Any]:
    from dissmodel_lab.views.verdict import verdict_bundle

    shown = []
    for text in texts:
        place: Any = Place(text, "1", "x", "y", [text], {text: 1})
        figures: Any = (PartDifference(name=text, compared=text, differing=None, largest=text, place=place),)
        made = Verdict(kind=VerdictKind.DIFFERENT, of=text, why=(text,), figures=figures, settings={text: text},
                       reruns=(text,))  # fmt: skip
        shown.append(verdict_bundle(made))
    return shown


class HostileSweep:
    """A sweep whose design, rows and reasons somebody else wrote."""

    state, is_running, folder = "finished", False, Path("sweeps/x")

    def __init__(self, text: str) -> None:
        self.id = self.text = text
        axis = Axis(name=text, kind="choice", text=text, values=(text, "b"), unit=text)
        self.design = SweepDesign(model_name=text, axes=(axis,), sample="grid", settings=((text,), ("b",)))

    def rows(self) -> list[SweepRow]:
        text = self.text
        return [
            SweepRow(point=1, setting=1, parameters={text: text}, status="failed", error=text, experiment_id=text),
            SweepRow(
                point=2, setting=2, parameters={text: "b"}, status="completed", metrics={text: 1.0}, seconds=1.0
            ),
        ]

    def progress(self) -> SweepProgress:
        return SweepProgress(1, 1, 0, 0, 0, 1.0, None, self.state, self.text)

    def metric_names(self) -> list[str]:
        return [self.text]

    def sensitivity(self, metric: str) -> Sensitivity:
        return Sensitivity(metric=metric, sample="grid", method=self.text, names=(self.text,), indices=(), n_points=1,
                           n_used=0, note=self.text)  # fmt: skip

    def maps(self, metric: str | None = None, *, most: int = 16) -> list[Any]:
        return []


def sweep_views(_folder: Path, texts: tuple[str, ...]) -> list[Any]:
    from dissmodel_lab.views.sweep import SweepOutputs, SweepView, sweep_bundle
    from dissmodel_lab.views.sweep_table import SweepTable

    shown: list[Any] = []
    for number, text in enumerate(texts):
        sweep: Any = HostileSweep(text)
        shown += [sweep_bundle(sweep), {"text/html": SweepTable(sweep, lambda: None).html(), "text/plain": ""}]
        if number % 6 == 0:
            shown.append(SweepView(sweep, SweepOutputs())._bar)
    return shown


def list_views(_folder: Path, texts: tuple[str, ...]) -> list[Any]:
    """Tables of models, the platform's answers and refusals; file names."""
    from dissmodel_lab.views.listing import table_html

    rows = [[text] * 4 for text in texts]
    return [{"text/html": table_html([*texts[:4]], rows, texts[0]), "text/plain": ""}]


class View(NamedTuple):
    """One of the views: what makes it, the places of it in which each payload stands, and what it costs."""

    make: Callable[[Path, tuple[str, ...]], list[Any]]
    places: tuple[str, ...]
    every: int = 1
    """Of every how many payloads one is shown in the short corpus: pictures take long to draw."""

    def texts(self, *, whole: bool) -> tuple[str, ...]:
        return ALL if whole else ALL[:: self.every]

    def n_cases(self, *, whole: bool) -> int:
        return len(self.places) * len(self.texts(whole=whole))


VIEWS: dict[str, View] = {
    "records": View(
        record_views,
        ("model", "source", "checksum", "parameter's name", "parameter's value", "metric", "log", "warning", "error",
         "artifact", "executor", "package", "commit", "version", "user", "cell", "command", "verdict",
         "somebody's own field"), every=2),
    "history": View(history_views, ("model", "parameter", "problem", "source", "tag")),
    "runs": View(run_views, ("model", "step's name", "step's value", "log", "exception"), every=2),
    "film": View(film_views, ("band", "step's name", "note"), every=10),
    "forms": View(form_views, ("name", "title", "unit", "description", "default")),
    "maps": View(map_views, ("layer", "band", "unit", "class", "tag", "column"), every=6),
    "legends": View(legend_views, ("title", "band", "unit", "class", "tag", "category", "style", "column"), every=8),
    "changes": View(change_views, ("side", "band", "unit", "class"), every=8),
    "comparisons": View(comparison_views, ("title", "status", "parameter", "metric", "version", "note"), every=2),
    "verdicts": View(verdict_views, ("id", "reason", "part", "value", "setting", "rerun"), every=2),
    "sweeps": View(sweep_views, ("model", "axis", "unit", "choice", "metric", "error", "note"), every=20),
    "lists": View(list_views, ("cell",)),
    "pages": View(pages, ("methods text", "Markdown", "crate's page"), every=8),
}  # fmt: skip


def html_of(shown: Any) -> list[str]:
    """Return all HTML of something that a notebook displays, widgets' included."""
    import ipywidgets as widgets

    if isinstance(shown, dict):
        return [text for mime, text in shown.items() if mime == "text/html"]
    if isinstance(shown, Path):
        found = [shown] if shown.is_file() else [*shown.rglob("*.html")]
        return [path.read_text(encoding="utf-8") for path in found]
    if isinstance(shown, widgets.HTML):
        return [shown.value]
    if isinstance(shown, widgets.Widget):
        return [text for child in getattr(shown, "children", ()) for text in html_of(child)]
    bundle = getattr(shown, "_repr_mimebundle_", None)
    made = bundle() if bundle is not None else {}
    return html_of(made[0] if isinstance(made, tuple) else made)


def show(name: str, folder: Path, *, whole: bool = False, every: int = 1) -> None:
    """Display a view in a notebook's cell, with one payload of every so many."""
    from IPython.display import display

    folder.mkdir(parents=True, exist_ok=True)
    for one in VIEWS[name].make(folder, VIEWS[name].texts(whole=whole)[::every]):
        if isinstance(one, dict):
            display(one, raw=True)
        elif not isinstance(one, Path):
            display(one)
