"""May this principal relay, send as, release, have its mail by ATRN? Pure, and by default: no (RFC 1985 §6, §8).

The operator, on the control socket, may all. What an ETRN's node means is cut down to what the principal was granted
before anything else is looked at, so that a stranger learns nothing, not even by the time it takes. Domains are
compared as A-labels and users by their names in lower case, never by what somebody has typed.
"""

from __future__ import annotations

from collections.abc import Sequence

from restante.directory.entries import EVERY_OTHER, Directory, Held
from restante.model import Caller, DomainName, Mailbox, Principal
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


def match_node(directory: Directory, node: Node, principal: Principal) -> tuple[Held, ...]:
    """The held entries that a node means and that this principal may release; empty means 459, whatever the reason."""
    return tuple(entry for entry in _meant(directory, node) if may_release(entry, principal))


def _meant(directory: Directory, node: Node) -> tuple[Held, ...]:
    match node:
        case DomainNode(domain=domain):
            return _named(directory, domain)
        case SubtreeNode(domain=domain):
            return directory.below(domain)
        case GroupNode(group=group):
            return directory.in_group(group)
        case AddressNode(address=address):
            return directory.at_next_hop(address)


def _named(directory: Directory, domain: DomainName) -> tuple[Held, ...]:
    entry = directory.entry(domain)
    return (entry,) if isinstance(entry, Held) and entry.name != EVERY_OTHER else ()


def may_turn(directory: Directory, principal: Principal, domains: Sequence[DomainName] = ()) -> tuple[Held, ...]:
    """The held entries whose mail goes over the connection that ATRN turns; empty means 450, whatever the reason.

    Without domains: all that it may release by proof, `*` included (RFC 2645 §5.2.1). With domains: these; where one
    is not, none, for nothing may be sent then. An address proves nothing here: the mail goes to who asked.
    """
    if not domains:
        return tuple(entry for entry in directory.granted_to(principal) if may_release_by_proof(entry, principal))
    found = [_named(directory, domain) for domain in dict.fromkeys(domains)]
    granted = tuple(entry for named in found for entry in named if may_release_by_proof(entry, principal))
    return granted if len(granted) == len(found) else ()
