"""A new database from all that can still be read of one that SQLite calls corrupt.

Rows are read without any index, in order of ids from both ends: what lies behind a page that cannot be read is reached
from the other side. The old files are kept beside the new one, as `spool.db.damaged` and its log, for people to see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import apsw

from restante.store.counters import Counters
from restante.store.disk import Disk
from restante.store.rows import COLUMNS, Row, fetch
from restante.store.schema import DATABASE, open_database
from restante.store.transaction import Transaction

DAMAGED = DATABASE + ".damaged"
WORKSHOP = "rebuilding"
FIELDS = {"messages": "id, size, digest, arrived, content", "items": COLUMNS}


def rebuild(folder: Path, disk: Disk, commits: int) -> str:
    """Puts a new database in the place of the damaged one; what was done, in words, "" if nothing of it can be read.

    `commits` are those in the life of the spool. Raises OSError, apsw.Error.
    """
    workshop = folder / WORKSHOP
    disk.make_folder(workshop)
    for name in disk.names(workshop):
        disk.unlink(workshop / name)
    new = open_database(disk, workshop)
    try:
        with new:
            read = {table: _copy(folder, disk, new, table) for table in FIELDS}
            counters = Counters(new, {}, commits)
            Transaction(new, counters).mend()
            counters.write()
        counters.committed()
        new.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        new.close()
    if not any(read.values()):
        for name in disk.names(workshop):
            disk.unlink(workshop / name)
        workshop.rmdir()
        return ""
    _keep_old(folder, disk)
    disk.rename(workshop / DATABASE, folder / DATABASE)
    disk.sync_folder(folder)
    workshop.rmdir()
    could_be_read = f"{read['items']} items and {read['messages']} messages that could be read"
    return f"made anew from {could_be_read}; the old one is {DAMAGED}"


def _keep_old(folder: Path, disk: Disk) -> None:
    """The database has a second name, and its log another one: it must not be applied to the new database."""
    disk.unlink(folder / DAMAGED)
    (folder / DAMAGED).hardlink_to(folder / DATABASE)
    for ending in ("-shm", "-wal"):
        if (folder / (DATABASE + ending)).exists():
            disk.rename(folder / (DATABASE + ending), folder / (DAMAGED + ending))
    disk.sync_folder(folder)


def _copy(folder: Path, disk: Disk, new: apsw.Connection, table: str) -> int:
    columns = FIELDS[table]
    insert = f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({','.join('?' * len(columns.split(', ')))})"  # noqa: S608 - constants
    copied = 0
    for row in _rows(lambda: _reading(folder, disk), table):
        try:
            new.execute(insert, row)
        except apsw.ConstraintError:  # a column has another type: nothing of it can be believed
            if table != "items":
                continue
            new.execute(insert, (row[0], "", b"", 0, 0.0, 0, 0, 0, 0.0, "", b"damaged"))
        copied += new.changes()
    return copied


def _reading(folder: Path, disk: Disk) -> apsw.Connection:
    connection = apsw.Connection(str(folder / DATABASE), vfs=disk.vfs, flags=apsw.SQLITE_OPEN_READWRITE)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return connection


def _rows(connect: Callable[[], apsw.Connection], table: str) -> Iterator[Row]:
    """The rows of a table that can be read, from either end."""
    for order, sign in (("ASC", ">"), ("DESC", "<")):
        try:
            connection = connect()
        except apsw.Error:
            return
        try:
            at: int | None = None
            while (row := _next(connection, table, order, sign, at)) is not None:
                at = row[0]
                yield row
        except (apsw.Error, UnicodeDecodeError):
            continue
        else:
            return  # all of them, from one end to the other
        finally:
            connection.close()


def _next(connection: apsw.Connection, table: str, order: str, sign: str, at: int | None) -> Row | None:
    query = f"SELECT {FIELDS[table]} FROM {table} NOT INDEXED {{}} ORDER BY id {order} LIMIT 1"  # noqa: S608 - constants
    where = "" if at is None else f"WHERE id {sign} ?"
    found = fetch(connection, query.format(where), *([] if at is None else [at]))
    return found[0] if found else None
