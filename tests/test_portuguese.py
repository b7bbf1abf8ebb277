"""What people see with ``DISSMODEL_LAB_LANG=pt``: Portuguese in the views, English in what is recorded."""

from __future__ import annotations

import ast
import html
import inspect
import json
import re

import ipywidgets as widgets
import numpy as np
import pytest
from pydantic import Field

from dissmodel_lab import run
from dissmodel_lab.executor import Parameters
from dissmodel_lab.language import say
from dissmodel_lab.models import CoastalFlood, ForestFire, GameOfLife
from dissmodel_lab.models.words import own_words
from dissmodel_lab.progress import Progress
from dissmodel_lab.texts import summary_of
from dissmodel_lab.views.form import ParameterForm
from dissmodel_lab.views.form.fields import describe
from dissmodel_lab.views.map_view import MapView, map_figure
from dissmodel_lab.views.phases import announcement, phases_html
from dissmodel_lab.views.player import with_players
from dissmodel_lab.views.queue import run_queue
from dissmodel_lab.views.run_panel import run_in_cell

_WORDS = """
about above allowed and are at attention be below between by cancel cancelled cells change changes choose colours
completed copied copy default done each failed fine for found from goes here how in input is it its kept least left
load lost more most needed needs none not of on only or output over own parameter parameters phase picture pictures
ready reset running same save secret shown sample starting step steps than that the there this to unknown upload
validate value values waiting what when where which whole with your
"""
#: Words that no Portuguese sentence of ours holds.
ENGLISH = frozenset(_WORDS.split())


@pytest.fixture(autouse=True)
def portuguese(monkeypatch, workspace):
    """The person reads Portuguese."""
    monkeypatch.setenv("DISSMODEL_LAB_LANG", "pt")


class Place:
    """An output that keeps all that it showed, as text."""

    def __init__(self):
        self.texts = []

    def show_widget(self, widget, fallback=""):
        self.widget = widget
        self.texts.append(f"{seen(widget)} {fallback}")

    def show_static(self, bundle):
        self.texts.append(f"{plain(bundle['text/html'])} {bundle['text/plain']}")


