"""What was learned of recipients (directory/learned.py), kept in a file of its own: `data/learned.db`.

Written about once a second by a thread, many changes at a time; read, in a thread too, when the server has started.
Until that is done nobody is refused by what was learned. A crash may cost the last second, and damage all of it:
neither loses mail, so the file is not synced, and one that is damaged is begun anew. Each row has a seal: with a bit
that has fallen over it would refuse somebody else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import apsw

from restante.clock import Clock
from restante.directory.learned import Key, Learned, Verdict
from restante.model import DomainName
from restante.store.beside import connect, remove, what_is_lost
from restante.store.book import BookUnusable
from restante.store.disk import Disk

DATABASE = "learned.db"
APPLICATION = 0x7273746C  # "rstl"
VERSION = 2
WRITE_SECONDS = 1.0
RECALLED_AT_ONCE = 5000
"""Rows that are taken up before all others on the loop have their turn."""
BUSY_MILLISECONDS = 5000

_TABLES = """
CREATE TABLE recipients (
    domain TEXT NOT NULL, local TEXT NOT NULL, unknown INTEGER NOT NULL, since REAL NOT NULL, seal BLOB NOT NULL,
    PRIMARY KEY (domain, local)
) STRICT, WITHOUT ROWID"""
_PUT = "INSERT OR REPLACE INTO recipients VALUES (?, ?, ?, ?, ?)"
_FORGET = "DELETE FROM recipients WHERE domain = ? AND local = ?"
_ALL = "SELECT domain, local, unknown, since, seal FROM recipients ORDER BY since"
_OF_DOMAIN = "SELECT domain, local, unknown, since, seal FROM recipients WHERE domain = ? ORDER BY local"
_TROUBLE = (apsw.Error, OSError)
_DAMAGE = (apsw.CorruptError, apsw.NotADBError, UnicodeDecodeError)
_T = TypeVar("_T")


class LearnedFile:
    """The file; all of it blocks, and raises apsw.Error or OSError. For one thread."""

    def __init__(self, data: Path, disk: Disk | None = None) -> None:
        self.file = data / DATABASE
        self.lost = ""
        """Why all that was kept is forgotten; empty where it is not."""
        self._disk = disk or Disk()
        self._connection: apsw.Connection | None = None

    def load(self) -> Iterator[list[tuple[Key, Verdict]]]:
        """All that is kept, the oldest first, in portions; the file is made where it is not, or is not sound."""
        try:
            yield from self._portions()
        except _DAMAGE as error:
            self._begin_anew(error)

    def _portions(self) -> Iterator[list[tuple[Key, Verdict]]]:
        rows = self._open().execute(_ALL)
        while some := list(islice(rows, RECALLED_AT_ONCE)):
            yield [_verdict(row) for row in some]

    def write(self, changes: Mapping[Key, Verdict | None]) -> None:
        """Writes what has changed, all of it or nothing; without what was there before, where that is damaged."""
        try:
            self._write(changes)
        except _DAMAGE as error:
            self._begin_anew(error)
            self._write(changes)

    def _write(self, changes: Mapping[Key, Verdict | None]) -> None:
        connection = self._open()
        with connection:
            put = (_row(key, verdict) for key, verdict in changes.items() if verdict is not None)
            connection.executemany(_PUT, put)
            connection.executemany(_FORGET, (key for key, verdict in changes.items() if verdict is None))

    def _open(self) -> apsw.Connection:
        if self._connection is None:
            lost = what_is_lost(self.file)
            try:
                self._connection = _connect(self.file, self._disk)
            except _DAMAGE as error:
                self._begin_anew(error)
                self._connection = _connect(self.file, self._disk)
            else:
                self.lost = lost or self.lost
        return self._connection

    def _begin_anew(self, why: Exception) -> None:
        self.lost = str(why)
        self.close()
        remove(self._disk, self.file)

    def close(self) -> None:
        """Lets go of the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _row(key: Key, verdict: Verdict) -> tuple[str, str, bool, float, bytes]:
    domain, local = key
    is_unknown, since = verdict.is_unknown, float(verdict.since)
    return domain, local, is_unknown, since, _seal(domain, local, is_unknown, since)


def _verdict(row: Sequence[Any]) -> tuple[Key, Verdict]:
    """What a row says. Raises CorruptError where it is not as it was written."""
    domain, local, is_unknown, since, seal = row
    if not isinstance(since, float) or seal != _seal(domain, local, bool(is_unknown), since):
        raise apsw.CorruptError("a row is not as it was written")
    return (DomainName(domain), local), Verdict(bool(is_unknown), since)


def _seal(domain: str, local: str, is_unknown: bool, since: float) -> bytes:
    return blake2b(f"{domain}\0{local}\0{is_unknown:d}\0{since!r}".encode(), digest_size=8).digest()


def _connect(file: Path, disk: Disk) -> apsw.Connection:
    connection = connect(disk, file)
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
    version = connection.pragma("user_version")
    if (version, connection.pragma("application_id")) == (VERSION, APPLICATION):
        return
    if connection.execute("SELECT count(*) FROM sqlite_schema").get:
        raise apsw.CorruptError(f"it has version {version}; this restante knows {VERSION}")
    with connection:
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
            if connection.pragma("user_version") == 0:  # it is being made
                return {}
            return {local: verdict for (_, local), verdict in map(_verdict, connection.execute(_OF_DOMAIN, (domain,)))}
    except (apsw.Error, UnicodeDecodeError) as error:
        raise BookUnusable(file, str(error)) from None


class LearnedKeeper:
    """Sees to it that what is learned outlives this process. start() and stop() once each."""

    def __init__(self, learned: Learned, data: Path, clock: Clock, complain: Callable[[str], None]) -> None:
        """`complain` is told, once for each spell of it, that nothing can be kept, or that what was is forgotten."""
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
        self._tell_what_is_lost()

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
        self._tell_what_is_lost()

    async def _in_thread(self, do: Callable[[], _T]) -> _T:
        """One after the other, also where who asked for it was cancelled."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, do)

    def _tell_what_is_lost(self) -> None:
        lost, self._file.lost = self._file.lost, ""
        if lost:
            self._complain(f"{self._file.file}: what was learned of recipients is forgotten: {lost}")

    def _failed(self, error: Exception) -> None:
        if not self._is_failing:
            self._complain(f"{self._file.file}: what is learned of recipients is not kept: {error}")
        self._is_failing = True
