"""A STAC API's answers: which items there are, as few facts that have been checked.

pystac-client asks; how it asks is decided here: only of the API's own server, within time limits, only so much.
Standards: STAC API 1.0 (https://github.com/radiantearth/stac-api-spec), STAC 1.0 and 1.1.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urljoin, urlsplit

from dissmodel_lab.errors import SourceError, did_you_mean, shown
from dissmodel_lab.language import message
from dissmodel_lab.redaction import redact_uri
from dissmodel_lab.sources.addresses import parse
from dissmodel_lab.sources.credentials import Login, ca_bundle, kept_login, login_advice, time_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import requests

    from dissmodel_lab.sources.addresses import Address
    from dissmodel_lab.sources.stac_query import StacQuery

#: More items than these are no answer to a question about a place and a time.
MOST_ITEMS = 1_000
_PAGE_ITEMS = 100
_MOST_REQUESTS = 100
_MOST_COLLECTIONS = 2_000
_LARGEST_ANSWER = 32 << 20
"""Of one request [bytes]."""
_MOST_REDIRECTS = 5
_MOST_ASSETS = 1_000
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_WANTS_LOGIN, _NO_SUCH, _TOO_MANY, _ERRORS, _SERVER_ERRORS = 401, 404, 429, 400, 500


class UnreachableError(SourceError):
    """The API did not answer at all: a copy in the cache may be used."""


@dataclass(frozen=True)
class Asset:
    """One file of an item."""

    key: str
    href: str
    """Absolute; may be signed."""
    kind: str = ""
    """Media type."""
    names: tuple[str, ...] = ()
    """Other names of it, or of the bands in it."""
    bands: tuple[str, ...] = ()
    """Names of the bands in it, in their order; empty when the catalogue does not say."""
    nodata: float | None = None
    scale: float | None = None
    offset: float | None = None
    is_data: bool = True
    """False for a thumbnail, a metadata file, ..."""


@dataclass(frozen=True)
class Item:
    """What one place looked like at one time."""

    id: str
    day: str
    """``2020-01-31``: the day of its moment, or on which its period begins."""
    updated: str
    """When the catalogue last changed it, as it says."""
    assets: dict[str, Asset]


@dataclass(frozen=True)
class Found:
    """What a search found."""

    collection: str
    """Its id: the wanted one, with the version where the catalogue has it there."""
    items: tuple[Item, ...]
    """By day, then by id."""


def search(query: StacQuery, cancelled: Callable[[], bool] | None = None) -> Found:
    """
    Ask a STAC API for items.

    Parameters
    ----------
    query : StacQuery
        What is wanted.
    cancelled : callable, optional
        Asked before each request; True ends it with KeyboardInterrupt.

    Raises
    ------
    UnreachableError
        When the API does not answer.
    SourceError
        When there is no such collection or version, no item, too many of them, or the answer makes no sense.

    Examples
    --------
    >>> from dissmodel_lab.sources.stac_query import parse_query
    >>> search(parse_query("stac+http://127.0.0.1:1/?collection=C"))
    Traceback (most recent call last):
    dissmodel_lab.sources.stac_search.UnreachableError: The STAC API http://127.0.0.1:1/ cannot be reached: ...
    """
    with _understood(query), _opened(query, cancelled) as (client, _):
        collection = _collection(client, query)
        items = _items(client, query, collection)
    if not items:
        where = "there" if query.bbox is not None or query.period else "in it"
        raise SourceError(
            message(
                "The collection {collection} of {url} has no item {where}: {asked}. Check bbox and dates.",
                collection=shown(collection),
                url=query.url,
                where=where,
                asked=_asked(query),
            )
        )
    return Found(collection, tuple(sorted(items, key=lambda item: (item.day, item.id))))


@contextmanager
def _understood(query: StacQuery) -> Iterator[None]:
    """Whatever a library makes of an answer that is none, it is said in one sentence."""
    try:
        yield
    except (SourceError, KeyboardInterrupt):
        raise
    except NotImplementedError as error:
        raise SourceError(
            message(
                "{url} is no STAC API that can be searched: {error}. Give the address of an API (item search).",
                url=query.url,
                error=shown(str(error)),
            )
        ) from error
    except Exception as error:
        reason = shown(redact_uri(f"{type(error).__name__}: {error}"))
        raise SourceError(
            message(
                "The answer of the STAC API {url} cannot be understood ({reason}). Check its address.",
                url=query.url,
                reason=reason,
            )
        ) from error


@contextmanager
def _opened(query: StacQuery, cancelled: Callable[[], bool] | None) -> Iterator[tuple[Any, Any]]:
    with _grammar_later():
        import pystac_client  # noqa: PLC0415 -- 0.5 s, only for those who search
    from pystac_client.warnings import PystacClientWarning  # noqa: PLC0415

    from dissmodel_lab.quiet import quiet_about  # noqa: PLC0415

    talk = _talker()(query, cancelled)
    try:
        with quiet_about(PystacClientWarning):
            client = pystac_client.Client.open(query.url, stac_io=talk, timeout=talk.timeout)
            yield client, talk
    finally:
        talk.session.close()


@contextmanager
def _grammar_later() -> Iterator[None]:
    """
    Keep pystac-client's import from making a grammar of addresses, which takes 2 to 6 s and is not needed here.

    It comes by way of jsonschema where the package is installed, as it is beside every Jupyter server. Who
    validates by it later makes it then.
    """
    name = "rfc3987_syntax"
    if name in sys.modules or "jsonschema" in sys.modules or importlib.util.find_spec(name) is None:
        yield
        return

    def is_valid_syntax(*given: Any, **named: Any) -> Any:
        return importlib.import_module(name).is_valid_syntax(*given, **named)

    stand_in = ModuleType(name)
    stand_in.is_valid_syntax = is_valid_syntax  # type: ignore[attr-defined]  # a module made by hand
    sys.modules[name] = stand_in
    try:
        yield
    finally:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]


@cache
def _talker() -> type[Any]:
    """Make the class when it is first needed: its base brings pystac-client."""
    from pystac_client.stac_api_io import StacApiIO  # noqa: PLC0415 -- 0.5 s

    class Talk(_Talk, StacApiIO):  # type: ignore[misc]  # its base is untyped
        """pystac-client's way to ask, with our way to send."""

        def __init__(self, query: StacQuery, cancelled: Callable[[], bool] | None) -> None:
            StacApiIO.__init__(self, max_retries=None)
            limits = time_limits()
            self.timeout = (limits.connect, limits.silence)
            self._begin(query, cancelled)

    return Talk


