"""All rules together, within two seconds."""

from __future__ import annotations

import errno
import os
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dissmodel_lab.class_tables import class_tables
from dissmodel_lab.errors import shown
from dissmodel_lab.language import message
from dissmodel_lab.parameters import declared_parameters
from dissmodel_lab.preflight.agreement import crs_findings, extent_findings, missing_bands, translations
from dissmodel_lab.preflight.codes import class_findings
from dissmodel_lab.preflight.datasets import Dataset, Look, look_at
from dissmodel_lab.preflight.findings import Finding, error, warning
from dissmodel_lab.preflight.room import disk_findings, expanded, memory_findings, output_findings
from dissmodel_lab.preflight.versions import preflight_of_record
from dissmodel_lab.preflight.wanted import NamedBands, NamedFile, named_bands, named_files
from dissmodel_lab.redaction import HIDDEN, is_secret_name, redact_uri
from dissmodel_lab.sources import source_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dissmodel_lab.executor.schemas import ExperimentRecord

_Named = TypeVar("_Named", NamedBands, NamedFile)

#: Time for all of it [s]; files whose turn comes later are not looked at.
SECONDS = 1.5
#: Files that parameters name beyond this are only looked for, not looked at.
MAX_FILES = 20


def preflight(
    executor_class: type[Any],
    record: ExperimentRecord,
    *,
    store_folder: str | Path,
    output: str | Path | None,
) -> list[Finding]:
    """
    Look at everything that a run is about to use, and say in words what would go wrong.

    Only headers are read, and a sample of the pixels of bands of classes; at most about two seconds are spent,
    however large the files are. Damaged files are findings; nothing is raised.

    Parameters
    ----------
    executor_class : type
        What is to be run; its module constants may say which classes there are.
    record : ExperimentRecord
        With source and parameters; nothing in it is changed.
    store_folder : str or Path
        Where runs are kept.
    output : str, Path or None
        Where the output was asked to go; None when the store keeps it.

    Returns
    -------
    list of Finding
        Errors first.

    Examples
    --------
    >>> from dissmodel_lab.executor import DataSource, ExperimentRecord
    >>> from dissmodel_lab.preflight import findings_text
    >>> record = ExperimentRecord(source=DataSource(uri="dem.tif"))
    >>> print(findings_text(preflight(object, record, store_folder="runs", output=None)))
    error: The input 'dem.tif' does not exist. Check the path. (missing-file)
    """
    return _Check(executor_class, record, Path(store_folder), str(output or "")).findings()


class _Check:
    """One look before one run."""

    def __init__(self, executor_class: type[Any], record: ExperimentRecord, store: Path, output: str) -> None:
        self._executor_class = executor_class
        self._record = record
        self._store = store
        self._output = output
        self._deadline = time.perf_counter() + SECONDS
        self._defaults = defaults_taken(executor_class, record.parameters)
        self._files: tuple[NamedFile, ...] = ()
        self._paths: dict[str, Path] = {}
        self._inputs: list[Dataset] = []

    def findings(self) -> list[Finding]:
        rules: tuple[Callable[[], list[Finding]], ...] = (
            self._find_files,
            lambda: parameter_findings(self._executor_class, self._record.parameters),
            lambda: output_findings(self._output, self._store, self._paths),
            self._look_at_files,
            self._find_bands,
            self._compare_crs,
            lambda: extent_findings(self._inputs),
            lambda: memory_findings(self._inputs),
            lambda: disk_findings(self._inputs, self._folders()),
            lambda: preflight_of_record(self._record, self._executor_class),
            self._find_codes,  # reads pixels, so it comes last
        )
        found = [finding for rule in rules for finding in _guarded(rule)]
        return sorted(found, key=lambda finding: finding.level != "error")

    def _find_files(self) -> list[Finding]:
        """Find the files of the input; what isn't there is said."""
        found = []
        source = source_path(self._record)
        if source is not None:
            called = f"The input '{shown(redact_uri(self._record.source.named))}'"
            if _exists(source):
                self._paths[called] = source
            else:
                found.append(
                    error("missing-file", message("{called} does not exist.", called=called), _advice(source))
                )
        self._files = (*named_files(self._record.parameters), *map(_by_default, named_files(self._defaults)))
        for file in self._files:
            path = self._record.resolve_path(expanded(file.value))
            is_secret = _is_secret(file.parameter)
            value = HIDDEN if is_secret else shown(file.value)
            if _exists(path):
                self._paths.setdefault(
                    message("The file '{value}' of {parameter}", value=value, parameter=shown(file.parameter)), path
                )
                continue
            what = message(
                "The parameter {parameter} names the file '{value}', which does not exist.",
                parameter=shown(file.parameter),
                value=value,
            )
            advice = message("Check the path.") if is_secret else _advice(path, source)
            found.append((error if file.is_sure else warning)("missing-file", what, advice))
        return found

    def _look_at_files(self) -> list[Finding]:
        found: list[Finding] = []
        seen: set[Path] = set()
        for path in list(self._paths.values())[: MAX_FILES + 1]:
            if path.resolve() in seen:
                continue
            seen.add(path.resolve())
            if time.perf_counter() > self._deadline:
                what = message(
                    "{name} was not looked at: the time for a look before the run was over.", name=shown(path.name)
                )
                found.append(warning("not-looked-at", what, message("Nothing needs to be done; the run reads it.")))
                continue
            look: Look = look_at(path, path.name or str(path))
            self._inputs += look.datasets
            found += look.findings
        return found

    def _find_bands(self) -> list[Finding]:
        record = self._record
        named = named_bands(record.parameters, translations(record.column_map, record.band_map))
        named += tuple(map(_by_default, named_bands(self._defaults)))
        return missing_bands([one for one in named if not _is_secret(one.parameter)], self._inputs)

    def _compare_crs(self) -> list[Finding]:
        # A model on a plane, such as Life, has no use for a CRS: nothing is missing there.
        return crs_findings(self._inputs) if getattr(self._executor_class, "needs_crs", True) else []

    def _find_codes(self) -> list[Finding]:
        rasters = [dataset for dataset in self._inputs if dataset.kind == "raster"]
        tables = class_tables(self._executor_class) if rasters else ()
        return [finding for raster in rasters for finding in class_findings(raster, tables, self._deadline)]

    def _folders(self) -> dict[str, Path]:
        folders = {"the store": self._store}
        if self._output and "://" not in self._output:
            folders["the output"] = expanded(self._output)
        return folders


