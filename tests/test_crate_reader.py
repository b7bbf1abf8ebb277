"""Crates back into a store: the same run comes out of them, and nothing that somebody may have put into them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import stat
import struct
import time
import zipfile
from functools import partial
from pathlib import Path

import pytest
from export_records import sha, with_files
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dissmodel_lab import RunStore, read_record, run
from dissmodel_lab.annotations import annotate, read_annotations
from dissmodel_lab.errors import ExportError
from dissmodel_lab.executor import DataSource, ExperimentRecord
from dissmodel_lab.exports import crate_archive, crate_reader
from dissmodel_lab.exports.crate_archive import CrateLimits
from dissmodel_lab.exports.crate_files import files_of
from dissmodel_lab.exports.crate_reader import import_crate
from dissmodel_lab.exports.ro_crate import export_ro_crate
from dissmodel_lab.settings import read_settings
from dissmodel_lab.sources import file_sha256, folder_sha256

METADATA = "ro-crate-metadata.json"


def left_in(store: str) -> list[str]:
    """What is in a store, but for its index."""
    root = Path(store)
    return sorted(path.name for path in root.iterdir() if not path.name.startswith(".index")) if root.exists() else []


def without_import(record: ExperimentRecord) -> dict:
    return {name: value for name, value in record.model_dump(mode="json").items() if name != "imported"}


@pytest.fixture
def made(workspace):
    """A record of files that lie about, without a run."""

    return partial(with_files, workspace)


@pytest.fixture
def crate(made):
    """A crate, as a folder."""
    return export_ro_crate(made(), "crate")


def edit(crate: Path, change) -> Path:
    """Change a folder crate's metadata."""
    path = crate / METADATA
    document = json.loads(path.read_text(encoding="utf-8"))
    change({entity["@id"]: entity for entity in document["@graph"]}, document)
    path.write_text(json.dumps(document), encoding="utf-8")
    return crate


def refused(path, **options) -> str:
    """Import what must be refused; nothing may be left. Return the message."""
    with pytest.raises(ExportError) as caught:
        import_crate(path, "yours", **options)
    assert left_in("yours") == []
    return str(caught.value)


def zipped(name: str, members: dict[str, bytes] | list, **options) -> Path:
    with zipfile.ZipFile(name, "w", **options) as archive:
        for member, content in members.items() if isinstance(members, dict) else members:
            archive.writestr(member, content)
    return Path(name)


def bare(*entities: dict, root: dict | None = None) -> bytes:
    """The metadata of a crate that another program wrote."""
    graph = [
        {"@id": METADATA, "@type": "CreativeWork", "about": {"@id": "./"}},
        {"@id": "./", "@type": "Dataset", "name": "Theirs", "datePublished": "2024-05-06", **(root or {})},
        *entities,
    ]
    return json.dumps({"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": graph}).encode()


# The same run comes out


@pytest.mark.parametrize("name", ["crate", "crate.zip"])
def test_a_real_run_goes_there_and_back(workspace, name):
    record = run("coastal_flood", parameters={"end_year": 2025}, store="mine")
    annotate(record.record_path, tags=["paper"], note="Figure 3.")
    imported = import_crate(export_ro_crate(record, name), "yours")
    assert (imported.is_new, imported.notes) == (True, ())
    back = read_record(imported.record_path)
    assert without_import(back) == without_import(read_record(record.record_path))
    assert imported.record_path.parent.name == record.record_path.parent.name
    assert sha(back.artifact_path().read_bytes()) == record.output_sha256
    assert back.artifact_path().parent == imported.record_path.parent
    source = back.carried_path(record.source.uri)
    assert source == imported.record_path.parent / record.source.uri
    assert file_sha256(source) == record.source.checksum
    assert read_annotations(imported.record_path) == read_annotations(record.record_path)
    (entry,) = RunStore("yours").entries()
    assert (entry.experiment_id, entry.status) == (record.experiment_id, "completed")


def test_an_imported_run_is_exported_and_imported_again(workspace):
    record = run("game_of_life", parameters={"generations": 2}, store="mine")
    first = read_record(import_crate(export_ro_crate(record, "one.zip"), "yours").record_path)
    shutil.rmtree("mine")
    assert [file.absent for file in files_of(first)] == ["", ""]
    second = read_record(import_crate(export_ro_crate(first, "two"), "theirs").record_path)
    assert without_import(second) == without_import(record)
    assert file_sha256(second.carried_path(record.source.uri)) == record.source.checksum


