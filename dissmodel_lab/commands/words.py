"""The commands, their options, and what each option takes."""

from __future__ import annotations

import argparse
import keyword
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from dissmodel_lab.conditions import parse_condition
from dissmodel_lab.errors import EngineError, QueryError, did_you_mean
from dissmodel_lab.executor.schemas import RunStatus
from dissmodel_lab.language import mark, message, say
from dissmodel_lab.store import LOST, UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from dissmodel_lab.conditions import Condition

MODELS, RUN, RECORD, FORM, VALIDATE = "models", "run", "record", "form", "validate"
SHOW, RUNS, ANNOTATE, REINDEX = "show", "runs", "annotate", "reindex"
VERIFY, RERUN, CHANGES, COMPARE = "verify", "rerun", "changes", "compare"
EXPORT, IMPORT, CITE, HELP = "export", "import", "cite", "help"
CANCEL, QUEUE, SWEEP, SWEEPS, PLATFORM = "cancel", "queue", "sweep", "sweeps", "platform"
MAP, FETCH, CACHE, DOCTOR = "map", "fetch", "cache", "doctor"

SUMMARIES = {
    MODELS: mark("list the models that can be run, those of installed packages included"),
    FORM: mark("show a form for a model's parameters (in a notebook)"),
    RUN: mark("run a model and keep its record"),
    RECORD: mark("run the code of this cell as a model and keep its record (in a notebook)"),
    VALIDATE: mark("check model, parameters and input without running"),
    CANCEL: mark("end a run that is waiting or running; its record is closed as cancelled"),
    QUEUE: mark("show the runs that are waiting or running"),
    SWEEP: mark("run a model with many values of its parameters, or go on with a sweep"),
    SWEEPS: mark("list the sweeps that were kept, newest first"),
    PLATFORM: mark("ask a DisSModel Platform server: its models and jobs, files up and down"),
    MAP: mark("show data on a map, from a file, a bucket or a web server, with nothing run"),
    FETCH: mark("bring a remote input here, into the cache, and say its SHA-256"),
    CACHE: mark("list, verify or clear the copies of remote inputs"),
    SHOW: mark("show one run: phases, maps, parameters, provenance"),
    RUNS: mark("list the runs that were kept, newest first"),
    ANNOTATE: mark("add tags and notes to a run; its record stays as it is"),
    CHANGES: mark("show what a run changed, from its input to its output"),
    COMPARE: mark("compare two runs: parameters, metrics, timings and their outputs on a map"),
    VERIFY: mark("check that a run's record, input and outputs are as recorded"),
    RERUN: mark("run a recorded run again in a clean process, and say whether it gives the same"),
    EXPORT: mark("write runs in a form that others can open"),
    IMPORT: mark("read an RO-Crate back into the store"),
    CITE: mark("write the methods text for a paper"),
    REINDEX: mark("build the index again from the run folders"),
    DOCTOR: mark("say what this machine is like: versions, folders, engines, known problems"),
    HELP: mark("explain a command"),
}
EXAMPLES = {
    RUN: "run coastal_flood --param sea_level_rise=0.5 --output out/flood.tif",
    RECORD: "record --input grid --output grid",
    FORM: "form coastal_flood",
    VALIDATE: "validate coastal_flood --param end_year=2100",
    CANCEL: "cancel last",
    QUEUE: "queue",
    SWEEP: "sweep coastal_flood --param sea_level_rise=1:8:8 --param end_year=2100,2300",
    SWEEPS: "sweeps",
    PLATFORM: "platform jobs --url https://platform.example.org",
    MAP: "map elevation.tif --colours cividis",
    FETCH: "fetch s3://bucket/elevation.tif",
    CACHE: "cache verify",
    SHOW: "show last",
    RUNS: "runs --where \"sea_level_rise > 0.4 and status == 'completed'\" --limit 5",
    ANNOTATE: "annotate last --tag thesis --note 'the run of figure 3'",
    CHANGES: "changes last",
    COMPARE: "compare 3f2a last",
    VERIFY: "verify last",
    RERUN: "rerun last",
    EXPORT: "export last --format ro-crate --output flood.zip",
    IMPORT: "import flood.zip",
    CITE: "cite last --language pt",
    REINDEX: "reindex",
    DOCTOR: "doctor",
    MODELS: "models",
    HELP: "help run",
}
FORMATS = ("ro-crate", "prov", "mlflow", "csv", "parquet", "profile")
"""Of ``export``."""
LANGUAGES = ("en", "pt")
ENGINES = ("inline", "process", "dask", "platform")
PRIORITIES = ("low", "normal", "high")
SAMPLES = ("grid", "lhs", "sobol", "morris", "saltelli")
"""How ``sweep`` chooses its points."""
PLATFORM_ACTIONS = ("health", "models", "jobs", "cancel", "reproduce", "fetch", "upload", "download")
CACHE_ACTIONS = ("list", "verify", "clear")
_OF_A_MODEL = (RUN, FORM, VALIDATE)
_LONGEST_NAME = 100
"""Of a recorded cell's model [characters]."""
_TAKEN = ("In", "Out", "get_ipython", "exit", "quit")
"""Names of a notebook's own, which must not be lost."""


