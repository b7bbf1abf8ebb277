"""A run as an RO-Crate: the profile's validator and the library ``rocrate`` take it, and nothing leaks into it."""

from __future__ import annotations

import importlib.resources
import io
import json
import os
import zipfile
from datetime import UTC, datetime
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import pytest
from export_records import sha, with_files

from dissmodel_lab import RunStore, run
from dissmodel_lab.annotations import annotate
from dissmodel_lab.errors import ExportError
from dissmodel_lab.executor import DataSource, ExperimentRecord, ModelExecutor
from dissmodel_lab.executor.schemas import Provenance
from dissmodel_lab.exports import crate_files, ro_crate
from dissmodel_lab.exports.crate_entities import PROFILE
from dissmodel_lab.exports.crate_files import files_of, safe_file_name
from dissmodel_lab.exports.crate_place import coverage_of
from dissmodel_lab.exports.ro_crate import export_ro_crate
from dissmodel_lab.provenance import Caller
from dissmodel_lab.settings import Author, Settings

ANA = Settings(
    author=Author(name="Ana <Souza>", orcid="0000-0002-1825-0097", affiliation="INPE", email="ana@inpe.br"),
    license="CC-BY-4.0",
)


def entities(crate: Path) -> dict[str, dict]:
    if crate.is_dir():
        text = (crate / "ro-crate-metadata.json").read_text(encoding="utf-8")
    else:
        with zipfile.ZipFile(crate) as archive:
            text = archive.read("ro-crate-metadata.json").decode()
    return {entity["@id"]: entity for entity in json.loads(text)["@graph"]}


def action_of(crate: Path) -> dict:
    return next(entity for entity in entities(crate).values() if entity["@type"] == "CreateAction")


@pytest.fixture
def flood(workspace):
    """A real run, with a cell, tags and a note."""
    record = run(
        "coastal_flood",
        parameters={"end_year": 2025},
        store="runs",
        caller=Caller(cell_source="%dissmodel run coastal_flood --end_year 2025"),
    )
    annotate(record.record_path, tags=["paper", "açaí"], note="Figure <3>.")
    return record


@pytest.fixture
def made(workspace):
    """A record of files that lie about, without a run."""

    return partial(with_files, workspace)


# The validator of the profile, without a network


@pytest.fixture(scope="session")
def context_of_crates(tmp_path_factory):
    """The validator's own cache with the one page it asks the web for, the context of RO-Crate."""
    requests_cache = pytest.importorskip("requests_cache")
    from requests.adapters import HTTPAdapter
    from urllib3 import HTTPResponse

    # rocrate ships the context of RO-Crate 1.3. What a crate of 1.1 may use of it: all but this, which is newer.
    context = json.loads(importlib.resources.files("rocrate").joinpath("data/ro-crate.jsonld").read_text("utf-8"))
    context["@context"].pop("sha256")
    page = json.dumps(context).encode()

    class Web(HTTPAdapter):
        def send(self, request, **_):
            headers = {"Content-Type": "application/ld+json"}
            raw = HTTPResponse(io.BytesIO(page), headers=headers, status=200, preload_content=False)
            return self.build_response(request, raw)

    cache = tmp_path_factory.mktemp("validator") / "http"
    with requests_cache.CachedSession(str(cache), backend="sqlite", expire_after=-1) as session:
        session.mount("https://", Web())
        session.get("https://w3id.org/ro/crate/1.1/context")
    return cache


@pytest.fixture
def problems_of(context_of_crates):
    """What the validator of Process Run Crate 0.5 says of a crate, at the level REQUIRED."""
    services = pytest.importorskip("rocrate_validator.services")
    from rocrate_validator.models import Severity

    def validate(crate: Path) -> list[str]:
        settings = services.ValidationSettings(
            rocrate_uri=str(crate),
            profile_identifier="process-run-crate",
            requirement_severity=Severity.REQUIRED,
            offline=True,
            cache_path=context_of_crates,
        )
        result = services.validate(settings)
        assert result.executed_checks, "the validator has looked at nothing"
        return [f"{issue.check.identifier}: {issue.message}" for issue in result.get_issues()]

    return validate


