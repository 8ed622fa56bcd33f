"""The look at a spool when it is opened: what follows from the items' rows alone is made right, all else is refused.

An index or a counter that does not match the rows is made anew, a damaged row is quarantined. Contents are not read:
their hashes are checked on the way out. A large spool is opened as it is, and looked at later (look.py), unless the
store broke the last time. check.py is the whole look.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import apsw

from restante.model import DomainName, ItemId, Waiting
from restante.spool.spool import SpoolUnusable
from restante.store.counters import Counters, agree, are_numbers, load, load_commits
from restante.store.counters import count as count_waiting
from restante.store.rows import fetch
from restante.store.transaction import Transaction

SMALL_PAGES = 16 * 1024
"""A database of so many pages or fewer (64 MiB) is looked at before it is used, its free list too."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a spool starts with. `is_mended`: it was not as it should be; `damaged` items are quarantined now."""

    waiting: dict[DomainName, Waiting]
    commits: int
    is_mended: bool
    damaged: list[ItemId]
    is_checked: bool = True
    """Whether it was looked at; else that is still to be done."""


def check_at_start(connection: apsw.Connection, marked: int, *, is_doubtful: bool = False) -> Start:
    """Makes right what follows from the items' rows alone. Raises SpoolUnusable for all else, and apsw.Error.

    `marked` commits were acknowledged, as far as that is known (mark.py). If `is_doubtful` it is looked at, whatever
    its size (doubt.py).
    """
    if lost := lost_commits(connection, marked):
        keep_the_log(connection)
        raise SpoolUnusable(f"{lost} (restante fsck tells more)")
    if not (is_doubtful or _is_small(connection)) and (start := _as_written(connection)) is not None:
        return start
    if (start := _sound(connection)) is not None:
        return start
    waiting, commits = written_counters(connection)
    damaged = mend(connection, Counters(connection, waiting, commits))
    if (start := _sound(connection)) is None:
        raise SpoolUnusable(
            f"the database is damaged: {'; '.join(_of_items(connection)[:1])} (restante fsck tells more)"
        )
    return replace(start, is_mended=True, damaged=damaged)


def _is_small(connection: apsw.Connection) -> bool:
    return int(str(connection.pragma("page_count"))) <= SMALL_PAGES


def _as_written(connection: apsw.Connection) -> Start | None:
    """What to start with if nothing is damaged; None where something is for all to see."""
    try:
        if not are_numbers(connection):
            return None
        return Start(*load(connection), False, [], is_checked=False)
    except UnicodeDecodeError:  # a name that is no text
        return None


def _sound(connection: apsw.Connection) -> Start | None:
    """What to start with; None where indexes or counters do not match the items, or worse."""
    if _of_items(connection):
        return None
    try:
        waiting, commits = load(connection)
        is_right = agree(waiting, count_waiting(connection))
    except (UnicodeDecodeError, TypeError, apsw.SQLError):  # columns of another type; sums that are too large
        return None
    return Start(waiting, commits, False, []) if is_right else None


def _of_items(connection: apsw.Connection) -> list[str]:
    """What SQLite says against the items' pages and indexes; in a small database also against its free list."""
    problems = integrity(connection, "(items)")
    if _is_small(connection):
        problems += [line for line in integrity(connection, "") if line.startswith("Freelist")]
    return problems


def integrity(connection: apsw.Connection, what: str) -> list[str]:
    """What SQLite finds wrong, line by line: in all of the database, or in one table, "(items)"."""
    said = fetch(connection, f"PRAGMA integrity_check{what}")
    lines = [line for row in said for line in str(row[0]).splitlines() if not line.startswith("***")]
    return [] if lines == ["ok"] else lines


def written_counters(connection: apsw.Connection) -> tuple[dict[DomainName, Waiting], int]:
    """The counters, as far as they can be read."""
    try:
        waiting, commits = load(connection)
    except (UnicodeDecodeError, TypeError):
        return {}, 0
    return waiting, commits if isinstance(commits, int) else 0


def lost_commits(connection: apsw.Connection, marked: int) -> str:
    """What to say when commits are missing; "" where none is known to be."""
    commits = load_commits(connection)
    if marked <= commits:
        return ""
    return (
        f"the last {marked - commits} of {marked} commits that were acknowledged are missing:"
        " the database, or the log beside it, was damaged or replaced"
    )


def keep_the_log(connection: apsw.Connection) -> None:
    """What is left of the log is not written into the database when this ends: it is all that people have."""
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)


def mend(connection: apsw.Connection, counters: Counters) -> list[ItemId]:
    """Makes indexes and counters anew in a commit of its own; the damaged items, which are quarantined."""
    transaction = Transaction(connection, counters)
    with connection:
        transaction.mend()
        counters.write()
    counters.committed()
    return transaction.damaged
