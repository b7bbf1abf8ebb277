"""What a source's text means: a path, an object in a bucket, a file on a web server, items of a STAC catalogue.

An :class:`Address` holds secrets, because it must open the source; what it shows of itself never does.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from dissmodel_lab.errors import SourceError, shown
from dissmodel_lab.language import message
from dissmodel_lab.redaction import HIDDEN, is_secret_name, redact_uri

if TYPE_CHECKING:
    from dissmodel_lab.executor.schemas import DataSource

ALLOWED = message("a path, file://, s3://bucket/key, http(s)://, stac+https:// or bdc_stac://")
"""What a source may be, in words."""
_OURS = frozenset({"", "local", "s3", "http", "https", "bdc_stac", "stac"})
"""Types of a source that are fetched here; any other one is its executor's own business."""
_STAC_SCHEMES = frozenset({"stac+https", "stac+http", "bdc_stac"})
_ELSEWHERE = frozenset(
    {
        *("gs", "gcs", "az", "abfs", "abfss", "adl", "wasb", "wasbs", "oci", "oss", "swift", "s3a", "s3n"),
        *("ftp", "ftps", "sftp", "ssh", "hdfs", "webhdfs", "smb", "dav", "davs", "data", "jar", "git", "github"),
        *("dropbox", "gdrive"),
    }
)
"""Schemes that people try, and that are never an executor's own."""
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,254}")
_VERSION = re.compile(r"\?versionId=([^?&#/\s]+)$")
_SIGNING = re.compile(
    r"(?i)^(?:x-amz-.*|x-goog-.*|awsaccesskeyid|googleaccessid|key-pair-id|policy|expires|signature)$"
)
_AZURE_SIGNING = frozenset({"se", "sp", "sv", "sr", "sig", "st", "spr", "sip", "skoid", "sktid", "ske", "sks", "skv"})
_FOLDERS = (".zarr", ".gdb")
"""Endings of folders that people name without a slash at the end."""
_DEVICES = re.compile(r"(?i)^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)")
_LONGEST_NAME = 120
"""A longer file name is cut [bytes]: some file systems take 143 only, and others' endings are added."""
_LONGEST_SUFFIX = 16
_LONGEST_ADDRESS = 8_192


class Kind(StrEnum):
    """Where a source lies."""

    LOCAL = "local"
    S3 = "s3"
    HTTP = "http"
    STAC = "stac"
    NONE = "none"
    """Nowhere: made by the model, or its executor's own business."""


@dataclass(frozen=True)
class Address:
    """
    Where a source lies, taken apart.

    Examples
    --------
    >>> address = parse("s3://maps/2020/dem one.tif?versionId=3")
    >>> address.kind.value, address.bucket, address.key, address.version_id, address.name
    ('s3', 'maps', '2020/dem one.tif', '3', 'dem one.tif')
    >>> parse("https://ana:pw@host/x.tif")
    Address(kind=<Kind.HTTP: 'http'>, host='host', bucket='', key='', version_id='', name='x.tif', ...)
    """

    kind: Kind
    host: str = ""
    """Name and port of a web server; empty for a bucket, whose server the credentials name."""
    bucket: str = ""
    key: str = ""
    """Name of the object, or what the names of a folder's objects begin with."""
    version_id: str = ""
    """Of the object, in a bucket that keeps versions."""
    name: str = ""
    """What the file or folder is called here: safe on every system, without any folder."""
    text: str = ""
    """The address without secrets, for messages and records."""
    is_folder: bool = False
    url: str = field(default="", repr=False)
    """With secrets, but without the login: what is opened."""
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    identity: str = field(default="", repr=False)
    """What tells this address from others, without secrets: the same file signed twice has one."""

    @property
    def suffix(self) -> str:
        """The name's ending in lower case, such as ``.tif``."""
        return PurePosixPath(self.name).suffix.lower()

    @property
    def is_remote(self) -> bool:
        """True for what must be fetched."""
        return self.kind in (Kind.S3, Kind.HTTP, Kind.STAC)

    def mark(self, *more: str) -> str:
        """Return the identity, and what else decides over the content (a server, options), as a short hash."""
        return hashlib.sha256("\n".join((self.kind.value, self.identity, *more)).encode()).hexdigest()[:40]


