"""What the DNS says of us: our name and address, the MX records of the domains that are ours, and who says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from random import Random

from restante.config.settings import Settings
from restante.config.words import is_loopback
from restante.directory.entries import EVERY_OTHER, Delivered, Held, Relayed
from restante.model import ByMx, HostPort, IPAddress
from restante.mx.exchanges import NoWay, Oneself
from restante.mx.lookup import Answer, LookupFailed, MxRecord, Names
from restante.mx.route import route
from restante.net.own import OwnAddresses
from restante.net.tls import OPPORTUNISTIC
from restante.setup.finding import Finding, Host, ok, warning, wrong
from restante.setup.trial import REPLY_SECONDS, NotWelcome, try_peer
from restante.transport.greeting import Manners

DNS, OUT = "DNS", "way out"
MOST_DOMAINS = 20
"""So many are looked up; there may be a hundred thousand."""
MOST_HOSTS = 3
MOST_ADDRESSES = 2
"""Of each host; the others are as near or as far."""
ROOT = "."
_EVERY_ADDRESS = OwnAddresses([HostPort("0.0.0.0"), HostPort("::")], 25)  # noqa: S104 - all that this host has


def is_ours(settings: Settings, address: IPAddress) -> bool:
    """Whether this host has an address, or listens there."""
    return address in _EVERY_ADDRESS or any(listen.address.address == address for listen in settings.listen)


async def own_name(host: Host) -> AsyncIterator[Finding]:
    """Our name, and those of its addresses. Who takes no mail from others needs none."""
    name = host.settings.hostname
    if all(is_loopback(listen.address.host) for listen in host.settings.listen if listen.service == "mx"):
        yield ok(DNS, f"{name} need not be known: no other host brings mail here")
        return
    try:
        found = await host.names.addresses(name)
    except LookupFailed as error:
        yield wrong(DNS, str(error), "look at `dns`, and at the resolver")
        return
    if not found.records:
        yield wrong(DNS, f"{name} has no address", f"add: {name}. A (this host's address)")
        return
    shown = ", ".join(map(str, found.records))
    if any(is_ours(host.settings, address) for address in found.records):
        yield ok(DNS, f"{name} is {shown}, which is here")
    else:
        remedy = "right where a NAT forwards port 25 from there; else change the record"
        yield warning(DNS, f"{name} is {shown}, which is no address of this host", remedy)
    for finding in await asyncio.gather(*(_reverse(host, address) for address in found.records)):
        yield finding


async def _reverse(host: Host, address: IPAddress) -> Finding:
    name = host.settings.hostname
    remedy = f"have who gave you {address} set its PTR record to {name}: others refuse mail without"
    try:
        found = await host.names.reverse(address)
    except LookupFailed as error:
        return warning(DNS, str(error), remedy)
    if name in found.records:
        return ok(DNS, f"{address} is called {name}")
    return warning(DNS, f"{address} is called {', '.join(found.records) or 'nothing'}, not {name}", remedy)


async def domains(host: Host) -> AsyncIterator[Finding]:
    """Whether mail for our domains is brought to where it should be: here, or to an office that we call."""
    held = [entry.name for entry in host.directory.entries() if isinstance(entry, Held) and entry.name != EVERY_OTHER]
    fetched: dict[str, str] = {
        domain: call.host.host for call in host.settings.calls.values() for domain in call.domains
    }
    read = [entry.name for entry in host.directory.entries() if isinstance(entry, Delivered)]
    wanted = [(name, fetched.get(name, host.settings.hostname)) for name in dict.fromkeys([*held, *read])]
    for finding in await asyncio.gather(*(_of_domain(host, *each) for each in wanted[:MOST_DOMAINS])):
        yield finding
    if len(wanted) > MOST_DOMAINS:
        yield ok(DNS, f"{len(wanted) - MOST_DOMAINS} more domains were not looked up")


async def _of_domain(host: Host, domain: str, brought_to: str) -> Finding:
    remedy = f"add: {domain}. MX 10 {brought_to}."
    try:
        found = await host.names.mx(domain)
        hosts = hosts_of(domain, found)
        if brought_to in hosts or await leads_here(host.names, host.settings, hosts, brought_to):
            return ok(DNS, f"mail for {domain} is brought to {brought_to}")
    except LookupFailed as error:
        return warning(DNS, str(error), "look at the resolver, and at who serves the domain")
    if not found.exists:
        return warning(DNS, f"{domain} does not exist: nobody can write to it", remedy)
    return warning(DNS, f"mail for {domain} is brought to {', '.join(hosts) or 'nobody'}, not to {brought_to}", remedy)


def hosts_of(domain: str, found: Answer[MxRecord]) -> list[str]:
    """Who takes a domain's mail: itself, where no record says otherwise (RFC 5321 §5.1)."""
    if not found.records:
        return [domain] if found.exists else []
    return [
        record.host for record in sorted(found.records, key=lambda record: record.preference) if record.host != ROOT
    ]


