"""A run as an RO-Crate: a folder or a ``.zip`` with the record, the files and what they mean.

It follows Process Run Crate 0.5 (https://w3id.org/ro/wfrun/process/0.5) on RO-Crate 1.1. What goes in::

    ro-crate-metadata.json   what everything is, as JSON-LD
    ro-crate-preview.html    the same for people
    record.json              the record itself, without secrets
    cell.py                  the notebook cell that started the run
    annotations.jsonl        tags and notes
    verdicts/                records of reruns that judge this run
    input/  parameters/      what the run read
    output/                  what it made

:func:`dissmodel_lab.exports.crate_reader.import_crate` reads it back.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissmodel_lab.annotations import Annotations, annotations_path, read_annotations
from dissmodel_lab.errors import ExportError
from dissmodel_lab.executor.schemas import IMPORTED_FIELD, ExperimentRecord
from dissmodel_lab.exports.crate_files import LARGEST_INPUT, files_of
from dissmodel_lab.exports.crate_page import crate_page
from dissmodel_lab.exports.target import missing_library, new_file, refuse_existing, temporary_for, unwritable
from dissmodel_lab.language import message
from dissmodel_lab.plain import as_on_disk
from dissmodel_lab.settings import Settings, read_settings
from dissmodel_lab.sources import fingerprint
from dissmodel_lab.store import safe_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dissmodel_lab.exports.crate_entities import Text
    from dissmodel_lab.exports.crate_files import CrateFile

RECORD_PLACE, CELL_PLACE, NOTES_PLACE, VERDICTS_PLACE = "record.json", "cell.py", "annotations.jsonl", "verdicts"
_MOST_NOTES = 4 * 1024 * 1024
"""How much of the annotations is taken [bytes]."""


def export_ro_crate(
    record: ExperimentRecord,
    path: str | Path,
    *,
    preview_html: str = "",
    settings: Settings | None = None,
    with_input: bool = True,
    largest_input: int = LARGEST_INPUT,
    verdicts: Iterable[ExperimentRecord] = (),
) -> Path:
    """
    Write a run as an RO-Crate.

    Files go in only when they are as recorded, by their SHA-256; what is left out is named with its URI, its
    hash and the reason. Remote inputs are never fetched.

    Parameters
    ----------
    record : ExperimentRecord
        Completed, failed or cancelled; secrets in it are hidden.
    path : str or Path
        A new folder, or a new ``.zip``.
    preview_html : str
        The run's static report, safe HTML: a whole page, or the part that stands in the crate's own page.
    settings : Settings, optional
        Author and licence; those of the nearest settings file when not given.
    with_input : bool
        False leaves out the input and the files that parameters name.
    largest_input : int
        A larger input is left out [bytes].
    verdicts : iterable of ExperimentRecord
        Records of reruns of this run, each with its verdict.

    Returns
    -------
    Path
        The folder or file.

    Raises
    ------
    ExportError
        When the path exists, the disk refuses, a file changes meanwhile, or the library ``rocrate`` is missing.
        Nothing is left then.

    Examples
    --------
    >>> import tempfile
    >>> from dissmodel_lab.runner import run
    >>> folder = Path(tempfile.mkdtemp())
    >>> record = run("game_of_life", parameters={"generations": 2}, store=folder / "runs")
    >>> crate = export_ro_crate(record, folder / "crate")
    >>> sorted(item.name for item in crate.iterdir())
    ['input', 'output', 'record.json', 'ro-crate-metadata.json', 'ro-crate-preview.html']
    """
    target = Path(path)
    refuse_existing(target)
    try:
        from dissmodel_lab.exports.crate_entities import build_crate, crate_title  # noqa: PLC0415 -- loads rocrate
    except ImportError as error:
        raise ExportError(missing_library("ro-crate", "rocrate", error)) from error
    shared = as_on_disk(record)
    if settings is None:
        settings = read_settings(shared.record_path.parent if shared.record_path is not None else None)
    try:
        files = files_of(shared, with_input=with_input, largest_input=largest_input)
        before = {path: fingerprint(path) for file in files for _, path in file.members()}
        page = crate_page(shared, files, settings, title=crate_title(shared), report_html=preview_html)
        texts = _texts(shared, verdicts)
        annotations = read_annotations(shared.record_path) if shared.record_path is not None else Annotations()
        crate = build_crate(shared, files, texts, settings, page=page, annotations=annotations)
        with _new(target) as temporary:
            _write(crate, temporary, is_zip=target.suffix.lower() == ".zip")
            _refuse_changed(files, before)
    except OSError as error:
        raise ExportError(unwritable(target, error)) from error
    return target


def _new(target: Path) -> Any:
    return new_file(target) if target.suffix.lower() == ".zip" else _new_folder(target)


def _write(crate: Any, temporary: Path, *, is_zip: bool) -> None:
    if not is_zip:
        crate.write(temporary)
        return
    # Without a source, rocrate would add whatever lies in a folder that happens to be called "None".
    crate.source = f"{temporary.absolute()}.none"
    crate.write_zip(temporary)


@contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    """Write a folder under a temporary name; it gets its own when the block ends well."""
    temporary = temporary_for(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        yield temporary
        refuse_existing(path)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _refuse_changed(files: Sequence[CrateFile], before: dict[Path, Any]) -> None:
    for file in files:
        hashed = {file.path: file.seen} if file.path is not None and not file.is_folder else {}
        for path, seen in {**{path: before.get(path) for _, path in file.members()}, **hashed}.items():
            if fingerprint(path) != seen:
                raise ExportError(
                    message(
                        "{path!r} changed while it was exported. Nothing is left of the crate. Export it again "
                        "when nobody writes there.",
                        path=str(path),
                    )
                )


def _texts(record: ExperimentRecord, verdicts: Iterable[ExperimentRecord]) -> list[Text]:
    """Return the small files about the run."""
    from dissmodel_lab.exports.crate_entities import Text  # noqa: PLC0415 -- loads rocrate

    (record.model_extra or {}).pop(IMPORTED_FIELD, None)  # it says where the files lie on this machine
    found = [Text(RECORD_PLACE, _json(record), "Record", "The record of the run, as dissmodel_lab keeps it.")]
    cell = record.provenance.cell_source if record.provenance is not None else ""
    if cell:
        found.append(Text(CELL_PLACE, f"{cell}\n", "Cell", "The notebook cell that started the run."))
    notes = _notes(record.record_path)
    if notes:
        found.append(Text(NOTES_PLACE, notes, "Tags and notes", "What people added to the run, one JSON line each."))
    for verdict in verdicts:
        judged = as_on_disk(verdict)
        place = f"{VERDICTS_PLACE}/{safe_name(judged.experiment_id)}.record.json"
        kind = judged.verdict.get("kind", "unknown")
        about = f"The record of a rerun of this run, and its verdict: {kind}."
        found.append(Text(place, _json(judged), "Verdict", about))
    return found


def _json(record: ExperimentRecord) -> str:
    return record.model_dump_json(indent=2)


def _notes(record_path: Path | None) -> str:
    """Return the run's annotations, line by line as they are, without secrets; what is no JSON object is left out."""
    if record_path is None:
        return ""
    path = annotations_path(record_path)
    if not os.path.isfile(path) or os.path.islink(path):  # noqa: PTH113, PTH114 -- one look, no exceptions
        return ""
    with path.open("rb") as file:
        lines = file.read(_MOST_NOTES).split(b"\n")
    kept = []
    for line in lines:
        try:
            change = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(change, dict):
            kept.append(json.dumps(_without_secrets(change), ensure_ascii=False))
    return "".join(f"{line}\n" for line in kept)


def _without_secrets(change: dict[str, Any]) -> Any:
    """Write a change as a record would write it."""
    return json.loads(ExperimentRecord(metrics=change).model_dump_json(include={"metrics"}))["metrics"]
