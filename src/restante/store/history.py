"""What this host has to know of its own past to tell the age of mail (release/ages.py): small rows by name, in a file.

No acknowledged mail depends on it. Each row has a seal; a file in which anything is not as it was written is begun
anew, and then all mail is young again. Its other rows are not kept: they might say that the host was there all the time
and no contact came, where only the contact's row is gone. Where the disk takes none, there is one in memory for as long
as the process lives. Writes are whole, and survive a power cut.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import apsw

from restante.store.beside import FileUnusable, connect, remove, told, what_is_lost
from restante.store.disk import Disk

DATABASE = "history.db"
VERSION = 1
APPLICATION = 0x72737468  # "rsth"

_TABLE = "CREATE TABLE rows (name TEXT PRIMARY KEY, value BLOB NOT NULL, seal BLOB NOT NULL) STRICT, WITHOUT ROWID"
_ALL = "SELECT name, value, seal FROM rows ORDER BY name"
_PUT = "INSERT OR REPLACE INTO rows VALUES (?, ?, ?)"


class HistoryUnusable(FileUnusable):
    """It cannot be read or written now. Trying again may help."""


class History:
    """One open connection. Not for two threads at once; every method blocks for some time."""

    def __init__(
        self,
        file: Path,
        connection: apsw.Connection,
        *,
        read: dict[str, bytes] | None = None,
        trouble: str = "",
        lost: str = "",
    ) -> None:
        """`read`: all its rows, where who opened it has just read them."""
        self._file = file
        self._connection = connection
        self._read = read
        self.trouble = trouble
        """Why it is in memory alone; empty where it is on disk."""
        self.lost = lost
        """Why it has begun anew, though there was one; else empty."""

    @property
    def is_for_reading(self) -> bool:
        """Whether the file cannot be written."""
        return self._connection.readonly("main")

    def rows(self) -> dict[str, bytes]:
        """All rows that are as they were written, by name, in the order of names. Raises HistoryUnusable."""
        read, self._read = self._read, None  # kept for the first who asks alone
        if read is not None:
            return read
        with _told(self._file):
            found: list[Any] = self._connection.execute(_ALL).fetchall()
        return {str(row[0]): row[1] for row in found if _is_whole(row)}

    def change(self, put: Mapping[str, bytes], gone: Iterable[str] = ()) -> None:
        """Writes rows and removes others, all or none; they are safe when it returns. Raises HistoryUnusable."""
        self._read = None
        with _told(self._file), self._connection:
            self._connection.executemany("DELETE FROM rows WHERE name = ?", [(name,) for name in gone])
            self._connection.executemany(_PUT, [(name, value, _seal(name, value)) for name, value in put.items()])

    def close(self) -> None:
        """Lets go of the file."""
        with contextlib.suppress(apsw.Error):
            self._connection.close()


def open_history(data: Path, disk: Disk | None = None) -> History:
    """The history in a data folder; made where there is none, and anew where it is damaged."""
    file, disk = data / DATABASE, disk or Disk()
    try:
        history = _opened_or_made(disk, file)
    except (OSError, apsw.Error, _NotAsWritten) as error:
        memory = apsw.Connection(":memory:")
        memory.execute(_TABLE)
        return History(file, memory, trouble=str(error) or type(error).__name__)
    return history if not history.is_for_reading else _in_memory(file, history)


def _opened_or_made(disk: Disk, file: Path) -> History:
    try:
        lost = what_is_lost(file)
        return _opened(disk, file, lost)
    except (apsw.CorruptError, apsw.NotADBError, UnicodeDecodeError, _NotAsWritten) as error:
        remove(disk, file)
        return _opened(disk, file, str(error))


def _in_memory(file: Path, history: History) -> History:
    """What the file tells, which cannot be written any more."""
    memory = apsw.Connection(":memory:")
    memory.execute(_TABLE)
    known = History(file, memory, trouble="it is for reading alone")
    known.change(history.rows())
    history.close()
    return known


class _NotAsWritten(Exception):
    """It is no history of this version, or not as it was written."""


def _opened(disk: Disk, file: Path, lost: str) -> History:
    connection = connect(disk, file)
    try:
        connection.set_busy_timeout(5000)
        connection.execute("PRAGMA cell_size_check = 1")
        connection.execute("PRAGMA synchronous = EXTRA")  # less may leave half a journal, and that half a database
        if connection.execute("SELECT count(*) FROM sqlite_schema").get == 0:
            with connection:
                connection.execute(_TABLE)
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
        read = _read_all(connection)
    except BaseException:
        connection.close()
        raise
    return History(file, connection, read=read, lost=lost)


def _read_all(connection: apsw.Connection) -> dict[str, bytes]:
    """All rows. Raises _NotAsWritten."""
    form = [connection.pragma("application_id"), connection.pragma("user_version")]
    tables = connection.execute("SELECT sql FROM sqlite_schema").fetchall()
    if (form, tables) != ([APPLICATION, VERSION], [(_TABLE,)]):
        raise _NotAsWritten("it has another form")
    if (found := connection.execute("PRAGMA quick_check(1)").get) != "ok":
        raise _NotAsWritten(str(found))
    rows: list[Any] = connection.execute(_ALL).fetchall()
    if not all(map(_is_whole, rows)):
        raise _NotAsWritten("a row is not as it was written")
    return {name: value for name, value, _ in rows}


def _is_whole(row: Sequence[object]) -> bool:
    name, value, seal = row
    return isinstance(name, str) and isinstance(value, bytes) and seal == _seal(name, value)


def _seal(name: str, value: bytes) -> bytes:
    return blake2b(name.encode() + b"\0" + value, digest_size=8).digest()


def _told(file: Path) -> told:
    return told(HistoryUnusable, file)
