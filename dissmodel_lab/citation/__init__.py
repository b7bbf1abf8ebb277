"""A run as the methods text of a paper: a paragraph, tables and references, in English and Brazilian Portuguese.

Only what the record tells is said; what it does not tell is left out. In Portuguese, numbers in sentences have a
decimal comma; parameters stand in the table as the record has them, with a decimal point, because that is how they
are typed to run the model again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dissmodel_lab.citation.forms import FORMS
from dissmodel_lab.citation.methods import Methods
from dissmodel_lab.citation.words import LANGUAGES, Words
from dissmodel_lab.errors import ExportError, did_you_mean
from dissmodel_lab.language import message
from dissmodel_lab.plain import as_on_disk
from dissmodel_lab.settings import read_settings

if TYPE_CHECKING:
    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.settings import Settings

__all__ = ["FORMS", "LANGUAGES", "cite"]


def cite(
    record: ExperimentRecord, *, language: str = "en", form: str = "text", settings: Settings | None = None
) -> str:
    """
    Write the methods text of a run: a paragraph, tables of parameters, data and software, and references.

    Units come from the model's declared parameters, if its module is loaded or is one of the built-in models;
    nothing else is imported.

    Parameters
    ----------
    record : ExperimentRecord
        Of this or another program's run, completed or not; secrets are hidden.
    language : str
        ``en`` or ``pt``, also as ``pt-BR``.
    form : str
        ``text``, ``markdown`` or ``html``; whatever comes from the record is escaped for it.
    settings : Settings, optional
        Author and licence; what the nearest settings file says when not given.

    Returns
    -------
    str
        With a line break at its end.

    Raises
    ------
    ExportError
        When there is no such language or form.
    LabError
        When the settings file cannot be read.

    Examples
    --------
    >>> from datetime import datetime, UTC
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> from dissmodel_lab.settings import Settings
    >>> record = ExperimentRecord(
    ...     experiment_id="ab12", model_name="flood", created_at=datetime(2026, 3, 1, tzinfo=UTC),
    ...     status="completed", steps=20, metrics={"time_total_sec": 0.84},
    ... )
    >>> print(cite(record, language="pt", settings=Settings()))
    A simulação foi executada com o modelo flood em 1º de março de 2026. Foram concluídos 20 passos em 0,84 s...
    """
    code = re.split(r"[-_]", str(language).lower(), maxsplit=1)[0]
    if code not in LANGUAGES:
        raise ExportError(
            message(
                "There is no methods text in {language!r}. {did_you_mean}",
                language=language,
                did_you_mean=did_you_mean(code, LANGUAGES),
            )
        )
    writer = FORMS.get(form)
    if writer is None:
        raise ExportError(
            message(
                "There is no methods text as {form!r}. {did_you_mean}",
                form=form,
                did_you_mean=did_you_mean(str(form), FORMS),
            )
        )
    words = Words(code)
    shared = as_on_disk(record)
    if settings is None:
        settings = read_settings(shared.record_path.parent if shared.record_path is not None else None)
    methods = Methods(shared, words, writer.escape, settings)
    return writer.document(methods.sentences(), methods.tables(), words.say("References"), methods.references())
