"""Files from a web server: whatever goes wrong on the way, the file is whole or a sentence says why it is not."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import pytest
from data_servers.web import PASSWORD, USER, web_server

from dissmodel_lab.errors import SourceError
from dissmodel_lab.executor import DataSource
from dissmodel_lab.sources import check_source, downloads
from dissmodel_lab.sources.addresses import Kind, parse, safe_file_name
from dissmodel_lab.sources.cache import DataCache
from dissmodel_lab.sources.fetching import check_address, fetch
from dissmodel_lab.sources.ranges import RangeReader

CONTENT = b"II*\0" + os.urandom(700_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(scope="module")
def one_server():
    with web_server() as server:
        yield server


@pytest.fixture
def server(one_server):
    one_server.files.clear()
    one_server.asked.clear()
    one_server.cuts.clear()
    one_server.slowness, one_server.other = 0.0, ""
    one_server.put("x.tif", CONTENT)
    return one_server


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DISSMODEL_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(downloads, "PAUSE", 0.01)
    for name in ("SSL_CERT_FILE", "HTTP_PROXY", "http_proxy", "DISSMODEL_LAB_TIMEOUT", "DISSMODEL_LAB_CACHE_BYTES"):
        monkeypatch.delenv(name, raising=False)


def refusal(uri):
    with pytest.raises(SourceError) as raised:
        fetch(uri)
    return str(raised.value)


def all_text(folder):
    """Return everything that is written in a folder, as bytes, names included."""
    paths = list(Path(folder).rglob("*"))
    return b"\n".join(str(path).encode() + (path.read_bytes() if path.is_file() else b"") for path in paths)


# --- addresses


@pytest.mark.parametrize(
    ("uri", "kind", "name"),
    [
        ("data/x.tif", Kind.LOCAL, "x.tif"),
        ("C:\\data\\x.tif", Kind.LOCAL, "x.tif"),
        ("file:///data/x.tif", Kind.LOCAL, "x.tif"),
        ("synthetic", Kind.NONE, ""),
        ("s3://b/a b/ü#1?.tif", Kind.S3, "ü#1_.tif"),
        ("s3://b/folder/", Kind.S3, "folder"),
        ("s3://b/cube.zarr", Kind.S3, "cube.zarr"),
        ("HTTPS://Host:8443/a%20b.tif?x=1#y", Kind.HTTP, "a b.tif"),
        ("https://[::1]:8080/x.tif", Kind.HTTP, "x.tif"),
        ("https://host/", Kind.HTTP, "download"),
        ("https://host/..%2F..%2Fx%00.tif", Kind.HTTP, "x_.tif"),
        ("stac+https://host/stac?collection=C", Kind.STAC, "C"),
    ],
)
def test_addresses(uri, kind, name):
    address = parse(uri)
    assert (address.kind, address.name) == (kind, name)


def test_what_a_key_may_hold():
    address = parse("s3://b/a%20b/x?y#z.tif?versionId=v1.2")
    assert (address.key, address.version_id, address.is_folder) == ("a%20b/x?y#z.tif", "v1.2", False)
    assert parse("s3://b/x?y=1&versionId=2").key == "x?y=1&versionId=2"
    assert parse("s3://b/folder/").is_folder


@pytest.mark.parametrize("scheme", ["gs", "abfs", "ftp", "sftp", "hdfs", "smb", "nonsense"])
def test_schemes_that_are_not_fetched(scheme):
    with pytest.raises(SourceError) as raised:
        parse(f"{scheme}://ana:pw@host/x.tif")
    assert str(raised.value) == (
        f"The input '{scheme}://***@host/x.tif' cannot be fetched: {scheme}:// is not supported. Allowed: a path, "
        "file://, s3://bucket/key, http(s)://, stac+https:// or bdc_stac://. Download the file by its own tool, and "
        "give its path."
    )


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://bucket", "names a bucket, but no object in it"),
        ("s3:///key", "names no bucket"),
        ("s3://key:secret@bucket/x", "'s3://***@bucket/x' holds a login"),
        ("https:///x.tif", "names no host"),
        ("https://host:99999/x.tif", "is no address"),
        ("https://[::1/x.tif", "is no address"),
        ("https://ho st/x.tif", "names no host"),
        ("https://***@host/x.tif", "where *** stands, its address had a secret"),
        ("https://host/" + "x" * 9000, "is 9,013 characters long"),
        ("https://host/x\n.tif", "holds a control character"),
    ],
)
def test_addresses_that_are_none(uri, said):
    with pytest.raises(SourceError) as raised:
        parse(uri)
    assert said in str(raised.value)


def test_an_executors_own_kind_of_source_is_left_to_it():
    assert parse(DataSource(type="postgis", uri="postgis://db/table")).kind is Kind.NONE
    with pytest.raises(SourceError, match="gs:// is not supported"):
        parse(DataSource(type="gs", uri="gs://b/x"))


def test_one_file_signed_twice_is_one_address():
    signed = "https://h/x.tif?band=1&X-Amz-Signature={}&X-Amz-Date={}&X-Amz-Expires=60&X-Amz-Credential=AKIA"
    first, second = (parse(signed.format(*values)) for values in (("a", "1"), ("b", "2")))
    assert first.mark() == second.mark() != parse("https://h/x.tif?band=2").mark()
    assert parse("https://ana:pw@h/x.tif").mark() == parse("https://h/x.tif").mark()
    azure = [parse(f"https://h/x.tif?sv=1&se={day}&sp=r&sig={day}%3D") for day in ("mo", "tu")]
    assert azure[0].mark() == azure[1].mark() != parse("https://h/x.tif?sv=1").mark()
    for address in (first, parse("https://ana:pw@h/x.tif"), azure[0]):
        assert "AKIA" not in repr(address)
        assert "pw" not in repr(address) + address.identity + address.text


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("..", "download"),
        (".", "download"),
        ("...", "download"),
        ("", "download"),
        ("a/b\\c.tif", "c.tif"),
        ("CON", "_CON"),
        ("lpt1.tif", "_lpt1.tif"),
        ("COM0x.tif", "COM0x.tif"),
        ('a<b>:"|?*.tif', "a_b______.tif"),
        ("x.tif. ", "x.tif"),
        ("a\x1b[31m\u202e.tif", "a_[31m_.tif"),
        (".zattrs", ".zattrs"),
    ],
)
def test_safe_names(text, name):
    assert safe_file_name(text) == name


def test_long_names_keep_their_ending():
    name = safe_file_name("ü" * 500 + ".geojson")
    assert name.endswith(".geojson")
    assert len(name.encode()) <= 120


# --- fetched once


def test_a_file_is_fetched_once_and_asked_for_again(server):
    first = fetch(server.at("x.tif"))
    second = fetch(server.at("x.tif"))
    assert (first.sha256, first.is_from_cache, first.path.name) == (SHA256, False, "x.tif")
    assert first.path.read_bytes() == CONTENT
    assert first.path.stat().st_mode & 0o222 == 0
    assert (second.sha256, second.is_from_cache, second.path) == (SHA256, True, first.path)
    assert [headers.get("If-None-Match", "")[:1] for _, _, headers in server.asked] == ["", '"']
    assert first.files == second.files
    assert first.files[0][:4] == (server.at("x.tif"), "x.tif", SHA256, len(CONTENT))


def test_a_new_version_is_fetched_and_the_old_one_kept(server):
    first = fetch(server.at("x.tif"))
    server.put("x.tif", b"II*\0new")
    second = fetch(server.at("x.tif"))
    assert (second.is_from_cache, second.path.read_bytes()) == (False, b"II*\0new")
    assert first.path.read_bytes() == CONTENT
    assert DataCache().kept(SHA256) == first.path


def test_without_an_etag_the_time_decides(server):
    fetch(server.at("x.tif", "noetag"))
    assert fetch(server.at("x.tif", "noetag")).is_from_cache
    assert "If-Modified-Since" in server.asked[-1][2]


def test_without_either_it_is_fetched_again(server):
    fault = "noetag+nomodified"
    assert [fetch(server.at("x.tif", fault)).is_from_cache for _ in range(2)] == [False, False]
    assert len(DataCache().entries()) == 1


def test_two_addresses_of_one_content_are_kept_once(server):
    server.put("y.tif", CONTENT)
    first, second = fetch(server.at("x.tif")), fetch(server.at("y.tif"))
    assert (first.path.name, second.path.name) == ("x.tif", "y.tif")
    assert first.path.parent == second.path.parent
    assert first.path.read_bytes() == second.path.read_bytes()


def test_the_server_is_gone(server, tmp_path):
    with web_server() as other:
        other.put("x.tif", CONTENT)
        uri = other.at("x.tif")
        fetch(uri).lease.close()
    found = fetch(uri)
    assert found.is_from_cache
    [note] = found.notes
    assert note.startswith(f"The server of {uri} did not answer; the copy of 20")
    assert note.endswith(" UTC was used.")
    check_address(uri)
    assert DataCache().clear() == 0  # it is being read
    found.lease.close()
    assert DataCache().clear() == len(CONTENT)
    assert refusal(uri).startswith(f"The input '{uri}' cannot be fetched: 127.0.0.1:")
    assert refusal(uri).endswith("refused the connection. Check the address and its port.")
    with pytest.raises(SourceError, match="refused the connection"):
        check_address(uri)


def test_no_such_host():
    said = refusal("https://nobody.invalid/x.tif")
    assert said == (
        "The input 'https://nobody.invalid/x.tif' cannot be fetched: there is no server called nobody.invalid. "
        "Check the address, and the network."
    )


# --- on the way


@pytest.mark.parametrize(("fault", "resumes"), [("cut", True), ("cut+weak", False), ("cut+noranges", False)])
def test_a_cut_connection(server, fault, resumes):
    server.cuts["x.tif"] = 2
    found = fetch(server.at("x.tif", fault))
    assert found.sha256 == SHA256
    asked = [wanted is not None for wanted in server.ranges()]
    assert asked == [False, True, True] if resumes or "noranges" in fault else [False, False, False]


def test_a_connection_that_is_always_cut(server):
    server.cuts["x.tif"] = 1000
    said = refusal(server.at("x.tif", "cut+noranges"))
    assert said.startswith(
        f"The input '{server.at('x.tif', 'cut+noranges')}' cannot be fetched: the connection was cut,"
    )
    assert said.endswith(" of 700,004 bytes came. What came is kept: try again to go on from there.")
    assert len(server.asked) <= 6


def test_ranges_that_are_none(server):
    server.cuts["x.tif"] = 1
    assert fetch(server.at("x.tif", "cut+wrongranges")).sha256 == SHA256


def test_a_file_that_changes_on_the_way(server):
    server.cuts["x.tif"] = 1
    assert fetch(server.at("x.tif", "cut+changing")).sha256 == SHA256
    assert server.ranges()[1] is not None


def test_a_length_that_is_no_truth(server):
    said = refusal(server.at("x.tif", "liar+noranges"))
    assert "the connection was cut, 4 times; 700,004 of 705,004 bytes came." in said


@pytest.mark.parametrize("fault", ["nolength", "gzip", "nolength+noranges+noetag+nomodified"])
def test_a_length_that_nobody_knows(server, fault):
    told = []
    found = fetch(server.at("x.tif", fault), progress=lambda *now: told.append(now))
    assert found.sha256 == SHA256
    assert told[-1] == ("x.tif", len(CONTENT), len(CONTENT))


def test_a_silent_server(server, monkeypatch):
    monkeypatch.setenv("DISSMODEL_LAB_TIMEOUT", "0.3")
    began = time.monotonic()
    said = refusal(server.at("x.tif", "silent+noranges"))
    assert "the server sent nothing for 0.3 s (DISSMODEL_LAB_TIMEOUT sets another limit), " in said
    assert time.monotonic() - began < 30


def test_a_slow_server_is_waited_for(server, monkeypatch):
    monkeypatch.setenv("DISSMODEL_LAB_TIMEOUT", "0.5")
    server.slowness = 0.1  # longer than the limit altogether, never silent for as long
    assert fetch(server.at("x.tif", "slow")).sha256 == SHA256


@pytest.mark.parametrize("value", ["0", "-1", "soon", "inf"])
def test_a_limit_that_is_none(server, monkeypatch, value):
    monkeypatch.setenv("DISSMODEL_LAB_TIMEOUT", value)
    assert refusal(server.at("x.tif")) == (
        f"DISSMODEL_LAB_TIMEOUT is {value!r}. Give a number of seconds above 0, such as 30."
    )


@pytest.mark.parametrize("fault", ["html", "hiddenhtml", "redirect+html"])
def test_a_web_page_instead_of_a_file(server, fault):
    uri = server.at("x.tif", fault)
    assert refusal(uri) == (
        f"The input '{uri}' is no file: the server answered with a web page (a login, or an error?). Open the "
        "address in a browser, and take the one of the file itself."
    )
    assert DataCache().entries() == []


def test_a_page_that_was_asked_for(server):
    assert fetch(server.at("page.html", "html")).path.read_bytes().startswith(b"<!DOCTYPE")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "needs a login that was not accepted"),
        (403, "may not be read: the server denies it (403)."),
        (404, "does not exist: the server has nothing there (404). Check the address."),
        (410, "does not exist any more"),
        (418, "cannot be fetched: the server refused (418)."),
        (429, "the server was asked too often (429)."),
        (500, "cannot be fetched: the server failed (500). Try again later."),
        (503, "overloaded or being maintained (503)"),
    ],
)
def test_what_servers_answer(server, status, said):
    uri = server.at("x.tif", str(status))
    assert said in refusal(uri)
    assert len(server.asked) == (4 if status in (429, 500, 503) else 1)
    with pytest.raises(SourceError, match=r"\(" + str(status)):
        check_address(uri)


def test_a_server_that_fails_while_there_is_a_copy(server):
    fetch(server.at("x.tif"))
    server.files.clear()
    assert "(404)" in refusal(server.at("x.tif"))  # it is gone: that is an answer


def test_an_empty_file(server):
    server.put("x.tif", b"")
    assert refusal(server.at("x.tif")) == (f"The input '{server.at('x.tif')}' is empty (0 bytes). Check the address.")


def test_a_name_that_the_server_gives(server):
    found = fetch(server.at("x.tif", "named"))
    assert found.path.name == "mapa ç.tif"
    assert "cache" in found.path.parts


def test_a_disk_without_room(server, monkeypatch):
    monkeypatch.setattr(DataCache, "free_bytes", lambda self: downloads.RESERVE + 1000)
    said = refusal(server.at("x.tif"))
    assert "needs 700,004 bytes more, but the disk of the cache " in said
    assert "has only 1,000 left. Make room, or set DISSMODEL_LAB_CACHE to a folder on another disk." in said


def test_a_disk_that_fills_up(server, monkeypatch, tmp_path):
    whole = Path.open

    def full(self, mode="r", *args, **kwargs):
        file = whole(self, mode, *args, **kwargs)
        if self.name.endswith(".part") and mode == "ab":
            file.close()
            return whole(Path("/dev/full"), "ab", buffering=0)
        return file

    monkeypatch.setattr(Path, "open", full)
    said = refusal(server.at("x.tif"))
    assert "No space left on device, after 0 bytes. Make room, or set DISSMODEL_LAB_CACHE to another folder." in said


# --- redirects and logins


def test_a_redirect_is_followed(server):
    assert fetch(server.at("x.tif", "redirect")).sha256 == SHA256


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("redirect-loop", "the server redirects more than 10 times"),
        ("redirect-nowhere", "the server redirects without saying where"),
        ("redirect-file", "redirects to 'file:///etc/passwd', which is no web address. It is not followed."),
        ("redirect-ftp", "redirects to 'ftp://127.0.0.1/x.tif', which is no web address"),
    ],
)
def test_redirects_that_are_not_followed(server, fault, said):
    assert said in refusal(server.at("x.tif", fault))


def test_a_login_stays_with_its_own_server(server):
    with web_server() as other:
        other.put("x.tif", CONTENT)
        server.other = other.url
        fetch(server.at("x.tif", "redirect-away", f"{USER}:{PASSWORD}@"))
        assert "Authorization" in server.asked[-1][2]
        assert all("Authorization" not in headers for _, _, headers in other.asked)
        assert len(other.asked) == 1


def test_a_public_server_cannot_lead_to_this_machine(server):
    from dissmodel_lab.sources.web import WebFile

    web = WebFile(parse("https://maps.example/x.tif"))
    for target in ("http://169.254.169.254/latest", "http://localhost/x", "http://[::1]/x"):
        with pytest.raises(SourceError, match="an address of this machine or its network"):
            web._next("https://maps.example/x.tif", target)
    secret = WebFile(parse("https://ana:pw@maps.example/x.tif"))
    with pytest.raises(SourceError, match="which is not encrypted, although a login is used"):
        secret._next("https://maps.example/x.tif", "http://maps.example/x.tif")
    assert web._next("https://maps.example/a/x.tif", "https://u:p@other.example/y") == "https://other.example/y"


def test_a_login_in_the_address_is_used_and_written_nowhere(server, tmp_path):
    found = fetch(server.at("x.tif", "login", f"{USER}:{PASSWORD}@"))
    assert found.sha256 == SHA256
    assert found.files[0].uri == server.at("x.tif", "login", "***@")
    assert PASSWORD.encode() not in all_text(tmp_path)
    assert "needs a login that was not accepted" in refusal(server.at("x.tif", "login", f"{USER}:wrong@"))


def test_a_login_of_the_keyring(server, monkeypatch):
    import keyring
    from keyring.credentials import SimpleCredential

    asked = []
    monkeypatch.setattr(
        keyring, "get_credential", lambda service, _: asked.append(service) or SimpleCredential(USER, PASSWORD)
    )
    assert fetch(server.at("x.tif", "login")).sha256 == SHA256
    assert asked == [f"dissmodel-lab:{server.url}"]
    assert fetch(server.at("x.tif")).sha256 == SHA256
    assert len(asked) == 1  # only who is asked for a login looks it up


def test_netrc_is_not_read(server, monkeypatch, tmp_path):
    file = tmp_path / "netrc"
    file.write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))
    said = refusal(server.at("x.tif", "login"))
    assert f"python -m keyring set dissmodel-lab:{server.url} NAME keeps a login for it" in said


def test_a_presigned_address_arrives_as_it_was_written(server, tmp_path):
    uri = server.at("x.tif", "signed") + "?X-Amz-Date=a%2Fb%20c&X-Amz-Signature=5igned"
    found = fetch(uri)
    assert server.asked[-1][1] == "/signed/x.tif?X-Amz-Date=a%2Fb%20c&X-Amz-Signature=5igned"
    assert b"5igned" not in all_text(tmp_path)
    assert found.files[0].uri.endswith("?X-Amz-Date=***&X-Amz-Signature=***")


def test_letters_that_no_address_has(server):
    server.put("mapa ç.tif", CONTENT)
    found = fetch(f"{server.url}/plain/mapa ç.tif")
    assert found.path.name == "mapa ç.tif"


def test_a_certificate_that_nobody_signed(tmp_path, monkeypatch):
    import ssl

    pem = tmp_path / "server.pem"
    done = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", str(tmp_path / "key.pem"), "-out", str(pem)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem, tmp_path / "key.pem")
    with web_server(tls) as server:
        server.put("x.tif", CONTENT)
        said = refusal(server.at("x.tif"))
        assert "is not trusted here (self" in said
        assert "set SSL_CERT_FILE (AWS_CA_BUNDLE for buckets) to its certificate (PEM)." in said
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        assert fetch(server.at("x.tif")).sha256 == SHA256
        monkeypatch.setenv("SSL_CERT_FILE", "/no/such.pem")
        assert refusal(server.at("x.tif")).startswith("SSL_CERT_FILE names '/no/such.pem', which does not exist.")


# --- progress, cancelling, death


def test_progress_is_told_seldom_and_at_the_end(server):
    server.slowness = 0.06
    told = []
    fetch(server.at("x.tif", "slow"), progress=lambda *now: told.append((time.monotonic(), *now)))
    assert told[-1][1:] == ("x.tif", len(CONTENT), len(CONTENT))
    times = [now[0] for now in told[:-1]]
    assert all(later - earlier > 0.19 for earlier, later in pairwise(times))
    assert len(told) >= 3


def test_a_cancel_is_heard_within_a_second(server):
    server.slowness = 0.05
    began = time.monotonic()
    told = []
    with pytest.raises(KeyboardInterrupt):
        fetch(
            server.at("x.tif", "slow+silent"),
            progress=lambda *now: told.append(now),
            cancelled=lambda: time.monotonic() - began > 0.6,
        )
    assert 0.6 < time.monotonic() - began < 30
    before = told[-1][1]
    assert before > 0
    assert fetch(server.at("x.tif", "slow+silent").replace("slow+silent", "plain")).sha256 == SHA256


def test_who_goes_on_after_a_cancel_asks_for_the_rest(server):
    server.slowness = 0.05
    began = time.monotonic()
    uri = server.at("x.tif", "slow")
    with pytest.raises(KeyboardInterrupt):
        fetch(uri, cancelled=lambda: time.monotonic() - began > 0.4)
    server.slowness = 0.0
    assert fetch(uri).sha256 == SHA256
    assert server.ranges()[-1] not in (None, "bytes=0-")


def test_what_a_killed_process_fetched_is_gone_on_with(server, tmp_path):
    server.slowness = 0.05
    uri = server.at("x.tif", "slow")
    code = f"from dissmodel_lab.sources.fetching import fetch; fetch({uri!r})"
    process = subprocess.Popen([sys.executable, "-c", code])
    part = None
    end = time.monotonic() + 20
    while time.monotonic() < end and (part is None or part.stat().st_size < 100_000):
        part = next(iter((tmp_path / "cache" / "parts").rglob("*.part")), None)
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    have = part.stat().st_size
    assert 100_000 <= have < len(CONTENT)
    assert DataCache().entries() == []
    server.slowness = 0.0
    found = fetch(uri)
    assert found.sha256 == SHA256
    assert server.ranges()[-1] == f"bytes={have}-"
    assert not list((tmp_path / "cache" / "parts").rglob("*.part"))


def test_two_processes_fetch_once(server):
    server.slowness = 0.02
    uri = server.at("x.tif", "slow")
    code = f"from dissmodel_lab.sources.fetching import fetch; print(fetch({uri!r}).is_from_cache)"
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(process.communicate(timeout=60)[0].strip() for process in processes)
    assert said == ["False", "True"]
    assert sum("If-None-Match" not in headers for _, _, headers in server.asked) == 1


def test_two_threads_fetch_once(server):
    server.slowness = 0.02
    uri, found = server.at("x.tif", "slow"), []
    threads = [threading.Thread(target=lambda: found.append(fetch(uri))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(one.is_from_cache for one in found) == [False, True, True]


# --- sidecars


def test_a_shapefile_comes_with_its_sidecars(server):
    for ending in ("shp", "shx", "dbf", "prj"):
        server.put(f"roads.{ending}", f"{ending} of roads".encode())
    first = fetch(server.at("roads.shp"))
    assert sorted(path.name for path in first.path.parent.iterdir()) == [
        "roads.dbf", "roads.prj", "roads.shp", "roads.shx",
    ]  # fmt: skip
    from dissmodel_lab.sources import folder_sha256

    assert first.sha256 == folder_sha256(first.path.parent)
    assert first.files[0].name == "roads.shp"
    assert fetch(server.at("roads.shp")).is_from_cache
    server.put("roads.dbf", b"other")
    again = fetch(server.at("roads.shp"))
    assert not again.is_from_cache
    assert again.sha256 != first.sha256
    assert (again.path.parent / "roads.dbf").read_bytes() == b"other"


def test_a_folder_on_a_web_server(server):
    assert "is a folder on a web server, which cannot list its files" in refusal(f"{server.url}/plain/cube.zarr")


# --- answers that no server should give


@contextmanager
def saying(answer, endless=b""):
    """Run a server that sends the same bytes to whoever asks, and then others for ever; yields its address."""

    def talk():
        while True:
            try:
                asked, _ = listening.accept()
            except OSError:
                return
            with asked, suppress(OSError):
                asked.recv(65536)
                asked.sendall(answer)
                while endless:
                    asked.sendall(endless)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/x.tif"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(5)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", "cannot be fetched: the server refused (304)."),
        (b"HTTP/1.1 300 Choose\r\nContent-Length: 3\r\n\r\nabc", "cannot be fetched: the server refused (300)."),
        (b"HTTP/1.1 503 No\r\nRetry-After: \xc2\xb2\r\nContent-Length: 0\r\n\r\n", "overloaded or being maintained"),
        (
            b"HTTP/1.1 206 Part\r\nContent-Range: bytes 0-2/" + b"9" * 5000 + b"\r\nContent-Length: 3\r\n\r\nabc",
            "its server sends other parts than it is asked for",
        ),
        (b"\0 is no HTTP\r\n\r\n", "does not answer as a web server does. Check the address and its port."),
        (b"HTTP/1.1 302 x\r\nLocation: http://a..b/x\r\nContent-Length: 0\r\n\r\n", "redirects to, is no address."),
        (b"HTTP/1.1 302 x\r\nLocation: http://h:99999/\r\nContent-Length: 0\r\n\r\n", "which is no web address."),
    ],
    ids=["304", "300", "retry", "digits", "garbage", "name", "port"],
)
def test_answers_that_no_server_should_give(answer, said):
    with saying(answer) as uri:
        message = refusal(f"{uri}?X-Amz-Signature=5igned")
    assert said in message
    assert "5igned" not in message


def test_more_than_was_said_is_not_waited_for():
    answer = b"HTTP/1.1 206 Part\r\nContent-Range: bytes 0-2/3\r\nTransfer-Encoding: chunked\r\n\r\n"
    with saying(answer, b"10000\r\n" + bytes(0x10000) + b"\r\n") as uri:
        assert "more came than it said" in refusal(uri)


@pytest.mark.parametrize("host", ["a..b", "a" * 70 + ".com", "\u2024.com"])
def test_hosts_that_no_dns_can_have(host):
    assert "is no address. Check it." in refusal(f"http://{host}/x.tif")


@pytest.mark.parametrize("uri", ["s3://maps/a\nb", "s3://maps/\ud800", "bdc_stac://\ud800", "http://host/\x1b[31m"])
def test_letters_that_no_text_holds(uri):
    assert refusal(uri) == f"The input {uri!r} holds a control character. Check the address."


def test_a_small_file_of_the_cache_that_cannot_be_written(server, monkeypatch, tmp_path):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    assert refusal(server.at("x.tif")) == (
        f"The input '{server.at('x.tif')}' cannot be kept in {str(tmp_path / 'cache')!r}: No space left on device. "
        "Make room, or set DISSMODEL_LAB_CACHE to another folder."
    )


@pytest.mark.parametrize(("uri", "scheme"), [("https:/host/x.tif", "https"), ("bdc_stac:C", "bdc_stac")])
def test_an_address_that_has_lost_its_slashes(uri, scheme):
    with pytest.raises(SourceError, match=rf"If it is an address, write {scheme}:// in a text\."):
        check_source(DataSource.from_uri(uri))


def test_a_question_that_makes_no_sense_is_said_before_a_run():
    with pytest.raises(SourceError, match="bbox=1,2: 2 values instead of 4"):
        check_source(DataSource.from_uri("bdc_stac://C?bbox=1,2"))


def test_the_log_of_requests_hides_signatures(server, caplog):
    with caplog.at_level(logging.INFO):
        RangeReader(parse(server.at("x.tif", "signed") + "?X-Amz-Signature=5igned"))
    assert "X-Amz-Signature=***" in caplog.text
    assert "5igned" not in caplog.text


def test_a_traceback_hides_the_login_of_a_proxy(monkeypatch):
    with saying(b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n") as proxy:
        monkeypatch.setenv("https_proxy", proxy.replace("http://", "http://ana:pr0xy-pw@"))
        with pytest.raises(SourceError, match="the proxy does not let it through") as raised:
            fetch("https://host.example/x.tif")
    assert "pr0xy-pw" not in "".join(traceback.format_exception(raised.value))
