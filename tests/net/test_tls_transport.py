"""TLS over real sockets: clean ends and cut ones, and what a failed handshake says."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.net.authority import Wish, self_made
from tests.net.test_asyncio_stream import drained
from tests.waiting import until

from restante.net.asyncio_stream import READ_AHEAD, AsyncioStream, memory_pair
from restante.net.stream import NotTrusted, StreamClosed, TlsBroken
from restante.net.tls import ServerContext, TlsLevel, TlsPolicy, client_context, server_context

OFFICE = self_made(Wish(("office.example",)))


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ServerContext:
    """A server's, which asks for certificates."""
    pair = OFFICE.write(tmp_path_factory.mktemp("tls"), "office")
    return server_context(pair.certificate, pair.key, asks=True)


class Peer:
    """A client that decides itself when it sends what: Python's ssl over a plain socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = client_context().context.wrap_bio(self._in, self._out)

    async def send(self, data: bytes) -> None:
        """Sends just this."""
        await asyncio.get_running_loop().sock_sendall(self._sock, data)

    def sealed(self, data: bytes) -> bytes:
        """The record that carries this."""
        self.tls.write(data)
        return self._out.read()

    def hello(self) -> bytes:
        """What begins a handshake."""
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self._out.read()

    async def shake(self) -> None:
        """The rest of the handshake."""
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._in.write(await asyncio.get_running_loop().sock_recv(self._sock, 65536))
            finally:
                if data := self._out.read():
                    await self.send(data)

    def close_notify(self) -> bytes:
        """The record that ends what we say."""
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self._out.read()

    def leave(self) -> None:
        """Ends the connection, and says nothing."""
        self._sock.shutdown(socket.SHUT_WR)


@pytest.fixture
async def ends() -> AsyncIterator[tuple[AsyncioStream, Peer]]:
    """Our stream, and the peer."""
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    _, ours = await asyncio.get_running_loop().create_connection(AsyncioStream, sock=right)
    yield ours, Peer(left)
    ours.abort()
    left.close()
    await asyncio.sleep(0.01)


async def shaken(ends: tuple[AsyncioStream, Peer], context: ServerContext) -> None:
    """A handshake after STARTTLS."""
    ours, peer = ends
    ours_shaking = asyncio.create_task(ours.start_tls(context, server_side=True))
    await asyncio.sleep(0.01)
    await peer.send(peer.hello())
    await asyncio.gather(ours_shaking, peer.shake())


@pytest.mark.parametrize("said", [b"", b"RCPT TO:<anna@hel", b"DATA\r\nhalf a mess", b"BDAT 5 LAST\r\nhel"])
async def test_a_connection_that_is_cut_is_lost(
    said: bytes, ends: tuple[AsyncioStream, Peer], context: ServerContext
) -> None:
    """Without close_notify it has not ended, wherever it stops: what came is read, then StreamClosed."""
    ours, peer = ends
    await shaken(ends, context)
    if said:
        await peer.send(peer.sealed(said))
        assert await ours.read(60) == said
    peer.leave()
    for _ in range(2):
        with pytest.raises(StreamClosed, match="cut off without close_notify"):
            await ours.read(60)


async def test_half_a_record_is_a_cut_too(ends: tuple[AsyncioStream, Peer], context: ServerContext) -> None:
    """Nothing of it is read."""
    ours, peer = ends
    await shaken(ends, context)
    await peer.send(peer.sealed(b"QUIT\r\n" * 100)[:-1])
    peer.leave()
    with pytest.raises(StreamClosed, match="cut off without close_notify"):
        await ours.read(60)


async def test_a_close_notify_is_a_clean_end(ends: tuple[AsyncioStream, Peer], context: ServerContext) -> None:
    """Ours can still be said until the connection ends; what comes behind the end is not read."""
    ours, peer = ends
    await shaken(ends, context)
    await peer.send(peer.sealed(b"QUIT\r\n") + peer.close_notify() + b"ETRN in-clear.example\r\n")
    assert await ours.read(60) == b"QUIT\r\n"
    assert [await ours.read(60), await ours.read(60)] == [b"", b""]
    ours.write(b"221 Bye\r\n")
    await ours.drain(60)
    peer.leave()
    assert await ours.read(60) == b""
    with pytest.raises(StreamClosed):
        await drained(ours)


async def test_an_end_of_ours_is_told(context: ServerContext) -> None:
    """By close_notify: the other end sees a clean end."""
    ours, theirs = await memory_pair()
    await asyncio.gather(
        ours.start_tls(context, server_side=True), theirs.start_tls(client_context(), server_side=False)
    )
    ours.write(b"221 Bye\r\n")
    ours.end()
    assert await theirs.read(60) == b"221 Bye\r\n"
    assert await theirs.read(60) == b""
    await theirs.close()


async def test_a_reset_inside_tls(ends: tuple[AsyncioStream, Peer], context: ServerContext) -> None:
    """The same as without."""
    ours, peer = ends
    await shaken(ends, context)
    ours.abort()
    await asyncio.sleep(0.01)
    ours.write(b"to nobody")
    with pytest.raises(StreamClosed):
        await ours.drain(60)
    assert await ours.read(60) == b""
    peer.leave()


async def test_large_contents_are_the_same_at_the_other_end(context: ServerContext) -> None:
    """Both ways at once, through all waiting for each other."""
    ours, theirs = await memory_pair()
    await asyncio.gather(
        ours.start_tls(context, server_side=True), theirs.start_tls(client_context(), server_side=False)
    )
    sent = bytes(range(251)) * (16 * READ_AHEAD // 251)

    async def say(stream: AsyncioStream) -> None:
        for at in range(0, len(sent), 100_003):
            stream.write(sent[at : at + 100_003])
            await stream.drain(60)

    async def hear(stream: AsyncioStream) -> bytes:
        heard = b""
        while len(heard) < len(sent):
            heard += await stream.read(60)
        return heard

    _, _, one, two = await asyncio.gather(say(ours), say(theirs), hear(ours), hear(theirs))
    assert one == two == sent
    assert ours.unread == theirs.unread == 0
    ours.abort()
    theirs.abort()


async def test_implicit_tls_begins_with_what_has_come(ends: tuple[AsyncioStream, Peer], context: ServerContext) -> None:
    """A client's first octets come before anybody looks at the connection; they are no injection."""
    ours, peer = ends
    await peer.send(peer.hello())
    await until(lambda: ours.unread)
    await asyncio.gather(ours.begin_tls(context), peer.shake())
    assert ours.tls is not None
    await peer.send(peer.sealed(b"EHLO site.example\r\n"))
    assert await ours.read(60) == b"EHLO site.example\r\n"


