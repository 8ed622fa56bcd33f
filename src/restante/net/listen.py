"""Listens: each connection that the door lets in is served, as a Stream; the others are told 421 and closed.

One Door (net/door.py) decides for all listeners of a process. Where a proxy stands, its PROXY header is read before
the stream begins (net/proxy.py), and who it names is who the door sees. A connection that cannot be taken, for want of
file descriptors, waits in the system's queue. Stopping closes the sockets first and leaves the sessions that run to
their owner's patience; what is left then is aborted.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from restante.errors import RestanteError
from restante.facts import Announce, ConnectionRefused
from restante.model import HostPort
from restante.net.accepting import Accepted, Listening
from restante.net.asyncio_stream import AsyncioStream, End, address_of
from restante.net.door import Door, Guest
from restante.net.networks import NOWHERE, Networks
from restante.net.proxy import MOST_OCTETS, BadProxyHeader, Header, HeaderReader
from restante.net.tuning import tune
from restante.smtp.node import IPAddress
from restante.smtp.reply import IDLE_TOO_LONG

Handler = Callable[[AsyncioStream, Guest], Awaitable[None]]
"""Serves somebody. What it gives is done when that is over; a coroutine is made a task, a future is not."""
BACKLOG = 1024
ACCEPTED_AT_ONCE = 64
"""Connections that are taken before the loop sees to what else there is."""
PROXY_SECONDS = 5.0
"""In so long a PROXY header must be there."""
PAUSE_SECONDS = 0.2
"""Where the system has no descriptor or memory for a connection, it is tried again after this."""
SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class CannotListen(RestanteError):
    """The address is taken, or not ours, or the port needs rights. Trying again helps when that has changed."""


@dataclass(slots=True, eq=False)
class _Session:
    """A connection: a socket that is ours until its stream has it."""

    connection: Accepted
    peer: End
    local: End
    guest: Guest | None = None
    stream: AsyncioStream | None = None
    serving: asyncio.Future[None] | None = None
    is_leaving: bool = False

    def send_away(self) -> None:
        """Ends it, for it has kept us waiting; at once, where not even a farewell can be said, or it is not taken."""
        stream = self.stream
        if stream is None:
            return
        if self.is_leaving or stream.is_in_handshake:
            stream.abort()
            return
        self.is_leaving = True
        stream.write(bytes(IDLE_TOO_LONG))
        stream.end()


class Listener:
    """One address that is listened on, and its sessions.

    From `proxies` come connections with a PROXY header, and no others. The door's refusals are announced now and then.
    """

    def __init__(
        self,
        address: HostPort,
        handler: Handler,
        door: Door,
        *,
        proxies: Networks = NOWHERE,
        announce: Announce = lambda _: None,
    ) -> None:
        self.address = address
        self._loop = asyncio.get_running_loop()
        self.handler = handler
        """Serves those who come from now on; may be replaced."""
        self._door = door
        self._proxies = proxies
        self._announce = announce
        self._sessions: set[_Session] = set()
        self._left = asyncio.Event()  # somebody has
        self._sockets: list[Listening] = []
        self._pauses: dict[Listening, asyncio.TimerHandle] = {}

    @property
    def sessions(self) -> int:
        """How many connections are served."""
        return len(self._sessions)

    @property
    def port(self) -> int:
        """The port; once the socket is open, what the system chose where 0 was asked for."""
        if self.address.port == 0 and self._sockets:
            return int(self._sockets[0].getsockname()[1])
        return self.address.port

    async def start(self) -> None:
        """Opens the sockets. Raises CannotListen."""
        try:
            self._sockets = await _listening(self.address)
        except OSError as error:
            raise CannotListen(f"cannot listen on {self.address}: {_why(error)}") from None
        for sock in self._sockets:
            self._watch(sock)

    def _watch(self, sock: Listening) -> None:
        self._pauses.pop(sock, None)
        self._loop.add_reader(sock, self._accept, sock)

    def _accept(self, sock: Listening) -> None:
        """Takes what waits in the system's queue."""
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                connection, name = sock.take()
            except OSError as error:
                if error.errno in SCARCE:
                    self._loop.remove_reader(sock)
                    self._pauses[sock] = self._loop.call_later(PAUSE_SECONDS, self._watch, sock)
                return  # nothing waits, or it went away meanwhile
            self._arrived(_Session(connection, address_of(name), address_of(connection.getsockname())))

    def _arrived(self, session: _Session) -> None:
        address = session.peer[0]
        if address in self._proxies:
            self._sessions.add(session)
            session.serving = self._loop.create_task(self._hear_proxy(session))
            session.serving.add_done_callback(self._tell_failure)
        elif self._admit(session, address, is_local=address == session.local[0]):
            self._sessions.add(session)
            self._connect(session)

    def _admit(self, session: _Session, address: IPAddress, *, is_local: bool = False) -> bool:
        """Whether it is let in. Else it is told why not, and closed."""
        now = time.monotonic()
        for guest in self._door.overdue(now):
            guest.send_away()
        admitted = self._door.admit(address, now, descriptor=session.connection.fileno(), is_local=is_local)
        if isinstance(admitted, Guest):
            session.guest = admitted
            admitted.send_away = session.send_away
            return True
        if admitted.times:
            self._announce(ConnectionRefused(address, str(admitted.reply), admitted.times))
        with session.connection as connection, contextlib.suppress(OSError):
            connection.send(bytes(admitted.reply))
            connection.shutdown(socket.SHUT_WR)
        return False

    async def _hear_proxy(self, session: _Session) -> None:
        proxy, is_admitted = session.peer[0], False
        session.connection.setblocking(False)
        try:
            async with asyncio.timeout(PROXY_SECONDS):
                header = await _read_header(session.connection)
            if header.source is not None and header.destination is not None:
                session.peer, session.local = header.source, header.destination
            is_admitted = self._admit(session, session.peer[0])
        except (BadProxyHeader, OSError) as error:  # TimeoutError is one
            reason = str(error) or f"no PROXY header came in {PROXY_SECONDS:.0f} s"
            self._announce(ConnectionRefused(proxy, reason, 1))
        finally:
            if not is_admitted:
                self._leave(session)
        if is_admitted:
            self._connect(session)

    def _connect(self, session: _Session) -> None:
        """Makes a stream of the socket, which is served from the loop's next turn on."""
        stream = AsyncioStream(partial(self._serve, session), (session.peer, session.local))
        steps = self._loop.connect_accepted_socket(lambda: stream, session.connection).__await__()
        # There are two, and the second is the loop's next turn: a task for them would take longer than they do.
        try:
            next(steps).add_done_callback(lambda _: next(steps, None))
        except OSError as error:
            self._leave(session)
            self._tell(error)

    def _serve(self, session: _Session, stream: AsyncioStream) -> None:
        assert session.guest is not None, "it was not let in"
        session.stream = stream
        try:
            serving = self.handler(stream, session.guest)
            session.serving = serving if isinstance(serving, asyncio.Future) else asyncio.ensure_future(serving)
        except Exception as error:  # noqa: BLE001 - told as one that comes later is
            session.serving = self._loop.create_future()
            session.serving.set_exception(error)
        session.serving.add_done_callback(partial(self._served, session))

    def _served(self, session: _Session, serving: asyncio.Future[None]) -> None:
        self._tell_failure(serving)
        assert session.stream is not None
        if session.stream.finish():
            self._leave(session)
        else:
            session.serving = self._loop.create_task(session.stream.close())
            session.serving.add_done_callback(lambda _: self._leave(session))

    def _tell_failure(self, serving: asyncio.Future[None]) -> None:
        if not serving.cancelled() and (error := serving.exception()) is not None:
            self._tell(error)

    def _tell(self, error: BaseException) -> None:
        self._loop.call_exception_handler({"message": "a session failed", "exception": error})

    def _leave(self, session: _Session) -> None:
        self._sessions.remove(session)
        if session.stream is None:
            session.connection.close()
        if session.guest is not None:
            session.guest.leave()
        self._left.set()

    async def close_door(self) -> None:
        """Takes no further connection; those that are open go on."""
        for sock in self._sockets:
            self._loop.remove_reader(sock)
            sock.close()
        for pause in self._pauses.values():
            pause.cancel()
        self._pauses.clear()
        self._sockets.clear()

    async def end_sessions(self, patience: float) -> None:
        """Waits so many seconds for the sessions to end, then cuts them."""
        await self._all_left(patience)
        for session in list(self._sessions):
            if session.stream is not None:
                session.stream.abort()
            if session.serving is not None:
                session.serving.cancel()
        await self._all_left(1)

    async def _all_left(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._sessions:
                    self._left.clear()
                    await self._left.wait()


async def _listening(address: HostPort) -> list[Listening]:
    """A socket for each address that a host has. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    sockets: list[Listening] = []
    try:
        for family, _, _, _, name in dict.fromkeys(found):
            sockets.append(Listening.at(name, family, BACKLOG))
            tune(sockets[-1])  # its connections are as it is: that spares each seven calls
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


async def _read_header(connection: socket.socket) -> Header:
    """Reads a PROXY header, and not an octet of what comes behind it. Raises BadProxyHeader, OSError."""
    reader = HeaderReader()
    while reader.header is None:
        await _readable(connection)
        data = connection.recv(MOST_OCTETS, socket.MSG_PEEK)
        if not data:
            raise BadProxyHeader("a connection from a proxy ended without a PROXY header")
        connection.recv(reader.receive(data))
    return reader.header


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(connection, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(connection)


def _why(error: OSError) -> str:
    """The system's own words; socket.create_server() wraps them in a sentence that has the address again."""
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error)
    return os.strerror(error.errno)
