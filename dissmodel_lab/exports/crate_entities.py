"""A record as the entities of an RO-Crate: who did what, with which software, from what, and what came out.

Terms: RO-Crate 1.1 (https://w3id.org/ro/crate/1.1) and Process Run Crate 0.5
(https://w3id.org/ro/wfrun/process/0.5), which is a profile of 1.1 and not of a later version. A run is a
``CreateAction``, the executor its ``instrument``, input and parameters its ``object``, outputs and metrics its
``result``. The one term beyond RO-Crate's own context is ``sha256``, of the namespace of Workflow Run RO-Crate.
"""

from __future__ import annotations

import getpass
import math
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit

from rocrate.model import ContextEntity, Preview
from rocrate.rocrate import ROCrate

from dissmodel_lab.executor.schemas import RunStatus
from dissmodel_lab.exports.crate_files import format_of
from dissmodel_lab.exports.crate_place import coverage_of
from dissmodel_lab.plain import flat_values, plain_name, plain_value, printable
from dissmodel_lab.redaction import HIDDEN
from dissmodel_lab.sources import file_sha256
from dissmodel_lab.titles import title_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from dissmodel_lab.annotations import Annotations
    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.exports.crate_files import CrateFile
    from dissmodel_lab.settings import Settings

CRATE_VERSION = "1.1"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
SHA256_TERM = "https://w3id.org/ro/terms/workflow-run#sha256"

_MOST_VALUES = 1_000
"""Most parameters or metrics that become entities; the record holds all."""
_EXACT = 2**53
"""Larger whole numbers are not exact in every JSON reader."""
_STATUS = {
    RunStatus.COMPLETED: "http://schema.org/CompletedActionStatus",
    RunStatus.FAILED: "http://schema.org/FailedActionStatus",
    RunStatus.CANCELLED: "http://schema.org/FailedActionStatus",
}
_WHAT = {("input", "input"): "The input of the run.", ("artifact", "output"): "The main output of the run."}
_VERBS = {"input": "read", "parameter": "read, named by a parameter", "artifact": "made"}
#: Software that is no distribution of the Python Package Index.
_HOMES = {"python": "https://www.python.org/", "gdal": "https://gdal.org/"}
_NOT_ON_PYPI = frozenset({"dissmodel_lab"})


class Text(NamedTuple):
    """A small file that is written from memory."""

    place: str
    content: str
    name: str
    description: str


def crate_title(record: ExperimentRecord) -> str:
    """
    Name a run in one line.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> crate_title(ExperimentRecord(model_name="flood", parameters={"rise": 2}))
    'Run of flood: rise=2'
    """
    return printable(f"Run of {plain_name(record.model_name or 'a model')}: {title_of(record)}")


def build_crate(
    record: ExperimentRecord,
    files: Sequence[CrateFile],
    texts: Sequence[Text],
    settings: Settings,
    *,
    page: str,
    annotations: Annotations,
) -> Any:
    """
    Describe a run as an RO-Crate, in memory; the caller writes it.

    Parameters
    ----------
    record : ExperimentRecord
        Without secrets.
    files : sequence of CrateFile
        What the run read and made.
    texts : sequence of Text
        The record, the cell and other small files about the run.
    settings : Settings
        Author and licence.
    page : str
        The preview page's HTML.
    annotations : Annotations
        Tags and notes of the run.

    Returns
    -------
    rocrate.rocrate.ROCrate
        Not yet written.
    """
    crate = ROCrate(version=CRATE_VERSION)
    crate.metadata.extra_terms["sha256"] = SHA256_TERM
    crate.add(Preview(crate, BytesIO(page.encode()), properties={"name": "The run, to be read in a browser"}))
    author, agent = _people(crate, record, settings)
    action = _action(crate, record, agent)
    objects = [_file(crate, file) for file in files if file.role != "artifact"]
    results = [_file(crate, file) for file in files if file.role == "artifact"]
    objects += _values(crate, "parameter", record.parameters, _units(record))
    results += _values(crate, "metric", record.metrics, {})
    if record.verdict:
        results += _values(crate, "verdict", record.verdict, {})
    _link(action, "object", objects)
    _link(action, "result", results)
    for text in texts:
        _text_file(crate, text, action)
    _root(crate, record, settings, author, action)
    _add_coverage(crate, files)
    _add_annotations(crate, annotations)
    return crate


