"""What a server answers, in words a person can act on; and whether it is the file at all."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dissmodel_lab.errors import SourceError
from dissmodel_lab.language import message
from dissmodel_lab.redaction import redact_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dissmodel_lab.sources.addresses import Address

_WEB_ENDINGS = frozenset({".html", ".htm", ".xhtml"})
_PAGE = re.compile(
    rb"(?is)^(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]{0,200}\?>\s*)?(?:<!--.{0,400}?-->\s*)?<(?:!doctype\s+html|html[\s>])"
)
_UNRESOLVED = re.compile(r"(?i)name or service|nodename|getaddrinfo|name resolution|no address associated|dns")


class PassingError(Exception):
    """What may be gone in a moment: a cut connection, silence, a server that is overloaded."""

    def __init__(self, text: str, *, wait: float = 0.0, is_unreachable: bool = False) -> None:
        super().__init__(text)
        self.wait = wait
        """How long the server asks to wait [s]."""
        self.is_unreachable = is_unreachable
        """The server did not answer at all: a copy in the cache may be used."""


@dataclass
class Facts:
    """What a server says of a file."""

    etag: str = ""
    modified: str = ""
    total: int | None = None
    """Size [bytes]; None when the server does not tell it."""
    has_ranges: bool = False
    """It can be asked for the rest of a file."""
    name: str = ""
    """As the server calls it; not safe yet."""
    content_type: str = ""

    @property
    def tag(self) -> str:
        """What names this very content, byte by byte: a strong ETag, else the time; empty for neither."""
        return self.etag if self.etag and not self.etag.startswith("W/") else "" if self.etag else self.modified


@dataclass
class Answer:
    """An open answer of a server."""

    facts: Facts
    start: int = 0
    """The first byte it sends; 0 when the server begins again, whatever was asked."""
    is_unchanged: bool = False
    """The server says that it still has what it had."""
    chunks: AsyncIterator[bytes] | None = field(default=None, repr=False)


def refusal_of(status: int, address: Address, advice: str = "") -> SourceError:
    """
    Say what an HTTP status means for a file that somebody wants.

    Examples
    --------
    >>> from dissmodel_lab.sources.addresses import parse
    >>> str(refusal_of(404, parse("https://host/x.tif")))
    "The input 'https://host/x.tif' does not exist: the server has nothing there (404). Check the address."
    """
    what, do = _STATUS.get(status, ("", ""))
    if not what:
        is_theirs = status >= 500  # noqa: PLR2004 -- HTTP's own border
        what = (
            message("cannot be fetched: the server failed")
            if is_theirs
            else message("cannot be fetched: the server refused")
        )
        do = message("Try again later.") if is_theirs else message("Check the address.")
    return SourceError(
        message(
            "The input '{text}' {what} ({status}). {advice}{do}",
            text=address.text,
            what=what,
            status=status,
            advice=advice + ". " if advice else "",
            do=do,
        ).rstrip()
    )


_STATUS = {
    400: (
        message("cannot be fetched: the server does not understand the address"),
        message("Check it; a signed one may have expired."),
    ),
    401: (message("needs a login that was not accepted: the server wants a name and a password"), ""),
    403: (
        message("may not be read: the server denies it"),
        message("Check the credentials; the link may have expired."),
    ),
    404: (message("does not exist: the server has nothing there"), message("Check the address.")),
    405: (message("cannot be fetched: the server does not hand out files there"), message("Check the address.")),
    407: (
        message("cannot be fetched: the proxy wants a login"),
        message("Set HTTPS_PROXY to http://NAME:PASSWORD@proxy:port."),
    ),
    410: (message("does not exist any more: the server has removed it"), message("Look for its new address.")),
    429: (message("cannot be fetched now: the server was asked too often"), message("Wait a while, and try again.")),
    451: (message("may not be read for legal reasons, the server says"), ""),
    503: (
        message("cannot be fetched now: the server is overloaded or being maintained"),
        message("Try again later."),
    ),
}
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may be gone in a moment."""


def page_problem(address: Address, content_type: str, first: bytes) -> str:
    """
    Say that a web page came instead of a file; empty when none did.

    Parameters
    ----------
    address : Address
        What was asked for.
    content_type : str
        As the server declares it.
    first : bytes
        The first bytes of the content.

    Examples
    --------
    >>> from dissmodel_lab.sources.addresses import parse
    >>> page_problem(parse("https://host/x.tif"), "text/html", b"<html>login</html>")
    "The input 'https://host/x.tif' is no file: the server answered with a web page (a login, or an error?). ..."
    >>> page_problem(parse("https://host/x.tif"), "text/html", b"II*" + bytes(5))
    ''
    """
    if address.suffix in _WEB_ENDINGS:
        return ""
    is_page = _PAGE.match(first) is not None or (
        content_type.lower().startswith(("text/html", "application/xhtml")) and first.lstrip()[:1] in (b"<", b"")
    )
    if not is_page:
        return ""
    return message(
        "The input '{text}' is no file: the server answered with a web page (a login, or an error?). Open the "
        "address in a browser, and take the one of the file itself.",
        text=address.text,
    )


def unreachable(address: Address, error: BaseException) -> str:
    """
    Say why a server could not be reached.

    Examples
    --------
    >>> from dissmodel_lab.sources.addresses import parse
    >>> unreachable(parse("https://host/x.tif"), TimeoutError())
    "The input 'https://host/x.tif' cannot be fetched: host did not answer in time. ..."
    """
    text, kind = str(error), type(error).__name__
    host = address.host or "the server"
    if "ertificate" in kind or "CERTIFICATE" in text or "SSL" in kind:
        reason, do = (
            message("the certificate of {host} is not trusted here ({short})", host=host, short=_short(text)),
            message(
                "If it is your own server, set SSL_CERT_FILE (AWS_CA_BUNDLE for buckets) to its certificate (PEM)."
            ),
        )
    elif "Proxy" in kind:
        reason, do = (
            message("the proxy does not let it through"),
            message("Check HTTPS_PROXY, HTTP_PROXY, and the login in them."),
        )
    elif hasattr(error, "request_info"):  # aiohttp's: its text is a page of bytes, and holds the whole address
        reason, do = (
            message("{host} does not answer as a web server does", host=host),
            message("Check the address and its port."),
        )
    elif isinstance(error, TimeoutError) or "imeout" in kind:
        reason, do = (
            message("{host} did not answer in time", host=host),
            message("Try again, or set DISSMODEL_LAB_TIMEOUT to more seconds."),
        )
    elif _UNRESOLVED.search(text) or "DNS" in kind:
        reason, do = (
            message("there is no server called {host}", host=host),
            message("Check the address, and the network."),
        )
    elif "refused" in text.lower() or "connect call failed" in text.lower():
        reason, do = message("{host} refused the connection", host=host), message("Check the address and its port.")
    else:
        reason, do = (
            message("{host} cannot be reached ({short})", host=host, short=_short(text) or kind),
            message("Check the address, and the network."),
        )
    return message("The input '{text}' cannot be fetched: {reason}. {do}", text=address.text, reason=reason, do=do)


def _short(text: str) -> str:
    found = re.search(r"certificate verify failed: ([^(\]]+)", text)
    return redact_text((found[1] if found else text).strip()).partition("\n")[0][:120]
