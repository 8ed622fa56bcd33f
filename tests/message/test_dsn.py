"""Failure reports as their readers see them: people, programs, and servers that take nothing but ASCII."""

from __future__ import annotations

import email
import re
from collections.abc import Sequence
from email.header import decode_header, make_header
from email.message import Message
from email.utils import parseaddr, parsedate_to_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.message.causes import About, Action, Cause, Times
from restante.message.dsn import MAX_RETURNED, notice
from restante.model import (
    ByMode,
    DeliverBy,
    DomainName,
    Envelope,
    Item,
    Mailbox,
    MessageId,
    Recipient,
    Ret,
    item_id,
)

ANN = Mailbox.parse("ann@far.example")
BOB = Recipient(Mailbox.parse("bob@test.example"))
ORIGINAL = b"Received: from far.example\r\n\tby office.example\r\nSubject: hello\r\n\r\nDear Bob\r\n"
NOW = Times(1_767_229_200.5)
NO_SUCH_USER = "550 5.1.1 <bob@test.example>: No such user"
NAMES = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]
OF_RECIPIENT = [
    "Original-Recipient",
    "Final-Recipient",
    "Action",
    "Status",
    "Remote-MTA",
    "Diagnostic-Code",
    "Will-Retry-Until",
]


PLAIN = """\
From: Mail Delivery System <MAILER-DAEMON@office.example>
To: ann@far.example
Subject: Your message could not be delivered: hello
Date: Thu, 01 Jan 2026 01:00:00 +0000
Message-ID: <00700000000@office.example>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
 boundary="BOUNDARY"

--BOUNDARY
Content-Type: text/plain; charset=utf-8

This is the mail system at office.example.

About your message: hello

Your message was refused by the host or mailbox that it was meant for,
and no further attempt to deliver it is made. It did not reach:

  <bob@test.example>
    [192.0.2.25] said: 550 5.1.1 <bob@test.example>: No such user

Attached are the same for mail programs, and the message's header.
It was known here as 00600000000-1.

--BOUNDARY
Content-Type: message/delivery-status

Reporting-MTA: dns; office.example
Arrival-Date: Thu, 01 Jan 2026 00:00:00 +0000

Final-Recipient: rfc822; bob@test.example
Action: failed
Status: 5.1.1
Remote-MTA: dns; [192.0.2.25]
Diagnostic-Code: smtp; 550 5.1.1 <bob@test.example>: No such user

--BOUNDARY
Content-Type: text/rfc822-headers

Received: from far.example
\tby office.example
Subject: hello

--BOUNDARY--
"""


def report(
    *failures: tuple[Recipient, str, str],
    about: Sequence[About] = (),
    original: bytes = ORIGINAL,
    sender: Mailbox = ANN,
    ret: Ret | None = None,
    envid: str | None = None,
    remote: str = "192.0.2.25:25",
    size: int | None = None,
    times: Times = NOW,
    **asked: Any,
) -> bytes:
    """A notice from office.example, as it would be spooled: of refusals, where `about` says nothing else."""
    refused = [About(who, Cause.REFUSED, reply, status) for who, status, reply in failures]
    told = about or refused or [About(BOB, Cause.REFUSED, NO_SUCH_USER, "5.1.1")]
    envelope = Envelope(sender, tuple(each.recipient for each in told), ret=ret, envid=envid, **asked)
    whole = len(original) if size is None else size
    return notice(
        hostname="office.example",
        message=MessageId(7 << 40),
        item=Item(item_id(MessageId(6 << 40), 1), DomainName("test.example"), envelope, whole, 1_767_225_600.5),
        about=told,
        remote=remote,
        original=original,
        times=times,
    )


def parts(raw: bytes) -> tuple[Message, str, list[Message], Message]:
    """The report, what it says to people, its fields for programs by block, and what comes back of the original."""
    parsed = email.message_from_bytes(raw)
    assert parsed.get_content_type() == "multipart/report"
    text, status, returned = subparts(parsed)
    said = text.get_payload(decode=True)
    assert isinstance(said, bytes)
    return parsed, said.decode().replace("\r\n", "\n"), subparts(status), returned


