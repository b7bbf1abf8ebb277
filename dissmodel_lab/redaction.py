"""Keep secrets out of everything that is written or shown.

Records, journals and cell outputs pass through here just before they are written; the values in
memory stay as they are, because an executor may need them to open its input.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from dissmodel_lab.language import Message, changed

if TYPE_CHECKING:
    from collections.abc import Iterator

HIDDEN = "***"
_SHORTEST = 6
"""A shorter secret can't be told from ordinary words, and is not looked for in texts [characters]."""


class _Pattern:
    """A pattern that is compiled when it is first used: few texts ever need it, and compiling takes 8 ms."""

    def __init__(self, text: str) -> None:
        self._text = text

    @functools.cached_property
    def compiled(self) -> re.Pattern[str]:
        return re.compile(self._text)

    def hide(self, text: str, shown: str) -> str:
        return self.compiled.sub(shown, text)


_WORDS = (
    r"(?:password|passwd|passphrase|pwd|secret|token|api[_\-]?key|access[_\-]?key|private[_\-]?key|"
    r"account[_\-]?key|credential|authorization)s?"
)
# Words that other words begin or end with (author, compass): only whole, between separators, are they a name.
_SHORT_WORDS = r"(?:auth|cookies?|sas|bearer|(?:db|database|user|admin|smtp|ftp|http|proxy|pg|mysql|sql)[_\-]pass)"
_PARTS = re.compile(r"(?i)pass|pwd|secret|token|key|credential|auth|cookie|sas|bearer|shared")
_SECRET_NAME = re.compile(
    rf"(?i)(?:^|[_\-.])(?:(?:{_WORDS}|cookies?|bearer|shared_access_signature|signature|sig|x-amz-[a-z\-]+)"
    rf"(?:$|[_\-.\d])|{_SHORT_WORDS}\d*$|^pass$)"
)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# The length of a scheme is limited, so that a long word without "://" is scanned once.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{0,30}://[^\s'\"<>]+")
# The second form is a password with an unescaped slash; digits behind the colon of a host are its port.
_USER = re.compile(r"[^/?#]*@|[^/?#@:\[\]]*:(?!\d*(?:[/?#]|$))\S*@")
_FIELD = re.compile(r"(?<=[?&;#])([^=&;#?]+)=([^&;#]*)")

_NAME = rf"(?<![\w\-])[\w\-]{{0,64}}{_WORDS}[\w\-]{{0,64}}"  # limited, so that a long word is scanned once
_SIGN = (
    r"(?:\s*:(?:\s|\||\[|\]|str|bytes|SecretStr|Final|Optional|None)+=\s*"  # name: str = value
    r"|['\"]?\]?\s*[=:]=?\s*"  # name = value, "name": value, x["name"] = value
    r"|['\"]\s*,\s*(?=['\"])"  # setdefault("name", "value")
    r")(?:\(\s*)*"
)
_OPTION = rf"(?<!\S)--[\w\-]{{0,64}}{_WORDS}[\w\-]{{0,64}}[ \t]+(?!-)"
_QUOTED = (
    r"[bfru]{0,2}(?:\"\"\"[\s\S]*?\"\"\"|\'\'\'[\s\S]*?\'\'\'"
    r"|\"(?:[^\"\\\n]|\\.)*\"|\'(?:[^\'\\\n]|\\.)*\')"
)
_CLOSED = r"(?<=['\"])['\"]\s"  # a shell's own quotation mark behind a value's: no second value begins with it
_VALUE = rf"(?:(?:Bearer|Basic|Digest)\s+)?(?:(?:(?!{_CLOSED}){_QUOTED}|[^\s,;)}}\]&'\"])+|['\"][^\s,;)}}\]&]+)"
_SHORT_NAME = rf"(?<![\w\-])(?:[\w\-]{{0,64}}[_\-])?{_SHORT_WORDS}(?![\w\-])"
_ASSIGNMENT = _Pattern(rf"(?i)({_NAME}{_SIGN}|{_OPTION}){_VALUE}")
_SHORT_ASSIGNMENT = _Pattern(rf"(?i)({_SHORT_NAME}{_SIGN}){_VALUE}")
_PAIR = _Pattern(rf"(?i)({_SHORT_NAME}['\"]?\]?\s*[=:]\s*)\([^()\n]{{1,400}}\)")  # auth=("name", "password")
# A header of cookies and a signature of Azure hold signs that end any other value.
_WHOLE = _Pattern(
    r"(?i)((?<![\w\-])(?:set-)?cookie:[ \t]*)[^\r\n'\"]+"
    r"|(sharedaccesssignature(?:\s*=\s*|\s+))[^\s;'\"]+"
)
_BEARER = _Pattern(r"(?i)(?<![\w\-])(bearer[ \t]+)(?=[^\s'\"]{0,400}\d)[A-Za-z0-9\-._~+/]{8,}=*")
# curl -u name:password; two numbers are the owner of a container.
_LOGIN = _Pattern(r"(?<!\S)(-u[ \t]*|--(?:proxy-)?user[ \t=]+)(?!\d+:\d+(?!\S))['\"]?[^\s:'\"]{1,200}:[^\s/]\S*")


