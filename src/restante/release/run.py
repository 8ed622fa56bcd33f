"""One release, from its first claim to its end: claim, carry, record; what was refused becomes a DSN.

A failed release leaves what it did not carry as it was: waiting, not a second older. Outcomes are written as they
come, many in one commit, and announced only when they are safe.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from restante.clock import Clock
from restante.directory.entries import RETRY_SECONDS
from restante.errors import RestanteError
from restante.facts import Announce, NoticeWithheld, ReleaseEnded, ReleaseStarted
from restante.message.causes import Times
from restante.model import DomainName, Item, Order, Progress, ReleaseView
from restante.release import settling
from restante.release.allowance import Allowance
from restante.release.feed import ReleaseFeed
from restante.release.going import Going
from restante.release.learning import Learn, learn_nothing
from restante.release.plan import MEASURED_SECONDS, Room
from restante.release.rates import Outlook, Series, outlook
from restante.release.reports import Reports
from restante.smtp.address import write_path
from restante.spool.spool import Arrival, Due, Spool
from restante.transport.outcome import Carrier, CarryEnd, ItemOutcome

STOPPED = "stopped"
WINDOW_OVER = "the window is over"
NO_REPORT = "451 4.3.0 refused, but the report of it could not be made"
TOO_MANY_REPORTS = "451 4.3.2 refused, but its sender gets no more reports this hour"


class Routes(Protocol):
    """What a run asks of the directory."""

    def waiting_domains(self, entry: str) -> Sequence[DomainName]:
        """The domains that belong to an entry, at least all of those with mail."""
        ...

    def can_route(self, domain: DomainName) -> bool:
        """Whether mail for that domain can leave; a DSN that cannot is not made."""
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
    allowance: Allowance
    """How many notices each sender may get."""
    learn: Learn = learn_nothing


class Run:
    """One release of one entry to one target. `until` is a monotonic time after which nothing is begun.

    With `due`, only what may be tried by itself is offered. `retry`: seconds between attempts.
    """

    def __init__(
        self,
        means: Means,
        view: ReleaseView,
        carrier: Carrier,
        *,
        order: Order,
        until: float | None = None,
        due: Due | None = None,
        retry: Sequence[float] = RETRY_SECONDS,
    ) -> None:
        self._means = means
        self._carrier = carrier
        started = means.clock.wall()
        self._view = replace(view, target=carrier.target, progress=Progress.RUNNING, started=started)
        self._until = until
        self._retry = retry
        self._began = means.clock.monotonic()
        self._going = Going(means.clock.monotonic, started)
        self._drawing_since: float | None = None
        self._unsettled: list[settling.Sorted] = []
        self._settling: asyncio.Task[None] | None = None
        self._reports = Reports(
            means.spool, hostname=means.hostname, allowance=means.allowance, can_route=means.routes.can_route
        )
        self._broken = ""
        self._stopped = ""
        self._is_over = False  # the carrier has ended; all that is left is to write down what it said
        self._feed = ReleaseFeed(
            means.spool,
            lambda: means.routes.waiting_domains(view.domain),
            order,
            view.number,
            room=self._room,
            announce=means.announce,
            due=due,
            wall=means.clock.wall,
            on_its_way=self._going.on_its_way,
        )

    @property
    def view(self) -> ReleaseView:
        """How it stands."""
        going = self._going
        return replace(
            self._view,
            delivered=going.delivered,
            deferred=going.deferred,
            failed=going.failed,
            octets_sent=going.octets,
        )

    @property
    def series(self) -> Series:
        """What has left so far, over time."""
        return self._going.series

    @property
    def outlook(self) -> Outlook:
        """What is to be expected of it. What is left is not known where only what is due leaves."""
        if self._is_over:
            return Outlook()
        now, means = self._means.clock.monotonic(), self._means
        left = None
        if not self._stopped and self._feed.due is None:
            left = self._going.left(map(means.spool.waiting, means.routes.waiting_domains(self._view.domain)))
        seconds_left = None if self._until is None else max(0.0, self._until - now)
        return outlook(self._going.rate, left, seconds_left, self._octets_per_second(now))

    @property
    def domains(self) -> Sequence[DomainName]:
        """The domains that it draws from."""
        return self._feed.domains

    @property
    def has_begun(self) -> bool:
        """Whether it is too late to join it: it may have passed what has arrived since, or is to end."""
        return self._feed.has_begun or self._is_over or bool(self._stopped)

    @property
    def is_stopped(self) -> bool:
        """Whether stop() was called."""
        return bool(self._stopped)

    def joined(self, until: float | None) -> None:
        """Somebody else asks for the same: all is offered, for as long as either wants; only before has_begun."""
        assert not self.has_begun, "it may have passed what the other has asked for"
        self._until = later(self._until, until)
        self._feed.due = None

    def stop(self, why: str = STOPPED) -> None:
        """Lets it begin nothing more; what is on its way is finished."""
        self._stopped = self._stopped or why

    async def run(self) -> None:
        """Carries it out. What goes wrong is in the view, not raised; cancelling it leaves what was not reported."""
        means = self._means
        waiting = [means.spool.waiting(domain) for domain in means.routes.waiting_domains(self._view.domain)]
        items, octets = sum(each.items for each in waiting), sum(each.octets for each in waiting)
        view = self._view = replace(self._view, items=items, octets=octets)
        means.announce(ReleaseStarted(view.number, view.domain, view.requester, view.target, items, octets))
        end = CarryEnd(error=STOPPED)
        try:
            end = await self._carrier.carry(self._feed, self._report)
        except Exception as error:  # noqa: BLE001 - a release that fails is a view with an error; its mail waits
            end = CarryEnd(error=explained(error))
        finally:
            self._is_over = True
            await self._finish(end)

    async def _finish(self, end: CarryEnd) -> None:
        while self._settling is not None:
            await asyncio.wait([self._settling])
        means = self._means
        left = sum(means.spool.waiting(d).items for d in means.routes.waiting_domains(self._view.domain))
        error = self._error(end, left)
        await self._feed.close()
        self._going.note()
        self._view = replace(self._view, progress=Progress.ENDED, ended=means.clock.wall(), error=error)
        seconds = means.clock.monotonic() - self._began
        means.announce(ended(self.view, left, seconds))

    def _error(self, end: CarryEnd, left: int) -> str:
        """Why it ended before all was offered, or nothing."""
        if self._broken or self._feed.error is not None:
            return self._broken or explained(self._feed.error)
        if end.error or not (left and self._feed.has_more):
            return end.error
        if self._stopped:
            return self._stopped
        return WINDOW_OVER if self._room().is_over else f"{self._view.target} has not taken all, and did not say why"

    def _room(self) -> Room:
        """What is left of the window. Rates are measured from when the carrier began to draw: before, it dialled."""
        if self._stopped:
            return Room(0.0, None)
        if self._until is None:
            return Room(None, None)
        now = self._means.clock.monotonic()
        if self._drawing_since is None:
            self._drawing_since = now
        return Room(self._until - now, self._octets_per_second(now))

    def _octets_per_second(self, now: float) -> float | None:
        """As measured so far; None where it is not known yet, or not asked."""
        spent = now - self._drawing_since if self._drawing_since is not None else 0.0
        octets = self._going.octets
        return octets / spent if octets and spent >= MEASURED_SECONDS else None

    # outcomes

    def _report(self, outcome: ItemOutcome) -> None:
        self._unsettled.append(settling.sort(outcome))
        if self._settling is None and not self._broken:
            self._settling = asyncio.get_running_loop().create_task(self._settle_all())

    async def _settle_all(self) -> None:
        """Writes what has come; what comes meanwhile goes with the next commit."""
        try:
            while self._unsettled:
                outcomes, self._unsettled = self._unsettled, []
                await self._settle(outcomes)
        except Exception as error:  # noqa: BLE001 - the run ends with it, and what was not written waits
            self._broken = explained(error)
            self._feed.error = error
        finally:
            self._settling = None

    async def _settle(self, outcomes: Sequence[settling.Sorted]) -> None:
        means, now = self._means, self._means.clock.wall()
        safe: list[tuple[settling.Sorted, Arrival | None]] = [
            (results, None) if not results.may_be_told else await self._with_report(results, now)
            for results in outcomes
        ]
        await means.spool.settle([settling.settlement(results, now, dsn, self._retry) for results, dsn in safe])
        number, target = self._view.number, self._view.target
        for results, dsn in safe:
            self._feed.settled(results.item.id)
            self._going.settled(results)
            means.learn(results)
            for fact in settling.facts(results, number, results.at or target, None if dsn is None else dsn.id):
                means.announce(fact)
            if dsn is not None:
                means.routes.arrived(dsn.envelopes[0][0])
        self._going.note()

    async def _with_report(self, results: settling.Sorted, now: float) -> tuple[settling.Sorted, Arrival | None]:
        """The outcomes with a DSN, where one is wanted and can leave.

        Without one that cannot be made, or not now, what was refused waits; what was delivered is.
        """
        about = self._reports.wanted(results.item, settling.told_of(results))
        if not about:
            return results, None
        if not self._reports.tell(results.item):
            if not results.refused:
                self._withheld(results.item, len(about))
            return settling.kept(results, TOO_MANY_REPORTS), None
        try:
            remote = results.at or self._view.target
            report = await self._reports.notice(results.item, about, Times(now), remote=remote)
        except RestanteError:
            raise
        except Exception as error:  # noqa: BLE001 - one odd message must not stand in the way of all others' records
            explained(error)
            return settling.kept(results, NO_REPORT), None
        return results, report

    def _withheld(self, item: Item, recipients: int) -> None:
        sender = write_path(item.envelope.reverse_path)
        self._means.announce(NoticeWithheld(item.id, item.domain, sender, recipients))


def later(one: float | None, other: float | None) -> float | None:
    """The later of two ends; None is never."""
    return None if one is None or other is None else max(one, other)


def ended(view: ReleaseView, left: int, seconds: float) -> ReleaseEnded:
    """The fact that a release is over."""
    return ReleaseEnded(
        view.number,
        view.domain,
        view.requester,
        view.target,
        view.delivered,
        view.deferred,
        view.failed,
        left,
        view.octets_sent,
        seconds,
        view.error,
    )


def explained(error: BaseException | None) -> str:
    """An error for people; one that nobody expected goes to the event loop's handler too, with its traceback."""
    if not isinstance(error, RestanteError):
        message = "unexpected, in a release"
        asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})
        return f"{type(error).__name__}: {error}"
    return str(error) or type(error).__name__
