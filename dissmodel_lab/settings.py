"""Who runs this, and under which licence results are shared: a small TOML file that people write once.

It is called ``dissmodel-lab.toml`` and lies beside the notebook or in a folder above it; one for all projects
is ``dissmodel-lab/settings.toml`` in the user's configuration folder. The nearest one holds, alone. Without any,
exports name the user of the machine, and say that no licence was given.
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dissmodel_lab.errors import LabError, did_you_mean
from dissmodel_lab.language import message

SETTINGS_NAME = "dissmodel-lab.toml"
_USERS_NAME = Path("dissmodel-lab", "settings.toml")
_MOST_BYTES = 64 * 1024
_LONGEST = 200
"""Longest text of a setting [characters]."""
_TABLES = {"author": ("name", "orcid", "affiliation", "email"), "export": ("license",)}
_ORCID = re.compile(r"(?:https?://orcid\.org/)?(\d{4}-\d{4}-\d{4}-\d{3}[\dX])")
_EMAIL = re.compile(r"[^@\s<>()\",;:]+@[^@\s<>()\",;:]+\.[^@\s<>()\",;:.]+")
_SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")

_TEMPLATE = """\
# Who runs the models, and under which licence results are shared. Exports (RO-Crate, PROV) read this file.
# Keep it beside your notebooks as dissmodel-lab.toml. Every line may be left out.

[author]
name = "Your Name"
# orcid = "0000-0002-1825-0097"    # https://orcid.org
# affiliation = "Your institute"
# email = "you@example.org"        # stands in what you export: leave it out to keep it private

[export]
# license = "CC-BY-4.0"            # an identifier of https://spdx.org/licenses, or a URL
"""


@dataclass(frozen=True, kw_only=True)
class Author:
    """A person, as exports name them."""

    name: str
    orcid: str = ""
    """``0000-0002-1825-0097``, without the URL; empty when not given."""
    affiliation: str = ""
    email: str = ""

    @property
    def orcid_url(self) -> str:
        """The ORCID as a URL; empty when not given."""
        return f"https://orcid.org/{self.orcid}" if self.orcid else ""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the settings file says; everything is empty when there is none."""

    author: Author | None = None
    license: str = ""
    """An SPDX identifier or a URL; empty when not given."""
    path: Path | None = None
    """The file that was read; None when there is none."""

    @property
    def license_url(self) -> str:
        """The licence as a URL; empty when not given."""
        if not self.license or "://" in self.license:
            return self.license
        return f"https://spdx.org/licenses/{self.license}"


def read_settings(folder: str | Path | None = None) -> Settings:
    r"""
    Read the nearest settings file: of a folder, of those above it, or the user's own.

    Parameters
    ----------
    folder : str or Path, optional
        Where the notebook or the store lies; the working folder when not given.

    Returns
    -------
    Settings
        Empty when there is no file.

    Raises
    ------
    LabError
        When the file cannot be read, is no TOML, or says what is not allowed.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> text = '[author]\nname = "Ana"\norcid = "0000-0002-1825-0097"\n[export]\nlicense = "CC-BY-4.0"'
    >>> (folder / SETTINGS_NAME).write_text(text) > 0
    True
    >>> found = read_settings(folder / "deeper")
    >>> found.author.orcid_url, found.license_url
    ('https://orcid.org/0000-0002-1825-0097', 'https://spdx.org/licenses/CC-BY-4.0')
    """
    start = Path(folder or "").absolute()
    for path in (*(above / SETTINGS_NAME for above in (start, *start.parents)), _users_own()):
        if _is_file(path):
            return _settings(path)
    return Settings()


def settings_template() -> str:
    """
    Return the text of a settings file to fill in.

    Examples
    --------
    >>> print(settings_template().splitlines()[3])
    [author]
    """
    return _TEMPLATE


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a folder above that is closed to this user, or no path at all
        return False


def _users_own() -> Path:
    if sys.platform == "win32":
        base = os.environ.get("APPDATA", "")
    else:
        base = os.environ.get("XDG_CONFIG_HOME", "")
    try:
        return (Path(base) if base else Path.home() / ".config") / _USERS_NAME
    except RuntimeError:  # a user without a home
        return _USERS_NAME


def _settings(path: Path) -> Settings:
    document = _document(path)
    for name, table in document.items():
        if name not in _TABLES:
            raise LabError(
                message(
                    "{path} has a table or name {name!r} that means nothing. {did_you_mean}",
                    path=_at(path),
                    name=name,
                    did_you_mean=did_you_mean(name, _TABLES),
                )
            )
        if not isinstance(table, dict):
            raise LabError(
                message(
                    "{path}: {name} must be a table, [{name}], got {table!r:.80}.",
                    path=_at(path),
                    name=name,
                    table=table,
                )
            )
        for key in table:
            if key not in _TABLES[name]:
                raise LabError(
                    message(
                        "{path}: [{name}] has no {key!r}. {did_you_mean}",
                        path=_at(path),
                        name=name,
                        key=key,
                        did_you_mean=did_you_mean(key, _TABLES[name]),
                    )
                )
    said = {
        (name, key): _text(path, f"{name}.{key}", document[name][key])
        for name, keys in _TABLES.items()
        for key in keys
        if key in document.get(name, {})
    }
    return Settings(
        author=_author(path, {key: text for (name, key), text in said.items() if name == "author"}),
        license=_license(path, said.get(("export", "license"), "")),
        path=path,
    )