def subparts(parsed: Message) -> list[Message]:
    payload = parsed.get_payload()
    assert isinstance(payload, list)
    assert all(isinstance(part, Message) for part in payload)
    return [part for part in payload if isinstance(part, Message)]


def unfolded(block: Message) -> list[tuple[str, str]]:
    return [(name, re.sub(r"\r\n(?=[ \t])", "", value)) for name, value in block.items()]


def test_a_report_as_it_is_sent() -> None:
    """Every octet of a plain one, but for the boundary."""
    raw = report()
    boundary = email.message_from_bytes(raw).get_boundary()
    assert boundary is not None
    assert raw.decode("ascii").replace(boundary, "BOUNDARY") == PLAIN.replace("\n", "\r\n")


def test_what_the_sender_asked_for_comes_back_decoded() -> None:
    """Original-Envelope-Id where ENVID was given, Original-Recipient where ORCPT was (RFC 3461 §6.3)."""
    asked = Recipient(BOB.mailbox, None, "RFC822;b+2Bc@test.example")
    _, _, (about, first, second), _ = parts(report((asked, "5.1.1", "550 a"), (BOB, "5.2.1", "550 b"), envid="Q+3D7"))
    assert about["Original-Envelope-Id"] == "Q=7"
    assert first["Original-Recipient"] == "RFC822; b+c@test.example"
    assert second["Original-Recipient"] is None
    assert [block["Status"] for block in (first, second)] == ["5.1.1", "5.2.1"]
    assert "Original-Envelope-Id" not in parts(report())[2][0]


@pytest.mark.parametrize(
    ("remote", "mta", "diagnostic"),
    [("192.0.2.25:25", "dns; [192.0.2.25]", "smtp"), ("[2001:db8::25]:2525", "dns; [IPv6:2001:db8::25]", "smtp"),
     ("relay.example:25", "dns; relay.example", "smtp"), ("maildir", None, "X-Restante")],
)  # fmt: skip
def test_the_host_that_refused_is_named(remote: str, mta: str | None, diagnostic: str) -> None:
    """As RFC 3464 §2.1.2 writes a host; where none was asked, the code is no host's either."""
    block = parts(report(remote=remote))[2][1]
    assert block["Remote-MTA"] == mta
    assert block["Diagnostic-Code"].startswith(f"{diagnostic}; 550 5.1.1 ")


@pytest.mark.parametrize("status", ["4.2.2", "", "5.1", "5.1.1\r\nX: y", "5.1.1111"])
def test_a_status_that_is_none_for_a_failure_becomes_5_0_0(status: str) -> None:
    """Action failed goes with class 5 only (RFC 3464 §2.3.4)."""
    assert parts(report((BOB, status, "550 no")))[2][1]["Status"] == "5.0.0"


def test_addresses_beyond_ascii_are_escaped() -> None:
    """RFC 6533 §3: in a report of 7 bits they are utf-8-addr-xtext; the To field names an empty group."""
    sender = Mailbox.parse("grün@far.example")
    asked = Recipient(Mailbox.parse("jö+g@test.example"), None, "utf-8;jörg@test.example")
    parsed, said, (_, block), _ = parts(report((asked, "5.1.1", "550 jö+g?"), sender=sender))
    assert parsed["To"] == "=?utf-8?b?Z3LDvG5AZmFyLmV4YW1wbGU=?= :;"
    assert block["Final-Recipient"] == r"utf-8; j\x{F6}\x{2B}g@test.example"
    assert block["Original-Recipient"] == r"utf-8; j\x{F6}rg@test.example"
    assert block["Diagnostic-Code"] == "smtp; 550 j?+g?"
    assert "<jö+g@test.example>\n    [192.0.2.25] said: 550 jö+g?" in said


