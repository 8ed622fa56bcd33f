"""What this host knows of domains and logins, in a snapshot that is swapped whole: an entry for each, by its action.

Nothing in here changes after it was built; a reload builds a new Directory. Look-ups cost the same for one domain
and for a hundred thousand. A grant says which principal may release; nobody may until somebody is named, as a grant
of the domain's or by naming the domain as a user's own.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, repeat
from pathlib import Path
from types import MappingProxyType
from typing import TypeGuard

import msgspec
from msgspec.structs import replace

from restante.directory.users import User
from restante.model import DomainName, HostPort, IPAddress, Mailbox, NextHop, Order, Principal
from restante.smtp.address import AddressError, parse_domain

EVERY_OTHER = "*"
"""The name of the entry for domains that have none of their own."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
RETRY_SECONDS = (60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3600.0)
"""The waits between attempts where nothing else is said: a short first one heals a restart at the other end."""
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


class GrantError(ValueError):
    """Text that is no grant."""


def is_fingerprint(certificate: str) -> bool:
    """Which of the two parse_certificate() gave. No name is one: a label has 63 characters at most."""
    return _FINGERPRINT.fullmatch(certificate) is not None


def parse_certificate(text: str) -> str:
    """What a client certificate is known by: its SHA-256 as lower-case hex (colons are allowed), or a DNS name in it.

    Raises GrantError.
    """
    digest = text.replace(":", "").lower()
    if is_fingerprint(digest):
        return digest
    try:
        name = parse_domain(text)
    except AddressError:
        name = DomainName("[")
    if name.startswith("[") or "." not in name:  # half a fingerprint is a label
        raise GrantError(f"{text!r} is not a SHA-256 fingerprint (64 hexadecimal digits) or a DNS name")
    return name


@dataclass(frozen=True, slots=True)
class Grant:
    """Who may release: exactly one of a network, a login, a TLS client certificate (see parse_certificate)."""

    network: Network | None = None
    login: str | None = None
    certificate: str | None = None

    @staticmethod
    def parse(text: str) -> Grant:
        """`192.0.2.0/24`, an address, `user:NAME`, `cert:SHA256`, `cert:NAME`. Raises GrantError."""
        kind, colon, rest = text.partition(":")
        if colon and kind == "user" and rest:
            return Grant(login=rest.casefold())
        if colon and kind == "cert":
            return Grant(certificate=parse_certificate(rest))
        try:
            return Grant(network=ipaddress.ip_network(text))
        except ValueError as error:
            raise GrantError(
                f"{text!r} is not an address, network, user:NAME, cert:SHA256 or cert:NAME ({error})"
            ) from None

    @property
    def needs_proof(self) -> bool:
        """Whether it names who has proved to be somebody, not who has an address."""
        return self.network is None

    def covers(self, principal: Principal) -> bool:
        """Whether the principal is who this grant names."""
        if self.network is not None:
            return principal.address in self.network
        if self.login is not None:
            return principal.login == self.login
        return self.certificate is not None and (
            self.certificate == principal.certificate or self.certificate in principal.certificate_names
        )

    def __str__(self) -> str:
        if self.network is not None:
            return str(self.network)
        return f"user:{self.login}" if self.login is not None else f"cert:{self.certificate}"


@dataclass(frozen=True, slots=True)
class Recipients:
    """The recipients that a held domain is known to have: whole addresses in lower case, and whole domains."""

    mailboxes: frozenset[str] = frozenset()
    domains: frozenset[DomainName] = frozenset()

    def has(self, mailbox: Mailbox) -> bool:
        """Whether mail for it is taken."""
        names = (mailbox.key, mailbox.key.partition("+")[0])  # as routing.py has it for users
        return mailbox.domain in self.domains or any(f"{name}@{mailbox.domain}" in self.mailboxes for name in names)


@dataclass(frozen=True, slots=True)
class OwnLogin:
    """Who we are at a next hop that takes logins; the password is the first line of the file."""

    user: str
    password_file: Path


@dataclass(frozen=True, slots=True)
class Retention:
    """How long mail may wait (seconds in which this host runs), and when its sender is told that it does."""

    expire: float = 432_000.0
    contacts: int = 0
    """How many times it must have been offered besides."""
    warn_after: float | None = None
    """Its sender is told once that it is late."""
    contact: tuple[str, ...] = ()
    """When its site is expected, as cron expressions in local time; after one that was missed its sender is told."""
    grace: float = 3600.0
    """How much later than that a contact may come."""


class Quota(msgspec.Struct, frozen=True, gc=False):
    """How much may wait for a held domain; None is no limit."""

    octets: int | None = None
    items: int | None = None


