"""What is wanted of a STAC catalogue: from text and back.

Two forms, which mean the same:

- ``stac+https://host/path?collection=C&version=2&bbox=w,s,e,n&dates=2020-01-01/2020-12-31&bands=NDVI,EVI``
- ``bdc_stac://C?version=2&bbox=...`` for the Brazil Data Cube
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from dissmodel_lab.errors import SourceError, did_you_mean, shown
from dissmodel_lab.language import message
from dissmodel_lab.redaction import HIDDEN, is_secret_name, redact_uri
from dissmodel_lab.sources.addresses import named_uri

if TYPE_CHECKING:
    from dissmodel_lab.executor.schemas import DataSource

BRAZIL_DATA_CUBE = "https://data.inpe.br/bdc/stac/v1/"
"""The API of ``bdc_stac``."""
_FIELDS = ("collection", "version", "bbox", "dates", "bands")
_ALSO = {"datetime": "dates", "date": "dates", "collections": "collection", "assets": "bands", "band": "bands"}
_WRITE = message("bbox=west,south,east,north in degrees, such as bbox=-46,-19,-44,-17")
_DATES = message("dates=2020-01-01/2020-12-31, one day, or .. at an open end")
_LONGEST = 8_192
_EDGES = 4


@dataclass(frozen=True, kw_only=True)
class StacQuery:
    """
    What is wanted, of which API.

    Examples
    --------
    >>> query = parse_query("bdc_stac://CBERS4-WFI-16D-2?bbox=-46,-19,-45,-18&dates=2020-01-01/2020-02-01&bands=NDVI")
    >>> query.bbox, query.dates, query.bands
    ((-46.0, -19.0, -45.0, -18.0), ('2020-01-01', '2020-02-01'), ('NDVI',))
    """

    url: str
    """Of the API: http or https, without login and query."""
    collection: str
    version: str = ""
    bbox: tuple[float, float, float, float] | None = None
    """West, south, east, north [degrees]; None for everything."""
    dates: tuple[str, str] = ("", "")
    """First and last day or moment, in ISO 8601; empty where open."""
    bands: tuple[str, ...] = ()
    """Names of assets, in the order of the result's bands."""
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    secrets: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Query fields such as ``access_token``, which go to this API alone."""

    @property
    def text(self) -> str:
        """The query as it may be written everywhere: without secrets."""
        return redact_uri(format_query(self))

    @property
    def period(self) -> str | None:
        """``dates`` as STAC writes it; None when both ends are open."""
        first, last = self.dates
        return None if not first and not last else f"{first or '..'}/{last or '..'}"


def parse_query(source: DataSource | str) -> StacQuery:
    r"""
    Read the text of a STAC source, or the fields of a description.

    Parameters
    ----------
    source : DataSource or str
        Of a description ``uri`` may hold the whole text, or only what ``collection`` and ``version`` do not say:
        ``bbox=...&bands=...``, for the Brazil Data Cube.

    Raises
    ------
    SourceError
        When a field is missing, unknown, or makes no sense.

    Examples
    --------
    >>> from dissmodel_lab.executor import DataSource
    >>> parse_query(DataSource(type="bdc_stac", collection="S2", uri="bands=NDVI&bbox=-46,-19,-45,-18")).text
    'bdc_stac://S2?bbox=-46,-19,-45,-18&bands=NDVI'
    >>> parse_query("bdc_stac://S2-16D-2?bbox=-46,-17,-45,-18")
    Traceback (most recent call last):
    dissmodel_lab.errors.SourceError: bbox=-46,-17,-45,-18: south (-17) is not below north (-18). Write ...
    """
    uri = source if isinstance(source, str) else named_uri(source)
    if len(uri) > _LONGEST:
        raise SourceError(
            message(
                "The STAC source {uri} is {n_uri:,} characters long: no query is.",
                uri=shown(redact_uri(uri)),
                n_uri=len(uri),
            )
        )
    url, login, collection, fields, secrets = _taken_apart(uri)
    if collection:
        fields.setdefault("collection", collection)
    if not isinstance(source, str):
        for name, value in (("collection", source.collection), ("version", source.version)):
            if value and fields.setdefault(name, str(value)) != str(value):
                raise SourceError(
                    message(
                        "The source names two values for {name}: {fields} in its text, {value} beside it. Leave "
                        "one of them out.",
                        name=name,
                        fields=shown(fields[name]),
                        value=shown(value),
                    )
                )
    if not fields.get("collection"):
        raise SourceError(
            message(
                "The STAC source {uri} names no collection. Write bdc_stac://COLLECTION?..., or "
                "stac+https://host/path?collection=COLLECTION&...",
                uri=shown(redact_uri(uri)) if uri else message("without text"),
            )
        )
    return StacQuery(
        url=url,
        collection=fields["collection"],
        version=fields.get("version", ""),
        bbox=_bbox(fields.get("bbox", "")),
        dates=_dates(fields.get("dates", "")),
        bands=_bands(fields.get("bands", "")),
        user=login[0],
        password=login[1],
        secrets=secrets,
    )


def format_query(query: StacQuery) -> str:
    """
    Write a query as text; secrets are in it, as a source's text may hold them.

    Examples
    --------
    >>> format_query(parse_query("stac+https://host/stac?collection=C&dates=2020-01-01"))
    'stac+https://host/stac?collection=C&dates=2020-01-01/2020-01-01'
    """
    pairs = []
    if query.version:
        pairs.append(("version", query.version))
    if query.bbox is not None:
        pairs.append(("bbox", ",".join(f"{edge:.10g}" for edge in query.bbox)))
    if query.period:
        pairs.append(("dates", query.period))
    if query.bands:
        pairs.append(("bands", ",".join(query.bands)))
    pairs += query.secrets
    parts = urlsplit(query.url)
    login = f"{quote(query.user, safe='')}:{quote(query.password, safe='')}@" if query.user or query.password else ""
    is_brazils = query.url == BRAZIL_DATA_CUBE and not login and not query.secrets
    if is_brazils:
        start = f"bdc_stac://{quote(query.collection, safe='')}"
    else:
        pairs.insert(0, ("collection", query.collection))
        start = urlunsplit((f"stac+{parts.scheme}", login + parts.netloc, parts.path, "", ""))
    text = urlencode(pairs, safe="/,:.*", quote_via=quote)
    return f"{start}?{text}" if text else start


_TakenApart = tuple[str, tuple[str, str], str, dict[str, str], tuple[tuple[str, str], ...]]


def _taken_apart(uri: str) -> _TakenApart:
    """URL of the API, login, collection, fields, secret fields."""
    text = uri.strip()
    if HIDDEN in text:
        raise SourceError(
            message(
                "The STAC source {text} cannot be used: where *** stands, its address had a secret, which is never "
                "kept. Give the whole address as source.",
                text=shown(text),
            )
        )
    scheme, mark, _ = text.partition("://")
    scheme = scheme.lower()
    if not mark:
        fields, secrets = _fields(text.lstrip("?"))
        return BRAZIL_DATA_CUBE, ("", ""), "", fields, secrets
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise SourceError(
            message("The STAC source {text} is no address: {error}.", text=shown(redact_uri(text)), error=error)
        ) from error
    fields, secrets = _fields(parts.query)
    if scheme == "bdc_stac":
        netloc, _, rest = text.partition("://")[2].partition("?")[0].partition("/")
        return BRAZIL_DATA_CUBE, ("", ""), unquote(f"{netloc}/{rest}" if rest else netloc), fields, secrets
    if scheme not in ("stac+https", "stac+http", "https", "http"):
        raise SourceError(
            message(
                "The STAC source {text} begins with {scheme}://. Write stac+https://host/path?..., or "
                "bdc_stac://COLLECTION?... for the Brazil Data Cube.",
                text=shown(redact_uri(text)),
                scheme=shown(scheme),
            )
        )
    if not host or not text.isprintable() or any(char.isspace() for char in parts.netloc):
        raise SourceError(
            message(
                "The STAC source {text} names no host. Write stac+https://host/path?...", text=shown(redact_uri(text))
            )
        )
    at = f"[{host}]" if ":" in host else host
    at += f":{port}" if port is not None else ""
    url = urlunsplit((scheme.removeprefix("stac+"), at, parts.path, "", ""))
    return url, (unquote(parts.username or ""), unquote(parts.password or "")), "", fields, secrets


def _fields(query: str) -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    fields: dict[str, str] = {}
    secrets = []
    for name, value in parse_qsl(query, keep_blank_values=True):
        if is_secret_name(name):
            secrets.append((name, value))
            continue
        known = _ALSO.get(name.lower(), name.lower())
        if known not in _FIELDS:
            raise SourceError(
                message(
                    "A STAC source knows no {name}. {did_you_mean}",
                    name=shown(name),
                    did_you_mean=did_you_mean(known, _FIELDS),
                )
            )
        if known in fields:
            raise SourceError(
                message("A STAC source says {known} once; here it is said twice. Leave one of them out.", known=known)
            )
        fields[known] = value.strip()
    return fields, tuple(secrets)


def _bbox(text: str) -> tuple[float, float, float, float] | None:
    if not text:
        return None
    said = f"bbox={shown(text)}"
    try:
        west, south, east, north = (float(edge) for edge in text.split(","))
    except ValueError:
        count = len(text.split(","))
        what = (
            message("{count} values instead of {edges}", count=count, edges=_EDGES)
            if count != _EDGES
            else message("not all are numbers")
        )
        raise SourceError(message("{said}: {what}. Write {write}.", said=said, what=what, write=_WRITE)) from None
    edges = (west, south, east, north)
    if not all(map(math.isfinite, edges)):
        raise SourceError(message("{said}: not all are numbers. Write {write}.", said=said, write=_WRITE))
    if max(abs(west), abs(east)) > 180 or max(abs(south), abs(north)) > 90:  # noqa: PLR2004 -- degrees of the Earth
        hint = (
            message(" The second and the third seem to be exchanged.")
            if max(abs(west), abs(south)) <= 180 and max(abs(east), abs(north)) <= 90  # noqa: PLR2004 -- as above
            else message(" Metres must be turned into degrees (EPSG:4326) first.")
        )
        raise SourceError(
            message("{said}: not degrees of the Earth.{hint} Write {write}.", said=said, hint=hint, write=_WRITE)
        )
    if south >= north:
        raise SourceError(
            message(
                "{said}: south ({south:g}) is not below north ({north:g}). Write {write}.",
                said=said,
                south=south,
                north=north,
                write=_WRITE,
            )
        )
    if west >= east:
        raise SourceError(
            message(
                "{said}: west ({west:g}) is not left of east ({east:g}). Write {write}; an area across 180° is "
                "fetched as two.",
                said=said,
                west=west,
                east=east,
                write=_WRITE,
            )
        )
    return edges


def _dates(text: str) -> tuple[str, str]:
    if not text:
        return "", ""
    first, mark, last = text.partition("/")
    first, last = _day(first, text), _day(last if mark else first, text)
    if first and last and first > last and _moment(first, is_end=False) > _moment(last, is_end=True):
        raise SourceError(
            message(
                "dates={text}: the first ({first}) is after the last ({last}). Exchange them.",
                text=shown(text),
                first=first,
                last=last,
            )
        )
    return first, last


def _day(text: str, whole: str) -> str:
    text = text.strip()
    if text in ("", ".."):
        return ""
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            date.fromisoformat(text)
            return text
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:[Zz]|[+-]\d{2}:?\d{2})?", text):
            datetime.fromisoformat(text.upper())
            return text.upper().replace(" ", "T")
    except ValueError:
        pass
    raise SourceError(
        message(
            "dates={whole}: {text} is no date. Write {dates}.", whole=shown(whole), text=shown(text), dates=_DATES
        )
    )


def _moment(text: str, *, is_end: bool) -> str:
    return text if "T" in text else text + ("T23:59:59" if is_end else "T00:00:00")


def _bands(text: str) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise SourceError(
            message(
                "bands={text}: {twice} is named twice. Name each band once.", text=shown(text), twice=shown(twice[0])
            )
        )
    return tuple(names)
