"""Offices that play a script, and the small things a call is handed: a feed of facts, a releaser that keeps books."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Awaitable, Callable, Sequence
from textwrap import dedent

from restante.calls.plan import CallMeans
from restante.calls.turn import Serve, Served
from restante.clock import Clock
from restante.facts import Announce, Fact, MessageAccepted
from restante.model import DomainName, HostPort, MessageId, Principal, Progress, ReleaseView
from restante.net.asyncio_stream import AsyncioStream, memory_pair
from restante.net.stream import Stream, StreamClosed
from restante.transport.lent import LentLine

OFFICE = HostPort("office.example")
TEST = DomainName("test.example")
REFUSES = "refuses"
GREETING = """
    S: 220 office.example ESMTP
    C: EHLO site.example
    S: 250-office.example
    S: 250 ETRN
"""
BYE = """
    C: QUIT
    S: 221 2.0.0 Bye
"""


def etrn(reply: str, domain: str = TEST) -> str:
    """A whole conversation about one domain."""
    return f"{GREETING}\n    C: ETRN {domain}\n    S: {reply}\n{BYE}"


class PlayedOffices:
    """A dial() whose Nth connection plays the Nth script; the last one is played again and again.

    `S:` is sent, `C:` must come, or a line that begins with `L:`; `R:` is the code of a reply that must come (where the
    connection is turned round), `...` keeps the line open in silence, `wait` goes on when `go_on` is set, and at the
    end the office hangs up.
    """

    def __init__(self, *scripts: str) -> None:
        self._scripts = scripts
        self._tasks: list[asyncio.Task[None]] = []
        self.dialled = 0
        self.held = False
        self.go_on = asyncio.Event()

    async def __call__(self, host: HostPort, *, timeout: float) -> AsyncioStream:  # noqa: ARG002
        script = dedent(self._scripts[min(self.dialled, len(self._scripts) - 1)])
        if script == REFUSES:
            self.dialled += 1
            raise StreamClosed(f"{host}: Connection refused")
        ours, theirs = await memory_pair()
        self.dialled += 1
        self._tasks.append(asyncio.create_task(self._play(theirs, script)))
        return ours

    async def finished(self) -> None:
        """Every conversation was played to its end, as it was written."""
        await asyncio.wait_for(asyncio.gather(*self._tasks), 60)

    async def closed(self) -> None:
        """The site has left every conversation, wherever it stood."""
        if self._tasks:
            done, left = await asyncio.wait(self._tasks, timeout=60)
            assert not left, "a connection was left open"
            await asyncio.gather(*done, return_exceptions=True)  # hung up on in the middle: expected here
        await asyncio.sleep(0.01)  # both ends' transports are let go

    async def _play(self, stream: AsyncioStream, script: str) -> None:
        try:
            for line in filter(None, map(str.strip, script.splitlines())):
                if line == "...":
                    while await stream.read():
                        pass
                    return
                if line == "wait":
                    self.held = True
                    await self.go_on.wait()
                    continue
                who, _, text = line.partition(":")
                text = text.removeprefix(" ")
                if who == "S":
                    stream.write(f"{text}\r\n".encode())
                elif who == "R":
                    await _take_reply(stream, text)
                else:
                    heard = b""
                    while not heard.endswith(b"\r\n"):
                        data = await stream.read(5)
                        assert data, f"expected {text!r}, but the site hung up"
                        heard += data
                    assert heard.startswith(text.encode()) if who == "L" else heard.decode() == f"{text}\r\n", heard
        finally:
            await stream.close()


async def _take_reply(stream: AsyncioStream, code: str) -> None:
    heard = b""
    while not re.search(rb"^\d\d\d [^\n]*\r\n\Z", heard, re.MULTILINE):
        data = await stream.read(5)
        assert data, f"expected {code}, but the site hung up after {heard!r}"
        heard += data
    assert heard.splitlines()[-1].startswith(code.encode()), (code, heard)


class Feed:
    """Facts, announced and heard."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self._listeners: list[Callable[[Fact], None]] = []

    def announce(self, fact: Fact) -> None:
        """Keeps it, and tells whoever listens."""
        self.facts.append(fact)
        for listener in list(self._listeners):
            listener(fact)

    def subscribe(self, listener: Callable[[Fact], None]) -> Callable[[], None]:
        """As the real one."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    @property
    def listeners(self) -> int:
        """How many still listen."""
        return len(self._listeners)

    def arrives(self, octets: int = 1000, *domains: str) -> None:
        """A message for the call's domain is accepted here."""
        ours = tuple(map(DomainName, domains)) or (TEST,)
        principal = Principal(ipaddress.ip_address("192.0.2.1"))
        self.announce(MessageAccepted(MessageId(1), principal, "<ann@far.example>", ours, 1, octets))


class Shelf:
    """A Releaser: so many items wait, and `carry` says how a release ends."""

    def __init__(self, waiting: int = 0, carry: Callable[[int], Awaitable[tuple[int, str]]] | None = None) -> None:
        self.waiting = waiting
        self.asked: list[tuple[Sequence[str], float | None, str]] = []
        self._carry = carry

    async def release(
        self,
        entries: Sequence[str],
        until: float | None,
        requester: str = "call",
        line: LentLine | None = None,  # noqa: ARG002 - what it gives up at once goes its own way
    ) -> list[ReleaseView]:
        """Notes who asked for what, and carries."""
        self.asked.append((entries, until, requester))
        before = self.waiting
        delivered, error = await self._carry(before) if self._carry else (before, "")
        self.waiting -= delivered
        number = len(self.asked)
        return [
            ReleaseView(
                number,
                entry,
                requester,
                "office.example:25",
                Progress.ENDED,
                items=before,
                delivered=delivered,
                octets_sent=100 * delivered,
                error=error,
            )
            for entry in entries
        ]

    def waiting_items(self, entry: str) -> int:  # noqa: ARG002
        """What is left."""
        return self.waiting


def serves_nobody(stream: Stream, domains: frozenset[DomainName], announce: Announce) -> Served:
    """For calls that have no connection turned round."""
    raise AssertionError((stream, domains, announce))


def means(
    dial: PlayedOffices,
    clock: Clock,
    feed: Feed,
    shelf: Shelf | None = None,
    octets_in: Callable[[], int] = lambda: 0,
    *,
    serve: Serve = serves_nobody,
) -> CallMeans:
    """What app.py would hand in."""
    return CallMeans(
        dial=dial,
        releaser=shelf or Shelf(),
        subscribe=feed.subscribe,
        announce=feed.announce,
        clock=clock,
        hostname="site.example",
        serve=serve,
        octets_in=octets_in,
    )


async def eventually(condition: Callable[[], object]) -> None:
    """Waits until it is so; real time passes only for real I/O."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.002)
