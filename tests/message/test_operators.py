"""A letter to the operators."""

from __future__ import annotations

import email
import email.policy

from restante.message.operators import operators_letter
from restante.model import Mailbox, MessageId

MESSAGE = MessageId(700_000_000_000_000)


def letter(subject: str, *lines: str, to: str = "ops@test.example") -> bytes:
    """One."""
    return operators_letter(
        hostname="office.example", message=MESSAGE, to=Mailbox.parse(to), subject=subject, lines=lines, now=0.0
    )


def test_it_says_what_it_is_to_say() -> None:
    """In lines of ASCII, and nobody's machine answers it."""
    content = letter("Alarm: spool", "the spool is broken", "", "since yesterday")
    assert content.isascii()
    assert b"\r" not in content.replace(b"\r\n", b"")
    read = email.message_from_bytes(content, policy=email.policy.default)
    assert (read["From"], read["To"]) == ("Mail Delivery System <MAILER-DAEMON@office.example>", "ops@test.example")
    assert (read["Subject"], read["Auto-Submitted"]) == ("Alarm: spool", "auto-generated")
    assert read["Message-ID"] == "<0KWMNSNFG00@office.example>"
    text = read.get_content()
    assert text.splitlines() == [
        "This is the mail system at office.example.", "", "the spool is broken", "", "since yesterday",
    ]  # fmt: skip


def test_what_a_peer_or_a_disk_has_said_forges_nothing() -> None:
    """Line ends and controls are gone; what is not ASCII is encoded."""
    content = letter("x\r\nBcc: all@test.example", "ü\r\n.\r\n\x1b[2J", to="jürgen@test.example")
    assert content.isascii()
    read = email.message_from_bytes(content, policy=email.policy.default)
    assert read["Bcc"] is None
    assert "\x1b" not in read.get_content()
    assert "ü" in read.get_content()