def plain(page):
    """Return what a person reads or hears of a page: texts, and the words for pictures and regions."""
    said = re.findall(r'(?:alt|aria-label|title)="([^"]*)"', page)
    return html.unescape(re.sub(r"<style.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL) + " ".join(said))


def seen(widget):
    """Return what a person reads or hears of a widget and of those in it."""
    words = [getattr(widget, name, "") or "" for name in ("description", "placeholder", "tooltip")]
    words += [plain(widget.value)] if isinstance(widget, widgets.HTML) else []
    words += list(getattr(widget, "titles", ()))
    words += [str(label) for label in getattr(widget, "_options_labels", ())]
    return " ".join([*words, *map(seen, getattr(widget, "children", ()))])


def english_in(text):
    """Return the English words of a text; ids, names with underscores and paths are none."""
    return sorted(ENGLISH & {word.lower() for word in re.findall(r"(?<![\w/.%-])[^\W\d]\w*(?![\w/-]|\.\w)", text)})


def test_the_form():
    form = ParameterForm(
        "game_of_life",
        GameOfLife.Parameters,
        on_run=lambda request: None,
        description=summary_of(GameOfLife),
        offers_engines=True,
    )
    text = seen(form.widget)
    assert "Quantas vezes a regra é aplicada — um número inteiro entre 0 e 10000; padrão 120" in text
    assert "Faz células nascerem e morrerem pela regra de Conway" in text
    assert "Pronto para executar." in text
    assert "em segundo plano; o notebook fica livre" in text
    assert english_in(text) == []
    assert english_in(plain(form._repr_mimebundle_()["text/html"])) == []
    form.set_values({"generations": -1})
    assert "1 valor precisa de atenção: generations." in seen(form.widget)


@pytest.mark.parametrize(
    ("choice", "engine"), [(0, "here"), (1, "worker"), (2, "background")], ids=["here", "worker", "background"]
)
def test_the_forms_choices_mean_the_same(choice, engine):
    form = ParameterForm("game_of_life", GameOfLife.Parameters, offers_engines=True)
    form._engine.index = choice
    assert form.engine == engine


def test_a_modellers_own_words_stay_as_they_are():
    """A description is never a template, whatever braces it holds."""
    strange = "Share of {cells} in {0} and {n:,} or {"
    assert own_words(strange) == strange

    class Odd(Parameters):
        share: float = Field(0.5, title="the {share} of {0", description=strange)

    assert describe(Odd)[0].description == strange
    text = seen(ParameterForm("strange", Odd, description=strange).widget)
    assert text.count(strange) == 2
    assert "the {share} of {0" in text


@pytest.mark.parametrize("model", [CoastalFlood, ForestFire, GameOfLife])
def test_the_built_in_models_speak_portuguese(model):
    """Each sentence stands twice: as a docstring, and for the catalogs. They are equal."""
    described = [summary_of(model), *(fact.description for fact in describe(model.Parameters))]
    assert [text for text in described if say(str(own_words(text))) == text] == []
    assert ast.get_docstring(ast.parse(inspect.getsource(model)).body[0]).startswith(summary_of(model))


def test_the_panel_through_a_real_run():
    page, panel = Place(), Place()
    record = run_in_cell(lambda listeners: run("game_of_life", parameters={"generations": 3}, **listeners._asdict()),
                         page, panel)  # fmt: skip
    live, explore = page.texts[0], panel.texts[-1]
    for word in ("validação", "carga", "execução", "gravação", "aguardando", "Cancelar"):
        assert word in live
    assert english_in(live) == []
    for word in ("Passo a passo", "Camada", "Cores e classes", "Clique no mapa", "Porcentagens de 3,072 células."):
        assert word in explore
    assert "passo 3 de 3: generation 3" in explore
    known = json.loads(record.record_path.read_text(encoding="utf-8"))
    assert (known["status"], list(known["phases"])) == ("completed", ["validate", "load", "run", "save"])
    written = "".join(path.read_text(encoding="utf-8") for path in record.record_path.parent.glob("*.json*"))
    assert not re.search(r"[ãõçáéíóúâêô]", written)


def test_the_phases_of_a_run_that_failed():
    progress = Progress()
    assert announcement(progress) == "execução: iniciando"
    progress.status = "failed"
    progress.step, progress.n_steps, progress.label, progress.part = 2, 5, "ano 2030", 2
    assert announcement(progress) == "execução falhou"
    text = plain(phases_html(progress))
    assert "simulação 2, passo 2 de 5 (ano 2030)" in text
    assert english_in(text) == []


def test_a_map_with_its_legend_and_notes():
    from dissmodel_lab.maps import preview

    picture = preview(np.array([[0.0, 1.5, np.nan], [2.5, 3.5, 9.0]]))
    text = plain(map_figure(picture, "mapa"))
    assert "Barra mais alta" in text
    assert "plano, sem georreferência; 3 x 2 células" in text
    assert english_in(text) == []


def test_two_maps_to_explore():
    view = MapView({"antes": np.eye(3, dtype="uint8"), "depois": np.eye(4, dtype="uint8")}, mode="side by side")
    assert view.errors == []
    assert (view.mode.value, view.mode.label) == ("side by side", "lado a lado")
    text = seen(view.widget) + plain(view.twin()["text/html"]) + view.twin()["text/plain"]
    assert "Esquerda: antes. Direita: depois." in text
    assert english_in(text.replace("OpenStreetMap", "")) == []
    view.mode.value = "swipe"
    assert "sem cortina, ela compararia lugares diferentes" in seen(view.widget)


def test_the_queue_and_the_script_of_a_report():
    assert str(run_queue()) == "Nenhuma execução aguarda ou trabalha."
    page = with_players("<body><div class='dl-film'></div></body>")
    assert "play.textContent = 'Reproduzir'" in page
    assert "'Play'" not in page
