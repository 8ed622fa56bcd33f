"""A TCP proxy that cuts the connection after the n-th octet that it has let through in one direction.

    async with CuttingProxy(site) as proxy:
        proxy.arm(Cut(Direction.TO_SERVER, 57))     # the 57th octet arrives, the 58th does not; both ends hear of it
        ...
        proxy.arm(None)                             # everything passes

What was let through since arm() is in `passed`. A cut is made once: connections after it pass whole.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Self, cast

from restante.model import HostPort


class Direction(StrEnum):
    """Which way octets go."""

    TO_SERVER = "to the server"
    TO_CLIENT = "to the client"


@dataclass(frozen=True, slots=True)
class Cut:
    """After how many octets in which direction; by a clean end (FIN), or by a reset."""

    direction: Direction
    octets: int
    by_reset: bool = False

    def __str__(self) -> str:
        return f"{'reset' if self.by_reset else 'end'} after {self.octets} octets {self.direction}"


class CuttingProxy:
    """Listens at 127.0.0.1:`port` and connects each client with the server at `target`."""

    def __init__(self, target: HostPort) -> None:
        self._target = target
        self._cut: Cut | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self.port = 0
        self.passed: dict[Direction, bytearray] = {}
        self.has_cut = False

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self).ends[Direction.TO_SERVER], "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.arm(None)
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for connection in list(self._connections):
            connection.end(by_reset=True)
        await asyncio.sleep(0.01)

    def arm(self, cut: Cut | None) -> None:
        """Says where to cut next (None: nowhere), and counts from zero."""
        self._cut = cut
        self.has_cut = False
        self.passed = {direction: bytearray() for direction in Direction}

    # what connections ask

    async def dial(self, connection: _Connection) -> None:
        """Connects to the server; from then on octets pass."""
        loop = asyncio.get_running_loop()
        self._connections.add(connection)
        try:
            await loop.create_connection(
                lambda: connection.ends[Direction.TO_CLIENT], self._target.host, self._target.port
            )
        except OSError:
            connection.end(by_reset=False)
        else:
            self.let_through(connection, Direction.TO_SERVER, b"")

    def forget(self, connection: _Connection) -> None:
        """It is over."""
        self._connections.discard(connection)

    def let_through(self, connection: _Connection, direction: Direction, data: bytes) -> None:
        """Passes on what may pass, and cuts when that was the last of it."""
        cut = self._cut if not self.has_cut else None
        passed = self.passed[direction]
        if cut is not None and cut.direction is direction:
            data = data[: cut.octets - len(passed)]
        passed += data
        connection.write(direction, data)
        if cut is not None and len(self.passed[cut.direction]) >= cut.octets:
            self.has_cut = True
            connection.end(by_reset=cut.by_reset)


class _Connection:
    """Two ends; each one's octets go to the other."""

    def __init__(self, proxy: CuttingProxy) -> None:
        self._proxy = proxy
        self._is_over = False
        self.ends = {direction: _End(self, direction) for direction in Direction}
        self.dialling: asyncio.Task[None] | None = None

    def opened(self, direction: Direction) -> None:
        """An end stands; the client's comes first."""
        if direction is Direction.TO_SERVER:
            self.dialling = asyncio.get_running_loop().create_task(self._proxy.dial(self))
        elif self._is_over:
            self.ends[direction].end(by_reset=True)

    def came(self, direction: Direction, data: bytes) -> None:
        """Octets came from an end."""
        if not self._is_over:
            self._proxy.let_through(self, direction, data)

    def write(self, direction: Direction, data: bytes) -> None:
        """Octets go to the other end."""
        self.ends[Direction.TO_CLIENT if direction is Direction.TO_SERVER else Direction.TO_SERVER].write(data)

    def end(self, *, by_reset: bool) -> None:
        """Both ends hear that the other is gone."""
        self._is_over = True
        for each in self.ends.values():
            each.end(by_reset=by_reset)
        self._proxy.forget(self)


class _End(asyncio.Protocol):
    """One end of a connection; `direction` is where its octets go."""

    def __init__(self, connection: _Connection, direction: Direction) -> None:
        self._connection = connection
        self._direction = direction
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.opened(self._direction)

    def data_received(self, data: bytes) -> None:
        self._connection.came(self._direction, data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - whyever
        self._connection.end(by_reset=False)

    def write(self, data: bytes) -> None:
        if data and self._transport is not None:
            self._transport.write(data)

    def end(self, *, by_reset: bool) -> None:
        transport, self._transport = self._transport, None
        if transport is None or transport.is_closing():
            return
        if by_reset:  # what was written has left: it is little, and the other end is on this machine
            linger = struct.pack("ii", 1, 0)
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            transport.abort()
        else:
            transport.close()
