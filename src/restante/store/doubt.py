"""A sign beside the database that the store broke: the next start then looks at all of it first, however large it is.

So what a look after the start (look.py) had not reached yet, and somebody ran into, cannot break the store twice.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from restante.store.disk import Disk

NAME = "doubtful"


def doubt(disk: Disk, folder: Path) -> None:
    """The store broke. A disk that cannot say so has no use for it either."""
    with contextlib.suppress(OSError):
        disk.close(disk.create(folder / NAME))


def is_doubtful(disk: Disk, folder: Path) -> bool:
    """Whether it broke since trust() was last called. Raises OSError."""
    return NAME in disk.names(folder)


def trust(disk: Disk, folder: Path) -> None:
    """All of it was looked at. Raises OSError."""
    disk.unlink(folder / NAME)
