"""Our own ports: whether this server has them, or could; and whether it answers there as it should.

While the server runs each is tried as a client would, up to EHLO and QUIT; else it is seen whether it could be bound.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from restante.config.settings import Admin, Listen
from restante.model import HostPort
from restante.net.tls import TlsLevel, TlsPolicy
from restante.setup.finding import Finding, Host, ok, wrong
from restante.setup.trial import REPLY_SECONDS, NotWelcome, Welcome, try_peer
from restante.transport.greeting import Manners

PORT, API = "port", "api"
_BOUNDS = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


async def ports(host: Host) -> AsyncIterator[Finding]:
    """Each listener."""
    for listen in host.settings.listen:
        where = f"{listen.address} ({listen.service})"
        if not host.is_running:
            yield free(listen.address, where)
        elif str(listen.address) not in host.listening:
            yield wrong(PORT, f"{where} is configured, and the server does not listen there", "restante reload")
        elif listen.proxy_from:
            yield ok(PORT, f"{where} listens, for load balancers alone: not tried")
        else:
            yield await _answers(host, listen, where)


def free(address: HostPort, where: str) -> Finding:
    """Whether a server could listen at an address. It is bound for a moment, and not listened on."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError as error:
            return _not_free(address, where, error)
    return ok(PORT, f"{where} is free")


def _not_free(address: HostPort, where: str, error: OSError) -> Finding:
    match error.errno:
        case errno.EADDRINUSE:
            remedy = f"see who: ss -ltnp 'sport = :{address.port}'; stop it, or take another port"
            return wrong(PORT, f"{where}: somebody else listens there", remedy)
        case errno.EACCES:
            remedy = "AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit, as contrib's has it; or start it as root"
            return wrong(PORT, f"{where}: a port below 1024 takes a privilege", remedy)
        case errno.EADDRNOTAVAIL:
            return wrong(PORT, f"{where}: this host has no such address", "write one of `ip address`, or 0.0.0.0")
        case _:
            return wrong(PORT, f"{where}: {error.strerror}", "write another address")


def reachable(address: HostPort) -> HostPort:
    """Where a listener is reached from this host."""
    if address.host == "0.0.0.0":  # noqa: S104 - all of IPv4
        return HostPort("127.0.0.1", address.port)
    return HostPort("::1", address.port) if address.host == "::" else address


async def _answers(host: Host, listen: Listen, where: str) -> Finding:
    level = TlsLevel.OFF if listen.tls == "off" else TlsLevel.REQUIRED
    name = host.settings.hostname
    manners = Manners(name, name, TlsPolicy(level), patience=REPLY_SECONDS, lmtp=listen.service == "lmtp")
    try:
        welcome = await try_peer(reachable(listen.address), manners, implicit_tls=listen.tls == "implicit")
    except NotWelcome as error:
        return wrong(PORT, f"{where}: {error}", "look into the server's log")
    if await asyncio.to_thread(_shows_another, host, welcome):
        remedy = "the files were changed and do not fit together: see certificate above, and the log"
        return wrong(PORT, f"{where} shows another certificate than {host.certificate[0]} has", remedy)
    return ok(PORT, f"{where} answers: {welcome}")


def _shows_another(host: Host, welcome: Welcome) -> bool:
    if welcome.tls is None or welcome.tls.peer is None:
        return False
    try:
        own = x509.load_pem_x509_certificates(host.certificate[0].read_bytes())[0]
    except (OSError, ValueError):
        return False
    return welcome.tls.peer.fingerprint != own.fingerprint(hashes.SHA256()).hex()


async def api(host: Host) -> AsyncIterator[Finding]:
    """The page and the API, where they are."""
    admin = host.settings.admin
    if admin is None:
        return
    where = f"{admin.address} (page)"
    if not host.is_running:
        yield free(admin.address, where)
        return
    yield await _healthy(admin, where)


async def _healthy(admin: Admin, where: str) -> Finding:
    import httpx2  # noqa: PLC0415 - for who has an API

    at = reachable(admin.address)
    url = f"{'https' if admin.has_tls else 'http'}://{at}/healthz"
    try:
        async with httpx2.AsyncClient(verify=False, trust_env=False, timeout=REPLY_SECONDS) as client:
            response = await client.get(url)
    except (httpx2.HTTPError, OSError) as error:
        return wrong(API, f"{url}: {error or type(error).__name__}", "restante reload; look into the server's log")
    if response.status_code != httpx2.codes.OK:
        return wrong(API, f"{url}: HTTP status {response.status_code}", "look into the server's log")
    return ok(API, f"{where} answers")
