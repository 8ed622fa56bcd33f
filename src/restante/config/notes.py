"""What is in order and not in force, or is probably not meant so: a line for each, for people."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from restante.config.problems import shown_path, write_key
from restante.config.proofs import is_open_to_others
from restante.config.settings import Admin, Call, Dns, Listen, Settings, User
from restante.config.words import is_loopback
from restante.directory.entries import Delivered, Directory, Entry, Held, Rejected, Relayed
from restante.model import Caller
from restante.net.tls import TlsLevel

MOST_NOTES = 100
"""So many are told; a hundred thousand domains would have as many."""


def notes_of(settings: Settings, directory: Directory) -> tuple[str, ...]:
    """The notes on a file, and on the directory that was made of it and of the store."""
    notes = [f"{write_key(path)}: {note}" for path, note in _all(settings, directory)]
    left = len(notes) - MOST_NOTES
    return (*notes[:MOST_NOTES], *([f"and {left} more such notes"] if left > 0 else []))


_Note = tuple[tuple[str | int, ...], str]


def _all(settings: Settings, directory: Directory) -> Iterator[_Note]:
    for number, listen in enumerate(settings.listen):
        for key, note in _of_listener(listen, settings, directory):
            yield ("listen", number, key), note
    is_unproven = _is_unproven(settings.dns)
    for entry in directory.entries():
        if is_unproven and isinstance(entry, (Held, Relayed)) and entry.tls == TlsLevel.DANE:
            note = "nothing will be sent: the word of dns.servers on DNSSEC does not count"
            yield ("domains", entry.name, "tls"), note
        if isinstance(entry, Held) and isinstance(entry.next_hop, Caller):
            for key, note in _of_callers(entry):
                yield ("domains", entry.name, key), note
    for name, user in settings.users.items():
        for key, note in _of_user(user, directory):
            yield ("users", name, key), note
    for name, call in settings.calls.items():
        for key, note in _of_call(call, directory):
            yield ("calls", name, key), note
    if (mail := settings.alarms.mail) is not None and not _is_sent(directory.entry_for(mail.domain)):
        yield ("alarms", "mail"), f"nothing will be written there: no mail is sent to {mail.domain} from here"
    if settings.admin is not None:
        for key, note in _of_admin(settings.admin, directory):
            yield ("admin", key), note


def _is_sent(entry: Entry | None) -> bool:
    return entry is not None and not isinstance(entry, Rejected)


def _is_unproven(dns: Dns) -> bool:
    """Whether no answer counts as proven, as far as the settings tell; see Dns.validates."""
    if dns.validates is not None:
        return not dns.validates
    return any(not ipaddress.ip_address(server.host).is_loopback for server in dns.servers)


def _of_listener(listen: Listen, settings: Settings, directory: Directory) -> Iterator[tuple[str, str]]:
    if not listen.takes_logins:
        return
    if not directory.users:
        yield "service", f"nobody can log in at {listen.service}: there are no users"
    address = listen.address.address
    is_near = address is not None and ipaddress.ip_address(address).is_loopback
    has_secrets = listen.service == "odmr" and any(user.secret for user in directory.users.values())
    if listen.tls == "off" and not (listen.auth_in_clear or is_near or has_secrets):
        yield "tls", "nobody can log in: logins are not taken in clear, unless auth_in_clear is set"
    if listen.tls != "off" and listen.service == "submission" and settings.tls.certificate is None:
        yield "tls", "users are shown a self-signed certificate: tls.certificate is not set"


def _of_callers(entry: Held) -> Iterator[tuple[str, str]]:
    if not entry.owners and not any(grant.needs_proof for grant in entry.grants):
        yield "next_hop", "nobody can prove to be the caller: no user and no certificate may release it"
    for grant in entry.grants:
        if not grant.needs_proof:
            yield "release_from", f"{grant} has no effect: to the caller goes mail for a login or a certificate only"


def _of_user(user: User, directory: Directory) -> Iterator[tuple[str, str]]:
    for domain in user.domains:
        if not isinstance(directory.entry(domain), Held | Delivered):
            yield "domains", f"{domain} is neither held nor delivered here"
    if user.secret_file is not None and is_open_to_others(user.secret_file.path):
        yield "secret_file", f"others may read {shown_path(user.secret_file.path)}"


def _of_admin(admin: Admin, directory: Directory) -> Iterator[tuple[str, str]]:
    users = [user for user in directory.users.values() if user.password or user.tokens]
    if not users:
        yield "address", "nobody can log in there: no user has a password or a token"
        return
    if not any(user.admin for user in users):
        yield "address", "nobody sees all there: no administrator has a password or a token"
    if not (admin.has_tls or is_loopback(admin.address.host)):
        yield "tls", "nobody can log in there but from this host: passwords and tokens are taken over TLS alone"


def _of_call(call: Call, directory: Directory) -> Iterator[tuple[str, str]]:
    for domain in call.domains:
        if not isinstance(directory.entry_for(domain), Delivered):
            yield "domains", f"{domain} has no mailboxes here: what the office sends for it is not delivered here"
    for key, path in (("password_file", call.password_file), ("key", call.key)):
        if path is not None and is_open_to_others(path):
            yield key, f"others may read {shown_path(path)}"
