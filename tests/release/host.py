"""An office with a real spool and real releases; only its carriers are scripts, and its clock is turned by hand."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import apsw
import pytest

from restante.clock import TurnedClock
from restante.directory.entries import Delivered as Local
from restante.directory.entries import Directory, Entry, Grant, Held, Rejected, Relayed
from restante.directory.learned import Learned
from restante.facts import Fact
from restante.model import (
    DeliverBy,
    DomainName,
    Envelope,
    HostPort,
    Item,
    Mailbox,
    MessageId,
    Notify,
    Principal,
    Recipient,
)
from restante.release.answers import Answer, NoSuchEntry
from restante.release.learning import learns
from restante.release.requests import Releases
from restante.smtp.node import parse_node
from restante.spool.spool import INLINE_LIMIT, Arrival, Filter, Spool
from restante.store.bodies import Pieces
from restante.store.schema import DATABASE
from restante.store.sqlite import open_spool
from restante.transport.outcome import (
    CarryEnd,
    Deferred,
    Delivered,
    Feed,
    ItemOutcome,
    Outcome,
    Parcel,
    Refused,
    Report,
)

TEST = DomainName("test.example")
CONTENT = b"Subject: Fuel\r\nFrom: carla@far.example\r\n\r\nTwo barrels.\r\n"
TAKEN = Delivered("250 2.0.0 OK")
LATER = Deferred("451 4.3.0 try later")
NEVER = Refused("550 5.1.1 no such user", "5.1.1")
SITE = Principal(ipaddress.ip_address("192.0.2.25"))
STRANGER = Principal(ipaddress.ip_address("192.0.2.66"))
HELD = Held("test.example", HostPort("192.0.2.25"), (Grant.parse("192.0.2.25"),))

FactT = TypeVar("FactT", bound=Fact)


class ScriptedCarrier:
    """Draws parcels and reports on them as it is told.

    It draws nothing until `dialled`, and reports nothing until `answered`; after `takes` parcels it ends with `error`,
    or raises it. `says` gives an outcome for each recipient.
    """

    def __init__(self, target: str = "192.0.2.25:25") -> None:
        self._target = target
        self.dialled, self.answered = asyncio.Event(), asyncio.Event()
        self.dialled.set()
        self.answered.set()
        self.says: Callable[[Item, Mailbox], Outcome] = lambda _item, _mailbox: TAKEN
        self.takes: int | None = None
        self.error: str | Exception = ""
        self.begun = 0
        self.drawn: list[Item] = []
        self.targets: list[HostPort | None] = []

    @property
    def target(self) -> str:
        """Where to."""
        return self._target

    async def carry(self, feed: Feed, report: Report) -> CarryEnd:
        """Carries until the feed ends, or as many as it takes."""
        self.begun += 1
        await self.dialled.wait()
        drawn = 0
        while self.takes is None or drawn < self.takes:
            if (parcel := await feed.next()) is None:
                break
            drawn += 1
            self.drawn.append(parcel.item)
            await self.answered.wait()
            report(self.outcome(parcel.item))
        if isinstance(self.error, Exception):
            raise self.error
        return CarryEnd(self.error)

    def outcome(self, item: Item) -> ItemOutcome:
        """What it says of an item."""
        mailboxes = [recipient.mailbox for recipient in item.envelope.recipients]
        return ItemOutcome(item, [(mailbox, self.says(item, mailbox)) for mailbox in mailboxes])


class Faulty:
    """A spool of which some methods fail: each named in `faults` raises what stands there."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self.faults: dict[str, Exception] = {}
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.calls.append(name)
        if (fault := self.faults.get(name)) is None:
            return getattr(self.spool, name)

        async def fail(*_: object, **__: object) -> None:
            raise fault

        return fail


