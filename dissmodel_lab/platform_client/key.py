"""The API key: from the environment or the keyring to one header, and nowhere else."""

from __future__ import annotations

import os
from typing import Any, NoReturn
from urllib.parse import quote

from dissmodel_lab.errors import PlatformError
from dissmodel_lab.language import changed, message
from dissmodel_lab.redaction import HIDDEN

KEY_VARIABLE = "DISSMODEL_API_KEY"
"""Environment variable that holds the key."""
KEYRING_SERVICE = "dissmodel-lab"
"""Under this name, with the server's address as the user, the key lies in the keyring."""
_SHORTEST = 4
"""A shorter key cannot be told from ordinary text, and is not looked for in it [characters]."""


class ApiKey:
    """
    A key that shows itself to nobody: no text, no copy in another process, no pickle.

    Parameters
    ----------
    value : str
        The key.
    origin : str
        Where it was found, as messages name it.

    Raises
    ------
    PlatformError
        When it cannot stand in an HTTP header; the message does not hold it.

    Examples
    --------
    >>> key = ApiKey("s3cr3t-k3y", "the keyring")
    >>> key, f"{key}", key.hide("sent s3cr3t-k3y")
    (ApiKey(***), 'ApiKey(***)', 'sent ***')
    """

    __slots__ = ("_value", "origin")

    def __init__(self, value: str, origin: str) -> None:
        value = value.strip()
        if not value or not value.isascii() or not value.isprintable() or " " in value:
            raise PlatformError(
                message(
                    "The API key in {origin} is empty or holds a space or a sign that no header can carry. Set it "
                    "again, exactly as the platform gave it.",
                    origin=origin,
                )
            )
        self._value = value
        self.origin = origin

    def reveal(self) -> str:
        """
        Return the key itself: for the header, and for the tests that look for it everywhere else.

        Examples
        --------
        >>> len(ApiKey("s3cr3t-k3y", "the keyring").reveal())
        10
        """
        return self._value

    def hide(self, text: str) -> str:
        """
        Return a text without the key in it, as it is or percent-encoded.

        Examples
        --------
        >>> ApiKey("a/b+c", "the keyring").hide("?key=a%2Fb%2Bc")
        '?key=***'
        """
        if len(self._value) < _SHORTEST:
            return text
        return changed(text, self._hidden)

    def _hidden(self, text: str) -> str:
        for form in (self._value, quote(self._value, safe="")):
            text = text.replace(form, HIDDEN)
        return text

    def hide_in(self, value: Any) -> Any:
        """
        Return a JSON value without the key in any of its texts and names.

        Examples
        --------
        >>> ApiKey("s3cr3t-k3y", "the keyring").hide_in({"logs": ["X-API-Key: s3cr3t-k3y"], "total": 1})
        {'logs': ['X-API-Key: ***'], 'total': 1}
        """
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, dict):
            return {self.hide_in(name): self.hide_in(item) for name, item in value.items()}
        return [self.hide_in(item) for item in value] if isinstance(value, list) else value

    def __repr__(self) -> str:
        return f"ApiKey({HIDDEN})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            message("An API key is not copied or sent anywhere. Let the other process look it up itself.")
        )


def find_key(origin: str) -> ApiKey:
    """
    Look up the API key for a server: in ``DISSMODEL_API_KEY``, then in the keyring.

    Parameters
    ----------
    origin : str
        The server's address, ``https://host[:port]``.

    Raises
    ------
    PlatformError
        When there is none.

    Examples
    --------
    >>> import os
    >>> os.environ["DISSMODEL_API_KEY"] = "an-example"
    >>> find_key("https://platform.example").origin
    'DISSMODEL_API_KEY'
    >>> del os.environ["DISSMODEL_API_KEY"]
    """
    if os.environ.get(KEY_VARIABLE, "").strip():
        return ApiKey(os.environ[KEY_VARIABLE], KEY_VARIABLE)
    kept, problem = _from_keyring(origin)
    if kept:
        return ApiKey(kept, "the keyring")
    raise PlatformError(
        message(
            "There is no API key for {origin}: {key_variable} is not set, and {problem}. {how_to_give_a_key}",
            origin=origin,
            key_variable=KEY_VARIABLE,
            problem=problem,
            how_to_give_a_key=how_to_give_a_key(origin),
        )
    )


def how_to_give_a_key(origin: str) -> str:
    """
    Say where a key belongs, for messages.

    Examples
    --------
    >>> how_to_give_a_key("https://platform.example")
    'Set DISSMODEL_API_KEY before Jupyter starts, or keep it: python -m keyring set dissmodel-lab https://...'
    """
    return message(
        "Set {key_variable} before Jupyter starts, or keep it: python -m keyring set {keyring_service} "
        "{origin} (it asks for the key; never write one into a cell).",
        key_variable=KEY_VARIABLE,
        keyring_service=KEYRING_SERVICE,
        origin=origin,
    )


def _from_keyring(origin: str) -> tuple[str, str]:
    """Return the key in the keyring, or why there is none."""
    try:
        import keyring  # noqa: PLC0415 -- an optional package, and slow to load
    except ImportError:
        return "", message("the package keyring is not installed")
    try:
        return keyring.get_password(KEYRING_SERVICE, origin) or "", message("the keyring holds none for it")
    except Exception as error:  # noqa: BLE001 -- each system's keyring has errors of its own
        return "", message("the keyring cannot be opened ({kind})", kind=type(error).__name__)