def _document(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise LabError(
            message(
                "{path} cannot be read: {strerror}. Check its permissions.",
                path=_at(path),
                strerror=error.strerror or error,
            )
        ) from error
    if len(content) > _MOST_BYTES:
        raise LabError(
            message(
                "{path} is larger than {most_bytes} KiB. Keep author and licence in it only.",
                path=_at(path),
                most_bytes=_MOST_BYTES // 1024,
            )
        )
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LabError(
            message("{path} is no TOML: {error}. Compare it with the template.", path=_at(path), error=error)
        ) from error


def _text(path: Path, name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise LabError(
            message(
                "{path}: {name} must be a text in quotation marks, got {value!r:.80}.",
                path=_at(path),
                name=name,
                value=value,
            )
        )
    text = value.strip()
    if len(text) > _LONGEST or not text.isprintable():
        raise LabError(
            message(
                "{path}: {name} must be one line of at most {longest} characters, got {value!r:.80}.",
                path=_at(path),
                name=name,
                longest=_LONGEST,
                value=value,
            )
        )
    return text


def _author(path: Path, said: dict[str, str]) -> Author | None:
    if not any(said.values()):
        return None
    if not said.get("name"):
        raise LabError(message('{path}: [author] has no name. Add a line: name = "Your Name".', path=_at(path)))
    email = said.get("email", "")
    if email and not _EMAIL.fullmatch(email):
        raise LabError(
            message(
                "{path}: author.email is no address: {email!r:.80}. It looks like name@example.org.",
                path=_at(path),
                email=email,
            )
        )
    return Author(
        name=said["name"],
        orcid=_orcid(path, said.get("orcid", "")),
        affiliation=said.get("affiliation", ""),
        email=email,
    )


def _orcid(path: Path, text: str) -> str:
    if not text:
        return ""
    found = _ORCID.fullmatch(text)
    if found is None:
        raise LabError(
            message(
                "{path}: author.orcid is no ORCID: {text!r:.80}. It looks like 0000-0002-1825-0097, or like "
                "https://orcid.org/0000-0002-1825-0097.",
                path=_at(path),
                text=text,
            )
        )
    if check_digit(found[1][:-1]) != found[1][-1]:
        raise LabError(
            message(
                "{path}: author.orcid {found} has a mistyped digit: its checksum is wrong. Copy it from "
                "https://orcid.org.",
                path=_at(path),
                found=found[1],
            )
        )
    return found[1]


def check_digit(digits: str) -> str:
    """
    Return the last sign of an ORCID, by ISO 7064 MOD 11-2.

    Source: https://support.orcid.org/hc/en-us/articles/360006897674.

    Parameters
    ----------
    digits : str
        The 15 digits before it; hyphens do not count.

    Examples
    --------
    >>> check_digit("0000-0002-1825-009"), check_digit("0000-0002-1694-233")
    ('7', 'X')
    """
    total = 0
    for digit in digits.replace("-", ""):
        total = (total + int(digit)) * 2
    return "0123456789X"[(12 - total % 11) % 11]


def _license(path: Path, text: str) -> str:
    if not text:
        return ""
    if "://" in text:
        try:
            parts = urlsplit(text)
        except ValueError:  # a bracket that opens no address
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or " " in text:
            raise LabError(
                message(
                    "{path}: export.license is no web address: {text!r:.80}. Begin with https://.",
                    path=_at(path),
                    text=text,
                )
            )
        return text
    if not _SPDX.fullmatch(text):
        raise LabError(
            message(
                "{path}: export.license is neither an identifier of https://spdx.org/licenses nor a URL: "
                "{text!r:.80}. Examples: CC-BY-4.0, MIT.",
                path=_at(path),
                text=text,
            )
        )
    return _known_license(path, text)


def _known_license(path: Path, text: str) -> str:
    try:
        from packaging.licenses import (  # noqa: PLC0415 -- comes with other libraries, not in every version
            InvalidLicenseExpression,
            canonicalize_license_expression,
        )
    except ImportError:
        return text
    try:
        if text.lower().startswith("licenseref-"):  # a name that only its own document explains
            raise InvalidLicenseExpression(text)  # noqa: TRY301 -- one message for both
        return str(canonicalize_license_expression(text))
    except InvalidLicenseExpression as error:
        raise LabError(
            message(
                "{path}: export.license {text!r} is no identifier of https://spdx.org/licenses. Examples: "
                "CC-BY-4.0, MIT. For any other licence give its URL.",
                path=_at(path),
                text=text,
            )
        ) from error


def _at(path: Path) -> str:
    return message("The settings file {path!r}", path=str(path))
