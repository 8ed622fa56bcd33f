"""The items that somebody may see: the operator all, a user those of his domains. All who look come through here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace

from restante.admin import protocol as p
from restante.admin.choice import Choice
from restante.clock import Clock
from restante.model import DomainName, Item, ItemId, MessageId
from restante.spool.spool import Filter, Spool

IDS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Seen:
    """Those of the spool, or those `within` some domains."""

    spool: Spool
    clock: Clock
    within: frozenset[DomainName] | None = None

    async def pages(self, wanted: Filter) -> AsyncIterator[list[Item]]:
        """What passes a filter, in pages of its limit."""
        if self.within is not None:
            domains = self.within.intersection(wanted.domains) if wanted.domains else self.within
            if not domains:
                return
            wanted = replace(wanted, domains=tuple(sorted(domains)))
        while page := await self.spool.listing(wanted):
            yield page
            if len(page) < wanted.limit:
                return
            wanted = replace(wanted, after=page[-1].id)

    async def named(self, ids: Iterable[MessageId | ItemId]) -> AsyncIterator[list[Item]]:
        """The items of these ids, as far as they are there."""
        unique = list(dict.fromkeys(ids))
        for start in range(0, len(unique), IDS_AT_ONCE):
            async for page in self.pages(Filter(ids=tuple(unique[start : start + IDS_AT_ONCE]), limit=p.PAGE)):
                yield page

    async def chosen(self, choice: Choice) -> AsyncIterator[list[Item]]:
        """What is there now, and as it must be; not what comes of it, such as notices."""
        now, end = self.clock.wall(), self.spool.new_id()
        async for page in self.pages(choice.filter):
            if wanted := [item for item in page if item.message < end and choice.wants(item, now)]:
                yield wanted
            if page[-1].message > end:
                return
