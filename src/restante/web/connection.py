"""One HTTP connection: uvicorn's protocol over a Stream of ours, so that who comes in over HTTP is counted at the same
door, has the same TLS, and is let go by the same stop as all others.

    serve(stream, guest, http)    until it ends

The head of a request must be there HEAD_SECONDS after its turn has come. What is left of a body when the answer is said
is read for as long, up to MOST_BODY_OCTETS, so that the client hears the answer. How long a body may take that is
wanted is for the application (guard.py).
"""

from __future__ import annotations

import asyncio
import contextlib

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from restante.clock import Clock
from restante.net.door import Guest
from restante.net.stream import Stream, StreamClosed, StreamTimeout
from restante.web.guard import MOST_BODY_OCTETS, Application
from restante.web.problems import MEDIA_TYPE, write_problem

HEAD_SECONDS = 10.0
MOST_HEAD_OCTETS = 16 * 1024
KEEP_SECONDS = 5
"""How long a connection is kept for another request."""
WRITE_AHEAD = 64 * 1024
DRAIN_SECONDS = 300.0
"""How long a client may take over what was written."""


class Http:
    """What all connections have in common: an application, and who is connected."""

    def __init__(self, application: Application, clock: Clock, *, head_seconds: float = HEAD_SECONDS) -> None:
        self.clock = clock
        self.head_seconds = head_seconds
        self.state = ServerState()
        self.config = Config(
            application,
            http=_Protocol,
            ws="none",
            lifespan="off",
            loop="none",
            interface="asgi3",
            log_config=None,
            log_level="critical",  # what went wrong is told elsewhere, and strangers write no log of ours
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_SECONDS,
            h11_max_incomplete_event_size=MOST_HEAD_OCTETS,
        )
        self.config.load()

    def stop(self) -> None:
        """Each connection ends after the answer that it is about, if any."""
        for connection in list(self.state.connections):
            with contextlib.suppress(h11.LocalProtocolError):
                connection.shutdown()

    async def end(self) -> None:
        """Requests whose connection is gone are given up."""
        tasks = list(self.state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def serve(stream: Stream, guest: Guest, http: Http) -> None:
    """Serves one connection until it ends; the caller closes the stream."""
    transport = _Transport(stream)
    protocol = _Protocol(http.config, http.state, {})
    transport.protocol = protocol
    protocol.connection_made(transport)
    waits_since: float | None = http.clock.monotonic()
    unwanted = 0
    try:
        while await transport.may_read():
            if not protocol.is_idle:
                waits_since = None
            elif waits_since is None:
                waits_since = http.clock.monotonic()
            guest.waiting_since = waits_since
            left = None if waits_since is None else waits_since + http.head_seconds - http.clock.monotonic()
            if left is not None and left <= 0:
                return
            data = await stream.read(left)
            if not data:
                return
            guest.waiting_since = None
            unwanted = unwanted + len(data) if protocol.is_answered else 0
            if unwanted > MOST_BODY_OCTETS:
                return
            protocol.data_received(data)
    except (StreamClosed, StreamTimeout, h11.LocalProtocolError):  # the last: it talks out of turn
        return
    finally:
        protocol.connection_lost(None)
        transport.ended()


class _Protocol(H11Protocol):
    """uvicorn's, with a problem for what is no HTTP."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being answered."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def is_answered(self) -> bool:
        """Whether a request has its answer, and its body goes on."""
        return self.is_idle and self.conn.their_state is h11.SEND_BODY

    def send_400_response(self, msg: str) -> None:
        """Says so, if it can still be said, and closes."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = write_problem(400, msg)
            fields = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), "connection": "close"}
            response = h11.Response(status_code=400, headers=list(fields.items()), reason=b"Bad Request")
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class _Transport(asyncio.Transport):
    """A Stream as a protocol of asyncio sees it."""

    protocol: H11Protocol

    def __init__(self, stream: Stream) -> None:
        peer, local = stream.peer, stream.local
        names = {"peername": (str(peer[0]), peer[1]), "sockname": (str(local[0]), local[1]), "sslcontext": stream.tls}
        super().__init__(names)
        self._stream = stream
        self._is_closing = False
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._undrained = 0
        self._draining: asyncio.Task[None] | None = None

    async def may_read(self) -> bool:
        """Waits until the protocol wants more; False: it wants none any more."""
        await self._may_read.wait()
        return not self._is_closing

    def ended(self) -> None:
        """Nobody reads it any more."""
        if self._draining is not None:
            self._draining.cancel()

    def is_closing(self) -> bool:
        """Whether it was closed from here."""
        return self._is_closing

    def close(self) -> None:
        """Closes when all is sent."""
        if not self._is_closing:
            self._is_closing = True
            self._may_read.set()
            self._stream.end()

    def abort(self) -> None:
        """Closes at once."""
        self._is_closing = True
        self._may_read.set()
        self._stream.abort()

    def pause_reading(self) -> None:
        """The protocol has enough for now."""
        if not self._is_closing:
            self._may_read.clear()

    def resume_reading(self) -> None:
        """It wants more."""
        self._may_read.set()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Queues octets; of many the protocol hears when there is room again."""
        self._stream.write(bytes(data))
        self._undrained += len(data)
        if self._undrained > WRITE_AHEAD and self._draining is None:
            self.protocol.pause_writing()
            self._draining = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        try:
            while self._undrained > WRITE_AHEAD:
                self._undrained = 0
                await self._stream.drain(DRAIN_SECONDS)
        except (StreamClosed, StreamTimeout):
            self.abort()
        finally:
            self._draining = None
            self.protocol.resume_writing()
