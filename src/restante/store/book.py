"""Users and domains that are kept in the store, beside those of the configuration: many do not belong in a file.

A table of rows by kind (`users`, `domains`, `recipients`) and name: what a TOML table of it would have, or a domain's
list of recipients, as JSON. What they mean is not known here (config/kept.py). Every change is one transaction, and
safe when its call returns (WAL with synchronous=FULL); one process writes at a time, others wait up to five seconds.
Who reads sees a change by has_changed(), which costs some microseconds, and then reads what was written since the
revision that it knows.

The file is for its owner alone: secrets are in it. Where root makes it, it gets the data folder's owner.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import apsw

from restante.store.beside import FileUnusable, told, what_is_lost
from restante.store.disk import Disk, make_folders

DATABASE = "directory.db"
VERSION = 1
APPLICATION = 0x72737464  # "rstd"
BUSY_MILLISECONDS = 5000

_TABLES = """
CREATE TABLE rows (
    kind TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, revision INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX rows_revision ON rows (revision);
CREATE TABLE revision (number INTEGER NOT NULL) STRICT;
INSERT INTO revision VALUES (0);
"""
_PUT = """
INSERT INTO rows VALUES (?, ?, ?, (SELECT number FROM revision))
ON CONFLICT (kind, name) DO UPDATE SET value = excluded.value, revision = excluded.revision"""
_NEXT_KIND = "SELECT min(kind) FROM rows WHERE kind > ?"
_LATER = "SELECT kind, name, value FROM rows WHERE revision > ?"


class BookUnusable(FileUnusable):
    """The users and domains in the store cannot be read or written."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What has changed since a revision: rows by kind and name, as JSON; and all names that are there, by kind."""

    revision: int
    rows: Mapping[str, Mapping[str, str]]
    names: Mapping[str, Collection[str]]


class Book:
    """One open connection. Not for two threads at once; every method but has_changed() blocks for some time."""

    def __init__(self, file: Path, connection: apsw.Connection, lost: str = "") -> None:
        self.file = file
        self.lost = lost
        """Why there is nothing in it, though there was a file; else empty."""
        self._connection = connection
        self._seen = self._data_version()

    def _data_version(self) -> int:
        return int(str(self._connection.pragma("data_version")))

    def has_changed(self) -> bool:
        """Whether another connection has changed something since this was last asked. Raises BookUnusable."""
        with _told(self.file):
            version = self._data_version()
        seen, self._seen = self._seen, version
        return seen != version

    def row(self, kind: str, name: str) -> str | None:
        """One row's JSON. Raises BookUnusable."""
        with _told(self.file):
            found = self._connection.execute("SELECT value FROM rows WHERE kind = ? AND name = ?", (kind, name)).get
        return None if found is None else str(found)

    def rows(self, kind: str) -> dict[str, str]:
        """All rows of a kind, by name, in its order. Raises BookUnusable."""
        with _told(self.file):
            return self._all(kind)

    def changes(self, after: int) -> Changes:
        """What is of later revisions than `after`; of all where that is 0. Raises BookUnusable."""
        with _told(self.file), self._connection:
            revision = int(str(self._connection.execute("SELECT number FROM revision").get))
            if after:
                rows = self._later(after)
                names: Mapping[str, Collection[str]] = {kind: self._names(kind) for kind in self._kinds()}
            else:
                names = rows = {kind: self._all(kind) for kind in self._kinds()}
        return Changes(revision, rows, names)

    def _kinds(self) -> Iterator[str]:
        """Of which there are rows; each is one look into the table's order."""
        kind = ""
        while (found := self._connection.execute(_NEXT_KIND, (kind,)).get) is not None:
            yield (kind := str(found))

    def _later(self, after: int) -> dict[str, dict[str, str]]:
        rows: dict[str, dict[str, str]] = {}
        for kind, name, value in self._connection.execute(_LATER, (after,)):
            rows.setdefault(kind, {})[name] = value
        return rows

    def _all(self, kind: str) -> dict[str, str]:
        return dict(self._connection.execute("SELECT name, value FROM rows WHERE kind = ? ORDER BY name", (kind,)))

    def _names(self, kind: str) -> frozenset[str]:
        return frozenset(name for (name,) in self._connection.execute("SELECT name FROM rows WHERE kind = ?", (kind,)))

    def put(self, kind: str, rows: Iterable[tuple[str, str]]) -> None:
        """Writes rows, name and JSON each; one that is there is replaced. All or none. Raises BookUnusable."""
        with _told(self.file), _Writing(self._connection):
            self._connection.executemany(_PUT, ((kind, name, value) for name, value in rows))

    def add(self, rows: Collection[tuple[str, str, str]]) -> tuple[str, ...]:
        """Writes rows, kind, name and JSON each, all at once, if none is there; the names of those that are.

        Raises BookUnusable.
        """
        with _told(self.file), _Writing(self._connection):
            there = tuple(name for kind, name, _ in rows if self.row(kind, name) is not None)
            if not there:
                self._connection.executemany(_PUT, rows)
        return there

    def change(self, kind: str, name: str, change: Callable[[str | None], str]) -> None:
        """Writes what `change` makes of a row; nobody else can write meanwhile. Raises BookUnusable.

        What `change` raises leaves all as it was.
        """
        with _told(self.file), _Writing(self._connection):
            self._connection.execute(_PUT, (kind, name, change(self.row(kind, name))))

    def remove(self, kind: str, name: str) -> None:
        """Removes a row; one that is not there is gone. Raises BookUnusable."""
        with _told(self.file), _Writing(self._connection):
            self._connection.execute("DELETE FROM rows WHERE kind = ? AND name = ?", (kind, name))

    def close(self) -> None:
        """Lets go of the file."""
        self._connection.close()


class _Writing:
    """One transaction that writes, and has a revision of its own; it waits for its turn before it reads anything."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("UPDATE revision SET number = number + 1")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._connection.execute("COMMIT")
        elif self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def _told(file: Path) -> told:
    return told(BookUnusable, file)


def open_book(data: Path, disk: Disk | None = None) -> Book:
    """The book in a data folder; folder and book are made where they are not. Raises BookUnusable."""
    file, disk = data / DATABASE, disk or Disk()
    with _told(file):
        make_folders(disk, data)
        lost = what_is_lost(file)
        _make_file(disk, data, file)
        connection = apsw.Connection(str(file), vfs=disk.vfs)
    try:
        with _told(file):
            _settle_in(file, connection)
    except BaseException:
        connection.close()
        raise
    return Book(file, connection, lost)


def _make_file(disk: Disk, data: Path, file: Path) -> None:
    """SQLite would make it for others to read."""
    try:
        descriptor = disk.create(file)
    except FileExistsError:
        return
    try:
        owner = data.stat()
        if os.geteuid() == 0 and owner.st_uid != 0:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
    finally:
        disk.close(descriptor)
    disk.sync_folder(data)


def _settle_in(file: Path, connection: apsw.Connection) -> None:
    connection.set_busy_timeout(BUSY_MILLISECONDS)
    journal = str(connection.pragma("journal_mode", "wal"))
    connection.execute("PRAGMA synchronous = FULL")
    if journal.lower() != "wal":
        raise BookUnusable(file, f"it needs journal_mode=wal, and this system gives {journal}")
    if _version(connection) == 0:
        connection.execute("BEGIN IMMEDIATE")
        if _version(connection) == 0:  # nobody else has made them meanwhile
            connection.execute(_TABLES)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    if (version := _version(connection)) > VERSION:
        raise BookUnusable(file, f"a newer restante wrote it (version {version}; this one knows {VERSION})")


def _version(connection: apsw.Connection) -> int:
    return int(str(connection.pragma("user_version")))


def has_book(data: Path) -> bool:
    """Whether there is one in a data folder. Raises BookUnusable where that cannot be seen."""
    file = data / DATABASE
    with _told(file):
        return file.exists()


def names_in(data: Path, kind: str) -> frozenset[str]:
    """The names of a kind's rows; none where there is no book. Raises BookUnusable."""
    if not has_book(data):
        return frozenset()
    with contextlib.closing(open_book(data)) as book:
        return frozenset(book.rows(kind))
