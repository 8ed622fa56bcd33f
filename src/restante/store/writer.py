"""The writer as a thread of this process: what arrived while the last commit ran shares the next one.

For tools that open a spool for a moment, and for tests that have the disk in their hands; a server writes in a process
of its own (process.py), where its commands and its commits do not take the interpreter from one another.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Protocol

from restante.spool.spool import SpoolBroken
from restante.store.commits import GATHER_SECONDS, IDLE_SECONDS, MOST_JOBS, MOST_OCTETS, Commits, octets_of
from restante.store.jobs import Job, Results


class Writer(Protocol):
    """Where jobs go. Their results are told in the event loop."""

    @property
    def broken(self) -> SpoolBroken | None:
        """Why nothing is taken any more."""
        ...

    @property
    def free_pages(self) -> int:
        """Pages of the database that can be written again, as far as known."""
        ...

    def put(self, job: Job) -> None:
        """Hands in a job, from the event loop; it is in the next commit."""
        ...

    def fail(self, error: BaseException) -> SpoolBroken:
        """The store is not to be trusted any more; the error for all who ask."""
        ...

    async def finish(self) -> None:
        """Does what was handed in before, and lets go of the database."""
        ...


class ThreadWriter:
    """The writing thread; `tell` is called in the event loop with each batch's results."""

    def __init__(self, commits: Commits, *, loop: asyncio.AbstractEventLoop, tell: Callable[[Results], None]) -> None:
        self._commits = commits
        self._loop = loop
        self._tell = tell
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._is_ending = False
        self.put: Callable[[Job], None] = self._jobs.put
        """Hands in a job; it is in the next commit."""
        self._was_shared = False
        self._thread = threading.Thread(target=self._run, name="restante-spool", daemon=True)
        self._thread.start()

    @property
    def broken(self) -> SpoolBroken | None:
        """Why nothing is taken any more."""
        return None if self._commits.broken is None else SpoolBroken(self._commits.broken)

    @property
    def free_pages(self) -> int:
        """Pages of the database that can be written again."""
        return self._commits.free_pages

    async def finish(self) -> None:
        """Does what was handed in before, ends the thread, and lets go of the database."""
        self._jobs.put(None)
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        self._thread.join()
        self._commits.close()

    def fail(self, error: BaseException) -> SpoolBroken:
        """The store is not to be trusted any more; the error for all who ask."""
        return SpoolBroken(self._commits.fail(error))

    # the thread

    def _run(self) -> None:
        while not self._is_ending:
            jobs = self._gather()
            if jobs:
                self._perform(jobs)
            elif self._commits.is_untidy and not self._is_ending:
                self._loop.call_soon_threadsafe(self._tell, self._commits.tidy())

    def _perform(self, jobs: list[Job]) -> None:
        results = self._commits.perform(jobs)
        self._loop.call_soon_threadsafe(self._tell, results)
        self._commits.settle_down()

    def _gather(self) -> list[Job]:
        """Waits for a job, then takes all that are there, within bounds; nothing when there is time to tidy up."""
        jobs: list[Job] = []
        octets = 0
        try:
            job = self._jobs.get(timeout=IDLE_SECONDS if self._commits.is_untidy else None)
            if self._was_shared:
                time.sleep(GATHER_SECONDS)
            while job is not None:
                jobs.append(job)
                octets += octets_of(job)
                if octets > MOST_OCTETS or len(jobs) >= MOST_JOBS:
                    return jobs
                job = self._jobs.get_nowait()
            self._is_ending = True
        except Empty:
            pass
        self._was_shared = len(jobs) > 1
        return jobs