NO_QUOTA = Quota()
HELD_RETENTION = Retention(expire=2_592_000.0, contacts=3)
RELAY_RETENTION = Retention(warn_after=14_400.0)


class Held(msgspec.Struct, frozen=True, gc=False):
    """Mail waits here until somebody with a grant asks for it."""

    name: str
    next_hop: NextHop
    grants: tuple[Grant, ...] = ()
    group: str | None = None
    order: Order = Order.PRIORITY
    counts: bool = True
    etrn_empty: int = 251
    recipients: Recipients | None = None
    tls: str = "opportunistic"
    tls_pin: tuple[str, ...] = ()
    """Keys of which the next hop must show one."""
    login: OwnLogin | None = None
    retention: Retention = HELD_RETENTION
    quota: Quota = NO_QUOTA
    largest: int | None = None
    """Octets of the longest message that leaves without somebody's word; a longer one is frozen when it comes."""
    unknown_for: float = 86_400.0
    """Seconds for which a recipient that the site has refused is refused here; where there is no list."""
    owners: frozenset[str] = frozenset()
    """The users whose own domain this is: they may release it too. Directory fills it in."""


class Relayed(msgspec.Struct, frozen=True, gc=False):
    """Mail goes on at once, for those who may relay, or for anyone."""

    name: str
    next_hop: NextHop
    tls: str = "opportunistic"
    tls_pin: tuple[str, ...] = ()
    """Keys of which the next hop must show one."""
    login: OwnLogin | None = None
    retention: Retention = RELAY_RETENTION
    retry: tuple[float, ...] = RETRY_SECONDS
    """Seconds between attempts; the last again and again."""
    connections: int = 20
    """To the hosts of one destination by MX."""
    rate: int | None = None
    """Messages a minute to one destination."""
    from_anyone: bool = False
    """Whether strangers may send there too; `*` is never theirs."""
    recipients: Recipients | None = None
    unknown_for: float = 86_400.0
    """Seconds for which a recipient that the next hop has refused is refused here; `from_anyone`, without a list."""


class Delivered(msgspec.Struct, frozen=True):
    """Mail goes into mailboxes here. `users` None: any user is one."""

    name: str
    users: frozenset[str] | None
    aliases: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=lambda: MappingProxyType({}))
    postmaster: str = "postmaster"
    """The user who reads what is sent to postmaster (RFC 5321 §4.5.1)."""
    lmtp: HostPort | Path | None = None
    """The mail store that takes it; None: Maildirs here."""
    quota: int | None = None
    """Octets that each Maildir may hold."""
    tag_folders: bool = False
    """Whether a tag that is the name of a folder of the user's leads there."""


class Rejected(msgspec.Struct, frozen=True):
    """Mail is refused."""

    name: str
    text: str = ""


Entry = Held | Relayed | Delivered | Rejected


def asks_who_exists(entry: Entry | None) -> TypeGuard[Held | Relayed]:
    """Whether strangers send to mailboxes that are elsewhere, so that it matters who exists: by a list, or learned."""
    return isinstance(entry, Held) or (isinstance(entry, Relayed) and entry.from_anyone)


