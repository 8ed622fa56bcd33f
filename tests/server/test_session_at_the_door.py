"""What the door hears of a session, and that a peer who sends much in one piece does not keep the others waiting."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.server.office import IN_DATA, NEXT_HOP, Office, Peer, until

from restante.clock import SystemClock, TurnedClock
from restante.directory.entries import Directory, Grant, Held
from restante.model import Principal
from restante.net.asyncio_stream import memory_pair
from restante.net.door import Door, Guest, Rules
from restante.net.tls import Pair, client_context, self_signed, server_context
from restante.release.answers import Answer, NotAllowed
from restante.server.services import Limits, Services
from restante.server.session import Session
from restante.smtp.node import Node

Meet = Callable[..., Awaitable[tuple[Peer, Guest]]]
ADDRESS = ipaddress.ip_address("192.0.2.1")


@pytest.fixture
async def meet(office: Office) -> AsyncIterator[Meet]:
    """A peer of a session, and the guest that the door has let in for it."""
    peers = []
    door = Door(Rules(per_address=1))

    async def connect(services: Services | None = None) -> tuple[Peer, Guest]:
        guest = door.admit(ADDRESS, office.clock.monotonic())
        assert isinstance(guest, Guest)
        ours, theirs = await memory_pair()
        peers.append(Peer(theirs, ours, Session(ours, services or office.services(), guest)))
        return peers[-1], guest

    yield connect
    for peer in peers:
        await peer.leave()


async def test_the_door_knows_since_when_a_peer_keeps_us_waiting(office: Office, meet: Meet) -> None:
    """From a command's begin, however it drips; what comes at the least rate is not held against it."""
    clock = office.clock
    assert isinstance(clock, TurnedClock)
    peer, guest = await meet()
    await peer.play("S: 220 office.example ESMTP restante")
    await until(lambda: guest.waiting_since == 1000.0)
    await clock.turn(5)
    peer.say("NO")
    await until(lambda: guest.waiting_since == pytest.approx(1000.004))
    await clock.turn(5)
    peer.say("OP\r\n")
    assert await peer.hear() == ["250 2.0.0 OK"]
    await until(lambda: guest.waiting_since == 1010.0)
    peer.say("HELO a.example\r\nMAIL FROM:<ann@far.example>\r\nRCPT TO:<anna@test.example>\r\nDATA\r\n")
    assert (await peer.hear(4))[-1].startswith("354")
    await until(lambda: guest.waiting_since == 1010.0)
    await clock.turn(5)
    peer.say(b"x" * 1500)
    await until(lambda: guest.waiting_since == pytest.approx(1013.0))  # a deficit of 5 - 1500/500 seconds


async def test_it_is_our_turn_while_the_disk_is_slow(office: Office, meet: Meet) -> None:
    """The door does not hold that against the peer."""
    peer, guest = await meet()
    office.held.open.clear()
    await peer.play(IN_DATA)
    peer.say(b"x\r\n.\r\nQUIT\r\n")
    await until(lambda: guest.waiting_since is None)
    office.held.open.set()
    assert [line[:3] for line in await peer.ended()] == ["250", "221"]


@pytest.mark.parametrize("granted", [True, False])
async def test_a_certificate_to_which_something_was_granted_proves_who_it_is(
    office: Office, meet: Meet, tmp_path: Path, granted: bool
) -> None:
    """Any other certificate proves nothing, for anybody can make one."""
    (tmp_path / "site").mkdir()
    own = Pair(*self_signed(tmp_path / "site", "site.example")[:2])
    print_of = hashlib.sha256(ssl.PEM_cert_to_DER_cert(own.certificate.read_text())).hexdigest()
    grant = Grant.parse(f"cert:{print_of if granted else 64 * 'a'}")
    directory = Directory("office.example", [Held("test.example", NEXT_HOP, (grant,))])
    context = server_context(*self_signed(tmp_path, "office.example")[:2], asks=True)
    services = replace(office.services(), directory=lambda: directory, tls=lambda: context)
    peer, guest = await meet(services)
    peer.say("EHLO site.example\r\nSTARTTLS\r\n")
    while not (await peer.hear())[0].startswith("220 2.0.0"):
        pass
    await peer.stream.start_tls(client_context(own=own), server_side=False)
    await peer.play("C: NOOP\nS: 250 2.0.0 OK")
    assert guest.is_proven == granted


async def test_a_least_rate_may_be_set(office: Office, meet: Meet) -> None:
    """A peer at half of it is told 421; one at twice of it is not."""
    assert isinstance(office.clock, TurnedClock)
    office.limits = Limits(command_timeout=10, min_rate=100)
    peer, _ = await meet()
    await peer.play(IN_DATA)
    for _ in range(10):
        await office.clock.turn(1.5)
        peer.say(b"x" * 298 + b"\r\n")
    await peer.hears_nothing()
    for _ in range(20):
        await office.clock.turn(1)
        peer.say(b"x" * 50)
    assert await peer.hear() == ["421 4.4.2 Timed out waiting for input"]


async def test_others_have_their_turn_while_one_has_sent_much(office: Office, meet: Meet) -> None:
    """A thousand ETRNs that each take time to refuse, in one piece: somebody else is answered meanwhile."""
    asked = 0

    def slowly(_node: Node, _principal: Principal) -> Answer:
        nonlocal asked
        asked += 1
        time.sleep(0.02)
        return NotAllowed()

    office.clock = SystemClock()
    office.answer = slowly
    other = await office.connect()
    await other.play("S: 220 office.example ESMTP restante")
    peer, _ = await meet()
    peer.say(b"ETRN @example\r\n" * 1000)
    await until(lambda: asked)
    await other.play("C: NOOP\nS: 250 2.0.0 OK")
    assert asked < 100


async def test_a_peer_that_has_gone_is_not_worked_for(office: Office, meet: Meet) -> None:
    """CVE-1999-1109: what it has asked for ahead, and nobody has looked at, is dropped."""
    asked = 0

    def slowly(_node: Node, _principal: Principal) -> Answer:
        nonlocal asked
        asked += 1
        time.sleep(0.02)
        return NotAllowed()

    office.clock = SystemClock()
    office.answer = slowly
    peer, _ = await meet()
    peer.say(b"ETRN @example\r\n" * 1000)
    await until(lambda: asked)
    peer.stream.abort()
    await asyncio.wait_for(peer.task, 60)
    assert asked < 100
