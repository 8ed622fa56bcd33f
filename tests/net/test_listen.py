"""A door: how many come in, what the others are told, why it may not open, and how it is closed."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import os
import resource
import socket
import ssl
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
from tests.waiting import until

from restante.facts import Announce, ConnectionRefused, Fact
from restante.model import HostPort, IPAddress
from restante.net import door as doors
from restante.net import listen
from restante.net.asyncio_stream import AsyncioStream
from restante.net.door import Door, Rules
from restante.net.listen import CannotListen, Listener
from restante.net.networks import Networks
from restante.net.stream import StreamClosed
from restante.net.tls import self_signed, server_context

LOCALHOST = HostPort("127.0.0.1", 0)
PROXIES = Networks([ipaddress.ip_network("127.0.3.0/24")])
Serve = Callable[[AsyncioStream], Awaitable[None]]


class Open(Protocol):
    """Opens a listener for a handler that does not look at its guest."""

    async def __call__(
        self, handler: Serve, rules: Rules | Door = ..., *, proxies: Networks = ..., announce: Announce = ...
    ) -> Listener:
        """It is closed at the end of the test."""
        ...


@pytest.fixture
async def listening() -> AsyncIterator[Open]:
    """Opens listeners, and closes them at the end."""
    opened = []

    async def start(handler: Serve, rules: Rules | Door = Rules(), **more: Any) -> Listener:  # noqa: B008
        door = rules if isinstance(rules, Door) else Door(rules)
        listener = Listener(LOCALHOST, lambda stream, _: handler(stream), door, **more)
        await listener.start()
        opened.append(listener)
        return listener

    yield start
    for listener in opened:
        await listener.close_door()
        await listener.end_sessions(0)


async def greet(stream: AsyncioStream) -> None:
    """A session that greets, and ends with its peer."""
    stream.write(b"220 hello\r\n")
    while await stream.read():
        pass


async def connect(listener: Listener, source: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A peer."""
    return await asyncio.open_connection("127.0.0.1", listener.port, local_addr=(source, 0))


async def test_one_too_many_is_told_421(listening: Open) -> None:
    """And closed; when somebody leaves there is room again, at once."""
    listener = await listening(greet, Rules(connections=2, reserved=0))
    (one, leaving), (two, staying) = await connect(listener), await connect(listener)
    assert [await one.readline(), await two.readline()] == [b"220 hello\r\n"] * 2
    for _ in range(5):
        refused, writer = await connect(listener)
        assert await refused.read() == b"421 4.3.2 Too many connections, try again later\r\n"
        writer.close()
    assert listener.sessions == 2
    leaving.close()
    await until(lambda: listener.sessions == 1)
    three, third = await connect(listener)
    assert await three.readline() == b"220 hello\r\n"
    staying.close()
    third.close()


async def test_who_is_refused_and_does_not_leave_takes_nobodys_place(listening: Open) -> None:
    """Only those who are served are counted."""
    listener = await listening(greet, Rules(connections=1))
    reader, writer = await connect(listener)
    assert await reader.readline() == b"220 hello\r\n"
    lingering = [await connect(listener) for _ in range(3)]
    await asyncio.sleep(0.02)
    assert listener.sessions == 1
    writer.close()
    await until(lambda: not listener.sessions)
    again, other = await connect(listener)
    assert await again.readline() == b"220 hello\r\n"
    for left in (other, *(pair[1] for pair in lingering)):
        left.close()


