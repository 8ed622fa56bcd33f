"""Group commit: a batch of jobs in, one durable transaction, what became of each out. Blocks; knows no thread.

A job for which there is no space fails alone. After an error of the disk nothing is taken any more: the kernel may
have dropped what it could not write, so trying again would acknowledge what is not there.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import apsw
from msgspec import structs

from restante.model import ItemId, MessageId
from restante.spool.spool import INLINE_LIMIT
from restante.store.bodies import Bodies
from restante.store.counters import Counters
from restante.store.disk import Disk
from restante.store.doubt import doubt
from restante.store.filing import Filing
from restante.store.jobs import Accept, Broken, Change, Full, Job, Results, Settle
from restante.store.mark import Mark
from restante.store.reserve import MARGIN, Reserve
from restante.store.schema import PAGE
from restante.store.transaction import Transaction

MOST_JOBS = 4096
MOST_OCTETS = 16 * 1024 * 1024
"""What one commit takes at most, of jobs and of octets that they bring."""
GATHER_SECONDS = 0.0001
"""How long a commit waits for more, if it has less than half of what the one before had: so many senders share it. A
lone one never waits. Longer waits make larger commits, and cost each message less, but in lock-step the server then
waits for its writer."""
IDLE_SECONDS = 1.0
"""How long nothing has come when there is time to tidy up."""
LOOK_SECONDS = 0.05
"""For which one look at the free space is good enough."""
VACUUM_ABOVE_PAGES = 16384
VACUUM_PAGES = 2048
LOOK_AT_FREE_PAGES = 64
"""Commits without outcomes, after which the database is asked again how many pages are free."""


class _Batch:
    """The jobs of one commit, by kind, in order."""

    __slots__ = ("accepts", "bodies_gone", "changes", "settles")

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.accepts = [job for job in jobs if type(job) is Accept]
        self.settles = [job for job in jobs if type(job) is Settle]
        self.changes = [job for job in jobs if type(job) is Change]
        self.bodies_gone: list[MessageId] = []

    @property
    def octets(self) -> int:
        """What its contents take of the disk: in the database twice, for they are in its log before."""
        return sum(octets_of(job) * (1 if _large(job) else 2) for job in self.accepts)

    def turn_away(self, results: Results, free: int) -> None:
        """No message of it is taken."""
        for job in self.accepts:
            results.failed.append((job.number, Full(job.message.size, max(0, free))))
            if job.message.content is None:
                self.bodies_gone.append(job.message.id)
        self.accepts = []


class Commits:
    """The one writer of a spool. perform() a batch, answer those who asked, then settle_down()."""

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
    ) -> None:
        self._connection = connection
        self._counters = counters
        self._disk = disk
        self._folder = folder
        self._bodies = bodies
        self._filing = Filing(disk, bodies)
        self._reserve = reserve
        self._mark = mark
        self._bodies_gone: list[MessageId] = []
        self.broken: str | None = None
        """Why nothing is taken any more."""
        self.free_pages = int(str(connection.pragma("freelist_count")))
        self._commits = 0
        self._looked = float("-inf")
        self._free = 0  # octets on the disk at the last look, less what was taken since

    def fail(self, error: BaseException) -> str:
        """The store is not to be trusted any more; why."""
        if self.broken is None:
            self.broken = f"{type(error).__name__}: {error}"
            doubt(self._disk, self._folder)
        return self.broken

    def perform(self, jobs: Sequence[Job]) -> Results:
        """Commits what can be committed. What is `done` is durable."""
        results = Results()
        if self.broken is None:
            batch = _Batch(jobs)
            try:
                self._keep_room(batch, results)
                self._file(batch, results)
                self._commit_or_make_room(batch, results)
            except Exception as error:  # noqa: BLE001 - whatever it is, what is on disk is no longer known
                self.fail(error)
            self._bodies_gone += batch.bodies_gone
        if self.broken is not None:
            failure = Broken(self.broken)
            results = Results(failed=[(job.number, failure) for job in jobs])
        return self._told(results)

    def _told(self, results: Results) -> Results:
        results.free_pages = self.free_pages
        results.broken = self.broken or ""
        return results

    def settle_down(self) -> None:
        """What nobody waits for: the mark, and files that no item needs; one that stays is found at the next start."""
        if self.broken is None:
            self._mark.write(self._counters.commits)
        for message in self._bodies_gone:
            self._bodies.remove(message)
        self._bodies_gone.clear()

    def _keep_room(self, batch: _Batch, results: Results) -> None:
        """Turns messages away before they take the room that outcomes need."""
        if not batch.accepts:
            return
        needed = batch.octets
        if (now := time.monotonic()) > self._looked + LOOK_SECONDS or needed > self._free:
            self._looked = now
            self._free = self._disk.room(self._folder).octets - MARGIN
        free = self._free + self.free_pages * PAGE
        self._free -= needed
        if free < needed:
            batch.turn_away(results, free)
        elif self._reserve.is_spent:
            self._reserve.make()

    def _file(self, batch: _Batch, results: Results) -> None:
        """Contents too large for rows become files, which are safe before their rows are written."""
        large = {job.message.id: content for job in batch.accepts if (content := _large(job)) is not None}
        if not large:
            return
        digests = self._filing.file(large)
        accepts, batch.accepts = batch.accepts, []
        for job in accepts:
            if job.message.id not in large:
                batch.accepts.append(job)
            elif (digest := digests.get(job.message.id)) is not None:
                message = structs.replace(job.message, content=None, digest=digest)
                batch.accepts.append(Accept(job.number, message, job.notices))
            else:
                results.failed.append((job.number, Full(job.message.size, 0)))

    def _commit_or_make_room(self, batch: _Batch, results: Results) -> None:
        """Should the disk be full all the same: without the messages, then with the reserve, then never again."""

        def without_messages() -> None:
            batch.turn_away(results, self._disk.room(self._folder).octets)

        ways: tuple[Callable[[], None], ...] = (without_messages, self._reserve.give_up)
        for make_room in ways:
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
        transaction.insert(
            [job.message for job in batch.accepts]
            + [notice for job in batch.accepts for notice in job.notices]
            + [report for job in batch.settles for report in job.reports]
        )
        transaction.settle([outcome for job in batch.settles for outcome in job.outcomes])
        changed = [(job.number, transaction.change(job.verb, job.ids)) for job in batch.changes]
        self._counters.write()
        self._commits += 1
        if batch.settles or batch.changes or self._commits % LOOK_AT_FREE_PAGES == 0:
            self.free_pages = int(str(connection.pragma("freelist_count")))
        connection.execute("COMMIT")
        nothing: list[ItemId] = []
        results.done = [(job.number, nothing) for job in batch.accepts]
        results.done += [(job.number, nothing) for job in batch.settles]
        results.done += changed
        results.counters = self._counters.committed()
        results.thawed = transaction.thawed
        results.damaged = transaction.damaged
        batch.bodies_gone += transaction.bodies_gone

    def _roll_back(self) -> None:
        self._counters.rolled_back()
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    # when there is nothing to do

    @property
    def is_untidy(self) -> bool:
        """Whether tidy() would do something."""
        return self.broken is None and (bool(self._counters.stale) or self.free_pages > VACUUM_ABOVE_PAGES)

    def tidy(self) -> Results:
        """Makes counters exact that are only safe, and gives free space back to the file system; what changed."""
        assert self.is_untidy
        results = Results()
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
        except Exception as error:  # noqa: BLE001 - as in perform()
            self.fail(error)
        else:
            results.counters = self._counters.committed()
            self._mark.write(self._counters.commits)
        return self._told(results)

    def close(self) -> None:
        """Lets go of the database."""
        self._filing.close()
        with contextlib.suppress(apsw.Error):  # the store may be broken
            self._connection.close()  # the last one writes the log back into the database
        self._mark.close()


def open_commits(disk: Disk, folder: Path, connection: apsw.Connection, counters: Counters) -> Commits:
    """The writer of a spool that was checked; makes its mark and its reserve anew."""
    mark = Mark(disk, folder)
    mark.start(counters.commits)
    reserve = Reserve(disk, folder)
    reserve.make()
    bodies = Bodies(disk, folder)
    return Commits(connection, counters, disk=disk, folder=folder, bodies=bodies, reserve=reserve, mark=mark)


def octets_of(job: Job) -> int:
    """How much a job adds to a commit."""
    return job.message.size if isinstance(job, Accept) and job.message.content is not None else 0


def _large(job: Accept) -> bytes | None:
    """Content that is not for a row."""
    content = job.message.content
    return content if content is not None and len(content) > INLINE_LIMIT else None
