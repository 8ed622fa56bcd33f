"""A host for years in a moment: a real spool and a real history, a clock that is turned, jumps, and is lost, and what
is true of all that, kept beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from tests.store.faults import FaultyDisk

from restante.calls.window import Schedule
from restante.clock import TurnedClock
from restante.directory.entries import Directory, Entry, Held, Relayed, Retention
from restante.facts import Fact, ItemExpired, ItemLate, ReleaseEnded
from restante.model import DomainName, Envelope, HostPort, Item, ItemId, Mailbox, Notify, Recipient, item_id
from restante.release.allowance import Allowance
from restante.release.upkeep import Upkeep
from restante.spool.spool import Arrival, Filter, Spool
from restante.store.history import DATABASE, open_history
from restante.store.sqlite import open_spool

HOUR, DAY = 3600.0, 86_400.0
YEAR = 365 * DAY
SITE, FAR, WORLD = DomainName("site.example"), DomainName("far.example"), DomainName("world.example")
DAILY = ("0 14 * * *",)
HELD = Held(SITE, HostPort("192.0.2.25"), retention=Retention(30 * DAY, 3, contact=DAILY, grace=HOUR))
RELAYED = Relayed(WORLD, HostPort("192.0.2.26"), retention=Retention(5 * DAY, warn_after=4 * HOUR))
SENDERS = Relayed("*", HostPort("192.0.2.27"))
BEGINNING = 1_767_225_600.0  # 2026-01-01

FactT = TypeVar("FactT", bound=Fact)


@dataclass
class Letter:
    """What is true of one item. `ran`: how long the host had run when it came; `calls`: whole ones since."""

    ran: float
    is_report: bool
    due_from: float
    calls: int = 0
    is_gone: bool = False


@dataclass
class Years:
    """The host. Every wait ends with what upkeep does every few minutes."""

    folder: Path
    entries: tuple[Entry, ...] = (HELD, RELAYED, SENDERS)
    per_hour: int = 1_000_000
    clock: TurnedClock = field(default_factory=lambda: TurnedClock(BEGINNING))
    ran: float = 0.0
    letters: dict[ItemId, Letter] = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)

    async def open(self) -> None:
        """The process starts."""
        self.spool: Spool = await open_spool(self.folder / "spool", wall=self.clock.wall, disk=FaultyDisk())
        self.allowance = Allowance(self.clock.monotonic, self.per_hour)
        self.upkeep = Upkeep(
            spool=self.spool,
            directory=lambda: Directory("office.example", self.entries),
            routes=self,
            history=open_history(self.folder),
            schedules=partial(Schedule),
            allowance=self.allowance,
            announce=self.facts.append,
            clock=self.clock,
            hostname="office.example",
        )
        self.upkeep.note()

    async def close(self) -> None:
        """It ends."""
        await self.upkeep.stop()
        await self.spool.close()

    async def restart(self, off: float = 0.0, jump: float = 0.0) -> None:
        """It ends and starts again after so many seconds; the wall clock may have gone elsewhere meanwhile."""
        await self.close()
        self.clock = TurnedClock(self.clock.wall() + off + jump)
        await self.open()

    async def die(self) -> None:
        """It is killed: nothing is written any more."""
        await self.spool.close()
        self.clock = TurnedClock(self.clock.wall() + 1)
        await self.open()

    async def lose_history(self) -> None:
        """Its file is damaged beyond use: all mail is young again."""
        await self.close()
        (self.folder / DATABASE).write_bytes(b"no database" * 1000)
        self.clock = TurnedClock(self.clock.wall())
        await self.open()
        for letter in self.letters.values():
            letter.due_from, letter.calls = self.ran, min(letter.calls, 0)

    # run.Routes

    def waiting_domains(self, entry: str) -> tuple[DomainName, ...]:
        """A destination is a domain here."""
        return (DomainName(entry),)

    def can_route(self, domain: DomainName) -> bool:
        """All senders can be reached."""
        return domain != "unknown.example"

    def arrived(self, domain: DomainName) -> None:
        """Reports leave at some time."""

    # what happens

    async def mail(
        self, domain: DomainName = SITE, sender: str = "carla@far.example", notify: tuple[Notify, ...] | None = None
    ) -> ItemId:
        """A message comes in."""
        envelope = Envelope(Mailbox.parse(sender) if sender else None, (Recipient(Mailbox("anna", domain), notify),))
        message = self.spool.new_id()
        content = b"Subject: Fuel\r\n\r\nTwo barrels.\r\n"
        await self.spool.accept(Arrival(message, content, len(content), [(domain, envelope)], self.clock.wall()))
        self.upkeep.note()  # as every few minutes
        one = item_id(message, 1)
        self.letters[one] = Letter(self.ran, not sender, self.ran)
        return one

    async def wait(self, seconds: float, step: float = 6 * HOUR) -> None:
        """Time passes, by steps."""
        while seconds > 0:
            passed = min(seconds, step)
            seconds -= passed
            self.ran += passed
            await self.clock.turn(passed)
            await self.round()

    async def round(self) -> None:
        """What upkeep does in one of its rounds."""
        await self.upkeep.see_to_all()
        self.upkeep.note()
        await self.upkeep.save()

    def release(self, domain: DomainName = SITE, *, error: str = "", deferred: int = 1, seconds: float = 10.0) -> None:
        """A release has ended, and nothing was taken."""
        if not error:
            for letter in self.letters.values():
                letter.calls += self.ran - letter.ran >= HOUR + seconds
        ended = ReleaseEnded(1, domain, "operator", "192.0.2.25:25", 0, deferred, 0, 1, 0, seconds, error)
        self.upkeep.heard(ended)

    # what there is

    async def items(self, *domains: DomainName) -> list[Item]:
        """All that is in the spool, or what is of these domains."""
        return await self.spool.listing(Filter(domains=domains))

    async def waiting(self) -> set[ItemId]:
        """The letters that still wait."""
        return {item.id for item in await self.items()} & self.letters.keys()

    def told(self, kind: type[FactT]) -> list[FactT]:
        """The facts of one kind."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def expired(self) -> list[ItemId]:
        """What has gone, in order."""
        return [fact.item for fact in self.told(ItemExpired)]

    def late(self) -> list[ItemId]:
        """Of what it was told that it is late."""
        return [fact.item for fact in self.told(ItemLate)]