class Host:
    """What a test takes in its hands."""

    def __init__(self, spool: Spool, folder: Path, entries: Sequence[Entry], at_once: int) -> None:
        self.faulty = Faulty(spool)
        self.spool = cast("Spool", self.faulty)
        self.folder = folder
        self.clock = TurnedClock()
        self.facts: list[Fact] = []
        self.directory = Directory("office.example", entries)
        self.carriers: dict[str, ScriptedCarrier] = {}
        self.learned = Learned()
        self.releases = Releases(
            spool=self.spool,
            directory=lambda: self.directory,
            carriers=self._carry,
            announce=self.facts.append,
            clock=self.clock,
            hostname="office.example",
            at_once=at_once,
            chance=lambda: 0.5,
            learn=learns(self.learned, lambda: self.directory, self.clock),
        )

    def _carry(self, entry: Entry, destination: DomainName | None, to: HostPort | None) -> ScriptedCarrier:
        if isinstance(entry, Rejected):
            raise NoSuchEntry(f"mail for {entry.name} is refused, not sent on")
        carrier = self.carrier(destination or entry.name)
        carrier.targets.append(to)
        return carrier

    def carrier(self, entry: str = TEST) -> ScriptedCarrier:
        """The carrier of an entry: the same one for each of its releases."""
        return self.carriers.setdefault(entry, ScriptedCarrier())

    def ask(self, node: str = TEST, principal: Principal = SITE) -> Answer:
        """An ETRN."""
        return self.releases.ask(parse_node(node), principal)

    async def mail(
        self,
        *recipients: str,
        sender: str = "carla@far.example",
        octets: int = len(CONTENT),
        notify: tuple[Notify, ...] | None = None,
        priority: int = 0,
        arrives: bool = True,
        deliver_by: DeliverBy | None = None,
    ) -> MessageId:
        """A message is accepted, and whoever is to know of it is told, as the session does."""
        content = CONTENT + b"x" * (octets - len(CONTENT))
        mailboxes = [Mailbox.parse(recipient) for recipient in recipients or ("anna@test.example",)]
        domains = list(dict.fromkeys(mailbox.domain for mailbox in mailboxes))
        path = Mailbox.parse(sender) if sender else None
        named = [(each, tuple(Recipient(m, notify) for m in mailboxes if m.domain == each)) for each in domains]
        envelopes = [(each, Envelope(path, of_it, deliver_by=deliver_by)) for each, of_it in named]
        message = self.spool.new_id()
        where = content
        if octets > INLINE_LIMIT:
            where = await self.spool.writer(message, octets)  # type: ignore[assignment]
            await where.write(content)  # type: ignore[attr-defined]
        await self.spool.accept(Arrival(message, where, octets, envelopes, self.clock.wall(), priority))
        if arrives:
            for domain in domains:
                self.releases.arrived(domain)
        return message

    async def items(self, *domains: str) -> list[Item]:
        """All that is in the spool."""
        return await self.spool.listing(Filter(domains=tuple(map(DomainName, domains))))

    def told(self, kind: type[FactT]) -> list[FactT]:
        """The facts of one kind."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def damage(self, message: MessageId) -> None:
        """A bit falls over on the disk, in a small content."""
        database = apsw.Connection(str(self.folder / DATABASE))
        database.set_busy_timeout(5000)
        database.execute("UPDATE messages SET content = zeroblob(size) WHERE id = ?", (message,))
        database.close()

    async def settles(self, seconds: float = 0.0) -> None:
        """So much time passes, and all that follows from it has happened."""
        await self.clock.turn(seconds)
        spool = self.faulty.spool
        for _ in range(8):  # reader and writer are done with what was asked before, and with what followed from that
            await spool.due([TEST])
            await spool.freeze([])
            await asyncio.sleep(0.001)


async def ended(waiting: Awaitable[Any], seconds: float = 60) -> Any:
    """Its result; a test that would hang fails instead."""
    return await asyncio.wait_for(waiting, seconds)


async def eventually(condition: Callable[[], object]) -> None:
    """Waits until it is so; real time passes only for the disk."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)


@asynccontextmanager
async def host(folder: Path, *entries: Entry, at_once: int = 50) -> AsyncIterator[Host]:
    """A host whose spool lies in `folder`; at the end it stops, and nothing unexpected has happened."""
    unexpected: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unexpected.append(context))
    spool = await open_spool(folder / "spool")
    made = Host(spool, folder / "spool", entries or (HELD,), at_once)
    try:
        yield made
    finally:
        await made.releases.stop(0)
        await spool.close()
        asyncio.get_running_loop().set_exception_handler(None)
    assert not unexpected, unexpected


def local(name: str = "local.example") -> Local:
    """A domain with mailboxes here."""
    return Local(name, None)


def relayed(name: str = "fast.example") -> Relayed:
    """A domain whose mail goes on at once."""
    return Relayed(name, HostPort("192.0.2.26"))


def count_closed(monkeypatch: pytest.MonkeyPatch) -> list[Pieces]:
    """The large contents that somebody has closed."""
    closed: list[Pieces] = []
    close = Pieces.aclose

    async def aclose(self: Pieces) -> None:
        closed.append(self)
        await close(self)

    monkeypatch.setattr(Pieces, "aclose", aclose)
    return closed


def is_parcel_of(parcel: Parcel | None, message: MessageId) -> bool:
    """Whether that is what was drawn."""
    return parcel is not None and parcel.item.message == message
