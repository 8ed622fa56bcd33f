"""What `from_anyone` opens: one domain, for plain names, and nothing else; by real sessions.

Each principal names the same recipients to an office without it, with it, and with a list besides; what is answered
differently is all that it has changed.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec import structs
from tests.net.authority import SERVER, Wish, self_made
from tests.rights.sessions import log_in, secret_of
from tests.server.office import NEXT_HOP, HeldBack, Office, Peer

from restante.directory.entries import Delivered, Entry, Grant, Held, Recipients, Rejected, Relayed
from restante.directory.users import User
from restante.model import ByMx, DomainName
from restante.net.tls import server_context
from restante.smtp.services import Service
from restante.store.sqlite import open_spool

STRANGER, SITE, RELAYING = "203.0.113.9", "192.0.2.25", "192.0.2.99"
CLOSED = Relayed("front.example", NEXT_HOP)
OPEN = structs.replace(CLOSED, from_anyone=True)
LISTED = structs.replace(OPEN, recipients=Recipients(frozenset({"anna@front.example"})))
OTHERS: tuple[Entry, ...] = (
    Held("held.example", NEXT_HOP, grants=(Grant.parse(SITE),)),
    Relayed("closed.example", NEXT_HOP),
    Delivered("local.example", frozenset({"anna"})),
    Rejected("old.example"),
    Relayed("*", ByMx(), from_anyone=True),  # no file can say so (checks.py)
)
DOMAINS = (
    *("front.example", "FRONT.example", "sub.front.example", "xfront.example", "front.example.far.example"),
    *("held.example", "closed.example", "local.example", "old.example", "far.example", "[192.0.2.25]"),
)
PLAIN = ("anna", "Anna", "anna+x", "nobody", "postmaster")
ROUTING = ("u%far.example", "far.example!u", '"u@far.example"', "u%far.example%front.example")
SENDERS = ("<ann@far.example>", "<anna@front.example>", "<>")
PRINCIPALS = {
    "a stranger": (STRANGER, None),
    "a site": (SITE, None),
    "one who may relay": (RELAYING, None),
    "a user": (STRANGER, "anna"),
}
OURS = {f"<{local}@{domain}>" for local in PLAIN for domain in DOMAINS[:2]}
"""What it opens."""


def may_relay(address: str, login: str | None, sender: str) -> bool:
    """As what it is; anna may under her own domain, which none of the senders has, and under `<>`."""
    return address == RELAYING or (login is not None and sender == "<>")


Told = dict[tuple[str, str], str]
"""The code of each reply, by sender and recipient."""


@asynccontextmanager
async def office_of(entry: Entry, folder: Path) -> AsyncIterator[Office]:
    """One of OTHERS and that entry."""
    spool = await open_spool(folder / "spool")
    office = Office(spool, HeldBack(spool))
    office.entries = (entry, *OTHERS)
    office.relay_from = (ipaddress.ip_network(RELAYING),)
    office.take_logins(User("anna", secret=secret_of("anna"), domains=frozenset({DomainName("local.example")})))
    pair = self_made(Wish(("office.example",), use=SERVER)).write(folder, "office")
    office.tls = server_context(pair.certificate, pair.key)
    office.passwords_in_clear = True
    try:
        yield office
    finally:
        await office.close()


async def arrived(office: Office, address: str, login: str | None) -> Peer:
    """Somebody who was greeted, and has logged in."""
    peer = await office.connect(address)
    peer.say("EHLO client.example\r\n")
    while not (await peer.hear(within=60))[0].startswith("250 "):
        pass
    if login is not None:
        assert (await log_in(peer, login, secret_of(login))).startswith("235")
    return peer


async def told(office: Office, address: str, login: str | None) -> Told:
    """What a principal is answered to every recipient, from every sender."""
    recipients = [f"<{local}@{domain}>" for local, domain in itertools.product(PLAIN + ROUTING, DOMAINS)]
    codes: Told = {}
    for sender in SENDERS:
        peer = await arrived(office, address, login)
        peer.say(f"MAIL FROM:{sender}\r\n" + "".join(f"RCPT TO:{recipient}\r\n" for recipient in recipients))
        first, *replies = await peer.hear(1 + len(recipients), within=60)
        assert first.startswith("250"), first
        codes |= {(sender, recipient): reply[:9] for recipient, reply in zip(recipients, replies, strict=True)}
        await peer.leave()
    return codes


@pytest.mark.parametrize("principal", PRINCIPALS)
async def test_it_opens_one_domain_for_plain_names(principal: str, tmp_path: Path) -> None:
    """To whoever may not relay; nothing changes for who may, nor for any other domain, nor for forms of routing."""
    address, login = PRINCIPALS[principal]
    async with office_of(CLOSED, tmp_path / "closed") as closed, office_of(OPEN, tmp_path / "open") as opened:
        before, after = await told(closed, address, login), await told(opened, address, login)
    changed = {key for key in before if before[key] != after[key]}
    barred = {(sender, to) for sender, to in before if not may_relay(address, login, sender)}
    assert changed == {(sender, to) for sender, to in barred if to in OURS}
    assert {before[key] for key in changed} <= {"550 5.7.1"}
    assert {after[key] for key in changed} <= {"250 2.1.5"}
    assert {after[sender, to] for sender, to in barred if to.endswith("@far.example>")} <= {"550 5.7.1"}


@pytest.mark.parametrize("principal", PRINCIPALS)
async def test_a_list_leaves_of_that_what_it_names(principal: str, tmp_path: Path) -> None:
    """And postmaster; nobody else is there for anybody, in whatever form."""
    address, login = PRINCIPALS[principal]
    async with office_of(OPEN, tmp_path / "open") as opened, office_of(LISTED, tmp_path / "listed") as listed:
        before, after = await told(opened, address, login), await told(listed, address, login)
    for (sender, recipient), code in after.items():
        if recipient.casefold().rstrip(">").endswith("@front.example"):
            is_there = recipient.casefold()[1:].startswith(("anna@", "anna+x@", "postmaster@"))
            assert code == ("250 2.1.5" if is_there else "550 5.1.1"), (sender, recipient)
        else:
            assert code == before[sender, recipient]


@pytest.mark.parametrize("service", [Service.SUBMISSION, Service.ODMR])
async def test_other_services_are_not_opened(service: Service, tmp_path: Path) -> None:
    """Who submits logs in, whatever the recipient; and who comes for his mail brings none."""
    async with office_of(OPEN, tmp_path / "open") as opened:
        opened.service = service
        peer = await arrived(opened, STRANGER, None)
        peer.say("MAIL FROM:<ann@far.example>\r\nRCPT TO:<anna@front.example>\r\n")
        assert [reply[0] for reply in await peer.hear(2, within=60)] == ["5", "5"]