def _add(crate: Any, at: str, kind: str, /, **properties: Any) -> Any:
    """Add a contextual entity; what is empty is left out."""
    kept = {name: value for name, value in properties.items() if value not in ("", None, [])}
    return crate.add(ContextEntity(crate, at, properties={"@type": kind, **kept}))


def _link(entity: Any, name: str, values: Sequence[Any]) -> None:
    """Set a property of many values as RO-Crate 1.1 wants it: left out when empty, a single one not in a list."""
    if values:
        entity[name] = values[0] if len(values) == 1 else list(values)


def _root(crate: Any, record: ExperimentRecord, settings: Settings, author: Any, action: Any) -> None:
    profile = _add(crate, PROFILE, "CreativeWork", name="Process Run Crate", version="0.5")
    root = crate.root_dataset
    root["name"] = crate_title(record)
    root["description"] = (
        f"One run of the model {plain_name(record.model_name)}: what went in, what came out, with which software. "
        f"Status: {plain_name(record.status)}. Made with dissmodel_lab; its command import reads this crate back."
    )
    root["identifier"] = plain_name(record.experiment_id)
    root["conformsTo"] = profile
    root["author"] = author
    root["license"] = _license(crate, settings)
    root["mentions"] = action


def _license(crate: Any, settings: Settings) -> Any:
    if settings.license_url:
        text = f"What is in this crate may be used under the terms of {settings.license}."
        return _add(crate, settings.license_url, "CreativeWork", name=settings.license, description=text)
    text = "Nobody gave a licence for what is in this crate. Ask its author before you use or share it."
    return _add(crate, "#no-licence", "CreativeWork", name="No licence was given", description=text)


def _people(crate: Any, record: ExperimentRecord, settings: Settings) -> tuple[Any, Any]:
    """Return the author of the crate and who ran the model: the same person, unless the record names another user."""
    user = plain_name(record.provenance.user) if record.provenance and record.provenance.user else ""
    who = settings.author
    if who is None:
        person = _add(crate, f"#user-{quote(user or 'unknown', safe='')}", "Person", name=user or "Unknown")
        return person, person
    institute = None
    if who.affiliation:
        institute = _add(crate, "#affiliation", "Organization", name=who.affiliation)
    identifier = who.orcid_url or "#author"
    author = _add(crate, identifier, "Person", name=who.name, email=who.email, affiliation=institute)
    if user in ("", _own_user()):
        return author, author
    return author, _add(crate, f"#user-{quote(user, safe='')}", "Person", name=user)


def _own_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return ""


def _action(crate: Any, record: ExperimentRecord, agent: Any) -> Any:
    status = _STATUS.get(record.status)  # type: ignore[call-overload]  # any text; a member of a StrEnum equals its own
    is_completed = record.status == RunStatus.COMPLETED
    error = "" if is_completed or status is None else record.error or f"The run was {record.status}."
    what = f"{plain_name(record.model_name or 'A model')} was run with {title_of(record)}."
    if status is None:
        what += f" The record says {plain_name(record.status)!r}: the run had not ended, or its process is gone."
    elif not is_completed:
        how = "failed" if record.status == RunStatus.FAILED else "was cancelled"
        what += f" It {how}{f' in phase {record.failed_phase}' if record.failed_phase else ''}."
    return _add(
        crate,
        f"#run-{quote(record.experiment_id, safe='')}",
        "CreateAction",
        name=crate_title(record),
        description=printable(what),
        startTime=_moment(record.started_at),
        endTime=_moment(record.ended_at),
        actionStatus=status,
        error=printable(error),
        agent=agent,
        instrument=_instrument(crate, record),
    )


