"""Where runs are kept: a folder each, with its record, its journal and its output.

The folders are the truth. They are made so that a run can be killed at any moment: the record is on
disk, whole, from before the first phase on, and is only ever replaced in one step::

    files       names, and files that are written in one step
    readers     very many files, read by several processes
    reading     a file -> a record, or why it is none; is a run's process still there
    run_folder  the folder of one run, while it runs
    tidying     what processes that are gone were about to write, removed
    waiting     what runs and what is queued, in its order
    run_store   a folder of runs: begin, end, find, select
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissmodel_lab.index import LOST, RECORD_NAME, UNREADABLE
from dissmodel_lab.lazily import loaded_when_used
from dissmodel_lab.store.files import JOURNAL_NAME, record_line, safe_name, write_atomic
from dissmodel_lab.store.run_store import STORE_VARIABLE, RunStore

if TYPE_CHECKING:
    from dissmodel_lab.store.reading import read_record
    from dissmodel_lab.store.run_folder import RunFolder

__all__ = [  # noqa: RUF022 -- in the order of sorted(), as in the other packages
    "JOURNAL_NAME",
    "LOST",
    "RECORD_NAME",
    "RunFolder",
    "RunStore",
    "STORE_VARIABLE",
    "UNREADABLE",
    "read_record",
    "record_line",
    "safe_name",
    "write_atomic",
]

# They load pydantic, and a listing does without: it is the first thing that a person waits for in a terminal.
_LATER = {"RunFolder": "run_folder", "read_record": "reading"}

__getattr__ = loaded_when_used(__name__, _LATER)
