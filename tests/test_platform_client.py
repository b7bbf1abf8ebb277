"""The client of a DisSModel Platform, against a real server over HTTP, with its faults and those of networks."""

import hashlib
import json
import logging
import pickle
import re
import socket
import traceback

import pytest
from dissmodel.executor.schemas import ExperimentRecord as TheirRecord
from platform_server import GATED, KEY, Fault, running_platform
from platform_server.models import GATE

from dissmodel_lab.errors import PlatformError
from dissmodel_lab.platform_client import (
    AnswerError,
    ApiKey,
    ChecksumError,
    PackageError,
    PlatformClient,
    UnknownSubmissionError,
    UnregisteredModelError,
    find_key,
)
from dissmodel_lab.platform_client.transport import Timing

FAST = Timing(connect=2, read=1.0, deadline=1.2, attempts=3, first_pause=0.01)


@pytest.fixture(scope="module")
def server():
    with running_platform() as platform:
        yield platform


@pytest.fixture
def platform(server):
    return server.reset()


@pytest.fixture
def client(platform):
    with PlatformClient(platform.url, key=ApiKey(KEY, "a test"), timing=FAST) as client:
        yield client


def posts(platform, path):
    return [request for request in platform.faults.requests if request[:2] == ("POST", path)]


def names_in(folder):
    return [path.name for path in folder.iterdir() if path.is_file()]


def refused_url():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}"


# ------------------------------------------------------------------------------------------------ reading


def test_health_is_asked_without_a_key(client, platform):
    assert client.health()["status"] == "healthy"
    assert platform.faults.requests == [("GET", "/health", None)]


def test_models_are_listed_and_read(client):
    assert {model.name: model.class_name for model in client.models()}["coastal_flood"] == "coastal_flood"
    assert client.model("gated").parameters == {"years": 7}


def test_an_unknown_model_names_the_known_ones(client, platform):
    with pytest.raises(UnregisteredModelError) as caught:
        client.model("gaem_of_life")
    assert str(caught.value) == (
        f"The platform at {platform.url} has no registered model 'gaem_of_life'. Did you mean 'game_of_life'? "
        "Known: broken, coastal_flood, game_of_life, gated."
    )


def test_a_job_goes_from_pending_to_completed(client, platform):
    job = client.submit("game_of_life", parameters={"generations": 2})
    assert (job.status, job.is_over, job.output_path) == ("pending", False, "")
    theirs = platform.wait(job.id)
    done = client.job(job.id)
    assert done.status == "completed"
    assert done.output_sha256 == theirs.artifacts["output"]
    assert client.record(done)["metrics"]["alive_first"] == theirs.metrics["alive_first"]
    assert [one.id for one in client.jobs()] == [job.id]
    assert len(client.jobs("pending")) == 0


def test_an_unknown_job_is_one_sentence(client, platform):
    with pytest.raises(AnswerError, match=r"knows no job 'a1'\. See them with jobs\(\)\.") as caught:
        client.job("a1")
    assert caught.value.status == 404


def test_names_are_quoted_in_addresses(client):
    with pytest.raises(AnswerError, match=r"knows no job '\.\./health'"):
        client.job("../health")


def test_the_list_of_jobs_survives_a_record_with_an_old_time(client, platform):
    new = client.submit("game_of_life")
    platform.wait(new.id)
    old = TheirRecord(model_name="flood", status="failed", created_at="2024-01-02T03:04:05")
    platform.work.keep(old)
    platform.work.keep(TheirRecord(model_name="flood", status="failed"))
    listing = client.jobs()
    assert [job.id for job in listing] == [new.id]
    (notice,) = listing.notices
    assert notice == (
        "The platform cannot list its jobs at once (500): one of them has a time that it cannot compare. "
        "Not in this list: those that are failed."
    )
    assert client.job(old.experiment_id).created_at.isoformat() == "2024-01-02T03:04:05+00:00"


