"""From a domain's MX records to the hosts that take its mail, in order (RFC 5321 §5.1, RFC 7505). Pure.

First choose() says which hosts to look up, then exchanges() what is left of them once their addresses are known. Hosts
come by preference, equal ones by chance. Nothing leads back here: where this host is among them, it and all that are
not better are dropped. Addresses that can be nobody else's (loopback, link-local, multicast ...) are skipped. What can
never be reached is NoWay, with the reply that its sender gets; what could not be looked up is LookupFailed, and waits.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from random import Random

from restante.model import DomainName, IPAddress
from restante.mx.lookup import NO_HOST, Answer, LookupFailed, MxRecord
from restante.net.networks import Networks
from restante.smtp.address import AddressError, parse_domain
from restante.smtp.reply import Reply

MOST_HOSTS = 10
"""So many of a domain's hosts are looked up, the best ones; a domain may have a thousand."""
MOST_ADDRESSES = 20
"""So many addresses of one host are tried."""

_V4_NOBODYS = ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32")
_V6_NOBODYS = ("::/128", "::1/128", "fe80::/10", "ff00::/8")
_NOBODYS = Networks(
    [*map(ipaddress.IPv4Network, _V4_NOBODYS), *map(ipaddress.IPv6Network, _V6_NOBODYS)],
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A host that takes a domain's mail."""

    host: str
    """Its name; of an address literal the address in brackets."""
    preference: int
    addresses: tuple[IPAddress, ...]
    """At least one, in no order."""
    is_secure: bool = False
    """Whether DNSSEC proves its name and its addresses."""
    canonical: str = ""
    """The name at the end of its CNAMEs; where it has none, its name."""


@dataclass(frozen=True, slots=True)
class NoWay:
    """Why a domain's mail can never leave as things are, as the reply that stands in for a server's."""

    reply: Reply

    def __str__(self) -> str:
        return str(self.reply)


@dataclass(frozen=True, slots=True)
class Oneself:
    """What leads back to this host: its names, and the addresses at which it listens."""

    names: Collection[str] = ()
    is_own: Callable[[IPAddress], bool] = lambda _: False


def literal(domain: DomainName, oneself: Oneself) -> tuple[Exchange, ...] | NoWay | None:
    """The way to a domain that is an address literal (RFC 5321 §4.1.3); None: it is a name."""
    if not domain.startswith("["):
        return None
    address = ipaddress.ip_address(domain[1:-1].removeprefix("IPv6:"))
    if oneself.is_own(address):
        return _loop(domain)
    if is_nobodys(address):
        return _unusable(domain)
    return (Exchange(domain, 0, (address,), canonical=domain),)


def choose(
    domain: DomainName, found: Answer[MxRecord], oneself: Oneself, random: Random
) -> tuple[MxRecord, ...] | NoWay:
    """The hosts to look up, in the order in which they are tried; one at least."""
    if not found.exists:
        return NoWay(Reply(550, f"{domain} does not exist", "5.1.2"))
    if not found.records:  # then the domain itself is the host
        return _better_than_us(domain, [MxRecord(0, domain)], oneself)
    records = [record for record in found.records if record.host != NO_HOST]
    if not records:
        return NoWay(Reply(556, f"{domain} takes no mail (its MX record says so, RFC 7505)", "5.1.10"))
    random.shuffle(records)
    records.sort(key=lambda record: record.preference)
    return _better_than_us(domain, records, oneself)


def _better_than_us(domain: DomainName, records: Sequence[MxRecord], oneself: Oneself) -> tuple[MxRecord, ...] | NoWay:
    limit = min((record.preference for record in records if record.host in oneself.names), default=None)
    better = [record for record in records if limit is None or record.preference < limit]
    if not better:
        return _loop(domain)
    named = [record for record in better if _is_name(record.host)]
    return tuple(named[:MOST_HOSTS]) or _unusable(domain)


def exchanges(
    domain: DomainName,
    hosts: Iterable[tuple[MxRecord, Answer[IPAddress] | LookupFailed]],
    oneself: Oneself,
    *,
    is_secure: bool,
) -> tuple[Exchange, ...] | NoWay:
    """The hosts with their addresses, in order. `is_secure`: whether DNSSEC proves the MX records, or their absence.

    Raises LookupFailed where none is left that could be looked up, and there is one that could not.
    """
    found: list[Exchange] = []
    failure: LookupFailed | None = None
    limit: int | None = None
    hosts = list(hosts)
    for record, answer in hosts:
        if isinstance(answer, LookupFailed):
            failure = failure or answer
            continue
        if any(map(oneself.is_own, answer.records)):
            limit = record.preference if limit is None else min(limit, record.preference)
        elif addresses := tuple([address for address in answer.records if not is_nobodys(address)][:MOST_ADDRESSES]):
            secure = is_secure and answer.is_secure
            found.append(Exchange(record.host, record.preference, addresses, secure, answer.canonical))
    ways = tuple(exchange for exchange in found if limit is None or exchange.preference < limit)
    if ways:
        return ways
    if failure is not None:
        raise failure
    if limit is not None:
        return _loop(domain)
    if [record.host for record, _ in hosts] == [domain] and not any(_addresses(answer) for _, answer in hosts):
        return NoWay(Reply(550, f"{domain} has neither a mail host nor an address", "5.1.2"))
    return _unusable(domain)


def is_nobodys(address: IPAddress) -> bool:
    """Whether no other host can have it: mail sent there would come back, or go astray."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped in _NOBODYS
    return address in _NOBODYS


def _addresses(answer: Answer[IPAddress] | LookupFailed) -> tuple[IPAddress, ...]:
    return () if isinstance(answer, LookupFailed) else answer.records


def _is_name(host: str) -> bool:
    """Whether it can be a host's name. An address written as one is none, and not looked up (RFC 5321 §5.1)."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        try:
            return not parse_domain(host).startswith("[")
        except AddressError:
            return False
    return False


def _loop(domain: DomainName) -> NoWay:
    return NoWay(Reply(550, f"mail for {domain} loops back to this host", "5.4.6"))


def _unusable(domain: DomainName) -> NoWay:
    return NoWay(Reply(550, f"no mail host of {domain} has an address that can be used", "5.4.4"))
