"""Sentences in two languages: what is shown is translated, what is recorded stays English, and none is forgotten."""

from __future__ import annotations

import copy
import gettext
import json
import locale
import pickle

import catalog
import pytest

from dissmodel_lab import language
from dissmodel_lab.cli import EXIT_USAGE, main
from dissmodel_lab.errors import LabError, OutputError, SourceError
from dissmodel_lab.language import Message, in_language, mark, message, say, say_in, say_n
from dissmodel_lab.redaction import redact_text

LINE = "{path!r} is {share:.0%} too wide{why}."
PORTUGUESE = {
    LINE: "{share} a mais tem {path!r}{why}.",
    " because of {what}": " por causa de {what}",
    "No runs.": "Nenhuma execução.",
    "{{{name}}} is kept": "{{{name}}} fica",
    ("verb", "Run"): "Executar",
    ("noun", "Run"): "Execução",
    ("{n} run of {model}", 0): "{n} execução de {model}",
    ("{n} run of {model}", 1): "{n} execuções de {model}",
}


class _Known(gettext.NullTranslations):
    """A catalog in memory, which counts as Portuguese does."""

    def gettext(self, message):
        return PORTUGUESE.get(message, message)

    def pgettext(self, context, message):
        return PORTUGUESE.get((context, message), message)

    def ngettext(self, msgid1, msgid2, n):
        return PORTUGUESE.get((msgid1, int(n > 1)), msgid1 if n == 1 else msgid2)


@pytest.fixture
def portuguese(monkeypatch):
    """The person reads Portuguese, and there is a small catalog."""
    monkeypatch.setenv(language.VARIABLE, "pt")
    monkeypatch.setattr(language, "_catalog", lambda code: _Known())


