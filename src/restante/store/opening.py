"""Opening a spool: its folder, its lock, its database, what a crash has left beside it. Blocks; runs in a thread.

Of a small spool the items are read, by SQLite's own check; a large one is looked at later (look.py). The counters, a
row for each domain, are always read (0.15 s for 100,000), and the names of body files.
"""

from __future__ import annotations

import time
from pathlib import Path

import apsw

from restante.model import ITEM_BITS, MAX_ITEMS_PER_MESSAGE, MessageId
from restante.spool.spool import SpoolInUse, SpoolUnusable
from restante.store.bodies import Bodies
from restante.store.commits import Commits, open_commits
from restante.store.counters import Counters
from restante.store.disk import Disk, make_folders
from restante.store.doubt import is_doubtful, trust
from restante.store.mark import Mark
from restante.store.schema import open_database, open_for_reading
from restante.store.start import check_at_start

_HAS_FILE = f"""
SELECT 1 FROM messages WHERE id = ? AND content IS NULL UNION ALL
SELECT 1 FROM (SELECT ? AS message) CROSS JOIN items NOT INDEXED ON items.id BETWEEN message << {ITEM_BITS}
AND (message << {ITEM_BITS}) + {MAX_ITEMS_PER_MESSAGE} LIMIT 1"""  # noqa: S608 - constants

LOCK_SECONDS = 1.0
"""For how long a tool waits for the lock."""
SERVER_LOCK_SECONDS = 6.0
"""The same for a server: one that was killed may have left its writer in the middle of a commit, on a slow disk."""


class Parts:
    """A spool's parts, checked and swept, before the event loop has them. `lock` is the held one's descriptor."""

    def __init__(self, folder: Path, disk: Disk, lock: int, *, has_writer: bool) -> None:
        self.folder, self.disk, self.lock = folder, disk, lock
        connection = open_database(disk, folder)
        disk.sync_folder(folder)
        try:
            doubtful = is_doubtful(disk, folder)
            self.start = check_at_start(connection, Mark(disk, folder).read(), is_doubtful=doubtful)
            if doubtful:
                trust(disk, folder)
        except BaseException:
            connection.close()
            raise
        self.reading = open_for_reading(disk, folder)
        self.bodies = Bodies(disk, folder)
        self.bodies.prepare()
        self.bodies.sweep(lambda message: connection.execute(_HAS_FILE, (message, message)).get is not None)
        self.last: MessageId | None = connection.execute("SELECT max(id) FROM messages").get
        self.commits: Commits | None = None
        """The writer; None where somebody else is going to write."""
        if has_writer:
            counters = Counters(connection, self.start.waiting.copy(), self.start.commits)
            self.commits = open_commits(disk, folder, connection, counters)
        else:
            connection.close()


def open_parts(folder: Path, disk: Disk, *, has_writer: bool = True) -> Parts:
    """Opens or makes what is in a folder. Raises SpoolInUse, SpoolUnusable; then the lock is free again."""
    try:
        make_folders(disk, folder)
        lock = _take_lock(disk, folder / "lock", LOCK_SECONDS if has_writer else SERVER_LOCK_SECONDS)
    except BlockingIOError:
        raise SpoolInUse(str(folder)) from None
    except OSError as error:
        raise SpoolUnusable(f"{folder} cannot be used: {error.strerror or error}") from None
    try:
        return Parts(folder, disk, lock, has_writer=has_writer)
    except SpoolUnusable:
        disk.close(lock)
        raise
    except (apsw.CorruptError, apsw.NotADBError) as error:
        disk.close(lock)
        raise SpoolUnusable(f"{folder} cannot be used: {error} (restante fsck tells more)") from None
    except (OSError, apsw.Error, UnicodeDecodeError) as error:
        disk.close(lock)
        raise SpoolUnusable(f"{folder} cannot be used: {error}") from None


def _take_lock(disk: Disk, path: Path, seconds: float) -> int:
    """Raises BlockingIOError when another process keeps it for so long."""
    until = time.monotonic() + seconds
    while True:
        try:
            return disk.lock(path)
        except BlockingIOError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
