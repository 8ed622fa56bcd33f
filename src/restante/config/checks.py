"""What keys must be true of each other: pure, and asked only about values that are each sound by itself.

Settings that were read in part are checked too, so that an operator sees all problems at once; `is_sound` tells of a
key, or of a table, whether all that the file has there was read. What rests on something that was not, is not judged.
Users and domains may also be kept in the store (config/kept.py): `Elsewhere` has their names.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Protocol
from urllib.parse import urlsplit

from restante.config.problems import NOTHING, shown
from restante.config.settings import Call, Deliver, Domain, Hold, Listen, Relay, Settings, User
from restante.config.words import NO_PORT, is_loopback
from restante.directory.entries import EVERY_OTHER, is_fingerprint
from restante.model import ByMx, HostPort
from restante.net.tls import TlsLevel

POSTMASTER = "postmaster"
SMTP_PORT = 25
MOST_NAMED = 20

IsSound = Callable[..., bool]
"""Whether all was well at a path of keys and below it."""


class Elsewhere(Protocol):
    """What is kept outside of the file: names, in lower case."""

    @property
    def users(self) -> frozenset[str]:
        """Of users."""
        ...

    @property
    def domains(self) -> frozenset[str]:
        """Of domains, `*` among them."""
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """A key that does not go with others."""

    path: tuple[str | int, ...]
    found: str
    allowed: str


def findings(settings: Settings, is_sound: IsSound, elsewhere: Elsewhere) -> Iterator[Finding]:
    """All that does not go together."""
    yield from _listeners(settings, is_sound)
    yield from _pair(("tls",), settings.tls, is_sound)
    yield from of_rows(settings.domains, settings.users, settings, is_sound, elsewhere)
    for name, call in settings.calls.items():
        yield from _call(settings, name, call, is_sound, elsewhere)


def of_rows(
    domains: Mapping[str, Domain],
    users: Mapping[str, User],
    settings: Settings,
    is_sound: IsSound,
    elsewhere: Elsewhere,
) -> Iterator[Finding]:
    """What does not go together in domains and users, which may be the settings' own or others."""
    for name, domain in domains.items():
        yield from of_domain(name, domain, is_sound)
        if isinstance(domain, Hold):
            yield from _grants(settings, name, domain, is_sound, elsewhere)
    for name, user in users.items():
        yield from of_user(name, user, is_sound)
        yield from _names_in_certificates(settings, ("users", name, "certificates"), user.certificates, is_sound)
    yield from _certificates_of_several(users)


def _listeners(settings: Settings, is_sound: IsSound) -> Iterator[Finding]:
    if not settings.listen and is_sound("listen"):
        yield Finding(("listen",), NOTHING, "one [[listen]] table at least")
    written = (number for number in itertools.count() if is_sound("listen", number, "address"))
    taken: set[HostPort] = set()
    for listen, number in zip(settings.listen, written, strict=False):
        if listen.address in taken:
            yield Finding(("listen", number, "address"), f"{str(listen.address)!r} again", "each address once")
        taken.add(listen.address)
        if listen.service == "lmtp" and listen.address.port in (NO_PORT, SMTP_PORT):
            allowed = "a port other than 25: LMTP has none of its own (RFC 2033 §5)"
            yield Finding(("listen", number, "address"), shown(_written(listen.address)), allowed)
        yield from _tls_of_listener(listen, number, is_sound)


def _written(address: HostPort) -> str:
    """An address as the file has it, where it may have no port."""
    return str(address).removesuffix(f":{NO_PORT}")


def _tls_of_listener(listen: Listen, number: int, is_sound: IsSound) -> Iterator[Finding]:
    if listen.require_tls and listen.tls == "off" and is_sound("listen", number):
        yield Finding(("listen", number, "require_tls"), "true", 'false, because tls is "off" there')


def _pair(here: tuple[str, ...], holder: object, is_sound: IsSound) -> Iterator[Finding]:
    """A certificate and its key: both or none."""
    for key, other in (("certificate", "key"), ("key", "certificate")):
        if getattr(holder, key) is None and getattr(holder, other) is not None and is_sound(*here, key):
            because = ".".join((*here, other))
            yield Finding((*here, key), NOTHING, f"a path, because {because} is set (both or none)")


def of_domain(name: str, domain: Domain, is_sound: IsSound) -> Iterator[Finding]:
    """What does not go together within one domain's table."""
    if isinstance(domain, Deliver):
        yield from _mailboxes(name, domain, is_sound)
    elif isinstance(domain, Hold) or domain.action == "relay":
        here = ("domains", name)
        yield from _pinned(here, domain.tls, domain.tls_pin, is_sound)
        yield from _next_hop(here, domain, is_sound)
        if isinstance(domain, Relay) and domain.from_anyone and name == EVERY_OTHER:
            allowed = "false, because all other domains for anybody would be an open relay"
            yield Finding((*here, "from_anyone"), "true", allowed)


