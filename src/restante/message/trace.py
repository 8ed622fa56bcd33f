"""The trace that a message carries: our Received field, and how many it has already (RFC 5321 §4.4, §6.3).

What a peer said of itself is cleaned before it goes into a field: letters, digits and what a domain or an address
literal needs; so no name can forge a header.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache

from restante.model import IPAddress, Mailbox, MessageId, Principal, write_message_id

MAX_LINE = 64 * 1024  # octets of a line that may be a header field
_UNSAFE = re.compile(r"[^A-Za-z0-9.:_\[\]-]")
_FIELD = b"\r\nreceived:"
_BODY = re.compile(rb"\r\n(?![ \t]|[!-9;-~]{1,998}[ \t]*:)")
"""Where a line begins that is neither a header field nor goes on with one (RFC 5322 §2.2)."""
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def opening(*, name: str, principal: Principal, hostname: str, protocol: str) -> str:
    """What the Received fields of one session have in common.

    `protocol` is from the registry of RFC 3848 and 6531: ESMTP, ESMTPS, UTF8SMTP, ...
    """
    who = _UNSAFE.sub("?", name[:255]) or "?"
    proof = f" user={_UNSAFE.sub('?', principal.login)}" if principal.login else ""
    literal = _literal(principal.address)
    return f"Received: from {who} ([{literal}]{proof})\r\n\tby {hostname} (restante) with {protocol} id "


@lru_cache(maxsize=1024)
def _literal(address: IPAddress) -> str:
    return f"IPv6:{address}" if address.version == 6 else str(address)


def received(
    opening: str, message: MessageId, recipient: Mailbox | None, wall: float, priority: int | None = None
) -> bytes:
    """A Received field with its line end. `recipient` is told only where it is the only one (RFC 5321 §7.6).

    `priority`: where one was asked for (RFC 6710 §4.2).
    """
    meant = f"\r\n\tfor <{recipient}>" if recipient is not None and recipient.is_ascii else ""
    if priority is not None:
        meant = f"{meant}\r\n\tPRIORITY {priority}"
    return f"{opening}{write_message_id(message)}{meant};\r\n\t{date(int(wall))}\r\n".encode()


@lru_cache(maxsize=4)
def date(second: int) -> str:
    """A date-time as RFC 5322 §3.3 writes it, in UTC, whatever the locale."""
    t = time.gmtime(second)
    day = f"{_DAYS[t.tm_wday]}, {t.tm_mday:02} {_MONTHS[t.tm_mon - 1]} {t.tm_year}"
    return f"{day} {t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} +0000"


class HopCounter:
    """Counts the Received fields of content that comes piece by piece (RFC 5321 §6.3), and measures its header section.

    That ends at an empty line, or at the first line that is no header field: what has none is body from its start.
    """

    __slots__ = ("_done", "_rest", "header_octets", "hops")

    def __init__(self) -> None:
        self._rest = b"\r\n"  # as if a line had just ended
        self._done = False
        self.header_octets = 0
        """How long the header section is, as far as it has come."""
        self.hops = 0

    def feed(self, data: bytes) -> None:
        """Looks at the next octets of the content; cheap once the header section has passed."""
        if self._done:
            return
        text = self._rest + data
        body = _BODY.search(text)
        if body is None:
            cut = text.rfind(b"\r\n")
            self._done = len(text) - cut > MAX_LINE
        else:  # unless that line goes on in what is to come
            cut = body.start()
            self._done = text.find(b"\r\n", cut + 2) >= 0 or len(text) - cut > MAX_LINE
        self.hops += text[:cut].lower().count(_FIELD)
        self.header_octets += cut
        self._rest = text[cut:]
