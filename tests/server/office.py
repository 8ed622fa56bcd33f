"""A host to talk to: sessions over pairs of streams, a directory, and a real spool whose commits can be held back."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import Awaitable, Callable
from typing import TypeVar

from msgspec import structs

from restante.clock import Clock, TurnedClock
from restante.directory.entries import Delivered, Directory, Entry, Held, Network, Recipients, Rejected, Relayed
from restante.directory.learned import Learned
from restante.directory.users import User
from restante.facts import Fact
from restante.filtering.screen import Screen
from restante.logins.check import Logins
from restante.logins.guesses import GuessLimits
from restante.model import ByMx, DomainName, HostPort, Item, MessageId, Principal, ReleaseView
from restante.net.asyncio_stream import AsyncioStream, memory_pair
from restante.net.stream import StreamClosed
from restante.net.tls import ServerContext
from restante.release.answers import Answer, NotAllowed
from restante.server.admission import Admission
from restante.server.services import Limits, Services
from restante.server.session import Session
from restante.server.turning import Turning
from restante.smtp.node import Node
from restante.smtp.services import Service
from restante.spool.spool import Arrival, ContentWriter, Filter
from restante.store.sqlite import SqliteSpool

NEXT_HOP = HostPort("192.0.2.25")
ENTRIES = (
    Held("test.example", NEXT_HOP),
    Held("other.example", NEXT_HOP),
    Held("listed.example", NEXT_HOP, recipients=Recipients(frozenset({"anna@listed.example"}))),
    Delivered("localtest.example", frozenset({"anna"})),
    Rejected("gone.example", "We have moved to test.example"),
    Relayed("*", ByMx()),
)
PEER: Network = ipaddress.ip_network("0.0.0.0/32")
"""What a peer of a memory_pair seems to come from."""

GREETED = """
    S: 220 office.example ESMTP restante
    C: HELO client.example
    S: 250 office.example
"""
ADDRESSED = f"""
    {GREETED}
    C: MAIL FROM:<ann@far.example>
    S: 250 2.1.0 Sender OK
    C: RCPT TO:<anna@test.example>
    S: 250 2.1.5 Recipient OK
"""
IN_DATA = f"""
    {ADDRESSED}
    C: DATA
    S: 354 End data with <CR><LF>.<CR><LF>
"""
_F = TypeVar("_F", bound=Fact)


class HeldBack:
    """Stands before a spool's door for sessions: lets through what comes while it is `open`, or fails it."""

    def __init__(self, spool: SqliteSpool) -> None:
        self._accept = spool.accept
        self._writer = spool.writer
        self.open = asyncio.Event()
        self.open.set()
        self.room = True
        self.error: Exception | None = None
        self.arrivals: list[Arrival] = []
        self.writers: list[Watched] = []
        self.most_octets: int | None = None
        """Beyond so many octets a writer fails with `error`."""

    def accept(self, arrival: Arrival) -> Awaitable[None]:
        """As the spool's."""
        self.arrivals.append(arrival)
        return asyncio.ensure_future(self._let_through(arrival))

    async def _let_through(self, arrival: Arrival) -> None:
        await self.open.wait()
        if self.error is not None:
            raise self.error
        content = arrival.content
        await self._accept(
            structs.replace(arrival, content=content.writer) if isinstance(content, Watched) else arrival
        )

    async def writer(self, message: MessageId, expected: int | None) -> ContentWriter:
        """As the spool's."""
        watched = Watched(await self._writer(message, expected), self)
        self.writers.append(watched)
        return watched

    def room_for(self, octets: int) -> bool:  # noqa: ARG002
        """As a test has it."""
        return self.room


class Watched:
    """A writer, and what it was given."""

    def __init__(self, writer: ContentWriter, held: HeldBack) -> None:
        self.writer = writer
        self._held = held
        self.pieces: list[int] = []
        self.discarded = False

    async def write(self, data: bytes) -> None:
        """As the spool's."""
        self.pieces.append(len(data))
        if self._held.error is not None and sum(self.pieces) > (self._held.most_octets or 0):
            raise self._held.error
        await self.writer.write(data)

    async def discard(self) -> None:
        """As the spool's."""
        self.discarded = True
        await self.writer.discard()