class Door(NamedTuple):
    """Who offers the commands."""

    prog: str
    """How they are called."""
    model: str = ""
    """A fixed model; the commands then take none."""

    @property
    def is_notebook(self) -> bool:
        """Whether there are variables for ``--as`` and output to look at; a terminal prints ``--json`` instead."""
        return self.prog.startswith("%")


def add_arguments(parser: argparse.ArgumentParser, command: str, door: Door) -> None:
    """Give a command's parser its options."""
    if command in _OF_A_MODEL:
        _add_model(parser, door)
    if command == RUN:
        parser.add_argument(
            "--no-preflight", dest="preflight", action="store_false", help=say("do not look at the files first")
        )
    if command in _OF_A_MODEL:
        parser.add_argument("--output", metavar="PATH", help=say("the output; in the run's own folder when left out"))
    if command == SWEEP:
        _add_model(parser, door)
        _add_sweep(parser)
    if command in (RUN, SWEEP):
        _add_engine(parser, command, door)
    if command == MAP:
        _add_map(parser, door)
    if command in _OWN:
        _OWN[command](parser)
    if command in (RUN, RECORD) and door.is_notebook:
        parser.add_argument(
            "--as", dest="variable", type=_variable, metavar="NAME", help=say("the variable that gets the record")
        )
    if command in _AS_JSON and not door.is_notebook:
        parser.add_argument("--json", dest="as_json", action="store_true", help=say("print JSON and nothing else"))


def _add_model(parser: argparse.ArgumentParser, door: Door) -> None:
    if not door.model:
        parser.add_argument("model", nargs="?", metavar="MODEL", help=say("name, package.module:Class or .toml file"))
    parser.add_argument("--input", metavar="URI", help=say("the input; the model's own sample when left out"))
    parser.add_argument(
        "--param", "-p", action="append", metavar="NAME=VALUE", help=say("a TOML value; a bare word is a text")
    )
    parser.add_argument("--toml", metavar="FILE", help=say("a TOML file with parameters"))


def _add_engine(parser: argparse.ArgumentParser, command: str, door: Door) -> None:
    usual = "inline" if command == RUN else "process"
    parser.add_argument(
        "--engine",
        type=_one_of(ENGINES, mark("no engine is called {text!r:.100}. {hint}")),
        metavar="ENGINE",
        help=f"{', '.join(ENGINES)} ({usual})",
    )
    parser.add_argument(
        "--workers",
        type=_count,
        metavar="N",
        help=say("how many worker processes; one for each processor when left out"),
    )
    parser.add_argument(
        "--address", metavar="ADDRESS", help=say("where a Dask scheduler is; a cluster of its own when left out")
    )
    parser.add_argument(
        "--url", metavar="URL", help=say("where a DisSModel Platform server is; its key is DISSMODEL_API_KEY")
    )
    parser.add_argument("--seconds", type=_seconds, metavar="S", help=say("end a run that takes longer [s]"))
    parser.add_argument(
        "--memory", type=_memory, metavar="SIZE", help=say("end a run that needs more memory, such as 500MB")
    )
    if command == RUN:
        parser.add_argument(
            "--yes", action="store_true", help=say("let the platform install the package that the TOML names")
        )
        parser.add_argument(
            "--priority",
            type=_one_of(PRIORITIES, mark("no priority is called {text!r:.100}. {hint}")),
            default="normal",
            metavar="LEVEL",
            help=", ".join(PRIORITIES),
        )
    if door.is_notebook:
        parser.add_argument("--background", action="store_true", help=say("return at once; the panel goes on"))
        parser.add_argument(
            "--end-with-kernel",
            action="store_true",
            help=say("cancel the run when the kernel ends; it goes on otherwise"),
        )


