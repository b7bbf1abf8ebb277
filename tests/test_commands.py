"""One grammar for the cell and the terminal: what is typed, what is meant, what Tab offers."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import pytest
from pydantic import BaseModel

from dissmodel_lab.commands import Command, Grammar, cell_spec, complete
from dissmodel_lab.conditions import Comparison
from dissmodel_lab.errors import CommandError, ParameterError
from dissmodel_lab.executor import ExperimentRecord, ModelExecutor
from dissmodel_lab.executor.testing import SteppingExecutor
from dissmodel_lab.index import RunQuery
from dissmodel_lab.resolve import known_models
from dissmodel_lab.store import RunStore

GRAMMAR = Grammar("%dissmodel")
TERMINAL = Grammar("dissmodel-lab")
COMMANDS = [
    "models", "form", "run", "record", "validate", "cancel", "queue", "sweep", "sweeps", "platform",
    "map", "fetch", "cache", "show", "runs", "annotate", "changes", "compare", "verify", "rerun",
    "export", "import", "cite", "reindex", "doctor", "help",
]  # fmt: skip


def flood(**facts):
    return Command("run", model="flood", **facts)


LINES = [
    ("models", Command("models")),
    ("run flood", flood()),
    ("run pkg.mod:Flood", Command("run", model="pkg.mod:Flood")),
    ("run study.toml", Command("run", model="study.toml")),
    ("run flood --input data/x.tif --output y.tif", flood(input="data/x.tif", output="y.tif")),
    ("run --input=x.tif flood", flood(input="x.tif")),
    ("run flood --input 'my data/x.tif'", flood(input="my data/x.tif")),
    ("run flood --param years=5 -p rise=2.388e-7", flood(parameters={"years": 5, "rise": 2.388e-7})),
    ("run flood --param=years=5", flood(parameters={"years": 5})),
    ("run flood --param years=5 --param years=6", flood(parameters={"years": 6})),
    ("run flood --param depth=-5", flood(parameters={"depth": -5})),
    ("run flood --param 'name=\"007\"'", flood(parameters={"name": "007"})),
    ("run flood --param 'zones=[{rate = 0.5}]'", flood(parameters={"zones": [{"rate": 0.5}]})),
    ("run flood --param wet=true --param label=two", flood(parameters={"wet": True, "label": "two"})),
    ("run flood --toml study.toml", flood(toml="study.toml")),
    ("run --toml study.toml", Command("run", model="study.toml")),
    ("run flood --as rec", flood(variable="rec")),
    (
        "run flood --engine process --workers 2 --seconds 60 --memory 1.5GB --priority high --background",
        flood(engine="process", workers=2, seconds=60.0, memory=1_610_612_736, priority="high", background=True),
    ),
    ("run flood --engine dask --address tcp://h:8786", flood(engine="dask", address="tcp://h:8786")),
    (
        "sweep flood --param rise=0.1:2.0:20 --param tide=4,5 --param 'on=[true, false]' --param years=5 --seeds 3",
        Command(
            "sweep",
            model="flood",
            parameters={"years": 5},
            axes={"rise": "0.1:2.0:20", "tide": "4,5", "on": "[true, false]"},
            seeds=3,
        ),
    ),
    (
        "sweep flood -p 'name=\"a,b:c\"'",
        Command("sweep", model="flood", parameters={"name": "a,b:c"}),
    ),
    ("sweep --resume last", Command("sweep", resume="last")),
    ("sweeps", Command("sweeps")),
    ("sweeps ab12 --metric flooded", Command("sweeps", sweep_id="ab12", metric="flooded")),
    ("cancel last", Command("cancel", run_id="last")),
    ("queue", Command("queue")),
    ("platform upload x.tif --label dem", Command("platform", action="upload", path="x.tif", label="dem")),
    ("form flood --param years=5", Command("form", model="flood", parameters={"years": 5})),
    ("validate flood --input x.tif", Command("validate", model="flood", input="x.tif")),
    ("show ab12", Command("show", run_id="ab12")),
    ("runs", Command("runs", query=RunQuery(limit=20))),
    ("runs --limit 5 --page 3", Command("runs", query=RunQuery(limit=5, offset=10))),
    ("runs --sort -seconds", Command("runs", query=RunQuery(limit=20, sort="-seconds"))),
    ("runs --sort=rise", Command("runs", query=RunQuery(limit=20, sort="rise"))),
    ("runs --columns 'rise, years'", Command("runs", query=RunQuery(limit=20), columns=("rise", "years"))),
    ("runs --model flood --status lost", Command("runs", query=RunQuery(model="flood", status="lost", limit=20))),
    (
        "runs --tag thesis --source 9f2c --since 2026-11-23 --until 2026-11-24T10:30-03:00",
        Command(
            "runs",
            query=RunQuery(
                tag="thesis",
                source_sha256="9f2c",
                since=datetime(2026, 11, 23, tzinfo=UTC),
                until=datetime(2026, 11, 24, 13, 30, tzinfo=UTC),
                limit=20,
            ),
        ),
    ),
    (
        "runs --where 'rise > 0.4'",
        Command("runs", query=RunQuery(where=Comparison("rise", ">", 0.4), limit=20)),
    ),
    (
        "annotate ab12 --tag thesis --tag paper --untag draft --note 'figure 3'",
        Command("annotate", run_id="ab12", tags=("thesis", "paper"), untag=("draft",), note="figure 3"),
    ),
    ("changes last --band uso", Command("changes", run_id="last", band="uso")),
    ("changes last --before-band uso90 --key id", Command("changes", run_id="last", before_band="uso90", key="id")),
    ("verify last --base-folder data", Command("verify", run_id="last", base_folder="data")),
    ("compare ab12 last", Command("compare", run_id="ab12", other_id="last")),
    ("compare ab12 last --common-grid", Command("compare", run_id="ab12", other_id="last", common_grid=True)),
    ("verify ab12", Command("verify", run_id="ab12")),
    (
        "rerun ab12 --executor m:M --base-folder data --tolerance 1e-6 --any-version --timeout 60",
        Command(
            "rerun",
            run_id="ab12",
            executor="m:M",
            base_folder="data",
            tolerance=1e-6,
            any_version=True,
            timeout=60.0,
        ),
    ),
    (
        "export ab12 --format ro-crate --output x.zip",
        Command("export", run_ids=("ab12",), format="ro-crate", output="x.zip"),
    ),
    (
        "export --format csv ab12 --output x.csv cd34",
        Command("export", run_ids=("ab12", "cd34"), format="csv", output="x.csv"),
    ),
    (
        "export --format csv --output x.csv --model flood",
        Command("export", format="csv", output="x.csv", query=RunQuery(model="flood")),
    ),
    ("import flood.zip", Command("import", path="flood.zip")),
    ("cite last --language pt", Command("cite", run_id="last", language="pt")),
    ("reindex", Command("reindex")),
]


@pytest.mark.parametrize(("line", "command"), LINES, ids=[line for line, _ in LINES])
def test_line(line, command):
    assert GRAMMAR.parse_line(line) == command


EXPORT_USAGE = (
    "%dissmodel export [-h] --format FORMAT --output PATH [--model MODEL] [--status STATUS] [--tag TAG] "
    "[--source SHA256] [--since DATE] [--until DATE] [--where CONDITION] [ID ...]"
)
RUNS_USAGE = (
    "%dissmodel runs [-h] [--model MODEL] [--status STATUS] [--tag TAG] [--source SHA256] [--since DATE] "
    "[--until DATE] [--where CONDITION] [--sort NAME] [--columns A,B] [--limit N] [--page N]"
)
REFUSED = [
    (
        "runs --status done",
        (
            "%dissmodel runs: argument --status: no status is called 'done'. Known: pending, running, completed, "
            f"failed, cancelled, lost, unreadable. Usage: {RUNS_USAGE}"
        ),
    ),
    (
        "runs --since yesterday",
        (
            "%dissmodel runs: argument --since: a date such as 2026-11-23 or a moment such as 2026-11-23T14:30 is "
            f"needed, got 'yesterday'. Usage: {RUNS_USAGE}"
        ),
    ),
    (
        "rerun last --tolerance -1",
        (
            "%dissmodel rerun: argument --tolerance: a number above 0 is needed, got '-1'. Usage: %dissmodel rerun "
            "[-h] [--base-folder FOLDER] [--executor MODEL] [--tolerance NUMBER] [--any-version] "
            "[--timeout SECONDS] ID"
        ),
    ),
    (
        "export last --format rocrate --output x.zip",
        (
            "%dissmodel export: argument --format: no format is called 'rocrate'. Did you mean 'ro-crate'? Known: "
            f"ro-crate, prov, mlflow, csv, parquet, profile. Usage: {EXPORT_USAGE}"
        ),
    ),
    (
        "cite last --language fr",
        (
            "%dissmodel cite: argument --language: no language is called 'fr'. Known: en, pt. Usage: %dissmodel "
            "cite [-h] [--language LANGUAGE] ID"
        ),
    ),
    (
        "rnu flood",
        "%dissmodel has no command 'rnu'. Did you mean 'run'? Known: " + ", ".join(COMMANDS) + ".",
    ),
    ("zzz", "%dissmodel has no command 'zzz'. Known: " + ", ".join(COMMANDS) + "."),
    ("help rnu", "%dissmodel has no command 'rnu'. Did you mean 'run'? Known: " + ", ".join(COMMANDS) + "."),
    (
        "run flood --outptu x.tif",
        (
            "%dissmodel run has no option '--outptu'. Did you mean '--output'? "
            "Known: --help, --input, --param, --toml, --no-preflight, --output, "
            "--engine, --workers, --address, --url, --seconds, --memory, --yes, --priority, --background, "
            "--end-with-kernel, --as."
        ),
    ),
    (
        "run flood --par years=5",
        (
            "%dissmodel run has no option '--par'. Did you mean '--param'? "
            "Known: --help, --input, --param, --toml, --no-preflight, --output, "
            "--engine, --workers, --address, --url, --seconds, --memory, --yes, --priority, --background, "
            "--end-with-kernel, --as."
        ),
    ),
    ("show ab --limit=3", "%dissmodel show has no option '--limit'. Known: --help."),
    (
        "run flood years=5",
        (
            "%dissmodel run does not know what to do with 'years=5'. "
            "Write for example: %dissmodel run coastal_flood --param sea_level_rise=0.5 --output out/flood.tif"
        ),
    ),
    (
        "run",
        (
            "%dissmodel run needs a model: a name, package.module:Class, or a .toml file. "
            "Write for example: %dissmodel run coastal_flood --param sea_level_rise=0.5 --output out/flood.tif"
        ),
    ),
    ("show", "%dissmodel show: the following arguments are required: ID. Usage: %dissmodel show [-h] ID"),
    (
        "runs --limit many",
        (f"%dissmodel runs: argument --limit: a whole number from 1 on is needed, got 'many'. Usage: {RUNS_USAGE}"),
    ),
    (
        "runs --limit 0",
        (f"%dissmodel runs: argument --limit: a whole number from 1 on is needed, got '0'. Usage: {RUNS_USAGE}"),
    ),
    (
        "runs --limit -3",
        (f"%dissmodel runs: argument --limit: a whole number from 1 on is needed, got '-3'. Usage: {RUNS_USAGE}"),
    ),
    (
        "run flood --input 'my data",
        '%dissmodel: No closing quotation in "run flood --input \'my data". Close the quotation marks.',
    ),
]


@pytest.mark.parametrize(("line", "message"), REFUSED, ids=[line for line, _ in REFUSED])
def test_refused_line(line, message):
    with pytest.raises(CommandError) as raised:
        GRAMMAR.parse_line(line)
    assert str(raised.value) == message


def test_each_door_offers_what_it_can_do():
    assert TERMINAL.parse_line("run flood --json") == flood(as_json=True)
    assert TERMINAL.parse_line("models --json") == Command("models", as_json=True)
    assert TERMINAL.parse_line("show last --json") == Command("show", run_id="last", as_json=True)
    assert [name for name in COMMANDS if "--json" in TERMINAL.options(name)] == [
        "models", "run", "validate", "queue", "sweep", "sweeps", "platform",
        "map", "fetch", "cache", "show", "runs", "changes", "compare", "verify", "rerun", "doctor",
    ]  # fmt: skip
    assert [name for name in COMMANDS if "--as" in GRAMMAR.options(name)] == ["run", "record"]
    with pytest.raises(CommandError, match=r"^dissmodel-lab run has no option '--as'\. "):
        TERMINAL.parse_line("run flood --as rec")
    with pytest.raises(CommandError, match=r"^%dissmodel runs has no option '--json'\. "):
        GRAMMAR.parse_line("runs --json")


@pytest.mark.parametrize(
    "name",
    ["1x", "class", "None", "a b", "a.b", "", "a-b", "In", "Out", "get_ipython", "exit", "quit", "rec;import os"],
)
def test_a_variable_must_be_a_name_that_is_free(name):
    with pytest.raises(CommandError) as raised:
        GRAMMAR.parse(["run", "flood", "--as", name])
    assert str(raised.value).startswith(
        f"%dissmodel run: argument --as: a name for a variable is needed, got {name!r}; letters, digits and _ are "
        "allowed, but no digit at the start, no word of Python's own and none of In, Out, get_ipython, exit, quit. "
    )


def test_a_variable_may_have_any_letters():
    assert GRAMMAR.parse_line("run flood --as año_2").variable == "año_2"


def test_a_value_that_is_missing():
    with pytest.raises(CommandError, match=r"^%dissmodel run: argument --input: expected one argument\. Usage: "):
        GRAMMAR.parse_line("run flood --input")


def test_a_parameter_without_a_value():
    with pytest.raises(ParameterError, match=r"^--param takes name=value, got 'years'\."):
        GRAMMAR.parse_line("run flood --param years")


@pytest.mark.parametrize("line", ["", "help", "--help", "-h", "  "])
def test_help_lists_the_commands(line):
    command = GRAMMAR.parse_line(line)
    assert command.name == "help"
    lines = command.text.splitlines()
    assert lines[0] == "%dissmodel COMMAND [options]"
    assert [row.split()[0] for row in lines[2:-2]] == COMMANDS
    assert lines[-1] == "More on each: %dissmodel help COMMAND"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_for_each_command(name):
    texts = {GRAMMAR.parse_line(line).text for line in (f"help {name}", f"{name} --help", f"{name} -h")}
    assert len(texts) == 1
    text = texts.pop()
    assert text.startswith(f"usage: %dissmodel {name} ")
    assert f"Example: %dissmodel {name}" in text
    assert all(option in text for option in GRAMMAR.options(name))


def test_examples_of_the_help_can_be_parsed():
    for name in COMMANDS:
        example = GRAMMAR.parse_line(f"help {name}").text.rpartition("Example: %dissmodel ")[2]
        assert GRAMMAR.parse_line(" ".join(example.split())).name == name


def test_a_door_may_offer_less():
    grammar = Grammar("dissmodel-lab", ("run", "help"))
    assert grammar.commands == ["run", "help"]
    with pytest.raises(CommandError, match=r"^dissmodel-lab has no command 'form'\. Known: run, help\.$"):
        grammar.parse(["form", "flood"])


def test_a_fixed_model_is_not_named_again():
    grammar = Grammar("python flood.py", ("run", "validate", "show", "help"), model="flood")
    assert grammar.parse(["run", "--param", "years=5"]) == flood(parameters={"years": 5})
    assert grammar.parse(["show", "last"]).run_id == "last"
    with pytest.raises(CommandError) as raised:
        grammar.parse(["run", "flood"])
    assert str(raised.value).startswith("python flood.py run does not know what to do with 'flood'. ")
    assert "coastal_flood" not in grammar.parse(["help", "run"]).text


def test_options_of_a_command_that_is_not_there():
    assert GRAMMAR.options("rnu") == []


def test_a_cells_body():
    assert cell_spec("years = 5\n").parameters == {"years": 5}
    with pytest.raises(ParameterError) as raised:
        cell_spec("years = 5\nrise = = 2\n")
    assert str(raised.value) == "The cell's body is not valid TOML: Invalid value (at line 2, column 8)."


OPTIONS = [
    "--help", "--input", "--param", "--toml", "--no-preflight", "--output", "--engine", "--workers", "--address",
    "--url", "--seconds", "--memory", "--yes", "--priority", "--background", "--end-with-kernel", "--as",
]  # fmt: skip
LIFE = ["coastal_flood", "forest_fire", "game_of_life"]

TABS = [
    ("", "", COMMANDS),
    ("r", "r", ["run", "record", "runs", "rerun", "reindex"]),
    ("  ru", "ru", ["run", "runs"]),
    ("zz", "zz", []),
    ("run coas", "coas", ["coastal_flood"]),
    ("form game", "game", ["game_of_life"]),
    ("run coastal_flood ", "", OPTIONS),
    ("run coastal_flood --o", "--o", ["--output"]),
    ("run coastal_flood --input ", "", []),
    ("run coastal_flood --input dat", "dat", []),
    ("run coastal_flood --as r", "r", []),
    ("run game_of_life --param gen", "gen", ["generations="]),
    ("run game_of_life -p gen", "gen", ["generations="]),
    ("run game_of_life --param=gen", "--param=gen", ["--param=generations="]),
    ("run game_of_life --param generations=5 --param gen", "gen", ["generations="]),
    ("run --input x.tif game_of_life --param gen", "gen", ["generations="]),
    ("run --as rec game_of_life --param gen", "gen", ["generations="]),
    ("run no_such_model --param ", "", []),
    ("run --param ", "", []),
    ("help r", "r", ["run", "record", "runs", "rerun", "reindex"]),
    ("export last --format p", "p", ["prov", "parquet", "profile"]),
    ("runs --status c", "c", ["completed", "cancelled"]),
    ("run coastal_flood --engine p", "p", ["process", "platform"]),
    ("platform c", "c", ["cancel"]),
    ("cite last --language ", "", ["en", "pt"]),
    ("runs --l", "--l", ["--limit"]),
    ("rnu coas", "coas", []),
    ("models ", "", ["--help"]),
]


@pytest.mark.parametrize(("before", "fragment", "words"), TABS, ids=[f"{before!r}" for before, _, _ in TABS])
def test_tab(before, fragment, words):
    completions = complete(GRAMMAR, before)
    assert completions.fragment == fragment
    assert completions.words == words


def test_tab_offers_every_model():
    assert complete(GRAMMAR, "run ").words == list(known_models())
    assert set(LIFE) <= set(known_models())


def test_tab_offers_models_of_the_notebook():
    class Mine(SteppingExecutor, register=False):
        name = "mine_of_the_notebook"

    assert complete(GRAMMAR, "run mine", namespace={"Mine": Mine}).words == ["mine_of_the_notebook"]


def test_tab_offers_runs():
    store = RunStore()
    record = ExperimentRecord(model_name="flood", status="completed")
    store.end(store.begin(record), record)
    assert complete(GRAMMAR, "show ", store=store).words == ["last", record.experiment_id[:8]]
    assert complete(GRAMMAR, f"show {record.experiment_id[:3]}", store=store).words == [record.experiment_id[:8]]
    assert complete(GRAMMAR, "show ").words == ["--help"]
    for command in ("annotate", "changes", "verify", "rerun", "cite", "export", "compare", "compare last"):
        assert complete(GRAMMAR, f"{command} l", store=store).words == ["last"]
    assert complete(GRAMMAR, "rerun --executor m:M la", store=store).words == ["last"]
    assert complete(GRAMMAR, "verify last l", store=store).words == []


def test_tab_makes_no_executor():
    made = []

    class Declared(SteppingExecutor):
        name = "declared_of_the_notebook"

        class Parameters(BaseModel):
            years: int = 5

        def __init__(self):
            made.append(self)

    assert complete(GRAMMAR, "run declared_of_the_notebook --param ").words == ["years="]
    assert made == []


def test_tab_never_raises_whatever_a_model_does(tmp_path, monkeypatch):
    class Failing(ModelExecutor):
        name = "failing_at_birth"

        def __init__(self):
            raise ZeroDivisionError

        def load(self, record): ...
        def run(self, data, record): ...
        def save(self, result, record): ...

    (tmp_path / "broken_at_tab.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert complete(GRAMMAR, "run failing_at_birth --param ").words == []
    assert complete(GRAMMAR, "run broken_at_tab:X --param ").words == []
    assert "broken_at_tab" not in sys.modules
