"""Whom we send to, and whom we call: whether each is there, as safe as it is configured, and takes our login.

A site that is not there may be so by right; an office or a smarthost that is not there is a fault.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from restante.calls.login import Login
from restante.config.settings import Call
from restante.directory.entries import Delivered, Held, Relayed
from restante.model import HostPort
from restante.net.tls import IN_CLEAR, OPPORTUNISTIC, Pair, TlsPolicy
from restante.setup.finding import Finding, Host, ok, warning, wrong
from restante.setup.trial import REPLY_SECONDS, NotWelcome, try_peer
from restante.transport.greeting import Manners
from restante.transport.login import PasswordUnreadable, credentials_of
from restante.transport.smtp import policy_of

NEXT_HOP, OFFICE, STORE, FILTER = "next hop", "office", "mail store", "filter"
MOST_PEERS = 20
"""So many of a kind are tried."""


async def next_hops(host: Host) -> AsyncIterator[Finding]:
    """Those that are named; each once, however many domains it is for."""
    entries = [entry for entry in host.directory.entries() if isinstance(entry, Held | Relayed)]
    named = [entry for entry in reversed(entries) if isinstance(entry.next_hop, HostPort)]
    by_hop = {(entry.next_hop, entry.tls, entry.tls_pin, entry.login): entry for entry in named}
    for finding in await asyncio.gather(*(_next_hop(host, entry) for entry in list(by_hop.values())[:MOST_PEERS])):
        yield finding
    if len(by_hop) > MOST_PEERS:
        yield ok(NEXT_HOP, f"{len(by_hop) - MOST_PEERS} more were not tried")


async def _next_hop(host: Host, entry: Held | Relayed) -> Finding:
    at = entry.next_hop
    assert isinstance(at, HostPort), "it is one that is named"
    try:
        login = credentials_of(entry.login)
    except PasswordUnreadable as error:
        return wrong(NEXT_HOP, str(error), "write the password on its first line")
    manners = Manners(host.settings.hostname, at.host, policy_of(entry), login=login, patience=REPLY_SECONDS)
    try:
        welcome = await try_peer(at, manners)
    except NotWelcome as error:
        if error.is_absent and isinstance(entry, Held) and entry.login is None:
            remedy = "nothing, if that site is offline now; its mail waits"
            return warning(NEXT_HOP, f"{entry.name} is not there: {_told(error, at)}", remedy)
        return wrong(NEXT_HOP, f"{entry.name}: {_told(error, at)}", _remedy(error))
    return ok(NEXT_HOP, f"{entry.name}: {at} answers: {welcome}")


def _remedy(error: NotWelcome) -> str:
    if error.is_login:
        return "look at `user` and `password_file`, and at the other end's users"
    if error.is_tls:
        return "look at `tls` and `tls_pin`: the other end's doctor tells its pin"
    return "look whether that host is up, and lets us through"


async def offices(host: Host) -> AsyncIterator[Finding]:
    """Those that are called."""
    calls = list(host.settings.calls.items())[:MOST_PEERS]
    for finding in await asyncio.gather(*(_office(host, name, call) for name, call in calls)):
        yield finding


async def _office(host: Host, name: str, call: Call) -> Finding:
    own = Pair(call.certificate, call.key) if call.certificate is not None and call.key is not None else None
    try:
        login = Login(call.user, call.password_file, own).credentials(for_turn=call.protocol == "atrn")
    except PasswordUnreadable as error:
        return wrong(OFFICE, f"calls.{name}: {error}", "write the password on its first line")
    policy = TlsPolicy(call.tls, call.tls_pin)
    manners = Manners(host.settings.hostname, call.host.host, policy, own=own, login=login, patience=REPLY_SECONDS)
    try:
        welcome = await try_peer(call.host, manners)
    except NotWelcome as error:
        if error.is_absent and call.before:
            remedy = "nothing, while the link is down: `before` brings it up"
            return warning(OFFICE, f"calls.{name} is not there: {_told(error, call.host)}", remedy)
        return wrong(OFFICE, f"calls.{name}: {_told(error, call.host)}", _remedy(error))
    took = ", and took our login" if login is not None else ""
    return ok(OFFICE, f"calls.{name}: {call.host} answers{took}: {welcome}")


def _told(error: NotWelcome, at: HostPort | Path) -> str:
    return str(error) if str(error).startswith(str(at)) else f"{at}: {error}"


async def mail_stores(host: Host) -> AsyncIterator[Finding]:
    """Those that take mail by LMTP."""
    stores = {
        entry.lmtp: entry.name for entry in host.directory.entries() if isinstance(entry, Delivered) and entry.lmtp
    }
    tried = (_mail_store(host, at, domain) for at, domain in list(stores.items())[:MOST_PEERS])
    for finding in await asyncio.gather(*tried):
        yield finding


async def _mail_store(host: Host, at: HostPort | Path, domain: str) -> Finding:
    policy = IN_CLEAR if isinstance(at, Path) else OPPORTUNISTIC
    manners = Manners(host.settings.hostname, "localhost", policy, patience=REPLY_SECONDS, lmtp=True)
    try:
        return ok(STORE, f"{domain}: {at} answers: {await try_peer(at, manners)}")
    except NotWelcome as error:
        return wrong(STORE, f"{domain}: {_told(error, at)}", "start it, and look at its socket's rights")


async def mail_filter(host: Host) -> AsyncIterator[Finding]:
    """rspamd, where it is asked."""
    if host.settings.filter is None:
        return
    import httpx2  # noqa: PLC0415 - for who has a filter

    url = f"{host.settings.filter.rspamd}/ping"
    remedy = "start it, and look at its worker's address: without it no mail is taken"
    try:
        async with httpx2.AsyncClient(trust_env=False, timeout=REPLY_SECONDS) as client:
            response = await client.get(url)
    except (httpx2.HTTPError, OSError) as error:
        yield wrong(FILTER, f"{url}: {error or type(error).__name__}", remedy)
        return
    if response.status_code == httpx2.codes.OK:
        yield ok(FILTER, f"{host.settings.filter.rspamd} answers")
    else:
        yield wrong(FILTER, f"{url}: HTTP status {response.status_code}", remedy)