def test_when_no_status_can_be_listed_that_is_an_error(client, platform):
    platform.faults.add(Fault("status", "/jobs", times=100))
    with pytest.raises(AnswerError, match=r"failed at GET /jobs 3 times \(500: Internal server error\)"):
        client.jobs()


# --------------------------------------------------------------------------------------------- submitting


def test_keys_under_model_are_sent_because_the_worker_overlooks_them(client, platform):
    job = client.submit("gated", parameters={"size": 3})
    assert platform.wait(job.id).parameters == {"years": 7, "size": 3}


def test_a_toml_is_submitted_with_its_parameters_merged_and_its_module_named(client, platform):
    job = client.submit_inline(GATED, parameters={"size": 2})
    theirs = platform.wait(job.id)
    assert theirs.status == "completed"
    assert theirs.parameters == {"years": 3, "size": 2}
    model = theirs.resolved_spec["model"]
    assert model["executor_module"] == "platform_server.models"
    assert (model["years"], model["size"], model["parameters"]) == (3, 2, {"years": 3, "size": 2})


def test_a_nested_toml_arrives_as_it_was(client, platform):
    text = (
        '[model]\nclass = "gated"\ndescription = "x"\nland_use_types = {types = ["f", "d"]}\n'
        "[[model.potential_data]]\nconst = 0.5\nbetas = {dist = 2.388e-7}\n[model.parameters]\nsize = 2\n"
    )
    job = client.submit_inline(text, executor_module="platform_server.models")
    theirs = platform.work.find(job.id)
    wanted = [{"const": 0.5, "betas": {"dist": 2.388e-7}}]
    assert theirs.parameters == {"size": 2, "land_use_types": ["f", "d"], "potential_data": wanted}
    assert theirs.resolved_spec["model"]["potential_data"] == wanted


def test_a_package_is_installed_only_after_consent(client, platform):
    text = GATED.replace("years", 'package = "coastal==0.1"\nyears')
    with pytest.raises(PackageError) as caught:
        client.submit_inline(text)
    assert str(caught.value) == (
        "The TOML names package = 'coastal==0.1'. Its worker installs that with pip before the run, "
        "whatever is in it, for everybody who uses that worker. Submit it again with --yes (in Python: "
        "packages=['coastal==0.1']) if you trust it, or remove the line if the worker has the package."
    )
    assert platform.faults.requests == []
    with pytest.raises(PackageError):
        client.submit_inline(text, packages=["coastal"])
    platform.wait(client.submit_inline(text, packages=[caught.value.package]).id)
    assert platform.work.installed == ["coastal==0.1"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1.0, float("-inf")]])
def test_a_number_that_would_become_null_is_not_sent(client, platform, value):
    with pytest.raises(PlatformError, match="which the platform would turn into null"):
        client.submit("gated", parameters={"size": value})
    assert posts(platform, "/submit_job") == []


def test_a_priority_and_a_format_are_checked_here(client):
    with pytest.raises(PlatformError, match=r"The priority 'urgent' is unknown to a platform\. It takes low, no"):
        client.submit("gated", priority="urgent")
    with pytest.raises(PlatformError, match="The input format 'csv' is unknown"):
        client.submit("gated", input_format="csv")


def test_what_the_server_does_not_understand_is_told_by_field(client, platform):
    detail = [{"loc": ["body", "parameters"], "msg": "Input should be a valid dictionary"}]
    platform.faults.add(Fault("status", "/submit_job", status=422, body={"detail": detail}))
    with pytest.raises(AnswerError) as caught:
        client.submit("gated")
    assert str(caught.value) == (
        f"The platform at {platform.url} does not understand POST /submit_job "
        "(422: body.parameters: Input should be a valid dictionary). Mend what it names."
    )


