"""A run -> the methods text of a paper, in two languages and three forms."""

from __future__ import annotations

import datetime as dt
import html
import re
import sys
from html.parser import HTMLParser

import mistune
import pytest
from export_records import failed, finished, foreign, nasty

from dissmodel_lab import ExperimentRecord, run
from dissmodel_lab.citation import FORMS, LANGUAGES, cite
from dissmodel_lab.errors import ExportError
from dissmodel_lab.executor.schemas import GitState, Provenance
from dissmodel_lab.settings import Author, Settings

NOBODY = Settings()
ANA = Settings(author=Author(name="Ana Souza", orcid="0000-0002-1825-0097"), license="CC-BY-4.0")
RENDER = mistune.create_markdown(escape=False, plugins=["table", "strikethrough", "url"])


def paragraph(record, language="en", settings=NOBODY):
    return cite(record, language=language, settings=settings).split("\n")[0]


def test_the_english_paragraph():
    assert paragraph(finished()) == (
        "The simulation was run with the model flood (floods 1.2.0, git commit ffffffffffff, with uncommitted "
        "changes) on 1 March 2026. It used Python 3.12.1, dissmodel_lab 0.1.0, NumPy 2.4.0 and GDAL 3.10.3. "
        f"The input was dem.tif (SHA-256 {'aa' * 32}). "
        "Of its 6 parameters, 5 were given and the other had its default value (Table 1). "
        "The random seed was 42. It completed 20 steps in 4 s. "
        f"The output, flood.tif, has the SHA-256 {'cc' * 32}. "
        "The record of the run has the id 0123456789abcdef0123456789abcdef."
    )


def test_the_portuguese_paragraph():
    record = finished(metrics={"time_total_sec": 4.25}, steps=12_000)
    assert paragraph(record, "pt", ANA) == (
        "A simulação foi executada com o modelo flood (floods 1.2.0, commit git ffffffffffff, com alterações ainda "
        "não registradas no git) em 1º de março de 2026. Foram usados Python 3.12.1, dissmodel_lab 0.1.0, NumPy "
        f"2.4.0 e GDAL 3.10.3. Os dados de entrada vieram de dem.tif (SHA-256 {'aa' * 32}). "
        "Dos 6 parâmetros, 5 foram informados e o outro tinha o valor padrão (Tabela 1). "
        "A semente aleatória foi 42. Foram concluídos 12.000 passos em 4,25 s. "
        f"A saída, flood.tif, tem o SHA-256 {'cc' * 32}. "
        "A execução foi feita por Ana Souza (ORCID 0000-0002-1825-0097) e está registrada com o identificador "
        "0123456789abcdef0123456789abcdef. Suas saídas são compartilhadas sob a licença CC-BY-4.0."
    )


def test_tables_and_references():
    text = cite(finished(), settings=NOBODY)
    assert text.split("\n\n", 1)[1] == (
        "Table 1. Parameters\n"
        "Parameter                Value            Origin\n"
        "rise                     0.5              given\n"
        "years                    20               default\n"
        "is_open                  true             TOML file\n"
        "name                     São Luís         given\n"
        "potential[0].betas.dist  2.388e-07        TOML file\n"
        "demand_csv               data/demand.csv  given\n"
        "\n"
        "Table 2. Data and results\n"
        "Item                File        SHA-256\n"
        f"input               dem.tif     {'aa' * 32}\n"
        f"file of demand_csv  demand.csv  {'bb' * 32}\n"
        f"output              flood.tif   {'cc' * 32}\n"
        "\n"
        "Table 3. Software environment\n"
        "Name           Version\n"
        "dissmodel_lab  0.1.0\n"
        "gdal           3.10.3\n"
        "numpy          2.4.0\n"
        "python         3.12.1\n"
        "\n"
        "Software references\n"
        "The dissmodel_lab developers (2026). dissmodel_lab version 0.1.0.\n"
        "GDAL/OGR contributors. GDAL/OGR Geospatial Data Abstraction software Library, version 3.10.3. "
        "Open Source Geospatial Foundation. https://doi.org/10.5281/zenodo.5884351\n"
    )


