"""Carries one domain's items to the hosts that its MX records name (RFC 5321 §5.1).

The hosts are tried in order, those that did not answer lately last, until all that is offered has an outcome. A host is
passed over for the next where it cannot be reached, is not what security wants, hangs up, or says 421 or 5yz before it
has looked at any mail. What it says about a message or a recipient is the domain's word, a 4yz as well, and the item
waits for the next attempt: the usual 4yz are a full mailbox and a greylist, of which the others would say the same,
and a backup host that took it would only wait in our place.

What can never be delivered (no such domain, a null MX ...) is refused here, where the entry says so. A failing look-up
never is. Items with REQUIRETLS go last, and only to hosts that are proven to be the domain's (RFC 8689 §4.2.1).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random

from msgspec import structs

from restante.model import DomainName
from restante.mx.exchanges import Exchange, NoWay, Oneself
from restante.mx.lookup import LookupFailed, Names
from restante.mx.route import route
from restante.mx.security import HostUnusable, RequireTlsUnmet, Security
from restante.net.tls import OPPORTUNISTIC, TlsPolicy
from restante.transport.exchange import ExchangeCarrier
from restante.transport.hosts import HostMemory, Turns
from restante.transport.outcome import CarryEnd, Deferred, Feed, ItemOutcome, Outcome, Parcel, Refused, Report
from restante.transport.smtp import SmtpMeans

SMTP_PORT = 25
MOST_ERRORS = 3
"""So many hosts are named where all have failed."""
MOST_ASIDE = 64
"""Items with REQUIRETLS that one release sends; others wait for the next."""


_WHY_UNPROVEN = "REQUIRETLS, and no mail host is proven to be the domain's"
UNPROVEN = Deferred(f"450 4.7.30 {_WHY_UNPROVEN}")
UNPROVEN_FOR_GOOD = Refused(f"550 5.7.30 {_WHY_UNPROVEN}", "5.7.30")


@dataclass(frozen=True, slots=True)
class MxMeans:
    """What every carrier by MX needs, whatever its domain."""

    smtp: SmtpMeans
    names: Names
    security: Security
    hosts: HostMemory
    turns: Turns
    oneself: Oneself
    sleep: Callable[[float], Awaitable[None]]
    random: Random = field(default_factory=Random)
    port: int = SMTP_PORT


class MxCarrier:
    """One way to one domain. `tls`: its entry's level and pins; `rate`: messages a minute at most.

    `refuses`: what can never be delivered goes back to its sender; else it waits, as mail does that is held for a site.
    """

    def __init__(
        self,
        domain: DomainName,
        means: MxMeans,
        tls: TlsPolicy = OPPORTUNISTIC,
        *,
        rate: int | None = None,
        refuses: bool = False,
    ) -> None:
        self._domain = domain
        self._means = means
        self._tls = tls
        self._rate = rate
        self._refuses = refuses

    @property
    def target(self) -> str:
        """The domain; each outcome has the host that it comes from."""
        return f"{self._domain} by MX"

    async def carry(self, feed: Feed, report: Report) -> CarryEnd:
        """Carries until the feed ends or none of the hosts takes more."""
        means = self._means
        try:
            ways = await route(self._domain, means.names, means.oneself, means.random)
        except LookupFailed as failure:
            return CarryEnd(str(failure), 0)
        if isinstance(ways, NoWay):
            return await self._refuse(ways, feed, report)
        offered = _Offered(feed, self._wait)
        attempt = _Attempt(self._domain, means, self._tls, self._in_order(ways), refuses=self._refuses)
        end = await attempt.carry(offered, report)
        if not offered.aside:
            return end
        await attempt.carry(offered.rest(), report, requiretls=True)
        unproven = UNPROVEN_FOR_GOOD if self._refuses and attempt.is_unproven else UNPROVEN
        for parcel in offered.aside:
            report(_outcome(parcel, unproven))
        return end

    async def _refuse(self, why: NoWay, feed: Feed, report: Report) -> CarryEnd:
        if not self._refuses:
            return CarryEnd(str(why), 0)
        while (parcel := await feed.next()) is not None:
            report(_outcome(parcel, Refused(str(why), why.reply.enhanced)))
        return CarryEnd("", 0)

    async def _wait(self) -> None:
        """For the turn of the next message."""
        if self._rate is not None:
            means = self._means
            await means.sleep(means.turns.take(self._domain, self._rate, means.smtp.now()))

    def _in_order(self, ways: Sequence[Exchange]) -> list[Exchange]:
        hosts, now = self._means.hosts, self._means.smtp.now()
        return sorted(ways, key=lambda way: all(hosts.is_down(address, now) for address in way.addresses))


class _Attempt:
    """The hosts, one after the other."""

    def __init__(
        self, domain: DomainName, means: MxMeans, tls: TlsPolicy, ways: Sequence[Exchange], *, refuses: bool
    ) -> None:
        self._domain = domain
        self._means = means
        self._tls = tls
        self._ways = ways
        self._refuses = refuses
        self.is_unproven = False
        """Whether no host could be what REQUIRETLS wants, as far as that is known for sure (RFC 8689 §4.2.1)."""

    async def carry(self, offered: _Offered, report: Report, *, requiretls: bool = False) -> CarryEnd:
        means = self._means
        of = await means.security.for_domain(self._domain)
        errors: list[str] = []
        connections = unproven = 0
        for way in self._ways:
            try:
                policy = await means.security.for_host(way, of, self._tls.level, requiretls=requiretls)
            except HostUnusable as unusable:
                errors.append(str(unusable))
                unproven += isinstance(unusable, RequireTlsUnmet)
                continue
            host = ExchangeCarrier(
                way,
                means.port,
                means.smtp,
                replace(policy, pins=self._tls.pins),
                hosts=means.hosts,
                random=means.random,
                refuses=self._refuses,
                tls_seen=means.security.watch(way, of, policy),
            )
            end = await host.carry(offered, partial(offered.tell, report, host))
            connections += end.connections
            if not end.error:
                return CarryEnd(_joined(errors) if offered.in_doubt else "", connections)
            errors.append(end.error)
        self.is_unproven = unproven == len(self._ways)
        return CarryEnd(_joined(errors), connections)


class _Offered:
    """A feed that several hosts draw from: paced, and without what wants REQUIRETLS, which is put aside."""

    def __init__(self, feed: Feed, wait: Callable[[], Awaitable[None]], *, has_all: bool = False) -> None:
        self._feed = feed
        self._wait = wait
        self._has_all = has_all
        self.aside: list[Parcel] = []
        self.in_doubt = 0
        """Items that were drawn, and of which nothing is known."""

    def rest(self) -> _Offered:
        """What was put aside, as a feed of its own; `aside` has what nobody has drawn of it."""
        return _Offered(_Stock(self.aside), self._wait, has_all=True)

    async def next(self) -> Parcel | None:
        """The next, when its turn has come."""
        while (parcel := await self._feed.next()) is not None:
            envelope = parcel.item.envelope
            if self._has_all or not envelope.requiretls or envelope.reverse_path is None:
                await self._wait()
                self.in_doubt += 1
                return parcel
            if len(self.aside) < MOST_ASIDE:
                self.aside.append(parcel)
        return None

    def put_back(self, parcel: Parcel) -> None:
        """It is the next again."""
        self.in_doubt -= 1
        self._feed.put_back(parcel)

    def tell(self, report: Report, host: ExchangeCarrier, outcome: ItemOutcome) -> None:
        """Hands on what became of an item, with the host that has said it."""
        self.in_doubt -= 1
        report(structs.replace(outcome, at=host.target))


class _Stock:
    """A feed of what is in a list."""

    def __init__(self, parcels: list[Parcel]) -> None:
        self._parcels = parcels

    async def next(self) -> Parcel | None:
        return self._parcels.pop(0) if self._parcels else None

    def put_back(self, parcel: Parcel) -> None:
        self._parcels.insert(0, parcel)


def _outcome(parcel: Parcel, outcome: Outcome) -> ItemOutcome:
    return ItemOutcome(parcel.item, [(recipient.mailbox, outcome) for recipient in parcel.item.envelope.recipients])


def _joined(errors: Sequence[str]) -> str:
    left = len(errors) - MOST_ERRORS
    return "; ".join([*errors[:MOST_ERRORS], *([f"and {left} more"] if left > 0 else [])])
