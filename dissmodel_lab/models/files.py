"""Where the built-in models put files: sample inputs, written once, and the output of a run."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from dissmodel_lab.executor import DataSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from dissmodel_lab.executor import ExperimentRecord


def write_once(path: Path, write: Callable[[Path], None]) -> DataSource:
    """
    Provide a sample file; a file that is there is left as it is.

    Parameters
    ----------
    path : Path
        Where the file is to stand; its folder is made.
    write : callable
        Writes the file to the path that it gets, beside the final one, so that nobody ever finds half
        a file.

    Examples
    --------
    >>> folder = Path(tempfile.mkdtemp())
    >>> source = write_once(folder / "note.txt", lambda path: path.write_text("first") and None)
    >>> source = write_once(folder / "note.txt", lambda path: path.write_text("second") and None)
    >>> Path(source.uri).read_text()
    'first'
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".sample-") as folder:
            write(Path(folder, path.name))
            os.replace(Path(folder, path.name), path)  # noqa: PTH105 -- the call that is documented as atomic
    return DataSource(type="local", uri=str(path))


def output_path(record: ExperimentRecord) -> Path:
    """
    Return where ``save`` is to write.

    Raises
    ------
    ValueError
        When no output path is set: the lab chooses one, a lifecycle on its own does not.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> output_path(ExperimentRecord(output_path="out/flood.tif")).as_posix()
    'out/flood.tif'
    """
    if not record.output_path:
        raise ValueError(
            "The record has no output_path, so there is nowhere to save. Set record.output_path, for example "
            "to 'out/result.tif', or run the model with dissmodel_lab.run(), which chooses one."
        )
    return Path(record.output_path)