def test_the_validator_finds_nothing_wrong_with_a_folder(flood, problems_of):
    assert problems_of(export_ro_crate(flood, "crate", settings=ANA)) == []


def test_the_validator_finds_nothing_wrong_with_a_zip_of_another_model(workspace, problems_of):
    record = run("game_of_life", parameters={"generations": 3}, store="runs")
    assert problems_of(export_ro_crate(record, "life.zip")) == []


def test_the_validator_finds_nothing_wrong_with_a_failed_run(workspace, problems_of):
    with pytest.raises(Exception, match="end_year must be later"):
        run("coastal_flood", parameters={"end_year": 1950}, store="runs")
    crate = export_ro_crate(RunStore("runs").read("last"), "failed", settings=ANA)
    assert problems_of(crate) == []
    action = action_of(crate)
    assert action["actionStatus"] == "http://schema.org/FailedActionStatus"
    assert action["error"].startswith("ParameterError: end_year must be later than start_year")
    assert "It failed in phase validate." in action["description"]
    assert action["result"] == {"@id": "#metric-time_total_sec"}


def test_the_validator_notices_a_crate_without_what_it_needs(flood, problems_of):
    crate = export_ro_crate(flood, "crate")
    path = crate / "ro-crate-metadata.json"
    document = json.loads(path.read_text())
    document["@context"] = document["@context"][0]  # without sha256
    for entity in document["@graph"]:
        entity.pop("instrument", None)
    path.write_text(json.dumps(document))
    text = " ".join(problems_of(crate))
    assert "The Action MUST have an instrument property" in text
    assert '"sha256" are not allowed in the compacted format' in text


# What is in it


@pytest.mark.parametrize("name", ["crate", "crate.zip"])
def test_rocrate_opens_it_and_finds_everything(flood, name):
    from rocrate.rocrate import ROCrate

    opened = ROCrate(export_ro_crate(flood, name, settings=ANA))
    assert opened.root_dataset["name"] == "Run of coastal_flood: end_year=2025"
    assert opened.root_dataset["conformsTo"].id == PROFILE
    assert opened.root_dataset["license"].id == "https://spdx.org/licenses/CC-BY-4.0"
    assert opened.root_dataset["keywords"] == ["paper", "açaí"]
    assert opened.root_dataset["comment"]["text"] == "Figure <3>."
    author = opened.root_dataset["author"]
    assert (author.id, author["name"], author["email"]) == (
        "https://orcid.org/0000-0002-1825-0097",
        "Ana <Souza>",
        "ana@inpe.br",
    )
    assert author["affiliation"]["name"] == "INPE"
    action = opened.root_dataset["mentions"]
    assert action["startTime"] == flood.started_at.isoformat(timespec="milliseconds")
    assert action["endTime"] == flood.ended_at.isoformat(timespec="milliseconds")
    assert action["actionStatus"] == "http://schema.org/CompletedActionStatus"
    tool = action["instrument"]
    assert (tool["name"], tool["softwareVersion"]) == ("coastal_flood", flood.code_version)
    assert tool["identifier"] == "dissmodel_lab.models.coastal_flood:CoastalFlood"
    versions = {part["name"]: part["softwareVersion"] for part in tool["softwareRequirements"]}
    assert versions == flood.provenance.versions
    values = {part["name"]: (part["value"], part.get("unitText")) for part in action["object"] if part.type != "File"}
    assert values["sea_level_rise"] == (5.0, "m")
    assert set(values) == set(flood.parameters)
    metrics = {part["name"]: part["value"] for part in action["result"] if part.type != "File"}
    assert metrics["flooded_cells"] == flood.metrics["flooded_cells"]
    source = opened.get("input/strait_of_georgia.tif")
    assert (source["sha256"], source["encodingFormat"]) == (flood.source.checksum, "image/tiff")
    assert opened.get("output/output.tif")["sha256"] == flood.output_sha256
    assert opened.root_dataset["spatialCoverage"]["geo"]["box"] == "48.005437 -125.999974 49.995113 -121.999935"