def _add_sweep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sample",
        type=_one_of(SAMPLES, mark("no method is called {text!r:.100}. {hint}")),
        default="grid",
        metavar="METHOD",
        help=", ".join(SAMPLES),
    )
    parser.add_argument(
        "--samples", type=_count, metavar="N", help=say("how many points; for the methods that draw them")
    )
    parser.add_argument(
        "--seeds",
        type=_count,
        default=1,
        metavar="N",
        help=say("how many runs at each point, each with another seed"),
    )
    parser.add_argument("--metric", default="", metavar="NAME", help=say("what the chart shows first"))
    parser.add_argument("--yes", action="store_true", help=say("start it although it makes more than 10,000 runs"))
    parser.add_argument(
        "--resume", default="", metavar="SWEEP", help=say("go on with a sweep: its first characters, or last")
    )
    parser.add_argument(
        "--changed-code",
        action="store_true",
        help=say("with --resume: go on although the model's source has changed"),
    )


def _add_sweeps(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sweep_id", nargs="?", default="", metavar="SWEEP", help=say("show this one: first characters, or last")
    )
    parser.add_argument("--metric", default="", metavar="NAME", help=say("what the chart shows first"))


def _add_platform(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        type=_one_of(PLATFORM_ACTIONS, mark("no action is called {text!r:.100}. {hint}")),
        metavar="ACTION",
        help=", ".join(PLATFORM_ACTIONS),
    )
    parser.add_argument("path", nargs="?", default="", metavar="WHAT", help=say("a job's id, a file or a URI"))
    parser.add_argument("--url", metavar="URL", help=say("where the server is; DISSMODEL_PLATFORM_URL when left out"))
    parser.add_argument("--label", default="", metavar="NAME", help=say("what an upload is called there"))
    parser.add_argument("--output", metavar="PATH", help=say("where a download goes"))


def _add_map(parser: argparse.ArgumentParser, door: Door) -> None:
    parser.add_argument(
        "sources", nargs="+", metavar="URI", help=say("one or two: a path, s3:// or https:// of a COG")
    )
    parser.add_argument("--band", metavar="NAME", help=say("the band or column; the first one when left out"))
    parser.add_argument(
        "--part", metavar="NAME", help=say("the layer, variable or file in it, where it holds several")
    )
    parser.add_argument(
        "--style", metavar="FILE", help=say("colours and labels from QGIS (.qml), .sld, .clr or a table")
    )
    parser.add_argument("--colours", default="", metavar="NAME", help=say("one of matplotlib's colour maps"))
    parser.add_argument("--reverse", action="store_true", help=say("the colours the other way round"))
    parser.add_argument(
        "--limits", type=_limits, metavar="LOW,HIGH", help=say("values of the first and the last colour")
    )
    parser.add_argument(
        "--classify", default="", metavar="METHOD", help=say("ranges: quantiles, natural breaks, ...")
    )
    parser.add_argument("--n-classes", type=_count, default=5, metavar="N", help=say("how many ranges (5)"))
    if door.is_notebook:
        parser.add_argument(
            "--basemap", default="none", metavar="NAME", help=say("what lies below the data: OpenStreetMap, none")
        )
    else:
        parser.add_argument("--output", metavar="PATH", help=say("write the map as .html or .png"))


def _add_fetch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="URI", help=say("s3://, https://, bdc_stac:// or stac+https://"))


def _add_cache(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        nargs="?",
        default="list",
        type=_one_of(CACHE_ACTIONS, mark("no action is called {text!r:.100}. {hint}")),
        metavar="ACTION",
        help=", ".join(CACHE_ACTIONS),
    )


