"""The benchmark's page says what was measured; README's table is made of the committed figures alone."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "tests" / "benchmarks"
MACHINE = {"processors": 8, "memory": 32, "system": "Linux x86_64", "python": "3.12.1"}


@pytest.fixture
def bench(monkeypatch):
    """The benchmark's own modules, by name."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    before = set(sys.modules)
    import machine
    import page
    import readme
    import table

    yield {"machine": machine, "page": page, "readme": readme, "table": table}
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def line_of(bench, ours, theirs, **more):
    sides = [ours * part for part in (1, 2, 1.5)], [theirs] * 3
    return bench["table"].line_of_rounds("6b", "run begun and ended", sides, "MLflow", **more)


def report_of(bench, lines, growth=(), *, date=datetime(2026, 5, 4, 3, 2, tzinfo=UTC), quick=False, problem=""):
    page = bench["page"]
    rounds = {"6b": bench["machine"].Rounds([{}], [0.0, 0.0], calm=True)}
    part = page.Measured(bench["table"].Part(list(lines), rounds, list(growth)), 1.25, problem)
    return page.Report(
        date, quick, MACHINE, {"dissmodel_lab": "9.9"}, {"mlflow": "==3.0", "gone": "no <wheel>"}, {"store": part}
    )


def test_readme_holds_the_table_of_the_committed_figures(bench):
    readme = bench["readme"]
    figures = json.loads(readme.FIGURES.read_text())
    text = readme.README.read_text()
    assert readme.with_table(text, readme.section(figures)) == text
    assert text.count("| measured |") == 1
    assert len(figures) > 10


def test_committed_figures_name_their_date_and_a_machine_in_words(bench):
    for key, figure in json.loads(bench["readme"].FIGURES.read_text()).items():
        assert datetime.fromisoformat(figure["date"]), key
        assert {"processors", "GiB of memory"} <= {
            part.partition(" ")[2] for part in figure["machine"].split(", ")
        }, key


def test_a_subset_replaces_its_own_rows_only(bench):
    readme, page = bench["readme"], bench["page"]
    first = page.raw(report_of(bench, [line_of(bench, 2.0, 40.0, goal=0.05)]))
    other = bench["table"].line_of_rounds(
        "6a", "newest 50", ([1.0] * 3, [300.0] * 3), "MLflow search_runs", goal=0.01
    )
    later = page.raw(report_of(bench, [other], date=datetime(2027, 1, 2, tzinfo=UTC)))
    figures = readme.taken_in(readme.taken_in({}, first), later)
    assert {key: figure["date"] for key, figure in figures.items()} == {
        "6b | run begun and ended | MLflow": "2026-05-04",
        "6a | newest 50 | MLflow search_runs": "2027-01-02",
    }
    rows = readme.section(figures).splitlines()[2:4]
    newest = "newest 50 of 100,000 records | 1 ms | MLflow search_runs | 300 ms | 300 times as fast (300 to 300)"
    begun = "a run begun and ended, among 100,000 | 3 ms | MLflow | 40 ms | 13.3 times as fast (10 to 20)"
    assert rows == [f"| {newest} | met | 2027-01-02 |", f"| {begun} | missed | 2026-05-04 |"]
    assert readme.section(figures).endswith(
        "Measured from 2026-05-04 to 2027-01-02 on 8 processors, 32 GiB of memory, Linux x86_64, Python 3.12.1."
    )


def test_figures_that_readme_does_not_tell_and_peers_that_are_gone_are_left_out(bench):
    readme, page, line = bench["readme"], bench["page"], bench["table"].Line
    lines = [
        line("6b", "run begun and ended", 2.0, "MLflow", None, reason="no wheel"),
        line("6b", "something else", 2.0, "MLflow", 4.0),
    ]
    old = readme.taken_in({}, page.raw(report_of(bench, [line_of(bench, 2.0, 40.0)])))
    assert readme.taken_in(old, page.raw(report_of(bench, lines))) == old


def test_quick_figures_are_not_quoted(bench):
    report = bench["page"].raw(report_of(bench, [line_of(bench, 2.0, 40.0)], quick=True))
    with pytest.raises(ValueError, match="measured with --quick, which is too little to quote"):
        bench["readme"].taken_in({}, report)


def test_a_text_without_markers_is_not_written_to(bench):
    with pytest.raises(ValueError, match="README needs the lines <!-- speed: written by"):
        bench["readme"].with_table("no table here", "a table")


def test_a_page_says_spread_memory_growth_time_and_what_failed(bench):
    table, page = bench["table"], bench["page"]
    memory = table.Line("5b", "memory beyond the start", 45.0, "", None, "MiB", goal=150.0)
    growth = table.Growth("6a", "newest 50", "records", [(10.0, 1.0), (100.0, 2.0), (1000.0, 4.0)])
    report = report_of(
        bench, [line_of(bench, 2.0, 40.0, goal=0.05), memory], [growth], problem="Trace\nKeyError: 'x'"
    )
    text = page.as_text(report)
    assert "8 processors, 32 GiB of memory, Linux x86_64, Python 3.12.1; dissmodel_lab 9.9." in text
    assert "Peers: mlflow 3.0; gone: no <wheel>." in text
    assert "1 goals hold, 1 missed." in text
    assert "Minutes: store 1.2; 1.2 in all." in text
    assert "NOT MEASURED: KeyError: 'x'" in text
    row = next(line for line in text.splitlines() if "run begun" in line)
    assert row.split("  ")[-1].strip() == "MISSES"
    assert {"0.05 to 0.1", "0.075x"} <= {cell.strip() for cell in row.split("  ")}
    assert text.index("MEMORY\n") < text.index("memory beyond the start") < text.index("HOW IT GROWS")
    assert text.rstrip().endswith("10 / 100 / 1,000  1 / 2 / 4 ms  0.30")
    markdown = page.as_markdown(report)
    assert "| 6a | newest 50 | records | 10 / 100 / 1,000 | 1 / 2 / 4 ms | 0.30 |" in markdown
    shown = page.as_html(report)
    assert (shown.count("no &lt;wheel&gt;"), shown.count("<wheel>"), shown.count("<table>")) == (1, 0, 3)


def test_how_it_grows_needs_three_sizes(bench):
    growth = bench["table"].Growth
    assert growth("", "", "", [(1.0, 5.0), (10.0, 50.0), (100.0, 500.0)]).exponent == pytest.approx(1)
    assert growth("", "", "", [(1.0, 5.0), (10.0, 5.0), (100.0, 5.0)]).exponent == pytest.approx(0)
    assert growth("", "", "", [(1.0, 5.0), (10.0, 50.0)]).exponent is None


def test_rounds_end_in_time_but_are_three_at_least(bench, monkeypatch):
    machine, now = bench["machine"], iter(range(0, 10_000, 40))
    monkeypatch.setattr(machine.time, "monotonic", lambda: float(next(now)))
    monkeypatch.setattr(machine, "wait_for_quiet", lambda longest: 0.0)
    monkeypatch.setattr(machine.Others, "cores", lambda self: 0.0)
    assert len(machine.in_rounds(12, dict).figures) == machine.ENOUGH
    assert len(machine.in_rounds(1, dict).figures) == 1
