"""Makes the carriers by MX, and keeps what outlives each of them.

That is the resolver, what is known of other domains' TLS, which hosts did not answer lately, whose turn is when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from restante.clock import Clock
from restante.model import DomainName, HostPort
from restante.mx.exchanges import Oneself
from restante.mx.lookup import Resolver
from restante.mx.security import open_security
from restante.net.own import OwnAddresses
from restante.net.tls import TlsPolicy
from restante.transport.by_mx import SMTP_PORT, MxCarrier, MxMeans
from restante.transport.hosts import HostMemory, Turns
from restante.transport.smtp import SmtpMeans

if TYPE_CHECKING:
    from restante.transport.outward import DnsRules


class WayOut:
    """One for the process. `data` is where what is known of TLS is kept; `note` is told where it cannot be."""

    def __init__(self, data: Path, clock: Clock, note: Callable[[str], None]) -> None:
        self._clock = clock
        self._names = Resolver()
        self._security = open_security(data, self._names, clock, note=note)
        self._hosts = HostMemory()
        self._turns = Turns()
        self._listening = OwnAddresses((), SMTP_PORT)

    def use(self, dns: DnsRules, listening: Iterable[HostPort]) -> None:
        """From now on the DNS is asked so, and these are our own addresses."""
        self._names.use(dns.servers, validates=dns.validates, timeout=dns.timeout)
        self._security.heeds_sts = dns.mta_sts
        self._listening = OwnAddresses(listening, SMTP_PORT)

    def carrier(
        self, destination: DomainName, means: SmtpMeans, tls: TlsPolicy, *, rate: int | None, refuses: bool
    ) -> MxCarrier:
        """One to the mail hosts of a domain."""
        oneself = Oneself((means.hostname.lower(),), self._listening.__contains__)
        of_mx = MxMeans(means, self._names, self._security, self._hosts, self._turns, oneself, self._clock.sleep)
        return MxCarrier(destination, of_mx, tls, rate=rate, refuses=refuses)

    def close(self) -> None:
        """Writes what was counted."""
        self._security.close()
