"""What happens to one recipient: a destination, or why not. Pure; RFC 5321 §3.3, §3.6.

Held and local domains take mail from anybody, and so do relayed ones that say so; every other destination only from
who may relay. A local part is compared without case; `user+detail` is `user` (RFC 5233) where no user is called so; the
alias `*` is for whoever is unknown, and never for postmaster (RFC 5321 §4.5.1). Percent signs, bangs and quoted
at-signs in a local part have no meaning here; but the next hop may give them one, and send the mail on for whoever sent
it, so from strangers they are taken only where the recipient is known.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from restante.directory.entries import EVERY_OTHER, Delivered, Directory, Entry, Held, Rejected, Relayed
from restante.directory.rights import UNNAMED, may_relay
from restante.model import DomainName, Mailbox, Principal


class Destination(msgspec.Struct, frozen=True, gc=False):
    """Where a recipient's mail waits: under its own domain, to be treated as `entry` says."""

    entry: Held | Relayed | Delivered
    domain: DomainName
    mailbox: Mailbox


@dataclass(frozen=True, slots=True)
class Reader:
    """A user who reads what comes for a mailbox; `detail` is what stands behind the plus of the user's own address."""

    user: str
    detail: str = ""

    def mailbox(self, domain: DomainName) -> Mailbox:
        """How a mail store knows it."""
        return Mailbox(f"{self.user}+{self.detail}" if self.detail else self.user, domain)


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
    if not _is_open(entry) and not may_relay(directory, principal, reverse_path):
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


def _is_open(entry: Held | Relayed | Delivered) -> bool:
    """Whether anybody may send there."""
    return entry.name != EVERY_OTHER and (not isinstance(entry, Relayed) or entry.from_anyone)


def _is_known(entry: Held | Relayed | Delivered, mailbox: Mailbox) -> bool:
    match entry:
        case Held(recipients=None) | Relayed(recipients=None):
            return True
        case Held(recipients=known) | Relayed(recipients=known):
            return known is not None and (known.has(mailbox) or mailbox.key == "postmaster")
        case Delivered():
            return bool(_readers(entry, mailbox))


def readers_for(directory: Directory, mailbox: Mailbox) -> tuple[Reader, ...]:
    """Who reads what is sent to a local mailbox, aliases followed; empty where it is unknown."""
    entry = directory.entry_for(mailbox.domain)
    return _readers(entry, mailbox) if isinstance(entry, Delivered) else ()


def _routes_itself(mailbox: Mailbox) -> bool:
    """Whether the local part names a further destination to a host that honours such forms (RFC 5321 App. F.2)."""
    local = mailbox.local
    return "%" in local or "!" in local or "@" in local


def _is_listed(entry: Held | Relayed | Delivered) -> bool:
    """Whether the recipients of an entry are known one by one."""
    if isinstance(entry, Delivered):
        return entry.users is not None or entry.lmtp is None
    return entry.recipients is not None


def _readers(entry: Delivered, mailbox: Mailbox) -> tuple[Reader, ...]:
    whole, base = mailbox.key, mailbox.key.partition("+")[0]
    for name in (whole, base):
        if name in entry.aliases:
            return _of_alias(entry, name)
        if entry.users is not None and name in entry.users:
            return (Reader(name, _detail(mailbox) if name != whole else ""),)
        if name == "postmaster":
            return (Reader(entry.postmaster),)
    if entry.users is None and whole:
        return (Reader(base, _detail(mailbox)) if base else Reader(whole),)
    return _of_alias(entry, EVERY_OTHER) if EVERY_OTHER in entry.aliases else ()


def _detail(mailbox: Mailbox) -> str:
    return mailbox.local.partition("+")[2]


def _of_alias(entry: Delivered, name: str) -> tuple[Reader, ...]:
    users = (user for target in entry.aliases[name] for user in _follow(entry, target))
    return tuple([Reader(user) for user in dict.fromkeys(users)])


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