def test_every_file_is_what_the_metadata_says(flood):
    crate = export_ro_crate(flood, "crate")
    files = {name: entity for name, entity in entities(crate).items() if entity["@type"] == "File"}
    there = {path.relative_to(crate).as_posix() for path in crate.rglob("*") if path.is_file()}
    assert there == set(files) | {"ro-crate-metadata.json", "ro-crate-preview.html"}
    for name, entity in files.items():
        content = (crate / name).read_bytes()
        assert (entity["sha256"], entity["contentSize"]) == (sha(content), str(len(content)))
    assert (crate / "cell.py").read_text() == "%dissmodel run coastal_flood --end_year 2025\n"


def test_folder_and_zip_hold_the_same(flood):
    folder, archive = export_ro_crate(flood, "crate", settings=ANA), export_ro_crate(flood, "crate.zip", settings=ANA)
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        inside = {name: opened.read(name) for name in opened.namelist()}
    beside = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    date = '"datePublished"'
    for files in (inside, beside):
        text = files["ro-crate-metadata.json"].decode()
        files["ro-crate-metadata.json"] = [line for line in text.splitlines() if date not in line]
    assert inside == beside


def test_nothing_of_a_folder_called_none_gets_into_a_zip(made, workspace):
    (workspace / "None").mkdir()
    (workspace / "None" / "private.txt").write_text("a secret")
    with zipfile.ZipFile(export_ro_crate(made(), "crate.zip")) as archive:
        assert not [name for name in archive.namelist() if "private" in name]


