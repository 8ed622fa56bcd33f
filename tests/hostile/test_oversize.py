"""Too much of everything: the right refusal, at once or in the end, and no memory for what is not kept."""

from __future__ import annotations

import time

import pytest
from tests.hostile.attack import Memory, codes, connect, converse, replies, say
from tests.hostile.office import SIZE, AttackedOffice

EHLO = b"EHLO client.example\r\n"
MAIL = b"MAIL FROM:<ann@far.example>\r\n"
RCPT = b"RCPT TO:<anna@held.example>\r\n"
OPENED = EHLO + MAIL + RCPT
GREETED = [220, 250, 250, 250]
MEMORY = 10_000_000
MB = 1_000_000


def sent(office: AttackedOffice, *pieces: bytes) -> list[str]:
    """What is said to a session, which must not cost memory."""
    memory = Memory(office)
    said = replies(say(office.port, *pieces))
    assert memory.growth < MEMORY, f"{memory.growth:,} octets more"
    return said


LINES = {
    "one long word": b"x" * (10 * MB),
    "an ETRN": b"ETRN " + b"a" * (10 * MB),
    "a MAIL": b"MAIL FROM:<" + b"a" * (10 * MB) + b"@far.example>",
    "an EHLO": b"EHLO " + b"a" * (10 * MB),
    "blanks": b" " * (10 * MB),
    "NULs": b"\0" * (10 * MB),
    "CRs": b"\r" * (10 * MB),
    "quotes": b'MAIL FROM:<"' + b'\\"' * (5 * MB),
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_a_command_line_of_10_mb_gets_one_500(line: bytes, office: AttackedOffice) -> None:
    """And the session goes on behind its end."""
    said = sent(office, EHLO, line + b"\r\n", b"NOOP\r\nQUIT\r\n")
    assert [reply[:3] for reply in said] == ["220", "250", "500", "250", "221"]


def test_a_command_line_without_an_end_ends_with_the_connection(office: AttackedOffice) -> None:
    """One 500, and nothing behind it."""
    assert [reply[:3] for reply in sent(office, EHLO, b"x" * (10 * MB))] == ["220", "250", "500"]


@pytest.mark.parametrize("way", ["DATA", "BDAT"])
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"x" * (10 * MB) + b"\r\n", id="one line"),
        pytest.param(b"x: y\r\n" * (10 * MB // 6), id="fields without end"),
        pytest.param(b"x: y\r\n" + b" z\r\n" * (10 * MB // 4), id="one folded field"),
        pytest.param(b"\r\n" * (5 * MB), id="empty lines"),
        pytest.param(b"..\r\n" * (10 * MB // 4), id="dots"),
    ],
)
def test_content_of_10_mb_where_128_kb_are_taken(content: bytes, way: str, office: AttackedOffice) -> None:
    """552 5.3.4 in the end (RFC 1870 §6.3), and the session goes on."""
    before = office.held
    transfer = (b"BDAT %d LAST\r\n" % len(content), content)
    if way == "DATA":
        transfer = (b"DATA\r\n", content + b".\r\n")
    said = sent(office, OPENED, *transfer, b"QUIT\r\n")
    assert said[-2].startswith("552 5.3.4"), said
    assert said[-1].startswith("221")
    assert office.held == before


def test_a_declared_size_that_is_too_large_is_refused_at_mail(office: AttackedOffice) -> None:
    """552 5.3.4 at once, also for numbers beyond every machine's; what is no number is 501."""
    for size in (SIZE + 1, 10**9, 2**32, 2**63, 2**64, 10**19):
        said = sent(office, EHLO + b"MAIL FROM:<ann@far.example> SIZE=%d\r\nQUIT\r\n" % size)
        assert said[2].startswith("552 5.3.4"), size
    for text in (b"", b"-1", b"1e9", b"0x10", b"9" * 21, b"9" * 1000, "٣".encode()):
        said = sent(office, EHLO + b"MAIL FROM:<ann@far.example> SIZE=" + text + b"\r\nQUIT\r\n")
        assert said[2][:3] in ("501", "553"), (text, said)


def test_a_declared_size_that_is_a_lie_helps_nobody(office: AttackedOffice) -> None:
    """SIZE=1, and then too much: 552; SIZE=1, and then more than that, but not too much: taken (RFC 1870 §6.3)."""
    before = office.held
    lie = EHLO + b"MAIL FROM:<ann@far.example> SIZE=1\r\n" + RCPT + b"DATA\r\n"
    assert sent(office, lie + b"x" * (SIZE + 1) + b"\r\n.\r\nQUIT\r\n")[-2].startswith("552 5.3.4")
    assert office.held == before
    assert sent(office, lie + b"x" * 1000 + b"\r\n.\r\nQUIT\r\n")[-2].startswith("250")
    assert office.held == before + 1


def test_100_000_recipients(office: AttackedOffice) -> None:
    """The first thousand are taken, each further one gets 452 4.5.3 (RFC 5321 §4.5.3.1.10); those get it."""
    before, memory = office.held, Memory(office)
    recipients = b"".join(b"RCPT TO:<user%d@held.example>\r\n" % n for n in range(100_000))
    began = time.monotonic()
    with connect(office.port) as connection:
        said = replies(converse(connection, EHLO + MAIL, recipients, b"BDAT 3 LAST\r\nx\r\nQUIT\r\n"))
    assert memory.growth < MEMORY, f"{memory.growth:,} octets more"
    assert time.monotonic() - began < 90
    to_recipients = said[3:-2]
    taken = sum(reply.startswith("250") for reply in to_recipients)
    assert taken <= 1000
    assert all(reply.startswith("452 4.5.3") or reply[:3] == "421" for reply in to_recipients[taken:]), said[-5:]
    assert office.held - before in (0, 1)


def test_100_000_unknown_recipients(office: AttackedOffice) -> None:
    """Each is refused; whether it is heard to the end or ended for its errors, it costs no memory."""
    memory = Memory(office)
    recipients = b"".join(b"RCPT TO:<user%d@nowhere.example>\r\n" % n for n in range(100_000))
    with connect(office.port) as connection:
        said = replies(converse(connection, EHLO + MAIL, recipients, b"QUIT\r\n"))
    assert memory.growth < MEMORY, f"{memory.growth:,} octets more"
    assert {reply[:3] for reply in said[3:]} <= {"550", "421", "221"}


def test_bad_commands_without_end_end_the_session(office: AttackedOffice) -> None:
    """421 after so many, and the server hangs up by itself."""
    memory = Memory(office)
    with connect(office.port) as connection:
        heard = codes(converse(connection, EHLO, b"JUNK\r\n" * 100_000, ends=False))
    assert memory.growth < MEMORY
    assert set(heard[2:]) <= {500, 421}
    assert len(heard) < 1000


LARGE = {
    "100,000 fields": b"".join(b"X-%d: y\r\n" % n for n in range(100_000)) + b"\r\nbody\r\n",
    "a field of 10 MB": b"Subject: " + b"x" * (10 * MB) + b"\r\n\r\nbody\r\n",
    "a line of 10 MB": b"Subject: x\r\n\r\n" + b"y" * (10 * MB) + b"\r\n",
    "MIME, 10,000 deep": b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n) for n in range(10_000)
    ),
    "messages in messages, 10,000 deep": b"Content-Type: message/rfc822\r\n\r\n" * 10_000,
    "10,000 encoded words": b"Subject: " + b"=?utf-8?q?=40?=\r\n " * 10_000 + b"\r\n\r\nx\r\n",
    "10,000 comments in comments": b"From: " + b"(" * 10_000 + b"\r\n\r\nx\r\n",
    "100,000 Received fields": b"Received: x\r\n" * 100_000 + b"\r\nx\r\n",
}


@pytest.mark.parametrize("content", LARGE.values(), ids=LARGE)
def test_content_that_has_broken_others_where_50_mb_are_taken(content: bytes, roomy_office: AttackedOffice) -> None:
    """Taken as it is, or refused for good: a relay reads no MIME, and holds only a piece of a large one in memory."""
    before, began = roomy_office.held, time.monotonic()
    said = sent(roomy_office, OPENED, b"DATA\r\n", content + b".\r\n", b"QUIT\r\n")
    assert said[5][:3] in ("250", "552", "554"), said
    assert said[-1].startswith("221")
    if content.startswith(b"Received:"):
        assert said[5][:3] in ("552", "554"), said  # too long a header, or too many hops
    assert roomy_office.held == before + said[5].startswith("250")
    assert time.monotonic() - began < 90
