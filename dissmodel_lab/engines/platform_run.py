"""One run on a DisSModel Platform, from its submission to its output in the local store."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dissmodel_lab.artifacts import has_suffix, publish, with_suffix
from dissmodel_lab.cancelling import Request, cancel_text, is_requested, requested
from dissmodel_lab.contents import content_sha256
from dissmodel_lab.engines.platform_record import Order, inline_instead, take_over, write_served
from dissmodel_lab.errors import OutputError, PlatformError, RunTakenError, shown
from dissmodel_lab.executor.events import LogLine
from dissmodel_lab.executor.lifecycle import error_text
from dissmodel_lab.executor.schemas import RunStatus, utc_now
from dissmodel_lab.index import RECORD_NAME
from dissmodel_lab.jobs import Outcome
from dissmodel_lab.language import message
from dissmodel_lab.platform_client import AnswerError, ChecksumError, UnknownSubmissionError, UnregisteredModelError
from dissmodel_lab.platform_client.answers import CANCELLED, COMPLETED, FAILED
from dissmodel_lab.platform_client.submissions import local_files, sendable
from dissmodel_lab.processes import process_mark, process_started
from dissmodel_lab.sources import local_path
from dissmodel_lab.store import RunFolder, RunStore
from dissmodel_lab.store.reading import read_record, try_read

if TYPE_CHECKING:
    from collections.abc import Callable

    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.jobs import Job
    from dissmodel_lab.platform_client import PlatformClient, PlatformJob

_LOOK = 0.1
"""How often a request to cancel is looked for [s]."""
_FIRST, _GROWTH, _LONGEST = 0.1, 1.4, 5.0
"""The pause before the first question after a job, by how much each next one is longer, and at most [s]."""
_PATIENCE = 3600.0
"""For how long a server may be silent before a run that it has is given up [s]."""
_CANCEL_PATIENCE = 20.0
"""For how long a server is asked to cancel before the run is closed here without its word [s]."""
_UNKNOWN = 3
"""How often a server may say that it does not know a job before that is believed."""
_GONE = 404
_FINAL = frozenset({401, 403})


class Errand(NamedTuple):
    """What is to be done for a job."""

    order: Order
    priority: int = 0
    packages: frozenset[str] = frozenset()
    job_id: str = ""
    """At the server, when it is there already."""
    is_resumed: bool = False
    """Whether the run's folder and record are there, and who followed it is gone."""


class _CancelledError(Exception):
    """The run was asked to end."""


class _LeavingError(Exception):
    """The process ends; the job goes on at the server."""


