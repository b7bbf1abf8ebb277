"""Secrets that a run was given are found in nothing that is written or shown, through every door."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from dissmodel_lab import RunStore, records, run
from dissmodel_lab.executor import Parameters, report_step
from dissmodel_lab.executor.testing import SteppingExecutor
from dissmodel_lab.journal import told
from dissmodel_lab.redaction import SecretValues
from dissmodel_lab.views.form import ParameterForm

TOKEN, PASSWORD, HOLDER = "tok-9f3aXq77", "p@ss wörd8", "held-Zz81q0"
SECRETS = (TOKEN, PASSWORD, HOLDER)


class Talkative(SteppingExecutor, register=False):
    """Writes its secrets bare, wherever a model can write a text."""

    name = "talkative"
    fails = False

    class Parameters(Parameters):
        """What it needs."""

        api_token: str = ""
        password: str = ""
        holder: SecretStr = SecretStr("")
        n_steps: int = 2

    def run(self, data, record):
        token, password = record.parameters["api_token"], record.parameters["password"]
        held = record.parameters["holder"]
        said = f"{token} {password} {held.get_secret_value() if isinstance(held, SecretStr) else held}"
        record.add_log(f"logged in with {said}")
        record.logs.extend([said, f"{said!r}"])
        record.logs.insert(0, said)
        record.add_warning(said)
        record.metrics["where"] = said
        record.metrics["nested"] = {"all": [said], said: 1}
        report_step(1, 2, f"year {said}", {"area": 1.0})
        report_step(2, 2, lambda: f"year {said}")
        if self.fails:
            raise ValueError(f"the server refused {said}")
        return 1


class Failing(Talkative, register=False):
    """The same, and then it fails."""

    name = "talkative_and_failing"
    fails = True


def leaks_in(folder):
    """Return the files in which a secret stands, in any of the usual spellings."""
    forms = {form for secret in SECRETS for form in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1])}
    found = []
    for path in Path(folder).rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            found += [
                (path.name, form) for form in forms if form.encode() in content or form.encode("utf-16-le") in content
            ]
    return found


def in_texts(*texts):
    return [secret for secret in SECRETS for text in texts if secret in text]


@pytest.mark.parametrize("model", [Talkative, Failing])
def test_nothing_written_or_shown_holds_a_secret(door, model, workspace, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", TOKEN)
    values = {"api_token": TOKEN, "password": PASSWORD, "holder": HOLDER}
    forms = []
    usual = ParameterForm.__init__

    def kept(self, *arguments, **options):
        forms.append(self)
        usual(self, *arguments, **options)

    monkeypatch.setattr(ParameterForm, "__init__", kept)
    outcome = door(model, values)
    assert outcome.record.status == ("failed" if model.fails else "completed")
    assert outcome.record.logs[0] == "*** *** ***"
    assert "logged in with *** *** ***" in outcome.record.logs
    assert outcome.record.metrics["where"] == "*** *** ***"
    if model.fails:
        assert outcome.record.error == "ValueError: the server refused *** *** ***"
    assert leaks_in(workspace) == []
    assert in_texts(*(text for bundle in outcome.shown for text in map(str, bundle.values()))) == []
    if door.name == "cli":  # function and magic let the model's own exception through, as it is
        assert in_texts(outcome.message) == []
    if door.name == "form" and model.fails:
        assert "It failed with ValueError: the server refused *** *** ***" in forms[-1]._failure


@pytest.mark.parametrize("model", [Talkative, Failing])
def test_no_export_and_no_journal_holds_a_secret(model, workspace):
    values = {"api_token": TOKEN, "password": PASSWORD, "holder": HOLDER}
    try:
        record = run(model, parameters=values)
    except ValueError:
        record = None
    [entry] = RunStore().entries()
    lines = told(entry.folder)
    assert in_texts(*lines.logs) == []
    assert any("***" in line for line in lines.logs)
    run_id = entry.experiment_id
    for name, path in (("ro-crate", "c.zip"), ("ro-crate", "crate"), ("prov", "p.json"), ("csv", "r.csv"),
                       ("parquet", "r.parquet"), ("mlflow", "mlruns")):  # fmt: skip
        records.export(run_id, name, path)
    for form in ("text", "markdown", "html"):
        from dissmodel_lab.citation import cite

        Path(f"methods.{form}").write_text(cite(records.find(run_id), form=form))
    assert leaks_in(workspace) == []
    assert record is None or in_texts(*record.logs, str(record.metrics)) == []


def test_secrets_of_an_address_are_found_again_bare():
    secrets = SecretValues()
    secrets.add({}, "https://ana:pa%20ssw0rd@host/x.tif?X-Amz-Signature=abcdef123456&v=1&n=plainvalue")
    assert secrets.hide("pa ssw0rd and pa%20ssw0rd and abcdef123456, ana, plainvalue") == (
        "*** and *** and ***, ana, plainvalue"
    )


def test_short_values_and_other_names_stay():
    secrets = SecretValues()
    secrets.add({"password": "abc", "title": "harmless", "token": None, "api_key": True, "n": [1, 2.0]})
    assert not secrets
    assert secrets.hide("abc harmless") == "abc harmless"


def test_secrets_are_found_at_any_depth_and_whole_first():
    secrets = SecretValues()
    secrets.add({"db": [{"passwords": ["secret1", "secret1-longer"], "x": b"unnamed"}], "token": b"bytes-1"})
    assert secrets.hide("secret1-longer secret1 bytes-1 unnamed") == "*** *** *** unnamed"
    assert secrets.hide_in({"secret1": ["bytes-1", 3]}) == {"***": ["***", 3]}
