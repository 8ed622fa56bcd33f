"""Makes the carriers to next hops.

What is for MX alone (way_out.py) is loaded by the first that needs it: a site that sends all to its office looks nobody
up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from restante.clock import Clock
from restante.directory.entries import Held, Relayed
from restante.model import ByMx, DomainName, HostPort
from restante.transport.outcome import Carrier
from restante.transport.smtp import SmtpCarrier, SmtpMeans, policy_of

if TYPE_CHECKING:
    from restante.transport.way_out import WayOut

WORLDS_CONNECTIONS = 20
"""To the hosts of one domain, for mail that is held; what is relayed has a key for it."""


class DnsRules(Protocol):
    """What is asked of the DNS, and whom: see Resolver, and config/settings.py."""

    @property
    def servers(self) -> Sequence[HostPort]: ...  # noqa: D102
    @property
    def validates(self) -> bool | None: ...  # noqa: D102
    @property
    def timeout(self) -> float: ...  # noqa: D102
    @property
    def mta_sts(self) -> bool: ...  # noqa: D102


class Outward:
    """One for the process. `data` is where what is known of TLS is kept; `note` is told where it cannot be."""

    def __init__(self, data: Path, clock: Clock, note: Callable[[str], None]) -> None:
        self._data = data
        self._clock = clock
        self._note = note
        self._way_out: WayOut | None = None
        self._use: Callable[[WayOut], None] = lambda _way_out: None

    def use(self, dns: DnsRules, listening: Iterable[HostPort]) -> None:
        """From now on the DNS is asked so, and these are our own addresses."""
        own = tuple(listening)
        self._use = lambda way_out: way_out.use(dns, own)
        if self._way_out is not None:
            self._use(self._way_out)

    def carrier(
        self, entry: Held | Relayed, destination: DomainName | None, target: HostPort | ByMx, means: SmtpMeans
    ) -> Carrier:
        """One to `target`; by MX to `destination`. Another target than the entry's own is told no password."""
        refuses = isinstance(entry, Relayed)
        if isinstance(target, HostPort):
            login = entry.login if target == entry.next_hop else None
            return SmtpCarrier(target, means, policy_of(entry), refuses=refuses, login=login)
        assert destination is not None, f"{entry.name} is by MX, which is of a domain"
        connections, rate = WORLDS_CONNECTIONS, None
        if isinstance(entry, Relayed):
            connections, rate = entry.connections, entry.rate
        means = replace(means, connections=connections)
        return self._ways().carrier(destination, means, policy_of(entry), rate=rate, refuses=refuses)

    def _ways(self) -> WayOut:
        if self._way_out is None:
            from restante.transport.way_out import WayOut  # noqa: PLC0415 - dnspython is for who looks somebody up

            self._way_out = WayOut(self._data, self._clock, self._note)
            self._use(self._way_out)
        return self._way_out

    def close(self) -> None:
        """Writes what was counted."""
        if self._way_out is not None:
            self._way_out.close()
