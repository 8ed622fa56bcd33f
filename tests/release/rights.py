"""ETRNs by the thousand, from who may and who may not, decided by Releases on a real directory; nothing is carried.

Every domain seems to have mail. What an ETRN would release is what Releases has queued; it begins nothing here.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import cast

from restante.clock import TurnedClock
from restante.directory.entries import Delivered, Directory, Entry, Grant, Held, Relayed, is_fingerprint
from restante.directory.users import User
from restante.model import Caller, DomainName, HostPort, NextHop, Principal, Waiting
from restante.release.answers import Answer, NotAllowed, Queued, Started
from restante.release.requests import Releases
from restante.smtp.node import NodeError, parse_node
from restante.spool.spool import Spool

SITES = 50
DOMAINS = 200


class _Full:
    """A spool in which five items wait for every domain."""

    def waiting(self, domain: DomainName) -> Waiting:  # noqa: ARG002 - for every one
        return Waiting(5, 500, 0.0)

    def domains(self) -> dict[DomainName, Waiting]:
        return {}


def asked(directory: Directory, node: str, principal: Principal) -> tuple[Answer | None, set[str]]:
    """The answer to an ETRN (None: its argument is no node), and the entries that it would release."""
    releases = Releases(
        spool=cast("Spool", _Full()),
        directory=lambda: directory,
        carriers=lambda *_: None,  # type: ignore[arg-type]  # nothing is begun
        announce=lambda _: None,
        clock=TurnedClock(),
        hostname="office.example",
        at_once=0,
    )
    try:
        answer = releases.ask(parse_node(node), principal)
    except NodeError:
        return None, set()
    return answer, {view.domain for view in releases.views()}


class Matrix:
    """So many sites and domains; which site owns which domain, and how it proves who it is, by a seed."""

    def __init__(self, seed: int, sites: int = SITES, domains: int = DOMAINS) -> None:
        self.chance = random.Random(seed)
        self.sites = [self._site(number) for number in range(sites)]
        self.owned: dict[int, set[str]] = {site: set() for site in range(sites)}
        entries: list[Entry] = [Delivered("office.example", None), Relayed("relayed.example", HostPort("10.9.9.9"))]
        for number in range(domains):
            entries.append(self._held(number))
        self.held = {entry.name: entry for entry in entries if isinstance(entry, Held)}
        self.directory = Directory("office.example", entries, users=self._users())

    def _users(self) -> list[User]:
        """The sites that own domains as users."""
        return [
            User(principal.login, domains=frozenset(map(DomainName, self.owned[site])))
            for site, (grant, principal) in enumerate(self.sites)
            if grant is None and principal.login is not None
        ]

    def _site(self, number: int) -> tuple[Grant | None, Principal]:
        """A grant, and who alone it covers; None: a user whose own domains these are."""
        address = f"10.1.{number // 250}.{number % 250 + 1}"
        elsewhere = ipaddress.ip_address(f"172.16.{number // 250}.{number % 250 + 1}")
        digest = f"{number + 1:064x}"
        return self.chance.choice(
            [
                (Grant.parse(address), Principal(ipaddress.ip_address(address))),
                (Grant.parse(f"2001:db8:{number:x}::/48"), Principal(ipaddress.ip_address(f"2001:db8:{number:x}::25"))),
                (Grant.parse(f"user:site{number}"), Principal(elsewhere, f"site{number}")),
                (Grant.parse(f"cert:{digest}"), Principal(elsewhere, None, digest)),
                (Grant.parse(f"cert:Site{number}.example"), Principal(elsewhere, None, digest, self._names(number))),
                (None, Principal(elsewhere, f"site{number}", digest)),
            ]
        )

    def _names(self, number: int) -> tuple[str, ...]:
        return (f"www.site{number}.example", f"site{number}.example")

    def proves(self, site: int) -> bool:
        """Whether a site proves who it is, by more than its address."""
        grant, _ = self.sites[site]
        return grant is None or grant.needs_proof

    def _held(self, number: int) -> Held:
        chance = self.chance
        below = chance.choice(("", "a.", "b.a."))
        name = f"{below}d{chance.randrange(number + 1)}x{number}.{chance.choice(('test', 'far', 'test.far'))}.example"
        owners = chance.sample(range(len(self.sites)), chance.choice((0, 1, 1, 1, 2, 5)))
        hop: NextHop = HostPort(f"10.2.0.{chance.randint(1, 40)}")
        if chance.random() < 0.1:
            hop = Caller()
        for owner in owners:
            if self.proves(owner) or not isinstance(hop, Caller):
                self.owned[owner].add(name)
        grants = tuple(grant for owner in owners if (grant := self.sites[owner][0]) is not None)
        return Held(name, hop, grants, chance.choice((None, "customers", "far", "third")), counts=chance.random() < 0.5)


def _is_at(address: str, entry: Held) -> bool:
    return entry.next_hop == HostPort(address)


def _is_called(name: str, entry: Held) -> bool:
    return entry.name == name


def check_matrix(seed: int) -> int:
    """What each site is offered is what it owns, by whatever form it asks; how many ETRNs that took."""
    matrix = Matrix(seed)
    by_form: list[tuple[str, Callable[[Held], bool]]] = [
        ("@example", lambda _: True),
        ("@far.example", lambda entry: f".{entry.name}".endswith(".far.example")),
        ("@test.far.example", lambda entry: f".{entry.name}".endswith(".test.far.example")),
        ("@est.example", lambda _: False),
        ("#customers", lambda entry: entry.group == "customers"),
        ("#FAR", lambda entry: entry.group == "far"),
        ("#nobody", lambda _: False),
        *((f"10.2.0.{n}", partial(_is_at, f"10.2.0.{n}")) for n in range(1, 41)),
        *((name, partial(_is_called, name)) for name in matrix.held),
    ]
    asked_for = 0
    for site, (_, principal) in enumerate(matrix.sites):
        for form, means in by_form:
            expected = {name for name, entry in matrix.held.items() if means(entry) and name in matrix.owned[site]}
            answer, offered = asked(matrix.directory, form, principal)
            asked_for += 1
            told = f"seed {seed}, site {site} ({principal}), ETRN {form}"
            assert offered == expected, told
            assert isinstance(answer, Started | Queued if expected else NotAllowed), told
    return asked_for


def everything(directory: Directory, _principal: Principal) -> tuple[Mapping[str, Held], ...]:
    """Directory.holdings() without a look at who asks."""
    return ({entry.name: entry for entry in directory.entries() if isinstance(entry, Held)},)


def forms(domain: str, chance: random.Random) -> Sequence[str]:
    """Sixty ways to ask for somebody's domain, and for everything."""
    label, _, parent = domain.partition(".")
    wide = "".join(chr(ord(c) + 0xFEE0) if c.isalnum() else c for c in domain)
    return (
        *(domain, domain.upper(), domain.title(), f"{domain}.", f".{domain}", f"{domain}..", f"www.{domain}", parent),
        *(f"@{domain}", f"@{domain}.", f"@{parent}", "@example", "@com", "@", "@.", "@*", "@@" + domain, f"@{label}"),
        *("#customers", "#CUSTOMERS", "#all", "#", "#*", "#customers.", f"#{domain}", "##customers", "#custom"),
        *("*", "*.example", f"*.{domain}", "%", "?", "any", "all", "localhost", "office.example", "relayed.example"),
        *("10.2.0.7", "[10.2.0.7]", "010.002.000.007", "10.2.7", "167903239", "0x0a020007", "10.2.0.0/24", "0.0.0.0"),
        *("[IPv6:::ffff:10.2.0.7]", "::ffff:10.2.0.7", "IPv6:::ffff:10.2.0.7", "::1", "127.0.0.1", "10.2.0.7%eth0"),
        *(wide, domain.replace("e", "\u0435"), domain.replace(".", "。"), f"\u200b{domain}", f"{domain}\u00ad"),
        *(f"{domain}\x00", f"{domain}\r\nETRN {domain}", f"{domain} {parent}", f"<{domain}>", f'"{domain}"', ""),
        *(f"anna@{domain}", f"{domain}:25", f"{domain}/", f"'; DROP TABLE items; --{domain}", f"@{domain}\t"),
        *("x" * chance.choice((64, 255, 70_000)) + f".{domain}", f"{domain}," + domain, f"@{domain};#customers"),
    )


