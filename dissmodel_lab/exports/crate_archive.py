"""The files of a crate that somebody else made, folder or ``.zip``: read one by one, never unpacked as a whole.

Whoever sends a crate chooses its names, sizes and bytes. So every name is looked at before anything is read, a
file comes out under a name that the reader chooses, and how much comes out is counted while it does.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Protocol

from dissmodel_lab.errors import ExportError, shown
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MIB = 1024**2
_BLOCK = _MIB
_END, _END_64, _LOCATOR_64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DRIVE = re.compile(r"[A-Za-z]:")
_LONGEST_NAME = 1_000
"""[characters]"""
_DEEPEST = 50
"""Folders in folders."""
_DIRECTORY_PER_FILE = 2 * _LONGEST_NAME
"""Room in a zip's directory for one member [bytes]."""


@dataclass(frozen=True, kw_only=True)
class CrateLimits:
    """How much a crate may hold. Pass larger ones to :func:`import_crate` for a crate that you trust."""

    files: int = 20_000
    total_bytes: int = 16 * 1024**3
    """All files together, unpacked [bytes]."""
    ratio: float = 200.0
    """Unpacked by packed bytes [-], once more than ``ratio_from`` bytes come out."""
    ratio_from: int = 1024**3
    """A map of one value is packed a thousandfold: no harm below this size [bytes]."""
    metadata_bytes: int = 64 * _MIB
    """``ro-crate-metadata.json`` and ``record.json``, each [bytes]."""


class CrateSource(Protocol):
    """A crate's files."""

    names: dict[str, int]
    """Path in the crate, with slashes -> size as it says [bytes]."""

    def open(self, name: str) -> IO[bytes]:
        """Open one of the files."""


class Crate:
    """
    A crate's files, looked at and counted.

    Parameters
    ----------
    source : CrateSource
        A folder's or a zip's files.
    limits : CrateLimits
        How much may come out.
    path : Path
        Where it lies.
    """

    def __init__(self, source: CrateSource, limits: CrateLimits, path: Path) -> None:
        self.file_name = path.name
        name = self.name = repr(str(path))
        self._source = source
        self._limits = limits
        self._left = limits.total_bytes
        names = source.names
        if len(names) > limits.files:
            raise ExportError(
                message(
                    "The crate {name} holds {n_names:,} files; {files:,} are allowed. {advice}",
                    name=name,
                    n_names=len(names),
                    files=limits.files,
                    advice=_ADVICE,
                )
            )
        total = sum(names.values())
        if total > limits.total_bytes:
            raise ExportError(
                message(
                    "The crate {name} holds {total:,} bytes; {total_bytes:,} are allowed. {advice}",
                    name=name,
                    total=total,
                    total_bytes=limits.total_bytes,
                    advice=_ADVICE,
                )
            )
        self._prefix = _root_of(names)
        self.files = {
            known.removeprefix(self._prefix): known for known in sorted(names) if known.startswith(self._prefix)
        }
        """Path in the crate -> the name that its source knows it by."""
        self.folders = _folders_of(self.files)
        """Path of each folder in the crate -> the paths of all files in it, however deep."""

    def members(self, place: str) -> list[str]:
        """Return a file, or the files of a folder; empty when there is neither."""
        return [place] if place in self.files else self.folders.get(place, [])

    def size(self, name: str) -> int:
        """Return the size of a file as the crate says [bytes]."""
        return self._source.names[self.files[name]]

    def read(self, name: str) -> bytes:
        """
        Return the whole of one of the small files.

        Raises
        ------
        ExportError
            When it is too large or cannot be read.
        """
        limit = self._limits.metadata_bytes
        if self.size(name) > limit:
            size = f"{self.size(name):,} bytes; {limit:,} are allowed"
            raise ExportError(
                message(
                    "{name} of the crate {name_2} has {size}. {advice}",
                    name=shown(name),
                    name_2=self.name,
                    size=size,
                    advice=_ADVICE,
                )
            )
        return b"".join(self.blocks(name))

    def blocks(self, name: str) -> Iterator[bytes]:
        """
        Yield a file's bytes in blocks; no more than it says it has.

        Raises
        ------
        ExportError
            When more comes out than the crate says or allows, or the bytes are damaged.
        """
        expected = left = self.size(name)
        with self._readable(name), self._source.open(self.files[name]) as file:
            while block := file.read(_BLOCK):
                left -= len(block)
                self._left -= len(block)
                if left < 0 or self._left < 0:
                    raise ExportError(
                        message(
                            "{name} of the crate {name_2} is larger than it says ({expected:,} bytes), or more "
                            "comes out than the {total_bytes:,} bytes that are allowed. Do not trust this crate.",
                            name=shown(name),
                            name_2=self.name,
                            expected=expected,
                            total_bytes=self._limits.total_bytes,
                        )
                    )
                yield block
        if left:
            raise ExportError(
                message(
                    "{name} of the crate {name_2} is cut off. Get the crate again.",
                    name=shown(name),
                    name_2=self.name,
                )
            )

    def copy(self, name: str, target: Path) -> str:
        """
        Copy a file out, under a name that the caller chose.

        Returns
        -------
        str
            Its SHA-256.

        Raises
        ------
        ExportError
            As :meth:`blocks`.
        OSError
            When the target exists or cannot be written.
        """
        digest = hashlib.sha256()
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            for block in self.blocks(name):
                digest.update(block)
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        return digest.hexdigest()

    def digests(self, name: str, algorithms: set[str]) -> dict[str, str]:
        """
        Return hashes of a file.

        Raises
        ------
        ExportError
            As :meth:`blocks`; what is only hashed does not count towards the total.
        """
        found = {algorithm: hashlib.new(algorithm, usedforsecurity=False) for algorithm in algorithms}
        before = self._left
        for block in self.blocks(name):
            for digest in found.values():
                digest.update(block)
        self._left = before
        return {algorithm: digest.hexdigest() for algorithm, digest in found.items()}

    @contextmanager
    def _readable(self, name: str) -> Iterator[None]:
        try:
            yield
        except ExportError:
            raise
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError) as error:
            raise ExportError(
                message(
                    "{name} of the crate {name_2} is damaged: {error}. Get the crate again.",
                    name=shown(name),
                    name_2=self.name,
                    error=error,
                )
            ) from error