def test_without_settings_the_user_is_the_author_and_no_licence_is_said(made, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    crate = export_ro_crate(made(provenance=Provenance(user="bia")), "crate")
    found = entities(crate)
    assert found["./"]["author"] == {"@id": "#user-bia"}
    assert found["#user-bia"]["name"] == "bia"
    assert found["./"]["license"] == {"@id": "#no-licence"}
    assert found["#no-licence"]["description"] == (
        "Nobody gave a licence for what is in this crate. Ask its author before you use or share it."
    )


def test_the_settings_beside_the_store_are_read(flood, workspace):
    (workspace / "dissmodel-lab.toml").write_text('[author]\nname = "Ana"\n[export]\nlicense = "MIT"')
    found = entities(export_ro_crate(flood, "crate"))
    assert found["#author"]["name"] == "Ana"
    assert found["./"]["license"] == {"@id": "https://spdx.org/licenses/MIT"}


def test_who_ran_it_is_not_taken_for_who_exports_it(made):
    crate = export_ro_crate(made(provenance=Provenance(user="somebody-else")), "crate", settings=ANA)
    assert entities(crate)["./"]["author"] == {"@id": "https://orcid.org/0000-0002-1825-0097"}
    assert action_of(crate)["agent"] == {"@id": "#user-somebody-else"}


def test_a_cancelled_run_says_so(made):
    action = action_of(export_ro_crate(made(status="cancelled", failed_phase="run", artifacts={}), "crate"))
    assert (action["actionStatus"], action["error"]) == (
        "http://schema.org/FailedActionStatus",
        "The run was cancelled.",
    )


def test_a_run_that_never_ended_claims_no_status(made):
    action = action_of(export_ro_crate(made(status="running", artifacts={}), "crate"))
    assert "actionStatus" not in action
    assert "endTime" not in action
    assert action["description"].endswith("the run had not ended, or its process is gone.")


def test_a_record_of_pypi_dissmodel_is_enough(workspace):
    (workspace / "grid.gpkg").write_bytes(b"grid")
    record = ExperimentRecord.model_validate(
        {
            "experiment_id": "7f",
            "created_at": "2026-01-02T03:04:05",
            "model_name": "old",
            "source": {"type": "local", "uri": "grid.gpkg", "checksum": sha(b"grid")},
            "artifacts": {"output": "0" * 64},
            "output_path": "gone.tif",
            "status": "completed",
        }
    )
    found = entities(export_ro_crate(record, "crate"))
    assert found["input/grid.gpkg"]["encodingFormat"] == "application/geopackage+sqlite3"
    assert found["#artifact-output"]["description"] == (
        "The main output of the run. Not in this crate: it was not found when the crate was written."
    )
    assert found["#artifact-output"]["sha256"] == "0" * 64


def test_verdicts_of_reruns_go_with_it(made):
    rerun = ExperimentRecord(experiment_id="../b1", verdict={"kind": "identical", "of": "a1"})
    crate = export_ro_crate(made(), "crate", verdicts=[rerun])
    (name,) = [name for name in entities(crate) if name.startswith("verdicts/")]
    assert name == "verdicts/b1.record.json"
    assert entities(crate)[name]["description"].endswith("its verdict: identical.")
    assert ExperimentRecord.model_validate_json((crate / name).read_bytes()).verdict == rerun.verdict


def test_the_verdict_of_a_rerun_is_told(made):
    action = action_of(export_ro_crate(made(verdict={"kind": "same content", "figures": [{"cells": 0}]}), "crate"))
    assert {"@id": "#verdict-kind"} in action["result"]


# Which files go in


def test_only_files_that_are_as_recorded_go_in(made, workspace):
    record = made()
    (workspace / "out.txt").write_text("edited")
    (workspace / "dem.csv").write_text("z\n2\n")
    crate = export_ro_crate(record, "crate")
    assert not (crate / "output").exists()
    assert not (crate / "input").exists()
    assert entities(crate)["#input-input"]["description"] == (
        "The input of the run. Not in this crate: it has changed since the run: what is there now is not what the "
        "record names."
    )


def test_a_record_from_elsewhere_cannot_fetch_a_private_file(made, workspace):
    (workspace / "id_rsa").write_text("PRIVATE KEY")
    record = made(
        source=DataSource(uri="id_rsa"),
        artifacts={"output": "0" * 64, "key": ""},
        artifact_paths={"output": "id_rsa", "key": str(workspace / "id_rsa")},
        parameters={"path": "id_rsa"},
        parameter_files={"path": "1" * 64},
    )
    crate = export_ro_crate(record, "crate")
    assert not [path for path in crate.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (DataSource(type="s3", uri="s3://key:pw@bucket/x.tif", checksum="ab"), "lies elsewhere"),
        (DataSource(type="http", uri="https://host/x.tif?token=s3cr3t", checksum="ab"), "lies elsewhere"),
        (DataSource(uri="synthetic"), "was made by the model itself"),
        (DataSource(uri="gone.tif", checksum="ab"), "was not found when the crate was written"),
    ],
)
def test_inputs_that_are_not_copied_are_named(made, source, why):
    crate = export_ro_crate(made(source=source), "crate")
    assert f"Not in this crate: it {why}" in entities(crate)["#input-input"]["description"]
    assert "pw@" not in (crate / "ro-crate-metadata.json").read_text()
    assert "s3cr3t" not in (crate / "record.json").read_text()


def test_large_inputs_and_unwanted_ones_are_left_out(made):
    large = entities(export_ro_crate(made(), "large", largest_input=3))
    assert large["#input-input"]["description"].endswith("it is too large to be copied: 4 bytes, 3 are allowed.")
    assert large["#input-input"]["sha256"] == sha(b"z\n1\n")
    unwanted = entities(export_ro_crate(made(), "unwanted", with_input=False))
    assert unwanted["#input-input"]["description"].endswith("it was left out, as was asked.")
    assert "output/out.txt" in unwanted