async def test_smtp_in_clear_where_tls_is_implicit_is_not_read(
    ends: tuple[AsyncioStream, Peer], context: ServerContext
) -> None:
    """It is no handshake."""
    ours, peer = ends
    await peer.send(b"EHLO site.example\r\n")
    await asyncio.sleep(0.02)
    with pytest.raises(TlsBroken, match="the TLS handshake failed"):
        await ours.begin_tls(context)
    assert (ours.tls, ours.unread) == (None, 0)


async def test_a_client_says_why_it_does_not_trust(context: ServerContext) -> None:
    """At both ends, and nothing is said through such a connection."""
    ours, theirs = await memory_pair()
    policy = TlsPolicy(TlsLevel.VERIFY)
    both = await asyncio.gather(
        ours.start_tls(context, server_side=True),
        theirs.start_tls(client_context(policy), server_side=False, server_name="office.example"),
        return_exceptions=True,
    )
    assert isinstance(both[0], StreamClosed)
    assert isinstance(both[1], NotTrusted)
    assert str(both[1]) == "the certificate is not trusted: self-signed certificate"
    theirs.write(b"MAIL FROM:<a@b.example>\r\n")
    await theirs.close()
    assert ours.unread == 0


async def test_a_client_shows_its_certificate(context: ServerContext, tmp_path: Path) -> None:
    """The server's stream knows it."""
    site = self_made()
    ours, theirs = await memory_pair()
    own = client_context(own=site.write(tmp_path, "site"))
    await asyncio.gather(ours.start_tls(context, server_side=True), theirs.start_tls(own, server_side=False))
    assert ours.tls is not None
    assert ours.tls.peer is not None
    assert ours.tls.peer.fingerprint == site.fingerprint
    ours.abort()
    theirs.abort()
