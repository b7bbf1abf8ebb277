"""What a record tells, as the sentences, tables and references of a methods text."""

from __future__ import annotations

import math
import re
import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dissmodel_lab.artifacts import RASTER_SUFFIXES, VECTOR_SUFFIXES
from dissmodel_lab.citation.forms import Table
from dissmodel_lab.executor.schemas import Provenance, RunStatus
from dissmodel_lab.parameters import declared_parameters, names_of, unit
from dissmodel_lab.plain import Plain, flat_values, plain_value
from dissmodel_lab.provenance import loaded_executor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dissmodel_lab.citation.words import Words
    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.settings import Settings

_MOST_ROWS = 200
"""Most rows of a table; the record holds all."""
_OWN_MODELS = "dissmodel_lab.models."
_CHOSEN = frozenset({"given", "toml", "cell"})
"""Origins of values that a person chose."""
_DEFAULTS = frozenset({"default", "default taken"})
_COMMIT = re.compile(r"[0-9a-f]{7,40}")
_VERSION = re.compile(r"\d+(\.\w+)+")
# The signs of modern DOIs: https://www.crossref.org/blog/dois-and-matching-regular-expressions/
_DOI = re.compile(r"(?i)\bdoi(?:\.org/|:\s?)(10\.\d{4,9}/[-._;()/:a-z0-9]*[a-z0-9])")
_MOST_SOURCES = 5
_NAMES = {
    "python": "Python",
    "gdal": "GDAL",
    "numpy": "NumPy",
    "rasterio": "Rasterio",
    "geopandas": "GeoPandas",
    "dissmodel": "DisSModel",
}
# As each project asks to be cited: CITATION.cff of dissmodel_lab, GDAL and GeoPandas, CITATION.txt of Rasterio,
# README of dissmodel.
_REFERENCES = {
    "dissmodel_lab": "The dissmodel_lab developers (2026). dissmodel_lab {version}.",
    "dissmodel": (
        "Costa, S. S., Santos Junior, N. J., Sousa, F. M. and Bezerra, D. S. (2026). DisSModel: A Python Framework "
        "for Spatially Explicit Dynamic Modeling, {version}. https://github.com/DisSModel/dissmodel"
    ),
    "rasterio": (
        "Gillies, S. and others (2013-). Rasterio: geospatial raster I/O for Python programmers, {version}. "
        "https://github.com/rasterio/rasterio"
    ),
    "geopandas": (
        "Fleischmann, M. et al. (2026). GeoPandas: Fundamental Data Structures for Vector Spatial Data in Python. "
        "Computers, Environment and Urban Systems 130, 102495. https://doi.org/10.1016/j.compenvurbsys.2026.102495 "
        "(GeoPandas {version})"
    ),
    "gdal": (
        "GDAL/OGR contributors. GDAL/OGR Geospatial Data Abstraction software Library, {version}. Open Source "
        "Geospatial Foundation. https://doi.org/10.5281/zenodo.5884351"
    ),
}


