"""restante.mx.security by a real validating resolver and a real HTTPS server: what hosts must be, what is counted."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from tests.mx.web import WEB, Web, policy, serving
from tests.net.authority import Authority, Wish, self_made
from tests.stories.world import World

from restante.clock import TurnedClock
from restante.model import HostPort
from restante.mx.book import open_book
from restante.mx.counts import TlsCounts
from restante.mx.exchanges import Exchange, NoWay, Oneself
from restante.mx.lookup import Resolver
from restante.mx.route import route
from restante.mx.security import DomainSecurity, HostUnusable, RequireTlsUnmet, Security, open_security
from restante.mx.sts import Mode, StsPolicy
from restante.mx.sts_fetch import PolicyFetcher
from restante.mx.sts_policies import StsPolicies
from restante.mx.tlsrpt import PolicyShown, PolicyType, Row, TlsOutcome
from restante.net.certificates import key_octets
from restante.net.dane import TlsaRecord
from restante.net.dial import dial
from restante.net.stream import ResultType
from restante.net.tls import OPPORTUNISTIC, TlsLevel, TlsPolicy
from restante.smtp.address import parse_domain

KEY = hashlib.sha256(key_octets(self_made().certificate)).digest()
RECORD = TlsaRecord(3, 1, 1, KEY)
SAFE = f"""
good MX 10 mx1
mx1 A 192.0.2.7
_25._tcp.mx1 TLSA 3 1 1 {KEY.hex()}
odd MX 10 mx2
mx2 A 192.0.2.8
_25._tcp.mx2 TLSA 1 1 1 {KEY.hex()}
_25._tcp.mx2 TLSA 3 1 9 {KEY.hex()}
none MX 10 mx3
mx3 A 192.0.2.9
alias MX 10 other
other CNAME mx1
alias2 MX 10 own
own CNAME mx3
_25._tcp.own TLSA 3 1 1 {KEY.hex()}
moved MX 10 mx6
mx6 A 192.0.2.9
_25._tcp.mx6 CNAME _25._tcp.mx1
out MX 10 mx1.plain.example.
direct A 192.0.2.9
_25._tcp.direct TLSA 3 1 1 {KEY.hex()}
silent MX 10 mx4
mx4 A 192.0.2.9
_tcp.mx4 NS ns
forged MX 10 mx5
mx5 A 192.0.2.9
_tcp.mx5 NS ns
both MX 10 mx1
_mta-sts.both TXT "v=STSv1; id=1"
mta-sts.both A {WEB}
"""
PUBLISHED = f"""
{{0}} MX 10 mx1
{{0}} MX 20 mx2
_mta-sts.{{0}} TXT "v=STSv1; id=1;"
mta-sts.{{0}} A {WEB}
"""
PLAIN = f"""
@ MX 10 mx1
mx1 A 192.0.2.7
_25._tcp.mx1 TLSA 3 1 1 {"00" * 32}
mx2 A 192.0.2.8
sub MX 10 mx1
{"".join(map(PUBLISHED.format, ("enforced", "tested", "ended", "away")))}
sub.enforced MX 10 mx1
"""
AUTHORITY = Authority()
WEBS = ["mta-sts.both.safe.example", *(f"mta-sts.{name}.plain.example" for name in ("enforced", "tested", "ended"))]
DAY = "2026-01-01"

pytestmark = [pytest.mark.peer, pytest.mark.netns]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A signed zone and one that is not; TLSA records that cannot be had, and such that cannot be proven."""
    with World() as world:
        world.zone("safe.example", SAFE, signed=True)
        world.zone("plain.example", PLAIN)
        world.elsewhere("_tcp.mx4.safe.example")
        world.zone("_tcp.mx5.safe.example", f"_25 TLSA 3 1 1 {KEY.hex()}", bogus=True)
        world.start_dns()
        yield world


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Who has issued the web server's certificate."""
    return AUTHORITY.own.write(tmp_path_factory.mktemp("authority"), "authority").certificate


