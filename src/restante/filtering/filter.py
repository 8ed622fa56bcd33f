"""What a filter is shown of a message, and the verdicts that it may give: the seam for filters of any kind.

A verdict comes before the 250, so what a filter refuses is never a bounce of ours. It may put header fields on top of a
message; what came is stored as it came, so that signatures over it hold (RFC 6376, RFC 8617).
"""

from __future__ import annotations

from collections.abc import AsyncIterable
from dataclasses import dataclass
from typing import Protocol

from restante.errors import RestanteError
from restante.model import Mailbox, MessageId, Principal
from restante.smtp.reply import Reply


@dataclass(frozen=True, slots=True)
class Shown:
    """One message: who brings it, its envelope, and its `size` octets as they would be stored."""

    message: MessageId
    principal: Principal
    name: str
    """What the client has called itself in its greeting."""
    reverse_path: Mailbox | None
    recipients: tuple[Mailbox, ...]
    size: int
    content: bytes | AsyncIterable[bytes]


@dataclass(frozen=True, slots=True)
class Accept:
    """It is taken, with these whole header fields on top of it. `remark` is what the filter says of it, for the log."""

    remark: str
    fields: bytes = b""


@dataclass(frozen=True, slots=True)
class Refuse:
    """It is not taken: 4yz to try again, 5yz for good."""

    remark: str
    reply: Reply


Verdict = Accept | Refuse


@dataclass(eq=False)
class FilterError(RestanteError):
    """A filter has given no verdict that can be understood. Trying again may help."""

    reason: str

    def __str__(self) -> str:
        return self.reason


class Filter(Protocol):
    """Whoever judges."""

    async def judge(self, shown: Shown) -> Verdict:
        """The verdict on a message. Raises FilterError. May be cancelled."""
        ...

    async def close(self) -> None:
        """Lets go of its connections."""
        ...
