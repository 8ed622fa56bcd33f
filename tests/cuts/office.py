"""An office in this process, with a real spool and real releases over real connections; and a site like that.

Their disks sync nothing: what is cut here are connections. Every message's last line has its number, so that copies
can be counted wherever it comes to lie.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.store.faults import FaultyDisk

from restante.clock import SystemClock
from restante.directory.entries import Delivered, Directory, Entry, Grant, Held
from restante.facts import Fact, ItemDelivered, ItemFailed
from restante.model import DomainName, Envelope, HostPort, ItemId, Mailbox, MessageId, Principal, Recipient, ReleaseView
from restante.net.asyncio_stream import AsyncioStream
from restante.net.dial import dial
from restante.net.door import Door, Guest, Rules
from restante.net.listen import Listener
from restante.net.tls import ServerContext, TlsLevel, TlsPolicy
from restante.release.answers import NothingWaiting, Queued, Started
from restante.release.requests import Releases
from restante.server.services import Limits, Services
from restante.server.session import Session
from restante.smtp.node import DomainNode
from restante.spool.spool import INLINE_LIMIT, Arrival, ContentWriter, Filter
from restante.store.sqlite import SqliteSpool, open_spool
from restante.transport.smtp import SmtpCarrier, SmtpMeans

TEST, SENDERS = DomainName("test.example"), DomainName("far.example")
SENDER = Mailbox("carla", SENDERS)
LOOPBACK = Principal(ipaddress.ip_address("127.0.0.1"))
PATIENCE = 90.0


def mark(number: int) -> bytes:
    """The last line of a message."""
    return b"end of %06d\r\n" % number


def letter(number: int, octets: int = 0) -> bytes:
    """A message with dots where they hurt; of at least so many octets."""
    text = b"Subject: %06d\r\n\r\n..\r\n.two\r\n" % number
    line = b".%077d\r\n" % number
    return text + line * (-(-octets // len(line))) + mark(number)


def numbers(sent: Sequence[bytes], stored: bytes) -> Iterator[int]:
    """Which of the sent messages a stored one is; it ends in it, line for line."""
    stored = stored.replace(b"\r\n", b"\n")
    at = stored.rfind(b"end of ")
    number = int(stored[at + 7 : at + 13])
    assert stored.rstrip(b"\n").endswith(sent[number].replace(b"\r\n", b"\n").rstrip(b"\n")), f"altered: {stored!r}"
    yield number


class Office:
    """Holds test.example for `next_hop`. Its senders' domain is held too, so that a bounce would be seen."""

    def __init__(self, spool: SqliteSpool, next_hop: HostPort, tls: TlsLevel) -> None:
        self.spool = spool
        self.facts: list[Fact] = []
        grants = (Grant.parse("127.0.0.1"),)
        directory = Directory("office.example", [Held(TEST, next_hop, grants), Held(SENDERS, next_hop)])
        means = SmtpMeans(dial, "office.example", time.monotonic)
        self.releases = Releases(
            spool=spool,
            directory=lambda: directory,
            carriers=lambda *_: SmtpCarrier(next_hop, means, TlsPolicy(tls)),
            announce=self.facts.append,
            clock=SystemClock(),
            hostname="office.example",
        )

    async def mail(self, *contents: bytes, users: Sequence[str] = ("anna",)) -> list[MessageId]:
        """Messages are accepted, each for all of these users."""
        recipients = tuple(Recipient(Mailbox(user, TEST)) for user in users)
        return [await self._accept(content, recipients) for content in contents]

    async def _accept(self, content: bytes, recipients: tuple[Recipient, ...]) -> MessageId:
        message = self.spool.new_id()
        where: bytes | ContentWriter = content
        if len(content) > INLINE_LIMIT:
            where = await self.spool.writer(message, len(content))
            await where.write(content)
        envelopes = [(TEST, Envelope(SENDER, recipients))]
        await self.spool.accept(Arrival(message, where, len(content), envelopes, time.time()))
        return message

    async def release(self) -> ReleaseView | None:
        """An ETRN, and the release that it asked for, to its end; None where nothing waits."""
        answer = self.releases.ask(DomainNode(TEST), LOOPBACK)
        if isinstance(answer, NothingWaiting):
            return None
        assert isinstance(answer, Started | Queued), answer
        async with asyncio.timeout(PATIENCE):
            return await self.releases.wait(self.releases.views()[0].number)

    async def waiting(self) -> set[MessageId]:
        """What still waits for the site."""
        return {item.message for item in await self.spool.listing(Filter(domains=(TEST,), limit=100_000))}

    def delivered(self) -> list[ItemId]:
        """What it believes to be delivered."""
        return [fact.item for fact in self.facts if isinstance(fact, ItemDelivered)]

    def failed(self) -> list[ItemFailed]:
        """What it believes to be refused for good."""
        return [fact for fact in self.facts if isinstance(fact, ItemFailed)]

    def reports(self) -> int:
        """How many DSNs wait for the senders."""
        return self.spool.waiting(SENDERS).items


@asynccontextmanager
async def office(folder: Path, next_hop: HostPort, tls: TlsLevel = TlsLevel.OPPORTUNISTIC) -> AsyncIterator[Office]:
    """An office whose spool lies in `folder`; nothing unexpected has happened at the end."""
    unexpected: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unexpected.append(context))
    spool = await open_spool(folder, disk=FaultyDisk())
    made = Office(spool, next_hop, tls)
    try:
        yield made
    finally:
        await made.releases.stop(0)
        await spool.close()
        asyncio.get_running_loop().set_exception_handler(None)
    assert not unexpected, unexpected


async def _nothing_waits(*_: object) -> NothingWaiting:
    return NothingWaiting()


class OwnSite:
    """restante as the site: its own sessions, and a spool in which everything stays."""

    def __init__(self, spool: SqliteSpool, context: ServerContext | None) -> None:
        self._spool = spool
        entries: list[Entry] = [Delivered(TEST, None)]
        directory = Directory("site.example", entries)
        self._services = Services(
            hostname="site.example",
            spool=spool,
            directory=lambda: directory,
            ask=_nothing_waits,
            arrived=lambda _: None,
            announce=lambda _: None,
            clock=SystemClock(),
            limits=Limits(),
            tls=None if context is None else lambda: context,
        )
        self._listener = Listener(HostPort("127.0.0.1", 0), self._serve, Door(Rules()))

    async def _serve(self, stream: AsyncioStream, _guest: Guest) -> None:
        await Session(stream, self._services).run()

    async def start(self) -> HostPort:
        """Opens its door."""
        await self._listener.start()
        return HostPort("127.0.0.1", self._listener.port)

    async def stored(self) -> AsyncIterator[bytes]:
        """Everything that it has taken, once nobody sends any more."""
        async with asyncio.timeout(PATIENCE):
            while self._listener.sessions:
                await asyncio.sleep(0.01)
        last: ItemId | None = None
        while items := await self._spool.listing(Filter(after=last)):
            last = items[-1].id
            for item in items:
                content = await self._spool.content(item)
                yield content if isinstance(content, bytes) else b"".join([piece async for piece in content])

    async def stop(self) -> None:
        """Closes it."""
        await self._listener.close_door()
        await self._listener.end_sessions(1)
        await self._spool.close()


@asynccontextmanager
async def own_site(folder: Path, context: ServerContext | None = None) -> AsyncIterator[tuple[OwnSite, HostPort]]:
    """A site whose spool lies in `folder`, and where it listens; with `context` it offers TLS."""
    site = OwnSite(await open_spool(folder, disk=FaultyDisk()), context)
    try:
        yield site, await site.start()
    finally:
        await site.stop()
