"""The one thread that writes, with group commit: what arrived while the last commit ran shares the next one.

Jobs go in by put(), from any thread; each batch's results go back to the event loop in one call. A job that cannot be
stored (no space, an envelope that is not text) fails alone. After an error of the disk nothing is taken any more:
the kernel may have dropped what it could not write, so trying again would acknowledge what is not there.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import apsw

from restante.model import DomainName, ItemId, MessageId, Waiting
from restante.spool.spool import Arrival, Settlement, SpoolBroken, SpoolFull
from restante.store.bodies import Bodies
from restante.store.counters import Counters
from restante.store.disk import Disk
from restante.store.mark import Mark
from restante.store.reserve import MARGIN, Reserve
from restante.store.schema import PAGE
from restante.store.transaction import ArrivalRows, Transaction, rows_of, settled_rows

MOST_JOBS = 4096
MOST_OCTETS = 16 * 1024 * 1024
GATHER_SECONDS = 0.0001
"""How long a commit waits for more, if the one before had several: so many senders share it. A lone one never waits."""
IDLE_SECONDS = 1.0
LOOK_SECONDS = 0.05
"""For which one look at the free space is good enough."""
VACUUM_ABOVE_PAGES = 16384
VACUUM_PAGES = 2048
LOOK_AT_FREE_PAGES = 64
"""Commits without outcomes, after which the database is asked again how many pages are free."""


@dataclass(slots=True, eq=False)
class Accept:
    """A message to store."""

    arrival: Arrival
    done: asyncio.Future[None]


@dataclass(slots=True, eq=False)
class Settle:
    """Outcomes to record."""

    settlements: Sequence[Settlement]
    done: asyncio.Future[None]


@dataclass(slots=True, eq=False)
class Change:
    """Anything else that is written: what `apply` returns is the result."""

    apply: Callable[[Transaction], Any]
    done: asyncio.Future[Any]


Job = Accept | Settle | Change


@dataclass(slots=True)
class Results:
    """What became of one batch: jobs with their results, jobs with their errors, and the counters that changed."""

    done: list[tuple[Job, Any]] = field(default_factory=list)
    failed: list[tuple[Job, Exception]] = field(default_factory=list)
    counters: dict[DomainName, Waiting] = field(default_factory=dict)
    bodies_gone: list[MessageId] = field(default_factory=list)
    damaged: list[ItemId] = field(default_factory=list)
    """Items whose rows were found damaged, and are quarantined."""


@dataclass(slots=True)
class _Batch:
    """The jobs of one commit with their rows, made before the transaction so that a bad one fails alone."""

    accepts: list[tuple[Accept, ArrivalRows]] = field(default_factory=list)
    settles: list[tuple[Settle, list[bytes | None], list[ArrivalRows]]] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    @property
    def octets(self) -> int:
        """Content that the database is to take."""
        return sum(rows[0][1] for job, rows in self.accepts if isinstance(job.arrival.content, bytes))  # type: ignore[misc]


class Writer:
    """The writing thread; `tell` is called in the event loop with each batch's results."""

    def __init__(
        self,
        connection: apsw.Connection,
        counters: Counters,
        *,
        disk: Disk,
        folder: Path,
        bodies: Bodies,
        reserve: Reserve,
        mark: Mark,
        loop: asyncio.AbstractEventLoop,
        tell: Callable[[Results], None],
    ) -> None:
        self._connection = connection
        self._counters = counters
        self._disk = disk
        self._folder = folder
        self._bodies = bodies
        self._reserve = reserve
        self._mark = mark
        self._loop = loop
        self._tell = tell
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._is_ending = False
        self.put: Callable[[Job], None] = self._jobs.put
        """Hands in a job; it is in the next commit."""
        self.broken: SpoolBroken | None = None
        self.free_pages = int(str(connection.pragma("freelist_count")))
        """Pages of the database that can be written again."""
        self._commits = 0
        self._was_shared = False
        self._looked = float("-inf")
        self._free = 0  # octets on the disk at the last look, less what was taken since
        self._thread = threading.Thread(target=self._run, name="restante-spool", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Does what was handed in before, and ends the thread; blocks."""
        self._jobs.put(None)
        self._thread.join()

    def fail(self, error: BaseException) -> SpoolBroken:
        """The store is not to be trusted any more; the error for all who ask."""
        if self.broken is None:
            self.broken = SpoolBroken(f"{type(error).__name__}: {error}")
        return self.broken

    # the thread

    def _run(self) -> None:
        while not self._is_ending:
            jobs = self._gather()
            if not jobs:
                self._tidy()
                continue
            results = self._perform(jobs)
            self._loop.call_soon_threadsafe(self._tell, results)
            if self.broken is None:
                self._mark.write(self._counters.commits)  # nobody waits for it
            self._remove_bodies(results)

    def _gather(self) -> list[Job]:
        """Waits for a job, then takes all that are there, within bounds; nothing when there is time to tidy up."""
        jobs: list[Job] = []
        octets = 0
        try:
            job = self._jobs.get(timeout=IDLE_SECONDS if self._is_untidy else None)
            if self._was_shared:
                time.sleep(GATHER_SECONDS)
            while job is not None:
                jobs.append(job)
                if isinstance(job, Accept):
                    octets += job.arrival.size
                if octets > MOST_OCTETS or len(jobs) >= MOST_JOBS:
                    return jobs
                job = self._jobs.get_nowait()
            self._is_ending = True
        except Empty:
            pass
        self._was_shared = len(jobs) > 1
        return jobs

    def _perform(self, jobs: Sequence[Job]) -> Results:
        results = Results()
        if self.broken is None:
            batch = _prepare(jobs, results)
            try:
                self._keep_room(batch, results)
                self._commit_or_make_room(batch, results)
            except Exception as error:  # noqa: BLE001 - whatever it is, what is on disk is no longer known
                self.fail(error)
        if self.broken is not None:
            results = Results(failed=[(job, self.broken) for job in jobs])
        return results

    def _keep_room(self, batch: _Batch, results: Results) -> None:
        """Turns messages away before they take the room that outcomes need."""
        if not batch.accepts:
            return
        needed = 2 * batch.octets
        if (now := time.monotonic()) > self._looked + LOOK_SECONDS or needed > self._free:
            self._looked = now
            self._free = self._disk.room(self._folder).octets - MARGIN
        free = self._free + self.free_pages * PAGE
        self._free -= needed
        if free < needed:
            _turn_away(batch, results, free)
        elif self._reserve.is_spent:
            self._reserve.make()

    def _commit_or_make_room(self, batch: _Batch, results: Results) -> None:
        """Should the disk be full all the same: without the messages, then with the reserve, then never again."""

        def without_messages() -> None:
            _turn_away(batch, results, self._disk.room(self._folder).octets)

        for make_room in (without_messages, self._reserve.give_up):
            try:
                self._commit(batch, results)
            except apsw.FullError:
                self._roll_back()
                make_room()
            else:
                return
        self._commit(batch, results)

    def _commit(self, batch: _Batch, results: Results) -> None:
        if not (batch.accepts or batch.settles or batch.changes):
            return
        connection = self._connection
        transaction = Transaction(connection, self._counters)
        connection.execute("BEGIN IMMEDIATE")
        transaction.insert([rows for _, rows in batch.accepts] + [row for _, _, rows in batch.settles for row in rows])
        settlements = [each for job, _, _ in batch.settles for each in job.settlements]
        transaction.settle(settlements, [envelope for _, envelopes, _ in batch.settles for envelope in envelopes])
        changed: list[tuple[Job, Any]] = [(change, change.apply(transaction)) for change in batch.changes]
        self._counters.write()
        self._commits += 1
        if batch.settles or batch.changes or self._commits % LOOK_AT_FREE_PAGES == 0:
            self.free_pages = int(str(connection.pragma("freelist_count")))
        connection.execute("COMMIT")
        results.done = [(job, None) for job, _ in batch.accepts]
        results.done += [(job, None) for job, _, _ in batch.settles]
        results.done += changed
        results.counters = self._counters.committed()
        results.bodies_gone = transaction.bodies_gone
        results.damaged = transaction.damaged

    def _roll_back(self) -> None:
        self._counters.rolled_back()
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _remove_bodies(self, results: Results) -> None:
        """Removes files that no item needs; what cannot be removed is found at the next start."""
        gone = list(results.bodies_gone)
        for job, error in results.failed:
            if isinstance(job, Accept) and isinstance(error, SpoolFull) and not isinstance(job.arrival.content, bytes):
                gone.append(job.arrival.id)
        for message in gone:
            self._bodies.remove(message)

    # when there is nothing to do

    @property
    def _is_untidy(self) -> bool:
        return self.broken is None and (bool(self._counters.stale) or self.free_pages > VACUUM_ABOVE_PAGES)

    def _tidy(self) -> None:
        """Makes counters exact that are only safe, and gives free space back to the file system."""
        if self._is_ending or not self._is_untidy:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._counters.refresh_all()
            self._counters.write()
            if self.free_pages > VACUUM_ABOVE_PAGES:
                self._connection.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
            self.free_pages = int(str(self._connection.pragma("freelist_count")))
            self._connection.execute("COMMIT")
        except apsw.FullError:
            self._roll_back()
        except Exception as error:  # noqa: BLE001 - as in _perform()
            self.fail(error)
        else:
            changed = self._counters.committed()
            self._mark.write(self._counters.commits)
            self._loop.call_soon_threadsafe(self._tell, Results(counters=changed))


def _prepare(jobs: Sequence[Job], results: Results) -> _Batch:
    batch = _Batch()
    for job in jobs:
        try:
            match job:
                case Accept(arrival=arrival):
                    batch.accepts.append((job, rows_of(arrival)))
                case Settle(settlements=settlements):
                    batch.settles.append((job, *settled_rows(settlements)))
                case Change():
                    batch.changes.append(job)
        except (UnicodeEncodeError, AssertionError) as error:
            results.failed.append((job, error))
    return batch


def _turn_away(batch: _Batch, results: Results, free: int) -> None:
    for job, _ in batch.accepts:
        results.failed.append((job, SpoolFull(job.arrival.size, max(0, free))))
    batch.accepts = []
