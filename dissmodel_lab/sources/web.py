"""A file on a web server, opened from any byte on: redirects one by one, logins for their own server only."""

from __future__ import annotations

import base64
import functools
import os
import re
import ssl
import urllib.request
from contextlib import asynccontextmanager, suppress
from email.message import Message
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import unquote, urljoin, urlsplit

from dissmodel_lab.errors import SourceError
from dissmodel_lab.language import message
from dissmodel_lab.redaction import redact_uri
from dissmodel_lab.sources.addresses import is_inner
from dissmodel_lab.sources.answers import PASSING, Answer, Facts, PassingError, refusal_of, unreachable
from dissmodel_lab.sources.credentials import (
    Login,
    ca_bundle,
    http_login,
    kept_login,
    login_advice,
    time_limits,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dissmodel_lab.sources.addresses import Address

_MOST_REDIRECTS = 10
_BLOCK = 256 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_LOGIN_STATUS, _PARTIAL, _UNCHANGED, _NO_SUCH_RANGE, _CHOICES = 401, 206, 304, 416, 300
_LONGEST_WAIT = 30.0
AGENT = "dissmodel_lab"


class WebFile:
    """
    One file on a web server.

    Parameters
    ----------
    address : Address
        Of kind ``http``.

    Examples
    --------
    >>> from dissmodel_lab.sources.addresses import parse
    >>> WebFile(parse("https://host/x.tif")).address.name
    'x.tif'
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._login = http_login(address)
        self._has_asked_keyring = self._login is not None

    @asynccontextmanager
    async def open(
        self, start: int = 0, known: Facts | None = None, *, is_check: bool = False
    ) -> AsyncIterator[Answer]:
        """
        Ask for the file.

        Parameters
        ----------
        start : int
            The first byte that is wanted; only honoured while the file is still what ``known`` says.
        known : Facts, optional
            What the server said of it earlier.
        is_check : bool
            Ask only whether ``known`` still holds: the answer is then ``is_unchanged``, or the new content.

        Raises
        ------
        SourceError
            When there is no sense in asking again.
        PassingError
            When there is.
        """
        import aiohttp  # noqa: PLC0415 -- loads 300 modules, only for what is fetched

        limits = time_limits()
        # "connect" counts the search for the server's address too, which may hang where there is no network.
        timeout = aiohttp.ClientTimeout(
            total=None, connect=limits.connect, sock_connect=limits.connect, sock_read=limits.silence
        )
        connector = aiohttp.TCPConnector(ssl=_trusted(), limit=4)
        # Not trust_env: it would send the logins of ~/.netrc, which nobody named.
        async with aiohttp.ClientSession(
            timeout=timeout, connector=connector, trust_env=False, read_bufsize=_BLOCK
        ) as session:
            try:
                response = await self._follow(session, self._headers(start, known, is_check=is_check))
            except SourceError:
                raise
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                # aiohttp puts the whole address, or the proxy's with its login, into the text of such errors.
                is_telling = hasattr(error, "request_info") or isinstance(error, aiohttp.InvalidURL)
                raise self._problem(error) from (None if is_telling else error)
            if response.status == _UNCHANGED and not is_check:  # nobody asked for that
                self._refuse(response)
            try:
                yield self._answer(response, start, known)
            finally:
                response.close()

    async def head(self) -> Facts:
        """
        Ask for the file, and read nothing of it: is it there, may it be read, how large is it.

        Raises
        ------
        SourceError, PassingError
            As :meth:`open`.
        """
        async with self.open() as answer:  # HEAD is forbidden or answered wrongly by too many servers
            return answer.facts

    def _headers(self, start: int, known: Facts | None, *, is_check: bool) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity", "User-Agent": AGENT}
        if is_check and known is not None:
            if known.etag:
                headers["If-None-Match"] = known.etag
            elif known.modified:
                headers["If-Modified-Since"] = known.modified
        elif start and known is not None and known.tag:
            headers |= {"Range": f"bytes={start}-", "If-Range": known.tag}
        return headers

    async def _follow(self, session: Any, headers: dict[str, str]) -> Any:
        """Follow redirects, to web servers only, without taking a login along."""
        url, count = self.address.url, 0
        while True:
            response = await self._get(session, url, headers)
            if (
                response.status == _LOGIN_STATUS
                and not self._has_asked_keyring
                and _origin(url) == self._own_origin()
            ):
                response.close()
                self._has_asked_keyring = True
                self._login = kept_login(self.address)
                if self._login is not None:
                    continue
                self._refuse(response)
            if response.status not in _REDIRECTS:
                return self._good(response)
            target = response.headers.get("Location", "")
            response.close()
            count += 1
            if not target or count > _MOST_REDIRECTS:
                raise SourceError(
                    message(
                        "The input '{text}' cannot be fetched: the server redirects {words}. Open the address in a "
                        "browser, and take the one of the file itself.",
                        text=self.address.text,
                        words=message("without saying where")
                        if not target
                        else message("more than {most_redirects} times", most_redirects=_MOST_REDIRECTS),
                    )
                )
            url = self._next(url, target)

    async def _get(self, session: Any, url: str, headers: dict[str, str]) -> Any:
        from yarl import URL  # noqa: PLC0415 -- comes with aiohttp

        if self._login is not None and _origin(url) == self._own_origin():
            headers = {**headers, "Authorization": _basic(self._login)}
        # A signed address must arrive as it was written; one with spaces or other letters is none yet.
        is_written = url.isascii() and not re.search(r"[\s\"<>\\^`{|}]", url)
        return await session.get(
            URL(url, encoded=True) if is_written else URL(url),
            headers=headers,
            allow_redirects=False,
            proxy=_proxy(url),
        )

    def _next(self, url: str, target: str) -> str:
        try:
            following = urljoin(url, target.strip())
            old, new = urlsplit(url), urlsplit(following)
            host = new.hostname or "" if new.port != 0 else ""
        except ValueError:
            following, host, new, old = target, "", urlsplit(""), urlsplit(url)
        shown = redact_uri(following)[:200]
        problem = ""
        if new.scheme not in ("http", "https") or not host:
            problem = message("the server redirects to {shown!r}, which is no web address", shown=shown)
        elif old.scheme == "https" and new.scheme == "http" and (self._login is not None or "@" in new.netloc):
            problem = message(
                "the server redirects from https to {shown!r}, which is not encrypted, although a login is used",
                shown=shown,
            )
        elif is_inner(host) and not is_inner(urlsplit(self.address.url).hostname or ""):
            problem = message(
                "the server redirects to {shown!r}, an address of this machine or its network", shown=shown
            )
        if problem:
            raise SourceError(
                message(
                    "The input '{text}' cannot be fetched: {problem}. It is not followed. Give the file's own "
                    "address.",
                    text=self.address.text,
                    problem=problem,
                )
            )
        # A login in the new address is the server's wish, not the person's: it is left out.
        return new._replace(netloc=new.netloc.rpartition("@")[2], fragment="").geturl()

    def _own_origin(self) -> tuple[str, str, int | None]:
        return _origin(self.address.url)

    def _good(self, response: Any) -> Any:
        if response.status >= _CHOICES and response.status not in (_NO_SUCH_RANGE, _UNCHANGED):
            self._refuse(response)
        return response

    def _refuse(self, response: Any) -> NoReturn:
        status = response.status
        advice = login_advice(self.address) if status == _LOGIN_STATUS else ""
        refusal = refusal_of(status, self.address, advice)
        wait = _retry_after(response.headers.get("Retry-After", ""))
        response.close()
        if status in PASSING:
            raise PassingError(str(refusal), wait=wait) from None
        raise refusal

    def _answer(self, response: Any, start: int, known: Facts | None) -> Answer:
        headers = response.headers
        encoded = headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity")
        etag = headers.get("ETag", "").strip()
        facts = Facts(
            etag=etag[:500],
            modified=headers.get("Last-Modified", "").strip()[:100],
            has_ranges=not encoded and "bytes" in headers.get("Accept-Ranges", "").lower(),
            name=_name_of(headers.get("Content-Disposition", "")),
            content_type=headers.get("Content-Type", ""),
        )
        if response.status == _UNCHANGED:
            return Answer(known or facts, is_unchanged=True)
        if response.status == _NO_SUCH_RANGE:
            return Answer(known or facts, start=-1)
        if response.status == _PARTIAL:
            said = _RANGE.fullmatch(headers.get("Content-Range", "").strip())
            first = int(said[1]) if said else -1
            facts.total = int(said[3]) if said and said[3] != "*" else (known.total if known else None)
            facts.has_ranges = True
            is_wrong = first != start or (known is not None and known.tag and facts.tag and facts.tag != known.tag)
            return Answer(facts, start=-1 if is_wrong else start, chunks=self._chunks(response))
        length = headers.get("Content-Length", "")
        facts.total = int(length) if length.isdigit() and not encoded else None
        return Answer(facts, start=0, chunks=self._chunks(response))

    async def _chunks(self, response: Any) -> AsyncIterator[bytes]:
        import aiohttp  # noqa: PLC0415 -- as above

        try:
            async for chunk in response.content.iter_chunked(_BLOCK):
                yield chunk
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            if isinstance(error, TimeoutError):
                silence = time_limits().silence
                raise PassingError(
                    message(
                        "the server sent nothing for {silence:g} s (DISSMODEL_LAB_TIMEOUT sets another limit)",
                        silence=silence,
                    )
                ) from error
            raise PassingError(message("the connection was cut")) from error

    def _problem(self, error: BaseException) -> Exception:
        import aiohttp  # noqa: PLC0415 -- as above

        text = unreachable(self.address, error)
        if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
            return SourceError(text)
        with suppress(AttributeError):
            if isinstance(error.os_error, ssl.SSLError):  # type: ignore[attr-defined]  # of a ClientConnectorError
                return SourceError(text)
        if isinstance(error, ValueError):  # such as a host's name that DNS cannot have
            return SourceError(
                message(
                    "The input '{text}' cannot be fetched: it, or what its server redirects to, is no address. "
                    "Check it.",
                    text=self.address.text,
                )
            )
        return PassingError(text, is_unreachable=True)


def _basic(login: Login) -> str:
    return "Basic " + base64.b64encode(f"{login.user}:{login.password}".encode()).decode()


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or usual


def _trusted() -> ssl.SSLContext | bool:
    bundle = ca_bundle()
    if not bundle:
        return True
    try:
        return _context(bundle, os.stat(bundle).st_mtime_ns)  # noqa: PTH116 -- a text from the environment
    except (ssl.SSLError, OSError) as error:
        raise SourceError(
            message(
                "The certificates in {bundle!r} cannot be read: {error}. Give a PEM file.", bundle=bundle, error=error
            )
        ) from error


@functools.lru_cache(maxsize=4)
def _context(bundle: str, modified_ns: int) -> ssl.SSLContext:  # noqa: ARG001 -- another file is another context
    """Read a file of certificates, which takes 50 ms, once."""
    is_folder = os.path.isdir(bundle)  # noqa: PTH112 -- a text from the environment
    return ssl.create_default_context(capath=bundle) if is_folder else ssl.create_default_context(cafile=bundle)


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment names for an address."""
    parts = urlsplit(url)
    found = urllib.request.getproxies_environment().get(parts.scheme)
    is_excepted: bool = urllib.request.proxy_bypass_environment(parts.netloc)  # type: ignore[attr-defined]  # undocumented
    if not found or is_excepted:
        return None
    return found if "://" in found else f"http://{found}"


def _retry_after(text: str) -> float:
    return min(float(text), _LONGEST_WAIT) if re.fullmatch(r"[0-9]{1,9}", text.strip()) else 0.0


def _name_of(disposition: str) -> str:
    """Return the file's name in a header ``Content-Disposition``; empty when there is none."""
    if not disposition:
        return ""
    message = Message()
    message["Content-Disposition"] = disposition.replace("\r", " ").replace("\n", " ")
    found = message.get_filename("")
    return unquote(str(found)) if found else ""
