"""Sites and strangers at an office's sessions: whoever may not have a domain's mail tries to, in every way and form.

Sessions, TLS and its certificates, logins, the directory, the spool with a message for every domain and what decides
on a release are the real ones; connections are in memory. What an ETRN or ATRN would release is noted, and not begun.
"""

from __future__ import annotations

import base64
import functools
import ipaddress
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.net.authority import CLIENT, SERVER, Authority, Issued, Wish, self_made
from tests.release.rights import Matrix, forms
from tests.server.office import HeldBack, Office, Peer

from restante.directory.entries import Grant, is_fingerprint
from restante.directory.users import User
from restante.facts import ReleaseDecided
from restante.logins.passwords import scram_keys
from restante.model import DomainName, Principal
from restante.net.tls import client_context, self_signed, server_context
from restante.release.answers import Answer
from restante.release.requests import Releases
from restante.server.turning import Often, Turning
from restante.smtp.client import Ahead
from restante.smtp.node import Node
from restante.smtp.sasl import Aborted, Credentials, client_exchange
from restante.smtp.services import Service
from restante.store.sqlite import open_spool

OUTSIDE = "203.0.113.9"
DONE = "250 2.0.0 OK"
AT_ONCE = 150
"""ETRNs that one session is asked at the most: it bears no more than 200 refusals."""
AUTHORITY, OTHER_AUTHORITY = Authority(), Authority()


@functools.cache
def own_certificate(site: int) -> Issued:
    """A site's, self-signed."""
    return self_made(Wish((f"elsewhere{site}.example",), use=CLIENT))


@functools.cache
def named_certificate(site: int) -> Issued:
    """A site's, by the word of the authority."""
    return AUTHORITY.issue(Wish((f"www.site{site}.example", f"site{site}.example"), use=CLIENT))


def secret_of(login: str) -> bytes:
    """For CRAM-MD5."""
    return f"the secret of {login}".encode()


class RealMatrix(Matrix):
    """Sites and domains by a seed, as Matrix; but every proof can be shown to a session."""

    def _site(self, number: int) -> tuple[Grant | None, Principal]:
        site = super()._site(number)
        grant, principal = site
        if grant is None or grant.certificate is None:
            return grant, Principal(principal.address, principal.login)
        if is_fingerprint(grant.certificate):
            shown = own_certificate(number).fingerprint
            return Grant(certificate=shown), Principal(principal.address, None, shown)
        return grant, Principal(principal.address, None, named_certificate(number).fingerprint, self._names(number))

    def _users(self) -> list[User]:
        owned = {user.name: user.domains for user in super()._users()}
        logins = [principal.login for _, principal in self.sites if principal.login is not None]
        return [
            User(login, scram=_KEYS, secret=secret_of(login), domains=owned.get(login, frozenset())) for login in logins
        ]

    def certificate(self, site: int) -> Issued | None:
        """What a site shows in TLS, where that is its proof."""
        grant, _ = self.sites[site]
        if grant is None or grant.certificate is None:
            return None
        return own_certificate(site) if is_fingerprint(grant.certificate) else named_certificate(site)


_KEYS = scram_keys("tanstaaf")


