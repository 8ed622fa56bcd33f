"""A message to show to a filter."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterable

from restante.filtering.filter import Shown
from restante.model import Mailbox, MessageId, Principal

ANN = Mailbox.parse("ann@far.example")
RECIPIENTS = tuple(map(Mailbox.parse, ("anna@test.example", "bert@other.example")))
HELLO = b"Subject: hello\r\n\r\nHello.\r\n"


def shown(
    content: bytes | AsyncIterable[bytes] = HELLO,
    *,
    size: int | None = None,
    reverse_path: Mailbox | None = ANN,
    login: str | None = None,
    name: str = "client.example",
    recipients: tuple[Mailbox, ...] = RECIPIENTS,
) -> Shown:
    """As a session shows it."""
    octets = len(content) if isinstance(content, bytes) else size
    assert octets is not None, "its size must be given"
    principal = Principal(ipaddress.ip_address("192.0.2.7"), login)
    return Shown(MessageId(1 << 52), principal, name, reverse_path, recipients, octets, content)
