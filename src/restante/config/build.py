"""From settings to what the other rooms are built of: a directory's entries and users, and the calls' plans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from msgspec import structs

from restante.calls.login import Login
from restante.calls.plan import CallPlan
from restante.calls.telling import OfficeApi
from restante.calls.window import Schedule
from restante.calls.zone import local_zone
from restante.config import checks
from restante.config.problems import Problem
from restante.config.settings import Call, Deliver, Domain, Hold, Reject, Relay, Settings
from restante.config.settings import User as UserSettings
from restante.directory.entries import (
    EVERY_OTHER,
    NO_QUOTA,
    Delivered,
    Directory,
    Entry,
    Held,
    OwnLogin,
    Quota,
    Recipients,
    Rejected,
    Relayed,
    Retention,
    asks_who_exists,
)
from restante.directory.users import Token, User
from restante.model import parse_lmtp
from restante.net.tls import Pair, TlsPolicy


@dataclass(frozen=True, slots=True)
class Kept:
    """What the store has beside the file, and what it could not be read of it (config/kept.py)."""

    entries: Mapping[str, Entry] = field(default_factory=lambda: MappingProxyType({}))
    users: Mapping[str, User] = field(default_factory=lambda: MappingProxyType({}))
    problems: tuple[Problem, ...] = ()
    recipients: Mapping[str, Recipients] = field(default_factory=lambda: MappingProxyType({}))
    """Lists of domains that name none themselves."""
    tokens: Mapping[str, tuple[Token, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Those of users, of the file too."""


NOTHING_KEPT = Kept()


def directory_of(settings: Settings, kept: Kept = NOTHING_KEPT) -> Directory:
    """What this host knows of domains and users, and who may relay; the file wins where both name one."""
    entries = {name: entry_of(name, domain) for name, domain in settings.domains.items()}
    users = {name: user_of(name, user) for name, user in settings.users.items()}
    entries = {**entries, **kept.entries, **entries}
    users |= {name: user for name, user in kept.users.items() if name not in users}
    users |= {name: replace(users[name], tokens=tokens) for name, tokens in kept.tokens.items() if name in users}
    for name, listed in kept.recipients.items():
        entry = entries.get(name)
        if asks_who_exists(entry) and entry.recipients is None:
            entries[name] = structs.replace(entry, recipients=listed)
    return Directory(settings.hostname, entries.values(), settings.relay.networks, users.values())


def user_of(name: str, user: UserSettings) -> User:
    """A login."""
    secret = user.secret_file.secret if user.secret_file is not None else user.secret
    return User(
        name,
        password=user.password,
        scram=user.scram,
        secret=secret.encode("ascii") if secret is not None else None,
        certificates=frozenset(user.certificates),
        domains=frozenset(user.domains),
        admin=user.admin,
    )


def entry_of(name: str, domain: Domain) -> Entry:
    """A directory's entry."""
    if isinstance(domain, Hold):
        return Held(
            name,
            domain.next_hop,
            grants=domain.release_from,
            group=domain.group,
            order=domain.order,
            counts=domain.counts,
            etrn_empty=domain.etrn_empty,
            recipients=domain.recipients,
            tls=domain.tls,
            tls_pin=domain.tls_pin,
            login=_login(domain),
            retention=Retention(
                domain.expire, domain.expire_contacts, contact=domain.contact, grace=domain.contact_grace
            ),
            quota=_quota(domain),
            largest=domain.largest,
            unknown_for=domain.unknown_for,
        )
    if isinstance(domain, Deliver):
        users = None if domain.users is None else frozenset(domain.users)
        return Delivered(
            name,
            users,
            dict(_users_of_aliases(domain)),
            _postmaster(domain),
            lmtp=None if domain.mailboxes == "maildir" else parse_lmtp(domain.mailboxes),
            quota=domain.quota,
            tag_folders=domain.tag_folders,
        )
    if isinstance(domain, Reject):
        return Rejected(name, domain.text)
    return Relayed(
        name,
        domain.next_hop,
        domain.tls,
        domain.tls_pin,
        login=_login(domain),
        retention=Retention(domain.expire, warn_after=domain.warn_after),
        retry=domain.retry,
        connections=domain.connections,
        rate=domain.rate,
        from_anyone=domain.from_anyone,
        recipients=domain.recipients,
        unknown_for=domain.unknown_for,
    )


def _quota(domain: Hold) -> Quota:
    """NO_QUOTA itself where there is none: who takes mail in looks for it."""
    return Quota(domain.quota, domain.quota_items) if domain.quota or domain.quota_items else NO_QUOTA


def _login(domain: Hold | Relay) -> OwnLogin | None:
    if domain.user is None or domain.password_file is None:
        return None
    return OwnLogin(domain.user, domain.password_file)


def _users_of_aliases(domain: Deliver) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each alias with the users at its ends, so that nobody who delivers has to follow it."""
    users: dict[str, tuple[str, ...]] = {}
    for name in checks.ends_first(domain.aliases):
        if name in domain.aliases:
            users[name] = tuple(dict.fromkeys(u for t in domain.aliases[name] for u in users.get(t, (t,))))
    return ((alias, users[alias]) for alias in domain.aliases)


def _postmaster(domain: Deliver) -> str:
    """The user who reads postmaster's mail (RFC 5321 §4.5.1)."""
    if domain.postmaster is not None:
        return domain.postmaster
    users = domain.users
    if users is None or checks.POSTMASTER in users or checks.POSTMASTER in domain.aliases:
        return checks.POSTMASTER
    return users[0]


def plans_of(settings: Settings, directory: Directory) -> tuple[CallPlan, ...]:
    """The calls that this host makes; schedules are read in the machine's time zone."""
    return tuple(_plan(name, call, directory) for name, call in settings.calls.items())


def _plan(name: str, call: Call, directory: Directory) -> CallPlan:
    held = (entry.name for entry in directory.entries() if isinstance(entry, Held))
    flush = tuple(held) if EVERY_OTHER in call.flush else call.flush
    own = Pair(call.certificate, call.key) if call.certificate is not None and call.key is not None else None
    return CallPlan(
        name,
        call.host,
        domains=call.domains,
        schedule=Schedule.parse(call.schedule, local_zone()),
        on_link_up="link-up" in call.on,
        window=call.window,
        idle=call.idle,
        before=call.before,
        after=call.after,
        hook_limit=call.hook_timeout,
        flush=flush,
        tls=TlsPolicy(call.tls, call.tls_pin),
        login=Login(call.user, call.password_file, own),
        turns=call.protocol == "atrn",
        api=None if call.recipients_to is None else OfficeApi(call.recipients_to, call.recipients_ca),
    )
