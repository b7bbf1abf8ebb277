"""The client of one DisSModel Platform server."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote
from uuid import uuid4

from dissmodel_lab.errors import PlatformError, did_you_mean, shown
from dissmodel_lab.language import joined, message
from dissmodel_lab.parameters import ModelSpec
from dissmodel_lab.platform_client import files
from dissmodel_lab.platform_client.answers import (
    CANCELLED,
    COMPLETED,
    FAILED,
    JobListing,
    PlatformJob,
    PlatformModel,
    Upload,
    job_in,
    jobs_in,
    models_in,
    table_in,
)
from dissmodel_lab.platform_client.submissions import (
    FORMATS,
    PRIORITIES,
    choose,
    inline_toml,
    refuse_package,
    sendable,
)
from dissmodel_lab.platform_client.transport import AnswerError, Http, Timing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from dissmodel_lab.platform_client.key import ApiKey

URL_VARIABLE = "DISSMODEL_PLATFORM_URL"
"""Environment variable that holds the server's address."""
OUTPUT_BUCKET = "dissmodel-outputs"
"""Where a job's record lies when its output does not tell another one."""
_STATUSES = ("pending", COMPLETED, FAILED, CANCELLED)
_MANY = 1000
"""Jobs that are looked through for one whose answer was lost."""
_LOOKS, _LOOK_PAUSE = 3, 1.0
_CLOCKS = timedelta(seconds=3)
"""By how much the clock in an answer's header may be wrong: it tells whole seconds."""
_BRIEF_READ, _BRIEF_DEADLINE = 10.0, 20.0
_BAD_REQUEST, _NOT_FOUND, _FAILURE = 400, 404, 500


class UnregisteredModelError(PlatformError):
    """The server's registry has no model of that name."""


