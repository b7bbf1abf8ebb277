"""The formats there are, and the one door to them: :func:`export`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissmodel_lab.errors import ExportError, did_you_mean
from dissmodel_lab.executor.schemas import ExperimentRecord
from dissmodel_lab.exports.target import refuse_existing
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dissmodel_lab.settings import Settings


@dataclass(frozen=True)
class _Format:
    """How one format is made."""

    module: str
    function: str
    endings: tuple[str, ...]
    """Endings that the path may have; an empty one stands for a folder."""
    takes_many: bool = False
    takes_options: tuple[str, ...] = ()
    """Which of ``preview_html`` and ``settings`` the exporter takes."""
    adds: bool = False
    """Whether the path may exist: the export adds to what is there."""


_FORMATS = {
    "ro-crate": _Format("ro_crate", "export_ro_crate", ("", ".zip"), takes_options=("preview_html", "settings")),
    "prov": _Format("prov_json", "export_prov", (".json",), takes_options=("settings",)),
    "mlflow": _Format("mlflow_run", "export_mlflow", ("", ".db", ".sqlite"), takes_many=True, adds=True),
    "csv": _Format("table", "export_csv", (".csv",), takes_many=True),
    "parquet": _Format("table", "export_parquet", (".parquet",), takes_many=True),
    "profile": _Format("profile", "export_profile", (".md",)),
}

_ENDINGS = {ending for known in _FORMATS.values() for ending in known.endings}

FORMATS = tuple(_FORMATS)
"""Names of the formats, as :func:`export` takes them."""


def export(
    records: ExperimentRecord | Iterable[ExperimentRecord],
    format: str,  # noqa: A002 -- the word of the command line
    path: str | Path,
    *,
    preview_html: str = "",
    settings: Settings | None = None,
) -> Path:
    """
    Write one run or many in a format that other programs open.

    Parameters
    ----------
    records : ExperimentRecord or iterable of ExperimentRecord
        One run; ``csv``, ``parquet`` and ``mlflow`` take many, read one by one. Secrets are hidden.
    format : str
        ``ro-crate``, ``prov``, ``mlflow``, ``csv``, ``parquet`` or ``profile``.
    path : str or Path
        A new file with the format's ending, or a new folder or ``.zip`` for ``ro-crate``; its folder is made
        when it is missing. ``mlflow`` adds to a tracking store: a folder, a ``.db`` file or their URI.
    preview_html : str
        A page that shows the run, for ``ro-crate``.
    settings : Settings, optional
        Who ran it, for ``ro-crate`` and ``prov``.

    Returns
    -------
    Path
        What was written; for ``mlflow`` the store.

    Raises
    ------
    ExportError
        When the format is unknown, the path exists or has another ending, a library is missing, or the disk
        refuses. Nothing half-written is left then.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "runs.csv")
    >>> export(ExperimentRecord(model_name="flood"), "csv", path).name
    'runs.csv'
    >>> export(ExperimentRecord(), "prv", "run.json")
    Traceback (most recent call last):
    dissmodel_lab.errors.ExportError: There is no export format 'prv'. Did you mean 'prov'? Known: ...
    """
    wanted = _FORMATS.get(format)
    if wanted is None:
        raise ExportError(
            message(
                "There is no export format {format!r}. {did_you_mean}",
                format=format,
                did_you_mean=did_you_mean(str(format), FORMATS),
            )
        )
    _check_path(format, wanted, str(path))
    given = records if wanted.takes_many else _only(records, format)
    options = {"preview_html": preview_html, "settings": settings}
    exporter = _exporter(wanted)
    written: Path = exporter(given, path, **{name: options[name] for name in wanted.takes_options})
    return written


def _exporter(wanted: _Format) -> Any:
    return getattr(import_module(f"dissmodel_lab.exports.{wanted.module}"), wanted.function)


def _only(records: ExperimentRecord | Iterable[ExperimentRecord], format_name: str) -> ExperimentRecord:
    if isinstance(records, ExperimentRecord):
        return records
    given = list(records)
    if len(given) == 1:
        return given[0]
    many = ", ".join(name for name, known in _FORMATS.items() if known.takes_many)
    raise ExportError(
        message(
            "The format {format_name!r} holds one run, got {n_given}. Name one, or choose one of: {many}.",
            format_name=format_name,
            n_given=len(given),
            many=many,
        )
    )


def _check_path(format_name: str, wanted: _Format, path: str) -> None:
    if not path.strip():
        raise ExportError(
            message(
                "A path is needed for an export as {format_name!r}. Allowed: {allowed}.",
                format_name=format_name,
                allowed=_allowed(wanted),
            )
        )
    if "://" in path and wanted.adds:
        return  # a tracking store's URI; its exporter knows which it can use
    if "://" in path:
        raise ExportError(
            message(
                "{path!r} is not a path on this machine. Allowed: {allowed}.", path=path, allowed=_allowed(wanted)
            )
        )
    ending = Path(path).suffix.lower()
    # A folder may be called anything, but for the name of another format's file.
    if ending not in wanted.endings and ("" not in wanted.endings or ending in _ENDINGS):
        raise ExportError(
            message(
                "{path!r} is no name for an export as {format_name!r}. Allowed: {allowed}.",
                path=path,
                format_name=format_name,
                allowed=_allowed(wanted),
            )
        )
    if not wanted.adds:
        refuse_existing(Path(path))


def _allowed(wanted: _Format) -> str:
    return " or ".join("a folder" if not ending else f"a file that ends in {ending}" for ending in wanted.endings)
