"""The database's tables, and how it is opened: WAL with synchronous=FULL, asserted, for nothing less keeps a 250.

`items_waiting` holds all that a release asks for, so that neither taking the next items, nor looking when something
is due, nor the age of the oldest reads an item's own row. `items_stopped` costs nothing while nothing is stopped.
Pages of 4 KiB and incremental vacuum were as fast as any other in measurements; the latter gives space back.

Version 1 had no seals (rows.py): they are made when such a spool is opened.
"""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path

import apsw

from restante.spool.spool import SpoolUnusable
from restante.store.disk import Disk
from restante.store.rows import rows_of_ids, seal

VERSION = 2
APPLICATION = 0x72737431  # "rst1"
DATABASE = "spool.db"
PAGE = 4096
"""Octets of a page. With larger ones the commits of few messages, which are most, write more."""
CHECKPOINT_PAGES = 4000
STATEMENTS = 300
"""Prepared ones that are kept: an INSERT for each number of rows among them (rows.insert())."""
MOST_WAL_LEFT = 64 * 1024 * 1024

TABLES = """
CREATE TABLE messages (
    id INTEGER PRIMARY KEY, size INTEGER NOT NULL, digest BLOB NOT NULL, arrived REAL NOT NULL,
    content BLOB  -- NULL: in a file of its own
) STRICT;
CREATE TABLE items (  -- an item's id is its message's, shifted, and its number
    id INTEGER PRIMARY KEY, domain TEXT NOT NULL, envelope BLOB NOT NULL, size INTEGER NOT NULL,
    arrived REAL NOT NULL, rank INTEGER NOT NULL, state INTEGER NOT NULL, attempts INTEGER NOT NULL,
    next_attempt REAL NOT NULL, detail TEXT NOT NULL{seal}
) STRICT;
CREATE INDEX items_waiting ON items (domain, rank, id, size, next_attempt, arrived) WHERE state = 0;
CREATE INDEX items_stopped ON items (state, domain) WHERE state <> 0;
CREATE TABLE counters (
    domain TEXT PRIMARY KEY, items INTEGER NOT NULL, octets INTEGER NOT NULL, oldest REAL NOT NULL
) STRICT, WITHOUT ROWID;
"""
VERSION_1 = TABLES.replace("{seal}", "")
VERSION_2 = TABLES.replace("{seal}", ", seal BLOB NOT NULL")
ADD_SEAL = "ALTER TABLE items ADD COLUMN seal BLOB NOT NULL DEFAULT x''"
_SCHEMA = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name"
_UNSEALED = "SELECT id FROM items NOT INDEXED WHERE id > ? ORDER BY id LIMIT 1000"


def open_database(disk: Disk, folder: Path) -> apsw.Connection:
    """The connection that writes; makes the database where there is none.

    Raises SpoolUnusable for settings that would lose mail and for a newer version; apsw.Error for all else.
    """
    connection = apsw.Connection(str(folder / DATABASE), vfs=disk.vfs, statementcachesize=STATEMENTS)
    try:
        connection.set_busy_timeout(5000)
        _settle_in(connection)
        _make_tables(connection)
        _assert_schema(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def open_for_reading(disk: Disk, folder: Path) -> apsw.Connection:
    """A second connection, which cannot write."""
    connection = apsw.Connection(str(folder / DATABASE), vfs=disk.vfs, flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(5000)
    for pragma in ("query_only = 1", "cell_size_check = 1", "cache_size = -32768", "temp_store = MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _settle_in(connection: apsw.Connection) -> None:
    for pragma in (f"page_size = {PAGE}", "auto_vacuum = INCREMENTAL"):  # heeded only while the database is empty
        connection.execute(f"PRAGMA {pragma}")
    journal = connection.pragma("journal_mode", "wal")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cell_size_check = 1")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA cache_size = -65536")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {MOST_WAL_LEFT}")
    assert_safe(str(journal), int(str(connection.pragma("synchronous"))))


def assert_safe(journal: str, synchronous: int) -> None:
    """Refuses every setting but the one that keeps what was acknowledged. Raises SpoolUnusable."""
    if journal.lower() != "wal" or synchronous != 2:
        raise SpoolUnusable(
            f"the spool needs journal_mode=wal and synchronous=2 (full) to keep what it has acknowledged;"
            f" this system gives {journal} and {synchronous}"
        )


def _make_tables(connection: apsw.Connection) -> None:
    version = int(str(connection.pragma("user_version")))
    if version == VERSION:
        return
    if version > VERSION:
        raise SpoolUnusable(
            f"the spool was written by a newer restante (version {version} of its tables; this one knows {VERSION})"
        )
    with connection:
        if version == 1:
            _add_seals(connection)
        else:
            connection.execute(VERSION_2)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")


def _add_seals(connection: apsw.Connection) -> None:
    """From version 1 to 2. A row that cannot be read gets no seal, and is found to be damaged later."""
    connection.execute(ADD_SEAL)
    after = 0
    while ids := [row[0] for row in connection.execute(_UNSEALED, (after,))]:
        after = ids[-1]
        rows = [row for _, row in rows_of_ids(connection, ids) if row is not None]
        seals = [(seal(*row[:10]), row[0]) for row in rows]
        connection.executemany("UPDATE items SET seal = ? WHERE id = ?", seals)


def _assert_schema(connection: apsw.Connection) -> None:
    """Refuses tables that are not as this program has made them. Raises SpoolUnusable."""
    found = connection.execute(_SCHEMA).fetchall()
    if connection.pragma("application_id") != APPLICATION or found not in (
        _made(VERSION_2),
        _made(VERSION_1, ADD_SEAL),
    ):
        raise SpoolUnusable("the database is damaged, or not of this program: its tables have another form")


@functools.cache
def _made(*statements: str) -> list[apsw.SQLiteValues]:
    with contextlib.closing(apsw.Connection(":memory:")) as connection:
        for statement in statements:
            connection.execute(statement)
        return connection.execute(_SCHEMA).fetchall()
