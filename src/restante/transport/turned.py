"""Carries items over a connection that its peer's ATRN has turned round (RFC 2645 §5.3): the caller is the server now.

One connection serves one release after another. It begins as any does, with the peer's 220 and our EHLO, for which
the RFC's five minutes are waited; nothing that was agreed before the turn counts but TLS, which stays as it is: none is
begun here, for a customer's program may pass our lines on and know of none. There is no second connection to go on
with: what fails ends the last release and all that were to follow.
"""

from __future__ import annotations

import contextlib

from restante.errors import RestanteError
from restante.model import HostPort
from restante.net.stream import Stream
from restante.net.tls import IN_CLEAR
from restante.smtp.client import Ahead
from restante.smtp.reply import MalformedReply
from restante.transport.conversation import Conversation
from restante.transport.endings import EndingFeed
from restante.transport.greeting import Manners
from restante.transport.outcome import CarryEnd, Feed, Report
from restante.transport.terms import Footing


class TurnedCarrier:
    """One turned connection: carry() for each release, one at a time, then leave().

    `is_proven`: the caller has shown a certificate of its own, so that what wants TLS may go (RFC 8689).
    """

    def __init__(self, stream: Stream, hostname: str, ahead: Ahead, *, is_proven: bool = False) -> None:
        self._stream = stream
        self._manners = Manners(hostname, "", IN_CLEAR, ahead)
        self._talk = Conversation(self._manners.dialogue(stream), Footing(is_proven=is_proven))
        self._is_greeted = False
        self.is_over = False
        """Whether it can carry nothing more."""

    @property
    def target(self) -> str:
        """Address and port of who has called."""
        address, port = self._stream.peer
        return str(HostPort(str(address), port))

    async def carry(self, feed: Feed, report: Report) -> CarryEnd:
        """Carries until the feed ends or the peer can take no more. Cancelling it closes the connection at once."""
        is_well = False
        try:
            await self._greet()
            await self._talk.carry(EndingFeed(feed, report), report)
            is_well = True
        except (RestanteError, MalformedReply) as error:
            return CarryEnd(f"{self.target}: {error}")
        finally:
            if not is_well:
                self.is_over = True
                self._stream.abort()
        return CarryEnd()

    async def leave(self) -> None:
        """Takes leave, where that can still be said, and closes. A peer that got no mail was greeted all the same."""
        if self.is_over:
            return
        self.is_over = True
        with contextlib.suppress(RestanteError, MalformedReply):
            await self._greet()
            await self._talk.leave()
        self._stream.end()

    async def _greet(self) -> None:
        if not self._is_greeted:
            await self._talk.greet(self._manners)
            self._is_greeted = True
