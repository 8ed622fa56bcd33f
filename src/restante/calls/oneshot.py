"""`restante etrn HOST NODE...`: one question to one office, with no configuration; from cron, from ppp's hooks.

The exit status is 0 when every node was accepted (250 to 253), 1 when not, 2 when a node cannot be one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from restante.calls.answer import Started, check_node, understand
from restante.calls.office import REPLY_SECONDS, Dial, Manners, Office
from restante.model import HostPort
from restante.net.dial import dial as dial_over_tcp
from restante.net.tls import TlsLevel, TlsPolicy
from restante.smtp.node import NodeError
from restante.smtp.reply import Reply

DONE, COULD_NOT, USAGE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class EtrnResult:
    """What the office said to each node that it was asked for, in order, and what else stood in the way."""

    replies: tuple[tuple[str, Reply], ...]
    problem: str
    status: int

    @property
    def messages(self) -> int | None:
        """How many messages wait by the office's own count; None where it did not tell for every node."""
        counts = [answer.count for _, reply in self.replies if isinstance(answer := understand(reply), Started)]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(self.replies) else None


async def etrn(
    office: HostPort,
    nodes: Sequence[str],
    *,
    hostname: str,
    tls: TlsLevel = TlsLevel.OPPORTUNISTIC,
    timeout: float = REPLY_SECONDS,
    dial: Dial = dial_over_tcp,
) -> EtrnResult:
    """Asks an office once for each node. `timeout` is seconds for each step; three times that for all together."""
    try:
        checked = [check_node(node) for node in nodes]
    except NodeError as error:
        return EtrnResult((), str(error), USAGE)
    if not checked:
        return EtrnResult((), "no node is named", USAGE)
    replies: list[tuple[str, Reply]] = []
    asked = Office(
        office,
        dial,
        Manners(hostname, TlsPolicy(tls), timeout),
        heard=lambda node, reply: replies.append((node, reply)),
        connected=lambda: None,
    )
    try:
        async with asyncio.timeout(3 * timeout + len(checked)):
            contact = await asked.contact(checked)
    except TimeoutError:
        return EtrnResult(tuple(replies), f"{office} takes too long", COULD_NOT)
    accepted = len(replies) == len(checked) and all(isinstance(understand(r), Started) for _, r in replies)
    return EtrnResult(tuple(replies), contact.problem, DONE if accepted else COULD_NOT)
