"""Where mail goes, by name: each destination has releases, a carrier, failures and retries of its own.

An entry with a next hop, or with mailboxes here, is one destination by its own name, a domain or `*`. By MX each
recipient domain is one (RFC 5321 §5.1): so one that is down neither delays nor counts against any other. A domain by MX
keeps its name when it gets an entry of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeGuard

from restante.directory.entries import EVERY_OTHER, Delivered, Directory, Entry, Held, Rejected, Relayed
from restante.directory.routing import domains_of_entry
from restante.model import ByMx, DomainName
from restante.spool.spool import Spool


def is_by_mx(entry: Entry | None) -> TypeGuard[Held | Relayed]:
    """Whether each recipient domain of an entry is a destination."""
    return isinstance(entry, Held | Relayed) and isinstance(entry.next_hop, ByMx)


def leaves_by_itself(entry: Entry | None) -> TypeGuard[Relayed | Delivered]:
    """Whether an entry's mail leaves without anybody asking."""
    return isinstance(entry, Relayed | Delivered)


def destination_of(directory: Directory, domain: DomainName) -> str | None:
    """Where mail for a domain goes; None where it cannot leave."""
    entry = directory.entry_for(domain)
    if entry is None or isinstance(entry, Rejected):
        return None
    return domain if is_by_mx(entry) else entry.name


def entry_of(directory: Directory, destination: str) -> Entry | None:
    """The entry that says how mail goes there; None for what is no destination, or none any more."""
    entry = directory.entry(destination)
    if destination == EVERY_OTHER:
        return None if is_by_mx(entry) else entry
    other = directory.entry(EVERY_OTHER)
    return other if entry is None and is_by_mx(other) else entry


def domain_of(entry: Entry, destination: str) -> DomainName | None:
    """The domain whose MX is to be looked up; None where the entry says it all."""
    return DomainName(destination) if is_by_mx(entry) else None


class Destinations:
    """The destinations of this host, with what waits for them: by counters, never by a look at the disk."""

    def __init__(self, spool: Spool, directory: Callable[[], Directory]) -> None:
        self._spool = spool
        self._directory = directory
        self._others: set[DomainName] = set()
        """Domains of `*` with mail that leaves by itself to one next hop; some may have none any more."""

    def entry(self, destination: str) -> Entry | None:
        """See entry_of()."""
        return entry_of(self._directory(), destination)

    def of(self, domain: DomainName) -> str | None:
        """See destination_of()."""
        return destination_of(self._directory(), domain)

    def arrived(self, domain: DomainName) -> str | None:
        """The destination of mail that has come for a domain; None for what does not leave by itself."""
        if not leaves_by_itself(self._directory().entry_for(domain)):
            return None
        destination = self.of(domain)
        if destination == EVERY_OTHER:
            self._others.add(domain)
        return destination

    def renew(self) -> None:
        """The directory has changed: arrived() is to be told of all mail anew."""
        self._others = {domain for domain in self._others if self.of(domain) == EVERY_OTHER}

    def of_entry(self, name: str) -> Sequence[str]:
        """The destinations of an entry, at least all of those with mail; a destination's own name is that alone."""
        if name == EVERY_OTHER and is_by_mx(self._directory().entry(name)):
            return self.domains(name)
        return [name]

    def domains(self, name: str) -> Sequence[DomainName]:
        """The domains of a destination, or of `*`, at least all of those with mail."""
        if name != EVERY_OTHER:
            return (DomainName(name),)
        directory = self._directory()
        if not leaves_by_itself(entry_of(directory, name)):
            return domains_of_entry(directory, name, self._spool.domains())
        self._others = {domain for domain in self._others if self._spool.waiting(domain).items}
        return domains_of_entry(directory, name, self._others)

    def waiting(self, name: str) -> int:
        """How many items wait for a destination, or for `*`."""
        return sum(self._spool.waiting(domain).items for domain in self.domains(name))