@functools.lru_cache(maxsize=1024)
def is_secret_name(name: str) -> bool:
    """
    Tell whether a parameter or query field of this name holds a secret.

    Examples
    --------
    >>> is_secret_name("minio_secret_key"), is_secret_name("token_count_limitless"), is_secret_name("steps")
    (True, True, False)
    """
    return bool(_SECRET_NAME.search(_HUMP.sub("_", name)))


def is_secret_key(key: Any) -> bool:
    """
    Tell whether a key of any type, or its JSON form, names a secret.

    Examples
    --------
    >>> is_secret_key(b"password"), is_secret_key({"$bytes": "cGFzc3dvcmQ="}), is_secret_key(3)
    (True, True, False)
    """
    if isinstance(key, dict) and len(key) == 1 and "$bytes" in key:
        import base64  # noqa: PLC0415 -- few keys are bytes

        try:
            key = base64.b64decode(key["$bytes"])
        except (TypeError, ValueError):
            return False
    if isinstance(key, bytes | bytearray):
        key = key.decode("utf-8", "replace")
    return isinstance(key, str) and is_secret_name(key)


def redact_uri(uri: str) -> str:
    """
    Hide user names, passwords and signed query fields of a URI; everything else stays as it is written.

    Examples
    --------
    >>> redact_uri("https://ana:pw@host/x.tif?X-Amz-Signature=abc&band=2")
    'https://***@host/x.tif?X-Amz-Signature=***&band=2'
    >>> redact_uri("data/input.tif")
    'data/input.tif'
    """
    scheme, mark, rest = uri.partition("://")
    if not mark:
        return uri
    user = _USER.match(rest)
    if user is not None:
        rest = f"{HIDDEN}@{rest[user.end() :]}"
    return scheme + mark + _FIELD.sub(_redact_field, rest)


def redact_text(text: str) -> str:
    """
    Hide URIs' secrets and ``name = value`` pairs with a secret name in free text (logs, cells, tracebacks).

    Examples
    --------
    >>> redact_text('run(api_key="s3cr3t", years=4) on s3://key:pw@bucket/x.tif')
    'run(api_key=***, years=4) on s3://***@bucket/x.tif'
    """
    return changed(text, _redacted) if isinstance(text, Message) else _redacted(text)


def _redacted(text: str) -> str:
    if "://" in text:
        text = _URL.sub(lambda match: redact_uri(match.group()), text)
    if _PARTS.search(text):  # most texts have none: this asks faster than the patterns
        text = _WHOLE.hide(text, rf"\g<1>\g<2>{HIDDEN}")
        for pattern in (_PAIR, _ASSIGNMENT, _SHORT_ASSIGNMENT, _BEARER):
            text = pattern.hide(text, rf"\g<1>{HIDDEN}")
    return _LOGIN.compiled.sub(_redact_login, text) if "-u" in text else text


