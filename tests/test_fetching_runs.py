"""Runs whose input lies elsewhere: fetched at the beginning of load, recorded without secrets, through every door."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from data_servers.buckets import SECRET, bucket_server
from data_servers.web import PASSWORD, USER, web_server
from test_fetching import all_text

from dissmodel_lab import RunStore, read_raster, read_record, run, validate, verify
from dissmodel_lab.errors import PreflightError, SourceError
from dissmodel_lab.executor import DataSource, ExperimentRecord, ModelExecutor
from dissmodel_lab.executor.events import Fetching
from dissmodel_lab.progress import Progress
from dissmodel_lab.sources import downloads, file_sha256, source_path
from dissmodel_lab.sources.cache import DataCache
from dissmodel_lab.sources.local import why_no_source


@pytest.fixture(scope="module")
def beach(tmp_path_factory):
    """Return the bytes of a map that coastal_flood takes."""
    store = tmp_path_factory.mktemp("beach")
    record = run("coastal_flood", parameters={"end_year": 2021}, store=store)
    return Path(record.source.uri).read_bytes()


@pytest.fixture(scope="module")
def web():
    with web_server() as server:
        yield server


@pytest.fixture(scope="module")
def buckets():
    with bucket_server() as server:
        yield server


@pytest.fixture(autouse=True)
def _servers(web, buckets, beach, monkeypatch, tmp_path):
    web.files.clear()
    web.asked.clear()
    web.cuts.clear()
    web.slowness = 0.0
    web.put("beach.tif", beach)
    buckets.put("beach.tif", beach)
    buckets.set_environment(monkeypatch, DISSMODEL_LAB_CACHE=str(tmp_path / "cache"))
    monkeypatch.setattr(downloads, "PAUSE", 0.01)


class SourceReader(ModelExecutor):
    """Reads its input as upstream's executors do, by record.source.uri alone."""

    name = "source_reader"

    def load(self, record):
        self.seen = (record.source.type, record.source.uri)
        record.add_log(f"reading {record.source.uri}")
        return Path(record.source.uri).read_bytes()

    def run(self, data, record):
        return len(data)

    def save(self, result, record):
        Path(record.output_path).write_text(json.dumps({"bytes": result}))
        return record


def source_of(kind, web):
    if kind == "s3":
        return "s3://maps/beach.tif", SECRET
    return web.at("beach.tif", "login", f"{USER}:{PASSWORD}@"), PASSWORD


@pytest.mark.parametrize("kind", ["http", "s3"])
def test_every_door_runs_a_remote_input(  # noqa: PLR0917 -- fixtures
    door, kind, web, beach, tmp_path, workspace
):
    uri, secret = source_of(kind, web)
    outcome = door("coastal_flood", {"end_year": 2022}, source=uri)
    assert outcome.message == ""
    record = outcome.record
    assert record.status == "completed"
    assert record.source.uri == uri.replace(f"{USER}:{PASSWORD}", "***")
    assert record.source.type == kind
    assert record.source.checksum == file_sha256(DataCache().kept(record.source.checksum))
    [fact] = record.fetched
    assert fact["uri"] == record.source.uri
    assert (fact["name"], fact["bytes"], fact["sha256"]) == ("beach.tif", len(beach), record.source.checksum)
    if kind == "http" or door.name != "cli":
        for folder in (tmp_path, workspace):
            assert secret.encode() not in all_text(folder)
    assert not any(secret in str(bundle) for bundle in outcome.shown)
    journal = (record.record_path.parent / "journal.jsonl").read_text()
    assert '"event": "fetching"' in journal


def test_the_executor_reads_a_local_file_and_the_record_names_the_source(web, beach):
    model = SourceReader()
    record = run(model, source=web.at("beach.tif"))
    assert model.seen[0] == "local"
    assert model.seen[1].startswith(str(DataCache().root))
    assert (record.source.uri, record.source.type) == (web.at("beach.tif"), "http")
    assert f"reading {web.at('beach.tif')}" in record.logs
    on_disk = read_record(record.record_path)
    assert on_disk.source.uri == web.at("beach.tif")
    assert on_disk.fetched == record.fetched
    assert json.loads(record.artifact_path().read_text()) == {"bytes": len(beach)}
    assert f"The input {web.at('beach.tif')} ({len(beach):,} bytes) was fetched in " in "\n".join(record.logs)
    again = run(model, source=web.at("beach.tif"))
    assert f"The input {web.at('beach.tif')} ({len(beach):,} bytes) was in the cache." in again.logs


def test_upstreams_resolve_uri_gets_the_fetched_file(web, beach):
    pytest.importorskip("dissmodel")
    from dissmodel.io._utils import resolve_uri

    class Upstream(SourceReader):
        name = "upstream_reader"

        def load(self, record):
            content, checksum = resolve_uri(record.source.uri)
            record.source.checksum = checksum
            return content

    record = run(Upstream(), source=web.at("beach.tif"))
    assert json.loads(record.artifact_path().read_text()) == {"bytes": len(beach)}


def test_events_tell_how_far_it_is(web):
    web.put("beach.tif", web.files["beach.tif"][0] + bytes(400_000))
    web.slowness = 0.06
    told, texts = [], []
    progress = Progress()

    def watch(event):
        progress(event)
        if isinstance(event, Fetching):
            told.append(event)
            texts.append(progress.fetch_text())

    run(SourceReader(), source=web.at("beach.tif", "slow"), observers=[watch])
    assert len(told) >= 2
    assert told[-1].done == told[-1].total == len(web.files["beach.tif"][0])
    assert texts[-1].endswith("of beach.tif (100 %)")
    assert not progress.is_fetching