def test_an_imported_run_is_verified_and_run_again(workspace):
    from dissmodel_lab.verification import rerun, verify

    record = run("game_of_life", parameters={"generations": 2}, store="mine")
    crate = export_ro_crate(record, "crate.zip")
    shutil.rmtree("mine")
    back = read_record(import_crate(crate, "yours").record_path)
    states = {check.item: check.state for check in verify(back, "yours").checks}
    assert states == {"record": "ok", "input": "ok", "artifact output": "ok"}
    folder = back.record_path.parent
    verdict = rerun(back, store="yours", base_folder=folder, twice=False)
    assert (verdict.kind, verdict.of) == ("identical", record.experiment_id)
    (folder / "mine" / "inputs" / "life_gosper_gun.tif").write_bytes(b"edited")
    assert {check.item: check.state for check in verify(back, "yours").checks}["input"] == "changed"


def test_a_failed_run_goes_there_and_back(workspace):
    with pytest.raises(Exception, match="end_year must be later"):
        run("coastal_flood", parameters={"end_year": 1950}, store="mine")
    record = RunStore("mine").read("last")
    back = read_record(import_crate(export_ro_crate(record, "crate.zip"), "yours").record_path)
    assert without_import(back) == without_import(record)
    assert (back.status, back.failed_phase) == ("failed", "validate")


def test_outputs_elsewhere_parameters_and_folders_come_along(made, workspace):
    (workspace / "tiles" / "deep").mkdir(parents=True)
    (workspace / "tiles" / "deep" / "a b.txt").write_text("a")
    (workspace / "tiles" / "ç.txt").write_text("")
    (workspace / "demand.csv").write_text("d")
    outside = workspace.parent / "elsewhere.txt"
    outside.write_text("flooded")
    record = made(
        parameters={"tables": [{"path": "demand.csv"}]},
        parameter_files={"tables[0].path": sha(b"d")},
        artifacts={"output": sha(b"flooded"), "tiles": folder_sha256(workspace / "tiles")},
        artifact_paths={"output": str(outside), "tiles": "tiles"},
    )
    for name in ("crate", "crate.zip"):
        imported = import_crate(export_ro_crate(record, name), f"yours-{name}")
        back = read_record(imported.record_path)
        folder = imported.record_path.parent
        assert imported.notes == ()
        assert without_import(back) == without_import(record)
        assert back.carried_path(str(outside)) == folder / "elsewhere.txt"
        assert (folder / "demand.csv").read_text() == "d"
        assert folder_sha256(folder / "tiles") == record.artifacts["tiles"]


def test_an_empty_folder_is_told_and_not_held(made, workspace):
    (workspace / "empty" / "er").mkdir(parents=True)
    crate = export_ro_crate(made(output_path="empty", artifacts={"output": sha(b"")}), "crate")
    assert not (crate / "output").exists()
    assert import_crate(crate, "yours").notes == (
        f"The crate does not hold the artifact output empty with the SHA-256 {sha(b'')}.",
    )


def test_a_shapefile_comes_with_its_other_files(made, workspace):
    for ending in (".shp", ".dbf", ".prj"):
        (workspace / f"grid{ending}").write_text(ending)
    crate = export_ro_crate(made(source=DataSource(uri="grid.shp", checksum=sha(b".shp"))), "crate.zip")
    folder = import_crate(crate, "yours").record_path.parent
    assert {path.name for path in folder.glob("grid.*")} == {"grid.dbf", "grid.prj", "grid.shp"}


def test_what_the_crate_does_not_hold_is_told(made):
    record = made(source=DataSource(type="s3", uri="s3://bucket/x.tif", checksum="ab" * 32), output_path="gone")
    imported = import_crate(export_ro_crate(record, "crate"), "yours")
    assert imported.notes == (
        f"The crate does not hold the input s3://bucket/x.tif with the SHA-256 {'ab' * 32}.",
        f"The crate does not hold the artifact output gone with the SHA-256 {sha(b'flooded')}.",
    )
    assert read_record(imported.record_path).imported["notes"] == list(imported.notes)


def test_verdicts_stay_in_the_crate_and_this_is_told(made):
    crate = export_ro_crate(made(), "crate", verdicts=[ExperimentRecord(verdict={"kind": "identical"})])
    assert import_crate(crate, "yours").notes == ("The crate also holds 1 records of reruns; they stay in it.",)
    assert len(RunStore("yours").entries()) == 1


