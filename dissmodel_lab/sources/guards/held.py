"""A file with its neighbours, wherever it lies: in a folder or in a zip."""

from __future__ import annotations

import os
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from dissmodel_lab.errors import SourceError
from dissmodel_lab.language import message

#: Neighbours are looked for in the first files of a folder; GDAL looks at fewer [-].
MAX_FILES = 20_000


class Held(Protocol):
    """What the guards need of a file."""

    @property
    def name(self) -> str:
        """How messages call it."""

    @property
    def file(self) -> str:
        """Its name without folders."""

    @property
    def size(self) -> int:
        """Its size, unpacked [bytes]."""

    @property
    def opened(self) -> str:
        """What GDAL opens."""

    def open(self) -> IO[bytes]:
        """Open it for reading."""

    def beside(self) -> list[str]:
        """Names of the files in the same folder, itself included."""

    def neighbour(self, file: str) -> Held:
        """Return the file of this name in the same folder."""


@dataclass(frozen=True)
class LocalFile:
    """
    A regular file in a folder.

    Examples
    --------
    >>> LocalFile(Path("data/grid.tif"), "grid.tif").file
    'grid.tif'
    """

    path: Path
    name: str

    @property
    def file(self) -> str:
        """Its name without folders."""
        return self.path.name

    @property
    def size(self) -> int:
        """Its size [bytes]."""
        return self.path.stat().st_size

    @property
    def opened(self) -> str:
        """Its absolute path: no library takes such a text for an address."""
        return str(self.path.absolute())

    def open(self) -> IO[bytes]:
        """Open it; a pipe that has taken its place since it was looked at doesn't block."""
        number = os.open(self.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        file = os.fdopen(number, "rb")
        if not stat.S_ISREG(os.fstat(number).st_mode):
            file.close()
            raise SourceError(
                message(
                    "{name} is a device, a pipe or a socket, not a file. Name a file: copy what it says into one.",
                    name=self.name,
                )
            )
        return file

    def beside(self) -> list[str]:
        """Names of the files in the same folder, itself included."""
        try:
            with os.scandir(self.path.absolute().parent) as entries:
                return [entry.name for entry, _ in zip(entries, range(MAX_FILES), strict=False)]
        except OSError:  # a folder that may be entered, not listed: GDAL can't list it either
            return [self.file]

    def neighbour(self, file: str) -> LocalFile:
        """Return the file of this name in the same folder."""
        return LocalFile(self.path.with_name(file), f"{self.name}'s neighbour {file}")


@dataclass(frozen=True)
class Member:
    """A file in a zip that :mod:`.archives` has found sound."""

    archive: Path
    member: str
    name: str
    members: dict[str, zipfile.ZipInfo]
    """Of the whole archive, by name."""

    @property
    def file(self) -> str:
        """Its name without folders."""
        return PurePosixPath(self.member).name

    @property
    def size(self) -> int:
        """Its size, unpacked, as the archive says it [bytes]."""
        return self.members[self.member].file_size

    @property
    def opened(self) -> str:
        """GDAL's way to name it; braces, because the archive's own name may end in anything."""
        return f"/vsizip/{{{self.archive.absolute()}}}/{self.member}"

    def open(self) -> IO[bytes]:
        """Unpack it while it is read, never beyond the size that the archive says."""
        with zipfile.ZipFile(self.archive) as archive:
            return archive.open(self.members[self.member])

    def beside(self) -> list[str]:
        """Names of the files in the same folder of the archive, itself included."""
        folder = PurePosixPath(self.member).parent
        return [PurePosixPath(name).name for name in self.members if PurePosixPath(name).parent == folder]

    def neighbour(self, file: str) -> Member:
        """Return the file of this name in the same folder of the archive."""
        member = PurePosixPath(self.member).with_name(file).as_posix()
        return Member(self.archive, member, f"{self.name}'s neighbour {file}", self.members)
