"""What the server's JSON means; anything else than that is one clear error."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dissmodel_lab.errors import PlatformError, shown
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPLETED, FAILED, CANCELLED = "completed", "failed", "cancelled"
_OVER = frozenset({COMPLETED, FAILED, CANCELLED})
_MOST_LOGS, _LONGEST_LOG = 2000, 10_000
_SHA256_LENGTH = 64


@dataclass(frozen=True)
class PlatformJob:
    """A job as the server tells of it: no parameters, no metrics, no phase."""

    id: str
    """The server's ``experiment_id``."""
    status: str
    """``pending`` until it has ended: the server does not tell whether it waits or runs."""
    model_name: str = ""
    created_at: datetime | None = None
    output_path: str = ""
    """``s3://bucket/key``, or a path on the worker that nobody else can reach."""
    output_sha256: str = ""
    input_sha256: str = ""
    logs: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether it has ended, as far as the server tells: a cancelled one may complete all the same."""
        return self.status in _OVER


@dataclass(frozen=True)
class JobListing:
    """The server's jobs, newest first, and what a person should know of the list."""

    jobs: tuple[PlatformJob, ...] = ()
    total: int = 0
    """How many there are, of which these are the newest."""
    notices: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[PlatformJob]:
        return iter(self.jobs)

    def __len__(self) -> int:
        return len(self.jobs)


@dataclass(frozen=True)
class PlatformModel:
    """A model that is registered at the server."""

    name: str
    class_name: str = ""
    description: str = ""


@dataclass(frozen=True)
class Upload:
    """An input that lies at the server, checked."""

    uri: str
    """``s3://bucket/key``: what a submission names as its source."""
    sha256: str
    size_bytes: int
    label: str


def job_in(value: Any, request: str) -> PlatformJob:
    """
    Read a job.

    Raises
    ------
    PlatformError
        When it is none.

    Examples
    --------
    >>> job_in({"experiment_id": "a1", "status": "pending", "created_at": "2026-01-02T03:04:05"}, "GET /job/a1")
    PlatformJob(id='a1', status='pending', ... tzinfo=datetime.timezone.utc), ...)
    >>> job_in({"status": "pending"}, "GET /job/a1")
    Traceback (most recent call last):
    dissmodel_lab.errors.PlatformError: The platform answered GET /job/a1 without a job's experiment_id: {'st...
    """
    table = table_in(value, request)
    said = table.get("experiment_id") or table.get("job_id")
    for name, text in (("experiment_id", said), ("status", table.get("status"))):
        if not isinstance(text, str) or not text:
            raise PlatformError(
                message(
                    "The platform answered {request} without a job's {name}: {value}.",
                    request=request,
                    name=name,
                    value=shown(value),
                )
            )
    logs = table.get("logs")
    lines = [str(line)[:_LONGEST_LOG] for line in logs[:_MOST_LOGS]] if isinstance(logs, list) else []
    return PlatformJob(
        id=str(said),
        status=str(table["status"]),
        model_name=_text(table, "model_name"),
        created_at=_moment(table.get("created_at")),
        output_path=_text(table, "output_path"),
        output_sha256=sha256_in(table.get("output_sha256")),
        input_sha256=sha256_in(table.get("input_sha256")),
        logs=tuple(lines),
    )


def jobs_in(value: Any, request: str) -> JobListing:
    """
    Read a list of jobs; one that cannot be read is left out, and told.

    Raises
    ------
    PlatformError
        When it is no list.

    Examples
    --------
    >>> listing = jobs_in({"experiments": [{"job_id": "a1", "status": "failed"}, 5], "total": 2}, "GET /jobs")
    >>> [job.id for job in listing], listing.notices
    (['a1'], ('1 job in the list cannot be read.',))
    """
    table = table_in(value, request)
    items = table.get("experiments")
    if not isinstance(items, list):
        raise PlatformError(
            message(
                "The platform answered {request} without a list of experiments: {value}.",
                request=request,
                value=shown(value),
            )
        )
    jobs = []
    for item in items:
        try:
            jobs.append(job_in(item, request))
        except PlatformError:
            continue
    lost = len(items) - len(jobs)
    notice = message("{lost} job{words} in the list cannot be read.", lost=lost, words="s" if lost > 1 else "")
    total = table.get("total")
    return JobListing(tuple(jobs), total if isinstance(total, int) else len(items), (notice,) if lost else ())


def models_in(value: Any, request: str) -> list[PlatformModel]:
    """
    Read the list of registered models.

    Raises
    ------
    PlatformError
        When it is no list.

    Examples
    --------
    >>> models_in({"models": [{"name": "flood", "class": "CoastalFlood"}]}, "GET /models")
    [PlatformModel(name='flood', class_name='CoastalFlood', description='')]
    """
    items = table_in(value, request).get("models")
    if not isinstance(items, list):
        raise PlatformError(
            message(
                "The platform answered {request} without a list of models: {value}.",
                request=request,
                value=shown(value),
            )
        )
    tables = [{"name": item} if isinstance(item, str) else item for item in items]
    return [
        PlatformModel(_text(table, "name"), _text(table, "class"), _text(table, "description"))
        for table in tables
        if isinstance(table, dict) and _text(table, "name")
    ]


def table_in(value: Any, request: str) -> dict[str, Any]:
    """
    Return a JSON object.

    Raises
    ------
    PlatformError
        When it is none.

    Examples
    --------
    >>> table_in([], "GET /health")
    Traceback (most recent call last):
    dissmodel_lab.errors.PlatformError: The platform answered GET /health with something unexpected: [].
    """
    if not isinstance(value, dict):
        raise PlatformError(
            message(
                "The platform answered {request} with something unexpected: {value}.",
                request=request,
                value=shown(value),
            )
        )
    return value


def sha256_in(value: Any) -> str:
    """
    Return a SHA-256 in lower case; empty when the value is none.

    Examples
    --------
    >>> sha256_in("E3" * 32)[:4], sha256_in("none")
    ('e3e3', '')
    """
    text = value.strip().lower() if isinstance(value, str) else ""
    is_hash = len(text) == _SHA256_LENGTH and set(text) <= set("0123456789abcdef")
    return text if is_hash else ""


def _text(table: dict[str, Any], name: str) -> str:
    value = table.get(name)
    return value if isinstance(value, str) else ""


def _moment(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
        # Old servers write naive times: they are UTC.
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):  # none, or one outside of the calendar
        return None
