"""The sweep: what has waited too long goes, and its sender gets it back; of what is late its sender is told, once.

Nothing that a release has is touched; what an operator has frozen is not looked at. A notice and what becomes of its
item are one commit. Where a sender gets no more notices now, his items wait for a later sweep as they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from msgspec import structs

from restante.directory.entries import Directory
from restante.errors import RestanteError
from restante.facts import Announce, ItemExpired, ItemLate
from restante.message.causes import About, Action, Cause
from restante.model import DomainName, Item, ItemId, MessageId
from restante.release.contacts import Contacts
from restante.release.destinations import destination_of
from restante.release.reports import Reports
from restante.release.retention import Bounds, Moment, Schedules, bounds_of
from restante.release.run import Routes, explained
from restante.smtp.address import write_path
from restante.spool.spool import Arrival, Settlement, Spool

DOMAINS_AT_ONCE = 1000
ITEMS_AT_ONCE = 500
SETTLED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Ending:
    """What is to be done with one item: it goes, or stays and its sender is told. `about` is empty for nobody told."""

    item: Item
    cause: Cause
    about: Sequence[About]
    dsn: Arrival | None = None

    @property
    def goes(self) -> bool:
        """Whether it is the item's end."""
        return self.cause.action is Action.FAILED

    @property
    def settlement(self) -> Settlement:
        """What is to be written."""
        item = self.item
        if self.goes:
            return Settlement(item.id, None, dsn=self.dsn)
        told = structs.replace(item.envelope, warned=True)
        return Settlement(item.id, told, item.detail, item.next_attempt, self.dsn, is_attempt=False)

    @property
    def fact(self) -> ItemExpired | ItemLate:
        """What to announce once that is safe."""
        item, dsn = self.item, None if self.dsn is None else self.dsn.id
        sender, reason = write_path(item.envelope.reverse_path), self.cause.value
        if self.goes:
            count = len(item.envelope.recipients)
            return ItemExpired(item.id, item.domain, sender, count, item.size, item.attempts, reason, dsn)
        assert dsn is not None, "nobody was told"
        return ItemLate(item.id, item.domain, sender, len(self.about), reason, dsn)


class Sweep:
    """Goes through all that waits, when it is asked to."""

    def __init__(
        self,
        *,
        spool: Spool,
        directory: Callable[[], Directory],
        contacts: Contacts,
        reports: Reports,
        routes: Routes,
        announce: Announce,
        schedules: Schedules,
    ) -> None:
        self._spool = spool
        self._directory = directory
        self._contacts = contacts
        self._reports = reports
        self._routes = routes
        self._announce = announce
        self._schedules = schedules

    async def sweep(self, moment: Moment) -> None:
        """Does what is to be done at that moment. Raises SpoolBroken."""
        domains = iter(self._spool.domains())
        while some := list(islice(domains, DOMAINS_AT_ONCE)):
            bounds = self.bounds(some, moment)
            asked = [(domain, last) for domain, each in bounds.items() if (last := each.last) is not None]
            await self._sweep_some(asked, bounds, moment)
            await asyncio.sleep(0)

    def bounds(self, domains: Iterable[DomainName], moment: Moment) -> dict[DomainName, Bounds]:
        """The bounds of domains."""
        directory = self._directory()

        def bounds(domain: DomainName) -> Bounds:
            destination = destination_of(directory, domain)
            contact = self._contacts.get(destination or "")
            return bounds_of(directory.entry_for(domain), destination, contact, moment, self._schedules)

        return {domain: bounds(domain) for domain in domains}

    async def _sweep_some(
        self, asked: Sequence[tuple[DomainName, MessageId]], bounds: dict[DomainName, Bounds], moment: Moment
    ) -> None:
        after: ItemId | None = None
        while asked and (items := await self._spool.aged(asked, after, ITEMS_AT_ONCE)):
            after = items[-1].id
            await self.end(items, lambda item: _cause(item, bounds[item.domain]), bounds, moment)

    def wants(self, item: Item, cause: Cause | None) -> bool:
        """Whether something is to be done with an item: it is to go, or its sender wants to know."""
        if cause is None:
            return False
        return cause.action is Action.FAILED or bool(self._about(item, cause))

    def _may(self, item: Item, cause: Cause | None) -> bool:
        """Whether it can be done now."""
        if cause is None:
            return False
        return self._reports.may_be_told(item) if self._about(item, cause) else cause.action is Action.FAILED

    def _about(self, item: Item, cause: Cause) -> list[About]:
        about = [About(recipient, cause, item.detail) for recipient in item.envelope.recipients]
        return self._reports.wanted(item, about)

    async def end(
        self,
        items: Iterable[Item],
        cause_of: Callable[[Item], Cause | None],
        bounds: Mapping[DomainName, Bounds],
        moment: Moment,
    ) -> None:
        """Does it with those of these items for which there is a cause, as far as they wait. Raises SpoolBroken."""
        chosen = iter([item.id for item in items if self._may(item, cause_of(item))])
        while ids := list(islice(chosen, SETTLED_AT_ONCE)):
            await self._end(ids, cause_of, bounds, moment)

    async def _end(
        self,
        ids: Sequence[ItemId],
        cause_of: Callable[[Item], Cause | None],
        bounds: Mapping[DomainName, Bounds],
        moment: Moment,
    ) -> None:
        lent = await self._spool.lend(ids)
        kept = {item.id for item in lent}
        try:
            endings = [
                ending
                for item in lent
                if (cause := cause_of(item)) is not None
                and (ending := await self._ending(item, cause, bounds[item.domain], moment)) is not None
            ]
            if endings:
                settled = {ending.item.id for ending in endings}
                kept -= settled  # before it is done: then a release may have them again
                try:
                    await self._spool.settle([ending.settlement for ending in endings])
                except RestanteError:
                    kept |= settled
                    raise
        finally:
            self._spool.give_back(list(kept))
        for ending in endings:
            self._announce(ending.fact)
            if ending.dsn is not None:
                self._routes.arrived(ending.dsn.envelopes[0][0])

    async def _ending(self, item: Item, cause: Cause, bounds: Bounds, moment: Moment) -> Ending | None:
        """What is to be done, with its notice; None: nothing now."""
        about = self._about(item, cause)
        if not about:
            return Ending(item, cause, ()) if cause.action is Action.FAILED else None
        if not self._reports.tell(item):
            return None
        try:
            dsn = await self._reports.notice(item, about, bounds.times(moment, item.since))
        except RestanteError:
            raise
        except Exception as error:  # noqa: BLE001 - one odd message must not stand in the way of all others
            explained(error)
            return None
        return Ending(item, cause, about, dsn)


def _cause(item: Item, bounds: Bounds) -> Cause | None:
    """Why something is to be done with an item; None: it is not."""
    if bounds.expire is not None and item.since <= bounds.expire:
        return bounds.goes_by
    if bounds.late is not None and item.since <= bounds.late and not item.envelope.warned:
        return bounds.is_late_by
    return None