def test_the_whole_message_comes_back_where_it_was_asked_for_and_fits() -> None:
    """RET=FULL, all of it at hand, 64 KiB at the most, 7-bit lines; else its header section."""
    assert parts(report(ret=Ret.FULL))[3].get_content_type() == "message/rfc822"
    assert report(ret=Ret.FULL).count(b"\r\n\r\nDear Bob\r\n") == 1
    long = ORIGINAL + b"x" * 70 + b"\r\n" * MAX_RETURNED
    for case in (
        report(),
        report(ret=Ret.HDRS),
        report(ret=Ret.FULL, size=len(ORIGINAL) + 1),
        report(ret=Ret.FULL, original=long),
        report(ret=Ret.FULL, original=ORIGINAL + "grün\r\n".encode()),
        report(ret=Ret.FULL, original=ORIGINAL + b"x" * 999 + b"\r\n"),
        report(ret=Ret.FULL, original=ORIGINAL + b"\n"),
        report(ret=Ret.FULL, original=ORIGINAL + b"\0\r\n"),
    ):
        returned = parts(case)[3]
        assert returned.get_content_type() == "text/rfc822-headers"
        assert returned.get_payload(decode=True) == ORIGINAL.partition(b"\r\n\r\n")[0] + b"\r\n"


@pytest.mark.parametrize(
    ("original", "returned"),
    [(b"", b""), (b"\r\nbody\r\n", b""), (b"Subject: x\r\n", b"Subject: x\r\n"), (b"Subject: x", b"Subject: x"),
     ("Subject: grün\r\n\r\nbody".encode(), "Subject: grün\r\n".encode()),
     (b"A: " + b"x" * 2000 + b"\r\n\r\n", b"A: " + b"x" * 2000 + b"\r\n"),
     (b"A: \0\x01\r\nB: end \r\n\r\n", b"A: \0\x01\r\nB: end \r\n"),
     ((b"A: " + b"x" * 95 + b"\r\n") * 1000, (b"A: " + b"x" * 95 + b"\r\n") * 655),
     (b"x" * 70000, b"x" * MAX_RETURNED)],
)  # fmt: skip
def test_the_header_section_comes_back_octet_by_octet(original: bytes, returned: bytes) -> None:
    """Encoded where it is not 7-bit lines; whole lines of it where it is too long."""
    part = parts(report(original=original))[3]
    decoded = part.get_payload(decode=True)
    assert isinstance(decoded, bytes)
    assert re.sub(rb"\r?\n", b"\r\n", decoded) == returned


def test_a_peer_s_reply_forges_nothing() -> None:
    """Neither a field nor a part nor an encoded word that could hold one; and it is not told without end."""
    reply = "550 no\r\nAction: delivered\r\n\r\n--=_\r\n=?utf-8?q?=0D=0AX:_y?= " + "long " * 500
    parsed, said, (_, block), _ = parts(report((BOB, "5.0.0", reply)))
    assert [name for name, _ in parsed.items()] == NAMES
    assert [name for name, _ in block.items()] == OF_RECIPIENT[1:-1]
    assert dict(unfolded(block))["Diagnostic-Code"].startswith(
        "smtp; 550 no Action: delivered --=_ = ?utf-8?q?=0D=0AX:_y?= long long "
    )
    assert len(dict(unfolded(block))["Diagnostic-Code"]) < 520
    assert "\n    [192.0.2.25] said: 550 no Action: delivered" in said


SUBJECTS = [
    ("hello", "hello"),
    ("=?utf-8?q?Gr=C3=BC=C3=9Fe?= aus =?iso-8859-1?b?V/ZybA==?=", "Grüße aus Wörl"),
    ("=?iso-2022-jp?b?GyRCRnxLXBsoQg==?=", "日本"),
    ("a =?no-such?q?b?= =?utf-8?q?=3D=3Futf-8=3Fq=3Fc=3F=3D?=", "a b=?utf-8?q?c?="),
]


@pytest.mark.parametrize(("written", "read"), SUBJECTS)
def test_a_notice_names_the_subject_as_it_was_meant(written: str, read: str) -> None:
    """Decoded in what people read, and in the notice's own Subject in encoded words where it is not plain."""
    parsed, said, _, _ = parts(report(original=f"Subject: {written}\r\n\r\n".encode()))
    assert f"\nAbout your message: {read}\n" in said
    assert str(make_header(decode_header(parsed["Subject"]))) == f"Your message could not be delivered: {read}"
    assert (parsed["Subject"].startswith("=?utf-8?")) is not (read.isascii() and "=?" not in read)