def _moment(moment: datetime | None) -> str:
    # Thousandths of a second: the validator of the profile knows no other fractions.
    return moment.isoformat(timespec="milliseconds") if moment is not None else ""


def _instrument(crate: Any, record: ExperimentRecord) -> Any:
    facts = record.provenance
    package, _, version = (facts.executor_package if facts else "").partition("==")
    git = facts.executor_git if facts else None
    about = [f"Executor {facts.executor_class}." if facts and facts.executor_class else ""]
    about.append(f"Package {package}, version {version}." if package else "")
    if git is not None and git.commit:
        dirty = ", with changes that are not committed" if git.dirty else ""
        about.append(f"Git commit {git.commit}{dirty}.")
    is_in_cell = bool(facts and facts.executor_class.startswith("__main__:") and facts.cell_source)
    about.append("It was defined in the notebook: see cell.py." if is_in_cell else "")
    return _add(
        crate,
        "#executor",
        "SoftwareApplication",
        name=plain_name(record.model_name or "a model"),
        description=printable(" ".join(filter(None, about))),
        softwareVersion=printable(version or record.code_version or record.model_commit),
        identifier=printable(facts.executor_class) if facts else "",
        url=_source_url(package),
        softwareRequirements=[_software(crate, *item) for item in (facts.versions if facts else {}).items()],
    )


def _software(crate: Any, name: str, version: str) -> Any:
    kept = printable(version)
    identifier, url = f"#software-{quote(name, safe='')}", _HOMES.get(name, "")
    if name not in (*_HOMES, *_NOT_ON_PYPI):
        url = f"https://pypi.org/project/{quote(name, safe='')}/"
        identifier = f"{url}{quote(version, safe='')}/"
    return _add(crate, identifier, "SoftwareApplication", name=plain_name(name), softwareVersion=kept, url=url)


def _source_url(package: str) -> str:
    """Return where the source of an installed distribution is, as it says itself; empty when it does not."""
    if not package:
        return ""
    import importlib.metadata  # noqa: PLC0415 -- only for an export

    try:
        about = importlib.metadata.metadata(package)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return ""
    links = {}
    for line in about.get_all("Project-URL") or []:
        label, _, url = line.partition(",")
        links[label.strip().lower()] = url.strip()
    labels = ("source", "source code", "repository", "code", "github", "homepage", "home")
    wanted = (*(links.get(label, "") for label in labels), *(about.get_all("Home-page") or []))
    return next((url for url in wanted if urlsplit(url).scheme in ("http", "https")), "")


def _file(crate: Any, file: CrateFile) -> Any:
    what = _WHAT.get((file.role, file.name)) or f"A file that the run {_VERBS[file.role]}: {plain_name(file.name)}."
    title = plain_name(file.said.rstrip("/\\").replace("\\", "/").rpartition("/")[2] or file.name)
    if file.path is None:
        is_web = file.said.startswith(("http://", "https://")) and HIDDEN not in file.said
        return _add(
            crate,
            f"#{file.role}-{quote(file.name, safe='')}",
            "CreativeWork",
            name=title,
            description=printable(f"{what} Not in this crate: it {file.absent}"),
            sha256=printable(file.sha256),
            identifier=printable(file.said) if "://" in file.said else "",
            url=file.said if is_web else "",
        )
    if file.is_folder:
        return _folder(crate, file, title, what)
    entity, *beside = (_data(crate, place, path) for place, path in file.members())
    entity["name"], entity["description"] = title, what
    for sidecar in beside:
        sidecar["description"] = f"Belongs to {title}: without it, that is not what was read."
    return entity


def _folder(crate: Any, file: CrateFile, title: str, what: str) -> Any:
    parts = [_data(crate, place, path) for place, path in file.members()]
    how = "Its sha256 is that of the lines '<sha256 of file>  <path in it>', sorted by path."
    properties = {"name": title, "description": f"{what} {how}", "sha256": file.sha256}
    folder = crate.add_dataset(dest_path=file.place, properties=properties)
    _link(folder, "hasPart", parts)
    return folder


