"""What the messages that this host writes itself are made of: parts in ASCII with CRLF line ends."""

from __future__ import annotations

import binascii
import re
from email.header import Header
from email.message import Message
from email.policy import compat32

from restante.message.trace import date
from restante.model import MessageId, write_message_id

# Not policy.SMTP: it decodes encoded words in what it is given, and a peer's reply may hold any.
POLICY = compat32.clone(linesep="\r\n", max_line_length=78, mangle_from_=False)
SEVEN_BIT = re.compile(rb"(?:[^\0\r\n\x80-\xff]{0,998}\r\n)*[^\0\r\n\x80-\xff]{0,998}")
_LINE_END = re.compile(rb"\r\n|\r|\n")


def text_part(subtype: str, text: bytes) -> Message:
    """A text part: as it is where that is 7-bit lines, else quoted-printable."""
    part = Message(POLICY)
    part["Content-Type"] = f"text/{subtype}"
    if SEVEN_BIT.fullmatch(text) is None:
        part["Content-Transfer-Encoding"] = "quoted-printable"
        text = binascii.b2a_qp(_LINE_END.sub(b"\n", text), istext=True)
    part.set_payload(text.decode("ascii"))
    return part


def head(
    made: Message, *, hostname: str, message: MessageId, to: str, subject: str | Header, now: float, auto: str
) -> None:
    """Gives a message of this host's own its header. `message` is its id, `auto` how it came about (RFC 3834 §5)."""
    made["From"] = f"Mail Delivery System <MAILER-DAEMON@{hostname}>"
    made["To"] = to
    made["Subject"] = subject  # type: ignore[assignment]  # Header is text too
    made["Date"] = date(int(now))
    made["Message-ID"] = f"<{write_message_id(message)}@{hostname}>"
    made["Auto-Submitted"] = auto
    made["MIME-Version"] = "1.0"