class RightsOffice(Office):
    """An office for a RealMatrix. `offered` is what every ETRN, and ATRN, since it was cleared would have released."""

    matrix: RealMatrix
    folder: Path
    offered: set[str]

    async def _ask(self, node: Node, principal: Principal) -> Answer:
        releases = self._releases()
        answer = await releases.ask_in_turns(node, principal)
        self.offered |= {view.domain for view in releases.views()}
        return answer

    def _releases(self) -> Releases:
        return Releases(
            spool=self.spool,
            directory=self.directory,
            carriers=lambda *_: None,  # type: ignore[arg-type]  # none is begun
            announce=self.facts.append,
            clock=self.clock,
            hostname="office.example",
            at_once=0,
        )

    def turns(self) -> Turning:
        """What decides on the next ATRNs; how often one asked before is forgotten."""
        return Turning(
            releases=self._releases(),
            directory=self.directory,
            announce=self.facts.append,
            hostname="office.example",
            ahead=Ahead,
            often=Often(self.clock),
        )

    async def arrives(
        self,
        address: str = OUTSIDE,
        certificate: Issued | None = None,
        login: str | None = None,
        *,
        secret: bytes | None = None,
        service: Service = Service.MX,
        first: bytes = b"",
    ) -> Peer:
        """Somebody who has shown a certificate and logged in, or has tried to; `first` is said ahead of all else."""
        self.service, self.turning = service, self.turns()
        peer = await self.connect(address)
        await peer.hear()
        if first:
            peer.say(first)
        await self.greet(peer)
        if certificate is not None:
            await self.start_tls(peer, certificate)
        if login is not None:
            if peer.stream.tls is None:
                await self.start_tls(peer)
            await log_in(peer, login, secret_of(login) if secret is None else secret)
        return peer

    async def greet(self, peer: Peer) -> None:
        """EHLO, whatever was said before."""
        peer.say("EHLO client.example\r\n")
        await until_line(peer, lambda line: line.startswith("250 "))

    async def start_tls(self, peer: Peer, certificate: Issued | None = None) -> None:
        """STARTTLS, and the greeting after it."""
        own = certificate.write(self.folder, certificate.fingerprint) if certificate is not None else None
        peer.say("STARTTLS\r\n")
        await until_line(peer, lambda line: line.startswith("220 2.0.0"))
        await peer.stream.start_tls(client_context(own=own), server_side=False)
        await self.greet(peer)

    async def arrives_as(self, site: int, service: Service = Service.MX) -> Peer:
        """A site, with its own proof."""
        _, principal = self.matrix.sites[site]
        return await self.arrives(
            str(principal.address), self.matrix.certificate(site), principal.login, service=service
        )

    async def asked(self, peer: Peer, argument: str) -> list[str]:
        """What an ETRN is answered; more than one line where the argument was more than one."""
        peer.say(f"ETRN {argument}\r\nNOOP\r\n")
        return (await until_line(peer, lambda line: line == DONE))[:-1]


async def until_line(peer: Peer, is_last: Callable[[str], bool]) -> list[str]:
    """What is said up to the line that is the last."""
    heard: list[str] = []
    while not heard or not is_last(heard[-1]):
        said = await peer.hear(within=60)
        assert said, f"the connection has ended after {heard}"
        heard += said
    return heard


async def log_in(peer: Peer, login: str, secret: bytes) -> str:
    """CRAM-MD5; the last reply."""
    here = client_exchange("CRAM-MD5", Credentials(login, secret.decode()), nonce="abc")
    peer.say("AUTH CRAM-MD5\r\n")
    [line] = await peer.hear(within=60)
    while line.startswith("334 "):
        answer = here.respond(base64.b64decode(line[4:]))
        assert not isinstance(answer, Aborted)
        peer.say(base64.b64encode(answer) + b"\r\n")
        [line] = await peer.hear(within=60)
    return line


class _NoWait:
    """A clock on which nobody waits."""

    def __init__(self) -> None:
        self._now = 1000.0

    def wall(self) -> float:
        return 1_767_225_600.0 + self._now

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self._now += seconds


@asynccontextmanager
async def opened(matrix: RealMatrix, folder: Path) -> AsyncIterator[RightsOffice]:
    """An office for it, with a message for every domain."""
    folder.mkdir(parents=True)
    authority = AUTHORITY.own.write(folder, "clients").certificate
    spool = await open_spool(folder / "spool")
    office = RightsOffice(spool, HeldBack(spool))
    office.matrix, office.folder, office.offered = matrix, folder, set()
    office.clock = _NoWait()
    office.tls = server_context(*self_signed(folder, "office.example")[:2], asks=True, client_ca=authority)
    office.entries = tuple(matrix.directory.entries())
    office.take_logins(*matrix.directory.users.values())
    try:
        peer = await office.arrives("127.0.0.1")
        peer.say(
            "MAIL FROM:<>\r\n" + "".join(f"RCPT TO:<u@{name}>\r\n" for name in matrix.held) + "BDAT 3 LAST\r\nx\r\n"
        )
        replies = await peer.hear(len(matrix.held) + 2, within=60)
        assert {reply[:3] for reply in replies} == {"250"}, replies
        yield office
    finally:
        await office.close()
        shutil.rmtree(folder)


# strangers


@dataclass(frozen=True, slots=True)
class Stranger:
    """Somebody who is not the victim: how he comes, for a message and a session."""

    name: str
    come: Callable[[Service], Awaitable[Peer]]


