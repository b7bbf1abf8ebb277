"""
README's table of speed, made of measured figures: ``python tests/benchmarks/readme.py FILE.json ...``.

Each FILE is what ``run.py --json`` wrote. The rows that it measured replace their older ones in ``figures.json``,
each with its own date and machine; the other rows stay. The table in README is then made anew from ``figures.json``,
between two markers. Without a FILE only the latter is done.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

from machine import HERE, ROOT
from page import MEMORY_UNIT, machine_in_words, markdown_table
from table import Line, number, with_unit

FIGURES, README = HERE / "figures.json", ROOT / "README.md"
BEGIN, END = "<!-- speed: written by tests/benchmarks from figures.json -->", "<!-- /speed -->"
KEPT = ("ours", "theirs", "unit", "ratio", "spread", "goal", "kind", "verdict")
"""What is kept of a line."""
SIZES = ("kB", MEMORY_UNIT)
"""Units of what is large or small, not fast or slow."""


class Row(NamedTuple):
    """A figure that README tells."""

    what: str
    item: str
    figure: str
    beside: tuple[str, ...] = ("",)
    """Whose; empty when it stands alone."""


ROWS = (
    Row(
        "a recorded run: 1 MB in, 1 MB out, both hashed",
        "1a",
        "recorded run, in a warm process",
        ("MLflow, file store", "MLflow, sqlite", "Sacred", "papermill", "bare dissmodel"),
    ),
    Row(
        "the same as a process, from start to exit",
        "1b",
        "recorded run, whole process",
        ("MLflow, file store", "bare dissmodel"),
    ),
    Row(
        "import of `dissmodel_lab`", "2a", "import dissmodel_lab, fresh process", ("import mlflow", "import leafmap")
    ),
    Row(
        "`%load_ext` and the first recorded run",
        "2b",
        "%load_ext and first recorded run",
        ("import dissmodel.executor",),
    ),
    Row(
        "SHA-256 of 2 GiB",
        "3a",
        "SHA-256, any file (file_sha256)",
        ("hashlib.file_digest", "dissmodel _sha256", "openssl CLI"),
    ),
    Row(
        "first picture of 10,000 x 10,000 cells, striped",
        "4a",
        "first picture, 10,000 x 10,000 striped",
        (
            "rio-tiler preview, then reproject",
            "rio-tiler preview in EPSG:3857",
            "leafmap with localtileserver",
            "folium ImageOverlay",
        ),
    ),
    Row(
        "first picture of 30,000 x 30,000 cells, COG",
        "4a",
        "first picture, 30,000 x 30,000 cog",
        ("rio-tiler preview, then reproject", "leafmap with localtileserver"),
    ),
    Row("memory for it, beyond the start", "4a", "memory beyond the start, 30,000 x 30,000 cog"),
    Row(
        "first picture of 1,000,000 cells of a table",
        "5a",
        "first picture, 1,000,000 cells",
        ("lonboard PolygonLayer", "datashader Canvas.polygons"),
    ),
    Row("another column of them", "5b", "another column, 1,000,000 cells", ("its first picture",)),
    Row("sent to the browser for it", "5b", "sent, 1,000,000 cells", ("lonboard PolygonLayer",)),
    Row(
        "first picture of 100,000 irregular polygons",
        "5c",
        "first picture, 100,000 irregular polygons",
        ("datashader Canvas.polygons", "lonboard PolygonLayer"),
    ),
    Row("newest 50 of 100,000 records", "6a", "newest 50", ("MLflow search_runs", "folder of JSON files")),
    Row(
        "model, status and a parameter's range, of 100,000",
        "6a",
        "model, status, range of a parameter",
        ("MLflow search_runs",),
    ),
    Row("a run begun and ended, among 100,000", "6b", "run begun and ended", ("MLflow",)),
    Row("200 runs of 50 ms on two workers, recorded", "7a", "engine process: the same", ("loky", "joblib")),
    Row("the same on Dask", "7c", "engine dask: the same", ("Dask, client.map",)),
    Row("the live panel, of a loop of 1 ms steps", "8", "share of a loop of 1 ms steps spent in updates"),
)


def main(paths: list[str]) -> None:
    """Take in what was measured, and write the table."""
    figures = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
    for path in paths:
        figures = taken_in(figures, json.loads(Path(path).read_text(encoding="utf-8")))
    FIGURES.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    README.write_text(with_table(README.read_text(encoding="utf-8"), section(figures)), encoding="utf-8")


def taken_in(figures: dict[str, Any], report: dict[str, Any]) -> dict[str, Any]:
    """
    Return the figures with those of a report in the place of the older ones.

    Raises
    ------
    ValueError
        When the report was made by ``--quick``: its rounds are too few to be quoted.
    """
    if report["quick"]:
        raise ValueError("The figures were measured with --quick, which is too little to quote. Run without it.")
    of_readme = {_key(row.item, row.figure, beside) for row in ROWS for beside in row.beside}
    about = {"date": report["date"][:10], "machine": machine_in_words(report["machine"])}
    fresh = {}
    for part in report["parts"].values():
        for line in part["lines"]:
            key = _key(line["item"], line["figure"], line["beside"])
            if key in of_readme and line["measured"] is not None:
                fresh[key] = {**{name: line[name] for name in KEPT}, **about}
    return {**figures, **fresh}


def section(figures: dict[str, Any]) -> str:
    """Return the table, and what it was measured on."""
    headings = ("", "dissmodel_lab", "beside", "takes", "so it is", "goal", "measured")
    rows = [_cells(row, beside, figures) for row in ROWS for beside in row.beside]
    found = [cells for cells in rows if cells is not None]
    machines: dict[str, list[str]] = {}
    for figure in figures.values():
        machines.setdefault(figure["machine"], []).append(figure["date"])
    where = [f"Measured {_days(dates)} on {machine}." for machine, dates in machines.items()]
    return "\n\n".join([markdown_table([headings, *found]), *where])


def with_table(text: str, section: str) -> str:
    """
    Return a text with something else between the markers.

    Raises
    ------
    ValueError
        When the markers aren't there, once each.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"README needs the lines {BEGIN} and {END}, once each.")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{section}\n{END}{rest.partition(END)[2]}"


