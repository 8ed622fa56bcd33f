"""Whether the machine has a route to an office, asked of the kernel without sending a packet."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from restante.model import HostPort

LOOKUP_SECONDS = 5.0

_Known = tuple[socket.AddressFamily, tuple[object, ...]]


class LinkProbe:
    """Asks for one office. Its name is looked up once, as soon as that is possible: any of its addresses will do."""

    def __init__(self, office: HostPort) -> None:
        self._office = office
        self._known: Sequence[_Known] = ()
        self._looking: asyncio.Task[None] | None = None

    async def is_up(self) -> bool:
        """Whether a packet to the office would leave this machine now."""
        if not self._known:
            await self._look_up()
        return any(_has_route(*known) for known in self._known)

    async def _look_up(self) -> None:
        """Waits a while for the resolver; one that hangs is not asked a second time meanwhile."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._ask_resolver())
        await asyncio.wait([self._looking], timeout=LOOKUP_SECONDS)

    async def _ask_resolver(self) -> None:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                self._office.host, self._office.port, type=socket.SOCK_DGRAM
            )
        except OSError:
            return
        self._known = [(family, address) for family, _, _, _, address in found]


def _has_route(family: socket.AddressFamily, address: tuple[object, ...]) -> bool:
    """Whether the kernel knows where to send a packet: connect() on UDP asks its routing table and sends nothing."""
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asked:
        try:
            asked.connect(address)
        except OSError:
            return False
    return True