@pytest.mark.parametrize("kind", ["reset-after", "half", "garbled-after", "silent-after", "drip"])
def test_a_toml_whose_answer_is_lost_is_found_by_its_token_and_not_sent_again(client, platform, kind):
    platform.faults.add(Fault(kind, "/submit_job_inline", seconds=3 if kind == "silent-after" else 0.1))
    job = client.submit_inline(GATED, token="4711abcd")
    assert "4711abcd" in job.model_name
    assert job.logs[-1].startswith("The answer to the submission was lost (The platform at ")
    assert list(platform.work.records) == [job.id]
    assert len(posts(platform, "/submit_job_inline")) == 1


def test_a_submission_that_did_not_arrive_is_not_sent_again(client, platform):
    platform.faults.add(Fault("reset", "/submit_job_inline"))
    with pytest.raises(UnknownSubmissionError) as caught:
        client.submit_inline(GATED)
    assert re.fullmatch(
        rf"The platform at {platform.url} did not answer POST /submit_job_inline: the connection broke \(.*\)\. "
        r"Check the address and the network\. The server's list has no such job, so nothing seems to have been "
        r"started\. Look once more in a minute \(jobs\), then submit it again\.",
        str(caught.value),
    )
    assert platform.work.records == {}
    assert len(posts(platform, "/submit_job_inline")) == 1


@pytest.mark.parametrize("kind", ["reset-after", "half"])
def test_a_registered_model_whose_answer_is_lost_is_honestly_unknown(client, platform, kind):
    platform.faults.add(Fault(kind, "/submit_job"))
    with pytest.raises(
        UnknownSubmissionError, match=r"Whether the job exists is not known: job .* was created"
    ) as err:
        client.submit("game_of_life")
    assert err.value.candidates == tuple(platform.work.records)
    assert len(posts(platform, "/submit_job")) == 1


def test_own_jobs_and_older_ones_are_no_candidates(client, platform):
    platform.work.keep(TheirRecord(model_name="game_of_life", created_at="2024-01-02T03:04:05Z"))
    client.submit("game_of_life")
    platform.faults.add(Fault("status-reset", "/submit_job"))
    with pytest.raises(UnknownSubmissionError, match=r"nothing seems to have been started"):
        client.submit("game_of_life")


def test_when_the_list_fails_too_nobody_knows(client, platform):
    platform.faults.add(Fault("reset-after", "/submit_job_inline"), Fault("status", "/jobs", times=1000))
    with pytest.raises(
        UnknownSubmissionError, match=r"the server's list does not tell: The platform at .* failed at"
    ):
        client.submit_inline(GATED)


def test_a_500_and_a_reset_after_it_do_not_spoil_the_next_submission(client, platform):
    platform.faults.add(Fault("status-reset", "/job/"))
    with pytest.raises(AnswerError):
        client.job("a1")
    assert client.submit("game_of_life").status == "pending"


# ----------------------------------------------------------------------------------- cancel, reproduce


def test_a_cancelled_job_may_complete_all_the_same(client, platform):
    GATE.clear()
    job = client.submit("gated")
    assert client.cancel(job.id).status == "cancelled"
    GATE.set()
    platform.wait(job.id)
    assert client.job(job.id).status == "completed"


def test_cancelling_what_has_ended_leaves_it(client, platform):
    job = client.submit("game_of_life")
    platform.wait(job.id)
    assert client.cancel(job.id).status == "completed"


def test_cancel_is_asked_again(client, platform):
    GATE.clear()
    job = client.submit("gated")
    platform.faults.add(Fault("reset-after", "/job/", "DELETE"), Fault("status", "/job/", "DELETE", status=503))
    assert client.cancel(job.id).status == "cancelled"
    GATE.set()


def test_a_job_is_reproduced(client, platform):
    first = client.submit("game_of_life", parameters={"generations": 2})
    platform.wait(first.id)
    second = client.reproduce(first.id)
    assert second.id != first.id
    assert platform.wait(second.id).artifacts == platform.work.find(first.id).artifacts
    with pytest.raises(AnswerError, match="knows no job 'a1' to run again"):
        client.reproduce("a1")