def test_the_same_crate_twice_is_recognised(crate, workspace):
    first = import_crate(crate, "yours")
    folder = first.record_path.parent
    before = {path: path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))}
    second = import_crate(crate, "yours")
    assert (second.record_path, second.is_new) == (first.record_path, False)
    assert {path: path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))} == before
    assert left_in("yours") == [folder.name]


def test_a_crate_of_this_store_is_recognised(workspace):
    record = run("game_of_life", parameters={"generations": 2}, store="mine")
    imported = import_crate(export_ro_crate(record, "crate"), "mine")
    assert (imported.record_path.resolve(), imported.is_new) == (record.record_path.resolve(), False)


def test_another_record_with_its_id_is_never_replaced(made):
    record = made(experiment_id="a1" * 16)
    import_crate(export_ro_crate(record, "one"), "yours")
    before = left_in("yours")
    record.metrics["cells"] = 7
    with pytest.raises(ExportError) as caught:
        import_crate(export_ro_crate(record, "two"), "yours")
    assert str(caught.value).startswith(
        f"The store 'yours' holds another record with the id {'a1' * 16}, in 'yours/{before[0]}/record.json': one "
        "of the two was changed. Nothing is replaced."
    )
    assert left_in("yours") == before


def test_a_zip_of_the_folder_around_a_crate(crate):
    shutil.make_archive("around", "zip", ".", crate.name)
    assert import_crate("around.zip", "yours").is_new


def test_an_id_chooses_no_folder(made, workspace):
    record = made(experiment_id="../../x", model_name="../../../evil", artifact_paths={"output": "out.txt"})
    path = import_crate(export_ro_crate(record, "crate.zip"), "yours").record_path
    assert path.parent.parent == Path("yours")
    assert read_record(path).experiment_id == "../../x"
    assert import_crate("crate.zip", "yours").is_new is False


@pytest.mark.parametrize("said", ["../../evil.txt", "/tmp/evil.txt", "record.json", "a\\b.txt", ".room", "partial/x"])
def test_a_path_in_a_record_chooses_no_place(made, workspace, said):
    (workspace / "safe.txt").write_text("flooded")
    crate = export_ro_crate(made(output_path="safe.txt"), "crate")
    record = json.loads((crate / "record.json").read_text())
    record["artifact_paths"] = {"output": said}
    record["imported"] = {"files": [{"said": "x", "file": "../../../etc/passwd"}]}
    text = json.dumps(record).encode()
    (crate / "record.json").write_bytes(text)
    edit(crate, lambda known, _: known["record.json"].update(sha256=sha(text)))
    path = import_crate(crate, "yours").record_path
    (found,) = {item.name for item in path.parent.rglob("*") if item.is_file()} - {
        "record.json",
        "journal.jsonl",
        "dem.csv",
    }
    assert read_record(path).carried_path(said).name == found
    assert read_record(path).carried_path("x") is None
    assert (path.parent / "record.json").read_text().startswith("{")
    assert len(list(Path("yours").iterdir())) == len(list(Path("yours").glob(".index*"))) + 1


def test_a_crate_does_not_bring_settings(made, workspace):
    (workspace / "dissmodel-lab.toml").write_text('[author]\nname = "Somebody Else"')
    about = {"parameters": {"about": "dissmodel-lab.toml"}}
    checksum = file_sha256("dissmodel-lab.toml")
    crate = export_ro_crate(made(**about, parameter_files={"about": checksum}), "crate")
    (workspace / "dissmodel-lab.toml").unlink()
    path = import_crate(crate, "yours").record_path
    assert read_settings(path.parent).author is None
    assert file_sha256(read_record(path).carried_path("dissmodel-lab.toml")) == checksum


def test_carried_files_never_lie_outside_of_the_run(tmp_path):
    record = ExperimentRecord.model_validate(
        {"imported": {"files": [{"said": "a", "file": "../b"}, {"said": "c", "file": "/etc/passwd"}, 5, {"file": 1}]}}
    )
    record._record_path = tmp_path / "record.json"
    assert [record.carried_path(said) for said in ("a", "c", "d")] == [None, None, None]


# Crates of other programs


