"""What is said of records, sweeps and commands, to a person who reads Portuguese; programs read the same as ever."""

from __future__ import annotations

import html
import re
import shutil

import numpy as np
import pytest

from dissmodel_lab import RunStore, records, run, runs, sweep, texts
from dissmodel_lab.changes import Change, change_between
from dissmodel_lab.cli import main
from dissmodel_lab.commands import Grammar
from dissmodel_lab.differences import find_differences
from dissmodel_lab.executor import ExperimentRecord
from dissmodel_lab.language import message
from dissmodel_lab.rasters import Raster, write_raster
from dissmodel_lab.verification.verdict import Verdict, VerdictKind
from dissmodel_lab.views.change_view import change_bundle
from dissmodel_lab.views.comparison import comparison_bundle
from dissmodel_lab.views.comparison_text import CITATION
from dissmodel_lab.views.history import RunControls, history_html
from dissmodel_lab.views.record import record_bundle
from dissmodel_lab.views.sweep import SweepOutputs, SweepPanel, SweepView, sweep_bundle
from dissmodel_lab.views.verdict import integrity_bundle, verdict_bundle

#: Words that any English sentence of ours has, and no Portuguese one, no name and no path of these runs.
ENGLISH = re.compile(
    r"\b(the|of|and|is|are|was|were|with|by|what|which|why|where|when|same|each|all|more|other|newest|values?|cells?"
    r"|parameters?|completed|failed|cancelled|waiting|running|changed|changes|differs?|ended|seconds|reason|point"
    r"|smallest|largest|settings?|recorded|input|nothing|none|from|metrics|first|before|after)\b",
    re.IGNORECASE,
)

#: Paths, names of parameters and options, a band and an artifact: these stay as they are.
NAMES = re.compile(
    r"\S*[/\\]\S*|\bartefato output\b|\bfirst:? +0 de\b|\bplatform +\S+|\b(?:parameters|metrics)\.\S+|--\S+"
)


@pytest.fixture
def store(workspace):
    """Two runs of one model, with an output that a map shows."""
    for generations in (2, 3):
        run("game_of_life", parameters={"generations": generations})
    return RunStore()


@pytest.fixture
def portuguese(monkeypatch):
    """From here on somebody reads Portuguese."""
    monkeypatch.setenv("DISSMODEL_LAB_LANG", "pt")


def words_of(page):
    """Return the texts of a page, those for people who do not see it included."""
    shown = re.sub(r"<(?:style|script).*?</(?:style|script)>", " ", page, flags=re.DOTALL)
    spoken = re.findall(r'(?:alt|aria-label|title|placeholder)="([^"]*)"', shown)
    return html.unescape(" ".join([re.sub(r"<[^>]*>", " ", shown), *spoken]))


def english_in(text):
    """Return the English words in a text, each with its neighbours; names, paths and sources stay English."""
    text = text.replace(CITATION, "").replace(html.escape(CITATION), "")
    text = NAMES.sub(" ", text)
    found = (match.start() for match in ENGLISH.finditer(text))
    return [" ".join(text[max(0, at - 40) : at + 40].split()) for at in found]


def bundle_in_portuguese(bundle, *said):
    """Look at both forms of a view."""
    plain, page = bundle["text/plain"], words_of(bundle["text/html"])
    assert english_in(plain) == []
    assert english_in(page) == []
    for sentence in said:
        assert sentence in plain
    return page


def test_the_runs(store, portuguese):
    table = runs(store, sort="seconds")
    lines = repr(table).splitlines()
    assert lines[0] == "2 de 2 execuções; em ordem de seconds"
    assert re.split(r"  +", lines[1])[:3] == ["execução", "o que difere", "modelo"]
    assert {line.split()[3] for line in lines[2:]} == {"concluída"}
    page = words_of(history_html(table.history))
    assert english_in(page.replace("seconds", "")) == []
    assert page.count("✓ concluída") == 2
    assert repr(runs(store, where="generatoins > 1")).splitlines()[1:] == [
        "Nenhuma execução tem o parâmetro ou a métrica 'generatoins'. Você quis dizer 'generations'?"
    ]


def test_the_controls_of_the_runs(store, portuguese):
    controls = RunControls(runs(store), lambda: None)
    assert [controls.filter.description, controls.previous.description, controls.next.description] == [
        "Filtro", "Anterior", "Próxima",
    ]  # fmt: skip
    button = controls.sort_button("status")
    assert (button.description, button.tooltip) == ("estado", "Ordenar por estado")
    button.click()
    assert button.tooltip == "Ordenar por estado; agora os menores primeiro"


def test_an_empty_store(portuguese):
    assert repr(runs()) == "Ainda não há execuções. Comece uma com: %dissmodel run MODELO"