def test_a_reproduction_whose_answer_is_lost_is_found_by_its_log(client, platform):
    first = client.submit("game_of_life")
    platform.wait(first.id)
    platform.faults.add(Fault("reset-after", "/experiments/"))
    second = client.reproduce(first.id)
    assert {first.id, second.id} == set(platform.work.records)


# ------------------------------------------------------------------------------------------------ faults


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            Fault("status", status=401, body={"detail": "Not authenticated"}),
            r"refused the API key from a test \(401: Not",
        ),
        (
            Fault("status", status=403, body={"detail": "Invalid API key"}),
            r"refused the API key from a test \(403: Inv",
        ),
        (Fault("status", status=404, body={}), r"refused GET /jobs \(404\)\. Check what was asked for\."),
        (Fault("status", status=500, times=99), r"failed at GET /jobs 3 times \(500: Internal server error\)\. Try"),
        (Fault("status-reset", status=500, times=99), r"failed at GET /jobs 3 times \(500"),
        (Fault("reset", times=99), r"did not answer GET /jobs 3 times: the connection broke \(.*\)\. Check the addr"),
        (Fault("half", times=99), r"did not answer GET /jobs 3 times: the connection broke"),
        (Fault("slow", seconds=5, times=99), r"did not answer GET /jobs 3 times: it was silent for too long\."),
        (Fault("drip", seconds=0.4, times=99), r"GET /jobs 3 times: its answer was not complete after 1\.2 s\."),
        (Fault("html"), r"answered GET /jobs with an HTML page, not JSON\. Is this the address of its API"),
        (
            Fault("text", body="hello", times=99),
            r"answered GET /jobs with something that is no JSON, or a part of it 3",
        ),
        (Fault("text", body="", times=99), r"answered GET /jobs with nothing 3 times"),
        (Fault("text", body="[" * 100_000, times=99), r"something that is no JSON"),
        (Fault("json", body=[1]), r"answered GET /jobs with something unexpected: \[1\]\."),
        (
            Fault("json", body={"experiments": 5}),
            r"answered GET /jobs without a list of experiments: \{'experiments'",
        ),
        (
            Fault("redirect", location="http://other.example/jobs"),
            r"redirects GET /jobs to 'http://other.example/jobs' ",
        ),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_each_fault_is_one_clear_error_without_the_key(client, platform, fault, message, caplog):
    fault.path, fault.hits = "/jobs", 0
    platform.faults.add(fault)
    with caplog.at_level(logging.DEBUG), pytest.raises(PlatformError, match=message) as caught:
        client.jobs()
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    for text in (shown, str(caught.value), repr(client), caplog.text):
        assert KEY not in text
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None or isinstance(error.__context__, PlatformError)


def test_a_wrong_key_says_where_it_came_from_and_what_to_do(platform, monkeypatch):
    monkeypatch.setenv("DISSMODEL_API_KEY", "wr0ng-k3y")
    with pytest.raises(AnswerError) as caught:
        PlatformClient(platform.url, timing=FAST).models()
    assert str(caught.value) == (
        f"The platform at {platform.url} refused the API key from DISSMODEL_API_KEY (403: Invalid API key). Set "
        "DISSMODEL_API_KEY before Jupyter starts, or keep it: python -m keyring set dissmodel-lab "
        f"{platform.url} (it asks for the key; never write one into a cell)."
    )


@pytest.mark.parametrize("kind", ["reset", "half", "status", "status-reset", "garbled-after", "reset-after"])
def test_a_question_is_asked_again_until_it_is_answered(client, platform, kind):
    job = client.submit("game_of_life")
    platform.faults.add(Fault(kind, "/job/", times=2))
    assert client.job(job.id).id == job.id
    assert [path for _, path, _ in platform.faults.requests].count(f"/job/{job.id}") == 3


