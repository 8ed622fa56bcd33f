"""Listens, and counts: each accepted connection becomes a task with a Stream, up to the configured number.

One too many is told 421 and closed; it takes nobody's place meanwhile. Stopping closes the door first and leaves the
sessions that run to their owner's patience; what is left then is aborted.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable

from restante.errors import RestanteError
from restante.model import HostPort
from restante.net.asyncio_stream import AsyncioStream
from restante.smtp.reply import TOO_MANY_CONNECTIONS

Handler = Callable[[AsyncioStream], Awaitable[None]]
BACKLOG = 1024


class CannotListen(RestanteError):
    """The address is taken, or not ours, or the port needs rights. Trying again helps when that has changed."""


class Listener:
    """One listening socket and its sessions. `connections` is how many there may be at once, 1 or more."""

    def __init__(self, address: HostPort, handler: Handler, connections: int) -> None:
        self.address = address
        self._handler = handler
        self._most = connections
        self._sessions: dict[asyncio.Task[None], AsyncioStream] = {}
        self._refused: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def sessions(self) -> int:
        """How many connections are served."""
        return len(self._sessions) - len(self._refused)

    @property
    def port(self) -> int:
        """The port; once the door is open, what the system chose where 0 was asked for."""
        if self.address.port == 0 and self._server is not None:
            return int(self._server.sockets[0].getsockname()[1])
        return self.address.port

    async def start(self) -> None:
        """Opens the door. Raises CannotListen."""
        try:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: AsyncioStream(self._opened), self.address.host, self.address.port, backlog=BACKLOG
            )
        except OSError as error:
            raise CannotListen(f"cannot listen on {self.address}: {_why(error)}") from None

    def _opened(self, stream: AsyncioStream) -> None:
        refused = self.sessions >= self._most
        task = asyncio.get_running_loop().create_task(self._serve(stream, refused=refused))
        self._sessions[task] = stream
        if refused:
            self._refused.add(task)
        task.add_done_callback(self._ended)

    async def _serve(self, stream: AsyncioStream, *, refused: bool) -> None:
        try:
            if refused:
                stream.write(bytes(TOO_MANY_CONNECTIONS))
            else:
                await self._handler(stream)
        finally:
            await stream.close()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._sessions.pop(task, None)
        self._refused.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler({"message": "a session failed", "exception": error})

    async def close_door(self) -> None:
        """Takes no further connection; those that are open go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def end_sessions(self, patience: float) -> None:
        """Waits so many seconds for the sessions to end, then cuts them."""
        if self._sessions:
            await asyncio.wait(list(self._sessions), timeout=patience)
        for task, stream in list(self._sessions.items()):
            stream.abort()
            task.cancel()
        if self._sessions:
            await asyncio.wait(list(self._sessions), timeout=1)


def _why(error: OSError) -> str:
    """The system's own words; asyncio wraps them in a sentence that has the address again."""
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error)
    return os.strerror(error.errno)