def test_a_record(store, portuguese):
    record = records.find("last")
    page = bundle_in_portuguese(
        record_bundle(record),
        f"game_of_life: concluída (execução {record.experiment_id[:8]})",
        "  entrada  ",
        "  saída  ",
    )
    assert "Parâmetros" in page
    assert "Proveniência" in page


def test_a_run_that_failed(portuguese):
    record = ExperimentRecord(
        experiment_id="ab12", model_name="flood", status="failed", failed_phase="load", error="ValueError: x"
    )
    page = bundle_in_portuguese(record_bundle(record), "flood: falhou (execução ab12)")
    assert "falhou na fase load" in page


def test_two_runs_and_their_maps(store, portuguese):
    one, other = runs(store)
    comparison = records.compare(other.experiment_id, one.experiment_id)
    page = bundle_in_portuguese(
        comparison_bundle(comparison),
        "1 parâmetro difere; last: 21 de 3,072 células mudaram (0.68 %).",
        "  A mesma entrada, byte a byte: ",
        "outras bandas:",
    )
    assert "Maiores mudanças: " in page
    assert "As saídas não são iguais byte a byte." in page


def test_what_a_run_changed(store, portuguese):
    change = records.changes("last")
    assert isinstance(change, Change)
    page = bundle_in_portuguese(change_bundle(change), "células mudaram", "entrada para saída")
    assert "Células que mudaram, na cor da nova classe" in page
    assert "De (linhas) para (colunas) [células]" in page


def test_values_that_changed(portuguese):
    before = Raster(array=np.arange(12, dtype="float64").reshape(1, 3, 4) / 7, bands=("depth",))
    after = Raster(array=before.array * 1.5, bands=("depth",))
    write_raster(before, "a.tif")
    write_raster(after, "b.tif")
    page = bundle_in_portuguese(change_bundle(change_between("a.tif", "b.tif")), "diferença média", "menor", "maior")
    assert "quantil" in page


def test_a_check(store, portuguese):
    record = records.find("last")
    bundle_in_portuguese(
        integrity_bundle(records.verify(record)), "3 de 3 estão como registrados.", "ok      registro"
    )
    record.artifact_path().write_bytes(b"other")
    page = bundle_in_portuguese(integrity_bundle(records.verify(record)), "alterado")
    assert "DIFERENTE DO REGISTRADO" in page


def test_a_verdict(portuguese):
    for name, by in (("a.tif", 0), ("b.tif", 1)):
        array = np.ones((1, 8, 9), "float32")
        array[0, 4, 5] += by
        write_raster(Raster(array=array, bands=("depth",)), name)
    found = find_differences("a.tif", "b.tif")
    verdict = Verdict(
        kind=VerdictKind.DIFFERENT, of="1a2b3c4d5e", why=found.sentences, figures=found.all_parts,
        reruns=("99887766aa",), differences=found, settings={"timeout": 3},
    )  # fmt: skip
    page = bundle_in_portuguese(
        verdict_bundle(verdict),
        "DIFERENTE: repetição da execução 1a2b3c4d",
        "depth: 1 de 72 células difere, maior diferença 1, em linha 4, coluna 5",
        "feitas para isso: 99887766",
        "1 de 72 células",
    )
    assert "A repetição deu outra coisa." in page
    assert "1 célula difere na banda depth." in page


def test_a_sweep(workspace, portuguese):
    swept = sweep("game_of_life", {"generations": "1,2"}, seeds=1, engine="inline")
    page = bundle_in_portuguese(
        sweep_bundle(swept),
        "varredura de game_of_life: 2 valores de generations = 2 execuções",
        "2 de 2 execuções terminadas: 2 concluídas; terminada em ",
        "ponto  generations  estado",
    )
    assert "em função de generations" in page
    assert "1 a 2 de 2 execuções" in page
    view = SweepView(swept, SweepOutputs())
    assert (view.metric.description, view.x.description) == ("Métrica", "em função de")
    assert view.pages.status.options[:2] == (("todas as execuções", ""), ("concluída", "completed"))
    panel = SweepPanel(swept)
    assert english_in(words_of(panel._head.value + panel._voice.value + panel._table.value)) == []
    panel.close()


def test_the_help(portuguese):
    for grammar in (Grammar("%dissmodel"), Grammar("dissmodel-lab")):
        for name in ("", *grammar.commands):
            text = grammar.parse(["help", *([name] if name else [])]).text
            text = text.partition("Exemplo:")[0]
            text = re.sub(r"^uso: .*?\n\n", "", text, flags=re.DOTALL)
            kept = re.sub(r"(?m)^  [a-z]+  |\b(?:quantiles|natural breaks|none)\b|\".*\"", " ", text)
            kept = re.sub(r"\b[A-Z]{2,}\b", " ", kept)  # what a value is called
            kept = re.sub(r"só pending.*?unreadable", " ", kept, flags=re.DOTALL)
            assert english_in(kept) == [], name


