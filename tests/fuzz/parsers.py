"""One target for each parser of what people and other programs write: bytes in; a result or one clear error out.

``python tests/fuzz/parsers.py --seconds 300 --corpus test-artifacts/fuzz`` lets atheris (libFuzzer) look for bytes
that reach new code, a while for each target, each in a process of its own. What it finds is kept in the corpus and
tried first the next time; what must not be is written beside it as ``TARGET-crash-...``. The everyday tests drive the
same targets with hypothesis, see ``tests/properties/test_parsers.py``.
"""

# ruff: noqa: E501 -- inputs read better in one line

from __future__ import annotations

import argparse
import atexit
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from fuzz import seeds

if TYPE_CHECKING:
    from collections.abc import Callable

#: A message of fewer words tells nobody what to do.
FEWEST_WORDS = 5
#: Or else a message ends with what to write.
AN_EXAMPLE = re.compile(r"(Usage|[Ww]rite for example|for example|Write|Use): \S.*", re.DOTALL)
#: An input that takes longer hangs [s].
LONGEST = 10
_FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-parsers-"))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)


class Target(NamedTuple):
    """A parser, and where it begins."""

    parse: Callable[[bytes], object]
    corpus: tuple[bytes, ...]
    modules: tuple[str, ...]
    """Those whose branches atheris counts."""


def check(name: str, content: bytes) -> str:
    """Give some bytes to a parser: the error's message, or nothing when they were read; all else is raised."""
    from dissmodel_lab.errors import LabError

    try:
        TARGETS[name].parse(content)
    except LabError as error:
        message = str(error)
        if len(message.split()) < FEWEST_WORDS or (message[-1:] not in ".?" and not AN_EXAMPLE.search(message)):
            raise AssertionError(f"unclear message: {message}") from error
        return message
    return ""


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape" if content[:1] == b"\xff" else "replace")


def _file(name: str, content: bytes) -> Path:
    path = _FOLDER / name
    path.write_bytes(content)
    return path


# --- the targets


def condition(content: bytes) -> None:
    from dissmodel_lab.conditions import condition_text, parse_condition
    from dissmodel_lab.errors import QueryError

    tree = parse_condition(_text(content))
    written = condition_text(tree)
    try:
        again = parse_condition(written)
    except QueryError as error:  # written with all its quotes it may be too long
        assert "are allowed" in str(error), written  # noqa: PT017 -- no test: what is raised is the finding
        return
    assert repr(again) == repr(tree), written


def toml(content: bytes) -> None:
    from dissmodel_lab.parameters import ModelSpec, write_spec

    spec = ModelSpec.from_text(_text(content))
    again = ModelSpec.from_text(write_spec("m", spec.parameters))
    assert repr(sorted(again.parameters)) == repr(sorted(spec.parameters))


def typed_value(content: bytes) -> None:
    from dissmodel_lab.parameters import parse_assignment

    parse_assignment(_text(content))


def line(content: bytes) -> None:
    from dissmodel_lab.commands.grammar import Grammar

    global _grammar  # noqa: PLW0603 -- takes a while to make
    _grammar = _grammar or Grammar("%dissmodel")
    _grammar.parse_line(_text(content))


_grammar = None


def cell(content: bytes) -> None:
    """A ``%%dissmodel`` cell: its line, and its body."""
    first, _, body = content.partition(b"\n")
    from dissmodel_lab.commands.grammar import cell_spec

    cell_spec(_text(body))
    line(first)


def code_cell(content: bytes) -> None:
    """A cell with code, whose names and settings are found without running it."""
    import ast
    import warnings

    from dissmodel_lab.cells import assigned_names, literal_settings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # Python's own refusals
        return
    assigned_names(tree)
    literal_settings(tree)


def record(content: bytes) -> None:
    from dissmodel_lab.executor.schemas import can_be_read
    from dissmodel_lab.store.reading import look_at, read_record

    path = _file("record.json", content)
    look_at(os.fsencode(path))
    found = read_record(path)
    assert can_be_read(found.model_dump_json())


def journal(content: bytes) -> None:
    from dissmodel_lab.executor import ExperimentRecord
    from dissmodel_lab.journal import Story
    from dissmodel_lab.store.reading import journal_phase, journal_sha256

    folder = _file("journal.jsonl", content).parent
    _file("record.json", ExperimentRecord(model_name="flood", status="completed").model_dump_json().encode())
    assert list(Story(folder).events(lambda: True))[-1].status == "completed"
    journal_phase(os.fsencode(folder))
    journal_sha256(folder)