def parse(source: DataSource | str) -> Address:
    """
    Take a source apart; nothing is opened.

    Parameters
    ----------
    source : DataSource or str
        A path, a URL, or a description.

    Returns
    -------
    Address
        ``kind`` says which; of a STAC source only ``url``, ``host`` and ``text`` are filled, see
        :mod:`dissmodel_lab.sources.stac`.

    Raises
    ------
    SourceError
        When nobody here can fetch it: another scheme, no host, no key, a redacted secret.

    Examples
    --------
    >>> parse("https://host/data/dem.tif?band=2#top").name
    'dem.tif'
    >>> parse("gs://bucket/x.tif")
    Traceback (most recent call last):
    dissmodel_lab.errors.SourceError: The input 'gs://bucket/x.tif' cannot be fetched: gs:// is not supported. ...
    """
    kind, uri = ("", source) if isinstance(source, str) else (source.type, named_uri(source))
    if kind not in _OURS and scheme_of(uri) not in _ELSEWHERE:
        return Address(Kind.NONE, text=redact_uri(uri))
    if not uri or uri == "synthetic":
        collection = "" if isinstance(source, str) else source.collection
        if kind in ("bdc_stac", "stac") and collection:
            return Address(Kind.STAC, text=f"bdc_stac://{collection}", url=uri, name=safe_file_name(collection))
        return Address(Kind.NONE, text=uri)
    if len(uri) > _LONGEST_ADDRESS:
        raise SourceError(
            message(
                "The input {uri} is {n_uri:,} characters long: no address is.",
                uri=shown(redact_uri(uri)),
                n_uri=len(uri),
            )
        )
    scheme = scheme_of(uri)
    if scheme not in ("", "file") and any(unicodedata.category(char) in ("Cc", "Cs") for char in uri):
        raise SourceError(message("The input {uri} holds a control character. Check the address.", uri=_said(uri)))
    if kind in ("bdc_stac", "stac") or scheme in _STAC_SCHEMES:
        return _stac(uri)
    if scheme == "s3" or (kind == "s3" and not scheme):
        return _bucket(uri if scheme else f"s3://{uri}")
    if scheme in ("http", "https"):
        return _web(uri)
    if scheme in ("", "file") and kind in ("", "local"):
        return Address(Kind.LOCAL, name=safe_file_name(uri), text=uri, url=uri, identity=uri)
    what = (
        message("{scheme}:// is not supported", scheme=scheme)
        if scheme
        else message("it has no scheme, such as https://")
    )
    raise SourceError(
        message(
            "The input {uri} cannot be fetched: {what}. Allowed: {allowed}. Download the file by its own tool, and "
            "give its path.",
            uri=_said(uri),
            what=what,
            allowed=ALLOWED,
        )
    )


def named_uri(source: DataSource) -> str:
    """
    Return the URI by which a source was named, also while it is replaced by that of the fetched file.

    Examples
    --------
    >>> from dissmodel_lab.executor import DataSource
    >>> named_uri(DataSource(uri="s3://b/x.tif"))
    's3://b/x.tif'
    """
    return str(getattr(source, "named", "") or source.uri)


def scheme_of(uri: str) -> str:
    r"""
    Return the scheme of a URI in lower case; empty for a path, a Windows drive included.

    Examples
    --------
    >>> scheme_of("HTTPS://host/x"), scheme_of("data/x.tif"), scheme_of(r"C:\x.tif")
    ('https', '', '')
    """
    scheme, mark, _ = uri.partition("://")
    return scheme.lower() if mark and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.\-_]{0,30}", scheme) else ""


def is_remote(source: DataSource | str) -> bool:
    """
    Tell whether a source must be fetched before it can be read; False for what cannot be understood.

    Examples
    --------
    >>> is_remote("s3://b/x.tif"), is_remote("x.tif"), is_remote("gs://b/x.tif")
    (True, False, False)
    """
    try:
        return parse(source).is_remote
    except SourceError:
        return False


def safe_file_name(text: str, otherwise: str = "download") -> str:
    r"""
    Return a name that a server or an address gives to a file as it may be written here, on any system.

    Parameters
    ----------
    text : str
        Any text; what stands before the last slash, of either kind, is left out.
    otherwise : str
        The name when nothing of it can stay.

    Examples
    --------
    >>> safe_file_name("../../etc/passwd"), safe_file_name("a\\b\\NUL.tif"), safe_file_name("..")
    ('passwd', '_NUL.tif', 'download')
    """
    last = re.split(r"[/\\]", text.rstrip("/\\"))[-1]
    last = unicodedata.normalize("NFC", last.encode("utf-8", "replace").decode("utf-8"))
    plain = "".join("_" if char in '<>:"|?*' or not char.isprintable() else char for char in last)
    plain = plain.rstrip(". ").lstrip(" ")
    if not plain.strip("._ "):
        return otherwise
    if _DEVICES.match(plain):
        plain = f"_{plain}"
    return _cut(plain)


def _cut(name: str) -> str:
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    stem, dot, suffix = name.rpartition(".")
    if not dot or len(suffix.encode()) > _LONGEST_SUFFIX:
        stem, dot, suffix = name, "", ""
    room = _LONGEST_NAME - len(f"{dot}{suffix}".encode())
    return stem.encode()[:room].decode("utf-8", "ignore").rstrip(". ") + dot + suffix