@pytest.fixture
def no_locale(monkeypatch):
    """No variable chooses a language."""
    for name in (language.VARIABLE, "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_a_message_is_english_text_wherever_it_goes(portuguese):
    said = message(LINE, path="a.tif", share=0.256, why="")
    assert said == "'a.tif' is 26% too wide."
    assert f"{said} Then." == "'a.tif' is 26% too wide. Then."
    assert (json.dumps({said: said}), str(said), type(str(said))) == (
        "{\"'a.tif' is 26% too wide.\": \"'a.tif' is 26% too wide.\"}",
        "'a.tif' is 26% too wide.",
        str,
    )
    assert hash(said) == hash(str(said))
    assert isinstance(said, str)
    assert isinstance(said.upper(), str)


def test_a_message_is_shown_in_the_language_of_the_person(portuguese):
    assert in_language(message(LINE, path="a.tif", share=0.256, why="")) == "26% a mais tem 'a.tif'."
    assert in_language(message(LINE, path="a.tif", share=0.256, why=""), "en") == "'a.tif' is 26% too wide."
    assert say("No runs.") == "Nenhuma execução."
    assert mark("No runs.") == "No runs."
    assert say(mark("No runs.")) == "Nenhuma execução."


def test_a_message_within_a_message_is_translated_too(portuguese):
    said = message(LINE, path="a", share=1, why=message(" because of {what}", what="it"))
    assert said == "'a' is 100% too wide because of it."
    assert in_language(said) == "100% a mais tem 'a' por causa de it."
    assert say(LINE, path="a", share=1, why=message(" because of {what}", what="it")) == in_language(said)


@pytest.mark.parametrize(
    "again", [*(lambda s, p=p: pickle.loads(pickle.dumps(s, p)) for p in range(6)), copy.deepcopy]
)
def test_a_message_travels_whole(portuguese, again):
    said = again(message(LINE, path="a", share=1, why=message(" because of {what}", what="it")))
    assert type(said) is Message
    assert said == "'a' is 100% too wide because of it."
    assert in_language(said) == "100% a mais tem 'a' por causa de it."
    assert again(Message("Run", context="verb")).context == "verb"


def test_an_error_that_travelled_is_still_said_in_the_language(portuguese):
    error = pickle.loads(pickle.dumps(SourceError(message("No runs."))))
    assert (str(error), error.said, repr(error)) == ("No runs.", "Nenhuma execução.", "SourceError('No runs.')")


def test_what_is_said_of_an_error(portuguese):
    assert OutputError(message("No runs.")).said == "Nenhuma execução."
    assert str(OutputError(message("No runs."))) == "No runs."
    assert LabError("as a model wrote it").said == "as a model wrote it"
    assert LabError().said == ""
    assert OutputError(28, "No space").said == "[Errno 28] No space"
    assert LabError(7).said == "7"


def test_one_and_many(portuguese):
    one, many = "{n} run of {model}", "{n} runs of {model}"
    said = [say_n(one, many, n, model="x") for n in (0, 1, 2, 12_000)]
    assert said == ["0 execução de x", "1 execução de x", "2 execuções de x", "12,000 execuções de x"]


def test_one_and_many_in_english():
    one, many = "{n} run of {model}", "{n} runs of {model}"
    said = [say_n(one, many, n, model="x") for n in (0, 1, 2, 12_000)]
    assert said == ["0 runs of x", "1 run of x", "2 runs of x", "12,000 runs of x"]


def test_one_word_with_two_meanings(portuguese):
    assert (say_in("verb", "Run"), say_in("noun", "Run"), say("Run")) == ("Executar", "Execução", "Run")


def test_a_sentence_that_nobody_has_translated_is_english(portuguese):
    assert say("{n} of {total}", n=1, total=2) == "1 of 2"
    assert say_n("{n} thing", "{n} things", 3) == "3 things"


def test_braces_of_values_and_of_templates_stay(portuguese):
    said = message("{{{name}}} is kept", name="{path!r} {0}")
    assert said == "{{path!r} {0}} is kept"
    assert in_language(said) == "{{path!r} {0}} fica"
    assert in_language("{not} a {template") == "{not} a {template"


def test_a_value_is_written_as_the_template_asks(portuguese):
    said = message("{a!r:.4} {b:>4} {c!s} {d}", a="abcdef", b=1.5, c=None, d=True)
    assert said == "'abc  1.5 None True"
    assert in_language(said) == said


def test_a_value_that_changes_later_does_not_change_the_message():
    values = [1]
    said = message("{values}", values=values)
    values.append(2)
    assert in_language(said, "pt") == said == "[1]"


def test_a_missing_value_is_a_mistake_of_ours():
    with pytest.raises(KeyError, match="path"):
        message("{path}")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("pt", "pt"), ("pt_BR.UTF-8", "pt"), ("pt-PT", "pt"), ("PT_br", "pt"), ("Portuguese_Brazil.1252", "pt"),
        ("en", "en"), ("en_GB.UTF-8", "en"), ("C", "en"), ("C.UTF-8", "en"), ("POSIX", "en"), ("de_DE", "en"),
        ("ptx", "en"), ("p", "en"), ("../../etc", "en"), ("pt/../..", "en"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("variable", [language.VARIABLE, "LANG"])
def test_a_locale_chooses_the_language(no_locale, variable, name, code):
    no_locale.setenv(variable, name)
    assert language.language() == code


def test_the_variable_is_asked_before_the_locale_and_the_locale_in_its_order(no_locale):
    no_locale.setattr(locale, "getlocale", lambda: ("pt_BR", "UTF-8"))
    assert language.language() == "pt"
    no_locale.setenv("LANG", "en_US.UTF-8")
    assert language.language() == "en"
    no_locale.setenv("LC_MESSAGES", "pt_BR")
    assert language.language() == "pt"
    no_locale.setenv("LC_ALL", "C")
    assert language.language() == "en"
    no_locale.setenv(language.VARIABLE, "pt")
    assert language.language() == "pt"
    no_locale.setenv(language.VARIABLE, "")
    assert language.language() == "en"


def test_without_any_locale_it_is_english(no_locale):
    no_locale.setattr(locale, "getlocale", lambda: (None, None))
    assert language.language() == "en"


def test_without_a_catalog_it_is_english(monkeypatch, tmp_path):
    monkeypatch.setenv(language.VARIABLE, "pt")
    monkeypatch.setattr(language, "_CATALOGS", tmp_path)
    language._catalog.cache_clear()
    try:
        assert say("{n} of {total} steps", n=1, total=2) == "1 of 2 steps"
    finally:
        language._catalog.cache_clear()


def test_a_terminal_in_portuguese_says_what_is_wrong_in_portuguese(monkeypatch, capsys):
    monkeypatch.setenv(language.VARIABLE, "pt_BR")
    assert main(["validate", "no_such_model"]) == EXIT_USAGE
    assert "Nenhum modelo se chama 'no_such_model'." in capsys.readouterr().err


def test_a_secret_is_hidden_in_every_language(monkeypatch):
    monkeypatch.setenv(language.VARIABLE, "pt")
    said = redact_text(message("{name} doesn't exist. Check the path.", name="s3://key:pw@bucket/x.tif"))
    assert said == "s3://***@bucket/x.tif doesn't exist. Check the path."
    assert in_language(said) == "s3://***@bucket/x.tif não existe. Verifique o caminho."


def test_what_hides_a_part_of_the_sentence_itself_leaves_plain_english(portuguese):
    said = language.changed(message("No runs."), lambda text: text.replace("runs", "***"))
    assert (said, in_language(said), type(said)) == ("No ***.", "No ***.", str)


def test_an_error_within_a_sentence_is_translated_too(portuguese):
    said = message(" because of {what}", what=LabError(message("No runs.")))
    assert (said, in_language(said)) == (" because of No runs.", " por causa de Nenhuma execução.")


CALLS = catalog.calls()


def test_templates_are_literals_and_get_the_names_that_they_ask_for():
    assert [f"{call.place}: {call.problem}" for call in CALLS if call.problem] == []
    wrong = [
        (call.place, sorted(call.names), sentence.one)
        for call in CALLS
        for sentence in call.sentences
        if call.names is not None and catalog.fields(sentence.one) | catalog.fields(sentence.many) != call.names
    ]
    assert wrong == []


def test_every_sentence_of_the_code_is_translated_and_no_other():
    kept = catalog.read()
    said = {(sentence.context, sentence.id) for sentence in catalog.sentences()}
    there = {(entry.context or "", entry.id) for entry in kept if entry.id}
    assert sorted(map(str, said ^ there)) == []
    assert catalog.untranslated(kept) == []
    assert [entry.id for entry in kept if entry.fuzzy and entry.id] == []


def test_a_translation_has_the_names_of_its_sentence():
    wrong = []
    for entry in catalog.read():
        english = entry.id if isinstance(entry.id, tuple) else (entry.id,)
        wanted = set().union(*map(catalog.fields, english))
        for text in entry.string if isinstance(entry.string, tuple) else (entry.string,):
            has = catalog.fields(text) if entry.id else wanted
            if has != wanted and not (len(english) > 1 and has == wanted - {"n"}):
                wrong.append((entry.id, text))
    assert wrong == []


def test_a_translation_ends_as_its_sentence_does():
    def ends(text):
        body = text.rstrip()
        return (text[: len(text) - len(text.lstrip())], text[len(body) :], body[-1:] if body[-1:] in ".:?" else "")

    wrong = [
        (english, text)
        for entry in catalog.read()
        if entry.id
        for english, text in zip(
            entry.id if isinstance(entry.id, tuple) else (entry.id,),
            entry.string if isinstance(entry.string, tuple) else (entry.string,),
            strict=True,
        )
        if ends(english) != ends(text)
    ]
    assert wrong == []


def test_the_compiled_catalog_is_the_one_that_translators_read():
    kept = catalog.translations(catalog.MO.read_bytes())
    assert kept._catalog == catalog.translations(catalog.compiled(catalog.read()))._catalog
    assert kept.info()["language"] == "pt"
    assert kept.info()["plural-forms"] == "nplurals=2; plural=(n > 1);"
    assert [kept.plural(n) for n in (0, 1, 2)] == [0, 0, 1]


def test_the_catalog_is_as_make_messages_would_write_it(tmp_path, monkeypatch):
    written = tmp_path / "pt" / "dissmodel_lab.po"
    kept = catalog.PO.read_text(encoding="utf-8")
    made = catalog.updated(catalog.read(), {})
    monkeypatch.setattr(catalog, "PO", written)
    monkeypatch.setattr(catalog, "MO", written.with_suffix(".mo"))
    catalog.write(made)
    assert _body(written.read_text(encoding="utf-8")) == _body(kept)


def _body(text):
    """Leave out the head, which names Babel's version."""
    return text.partition("\n\n")[2]
