"""The directory of file and store, read anew within a second when another process has changed the store.

A look costs some microseconds on the event loop; reading rows, and building a directory of them, are done in a
thread. What goes wrong is tried again, and the directory that is in force stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from threading import Lock

from restante.clock import Clock
from restante.config.build import directory_of
from restante.config.kept import KeptReader
from restante.config.problems import Problem
from restante.config.settings import Settings
from restante.directory.entries import Directory
from restante.store.book import BookUnusable, open_book

LOOK_SECONDS = 0.5


class StoreWatch:
    """Reads the users and domains in the store, and sees when they change. `folder`: of paths in the configuration."""

    def __init__(self, data: Path, folder: Path) -> None:
        """Opens the book, and makes it where there is none. Raises BookUnusable."""
        self._book = open_book(data)
        self._looker = open_book(data)  # a connection cannot be used by two threads at once
        self._reader = KeptReader(self._book, folder)
        self._lock = Lock()
        self._task: asyncio.Task[None] | None = None
        self.file = self._book.file
        self.lost = self._book.lost
        """Why nothing is kept there, though there was a file; else empty."""
        self.problems: tuple[Problem, ...] = ()
        """What was skipped in the last build()."""

    async def build(self, settings: Settings, *, afresh: bool = False) -> Directory:
        """The directory of now. `afresh`: files that rows name are read again, too. Raises BookUnusable."""
        return await asyncio.to_thread(self._build, settings, afresh=afresh)

    def _build(self, settings: Settings, *, afresh: bool) -> Directory:
        with self._lock:
            kept = self._reader.read(afresh=afresh)
            self.problems = kept.problems
            return directory_of(settings, kept)

    def start(self, changed: Callable[[], Awaitable[None]], clock: Clock) -> None:
        """Calls `changed` after each change, until stop(); what it raises as BookUnusable is tried again."""
        self._task = asyncio.get_running_loop().create_task(self._watch(changed, clock))

    async def stop(self) -> None:
        """Looks no more, and lets go of the book."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        with self._lock:  # a build() that was cancelled may still run
            self._book.close()
            self._looker.close()

    async def _watch(self, changed: Callable[[], Awaitable[None]], clock: Clock) -> None:
        is_due = False
        while True:
            await clock.sleep(LOOK_SECONDS)
            try:
                is_due |= self._looker.has_changed()
                if is_due:
                    await changed()
                    is_due = False
            except BookUnusable:
                is_due = True
