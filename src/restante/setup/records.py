"""What to put into the DNS for a new host: MX, addresses, and, as one likes, SPF and TLSA."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from cryptography import x509

from restante.model import IPAddress
from restante.net.certificates import key_octets
from restante.net.dane import DANE_EE, KEY, SHA256, TlsaRecord
from restante.setup.plan import Plan, Protocol

Kind = Literal["MX", "A", "AAAA", "PTR", "TXT", "TLSA"]


@dataclass(frozen=True, slots=True)
class Record:
    """One record, as a zone's file has it. `name` is whole, without its last dot; so is a host in `value`."""

    name: str
    kind: Kind
    value: str
    why: str
    is_optional: bool = False

    def __str__(self) -> str:
        value = f"{self.value}." if self.kind in ("MX", "PTR") else self.value
        return f"{self.name}. {self.kind} {value}"


UNKNOWN_ADDRESS = "YOUR-ADDRESS"


def tlsa_of(certificate: x509.Certificate) -> TlsaRecord:
    """What pins a server's key in the DNS: usage 3, selector 1, SHA-256 (RFC 7672 §3.1)."""
    return TlsaRecord(DANE_EE, KEY, SHA256, hashlib.sha256(key_octets(certificate)).digest())


def records(plan: Plan, addresses: Sequence[IPAddress], tlsa: TlsaRecord | None = None) -> tuple[Record, ...]:
    """The records that a host needs. `addresses`: at which others reach it, as far as known; `tlsa`: of its key."""
    return tuple(_all(plan, addresses, tlsa))


def _all(plan: Plan, addresses: Sequence[IPAddress], tlsa: TlsaRecord | None) -> Iterator[Record]:
    if plan.office is not None:
        yield from _of_domains(plan.office.domains, plan.hostname)
    if plan.site is not None and plan.site.office.address is None:
        yield from _of_domains(plan.site.domains, plan.site.office.host)
    if plan.office is not None or (plan.site is not None and plan.site.protocol is Protocol.ETRN):
        yield from _of_host(plan.hostname, addresses)
    if plan.office is not None and tlsa is not None:
        why = "optional, and only in a zone that DNSSEC signs: others then send by TLS, to this key alone (DANE)"
        yield Record(f"_25._tcp.{plan.hostname}", "TLSA", str(tlsa), why, is_optional=True)


def _of_domains(domains: Sequence[str], office: str) -> Iterator[Record]:
    for domain in domains:
        yield Record(domain, "MX", f"10 {office}", "the world brings mail for it to the office")
        why = "optional: mail from it comes by the office, and from nowhere else"
        yield Record(domain, "TXT", '"v=spf1 mx -all"', why, is_optional=True)


def _of_host(hostname: str, addresses: Sequence[IPAddress]) -> Iterator[Record]:
    for address in addresses:
        yield Record(hostname, "AAAA" if address.version == 6 else "A", str(address), "where this host is")
        yield Record(
            address.reverse_pointer, "PTR", hostname, "set by who has given you the address; others look for it"
        )
    if not addresses:
        yield Record(hostname, "A", UNKNOWN_ADDRESS, "where this host is, as seen from outside")