class _Talk:
    """Requests to one API: nothing else is asked, and no file opened, whatever its answers link to."""

    session: requests.Session
    timeout: tuple[float, float]

    def _begin(self, query: StacQuery, cancelled: Callable[[], bool] | None) -> None:
        self._query = query
        self._address: Address = parse(query.url)
        self._cancelled = cancelled or (lambda: False)
        self._requests = 0
        self._login = Login(query.user, query.password) if query.user or query.password else None
        self._lock = threading.Lock()
        self.session.auth = lambda request: request  # or requests looks into ~/.netrc
        self.session.headers["User-Agent"] = "dissmodel_lab"
        if bundle := ca_bundle():
            self.session.verify = bundle

    def read_text(self, source: Any, *args: Any, **kwargs: Any) -> str:
        """Read an address or a link; a path is none: pystac would open the file."""
        href = getattr(source, "href", None) or str(source)
        if urlsplit(str(href)).scheme.lower() not in ("http", "https"):
            self._refuse(message("links to {href}, which is no web address", href=shown(redact_uri(str(href)))))
        return str(super().read_text(source, *args, **kwargs))  # type: ignore[misc]  # of StacApiIO

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,  # noqa: ARG002 -- a server's wish for headers is not followed
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """Send one request to the API, and return the text of its answer."""
        method, body = (method or "GET").upper(), dict(parameters or {})
        if method not in ("GET", "POST"):
            self._refuse(message("wants to be asked by {method}", method=shown(method)))
        url = href
        for _ in range(_MOST_REDIRECTS + 1):
            url = self._own(url)
            status, place, content = self._send(method, url, body)
            if status == _WANTS_LOGIN and self._login is None:
                self._login = kept_login(self._address)
                if self._login is not None:
                    status, place, content = self._send(method, url, body)
            if status not in _REDIRECTS or not place:
                return self._text(status, content, url)
            url = urljoin(url, place)
            if status not in (307, 308):
                method = "GET"
        return self._refuse(message("leads from address to address without an end"))

    def _own(self, href: str) -> str:
        """Return an address of the API's own server, over the connection that was asked for."""
        own, other = urlsplit(self._query.url), urlsplit(href)
        if other.scheme not in ("http", "https") or (other.hostname or "").lower() != (own.hostname or "").lower():
            self._refuse(
                message(
                    "leads to another server ({href}), which nobody named. If that is where the API is now, give "
                    "its address",
                    href=shown(redact_uri(href)),
                )
            )
        # Behind a proxy many an API believes that it is asked by http, or at another port.
        return other._replace(scheme=own.scheme, netloc=own.netloc, fragment="").geturl()

    def _send(self, method: str, url: str, body: dict[str, Any]) -> tuple[int, str, bytes]:
        import requests  # noqa: PLC0415 -- comes with pystac-client

        if self._cancelled():
            raise KeyboardInterrupt(message("cancelled while a STAC API was asked"))
        self._requests += 1
        if self._requests > _MOST_REQUESTS:
            self._refuse(message("has not come to an end after {most_requests} pages", most_requests=_MOST_REQUESTS))
        params: dict[str, Any] = dict(self._query.secrets)
        if method == "GET":
            params |= body
        login = requests.auth.HTTPBasicAuth(self._login.user, self._login.password) if self._login else None
        ends = time.monotonic() + sum(self.timeout) * 2
        content = bytearray()
        try:
            with self.session.request(
                method,
                url,
                params=params,
                json=body if method == "POST" else None,
                auth=login,
                timeout=self.timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                for piece in response.iter_content(1 << 16):
                    content += piece
                    if len(content) > _LARGEST_ANSWER:
                        self._refuse(
                            message(
                                "sends an answer of more than {largest_answer} MB",
                                largest_answer=_LARGEST_ANSWER >> 20,
                            )
                        )
                    if time.monotonic() > ends:
                        raise requests.ReadTimeout(message("it sends too slowly"))
                return response.status_code, response.headers.get("Location", ""), bytes(content)
        except requests.RequestException as error:
            raise self._unreachable(error) from None  # its text holds the address

    def _unreachable(self, error: Exception) -> UnreachableError:
        import requests  # noqa: PLC0415 -- comes with pystac-client

        text = str(error)
        if isinstance(error, requests.exceptions.SSLError):
            why = message(
                "its certificate cannot be trusted (SSL_CERT_FILE names a file of certificates to trust besides)"
            )
        elif isinstance(error, requests.Timeout):
            why = message("it did not answer in time (DISSMODEL_LAB_TIMEOUT sets another limit [s])")
        elif "NameResolution" in text or "getaddrinfo" in text:
            why = message("there is no such server")
        elif "refused" in text:
            why = message("it refused the connection")
        else:
            why = message("the connection failed or was cut")
        return UnreachableError(
            message(
                "The STAC API {url} cannot be reached: {why}. Check the network and its address.",
                url=self._query.url,
                why=why,
            )
        )

    def _text(self, status: int, content: bytes, url: str) -> str:
        name = self._query.url
        if status == _NO_SUCH:
            raise _NoSuchError(
                message(
                    "{url} does not exist (404). Check the address of the STAC API: {name} should answer with its "
                    "catalogue.",
                    url=redact_uri(url),
                    name=name,
                )
            )
        if status in (_WANTS_LOGIN, 403):
            raise SourceError(
                message(
                    "The STAC API {name} wants a login, or refuses the one it got (status {status}). "
                    "{login_advice}; an access_token=... in the source's text is sent along.",
                    name=name,
                    status=status,
                    login_advice=login_advice(self._address),
                )
            )
        if status == _TOO_MANY or (status >= _SERVER_ERRORS and status != 501):  # noqa: PLR2004 -- not implemented
            raise UnreachableError(
                message(
                    "The STAC API {name} cannot answer now (status {status}). Try again later, or ask for less.",
                    name=name,
                    status=status,
                )
            )
        text = content.decode("utf-8", "replace")
        if status >= _ERRORS:
            kind = _NotAllowedError if status in (405, 501) else SourceError
            raise kind(
                message(
                    "The STAC API {name} refuses the question (status {status}): {text}. Check collection, bbox "
                    "and dates.",
                    name=name,
                    status=status,
                    text=shown(_said(text)),
                )
            )
        if text.lstrip()[:1] != "{":
            what = (
                message("a web page (a login, or an error?)")
                if "<html" in text[:2000].lower()
                else message("no JSON")
            )
            self._refuse(f"answers with {what}")
        return text

    def _refuse(self, why: str) -> NoReturn:
        raise SourceError(message("The STAC API {url} {why}. Check its address.", url=self._query.url, why=why))


class _NotAllowedError(SourceError):
    """The API does not want to be asked in this way."""


class _NoSuchError(SourceError):
    """The API has nothing at an address."""


def _said(text: str) -> str:
    """Return what an API says of an error."""
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return text.strip()[:200]
    if isinstance(answer, dict):
        return str(answer.get("description") or answer.get("detail") or answer)[:200]
    return str(answer)[:200]


def _collection(client: Any, query: StacQuery) -> str:
    """Return the id of the wanted collection: versions are in it (``C-2``), or beside it."""
    found = ""
    for name in dict.fromkeys((f"{query.collection}-{query.version}" if query.version else "", query.collection)):
        if not name:
            continue
        try:
            answer = client._stac_io.read_json(  # noqa: SLF001 -- get_collection() parses what is not needed, and fails on it
                urljoin(query.url.rstrip("/") + "/", f"collections/{_quoted(name)}")
            )
        except _NoSuchError:
            continue
        if name != query.collection or not query.version:
            return name
        found = str(answer.get("version", ""))
        if found == query.version:
            return name
        break
    try:
        known = _collections(client, query)
    except _NoSuchError:
        raise SourceError(
            message(
                "{url} is no STAC API that can be searched: it has no collections. Give the address of an API.",
                url=query.url,
            )
        ) from None
    if found or query.collection in known:
        what = message("has version {found}", found=shown(found)) if found else message("does not say its version")
        raise SourceError(
            message(
                "The collection {collection} of {url} {what}, not {version}. Give another version, or none.",
                collection=shown(query.collection),
                url=query.url,
                what=what,
                version=shown(query.version),
            )
        )
    versions = [name for name in known if name.startswith(f"{query.collection}-")]
    near = (
        message("There is {versions}.", versions=", ".join(versions[:5]))
        if versions
        else did_you_mean(query.collection, known[:60])
    )
    wanted = message(" in version {version}", version=shown(query.version)) if query.version else ""
    raise SourceError(
        message(
            "{url} has no collection {collection}{wanted}. {near}",
            url=query.url,
            collection=shown(query.collection),
            wanted=wanted,
            near=near,
        )
    )


def _collections(client: Any, query: StacQuery) -> list[str]:
    names: list[str] = []
    url = urljoin(query.url.rstrip("/") + "/", "collections")
    for page in client._stac_io.get_pages(url):  # noqa: SLF001 -- get_collections() fails on the first that is damaged
        new = [str(one.get("id", "")) for one in page.get("collections") or [] if isinstance(one, dict)]
        if not new or set(new) <= set(names) or len(names) > _MOST_COLLECTIONS:
            break
        names += new
    return [shown(name) for name in names]


def _quoted(name: str) -> str:
    from urllib.parse import quote  # noqa: PLC0415 -- only for those who search

    return quote(name, safe="")


def _items(client: Any, query: StacQuery, collection: str) -> list[Item]:
    items: dict[str, Item] = {}
    for page in _pages(client, query, collection):
        features = page.get("features")
        if not isinstance(features, list):
            raise SourceError(
                message("The STAC API {url} sends a page without items. Check its address.", url=query.url)
            )
        new = [_item(feature, query) for feature in features]
        fresh = [item for item in new if item.id not in items]
        if new and not fresh:
            raise SourceError(
                message(
                    "The STAC API {url} sends the same page again and again: its paging is broken. Ask for a "
                    "smaller bbox or fewer dates, so that one page is enough.",
                    url=query.url,
                )
            )
        items |= {item.id: item for item in fresh}
        if len(items) > MOST_ITEMS:
            said = page.get("numberMatched") or (page.get("context") or {}).get("matched")
            count = f"{said:,}" if isinstance(said, int) else f"more than {MOST_ITEMS:,}"
            raise SourceError(
                message(
                    "The collection {collection} of {url} has {count} items there: {asked}. One source may take "
                    "{most_items:,}. Give a smaller bbox or fewer dates.",
                    collection=shown(collection),
                    url=query.url,
                    count=count,
                    asked=_asked(query),
                    most_items=MOST_ITEMS,
                )
            )
    return list(items.values())


def _pages(client: Any, query: StacQuery, collection: str) -> Iterator[dict[str, Any]]:
    """Ask by POST, as the standard wishes, or by GET, of an API that knows nothing else."""
    for method in ("POST", "GET"):
        found = client.search(
            method=method,
            collections=[collection],
            bbox=query.bbox,
            datetime=query.period,
            limit=_PAGE_ITEMS,
            max_items=None,
        )
        try:
            yield from found.pages_as_dicts()
        except _NotAllowedError:
            if method == "GET":
                raise
        else:
            return


def _asked(query: StacQuery) -> str:
    bbox = f"bbox {','.join(f'{edge:g}' for edge in query.bbox)}" if query.bbox else "any place"
    return f"{bbox}, {f'dates {query.period}' if query.period else 'any date'}"


def _item(feature: Any, query: StacQuery) -> Item:
    if not isinstance(feature, dict) or not isinstance(feature.get("id"), str) or not feature["id"]:
        raise SourceError(
            message("The STAC API {url} sends an item without an id. Check its address.", url=query.url)
        )
    name, facts = feature["id"], feature.get("properties")
    facts = facts if isinstance(facts, dict) else {}
    moment = facts.get("datetime") or facts.get("start_datetime")
    day = str(moment or "")[:10]
    if not (len(day) == 10 and day.replace("-", "").isdecimal() and day.isascii()):  # noqa: PLR2004 -- 2020-01-31
        raise SourceError(
            message(
                "The item {name} of {url} has no date: {moment}. It cannot be used.",
                name=shown(name),
                url=query.url,
                moment=shown(str(moment)),
            )
        )
    assets = feature.get("assets")
    if not isinstance(assets, dict) or len(assets) > _MOST_ASSETS:
        raise SourceError(
            message("The item {name} of {url} has no assets. It cannot be used.", name=shown(name), url=query.url)
        )
    links = [link for link in feature.get("links") or [] if isinstance(link, dict)]
    itself = next((link.get("href") for link in links if link.get("rel") == "self"), None)
    base = itself if isinstance(itself, str) else query.url
    found = {str(key): _asset(str(key), asset, base) for key, asset in assets.items() if isinstance(asset, dict)}
    return Item(name, day, str(facts.get("updated") or facts.get("created") or ""), found)


def _asset(key: str, asset: dict[str, Any], base: str) -> Asset:
    href = asset.get("href")
    lists = [asset.get(field) for field in ("bands", "eo:bands", "raster:bands")]
    inside = [band for bands in lists if isinstance(bands, list) for band in bands if isinstance(band, dict)]
    named = [str(band["name"]) for band in inside if band.get("name")]
    common = [str(band[field]) for band in inside for field in ("eo:common_name", "common_name") if band.get(field)]
    said = asset.get("roles")
    roles = {str(role) for role in said} if isinstance(said, list) else set()
    kind = str(asset.get("type") or "")
    first = {**{k: v for band in inside[::-1] for k, v in band.items()}, **asset}
    return Asset(
        key=key,
        href=urljoin(base, href) if isinstance(href, str) else "",
        kind=kind,
        names=tuple(dict.fromkeys([*named, *common, *([str(asset["title"])] if asset.get("title") else [])])),
        bands=tuple(dict.fromkeys(named)),
        nodata=_number(first.get("nodata")),
        scale=_number(first.get("raster:scale", first.get("scale"))),
        offset=_number(first.get("raster:offset", first.get("offset"))),
        is_data=not {"thumbnail", "overview", "metadata"} & roles and (not kind or "tiff" in kind.lower()),
    )


def _number(value: Any) -> float | None:
    if isinstance(value, str) and value.lower() == "nan":
        return float("nan")
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