class PlatformRun:
    """
    Carries one job out.

    Parameters
    ----------
    client : PlatformClient
        The server.
    job : Job
        The run.
    errand : Errand
        What is to be done.
    record : ExperimentRecord or None
        The record that waits in the run's folder; None when it is to be read there.
    is_leaving : callable
        Tells that this process ends.
    """

    def __init__(
        self,
        client: PlatformClient,
        job: Job,
        errand: Errand,
        record: ExperimentRecord | None,
        is_leaving: Callable[[], bool],
    ) -> None:
        self._client = client
        self._job = job
        self._errand = errand
        self._is_leaving = is_leaving
        self._store = RunStore(job.store)
        self._at = Path(job.store, job.folder_name)
        self._record = record if record is not None else read_record(self._at / RECORD_NAME)
        self._wanted = Path(job.working_folder, Path(job.output).expanduser()) if job.output else None
        self._id = errand.job_id
        self._folder: RunFolder | None = None
        self._asker = client.brief()

    def carry_out(self, began: Callable[[], None]) -> Outcome | None:
        """
        Submit, follow, fetch.

        Parameters
        ----------
        began : callable
            Called once the run is this process's own.

        Returns
        -------
        Outcome or None
            How it ended; None when this process ends before it does.
        """
        try:
            self._begin()
        except RunTakenError as taken:  # it was cancelled while it waited
            record = try_read(self._at / RECORD_NAME)
            status = record.status if record is not None else "refused"
            return Outcome(status, self._job.experiment_id, self._at / RECORD_NAME, str(taken), None)
        began()
        failure: BaseException | None = None
        try:
            self._work()
        except _LeavingError:
            self._the_folder().close()
            return None
        except _CancelledError:
            self._record.status = RunStatus.CANCELLED.value
            self._record.error = cancel_text(requested(self._at) or Request())
        except Exception as problem:  # noqa: BLE001 -- whatever it is, the record is closed with it
            failure = problem
            self._fail(problem)
        finally:
            self._asker.close()
        return self._end(failure)

    # ---------------------------------------------------------------------------------- beginning and end

    def _begin(self) -> None:
        record = self._record
        record.status, record.started_at = RunStatus.RUNNING.value, record.started_at or utc_now()
        if self._errand.is_resumed:
            self._folder = RunFolder(self._at)
            self._folder.take_from_dead(None)
            if record.provenance is not None:
                import os  # noqa: PLC0415 -- only for a run that was lost

                record.provenance.process_id = os.getpid()
                record.provenance.process_started = process_started(os.getpid())
                record.provenance.process_mark = process_mark(os.getpid())
            self._folder.write(record)
            self._say(message("Followed again, after the process that did so had ended."))
        else:
            self._folder = self._store.begin(record, self._job.folder_name, is_queued=True)

    def _the_folder(self) -> RunFolder:
        assert self._folder is not None  # for the type checker: _begin() comes first
        return self._folder

    def _say(self, text: str) -> None:
        """Put a line into the record's log and the journal."""
        text = self._client.hide(text)
        self._record.add_log(text)
        self._the_folder()(LogLine(text))

    def _warn(self, text: str) -> None:
        self._say(f"Warning: {text}")

    def _fail(self, problem: Exception) -> None:
        record = self._record
        record.status = RunStatus.FAILED.value
        record.error = self._client.hide(error_text(problem))
        if isinstance(problem, UnknownSubmissionError) and problem.candidates:
            record.platform["candidates"] = list(problem.candidates)
        if "output" not in record.artifact_paths:
            record.output_path = None

    def _end(self, error: BaseException | None) -> Outcome:
        record, path = self._record, self._at / RECORD_NAME
        record.ended_at = utc_now()
        if record.status != RunStatus.COMPLETED:
            record.output_path = record.output_path if "output" in record.artifact_paths else None
        on_disk = try_read(path)
        if on_disk is not None and on_disk.status not in (RunStatus.RUNNING, RunStatus.PENDING):
            self._the_folder().close()  # somebody else has closed it: a closed record is never touched
            return Outcome(on_disk.status, record.experiment_id, path, on_disk.error or "", error)
        try:
            self._store.end(self._the_folder(), record)
        except OutputError as problem:
            return Outcome(
                record.status, record.experiment_id, path, f"{record.error or ''} {problem}".strip(), error
            )
        return Outcome(record.status, record.experiment_id, path, record.error or "", error)

    # --------------------------------------------------------------------------------------------- the way

    def _work(self) -> None:
        record = self._record
        for warning in self._client.warnings:
            self._warn(warning)
        if not self._id:
            self._refuse_taken_output()
            self._id = self._submit().id
            record.platform["id"] = self._id
            self._say(
                message(
                    "Submitted to {url} as {id}. It tells only that a job is pending until it has ended: whether "
                    "it waits or runs, and its phase, is not known before its record arrives.",
                    url=self._client.url,
                    id=self._id,
                )
            )
        self._the_folder().write(record)
        self._finish(self._followed())

    def _refuse_taken_output(self) -> None:
        if self._wanted is not None and self._wanted.exists():
            raise OutputError(
                message(
                    "The output {output!r} exists and is never replaced. Choose another --output.",
                    output=self._job.output,
                )
            )

    def _submit(self) -> PlatformJob:
        record, order = self._record, self._errand.order
        source = self._uploaded_source()
        values, changes = sendable({**order.spec.parameters, **self._job.parameters})
        for warning in (*changes, *local_files(self._job.parameters)):
            self._warn(warning)
        options: dict[str, Any] = {
            "input_format": record.input_format,
            "column_map": record.column_map,
            "band_map": record.band_map,
        }
        self._look()
        if not order.is_inline:
            priority = "normal" if self._errand.priority == 0 else "high" if self._errand.priority > 0 else "low"
            try:
                return self._client.submit(order.name, source, values, priority=priority, **options)
            except UnregisteredModelError as error:
                order = inline_instead(order, error)
        if not order.executor_module:
            self._warn(
                message("The TOML names no executor_module: the worker must know the model by its name alone.")
            )
        self._say(
            message("Submitted by TOML: the platform's registry does not know this model, so others cannot name it.")
        )
        record.platform["mark"] = record.experiment_id[:12]
        return self._client.submit_inline(
            order.spec,
            source,
            values,
            class_name=order.name,
            executor_module=order.executor_module,
            packages=self._errand.packages,
            token=record.experiment_id[:12],
            **options,
        )

    def _uploaded_source(self) -> str:
        """Return the input's address at the server; a file of this machine is uploaded first."""
        record = self._record
        path = local_path(record.source)
        if path is None:
            return record.source.uri
        upload = self._client.upload(Path(self._job.working_folder, path))
        self._say(
            message(
                "Uploaded {name} to {uri} (SHA-256 {sha256}).",
                name=shown(path.name),
                uri=upload.uri,
                sha256=upload.sha256,
            )
        )
        record.source.checksum = upload.sha256
        return upload.uri

    def _look(self) -> None:
        """Leave when the run is to end, or this process does."""
        if is_requested(self._at):
            raise _CancelledError
        if self._is_leaving():
            raise _LeavingError

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._look()
            time.sleep(min(left, _LOOK))

    def _followed(self) -> PlatformJob:
        """Ask after the job until it has ended."""
        pause, n_unknown = _FIRST, 0
        silent_since: float | None = None
        while True:
            try:
                self._look()
                job = self._asker.job(self._id)
            except _CancelledError:
                return self._cancelled()
            except PlatformError as error:
                n_unknown = n_unknown + 1 if _status(error) == _GONE else 0
                silent_since = self._bear(error, silent_since, is_unknown=n_unknown >= _UNKNOWN)
            else:
                if silent_since is not None:
                    self._say(message("The platform answers again."))
                silent_since, n_unknown = None, 0
                if job.is_over:
                    return job
            with suppress(_CancelledError):  # the next turn sees it
                self._pause(pause)
            pause = min(pause * _GROWTH, _LONGEST)

    def _bear(self, error: PlatformError, since: float | None, *, is_unknown: bool) -> float:
        """Return since when the server gives no answer that can be used; raise when that is too long."""
        now = time.monotonic()
        if _status(error) in _FINAL or is_unknown:
            raise error
        if since is None:
            self._say(message("{error} The job may go on there; it is asked again.", error=error))
            return now
        if now - since > _PATIENCE:
            raise PlatformError(
                message(
                    "{error} For {patience:.0f} minutes now. The job may go on there: get it later with platform "
                    "fetch {id}.",
                    error=error,
                    patience=_PATIENCE / 60,
                    id=self._id,
                )
            )
        return since

    def _cancelled(self) -> PlatformJob:
        """Tell the server; return the job when it had ended before."""
        end = time.monotonic() + _CANCEL_PATIENCE
        problem: PlatformError | None = None
        while time.monotonic() < end:
            try:
                job = self._asker.cancel(self._id)
            except PlatformError as error:
                problem = error
                if _status(error) in (*_FINAL, _GONE):
                    break
                time.sleep(_LOOK)
                continue
            if not job.is_over:
                time.sleep(_LOOK)
                continue
            if job.status in (COMPLETED, FAILED):
                self._say(message("The request to cancel came too late: the job had ended."))
                return job
            self._say(
                message(
                    "The platform has noted that the job is cancelled, but does not tell its worker: it may "
                    "complete all the same. Then get it with: platform fetch {id}.",
                    id=self._id,
                )
            )
            raise _CancelledError
        self._warn(
            message("The platform could not be told to cancel: {problem} The job may go on there.", problem=problem)
        )
        raise _CancelledError

    # ------------------------------------------------------------------------------------------- the result

    def _finish(self, job: PlatformJob) -> None:
        record = self._record
        served, problem = None, None
        try:
            served = self._client.record(job)
        except PlatformError as error:
            problem = error
        write_served(self._at, job, served)
        take_over(record, job, served)
        if problem is not None:
            record.add_warning(str(problem))
        if job.status == CANCELLED:
            record.add_log("The job was cancelled at the platform, by somebody else.")
            raise _CancelledError
        if job.status == FAILED:
            said = next((line for line in reversed(job.logs) if line.lower().startswith("failed")), "")
            said = said or (job.logs[-1] if job.logs else message("no reason is told"))
            raise PlatformError(
                message("The run failed at {url}: {hide}", url=self._client.url, hide=self._client.hide(said)[:1000])
            )
        self._fetch_output(job)
        record.status = RunStatus.COMPLETED.value

    def _fetch_output(self, job: PlatformJob) -> None:
        record, folder = self._record, self._the_folder()
        record.output_path = None
        if not job.output_path:
            record.add_log("The job tells of no output.")
            return
        if not job.output_path.startswith("s3://"):
            record.add_warning(
                message(
                    "The output stays on the platform's worker ({output_path!r}) and cannot be downloaded.",
                    output_path=shown(job.output_path),
                )
            )
            return
        expected = record.artifacts.get("output") or job.output_sha256
        if expected and job.output_sha256 and expected != job.output_sha256:
            record.add_warning(message("The platform tells two checksums of its output: that of its record is used."))
        name = Path(self._job.output_name).name or (self._wanted.name if self._wanted is not None else "")
        folder.partial.mkdir(exist_ok=True)
        place = folder.partial / name if name and has_suffix(Path(name)) else folder.partial
        try:
            got = self._client.download(job.output_path, place, sha256=expected)
        except ChecksumError as error:
            kept = self._at / error.kept.name
            error.kept.rename(kept)
            raise ChecksumError(error.uri, error.expected, error.found, kept) from None
        if not expected:
            record.add_warning(message("The platform told no checksum of its output: that of what came stands here."))
        target = self._at / got.path.name
        if self._wanted is not None:
            target = with_suffix(self._wanted, got.path.suffix) if got.path.suffix else self._wanted
        publish(got.path, target)
        self._note(target, got.sha256)
        others = sorted(set(record.artifacts) - {"output"})
        if others:
            record.add_log(f"The platform tells no address of {', '.join(map(shown, others))}: they stay there.")

    def _note(self, target: Path, sha256: str) -> None:
        record = self._record
        record.add_artifact("output", sha256)
        record.artifact_paths["output"] = target.name if target.parent == self._at else str(target)
        record.output_path = str(target)
        try:
            content = content_sha256(target)
        except Exception as error:  # noqa: BLE001 -- any reader's complaint about a file that only this hash needs
            record.add_log(f"No content hash for {target.name}: {type(error).__name__}: {error}")
            return
        if content is not None:
            record.content_sha256["output"] = content


def _status(error: PlatformError) -> int | None:
    return error.status if isinstance(error, AnswerError) else None
