"""Keep secrets out of everything that is written or shown.

Records, journals and cell outputs pass through here just before they are written; the values in
memory stay as they are, because an executor may need them to open its input.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

HIDDEN = "***"

_SECRET_NAME = re.compile(
    r"(?i)(?:^|[_\-.])(?:password|passwd|pwd|secret|token|api[_\-]?key|access[_\-]?key|credentials?|"
    r"signature|sig|x-amz-[a-z\-]+|authorization)(?:$|[_\-.])"
)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^\s'\"<>]+")
_ASSIGNMENT = re.compile(
    r"(?i)(\b[\w\-]*(?:password|passwd|secret|token|api[_\-]?key|access[_\-]?key)[\w\-]*['\"]?\s*[=:]\s*)"
    r"('[^']*'|\"[^\"]*\"|[^\s,;)}\]&]+)"
)


def is_secret_name(name: str) -> bool:
    """
    Tell whether a parameter or query field of this name holds a secret.

    Examples
    --------
    >>> is_secret_name("minio_secret_key"), is_secret_name("token_count_limitless"), is_secret_name("steps")
    (True, True, False)
    """
    return bool(_SECRET_NAME.search(name))


def redact_uri(uri: str) -> str:
    """
    Hide user names, passwords and signed query fields of a URI.

    Examples
    --------
    >>> redact_uri("https://ana:pw@host/x.tif?X-Amz-Signature=abc&band=2")
    'https://***@host/x.tif?X-Amz-Signature=***&band=2'
    >>> redact_uri("data/input.tif")
    'data/input.tif'
    """
    if "://" not in uri:
        return uri
    try:
        parts = urlsplit(uri)
    except ValueError:  # not a URI at all, for example an unbalanced "[": only the user part can be hidden
        return re.sub(r"//[^/@\s]*@", f"//{HIDDEN}@", uri)
    netloc = f"{HIDDEN}@{parts.netloc.rpartition('@')[2]}" if "@" in parts.netloc else parts.netloc
    query = "&".join(
        f"{quote(key)}={HIDDEN if is_secret_name(key) else quote(value)}"
        for key, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    return urlunsplit((parts.scheme, netloc, parts.path, query, parts.fragment))


def redact_text(text: str) -> str:
    """
    Hide URIs' secrets and ``name = value`` pairs with a secret name in free text (logs, cells, tracebacks).

    Examples
    --------
    >>> redact_text('run(api_key="s3cr3t", years=4) on s3://key:pw@bucket/x.tif')
    'run(api_key=***, years=4) on s3://***@bucket/x.tif'
    """
    return _ASSIGNMENT.sub(rf"\g<1>{HIDDEN}", _URL.sub(lambda match: redact_uri(match.group()), text))
