"""With whose name a source is opened: from the environment, a profile or the keyring; without any, anonymously.

Looked up when a source is opened, given to the library that opens it, and written nowhere.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dissmodel_lab.errors import SourceError
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dissmodel_lab.sources.addresses import Address

KEYRING_SERVICE = "dissmodel-lab"
"""Under this name, with the server's address behind it, a login lies in the keyring."""
_TIMEOUT_NAME = "DISSMODEL_LAB_TIMEOUT"
_CONNECT, _SILENCE = 10.0, 30.0
_BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@dataclass(frozen=True)
class TimeLimits:
    """How long a server may take."""

    connect: float = _CONNECT
    """Until it is reached [s]."""
    silence: float = _SILENCE
    """Between two pieces of what it sends [s]."""


def time_limits() -> TimeLimits:
    """
    Return how long servers may take; ``DISSMODEL_LAB_TIMEOUT`` [s] sets both limits.

    Raises
    ------
    SourceError
        When that variable is no positive number.

    Examples
    --------
    >>> time_limits()
    TimeLimits(connect=10.0, silence=30.0)
    """
    text = os.environ.get(_TIMEOUT_NAME, "").strip()
    if not text:
        return TimeLimits()
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise SourceError(
            message(
                "{timeout_name} is {text!r:.100}. Give a number of seconds above 0, such as 30.",
                timeout_name=_TIMEOUT_NAME,
                text=text,
            )
        )
    return TimeLimits(seconds, seconds)


@dataclass(frozen=True)
class S3Options:
    """
    How a bucket is opened.

    Examples
    --------
    >>> S3Options(key="k", secret="s", endpoint_url="http://localhost:9000")
    S3Options(endpoint_url='http://localhost:9000', region='', anonymous=False, origin='')
    """

    key: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    """Of a session, for keys that expire."""
    endpoint_url: str = ""
    """The server; empty for Amazon's."""
    region: str = ""
    anonymous: bool = False
    """No keys were found, or none are wanted: only public buckets can be read."""
    origin: str = ""
    """Where the keys come from, in words."""
    ca_bundle: str = field(default="", repr=False)
    """A file of certificates to trust; empty for the usual ones."""

    @property
    def server(self) -> str:
        """The server's name for messages; a login in its address is left out."""
        return (urlsplit(self.endpoint_url).netloc.rpartition("@")[2]) or "Amazon S3"

    def s3fs(self) -> dict[str, Any]:
        """
        Return the arguments of ``s3fs.S3FileSystem``.

        Examples
        --------
        >>> S3Options(anonymous=True).s3fs()["anon"]
        True
        """
        limits = time_limits()
        config: dict[str, Any] = {
            "connect_timeout": limits.connect,
            "read_timeout": limits.silence,
            "retries": {"mode": "standard", "max_attempts": 2},
        }
        client: dict[str, Any] = {"verify": self.ca_bundle} if self.ca_bundle else {}
        if self.region:
            client["region_name"] = self.region
        if self.endpoint_url:
            config["s3"] = {"addressing_style": "path"}
        return {
            "anon": self.anonymous,
            "key": self.key or None,
            "secret": self.secret or None,
            "token": self.token or None,
            "endpoint_url": self.endpoint_url or None,
            "config_kwargs": config,
            "client_kwargs": client,
        }


@dataclass(frozen=True)
class Login:
    """A name and a password for one web server."""

    user: str = field(repr=False)
    password: str = field(repr=False)
    origin: str = ""