async def test_an_address_that_is_taken() -> None:
    """Said with the address and the system's own words, once each."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen) as caught:
            await Listener(HostPort("127.0.0.1", port), lambda stream, _: greet(stream), Door(Rules())).start()
    assert str(caught.value) == f"cannot listen on 127.0.0.1:{port}: Address already in use"


@pytest.mark.parametrize(
    ("host", "why"), [("192.0.2.1", "Cannot assign requested address"), ("no-such-host.invalid", "")]
)
async def test_an_address_that_is_not_ours(host: str, why: str) -> None:
    """Neither is a name that nobody knows."""
    with pytest.raises(CannotListen, match=f"cannot listen on {host}:2525: {why}"):
        await Listener(HostPort(host, 2525), lambda stream, _: greet(stream), Door(Rules())).start()


async def test_a_closed_door_lets_sessions_end(listening: Open) -> None:
    """No further connection is taken; those that are open go on until their peers leave."""
    listener = await listening(greet)
    reader, writer = await connect(listener)
    assert await reader.readline() == b"220 hello\r\n"
    port = listener.port
    await listener.close_door()
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await asyncio.open_connection("127.0.0.1", port)
    asyncio.get_running_loop().call_later(0.05, writer.close)
    await asyncio.wait_for(listener.end_sessions(3600), 60)
    assert listener.sessions == 0


async def test_sessions_that_do_not_end_are_cut(listening: Open) -> None:
    """After the patience that was given."""
    cut = []

    async def stubborn(stream: AsyncioStream) -> None:
        stream.write(b"220 hello\r\n")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cut.append(stream.peer)
            raise

    listener = await listening(stubborn)
    reader, writer = await connect(listener)
    await reader.readline()
    await listener.close_door()
    await asyncio.wait_for(listener.end_sessions(0.05), 60)
    assert len(cut) == 1
    assert listener.sessions == 0
    with contextlib.suppress(ConnectionError):  # a reset is as good as an end
        assert await reader.read() == b""
    writer.close()


async def test_a_session_that_fails_is_told_to_the_loop(listening: Open) -> None:
    """Its connection is closed, and the others go on."""
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    async def fails(stream: AsyncioStream) -> None:
        await stream.read()
        raise LookupError("a mistake of ours")

    listener = await listening(fails)
    reader, writer = await connect(listener)
    writer.write(b"x")
    assert await reader.read() == b""
    writer.close()
    await until(lambda: told and not listener.sessions)
    assert [str(context["exception"]) for context in told] == ["a mistake of ours"]


async def test_a_session_whose_tls_handshake_fails_frees_its_place_at_once(listening: Open, tmp_path: Path) -> None:
    """Nothing is waited for: the peer may be a scanner, and there are many."""
    context = server_context(*self_signed(tmp_path, "office.example")[:2])

    async def serve(stream: AsyncioStream) -> None:
        with contextlib.suppress(StreamClosed):
            await stream.start_tls(context, server_side=True)

    listener = await listening(serve)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    async with asyncio.timeout(60):
        with contextlib.suppress(ConnectionError):
            await reader.read()
        while listener.sessions:
            await asyncio.sleep(0.01)
    writer.close()


async def test_all_listeners_have_one_door(listening: Open) -> None:
    """An address that has come to one cannot come to the other as often again."""
    door = Door(Rules(per_address=2))
    one, other = await listening(greet, door), await listening(greet, door)
    come = [await connect(one, "127.0.1.1"), await connect(other, "127.0.1.1")]
    assert [await reader.readline() for reader, _ in come] == [b"220 hello\r\n"] * 2
    for listener in (one, other):
        reader, writer = await connect(listener, "127.0.1.1")
        assert await reader.read() == b"421 4.7.0 Too many connections from you, try again later\r\n"
        writer.close()
    come.append(await connect(other, "127.0.1.2"))
    assert await come[-1][0].readline() == b"220 hello\r\n"
    for _, writer in come:
        writer.close()


async def test_this_very_host_may_come_as_often_as_it_likes(listening: Open) -> None:
    """Peer and own address are the same: no network's limit is meant for that."""
    listener = await listening(greet, Rules(per_address=1, rate=1))
    come = [await connect(listener) for _ in range(10)]
    assert [await reader.readline() for reader, _ in come] == [b"220 hello\r\n"] * 10
    for _, writer in come:
        writer.close()


