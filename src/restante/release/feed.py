"""Where a carrier draws a release's parcels from: claims in batches, reads contents ahead, and stops with the window.

Claims and contents for the next batch are fetched while the last one is on its way, so that a fast carrier does not
wait for the disk. A damaged content is quarantined here and never offered.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

from restante.facts import Announce, ContentDamaged
from restante.model import DomainName, Item, ItemId, Order
from restante.release.plan import Room
from restante.spool.spool import ContentDamage, Spool
from restante.transport.outcome import Parcel

BATCH = 256


class ReleaseFeed:
    """The parcels of one release, in order. `room` is asked before each item is begun."""

    def __init__(
        self,
        spool: Spool,
        domains: Callable[[], Sequence[DomainName]],
        order: Order,
        release: int,
        *,
        room: Callable[[], Room],
        announce: Announce,
        due_by: float | None = None,
    ) -> None:
        self._spool = spool
        self._domains = domains
        self._order = order
        self._release = release
        self._room = room
        self._announce = announce
        self._due_by = due_by
        self._ready: deque[Parcel] = deque()
        self._filling: asyncio.Task[None] | None = None
        self._exhausted = False
        self.lent: dict[ItemId, Item] = {}
        """Items claimed and not yet settled or given back."""
        self.error: Exception | None = None

    async def next(self) -> Parcel | None:
        """The next parcel that fits, or None when there is no more to offer in this release."""
        while not self._room().is_over and self.error is None:
            if len(self._ready) < BATCH // 2 and self._filling is None and not self._exhausted:
                self._filling = asyncio.get_running_loop().create_task(self._fill())
            if not self._ready:
                if self._filling is None:
                    return None
                await asyncio.shield(self._filling)
                continue
            parcel = self._ready.popleft()
            if self._room().fits(parcel.item.size):
                return parcel
            self._return(parcel.item)
        return None

    def put_back(self, parcel: Parcel) -> None:
        """Of which nothing was sent: it is the next again."""
        self._ready.appendleft(parcel)

    def settled(self, item: ItemId) -> None:
        """It is no longer ours to give back."""
        self.lent.pop(item, None)

    async def close(self) -> None:
        """Gives back whatever was claimed and not settled."""
        if self._filling is not None:
            await asyncio.wait([self._filling])
        self._ready.clear()
        self._spool.give_back(list(self.lent))
        self.lent.clear()

    def _return(self, item: Item) -> None:
        self.lent.pop(item.id, None)
        self._spool.give_back([item.id])

    async def _fill(self) -> None:
        try:
            items = await self._spool.claim(self._domains(), self._order, BATCH, self._release, due_by=self._due_by)
            self.lent.update((item.id, item) for item in items)
            if not items:
                self._exhausted = True
                return
            for item, content in zip(items, await self._spool.contents(items), strict=True):
                if content is not None:
                    self._ready.append(Parcel(item, content))
                elif (parcel := await self._large(item)) is not None:
                    self._ready.append(parcel)
        except Exception as error:  # noqa: BLE001 - whoever draws next is told
            self.error = error
        finally:
            self._filling = None

    async def _large(self, item: Item) -> Parcel | None:
        try:
            content = await self._spool.content(item)
        except ContentDamage:
            ids = await self._spool.quarantine(item.message)
            self._announce(ContentDamaged(item.message, tuple(ids)))
            self.lent.pop(item.id, None)
            return None
        if isinstance(content, bytes):
            return Parcel(item, content)
        await _let_go(content)
        return Parcel(item, lambda: _opened(self._spool, item))


async def _let_go(pieces: AsyncIterator[bytes]) -> None:
    """Closes what was opened only to be checked."""
    close = getattr(pieces, "aclose", None)
    if close is not None:
        await close()


async def _opened(spool: Spool, item: Item) -> AsyncIterator[bytes]:
    content = await spool.content(item)
    if isinstance(content, bytes):
        yield content
        return
    async for piece in content:
        yield piece
