"""Our Received field to the letter, and hops counted however the content is cut."""

from __future__ import annotations

import email
import ipaddress
import itertools
import re
from collections.abc import Sequence
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.message.trace import MAX_LINE, HopCounter, date, opening, received
from restante.model import Mailbox, MessageId, Principal

PEER = Principal(ipaddress.ip_address("192.0.2.7"))
BOB = Mailbox.parse("bob@test.example")


def field(
    name: str = "mail.far.example",
    principal: Principal = PEER,
    recipient: Mailbox | None = None,
    wall: float = 1_767_225_600.9,
    priority: int | None = None,
) -> str:
    """The field of a message to office.example."""
    begun = opening(name=name, principal=principal, hostname="office.example", protocol="ESMTPS")
    return received(begun, MessageId(7 << 40), recipient, wall, priority).decode("ascii")


def test_the_field_of_a_message_to_one() -> None:
    """RFC 5321 §4.4, with the recipient: nobody else learns of it."""
    assert field(recipient=BOB) == (
        "Received: from mail.far.example ([192.0.2.7])\r\n"
        "\tby office.example (restante) with ESMTPS id 00700000000\r\n"
        "\tfor <bob@test.example>;\r\n"
        "\tThu, 01 Jan 2026 00:00:00 +0000\r\n"
    )


def test_the_field_of_a_message_to_many_names_none() -> None:
    """RFC 5321 §7.6: a blind copy stays one."""
    assert field() == (
        "Received: from mail.far.example ([192.0.2.7])\r\n"
        "\tby office.example (restante) with ESMTPS id 00700000000;\r\n"
        "\tThu, 01 Jan 2026 00:00:00 +0000\r\n"
    )


def test_a_priority_that_was_asked_for_is_told() -> None:
    """RFC 6710 §4.2: in a clause of its own, behind those of RFC 5321 §4.4."""
    assert field(recipient=BOB, priority=-4) == (
        "Received: from mail.far.example ([192.0.2.7])\r\n"
        "\tby office.example (restante) with ESMTPS id 00700000000\r\n"
        "\tfor <bob@test.example>\r\n"
        "\tPRIORITY -4;\r\n"
        "\tThu, 01 Jan 2026 00:00:00 +0000\r\n"
    )


def test_a_recipient_beyond_ascii_is_not_named() -> None:
    """The field goes to servers that take nothing but ASCII."""
    assert " for " not in field(recipient=Mailbox.parse("jörg@test.example")).replace("\t", " ")


def test_an_ipv6_peer_and_a_login() -> None:
    """The address literal has its tag (RFC 5321 §4.1.3)."""
    principal = Principal(ipaddress.ip_address("2001:db8::7"), login="test")
    assert field(principal=principal).startswith("Received: from mail.far.example ([IPv6:2001:db8::7] user=test)\r\n")


@pytest.mark.parametrize(
    ("said", "written"),
    [("[192.0.2.9]", "[192.0.2.9]"), ("[IPv6:2001:db8::9]", "[IPv6:2001:db8::9]"), ("my_host", "my_host"), ("", "?"),
     ("a\r\nX-Forged: yes", "a??X-Forged:?yes"), ("x (by me) <y>; z", "x??by?me???y???z"), ("bücher", "b?cher"),
     ("a" * 300, "a" * 255)],
)  # fmt: skip
def test_what_a_peer_said_of_itself_is_cleaned(said: str, written: str) -> None:
    """Letters, digits and what a domain or literal needs; all else is a question mark."""
    assert field(said).split("\r\n")[0] == f"Received: from {written} ([192.0.2.7])"


@given(st.text(), st.text(min_size=1))
def test_no_name_forges_a_field(name: str, login: str) -> None:
    """Whatever a peer calls itself: three lines, one field, ASCII."""
    text = field(name, Principal(PEER.address, login=login))
    assert text.count("\n") == text.count("\r") == 3
    assert re.fullmatch(r"[^\r\n]+\r\n(?:\t[^\r\n]+\r\n)+", text)
    assert len(email.message_from_string(text)) == 1


@given(st.integers(0, 4_102_444_800))
def test_dates_are_those_of_rfc_5322(second: int) -> None:
    """In UTC, in English, whatever the locale; and they read back."""
    assert parsedate_to_datetime(date(second)).timestamp() == second
    assert re.fullmatch(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} \+0000", date(second))


def hops(pieces: Sequence[bytes]) -> int:
    """What the counter says of content that comes so."""
    counter = HopCounter()
    for piece in pieces:
        counter.feed(piece)
    return counter.hops


@pytest.mark.parametrize(
    ("content", "count"),
    [(b"", 0), (b"Received: a\r\n", 1), (b"RECEIVED:a\r\nreceived:b\r\n\r\nbody", 2),
     (b"Subject: Received: x\r\n Received: y\r\nX-Received: z\r\n\r\n", 0),
     (b"Subject: x\r\n\r\nReceived: in the body\r\n", 0), (b"\r\nReceived: in the body\r\n", 0),
     (b"Subject: x\r\nno field\r\nReceived: in the body\r\n", 0), (b"Received\r\nReceived: x\r\n", 0),
     (b"Subject: x\r\nReceived-SPF: pass\r\nReceived: a\r\n\r\nbody\r\n\r\nReceived: b", 1)],
)  # fmt: skip
def test_only_received_fields_of_the_header_are_hops(content: bytes, count: int) -> None:
    """In any case of letters; in one piece, and octet by octet."""
    assert hops([content]) == count
    assert hops([content[at : at + 1] for at in range(len(content))]) == count


LINES = st.lists(
    st.sampled_from([b"Received: a", b"received:", b"Subject: x", b" Received: y", b"", b"Received", b":"])
)


@given(LINES, st.data())
def test_hops_are_counted_whatever_the_pieces(lines: list[bytes], data: st.DataObject) -> None:
    """As many as lines before the first that is no field begin with the field's name."""
    content = b"".join(line + b"\r\n" for line in lines)
    header = list(itertools.takewhile(lambda line: b":" in line[1:], lines))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=8)))
    pieces = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    assert hops(pieces) == sum(line.lower().startswith(b"received:") for line in header)


def test_a_header_without_end_costs_no_end_of_time() -> None:
    """In a line that is too long for a field nothing more is looked at."""
    counter = HopCounter()
    counter.feed(b"Received: a\r\nX: " + b"x" * MAX_LINE + b"\r\n")
    counter.feed(b"\r\nX: " + b"x" * MAX_LINE)
    counter.feed(b"\r\nReceived: b\r\n")
    assert counter.hops == 1


@given(st.lists(st.sampled_from([b"Received: a", b"Subject: x", b" folded"]), min_size=1), st.data())
def test_a_header_section_is_as_long_as_its_fields(lines: list[bytes], data: st.DataObject) -> None:
    """With their line ends, the last one's excepted; the body does not count."""
    header = b"\r\n".join(lines)
    content = header + b"\r\n\r\nbody: not a field\r\n" * 2
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=8)))
    counter = HopCounter()
    for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True):
        counter.feed(content[a:b])
    assert counter.header_octets == len(b"\r\n" + header)