def _next_hop(here: tuple[str, ...], domain: Hold | Relay, is_sound: IsSound) -> Iterator[Finding]:
    """A login is for a host that is named, and DANE for one that is looked up."""
    if not all(is_sound(*here, key) for key in ("next_hop", "user", "password_file", "tls")):
        return
    is_named = isinstance(domain.next_hop, HostPort)
    if domain.user is not None and not is_named:
        yield Finding((*here, "user"), shown(domain.user), f'nothing, because next_hop is "{domain.next_hop}"')
    if (domain.user is None) != (domain.password_file is None):
        key, other = ("user", "password_file") if domain.user is None else ("password_file", "user")
        yield Finding((*here, key), NOTHING, f"a value, because {other} is set (both or none)")
    if domain.tls == TlsLevel.DANE and not isinstance(domain.next_hop, ByMx):
        yield Finding((*here, "tls"), "'dane'", f'"verify", because next_hop is "{domain.next_hop}" and not "mx"')


def _pinned(here: tuple[str, ...], tls: str, pins: tuple[str, ...], is_sound: IsSound) -> Iterator[Finding]:
    """A key that must be shown is no use where there need be no TLS."""
    if pins and tls not in (TlsLevel.REQUIRED, TlsLevel.VERIFY) and is_sound(*here, "tls"):
        yield Finding((*here, "tls"), shown(str(tls)), '"required" or "verify", because tls_pin is set')


def _grants(settings: Settings, name: str, domain: Hold, is_sound: IsSound, elsewhere: Elsewhere) -> Iterator[Finding]:
    here = ("domains", name, "release_from")
    for grant in domain.release_from:
        login = grant.login
        if login is None or login in settings.users or not is_sound("users", login) or login in elsewhere.users:
            continue
        yield Finding(here, shown(str(grant)), "users of [users], or of the store (restante user list)")
    certificates = (grant.certificate for grant in domain.release_from)
    yield from _names_in_certificates(settings, here, filter(None, certificates), is_sound)


def _names_in_certificates(
    settings: Settings, here: tuple[str, ...], certificates: Iterable[str], is_sound: IsSound
) -> Iterator[Finding]:
    if settings.tls.client_ca is not None or not is_sound("tls", "client_ca"):
        return
    for certificate in certificates:
        if not is_fingerprint(certificate):
            yield Finding(here, shown(certificate), "fingerprints, or set tls.client_ca: who vouches for the name?")


def of_user(name: str, user: User, is_sound: IsSound) -> Iterator[Finding]:
    """What does not go together within one user's table."""
    here = ("users", name)
    if not is_sound(*here):
        return
    if not (user.password or user.scram or user.secret or user.secret_file or user.certificates):
        yield Finding((*here, "password"), NOTHING, "one of password, scram, secret, secret_file, certificates")
    if user.secret is not None and user.secret_file is not None:
        yield Finding((*here, "secret"), "a value that is not shown", "nothing, because secret_file is set")


def _certificates_of_several(users: Mapping[str, User]) -> Iterator[Finding]:
    first: dict[str, str] = {}
    for name, user in users.items():
        for certificate in user.certificates:
            if (other := first.setdefault(certificate, name)) != name:
                yield taken_certificate(name, certificate, other)


def taken_certificate(name: str, certificate: str, other: str) -> Finding:
    """A certificate of one user that another has."""
    path = ("users", name, "certificates")
    return Finding(path, f"{shown(certificate)}, which users.{other} has", "certificates of no other user")


def _mailboxes(name: str, domain: Deliver, is_sound: IsSound) -> Iterator[Finding]:
    here = ("domains", name)
    if name == EVERY_OTHER:
        yield Finding(
            (*here, "action"), "'deliver'", '"hold", "relay" or "reject", for all domains have no one\'s users'
        )
    yield from _of_maildirs(here, domain, is_sound)
    if not (is_sound(*here, "users") and is_sound(*here, "aliases")):
        return
    users = domain.users
    if users is None and EVERY_OTHER in domain.aliases:
        yield Finding((*here, "aliases", EVERY_OTHER), "a list", 'nothing, because users is "*": every name is a user')
    for alias, targets in domain.aliases.items():
        for target in targets:
            if users is not None and target not in users and target not in domain.aliases:
                yield Finding((*here, "aliases", alias), shown(target), "users or aliases of this domain")
    if (loop := alias_loop(domain.aliases)) is not None:
        yield Finding((*here, "aliases"), f"a loop: {' → '.join(loop)}", "aliases that lead to users")
    yield from _postmaster(here, domain)


def _of_maildirs(here: tuple[str, ...], domain: Deliver, is_sound: IsSound) -> Iterator[Finding]:
    """What another mail store decides for itself."""
    if domain.mailboxes == "maildir" or not is_sound(*here, "mailboxes"):
        return
    because = f'because mailboxes is "{domain.mailboxes}"'
    if domain.quota is not None and is_sound(*here, "quota"):
        yield Finding((*here, "quota"), "a size", f"nothing, {because}")
    if domain.tag_folders and is_sound(*here, "tag_folders"):
        yield Finding((*here, "tag_folders"), "true", f"false, {because}")


