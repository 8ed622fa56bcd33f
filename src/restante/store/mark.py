"""How many commits were acknowledged, written beside the database after each of them, and not synced.

SQLite takes a log with a bad frame in it for one that was never finished, and goes on without the rest. After a power
cut that is right, for what was synced has no bad frames; after damage it would lose acknowledged mail in silence. The
mark is written only after its commit is safe. So if it counts more commits than the database, the database has lost
some; if it was lost itself, nothing is known, and nothing is claimed.
"""

from __future__ import annotations

import contextlib
from hashlib import blake2b
from pathlib import Path

from restante.store.disk import Disk

NAME = "mark"


class Mark:
    """The mark of one spool. Trouble with it is no trouble with mail, and raises nothing."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        self._disk = disk
        self._path = folder / NAME
        self._descriptor: int | None = None

    def read(self) -> int:
        """The number of commits that it knows of; 0 where there is none, or it is damaged."""
        try:
            descriptor = self._disk.open(self._path)
        except OSError:
            return 0
        try:
            written = self._disk.read(descriptor, 0, 16)
        except OSError:
            return 0
        finally:
            self._disk.close(descriptor)
        return int.from_bytes(written[:8], "big") if written == _octets(int.from_bytes(written[:8], "big")) else 0

    def start(self, commits: int) -> None:
        """Makes it anew."""
        with contextlib.suppress(OSError):
            self._disk.unlink(self._path)
            self._descriptor = self._disk.create(self._path)
        self.write(commits)

    def write(self, commits: int) -> None:
        """So many commits are safe."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                self._disk.overwrite(self._descriptor, _octets(commits))

    def close(self) -> None:
        """Lets go of the file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            self._disk.close(descriptor)


def _octets(commits: int) -> bytes:
    number = commits.to_bytes(8, "big")
    return number + blake2b(number, digest_size=8).digest()
