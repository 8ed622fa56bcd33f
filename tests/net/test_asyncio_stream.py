"""Streams over real sockets: deadlines, back-pressure, the ways in which a peer leaves, TLS and its faults."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import socket
import ssl
import time
import weakref
from pathlib import Path

import pytest
from tests.net.conftest import Pair
from tests.waiting import PATIENCE, until

from restante.model import HostPort
from restante.net import asyncio_stream
from restante.net.asyncio_stream import READ_AHEAD, WRITE_AHEAD, AsyncioStream, memory_pair
from restante.net.dial import dial, dial_path
from restante.net.door import Door, Rules
from restante.net.listen import Listener
from restante.net.stream import InjectedBytes, StreamClosed, StreamTimeout
from restante.net.tls import ServerContext, client_context, self_signed, server_context


@pytest.fixture(scope="session")
def context(tmp_path_factory: pytest.TempPathFactory) -> ServerContext:
    """A server's, with a self-signed pair."""
    certificate, key, _ = self_signed(tmp_path_factory.mktemp("tls"), "office.example")
    return server_context(certificate, key)


async def encrypt(pair: Pair, context: ServerContext) -> None:
    """Puts TLS on both ends."""
    ours, theirs = pair
    await asyncio.gather(
        ours.start_tls(context, server_side=True),
        theirs.start_tls(client_context(), server_side=False, server_name="office.example"),
    )


async def drained(stream: AsyncioStream) -> None:
    """Asks again and again until it is told that the connection has gone. Raises StreamClosed."""
    async with asyncio.timeout(PATIENCE):
        while True:
            await stream.drain(1)
            await asyncio.sleep(0.002)


async def read_all(stream: AsyncioStream, octets: int) -> bytes:
    """So many octets, or fewer at the end."""
    data = b""
    while len(data) < octets and (piece := await stream.read(60)):
        data += piece
    return data


async def test_what_is_written_is_read(pair: Pair) -> None:
    """Both ways; what came in several pieces is read at once."""
    ours, theirs = pair
    theirs.write(b"EHLO x\r\n")
    assert await ours.read(60) == b"EHLO x\r\n"
    ours.write(b"250 ")
    await until(lambda: theirs.unread == 4)
    ours.write(b"OK\r\n")
    await until(lambda: theirs.unread == 8)
    assert await theirs.read(60) == b"250 OK\r\n"
    assert theirs.unread == 0


async def test_a_silent_peer_is_given_up_at_the_deadline(pair: Pair) -> None:
    """Not before; and the stream can be read again, with a deadline of its own."""
    ours, theirs = pair
    began = time.monotonic()
    with pytest.raises(StreamTimeout):
        await ours.read(0.15)
    assert time.monotonic() - began >= 0.14
    theirs.write(b"late")
    assert await ours.read(60) == b"late"


async def test_each_read_has_its_own_deadline(pair: Pair) -> None:
    """A short one after a long one is short; a long one after a short one is long."""
    ours, theirs = pair
    theirs.write(b"x")
    assert await ours.read(60) == b"x"
    async with asyncio.timeout(30):
        with pytest.raises(StreamTimeout):
            await ours.read(0.05)
    later = asyncio.get_running_loop().call_later
    for timeout, answer_after in ((3, 0.02), (60, 3.2), (3, 0.02), (None, 3.2)):
        later(answer_after, theirs.write, b"y")
        assert await ours.read(timeout) == b"y"


async def test_what_has_come_is_read_past_the_deadline(pair: Pair) -> None:
    """A deadline is for waiting."""
    ours, theirs = pair
    theirs.write(b"x")
    await until(lambda: ours.unread)
    assert await ours.read(0) == b"x"
    with pytest.raises(StreamTimeout):
        await ours.read(0)


