"""Nobody's open relay: the forms of an address that once sent mail on, and nmap, which tries sixteen of them.

From a stranger's address, and from that of a site which may release its mail and no more. Percent signs, bangs, quoted
at-signs and routes have no meaning here (RFC 5321 §3.6.1 lets them have one only where a host has chosen to).
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from tests.hostile.attack import codes, connect, converse, replies, say
from tests.hostile.office import RELAYING, SITE, AttackedOffice, started
from tests.stories.peers import nmap

U, T, US, IP = "user", "elsewhere.example", "office.example", "127.0.0.1"
FORMS = [
    f"<{U}@{T}>",
    f"<{U}%{T}@{US}>",
    f"<{U}%{T}@[{IP}]>",
    f"<{U}%{T}>",
    f'<"{U}@{T}">',
    f'<"{U}%{T}">',
    f'<"{U}@{T}"@{US}>',
    f'<"{U}@{T}"@[{IP}]>',
    f"<{U}@{T}@{US}>",
    f"<{U}@{T}@[{IP}]>",
    f"<@{US}:{U}@{T}>",
    f"<@[{IP}]:{U}@{T}>",
    f"<@{US},@x.example:{U}@{T}>",
    f"<{T}!{U}>",
    f"<{T}!{U}@{US}>",
    f"<{T}!{U}@[{IP}]>",
    f"<{U}@[192.0.2.99]>",
    f"<{U}@[IPv6:2001:db8::99]>",
    f"<{U}@{US}.>",
    f"<{U}@{US}%00{T}>",
    f"<{U}@{T}({US})>",
    f"{U}@{T}",
    f"<{U}\uff20{T}>",
    f"<=?utf-8?q?{U}=40{T}?=@{US}>",
    f"<{U}@{US}:25>",
    f"<{U}@{T.upper()}>",
    f"<{U}%{T}%{T}@{US}>",
    f"<{U}@{US} > <{U}@{T}>",
    f"< {U}@{T} >",
    f"<{U}@local.example%{T}>",
    f'<"{U}\\@{T}"@local.example>',
    f"<{U}%{T}@local.example>",
    f"<{T}!{U}@local.example>",
    f'<"{U}@{T}"@listed.example>',
    f"<{U}%{T}@listed.example>",
    f"<{T}!{U}@listed.example>",
    f"<{U}%{T}@front.example>",
    f"<{T}!{U}@front.example>",
    f'<"{U}@{T}"@front.example>',
    f"<{U}@sub.front.example>",
    f"<anna@local.example@{T}>",
    f"<anna@listed.example.{T}>",
]
SENDERS = [
    *("<ann@third.example>", "<>", "<user@localhost>", "<user>", "<user@office.example>", "<user@held.example>"),
    *(f"<user@[{IP}]>", "<@third.example:ann@third.example>", "<ann@third.example> SMTPUTF8"),
]


def tried(office: AttackedOffice, source: str, sender: str, form: str) -> list[str]:
    """What is said to RCPT, and to the content of a message for whom it may have taken."""
    session = f"EHLO client.example\r\nMAIL FROM:{sender}\r\nRCPT TO:{form}\r\nDATA\r\n".encode()
    said = replies(say(office.port, session, b"QUIT\r\n", source=source))
    return said[3:4]


@pytest.mark.parametrize("source", [SITE, "127.50.50.50"], ids=["a site", "a stranger"])
def test_no_form_of_an_address_is_relayed(source: str, office: AttackedOffice) -> None:
    """42 forms from 9 senders: each RCPT is refused."""
    assert len(FORMS) >= 24
    assert len(SENDERS) >= 7
    accepted = []
    for sender, form in itertools.product(SENDERS, FORMS):
        [said] = tried(office, source, sender, form)
        if said[0] != "5":
            accepted.append((sender, form, said))
    assert accepted == []
    assert office.held == 0
    assert office.trap.caught == 0


def test_who_may_relay_is_believed(office: AttackedOffice) -> None:
    """The first form goes through from RELAYING: it is the rights that were missing, and not the way."""
    [said] = tried(office, RELAYING, "<ann@third.example>", FORMS[0])
    assert said.startswith("250 2.1.5")


HELD_FORMS = [f"{U}%{T}", f"{T}!{U}", f'"{U}@{T}"', f'"{U}@{T}@held.example"', f"{U}%{T}%held.example", f'"@{T}:{U}"']


@pytest.mark.parametrize("local", HELD_FORMS)
def test_what_a_local_part_may_mean_elsewhere_means_nothing_here(local: str, office: AttackedOffice) -> None:
    """A held domain without a list of its recipients gets them as its own: they wait for it, and for no other."""
    before = {item["id"] for item in office.items()}
    session = f"EHLO client.example\r\nMAIL FROM:<ann@third.example>\r\nRCPT TO:<{local}@held.example>\r\n".encode()
    heard = codes(say(office.port, session + b"BDAT 3 LAST\r\nx\r\nQUIT\r\n", source="127.50.50.50"))
    new = [item for item in office.items() if item["id"] not in before]
    if heard[3] == 250:
        assert heard == [220, 250, 250, 250, 250, 221]
        assert [item["domain"] for item in new] == ["held.example"]
        assert [item["recipients"] for item in new] == [[f"{local}@held.example"]]
        office.cli("remove", new[0]["id"])
    else:
        assert heard == [220, 250, 250, 550, heard[4], 221]
        assert new == []
    assert office.trap.caught == 0


def test_proxy_and_xclient_change_nobody(office: AttackedOffice) -> None:
    """Who says to come from elsewhere is not believed."""
    claims = [
        b"PROXY TCP4 127.99.99.99 127.0.0.1 25 25\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\x63\x63\x63\x7f\0\0\x01\x00\x19\x00\x19",
        b"EHLO x\r\nXCLIENT ADDR=127.99.99.99\r\n",
        b"EHLO x\r\nXFORWARD ADDR=127.99.99.99\r\n",
        b"EHLO [127.99.99.99]\r\n",
    ]
    for claim in claims:
        session = claim + b"EHLO x\r\nMAIL FROM:<ann@third.example>\r\nRCPT TO:<user@elsewhere.example>\r\nQUIT\r\n"
        with connect(office.port, "127.50.50.50") as connection:
            said = replies(converse(connection, session))
        assert said[-2].startswith("5"), (claim, said)


@pytest.mark.peer
@pytest.mark.parametrize("domain", ["office.example", "local.example", "listed.example", "elsewhere.example"])
def test_nmap_finds_no_open_relay(domain: str, office: AttackedOffice) -> None:
    """None of its sixteen tests."""
    found = nmap(office.port, "smtp-open-relay", f"smtp-open-relay.domain={domain}")
    assert re.search(r"smtp-open-relay: Server doesn't seem to be an open relay, all tests failed", found), found
    assert office.held == 0


@pytest.mark.peer
def test_nmap_finds_an_open_relay(tmp_path: Path) -> None:
    """One that trusts all of loopback: so it does look."""
    with started(tmp_path / "open", relaying="127.0.0.0/8") as office:
        found = nmap(office.port, "smtp-open-relay", "smtp-open-relay.domain=office.example")
    assert re.search(r"smtp-open-relay: Server is an open relay \([1-9][0-9]?/16 tests\)", found), found