class UnknownSubmissionError(PlatformError):
    """
    The answer to a submission was lost, and nothing tells whether the job exists.

    Parameters
    ----------
    message : str
        All that a person needs to read.
    candidates : tuple of str
        Ids of jobs that may be it.
    """

    def __init__(self, message: str, candidates: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.candidates = candidates


class PlatformClient:
    """
    The jobs, models and files of a DisSModel Platform server.

    Parameters
    ----------
    url : str, optional
        Its address, ``https://host`` or ``http://host:port``; ``DISSMODEL_PLATFORM_URL`` when not given.
    key : ApiKey, optional
        Only for tests: it is looked up in ``DISSMODEL_API_KEY`` and in the keyring when it is first needed, and is
        sent to this host alone.
    timing : Timing, optional
        How long the server is waited for.

    Raises
    ------
    PlatformError
        When there is no address, or it cannot be one.

    Examples
    --------
    >>> PlatformClient("https://platform.example/")
    <DisSModel Platform at https://platform.example>
    """

    def __init__(self, url: str | None = None, *, key: ApiKey | None = None, timing: Timing | None = None) -> None:
        self._http = Http(_address(url), key=key, timing=timing)
        self._own: set[str] = set()

    @property
    def url(self) -> str:
        """The server's address."""
        return self._http.url

    @property
    def warnings(self) -> list[str]:
        """What a person should know of the way to this server."""
        host = self._http.origin.partition("://")[2].partition(":")[0]
        if self._http.origin.startswith("https://") or host in ("localhost", "127.0.0.1", "[::1]"):
            return []
        return [
            message(
                "The API key travels unencrypted to {origin}: anybody on the way can read it. Use https.",
                origin=self._http.origin,
            )
        ]

    def check_key(self) -> None:
        """
        See that there is a key; whether it is the right one, the server's first answer tells.

        Raises
        ------
        PlatformError
            When there is none.
        """
        _ = self._http.key

    def hide(self, text: str) -> str:
        """Return a text without the key."""
        return self._http.hide(text)

    def brief(self) -> PlatformClient:
        """Return a client of the same server that asks once, and waits less: for who asks again by himself."""
        timing = self._http.timing
        shorter = timing._replace(
            attempts=1, read=min(timing.read, _BRIEF_READ), deadline=min(timing.deadline, _BRIEF_DEADLINE)
        )
        return PlatformClient(self.url, key=self._http.key, timing=shorter)

    def close(self) -> None:
        """Close the connections that are kept."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<DisSModel Platform at {self.url}>"

    # ---------------------------------------------------------------------------------------------- reading

    def health(self) -> dict[str, Any]:
        """
        Ask whether the server and its storage work; no key is needed, and none is sent.

        Raises
        ------
        PlatformError
            When they do not, or it cannot be reached.
        """
        return table_in(self._http.ask("GET", "/health", needs_key=False), "GET /health")

    def models(self) -> list[PlatformModel]:
        """
        List the models that are registered.

        Raises
        ------
        PlatformError
            When the server refuses or fails.
        """
        return models_in(self._http.ask("GET", "/models"), "GET /models")

    def model(self, name: str) -> ModelSpec:
        """
        Return the TOML of a registered model.

        Raises
        ------
        UnregisteredModelError
            When there is none of that name; the message names those that there are.
        PlatformError
            When the server refuses or fails.
        """
        path = f"/models/{quote(name, safe='')}"
        try:
            table = table_in(
                self._http.ask("GET", path, missing=message("No model {name!r}.", name=shown(name))),
                f"GET {path}",
            )
        except AnswerError as error:
            if error.status != _NOT_FOUND:
                raise
        else:
            spec = table.get("spec")
            return spec_of(spec if isinstance(spec, dict) else {}, name)
        known = did_you_mean(name, [model.name for model in self.models()])
        raise UnregisteredModelError(
            message(
                "The platform at {url} has no registered model {name!r}. {known}",
                url=self.url,
                name=shown(name),
                known=known,
            )
        )

    def job(self, job_id: str) -> PlatformJob:
        """
        Return what the server tells of a job now.

        Raises
        ------
        PlatformError
            When it does not know it, refuses or fails.
        """
        path = f"/job/{quote(job_id, safe='')}"
        missing = message(
            "The platform at {url} knows no job {job_id!r}. See them with jobs().", url=self.url, job_id=shown(job_id)
        )
        return job_in(self._http.ask("GET", path, missing=missing), f"GET {path}")

    def jobs(self, status: str = "", limit: int = 100) -> JobListing:
        """
        List jobs, newest first.

        One record with an old time in it makes this server's listing fail for good; then the jobs are asked for by
        their status, and the listing's ``notices`` say which of these the server cannot list.

        Parameters
        ----------
        status : str
            ``pending``, ``completed``, ``failed`` or ``cancelled``; all when empty.
        limit : int
            How many at most.

        Raises
        ------
        PlatformError
            When nothing can be listed.
        """
        try:
            return self._listed(status, limit)
        except AnswerError as error:
            if error.status != _FAILURE or status:
                raise
            problem = error
        found: list[PlatformJob] = []
        total, unknown = 0, []
        for one in _STATUSES:
            try:
                part = self._listed(one, limit)
            except AnswerError as error:
                if error.status != _FAILURE:
                    raise
                unknown.append(one)
                continue
            found += part.jobs
            total += part.total
        if len(unknown) == len(_STATUSES):
            raise problem
        notice = message(
            "The platform cannot list its jobs at once ({failure}): one of them has a time that it cannot "
            "compare. Not in this list: those that are {unknown}.",
            failure=_FAILURE,
            unknown=" or ".join(unknown) or "of any other status",
        )
        newest = sorted(found, key=lambda job: job.created_at or datetime.min.replace(tzinfo=UTC), reverse=True)
        return JobListing(tuple(newest[:limit]), total, (notice,))

    def _listed(self, status: str, limit: int) -> JobListing:
        params: dict[str, str | int] = {"limit": limit, **({"status": status} if status else {})}
        return jobs_in(self._http.ask("GET", "/jobs", params=params), "GET /jobs")

    # ------------------------------------------------------------------------------------------- submitting

    def submit(
        self,
        model_name: str,
        source: str = "",
        parameters: Mapping[str, Any] | None = None,
        *,
        input_format: str = "auto",
        column_map: Mapping[str, Any] | None = None,
        band_map: Mapping[str, Any] | None = None,
        priority: str = "normal",
    ) -> PlatformJob:
        """
        Submit a job of a registered model. It is sent once: a lost answer is looked for, not sent again.

        Parameters
        ----------
        model_name : str
            As the registry has it.
        source : str
            Address of the input, as :meth:`upload` returns it.
        parameters : mapping, optional
            They override those of the registered TOML; all of them are sent, merged.
        input_format : str
            ``auto``, ``tiff`` or ``vector``.
        column_map, band_map : mapping, optional
            Names in the input, by the model's own.
        priority : str
            ``low``, ``normal`` or ``high``.

        Raises
        ------
        UnknownSubmissionError
            When the answer was lost, and the job cannot be told from others.
        PlatformError
            When it was refused, or did not arrive.
        """
        # The worker overlooks what stands under [model] itself.
        merged = {**self.model(model_name).parameters, **(parameters or {})}
        body = {
            "model_name": model_name,
            **_common(source, sendable(merged)[0], input_format, column_map, band_map),
            "priority": choose(priority, PRIORITIES, "priority"),
        }
        sent_at = self._server_now()

        def might_be(job: PlatformJob) -> bool:
            is_new = job.created_at is None or job.created_at >= sent_at - _CLOCKS
            return job.model_name == model_name and is_new and job.id not in self._own

        return self._submitted("/submit_job", body, might_be, is_certain=False)

    def submit_inline(
        self,
        toml: str | Path | ModelSpec,
        source: str = "",
        parameters: Mapping[str, Any] | None = None,
        *,
        class_name: str = "",
        executor_module: str = "",
        packages: Iterable[str] = (),
        input_format: str = "auto",
        column_map: Mapping[str, Any] | None = None,
        band_map: Mapping[str, Any] | None = None,
        token: str = "",
    ) -> PlatformJob:
        """
        Submit a job by a TOML of one's own. It is sent once; a job whose answer was lost is found by its token.

        Parameters
        ----------
        toml : str, Path or ModelSpec
            A text, a file, or what was read of one.
        source, parameters, input_format, column_map, band_map
            As :meth:`submit` takes them.
        class_name, executor_module : str
            The model's name and the module that defines its executor, when the TOML does not say.
        packages : iterable of str
            What the server's worker may install: exactly what ``package`` says, after a person has agreed.
        token : str
            A mark in the job's name at the server; a new one when not given.

        Raises
        ------
        PackageError
            When the TOML names a package that is not among ``packages``.
        PlatformError
            As :meth:`submit`.
        """
        spec = _read(toml)
        refuse_package(spec, packages)
        values, _ = sendable({**spec.parameters, **(parameters or {})})
        token = token or uuid4().hex[:12]
        text = inline_toml(spec, values, class_name=class_name, executor_module=executor_module, token=token)
        body = {"model_spec_toml": text, **_common(source, values, input_format, column_map, band_map)}
        return self._submitted("/submit_job_inline", body, lambda job: token in job.model_name, is_certain=True)

    def reproduce(self, job_id: str) -> PlatformJob:
        """
        Run a job again, from the parameters and the TOML that the server keeps of it.

        Raises
        ------
        PlatformError
            As :meth:`submit`, and when the server does not know it.
        """
        sent_at = self._server_now()
        mark = f"Reproducing experiment={job_id}"

        def might_be(job: PlatformJob) -> bool:
            is_new = job.created_at is None or job.created_at >= sent_at - _CLOCKS
            return is_new and mark in job.logs and job.id not in self._own

        missing = message(
            "The platform at {url} knows no job {job_id!r} to run again. See them with jobs().",
            url=self.url,
            job_id=shown(job_id),
        )
        path = f"/experiments/{quote(job_id, safe='')}/reproduce"
        return self._submitted(path, None, might_be, is_certain=True, missing=missing)

    def _submitted(
        self, path: str, body: Any, might_be: Callable[[PlatformJob], bool], *, is_certain: bool, missing: str = ""
    ) -> PlatformJob:
        """Send what must not be sent twice; when the answer is lost, look whether it arrived."""
        try:
            job = job_in(self._http.ask("POST", path, body=body, again=False, missing=missing), f"POST {path}")
        except AnswerError as error:
            if not error.may_have_arrived:
                raise
            problem: PlatformError = error
        except PlatformError as error:  # an answer, but not that of a job
            problem = error
        else:
            self._own.add(job.id)
            return job
        found = self._looked_for(might_be, problem)
        if is_certain and len(found) == 1:
            self._own.add(found[0].id)
            return replace(
                found[0],
                logs=(*found[0].logs, message("The answer to the submission was lost ({problem})", problem=problem)),
            )
        if not found:
            raise UnknownSubmissionError(
                message(
                    "{problem} The server's list has no such job, so nothing seems to have been started. Look once "
                    "more in a minute (jobs), then submit it again.",
                    problem=problem,
                )
            )
        ids = tuple(job.id for job in found)
        named = f"job {ids[0]} was" if len(ids) == 1 else f"jobs {', '.join(ids)} were"
        raise UnknownSubmissionError(
            message(
                "{problem} Whether the job exists is not known: {named} created at that time, and the server does "
                "not tell whose. Look at it before you submit again.",
                problem=problem,
                named=named,
            ),
            ids,
        )

    def _looked_for(self, might_be: Callable[[PlatformJob], bool], problem: PlatformError) -> list[PlatformJob]:
        reason = ""
        for look in range(_LOOKS):
            time.sleep(min(self._http.timing.first_pause, _LOOK_PAUSE) * 2**look)
            try:
                listing = self.jobs(limit=_MANY)
            except PlatformError as error:
                reason = error.args[0]
                continue
            found = [job for job in listing if might_be(job)]
            if found:
                return found
            reason = joined(listing.notices)
        if not reason:
            return []
        raise UnknownSubmissionError(
            message(
                "{problem} Whether the job exists is not known, because the server's list does not tell: {reason}",
                problem=problem,
                reason=reason,
            )
        )

    def _server_now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._http.clock_ahead)

    def cancel(self, job_id: str) -> PlatformJob:
        """
        Ask the server to cancel a job.

        The server only notes the wish: a worker that has begun, or takes the job from the queue later, is not told,
        and the job may complete all the same. :meth:`job` tells what became of it.

        Returns
        -------
        PlatformJob
            As the server tells of it afterwards; one that had ended before stays as it was.

        Raises
        ------
        PlatformError
            When the server does not know it, refuses or fails.
        """
        path = f"/job/{quote(job_id, safe='')}"
        missing = message(
            "The platform at {url} knows no job {job_id!r} to cancel. See them with jobs().",
            url=self.url,
            job_id=shown(job_id),
        )
        try:
            self._http.ask("DELETE", path, missing=missing)  # asked twice, it is cancelled once
        except AnswerError as error:
            if error.status != _BAD_REQUEST:  # it has ended already
                raise
        return self.job(job_id)

    # ------------------------------------------------------------------------------------------------ files

    def upload(self, path: str | Path, label: str = "") -> Upload:
        """
        Send an input to the server's storage.

        Parameters
        ----------
        path : str or Path
            A file; a folder is zipped first, by you.
        label : str
            The folder that it gets there; from its SHA-256 when not given.

        Returns
        -------
        Upload
            Its address for ``source``, and its SHA-256, as the server found it too.

        Raises
        ------
        PlatformError
            When it cannot be read or sent, or arrived as something else.
        """
        return files.upload(self._http, path, label)

    def download(self, uri: str, to: str | Path, *, sha256: str = "") -> files.Download:
        """
        Get a file from the server's storage; a file that exists is never replaced.

        Parameters
        ----------
        uri : str
            ``s3://bucket/key``, such as a job's ``output_path``.
        to : str or Path
            A new file, or a folder.
        sha256 : str
            What it must be, such as a job's ``output_sha256``.

        Raises
        ------
        ChecksumError
            When it is something else; it is then kept beside ``to``.
        PlatformError
            When it cannot be had or written.
        """
        return files.download(self._http, uri, to, sha256=sha256)

    def record(self, job: PlatformJob) -> dict[str, Any] | None:
        """
        Return the record that the server's worker wrote of a job: parameters, metrics, checksums.

        Parameters
        ----------
        job : PlatformJob
            One that has ended.

        Returns
        -------
        dict or None
            As it is, without the key wherever it might stand; None when there is no such file.

        Raises
        ------
        PlatformError
            When it cannot be had, or cannot be read.
        """
        uri = record_uri(job)
        try:
            value = files.download_json(self._http, uri)
        except files.MissingError:
            return None
        return table_in(value, message("the download of {uri}", uri=uri))


def _address(url: str | None) -> str:
    said = url or os.environ.get(URL_VARIABLE, "")
    if not said:
        raise PlatformError(
            message(
                "No platform is named. Give its address (--url https://host, in Python url=), or set {url_variable}.",
                url_variable=URL_VARIABLE,
            )
        )
    return said


def record_uri(job: PlatformJob) -> str:
    """
    Return where the server's worker writes a job's record.

    Examples
    --------
    >>> record_uri(PlatformJob("0123456789ab", "completed", output_path="s3://out/experiments/0123456789ab/o.tif"))
    's3://out/experiments/0123456789ab/01234567.record.json'
    """
    bucket = OUTPUT_BUCKET
    if job.output_path.startswith("s3://"):
        bucket = job.output_path.removeprefix("s3://").partition("/")[0] or OUTPUT_BUCKET
    return f"s3://{bucket}/experiments/{job.id}/{job.id[:8]}.record.json"


def spec_of(document: dict[str, Any], origin: str) -> ModelSpec:
    """
    Understand a TOML that the server has parsed.

    Raises
    ------
    LabError
        When it has no table ``[model]`` that can be understood.

    Examples
    --------
    >>> spec_of({"model": {"class": "flood", "years": 5, "parameters": {"rise": 0.1}}}, "flood").parameters
    {'years': 5, 'rise': 0.1}
    """
    import tomlkit  # noqa: PLC0415 -- as in submissions

    return ModelSpec.from_text(
        tomlkit.dumps(_without_null(document)),
        origin=message("The registered model {origin!r}", origin=shown(origin)),
    )


def _without_null(value: Any) -> Any:
    """Leave nulls out, which JSON has and TOML has not."""
    if isinstance(value, dict):
        return {name: _without_null(item) for name, item in value.items() if item is not None}
    return [_without_null(item) for item in value if item is not None] if isinstance(value, list) else value


def _read(toml: str | Path | ModelSpec) -> ModelSpec:
    if isinstance(toml, ModelSpec):
        return toml
    is_file = isinstance(toml, Path) or (toml.endswith(".toml") and "\n" not in toml)
    return ModelSpec.from_path(toml) if is_file else ModelSpec.from_text(str(toml))


def _common(
    source: str,
    parameters: dict[str, Any],
    input_format: str,
    column_map: Mapping[str, Any] | None,
    band_map: Mapping[str, Any] | None,
) -> dict[str, Any]:
    return {
        "input_dataset": source,
        "input_format": choose(input_format, FORMATS, "input format"),
        "parameters": parameters,
        "column_map": sendable(column_map or {})[0],
        "band_map": sendable(band_map or {})[0],
    }