def strangers(matrix: Matrix, victim: int) -> Iterator[Principal]:
    """Who is not the victim, near as it may be: all without a grant for what only the victim owns."""
    grant, principal = matrix.sites[victim]
    login = f"site{victim}"
    yield Principal(ipaddress.ip_address("203.0.113.9"))
    yield Principal(ipaddress.ip_address("127.0.0.1"))
    yield Principal(ipaddress.ip_address("0.0.0.0"))
    yield Principal(ipaddress.ip_address("::"))
    for wrong in (login.upper(), f"{login} ", f"user:{login}", "", "operator", "postmaster", f"{login}@office.example"):
        yield Principal(ipaddress.ip_address("203.0.113.9"), wrong)
    yield Principal(ipaddress.ip_address("203.0.113.9"), None, "f" * 64)
    yield Principal(ipaddress.ip_address("203.0.113.9"), None, "")
    yield from _near(grant, principal, login)
    for other, (_, someone) in enumerate(matrix.sites):
        if other != victim:
            yield someone


def _near(grant: Grant | None, principal: Principal, login: str) -> Iterator[Principal]:
    """With the victim's own proof, but for something."""
    if grant is None:
        yield Principal(principal.address, None, principal.certificate, (login,))
        yield Principal(principal.address, login.upper(), principal.certificate)
        return
    if grant.login is not None:  # its name as a certificate, its certificate as a name
        yield Principal(principal.address, None, grant.login)
        yield Principal(principal.address)
    if grant.certificate is not None and is_fingerprint(grant.certificate):
        yield Principal(principal.address, grant.certificate)
        yield Principal(principal.address, None, grant.certificate.upper().replace("0", "O"))
        yield Principal(principal.address, None, grant.certificate[:-1])
        yield Principal(principal.address, None, None, (grant.certificate[:-1],))
    elif grant.certificate is not None:  # the certificate of the name, but from no authority; names beside it
        yield Principal(principal.address, None, principal.certificate)
        yield Principal(principal.address, grant.certificate, principal.certificate)
        for name in (f"a.{grant.certificate}", grant.certificate[1:], "*.example", f"{grant.certificate}."):
            yield Principal(principal.address, None, principal.certificate, (name,))
    if grant.network is not None:
        yield Principal(grant.network.network_address - 1)
        yield Principal(grant.network.broadcast_address + 1)


def check_strangers(tries: int, seed: int) -> int:
    """Strangers ask for what only one site owns, in every form: it is never released. How many tries that was."""
    done = 0
    while done < tries:
        matrix = Matrix(seed, sites=12, domains=40)
        for victim in range(len(matrix.sites)):
            only = {
                name
                for name in matrix.owned[victim]
                if not any(name in matrix.owned[site] for site in matrix.owned if site != victim)
            }
            for name in sorted(only)[:2]:
                for principal in strangers(matrix, victim):
                    for form in forms(name, matrix.chance):
                        _, offered = asked(matrix.directory, form, principal)
                        assert name not in offered, f"seed {seed}: {principal} gets {name} by ETRN {form[:200]!r}"
                        done += 1
        seed += 1
    return done
