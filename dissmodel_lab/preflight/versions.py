"""The rule on versions: PyPI ``dissmodel`` 0.5 stops a run one step earlier than all others."""

from __future__ import annotations

import re
from importlib import metadata
from typing import TYPE_CHECKING, Any

from dissmodel_lab.errors import shown
from dissmodel_lab.language import message
from dissmodel_lab.preflight.findings import Finding, warning

if TYPE_CHECKING:
    from dissmodel_lab.executor.schemas import ExperimentRecord

PACKAGE = "dissmodel"


def preflight_of_record(record: ExperimentRecord, executor_class: type[Any] | None = None) -> list[Finding]:
    """
    Say when a record was made with another meaning of ``end_time`` than that of the installed ``dissmodel``.

    In 0.5.x ``Environment(end_time=n)`` stops before n; in all other versions n is simulated too.

    Parameters
    ----------
    record : ExperimentRecord
        Of an earlier run that is to be repeated, or of a run that begins. The version is taken from its
        provenance, from the field ``code_version`` of a record that ``dissmodel``'s own command line wrote, or
        from the key ``dissmodel`` of its TOML; of a run that begins, from the TOML alone.
    executor_class : type, optional
        Where it is known; a class that doesn't build on ``dissmodel`` is not judged.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> preflight_of_record(ExperimentRecord())
    []
    """
    if not _builds_on_dissmodel(record, executor_class):
        return []
    then, now = _version_of(record), _installed()
    if not then or not now or is_exclusive(then) == is_exclusive(now):
        return []
    made = message("TOML was written for") if _is_new(record) else message("record was made with")
    end = record.parameters.get("end_time")
    named = f" ({shown(end)})" if isinstance(end, int | float) else ""
    if is_exclusive(then):
        what = message(
            "The {made} {package} {then}, where a run stops one step before end_time{named};",
            made=made,
            package=PACKAGE,
            then=shown(then),
            named=named,
        )
        change = "shorter"
    else:
        what = message(
            "The {made} {package} {then}, where a run includes the step at end_time{named};",
            made=made,
            package=PACKAGE,
            then=shown(then),
            named=named,
        )
        change = "longer"
    does = message("stops one step before it") if is_exclusive(now) else message("includes it")
    return [
        warning(
            "end-time",
            message("{what} the installed {now} {does}.", what=what, now=shown(now), does=does),
            message(
                "Choose an end_time, or number of steps, one step {change} for the same result, or install "
                "{package}=={then}.",
                change=change,
                package=PACKAGE,
                then=shown(then),
            ),
        )
    ]


def is_exclusive(version: str) -> bool:
    """
    Tell whether ``Environment(end_time=n)`` stops before n in a version of ``dissmodel``.

    Examples
    --------
    >>> is_exclusive("0.5.1"), is_exclusive("0.4.2"), is_exclusive("0.6.6")
    (True, False, False)
    """
    return re.match(r"0\.5(\.|$|\D)", version) is not None


def _builds_on_dissmodel(record: ExperimentRecord, executor_class: type[Any] | None) -> bool:
    if executor_class is not None:
        return any(cls.__module__.partition(".")[0] == PACKAGE for cls in executor_class.__mro__)
    facts = record.provenance
    return facts is None or not facts.executor_package.startswith("dissmodel_lab")


def _version_of(record: ExperimentRecord) -> str:
    facts = record.provenance
    if facts is not None and not _is_new(record) and (known := facts.versions.get(PACKAGE)):
        return str(known)
    if facts is None and re.match(r"\d+\.\d+", str(record.code_version)):
        return str(record.code_version)
    model = record.resolved_spec.get("model")
    said = model.get(PACKAGE) if isinstance(model, dict) else None
    # only what names one series: ">=0.4" allows both meanings
    exact = re.fullmatch(r"(?:==|~=)?\s*(\d+\.\d+[\w.]*?)(?:\.\*)?", said.strip()) if isinstance(said, str) else None
    return exact.group(1) if exact else ""


def _is_new(record: ExperimentRecord) -> bool:
    """Tell whether a run begins here: its provenance then says what is installed, not what it was made with."""
    facts = record.provenance
    return facts is not None and record.ended_at is None and facts.versions.get(PACKAGE, "") in ("", _installed())


def _installed() -> str:
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return ""