def test_files_that_parameters_name_go_in(made, workspace):
    (workspace / "maps").mkdir()
    (workspace / "maps" / "a.csv").write_text("a")
    (workspace / "a.csv").write_text("b")
    record = made(
        parameters={"maps": [{"path": "maps/a.csv"}], "demand": "a.csv"},
        parameter_files={"maps[0].path": sha(b"a"), "demand": sha(b"b"), "gone": "ff"},
    )
    crate = export_ro_crate(record, "crate")
    assert {path.name: path.read_text() for path in (crate / "parameters").iterdir()} == {
        "a.csv": "a",
        "a-2.csv": "b",
    }
    assert {"@id": "parameters/a-2.csv"} in action_of(crate)["object"]


def test_a_shapefile_takes_its_other_files_with_it(made, workspace):
    for ending in (".shp", ".dbf", ".prj", ".secret"):
        (workspace / f"grid{ending}").write_text(ending)
    crate = export_ro_crate(made(source=DataSource(uri="grid.shp", checksum=sha(b".shp"))), "crate")
    assert sorted(path.name for path in (crate / "input").iterdir()) == ["grid.dbf", "grid.prj", "grid.shp"]


def test_outputs_that_are_folders(made, workspace):
    tiles = workspace / "tiles" / "deep"
    tiles.mkdir(parents=True)
    (tiles / "a b.txt").write_text("a")
    (tiles / "ç.txt").write_text("")
    from dissmodel_lab.sources import folder_sha256

    checksum = folder_sha256(workspace / "tiles")
    record = made(output_path="tiles", artifacts={"output": checksum})
    for name in ("crate", "crate.zip"):
        crate = export_ro_crate(record, name)
        folder = entities(crate)["output/tiles/"]
        assert (folder["@type"], folder["sha256"]) == ("Dataset", checksum)
        assert folder["hasPart"] == [{"@id": "output/tiles/deep/a%20b.txt"}, {"@id": "output/tiles/deep/%C3%A7.txt"}]
    assert folder_sha256(Path("crate/output/tiles")) == checksum
    with zipfile.ZipFile("crate.zip") as archive:
        assert {"output/tiles/deep/a b.txt", "output/tiles/deep/ç.txt"} <= set(archive.namelist())


def test_names_that_no_other_system_takes(made, workspace):
    odd = workspace / "a:b?\n<i>.txt"
    odd.write_text("flooded")
    crate = export_ro_crate(made(output_path=str(odd)), "crate")
    assert [path.name for path in (crate / "output").iterdir()] == ["a-b-i-.txt"]


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("flood.tif", "flood.tif"),
        ("../../etc/passwd", "-..-etc-passwd"),
        ("C:\\x", "C-x"),
        ("CON.txt", "_CON.txt"),
        (" . ", "file"),
        (".bashrc", "bashrc"),
        ("a" * 300 + ".tif", "a" * 116 + ".tif"),
        ("a\u202egpj.exe", "a-gpj.exe"),
        ("x\ud800.tif", "x-.tif"),
    ],
)
def test_safe_names(name, safe):
    assert safe_file_name(name) == safe


def test_a_link_is_copied_as_the_file_it_means(made, workspace):
    (workspace / "real.csv").write_text("z\n1\n")
    (workspace / "link.csv").symlink_to("real.csv")
    crate = export_ro_crate(made(source=DataSource(uri="link.csv", checksum=sha(b"z\n1\n"))), "crate")
    copy = crate / "input" / "link.csv"
    assert copy.read_text() == "z\n1\n"
    assert not copy.is_symlink()


# Secrets and untrusted texts


