"""The TOML file of a form: read from an upload, kept below what is saved, written whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissmodel_lab.errors import ParameterError
from dissmodel_lab.language import message
from dissmodel_lab.parameters import ModelSpec
from dissmodel_lab.plain import cut
from dissmodel_lab.store import write_atomic
from dissmodel_lab.views.form.fields import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping


def path_of(text: str | Path) -> Path:
    """
    Return a path as a person types it, with ``~`` for the home folder.

    Raises
    ------
    ParameterError
        When no file can be called so.

    Examples
    --------
    >>> path_of("a.toml").name
    'a.toml'
    """
    try:
        path = Path(text).expanduser()
        path.exists()  # raises when the name is too long for this file system
        os.fsencode(path)
        if "\0" in str(path):
            raise ValueError("it holds a NUL character")  # noqa: TRY301 -- one message for all of them
    except OSError as error:
        raise _no_path(text, error.strerror or str(error)) from error
    except (ValueError, RuntimeError) as error:
        raise _no_path(text, str(error).rstrip(".")) from error
    return path


def _no_path(text: str | Path, why: str) -> ParameterError:
    return ParameterError(message("{text!r} is no path: {why}.", text=cut(str(text), 80), why=why))


def text_to_keep(target: Path, model_name: str) -> str:
    """
    Return the text of the file that will be saved to, so that its comments can be kept.

    Parameters
    ----------
    target : Path
        It need not exist.
    model_name : str
        Whose parameters will be saved.

    Returns
    -------
    str
        Empty when there is no such file, or nothing is in it.

    Raises
    ------
    ParameterError
        When the file is not TOML, or holds something else than this model's parameters.

    Examples
    --------
    >>> from pathlib import Path
    >>> text_to_keep(Path("no such file.toml"), "flood")
    ''
    """
    if not target.exists():
        return ""
    existing = ModelSpec.from_path(target)
    if existing.text.strip() and "model" not in existing.document:
        raise ParameterError(
            message("Not saved: {path!r} has no table [model]. Choose another file.", path=str(target))
        )
    if existing.model not in ("", model_name):
        raise ParameterError(
            message(
                "Not saved: {path!r} belongs to the model {owner!r}, not to {model!r}. Choose another file.",
                path=str(target),
                owner=existing.model,
                model=model_name,
            )
        )
    return existing.text


def uploaded_spec(file: Mapping[str, Any]) -> ModelSpec:
    """
    Read what a browser uploaded.

    Parameters
    ----------
    file : mapping
        ``name`` and ``content`` (bytes), as ``ipywidgets.FileUpload`` gives them.

    Raises
    ------
    ParameterError
        When it is not UTF-8 text or not TOML (with line and column).

    Examples
    --------
    >>> uploaded_spec({"name": "a.toml", "content": b"years = 5"}).parameters
    {'years': 5}
    """
    name = one_line(file["name"])
    try:
        text = bytes(file["content"]).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ParameterError(
            message(
                "The TOML file {name!r} is not UTF-8 text (byte {at}). TOML is always UTF-8.",
                name=name,
                at=error.start,
            )
        ) from error
    return ModelSpec.from_text(text, origin=message("The TOML file {name!r}", name=name))


def write_whole(target: Path, text: str) -> None:
    """
    Write a file, or replace it in one step, so that nobody ever reads half of it.

    Parameters
    ----------
    target : Path
        A link stays a link, and a file keeps its permissions.
    text : str
        The whole content.

    Raises
    ------
    ParameterError
        When it cannot be written; an existing file is as it was.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> target = Path(mkdtemp()) / "a.toml"
    >>> write_whole(target, "years = 5")
    >>> target.read_text(encoding="utf-8")
    'years = 5'
    """
    try:
        real = target.resolve()
        mode = real.stat().st_mode if real.exists() else None
        write_atomic(real, text.encode())
        if mode is not None:
            real.chmod(mode)
    except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError in Python 3.11 and 3.12
        reason = getattr(error, "strerror", None) or error
        raise ParameterError(
            message(
                "Not saved: {path!r} cannot be written: {why}. Choose another place.", path=str(target), why=reason
            )
        ) from error