THEIRS = (
    {
        "@id": "#run",
        "@type": "CreateAction",
        "instrument": {"@id": "tool.py"},
        "agent": {"@id": "#bia"},
        "object": [{"@id": "data/in.csv"}, {"@id": "#rate"}, {"@id": "https://host/other.tif"}],
        "result": [{"@id": "out/map%20a.txt"}, {"@id": "#cells"}, {"@id": "tiles/"}],
        "startTime": "2024-05-06T07:08:09Z",
        "endTime": "2024-05-06T07:08:10+00:00",
        "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
    },
    {
        "@id": "tool.py",
        "@type": ["File", "SoftwareSourceCode"],
        "name": "Land model",
        "version": "3.2",
        "url": "https://h/m",
    },
    {"@id": "#bia", "@type": "Person", "name": "Bia"},
    {"@id": "data/in.csv", "@type": "File", "sha256": sha(b"input")},
    {"@id": "https://host/other.tif", "@type": "File"},
    {"@id": "#rate", "@type": "PropertyValue", "name": "rate", "value": 0.5},
    {"@id": "#cells", "@type": "PropertyValue", "name": "cells", "value": "17"},
    {"@id": "out/map%20a.txt", "@type": "File", "md5": hashlib.md5(b"map", usedforsecurity=False).hexdigest()},
    {"@id": "tiles/", "@type": "Dataset"},
)
THEIR_FILES = {
    METADATA: bare(*THEIRS, root={"mentions": {"@id": "#run"}}),
    "data/in.csv": b"input",
    "out/map a.txt": b"map",
    "tiles/1.txt": b"1",
    "tool.py": b"raise SystemExit('it was run')",
}


def test_a_crate_of_another_program_is_read_as_far_as_it_says(workspace):
    imported = import_crate(zipped("theirs.zip", THEIR_FILES), "yours")
    record = read_record(imported.record_path)
    assert (record.model_name, record.code_version, record.status) == ("Land model", "3.2", "completed")
    assert record.started_at.isoformat() == "2024-05-06T07:08:09+00:00"
    assert (record.parameters, record.metrics) == ({"rate": 0.5}, {"cells": "17"})
    assert record.provenance.user == "Bia"
    assert (record.source.uri, record.source.checksum) == ("data/in.csv", sha(b"input"))
    assert (imported.record_path.parent / "data" / "in.csv").read_bytes() == b"input"
    assert record.artifacts == {"output": sha(b"map"), "tiles": folder_sha256(imported.record_path.parent / "tiles")}
    assert record.artifact_path().read_bytes() == b"map"
    assert imported.notes == (
        (
            "The crate names no executor of dissmodel_lab, so the run cannot be repeated without --executor. The "
            "software is at https://h/m."
        ),
        "The run read 1 more files than the record's one source: https://host/other.tif.",
        "The crate does not hold the input https://host/other.tif.",
    )
    assert record.logs[0] == "This record was made from an RO-Crate of another program, theirs.zip."
    assert tuple(record.logs[1:]) == imported.notes
    assert (imported.record_path.parent / f"imported-{METADATA}").read_bytes() == THEIR_FILES[METADATA]
    assert import_crate("theirs.zip", "yours")._replace(notes=()) == imported._replace(is_new=False, notes=())


def test_a_failed_action_of_another_program():
    action = {
        "@id": "#r",
        "@type": "CreateAction",
        "actionStatus": "http://schema.org/FailedActionStatus",
        "error": "no",
    }
    record = read_record(import_crate(zipped("t.zip", {METADATA: bare(action)}), "yours").record_path)
    assert (record.status, record.error, record.model_name) == ("failed", "no", "unknown")
    assert record.created_at.isoformat() == "2024-05-06T00:00:00+00:00"


def test_what_another_program_leaves_out_is_told():
    imported = import_crate(zipped("t.zip", {METADATA: bare({"@id": "#r", "@type": "UpdateAction"})}), "yours")
    assert imported.notes == (
        "The crate does not say how the run ended.",
        "The crate does not say when the run began.",
        "The crate names no software (instrument).",
        "The crate names no executor of dissmodel_lab, so the run cannot be repeated without --executor.",
        "The crate names no input.",
        "The crate names no output.",
    )


def test_a_crate_without_a_run():
    imported = import_crate(zipped("t.zip", {METADATA: bare()}), "yours")
    assert read_record(imported.record_path).model_name == "Theirs"
    assert imported.notes == (
        "The crate describes no run (CreateAction): only its name and date are known, and none of its files.",
    )


