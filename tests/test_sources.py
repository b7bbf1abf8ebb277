"""Is the input there, and what is its SHA-256."""

from __future__ import annotations

import builtins
import hashlib
import mmap
import os
import subprocess
from pathlib import Path

import pytest

from dissmodel_lab.errors import SourceError
from dissmodel_lab.executor import DataSource
from dissmodel_lab.sources import (
    check_source,
    file_sha256,
    fingerprint,
    folder_sha256,
    hashing,
    local_path,
    own_file_sha256,
    sha256,
)

EMPTY = hashlib.sha256(b"").hexdigest()


def refusal(uri):
    with pytest.raises(SourceError) as raised:
        check_source(DataSource(uri=uri))
    return str(raised.value)


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("data/x.tif", "data/x.tif"),
        ("/data/x.tif", "/data/x.tif"),
        ("file:///data/a%20b.tif", "/data/a b.tif"),
        ("file://localhost/data/x.tif", "/data/x.tif"),
        ("file://relative.tif", "relative.tif"),
        ("100%25.tif", "100%25.tif"),
        ("~nobody-is-called-so/x.tif", "~nobody-is-called-so/x.tif"),
    ],
)
def test_local_path(uri, path):
    assert local_path(DataSource(uri=uri)) == Path(path)


def test_a_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ana")
    assert local_path(DataSource(uri="~/x.tif")) == Path("/home/ana/x.tif")


def test_a_path_as_a_file_uri_comes_back(tmp_path):
    path = tmp_path / "a b ü#.tif"
    path.write_bytes(b"x")
    assert local_path(DataSource(uri=path.as_uri())) == path
    check_source(DataSource(uri=path.as_uri()))


@pytest.mark.parametrize(
    "source",
    [DataSource(), DataSource(uri="synthetic"), DataSource(type="postgis", uri="postgis://b/x"),
     DataSource(type="s2_archive", uri="x", collection="S2")],
)  # fmt: skip
def test_what_is_not_local_is_the_executors_own_business(source):
    assert local_path(source) is None
    check_source(source)


def test_a_missing_input(workspace):
    assert refusal("no/such.tif") == (
        f"The input 'no/such.tif' does not exist (looked in {workspace / 'no'}). Check the path."
    )
    assert refusal("/no/such.tif") == "The input '/no/such.tif' does not exist (looked in /no). Check the path."


def test_an_empty_input(workspace):
    (workspace / "empty.tif").touch()
    assert refusal("empty.tif") == "The input 'empty.tif' is empty (0 bytes). Get the file again."


def test_an_input_that_may_not_be_read(workspace, monkeypatch):
    (workspace / "secret.tif").write_bytes(b"x")

    def refuse(path, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    assert refusal("secret.tif") == (
        "The input 'secret.tif' cannot be read: Permission denied. Check its permissions."
    )


def test_an_input_with_an_impossible_name():
    assert refusal("a\0b.tif").startswith("The input 'a\\x00b.tif' ")
    assert refusal("x" * 5000).startswith("The input 'xxx")


def test_an_input_that_is_no_file(workspace):
    os.mkfifo(workspace / "pipe")
    assert refusal("pipe") == "The input 'pipe' is neither a file nor a folder. Give a file's path."


def test_good_inputs(workspace):
    (workspace / "folder").mkdir()
    (workspace / "one.tif").write_bytes(b"x")
    check_source(DataSource(uri="folder"))
    check_source(DataSource(uri="one.tif"))


def test_a_fingerprint_tells_a_change(workspace):
    path = workspace / "a.bin"
    assert fingerprint(path) is None
    path.write_bytes(b"1")
    first = fingerprint(path)
    assert fingerprint(path) == first
    path.write_bytes(b"22")
    assert fingerprint(path) != first
    second = fingerprint(path)
    path.write_bytes(b"33")
    os.utime(path, ns=(second.modified_ns, second.modified_ns))
    assert fingerprint(path).size == second.size
    assert fingerprint(path) != second  # its inode changed, whatever its modification time says


BLOCK = 64 * 1024
SIZES = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 7]


