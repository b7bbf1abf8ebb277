"""One file from a server to the disk, whatever happens on the way: cut, resumed, begun again, cancelled, killed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import hashlib
import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from dissmodel_lab.errors import SourceError
from dissmodel_lab.language import message
from dissmodel_lab.sources.answers import Answer, Facts, PassingError, page_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from dissmodel_lab.sources.addresses import Address

T = TypeVar("T")

TRIES, TRIES_SILENT = 4, 2
"""How often a server is asked without any progress, and how often one that says nothing."""
_MOST_TRIES = 100
PAUSE = 0.5
"""Before the second try [s]; twice as long before each further one."""
_LOOK = 0.05
TELL_INTERVAL = 0.2
"""How often progress is told at most [s]."""
_ROOM_EVERY = 64 * 1024 * 1024
_BLOCK = 1024 * 1024
RESERVE = 32 * 1024 * 1024
"""How much of the disk is left free [bytes]."""


class Reader(Protocol):
    """Opens one file of a server from any byte on."""

    @property
    def address(self) -> Address:
        """Where it lies."""

    def open(
        self, start: int = 0, known: Facts | None = None, *, is_check: bool = False
    ) -> AbstractAsyncContextManager[Answer]:
        """Ask for it."""


class Arrived(NamedTuple):
    """A file that is here, whole."""

    facts: Facts
    sha256: str
    bytes: int


class Tally:
    """
    How many bytes have come, of how many, over all files of a source.

    Examples
    --------
    >>> tally = Tally("x.tif")
    >>> tally.expect(10)
    >>> tally.add(4)
    >>> tally.done, tally.total
    (4, 10)
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.done = 0
        self.total: int | None = None
        self._is_vague = False

    def expect(self, count: int | None) -> None:
        """Add to what will come [bytes]; None says that nobody knows."""
        self._is_vague = self._is_vague or count is None
        self.total = None if self._is_vague else (self.total or 0) + (count or 0)

    def add(self, count: int) -> None:
        """Add to what has come [bytes]; less than nothing when a file begins again."""
        self.done += count


class Download:
    """
    One file on its way into a part, which a later download of the same file goes on with.

    Parameters
    ----------
    reader : Reader
        Opens it.
    part : Path
        What has come until now; what the server said of it lies beside it.
    tally : Tally
        Is told of every byte.
    room : callable
        Is called with a number of bytes that are still to come, and raises when they have no room.
    is_counted : bool
        The tally expects the file's size already.
    """

    def __init__(
        self, reader: Reader, part: Path, tally: Tally, room: Callable[[int], None], *, is_counted: bool = False
    ) -> None:
        self._reader = reader
        self._part = part
        self._tally = tally
        self._room = room
        self._is_counted = is_counted
        self._digest = hashlib.sha256()
        self._size = 0
        self._facts: Facts | None = None

    async def run(self, known: Facts | None = None) -> Arrived | None:
        """
        Bring the file here.

        Parameters
        ----------
        known : Facts, optional
            What the server said when a copy was taken that is still here.

        Returns
        -------
        Arrived or None
            None when that copy is still what the server has.

        Raises
        ------
        SourceError
            With what is wrong and what to do.
        PassingError
            When the server cannot be reached at all.
        """
        if known is None:
            self._take_up()
        tries, best = 0, self._size
        for count in range(_MOST_TRIES):
            try:
                arrived, is_unchanged = await self._once(known)
            except PassingError as error:
                if self._size > best:
                    tries, best = 0, self._size
                tries += 1
                allowed = TRIES_SILENT if error.is_unreachable or "sent nothing" in str(error) else TRIES
                if tries >= allowed or count == _MOST_TRIES - 1:
                    raise self._given_up(error, count + 1) from error
                await asyncio.sleep(max(error.wait, PAUSE * 2 ** (tries - 1)))
                continue
            if arrived is not None or is_unchanged:
                return arrived
            tries += 1  # the file has changed meanwhile, or the server sent another part: from its first byte on
            if tries > TRIES:
                break
        raise SourceError(
            message(
                "The input '{text}' cannot be fetched: it changes all the time, or its server sends other parts "
                "than it is asked for. Try again later.",
                text=self._reader.address.text,
            )
        )

    async def _once(self, known: Facts | None) -> tuple[Arrived | None, bool]:
        is_check = known is not None and self._size == 0
        async with self._reader.open(self._size, known if is_check else self._facts, is_check=is_check) as answer:
            if answer.is_unchanged:
                return None, True
            if answer.start < 0:
                self._begin_again()
                return None, False
            if answer.start != self._size:
                self._begin_again()
            self._note(answer.facts)
            if answer.facts.total is not None:
                self._room(answer.facts.total - self._size)
            await self._receive(answer)
        total = answer.facts.total
        if total is not None and self._size < total:
            raise PassingError(message("the connection was cut"))
        if total is not None and self._size > total:
            raise PassingError(message("more came than it said"))
        if self._size == 0:
            raise SourceError(
                message("The input '{text}' is empty (0 bytes). Check the address.", text=self._reader.address.text)
            )
        return Arrived(answer.facts, self._digest.hexdigest(), self._size), False

    async def _receive(self, answer: Answer) -> None:
        assert answer.chunks is not None  # for the type checker: only an unchanged file has none
        self._part.parent.mkdir(parents=True, exist_ok=True)
        looked = self._size
        try:
            with self._part.open("ab") as file:
                try:
                    async for chunk in answer.chunks:
                        if self._size == 0:
                            self._refuse_page(answer.facts, chunk)
                        file.write(chunk)
                        self._digest.update(chunk)
                        self._size += len(chunk)
                        self._tally.add(len(chunk))
                        if answer.facts.total is not None and self._size > answer.facts.total:
                            break  # it may never end
                        if answer.facts.total is None and self._size - looked > _ROOM_EVERY:
                            looked = self._size
                            self._room(_ROOM_EVERY)
                finally:
                    file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise SourceError(
                message(
                    "The input '{text}' cannot be kept in {parent!r}: {strerror}, after {size:,} bytes. Make room, "
                    "or set DISSMODEL_LAB_CACHE to another folder.",
                    text=self._reader.address.text,
                    parent=str(self._part.parent),
                    strerror=error.strerror or error,
                    size=self._size,
                )
            ) from error

    def _refuse_page(self, facts: Facts, chunk: bytes) -> None:
        if problem := page_problem(self._reader.address, facts.content_type, chunk[:2048]):
            raise SourceError(problem)

    def _note(self, facts: Facts) -> None:
        """Write down what the server says, before the first byte: a killed download goes on with it."""
        if not self._is_counted:
            self._tally.expect(facts.total)
            self._is_counted = True
        if self._facts is None or (self._facts.tag, self._facts.total) != (facts.tag, facts.total):
            self._part.parent.mkdir(parents=True, exist_ok=True)
            said = {"etag": facts.etag, "modified": facts.modified, "total": facts.total, "name": facts.name}
            _facts_path(self._part).write_text(json.dumps(said), encoding="utf-8")
        self._facts = facts

    def _take_up(self) -> None:
        """Go on with what an earlier attempt left, when the server can tell whether it is the same file still."""
        facts = _read_facts(self._part)
        if facts is None or not facts.tag:
            self._begin_again()
            return
        try:
            with self._part.open("rb") as file:
                while block := file.read(_BLOCK):
                    self._digest.update(block)
                    self._size += len(block)
        except OSError:
            self._begin_again()
            return
        if facts.total is not None and self._size >= facts.total:  # whole, or too much: one byte tells nothing
            self._begin_again()
            return
        self._facts = facts if self._size else None
        self._tally.add(self._size)

    def _begin_again(self) -> None:
        self._tally.add(-self._size if self._size else 0)
        self._size, self._digest, self._facts = 0, hashlib.sha256(), None
        for path in (self._part, _facts_path(self._part)):
            with suppress(OSError):
                path.unlink()

    def _given_up(self, error: PassingError, count: int) -> Exception:
        text = str(error)
        if error.is_unreachable or text.startswith("The input"):
            return PassingError(text, is_unreachable=error.is_unreachable)
        of = (
            message(" of {total:,}", total=self._facts.total)
            if self._facts is not None and self._facts.total is not None
            else ""
        )
        kept = (
            message("What came is kept: try again to go on from there.")
            if self._facts and self._facts.tag
            else message("Try again.")
        )
        return SourceError(
            message(
                "The input '{text}' cannot be fetched: {text_2}, {count} times; {size:,}{of} bytes came. {kept}",
                text=self._reader.address.text,
                text_2=text,
                count=count,
                size=self._size,
                of=of,
                kept=kept,
            )
        )


