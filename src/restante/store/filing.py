"""Contents that come to the writer whole and are too large for rows: those of one batch become files, safe together.

Each gets a file of its own, as bodies.py has it. All are synced at the same time, by a thread each, for syncs that wait
together share what they wait for: a commit of the file system's journal, and the flush of the disk. Blocks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from restante.files import FULL
from restante.model import MessageId
from restante.store.bodies import Bodies
from restante.store.disk import Disk, sync_names

THREADS = 8


class Filing:
    """Makes files of contents; used by the thread that commits their rows afterwards."""

    def __init__(self, disk: Disk, bodies: Bodies) -> None:
        self._disk = disk
        self._bodies = bodies
        self._threads = ThreadPoolExecutor(THREADS, "restante-file")

    def file(self, contents: Mapping[MessageId, bytes]) -> dict[MessageId, bytes]:
        """The SHA-256 of each that is safe now, with its name; for the others there was no room.

        Raises OSError where the disk is not to be trusted any more.
        """
        written: list[tuple[MessageId, int]] = []
        for message, content in contents.items():
            if (descriptor := self._write(message, content)) is not None:
                written.append((message, descriptor))
        syncs = self._threads.map(lambda each: self._is_safe(*each), written)
        digests = {message: hashlib.sha256(contents[message]).digest() for message, _ in written}  # while it syncs
        safe = [message for (message, _), is_safe in zip(written, syncs, strict=True) if is_safe]
        self._make_names_safe({self._bodies.path(message).parent for message in safe})
        return {message: digests[message] for message in safe}

    def _write(self, message: MessageId, content: bytes) -> int | None:
        """The file of a content, to be synced; None where there is no room. Raises OSError."""
        try:
            return self._bodies.write(message, content)
        except OSError as error:
            if error.errno in FULL:
                return None
            raise

    def _is_safe(self, message: MessageId, descriptor: int) -> bool:
        """Syncs a file; False where there is no room for it after all. Raises OSError."""
        try:
            self._bodies.sync(message, descriptor)
        except OSError as error:
            if error.errno in FULL:
                return False
            raise
        return True

    def _make_names_safe(self, folders: Iterable[Path]) -> None:
        for _ in self._threads.map(lambda folder: sync_names(self._disk, folder), folders):
            pass

    def close(self) -> None:
        """Ends its threads."""
        self._threads.shutdown()