def _data(crate: Any, place: str, path: Any) -> Any:
    size = path.stat().st_size
    entity = crate.add_file(
        # Absolute, because rocrate takes a relative path with a colon for a URL.
        path.absolute(),
        place,
        properties={
            "name": place.rpartition("/")[2],
            "encodingFormat": format_of(place),
            "contentSize": str(size),
            "sha256": file_sha256(path),
        },
    )
    if not size:  # rocrate writes an empty file into a zip under its quoted name
        entity.stream = lambda **_: iter([(place, b"")])
    return entity


def _text_file(crate: Any, text: Text, action: Any) -> None:
    import hashlib  # noqa: PLC0415 -- as in sources

    content = text.content.encode("utf-8", "backslashreplace")
    properties = {
        "name": text.name,
        "description": text.description,
        "encodingFormat": format_of(text.place),
        "contentSize": str(len(content)),
        "sha256": hashlib.sha256(content).hexdigest(),
        "about": action,
    }
    crate.add_file(BytesIO(content), text.place, properties=properties)


def _values(crate: Any, kind: str, values: Mapping[Any, Any], units: Mapping[str, str]) -> list[Any]:
    found: Iterable[tuple[Any, Any]] = flat_values(values).items() if kind == "verdict" else values.items()
    entities: list[Any] = []
    taken: set[str] = set()
    for name, value in list(found)[:_MOST_VALUES]:
        shown = plain_name(name)
        identifier = f"#{kind}-{quote(shown, safe='')}"
        if identifier in taken:
            identifier = f"{identifier}-{len(taken)}"
        taken.add(identifier)
        unit = units.get(str(name), "")
        entity = _add(crate, identifier, "PropertyValue", name=shown, propertyID=kind, unitText=unit)
        entity["value"] = _value(value)
        entities.append(entity)
    return entities


def _value(value: Any) -> bool | int | float | str:
    plain = plain_value(value)
    if plain is None:
        return "null"
    is_lossy = (isinstance(plain, float) and not math.isfinite(plain)) or (
        isinstance(plain, int) and abs(plain) > _EXACT
    )
    return str(plain) if is_lossy else plain


def _units(record: ExperimentRecord) -> dict[str, str]:
    """Return the units that the executor declares, when its module is loaded; nothing is imported for them."""
    from dissmodel_lab.parameters import declared_parameters, unit  # noqa: PLC0415 -- only for a loaded executor
    from dissmodel_lab.provenance import loaded_executor  # noqa: PLC0415 -- as above

    executor_class = loaded_executor(record)
    schema = declared_parameters(executor_class) if executor_class is not None else None
    return {name: unit(info) for name, info in schema.model_fields.items()} if schema is not None else {}


def _add_coverage(crate: Any, files: Sequence[CrateFile]) -> None:
    maps = [file for file in files if file.path is not None and file.role != "parameter"]
    for file in sorted(maps, key=lambda file: (file.role != "artifact", file.name != "output")):
        box = coverage_of(file.path) if file.path is not None else ""
        if box:
            shape = _add(crate, "#bounds", "GeoShape", box=box, description="south west north east, in degrees")
            place = _add(crate, "#place", "Place", name=f"Where {file.place} lies", geo=shape)
            crate.root_dataset["spatialCoverage"] = place
            return


def _add_annotations(crate: Any, annotations: Annotations) -> None:
    _link(crate.root_dataset, "keywords", annotations.tags)
    comments = [
        _add(
            crate,
            f"#note-{number}",
            "Comment",
            name=f"Note {number}",
            text=note.text,
            author=_add(crate, f"#user-{quote(note.author, safe='')}", "Person", name=note.author)
            if note.author
            else None,
            dateCreated=_moment(note.at),
        )
        for number, note in enumerate(annotations.notes, start=1)
    ]
    _link(crate.root_dataset, "comment", comments)
