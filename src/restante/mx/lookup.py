"""Questions to the DNS, by dnspython: MX, addresses, TLSA, TXT.

An answer is what the DNS says, that there is no such name or record included. All else (no answer in time, SERVFAIL,
what fails validation, a loop of CNAMEs) is LookupFailed, and no ground for a bounce. Nothing is kept here: the resolver
that is asked has a cache, and knows each record's lifetime. Whoever uses an answer later asks again.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.nameserver
import dns.rdata
import dns.rdatatype
import dns.resolver
import dns.reversename
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.PTR import PTR
from dns.rdtypes.ANY.TLSA import TLSA
from dns.rdtypes.ANY.TXT import TXT
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA

from restante.errors import RestanteError
from restante.model import HostPort, IPAddress
from restante.net.dane import TlsaRecord

MOST_CNAMES = 8
"""Answers that lead to another name; those that one answer holds itself are dnspython's to follow (16)."""
ATTEMPTS = 3
"""A question is put so often within its time, to each server in turn: a datagram may be lost."""
NO_HOST = "."
"""The name of the root, which as an MX record's host says that there is none (RFC 7505)."""
SYSTEM = Path("/etc/resolv.conf")

R = TypeVar("R")
_T = TypeVar("_T")


class LookupFailed(RestanteError):
    """The DNS has not said what there is: no answer, SERVFAIL, bogus, a loop of CNAMEs. Worth trying again later."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[R]):
    """What the DNS says of one name and kind of record; both `records` may be missing and the name (NXDOMAIN)."""

    records: tuple[R, ...] = ()
    exists: bool = True
    """Whether there is such a name, be it with other records."""
    is_secure: bool = False
    """Whether DNSSEC proves it, as told by a resolver whose word counts."""
    canonical: str = ""
    """The name at the end of its CNAMEs; where it has none, the name that was asked for."""


@dataclass(frozen=True, slots=True)
class MxRecord:
    """RFC 1035 §3.3.9. `host` is in lower case and without its last dot; of a null MX it is NO_HOST."""

    preference: int
    host: str


class Names(Protocol):
    """What the DNS can be asked. Names are A-labels. Each raises LookupFailed."""

    async def mx(self, name: str) -> Answer[MxRecord]:
        """The MX records of a domain, in no order."""
        ...

    async def addresses(self, name: str) -> Answer[IPAddress]:
        """The IPv6 and IPv4 addresses of a host, in no order; where one kind cannot be had, those of the other."""
        ...

    async def tlsa(self, name: str) -> Answer[TlsaRecord]:
        """The TLSA records at a name such as `_25._tcp.mx1.test.example`."""
        ...

    async def txt(self, name: str) -> Answer[str]:
        """The TXT records of a name, the strings of each joined (RFC 7208 §3.3); octets beyond ASCII become U+FFFD."""
        ...


class Resolver:
    """Names, as `servers` tell them; without those the ones in a `system` file, which is read for each question.

    A server's word on DNSSEC counts where it `validates`; None: where all servers are on this host's loopback.
    `timeout` is in seconds, for one question with all that it leads to.
    """

    def __init__(
        self,
        servers: Sequence[HostPort] = (),
        *,
        validates: bool | None = None,
        timeout: float = 10.0,
        system: Path = SYSTEM,
    ) -> None:
        self._system = system
        self.use(servers, validates=validates, timeout=timeout)

    def use(self, servers: Sequence[HostPort], *, validates: bool | None, timeout: float) -> None:
        """From the next question on, these are asked so."""
        self._servers = servers
        self._validates = validates
        self._timeout = timeout

    async def mx(self, name: str) -> Answer[MxRecord]:
        """See Names."""
        return await self._in_time(name, self._ask(name, dns.rdatatype.MX, _mx))

    async def addresses(self, name: str) -> Answer[IPAddress]:
        """See Names."""
        return await self._in_time(name, self._addresses(name))

    async def tlsa(self, name: str) -> Answer[TlsaRecord]:
        """See Names."""
        return await self._in_time(name, self._ask(name, dns.rdatatype.TLSA, _tlsa))

    async def txt(self, name: str) -> Answer[str]:
        """See Names."""
        return await self._in_time(name, self._ask(name, dns.rdatatype.TXT, _txt))

    async def reverse(self, address: IPAddress) -> Answer[str]:
        """The names that an address has (RFC 1035 §3.5), in lower case. Raises LookupFailed."""
        name = dns.reversename.from_address(str(address)).to_text(omit_final_dot=True)
        return await self._in_time(name, self._ask(name, dns.rdatatype.PTR, _ptr))

    async def _in_time(self, name: str, asked: Coroutine[object, object, _T]) -> _T:
        try:
            async with asyncio.timeout(self._timeout):
                return await asked
        except TimeoutError:
            raise LookupFailed(f"{name}: the DNS has not answered in {self._timeout:g} s") from None

    async def _addresses(self, name: str) -> Answer[IPAddress]:
        """Both kinds, asked for at the same time.

        A failure of one does not hide the other. It also makes nothing look less secure: who can spoil one answer on
        its way must not switch DANE off by that.
        """
        kinds = (dns.rdatatype.AAAA, dns.rdatatype.A)
        tried = await asyncio.gather(*(self._ask(name, kind, _address) for kind in kinds), return_exceptions=True)
        answers = [answer for answer in tried if not isinstance(answer, BaseException)]
        records = tuple(record for answer in answers for record in answer.records)
        for failure in tried:
            if isinstance(failure, BaseException) and not (records and isinstance(failure, LookupFailed)):
                raise failure
        return Answer(
            records,
            exists=any(answer.exists for answer in answers),
            is_secure=all(answer.is_secure for answer in answers),
            canonical=answers[-1].canonical,
        )

    async def _ask(self, name: str, kind: dns.rdatatype.RdataType, read: Callable[[dns.rdata.Rdata], R]) -> Answer[R]:
        """One question, and those that its CNAMEs lead to where the server has not followed them."""
        resolver, trusted = self._made()
        asked: list[dns.name.Name] = []
        is_secure = trusted
        try:
            wanted = dns.name.from_text(name)
            while wanted not in asked and len(asked) <= MOST_CNAMES:
                asked.append(wanted)
                try:
                    found = await resolver.resolve(wanted, kind, raise_on_no_answer=False, lifetime=self._timeout)
                except dns.resolver.NXDOMAIN as nothing:
                    is_secure = is_secure and _has_ad(nothing.kwargs["responses"][wanted])
                    return Answer((), exists=False, is_secure=is_secure, canonical=_text(nothing.canonical_name))
                is_secure = is_secure and _has_ad(found.response)
                if found.rrset is not None or found.canonical_name == wanted:
                    records = tuple(read(record) for record in found.rrset or ())
                    return Answer(records, is_secure=is_secure, canonical=_text(found.canonical_name))
                wanted = found.canonical_name
        except (dns.exception.DNSException, OSError) as error:
            raise LookupFailed(f"{name}: {_why(error, kind)}") from None
        raise LookupFailed(f"{name}: its CNAMEs lead in a circle, or too far")

    def _made(self) -> tuple[dns.asyncresolver.Resolver, bool]:
        """A resolver, and whether its word on DNSSEC counts."""
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.timeout = self._timeout / ATTEMPTS
        resolver.lifetime = self._timeout
        if self._servers:
            resolver.nameservers = [dns.nameserver.Do53Nameserver(at.host, at.port) for at in self._servers]
            hosts = [server.host for server in self._servers]
        else:
            resolver.nameservers = hosts = self._of_the_system()
        trusted = self._validates
        if trusted is None:
            trusted = all(ipaddress.ip_address(host.partition("%")[0]).is_loopback for host in hosts)
        resolver.flags = dns.flags.RD | dns.flags.AD
        resolver.use_edns(0, dns.flags.DO if trusted else 0)  # some say AD only to those who ask for the proof as well
        return resolver, trusted

    def _of_the_system(self) -> list[str]:
        try:
            words = [line.split() for line in self._system.read_text(errors="replace").splitlines()]
        except OSError as error:
            raise LookupFailed(f"no resolver is known: {self._system}: {error.strerror}") from None
        hosts = [line[1] for line in words if len(line) > 1 and line[0] == "nameserver" and _is_address(line[1])]
        if not hosts:
            raise LookupFailed(f"no resolver is known: {self._system} names none")
        return hosts


def _has_ad(response: dns.message.Message) -> bool:
    return bool(response.flags & dns.flags.AD)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


def _why(error: Exception, kind: dns.rdatatype.RdataType) -> str:
    """What went wrong, on one short line: dnspython's own text has every attempt."""
    asked = dns.rdatatype.to_text(kind)
    if isinstance(error, dns.resolver.LifetimeTimeout):
        return f"the DNS has not answered ({asked})"
    if isinstance(error, dns.resolver.NoNameservers):
        said = [str(each[3]) for each in error.kwargs.get("errors", ())]
        return f"the DNS has no answer ({asked}): {said[-1] if said else 'no server'}"
    return f"the DNS has no answer ({asked}): {error}"


def _mx(record: dns.rdata.Rdata) -> MxRecord:
    assert isinstance(record, MX), record
    return MxRecord(record.preference, _text(record.exchange))


def _tlsa(record: dns.rdata.Rdata) -> TlsaRecord:
    assert isinstance(record, TLSA), record
    return TlsaRecord(record.usage, record.selector, record.mtype, record.cert)


def _ptr(record: dns.rdata.Rdata) -> str:
    assert isinstance(record, PTR), record
    return _text(record.target)


def _txt(record: dns.rdata.Rdata) -> str:
    assert isinstance(record, TXT), record
    return b"".join(record.strings).decode("ascii", "replace")


def _address(record: dns.rdata.Rdata) -> IPAddress:
    assert isinstance(record, A | AAAA), record
    return ipaddress.ip_address(record.address)