class Methods:
    """
    The methods text of one run.

    Parameters
    ----------
    record : ExperimentRecord
        As it is on disk, without secrets.
    words : Words
        The language.
    escape : callable
        Makes a text of the record harmless.
    settings : Settings
        Author and licence.
    """

    def __init__(
        self, record: ExperimentRecord, words: Words, escape: Callable[[str], str], settings: Settings
    ) -> None:
        self._record = record
        self._facts = record.provenance or Provenance()
        self._words = words
        self._escape = escape
        self._settings = settings
        self._executor = _executor(record)
        self._software = _software(record, self._facts, self._executor)

    def sentences(self) -> list[str]:
        """Return the paragraph; what the record does not tell is not in it."""
        found = (
            self._run(),
            self._used(),
            self._input(),
            self._parameters(),
            self._seed(),
            self._length(),
            self._end(),
            self._output(),
            self._verdict(),
            self._sources(),
            self._identity(),
            self._license(),
        )
        return [sentence for sentence in found if sentence]

    def tables(self) -> list[Table]:
        """Return the tables that have rows: parameters, data and results, software."""
        versions = sorted(self._facts.versions.items()) or sorted(self._software.items())
        software = [[self._escape(name), self._escape(version)] for name, version in versions]
        parts = (
            ("Parameters", *self._parameter_rows()),
            ("Data", ["Item", "File", "SHA-256"], [list(map(self._escape, row)) for row in self._file_rows()]),
            ("Software", ["Name", "Version"], software),
        )
        found: list[Table] = []
        for title, columns, rows in parts:
            if not rows:
                continue
            left_out = len(rows) - _MOST_ROWS
            found.append(
                Table(
                    number=self._words.say("table", n=str(len(found) + 1)),
                    title=self._words.say(title),
                    columns=[self._words.say(name) if self._words.has(name) else name for name in columns],
                    rows=rows[:_MOST_ROWS],
                    more=self._words.say("more", n=self._words.count(left_out)) if left_out > 0 else "",
                )
            )
        return found

    def references(self) -> list[str]:
        """Return how the software asks to be cited, as far as this run used it."""
        return [
            text.format(version=self._words.say("input version", version=self._escape(self._software[name])))
            for name, text in _REFERENCES.items()
            if name in self._software
        ]

    def _run(self) -> str:
        record, say = self._record, self._words.say
        date = self._words.date(record.started_at or record.created_at)
        if not record.model_name:
            return say("run unnamed", date=date)
        package = self._facts.executor_package or (record.model_commit if "==" in record.model_commit else "")
        git = self._facts.executor_git
        commit = git.commit if git is not None else ""
        if not commit and _COMMIT.fullmatch(record.model_commit):
            commit = record.model_commit
        facts = [self._escape(package.replace("==", " "))] if package else []
        if commit:
            facts.append(say("commit", commit=self._escape(commit[:12])))
        if git is not None and git.dirty:
            facts.append(say("dirty"))
        return say("run", model=self._escape(record.model_name), origin=_in_brackets(facts), date=date)

    def _used(self) -> str:
        used = [f"{_NAMES.get(name, name)} {self._escape(version)}" for name, version in self._software.items()]
        return self._words.say("software", software=self._words.listed(used)) if used else ""

    def _input(self) -> str:
        source, say = self._record.source, self._words.say
        if source.uri == "synthetic":
            return say("synthetic")
        if not source.uri:
            return ""
        facts = [say("input version", version=self._escape(source.version))] if source.version else []
        facts.append(f"SHA-256 {self._escape(source.checksum)}" if source.checksum else say("no checksum"))
        return say("input", name=self._escape(_file_name(source.uri)), facts=_in_brackets(facts))

    def _parameters(self) -> str:
        origins = self._origins()
        count, say = len(origins), self._words.say
        if not count:
            return ""
        given = sum(origin in _CHOSEN for origin in origins.values())
        facts = {"n": self._words.count(count), "table": say("table", n="1")}
        name = "parameter" if count == 1 else "parameters"
        if any(origin not in _CHOSEN | _DEFAULTS for origin in origins.values()):
            return say(name, **facts)  # where some come from is not known, or neither a person nor a default
        if given == count:
            return say(f"{name} given", **facts)
        if not given:
            return say(f"{name} default", **facts)
        were = say("one given") if given == 1 else say("many given", n=self._words.count(given))
        return say(
            "parameters mixed", **facts, given=were, default=say(f"{'one' if count - given == 1 else 'many'} default")
        )

    def _origins(self) -> dict[str, str]:
        record = self._record
        taken = dict.fromkeys(map(str, record.defaults_taken), "default taken")
        return {**taken, **{str(name): record.parameter_origins.get(str(name), "") for name in record.parameters}}

    def _seed(self) -> str:
        return "" if self._facts.seed is None else self._words.say("seed", seed=str(self._facts.seed))

    def _length(self) -> str:
        record, say = self._record, self._words.say
        seconds = _seconds(record)
        time = "" if seconds is None else self._words.duration(seconds)
        if record.steps is None:
            return say("time", time=time) if time else ""
        key = f"{'step' if record.steps == 1 else 'steps'}{' in' if time else ''}"
        return say(key, n=self._words.count(record.steps), time=time)

    def _end(self) -> str:
        record, say = self._record, self._words.say
        phase = say("in phase", phase=self._escape(record.failed_phase)) if record.failed_phase else ""
        match record.status:
            case RunStatus.COMPLETED:
                return ""
            case RunStatus.FAILED:
                return say("failed", phase=phase, error=_in_brackets([self._escape(record.error or "")]))
            case RunStatus.CANCELLED:
                return say("cancelled", phase=phase)
            case RunStatus.RUNNING:
                return say("running")
        return say("unknown", status=self._escape(record.status)) if record.status else ""

    def _output(self) -> str:
        checksum, path = self._record.output_sha256, self._record.artifact_path()
        if not checksum or path is None:
            return ""
        return self._words.say("output", name=self._escape(path.name), hash=self._escape(checksum))

    def _verdict(self) -> str:
        verdict, say = self._record.verdict, self._words.say
        kind, first = verdict.get("kind"), verdict.get("of")
        if not isinstance(first, str) or kind not in _VERDICTS:
            return ""
        tolerance: Any = verdict.get("tolerance")
        is_known = isinstance(tolerance, int | float) and not isinstance(tolerance, bool)
        said = {"tolerance": _in_brackets([self._words.number(tolerance)]) if is_known else ""}
        return say("repeats", run=self._escape(first[:8]), verdict=say(str(kind), **said))

    def _sources(self) -> str:
        links = [f"https://doi.org/{doi}" for doi in _dois(self._executor)]
        return self._words.say("sources", sources=self._words.listed(links)) if links else ""

    def _identity(self) -> str:
        run_id, author = self._escape(self._record.experiment_id), self._settings.author
        if author is None:
            return self._words.say("record", id=run_id)
        orcid = [f"ORCID {self._escape(author.orcid)}"] if author.orcid else []
        return self._words.say("record of", author=f"{self._escape(author.name)}{_in_brackets(orcid)}", id=run_id)

    def _license(self) -> str:
        said = self._settings.license
        return self._words.say("license", license=self._escape(said)) if said else ""

    def _parameter_rows(self) -> tuple[list[str], list[list[str]]]:
        record, origins = self._record, self._origins()
        units = _units(self._executor)
        rows = []
        for name, value in flat_values({**record.defaults_taken, **record.parameters}).items():
            top = re.split(r"[.\[]", name, maxsplit=1)[0]
            origin = origins.get(name) or origins.get(top, "")
            known = f"origin {origin}"
            rows.append(
                [
                    self._escape(name),
                    self._escape(_shown(value)),
                    self._escape(units.get(top, "")),
                    self._words.say(known) if origin and self._words.has(known) else self._escape(origin),
                ]
            )
        columns = ["Parameter", "Value", "Unit", "Origin"]
        kept = [at for at in range(len(columns)) if at < 2 or any(row[at] for row in rows)]  # noqa: PLR2004 -- name, value
        return [columns[at] for at in kept], [[row[at] for at in kept] for row in rows]

    def _file_rows(self) -> Iterator[Sequence[str]]:
        record, say = self._record, self._words.say
        if record.source.checksum:
            yield say("what input"), _file_name(record.source.uri), record.source.checksum
        values = flat_values(record.parameters)
        for name, checksum in record.parameter_files.items():
            # Escaped once more with its row: a name has its marks only there.
            yield say("what file", name=name), _file_name(_shown(values.get(name, ""))), checksum
        for name, checksum in record.artifacts.items():
            path = record.artifact_path(name)
            yield say("what output") if name == "output" else name, path.name if path is not None else "", checksum


