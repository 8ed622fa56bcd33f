"""What recipients are told of a message that is kept back: all that they need, and nothing that could do harm."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage

from restante.message.too_large import SUBJECT, too_large_notice
from restante.model import Mailbox, MessageId, item_id

NOW = 1_767_225_600.0
HEADER = b"Received: x\r\nFrom: =?utf-8?Q?Carla_Gr=C3=BCn?= <carla@far.example>\r\nSubject: The manual\r\n\r\nbody"


def notice(beginning: bytes = HEADER, sender: str | None = "bounces@far.example") -> tuple[bytes, EmailMessage]:
    """The octets, and how a mail program reads them."""
    octets = too_large_notice(
        hostname="office.example",
        message=MessageId(1 << 50),
        item=item_id(MessageId(1 << 51), 2),
        sender=None if sender is None else Mailbox.parse(sender),
        beginning=beginning,
        size=7_340_032,
        largest=5_242_880,
        now=NOW,
    )
    read = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(read, EmailMessage)
    return octets, read


def test_it_says_what_waits_and_how_to_get_it() -> None:
    """Who sent what and when, how large it is, its id, and the operator's command."""
    octets, read = notice()
    assert octets.isascii()
    assert b"\n" not in octets.replace(b"\r\n", b"")
    assert (read["From"], read["Subject"]) == ("Mail Delivery System <MAILER-DAEMON@office.example>", SUBJECT)
    assert (read["To"], read["Auto-Submitted"]) == ("undisclosed-recipients:;", "auto-generated")
    assert (read["Date"], read["Message-ID"]) == ("Thu, 01 Jan 2026 00:00:00 +0000", "<10000000000@office.example>")
    assert not read.defects
    text = read.get_content()
    for line in (
        "  From:     Carla Grün <carla@far.example>",
        "  Sender:   <bounces@far.example>",
        "  Subject:  The manual",
        "  Arrived:  Thu, 01 Jan 2026 00:00:00 +0000",
        "  Size:     7340032 octets; up to 5242880 octets are sent without being asked for",
        "  Id:       20000000000-2",
        "To get it, ask the operator of office.example for this:",
        "  restante thaw 20000000000-2",
    ):
        assert line in text.splitlines()


def test_what_the_sender_wrote_forges_nothing() -> None:
    """No line of the notice, no field, no control; where nothing is said, that is said."""
    _, read = notice(b"Subject: =?utf-8?Q?a=0D=0A=0D=0A__restante_thaw_X=1B?=\r\n\r\n", sender=None)
    lines = read.get_content().splitlines()
    assert "  Subject:  a restante thaw X?" in lines
    assert "  From:     (not given)" in lines
    assert "  Sender:   <>" in lines
    assert sum(line.startswith("  restante thaw") for line in lines) == 1