def s3_options(address: Address | None = None) -> S3Options:
    """
    Find out how a bucket is opened.

    The server is that of ``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL``, else that of ``MINIO_ENDPOINT``, else the
    one that the profile names, else Amazon's. Keys: with a server of MinIO's variables ``MINIO_ACCESS_KEY`` and
    ``MINIO_SECRET_KEY``; else ``AWS_ACCESS_KEY_ID`` (``AWS_SECRET_ACCESS_KEY``, ``AWS_SESSION_TOKEN``), the profile
    (``AWS_PROFILE``, or the default one), the keyring (``python -m keyring set dissmodel-lab:SERVER KEY``); without
    any, anonymously. A machine's own role is not asked for: that takes seconds where there is none.

    Parameters
    ----------
    address : Address, optional
        Of a bucket; all buckets are opened alike.

    Raises
    ------
    SourceError
        When a profile does not exist, or half of a pair of keys is set.

    Examples
    --------
    >>> s3_options().endpoint_url == (os.environ.get("AWS_ENDPOINT_URL", ""))
    True
    """
    del address  # one day, keys for one bucket; callers give it already
    env = os.environ
    bundle = ca_bundle("AWS_CA_BUNDLE")
    region = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or ""
    endpoint = "" if _is_yes(env.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")) else _aws_endpoint(env)
    minio = _minio_endpoint(env) if not endpoint else ""
    if minio:
        key, secret = _pair(env, "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY", "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD")
        if key:
            return S3Options(key, secret, "", minio, region, origin="MINIO_ACCESS_KEY", ca_bundle=bundle)
    endpoint = endpoint or minio
    key, secret = _pair(env, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    if key and not env.get("AWS_PROFILE"):
        token = env.get("AWS_SESSION_TOKEN") or env.get("AWS_SECURITY_TOKEN") or ""
        return S3Options(key, secret, token, endpoint, region, origin="AWS_ACCESS_KEY_ID", ca_bundle=bundle)
    found = _from_profile(endpoint, region, bundle)
    if found.key:
        return found
    kept = _from_keyring(found.endpoint_url or "s3")
    if kept is not None:
        return S3Options(
            kept.user, kept.password, "", found.endpoint_url, found.region, origin=kept.origin, ca_bundle=bundle
        )
    return S3Options("", "", "", found.endpoint_url, found.region, anonymous=True, origin="none", ca_bundle=bundle)


def http_login(address: Address) -> Login | None:
    """
    Return the name and password that an address itself holds; None when it holds none.

    Examples
    --------
    >>> from dissmodel_lab.sources.addresses import parse
    >>> http_login(parse("https://host/x.tif")) is None
    True
    """
    if not address.user and not address.password:
        return None
    return Login(address.user, address.password, "the address")


def kept_login(address: Address) -> Login | None:
    """
    Return the login that the keyring has for a web server; it is asked for once the server wants one.

    Examples
    --------
    >>> from dissmodel_lab.sources.addresses import parse
    >>> kept_login(parse("https://nobody.example/x.tif")) is None
    True
    """
    return _from_keyring(f"{urlsplit(address.url).scheme}://{address.host}")


def login_advice(address: Address) -> str:
    """
    Say how a login is given without writing it into a notebook.

    Examples
    --------
    >>> from dissmodel_lab.sources.addresses import parse
    >>> login_advice(parse("https://host/x.tif"))
    'python -m keyring set dissmodel-lab:https://host NAME keeps a login for it; ...'
    """
    server = f"{urlsplit(address.url).scheme}://{address.host}"
    return message(
        "python -m keyring set {keyring_service}:{server} NAME keeps a login for it; https://NAME:PASSWORD@... "
        "is used, and written nowhere",
        keyring_service=KEYRING_SERVICE,
        server=server,
    )


def ca_bundle(*first: str) -> str:
    """
    Return the file of certificates that the environment names: a variable of ``first``, ``SSL_CERT_FILE``, ...

    Raises
    ------
    SourceError
        When there is no such file.

    Examples
    --------
    >>> import os
    >>> ca_bundle() == os.environ.get("SSL_CERT_FILE", "")
    True
    """
    for name in (*first, *_BUNDLES):
        path = os.environ.get(name, "")
        if path and not os.path.exists(path):  # noqa: PTH110 -- a text from the environment
            raise SourceError(
                message(
                    "{name} names {path!r}, which does not exist. Give a file of certificates (PEM).",
                    name=name,
                    path=path,
                )
            )
        if path:
            return path
    return ""


def _aws_endpoint(env: Mapping[str, str]) -> str:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_S3_ENDPOINT"):
        if text := env.get(name, "").strip():
            url = text if "://" in text else f"https://{text}"
            return _checked_endpoint(name, url)
    return ""


def _minio_endpoint(env: Mapping[str, str]) -> str:
    text = env.get("MINIO_ENDPOINT", "").strip()
    if not text:
        return ""
    if "://" not in text:
        # Upstream's own default: a MinIO beside the notebook speaks http.
        text = f"{'https' if _is_yes(env.get('MINIO_SECURE')) else 'http'}://{text}"
    return _checked_endpoint("MINIO_ENDPOINT", text)


def _checked_endpoint(name: str, url: str) -> str:
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good or "@" in urlsplit(url).netloc:
        raise SourceError(
            message("{name} is no address of a server. Write https://host:port, without a login.", name=name)
        )
    return url.rstrip("/")


def _pair(env: Mapping[str, str], *names: str) -> tuple[str, str]:
    """Return the first pair of key and secret that is set."""
    for key_name, secret_name in zip(names[::2], names[1::2], strict=True):
        key, secret = env.get(key_name, ""), env.get(secret_name, "")
        if bool(key) != bool(secret):
            is_set, is_missing = (key_name, secret_name) if key else (secret_name, key_name)
            raise SourceError(
                message(
                    "{is_set} is set, but {is_missing} is not. Set both, or neither.",
                    is_set=is_set,
                    is_missing=is_missing,
                )
            )
        if key:
            return key, secret
    return "", ""


def _from_profile(endpoint: str, region: str, bundle: str) -> S3Options:
    """Ask botocore: profiles, sign-on, roles that a profile names, containers; never the machine's own role."""
    import botocore.session  # noqa: PLC0415 -- only for buckets
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    session = botocore.session.Session()
    profile = os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE") or ""
    try:
        settings = session.get_scoped_config()
        session.get_component("credential_provider").remove("iam-role")
        keys = session.get_credentials()
        frozen = keys.get_frozen_credentials() if keys is not None else None
    except BotoCoreError as error:
        what = (
            message("AWS_PROFILE is {profile!r:.100}, but", profile=profile)
            if profile
            else message("The default AWS profile cannot be used:")
        )
        raise SourceError(
            message(
                "{what} {error}. Check ~/.aws/config and ~/.aws/credentials, or sign on again.",
                what=what,
                error=error,
            )
        ) from error
    region = region or str(settings.get("region") or "")
    if not endpoint and not _is_yes(os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")):
        of_s3 = settings.get("s3") if isinstance(settings.get("s3"), dict) else {}
        said = (of_s3 or {}).get("endpoint_url") or settings.get("endpoint_url") or ""
        endpoint = _checked_endpoint(message("The profile's endpoint_url"), str(said)) if said else ""
    if frozen is None or not frozen.access_key:
        return S3Options("", "", "", endpoint, region, ca_bundle=bundle)
    origin = message("the AWS profile {profile!r}", profile=profile or "default")
    return S3Options(
        frozen.access_key, frozen.secret_key or "", frozen.token or "", endpoint, region, origin=origin,
        ca_bundle=bundle,
    )  # fmt: skip


def _from_keyring(server: str) -> Login | None:
    try:
        import keyring  # noqa: PLC0415 -- an optional package, and slow to load

        kept = keyring.get_credential(f"{KEYRING_SERVICE}:{server}", None)
    except Exception:  # noqa: BLE001 -- not installed, locked, none at all: each system's has errors of its own
        return None
    if kept is None or not kept.password:
        return None
    return Login(kept.username, kept.password, "the keyring")


def _is_yes(text: str | None) -> bool:
    return (text or "").strip().lower() in ("1", "true", "yes", "on")
