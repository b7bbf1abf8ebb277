"""GeoPackages: a database may contain programs (views, virtual tables), which run when its tables are read.

OGC GeoPackage Encoding Standard 1.3 (OGC 12-128r17), sections 1.1.1.1.1 and 1.1.3.
"""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import quote

from dissmodel_lab.errors import SourceError, shown
from dissmodel_lab.language import message
from dissmodel_lab.sources.guards.held import LocalFile, Member

if TYPE_CHECKING:
    from dissmodel_lab.sources.guards.held import Held

#: A packed one is unpacked into memory to be looked at [bytes].
MAX_PACKED = 200_000_000
#: Looking at the tables' names takes milliseconds; a database that was made to take longer is refused [s].
LONGEST = 3.0
#: Indexes that GeoPackages and their extensions use; any other virtual table is a program.
_HARMLESS = re.compile(r"(?is)^\s*create\s+virtual\s+table\s.*\susing\s+[\"'`\[]?(rtree|fts3|fts4|fts5|geopoly)\b")


def feature_tables(held: Held) -> tuple[str, ...]:
    """
    Look through a GeoPackage, and list the layers that may be read when not all may.

    Parameters
    ----------
    held : Held
        A GeoPackage.

    Returns
    -------
    tuple of str
        Empty when all may; otherwise those that are tables: reading a view runs its query.

    Raises
    ------
    SourceError
        When it is damaged, no GeoPackage, or contains something that would run when it is opened.
    """
    deadline = time.monotonic() + LONGEST
    try:
        with closing(_connection(held)) as connection:
            connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
            return _checked_tables(connection, held.name)
    # SQLite decodes the texts of a damaged database, and says so in its own way
    except (sqlite3.Error, UnicodeDecodeError, MemoryError, OverflowError) as error:
        raise SourceError(
            message("{name} is a damaged GeoPackage ({error}). Get it again.", name=held.name, error=str(error)[:200])
        ) from error


def _connection(held: Held) -> sqlite3.Connection:
    if isinstance(held, LocalFile):
        # immutable: nothing is written beside it, and no journal beside it is read
        return sqlite3.connect(f"file:{quote(held.opened)}?mode=ro&immutable=1", uri=True)
    if held.size > MAX_PACKED or not isinstance(held, Member):
        raise SourceError(
            message(
                "{name} has {size:,} bytes; in a zip at most {max_packed:,} are read. Unpack it.",
                name=held.name,
                size=held.size,
                max_packed=MAX_PACKED,
            )
        )
    connection = sqlite3.connect(":memory:")
    with held.open() as file:
        connection.deserialize(file.read(MAX_PACKED))
    return connection


def _checked_tables(connection: sqlite3.Connection, name: str) -> tuple[str, ...]:
    connection.execute("PRAGMA trusted_schema = OFF")
    master = connection.execute("SELECT type, name, sql FROM sqlite_master LIMIT 100000").fetchall()
    kinds = {str(table).lower(): str(kind) for kind, table, _ in master if kind in {"table", "view"}}
    if "gpkg_contents" not in kinds:
        raise SourceError(
            message("{name} is an SQLite database, but no GeoPackage. Convert it: ogr2ogr NEW.gpkg FILE.", name=name)
        )
    for kind, table, sql in master:
        if kind == "view" and str(table).lower().startswith(("gpkg_", "rtree_", "sqlite_")):
            raise SourceError(
                message(
                    "{name} has a view {table} where a GeoPackage has a table: reading it runs its query. Convert "
                    "it where it was made: ogr2ogr NEW.gpkg FILE.",
                    name=name,
                    table=shown(str(table)),
                )
            )
        if kind == "table" and re.match(r"(?i)\s*create\s+virtual", str(sql)) and not _HARMLESS.match(str(sql)):
            raise SourceError(
                message(
                    "{name} has a virtual table {table}, which is a program and may read other files. Convert it "
                    "where it was made: ogr2ogr NEW.gpkg FILE.",
                    name=name,
                    table=shown(str(table)),
                )
            )
    layers = [
        str(row[0])
        for row in connection.execute("SELECT table_name FROM gpkg_contents WHERE data_type = 'features' LIMIT 10000")
    ]
    tables = tuple(layer for layer in layers if kinds.get(layer.lower()) == "table")
    has_views = any(kinds.get(layer.lower()) == "view" for layer in layers)
    for table in tables:
        _check_columns(connection, table, name)
    if not tables and has_views:
        raise SourceError(
            message(
                "{name} holds only views: reading one runs its query. Write it into a table: ogr2ogr NEW.gpkg FILE.",
                name=name,
            )
        )
    if not tables:
        raise SourceError(message("{name} holds no layer with geometries. Name a GeoPackage with one.", name=name))
    return tables if has_views else ()


def _check_columns(connection: sqlite3.Connection, table: str, name: str) -> None:
    quoted = table.replace('"', '""')
    if any(row[6] > 1 for row in connection.execute(f'PRAGMA table_xinfo("{quoted}")')):  # 2, 3: generated columns
        raise SourceError(
            message(
                "{name}: the layer {table} has computed columns: reading them runs a program. Write it anew: "
                "ogr2ogr NEW.gpkg FILE.",
                name=name,
                table=shown(table),
            )
        )