def test_of_several_runs_the_one_that_the_root_mentions_first():
    actions = [{"@id": f"#{n}", "@type": "CreateAction", "instrument": {"@id": f"#t{n}"}} for n in range(3)]
    tools = [{"@id": f"#t{n}", "@type": "SoftwareApplication", "name": f"tool {n}"} for n in range(3)]
    content = bare(*actions, *tools, root={"mentions": [{"@id": "#2"}, {"@id": "#1"}]})
    imported = import_crate(zipped("t.zip", {METADATA: content}), "yours")
    assert read_record(imported.record_path).model_name == "tool 2"
    assert imported.notes[0] == "The crate describes 3 runs; this is the first, #2."


# Damaged and changed


@pytest.mark.parametrize("place", ["output/out.txt", "input/dem.csv", "record.json", "ro-crate-preview.html"])
def test_every_hash_that_a_crate_states_is_checked(crate, place):
    path = crate / place
    path.write_bytes(path.read_bytes() + b" ")
    if place == "ro-crate-preview.html":
        assert import_crate(crate, "yours").is_new  # nothing states its hash, and nothing of it is taken
        return
    message = refused(crate)
    assert message.startswith(
        f"{place} of the crate 'crate' was changed or damaged: its sha256 is {file_sha256(path)}, "
    )
    assert message.endswith("It is not imported. Get the crate again.")


def test_an_output_that_was_changed_with_its_stated_hash_is_noticed(crate):
    (crate / "output" / "out.txt").write_bytes(b"forged!")
    edit(crate, lambda known, _: known["output/out.txt"].update(sha256=sha(b"forged!")))
    assert refused(crate) == (
        "output/out.txt of the crate 'crate' is not what its record names: the output or the record was changed "
        "after the export. It is not imported."
    )


@pytest.mark.parametrize("place", ["output/out.txt", "input/dem.csv", "record.json"])
def test_a_file_that_got_lost_is_noticed(crate, place):
    (crate / place).unlink()
    message = f"{place} is missing from the crate 'crate', whose metadata names it. Get the crate again."
    assert refused(crate) == message


def test_hashes_under_quoted_names_and_other_algorithms_are_checked():
    files = {**THEIR_FILES, "out/map a.txt": b"other"}
    message = refused(zipped("theirs.zip", files))
    assert message.startswith("out/map a.txt of the crate 'theirs.zip' was changed or damaged: its md5 is ")


def test_a_hash_that_is_none_cannot_be_compared():
    file = {"@id": "a.txt", "@type": "File", "sha256": "base64=="}
    assert import_crate(zipped("t.zip", {METADATA: bare(file), "a.txt": b"a"}), "yours").is_new


def test_cut_off_zips(made):
    content = export_ro_crate(made(), "whole.zip").read_bytes()
    for size in (0, 1, 30, len(content) // 2, len(content) - 30, len(content) - 1):
        Path("cut.zip").write_bytes(content[:size])
        assert refused("cut.zip").startswith("The crate 'cut.zip' is no whole zip: ")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_zips_with_any_byte_changed_do_no_harm(made, data):
    if not Path("whole.zip").exists():
        export_ro_crate(made(), "whole.zip")
    content = bytearray(Path("whole.zip").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    Path("bent.zip").write_bytes(content)
    shutil.rmtree("bent", ignore_errors=True)
    try:
        path = import_crate("bent.zip", "bent").record_path
    except ExportError:
        assert left_in("bent") == []
    else:
        assert sha((path.parent / "out.txt").read_bytes()) == sha(b"flooded")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", f"{METADATA} of the crate 'c.zip' is no JSON: "),
        (b"{", f"{METADATA} of the crate 'c.zip' is no JSON: "),
        (b"\xff\xfe", f"{METADATA} of the crate 'c.zip' is no JSON: "),
        (b"[]", f"{METADATA} of the crate 'c.zip' has no @graph, a list of at most 200,000 entities."),
        (b'{"@graph": {}}', f"{METADATA} of the crate 'c.zip' has no @graph"),
        (b'{"@graph": []}', "The metadata of the crate 'c.zip' names no root dataset. It is no RO-Crate."),
        (
            b'{"@graph": [1, null, {"@id": 5}, {"@id": "x"}]}',
            "The metadata of the crate 'c.zip' names no root dataset.",
        ),
        (b"[" * 100_000, f"{METADATA} of the crate 'c.zip' is nested too deeply to be read."),
        (b'{"@graph": ' + b"9" * 10_000 + b"}", f"{METADATA} of the crate 'c.zip' is no JSON: Exceeds the limit"),
        (b'{"@graph": [' + b"1," * 200_000 + b"1]}", f"{METADATA} of the crate 'c.zip' has no @graph, a list of at"),
    ],
)
def test_metadata_that_is_none(content, message):
    assert refused(zipped("c.zip", {METADATA: content})).startswith(message)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"{", "record.json of the crate 'crate' holds no record: Invalid JSON"),
        (b"[" * 100_000, "record.json of the crate 'crate' holds no record: Invalid JSON"),
        (
            b'{"metrics": [1]}',
            "record.json of the crate 'crate' holds no record: Input should be an object (field metrics)",
        ),
        (b'{"experiment_id": ""}', "record.json of the crate 'crate' has the id ''."),
        (b'{"experiment_id": "a\\u202eb"}', "record.json of the crate 'crate' has the id 'a\\u202eb'."),
        (b'{"created_at": "0001-01-01T00:00:00+14:00"}', "record.json of the crate 'crate' holds no record: "),
    ],
)
def test_records_that_are_none(crate, record, message):
    (crate / "record.json").write_bytes(record)
    assert refused(crate).startswith(message)


