"""What this host knows of domains: an entry for each, by its action, in a snapshot that is swapped whole.

Nothing in here changes after it was built; a reload builds a new Directory. Look-ups cost the same for one domain
and for a hundred thousand. A grant says which principal may release; nobody may until somebody is named.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from restante.model import DomainName, HostPort, IPAddress, Mailbox, NextHop, Order, Principal

EVERY_OTHER = "*"
"""The name of the entry for domains that have none of their own."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


class GrantError(ValueError):
    """Text that is no grant."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Who may release: exactly one of a network, a login, a TLS client certificate's SHA-256 in lower-case hex."""

    network: Network | None = None
    login: str | None = None
    certificate: str | None = None

    @staticmethod
    def parse(text: str) -> Grant:
        """`192.0.2.0/24`, an address, `user:NAME`, `cert:SHA256`. Raises GrantError."""
        kind, colon, rest = text.partition(":")
        if colon and kind == "user" and rest:
            return Grant(login=rest)
        if colon and kind == "cert":
            digest = rest.replace(":", "").lower()
            if not _FINGERPRINT.fullmatch(digest):
                raise GrantError(f"{rest!r} is not a SHA-256 fingerprint (64 hexadecimal digits)")
            return Grant(certificate=digest)
        try:
            return Grant(network=ipaddress.ip_network(text))
        except ValueError as error:
            raise GrantError(f"{text!r} is not an address, network, user:NAME or cert:SHA256 ({error})") from None

    def covers(self, principal: Principal) -> bool:
        """Whether the principal is who this grant names."""
        if self.network is not None:
            return principal.address in self.network
        if self.login is not None:
            return principal.login == self.login
        return principal.certificate is not None and principal.certificate == self.certificate


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
class Held:
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


@dataclass(frozen=True, slots=True)
class Relayed:
    """Mail goes on at once, for those who may relay."""

    name: str
    next_hop: NextHop
    tls: str = "opportunistic"


@dataclass(frozen=True, slots=True)
class Delivered:
    """Mail goes into mailboxes here. `users` None: any user is one."""

    name: str
    users: frozenset[str] | None
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    postmaster: str = "postmaster"
    """The user who reads what is sent to postmaster (RFC 5321 §4.5.1)."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Mail is refused."""

    name: str
    text: str = ""


Entry = Held | Relayed | Delivered | Rejected


class Directory:
    """All entries, by name, by group and by next hop, and who may relay."""

    def __init__(self, hostname: str, entries: Iterable[Entry], relay_from: Iterable[Network] = ()) -> None:
        self.hostname = hostname
        self.relay_from = tuple(relay_from)
        self._entries: dict[str, Entry] = {entry.name: entry for entry in entries}
        self._groups: dict[str, list[Held]] = {}
        self._next_hops: dict[IPAddress, list[Held]] = {}
        self._below: dict[str, list[Held]] = {}
        for entry in self._entries.values():
            if isinstance(entry, Held):
                self._index(entry)

    def _index(self, entry: Held) -> None:
        if entry.group is not None:
            self._groups.setdefault(entry.group, []).append(entry)
        if isinstance(entry.next_hop, HostPort) and (address := entry.next_hop.address) is not None:
            self._next_hops.setdefault(address, []).append(entry)
        if entry.name != EVERY_OTHER:
            labels = entry.name.split(".")
            for start in range(len(labels)):
                self._below.setdefault(".".join(labels[start:]), []).append(entry)

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self) -> Iterable[Entry]:
        """All of them."""
        return self._entries.values()

    def entry(self, name: str) -> Entry | None:
        """The entry of that very name: a domain, or `*`."""
        return self._entries.get(name)

    def entry_for(self, domain: DomainName) -> Entry | None:
        """What decides about mail for a domain: its own entry, else `*`, else None."""
        return self._entries.get(domain) or self._entries.get(EVERY_OTHER)

    def in_group(self, group: str) -> tuple[Held, ...]:
        """The held entries of a group."""
        return tuple(self._groups.get(group, ()))

    def at_next_hop(self, address: IPAddress) -> tuple[Held, ...]:
        """The held entries whose next hop is written as that address."""
        return tuple(self._next_hops.get(address, ()))

    def below(self, domain: DomainName) -> tuple[Held, ...]:
        """The held entry of a domain and those below it, on label boundaries."""
        return tuple(self._below.get(domain, ()))
