"""A cache of the record files in SQLite, so that a listing need not read every record again.

The files are the truth: losing the index loses nothing, and whatever is wrong with it (an older version, a damaged
file, a full disk, a file system without locks) is mended by filling a new one, in the store or in memory. The flow,
one module a step::

    entries    what a listing says, and what can be asked
    summaries  a record -> one line, and the parameters and metrics that can be asked for
    mounts     may SQLite's locks be trusted in that folder
    tables     the tables, and who holds them open
    rows       rows are written, kept equal to the files, removed
    scan       what changed in the folders since the last look
    queries    a query -> SQL with bound values
    run_index  all of it together, for one store
"""

from __future__ import annotations

from dissmodel_lab.index.entries import LOST, RECORD_NAME, UNREADABLE, Reindexed, RunEntry, RunQuery
from dissmodel_lab.index.run_index import RunIndex
from dissmodel_lab.index.tables import INDEX_NAME

__all__ = [  # noqa: RUF022 -- in the order of sorted(), as in the other packages
    "INDEX_NAME",
    "LOST",
    "RECORD_NAME",
    "Reindexed",
    "RunEntry",
    "RunIndex",
    "RunQuery",
    "UNREADABLE",
]
