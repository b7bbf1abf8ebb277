"""How far a file has come that is fetched in a cell, without a run."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import ipywidgets as w
from IPython.display import display

from dissmodel_lab.executor.events import Fetching
from dissmodel_lab.language import in_language
from dissmodel_lab.progress import Progress
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.views.markup import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def fetch_bar() -> Iterator[Callable[[str, int, int | None], None]]:
    """
    Show a bar while something is fetched; what was fetched is told by the cell's text afterwards.

    Yields
    ------
    callable
        To be called with name, bytes done and bytes in all.

    Examples
    --------
    >>> with fetch_bar() as progress:
    ...     progress("dem.tif", 3, 12)
    HBox(...)
    """
    bar = w.FloatProgress(min=0.0, max=1.0, layout=w.Layout(width="300px"))
    said = w.HTML()
    box = w.HBox([bar, said])
    box.add_class("dl-fetch")
    shown = display(box, display_id=True)

    def tell(name: str, done: int, total: int | None) -> None:
        with box.hold_sync():
            bar.value = min(1.0, done / total) if total else 1.0
            bar.bar_style = "" if total else "info"
            text = Progress(fetching=Fetching(name, done, total)).fetch_text()
            said.value = escape(redact_text(in_language(text)))

    try:
        yield tell
    finally:
        box.close()
        if shown is not None:
            shown.update({"text/plain": ""}, raw=True)
