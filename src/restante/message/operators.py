"""A letter of this host to its operators: plain lines, from the null reverse-path; no machine answers it (RFC 3834)."""

from __future__ import annotations

from collections.abc import Sequence
from email.header import Header

from restante.message.parts import POLICY, head, text_part
from restante.message.wording import cleaned
from restante.model import Mailbox, MessageId


def operators_letter(
    *, hostname: str, message: MessageId, to: Mailbox, subject: str, lines: Sequence[str], now: float
) -> bytes:
    """The whole of it; `message` is its own id."""
    text = [f"This is the mail system at {hostname}.", "", *(cleaned(line) for line in lines), ""]
    letter = text_part("plain; charset=utf-8", "\r\n".join(text).encode("utf-8", "replace"))
    title = cleaned(subject)
    head(
        letter,
        hostname=hostname,
        message=message,
        to=f"<{to}>" if to.is_ascii else "undisclosed-recipients:;",
        subject=title if title.isascii() else Header(title, "utf-8", header_name="Subject").encode(),
        now=now,
        auto="auto-generated",
    )
    return letter.as_bytes(policy=POLICY)
