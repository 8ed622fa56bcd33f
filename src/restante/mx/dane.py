"""Which TLSA records speak for an MX host (RFC 7672 §2.2): only answers that DNSSEC proves, from the MX on, count."""

from __future__ import annotations

from dataclasses import dataclass

from restante.mx.exchanges import Exchange
from restante.mx.lookup import Names
from restante.net.dane import TlsaRecord, usable

PORT = 25


@dataclass(frozen=True, slots=True)
class Dane:
    """What DANE says of a host. Records that are there without a usable one want TLS, with any certificate (§2.2)."""

    base: str
    """The TLSA base domain: the name that the records are for."""
    records: tuple[TlsaRecord, ...]

    @property
    def usable(self) -> tuple[TlsaRecord, ...]:
        """Those that the host must be."""
        return usable(self.records)


async def dane_of(exchange: Exchange, names: Names) -> Dane | None:
    """The TLSA records of a host; None where there are none, or nothing is proven. Raises LookupFailed.

    For a host that is another name for one, those of the one come first (RFC 7672 §2.2.2). Where the host's addresses
    are not proven its records are not asked for.
    """
    if not exchange.is_secure:
        return None
    for base in dict.fromkeys(filter(None, (exchange.canonical, exchange.host))):
        answer = await names.tlsa(f"_{PORT}._tcp.{base}")
        if answer.is_secure and answer.records:
            return Dane(base, tuple(sorted(answer.records, key=str)))  # the DNS has them in any order
    return None
