"""The door to all formats, what it refuses, and that nothing half-written is left."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from export_records import failed, finished

from dissmodel_lab.errors import ExportError
from dissmodel_lab.executor import DataSource
from dissmodel_lab.exports import FORMATS, export
from dissmodel_lab.exports.target import new_file
from dissmodel_lab.settings import Author, Settings

NAMES = {"prov": "run.json", "csv": "runs.csv", "parquet": "runs.parquet", "profile": "run.md", "ro-crate": "run.zip"}
FILES = [name for name in NAMES if name != "ro-crate"]


def refusal(*args, **options):
    with pytest.raises(ExportError) as raised:
        export(*args, **options)
    return str(raised.value)


def test_formats():
    assert FORMATS == ("ro-crate", "prov", "mlflow", "csv", "parquet", "profile")


@pytest.mark.parametrize("name", NAMES)
def test_each_format_writes_one_thing(tmp_path, name):
    path = tmp_path / "new" / NAMES[name]
    assert export(finished(), name, path, settings=Settings()) == path
    assert [item.name for item in path.parent.iterdir()] == [path.name]
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask()


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_mlflow_through_the_door(tmp_path):
    assert export(iter([finished()]), "mlflow", tmp_path / "store") == tmp_path / "store"


def test_a_text_is_a_path(workspace):
    assert export(finished(), "csv", "deep/runs.csv") == Path("deep/runs.csv")
    assert (workspace / "deep" / "runs.csv").is_file()


def test_settings_reach_the_exporter(tmp_path):
    path = export(finished(), "prov", tmp_path / "run.json", settings=Settings(author=Author(name="Ana")))
    assert '"Ana"' in path.read_text(encoding="utf-8")


def test_an_unknown_format(tmp_path):
    assert refusal(finished(), "rocrate", tmp_path / "x") == (
        "There is no export format 'rocrate'. Did you mean 'ro-crate'? "
        "Known: ro-crate, prov, mlflow, csv, parquet, profile."
    )


@pytest.mark.parametrize(
    ("name", "path", "allowed"),
    [
        ("prov", "run.txt", "a file that ends in .json"),
        ("prov", "run", "a file that ends in .json"),
        ("csv", "runs.parquet", "a file that ends in .csv"),
        ("profile", "run.html", "a file that ends in .md"),
        ("ro-crate", "run.json", "a folder or a file that ends in .zip"),
        ("mlflow", "run.csv", "a folder or a file that ends in .db or a file that ends in .sqlite"),
    ],
)
def test_another_ending(name, path, allowed):
    assert refusal(finished(), name, path) == f"{path!r} is no name for an export as {name!r}. Allowed: {allowed}."


@pytest.mark.parametrize("path", ["", "  "])
def test_no_path(path):
    assert refusal(finished(), "csv", path) == (
        "A path is needed for an export as 'csv'. Allowed: a file that ends in .csv."
    )


def test_a_path_elsewhere():
    assert refusal(finished(), "csv", "s3://bucket/runs.csv") == (
        "'s3://bucket/runs.csv' is not a path on this machine. Allowed: a file that ends in .csv."
    )


def test_endings_in_capitals(tmp_path):
    assert export(finished(), "csv", tmp_path / "RUNS.CSV").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_what_exists_is_never_replaced(tmp_path, name):
    path = tmp_path / NAMES[name]
    path.write_text("mine", encoding="utf-8")
    assert refusal(finished(), name, path) == (
        f"{str(path)!r} exists and is never replaced. Choose another --output, or move it away."
    )
    assert path.read_text(encoding="utf-8") == "mine"


def test_a_link_to_nowhere_exists_too(tmp_path):
    path = tmp_path / "runs.csv"
    path.symlink_to(tmp_path / "nowhere")
    assert "exists and is never replaced" in refusal(finished(), "csv", path)
    assert not (tmp_path / "nowhere").exists()


def test_one_run_where_one_is_held(tmp_path):
    path = tmp_path / "run.json"
    assert refusal([finished(), failed()], "prov", path) == (
        "The format 'prov' holds one run, got 2. Name one, or choose one of: mlflow, csv, parquet."
    )
    assert refusal([], "prov", path).startswith("The format 'prov' holds one run, got 0.")
    assert export(iter([finished()]), "prov", path) == path


def test_what_takes_the_name_meanwhile_stays(tmp_path):
    path = tmp_path / "a.csv"

    def write():
        with new_file(path) as temporary:
            temporary.write_text("ours", encoding="utf-8")
            path.write_text("theirs", encoding="utf-8")

    with pytest.raises(ExportError, match="exists and is never replaced"):
        write()
    assert path.read_text(encoding="utf-8") == "theirs"
    assert [item.name for item in tmp_path.iterdir() if item.is_file()] == ["a.csv"]


def test_where_there_are_no_links(tmp_path, monkeypatch):
    def refuse(self, other):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    path = tmp_path / "a.csv"
    with new_file(path) as temporary:
        temporary.write_text("ours", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "ours"
    assert [item.name for item in tmp_path.iterdir() if item.is_file()] == ["a.csv"]


@pytest.mark.parametrize("name", FILES)
def test_a_folder_that_cannot_be_written(tmp_path, name):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / NAMES[name]
    assert refusal(finished(), name, path, settings=Settings()) == (
        f"{str(path)!r} cannot be written: Not a directory. Nothing is left of it. Choose another --output."
    )


@pytest.mark.parametrize("path", ["a\0b.csv", f"{'x' * 300}.csv"])
def test_names_that_are_none(workspace, path):
    assert refusal(finished(), "csv", path).startswith(repr(path))
    assert list(workspace.iterdir()) == []


@pytest.mark.parametrize("name", FILES)
def test_a_full_disk(tmp_path, name, monkeypatch):
    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    path = tmp_path / NAMES[name]
    assert refusal(finished(), name, path, settings=Settings()) == (
        f"{str(path)!r} cannot be written: No space left on device. Nothing is left of it. "
        "Make room, or choose another --output."
    )
    assert [item for item in tmp_path.iterdir() if item.is_file()] == []


@pytest.mark.skipif(sys.platform == "win32", reason="resource limits are POSIX")
def test_a_disk_that_is_full_in_the_middle(tmp_path):
    script = f"""
        import resource, signal, sys
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        from export_records import finished
        from dissmodel_lab.errors import ExportError
        from dissmodel_lab.exports import export
        from dissmodel_lab.settings import Settings
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
        for name, path in {[(name, NAMES[name]) for name in FILES]!r}:
            try:
                export(finished(), name, path, settings=Settings())
            except ExportError as error:
                print(name, "File too large" in str(error), "Nothing is left of it." in str(error))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [f"{name} True True" for name in FILES]
    assert [item for item in tmp_path.iterdir() if item.is_file()] == []


