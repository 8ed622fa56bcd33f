"""Room that is kept for recording what became of mail: a full disk must not make anything be delivered twice.

Messages are turned away while less than MARGIN octets are free beyond what they need. Should something else fill the
disk, a file of FILE_OCTETS is given up, into which the records of many deliveries go.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from restante.store.disk import Disk, Room

MARGIN = 4 * 1024 * 1024
FILE_OCTETS = 2 * 1024 * 1024
INODES = 32
LOOK_EVERY = 0.25
"""Seconds for which one look at the free space is good enough."""


class Reserve:
    """The file that is given up."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        self._disk = disk
        self._folder = folder
        self._path = folder / "reserve"
        self.is_spent = True

    def make(self) -> None:
        """Makes the file, where there is room for it; not having it is no error."""
        with contextlib.suppress(OSError):
            if self._disk.room(self._folder).octets < 2 * FILE_OCTETS:
                return
            self._disk.unlink(self._path)
            descriptor = self._disk.create(self._path)
            try:
                self._disk.allocate(descriptor, FILE_OCTETS)
                self.is_spent = False
            finally:
                self._disk.close(descriptor)

    def give_up(self) -> None:
        """Frees its room."""
        self.is_spent = True
        with contextlib.suppress(OSError):
            self._disk.unlink(self._path)


def has_room(room: Room, octets: int) -> bool:
    """Whether a message of that size may come in: half as much again stays free, and a few names."""
    return room.octets - MARGIN > 1.5 * octets and (room.inodes is None or room.inodes > INODES)
