"""The cache of what was fetched: whole, of limited size, and safe for several processes, whoever dies when."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dissmodel_lab.errors import SourceError
from dissmodel_lab.sources import hashing
from dissmodel_lab.sources.cache import CacheEntry, DataCache, FetchedFile, default_root
from dissmodel_lab.sources.leases import leased, take


@pytest.fixture
def cache(tmp_path):
    return DataCache(tmp_path / "cache", limit_bytes=1000)


def mark_of(name):
    return hashlib.sha256(name.encode()).hexdigest()[:40]


def kept(cache, name, content):
    """Keep a file as if it had been fetched."""
    work = cache.workspace(mark_of(name))
    (work / name).write_bytes(content)
    return cache.keep(mark_of(name), work / name, text=f"https://host/{name}", etag='"1"')


def folder_of(cache, name, files):
    work = cache.workspace(mark_of(name))
    for inside, content in files.items():
        path = work / name / inside
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return cache.keep(mark_of(name), work / name, text=f"s3://b/{name}")


def write_through(path, content):
    """Write over a read-only file, and give it its old time back, as a broken disk or a careless program does."""
    times = path.stat()
    path.chmod(0o600)
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    path.chmod(0o400)


def test_what_is_kept_is_found(cache):
    entry = kept(cache, "x.tif", b"12345")
    assert cache.find(mark_of("x.tif")) == entry
    assert cache.path(entry).read_bytes() == b"12345"
    assert entry.files == (
        FetchedFile("https://host/x.tif", "x.tif", hashlib.sha256(b"12345").hexdigest(), 5, '"1"', ""),
    )
    assert (cache.size, len(cache.entries()), entry.bytes) == (5, 1, 5)
    assert cache.find(mark_of("y.tif")) is None
    assert DataCache(cache.root).find(mark_of("x.tif")) == entry
    assert list((cache.root / "parts").iterdir()) == []


def test_a_damaged_copy_is_removed_and_said(cache):
    entry = kept(cache, "x.tif", b"12345")
    write_through(cache.path(entry), b"1234X")
    assert cache.find(mark_of("x.tif")) is None
    assert cache.notes == [
        "The copy of https://host/x.tif in the cache was damaged (x.tif has changed); it was removed."
    ]
    assert cache.kept(entry.sha256) is None
    again = kept(cache, "x.tif", b"12345")
    assert cache.path(again).read_bytes() == b"12345"


def test_a_copy_that_was_touched_but_not_changed_is_good(cache):
    entry = kept(cache, "x.tif", b"12345")
    os.utime(cache.path(entry), (1, 1))
    assert cache.find(mark_of("x.tif")) == entry
    assert cache.notes == []


def test_verify_hashes_everything(cache, monkeypatch):
    entry = kept(cache, "x.tif", b"12345")
    kept(cache, "y.tif", b"1")
    write_through(cache.path(entry), b"1234X")
    known = json.loads((cache.root / "known" / f"{entry.sha256}.json").read_text())
    facts = cache.path(entry).lstat()
    known["files"]["x.tif"][1:] = [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns]
    (cache.root / "known" / f"{entry.sha256}.json").write_text(json.dumps(known))
    assert cache.find(mark_of("x.tif")) is not None  # nothing tells it from a good one but its hash
    assert cache.verify() == [f"x.tif (SHA-256 {entry.sha256}) was damaged (x.tif has changed); it was removed."]
    assert [found.text for found in cache.entries()] == ["https://host/y.tif"]


def test_a_folder_whose_file_is_gone(cache):
    entry = folder_of(cache, "a.zarr", {".zattrs": b"{}", "0/0": b"1"})
    (cache.path(entry) / "0" / "0").unlink()
    assert cache.find(mark_of("a.zarr")) is None
    assert "(a.zarr/0/0 is gone)" in cache.notes[0]


def test_what_readers_leave_beside_the_data_is_removed(cache):
    entry = folder_of(cache, "a.zarr", {".zattrs": b"{}"})
    (cache.path(entry) / "x.aux.xml").write_text("<x/>")
    assert cache.find(mark_of("a.zarr")) == entry
    assert [path.name for path in cache.path(entry).iterdir()] == [".zattrs"]


def test_what_was_used_longest_ago_goes_first(cache):
    names = ["a", "b", "c"]
    entries = {name: kept(cache, name, name.encode() * 400) for name in names}
    for age, name in enumerate(["b", "c", "a"]):
        at = time.time() - 1000 + age
        os.utime(cache.root / "known" / f"{entries[name].sha256}.json", (at, at))
    assert cache.shrink() == 400
    assert cache.find(mark_of("b")) is None
    assert cache.find(mark_of("a")) is not None
    assert cache.find(mark_of("c")) is not None
    assert cache.notes == []  # it was not damaged
    assert cache.shrink() == 0


def test_what_is_read_is_never_removed(cache):
    entries = {name: kept(cache, name, name.encode() * 600) for name in ("a", "b")}
    with cache.lease(entries["a"].sha256), cache.lease(entries["b"].sha256):
        assert cache.shrink() == 0
        assert cache.clear() == 0
    with cache.lease(entries["a"].sha256):
        assert cache.shrink() == 600
    assert cache.find(mark_of("a")) is not None


def test_the_lease_of_a_dead_process_counts_for_nothing(cache):
    entry = kept(cache, "a", b"1" * 2000)
    code = (
        "import os, signal\nfrom pathlib import Path\nfrom dissmodel_lab.sources.leases import take\n"
        f"take(Path({str(cache.root / 'leases')!r}), {entry.sha256!r})\nprint('taken', flush=True)\ninput()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    assert process.stdout.readline() == b"taken\n"
    assert cache.shrink() == 0
    process.kill()
    process.communicate()
    assert cache.shrink() == 2000


def test_a_process_that_only_has_the_number_of_another_holds_nothing(tmp_path):
    folder = tmp_path / "leases"
    lease = take(folder, "ab" * 32)
    parts = lease.path.name.split("-")
    parts[-2] = str(int(parts[-2]) - 1000)
    lease.path.rename(folder / "-".join(parts))
    assert leased(folder) == set()
    (folder / "somebody's file").touch()
    (folder / f"{'cd' * 32}-other.host-1-1-{'0' * 32}").touch()
    assert leased(folder) == {"cd" * 32}


def test_a_lock_is_waited_for_and_the_wait_can_be_cancelled(cache):
    mark, other = mark_of("x"), DataCache(cache.root)
    began = time.monotonic()
    with cache.lock(mark), pytest.raises(KeyboardInterrupt), other.lock(mark, lambda: time.monotonic() - began > 0.2):
        pass
    assert time.monotonic() - began < 30
    with other.lock(mark):
        pass


def test_unfinished_downloads_that_nobody_wants_go(cache):
    old, new = cache.workspace(mark_of("old")), cache.workspace(mark_of("new"))
    for folder in (old, new):
        (folder / "content.part").write_bytes(b"1")
    os.utime(old / "content.part", (1, 1))
    os.utime(old, (1, 1))
    cache.shrink()
    assert (old.exists(), new.exists()) == (False, True)
    with cache.lock(mark_of("new")):
        cache.clear()
        assert new.exists()  # somebody fetches it
    cache.clear()
    assert not new.exists()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "[" * 5000, '{"mark": 1}', '{"files": [{"x": 1}]}', "\0"],
)
def test_entries_that_nobody_here_wrote(cache, text):
    kept(cache, "x.tif", b"1")
    path = cache.root / "entries" / f"{mark_of('x.tif')}.json"
    path.write_text(text)
    assert cache.find(mark_of("x.tif")) is None
    assert cache.entries() == []
    cache.shrink()


def test_an_entry_that_leads_out_of_the_cache(cache):
    entry = kept(cache, "x.tif", b"1")
    path = cache.root / "entries" / f"{mark_of('x.tif')}.json"
    facts = json.loads(path.read_text())
    for main in ("../../../etc/passwd", "/etc/passwd", ""):
        path.write_text(json.dumps({**facts, "main": main}))
        assert cache.find(mark_of("x.tif")) is None
    path.write_text(json.dumps({**facts, "sha256": "../../x"}))
    assert cache.find(mark_of("x.tif")) is None
    assert cache.kept("../../x") is None
    assert cache.kept(entry.sha256) is not None


def test_foreign_files_stay(cache):
    kept(cache, "x.tif", b"1")
    for folder in (cache.root, *(cache.root / name for name in ("objects", "known", "entries", "parts", "leases"))):
        folder.mkdir(exist_ok=True)
        (folder / "mine.txt").write_text("mine")
    assert cache.clear() == 1
    assert cache.verify() == []
    assert len(list(cache.root.rglob("mine.txt"))) == 6


def test_a_cache_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SourceError) as raised:
        DataCache(tmp_path / "file")
    assert str(raised.value) == (
        f"The cache '{tmp_path / 'file'}' is no folder. Set DISSMODEL_LAB_CACHE to a folder."
    )


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    cache = DataCache(tmp_path / "file" / "cache")
    with pytest.raises(
        SourceError, match=r"cannot be written: Not a directory. Set DISSMODEL_LAB_CACHE to a folder of"
    ):
        cache.workspace(mark_of("x"))
    other = cache.writable()
    assert other.root != cache.root
    [note] = other.notes
    assert note.startswith(f"The cache '{cache.root}' cannot be written (Not a directory); what is fetched is kept ")
    assert cache.writable().root == other.root
    entry = kept(other, "x.tif", b"1")
    assert other.path(entry).read_bytes() == b"1"


@pytest.mark.parametrize("text", ["-1", "much", "nan"])
def test_a_limit_that_is_none(monkeypatch, tmp_path, text):
    monkeypatch.setenv("DISSMODEL_LAB_CACHE_BYTES", text)
    with pytest.raises(SourceError, match=r"DISSMODEL_LAB_CACHE_BYTES is .* Give a number of bytes"):
        DataCache(tmp_path)


def test_where_it_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("DISSMODEL_LAB_CACHE", str(tmp_path / "c"))
    monkeypatch.setenv("DISSMODEL_LAB_CACHE_BYTES", "1e9")
    assert (DataCache().root, DataCache().limit_bytes) == (tmp_path / "c", 1_000_000_000)
    monkeypatch.delenv("DISSMODEL_LAB_CACHE")
    assert default_root().name == "inputs"


def test_an_entry_of_what_was_removed_and_kept_again_under_another_name_is_no_damage(cache):
    first = kept(cache, "a.txt", b"same")
    mine = (cache.root / "entries" / f"{first.mark}.json").read_bytes()
    assert DataCache(cache.root, 0).shrink() == 4
    second = kept(cache, "b.txt", b"same")
    (cache.root / "entries" / f"{first.mark}.json").write_bytes(mine)  # of a process that had found it before
    assert (second.sha256, cache.path(first).exists()) == (first.sha256, False)
    assert cache.verify() == []
    assert [entry.main for entry in cache.entries()] == ["b.txt"]
    assert cache.find(first.mark) is None
    assert (cache.notes, cache.path(second).read_bytes()) == ([], b"same")


def test_an_object_of_a_process_that_died_before_it_was_known_is_removed(cache):
    entry = kept(cache, "a.txt", b"1")
    (cache.root / "known" / f"{entry.sha256}.json").unlink()
    assert cache.find(entry.mark) is None
    cache.shrink()
    assert (cache.notes, list((cache.root / "objects").iterdir())) == ([], [])


def test_many_processes_keep_the_same(cache):
    code = (
        "import sys\nfrom pathlib import Path\nfrom dissmodel_lab.sources.cache import DataCache\n"
        f"cache = DataCache({str(cache.root)!r}, 10)\n"
        "for number in range(12):\n"
        "    mark = f'{int(sys.argv[1]) * 100 + number:040x}'\n"
        "    work = cache.workspace(mark)\n"
        "    (work / f'{sys.argv[1]}.txt').write_text(str(number % 3) * 8)\n"
        "    entry = cache.keep(mark, work / f'{sys.argv[1]}.txt', text=mark)\n"
        "    with cache.lease(entry.sha256):\n"
        "        cache.shrink()\n"
        "    assert not cache.notes, cache.notes\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(number)]) for number in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert cache.verify() == []
    for entry in cache.entries():
        if (path := cache.kept(entry.sha256)) is not None:
            assert hashlib.sha256(path.read_bytes()).hexdigest() == entry.sha256


# --- hashes of unchanged inputs


def test_an_unchanged_file_is_hashed_once(tmp_path, monkeypatch):
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    old = time.time() - 10
    os.utime(path, (old, old))
    monkeypatch.setattr(hashing, "_REST_NS", 0)  # its inode has changed this very moment
    first = hashing.remembered_sha256(path)
    assert first == hashing.seen_sha256(path)
    monkeypatch.setattr(hashing, "file_sha256", lambda path: pytest.fail("read again"))
    times = []
    for _ in range(50):
        began = time.perf_counter()
        assert hashing.remembered_sha256(path) == first
        times.append(time.perf_counter() - began)
    assert sorted(times)[len(times) // 2] < 5e-3  # 20 us on a machine of its own


def test_a_file_that_was_just_written_is_hashed_again(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"1")
    hashing.remembered_sha256(path)
    assert hashing.seen_sha256(path) == ""


def test_a_changed_file_is_hashed_again(tmp_path, monkeypatch):
    monkeypatch.setattr(hashing, "_REST_NS", 0)
    path = tmp_path / "a.bin"
    path.write_bytes(b"1")
    facts = path.stat()
    first = hashing.remembered_sha256(path)
    path.write_bytes(b"2")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert hashing.remembered_sha256(path) == hashlib.sha256(b"2").hexdigest() != first


def test_an_entry_says_when_it_was_good():
    entry = CacheEntry("m", "t", "s", "x", fetched_at="2026-01-02T03:04:05+00:00")
    assert entry.day == "2026-01-02 03:04 UTC"
    assert isinstance(entry.files, tuple)
    assert Path(entry.main).name == "x"


@pytest.mark.parametrize(("name", "value"), [("etag", "a\nb"), ("etag", 3), ("text", None), ("fetched_at", 5)])
def test_an_entry_that_somebody_has_changed_is_none(cache, name, value):
    kept(cache, "x.tif", b"12345")
    [path] = (cache.root / "entries").glob("*.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    assert cache.find(mark_of("x.tif")) is None
    assert cache.entries() == []


def test_a_relative_root_stays_where_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cache = DataCache("here")
    monkeypatch.chdir("/")
    assert cache.root == tmp_path / "here"
