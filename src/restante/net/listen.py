"""Listens, and counts: each accepted connection becomes a task with a Stream, up to the configured number.

One too many is told 421 and closed. Stopping closes the door first and leaves the sessions that run to their
owner's patience; what is left then is aborted.
"""

from __future__ import annotations

import asyncio
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
        self._server: asyncio.Server | None = None

    @property
    def sessions(self) -> int:
        """How many connections are open."""
        return len(self._sessions)

    async def start(self) -> None:
        """Opens the door. Raises CannotListen."""
        try:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: AsyncioStream(self._opened), self.address.host, self.address.port, backlog=BACKLOG
            )
        except OSError as error:
            raise CannotListen(f"cannot listen on {self.address}: {error.strerror or error}") from None

    def _opened(self, stream: AsyncioStream) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(stream, refused=len(self._sessions) >= self._most))
        self._sessions[task] = stream
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