class SecretValues:
    """
    Secrets that a run was given, found again wherever its model writes one bare: in a log, a message, a name.

    Only whole values are found: as they are, in ``repr()``, and as a URI writes them; none of fewer than six
    characters.

    Examples
    --------
    >>> secrets = SecretValues()
    >>> secrets.add({"db": {"password": "hunter2!"}, "years": 20}, "s3://key:pa55word@bucket/x.tif")
    >>> secrets.hide("hunter2! is wrong, and so is pa55word after 20 years")
    '*** is wrong, and so is *** after 20 years'
    """

    def __init__(self) -> None:
        self._texts: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._texts)

    def add(self, values: Any, uri: str = "") -> None:
        """
        Learn the secrets among values of any depth, and those of a URI.

        Parameters
        ----------
        values : object
            What stands under a secret's name, and every ``SecretStr``, is a secret.
        uri : str
            Of the input: its password and its signed fields.
        """
        found = {
            text for text in (*_secrets_in(values, is_secret=False), *_secrets_of(uri)) if len(text) >= _SHORTEST
        }
        if found:
            from urllib.parse import quote  # noqa: PLC0415 -- few runs have secrets

            forms = {form for text in found for form in (text, repr(text)[1:-1], quote(text, safe=""))}
            self._texts = tuple(sorted({*self._texts, *forms}, key=len, reverse=True))

    def hide(self, text: str) -> str:
        """Return a text without the secrets."""
        if not any(secret in text for secret in self._texts):
            return text
        return changed(text, self._hidden) if isinstance(text, Message) else self._hidden(text)

    def hide_in(self, value: Any) -> Any:
        """Return a text without the secrets, or a copy of lists and dicts of such texts; anything else itself."""
        if isinstance(value, str):
            return self.hide(value)
        if type(value) is dict:
            return {self.hide_in(name): self.hide_in(item) for name, item in value.items()}
        return [self.hide_in(item) for item in value] if type(value) is list else value

    def _hidden(self, text: str) -> str:
        for secret in self._texts:
            text = text.replace(secret, HIDDEN)
        return text


def _secrets_in(value: Any, *, is_secret: bool) -> Iterator[str]:
    reveal = getattr(value, "get_secret_value", None)  # pydantic's SecretStr and SecretBytes, whatever their name
    if callable(reveal):
        value, is_secret = reveal(), True
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _secrets_in(item, is_secret=is_secret or is_secret_key(name))
    elif isinstance(value, list | tuple):
        for item in value:
            if not isinstance(item, int | float):
                yield from _secrets_in(item, is_secret=is_secret)
    elif is_secret and isinstance(value, bytes | str):
        yield value if isinstance(value, str) else value.decode("utf-8", "replace")


def _secrets_of(uri: str) -> Iterator[str]:
    _, mark, rest = uri.partition("://")
    if not mark:
        return
    from urllib.parse import unquote  # noqa: PLC0415 -- few inputs are remote

    user = _USER.match(rest)
    _, colon, password = user.group()[:-1].partition(":") if user is not None else ("", "", "")
    if colon:
        yield from (password, unquote(password))
    for name, value in _FIELD.findall(rest):
        if is_secret_name(unquote(name)):
            yield from (value, unquote(value))


def _redact_login(match: re.Match[str]) -> str:
    return f"{match[1].rstrip()} {HIDDEN}" if not match[1].endswith("=") else f"{match[1]}{HIDDEN}"


def _redact_field(match: re.Match[str]) -> str:
    if match[2].startswith(HIDDEN):  # hidden already: what follows is the sentence that the address stands in
        return match[0]
    from urllib.parse import unquote  # noqa: PLC0415 -- loads seven modules, and few texts hold an address

    name, value = unquote(match[1]), unquote(match[2])
    # The value may be a URI itself, as tile servers take it.
    hides = is_secret_name(name) or redact_uri(value) != value
    return f"{match[1]}={HIDDEN}" if hides else match[0]