_VERDICTS = ("identical", "same content", "within tolerance", "different", "cannot verify")


def _in_brackets(facts: Sequence[str]) -> str:
    inner = ", ".join(fact for fact in facts if fact)
    return f" ({inner})" if inner else ""


def _file_name(uri: str) -> str:
    """Return a file's name; of a URL all of it, because it says where others find the file."""
    return uri if "://" in uri else re.split(r"[/\\]", uri.rstrip("/\\"))[-1]


def _shown(value: Plain) -> str:
    if value is None:
        return "—"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _seconds(record: ExperimentRecord) -> float | None:
    said: Any = plain_value(record.metrics.get("time_total_sec"))
    if said is None and record.phases:
        said = sum(usage.seconds for usage in record.phases.values())
    is_number = isinstance(said, int | float) and not isinstance(said, bool)
    return float(said) if is_number and 0 <= said < math.inf else None


def _executor(record: ExperimentRecord) -> type[Any] | None:
    """Return the model's class if it is loaded; the built-in ones are loaded for it, no other code is run."""
    module = (record.provenance.executor_class if record.provenance is not None else "").partition(":")[0]
    if module.startswith(_OWN_MODELS):
        with suppress(ImportError):
            import_module(module)
    return loaded_executor(record)


def _units(executor_class: type[Any] | None) -> dict[str, str]:
    schema = declared_parameters(executor_class) if executor_class is not None else None
    if schema is None:
        return {}
    return {called: unit(info) for name, info in schema.model_fields.items() for called in names_of(name, info)}


