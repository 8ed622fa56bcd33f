"""What was learned of recipients (directory/learned.py), kept in a file of its own: `data/learned.db`.

Written about once a second by a thread, many changes at a time; read, in a thread too, when the server has started.
Until that is done nobody is refused by what was learned. A crash may cost the last second, and damage all of it:
neither loses mail, so the file is not synced, and one that is damaged is begun anew.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

import apsw

from restante.clock import Clock
from restante.directory.learned import Key, Learned, Verdict
from restante.model import DomainName
from restante.store.book import BookUnusable
from restante.store.disk import Disk

DATABASE = "learned.db"
APPLICATION = 0x7273746C  # "rstl"
VERSION = 1
WRITE_SECONDS = 1.0
RECALLED_AT_ONCE = 5000
"""Rows that are taken up before all others on the loop have their turn."""
BUSY_MILLISECONDS = 5000

_TABLES = """
CREATE TABLE recipients (
    domain TEXT NOT NULL, local TEXT NOT NULL, unknown INTEGER NOT NULL, since REAL NOT NULL,
    PRIMARY KEY (domain, local)
) STRICT, WITHOUT ROWID"""
_PUT = "INSERT OR REPLACE INTO recipients VALUES (?, ?, ?, ?)"
_FORGET = "DELETE FROM recipients WHERE domain = ? AND local = ?"
_ALL = "SELECT domain, local, unknown, since FROM recipients ORDER BY since"
_OF_DOMAIN = "SELECT local, unknown, since FROM recipients WHERE domain = ? ORDER BY local"
_TROUBLE = (apsw.Error, OSError)
_DAMAGE = (apsw.CorruptError, apsw.NotADBError, UnicodeDecodeError)
_T = TypeVar("_T")


class LearnedFile:
    """The file; all of it blocks, and raises apsw.Error or OSError. For one thread."""

    def __init__(self, data: Path) -> None:
        self.file = data / DATABASE
        self._connection: apsw.Connection | None = None

    def load(self) -> Iterator[list[tuple[Key, Verdict]]]:
        """All that is kept, the oldest first, in portions; the file is made where it is not, or is not sound."""
        try:
            yield from self._portions()
        except _DAMAGE:
            self._begin_anew()

    def _portions(self) -> Iterator[list[tuple[Key, Verdict]]]:
        rows = self._open().execute(_ALL)
        while some := list(islice(rows, RECALLED_AT_ONCE)):
            yield [
                ((DomainName(str(domain)), str(local)), Verdict(bool(unknown), float(str(since))))
                for domain, local, unknown, since in some
            ]

    def write(self, changes: Mapping[Key, Verdict | None]) -> None:
        """Writes what has changed, all of it or nothing."""
        connection = self._open()
        with connection:
            put = ((*key, verdict.is_unknown, verdict.since) for key, verdict in changes.items() if verdict is not None)
            connection.executemany(_PUT, put)
            connection.executemany(_FORGET, (key for key, verdict in changes.items() if verdict is None))

    def _open(self) -> apsw.Connection:
        if self._connection is None:
            try:
                self._connection = _connect(self.file)
            except _DAMAGE:
                self._begin_anew()
                self._connection = _connect(self.file)
        return self._connection

    def _begin_anew(self) -> None:
        self.close()
        for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"):
            self.file.with_name(name).unlink(missing_ok=True)

    def close(self) -> None:
        """Lets go of the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _connect(file: Path) -> apsw.Connection:
    disk = Disk()
    with contextlib.suppress(FileExistsError):  # SQLite would make it for others to read
        disk.close(disk.create(file))
    connection = apsw.Connection(str(file))
    try:
        _settle_in(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _settle_in(connection: apsw.Connection) -> None:
    connection.set_busy_timeout(BUSY_MILLISECONDS)
    connection.pragma("journal_mode", "wal")
    connection.execute("PRAGMA synchronous = NORMAL")  # a crash of the machine may cost some, and damages nothing
    if connection.pragma("user_version") != VERSION or connection.pragma("application_id") != APPLICATION:
        with connection:
            connection.execute("DROP TABLE IF EXISTS recipients")
            connection.execute(_TABLES)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")


def learned_of(data: Path, domain: DomainName) -> dict[str, Verdict]:
    """What is kept of a domain's recipients, by local part; for others than the server. Raises BookUnusable."""
    file = data / DATABASE
    if not file.exists():
        return {}
    try:
        with contextlib.closing(apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
            connection.set_busy_timeout(BUSY_MILLISECONDS)
            connection.execute("PRAGMA query_only = 1")
            rows = connection.execute(_OF_DOMAIN, (domain,))
            return {str(local): Verdict(bool(unknown), float(str(since))) for local, unknown, since in rows}
    except apsw.Error as error:
        raise BookUnusable(file, str(error)) from None


class LearnedKeeper:
    """Sees to it that what is learned outlives this process. start() and stop() once each."""

    def __init__(self, learned: Learned, data: Path, clock: Clock, complain: Callable[[str], None]) -> None:
        """`complain` is told, once for each spell of it, that nothing can be kept."""
        self._learned = learned
        self._file = LearnedFile(data)
        self._clock = clock
        self._complain = complain
        self._is_failing = False
        self._thread = ThreadPoolExecutor(1, "restante-learned")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to recall what was kept, and goes on to keep what is learned."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Writes the last of it, and lets go of the file."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self._write()
        with contextlib.suppress(*_TROUBLE):
            await self._in_thread(self._file.close)
        self._thread.shutdown()

    async def _run(self) -> None:
        await self._recall()
        while True:
            await self._clock.sleep(WRITE_SECONDS)
            await self._write()

    async def _recall(self) -> None:
        kept = self._file.load()
        try:
            while portion := await self._in_thread(lambda: next(kept, None)):
                self._learned.recall(portion, self._clock.wall())
        except _TROUBLE as error:
            self._failed(error)

    async def _write(self) -> None:
        changes = self._learned.take_changes()
        if not changes:
            return
        try:
            await self._in_thread(lambda: self._file.write(changes))
        except _TROUBLE as error:
            self._failed(error)
        else:
            self._is_failing = False

    async def _in_thread(self, do: Callable[[], _T]) -> _T:
        """One after the other, also where who asked for it was cancelled."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, do)

    def _failed(self, error: Exception) -> None:
        if not self._is_failing:
            self._complain(f"{self._file.file}: what is learned of recipients is not kept: {error}")
        self._is_failing = True
