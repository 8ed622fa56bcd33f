"""Stream over asyncio (uvloop): what listen.py accepts and dial.py opens.

Reading hands over what has come, without copying it about; beyond READ_AHEAD the peer is made to wait. One timer of the
loop serves all deadlines (net/shared.py), so that a deadline for each command costs nothing.
`memory_pair` joins two ends inside one process, for tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
import struct
from collections.abc import Callable
from functools import lru_cache, partial
from typing import cast

from restante.net.congestion import INFO_OCTETS, LOOK_SECONDS, Congestion, Sent
from restante.net.shared import shared_by
from restante.net.stream import (
    InjectedBytes,
    StreamClosed,
    StreamTimeout,
    Take,
    TlsContext,
    TlsLayer,
    TlsSession,
    Woken,
)
from restante.net.tls_transport import TlsTransport
from restante.net.tuning import tune
from restante.smtp.node import IPAddress

READ_AHEAD = 256 * 1024
WRITE_AHEAD = 256 * 1024
WRITE_AT_ONCE = 64 * 1024
LAST_WORDS = 64 * 1024
HANDSHAKE_SECONDS = 60.0
CLOSE_SECONDS = 5.0
End = tuple[IPAddress, int]
"""Address and port of one end of a connection."""
NOWHERE: End = (ipaddress.ip_address("0.0.0.0"), 0)  # noqa: S104 - a peer without an address, as in a test


class AsyncioStream(asyncio.Protocol):
    """One connection. Made by a listener's or dial()'s protocol factory; `opened` is called with it once it stands."""

    def __init__(
        self, opened: Callable[[AsyncioStream], None] | None = None, ends: tuple[End, End] | None = None
    ) -> None:
        """`ends`: the peer's and ours, of a connection that is tuned already, where whoever took it knows them."""
        self._loop = asyncio.get_running_loop()
        self._outbox, self._deadlines = shared_by(self._loop)
        self._unsent: list[bytes] = []
        self._unsent_octets = 0
        self._opened = opened
        self._transport: asyncio.Transport | TlsTransport | None = None
        self._chunks: list[bytes] = []
        self._unread = 0
        self._reading_paused = False
        self.is_clogged = False
        """Whether more is queued than the peer takes: who wants to say more awaits drain()."""
        self._ended = False
        self._lost: Exception | None = None
        self._gone = False
        self._woken: Woken | None = None  # who waits for bytes
        self._take: Take | None = None
        self._writers: list[asyncio.Future[None]] = []
        self._closed: asyncio.Future[None] | None = None  # where somebody waits for it
        self.deadline: float | None = None
        """Until when bytes are waited for, by the loop's clock."""
        self._tls: TlsSession | None = None
        self._peer, self._local = (NOWHERE, NOWHERE) if ends is None else ends
        self._congestion: Congestion | None = None
        self._look_at = self._loop.time() + LOOK_SECONDS
        self.received = 0
        """Octets that have come in all."""

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes the transport that now stands."""
        plain = self._transport = cast("asyncio.Transport", transport)
        plain.set_write_buffer_limits(high=WRITE_AHEAD)
        self._deadlines.add(self)
        if self._peer is NOWHERE:
            self._look_at_ends(plain)
        if (opened := self._opened) is not None:
            self._opened = None  # else it and what it belongs to would keep each other
            opened(self)

    def _look_at_ends(self, transport: asyncio.Transport) -> None:
        self._peer = address_of(transport.get_extra_info("peername"))
        self._local = address_of(transport.get_extra_info("sockname"))
        if self._peer is not NOWHERE:
            tune(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        """Gives it to who takes it at once; else keeps it, and wakes the reader."""
        self.received += len(data)
        if (take := self._take) is None:
            self._keep(data)
            return
        try:
            seconds = take(data)
        except Exception as error:  # noqa: BLE001 - the loop would only log it: it is for who waits in feed()
            self._wake_reader(error)
            return
        if seconds is None:
            self._wake_reader(enough=True)
        else:
            self._set_deadline(seconds)

    def _keep(self, data: bytes) -> None:
        self._chunks.append(data)
        self._unread += len(data)
        if self._unread > READ_AHEAD and not self._reading_paused:
            self._reading_paused = True
            assert self._transport is not None
            self._transport.pause_reading()
        self._wake_reader()

    def eof_received(self) -> bool:
        """The peer sends no more; what we say may still reach it."""
        self._ended = True
        self._wake_reader()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, by either side."""
        if exc is not None:
            self._hear_last_words()
        self._gone = self._ended = True
        self._lost = exc
        self._deadlines.remove(self)
        self._wake_reader()
        self.resume_writing()
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)

    def _hear_last_words(self) -> None:
        """Keeps what the peer had said when a write found it gone: asyncio drops it, the kernel has it still."""
        if self._transport is None or isinstance(self._transport, TlsTransport):
            return
        with contextlib.suppress(OSError):
            if words := os.read(self._transport.get_extra_info("socket").fileno(), LAST_WORDS):
                self._chunks.append(words)
                self._unread += len(words)
                self.received += len(words)

    def pause_writing(self) -> None:
        """Too much is queued."""
        self.is_clogged = True

    def resume_writing(self) -> None:
        """Little enough is queued again."""
        self.is_clogged = False
        writers, self._writers = self._writers, []
        for writer in writers:
            if not writer.done():
                writer.set_result(None)

    # what the rooms call

    @property
    def peer(self) -> tuple[IPAddress, int]:
        """Address and port of the other end."""
        return self._peer

    @property
    def local(self) -> tuple[IPAddress, int]:
        """Address and port of this end."""
        return self._local

    @property
    def tls(self) -> TlsSession | None:
        """The TLS session, once there is one."""
        return self._tls

    @property
    def is_in_handshake(self) -> bool:
        """Whether TLS is being put on it: nothing can be said then."""
        return self._tls is None and isinstance(self._transport, TlsTransport)

    @property
    def unread(self) -> int:
        """Octets that have come and were not yet given by read()."""
        return self._unread

    async def read(self, timeout: float | None = None) -> bytes:
        """The next bytes; b"" at the peer's clean end. Raises StreamClosed, StreamTimeout."""
        if not self._chunks:
            await self._wait_for_bytes(timeout)
        return self._next_bytes()

    def listen(self, take: Take, timeout: float, woken: Woken) -> None:
        """See Stream.listen()."""
        if self._chunks or self._ended:
            woken(False, None)
            return
        self._take = take
        self._wait(timeout, woken)

    async def feed(self, take: Take, timeout: float) -> bool:
        """Gives `take` what comes, at once; whether that said that it is enough. Raises as read() does."""
        if self._chunks:
            seconds = take(self._next_bytes())
            if seconds is None:
                return True
            timeout = seconds
        if not self._ended:
            self._take = take
            if await self._wait_for_bytes(timeout):
                return True
        if self._chunks and take(self._next_bytes()) is None:  # the last words of one who has gone
            return True
        self._next_bytes()  # it raises where that was no clean end
        return False

    def _next_bytes(self) -> bytes:
        """What has come; b"" at the peer's clean end. Raises StreamClosed."""
        if not self._chunks:
            if self._lost is not None:
                raise StreamClosed(f"the connection was lost: {self._lost}")
            return b""
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._unread = 0
        if self._reading_paused:
            self._reading_paused = False
            if not self._gone:
                assert self._transport is not None
                self._transport.resume_reading()
        return data

    async def _wait_for_bytes(self, timeout: float | None) -> bool:
        """Waits for bytes or the end; whether who takes them at once has had enough."""
        if self._ended:
            return False
        reader: asyncio.Future[bool] = self._loop.create_future()
        self._wait(timeout, partial(_settle, reader))
        try:
            return await reader
        finally:
            self._woken = self._take = self.deadline = None

    def _wait(self, timeout: float | None, woken: Woken) -> None:
        assert self._woken is None, "one reader at a time"
        self._woken = woken
        if timeout is not None:
            self._set_deadline(timeout)

    def write(self, data: bytes) -> None:
        """Queues bytes to be sent."""
        if not data or self._gone:
            return
        if not self._unsent:
            self._outbox.add(self)
        self._unsent.append(data)
        self._unsent_octets += len(data)
        if self._unsent_octets > WRITE_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Hands to the transport what write() has gathered."""
        unsent = self._unsent
        if unsent and not self._gone:
            assert self._transport is not None
            if self._loop.time() >= self._look_at:
                self._look()
            self._transport.write(unsent[0] if len(unsent) == 1 else b"".join(unsent))
        self._unsent = []
        self._unsent_octets = 0

    def _look(self) -> None:
        """Sees how the path does, and changes the congestion control where another suits it better."""
        assert self._transport is not None
        self._look_at = self._loop.time() + LOOK_SECONDS
        sock = self._transport.get_extra_info("socket")
        try:
            sent = Sent.of_info(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, INFO_OCTETS))
            self._congestion = self._congestion or Congestion()
            if (name := self._congestion.look(sent)) is not None:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode())
        except (OSError, AttributeError, struct.error):  # no TCP, or a kernel without it
            self._look_at = float("inf")

    async def drain(self, timeout: float | None = None) -> None:
        """Waits until little is queued. Raises StreamClosed, StreamTimeout."""
        if self.is_clogged and not self._gone:
            writer = self._loop.create_future()
            self._writers.append(writer)
            try:
                async with asyncio.timeout(timeout):
                    await writer
            except TimeoutError:
                raise StreamTimeout("the peer takes nothing") from None
        if self._gone:
            raise StreamClosed("the connection is closed" if self._lost is None else f"lost: {self._lost}")

    async def start_tls(self, context: TlsContext, *, server_side: bool, server_name: str | None = None) -> None:
        """Puts TLS on the connection, which a failure closes.

        Raises InjectedBytes, StreamClosed (TlsBroken and NotTrusted among it, with the reason), StreamTimeout.
        """
        assert server_side is context.server_side, "a context for the other end"
        if self._unread:
            raise InjectedBytes("bytes were sent ahead of the TLS handshake")
        await self._handshake(context.layer(server_name), b"")

    async def begin_tls(self, context: TlsContext) -> None:
        """TLS from the first octet that a client sends (RFC 8314 §3): what has come already is of the handshake.

        Raises as start_tls() does, but for InjectedBytes.
        """
        assert context.server_side, "a context for the other end"
        begun = b"".join(self._chunks)
        self._chunks.clear()
        self._unread = 0
        if self._reading_paused and not self._gone:
            self._reading_paused = False
            assert self._transport is not None
            self._transport.resume_reading()
        await self._handshake(context.layer(None), begun)

    async def _handshake(self, layer: TlsLayer, begun: bytes) -> None:
        if self._gone or self._ended:
            raise StreamClosed("the connection was closed before the TLS handshake")
        below = self._transport
        assert below is not None
        assert not isinstance(below, TlsTransport), "TLS is on it already"
        self.flush()
        secured = self._transport = TlsTransport(below, layer, self)
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                self._tls = await secured.handshake(begun)
        except TimeoutError:
            self.abort()
            raise StreamTimeout(f"the TLS handshake took more than {HANDSHAKE_SECONDS:.0f} s") from None

    def end(self) -> None:
        """Closes when what is queued has been sent."""
        self.flush()
        if self._transport is not None and not self._gone:
            self._transport.close()

    def finish(self) -> bool:
        """Closes when what is queued has been sent; whether the system has all of it, so that no close() is needed."""
        if self._transport is None or self._gone:
            return True
        self.end()
        return not isinstance(self._transport, TlsTransport) and not self._transport.get_write_buffer_size()

    async def close(self) -> None:
        """Sends what is queued, for a short while, and closes."""
        if self.finish():
            return  # the loop closes at its next turn: no timer is needed
        if self._closed is None:
            self._closed = self._loop.create_future()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await asyncio.shield(self._closed)
        except TimeoutError:
            self.abort()

    def abort(self) -> None:
        """Closes at once."""
        if self._transport is not None and not self._gone:
            self._transport.abort()

    # deadlines

    def _wake_reader(self, error: Exception | None = None, *, enough: bool = False) -> None:
        woken = self._woken
        self._woken = self._take = self.deadline = None
        if woken is not None:
            woken(enough, error)

    def _set_deadline(self, timeout: float) -> None:
        self.deadline = deadline = self._loop.time() + timeout
        if deadline < self._deadlines.earliest:
            self._deadlines.look_at(deadline)

    def expire(self) -> None:
        """Nothing has come until the deadline."""
        self._wake_reader(StreamTimeout("the peer was silent for too long"))


def _settle(reader: asyncio.Future[bool], enough: bool, error: Exception | None) -> None:
    """Wakes the coroutine that waits."""
    if reader.done():  # it was cancelled
        return
    if error is None:
        reader.set_result(enough)
    else:
        reader.set_exception(error)


def address_of(name: object) -> End:
    """A socket's own way to write an address, and port; NOWHERE for what has none. A mapped one is IPv4."""
    if isinstance(name, tuple) and len(name) >= 2:
        return _parsed(str(name[0])), int(name[1])
    return NOWHERE


@lru_cache(maxsize=4096)
def _parsed(text: str) -> IPAddress:
    """Kept, for it takes 3 us, and each connection has two."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


async def memory_pair(ends: tuple[End, End] | None = None) -> tuple[AsyncioStream, AsyncioStream]:
    """Two ends of one connection in this process, a socket pair, for tests. `ends`: what the first takes for them."""
    left, right = socket.socketpair()
    loop = asyncio.get_running_loop()
    left.setblocking(False)
    right.setblocking(False)
    _, one = await loop.create_connection(lambda: AsyncioStream(ends=ends), sock=left)
    _, two = await loop.create_connection(AsyncioStream, sock=right)
    return one, two