def test_what_is_no_crate(workspace):
    (workspace / "empty").mkdir()
    (workspace / "text.zip").write_text("no zip at all, but long enough to be one at first sight")
    os.mkfifo("pipe")
    assert refused("gone") == "There is no crate 'gone'. Give a folder or a .zip."
    assert refused("a\0b") == "There is no crate 'a\\x00b'. Give a folder or a .zip."
    assert refused("empty").startswith(f"The crate 'empty' has no {METADATA}: it is no RO-Crate.")
    assert refused("text.zip").startswith("The crate 'text.zip' is no whole zip: it has no directory at its end.")
    assert refused("pipe") == "The crate 'pipe' is neither a file nor a folder. Give a folder or a .zip."


# Attacks


@pytest.mark.parametrize(
    "name",
    [
        "../evil.txt",
        "a/../../evil.txt",
        "/etc/evil.txt",
        "C:/evil.txt",
        "c:evil.txt",
        "..\\evil.txt",
        "\\\\host\\share\\evil.txt",
        "a//b.txt",
        "./a.txt",
        "a/./b.txt",
        "a\nb.txt",
        "a\x1b[31m.txt",
        "x" * 1_001,
        "/".join("d" * 60),
    ],
)
def test_names_that_lead_out_of_a_zip(workspace, name):
    member = zipfile.ZipInfo("placeholder")
    member.filename = name
    message = refused(zipped("evil.zip", [(METADATA, bare()), (member, b"evil")]))
    assert message.startswith("The crate 'evil.zip' holds a file called ")
    assert message.endswith("It is not imported.")
    assert not list(workspace.parent.rglob("evil.txt"))


def test_a_name_that_is_cut_at_a_nul(workspace):
    content = bytearray(zipped("evil.zip", {METADATA: bare(), "good.txtX..": b"x"}).read_bytes())
    Path("evil.zip").write_bytes(bytes(content).replace(b"good.txtX..", b"good.txt\0.."))
    assert "holds a file called 'good.txt\\x00..'" in refused("evil.zip")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_a_zip(kind):
    member = zipfile.ZipInfo("out/link")
    member.external_attr = (kind | 0o777) << 16
    assert refused(zipped("evil.zip", [(METADATA, bare()), (member, "/etc/passwd")])) == (
        "out/link of the crate 'evil.zip' is a link, a device or a pipe: it could lead anywhere. Only files and "
        "folders are allowed. It is not imported."
    )


@pytest.mark.parametrize("name", [METADATA, "output/out.txt", "output"])
def test_links_in_a_folder(crate, workspace, name):
    target = crate / name
    (workspace / "private").mkdir()
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink()
    target.symlink_to(workspace / "private")
    assert refused(crate).startswith(f"{name} of the crate 'crate' is a link, a device or a pipe")


def test_a_member_twice():
    with pytest.warns(UserWarning, match="Duplicate name"):
        zipped("evil.zip", [(METADATA, bare()), ("a.txt", b"one"), ("a.txt", b"two")])
    assert refused("evil.zip") == (
        "The crate 'evil.zip' holds a.txt twice, and programs do not agree which of the two counts. It is "
        "not imported."
    )


