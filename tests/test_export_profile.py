"""A run -> the Markdown profile of PyPI dissmodel's command line."""

from __future__ import annotations

import re

import mistune
from export_records import NASTY, failed, finished, foreign, nasty

from dissmodel_lab import ExperimentRecord
from dissmodel_lab.exports.profile import export_profile, profile_text

RENDER = mistune.create_markdown(escape=False, plugins=["table", "strikethrough", "url"])


def their_profile(tmp_path, monkeypatch):
    """Let PyPI dissmodel run an executor through its own command line; return record and profile."""
    from dissmodel.executor import ModelExecutor
    from dissmodel.executor import cli as their_cli

    class Still(ModelExecutor):
        name = "still_water"

        def validate(self, record):
            pass

        def load(self, record):
            return 1

        def run(self, data, record):
            return sum(range(300_000))

        def save(self, result, record):
            record.status = "completed"
            return record

    monkeypatch.chdir(tmp_path)
    their_cli.run_cli(Still, ["run", "--input", "x.tif", "--output", "out.tif", "--preserve-output-name"])
    return foreign_record(tmp_path), next(tmp_path.glob("profiling_*.md")).read_text(encoding="utf-8")


def foreign_record(folder):
    from dissmodel_lab.store import read_record

    return read_record(folder / "out.record.json")


def test_it_begins_as_theirs_does(tmp_path, monkeypatch, capsys):
    record, theirs = their_profile(tmp_path, monkeypatch)
    ours = profile_text(record)
    shape = re.compile(r"[\d.]+(?=\s*\||%|\*\*)")

    def frame(text):
        return [shape.sub("0", line) for line in text.splitlines()[: len(theirs.splitlines())]]

    assert frame(ours) == frame(theirs)
    assert ours.splitlines()[:4] == theirs.splitlines()[:4]
    assert capsys.readouterr().out


def test_times_and_shares(tmp_path):
    text = profile_text(foreign(tmp_path))
    assert "\n".join(text.splitlines()[5:14]) == (
        "## Execution Times\n\n"
        "| Phase | Time (seconds) | % of Total |\n"
        "|---|---|---|\n"
        "| **Validate** | 0.000   | 0.0% |\n"
        "| **Load**     | 1.000  | 25.0% |\n"
        "| **Run**      | 2.000   | 50.0% |\n"
        "| **Save**     | 1.000  | 25.0% |\n"
        "| **Total**    | **4.000** | **100%** |"
    )


def test_what_is_known_more():
    text = profile_text(finished())
    headings = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert headings == [
        "Execution Times",
        "Resources",
        "Run",
        "Files",
        "Parameters",
        "Metrics",
        "Software",
        "Log",
    ]
    assert "| run | 2.0 |  |  |" in text
    assert "| potential\\[0\\].betas.dist | 2.388e-07 | toml |" in text
    assert f"| output | out/flood.tif | {'cc' * 32} |" in text
    assert "time_total_sec" not in text
    assert text.endswith("## Log\n\n    12 cells flooded\n")


def test_a_failed_run_has_no_times():
    text = profile_text(failed())
    assert "| **Run**      | not run | |" in text
    assert "| **Total**    | not known |  |" in text
    assert "| Error | KeyError: 'elevation' |" in text
    assert "None" not in text


def test_a_run_in_no_time_divides_by_nothing():
    text = profile_text(ExperimentRecord(metrics={"time_run_sec": 0.0, "time_total_sec": 0.0}))
    assert "| **Run**      | 0.000   |  |" in text
    assert "| **Total**    | **0.000** |  |" in text


def test_nonsense_times_are_not_known():
    metrics = {"time_run_sec": "fast", "time_load_sec": True, "time_save_sec": -1, "time_total_sec": float("nan")}
    text = profile_text(ExperimentRecord(metrics=metrics))
    assert text.count("not run") == 4
    assert "not known" in text


def test_nothing_hostile_is_obeyed():
    shown = RENDER(profile_text(nasty(logs=[NASTY, "    | a |\n# Heading\n```\n<script>"])))
    tags = set(re.findall(r"<(\w+)", shown))
    assert tags <= {"h1", "h2", "p", "strong", "code", "pre", "table", "thead", "tbody", "tr", "th", "td", "br"}
    assert "\x00" not in shown
    assert shown.count("<h1>") == 1
    assert "<script>" not in shown


def test_long_logs_and_many_parameters_are_cut():
    record = finished(logs=[f"line {i}" for i in range(80)], parameters={f"p{i}": i for i in range(700)})
    text = profile_text(record)
    assert "(30 earlier lines in the record)" in text
    assert "line 29\n" not in text
    assert "(200 more in the record)" in text


def test_secrets_are_hidden(tmp_path):
    assert "| password | \\*\\*\\* |" in profile_text(foreign(tmp_path))


def test_the_file_is_the_text(tmp_path):
    path = export_profile(finished(), tmp_path / "run.md")
    assert path.read_bytes() == profile_text(finished()).encode()