def _add_record(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--input", metavar="NAME", help=say("the variable that is the input, or a file's path"))
    parser.add_argument("--output", metavar="NAME", help=say("the variable that holds the result"))
    parser.add_argument(
        "--name", dest="cell_name", default="cell", type=_title, metavar="NAME", help=say("the model's name")
    )


def _add_run_id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_id", metavar="ID", help=say("first characters of a run's id, or: last"))


def _add_runs(parser: argparse.ArgumentParser) -> None:
    _add_filter(parser)
    parser.add_argument(
        "--sort",
        default="-created",
        metavar="NAME",
        help=say("a field, parameter or metric; -NAME for the largest first"),
    )
    parser.add_argument(
        "--columns", type=_names, default=(), metavar="A,B", help=say("parameters or metrics to show in any case")
    )
    parser.add_argument("--limit", type=_count, default=20, metavar="N", help=say("how many on a page (20)"))
    parser.add_argument("--page", type=_count, default=1, metavar="N", help=say("which page (1)"))


def _add_filter(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="", metavar="MODEL", help=say("only runs of this model"))
    parser.add_argument(
        "--status",
        type=_one_of(STATUSES, mark("no status is called {text!r:.100}. {hint}")),
        metavar="STATUS",
        help=say("only {statuses}", statuses=", ".join(STATUSES)),
    )
    parser.add_argument("--tag", default="", metavar="TAG", help=say("only runs with this tag"))
    parser.add_argument(
        "--source",
        dest="source_sha256",
        default="",
        metavar="SHA256",
        help=say("only runs whose input has this checksum"),
    )
    parser.add_argument(
        "--since", type=_moment, metavar="DATE", help=say("only runs from then on (UTC), as 2026-11-23")
    )
    parser.add_argument("--until", type=_moment, metavar="DATE", help=say("only runs before (UTC)"))
    parser.add_argument(
        "--where",
        type=_condition,
        metavar="CONDITION",
        help=say('on parameters and metrics: "rise > 0.4 and years == 20"'),
    )


def _add_annotate(parser: argparse.ArgumentParser) -> None:
    _add_run_id(parser)
    parser.add_argument("--tag", dest="tags", action="append", default=[], metavar="TAG", help=say("a tag to add"))
    parser.add_argument("--untag", action="append", default=[], metavar="TAG", help=say("a tag to take away"))
    parser.add_argument("--note", default="", metavar="TEXT", help=say("a note to add"))


def _add_band(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--band", metavar="NAME", help=say("the band or column; the first one when left out"))
    parser.add_argument("--key", metavar="COLUMN", help=say("the column that tells which features are the same"))
    parser.add_argument(
        "--common-grid", action="store_true", help=say("bring the second map onto the grid of the first one")
    )


def _add_changes(parser: argparse.ArgumentParser) -> None:
    _add_run_id(parser)
    _add_band(parser)
    parser.add_argument(
        "--before-band",
        metavar="NAME",
        help=say("the input's band or column; the one called like the output's when left out"),
    )


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_id", metavar="A", help=say("the first run"))
    parser.add_argument("other_id", metavar="B", help=say("the second run"))
    _add_band(parser)


def _add_verify(parser: argparse.ArgumentParser) -> None:
    _add_run_id(parser)
    parser.add_argument(
        "--base-folder", metavar="FOLDER", help=say("the folder in which the record's relative paths begin")
    )


def _add_rerun(parser: argparse.ArgumentParser) -> None:
    _add_verify(parser)
    parser.add_argument(
        "--executor", default="", metavar="MODEL", help=say("what to run, when the record alone cannot say it")
    )
    parser.add_argument(
        "--tolerance", type=_tolerance, metavar="NUMBER", help=say("differences up to this count as none")
    )
    parser.add_argument(
        "--any-version", action="store_true", help=say("also with another version of the model's package")
    )
    parser.add_argument("--timeout", type=_seconds, metavar="SECONDS", help=say("give up after this time [s]"))


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run_ids", nargs="*", metavar="ID", help=say("runs; for csv and parquet all that fit when left out")
    )
    parser.add_argument(
        "--format",
        required=True,
        type=_one_of(FORMATS, mark("no format is called {text!r:.100}. {hint}")),
        metavar="FORMAT",
        help=", ".join(FORMATS),
    )
    parser.add_argument("--output", required=True, metavar="PATH", help=say("the file or folder to write"))
    _add_filter(parser)


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help=say("a crate: a folder or a .zip"))