class Directory:
    """All entries, by name and by who was granted them; all users, by name and by certificate; and who may relay.

    What is held for a domain that users call their own has them as its owners.
    """

    def __init__(
        self,
        hostname: str,
        entries: Iterable[Entry],
        relay_from: Iterable[Network] = (),
        users: Iterable[User] = (),
    ) -> None:
        self.hostname = hostname
        self.relay_from = tuple(relay_from)
        self._entries: dict[str, Entry] = {entry.name: entry for entry in entries}
        self._users = {user.name: user for user in users}
        self._logins: dict[str, set[str]] = {}
        self._next_hops: set[IPAddress] = set()
        self._proofs: dict[Grant, dict[str, Held]] = {}
        self._networks: dict[tuple[int, int], dict[int, dict[str, Held]]] = {}
        """By IP version and number of bits that follow the prefix, then by prefix; there are few lengths."""
        self._give_owners()
        self._index()

    def _give_owners(self) -> None:
        owners: dict[str, set[str]] = {}  # by domain
        for user in self._users.values():
            assert user.name == user.name.casefold(), user.name
            for certificate in user.certificates:
                self._logins.setdefault(certificate, set()).add(user.name)
            for domain in user.domains:
                owners.setdefault(domain, set()).add(user.name)
        for held, names in owners.items():
            if isinstance(entry := self._entries.get(held), Held):
                self._entries[held] = replace(entry, owners=frozenset(names))

    def _index(self) -> None:
        """Very many entries say the same by the same objects: each of those is looked at once."""
        held = list(self._held())
        for _, alike in groupby(held, lambda entry: id(entry.grants)):
            given = {entry.name: entry for entry in alike}
            for grant in next(iter(given.values())).grants:
                self._holdings(grant).update(given)
        for entry in held:
            for owner in entry.owners:
                self._holdings(Grant(login=owner))[entry.name] = entry
        hops = {id(entry.next_hop): entry.next_hop for entry in held}.values()
        addresses = (hop.address for hop in hops if isinstance(hop, HostPort))
        self._next_hops = {address for address in addresses if address is not None}

    def _held(self) -> Iterator[Held]:
        return (entry for entry in self._entries.values() if isinstance(entry, Held))

    def _holdings(self, grant: Grant) -> dict[str, Held]:
        """What a grant gives, by name, to be filled."""
        network = grant.network
        if network is None:
            return self._proofs.setdefault(grant, {})
        shift = network.max_prefixlen - network.prefixlen
        of_length = self._networks.setdefault((network.version, shift), {})
        return of_length.setdefault(int(network.network_address) >> shift, {})

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self) -> Iterable[Entry]:
        """All of them."""
        return self._entries.values()

    def names(self) -> Collection[str]:
        """Theirs."""
        return self._entries.keys()

    def entry(self, name: str) -> Entry | None:
        """The entry of that very name: a domain, or `*`."""
        return self._entries.get(name)

    def entry_for(self, domain: DomainName) -> Entry | None:
        """What decides about mail for a domain: its own entry, else `*`, else None."""
        return self._entries.get(domain) or self._entries.get(EVERY_OTHER)

    def entries_for(self, domains: Iterable[DomainName]) -> Iterator[Entry | None]:
        """The same for many."""
        return map(self._entries.get, domains, repeat(self._entries.get(EVERY_OTHER)))

    @property
    def users(self) -> Mapping[str, User]:
        """All users, by their names in lower case."""
        return MappingProxyType(self._users)

    def user(self, name: str) -> User | None:
        """The user of a name, in whatever case somebody has written it."""
        return self._users.get(name.casefold())

    def users_of_certificate(self, certificate: str) -> frozenset[str]:
        """The names of the users whom a fingerprint, or a DNS name of a certificate, proves."""
        return frozenset(self._logins.get(certificate, ()))

    def granted_to(self, principal: Principal) -> tuple[Held, ...]:
        """The held entries that what the principal has proved was granted, by its own domains or by grants."""
        return _once(self._proved(principal))

    def holdings(self, principal: Principal) -> tuple[Mapping[str, Held], ...]:
        """The same and what its address was granted: for each grant that covers the principal what it gives, by name.

        What others were granted makes no difference to what this looks at.
        """
        number, version = int(principal.address), principal.address.version
        found = [
            given
            for (of, shift), by_prefix in self._networks.items()
            if of == version and (given := by_prefix.get(number >> shift)) is not None
        ]
        return (*self._proved(principal), *found)

    def _proved(self, principal: Principal) -> list[Mapping[str, Held]]:
        proofs = [Grant(login=principal.login)] if principal.login is not None else []
        certificates = [principal.certificate, *principal.certificate_names]
        proofs += [Grant(certificate=certificate) for certificate in certificates if certificate is not None]
        return [given for proof in proofs if (given := self._proofs.get(proof)) is not None]

    def site_networks(self) -> Iterator[Network]:
        """Where sites come from: what is granted, and where their mail goes."""
        for (version, shift), by_prefix in self._networks.items():
            make, bits = (ipaddress.IPv4Network, 32) if version == 4 else (ipaddress.IPv6Network, 128)
            for prefix in by_prefix:
                yield make((prefix << shift, bits - shift))
        yield from map(ipaddress.ip_network, self._next_hops)

    def in_group(self, group: str) -> tuple[Held, ...]:
        """The held entries of a group; all are looked at, for an operator."""
        return tuple(entry for entry in self._held() if entry.group == group)

    def at_next_hop(self, address: IPAddress) -> tuple[Held, ...]:
        """The held entries whose next hop is written as that address; all are looked at."""
        return tuple(e for e in self._held() if isinstance(e.next_hop, HostPort) and e.next_hop.address == address)

    def below(self, domain: DomainName) -> tuple[Held, ...]:
        """The held entry of a domain and those below it, on label boundaries; all are looked at."""
        own = self._entries.get(domain)
        below = (entry for entry in self._held() if entry.name.endswith(f".{domain}"))
        return (own, *below) if isinstance(own, Held) and domain != EVERY_OTHER else tuple(below)


def _once(holdings: Iterable[Mapping[str, Held]]) -> tuple[Held, ...]:
    """What is in any of them, without repeats."""
    return tuple({name: entry for given in holdings for name, entry in given.items()}.values())