def test_no_secret_gets_in(made, workspace):
    record = made(
        parameters={"api_key": "s3cr3t-1"},
        logs=["password=s3cr3t-2"],
        provenance=Provenance(cell_source="run(token='s3cr3t-3')", user="ana"),
        error="https://ana:s3cr3t-4@host/x failed",
        status="failed",
    )
    store = workspace / "runs"
    store.mkdir()
    record._record_path = store / "record.json"
    record._record_path.write_text("{}")
    annotations = store / "annotations.jsonl"
    lines = ['{"note": "token=s3cr3t-5", "tags": ["secret=s3cr3t-6"]}', "no json", "[1]", '{"note": "cut off']
    annotations.write_text("\n".join(lines))
    crate = export_ro_crate(record, "crate")
    export_ro_crate(record, "crate.zip")
    for path in crate.rglob("*"):
        assert not path.is_file() or "s3cr3t" not in path.read_text(encoding="utf-8"), path
    with zipfile.ZipFile("crate.zip") as archive:
        assert not [name for name in archive.namelist() if b"s3cr3t" in archive.read(name)]
    assert (crate / "annotations.jsonl").read_text() == '{"note": "token=***", "tags": ["secret=***"]}\n'


class _Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen = set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.seen.update(name for name, _ in attrs)


def test_texts_of_models_are_escaped_on_the_page(made):
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    record = made(
        model_name=evil,
        parameters={evil: evil},
        metrics={evil: evil},
        logs=[evil],
        error=evil,
        status="failed",
        failed_phase=evil,
        provenance=Provenance(executor_class=evil, cell_source=evil, versions={evil: evil}),
    )
    settings = Settings(author=Author(name=evil, affiliation=evil), license="MIT")
    page = (export_ro_crate(record, "crate", settings=settings) / "ro-crate-preview.html").read_text()
    tags = _Tags()
    tags.feed(page)
    assert not tags.seen & {"script", "img", "onerror", "src"}
    assert page.count("&lt;script&gt;") >= 10


def test_the_report_stands_on_the_page(made):
    crate = export_ro_crate(made(), "part", preview_html="<p>THE REPORT</p>", settings=ANA)
    page = (crate / "ro-crate-preview.html").read_text()
    assert "<p>THE REPORT</p>" in page
    assert 'By <a href="https://orcid.org/0000-0002-1825-0097">Ana &lt;Souza&gt;</a>, INPE.' in page
    assert "output/out.txt" in page
    whole = "<!DOCTYPE html><title>x</title>"
    assert (export_ro_crate(made(), "w", preview_html=whole) / "ro-crate-preview.html").read_text() == whole


def test_odd_values_make_valid_json(made):
    odd = {"nan": float("nan"), "big": 10**30, "none": None, "empty": "", "when": datetime(2026, 1, 2, tzinfo=UTC)}
    crate = export_ro_crate(made(parameters={**odd, "a": {"b": (1, 2)}, "lone": "\ud800", 3: True}), "crate")
    text = (crate / "ro-crate-metadata.json").read_text(encoding="utf-8")
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    values = {name: entity.get("value") for name, entity in entities(crate).items() if name.startswith("#parameter")}
    assert values["#parameter-nan"] == "nan"
    assert values["#parameter-big"] == str(10**30)
    assert (values["#parameter-none"], values["#parameter-empty"]) == ("null", "")
    assert values["#parameter-when"].startswith("2026-01-02")
    assert (values["#parameter-a"], values["#parameter-3"]) == ('{"b": [1, 2]}', True)


# All or nothing


@pytest.mark.parametrize("name", ["taken", "taken.zip"])
def test_nothing_is_ever_replaced(made, workspace, name):
    (workspace / name).write_text("mine")
    with pytest.raises(ExportError) as caught:
        export_ro_crate(made(), name)
    assert str(caught.value) == f"'{name}' exists and is never replaced. Choose another --output, or move it away."
    assert (workspace / name).read_text() == "mine"


@pytest.mark.parametrize("name", ["crate", "crate.zip"])
def test_a_failure_leaves_nothing(made, workspace, name, monkeypatch):
    record = made()

    def write_half(crate, temporary, *, is_zip):
        if is_zip:
            temporary.write_bytes(b"half")
        else:
            (temporary / "half").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ro_crate, "_write", write_half)
    before = sorted(workspace.iterdir())
    with pytest.raises(ExportError, match=r"cannot be written: No space left on device\. Nothing is left of it\."):
        export_ro_crate(record, name)
    assert sorted(workspace.iterdir()) == before