def defaults_taken(executor_class: type[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the defaults that an undeclared executor will take, as far as its source tells.

    Examples
    --------
    >>> from dissmodel_lab.executor.testing import SteppingExecutor
    >>> "n_steps" in defaults_taken(SteppingExecutor, {"n_steps": 3})
    False
    """
    from dissmodel_lab.inference import NO_DEFAULT, inferred_parameters  # noqa: PLC0415 -- reads the source

    if declared_parameters(executor_class) is not None:
        return {}
    try:
        inferred = inferred_parameters(executor_class)
    except Exception:  # noqa: BLE001 -- an executor's source may be anything; the run itself says what is wrong
        return {}
    return {
        name: parameter.default
        for name, parameter in inferred.items()
        if name not in given and parameter.default is not NO_DEFAULT
    }


def _is_secret(parameter: str) -> bool:
    return any(map(is_secret_name, re.split(r"[.\[\] ]", parameter)))


def _by_default(named: _Named) -> _Named:
    """Say of a name that nobody gave it."""
    return replace(named, parameter=f"{named.parameter} (by default)")


def parameter_findings(executor_class: type[Any], parameters: Mapping[str, Any]) -> list[Finding]:
    """
    Find given parameters that an undeclared executor never asks for, or of another make than it takes.

    Examples
    --------
    >>> from dissmodel_lab.executor.testing import SteppingExecutor
    >>> (found,) = parameter_findings(SteppingExecutor, {"n_steps": [3]})
    >>> print(found.what, found.do)
    The parameter n_steps is a list, where SteppingExecutor takes a number. Write it so, unless the model takes both.
    """
    from dissmodel_lab.inference import doubtful_parameters  # noqa: PLC0415 -- reads the executor's source

    return [warning(*said) for said in doubtful_parameters(executor_class, parameters)]


def _exists(path: Path) -> bool:
    """Tell whether a path is there; one that may not be seen is, as far as anybody knows: a look at it says so."""
    try:
        return path.exists()
    except OSError as problem:
        return problem.errno == errno.EACCES
    except ValueError:
        return False


def _advice(path: Path, source: Path | None = None) -> str:
    """Say which file may be meant: one of nearly that name there, or of that name beside the input."""
    import difflib  # noqa: PLC0415 -- only for those who mistype
    import itertools  # noqa: PLC0415

    if os.path.islink(path):  # noqa: PTH114 -- unlike Path's own, it raises nothing
        return message("It is a link that leads nowhere: check where it points.")
    if source is not None and _exists(source.parent / path.name):
        return message("Write '{parent}' if that is meant.", parent=shown(source.parent / path.name))
    try:
        there = {entry.stem: entry.name for entry in itertools.islice(path.parent.iterdir(), 10_000)}
    except OSError:
        return message("Check the path.")
    # without their endings, which make strangers look alike
    near = difflib.get_close_matches(path.stem, there, n=1, cutoff=0.6)
    return (
        message("Write '{there}' if that is meant.", there=shown(there[near[0]]))
        if near
        else message("Check the path.")
    )


def _guarded(rule: Callable[[], list[Finding]]) -> list[Finding]:
    """Ask one rule; what goes wrong in it must not keep anybody from running a model."""
    try:
        return rule()
    except Exception as problem:  # noqa: BLE001 -- whatever a file or an executor's constant may do
        what = message(
            "One check before the run could not be made: {kind}: {problem}.",
            kind=type(problem).__name__,
            problem=shown(problem),
        )
        return [
            warning(
                "check-failed",
                what,
                message("Run the model all the same, and report this to dissmodel_lab."),
            )
        ]