def test_a_kill_leaves_no_file_of_that_name(tmp_path):
    script = f"""
        import os, signal, sys
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        from export_records import finished
        from dissmodel_lab.exports import export
        def runs():
            yield finished()
            os.kill(os.getpid(), signal.SIGKILL)
        export(runs(), "csv", "runs.csv")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=tmp_path, capture_output=True)
    assert done.returncode < 0
    assert not (tmp_path / "runs.csv").exists()


def test_importing_the_door_loads_no_library():
    check = (
        "from dissmodel_lab.exports import export; import sys; "
        "print(*[n for n in ('prov', 'mlflow', 'pyarrow', 'rocrate', 'pandas', 'rasterio') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


ADDRESS = "https://ana:CANARY@host/x?token=CANARY"


@pytest.mark.parametrize("name", [*NAMES, "mlflow"])
def test_no_secret_of_a_foreign_record_reaches_an_export(tmp_path, name):
    record = finished(
        model_commit=f"git+{ADDRESS}",
        code_version=f"1 @ {ADDRESS}",
        parameter_origins={f"x {ADDRESS}": "given"},
        parameter_files={f"x {ADDRESS}": "ab"},
        source=DataSource(uri=ADDRESS, collection=ADDRESS, version=ADDRESS),
        parameters={"password": "CANARY", "a": [{"token": "CANARY", "u": ADDRESS}]},
        verdict={"of": "ab", "kind": "different", "why": [ADDRESS]},
    )
    record.provenance.executor_package = f"x=={ADDRESS}"
    record.provenance.versions["x"] = ADDRESS
    (tmp_path / "record.json").write_text("{}")
    record._record_path = tmp_path / "record.json"
    change = {"at": "2026-01-01", "note": "", "password": "CANARY", "deep": [{"api_key": "CANARY"}]}
    (tmp_path / "annotations.jsonl").write_text(json.dumps(change))
    path = export(record, name, tmp_path / "new" / NAMES.get(name, "store").replace(".zip", ""), settings=Settings())
    files = [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]
    assert files
    assert [item.name for item in files if b"CANARY" in item.read_bytes()] == []


def test_a_package_whose_name_sounds_secret_keeps_its_version():
    record = finished()
    record.provenance.executor_package = "my-token==1.0"
    assert '"my-token==1.0"' in record.model_dump_json()