class Office:
    """The host. What it was asked and what it announced is kept; `answer` is what an ETRN gets.

    `services()` is made of what a test has set by then; who is already connected keeps what was.
    """

    def __init__(self, spool: SqliteSpool, held: HeldBack) -> None:
        self.spool = spool
        self.held = held
        self.clock: Clock = TurnedClock()
        self.limits = Limits()
        self.relay_from: tuple[Network, ...] = ()
        self.entries: tuple[Entry, ...] = ENTRIES
        self.users: tuple[User, ...] = ()
        self.service = Service.MX
        self.tls: ServerContext | None = None
        self.tls_first = False
        self.passwords_in_clear = False
        self.logins: Logins | None = None
        self.turning: Turning | None = None
        self.screen: Screen | None = None
        self.answer: Callable[[Node, Principal], Answer] = lambda *_: NotAllowed()
        self.released: Callable[[], list[ReleaseView]] = list
        """What was released, where a test lets it be decided in earnest."""
        self.learned = Learned()
        self.facts: list[Fact] = []
        self.arrived: list[DomainName] = []
        self._peers: list[Peer] = []
        self._known: object = None

    async def _ask(self, node: Node, principal: Principal) -> Answer:
        return self.answer(node, principal)

    def _tls(self) -> ServerContext:
        assert self.tls is not None
        return self.tls

    def services(self) -> Services:
        """As app.py makes them."""
        return Services(
            hostname="office.example",
            spool=self.spool,
            directory=self.directory,
            ask=self._ask,
            arrived=self.arrived.append,
            announce=self.facts.append,
            clock=self.clock,
            limits=self.limits,
            tls=None if self.tls is None else self._tls,
            service=self.service,
            logins=self.logins,
            tls_first=self.tls_first,
            passwords_in_clear=self.passwords_in_clear,
            turning=self.turning,
            screen=self.screen,
            admission=Admission(
                directory=self.directory,
                spool=self.spool,
                learned=self.learned,
                clock=self.clock,
                hostname="office.example",
                announce=self.facts.append,
            ),
        )

    def directory(self) -> Directory:
        """What it knows now; another one only where that has changed."""
        known = (self.entries, self.relay_from, self.users)
        if self._known != known:
            self._known = known
            self._directory = Directory("office.example", self.entries, self.relay_from, self.users)
        return self._directory

    def take_logins(self, *users: User) -> None:
        """These may log in from now on."""
        self.users = users
        self.logins = Logins(self.directory, self.clock, b"k" * 32, GuessLimits())

    async def connect(self, address: str = "0.0.0.0") -> Peer:
        """A peer of a new session, who seems to be at that address."""
        here = ipaddress.ip_address("192.0.2.250")
        ours, theirs = await memory_pair(((ipaddress.ip_address(address), 40000), (here, 25)))
        peer = Peer(theirs, ours, Session(ours, self.services()))
        self._peers.append(peer)
        return peer

    def forget(self, peer: Peer) -> None:
        """It has left."""
        self._peers.remove(peer)

    async def waiting(self) -> list[Item]:
        """What waits in the spool."""
        return await self.spool.listing(Filter())

    async def content(self, item: Item) -> bytes:
        """An item's octets."""
        content = await self.spool.content(item)
        return content if isinstance(content, bytes) else b"".join([piece async for piece in content])

    def told(self, kind: type[_F]) -> list[_F]:
        """The facts of one kind."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    async def close(self) -> None:
        """Ends what a test has left open."""
        self.held.open.set()
        for peer in self._peers:
            await peer.leave()
        if self.logins is not None:
            self.logins.close()
        await self.spool.close()
        await asyncio.sleep(0.01)


class Peer:
    """Who talks to a session, and the session's run."""

    def __init__(self, stream: AsyncioStream, theirs: AsyncioStream, session: Session) -> None:
        self.stream = stream
        self.session = session
        self.theirs = theirs
        self.task = asyncio.create_task(self._serve())
        self._heard = b""

    async def _serve(self) -> None:
        """As a listener does."""
        try:
            await self.session.run()
        finally:
            await self.theirs.close()

    def say(self, text: str | bytes) -> None:
        """Sends it as it is."""
        self.stream.write(text.encode() if isinstance(text, str) else text)

    async def hear(self, lines: int = 1, within: float = 60.0) -> list[str]:
        """The next so many lines; fewer if the connection ends, none more are waited for than `within` seconds."""
        with contextlib.suppress(StreamClosed):
            async with asyncio.timeout(within):
                while self._heard.count(b"\r\n") < lines and (data := await self.stream.read()):
                    self._heard += data
        *heard, rest = self._heard.decode().split("\r\n", lines)
        self._heard = rest.encode()
        return heard

    async def hears_nothing(self, seconds: float = 0.05) -> None:
        """Nothing is said meanwhile, and the connection stays."""
        try:
            heard = await self.hear(within=seconds)
        except TimeoutError:
            return
        raise AssertionError(f"heard {heard}")

    async def play(self, script: str) -> None:
        """`C:` lines are sent, `S:` lines must come."""
        for line in filter(None, map(str.strip, script.splitlines())):
            who, text = line[:2], line[3:]
            if who == "C:":
                self.say(f"{text}\r\n")
            else:
                assert await self.hear() == [text]

    async def ended(self) -> list[str]:
        """What is said until the session is over, which it soon is."""
        heard = await self.hear(1000)
        await asyncio.wait_for(self.task, 60)
        return heard

    async def leave(self) -> None:
        """Goes without a word; the session must end by itself."""
        self.stream.abort()
        await asyncio.wait([self.task], timeout=60)
        assert self.task.done(), "the session goes on without its peer"


async def until(condition: Callable[[], object]) -> None:
    """Waits until it is so."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.002)