def test_a_member_that_lies_before_the_beginning():
    content = bytearray(zipped("evil.zip", {METADATA: bare()}).read_bytes())
    struct.pack_into("<L", content, content.rindex(b"PK\x05\x06") + 16, 2**31)  # where the directory begins
    Path("evil.zip").write_bytes(content)
    assert refused("evil.zip").startswith(f"{METADATA} of the crate 'evil.zip' is damaged: ")


def test_an_encrypted_member():
    content = bytearray(zipped("evil.zip", {METADATA: bare(), "a.txt": b"x"}).read_bytes())
    central = content.rindex(b"PK\x01\x02")
    content[central + 8] |= 1
    Path("evil.zip").write_bytes(content)
    assert refused("evil.zip") == "a.txt of the crate 'evil.zip' is encrypted. Unpack it yourself first."


def test_an_unusual_packing():
    assert refused(zipped("evil.zip", {METADATA: bare()}, compression=zipfile.ZIP_LZMA)) == (
        f"{METADATA} of the crate 'evil.zip' is packed by method 14. Allowed are stored and deflated (0 and 8). "
        "Unpack it yourself, and import the folder."
    )


def test_a_zip_bomb():
    zipped("evil.zip", {METADATA: bare(), "a.bin": bytes(4 * 1024**2)}, compression=zipfile.ZIP_DEFLATED)
    message = refused("evil.zip", limits=CrateLimits(ratio_from=1024**2))
    assert "would unpack to" in message
    assert "that is a zip bomb. Allowed are 200 times its packed size, and members that do not overlap." in message
    assert import_crate("evil.zip", "fine").is_new  # small enough to do no harm


def test_members_that_overlap():
    # David Fifield, "A better zip bomb" (2019): many members of the directory share one packed block.
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(METADATA, bare())
        archive.writestr("a.bin", b"x" * 5_000)
        kernel = archive.getinfo("a.bin")
        for number in range(50):
            copy = zipfile.ZipInfo(f"b{number}.bin")
            copy.header_offset, copy.compress_size, copy.file_size, copy.CRC = (
                kernel.header_offset,
                kernel.compress_size,
                kernel.file_size,
                kernel.CRC,
            )
            archive.filelist.append(copy)
            archive.NameToInfo[copy.filename] = copy
    Path("evil.zip").write_bytes(buffer.getvalue())
    assert "members that do not overlap" in refused("evil.zip")


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (CrateLimits(files=2), "The crate {} holds 5 files; 2 are allowed. Import it only if you trust it, with"),
        (CrateLimits(total_bytes=100), "bytes; 100 are allowed. Import it only if you trust it, with larger limits"),
        (CrateLimits(metadata_bytes=50), f"{METADATA} of the crate {{}} has "),
    ],
)
def test_limits_are_told(limits, message):
    message = message.format("'theirs.zip'")
    assert message in refused(zipped("theirs.zip", THEIR_FILES), limits=limits)


def test_folders_are_counted_before_they_are_read(workspace):
    (workspace / "many").mkdir()
    for number in range(20):
        (workspace / "many" / f"{number}.txt").write_text("x")
    assert refused("many", limits=CrateLimits(files=10)) == (
        "The crate 'many' holds more than the 10 files that are allowed. Import it only if you trust it, with "
        "larger limits: import_crate(path, limits=CrateLimits(...))."
    )


def test_a_directory_that_claims_to_be_huge():
    content = bytearray(zipped("evil.zip", {METADATA: bare()}).read_bytes())
    struct.pack_into("<L", content, content.rindex(b"PK\x05\x06") + 12, 2**31)
    Path("evil.zip").write_bytes(content)
    assert refused("evil.zip").startswith(
        "The crate 'evil.zip' says that its directory alone has 2,147,483,648 bytes"
    )


def test_more_bytes_than_a_member_says(monkeypatch):
    class Growing:
        names = {METADATA: 4}  # noqa: RUF012 -- a fake

        def open(self, name):
            return io.BytesIO(b"12345")

    crate = crate_archive.Crate(Growing(), CrateLimits(), Path("evil"))
    with pytest.raises(ExportError, match=r"is larger than it says \(4 bytes\), or more comes out than the"):
        crate.read(METADATA)


