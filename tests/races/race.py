"""A short life of an office, in which everything comes at once: arrivals, ETRNs, releases that fail, restarts, kills.

    await Race(seed, folder).run()      # an AssertionError has the seed, and what happened in order

The promise: whatever was accepted before an ETRN was answered 250, 252 or 253 is offered to the next hop by the
release that this ETRN has asked for, unless one before it has delivered it; 251 is said only when all was delivered.
What was recorded as delivered is never offered again. A release that fails, or ends with the process, is excused; at
the end all that is left goes by releases that do not fail: nothing is lost, and nothing made up.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from tests.races.stepped import SteppedSpool, Steps, open_stepped
from tests.store.faults import FaultyDisk

from restante.clock import TurnedClock
from restante.directory.entries import Directory, Entry, Grant, Held
from restante.facts import Fact, ItemDelivered
from restante.model import (
    Caller,
    DomainName,
    Envelope,
    HostPort,
    ItemId,
    Mailbox,
    Order,
    Principal,
    Progress,
    Recipient,
    item_id,
)
from restante.release import feed as release_feed
from restante.release import runs
from restante.release.answers import NothingWaiting, Queued, Started
from restante.release.requests import Releases
from restante.smtp.node import parse_node
from restante.spool.spool import Arrival, ContentWriter, Filter, SpoolBroken
from restante.store import claims, sqlite
from restante.transport.outcome import CarryEnd, Deferred, Delivered, Feed, ItemOutcome, Outcome, Parcel, Report

NAMES = ("a.test.example", "b.test.example", "test.example")
SITES = [Principal(ipaddress.ip_address(address), "site") for address in ("192.0.2.25", "192.0.2.26")]
GRANTS = (Grant.parse("user:site"),)
LONGEST = 60.0
HUNG_UP, NOT_THERE, DEFERRED = 0.06, 0.1, 0.1
"""How probable it is of an item, of a release, of an item."""


@dataclass(slots=True, eq=False)
class Released:
    """A release as the next hop saw it; `excused` if it failed."""

    life: int
    number: int
    offered: set[ItemId] = field(default_factory=set)
    has_ended: bool = False
    excused: str = ""

    def __str__(self) -> str:
        return f"release {self.life}.{self.number}"


@dataclass(frozen=True, slots=True)
class Asked:
    """An ETRN that was promised a release, and the items of a domain that were safe by then and not delivered."""

    number: int
    release: Released
    owed: frozenset[ItemId]
    before: frozenset[ItemId]
    """What that release had offered already."""


class Race:
    """One seed."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed = seed
        self.steps = Steps(seed)
        self.trace: list[str] = []
        self.is_calm = False
        """Whether nothing fails any more."""
        self._folder = folder / f"race-{seed}"
        self._clock = TurnedClock()
        self._disk = FaultyDisk()
        self._tried: dict[ItemId, DomainName] = {}
        self._safe: dict[ItemId, DomainName] = {}
        """All whose accept() has returned."""
        self._confirmed: dict[ItemId, Released] = {}
        """All that the next hop has taken and said so, and in which release it did so last."""
        self._settled: set[ItemId] = set()
        """All of which it is on disk that they were delivered."""
        self._asked: list[Asked] = []
        self._released: dict[tuple[int, int], Released] = {}
        self._life = 0
        self._office: tuple[SteppedSpool, Releases] | None = None
        chance = self.steps.chance
        self._names = NAMES[: chance.choice((1, 1, 2, 3))]
        order = chance.choice(list(Order))
        hop = Caller() if chance.random() < 0.2 else HostPort("192.0.2.25")
        entries: list[Entry] = [Held(n, hop, GRANTS, "sites", order, counts=chance.random() < 0.8) for n in self._names]
        self._directory = Directory("office.example", entries)
        self._at_once = chance.choice((1, 2, 50))
        self.connections = chance.choice((1, 1, 2, 3))
        late = chance.choice((1, 2, 20_000))
        self._sizes = {
            (release_feed, "BATCH"): chance.choice((1, 2, 3, 256)),
            (release_feed, "AHEAD_ITEMS"): chance.choice((1, 2, 128)),
            (sqlite, "READ_AHEAD"): chance.choice((1, 2, 1024)),
            (sqlite, "SORTED_AHEAD"): chance.choice((1, 2, 32768)),
            (claims, "MOST_LATE"): late,
            (sqlite, "MOST_LATE"): late,
            (runs, "CUT_SECONDS"): 0.0,
        }

    async def run(self) -> None:
        """Plays it, and checks every promise. Raises AssertionError."""
        others = asyncio.all_tasks()
        unexpected: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unexpected.append(context))
        try:
            with self._small():
                async with asyncio.timeout(LONGEST):
                    await self._play()
            assert not unexpected, unexpected
            self._check()
        except BaseException as error:
            error.add_note(f"seed {self.seed}, which plays the same again:\n" + "\n".join(self.trace))
            left = asyncio.all_tasks() - others
            for _ in range(2):  # a release that is cancelled may first wait for its records
                for task in left:
                    task.cancel()
                await asyncio.sleep(0)
            await asyncio.wait(left, timeout=1) if left else None
            raise
        finally:
            asyncio.get_running_loop().set_exception_handler(None)

    @contextlib.contextmanager
    def _small(self) -> Iterator[None]:
        """Batches of a few items, so that a few messages make many."""
        with contextlib.ExitStack() as stack:
            for (module, name), value in self._sizes.items():
                stack.enter_context(patch.object(module, name, value))
            yield

    def note(self, text: str) -> None:
        """Something has happened."""
        self.trace.append(text)

    async def _play(self) -> None:
        chance = self.steps.chance
        await self._start()
        actors = [self._arrive() for _ in range(chance.randint(2, 12))]
        actors += [self._ask(number) for number in range(chance.randint(1, 6))]
        actors += [self._restart() for _ in range(chance.choice((0, 0, 1, 2)))]
        chance.shuffle(actors)
        await _all(actors)
        self.is_calm = True
        while True:
            spool, releases = self._present()
            while running := [view for view in releases.views() if view.progress is not Progress.ENDED]:
                await releases.wait(running[-1].number)
            if not spool.domains():
                break
            self._ask_now(len(self._asked), "#sites")
        assert not await spool.listing(Filter()), "the counters say that nothing waits, and something does"
        await self._stop("patiently")

    # the office

    def _present(self) -> tuple[SteppedSpool, Releases]:
        assert self._office is not None
        return self._office

    async def _running(self) -> tuple[SteppedSpool, Releases]:
        """The office, once it is there."""
        while self._office is None:
            await asyncio.sleep(0)
        return self._office

    async def _start(self) -> None:
        self._life += 1
        self._clock.jump(1.0)  # ids are made of the time
        life = self._life
        spool = open_stepped(self._folder, self._clock.wall, self.steps, self._disk)
        there = {item.id for item in await spool.listing(Filter())}
        self.note(f"life {life} begins with {len(there)} items")
        assert there <= self._tried.keys() - self._settled, "made up, or there again"
        assert self._safe.keys() - there <= self._confirmed.keys(), "lost at a restart"
        self._settled |= self._safe.keys() - there
        releases: Releases = Releases(
            spool=spool,
            directory=lambda: self._directory,
            carriers=lambda entry, *_: _Carrier(self, life, releases, entry.name),
            announce=self._announced,
            clock=self._clock,
            hostname="office.example",
            at_once=self._at_once,
        )
        self._office = spool, releases

    async def _restart(self) -> None:
        await self.steps.some(self.steps.chance.randint(2, 25))
        await self._running()
        await self._stop(self.steps.chance.choice(("patiently", "impatiently", "by a kill")))
        await self._start()

    async def _stop(self, how: str) -> None:
        spool, releases = self._present()
        self._office = None
        self.note(f"life {self._life} ends {how}")
        for released in self._released.values():
            if not released.has_ended:
                released.excused = released.excused or f"the process ended {how}"
        if how == "by a kill":
            spool.die()
        await releases.stop(LONGEST if how == "patiently" else 0)
        await spool.close()

    def _announced(self, fact: Fact) -> None:
        if isinstance(fact, ItemDelivered):
            self._settled.add(fact.item)
            self.note(f"{fact.item} is recorded as delivered")

    # who comes

    async def _arrive(self) -> None:
        chance = self.steps.chance
        await self.steps.some(chance.randint(0, 12))
        spool, _ = await self._running()
        message = spool.new_id()
        names = [DomainName(name) for name in chance.sample(self._names, chance.randint(1, len(self._names)))]
        items = {item_id(message, number): name for number, name in enumerate(names, 1)}
        self._tried |= items
        content = b"x" * chance.choice((10, 10, 100, 5000, 5000, 70_000))
        try:
            where: bytes | ContentWriter = content
            if len(content) > 65536:
                where = await spool.writer(message, len(content))
                await where.write(content)
            envelopes = [(name, Envelope(None, (Recipient(Mailbox("u", name)),))) for name in names]
            self.note(f"{list(items)} for {names} are handed in")
            arrival = Arrival(message, where, len(content), envelopes, 0.0, chance.choice((0, 0, 5)))
            accepted = spool.accept(arrival)
            await asyncio.wait((accepted, spool.dead), return_when=asyncio.FIRST_COMPLETED)
            if not accepted.done():
                return
            accepted.result()
        except SpoolBroken:
            self.note(f"{list(items)} are not taken")
            return
        self._safe |= items
        self.note(f"{list(items)} are safe")

    async def _ask(self, number: int) -> None:
        await self.steps.some(self.steps.chance.randint(0, 25))
        await self._running()
        self._ask_now(number, self.steps.chance.choice(["@test.example", "#sites", *self._names]))

    def _ask_now(self, number: int, node: str) -> None:
        spool, releases = self._present()
        names = [name for name in self._names if node in {name, "#sites", "@test.example"}]
        owed = {name: frozenset(self._owed(name)) for name in names}
        waiting = [name for name in names if spool.waiting(DomainName(name)).items]
        answer = releases.ask(parse_node(node), self.steps.chance.choice(SITES))
        self.note(f"ETRN {number} {node}: {answer}, owed {sum(len(items) for items in owed.values())}")
        assert isinstance(answer, Started | Queued | NothingWaiting), answer
        views = [view for view in releases.views() if view.progress is not Progress.ENDED]
        for name in names:
            if name in waiting:
                latest = max(view.number for view in views if view.domain == name)
                released = self.released(self._life, latest)
                self._asked.append(Asked(number, released, owed[name], frozenset(released.offered)))
            else:
                assert not owed[name], f"ETRN {number}: nothing waits for {name}, it says; {owed[name]} do"
        if isinstance(answer, Started) and answer.waiting is not None:
            assert answer.waiting >= sum(map(len, owed.values())), f"ETRN {number} was told of too few"

    def _owed(self, name: str) -> set[ItemId]:
        """What is safe for a domain, and neither delivered on disk nor confirmed in this life."""
        return {
            item
            for item, domain in self._safe.items()
            if domain == name
            and item not in self._settled
            and not (item in self._confirmed and self._confirmed[item].life == self._life)
        }

    # what the next hop sees

    def released(self, life: int, number: int) -> Released:
        """The record of a release."""
        return self._released.setdefault((life, number), Released(life, number))

    def offered(self, released: Released, item: ItemId) -> None:
        """It was begun: it must be one that was neither recorded nor confirmed."""
        self.note(f"{released} offers {item}")
        assert item in self._tried, f"{item} is made up"
        assert item not in self._settled, f"{item} was recorded as delivered, and is offered again"
        before = self._confirmed.get(item)
        assert before is None or before.life < released.life, f"{item} was confirmed in {before}, and is offered again"
        assert item not in released.offered, f"{released} offers {item} twice"
        released.offered.add(item)

    def confirmed(self, released: Released, item: ItemId) -> None:
        """The next hop has said that it has it."""
        self._confirmed[item] = released
        self.note(f"{item} is confirmed")

    # the promises

    def _check(self) -> None:
        for asked in self._asked:
            if not asked.release.excused:
                offered = asked.release.offered - asked.before
                missed = {item for item in asked.owed - offered if not self._has_come(item, asked)}
                assert not missed, f"ETRN {asked.number}: {asked.release} has not offered {sorted(missed)}"
        lost = self._safe.keys() - self._confirmed.keys()
        assert not lost, f"lost: {sorted(lost)}"

    def _has_come(self, item: ItemId, asked: Asked) -> bool:
        """Whether that release or one before it has delivered it: it was on its way when the ETRN came."""
        by = self._confirmed.get(item)
        return by is not None and by.life == asked.release.life and by.number <= asked.release.number