def annotations(content: bytes) -> None:
    from dissmodel_lab.annotations import annotations_path, read_annotations

    path = _FOLDER / "record.json"
    _file(annotations_path(path).name, content)
    found = read_annotations(path)
    assert len(found.notes) + found.n_skipped <= content.count(b"\n") + 1


def style(content: bytes) -> None:
    from dissmodel_lab.maps.styles import read_style

    name = "a.clr" if content[:1].isdigit() else "a.txt" if content[:1] == b"#" else "a.qml"
    read_style(_file(name, content))


def crate(content: bytes) -> None:
    """The metadata of a crate of another program."""
    from dissmodel_lab.errors import ExportError
    from dissmodel_lab.exports.crate_action import described_run
    from dissmodel_lab.exports.crate_archive import CrateLimits, open_crate
    from dissmodel_lab.exports.crate_metadata import read_metadata

    folder = _file("ro-crate-metadata.json", b"").parent / "crate"
    folder.mkdir(exist_ok=True)
    (folder / "ro-crate-metadata.json").write_bytes(content)
    with open_crate(folder, CrateLimits()) as opened:
        metadata, read = read_metadata(opened)
        try:
            described_run(metadata, read)
            metadata.stated()
        except ExportError as error:
            assert len(str(error).split()) >= FEWEST_WORDS  # noqa: PT017 -- no test: what is raised is the finding


def address(content: bytes) -> None:
    from dissmodel_lab.redaction import redact_uri
    from dissmodel_lab.sources.addresses import parse

    parse(_text(content))
    redact_uri(_text(content))


def stac(content: bytes) -> None:
    from dissmodel_lab.sources.stac_query import parse_query

    query = parse_query(_text(content))
    assert parse_query(query.text).text == query.text


def ranges(content: bytes) -> None:
    from dissmodel_lab.sweeps.fields import Wanted
    from dissmodel_lab.sweeps.ranges import make_axis

    make_axis("rate", _text(content), Wanted())


def redaction(content: bytes) -> None:
    from dissmodel_lab.redaction import redact_text

    once = redact_text(_text(content))
    assert redact_text(once) == once


def platform_answer(content: bytes) -> None:
    from dissmodel_lab.platform_client.answers import job_in, jobs_in, models_in

    value = json.loads(content) if _is_json(content) else None
    for read in (job_in, jobs_in, models_in):
        try:
            read(value, "GET /x")
        except Exception as error:
            from dissmodel_lab.errors import PlatformError

            assert isinstance(error, PlatformError), repr(error)  # noqa: PT017 -- no test


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return False
    return True


