"""Inputs up and outputs down, each with its SHA-256, and never with the API key to the storage."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx

from dissmodel_lab.errors import PlatformError, shown
from dissmodel_lab.language import message
from dissmodel_lab.platform_client.answers import Upload, sha256_in, table_in
from dissmodel_lab.platform_client.transport import NO_KEY
from dissmodel_lab.redaction import redact_uri
from dissmodel_lab.sources import file_sha256

if TYPE_CHECKING:
    from collections.abc import Callable

    from dissmodel_lab.platform_client.transport import Http

_BLOCK = 1024 * 1024
_ATTEMPTS = 3
_UNLIKE_A_LABEL = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_LABEL = 64
_OK, _REFUSED, _GONE, _FAILED = 200, 403, 404, 500
_REDIRECTS = 5
SET_ASIDE = ".differs"
"""Ending of a download whose checksum is not the one that was told."""


class Download(NamedTuple):
    """A file that came from the server's storage."""

    path: Path
    sha256: str
    size_bytes: int


class ChecksumError(PlatformError):
    """
    A download is not what the server says it is; it is kept, but not where it was asked for.

    Parameters
    ----------
    uri : str
        Where it came from.
    expected, found : str
        The SHA-256 that was told, and that of what came.
    kept : Path
        Where it lies.
    """

    def __init__(self, uri: str, expected: str, found: str, kept: Path) -> None:
        super().__init__(
            message(
                "The output {uri!r} is not what the platform's record says: its SHA-256 is {found}, the record "
                "says {expected}. What came is kept in {kept!r}, and is not this run's output. Download it again "
                "later; if it still differs, the file was changed at the platform.",
                uri=shown(redact_uri(uri)),
                found=found,
                expected=expected,
                kept=str(kept),
            )
        )
        self.uri, self.expected, self.found, self.kept = uri, expected, found, kept


class _Attempt(NamedTuple):
    """The outcome of one attempt to get a file."""

    problem: str = ""
    is_passing: bool = False
    is_missing: bool = False


class MissingError(PlatformError):
    """The storage has no such object."""


def upload(http: Http, path: str | Path, label: str = "") -> Upload:
    """
    Send a file to the server's storage, and see that it arrived whole.

    Parameters
    ----------
    http : Http
        The server.
    path : str or Path
        A file.
    label : str
        The folder that it gets there; the first characters of its SHA-256 when not given, so that the same file
        always gets the same address.

    Raises
    ------
    PlatformError
        When it cannot be read or sent, or arrived as something else.
    """
    path = Path(path)
    sha256, size = _own_facts(path)
    label = label or sha256[:12]
    if _UNLIKE_A_LABEL.search(label) or len(label) > _LONGEST_LABEL or label.strip(".") == "":
        raise PlatformError(
            message(
                "The label {label!r} cannot be part of an address. Use up to {longest_label} letters, digits, "
                "dots, dashes and underscores.",
                label=shown(label),
                longest_label=_LONGEST_LABEL,
            )
        )

    def options() -> dict[str, Any]:
        name = _UNLIKE_A_LABEL.sub("_", path.name)
        return {"data": {"label": label}, "files": {"file": (name, path.open("rb"), "application/octet-stream")}}

    request = "POST /data/upload"
    with _Opened(options) as opened:
        # The same bytes under the same name: sent twice, they are one file.
        answer = table_in(http.ask_with("POST", "/data/upload", opened, again=True), request)
    uri, said = answer.get("uri"), sha256_in(answer.get("checksum"))
    if not isinstance(uri, str) or not uri.startswith("s3://"):
        raise PlatformError(
            message(
                "The platform answered {request} without the s3:// address of the file: {answer}.",
                request=request,
                answer=shown(answer),
            )
        )
    if said != sha256:
        raise PlatformError(
            message(
                "The file {path!r} did not arrive as it is: the platform says its SHA-256 is {said}, here it is "
                "{sha256}. Upload it again, and do not change it meanwhile.",
                path=str(path),
                said=said or "unknown",
                sha256=sha256,
            )
        )
    return Upload(uri, sha256, size, label)


class _Opened:
    """Makes a request's options, and closes the files that were opened for them."""

    def __init__(self, make: Callable[[], dict[str, Any]]) -> None:
        self._make = make
        self._made: list[dict[str, Any]] = []

    def __enter__(self) -> Callable[[], dict[str, Any]]:
        return self._next

    def _next(self) -> dict[str, Any]:
        made = self._make()
        self._made.append(made)
        return made

    def __exit__(self, *_: object) -> None:
        for made in self._made:
            made["files"]["file"][1].close()


def _own_facts(path: Path) -> tuple[str, int]:
    try:
        if path.is_dir():
            raise PlatformError(
                message(
                    "{path!r} is a folder, and a platform takes files. Zip it, and upload the archive.",
                    path=str(path),
                )
            )
        size = path.stat().st_size
        if size == 0:
            raise PlatformError(message("The file {path!r} is empty (0 bytes). Get the file again.", path=str(path)))
        return file_sha256(path), size
    except OSError as error:
        raise PlatformError(
            message(
                "The file {path!r} cannot be read: {strerror}. Check the path.",
                path=str(path),
                strerror=error.strerror or error,
            )
        ) from error


