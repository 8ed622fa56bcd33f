"""A spool's life in short, with every step of an item in it (spool/states.py), to cut the power in."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

from tests.contract.engines import A, B, arrival, claimed, envelope, octets
from tests.crash.endings import endings
from tests.crash.past import History, Recorded

from restante.model import DomainName, ItemId, ItemState, item_id, message_of
from restante.spool.spool import INLINE_LIMIT, Settlement, Spool
from restante.store.bodies import PIECE
from restante.store.sqlite import open_spool

C, D = DomainName("c.example"), DomainName("d.example")
LARGE = octets(INLINE_LIMIT + 4011)
STREAMED = octets(PIECE + 4011)
"""Its first piece is in its file before it has ended."""


async def opened(history: History, folder: Path) -> Spool:
    """The spool, of which a history is kept."""
    return cast("Spool", Recorded(await open_spool(folder, disk=history.disk), history))


async def accept(history: History, spool: Spool, *domains: DomainName, content: bytes) -> ItemId:
    """Spools a message; the id of its first item."""
    made = await arrival(spool, *domains, content=content)
    history.contents[made.id] = content
    await spool.accept(made)
    return item_id(made.id, 1)


async def run(history: History, folder: Path) -> None:
    """First mail, small and large, all kinds of outcomes, an orderly end, another start, all kinds of endings."""
    spool = await opened(history, folder)
    first = await accept(history, spool, A, content=b"first\r\n")
    both = await accept(history, spool, A, B, content=octets(5000))
    large = await accept(history, spool, C, content=LARGE)
    dropped = await spool.writer(spool.new_id(), None)
    await dropped.write(LARGE)
    await dropped.discard()
    assert await claimed(spool, A) == [first, both]
    await spool.settle([Settlement(first, envelope(A, local="carol"), "450 later", 1.0), Settlement(both, None)])
    await _refused(spool, ItemId(both + 1))
    async with history.trying(history.states([large], ItemState.FROZEN)):
        await spool.freeze([large])
    async with history.trying(history.states([large], ItemState.WAITING)):
        await spool.thaw([large])
    async with history.trying({large: None}):
        await spool.remove([large])
    hurt = await accept(history, spool, B, C, content=octets(3000, 3))
    async with history.trying(history.states([hurt, ItemId(hurt + 1)], ItemState.QUARANTINED)):
        await spool.quarantine(message_of(hurt))
    again = await accept(history, spool, C, content=STREAMED)
    await spool.close()
    spool = await opened(history, folder)
    await accept(history, spool, B, content=b"second life\r\n")
    await claimed(spool, C)
    await spool.settle([Settlement(again, None)])
    await endings(history, spool)
    await _batches(spool)
    async with history.trying({hurt: None, ItemId(hurt + 1): None}):
        await spool.remove([hurt, ItemId(hurt + 1)])
    await spool.close()


async def _refused(spool: Spool, item: ItemId) -> None:
    """An item ends with a report to its sender, in one commit."""
    await claimed(spool, A, B, release=2)
    await spool.settle([Settlement(item, None, dsn=await arrival(spool, C, content=b"report\r\n"))])


async def _batches(spool: Spool) -> None:
    """Several messages at once, and all delivered in one commit; enough of them for checkpoints in between."""
    for size in (700, 9000, 30_000):
        made = [await arrival(spool, D, content=octets(size, number)) for number in range(4)]
        await asyncio.gather(*[spool.accept(each) for each in made])  # which share a commit is the writer's business
        ids = [item_id(each.id, 1) for each in made]
        await claimed(spool, D, release=ids[0])
        await spool.settle([Settlement(each, None) for each in ids])
