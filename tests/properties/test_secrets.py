"""A secret that is planted anywhere in a run is in none of the files and pages that tell of it."""

# ruff: noqa: E501 -- inputs read better in one line

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissmodel_lab import DataSource, ExperimentRecord, run
from dissmodel_lab.executor import ModelExecutor
from dissmodel_lab.exports import export
from dissmodel_lab.redaction import redact_text, redact_uri
from dissmodel_lab.store.run_store import RunStore
from properties import examples

SECRETS = st.from_regex(r"[A-Za-z0-9]{3}[A-Za-z0-9/+_\-]{9}[A-Za-z0-9]{4}", fullmatch=True).map(lambda s: f"S3{s}9x")
SECRET_NAMES = st.sampled_from(
    ["password", "api_key", "apiKey", "AWS_SECRET_ACCESS_KEY", "token", "db_password", "Authorization", "credentials"]
)
PLAIN = st.text("abc déf 0.,;:=-\n", max_size=12)


def hidden_in(secret):
    """Texts that hold a secret, as people and libraries write them."""
    return st.one_of(
        st.builds(lambda name: f"{name}={secret}", SECRET_NAMES),
        st.builds(lambda name: f'"{name}": "{secret}"', SECRET_NAMES),
        st.builds(lambda name: f"run({name}='{secret}', years=4)", SECRET_NAMES),
        st.builds(lambda name: f"--{name} {secret}", SECRET_NAMES),
        st.builds(lambda name: f"https://host/a.tif?{name}={secret}&band=2", SECRET_NAMES),
        st.just(f"https://ana:{secret}@host/a.tif"),
        st.just(f"s3://AKIA:{secret}@bucket/a.tif"),
        st.just(f"curl -u ana:{secret} https://host"),
        st.just(f"Authorization: Bearer {secret}"),
        st.just(f"https://host/a.tif?X-Amz-Signature={secret}"),
        st.just(f"/vsicurl/https://ana:{secret}@host/a.tif"),
    )


@examples(50)
@given(SECRETS, st.data())
def test_no_text_shows_a_secret(secret, data):
    text = f"{data.draw(PLAIN)}\n{data.draw(hidden_in(secret))}\n{data.draw(PLAIN)}"
    assert secret not in redact_text(text)
    assert redact_text(redact_text(text)) == redact_text(text)


@st.composite
def planted(draw):
    """A record that holds a secret in any of the places where one may come to lie."""
    secret = draw(SECRETS)
    text, name = draw(hidden_in(secret)), draw(SECRET_NAMES)
    inner = draw(st.sampled_from([
        {name: secret}, {"db": {name: secret}}, {"list": [{"deep": {name: [secret]}}]}, {"note": text},
        {"tuple": (1, {name: secret.encode()})}, {"set": [text]}, {name: {"a": secret}},
    ]))  # fmt: skip
    place = draw(st.sampled_from(
        ["parameters", "metrics", "logs", "error", "uri", "output_path", "spec", "extra", "band_map", "unread", "origins"]
    ))  # fmt: skip
    record = ExperimentRecord(model_name="flood", status="completed")
    if place in ("parameters", "metrics", "band_map"):
        setattr(record, place, inner)
    elif place == "spec":
        record.resolved_spec = {"model": inner}
    elif place == "logs":
        record.logs = ["a line", text]
    elif place == "error":
        record.error = f"ValueError: {text}"
    elif place == "uri":
        record.source = DataSource.from_uri(draw(st.sampled_from(
            [f"https://ana:{secret}@host/a.tif", f"https://host/a.tif?token={secret}", f"s3://k:{secret}@bucket/a"]
        )))  # fmt: skip
    elif place == "output_path":
        record.output_path = f"https://ana:{secret}@host/out.tif"
    elif place == "extra":
        record = ExperimentRecord.model_validate({"model_name": "flood", name: secret, "more": inner})
    elif place == "unread":
        record.unread_parameters = [text]
    else:
        record.parameter_origins = {"rate": f"https://ana:{secret}@host/p.toml"}
    return secret, record


@examples(30)
@given(planted())
def test_no_record_and_no_export_holds_a_planted_secret(tmp_path_factory, given_):
    secret, record = given_
    folder = tmp_path_factory.mktemp("exports")
    texts = {"record": record.model_dump_json(), "shown": repr(record)}
    record.source = DataSource() if not record.source.uri else record.source
    for kind, name in (("csv", "a.csv"), ("profile", "a.md"), ("prov", "a.json"), ("ro-crate", "crate")):
        made = export(record, kind, folder / name)
        files = sorted(path for path in made.rglob("*") if path.is_file()) if made.is_dir() else [made]
        texts |= {f"{kind} {path.name}": path.read_text(encoding="utf-8") for path in files}
    for where, text in texts.items():
        assert secret not in text, where
    assert json.loads(texts["record"])["model_name"] == "flood"


class Telling(ModelExecutor, register=False):
    """Tells its secret wherever it can."""

    name = "telling"

    def load(self, record):
        record.add_log(record.parameters["note"])
        return [1]

    def run(self, data, record):
        record.metrics["note"] = record.parameters["note"]
        if record.parameters["fails"]:
            raise RuntimeError(record.parameters["note"])
        return data

    def save(self, result, record):
        Path(record.output_path).write_text("made", encoding="utf-8")
        return record


@examples(6)
@given(SECRETS, st.booleans(), st.data())
def test_no_file_of_a_run_holds_a_planted_secret(tmp_path_factory, secret, fails, data):
    store = tmp_path_factory.mktemp("store")
    note, name = data.draw(hidden_in(secret)), data.draw(SECRET_NAMES)
    given_ = {"note": note, name: secret, "fails": fails}
    if fails:
        with pytest.raises(RuntimeError):
            run(Telling, parameters=given_, store=store, source=None)
    else:
        run(Telling, parameters=given_, store=store)
    RunStore(store).annotate("last", note=f"see {note}")
    RunStore(store).entries()
    files = [path for path in store.rglob("*") if path.is_file()]
    assert len(files) >= 3
    for path in files:
        assert secret.encode() not in path.read_bytes(), path.name


@examples(30)
@given(st.text("ab/?&=:@.%#[]0", max_size=30))
def test_what_is_hidden_of_an_address_is_hidden_once(uri):
    once = redact_uri(f"https://{uri}")
    assert redact_uri(once) == once
