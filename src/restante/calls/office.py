"""A contact with an office: it is dialled and greeted, has an errand done, and is left (RFC 1985 has the usual errand).

Office gives up encryption where that is only opportunistic and fails. It does not raise for what an office may do:
refuse, hang, hang up, or talk nonsense; each is a Contact.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from restante.calls.answer import Refused, understand
from restante.model import HostPort
from restante.net.stream import InjectedBytes, Stream, StreamClosed, StreamTimeout
from restante.net.tls import IN_CLEAR
from restante.smtp.client_events import Answered
from restante.smtp.reply import MalformedReply, Reply
from restante.transport.greeting import Dialogue, Manners, TlsFailed, Unwelcome, introduce

REPLY_SECONDS = 120.0
"""How long an office may take for one reply. RFC 5321 §4.5.3.2 gives 5 minutes; a window may have no more than that."""
DIAL_SECONDS = 30.0


class Dial(Protocol):
    """Opens a connection; net/dial.py has it."""

    async def __call__(self, host: HostPort, *, timeout: float) -> Stream:
        """Raises StreamClosed or StreamTimeout."""
        ...


Heard = Callable[[str, Reply], None]
"""Told of each node's reply as it comes."""
Errand = Callable[[Dialogue], Awaitable[None]]
"""What is done with an office that was greeted. May raise what introduce() does; takes its leave itself."""


@dataclass(frozen=True, slots=True)
class Contact:
    """How a conversation ended: `problem` is empty when the errand was done.

    `is_final` tells that trying again soon will not help.
    """

    problem: str = ""
    is_final: bool = False


class Office:
    """An office that may be contacted more than once. `connected` is told of each connection that stands."""

    def __init__(self, host: HostPort, dial: Dial, manners: Manners, *, connected: Callable[[], None]) -> None:
        self._host = host
        self._dial = dial
        self._manners = manners
        self._connected = connected

    async def contact(self, errand: Errand) -> Contact:
        """Connects, and does the errand. Cancelling it closes the connection."""
        try:
            try:
                return await self._once(errand)
            except TlsFailed:
                if not self._manners.tls.may_be_clear:
                    raise
                self._manners = replace(self._manners, tls=IN_CLEAR)
                return await self._once(errand)
        except Unwelcome as error:
            return Contact(f"{self._host}: {error}", error.is_final)
        except (StreamClosed, StreamTimeout, InjectedBytes, MalformedReply) as error:
            return Contact(f"{self._host}: {error}")

    async def _once(self, errand: Errand) -> Contact:
        manners = self._manners
        try:
            stream = await self._dial(self._host, timeout=min(DIAL_SECONDS, manners.patience))
        except (StreamClosed, StreamTimeout) as error:
            return Contact(str(error))
        self._connected()
        try:
            dialogue = manners.dialogue(stream)
            await introduce(dialogue, manners)
            await errand(dialogue)
        finally:
            stream.end()
        return Contact()


def etrn(nodes: Sequence[str], heard: Heard) -> Errand:
    """The errand of asking for each node (RFC 1985). Raises Unwelcome where 5yz leaves some of them unasked (§5.2)."""

    async def ask(dialogue: Dialogue) -> None:
        for number, node in enumerate(nodes):
            dialogue.engine.etrn(node)
            event = await dialogue.event()
            assert isinstance(event, Answered), event
            heard(node, event.reply)
            if isinstance(answer := understand(event.reply), Refused) and answer.ends_asking:
                await dialogue.leave()
                left = ", ".join(nodes[number + 1 :])
                raise Unwelcome(f"{left}: not asked after {event.reply.code}" if left else str(event.reply), True)
        await dialogue.leave()

    return ask