def strangers(office: RightsOffice, victim: int) -> Iterator[Stranger]:
    """All ways to come that are not the victim's own."""
    matrix = office.matrix
    grant, principal = matrix.sites[victim]
    login = principal.login or f"site{victim}"
    names = (f"www.site{victim}.example", f"site{victim}.example")

    def showing(name: str, certificate: Issued) -> Stranger:
        return Stranger(name, lambda service: office.arrives(certificate=certificate, service=service))

    yield Stranger("nobody", lambda service: office.arrives(service=service))
    yield Stranger("a wrong secret", lambda service: office.arrives(login=login, secret=b"wrong", service=service))
    yield Stranger("no secret", lambda service: office.arrives(login=login, secret=b"", service=service))
    yield showing("self-signed with the same names", self_made(Wish(names, use=CLIENT)))
    yield showing("by another authority", OTHER_AUTHORITY.issue(Wish(names, use=CLIENT)))
    yield showing("expired", AUTHORITY.issue(Wish(names, -9, -1, CLIENT)))
    yield showing("not valid yet", AUTHORITY.issue(Wish(names, 1, 9, CLIENT)))
    yield showing("a server's", AUTHORITY.issue(Wish(names, use=SERVER)))
    yield showing("names near it", AUTHORITY.issue(Wish(_near(victim), use=CLIENT)))
    if grant is not None and grant.network is not None:
        for address in (grant.network.network_address - 1, grant.network.broadcast_address + 1):
            yield Stranger(f"address {address}", functools.partial(_at, office, str(address)))
    yield Stranger("a forged PROXY header", functools.partial(_forged, office, str(principal.address)))
    yield Stranger("logged in before TLS", functools.partial(_before_tls, office, login))
    for other in (victim + 1, victim + 2, victim + 3):
        site = other % len(matrix.sites)
        yield Stranger(f"site {site}", functools.partial(office.arrives_as, site))


def _near(victim: int) -> tuple[str, ...]:
    return (f"a.site{victim}.example", f"ite{victim}.example", f"site{victim}.example.far.example", "*.example")


async def _at(office: RightsOffice, address: str, service: Service) -> Peer:
    return await office.arrives(address, service=service)


async def _forged(office: RightsOffice, address: str, service: Service) -> Peer:
    """Both versions, and Postfix's XCLIENT, from somebody who is no proxy."""
    source, here = ipaddress.ip_address(address), ipaddress.ip_address("::1" if ":" in address else "192.0.2.250")
    text = f"PROXY TCP{source.version} {source} {here} 40000 25\r\n".encode()
    kind = b"\x11" if source.version == 4 else b"\x21"
    addresses = source.packed + here.packed + (40000).to_bytes(2) + (25).to_bytes(2)
    binary = b"\r\n\r\n\0\r\nQUIT\n\x21" + kind + len(addresses).to_bytes(2) + addresses
    return await office.arrives(service=service, first=text + binary + f"\r\nXCLIENT ADDR={source}\r\n".encode())


async def _before_tls(office: RightsOffice, login: str, service: Service) -> Peer:
    """A login that STARTTLS makes forgotten (RFC 3207 §4.2)."""
    office.service, office.turning = service, office.turns()
    peer = await office.connect("127.0.0.1")
    await peer.hear()
    await office.greet(peer)
    await log_in(peer, login, secret_of(login))
    await office.start_tls(peer)
    return peer


def only_owned(matrix: Matrix, victim: int) -> list[str]:
    """What the victim owns, and nobody else."""
    return [name for name in sorted(matrix.owned[victim]) if sum(name in own for own in matrix.owned.values()) == 1]


async def check_strangers(tries: int, seed: int, folder: Path) -> int:
    """Strangers ask for what only one site owns, by ETRN in every form and by ATRN: never released. How many tries."""
    done = 0
    while done < tries:
        matrix = RealMatrix(seed, sites=12, domains=40)
        async with opened(matrix, folder / f"seed-{seed}") as office:
            for victim in range(len(matrix.sites)):
                for name in only_owned(matrix, victim)[:1]:
                    for stranger in strangers(office, victim):
                        told = f"seed {seed}, {name} of site {victim}, {stranger.name}"
                        done += await _by_etrn(office, stranger, name, told)
                        done += await _by_atrn(office, stranger, name, told)
                        if done >= tries:
                            return done
        seed += 1
    return done


async def _by_etrn(office: RightsOffice, stranger: Stranger, name: str, told: str) -> int:
    peer = await stranger.come(Service.MX)
    office.offered.clear()
    arguments = forms(name, office.matrix.chance)
    for argument in arguments:
        await office.asked(peer, argument)
        assert name not in office.offered, f"{told} gets it by ETRN {argument[:200]!r}"
    await peer.leave()
    return len(arguments)


