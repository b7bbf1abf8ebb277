"""The sentences of a methods text, in English and in Brazilian Portuguese, and how each language writes numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

_ENGLISH = {
    "months": "January February March April May June July August September October November December",
    "date": "{day} {month} {year}",
    "and": " and ",
    "point": ".",
    "comma": ",",
    "run": "The simulation was run with the model {model}{origin} on {date}.",
    "run unnamed": "The simulation was run on {date}.",
    "commit": "git commit {commit}",
    "dirty": "with uncommitted changes",
    "software": "It used {software}.",
    "input": "The input was {name}{facts}.",
    "synthetic": "The input was synthetic.",
    "input version": "version {version}",
    "no checksum": "without a recorded checksum",
    "parameter": "It had one parameter ({table}).",
    "parameters": "It had {n} parameters ({table}).",
    "parameter given": "Its one parameter was given ({table}).",
    "parameters given": "All {n} parameters were given ({table}).",
    "parameter default": "Its one parameter had its default value ({table}).",
    "parameters default": "All {n} parameters had their default values ({table}).",
    "parameters mixed": "Of its {n} parameters, {given} and {default} ({table}).",
    "one given": "1 was given",
    "many given": "{n} were given",
    "one default": "the other had its default value",
    "many default": "the others had their default values",
    "seed": "The random seed was {seed}.",
    "step in": "It completed 1 step in {time}.",
    "steps in": "It completed {n} steps in {time}.",
    "step": "It completed 1 step.",
    "steps": "It completed {n} steps.",
    "time": "It took {time}.",
    "below": "less than 1 ms",
    "failed": "The run did not complete: it failed{phase}{error}.",
    "cancelled": "The run did not complete: it was cancelled{phase}.",
    "running": "According to its record, the run has not ended.",
    "unknown": "Its record does not say that it completed (status: {status}).",
    "in phase": " in the phase {phase}",
    "output": "The output, {name}, has the SHA-256 {hash}.",
    "repeats": "This run repeated the run {run}: {verdict}.",
    "identical": "the outputs are identical, byte by byte",
    "same content": "the outputs have the same content",
    "within tolerance": "the outputs agree within the tolerance that was asked for{tolerance}",
    "different": "the outputs differ",
    "cannot verify": "whether the results are the same could not be verified",
    "record": "The record of the run has the id {id}.",
    "record of": "The run was made by {author} and is recorded under the id {id}.",
    "license": "Its outputs are shared under the licence {license}.",
    "sources": "The documentation of the model names these sources: {sources}.",
    "table": "Table {n}",
    "Parameters": "Parameters",
    "Data": "Data and results",
    "Software": "Software environment",
    "References": "Software references",
    "Parameter": "Parameter",
    "Value": "Value",
    "Unit": "Unit",
    "Origin": "Origin",
    "Item": "Item",
    "File": "File",
    "Name": "Name",
    "Version": "Version",
    "origin given": "given",
    "origin toml": "TOML file",
    "origin cell": "notebook cell",
    "origin default": "default",
    "origin default taken": "default in the code",
    "origin model": "set by the model",
    "what input": "input",
    "what file": "file of {name}",
    "what output": "output",
    "more": "{n} more in the record",
}

_PORTUGUESE = {
    "months": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "date": "{day} de {month} de {year}",
    "and": " e ",
    "point": ",",
    "comma": ".",
    "run": "A simulação foi executada com o modelo {model}{origin} em {date}.",
    "run unnamed": "A simulação foi executada em {date}.",
    "commit": "commit git {commit}",
    "dirty": "com alterações ainda não registradas no git",
    "software": "Foram usados {software}.",
    "input": "Os dados de entrada vieram de {name}{facts}.",
    "synthetic": "Os dados de entrada foram sintéticos.",
    "input version": "versão {version}",
    "no checksum": "sem soma de verificação registrada",
    "parameter": "O modelo teve um parâmetro ({table}).",
    "parameters": "O modelo teve {n} parâmetros ({table}).",
    "parameter given": "Seu único parâmetro foi informado ({table}).",
    "parameters given": "Todos os {n} parâmetros foram informados ({table}).",
    "parameter default": "Seu único parâmetro tinha o valor padrão ({table}).",
    "parameters default": "Todos os {n} parâmetros tinham os valores padrão ({table}).",
    "parameters mixed": "Dos {n} parâmetros, {given} e {default} ({table}).",
    "one given": "1 foi informado",
    "many given": "{n} foram informados",
    "one default": "o outro tinha o valor padrão",
    "many default": "os demais tinham os valores padrão",
    "seed": "A semente aleatória foi {seed}.",
    "step in": "Foi concluído 1 passo em {time}.",
    "steps in": "Foram concluídos {n} passos em {time}.",
    "step": "Foi concluído 1 passo.",
    "steps": "Foram concluídos {n} passos.",
    "time": "A execução levou {time}.",
    "below": "menos de 1 ms",
    "failed": "A execução não foi concluída: falhou{phase}{error}.",
    "cancelled": "A execução não foi concluída: foi cancelada{phase}.",
    "running": "Segundo o seu registro, a execução ainda não terminou.",
    "unknown": "O registro não diz que a execução foi concluída (status: {status}).",
    "in phase": " na fase {phase}",
    "output": "A saída, {name}, tem o SHA-256 {hash}.",
    "repeats": "Esta execução repetiu a execução {run}: {verdict}.",
    "identical": "as saídas são idênticas, byte a byte",
    "same content": "as saídas têm o mesmo conteúdo",
    "within tolerance": "as saídas coincidem dentro da tolerância pedida{tolerance}",
    "different": "as saídas são diferentes",
    "cannot verify": "não foi possível verificar se os resultados são os mesmos",
    "record": "O registro da execução tem o identificador {id}.",
    "record of": "A execução foi feita por {author} e está registrada com o identificador {id}.",
    "license": "Suas saídas são compartilhadas sob a licença {license}.",
    "sources": "A documentação do modelo indica estas fontes: {sources}.",
    "table": "Tabela {n}",
    "Parameters": "Parâmetros",
    "Data": "Dados e resultados",
    "Software": "Ambiente de software",
    "References": "Referências do software",
    "Parameter": "Parâmetro",
    "Value": "Valor",
    "Unit": "Unidade",
    "Origin": "Origem",
    "Item": "Item",
    "File": "Arquivo",
    "Name": "Nome",
    "Version": "Versão",
    "origin given": "informado",
    "origin toml": "arquivo TOML",
    "origin cell": "célula do notebook",
    "origin default": "padrão",
    "origin default taken": "padrão no código",
    "origin model": "definido pelo modelo",
    "what input": "entrada",
    "what file": "arquivo de {name}",
    "what output": "saída",
    "more": "mais {n} no registro",
}


_THOUSAND = 1e-3
_MINUTE, _HOUR = 60, 3_600


class Words:
    """
    One language.

    Parameters
    ----------
    language : str
        ``en`` or ``pt``.

    Examples
    --------
    >>> Words("pt").say("steps", n="20")
    'Foram concluídos 20 passos.'
    """

    def __init__(self, language: str) -> None:
        self._texts = _LANGUAGES[language]

    def say(self, key: str, **facts: str) -> str:
        """
        Return a sentence or a word.

        Parameters
        ----------
        key : str
            Its name in this module.
        **facts : str
            What it is about, escaped already.
        """
        return self._texts[key].format(**facts)

    def has(self, key: str) -> bool:
        """Tell whether there is a text of this name."""
        return key in self._texts

    def listed(self, items: Sequence[str]) -> str:
        """
        Join items as a sentence does.

        Examples
        --------
        >>> Words("en").listed(["a", "b", "c"]), Words("pt").listed(["a"])
        ('a, b and c', 'a')
        """
        return self._texts["and"].join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)

    def count(self, number: int) -> str:
        """
        Write a whole number.

        Examples
        --------
        >>> Words("en").count(12000), Words("pt").count(12000)
        ('12,000', '12.000')
        """
        return f"{number:,}".replace(",", self._texts["comma"])

    def number(self, number: float) -> str:
        """
        Write a number with three significant digits.

        Examples
        --------
        >>> Words("en").number(0.8399), Words("pt").number(0.8399)
        ('0.84', '0,84')
        """
        return f"{number:.3g}".replace(".", self._texts["point"])

    def date(self, moment: dt.datetime) -> str:
        """
        Write a date, as it was in UTC.

        Examples
        --------
        >>> import datetime as dt
        >>> moment = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
        >>> Words("en").date(moment), Words("pt").date(moment)
        ('1 March 2026', '1º de março de 2026')
        """
        is_first = moment.day == 1 and self._texts is _PORTUGUESE
        day = "1º" if is_first else str(moment.day)
        return self.say("date", day=day, month=self._texts["months"].split()[moment.month - 1], year=str(moment.year))

    def duration(self, seconds: float) -> str:
        """
        Write how long something took.

        Parameters
        ----------
        seconds : float
            [s]

        Examples
        --------
        >>> [Words("pt").duration(seconds) for seconds in (0.0001, 0.84, 59.97, 725.2, 11100)]
        ['menos de 1 ms', '0,84 s', '1 min 0 s', '12 min 5 s', '3 h 5 min']
        """
        if seconds < _THOUSAND:
            return self._texts["below"]
        if float(f"{seconds:.3g}") < _MINUTE:
            return f"{self.number(seconds)} s"
        whole = math.floor(seconds + 0.5)
        if whole < _HOUR:
            return f"{whole // 60} min {whole % 60} s"
        minutes = math.floor(seconds / 60 + 0.5)
        return f"{self.count(minutes // 60)} h {minutes % 60} min"


_LANGUAGES = {"en": _ENGLISH, "pt": _PORTUGUESE}
LANGUAGES = tuple(_LANGUAGES)
"""Languages of :func:`dissmodel_lab.citation.cite`."""
