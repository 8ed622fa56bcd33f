"""The look at a large spool after its start: items against their indexes, and counters against the items, in portions.

Each portion is a question of its own, of some thousandths of a second: the log can be checkpointed between two of
them, and whatever is written meanwhile is either in all that a question sees or in nothing of it. Between them is a
pause three times as long as the last one took. It has a connection and a thread of its own: nobody waits for it.
What start.py asks SQLite's own check of a small spool is asked here by comparing what rows and indexes say.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import apsw

ROWS = 2000
DOMAINS = 200
"""What one portion has, of items and of counters."""
PAUSE = 3
"""How many times as long as a portion has taken the pause behind it is: mail needs the machine, too."""

_SAME = "b.domain = a.domain AND b.rank = a.rank AND b.size = a.size AND b.next_attempt = a.next_attempt"
_ROWS = f"""
SELECT max(id), total(
    CASE state WHEN 0 THEN NOT EXISTS (
        SELECT 1 FROM items AS b INDEXED BY items_waiting
        WHERE b.state = 0 AND b.id = a.id AND {_SAME} AND b.arrived = a.arrived)
    ELSE NOT EXISTS (
        SELECT 1 FROM items AS b INDEXED BY items_stopped
        WHERE b.state <> 0 AND b.state = a.state AND b.domain = a.domain AND b.id = a.id) END)
FROM (SELECT * FROM items NOT INDEXED WHERE id > ? AND id <= ? ORDER BY id LIMIT ?) AS a"""  # noqa: S608 - constants
_UP_TO = "SELECT max(domain) FROM (SELECT domain FROM counters WHERE domain > ? ORDER BY domain LIMIT ?)"
_WAITING = f"""
SELECT count(*) FROM (
    SELECT a.domain AS domain, count(*) AS items, sum(a.size) AS octets, min(a.arrived) AS oldest,
        total(b.id IS NULL) AS without_row
    FROM items AS a INDEXED BY items_waiting
    LEFT JOIN items AS b NOT INDEXED ON b.id = a.id AND b.state = 0 AND {_SAME} AND b.arrived = a.arrived
    WHERE a.state = 0 AND a.domain > ?1 AND a.domain <= ?2 GROUP BY a.domain) AS found
FULL JOIN (SELECT * FROM counters WHERE domain > ?1 AND domain <= ?2) AS written USING (domain)
WHERE found.items IS NOT written.items OR found.octets IS NOT written.octets
OR written.oldest > found.oldest OR found.without_row"""  # noqa: S608 - constants
_STOPPED = """
SELECT count(*) FROM items AS a INDEXED BY items_stopped
LEFT JOIN items AS b NOT INDEXED ON b.id = a.id AND b.state = a.state AND b.domain = a.domain
WHERE a.state <> 0 AND b.id IS NULL"""
_BEHIND_ALL = b""
"""SQLite sorts it behind every text."""


class Look:
    """One look at all of a spool. Blocks; for one thread, but for interrupt()."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._portions = self._all()

    def next(self) -> bool | None:
        """Looks at one portion more: whether it is right; None when all was seen. Raises apsw.Error."""
        try:
            return next(self._portions, None)
        except (UnicodeDecodeError, apsw.SQLError):  # a name that is no text; sums that are too large
            return False

    def interrupt(self) -> None:
        """Ends a portion that is under way, by an apsw.InterruptError. For any thread."""
        with contextlib.suppress(apsw.ConnectionClosedError):
            self._connection.interrupt()

    def close(self) -> None:
        """Lets go of the connection."""
        self._connection.close()

    def _all(self) -> Iterator[bool]:
        yield from self._rows()
        yield from self._waiting()
        yield not self._connection.execute(_STOPPED).get

    def _rows(self) -> Iterator[bool]:
        """Each item's row, of those that were there at the beginning, is in the index in which it belongs."""
        after, end = 0, self._connection.execute("SELECT max(id) FROM items").get
        while True:
            last, wrong = self._connection.execute(_ROWS, (after, end, ROWS)).get
            if last is None:
                return
            after = last
            yield not wrong

    def _waiting(self) -> Iterator[bool]:
        """Each entry of what waits is of a row, and each counter counts the entries of its domain."""
        after = ""
        while (last := self._connection.execute(_UP_TO, (after, DOMAINS)).get) is not None:
            yield not self._connection.execute(_WAITING, (after, last)).get
            after = last
        yield not self._connection.execute(_WAITING, (after, _BEHIND_ALL)).get


async def is_right(open_reading: Callable[[], apsw.Connection]) -> bool:
    """Whether all of a spool is right, by a connection that is opened for that; ends at the first that is not.

    Raises apsw.Error.
    """
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(1, "restante-look")
    opening = loop.run_in_executor(thread, open_reading)
    look: Look | None = None
    try:
        look = Look(await asyncio.shield(opening))
        while True:
            began = time.monotonic()
            seen = await loop.run_in_executor(thread, look.next)
            if not seen:
                return seen is None
            await asyncio.sleep(PAUSE * (time.monotonic() - began))
    finally:  # whoever ends this may go on only when the thread has let go of the database
        if look is not None:
            look.interrupt()
            await loop.run_in_executor(thread, look.close)
        elif not opening.cancelled():
            with contextlib.suppress(apsw.Error):
                (await opening).close()
        thread.shutdown(wait=False)
