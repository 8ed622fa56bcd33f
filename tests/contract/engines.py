"""The engines that the contract is tested on, and mail to test it with."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from restante.model import DomainName, Envelope, Item, ItemId, Mailbox, Order, Recipient, item_id
from restante.spool.spool import INLINE_LIMIT, Arrival, Due, Spool
from restante.store.disk import Disk
from restante.store.sqlite import open_spool, open_spool_apart

A, B = DomainName("a.example"), DomainName("b.example")
NOW = 1_767_225_600.0


class Engine(Protocol):
    """A store that outlives its process: each open() finds what the last one has left."""

    async def open(self) -> Spool:
        """Opens it; the one opened before was closed."""
        ...


@dataclass
class Sqlite:
    """The embedded engine, in a folder. `disk` may be a faster one than the machine's."""

    folder: Path
    now: float = NOW
    disk: Disk = field(default_factory=Disk)

    async def open(self) -> Spool:
        return await open_spool(self.folder, wall=lambda: self.now, disk=self.disk)


@dataclass
class SqliteApart:
    """The embedded engine as a server has it: what is written is written by another process."""

    folder: Path
    now: float = NOW

    async def open(self) -> Spool:
        return await open_spool_apart(self.folder, wall=lambda: self.now)


def envelope(*domains: DomainName, local: str = "bob", sender: str | None = "ann@sender.example") -> Envelope:
    """An envelope with a recipient in each domain."""
    return Envelope(
        None if sender is None else Mailbox.parse(sender),
        tuple(Recipient(Mailbox(local, domain)) for domain in domains),
    )


def octets(size: int, seed: int = 1) -> bytes:
    """Content that no compression or shift could stand in for."""
    return random.Random(seed).randbytes(size)


async def arrival(
    spool: Spool,
    *domains: DomainName,
    content: bytes = b"Subject: hello\r\n\r\nhello\r\n",
    arrived: float = NOW,
    priority: int = 0,
) -> Arrival:
    """A message for some domains, its content handed over as its size asks."""
    message = spool.new_id()
    given = None
    if len(content) > INLINE_LIMIT:
        given = await spool.writer(message, len(content))
        for start in range(0, len(content), 50_000):
            await given.write(content[start : start + 50_000])
    return Arrival(
        message,
        content if given is None else given,
        len(content),
        [(domain, envelope(domain)) for domain in domains or (A,)],
        arrived,
        priority,
    )


async def put(
    spool: Spool,
    *domains: DomainName,
    content: bytes = b"Subject: hello\r\n\r\nhello\r\n",
    arrived: float = NOW,
    priority: int = 0,
) -> ItemId:
    """Spools a message; the id of its first item."""
    made = await arrival(spool, *domains, content=content, arrived=arrived, priority=priority)
    await spool.accept(made)
    return item_id(made.id, 1)


async def whole(content: bytes | AsyncIterator[bytes]) -> bytes:
    """All octets of a content."""
    return content if isinstance(content, bytes) else b"".join([piece async for piece in content])


async def claimed(
    spool: Spool,
    *domains: DomainName,
    release: int = 1,
    limit: int = 1000,
    order: Order = Order.PRIORITY,
    due: Due | None = None,
) -> list[ItemId]:
    """The ids that a claim gives."""
    return ids(await spool.claim(domains or (A,), order, limit, release, due=due))


def ids(items: Sequence[Item]) -> list[ItemId]:
    """The ids of items."""
    return [item.id for item in items]
