"""The whole state of a store's index as plain values: two that say the same are equal, however they came about."""

from __future__ import annotations

from dissmodel_lab.index.rows import _COLUMNS
from dissmodel_lab.index.tables import database

RUNS = (
    f"SELECT f.path, r.place, {', '.join(f'r.{name}' for name in _COLUMNS)} "
    "FROM runs AS r JOIN folders AS f ON f.n = r.parent"
)
FACTS = (
    "SELECT f.path, r.place, names.kind, names.name, typeof(facts.value), facts.value FROM facts "
    "JOIN runs AS r ON r.n = facts.run JOIN folders AS f ON f.n = r.parent JOIN names ON names.n = facts.name"
)
TAGS = (
    "SELECT f.path, r.place, tags.rank, tags.tag FROM tags "
    "JOIN runs AS r ON r.n = tags.run JOIN folders AS f ON f.n = r.parent"
)
FOLDERS = "SELECT f.path, above.path FROM folders AS f LEFT JOIN folders AS above ON above.n = f.parent"


def state(root):
    """Return all rows of an index, sorted, without the numbers that say only in which order they came."""
    with database(root) as opened:
        found = {}
        for name, sql in {"runs": RUNS, "facts": FACTS, "tags": TAGS, "folders": FOLDERS}.items():
            found[name] = sorted(opened.connection.execute(sql).fetchall(), key=repr)
        orphans = "SELECT count(*) FROM {} WHERE run NOT IN (SELECT n FROM runs)"
        for table in ("facts", "tags"):
            assert opened.connection.execute(orphans.format(table)).fetchone() == (0,)
        assert opened.connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return found