def test_without_a_subject_none_is_named() -> None:
    """Nor an empty one."""
    parsed, said, _, _ = parts(report(original=b"From: a@far.example\r\n\r\n"))
    assert parsed["Subject"] == "Your message could not be delivered"
    assert "About your message" not in said


LATE = """\
Your message is held here for its site, which has to ask for its mail. It was
expected to, and has not. Your message waits here for:

  <bob@test.example>
    the last answer was: 451 later

The site was expected on Thu, 01 Jan 2026 00:00:00 +0000.
It is next expected on Fri, 02 Jan 2026 00:00:00 +0000.
Your message is kept until Thu, 15 Jan 2026 00:00:00 +0000 at least.
You need not send it again.
"""


def test_of_late_mail_it_tells_what_to_expect() -> None:
    """Until when it is tried (RFC 3464 §2.3.9), and of held mail when its site should have come and will."""
    day = 1_767_225_600.0
    times = Times(NOW.now, until=day + 14 * 86_400, expected=day + 86_400, missed=day)
    parsed, said, (_, block), _ = parts(report(about=[About(BOB, Cause.MISSED, "451 later")], remote="", times=times))
    assert parsed["Subject"] == "Your message has not been delivered yet: hello"
    assert LATE in said
    assert [(name, block[name]) for name in OF_RECIPIENT if name in block] == [
        ("Final-Recipient", "rfc822; bob@test.example"),
        ("Action", "delayed"),
        ("Status", "4.4.7"),
        ("Diagnostic-Code", "X-Restante; 451 later"),
        ("Will-Retry-Until", "Thu, 15 Jan 2026 00:00:00 +0000"),
    ]


@pytest.mark.parametrize(
    ("cause", "action", "status", "words"),
    [
        (Cause.EXPIRED, "failed", "5.4.7", "could not be handed on in all the time"),
        (Cause.UNCOLLECTED, "failed", "5.4.7", "held here for its site, which has to ask for its mail. It has\nnot"),
        (Cause.TOO_LATE, "failed", "5.4.7", "should have been delivered by a time that has passed"),
        (Cause.LATE, "delayed", "4.4.7", "could not be handed on yet"),
        (Cause.OVERDUE, "delayed", "4.4.7", "should have been delivered by now"),
        (Cause.RELAYED, "relayed", "2.0.0", "a host that will not tell you"),
        (Cause.PASSED, "relayed", "2.0.0", "was handed on"),
        (Cause.DELIVERED, "delivered", "2.0.0", "in the mailbox of:\n\n  <bob@test.example>\n\n"),
    ],
)
def test_each_cause_has_its_words_and_codes(cause: Cause, action: str, status: str, words: str) -> None:
    """For people and for programs; what was taken needs no word of the host that took it."""
    _, said, (_, block), _ = parts(report(about=[About(BOB, cause, "250 2.0.0 OK")]))
    assert words in said
    assert ("250 2.0.0 OK" in said) is (action in {"failed", "delayed"})
    assert (block["Action"], block["Status"]) == (action, status)


def test_recipients_with_different_ends_share_a_notice() -> None:
    """One message; the gravest is in its subject."""
    cleo = Recipient(Mailbox.parse("cleo@test.example"))
    both = [About(BOB, Cause.DELIVERED, "250 OK"), About(cleo, Cause.REFUSED, "550 5.1.1 no", "5.1.1")]
    parsed, said, (_, first, second), _ = parts(report(about=both))
    assert (first["Action"], second["Action"]) == ("delivered", "failed")
    assert parsed["Subject"] == "Your message could not be delivered: hello"
    assert said.index("<bob@test.example>") < said.index("was refused") < said.index("<cleo@test.example>")


def test_only_a_failure_brings_the_whole_message_back() -> None:
    """RFC 3461 §4.3: RET is about failures; and RFC 8689 §5: never out of TLS what was to stay in it."""
    whole = report(ret=Ret.FULL)
    late = report(ret=Ret.FULL, about=[About(BOB, Cause.LATE)])
    required = report(ret=Ret.FULL, requiretls=True)
    assert [b"Dear Bob" in raw for raw in (whole, late, required)] == [True, False, False]