def download(http: Http, uri: str, to: str | Path, *, sha256: str = "") -> Download:
    """
    Get a file from the server's storage.

    Parameters
    ----------
    http : Http
        The server; it makes an address that is good for an hour, and to which no key is sent.
    uri : str
        ``s3://bucket/key``.
    to : str or Path
        A file that is not there yet, or a folder.
    sha256 : str
        What it must be.

    Raises
    ------
    ChecksumError
        When it is something else; it is kept beside ``to``.
    MissingError
        When the storage does not have it.
    PlatformError
        When it cannot be had, or not be written.
    """
    target = _target(uri, Path(to))
    problem = _Attempt(message("it was not asked for"))
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(http.timing.first_pause * 2**attempt)
        address = _address(http, uri)
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            problem = _fetch(http, address, partial)
            if not problem.problem:
                return _put(uri, partial, target, sha256)
        except OSError as error:
            raise PlatformError(
                message(
                    "The download {target!r} cannot be written: {strerror}. Make room, or choose another place.",
                    target=str(target),
                    strerror=error.strerror or error,
                )
            ) from error
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
        if not problem.is_passing:
            break
    failure = MissingError if problem.is_missing else PlatformError
    raise failure(
        message(
            "The output {uri!r} cannot be downloaded: {problem}. {advice}",
            uri=shown(redact_uri(uri)),
            problem=http.hide(problem.problem),
            advice=message("It may have been removed.") if problem.is_missing else message("Try again later."),
        )
    )


def download_json(http: Http, uri: str) -> Any:
    """
    Get a JSON file from the server's storage; the key is hidden wherever it might stand in it.

    Parameters
    ----------
    http : Http
        The server.
    uri : str
        ``s3://bucket/key``.

    Raises
    ------
    MissingError
        When the storage does not have it.
    PlatformError
        When it cannot be had, or is no JSON.
    """
    with tempfile.TemporaryDirectory() as folder:
        content = download(http, uri, Path(folder, "answer")).path.read_bytes()
    try:
        return http.key.hide_in(json.loads(content))
    except (ValueError, RecursionError) as error:
        raise PlatformError(
            message(
                "{uri!r} at the platform is no JSON: {error}. Its writer may have been stopped.",
                uri=shown(uri),
                error=str(error)[:100],
            )
        ) from error


def _target(uri: str, to: Path) -> Path:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket or not key or key.endswith("/"):
        raise PlatformError(
            message("{uri!r} is no file of the platform's storage. Give s3://bucket/key.", uri=shown(redact_uri(uri)))
        )
    name = re.sub(r"[^\w.\- ]", "_", key.rpartition("/")[2]).lstrip(".") or "output"
    target = to / name if to.is_dir() else to
    if target.exists():
        raise PlatformError(
            message("The file {target!r} exists and is never replaced. Choose another place.", target=str(target))
        )
    if not target.parent.is_dir():
        raise PlatformError(
            message("The folder {parent!r} does not exist. Make it first.", parent=str(target.parent))
        )
    return target


def _address(http: Http, uri: str) -> str:
    request = "GET /download"
    answer = table_in(http.ask("GET", "/download", params={"uri": uri}), request)
    address = answer.get("url")
    if not isinstance(address, str) or not address.startswith(("http://", "https://")):
        raise PlatformError(
            message("The platform answered {request} without an address to download from.", request=request)
        )
    return address


def _fetch(http: Http, address: str, partial: Path) -> _Attempt:
    """Get one file, once; without the key, and without raising what holds the signed address."""
    timing = http.timing
    times = httpx.Timeout(timing.read, connect=timing.connect)
    try:
        with (
            httpx.Client(timeout=times, follow_redirects=True, max_redirects=_REDIRECTS, auth=NO_KEY) as client,
            client.stream("GET", address, headers={"Accept-Encoding": "identity"}) as response,
        ):
            if response.status_code != _OK:
                return _refused(response)
            with partial.open("wb") as file:
                for block in response.iter_raw(_BLOCK):
                    file.write(block)
                size = file.tell()
            told = response.headers.get("content-length", "")
            if told.isdigit() and int(told) != size:
                return _Attempt(
                    message("only {size:,} of {told:,} bytes came", size=size, told=int(told)), is_passing=True
                )
            return _Attempt()
    except httpx.TooManyRedirects:
        return _Attempt(message("the storage redirects in a circle"))
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        return _Attempt(
            message("the connection to the storage broke ({kind})", kind=type(error).__name__), is_passing=True
        )


def _refused(response: httpx.Response) -> _Attempt:
    status = response.status_code
    if status == _GONE:
        return _Attempt(message("the storage does not have it (404)"), is_missing=True)
    # 403 is also what an address says that has run out: the next one is new.
    return _Attempt(
        message("the storage refuses it ({status})", status=status),
        is_passing=status >= _FAILED or status == _REFUSED,
    )


def _put(uri: str, partial: Path, target: Path, expected: str) -> Download:
    found, size = _digest(partial), partial.stat().st_size
    if expected and found != expected.lower():
        kept = target.with_name(target.name + SET_ASIDE)
        partial.replace(kept)
        raise ChecksumError(uri, expected, found, kept)
    try:
        os.link(partial, target)  # fails when the target exists; a rename would replace it
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        with target.open("xb"):
            partial.replace(target)
    return Download(target, found, size)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
