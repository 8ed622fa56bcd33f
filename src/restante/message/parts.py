"""What the messages that this host writes itself are made of: parts in ASCII with CRLF line ends."""

from __future__ import annotations

import binascii
import re
from email.message import Message
from email.policy import compat32

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
