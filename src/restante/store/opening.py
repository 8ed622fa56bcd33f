"""Opening a spool: its folder, its lock, its database, what a crash has left beside it. Blocks; runs in a thread.

Nothing is read that grows with what waits, but the counters, one row for each domain.
"""

from __future__ import annotations

from pathlib import Path

import apsw

from restante.model import MessageId
from restante.spool.spool import SpoolInUse, SpoolUnusable
from restante.store.bodies import Bodies
from restante.store.counters import load
from restante.store.disk import Disk, make_folders
from restante.store.reserve import Reserve
from restante.store.schema import open_database, open_for_reading


class Parts:
    """A spool's parts, checked and swept, before the event loop has them. `lock` is the held one's descriptor."""

    def __init__(self, folder: Path, disk: Disk, lock: int) -> None:
        self.folder, self.disk, self.lock = folder, disk, lock
        self.connection = open_database(disk, folder)
        disk.sync_folder(folder)
        self.reading = open_for_reading(disk, folder)
        self.bodies = Bodies(disk, folder)
        self.bodies.prepare()
        self.bodies.sweep(self._has_file)
        self.reserve = Reserve(disk, folder)
        self.reserve.make()
        self.waiting = load(self.connection)
        self.last: MessageId | None = self.connection.execute("SELECT max(id) FROM messages").get

    def _has_file(self, message: MessageId) -> bool:
        query = "SELECT 1 FROM messages WHERE id = ? AND content IS NULL"
        return self.connection.execute(query, (message,)).get is not None


def open_parts(folder: Path, disk: Disk) -> Parts:
    """Opens or makes what is in a folder. Raises SpoolInUse, SpoolUnusable; then the lock is free again."""
    try:
        make_folders(disk, folder)
        lock = disk.lock(folder / "lock")
    except BlockingIOError:
        raise SpoolInUse(str(folder)) from None
    except OSError as error:
        raise SpoolUnusable(f"{folder} cannot be used: {error.strerror or error}") from None
    try:
        return Parts(folder, disk, lock)
    except SpoolUnusable:
        disk.close(lock)
        raise
    except (OSError, apsw.Error) as error:
        disk.close(lock)
        raise SpoolUnusable(f"{folder} cannot be used: {error}") from None
