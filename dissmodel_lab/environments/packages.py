"""From a text that anybody may have written to a package that pip may be given: an option or a command is none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from dissmodel_lab.errors import InstallError
from dissmodel_lab.language import message
from dissmodel_lab.redaction import redact_uri

_LONGEST = 500
"""A longer text is no package [characters]."""
_SCHEMES = ("https", "git+https", "git+ssh", "file")
_URL = re.compile(r"[A-Za-z0-9\-._~:/?#@!&()*+,=%\[\]]+")
"""What may stand in an address: none of the characters that a shell would take for its own."""
_PATH = re.compile(r"[/\\]|\.(?:whl|zip|tar\.gz)$")
_EXAMPLE = message("Write a package as pip knows it, for example disslucc or disslucc>=0.5,<0.6.")


@dataclass(frozen=True)
class PackageSpec:
    """A package that may be asked for; made by :func:`package_spec`."""

    text: str
    """As pip gets it."""
    name: str
    """The distribution's name; empty when only its address is known."""
    address: str = ""
    """Where it comes from, when not from an index."""

    @property
    def shown(self) -> str:
        """The text without passwords."""
        if not self.address:
            return self.text
        return f"{self.name} @ {redact_uri(self.address)}" if self.name else redact_uri(self.address)


def package_spec(text: str) -> PackageSpec:
    """
    Read a requirement: a name with extras and versions, ``name @ https://...``, or an address alone.

    Parameters
    ----------
    text : str
        As a request has it; anything may stand there.

    Raises
    ------
    InstallError
        When it is an option of pip, several packages, a path, an address that is not safe, or nothing at all.

    Examples
    --------
    >>> package_spec("disslucc >=0.5, <0.6").text
    'disslucc<0.6,>=0.5'
    >>> package_spec("git+https://ana:secret@example.org/models.git").shown
    'git+https://***@example.org/models.git'
    >>> package_spec("--index-url=https://example.org/simple disslucc")
    Traceback (most recent call last):
    dissmodel_lab.errors.InstallError: '--index-url=https://example.org/simple disslucc' is an option of pip, ...
    """
    if not isinstance(text, str) or not text.strip():
        raise InstallError(message("There is no package to install. {example}", example=_EXAMPLE))
    wanted = text.strip()
    shown = repr(redact_uri(wanted[:100]))
    if len(wanted) > _LONGEST or not wanted.isprintable() or not wanted.isascii():
        raise InstallError(
            message(
                "{shown} is no package: it is too long, or holds characters that no package has. {example}",
                shown=shown,
                example=_EXAMPLE,
            )
        )
    if wanted.startswith("-"):
        raise InstallError(
            message(
                "{shown} is an option of pip, not a package; options are never passed on. {example}",
                shown=shown,
                example=_EXAMPLE,
            )
        )
    if "://" in wanted and "@" not in wanted.partition("://")[0]:
        return PackageSpec(_address(wanted, shown), "", wanted)
    return _requirement(wanted, shown)


def _requirement(wanted: str, shown: str) -> PackageSpec:
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 -- only for requests with a package

    if "://" not in wanted and _PATH.search(wanted):
        raise InstallError(
            message("{shown} is a path; write file:// and the whole path. {example}", shown=shown, example=_EXAMPLE)
        )
    try:
        found = Requirement(wanted)
    except InvalidRequirement as error:
        raise InstallError(
            message("{shown} is no single package. {example}", shown=shown, example=_EXAMPLE)
        ) from error
    if found.marker is not None:
        raise InstallError(
            message(
                "{shown} says for which systems it is meant. Leave out what stands behind the semicolon.", shown=shown
            )
        )
    if found.url is None:
        return PackageSpec(str(found), found.name)
    return PackageSpec(f"{_head(found)} @ {_address(found.url, shown)}", found.name, found.url)


def _head(found: object) -> str:
    extras = ",".join(sorted(getattr(found, "extras", ())))
    return f"{getattr(found, 'name', '')}[{extras}]" if extras else str(getattr(found, "name", ""))


def _address(url: str, shown: str) -> str:
    """Return an address as it is, when pip may be given it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in _SCHEMES:
        raise InstallError(
            message(
                "{shown} comes from an address that is not trusted. Known ways: {schemes}.",
                shown=shown,
                schemes=", ".join(f"{scheme}://" for scheme in _SCHEMES),
            )
        )
    if _URL.fullmatch(url) is None or parts.netloc.startswith("-") or "@-" in url:
        raise InstallError(
            message(
                "{shown} holds characters that an address of a package must not have. {example}",
                shown=shown,
                example=_EXAMPLE,
            )
        )
    if parts.scheme == "file" and parts.netloc not in ("", "localhost"):
        raise InstallError(
            message("{shown} is a file of another machine. Write file:// and the whole path.", shown=shown)
        )
    return url