async def test_a_peer_that_sends_too_much_is_made_to_wait(pair: Pair) -> None:
    """What is kept unread is bounded, and nothing is lost."""
    ours, theirs = pair
    sent = b"0123456789abcdef" * (4 * READ_AHEAD // 16)
    theirs.write(sent)
    await until(lambda: ours.unread > READ_AHEAD)
    await asyncio.sleep(0.1)
    assert READ_AHEAD < ours.unread < 3 * READ_AHEAD
    assert await read_all(ours, len(sent)) == sent


async def test_a_peer_that_reads_nothing_makes_us_wait(pair: Pair) -> None:
    """drain() ends at its deadline, or when the peer has read."""
    ours, theirs = pair
    await ours.drain(0.01)
    octets = 8 * (WRITE_AHEAD + READ_AHEAD)
    ours.write(b"x" * octets)
    with pytest.raises(StreamTimeout):
        await ours.drain(0.1)
    reading = asyncio.create_task(read_all(theirs, octets))
    await ours.drain(60)
    assert len(await reading) == octets


async def test_a_peer_that_ends_is_read_to_its_end(pair: Pair) -> None:
    """Then b"", as often as asked."""
    ours, theirs = pair
    theirs.write(b"QUIT\r\n")
    theirs.end()
    assert await ours.read(60) == b"QUIT\r\n"
    assert [await ours.read(60), await ours.read(60)] == [b"", b""]


async def test_a_peer_that_only_stops_sending_still_hears() -> None:
    """As of a script that pipes its commands in and closes its side."""
    heard = []

    async def serve(stream: AsyncioStream) -> None:
        while data := await stream.read(60):
            heard.append(data)
        stream.write(b"221 Bye\r\n")

    listener = Listener(HostPort("127.0.0.1", 0), lambda stream, _: serve(stream), Door(Rules()))
    await listener.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(b"QUIT\r\n")
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(), 60) == b"221 Bye\r\n"
    assert heard == [b"QUIT\r\n"]
    writer.close()
    await listener.close_door()


async def test_a_reset_is_told_from_an_end() -> None:
    """read() and drain() raise; write() is of no effect."""
    streams: list[AsyncioStream] = []
    done = asyncio.Event()

    async def serve(stream: AsyncioStream) -> None:
        streams.append(stream)
        await done.wait()

    listener = Listener(HostPort("127.0.0.1", 0), lambda stream, _: serve(stream), Door(Rules()))
    await listener.start()
    with socket.create_connection(("127.0.0.1", listener.port)) as peer:
        await until(lambda: streams)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    [stream] = streams
    with pytest.raises(StreamClosed):
        await stream.read(60)
    with pytest.raises(StreamClosed):
        await stream.drain(60)
    stream.write(b"to nobody")
    stream.end()
    stream.abort()
    await stream.close()
    done.set()
    await listener.close_door()
    await listener.end_sessions(1)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
async def test_what_a_peer_said_before_it_left_is_heard(tmp_path: Path, family: socket.AddressFamily) -> None:
    """A store confirms a message and shuts down, with more of ours unread: our next write finds the connection gone,
    and must not take the answer along, or the message is sent again.
    """
    with socket.socket(family) as door:
        door.bind(("127.0.0.1", 0) if family == socket.AF_INET else str(tmp_path / "socket"))
        door.listen()
        if family == socket.AF_INET:
            stream = await dial(HostPort(*door.getsockname()), timeout=60)
        else:
            stream = await dial_path(tmp_path / "socket", timeout=60)
        peer, _ = door.accept()
        stream.write(b"one message, ")
        await asyncio.sleep(0.05)
        peer.sendall(b"250 saved\r\n")
        peer.close()
        stream.write(b"and another")
        stream.flush()
        stream.write(b", and one more")
        stream.flush()
        assert await stream.read(60) == b"250 saved\r\n"
        with pytest.raises(StreamClosed):
            await stream.read(60)


async def test_who_waits_is_woken_by_our_own_end(pair: Pair) -> None:
    """A session that is told to stop while it waits for its peer."""
    ours, theirs = pair
    reading = asyncio.create_task(ours.read(60))
    await asyncio.sleep(0.02)
    ours.write(b"421 bye\r\n")
    ours.end()
    assert await asyncio.wait_for(reading, 60) == b""
    assert await theirs.read(60) == b"421 bye\r\n"
    assert await theirs.read(60) == b""