def test_an_interrupt_carries_no_key_along(client, platform, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("dissmodel_lab.platform_client.transport.Http._content", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        client.jobs()
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert KEY not in shown
    assert "httpcore" not in shown


def test_no_host_there_is_told(monkeypatch):
    url = refused_url()
    with pytest.raises(AnswerError, match=rf"{url} did not answer GET /health 3 times: no connection \(") as caught:
        PlatformClient(url, key=ApiKey(KEY, "a test"), timing=FAST).health()
    assert not caught.value.may_have_arrived


def test_a_submission_that_found_no_host_was_not_made():
    client = PlatformClient(refused_url(), key=ApiKey(KEY, "a test"), timing=FAST)
    with pytest.raises(AnswerError, match="did not answer POST /submit_job_inline: no connection") as caught:
        client.submit_inline(GATED)
    assert not isinstance(caught.value, UnknownSubmissionError)


def test_the_key_never_goes_to_another_host(client, platform):
    with running_platform() as other:
        platform.faults.add(Fault("redirect", "/jobs", location=f"{other.url}/jobs"))
        with pytest.raises(AnswerError, match="The API key is sent to the given address alone"):
            client.jobs()
        assert other.faults.requests == []


def test_the_same_host_may_redirect(client, platform):
    platform.faults.add(Fault("redirect", "/jobs", location="/models"), Fault("redirect", "/jobs", location="/jobs"))
    with pytest.raises(PlatformError, match="without a list of experiments"):
        client.jobs()
    assert len(client.jobs()) == 0


def test_a_circle_of_redirects_ends(client, platform):
    platform.faults.add(Fault("redirect", "/jobs", location="/jobs", times=99))
    with pytest.raises(AnswerError, match="redirects GET /jobs"):
        client.jobs()


def test_numbers_that_json_does_not_have_are_read(client, platform):
    answer = {
        "experiments": [{"job_id": "a1", "status": "failed", "logs": [float("nan"), "x"]}],
        "total": float("nan"),
    }
    platform.faults.add(Fault("json", "/jobs", body=answer))
    listing = client.jobs()
    assert (listing.jobs[0].logs, listing.total) == (("nan", "x"), 1)


# ------------------------------------------------------------------------------------------------- files


def test_an_input_is_uploaded_under_a_name_of_its_content(client, platform, tmp_path):
    path = tmp_path / "a grid ü.tif"
    path.write_bytes(b"cells" * 1000)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    upload = client.upload(path)
    assert upload.uri == f"s3://dissmodel-inputs/inputs/{sha256[:12]}/a_grid_.tif"
    assert (upload.sha256, upload.size_bytes) == (sha256, 5000)
    assert client.upload(path) == upload
    assert client.upload(path, "beach").uri == "s3://dissmodel-inputs/inputs/beach/a_grid_.tif"
    back = client.download(upload.uri, tmp_path / "back.tif", sha256=sha256)
    assert back.path.read_bytes() == path.read_bytes()


def test_an_upload_is_sent_again_after_a_reset(client, platform, tmp_path):
    path = tmp_path / "grid.tif"
    path.write_bytes(b"cells")
    platform.faults.add(Fault("reset", "/data/upload"), Fault("reset-after", "/data/upload"))
    assert client.upload(path).size_bytes == 5


def test_an_upload_that_arrived_as_something_else_is_told(client, platform, tmp_path):
    path = tmp_path / "grid.tif"
    path.write_bytes(b"cells")
    platform.faults.add(Fault("json", "/data/upload", body={"uri": "s3://b/k", "checksum": "0" * 64}))
    with pytest.raises(PlatformError) as caught:
        client.upload(path)
    assert str(caught.value) == (
        f"The file {str(path)!r} did not arrive as it is: the platform says its SHA-256 is {'0' * 64}, here it is "
        f"{hashlib.sha256(b'cells').hexdigest()}. Upload it again, and do not change it meanwhile."
    )


def test_what_cannot_be_uploaded(client, platform, tmp_path):
    (tmp_path / "empty.tif").touch()
    (tmp_path / "a.tif").write_bytes(b"x")
    for path, label, message in (
        (tmp_path, "", "is a folder, and a platform takes files. Zip it"),
        (tmp_path / "empty.tif", "", "is empty"),
        (tmp_path / "none.tif", "", "cannot be read: No such file or directory"),
        (tmp_path / "a.tif", "../x", "The label '../x' cannot be part of an address"),
        (tmp_path / "a.tif", "..", "The label '..' cannot be part of an address"),
    ):
        with pytest.raises(PlatformError, match=re.escape(message)):
            client.upload(path, label)
    assert platform.faults.requests == []


def test_a_download_that_differs_is_set_aside(client, platform, tmp_path):
    platform.work.spoils_outputs = True
    job = client.submit("game_of_life")
    platform.wait(job.id)
    job = client.job(job.id)
    with pytest.raises(ChecksumError) as caught:
        client.download(job.output_path, tmp_path, sha256=job.output_sha256)
    kept = tmp_path / "output.tif.differs"
    found = hashlib.sha256(kept.read_bytes()).hexdigest()
    assert str(caught.value) == (
        f"The output {job.output_path!r} is not what the platform's record says: its SHA-256 is {found}, the record "
        f"says {job.output_sha256}. What came is kept in {str(kept)!r}, and is not this run's output. Download it "
        "again later; if it still differs, the file was changed at the platform."
    )
    assert names_in(tmp_path) == ["output.tif.differs"]


def test_the_storage_gets_no_key_and_no_password(client, platform, tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login ana password {KEY}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    platform.faults.add(Fault("json", "/download", body={"url": f"{platform.url}/health"}))
    client.download("s3://b/health.json", tmp_path)
    assert json.loads((tmp_path / "health.json").read_text())["status"] == "healthy"
    assert platform.faults.requests == [("GET", "/download", KEY), ("GET", "/health", None)]


@pytest.mark.parametrize("kind", ["half", "reset", "slow", "status"])
def test_a_broken_download_is_had_again_and_leaves_nothing(client, platform, tmp_path, kind):
    platform.faults.add(
        Fault("json", "/download", body={"url": f"{platform.url}/health"}, times=99),
        Fault(kind, "/health", times=2, seconds=3),
    )
    assert client.download("s3://b/health.json", tmp_path).size_bytes > 10
    platform.faults.add(Fault(kind, "/health", times=99, seconds=3))
    with pytest.raises(
        PlatformError, match=r"^The output 's3://b/h.json' cannot be downloaded: .* Try again later\.$"
    ):
        client.download("s3://b/h.json", tmp_path)
    assert names_in(tmp_path) == ["health.json"]


def test_what_cannot_be_downloaded(client, tmp_path):
    (tmp_path / "there.tif").touch()
    for uri, to, message in (
        ("/data/outputs/a.tif", tmp_path, "is no file of the platform's storage. Give s3://bucket/key."),
        ("s3://bucket", tmp_path, "Give s3://bucket/key."),
        ("s3://bucket/folder/", tmp_path, "Give s3://bucket/key."),
        (
            "s3://dissmodel-outputs/none.tif",
            tmp_path,
            "the storage does not have it (404). It may have been removed.",
        ),
        ("s3://dissmodel-outputs/there.tif", tmp_path, "exists and is never replaced"),
        ("s3://dissmodel-outputs/a.tif", tmp_path / "no" / "a.tif", "does not exist. Make it first."),
    ):
        with pytest.raises(PlatformError, match=re.escape(message)):
            client.download(uri, to)


def test_a_name_in_the_storage_cannot_lead_out_of_the_folder(client, platform, tmp_path):
    platform.work.s3.put_object(Bucket="dissmodel-outputs", Key="x/..", Body=b"1")
    assert client.download("s3://dissmodel-outputs/x/..", tmp_path).path == tmp_path / "output"


# --------------------------------------------------------------------------------------------------- key


def test_a_key_shows_itself_to_nobody():
    key = ApiKey(f" {KEY}\n", "a test")
    assert key.reveal() == KEY
    assert KEY not in repr(key) + str(key) + f"{key}" + repr([key])
    with pytest.raises(TypeError, match="An API key is not copied or sent anywhere"):
        pickle.dumps(key)
    assert not hasattr(key, "__dict__")


@pytest.mark.parametrize("value", ["", " ", "two words", "schlüssel", "a\nb"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(value, monkeypatch):
    with pytest.raises(PlatformError) as caught:
        ApiKey(value, "the keyring")
    assert str(caught.value) == (
        "The API key in the keyring is empty or holds a space or a sign that no header can carry. "
        "Set it again, exactly as the platform gave it."
    )


def test_keys_come_from_the_environment_and_then_from_the_keyring(monkeypatch):
    import keyring
    from keyring.backend import KeyringBackend

    class InMemory(KeyringBackend):
        priority = 1

        def get_password(self, service, username):
            return {("dissmodel-lab", "https://platform.example"): "fr0m-the-keyring"}.get((service, username))

        set_password = delete_password = None

    usual = keyring.get_keyring()
    keyring.set_keyring(InMemory())
    try:
        monkeypatch.delenv("DISSMODEL_API_KEY", raising=False)
        assert find_key("https://platform.example").reveal() == "fr0m-the-keyring"
        with pytest.raises(PlatformError) as caught:
            find_key("https://other.example")
        monkeypatch.setenv("DISSMODEL_API_KEY", "fr0m-the-environment")
        assert find_key("https://platform.example").reveal() == "fr0m-the-environment"
    finally:
        keyring.set_keyring(usual)
    assert str(caught.value) == (
        "There is no API key for https://other.example: DISSMODEL_API_KEY is not set, and the keyring holds none for "
        "it. Set DISSMODEL_API_KEY before Jupyter starts, or keep it: python -m keyring set dissmodel-lab "
        "https://other.example (it asks for the key; never write one into a cell)."
    )


def test_a_server_that_repeats_the_key_does_not_get_it_shown(client, platform):
    echo = {"detail": f"bad header X-API-Key: {KEY}"}
    platform.faults.add(Fault("status", "/models", status=403, body=echo))
    with pytest.raises(AnswerError, match=r"403: bad header X-API-Key: \*\*\*") as caught:
        client.models()
    assert KEY not in str(caught.value)
    escaped = json.dumps({"experiments": [{"job_id": "a1", "status": "failed", "logs": [f"key={KEY}"]}]})
    platform.faults.add(Fault("text", "/jobs", body=escaped.replace("k3y", "\\u006b3y")))
    assert client.jobs().jobs[0].logs == ("key=***",)


@pytest.mark.parametrize(
    "url",
    ["", "platform.example", "ftp://platform.example", "http://", "https://h:99999", "file:///etc/passwd", "//h"],
)
def test_an_address_that_cannot_be_one(url, monkeypatch):
    monkeypatch.delenv("DISSMODEL_PLATFORM_URL", raising=False)
    with pytest.raises(PlatformError, match=r"is no address of a platform|No platform is named"):
        PlatformClient(url)


@pytest.mark.parametrize("url", [f"https://ana:{KEY}@host", f"https://host?api_key={KEY}", f"https://host#{KEY}"])
def test_an_address_with_a_key_in_it_is_refused_without_showing_it(url):
    with pytest.raises(PlatformError, match=r"holds more than a host|is no address of") as caught:
        PlatformClient(url)
    assert KEY not in str(caught.value)


def test_an_address_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("DISSMODEL_PLATFORM_URL", "https://platform.example/")
    assert repr(PlatformClient()) == "<DisSModel Platform at https://platform.example>"


def test_a_key_without_encryption_is_warned_of():
    assert PlatformClient("https://h").warnings == PlatformClient("http://127.0.0.1:8000").warnings == []
    assert PlatformClient("http://platform.example").warnings == [
        "The API key travels unencrypted to http://platform.example: anybody on the way can read it. Use https."
    ]
