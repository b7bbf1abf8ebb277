"""A run -> PROV-JSON, and back into `prov` with everything in it."""

from __future__ import annotations

import hashlib
import json
import warnings

import prov
import pytest
from export_records import failed, finished, foreign, nasty
from prov.model import (
    ProvActivity,
    ProvAgent,
    ProvAssociation,
    ProvCommunication,
    ProvDelegation,
    ProvDerivation,
    ProvDocument,
    ProvEntity,
    ProvGeneration,
    ProvMembership,
    ProvUsage,
)

from dissmodel_lab import ExperimentRecord, run
from dissmodel_lab.errors import ExportError
from dissmodel_lab.exports import export
from dissmodel_lab.exports.prov_json import export_prov, prov_document
from dissmodel_lab.settings import Author, Settings

NOBODY = Settings()
ANA = Settings(author=Author(name="Ana <b>", orcid="0000-0002-1825-0097", affiliation="UFMA"), license="CC-BY-4.0")
RUN = "urn:uuid:01234567-89ab-cdef-0123-456789abcdef#"
FIRST = "99999999999999999999999999999999"


def loaded(record, tmp_path, settings=NOBODY):
    return prov.read(str(export_prov(record, tmp_path / "run.json", settings=settings)), format="json")


def entities(document):
    return {entity.identifier.uri: entity for entity in document.get_records(ProvEntity)}


def facts(thing):
    return {name.localpart: value for name, value in thing.extra_attributes}


def roles(document):
    uses = document.get_records(ProvUsage)
    return sorted(str(next(iter(use.get_attribute("prov:role")))) for use in uses)


def count(document, kind):
    return len(list(document.get_records(kind)))


def test_it_loads_in_prov_with_all_of_it(tmp_path):
    record = finished()
    record.metrics["rate"] = 0.25  # NaN is not equal to itself
    read = loaded(record, tmp_path)
    assert read == prov_document(record, settings=NOBODY)
    kinds = [ProvActivity, ProvAgent, ProvAssociation, ProvDelegation, ProvUsage, ProvGeneration, ProvDerivation]
    assert [count(read, kind) for kind in kinds] == [1, 2, 1, 1, 5, 2, 2]
    assert count(read, ProvMembership) == len(["rise", "years", "is_open", "name", "dist", "demand_csv"]) + 5
    assert count(read, ProvEntity) == len(["input", "file", "cell", "software", "output"]) + 2 + 6 + 5


def test_what_it_says_of_the_run(tmp_path):
    document = loaded(finished(), tmp_path)
    (activity,) = document.get_records(ProvActivity)
    assert activity.identifier.uri == f"{RUN}activity"
    assert activity.get_startTime().isoformat() == "2026-03-01T12:00:00+00:00"
    assert activity.get_endTime().isoformat() == "2026-03-01T12:00:04+00:00"
    said = facts(activity)
    assert (said["status"], said["steps"], said["seed"], said["run_seconds"]) == ("completed", 20, 42, 3.0)
    assert roles(document) == ["cell", "input", "parameter file", "parameters", "software"]


def test_hashes_and_values(tmp_path):
    found = entities(loaded(finished(), tmp_path))
    assert facts(found[f"{RUN}input"])["sha256"] == "aa" * 32
    assert facts(found[f"{RUN}file-demand_csv"])["sha256"] == "bb" * 32
    assert facts(found[f"{RUN}cell"])["sha256"] == "ee" * 32
    output = facts(found[f"{RUN}artifact-output"])
    assert (output["sha256"], output["content_sha256"]) == ("cc" * 32, "dd" * 32)
    rise = facts(found[f"{RUN}parameters-rise"])
    assert (rise["value"], rise["origin"]) == (0.5, "given")
    assert facts(found[f"{RUN}parameters-is_open"])["value"] is True
    assert facts(found[f"{RUN}parameters-name"])["value"] == "São Luís"
    assert str(facts(found[f"{RUN}metrics-rate"])["value"]) == "nan"
    dist = next(entity for entity in found.values() if str(entity.label) == "potential[0].betas.dist")
    assert facts(dist)["origin"] == "toml"


def test_the_output_is_derived_from_what_was_used(tmp_path):
    document = loaded(finished(), tmp_path)
    pairs = {(str(one.args[0].localpart), str(one.args[1].localpart)) for one in document.get_records(ProvDerivation)}
    assert pairs == {("artifact-output", "input"), ("artifact-output", "file-demand_csv")}


def test_the_executor_acts_for_the_person(tmp_path):
    document = loaded(finished(), tmp_path, ANA)
    agents = {agent.identifier.uri: agent for agent in document.get_records(ProvAgent)}
    assert set(agents) == {f"{RUN}executor", "https://orcid.org/0000-0002-1825-0097"}
    assert facts(agents[f"{RUN}executor"])["softwareVersion"] == "floods==1.2.0"
    assert str(agents["https://orcid.org/0000-0002-1825-0097"].label) == "Ana <b>"
    (delegation,) = document.get_records(ProvDelegation)
    assert [name.localpart for name in delegation.args] == ["executor", "0000-0002-1825-0097", "activity"]
    assert facts(entities(document)[f"{RUN}artifact-output"])["license"] == "https://spdx.org/licenses/CC-BY-4.0"


def test_the_settings_file_is_read(tmp_path, workspace):
    (workspace / "dissmodel-lab.toml").write_text('[author]\nname = "Bia"', encoding="utf-8")
    document = loaded(finished(), tmp_path, None)
    assert {str(agent.label) for agent in document.get_records(ProvAgent)} == {"floods.models:Flood", "Bia"}