def _facts_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_facts(part: Path) -> Facts | None:
    try:
        said = json.loads(_facts_path(part).read_bytes())
        total = said["total"]
        return Facts(
            str(said["etag"]), str(said["modified"]), int(total) if total is not None else None, name=said["name"]
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def waited(
    work: Coroutine[Any, Any, T],
    *,
    tally: Tally | None = None,
    progress: Callable[[str, int, int | None], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> T:
    """
    Do network work on fsspec's thread, and wait for it: progress is told and a cancel heard on this one.

    Parameters
    ----------
    work : coroutine
        What is to be done.
    tally : Tally, optional
        What progress is told of.
    progress : callable, optional
        Is called with name, bytes done and bytes in all (None when not known), at most five times a second and at
        the end.
    cancelled : callable, optional
        Is asked twenty times a second; it may raise itself.

    Raises
    ------
    KeyboardInterrupt
        When it was cancelled.
    BaseException
        Whatever the work raises.

    Examples
    --------
    >>> async def work():
    ...     return 3
    >>> waited(work())
    3
    """
    from fsspec.asyn import get_loop  # type: ignore[import-untyped]  # noqa: PLC0415 -- only for what is fetched

    future = asyncio.run_coroutine_threadsafe(work, get_loop())
    told: tuple[int, int | None] = (0, None)
    next_time = 0.0
    try:
        while not concurrent.futures.wait([future], timeout=_LOOK).done:
            if cancelled is not None and cancelled():
                raise KeyboardInterrupt(message("cancelled while the input was fetched"))  # noqa: TRY301 -- the way out of the wait
            now = (tally.done, tally.total) if tally is not None else told
            if progress is not None and tally is not None and now != told and time.monotonic() >= next_time:
                told, next_time = now, time.monotonic() + TELL_INTERVAL
                progress(tally.name, *now)
    except BaseException:
        future.cancel()
        concurrent.futures.wait([future], timeout=1)
        raise
    result = future.result()
    if progress is not None and tally is not None and tally.done:
        progress(tally.name, tally.done, tally.total if tally.total is not None else tally.done)
    return result
