"""What a person reads, in English or in Portuguese: a catalog of sentences, chosen by a variable or the locale.

The code holds the English sentences, with names in braces; the catalogs under ``locale`` hold the others (GNU
gettext). What is recorded or raised stays English, whoever runs it, and knows its translation: see :class:`Message`.
"""

from __future__ import annotations

import functools
import gettext
import locale
import os
import string
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

#: Chooses the language, before the locale does.
VARIABLE = "DISSMODEL_LAB_LANG"
ENGLISH, PORTUGUESE = "en", "pt"
LANGUAGES = (ENGLISH, PORTUGUESE)
_CATALOGS = Path(__file__).parent / "locale"
# In the order that gettext(3) asks them.
_LOCALE_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")


class Message(str):
    """
    An English sentence that knows its translation: what errors and findings are made of.

    It is a text like any other: records, logs and programs see the English words. A door to a person shows
    :func:`in_language` of it. Texts put together from it by ``+`` or an f-string are plain English.

    Parameters
    ----------
    template : str
        The sentence, with names in braces as :meth:`str.format` takes them: ``{path!r}``, ``{share:.0%}``.
    values : mapping, optional
        What the names stand for. A message among them is translated, too.
    context : str, optional
        Tells apart what is one word in English and two in another language.

    Examples
    --------
    >>> found = Message("{path} is {size:.1f} m wide.", {"path": "a.tif", "size": 2.26})
    >>> found, found.values["size"]
    ('a.tif is 2.3 m wide.', '2.3')
    """

    __slots__ = ("context", "template", "values")
    context: str
    template: str
    values: dict[str, str]

    def __new__(cls, template: str, values: Mapping[str, Any] | None = None, context: str = "") -> Message:  # noqa: PYI034 -- a str's __new__
        """Fill in the English sentence."""
        texts = _texts(template, values or {})
        self = super().__new__(cls, _filled(template, texts))
        self.template, self.values, self.context = template, texts, context
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process whole; the values are written out already."""
        return _again, (str(self), self.template, self.values, self.context)

    def in_language(self, language: str) -> str:
        """
        Return the sentence in a language; in English when that one has no catalog or lacks the sentence.

        Examples
        --------
        >>> Message("Run").in_language("en")
        'Run'
        """
        if language == ENGLISH:
            return str(self)
        catalog = _catalog(language)
        template = catalog.pgettext(self.context, self.template) if self.context else catalog.gettext(self.template)
        return _filled(template, {name: in_language(text, language) for name, text in self.values.items()})


def changed(text: str, change: Callable[[str], str]) -> str:
    """
    Return what a change such as redaction makes of a text; a message whose values alone it changes stays a message.

    Examples
    --------
    >>> said = changed(message("{uri} is gone.", uri="s3://key:pw@b"), lambda text: text.replace("key:pw", "***"))
    >>> said, type(said).__name__
    ('s3://***@b is gone.', 'Message')
    """
    plain = change(str(text))
    if not isinstance(text, Message):
        return plain
    values = {name: changed(value, change) for name, value in text.values.items()}
    made = _again(_filled(text.template, values), text.template, values, text.context)
    return made if str(made) == plain else plain


def message(template: str, /, **values: Any) -> str:
    """
    Return an English sentence that can be shown in other languages: for what is raised or recorded.

    Examples
    --------
    >>> message("{name!r} is not a band. Choose one of {bands}.", name="x", bands="a, b")
    "'x' is not a band. Choose one of a, b."
    """
    return Message(template, values)


def joined(texts: Iterable[str], separator: str = " ") -> str:
    """
    Return texts one behind the other, as ``separator.join(texts)`` does; messages among them keep their translation.

    Examples
    --------
    >>> joined([message("1 run failed"), "flood"], ": ")
    '1 run failed: flood'
    """
    parts = {f"part_{number}": text for number, text in enumerate(texts)}
    between = separator.replace("{", "{{").replace("}", "}}")
    return Message(between.join(f"{{{name}}}" for name in parts), parts)


def say(template: str, /, **values: Any) -> str:
    """
    Return a sentence in the language of the person who looks at it now: for what is only shown.

    Examples
    --------
    >>> say("{n} of {total} steps", n=3, total=10)
    '3 of 10 steps'
    """
    return in_language(Message(template, values))


def say_in(context: str, template: str, /, **values: Any) -> str:
    """
    Return a sentence as :func:`say` does, where the English words alone are ambiguous.

    Examples
    --------
    >>> say_in("verb, a button", "Run")
    'Run'
    """
    return in_language(Message(template, values, context))


def say_n(one: str, many: str, n: int, /, **values: Any) -> str:
    """
    Return one of two sentences, for one thing and for many; ``{n}`` in it is the number, with thousands apart.

    Examples
    --------
    >>> say_n("{n} run", "{n} runs", 1), say_n("{n} run", "{n} runs", 2000)
    ('1 run', '2,000 runs')
    """
    chosen = language()
    english = one if n == 1 else many
    template = english if chosen == ENGLISH else _catalog(chosen).ngettext(one, many, n)
    texts = _texts(english, {"n": f"{n:,}", **values})
    return _filled(template, {name: in_language(text, chosen) for name, text in texts.items()})


def mark(text: str, /) -> str:
    """
    Return the text itself: marks a constant for the catalogs, which :func:`say` is given later.

    Examples
    --------
    >>> mark("Output folder")
    'Output folder'
    """
    return text


def in_language(text: str, language_code: str | None = None) -> str:
    """
    Return a text in the language of the person who looks at it: a :class:`Message` translated, any other as it is.

    Examples
    --------
    >>> in_language("what a model wrote"), in_language(message("No runs."), "en")
    ('what a model wrote', 'No runs.')
    """
    chosen = language() if language_code is None else language_code
    return text.in_language(chosen) if isinstance(text, Message) else text


def language() -> str:
    """
    Return the language of the person who looks at it: of ``DISSMODEL_LAB_LANG``, else of the locale, else English.

    Examples
    --------
    >>> language() in LANGUAGES
    True
    """
    if wanted := os.environ.get(VARIABLE):
        return _known(wanted) or ENGLISH
    for variable in _LOCALE_VARIABLES:
        if wanted := os.environ.get(variable):
            return _known(wanted) or ENGLISH
    return _known(locale.getlocale()[0] or "") or ENGLISH  # Windows and macOS set no variable


def _known(name: str) -> str:
    """Return the language of a locale's name such as ``pt_BR.UTF-8``; empty when there is no catalog of it."""
    code = name.replace("-", "_").partition("_")[0].partition(".")[0].lower()
    if code in LANGUAGES:
        return code
    return PORTUGUESE if code == "portuguese" else ""  # as Windows names it