async def _all(actors: Sequence[Coroutine[object, object, None]]) -> None:
    tasks = [asyncio.ensure_future(actor) for actor in actors]
    try:
        for task in tasks:
            await task
    finally:
        for task in tasks:
            task.cancel()


class _Carrier:
    """Connections to a next hop that takes, defers, hangs up, or is not there, as chance has it."""

    def __init__(self, race: Race, life: int, releases: Releases, entry: str) -> None:
        self._race = race
        self._life = life
        self._releases = releases
        self._entry = entry

    @property
    def target(self) -> str:
        """Where to."""
        return "192.0.2.25:25"

    def _fails(self, probability: float) -> bool:
        return not self._race.is_calm and self._race.steps.happens(probability)

    async def carry(self, feed: Feed, report: Report) -> CarryEnd:
        """As SmtpCarrier does."""
        views = self._releases.views()
        [number] = [v.number for v in views if v.domain == self._entry and v.progress is Progress.RUNNING]
        released = self._race.released(self._life, number)
        await self._race.steps.some(2)
        if self._fails(NOT_THERE):
            released.excused = "not there"
            return CarryEnd("not there")
        links = [asyncio.ensure_future(self._link(released, feed, report)) for _ in range(self._race.connections)]
        try:
            errors = [await link for link in links]
        finally:
            for link in links:
                link.cancel()
        released.has_ended = True
        return CarryEnd(next(filter(None, errors), ""))

    async def _link(self, released: Released, feed: Feed, report: Report) -> str:
        steps = self._race.steps
        ahead = steps.chance.choice((1, 2, 5))
        unanswered: list[Parcel] = []
        while (parcel := await feed.next()) is not None:
            self._race.offered(released, parcel.item.id)
            unanswered.append(parcel)
            await steps.some()
            if self._fails(HUNG_UP):
                released.excused = "hung up"
                self._race.note(f"{released} is hung up on")
                return "hung up"
            while len(unanswered) >= ahead:
                self._answer(released, unanswered.pop(0), report)
            await steps.some()
        for parcel in unanswered:
            await steps.some()
            self._answer(released, parcel, report)
        return ""

    def _answer(self, released: Released, parcel: Parcel, report: Report) -> None:
        item = parcel.item
        outcome: Outcome = Delivered("250 OK")
        if self._fails(DEFERRED):
            outcome = Deferred("451 later")
        else:
            self._race.confirmed(released, item.id)
        report(ItemOutcome(item, [(recipient.mailbox, outcome) for recipient in item.envelope.recipients]))