_ADVICE = "Import it only if you trust it, with larger limits: import_crate(path, limits=CrateLimits(...))."


@contextmanager
def open_crate(path: Path, limits: CrateLimits) -> Iterator[Crate]:
    """
    Open a crate, a folder or a ``.zip``.

    Raises
    ------
    ExportError
        When there is none, it is damaged or encrypted, or holds what could harm: names that lead out of it,
        links, devices, a name twice, more than the limits allow.

    Examples
    --------
    >>> with open_crate(Path("no/such.zip"), CrateLimits()):
    ...     pass
    Traceback (most recent call last):
    dissmodel_lab.errors.ExportError: There is no crate 'no/such.zip'. Give a folder or a .zip.
    """
    name = repr(str(path))
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise ExportError(message("There is no crate {name}. Give a folder or a .zip.", name=name)) from error
    with ExitStack() as opened:
        try:
            crate = Crate(_source(path, mode, limits, opened), limits, path)
        except ExportError:
            raise
        except (zipfile.BadZipFile, zlib.error, struct.error, ValueError, OverflowError) as error:
            raise ExportError(
                message("The crate {name} is no whole zip: {error}. Get it again.", name=name, error=error)
            ) from error
        except OSError as error:
            raise ExportError(
                message(
                    "The crate {name} cannot be read: {strerror}. Check its permissions.",
                    name=name,
                    strerror=error.strerror or error,
                )
            ) from error
        yield crate


def _source(path: Path, mode: int, limits: CrateLimits, opened: ExitStack) -> CrateSource:
    name = repr(str(path))
    if stat.S_ISDIR(mode):
        return _Folder(path, name, limits)
    if stat.S_ISREG(mode):
        return _Zip(opened.enter_context(path.open("rb")), name, limits)
    raise ExportError(message("The crate {name} is neither a file nor a folder. Give a folder or a .zip.", name=name))


class _Folder:
    """The files of a crate that is a folder."""

    def __init__(self, root: Path, name: str, limits: CrateLimits) -> None:
        self._root = root
        self.names: dict[str, int] = {}
        waiting = [root]
        while waiting:
            with os.scandir(waiting.pop()) as items:
                for item in items:
                    place = Path(item.path).relative_to(root).as_posix()
                    _check_name(place, name)
                    if item.is_dir(follow_symlinks=False):
                        waiting.append(Path(item.path))
                    elif item.is_file(follow_symlinks=False):
                        self.names[place] = item.stat(follow_symlinks=False).st_size
                    else:
                        raise ExportError(_odd(place, name))
                    if len(self.names) + len(waiting) > limits.files:
                        raise ExportError(
                            message(
                                "The crate {name} holds more than the {files:,} files that are allowed. {advice}",
                                name=name,
                                files=limits.files,
                                advice=_ADVICE,
                            )
                        )

    def open(self, name: str) -> IO[bytes]:
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        return os.fdopen(os.open(self._root / name, flags), "rb")


