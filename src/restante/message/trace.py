"""The trace that a message carries: our Received field, and how many it has already (RFC 5321 §4.4, §6.3).

What a peer said of itself is cleaned before it goes into a field: letters, digits and what a domain or an address
literal needs; so no name can forge a header.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache

from restante.model import Mailbox, MessageId, Principal, write_message_id

MAX_HEADER = 1024 * 1024  # octets of header section that are looked through for Received
_UNSAFE = re.compile(r"[^A-Za-z0-9.:_\[\]-]")
_FIELD = b"\r\nreceived:"
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def opening(*, name: str, principal: Principal, hostname: str, protocol: str) -> str:
    """What the Received fields of one session have in common.

    `protocol` is from the registry of RFC 3848 and 6531: ESMTP, ESMTPS, UTF8SMTP, ...
    """
    who = _UNSAFE.sub("?", name[:255]) or "?"
    proof = f" user={_UNSAFE.sub('?', principal.login)}" if principal.login else ""
    literal = f"IPv6:{principal.address}" if principal.address.version == 6 else str(principal.address)
    return f"Received: from {who} ([{literal}]{proof})\r\n\tby {hostname} (restante) with {protocol} id "


def received(opening: str, message: MessageId, recipient: Mailbox | None, wall: float) -> bytes:
    """A Received field with its line end. `recipient` is told only where it is the only one (RFC 5321 §7.6)."""
    meant = f"\r\n\tfor <{recipient}>" if recipient is not None and recipient.is_ascii else ""
    return f"{opening}{write_message_id(message)}{meant};\r\n\t{date(int(wall))}\r\n".encode()


@lru_cache(maxsize=4)
def date(second: int) -> str:
    """A date-time as RFC 5322 §3.3 writes it, in UTC, whatever the locale."""
    t = time.gmtime(second)
    day = f"{_DAYS[t.tm_wday]}, {t.tm_mday:02} {_MONTHS[t.tm_mon - 1]} {t.tm_year}"
    return f"{day} {t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} +0000"


class HopCounter:
    """Counts the Received fields of content that comes piece by piece (RFC 5321 §6.3)."""

    __slots__ = ("_done", "_seen", "_tail", "hops")

    def __init__(self) -> None:
        self._tail = b"\r\n"  # as if a line had just ended
        self._done = False
        self._seen = 0
        self.hops = 0

    def feed(self, data: bytes) -> None:
        """Looks at the next octets of the content; cheap once the header section has passed."""
        if self._done:
            return
        text = self._tail + data
        end = text.find(b"\r\n\r\n")
        self.hops += (text if end < 0 else text[:end]).lower().count(_FIELD)
        self._tail = text[-len(_FIELD) + 1 :]  # too short to hold a field that was counted
        self._seen += len(data)
        self._done = end >= 0 or self._seen > MAX_HEADER
