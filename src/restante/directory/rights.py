"""May this principal relay, or release? Pure, and by default: no (RFC 1985 §6, §8).

The operator, on the control socket, may all. What an ETRN's node means is cut down to what the principal was granted
before anything else is looked at, so that a stranger learns nothing, not even by the time it takes.
"""

from __future__ import annotations

from restante.directory.entries import EVERY_OTHER, Directory, Held
from restante.model import Caller, Principal
from restante.smtp.node import AddressNode, DomainNode, GroupNode, Node, SubtreeNode


def may_relay(directory: Directory, principal: Principal) -> bool:
    """Whether it may send to any domain."""
    return principal.operator or any(principal.address in network for network in directory.relay_from)


def may_release(entry: Held, principal: Principal) -> bool:
    """Whether it may have an entry's mail released.

    To `caller` goes mail only by a grant that names a login or a certificate, and not to any that somebody can show:
    whoever has the address next, or another site's login, would get the mail.
    """
    if principal.operator:
        return True
    needs_proof = isinstance(entry.next_hop, Caller)
    return any(grant.covers(principal) for grant in entry.grants if grant.network is None or not needs_proof)


def match_node(directory: Directory, node: Node, principal: Principal) -> tuple[Held, ...]:
    """The held entries that a node means and that this principal may release; empty means 459, whatever the reason."""
    return tuple(entry for entry in _meant(directory, node) if may_release(entry, principal))


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
