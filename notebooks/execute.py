"""Execute notebooks head-less: into a folder of their own with an HTML report, or in place for the repository."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from traitlets.config import Config

from dissmodel_lab.views.player import with_players

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def main() -> int:
    """Execute the notebooks that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", nargs="+", type=Path)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--into", type=Path, help="the folder for executed notebook, report and runs")
    where.add_argument("--in-place", action="store_true", help="replace the outputs in the notebook itself")
    options = parser.parse_args()
    for path in options.notebooks:
        if options.in_place:
            refresh(path)
        else:
            demonstrate(path, options.into)
    return 0


def execute(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """Execute a notebook with ``folder`` as its working folder, and drop what only a live kernel can show."""
    client = NotebookClient(
        notebook,
        timeout=600,
        resources={"metadata": {"path": str(folder)}},
        store_widget_state=False,
        extra_arguments=["--log-level=ERROR"],  # else the kernel warns that its local sockets are not encrypted
    )
    client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET_VIEW, None)
    notebook.metadata.pop("widgets", None)
    return notebook


def demonstrate(path: Path, folder: Path) -> None:
    """Execute a notebook into a folder and say where everything is."""
    folder.mkdir(parents=True, exist_ok=True)
    before = set(folder.glob("experiments/*/record.json"))
    began = time.perf_counter()
    notebook = execute(nbformat.read(path, as_version=4), folder)
    executed = folder / path.name
    nbformat.write(notebook, executed)
    report = executed.with_suffix(".html")
    report.write_text(html_report(notebook), encoding="utf-8")
    print(f"Executed in {time.perf_counter() - began:.1f} s")
    print(f"  notebook  {executed}")
    print(f"  report    {report}")
    for record in sorted(set(folder.glob("experiments/*/record.json")) - before):
        facts = json.loads(record.read_text(encoding="utf-8"))
        print(f"  record    {record}  ({facts['model_name']}: {facts['status']})")


def html_report(notebook: nbformat.NotebookNode) -> str:
    """Return a notebook as HTML that asks nothing of the network; strips of steps become players in it."""
    offline = Config(
        {"HTMLExporter": {"mathjax_url": "", "jquery_url": "", "require_js_url": "", "mermaid_js_url": ""}}
    )
    body, _ = HTMLExporter(config=offline).from_notebook_node(notebook)
    return with_players(body)


def refresh(path: Path) -> None:
    """Execute a notebook in an empty folder and write its outputs back into it."""
    with TemporaryDirectory() as folder:
        notebook = execute(nbformat.read(path, as_version=4), Path(folder))
    nbformat.write(notebook, path)
    print(f"{path}: {path.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    sys.exit(main())