def _postmaster(here: tuple[str, ...], domain: Deliver) -> Iterator[Finding]:
    name, users = domain.postmaster, domain.users
    if name is None:
        return
    if name != POSTMASTER and (POSTMASTER in domain.aliases or POSTMASTER in (users or ())):
        kind = "an alias" if POSTMASTER in domain.aliases else "a user"
        yield Finding((*here, "postmaster"), shown(name), f'nothing, because "postmaster" is {kind} here')
    elif name in domain.aliases or (users is not None and name not in users):
        yield Finding((*here, "postmaster"), shown(name), "a user of this domain")


def alias_loop(aliases: Mapping[str, tuple[str, ...]]) -> list[str] | None:
    """Aliases that lead back to the first of them, which stands at both ends; None where there are none."""
    try:
        TopologicalSorter(aliases).prepare()
    except CycleError as error:
        loop: list[str] = error.args[1]
        return loop[::-1]  # graphlib follows from what is needed to what needs it
    return None


def ends_first(aliases: Mapping[str, tuple[str, ...]]) -> Iterable[str]:
    """Aliases and users, each after all that it leads to; there must be no loop."""
    return TopologicalSorter(aliases).static_order()


def _call(settings: Settings, name: str, call: Call, is_sound: IsSound, elsewhere: Elsewhere) -> Iterator[Finding]:
    here = ("calls", name)
    yield from _flush(settings, here, call, is_sound, elsewhere)
    yield from _pair(here, call, is_sound)
    yield from _pinned(here, call.tls, call.tls_pin, is_sound)
    yield from _login(here, call, is_sound)
    yield from _telling(here, call, is_sound)
    if call.protocol == "atrn":
        yield from _turned(settings, here, call, is_sound, elsewhere)
    elif not (call.domains or call.flush) and is_sound(*here, "domains") and is_sound(*here, "flush"):
        yield Finding((*here, "domains"), NOTHING, "a list of domains, here or in flush")


def _flush(
    settings: Settings, here: tuple[str, ...], call: Call, is_sound: IsSound, elsewhere: Elsewhere
) -> Iterator[Finding]:
    held = settings.held
    allowed = ", ".join(f'"{entry}"' for entry in [*held, EVERY_OTHER])
    allowed = allowed if len(held) < MOST_NAMED else 'a held domain, or "*"'
    for number, entry in enumerate(call.flush):
        is_known = entry in settings.domains
        if entry == EVERY_OTHER or entry in held or not (is_known or is_sound("domains", entry)):
            continue
        if not is_known and entry in elsewhere.domains:
            continue
        remark = "not a held domain" if is_known else "not in [domains]"
        path: tuple[str | int, ...] = (*here, "flush", number) if is_sound(*here, "flush") else (*here, "flush")
        yield Finding(path, f"{shown(entry)} ({remark})", allowed)


def _login(here: tuple[str, ...], call: Call, is_sound: IsSound) -> Iterator[Finding]:
    if not (is_sound(*here, "user") and is_sound(*here, "password_file") and is_sound(*here, "certificate")):
        return
    if call.password_file is not None and call.user is None:
        yield Finding((*here, "user"), NOTHING, "a name, because password_file is set")
    if call.user is not None and call.password_file is None and call.certificate is None:
        yield Finding((*here, "password_file"), NOTHING, "a path, or set certificate and key, because user is set")
    if call.protocol == "atrn" and call.user is None and call.certificate is None and call.password_file is None:
        yield Finding((*here, "user"), NOTHING, "a name, or set certificate and key, because ATRN takes a login")


def _telling(here: tuple[str, ...], call: Call, is_sound: IsSound) -> Iterator[Finding]:
    """The office's API takes a password, and shows a certificate."""
    url = call.recipients_to
    if not all(is_sound(*here, key) for key in ("recipients_to", "recipients_ca", "user", "password_file")):
        return
    if url is None:
        if call.recipients_ca is not None:
            yield Finding((*here, "recipients_to"), NOTHING, "a URL, because recipients_ca is set")
        return
    for key in ("user", "password_file"):
        if getattr(call, key) is None and (key != "user" or call.password_file is None):
            yield Finding((*here, key), NOTHING, "a value, because recipients_to is set")
    parts = urlsplit(url)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        yield Finding((*here, "recipients_to"), shown(url), "an https URL: a password is shown there")


def _turned(
    settings: Settings, here: tuple[str, ...], call: Call, is_sound: IsSound, elsewhere: Elsewhere
) -> Iterator[Finding]:
    """What comes over a connection that was turned is delivered here, or refused."""
    ours = {name for name, domain in settings.domains.items() if isinstance(domain, Deliver)}
    for domain in call.domains:
        is_known = domain in settings.domains
        if domain in ours or not (is_known or is_sound("domains", domain)):
            continue
        if is_known or domain not in elsewhere.domains:
            found = f"{shown(domain)} (has no mailboxes here)"
            yield Finding((*here, "domains"), found, 'with "atrn": domains whose action is "deliver"')
    if not (call.domains or ours or elsewhere.domains) and is_sound(*here, "domains") and is_sound("domains"):
        yield Finding((*here, "domains"), NOTHING, 'with "atrn": a domain whose action is "deliver"')
