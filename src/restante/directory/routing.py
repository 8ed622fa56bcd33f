"""What happens to one recipient: a destination, or why not. Pure; RFC 5321 §3.3, §3.6.

Held and local domains take mail from anybody; every other destination only from who may relay. A local part is
compared without case; `user+tag` is `user` (RFC 5233) where no user is called so. Percent signs, bangs and quoted
at-signs in a local part have no meaning here; but the next hop may give them one, and send the mail on for whoever
sent it, so from strangers they are taken only where the recipient is known.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from restante.directory.entries import EVERY_OTHER, Delivered, Directory, Entry, Held, Rejected, Relayed
from restante.directory.rights import UNNAMED, may_relay
from restante.model import DomainName, Mailbox, Principal


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a recipient's mail waits: under its own domain, to be treated as `entry` says."""

    entry: Held | Relayed | Delivered
    domain: DomainName
    mailbox: Mailbox


@dataclass(frozen=True, slots=True)
class UnknownUser:
    """The domain is ours or held here, and has no such recipient."""


@dataclass(frozen=True, slots=True)
class RelayDenied:
    """Not a domain of this host, and this principal may not relay."""


@dataclass(frozen=True, slots=True)
class DomainRejected:
    """The configuration refuses the domain."""

    text: str


Refusal = UnknownUser | RelayDenied | DomainRejected


def route(
    directory: Directory, mailbox: Mailbox, principal: Principal, reverse_path: Mailbox | None = UNNAMED
) -> Destination | Refusal:
    """What is done with mail for a mailbox that this principal sends under that reverse-path.

    Without a reverse-path a login is of no use to it (rights.may_relay).
    """
    if not mailbox.domain:
        mailbox = _ours(directory, mailbox)
    entry = directory.entry_for(mailbox.domain) if mailbox.domain else None
    if isinstance(entry, Rejected):
        return DomainRejected(entry.text)
    if entry is None:
        return RelayDenied()
    is_elsewhere = isinstance(entry, Relayed) or entry.name == EVERY_OTHER
    if is_elsewhere and not may_relay(directory, principal, reverse_path):
        return RelayDenied()
    if not _is_known(entry, mailbox):
        return UnknownUser()
    if _routes_itself(mailbox) and not _is_listed(entry) and not may_relay(directory, principal, reverse_path):
        return RelayDenied()
    return Destination(entry, mailbox.domain, mailbox)


def _ours(directory: Directory, mailbox: Mailbox) -> Mailbox:
    """Bare <postmaster> is the postmaster of our first local domain (RFC 5321 §4.5.1)."""
    ours = (entry for entry in directory.entries() if isinstance(entry, Delivered) and entry.name != EVERY_OTHER)
    local = next(ours, None)
    return Mailbox("postmaster", DomainName(local.name)) if local is not None else mailbox


def _is_known(entry: Held | Relayed | Delivered, mailbox: Mailbox) -> bool:
    match entry:
        case Held(recipients=None) | Relayed():
            return True
        case Held(recipients=known):
            return known is not None and (known.has(mailbox) or mailbox.key == "postmaster")
        case Delivered():
            return bool(_users(entry, mailbox))


def users_for(directory: Directory, mailbox: Mailbox) -> tuple[str, ...]:
    """The users whose mailboxes a local mailbox means, aliases followed; empty where it is unknown."""
    entry = directory.entry_for(mailbox.domain)
    return _users(entry, mailbox) if isinstance(entry, Delivered) else ()


def _routes_itself(mailbox: Mailbox) -> bool:
    """Whether the local part names a further destination to a host that honours such forms (RFC 5321 App. F.2)."""
    return any(mark in mailbox.local for mark in "%!@")


def _is_listed(entry: Held | Relayed | Delivered) -> bool:
    """Whether the recipients of an entry are known one by one."""
    return isinstance(entry, Delivered) or (isinstance(entry, Held) and entry.recipients is not None)


def _users(entry: Delivered, mailbox: Mailbox) -> tuple[str, ...]:
    for name in (mailbox.key, mailbox.key.partition("+")[0]):
        if name in entry.aliases:
            return tuple(dict.fromkeys(user for target in entry.aliases[name] for user in _follow(entry, target)))
        if entry.users is not None and name in entry.users:
            return (name,)
    if mailbox.key == "postmaster":
        return (entry.postmaster,)
    user = mailbox.key.partition("+")[0] or mailbox.key
    return (user,) if entry.users is None and user else ()


def _follow(entry: Delivered, target: str) -> tuple[str, ...]:
    """An alias's target: a user, or another alias; loops are refused when the configuration is read."""
    if target in entry.aliases:
        return tuple(user for further in entry.aliases[target] for user in _follow(entry, further))
    return (target,)


def domains_of_entry(directory: Directory, name: str, with_mail: Collection[DomainName]) -> list[DomainName]:
    """Which of the domains with mail belong to an entry; for `*` all that have no entry of their own."""
    if name != EVERY_OTHER:
        return [DomainName(name)] if name in with_mail else []
    return [domain for domain in with_mail if directory.entry(domain) is None]


def entry_name(directory: Directory, domain: DomainName) -> str | None:
    """The name of the entry that decides about a domain."""
    entry: Entry | None = directory.entry_for(domain)
    return entry.name if entry is not None else None