def test_one_file_as_a_thousand_outputs_is_limited_too(workspace):
    result = [{"@id": f"{'./' * n}a.bin"} for n in range(1, 2)] + [{"@id": "a.bin"}, {"@id": "a.bi%6E"}]
    action = {"@id": "#r", "@type": "CreateAction", "result": result}
    files = [{"@id": part["@id"], "@type": "File"} for part in result]
    crate = zipped("evil.zip", {METADATA: bare(action, *files), "a.bin": bytes(10_000)})
    assert "more comes out than the 25,000 bytes that are allowed" in refused(
        crate, limits=CrateLimits(total_bytes=25_000)
    )


def test_nothing_is_fetched_or_run(monkeypatch, workspace):
    import socket
    import subprocess

    def forbidden(*_, **__):
        pytest.fail("an import fetches and runs nothing")

    monkeypatch.setattr(socket.socket, "connect", forbidden)
    monkeypatch.setattr(subprocess, "Popen", forbidden)
    assert import_crate(zipped("theirs.zip", THEIR_FILES), "yours").is_new


@pytest.mark.parametrize(
    "said", ["../../secret.txt", "/etc/hostname", "file:///etc/hostname", "C:\\a", "%2e%2e/secret.txt"]
)
def test_identifiers_that_lead_out_of_a_crate_name_no_file(workspace, said):
    (workspace / "secret.txt").write_text("a secret")
    action = {"@id": "#r", "@type": "CreateAction", "object": [{"@id": said}], "result": [{"@id": said}]}
    imported = import_crate(zipped("c.zip", {METADATA: bare(action, {"@id": said, "@type": "File"})}), "yours")
    record = read_record(imported.record_path)
    assert record.artifacts == {}
    assert {path.name for path in imported.record_path.parent.iterdir()} == {
        "record.json", "journal.jsonl", f"imported-{METADATA}"
    }  # fmt: skip


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["./", "#run", METADATA]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["@id", "@type", "@value", "name", "value"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_properties_of_any_type_do_no_harm(made, data):
    if not Path("whole").exists():
        export_ro_crate(made(parameters={"rate": 0.5}), "whole")
    document = json.loads(Path("whole", METADATA).read_text(encoding="utf-8"))
    for _ in range(data.draw(st.integers(1, 5))):
        entity = data.draw(st.sampled_from(document["@graph"]))
        name = data.draw(
            st.sampled_from([*entity, "sha256", "about", "result", "object", "actionStatus", "mentions"])
        )
        entity[name] = data.draw(json_values)
    shutil.rmtree("bent", ignore_errors=True)
    shutil.copytree("whole", "bent")
    Path("bent", METADATA).write_text(json.dumps(document), encoding="utf-8")
    shutil.rmtree("yours", ignore_errors=True)
    try:
        path = import_crate("bent", "yours").record_path
    except ExportError:
        assert left_in("yours") == []
    else:
        assert read_record(path).status in ("completed", "failed", "pending")


# All or nothing


def test_a_full_disk_leaves_nothing(crate, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(crate_reader, "write_atomic", full)
    assert refused(crate) == (
        "The crate 'crate' cannot be kept in the store 'yours': No space left on device. Nothing of it is left "
        "there. Make room, or make the store writable, or choose another."
    )


def test_a_disk_without_room_is_noticed_before(crate, monkeypatch):
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=5))
    assert refused(crate) == ("The crate 'crate' needs 11 bytes, and the store's disk has 5 left. Make room first.")


def test_an_interrupt_leaves_nothing(crate, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(crate_reader, "write_atomic", interrupted)
    with pytest.raises(KeyboardInterrupt):
        import_crate(crate, "yours")
    assert left_in("yours") == []


def test_what_a_kill_left_is_cleared_away_a_day_later(crate, workspace):
    old, young = workspace / "yours" / ".import-old", workspace / "yours" / ".import-young"
    for left in (old, young):
        left.mkdir(parents=True)
        (left / "half").write_text("x")
    day_before = time.time() - 25 * 3600
    os.utime(old, (day_before, day_before))
    import_crate(crate, "yours")
    assert (old.exists(), young.exists()) == (False, True)
    assert len(RunStore("yours").entries()) == 1


def test_a_taken_folder_name_is_not_replaced(made, workspace):
    record = made(experiment_id="a1" * 16)
    crate = export_ro_crate(record, "crate")
    name = import_crate(crate, "yours").record_path.parent.name
    (workspace / "theirs" / name).mkdir(parents=True)
    (workspace / "theirs" / name / "mine.txt").write_text("mine")
    assert import_crate(crate, "theirs").record_path.parent.name == f"{name}-2"
    assert (workspace / "theirs" / name / "mine.txt").read_text() == "mine"