async def leads_here(names: Names, settings: Settings, hosts: Sequence[str], brought_to: str) -> bool:
    """Whether one of them is this host by another name, where that is meant. Raises LookupFailed."""
    if brought_to != settings.hostname:
        return False
    for name in hosts[:MOST_HOSTS]:
        if any(is_ours(settings, address) for address in (await names.addresses(name)).records):
            return True
    return False


def _looks_others_up(host: Host) -> Iterator[str]:
    for entry in host.directory.entries():
        if isinstance(entry, Held | Relayed) and isinstance(entry.next_hop, ByMx):
            yield entry.name


async def resolver(host: Host) -> AsyncIterator[Finding]:
    """Whether the resolver answers, and proves its answers, where mail leaves by MX."""
    if not any(_looks_others_up(host)):
        return
    try:
        answer = await host.names.mx(ROOT)
    except LookupFailed as error:
        yield warning(DNS, f"the root of the DNS cannot be looked up: {error}", "look at `dns`, and at the resolver")
        return
    if answer.is_secure:
        yield ok(DNS, "the resolver validates: DANE is heeded")
    elif host.settings.dns.validates:
        remedy = "have it validate (unbound does), or remove `dns.validates`"
        yield wrong(DNS, "the resolver does not validate, though `dns.validates` says so", remedy)
    else:
        remedy = "a validating resolver on this host (unbound) gives DANE to what you send"
        yield warning(DNS, "the resolver proves nothing: DANE is not heeded", remedy)


async def way_out(host: Host) -> AsyncIterator[Finding]:
    """Whether port 25 of others can be reached; only those domains are tried that were named."""
    if not host.also_to:
        if any(_looks_others_up(host)):
            yield ok(OUT, "port 25 of others was not tried: --to DOMAIN tries that domain's mail hosts")
        return
    oneself = Oneself((host.settings.hostname,), partial(is_ours, host.settings))
    for domain in host.also_to:
        try:
            found = await route(domain, host.names, oneself, Random())  # noqa: S311 - no secret
        except LookupFailed as error:
            yield wrong(OUT, str(error), "look at `dns`, and at the resolver")
            continue
        if isinstance(found, NoWay):
            yield wrong(OUT, str(found), "try another domain")
            continue
        for finding in await asyncio.gather(*(_out(host, one.host, one.addresses) for one in found[:MOST_HOSTS])):
            yield finding


async def _out(host: Host, name: str, addresses: Sequence[IPAddress]) -> Finding:
    manners = Manners(host.settings.hostname, name, OPPORTUNISTIC, patience=REPLY_SECONDS)
    problem = ""
    for address in addresses[:MOST_ADDRESSES]:
        try:
            return ok(OUT, f"{name} answers: {await try_peer(HostPort(str(address)), manners)}")
        except NotWelcome as error:
            problem = str(error)
    remedy = 'many providers block port 25: ask yours, or send by a smarthost (domains."*".next_hop)'
    return wrong(OUT, f"{name}: {problem}", remedy)