def _add_cite(parser: argparse.ArgumentParser) -> None:
    _add_run_id(parser)
    parser.add_argument(
        "--language",
        default="en",
        type=_one_of(LANGUAGES, mark("no language is called {text!r:.100}. {hint}")),
        metavar="LANGUAGE",
        help=say("en or pt"),
    )


_OWN: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    RECORD: _add_record,
    SHOW: _add_run_id,
    RUNS: _add_runs,
    ANNOTATE: _add_annotate,
    CHANGES: _add_changes,
    COMPARE: _add_compare,
    VERIFY: _add_verify,
    RERUN: _add_rerun,
    EXPORT: _add_export,
    IMPORT: _add_import,
    CITE: _add_cite,
    CANCEL: _add_run_id,
    SWEEPS: _add_sweeps,
    PLATFORM: _add_platform,
    FETCH: _add_fetch,
    CACHE: _add_cache,
}
_AS_JSON = (
    RUN,
    SHOW,
    RUNS,
    MODELS,
    VALIDATE,
    CHANGES,
    COMPARE,
    VERIFY,
    RERUN,
    QUEUE,
    SWEEP,
    SWEEPS,
    PLATFORM,
    MAP,
    FETCH,
    CACHE,
    DOCTOR,
)
STATUSES = (*(status.value for status in RunStatus), LOST, UNREADABLE)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(message("a whole number from 1 on is needed, got {text!r}", text=text))
    return int(text)


def _limits(text: str) -> tuple[float, float]:
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise argparse.ArgumentTypeError(
            message("two numbers that rise are needed, such as 0,12.5, got {text!r:.100}", text=text)
        )
    return low, high


def _title(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > _LONGEST_NAME:
        raise argparse.ArgumentTypeError(
            message(
                "a name of 1 to {longest} letters, digits and other signs on one line is needed, got {text!r:.120}",
                longest=_LONGEST_NAME,
                text=text,
            )
        )
    return text.strip()


def _variable(text: str) -> str:
    if not text.isidentifier() or keyword.iskeyword(text) or text in _TAKEN:
        raise argparse.ArgumentTypeError(
            message(
                "a name for a variable is needed, got {text!r}; letters, digits and _ are allowed, but no digit at "
                "the start, no word of Python's own and none of {taken}",
                text=text,
                taken=", ".join(_TAKEN),
            )
        )
    return text


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _one_of(known: tuple[str, ...], refusal: str) -> Callable[[str], str]:
    """Return what checks that a word is one of those that are known; the refusal has the names text and hint."""

    def checked(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(message(refusal, text=text, hint=did_you_mean(text, known)))
        return text

    return checked


def _memory(text: str) -> int:
    from dissmodel_lab.launch import limits_of  # noqa: PLC0415 -- few runs have limits

    try:
        return limits_of(memory=text).memory_bytes or 0
    except EngineError as error:  # argparse would hide the message
        raise argparse.ArgumentTypeError(*error.args) from error


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            message(
                "a date such as 2026-11-23 or a moment such as 2026-11-23T14:30 is needed, got {text!r:.100}",
                text=text,
            )
        ) from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _condition(text: str) -> Condition:
    try:
        return parse_condition(text)
    except QueryError as error:  # argparse would hide the message of a ValueError
        raise argparse.ArgumentTypeError(*error.args) from error


def _seconds(text: str) -> float:
    return _positive(text, mark("a time in seconds above 0 is needed, got {text!r:.100}"))


def _tolerance(text: str) -> float:
    return _positive(text, mark("a number above 0 is needed, got {text!r:.100}"))


def _positive(text: str, refusal: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number <= 0:
        raise argparse.ArgumentTypeError(message(refusal, text=text))
    return number
