"""The embedded engine of the spool (spool.Spool): SQLite for items and small contents, files for large ones.

The event loop keeps the counters and the claims in memory. A process of its own (process.py), or outside a server a
thread (writer.py), writes with group commit (commits.py), a thread reads (reader.py), a few stream bodies (bodies.py).
One server has a spool at a time: it and its writer hold a lock on a file beside it.
After a crash start has nothing to repair: SQLite recovers by itself, claims died with the process, and body files that
belong to no row are removed. What damage has done is looked for at start (start.py), in a large spool after it
(look.py), and whenever a row is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import apsw
import msgspec
from msgspec import structs

from restante.facts import Announce, Fact, ItemDamaged, SpoolMended
from restante.files import FULL
from restante.model import (
    MAX_ITEMS_PER_MESSAGE,
    DomainName,
    IdSource,
    Item,
    ItemId,
    ItemState,
    MessageId,
    Order,
    Waiting,
    item_id,
)
from restante.spool.spool import (
    Arrival,
    ContentWriter,
    Due,
    Filter,
    Health,
    Settlement,
    SpoolBroken,
    SpoolFull,
    SpoolUnusable,
)
from restante.store.bodies import ContentFile, open_content
from restante.store.claims import MOST_LATE, Busy, Claims, Cursor
from restante.store.counters import NOTHING
from restante.store.disk import Disk, Room
from restante.store.jobs import (
    Accept,
    Change,
    Job,
    Results,
    Verb,
    error_of,
    write_arrival,
    write_settlements,
)
from restante.store.look import is_right
from restante.store.opening import Parts, open_parts
from restante.store.process import ProcessWriter
from restante.store.reader import FIRST, InFile, Key, Reader
from restante.store.reserve import LOOK_EVERY, MARGIN, has_room
from restante.store.rows import FROZEN, WAITING
from restante.store.schema import PAGE, open_for_reading
from restante.store.timing import CommitTimes
from restante.store.writer import ThreadWriter, Writer

BODY_THREADS = 4
READ_AHEAD = 1024
SORTED_AHEAD = 32 * READ_AHEAD
SORTED_PART = 16
"""Where keys must be sorted, many are read at once, and at least this part of what waits: few looks read it all."""

_T = TypeVar("_T")
_P = ParamSpec("_P")


def _nobody_listens(fact: Fact) -> None:
    """For those who open a spool and have no log."""


async def open_spool(
    folder: Path,
    *,
    wall: Callable[[], float] = time.time,
    disk: Disk | None = None,
    announce: Announce = _nobody_listens,
) -> SqliteSpool:
    """Opens the spool in a folder, made where there is none; written by a thread. Raises SpoolInUse, SpoolUnusable.

    Items whose rows turn out to be damaged are quarantined and announced, now or whenever they are looked at.
    """
    opened = await asyncio.to_thread(open_parts, folder, disk or Disk())
    return SqliteSpool(opened, wall, announce)


async def open_spool_apart(
    folder: Path, *, wall: Callable[[], float] = time.time, announce: Announce = _nobody_listens
) -> SqliteSpool:
    """The same, with a process of its own that writes: for a server. Raises SpoolInUse, SpoolUnusable."""
    writer = ProcessWriter(folder)  # it loads its modules while the spool is checked
    try:
        opened = await asyncio.to_thread(open_parts, folder, Disk(), has_writer=False)
    except BaseException:
        await writer.finish()
        raise
    spool = SqliteSpool(opened, wall, announce, writer)
    try:
        await writer.begin(opened.lock, tell=spool.told, lost=spool.lost)
    except SpoolBroken as error:
        await spool.close()
        raise SpoolUnusable(error.reason) from None
    return spool


Noted = Arrival | Sequence[Settlement] | None
"""What the loop has to do once a job is done: an arrival may be news for a release, a settlement ends claims."""


class SqliteSpool:
    """spool.Spool on one disk; made by open_spool(), open_spool_apart()."""

    def __init__(
        self, opened: Parts, wall: Callable[[], float], announce: Announce, writer: ProcessWriter | None = None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._folder = opened.folder
        self._disk = opened.disk
        self._lock = opened.lock
        self._announce = announce
        self._connection = opened.reading
        self._bodies = opened.bodies
        self._ids = IdSource(wall, opened.last)
        self._waiting = opened.start.waiting
        self._claims = Claims()
        self._reader = Reader(opened.reading)
        self._reading = ThreadPoolExecutor(1, "restante-read")
        self._streaming = ThreadPoolExecutor(BODY_THREADS, "restante-body")
        self._room = Room(0, None)
        self._looked = float("-inf")
        self._closed: SpoolBroken | None = None
        self._numbers = itertools.count()
        self._asked: dict[int, tuple[asyncio.Future[Any], Noted]] = {}
        self._unfinished: set[int] = set()
        """Of these messages the file is being finished; the writer does not have them yet."""
        self._times = CommitTimes()
        self._writer: Writer
        if writer is not None:
            self._writer = writer
        else:
            assert opened.commits is not None, "somebody has to write"
            self._writer = ThreadWriter(opened.commits, loop=self._loop, tell=self.told)
        if opened.start.is_mended:
            announce(SpoolMended(len(opened.start.damaged)))
        for item in opened.start.damaged:
            announce(ItemDamaged(item))
        self._looking = None if opened.start.is_checked else self._loop.create_task(self._look_at_all())

    # coming in

    def new_id(self) -> MessageId:
        """An id greater than all before."""
        return self._ids.next()

    def room_for(self, octets: int) -> bool:
        """Whether a message of that size would be taken; looks at the disk a few times a second at most."""
        return self._closed is None and self._writer.broken is None and has_room(self._look(), octets)

    def _look(self) -> Room:
        """The room on disk; what the database has free within it counts for what goes into rows."""
        now = self._loop.time()
        if now - self._looked > LOOK_EVERY:
            self._looked = now
            try:
                self._room = self._disk.room(self._folder)
            except OSError:
                self._room = Room(0, None)
        return Room(self._room.octets + self._writer.free_pages * PAGE, self._room.inodes)

    async def writer(self, message: MessageId, expected: int | None) -> ContentWriter:
        """A place for content larger than INLINE_LIMIT. Raises SpoolFull, SpoolBroken."""
        if (broken := self._trouble()) is not None:
            raise broken
        self._look()
        if not has_room(self._room, expected or 0):
            raise SpoolFull(expected or 0, max(0, self._room.octets - MARGIN))
        return ContentFile(self._bodies, self._streaming, message, self._guard)

    def accept(self, arrival: Arrival) -> asyncio.Future[None]:
        """Stores a message and its items. The future raises SpoolFull, SpoolBroken."""
        done: asyncio.Future[Any] = self._loop.create_future()
        number = next(self._numbers)
        content = arrival.content
        assert isinstance(content, (bytes, ContentFile)), "a writer of this spool"
        if isinstance(content, ContentFile) and (whole := content.take_whole()) is not None:
            content = whole
            arrival = structs.replace(arrival, content=whole)
        try:
            written = write_arrival(arrival, b"" if isinstance(content, bytes) else content.digest())
            job = Accept(number, written, [write_arrival(notice) for notice in arrival.notices])
        except (UnicodeEncodeError, AssertionError) as error:
            done.set_exception(error)
            return done
        self._times.begin(number)
        if isinstance(content, bytes):
            return self._hand_in(job, done, arrival)
        if (broken := self._trouble()) is not None:
            done.set_exception(broken)
            return done
        self._asked[number] = (done, arrival)
        self._unfinished.add(number)
        self._streaming.submit(self._finish_body, content.finish(), job)
        return done

    def _finish_body(self, finish: Callable[[], None], job: Accept) -> None:
        """In a thread: the file is safe with its name before its row is handed in."""
        try:
            finish()
        except OSError as error:
            self._loop.call_soon_threadsafe(self._body_failed, job.number, error)
        else:
            self._loop.call_soon_threadsafe(self._body_finished, job)

    def _body_finished(self, job: Accept) -> None:
        self._unfinished.discard(job.number)
        self._writer.put(job)

    def _body_failed(self, number: int, error: OSError) -> None:
        self._failed(number, self._guard(error))

    def _guard(self, error: OSError) -> Exception:
        """What a body's write failed with, as the spool's own error; only a full disk can be lived with."""
        if error.errno in FULL:
            return SpoolFull(0, 0)
        return self._writer.fail(error)

    def _trouble(self) -> SpoolBroken | None:
        return self._closed or self._writer.broken

    # what waits

    def waiting(self, domain: DomainName) -> Waiting:
        """The counters of one domain."""
        return self._waiting.get(domain, NOTHING)

    def domains(self) -> dict[DomainName, Waiting]:
        """The counters of every domain for which something waits."""
        return self._waiting.copy()

    def health(self) -> Health:
        """How it is."""
        room, trouble = self._look(), self._trouble()
        first = next((number for number in self._asked if number not in self._unfinished), None)
        left, lent = max(0, room.octets - MARGIN), len(self._claims.lent())
        return Health(trouble.reason if trouble else "", left, room.inodes, lent, first, self._times.seconds)

    def told(self, results: Results) -> None:
        """What the writer has done. Counters and claims first, then those who wait for it."""
        for domain, waiting in results.counters.items():
            if waiting.items:
                self._waiting[domain] = waiting
            else:
                self._waiting.pop(domain, None)
        for number, changed in results.done:
            self._times.done(number)
            done, noted = self._asked.pop(number)
            if isinstance(noted, Arrival):
                self._arrived(noted)
            elif noted is not None:
                self._settled(noted)
            if not done.done():
                done.set_result(changed if noted is None else None)
        for number, failure in results.failed:
            self._failed(number, error_of(failure))
        for each in results.thawed:
            self._claims.noticed(each.domain, each.rank, each.size, each.id)
        self._claims.all_gone(results.damaged)
        for item in results.damaged:
            self._announce(ItemDamaged(item))

    def lost(self, broken: SpoolBroken) -> None:
        """The writer is gone; nobody will be told of what it was asked."""
        for number in list(self._asked):
            self._failed(number, broken)

    def _failed(self, number: int, error: Exception) -> None:
        self._unfinished.discard(number)
        self._times.forget(number)
        done, noted = self._asked.pop(number)
        if noted is not None and not isinstance(noted, Arrival):
            for settlement in noted:
                self._claims.let_go(settlement.item)
        if not done.done():
            done.set_exception(error)

    def _arrived(self, arrival: Arrival) -> None:
        if self._claims.are_watched:
            for number, (domain, _) in enumerate(arrival.envelopes, 1):
                if domain not in arrival.frozen:
                    self._claims.noticed(domain, -arrival.priority, arrival.size, item_id(arrival.id, number))
            for notice in arrival.notices:
                self._arrived(notice)

    def _settled(self, settlements: Sequence[Settlement]) -> None:
        for settlement in settlements:
            if settlement.remaining is None:
                self._claims.gone(settlement.item)
            else:
                if settlement.domain is not None:
                    self._claims.moved(settlement.item, settlement.domain)
                self._claims.let_go(settlement.item)
            if settlement.dsn is not None:
                self._arrived(settlement.dsn)

    # going out

    async def claim(
        self, domains: Sequence[DomainName], order: Order, limit: int, release: int, *, due: Due | None = None
    ) -> list[Item]:
        """The next items in order that wait and that `release` has not claimed before."""
        cursor = self._claims.cursor(release, order, due)
        await self._cover(cursor, domains)
        asked = frozenset(domains)
        wanted = None if len(asked) == len(cursor.covered) else asked
        claimed: list[Item] = []
        others: list[Key] = []
        try:
            while len(claimed) < limit:
                keys = self._claims.take(cursor, limit - len(claimed))
                if keys:
                    claimed += await self._lend(cursor, keys, wanted, others)
                elif cursor.at_end:
                    break
                else:
                    await self._read_on(cursor)
        except BaseException:
            self._claims.untake(cursor, [_key(item, order) for item in claimed], again=True)
            raise
        finally:
            self._claims.untake(cursor, others, again=True)
        return claimed

    async def _cover(self, cursor: Cursor, domains: Sequence[DomainName]) -> None:
        """Makes further domains part of what a release sees."""
        has_begun = cursor.has_begun
        added = self._claims.cover(cursor, domains)
        if added and has_begun:
            cursor.is_reading = True
            try:
                keys = await self._read(self._reader.keys, added, cursor.order, FIRST, cursor.due, MOST_LATE)
            finally:
                cursor.is_reading = False
            if len(keys) < MOST_LATE:
                for key in keys:
                    cursor.noticed(key)
            else:
                cursor.restart(cursor.order, cursor.due)

    async def _read_on(self, cursor: Cursor) -> None:
        """Reads the next keys of a release."""
        domains = tuple(cursor.covered)
        limit = READ_AHEAD
        if len(domains) > 1 or cursor.order is Order.SMALLEST:
            waiting = sum(self.waiting(domain).items for domain in domains)
            limit = max(SORTED_AHEAD, waiting // SORTED_PART)
        cursor.is_reading = True
        try:
            keys = await self._read(self._reader.keys, domains, cursor.order, cursor.position, cursor.due, limit)
        finally:
            cursor.is_reading = False
        cursor.read(keys, is_all=len(keys) < limit)

    async def _lend(
        self, cursor: Cursor, keys: list[Key], wanted: frozenset[DomainName] | None, others: list[Key]
    ) -> list[Item]:
        """The items of keys that were taken; of other domains than the wanted ones the keys go to `others`."""
        try:
            found = await self._read(self._reader.waiting_items, [key[2] for key in keys], cursor.due)
            if found.damaged:
                await self._mend()
        except BaseException:
            self._claims.untake(cursor, keys, again=True)
            raise
        items = [item for item in found.items if item.domain in cursor.covered]  # an index may be damaged, too
        if len(items) < len(keys):
            lent = {item.id for item in items}
            self._claims.untake(cursor, [key for key in keys if key[2] not in lent], again=False)
        if wanted is not None:
            others += [_key(item, cursor.order) for item in items if item.domain not in wanted]
            items = [item for item in items if item.domain in wanted]
        self._claims.lend(items)
        return items

    async def aged(
        self, bounds: Sequence[tuple[DomainName, MessageId]], after: ItemId | None, limit: int
    ) -> list[Item]:
        """Waiting items that nobody has claimed, of messages up to the id beside their domain, in order of ids."""
        asked = [(domain, item_id(last, MAX_ITEMS_PER_MESSAGE)) for domain, last in bounds if domain in self._waiting]
        found: list[Item] = []
        ids = [after or ItemId(0)]
        while asked and len(found) < limit and ids:
            ids = await self._read(self._reader.aged, asked, ids[-1], limit - len(found))
            found += await self._rows([each for each in ids if self._claims.owner(each) is None], ItemState.WAITING)
        return found

    async def timed(self, after: ItemId | None, limit: int) -> tuple[list[Item], ItemId | None]:
        """Of the next items those that are to be delivered by some time, and the last that was looked at."""
        last, ids = await self._read(self._reader.timed, after or ItemId(0), limit)
        return (await self.listing(Filter(ids=tuple(ids), limit=len(ids))) if ids else []), last

    async def lend(self, items: Sequence[ItemId], *, frozen: bool = False) -> list[Item]:
        """Claims these items, for no release."""
        taken = self._claims.take_these(items)
        lent: list[Item] = []
        try:
            lent = await self._rows(taken, ItemState.CLAIMED, (WAITING, FROZEN) if frozen else (WAITING,))
        finally:
            self._claims.lend(lent)
            self.give_back(list(set(taken).difference(item.id for item in lent)))
        return lent

    async def _rows(self, ids: Sequence[ItemId], state: ItemState, wanted: tuple[int, ...] = (WAITING,)) -> list[Item]:
        """Those of the items that wait, or are otherwise `wanted`, in that state."""
        found = await self._read(self._reader.waiting_items, ids, None, state, wanted)
        if found.damaged:
            await self._mend()
        return found.items

    async def due(self, domains: Sequence[DomainName], beyond: float = math.inf) -> float | None:
        """When the next waiting item of these domains may be tried."""
        if not any(domain in self._waiting for domain in domains):
            return None
        return await self._read(self._reader.due, tuple(domains), self._claims.lent(), beyond)

    async def content(self, item: Item) -> bytes | AsyncIterator[bytes]:
        """The octets as they were accepted: small ones whole, others in pieces. Raises ContentDamage."""
        found = await self._read(self._reader.content, item.message)
        if not isinstance(found, InFile):
            return found
        return await open_content(self._bodies, self._streaming, item.message, found.size, found.digest)

    async def contents(self, items: Sequence[Item]) -> list[bytes | None]:
        """The octets of many small items at once."""
        messages = [item.message for item in items]
        found = await self._read(self._reader.contents, list(dict.fromkeys(messages)))
        return [found.get(message) for message in messages]

    def settle(self, settlements: Sequence[Settlement]) -> asyncio.Future[None]:
        """Writes what became of claimed items. The future raises SpoolBroken."""
        done: asyncio.Future[Any] = self._loop.create_future()
        try:
            job = write_settlements(next(self._numbers), settlements)
        except (UnicodeEncodeError, AssertionError) as error:
            done.set_exception(error)
            for settlement in settlements:
                self._claims.let_go(settlement.item)
            return done
        if self._trouble() is None:
            for settlement in settlements:
                self._claims.keep(settlement.item, Busy.SETTLING)
        return self._hand_in(job, done, tuple(settlements))

    def give_back(self, items: Sequence[ItemId]) -> None:
        """Ends a claim with nothing changed."""
        for item in items:
            if isinstance(self._claims.owner(item), int):
                self._claims.let_go(item)

    def release_ended(self, release: int) -> None:
        """Forgets what a release has claimed; what it still has is given back."""
        self._claims.end(release)

    # operators

    async def listing(self, wanted: Filter) -> list[Item]:
        """Items as they stand, in order of ids."""
        found = await self._read(self._reader.listing, wanted, self._claims.lent())
        if found.damaged:
            await self._mend()
        return found.items

    async def stopped(self) -> dict[ItemState, int]:
        """How many items are frozen, and how many quarantined."""
        return await self._read(self._reader.stopped)

    async def stopped_domains(self) -> dict[DomainName, Waiting]:
        """What is frozen or quarantined, by domain."""
        return await self._read(self._reader.stopped_domains)

    async def freeze(self, items: Sequence[ItemId]) -> list[ItemId]:
        """Stops waiting items. The stop of a claimed one is on disk too, and counts if it comes back."""
        return await self._change(Verb.FREEZE, items)

    async def thaw(self, items: Sequence[ItemId]) -> list[ItemId]:
        """Ends an operator's stop."""
        return await self._change(Verb.THAW, items)

    async def remove(self, items: Sequence[ItemId]) -> list[ItemId]:
        """Removes items that are not on their way."""
        free = [item for item in dict.fromkeys(items) if self._claims.owner(item) is None]
        for item in free:
            self._claims.keep(item, Busy.REMOVING)
        removing = self._change(Verb.REMOVE, free)
        removing.add_done_callback(lambda _: self._claims.all_gone(free))
        return await asyncio.shield(removing)  # a caller that leaves must not let them be lent meanwhile

    async def quarantine(self, message: MessageId) -> list[ItemId]:
        """Sets aside all items of a message; claims on them end."""
        found = await self._change(Verb.QUARANTINE, [message])
        self._claims.all_gone(found)
        return found

    async def close(self) -> None:
        """Finishes what was handed in, and lets go of the store."""
        if self._closed is not None:
            return
        self._closed = SpoolBroken("it was closed")
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await asyncio.to_thread(self._stop_threads)
        await asyncio.sleep(0)  # what the last of them has handed in is with the writer
        await self._writer.finish()
        await asyncio.sleep(0)  # the last results are told before this returns
        self._disk.close(self._lock)

    def _stop_threads(self) -> None:
        self._streaming.shutdown()
        self._reading.shutdown()
        with contextlib.suppress(apsw.Error):
            self._connection.close()

    def _mend(self) -> asyncio.Future[list[ItemId]]:
        """Sets damaged rows aside."""
        return self._change(Verb.MEND, [])

    async def _look_at_all(self) -> None:
        """What start has left out. What is not as it should be is mended; if it cannot be, the store is broken."""
        try:
            if await self._is_right():
                return
            damaged = await self._mend()
            self._announce(SpoolMended(len(damaged)))
            if not await self._is_right():
                self._writer.fail(SpoolUnusable("the database is damaged (restante fsck tells more)"))
        except apsw.Error as error:
            self._writer.fail(error)
        except SpoolBroken:
            pass  # the next start looks at it again

    async def _is_right(self) -> bool:
        return await is_right(lambda: open_for_reading(self._disk, self._folder))

    # the writer, and threads

    def _change(self, verb: Verb, ids: Sequence[int]) -> asyncio.Future[list[ItemId]]:
        return self._hand_in(Change(next(self._numbers), verb, list(ids)), self._loop.create_future(), None)

    def _hand_in(self, job: Job, done: asyncio.Future[Any], noted: Noted) -> asyncio.Future[Any]:
        if (broken := self._trouble()) is not None:
            done.set_exception(broken)
        else:
            self._asked[job.number] = (done, noted)
            self._writer.put(job)
        return done

    async def _read(self, ask: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Asks the reader, in its thread."""
        assert not kwargs, "an executor takes none"
        if self._closed is not None:
            raise self._closed
        try:
            return await self._loop.run_in_executor(self._reading, ask, *args)
        except (apsw.CorruptError, apsw.NotADBError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self._writer.fail(error) from error
        except apsw.Error as error:
            raise SpoolBroken(f"{type(error).__name__}: {error}") from error


def _key(item: Item, order: Order) -> Key:
    return (-item.priority, item.size if order is Order.SMALLEST else 0, item.id)
