"""Mail that is to be delivered by some time (DELIVERBY, RFC 2852): when that is over, it goes back, or is called late.

The times are wall times, as they were reckoned when the mail came. One is over when the host has run for as long since
then (ages.py), or when the clock says so and has run evenly since the mail came: no jump ends it early, or late.
Which items have a time is found by a look at all that wait at the start, and at what is new in each round: greater ids,
and messages that came in so slowly that their ids had been passed already.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from restante.message.causes import Cause
from restante.model import MAX_ITEMS_PER_MESSAGE, Item, ItemId, MessageId, message_of
from restante.release.expiry import Sweep
from restante.release.retention import Moment
from restante.spool.spool import Filter, Spool

LOOKED_AT_ONCE = 2000
ENDED_AT_ONCE = 500

_Id = TypeVar("_Id", ItemId, MessageId)


@dataclass(frozen=True, slots=True)
class _Time:
    """By when, and when it came: wall times, both read from one clock."""

    at: float
    arrived: float

    def is_over(self, item: ItemId, moment: Moment) -> bool:
        """Whether that is over, as far as can be told."""
        age = moment.steady - moment.ages.seen_by(message_of(item))
        return age >= self.at - self.arrived or (moment.wall >= self.at and moment.since <= self.arrived)


class Deadlines:
    """All of them. look() is to be called every minute or so, forget_gone() now and then."""

    def __init__(self, spool: Spool, sweep: Sweep) -> None:
        self._spool = spool
        self._sweep = sweep
        self._times: dict[ItemId, _Time] = {}
        self._seen: ItemId | None = None
        self._is_looking = False
        self._late: set[MessageId] = set()

    def accepted(self, message: MessageId) -> None:
        """A message is safe. It has its id from MAIL on: greater ones may have been looked at before it came."""
        if self._is_looking or (self._seen is not None and message <= message_of(self._seen)):
            self._late.add(message)

    async def look(self, moment: Moment) -> None:
        """Sees to those whose time is over. Raises SpoolBroken."""
        await self._find()
        over = [item for item, time in self._times.items() if time.is_over(item, moment)]
        for some in _portions(over):
            items = await self._listed(some)
            bounds = self._sweep.bounds({item.domain for item in items}, moment)
            await self._sweep.end(items, _cause, bounds, moment)
            left = [item.id for item in await self._listed(some) if self._sweep.wants(item, _cause(item))]
            for done in set(some).difference(left):
                del self._times[done]

    async def forget_gone(self) -> None:
        """Forgets those that were delivered in time. Raises SpoolBroken."""
        for some in _portions(list(self._times)):
            for gone in set(some).difference(item.id for item in await self._listed(some)):
                del self._times[gone]

    async def _find(self) -> None:
        late = list(self._late)
        self._is_looking = True
        try:
            for some in _portions(late):
                self._note(await self._listed(some))
            self._late.difference_update(late)
            await self._find_new()
        finally:
            self._is_looking = False

    async def _find_new(self) -> None:
        while True:
            items, last = await self._spool.timed(self._seen, LOOKED_AT_ONCE)
            self._note(items)
            if last is None:
                return
            self._seen = last

    def _note(self, items: Sequence[Item]) -> None:
        for item in items:
            if (by := item.envelope.deliver_by) is not None:
                self._times[item.id] = _Time(by.at, item.arrived)

    async def _listed(self, ids: Sequence[ItemId] | Sequence[MessageId]) -> list[Item]:
        most = len(ids) * MAX_ITEMS_PER_MESSAGE
        found = await self._spool.listing(Filter(ids=tuple(ids), limit=most))
        return [item for item in found if item.is_known]


def _cause(item: Item) -> Cause | None:
    """Why something is to be done with an item whose time is over."""
    by = item.envelope.deliver_by
    if by is None:
        return None
    if by.is_final:
        return Cause.TOO_LATE
    return None if item.envelope.warned else Cause.OVERDUE


def _portions(ids: Sequence[_Id]) -> Iterator[list[_Id]]:
    left = iter(ids)
    while some := list(islice(left, ENDED_AT_ONCE)):
        yield some
