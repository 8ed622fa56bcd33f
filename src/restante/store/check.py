"""Is a spool as it was written? The whole look, with each content, of `restante fsck`, which also repairs.

Blocks; the spool must not be open. What is damaged is never guessed at: its items are quarantined, for people to see.
A database whose pages SQLite itself calls corrupt is not repaired row by row, but can be made anew (rebuild.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import apsw

from restante.model import (
    ITEM_BITS,
    MAX_ITEMS_PER_MESSAGE,
    DomainName,
    IdError,
    MessageId,
    Waiting,
    is_item_id,
    message_of,
    parse_id,
    write_item_id,
    write_message_id,
)
from restante.spool.spool import ContentDamage, SpoolInUse, SpoolUnusable
from restante.store.bodies import FOLDER, Bodies
from restante.store.counters import NOTHING, Counters
from restante.store.disk import Disk
from restante.store.mark import Mark
from restante.store.rebuild import rebuild
from restante.store.rows import QUARANTINED, WAITING, fetch, is_set_aside, is_whole, rows_of_ids
from restante.store.schema import DATABASE, open_database
from restante.store.start import integrity, keep_the_log, lost_commits, mend, written_counters
from restante.store.transaction import Transaction

AT_ONCE = 1000

_IDS = "SELECT id FROM {} NOT INDEXED WHERE id > ? ORDER BY id LIMIT ?"
_MESSAGE = "SELECT size, digest, content FROM messages WHERE id = ?"
_HAS_ITEMS = f"""
SELECT count(*) FROM (SELECT ? AS message) CROSS JOIN items NOT INDEXED
ON items.id BETWEEN message << {ITEM_BITS} AND (message << {ITEM_BITS}) + {MAX_ITEMS_PER_MESSAGE}"""  # noqa: S608 - constants


class Kind(StrEnum):
    """What a problem is about."""

    DATABASE = "database"
    ITEM = "item"
    CONTENT = "content"
    MESSAGE = "message"
    BODY = "body file"
    COUNTER = "counter"


@dataclass(slots=True)
class Problem:
    """Something that is not as it was written. `repair` says what was done about it, "" for nothing."""

    kind: Kind
    name: str
    text: str
    repair: str = ""


@dataclass(slots=True)
class Report:
    """What was looked at, and what was found."""

    folder: str
    messages: int = 0
    items: int = 0
    octets: int = 0
    body_files: int = 0
    quarantined: int = 0
    """Items that were set aside, now or before."""
    problems: list[Problem] = field(default_factory=list)


def check(folder: Path, *, repair: bool, disk: Disk | None = None) -> Report:
    """Looks at all of a spool that nobody has open, and repairs it. Raises SpoolInUse, SpoolUnusable."""
    disk = disk or Disk()
    report = Report(str(folder))
    try:
        lock = disk.lock(folder / "lock")
    except BlockingIOError:
        raise SpoolInUse(str(folder)) from None
    except OSError as error:
        raise SpoolUnusable(f"{folder} cannot be used: {error.strerror or error}") from None
    try:
        if repair and (trouble := _unreadable(folder, disk)):
            report.problems.append(rebuilt := Problem(Kind.DATABASE, DATABASE, trouble))
            rebuilt.repair = rebuild(folder, disk, Mark(disk, folder).read())
        _look(folder, disk, report, repair=repair)
    except (apsw.Error, UnicodeDecodeError) as error:
        report.problems.append(Problem(Kind.DATABASE, DATABASE, str(error)))
    except OSError as error:
        raise SpoolUnusable(f"{folder} cannot be used: {error.strerror or error}") from None
    finally:
        disk.close(lock)
    return report


def _unreadable(folder: Path, disk: Disk) -> str:
    """Why the database has to be made anew; "" where it can be repaired as it is."""
    try:
        connection = open_database(disk, folder)
    except (apsw.CorruptError, apsw.NotADBError) as error:
        return str(error)
    try:
        if trouble := _beyond_mending(connection):
            keep_the_log(connection)
        return trouble
    finally:
        connection.close()


def _beyond_mending(connection: apsw.Connection) -> str:
    try:
        if not integrity(connection, ""):
            return ""
        waiting, commits = written_counters(connection)
        mend(connection, Counters(connection, waiting, commits))
        return "; ".join(integrity(connection, "")[:1])
    except apsw.Error as error:
        return str(error)


def _look(folder: Path, disk: Disk, report: Report, *, repair: bool) -> None:
    connection = open_database(disk, folder)
    mark = Mark(disk, folder)
    try:
        if lost := lost_commits(connection, mark.read()):
            report.problems.append(
                Problem(Kind.DATABASE, DATABASE, lost, "what is there is taken as it is" if repair else "")
            )
        if not repair:
            keep_the_log(connection)
        _Look(connection, Bodies(disk, folder), disk, folder, report, is_repair=repair).all()
        if repair:
            mark.start(written_counters(connection)[1])
    finally:
        mark.close()
        connection.close()


class _Look:
    """One look at one spool; all() once."""

    def __init__(
        self, connection: apsw.Connection, bodies: Bodies, disk: Disk, folder: Path, report: Report, *, is_repair: bool
    ) -> None:
        self._connection = connection
        self._bodies = bodies
        self._disk = disk
        self._folder = folder
        self._report = report
        self._is_repair = is_repair
        self._hurt_messages: list[MessageId] = []
        self._in_files: set[MessageId] = set()

    def all(self) -> None:
        """Everything, in order of what depends on what."""
        for line in integrity(self._connection, ""):
            self._found(Kind.DATABASE, DATABASE, line, "indexes were made anew")
        self._items()
        self._messages()
        self._files()
        self._counters()
        if self._is_repair:
            self._repair()

    def _found(self, kind: Kind, name: str, text: str, repair: str) -> None:
        self._report.problems.append(Problem(kind, name, text, repair if self._is_repair else ""))

    def _items(self) -> None:
        """Every row of the items against its seal, and its message's row."""
        for ids in self._ids("items"):
            for identifier, row in rows_of_ids(self._connection, ids):
                self._report.items += 1
                name = write_item_id(identifier)
                if row is not None and is_set_aside(row):
                    self._report.quarantined += 1
                elif row is None or not is_whole(row):
                    self._found(Kind.ITEM, name, "its row is damaged", "quarantined")
                elif row[6] == QUARANTINED:
                    self._report.quarantined += 1
                elif not fetch(self._connection, "SELECT 1 FROM messages WHERE id = ?", message_of(identifier)):
                    self._found(Kind.ITEM, name, "its message is missing", "quarantined")
                    self._hurt_messages.append(message_of(identifier))

    def _messages(self) -> None:
        """Every content against its hash, in its row or in its file; those that no item needs."""
        for ids in self._ids("messages"):
            for message in map(MessageId, ids):
                self._report.messages += 1
                if not fetch(self._connection, _HAS_ITEMS, message)[0][0]:
                    self._found(Kind.MESSAGE, write_message_id(message), "no item needs it", "removed")
                elif problem := self._content_problem(message):
                    self._content(message, problem)

    def _content(self, message: MessageId, problem: str) -> None:
        is_known = all(
            row is None or row[6] == QUARANTINED for _, row in rows_of_ids(self._connection, self._items_of(message))
        )
        if not is_known:
            self._found(Kind.CONTENT, write_message_id(message), problem, "its items are quarantined")
            self._hurt_messages.append(message)

    def _items_of(self, message: MessageId) -> list[int]:
        least = message << ITEM_BITS
        query = "SELECT id FROM items NOT INDEXED WHERE id BETWEEN ? AND ?"
        return [row[0] for row in fetch(self._connection, query, least, least + MAX_ITEMS_PER_MESSAGE)]

    def _content_problem(self, message: MessageId) -> str:
        try:
            [(size, digest, content)] = fetch(self._connection, _MESSAGE, message)
        except (apsw.CorruptError, ValueError):  # also: it is not where its id belongs
            return "its content cannot be read"
        if content is not None:
            is_whole = isinstance(content, bytes) and hashlib.sha256(content).digest() == digest
            self._report.octets += len(content) if is_whole else 0
            return "" if is_whole else "its content does not have its hash"
        self._in_files.add(message)
        self._report.body_files += 1
        try:
            self._bodies.close(self._bodies.open_checked(message, size, digest))
        except ContentDamage:
            return self._file_problem(message, size)
        self._report.octets += size
        return ""

    def _file_problem(self, message: MessageId, size: int) -> str:
        try:
            found = self._bodies.path(message).stat().st_size
        except OSError:
            return "its body file is missing"
        return (
            f"its body file has {found} octets, not {size}" if found != size else "its content does not have its hash"
        )

    def _files(self) -> None:
        """Files of which no row tells; those beside a damaged row are kept."""
        top = self._folder / FOLDER
        for folder in sorted(self._disk.names(top)):
            for name in sorted(self._disk.names(top / folder)):
                if not self._is_needed(name):
                    self._found(Kind.BODY, f"{FOLDER}/{folder}/{name}", "no message needs it", "removed")
                    if self._is_repair:
                        self._disk.unlink(top / folder / name)

    def _is_needed(self, name: str) -> bool:
        try:
            message = parse_id(name)
        except IdError:
            return False
        if is_item_id(message):
            return False
        return MessageId(message) in self._in_files or bool(self._items_of(MessageId(message)))

    def _counters(self) -> None:
        """What is written of each domain against the rows; damaged ones may have been anything."""
        if any(problem.kind is Kind.ITEM for problem in self._report.problems):
            return
        written, _ = written_counters(self._connection)
        counted = self._counted()
        for domain in sorted({**written, **counted}):
            says, there = written.get(domain, NOTHING), counted.get(domain, NOTHING)
            if (says.items, says.octets) != (there.items, there.octets):
                text = f"{says.items} items of {says.octets} octets are written, {there.items} of {there.octets} wait"
                self._found(Kind.COUNTER, domain, text, "corrected")

    def _counted(self) -> dict[DomainName, Waiting]:
        counted: dict[DomainName, Waiting] = {}
        for ids in self._ids("items"):
            for _, row in rows_of_ids(self._connection, ids):
                if row is not None and is_whole(row) and row[6] == WAITING:
                    now = counted.get(row[1], NOTHING)
                    counted[row[1]] = Waiting(now.items + 1, now.octets + row[3], row[4])
        return counted

    def _ids(self, table: str) -> Iterator[list[int]]:
        after = 0
        while ids := [row[0] for row in fetch(self._connection, _IDS.format(table), after, AT_ONCE)]:
            yield ids
            after = ids[-1]

    def _repair(self) -> None:
        if not self._report.problems:
            return
        waiting, commits = written_counters(self._connection)
        counters = Counters(self._connection, waiting, commits)
        transaction = Transaction(self._connection, counters)
        with self._connection:
            transaction.mend()
            for message in self._hurt_messages:
                self._report.quarantined += len(transaction.quarantine(message))
            transaction.drop_messages_without_items()
            counters.write()
        counters.committed()
        self._report.quarantined += len(transaction.damaged)
        for message in transaction.bodies_gone:
            self._bodies.remove(message)