def test_a_cancel_while_the_input_comes(web):
    from dissmodel_lab.cancelling import cancel_run

    web.slowness = 0.3
    web.put("beach.tif", bytes(3_000_000))
    store, ended = RunStore(), []

    def work():
        began = time.monotonic()
        try:
            run(SourceReader(), source=web.at("beach.tif", "slow"), store=store)
        except KeyboardInterrupt:
            ended.append(time.monotonic() - began)

    thread = threading.Thread(target=work)
    thread.start()
    end = time.monotonic() + 15
    while time.monotonic() < end and not list(DataCache().root.rglob("*.part")):
        time.sleep(0.02)
    asked = time.monotonic()
    cancel_run(store, "last")
    thread.join(10)
    assert ended
    assert time.monotonic() - asked < 1.5
    record = read_record(store.entries()[0].record_path)
    assert (record.status, record.failed_phase) == ("cancelled", "load")
    assert record.source.uri == web.at("beach.tif", "slow")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("gs://bucket/x.tif", "gs:// is not supported"),
        ("s3://maps/none.tif", "does not exist: the bucket 'maps'"),
        ("s3://ana:pw@maps/x.tif", "holds a login"),
    ],
)
def test_a_source_that_cannot_be_used_is_said_before_the_run(door, uri, said):
    outcome = door("coastal_flood", {"end_year": 2022}, source=uri)
    assert said in outcome.message
    assert outcome.record is None or outcome.record.failed_phase == "validate"
    assert "ana:pw" not in all_text(".").decode("utf-8", "replace")


def test_validate_asks_the_server_once(web):
    validate("coastal_flood", source=web.at("beach.tif"))
    assert len(web.asked) == 1
    with pytest.raises(SourceError, match="404"):
        validate("coastal_flood", source=web.at("none.tif"))


def test_a_fetched_file_is_looked_at_before_it_is_loaded(web):
    web.put("broken.tif", b"II*\0" + bytes(5000))
    with pytest.raises(PreflightError) as raised:
        run("coastal_flood", source=web.at("broken.tif"))
    assert str(raised.value).startswith("broken.tif cannot be read: ")
    assert str(DataCache().root) not in str(raised.value)
    assert read_record(RunStore().entries()[0].record_path).failed_phase == "load"


def test_a_checksum_that_was_given_is_checked(web):
    source = DataSource(type="http", uri=web.at("beach.tif"), checksum="ab" * 32)
    record = run(SourceReader(), source=source)
    assert record.source.checksum != "ab" * 32
    assert any(line.startswith("The checksum given for the input was abab") for line in record.logs)
    assert source.uri == web.at("beach.tif")


def test_an_old_copy_is_used_and_said(beach):
    with web_server() as other:
        other.put("beach.tif", beach)
        uri = other.at("beach.tif")
        run(SourceReader(), source=uri)
    record = run(SourceReader(), source=uri)
    assert record.status == "completed"
    assert any("did not answer; the copy of 20" in warning for warning in record.warnings)


def test_the_map_of_an_ended_run_shows_the_copy_in_the_cache(web, beach):
    record = run("coastal_flood", source=web.at("beach.tif"), parameters={"end_year": 2022})
    kept = read_record(record.record_path)
    assert source_path(kept).read_bytes() == beach
    assert why_no_source(kept) == ""
    assert read_raster(source_path(kept)).shape
    assert DataCache().clear() > 0  # the run is over: nobody holds it
    assert source_path(kept) is None
    assert (
        why_no_source(kept)
        == f"The input '{web.at('beach.tif')}' is not in the cache (any more). Fetch it to see it."
    )


def test_verify_asks_the_server_again(web, beach):
    record = run("coastal_flood", source=web.at("beach.tif"), parameters={"end_year": 2022})
    state = {check.item: check.state for check in verify(record.experiment_id).checks}
    assert state["input"] == "ok"
    web.put("beach.tif", beach + b"!")
    checks = {check.item: check for check in verify(record.experiment_id).checks}
    assert checks["input"].state == "changed"
    assert checks["input"].why == f"{web.at('beach.tif')} holds something else now."


def test_a_worker_process_fetches_into_the_same_cache(web):
    record = run("coastal_flood", source=web.at("beach.tif"), parameters={"end_year": 2022}, engine="process")
    assert (record.status, record.source.uri) == ("completed", web.at("beach.tif"))
    assert DataCache().kept(record.source.checksum) is not None


def test_what_was_loaded_is_kept_for_the_next_run(web, monkeypatch):
    import dissmodel_lab.load_cache.cache as kept_loads
    from dissmodel_lab.load_cache import LoadCache
    from dissmodel_lab.runner import run as run_here

    monkeypatch.setattr(kept_loads, "_SETTLED", 0)  # the file has just come
    cache = LoadCache()
    records = [
        run_here("coastal_flood", source=web.at("beach.tif"), parameters={"end_year": year}, load_cache=cache)
        for year in (2021, 2022)
    ]
    assert any("loaded the same file" in line for line in records[1].logs)
    assert records[0].source.checksum == records[1].source.checksum
    assert records[1].source.uri == web.at("beach.tif")


def test_a_source_that_is_read_elsewhere_is_written_as_it_was_named():
    record = ExperimentRecord(source=DataSource.from_uri("https://ana:pw@host/x.tif"))
    record.source.read_from(Path("/cache/x.tif"))
    for text in (record.model_dump_json(), repr(record.source), str(record.model_dump())):
        assert "/cache" not in text
    assert "ana:pw" not in record.model_dump_json() + repr(record.source)
    copy = record.source.model_copy()
    assert (copy.uri, copy.named) == ("/cache/x.tif", "https://ana:pw@host/x.tif")
    record.source.read_as_named()
    record.source.read_as_named()
    assert record.source.uri == "https://ana:pw@host/x.tif"