def test_the_language_can_change(monkeypatch):
    grammar = Grammar("dissmodel-lab")
    said = []
    for chosen in ("en", "pt", "en"):
        monkeypatch.setenv("DISSMODEL_LAB_LANG", chosen)
        said.append(grammar.parse(["cancel", "-h"]).text)
    assert said[0] == said[2]
    assert said[0].startswith("usage: dissmodel-lab cancel [-h] ID\n")
    assert said[1].startswith("uso: dissmodel-lab cancel [-h] ID\n")


MISTAKES = [
    (["rnu"], "Erro: dissmodel-lab não tem o comando 'rnu'. Você quis dizer 'run'? Conhecidos: models, "),
    (
        ["runs", "--limit", "many"],
        "Erro: dissmodel-lab runs: argumento --limit: é preciso um número inteiro a partir de 1; recebeu 'many'. ",
    ),
    (["show"], "Erro: dissmodel-lab show: faltam estes argumentos: ID. Uso: dissmodel-lab show [-h] [--json] ID"),
    (["run", "--input"], "Erro: dissmodel-lab run: argumento --input: falta um valor. Uso: "),
    (
        ["runs", "--where", "a = 3"],
        "Erro: dissmodel-lab runs: argumento --where: A condição tem '=' no caractere 3. Escreva == para comparar. ",
    ),
    (["platform", "fetch"], "Erro: platform fetch precisa do id de um trabalho."),
    (["annotate", "last"], "Erro: annotate precisa de algo para escrever: --tag NOME, --untag NOME ou --note TEXTO."),
]


@pytest.mark.parametrize(("words", "said"), MISTAKES, ids=[" ".join(words) for words, _ in MISTAKES])
def test_a_mistake(words, said, capsys, portuguese):
    assert main(words) == 2
    assert capsys.readouterr().err.startswith(said)


def test_what_the_terminal_answers(workspace, capsys, portuguese):
    assert main(["runs"]) == 0
    assert main(["sweeps"]) == 0
    assert main(["cache"]) == 0
    assert main(["validate", "game_of_life"]) == 0
    assert main(["run", "game_of_life", "-p", "generations=2"]) == 0
    assert main(["annotate", "last", "--tag", "tese", "--note", "figura 3"]) == 0
    assert main(["reindex"]) == 0
    assert main(["export", "last", "--format", "csv", "--output", "x.csv"]) == 0
    out, err = capsys.readouterr()
    for sentence in (
        "Ainda não há execuções. Comece uma com: run MODELO",
        "Ainda não há varreduras. Comece uma com: sweep MODELO",
        "0 entrada, 0 B de no máximo ",
        "game_of_life pode ser executado.",
        "Etiquetas: tese. 1 nota.",
        "1 registro.",
        "Gravado: x.csv",
    ):
        assert sentence in out
    assert re.search(r"(?m)^  load      concluída +\d.* pico \d", err)


JSON = [
    ["runs"], ["show", "last"], ["verify", "last"], ["changes", "last"], ["sweeps"], ["queue"], ["cache"],
    ["map", "last.tif"], ["compare", "last", "last"],
]  # fmt: skip


def test_programs_read_the_same_in_any_language(store, capsys, monkeypatch):
    shutil.copy(records.find("last").artifact_path(), "last.tif")
    said = {}
    for chosen in ("en", "pt"):
        monkeypatch.setenv("DISSMODEL_LAB_LANG", chosen)
        for words in JSON:
            main([*words, "--json"])
            said.setdefault(words[0], []).append(capsys.readouterr().out)
    assert [name for name, (english, other) in said.items() if english != other or not english.strip()] == []


def test_the_models(capsys, monkeypatch):
    problem = message("{name} has no command {name!r}. {hint}", name="x", hint="")
    row = ["flood", "study 1.0", "raster or vector", "unknown", "Let it rise.", "study:Flood", problem]
    monkeypatch.setattr(texts, "_models", lambda namespace: [row])
    said = []
    for chosen in ("en", "pt"):
        monkeypatch.setenv("DISSMODEL_LAB_LANG", chosen)
        assert main(["models", "--json"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    columns, [shown], _ = texts.model_table()
    assert columns == ["modelo", "pacote", "entrada", "saída", "o que faz", "executor", "problema"]
    assert shown[2:5] == ["raster ou vetor", "desconhecido", "Let it rise."]
    assert main(["models"]) == 0
    assert capsys.readouterr().out.startswith("modelo  pacote     entrada          saída ")