def _dois(executor_class: type[Any] | None) -> list[str]:
    """Return the DOIs in the docstrings of a model and its module."""
    if executor_class is None:
        return []
    module = sys.modules.get(executor_class.__module__)
    texts = (getattr(module, "__doc__", None), vars(executor_class).get("__doc__"))
    found = (match[1] for text in texts if isinstance(text, str) for match in _DOI.finditer(text))
    return list(dict.fromkeys(found))[:_MOST_SOURCES]


def _software(record: ExperimentRecord, facts: Provenance, executor_class: type[Any] | None) -> dict[str, str]:
    """Return the versions of what this run used, not of all that was installed."""
    versions = facts.versions
    if not versions:  # PyPI dissmodel notes its own version, and nothing else
        is_theirs = record.provenance is None and _VERSION.fullmatch(record.code_version) is not None
        return {"dissmodel": record.code_version} if is_theirs else {}
    used = ["python", "dissmodel_lab"]
    if _used_dissmodel(facts, executor_class):
        used.append("dissmodel")
    used.append("numpy")
    suffixes = _suffixes(record)
    if suffixes & RASTER_SUFFIXES:
        used.append("rasterio")
    if suffixes & VECTOR_SUFFIXES:
        used.append("geopandas")
    if suffixes & (RASTER_SUFFIXES | VECTOR_SUFFIXES):
        used.append("gdal")
    return {name: versions[name] for name in used if versions.get(name)}


def _used_dissmodel(facts: Provenance, executor_class: type[Any] | None) -> bool:
    if facts.executor_class.startswith(_OWN_MODELS):
        return False
    if facts.executor_class.startswith("dissmodel_lab.cells"):
        return "dissmodel" in facts.cell_source.replace("%%dissmodel", "").replace("dissmodel_lab", "")
    if executor_class is None:
        return True  # not known: it is installed, and what most models are made with
    return any(base.__module__.partition(".")[0] == "dissmodel" for base in executor_class.__mro__)


def _suffixes(record: ExperimentRecord) -> set[str]:
    names = [record.source.uri, record.output_path or "", *record.artifact_paths.values()]
    return {f".{name.rpartition('.')[2].lower()}" for name in names if "." in name}
