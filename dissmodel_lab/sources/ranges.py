"""Bytes of a remote file, asked for range by range: enough to read a part of a raster without fetching it.

GDAL reads through a Python opener here, not by its own network code: what is asked for, of whom, with whose
name, how long and how much is then decided call by call, in no option of the whole process, and what goes wrong
is said in our words, which hold no address with a secret in it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import urljoin, urlsplit

from dissmodel_lab.errors import SourceError, shown
from dissmodel_lab.language import message
from dissmodel_lab.quantities import bytes_text
from dissmodel_lab.redaction import redact_uri
from dissmodel_lab.sources.addresses import Kind, is_inner
from dissmodel_lab.sources.answers import PASSING, page_problem, refusal_of, unreachable
from dissmodel_lab.sources.credentials import (
    Login,
    ca_bundle,
    http_login,
    kept_login,
    login_advice,
    s3_options,
    time_limits,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Sequence

    import httpx

    from dissmodel_lab.sources.addresses import Address
    from dissmodel_lab.sources.credentials import S3Options

#: What is asked for first [bytes]: the header of nearly every cloud-optimised file, with where its tiles lie.
FIRST_BYTES = 64 * 1024
#: Files are kept in pages of this size [bytes].
PAGE_BYTES = 16 * 1024
#: A gap up to this is fetched along: another request takes longer [bytes].
_GAP_PAGES = 3
#: Pages that one reader keeps [bytes].
_KEPT_BYTES = 64 << 20
#: How much may be fetched for one picture [bytes].
BUDGET_BYTES = 64 << 20
_LARGEST_REQUEST = 8 << 20
_AT_ONCE = 4
_MOST_REDIRECTS = 5
_SLOWEST = 16 * 1024
"""A server that sends less is given up, once the time limit for silence has passed as well [bytes/s]."""
_TRIES = 2
_SIGNED_SECONDS = 3600
FETCH_FIRST = message("Fetch it first, as a run's source, and show the fetched file.")
"""What to do with what cannot be shown from afar."""
_HTTP_OK, _HTTP_PART, _WANTS_LOGIN, _HTTP_NO_SUCH_RANGE = 200, 206, 401, 416
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class _Answer(NamedTuple):
    """What a server sent for one range."""

    status: int
    content: bytes
    headers: httpx.Headers


@dataclass
class _Target:
    """Where requests go, which redirects and regions may change."""

    url: str = field(repr=False)
    login: Login | None = field(default=None, repr=False)


class RangeReader:
    """
    One remote file, read in pages that are fetched when they are needed and then kept.

    Parameters
    ----------
    address : Address
        Of a file on a web server, or of an object in a bucket.
    budget_bytes : int, optional
        How much may be fetched, in all; :meth:`allow` gives more.
    kept_bytes : int, optional
        How much of what was fetched is kept in memory.
    cancelled : callable, optional
        Asked before each request; True ends it with KeyboardInterrupt.

    Raises
    ------
    SourceError
        When it cannot be reached or read, is none, is empty, or its server sends no ranges.

    Examples
    --------
    >>> from dissmodel_lab.sources.addresses import parse
    >>> RangeReader(parse("https://127.0.0.1:1/x.tif"))
    Traceback (most recent call last):
    dissmodel_lab.errors.SourceError: The input 'https://127.0.0.1:1/x.tif' cannot be fetched: ...
    """

    def __init__(
        self,
        address: Address,
        *,
        budget_bytes: int = BUDGET_BYTES,
        kept_bytes: int = _KEPT_BYTES,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self.name = address.text
        """The address without secrets."""
        self.size = 0
        """Of the file [bytes]."""
        self.etag = ""
        self.modified = ""
        """As the server says it."""
        self.bytes_fetched = 0
        self.requests = 0
        self._address, self._kept_bytes = address, kept_bytes
        self._left = budget_bytes
        self._cancelled = cancelled or (lambda: False)
        self._pages: OrderedDict[int, bytes] = OrderedDict()
        self._lock = threading.RLock()
        self._s3: S3Options | None = None
        self._has_moved = False
        self._target = self._first_target()
        self._trusted = _trusted(self._s3.ca_bundle if self._s3 else "")
        self._client: httpx.Client | None = None
        self._users = 0
        with self.connected():
            self._begin()

    def __repr__(self) -> str:
        """Return the name without secrets."""
        return f"RangeReader({self.name!r}, size={self.size})"

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Keep connections open for the requests of a block; without one, each request opens its own."""
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                client = None if self._users else self._client
                self._client = None if client is not None else self._client
            if client is not None:
                client.close()

    def allow(self, budget_bytes: int) -> None:
        """Begin a new budget: so much may be fetched from now on."""
        with self._lock:
            self._left = budget_bytes

    def read(self, offset: int, size: int) -> bytes:
        """
        Return ``size`` bytes from ``offset`` on; fewer at the end of the file.

        Raises
        ------
        SourceError
            When they cannot be fetched, or the budget is used up.
        """
        return self.read_many([offset], [size])[0]

    def read_many(self, offsets: Sequence[int], sizes: Sequence[int]) -> list[bytes]:
        """Return several ranges; those that lie near each other are fetched together, the others at once."""
        spans = [
            (min(offset, self.size), min(offset + size, self.size))
            for offset, size in zip(offsets, sizes, strict=True)
        ]
        with self.connected(), self._lock:
            needed: dict[int, bytes] = {}
            missing = set()
            for start, stop in spans:
                for page in range(start // PAGE_BYTES, -(-stop // PAGE_BYTES)):
                    if page in self._pages:
                        self._pages.move_to_end(page)
                        needed[page] = self._pages[page]
                    else:
                        missing.add(page)
            for first, content in self._fetch_runs(_runs(sorted(missing))):
                for at in range(0, len(content), PAGE_BYTES):
                    needed[first + at // PAGE_BYTES] = content[at : at + PAGE_BYTES]
            self._keep(needed)
        return [_joined(needed, start, stop) for start, stop in spans]

    # --- what is asked for

    def _begin(self) -> None:
        answer = self._ask(0, FIRST_BYTES - 1)
        kind = answer.headers.get("content-type", "")
        if problem := page_problem(self._address, kind, answer.content):
            raise SourceError(problem)
        if answer.status == _HTTP_NO_SUCH_RANGE or not answer.content:
            raise SourceError(message("{name} is empty (0 bytes). Ask those who provide it.", name=self.name))
        if answer.status == _HTTP_OK:
            declared = answer.headers.get("content-length", "")
            if declared != str(len(answer.content)):
                raise SourceError(
                    message(
                        "The server of {name} sends no parts of files (it knows no ranges), so that a map of it "
                        "would need the whole file. {fetch_first}",
                        name=self.name,
                        fetch_first=FETCH_FIRST,
                    )
                )
            self.size = len(answer.content)
        else:
            self.size = _total(answer.headers.get("content-range", ""), self.name)
        self.etag = answer.headers.get("etag", "")
        self.modified = answer.headers.get("last-modified", "")
        self._check_length(answer.content, 0, min(FIRST_BYTES, self.size))
        whole = len(answer.content) if len(answer.content) == self.size else FIRST_BYTES
        self._keep({at // PAGE_BYTES: answer.content[at : at + PAGE_BYTES] for at in range(0, whole, PAGE_BYTES)})

    def _fetch_runs(self, runs: list[tuple[int, int]]) -> list[tuple[int, bytes]]:
        if not runs:
            return []
        wanted = sum(min(stop * PAGE_BYTES, self.size) - first * PAGE_BYTES for first, stop in runs)
        if wanted > self._left:
            raise SourceError(
                message(
                    "A map of {name} would fetch more than {left} of its {size}: that is what one picture may "
                    "take. {fetch_first}",
                    name=self.name,
                    left=bytes_text(self._left + self.bytes_fetched),
                    size=bytes_text(self.size),
                    fetch_first=FETCH_FIRST,
                )
            )
        if len(runs) == 1:
            return [(runs[0][0], self._fetch(runs[0]))]
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="ranges") as pool:
            contents = list(pool.map(self._fetch, runs))
        return [(first, content) for (first, _), content in zip(runs, contents, strict=True)]

    def _fetch(self, run: tuple[int, int]) -> bytes:
        start, stop = run[0] * PAGE_BYTES, min(run[1] * PAGE_BYTES, self.size)
        answer = self._ask(start, stop - 1)
        if answer.status != _HTTP_PART:
            raise SourceError(
                message(
                    "The server of {name} stopped to send parts of it (status {status}). {fetch_first}",
                    name=self.name,
                    status=answer.status,
                    fetch_first=FETCH_FIRST,
                )
            )
        said = answer.headers.get("content-range", "")
        if not said.replace(" ", "").startswith(f"bytes{start}-"):
            raise SourceError(
                message(
                    "The server of {name} sends other parts of it than were asked for. {fetch_first}",
                    name=self.name,
                    fetch_first=FETCH_FIRST,
                )
            )
        changed = _total(said, self.name) != self.size
        if changed or (self.etag and answer.headers.get("etag", self.etag) != self.etag):
            raise SourceError(
                message("{name} was changed on the server while it was read. Open it again.", name=self.name)
            )
        self._check_length(answer.content, start, stop - start)
        return answer.content

    def _check_length(self, content: bytes, start: int, size: int) -> None:
        if len(content) != size:
            raise SourceError(
                message(
                    "The server of {name} sent {n_content:,} of {size:,} bytes from byte {start:,} on: the "
                    "connection was cut, or the file is not whole there. Try again.",
                    name=self.name,
                    n_content=len(content),
                    size=size,
                    start=start,
                )
            )

    # --- how it is asked for

    def _ask(self, start: int, last: int) -> _Answer:
        for attempt in range(1, _TRIES + 1):
            try:
                answer = self._follow(start, last)
            except _PassingError:
                if attempt == _TRIES:
                    raise
            else:
                if answer.status in (_HTTP_OK, _HTTP_PART, _HTTP_NO_SUCH_RANGE):
                    return answer
                if self._is_changed_for(answer):
                    return self._ask(start, last)
                if attempt == _TRIES or answer.status not in PASSING:
                    raise status_problem(self._address, answer.status, self._s3)
            time.sleep(0.3)
        raise AssertionError  # the loop returns or raises

    def _follow(self, start: int, last: int) -> _Answer:
        target = self._target
        url, login = target.url, target.login
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._send(url, login, start, last)
            place = answer.headers.get("location", "")
            if answer.status not in _REDIRECTS or not place:
                return answer
            try:
                following = urljoin(url, place)
            except ValueError:
                raise SourceError(
                    message("{name} leads to what is no address. It is not followed.", name=self.name)
                ) from None
            check_redirect(self.name, url, following)
            if _origin(following) != _origin(url):
                login = None  # what was given for one server is not told to another
            url = following
        raise SourceError(
            message("{name} leads from address to address without an end. Check the address.", name=self.name)
        )

    def _send(self, url: str, login: Login | None, start: int, last: int) -> _Answer:
        import httpx  # noqa: PLC0415 -- only for what is remote

        if self._cancelled():
            raise KeyboardInterrupt(message("cancelled while a remote file was read"))
        headers = {"Range": f"bytes={start}-{last}", "Accept-Encoding": "identity"}
        auth = httpx.BasicAuth(login.user, login.password) if login is not None else None
        wanted = last - start + 1
        ends = time.monotonic() + time_limits().silence + wanted / _SLOWEST
        content = bytearray()
        try:
            with self._connection().stream("GET", url, headers=headers, auth=auth) as response:
                self.requests += 1
                for piece in response.iter_raw():
                    content += piece
                    if len(content) > wanted:  # a server without ranges sends everything
                        break
                    if self._cancelled():
                        raise KeyboardInterrupt(message("cancelled while a remote file was read"))
                    if time.monotonic() > ends:
                        raise httpx.ReadTimeout(message("it sends too slowly"))
                self.bytes_fetched += len(content)
                self._left -= len(content)
                return _Answer(response.status_code, bytes(content), response.headers)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:  # the last: a name that DNS cannot have
            raise reach_problem(self._address, error, is_begun=bool(content)) from None

    def _connection(self) -> httpx.Client:
        import httpx  # noqa: PLC0415 -- only for what is remote

        if self._client is None:
            limits = time_limits()
            timeout = httpx.Timeout(limits.silence, connect=limits.connect, pool=limits.silence)
            logging.getLogger("httpx").addFilter(_without_secrets)
            self._client = httpx.Client(timeout=timeout, verify=self._trusted, follow_redirects=False)
        return self._client

    def _is_changed_for(self, answer: _Answer) -> bool:
        """Whether a login of the keyring, or a bucket's own region, is worth another try."""
        if self._address.kind is Kind.S3:
            region = answer.headers.get("x-amz-bucket-region", "")
            if self._s3 is None or not region or region == self._s3.region or self._has_moved:
                return False
            self._has_moved = True
            self._s3 = _with_region(self._s3, region)
            self._target = _Target(_signed(self._address, self._s3))
            return True
        if answer.status != _WANTS_LOGIN or self._target.login is not None:
            return False
        login = kept_login(self._address)
        if login is None:
            return False
        self._target = _Target(self._target.url, login)
        return True

    def _first_target(self) -> _Target:
        address = self._address
        if address.kind is Kind.HTTP:
            return _Target(address.url, http_login(address))
        if address.kind is Kind.S3:
            self._s3 = s3_options(address)
            return _Target(_signed(address, self._s3))
        raise SourceError(
            message("{text} is not on a web server or in a bucket: it cannot be read by ranges.", text=address.text)
        )

    def _keep(self, pages: dict[int, bytes]) -> None:
        for page, content in pages.items():
            self._pages[page] = content
            self._pages.move_to_end(page)
        while len(self._pages) * PAGE_BYTES > self._kept_bytes:
            self._pages.popitem(last=False)


@contextmanager
def opened_raster(reader: RangeReader, **options: Any) -> Iterator[Any]:
    """
    Open a remote GeoTIFF; only what is asked of it is fetched, and no file beside it.

    Parameters
    ----------
    reader : RangeReader
        Of the file.
    **options
        GDAL's open options, such as ``overview_level``.

    Yields
    ------
    rasterio.DatasetReader
        Its exceptions are turned into ours when the block ends.

    Raises
    ------
    SourceError
        When it is no GeoTIFF, or its bytes could not be fetched.
    """
    import rasterio  # noqa: PLC0415 -- 0.2 s, needed only by those who read rasters
    from rasterio.abc import MultiByteRangeResourceContainer  # noqa: PLC0415
    from rasterio.errors import NotGeoreferencedWarning, RasterioError  # noqa: PLC0415

    from dissmodel_lab.quiet import quiet_about  # noqa: PLC0415
    from dissmodel_lab.sources.guards import check_dataset  # noqa: PLC0415

    MultiByteRangeResourceContainer.register(_Container)
    files = _Container(reader)
    try:
        with (
            reader.connected(),
            quiet_about(NotGeoreferencedWarning),
            rasterio.open(_Container.path, driver="GTiff", opener=files, sharing=False, **options) as dataset,
        ):
            check_dataset(dataset, reader.name)
            yield dataset
    except Exception as error:
        if files.problem is not None:  # what GDAL made of it is of no interest
            raise files.problem from None
        if not isinstance(error, RasterioError):
            raise
        raise SourceError(
            message(
                "{name} cannot be read as a GeoTIFF: it is of another format, or damaged. Only GeoTIFFs (COG) can "
                "be shown without fetching them. {fetch_first}",
                name=reader.name,
                fetch_first=FETCH_FIRST,
            )
        ) from None  # GDAL's text names its own path
    if files.problem is not None:
        raise files.problem


class _Container:
    """What rasterio takes for a file system: it holds one file, and no other name exists."""

    path = "remote/data.tif"

    def __init__(self, reader: RangeReader) -> None:
        self._reader = reader
        self.problem: BaseException | None = None
        """The first thing that went wrong: GDAL passes no exception on."""

    def open(self, path: str, mode: str = "rb", **_: Any) -> _File:
        if not self.isfile(path) or mode not in ("r", "rb"):
            raise FileNotFoundError(path)
        return _File(self._reader, self)

    def isfile(self, path: str) -> bool:
        return path == self.path

    def isdir(self, path: str) -> bool:
        del path
        return False

    def ls(self, path: str) -> list[str]:
        del path
        return [self.path]

    def mtime(self, path: str) -> int:
        del path
        return 0

    def size(self, path: str) -> int:
        if not self.isfile(path):
            raise FileNotFoundError(path)
        return self._reader.size


class _File:
    """A file as GDAL reads it. It must not raise: GDAL would print the exception, and go on."""

    def __init__(self, reader: RangeReader, files: _Container) -> None:
        self._reader, self._files, self._at = reader, files, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is held open."""

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._reader.size)[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        size = max(self._reader.size - self._at, 0) if size < 0 else size
        if self._files.problem is not None:
            return b""
        try:
            content = self._reader.read(self._at, size)
        except BaseException as error:  # noqa: BLE001 -- an interrupt too must come out of GDAL: raised when the block ends
            self._files.problem = error
            return b""
        self._at += len(content)
        return content

    def get_byte_ranges(self, offsets: Sequence[int], sizes: Sequence[int]) -> list[bytes]:
        contents = [b""] * len(offsets)
        if self._files.problem is None:
            try:
                contents = self._reader.read_many([int(at) for at in offsets], [int(size) for size in sizes])
            except BaseException as error:  # noqa: BLE001 -- as in read
                self._files.problem = error
        # GDAL takes as many bytes as it asked for
        return [content.ljust(int(size), b"\0") for content, size in zip(contents, sizes, strict=True)]


def _without_secrets(entry: logging.LogRecord) -> bool:
    """Hide the signature of an address, which httpx logs whole for each request, at the usual level."""
    if isinstance(entry.args, tuple):
        entry.args = tuple(redact_uri(str(item)) if "://" in str(item) else item for item in entry.args)
    return True


def status_problem(address: Address, status: int, s3: S3Options | None = None) -> SourceError:
    """
    Return what a status of HTTP means for the person who wants to see a part of a file.

    Examples
    --------
    >>> from dissmodel_lab.sources.addresses import parse
    >>> print(status_problem(parse("https://host/x.tif"), 404))
    The input 'https://host/x.tif' does not exist: the server has nothing there (404). Check the address.
    """
    advice = ""
    if s3 is not None and status in (401, 403):
        keys = (
            message("no keys are set")
            if s3.anonymous
            else message("the keys are those of {origin}", origin=s3.origin)
        )
        advice = message(
            "{keys}{keys_2}: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, MINIO_ACCESS_KEY and "
            "MINIO_SECRET_KEY, or AWS_PROFILE name others",
            keys=keys[0].upper(),
            keys_2=keys[1:],
        )
    elif status == _WANTS_LOGIN:
        advice = login_advice(address)
    return refusal_of(status, address, advice)


def reach_problem(address: Address, error: Exception, *, is_begun: bool = False) -> SourceError:
    """
    Return why a server could not be reached, or stopped sending, in words without its address's secrets.

    Examples
    --------
    >>> import httpx
    >>> from dissmodel_lab.sources.addresses import parse
    >>> print(reach_problem(parse("https://host/x.tif"), httpx.ConnectTimeout("")))
    The input 'https://host/x.tif' cannot be fetched: host did not answer in time. Try again, ...
    """
    import httpx  # noqa: PLC0415 -- only for what is remote

    if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
        return SourceError(
            message(
                "The server of {text} fell silent, or sends too slowly (limit {silence:g} s). Try again; "
                "DISSMODEL_LAB_TIMEOUT sets another limit [s].",
                text=address.text,
                silence=time_limits().silence,
            )
        )
    if is_begun or isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
        return _PassingError(
            message("The server of {text} cut the connection before all was sent. Try again.", text=address.text)
        )
    return SourceError(unreachable(address, error))


class _PassingError(SourceError):
    """What may be gone at another try."""


def check_redirect(name: str, url: str, following: str) -> None:
    """
    Refuse to be sent to another kind of place than a web server, or from a safe connection to an open one.

    Raises
    ------
    SourceError
        In words without the address's secrets.

    Examples
    --------
    >>> check_redirect("https://host/x.tif", "https://host/x.tif", "file:///etc/passwd")
    Traceback (most recent call last):
    dissmodel_lab.errors.SourceError: https://host/x.tif leads to another kind of address (file://), ...
    """
    scheme, before = urlsplit(following).scheme.lower(), urlsplit(url).scheme.lower()
    if scheme not in ("http", "https"):
        raise SourceError(
            message(
                "{name} leads to another kind of address ({scheme}://), which is not followed. Ask those who "
                "provide it for its address.",
                name=name,
                scheme=shown(scheme),
            )
        )
    if is_inner(urlsplit(following).hostname or "") and not is_inner(urlsplit(url).hostname or ""):
        raise SourceError(
            message(
                "{name} leads to an address of this machine or its network, which is not followed. Give the file's "
                "own address.",
                name=name,
            )
        )
    if before == "https" and scheme == "http":
        raise SourceError(
            message(
                "{name} leads from https to http, which anybody on the way can change; it is not followed. Give "
                "the http:// address itself if you trust it.",
                name=name,
            )
        )


def _trusted(bundle: str) -> ssl.SSLContext | bool:
    import ssl  # noqa: PLC0415 -- only for what is remote

    bundle = bundle or ca_bundle()
    if not bundle:
        return True
    try:
        return ssl.create_default_context(cafile=bundle)
    except OSError as error:
        raise SourceError(
            message(
                "The certificates in {bundle!r} cannot be read: {error}. Give a PEM file.", bundle=bundle, error=error
            )
        ) from error


def _signed(address: Address, options: S3Options) -> str:
    """Return the URL of an object, signed for an hour: made here, without asking anybody."""
    import botocore.session  # noqa: PLC0415 -- only for buckets
    from botocore import UNSIGNED  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    style = {"addressing_style": "path"} if options.endpoint_url or "." in address.bucket else {}
    try:
        client = botocore.session.Session().create_client(
            "s3",
            region_name=options.region or "us-east-1",
            endpoint_url=options.endpoint_url or None,
            aws_access_key_id=options.key or None,
            aws_secret_access_key=options.secret or None,
            aws_session_token=options.token or None,
            config=Config(signature_version=UNSIGNED if options.anonymous else "s3v4", s3=style),
        )
        named = {"Bucket": address.bucket, "Key": address.key}
        if address.version_id:
            named["VersionId"] = address.version_id
        return str(client.generate_presigned_url("get_object", Params=named, ExpiresIn=_SIGNED_SECONDS))
    except (BotoCoreError, ValueError) as error:
        raise SourceError(
            message(
                "{text} cannot be asked for: {kind}. Check the AWS_ and MINIO_ variables.",
                text=address.text,
                kind=type(error).__name__,
            )
        ) from None


def _with_region(options: S3Options, region: str) -> S3Options:
    from dataclasses import replace  # noqa: PLC0415 -- rare

    return replace(options, region=region)


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme.lower(), (parts.hostname or "").lower(), parts.port


def _total(content_range: str, name: str) -> int:
    """Read the size of the whole file from ``bytes 0-1023/146515``."""
    total = content_range.rpartition("/")[2].strip()
    if not total.isdecimal() or len(total) > 18:  # noqa: PLR2004 -- digits of an exabyte
        raise SourceError(
            message(
                "The server of {name} does not say how large the file is. {fetch_first}",
                name=name,
                fetch_first=FETCH_FIRST,
            )
        )
    return int(total)


def _runs(pages: list[int]) -> list[tuple[int, int]]:
    """Join pages that lie near each other; each run is one request."""
    runs: list[tuple[int, int]] = []
    most = _LARGEST_REQUEST // PAGE_BYTES
    for page in pages:
        if runs and page - runs[-1][1] <= _GAP_PAGES and page + 1 - runs[-1][0] <= most:
            runs[-1] = (runs[-1][0], page + 1)
        else:
            runs.append((page, page + 1))
    return runs


def _joined(pages: dict[int, bytes], start: int, stop: int) -> bytes:
    first, last = start // PAGE_BYTES, -(-stop // PAGE_BYTES)
    content = b"".join(pages[page] for page in range(first, last))
    return content[start - first * PAGE_BYTES : stop - first * PAGE_BYTES]
