"""What a host must be for mail to be sent to it: our own entry's level, DANE, MTA-STS and REQUIRETLS as one policy.

DANE comes first where it is published: its records must match, whatever MTA-STS says, and if they do nothing else is
asked for (RFC 8461 §2). A policy of MTA-STS in mode `enforce` wants an MX that it names and a certificate that this
system trusts; in mode `testing` both are judged and counted only. A message with REQUIRETLS goes only to a host whose
MX record is proven, by DNSSEC or by such a policy, and which proves to be that host (RFC 8689 §4.2.1).

A host that may not be used is passed over, and the mail waits: what was published wrongly may be mended tomorrow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from restante.clock import Clock
from restante.errors import RestanteError
from restante.model import DomainName
from restante.mx.book import FILE, BookUnusable, TlsBook, open_book
from restante.mx.counts import TlsCounts
from restante.mx.dane import Dane, dane_of
from restante.mx.exchanges import Exchange
from restante.mx.lookup import LookupFailed, Names
from restante.mx.sts import Mode, StsPolicy
from restante.mx.sts_fetch import PolicyFetcher
from restante.mx.sts_policies import StsPolicies
from restante.mx.tlsrpt import PolicyShown, PolicyType, TlsOutcome
from restante.net.stream import ResultType, Stream, TlsSeen
from restante.net.tls import TlsLevel, TlsPolicy

MAX_REASON = 200
_NOT_AN_MX = "the MX is not one that the policy of MTA-STS names"


@dataclass(eq=False)
class HostUnusable(RestanteError):
    """A host to which nothing may be sent now. Another host may do; worth trying again later."""

    host: str
    problem: str
    result: ResultType

    def __str__(self) -> str:
        return f"{self.host}: {self.problem}"


class RequireTlsUnmet(HostUnusable):
    """A host that is not proven to be the one that is meant, which a message with REQUIRETLS wants (RFC 8689)."""


@dataclass(frozen=True, slots=True)
class DomainSecurity:
    """What a domain has published of its own: the policy of MTA-STS that is in force."""

    domain: DomainName
    sts: StsPolicy | None = None

    @property
    def enforced(self) -> StsPolicy | None:
        """The policy, where it is to be obeyed."""
        return self.sts if self.sts is not None and self.sts.mode is Mode.ENFORCE else None

    @property
    def tested(self) -> StsPolicy | None:
        """The policy, where it is to be tried out."""
        return self.sts if self.sts is not None and self.sts.mode is Mode.TESTING else None

    def validates(self, exchange: Exchange) -> bool:
        """Whether it is proven that this host is an MX of the domain (RFC 8689 §4.2.1)."""
        return exchange.is_secure or (self.enforced is not None and self.enforced.allows(exchange.host))


class Security:
    """Asks what has been published, and decides."""

    def __init__(self, names: Names, policies: StsPolicies, counts: TlsCounts, book: TlsBook | None = None) -> None:
        self._names = names
        self._policies = policies
        self._counts = counts
        self._book = book
        self.heeds_sts = True
        """Whether the policies of MTA-STS count; may be changed."""

    async def for_domain(self, domain: DomainName) -> DomainSecurity:
        """What counts for a domain's mail now. A policy that cannot be fetched is waited for a minute at most."""
        if not self.heeds_sts or domain.startswith("["):
            return DomainSecurity(domain)
        return DomainSecurity(domain, await self._policies.policy(domain, self._not_fetched))

    def _not_fetched(self, domain: DomainName, result: ResultType, reason: str) -> None:
        self._counts.count(PolicyShown(PolicyType.STS, domain), TlsOutcome(result, reason=reason[:MAX_REASON]))

    async def for_host(
        self, exchange: Exchange, of: DomainSecurity, level: TlsLevel, *, requiretls: bool = False
    ) -> TlsPolicy:
        """What a host must be, where its domain's entry wants `level`. Raises HostUnusable, which is counted here."""
        try:
            dane = await dane_of(exchange, self._names)
        except LookupFailed as error:
            raise self._unusable(exchange, of, PolicyType.TLSA, str(error), ResultType.DNSSEC_INVALID) from None
        if dane is not None and (records := dane.usable):
            names = tuple(dict.fromkeys((dane.base, of.domain)))
            return TlsPolicy(TlsLevel.DANE, tlsa=records, names=names)
        if level is TlsLevel.DANE:
            problem = f"it has no TLSA records{'' if dane is None else ' that can be used'}, and the level is dane"
            raise self._unusable(exchange, of, PolicyType.TLSA, problem, ResultType.DANE_REQUIRED)
        return self._without_dane(exchange, of, self._floor(exchange, of, level, dane), requiretls=requiretls)

    def _floor(self, exchange: Exchange, of: DomainSecurity, level: TlsLevel, dane: Dane | None) -> TlsLevel:
        """The entry's level, and TLS at least where records say that the host has it (RFC 7672 §2.2)."""
        if dane is None:
            return level
        outcome = TlsOutcome(ResultType.TLSA_INVALID, exchange.host, reason="none of the TLSA records can be used")
        self._counts.count(_tlsa(of, exchange, TlsPolicy(TlsLevel.DANE, tlsa=dane.records)), outcome)
        return TlsLevel.REQUIRED if level.may_be_clear else level

    def _without_dane(self, exchange: Exchange, of: DomainSecurity, level: TlsLevel, *, requiretls: bool) -> TlsPolicy:
        if of.enforced is not None:
            if not of.enforced.allows(exchange.host):
                raise self._unusable(exchange, of, PolicyType.STS, _NOT_AN_MX, ResultType.VALIDATION_FAILURE)
            level = TlsLevel.VERIFY
        if requiretls:
            if not of.validates(exchange):
                raise RequireTlsUnmet(
                    exchange.host, "its MX record is not proven, as REQUIRETLS wants", ResultType.VALIDATION_FAILURE
                )
            level = TlsLevel.VERIFY
        is_tested = of.tested is not None and level in (TlsLevel.OPPORTUNISTIC, TlsLevel.REQUIRED)
        return TlsPolicy(level, is_tested=is_tested)

    def _unusable(
        self, exchange: Exchange, of: DomainSecurity, kind: PolicyType, problem: str, result: ResultType
    ) -> HostUnusable:
        shown = _sts(of, of.sts) if kind is PolicyType.STS and of.sts else PolicyShown(kind, of.domain)
        self._counts.count(shown, TlsOutcome(result, exchange.host, reason=problem[:MAX_REASON]))
        return HostUnusable(exchange.host, problem, result)

    def watch(self, exchange: Exchange, of: DomainSecurity, policy: TlsPolicy) -> TlsSeen:
        """Who counts what becomes of a connection to a host under the policy that for_host() has given for it."""
        shown = _shown(of, exchange, policy)

        def seen(stream: Stream, result: ResultType | None, reason: str) -> None:
            if policy.is_tested and of.tested is not None and not of.tested.allows(exchange.host):
                result, reason = ResultType.VALIDATION_FAILURE, _NOT_AN_MX
            sending, receiving = str(stream.local[0]), str(stream.peer[0])
            self._counts.count(shown, TlsOutcome(result, exchange.host, sending, receiving, reason[:MAX_REASON]))

        return seen

    def close(self) -> None:
        """Writes what was counted, and lets go of the book."""
        self._counts.write()
        if self._book is not None:
            self._book.close()


