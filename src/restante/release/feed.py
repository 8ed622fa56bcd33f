"""Where a carrier draws a release's parcels from: claims in batches, reads contents ahead, and stops with the window.

The next contents are fetched while the last are on their way, so that a fast carrier does not wait for the disk; how
much is read ahead is bounded in items and octets. What does not fit into the rest of the window is set aside, so that
others get their turn, and is looked at again at the end, when the rate is better known. A damaged content is
quarantined here and never offered. What was to be at its end by now or to go back (RFC 2852) is passed over: it is the
sweep's (expiry.py).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

from restante.facts import Announce, ContentDamaged
from restante.model import DomainName, Item, ItemId, Order
from restante.release.plan import Room
from restante.spool.spool import ContentDamage, Due, Spool
from restante.transport.outcome import Parcel

BATCH = 256
"""Items claimed at once."""
AHEAD_ITEMS = 128
AHEAD_OCTETS = 1024 * 1024
"""Contents read at once, and kept ready ahead of the carrier; one item may be larger."""
MOST_ASIDE = 1000
"""Items that wait for a second look; more of them are given back at once."""


def _unheeded(item: ItemId, octets: int) -> None:
    del item, octets


class ReleaseFeed:
    """The parcels of one release, in order. `room` is asked before each item is begun.

    `on_its_way` is told of what is streamed, as the carrier tells it.
    """

    def __init__(
        self,
        spool: Spool,
        domains: Callable[[], Sequence[DomainName]],
        order: Order,
        release: int,
        *,
        room: Callable[[], Room],
        announce: Announce,
        due: Due | None = None,
        wall: Callable[[], float] = time.time,
        on_its_way: Callable[[ItemId, int], None] = _unheeded,
    ) -> None:
        self._spool = spool
        self._find_domains = domains
        self._order = order
        self._release = release
        self._room = room
        self._announce = announce
        self._wall = wall
        self._on_its_way = on_its_way
        self._claimed: deque[Item] = deque()
        self._ready: deque[Parcel] = deque()
        self._ready_octets = 0
        self._aside: list[Item] = []
        self._is_second_look = False
        self._filling: asyncio.Task[None] | None = None
        self._is_short = False
        """Whether the last claim found less than it wanted."""
        self._exhausted = False
        self._lent: dict[ItemId, Item] = {}
        self.domains: Sequence[DomainName] = ()
        """The domains that it draws from, as they were when it last looked."""
        self.due = due
        """Only what may be tried by itself is offered; may be changed until has_begun."""
        self.has_begun = False
        """Whether anything was claimed: what is accepted from now on it may have passed."""
        self.error: Exception | None = None

    @property
    def has_more(self) -> bool:
        """Whether it ended before all was offered and settled."""
        return not self._exhausted or bool(self._lent)

    async def next(self) -> Parcel | None:
        """The next parcel that fits, or None when there is no more to offer in this release."""
        while self.error is None and not (room := self._room()).is_over:
            if self._filling is None and self._wants_more:
                self._filling = asyncio.get_running_loop().create_task(self._fill())
            if self._ready:
                parcel = self._ready.popleft()
                self._ready_octets -= parcel.item.size
                if room.fits(parcel.item.size):
                    return parcel
                self._put_aside(parcel.item)
            elif self._filling is not None:
                await asyncio.wait([self._filling])
            else:
                return None
        return None

    def put_back(self, parcel: Parcel) -> None:
        """Of which nothing was sent: it is the next again."""
        self._ready.appendleft(parcel)
        self._ready_octets += parcel.item.size

    def settled(self, item: ItemId) -> None:
        """It is no longer ours to give back."""
        self._lent.pop(item, None)

    async def close(self) -> None:
        """Gives back whatever was claimed and not settled."""
        if self._filling is not None:
            await asyncio.wait([self._filling])
        self._claimed.clear()
        self._ready.clear()
        self._aside.clear()
        self._spool.give_back(list(self._lent))
        self._lent.clear()

    @property
    def _wants_more(self) -> bool:
        """Whether to read on now; the end is looked for only when all before it was drawn, for more may arrive."""
        if not self._ready:
            return not self._exhausted
        has_room = len(self._ready) < AHEAD_ITEMS and self._ready_octets < AHEAD_OCTETS
        return has_room and (bool(self._claimed) or not self._is_short)

    def _put_aside(self, item: Item) -> None:
        """For a second look, when others had their turn; after that it waits for another window."""
        if not self._is_second_look and len(self._aside) < MOST_ASIDE:
            self._aside.append(item)
        else:
            self._give_back(item)

    def _give_back(self, item: Item) -> None:
        self._lent.pop(item.id, None)
        self._spool.give_back([item.id])

    # reading ahead

    async def _fill(self) -> None:
        try:
            if not self._claimed:
                await self._claim()
            if chunk := self._chunk():
                await self._read(chunk)
        except Exception as error:  # noqa: BLE001 - whoever draws next is told
            self.error = error
        finally:
            self._filling = None

    async def _claim(self) -> None:
        self.has_begun = True
        if not (items := await self._claim_batch()):
            self.domains = self._find_domains()  # some may have got mail meanwhile
            items = await self._claim_batch()
        self._is_short = len(items) < BATCH
        if items:
            self._lent.update([(item.id, item) for item in items])
            self._claimed.extend(items)
        elif self._aside:
            self._is_second_look = True
            self._claimed.extend(self._aside)
            self._aside.clear()
        else:
            self._exhausted = True

    async def _claim_batch(self) -> list[Item]:
        if not self.domains:
            return []
        return await self._spool.claim(self.domains, self._order, BATCH, self._release, due=self.due)

    def _chunk(self) -> list[Item]:
        """The next claimed items that fit, as many as are read at once."""
        room, now = self._room(), self._wall()
        chunk: list[Item] = []
        octets = 0
        while self._claimed and len(chunk) < AHEAD_ITEMS and octets < AHEAD_OCTETS:
            item = self._claimed.popleft()
            if item.envelope.is_over(now):
                self._give_back(item)
            elif room.fits(item.size):
                chunk.append(item)
                octets += item.size
            else:
                self._put_aside(item)
        return chunk

    async def _read(self, items: Sequence[Item]) -> None:
        contents = await self._spool.contents(items)
        large = [item for item, content in zip(items, contents, strict=True) if content is None]
        opened = dict(zip([item.id for item in large], await asyncio.gather(*map(self._large, large)), strict=True))
        for item, content in zip(items, contents, strict=True):
            parcel = Parcel(item, content) if content is not None else opened[item.id]
            if parcel is not None:
                self._ready.append(parcel)
                self._ready_octets += item.size

    async def _large(self, item: Item) -> Parcel | None:
        """What is not in its row: whole where it may be in memory, else streamed. None for what is damaged."""
        if item.id not in self._lent:  # its message was quarantined for another of its items
            return None
        try:
            content = await self._spool.content(item)
        except ContentDamage:
            if ids := await self._spool.quarantine(item.message):  # not yet, for another of its items
                self._announce(ContentDamaged(item.message, tuple(ids)))
            for each in (item.id, *ids):
                self._lent.pop(each, None)
            return None
        if isinstance(content, bytes):
            return Parcel(item, content)
        return Parcel(item, _Large(self._spool, item, content), partial(self._on_its_way, item.id))


async def let_go(pieces: AsyncIterator[bytes]) -> None:
    """Closes a content that is not read to its end."""
    close = getattr(pieces, "aclose", None)
    if close is not None:
        await close()


class _Large:
    """Opens a content that is not whole in memory; the first attempt has what was opened to be checked."""

    def __init__(self, spool: Spool, item: Item, opened: AsyncIterator[bytes]) -> None:
        self._spool = spool
        self._item = item
        self._opened: AsyncIterator[bytes] | None = opened

    async def __call__(self) -> AsyncIterator[bytes]:
        """Its pieces."""
        content: AsyncIterator[bytes] | bytes | None
        content, self._opened = self._opened, None
        if content is None:
            content = await self._spool.content(self._item)
        if isinstance(content, bytes):
            yield content
            return
        try:
            async for piece in content:
                yield piece
        finally:
            await let_go(content)