@functools.cache
def _catalog(language_code: str) -> gettext.NullTranslations:
    return gettext.translation("dissmodel_lab", _CATALOGS, [language_code], fallback=True)


def _texts(template: str, values: Mapping[str, Any]) -> dict[str, str]:
    """Write each value as the template asks for; one that is a message, and is asked for as it is, stays one."""
    formatter = string.Formatter()
    texts: dict[str, str] = {}
    for _, name, spec, conversion in formatter.parse(template):
        if name is None:
            continue
        value = values[name]
        if isinstance(value, BaseException) and len(value.args) == 1 and isinstance(value.args[0], Message):
            value = value.args[0]  # an error within a sentence is said in its language, too
        if not spec and not conversion:
            texts[name] = value if isinstance(value, str) else format(value)
        else:
            texts[name] = format(formatter.convert_field(value, conversion) if conversion else value, spec or "")
    return texts


def _filled(template: str, texts: Mapping[str, str]) -> str:
    """Put the written values in, whatever form the template asks for."""
    parts: list[str] = []
    for literal, name, _, _ in string.Formatter().parse(template):
        parts.append(literal)
        if name is not None:
            parts.append(str(texts[name]))
    return "".join(parts)


def _again(_english: str, template: str, values: dict[str, str], context: str) -> Message:
    """Make a message of values that are written out: a format such as ``.1f`` must not meet them again."""
    made = str.__new__(Message, _english)
    made.template, made.values, made.context = template, values, context
    return made