def test_a_built_in_model_tells_units_and_sources(tmp_path):
    record = run("coastal_flood", parameters={"end_year": 2025}, store=tmp_path)
    text = cite(record, language="pt-BR", settings=NOBODY)
    assert re.search(r"^sea_level_rise +\S+ +m +padrão$", text, re.MULTILINE)
    assert re.search(r"^end_year +2025 +year +informado$", text, re.MULTILINE)
    assert "A documentação do modelo indica estas fontes: https://doi.org/10.1080/13658810701371858 e https" in text
    assert "Rasterio: geospatial raster I/O" in text
    assert "DisSModel" not in text
    assert "GeoPandas" not in text


def test_no_module_is_imported_for_units(tmp_path, monkeypatch):
    (tmp_path / "nowhere_seen.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    record = finished(provenance=Provenance(executor_class="nowhere_seen:Model"))
    assert "Unit" not in cite(record, settings=NOBODY)
    assert "nowhere_seen" not in sys.modules
    record = finished(provenance=Provenance(executor_class="dissmodel_lab.models.no_such:Model"))
    assert "Unit" not in cite(record, settings=NOBODY)


def test_a_foreign_record_says_what_it_knows(tmp_path):
    record = foreign(tmp_path)
    assert paragraph(record) == (
        "The simulation was run with the model lucc (disslucc 0.5.0) on 1 March 2026. It used DisSModel 0.5.1. "
        f"The input was grid.zip (SHA-256 {'ab' * 32}). It had 2 parameters (Table 1). It took 4 s. "
        f"The output, out.gpkg, has the SHA-256 {'cd' * 32}. The record of the run has the id {'f' * 32}."
    )
    assert paragraph(record, "pt").startswith("A simulação foi executada com o modelo lucc (disslucc 0.5.0) em 1º de")
    assert "O modelo teve 2 parâmetros (Tabela 1). A execução levou 4 s." in paragraph(record, "pt")
    text = cite(record, settings=NOBODY)
    assert "s3cr3t" not in text
    assert "Costa, S. S., Santos Junior, N. J., Sousa, F. M. and Bezerra, D. S. (2026). DisSModel" in text


@pytest.mark.parametrize(
    ("commit", "shown"), [("local-cli", ""), ("a1b2c3d", " (git commit a1b2c3d)"), ("dev", ""), ("x==1", " (x 1)")]
)
def test_what_a_model_commit_says(tmp_path, commit, shown):
    record = foreign(tmp_path, model_commit=commit, code_version="dev")
    assert paragraph(record).startswith(
        f"The simulation was run with the model lucc{shown} on 1 March 2026. The input"
    )


def test_an_empty_record_has_no_holes():
    record = ExperimentRecord(experiment_id="ab12", created_at=dt.datetime(2026, 12, 31, tzinfo=dt.UTC), status="")
    assert cite(record, settings=NOBODY) == (
        "The simulation was run on 31 December 2026. The record of the run has the id ab12.\n"
    )
    assert cite(record, language="pt", settings=NOBODY) == (
        "A simulação foi executada em 31 de dezembro de 2026. O registro da execução tem o identificador ab12.\n"
    )


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("make", [finished, failed, nasty, ExperimentRecord])
def test_no_sentence_is_broken(language, form, make):
    text = cite(make(), language=language, form=form, settings=NOBODY)
    assert not re.search(r"\bNone\b|\{\w*\}|\(\)|\( |  \.| ,", text.split("\n")[0])


@pytest.mark.parametrize("missing", sorted(set(ExperimentRecord.model_fields) - {"experiment_id", "created_at"}))
def test_any_fact_may_be_missing(missing):
    default = ExperimentRecord.model_fields[missing].get_default(call_default_factory=True)
    for language in LANGUAGES:
        text = paragraph(finished(**{missing: default}), language)
        assert "None" not in text
        assert re.fullmatch(r"(?:[A-Z][^()]*(?:\([^()]*\)[^()]*)*\.(?: |$))+", text), text


@pytest.mark.parametrize(
    ("status", "english", "portuguese"),
    [
        (
            "failed",
            "The run did not complete: it failed in the phase load (KeyError: 'elevation').",
            "A execução não foi concluída: falhou na fase load (KeyError: 'elevation').",
        ),
        (
            "cancelled",
            "The run did not complete: it was cancelled in the phase load.",
            "A execução não foi concluída: foi cancelada na fase load.",
        ),
        (
            "running",
            "According to its record, the run has not ended.",
            "Segundo o seu registro, a execução ainda não terminou.",
        ),
        (
            "pending",
            "Its record does not say that it completed (status: pending).",
            "O registro não diz que a execução foi concluída (status: pending).",
        ),
    ],
)
def test_a_run_that_did_not_complete_is_not_told_as_one(status, english, portuguese):
    assert english in paragraph(failed(status=status))
    assert portuguese in paragraph(failed(status=status), "pt")


@pytest.mark.parametrize(
    ("origins", "english", "portuguese"),
    [
        (["given"], "Its one parameter was given (Table 1).", "Seu único parâmetro foi informado (Tabela 1)."),
        (
            ["default"],
            "Its one parameter had its default value (Table 1).",
            "Seu único parâmetro tinha o valor padrão (Tabela 1).",
        ),
        (["model"], "It had one parameter (Table 1).", "O modelo teve um parâmetro (Tabela 1)."),
        (
            ["given", "toml"],
            "All 2 parameters were given (Table 1).",
            "Todos os 2 parâmetros foram informados (Tabela 1).",
        ),
        (
            ["default", "default"],
            "All 2 parameters had their default values (Table 1).",
            "Todos os 2 parâmetros tinham os valores padrão (Tabela 1).",
        ),
        (
            ["given", "default"],
            "Of its 2 parameters, 1 was given and the other had its default value (Table 1).",
            "Dos 2 parâmetros, 1 foi informado e o outro tinha o valor padrão (Tabela 1).",
        ),
        (
            ["given", "default", "default"],
            "Of its 3 parameters, 1 was given and the others had their default values (Table 1).",
            "Dos 3 parâmetros, 1 foi informado e os demais tinham os valores padrão (Tabela 1).",
        ),
        (["given", "model"], "It had 2 parameters (Table 1).", "O modelo teve 2 parâmetros (Tabela 1)."),
    ],
)
def test_grammar_of_parameters(origins, english, portuguese):
    names = [f"p{i}" for i in range(len(origins))]
    record = finished(parameters=dict.fromkeys(names, 1), parameter_origins=dict(zip(names, origins, strict=True)))
    assert english in paragraph(record)
    assert portuguese in paragraph(record, "pt")


def test_defaults_that_the_code_took_are_parameters_too():
    record = finished(parameters={"a": 1}, parameter_origins={"a": "given"}, defaults_taken={"end_time": 88})
    assert "Of its 2 parameters, 1 was given and the other had its default value (Table 1)." in paragraph(record)
    assert re.search(r"^end_time +88 +default in the code$", cite(record, settings=NOBODY), re.MULTILINE)


@pytest.mark.parametrize(
    ("steps", "seconds", "english", "portuguese"),
    [
        (1, 0.5, "It completed 1 step in 0.5 s.", "Foi concluído 1 passo em 0,5 s."),
        (0, None, "It completed 0 steps.", "Foram concluídos 0 passos."),
        (None, 7_260, "It took 2 h 1 min.", "A execução levou 2 h 1 min."),
        (
            1_500,
            0.0001,
            "It completed 1,500 steps in less than 1 ms.",
            "Foram concluídos 1.500 passos em menos de 1 ms.",
        ),
    ],
)
def test_grammar_of_time(steps, seconds, english, portuguese):
    record = finished(steps=steps, phases={}, metrics={} if seconds is None else {"time_total_sec": seconds})
    assert english in paragraph(record)
    assert portuguese in paragraph(record, "pt")


@pytest.mark.parametrize(
    ("kind", "english", "portuguese"),
    [
        ("identical", "the outputs are identical, byte by byte", "as saídas são idênticas, byte a byte"),
        ("same content", "the outputs have the same content", "as saídas têm o mesmo conteúdo"),
        (
            "within tolerance",
            "the outputs agree within the tolerance that was asked for (0.01)",
            "as saídas coincidem dentro da tolerância pedida (0,01)",
        ),
        ("different", "the outputs differ", "as saídas são diferentes"),
        (
            "cannot verify",
            "whether the results are the same could not be verified",
            "não foi possível verificar se os resultados são os mesmos",
        ),
    ],
)
def test_verdicts(kind, english, portuguese):
    record = finished(verdict={"kind": kind, "of": "9" * 32, "tolerance": 0.01})
    assert f"This run repeated the run 99999999: {english}." in paragraph(record)
    assert f"Esta execução repetiu a execução 99999999: {portuguese}." in paragraph(record, "pt")


def test_every_verdict_has_words():
    from dissmodel_lab.verification.verdict import VerdictKind

    for kind in VerdictKind:
        assert "This run repeated" in paragraph(finished(verdict={"kind": kind.value, "of": "9" * 32}))


def test_inputs():
    def told(**source):
        return paragraph(finished(source=source))

    assert "The input was synthetic." in told(uri="synthetic")
    assert "The input was dem.tif (without a recorded checksum)." in told(uri=r"C:\data\dem.tif")
    assert "The input was https://***@x.org/dem.tif (version 3, SHA-256 ab)." in told(
        uri="https://ana:pw@x.org/dem.tif", version="3", checksum="ab"
    )
    assert "The input" not in told(uri="")


def test_dissmodel_is_cited_where_it_was_used():
    versions = {"dissmodel_lab": "0.1.0", "dissmodel": "0.6.6"}

    def cited(executor_class, cell=""):
        facts = Provenance(executor_class=executor_class, cell_source=cell, versions=versions)
        return "DisSModel" in paragraph(finished(provenance=facts))

    assert cited("somewhere.else:Model")
    assert not cited("dissmodel_lab.models.game_of_life:GameOfLife")
    assert not cited("dissmodel_lab.cells:CellExecutor", "%%dissmodel cell\nx = 1")
    assert cited("dissmodel_lab.cells:CellExecutor", "%%dissmodel cell\nfrom dissmodel.core import Model")
    assert not cited(f"{__name__}:OfTheLab")


class OfTheLab:
    """A class that is loaded, and made with nothing of PyPI dissmodel."""


def test_html_is_only_what_a_notebook_keeps():
    allowed = {"p", "b", "table", "tr", "th", "td", "ul", "li"}
    seen = set()

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            seen.add(tag)
            assert {name for name, _ in attrs} <= {"style"}

    text = cite(nasty(), form="html", settings=NOBODY)
    Reader().feed(text)
    assert seen == allowed - ({"ul", "li"} - seen)
    assert "onerror" in html.unescape(text)
    assert "<img" not in text


def test_markdown_shows_the_record_and_obeys_nothing():
    shown = RENDER(cite(nasty(), form="markdown", settings=NOBODY))
    assert set(re.findall(r"<(\w+)", shown)) <= {
        "p",
        "strong",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "ul",
        "li",
        "a",
    }
    assert not re.search(r'href="(?!https://(?:doi\.org|github\.com)/)', shown)
    assert "\x00" not in shown


def test_long_tables_are_cut():
    record = finished(parameters={f"p{i}": i for i in range(250)}, parameter_origins={})
    assert "(50 more in the record)" in cite(record, settings=NOBODY)
    assert "(mais 50 no registro)" in cite(record, language="pt", settings=NOBODY)


def test_clean_commits_are_clean():
    record = finished(provenance=Provenance(executor_git=GitState(commit="a" * 40, dirty=False)))
    assert "with the model flood (git commit aaaaaaaaaaaa) on" in paragraph(record)


def test_the_settings_file_is_read(workspace):
    (workspace / "dissmodel-lab.toml").write_text('[author]\nname = "Bia"', encoding="utf-8")
    assert "The run was made by Bia and is recorded under the id" in cite(finished())


def test_other_languages_and_forms():
    with pytest.raises(ExportError) as raised:
        cite(finished(), language="es")
    assert str(raised.value) == "There is no methods text in 'es'. Known: en, pt."
    with pytest.raises(ExportError) as raised:
        cite(finished(), form="markdwon")
    assert str(raised.value) == (
        "There is no methods text as 'markdwon'. Did you mean 'markdown'? Known: text, markdown, html."
    )
    assert cite(finished(), language="pt_BR", settings=NOBODY) == cite(finished(), language="PT", settings=NOBODY)


def test_both_languages_say_the_same_things():
    from dissmodel_lab.citation.words import _ENGLISH, _PORTUGUESE

    assert list(_ENGLISH) == list(_PORTUGUESE)
    for key, text in _ENGLISH.items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", _PORTUGUESE[key])), key