def test_the_time_that_was_asked_for_is_told() -> None:
    """RFC 2852 §5: Deliver-By-Date."""
    about = parts(report(deliver_by=DeliverBy(1_767_225_660.0, ByMode.RETURN)))[2][0]
    assert about["Deliver-By-Date"] == "Thu, 01 Jan 2026 00:01:00 +0000"


XTEXT = st.text().map(lambda text: "".join(f"+{octet:02X}" for octet in text.encode("utf-8", "replace")))
LOCALS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=60)
MAILBOXES = LOCALS.map(lambda local: Mailbox(local, DomainName("test.example")))
RECIPIENTS = st.builds(
    Recipient, MAILBOXES, st.none(), st.none() | st.builds("{};{}".format, st.sampled_from(["rfc822", "utf-8"]), XTEXT)
)
FIELDS = st.lists(st.one_of(st.binary(max_size=90), st.sampled_from([b"\r\n", b"\r\n", b"Subject: x", b"\n--=_"])))


@given(
    told=st.lists(st.builds(About, RECIPIENTS, st.sampled_from(Cause), st.text(), st.text()), min_size=1, max_size=3),
    subject=st.lists(st.one_of(st.text(), st.sampled_from(["=?", "utf-8", "?q?", "?b?", "?=", " ", "\r\n "]))),
    until=st.none() | st.floats(0, 2e11),
    original=FIELDS.map(b"".join),
    sender=MAILBOXES,
    ret=st.sampled_from([None, Ret.FULL, Ret.HDRS]),
    envid=st.none() | XTEXT,
    remote=st.sampled_from(["192.0.2.25:25", "maildir", "a:b:c", "x\r\n:25", "x\0y[192.0.2.7]:25"]),
)
def test_whatever_it_is_about_a_report_is_well_formed(
    *,
    told: list[About],
    subject: list[str],
    until: float | None,
    original: bytes,
    sender: Mailbox,
    ret: Ret | None,
    envid: str | None,
    remote: str,
) -> None:
    """ASCII, CRLF line ends only, lines that every server takes, three parts, and the fields that we mean."""
    original = b"Subject: " + "".join(subject).encode("utf-8", "replace") + b"\r\n" + original
    times = Times(NOW.now, until, until, until)
    raw = report(
        about=told, original=original, sender=sender, ret=ret, envid=envid, remote=remote, times=times, size=-1
    )
    assert raw.isascii()
    assert b"\0" not in raw
    lines = raw.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert max(map(len, lines)) <= 998
    parsed, said, (about, *blocks), returned = parts(raw)
    assert [name for name, _ in parsed.items()] == NAMES
    assert parsed.defects == []
    assert parsedate_to_datetime(parsed["Date"]).timestamp() == 1_767_229_200
    assert parseaddr(parsed["From"])[1] == "MAILER-DAEMON@office.example"
    assert said.startswith("This is the mail system at office.example.")
    shown = str(make_header(decode_header(str(parsed["Subject"]))))
    assert shown.replace("\u200c", "").replace("\u200d", "").isprintable()
    assert [name for name, _ in about.items()] == ["Original-Envelope-Id"] * (envid is not None) + [
        "Reporting-MTA",
        "Arrival-Date",
    ]
    assert len(blocks) == len(told)
    for block, each in zip(blocks, told, strict=True):
        left_out = {"Original-Recipient"} if each.recipient.orcpt is None else set()
        left_out |= {"Remote-MTA"} if remote != "192.0.2.25:25" else set()
        left_out |= {"Diagnostic-Code"} if not each.reply.split() else set()
        left_out |= {"Will-Retry-Until"} if until is None or each.cause.action is not Action.DELAYED else set()
        assert block["Action"] == each.cause.action
        assert block["Status"][0] == {"failed": "5", "delayed": "4"}.get(block["Action"], "2")
        assert [name for name, _ in block.items()] == [name for name in OF_RECIPIENT if name not in left_out]
        assert block.defects == []
    assert returned.get_content_type() in {"text/rfc822-headers", "message/rfc822"}