RECORD = (
    b'{"experiment_id": "a1", "created_at": "2026-01-02T03:04:05Z", "model_name": "flood", "parameters": {"rate": '
    b'{"$float": "nan"}, "years": {"$tuple": [1, 2]}}, "source": {"type": "s3", "uri": "s3://b/g.tif"}, "phases": '
    b'{"load": {"started_at": "2026-01-02T03:04:05Z", "seconds": 1.5}}, "status": "completed", "logs": ["a"]}'
)
JOURNAL = (
    b'{"event": "phase_started", "phase": "load"}\n{"event": "log", "text": "a"}\n{"event": "step", "step": 1, '
    b'"n_steps": 3, "values": {"burnt": 5}}\n{"event": "phase_completed", "phase": "load", "started_at": '
    b'"2026-01-02T03:04:05Z", "seconds": 1.5, "status": "completed"}\n{"event": "record", "sha256": "e3"}\n'
)
CRATE = (
    b'{"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": [{"@id": "ro-crate-metadata.json", "@type": '
    b'"CreativeWork", "about": {"@id": "./"}, "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"}}, {"@id": "./", '
    b'"@type": "Dataset", "mentions": {"@id": "#run"}}, {"@id": "#run", "@type": "CreateAction", "instrument": {"@id": '
    b'"#tool"}, "object": [{"@id": "#p"}], "startTime": "2026-01-02T03:04:05Z"}, {"@id": "#tool", "name": "flood"}, '
    b'{"@id": "#p", "@type": "PropertyValue", "name": "rise", "value": 2}]}'
)
SLD = (
    b'<StyledLayerDescriptor version="1.0.0" xmlns="http://www.opengis.net/sld"><NamedLayer><UserStyle>'
    b'<FeatureTypeStyle><Rule><RasterSymbolizer><ColorMap type="values"><ColorMapEntry color="#1b9e77" '
    b'quantity="1" label="floresta"/></ColorMap></RasterSymbolizer></Rule></FeatureTypeStyle></UserStyle></NamedLayer>'
    b"</StyledLayerDescriptor>"
)
_LAB = "dissmodel_lab."
TARGETS = {
    "annotations": Target(
        annotations,
        (b'{"at": "2026-01-02T03:04:05Z", "by": "ana", "tags": ["paper"], "untag": [], "note": "see"}\n',),
        (_LAB + "annotations",),
    ),
    "address": Target(address, tuple(map(str.encode, seeds.ADDRESSES)), (_LAB + "sources.addresses",)),
    "cell": Target(cell, (b"run flood --engine process\n" + seeds.TOML.encode(),), (_LAB + "commands", _LAB + "parameters")),
    "code-cell": Target(code_cell, (b"import os\nend_time = 20\nrates = [1, -2.5]\n",), (_LAB + "cells",)),
    "condition": Target(
        condition,
        (b"0.2 < rate <= 0.5 and not tag in ('a', 'it''s') or `max height`.x[0] != none", b"created >= '2026-11-01'"),
        (_LAB + "conditions",),
    ),
    "crate": Target(crate, (CRATE,), (_LAB + "exports",)),
    "journal": Target(journal, (JOURNAL,), (_LAB + "journal", _LAB + "store.reading")),
    "line": Target(
        line,
        (b"run flood --param 'rates=[1, 2]' --engine process", b'runs --where "x > 1" --sort -seconds --limit 5',
         b"sweep flood --param rise=0.1:2.0:5 --seeds 3", b"export last --format ro-crate --output a.zip"),
        (_LAB + "commands",),
    ),
    "platform-answer": Target(
        platform_answer,
        (b'{"experiment_id": "a1", "status": "pending", "created_at": "2026-01-02T03:04:05", "logs": ["a"]}',
         b'{"experiments": [{"job_id": "a1", "status": "failed"}, 5], "total": 2}', b'{"models": [{"name": "flood"}]}'),
        (_LAB + "platform_client.answers",),
    ),
    "range": Target(ranges, (b"0.1:2.0:5:log", b"4,5,6", b"2020-01-01:2020-01-31:4", b"['a', 'b,c']"), (_LAB + "sweeps",)),
    "record": Target(record, (RECORD,), (_LAB + "executor", _LAB + "store.reading")),
    "redaction": Target(
        redaction, (b"run(api_key='x', years=4) on s3://key:pw@bucket/x.tif?X-Amz-Signature=a -u a:b",), (_LAB + "redaction",)
    ),
    "stac": Target(stac, tuple(map(str.encode, seeds.ADDRESSES[:2])), (_LAB + "sources.stac_query",)),
    "style": Target(style, (seeds.QML.encode(), seeds.CLR.encode(), SLD, b"# GRASS\n0% blue\n100% 255:0:0\n"), (_LAB + "maps.styles",)),
    "toml": Target(toml, (seeds.TOML.encode(),), (_LAB + "parameters",)),
    "typed-value": Target(typed_value, (b"years=[1, 2.5]", b"a={b = 'c'}", b"start=2020-01-01"), (_LAB + "parameters",)),
}  # fmt: skip


# --- atheris


def fuzz(name: str, corpus: Path, seconds: int) -> None:
    """Let atheris look at one target; returns never, its exit status tells."""
    import atheris

    folder = corpus / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(TARGETS[name].corpus):
        (folder / f"seed-{number}").write_bytes(content)
    with atheris.instrument_imports(include=list(TARGETS[name].modules)):
        check(name, TARGETS[name].corpus[0])  # what it imports when it is first used is counted
    options = [
        f"-max_total_time={seconds}", f"-timeout={LONGEST}", "-rss_limit_mb=2048", "-max_len=2000", "-print_final_stats=1",
        f"-artifact_prefix={corpus / name}-", str(folder),
    ]  # fmt: skip

    def one(content: bytes) -> None:
        check(name, content)

    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the parsers.")
    parser.add_argument("--seconds", type=int, default=300, help="for all targets together [s]")
    parser.add_argument("--corpus", type=Path, default=Path("test-artifacts/fuzz"))
    parser.add_argument("--only", default=",".join(TARGETS), help="targets, separated by commas")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        fuzz(given.one, given.corpus, given.seconds)
        return 0
    names = given.only.split(",")
    each = max(1, given.seconds // len(names))
    found = []
    for name in names:
        command = [sys.executable, __file__, "--one", name, "--seconds", str(each), "--corpus", str(given.corpus)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        runs = next(
            (part.split()[-1] for part in done.stderr.splitlines() if "number_of_executed_units" in part), "?"
        )
        print(f"{name:<18}{runs:>12} inputs  {'ok' if not done.returncode else 'FOUND SOMETHING'}", flush=True)
        if done.returncode:
            found.append(name)
            print(done.stderr[-4000:])
    print(f"{len(found)} of {len(names)} targets found something.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
