"""Tags and notes that people add to a run afterwards. The record itself never changes.

One JSON line a change, only ever appended, in a file beside the record::

    {"at": "2026-11-23T12:00:00+00:00", "by": "ana", "tags": ["paper"], "untag": [], "note": "Figure 3."}

What holds is what all lines, read in order, come to. Many processes may write at once: each line is one write
to a file that is open for appending, which a local file system keeps whole. A line that was cut off, or that
others wrote, is left out and counted.
"""

from __future__ import annotations

import errno
import getpass
import json
import os
import stat
import unicodedata
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dissmodel_lab.errors import LabError, OutputError, did_you_mean
from dissmodel_lab.executor.schemas import utc_now
from dissmodel_lab.language import message
from dissmodel_lab.redaction import redact_text

if TYPE_CHECKING:
    from collections.abc import Iterable

ANNOTATIONS_NAME = "annotations.jsonl"
_RECORD_NAME = "record.json"
_LONGEST_TAG = 50
_MOST_TAGS = 50
"""Tags in one change."""
_LONGEST_NOTE = 4_000
"""[characters]"""
_MOST_BYTES = 4 * 1024 * 1024
"""How much of a file is read [bytes]: thousands of changes; what stands behind it counts as one line left out."""
# A file of this name may be a link to another one, or a pipe that nobody reads: neither is opened.
_CAREFUL = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))


class Note(NamedTuple):
    """What a person wrote of a run."""

    text: str
    author: str
    """The user's name on the machine; empty where it has none."""
    at: datetime
    """When, in UTC."""


class Annotations(NamedTuple):
    """What people added to a run."""

    tags: tuple[str, ...] = ()
    """In the order in which they were added."""
    notes: tuple[Note, ...] = ()
    """The oldest first."""
    n_skipped: int = 0
    """Lines that were cut off or are no annotation."""


def annotations_path(record_path: str | Path) -> Path:
    """
    Return where the annotations of a record lie.

    Examples
    --------
    >>> annotations_path("experiments/2026-flood/record.json").as_posix()
    'experiments/2026-flood/annotations.jsonl'
    >>> annotations_path("out/flood.tif.record.json").name
    'flood.tif.record.annotations.jsonl'
    """
    path = Path(record_path)
    return path.with_name(ANNOTATIONS_NAME if path.name == _RECORD_NAME else f"{path.stem}.{ANNOTATIONS_NAME}")


def annotate(
    record_path: str | Path, *, tags: Iterable[str] = (), untag: Iterable[str] = (), note: str = ""
) -> Annotations:
    """
    Add tags and a note to a run, or take tags away.

    Parameters
    ----------
    record_path : str or Path
        The run's record; it is not changed.
    tags, untag : iterable of str
        Each 1 to 50 printable characters without a comma.
    note : str
        At most 4,000 characters. Secrets are hidden.

    Returns
    -------
    Annotations
        What now holds.

    Raises
    ------
    LabError
        When there is nothing to add, a tag or note is not allowed, or a tag to take away is not there.
    OutputError
        When there is no such record, or the file beside it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> record = Path(tempfile.mkdtemp(), "record.json")
    >>> record.write_text("{}")
    2
    >>> annotate(record, tags=["paper", "draft"], note="Figure 3.").tags
    ('paper', 'draft')
    >>> annotate(record, untag=["draft"]).tags
    ('paper',)
    """
    added, taken = _checked(tags, "tags"), _checked(untag, "untag")
    text = _checked_note(note)
    if not (added or taken or text):
        raise LabError(message("There is nothing to add to the run. Give a tag or a note."))
    twice = [tag for tag in added if tag in taken]
    if twice:
        raise LabError(
            message("The tag {twice!r} is to be added and taken away at once. Leave one out.", twice=twice[0])
        )
    path = annotations_path(record_path)
    if not Path(record_path).is_file():
        raise OutputError(
            message(
                "There is no record {record_path!r} to annotate. See the runs with: runs.",
                record_path=str(record_path),
            )
        )
    before = read_annotations(record_path)
    for tag in taken:
        if tag not in before.tags:
            raise LabError(
                message(
                    "The run has no tag {tag!r}. {did_you_mean}", tag=tag, did_you_mean=did_you_mean(tag, before.tags)
                )
            )
    change = {"at": utc_now().isoformat(), "by": _author(), "tags": added, "untag": taken, "note": text}
    try:
        _append(path, json.dumps(change, ensure_ascii=False).encode())
    except OSError as error:
        raise OutputError(_unwritable(path, error)) from error
    return read_annotations(record_path)