async def _by_atrn(office: RightsOffice, stranger: Stranger, name: str, told: str) -> int:
    peer = await stranger.come(Service.ODMR)
    before = len(office.facts)
    arguments = (
        f" {name}",
        f" {name.upper()}",
        f" far.example,{name}",
        f" {name},{name}",
        f" @{name}",
        " #customers",
        " *",
    )
    for argument in arguments:
        peer.say(f"ATRN{argument}\r\n")
        [reply] = await peer.hear(within=60)
        assert reply[:3] in ("450", "501", "530"), f"{told}: ATRN{argument}: {reply}"
    peer.say("ATRN\r\n")  # what is his own: the connection may go round
    await peer.hear(within=60)
    await peer.leave()
    granted = {each for fact in office.facts[before:] if isinstance(fact, ReleaseDecided) for each in fact.granted}
    assert name not in granted, f"{told} gets it by ATRN"
    return len(arguments) + 1


# sites


async def check_matrix(
    seed: int, folder: Path, *, sites: int = 50, domains: int = 200, others: int | None = None
) -> int:
    """What each site is offered, by ETRN and ATRN, and may send as, is what it owns. How many questions that took.

    `others`: by name it is asked for so many domains of others, and not for all.
    """
    matrix = RealMatrix(seed, sites, domains)
    async with opened(matrix, folder / f"matrix-{seed}") as office:
        return sum([await _check_site(office, site, others, f"seed {seed}, site {site}") for site in range(sites)])


async def _check_site(office: RightsOffice, site: int, others: int | None, told: str) -> int:
    owned = office.matrix.owned[site]
    foreign = [name for name in office.matrix.held if name not in owned]
    if others is not None:
        foreign = office.matrix.chance.sample(foreign, min(others, len(foreign)))
    done = await _etrns(office, site, [*sorted(owned), *foreign], told)
    _, principal = office.matrix.sites[site]
    if principal.login is not None:
        done += await _atrns(office, site, foreign[0], told)
        done += await _senders(office, site, [*sorted(owned), *foreign], told)
    return done


async def _etrns(office: RightsOffice, site: int, names: Sequence[str], told: str) -> int:
    held, owned = office.matrix.held, office.matrix.owned[site]
    expected = {f"10.2.0.{n}": {d for d in owned if str(held[d].next_hop) == f"10.2.0.{n}:25"} for n in range(1, 41)}
    expected |= {f"#{group}": {d for d in owned if held[d].group == group} for group in ("customers", "far", "nobody")}
    parents = ("example", "far.example", "test.far.example", "est.example")
    expected |= {f"@{parent}": {d for d in owned if f".{d}".endswith(f".{parent}")} for parent in parents}
    expected |= {name: {name} & owned for name in names}
    for start in range(0, len(expected), AT_ONCE):
        peer = await office.arrives_as(site)
        for argument in list(expected)[start : start + AT_ONCE]:
            office.offered.clear()
            replies = await office.asked(peer, argument)
            assert office.offered == expected[argument], f"{told}: ETRN {argument}"
            assert replies[0][:3] in (("250", "252", "253") if expected[argument] else ("459",)), f"{told}: {replies}"
        await peer.leave()
    return len(expected)


async def _atrns(office: RightsOffice, site: int, foreign: str, told: str) -> int:
    """All that it owns, by no name and by each; nothing where a foreign one stands among them."""
    owned = sorted(office.matrix.owned[site])
    questions = {"": set(owned), f" {foreign}": set(), f" {','.join([*owned[:3], foreign])}": set()}
    questions |= {f" {name}": {name} for name in owned[:5]}
    for argument, expected in questions.items():
        peer = await office.arrives_as(site, Service.ODMR)
        office.facts.clear()
        peer.say(f"ATRN{argument}\r\n")
        [reply] = await peer.hear(within=60)
        [fact] = office.told(ReleaseDecided)
        assert set(fact.granted) == expected, f"{told}: ATRN{argument}"
        assert reply[:3] == ("250" if expected else "450"), f"{told}: ATRN{argument}: {reply}"
        await peer.leave()
    return len(questions)


async def _senders(office: RightsOffice, site: int, names: Sequence[str], told: str) -> int:
    """What a user calls its own it may send as; what only names it in release_from it may not."""
    _, principal = office.matrix.sites[site]
    assert principal.login is not None
    own = office.matrix.directory.users[principal.login].domains
    peer = await office.arrives_as(site, Service.SUBMISSION)
    for name in names:
        peer.say(f"MAIL FROM:<ann@{name}>\r\nRSET\r\n")
        reply, _ = await peer.hear(2, within=60)
        assert reply[:3] == ("250" if DomainName(name) in own else "550"), f"{told}: MAIL FROM {name}: {reply}"
    await peer.leave()
    return len(names)