@pytest.mark.parametrize("size", SIZES)
def test_file_sha256_at_block_boundaries(workspace, size):
    content = os.urandom(size)
    path = workspace / "a.bin"
    path.write_bytes(content)
    expected = hashlib.sha256(content).hexdigest()
    assert file_sha256(path) == file_sha256(str(path)) == sha256(path) == expected
    assert own_file_sha256(path) == expected


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("extra", [-1, 0, 1])
@pytest.mark.parametrize("windows", [1, 3])
def test_own_file_sha256_at_window_boundaries(workspace, monkeypatch, blocks, extra, windows):
    window = blocks * mmap.ALLOCATIONGRANULARITY
    monkeypatch.setattr(hashing, "_WINDOW", window)
    content = os.urandom(windows * window + extra)
    path = workspace / "a.bin"
    path.write_bytes(content)
    assert own_file_sha256(path) == hashlib.sha256(content).hexdigest() == file_sha256(path)


def test_the_real_window_fits_the_systems_granularity():
    assert hashing._WINDOW % mmap.ALLOCATIONGRANULARITY == 0


def test_own_file_sha256_of_nothing(workspace):
    (workspace / "empty").touch()
    assert own_file_sha256(workspace / "empty") == EMPTY


def test_a_large_file_is_hashed_in_constant_memory(workspace, monkeypatch):
    path = workspace / "large.bin"
    with builtins.open(path, "wb") as file:
        file.truncate(64 * 1024 * 1024)
    from dissmodel_lab.executor.meter import PhaseMeter

    meter = PhaseMeter()
    digest = file_sha256(path)
    after = meter.stop("completed")
    quiet = PhaseMeter().stop("completed")
    assert digest == hashlib.sha256(bytes(64 * 1024 * 1024)).hexdigest()
    assert after.peak_memory_bytes < quiet.peak_memory_bytes + 16 * 1024 * 1024


SHELL = r"find . -type f -printf '%P\0' | sort -z | xargs -0r sha256sum | sha256sum"


def test_a_folders_hash_is_that_of_the_documented_pipeline(workspace):
    for name in ("b.txt", "a/z.txt", "a b.txt", "a-b/x.txt", "a.txt", "Z.txt", "é/ü.txt", "deep/er/still/x"):
        path = workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (workspace / "empty folder").mkdir()
    assert SHELL in folder_sha256.__doc__.replace("\n    ", " ")
    done = subprocess.run(
        ["bash", "-c", SHELL], env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True, check=True
    )
    assert folder_sha256(workspace) == sha256(workspace) == done.stdout.split()[0]


def test_a_folders_hash_sees_names_and_content_only(workspace):
    (workspace / "a").write_bytes(b"1")
    first = folder_sha256(workspace)
    os.utime(workspace / "a", (0, 0))
    (workspace / "none").mkdir()
    assert folder_sha256(workspace) == first
    (workspace / "a").rename(workspace / "b")
    second = folder_sha256(workspace)
    (workspace / "b").write_bytes(b"2")
    assert len({first, second, folder_sha256(workspace)}) == 3


def test_an_empty_folder(workspace):
    assert folder_sha256(workspace) == EMPTY


def test_names_that_are_not_utf8_can_be_hashed(workspace):
    Path(os.fsdecode(os.fsencode(workspace) + b"/caf\xe9")).write_bytes(b"x")
    line = hashlib.sha256(b"x").hexdigest().encode() + b"  caf\xe9\n"
    assert folder_sha256(workspace) == hashlib.sha256(line).hexdigest()


def test_a_linked_file_counts_as_that_file(workspace):
    (workspace / "a").write_bytes(b"1")
    (workspace / "sub").mkdir()
    linked = workspace / "sub" / "link"
    linked.symlink_to(workspace / "a")
    with_link = folder_sha256(workspace)
    linked.unlink()
    linked.write_bytes(b"1")
    assert folder_sha256(workspace) == with_link


def test_what_cannot_be_hashed_says_so():
    with pytest.raises(FileNotFoundError):
        sha256("no/such/file")