class _Zip:
    """The members of a crate that is a zip."""

    def __init__(self, file: IO[bytes], name: str, limits: CrateLimits) -> None:
        size = _check_directory(file, name, limits)
        self._archive = zipfile.ZipFile(file)
        self._members: dict[str, zipfile.ZipInfo] = {}
        packed = 0
        for member in self._archive.infolist():
            _check_member(member, name)
            packed += member.compress_size
            if member.is_dir():
                continue
            if member.filename in self._members:
                raise ExportError(
                    message(
                        "The crate {name} holds {filename} twice, and programs do not agree which of the two "
                        "counts. It is not imported.",
                        name=name,
                        filename=shown(member.filename),
                    )
                )
            self._members[member.filename] = member
        self.names = {known: member.file_size for known, member in self._members.items()}
        total = sum(self.names.values())
        if packed > size or (total > limits.ratio_from and total > limits.ratio * max(packed, 1)):
            raise ExportError(
                message(
                    "The crate {name} of {size:,} bytes would unpack to {total:,}: that is a zip bomb. Allowed are "
                    "{ratio:g} times its packed size, and members that do not overlap. {advice}",
                    name=name,
                    size=size,
                    total=total,
                    ratio=limits.ratio,
                    advice=_ADVICE,
                )
            )

    def open(self, name: str) -> IO[bytes]:
        return self._archive.open(self._members[name])


def _check_directory(file: IO[bytes], name: str, limits: CrateLimits) -> int:
    """Look how large the zip's own directory is before it is read into memory; return the file's size [bytes]."""
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - 65_557)  # the end of a zip: 22 bytes, and a comment of up to 65,535
    file.seek(start)
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) < at + 22:
        raise ExportError(
            message("The crate {name} is no whole zip: it has no directory at its end. Get it again.", name=name)
        )
    directory: int = struct.unpack_from("<L", tail, at + 12)[0]
    if at >= 20 and tail[at - 20 : at - 16] == _LOCATOR_64:  # noqa: PLR2004 -- of 20 bytes, see APPNOTE.TXT 4.3.15
        file.seek(struct.unpack_from("<Q", tail, at - 12)[0])
        end = file.read(56)
        if end[:4] == _END_64 and len(end) == 56:  # noqa: PLR2004 -- APPNOTE.TXT 4.3.14
            directory = struct.unpack_from("<Q", end, 40)[0]
    if directory > limits.files * _DIRECTORY_PER_FILE or directory > size:
        raise ExportError(
            message(
                "The crate {name} says that its directory alone has {directory:,} bytes; {files:,} files are "
                "allowed. {advice}",
                name=name,
                directory=directory,
                files=limits.files,
                advice=_ADVICE,
            )
        )
    file.seek(0)
    return size


def _check_member(member: zipfile.ZipInfo, name: str) -> None:
    if member.orig_filename != member.filename:  # zipfile has cut it at a NUL, or turned separators
        raise ExportError(_bad_name(member.orig_filename, name))
    _check_name(member.filename.removesuffix("/"), name)
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ExportError(_odd(member.filename, name))
    if member.flag_bits & _ENCRYPTED:
        raise ExportError(
            message(
                "{filename} of the crate {name} is encrypted. Unpack it yourself first.",
                filename=shown(member.filename),
                name=name,
            )
        )
    if member.compress_type not in _METHODS:
        raise ExportError(
            message(
                "{filename} of the crate {name} is packed by method {compress_type}. Allowed are stored and "
                "deflated (0 and 8). Unpack it yourself, and import the folder.",
                filename=shown(member.filename),
                name=name,
                compress_type=member.compress_type,
            )
        )


def _check_name(place: str, name: str) -> None:
    """Refuse a name that could lead out of the crate, on any system."""
    parts = place.split("/")
    is_good = (
        len(place) <= _LONGEST_NAME
        and len(parts) <= _DEEPEST
        and all(part not in ("", ".", "..") for part in parts)
        and "\\" not in place
        and not _DRIVE.match(place)
        and not any(unicodedata.category(sign) in ("Cc", "Cs") for sign in place)
    )
    if not is_good:
        raise ExportError(_bad_name(place, name))


def _bad_name(place: str, name: str) -> str:
    return (
        f"The crate {name} holds a file called {place!r:.200}. A name must be a relative path with slashes, "
        "without '..', drives, backslashes, colons and control signs. It is not imported."
    )


def _odd(place: str, name: str) -> str:
    return (
        f"{shown(place)} of the crate {name} is a link, a device or a pipe: it could lead anywhere. "
        "Only files and folders are allowed. It is not imported."
    )


def _folders_of(files: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in files:
        for folder in PurePosixPath(name).parents[:-1]:
            found.setdefault(folder.as_posix(), []).append(name)
    return found


def _root_of(names: dict[str, int]) -> str:
    """Return the folder in which the metadata lies, with a slash: people often zip the folder around it too."""
    if METADATA_NAME in names or OLD_METADATA_NAME in names:
        return ""
    tops = {PurePosixPath(name).parts[0] for name in names}
    top = next(iter(tops)) if len(tops) == 1 else ""
    return f"{top}/" if any(f"{top}/{known}" in names for known in (METADATA_NAME, OLD_METADATA_NAME)) else ""


METADATA_NAME, OLD_METADATA_NAME = "ro-crate-metadata.json", "ro-crate-metadata.jsonld"
