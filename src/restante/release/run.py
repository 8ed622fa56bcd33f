"""One release, from its first claim to its end: claim, carry, record; what was refused becomes a DSN.

A failed release leaves what it did not carry as it was: waiting, not a second older. Outcomes are written as they
come, many in one commit, and announced only when they are safe.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from restante.clock import Clock
from restante.facts import Announce, ReleaseEnded, ReleaseStarted
from restante.message import dsn
from restante.model import DomainName, Envelope, ItemId, Order, Progress, Recipient, ReleaseView
from restante.release import settling
from restante.release.feed import ReleaseFeed
from restante.release.plan import Room
from restante.spool.spool import Arrival, Settlement, Spool
from restante.transport.outcome import Carrier, CarryEnd, ItemOutcome


class Routes(Protocol):
    """What a run asks of the directory."""

    def waiting_domains(self, entry: str) -> Sequence[DomainName]:
        """The domains with mail that belong to an entry."""
        ...

    def can_route(self, domain: DomainName) -> bool:
        """Whether there is anything to do with mail for that domain; a DSN that cannot leave is not made."""
        ...

    def arrived(self, domain: DomainName) -> None:
        """A DSN was spooled for that domain."""
        ...


@dataclass(frozen=True, slots=True)
class Means:
    """What every run needs, whatever it releases."""

    spool: Spool
    routes: Routes
    announce: Announce
    clock: Clock
    hostname: str


class Run:
    """One release of one entry to one target. `until` is a monotonic time after which nothing is begun."""

    def __init__(
        self,
        means: Means,
        view: ReleaseView,
        carrier: Carrier,
        *,
        order: Order,
        until: float | None = None,
        due_by: float | None = None,
    ) -> None:
        self._means = means
        self._carrier = carrier
        self.view = replace(view, target=carrier.target, progress=Progress.RUNNING, started=means.clock.wall())
        self._until = until
        self._began = means.clock.monotonic()
        self._unsettled: list[ItemOutcome] = []
        self._settling: asyncio.Task[None] | None = None
        self._broken: Exception | None = None
        self._feed = ReleaseFeed(
            means.spool,
            lambda: means.routes.waiting_domains(view.domain),
            order,
            view.number,
            room=self._room,
            announce=means.announce,
            due_by=due_by,
        )

    def stop_by(self, until: float) -> None:
        """Lets it begin nothing after that monotonic time; what is on its way is finished."""
        self._until = until if self._until is None else min(self._until, until)

    async def run(self) -> ReleaseView:
        """Carries it out; the view of its end."""
        waiting = [self._means.spool.waiting(domain) for domain in self._means.routes.waiting_domains(self.view.domain)]
        items, octets = sum(w.items for w in waiting), sum(w.octets for w in waiting)
        self.view = replace(self.view, items=items, octets=octets)
        view = self.view
        self._means.announce(
            ReleaseStarted(view.number, view.domain, view.requester, view.target, view.items, view.octets)
        )
        end = CarryEnd(error="stopped")
        try:
            end = await self._carrier.carry(self._feed, self._report)
        finally:
            await self._finish(end)
        return self.view

    async def _finish(self, end: CarryEnd) -> None:
        while self._settling is not None:
            await asyncio.wait([self._settling])
        await self._feed.close()
        error = str(self._broken or self._feed.error or end.error)
        wall = self._means.clock.wall()
        self.view = replace(self.view, progress=Progress.ENDED, ended=wall, error=error)
        view = self.view
        left = sum(self._means.spool.waiting(d).items for d in self._means.routes.waiting_domains(view.domain))
        self._means.announce(
            ReleaseEnded(
                view.number,
                view.domain,
                view.requester,
                view.target,
                view.delivered,
                view.deferred,
                view.failed,
                left,
                view.octets_sent,
                self._means.clock.monotonic() - self._began,
                error,
            )
        )

    def _room(self) -> Room:
        now = self._means.clock.monotonic()
        spent = now - self._began
        rate = self.view.octets_sent / spent if self.view.octets_sent and spent > 1 else None
        return Room(None if self._until is None else self._until - now, rate)

    # outcomes

    def _report(self, outcome: ItemOutcome) -> None:
        self._unsettled.append(outcome)
        if self._settling is None:
            self._settling = asyncio.get_running_loop().create_task(self._settle_all())

    async def _settle_all(self) -> None:
        """Writes what has come; what comes meanwhile goes with the next commit."""
        try:
            while self._unsettled and self._broken is None:
                outcomes, self._unsettled = self._unsettled, []
                await self._settle(outcomes)
        except Exception as error:  # noqa: BLE001 - the run ends with it, and what was not written waits
            self._broken = self._feed.error = error
        finally:
            self._settling = None

    async def _settle(self, outcomes: Sequence[ItemOutcome]) -> None:
        now = self._means.clock.wall()
        settlements: list[Settlement] = []
        sorted_ones = [settling.sort(outcome) for outcome in outcomes]
        for outcome, results in zip(outcomes, sorted_ones, strict=True):
            item = outcome.item
            settlements.append(
                Settlement(
                    item.id,
                    settling.remaining(item, results),
                    results.detail,
                    settling.next_attempt(item, results, now),
                    await self._dsn(outcome, results, now) if results.refused else None,
                )
            )
        await self._means.spool.settle(settlements)
        for outcome, results, settlement in zip(outcomes, sorted_ones, settlements, strict=True):
            self._count(outcome.item.id, results, outcome.item.size)
            dsn_id = settlement.dsn.id if settlement.dsn is not None else None
            for fact in settling.facts(outcome.item, results, self.view.number, self.view.target, dsn_id):
                self._means.announce(fact)
            if settlement.dsn is not None:
                self._means.routes.arrived(settlement.dsn.envelopes[0][0])

    def _count(self, item: ItemId, results: settling.Sorted, octets: int) -> None:
        self._feed.settled(item)
        view = self.view
        done = bool(results.delivered) and not results.deferred and not results.refused
        self.view = replace(
            view,
            delivered=view.delivered + done,
            deferred=view.deferred + bool(results.deferred),
            failed=view.failed + bool(results.refused),
            octets_sent=view.octets_sent + (octets if results.delivered else 0),
        )

    async def _dsn(self, outcome: ItemOutcome, results: settling.Sorted, now: float) -> Arrival | None:
        """The failure report for the refused recipients, or None where none may be or can be sent."""
        item = outcome.item
        sender = item.envelope.reverse_path
        wanted = [pair for pair in results.refused if dsn.wants_failure_report(item.envelope, pair[0])]
        if sender is None or not wanted or not self._means.routes.can_route(sender.domain):
            return None
        content = await self._means.spool.content(item)
        original = content if isinstance(content, bytes) else b""
        if not isinstance(content, bytes):
            async for piece in content:  # headers are in the first piece
                original = piece
                break
        message = self._means.spool.new_id()
        report = dsn.failure_report(
            hostname=self._means.hostname,
            message=message,
            item=item,
            failures=[(recipient, refused.status, refused.reply) for recipient, refused in wanted],
            remote=self._carrier.target,
            original=original,
            now=now,
        )
        envelope = Envelope(None, (Recipient(sender),))
        return Arrival(message, report, len(report), hashlib.sha256(report).digest(), [(sender.domain, envelope)], now)