async def test_refusals_are_announced_with_their_number(listening: Open) -> None:
    """The first at once; the others with a later one."""
    told: list[Fact] = []
    listener = await listening(greet, Rules(rate=1), announce=told.append)
    come = [await connect(listener, "127.0.1.1") for _ in range(6)]
    for _, writer in come:
        writer.close()
    await until(lambda: told)
    await asyncio.sleep(0.05)
    text = "421 4.7.0 Too many new connections from you, try again later"
    assert told == [ConnectionRefused(ipaddress.ip_address("127.0.1.1"), text, 1)]


async def test_a_stranger_who_is_silent_makes_room(listening: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """He is told why; who comes is let in, a hundred times over."""
    monkeypatch.setattr(doors, "HURRY_SECONDS", 0.0)
    monkeypatch.setattr(doors, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(doors, "LOOK_SECONDS", 0.0)
    listener = await listening(greet, Rules(connections=10, reserved=0, per_address=1))
    come = []
    for number in range(1, 101):
        come.append(await connect(listener, f"127.0.1.{number}"))
        assert await come[-1][0].readline() == b"220 hello\r\n"
    assert listener.sessions <= 10
    assert [await reader.read() for reader, _ in come[:90]] == [b"421 4.4.2 Timed out waiting for input\r\n"] * 90
    for _, writer in come:
        writer.close()


async def test_a_stranger_who_does_not_even_take_the_farewell_is_cut(
    listening: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was queued for him is not waited for."""
    monkeypatch.setattr(doors, "HURRY_SECONDS", 0.0)
    monkeypatch.setattr(doors, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(doors, "LOOK_SECONDS", 0.0)

    async def talks(stream: AsyncioStream) -> None:
        stream.write(bytes(8 << 20))
        with contextlib.suppress(StreamClosed):
            await stream.drain(3600)

    listener = await listening(talks, Rules(connections=2, reserved=0))
    deaf, writer = await connect(listener, "127.0.1.1")
    for number in range(2, 6):
        other, second = await connect(listener, f"127.0.1.{number}")
        await other.read(1)
        second.transport.abort()
        del other
    async with asyncio.timeout(60):
        while listener.sessions:
            await asyncio.sleep(0.01)
    writer.transport.abort()
    del deaf


async def test_connections_that_nobody_has_a_descriptor_for_wait_until_somebody_has(listening: Open) -> None:
    """accept() fails with EMFILE: the loop neither dies nor spins, and nobody is lost."""
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    listener = await listening(greet, Rules(descriptors=1 << 20))
    peers = [socket.socket() for _ in range(20)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    first_free = os.dup(0)
    os.close(first_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (first_free + 5, hard))
    try:
        for peer in peers:
            peer.connect(("127.0.0.1", listener.port))
        async with asyncio.timeout(60):
            while not listener._pauses:
                await asyncio.sleep(0.01)
        assert 0 < listener.sessions <= 5
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for peer in peers:
        peer.setblocking(False)
        assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(peer, 100), 60) == b"220 hello\r\n"
        peer.close()
    assert told == []


async def test_the_last_descriptors_are_not_for_connections(listening: Open) -> None:
    """They are refused before the spool has none."""
    first_free = os.dup(0)
    os.close(first_free)
    listener = await listening(greet, Rules(descriptors=(first_free + 3) * 4 // 3))
    come = [await connect(listener) for _ in range(12)]
    said = [await reader.readline() for reader, _ in come]
    assert said[-1] == b"421 4.3.2 Too many connections, try again later\r\n"
    for _, writer in come:
        writer.close()


async def test_a_peer_that_is_gone_before_it_is_looked_at(listening: Open) -> None:
    """A reset at once, a hundred times: no session is left, and nothing fails."""
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    listener = await listening(greet)
    for _ in range(100):
        with socket.create_connection(("127.0.0.1", listener.port)) as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    reader, writer = await connect(listener)
    assert await reader.readline() == b"220 hello\r\n"
    writer.close()
    async with asyncio.timeout(60):
        while listener.sessions:
            await asyncio.sleep(0.01)
    assert all(isinstance(context["exception"], StreamClosed) for context in told), told


async def test_who_serves_without_a_task_says_when_that_is_over(listening: Open) -> None:
    """The connection goes on until then, and leaves nothing to the garbage collector."""
    streams: list[weakref.ref[AsyncioStream]] = []
    over: list[asyncio.Future[None]] = []

    def serve(stream: AsyncioStream) -> asyncio.Future[None]:
        stream.write(b"220 hello\r\n")
        streams.append(weakref.ref(stream))
        over.append(asyncio.get_running_loop().create_future())
        return over[-1]

    listener = await listening(serve)
    gc.disable()
    try:
        reader, writer = await connect(listener)
        assert await reader.readline() == b"220 hello\r\n"
        assert listener.sessions == 1
        over.pop().set_result(None)
        assert await reader.read() == b""
        await until(lambda: not listener.sessions and streams[0]() is None)
    finally:
        gc.enable()
    writer.close()


async def test_who_cannot_even_begin_to_serve_is_told_to_the_loop(listening: Open) -> None:
    """As one that fails later is."""
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    def fails(_: AsyncioStream) -> asyncio.Future[None]:
        raise LookupError("a mistake of ours")

    listener = await listening(fails)
    reader, writer = await connect(listener)
    assert await reader.read() == b""
    writer.close()
    await until(lambda: told and not listener.sessions)
    assert [str(context["exception"]) for context in told] == ["a mistake of ours"]


# proxies


async def tell(stream: AsyncioStream) -> None:
    """A session that says what it knows of its peer, and what it hears."""
    (peer, port), (local, local_port) = stream.peer, stream.local
    stream.write(f"220 {peer}:{port} {local}:{local_port}\r\n".encode())
    while data := await stream.read():
        stream.write(b"250 " + data)


def header(peer: str, local: str = "192.0.2.1") -> bytes:
    """A PROXY header, version 2, with a TLV."""
    addresses: tuple[IPAddress, ...] = ipaddress.ip_address(peer), ipaddress.ip_address(local)
    rest = b"".join(address.packed for address in addresses) + b"\x10\0\0\x19" + b"\x04\0\2xy"
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + len(rest).to_bytes(2) + rest


async def test_a_connection_from_a_proxy_is_its_client_s(listening: Open) -> None:
    """Whatever comes behind the header in the same packet is the client's; the door counts the client."""
    listener = await listening(tell, Rules(per_address=1), proxies=PROXIES)
    come = [await connect(listener, "127.0.3.1") for _ in range(3)]
    for number, (_, writer) in enumerate(come):
        writer.write(header(f"203.0.113.{number}") + b"EHLO a.example\r\n")
    for number, (reader, _) in enumerate(come):
        assert await reader.readline() == f"220 203.0.113.{number}:4096 192.0.2.1:25\r\n".encode()
        assert await reader.readline() == b"250 EHLO a.example\r\n"
    come.append(await connect(listener, "127.0.3.2"))
    come[-1][1].write(header("203.0.113.0"))
    assert await come[-1][0].read() == b"421 4.7.0 Too many connections from you, try again later\r\n"
    for _, writer in come:
        writer.close()


async def test_a_header_may_come_in_pieces_and_in_text(listening: Open) -> None:
    """Version 1 has no length; not an octet of what follows is lost for that."""
    listener = await listening(tell, proxies=PROXIES)
    reader, writer = await connect(listener, "127.0.3.1")
    for piece in (b"PRO", b"XY TCP6 2001:db8::1 2001:db8::2 4096 25", b"\r", b"\nEHLO a.example\r\n"):
        writer.write(piece)
        await asyncio.sleep(0.02)
    assert await reader.readline() == b"220 2001:db8::1:4096 2001:db8::2:25\r\n"
    assert await reader.readline() == b"250 EHLO a.example\r\n"
    writer.close()


async def test_a_proxy_that_looks_at_our_health_is_itself(listening: Open) -> None:
    """LOCAL: its own address counts."""
    listener = await listening(tell, proxies=PROXIES)
    reader, writer = await connect(listener, "127.0.3.1")
    writer.write(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")
    assert (await reader.readline()).startswith(b"220 127.0.3.1:")
    writer.close()


@pytest.mark.parametrize("said", [b"EHLO a.example\r\n", b"", header("203.0.113.1")[:-1]])
async def test_from_a_proxy_a_header_must_come(listening: Open, monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    """In time; else the connection is closed without a word, and the log knows why."""
    monkeypatch.setattr(listen, "PROXY_SECONDS", 0.2)
    told: list[Fact] = []
    listener = await listening(tell, proxies=PROXIES, announce=told.append)
    reader, writer = await connect(listener, "127.0.3.1")
    writer.write(said)
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 60) == b""
    writer.close()
    async with asyncio.timeout(60):
        while listener.sessions:
            await asyncio.sleep(0.01)
    [fact] = told
    assert isinstance(fact, ConnectionRefused)
    assert str(fact.address) == "127.0.3.1"
    assert "PROXY header" in fact.reason


async def test_from_anybody_else_a_header_is_what_he_says(listening: Open) -> None:
    """It changes nothing of who he is."""
    listener = await listening(tell, proxies=PROXIES)
    reader, writer = await connect(listener, "127.0.1.1")
    writer.write(header("203.0.113.1"))
    assert (await reader.readline()).startswith(b"220 127.0.1.1:")
    assert await reader.readexactly(10) == b"250 \r\n\r\n\0\r"
    writer.close()


async def test_a_tls_handshake_may_follow_a_header_at_once(listening: Open, tmp_path: Path) -> None:
    """In one packet with it: nothing of the handshake is taken for something else."""
    context = server_context(*self_signed(tmp_path, "office.example")[:2])

    async def serve(stream: AsyncioStream) -> None:
        await stream.begin_tls(context)
        await tell(stream)

    listener = await listening(serve, proxies=PROXIES)
    loop = asyncio.get_running_loop()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    tls = client.wrap_bio(incoming, outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    with socket.socket() as peer:
        peer.bind(("127.0.3.1", 0))
        peer.connect(("127.0.0.1", listener.port))
        peer.setblocking(False)
        await loop.sock_sendall(peer, header("203.0.113.1") + outgoing.read())
        async with asyncio.timeout(60):
            while True:
                incoming.write(await loop.sock_recv(peer, 65536))
                try:
                    tls.do_handshake()
                    said = tls.read()
                    break
                except ssl.SSLWantReadError:
                    await loop.sock_sendall(peer, outgoing.read())
    assert said == b"220 203.0.113.1:4096 192.0.2.1:25\r\n"


async def test_a_stranger_who_lingers_in_the_tls_handshake_is_cut(
    listening: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no farewell that he would understand."""
    context = server_context(*self_signed(tmp_path, "office.example")[:2])
    monkeypatch.setattr(doors, "HURRY_SECONDS", 0.0)
    monkeypatch.setattr(doors, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(doors, "LOOK_SECONDS", 0.0)

    served: list[AsyncioStream] = []

    async def serve(stream: AsyncioStream) -> None:
        served.append(stream)
        with contextlib.suppress(StreamClosed):
            await stream.begin_tls(context)

    listener = await listening(serve, Rules(connections=1, reserved=0))
    reader, writer = await connect(listener, "127.0.1.1")
    await until(lambda: served)
    _, other = await connect(listener, "127.0.1.2")
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 60) == b""
    writer.close()
    other.close()
