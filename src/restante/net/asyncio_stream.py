"""Stream over asyncio (uvloop): what listen.py accepts and dial.py opens.

Reading hands over what has come, without copying it about; beyond READ_AHEAD the peer is made to wait. One timer a
connection serves all deadlines: it is moved only when it fires, so that a deadline for each command costs nothing.
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
from functools import lru_cache
from typing import cast
from weakref import WeakKeyDictionary

from restante.net.congestion import INFO_OCTETS, LOOK_SECONDS, Congestion, Sent
from restante.net.stream import InjectedBytes, StreamClosed, StreamTimeout, Take, TlsContext, TlsLayer, TlsSession
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


class _Outbox:
    """Streams of one loop with something to send: all of it leaves at the end of the loop's turn.

    A write wakes whoever reads it, who then wants the processor: it is given up once a turn, not once a reply.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._streams: list[AsyncioStream] = []

    def add(self, stream: AsyncioStream) -> None:
        if not self._streams:
            self._loop.call_soon(self._flush)
        self._streams.append(stream)

    def _flush(self) -> None:
        streams, self._streams = self._streams, []
        for stream in streams:
            stream.flush()


_outboxes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Outbox] = WeakKeyDictionary()


class AsyncioStream(asyncio.Protocol):
    """One connection. Made by a listener's or dial()'s protocol factory; `opened` is called with it once it stands."""

    def __init__(
        self, opened: Callable[[AsyncioStream], None] | None = None, ends: tuple[End, End] | None = None
    ) -> None:
        """`ends`: the peer's and ours, of a connection that is tuned already, where whoever took it knows them."""
        self._loop = asyncio.get_running_loop()
        outbox = _outboxes.get(self._loop)
        if outbox is None:
            outbox = _outboxes[self._loop] = _Outbox(self._loop)
        self._outbox = outbox
        self._unsent: list[bytes] = []
        self._unsent_octets = 0
        self._opened = opened
        self._transport: asyncio.Transport | TlsTransport | None = None
        self._chunks: list[bytes] = []
        self._unread = 0
        self._reading_paused = False
        self._writing_paused = False
        self._ended = False
        self._lost: Exception | None = None
        self._gone = False
        self._reader: asyncio.Future[bool] | None = None
        self._take: Take | None = None
        self._writers: list[asyncio.Future[None]] = []
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._tls: TlsSession | None = None
        self._peer, self._local = (NOWHERE, NOWHERE) if ends is None else ends
        self._congestion = Congestion()
        self._look_at = self._loop.time() + LOOK_SECONDS
        self.received = 0
        """Octets that have come in all."""

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes the transport that now stands."""
        plain = self._transport = cast("asyncio.Transport", transport)
        plain.set_write_buffer_limits(high=WRITE_AHEAD)
        if self._peer is NOWHERE:
            self._look_at_ends(plain)
        if self._opened is not None:
            self._opened(self)

    def _look_at_ends(self, transport: asyncio.Transport) -> None:
        self._peer = address_of(transport.get_extra_info("peername"))
        self._local = address_of(transport.get_extra_info("sockname"))
        if self._peer is not NOWHERE:
            tune(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        """Gives it to who takes it at once; else keeps it, and wakes the reader."""
        self.received += len(data)
        if self._take is not None:
            self._give(self._take, data)
            return
        self._chunks.append(data)
        self._unread += len(data)
        if self._unread > READ_AHEAD and not self._reading_paused:
            self._reading_paused = True
            assert self._transport is not None
            self._transport.pause_reading()
        self._wake_reader()

    def _give(self, take: Take, data: bytes) -> None:
        try:
            seconds = take(data)
        except Exception as error:  # noqa: BLE001 - the loop would only log it: it is for who waits in feed()
            self._take = None
            if self._reader is not None and not self._reader.done():
                self._reader.set_exception(error)
            return
        if seconds is None:
            self._wake_reader(enough=True)
        else:
            self._set_deadline(seconds)

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
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake_reader()
        self.resume_writing()
        if not self._closed.done():
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
        self._writing_paused = True

    def resume_writing(self) -> None:
        """Little enough is queued again."""
        self._writing_paused = False
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
        assert self._reader is None, "one reader at a time"
        if self._ended:
            return False
        self._reader = self._loop.create_future()
        if timeout is not None:
            self._set_deadline(timeout)
        try:
            return await self._reader
        finally:
            self._reader = self._take = None
            self._deadline = None

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
            if (name := self._congestion.look(sent)) is not None:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode())
        except (OSError, AttributeError, struct.error):  # no TCP, or a kernel without it
            self._look_at = float("inf")

    async def drain(self, timeout: float | None = None) -> None:
        """Waits until little is queued. Raises StreamClosed, StreamTimeout."""
        if self._writing_paused and not self._gone:
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

    async def close(self) -> None:
        """Sends what is queued, for a short while, and closes."""
        if self._transport is not None and not self._gone:
            self.end()
            if not isinstance(self._transport, TlsTransport) and not self._transport.get_write_buffer_size():
                return  # the system has all of it, and the loop closes at its next turn: no timer is needed
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

    def _wake_reader(self, *, enough: bool = False) -> None:
        self._take = None
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(enough)

    def _set_deadline(self, timeout: float) -> None:
        self._deadline = deadline = self._loop.time() + timeout
        if self._timer is not None:
            if self._timer_at <= deadline:
                return
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._deadline is None or self._reader is None or self._reader.done():
            return
        if self._deadline > self._loop.time() + 0.001:
            self._timer_at = self._deadline
            self._timer = self._loop.call_at(self._deadline, self._on_timer)
            return
        self._take = None
        self._reader.set_exception(StreamTimeout("the peer was silent for too long"))


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