def _said(uri: str) -> str:
    text = shown(redact_uri(uri))
    return text if text.startswith("'") else f"'{text}'"


def _refuse_hidden(uri: str) -> None:
    if HIDDEN in uri:
        raise SourceError(
            message(
                "The input {uri} cannot be fetched: where *** stands, its address had a secret, which is never "
                "kept. Give the whole address as source.",
                uri=_said(uri),
            )
        )


def _bucket(uri: str) -> Address:
    _refuse_hidden(uri)
    bucket, _, key = uri.partition("://")[2].partition("/")
    if "@" in bucket or ":" in bucket:
        raise SourceError(
            message(
                "The input {uri} holds a login. Keys of a bucket are never written into an address: set "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, MINIO_ACCESS_KEY and MINIO_SECRET_KEY, or "
                "AWS_PROFILE.",
                uri=_said(uri),
            )
        )
    if not _BUCKET.fullmatch(bucket):
        raise SourceError(message("The input {uri} names no bucket. Write s3://bucket/key.", uri=_said(uri)))
    version = _VERSION.search(key)
    key = key[: version.start()] if version else key
    if not key.strip("/"):
        raise SourceError(
            message(
                "The input {uri} names a bucket, but no object in it. Write s3://{bucket}/key, or a folder's name "
                "with a slash at the end: s3://{bucket}/folder/.",
                uri=_said(uri),
                bucket=bucket,
            )
        )
    is_folder = key.endswith("/") or key.lower().endswith(_FOLDERS)
    identity = f"{bucket}/{key}" + (f"?versionId={version[1]}" if version else "")
    return Address(
        Kind.S3,
        bucket=bucket,
        key=key,
        version_id=version[1] if version else "",
        name=safe_file_name(key, bucket),
        text=redact_uri(uri),
        is_folder=is_folder,
        url=f"s3://{identity}",
        identity=identity,
    )


def _web(uri: str) -> Address:
    _refuse_hidden(uri)
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise SourceError(
            message(
                "The input {uri} is no address: {error}. Write https://host/path/file.tif.",
                uri=_said(uri),
                error=error,
            )
        ) from error
    if not host or any(char.isspace() or not char.isprintable() for char in parts.netloc):
        raise SourceError(message("The input {uri} names no host. Write https://host/path/file.tif.", uri=_said(uri)))
    if any(not char.isprintable() for char in uri):
        raise SourceError(message("The input {uri} holds a control character. Check the address.", uri=_said(uri)))
    at = f"[{host}]" if ":" in host else host
    at += f":{port}" if port is not None else ""
    scheme = parts.scheme.lower()
    path = unquote(parts.path, errors="replace")
    return Address(
        Kind.HTTP,
        host=at,
        name=safe_file_name(path),
        text=redact_uri(urlunsplit((scheme, parts.netloc, parts.path, parts.query, ""))),
        is_folder=path.rstrip("/").lower().endswith(_FOLDERS),
        url=urlunsplit((scheme, at, parts.path, parts.query, "")),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        identity=urlunsplit((scheme, at, parts.path, _unsigned(parts.query), "")),
    )


def _unsigned(query: str) -> str:
    """Return a query without what changes whenever a URL is signed anew, and without any secret."""
    if not query:
        return ""
    fields = parse_qsl(query, keep_blank_values=True)
    is_azure = any(name == "sig" for name, _ in fields)
    kept = [
        (name, redact_uri(value))
        for name, value in fields
        if not (is_secret_name(name) or _SIGNING.match(name) or (is_azure and name in _AZURE_SIGNING))
    ]
    return urlencode(kept)


def _stac(uri: str) -> Address:
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
    except ValueError as error:
        raise SourceError(message("The input {uri} is no address: {error}.", uri=_said(uri), error=error)) from error
    name = dict(parse_qsl(parts.query)).get("collection", "") or host
    return Address(
        Kind.STAC,
        host=host,
        name=safe_file_name(name, "items"),
        text=redact_uri(uri),
        is_folder=True,
        url=uri,
        identity=redact_uri(uri),
    )


def is_inner(host: str) -> bool:
    """
    Tell whether a host is this machine, or one that only machines beside it see.

    Examples
    --------
    >>> is_inner("localhost"), is_inner("169.254.169.254"), is_inner("data.inpe.br")
    (True, True, False)
    """
    name = host.lower().rstrip(".")
    if name in ("localhost", "metadata.google.internal") or name.endswith(".localhost"):
        return True
    try:
        number = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return number.is_loopback or number.is_link_local or number.is_unspecified
