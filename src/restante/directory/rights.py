"""May this principal relay, send as, release, have its mail by ATRN? Pure, and by default: no (RFC 1985 §6, §8).

The operator, on the control socket, may all. For anybody else an ETRN's node is looked for among what that principal
was granted, and nowhere else: so a stranger learns nothing, not even by the time it takes, and is no work, however many
domains there are. Domains are compared as A-labels and users by their names in lower case, never by what somebody has
typed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from restante.directory.entries import EVERY_OTHER, Directory, Held
from restante.model import Caller, DomainName, HostPort, Mailbox, Principal
from restante.smtp.address import is_below
from restante.smtp.node import AddressNode, DomainNode, GroupNode, Node, SubtreeNode

UNNAMED = Mailbox("", DomainName(""))
"""The reverse-path of who has not named one: nobody's."""


def may_relay(directory: Directory, principal: Principal, reverse_path: Mailbox | None = UNNAMED) -> bool:
    """Whether it may send to any domain: who is in the networks of `[relay]`, and a login under its own name."""
    if principal.operator or any(principal.address in network for network in directory.relay_from):
        return True
    return may_send_as(directory, principal, reverse_path)


def may_send_as(directory: Directory, principal: Principal, reverse_path: Mailbox | None) -> bool:
    """Whether a login may use a reverse-path: one in its own domains, or `<>`.

    RFC 6409 §3.2: a null reverse-path must not be a reason to refuse, for mail programs need it, as in answers to
    requests for a disposition notification. Who has no login may send as nobody here.
    """
    if principal.operator:
        return True
    user = directory.users.get(principal.login) if principal.login is not None else None
    return user is not None and (reverse_path is None or reverse_path.domain in user.domains)


def may_release(entry: Held, principal: Principal) -> bool:
    """Whether it may have an entry's mail released.

    To `caller` goes mail only by a grant that names a login or a certificate, and not to any that somebody can show:
    whoever has the address next, or another site's login, would get the mail.
    """
    if principal.operator or may_release_by_proof(entry, principal):
        return True
    return not isinstance(entry.next_hop, Caller) and any(grant.covers(principal) for grant in entry.grants)


def may_release_by_proof(entry: Held, principal: Principal) -> bool:
    """Whether it may by what it has proved: as an owner, or by a grant for a login or a certificate."""
    if principal.login is not None and principal.login in entry.owners:
        return True
    return any(grant.needs_proof and grant.covers(principal) for grant in entry.grants)


def is_certified(directory: Directory, principal: Principal, entries: Sequence[Held]) -> bool:
    """Whether its certificate alone shows it to be who may have the mail of these entries."""
    user = directory.users.get(principal.login) if principal.login is not None else None
    if user is not None and user.is_shown_by(principal):
        return True
    return all(may_release_by_proof(entry, replace(principal, login=None)) for entry in entries)


def match_node(directory: Directory, node: Node, principal: Principal) -> tuple[Held, ...]:
    """The held entries that a node means and that this principal may release; empty means 459, whatever the reason."""
    return tuple(entry for entry in matching(directory, node, principal) if entry is not None)


def matching(directory: Directory, node: Node, principal: Principal) -> Iterator[Held | None]:
    """The same step by step, for who must pause: an entry, or None for one that was granted and is not meant."""
    if principal.operator:
        yield from _meant(directory, node)
        return
    found: set[str] = set()
    for given in directory.holdings(principal):
        for entry in _meant_of(given, node):
            if entry is None or entry.name in found or not may_release(entry, principal):
                yield None
            else:
                found.add(entry.name)
                yield entry


def _meant(directory: Directory, node: Node) -> tuple[Held, ...]:
    match node:
        case DomainNode(domain=domain):
            entry = directory.entry(domain)
            return (entry,) if isinstance(entry, Held) and entry.name != EVERY_OTHER else ()
        case SubtreeNode(domain=domain):
            return directory.below(domain)
        case GroupNode(group=group):
            return directory.in_group(group)
        case AddressNode(address=address):
            return directory.at_next_hop(address)


def _meant_of(given: Mapping[str, Held], node: Node) -> Iterator[Held | None]:
    """The same, of these alone; None for each that is not meant."""
    match node:
        case DomainNode(domain=domain):
            yield _named(given, domain)
        case SubtreeNode(domain=domain):
            for name, entry in given.items():
                yield entry if name != EVERY_OTHER and is_below(DomainName(name), domain) else None
        case GroupNode(group=group):
            for entry in given.values():
                yield entry if entry.group == group else None
        case AddressNode(address=address):
            host = str(address)  # as HostPort.parse() writes it
            for entry in given.values():
                yield entry if isinstance(entry.next_hop, HostPort) and entry.next_hop.host == host else None


def _named(given: Mapping[str, Held], domain: DomainName) -> Held | None:
    return given.get(domain) if domain != EVERY_OTHER else None


def may_turn(directory: Directory, principal: Principal, domains: Sequence[DomainName] = ()) -> tuple[Held, ...]:
    """The held entries whose mail goes over the connection that ATRN turns; empty means 450, whatever the reason.

    Without domains: all that it may release by proof, `*` included (RFC 2645 §5.2.1). With domains: these; where one
    is not, none, for nothing may be sent then. An address proves nothing here: the mail goes to who asked.
    """
    if not domains:
        return tuple(entry for entry in directory.granted_to(principal) if may_release_by_proof(entry, principal))
    holdings = directory.holdings(principal)
    named = {
        domain: entry
        for domain in domains
        for given in holdings
        if (entry := _named(given, domain)) is not None and may_release_by_proof(entry, principal)
    }
    return tuple(named.values()) if len(named) == len(set(domains)) else ()
