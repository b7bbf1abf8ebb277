"""One request to the server and its answer: bounded in time and size, asked again only where that is safe.

httpx is used, not requests: it follows no redirect unless told to (requests would carry ``X-API-Key`` to another
host, as it takes only ``Authorization`` away), it separates an error before anything was sent from one after, and it
is typed. It comes with JupyterLab.
"""

from __future__ import annotations

import email.utils
import json
import random
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import httpx

from dissmodel_lab.errors import PlatformError, shown
from dissmodel_lab.language import joined, message
from dissmodel_lab.platform_client.key import ApiKey, find_key, how_to_give_a_key
from dissmodel_lab.redaction import redact_uri

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

_CONNECT, _READ = 10.0, 30.0
"""How long a connection, and each piece of an answer, may take [s]."""
_DEADLINE = 60.0
"""How long an answer may take as a whole [s]."""
_LARGEST = 64 * 1024**2
"""A larger JSON answer is not read [bytes]."""
_ATTEMPTS, _FIRST_PAUSE, _LONGEST_PAUSE = 4, 0.25, 8.0
_REDIRECTS = 3
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers that may be another one a moment later."""
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.ProxyError)
_LONGEST_DETAIL = 400
_LONGEST_WORD = 2000
_OK, _MULTIPLE, _BAD, _FAILED = 200, 300, 400, 500
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _UNPROCESSABLE = 401, 403, 404, 422


class AnswerError(PlatformError):
    """
    A request that the server refused, failed or did not answer.

    Parameters
    ----------
    message : str
        All that a person needs to read.
    status : int, optional
        HTTP status; None when there was no whole answer.
    may_have_arrived : bool
        Whether the server may have done what it was asked for, all the same.
    is_passing : bool
        Whether the same request may go well later.
    """

    def __init__(
        self, message: str, *, status: int | None = None, may_have_arrived: bool = False, is_passing: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.may_have_arrived = may_have_arrived
        self.is_passing = is_passing


class Timing(NamedTuple):
    """How long the server is waited for."""

    connect: float = _CONNECT
    """For a connection [s]."""
    read: float = _READ
    """For each piece of an answer [s]."""
    deadline: float = _DEADLINE
    """For an answer as a whole [s]."""
    attempts: int = _ATTEMPTS
    """How often what may be asked again is asked."""
    first_pause: float = _FIRST_PAUSE
    """Before the second attempt [s]; each later one is twice as long, at most 8 s."""


class Raw(NamedTuple):
    """An answer as it came."""

    status: int
    headers: httpx.Headers
    content: bytes


class Trouble(NamedTuple):
    """Why there was no whole answer."""

    what: str
    was_sent: bool


class _KeyHeader(httpx.Auth):
    """Adds the header as late as possible, so that no argument or variable on the way holds the key."""

    def __init__(self, key: ApiKey) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["X-API-Key"] = self._key.reveal()
        yield request


NO_KEY = httpx.Auth()
"""Sends no key; and keeps httpx from looking for a password in ``~/.netrc``."""


def checked_url(url: str) -> str:
    """
    Return a server's address without a slash at its end.

    Raises
    ------
    PlatformError
        When it is none, or holds a password or a key.

    Examples
    --------
    >>> checked_url("https://platform.example/api/")
    'https://platform.example/api'
    >>> checked_url("platform.example")
    Traceback (most recent call last):
    dissmodel_lab.errors.PlatformError: 'platform.example' is no address of a platform. Write https://host or ...
    """
    text = str(url).strip()
    try:
        parts = urlsplit(text)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        parts, has_port = urlsplit(""), False
    if parts.scheme not in ("http", "https") or not parts.hostname or not has_port:
        raise PlatformError(
            message(
                "{text!r} is no address of a platform. Write https://host or http://host:port.",
                text=shown(redact_uri(text)),
            )
        )
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise PlatformError(
            message(
                "The address of the platform, {origin_of!r}, holds more than a host and a path; it is written into "
                "records, so no key or password belongs there. {how_to_give_a_key}",
                origin_of=origin_of(text),
                how_to_give_a_key=how_to_give_a_key(origin_of(text)),
            )
        )
    return text.rstrip("/")


def origin_of(url: str) -> str:
    """
    Return scheme, host and port of an address: to whom a key may be sent.

    Examples
    --------
    >>> origin_of("https://ana:pw@platform.example:8443/api?x=1")
    'https://platform.example:8443'
    """
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    port = "" if parts.port in (None, usual) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


class Http:
    """
    Requests to one server.

    Parameters
    ----------
    url : str
        Its address.
    key : ApiKey, optional
        Looked up when it is first needed, if not given.
    timing : Timing
        How long it is waited for.
    """

    def __init__(self, url: str, *, key: ApiKey | None = None, timing: Timing | None = None) -> None:
        self.url = checked_url(url)
        self.origin = origin_of(self.url)
        self.timing = timing or Timing()
        self.clock_ahead = 0.0
        """How much the server's clock is ahead of ours, as its last answer told [s]."""
        self._key = key
        self._lock = threading.Lock()
        self._kept: httpx.Client | None = None
        self._tls: Any = None

    @property
    def key(self) -> ApiKey:
        """
        The API key.

        Raises
        ------
        PlatformError
            When there is none.
        """
        with self._lock:
            if self._key is None:
                self._key = find_key(self.origin)
            return self._key

    def hide(self, text: str) -> str:
        """Return a text without the key."""
        return self._key.hide(text) if self._key is not None else text

    def __del__(self) -> None:
        with suppress(Exception):  # at the end of the process, half of it may be gone
            self.close()

    def close(self) -> None:
        """Close the connections that are kept."""
        with self._lock:
            kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        body: Any = None,
        again: bool = True,
        needs_key: bool = True,
        missing: str = "",
    ) -> Any:
        """
        Send a request and return the JSON of its answer.

        Parameters
        ----------
        method, path : str
            Such as ``GET`` and ``/jobs``.
        params : mapping, optional
            Fields behind the question mark.
        body : object, optional
            To be sent as JSON.
        again : bool
            Whether it may be sent again when there was no answer, or a passing failure.
        needs_key : bool
            Whether the key is sent.
        missing : str
            What a 404 means: a whole sentence.

        Raises
        ------
        AnswerError
            When there is no answer that can be used.
        PlatformError
            When there is no key.
        """
        options: dict[str, Any] = {"params": params}
        if body is not None:
            options["content"] = json.dumps(body, allow_nan=False).encode()
            options["headers"] = {"Content-Type": "application/json"}
        return self.ask_with(method, path, lambda: options, again=again, needs_key=needs_key, missing=missing)

    def ask_with(
        self,
        method: str,
        path: str,
        options: Callable[[], dict[str, Any]],
        *,
        again: bool = True,
        needs_key: bool = True,
        missing: str = "",
    ) -> Any:
        """As :meth:`ask`, with httpx's own options, made anew for each attempt."""
        auth = _KeyHeader(self.key) if needs_key else NO_KEY
        attempts = self.timing.attempts if again else 1
        for attempt in range(1, attempts + 1):
            answer = self._follow(method, path, auth, options, fresh=not again)
            error, value = self._understood(answer, f"{method} {path}", missing, attempt)
            if error is None:
                return value
            if attempt == attempts or not error.is_passing:
                raise error
            time.sleep(self._pause(attempt, answer))
        raise AssertionError  # for the type checker: the last attempt returns or raises

    def _follow(
        self, method: str, path: str, auth: httpx.Auth, options: Callable[[], dict[str, Any]], *, fresh: bool
    ) -> Raw | Trouble:
        """Send a request, also to where the same server redirects a GET."""
        url = self.url + path
        answer: Raw | Trouble = Trouble("", was_sent=False)
        for _ in range(_REDIRECTS + 1):
            answer = self._once(method, url, auth, options(), fresh=fresh)
            if isinstance(answer, Trouble) or not _MULTIPLE <= answer.status < _BAD or method != "GET":
                return answer
            target = self._target(url, answer.headers.get("location", ""))
            if not target:
                return answer
            url = target
        return answer

    def _target(self, url: str, location: str) -> str:
        """Return where a redirect leads; empty when that is another server, or no address."""
        try:
            target = str(httpx.URL(url).join(location))
            return target if origin_of(target) == self.origin else ""
        except (ValueError, httpx.InvalidURL):  # such as a port of five nines
            return ""

    def _once(
        self, method: str, url: str, auth: httpx.Auth, options: dict[str, Any], *, fresh: bool
    ) -> Raw | Trouble:
        # Nothing is raised from inside of the except clauses: httpx's errors, which hold the request and with it
        # the header, must not hang on ours as their context.
        try:
            with self._session(fresh=fresh) as session, session.stream(method, url, auth=auth, **options) as response:
                content = self._content(response)
                self._note_clock(response.headers)
                return (
                    content if isinstance(content, Trouble) else Raw(response.status_code, response.headers, content)
                )
        except _NOT_SENT as error:
            return Trouble(_reason(error), was_sent=False)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            return Trouble(_reason(error), was_sent=True)
        except KeyboardInterrupt:
            pass
        raise KeyboardInterrupt  # anew: the traceback of the first one leads through frames that hold the header

    def _content(self, response: httpx.Response) -> bytes | Trouble:
        end = time.monotonic() + self.timing.deadline
        content = bytearray()
        for part in response.iter_bytes():
            content += part
            if len(content) > _LARGEST:
                return Trouble(
                    message("its answer is larger than {largest} MiB", largest=_LARGEST // 1024**2), was_sent=True
                )
            if time.monotonic() > end:
                return Trouble(
                    message("its answer was not complete after {deadline:g} s", deadline=self.timing.deadline),
                    was_sent=True,
                )
        return bytes(content)

    @contextmanager
    def _session(self, *, fresh: bool) -> Iterator[httpx.Client]:
        """Give a kept client, or one of its own: after a 500 this server resets the connection under the next."""
        if not fresh:
            with self._lock:
                self._kept = self._kept or self._new_session()
            yield self._kept
            return
        with self._new_session() as session:
            yield session

    def _new_session(self) -> httpx.Client:
        self._tls = self._tls or httpx.create_ssl_context()
        times = httpx.Timeout(self.timing.read, connect=self.timing.connect)
        return httpx.Client(timeout=times, follow_redirects=False, verify=self._tls)

    def _note_clock(self, headers: httpx.Headers) -> None:
        try:
            said = email.utils.parsedate_to_datetime(headers["date"]).timestamp()
        except (KeyError, TypeError, ValueError):
            return
        self.clock_ahead = said - time.time()

    def _pause(self, attempt: int, answer: Raw | Trouble) -> float:
        usual: float = min(self.timing.first_pause * 2.0 ** (attempt - 1), _LONGEST_PAUSE)
        said = answer.headers.get("retry-after", "") if isinstance(answer, Raw) else ""
        if said.isascii() and said.isdigit():
            return min(float(said), _LONGEST_PAUSE)
        return usual * random.uniform(0.75, 1.25)  # noqa: S311 -- so that many clients do not come back at once

    def _understood(
        self, answer: Raw | Trouble, request: str, missing: str, attempt: int
    ) -> tuple[AnswerError | None, Any]:
        """Return an answer's JSON, or what is wrong with it."""
        times = f" {attempt} times" if attempt > 1 else ""
        if isinstance(answer, Trouble):
            text = self.hide(
                message(
                    "The platform at {url} did not answer {request}{times}: {what}.",
                    url=self.url,
                    request=request,
                    times=times,
                    what=answer.what,
                )
            )
            advice = message("Check the address and the network.")
            return AnswerError(joined([text, advice]), may_have_arrived=answer.was_sent, is_passing=True), None
        if answer.status >= _MULTIPLE:
            return self._refusal(answer, request, missing, times), None
        problem, value = _json(answer)
        if not problem:
            return None, self._key.hide_in(value) if self._key is not None else value
        is_passing = "HTML" not in problem
        text = message(
            "The platform at {url} answered {request} with {problem}{times}.",
            url=self.url,
            request=request,
            problem=problem,
            times=times,
        )
        advice = message("Is this the address of its API, and not of a web page or a proxy's login?")
        error = AnswerError(
            joined([text, advice]), status=answer.status, may_have_arrived=True, is_passing=is_passing
        )
        return error, None

    def _refusal(self, answer: Raw, request: str, missing: str, times: str) -> AnswerError:
        status, detail = answer.status, self.hide(_detail(answer))
        said = f"{status}: {detail}" if detail else str(status)
        if status < _BAD:
            where = redact_uri(str(answer.headers.get("location", "")))
            return AnswerError(
                self.hide(
                    message(
                        "The platform at {url} redirects {request} to {where!r} ({status}). The API key is sent "
                        "to the given address alone. Give the right address if that is it.",
                        url=self.url,
                        request=request,
                        where=shown(where),
                        status=status,
                    )
                ),
                status=status,
            )
        if status in (_UNAUTHORIZED, _FORBIDDEN):
            kept = message(" from {origin}", origin=self._key.origin) if self._key is not None else ""
            text = message(
                "The platform at {url} refused the API key{kept} ({said}). {how_to_give_a_key}",
                url=self.url,
                kept=kept,
                said=said,
                how_to_give_a_key=how_to_give_a_key(self.origin),
            )
            return AnswerError(text, status=status)
        if status == _NOT_FOUND and missing:
            return AnswerError(joined([missing, f"({said})"]), status=status)
        if status == _UNPROCESSABLE:
            text = message(
                "The platform at {url} does not understand {request} ({said}). Mend what it names.",
                url=self.url,
                request=request,
                said=said,
            )
            return AnswerError(text, status=status)
        verb = "failed at" if status >= _FAILED else "refused"
        advice = (
            message("Try again later, or ask those who run it.")
            if status >= _FAILED
            else message("Check what was asked for.")
        )
        return AnswerError(
            message(
                "The platform at {url} {verb} {request}{times} ({said}). {advice}",
                url=self.url,
                verb=verb,
                request=request,
                times=times,
                said=said,
                advice=advice,
            ),
            status=status,
            may_have_arrived=status >= _FAILED,
            is_passing=status in _PASSING,
        )


def _reason(error: Exception) -> str:
    """Say in a few words what went wrong; httpx's own are kept where they tell more."""
    if isinstance(error, httpx.ConnectTimeout):
        return message("no connection in time")
    if isinstance(error, httpx.TimeoutException):
        return message("it was silent for too long")
    said = shown(redact_uri(str(error)))
    if isinstance(error, httpx.ConnectError):
        return f"no connection ({said})"
    return message("the connection broke ({said})", said=said or type(error).__name__)


def _json(answer: Raw) -> tuple[str, Any]:
    """Return the JSON of an answer, or in words what it is instead."""
    try:
        return "", json.loads(answer.content)
    except (ValueError, RecursionError):
        start = answer.content[:_LONGEST_WORD].lstrip().lower()
    if "html" in answer.headers.get("content-type", "") or start.startswith((b"<!doctype", b"<html")):
        return message("an HTML page, not JSON"), None
    return ("nothing" if not answer.content else message("something that is no JSON, or a part of it")), None


def _detail(answer: Raw) -> str:
    """Return what a refusal says of itself, in one short line."""
    _, value = _json(answer)
    detail = value.get("detail", "") if isinstance(value, dict) else ""
    if isinstance(detail, list):  # pydantic's: which field, and what is wrong with it
        parts = [item for item in detail if isinstance(item, dict)]
        detail = "; ".join(f"{'.'.join(map(str, item.get('loc', ())))}: {item.get('msg', '')}" for item in parts)
    text = " ".join(str(detail).split())[:_LONGEST_DETAIL]
    return text if text.isprintable() else repr(text)
