"""One connection to a host with several addresses, quickly also where some of them are dead (RFC 8305 §4-5).

The addresses are tried in turn, each as soon as the one before has failed, or has not answered for a moment, while
that goes on; the first that stands is it. IPv6 begins, and both families take turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import zip_longest
from typing import Protocol, TypeVar

from restante.errors import RestanteError
from restante.smtp.node import IPAddress

NEXT_SECONDS = 0.25
"""How long the next address waits for the one before (RFC 8305 §8)."""


class Abortable(Protocol):
    """A connection."""

    def abort(self) -> None:
        """Closes it at once."""
        ...


S = TypeVar("S", bound=Abortable)


def interleaved(addresses: Iterable[IPAddress]) -> list[IPAddress]:
    """IPv6 and IPv4 by turns; those of one family stay in their order."""
    families: dict[int, list[IPAddress]] = {6: [], 4: []}
    for address in addresses:
        families[address.version].append(address)
    return [address for pair in zip_longest(families[6], families[4]) for address in pair if address is not None]


async def race(
    addresses: Sequence[IPAddress],
    dial: Callable[[IPAddress], Awaitable[S]],
    *,
    next_seconds: float = NEXT_SECONDS,
) -> S:
    """What `dial` gives for the first address that answers. Raises what it has raised last, if all have failed."""
    assert addresses, "a host without an address is not dialled"
    waiting = list(addresses)
    running: set[asyncio.Future[S]] = set()
    try:
        while True:
            if waiting:
                running.add(asyncio.ensure_future(dial(waiting.pop(0))))
            done, running = await asyncio.wait(
                running, timeout=next_seconds if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            stand = [task for task in done if task.exception() is None]
            if stand:
                running.update(stand[1:])
                return stand[0].result()
            for task in done:
                error = task.exception()
                if not isinstance(error, RestanteError) or not (running or waiting):
                    task.result()
    finally:
        for task in running:
            task.cancel()
        for late in await asyncio.gather(*running, return_exceptions=True):
            if not isinstance(late, BaseException):
                late.abort()