def _key(item: str, figure: str, beside: str) -> str:
    return f"{item} | {figure} | {beside}"


def _cells(row: Row, beside: str, figures: dict[str, Any]) -> tuple[str, ...] | None:
    """Return a row's texts; None when it was never measured."""
    figure = figures.get(_key(row.item, row.figure, beside))
    if figure is None:
        return None
    theirs = with_unit(figure["theirs"], figure["unit"])
    ours = with_unit(figure["ours"], figure["unit"])
    is_met = {"holds": "met", "MISSES": "missed"}.get(figure["verdict"], "")
    return (row.what, ours, beside, theirs, _said(figure) if beside else "", is_met, figure["date"])


def _said(figure: dict[str, Any]) -> str:
    """Say a ratio, and its least and largest, so that larger is better; of sizes what part it is."""
    line = Line("", "", figure["ours"], "x", figure["theirs"], ratio=figure["ratio"], kind=figure["kind"])
    ratio, spread = line.measured, figure["spread"]
    if ratio is None:
        raise ValueError(f"A figure has no ratio: {figure}.")
    is_speed = figure["kind"] == "at least"
    better = [one if is_speed else 1 / one for one in (ratio, *(spread or ()))]
    between = f" ({number(min(better[1:]))} to {number(max(better[1:]))})" if spread else ""
    return f"{number(better[0])} times as {'small' if figure['unit'] in SIZES else 'fast'}{between}"


def _days(dates: list[str]) -> str:
    first, last = min(dates), max(dates)
    return f"on {first}" if first == last else f"from {first} to {last}"


if __name__ == "__main__":
    main(sys.argv[1:])