def read_annotations(record_path: str | Path) -> Annotations:
    """
    Read what people added to a run; nothing is an error here, because a listing must not stop at it.

    Parameters
    ----------
    record_path : str or Path
        The run's record.

    Examples
    --------
    >>> read_annotations("no/such/record.json")
    Annotations(tags=(), notes=(), n_skipped=0)
    """
    content = _content(annotations_path(record_path))
    tags: dict[str, None] = {}
    notes: list[Note] = []
    n_skipped = 0
    for line in content.split(b"\n"):
        if not line.strip():
            continue
        change = _change(line)
        if change is None:
            n_skipped += 1
            continue
        added, taken, note = change
        tags |= dict.fromkeys(added)
        for tag in taken:
            tags.pop(tag, None)
        if note is not None:
            notes.append(note)
    return Annotations(tuple(tags), tuple(notes), n_skipped)


def checked_tag(tag: Any) -> str:
    """
    Return a tag as it is kept; secrets in it are hidden.

    Raises
    ------
    LabError
        When it cannot be one.

    Examples
    --------
    >>> checked_tag(" paper ")
    'paper'
    >>> checked_tag("a, b")
    Traceback (most recent call last):
    dissmodel_lab.errors.LabError: A tag cannot hold a comma, got 'a, b'. Give two tags.
    """
    if not isinstance(tag, str):
        raise LabError(message("A tag is a text, got {tag!r:.80} of type {kind}.", tag=tag, kind=type(tag).__name__))
    kept = redact_text(unicodedata.normalize("NFC", tag.strip()))
    if "," in kept:
        raise LabError(message("A tag cannot hold a comma, got {tag!r:.80}. Give two tags.", tag=tag))
    if not 1 <= len(kept) <= _LONGEST_TAG or not kept.isprintable():
        raise LabError(
            message(
                "A tag has 1 to {longest_tag} letters, digits and other visible signs on one line, got {tag!r:.80}.",
                longest_tag=_LONGEST_TAG,
                tag=tag,
            )
        )
    return kept


def _checked(tags: Iterable[str], name: str) -> list[str]:
    if isinstance(tags, str):
        raise LabError(
            message(
                "{name} is a list of tags, got the text {tags!r:.80}. Write [{tags!r:.80}].", name=name, tags=tags
            )
        )
    checked = list(dict.fromkeys(map(checked_tag, tags)))
    if len(checked) > _MOST_TAGS:
        raise LabError(
            message(
                "{n_checked:,} tags at once are too many; {most_tags} are allowed.",
                n_checked=len(checked),
                most_tags=_MOST_TAGS,
            )
        )
    return checked


def _checked_note(note: Any) -> str:
    if not isinstance(note, str):
        raise LabError(
            message("A note is a text, got {note!r:.80} of type {kind}.", note=note, kind=type(note).__name__)
        )
    kept = redact_text(note.strip())
    if len(kept) > _LONGEST_NOTE:
        raise LabError(
            message(
                "The note is {n_kept:,} characters long; {longest_note:,} are allowed. Keep a longer text in a "
                "file of its own and name it in the note.",
                n_kept=len(kept),
                longest_note=_LONGEST_NOTE,
            )
        )
    if any(not (sign.isprintable() or sign in "\n\t") for sign in kept):
        raise LabError(
            message("The note holds signs that cannot be shown. Write letters, digits and other visible signs.")
        )
    return kept


def _author() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return ""
    return name[:100] if name.isprintable() else ""


def _append(path: Path, line: bytes) -> None:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _CAREFUL, 0o666)
    try:
        facts = os.fstat(file)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, message("it is no ordinary file"))
        # A line that a kill or a full disk has cut off must not take this one with it.
        is_open = facts.st_size > 0 and os.lseek(file, -1, os.SEEK_END) >= 0 and os.read(file, 1) != b"\n"
        whole = (b"\n" if is_open else b"") + line + b"\n"
        if os.write(file, whole) != len(whole):  # in one piece: lines of others must not come between
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file)
    finally:
        os.close(file)


def _unwritable(path: Path, error: OSError) -> str:
    is_link = error.errno == errno.ELOOP
    reason = message("it is a link, and is not followed") if is_link else error.strerror or str(error)
    return message(
        "The annotation cannot be kept in {path!r}: {reason}. Nothing was changed. Make the run's folder "
        "writable, or copy the run into a store of your own.",
        path=str(path),
        reason=reason,
    )


def _content(path: Path) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY | _CAREFUL)
    except (OSError, ValueError):  # none was ever written, or it cannot be read
        return b""
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return b""
        with os.fdopen(file, "rb", closefd=False) as opened:
            return opened.read(_MOST_BYTES)
    except OSError:
        return b""
    finally:
        os.close(file)


def _change(line: bytes) -> tuple[list[str], list[str], Note | None] | None:
    """Read a line; None when it is no annotation: anybody can write into the file."""
    try:
        said = json.loads(line)
        at, by, text = datetime.fromisoformat(said["at"]), said.get("by", ""), _checked_note(said.get("note", ""))
        added, taken = (_checked(said.get(name, []), name) for name in ("tags", "untag"))
        moment = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError, LabError):
        return None
    if not isinstance(by, str) or not by.isprintable():
        return None
    return added, taken, Note(text, by[:100], moment) if text else None