async def test_closing_sends_what_is_queued(pair: Pair) -> None:
    """All of it, to a peer that reads."""
    ours, theirs = pair
    ours.write(b"x" * (4 * WRITE_AHEAD))
    reading = asyncio.create_task(read_all(theirs, 5 * WRITE_AHEAD))
    await ours.close()
    assert len(await reading) == 4 * WRITE_AHEAD
    await ours.close()


async def test_closing_waits_only_a_while_for_a_peer_that_reads_nothing(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then what is queued is lost."""
    monkeypatch.setattr(asyncio_stream, "CLOSE_SECONDS", 0.1)
    ours, theirs = pair
    ours.write(b"x" * (8 * (WRITE_AHEAD + READ_AHEAD)))
    await asyncio.wait_for(ours.close(), 60)
    with pytest.raises(StreamClosed):
        await ours.drain(0)
    assert len(await read_all(theirs, 1 << 30)) < 8 * (WRITE_AHEAD + READ_AHEAD)


async def test_a_stream_knows_both_addresses() -> None:
    """A mapped one is the IPv4 address that it means."""
    peers = []

    async def serve(stream: AsyncioStream) -> None:
        peers.append((stream.peer, stream.local))

    listener = Listener(HostPort("127.0.0.1", 0), lambda stream, _: serve(stream), Door(Rules()))
    await listener.start()
    stream = await dial(HostPort("127.0.0.1", listener.port), source="127.0.0.2")
    assert await stream.read(60) == b""
    [(peer, local)] = peers
    assert peer == stream.local == (ipaddress.ip_address("127.0.0.2"), stream.local[1])
    assert local == stream.peer == (ipaddress.ip_address("127.0.0.1"), listener.port)
    assert stream.tls is None
    await stream.close()
    await listener.close_door()
    assert asyncio_stream.address_of(("::ffff:192.0.2.1", 25, 0, 0)) == (ipaddress.ip_address("192.0.2.1"), 25)
    assert asyncio_stream.address_of(("fe80::1%eth0", 25, 0, 2)) == (ipaddress.ip_address("fe80::1"), 25)
    assert asyncio_stream.address_of("") == asyncio_stream.NOWHERE


async def test_a_connection_that_nobody_takes() -> None:
    """Refused, or to no such name: StreamClosed, which says where."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(StreamClosed, match=rf"127\.0\.0\.1:{port}"):
            await dial(HostPort("127.0.0.1", port))


# TLS


async def test_tls_both_ways(pair: Pair, context: ServerContext) -> None:
    """Large writes arrive whole, and the session can be looked at."""
    await encrypt(pair, context)
    ours, theirs = pair
    assert ours.tls is not None
    assert ours.tls.version in ("TLSv1.2", "TLSv1.3")
    theirs.write(b"EHLO x\r\n")
    assert await ours.read(60) == b"EHLO x\r\n"
    ours.write(b"y" * 1_000_000)
    assert len(await read_all(theirs, 1_000_000)) == 1_000_000
    with pytest.raises(StreamTimeout):
        await ours.read(0.05)


async def test_bytes_ahead_of_the_handshake_are_an_injection(pair: Pair, context: ServerContext) -> None:
    """CVE-2011-0411: they are not read as if they had come through TLS."""
    ours, theirs = pair
    theirs.write(b"MAIL FROM:<evil@far.example>\r\n")
    await until(lambda: ours.unread)
    with pytest.raises(InjectedBytes):
        await ours.start_tls(context, server_side=True)
    assert ours.tls is None


@pytest.mark.parametrize("how", ["garbage", "end", "reset"])
async def test_a_failed_handshake_closes(
    pair: Pair, context: ServerContext, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """StreamClosed, at once; nothing more is said in clear."""
    ours, theirs = pair
    shaking = asyncio.create_task(ours.start_tls(context, server_side=True))
    await asyncio.sleep(0.02)
    match how:
        case "garbage":
            theirs.write(b"EHLO in-clear.example\r\n")
        case "end":
            theirs.end()
        case _:
            theirs.abort()
    with pytest.raises(StreamClosed):
        await asyncio.wait_for(shaking, 60)
    ours.write(b"500 in clear\r\n")
    monkeypatch.setattr(asyncio_stream, "CLOSE_SECONDS", 3600)
    async with asyncio.timeout(60):
        await ours.close()
    assert b"500" not in await read_all(theirs, 1000)


async def test_a_handshake_that_takes_too_long(
    pair: Pair, context: ServerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """StreamTimeout."""
    monkeypatch.setattr(asyncio_stream, "HANDSHAKE_SECONDS", 0.1)
    with pytest.raises(StreamTimeout):
        await pair[0].start_tls(context, server_side=True)


async def test_a_handshake_with_who_has_left(pair: Pair, context: ServerContext) -> None:
    """StreamClosed, before it begins."""
    ours, theirs = pair
    theirs.end()
    await asyncio.sleep(0.02)
    with pytest.raises(StreamClosed):
        await ours.start_tls(context, server_side=True)


async def test_tls_that_ends_ends_the_connection(pair: Pair, context: ServerContext) -> None:
    """After close_notify nothing is read any more, in clear least of all (CVE-2026-45185)."""
    await encrypt(pair, context)
    ours, theirs = pair
    theirs.write(b"half a mess")
    theirs.end()
    assert await ours.read(60) == b"half a mess"
    assert await ours.read(60) == b""
    with pytest.raises(StreamClosed):
        await drained(ours)


async def test_clear_bytes_inside_tls_are_never_read(context: ServerContext) -> None:
    """They break the connection."""
    left, right = socket.socketpair()
    loop = asyncio.get_running_loop()
    right.setblocking(False)
    _, ours = await loop.create_connection(AsyncioStream, sock=right)
    shaking = asyncio.create_task(ours.start_tls(context, server_side=True))
    client = client_context().context.wrap_bio(reading := ssl.MemoryBIO(), writing := ssl.MemoryBIO())
    left.setblocking(False)
    await asyncio.sleep(0.02)
    while True:
        try:
            client.do_handshake()
            break
        except ssl.SSLWantReadError:
            await loop.sock_sendall(left, writing.read())
            reading.write(await loop.sock_recv(left, 65536))
    await loop.sock_sendall(left, writing.read())
    await shaking
    client.write(b"through TLS\r\n")
    await loop.sock_sendall(left, writing.read() + b"ETRN test.example\r\n")
    heard = b""
    try:
        while data := await ours.read(60):
            heard += data
    except StreamClosed:
        pass
    assert heard in (b"", b"through TLS\r\n")
    ours.abort()
    left.close()
    await asyncio.sleep(0.01)


async def test_streams_that_are_gone_are_let_go() -> None:
    """No timer keeps one alive for the rest of a long deadline."""
    ours, theirs = await memory_pair()
    theirs.write(b"x")
    await ours.read(300)
    with pytest.raises(StreamTimeout):
        await ours.read(0.01)
    theirs.write(b"y")
    await ours.read(300)
    theirs.abort()
    ours.abort()
    ends = [weakref.ref(ours), weakref.ref(theirs)]
    del ours, theirs
    await until(lambda: gc.collect() >= 0 and not any(end() for end in ends), every=0.02)


def test_a_pair_made_once_stays(tmp_path: Path) -> None:
    """The key is only its owner's."""
    certificate, key, new = self_signed(tmp_path, "office.example")
    assert new
    assert key.stat().st_mode & 0o777 == 0o600
    before = certificate.read_bytes(), key.read_bytes()
    assert self_signed(tmp_path, "other.example") == (certificate, key, False)
    assert (certificate.read_bytes(), key.read_bytes()) == before