@pytest.mark.parametrize("name", ["crate", "crate.zip"])
def test_a_file_that_changes_meanwhile_is_noticed(made, workspace, name, monkeypatch):
    record, write = made(), ro_crate._write

    def write_and_edit(crate, temporary, *, is_zip):
        (workspace / "out.txt").write_text("edited since")
        write(crate, temporary, is_zip=is_zip)

    monkeypatch.setattr(ro_crate, "_write", write_and_edit)
    with pytest.raises(ExportError, match=r"out.txt' changed while it was exported. Nothing is left of the crate."):
        export_ro_crate(record, name)
    assert not (workspace / name).exists()
    assert not list(workspace.glob(".*"))


def test_without_the_library_it_is_said(made, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "dissmodel_lab.exports.crate_entities", None)
    with pytest.raises(ExportError, match="An export as 'ro-crate' needs the library 'rocrate'"):
        export_ro_crate(made(), "crate")


def test_a_large_file_never_stands_in_memory(made, workspace):
    import tracemalloc

    size = 64 * 1024 * 1024
    with (workspace / "large.bin").open("wb") as file:
        file.truncate(size)
    record = made(output_path="large.bin", artifacts={"output": sha(bytes(size))})
    export_ro_crate(made(), "warm.zip")
    tracemalloc.start()
    try:
        export_ro_crate(record, "crate")
        export_ro_crate(record, "crate.zip")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < size / 4
    assert os.path.getsize("crate/output/large.bin") == size


def test_the_executor_in_a_cell_points_to_the_cell(workspace):
    class Cell(ModelExecutor):
        name = "in_a_cell"

        def load(self, record):
            return 1

        def run(self, data, record):
            return "text"

        def save(self, result, record):
            Path(record.output_path).write_text(result)

    record = run(Cell, store="runs", caller=Caller(cell_source="class Cell: ..."))
    record.provenance.executor_class = "__main__:Cell"
    found = entities(export_ro_crate(record, "crate"))
    assert found["#executor"]["description"].endswith("It was defined in the notebook: see cell.py.")


def test_files_of_say_why_they_are_left_out(made):
    files = files_of(made(artifacts={"report": "ab"}), with_input=False)
    assert [(file.name, file.absent) for file in files] == [
        ("input", "was left out, as was asked."),
        ("report", "has no path in the record."),
    ]


def test_maps_that_lie_nowhere_have_no_coverage(workspace):
    (workspace / "broken.tif").write_bytes(b"II*\0")
    assert [coverage_of(Path(name)) for name in ("broken.tif", "gone.gpkg", "a.txt")] == ["", "", ""]


def test_vector_maps_have_a_coverage(workspace):
    import geopandas
    import shapely

    frame = geopandas.GeoDataFrame(geometry=[shapely.box(500_000, 9_000_000, 510_000, 9_010_000)], crs="EPSG:31983")
    frame.to_file("grid.gpkg")
    south, west, north, east = map(float, coverage_of(Path("grid.gpkg")).split())
    assert (round(south, 2), round(west, 2), round(north, 2), round(east, 2)) == (-9.05, -45.0, -8.96, -44.91)


def test_formats_are_known_by_their_endings():
    assert crate_files.format_of("a.parquet") == "application/vnd.apache.parquet"
    assert crate_files.format_of("a.html") == "text/html"


@pytest.mark.parametrize("said", ["/", "/proc", "/proc/kcore", "/dev/zero"])
def test_a_record_that_names_the_whole_machine_stops_no_export(made, said):
    record = made(artifacts={"output": "ab" * 32}, artifact_paths={"output": said}, output_path=said)
    absent = next(file.absent for file in files_of(record) if file.role == "artifact")
    assert absent in {
        "could not be read: it is neither a file nor a folder.",
        "could not be read: it is a folder of more than 20,000 files.",
        "was not found when the crate was written.",
    }