def test_a_run_that_failed_before_it_loaded_used_no_input(tmp_path):
    document = loaded(failed(), tmp_path)
    (activity,) = document.get_records(ProvActivity)
    said = facts(activity)
    assert (said["status"], said["failed_phase"], said["error"]) == ("failed", "load", "KeyError: 'elevation'")
    assert "input" not in roles(document)
    assert f"{RUN}input" in entities(document)
    assert [count(document, kind) for kind in (ProvGeneration, ProvDerivation)] == [0, 0]


def test_a_cancelled_run_has_no_output_and_says_so(tmp_path):
    record = finished(status="cancelled", failed_phase="run", artifacts={}, content_sha256={}, metrics={})
    document = loaded(record, tmp_path)
    (activity,) = document.get_records(ProvActivity)
    assert facts(activity)["status"] == "cancelled"
    assert "input" in roles(document)
    assert count(document, ProvGeneration) == 0


def test_a_rerun_is_linked_to_the_first_run(tmp_path):
    verdict = {
        "kind": "different",
        "of": FIRST,
        "record_sha256": "ab" * 32,
        "why": ["One.", "Two."],
        "tolerance": 0.5,
    }
    document = loaded(finished(verdict=verdict), tmp_path)
    earlier = "urn:uuid:99999999-9999-9999-9999-999999999999#"
    (informed,) = document.get_records(ProvCommunication)
    assert [name.uri for name in informed.args] == [f"{RUN}activity", f"{earlier}activity"]
    derived = {(one.args[0].uri, one.args[1].uri) for one in document.get_records(ProvDerivation)}
    assert (f"{RUN}verdict", f"{earlier}record") in derived
    said = entities(document)
    assert facts(said[f"{RUN}verdict"])["value"] == "different"
    assert {value for name, value in said[f"{RUN}verdict"].extra_attributes if name.localpart == "why"} == {
        "One.",
        "Two.",
    }
    assert facts(said[f"{earlier}record"])["sha256"] == "ab" * 32
    assert "record of the first run" in roles(document)


def test_documents_of_a_run_and_its_rerun_can_be_merged():
    first = finished(experiment_id=FIRST)
    rerun = finished(verdict={"kind": "identical", "of": FIRST})
    merged = prov_document(rerun, settings=NOBODY)
    merged.update(prov_document(first, settings=NOBODY))
    unified = merged.flattened().unified()
    assert count(unified, ProvActivity) == 2
    outputs = [uri for uri in entities(unified) if uri.endswith("#artifact-output")]
    assert len(outputs) == 2


def test_the_record_of_a_run_on_disk_has_its_hash(tmp_path):
    record = run("game_of_life", parameters={"generations": 2}, store=tmp_path / "runs")
    document = loaded(record, tmp_path)
    uri = next(uri for uri in entities(document) if uri.endswith("#record"))
    assert facts(entities(document)[uri])["sha256"] == hashlib.sha256(record.record_path.read_bytes()).hexdigest()


def test_nothing_hostile_becomes_a_name(tmp_path):
    record = nasty()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = export_prov(record, tmp_path / "run.json", settings=NOBODY)
        document = prov.read(str(path), format="json")
        provn = document.get_provn()
        again = ProvDocument.deserialize(content=provn, format="provn")
    assert document == prov_document(record, settings=NOBODY)
    for kind in (ProvEntity, ProvUsage, ProvMembership, ProvActivity, ProvAgent):
        assert count(again, kind) == count(document, kind)
    raw = json.loads(path.read_text(encoding="utf-8"))
    names = [name for group in raw.values() for name in group]
    names += [name for group in raw.values() for thing in group.values() if isinstance(thing, dict) for name in thing]
    assert not [name for name in names if not name.isascii() or set(name) & set("<>'\"| \n\x00=()")]
    assert "\x00" not in provn
    assert "\x1b" not in provn


def test_the_same_hostile_name_is_the_same_in_every_document():
    one, other = (entities(prov_document(nasty(), settings=NOBODY)) for _ in range(2))
    assert [uri.partition("#")[2] for uri in one] == [uri.partition("#")[2] for uri in other]


def test_secrets_are_hidden(tmp_path):
    path = export_prov(foreign(tmp_path), tmp_path / "run.json", settings=NOBODY)
    assert "s3cr3t" not in path.read_text(encoding="utf-8")
    document = prov.read(str(path), format="json")
    assert [count(document, kind) for kind in (ProvAgent, ProvDelegation, ProvDerivation)] == [1, 0, 1]
    assert roles(document) == ["input", "parameters"]


def test_an_empty_record_is_one_activity_and_one_agent(tmp_path):
    document = loaded(ExperimentRecord(), tmp_path)
    assert [count(document, kind) for kind in (ProvActivity, ProvAgent, ProvEntity)] == [1, 1, 0]


def test_thousands_of_values_are_cut_and_counted(tmp_path):
    record = finished(parameters={f"p{i}": i for i in range(2_500)})
    document = loaded(record, tmp_path)
    assert facts(entities(document)[f"{RUN}parameters"])["left_out"] == 500
    assert count(document, ProvMembership) == 2_000 + 5


def test_without_prov(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "prov.model", None)
    with pytest.raises(ExportError) as raised:
        export(finished(), "prov", tmp_path / "run.json", settings=NOBODY)
    assert str(raised.value).startswith("An export as 'prov' needs the library 'prov': ")
    assert str(raised.value).endswith(" Install it: pip install dissmodel_lab[export]")