def _shown(of: DomainSecurity, exchange: Exchange, policy: TlsPolicy) -> PolicyShown:
    if policy.tlsa:
        return _tlsa(of, exchange, policy)
    if of.sts is not None and of.sts.mode is not Mode.NONE:
        return _sts(of, of.sts)
    return PolicyShown(PolicyType.NONE, of.domain)


def _tlsa(of: DomainSecurity, exchange: Exchange, policy: TlsPolicy) -> PolicyShown:
    return PolicyShown(PolicyType.TLSA, of.domain, tuple(map(str, policy.tlsa)), (exchange.host,))


def _sts(of: DomainSecurity, policy: StsPolicy) -> PolicyShown:
    return PolicyShown(PolicyType.STS, of.domain, policy.lines, policy.hosts)


def open_security(data: Path, names: Names, clock: Clock, *, note: Callable[[str], None]) -> Security:
    """Security with its book in a data folder; without one, which is noted, where that cannot be used."""
    book: TlsBook | None = None
    try:
        book = open_book(data)
    except BookUnusable as error:
        note(f"what is known of other domains' TLS is not kept: {error}")
    if book is not None and book.lost:
        note(f"{data / FILE}: what was known of other domains' TLS is forgotten: {book.lost}")
    policies = StsPolicies(names, PolicyFetcher(names), clock, book)
    return Security(names, policies, TlsCounts(book, clock.wall), book)
