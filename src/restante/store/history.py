"""What this host has to know of its own past to tell the age of mail (release/ages.py): small rows by name, in a file.

No acknowledged mail depends on it. A row with a wrong seal is as none, a file that is damaged is begun anew, and then
all mail is young again; where the disk takes none, there is one in memory for as long as the process lives. Writes are
whole: a power cut may undo the last of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import apsw

from restante.errors import RestanteError
from restante.store.disk import Disk

DATABASE = "history.db"
VERSION = 1
APPLICATION = 0x72737468  # "rsth"

_TABLE = "CREATE TABLE rows (name TEXT PRIMARY KEY, value BLOB NOT NULL, seal BLOB NOT NULL) STRICT, WITHOUT ROWID"
_PUT = "INSERT OR REPLACE INTO rows VALUES (?, ?, ?)"
_SIDE_FILES = ("", "-wal", "-shm", "-journal")


@dataclass(eq=False)
class HistoryUnusable(RestanteError):
    """It cannot be read or written now. Trying again may help."""

    file: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.file} cannot be used: {self.reason}"


class History:
    """One open connection. Not for two threads at once; every method blocks for some time."""

    def __init__(self, file: Path, connection: apsw.Connection, trouble: str = "") -> None:
        self._file = file
        self._connection = connection
        self.trouble = trouble
        """Why it is in memory alone; empty where it is on disk."""

    def rows(self) -> dict[str, bytes]:
        """All rows that are as they were written, by name, in the order of names. Raises HistoryUnusable."""
        with _told(self._file):
            found = self._connection.execute("SELECT name, value, seal FROM rows ORDER BY name").fetchall()
        return {
            name: value
            for name, value, seal in found
            if isinstance(name, str) and isinstance(value, bytes) and seal == _seal(name, value)
        }

    def change(self, put: Mapping[str, bytes], gone: Iterable[str] = ()) -> None:
        """Writes rows and removes others, all or none. Raises HistoryUnusable."""
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
        return History(file, _opened_or_made(disk, file))
    except (OSError, apsw.Error, _OtherForm) as error:
        memory = apsw.Connection(":memory:")
        memory.execute(_TABLE)
        return History(file, memory, str(error) or type(error).__name__)


def _opened_or_made(disk: Disk, file: Path) -> apsw.Connection:
    try:
        return _opened(disk, file)
    except (apsw.CorruptError, apsw.NotADBError, UnicodeDecodeError, _OtherForm):
        for suffix in _SIDE_FILES:
            disk.unlink(file.with_name(DATABASE + suffix))
        return _opened(disk, file)


class _OtherForm(Exception):
    """It is not a history of this version."""


def _opened(disk: Disk, file: Path) -> apsw.Connection:
    with contextlib.suppress(FileExistsError):
        disk.close(disk.create(file))  # SQLite would make it for others to read
    connection = apsw.Connection(str(file), vfs=disk.vfs)
    try:
        connection.set_busy_timeout(5000)
        connection.execute("PRAGMA cell_size_check = 1")
        connection.execute("PRAGMA synchronous = NORMAL")
        if connection.execute("SELECT count(*) FROM sqlite_schema").get == 0:
            with connection:
                connection.execute(_TABLE)
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
        _assert_form(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _assert_form(connection: apsw.Connection) -> None:
    form = [connection.pragma("application_id"), connection.pragma("user_version")]
    tables = connection.execute("SELECT sql FROM sqlite_schema").fetchall()
    if (form, tables) != ([APPLICATION, VERSION], [(_TABLE,)]):
        raise _OtherForm
    if connection.execute("PRAGMA quick_check(1)").get != "ok":
        raise _OtherForm


def _seal(name: str, value: bytes) -> bytes:
    return blake2b(name.encode() + b"\0" + value, digest_size=8).digest()


class _told:  # noqa: N801 - reads as a statement
    """Turns what SQLite and the disk have to say into HistoryUnusable."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise HistoryUnusable(self._file, error.strerror or str(error)) from None
        if isinstance(error, apsw.Error | UnicodeDecodeError):
            raise HistoryUnusable(self._file, str(error)) from None