@pytest.fixture(scope="module")
def web(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """The policies of those that have one."""
    del world
    pair = AUTHORITY.issue(Wish(tuple(WEBS))).write(tmp_path_factory.mktemp("web"), "web")
    with serving(pair) as web:
        web.said |= {
            "enforced.plain.example": policy("enforce", "mx1.plain.example"),
            "tested.plain.example": policy("testing", "mx1.plain.example"),
            "ended.plain.example": policy("none", "mx1.plain.example"),
            "both.safe.example": policy("enforce", "mx9.elsewhere.example"),
        }
        yield web


@dataclass
class Sender:
    """A host that sends into that world."""

    names: Resolver
    security: Security
    data: Path

    async def wants(
        self, domain: str, level: TlsLevel = TlsLevel.OPPORTUNISTIC, *, host: int = 0, requiretls: bool = False
    ) -> TlsPolicy:
        """What a domain's first host must be."""
        of = await self.security.for_domain(parse_domain(domain))
        return await self.security.for_host(await self.host(domain, host), of, level, requiretls=requiretls)

    async def host(self, domain: str, number: int = 0) -> Exchange:
        """One of its hosts."""
        hosts = await route(parse_domain(domain), self.names, Oneself(), Random(1))
        assert not isinstance(hosts, NoWay)
        return hosts[number]

    async def refused(
        self, domain: str, level: TlsLevel = TlsLevel.OPPORTUNISTIC, *, host: int = 0, requiretls: bool = False
    ) -> HostUnusable:
        """Why nothing may be sent there."""
        with pytest.raises(HostUnusable) as caught:
            await self.wants(domain, level, host=host, requiretls=requiretls)
        return caught.value

    def counted(self) -> list[Row]:
        """What was counted in all, once the security is closed."""
        self.security.close()
        book = open_book(self.data)
        rows = book.rows(DAY)
        book.close()
        return rows


def sends(authority: Path, data: Path, *, patience: float) -> Sender:
    """One with a new book, which waits so long for what concerns a host's security."""
    names = Resolver([HostPort("127.0.0.1", 53)], timeout=60)
    clock = TurnedClock()
    book = open_book(data)
    fetcher = PolicyFetcher(names, lambda: ssl.create_default_context(cafile=str(authority)), 60)
    policies = StsPolicies(names, fetcher, clock, book)
    asked = Resolver([HostPort("127.0.0.1", 53)], timeout=patience)
    return Sender(names, Security(asked, policies, TlsCounts(book, clock.wall), book), data)


@pytest.fixture
def sender(web: Web, authority: Path, tmp_path: Path) -> Sender:
    """One that waits for its answers."""
    del web
    return sends(authority, tmp_path, patience=60)


@pytest.fixture
def hasty(web: Web, authority: Path, tmp_path: Path) -> Sender:
    """One that does not wait for what never comes."""
    del web
    return sends(authority, tmp_path, patience=1)


def dane(*names: str) -> TlsPolicy:
    """What the record of this world asks for."""
    return TlsPolicy(TlsLevel.DANE, tlsa=(RECORD,), names=names)


# DANE


@pytest.mark.parametrize("level", [TlsLevel.OPPORTUNISTIC, TlsLevel.REQUIRED, TlsLevel.VERIFY, TlsLevel.DANE])
async def test_dane_where_it_is_published(level: TlsLevel, sender: Sender) -> None:
    """Whatever the entry's level is; the names are the TLSA base domain and the next hop's (RFC 7672 §3.2.2)."""
    assert await sender.wants("good.safe.example", level) == dane("mx1.safe.example", "good.safe.example")


async def test_a_host_without_an_mx_record(sender: Sender) -> None:
    """Is its own base domain; that there is no MX record is proven too."""
    assert await sender.wants("direct.safe.example") == dane("direct.safe.example")


async def test_a_host_that_is_another_name(sender: Sender) -> None:
    """The records of the name at the end come first, then its own (RFC 7672 §2.2.2)."""
    assert await sender.wants("alias.safe.example") == dane("mx1.safe.example", "alias.safe.example")
    assert await sender.wants("alias2.safe.example") == dane("own.safe.example", "alias2.safe.example")


async def test_records_that_are_elsewhere(sender: Sender) -> None:
    """A CNAME from the TLSA name does not change the base domain (RFC 7672 §2.2.3)."""
    assert await sender.wants("moved.safe.example") == dane("mx6.safe.example", "moved.safe.example")


async def test_records_that_cannot_be_used_want_tls(sender: Sender) -> None:
    """With any certificate (RFC 7672 §2.2); an entry may want more, and it is counted."""
    assert await sender.wants("odd.safe.example") == TlsPolicy(TlsLevel.REQUIRED)
    assert await sender.wants("odd.safe.example", TlsLevel.VERIFY) == TlsPolicy(TlsLevel.VERIFY)
    assert "can be used" in str(await sender.refused("odd.safe.example", TlsLevel.DANE))
    results = [(row.policy.type, row.outcome.result, row.sessions) for row in sender.counted()]
    assert (PolicyType.TLSA, ResultType.TLSA_INVALID, 2) in results


async def test_no_records_proven(sender: Sender) -> None:
    """The entry's level decides; `dane` then sends nothing."""
    for level in (TlsLevel.OPPORTUNISTIC, TlsLevel.REQUIRED, TlsLevel.VERIFY):
        assert await sender.wants("none.safe.example", level) == TlsPolicy(level)
    refused = await sender.refused("none.safe.example", TlsLevel.DANE)
    assert refused.result is ResultType.DANE_REQUIRED
    assert str(refused).startswith("mx3.safe.example: ")


@pytest.mark.parametrize("domain", ["out.safe.example", "plain.example"])
async def test_what_is_not_proven_is_no_dane(domain: str, sender: Sender, world: World) -> None:
    """Be it the MX record or the host's address: its records are not even asked for."""
    assert await sender.wants(domain) == OPPORTUNISTIC
    assert not [question for question in world.asked() if question == "_25._tcp.mx1.plain.example TLSA"]
    assert (await sender.refused(domain, TlsLevel.DANE)).result is ResultType.DANE_REQUIRED


@pytest.mark.parametrize("domain", ["silent.safe.example", "forged.safe.example"])
@pytest.mark.parametrize("level", [TlsLevel.OPPORTUNISTIC, TlsLevel.DANE])
async def test_records_that_cannot_be_had(domain: str, level: TlsLevel, hasty: Sender) -> None:
    """No answer, and one that is not as it was signed: the host is not used, for it may be an attack (§2.1.2)."""
    refused = await hasty.refused(domain, level)
    assert refused.result is ResultType.DNSSEC_INVALID
    assert [(row.policy.type, row.outcome.result) for row in hasty.counted()] == [
        (PolicyType.TLSA, ResultType.DNSSEC_INVALID)
    ]


async def test_a_resolver_whose_word_does_not_count(sender: Sender) -> None:
    """No DANE with it."""
    names = Resolver([HostPort("127.0.0.1", 53)], validates=False)
    host = await Sender(names, sender.security, sender.data).host("good.safe.example")
    of = DomainSecurity(parse_domain("good.safe.example"))
    assert await sender.security.for_host(host, of, TlsLevel.OPPORTUNISTIC) == OPPORTUNISTIC


# MTA-STS


async def test_an_enforced_policy(sender: Sender) -> None:
    """The host that it names must have a trusted certificate; the other one is not used."""
    for level in (TlsLevel.OPPORTUNISTIC, TlsLevel.REQUIRED, TlsLevel.VERIFY):
        assert await sender.wants("enforced.plain.example", level) == TlsPolicy(TlsLevel.VERIFY)
    refused = await sender.refused("enforced.plain.example", host=1)
    assert (refused.host, refused.result) == ("mx2.plain.example", ResultType.VALIDATION_FAILURE)


async def test_a_policy_that_is_tested(sender: Sender) -> None:
    """The entry's level decides, and the certificate is judged to tell; as is the host."""
    for level in (TlsLevel.OPPORTUNISTIC, TlsLevel.REQUIRED):
        for number in (0, 1):
            assert await sender.wants("tested.plain.example", level, host=number) == TlsPolicy(level, is_tested=True)
    assert await sender.wants("tested.plain.example", TlsLevel.VERIFY) == TlsPolicy(TlsLevel.VERIFY)


async def test_a_policy_that_was_ended(sender: Sender) -> None:
    """Is as none."""
    assert await sender.wants("ended.plain.example") == OPPORTUNISTIC


async def test_a_domain_below_has_no_policy(sender: Sender) -> None:
    """It has not said so itself."""
    assert await sender.wants("sub.enforced.plain.example") == OPPORTUNISTIC


async def test_dane_comes_before_a_policy(sender: Sender) -> None:
    """Whose hosts do not count then, right or wrong (RFC 8461 §2)."""
    assert await sender.wants("both.safe.example") == dane("mx1.safe.example", "both.safe.example")


async def test_dane_that_cannot_be_looked_up_comes_before_a_policy(hasty: Sender) -> None:
    """A policy that is kept does not stand in for it."""
    of = DomainSecurity(parse_domain("silent.safe.example"), StsPolicy(Mode.ENFORCE, ("mx4.safe.example",), 60))
    with pytest.raises(HostUnusable):
        await hasty.security.for_host(await hasty.host("silent.safe.example"), of, TlsLevel.OPPORTUNISTIC)


async def test_a_policy_that_cannot_be_fetched(sender: Sender) -> None:
    """Does not stop the mail, and is counted."""
    assert await sender.wants("away.plain.example") == OPPORTUNISTIC
    [row] = sender.counted()
    assert (row.policy, row.outcome.result) == (
        PolicyShown(PolicyType.STS, parse_domain("away.plain.example")),
        ResultType.STS_WEBPKI_INVALID,
    )


async def test_an_address_has_published_nothing(sender: Sender, world: World) -> None:
    """And nothing is asked."""
    before = len(world.asked())
    assert await sender.wants("[192.0.2.7]") == OPPORTUNISTIC
    assert len(world.asked()) == before


async def test_mta_sts_can_be_left_alone(sender: Sender, world: World, tmp_path: Path) -> None:
    """Nothing is asked then."""
    notes: list[str] = []
    security = open_security(tmp_path / "no", sender.names, TurnedClock(), note=notes.append)
    security.heeds_sts = False
    before = len(world.asked())
    assert await security.for_domain(parse_domain("enforced.plain.example")) == DomainSecurity(
        parse_domain("enforced.plain.example")
    )
    assert len(world.asked()) == before
    assert len(notes) == 1, "there is no such folder"
    security.close()


# REQUIRETLS


async def test_requiretls_wants_a_host_that_is_proven(sender: Sender) -> None:
    """By DNSSEC or by an enforced policy, and its certificate verified (RFC 8689 §4.2.1)."""
    assert await sender.wants("good.safe.example", requiretls=True) == dane("mx1.safe.example", "good.safe.example")
    for domain in ("none.safe.example", "odd.safe.example", "enforced.plain.example"):
        assert await sender.wants(domain, requiretls=True) == TlsPolicy(TlsLevel.VERIFY)
    for domain in ("plain.example", "out.safe.example", "tested.plain.example", "[192.0.2.7]"):
        assert isinstance(await sender.refused(domain, requiretls=True), RequireTlsUnmet)
    assert not isinstance(await sender.refused("enforced.plain.example", host=1, requiretls=True), RequireTlsUnmet)


# counts


async def test_what_became_of_connections_is_counted(sender: Sender, world: World) -> None:
    """Under the policy that was in force, with both addresses; a host that is not named is a failure of a test."""
    del world
    server = await asyncio.start_server(lambda _, writer: writer.close(), "192.0.2.81", 25)
    stream = await dial(HostPort("192.0.2.81", 25))
    for domain, number, result in (
        ("good.safe.example", 0, None),
        ("good.safe.example", 0, ResultType.VALIDATION_FAILURE),
        ("tested.plain.example", 0, None),
        ("tested.plain.example", 0, ResultType.EXPIRED),
        ("tested.plain.example", 1, None),
        ("plain.example", 0, ResultType.NO_STARTTLS),
    ):
        of = await sender.security.for_domain(parse_domain(domain))
        host = await sender.host(domain, number)
        wanted = await sender.security.for_host(host, of, TlsLevel.OPPORTUNISTIC)
        sender.security.watch(host, of, wanted)(stream, result, "why" if result else "")
    stream.abort()
    server.close()
    tested = ("version: STSv1", "mode: testing", "mx: mx1.plain.example", "max_age: 86400")
    sts = PolicyShown(PolicyType.STS, "tested.plain.example", tested, ("mx1.plain.example",))
    tlsa = PolicyShown(PolicyType.TLSA, "good.safe.example", (f"3 1 1 {KEY.hex()}",), ("mx1.safe.example",))
    none = PolicyShown(PolicyType.NONE, "plain.example")
    not_named = "the MX is not one that the policy of MTA-STS names"
    ends = ("192.0.2.1", "192.0.2.81")
    assert sorted(sender.counted(), key=str) == sorted(
        [
            Row(DAY, tlsa, TlsOutcome(None, "mx1.safe.example", *ends), 1),
            Row(DAY, tlsa, TlsOutcome(ResultType.VALIDATION_FAILURE, "mx1.safe.example", *ends, "why"), 1),
            Row(DAY, sts, TlsOutcome(None, "mx1.plain.example", *ends), 1),
            Row(DAY, sts, TlsOutcome(ResultType.EXPIRED, "mx1.plain.example", *ends, "why"), 1),
            Row(DAY, sts, TlsOutcome(ResultType.VALIDATION_FAILURE, "mx2.plain.example", *ends, not_named), 1),
            Row(DAY, none, TlsOutcome(ResultType.NO_STARTTLS, "mx1.plain.example", *ends, "why"), 1),
        ],
        key=str,
    )
